// The noise of every component of a key set, measured with the dealer's secrets on rows that the tests' plain reference
// formulas decrypt (threshold-tfhe.md 4.5). Rows are generated one by one, so that the default set needs no memory.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>

#include "noise_formulas.h"
#include "statistics.h"
#include "support/support.h"
#include "tfhe/expand.h"
#include "tfhe/tfhe_testing.h"

namespace witan::tfhe::noise {
namespace {

constexpr double kTolerance = 0.03;  // of the variance
constexpr double kSigmas = 5;        // standard errors that kTolerance is worth
constexpr std::size_t kMinRows = 24;

using Distort = std::function<i64(i64)>;

/// Fresh noise, with a fault if one is asked for.
class DistortedNoise final : public NoiseSource {
 public:
  DistortedNoise(Rng& rng, Distort distort, int bound_change)
      : honest_(rng), distort_(std::move(distort)), bound_change_(bound_change) {}
  void fill(TUniform law, std::span<i64> out) override {
    law.bound_log2 = static_cast<std::uint32_t>(static_cast<int>(law.bound_log2) + bound_change_);
    honest_.fill(law, out);
    if (distort_) std::ranges::transform(out, out.begin(), distort_);
  }

 private:
  RngNoise honest_;
  Distort distort_;
  int bound_change_;
};

/// `count` rows, or all if there are fewer: the first, the last and others spread evenly over all levels and places of a
/// level (the step is made prime to the number of rows of one key bit).
std::vector<std::size_t> chosen_rows(const Component& c, std::size_t count) {
  std::vector<std::size_t> out;
  const std::size_t per_bit = c.shape == RowShape::ggsw ? c.decomposition.level_count * (c.glwe_dimension + 1)
                                                        : std::max<std::size_t>(c.decomposition.level_count, 1);
  std::size_t step = std::max<std::size_t>(1, c.rows / count);
  while (step > 1 && std::gcd(step, per_bit) != 1) --step;
  for (std::size_t i = 0; i < std::min(count, c.rows); ++i) out.push_back(i * step);
  out.back() = c.rows - 1;
  return out;
}

/// Residues that no 64-bit integer holds are far beyond every bound.
i64 clamped(i128 value) {
  return static_cast<i64>(std::clamp<i128>(value, std::numeric_limits<i64>::min(), std::numeric_limits<i64>::max()));
}

template <Word W>
void measure_rows(const Component& c, const SecretKeySet& keys, NoiseSource& noise, const MaskReader& mask,
                  std::size_t rows, std::vector<i64>& out) {
  const auto input = c.input ? keys.bits(*c.input) : std::span<const std::uint8_t>{};
  const KeyFactor<W> factor(c, keys.bits(c.under));
  std::vector<W> body(c.body_words()), expanded(c.mask_words() + c.body_words());
  for (const std::size_t row : chosen_rows(c, rows)) {
    generate_bodies<W>(c, keys, factor, mask, noise, row, 1, body);
    mask.read<W>(u128{row} * c.mask_words(), std::span(expanded).first(c.mask_words()));
    std::ranges::copy(body, expanded.end() - static_cast<std::ptrdiff_t>(body.size()));
    for (const auto residue : test::row_noises<W>(c, row, expanded, keys.bits(c.under), input))
      out.push_back(clamped(residue));
  }
}

/// At least the samples that make kTolerance kSigmas standard errors, from as many generations (each with its own seed and
/// noise) as that takes: the public keys of one set have 2,048 samples, its key switching keys 8,192.
std::vector<i64> samples_of(const Params& params, const SecretKeySet& keys, const Component& c,
                            const Distort& distort = {}, int bound_change = 0) {
  const std::size_t wanted = std::max<std::size_t>(samples_for(c.noise, kTolerance, kSigmas), 10'000);
  std::vector<i64> out;
  witan::test::SeededRng rng(fmt::format("noise of the {} of {}", to_string(c.kind), params.name));
  DistortedNoise noise(rng, distort, bound_change);
  while (out.size() < wanted) {
    const MaskReader mask({key_set_seed(rng.next<u128>()), StreamPosition::from_bytes(c.stream_offset_bytes)});
    const std::size_t missing = (wanted - out.size() + c.body_words() - 1) / c.body_words();
    const std::size_t rows = std::max(missing, kMinRows);
    if (c.word_bits == 64)
      measure_rows<u64>(c, keys, noise, mask, rows, out);
    else
      measure_rows<u128>(c, keys, noise, mask, rows, out);
  }
  return out;
}

class KeyRows : public ::testing::TestWithParam<const char*> {
 protected:
  Params params_ = test::params(GetParam());
  witan::test::SeededRng rng_{fmt::format("keys of {}", GetParam())};
  SecretKeySet keys_ = generate_secret_keys(params_, rng_);
};
INSTANTIATE_TEST_SUITE_P(Sets, KeyRows, ::testing::Values("default", "test", "witan_toy_b"),
                         [](const auto& info) { return std::string(info.param); });

TEST_P(KeyRows, EveryComponentHasTheNoiseOfItsBound) {
  for (const Component& c : key_components(params_)) {
    const auto samples = samples_of(params_, keys_, c);
    EXPECT_GE(samples.size(), 10'000u);
    EXPECT_EQ(complaints(samples, c.noise, kTolerance), std::vector<std::string>{}) << to_string(c.kind);
    double squares = 0;
    for (const i64 sample : samples) squares += std::pow(static_cast<double>(sample), 2);
    fmt::print("{:12} {:34} TUniform({:2}), {:7} samples, variance {:.4f} of the law\n", params_.name,
               to_string(c.kind), c.noise.bound_log2, samples.size(),
               squares / static_cast<double>(samples.size()) / tuniform_variance(c.noise));
  }
}

/// Twins of the test above whose keys have wrong noise: it must see them, in every component.
TEST_P(KeyRows, NoiseThatIsOffByOneBitOrByAFactorIsSeen) {
  const auto times = [](double factor) {
    return [factor](i64 e) { return static_cast<i64>(std::llround(factor * static_cast<double>(e))); };
  };
  for (const Component& c : key_components(params_)) {
    SCOPED_TRACE(to_string(c.kind));
    const auto seen = [&](const Distort& distort, int bound_change) {
      return !complaints(samples_of(params_, keys_, c, distort, bound_change), c.noise, kTolerance).empty();
    };
    EXPECT_TRUE(seen(times(1.5), 0)) << "1.5 times the noise";
    EXPECT_TRUE(seen(times(std::sqrt(1.5)), 0) || c.noise.bound_log2 == 0) << "1.5 times the variance";
    EXPECT_TRUE(seen({}, 1)) << "a bound one bit too high";
    if (c.noise.bound_log2 == 0) continue;  // -1, 0, 1 have no smaller twin
    EXPECT_TRUE(seen(times(1 / 1.5), 0)) << "noise divided by 1.5";
    EXPECT_TRUE(seen(times(1 / std::sqrt(1.5)), 0)) << "variance divided by 1.5";
    EXPECT_TRUE(seen({}, -1)) << "a bound one bit too low";
    // The right variance and bound, but not the law: ends that are never drawn, or a mean that is off.
    const i64 bound = i64{1} << c.noise.bound_log2;
    if (c.noise.bound_log2 <= 4)
      EXPECT_TRUE(seen([&](i64 e) { return e == bound ? -bound : e; }, 0)) << "one end never";
    EXPECT_TRUE(seen([&](i64 e) { return std::min(e + std::max<i64>(bound / 8, 1), bound); }, 0)) << "mean is off";
  }
}

TEST(TUniformLaw, KurtosisIsThatOfTheSums) {
  for (const std::uint32_t b : {0u, 1u, 2u, 3u, 6u}) {
    const double bound = std::ldexp(1, static_cast<int>(b));
    double fourth = 0, second = 0;
    for (double e = -bound; e <= bound; ++e) {
      const double p = (std::abs(e) == bound ? 0.5 : 1) / (2 * bound);
      second += p * e * e;
      fourth += p * e * e * e * e;
    }
    EXPECT_NEAR(second, tuniform_variance({b}), 1e-9 * second);
    EXPECT_NEAR(fourth / (second * second), tuniform_kurtosis({b}), 1e-9);
  }
  EXPECT_EQ(samples_for({17}, 0.03, 5), 22223u);  // (9/5 - 1) (5 / 0.03)^2
}

}  // namespace
}  // namespace witan::tfhe::noise
