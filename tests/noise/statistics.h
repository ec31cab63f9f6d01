// What the tests of noise measure and when they say no.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "tfhe/params.h"

namespace witan::tfhe::noise {

/// How many samples of TUniform(b) make `tolerance` (of the variance) `sigmas` standard errors of a sample variance: the
/// standard error is sqrt((kurtosis - 1) / count) of the variance.
std::size_t samples_for(TUniform law, double tolerance, double sigmas);

/// Everything that is wrong with samples that should be TUniform(law), empty if nothing is. Variance within `tolerance`
/// of (2^(2b+1)+1)/6, mean within five standard errors of 0, no value beyond 2^b, and a chi-square test of the law: of
/// every value, the two ends with half the weight, where 2^b <= 16, else of 16 equal ranges.
std::vector<std::string> complaints(std::span<const std::int64_t> samples, TUniform law, double tolerance);

/// Errors against predictions, as multiples of the predicted standard deviation.
class Measured {
 public:
  /// `error` has predicted mean 0.
  void add(double error, double predicted_variance);
  void merge(const Measured& other);

  std::size_t count() const { return count_; }
  /// Measured over predicted mean square.
  double ratio() const;
  double mean() const;     // in standard deviations
  double largest() const;  // in standard deviations
  /// Ratio within 1/(1+tolerance) .. 1+tolerance; where the formulas predict no error at all, that there was none.
  bool fits(double tolerance) const;
  /// The same samples times `factor`.
  Measured scaled(double factor) const;

 private:
  std::size_t count_ = 0;
  std::size_t exact_ = 0;  // samples with predicted variance 0
  double sum_ = 0, squares_ = 0, largest_ = 0;
};

}  // namespace witan::tfhe::noise
