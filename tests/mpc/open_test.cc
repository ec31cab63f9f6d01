#include "mpc/open.h"

#include <gtest/gtest.h>

#include <map>

#include "mpc/faults_for_test.h"
#include "mpc/open_impl.h"
#include "mpc/tap_for_test.h"

namespace witan::mpc {
namespace {

using namespace std::chrono_literals;
using runtime::sim::Coverage;
using runtime::sim::Node;
using runtime::sim::SimRng;
using runtime::sim::World;

constexpr std::pair<int, int> kCommittees[] = {{4, 1}, {7, 2}, {10, 3}, {13, 4}};
constexpr runtime::Step kStep = 3;
constexpr SessionId kSession{u128{7}};

template <Word Z>
struct Sharings {
  Sharings(CommitteeSize committee, std::size_t count, SimRng& rng) {
    by_party.resize(static_cast<std::size_t>(committee.parties()));
    for (std::size_t i = 0; i < count; ++i) {
      Gr<Z> value;
      for (auto& coefficient : value.c) coefficient = rng.next<Z>();
      values.push_back(value);
      const auto dealt = algebra::deal<Z>(value, committee.threshold(), committee.parties(), rng);
      for (std::size_t p = 0; p < dealt.size(); ++p) by_party[p].push_back(dealt[p]);
    }
  }
  std::vector<Gr<Z>> values;
  std::vector<std::vector<Share<Z>>> by_party;
};

template <Word Z>
struct Outcome {
  Result<std::vector<Gr<Z>>> opened = fail(Code::unavailable, "did not end");
  OpeningReport report;
};
template <Word Z>
using Outcomes = std::map<int, Outcome<Z>>;

/// Opens and then watches for late lies.
template <Word Z, class Rules = OpeningRules>
runtime::sim::Program opening(const Sharings<Z>& sharings, Outcomes<Z>& outcomes) {
  return [&](Node& node) -> runtime::Task<void> {
    auto session = node.router().open(kSession, {.reopen = true});
    if (!session) co_return;
    const auto& own = sharings.by_party[node.role().index()];
    Bytes message;
    append_shares<Z>(message, own);
    (void)session->send_all(kStep, runtime::make_payload(std::move(message)));
    RobustOpening<Z, Rules> run(*session, node.compute(), kStep, {}, own);
    auto opened = co_await run.accept(node.loop().after(60s));
    Outcome<Z>& outcome = outcomes[node.role().number()];
    const bool good = opened.has_value();
    outcome.opened = std::move(opened);
    if (good) co_await run.watch_late(node.loop().after(30s), [](Role) {});
    outcome.report = run.report();
    co_await node.loop().sleep_for(60s);
  };
}

template <Word Z>
Status judge(World& world, const Sharings<Z>& sharings, const Outcomes<Z>& outcomes) {
  WITAN_TRY(world.audit().verdict());
  for (int i = 1; i <= world.committee().parties(); ++i) {
    if (world.byzantine().contains(Role(i))) continue;
    if (!outcomes.contains(i)) return fail(Code::internal, "party {} has not ended", i);
    const Outcome<Z>& outcome = outcomes.at(i);
    if (!outcome.opened) return fail(Code::internal, "party {}: {}", i, outcome.opened.error().message);
    if (*outcome.opened != sharings.values) return fail(Code::internal, "party {} opened other values", i);
    for (const Role liar : outcome.report.lied)
      if (!world.byzantine().contains(liar))
        return fail(Code::internal, "party {} calls the honest party {} a liar", i, liar.number());
  }
  return {};
}

/// Nothing has left an honest party but its shares of what is opened.
template <Word Z>
Status judge_sent(const test::Tap& tap, const Sharings<Z>& sharings) {
  Status out;
  tap.each([&](const test::Tap::Sent& sent) {
    Bytes own;
    append_shares<Z>(own, std::span(sharings.by_party[sent.from.index()]));
    if (sent.frame.session != kSession || sent.frame.step != kStep || *sent.frame.payload != own)
      out = fail(Code::internal, "party {} sent {} bytes in step {} that are not its shares", sent.from.number(),
                 sent.frame.payload->size(), sent.frame.step);
  });
  return out;
}

template <class Z>
class OpeningCampaign : public testing::Test {};
using BothRings = testing::Types<Z64, Z128>;
TYPED_TEST_SUITE(OpeningCampaign, BothRings);

// S15: whatever t parties do, everybody opens the right values.
TYPED_TEST(OpeningCampaign, EverybodyOpensTheRightValues) {
  using Z = TypeParam;
  for (const auto [n, t] : kCommittees) {
    const auto committee = CommitteeSize::make(n, t).value();
    const auto report = runtime::sim::campaign(
        fmt::format("opening k={} n={}", 8 * sizeof(Z), n), 1, n >= 10 ? 300 : 1000,
        [&](std::uint64_t seed, Coverage& coverage) -> Status {
          SimRng rng(seed, 11);
          const Sharings<Z> sharings(committee, 1 + rng.below(40), rng);
          Outcomes<Z> outcomes;
          World world({.seed = seed, .committee = committee, .router = test::tight_router()},
                      opening<Z>(sharings, outcomes));
          const test::Tap tap(world);
          test::MemoryWatch watch(world);
          test::draw_faults(world, rng);
          test::draw_partition(world, rng);
          watch.run(400s);
          coverage.merge(world.coverage());
          for (const auto& [party, outcome] : outcomes)
            coverage.add("opening.liars_named", static_cast<std::uint64_t>(outcome.report.lied.size()));
          WITAN_TRY(watch.verdict());
          WITAN_TRY(judge_sent(tap, sharings));
          return judge(world, sharings, outcomes);
        });
    EXPECT_EQ(report.failures.size(), 0u);
    for (const char* name : {"opening.liars_named", "router.equivocations", "router.duplicates", "router.malformed",
                             "router.resent", "router.parked_refused", "router.waiting_refused", "sim.crashes"})
      EXPECT_GT(report.coverage.count(name), 0u) << name << " never happened at n = " << n;
  }
}

// kill -9 at every crash point of a party, at every size: it comes back and opens the same values, and so do the others.
TYPED_TEST(OpeningCampaign, CrashAtEveryPointOfAParty) {
  using Z = TypeParam;
  for (const auto [n, t] : kCommittees) {
    const auto committee = CommitteeSize::make(n, t).value();
    SimRng rng(static_cast<std::uint64_t>(n), 17);
    const Sharings<Z> sharings(committee, 5, rng);
    std::uint64_t points = 1;
    for (std::uint64_t point = 0; point <= points; ++point) {  // 0: none, to count them
      Outcomes<Z> outcomes;
      World world({.seed = 4, .committee = committee, .router = {}}, opening<Z>(sharings, outcomes));
      if (point > 0) world.faults(Role(2)).crashes = {{point, 700ms}};
      ASSERT_EQ(world.run(400s), runtime::sim::End::finished) << point;
      if (point == 0) points = world.crash_points(Role(2));
      if (point > 0) EXPECT_EQ(world.coverage().count("sim.crashes"), 1u) << point;
      const Status good = judge(world, sharings, outcomes);
      ASSERT_TRUE(good) << "n = " << n << ", crash point " << point << ": " << good.error().message;
    }
    EXPECT_GT(points, static_cast<std::uint64_t>(2 * n));
  }
}

// Rule R1 on the wire (S20): an element takes the bytes of its component's ring, whatever else a party could say.
TEST(Opening, WireElementsHaveTheSizeOfTheirRing) {
  const auto bytes_per_element = []<Word Z>(Z) {
    const auto committee = CommitteeSize::make(4, 1).value();
    SimRng rng(3);
    const Sharings<Z> sharings(committee, 10, rng);
    Outcomes<Z> outcomes;
    World world({.seed = 3, .committee = committee, .router = {}}, opening<Z>(sharings, outcomes));
    std::size_t size = 0;
    world.faults(Role(2)).corrupt = [&](Role, const runtime::Frame& frame) {
      if (frame.kind == runtime::FrameKind::data) size = frame.payload->size();
      return std::vector{frame};
    };
    world.run(200s);
    EXPECT_TRUE(judge(world, sharings, outcomes));
    return size / 10;
  };
  EXPECT_EQ(bytes_per_element(Z64{}), 32u);
  EXPECT_EQ(bytes_per_element(Z128{}), 64u);
}

// A party that sends elements of the larger ring is malformed, not cut to size.
TEST(Opening, ElementsOfTheOtherRingAreMalformed) {
  const auto committee = CommitteeSize::make(4, 1).value();
  SimRng rng(4);
  const Sharings<Z64> sharings(committee, 5, rng);
  Outcomes<Z64> outcomes;
  World world({.seed = 4, .committee = committee, .router = {}}, opening<Z64>(sharings, outcomes));
  world.faults(Role(3)).corrupt = [](Role, const runtime::Frame& frame) {
    runtime::Frame wide = frame;
    Bytes bytes = *frame.payload;
    bytes.resize(2 * bytes.size());
    wide.payload = runtime::make_payload(std::move(bytes));
    return std::vector{wide};
  };
  world.run(200s);
  EXPECT_TRUE(judge(world, sharings, outcomes));
  for (const int i : {1, 2, 4}) EXPECT_TRUE(outcomes.at(i).report.lied.contains(Role(3)));
}

// A lie that comes after the values were accepted is still checked, and named.
TEST(Opening, LateLiesAreNamed) {
  for (const auto [n, t] : kCommittees) {
    const auto committee = CommitteeSize::make(n, t).value();
    SimRng rng(5);
    const Sharings<Z128> sharings(committee, 5, rng);
    Outcomes<Z128> outcomes;
    World world({.seed = 5, .committee = committee, .router = {}}, opening<Z128>(sharings, outcomes));
    for (int i = 1; i <= t; ++i) {
      world.faults(Role(i)).corrupt = runtime::sim::lie_randomly(static_cast<std::uint64_t>(i));
      world.faults(Role(i)).slow = 10s;
    }
    world.run(400s);
    EXPECT_TRUE(judge(world, sharings, outcomes));
    for (int i = t + 1; i <= n; ++i) EXPECT_EQ(static_cast<int>(outcomes.at(i).report.lied.size()), t);
  }
}

// More than t: an error that names who was silent, and no value.
TEST(Opening, TooManyFaultyPartiesGiveAnErrorAndNoValue) {
  for (const auto [n, t] : kCommittees) {
    const auto committee = CommitteeSize::make(n, t).value();
    for (const bool silent : {true, false}) {
      SimRng rng(6);
      const Sharings<Z128> sharings(committee, 3, rng);
      Outcomes<Z128> outcomes;
      World world({.seed = 6, .committee = committee, .router = {}}, opening<Z128>(sharings, outcomes));
      for (int i = 1; i <= t + 1; ++i)
        if (silent)
          world.faults(Role(i)).silent = true;
        else
          world.faults(Role(i)).corrupt = runtime::sim::lie_randomly(static_cast<std::uint64_t>(i));
      world.run(400s);
      for (int i = t + 2; i <= n; ++i) {
        const auto& opened = outcomes.at(i).opened;
        ASSERT_FALSE(opened);
        EXPECT_EQ(opened.error().code, silent ? Code::deadline_exceeded : Code::aborted);
        if (silent) EXPECT_NE(opened.error().message.find("silent 1"), std::string::npos) << opened.error().message;
      }
    }
  }
}

struct TPlusOne : OpeningRules {
  static constexpr std::size_t needed(CommitteeSize committee) {
    return static_cast<std::size_t>(committee.threshold()) + 1;
  }
};

TEST(OpeningRemovedDefence, AcceptingTPlus1SharesLetsTheFirstLiarDecide) {
  const auto wrong = []<class Rules>(Rules) {
    const auto committee = CommitteeSize::make(4, 1).value();
    int count = 0;
    for (std::uint64_t seed = 1; seed <= 10; ++seed) {
      SimRng rng(seed);
      const Sharings<Z128> sharings(committee, 3, rng);
      Outcomes<Z128> outcomes;
      World world({.seed = seed, .committee = committee, .router = {}}, opening<Z128, Rules>(sharings, outcomes));
      world.faults(Role(2)).corrupt = runtime::sim::lie_randomly(seed);
      world.faults(Role(2)).rushing = true;
      world.run(400s);
      count += !judge(world, sharings, outcomes);
    }
    return count;
  };
  EXPECT_GT(wrong(TPlusOne{}), 0);
  EXPECT_EQ(wrong(OpeningRules{}), 0);
}

}  // namespace
}  // namespace witan::mpc
