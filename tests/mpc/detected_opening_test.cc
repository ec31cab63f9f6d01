#include <gtest/gtest.h>

#include "mpc/bit_batch.h"
#include "mpc/detected_opening_impl.h"
#include "mpc/draw_keys_for_test.h"
#include "mpc/product_slice.h"
#include "runtime/sim_adversary.h"

namespace witan::mpc {
namespace {

using namespace std::chrono_literals;
using runtime::Frame;
using runtime::FrameKind;
using runtime::RoleSet;
using runtime::Step;
using runtime::sim::Corrupt;
using runtime::sim::Coverage;
using runtime::sim::Node;
using runtime::sim::SimRng;
using runtime::sim::World;

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
runtime::sim::Program opening(const Scene<Z>& scene, Outcomes<Z>& outcomes) {
  return [&](Node& node) -> runtime::Task<void> {
    auto session = node.router().open(kSession, {.lane = runtime::Lane::bulk, .max_steps = kDetectionSteps});
    if (!session) co_return;
    Disputes disputes(scene.committee);
    const Signatories signatories = scene.epoch.signatories(node.role());
    DetectedOpening<Z, Rules> run(*session, node.compute(), scene.epoch.keys(node.role()), signatories, disputes,
                                  scene.batch(node.role()), scene.options);
    Outcome<Z>& outcome = outcomes[node.role().number()];
    if (Status sent = co_await run.exchange(); !sent) {
      outcome.released = std::unexpected(sent.error());
      co_return;
    }
    outcome.released = co_await run.decide();
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

DetectionOptions options(OpeningVariant variant, std::size_t chunk_rows = 4) {
  return {.variant = variant, .chunk_rows = chunk_rows, .silence = 3s};
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

// Adversaries.

enum class Part { phase_1, phase_2, fetched, zero_shares, broadcasts };
Part part_of(Step step) {
  if (step >= kDecideBroadcasts) return Part::broadcasts;
  if (step >= kZeroShares) return Part::zero_shares;
  if (step >= kFetch) return Part::fetched;
  return step >= kPhase2 ? Part::phase_2 : Part::phase_1;
}

Corrupt only(std::function<bool(const Frame&)> when, Corrupt lie) {
  return [when = std::move(when), lie = std::move(lie)](Role receiver, const Frame& frame) {
    return frame.kind == FrameKind::data && frame.payload && when(frame) ? lie(receiver, frame) : std::vector{frame};
  };
}
Corrupt only(Part part, Corrupt lie) {
  return only([part](const Frame& frame) { return part_of(frame.step) == part; }, std::move(lie));
}
Corrupt only_value(std::function<bool(std::size_t)> size, Corrupt lie) {
  return only(
      [size = std::move(size)](const Frame& frame) {
        return part_of(frame.step) == Part::broadcasts && (frame.step - kDecideBroadcasts) % kBroadcastSteps == 0 &&
               size(frame.payload->size());
      },
      std::move(lie));
}
bool is_report(std::size_t size) {
  return size == 33 || size == 12;
}
bool is_reveal(std::size_t size) {
  return size > 33;
}
bool is_accusation(std::size_t size) {
  return size == 2;
}

/// The same payload to all.
Corrupt say(Bytes bytes) {
  return [bytes = std::move(bytes)](Role, const Frame& frame) {
    Frame out = frame;
    out.payload = runtime::make_payload(bytes);
    return std::vector{out};
  };
}
/// One bit of the payload is wrong, the same for all.
Corrupt flip_a_bit(std::uint64_t seed) {
  return [seed](Role, const Frame& frame) {
    SimRng rng(seed, frame.step);
    Frame out = frame;
    Bytes bytes = *frame.payload;
    if (!bytes.empty()) bytes[rng.below(bytes.size())] ^= static_cast<std::uint8_t>(1u << rng.below(8));
    out.payload = runtime::make_payload(std::move(bytes));
    return std::vector{out};
  };
}
/// A lie for some receivers alone.
Corrupt towards(RoleSet victims, Corrupt lie) {
  return [victims, lie = std::move(lie)](Role receiver, const Frame& frame) {
    return victims.contains(receiver) ? lie(receiver, frame) : std::vector{frame};
  };
}
Corrupt never_sends() {
  return [](Role, const Frame&) { return std::vector<Frame>{}; };
}
Corrupt chain(std::vector<Corrupt> lies) {
  Corrupt out = [](Role, const Frame& frame) { return std::vector{frame}; };
  for (Corrupt& lie : lies) out = runtime::sim::both(std::move(out), std::move(lie));
  return out;
}

Bytes bad_report(std::uint64_t row, std::uint8_t phase, RoleSet silent = {}) {
  Writer out;
  out.u8(0).u64(row).u8(phase).u16(silent.bits());
  return out.take();
}
Bytes accusation(std::uint16_t bits) {
  Writer out;
  out.u16(bits);
  return out.take();
}

RoleSet random_set(CommitteeSize committee, SimRng& rng) {
  RoleSet out;
  for (const Role role : RoleSet::all(committee))
    if (rng.chance(0.4)) out.insert(role);
  return out;
}

/// What one corrupt party does: some of the lies that the dispute path has an answer to, and some that nothing expects.
Corrupt draw_lie(CommitteeSize committee, std::size_t rows, OpeningVariant variant, SimRng& rng) {
  using namespace runtime::sim;
  const std::uint64_t seed = rng.next64();
  const RoleSet victims = random_set(committee, rng);
  std::vector<Corrupt> lies;
  const auto maybe = [&](double probability, auto&& make) {
    if (rng.chance(probability)) lies.push_back(make());
  };
  maybe(0.5, [&] { return only(Part::phase_1, towards(victims, flip_a_bit(seed))); });
  maybe(0.2, [&] { return only(Part::phase_1, towards(random_set(committee, rng), never_sends())); });
  maybe(0.4, [&] { return only(Part::phase_2, towards(random_set(committee, rng), flip_a_bit(seed + 1))); });
  maybe(0.1, [&] { return only(Part::phase_2, towards(random_set(committee, rng), mangle(seed + 2))); });
  maybe(0.3, [&] { return only(Part::fetched, lie_randomly(seed + 3)); });
  maybe(0.3, [&] { return only(Part::zero_shares, lie_randomly(seed + 4)); });
  maybe(0.3, [&] {
    return only_value(is_report, say(bad_report(rng.below(rows), static_cast<std::uint8_t>(
                                                                      variant == OpeningVariant::w2 ? 1 + rng.below(2) : 1),
                                                rng.chance(0.3) ? random_set(committee, rng) : RoleSet{})));
  });
  maybe(0.3, [&] { return only_value(is_reveal, flip_a_bit(seed + 5)); });
  maybe(0.1, [&] { return only_value(is_reveal, lie_equally(seed + 6)); });
  maybe(0.4, [&] { return only_value(is_accusation, say(accusation(static_cast<std::uint16_t>(rng.next64())))); });
  maybe(0.1, [&] { return only(Part::broadcasts, sometimes(0.3, seed, lie_randomly(seed + 7))); });
  maybe(0.1, [&] { return only(Part::broadcasts, towards(victims, never_sends())); });
  return chain(std::move(lies));
}

// S25: whatever t parties do, right values, no honest party convicted, at most t(t+1) passes.
TYPED_TEST(DetectedOpeningTest, WhateverTPartiesDoTheValuesAreRightAndNoHonestPartyIsConvicted) {
  using Z = TypeParam;
  Coverage seen;
  for (const auto [n, t] : kCommittees)
    for (const auto variant : {OpeningVariant::w1, OpeningVariant::w2}) {
      const auto committee = CommitteeSize::make(n, t).value();
      const Scene<Z> bits(committee, Kind::bits, 30, options(variant));
      const Scene<Z> products(committee, Kind::products, 8, options(variant));
      const auto report = runtime::sim::campaign(
          fmt::format("detected opening k={} n={} {}", 8 * sizeof(Z), n, variant == OpeningVariant::w1 ? "W1" : "W2"), 1,
          n == 4 ? 200 : (n == 7 ? 80 : 20), [&](std::uint64_t seed, Coverage& coverage) -> Status {
            SimRng rng(seed, 31);
            const Scene<Z>& scene = rng.chance(0.5) ? bits : products;
            Outcomes<Z> outcomes;
            World world({.seed = seed, .committee = committee, .router = {}}, opening(scene, outcomes));
            std::vector<Role> parties;
            for (const Role role : RoleSet::all(committee)) parties.push_back(role);
            for (int k = 0; k < committee.threshold(); ++k) {
              const auto pick = rng.below(parties.size());
              auto& faults = world.faults(parties[pick]);
              parties.erase(parties.begin() + static_cast<std::ptrdiff_t>(pick));
              faults.byzantine = true;
              faults.rushing = rng.chance(0.5);
              if (rng.chance(0.1))
                faults.silent = true;
              else
                faults.corrupt = draw_lie(committee, variant == OpeningVariant::w1 ? 30 : 4, variant, rng);
            }
            world.run(3000s);
            coverage.merge(world.coverage());
            for (const auto& [party, outcome] : outcomes) {
              if (world.byzantine().contains(Role(party))) continue;
              coverage.add("detection.passes", outcome.report.passes);
              coverage.add("detection.silence", outcome.report.silence);
              coverage.add("detection.excused", outcome.report.excused);
              coverage.add("detection.zero_keys", outcome.report.opened_zero_keys);
              coverage.add("detection.fetched", outcome.report.fetched);
              for (const Verdict& verdict : outcome.disputes ? outcome.disputes->verdicts() : std::vector<Verdict>{})
                coverage.add(verdict.kind == Verdict::Kind::disputed ? "detection.disputed" : "detection." + verdict.reason.substr(0, 22));
            }
            return judge(world, scene, outcomes);
          });
      EXPECT_EQ(report.failures.size(), 0u);
      seen.merge(report.coverage);
    }
  for (const char* name : {"detection.passes", "detection.silence", "detection.zero_keys", "detection.fetched",
                           "detection.disputed", "detection.excused", "detection.it claimed another val",
                           "detection.it reported index 0 an", "detection.its report is malforme"})
    EXPECT_GT(seen.count(name), 0u) << name << " never happened";
}

}  // namespace
}  // namespace witan::mpc
