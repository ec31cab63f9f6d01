#include "crypto/eip712.h"

#include <algorithm>

namespace witan::crypto {
namespace {

constexpr std::string_view kDomain =
    "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)";
constexpr std::string_view kSaltedDomain =
    "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract,bytes32 salt)";
constexpr std::string_view kKeyDigest = "KeyDigest(uint8 keyType,bytes digest)";

/// encodeData of a struct: the type hash, then one word per field.
class StructHash {
 public:
  explicit StructHash(std::string_view type) { word(keccak256(as_bytes(type))); }
  StructHash& word(const Digest& value) {
    append(encoded_, value);
    return *this;
  }
  StructHash& uint(std::uint64_t value) {
    Digest out{};
    store_be(value, out.data() + 24);
    return word(out);
  }
  StructHash& address(const Address& value) {
    Digest out{};
    std::ranges::copy(value.bytes, out.begin() + 12);
    return word(out);
  }
  /// bytes and string: their hash.
  StructHash& dynamic(ByteView value) { return word(keccak256(value)); }
  StructHash& words(std::span<const Digest> values) {
    Bytes all;
    for (const Digest& value : values) append(all, value);
    return dynamic(all);
  }
  Digest hash() const { return keccak256(encoded_); }

 private:
  Bytes encoded_;
};

}  // namespace

Digest Eip712Domain::separator() const {
  StructHash hash(salt ? kSaltedDomain : kDomain);
  hash.dynamic(as_bytes(name)).dynamic(as_bytes(version)).word(chain_id).address(verifying_contract);
  if (salt) hash.word(*salt);
  return hash.hash();
}

Digest eip712_digest(const Eip712Domain& domain, const Digest& struct_hash) {
  Bytes data{0x19, 0x01};
  append(data, domain.separator());
  append(data, struct_hash);
  return keccak256(data);
}

Result<Digest> handle_word(ByteView handle) {
  if (handle.size() > 32) return fail(Code::invalid_argument, "a handle has at most 32 bytes, not {}", handle.size());
  Digest out{};
  std::ranges::copy(handle, out.end() - static_cast<std::ptrdiff_t>(handle.size()));
  return out;
}

Digest public_decrypt_verification(std::span<const Digest> handles, ByteView decrypted_result, ByteView extra_data) {
  return StructHash("PublicDecryptVerification(bytes32[] ctHandles,bytes decryptedResult,bytes extraData)")
      .words(handles)
      .dynamic(decrypted_result)
      .dynamic(extra_data)
      .hash();
}

Digest user_decrypt_response_verification(ByteView public_key, std::span<const Digest> handles, ByteView share,
                                          ByteView extra_data) {
  return StructHash(
             "UserDecryptResponseVerification(bytes publicKey,bytes32[] ctHandles,bytes userDecryptedShare,bytes "
             "extraData)")
      .dynamic(public_key)
      .words(handles)
      .dynamic(share)
      .dynamic(extra_data)
      .hash();
}

Digest user_decryption_linker(ByteView public_key, std::span<const Digest> handles, const Address& user) {
  return StructHash("UserDecryptionLinker(bytes publicKey,bytes32[] handles,address userAddress)")
      .dynamic(public_key)
      .words(handles)
      .address(user)
      .hash();
}

Digest prep_keygen_verification(const Digest& prep_keygen_id, ByteView extra_data) {
  return StructHash("PrepKeygenVerification(uint256 prepKeygenId,bytes extraData)")
      .word(prep_keygen_id)
      .dynamic(extra_data)
      .hash();
}

Digest keygen_verification(const Digest& prep_keygen_id, const Digest& key_id, std::span<const TypedKeyDigest> digests,
                           ByteView extra_data) {
  std::vector<Digest> hashes;
  for (const TypedKeyDigest& entry : digests)
    hashes.push_back(StructHash(kKeyDigest).uint(static_cast<std::uint8_t>(entry.type)).dynamic(entry.digest).hash());
  return StructHash(
             "KeygenVerification(uint256 prepKeygenId,uint256 keyId,KeyDigest[] keyDigests,bytes extraData)"
             "KeyDigest(uint8 keyType,bytes digest)")
      .word(prep_keygen_id)
      .word(key_id)
      .words(hashes)
      .dynamic(extra_data)
      .hash();
}

Digest crsgen_verification(const Digest& crs_id, std::uint32_t max_bit_length, const Digest& crs_digest,
                           ByteView extra_data) {
  return StructHash("CrsgenVerification(uint256 crsId,uint256 maxBitLength,bytes crsDigest,bytes extraData)")
      .word(crs_id)
      .uint(max_bit_length)
      .dynamic(crs_digest)
      .dynamic(extra_data)
      .hash();
}

Digest fhe_decompression_upgrade_key(const Digest& key_digest, ByteView extra_data) {
  return StructHash("FheDecompressionUpgradeKey(bytes decompressionUpgradeKeyDigest,bytes extraData)")
      .dynamic(key_digest)
      .dynamic(extra_data)
      .hash();
}

}  // namespace witan::crypto
