// Compiled with -mvaes (cmake/layers.cmake).
#include "mpc/aes_kernels_x86.h"

namespace witan::mpc::aes {
namespace {

struct TwoBlocks {
  using Vector = __m256i;
  static constexpr std::size_t kBlocks = 2;
  static Vector load(const std::uint8_t* from) { return _mm256_loadu_si256(reinterpret_cast<const Vector*>(from)); }
  static void store(Vector value, std::uint8_t* to) { _mm256_storeu_si256(reinterpret_cast<Vector*>(to), value); }
  static Vector broadcast(const std::uint8_t* from) {
    return _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
  }
  static Vector set32(int word) { return _mm256_set1_epi32(word); }
  static Vector set128(std::uint64_t low, std::uint64_t high) {
    const auto l = static_cast<long long>(low), h = static_cast<long long>(high);
    return _mm256_set_epi64x(h, l, h, l);
  }
  static Vector counters(Vector first, std::uint64_t by) {
    const auto b = static_cast<long long>(by);
    return _mm256_add_epi64(first, _mm256_set_epi64x(0, b + 1, 0, b));
  }
  static Vector exclusive_or(Vector a, Vector b) { return _mm256_xor_si256(a, b); }
  static Vector bit_and(Vector a, Vector b) { return _mm256_and_si256(a, b); }
  static Vector add(Vector a, Vector b) {
    const Vector sum = _mm256_add_epi64(a, b);
    const Vector carries = _mm256_or_si256(_mm256_and_si256(a, b), _mm256_andnot_si256(sum, _mm256_or_si256(a, b)));
    return _mm256_add_epi64(sum, _mm256_slli_si256(_mm256_srli_epi64(carries, 63), 8));
  }
  static Vector round(Vector state, Vector key) { return _mm256_aesenc_epi128(state, key); }
  static Vector last_round(Vector state, Vector key) { return _mm256_aesenclast_epi128(state, key); }
  static Vector permute(Vector value, Vector places) { return _mm256_shuffle_epi8(value, places); }
  template <int kBytes>
  static Vector shift_left(Vector value) {
    return _mm256_slli_si256(value, kBytes);
  }
};

}  // namespace

const Kernels kVaes256 = X86Kernels<TwoBlocks>::kKernels;

}  // namespace witan::mpc::aes
