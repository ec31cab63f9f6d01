// From Z/2^64 to Z/2^log_modulus before a blind rotation (threshold-tfhe.md 6.2 step 3). Every party must get the same
// result: integers, and for the drift technique doubles in one fixed order without contraction.
#pragma once

#include <variant>
#include <vector>

#include "tfhe/keys.h"

namespace witan::tfhe {

/// The drift technique with its expanded encryptions of zero.
struct DriftKey {
  std::vector<Lwe<u64>> zeros;
  double bound = 0, r_sigma_factor = 0, input_variance = 0;
};
using ModulusSwitchKey = std::variant<StandardSwitch, DriftKey, CenteredMeanSwitch>;
ModulusSwitchKey expand(const SeededModulusSwitch& seeded);

/// Words below 2^log_modulus.
struct SwitchedLwe {
  std::vector<std::uint32_t> mask;
  std::uint32_t body = 0;
  int log_modulus = 0;
};

/// round(word / 2^(w - log_modulus)) mod 2^log_modulus; ties go up.
template <Word W>
W switch_word(W word, int log_modulus);

/// Standard: every word is rounded. CenteredMean: body + sum of half the mask's rounding errors - half a step first.
/// Drift: the first encryption of zero whose estimate meets the bound is added, or else the best one.
SwitchedLwe modulus_switch(const ModulusSwitchKey& key, const Lwe<u64>& lwe, int log_modulus);

}  // namespace witan::tfhe
