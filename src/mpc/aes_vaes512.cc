// Compiled with -mvaes and AVX-512 (cmake/layers.cmake).
#include "mpc/aes_kernels_x86.h"

namespace witan::mpc::aes {
namespace {

struct FourBlocks {
  using Vector = __m512i;
  static constexpr std::size_t kBlocks = 4;
  static Vector load(const std::uint8_t* from) { return _mm512_loadu_si512(from); }
  static void store(Vector value, std::uint8_t* to) { _mm512_storeu_si512(to, value); }
  static Vector broadcast(const std::uint8_t* from) {
    return _mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
  }
  static Vector set32(int word) { return _mm512_set1_epi32(word); }
  static Vector set128(std::uint64_t low, std::uint64_t high) {
    return _mm512_mask_set1_epi64(_mm512_set1_epi64(static_cast<long long>(low)), 0xaa, static_cast<long long>(high));
  }
  static Vector counters(Vector first, std::uint64_t by) {
    const auto b = static_cast<long long>(by);
    return _mm512_add_epi64(first, _mm512_set_epi64(0, b + 3, 0, b + 2, 0, b + 1, 0, b));
  }
  static Vector exclusive_or(Vector a, Vector b) { return _mm512_xor_si512(a, b); }
  static Vector bit_and(Vector a, Vector b) { return _mm512_and_si512(a, b); }
  static Vector add(Vector a, Vector b) {
    const Vector sum = _mm512_add_epi64(a, b);
    const auto carries = static_cast<__mmask8>((_mm512_cmplt_epu64_mask(sum, a) & 0x55) << 1);
    return _mm512_mask_sub_epi64(sum, carries, sum, _mm512_set1_epi64(-1));
  }
  static Vector round(Vector state, Vector key) { return _mm512_aesenc_epi128(state, key); }
  static Vector last_round(Vector state, Vector key) { return _mm512_aesenclast_epi128(state, key); }
  static Vector permute(Vector value, Vector places) { return _mm512_shuffle_epi8(value, places); }
  template <int kBytes>
  static Vector shift_left(Vector value) {
    return _mm512_bslli_epi128(value, kBytes);
  }
};

}  // namespace

const Kernels kVaes512 = X86Kernels<FourBlocks>::kKernels;

}  // namespace witan::mpc::aes
