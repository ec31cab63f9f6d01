// Primitive encoding of tfhe-rs objects (tfhe-formats.md 1-3). One visitor per type, `serde(ar, value)`, drives three archives:
//
//   ReadArchive   strict and bounded: every count is checked against what is left before memory is spent; sticks at the
//                 first error, which names the path to it
//   WriteArchive  streams into a Sink; nothing is held twice
//   SizeArchive   counts
#pragma once

#include <algorithm>
#include <concepts>
#include <cstring>
#include <initializer_list>
#include <limits>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/check.h"

namespace witan::tfhe_rs {

/// Receives the bytes of an object piece by piece: a file, a hash, a buffer.
class Sink {
 public:
  virtual ~Sink() = default;
  virtual Status write(ByteView piece) = 0;
};

class BufferSink final : public Sink {
 public:
  Status write(ByteView piece) override {
    append(bytes_, piece);
    return {};
  }
  Bytes take() { return std::move(bytes_); }

 private:
  Bytes bytes_;
};

/// What all archives share: the path to the present field, for messages, and options of the format.
class ArchiveBase {
 public:
  /// Tag written for ExpansionKind (tfhe-formats.md 9.2): 0 is read by every client from 1.3 on, 1 is what 1.7 writes.
  std::uint32_t expansion_tag = 1;

 protected:
  Status status_;
};

class ReadArchive : public ArchiveBase {
 public:
  static constexpr bool kReading = true;
  explicit ReadArchive(ByteView in) : in_(in) {}

  bool ok() const { return status_.has_value(); }
  const Status& status() const { return status_; }
  std::size_t remaining() const { return in_.size(); }

  template <class... Args>
  void error(fmt::format_string<Args...> format, Args&&... args) {
    if (!status_) return;
    status_ = fail(Code::invalid_argument, format, std::forward<Args>(args)...);
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
    if (byte > 1) error("a bool or Option has the byte {}", byte);
    value = byte == 1;
  }
  /// Version tag; returns what was found, which is one of `known`.
  std::uint32_t version(const char* type, std::initializer_list<std::uint32_t> known) {
    std::uint32_t tag = 0;
    primitive(tag);
    if (ok() && std::find(known.begin(), known.end(), tag) == known.end())
      error("{} has the version tag {}, which is not supported", type, tag);
    return ok() ? tag : *known.begin();
  }
  /// Variant index below `count`.
  void variant(const char* type, std::uint32_t& index, std::uint32_t count) {
    primitive(index);
    if (index >= count) error("{} has the variant {}, known are 0..{}", type, index, count - 1), index = 0;
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
  void text(std::string& value) {
    Bytes raw;
    words(raw);
    value.assign(raw.begin(), raw.end());
  }

 private:
  ByteView in_;
};

class WriteArchive : public ArchiveBase {
 public:
  static constexpr bool kReading = false;
  explicit WriteArchive(Sink& sink) : sink_(sink) { buffer_.reserve(kBufferBytes); }

  bool ok() const { return status_.has_value(); }
  /// Hands over what is still buffered. Call once at the end.
  Status finish() {
    flush();
    return status_;
  }
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
  std::uint32_t version(const char*, std::initializer_list<std::uint32_t> known) {
    primitive(*known.begin());
    return *known.begin();
  }
  void variant(const char*, const std::uint32_t& index, std::uint32_t count) {
    WITAN_CHECK(index < count);
    primitive(index);
  }
  template <class W>
  void words(const std::vector<W>& values) {
    primitive<std::uint64_t>(values.size());
    raw({reinterpret_cast<const std::uint8_t*>(values.data()), values.size() * sizeof(W)});
  }
  void text(const std::string& value) {
    primitive<std::uint64_t>(value.size());
    raw(as_bytes(value));
  }

 private:
  static constexpr std::size_t kBufferBytes = 1 << 16;
  void raw(ByteView bytes) {
    if (buffer_.size() + bytes.size() > kBufferBytes) flush();
    if (bytes.size() >= kBufferBytes) {
      if (status_) status_ = sink_.write(bytes);
    } else {
      append(buffer_, bytes);
    }
  }
  void flush() {
    if (status_ && !buffer_.empty()) status_ = sink_.write(buffer_);
    buffer_.clear();
  }
  Sink& sink_;
  Bytes buffer_;
};

class SizeArchive : public ArchiveBase {
 public:
  static constexpr bool kReading = false;
  bool ok() const { return true; }
  std::uint64_t size() const { return size_; }
  template <class... Args>
  void error(fmt::format_string<Args...>, Args&&...) {}
  template <class T>
  void primitive(const T&) {
    size_ += sizeof(T);
  }
  void boolean(bool) { ++size_; }
  std::uint32_t version(const char*, std::initializer_list<std::uint32_t> known) {
    size_ += 4;
    return *known.begin();
  }
  void variant(const char*, const std::uint32_t&, std::uint32_t) { size_ += 4; }
  template <class W>
  void words(const std::vector<W>& values) {
    size_ += 8 + values.size() * sizeof(W);
  }
  void text(const std::string& value) { size_ += 8 + value.size(); }

 private:
  std::uint64_t size_ = 0;
};

/// What follows the object in its bytes (tfhe-formats.md 18.5): tfhe-rs ignores it; our own stored objects have nothing.
enum class Trailing : std::uint8_t { reject, ignore };

}  // namespace witan::tfhe_rs
