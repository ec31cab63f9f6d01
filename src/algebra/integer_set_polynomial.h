// Integer-normalised set polynomials S_A (mpc.md 17.3): S_A(X) = prod_{j notin A} (X - alpha_j) adj_j over Z[X]/(X^4+X+1) with
// (-alpha_j)^-1 = adj_j / norm_j, so that S_A = f_A * S_A(0) with S_A(0) an odd integer. Its values have small coefficients,
// which makes random sharings of base-ring values cheap: the secret, a uniform word times an odd number, stays uniform.
//
// For psi0 alone. A decryption mask with S_A would leave its bound (2^125 instead of 2^120.5 at n = 13, security.md S9): hence a
// type of its own, which is no ring element; masks take algebra::set_polynomial.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "algebra/gr.h"

namespace witan::algebra {

/// S_A at a party's point: coefficients of 1, X, X^2, X^3, at most 9375 in absolute value for n <= 15.
struct IntegerSetValue {
  std::array<std::int16_t, 4> c{};
  friend bool operator==(const IntegerSetValue&, const IntegerSetValue&) = default;
};

/// Small integers that stand in a ring element as two's complement. Precondition (checked): they fit 16 bits.
std::array<std::int16_t, 4> small_coefficients(const Gr<Z64>& value);

/// `outside` = the parties not in A.
IntegerSetValue integer_set_value(std::span<const Role> outside, Role at);
/// S_A(0) = product of norm_j: odd.
std::int64_t integer_set_value_at_0(std::span<const Role> outside);

/// adj_j and norm_j of -alpha_j.
struct IntegerInverse {
  std::int64_t norm = 1;
  std::array<std::int64_t, 4> adjugate{};
};
IntegerInverse integer_inverse_of_minus_point(Role role);

}  // namespace witan::algebra
