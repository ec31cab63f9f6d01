#include "mpc/aes_kernels_x86.h"

namespace witan::mpc::aes {
namespace {

struct OneBlock {
  using Vector = __m128i;
  static constexpr std::size_t kBlocks = 1;
  static Vector load(const std::uint8_t* from) { return _mm_loadu_si128(reinterpret_cast<const Vector*>(from)); }
  static void store(Vector value, std::uint8_t* to) { _mm_storeu_si128(reinterpret_cast<Vector*>(to), value); }
  static Vector broadcast(const std::uint8_t* from) { return load(from); }
  static Vector set32(int word) { return _mm_set1_epi32(word); }
  static Vector set128(std::uint64_t low, std::uint64_t high) {
    return _mm_set_epi64x(static_cast<long long>(high), static_cast<long long>(low));
  }
  static Vector counters(Vector first, std::uint64_t by) { return _mm_add_epi64(first, set128(by, 0)); }
  static Vector exclusive_or(Vector a, Vector b) { return _mm_xor_si128(a, b); }
  static Vector bit_and(Vector a, Vector b) { return _mm_and_si128(a, b); }
  static Vector add(Vector a, Vector b) {
    const Vector sum = _mm_add_epi64(a, b);
    const Vector carries = _mm_or_si128(_mm_and_si128(a, b), _mm_andnot_si128(sum, _mm_or_si128(a, b)));
    return _mm_add_epi64(sum, _mm_slli_si128(_mm_srli_epi64(carries, 63), 8));
  }
  static Vector round(Vector state, Vector key) { return _mm_aesenc_si128(state, key); }
  static Vector last_round(Vector state, Vector key) { return _mm_aesenclast_si128(state, key); }
  static Vector permute(Vector value, Vector places) { return _mm_shuffle_epi8(value, places); }
  template <int kBytes>
  static Vector shift_left(Vector value) {
    return _mm_slli_si128(value, kBytes);
  }
};

}  // namespace

const Kernels kAesNi = X86Kernels<OneBlock>::kKernels;

}  // namespace witan::mpc::aes
