// Typed data that nodes sign and contracts check (responses.md 4). One function per struct type; nothing else of the
// project builds an EIP-712 digest.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "crypto/ecdsa.h"

namespace witan::crypto {

struct Eip712Domain {
  std::string name, version;
  Digest chain_id{};  // uint256, big endian
  Address verifying_contract;
  std::optional<Digest> salt;

  Digest separator() const;
};

/// keyType of a contract's KeyDigest.
enum class KeyDigestType : std::uint8_t { server_key = 0, public_key = 1, compressed_key_set = 3 };

struct TypedKeyDigest {
  KeyDigestType type;
  Digest digest;
};

/// digest = Keccak(0x1901 || domain separator || struct hash).
Digest eip712_digest(const Eip712Domain& domain, const Digest& struct_hash);

/// A handle as a 32-byte word: shorter ones are padded with zeros on the left. Error: invalid_argument above 32 bytes.
Result<Digest> handle_word(ByteView handle);

// Struct hashes.
Digest public_decrypt_verification(std::span<const Digest> handles, ByteView decrypted_result, ByteView extra_data);
Digest user_decrypt_response_verification(ByteView public_key, std::span<const Digest> handles, ByteView share,
                                          ByteView extra_data);
Digest user_decryption_linker(ByteView public_key, std::span<const Digest> handles, const Address& user);
Digest prep_keygen_verification(const Digest& prep_keygen_id, ByteView extra_data);
Digest keygen_verification(const Digest& prep_keygen_id, const Digest& key_id, std::span<const TypedKeyDigest> digests,
                           ByteView extra_data);
Digest crsgen_verification(const Digest& crs_id, std::uint32_t max_bit_length, const Digest& crs_digest,
                           ByteView extra_data);
Digest fhe_decompression_upgrade_key(const Digest& key_digest, ByteView extra_data);

}  // namespace witan::crypto
