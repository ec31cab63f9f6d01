// A key generation as a whole in the simulator: preprocessing by protocol W, then the online phase. What comes out is compared with what a
// dealer computes from the reconstructed keys and noises.
#include "protocols/key_generation_impl.h"

#include <gtest/gtest.h>

#include <map>

#include "mpc/draw_keys_for_test.h"
#include "mpc/faults_for_test.h"
#include "protocols/preprocessing_impl.h"
#include "runtime/sim_adversary.h"

namespace witan::protocols {
namespace {

using namespace std::chrono_literals;
using runtime::RoleSet;
using runtime::sim::Coverage;
using runtime::sim::Node;
using runtime::sim::SimRng;
using runtime::sim::World;

template <class Id>
Id id(std::uint8_t first) {
  ByteArray<32> bytes{};
  bytes[0] = first;
  return Id(bytes);
}

/// Keeps everything, by order and unit; outlives crashes, as a disk does.
class MemoryMaterial final : public MaterialStore, public MaterialSource {
 public:
  explicit MemoryMaterial(const MaterialPlan& plan) : plan_(plan) {}
  runtime::Task<Status> put(std::size_t order, std::uint64_t first, SessionId session, Secret<Bytes> content) override {
    const std::size_t unit = plan_[order].unit_bytes();
    for (std::size_t at = 0; at < content.reveal().size(); at += unit, ++first) {
      const auto piece = ByteView(content.reveal()).subspan(at, std::min(unit, content.reveal().size() - at));
      units_[{order, first}] = Bytes(piece.begin(), piece.end());
    }
    sessions_.insert_or_assign(order, session);
    co_return Status{};
  }
  runtime::Task<Status> drop(std::size_t order, UnitRange units) override {
    for (std::uint64_t unit = units.first; unit < units.first + units.count; ++unit) units_.erase({order, unit});
    co_return Status{};
  }
  runtime::Task<Result<Secret<Bytes>>> get(std::size_t order, std::uint64_t first, std::uint64_t count) override {
    co_return read(order, first, count);
  }
  Result<SessionId> session(std::size_t order) const override { return sessions_.at(order); }
  Result<Secret<Bytes>> read(std::size_t order, std::uint64_t first, std::uint64_t count) const {
    Bytes out;
    for (std::uint64_t unit = first; unit < first + count; ++unit) {
      const auto found = units_.find({order, unit});
      if (found == units_.end()) return fail(Code::not_found, "unit {} of order {}", unit, order);
      append(out, found->second);
    }
    return Secret<Bytes>(std::move(out));
  }

