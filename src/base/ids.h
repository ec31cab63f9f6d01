// Identifiers as types. Parsing and printing: service.md 2; parties and thresholds: mpc.md 1; sessions: mpc.md 5.2.
#pragma once

#include <compare>
#include <functional>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace witan {

/// 32 bytes, compared as a big-endian number. Tag makes request, key, context ... ids distinct types.
template <class Tag>
class Id {
 public:
  static constexpr std::size_t kSizeBytes = 32;

  Id() = default;  // all zero: "no id"; never the result of parse()
  explicit Id(ByteArray<32> bytes) : bytes_(bytes) {}

  /// Trims white space, drops one leading "0x", decodes exactly 32 bytes of either case, refuses all-zero.
  static Result<Id> parse(std::string_view text);
  /// From raw bytes; refuses another length and all-zero.
  static Result<Id> from_bytes(ByteView bytes);

  const ByteArray<32>& bytes() const { return bytes_; }
  ByteView view() const { return bytes_; }
  bool is_zero() const { return bytes_ == ByteArray<32>{}; }
  /// 64 lower-case digits.
  std::string hex() const { return to_hex(bytes_); }

  /// An id of one kind read as an id of another kind, where a protocol says that they are equal.
  template <class Other>
  Id<Other> as() const {
    return Id<Other>(bytes_);
  }

  friend auto operator<=>(const Id&, const Id&) = default;

 private:
  ByteArray<32> bytes_{};
};

namespace detail {
Result<ByteArray<32>> parse_id(std::string_view text);
Result<ByteArray<32>> id_from_bytes(ByteView bytes);
}  // namespace detail

template <class Tag>
Result<Id<Tag>> Id<Tag>::parse(std::string_view text) {
  WITAN_ASSIGN(auto bytes, detail::parse_id(text));
  return Id(bytes);
}
template <class Tag>
Result<Id<Tag>> Id<Tag>::from_bytes(ByteView view) {
  WITAN_ASSIGN(auto bytes, detail::id_from_bytes(view));
  return Id(bytes);
}

using RequestId = Id<struct RequestTag>;
using KeyId = Id<struct KeyTag>;
using PreprocId = Id<struct PreprocTag>;
using ContextId = Id<struct ContextTag>;
using EpochId = Id<struct EpochTag>;

/// Ids of an unconfigured node's context and epoch (service.md 2).
ContextId default_context_id();  // 07 00..00 01
EpochId default_epoch_id();      // 08 00..00 01

/// 128-bit session id; 16 bytes little endian wherever it is hashed or sent.
struct SessionId {
  u128 value = 0;
  ByteArray<16> bytes() const {
    ByteArray<16> out;
    store_le(value, out.data());
    return out;
  }
  /// 32 hexadecimal digits of the 16 little-endian bytes.
  std::string hex() const { return to_hex(bytes()); }
  friend auto operator<=>(const SessionId&, const SessionId&) = default;
};

/// One-based number of a party in its committee: role i evaluates at the point whose coefficients are the bits of i.
class Role {
 public:
  static constexpr int kMax = 15;
  constexpr Role() = default;
  /// Precondition (checked): 1 <= number <= 15.
  explicit Role(int number);
  static Result<Role> parse(std::int64_t number);
  constexpr int number() const { return number_; }
  /// Zero-based position in arrays that are ordered by role.
  constexpr std::size_t index() const { return static_cast<std::size_t>(number_ - 1); }
  friend auto operator<=>(const Role&, const Role&) = default;

 private:
  std::uint8_t number_ = 1;
};

/// Number of parties n and corruption bound t of a committee that the protocols accept (rule S1).
class CommitteeSize {
 public:
  /// t >= 1, n >= 3t+1, n <= 15, C(n,t) <= 2047. Error: invalid_argument with the broken rule.
  static Result<CommitteeSize> make(int parties, int threshold);
  int parties() const { return parties_; }      // n
  int threshold() const { return threshold_; }  // t: so many may be malicious or gone
  bool contains(Role role) const { return role.number() <= parties_; }
  friend auto operator<=>(const CommitteeSize&, const CommitteeSize&) = default;

 private:
  CommitteeSize(int parties, int threshold)
      : parties_(static_cast<std::uint8_t>(parties)), threshold_(static_cast<std::uint8_t>(threshold)) {}
  std::uint8_t parties_, threshold_;
};

}  // namespace witan

template <class Tag>
struct std::hash<witan::Id<Tag>> {
  std::size_t operator()(const witan::Id<Tag>& id) const { return witan::load_le<std::size_t>(id.bytes().data() + 24); }
};
template <>
struct std::hash<witan::SessionId> {
  std::size_t operator()(const witan::SessionId& id) const {
    return static_cast<std::size_t>(id.value) ^ static_cast<std::size_t>(id.value >> 64);
  }
};
