// Products in Z/2^w[X]/(X^N+1), N a power of two, w = 64 or 128. All are exact; nothing here rounds. Sizes that tfhe/ntt.h
// supports go through its transforms, others through Karatsuba.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "base/secret.h"
#include "tfhe/ntt.h"

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

template <Word W>
class SecretFactor;

/// Public polynomials, prepared once as the left-hand side of products with several secret vectors of one shape, such as the
/// coefficient planes of one shared key.
template <Word W>
class PublicFactor {
  friend class SecretFactor<W>;
  Transformed transformed_;
  std::vector<W> words_;  // where there is no transform
};

/// A secret polynomial vector, prepared once as the right-hand side of many products: a key of k polynomials under which rows are
/// encrypted. Constant time in the secret.
template <Word W>
class SecretFactor {
 public:
  /// Entries 0 or 1, k polynomials one after the other.
  static SecretFactor of_bits(std::size_t polynomial_size, std::span<const std::uint8_t> bits);
  /// Full words: one coefficient plane of a shared key.
  static SecretFactor of_words(std::size_t polynomial_size, std::span<const W> words);

  /// accumulator += sum over p of a_p * s_p; `a` holds k polynomials. A shorter accumulator takes the first coefficients.
  void multiply_add(std::span<W> accumulator, std::span<const W> a) const;
  void multiply_add(std::span<W> accumulator, const PublicFactor<W>& a) const;
  /// For every factor of this polynomial size and k that was made by the same function.
  PublicFactor<W> prepare(std::span<const W> a) const;

 private:
  SecretFactor(std::size_t polynomial_size, std::span<const W> words, int factor_log2);
  std::size_t polynomial_size_ = 0;
  const Ntt* ntt_ = nullptr;  // null: the words are used as they are
  Secret<Transformed> transformed_;
  Secret<std::vector<W>> words_;  // without ntt_
};

/// A public matrix of torus polynomials, prepared once as the right-hand side of products with small-digit polynomials:
/// rows of a bootstrap key (one row per GLWE, k+1 columns) or of a packing key switching key. Rows are handed over one
/// by one, so that a caller can expand, prepare and forget.
template <Word W>
class PolyMatrix {
 public:
  PolyMatrix() = default;
  /// Digits have |digit| <= 2^digit_log2, digit_log2 <= 62; a product takes at most `rows_at_once` rows.
  PolyMatrix(std::size_t rows, std::size_t columns, std::size_t polynomial_size, int digit_log2,
             std::size_t rows_at_once);

  std::size_t rows() const { return rows_; }
  std::size_t columns() const { return columns_; }
  std::size_t polynomial_size() const { return polynomial_size_; }

  /// `coefficients` holds the row's polynomials one after the other. Different rows may be set from different threads.
  void set_row(std::size_t row, std::span<const W> coefficients);

  struct Product {
    std::span<W> accumulator;     // one polynomial per column
    std::span<const i64> digits;  // one polynomial of signed digits per row used
  };
  /// accumulator_c += sum over i of digits_i * M[first_row + i][c] for every column c and every product; all use the same rows,
  /// which are read once for all of them. Digits are public.
  void multiply_add(std::span<const Product> products, std::size_t first_row) const;
  void multiply_add(std::span<W> accumulator, std::span<const i64> digits, std::size_t first_row) const {
    const Product one{accumulator, digits};
    multiply_add(std::span(&one, 1), first_row);
  }

 private:
  void multiply_add_plain(const Product& product, std::size_t first_row) const;
  /// Of one row modulo one prime: all columns, one after the other.
  std::size_t place_of(std::size_t row, std::size_t prime) const;

  const Ntt* ntt_ = nullptr;  // null: coefficients_ are used
  Transformed transformed_;   // row by row, prime by prime, column by column
  std::size_t rows_ = 0, columns_ = 0, polynomial_size_ = 0, rows_at_once_ = 0;
  int digit_log2_ = 0;
  std::vector<W> coefficients_;
};

}  // namespace witan::tfhe
