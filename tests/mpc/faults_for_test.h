// Adversaries of campaigns: who lies, is silent, slow or crashes in one run.
#pragma once

#include "mpc/flood_for_test.h"
#include "runtime/sim.h"

namespace witan::mpc::test {

/// Ways to be faulty in an asynchronous protocol; a campaign of hundreds of runs has seen all of them.
inline constexpr std::string_view kAsyncStrategies[] = {
    "adversary silent",
    "adversary slow",
    "adversary random bytes, rushing",
    "adversary the same random bytes to all",
    "adversary equivocates, rushing",
    "adversary contradicts itself",
    "adversary mangles, rushing",
    "adversary misplaces",
    "adversary random bytes, late",
    "adversary equivocates and mangles",
    "adversary contradicts itself and misplaces, late",
    "adversary lies sometimes, frames twice",
    "adversary floods",
    "adversary silent from any frame on",
};

/// Faults of at most t parties, drawn from the seed. The world counts them.
inline void draw_faults(runtime::sim::World& world, runtime::sim::SimRng& rng) {
  const int n = world.committee().parties(), t = world.committee().threshold();
  std::vector<int> parties;
  for (int i = 1; i <= n; ++i) parties.push_back(i);
  for (int k = 0; k < t; ++k) {
    const auto pick = rng.below(parties.size());
    auto& faults = world.faults(Role(parties[pick]));
    parties.erase(parties.begin() + static_cast<std::ptrdiff_t>(pick));
    const std::uint64_t seed = rng.next64();
    using namespace runtime::sim;
    const std::size_t strategy = rng.below(std::size(kAsyncStrategies));
    world.count(kAsyncStrategies[strategy]);
    switch (strategy) {
      case 0:
        faults.silent = true;
        break;
      case 1:
        faults.slow = std::chrono::seconds(1 + rng.below(15));
        break;
      case 2:
        faults.corrupt = lie_randomly(seed), faults.rushing = true;
        break;
      case 3:
        faults.corrupt = lie_equally(seed);
        break;
      case 4:
        faults.corrupt = equivocate(seed), faults.rushing = true;
        break;
      case 5:
        faults.corrupt = contradict_itself(seed);
        break;
      case 6:
        faults.corrupt = mangle(seed), faults.rushing = true;
        break;
      case 7:
        faults.corrupt = misplace(seed);
        break;
      case 8:
        faults.corrupt = lie_randomly(seed), faults.slow = std::chrono::seconds(3);
        break;
      case 9:
        faults.corrupt = both(equivocate(seed), mangle(seed + 1)), faults.rushing = rng.chance(0.5);
        break;
      case 10:
        faults.corrupt = both(contradict_itself(seed), misplace(seed + 1)), faults.slow = std::chrono::seconds(2);
        break;
      case 11:
        faults.corrupt = sometimes(0.5, seed, lie_randomly(seed + 1)), faults.duplicate = 0.5;
        break;
      case 12:
        faults.corrupt = flood_ahead(seed), faults.rushing = rng.chance(0.5);
        break;
      default:
        faults.corrupt = [frames = rng.below(static_cast<std::uint64_t>(6 * n)), sent = std::uint64_t{0}](
                             Role, const runtime::Frame& frame) mutable {
          return sent++ >= frames ? std::vector<runtime::Frame>{} : std::vector{frame};
        };
        break;
    }
  }
  // Honest parties may crash and come back as often as they like: a restart is no fault of theirs.
  for (const int party : parties)
    if (rng.chance(0.3))
      world.faults(Role(party)).crashes = {{rng.below(60) + 1, std::chrono::milliseconds(rng.below(3000))},
                                           {rng.below(60) + 70, std::chrono::milliseconds(rng.below(3000))}};
  for (int i = 1; i <= n; ++i)
    if (rng.chance(0.1)) world.faults(Role(i)).duplicate = 0.3;
}

/// With some probability a cut through the committee that heals.
inline void draw_partition(runtime::sim::World& world, runtime::sim::SimRng& rng) {
  if (!rng.chance(0.2)) return;
  runtime::sim::Partition partition;
  for (int i = 1; i <= world.committee().parties(); ++i)
    if (rng.chance(0.5)) partition.side.insert(Role(i));
  partition.from = runtime::Instant(std::chrono::milliseconds(rng.below(500)));
  partition.until = runtime::Instant(std::chrono::milliseconds(1000 + rng.below(7000)));
  world.add_partition(std::move(partition));
}

}  // namespace witan::mpc::test
