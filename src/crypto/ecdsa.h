// A node's identity: secp256k1 signatures in the two forms of responses.md 3, keys and addresses of responses.md 2.1.
#pragma once

#include <compare>
#include <string>
#include <string_view>

#include "base/rng.h"
#include "base/secret.h"
#include "crypto/hash.h"

namespace witan::crypto {

using InternalSignature = ByteArray<64>;  // r || s, big endian, low s
using ExternalSignature = ByteArray<65>;  // r || s || v, v = 27 + parity of R.y

/// Ethereum address: last 20 bytes of Keccak-256(X || Y).
struct Address {
  ByteArray<20> bytes{};

  /// "0x" and 40 digits with the EIP-55 checksum.
  std::string text() const;
  /// Needs "0x" and the right checksum. Error: invalid_argument.
  static Result<Address> parse(std::string_view text);
  friend auto operator<=>(const Address&, const Address&) = default;
};

/// A point, kept as its 33-byte compressed form; valid by construction.
class VerifyingKey {
 public:
  /// SEC1 compressed (33 bytes) or uncompressed (65 bytes, first byte 04). Error: invalid_argument.
  static Result<VerifyingKey> parse(ByteView sec1);
  /// `u64 33 || compressed`, what every verification_key field carries. Error: invalid_argument.
  static Result<VerifyingKey> parse_bincode(ByteView bytes);

  const ByteArray<33>& compressed() const { return compressed_; }
  ByteArray<65> uncompressed() const;
  Bytes bincode() const;
  /// safe("PublicSigKey").
  Bytes stored() const;
  static Result<VerifyingKey> parse_stored(ByteView bytes);
  Address address() const;
  friend bool operator==(const VerifyingKey&, const VerifyingKey&) = default;

 private:
  friend class SigningKey;
  friend Result<VerifyingKey> recover_key(const Digest& digest, ByteView signature);
  explicit VerifyingKey(const ByteArray<33>& compressed) : compressed_(compressed) {}
  ByteArray<33> compressed_;
};

class SigningKey {
 public:
  static SigningKey generate(Rng& rng);
  /// 32 bytes big endian, 1 <= key < n. Error: invalid_argument.
  static Result<SigningKey> parse(ByteView scalar);
  /// `u64 32 || key`. Error: invalid_argument.
  static Result<SigningKey> parse_bincode(ByteView bytes);
  Secret<Bytes> bincode() const;
  /// safe("PrivateSigKey"). Error: invalid_argument.
  static Result<SigningKey> parse_stored(ByteView bytes);
  Secret<Bytes> stored() const;

  const VerifyingKey& verifying_key() const { return verifying_key_; }
  Address address() const { return verifying_key_.address(); }

  /// ECDSA over SHA-256(separator || message), RFC 6979.
  InternalSignature sign_internal(Separator separator, ByteView message) const;
  /// ECDSA over the digest itself (EIP-712), RFC 6979.
  ExternalSignature sign_digest(const Digest& digest) const;

  /// For deriving other keys (crypto/ed25519.h, crypto/x509.h).
  const ByteArray<32>& reveal() const { return scalar_.reveal(); }

 private:
  SigningKey(Secret<ByteArray<32>> scalar, VerifyingKey key) : scalar_(std::move(scalar)), verifying_key_(key) {}
  Secret<ByteArray<32>> scalar_;
  VerifyingKey verifying_key_;
};

/// Exactly 64 bytes r || s, low s.
bool verify_digest(const VerifyingKey& key, const Digest& digest, ByteView signature);
bool verify_internal(const VerifyingKey& key, Separator separator, ByteView message, ByteView signature);

/// Exactly 65 bytes, v 27 or 28, low s. Error: invalid_argument.
Result<VerifyingKey> recover_key(const Digest& digest, ByteView signature);
Result<Address> recover_address(const Digest& digest, ByteView signature);

/// `str("0.5") || u32 0 || str("0.1") || str(type name) || body` (responses.md 1).
Bytes safe_serialize(std::string_view type_name, ByteView body);
/// The body. Error: invalid_argument, naming what was expected.
Result<Bytes> safe_deserialize(std::string_view type_name, ByteView bytes);

}  // namespace witan::crypto
