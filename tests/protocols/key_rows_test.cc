// Shares of bodies: all parties' together open to what a dealer with the same keys, noises and seed computes (tfhe/keygen.h); the fast
// rows equal the formulas; and rule R1.
#include "protocols/key_rows.h"

#include <gtest/gtest.h>

#include <thread>

#include "algebra/operands.h"
#include "mpc/open.h"
#include "protocols/key_rows_world.h"

namespace witan::protocols {
namespace {

using algebra::test::Kind;
using algebra::test::kKinds;
using algebra::test::word_of;
using tfhe::Component;
using tfhe::ComponentKind;
using tfhe::RowShape;

// R1: a 128-bit share has no way into the rows of a 64-bit component.
template <class Z, class Key>
concept MakesRows = requires(const Component& component, const tfhe::MaskReader& mask, Key key) {
  BodyRows<Z>(component, mask, key, key);
};
static_assert(MakesRows<Z64, std::span<const Share<Z64>>> && MakesRows<Z128, std::span<const Share<Z128>>>);
static_assert(!MakesRows<Z64, std::span<const Share<Z128>>> && !MakesRows<Z128, std::span<const Share<Z64>>>);
static_assert(!MakesRows<Z64, const SharedKey&>);

struct Run {
  const char* params;
  int parties, threshold;
};

class KeyGeneration : public testing::TestWithParam<Run> {};
INSTANTIATE_TEST_SUITE_P(Each, KeyGeneration,
                         testing::Values(Run{"witan_toy_a", 4, 1}, Run{"witan_toy_a", 7, 2}, Run{"witan_toy_a", 13, 4},
                                         Run{"witan_toy_b", 4, 1}, Run{"test", 4, 1}, Run{"test_reshare", 4, 1},
                                         Run{"test", 7, 2}, Run{"test_reshare", 13, 4}, Run{"test", 13, 4}),
                         [](const auto& info) { return fmt::format("{}_{}", info.param.params, info.param.parties); });

TEST_P(KeyGeneration, OpensToTheKeySetOfADealer) {
  const test::KeyWorld world(GetParam().params, GetParam().parties, GetParam().threshold);
  EXPECT_EQ(world.generate(), world.dealt);
}

// ---- the fast rows and the formulas

template <Word Z>
std::vector<Share<Z>> shares_of(Kind kind, std::size_t count, Rng& rng) {
  std::vector<Share<Z>> out(count);
  for (auto& share : out)
    for (Z& c : share.value.c)
      c = static_cast<Z>(word_of(kind, rng) >> (sizeof(Z) == 8 && kind == Kind::top_bit ? 64 : 0));
  return out;
}

/// A few rows of a component, all material of one kind.
template <Word Z>
void expect_fast_equals_plain(const Component& component, RowRange rows, Kind keys, Kind material, Rng& rng) {
  const tfhe::MaskReader mask({tfhe::key_set_seed(rng.next<u128>()), {}});
  const std::size_t outputs = component.mask_words();
  const std::size_t per_input =
      component.decomposition.level_count * (component.shape == RowShape::ggsw ? component.glwe_dimension + 1 : 1);
  const auto under = shares_of<Z>(keys, outputs, rng);
  const auto input = shares_of<Z>(keys, component.input ? component.rows / per_input : 0, rng);
  const auto noises = shares_of<Z>(material, rows.count * component.body_words(), rng);
  const auto products = shares_of<Z>(material, component.products(), rng);
  const RowRange inputs = inputs_of(component, rows);
  const BodyRows<Z> kernel(component, mask, under, input);
  const auto packed_noises = packed<Z>(noises);
  const auto packed_products =
      packed<Z>(std::span<const Share<Z>>(products).subspan(inputs.first * outputs, inputs.count * outputs));
  const auto fast = kernel.compute(rows, {.noises = packed_noises.reveal(), .products = packed_products.reveal()});
  const auto plain = plain_body_shares<Z>(component, mask, under, input, rows, noises, products);
  ASSERT_EQ(fast.reveal().size(), plain.reveal().size());
  for (std::size_t l = 0; l < plain.reveal().size(); ++l)
    ASSERT_EQ(fast.reveal()[l].value, plain.reveal()[l].value)
        << to_string(component.kind) << ", element " << l << " from row " << rows.first;
}

void expect_fast_equals_plain_in_its_ring(const Component& component, RowRange rows, Kind keys, Kind material,
                                          Rng& rng) {
  if (component.word_bits == 64)
    expect_fast_equals_plain<Z64>(component, rows, keys, material, rng);
  else
    expect_fast_equals_plain<Z128>(component, rows, keys, material, rng);
}

TEST(BodyRowsTest, EqualTheFormulasForEveryShapeAndExtremeShares) {
  witan::test::SeededRng rng("rows and formulas");
  for (const char* name : {"witan_toy_a", "witan_toy_b"})
    for (const Component& component : tfhe::key_components(tfhe::params_by_name(name).value()))
      for (const Kind keys : kKinds)
        for (const Kind material : {Kind::random, Kind::ones}) {
          const RowRange rows{0, std::min<std::size_t>(component.shape == RowShape::lwe ? 8 : 3, component.rows)};
          expect_fast_equals_plain_in_its_ring(component, rows, keys, material, rng);
        }
}

/// With the default parameters, on every instruction set: the largest sums that transforms have to hold.
TEST(BodyRowsTest, EqualTheFormulasAtFullSizeOnEveryTarget) {
  for (const tfhe::VectorTarget& target : tfhe::vector_targets()) {
    tfhe::choose_vector_target(target.id);
    witan::test::SeededRng rng("full size");
    for (const Component& component : tfhe::key_components(tfhe::params_by_name("default").value())) {
      if (component.kind == ComponentKind::bsk || component.kind == ComponentKind::oprf_bsk)
        continue;  // as decompression
      Component few =
          component;  // the last row of two input bits: products for all 918 would take the time of the test
      if (component.input)
        few.rows = 2 * component.rows / tfhe::key_bits(tfhe::params_by_name("default").value(), *component.input);
      const std::size_t count = few.shape == RowShape::lwe ? 4 : 1;
      for (const Kind keys : {Kind::random, Kind::top_bit, Kind::ones})
        expect_fast_equals_plain_in_its_ring(few, {few.rows - count, count}, keys, Kind::random, rng);
    }
  }
  tfhe::choose_vector_target(0);
}

TEST(BodyRowsTest, PiecesAreTheWhole) {
  witan::test::SeededRng rng("pieces");
  for (const Component& component : tfhe::key_components(tfhe::params_by_name("witan_toy_a").value())) {
    if (component.word_bits != 64) continue;
    SCOPED_TRACE(to_string(component.kind));
    const tfhe::MaskReader mask({tfhe::key_set_seed(1), {}});
    const std::size_t outputs = component.mask_words();
    const RowRange inputs = inputs_of(component, {0, component.rows});
    const auto under = shares_of<Z64>(Kind::random, outputs, rng);
    const std::size_t per_input =
        component.decomposition.level_count * (component.shape == RowShape::ggsw ? component.glwe_dimension + 1 : 1);
    const auto input = shares_of<Z64>(Kind::random, component.input ? component.rows / per_input : 0, rng);
    const auto noises = shares_of<Z64>(Kind::random, body_elements(component), rng);
    const auto products = shares_of<Z64>(Kind::random, inputs.count * outputs / 4, rng);
    const BodyRows<Z64> kernel(component, mask, under, input);
    const auto compute = [&](RowRange rows) {
      const ElementRange elements = elements_of(component, rows);
      const RowRange of = inputs_of(component, rows);
      return kernel
          .compute(rows, {.noises = std::span(noises).subspan(elements.first, elements.count),
                          .products = std::span(products).subspan(of.first * outputs / 4, of.count * outputs / 4)})
          .duplicate();
    };
    const auto whole = compute({0, component.rows});
    ASSERT_EQ(whole.reveal().size(), body_elements(component));
    std::size_t at = 0;
    const std::size_t step = component.shape == RowShape::lwe ? 4 : 5;
    for (std::size_t row = 0; row < component.rows; row += step) {
      const auto piece = compute({row, std::min(step, component.rows - row)});
      for (const Share<Z64>& share : piece.reveal()) ASSERT_EQ(share.value, whole.reveal().at(at++).value) << row;
    }
    EXPECT_EQ(at, whole.reveal().size());
  }
}

TEST(BodyRowsTest, KernelsOfEveryComponentAreWholeElementsAndOfBoundedSize) {
  for (const char* name : {"default", "test", "test_reshare", "nigel", "witan_toy_a", "witan_toy_b"})
    for (const Component& component : tfhe::key_components(tfhe::params_by_name(name).value())) {
      const std::size_t rows = rows_per_kernel(component);
      ASSERT_GT(rows, 0u);
      if (component.shape == RowShape::lwe) EXPECT_EQ(rows % 4, 0u);
      EXPECT_LE(rows * component.mask_words(), (1u << 18) + 4 * component.mask_words());
    }
}

TEST(BodyRowsTest, SeveralThreadsShareOneKernel) {
  witan::test::SeededRng rng("threads");
  const auto components = tfhe::key_components(tfhe::params_by_name("witan_toy_b").value());
  const Component& component = *std::ranges::find(components, ComponentKind::sns_compression_packing, &Component::kind);
  const tfhe::MaskReader mask({tfhe::key_set_seed(1), {}});
  const auto under = shares_of<Z128>(Kind::random, component.mask_words(), rng);
  const auto input = shares_of<Z128>(Kind::random, component.rows / component.decomposition.level_count, rng);
  const auto noises = shares_of<Z128>(Kind::random, body_elements(component), rng);
  const BodyRows<Z128> kernel(component, mask, under, input);
  const auto compute = [&](RowRange rows) {
    const ElementRange elements = elements_of(component, rows);
    return kernel.compute(rows, {std::span(noises).subspan(elements.first, elements.count), {}});
  };
  std::vector<SecretShares<Z128>> pieces(4);
  {
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < pieces.size(); ++i)
      threads.emplace_back([&, i] { pieces[i] = compute({i * component.rows / 4, component.rows / 4}); });
  }
  const auto whole = compute({0, component.rows});
  const std::size_t each = whole.reveal().size() / 4;
  for (std::size_t l = 0; l < whole.reveal().size(); ++l)
    ASSERT_EQ(pieces[l / each].reveal().at(l % each).value, whole.reveal()[l].value) << l;
}

TEST(BodyRowsTest, MaterialOfAnotherSizeIsABug) {
  witan::test::SeededRng rng("sizes");
  const auto components = tfhe::key_components(tfhe::params_by_name("witan_toy_a").value());
  const auto of = [&](ComponentKind kind) { return *std::ranges::find(components, kind, &Component::kind); };
  const Component ksk = of(ComponentKind::ksk), bsk = of(ComponentKind::bsk);
  const tfhe::MaskReader mask({tfhe::key_set_seed(1), {}});
  EXPECT_DEATH((void)elements_of(ksk, {2, 4}), "rows.first");
  EXPECT_DEATH((void)elements_of(ksk, {4, 3}), "rows.count");
  EXPECT_DEATH((void)elements_of(ksk, {ksk.rows - 4, 8}), "rows.count");
  EXPECT_EQ(elements_of(ksk, {ksk.rows - 4, 4}).count, 1u);
  const std::size_t inputs = bsk.rows / (bsk.decomposition.level_count * (bsk.glwe_dimension + 1));
  const auto under = shares_of<Z64>(Kind::random, bsk.mask_words(), rng),
             input = shares_of<Z64>(Kind::random, inputs, rng);
  EXPECT_DEATH(BodyRows<Z64>(bsk, mask, std::span(under).subspan(1), input), "under.size");
  EXPECT_DEATH(BodyRows<Z64>(bsk, mask, under, std::span(input).subspan(1)), "input.size");
  const BodyRows<Z64> kernel(bsk, mask, under, input);
  const auto noises = shares_of<Z64>(Kind::random, bsk.polynomial_size / 4, rng),
             products = shares_of<Z64>(Kind::random, bsk.mask_words() / 4, rng);
  EXPECT_EQ(kernel.compute({0, 1}, {noises, products}).reveal().size(), noises.size());
  EXPECT_DEATH((void)kernel.compute({0, 2}, {noises, products}), "noises");
  EXPECT_DEATH((void)kernel.compute({0, 1}, {noises, std::span(products).subspan(1)}), "products");
  EXPECT_DEATH((void)kernel.compute({bsk.rows, 1}, {noises, products}), "rows.first");
}

// ---- rule R1 (S20)

TEST(RuleR1, WireElementsOf64BitComponentsHave32Bytes) {
  const test::KeyWorld world("witan_toy_a", 4, 1);
  for (const Component& component : world.components) {
    const auto wire_bytes = [&]<class Z>(Z) {
      const RowRange rows{0, component.rows};
      const auto under = key_in_ring<Z>(world.shares[0].of(component.under));
      const BodyRows<Z> kernel(component, world.mask(component), under.reveal(), world.input<Z>(component, 0).reveal());
      const std::vector<Share<Z>> noises(body_elements(component)),
          products(inputs_of(component, rows).count * component.mask_words() / 4);
      Bytes wire;
      mpc::append_shares<Z>(wire, kernel.compute(rows, {noises, products}).reveal());
      return wire.size();
    };
    const bool wide =
        component.kind == ComponentKind::sns_bsk || component.kind == ComponentKind::sns_compression_packing;
    const std::size_t size = wide ? wire_bytes(Z128{}) : wire_bytes(Z64{});
    EXPECT_EQ(size, (wide ? 64 : 32) * body_elements(component)) << to_string(component.kind);
    EXPECT_EQ(element_bytes(ring_of(component)), wide ? 64u : 32u);
  }
}

TEST(RuleR1, AComponentIsRefusedInTheOtherRing) {
  const test::KeyWorld world("witan_toy_a", 4, 1);
  const Component& component = world.components.front();
  const auto wide = key_in_ring<Z128>(world.shares[0].of(component.under));
  EXPECT_DEATH(BodyRows<Z128>(component, world.mask(component), wide.reveal(), {}), "word_bits");
}

TEST(RuleR1, SharesOfAKeyAreReducedCoefficientByCoefficient) {
  witan::test::SeededRng rng("reduced key");
  const auto shares = shares_of<Z128>(Kind::random, 9, rng);
  const auto reduced = key_in_ring<Z64>(SharedKey(shares));
  for (std::size_t i = 0; i < shares.size(); ++i)
    for (std::size_t j = 0; j < 4; ++j)
      EXPECT_EQ(reduced.reveal().at(i).value.c[j], static_cast<Z64>(shares[i].value.c[j]));
}

// ---- products

template <class Z>
class Products : public testing::Test {};
using Rings = testing::Types<Z64, Z128>;
TYPED_TEST_SUITE(Products, Rings);

/// The formula of mpc.md 17.2 word by word, in pieces and with room between the inputs.
TYPED_TEST(Products, EqualTheFormulaInPieces) {
  using Z = TypeParam;
  witan::test::SeededRng rng("products");
  const std::size_t inputs = 6, outputs = 8, stride = 5;
  const auto x = shares_of<Z>(Kind::random, inputs, rng), y = shares_of<Z>(Kind::random, outputs, rng),
             z = shares_of<Z>(Kind::random, inputs * outputs, rng);
  const auto packed_z = packed<Z>(z);
  SliceDifferences<Z> differences;
  for (std::size_t i = 0; i < inputs; ++i) differences.eps.push_back(rng.next<Z>());
  for (std::size_t l = 0; l < outputs / 4; ++l)
    differences.rho.push_back({{rng.next<Z>(), rng.next<Z>(), rng.next<Z>(), rng.next<Z>()}});
  std::vector<Share<Z>> out((inputs - 1) * stride + outputs / 4);
  for (const auto& [first, count] : {RowRange{0, 4}, RowRange{4, 2}})
    multiply_slice<Z>({x, y, std::span(packed_z.reveal()).subspan(first * 2, count * 2)}, differences, first, count,
                      std::span(out).subspan(first * stride), stride);
  for (std::size_t i = 0; i < inputs; ++i)
    for (std::size_t l = 0; l < outputs / 4; ++l) {
      std::array<Gr<Z>, 4> four;
      for (std::size_t c = 0; c < 4; ++c) {
        const std::size_t j = 4 * l + c;
        const Z eps = differences.eps[i], rho = differences.rho[l].c[c];
        four[c] = z[i * outputs + j].value + y[j].value * eps + x[i].value * rho + Gr<Z>::from_base(eps * rho);
      }
      EXPECT_EQ(out[i * stride + l].value, algebra::pack(four.data(), 4)) << i << " " << l;
    }
}

TYPED_TEST(Products, AFilledUpDifferenceThatIsNotZeroIsRefused) {
  using Z = TypeParam;
  std::vector<Gr<Z>> opened(2 + 1, Gr<Z>{{1, 2, 0, 0}});
  const auto good = SliceDifferences<Z>::from_opened(opened, 6, 4);
  ASSERT_TRUE(good);
  EXPECT_EQ(good->eps, (std::vector<Z>{1, 2, 0, 0, 1, 2}));
  EXPECT_EQ(good->rho.size(), 1u);
  for (const std::size_t c : {2u, 3u}) {
    auto bad = opened;
    bad[1].c[c] = Z{1} << 63;
    const auto refused = SliceDifferences<Z>::from_opened(bad, 6, 4);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Code::internal);
  }
}

}  // namespace
}  // namespace witan::protocols
