// What the vector code of ntt.cc works with. Internal.
#pragma once

#include <vector>

#include "tfhe/ntt.h"

namespace witan::tfhe::ntt {

/// One prime: constants as balanced residues in doubles.
struct Prime {
  double p = 0, inverse_p = 0;
  /// Powers of psi, a primitive 2N-th root of unity, and of its inverse, at bit-reversed places: block i of the level with m
  /// blocks multiplies by roots[m + i].
  Transformed roots, inverse_roots;
  /// The levels inside of vectors, first the longest stride: per level and pair of vectors the roots in lane order.
  Transformed lane_roots, inverse_lane_roots;
  double two32 = 0, two43 = 0, two86 = 0;  // of limbs
  double crt = 0;                          // (M / p)^-1 / N, M the product of all primes
  u128 cofactor = 1;                       // M / p mod 2^128
};

/// Everything of one transform.
struct View {
  std::size_t n = 0;
  std::span<const Prime> primes;
  u128 modulus = 1;  // M mod 2^128
};

}  // namespace witan::tfhe::ntt
