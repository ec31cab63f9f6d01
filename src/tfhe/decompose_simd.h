// Internal to Decomposer.
#pragma once

#include <span>

#include "tfhe/word.h"

namespace witan::tfhe::simd {

/// Digits of the first words, as many as fill whole vectors: out[l * words.size() + j]. Returns how many were done.
std::size_t decompose(std::span<const u64> words, int base_log, std::size_t levels, i64* out);
std::size_t decompose(std::span<const u128> words, int base_log, std::size_t levels, i64* out);

}  // namespace witan::tfhe::simd
