#include "api/methods.h"

#include "api/method_names.h"

namespace witan::api {
namespace {

template <class Request, class Response>
RawMethod bind(KmsHandler& handler, void (KmsHandler::*method)(Request, CallContext, Responder<Response>)) {
  return raw_method<Request, Response>(
      [&handler, method](Request request, CallContext context, Responder<Response> respond) {
        (handler.*method)(std::move(request), std::move(context), std::move(respond));
      });
}

}  // namespace

ExtraMethods methods_of(KmsHandler& handler) {
  return {
      {method::kKeyGenPreproc, bind(handler, &KmsHandler::key_gen_preproc)},
      {method::kGetKeyGenPreprocResult, bind(handler, &KmsHandler::get_key_gen_preproc_result)},
      {method::kKeyGen, bind(handler, &KmsHandler::key_gen)},
      {method::kGetKeyGenResult, bind(handler, &KmsHandler::get_key_gen_result)},
      {method::kAbortKeyGen, bind(handler, &KmsHandler::abort_key_gen)},
      {method::kPublicDecrypt, bind(handler, &KmsHandler::public_decrypt)},
      {method::kGetPublicDecryptionResult, bind(handler, &KmsHandler::get_public_decryption_result)},
      {method::kPublicDecryptSync, bind(handler, &KmsHandler::public_decrypt_sync)},
      {method::kNewMpcEpoch, bind(handler, &KmsHandler::new_mpc_epoch)},
      {method::kGetEpochResult, bind(handler, &KmsHandler::get_epoch_result)},
      {method::kDestroyMpcEpoch, bind(handler, &KmsHandler::destroy_mpc_epoch)},
      {method::kGetKeyMaterialAvailability, bind(handler, &KmsHandler::get_key_material_availability)},
      {method::kGetHealthStatus, bind(handler, &KmsHandler::get_health_status)},
      {method::kGetRequestStatuses, bind(handler, &KmsHandler::get_request_statuses)},
      {method::kListRequests, bind(handler, &KmsHandler::list_requests)},
      {method::kGetMetaStoreInfo, bind(handler, &KmsHandler::get_meta_store_info)},
  };
}

bool brings_ciphertexts(const std::string& method) {
  return method == method::kPublicDecrypt || method == method::kPublicDecryptSync;
}

}  // namespace witan::api
