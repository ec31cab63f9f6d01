// The derived Ed25519 key of a node (responses.md 2.3): seed = H("SIGKDERV", u32 scheme || 0x01 || secret key).
#pragma once

#include "crypto/ecdsa.h"

namespace witan::crypto {

/// SigningSchemeType numbers.
enum class Scheme : std::uint32_t { ecdsa_256k1 = 0, ed25519 = 1, mldsa44 = 2, mldsa65 = 3, mldsa87 = 4 };

Secret<ByteArray<32>> derived_seed(const SigningKey& key, Scheme scheme);

class Ed25519Key {
 public:
  static Ed25519Key derive(const SigningKey& key);
  explicit Ed25519Key(Secret<ByteArray<32>> seed);

  const ByteArray<32>& public_key() const { return public_key_; }
  /// RFC 8032 over separator || message.
  ByteArray<64> sign(Separator separator, ByteView message) const;
  /// RFC 8032 over the message alone.
  ByteArray<64> sign_raw(ByteView message) const;

 private:
  Secret<ByteArray<32>> seed_;
  ByteArray<32> public_key_{};
};

/// RFC 8032, strictly: canonical S, neither the key nor R of small order, 64 bytes (responses.md 2.3).
bool verify_ed25519(const ByteArray<32>& public_key, ByteView message, ByteView signature);

}  // namespace witan::crypto
