// Compiled for AVX-512 with VNNI (cmake/layers.cmake): VPDPWSSD multiplies pairs of 16 bits and adds to sums of 32.
#include <immintrin.h>

#include "mpc/sum_kernels.h"

namespace witan::mpc::sums {
namespace {

using u128 = unsigned __int128;

static_assert(kGroup == 4, "blocks of a vector");
/// Vectors of counters at a time: enough sums in flight to hide the latency of a multiply-add, and few enough for the registers.
constexpr std::size_t kVectors = 2;

__m512i limbs(const u128* blocks) {
  return _mm512_xor_si512(_mm512_load_si512(blocks), _mm512_set1_epi64(static_cast<long long>(kLimbOffset)));
}

template <std::size_t kHalves>
void add(const u128* blocks, std::size_t pairs, const std::uint32_t* factors, std::int64_t* sums) {
  for (std::size_t counter = 0; counter < kCounters; counter += kVectors * kGroup) {
    __m512i sum[kVectors][kHalves][kCoefficients];
#pragma clang loop unroll(full)
    for (std::size_t v = 0; v < kVectors; ++v)
#pragma clang loop unroll(full)
      for (std::size_t half = 0; half < kHalves; ++half)
#pragma clang loop unroll(full)
        for (std::size_t c = 0; c < kCoefficients; ++c) sum[v][half][c] = _mm512_setzero_si512();
    for (std::size_t p = 0; p < pairs; ++p) {
      const u128* const first = blocks + 2 * p * kCounters + counter;
      __m512i pair[kVectors][kHalves];
#pragma clang loop unroll(full)
      for (std::size_t v = 0; v < kVectors; ++v) {
        const __m512i a = limbs(first + v * kGroup), b = limbs(first + kCounters + v * kGroup);
        pair[v][0] = _mm512_unpacklo_epi16(a, b);
        if constexpr (kHalves == 2) pair[v][1] = _mm512_unpackhi_epi16(a, b);
      }
#pragma clang loop unroll(full)
      for (std::size_t c = 0; c < kCoefficients; ++c) {
        const __m512i factor = _mm512_set1_epi32(static_cast<int>(factors[p * kCoefficients + c]));
#pragma clang loop unroll(full)
        for (std::size_t v = 0; v < kVectors; ++v)
#pragma clang loop unroll(full)
          for (std::size_t half = 0; half < kHalves; ++half)
            sum[v][half][c] = _mm512_dpwssd_epi32(sum[v][half][c], pair[v][half], factor);
      }
    }
#pragma clang loop unroll(full)
    for (std::size_t v = 0; v < kVectors; ++v)
#pragma clang loop unroll(full)
      for (std::size_t half = 0; half < kHalves; ++half)
#pragma clang loop unroll(full)
        for (std::size_t c = 0; c < kCoefficients; ++c) {
          // Limbs 0 and 2 plus 2^16 times limbs 1 and 3.
          const __m512i odd = _mm512_srai_epi64(sum[v][half][c], 32);
          const __m512i even = _mm512_srai_epi64(_mm512_slli_epi64(sum[v][half][c], 32), 32);
          std::int64_t* const at = sums + place(kHalves, counter + v * kGroup, half, c);
          _mm512_store_si512(
              at, _mm512_add_epi64(_mm512_load_si512(at), _mm512_add_epi64(even, _mm512_slli_epi64(odd, 16))));
        }
  }
}

}  // namespace

const Kernels kAvx512Vnni{.low_half = add<1>, .both_halves = add<2>};

}  // namespace witan::mpc::sums
