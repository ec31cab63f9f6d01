#include <gtest/gtest.h>

#include <set>

#include "mpc/bit_batch.h"
#include "mpc/committees_for_test.h"
#include "mpc/detected_opening_impl.h"
#include "mpc/detection_faults_for_test.h"
#include "mpc/draw_keys_for_test.h"
#include "mpc/product_slice.h"

namespace witan::mpc {
namespace {

using namespace std::chrono_literals;
using runtime::RoleSet;
using runtime::sim::Corrupt;
using runtime::sim::Coverage;
using runtime::sim::Node;
using runtime::sim::SimRng;
using runtime::sim::World;

using test::kCommittees;
using test::only;
using test::Part;

constexpr SessionId kSession{u128{0x3115}};

enum class Kind { bits, products };

/// One batch that all parties open, and what it opens to.
template <Word Z>
struct Scene {
  Scene(CommitteeSize size, Kind what, std::size_t how_many, DetectionOptions how)
      : committee(size), kind(what), elements(how_many), options(how), epoch(size, 1) {
    std::vector<Role> roles;
    for (int i = 1; i <= 2 * size.threshold() + 1; ++i) roles.emplace_back(i);
    const auto weights = algebra::lagrange_at<Z>(roles, Gr<Z>{});
    truth.resize(batch(Role(1))->elements());
    for (std::size_t i = 0; i < roles.size(); ++i) {
      std::vector<Share<Z>> shares(truth.size());
      WITAN_CHECK(batch(roles[i])->prepare(0, shares).has_value());
      for (std::size_t l = 0; l < truth.size(); ++l) truth[l] += shares[l].value * weights[i];
    }
  }
  std::shared_ptr<Disposable<Z>> batch(Role role) const {
    const auto& keys = epoch.keys(role);
    const auto kernel = std::make_shared<const BitKernel<Z>>(keys.set_keys(), keys.zero_keys(), kSession);
    if (kind == Kind::bits) return std::make_shared<BitBatch<Z>>(kernel, elements);
    return std::make_shared<ProductSlice<Z>>(kernel, elements / 2, 8);
  }

