#include "insecure/partial_preprocessing.h"

#include <gtest/gtest.h>

#include "node/material.h"
#include "protocols/key_generation.h"

namespace witan::insecure {
namespace {

using algebra::Gr;
using protocols::MaterialOrder;
using protocols::MaterialPlan;

MaterialPlan whole() {
  const auto params = tfhe::params_by_name("default").value();
  return protocols::KeyMaterial(protocols::plan_key_generation(params, protocols::KeySource::all_new).value()).orders;
}

std::uint64_t bits_of(const MaterialPlan& plan) {
  std::uint64_t out = 0;
  for (const MaterialOrder& order : plan) out += order.bits();
  return out;
}

TEST(PartialPlan, MakesThatShareOfTheBits) {
  const MaterialPlan plan = whole();
  const auto all = bits_of(plan);
  EXPECT_EQ(all, 877'622'060u);
  for (const unsigned percent : {0u, 1u, 10u, 50u, 99u}) {
    const auto part = partial_plan(plan, percent, false);
    EXPECT_NEAR(static_cast<double>(bits_of(part.made)), static_cast<double>(all) * percent / 100, 1e4) << percent;
    ASSERT_EQ(part.made.size(), part.of.size());
    for (std::size_t i = 0; i < part.made.size(); ++i) {
      const MaterialOrder &made = part.made[i], &of = plan[part.of[i]];
      EXPECT_EQ(made.kind, of.kind);
      EXPECT_EQ(made.word_bits, of.word_bits);
      EXPECT_EQ(made.bound_log2, of.bound_log2);
      EXPECT_LE(made.units(), of.units());
      EXPECT_EQ(made.count % 4, 0u) << "units are whole";
    }
  }
  EXPECT_TRUE(partial_plan(whole(), 0, false).made.empty());
}

TEST(PartialPlan, OfAHundredPercentIsTheWholePlan) {
  const auto part = partial_plan(whole(), 100, false);
  const auto plan = whole();
  ASSERT_EQ(part.made.size(), plan.size());
  for (std::size_t i = 0; i < plan.size(); ++i) {
    EXPECT_EQ(part.of[i], i);
    EXPECT_EQ(part.made[i].count, plan[i].count);
    EXPECT_EQ(part.made[i].elements(), plan[i].elements());
  }
}

TEST(PartialPlan, MakesAllSlicesIfTheRestIsDummies) {
  const auto slices = [](const MaterialPlan& plan) {
    return std::ranges::count(plan, MaterialOrder::Kind::slice, [](const MaterialOrder& order) { return order.kind; });
  };
  EXPECT_EQ(slices(partial_plan(whole(), 0, true).made), slices(whole()));
  EXPECT_EQ(slices(partial_plan(whole(), 50, false).made), slices(whole()) / 2);
}

PreprocId id(std::uint8_t first) {
  ByteArray<32> bytes{};
  bytes[0] = first;
  return PreprocId(bytes);
}

TEST(DummyUnits, AreBitsAndNoisesThatEverybodyComputes) {
  const MaterialOrder bits{.kind = MaterialOrder::Kind::bits, .word_bits = 128, .count = 4001};
  const Bytes dummies = dummy_units(bits, 0, id(3), 0, bits.units());
  ASSERT_EQ(dummies.size(), node::material_bytes(bits, 0, bits.units()));
  std::vector<Gr<algebra::Z128>> values(bits.count);
  std::memcpy(values.data(), dummies.data(), dummies.size());
  std::size_t ones = 0;
  for (const auto& value : values) {
    ASSERT_TRUE(value.in_base_ring() && value.c[0] <= 1);
    ones += value.c[0] == 1;
  }
  EXPECT_NEAR(static_cast<double>(ones), 2000, 200);

  const MaterialOrder noises{.kind = MaterialOrder::Kind::noises, .word_bits = 64, .count = 4002, .bound_log2 = 17};
  const Bytes packed = dummy_units(noises, 1, id(3), 10, noises.units() - 10);
  ASSERT_EQ(packed.size(), node::material_bytes(noises, 10, noises.units() - 10));
  std::vector<Gr<std::uint64_t>> elements(noises.units() - 10);
  std::memcpy(elements.data(), packed.data(), packed.size());
  std::int64_t least = 0, most = 0;
  for (const auto& element : elements)
    for (const auto word : element.c) {
      least = std::min(least, static_cast<std::int64_t>(word));
      most = std::max(most, static_cast<std::int64_t>(word));
    }
  EXPECT_GE(least, -(1 << 17));
  EXPECT_LE(most, 1 << 17);
  EXPECT_LT(least, -(1 << 16));
  EXPECT_GT(most, 1 << 16);
  EXPECT_EQ(elements.back().c[2], 0u) << "two noises in the last unit";

  EXPECT_EQ(dummy_units(bits, 0, id(3), 0, bits.units()), dummies);
  EXPECT_NE(dummy_units(bits, 0, id(4), 0, bits.units()), dummies);
  EXPECT_NE(dummy_units(bits, 2, id(3), 0, bits.units()), dummies);
}

}  // namespace
}  // namespace witan::insecure
