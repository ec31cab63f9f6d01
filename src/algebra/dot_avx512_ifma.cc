// Compiled for AVX-512 with IFMA (cmake/layers.cmake). With limbs of 52, 52 and 24 bits
//
//   (x0 + x1 2^52 + x2 2^104)(k0 + k1 2^52 + k2 2^104) mod 2^128
//
// takes nine multiply-adds for eight products: VPMADD52LUQ and VPMADD52HUQ multiply the low 52 bits of their operands and add the
// low or high 52 bits of the product to a sum of 64 bits.
#include <immintrin.h>

#include "algebra/dot_kernels.h"

namespace witan::algebra::dot {
namespace {

using u64 = std::uint64_t;
using u128 = unsigned __int128;

constexpr std::size_t kLimbs = 3, kLimbBits = 52;
constexpr u64 kLimbMask = (u64{1} << kLimbBits) - 1;
constexpr std::size_t kGroupWords = kCoefficients * kLimbs * kGroup;

/// Where element i of a group stands: the unpack instructions put words 0, 4, 1, 5, 2, 6, 3, 7 side by side.
constexpr std::size_t place(std::size_t i) {
  return i < 4 ? 2 * i : 2 * (i - 4) + 1;
}

/// [coefficient][limb][place]
void arrange(const u128* elements, u64* group) {
  for (std::size_t i = 0; i < kGroup; ++i)
    for (std::size_t j = 0; j < kCoefficients; ++j)
      for (std::size_t limb = 0; limb < kLimbs; ++limb)
        group[(j * kLimbs + limb) * kGroup + place(i)] =
            static_cast<u64>(elements[i * kCoefficients + j] >> (kLimbBits * limb)) & kLimbMask;
}

u128 recombined(const u64* limbs, std::size_t step) {
  return limbs[0] + (u128{limbs[step]} << kLimbBits) + (u128{limbs[2 * step]} << (2 * kLimbBits));
}

void element(const u64* group, std::size_t i, u128* coefficients) {
  for (std::size_t j = 0; j < kCoefficients; ++j)
    coefficients[j] = recombined(group + j * kLimbs * kGroup + place(i), kGroup);
}

/// The lowest `words` of four words of 128 bits.
__mmask8 mask_of(std::size_t words) {
  return static_cast<__mmask8>((1u << 2 * words) - 1);
}

/// Sums of one coefficient, as limbs that may be above 52 bits. A group adds less than 2^52, 3 * 2^52 and, to the last, which counts
/// modulo 2^24 only, anything.
struct Sum {
  __m512i s0, s1, s2;

  [[gnu::always_inline]] void add(__m512i x0, __m512i x1, __m512i x2, const u64* k) {
    const __m512i k0 = _mm512_load_si512(k), k1 = _mm512_load_si512(k + kGroup), k2 = _mm512_load_si512(k + 2 * kGroup);
    s0 = _mm512_madd52lo_epu64(s0, x0, k0);
    s1 = _mm512_madd52hi_epu64(s1, x0, k0);
    s2 = _mm512_madd52hi_epu64(s2, x0, k1);
    s1 = _mm512_madd52lo_epu64(s1, x0, k1);
    s2 = _mm512_madd52hi_epu64(s2, x1, k0);
    s1 = _mm512_madd52lo_epu64(s1, x1, k0);
    s2 = _mm512_madd52lo_epu64(s2, x0, k2);
    s2 = _mm512_madd52lo_epu64(s2, x1, k1);
    s2 = _mm512_madd52lo_epu64(s2, x2, k0);
  }
  /// Carries, so that s0 and s1 are below 2^52 again.
  [[gnu::always_inline]] void normalise() {
    const __m512i mask = _mm512_set1_epi64(static_cast<long long>(kLimbMask));
    s1 = _mm512_add_epi64(s1, _mm512_srli_epi64(s0, kLimbBits));
    s0 = _mm512_and_si512(s0, mask);
    s2 = _mm512_add_epi64(s2, _mm512_srli_epi64(s1, kLimbBits));
    s1 = _mm512_and_si512(s1, mask);
  }
};
// Between two calls of normalise() s1 stays below 2^52 + 3 * 2^52 * kMaxGroupsAtOnce.
static_assert(3 * kMaxGroupsAtOnce + 1 < u64{1} << (64 - kLimbBits));

[[gnu::always_inline]] inline void add_group(Sum (&sum)[kCoefficients], __m512i first, __m512i second,
                                             const u64* group) {
  const __m512i low = _mm512_unpacklo_epi64(first, second), high = _mm512_unpackhi_epi64(first, second);
  const __m512i x1 = _mm512_or_si512(_mm512_srli_epi64(low, kLimbBits), _mm512_slli_epi64(high, 64 - kLimbBits));
  const __m512i x2 = _mm512_srli_epi64(high, 2 * kLimbBits - 64);
  for (std::size_t j = 0; j < kCoefficients; ++j) sum[j].add(low, x1, x2, group + j * kLimbs * kGroup);
}

void multiply_add(const u64* groups, const u128* words, std::size_t count, u64* sums) {
  Sum sum[kCoefficients];
  for (std::size_t j = 0; j < kCoefficients; ++j) {
    const u64* const from = sums + j * kLimbs * kGroup;
    sum[j] = {_mm512_loadu_si512(from), _mm512_loadu_si512(from + kGroup), _mm512_loadu_si512(from + 2 * kGroup)};
  }
  std::size_t i = 0;
  for (; i + kGroup <= count; i += kGroup, groups += kGroupWords)
    add_group(sum, _mm512_loadu_si512(words + i), _mm512_loadu_si512(words + i + 4), groups);
  if (const std::size_t rest = count - i; rest > 0)
    add_group(sum, _mm512_maskz_loadu_epi64(mask_of(rest < 4 ? rest : 4), words + i),
              _mm512_maskz_loadu_epi64(mask_of(rest < 4 ? 0 : rest - 4), words + i + 4), groups);
  for (std::size_t j = 0; j < kCoefficients; ++j) {
    sum[j].normalise();
    u64* const to = sums + j * kLimbs * kGroup;
    _mm512_storeu_si512(to, sum[j].s0);
    _mm512_storeu_si512(to + kGroup, sum[j].s1);
    _mm512_storeu_si512(to + 2 * kGroup, sum[j].s2);
  }
}

void finish(const u64* sums, u128* coefficients) {
  for (std::size_t j = 0; j < kCoefficients; ++j) {
    u64 limbs[kLimbs];  // of eight numbers below 2^52, the last one modulo 2^64
    for (std::size_t limb = 0; limb < kLimbs; ++limb)
      limbs[limb] = static_cast<u64>(_mm512_reduce_add_epi64(_mm512_loadu_si512(sums + (j * kLimbs + limb) * kGroup)));
    coefficients[j] = recombined(limbs, 1);
  }
}

}  // namespace

const Kernels kAvx512Ifma{
    .group_words = kGroupWords, .arrange = arrange, .element = element, .multiply_add = multiply_add, .finish = finish};

}  // namespace witan::algebra::dot
