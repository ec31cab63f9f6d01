// Set keys and zero-sharing keys of all parties from a rule, for tests.
#pragma once

#include <functional>
#include <vector>

#include "mpc/zero_keys.h"

namespace witan::mpc::test {

/// `key_of(index, set)` gives the key of the index-th set in lexicographic order.
inline std::vector<SetKeys> make_set_keys(CommitteeSize committee,
                                          const std::function<SetKey(std::size_t, PartySet)>& key_of) {
  const auto sets = key_sets(committee);
  std::vector<SetKeys> out;
  for (int i = 1; i <= committee.parties(); ++i) {
    std::vector<SetKey> keys;
    for (std::size_t s = 0; s < sets.size(); ++s)
      if (sets[s].contains(Role(i))) keys.push_back(key_of(s, sets[s]));
    out.emplace_back(committee, Role(i), Secret<std::vector<SetKey>>(std::move(keys)));
  }
  return out;
}

/// Keys from a label: SHAKE256(label || index).
inline std::vector<SetKeys> make_set_keys(CommitteeSize committee, const std::string& label) {
  return make_set_keys(committee, [&](std::size_t index, PartySet) {
    const Bytes raw = crypto::shake256(as_bytes(label + std::to_string(index)), 16);
    SetKey key;
    std::copy(raw.begin(), raw.end(), key.begin());
    return key;
  });
}

/// `key_of(E)` gives z_E.
inline std::vector<ZeroKeys> make_zero_keys(CommitteeSize committee, const std::function<SetKey(PartySet)>& key_of) {
  std::vector<ZeroKeys> out;
  for (int i = 1; i <= committee.parties(); ++i) {
    std::vector<SetKey> keys;
    for (const PartySet excluded : zero_sets(committee))
      if (!excluded.contains(Role(i))) keys.push_back(key_of(excluded));
    out.emplace_back(committee, Role(i), Secret<std::vector<SetKey>>(std::move(keys)));
  }
  return out;
}

/// SHAKE256(label || le64(i) for i in the set), 16 bytes: how the vectors make their keys.
inline SetKey key_of_members(std::string_view label, PartySet set) {
  crypto::Shake256 hash;
  hash.update(as_bytes(label));
  for (const Role role : set.members()) {
    ByteArray<8> number;
    store_le<std::uint64_t>(static_cast<std::uint64_t>(role.number()), number.data());
    hash.update(number);
  }
  SetKey out;
  hash.finish(out);
  return out;
}

}  // namespace witan::mpc::test
