// The mask stream of tfhe-rs objects (tfhe-formats.md 11): byte p is byte p mod 16 of
// AES-128(key, LE128(offset + floor(p / 16))). Any range can be read on its own.
#pragma once

#include "crypto/aes.h"

namespace witan::crypto {

class AesStream {
 public:
  explicit AesStream(const ByteArray<16>& key, u128 offset = 0) : aes_(key), offset_(offset) {}

  /// Stream bytes position .. position + out.size(). Several threads may read at once.
  void read(u128 position, MutableByteView out) const;

 private:
  Aes128 aes_;
  u128 offset_;
};

/// Key and offset of the stream that a byte string (8 bytes of separator, then a seed) stands for: CBC-MAC of the
/// zero-padded string and its bit length under the all-zero key; the last block is the key, the one before the offset.
struct XofStream {
  ByteArray<16> key;
  u128 offset = 0;
};
XofStream derive_xof_stream(ByteView data);

}  // namespace witan::crypto
