#include "algebra/gr.h"

namespace witan::algebra {
namespace {

/// A root of X^2 + X = v over GF(16), v of trace 0: sum T_i v^(2^i), T = 8, 5, 11 (mpc.md 2.5, delta = X^3+1).
Gf16 residue_root(Gf16 v) {
  constexpr Gf16 kT[3] = {8, 5, 11};
  Gf16 out = 0, power = v;
  for (const Gf16 factor : kT) {
    out ^= gf16_mul(factor, power);
    power = gf16_mul(power, power);
  }
  return out;
}

}  // namespace

template <Word Z>
QuadraticRoot<Z> solve_quadratic(const Gr<Z>& v) {
  Gr<Z> x = embed<Z>(residue_root(residue(v)));
  if (gf16_mul(residue(x), residue(x)) != (residue(x) ^ residue(v))) return {};  // trace 1
  const Gr<Z> two = Gr<Z>::from_base(2);
  Gr<Z> y = Gr<Z>::one();
  for (int bits = 1; bits < kBits<Z>; bits *= 2) {
    const Gr<Z> z = Gr<Z>::one() + x + x;
    y = y * (two - z * y);
    y = y * (two - z * y);
    x = (x * x + v) * y;
  }
  return {x * x + x == v, x};
}

template QuadraticRoot<Z64> solve_quadratic(const Gr<Z64>&);
template QuadraticRoot<Z128> solve_quadratic(const Gr<Z128>&);

}  // namespace witan::algebra
