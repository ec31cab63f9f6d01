// Selecting with secret bits without branches.
#pragma once

#include <span>

#include "tfhe/word.h"

namespace witan::tfhe {

/// All ones for bit 1, zero for bit 0. The barrier hides from the optimiser that the mask has two values only, so that it
/// cannot turn a masked addition into a branch.
template <Word W>
inline W secret_mask(std::uint8_t bit) {
  u64 mask = u64{0} - bit;
  asm("" : "+r"(mask));
  if constexpr (sizeof(W) == 16)
    return static_cast<u128>(mask) << 64 | mask;
  else
    return mask;
}

/// <mask, key> for a binary key.
template <Word W>
inline W masked_sum(std::span<const W> words, std::span<const std::uint8_t> key_bits) {
  W sum = 0;
  for (std::size_t i = 0; i < words.size(); ++i) sum += words[i] & secret_mask<W>(key_bits[i]);
  return sum;
}

}  // namespace witan::tfhe
