#include <gtest/gtest.h>

#include <map>

#include "mpc/committees_for_test.h"
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
using mpc::test::honest;
using mpc::test::kCommittees;
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
    if (put_takes > runtime::Duration{}) co_await loop->sleep_for(put_takes);
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
  runtime::Loop* loop = nullptr;  // of this life of its party
  runtime::Duration put_takes{};

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
  std::map<Role, runtime::Duration> put_takes = {};  // 0 for the others
};

runtime::sim::Program preprocessing(const Scene& scene, Outcomes& outcomes) {
  return [&](Node& node) -> runtime::Task<void> {
    const auto signatories = scene.epoch.signatories(node.role());
    Outcome& outcome = outcomes[node.role().number()];
    outcome.was_done = outcome.status.has_value();
    outcome.status = fail(Code::unavailable, "did not end");
    if (!outcome.store) outcome.store = std::make_unique<MemoryStore>(scene.plan);
    outcome.store->loop = &node.loop();
    if (const auto slow = scene.put_takes.find(node.role()); slow != scene.put_takes.end())
      outcome.store->put_takes = slow->second;
    Preprocessing run({node.router(), node.journal(), node.compute(), scene.epoch.keys(node.role()), signatories}, id(),
                      0, scene.plan, *outcome.store, scene.options);
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

template <mpc::Word Z>
Status check_order(const Scene& scene, const Outcomes& outcomes, RoleSet parties, std::size_t index) {
  const MaterialOrder& order = scene.plan[index];
  std::map<int, std::vector<Gr<Z>>> shares;
  for (const Role role : parties) {
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

/// These parties have everything, the same, and it is right.
Status judge_material(const Scene& scene, const Outcomes& outcomes, RoleSet parties) {
  for (const Role role : parties) {
    const Outcome& outcome = outcomes.at(role.number());
    if (!outcome.status) return fail(Code::internal, "party {}: {}", role.number(), outcome.status.error().message);
    if (outcome.content != outcomes.at((*parties.begin()).number()).content)
      return fail(Code::internal, "party {} has other material", role.number());
  }
  for (std::size_t order = 0; order < scene.plan.size(); ++order)
    WITAN_TRY(scene.plan[order].word_bits == 64 ? check_order<Z64>(scene, outcomes, parties, order)
                                                : check_order<Z128>(scene, outcomes, parties, order));
  return {};
}

Status judge(World& world, const Scene& scene, const Outcomes& outcomes) {
  WITAN_TRY(world.audit().verdict());
  const RoleSet good = honest(world);
  for (const Role role : good) {
    const Outcome& outcome = outcomes.at(role.number());
    if (!outcome.status) return fail(Code::internal, "party {}: {}", role.number(), outcome.status.error().message);
    for (const mpc::Verdict& verdict : outcome.disputes->verdicts())
      if (good.contains(verdict.party) && good.contains(verdict.other))
        return fail(Code::internal, "an honest party is convicted: {}", verdict.reason);
  }
  return judge_material(scene, outcomes, good);
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
  return {.variant = variant, .batch_elements = 25, .decide_bytes = 3500, .chunk_rows = 4, .delay = 700ms};
}

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

/// Delays of the network one after the other until the last party has everything: nobody is faulty, and nothing else takes time.
double sequential_delays(const Scene& scene) {
  constexpr runtime::Duration delay = 50ms;
  Outcomes outcomes;
  World world({.seed = 1,
               .committee = scene.committee,
               .min_delay = delay,
               .max_delay = delay,
               .reorder = 0,
               .router = {},
               .sync_time = 1us},
              preprocessing(scene, outcomes));
  world.run(3000s);
  const Status good = judge(world, scene, outcomes);
  EXPECT_TRUE(good) << good.error().message;
  runtime::Duration took{};
  for (const auto& [party, outcome] : outcomes) took = std::max(took, outcome.took);
  return static_cast<double>(took.count()) / static_cast<double>(delay.count());
}

// What the cost model of protocols/key_plan.h counts: one exchange, and two delays for each decide, three with the second phase of W2.
TEST(Preprocessing, ADecideTakesTheSameDelaysHoweverManyBatchesItIsAbout) {
  const MaterialPlan plan{{.kind = Kind::noises, .word_bits = 128, .count = 192, .bound_log2 = 17},
                          {.kind = Kind::noises, .word_bits = 64, .count = 192, .bound_log2 = 3},
                          {.kind = Kind::slice, .word_bits = 64, .inputs = 5, .outputs = 8}};
  for (const auto [n, t] : kCommittees) {
    const auto committee = CommitteeSize::make(n, t).value();
    const auto variant = mpc::variant_for(committee);
    const double per_decide = variant == mpc::OpeningVariant::w1 ? 2 : 3;
    std::map<std::size_t, double> delays;
    for (const std::size_t decide_bytes : {1u, 10'000u}) {
      PreprocessingOptions options = small(variant);
      options.decide_bytes = decide_bytes;
      const BatchCount count = batches_of(plan, options.batch_elements, decide_bytes);
      EXPECT_EQ(count.batches, 48u + 10 + 1);
      EXPECT_EQ(count.decides, decide_bytes == 1 ? count.batches : 6u + 1);
      delays[decide_bytes] = sequential_delays(Scene(committee, plan, options));
      EXPECT_NEAR(delays[decide_bytes], 1 + per_decide * static_cast<double>(count.decides), 0.5) << n;
    }
    EXPECT_LT(delays[10'000], delays[1] / 7);
  }
}

// Whoever fetches the values of every decide, and stores for as long as it may, is in the next ones in time (mpc::Patience).
TEST(PreprocessingCampaign, WhoLacksValuesOrStoresSlowlyIsNotLate) {
  Coverage seen;
  std::uint64_t runs = 0;
  for (const auto [n, t, count] : {std::tuple{4, 1, 40u}, {7, 2, 10u}, {13, 4, 2u}}) {
    const auto committee = CommitteeSize::make(n, t).value();
    const auto variant = mpc::variant_for(committee);
    PreprocessingOptions options = small(variant);
    options.delay = 24ms;  // sim::WorldOptions::max_delay is 20 ms
    Scene scene(committee, small_plan(), options);
    for (int i = 1; i <= n; i += 2)
      scene.put_takes[Role(i)] = options.delay / 8;  // a group has at most eight pieces, mostly
    const auto report = runtime::sim::campaign(
        fmt::format("preprocessing slow stores n={}", n), 1, count,
        [&](std::uint64_t seed, Coverage& coverage) -> Status {
          SimRng rng(seed, 53);
          Outcomes outcomes;
          runtime::sim::WorldOptions world_options{.seed = seed, .committee = committee, .router = {}};
          if (rng.chance(0.5)) world_options.min_delay = world_options.max_delay - 1ms;
          World world(world_options, preprocessing(scene, outcomes));
          const RoleSet liars = mpc::test::draw_parties(committee, rng);
          for (const Role party : liars) {
            auto& faults = world.faults(party);
            faults.byzantine = true;
            faults.rushing = rng.chance(0.5);
            // Up to t honest parties have other values than the rest.
            faults.corrupt = mpc::test::only(
                mpc::test::Part::phase_1,
                mpc::test::towards(mpc::test::draw_parties(committee, rng) - liars, mpc::test::flip_a_bit(seed)));
            if (rng.chance(0.5))
              faults.corrupt = runtime::sim::both(faults.corrupt,
                                                  mpc::test::only(mpc::test::Part::fetched, mpc::test::never_sends()));
          }
          world.run(300'000s);
          coverage.merge(world.coverage());
          for (const Role role : honest(world)) coverage.add("slow.fetched", outcomes.at(role.number()).report.fetched);
          return judge(world, scene, outcomes);
        });
    EXPECT_EQ(report.failures.size(), 0u);
    seen.merge(report.coverage);
    runs += report.runs;
  }
  if (runs < 52) return;  // a part of the campaign does not show everything
  EXPECT_GT(seen.count("slow.fetched"), 0u);
}

// ... and who takes longer is waited for in one decide.
TEST(Preprocessing, WhoStoresTooSlowlyIsExcludedForSilence) {
  const auto committee = CommitteeSize::make(4, 1).value();
  Scene scene(committee, small_plan(), small(mpc::OpeningVariant::w1));
  scene.put_takes[Role(2)] = 1000 * scene.options.delay;
  Outcomes outcomes;
  World world({.seed = 1, .committee = committee, .router = {}}, preprocessing(scene, outcomes));
  world.run(300'000s);
  EXPECT_FALSE(outcomes.at(2).status);
  for (const int party : {1, 3, 4}) {
    ASSERT_TRUE(outcomes.at(party).status) << outcomes.at(party).status.error().message;
    const auto& verdicts = outcomes.at(party).disputes->verdicts();
    ASSERT_EQ(verdicts.size(), 1u);
    EXPECT_EQ(verdicts[0].party, Role(2));
    EXPECT_EQ(verdicts[0].kind, mpc::Verdict::Kind::missing) << verdicts[0].reason;
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
    for (const Role role : honest(world))
      EXPECT_LE(outcomes.at(role.number()).took,
                patience.exchange + (w1 ? 0s : patience.phase_2) + patience.round + 3s);
  }
}

// S19, S24, S25, S31: several batches under way, disputes in the middle of windows and slices; whatever t parties do, everybody has
// the same material, all of it, and it is right.
TEST(PreprocessingCampaign, HonestPartiesAlwaysHaveAllOfItAndItIsRight) {
  Coverage seen;
  std::uint64_t runs = 0;
  for (const auto [n, t] : kCommittees) {
    const auto committee = CommitteeSize::make(n, t).value();
    const auto variant = mpc::variant_for(committee);
    const Scene scene(committee, small_plan(), small(variant));
    const auto report = runtime::sim::campaign(
        fmt::format("preprocessing n={}", n), 1, n == 4 ? 80 : (n == 7 ? 20 : 5),
        [&](std::uint64_t seed, Coverage& coverage) -> Status {
          SimRng rng(seed, 41);
          Outcomes outcomes;
          World world({.seed = seed, .committee = committee, .router = {}}, preprocessing(scene, outcomes));
          for (const Role party : mpc::test::draw_parties(committee, rng)) {
            auto& faults = world.faults(party);
            faults.byzantine = true;
            faults.rushing = rng.chance(0.5);
            faults.corrupt =
                runtime::sim::sometimes(0.3, rng.next64(), mpc::test::draw_lie(committee, 14, variant, rng));
            if (rng.chance(0.3)) faults.crashes = {{1 + rng.below(3000), 2000s}};
          }
          world.run(300'000s);
          coverage.merge(world.coverage());
          for (const auto& [party, outcome] : outcomes) {
            if (world.byzantine().contains(Role(party))) continue;
            coverage.add("preprocessing.passes", outcome.report.passes);
            coverage.add("preprocessing.fetched", outcome.report.fetched);
            coverage.add("preprocessing.more_batches", outcome.progress.batches > 14);
          }
          return judge(world, scene, outcomes);
        });
    EXPECT_EQ(report.failures.size(), 0u);
    seen.merge(report.coverage);
    runs += report.runs;
  }
  if (runs < 110) return;  // a part of the campaign does not show everything
  for (const char* name :
       {"preprocessing.passes", "preprocessing.fetched", "preprocessing.more_batches", "sim.crashes"})
    EXPECT_GT(seen.count(name), 0u) << name << " never happened";
}

// ---- restarts (S7, S17, S19, S31; issue 6): protocols/attempts.h

/// Whoever was down at some time: a convicted party, a wrong or second use of a message, or other material is a violation; too late
/// is not. `may_fail`: parties that may have come too late.
Status judge_restarts(World& world, const Scene& scene, const Outcomes& outcomes, RoleSet may_fail,
                      Coverage& coverage) {
  WITAN_TRY(world.audit().verdict());
  RoleSet good;
  for (const Role role : honest(world)) {
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
  return judge_material(scene, outcomes, good);
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
  test.scene.plan[0].count = 60'000;
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
    test.scene.plan[0].count = 60'000;
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
  for (const auto [n, t, crashes] : {std::tuple{4, 1, 150u}, {7, 2, 15u}, {13, 4, 4u}}) {
    Restart test(n, t);
    const auto whole = test.world(1);
    whole->run(3000s);
    const std::uint64_t points = whole->crash_points(Role(1));
    const auto report =
        runtime::sim::campaign(fmt::format("preprocessing restart n={}", n), 1, crashes,
                               [&](std::uint64_t seed, Coverage& coverage) -> Status {
                                 SimRng rng(seed, 43);
                                 const auto world = test.world(seed);
                                 const Role party(1 + static_cast<int>(rng.below(static_cast<std::uint64_t>(n))));
                                 const std::uint64_t at = 1 + seed * 7919 % points;
                                 world->faults(party).crashes = {{at, rng.between(1ms, rng.chance(0.5) ? 300ms : 5s)}};
                                 if (rng.chance(0.3))
                                   world->faults(party).crashes.push_back({at + 1 + rng.below(500), 100ms});
                                 world->run(3000s);
                                 coverage.merge(world->coverage());
                                 return judge_restarts(*world, test.scene, test.outcomes, RoleSet{party}, coverage);
                               });
    EXPECT_EQ(report.failures.size(), 0u);
    if (report.runs < crashes) continue;
    for (const char* name : {"sim.crashes", "restart.attempts", "restart.dropped", "restart.in_time"})
      EXPECT_GT(report.coverage.count(name), 0u) << name << " never happened at n = " << n;
  }
}

// Why the journal comes before the first message: a party that does not remember goes on in the same sessions, where a liar shows it other
// things than before, so that it says other things than before. That is in the first decide: what is decided others do not show again.
TEST(PreprocessingRemovedDefence, WithoutTheJournalARestartedPartySaysTwoThings) {
  const auto violations = [](bool remembers) {
    int count = 0;
    for (std::uint64_t seed = 1; seed <= 24; ++seed) {
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
      world->faults(Role(2)).crashes = {{20 * seed, 100ms}};
      world->run(3000s);
      count += !world->audit().verdict();
    }
    return count;
  };
  EXPECT_GT(violations(false), 0);
  EXPECT_EQ(violations(true), 0);
}

SessionId call_session(const PreprocessingOptions& options) {
  return crypto::session_id(preprocessing_name(id(), options), crypto::SessionKind::preprocessing_64, 0, kCallSession);
}

/// A party's call for an attempt, whatever it is doing.
void call_for(Node& node, const Scene& scene, std::uint16_t attempt) {
  Writer name;
  name.raw(preprocessing_name(id(), scene.options)).u16(0).u16(attempt);
  const auto own = mpc::Calls(scene.epoch.signatories(node.role()), name.take(), {}).sign();
  const SessionId session = call_session(scene.options);
  for (const Role peer : RoleSet::others(scene.committee, node.role()))
    (void)node.link().send(
        peer,
        {runtime::FrameKind::data, session, kCallStep + attempt, runtime::make_payload(Bytes(own.begin(), own.end()))},
        runtime::Lane::urgent);
}

/// Calls for the next attempt whenever it may, and claims that it has nothing; else follows the protocol.
runtime::sim::Program calling(const Scene& scene, Outcomes& outcomes) {
  return [&](Node& node) -> runtime::Task<void> {
    for (std::uint16_t attempt = 1; attempt <= kMaxAttempts; ++attempt) call_for(node, scene, attempt);
    co_await preprocessing(scene, outcomes)(node);
  };
}

// Calls for attempt 2 overtake those for attempt 1, by less than a delay: it is attempt 1 that n - t parties begin.
TEST(PreprocessingRestart, CallsForALaterAttemptDoNotEndOneWhoseCallsMayStillCome) {
  const auto committee = CommitteeSize::make(4, 1).value();
  const Scene scene(committee, small_plan(), restarting(mpc::OpeningVariant::w1));
  const runtime::Duration delay = scene.options.delay;
  for (const bool in_time : {true, false}) {
    World world({.seed = 1, .committee = committee, .router = {}}, [&](Node& node) -> runtime::Task<void> {
      if (node.role() == Role(1)) {
        const auto signatories = scene.epoch.signatories(node.role());
        Attempts attempts({node.router(), node.journal(), node.compute(), scene.epoch.keys(node.role()), signatories},
                          id(), preprocessing_name(id(), scene.options), 0,
                          {.variant = scene.options.variant, .delay = delay, .wait = 200s});
        EXPECT_TRUE(co_await attempts.open());
        EXPECT_TRUE(co_await attempts.begin());
        EXPECT_TRUE(co_await attempts.leave({}, {}));
        (void)co_await attempts.next();  // with nobody: the others only call
      } else if (node.role() != Role(4)) {
        call_for(node, scene, 2);
        co_await node.loop().sleep_for(in_time ? delay / 2 : 10 * delay);
        call_for(node, scene, 1);
      }
      co_await node.loop().sleep_for(300s);
    });
    std::vector<runtime::Step> said;  // by party 1
    runtime::Instant called_again = runtime::kNever;
    world.faults(Role(1)).corrupt = [&](Role receiver, const runtime::Frame& frame) {
      if (receiver == Role(2) && frame.kind == runtime::FrameKind::data) {
        said.push_back(frame.step);
        if (frame.step == kCallStep + 2) called_again = std::min(called_again, world.now());
      }
      return std::vector{frame};
    };
    world.run(5 * delay);
    ASSERT_GE(said.size(), 2u);
    EXPECT_EQ(said[0], kCallStep + 1);
    EXPECT_EQ(said[1], in_time ? kGatheredStep + 1 : kCallStep + 2);
    if (!in_time) EXPECT_GE(called_again, runtime::Instant(delay));
  }
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
runtime::sim::Corrupt lie_about_attempts(CommitteeSize committee, const PreprocessingOptions& options,
                                         std::uint64_t seed) {
  const SessionId session = call_session(options);
  return [=](Role receiver, const runtime::Frame& frame) {
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
          for (int i = 1; i < t; ++i) {
            auto& faults = world->faults(Role(i));
            faults.byzantine = true;
            faults.rushing = rng.chance(0.5);
            faults.corrupt =
                runtime::sim::sometimes(0.3, rng.next64(), mpc::test::draw_lie(test.committee, 14, variant, rng));
            if (rng.chance(0.2))
              faults.corrupt = runtime::sim::sometimes(0.3, rng.next64(), runtime::sim::mangle(seed));
            if (rng.chance(0.5)) faults.corrupt = lie_about_attempts(test.committee, test.scene.options, rng.next64());
            if (rng.chance(0.3)) world->set_program(Role(i), calling(test.scene, test.outcomes));
          }
          world->faults(Role(n)).crashes = {{1 + rng.below(1000), rng.between(1ms, 5s)}};
          world->run(30'000s);
          coverage.merge(world->coverage());
          return judge_restarts(*world, test.scene, test.outcomes, RoleSet{Role(n)}, coverage);
        });
    EXPECT_EQ(report.failures.size(), 0u);
  }
}

}  // namespace
}  // namespace witan::protocols
