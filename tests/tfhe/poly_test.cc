#include "tfhe/poly.h"

#include <gtest/gtest.h>

#include "support/support.h"
#include "tfhe_testing.h"

namespace witan::tfhe {
namespace {

template <class W>
class Poly : public ::testing::Test {};
using Words = ::testing::Types<u64, u128>;
TYPED_TEST_SUITE(Poly, Words);

template <class W>
std::vector<W> random_words(Rng& rng, std::size_t n) {
  std::vector<W> out(n);
  for (W& word : out) word = rng.next<W>();
  return out;
}

template <class W>
std::vector<W> sum(std::vector<W> a, const std::vector<W>& b) {
  for (std::size_t i = 0; i < a.size(); ++i) a[i] += b[i];
  return a;
}

constexpr std::size_t kSizes[] = {8, 16, 32, 64, 128, 256};

TYPED_TEST(Poly, ProductsEqualTheDefinitionForAllSizesAndExtremeValues) {
  using W = TypeParam;
  witan::test::SeededRng rng("poly");
  for (const std::size_t n : kSizes) {
    for (const std::vector<W>& a :
         {random_words<W>(rng, n), std::vector<W>(n, ~W{0}), std::vector<W>(n, W{1} << (8 * sizeof(W) - 1))}) {
      const auto b = random_words<W>(rng, n), start = random_words<W>(rng, n);
      auto accumulator = start;
      add_product<W>(accumulator, a, b);
      EXPECT_EQ(accumulator, sum(start, test::naive_product<W>(a, b))) << n;
    }
  }
}

TYPED_TEST(Poly, BinaryProductsEqualTheDefinition) {
  using W = TypeParam;
  witan::test::SeededRng rng("binary");
  for (const std::size_t n : kSizes) {
    const auto a = random_words<W>(rng, n), start = random_words<W>(rng, n);
    for (int kind = 0; kind < 3; ++kind) {
      std::vector<std::uint8_t> bits(n, static_cast<std::uint8_t>(kind == 1));
      if (kind == 2)
        for (auto& bit : bits) bit = rng.next<std::uint8_t>() & 1;
      auto accumulator = start;
      add_binary_product<W>(accumulator, a, bits);
      EXPECT_EQ(accumulator, sum(start, test::naive_product<W>(a, std::vector<W>(bits.begin(), bits.end())))) << n;
    }
  }
}

TYPED_TEST(Poly, MonomialsWrapWithASign) {
  using W = TypeParam;
  witan::test::SeededRng rng("monomial");
  const std::size_t n = 16;
  const auto p = random_words<W>(rng, n);
  for (std::size_t exponent = 0; exponent < 2 * n; ++exponent) {
    std::vector<W> monomial(n), out(n);
    monomial[exponent % n] = exponent < n ? W{1} : ~W{0};
    multiply_by_monomial<W>(out, p, exponent);
    EXPECT_EQ(out, test::naive_product<W>(p, monomial)) << exponent;
  }
}

/// Digits that are dense, sparse, zero, and of the largest magnitudes: both paths of the kernel.
TYPED_TEST(Poly, MatrixTimesDigitsEqualsTheDefinition) {
  using W = TypeParam;
  witan::test::SeededRng rng("matrix");
  const std::size_t n = 128, rows = 7, columns = 3;
  PolyMatrix<W> matrix(rows, columns, n, 62, 5);
  std::vector<std::vector<W>> entries;
  for (std::size_t r = 0; r < rows; ++r) {
    entries.push_back(random_words<W>(rng, columns * n));
    matrix.set_row(r, entries.back());
  }
  const std::size_t first = 2, used = 5;
  std::vector<i64> digits(used * n);
  for (std::size_t j = 0; j < n; ++j) {
    digits[j] = static_cast<i64>(rng.next<u64>() >> 2) * (j % 2 ? 1 : -1);  // dense, up to 2^62
    digits[n + j] = j == 5 ? -3 : 0;                                        // sparse
    digits[3 * n + j] = i64{1} << 62;
    digits[4 * n + j] = -(i64{1} << 62);
  }
  const auto start = random_words<W>(rng, columns * n);
  auto accumulator = start;
  matrix.multiply_add(accumulator, digits, first);
  for (std::size_t c = 0; c < columns; ++c) {
    std::vector<W> expected(start.begin() + static_cast<std::ptrdiff_t>(c * n),
                            start.begin() + static_cast<std::ptrdiff_t>((c + 1) * n));
    for (std::size_t i = 0; i < used; ++i) {
      std::vector<W> d;
      for (std::size_t j = 0; j < n; ++j) d.push_back(static_cast<W>(digits[i * n + j]));
      expected = sum(expected, test::naive_product<W>(d, std::span(entries[first + i]).subspan(c * n, n)));
    }
    const std::vector<W> got(accumulator.begin() + static_cast<std::ptrdiff_t>(c * n),
                             accumulator.begin() + static_cast<std::ptrdiff_t>((c + 1) * n));
    EXPECT_EQ(got, expected) << c;
  }
}

}  // namespace
}  // namespace witan::tfhe
