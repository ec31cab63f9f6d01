// Records of ours (journal, vault, frames between nodes) in the bincode layout of responses.md 1: little-endian
// integers, u64 lengths. Reading is bounded by what is there and sticks at the first error.
#pragma once

#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/ids.h"

namespace witan {

class Writer {
 public:
  Writer& u8(std::uint8_t v) { return integer(v); }
  Writer& u16(std::uint16_t v) { return integer(v); }
  Writer& u32(std::uint32_t v) { return integer(v); }
  Writer& u64(std::uint64_t v) { return integer(v); }
  Writer& u128(witan::u128 v) { return integer(v); }
  /// Exactly these bytes, no length.
  Writer& raw(ByteView bytes) {
    append(out_, bytes);
    return *this;
  }
  /// u64 length, then the bytes.
  Writer& bytes(ByteView bytes) { return u64(bytes.size()).raw(bytes); }
  Writer& text(std::string_view text) { return bytes(as_bytes(text)); }
  template <class Tag>
  Writer& id(const Id<Tag>& id) {
    return raw(id.view());
  }

  const Bytes& view() const { return out_; }
  Bytes take() { return std::move(out_); }

 private:
  template <class UInt>
  Writer& integer(UInt v) {
    append_le(out_, v);
    return *this;
  }
  Bytes out_;
};

/// After an error every further read returns zero or empty; finish() tells.
class Reader {
 public:
  explicit Reader(ByteView in) : in_(in) {}

  std::uint8_t u8() { return integer<std::uint8_t>(); }
  std::uint16_t u16() { return integer<std::uint16_t>(); }
  std::uint32_t u32() { return integer<std::uint32_t>(); }
  std::uint64_t u64() { return integer<std::uint64_t>(); }
  witan::u128 u128() { return integer<witan::u128>(); }
  /// A view into the input.
  ByteView raw(std::uint64_t size_bytes) {
    if (failed_ || size_bytes > in_.size()) {
      failed_ = true;
      return {};
    }
    const ByteView out = in_.first(size_bytes);
    in_ = in_.subspan(size_bytes);
    return out;
  }
  /// u64 length, then the bytes; an error above the limit.
  ByteView bytes(std::uint64_t max_bytes) {
    const std::uint64_t size = u64();
    if (size > max_bytes) failed_ = true;
    return raw(failed_ ? 0 : size);
  }
  Bytes take_bytes(std::uint64_t max_bytes) {
    const ByteView view = bytes(max_bytes);
    return Bytes(view.begin(), view.end());
  }
  std::string text(std::uint64_t max_bytes) {
    const ByteView view = bytes(max_bytes);
    return std::string(view.begin(), view.end());
  }
  /// u64 count of items of at least min_item_bytes each; an error if they cannot fit into what is left.
  std::uint64_t count(std::uint64_t min_item_bytes) {
    const std::uint64_t items = u64();
    if (failed_ || items > in_.size() / min_item_bytes) {
      failed_ = true;
      return 0;
    }
    return items;
  }
  template <class IdType>
  IdType id() {
    const ByteView view = raw(32);
    ByteArray<32> out{};
    if (!failed_) std::memcpy(out.data(), view.data(), 32);
    return IdType(out);
  }
  template <std::size_t N>
  ByteArray<N> array() {
    const ByteView view = raw(N);
    ByteArray<N> out{};
    if (!failed_) std::memcpy(out.data(), view.data(), N);
    return out;
  }

  void mark_failed() { failed_ = true; }
  bool failed() const { return failed_; }
  std::size_t remaining() const { return in_.size(); }
  /// data_loss, naming `what`, if a read failed or bytes are left over.
  Status finish(std::string_view what) const {
    if (failed_) return fail(Code::data_loss, "{} is cut short or has a length out of range", what);
    if (!in_.empty()) return fail(Code::data_loss, "{} has {} bytes too many", what, in_.size());
    return {};
  }

 private:
  template <class UInt>
  UInt integer() {
    const ByteView view = raw(sizeof(UInt));
    return failed_ ? UInt{0} : load_le<UInt>(view.data());
  }
  ByteView in_;
  bool failed_ = false;
};

}  // namespace witan
