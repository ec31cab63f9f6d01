// Base rings Z/2^64 and Z/2^128: machine words, wrapping.
#pragma once

#include <concepts>

#include "base/bytes.h"

namespace witan::algebra {

using Z64 = std::uint64_t;
using Z128 = u128;

template <class Z>
concept Word = std::same_as<Z, Z64> || std::same_as<Z, Z128>;

template <Word Z>
inline constexpr int kBits = static_cast<int>(8 * sizeof(Z));

}  // namespace witan::algebra
