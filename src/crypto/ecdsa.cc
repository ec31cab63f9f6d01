#include "crypto/ecdsa.h"

#include <secp256k1.h>
#include <secp256k1_recovery.h>

#include <algorithm>

#include "base/check.h"
#include "base/codec.h"

namespace witan::crypto {
namespace {

/// Verification and signing share one immutable context; libsecp256k1 needs no more.
const secp256k1_context* context() {
  static const secp256k1_context* const value =
      secp256k1_context_create(SECP256K1_CONTEXT_SIGN | SECP256K1_CONTEXT_VERIFY);  // NOLINT: the bits are equal
  return value;
}

secp256k1_pubkey point_of(const ByteArray<33>& compressed) {
  secp256k1_pubkey point;
  WITAN_CHECK(secp256k1_ec_pubkey_parse(context(), &point, compressed.data(), compressed.size()) == 1);
  return point;
}

ByteArray<33> compress(const secp256k1_pubkey& point) {
  ByteArray<33> out;
  std::size_t size = out.size();
  WITAN_CHECK(secp256k1_ec_pubkey_serialize(context(), out.data(), &size, &point, SECP256K1_EC_COMPRESSED) == 1);
  return out;
}

Digest internal_digest(Separator separator, ByteView message) {
  return Sha256().update(separator.view()).update(message).finish();
}

std::string checksummed(const ByteArray<20>& bytes) {
  std::string digits = to_hex(bytes);
  const Digest hash = keccak256(as_bytes(digits));
  for (std::size_t i = 0; i < digits.size(); ++i) {
    const int nibble = i % 2 == 0 ? hash[i / 2] >> 4 : hash[i / 2] & 15;
    if (nibble >= 8 && digits[i] >= 'a') digits[i] = static_cast<char>(digits[i] - 'a' + 'A');
  }
  return "0x" + digits;
}

}  // namespace

std::string Address::text() const {
  return checksummed(bytes);
}

Result<Address> Address::parse(std::string_view text) {
  if (!text.starts_with("0x") || text.size() != 42)
    return fail(Code::invalid_argument, "an address is 0x and 40 hexadecimal digits, not '{}'", text.substr(0, 64));
  WITAN_ASSIGN(const Bytes raw, from_hex(text.substr(2)));
  Address out;
  std::ranges::copy(raw, out.bytes.begin());
  if (out.text() != text)
    return fail(Code::invalid_argument, "the address {} has a wrong EIP-55 checksum; right is {}", text, out.text());
  return out;
}

Result<VerifyingKey> VerifyingKey::parse(ByteView sec1) {
  secp256k1_pubkey point;
  // libsecp256k1 also takes hybrid points (first byte 06 or 07): a second encoding of the same key, refused.
  const bool compressed = sec1.size() == 33, uncompressed = sec1.size() == 65 && sec1[0] == 4;
  if ((!compressed && !uncompressed) || secp256k1_ec_pubkey_parse(context(), &point, sec1.data(), sec1.size()) != 1)
    return fail(Code::invalid_argument, "not a secp256k1 public key of 33 or 65 bytes ({} bytes)", sec1.size());
  return VerifyingKey(compress(point));
}

Result<VerifyingKey> VerifyingKey::parse_bincode(ByteView bytes) {
  Reader reader(bytes);
  const ByteView key = reader.bytes(65);
  if (!reader.finish("verification key"))
    return fail(Code::invalid_argument, "not a bincode verification key ({} bytes)", bytes.size());
  return parse(key);
}

ByteArray<65> VerifyingKey::uncompressed() const {
  const secp256k1_pubkey point = point_of(compressed_);
  ByteArray<65> out;
  std::size_t size = out.size();
  WITAN_CHECK(secp256k1_ec_pubkey_serialize(context(), out.data(), &size, &point, SECP256K1_EC_UNCOMPRESSED) == 1);
  return out;
}

Bytes VerifyingKey::bincode() const {
  return Writer().bytes(compressed_).take();
}

Bytes VerifyingKey::stored() const {
  return safe_serialize("PublicSigKey", Writer().u32(0).bytes(compressed_).view());
}

Result<VerifyingKey> VerifyingKey::parse_stored(ByteView bytes) {
  WITAN_ASSIGN(const Bytes body, safe_deserialize("PublicSigKey", bytes));
  Reader reader(body);
  if (reader.u32() != 0) return fail(Code::invalid_argument, "PublicSigKey has an unknown version");
  return parse_bincode(reader.raw(reader.remaining()));
}

Address VerifyingKey::address() const {
  const ByteArray<65> point = uncompressed();
  const Digest hash = keccak256(ByteView(point).subspan(1));
  Address out;
  std::copy_n(hash.begin() + 12, 20, out.bytes.begin());
  return out;
}

Result<SigningKey> SigningKey::parse(ByteView scalar) {
  secp256k1_pubkey point;
  if (scalar.size() != 32 || secp256k1_ec_pubkey_create(context(), &point, scalar.data()) != 1)
    return fail(Code::invalid_argument, "not a secp256k1 secret key of 32 bytes");
  Secret<ByteArray<32>> copy;
  std::ranges::copy(scalar, copy.reveal_mutable().begin());
  return SigningKey(std::move(copy), VerifyingKey(compress(point)));
}

SigningKey SigningKey::generate(Rng& rng) {
  for (;;) {
    Secret<ByteArray<32>> candidate;
    rng.fill(candidate.reveal_mutable());
    if (auto key = parse(candidate.reveal())) return *std::move(key);
  }
}

Secret<Bytes> SigningKey::bincode() const {
  return Secret<Bytes>(Writer().u64(32).raw(scalar_.reveal()).take());
}

Result<SigningKey> SigningKey::parse_bincode(ByteView bytes) {
  Reader reader(bytes);
  const ByteView scalar = reader.bytes(32);
  if (!reader.finish("signing key"))
    return fail(Code::invalid_argument, "not a bincode signing key ({} bytes)", bytes.size());
  return parse(scalar);
}

Secret<Bytes> SigningKey::stored() const {
  Writer body;
  body.u32(0).u64(32).raw(scalar_.reveal());
  Secret<Bytes> plain(body.take());
  return Secret<Bytes>(safe_serialize("PrivateSigKey", plain.reveal()));
}

Result<SigningKey> SigningKey::parse_stored(ByteView bytes) {
  WITAN_ASSIGN(Bytes plain, safe_deserialize("PrivateSigKey", bytes));
  const Secret<Bytes> body(std::move(plain));
  Reader reader(body.reveal());
  const std::uint32_t version = reader.u32();
  const ByteView scalar = reader.bytes(32);
  if (version != 0 || !reader.finish("PrivateSigKey"))
    return fail(Code::invalid_argument, "PrivateSigKey has an unknown version or a wrong length");
  return parse(scalar);
}

InternalSignature SigningKey::sign_internal(Separator separator, ByteView message) const {
  const Digest digest = internal_digest(separator, message);
  secp256k1_ecdsa_signature signature;
  WITAN_CHECK(secp256k1_ecdsa_sign(context(), &signature, digest.data(), scalar_.reveal().data(), nullptr, nullptr) ==
              1);
  InternalSignature out;
  secp256k1_ecdsa_signature_serialize_compact(context(), out.data(), &signature);
  return out;
}

ExternalSignature SigningKey::sign_digest(const Digest& digest) const {
  secp256k1_ecdsa_recoverable_signature signature;
  WITAN_CHECK(secp256k1_ecdsa_sign_recoverable(context(), &signature, digest.data(), scalar_.reveal().data(), nullptr,
                                               nullptr) == 1);
  ExternalSignature out;
  int parity = 0;
  secp256k1_ecdsa_recoverable_signature_serialize_compact(context(), out.data(), &parity, &signature);
  WITAN_CHECK(parity == 0 || parity == 1);  // 2 and 3 need an x coordinate above the group order
  out[64] = static_cast<std::uint8_t>(27 + parity);
  return out;
}

bool verify_digest(const VerifyingKey& key, const Digest& digest, ByteView signature) {
  secp256k1_ecdsa_signature parsed;
  if (signature.size() != 64 || secp256k1_ecdsa_signature_parse_compact(context(), &parsed, signature.data()) != 1)
    return false;
  const secp256k1_pubkey point = point_of(key.compressed());
  return secp256k1_ecdsa_verify(context(), &parsed, digest.data(), &point) == 1;  // refuses high s
}

bool verify_internal(const VerifyingKey& key, Separator separator, ByteView message, ByteView signature) {
  return verify_digest(key, internal_digest(separator, message), signature);
}

Result<VerifyingKey> recover_key(const Digest& digest, ByteView signature) {
  if (signature.size() != 65)
    return fail(Code::invalid_argument, "an external signature has 65 bytes, not {}", signature.size());
  const int v = signature[64];
  if (v != 27 && v != 28) return fail(Code::invalid_argument, "v of an external signature is 27 or 28, not {}", v);
  secp256k1_ecdsa_signature plain;
  secp256k1_ecdsa_recoverable_signature parsed;
  secp256k1_pubkey point;
  if (secp256k1_ecdsa_signature_parse_compact(context(), &plain, signature.data()) != 1 ||
      secp256k1_ecdsa_signature_normalize(context(), nullptr, &plain) == 1)
    return fail(Code::invalid_argument, "the external signature has a scalar out of range or a high s");
  if (secp256k1_ecdsa_recoverable_signature_parse_compact(context(), &parsed, signature.data(), v - 27) != 1 ||
      secp256k1_ecdsa_recover(context(), &point, &parsed, digest.data()) != 1)
    return fail(Code::invalid_argument, "the external signature recovers to no key");
  return VerifyingKey(compress(point));
}

Result<Address> recover_address(const Digest& digest, ByteView signature) {
  WITAN_ASSIGN(const VerifyingKey key, recover_key(digest, signature));
  return key.address();
}

Bytes safe_serialize(std::string_view type_name, ByteView body) {
  Writer writer;
  writer.text("0.5");
  writer.u32(0);
  writer.text("0.1");
  writer.text(type_name);
  return writer.raw(body).take();
}

Result<Bytes> safe_deserialize(std::string_view type_name, ByteView bytes) {
  const Bytes header = safe_serialize(type_name, {});
  if (bytes.size() < header.size() || !std::equal(header.begin(), header.end(), bytes.begin()))
    return fail(Code::invalid_argument, "not a safe-serialized {}", type_name);
  return Bytes(bytes.begin() + static_cast<std::ptrdiff_t>(header.size()), bytes.end());
}

}  // namespace witan::crypto
