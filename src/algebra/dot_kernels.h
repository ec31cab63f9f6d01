// The code of DotVector, once per instruction set. Internal. Files that are compiled for instructions beyond the baseline include
// nothing of ours but this: an inline function of another header, compiled there, could be taken by the linker for the whole program.
#pragma once

#include <cstddef>
#include <cstdint>

namespace witan::algebra::dot {

/// Elements come in groups, the last one filled up with zeros.
inline constexpr std::size_t kGroup = 8, kCoefficients = 4;
/// Groups that one call of multiply_add may take; sums are below 2^60 then.
inline constexpr std::size_t kMaxGroupsAtOnce = 64;
/// 64-bit words of the running sums of one right-hand side; all zero at first.
inline constexpr std::size_t kSumWords = 12 * kGroup;

struct Kernels {
  std::size_t group_words;  // 64-bit words of an arranged group, which begins at a multiple of 64 bytes
  /// `elements`: coefficients of one group, element by element.
  void (*arrange)(const unsigned __int128* elements, std::uint64_t* group);
  void (*element)(const std::uint64_t* group, std::size_t i, unsigned __int128* coefficients);
  /// sums += the products of the first `count` elements with as many words.
  void (*multiply_add)(const std::uint64_t* groups, const unsigned __int128* words, std::size_t count,
                       std::uint64_t* sums);
  void (*finish)(const std::uint64_t* sums, unsigned __int128* coefficients);
};

extern const Kernels kScalar, kAvx2, kAvx512Ifma;

}  // namespace witan::algebra::dot
