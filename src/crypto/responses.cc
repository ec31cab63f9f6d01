#include "crypto/responses.h"

#include <algorithm>

#include "base/codec.h"
#include "crypto/separators.h"

namespace witan::crypto {
namespace {

/// PubDataType numbers of responses.md 2.4.
std::uint32_t public_data_type(KeyDigestType type) {
  switch (type) {
    case KeyDigestType::server_key:
      return 0;
    case KeyDigestType::public_key:
      return 1;
    case KeyDigestType::compressed_key_set:
      return 9;
  }
  return 0;
}

/// Bytes of a plaintext of the types that are decrypted (responses.md 5, tfhe-formats.md 19); 0 for any other type.
std::size_t plaintext_size(std::int32_t fhe_type) {
  switch (fhe_type) {
    case 0:  // Bool
    case 2:  // Uint8
      return 1;
    case 3:
      return 2;
    case 4:
      return 4;
    case 5:
      return 8;
    case 6:
      return 16;
    case 7:  // Uint160
      return 20;
    case 8:
      return 32;
    default:
      return 0;
  }
}

Result<Digest> external_digest(const PublicDecryptionContext& context, const std::vector<Plaintext>& plaintexts) {
  WITAN_ASSIGN(const Bytes result, decrypted_result(plaintexts));
  return eip712_digest(context.domain, public_decrypt_verification(context.handles, result, context.extra_data));
}

}  // namespace

Bytes public_decryption_payload(const VerifyingKey& key, const std::vector<Plaintext>& plaintexts,
                                std::string_view request_id_text) {
  Writer writer;
  writer.bytes(key.bincode()).u64(plaintexts.size());
  for (const Plaintext& plaintext : plaintexts)
    writer.bytes(plaintext.bytes).u32(static_cast<std::uint32_t>(plaintext.fhe_type));
  return writer.u8(1).text(request_id_text).take();
}

Result<Bytes> decrypted_result(const std::vector<Plaintext>& plaintexts) {
  Bytes out;
  for (const Plaintext& plaintext : plaintexts) {
    const std::size_t size = plaintext_size(plaintext.fhe_type);
    if (size == 0)
      return fail(Code::invalid_argument, "FHE type {} is none of the decrypted types 0 and 2 to 8",
                  plaintext.fhe_type);
    if (plaintext.bytes.size() != size)
      return fail(Code::invalid_argument, "a plaintext of FHE type {} has {} bytes, not {}", plaintext.fhe_type, size,
                  plaintext.bytes.size());
    if (plaintext.fhe_type == 0 && plaintext.bytes[0] > 1)
      return fail(Code::invalid_argument, "a Bool is 0 or 1, not {}", plaintext.bytes[0]);
    Digest word{};
    std::ranges::reverse_copy(plaintext.bytes, word.end() - static_cast<std::ptrdiff_t>(plaintext.bytes.size()));
    append(out, word);
  }
  return out;
}

Result<PublicDecryptionSignatures> sign_public_decryption(const SigningKey& key, const PublicDecryptionContext& context,
                                                          const std::vector<Plaintext>& plaintexts,
                                                          std::string_view request_id_text) {
  WITAN_ASSIGN(const Digest digest, external_digest(context, plaintexts));
  const Bytes payload = public_decryption_payload(key.verifying_key(), plaintexts, request_id_text);
  return PublicDecryptionSignatures{key.sign_internal(separators::kPublicDecryption, payload), key.sign_digest(digest)};
}

Status verify_public_decryption(const VerifyingKey& key, const PublicDecryptionContext& context,
                                const std::vector<Plaintext>& plaintexts, std::string_view request_id_text,
                                ByteView internal_signature, ByteView external_signature) {
  const Bytes payload = public_decryption_payload(key, plaintexts, request_id_text);
  if (!verify_internal(key, separators::kPublicDecryption, payload, internal_signature))
    return fail(Code::invalid_argument, "the internal signature is not that of {}", key.address().text());
  WITAN_ASSIGN(const Digest digest, external_digest(context, plaintexts));
  WITAN_ASSIGN(const Address signer, recover_address(digest, external_signature));
  if (signer != key.address())
    return fail(Code::invalid_argument, "the external signature recovers to {}, not to {}", signer.text(),
                key.address().text());
  return {};
}

Bytes prep_keygen_signed_payload(const Digest& prep_id, ByteView extra_data) {
  return safe_serialize("PrepKeygenSignedPayload", Writer().u32(0).raw(prep_id).bytes(extra_data).view());
}

Bytes keygen_signed_payload(const Digest& prep_id, const Digest& key_id, const std::vector<TypedKeyDigest>& digests,
                            ByteView extra_data) {
  auto sorted = digests;
  std::ranges::sort(sorted, {}, [](const TypedKeyDigest& entry) { return public_data_type(entry.type); });
  Writer body;
  body.u32(0).raw(prep_id).raw(key_id).u64(sorted.size());
  for (const TypedKeyDigest& entry : sorted) body.u32(0).u32(public_data_type(entry.type)).bytes(entry.digest);
  return safe_serialize("KeygenSignedPayload", body.bytes(extra_data).view());
}

Bytes crs_signed_payload(const Digest& crs_id, std::uint32_t max_bit_length, const Digest& crs_digest,
                         ByteView extra_data) {
  Writer body;
  body.u32(0).raw(crs_id).u32(max_bit_length).bytes(crs_digest).bytes(extra_data);
  return safe_serialize("CrsSignedPayload", body.view());
}

}  // namespace witan::crypto
