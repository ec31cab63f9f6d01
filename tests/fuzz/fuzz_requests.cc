// gRPC messages: first byte the type, then the message. What is read is written and read again, equal; then validated.
#include "api/codec.h"
#include "fuzz/fuzz.h"
#include "node/validation.h"

namespace witan::fuzz {
namespace {

template <class Message>
void round_trip(ByteView wire) {
  const auto message = api::decode<Message>(wire);
  if (!message) return;
  const Bytes written = api::encode(*message);
  const auto again = api::decode<Message>(written);
  WITAN_CHECK(again.has_value());
  WITAN_CHECK(api::encode(*again) == written);
  if constexpr (std::is_same_v<Message, api::PublicDecryptionRequest>) {
    if (const auto fields = node::validate_decryption(*message)) {
      WITAN_CHECK(fields->ciphertexts.size() == message->ciphertexts.size());
      node::warn_about_extra_data(message->extra_data, fields->request, fields->context, fields->epoch);
    }
  }
  if constexpr (std::is_same_v<Message, api::KeyGenRequest>) static_cast<void>(node::validate_domain(message->domain));
}

constexpr void (*kReaders[])(ByteView) = {
    round_trip<api::IdRequest>,
    round_trip<api::PublicDecryptionRequest>,
    round_trip<api::PublicDecryptionResponse>,
    round_trip<api::KeyGenPreprocRequest>,
    round_trip<api::KeyGenPreprocResult>,
    round_trip<api::KeyGenRequest>,
    round_trip<api::KeyGenResult>,
    round_trip<api::NewMpcEpochRequest>,
    round_trip<api::DestroyMpcEpochRequest>,
    round_trip<api::KeyMaterialAvailabilityResponse>,
    round_trip<api::HealthStatusResponse>,
    round_trip<api::GetRequestStatusesRequest>,
    round_trip<api::GetRequestStatusesResponse>,
    round_trip<api::ListRequestsRequest>,
    round_trip<api::ListRequestsResponse>,
    round_trip<api::GetMetaStoreInfoResponse>,
};

}  // namespace

void fuzz_one(ByteView input) {
  if (!input.empty()) kReaders[input[0] % std::size(kReaders)](input.subspan(1));
}

}  // namespace witan::fuzz
