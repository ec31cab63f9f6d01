// Byte strings, hexadecimal text and fixed-width integers in memory order.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace witan {

using u128 = unsigned __int128;
using i128 = __int128;

using Bytes = std::vector<std::uint8_t>;
using ByteView = std::span<const std::uint8_t>;
using MutableByteView = std::span<std::uint8_t>;
template <std::size_t N>
using ByteArray = std::array<std::uint8_t, N>;

static_assert(std::endian::native == std::endian::little,
              "wire form equals memory form on little-endian machines only");

/// Lower-case hexadecimal without prefix.
std::string to_hex(ByteView bytes);

/// Hexadecimal of either case, even length, no prefix. Error: invalid_argument naming the position.
Result<Bytes> from_hex(std::string_view text);

/// The bytes of a text (no terminator).
inline ByteView as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

/// Reads an unsigned integer of 1, 2, 4, 8 or 16 bytes, little endian.
template <class UInt>
UInt load_le(const std::uint8_t* in) {
  UInt value;
  std::memcpy(&value, in, sizeof value);
  return value;
}

template <class UInt>
void store_le(UInt value, std::uint8_t* out) {
  std::memcpy(out, &value, sizeof value);
}

template <class UInt>
void append_le(Bytes& out, UInt value) {
  const std::size_t at = out.size();
  out.resize(at + sizeof value);
  store_le(value, out.data() + at);
}

template <class UInt>
UInt load_be(const std::uint8_t* in) {
  UInt value = 0;
  for (std::size_t i = 0; i < sizeof value; ++i) value = static_cast<UInt>((value << 4) << 4) | in[i];
  return value;
}

template <class UInt>
void store_be(UInt value, std::uint8_t* out) {
  for (std::size_t i = 0; i < sizeof value; ++i)
    out[i] = static_cast<std::uint8_t>(value >> (8 * (sizeof value - 1 - i)));
}

inline void append(Bytes& out, ByteView more) {
  out.insert(out.end(), more.begin(), more.end());
}
inline void append(Bytes& out, std::string_view text) {
  append(out, as_bytes(text));
}

/// Compares in time that depends on the lengths only.
bool equal_constant_time(ByteView a, ByteView b);

}  // namespace witan
