// Polynomials F(X,Y) over the Galois rings of degree <= t in each variable: what a dealer of verifiable secret sharing hides its
// secrets in (mpc.md 7.3). Party i gets F_i(X) = F(X, alpha_i) and G_i(Y) = F(alpha_i, Y), so that F_i(alpha_j) = G_j(alpha_i)
// whenever the dealer is honest; the secret is F(0,0), and F_i(0) is a share of it of degree t.
#pragma once

#include <span>
#include <vector>

#include "algebra/shamir.h"
#include "base/secret.h"

namespace witan::mpc {

using algebra::Gr;
using algebra::Share;
using algebra::Word;
using algebra::Z128;
using algebra::Z64;

/// F_i(X) and G_i(Y) of `count` secrets of one dealer, as one party holds them.
///
/// Encoded: for each secret t + 1 coefficients of F_i, then t + 1 of G_i, constant terms first.
template <Word Z>
class Slices {
 public:
  /// All zero: what a party holds of a dealer from whom nothing usable came.
  Slices(int degree, std::size_t count);
  static constexpr std::size_t encoded_bytes(int degree, std::size_t count) {
    return 2 * (static_cast<std::size_t>(degree) + 1) * count * Gr<Z>::kSizeBytes;
  }
  /// Precondition: encoded_bytes(degree, count) bytes. Every such string is two polynomials of degree <= t per secret.
  static Slices decode(int degree, std::size_t count, ByteView encoded);
  void append_to(Bytes& out) const;
  /// The coefficients of F_i alone, secret by secret: what a dealer broadcasts for a party that complains.
  void append_f_to(Bytes& out) const;

  std::size_t count() const { return count_; }
  /// F_i(alpha_at), G_i(alpha_at) of one secret.
  Gr<Z> f(std::size_t secret, Role at) const;
  Gr<Z> g(std::size_t secret, Role at) const;
  /// F_i(0).
  Share<Z> share(std::size_t secret) const { return {coefficients(secret, 0).front()}; }
  /// F_i(alpha_i) = G_i(alpha_i) for every secret? Takes the same time whatever the answer.
  bool meet_at(Role self) const;

 private:
  template <Word>
  friend class Dealing;
  std::size_t width() const { return static_cast<std::size_t>(degree_) + 1; }
  std::span<const Gr<Z>> coefficients(std::size_t secret, std::size_t which) const {
    return std::span(polynomials_.reveal()).subspan((2 * secret + which) * width(), width());
  }

  int degree_;
  std::size_t count_;
  Secret<std::vector<Gr<Z>>> polynomials_;  // secret, F or G, coefficient
};

/// The polynomials of one dealer.
template <Word Z>
class Dealing {
 public:
  /// F(0,0) are the secrets, all other coefficients are drawn.
  Dealing(int degree, const Secret<std::vector<Gr<Z>>>& secrets, Rng& rng);
  Slices<Z> slices(Role party) const;
  std::size_t count() const { return count_; }

 private:
  int degree_;
  std::size_t count_;
  Secret<std::vector<Gr<Z>>> coefficients_;  // secret, power of Y, power of X
};

}  // namespace witan::mpc
