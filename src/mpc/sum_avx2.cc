#include <immintrin.h>

#include "mpc/sum_kernels.h"

namespace witan::mpc::sums {
namespace {

using u128 = unsigned __int128;

constexpr std::size_t kBlocks = 2;  // of a vector

__m256i limbs(const u128* blocks) {
  return _mm256_xor_si256(_mm256_load_si256(reinterpret_cast<const __m256i*>(blocks)),
                          _mm256_set1_epi64x(static_cast<long long>(kLimbOffset)));
}

/// Sums of four limbs of two counters, by coefficient.
struct Sum {
  __m256i c[kCoefficients];

  [[gnu::always_inline]] void add(__m256i pairs_of_limbs, const std::uint32_t* factors) {
#pragma clang loop unroll(full)
    for (std::size_t j = 0; j < kCoefficients; ++j)
      c[j] = _mm256_add_epi32(c[j], _mm256_madd_epi16(pairs_of_limbs, _mm256_set1_epi32(static_cast<int>(factors[j]))));
  }
  /// Limbs 0 and 2 plus 2^16 times limbs 1 and 3.
  [[gnu::always_inline]] void flush(std::int64_t* sums) const {
#pragma clang loop unroll(full)
    for (std::size_t j = 0; j < kCoefficients; ++j) {
      auto* const at = reinterpret_cast<__m256i*>(sums + 2 * kGroup * j);
      const __m256i odd = _mm256_blend_epi32(_mm256_setzero_si256(), c[j], 0xaa);  // 2^32 limb, signed
      const __m256i negative = _mm256_cmpgt_epi32(_mm256_setzero_si256(), c[j]);
      const __m256i even = _mm256_blend_epi32(c[j], _mm256_slli_epi64(negative, 32), 0xaa);
      const __m256i odd_negative = _mm256_slli_epi64(_mm256_srli_epi64(negative, 32), 48);
      const __m256i odd_shifted = _mm256_or_si256(_mm256_srli_epi64(odd, 16), odd_negative);
      _mm256_store_si256(at, _mm256_add_epi64(_mm256_load_si256(at), _mm256_add_epi64(even, odd_shifted)));
    }
  }
};

template <std::size_t kHalves>
void add(const u128* blocks, std::size_t pairs, const std::uint32_t* factors, std::int64_t* sums) {
  for (std::size_t counter = 0; counter < kCounters; counter += kBlocks) {
    Sum sum[kHalves];
    for (Sum& half : sum)
      for (__m256i& c : half.c) c = _mm256_setzero_si256();
    for (std::size_t p = 0; p < pairs; ++p) {
      const __m256i first = limbs(blocks + 2 * p * kCounters + counter);
      const __m256i second = limbs(blocks + (2 * p + 1) * kCounters + counter);
      sum[0].add(_mm256_unpacklo_epi16(first, second), factors + p * kCoefficients);
      if constexpr (kHalves == 2) sum[1].add(_mm256_unpackhi_epi16(first, second), factors + p * kCoefficients);
    }
    for (std::size_t half = 0; half < kHalves; ++half) sum[half].flush(sums + place(kHalves, counter, half, 0));
  }
}

}  // namespace

const Kernels kAvx2{.low_half = add<1>, .both_halves = add<2>};

}  // namespace witan::mpc::sums
