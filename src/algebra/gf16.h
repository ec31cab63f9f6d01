// GF(2^4) = GF(2)[X]/(X^4+X+1), the residue field of the rings; bit j of an element is the coefficient of X^j. mpc.md 2.
// Straight-line code without tables: time does not depend on the operands.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace witan::algebra {

using Gf16 = std::uint8_t;  // 0..15

constexpr Gf16 gf16_mul(Gf16 a, Gf16 b) {
  unsigned product = 0;
  for (unsigned bit = 0; bit < 4; ++bit) product ^= (0u - ((b >> bit) & 1u)) & (static_cast<unsigned>(a) << bit);
  for (unsigned bit = 6; bit >= 4; --bit) product ^= (0u - ((product >> bit) & 1u)) & (0x13u << (bit - 4));
  return static_cast<Gf16>(product & 15u);
}

/// a^14 = a^-1; 0 for 0.
constexpr Gf16 gf16_inverse(Gf16 a) {
  const Gf16 a2 = gf16_mul(a, a), a4 = gf16_mul(a2, a2), a8 = gf16_mul(a4, a4);
  return gf16_mul(a8, gf16_mul(a4, a2));
}

/// Coefficients, constant term first, without leading zeros (empty: the zero polynomial).
using Gf16Poly = std::vector<Gf16>;

/// Gao's decoder: the polynomial of degree < `dimension` that agrees with `values` at the distinct `points` in all but at
/// most `max_errors` positions. Empty result: there is none. Precondition: 2 max_errors < points - dimension + 1.
struct Gf16Decoded {
  bool found = false;
  Gf16Poly polynomial;
};
Gf16Decoded gf16_decode(std::span<const Gf16> points, std::span<const Gf16> values, std::size_t dimension,
                        std::size_t max_errors);

/// Horner.
Gf16 gf16_evaluate(const Gf16Poly& polynomial, Gf16 point);

}  // namespace witan::algebra
