// Hash functions (FIPS 180-4, FIPS 202, Keccak as Ethereum uses it) and the tagged hashes of responses.md 1.
#pragma once

#include <memory>
#include <span>

#include "base/bytes.h"

namespace witan::crypto {

using Digest = ByteArray<32>;

/// Domain separator of a hash or signature: exactly eight ASCII characters. All of them: crypto/separators.h.
class Separator {
 public:
  consteval explicit Separator(const char (&text)[9]) {
    for (std::size_t i = 0; i < 8; ++i) text_[i] = static_cast<std::uint8_t>(text[i]);
  }
  ByteView view() const { return text_; }

 private:
  ByteArray<8> text_{};
};

Digest sha256(ByteView data);
ByteArray<64> sha512(ByteView data);
Digest sha3_256(ByteView data);
Digest keccak256(ByteView data);
Bytes shake256(ByteView data, std::size_t output_bytes);
Bytes shake128(ByteView data, std::size_t output_bytes);

class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;
  Sha256& update(ByteView data);
  /// Once.
  Digest finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

class Shake256 {
 public:
  Shake256();
  explicit Shake256(Separator separator) : Shake256() { update(separator.view()); }
  ~Shake256();
  Shake256(Shake256&&) noexcept;
  Shake256& operator=(Shake256&&) noexcept;
  Shake256& update(ByteView data);
  /// Once.
  void finish(MutableByteView out);
  Digest finish() {
    Digest out;
    finish(out);
    return out;
  }

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// H(dsep, m) = SHAKE256(dsep || m), 32 bytes.
Digest tagged_hash(Separator separator, ByteView message);

/// HL(dsep, items, n) = SHAKE256("HASH_LST" || dsep || u64(count) || item_0 || item_1 ...), n bytes; items without lengths.
Bytes list_hash(Separator separator, std::span<const ByteView> items, std::size_t output_bytes);

}  // namespace witan::crypto
