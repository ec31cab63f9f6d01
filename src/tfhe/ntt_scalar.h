// The integer twin of tfhe/ntt.h: the same transforms as plain arithmetic modulo each prime, every product an unsigned __int128
// and a remainder. What the vector code is tested against, residue by residue; too slow for anything else.
#pragma once

#include <span>
#include <vector>

#include "tfhe/ntt.h"

namespace witan::tfhe {

class ScalarNtt {
 public:
  /// Residues 0 .. p-1, prime by prime as in Transformed.
  using Residues = std::vector<u64>;

  /// As Ntt; `lanes` is the vector length (doubles) whose order of a transform's entries it takes, a power of two.
  ScalarNtt(std::size_t polynomial_size, int primes, std::size_t lanes);

  std::size_t transformed_size() const { return n_ * static_cast<std::size_t>(primes_); }

  /// Words are read as signed.
  template <Word W>
  Residues forward(std::span<const W> polynomial) const;
  /// sum += a b, entry by entry.
  void multiply_add(Residues& sum, const Residues& a, const Residues& b) const;
  /// accumulator += the polynomial whose transform is `sum`, its coefficients read as signed integers, modulo 2^w.
  template <Word W>
  void inverse_add(std::span<W> accumulator, const Residues& sum) const;

  /// The residues that a transform of Ntt stands for: integers in doubles, balanced or not.
  Residues residues_of(std::span<const double> transformed) const;

 private:
  struct Prime {
    u64 p = 0;
    std::vector<u64> roots, inverse_roots;  // at bit-reversed places
  };
  void forward_one(const Prime& prime, std::span<u64> a) const;
  void inverse_one(const Prime& prime, std::span<u64> a) const;

  std::size_t n_;
  int primes_;
  std::vector<Prime> tables_;
  std::vector<std::size_t> place_;  // entry i of a vector's order is entry place_[i] of the textbook's
};

}  // namespace witan::tfhe
