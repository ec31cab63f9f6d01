// The simulator: determinism, faults, crashes at every point, and that its checks can fail.
#include "runtime/sim.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <set>

#include "runtime/sim_adversary.h"

namespace witan::runtime::sim {
namespace {

using testing::ElementsAre;
using namespace std::chrono_literals;

constexpr SessionId kId{42};
constexpr Step kValue = 0, kEcho = 1;
const CommitteeSize kFour = *CommitteeSize::make(4, 1);

// A small restartable protocol: each party draws a value, writes it to its journal, sends it, waits for n-t values, sends
// an echo, waits for n-t echoes.

enum class Memory { journal, none };

Task<Result<Bytes>> my_value(Node& node, Memory memory) {
  const Bytes key{1};
  if (memory == Memory::journal)
    if (const auto stored = co_await ok(node.journal().get("values", key))) co_return *stored;
  Bytes value(8);
  node.rng().fill(value);
  if (memory == Memory::journal) {
    std::vector<Change> changes{{Change::Kind::put_new, "values", key, value}};
    co_await ok(co_await node.journal().commit(std::move(changes)));
  }
  co_return value;
}

Task<Status> exchange(Node& node, Memory memory) {
  Session session = co_await ok(node.router().open(kId, {.resend_after = 200ms}));
  const int enough = node.committee().parties() - node.committee().threshold() - 1;  // others
  const Bytes value = co_await ok(co_await my_value(node, memory));
  co_await ok(session.send_all(kValue, make_payload(value)));
  for (int i = 0; i < enough; ++i) (void)co_await ok(co_await session.next(kValue));
  co_await node.compute()(Work::urgent, [] {});
  co_await ok(session.send_all(kEcho, make_payload({1})));
  for (int i = 0; i < enough; ++i) (void)co_await ok(co_await session.next(kEcho));
  co_return Status{};
}

Program exchange_program(Memory memory = Memory::journal) {
  return [memory](Node& node) -> Task<void> {
    const Status status = co_await exchange(node, memory);
    node.world().count(status ? "program.ok" : "program.failed");
    // A party that has finished stays: others may need what it sent.
  };
}

/// A bit of everything, chosen by the seed.
std::unique_ptr<World> eventful_world(std::uint64_t seed) {
  auto world = std::make_unique<World>(
      WorldOptions{
          .seed = seed, .committee = *CommitteeSize::make(7, 2), .reorder = 0.3, .resets_per_second = 2, .router = {}},
      exchange_program());
  SimRng rng(seed, 5);
  world->faults(Role(1)).corrupt = contradict_itself(seed);
  world->faults(Role(2)).silent_towards = RoleSet{Role(3), Role(4)};
  world->faults(Role(2)).duplicate = 0.5;
  world->faults(Role(4)).crashes = {{rng.below(60), 300ms}, {60 + rng.below(60), 300ms}};
  world->add_partition({RoleSet{Role(5), Role(6)}, Instant{} + 2ms, Instant{} + 500ms});
  return world;
}

TEST(Determinism, TheSameSeedGivesTheSameTrace) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const auto a = eventful_world(seed), b = eventful_world(seed);
    ASSERT_EQ(a->run(1min), End::finished) << "seed " << seed;
    ASSERT_EQ(b->run(1min), End::finished);
    EXPECT_EQ(a->trace_hash(), b->trace_hash());
    EXPECT_EQ(a->events(), b->events());
    EXPECT_EQ(a->coverage().report(), b->coverage().report());
  }
}

TEST(Determinism, DifferentSeedsGiveDifferentTraces) {
  std::set<std::uint64_t> hashes;
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    const auto world = eventful_world(seed);
    world->run(1min);
    hashes.insert(world->trace_hash());
  }
  EXPECT_EQ(hashes.size(), 50u);
}

TEST(Determinism, TheTraceSeesContents) {
  const auto hash = [](std::uint8_t content) {
    World world({.seed = 1, .committee = kFour, .router = {}}, [&](Node& node) -> Task<void> {
      auto session = *node.router().open(kId);
      (void)session.send_all(0, make_payload({content}));
      (void)co_await session.next(0);
    });
    world.run(1s);
    return world.trace_hash();
  };
  EXPECT_EQ(hash(1), hash(1));
  EXPECT_NE(hash(1), hash(2));
}

// Ends.

