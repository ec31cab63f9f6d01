// Primitive encoding of tfhe-rs objects (tfhe-formats.md 1-3). One visitor per type, `serde(ar, value)`, drives three
// archives, so that reading, writing and measuring cannot drift apart:
//
//   ReadArchive   strict and bounded: every count is checked against what is left before memory is spent; sticks at the
//                 first error, whose message begins with the type that was entered last
//   WriteArchive  streams into a Sink; nothing is held twice
//   SizeArchive   counts
#pragma once

#include <algorithm>
#include <concepts>
#include <cstring>
#include <initializer_list>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/check.h"
#include "base/secret.h"

namespace witan::tfhe_rs {

/// Receives the bytes of an object piece by piece: a file, a hash, a buffer.
class Sink {
 public:
  virtual ~Sink() = default;
  virtual Status write(ByteView piece) = 0;
};

class BufferSink final : public Sink {
 public:
  BufferSink() = default;
  /// Reserves at once, so that nothing moves while it grows.
  explicit BufferSink(std::size_t size_bytes) { bytes_.reserve(size_bytes); }
  Status write(ByteView piece) override {
    append(bytes_, piece);
    return {};
  }
  Bytes take() { return std::move(bytes_); }

 private:
  Bytes bytes_;
};

/// Options of the format that are no part of a value.
struct FormatOptions {
  /// Version tag written for ExpansionKind (tfhe-formats.md 9.2): 0 is read by every client from 1.3 on, 1 is what 1.7
  /// writes.
  std::uint32_t expansion_tag = 1;
};

class ReadArchive {
 public:
  static constexpr bool kReading = true;
  explicit ReadArchive(ByteView in) : in_(in) {}

  const FormatOptions& options() const { return options_; }
  bool ok() const { return status_.has_value(); }
  const Status& status() const { return status_; }
  std::size_t remaining() const { return in_.size(); }
  /// "DataKind 0, ...": each type that came in an older version than the one we write.
  const std::vector<std::string>& old_versions() const { return old_versions_; }

  template <class... Args>
  void error(fmt::format_string<Args...> format, Args&&... args) {
    if (!status_) return;
    status_ = fail(Code::invalid_argument, "{}: {}", where_, fmt::format(format, std::forward<Args>(args)...));
    in_ = {};
  }

  template <class T>
    requires std::is_arithmetic_v<T> || std::same_as<T, u128>
  void primitive(T& value) {
    value = T{};
    if (in_.size() < sizeof value)
      return error("the object is cut short: {} bytes are left, {} are needed", in_.size(), sizeof value);
    std::memcpy(&value, in_.data(), sizeof value);
    in_ = in_.subspan(sizeof value);
  }
  void boolean(bool& value) {
    std::uint8_t byte = 0;
    primitive(byte);
    if (byte > 1) error("a bool or Option has the byte {}, expected 0 or 1", byte);
    value = byte == 1;
  }
  /// Version tag of a type; returns what was found, which is one of `known` (newest first).
  std::uint32_t version(const char* type, std::initializer_list<std::uint32_t> known) {
    where_ = type;
    const std::uint32_t tag = leaf_version(known);
    if (ok() && tag != *known.begin()) note_old_version(tag);
    return tag;
  }
  /// The same for a nameless part of the present type.
  std::uint32_t leaf_version(std::initializer_list<std::uint32_t> known) {
    std::uint32_t tag = 0;
    primitive(tag);
    if (ok() && std::ranges::find(known, tag) == known.end())
      error("version tag {} is not supported, the newest known is {}", tag, *known.begin());
    return ok() ? tag : *known.begin();
  }
  /// Variant index below `count`.
  void variant(std::uint32_t& index, std::uint32_t count) {
    primitive(index);
    if (index >= count) error("variant {} is not known, there are 0 to {}", index, count - 1), index = 0;
  }
  /// The one variant that we support; `refused` names the others.
  void only_variant(std::uint32_t expected, const char* refused) {
    std::uint32_t index = 0;
    primitive(index);
    if (index != expected) error("{} is not supported (variant {}, expected {})", refused, index, expected);
  }
  /// u64 count of items of at least `min_bytes` each.
  std::uint64_t count(std::uint64_t min_bytes) {
    std::uint64_t items = 0;
    primitive(items);
    if (ok() && items > in_.size() / min_bytes)
      error("a list claims {} items of at least {} bytes, but {} bytes are left", items, min_bytes, in_.size());
    return ok() ? items : 0;
  }
  template <class W>
  void words(std::vector<W>& values) {
    values.resize(count(sizeof(W)));
    if (!values.empty()) std::memcpy(values.data(), in_.data(), values.size() * sizeof(W));
    in_ = in_.subspan(values.size() * sizeof(W));
  }
  /// At most `max_bytes`; what is no printable ASCII becomes '?', which no name of the format has.
  void text(std::string& value, std::size_t max_bytes) {
    const std::uint64_t size = count(1);
    value.clear();
    if (size > max_bytes) return error("a name has {} bytes, at most {} are expected", size, max_bytes);
    for (const std::uint8_t byte : in_.first(size))
      value.push_back(byte >= 0x20 && byte < 0x7f ? static_cast<char>(byte) : '?');
    in_ = in_.subspan(size);
  }

