// Set keys of all parties from a rule, for tests.
#pragma once

#include <functional>
#include <vector>

#include "mpc/prss.h"

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

}  // namespace witan::mpc::test
