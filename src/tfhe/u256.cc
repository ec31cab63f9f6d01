#include "tfhe/u256.h"

#include <algorithm>
#include <bit>

#include "base/check.h"

namespace witan::tfhe {
namespace {

using Limbs = std::array<std::uint64_t, 4>;

/// limbs = limbs * factor + addend; the carry out of 256 bits.
std::uint64_t multiply_add(Limbs& limbs, std::uint64_t factor, std::uint64_t addend) {
  u128 carry = addend;
  for (std::uint64_t& limb : limbs) {
    carry += u128{limb} * factor;
    limb = static_cast<std::uint64_t>(carry);
    carry >>= 64;
  }
  return static_cast<std::uint64_t>(carry);
}

/// limbs = limbs / divisor; the remainder.
std::uint64_t divide(Limbs& limbs, std::uint64_t divisor) {
  u128 remainder = 0;
  for (std::size_t i = 4; i-- > 0;) {
    const u128 current = remainder << 64 | limbs[i];
    limbs[i] = static_cast<std::uint64_t>(current / divisor);
    remainder = current % divisor;
  }
  return static_cast<std::uint64_t>(remainder);
}

int digit_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return 16;
}

}  // namespace

Result<U256> U256::parse(std::string_view text) {
  const bool hexadecimal = text.starts_with("0x") || text.starts_with("0X");
  const int base = hexadecimal ? 16 : 10;
  const std::string_view digits = hexadecimal ? text.substr(2) : text;
  if (digits.empty()) return fail(Code::invalid_argument, "'{}' is no number", text);
  U256 out;
  for (const char c : digits) {
    const int digit = digit_value(c);
    if (digit >= base) return fail(Code::invalid_argument, "'{}' is no decimal or 0x hexadecimal number", text);
    if (multiply_add(out.limbs_, static_cast<std::uint64_t>(base), static_cast<std::uint64_t>(digit)) != 0)
      return fail(Code::invalid_argument, "{} does not fit 256 bits", text);
  }
  return out;
}

U256 U256::from_le_bytes(ByteView bytes) {
  WITAN_CHECK(bytes.size() <= 32);
  U256 out;
  for (std::size_t i = 0; i < bytes.size(); ++i) out.limbs_[i / 8] |= std::uint64_t{bytes[i]} << (8 * (i % 8));
  return out;
}

Bytes U256::to_le_bytes(std::size_t size_bytes) const {
  WITAN_CHECK(size_bytes <= 32);
  Bytes out(size_bytes);
  for (std::size_t i = 0; i < size_bytes; ++i) out[i] = static_cast<std::uint8_t>(limbs_[i / 8] >> (8 * (i % 8)));
  return out;
}

std::string U256::decimal() const {
  Limbs rest = limbs_;
  std::string out;
  do {
    out.push_back(static_cast<char>('0' + divide(rest, 10)));
  } while (rest != Limbs{});
  std::ranges::reverse(out);
  return out;
}

std::string U256::hex(std::size_t min_digits) const {
  std::string out;
  for (int at = 0; at < 256; at += 4) out.push_back("0123456789abcdef"[bits(at, 4)]);
  while (out.size() > std::max<std::size_t>(min_digits, 1) && out.back() == '0') out.pop_back();
  std::ranges::reverse(out);
  return "0x" + out;
}

int U256::bit_length() const {
  for (std::size_t i = 4; i-- > 0;)
    if (limbs_[i] != 0) return static_cast<int>(64 * (i + 1)) - std::countl_zero(limbs_[i]);
  return 0;
}

std::uint64_t U256::bits(int first, int count) const {
  WITAN_CHECK(first >= 0 && count >= 0 && count <= 64);
  if (first >= 256 || count == 0) return 0;
  const auto limb = static_cast<std::size_t>(first / 64);
  const u128 window = u128{limb < 3 ? limbs_[limb + 1] : 0} << 64 | limbs_[limb];
  const auto value = static_cast<std::uint64_t>(window >> (first % 64));
  return count == 64 ? value : value & ((std::uint64_t{1} << count) - 1);
}

void U256::add_shifted(std::uint64_t value, int shift) {
  WITAN_CHECK(shift >= 0);
  u128 carry = u128{value} << (shift % 64);
  for (auto i = static_cast<std::size_t>(shift / 64); i < 4 && carry != 0; ++i) {
    // Split before adding: a limb and a carry of up to 128 bits must not wrap.
    const u128 low = u128{limbs_[i]} + static_cast<std::uint64_t>(carry);
    limbs_[i] = static_cast<std::uint64_t>(low);
    carry = (carry >> 64) + (low >> 64);
  }
}

U256 U256::low_bits(int count) const {
  WITAN_CHECK(count >= 0);
  U256 out = *this;
  for (int i = 0; i < 4; ++i) {
    const int keep = std::clamp(count - 64 * i, 0, 64);
    if (keep < 64) out.limbs_[static_cast<std::size_t>(i)] &= (std::uint64_t{1} << keep) - 1;
  }
  return out;
}

}  // namespace witan::tfhe
