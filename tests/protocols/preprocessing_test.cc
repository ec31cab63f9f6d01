#include <gtest/gtest.h>

#include <map>
#include <set>

#include "mpc/detection_faults_for_test.h"
#include "mpc/draw_keys_for_test.h"
#include "protocols/preprocessing_impl.h"
#include "runtime/sim_adversary.h"

namespace witan::protocols {
namespace {

using namespace std::chrono_literals;
using mpc::Gr;
using mpc::Share;
using mpc::Z128;
using mpc::Z64;
using runtime::RoleSet;
using runtime::sim::Coverage;
using runtime::sim::Node;
using runtime::sim::SimRng;
using runtime::sim::World;

using Kind = MaterialOrder::Kind;

PreprocId id() {
  ByteArray<32> bytes{};
  bytes[0] = 9;
  return PreprocId(bytes);
}

/// Keeps everything, by order and unit; outlives crashes, as a disk does.
class MemoryStore final : public MaterialStore {
 public:
  explicit MemoryStore(const MaterialPlan& plan) : plan_(plan) {}
  runtime::Task<Status> put(std::size_t order, std::uint64_t first, SessionId session, Secret<Bytes> content) override {
    const std::size_t unit = plan_[order].unit_bytes();
    for (std::size_t at = 0; at < content.reveal().size(); at += unit, ++first) {
      const auto piece = ByteView(content.reveal()).subspan(at, std::min(unit, content.reveal().size() - at));
      if (!units[{order, first}].empty())
        co_return fail(Code::already_exists, "unit {} of order {} twice", first, order);
      units[{order, first}] = Bytes(piece.begin(), piece.end());
      sessions.insert_or_assign(order, session);
    }
    co_return Status{};
  }
  runtime::Task<Status> drop(std::size_t order, UnitRange range) override {
    for (std::uint64_t unit = range.first; unit < range.first + range.count; ++unit)
      dropped += units.erase({order, unit});
    co_return Status{};
  }
  std::map<std::pair<std::size_t, std::uint64_t>, Bytes> units;
  std::map<std::size_t, SessionId> sessions;
  std::size_t dropped = 0;

