#include "tfhe/decompose.h"

#include <gtest/gtest.h>

#include "support/support.h"
#include "tfhe/ntt.h"

namespace witan::tfhe {
namespace {

template <class W>
class Decompose : public ::testing::Test {};
using Words = ::testing::Types<u64, u128>;
TYPED_TEST_SUITE(Decompose, Words);

/// Those of all parameter sets, and the widest possible.
template <class W>
std::vector<Decomposition> decompositions() {
  if constexpr (sizeof(W) == 8)
    return {{23, 1}, {24, 1}, {4, 4}, {37, 1}, {4, 3}, {3, 7}, {10, 2}, {5, 3}, {62, 1}, {1, 63}, {21, 3}};
  return {{24, 3}, {33, 2}, {41, 2}, {61, 1}, {62, 2}, {1, 127}};
}

template <class W>
std::vector<W> interesting_words(Rng& rng, const Decomposition& d) {
  std::vector<W> out{0, 1, ~W{0}, W{1} << (8 * sizeof(W) - 1), (W{1} << (8 * sizeof(W) - 1)) - 1};
  const std::size_t dropped = 8 * sizeof(W) - d.base_log * d.level_count;
  const W step = W{1} << dropped;
  for (int i = 0; i < 200; ++i) {
    const W word = rng.next<W>();
    out.push_back(word);
    out.push_back(word / step * step + step / 2);  // exact ties of the rounding
    out.push_back(word / step * step + step / 2 - 1);
  }
  // Every digit exactly half the base, and the tie at half the whole range from both sides.
  W halves = 0;
  for (std::uint32_t l = 1; l <= d.level_count; ++l)
    halves |= W{1} << (8 * sizeof(W) - d.base_log * l + d.base_log - 1);
  out.insert(out.end(), {halves, static_cast<W>(halves - step / 2), static_cast<W>(halves + step / 2)});
  const W top = W{1} << (8 * sizeof(W) - 1);
  out.insert(out.end(), {static_cast<W>(top - step / 2), static_cast<W>(top + step / 2 - 1)});
  return out;
}

TYPED_TEST(Decompose, DigitsAreBalancedAndGiveTheClosestWord) {
  using W = TypeParam;
  witan::test::SeededRng rng("decompose");
  for (const Decomposition& d : decompositions<W>()) {
    const Decomposer<W> decomposer(d);
    const W half_step = W{1} << (8 * sizeof(W) - d.base_log * d.level_count - 1);
    std::vector<i64> digits(d.level_count);
    for (const W word : interesting_words<W>(rng, d)) {
      decomposer.decompose(word, digits);
      W recomposed = 0;
      for (std::uint32_t i = 0; i < d.level_count; ++i) {
        EXPECT_LE(digits[i], i64{1} << (d.base_log - 1));
        EXPECT_GE(digits[i], -(i64{1} << (d.base_log - 1)));
        const std::uint32_t level = d.level_count - i;
        recomposed += static_cast<W>(digits[i]) << (8 * sizeof(W) - d.base_log * level);
      }
      EXPECT_EQ(recomposed, decomposer.closest(word));
      const auto error = static_cast<SignedWord<W>>(recomposed - word);
      EXPECT_LE(error < 0 ? static_cast<W>(-error) : static_cast<W>(error), half_step);
    }
  }
}

/// The bit formulas by which tfhe-rs 1.7 decides ties, as an oracle (core_crypto/commons/math/decomposition).
template <class W>
std::vector<W> oracle(W input, unsigned base_log, unsigned levels) {
  const unsigned represented = base_log * levels;
  W state = input >> (8 * sizeof(W) - represented - 1);
  const W random = state & 1;
  state = (state + 1) >> 1 & ((W{1} << represented) - 1);
  const W balance = (((state - 1) | random << (represented - 1)) & state) >> (represented - 1);
  state -= balance << represented;
  std::vector<W> out;
  for (unsigned l = 0; l < levels; ++l) {
    const W residue = state & ((W{1} << base_log) - 1);
    state = static_cast<W>(static_cast<SignedWord<W>>(state) >> base_log);
    const W carry = (((residue - 1) | state) & residue) >> (base_log - 1) & 1;
    state += carry;
    out.push_back(residue - (carry << base_log));
  }
  return out;
}

TYPED_TEST(Decompose, TiesAreDecidedAsByTfheRs) {
  using W = TypeParam;
  witan::test::SeededRng rng("ties");
  for (const Decomposition& d : decompositions<W>()) {
    const Decomposer<W> decomposer(d);
    std::vector<i64> digits(d.level_count);
    for (const W word : interesting_words<W>(rng, d)) {
      decomposer.decompose(word, digits);
      const auto expected = oracle<W>(word, d.base_log, d.level_count);
      for (std::uint32_t i = 0; i < d.level_count; ++i)
        EXPECT_TRUE(static_cast<W>(digits[i]) == expected[i]) << d.base_log << " x " << d.level_count << " digit " << i;
    }
  }
}

TYPED_TEST(Decompose, ManyAtOnceGiveTheSameDigitsOnEveryTarget) {
  using W = TypeParam;
  witan::test::SeededRng rng("decompose all");
  for (const VectorTarget& target : vector_targets()) {
    choose_vector_target(target.id);
    for (const Decomposition& d : decompositions<W>()) {
      const Decomposer<W> decomposer(d);
      auto words = interesting_words<W>(rng, d);
      for (const std::size_t size : {words.size(), std::size_t{13}, std::size_t{1}}) {
        words.resize(size);
        std::vector<i64> all(size * d.level_count), one(d.level_count);
        decomposer.decompose_all(words, all);
        for (std::size_t j = 0; j < size; ++j) {
          decomposer.decompose(words[j], one);
          for (std::size_t l = 0; l < d.level_count; ++l)
            ASSERT_EQ(all[l * size + j], one[l]) << target.name << ", base 2^" << d.base_log << ", word " << j;
        }
      }
    }
  }
  choose_vector_target(0);
}

}  // namespace
}  // namespace witan::tfhe
