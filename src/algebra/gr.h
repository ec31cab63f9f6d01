// The Galois rings GR(2^k, 4) = (Z/2^k)[X]/(X^4+X+1), k = 64 and 128 (mpc.md 2). Wire form = memory form: four
// coefficients, constant term first, little endian: 32 or 64 bytes.
#pragma once

#include <array>

#include "algebra/gf16.h"
#include "algebra/z.h"
#include "base/ids.h"

namespace witan::algebra {

template <Word Z>
struct Gr;

/// A sum of products, reduced by X^4 = -X - 1 once at the end: r[i] is the coefficient of X^i. mpc.md 2.2.
template <Word Z>
struct ProductSum {
  std::array<Z, 7> r{};

  constexpr void add(const Gr<Z>& a, const Gr<Z>& b) {
    for (std::size_t i = 0; i < 4; ++i)
      for (std::size_t j = 0; j < 4; ++j) r[i + j] += a.c[i] * b.c[j];
  }
  constexpr Gr<Z> reduced() const { return {{r[0] - r[4], r[1] - r[4] - r[5], r[2] - r[5] - r[6], r[3] - r[6]}}; }
};

template <Word Z>
struct Gr {
  std::array<Z, 4> c{};

  static constexpr std::size_t kSizeBytes = 4 * sizeof(Z);

  static constexpr Gr from_base(Z value) { return {{value, 0, 0, 0}}; }
  static constexpr Gr one() { return from_base(1); }

  constexpr Gr& operator+=(const Gr& b) {
    for (std::size_t i = 0; i < 4; ++i) c[i] += b.c[i];
    return *this;
  }
  constexpr Gr& operator-=(const Gr& b) {
    for (std::size_t i = 0; i < 4; ++i) c[i] -= b.c[i];
    return *this;
  }
  friend constexpr Gr operator+(Gr a, const Gr& b) { return a += b; }
  friend constexpr Gr operator-(Gr a, const Gr& b) { return a -= b; }
  friend constexpr Gr operator-(const Gr& a) { return Gr{} - a; }
  friend constexpr Gr operator*(const Gr& a, const Gr& b) {
    ProductSum<Z> sum;
    sum.add(a, b);
    return sum.reduced();
  }
  friend constexpr Gr operator*(const Gr& a, Z scalar) {
    return {{a.c[0] * scalar, a.c[1] * scalar, a.c[2] * scalar, a.c[3] * scalar}};
  }
  /// For public values; secrets are never compared.
  friend constexpr bool operator==(const Gr&, const Gr&) = default;

  /// *this times itself, with 10 products instead of 16.
  constexpr Gr squared() const {
    const Z r1 = 2 * (c[0] * c[1]), r3 = 2 * (c[0] * c[3] + c[1] * c[2]), r5 = 2 * (c[2] * c[3]);
    const Z r2 = 2 * (c[0] * c[2]) + c[1] * c[1], r4 = 2 * (c[1] * c[3]) + c[2] * c[2], r6 = c[3] * c[3];
    return {{c[0] * c[0] - r4, r1 - r4 - r5, r2 - r5 - r6, r3 - r6}};
  }

  constexpr Gr times_x() const { return {{-c[3], c[0] - c[3], c[1], c[2]}}; }
  constexpr bool in_base_ring() const { return (c[1] | c[2] | c[3]) == 0; }

  void encode(std::uint8_t* out) const { std::memcpy(out, c.data(), kSizeBytes); }
  static Gr decode(const std::uint8_t* in) {
    Gr out;
    std::memcpy(out.c.data(), in, kSizeBytes);
    return out;
  }
};
static_assert(sizeof(Gr<Z64>) == 32 && sizeof(Gr<Z128>) == 64);

/// Rule R1: the one way from GR(2^128,4) to GR(2^64,4); keeps evaluation points and degrees (security.md F1).
constexpr Gr<Z64> reduce_mod_2_64(const Gr<Z128>& a) {
  return {{static_cast<Z64>(a.c[0]), static_cast<Z64>(a.c[1]), static_cast<Z64>(a.c[2]), static_cast<Z64>(a.c[3])}};
}

/// Element of the exceptional set: coefficient j is bit j of `index`, 0 <= index < 16. Differences are units.
template <Word Z>
constexpr Gr<Z> embed(unsigned index) {
  return {{static_cast<Z>(index & 1u), static_cast<Z>(index >> 1 & 1u), static_cast<Z>(index >> 2 & 1u),
           static_cast<Z>(index >> 3 & 1u)}};
}

/// Evaluation point of a party.
template <Word Z>
constexpr Gr<Z> evaluation_point(Role role) {
  return embed<Z>(static_cast<unsigned>(role.number()));
}

/// Residue of a / 2^bit: bit `bit` of every coefficient.
template <Word Z>
constexpr Gf16 residue(const Gr<Z>& a, int bit = 0) {
  Gf16 out = 0;
  for (unsigned j = 0; j < 4; ++j) out = static_cast<Gf16>(out | static_cast<unsigned>(a.c[j] >> bit & 1u) << j);
  return out;
}

template <Word Z>
constexpr bool is_unit(const Gr<Z>& a) {
  return residue(a) != 0;
}

/// Newton's iteration from the inverse of the residue. Precondition: a unit.
template <Word Z>
constexpr Gr<Z> inverse(const Gr<Z>& a) {
  Gr<Z> x = embed<Z>(gf16_inverse(residue(a)));
  for (int bits = 1; bits < kBits<Z>; bits *= 2) x = x * (Gr<Z>::from_base(2) - a * x);
  return x;
}

/// A root of X^2 + X = v, and whether one exists (trace of the residue of v is 0). The other root is -1 - x. For v in the
/// base ring and even the root is in the base ring and even. mpc.md 2.5.
template <Word Z>
struct QuadraticRoot {
  bool exists = false;
  Gr<Z> root;
};
template <Word Z>
QuadraticRoot<Z> solve_quadratic(const Gr<Z>& v);

/// Chunks of four base-ring values p_0, p_1, ... as sum p_c X^c; the last chunk is filled with zeros. mpc.md 2.7.
template <Word Z>
constexpr Gr<Z> pack(const Gr<Z>* values, std::size_t count) {
  Gr<Z> out;
  for (std::size_t i = std::min<std::size_t>(count, 4); i-- > 0;) out = out.times_x() + values[i];
  return out;
}

}  // namespace witan::algebra
