// For the baseline: scalar and vector units share the work. With words of two halves, a = a0 + a1 2^64,
//
//   a k mod 2^128 = a0 k0 + 2^64 (a0 k1 + a1 k0 mod 2^64).
//
// The scalar multiplier takes a0 k0, one multiplication of 64 bits. The rest is wanted modulo 2^64 only, so its sums may wrap: with
// halves of 32 bits, x y = x0 y0 + 2^32 (x0 y1 + x1 y0), VPMULUDQ gives x0 y0 for four products and VPMULLD both products of the second
// term, of which the low 32 bits count.
#include <immintrin.h>

#include "algebra/dot_kernels.h"
#include "base/secret.h"

namespace witan::algebra::dot {
namespace {

using u64 = std::uint64_t;
using u128 = unsigned __int128;

constexpr std::size_t kLanes = 4;
constexpr std::size_t kCoefficientWords = 2 * kGroup;  // low halves, then high halves
constexpr std::size_t kGroupWords = kCoefficients * kCoefficientWords;

/// Where element i of a group stands: the unpack instructions put words 0, 2, 1, 3 side by side.
constexpr std::size_t place(std::size_t i) {
  return (i & 4) | (i & 1) << 1 | (i >> 1 & 1);
}

void arrange(const u128* elements, u64* group) {
  for (std::size_t i = 0; i < kGroup; ++i)
    for (std::size_t j = 0; j < kCoefficients; ++j) {
      const u128 word = elements[i * kCoefficients + j];
      u64* const out = group + j * kCoefficientWords + place(i);
      out[0] = static_cast<u64>(word);
      out[kGroup] = static_cast<u64>(word >> 64);
    }
}

void element(const u64* group, std::size_t i, u128* coefficients) {
  for (std::size_t j = 0; j < kCoefficients; ++j) {
    const u64* const in = group + j * kCoefficientWords + place(i);
    coefficients[j] = in[0] | u128{in[kGroup]} << 64;
  }
}

__m256i load(const void* from) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(from));
}
__m256i halves_swapped(__m256i value) {
  return _mm256_shuffle_epi32(value, 0xb1);
}

/// By coefficient. `wide` counts modulo 2^64 in units of 2^64, `narrow` modulo 2^32 in units of 2^96.
struct Sums {
  u128 low[kCoefficients];
  __m256i wide[kCoefficients], narrow[kCoefficients];

  /// The first 16 bytes of each coefficient's 80 are `low`.
  static constexpr std::size_t kWords = 2 + 2 * kLanes;
  static_assert(kCoefficients * kWords <= kSumWords);

  [[gnu::always_inline]] void read(const u64* from) {
#pragma clang loop unroll(full)
    for (std::size_t j = 0; j < kCoefficients; ++j, from += kWords) {
      low[j] = from[0] | u128{from[1]} << 64;
      wide[j] = load(from + 2);
      narrow[j] = load(from + 2 + kLanes);
    }
  }
  [[gnu::always_inline]] void write(u64* to) const {
#pragma clang loop unroll(full)
    for (std::size_t j = 0; j < kCoefficients; ++j, to += kWords) {
      to[0] = static_cast<u64>(low[j]);
      to[1] = static_cast<u64>(low[j] >> 64);
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + 2), wide[j]);
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + 2 + kLanes), narrow[j]);
    }
  }
  [[gnu::always_inline]] void add_group(const u128* words, const u64* group) {
#pragma clang loop unroll(full)
    for (std::size_t half = 0; half < kGroup; half += kLanes) {
      const __m256i first = load(words + half), second = load(words + half + 2);
      const __m256i x0 = _mm256_unpacklo_epi64(first, second), x1 = _mm256_unpackhi_epi64(first, second);
      const __m256i x0_swapped = halves_swapped(x0), x1_swapped = halves_swapped(x1);
#pragma clang loop unroll(full)
      for (std::size_t j = 0; j < kCoefficients; ++j) {
        const u64* const k = group + j * kCoefficientWords + half;
        const __m256i k0 = load(k), k1 = load(k + kGroup);
        wide[j] = _mm256_add_epi64(wide[j], _mm256_mul_epu32(x0, k1));
        wide[j] = _mm256_add_epi64(wide[j], _mm256_mul_epu32(x1, k0));
        narrow[j] = _mm256_add_epi32(narrow[j], _mm256_mullo_epi32(x0_swapped, k1));
        narrow[j] = _mm256_add_epi32(narrow[j], _mm256_mullo_epi32(x1_swapped, k0));
      }
#pragma clang loop unroll(full)
      for (std::size_t i = half; i < half + kLanes; ++i)
#pragma clang loop unroll(full)
        for (std::size_t j = 0; j < kCoefficients; ++j)
          low[j] += u128{static_cast<u64>(words[i])} * group[j * kCoefficientWords + place(i)];
    }
  }
};

void multiply_add(const u64* groups, const u128* words, std::size_t count, u64* sums) {
  Sums total;
  total.read(sums);
  std::size_t i = 0;
  for (; i + kGroup <= count; i += kGroup, groups += kGroupWords) total.add_group(words + i, groups);
  if (i < count) {
    Secret<std::array<u128, kGroup>> rest;
    std::memcpy(rest.reveal_mutable().data(), words + i, (count - i) * sizeof(u128));
    total.add_group(rest.reveal().data(), groups);
  }
  total.write(sums);
}

void finish(const u64* sums, u128* coefficients) {
  Sums total;
  total.read(sums);
  for (std::size_t j = 0; j < kCoefficients; ++j) {
    u64 high = 0;
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      const auto narrow = static_cast<u64>(total.narrow[j][lane]);
      high += static_cast<u64>(total.wide[j][lane]) + (narrow << 32) + (narrow >> 32 << 32);
    }
    coefficients[j] = total.low[j] + (u128{high} << 64);
  }
}

}  // namespace

const Kernels kAvx2{
    .group_words = kGroupWords, .arrange = arrange, .element = element, .multiply_add = multiply_add, .finish = finish};

}  // namespace witan::algebra::dot
