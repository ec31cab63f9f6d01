// The messages of kms.v1 and metastore_status.v1 as plain structs (service.md 1.2). Nothing is validated here: an id is
// the text that came, an enumeration is the number that came (a number that no enumerator has is a client's mistake that
// service.md 3.1 wants answered), a missing sub-message is an empty optional.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"

namespace witan::api {

/// kms.v1.RequestId: the text of an id (parse with Id<Tag>::parse); empty optional = field not set.
using IdText = std::optional<std::string>;

enum class KeySetType : std::int32_t { standard = 0, decompression_only = 1 };
enum class ComputeKeyType : std::int32_t { cpu = 0 };
enum class KeyGenSecretKeyConfig : std::int32_t { generate_all = 0, use_existing = 1 };
enum class CompressedKeyConfig : std::int32_t { compressed_all = 0, compressed_none = 1 };
enum class FheParameter : std::int32_t { default_params = 0, test_params = 1 };
enum class CiphertextFormat : std::int32_t {
  small_compressed = 0,
  small_expanded = 1,
  big_compressed = 2,
  big_expanded = 3
};
enum class SigningScheme : std::int32_t { ecdsa_256k1 = 0, ed25519 = 1, mldsa44 = 2, mldsa65 = 3, mldsa87 = 4 };
enum class HealthStatus : std::int32_t { unspecified = 0, optimal = 1, healthy = 2, degraded = 3, unhealthy = 4 };
enum class NodeType : std::int32_t { unspecified = 0, centralized = 1, threshold = 2 };
enum class MetaStoreType : std::int32_t {
  all = 0,
  key_generation = 1,
  public_decryption = 2,
  user_decryption = 3,
  crs_generation = 4,
  preprocessing = 5,
};
enum class RequestProcessingStatus : std::int32_t { processing = 0, completed = 1, failed = 2, any = 3, deleted = 4 };

/// An enumeration as it came: any 32-bit number.
template <class E>
struct Open {
  std::int32_t number = 0;

