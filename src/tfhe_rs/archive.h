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

/// Gives the bytes of an object from front to back, e.g. of a file: a large object is parsed without its bytes beside it.
class Source {
 public:
  virtual ~Source() = default;
  /// Of the whole object; what count() checks against.
  virtual std::uint64_t size_bytes() const = 0;
  /// Fills at most out.size() bytes and returns how many; 0 at the end.
  virtual Result<std::size_t> read(MutableByteView out) = 0;
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
  /// Reads ahead at most kBufferBytes.
  explicit ReadArchive(Source& source)
      : source_(&source), unread_(static_cast<std::size_t>(source.size_bytes())), buffer_(kBufferBytes) {}

  const FormatOptions& options() const { return options_; }
  bool ok() const { return status_.has_value(); }
  const Status& status() const { return status_; }
  std::size_t remaining() const { return in_.size() + unread_; }
  /// "DataKind 0, ...": each type that came in an older version than the one we write.
  const std::vector<std::string>& old_versions() const { return old_versions_; }

  template <class... Args>
  void error(fmt::format_string<Args...> format, Args&&... args) {
    if (!status_) return;
    stop(fail(Code::invalid_argument, "{}: {}", where_, fmt::format(format, std::forward<Args>(args)...)));
  }

  template <class T>
    requires std::is_arithmetic_v<T> || std::same_as<T, u128>
  void primitive(T& value) {
    value = T{};
    if (remaining() < sizeof value)
      return error("the object is cut short: {} bytes are left, {} are needed", remaining(), sizeof value);
    take({reinterpret_cast<std::uint8_t*>(&value), sizeof value});
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
    if (ok() && items > remaining() / min_bytes)
      error("a list claims {} items of at least {} bytes, but {} bytes are left", items, min_bytes, remaining());
    return ok() ? items : 0;
  }
  template <class W>
  void words(std::vector<W>& values) {
    values.resize(count(sizeof(W)));
    take({reinterpret_cast<std::uint8_t*>(values.data()), values.size() * sizeof(W)});
  }
  /// At most `max_bytes`; what is no printable ASCII becomes '?', which no name of the format has.
  void text(std::string& value, std::size_t max_bytes) {
    const std::uint64_t size = count(1);
    value.clear();
    if (size > max_bytes) return error("a name has {} bytes, at most {} are expected", size, max_bytes);
    value.resize(size);
    take({reinterpret_cast<std::uint8_t*>(value.data()), value.size()});
    for (char& c : value)
      if (c < 0x20 || c > 0x7e) c = '?';
  }

 private:
  static constexpr std::size_t kBufferBytes = 1 << 16;

  void stop(std::unexpected<Error> why) {
    status_ = std::move(why);
    in_ = {};
    unread_ = 0;
  }
  /// The next bytes, of which there are enough if the source holds what it says; zeros after an error.
  void take(MutableByteView out) {
    const std::size_t held = std::min(out.size(), in_.size());
    if (held > 0) std::memcpy(out.data(), in_.data(), held);
    in_ = in_.subspan(held);
    out = out.subspan(held);
    while (!out.empty() && unread_ > 0) {
      const bool direct = out.size() >= kBufferBytes;  // a long list goes to its place at once
      const MutableByteView target = direct ? out : MutableByteView(buffer_);
      auto count = source_->read(target.first(std::min(target.size(), unread_)));
      if (!count) return stop(fail(std::move(count).error()));
      if (*count == 0) return error("the object is cut short: {} bytes are left, none came", unread_);
      unread_ -= *count;
      if (direct) {
        out = out.subspan(*count);
        continue;
      }
      const std::size_t size = std::min(out.size(), *count);
      std::memcpy(out.data(), buffer_.data(), size);
      in_ = ByteView(buffer_).subspan(size, *count - size);
      out = out.subspan(size);
    }
    if (!out.empty()) std::memset(out.data(), 0, out.size());
  }
  void note_old_version(std::uint32_t tag) {
    std::string text = fmt::format("{} {}", where_, tag);
    if (std::ranges::find(old_versions_, text) == old_versions_.end()) old_versions_.push_back(std::move(text));
  }

  ByteView in_;  // what is in memory of the rest: of the caller's bytes, or of buffer_
  Source* source_ = nullptr;
  std::size_t unread_ = 0;  // what the source still has
  Bytes buffer_;
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
