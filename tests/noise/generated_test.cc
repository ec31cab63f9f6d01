// Random bits, noises and keys that committees make (protocol W), reconstructed by the tests: are they what a dealer would draw? Every
// test has fixed seeds and allows five standard errors, so that a right implementation fails one of its figures, were the seeds drawn
// anew, with probability below 6e-7; there are some 150 figures, all together below 1e-4. Twins of the same samples, skewed by little, must fail.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <future>
#include <map>

#include "protocols/key_generation_world.h"
#include "statistics.h"

namespace witan::tfhe::noise {
namespace {

using Samples = std::map<std::uint32_t, std::vector<i64>>;  // by the logarithm of the bound

constexpr double kSigmas = 5;
constexpr double kTolerance = 0.05;  // of a variance; at 10,000 samples, the fewest, 5.6 standard errors

struct Made {
  Samples noises;
  std::vector<std::uint8_t> key_bits, bits;

  void take(Made other) {
    for (auto& [bound, samples] : other.noises) std::ranges::copy(samples, std::back_inserter(noises[bound]));
    std::ranges::copy(other.key_bits, std::back_inserter(key_bits));
    std::ranges::copy(other.bits, std::back_inserter(bits));
  }
};

/// A whole key generation.
Made generation(const char* params, int n, int t, std::uint64_t seed) {
  const protocols::test::Scene scene(params, CommitteeSize::make(n, t).value(), seed);
  Made out;
  for (std::size_t c = 0; c < scene.plan.components.size(); ++c)
    std::ranges::copy(scene.open_noises(scene.layout.noises[c]),
                      std::back_inserter(out.noises[scene.plan.components[c].component.noise.bound_log2]));
  out.key_bits = scene.open_bits(*scene.layout.bits);
  return out;
}

/// Of the noises of production keys that no test set has, and more bits than keys have.
Made orders(int n, int t, std::uint64_t seed) {
  using Kind = protocols::MaterialOrder::Kind;
  constexpr std::uint64_t kNoises = 16'000, kBits = 300'000;
  const protocols::MaterialPlan plan{
      {.kind = Kind::bits, .word_bits = 128, .count = kBits},
      {.kind = Kind::noises, .word_bits = 64, .count = kNoises, .bound_log2 = 17},
      {.kind = Kind::noises, .word_bits = 64, .count = kNoises, .bound_log2 = 43},
      {.kind = Kind::noises, .word_bits = 64, .count = kNoises, .bound_log2 = 45},
      {.kind = Kind::noises, .word_bits = 128, .count = kNoises, .bound_log2 = 30},
  };
  const protocols::test::MadeMaterial made(CommitteeSize::make(n, t).value(), plan, seed);
  Made out;
  out.bits = made.open_bits(0);
  for (std::size_t order = 1; order < plan.size(); ++order)
    out.noises[static_cast<std::uint32_t>(plan[order].bound_log2)] = made.open_noises(order);
  return out;
}

/// Four generations with the parameters `test`, one of a committee that opens in two phases, and orders: once, on all cores.
const Made& made() {
  static const Made all = [] {
    std::vector<std::future<Made>> parts;
    for (const std::uint64_t seed : {11u, 12u, 13u, 14u})
      parts.push_back(std::async(std::launch::async, [seed] { return generation("test", 4, 1, seed); }));
    parts.push_back(std::async(std::launch::async, [] { return generation("witan_toy_b", 7, 2, 15); }));
    parts.push_back(std::async(std::launch::async, [] { return orders(4, 1, 16); }));
    parts.push_back(std::async(std::launch::async, [] { return orders(7, 2, 17); }));
    Made out;
    for (auto& part : parts) out.take(part.get());
    return out;
  }();
  return all;
}

/// Standard errors by which the number of ones differs from half.
double imbalance(std::span<const std::uint8_t> bits) {
  double ones = 0;
  for (const std::uint8_t bit : bits) ones += bit;
  const auto count = static_cast<double>(bits.size());
  return std::abs(ones - count / 2) / std::sqrt(count / 4);
}
/// Of the exclusive or of neighbours: bits that follow each other too often.
double correlation(std::span<const std::uint8_t> bits) {
  std::vector<std::uint8_t> different;
  for (std::size_t i = 1; i < bits.size(); ++i) different.push_back(static_cast<std::uint8_t>(bits[i] ^ bits[i - 1]));
  return imbalance(different);
}

/// Bit j of e + 2^b modulo 2^(b+1): all of them are balanced, because TUniform(b) is a uniform number of b + 1 bits, minus 2^b, plus a bit.
std::vector<std::uint8_t> bit_of(std::span<const i64> noises, std::uint32_t bound_log2, std::uint32_t j) {
  std::vector<std::uint8_t> out;
  for (const i64 noise : noises)
    out.push_back(static_cast<std::uint8_t>((static_cast<u64>(noise) + (u64{1} << bound_log2)) >> j & 1));
  return out;
}

/// Every n-th sample is changed.
template <class T, class Change>
std::vector<T> skewed(std::vector<T> samples, std::size_t n, Change change) {
  for (std::size_t i = 0; i < samples.size(); i += n) samples[i] = change(samples[i]);
  return samples;
}

TEST(Generated, BitsAreUnbiasedAndUncorrelated) {
  const auto& bits = made().bits;
  EXPECT_EQ(bits.size(), 600'000u);
  EXPECT_LT(imbalance(bits), kSigmas);
  EXPECT_LT(correlation(bits), kSigmas);
  // One bit in fifty is not drawn but 1; one in fifty is that before it.
  EXPECT_GT(imbalance(skewed(bits, 50, [](std::uint8_t) { return std::uint8_t{1}; })), kSigmas);
  std::vector<std::uint8_t> repeated = bits;
  for (std::size_t i = 50; i < repeated.size(); i += 50) repeated[i] = repeated[i - 1];
  EXPECT_GT(correlation(repeated), kSigmas);
}

TEST(Generated, KeyBitsAreBalanced) {
  const auto& bits = made().key_bits;
  EXPECT_EQ(bits.size(), 4u * 1538 + 720);
  EXPECT_LT(imbalance(bits), kSigmas);
  EXPECT_LT(correlation(bits), kSigmas);
  EXPECT_GT(imbalance(skewed(bits, 10, [](std::uint8_t) { return std::uint8_t{1}; })), kSigmas);
}

TEST(Generated, NoisesOfEveryBoundAreTUniform) {
  std::size_t all = 0;
  for (const auto& [bound, samples] : made().noises) {
    SCOPED_TRACE(bound);
    all += samples.size();
    if (samples.size() < 10'000) continue;  // some components of the toy set
    const TUniform law{bound};
    EXPECT_EQ(complaints(samples, law, kTolerance), std::vector<std::string>{});
    for (std::uint32_t j = 0; j <= bound; ++j) EXPECT_LT(imbalance(bit_of(samples, bound, j)), kSigmas) << "bit " << j;
    fmt::print("TUniform({:2}): {:7} samples\n", bound, samples.size());
  }
  EXPECT_GE(all, 1'000'000u);
  for (const std::uint32_t bound : {0u, 3u, 4u, 17u, 30u, 43u, 45u})
    EXPECT_TRUE(made().noises.contains(bound)) << bound;
}

TEST(Generated, SkewedNoisesFailTheSameTests) {
  for (const auto& [bound, samples] : made().noises) {
    if (samples.size() < 10'000) continue;
    SCOPED_TRACE(bound);
    const TUniform law{bound};
    const i64 end = i64{1} << bound;
    const auto seen = [&](const std::vector<i64>& twin) {
      if (!complaints(twin, law, kTolerance).empty()) return true;
      for (std::uint32_t j = 0; j <= bound; ++j)
        if (imbalance(bit_of(twin, bound, j)) >= kSigmas) return true;
      return false;
    };
    EXPECT_TRUE(seen(skewed(samples, 10, [&](i64) { return i64{0}; }))) << "a tenth is 0";
    EXPECT_TRUE(seen(skewed(samples, 10, [&](i64 e) { return std::abs(e); }))) << "a tenth is not negative";
    // One bit of the window is 1 in a tenth of the noises.
    EXPECT_TRUE(seen(skewed(samples, 10, [&](i64 e) {
      const u64 shifted = static_cast<u64>(e) + static_cast<u64>(end);
      return e == end ? e : static_cast<i64>(shifted | 1) - end;
    }))) << "the lowest bit of a tenth";
    EXPECT_TRUE(seen(skewed(samples, 10'000, [&](i64) { return end + 1; }))) << "one in 10,000 is beyond the bound";
  }
}

}  // namespace
}  // namespace witan::tfhe::noise