 private:
  const MaterialPlan& plan_;
  std::map<std::pair<std::size_t, std::uint64_t>, Bytes> units_;
  std::map<std::size_t, SessionId> sessions_;
};

/// One key generation of a committee. The preprocessing runs once, without faults.
struct Scene {
  Scene(std::string_view params, CommitteeSize size)
      : committee(size),
        plan(plan_key_generation(tfhe::params_by_name(params).value(), KeySource::all_new).value()),
        layout(plan),
        epoch(size, 5) {
    for (int i = 0; i < size.parties(); ++i) material.push_back(std::make_unique<MemoryMaterial>(layout.orders));
    int done = 0;
    World world({.seed = 1, .committee = committee, .router = {}}, [&](Node& node) -> runtime::Task<void> {
      const auto signatories = epoch.signatories(node.role());
      Preprocessing run({node.router(), node.journal(), node.compute(), epoch.keys(node.role()), signatories},
                        id<PreprocId>(1), 0, layout.orders, *material[node.role().index()],
                        {.variant = mpc::variant_for(committee), .batch_elements = 4096, .delay = 700ms});
      const Status status = co_await run.run();
      if (!status) throw std::runtime_error(status.error().message);
      if (std::exchange(made, run.content()) != run.content() && done > 0)
        throw std::runtime_error("parties have other material");
      ++done;
      co_await node.loop().sleep_for(300s);
    });
    world.run(10'000s);
    if (done != size.parties()) throw std::runtime_error("the preprocessing did not end");
  }

  KeyGenerationJob job() const {
    KeyGenerationJob out{
        .key = id<KeyId>(2), .preprocessing = id<PreprocId>(1), .material = made, .plan = plan, .options = {}};
    out.options.tag = Bytes(32, 2);
    return out;
  }

  /// What all parties' shares of these elements open to.
  template <Word Z>
  std::vector<Gr<Z>> open_material(std::size_t order) const {
    std::vector<Role> roles;
    std::vector<std::vector<Gr<Z>>> words;
    for (int i = 0; i < committee.parties(); ++i) {
      const auto content = material[static_cast<std::size_t>(i)]->read(order, 0, layout.orders[order].units()).value();
      roles.emplace_back(i + 1);
      words.emplace_back(content.reveal().size() / sizeof(Gr<Z>));
      std::memcpy(words.back().data(), content.reveal().data(), content.reveal().size());
    }
    const std::vector<std::span<const Gr<Z>>> views(words.begin(), words.end());
    const auto opened = algebra::open_batch<Z>(committee, roles, views);
    if (!opened || !opened->wrong.empty()) throw std::runtime_error("the material is not shared with degree t");
    return opened->values;
  }

  CommitteeSize committee;
  KeyPlan plan;
  KeyMaterial layout;
  mpc::test::DealtEpoch epoch;
  crypto::Digest made{};
  std::vector<std::unique_ptr<MemoryMaterial>> material;
};

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

std::vector<tfhe::i64> noises_of(const Scene& scene) {
  std::vector<tfhe::i64> out;
  for (std::size_t c = 0; c < scene.plan.components.size(); ++c) {
    std::uint64_t left = scene.plan.components[c].noises();
    const auto take = [&](const auto& elements) {
      for (const auto& element : elements)
        for (const auto word : element.c)
          if (left > 0) out.push_back(static_cast<tfhe::i64>(word)), --left;
    };
    if (scene.plan.components[c].ring() == Ring::gr64)
      take(scene.open_material<Z64>(scene.layout.noises[c]));
    else
      take(scene.open_material<Z128>(scene.layout.noises[c]));
  }
  return out;
}

tfhe::SecretKeySet keys_of(const Scene& scene) {
  std::vector<std::uint8_t> bits;
  for (const auto& bit : scene.open_material<Z128>(*scene.layout.bits)) {
    if (!bit.in_base_ring() || bit.c[0] > 1) throw std::runtime_error("a key bit is no bit");
    bits.push_back(static_cast<std::uint8_t>(bit.c[0]));
  }
  return tfhe::secret_keys_from_bits(scene.plan.params, bits).value();
}

u128 seed_of(const tfhe::CompressedKeySet& set) {
  u128 seed = 0;
  for (std::size_t i = 0; i < 16; ++i) seed |= u128{set.seed.data[8 + i]} << 8 * i;
  return seed;
}

struct Outcome {
  Result<GeneratedKey> key = fail(Code::unavailable, "did not end");
  RoleSet liars;
};
using Outcomes = std::map<int, Outcome>;

template <class Rules = KeyGenerationRules>
runtime::sim::Program online(const Scene& scene, Outcomes& outcomes, std::map<int, KeyGenerationJob> jobs = {}) {
  return [&scene, &outcomes, jobs = std::move(jobs)](Node& node) -> runtime::Task<void> {
    const auto other = jobs.find(node.role().number());
    BasicKeyGeneration<Rules> run({node.router(), node.journal(), node.compute(), scene.epoch.keys(node.role()),
                                   *scene.material[node.role().index()]},
                                  other == jobs.end() ? scene.job() : other->second);
    auto key = co_await run.run(node.loop().after(500s));
    outcomes[node.role().number()] = {std::move(key), run.liars()};
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

class KeyGenerationRun : public testing::TestWithParam<std::tuple<const char*, int, int>> {};
INSTANTIATE_TEST_SUITE_P(Each, KeyGenerationRun,
                         testing::Values(std::tuple{"witan_toy_a", 4, 1}, std::tuple{"witan_toy_a", 7, 2},
                                         std::tuple{"witan_toy_a", 13, 4}, std::tuple{"test", 4, 1}));

TEST_P(KeyGenerationRun, GivesWhatADealerWouldPublishForTheSameKeysAndNoises) {
  const auto [params, n, t] = GetParam();
  const Scene scene(params, CommitteeSize::make(n, t).value());
  Outcomes outcomes;
  World world({.seed = 1, .committee = scene.committee, .router = {}}, online(scene, outcomes));
  world.run(1000s);
  ASSERT_TRUE(outcomes.at(1).key) << outcomes.at(1).key.error().message;
  const auto& set = outcomes.at(1).key->set;
  GivenNoise noise(noises_of(scene));
  const auto dealt =
      tfhe::generate_key_set(scene.plan.params, keys_of(scene), seed_of(set), noise, scene.job().options);
  EXPECT_TRUE(noise.used_up());
  EXPECT_EQ(set, dealt);
  const Status good = judge(world, dealt, outcomes);
  EXPECT_TRUE(good) << good.error().message;
}

/// A scene and its key set, made once.
struct Made {
  explicit Made(std::pair<int, int> size) : scene("witan_toy_a", CommitteeSize::make(size.first, size.second).value()) {
    Outcomes outcomes;
    World world({.seed = 1, .committee = scene.committee, .router = {}}, online(scene, outcomes));
    world.run(1000s);
    set = std::move(outcomes.at(1).key).value().set;
  }
  Scene scene;
  tfhe::CompressedKeySet set;
};
constexpr std::pair<int, int> kCommittees[] = {{4, 1}, {7, 2}, {10, 3}, {13, 4}};

// S15, S32 to S34: whatever t parties do, however often honest ones restart, everybody publishes the same set.
TEST(KeyGenerationCampaign, HonestPartiesAlwaysMakeTheSameKeySet) {
  for (const auto size : kCommittees) {
    const Made made(size);
    const auto report = runtime::sim::campaign(
        fmt::format("key generation n={}", size.first), 1, size.first == 4 ? 200 : (size.first == 7 ? 50 : 12),
        [&](std::uint64_t seed, Coverage& coverage) -> Status {
          SimRng rng(seed, 43);
          Outcomes outcomes;
          World world({.seed = seed, .committee = made.scene.committee, .router = {}}, online(made.scene, outcomes));
          mpc::test::draw_faults(world, rng);
          mpc::test::draw_partition(world, rng);
          world.run(3000s);
          coverage.merge(world.coverage());
          for (const auto& [party, outcome] : outcomes)
            coverage.add("keygen.liars_named", static_cast<std::uint64_t>(outcome.liars.size()));
          return judge(world, made.set, outcomes);
        });
    EXPECT_EQ(report.failures.size(), 0u);
    if (report.runs < 12) continue;  // a part of the campaign does not show everything
    for (const char* name : {"keygen.liars_named", "sim.crashes"})
      EXPECT_GT(report.coverage.count(name), 0u) << name << " never happened at n = " << size.first;
  }
}

// S7, S33: kill -9 at every point of a party; the same messages leave, the same set comes out.
TEST(KeyGenerationCampaign, CrashAtEveryPointOfAParty) {
  const Made made({4, 1});
  std::uint64_t points = 1;
  for (std::uint64_t point = 0; point <= points; ++point) {  // 0: none, to count them
    Outcomes outcomes;
    World world({.seed = 4, .committee = made.scene.committee, .router = {}}, online(made.scene, outcomes));
    if (point > 0) world.faults(Role(2)).crashes = {{point, 700ms}};
    world.run(1500s);
    if (point == 0) points = world.crash_points(Role(2));
    const Status good = judge(world, made.set, outcomes);
    ASSERT_TRUE(good) << "crash point " << point << ": " << good.error().message;
  }
  EXPECT_GT(points, 100u);
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

// S33: the session of a key is bound to one preprocessing and configuration for ever.
TEST(KeyGenerationRules, AnotherConfigurationUnderTheSameKeyIdIsRefusedAlsoAfterARestart) {
  const Made made({4, 1});
  KeyGenerationJob other = made.scene.job();
  other.configuration[5] = 1;
  std::map<int, Status> second;
  World world({.seed = 2, .committee = made.scene.committee, .router = {}}, [&](Node& node) -> runtime::Task<void> {
    KeyGeneration run({node.router(), node.journal(), node.compute(), made.scene.epoch.keys(node.role()),
                       *made.scene.material[node.role().index()]},
                      node.life() == 0 ? made.scene.job() : other);
    auto key = co_await run.run(node.loop().after(500s));
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
  const Made made({4, 1});
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

}  // namespace
}  // namespace witan::protocols
