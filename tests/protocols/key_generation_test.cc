// A key generation as a whole in the simulator: preprocessing by protocol W, then the online phase. What comes out is compared with what a
// dealer computes from the reconstructed keys and noises.
#include "protocols/key_generation_impl.h"

#include <gtest/gtest.h>

#include <map>

#include "mpc/faults_for_test.h"
#include "mpc/tap_for_test.h"
#include "protocols/key_generation_world.h"
#include "runtime/sim_adversary.h"

namespace witan::protocols {
namespace {

using namespace std::chrono_literals;
using runtime::RoleSet;
using runtime::sim::Coverage;
using runtime::sim::Node;
using runtime::sim::SimRng;
using runtime::sim::World;
using test::kAllNew;
using test::kExisting;
using test::kExistingButOprf;
using test::kExistingOfFullMaterial;
using test::Keys;
using test::MemoryMaterial;
using test::Scene;

/// The noises of the generation, one after the other.
class GivenNoise final : public tfhe::NoiseSource {
 public:
  explicit GivenNoise(std::vector<tfhe::i64> noises) : noises_(std::move(noises)) {}
  void fill(tfhe::TUniform, std::span<tfhe::i64> out) override {
    for (auto& noise : out) noise = noises_.at(at_++);
  }
  bool used_up() const { return at_ == noises_.size(); }

