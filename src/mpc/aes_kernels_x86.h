// The kernels for AES instructions on vectors V of one, two or four blocks. Internal, see aes_kernels.h: included by the file of each
// instruction set, whose V lives in an unnamed namespace, so that nothing here is shared between them.
#pragma once

#include <immintrin.h>

#include <cstring>

#include "mpc/aes_kernels.h"

namespace witan::mpc::aes {

/// V has: kBlocks; load, store, broadcast (one block to all places), set32, set128(low, high), counters(c, by) = c + by, c + by + 1, ..., modulo 2^64 in the low halves;
/// exclusive_or, bit_and, add (numbers of 128 bits), round, last_round, permute (bytes inside of blocks), shift_left<bytes> (inside of
/// blocks).
template <class V>
struct X86Kernels {
  using Vector = typename V::Vector;
  /// States in flight: enough to hide the latency of an AES instruction (3 to 5 cycles, up to two per cycle).
  static constexpr std::size_t kStates = 8;
  /// The same for counters under one key, whose round keys stay in registers too: of 32 there are enough for twice as many.
  static constexpr std::size_t kRun = V::kBlocks == 4 ? 2 * kStates : kStates;
  static constexpr std::size_t kVectors = kGroup / V::kBlocks;  // of a group

  /// The last word, rotated and copied to every column, passes through the last round: with equal columns ShiftRows does
  /// nothing, which leaves SubWord(RotWord(w)) xor the round constant, without the slow AESKEYGENASSIST.
  [[gnu::always_inline]] static Vector next_round_key(Vector key, std::uint8_t round_constant) {
    const Vector last_word_rotated = V::set32(0x0c0f0e0d);
    const Vector substituted = V::last_round(V::permute(key, last_word_rotated), V::set32(round_constant));
    key = V::exclusive_or(key, V::template shift_left<4>(key));
    key = V::exclusive_or(key, V::template shift_left<8>(key));
    return V::exclusive_or(key, substituted);
  }

  static void expand(const std::uint8_t* keys, std::size_t groups, KeyGroup* out) {
    constexpr std::size_t kAtOnce = kStates / kVectors;  // groups
    for (std::size_t first = 0; first < groups; first += kAtOnce) {
      const std::size_t count = groups - first < kAtOnce ? groups - first : kAtOnce;
      Vector key[kStates];
      for (std::size_t s = 0; s < kStates; ++s)
        key[s] = s / kVectors < count ? V::load(keys + kBlockBytes * (kGroup * first + V::kBlocks * s)) : V::set32(0);
      for (std::size_t r = 0; r <= kRounds; ++r) {
        if (r > 0)
          for (std::size_t s = 0; s < kStates; ++s) key[s] = next_round_key(key[s], kRoundConstants[r - 1]);
        for (std::size_t s = 0; s < count * kVectors; ++s)
          V::store(key[s], out[first + s / kVectors].round[r][V::kBlocks * (s % kVectors)]);
      }
    }
  }

  static void encrypt_each(const KeyGroup* keys, std::size_t groups, std::uint8_t* blocks) {
    constexpr std::size_t kAtOnce = kStates / kVectors;
    for (std::size_t first = 0; first < groups; first += kAtOnce) {
      const std::size_t count = groups - first < kAtOnce ? groups - first : kAtOnce;
      const auto key = [keys, first, count](std::size_t r, std::size_t s) __attribute__((always_inline)) {
        const std::size_t group = s / kVectors < count ? s / kVectors : 0;  // of places without a block: any
        return V::load(keys[first + group].round[r][V::kBlocks * (s % kVectors)]);
      };
      std::uint8_t* const at = blocks + kBlockBytes * kGroup * first;
      Vector state[kStates];
      for (std::size_t s = 0; s < kStates; ++s)
        state[s] =
            V::exclusive_or(s / kVectors < count ? V::load(at + kBlockBytes * V::kBlocks * s) : V::set32(0), key(0, s));
      for (std::size_t r = 1; r < kRounds; ++r)
        for (std::size_t s = 0; s < kStates; ++s) state[s] = V::round(state[s], key(r, s));
      for (std::size_t s = 0; s < kStates; ++s) state[s] = V::last_round(state[s], key(kRounds, s));
      for (std::size_t s = 0; s < count * kVectors; ++s) V::store(state[s], at + kBlockBytes * V::kBlocks * s);
    }
  }

