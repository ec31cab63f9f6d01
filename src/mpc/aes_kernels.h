// The code of AesKeys, once per instruction set. Internal. Files that are compiled for instructions beyond the baseline include
// nothing but this and aes_kernels_x86.h: an inline function of another header, compiled there, could be taken by the linker for
// the whole program.
#pragma once

#include <cstddef>
#include <cstdint>

namespace witan::mpc::aes {

inline constexpr std::size_t kRounds = 10, kGroup = 4, kBlockBytes = 16;

/// Round keys of four keys, round by round, so that one wide load takes all four.
struct alignas(64) KeyGroup {
  std::uint8_t round[kRounds + 1][kGroup][kBlockBytes];
};

/// FIPS 197, 5.2: the constant of rounds 1 to 10.
inline constexpr std::uint8_t kRoundConstants[kRounds] = {1, 2, 4, 8, 16, 32, 64, 128, 0x1b, 0x36};

struct Kernels {
  /// FIPS 197, 5.2. `keys`: 4 * groups blocks.
  void (*expand)(const std::uint8_t* keys, std::size_t groups, KeyGroup* out);
  /// FIPS 197, 5.1: block i in place under key i; 4 * groups blocks.
  void (*encrypt_each)(const KeyGroup* keys, std::size_t groups, std::uint8_t* blocks);
  /// Under key `lane` of the group: counters first, first + 1, ... as 128-bit little-endian blocks whose upper halves are `high`.
  void (*encrypt_counters)(const KeyGroup* keys, std::size_t lane, std::uint64_t first, std::uint64_t high,
                           std::size_t count, std::uint8_t* out);
  /// With c = first + 2b: (AES(c) mod 2^bits) + (AES(c + 1) mod 2^bits) as a 128-bit number, under key i into place
  /// b * 4 * groups + i of `out`, for every key and 0 <= b < count. 64 < bits < 128.
  void (*add_pairs)(const KeyGroup* keys, std::size_t groups, std::uint64_t first, std::size_t count, unsigned bits,
                    std::uint8_t* out);
};

extern const Kernels kPortable, kAesNi, kVaes256, kVaes512;

}  // namespace witan::mpc::aes
