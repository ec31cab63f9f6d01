// The two torus words. Coefficients live in Z/2^64 or Z/2^128 (native moduli); arithmetic wraps.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "base/bytes.h"

namespace witan::tfhe {

using u64 = std::uint64_t;
using i64 = std::int64_t;

template <class W>
concept Word = std::same_as<W, u64> || std::same_as<W, u128>;

/// Bits of a torus word: the w of threshold-tfhe.md 4.5.
template <Word W>
inline constexpr int kWordBits = static_cast<int>(8 * sizeof(W));

template <Word W>
using SignedWord = std::conditional_t<std::same_as<W, u64>, i64, i128>;

/// 2^exponent as a word, 0 <= exponent < width.
template <Word W>
constexpr W power_of_two(int exponent) {
  return static_cast<W>(W{1} << exponent);
}

}  // namespace witan::tfhe