TEST(World, EndsAreToldApart) {
  const auto run = [](Program program, Duration limit, std::function<bool()> stop = {}) {
    World world({.committee = kFour, .router = {}}, std::move(program));
    return world.run(limit, stop);
  };
  EXPECT_EQ(run(exchange_program(), 1min), End::finished);
  EXPECT_EQ(run(exchange_program(), 1us), End::deadline);
  EXPECT_EQ(run([](Node& node) -> Task<void> { co_await Event(node.loop()).wait(); }, 1min), End::quiescent);
  int events = 0;
  EXPECT_EQ(run(exchange_program(), 1min, [&] { return ++events == 10; }), End::stopped);
}

TEST(World, RunContinuesWhereItStopped) {
  World whole({.seed = 3, .committee = kFour, .router = {}}, exchange_program());
  World parts({.seed = 3, .committee = kFour, .router = {}}, exchange_program());
  EXPECT_EQ(whole.run(1min), End::finished);
  for (Duration limit = 1ms; parts.run(limit) != End::finished; limit += 1ms) ASSERT_LT(limit, 1s);
  EXPECT_EQ(whole.events(), parts.events());
}

// Faults.

TEST(Faults, UpToTSilentPartiesStopNobodyMoreDo) {
  for (const int silent : {0, 1, 2, 3}) {
    World world({.seed = 1, .committee = *CommitteeSize::make(7, 2), .router = {}}, exchange_program());
    for (int i = 1; i <= silent; ++i) world.faults(Role(i)).silent = true;
    EXPECT_EQ(world.byzantine().size(), silent);
    EXPECT_EQ(world.run(1min), silent <= 2 ? End::finished : End::deadline) << silent << " silent";
    if (silent > 2) EXPECT_GT(world.coverage().count("router.resend_requests_sent"), 10u);
  }
}

TEST(Faults, ASlowPartyIsLateAndTheOthersDoNotWait) {
  World world({.seed = 1, .committee = kFour, .router = {}}, exchange_program());
  world.faults(Role(2)).slow = 1s;
  world.set_required(RoleSet{Role(1), Role(3), Role(4)});
  EXPECT_EQ(world.run(1min), End::finished);
  EXPECT_LT(world.now(), Instant{} + 1s);
  world.set_required(RoleSet::all(kFour));
  EXPECT_EQ(world.run(1min), End::finished);
}

TEST(Faults, APartitionDelaysUntilItHeals) {
  World world({.seed = 1, .committee = kFour, .router = {}}, exchange_program());
  world.add_partition({RoleSet{Role(1), Role(2)}, Instant{}, Instant{} + 10s});
  EXPECT_EQ(world.run(9s), End::deadline);
  EXPECT_EQ(world.run(1min), End::finished);
  EXPECT_LT(world.now(), Instant{} + 10s + 100ms) << "the reset after healing asks at once";
  EXPECT_GT(world.coverage().count("sim.lost_in_partition"), 0u);
  EXPECT_GT(world.coverage().count("router.peer_resets"), 0u);
}

TEST(Faults, ConnectionResetsLoseFramesThatAreAskedForAgain) {
  Coverage coverage;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    World world({.seed = seed, .committee = kFour, .resets_per_second = 20, .router = {}}, exchange_program());
    ASSERT_EQ(world.run(1min), End::finished);
    coverage.merge(world.coverage());
  }
  for (const char* name : {"sim.resets", "sim.lost_under_way", "router.peer_resets", "router.resent"})
    EXPECT_GT(coverage.count(name), 0u) << name;
}

TEST(Faults, ARushingPartyIsHeardFirst) {
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    std::vector<int> first;
    World world({.seed = seed, .committee = kFour, .router = {}}, [&](Node& node) -> Task<void> {
      auto session = *node.router().open(kId);
      (void)session.send_all(0, make_payload({1}));
      const auto message = co_await session.next(0);
      if (node.role() != Role(3)) first.push_back(message->from.number());
    });
    world.faults(Role(3)).rushing = true;
    world.set_required(RoleSet::all(kFour));
    ASSERT_EQ(world.run(1s), End::finished);
    EXPECT_THAT(first, ElementsAre(3, 3, 3));
  }
}

