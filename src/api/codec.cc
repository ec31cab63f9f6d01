#include "api/codec.h"

#include <type_traits>

#include "api/wire_shape.h"
#include "base/check.h"
#include "kms.v1.pb.h"
#include "metastore-status.v1.pb.h"

namespace witan::api {
namespace {

namespace kms = ::kms::v1;
namespace meta = ::metastore_status::v1;

// ---- single values: what a generated accessor gives, and what it takes

template <class T>
void from_wire(T& out, const T& in) {
  out = in;
}
void from_wire(Bytes& out, const std::string& in) {
  out.assign(in.begin(), in.end());
}
template <class E, class WireEnum>
  requires std::is_enum_v<WireEnum>
void from_wire(Open<E>& out, WireEnum in) {
  out = Open<E>(static_cast<std::int32_t>(in));
}

template <class T>
T to_wire(const T& in) {
  return in;
}
std::string to_wire(const Bytes& in) {
  return std::string(in.begin(), in.end());
}
template <class E>
std::int32_t to_wire(const Open<E>& in) {
  return in.number;
}

// ---- messages: each field is named once, for both directions

/// Reading fills the struct, writing only looks at it.
template <bool kRead, class T>
using Struct = std::conditional_t<kRead, T, const T>;

#define VALUE(f)                                             \
  do {                                                       \
    if constexpr (kRead)                                     \
      from_wire(m.f, p.f());                                 \
    else                                                     \
      p.set_##f(static_cast<decltype(p.f())>(to_wire(m.f))); \
  } while (false)
#define OPTIONAL_VALUE(f)                                     \
  do {                                                        \
    if constexpr (kRead) {                                    \
      if (p.has_##f()) from_wire(m.f.emplace(), p.f());       \
    } else if (m.f) {                                         \
      p.set_##f(static_cast<decltype(p.f())>(to_wire(*m.f))); \
    }                                                         \
  } while (false)
#define REPEATED_VALUE(f)                                                                                \
  do {                                                                                                   \
    if constexpr (kRead) {                                                                               \
      for (const auto& each : p.f()) from_wire(m.f.emplace_back(), static_cast<decltype(p.f(0))>(each)); \
    } else {                                                                                             \
      for (const auto& each : m.f) p.add_##f(static_cast<decltype(p.f(0))>(to_wire(each)));              \
    }                                                                                                    \
  } while (false)
#define MESSAGE(f)                                                    \
  do {                                                                \
    if constexpr (kRead) {                                            \
      if (p.has_##f()) fields<true>(m.f.emplace(), *p.mutable_##f()); \
    } else if (m.f) {                                                 \
      fields<false>(*m.f, *p.mutable_##f());                          \
    }                                                                 \
  } while (false)
#define REPEATED_MESSAGE(f)                                                       \
  do {                                                                            \
    if constexpr (kRead) {                                                        \
      m.f.reserve(static_cast<std::size_t>(p.f##_size()));                        \
      for (auto& each : *p.mutable_##f()) fields<true>(m.f.emplace_back(), each); \
    } else {                                                                      \
      for (const auto& each : m.f) fields<false>(each, *p.add_##f());             \
    }                                                                             \
  } while (false)

template <bool kRead>
void fields(Struct<kRead, std::string>& id, kms::RequestId& p) {  // within IdText
  if constexpr (kRead)
    id = p.request_id();
  else
    p.set_request_id(id);
}
template <bool kRead>
void fields(Struct<kRead, IdRequest>& m, kms::RequestId& p) {
  VALUE(request_id);
}
template <bool kRead>
void fields(Struct<kRead, Empty>&, kms::Empty&) {}

template <bool kRead>
void fields(Struct<kRead, Eip712DomainMsg>& m, kms::Eip712DomainMsg& p) {
  VALUE(name);
  VALUE(version);
  VALUE(chain_id);
  VALUE(verifying_contract);
  OPTIONAL_VALUE(salt);
}
template <bool kRead>
void fields(Struct<kRead, TypedSignature>& m, kms::TypedSignature& p) {
  VALUE(scheme);
  VALUE(signature);
}

template <bool kRead>
void fields(Struct<kRead, TypedCiphertext>& m, kms::TypedCiphertext& p) {
  VALUE(ciphertext);
  VALUE(fhe_type);
  VALUE(external_handle);
  VALUE(ciphertext_format);
}
template <bool kRead>
void fields(Struct<kRead, TypedPlaintext>& m, kms::TypedPlaintext& p) {
  VALUE(bytes);
  VALUE(fhe_type);
}
template <bool kRead>
void fields(Struct<kRead, PublicDecryptionRequest>& m, kms::PublicDecryptionRequest& p) {
  MESSAGE(request_id);
  REPEATED_MESSAGE(ciphertexts);
  MESSAGE(key_id);
  MESSAGE(domain);
  VALUE(extra_data);
  MESSAGE(context_id);
  MESSAGE(epoch_id);
  REPEATED_VALUE(signing_schemes);
}
template <bool kRead>
void fields(Struct<kRead, PublicDecryptionResponsePayload>& m, kms::PublicDecryptionResponsePayload& p) {
  VALUE(verification_key);
  REPEATED_MESSAGE(plaintexts);
  MESSAGE(request_id);
}
template <bool kRead>
void fields(Struct<kRead, PublicDecryptionResponse>& m, kms::PublicDecryptionResponse& p) {
  VALUE(signature);
  VALUE(external_signature);
  MESSAGE(payload);
  VALUE(extra_data);
  REPEATED_MESSAGE(signatures);
}

template <bool kRead>
void fields(Struct<kRead, StandardKeySetConfig>& m, kms::StandardKeySetConfig& p) {
  VALUE(compute_key_type);
  VALUE(secret_key_config);
  VALUE(compressed_key_config);
}
template <bool kRead>
void fields(Struct<kRead, KeySetConfig>& m, kms::KeySetConfig& p) {
  VALUE(keyset_type);
  MESSAGE(standard_keyset_config);
}
template <bool kRead>
void fields(Struct<kRead, KeySetAddedInfo>& m, kms::KeySetAddedInfo& p) {
  MESSAGE(from_keyset_id_decompression_only);
  MESSAGE(to_keyset_id_decompression_only);
  MESSAGE(existing_keyset_id);
  VALUE(use_existing_key_tag);
  VALUE(copy_compressed_key_to_original);
}
template <bool kRead>
void fields(Struct<kRead, KeyGenPreprocRequest>& m, kms::KeyGenPreprocRequest& p) {
  MESSAGE(request_id);
  VALUE(params);
  MESSAGE(keyset_config);
  MESSAGE(domain);
  MESSAGE(context_id);
  MESSAGE(epoch_id);
  VALUE(extra_data);
  REPEATED_VALUE(signing_schemes);
}
template <bool kRead>
void fields(Struct<kRead, PartialKeyGenPreprocParams>& m, kms::PartialKeyGenPreprocParams& p) {
  VALUE(percentage_offline);
  VALUE(store_dummy_preprocessing);
}
template <bool kRead>
void fields(Struct<kRead, PartialKeyGenPreprocRequest>& m, kms::PartialKeyGenPreprocRequest& p) {
  MESSAGE(base_request);
  MESSAGE(partial_params);
}
template <bool kRead>
void fields(Struct<kRead, KeyGenPreprocResult>& m, kms::KeyGenPreprocResult& p) {
  MESSAGE(preprocessing_id);
  VALUE(external_signature);
  REPEATED_MESSAGE(signatures);
}
template <bool kRead>
void fields(Struct<kRead, KeyGenRequest>& m, kms::KeyGenRequest& p) {
  MESSAGE(request_id);
  OPTIONAL_VALUE(params);
  MESSAGE(preproc_id);
  MESSAGE(domain);
  MESSAGE(keyset_config);
  MESSAGE(keyset_added_info);
  MESSAGE(context_id);
  MESSAGE(epoch_id);
  VALUE(extra_data);
  REPEATED_VALUE(signing_schemes);
}
template <bool kRead>
void fields(Struct<kRead, KeyDigest>& m, kms::KeyDigest& p) {
  VALUE(key_type);
  VALUE(digest);
}
template <bool kRead>
void fields(Struct<kRead, KeyGenResult>& m, kms::KeyGenResult& p) {
  MESSAGE(request_id);
  MESSAGE(preprocessing_id);
  REPEATED_MESSAGE(key_digests);
  VALUE(external_signature);
  REPEATED_MESSAGE(signatures);
}
template <bool kRead>
void fields(Struct<kRead, CrsGenResult>& m, kms::CrsGenResult& p) {
  MESSAGE(request_id);
  VALUE(crs_digest);
  VALUE(max_num_bits);
  VALUE(external_signature);
  REPEATED_MESSAGE(signatures);
}

template <bool kRead>
void fields(Struct<kRead, KeyInfo>& m, kms::KeyInfo& p) {
  MESSAGE(key_id);
  MESSAGE(preproc_id);
  VALUE(key_parameters);
  REPEATED_MESSAGE(key_digests);
}
template <bool kRead>
void fields(Struct<kRead, CrsInfo>& m, kms::CrsInfo& p) {
  MESSAGE(crs_id);
  VALUE(crs_digest);
}
template <bool kRead>
void fields(Struct<kRead, PreviousEpochInfo>& m, kms::PreviousEpochInfo& p) {
  MESSAGE(context_id);
  MESSAGE(epoch_id);
  REPEATED_MESSAGE(keys_info);
  REPEATED_MESSAGE(crs_info);
}
template <bool kRead>
void fields(Struct<kRead, NewMpcEpochRequest>& m, kms::NewMpcEpochRequest& p) {
  MESSAGE(context_id);
  MESSAGE(epoch_id);
  MESSAGE(previous_epoch);
  MESSAGE(domain);
  VALUE(extra_data);
  REPEATED_VALUE(signing_schemes);
}
template <bool kRead>
void fields(Struct<kRead, EpochResultResponse>& m, kms::EpochResultResponse& p) {
  REPEATED_MESSAGE(reshare_responses);
  REPEATED_MESSAGE(crs_responses);
}
template <bool kRead>
void fields(Struct<kRead, DestroyMpcEpochRequest>& m, kms::DestroyMpcEpochRequest& p) {
  MESSAGE(epoch_id);
}

template <bool kRead>
void fields(Struct<kRead, KeyMaterialAvailabilityResponse>& m, kms::KeyMaterialAvailabilityResponse& p) {
  REPEATED_VALUE(fhe_key_ids);
  REPEATED_VALUE(crs_ids);
  REPEATED_VALUE(preprocessing_ids);
  VALUE(storage_info);
}
template <bool kRead>
void fields(Struct<kRead, PeerHealth>& m, kms::PeerHealth& p) {
  VALUE(peer_id);
  VALUE(endpoint);
  VALUE(reachable);
  VALUE(latency_ms);
  VALUE(error);
}
template <bool kRead>
void fields(Struct<kRead, PeersFromContext>& m, kms::PeersFromContext& p) {
  MESSAGE(context_id);
  VALUE(my_party_id);
  VALUE(threshold_required);
  VALUE(nodes_reachable);
  VALUE(status);
  REPEATED_MESSAGE(peers);
}
template <bool kRead>
void fields(Struct<kRead, HealthStatusResponse>& m, kms::HealthStatusResponse& p) {
  REPEATED_MESSAGE(peers_from_all_contexts);
  REPEATED_VALUE(my_fhe_key_ids);
  REPEATED_VALUE(my_crs_ids);
  REPEATED_VALUE(my_preprocessing_key_ids);
  VALUE(my_storage_info);
  VALUE(node_type);
}

template <bool kRead>
void fields(Struct<kRead, RequestStatusInfo>& m, meta::RequestStatusInfo& p) {
  VALUE(request_id);
  VALUE(meta_store_type);
  VALUE(status);
  OPTIONAL_VALUE(error_message);
}
template <bool kRead>
void fields(Struct<kRead, GetRequestStatusesRequest>& m, meta::GetRequestStatusesRequest& p) {
  REPEATED_VALUE(request_ids);
  OPTIONAL_VALUE(meta_store_type);
}
template <bool kRead>
void fields(Struct<kRead, GetRequestStatusesResponse>& m, meta::GetRequestStatusesResponse& p) {
  REPEATED_MESSAGE(statuses);
}
template <bool kRead>
void fields(Struct<kRead, ListRequestsRequest>& m, meta::ListRequestsRequest& p) {
  VALUE(meta_store_type);
  OPTIONAL_VALUE(status_filter);
  OPTIONAL_VALUE(max_results);
  OPTIONAL_VALUE(page_token);
}
template <bool kRead>
void fields(Struct<kRead, ListRequestsResponse>& m, meta::ListRequestsResponse& p) {
  REPEATED_MESSAGE(requests);
  OPTIONAL_VALUE(next_page_token);
}
template <bool kRead>
void fields(Struct<kRead, MetaStoreInfo>& m, meta::MetaStoreInfo& p) {
  VALUE(type);
  VALUE(capacity);
  VALUE(current_count);
}
template <bool kRead>
void fields(Struct<kRead, GetMetaStoreInfoResponse>& m, meta::GetMetaStoreInfoResponse& p) {
  REPEATED_MESSAGE(meta_stores);
}

#undef VALUE
#undef OPTIONAL_VALUE
#undef REPEATED_VALUE
#undef MESSAGE
#undef REPEATED_MESSAGE

/// The generated class of a struct.
template <class T>
struct WireOf;
#define WIRE_OF(type, wire) \
  template <>               \
  struct WireOf<type> {     \
    using Type = wire;      \
  }
WIRE_OF(Empty, kms::Empty);
WIRE_OF(IdRequest, kms::RequestId);
WIRE_OF(PublicDecryptionRequest, kms::PublicDecryptionRequest);
WIRE_OF(PublicDecryptionResponse, kms::PublicDecryptionResponse);
WIRE_OF(KeyGenPreprocRequest, kms::KeyGenPreprocRequest);
WIRE_OF(PartialKeyGenPreprocRequest, kms::PartialKeyGenPreprocRequest);
WIRE_OF(KeyGenPreprocResult, kms::KeyGenPreprocResult);
WIRE_OF(KeyGenRequest, kms::KeyGenRequest);
WIRE_OF(KeyGenResult, kms::KeyGenResult);
WIRE_OF(NewMpcEpochRequest, kms::NewMpcEpochRequest);
WIRE_OF(EpochResultResponse, kms::EpochResultResponse);
WIRE_OF(DestroyMpcEpochRequest, kms::DestroyMpcEpochRequest);
WIRE_OF(KeyMaterialAvailabilityResponse, kms::KeyMaterialAvailabilityResponse);
WIRE_OF(HealthStatusResponse, kms::HealthStatusResponse);
WIRE_OF(GetRequestStatusesRequest, meta::GetRequestStatusesRequest);
WIRE_OF(GetRequestStatusesResponse, meta::GetRequestStatusesResponse);
WIRE_OF(ListRequestsRequest, meta::ListRequestsRequest);
WIRE_OF(ListRequestsResponse, meta::ListRequestsResponse);
WIRE_OF(GetMetaStoreInfoResponse, meta::GetMetaStoreInfoResponse);
#undef WIRE_OF

constexpr std::size_t kMaxFieldsOfACiphertext = 16;

template <class Message>
Status check_limits(ByteView wire) {
  if constexpr (std::is_same_v<Message, PublicDecryptionRequest>) {
    return check_shape(wire, {.bulk_field = kms::PublicDecryptionRequest::kCiphertextsFieldNumber,
                              .max_bulk_elements = kMaxCiphertexts,
                              .max_element_fields = kMaxFieldsOfACiphertext,
                              .max_other_bytes = kMaxSmallMessageBytes});
  } else {
    constexpr std::size_t kLimit =
        std::is_same_v<Message, PublicDecryptionResponse> ? kMaxDecryptionResponseBytes : kMaxSmallMessageBytes;
    if (wire.size() > kLimit)
      return fail(Code::invalid_argument, "the message has {} bytes, at most {} are allowed", wire.size(), kLimit);
    return {};
  }
}

}  // namespace

template <class Message>
Result<Message> decode(ByteView wire) {
  typename WireOf<Message>::Type parsed;
  if (wire.size() > INT32_MAX)
    return fail(Code::invalid_argument, "{}: the message has {} bytes", parsed.GetTypeName(), wire.size());
  if (Status limits = check_limits<Message>(wire); !limits)
    return fail(std::move(limits).error().within(parsed.GetTypeName()));
  if (!parsed.ParseFromArray(wire.data(), static_cast<int>(wire.size())))
    return fail(Code::invalid_argument, "the bytes are no {} message", parsed.GetTypeName());
  Message message;
  fields<true>(message, parsed);
  return message;
}

template <class Message>
Bytes encode(const Message& message) {
  typename WireOf<Message>::Type wire;
  fields<false>(message, wire);
  Bytes out(wire.ByteSizeLong());
  WITAN_CHECK(out.size() <= INT32_MAX);
  WITAN_CHECK(wire.SerializeToArray(out.data(), static_cast<int>(out.size())));
  return out;
}

#define INSTANTIATE(type)                       \
  template Result<type> decode<type>(ByteView); \
  template Bytes encode<type>(const type&)
INSTANTIATE(Empty);
INSTANTIATE(IdRequest);
INSTANTIATE(PublicDecryptionRequest);
INSTANTIATE(PublicDecryptionResponse);
INSTANTIATE(KeyGenPreprocRequest);
INSTANTIATE(PartialKeyGenPreprocRequest);
INSTANTIATE(KeyGenPreprocResult);
INSTANTIATE(KeyGenRequest);
INSTANTIATE(KeyGenResult);
INSTANTIATE(NewMpcEpochRequest);
INSTANTIATE(EpochResultResponse);
INSTANTIATE(DestroyMpcEpochRequest);
INSTANTIATE(KeyMaterialAvailabilityResponse);
INSTANTIATE(HealthStatusResponse);
INSTANTIATE(GetRequestStatusesRequest);
INSTANTIATE(GetRequestStatusesResponse);
INSTANTIATE(ListRequestsRequest);
INSTANTIATE(ListRequestsResponse);
INSTANTIATE(GetMetaStoreInfoResponse);
#undef INSTANTIATE

}  // namespace witan::api
