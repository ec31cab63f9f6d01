// TUniform noise (threshold-tfhe.md 1).
#pragma once

#include <span>

#include "base/rng.h"
#include "tfhe/params.h"

namespace witan::tfhe {

/// Where encryption takes its noise from: an Rng, or recorded values in a test that rebuilds a vector.
class NoiseSource {
 public:
  virtual ~NoiseSource() = default;
  /// Independent samples of TUniform(b), b <= 61, in the order in which bodies consume them.
  virtual void fill(TUniform distribution, std::span<i64> out) = 0;
};

/// Branch-free sampling: b + 2 random bits r give floor(r / 2) - 2^b + (r mod 2).
class RngNoise final : public NoiseSource {
 public:
  explicit RngNoise(Rng& rng) : rng_(rng) {}
  void fill(TUniform distribution, std::span<i64> out) override;

 private:
  Rng& rng_;
};

}  // namespace witan::tfhe