  static void encrypt_counters(const KeyGroup* keys, std::size_t lane, std::uint64_t first, std::uint64_t high,
                               std::size_t count, std::uint8_t* out) {
    constexpr std::size_t kAtOnce = kRun * V::kBlocks;
    Vector key[kRounds + 1];
    for (std::size_t r = 0; r <= kRounds; ++r) key[r] = V::broadcast(keys->round[r][lane]);
    const auto run = [&key, high](std::uint64_t from, std::uint8_t* to) __attribute__((always_inline)) {
      const Vector counter = V::set128(from, high);
      Vector state[kRun];
#pragma clang loop unroll(full)
      for (std::size_t s = 0; s < kRun; ++s) state[s] = V::exclusive_or(V::counters(counter, V::kBlocks * s), key[0]);
#pragma clang loop unroll(full)
      for (std::size_t r = 1; r < kRounds; ++r)
        for (std::size_t s = 0; s < kRun; ++s) state[s] = V::round(state[s], key[r]);
      for (std::size_t s = 0; s < kRun; ++s)
        V::store(V::last_round(state[s], key[kRounds]), to + kBlockBytes * V::kBlocks * s);
    };
    std::size_t at = 0;
    for (; at + kAtOnce <= count; at += kAtOnce) run(first + at, out + kBlockBytes * at);
    if (at == count) return;
    std::uint8_t rest[kBlockBytes * kAtOnce];  // after the loop, so that the keys of the loop stay in registers
    run(first + at, rest);
    std::memcpy(out + kBlockBytes * at, rest, kBlockBytes * (count - at));
  }

  /// kPairs pairs of counters under each of the keys in kKeys vectors that begin at number `vector`.
  template <std::size_t kKeys, std::size_t kPairs>
  [[gnu::always_inline]] static void add_tile(const KeyGroup* keys, std::size_t vector, std::uint64_t first,
                                              Vector low_bits, std::uint8_t* out, std::size_t row_bytes) {
    constexpr std::size_t kCounters = 2 * kPairs;
    const std::uint8_t* key[kKeys];
    for (std::size_t k = 0; k < kKeys; ++k)
      key[k] = keys[(vector + k) / kVectors].round[0][V::kBlocks * ((vector + k) % kVectors)];
    Vector state[kKeys][kCounters];
    for (std::size_t k = 0; k < kKeys; ++k)
      for (std::size_t c = 0; c < kCounters; ++c)
        state[k][c] = V::exclusive_or(V::set128(first + c, 0), V::load(key[k]));
    for (std::size_t r = 1; r <= kRounds; ++r)
      for (std::size_t k = 0; k < kKeys; ++k) {
        const Vector round_key = V::load(key[k] + r * kGroup * kBlockBytes);
        for (std::size_t c = 0; c < kCounters; ++c)
          state[k][c] = r < kRounds ? V::round(state[k][c], round_key) : V::last_round(state[k][c], round_key);
      }
    for (std::size_t k = 0; k < kKeys; ++k)
      for (std::size_t p = 0; p < kPairs; ++p)
        V::store(V::add(V::bit_and(state[k][2 * p], low_bits), V::bit_and(state[k][2 * p + 1], low_bits)),
                 out + p * row_bytes + (vector + k) * V::kBlocks * kBlockBytes);
  }

  static void add_pairs(const KeyGroup* keys, std::size_t groups, std::uint64_t first, std::size_t count, unsigned bits,
                        std::uint8_t* out) {
    const Vector low_bits = V::set128(~std::uint64_t{0}, (std::uint64_t{1} << (bits - 64)) - 1);
    const std::size_t vectors = groups * kVectors, row_bytes = groups * kGroup * kBlockBytes;
    std::size_t b = 0;
    for (; b + 4 <= count; b += 4)
      for (std::size_t v = 0; v < vectors; ++v)
        add_tile<1, 4>(keys, v, first + 2 * b, low_bits, out + b * row_bytes, row_bytes);
    for (; b < count; ++b) {
      std::size_t v = 0;
      for (; v + 4 <= vectors; v += 4) add_tile<4, 1>(keys, v, first + 2 * b, low_bits, out + b * row_bytes, row_bytes);
      for (; v < vectors; ++v) add_tile<1, 1>(keys, v, first + 2 * b, low_bits, out + b * row_bytes, row_bytes);
    }
  }

  static constexpr Kernels kKernels{
      .expand = expand, .encrypt_each = encrypt_each, .encrypt_counters = encrypt_counters, .add_pairs = add_pairs};
};

}  // namespace witan::mpc::aes
