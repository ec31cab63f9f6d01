// What tests of synchronous protocols share: committees, signing keys, sets of parties.
#pragma once

#include <map>
#include <utility>
#include <vector>

#include "mpc/broadcast.h"
#include "runtime/sim.h"
#include "support/support.h"

namespace witan::mpc::test {

inline constexpr std::pair<int, int> kCommittees[] = {{4, 1}, {7, 2}, {10, 3}, {13, 4}};  // n, t

/// Signing keys of the parties of every committee, by position; always the same.
inline const std::vector<crypto::SigningKey>& signing_keys() {
  static const std::vector<crypto::SigningKey> keys = [] {
    witan::test::SeededRng rng("sync world");
    std::vector<crypto::SigningKey> out;
    for (int i = 0; i < Role::kMax; ++i) out.push_back(crypto::SigningKey::generate(rng));
    return out;
  }();
  return keys;
}

inline const Signatories& signatories(int parties, Role own) {
  static std::map<int, std::vector<Signatories>> cache;
  auto& all = cache[parties];
  if (all.empty())
    for (int i = 0; i < parties; ++i) {
      Signatories& one = all.emplace_back();
      one.own = &signing_keys()[static_cast<std::size_t>(i)];
      for (int j = 0; j < parties; ++j) one.keys.push_back(signing_keys()[static_cast<std::size_t>(j)].verifying_key());
    }
  return all[own.index()];
}

inline runtime::RoleSet range(int first, int last) {
  runtime::RoleSet out;
  for (int i = first; i <= last; ++i) out.insert(Role(i));
  return out;
}

/// t different parties.
inline runtime::RoleSet draw_parties(CommitteeSize committee, runtime::sim::SimRng& rng) {
  runtime::RoleSet out;
  while (out.size() < committee.threshold())
    out.insert(Role(1 + static_cast<int>(rng.below(static_cast<std::uint64_t>(committee.parties())))));
  return out;
}

/// Those of the world's parties that are not Byzantine.
inline runtime::RoleSet honest(const runtime::sim::World& world) {
  return runtime::RoleSet::all(world.committee()) - world.byzantine();
}

}  // namespace witan::mpc::test
