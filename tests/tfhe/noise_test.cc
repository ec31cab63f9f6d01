#include "tfhe/noise.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "support/support.h"

namespace witan::tfhe {
namespace {

/// The exact law: ends 2^-(b+2), the others 2^-(b+1). Ten standard deviations of a binomial count.
TEST(TUniformNoise, SmallBoundsFollowTheLaw) {
  witan::test::SeededRng rng("tuniform");
  RngNoise noise(rng);
  for (const std::uint32_t b : {0u, 1u, 2u, 3u}) {
    const std::size_t samples = 1 << 16;
    std::vector<i64> values(samples);
    noise.fill({b}, values);
    std::map<i64, double> counts;
    for (const i64 value : values) counts[value] += 1;
    const i64 bound = i64{1} << b;
    EXPECT_EQ(counts.begin()->first, -bound);
    EXPECT_EQ(counts.rbegin()->first, bound);
    EXPECT_EQ(static_cast<i64>(counts.size()), 2 * bound + 1);
    for (const auto& [value, count] : counts) {
      const double p = std::ldexp(1, -static_cast<int>(b) - (std::abs(value) == bound ? 2 : 1));
      const double sigma = std::sqrt(p * (1 - p) * static_cast<double>(samples));
      EXPECT_NEAR(count, p * static_cast<double>(samples), 10 * sigma) << b << " " << value;
    }
  }
}

/// Variance (2^(2b+1) + 1) / 6 (threshold-tfhe.md 1).
TEST(TUniformNoise, BoundsAndVarianceOfAllSets) {
  witan::test::SeededRng rng("variance");
  RngNoise noise(rng);
  for (const std::uint32_t b : {3u, 16u, 17u, 30u, 42u, 43u, 45u, 49u, 61u}) {
    std::vector<i64> values(20000);
    noise.fill({b}, values);
    double sum = 0, squares = 0;
    for (const i64 value : values) {
      EXPECT_LE(std::abs(value), i64{1} << b);
      sum += std::ldexp(static_cast<double>(value), -static_cast<int>(b));
      squares += std::pow(std::ldexp(static_cast<double>(value), -static_cast<int>(b)), 2);
    }
    const auto count = static_cast<double>(values.size());
    EXPECT_NEAR(sum / count, 0, 0.04) << b;
    EXPECT_NEAR(squares / count, (2 + std::ldexp(1, -2 * static_cast<int>(b))) / 6, 0.02) << b;
  }
}

TEST(TUniformNoise, TheStreamOfSamplesDoesNotDependOnHowItIsCut) {
  witan::test::SeededRng one("cut"), two("cut");
  std::vector<i64> whole(1500), parts(1500);
  RngNoise(one).fill({17}, whole);
  RngNoise second(two);
  second.fill({17}, std::span(parts).first(1));
  second.fill({17}, std::span(parts).subspan(1, 700));
  second.fill({17}, std::span(parts).subspan(701));
  EXPECT_EQ(whole, parts);
}

}  // namespace
}  // namespace witan::tfhe
