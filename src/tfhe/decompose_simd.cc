// Decomposer::decompose_all for whole polynomials, compiled once per instruction set.
#include "tfhe/decompose_simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tfhe/decompose_simd.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace witan::tfhe::HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;
using D = hn::CappedTag<i64, 8>;
using DU = hn::RebindToUnsigned<D>;
using V = hn::Vec<D>;
constexpr D d;
constexpr DU du;

HWY_INLINE V set(u64 value) {
  return hn::Set(d, static_cast<i64>(value));
}
HWY_INLINE V shift_right(V value, int count) {  // logical, below 64
  return hn::BitCast(d, hn::ShiftRightSame(hn::BitCast(du, value), count));
}
HWY_INLINE V one_if(hn::Mask<D> mask) {
  return hn::IfThenElseZero(mask, set(1));
}
HWY_INLINE u64 low_bits(int count) {  // 0 to 64
  return count >= 64 ? ~u64{0} : (u64{1} << count) - 1;
}

/// Two words of a signed number.
struct Wide {
  V low, high;
};

/// value >> count, filled with zeros; 0 <= count < 128.
HWY_INLINE Wide shift_right(Wide value, int count) {
  if (count == 0) return value;
  if (count >= 64) return {shift_right(value.high, count - 64), hn::Zero(d)};
  return {hn::Or(shift_right(value.low, count), hn::ShiftLeftSame(value.high, 64 - count)),
          shift_right(value.high, count)};
}
/// The same with the sign, 0 < count < 64.
HWY_INLINE Wide shift_right_signed(Wide value, int count) {
  return {hn::Or(shift_right(value.low, count), hn::ShiftLeftSame(value.high, 64 - count)),
          hn::ShiftRightSame(value.high, count)};
}
HWY_INLINE Wide add_bit(Wide value, V bit) {
  const V low = hn::Add(value.low, bit);
  const auto carry = hn::And(hn::Eq(low, hn::Zero(d)), hn::Ne(bit, hn::Zero(d)));
  return {low, hn::Add(value.high, one_if(carry))};
}

/// Digits of words of `width` bits that stand in (low, high), aligned to bit 0.
HWY_INLINE void digits_of(Wide value, int width, int base_log, std::size_t levels, i64* out, std::size_t stride) {
  const int represented = base_log * static_cast<int>(levels);
  const Wide shifted = shift_right(value, width - represented - 1);
  const V rounded_up = hn::And(shifted.low, set(1));
  Wide state = shift_right(add_bit(shifted, set(1)), 1);
  const u64 mask_low = low_bits(represented), mask_high = represented > 64 ? low_bits(represented - 64) : 0;
  const u64 top_low = represented <= 64 ? u64{1} << ((represented - 1) & 63) : 0;
  const u64 top_high = represented > 64 ? u64{1} << ((represented - 65) & 63) : 0;
  state = {hn::And(state.low, set(mask_low)), hn::And(state.high, set(mask_high))};
  const V top = hn::Or(hn::And(state.low, set(top_low)), hn::And(state.high, set(top_high)));
  const V rest = hn::Or(hn::AndNot(set(top_low), state.low), hn::AndNot(set(top_high), state.high));
  const auto negative = hn::And(hn::Ne(top, hn::Zero(d)), hn::Ne(hn::Or(rest, rounded_up), hn::Zero(d)));
  state.low = hn::Or(state.low, hn::IfThenElseZero(negative, set(~mask_low)));
  state.high = hn::Or(state.high, hn::IfThenElseZero(negative, set(~mask_high)));
  const u64 base_word = u64{1} << (base_log & 63);  // base_log <= 62
  const V base_mask = set(base_word - 1), half = set(base_word / 2), base = set(base_word);
  for (std::size_t l = 0; l < levels; ++l) {
    const V residue = hn::And(state.low, base_mask);
    state = shift_right_signed(state, base_log);
    const auto above = hn::Gt(residue, half);
    const auto tie = hn::And(hn::Eq(residue, half), hn::Ne(hn::And(state.low, half), hn::Zero(d)));
    const auto carry = hn::Or(above, tie);
    hn::StoreU(hn::Sub(residue, hn::IfThenElseZero(carry, base)), d, out + l * stride);
    state = add_bit(state, one_if(carry));
  }
}

std::size_t decompose_u64(const u64* words, std::size_t count, int base_log, std::size_t levels, i64* out) {
  const std::size_t step = hn::Lanes(d);
  std::size_t j = 0;
  for (; j + step <= count; j += step) {
    const V word = hn::BitCast(d, hn::LoadU(du, words + j));
    digits_of({word, hn::Zero(d)}, 64, base_log, levels, out + j, count);
  }
  return j;
}

std::size_t decompose_u128(const u128* words, std::size_t count, int base_log, std::size_t levels, i64* out) {
  const std::size_t step = hn::Lanes(d);
  const auto* halves = reinterpret_cast<const u64*>(words);
  std::size_t j = 0;
  for (; j + step <= count; j += step) {
    hn::Vec<DU> low, high;
    hn::LoadInterleaved2(du, halves + 2 * j, low, high);
    digits_of({hn::BitCast(d, low), hn::BitCast(d, high)}, 128, base_log, levels, out + j, count);
  }
  return j;
}

}  // namespace
}  // namespace witan::tfhe::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace witan::tfhe::simd {

HWY_EXPORT(decompose_u64);
HWY_EXPORT(decompose_u128);

std::size_t decompose(std::span<const u64> words, int base_log, std::size_t levels, i64* out) {
  return HWY_DYNAMIC_DISPATCH(decompose_u64)(words.data(), words.size(), base_log, levels, out);
}
std::size_t decompose(std::span<const u128> words, int base_log, std::size_t levels, i64* out) {
  return HWY_DYNAMIC_DISPATCH(decompose_u128)(words.data(), words.size(), base_log, levels, out);
}

}  // namespace witan::tfhe::simd
#endif  // HWY_ONCE