 private:
  void note_old_version(std::uint32_t tag) {
    std::string text = fmt::format("{} {}", where_, tag);
    if (std::ranges::find(old_versions_, text) == old_versions_.end()) old_versions_.push_back(std::move(text));
  }

  ByteView in_;
  Status status_;
  const char* where_ = "the envelope";
  std::vector<std::string> old_versions_;
  FormatOptions options_;
};

class WriteArchive {
 public:
  static constexpr bool kReading = false;
  WriteArchive(Sink& sink, FormatOptions options) : sink_(sink), options_(options), buffer_(kBufferBytes) {}
  /// What passed through may have been a secret key.
  ~WriteArchive() { wipe(buffer_.data(), buffer_.size()); }
  WriteArchive(const WriteArchive&) = delete;
  WriteArchive& operator=(const WriteArchive&) = delete;

  const FormatOptions& options() const { return options_; }
  bool ok() const { return status_.has_value(); }
  /// Hands over what is still buffered. Call once at the end.
  Status finish() {
    flush();
    return status_;
  }
  /// The value cannot be written: a mistake of the caller.
  template <class... Args>
  void error(fmt::format_string<Args...> format, Args&&... args) {
    if (status_) status_ = fail(Code::internal, format, std::forward<Args>(args)...);
  }

  template <class T>
    requires std::is_arithmetic_v<T> || std::same_as<T, u128>
  void primitive(const T& value) {
    raw({reinterpret_cast<const std::uint8_t*>(&value), sizeof value});
  }
  void boolean(bool value) { primitive<std::uint8_t>(value ? 1 : 0); }
  /// Writes the first of `known`: the newest.
  std::uint32_t version(const char*, std::initializer_list<std::uint32_t> known) { return leaf_version(known); }
  std::uint32_t leaf_version(std::initializer_list<std::uint32_t> known) {
    primitive(*known.begin());
    return *known.begin();
  }
  void variant(const std::uint32_t& index, std::uint32_t count) {
    WITAN_CHECK(index < count);
    primitive(index);
  }
  void only_variant(std::uint32_t expected, const char*) { primitive(expected); }
  void count(std::uint64_t items) { primitive(items); }
  template <class W>
  void words(const std::vector<W>& values) {
    count(values.size());
    raw({reinterpret_cast<const std::uint8_t*>(values.data()), values.size() * sizeof(W)});
  }
  void text(std::string_view value) {
    count(value.size());
    raw(as_bytes(value));
  }

 private:
  static constexpr std::size_t kBufferBytes = 1 << 16;
  void raw(ByteView bytes) {
    if (used_ + bytes.size() > kBufferBytes) flush();
    if (bytes.size() > kBufferBytes) {
      if (status_) status_ = sink_.write(bytes);
    } else if (!bytes.empty()) {
      std::memcpy(buffer_.data() + used_, bytes.data(), bytes.size());
      used_ += bytes.size();
    }
  }
  void flush() {
    if (status_ && used_ != 0) status_ = sink_.write(ByteView(buffer_).first(used_));
    used_ = 0;
  }

  Sink& sink_;
  FormatOptions options_;
  Status status_;
  Bytes buffer_;
  std::size_t used_ = 0;
};

class SizeArchive {
 public:
  static constexpr bool kReading = false;
  const FormatOptions& options() const { return options_; }
  bool ok() const { return true; }
  std::uint64_t size() const { return size_; }
  template <class... Args>
  void error(fmt::format_string<Args...>, Args&&...) {}
  template <class T>
  void primitive(const T&) {
    size_ += sizeof(T);
  }
  void boolean(bool) { ++size_; }
  std::uint32_t version(const char*, std::initializer_list<std::uint32_t> known) { return leaf_version(known); }
  std::uint32_t leaf_version(std::initializer_list<std::uint32_t> known) {
    size_ += sizeof(std::uint32_t);
    return *known.begin();
  }
  void variant(const std::uint32_t&, std::uint32_t) { size_ += sizeof(std::uint32_t); }
  void only_variant(std::uint32_t, const char*) { size_ += sizeof(std::uint32_t); }
  void count(std::uint64_t) { size_ += sizeof(std::uint64_t); }
  template <class W>
  void words(const std::vector<W>& values) {
    size_ += sizeof(std::uint64_t) + values.size() * sizeof(W);
  }
  void text(std::string_view value) { size_ += sizeof(std::uint64_t) + value.size(); }

 private:
  std::uint64_t size_ = 0;
  FormatOptions options_;
};

/// What may follow the object in its bytes (tfhe-formats.md 18.5): tfhe-rs ignores it; our own stored objects have
/// nothing.
enum class Trailing : std::uint8_t { reject, ignore };

}  // namespace witan::tfhe_rs