  Open() = default;
  Open(E e) : number(static_cast<std::int32_t>(e)) {}  // NOLINT: every enumerator is a value
  explicit Open(std::int32_t n) : number(n) {}
  /// Only after the number was checked.
  E value() const { return static_cast<E>(number); }
  friend bool operator==(const Open&, const Open&) = default;
};

struct Empty {
  friend bool operator==(const Empty&, const Empty&) = default;
};

/// A request that is only an id: GetPublicDecryptionResult and its like.
struct IdRequest {
  std::string request_id;
  friend bool operator==(const IdRequest&, const IdRequest&) = default;
};

struct Eip712DomainMsg {
  std::string name, version;
  Bytes chain_id;  // big endian
  std::string verifying_contract;
  std::optional<Bytes> salt;
  friend bool operator==(const Eip712DomainMsg&, const Eip712DomainMsg&) = default;
};

struct TypedSignature {
  Open<SigningScheme> scheme;
  Bytes signature;
  friend bool operator==(const TypedSignature&, const TypedSignature&) = default;
};

// ---- public decryption

struct TypedCiphertext {
  Bytes ciphertext;
  std::int32_t fhe_type = 0;  // responses.md 5
  Bytes external_handle;
  Open<CiphertextFormat> ciphertext_format;
  friend bool operator==(const TypedCiphertext&, const TypedCiphertext&) = default;
};

struct TypedPlaintext {
  Bytes bytes;
  std::int32_t fhe_type = 0;
  friend bool operator==(const TypedPlaintext&, const TypedPlaintext&) = default;
};

struct PublicDecryptionRequest {
  IdText request_id;
  std::vector<TypedCiphertext> ciphertexts;
  IdText key_id;
  std::optional<Eip712DomainMsg> domain;
  Bytes extra_data;
  IdText context_id, epoch_id;
  std::vector<Open<SigningScheme>> signing_schemes;
  friend bool operator==(const PublicDecryptionRequest&, const PublicDecryptionRequest&) = default;
};

struct PublicDecryptionResponsePayload {
  Bytes verification_key;
  std::vector<TypedPlaintext> plaintexts;
  IdText request_id;
  friend bool operator==(const PublicDecryptionResponsePayload&, const PublicDecryptionResponsePayload&) = default;
};

struct PublicDecryptionResponse {
  Bytes signature, external_signature;
  std::optional<PublicDecryptionResponsePayload> payload;
  Bytes extra_data;
  std::vector<TypedSignature> signatures;
  friend bool operator==(const PublicDecryptionResponse&, const PublicDecryptionResponse&) = default;
};

// ---- key generation

struct StandardKeySetConfig {
  Open<ComputeKeyType> compute_key_type;
  Open<KeyGenSecretKeyConfig> secret_key_config;
  Open<CompressedKeyConfig> compressed_key_config;
  friend bool operator==(const StandardKeySetConfig&, const StandardKeySetConfig&) = default;
};

struct KeySetConfig {
  Open<KeySetType> keyset_type;
  std::optional<StandardKeySetConfig> standard_keyset_config;
  friend bool operator==(const KeySetConfig&, const KeySetConfig&) = default;
};

struct KeySetAddedInfo {
  IdText from_keyset_id_decompression_only, to_keyset_id_decompression_only, existing_keyset_id;
  bool use_existing_key_tag = false, copy_compressed_key_to_original = false;
  friend bool operator==(const KeySetAddedInfo&, const KeySetAddedInfo&) = default;
};

struct KeyGenPreprocRequest {
  IdText request_id;
  Open<FheParameter> params;
  std::optional<KeySetConfig> keyset_config;
  std::optional<Eip712DomainMsg> domain;
  IdText context_id, epoch_id;
  Bytes extra_data;
  std::vector<Open<SigningScheme>> signing_schemes;
  friend bool operator==(const KeyGenPreprocRequest&, const KeyGenPreprocRequest&) = default;
};

struct PartialKeyGenPreprocParams {
  std::uint32_t percentage_offline = 0;
  bool store_dummy_preprocessing = false;
  friend bool operator==(const PartialKeyGenPreprocParams&, const PartialKeyGenPreprocParams&) = default;
};

struct PartialKeyGenPreprocRequest {
  std::optional<KeyGenPreprocRequest> base_request;
  std::optional<PartialKeyGenPreprocParams> partial_params;
  friend bool operator==(const PartialKeyGenPreprocRequest&, const PartialKeyGenPreprocRequest&) = default;
};

struct KeyGenPreprocResult {
  IdText preprocessing_id;
  Bytes external_signature;
  std::vector<TypedSignature> signatures;
  friend bool operator==(const KeyGenPreprocResult&, const KeyGenPreprocResult&) = default;
};

struct KeyGenRequest {
  IdText request_id;
  std::optional<Open<FheParameter>> params;
  IdText preproc_id;
  std::optional<Eip712DomainMsg> domain;
  std::optional<KeySetConfig> keyset_config;
  std::optional<KeySetAddedInfo> keyset_added_info;
  IdText context_id, epoch_id;
  Bytes extra_data;
  std::vector<Open<SigningScheme>> signing_schemes;
  friend bool operator==(const KeyGenRequest&, const KeyGenRequest&) = default;
};

struct KeyDigest {
  std::string key_type;
  Bytes digest;
  friend bool operator==(const KeyDigest&, const KeyDigest&) = default;
};

struct KeyGenResult {
  IdText request_id, preprocessing_id;
  std::vector<KeyDigest> key_digests;
  Bytes external_signature;
  std::vector<TypedSignature> signatures;
  friend bool operator==(const KeyGenResult&, const KeyGenResult&) = default;
};

struct CrsGenResult {
  IdText request_id;
  Bytes crs_digest;
  std::uint32_t max_num_bits = 0;
  Bytes external_signature;
  std::vector<TypedSignature> signatures;
  friend bool operator==(const CrsGenResult&, const CrsGenResult&) = default;
};

// ---- epochs

struct KeyInfo {
  IdText key_id, preproc_id;
  Open<FheParameter> key_parameters;
  std::vector<KeyDigest> key_digests;
  friend bool operator==(const KeyInfo&, const KeyInfo&) = default;
};

struct CrsInfo {
  IdText crs_id;
  Bytes crs_digest;
  friend bool operator==(const CrsInfo&, const CrsInfo&) = default;
};

struct PreviousEpochInfo {
  IdText context_id, epoch_id;
  std::vector<KeyInfo> keys_info;
  std::vector<CrsInfo> crs_info;
  friend bool operator==(const PreviousEpochInfo&, const PreviousEpochInfo&) = default;
};

struct NewMpcEpochRequest {
  IdText context_id, epoch_id;
  std::optional<PreviousEpochInfo> previous_epoch;
  std::optional<Eip712DomainMsg> domain;
  Bytes extra_data;
  std::vector<Open<SigningScheme>> signing_schemes;
  friend bool operator==(const NewMpcEpochRequest&, const NewMpcEpochRequest&) = default;
};

struct EpochResultResponse {
  std::vector<KeyGenResult> reshare_responses;
  std::vector<CrsGenResult> crs_responses;
  friend bool operator==(const EpochResultResponse&, const EpochResultResponse&) = default;
};

struct DestroyMpcEpochRequest {
  IdText epoch_id;
  friend bool operator==(const DestroyMpcEpochRequest&, const DestroyMpcEpochRequest&) = default;
};

// ---- health and availability

struct KeyMaterialAvailabilityResponse {
  std::vector<std::string> fhe_key_ids, crs_ids, preprocessing_ids;
  std::string storage_info;
  friend bool operator==(const KeyMaterialAvailabilityResponse&, const KeyMaterialAvailabilityResponse&) = default;
};

struct PeerHealth {
  std::uint32_t peer_id = 0;
  std::string endpoint;
  bool reachable = false;
  std::uint32_t latency_ms = 0;
  std::string error;
  friend bool operator==(const PeerHealth&, const PeerHealth&) = default;
};

struct PeersFromContext {
  IdText context_id;
  std::uint32_t my_party_id = 0, threshold_required = 0, nodes_reachable = 0;
  Open<HealthStatus> status;
  std::vector<PeerHealth> peers;
  friend bool operator==(const PeersFromContext&, const PeersFromContext&) = default;
};

struct HealthStatusResponse {
  std::vector<PeersFromContext> peers_from_all_contexts;
  std::vector<std::string> my_fhe_key_ids, my_crs_ids, my_preprocessing_key_ids;
  std::string my_storage_info;
  Open<NodeType> node_type;
  friend bool operator==(const HealthStatusResponse&, const HealthStatusResponse&) = default;
};

// ---- metastore_status.v1

struct RequestStatusInfo {
  std::string request_id;
  Open<MetaStoreType> meta_store_type;
  Open<RequestProcessingStatus> status;
  std::optional<std::string> error_message;
  friend bool operator==(const RequestStatusInfo&, const RequestStatusInfo&) = default;
};

struct GetRequestStatusesRequest {
  std::vector<std::string> request_ids;
  std::optional<Open<MetaStoreType>> meta_store_type;
  friend bool operator==(const GetRequestStatusesRequest&, const GetRequestStatusesRequest&) = default;
};

struct GetRequestStatusesResponse {
  std::vector<RequestStatusInfo> statuses;
  friend bool operator==(const GetRequestStatusesResponse&, const GetRequestStatusesResponse&) = default;
};

struct ListRequestsRequest {
  Open<MetaStoreType> meta_store_type;
  std::optional<Open<RequestProcessingStatus>> status_filter;
  std::optional<std::int32_t> max_results;
  std::optional<std::string> page_token;
  friend bool operator==(const ListRequestsRequest&, const ListRequestsRequest&) = default;
};

struct ListRequestsResponse {
  std::vector<RequestStatusInfo> requests;
  std::optional<std::string> next_page_token;
  friend bool operator==(const ListRequestsResponse&, const ListRequestsResponse&) = default;
};

struct MetaStoreInfo {
  Open<MetaStoreType> type;
  std::int32_t capacity = 0;  // -1: unlimited
  std::int32_t current_count = 0;
  friend bool operator==(const MetaStoreInfo&, const MetaStoreInfo&) = default;
};

struct GetMetaStoreInfoResponse {
  std::vector<MetaStoreInfo> meta_stores;
  friend bool operator==(const GetMetaStoreInfoResponse&, const GetMetaStoreInfoResponse&) = default;
};

}  // namespace witan::api
