// Products in Z/2^w[X]/(X^N+1), N a power of two, w = 64 or 128. All are exact; nothing here rounds. This is the plain
// reference: schoolbook and Karatsuba. A multi-prime number-theoretic transform can replace it behind the same calls.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "tfhe/word.h"

namespace witan::tfhe {

/// accumulator += a * s for a binary secret polynomial s (entries 0 or 1). Constant time in s: no branch and no address
/// depends on it, and word multiplication takes constant time on the machines that we build for.
template <Word W>
void add_binary_product(std::span<W> accumulator, std::span<const W> a, std::span<const std::uint8_t> secret_bits);

/// accumulator += a * b for full words, e.g. a public polynomial and one coefficient plane of a shared one. Time depends
/// on sizes only.
template <Word W>
void add_product(std::span<W> accumulator, std::span<const W> a, std::span<const W> b);

/// out = p * X^exponent, 0 <= exponent < 2N; out and p must not overlap.
template <Word W>
void multiply_by_monomial(std::span<W> out, std::span<const W> p, std::size_t exponent);

/// A public matrix of torus polynomials, prepared once as the right-hand side of products with small-digit polynomials:
/// rows of a bootstrap key (one row per GLWE, k+1 columns) or of a packing key switching key. Rows are handed over one
/// by one, so that a caller can expand, prepare and forget.
template <Word W>
class PolyMatrix {
 public:
  PolyMatrix() = default;
  PolyMatrix(std::size_t rows, std::size_t columns, std::size_t polynomial_size);

  std::size_t rows() const { return rows_; }
  std::size_t columns() const { return columns_; }
  std::size_t polynomial_size() const { return polynomial_size_; }

  /// `coefficients` holds the row's polynomials one after the other. Different rows may be set from different threads.
  void set_row(std::size_t row, std::span<const W> coefficients);

  /// accumulator_c += sum over i of digits_i * M[first_row + i][c] for every column c. `digits` holds one polynomial of
  /// signed digits (|digit| <= 2^62) per row used; all-zero digit polynomials cost nothing. Digits are public.
  void multiply_add(std::span<W> accumulator, std::span<const i64> digits, std::size_t first_row) const;

 private:
  std::size_t rows_ = 0, columns_ = 0, polynomial_size_ = 0;
  std::vector<W> coefficients_;
};

}  // namespace witan::tfhe
