#include "tfhe/ntt_scalar.h"

#include <bit>
#include <utility>

#include "base/check.h"

namespace witan::tfhe {
namespace {

u64 times(u64 a, u64 b, u64 p) {
  return static_cast<u64>(u128{a} * b % p);
}
u64 plus(u64 a, u64 b, u64 p) {
  return static_cast<u64>((u128{a} + b) % p);
}
u64 minus(u64 a, u64 b, u64 p) {
  return plus(a, p - b, p);
}
u64 power(u64 base, u64 exponent, u64 p) {
  u64 out = 1;
  for (; exponent > 0; exponent >>= 1, base = times(base, base, p))
    if (exponent & 1) out = times(out, base, p);
  return out;
}
u64 inverse_of(u64 value, u64 p) {
  return power(value, p - 2, p);
}

/// The power of the least number that has order 2n.
u64 root_of_order_2n(std::size_t n, u64 p) {
  constexpr u64 kLargestOrder =
      u64{1} << 13;  // what p - 1 is a multiple of: the transforms of all sizes share one root
  for (u64 base = 2;; ++base) {
    const u64 root = power(base, (p - 1) / kLargestOrder, p);
    if (power(root, kLargestOrder / 2, p) == p - 1) return power(root, kLargestOrder / (2 * n), p);
  }
}

std::size_t reversed_bits(std::size_t value, std::size_t n) {
  std::size_t out = 0;
  for (std::size_t bit = 1; bit < n; bit *= 2) out = 2 * out + ((value & bit) != 0 ? 1 : 0);
  return out;
}

std::vector<u64> powers(u64 root, std::size_t n, u64 p) {
  std::vector<u64> out(n);
  u64 value = 1;
  for (std::size_t i = 0; i < n; ++i, value = times(value, root, p)) out[reversed_bits(i, n)] = value;
  return out;
}

template <Word W>
u64 residue_of_signed(W word, u64 p) {
  const bool negative = static_cast<SignedWord<W>>(word) < 0;
  const u64 residue = static_cast<u64>((negative ? W{0} - word : word) % p);
  return negative && residue != 0 ? p - residue : residue;
}

/// Of an integer in a double.
u64 residue_of(double value, u64 p) {
  return residue_of_signed<u64>(static_cast<u64>(static_cast<i64>(value)), p);
}

}  // namespace

ScalarNtt::ScalarNtt(std::size_t polynomial_size, int primes, std::size_t lanes)
    : n_(polynomial_size), primes_(primes), place_(polynomial_size) {
  WITAN_CHECK(Ntt::supports(n_) && primes >= 1 && primes <= Ntt::kMaxPrimes && std::has_single_bit(lanes) &&
              2 * lanes <= n_);
  for (const u64 p : std::span(Ntt::kPrimes).first(static_cast<std::size_t>(primes))) {
    const u64 root = root_of_order_2n(n_, p);
    tables_.push_back({p, powers(root, n_, p), powers(inverse_of(root, p), n_, p)});
  }
  // Vector code swaps, for every stride below its length, the lanes of a pair of vectors in which one has that bit and the other
  // does not, so that the two of a butterfly meet in one lane.
  for (std::size_t i = 0; i < n_; ++i) place_[i] = i;
  for (std::size_t stride = lanes / 2; stride >= 1; stride /= 2)
    for (std::size_t pair = 0; pair < n_; pair += 2 * lanes)
      for (std::size_t lane = 0; lane < lanes; ++lane)
        if ((lane & stride) != 0) std::swap(place_[pair + lane], place_[pair + lanes + lane - stride]);
}

/// Cooley and Tukey: natural order in, bit-reversed order out; X^n + 1 = 0 is in the roots.
void ScalarNtt::forward_one(const Prime& prime, std::span<u64> a) const {
  const u64 p = prime.p;
  for (std::size_t blocks = 1, distance = n_ / 2; distance >= 1; blocks *= 2, distance /= 2) {
    for (std::size_t block = 0; block < blocks; ++block) {
      for (std::size_t j = 2 * distance * block; j < 2 * distance * block + distance; ++j) {
        const u64 product = times(a[j + distance], prime.roots[blocks + block], p);
        a[j + distance] = minus(a[j], product, p);
        a[j] = plus(a[j], product, p);
      }
    }
  }
}

/// Gentleman and Sande, with the division by n.
void ScalarNtt::inverse_one(const Prime& prime, std::span<u64> a) const {
  const u64 p = prime.p;
  for (std::size_t blocks = n_ / 2, distance = 1; blocks >= 1; blocks /= 2, distance *= 2) {
    for (std::size_t block = 0; block < blocks; ++block) {
      for (std::size_t j = 2 * distance * block; j < 2 * distance * block + distance; ++j) {
        const u64 difference = minus(a[j], a[j + distance], p);
        a[j] = plus(a[j], a[j + distance], p);
        a[j + distance] = times(difference, prime.inverse_roots[blocks + block], p);
      }
    }
  }
  const u64 scale = inverse_of(n_ % p, p);
  for (u64& value : a) value = times(value, scale, p);
}

template <Word W>
ScalarNtt::Residues ScalarNtt::forward(std::span<const W> polynomial) const {
  WITAN_CHECK(polynomial.size() == n_);
  Residues out;
  std::vector<u64> a(n_);
  for (const Prime& prime : tables_) {
    for (std::size_t i = 0; i < n_; ++i) a[i] = residue_of_signed<W>(polynomial[i], prime.p);
    forward_one(prime, a);
    for (std::size_t i = 0; i < n_; ++i) out.push_back(a[place_[i]]);
  }
  return out;
}

void ScalarNtt::multiply_add(Residues& sum, const Residues& a, const Residues& b) const {
  WITAN_CHECK(sum.size() == transformed_size() && a.size() == sum.size() && b.size() == sum.size());
  for (std::size_t i = 0; i < sum.size(); ++i) {
    const u64 p = tables_[i / n_].p;
    sum[i] = plus(sum[i], times(a[i], b[i], p), p);
  }
}

/// Chinese remainders in mixed radix (Garner): value = v_0 + p_0 (v_1 + p_1 (v_2 + ...)), 0 <= v_i < p_i. All primes are odd: the
/// value is above half of their product, and stands for a negative number, exactly if its digits are, from the last one on,
/// above those of (M - 1) / 2, which are (p_i - 1) / 2.
template <Word W>
void ScalarNtt::inverse_add(std::span<W> accumulator, const Residues& sum) const {
  WITAN_CHECK(accumulator.size() == n_ && sum.size() == transformed_size());
  const auto count = static_cast<std::size_t>(primes_);
  std::vector<std::vector<u64>> residues(count, std::vector<u64>(n_));
  for (std::size_t q = 0; q < count; ++q) {
    for (std::size_t i = 0; i < n_; ++i) residues[q][place_[i]] = sum[q * n_ + i];
    inverse_one(tables_[q], residues[q]);
  }
  W modulus = 1;
  for (const Prime& prime : tables_) modulus *= prime.p;
  std::vector<u64> digits(count);
  for (std::size_t i = 0; i < n_; ++i) {
    for (std::size_t q = 0; q < count; ++q) {
      const u64 p = tables_[q].p;
      u64 digit = residues[q][i];
      for (std::size_t k = 0; k < q; ++k)
        digit = times(minus(digit, digits[k] % p, p), inverse_of(tables_[k].p % p, p), p);
      digits[q] = digit;
    }
    W value = 0;
    int side = 0;  // of the middle
    for (std::size_t q = count; q-- > 0;) {
      value = static_cast<W>(value * tables_[q].p + digits[q]);
      const u64 half = (tables_[q].p - 1) / 2;
      if (side == 0) side = digits[q] > half ? 1 : digits[q] < half ? -1 : 0;
    }
    accumulator[i] += value - (side > 0 ? modulus : W{0});
  }
}

ScalarNtt::Residues ScalarNtt::residues_of(std::span<const double> transformed) const {
  WITAN_CHECK(transformed.size() == transformed_size());
  Residues out;
  for (std::size_t i = 0; i < transformed.size(); ++i) out.push_back(residue_of(transformed[i], tables_[i / n_].p));
  return out;
}

template ScalarNtt::Residues ScalarNtt::forward<u64>(std::span<const u64>) const;
template ScalarNtt::Residues ScalarNtt::forward<u128>(std::span<const u128>) const;
template void ScalarNtt::inverse_add<u64>(std::span<u64>, const Residues&) const;
template void ScalarNtt::inverse_add<u128>(std::span<u128>, const Residues&) const;

}  // namespace witan::tfhe