 private:
  const MaterialPlan& plan_;
};

struct Outcome {
  Status status = fail(Code::unavailable, "did not end");
  std::unique_ptr<MemoryStore> store;
  crypto::Digest content{};
  std::uint16_t attempt = 0;
  bool was_done = false;  // in a life before the last one
  mpc::DetectionReport report;
  PreprocessingProgress progress;
  std::optional<mpc::Disputes> disputes;
  std::size_t kept_bytes = 0;  // of what was sent
  runtime::Duration took{};
};
using Outcomes = std::map<int, Outcome>;

struct Scene {
  Scene(CommitteeSize size, MaterialPlan what, PreprocessingOptions how)
      : committee(size), plan(std::move(what)), options(how), epoch(size, 3) {}
  CommitteeSize committee;
  MaterialPlan plan;
  PreprocessingOptions options;
  mpc::test::DealtEpoch epoch;
};

crypto::Digest name_of(const Scene& scene) {
  return preprocessing_name(id(), scene.committee, default_epoch_id(), scene.plan, scene.options);
}

runtime::sim::Program preprocessing(const Scene& scene, Outcomes& outcomes, const mpc::test::BadKeys& bad = {}) {
  return [&scene, &outcomes, bad](Node& node) -> runtime::Task<void> {
    const auto signatories = scene.epoch.signatories(node.role());
    Outcome& outcome = outcomes[node.role().number()];
    outcome.was_done = outcome.status.has_value();
    outcome.status = fail(Code::unavailable, "did not end");
    if (!outcome.store) outcome.store = std::make_unique<MemoryStore>(scene.plan);
    const mpc::EpochKeys keys = mpc::test::keys_of(scene.epoch, node.role(), bad);
    Preprocessing run({node.router(), node.journal(), node.compute(), keys, signatories, default_epoch_id()}, id(), 0,
                      scene.plan, *outcome.store, scene.options);
    const auto start = node.loop().now();
    outcome.status = co_await run.run();
    outcome.content = run.content();
    outcome.attempt = run.attempt();
    outcome.took = node.loop().now() - start;
    outcome.report = run.report();
    outcome.progress = run.progress();
    outcome.disputes = run.disputes();
    outcome.kept_bytes = node.router().usage().closed_sent_bytes;
    co_await node.loop().sleep_for(300s);
  };
}

/// Shares of all honest parties that have them, opened; they all lie on one polynomial of degree t.
template <mpc::Word Z>
Result<std::vector<Gr<Z>>> open(const Scene& scene, const std::map<int, std::vector<Gr<Z>>>& shares) {
  std::vector<Role> roles;
  std::vector<std::span<const Gr<Z>>> words;
  for (const auto& [party, word] : shares) roles.emplace_back(party), words.emplace_back(word);
  const auto opened = algebra::open_batch<Z>(scene.committee, roles, words);
  if (!opened || !opened->wrong.empty()) return fail(Code::internal, "the shares are not of degree t");
  return opened->values;
}

template <mpc::Word Z>
std::vector<Gr<Z>> elements_of(const Bytes& bytes) {
  std::vector<Gr<Z>> out(bytes.size() / sizeof(Gr<Z>));
  std::memcpy(out.data(), bytes.data(), bytes.size());
  return out;
}

/// Is what they have right? Their shares of it, which they must not have sent, become `hidden`.
template <mpc::Word Z>
Status check_order(const Scene& scene, const Outcomes& outcomes, RoleSet honest, std::size_t index,
                   mpc::test::Secrets& hidden) {
  const MaterialOrder& order = scene.plan[index];
  std::map<int, std::vector<Gr<Z>>> shares;
  for (const Role role : honest) {
    const MemoryStore& store = *outcomes.at(role.number()).store;
    auto& mine = shares[role.number()];
    for (std::uint64_t unit = 0; unit < order.units(); ++unit) {
      const auto found = store.units.find({index, unit});
      if (found == store.units.end()) return fail(Code::internal, "party {} lacks unit {}", role.number(), unit);
      auto elements = elements_of<Z>(found->second);
      if (order.kind == Kind::slice) {
        const auto& keys = scene.epoch.keys(role);
        const mpc::ProductSlice<Z> slice(
            std::make_shared<const mpc::BitKernel<Z>>(keys.set_keys(), keys.zero_keys(), store.sessions.at(index)),
            order.inputs, order.outputs);
        std::vector<Share<Z>> products(elements.size());
        WITAN_TRY(slice.products(0, elements, products));
        for (const auto& x : slice.x()) mine.push_back(x.value);
        for (const auto& y : slice.y()) mine.push_back(y.value);
        for (const auto& product : products) mine.push_back(product.value);
      } else {
        mine.insert(mine.end(), elements.begin(), elements.end());
      }
    }
  }
  for (const auto& [party, own] : shares)
    for (std::size_t i = 0; i < own.size(); ++i)
      hidden.add(own[i], fmt::format("element {} of party {} of order {}", i, party, index));
  auto opened = open<Z>(scene, shares);
  if (!opened) return std::unexpected(opened.error());
  if (order.kind == Kind::bits) {
    if (opened->size() != order.count)
      return fail(Code::internal, "{} bits instead of {}", opened->size(), order.count);
    for (const auto& bit : *opened)
      if (!bit.in_base_ring() || bit.c[0] > 1) return fail(Code::internal, "a bit is neither 0 nor 1");
  } else if (order.kind == Kind::noises) {
    std::size_t at = 0;
    for (const auto& packed : *opened)
      for (const Z noise : packed.c) {
        const Z bound = Z{1} << order.bound_log2;
        if (at++ < order.count ? noise + bound > 2 * bound : noise != 0)
          return fail(Code::internal, "noise {} is not within its bound", at - 1);
      }
  } else {
    for (std::size_t i = 0; i < order.inputs; ++i)
      for (std::size_t j = 0; j < order.outputs; j += 4) {
        std::array<Gr<Z>, 4> products;
        for (std::size_t c = 0; c < 4; ++c) products[c] = (*opened)[i] * (*opened)[order.inputs + j + c];
        if ((*opened)[order.inputs + order.outputs + (i * order.outputs + j) / 4] != algebra::pack(products.data(), 4))
          return fail(Code::internal, "a product is wrong");
      }
  }
  return {};
}

/// These parties have everything, the same, it is right, and no share of it has left an honest party.
Status judge_material(const Scene& scene, const Outcomes& outcomes, RoleSet parties, const mpc::test::Tap* tap) {
  mpc::test::Secrets hidden;
  for (const Role role : parties) {
    const Outcome& outcome = outcomes.at(role.number());
    if (!outcome.status) return fail(Code::internal, "party {}: {}", role.number(), outcome.status.error().message);
    if (outcome.content != outcomes.at((*parties.begin()).number()).content)
      return fail(Code::internal, "party {} has other material", role.number());
  }
  for (std::size_t order = 0; order < scene.plan.size(); ++order)
    WITAN_TRY(scene.plan[order].word_bits == 64 ? check_order<Z64>(scene, outcomes, parties, order, hidden)
                                                : check_order<Z128>(scene, outcomes, parties, order, hidden));
  return tap ? tap->keeps(hidden) : Status{};
}

Status judge(World& world, const Scene& scene, const Outcomes& outcomes, const mpc::test::Tap* tap = nullptr) {
  WITAN_TRY(world.audit().verdict());
  const RoleSet honest = RoleSet::all(scene.committee) - world.byzantine();
  for (const Role role : honest) {
    const Outcome& outcome = outcomes.at(role.number());
    if (!outcome.status) return fail(Code::internal, "party {}: {}", role.number(), outcome.status.error().message);
    for (const mpc::Verdict& verdict : outcome.disputes->verdicts())
      if (honest.contains(verdict.party) && honest.contains(verdict.other))
        return fail(Code::internal, "an honest party is convicted: {}", verdict.reason);
    // Each makes a pair dispute or excludes a party: in all batches of an attempt together.
    const auto t = static_cast<std::uint32_t>(scene.committee.threshold());
    const std::uint32_t passes = outcome.report.passes + outcome.report.silence;
    if (passes > t * (t + 1) * (outcome.attempt + 1u))
      return fail(Code::internal, "{} dispute passes in {} attempts", passes, outcome.attempt + 1);
  }
  return judge_material(scene, outcomes, honest, tap);
}

MaterialPlan small_plan() {
  return {
      {.kind = Kind::bits, .word_bits = 128, .count = 38},
      {.kind = Kind::noises, .word_bits = 64, .count = 50, .bound_log2 = 3},
      {.kind = Kind::noises, .word_bits = 128, .count = 30, .bound_log2 = 17},
      {.kind = Kind::slice, .word_bits = 64, .inputs = 5, .outputs = 8},
      {.kind = Kind::slice, .word_bits = 128, .inputs = 3, .outputs = 4},
  };
}

PreprocessingOptions small(mpc::OpeningVariant variant) {
  return {.variant = variant, .batch_elements = 25, .batches_at_once = 3, .chunk_rows = 4, .delay = 700ms};
}

constexpr std::pair<int, int> kCommittees[] = {{4, 1}, {7, 2}, {10, 3}, {13, 4}};

TEST(Preprocessing, HonestPartiesMakeEverythingThatWasOrdered) {
  for (const auto [n, t] : kCommittees) {
    const auto committee = CommitteeSize::make(n, t).value();
    const Scene scene(committee, small_plan(), small(mpc::variant_for(committee)));
    Outcomes outcomes;
    World world({.seed = 1, .committee = committee, .router = {}}, preprocessing(scene, outcomes));
    world.run(3000s);
    const Status good = judge(world, scene, outcomes);
    EXPECT_TRUE(good) << good.error().message;
    const auto& progress = outcomes.at(1).progress;
    EXPECT_EQ(progress.elements_done, progress.elements);
    EXPECT_EQ(progress.batches_done, progress.batches);
  }
}

// S5: session ids, and so all PRF inputs, are those of one plan under one committee and epoch.
TEST(PreprocessingName, NamesEverythingThatDecidesWhatIsMade) {
  const auto committee = CommitteeSize::make(4, 1).value();
  const PreprocessingOptions options = small(mpc::OpeningVariant::w1);
  std::set<crypto::Digest> names;
  std::size_t given = 0;
  const auto add = [&](const PreprocId& of, CommitteeSize size, const EpochId& epoch, const MaterialPlan& plan,
                       const PreprocessingOptions& how) {
    names.insert(preprocessing_name(of, size, epoch, plan, how));
    EXPECT_EQ(names.size(), ++given);
  };
  add(id(), committee, default_epoch_id(), small_plan(), options);
  ByteArray<32> other{};
  other[0] = 9, other[31] = 1;
  add(PreprocId(other), committee, default_epoch_id(), small_plan(), options);
  add(id(), CommitteeSize::make(7, 2).value(), default_epoch_id(), small_plan(), options);
  add(id(), committee, EpochId(other), small_plan(), options);
  for (const auto change : std::initializer_list<void (*)(MaterialPlan&)>{
           [](MaterialPlan& plan) { plan.pop_back(); }, [](MaterialPlan& plan) { std::swap(plan[0], plan[1]); },
           [](MaterialPlan& plan) { plan[0].kind = Kind::noises; }, [](MaterialPlan& plan) { plan[0].word_bits = 64; },
           [](MaterialPlan& plan) { ++plan[0].count; }, [](MaterialPlan& plan) { ++plan[1].bound_log2; },
           [](MaterialPlan& plan) { ++plan[3].inputs; }, [](MaterialPlan& plan) { plan[3].outputs += 4; }}) {
    MaterialPlan plan = small_plan();
    change(plan);
    add(id(), committee, default_epoch_id(), plan, options);
  }
  PreprocessingOptions changed = options;
  changed.batch_elements = 26;
  add(id(), committee, default_epoch_id(), small_plan(), changed);
  changed = options;
  changed.variant = mpc::OpeningVariant::w2;
  add(id(), committee, default_epoch_id(), small_plan(), changed);
  changed = options;
  changed.purpose = "a tenth of it";
  add(id(), committee, default_epoch_id(), small_plan(), changed);
  changed = options;
  changed.delay = 1s;  // how long one waits decides nothing
  EXPECT_EQ(preprocessing_name(id(), committee, default_epoch_id(), small_plan(), changed),
            preprocessing_name(id(), committee, default_epoch_id(), small_plan(), options));
}

// Two callers have asked for other material under one id: no session id, so no mask, serves both.
TEST(Preprocessing, PartiesWithOtherPlansUnderOneIdNeverMeet) {
  const auto committee = CommitteeSize::make(4, 1).value();
  PreprocessingOptions options = small(mpc::OpeningVariant::w1);
  options.wait = 60s;
  const Scene one(committee, small_plan(), options);
  Scene two(committee, small_plan(), options);
  two.plan[1].bound_log2 = 4;
  Outcomes outcomes;
  World world({.seed = 1, .committee = committee, .router = {}}, preprocessing(one, outcomes));
  std::map<int, std::set<SessionId>> sessions;  // by the first party of the group
  for (const Role role : RoleSet::all(committee)) {
    const int group = role.number() <= 2 ? 1 : 3;
    if (group == 3) world.set_program(role, preprocessing(two, outcomes));
    world.faults(role).corrupt = [&sessions, group](Role, const runtime::Frame& frame) {
      sessions[group].insert(frame.session);
      return std::vector{frame};
    };
  }
  world.set_required(RoleSet::all(committee));
  ASSERT_EQ(world.run(100'000s), runtime::sim::End::finished);
  EXPECT_FALSE(sessions[1].empty());
  EXPECT_FALSE(sessions[3].empty());
  for (const SessionId& session : sessions[1]) EXPECT_FALSE(sessions[3].contains(session));
  for (const auto& [party, outcome] : outcomes) {
    ASSERT_FALSE(outcome.status) << party;
    EXPECT_TRUE(has_failed(outcome.status.error())) << outcome.status.error().message;
  }
}

// Shares are asked for by nobody once their batch is decided: a preprocessing of gigabytes keeps its last words alone.
TEST(Preprocessing, SharesAreForgottenWhenTheirBatchIsDecided) {
  for (const auto [n, t] : kCommittees) {
    const auto committee = CommitteeSize::make(n, t).value();
    const MaterialPlan plan{{.kind = Kind::noises, .word_bits = 128, .count = 4000, .bound_log2 = 17}};
    const Scene scene(committee, plan,
                      {.variant = mpc::variant_for(committee), .batch_elements = 8192, .delay = 700ms});
    Outcomes outcomes;
    World world({.seed = 1, .committee = committee, .router = {}}, preprocessing(scene, outcomes));
    world.run(3000s);
    for (const auto& [party, outcome] : outcomes) {
      ASSERT_TRUE(outcome.status) << outcome.status.error().message;
      // The signed echoes of the decides, some 350 bytes for a pair of parties; shares alone would be more than twice that.
      const std::uint64_t decides = outcome.progress.batches * static_cast<std::uint64_t>(n * n) * 400;
      ASSERT_GT(plan[0].elements() * 64, 2 * decides);
      EXPECT_LT(outcome.kept_bytes, decides) << "party " << party << " of " << n;
    }
  }
}

// Whom nobody hears is waited for in the private rounds of one batch and in one round of its broadcast.
TEST(Preprocessing, SilentPartiesCostThePrivateRoundsOfOneBatchAndOneRoundOfItsBroadcast) {
  for (const auto [n, t] : kCommittees) {
    const auto committee = CommitteeSize::make(n, t).value();
    const Scene scene(committee, small_plan(), small(mpc::variant_for(committee)));
    Outcomes outcomes;
    World world({.seed = 1, .committee = committee, .router = {}}, preprocessing(scene, outcomes));
    for (int i = 1; i <= t; ++i) world.faults(Role(i)).silent = true;
    world.run(300'000s);
    const Status good = judge(world, scene, outcomes);
    EXPECT_TRUE(good) << good.error().message;
    const mpc::Patience patience(scene.options.variant, scene.options.delay, 0);
    const bool w1 = scene.options.variant == mpc::OpeningVariant::w1;
    for (const Role role : RoleSet::all(committee) - world.byzantine())
      EXPECT_LE(outcomes.at(role.number()).took,
                patience.exchange + (w1 ? 0s : patience.phase_2) + patience.round + 3s);
  }
}

// S19, S24, S25, S31: several batches under way, disputes in the middle of windows and slices; whatever t parties do, everybody has
// the same material, all of it, and it is right.
TEST(PreprocessingCampaign, HonestPartiesAlwaysHaveAllOfItAndItIsRight) {
  runtime::sim::CampaignReport all{.name = "preprocessing", .failures = {}, .coverage = {}};
  for (const auto [n, t] : kCommittees) {
    const auto committee = CommitteeSize::make(n, t).value();
    const auto variant = mpc::variant_for(committee);
    const Scene scene(committee, small_plan(), small(variant));
    const auto report = runtime::sim::campaign(
        fmt::format("preprocessing n={}", n), 1, n == 4 ? 80 : (n == 7 ? 20 : 5),
        [&](std::uint64_t seed, Coverage& coverage) -> Status {
          SimRng rng(seed, 41);
          Outcomes outcomes;
          World world(mpc::test::campaign_options(seed, committee), [](Node&) -> runtime::Task<void> { co_return; });
          const mpc::test::Tap tap(world);
          mpc::test::MemoryWatch watch(world);
          const auto bad = mpc::test::draw_detection_faults<Z128>(world, rng, seed, 7,
                                                                  {.variant = variant, .delay = scene.options.delay});
          for (const Role role : world.byzantine()) {
            auto& faults = world.faults(role);
            if (faults.corrupt && rng.chance(0.7))
              faults.corrupt = runtime::sim::sometimes(0.3, rng.next64(), faults.corrupt);
            if (rng.chance(0.3)) faults.crashes = {{1 + rng.below(3000), 2000s}};
          }
          for (const Role role : RoleSet::all(committee)) world.set_program(role, preprocessing(scene, outcomes, bad));
          watch.run(300'000s);
          coverage.merge(world.coverage());
          for (const auto& [party, outcome] : outcomes) {
            if (world.byzantine().contains(Role(party))) continue;
            coverage.add("preprocessing.passes", outcome.report.passes);
            coverage.add("preprocessing.silence", outcome.report.silence);
            coverage.add("preprocessing.fetched", outcome.report.fetched);
            coverage.add("preprocessing.more_batches", outcome.progress.batches > 14);
            if (outcome.disputes)
              coverage.add("preprocessing.excluded", static_cast<std::uint64_t>(outcome.disputes->excluded().size()));
          }
          WITAN_TRY(watch.verdict());
          return judge(world, scene, outcomes, &tap);
        });
    EXPECT_EQ(report.failures.size(), 0u);
    if (report.runs >= 2 * std::size(mpc::test::kDetectionStrategies))
      EXPECT_EQ(report.never(mpc::test::kDetectionStrategies), std::vector<std::string>{});
    all.coverage.merge(report.coverage);
    all.whole = all.whole && report.whole;
  }
  EXPECT_EQ(all.never({"preprocessing.passes", "preprocessing.silence", "preprocessing.fetched",
                       "preprocessing.excluded", "preprocessing.more_batches", "router.parked_refused",
                       "router.waiting_refused", "sim.crashes", "sim.duplicated"}),
            std::vector<std::string>{});
}

/// A cheat for which nobody is convicted: those whom it made report an index and the liar dispute.
enum class Cheat : std::uint8_t {
  wrong_shares,  // in phase 1
  wrong_values,  // in phase 2 of W2
};

/// A liar's part in what they all do. Each in its turn cheats in t + 1 batches, towards so many that no t + 1 of the others are content, with
/// another index for each: so only the one with the smallest index disputes, which is another one every time. `turns`: of the batches, by
/// session, in the order in which they begin; the liars share them.
runtime::sim::Corrupt cheat_in_every_batch(const Scene& scene, Role self, RoleSet liars, Cheat how,
                                           std::shared_ptr<std::map<SessionId, std::size_t>> turns) {
  const auto session = [&](crypto::SessionKind kind, std::uint32_t number) {
    return crypto::session_id(name_of(scene), kind, 0, static_cast<std::uint16_t>(number));
  };
  std::set<SessionId> batches;
  for (const auto kind : {crypto::SessionKind::preprocessing_64, crypto::SessionKind::preprocessing_128})
    for (std::uint32_t number = 0; number < 100; ++number) batches.insert(session(kind, number));
  const SessionId calls = session(crypto::SessionKind::preprocessing_64, kCallSession);
  std::vector<Role> cheats, victims;
  for (const Role role : RoleSet::all(scene.committee)) (liars.contains(role) ? cheats : victims).push_back(role);
  const auto t = static_cast<std::size_t>(scene.committee.threshold()), n = cheats.size() + victims.size();
  const bool w2 = scene.options.variant == mpc::OpeningVariant::w2;
  // A share of y_i that is wrong makes P_i say bottom to all, and then nobody is content.
  const std::size_t many = w2 && how == Cheat::wrong_shares ? 1 : n - 2 * t;
  return [=](Role receiver, const runtime::Frame& frame) {
    if (frame.kind != runtime::FrameKind::data) return std::vector{frame};
    if (frame.session == calls && frame.step >= kCallStep && frame.step <= kCallStep + kMaxAttempts)
      return std::vector<runtime::Frame>{};  // an excluded party would like another attempt
    if (!batches.contains(frame.session)) return std::vector{frame};
    const std::size_t turn = turns->try_emplace(frame.session, turns->size()).first->second;
    Bytes bytes = *frame.payload;
    const std::size_t map = how == Cheat::wrong_values ? 1 : 0, row_bytes = (bytes.size() - map) / 4;  // of its four
    if (cheats[turn / (t + 1) % t] == self && frame.step == (map ? mpc::kPhase2 : mpc::kPhase1))
      for (std::size_t row = 0; row < many; ++row)
        if (receiver == victims[turn % (t + 1) + row]) bytes[map + row * row_bytes] ^= 1;
    // The liars are never content; somebody else has a smaller index.
    if (mpc::test::part_of(frame.step) == mpc::test::Part::broadcasts &&
        (frame.step - mpc::kDecideBroadcasts) % mpc::kBroadcastSteps == 0 && mpc::test::is_report(bytes.size()))
      bytes = mpc::test::bad_report(n - 2 * t, 1);
    return std::vector{mpc::test::with_bytes(frame, std::move(bytes))};
  };
}

// S25: who cheats anew in every batch and is never convicted is in dispute with t parties, then excluded: all of them cause t (t + 1)
// passes, and everything is made.
TEST(Preprocessing, CheatersInEveryBatchCauseNoMoreThanTTimesTPlus1DisputePasses) {
  const MaterialPlan plan{{.kind = Kind::noises, .word_bits = 64, .count = 120, .bound_log2 = 3},
                          {.kind = Kind::noises, .word_bits = 128, .count = 45, .bound_log2 = 17}};
  for (const auto [n, t] : {std::pair{4, 1}, {5, 1}, {7, 2}})
    for (const auto& [variant, how] : {std::pair{mpc::OpeningVariant::w1, Cheat::wrong_shares},
                                       {mpc::OpeningVariant::w2, Cheat::wrong_shares},
                                       {mpc::OpeningVariant::w2, Cheat::wrong_values}}) {
      SCOPED_TRACE(fmt::format("n = {}, {}, cheat {}", n, variant == mpc::OpeningVariant::w1 ? "W1" : "W2",
                               static_cast<int>(how)));
      const auto committee = CommitteeSize::make(n, t).value();
      const Scene scene(committee, plan, small(variant));
      Outcomes outcomes;
      World world({.seed = 1, .committee = committee, .router = {}}, preprocessing(scene, outcomes));
      RoleSet liars;
      for (int i = 0; i < t; ++i) liars.insert(Role(n - 2 * i));
      const auto turns = std::make_shared<std::map<SessionId, std::size_t>>();
      for (const Role liar : liars) world.faults(liar).corrupt = cheat_in_every_batch(scene, liar, liars, how, turns);
      world.run(300'000s);
      const Status good = judge(world, scene, outcomes);
      EXPECT_TRUE(good) << good.error().message;
      for (const Role role : RoleSet::all(committee) - liars) {
        const Outcome& outcome = outcomes.at(role.number());
        EXPECT_EQ(outcome.report.passes, static_cast<std::uint32_t>(t * (t + 1)));
        EXPECT_EQ(outcome.disputes->excluded(), liars);
        EXPECT_TRUE(outcome.disputes->convicted().empty());
        EXPECT_EQ(outcome.attempt, 0);
        EXPECT_GT(outcome.progress.batches, 2u * static_cast<unsigned>(t * (t + 1))) << "more than they cheat in";
      }
    }
}

// ---- restarts (S7, S17, S19, S31): protocols/attempts.h

/// Whoever was down at some time: a convicted party, a wrong or second use of a message, or other material is a violation; too late
/// is not. `may_fail`: parties that may have come too late.
Status judge_restarts(World& world, const Scene& scene, const Outcomes& outcomes, RoleSet may_fail, Coverage& coverage,
                      const mpc::test::Tap* tap = nullptr) {
  WITAN_TRY(world.audit().verdict());
  RoleSet good;
  for (const Role role : RoleSet::all(scene.committee) - world.byzantine()) {
    const Outcome& outcome = outcomes.at(role.number());
    coverage.add("restart.attempts", outcome.attempt);
    coverage.add("restart.dropped", outcome.store->dropped);
    if (outcome.status) {
      good.insert(role);
      coverage.add("restart.in_time", may_fail.contains(role) && outcome.attempt > 0);
      continue;
    }
    coverage.add("restart.too_late");
    if (!may_fail.contains(role))
      return fail(Code::internal, "party {}: {}", role.number(), outcome.status.error().message);
    if (outcome.status.error().code != Code::aborted && outcome.status.error().code != Code::deadline_exceeded)
      return fail(Code::internal, "party {} ends with {}", role.number(), outcome.status.error().message);
  }
  for (const Role role : good)
    for (const mpc::Verdict& verdict : outcomes.at(role.number()).disputes->verdicts())
      if (verdict.kind == mpc::Verdict::Kind::excluded && !world.byzantine().contains(verdict.party))
        return fail(Code::internal, "an honest party is convicted: {}", verdict.reason);
  return judge_material(scene, outcomes, good, tap);
}

PreprocessingOptions restarting(mpc::OpeningVariant variant) {
  PreprocessingOptions out = small(variant);
  out.delay = 100ms;
  out.wait = 200s;
  return out;
}

struct Restart {
  explicit Restart(int n, int t)
      : committee(CommitteeSize::make(n, t).value()),
        scene(committee, small_plan(), restarting(mpc::variant_for(committee))) {}
  std::unique_ptr<World> world(std::uint64_t seed) {
    outcomes.clear();
    return std::make_unique<World>(runtime::sim::WorldOptions{.seed = seed, .committee = committee, .router = {}},
                                   preprocessing(scene, outcomes));
  }
  CommitteeSize committee;
  Scene scene;
  Outcomes outcomes;
  Coverage coverage;
};

// A party is killed in the middle, is back at once, and has all of the material in the end.
TEST(PreprocessingRestart, APartyThatRestartsTakesPartAgain) {
  for (const auto [n, t] : kCommittees) {
    Restart test(n, t);
    const auto world = test.world(1);
    world->faults(Role(2)).crashes = {{400, 1s}};
    world->run(3000s);
    const Status good = judge_restarts(*world, test.scene, test.outcomes, {}, test.coverage);
    EXPECT_TRUE(good) << good.error().message;
    for (const auto& [party, outcome] : test.outcomes) EXPECT_EQ(outcome.attempt, 1) << party;
  }
}

// A party that is away for long comes back into an attempt that went on without it.
TEST(PreprocessingRestart, APartyThatWasExcludedForSilenceTakesPartAgain) {
  Restart test(7, 2);
  test.scene.plan[0].count = 20'000;
  const auto world = test.world(1);
  world->faults(Role(2)).crashes = {{400, 10s}};
  world->run(3000s);
  const Status good = judge_restarts(*world, test.scene, test.outcomes, {}, test.coverage);
  EXPECT_TRUE(good) << good.error().message;
  EXPECT_GT(test.outcomes.at(1).store->dropped, 0u);
}

// A party is away while an attempt drops batches that it has: those that the others have made instead are not the ones that it has.
TEST(PreprocessingRestart, APartyThatHasMissedAnAttemptDropsWhatTheOthersHaveDropped) {
  Coverage seen;
  for (std::uint64_t seed = 1; seed <= 3; ++seed) {
    Restart test(7, 2);
    test.scene.plan[0].count = 20'000;
    const auto world = test.world(seed);
    world->faults(Role(3)).crashes = {{250 + 20 * seed, 8s}};  // few batches, back when the other one is gone
    world->faults(Role(2)).crashes = {{900, 25s}};
    world->run(3000s);
    const Status good = judge_restarts(*world, test.scene, test.outcomes, RoleSet{Role(2), Role(3)}, test.coverage);
    EXPECT_TRUE(good) << seed << ": " << good.error().message;
    const Outcome& away = test.outcomes.at(2);
    seen.add("dropped behind the others", away.status && away.attempt > 1 && away.store->dropped > 0);
  }
  EXPECT_GT(seen.count("dropped behind the others"), 0u);
}

TEST(PreprocessingRestart, WhoComesAfterTheLastDecideIsToldSo) {
  Restart test(4, 1);
  const auto world = test.world(1);
  world->faults(Role(2)).crashes = {{400, 100s}};
  world->run(3000s);
  const Status good = judge_restarts(*world, test.scene, test.outcomes, RoleSet{Role(2)}, test.coverage);
  EXPECT_TRUE(good) << good.error().message;
  ASSERT_FALSE(test.outcomes.at(2).status);
  EXPECT_EQ(test.outcomes.at(2).status.error().code, Code::aborted) << test.outcomes.at(2).status.error().message;
}

TEST(PreprocessingRestart, AllPartiesMayRestartAtOnce) {
  for (const auto [n, t] : kCommittees)
    for (std::uint64_t seed = 1; seed <= 3; ++seed) {
      Restart test(n, t);
      const auto world = test.world(seed);
      for (const Role role : RoleSet::all(test.committee)) world->faults(role).crashes = {{300 + 10 * seed, seed * 1s}};
      world->run(3000s);
      const Status good = judge_restarts(*world, test.scene, test.outcomes, {}, test.coverage);
      EXPECT_TRUE(good) << n << " " << seed << ": " << good.error().message;
    }
}

// n - t are needed to go on: those who are left wait for those who restart.
TEST(PreprocessingRestart, MoreThanTPartiesMayRestart) {
  for (const auto [n, t] : kCommittees) {
    Restart test(n, t);
    const auto world = test.world(1);
    for (int i = 1; i <= t + 1; ++i) world->faults(Role(i)).crashes = {{300, 2s}};
    world->run(3000s);
    const Status good = judge_restarts(*world, test.scene, test.outcomes, {}, test.coverage);
    EXPECT_TRUE(good) << n << ": " << good.error().message;
  }
}

TEST(PreprocessingRestart, TPartiesMayRestartAtOnceAndAgainInTheNextAttempt) {
  for (const auto [n, t] : kCommittees) {
    Restart test(n, t);
    test.scene.plan[0].count = 2000;
    const auto world = test.world(1);
    for (int i = 1; i <= t; ++i)
      world->faults(Role(i)).crashes = {{300 + static_cast<std::uint64_t>(i), 1s},
                                        {700 + static_cast<std::uint64_t>(i), 1s}};
    world->run(3000s);
    RoleSet restarted;
    for (int i = 1; i <= t; ++i) restarted.insert(Role(i));
    const Status good = judge_restarts(*world, test.scene, test.outcomes, restarted, test.coverage);
    EXPECT_TRUE(good) << n << ": " << good.error().message;
  }
}

// Crash at every await of one party (at a sample of them for larger committees), and sometimes again soon after it.
TEST(PreprocessingRestart, APartyMayCrashAnywhere) {
  for (const auto [n, t, crashes] : {std::tuple{4, 1, 150u}, {7, 2, 15u}, {10, 3, 4u}, {13, 4, 4u}}) {
    Restart test(n, t);
    const auto whole = test.world(1);
    whole->run(3000s);
    const std::uint64_t points = whole->crash_points(Role(1));
    const auto report = runtime::sim::campaign(
        fmt::format("preprocessing restart n={}", n), 1, crashes,
        [&](std::uint64_t seed, Coverage& coverage) -> Status {
          SimRng rng(seed, 43);
          const auto world = test.world(seed);
          const mpc::test::Tap tap(*world);
          const Role party(1 + static_cast<int>(rng.below(static_cast<std::uint64_t>(n))));
          const std::uint64_t at = 1 + seed * 7919 % points;
          world->faults(party).crashes = {{at, rng.between(1ms, rng.chance(0.5) ? 300ms : 5s)}};
          if (rng.chance(0.3)) world->faults(party).crashes.push_back({at + 1 + rng.below(500), 100ms});
          world->run(3000s);
          coverage.merge(world->coverage());
          return judge_restarts(*world, test.scene, test.outcomes, RoleSet{party}, coverage, &tap);
        });
    EXPECT_EQ(report.failures.size(), 0u);
    EXPECT_EQ(report.never({"sim.crashes", "restart.attempts", "restart.dropped", "restart.in_time"}),
              std::vector<std::string>{})
        << "n = " << n << ", " << points << " crash points";
  }
}

// kill -9 at every crash point of party 1 in the long run, at a sample of them in the fast one.
TEST(PreprocessingRestart, CrashAtEveryPointOfAParty) {
  Restart test(4, 1);
  const auto whole = test.world(1);
  whole->run(3000s);
  const std::uint64_t points = whole->crash_points(Role(1));
  const auto report = runtime::sim::campaign(
      "preprocessing crash n=4", 1, 10,
      [&](std::uint64_t seed, Coverage& coverage) -> Status {
        const auto world = test.world(1);
        world->faults(Role(1)).crashes = {{1 + (seed - 1) * 7919 % points, 100ms}};
        world->run(3000s);
        coverage.merge(world->coverage());
        return judge_restarts(*world, test.scene, test.outcomes, RoleSet{Role(1)}, coverage);
      },
      points);
  EXPECT_EQ(report.failures.size(), 0u);
  EXPECT_EQ(report.coverage.count("sim.crashes"), report.runs) << points << " crash points";
}

// Why the journal comes before the first message: a party that does not remember goes on in the same sessions, where a liar shows it other
// things than before, so that it says other things than before.
TEST(PreprocessingRemovedDefence, WithoutTheJournalARestartedPartySaysTwoThings) {
  const auto violations = [](bool remembers) {
    int count = 0;
    for (std::uint64_t seed = 1; seed <= 5; ++seed) {
      Restart test(7, 2);
      const auto world = test.world(seed);
      world->set_program(Role(2), [&](Node& node) -> runtime::Task<void> {
        if (!remembers) {
          node.world().disk(Role(2)).tables.erase(kAttemptsTable);
          test.outcomes[2].store = std::make_unique<MemoryStore>(test.scene.plan);
        }
        co_await preprocessing(test.scene, test.outcomes)(node);
      });
      std::map<std::pair<Bytes, runtime::Step>, int> shown;
      world->faults(Role(1)).byzantine = true;
      world->faults(Role(1)).corrupt = [&shown, lie = runtime::sim::lie_equally(seed)](Role receiver,
                                                                                       const runtime::Frame& frame) {
        const auto session = frame.session.bytes();
        const bool again = receiver == Role(2) && shown[{Bytes(session.begin(), session.end()), frame.step}]++ > 0 &&
                           frame.kind == runtime::FrameKind::data &&
                           mpc::test::part_of(frame.step) == mpc::test::Part::phase_1;
        return again ? lie(receiver, frame) : std::vector{frame};
      };
      world->faults(Role(2)).crashes = {{400 + 100 * seed, 100ms}};
      world->run(3000s);
      count += !world->audit().verdict();
    }
    return count;
  };
  EXPECT_GT(violations(false), 0);
  EXPECT_EQ(violations(true), 0);
}

/// Calls for the next attempt whenever it may, and claims that it has nothing; else follows the protocol.
runtime::sim::Program calling(const Scene& scene, Outcomes& outcomes) {
  return [&](Node& node) -> runtime::Task<void> {
    for (std::uint16_t attempt = 1; attempt <= kMaxAttempts; ++attempt) {
      Writer name;
      name.raw(name_of(scene)).u16(0).u16(attempt);
      const auto own = mpc::Calls(scene.epoch.signatories(node.role()), name.take(), {}).sign();
      const SessionId session =
          crypto::session_id(name_of(scene), crypto::SessionKind::preprocessing_64, 0, kCallSession);
      for (const Role peer : RoleSet::others(scene.committee, node.role()))
        (void)node.link().send(peer,
                               {runtime::FrameKind::data, session, kCallStep + attempt,
                                runtime::make_payload(Bytes(own.begin(), own.end()))},
                               runtime::Lane::urgent);
    }
    co_await preprocessing(scene, outcomes)(node);
  };
}

TEST(PreprocessingRestart, ALiarThatCallsAtEveryDecideEndsTwoAttempts) {
  for (const auto [n, t] : kCommittees) {
    Restart test(n, t);
    const auto world = test.world(1);
    for (int i = 1; i <= t; ++i) {
      world->faults(Role(i)).byzantine = true;
      world->set_program(Role(i), calling(test.scene, test.outcomes));
    }
    world->run(3000s);
    const Status good = judge_restarts(*world, test.scene, test.outcomes, {}, test.coverage);
    EXPECT_TRUE(good) << good.error().message;
    EXPECT_EQ(test.outcomes.at(n).attempt, kCallsPerParty);
  }
}

/// Lies about what a party has, whose calls ended the attempt and who is convicted, when parties agree on the next one; the same to all
/// parties or not.
runtime::sim::Corrupt lie_about_attempts(const Scene& scene, std::uint64_t seed) {
  const SessionId session = crypto::session_id(name_of(scene), crypto::SessionKind::preprocessing_64, 0, kCallSession);
  return [session, seed, committee = scene.committee](Role receiver, const runtime::Frame& frame) {
    runtime::Frame out = frame;
    if (frame.session == session && frame.step >= kAgreeSteps && frame.step % mpc::kBroadcastSteps == 0 &&
        frame.kind == runtime::FrameKind::data) {
      SimRng rng(seed, frame.step + (seed % 2 ? 0 : 100u * static_cast<unsigned>(receiver.number())));
      Writer claim;
      claim.u32(static_cast<std::uint32_t>(rng.below(20)));
      claim.u16(mpc::test::random_set(committee, rng).bits()).u16(mpc::test::random_set(committee, rng).bits());
      for (int i = 0; i < committee.parties(); ++i) claim.u8(static_cast<std::uint8_t>(rng.below(4)));
      out.payload = runtime::make_payload(claim.take());
    }
    return std::vector{out};
  };
}

// Lies in every message of protocol and calls, and a party that restarts beside them.
TEST(PreprocessingRestart, LiarsDoNotKeepARestartedPartyOut) {
  for (const auto [n, t, runs] : {std::tuple{7, 2, 20u}, {13, 4, 3u}}) {
    Restart test(n, t);
    const auto variant = mpc::variant_for(test.committee);
    const auto report = runtime::sim::campaign(
        fmt::format("preprocessing restart and liars n={}", n), 1, runs,
        [&](std::uint64_t seed, Coverage& coverage) -> Status {
          SimRng rng(seed, 47);
          const auto world = test.world(seed);
          const mpc::test::Tap tap(*world);
          for (int i = 1; i < t; ++i) {
            auto& faults = world->faults(Role(i));
            faults.byzantine = true;
            faults.rushing = rng.chance(0.5);
            faults.corrupt =
                runtime::sim::sometimes(0.3, rng.next64(), mpc::test::draw_lie(test.committee, 7, variant, rng));
            if (rng.chance(0.2))
              faults.corrupt = runtime::sim::sometimes(0.3, rng.next64(), runtime::sim::mangle(seed));
            if (rng.chance(0.5)) faults.corrupt = lie_about_attempts(test.scene, rng.next64());
            if (rng.chance(0.3)) world->set_program(Role(i), calling(test.scene, test.outcomes));
          }
          world->faults(Role(n)).crashes = {{1 + rng.below(1000), rng.between(1ms, 5s)}};
          world->run(30'000s);
          coverage.merge(world->coverage());
          return judge_restarts(*world, test.scene, test.outcomes, RoleSet{Role(n)}, coverage, &tap);
        });
    EXPECT_EQ(report.failures.size(), 0u);
  }
}

}  // namespace
}  // namespace witan::protocols
