// Exact negacyclic products: number-theoretic transforms over 47-bit primes that are held in doubles (spec engineering.md 6, 7).
//
// A residue is an integer in a double, balanced around 0. With h = fl(ab), l = fma(a, b, -h), q = round(h / p) the number
// fma(-q, p, h) + l is an integer congruent to ab, exactly, and below 0.9 p if |a| <= 2^51 and |b| <= p/2: no rounding of a
// double decides a bit of a result. Sums grow to at most 12.8 p < 2^51 in a forward transform, so nothing is reduced there.
//
// The vector code is compiled for AVX2 and AVX-512 and chosen at run time (Highway). What leaves this class - inverse_add - is
// the same on all of them and equal to schoolbook; transformed polynomials are not: their order depends on the vector length, so
// they never leave a process. No branch and no address depends on a value.
#pragma once

#include <array>
#include <memory>
#include <new>
#include <optional>
#include <span>
#include <vector>

#include "tfhe/word.h"

namespace witan::tfhe {

/// Memory in whole cache lines.
template <class T>
struct CacheLineAllocator {
  using value_type = T;
  static constexpr std::align_val_t kAlignment{64};
  CacheLineAllocator() = default;
  template <class U>
  CacheLineAllocator(const CacheLineAllocator<U>&) {}  // NOLINT: as std::allocator
  T* allocate(std::size_t count) { return static_cast<T*>(::operator new(count * sizeof(T), kAlignment)); }
  void deallocate(T* memory, std::size_t) { ::operator delete(memory, kAlignment); }
  friend bool operator==(const CacheLineAllocator&, const CacheLineAllocator&) { return true; }
};
/// Transformed polynomials, one after the other.
using Transformed = std::vector<double, CacheLineAllocator<double>>;

class Ntt {
 public:
  static constexpr std::size_t kMinSize = 64, kMaxSize = 4096;
  static constexpr int kMaxPrimes = 6;
  /// The largest primes below 2^47 with 2^13 | p - 1; the first ones are used.
  static constexpr std::array<u64, kMaxPrimes> kPrimes = {0x7ffffffec001, 0x7ffffffc8001, 0x7ffffffb4001,
                                                          0x7ffffff32001, 0x7ffffff12001, 0x7ffffff00001};
  static constexpr int kMaxDigitLog2 = 46;

  static bool supports(std::size_t polynomial_size);
  /// How many primes hold coefficients of absolute value at most 2^log2 (the modulus is above 2^(log2 + 4)); nothing if even
  /// kMaxPrimes do not.
  static std::optional<int> primes_for(int log2);
  /// Tables are built once for each vector length and kept. Preconditions (checked): supports(polynomial_size), 1 <= primes <= kMaxPrimes.
  static const Ntt& get(std::size_t polynomial_size, int primes);

  /// For the best vector instructions that Highway may use at the time of the call.
  Ntt(std::size_t polynomial_size, int primes);
  ~Ntt();
  Ntt(const Ntt&) = delete;
  Ntt& operator=(const Ntt&) = delete;

  std::size_t polynomial_size() const { return n_; }
  int primes() const { return primes_; }
  /// Doubles of one transformed polynomial.
  std::size_t transformed_size() const { return n_ * static_cast<std::size_t>(primes_); }

  /// Words are read as signed, -2^(w-1) to 2^(w-1) - 1.
  template <Word W>
  void forward(std::span<const W> polynomial, std::span<double> out) const;
  /// |digit| <= 2^kMaxDigitLog2.
  void forward_digits(std::span<const i64> polynomial, std::span<double> out) const;

  /// Brings residues to |r| <= p/2: what multiply_add wants of its right-hand side.
  void normalise(std::span<double> transformed) const;

  /// sum += a_0 b_0 + a_1 b_1 + ..., as many terms as `a` has polynomials; b_i begins at b[i * stride]. The a_i as a forward
  /// transform left them, the b_i and `sum` normalised; `sum` is again.
  void multiply_add(std::span<double> sum, std::span<const double> a, std::span<const double> b,
                    std::size_t stride) const;

  /// accumulator += the polynomial whose transform is `sum` (normalised), modulo 2^w; its first coefficients, if the accumulator is
  /// shorter. `sum` is used up. Exact if the coefficients are below 2^-4 times the product of the primes.
  template <Word W>
  void inverse_add(std::span<W> accumulator, std::span<double> sum) const;

 private:
  struct Tables;
  std::size_t n_;
  int primes_;
  std::unique_ptr<Tables> tables_;
};

// The instruction sets. Tests and benchmarks look at each; a program uses the best one.
struct VectorTarget {
  i64 id = 0;
  const char* name = "";  // "AVX2", "AVX3" (AVX-512), "AVX3_DL" ...
};
/// Those that this build has and this processor too, best first.
std::vector<VectorTarget> vector_targets();
/// The one that is used from now on in this process; 0 for the best.
void choose_vector_target(i64 id);
VectorTarget vector_target();

}  // namespace witan::tfhe
