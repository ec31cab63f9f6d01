#include "tfhe/decompose.h"

#include <vector>

#include "base/check.h"
#include "tfhe/decompose_simd.h"

namespace witan::tfhe {

template <Word W>
Decomposer<W>::Decomposer(Decomposition decomposition)
    : base_log_(static_cast<int>(decomposition.base_log)), level_count_(decomposition.level_count) {
  WITAN_CHECK(decomposition.base_log >= 1 && decomposition.base_log <= 62 && decomposition.level_count >= 1 &&
              decomposition.level_count < static_cast<std::uint32_t>(kWordBits<W>) &&
              decomposition.base_log * decomposition.level_count < static_cast<std::uint32_t>(kWordBits<W>));
}

/// round(value / 2^(w - r)) in (-2^(r-1), 2^(r-1)], r = base_log * level_count; the tie at half the range goes to the
/// negative side when the rounding went up.
template <Word W>
SignedWord<W> Decomposer<W>::rounded_state(W value) const {
  const int represented = base_log_ * static_cast<int>(level_count_);
  const int dropped = kWordBits<W> - represented;
  const W shifted = value >> (dropped - 1);
  const W rounded_up = shifted & 1;
  const W range = W{1} << represented;
  const W state = (shifted + 1) >> 1 & (range - 1);
  const bool negative = state > range / 2 || (state == range / 2 && rounded_up != 0);
  return static_cast<SignedWord<W>>(negative ? state - range : state);
}

template <Word W>
void Decomposer<W>::decompose(W value, std::span<i64> out) const {
  WITAN_CHECK(out.size() == level_count_);
  SignedWord<W> state = rounded_state(value);
  const W base = W{1} << base_log_;
  for (i64& digit : out) {
    const W residue = static_cast<W>(state) & (base - 1);
    state >>= base_log_;
    // A residue of exactly half the base becomes negative if what remains has its own half bit set: the next digit then
    // grows, and the digits stay balanced.
    const bool carry = residue > base / 2 || (residue == base / 2 && (static_cast<W>(state) & base / 2) != 0);
    digit = static_cast<i64>(residue) - (carry ? static_cast<i64>(base) : 0);
    state += carry ? 1 : 0;
  }
}

template <Word W>
void Decomposer<W>::decompose_all(std::span<const W> words, std::span<i64> out) const {
  WITAN_CHECK(out.size() == level_count_ * words.size());
  std::vector<i64> digits(level_count_);
  for (std::size_t j = simd::decompose(words, base_log_, level_count_, out.data()); j < words.size(); ++j) {
    decompose(words[j], digits);
    for (std::size_t l = 0; l < level_count_; ++l) out[l * words.size() + j] = digits[l];
  }
}

template <Word W>
W Decomposer<W>::closest(W value) const {
  const int dropped = kWordBits<W> - base_log_ * static_cast<int>(level_count_);
  return static_cast<W>(rounded_state(value)) << dropped;
}

template class Decomposer<u64>;
template class Decomposer<u128>;

}  // namespace witan::tfhe
