#include "mpc/prss_aes.h"

#include <immintrin.h>

#include <algorithm>

#include "base/check.h"

namespace witan::mpc {
namespace {

/// Independent states in flight: enough to hide the latency of an AES instruction (3 to 5 cycles, two per cycle).
constexpr std::size_t kLanes = 8;
constexpr std::size_t kRounds = 10;
using Lanes = std::array<__m128i, kLanes>;

__m128i load(const SetKey& bytes) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes.data()));
}
void store(__m128i value, SetKey& bytes) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(bytes.data()), value);
}

/// FIPS 197, 5.2. The last word, rotated and copied to every column, passes through AESENCLAST: with equal columns ShiftRows
/// does nothing, which leaves SubWord(RotWord(w)) xor the round constant, without the slow AESKEYGENASSIST.
__m128i next_round_key(__m128i key, int round_constant) {
  const __m128i last_word_rotated = _mm_set1_epi32(0x0c0f0e0d);
  const __m128i substituted =
      _mm_aesenclast_si128(_mm_shuffle_epi8(key, last_word_rotated), _mm_set1_epi32(round_constant));
  key = _mm_xor_si128(key, _mm_slli_si128(key, 4));
  key = _mm_xor_si128(key, _mm_slli_si128(key, 8));
  return _mm_xor_si128(key, substituted);
}

/// Lane l under the round keys that key_of(round, l) gives.
template <class KeyOf>
[[gnu::always_inline]] inline void encrypt(Lanes& state, KeyOf key_of) {
  for (std::size_t l = 0; l < kLanes; ++l) state[l] = _mm_xor_si128(state[l], key_of(0, l));
  for (std::size_t round = 1; round < kRounds; ++round)
    for (std::size_t l = 0; l < kLanes; ++l) state[l] = _mm_aesenc_si128(state[l], key_of(round, l));
  for (std::size_t l = 0; l < kLanes; ++l) state[l] = _mm_aesenclast_si128(state[l], key_of(kRounds, l));
}

}  // namespace

AesKeys::AesKeys(std::span<const SetKey> keys)
    : size_(keys.size()), keys_(std::vector<RoundKeys>((keys.size() + kLanes - 1) / kLanes * kLanes)) {
  constexpr std::array<int, kRounds> kRoundConstants = {1, 2, 4, 8, 16, 32, 64, 128, 0x1b, 0x36};
  std::vector<RoundKeys>& expanded = keys_.reveal_mutable();
  Lanes key{};
  for (std::size_t first = 0; first < expanded.size(); first += kLanes) {
    for (std::size_t l = 0; l < kLanes && first + l < size_; ++l) key[l] = load(keys[first + l]);
    for (std::size_t l = 0; l < kLanes; ++l) store(key[l], expanded[first + l][0]);
    for (std::size_t round = 1; round <= kRounds; ++round)
      for (std::size_t l = 0; l < kLanes; ++l) {
        key[l] = next_round_key(key[l], kRoundConstants[round - 1]);
        store(key[l], expanded[first + l][round]);
      }
  }
  wipe(key.data(), sizeof key);
}

void AesKeys::encrypt_each(std::span<SetKey> blocks) const {
  WITAN_CHECK(blocks.size() == size_);
  for (std::size_t first = 0; first < size_; first += kLanes) {
    const std::size_t count = std::min(kLanes, size_ - first);
    const RoundKeys* keys = keys_.reveal().data() + first;
    Lanes state{};
    for (std::size_t l = 0; l < count; ++l) state[l] = load(blocks[first + l]);
    encrypt(state, [keys](std::size_t round, std::size_t l) { return load(keys[l][round]); });
    for (std::size_t l = 0; l < count; ++l) store(state[l], blocks[first + l]);
  }
}

void AesKeys::encrypt_counters(std::size_t i, std::uint64_t first, std::span<u128> out) const {
  WITAN_CHECK(i < size_);
  const RoundKeys& key = keys_.reveal()[i];
  for (std::size_t at = 0; at < out.size(); at += kLanes) {
    const std::size_t count = std::min(kLanes, out.size() - at);
    Lanes state;
    for (std::size_t l = 0; l < kLanes; ++l) state[l] = _mm_set_epi64x(0, static_cast<std::int64_t>(first + at + l));
    encrypt(state, [&key](std::size_t round, std::size_t) { return load(key[round]); });
    std::memcpy(out.data() + at, state.data(), 16 * count);
  }
}

}  // namespace witan::mpc
