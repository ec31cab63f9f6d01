// The payloads that a node signs, byte for byte (responses.md 2.4, 5, 7).
#pragma once

#include <string>
#include <vector>

#include "crypto/eip712.h"

namespace witan::crypto {

struct Plaintext {
  Bytes bytes;  // little endian, as long as its type
  std::int32_t fhe_type = 0;
};

/// PublicDecryptionResponsePayload in bincode; `request_id_text` as it stands in the payload (64 lower-case digits).
Bytes public_decryption_payload(const VerifyingKey& key, const std::vector<Plaintext>& plaintexts,
                                std::string_view request_id_text);

/// ABI encoding of the results: one 32-byte big-endian word each. Error: invalid_argument for a type other than Bool,
/// Uint8 ... Uint256 and for a length that is not the type's.
Result<Bytes> decrypted_result(const std::vector<Plaintext>& plaintexts);

struct PublicDecryptionSignatures {
  InternalSignature internal;
  ExternalSignature external;
};

/// What of a request goes into the external signature.
struct PublicDecryptionContext {
  Eip712Domain domain;
  std::vector<Digest> handles;  // handle_word() of each, in request order
  Bytes extra_data;
};

Result<PublicDecryptionSignatures> sign_public_decryption(const SigningKey& key, const PublicDecryptionContext& context,
                                                          const std::vector<Plaintext>& plaintexts,
                                                          std::string_view request_id_text);

/// Both signatures are of `key`. Error: invalid_argument saying which is not.
Status verify_public_decryption(const VerifyingKey& key, const PublicDecryptionContext& context,
                                const std::vector<Plaintext>& plaintexts, std::string_view request_id_text,
                                ByteView internal_signature, ByteView external_signature);

/// Bodies that the derived schemes sign for preprocessing, key generation and CRS (responses.md 2.4), safe-serialized;
/// signed under separators::kKeyObject, the last one under kCrsObject.
Bytes prep_keygen_signed_payload(const Digest& prep_id, ByteView extra_data);
Bytes keygen_signed_payload(const Digest& prep_id, const Digest& key_id, const std::vector<TypedKeyDigest>& digests,
                            ByteView extra_data);
Bytes crs_signed_payload(const Digest& crs_id, std::uint32_t max_bit_length, const Digest& crs_digest,
                         ByteView extra_data);

}  // namespace witan::crypto
