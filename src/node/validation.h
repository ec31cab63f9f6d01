// Requests as they come in become values that are right (service.md 3.1). All errors are invalid_argument unless said.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "api/types.h"
#include "base/ids.h"
#include "crypto/responses.h"
#include "node/key_store.h"
#include "protocols/decrypt.h"
#include "tfhe/fhe_type.h"

namespace witan::node {

inline constexpr std::size_t kMaxExtraDataBytes = 1 << 16;

template <class IdType>
Result<IdType> required_id(const api::IdText& text, std::string_view field) {
  if (!text) return fail(Code::invalid_argument, "{} is missing", field);
  auto id = IdType::parse(*text);
  if (!id) return fail(std::move(id).error().within(field));
  return id;
}
template <class IdType>
Result<IdType> id_or(const api::IdText& text, IdType otherwise, std::string_view field) {
  if (!text) return otherwise;
  return required_id<IdType>(text, field);
}

/// The id of a result RPC. Error: invalid_argument.
template <class IdType>
Result<IdType> parse_request_id(const api::IdRequest& request) {
  auto id = IdType::parse(request.request_id);
  if (!id) return fail(std::move(id).error().within("request_id"));
  return id;
}

Result<crypto::Eip712Domain> validate_domain(const std::optional<api::Eip712DomainMsg>& domain);

/// Known, without duplicates, in order. unimplemented for schemes that this build cannot sign.
Result<std::vector<api::SigningScheme>> validate_schemes(const std::vector<api::Open<api::SigningScheme>>& schemes);

Status validate_extra_data(ByteView extra_data);
/// Bytes that name another context or epoch than the request are signed all the same (service.md 3.3); they are logged.
void warn_about_extra_data(const Bytes& extra_data, const RequestId& request, const ContextId& context,
                           const EpochId& epoch);

/// Small ciphertexts are squashed here, with the public key set; Big ones come squashed.
constexpr bool is_small(protocols::CiphertextFormat format) {
  return format == protocols::CiphertextFormat::small_expanded ||
         format == protocols::CiphertextFormat::small_compressed;
}

/// One ciphertext of a request before its bytes are looked at.
struct CiphertextRef {
  protocols::CiphertextFormat format = protocols::CiphertextFormat::big_compressed;
  tfhe::FheType type = tfhe::FheType::boolean;
  std::size_t index = 0;  // in the request
};

struct DecryptionFields {
  RequestId request;
  KeyId key;
  ContextId context;
  EpochId epoch;
  crypto::PublicDecryptionContext signing;
  std::vector<api::SigningScheme> schemes;
  std::vector<CiphertextRef> ciphertexts;
};
Result<DecryptionFields> validate_decryption(const api::PublicDecryptionRequest& request);

/// A ciphertext whose bytes are right for its type and the parameters: squashed already, or to be squashed here.
struct ParsedCiphertext {
  CiphertextRef ref;
  crypto::Digest bytes_digest{};                    // SHA-256 of the bytes as received
  protocols::SquashedBlocks squashed;               // Big formats
  std::vector<tfhe::Block> blocks;                  // SmallExpanded
  std::optional<tfhe::PackedList<tfhe::u64>> list;  // SmallCompressed
};
/// Bytes that it takes while it is worked on, at most: blocks as they come, and squashed.
std::uint64_t ciphertext_memory_bytes(const CiphertextRef& ref, const tfhe::Params& params);
Result<ParsedCiphertext> parse_ciphertext(const CiphertextRef& ref, ByteView bytes, const tfhe::Params& params);

/// External signatures of a result over an EIP-712 digest and, for the other schemes, over `separator || payload`.
std::vector<api::TypedSignature> sign_with_schemes(const crypto::SigningKey& key,
                                                   const std::vector<api::SigningScheme>& schemes,
                                                   const crypto::ExternalSignature& external,
                                                   crypto::Separator separator, ByteView payload);

}  // namespace witan::node
