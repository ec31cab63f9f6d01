#include "mpc/common_start.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mpc/sync_world.h"

namespace witan::mpc {
namespace {

using namespace std::chrono_literals;
using runtime::Frame;
using runtime::Instant;
using runtime::RoleSet;
using runtime::sim::Coverage;
using runtime::sim::Node;
using runtime::sim::SimRng;
using runtime::sim::World;
using test::kRoundTimeout;
using ::testing::HasSubstr;

constexpr runtime::Duration kTogether = kRoundTimeout / 8;  // what SyncRun asks for
constexpr std::pair<int, int> kCommittees[] = {{4, 1}, {5, 1}, {7, 2}, {10, 3}, {13, 4}};

/// One call of start() that has ended.
struct Ended {
  int life;
  Result<std::uint16_t> attempt;
  Instant at;
};
using Story = std::map<int, std::vector<Ended>>;  // by party

/// What parties do besides.
struct Plan {
  std::function<runtime::Duration(Role)> ready = [](Role) { return runtime::Duration{}; };
  std::function<bool(Role, std::uint16_t attempt)> succeeds = [](Role, std::uint16_t) { return true; };
  runtime::Duration run = 3s;  // what is begun lasts so long
};

/// Ready once per life, as a caller does it: attempts are in the journal, and a failed one is followed by the next.
runtime::sim::Program starting(Story& story, Plan plan = {}) {
  return [&story, plan](Node& node) -> runtime::Task<void> {
    if (node.life() == 0) co_await node.loop().sleep_for(plan.ready(node.role()));
    auto session = node.router().open(start_session({9}, crypto::SessionKind::epoch_setup), start_session_options());
    if (!session) co_return;
    const auto stored = node.journal().get("attempts", Bytes{1});
    const auto first = static_cast<std::uint16_t>(stored && *stored ? (**stored)[0] + 1 : 0);
    CommonStart common(*session, kRoundTimeout, first, [&](std::uint16_t attempt) -> runtime::Task<Status> {
      std::vector<runtime::Change> changes;
      changes.push_back({runtime::Change::Kind::put, "attempts", Bytes{1}, Bytes{static_cast<std::uint8_t>(attempt)}});
      co_return co_await node.journal().commit(std::move(changes));
    });
    for (;;) {
      auto attempt = co_await common.start();
      story[node.role().number()].push_back({node.life(), attempt, node.loop().now()});
      if (!attempt) break;
      // In small steps: a crash may come in between.
      for (runtime::Duration slept{}; slept < plan.run; slept += 20ms) co_await node.loop().sleep_for(20ms);
      if (!plan.succeeds(node.role(), *attempt)) continue;
      if (!common.done()) co_return;
      break;
    }
    co_await node.loop().sleep_for(2000s);  // stay to answer
  };
}

/// These parties have started that attempt in life 0 or later, within T/8 of each other, and none of them twice.
Status together(const Story& story, RoleSet parties, std::uint16_t attempt) {
  std::vector<Instant> times;
  for (const Role party : parties) {
    const auto found = story.find(party.number());
    if (found == story.end()) return fail(Code::internal, "party {} has not ended", party.number());
    int starts = 0;
    for (const Ended& ended : found->second) {
      if (!ended.attempt || *ended.attempt != attempt) continue;
      times.push_back(ended.at);
      ++starts;
    }
    if (starts != 1)
      return fail(Code::internal, "party {} has started attempt {} {} times; {}", party.number(), attempt, starts,
                  found->second.back().attempt ? "" : found->second.back().attempt.error().message);
  }
  const auto [first, last] = std::ranges::minmax(times);
  if (last - first > kTogether) return fail(Code::internal, "the starts are {} ns apart", (last - first).count());
  return {};
}

RoleSet honest(const World& world) {
  return RoleSet::all(world.committee()) - world.byzantine();
}

std::string said(const Status& status) {
  return status ? "" : status.error().message;
}

Instant first_start(const Story& story) {
  Instant out = runtime::kNever;
  for (const auto& [party, ends] : story)
    for (const Ended& ended : ends)
      if (ended.attempt) out = std::min(out, ended.at);
  return out;
}

TEST(CommonStart, EverybodyStartsTwoDelaysAfterTheLastOneIsReady) {
  for (const auto [n, t] : kCommittees) {
    Story story;
    World world(test::sync_options(1, CommitteeSize::make(n, t).value()),
                starting(story, {.ready = [](Role role) { return role.number() * 300ms; }}));
    world.run(30s);
    ASSERT_EQ(said(together(story, honest(world), 0)), "") << n;
    ASSERT_EQ(said(world.audit().verdict()), "");
    EXPECT_GT(first_start(story), Instant(n * 300ms));
    EXPECT_LT(first_start(story), Instant(n * 300ms + 50ms)) << "two delays of at most 20 ms";
  }
}

TEST(CommonStart, SilentPartiesAreWaitedForOneRoundTimeout) {
  for (const auto [n, t] : kCommittees) {
    Story story;
    World world(test::sync_options(2, CommitteeSize::make(n, t).value()), starting(story));
    for (int i = 1; i <= t; ++i) world.faults(Role(i)).silent = true;
    world.run(30s);
    ASSERT_EQ(said(together(story, honest(world), 0)), "") << n;
    EXPECT_GE(first_start(story), Instant(kRoundTimeout));
    EXPECT_LT(first_start(story), Instant(kRoundTimeout + 100ms));
  }
}

/// The content of a GO that names everybody.
Bytes everybody(CommitteeSize committee) {
  Bytes out;
  append_le<std::uint16_t>(out, RoleSet::all(committee).bits());
  return out;
}

/// A liar's GO names everybody, whatever it has heard; so does one for a party that is not ready.
runtime::sim::Corrupt name_everybody(CommitteeSize committee) {
  return [everybody = everybody(committee)](Role, const Frame& frame) {
    if (frame.kind != runtime::FrameKind::data || frame.step != go_step(0)) return std::vector{frame};
    return std::vector{test::with_bytes(frame, everybody)};
  };
}

// The others begin without it; t liars who say that it was there in time do not change that.
TEST(CommonStart, WhoIsReadyAfterTheOthersHaveBegunDoesNotBegin) {
  for (const auto [n, t] : {std::pair{4, 1}, {7, 2}, {10, 3}, {13, 4}}) {
    const auto committee = CommitteeSize::make(n, t).value();
    for (const runtime::Duration late : {runtime::Duration(kRoundTimeout + 500ms), runtime::Duration(20s)}) {
      Story story;
      // The late one counts as faulty, so one of t is left that says nothing at all, and the rest lie.
      World world(test::sync_options(3, committee),
                  starting(story, {.ready = [&](Role role) { return role == Role(n) ? late : 0ms; }}));
      for (int i = 1; i < t; ++i) world.faults(Role(i)).corrupt = name_everybody(committee);
      world.set_required(RoleSet::all(committee));
      world.run(100s);
      RoleSet others = honest(world);
      others.erase(Role(n));
      ASSERT_EQ(said(together(story, others, 0)), "") << n;
      ASSERT_EQ(story.at(n).size(), 1u);
      ASSERT_FALSE(story.at(n)[0].attempt);
      EXPECT_EQ(story.at(n)[0].attempt.error().code, Code::aborted);
      EXPECT_THAT(story.at(n)[0].attempt.error().message, HasSubstr("this party is too late: parties "));
      EXPECT_THAT(story.at(n)[0].attempt.error().message, HasSubstr("are done without it"));
    }
  }
}

TEST(CommonStart, PartiesThatFailAnAttemptStartTheNextTogether) {
  for (const auto [n, t] : {std::pair{4, 1}, {7, 2}}) {
    Story story;
    World world(test::sync_options(4, CommitteeSize::make(n, t).value()),
                starting(story, {.succeeds = [](Role, std::uint16_t attempt) { return attempt == 2; }}));
    world.faults(Role(1)).silent = true;
    world.run(100s);
    for (std::uint16_t attempt = 0; attempt < 3; ++attempt)
      ASSERT_EQ(said(together(story, honest(world), attempt)), "");
    EXPECT_EQ(story.at(2).size(), 3u);
  }
}

TEST(CommonStart, APartyAloneGivesUpAndSaysWhoWasThere) {
  const auto committee = CommitteeSize::make(4, 1).value();
  Story story;
  World world(test::sync_options(5, committee), starting(story));
  world.faults(Role(2)).silent = true;
  world.faults(Role(3)).silent = true;
  world.run(100s);
  for (const int party : {1, 4}) {
    ASSERT_EQ(story.at(party).size(), 1u);
    const auto& [life, attempt, at] = story.at(party)[0];
    ASSERT_FALSE(attempt);
    EXPECT_EQ(attempt.error().code, Code::deadline_exceeded);
    EXPECT_EQ(
        attempt.error().message,
        fmt::format("no common start in 36 s; attempt 0: ready were besides this party {}, 3 of 4 are needed in all; "
                    "on went none",
                    party == 1 ? 4 : 1));
    EXPECT_GE(at, Instant(CommonStart::longest_wait(committee, kRoundTimeout)));
  }
}

// A power cut: everybody was in the middle of attempt 0.
TEST(CommonStart, WhenAllRestartTheyStartTheNextAttempt) {
  for (const auto [n, t] : {std::pair{4, 1}, {13, 4}}) {
    const auto committee = CommitteeSize::make(n, t).value();
    Story story;
    std::map<int, std::uint64_t> points;  // that parties have passed after five seconds
    {
      Story unused;
      World twin(test::sync_options(6, committee), starting(unused, {.run = 30s}));
      twin.run(5s);
      for (int i = 1; i <= n; ++i) points[i] = twin.crash_points(Role(i));
    }
    World world(test::sync_options(6, committee), starting(story, {.run = 30s}));
    for (int i = 1; i <= n; ++i)
      world.faults(Role(i)).crashes = {{points.at(i) + 1, std::chrono::milliseconds(200 + 100 * i)}};
    world.run(100s);
    ASSERT_EQ(said(world.audit().verdict()), "");
    ASSERT_EQ(said(together(story, RoleSet::all(committee), 0)), "") << n;
    ASSERT_EQ(said(together(story, RoleSet::all(committee), 1)), "") << n;
    for (const auto& [party, ends] : story) {
      EXPECT_EQ(ends.size(), 2u);
      EXPECT_EQ(ends.back().life, 1);
    }
  }
}

// Wherever one party restarts (in the long run at every point at (4,1)): the others start and end attempt 0, nothing is said twice in two
// ways, no attempt is started twice, and it learns how the others fared.
TEST(CommonStart, OnePartyRestartsAnywhere) {
  for (const auto [n, t, runs] : {std::tuple{4, 1, 60u}, {7, 2, 15u}}) {
    const auto committee = CommitteeSize::make(n, t).value();
    const Role last(n);
    const RoleSet others = RoleSet::others(committee, last);
    std::uint64_t points = 0;  // until everybody is done
    {
      Story unused;
      World whole(test::sync_options(100, committee), starting(unused, {.run = 1s}));
      whole.run(2s);
      points = whole.crash_points(last);
    }
    ASSERT_GT(points, 60u);
    const auto report = runtime::sim::campaign(
        fmt::format("common start restart n={}", n), 1, runs,
        [&](std::uint64_t seed, Coverage& coverage) -> Status {
          const std::uint64_t point = 1 + (seed - 1) * 7919 % points;
          Story story;
          World world(test::sync_options(100 + point, committee), starting(story, {.run = 1s}));
          world.faults(last).crashes = {{point, std::chrono::milliseconds(10 + 400 * (point % 3))}};
          world.run(200s);
          coverage.merge(world.coverage());
          WITAN_TRY(world.audit().verdict());
          WITAN_TRY(together(story, others, 0));
          std::set<std::uint16_t> attempts;
          for (const Ended& ended : story.at(n)) {
            if (ended.attempt) {
              if (!attempts.insert(*ended.attempt).second)
                return fail(Code::internal, "attempt {} was started twice", *ended.attempt);
              if (*ended.attempt == 0) WITAN_TRY(together(story, RoleSet::all(committee), 0));
            } else {
              const Error& error = ended.attempt.error();
              if (error.code != Code::aborted || error.message.find("are done without it") == std::string::npos)
                return fail(Code::internal, "the party that restarted ends with: {}", error.message);
              coverage.add("start.too_late");
            }
          }
          coverage.add("start.missed", !attempts.contains(0));
          return {};
        },
        n == 4 ? points : 0);
    EXPECT_EQ(report.failures.size(), 0u);
    EXPECT_EQ(report.coverage.count("sim.crashes"), report.runs) << "n = " << n << ", " << points << " crash points";
    EXPECT_EQ(report.never({"start.too_late", "start.missed"}), std::vector<std::string>{}) << "n = " << n;
  }
}

/// Ways to lie in a start.
constexpr std::string_view kStrategies[] = {
    "adversary silent",
    "adversary silent towards some",
    "adversary READY to some only",
    "adversary GO to some only",
    "adversary READY and GO to some only",
    "adversary GO to some only, names everybody",
    "adversary all messages of all attempts at once",
    "adversary equivocates",
    "adversary misplaces, lies",
    "adversary slow",
    "adversary ready too late",
    "adversary crashes",
    "adversary floods",
};

/// `ready_after`: when parties are ready, by their numbers.
void draw_faults(World& world, SimRng& rng, std::uint64_t run_seed, std::map<int, runtime::Duration>& ready_after) {
  const CommitteeSize committee = world.committee();
  const auto some = [&] {
    RoleSet out;
    for (const Role role : RoleSet::all(committee))
      if (rng.chance(0.5)) out.insert(role);
    return out;
  };
  for (int k = 0; k < committee.threshold(); ++k) {
    auto& faults = world.faults(Role(k * 3 + 1));
    faults.byzantine = true;
    faults.rushing = rng.chance(0.5);
    const std::uint64_t seed = rng.next64();
    const auto withhold = [](bool (*step)(runtime::Step), RoleSet victims) -> runtime::sim::Corrupt {
      return [=](Role receiver, const Frame& frame) {
        return step(frame.step) && victims.contains(receiver) ? std::vector<Frame>{} : std::vector{frame};
      };
    };
    const auto ready = withhold([](runtime::Step s) { return s % 2 == 0; }, some());
    const auto go = withhold([](runtime::Step s) { return s % 2 == 1; }, some());
    using namespace runtime::sim;
    const std::size_t strategy = (k == 0 ? run_seed : rng.next64()) % std::size(kStrategies);
    world.count(kStrategies[strategy]);
    switch (strategy) {
      case 0:
        faults.silent = true;
        break;
      case 1:
        faults.silent_towards = some();
        break;
      case 2:
        faults.corrupt = ready;
        break;
      case 3:
        faults.corrupt = go;
        break;
      case 4:
        faults.corrupt = both(ready, go);
        break;
      case 5:
        faults.corrupt = both(go, name_everybody(committee));
        break;
      case 6:  // GO at once, and for attempts that nobody is in
        faults.corrupt = [everybody = everybody(committee)](Role, const Frame& frame) {
          std::vector<Frame> out{frame};
          if (frame.kind != runtime::FrameKind::data) return out;
          for (std::uint16_t a = 0; a < kMaxAttempts; ++a)
            for (const auto step : {ready_step(a), go_step(a), kDoneStep}) {
              out.push_back(test::with_bytes(frame, step == go_step(a) ? everybody : Bytes{}));
              out.back().step = step;
            }
          return out;
        };
        break;
      case 7:
        faults.corrupt = equivocate(seed);
        break;
      case 8:
        faults.corrupt = both(misplace(seed), sometimes(0.5, seed, lie_randomly(seed + 1)));
        break;
      case 9:
        faults.rushing = false;
        faults.slow = rng.between(20ms, 3 * kRoundTimeout);
        break;
      case 10:
        ready_after[k * 3 + 1] = rng.between(kRoundTimeout, 4 * kRoundTimeout);
        break;
      case 11:
        faults.crashes = {{1 + rng.below(60), rng.between(1ms, kRoundTimeout)},
                          {80 + rng.below(60), rng.between(1ms, 2 * kRoundTimeout)}};
        break;
      default:
        faults.corrupt = test::flood_ahead(seed);
        break;
    }
  }
}

TEST(CommonStartCampaign, HonestPartiesStartTheFirstAttemptTogether) {
  for (const auto [n, t, runs] : {std::tuple{4, 1, 400u}, {7, 2, 200u}, {10, 3, 60u}, {13, 4, 60u}}) {
    const auto committee = CommitteeSize::make(n, t).value();
    const auto report = runtime::sim::campaign(
        fmt::format("common start n={}", n), 1, runs, [&](std::uint64_t seed, Coverage& coverage) -> Status {
          SimRng rng(seed, 31);
          Story story;
          std::map<int, runtime::Duration> ready;
          const bool apart = rng.chance(0.5);
          for (int i = 1; i <= n; ++i) ready[i] = rng.between(0ms, apart ? 1900ms : 40ms);
          World world(test::campaign_options(seed, committee),
                      starting(story, {.ready = [&](Role role) { return ready.at(role.number()); }}));
          test::MemoryWatch watch(world);
          draw_faults(world, rng, seed, ready);
          watch.run(60s);
          coverage.merge(world.coverage());
          coverage.add(first_start(story) >= Instant(kRoundTimeout) ? "start.waited" : "start.at_once");
          WITAN_TRY(watch.verdict());
          WITAN_TRY(world.audit().verdict());
          return together(story, honest(world), 0);
        });
    EXPECT_EQ(report.failures.size(), 0u);
    EXPECT_EQ(report.never(kStrategies), std::vector<std::string>{}) << "n = " << n;
    EXPECT_EQ(report.never({"start.waited", "start.at_once", "router.equivocations", "router.parked_refused",
                            "sim.crashes", "sim.duplicated"}),
              std::vector<std::string>{})
        << "n = " << n;
  }
}

}  // namespace
}  // namespace witan::mpc
