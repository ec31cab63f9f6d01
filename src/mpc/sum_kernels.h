// The code of StreamSums, once per instruction set. Internal. Files that are compiled for instructions beyond the baseline include
// nothing of ours but this: an inline function of another header, compiled there, could be taken by the linker for the whole program.
//
// A block x of AES minus a constant is eight signed limbs, x = sum_i (s_i + 2^15) 2^(16i), which costs one exclusive or. A sum of
// limbs times small integers fits 32 bits as long as these integers are at most kMaxWeight together; the constant is subtracted at
// the end. Two streams side by side are what the multiply-add of pairs of 16 bits wants.
#pragma once

#include <cstddef>
#include <cstdint>

namespace witan::mpc::sums {

/// Of a tile: counters, and at most so many streams, an even number. Its blocks, 16 KiB, stay in the first-level cache.
inline constexpr std::size_t kCounters = 64, kStreams = 16;
inline constexpr std::size_t kCoefficients = 4;
/// |factors| of the streams of a tile, together: |s_i| <= 2^15, so that sums stay below 2^31.
inline constexpr std::int64_t kMaxWeight = 65535;
inline constexpr std::uint64_t kLimbOffset = 0x8000'8000'8000'8000;  // of four limbs

/// Sums of a tile as [counter / 4][half][coefficient][counter % 4][2]: with P = sums[counter][half][coefficient] the half of 64 bits
/// is P[0] + 2^32 P[1]. Numbers stay below 2^62: 2^16 times 2^15 times the factors of at most 2^30 together.
inline constexpr std::size_t kGroup = 4;
constexpr std::size_t place(std::size_t halves, std::size_t counter, std::size_t half, std::size_t coefficient) {
  return (((counter / kGroup * halves + half) * kCoefficients + coefficient) * kGroup + counter % kGroup) * 2;
}
inline constexpr std::size_t kMaxSums = 2 * kCounters * 2 * kCoefficients;

/// sums += streams times factors. `blocks`: stream by stream, kCounters each, at a multiple of 64 bytes; `factors`: four for every
/// pair of streams, of the first one in the low and of the second one in the high 16 bits; `sums`: at a multiple of 64 bytes.
using Add = void (*)(const unsigned __int128* blocks, std::size_t pairs, const std::uint32_t* factors,
                     std::int64_t* sums);
struct Kernels {
  Add low_half;  // of the blocks, one half of sums
  Add both_halves;
};

extern const Kernels kScalar, kAvx2, kAvx512Vnni;

}  // namespace witan::mpc::sums