TEST(Faults, LanesKeepTheirOrderUnlessTheyMayReorder) {
  const auto in_order = [](double reorder, std::uint64_t seed) {
    std::vector<std::uint8_t> got;
    World world({.seed = seed, .committee = kFour, .reorder = reorder, .router = {}}, [&](Node& node) -> Task<void> {
      auto session = *node.router().open(kId);
      if (node.role() == Role(1))
        for (Step step = 0; step < 20; ++step) (void)session.send(Role(2), step, make_payload({1}));
      if (node.role() == Role(2)) {
        TaskScope scope(node.loop());
        auto take = [&](Step step) -> Task<void> {
          (void)co_await session.receive(Role(1), step);
          got.push_back(static_cast<std::uint8_t>(step));
        };
        for (Step step = 0; step < 20; ++step) scope.spawn(take(step));
        co_await scope.join();
      }
    });
    EXPECT_EQ(world.run(1s), End::finished);
    return std::ranges::is_sorted(got);
  };
  int sorted = 0;
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    EXPECT_TRUE(in_order(0, seed));
    sorted += in_order(0.5, seed);
  }
  EXPECT_LT(sorted, 5);
}

TEST(Faults, EachAdversaryMakesADefenceWork) {
  const struct {
    const char* name;
    std::function<void(Faults&)> set;
    const char* defence;
  } cases[] = {
      {"contradict_itself", [](Faults& f) { f.corrupt = contradict_itself(1); }, "router.equivocations"},
      {"duplicate", [](Faults& f) { f.duplicate = 1; }, "router.duplicates"},
      {"misplace", [](Faults& f) { f.corrupt = misplace(1); }, "router.malformed"},
      {"misplace parks", [](Faults& f) { f.corrupt = misplace(2); }, "router.parked"},
      {"misplace denies", [](Faults& f) { f.corrupt = misplace(3); }, "router.unavailable_received"},
      {"flood", [](Faults& f) { f.corrupt = flood(40, 1); }, "router.parked_refused"},
      {"crash", [](Faults& f) { f.crashes = {{12, 1s}}; }, "router.resent"},
  };
  for (const auto& c : cases) {
    World world({.seed = 7, .committee = kFour, .router = {.parked_frames = 16}}, exchange_program());
    c.set(world.faults(Role(2)));
    EXPECT_EQ(world.run(1min), End::finished) << c.name;
    EXPECT_GT(world.coverage().count(c.defence), 0u) << c.name << "\n" << world.coverage().report();
    EXPECT_TRUE(world.audit().verdict());
  }
}

TEST(Faults, LiesDifferPerReceiverOrNotAndAreRepeatedExactly) {
  const Frame truth{FrameKind::data, kId, 3, make_payload(Bytes(16, 1))};
  const auto lies = [&](const Corrupt& corrupt) {
    std::vector<Bytes> out;
    for (int i = 1; i <= 4; ++i)
      for (const Frame& frame : corrupt(Role(i), truth)) out.push_back(*frame.payload);
    return out;
  };
  const auto count = [](std::vector<Bytes> v) { return std::set<Bytes>(v.begin(), v.end()).size(); };
  EXPECT_EQ(count(lies(lie_randomly(1))), 4u);
  EXPECT_EQ(count(lies(lie_equally(1))), 1u);
  EXPECT_NE(lies(lie_equally(1))[0], *truth.payload);
  EXPECT_EQ(lies(lie_randomly(1)), lies(lie_randomly(1)));
  EXPECT_NE(lies(lie_randomly(1)), lies(lie_randomly(2)));
  std::set<std::size_t> kinds;
  for (std::uint64_t seed = 0; seed < 20; ++seed) kinds.insert(count(lies(equivocate(seed))));
  EXPECT_TRUE(kinds.contains(2)) << "truth for some, a lie for others";
  const Frame request{FrameKind::resend_request, kId, 3, nullptr};
  for (const auto& corrupt : {lie_randomly(1), mangle(1), misplace(1), contradict_itself(1)})
    EXPECT_EQ(corrupt(Role(2), request).size(), 1u) << "requests pass";
}

TEST(Faults, AFailingDiskEndsTheProgramWithAnError) {
  World world({.seed = 1, .committee = kFour, .router = {}}, exchange_program());
  world.disk(Role(2)).fails_after_commits = 0;
  EXPECT_EQ(world.run(1min), End::finished);
  EXPECT_EQ(world.coverage().count("program.failed"), 1u);
  EXPECT_EQ(world.coverage().count("program.ok"), 3u);
}

// Crashes.

