#include <gtest/gtest.h>

#include <map>

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

/// Keeps everything, by order and unit.
class MemoryStore final : public MaterialStore {
 public:
  explicit MemoryStore(const MaterialPlan& plan) : plan_(plan) {}
  runtime::Task<Status> put(std::size_t order, std::uint64_t first, std::uint16_t session_number,
                            Secret<Bytes> content) override {
    const std::size_t unit = plan_[order].unit_bytes();
    for (std::size_t at = 0; at < content.reveal().size(); at += unit, ++first) {
      const auto piece = ByteView(content.reveal()).subspan(at, std::min(unit, content.reveal().size() - at));
      if (!units[{order, first}].empty())
        co_return fail(Code::already_exists, "unit {} of order {} twice", first, order);
      units[{order, first}] = Bytes(piece.begin(), piece.end());
      numbers[order] = session_number;
    }
    co_return Status{};
  }
  std::map<std::pair<std::size_t, std::uint64_t>, Bytes> units;
  std::map<std::size_t, std::uint16_t> numbers;

 private:
  const MaterialPlan& plan_;
};

struct Outcome {
  Status status = fail(Code::unavailable, "did not end");
  std::unique_ptr<MemoryStore> store;
  mpc::DetectionReport report;
  PreprocessingProgress progress;
  std::optional<mpc::Disputes> disputes;
  std::size_t kept_bytes = 0;  // of what was sent
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

runtime::sim::Program preprocessing(const Scene& scene, Outcomes& outcomes) {
  return [&](Node& node) -> runtime::Task<void> {
    const auto signatories = scene.epoch.signatories(node.role());
    Outcome& outcome = outcomes[node.role().number()];
    outcome.store = std::make_unique<MemoryStore>(scene.plan);
    Preprocessing run({node.router(), node.compute(), scene.epoch.keys(node.role()), signatories}, id(), 0, scene.plan,
                      *outcome.store, scene.options);
    outcome.status = co_await run.run();
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
Status check_order(const Scene& scene, const Outcomes& outcomes, RoleSet honest, std::size_t index) {
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
        const auto sid = crypto::session_id(
            id().bytes(),
            sizeof(Z) == 8 ? crypto::SessionKind::preprocessing_64 : crypto::SessionKind::preprocessing_128, 0,
            store.numbers.at(index));
        const mpc::ProductSlice<Z> slice(
            std::make_shared<const mpc::BitKernel<Z>>(keys.set_keys(), keys.zero_keys(), sid), order.inputs,
            order.outputs);
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

Status judge(World& world, const Scene& scene, const Outcomes& outcomes) {
  WITAN_TRY(world.audit().verdict());
  const RoleSet honest = RoleSet::all(scene.committee) - world.byzantine();
  for (const Role role : honest) {
    const Outcome& outcome = outcomes.at(role.number());
    if (!outcome.status) return fail(Code::internal, "party {}: {}", role.number(), outcome.status.error().message);
    for (const mpc::Verdict& verdict : outcome.disputes->verdicts())
      if (honest.contains(verdict.party) && honest.contains(verdict.other))
        return fail(Code::internal, "an honest party is convicted: {}", verdict.reason);
  }
  for (std::size_t order = 0; order < scene.plan.size(); ++order)
    WITAN_TRY(scene.plan[order].word_bits == 64 ? check_order<Z64>(scene, outcomes, honest, order)
                                                : check_order<Z128>(scene, outcomes, honest, order));
  return {};
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
          std::vector<Role> parties;
          for (const Role role : RoleSet::all(committee)) parties.push_back(role);
          for (int k = 0; k < committee.threshold(); ++k) {
            const auto pick = rng.below(parties.size());
            auto& faults = world.faults(parties[pick]);
            parties.erase(parties.begin() + static_cast<std::ptrdiff_t>(pick));
            faults.byzantine = true;
            faults.rushing = rng.chance(0.5);
            faults.corrupt =
                runtime::sim::sometimes(0.3, rng.next64(), mpc::test::draw_lie(committee, 7, variant, rng));
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

}  // namespace
}  // namespace witan::protocols