 private:
  std::vector<tfhe::i64> noises_;
  std::size_t at_ = 0;
};

u128 seed_of(const tfhe::CompressedKeySet& set) {
  u128 seed = 0;
  for (std::size_t i = 0; i < 16; ++i) seed |= u128{set.seed.data[8 + i]} << 8 * i;
  return seed;
}

struct Outcome {
  Result<GeneratedKey> key = fail(Code::unavailable, "did not end");
  RoleSet liars;
  std::size_t untaken = 0;  // bytes that its router holds at the end, because nobody has taken them
};
using Outcomes = std::map<int, Outcome>;

template <class Rules = KeyGenerationRules>
runtime::sim::Program online(const Scene& scene, Outcomes& outcomes, std::map<int, KeyGenerationJob> jobs = {}) {
  return [&scene, &outcomes, jobs = std::move(jobs)](Node& node) -> runtime::Task<void> {
    const auto other = jobs.find(node.role().number());
    BasicKeyGeneration<Rules> run({node.router(), node.journal(), node.compute(), scene.epoch.keys(node.role()),
                                   *scene.material[node.role().index()], scene.existing[node.role().index()]},
                                  other == jobs.end() ? scene.job() : other->second);
    auto key = co_await run.run(500s);
    outcomes[node.role().number()] = {std::move(key), run.liars(), node.router().usage().waiting_bytes};
    co_await node.loop().sleep_for(600s);
  };
}

/// Everybody honest has the same set, and the liars that it names lied.
Status judge(World& world, const tfhe::CompressedKeySet& truth, const Outcomes& outcomes) {
  WITAN_TRY(world.audit().verdict());
  for (const Role role : RoleSet::all(world.committee()) - world.byzantine()) {
    const auto found = outcomes.find(role.number());
    if (found == outcomes.end()) return fail(Code::internal, "party {} has not ended", role.number());
    if (!found->second.key)
      return fail(Code::internal, "party {}: {}", role.number(), found->second.key.error().message);
    if (found->second.key->set != truth) return fail(Code::internal, "party {} has another key set", role.number());
    for (const Role liar : found->second.liars)
      if (!world.byzantine().contains(liar)) return fail(Code::internal, "an honest party is called a liar");
  }
  return {};
}

class KeyGenerationRun : public testing::TestWithParam<std::tuple<const char*, int, int, Keys>> {};
INSTANTIATE_TEST_SUITE_P(
    Each, KeyGenerationRun,
    testing::Values(std::tuple{"witan_toy_a", 4, 1, kAllNew}, std::tuple{"witan_toy_a", 7, 2, kAllNew},
                    std::tuple{"witan_toy_a", 13, 4, kAllNew}, std::tuple{"test", 4, 1, kAllNew},
                    std::tuple{"witan_toy_a", 4, 1, kExisting}, std::tuple{"witan_toy_a", 13, 4, kExisting},
                    std::tuple{"test", 4, 1, kExisting}, std::tuple{"witan_toy_a", 4, 1, kExistingOfFullMaterial},
                    std::tuple{"witan_toy_a", 4, 1, kExistingButOprf}));

TEST_P(KeyGenerationRun, GivesWhatADealerWouldPublishForTheSameKeysAndNoises) {
  const auto [params, n, t, keys] = GetParam();
  SCOPED_TRACE(keys.name);
  const Scene scene(params, CommitteeSize::make(n, t).value(), 5, keys);
  Outcomes outcomes;
  World world({.seed = 1, .committee = scene.committee, .router = {}}, online(scene, outcomes));
  world.run(1000s);
  ASSERT_TRUE(outcomes.at(1).key) << outcomes.at(1).key.error().message;
  const auto& set = outcomes.at(1).key->set;
  GivenNoise noise(scene.noises());
  const auto dealt = tfhe::generate_key_set(scene.plan.params, scene.keys(), seed_of(set), noise, scene.job().options);
  EXPECT_TRUE(noise.used_up());
  EXPECT_EQ(set, dealt);
  const Status good = judge(world, dealt, outcomes);
  EXPECT_TRUE(good) << good.error().message;
  const bool makes_keys =
      std::ranges::any_of(scene.plan.key_bits, [&](const KeyBits& key) { return makes(scene.source, key.key); });
  for (const auto& own : scene.material)
    for (std::size_t order = 0; order < scene.orders.size(); ++order)
      for (std::uint64_t unit = 0; unit < scene.orders[order].units(); ++unit)
        ASSERT_EQ((own->taken[{order, unit}]), order != scene.layout.bits || makes_keys ? 1 : 0)
            << "unit " << unit << " of order " << order;
}

/// Shares of all that was made beforehand: key bits, noises, inputs, outputs and products of slices. Nothing of it may be sent as it is.
mpc::test::Secrets material_of(const Scene& scene) {
  mpc::test::Secrets out;
  for (std::size_t order = 0; order < scene.orders.size(); ++order) {
    const MaterialOrder& what = scene.orders[order];
    const auto of_ring = [&]<Word Z>(Z) {
      for (const Role role : RoleSet::all(scene.committee)) {
        const MemoryMaterial& own = *scene.material[role.index()];
        const auto content = own.read(order, 0, what.units()).value();
        std::vector<Gr<Z>> elements(content.reveal().size() / sizeof(Gr<Z>));
        std::memcpy(elements.data(), content.reveal().data(), content.reveal().size());
        const auto add = [&](const Gr<Z>& element, const char* name) {
          out.add(element, fmt::format("a share of {} of order {} of party {}", name, order, role.number()));
        };
        if (what.kind != MaterialOrder::Kind::slice) {
          for (const auto& element : elements) add(element, "a key bit or noise");
          continue;
        }
        const mpc::EpochKeys& keys = scene.epoch.keys(role);
        const mpc::ProductSlice<Z> slice(
            std::make_shared<const mpc::BitKernel<Z>>(keys.set_keys(), keys.zero_keys(), own.session(order).value()),
            what.inputs, what.outputs);
        std::vector<Share<Z>> products(elements.size());
        if (!slice.products(0, elements, products)) throw std::runtime_error("no products");
        for (const auto& x : slice.x()) add(x.value, "an input");
        for (const auto& y : slice.y()) add(y.value, "an output");
        for (const auto& product : products) add(product.value, "a product");
      }
    };
    if (what.word_bits == 64)
      of_ring(Z64{});
    else
      of_ring(Z128{});
  }
  return out;
}

/// Nothing has left an honest party but its digest, its shares of the seed and of the differences, and those of the bodies: by the byte.
Status judge_sent(const mpc::test::Tap& tap, const Scene& scene, const mpc::test::Secrets& material) {
  const auto cost = cost_of(scene.plan, scene.committee, mpc::OpeningVariant::w1, BodyOpeningKind::direct);
  const auto others = static_cast<std::uint64_t>(scene.committee.parties() - 1);
  const auto at_most = [](const auto& sent, std::uint64_t bytes, const char* what) -> Status {
    for (const auto& [link, size] : sent)
      if (size > bytes)
        return fail(Code::internal, "party {} sent party {} {} bytes of {}, {} are specified", link.first.number(),
                    link.second.number(), size, what, bytes);
    return {};
  };
  WITAN_TRY(at_most(tap.bytes([](const runtime::Frame& frame) { return frame.step == kKeyAgree; }),
                    sizeof(crypto::Digest), "a digest"));
  WITAN_TRY(
      at_most(tap.bytes([](const runtime::Frame& frame) { return frame.step != kKeyAgree && frame.step < kKeyBodies; }),
              cost.differences_bytes / others, "seed and differences"));
  WITAN_TRY(at_most(tap.bytes([](const runtime::Frame& frame) { return frame.step >= kKeyBodies; }),
                    cost.bodies_bytes / others, "bodies"));
  return tap.keeps(material);
}

/// A scene and its key set, made once.
struct Made {
  explicit Made(std::pair<int, int> size, const Keys& keys = kAllNew)
      : scene("witan_toy_a", CommitteeSize::make(size.first, size.second).value(), 5, keys),
        material(material_of(scene)) {
    Outcomes outcomes;
    World world({.seed = 1, .committee = scene.committee, .router = {}}, online(scene, outcomes));
    world.run(1000s);
    set = std::move(outcomes.at(1).key).value().set;
  }
  Scene scene;
  mpc::test::Secrets material;
  tfhe::CompressedKeySet set;
};
constexpr std::pair<int, int> kCommittees[] = {{4, 1}, {7, 2}, {10, 3}, {13, 4}};

/// Whatever t parties do, however often honest ones restart, everybody publishes the same set.
void expect_the_same_key_set(std::pair<int, int> size, const Keys& keys, std::uint64_t seeds) {
  const Made made(size, keys);
  const auto report = runtime::sim::campaign(
      fmt::format("key generation{} n={}", keys.source == KeySource::all_new ? "" : " with existing keys", size.first),
      1, seeds, [&](std::uint64_t seed, Coverage& coverage) -> Status {
        SimRng rng(seed, 43);
        Outcomes outcomes;
        World world({.seed = seed, .committee = made.scene.committee, .router = {}}, online(made.scene, outcomes));
        const mpc::test::Tap tap(world);
        mpc::test::draw_faults(world, rng);
        mpc::test::draw_partition(world, rng);
        world.run(3000s);
        coverage.merge(world.coverage());
        for (const auto& [party, outcome] : outcomes)
          coverage.add("keygen.liars_named", static_cast<std::uint64_t>(outcome.liars.size()));
        WITAN_TRY(judge_sent(tap, made.scene, made.material));
        return judge(world, made.set, outcomes);
      });
  EXPECT_EQ(report.failures.size(), 0u);
  if (report.runs >= 100)
    EXPECT_EQ(report.never(mpc::test::kAsyncStrategies), std::vector<std::string>{}) << "n = " << size.first;
  EXPECT_EQ(report.never({"keygen.liars_named", "sim.crashes"}), std::vector<std::string>{}) << "n = " << size.first;
}

// S15, S32 to S34.
TEST(KeyGenerationCampaign, HonestPartiesAlwaysMakeTheSameKeySet) {
  for (const auto size : kCommittees)
    expect_the_same_key_set(size, kAllNew, size.first == 4 ? 200 : (size.first == 7 ? 50 : 12));
}

TEST(KeyGenerationCampaign, HonestPartiesAlwaysMakeTheSameKeySetFromExistingKeys) {
  for (const auto size : kCommittees)
    expect_the_same_key_set(size, kExisting, size.first == 4 ? 100 : (size.first == 7 ? 25 : 12));
}

// S7, S33: kill -9 at every point of a party; the same messages leave, the same set comes out.
void expect_the_same_key_set_after_every_crash(const Keys& keys) {
  const Made made({4, 1}, keys);
  std::uint64_t points = 1;
  for (std::uint64_t point = 0; point <= points; ++point) {  // 0: none, to count them
    Outcomes outcomes;
    World world({.seed = 4, .committee = made.scene.committee, .router = {}}, online(made.scene, outcomes));
    const mpc::test::Tap tap(world);
    if (point > 0) world.faults(Role(2)).crashes = {{point, 700ms}};
    world.run(1500s);
    if (point == 0) points = world.crash_points(Role(2));
    const Status sent = judge_sent(tap, made.scene, made.material);
    ASSERT_TRUE(sent) << "crash point " << point << ": " << sent.error().message;
    const Status good = judge(world, made.set, outcomes);
    ASSERT_TRUE(good) << "crash point " << point << ": " << good.error().message;
  }
  EXPECT_GT(points, 100u);
}

TEST(KeyGenerationCampaign, CrashAtEveryPointOfAParty) {
  expect_the_same_key_set_after_every_crash(kAllNew);
}

TEST(KeyGenerationCampaign, CrashAtEveryPointOfAPartyWithExistingKeys) {
  expect_the_same_key_set_after_every_crash(kExisting);
}

// S32: a party with another configuration computes nothing, the others finish.
TEST(KeyGenerationRules, APartyWithAnotherConfigurationStopsAndTheOthersFinish) {
  const Made made({4, 1});
  KeyGenerationJob other = made.scene.job();
  other.configuration[5] = 1;
  Outcomes outcomes;
  World world({.seed = 2, .committee = made.scene.committee, .router = {}}, online(made.scene, outcomes, {{3, other}}));
  world.faults(Role(3)).byzantine = true;  // judged apart
  world.run(2000s);
  const Status good = judge(world, made.set, outcomes);
  EXPECT_TRUE(good) << good.error().message;
  ASSERT_FALSE(outcomes.at(3).key);
  EXPECT_EQ(outcomes.at(3).key.error().code, Code::aborted) << outcomes.at(3).key.error().message;
}

struct WithoutAgreement : KeyGenerationRules {
  static constexpr bool agree_first = false;
};

// S32: four of seven have the same configuration, n-t is five: nobody sends a share. Without the rule everybody does.
TEST(KeyGenerationRules, NoShareLeavesBeforeNMinusTAgree) {
  const Made made({7, 2});
  KeyGenerationJob other = made.scene.job();
  other.configuration[5] = 1;
  const auto senders_of_shares = [&]<class Rules>(Rules) {
    Outcomes outcomes;
    RoleSet out;
    World world({.seed = 2, .committee = made.scene.committee, .router = {}},
                online<Rules>(made.scene, outcomes, {{2, other}, {5, other}, {7, other}}));
    world.set_tap([&out](Role from, Role, const runtime::Frame& frame) {
      if (frame.kind == runtime::FrameKind::data && frame.step != kKeyAgree) out.insert(from);
    });
    world.run(2000s);
    for (int party = 1; party <= 7; ++party) EXPECT_EQ(outcomes.contains(party), true) << party;
    return out;
  };
  EXPECT_TRUE(senders_of_shares(KeyGenerationRules{}).empty());
  EXPECT_EQ(senders_of_shares(WithoutAgreement{}), RoleSet::all(made.scene.committee));
}

// S32: the keys that the set is made from are among what all must agree on.
TEST(KeyGenerationRules, PartiesThatTakeKeysFromDifferentPlacesMakeNoKeyTogether) {
  const Made made({4, 1}, kExistingOfFullMaterial);
  KeyGenerationJob all_new = made.scene.job();
  all_new.source = KeySource::all_new;
  Outcomes outcomes;
  World world({.seed = 2, .committee = made.scene.committee, .router = {}},
              online(made.scene, outcomes, {{3, all_new}, {4, all_new}}));
  world.run(2000s);
  for (int party = 1; party <= 4; ++party) {
    ASSERT_FALSE(outcomes.at(party).key) << party;
    EXPECT_EQ(outcomes.at(party).key.error().code, Code::aborted) << outcomes.at(party).key.error().message;
  }
}

// A party whose vault holds other shares of the existing key counts as one that lies.
TEST(KeyGenerationRules, APartyWithOtherSharesOfTheExistingKeyIsNamedAndTheOthersFinish) {
  Made made({4, 1}, kExisting);
  made.scene.existing[2] = made.scene.existing[1];
  Outcomes outcomes;
  World world({.seed = 2, .committee = made.scene.committee, .router = {}}, online(made.scene, outcomes));
  world.faults(Role(3)).byzantine = true;  // judged apart
  world.run(2000s);
  const Status good = judge(world, made.set, outcomes);
  EXPECT_TRUE(good) << good.error().message;
  for (const int party : {1, 2, 4}) EXPECT_TRUE(outcomes.at(party).liars.contains(Role(3))) << party;
}

// S33: the session of a key is bound to one preprocessing and configuration for ever.
TEST(KeyGenerationRules, AnotherConfigurationUnderTheSameKeyIdIsRefusedAlsoAfterARestart) {
  const Made made({4, 1});
  KeyGenerationJob other = made.scene.job();
  other.configuration[5] = 1;
  std::map<int, Status> second;
  World world({.seed = 2, .committee = made.scene.committee, .router = {}}, [&](Node& node) -> runtime::Task<void> {
    KeyGeneration run({node.router(), node.journal(), node.compute(), made.scene.epoch.keys(node.role()),
                       *made.scene.material[node.role().index()], made.scene.existing[node.role().index()]},
                      node.life() == 0 ? made.scene.job() : other);
    auto key = co_await run.run(500s);
    if (node.life() > 0) second[node.role().number()] = key ? Status{} : Status(std::unexpected(key.error()));
    co_await node.loop().sleep_for(600s);
  });
  world.faults(Role(2)).crashes = {{60, 700ms}};
  world.run(1500s);
  ASSERT_TRUE(second.contains(2));
  ASSERT_FALSE(second.at(2));
  EXPECT_EQ(second.at(2).error().code, Code::already_exists);
}

// R1, S20: what leaves for a component has the size of its ring; all bytes together are those of the cost model.
TEST(KeyGenerationRules, BodiesTakeTheBytesOfTheirRing) {
  for (const Keys& keys : {kAllNew, kExisting}) {
    SCOPED_TRACE(keys.name);
    const Made made({4, 1}, keys);
    Outcomes outcomes;
    World world({.seed = 3, .committee = made.scene.committee, .router = {}}, online(made.scene, outcomes));
    std::uint64_t bodies = 0, before = 0;
    world.faults(Role(2)).corrupt = [&](Role, const runtime::Frame& frame) {
      if (frame.kind == runtime::FrameKind::data && frame.payload && frame.step != kKeyAgree)
        (frame.step >= kKeyBodies ? bodies : before) += frame.payload->size();
      return std::vector{frame};
    };
    world.run(1000s);
    const auto cost = cost_of(made.scene.plan, made.scene.committee, mpc::OpeningVariant::w1, BodyOpeningKind::direct);
    EXPECT_EQ(bodies, cost.bodies_bytes);
    EXPECT_EQ(before, cost.differences_bytes);
  }
}

// Of each chunk 2t+1 bodies are taken. Those of the slowest party must not pile up until a router refuses what it sends: it is needed as soon
// as another one falls silent.
TEST(KeyGenerationRules, ASlowPartyIsHeardWhenAFastOneFallsSilent) {
  const Made made({4, 1});
  std::map<runtime::Step, std::size_t> sizes;  // of one party's bodies, as a router counts them
  const auto run = [&](runtime::RouterLimits limits, runtime::Step silent_from) {
    Outcomes outcomes;
    World world({.seed = 4, .committee = made.scene.committee, .router = limits}, online(made.scene, outcomes));
    world.faults(Role(3)).slow = 300ms;
    world.faults(Role(4)).corrupt = [&sizes, silent_from](Role, const runtime::Frame& frame) {
      if (frame.kind == runtime::FrameKind::data && frame.payload && frame.step >= kKeyBodies)
        sizes[frame.step] = frame.payload->size() + runtime::RouterLimits::kFrameOverheadBytes;
      return frame.step >= silent_from ? std::vector<runtime::Frame>{} : std::vector{frame};
    };
    world.run(1200s);
    // What came too late has been let go: the digests of the beginning alone are left.
    for (const int party : {1, 2})
      EXPECT_LE(outcomes.at(party).untaken, 3 * (sizeof(crypto::Digest) + runtime::RouterLimits::kFrameOverheadBytes));
    return judge(world, made.set, outcomes);
  };
  const Status all = run({}, ~runtime::Step{0});
  ASSERT_TRUE(all) << all.error().message;
  std::size_t largest = 0, sent = 0;
  for (const auto& [step, size] : sizes) largest = std::max(largest, size);
  const auto full = std::ranges::find_if(sizes, [&](const auto& of) { return (sent += of.second) > 2 * largest; });
  ASSERT_TRUE(full != sizes.end() && std::next(full) != sizes.end()) << sizes.size() << " chunks";
  const Status good = run({.waiting_bytes = largest}, std::next(full)->first);
  EXPECT_TRUE(good) << good.error().message;
}

}  // namespace
}  // namespace witan::protocols
