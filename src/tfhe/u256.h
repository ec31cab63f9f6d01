// Unsigned integers of up to 256 bits: the largest plaintext that the service decrypts.
#pragma once

#include <array>
#include <compare>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace witan::tfhe {

class U256 {
 public:
  constexpr U256() = default;
  constexpr U256(u128 value)
      : limbs_{static_cast<std::uint64_t>(value), static_cast<std::uint64_t>(value >> 64), 0, 0} {}

  /// Decimal digits, or hexadecimal ones after "0x". Error: invalid_argument for other text or 2^256 and more.
  static Result<U256> parse(std::string_view text);
  /// Up to 32 bytes, least significant first.
  static U256 from_le_bytes(ByteView bytes);

  /// The low `size_bytes` bytes (at most 32), least significant first.
  Bytes to_le_bytes(std::size_t size_bytes) const;
  std::string decimal() const;
  /// "0x" and hexadecimal digits without leading zeros; padded to `min_digits`.
  std::string hex(std::size_t min_digits = 1) const;

  /// Number of bits up to the highest set one; 0 for zero.
  int bit_length() const;
  /// Bits [first, first + count) as a number; count <= 64, bits above 255 are zero.
  std::uint64_t bits(int first, int count) const;
  /// this += value * 2^shift mod 2^256, with carries; 0 <= shift.
  void add_shifted(std::uint64_t value, int shift);
  /// this mod 2^bits.
  U256 low_bits(int bits) const;

  friend bool operator==(const U256&, const U256&) = default;
  friend std::strong_ordering operator<=>(const U256& a, const U256& b) {
    for (std::size_t i = 4; i-- > 0;)
      if (a.limbs_[i] != b.limbs_[i]) return a.limbs_[i] <=> b.limbs_[i];
    return std::strong_ordering::equal;
  }

 private:
  std::array<std::uint64_t, 4> limbs_{};  // least significant first
};

}  // namespace witan::tfhe
