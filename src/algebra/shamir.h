// Shamir sharing over the Galois rings (mpc.md 3): a polynomial G of degree <= e with G(0) = secret; party i holds
// G(alpha_i). The ring is part of a share's type; Share<Z128> becomes Share<Z64> by reduce_mod_2_64 alone.
#pragma once

#include <span>
#include <vector>

#include "algebra/gr.h"
#include "base/rng.h"

namespace witan::algebra {

/// One party's share of a ring element. No comparison: shares are secret until opened.
template <Word Z>
struct Share {
  Gr<Z> value;

  constexpr Share& operator+=(const Share& b) {
    value += b.value;
    return *this;
  }
  constexpr Share& operator-=(const Share& b) {
    value -= b.value;
    return *this;
  }
  friend constexpr Share operator+(Share a, const Share& b) { return a += b; }
  friend constexpr Share operator-(Share a, const Share& b) { return a -= b; }
  /// Times a public value.
  friend constexpr Share operator*(const Share& a, const Gr<Z>& b) { return {a.value * b}; }
  friend constexpr Share operator*(const Share& a, Z b) { return {a.value * b}; }
  /// Plus a public value (a constant polynomial).
  friend constexpr Share operator+(Share a, const Gr<Z>& b) { return {a.value + b}; }
};

constexpr Share<Z64> reduce_mod_2_64(const Share<Z128>& a) {
  return {reduce_mod_2_64(a.value)};
}

/// Uniform ring element.
template <Word Z>
Gr<Z> random_element(Rng& rng);

/// Shares of all parties, by role, of a fresh polynomial of that degree.
template <Word Z>
std::vector<Share<Z>> deal(const Gr<Z>& secret, int degree, int parties, Rng& rng);

/// Value at `x` of the polynomial with these coefficients, constant term first.
template <Word Z>
Gr<Z> evaluate(std::span<const Gr<Z>> polynomial, const Gr<Z>& x);

/// Is every role there once?
bool distinct(std::span<const Role> roles);

/// Interpolation through the points of an ordered set of roles; keeps the inverses that all evaluations share.
template <Word Z>
class Interpolation {
 public:
  /// Precondition: distinct roles.
  explicit Interpolation(std::span<const Role> roles);
  /// Coefficients lambda_i with f(x) = sum lambda_i f(alpha_i) for every f of degree < number of roles.
  std::vector<Gr<Z>> lagrange_at(const Gr<Z>& x) const;

 private:
  std::vector<Gr<Z>> points_;
  std::vector<Gr<Z>> inverses_;  // of prod_{j != i} (alpha_i - alpha_j)
};

/// The same for one x.
template <Word Z>
std::vector<Gr<Z>> lagrange_at(std::span<const Role> roles, const Gr<Z>& x) {
  return Interpolation<Z>(roles).lagrange_at(x);
}

/// f_A(alpha_at): degree t, 1 at 0, 0 at the parties outside A (mpc.md 8.1). `outside` = the t parties not in A.
template <Word Z>
Gr<Z> set_polynomial(std::span<const Role> outside, Role at);

/// Row of the Vandermonde matrix: 1, alpha, ..., alpha^(columns - 1).
template <Word Z>
std::vector<Gr<Z>> vandermonde_row(Role role, std::size_t columns);

}  // namespace witan::algebra
