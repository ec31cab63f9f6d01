#include "mpc/coin.h"

#include <gtest/gtest.h>

#include <cmath>

#include "mpc/sync_world.h"

namespace witan::mpc {
namespace {

using namespace std::chrono_literals;
using runtime::Frame;
using runtime::RoleSet;
using runtime::sim::Coverage;
using runtime::sim::Node;
using runtime::sim::SimRng;
using runtime::sim::World;

struct Ended {
  Result<Coin> coin = fail(Code::unavailable, "did not end");
  std::vector<Exclusion> exclusions;
};
using Outcomes = std::map<int, Ended>;

runtime::sim::Program flipping(Outcomes& outcomes, runtime::Duration spread = {}) {
  const auto protocol = [&outcomes](Node& node, SyncRun& run) -> runtime::Task<void> {
    auto coin = co_await flip_coin(run, test::kDeal, test::kOpen);
    outcomes[node.role().number()] = {std::move(coin), run.exclusions};
  };
  return test::synchronous(protocol, spread);
}

/// All honest parties have the same coin, which is what they get.
Result<Gr<Z64>> judge(World& world, const Outcomes& outcomes) {
  WITAN_TRY(world.audit().verdict());
  std::optional<Gr<Z64>> value;
  for (const Role party : RoleSet::all(world.committee()) - world.byzantine()) {
    if (!outcomes.contains(party.number())) return fail(Code::internal, "party {} has not ended", party.number());
    const Ended& ended = outcomes.at(party.number());
    if (!ended.coin) return fail(Code::internal, "party {}: {}", party.number(), ended.coin.error().message);
    if (value && *value != ended.coin->value) return fail(Code::internal, "two honest parties see different coins");
    value = ended.coin->value;
    for (const Exclusion& exclusion : ended.exclusions)
      if (!world.byzantine().contains(exclusion.party)) return fail(Code::internal, "{}", to_string(exclusion));
    for (const Role liar : ended.coin->opening.lied)
      if (!world.byzantine().contains(liar)) return fail(Code::internal, "party {} is called a liar", liar.number());
  }
  return value.value();
}

/// Half of many fair bits are ones, within six standard deviations.
void expect_fair(std::uint64_t ones, std::uint64_t bits) {
  const double expected = static_cast<double>(bits) / 2;
  EXPECT_NEAR(static_cast<double>(ones), expected, 3 * std::sqrt(static_cast<double>(bits)));
}

std::uint64_t ones_of(const Gr<Z64>& value) {
  std::uint64_t out = 0;
  for (const Z64 c : value.c) out += static_cast<std::uint64_t>(std::popcount(c));
  return out;
}

TEST(Coin, EverybodySeesTheSameAndEveryRunAnother) {
  for (const auto [n, t] : {std::pair{4, 1}, {7, 2}, {13, 4}}) {
    std::optional<Gr<Z64>> before;
    for (const std::uint64_t seed : {1u, 2u}) {
      Outcomes outcomes;
      World world(test::sync_options(seed, CommitteeSize::make(n, t).value()), flipping(outcomes));
      world.run(100s);
      const auto value = judge(world, outcomes);
      ASSERT_TRUE(value) << value.error().message;
      if (before) EXPECT_NE(*value, *before);
      before = *value;
    }
  }
}

TEST(Coin, WhoDropsOutAfterTheTossDoesNotStopIt) {
  for (const auto [n, t] : {std::pair{4, 1}, {7, 2}}) {
    Outcomes outcomes;
    World world(test::sync_options(3, CommitteeSize::make(n, t).value()), flipping(outcomes));
    for (int i = 1; i <= t; ++i)
      world.faults(Role(i)).corrupt = [](Role, const Frame& frame) {
        return frame.step == test::kOpen ? std::vector<Frame>{} : std::vector{frame};
      };
    world.run(100s);
    const auto value = judge(world, outcomes);
    ASSERT_TRUE(value) << value.error().message;
    for (int i = t + 1; i <= n; ++i) EXPECT_TRUE(outcomes.at(i).exclusions.empty());
  }
}

// A liar in the opening changes nothing, whenever its share comes, and is named by who had to look at it.
TEST(Coin, WhoLiesInTheOpeningIsNamedAndChangesNothing) {
  for (const auto [n, t] : {std::pair{4, 1}, {7, 2}}) {
    const auto committee = CommitteeSize::make(n, t).value();
    std::optional<Gr<Z64>> truth;
    for (const bool lying : {false, true}) {
      Outcomes outcomes;
      World world(test::sync_options(4, committee), flipping(outcomes));
      for (int i = 1; i <= t; ++i) {
        world.faults(Role(i)).rushing = true;
        world.faults(Role(i)).corrupt = [lying, lie = runtime::sim::lie_randomly(static_cast<std::uint64_t>(i))](
                                            Role receiver, const Frame& frame) {
          return lying && frame.step == test::kOpen ? lie(receiver, frame) : std::vector{frame};
        };
      }
      world.run(100s);
      const auto value = judge(world, outcomes);
      ASSERT_TRUE(value) << value.error().message;
      if (truth) EXPECT_EQ(*value, *truth);
      truth = *value;
      if (lying)
        for (int i = t + 1; i <= n; ++i) EXPECT_EQ(outcomes.at(i).coin->opening.lied.size(), t);
    }
  }
}

TEST(CoinCampaign, IsTheSameForAllAndFairWhateverTPartiesDo) {
  for (const auto [n, t, runs] : {std::tuple{4, 1, 135u}, {7, 2, 54u}, {10, 3, 54u}, {13, 4, 27u}}) {
    const auto committee = CommitteeSize::make(n, t).value();
    std::uint64_t ones = 0, bits = 0;
    const auto report = runtime::sim::campaign(
        fmt::format("coin n={}", n), 1, runs, [&](std::uint64_t seed, Coverage& coverage) -> Status {
          SimRng rng(seed, 23);
          Outcomes outcomes;
          World world(test::campaign_options(seed, committee), flipping(outcomes, test::kSpread));
          test::Tap tap(world);
          test::MemoryWatch watch(world);
          test::draw_sync_faults(world, rng, seed, 1);
          watch.run(400s);
          coverage.merge(world.coverage());
          const RoleSet honest = RoleSet::all(committee) - world.byzantine();
          WITAN_TRY(watch.verdict());
          WITAN_TRY(tap.keeps(test::secrets_of_sharing(tap, committee, honest, 1)));
          WITAN_ASSIGN(const Gr<Z64> value, judge(world, outcomes));
          for (const Role party : honest) {
            const Ended& ended = outcomes.at(party.number());
            coverage.add("coin.lies", static_cast<std::uint64_t>(ended.coin->opening.lied.size()));
            coverage.add("coin.silent", static_cast<std::uint64_t>(ended.coin->opening.silent.size()));
            coverage.add("coin.excluded", ended.exclusions.size());
          }
          ones += ones_of(value);
          bits += 256;
          return {};
        });
    EXPECT_EQ(report.failures.size(), 0u);
    EXPECT_EQ(report.never(test::kSyncStrategies), std::vector<std::string>{}) << "n = " << n;
    EXPECT_EQ(report.never({"coin.lies", "coin.silent", "coin.excluded", "router.parked_refused",
                            "router.waiting_refused", "sim.crashes", "sim.duplicated", "sim.reordered"}),
              std::vector<std::string>{})
        << "n = " << n;
    expect_fair(ones, bits);
  }
}

}  // namespace
}  // namespace witan::mpc
