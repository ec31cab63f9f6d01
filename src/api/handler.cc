#include "api/handler.h"

namespace witan::api {
namespace {

template <class Response>
void refuse(const char* method, const Responder<Response>& respond) {
  respond(fail(Code::unimplemented, "this node does not serve {}", method));
}

}  // namespace

// The interface hands its arguments over, which these defaults have no use for.
// NOLINTBEGIN(performance-unnecessary-value-param)
void KmsHandler::key_gen_preproc(KeyGenPreprocRequest, CallContext, Responder<Empty> respond) {
  refuse("KeyGenPreproc", respond);
}
void KmsHandler::get_key_gen_preproc_result(IdRequest, CallContext, Responder<KeyGenPreprocResult> respond) {
  refuse("GetKeyGenPreprocResult", respond);
}
void KmsHandler::key_gen(KeyGenRequest, CallContext, Responder<Empty> respond) {
  refuse("KeyGen", respond);
}
void KmsHandler::get_key_gen_result(IdRequest, CallContext, Responder<KeyGenResult> respond) {
  refuse("GetKeyGenResult", respond);
}
void KmsHandler::abort_key_gen(IdRequest, CallContext, Responder<Empty> respond) {
  refuse("AbortKeyGen", respond);
}
void KmsHandler::public_decrypt(PublicDecryptionRequest, CallContext, Responder<Empty> respond) {
  refuse("PublicDecrypt", respond);
}
void KmsHandler::get_public_decryption_result(IdRequest, CallContext, Responder<PublicDecryptionResponse> respond) {
  refuse("GetPublicDecryptionResult", respond);
}
void KmsHandler::public_decrypt_sync(PublicDecryptionRequest, CallContext,
                                     Responder<PublicDecryptionResponse> respond) {
  refuse("PublicDecryptSync", respond);
}
void KmsHandler::new_mpc_epoch(NewMpcEpochRequest, CallContext, Responder<Empty> respond) {
  refuse("NewMpcEpoch", respond);
}
void KmsHandler::get_epoch_result(IdRequest, CallContext, Responder<EpochResultResponse> respond) {
  refuse("GetEpochResult", respond);
}
void KmsHandler::destroy_mpc_epoch(DestroyMpcEpochRequest, CallContext, Responder<Empty> respond) {
  refuse("DestroyMpcEpoch", respond);
}
void KmsHandler::get_key_material_availability(Empty, CallContext, Responder<KeyMaterialAvailabilityResponse> respond) {
  refuse("GetKeyMaterialAvailability", respond);
}
void KmsHandler::get_health_status(Empty, CallContext, Responder<HealthStatusResponse> respond) {
  refuse("GetHealthStatus", respond);
}
void KmsHandler::get_request_statuses(GetRequestStatusesRequest, CallContext,
                                      Responder<GetRequestStatusesResponse> respond) {
  refuse("GetRequestStatuses", respond);
}
void KmsHandler::list_requests(ListRequestsRequest, CallContext, Responder<ListRequestsResponse> respond) {
  refuse("ListRequests", respond);
}
void KmsHandler::get_meta_store_info(Empty, CallContext, Responder<GetMetaStoreInfoResponse> respond) {
  refuse("GetMetaStoreInfo", respond);
}
// NOLINTEND(performance-unnecessary-value-param)

}  // namespace witan::api
