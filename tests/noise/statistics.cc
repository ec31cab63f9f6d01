#include "statistics.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "noise_formulas.h"

namespace witan::tfhe::noise {
namespace {

constexpr double kSigmas = 5;
/// Laws with at most this bound are tested value by value.
constexpr std::uint32_t kSmallBound = 4;
constexpr std::size_t kRanges = 16;

/// Chi-square as a standard normal value (Wilson and Hilferty, 1931).
double chi_square(std::span<const double> counts, std::span<const double> expected) {
  double sum = 0;
  for (std::size_t i = 0; i < counts.size(); ++i) sum += std::pow(counts[i] - expected[i], 2) / expected[i];
  const auto freedom = static_cast<double>(counts.size() - 1);
  return (std::cbrt(sum / freedom) - (1 - 2 / (9 * freedom))) / std::sqrt(2 / (9 * freedom));
}

/// Where a sample within the bound falls, and what the law gives each place.
struct Histogram {
  std::vector<double> counts, expected;
};

Histogram histogram(std::span<const std::int64_t> samples, TUniform law) {
  const std::int64_t bound = std::int64_t{1} << law.bound_log2;
  const auto total = static_cast<double>(samples.size());
  Histogram out;
  if (law.bound_log2 <= kSmallBound) {
    out.counts.resize(static_cast<std::size_t>(2 * bound + 1));
    out.expected.assign(out.counts.size(), total / static_cast<double>(2 * bound));
    out.expected.front() /= 2;
    out.expected.back() /= 2;
    for (const std::int64_t sample : samples) ++out.counts[static_cast<std::size_t>(sample + bound)];
    return out;
  }
  out.counts.resize(kRanges);
  out.expected.assign(kRanges, total / kRanges);
  const double half_weight =
      total / 2 / static_cast<double>(2 * bound);  // -2^b lies in the first range, 2^b in the last
  out.expected.front() -= half_weight;
  out.expected.back() += half_weight;
  for (const std::int64_t sample : samples) {
    const auto place = static_cast<std::size_t>(sample + bound) >> (law.bound_log2 - 3);
    ++out.counts[std::min(place, kRanges - 1)];
  }
  return out;
}

}  // namespace

std::size_t samples_for(TUniform law, double tolerance, double sigmas) {
  return static_cast<std::size_t>(std::ceil((tuniform_kurtosis(law) - 1) * std::pow(sigmas / tolerance, 2)));
}

std::vector<std::string> complaints(std::span<const std::int64_t> samples, TUniform law, double tolerance) {
  if (samples.empty()) return {"no samples"};
  std::vector<std::string> out;
  const std::int64_t bound = std::int64_t{1} << law.bound_log2;
  double sum = 0, squares = 0;
  std::size_t beyond = 0;
  for (const std::int64_t sample : samples) {
    const auto value = static_cast<double>(sample);
    sum += value;
    squares += value * value;
    beyond += sample > bound || sample < -bound ? 1 : 0;
  }
  const auto count = static_cast<double>(samples.size());
  const double variance = tuniform_variance(law), ratio = squares / count / variance;
  if (beyond != 0)
    out.push_back(fmt::format("{} of {} samples lie beyond 2^{}", beyond, samples.size(), law.bound_log2));
  if (std::abs(ratio - 1) > tolerance)
    out.push_back(fmt::format("variance is {:.4f} of the predicted one, tolerance {:.4f}", ratio, tolerance));
  const double mean = sum / std::sqrt(count * variance);
  if (std::abs(mean) > kSigmas) out.push_back(fmt::format("mean lies {:.1f} standard errors from 0", mean));
  if (beyond == 0) {
    const Histogram places = histogram(samples, law);
    const double excess = chi_square(places.counts, places.expected);
    if (std::ranges::min(places.expected) >= 20 && excess > kSigmas)
      out.push_back(fmt::format("chi-square of {} places lies {:.1f} standard deviations too high",
                                places.counts.size(), excess));
  }
  return out;
}

void Measured::add(double error, double predicted_variance) {
  const double z = error == 0 ? 0 : error / std::sqrt(predicted_variance);
  ++count_;
  if (predicted_variance == 0) ++exact_;
  sum_ += z;
  squares_ += z * z;
  largest_ = std::max(largest_, std::abs(z));
}

void Measured::merge(const Measured& other) {
  count_ += other.count_;
  exact_ += other.exact_;
  sum_ += other.sum_;
  squares_ += other.squares_;
  largest_ = std::max(largest_, other.largest_);
}

double Measured::ratio() const {
  return squares_ / static_cast<double>(count_);
}
double Measured::mean() const {
  return sum_ / static_cast<double>(count_);
}
double Measured::largest() const {
  return largest_;
}
bool Measured::fits(double tolerance) const {
  if (exact_ == count_) return count_ > 0 && largest_ == 0;
  return ratio() <= 1 + tolerance && ratio() >= 1 / (1 + tolerance);
}

Measured Measured::scaled(double factor) const {
  Measured out = *this;
  out.sum_ *= factor;
  out.squares_ *= factor * factor;
  out.largest_ *= factor;
  return out;
}

}  // namespace witan::tfhe::noise
