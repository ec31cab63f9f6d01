#include <gtest/gtest.h>

#include <set>

#include "mpc/bit_batch.h"
#include "mpc/detected_opening_impl.h"
#include "mpc/detection_faults_for_test.h"
#include "mpc/draw_keys_for_test.h"
#include "mpc/product_slice.h"
#include "support/support.h"

namespace witan::mpc {
namespace {

using namespace std::chrono_literals;
using runtime::RoleSet;
using runtime::sim::Corrupt;
using runtime::sim::Coverage;
using runtime::sim::Node;
using runtime::sim::SimRng;
using runtime::sim::World;

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
  std::shared_ptr<Disposable<Z>> batch(Role role) const { return batch(epoch.keys(role)); }
  std::shared_ptr<Disposable<Z>> batch(const EpochKeys& keys) const {
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
};

template <Word Z>
struct Released {
  UninitializedVector<Gr<Z>> values;
  std::vector<std::size_t> discarded;
};

template <Word Z>
struct Outcome {
  Result<Released<Z>> released = fail(Code::unavailable, "did not end");
  std::optional<Disputes> disputes;
  DetectionReport report;
};
template <Word Z>
using Outcomes = std::map<int, Outcome<Z>>;

template <Word Z, class Rules = DetectionRules>
runtime::sim::Program opening(const Scene<Z>& scene, Outcomes<Z>& outcomes, const test::BadKeys& bad = {}) {
  return [&scene, &outcomes, bad](Node& node) -> runtime::Task<void> {
    if (node.life() > 0) co_return;
    auto session = node.router().open(kSession, detection_session(scene.options.delay));
    if (!session) co_return;
    Disputes disputes(scene.committee);
    const Signatories signatories = scene.epoch.signatories(node.role());
    const EpochKeys keys = test::keys_of(scene.epoch, node.role(), bad);
    DetectedOpening<Z, Rules> run(*session, node.compute(), keys, signatories, disputes, scene.batch(keys),
                                  scene.options);
    Outcome<Z>& outcome = outcomes[node.role().number()];
    if (Status sent = co_await run.exchange(); !sent) {
      outcome.released = std::unexpected(sent.error());
      co_return;
    }
    Calls calls(signatories, {}, {});
    auto decided = co_await run.decide(calls);
    if (decided) {
      auto values = co_await run.values();
      if (values)
        outcome.released = Released<Z>{*std::move(values), std::move(decided->discarded)};
      else
        outcome.released = std::unexpected(values.error());
    } else {
      outcome.released = std::unexpected(decided.error());
    }
    outcome.disputes = disputes;
    outcome.report = run.report();
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

/// PRF values that were not revealed with a discarded element, which no honest party may send. (Elements of a slice share draws: when one
/// is revealed nothing of the slice is used.) Of t + 1 parties: every key has one of them among its holders.
template <Word Z>
test::Secrets unrevealed(const Scene<Z>& scene, RoleSet honest, const std::vector<std::size_t>& discarded) {
  test::Secrets out;
  std::set<Bytes> seen;  // what was revealed; and a key's stream is the same at all its holders
  for (const bool secret : {false, true}) {
    std::vector<std::size_t> elements;
    for (std::size_t l = 0; l < scene.truth.size(); ++l)
      if (std::ranges::binary_search(discarded, l) != secret) elements.push_back(l);
    if (elements.empty()) continue;
    const std::vector<Share<Z>> unused(elements.size());
    int parties = 0;
    for (const Role party : honest) {
      if (++parties > scene.committee.threshold() + 1) break;
      const EpochKeys& keys = scene.epoch.keys(party);
      const auto batch = scene.batch(party);
      const Resolution<Z> index(*batch, scene.committee, elements);
      const Revealed<Z> shown = index.reveal(keys.set_keys(), keys.zero_keys(), kSession, unused);
      const auto add = [&](const auto& values, const char* what) {
        for (const auto& value : values) {
          const auto* const raw = reinterpret_cast<const std::uint8_t*>(&value);
          Bytes bytes(raw, raw + sizeof value);
          if (seen.insert(bytes).second && secret) out.add(bytes, what);
        }
      };
      add(shown.draws, "a base draw of an element that was not discarded");
      add(shown.zeros, "a value of a zero sharing of an element that was not discarded");
    }
  }
  return out;
}

DetectionOptions options(OpeningVariant variant, std::size_t chunk_rows = 4, runtime::Duration delay = 700ms) {
  return {.variant = variant, .chunk_rows = chunk_rows, .delay = delay};
}

template <class Z>
class DetectedOpeningTest : public testing::Test {};
using BothRings = testing::Types<Z64, Z128>;
TYPED_TEST_SUITE(DetectedOpeningTest, BothRings);

constexpr std::pair<int, int> kCommittees[] = {{4, 1}, {7, 2}, {10, 3}, {13, 4}};

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
  runtime::sim::CampaignReport all{
      .name = fmt::format("detected opening k={}", 8 * sizeof(Z)), .failures = {}, .coverage = {}};
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
            runtime::sim::WorldOptions world_options = test::campaign_options(seed, committee);
            if (is_tight && rng.chance(0.5)) world_options.min_delay = world_options.max_delay - 1ms;
            World world(world_options, [&](Node&) -> runtime::Task<void> { co_return; });
            test::Tap tap(world);
            test::MemoryWatch watch(world);
            const auto bad =
                test::draw_detection_faults<Z>(world, rng, seed, variant == OpeningVariant::w1 ? 30 : 4, scene.options);
            for (const Role role : RoleSet::all(committee)) world.set_program(role, opening(scene, outcomes, bad));
            watch.run(100'000s);
            coverage.merge(world.coverage());
            const RoleSet honest = RoleSet::all(committee) - world.byzantine();
            for (const Role role : honest) {
              const Outcome<Z>& outcome = outcomes[role.number()];
              coverage.add("detection.passes", outcome.report.passes);
              coverage.add("detection.silence", outcome.report.silence);
              coverage.add("detection.excused", outcome.report.excused);
              coverage.add("detection.zero_keys", outcome.report.opened_zero_keys);
              coverage.add("detection.fetched", outcome.report.fetched);
              for (const Verdict& verdict : outcome.disputes ? outcome.disputes->verdicts() : std::vector<Verdict>{})
                coverage.add(verdict.kind == Verdict::Kind::disputed
                                 ? "detection.disputed"
                                 : "detection." + verdict.reason.substr(0, verdict.reason.find_first_of("0123456789")));
            }
            WITAN_TRY(watch.verdict());
            WITAN_TRY(judge(world, scene, outcomes));
            return tap.keeps(unrevealed(scene, honest, outcomes.at((*honest.begin()).number()).released->discarded));
          });
      EXPECT_EQ(report.failures.size(), 0u);
      if (report.runs >= 2 * std::size(test::kDetectionStrategies))
        EXPECT_EQ(report.never(test::kDetectionStrategies), std::vector<std::string>{});
      all.coverage.merge(report.coverage);
      all.whole = all.whole && report.whole;
    }
  EXPECT_EQ(all.never({"detection.passes", "detection.silence", "detection.zero_keys", "detection.fetched",
                       "detection.disputed", "detection.excused", "router.parked_refused", "router.waiting_refused",
                       "sim.crashes", "sim.duplicated", "sim.reordered",
                       "detection.it claimed another value of a set key's stream than most members",
                       "detection.it claimed another value of a zero sharing than its key gives",
                       "detection.it broadcast a share that is not its own", "detection.it reported index ",
                       "detection.its report is malformed", "detection.its accusation is malformed",
                       "detection.it was silent towards parties "}),
            std::vector<std::string>{});
}

// The conditions of mpc/detected_opening.h and mpc/broadcast.h on the waiting times.
TEST(DetectionPatience, HonestPartiesEnterEveryBroadcastWithinHalfARound) {
  constexpr runtime::Duration delay = 1s;
  for (const int private_rounds : {1, 2}) {
    const auto variant = private_rounds == 1 ? OpeningVariant::w1 : OpeningVariant::w2;
    for (int excluded = 0; excluded <= 4; ++excluded) {
      const Patience now(variant, delay, excluded);
      EXPECT_GE(now.round, 16 * delay);
      EXPECT_GE(now.apart, now.round / 8 + 4 * delay);                   // after one without Bot
      EXPECT_LE(now.apart + 2 * private_rounds * delay, now.round / 2);  // before the next
      EXPECT_EQ(now.exchange, now.apart + delay);
      EXPECT_EQ(now.phase_2, (now.apart + 2 * delay) + delay);
      for (int before = 0; before < excluded; ++before)
        EXPECT_GE(now.apart, Patience(variant, delay, before).round / 2);  // after one with Bots
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
  const Corrupt lie = test::chain({only(Part::phase_1, test::towards({Role(2)}, test::flip_a_bit(1))),
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

// A liar must not fill the memory of a party with what is longer than a message can be.
TEST(Detection, NothingIsKeptOfAMessageOfAnotherSize) {
  const auto committee = CommitteeSize::make(4, 1).value();
  for (const auto variant : {OpeningVariant::w1, OpeningVariant::w2}) {
    const Scene<Z64> scene(committee, Kind::bits, 30, options(variant));
    Outcomes<Z64> outcomes;
    runtime::RouterLimits limits;
    limits.delivered_bytes = 0;  // the router itself keeps nothing that was delivered
    World world({.seed = 1, .committee = committee, .router = limits}, opening(scene, outcomes));
    world.faults(Role(1)).byzantine = true;
    std::vector<std::weak_ptr<const runtime::PayloadBytes>> sent;
    const Corrupt longer = [&sent](Role, const runtime::Frame& frame) {
      runtime::Frame out = frame;
      Bytes bytes = *frame.payload;
      bytes.resize(bytes.size() + (1u << 20));
      out.payload = runtime::make_payload(std::move(bytes));
      sent.push_back(out.payload);
      return std::vector{out};
    };
    world.faults(Role(1)).corrupt = test::chain({only(Part::phase_1, longer), only(Part::phase_2, longer)});
    // The openings live for 300 s after their end.
    const auto has_ended = [&](int party) { return outcomes.contains(party) && outcomes.at(party).disputes; };
    world.run(100'000s, [&] { return has_ended(2) && has_ended(3) && has_ended(4); });
    const Status good = judge(world, scene, outcomes);
    EXPECT_TRUE(good) << good.error().message;
    EXPECT_GE(sent.size(), 3u);
    EXPECT_TRUE(std::ranges::all_of(sent, [](const auto& payload) { return payload.expired(); }));
    EXPECT_TRUE(outcomes.at(4).disputes->excluded().contains(Role(1)));
  }
}

// Rows are checked some 128 at once: a wrong one behind those is noticed, and at its place.
TEST(Detection, AWrongRowIsFoundWhereverItIs) {
  const auto committee = CommitteeSize::make(4, 1).value();
  for (const auto variant : {OpeningVariant::w1, OpeningVariant::w2})
    for (const std::size_t row : {0u, 127u, 128u, 160u}) {
      const Scene<Z64> scene(committee, Kind::bits, 1000, options(variant, 161));
      Outcomes<Z64> outcomes;
      World world({.seed = 1, .committee = committee, .router = {}}, opening(scene, outcomes));
      world.faults(Role(1)).byzantine = true;
      world.faults(Role(1)).corrupt = only(Part::phase_1, [row](Role, const runtime::Frame& frame) {
        runtime::Frame out = frame;
        Bytes bytes = *frame.payload;
        if ((row + 1) * sizeof(Gr<Z64>) <= bytes.size()) bytes[row * sizeof(Gr<Z64>)] ^= 1;
        out.payload = runtime::make_payload(std::move(bytes));
        return std::vector{out};
      });
      world.run(100'000s);
      const Status good = judge(world, scene, outcomes);
      EXPECT_TRUE(good) << good.error().message;
      const std::size_t elements = scene.truth.size(), group = variant == OpeningVariant::w1 ? 1 : 3;
      std::vector<std::size_t> expected;
      for (std::size_t e = row * group; e < std::min((row + 1) * group, elements); ++e) expected.push_back(e);
      ASSERT_TRUE(outcomes.at(4).released) << outcomes.at(4).released.error().message;
      EXPECT_EQ(outcomes.at(4).released->discarded, expected) << "row " << row;
      EXPECT_TRUE(outcomes.at(4).disputes->excluded().contains(Role(1)));
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

// Who is convicted, and why, in words for the log.
TEST(Detection, TheVerdictNamesTheFaultyPartyAndWhatItDid) {
  const auto committee = CommitteeSize::make(7, 2).value();
  // Fewer than t + 1 parties have nothing to complain about.
  const RoleSet victims{Role(2), Role(3), Role(4), Role(5), Role(6)};
  const Corrupt wrong_to_five = only(Part::phase_1, test::towards(victims, test::flip_a_bit(5)));
  const auto with = [&](Corrupt other) { return test::chain({wrong_to_five, std::move(other)}); };
  struct Case {
    const char* name;
    Corrupt corrupt;
    test::BadKeys bad;
    Verdict::Kind kind;
    std::string reason;
  };
  const std::string came_wrong = "came wrong from party 1";
  const Case cases[] = {
      {"silent in the exchange",
       only(Part::phase_1, test::never_sends()),
       {},
       Verdict::Kind::missing,
       "it was silent towards parties "},
      {"silent in the broadcasts",
       only(Part::broadcasts, test::never_sends()),
       {},
       Verdict::Kind::missing,
       "nothing of it came out of a broadcast"},
      {"wrong shares to five", wrong_to_five, {}, Verdict::Kind::disputed, came_wrong},
      {"malformed report",
       test::only_value(test::is_report, test::say(Bytes(7, 9))),
       {},
       Verdict::Kind::excluded,
       "its report is malformed"},
      {"false complaint, names nobody",
       with(test::chain({test::only_value(test::is_report, test::say(test::bad_report(0, 1))),
                         test::only_value(test::is_accusation, test::say(test::accusation(0)))})),
       {},
       Verdict::Kind::excluded,
       "it reported index 0 and names nobody"},
      {"another share in public",
       with(test::only_value(test::is_reveal, test::flip_first_bit())),
       {},
       Verdict::Kind::excluded,
       "it broadcast a share that is not its own"},
      {"malformed accusation",
       with(test::only_value(test::is_accusation, test::say(Bytes{1}))),
       {},
       Verdict::Kind::excluded,
       "its accusation is malformed"},
      {"bad zero sharing",
       {},
       {{Role(1), test::Bad::zero_key}},
       Verdict::Kind::excluded,
       "it claimed another value of a zero sharing than its key gives"},
      {"bad set key",
       {},
       {{Role(1), test::Bad::set_key}},
       Verdict::Kind::excluded,
       "it claimed another value of a set key's stream than most members"},
  };
  for (const auto variant : {OpeningVariant::w1, OpeningVariant::w2})
    for (const Case& one : cases) {
      SCOPED_TRACE(one.name);
      const Scene<Z64> scene(committee, Kind::bits, 30, options(variant));
      Outcomes<Z64> outcomes;
      World world({.seed = 1, .committee = committee, .router = {}}, opening(scene, outcomes, one.bad));
      world.faults(Role(1)).byzantine = true;
      world.faults(Role(1)).corrupt = one.corrupt;
      world.run(100'000s);
      const Status good = judge(world, scene, outcomes);
      EXPECT_TRUE(good) << good.error().message;
      for (int party = 2; party <= 7; ++party) {
        const auto& verdicts = outcomes.at(party).disputes->verdicts();
        EXPECT_TRUE(std::ranges::any_of(verdicts,
                                        [&](const Verdict& verdict) {
                                          return verdict.kind == one.kind &&
                                                 (verdict.party == Role(1) || verdict.other == Role(1)) &&
                                                 verdict.reason.find(one.reason) != std::string::npos;
                                        }))
            << "party " << party << (verdicts.empty() ? " has no verdict" : ": " + verdicts.front().reason);
      }
    }
}

/// What the liars of a vector changed: the difference between the word that was received and the codeword it comes from.
template <Word Z>
std::map<Role, Gr<Z>> errors_of(const nlohmann::json& entry) {
  const int n = entry.at("n").get<int>(), degree = entry.at("degree").get<int>();
  std::vector<Gr<Z>> received;
  for (const auto& text : entry.at("received"))
    received.push_back(Gr<Z>::decode(witan::test::hex(text.get<std::string>()).data()));
  RoleSet changed;
  for (const auto& role : entry.at("changed_positions")) changed.insert(Role(role.get<int>()));
  std::vector<Role> base;
  for (int i = 1; i <= n && static_cast<int>(base.size()) <= degree; ++i)
    if (!changed.contains(Role(i))) base.emplace_back(i);
  const auto at = [&](const Gr<Z>& point) {
    const auto weights = algebra::lagrange_at<Z>(base, point);
    Gr<Z> out;
    for (std::size_t i = 0; i < base.size(); ++i) out += received[base[i].index()] * weights[i];
    return out;
  };
  EXPECT_EQ(at(Gr<Z>{}), Gr<Z>::decode(witan::test::hex(entry.at("true_secret").get<std::string>()).data()));
  std::map<Role, Gr<Z>> out;
  for (const Role role : changed) out.emplace(role, received[role.index()] - at(algebra::evaluation_point<Z>(role)));
  return out;
}

// S10 and the words of tests/data/mpc/miscorrection_2t.json, which a decoder corrects to something else, blaming an honest party.
TEST(Detection, WordsNearAnotherCodewordConvictTheLiarsAndNobodyElse) {
  int seen = 0;
  const auto vectors = witan::test::read_json("mpc/miscorrection_2t.json");
  for (const auto& entry : vectors) {
    const auto check = [&]<Word Z>(Z) {
      const auto committee = CommitteeSize::make(entry.at("n").get<int>(), entry.at("t").get<int>()).value();
      for (const auto variant : {OpeningVariant::w1, OpeningVariant::w2}) {
        const Scene<Z> scene(committee, Kind::bits, 30, options(variant));
        Outcomes<Z> outcomes;
        World world({.seed = 1, .committee = committee, .router = {}}, opening(scene, outcomes));
        RoleSet liars;
        for (const auto& [liar, error] : errors_of<Z>(entry)) {
          ASSERT_NE(error, Gr<Z>{});
          liars.insert(liar);
          world.faults(liar).byzantine = true;
          world.faults(liar).corrupt = test::add_to_rows<Z>(error);
        }
        world.run(100'000s);
        const Status good = judge(world, scene, outcomes);
        EXPECT_TRUE(good) << good.error().message;
        for (const Role role : RoleSet::all(committee) - liars)
          EXPECT_EQ(outcomes.at(role.number()).disputes->excluded(), liars);
        ++seen;
      }
    };
    if (entry.at("k").get<int>() == 64)
      check(Z64{});
    else
      check(Z128{});
  }
  EXPECT_EQ(seen, 6);
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