  CommitteeSize committee;
  Kind kind;
  std::size_t elements;
  DetectionOptions options;
  test::DealtEpoch epoch;
  std::vector<Gr<Z>> truth;
  std::map<Role, runtime::Duration> begins = {};  // 0 for the others
};

template <Word Z>
struct Released {
  std::vector<Gr<Z>> values;
  std::vector<std::size_t> discarded;
};

template <Word Z>
struct Outcome {
  Result<Released<Z>> released = fail(Code::unavailable, "did not end");
  std::optional<Disputes> disputes;
  DetectionReport report;
  std::uint64_t parked_refused = 0;
};
template <Word Z>
using Outcomes = std::map<int, Outcome<Z>>;

template <Word Z, class Rules = DetectionRules>
runtime::sim::Program opening(const Scene<Z>& scene, Outcomes<Z>& outcomes) {
  return [&](Node& node) -> runtime::Task<void> {
    if (const auto late = scene.begins.find(node.role()); late != scene.begins.end())
      co_await node.loop().sleep_for(late->second);
    auto session = node.router().open(kSession, detection_session(scene.options.delay));
    if (!session) co_return;
    Disputes disputes(scene.committee);
    const Signatories signatories = scene.epoch.signatories(node.role());
    DetectedOpening<Z, Rules> run(*session, node.compute(), scene.epoch.keys(node.role()), disputes,
                                  scene.batch(node.role()), scene.options);
    Outcome<Z>& outcome = outcomes[node.role().number()];
    if (Status sent = co_await run.exchange(); !sent) {
      outcome.released = std::unexpected(sent.error());
      co_return;
    }
    Calls calls(signatories, {}, {});
    Decide<Z, Rules> decide(signatories, disputes, {&run});
    auto decided = co_await decide.run(calls);
    if (decided) {
      auto values = co_await run.values();
      if (values)
        outcome.released = Released<Z>{*std::move(values), std::move(decided->discarded.front())};
      else
        outcome.released = std::unexpected(values.error());
    } else {
      outcome.released = std::unexpected(decided.error());
    }
    outcome.disputes = disputes;
    outcome.report = decide.report();
    outcome.report.fetched += run.has_fetched();
    outcome.parked_refused = node.router().counters().parked_refused;
    co_await node.loop().sleep_for(300s);  // others may fetch
  };
}

/// S25, and: the values are right, the discarded ones the same everywhere.
template <Word Z>
Status judge(World& world, const Scene<Z>& scene, const Outcomes<Z>& outcomes) {
  WITAN_TRY(world.audit().verdict());
  const Outcome<Z>* first = nullptr;
  for (int i = 1; i <= world.committee().parties(); ++i) {
    if (world.byzantine().contains(Role(i))) continue;
    if (!outcomes.contains(i)) return fail(Code::internal, "party {} has not ended", i);
    const Outcome<Z>& outcome = outcomes.at(i);
    if (!outcome.released) return fail(Code::internal, "party {}: {}", i, outcome.released.error().message);
    for (std::size_t l = 0; l < scene.truth.size(); ++l)
      if (!std::ranges::binary_search(outcome.released->discarded, l) && outcome.released->values[l] != scene.truth[l])
        return fail(Code::internal, "party {} opened element {} to another value", i, l);
    for (const Verdict& verdict : outcome.disputes->verdicts()) {
      const bool honest = !world.byzantine().contains(verdict.party) && !world.byzantine().contains(verdict.other);
      if (honest)
        return fail(Code::internal, "party {} thinks of the honest party {}: {}", i, verdict.party.number(),
                    verdict.reason);
    }
    const int t = world.committee().threshold();
    if (outcome.report.passes > static_cast<unsigned>(t * (t + 1)))
      return fail(Code::internal, "{} dispute passes", outcome.report.passes);
    if (!first) first = &outcome;
    if (outcome.released->discarded != first->released->discarded)
      return fail(Code::internal, "party {} discarded other elements", i);
    if (outcome.disputes->excluded() != first->disputes->excluded())
      return fail(Code::internal, "party {} excluded other parties", i);
  }
  return {};
}

DetectionOptions options(OpeningVariant variant, std::size_t chunk_rows = 4, runtime::Duration delay = 700ms) {
  return {.variant = variant, .chunk_rows = chunk_rows, .delay = delay};
}

template <class Z>
class DetectedOpeningTest : public testing::Test {};
using BothRings = testing::Types<Z64, Z128>;
TYPED_TEST_SUITE(DetectedOpeningTest, BothRings);

TYPED_TEST(DetectedOpeningTest, HonestPartiesOpenEverythingInOneDecide) {
  using Z = TypeParam;
  for (const auto [n, t] : kCommittees)
    for (const auto variant : {OpeningVariant::w1, OpeningVariant::w2})
      for (const auto kind : {Kind::bits, Kind::products}) {
        const auto committee = CommitteeSize::make(n, t).value();
        const Scene<Z> scene(committee, kind, 46, options(variant));
        Outcomes<Z> outcomes;
        World world({.seed = 1, .committee = committee, .router = {}}, opening(scene, outcomes));
        world.run(1000s);
        const Status good = judge(world, scene, outcomes);
        EXPECT_TRUE(good) << good.error().message;
        for (const auto& [party, outcome] : outcomes) {
          EXPECT_TRUE(outcome.released && outcome.released->discarded.empty());
          EXPECT_TRUE(outcome.disputes && outcome.disputes->verdicts().empty());
        }
        for (const auto& value : scene.truth) EXPECT_TRUE(kind == Kind::products || (value.c[0] % 2 == 0));
      }
}

// S25: whatever t parties do, right values, no honest party convicted, at most t(t+1) passes. In half of the runs messages take
// nearly as long as they may.
TYPED_TEST(DetectedOpeningTest, WhateverTPartiesDoTheValuesAreRightAndNoHonestPartyIsConvicted) {
  using Z = TypeParam;
  Coverage seen;
  std::uint64_t runs = 0;
  for (const auto [n, t] : kCommittees)
    for (const auto variant : {OpeningVariant::w1, OpeningVariant::w2}) {
      const auto committee = CommitteeSize::make(n, t).value();
      constexpr runtime::Duration tight = 22ms;  // sim::WorldOptions::max_delay is 20 ms
      const Scene<Z> bits(committee, Kind::bits, 30, options(variant));
      const Scene<Z> products(committee, Kind::products, 8, options(variant));
      const Scene<Z> tight_bits(committee, Kind::bits, 30, options(variant, 4, tight));
      const Scene<Z> tight_products(committee, Kind::products, 8, options(variant, 4, tight));
      const auto report = runtime::sim::campaign(
          fmt::format("detected opening k={} n={} {}", 8 * sizeof(Z), n, variant == OpeningVariant::w1 ? "W1" : "W2"),
          1, n == 4 ? 150 : (n == 7 ? 50 : 10), [&](std::uint64_t seed, Coverage& coverage) -> Status {
            SimRng rng(seed, 31);
            const bool is_tight = rng.chance(0.5);
            const Scene<Z>& scene =
                rng.chance(0.5) ? (is_tight ? tight_bits : bits) : (is_tight ? tight_products : products);
            Outcomes<Z> outcomes;
            runtime::sim::WorldOptions world_options{.seed = seed, .committee = committee, .router = {}};
            if (is_tight && rng.chance(0.5)) world_options.min_delay = world_options.max_delay - 1ms;
            World world(world_options, opening(scene, outcomes));
            for (const Role party : test::draw_parties(committee, rng)) {
              auto& faults = world.faults(party);
              faults.byzantine = true;
              faults.rushing = rng.chance(0.5);
              if (rng.chance(0.1))
                faults.silent = true;
              else
                faults.corrupt = test::draw_lie(committee, variant == OpeningVariant::w1 ? 30 : 4, variant, rng);
            }
            world.run(100'000s);
            coverage.merge(world.coverage());
            for (const auto& [party, outcome] : outcomes) {
              if (world.byzantine().contains(Role(party))) continue;
              coverage.add("detection.passes", outcome.report.passes);
              coverage.add("detection.silence", outcome.report.silence);
              coverage.add("detection.excused", outcome.report.excused);
              coverage.add("detection.zero_keys", outcome.report.opened_zero_keys);
              coverage.add("detection.fetched", outcome.report.fetched);
              for (const Verdict& verdict : outcome.disputes ? outcome.disputes->verdicts() : std::vector<Verdict>{})
                coverage.add(verdict.kind == Verdict::Kind::disputed ? "detection.disputed"
                                                                     : "detection." + verdict.reason.substr(0, 22));
            }
            return judge(world, scene, outcomes);
          });
      EXPECT_EQ(report.failures.size(), 0u);
      seen.merge(report.coverage);
      runs += report.runs;
    }
  if (runs < 440) return;  // a part of the campaign does not show everything
  for (const char* name : {"detection.passes", "detection.silence", "detection.zero_keys", "detection.fetched",
                           "detection.disputed", "detection.excused", "detection.it claimed another val",
                           "detection.it reported index 0 an", "detection.its report is malforme"})
    EXPECT_GT(seen.count(name), 0u) << name << " never happened";
}

// The conditions of mpc/detected_opening.h and mpc/broadcast.h on the waiting times.
TEST(DetectionPatience, HonestPartiesEnterEveryBroadcastWithinHalfARound) {
  constexpr runtime::Duration delay = 1s;
  for (const int private_rounds : {1, 2}) {
    const auto variant = private_rounds == 1 ? OpeningVariant::w1 : OpeningVariant::w2;
    for (int excluded = 0; excluded <= 4; ++excluded) {
      const Patience now(variant, delay, excluded);
      EXPECT_GE(now.round, 16 * delay);
      EXPECT_GE(now.apart, now.round / 8 + 4 * delay);  // after one without Bot
      // Before the next decide: an exchange of two delays beside storing, which is the longer wait; then phase 2.
      EXPECT_GE(now.storing, 4 * delay);
      const runtime::Duration entered = now.apart + now.storing;
      EXPECT_LE(entered + 2 * (private_rounds - 1) * delay, now.round / 2);
      EXPECT_EQ(now.exchange, now.apart + 2 * delay);  // begun within apart + delay
      EXPECT_LE(now.apart + delay + 2 * delay, entered);
      EXPECT_EQ(now.phase_2, entered + delay);
      for (int before = 0; before < excluded; ++before)
        EXPECT_GE(now.apart, Patience(variant, delay, before).round / 2);  // after one with Bots
      // The way from one attempt to the next (protocols/attempts.h): a level for storing, one for a private round.
      const Patience next(variant, delay, excluded + 1), behind(variant, delay, excluded + 2);
      EXPECT_GE(next.round / 2, now.round / 2 + now.storing);
      EXPECT_GE(behind.round / 2, next.round / 2 + 3 * delay);
    }
  }
}

// ---- one defence less

/// Wrong outcomes of party 1's lies in ten runs, at (4,1).
template <class Rules>
int wrong_outcomes(OpeningVariant variant, Corrupt lie) {
  const auto committee = CommitteeSize::make(4, 1).value();
  const Scene<Z128> scene(committee, Kind::bits, 30, options(variant));
  int count = 0;
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    Outcomes<Z128> outcomes;
    World world({.seed = seed, .committee = committee, .router = {}}, opening<Z128, Rules>(scene, outcomes));
    world.faults(Role(1)).byzantine = true;
    world.faults(Role(1)).rushing = true;
    world.faults(Role(1)).corrupt = lie;
    world.run(100'000s);
    count += !judge(world, scene, outcomes);
  }
  return count;
}

struct OneReportIsEnough : DetectionRules {
  static constexpr int agreeing(CommitteeSize) { return 1; }
};
TEST(DetectionRemovedDefence, WithOneReportALiarDecidesWhatIsRight) {
  Bytes report(33, 7);
  report[0] = 1;
  const Corrupt lie = test::only_value(test::is_report, test::say(report));
  EXPECT_GT(wrong_outcomes<OneReportIsEnough>(OpeningVariant::w1, lie), 0);
  EXPECT_EQ(wrong_outcomes<DetectionRules>(OpeningVariant::w1, lie), 0);
}

struct FetchedUnchecked : DetectionRules {
  static constexpr bool check_fetched = false;
};
// S30.
TEST(DetectionRemovedDefence, ValuesThatAreFetchedUncheckedAreThoseOfTheProvider) {
  const Corrupt lie = test::chain({only(Part::phase_1, test::towards({Role(4)}, test::flip_a_bit(1))),
                                   only(Part::fetched, runtime::sim::lie_randomly(3))});
  EXPECT_GT(wrong_outcomes<FetchedUnchecked>(OpeningVariant::w1, lie), 0);
  EXPECT_EQ(wrong_outcomes<DetectionRules>(OpeningVariant::w1, lie), 0);
}

// S12: one lie to one honest party in phase 1 leaves l-1 honest values in phase 2, which any last one would complete.
TEST(Detection, AGroupWithABottomDoesNotCountWhateverTheLiarAddsInPhase2) {
  const Corrupt lie = test::chain(
      {only(Part::phase_1, test::towards({Role(2)}, test::flip_a_bit(1))), only(Part::phase_2, test::flip_a_bit(2))});
  EXPECT_EQ(wrong_outcomes<DetectionRules>(OpeningVariant::w2, lie), 0);
}

// S11: a message that a party does not send, or cuts, makes the indexes bad, and its sender is convicted.
TEST(Detection, AMessageThatIsMissingOrMalformedIsNoErasure) {
  const auto committee = CommitteeSize::make(4, 1).value();
  const Corrupt cut = [](Role, const runtime::Frame& frame) {
    runtime::Frame out = frame;
    Bytes bytes = *frame.payload;
    bytes.pop_back();
    out.payload = runtime::make_payload(std::move(bytes));
    return std::vector{out};
  };
  for (const auto variant : {OpeningVariant::w1, OpeningVariant::w2})
    for (const Corrupt& lie : {test::never_sends(), cut}) {
      const Scene<Z64> scene(committee, Kind::bits, 30, options(variant));
      Outcomes<Z64> outcomes;
      World world({.seed = 1, .committee = committee, .router = {}}, opening(scene, outcomes));
      world.faults(Role(1)).byzantine = true;
      world.faults(Role(1)).corrupt = only(Part::phase_1, lie);
      world.run(100'000s);
      const Status good = judge(world, scene, outcomes);
      EXPECT_TRUE(good) << good.error().message;
      EXPECT_TRUE(outcomes.at(4).disputes->excluded().contains(Role(1)));
    }
}

// What an early party sends is refused by those that begin late, and they wait for a liar's first chunk nearly until the end: the early
// party's chunks are asked for beside that.
TEST(Detection, ALiarThatDelaysItsFirstChunkLeavesTimeForThoseOfOthers) {
  const auto committee = CommitteeSize::make(4, 1).value();
  for (const auto variant : {OpeningVariant::w1, OpeningVariant::w2}) {
    Scene<Z128> scene(committee, Kind::bits, 30, options(variant, 1));
    const Patience patience(variant, scene.options.delay, 0);
    const RoleSet late{Role(2), Role(3)};
    for (const Role role : late) scene.begins[role] = patience.apart - 200ms;
    Outcomes<Z128> outcomes;
    World world({.seed = 1, .committee = committee, .router = {.parked_bytes = 1'500}}, opening(scene, outcomes));
    const runtime::Instant until(patience.apart + patience.exchange - 1s);
    world.faults(Role(1)).byzantine = true;
    world.faults(Role(1)).corrupt = [&](Role receiver, const runtime::Frame& frame) {
      const bool held = frame.kind == runtime::FrameKind::data && frame.step == kPhase1 && late.contains(receiver) &&
                        world.now() < until;
      return held ? std::vector<runtime::Frame>{} : std::vector{frame};
    };
    world.run(100'000s);
    const Status good = judge(world, scene, outcomes);
    EXPECT_TRUE(good) << good.error().message;
    for (const Role role : late) EXPECT_GT(outcomes.at(role.number()).parked_refused, 0u);
    for (const auto& [party, outcome] : outcomes) {
      ASSERT_TRUE(outcome.disputes) << party;
      EXPECT_TRUE(outcome.disputes->verdicts().empty()) << party;
    }
  }
}

// The liar's values are here first, and an honest party's come while they are hashed. Of t+1 that give the right ones nobody else is asked.
TEST(Detection, WhoeverGivesOtherValuesDoesNotHideThoseThatComeMeanwhile) {
  const auto committee = CommitteeSize::make(4, 1).value();
  for (const auto variant : {OpeningVariant::w1, OpeningVariant::w2}) {
    const Scene<Z128> scene(committee, Kind::bits, 30, options(variant));
    for (std::uint64_t seed = 1; seed <= 40; ++seed) {
      const bool lies = seed > 4;
      Outcomes<Z128> outcomes;
      World world({.seed = seed,
                   .committee = committee,
                   .min_delay = 5ms,
                   .max_delay = seed % 2 ? 5ms : 5ms + 20us,
                   .reorder = 0,
                   .router = {}},
                  opening(scene, outcomes));
      world.faults(Role(1)).byzantine = true;
      Corrupt lie = only(Part::phase_1, test::towards({Role(4)}, test::flip_a_bit(1)));
      if (lies) lie = test::chain({std::move(lie), only(Part::fetched, test::flip_a_bit(2))});
      world.faults(Role(1)).corrupt = std::move(lie);
      std::map<int, int> given;
      for (const int party : {2, 3})
        world.faults(Role(party)).corrupt = [&given, party](Role, const runtime::Frame& frame) {
          given[party] += frame.kind == runtime::FrameKind::data && test::part_of(frame.step) == Part::fetched;
          return std::vector{frame};
        };
      world.run(100'000s);
      const Status good = judge(world, scene, outcomes);
      ASSERT_TRUE(good) << seed << ": " << good.error().message;
      if (variant == OpeningVariant::w1) {
        EXPECT_EQ(outcomes.at(4).report.fetched, 1u);
        EXPECT_EQ(given[2], 8);  // chunks
        if (!lies) EXPECT_EQ(given[3], 0);
      }
    }
  }
}

// S27: two parties too many are silent; nothing is released.
TEST(Detection, MoreThanTExcludedPartiesEndTheSessionWithoutValues) {
  const auto committee = CommitteeSize::make(4, 1).value();
  const Scene<Z64> scene(committee, Kind::bits, 30, options(OpeningVariant::w1));
  Outcomes<Z64> outcomes;
  World world({.seed = 1, .committee = committee, .router = {}}, opening(scene, outcomes));
  world.faults(Role(1)).silent = true;
  world.faults(Role(2)).silent = true;
  world.run(100'000s);
  for (const int party : {3, 4}) {
    ASSERT_TRUE(outcomes.contains(party));
    ASSERT_FALSE(outcomes.at(party).released);
    EXPECT_EQ(outcomes.at(party).released.error().code, Code::aborted) << outcomes.at(party).released.error().message;
  }
}

// S13 and the figures of mpc.md 17.5: what a link carries.
TEST(Detection, ALinkCarriesWhatTheFiguresSay) {
  for (const auto [n, t] : kCommittees)
    for (const auto variant : {OpeningVariant::w1, OpeningVariant::w2}) {
      const auto committee = CommitteeSize::make(n, t).value();
      const auto l = static_cast<std::size_t>(n - t);
      const Scene<Z128> scene(committee, Kind::bits, 20 * l, options(variant, 1u << 10));
      Outcomes<Z128> outcomes;
      World world({.seed = 1, .committee = committee, .router = {}}, opening(scene, outcomes));
      std::map<Part, std::size_t> to_4;
      std::set<Bytes> phase_1;  // of different receivers
      world.faults(Role(2)).corrupt = [&](Role receiver, const runtime::Frame& frame) {
        if (frame.kind == runtime::FrameKind::data && frame.payload) {
          if (receiver == Role(4)) to_4[test::part_of(frame.step)] += frame.payload->size();
          if (test::part_of(frame.step) == Part::phase_1) phase_1.insert(*frame.payload);
        }
        return std::vector{frame};
      };
      world.run(100'000s);
      const Status good = judge(world, scene, outcomes);
      EXPECT_TRUE(good) << good.error().message;
      if (variant == OpeningVariant::w1) {
        EXPECT_EQ(to_4[Part::phase_1], 20 * l * 64);
        EXPECT_EQ(phase_1.size(), 1u);
      } else {
        EXPECT_EQ(to_4[Part::phase_1], 20u * 64);
        EXPECT_EQ(to_4[Part::phase_2], 20u * 64 + 3);
        EXPECT_EQ(phase_1.size(), static_cast<std::size_t>(n - 1));
      }
      EXPECT_EQ(to_4[Part::broadcasts], 33u + 2 + 32 * static_cast<std::size_t>(n) + 64);
      EXPECT_EQ(to_4[Part::fetched] + to_4[Part::zero_shares], 0u);
    }
}

}  // namespace
}  // namespace witan::mpc
