#include "tfhe/modulus_switch.h"

#include <cmath>
#include <limits>

#include "base/check.h"
#include "tfhe/expand.h"

namespace witan::tfhe {

ModulusSwitchKey expand(const SeededModulusSwitch& seeded) {
  if (const auto* drift = std::get_if<SeededDrift>(&seeded))
    return DriftKey{.zeros = expand(drift->zeros),
                    .bound = drift->bound,
                    .r_sigma_factor = drift->r_sigma_factor,
                    .input_variance = drift->input_variance};
  if (std::holds_alternative<StandardSwitch>(seeded)) return StandardSwitch{};
  return CenteredMeanSwitch{};
}

template <Word W>
W switch_word(W word, int log_modulus) {
  WITAN_CHECK(log_modulus >= 1 && log_modulus <= kWordBits<W>);
  if (log_modulus == kWordBits<W>) return word;
  const int dropped = kWordBits<W> - log_modulus;
  return (word + power_of_two<W>(dropped - 1)) >> dropped;  // wraps to 0 at the top
}
template u64 switch_word(u64, int);
template u128 switch_word(u128, int);

namespace {

/// switched word, scaled back, minus the word.
i64 rounding_error(u64 word, int log_modulus) {
  return static_cast<i64>((switch_word(word, log_modulus) << (64 - log_modulus)) - word);
}

/// Half the sum of the mask's rounding errors, minus half a step: the mean of the switching error for a binary key, and
/// the shift that centres the boxes of the table. Halves are rounded towards zero once per word and corrected at the end.
u64 centered_mean_correction(const Lwe<u64>& lwe, int log_modulus) {
  u64 sum_of_halves = 0;
  i64 doubled_halving_errors = 0;
  for (const u64 word : lwe.mask()) {
    const i64 error = rounding_error(word, log_modulus);
    const i64 half = error / 2;
    sum_of_halves += static_cast<u64>(half);
    doubled_halving_errors += 2 * half - error;
  }
  sum_of_halves -= static_cast<u64>(doubled_halving_errors / 2);
  return sum_of_halves - power_of_two<u64>(64 - log_modulus - 1);
}

/// |expected switching error| + r_sigma * its standard deviation, if the zero (or null) is added first.
double drift_measure(const DriftKey& key, const Lwe<u64>& lwe, const Lwe<u64>* zero, int log_modulus) {
  constexpr double kTorus = 18446744073709551616.0;  // 2^64
  double sum = 0, sum_of_squares = 0;
  for (std::size_t i = 0; i < lwe.dimension(); ++i) {
    const double error = static_cast<double>(rounding_error(lwe.data[i] + (zero ? zero->data[i] : 0), log_modulus));
    sum += error;
    sum_of_squares += error * error;
  }
  const double body = static_cast<double>(rounding_error(lwe.body() + (zero ? zero->body() : 0), log_modulus));
  const double variance = sum_of_squares / 4 + key.input_variance * kTorus * kTorus;
  return std::abs(body - sum / 2) + std::sqrt(variance) * key.r_sigma_factor;
}

/// The first candidate that meets the bound, else the best; null for "add nothing".
const Lwe<u64>* choose_zero(const DriftKey& key, const Lwe<u64>& lwe, int log_modulus) {
  const Lwe<u64>* best = nullptr;
  double best_measure = drift_measure(key, lwe, nullptr, log_modulus);
  if (best_measure <= key.bound) return nullptr;
  for (const Lwe<u64>& zero : key.zeros) {
    const double measure = drift_measure(key, lwe, &zero, log_modulus);
    if (measure < best_measure) {
      best_measure = measure;
      best = &zero;
    }
    if (measure <= key.bound) return &zero;
  }
  return best;
}

}  // namespace

SwitchedLwe modulus_switch(const ModulusSwitchKey& key, const Lwe<u64>& lwe, int log_modulus) {
  WITAN_CHECK(log_modulus >= 1 && log_modulus <= 31);
  const DriftKey* drift = std::get_if<DriftKey>(&key);
  const Lwe<u64>* zero = drift ? choose_zero(*drift, lwe, log_modulus) : nullptr;
  const u64 correction =
      std::holds_alternative<CenteredMeanSwitch>(key) ? centered_mean_correction(lwe, log_modulus) : 0;
  const auto switched = [&](u64 word) { return static_cast<std::uint32_t>(switch_word(word, log_modulus)); };
  SwitchedLwe out{.mask = {}, .body = 0, .log_modulus = log_modulus};
  out.mask.reserve(lwe.dimension());
  for (std::size_t i = 0; i < lwe.dimension(); ++i)
    out.mask.push_back(switched(lwe.data[i] + (zero ? zero->data[i] : 0)));
  out.body = switched(lwe.body() + (zero ? zero->body() : 0) + correction);
  return out;
}

}  // namespace witan::tfhe