TEST(Crashes, AtEveryPointTheRunEndsWellAndNoMessageChanges) {
  const auto make = [](std::uint64_t seed) {
    return std::make_unique<World>(WorldOptions{.seed = seed, .committee = kFour, .router = {}}, exchange_program());
  };
  for (std::uint64_t seed = 0; seed < 3; ++seed) {
    const auto undisturbed = make(seed);
    ASSERT_EQ(undisturbed->run(1min), End::finished);
    const std::uint64_t points = undisturbed->crash_points(Role(2));
    EXPECT_GE(points, 20u);
    for (std::uint64_t point = 1; point <= points; ++point) {
      const auto world = make(seed);
      world->faults(Role(2)).crashes = {{point, 50ms}};
      EXPECT_TRUE(world->byzantine().empty()) << "a crash is no lie";
      ASSERT_EQ(world->run(1min), End::finished) << "seed " << seed << ", crash at point " << point;
      ASSERT_EQ(world->coverage().count("sim.crashes"), 1u);
      ASSERT_TRUE(world->audit().verdict()) << "seed " << seed << ", crash at point " << point;
    }
  }
}

TEST(Crashes, TheAuditFindsAProgramThatForgetsWhatItSent) {
  int violations = 0;
  for (std::uint64_t point = 1; point <= 20; ++point) {
    World world({.seed = 1, .committee = kFour, .router = {}}, exchange_program(Memory::none));
    world.faults(Role(2)).crashes = {{point, 50ms}};
    world.run(1min);
    if (!world.audit().verdict()) ++violations;
  }
  EXPECT_GT(violations, 10);
}

TEST(Crashes, NothingThatAProgramDoesAfterItsCrashPointHasAnEffect) {
  std::vector<std::size_t> heard;
  for (std::uint64_t point = 1; point <= 8; ++point) {
    World world({.seed = 1, .committee = kFour, .router = {}}, [&](Node& node) -> Task<void> {
      auto session = *node.router().open(kId);
      if (node.role() == Role(1))
        for (Step step = 0; step < 6; ++step) (void)session.send(Role(2), step, make_payload({1}));
      co_await node.loop().sleep_for(1h);
    });
    world.faults(Role(1)).crashes = {{point, 2h}};
    world.run(1s);
    heard.push_back(world.node(Role(2))->router().counters().delivered);
  }
  // Point 1 is the first frame. Of what was sent before the crash a part is lost on the way.
  for (std::size_t i = 0; i < 6; ++i) EXPECT_LE(heard[i], i);
  EXPECT_GT(heard[7], 0u);
}

TEST(Crashes, ACommitThatWasNotAcknowledgedMayOrMayNotSurvive) {
  std::set<std::pair<bool, bool>> seen;  // acknowledged, on the disk
  std::set<bool> under_way;
  for (std::uint64_t seed = 0; seed < 10; ++seed)
    for (std::uint64_t point = 1; point <= 6; ++point) {
      bool acknowledged = false;
      World world({.seed = seed, .committee = kFour, .router = {}}, [&](Node& node) -> Task<void> {
        if (node.role() != Role(1)) co_return;
        std::vector<Change> changes{{Change::Kind::put, "t", Bytes{1}, {}}};
        acknowledged = (co_await node.journal().commit(std::move(changes))).has_value();
        co_await node.loop().sleep_for(1s);
      });
      world.faults(Role(1)).crashes = {{point, 1h}};
      world.run(100ms);
      const bool on_disk = !world.disk(Role(1)).tables["t"].empty();
      seen.emplace(acknowledged, on_disk);
      if (point == 2) under_way.insert(on_disk);  // after the step that commits, before the sync ends
    }
  EXPECT_THAT(seen, ElementsAre(std::pair(false, false), std::pair(false, true), std::pair(true, true)));
  EXPECT_EQ(under_way.size(), 2u) << "a sync that was under way may have reached the disk";
}

TEST(Crashes, EachLifeHasItsOwnRandomnessAndTheDiskStays) {
  std::vector<int> lives;
  std::set<std::uint64_t> randomness;
  World world({.seed = 1, .committee = kFour, .router = {}}, [&](Node& node) -> Task<void> {
    if (node.role() != Role(1)) co_return;
    lives.push_back(node.life());
    randomness.insert(node.rng().next<std::uint64_t>());
    std::vector<Change> changes{{Change::Kind::put_new, "lives", Bytes{static_cast<std::uint8_t>(node.life())}, {}}};
    (void)co_await node.journal().commit(std::move(changes));
    for (int i = 0; i < 10; ++i) co_await node.loop().sleep_for(10ms);
  });
  world.faults(Role(1)).crashes = {{8, 1s}, {16, 1s}};
  EXPECT_EQ(world.run(1min), End::finished);
  EXPECT_THAT(lives, ElementsAre(0, 1, 2));
  EXPECT_EQ(randomness.size(), 3u);
  EXPECT_EQ(world.disk(Role(1)).tables["lives"].size(), 3u);
  EXPECT_GT(world.now(), Instant{} + 2s);
}

