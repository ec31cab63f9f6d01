// What a key generation consumes, to the unit: against the counts of tests/data/threshold-tfhe/dkg_budgets.json and
// tests/data/mpc/counts.json, which come from two other programs.
#include "protocols/key_plan.h"

#include <gtest/gtest.h>

#include <map>

#include "protocols/key_generation.h"
#include "support/support.h"

namespace witan::protocols {
namespace {

KeyPlan plan_of(std::string_view name, KeySource source = KeySource::all_new) {
  return plan_key_generation(tfhe::params_by_name(name).value(), source).value();
}

TEST(KeyPlanTest, TotalsAreTheBudgetsOfEverySet) {
  const auto budgets = witan::test::read_json("threshold-tfhe/dkg_budgets.json");
  const std::map<std::string, std::string> sets{{"BC_PARAMS_SNS", "default"},
                                                {"PARAMS_TEST_BK_SNS", "test"},
                                                {"PARAMS_TEST_RESHARE", "test_reshare"},
                                                {"WITAN_TOY_A", "witan_toy_a"},
                                                {"WITAN_TOY_B", "witan_toy_b"}};
  for (const auto& [vector_name, name] : sets) {
    SCOPED_TRACE(name);
    const auto& expected = budgets.at(vector_name);
    const KeyPlan plan = plan_of(name);
    const auto number = [&](const char* field) { return expected.at(field).get<std::uint64_t>(); };
    EXPECT_EQ(plan.total_key_bits(), number("raw_bits"));
    EXPECT_EQ(plan.bits(Ring::gr64), number("noise_bits_ring64"));
    EXPECT_EQ(plan.bits(Ring::gr128), number("noise_bits_ring128") + number("raw_bits"));
    EXPECT_EQ(plan.bits(), number("total_bits"));
    EXPECT_EQ(plan.products(Ring::gr64) + plan.products(Ring::gr128), number("product_triples"));
    EXPECT_EQ(plan.noises(Ring::gr64) + plan.noises(Ring::gr128), number("opened_body_elements"));
    const std::map<std::string, tfhe::KeyName> keys{{"lwe_hat", tfhe::KeyName::lwe_encryption},
                                                    {"lwe", tfhe::KeyName::lwe_compute},
                                                    {"glwe", tfhe::KeyName::glwe},
                                                    {"compression", tfhe::KeyName::compression},
                                                    {"sns", tfhe::KeyName::sns},
                                                    {"sns_compression", tfhe::KeyName::sns_compression},
                                                    {"oprf", tfhe::KeyName::oprf}};
    ASSERT_EQ(plan.key_bits.size(), keys.size());
    for (const auto& [key, key_name] : keys)
      EXPECT_EQ(plan.key_bits[static_cast<std::size_t>(key_name)],
                (KeyBits{key_name, expected.at("key_bits").at(key).get<std::uint64_t>()}));
    ASSERT_EQ(plan.components.size(), expected.at("components").size());
    for (std::size_t i = 0; i < plan.components.size(); ++i) {
      const auto& row = expected.at("components")[i];
      const ComponentPlan& part = plan.components[i];
      EXPECT_EQ(part.noises(), row.at("noises").get<std::uint64_t>()) << i;
      EXPECT_EQ(part.noise_bits(), row.at("bits").get<std::uint64_t>()) << i;
      EXPECT_EQ(part.products(), row.at("triples").get<std::uint64_t>()) << i;
      EXPECT_EQ(part.ring() == Ring::gr64 ? 64 : 128, row.at("ring_bits").get<int>()) << i;
    }
  }
}

/// The noise class of a component in counts.json, and its name there.
std::pair<std::string, std::string> noise_class(const KeyPlan& plan, tfhe::ComponentKind kind) {
  using enum tfhe::ComponentKind;
  const bool small = plan.params.cast->destination == tfhe::KeyChoice::small;
  switch (kind) {
    case public_key:
      return {"LweHat", "pk"};
    case compression_packing:
      return {"CompressionKSK", "compression_ksk"};
    case decompression_bsk:
      return {"Glwe", "decompression_bk"};
    case ksk:
      return {"Lwe", "ksk"};
    case bsk:
      return {"Glwe", "bk"};
    case drift_zeros:
      return {"Lwe", "msnrk"};
    case sns_bsk:
      return {"GlweSnS", "bk_sns"};
    case sns_drift_zeros:
      return {"Lwe", "msnrk_sns"};
    case cast_ksk:
      return {small ? "Lwe" : "Glwe", "pksk"};
    case rerandomization_key:
      return {"Glwe", "rerand_pk"};
    case rerandomization_ksk:
      return {"Glwe", "rerand_ksk"};
    case sns_compression_packing:
      return {"SnsCompressionKSK", "sns_compression_ksk"};
    case oprf_bsk:
      return {"Glwe", "oprf_bk"};
  }
  return {};
}

TEST(KeyPlanTest, NoiseClassesAreTheCountsOfEverySet) {
  const auto counts = witan::test::read_json("mpc/counts.json");
  tfhe::Params without_sns = tfhe::params_by_name("default").value();
  without_sns.sns.reset();
  without_sns.sns_compression.reset();
  const std::map<std::string, KeyPlan> plans{
      {"BC_PARAMS_SNS", plan_of("default")},
      {"BC_PARAMS_NIGEL_SNS", plan_of("nigel")},
      {"PARAMS_TEST_BK_SNS", plan_of("test")},
      {"PARAMS_TEST_RESHARE", plan_of("test_reshare")},
      {"BC_PARAMS_NO_SNS", plan_key_generation(without_sns, KeySource::all_new).value()}};
  ASSERT_EQ(plans.size(), counts.size());
  for (const auto& [name, plan] : plans) {
    SCOPED_TRACE(name);
    const auto& expected = counts.at(name);
    EXPECT_EQ(plan.total_key_bits(), expected.at("rawBits").get<std::uint64_t>());
    EXPECT_EQ(plan.bits(), expected.at("total_bits").get<std::uint64_t>());
    EXPECT_EQ(plan.products(Ring::gr64) + plan.products(Ring::gr128),
              expected.at("extra_triples").get<std::uint64_t>());
    std::uint64_t items = 0;
    for (const auto& [label, one] : expected.at("noise").items())
      for (const auto& [item, amount] : one.at("items").items()) items += amount.get<std::uint64_t>() > 0 ? 1 : 0;
    EXPECT_EQ(plan.components.size(), items);
    for (const ComponentPlan& part : plan.components) {
      const auto [label, item] = noise_class(plan, part.component.kind);
      const auto& of = expected.at("noise").at(label);
      EXPECT_EQ(part.noises(), of.at("items").at(item).get<std::uint64_t>()) << item;
      EXPECT_EQ(part.component.noise.bound_log2, of.at("bound").get<std::uint32_t>()) << item;
    }
  }
}

TEST(KeyPlanTest, ExistingKeysCostNoKeyBitsAndTheSameRest) {
  const KeyPlan fresh = plan_of("default"), existing = plan_of("default", KeySource::existing),
                without_oprf = plan_of("default", KeySource::existing_but_oprf);
  EXPECT_TRUE(existing.key_bits.empty());
  EXPECT_EQ(without_oprf.key_bits, (std::vector<KeyBits>{{tfhe::KeyName::oprf, 918}}));
  for (const KeyPlan* plan : {&existing, &without_oprf}) {
    EXPECT_EQ(plan->bits() - plan->total_key_bits(), fresh.bits() - fresh.total_key_bits());
    for (const Ring ring : {Ring::gr64, Ring::gr128}) EXPECT_EQ(plan->products(ring), fresh.products(ring));
  }
  // A set without an OPRF key has no key to add.
  tfhe::Params params = tfhe::params_by_name("default").value();
  params.oprf = false;
  EXPECT_TRUE(plan_key_generation(params, KeySource::existing_but_oprf).value().key_bits.empty());
}

TEST(KeyPlanTest, SlicesCoverEveryProductOnceWithAtMost256Outputs) {
  for (const char* name : {"default", "test", "test_reshare", "nigel", "witan_toy_a", "witan_toy_b"})
    for (const ComponentPlan& part : plan_of(name).components) {
      SCOPED_TRACE(fmt::format("{} {}", name, to_string(part.component.kind)));
      EXPECT_EQ(part.products(), part.component.products());
      std::size_t next = 0;
      for (const ProductSlicePlan& slice : part.slices) {
        EXPECT_EQ(slice.first_output, next);
        EXPECT_GT(slice.outputs, 0u);
        EXPECT_LE(slice.outputs, 256u);
        EXPECT_EQ(slice.outputs % 4, 0u);
        EXPECT_EQ(slice.inputs, tfhe::key_bits(tfhe::params_by_name(name).value(), *part.component.input));
        next += slice.outputs;
      }
      if (!part.slices.empty()) EXPECT_EQ(next, part.component.mask_words());
    }
}

// 8 slices of 1024 inputs, two times 8 and 16 of 918; four differences to an element, 918 inputs in 230.
TEST(KeyPlanTest, DifferencesOfEverySliceAreCounted) {
  const KeyPlan plan = plan_of("default");
  EXPECT_EQ(plan.difference_elements(Ring::gr64), 8u * (256 + 64) + 16u * (230 + 64));
  EXPECT_EQ(plan.difference_elements(Ring::gr128), 16u * (230 + 64));
}

TEST(KeyPlanTest, BoundedHammingWeightsAreRefused) {
  const auto refused = plan_key_generation(tfhe::params_by_name("nist_p8_lwe").value(), KeySource::all_new);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::unimplemented);
}

// The table of mpc.md 17.6, in GB, to the digits that it has.
TEST(KeyPlanTest, CostsAreThoseOfTheTable) {
  using enum mpc::OpeningVariant;
  using enum BodyOpeningKind;
  const KeyPlan plan = plan_of("default");
  struct Row {
    int parties, threshold;
    mpc::OpeningVariant detected;
    BodyOpeningKind opening;
    double bits, products, bodies;
  };
  const BatchCount count = batches_of(KeyMaterial(plan).orders);
  EXPECT_EQ(count.decides, 478u);
  EXPECT_NEAR(static_cast<double>(count.batches), 1722, 2);
  for (const Row& row : {Row{4, 1, w1, direct, 35, 0.32, 1.5}, Row{4, 1, w2, two_phase, 23, 0.21, 1.5},
                         Row{13, 4, w1, direct, 140, 1.3, 6.1}, Row{13, 4, w2, two_phase, 31, 0.29, 2.5}}) {
    const auto cost = cost_of(plan, CommitteeSize::make(row.parties, row.threshold).value(), row.detected, row.opening);
    const double gb = 1e9;
    EXPECT_NEAR(static_cast<double>(cost.bits_bytes) / gb, row.bits, 0.02 * row.bits);
    EXPECT_NEAR(static_cast<double>(cost.products_bytes) / gb, row.products, 0.03 * row.products);
    EXPECT_NEAR(static_cast<double>(cost.bodies_bytes) / gb, row.bodies, 0.04 * row.bodies);
    EXPECT_LT(cost.differences_bytes, 20'000'000u);
    EXPECT_EQ(cost.preprocessing_rounds, 1 + (row.detected == w1 ? 2u : 3u) * count.decides);
    EXPECT_EQ(cost.online_rounds, row.opening == direct ? 3u : 4u);
    EXPECT_EQ(cost.bytes(), cost.bits_bytes + cost.products_bytes + cost.differences_bytes + cost.bodies_bytes);
  }
  // Bytes per bit of mpc.md 17.5, and two bits of fill in the last elements of the two keys of 918 bits.
  const auto cost = cost_of(plan, CommitteeSize::make(4, 1).value(), w1, direct);
  EXPECT_EQ(cost.bits_bytes, 48 * (plan.bits(Ring::gr128) + 2 * 2) + 24 * plan.bits(Ring::gr64));
}

}  // namespace
}  // namespace witan::protocols