// Audit and campaigns.

TEST(Audit, OneInputOneContent) {
  Audit audit;
  const Bytes input{1, 2}, other{1, 3}, a{7}, b{8};
  audit.use(Role(1), "mask", input, a);
  audit.use(Role(1), "mask", input, a);
  audit.use(Role(2), "mask", input, b);
  audit.use(Role(1), "zero", input, b);
  audit.use(Role(1), "mask", other, b);
  EXPECT_TRUE(audit.verdict());
  audit.use(Role(1), "mask", input, b);
  EXPECT_EQ(audit.verdict().error().code, Code::internal);
  EXPECT_EQ(audit.uses(), 6u);
  EXPECT_EQ(audit.violations().size(), 1u);
}

TEST(Fingerprint, DependsOnEveryByteTheLengthAndTheSeed) {
  std::set<u128> seen;
  std::size_t count = 0;
  for (std::size_t length = 0; length < 40; ++length) {
    Bytes bytes(length);
    seen.insert(fingerprint(bytes)), ++count;
    seen.insert(fingerprint(bytes, 1)), ++count;
    for (std::size_t i = 0; i < length; ++i) {
      bytes[i] ^= 0x40;
      seen.insert(fingerprint(bytes)), ++count;
      bytes[i] ^= 0x40;
    }
  }
  EXPECT_EQ(seen.size(), count);
}

TEST(Campaign, ReportsFailingSeedsAndHowToRepeatThem) {
  const char* percent = std::getenv("WITAN_SIM_PERCENT");
  const std::string percent_before = percent == nullptr ? "" : percent;
  ::unsetenv("WITAN_SIM_PERCENT");
  const auto run = [](std::uint64_t seed, Coverage& coverage) -> Status {
    coverage.add("runs");
    if (seed % 10 == 3) return fail(Code::internal, "three");
    return {};
  };
  testing::internal::CaptureStderr();
  const auto report = campaign("threes", 100, 20, run);
  const std::string printed = testing::internal::GetCapturedStderr();
  EXPECT_EQ(report.runs, 20u);
  EXPECT_EQ(report.coverage.count("runs"), 20u);
  EXPECT_THAT(report.failures, ElementsAre(std::pair(103ul, "three"), std::pair(113ul, "three")));
  EXPECT_THAT(printed, testing::HasSubstr("seed 103 failed: three; repeat it with WITAN_SIM_SEED=103"));

  ::setenv("WITAN_SIM_SEED", "113", 1);
  testing::internal::CaptureStderr();
  const auto repeated = campaign("threes", 100, 20, run);
  testing::internal::GetCapturedStderr();
  ::unsetenv("WITAN_SIM_SEED");
  EXPECT_THAT(repeated.failures, ElementsAre(std::pair(113ul, "three")));

  ::setenv("WITAN_SIM_PERCENT", "50", 1);
  testing::internal::CaptureStderr();
  EXPECT_EQ(campaign("threes", 100, 20, run).runs, 10u);
  testing::internal::GetCapturedStderr();
  ::unsetenv("WITAN_SIM_PERCENT");
  if (percent != nullptr) ::setenv("WITAN_SIM_PERCENT", percent_before.c_str(), 1);
}

TEST(Campaign, ManySeedsOfEverything) {
  const auto report = campaign("exchange", 0, 300, [](std::uint64_t seed, Coverage& coverage) -> Status {
    const auto world = eventful_world(seed);
    const End end = world->run(2min);
    coverage.merge(world->coverage());
    if (end != End::finished) return fail(Code::internal, "did not finish");
    return world->audit().verdict();
  });
  EXPECT_TRUE(report.failures.empty());
  for (const char* name : {"sim.crashes", "sim.resets", "sim.partitions", "sim.reordered", "router.equivocations",
                           "router.duplicates", "router.resent", "router.peer_resets", "router.late"})
    EXPECT_GT(report.coverage.count(name), 0u) << name;
}

}  // namespace
}  // namespace witan::runtime::sim
