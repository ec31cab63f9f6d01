// The node's answers to RPCs (service.md 1.1, 5): calls come in on server threads, everything happens on the loop.
#pragma once

#include "api/handler.h"
#include "node/core.h"
#include "node/key_generator.h"
#include "node/public_decryptor.h"
#include "transport/transport.h"

namespace witan::node {

class Service final : public api::KmsHandler {
 public:
  Service(Core& core, PublicDecryptor& decryptor, KeyGenerator& generator, transport::Transport& transport);

  /// Takes up what was pending when the node stopped. Loop thread. Errors: those of the journal; then nothing is lost, and nothing goes on.
  Status resume(std::vector<InterruptedRequest> requests);

  void key_gen_preproc(api::KeyGenPreprocRequest request, api::CallContext context,
                       api::Responder<api::Empty> respond) override;
  void get_key_gen_preproc_result(api::IdRequest request, api::CallContext context,
                                  api::Responder<api::KeyGenPreprocResult> respond) override;
  void key_gen(api::KeyGenRequest request, api::CallContext context, api::Responder<api::Empty> respond) override;
  void get_key_gen_result(api::IdRequest request, api::CallContext context,
                          api::Responder<api::KeyGenResult> respond) override;
  void abort_key_gen(api::IdRequest request, api::CallContext context, api::Responder<api::Empty> respond) override;
  void public_decrypt(api::PublicDecryptionRequest request, api::CallContext context,
                      api::Responder<api::Empty> respond) override;
  void get_public_decryption_result(api::IdRequest request, api::CallContext context,
                                    api::Responder<api::PublicDecryptionResponse> respond) override;
  void public_decrypt_sync(api::PublicDecryptionRequest request, api::CallContext context,
                           api::Responder<api::PublicDecryptionResponse> respond) override;
  void new_mpc_epoch(api::NewMpcEpochRequest request, api::CallContext context,
                     api::Responder<api::Empty> respond) override;
  void get_epoch_result(api::IdRequest request, api::CallContext context,
                        api::Responder<api::EpochResultResponse> respond) override;
  void get_key_material_availability(api::Empty request, api::CallContext context,
                                     api::Responder<api::KeyMaterialAvailabilityResponse> respond) override;
  void get_health_status(api::Empty request, api::CallContext context,
                         api::Responder<api::HealthStatusResponse> respond) override;
  void get_request_statuses(api::GetRequestStatusesRequest request, api::CallContext context,
                            api::Responder<api::GetRequestStatusesResponse> respond) override;
  void list_requests(api::ListRequestsRequest request, api::CallContext context,
                     api::Responder<api::ListRequestsResponse> respond) override;
  void get_meta_store_info(api::Empty request, api::CallContext context,
                           api::Responder<api::GetMetaStoreInfoResponse> respond) override;

 private:
  runtime::Task<Result<api::Empty>> decrypt(api::PublicDecryptionRequest request);
  runtime::Task<Result<api::PublicDecryptionResponse>> decryption_result(api::IdRequest request, std::stop_token gone);
  runtime::Task<Result<api::PublicDecryptionResponse>> decrypt_and_wait(api::PublicDecryptionRequest request,
                                                                        std::stop_token gone);
  runtime::Task<Result<api::Empty>> new_epoch(api::NewMpcEpochRequest request);
  /// Holds the permit while it runs; one that a restart has interrupted has none.
  runtime::Task<void> set_up_epoch(EpochId epoch, ContextId context, RateLimiter::Permit permit);
  runtime::Task<Result<api::EpochResultResponse>> epoch_result(api::IdRequest request);
  runtime::Task<Result<api::HealthStatusResponse>> health();
  runtime::Task<Result<api::KeyMaterialAvailabilityResponse>> availability();
  runtime::Task<Result<api::GetRequestStatusesResponse>> statuses(api::GetRequestStatusesRequest request);
  runtime::Task<Result<api::ListRequestsResponse>> list(api::ListRequestsRequest request);
  runtime::Task<Result<api::GetMetaStoreInfoResponse>> store_info();
  std::string storage_info() const;
  api::RequestStatusInfo status_of(RequestKind kind, const RequestSummary& summary) const;

  Core& core_;
  PublicDecryptor& decryptor_;
  KeyGenerator& generator_;
  transport::Transport& transport_;
};

/// Runs a task on the loop and answers the call with its result. `make` is called on the loop thread.
template <class Response, class Make>
void answer_on_loop(Core& core, api::Responder<Response> respond, Make make) {
  struct Run {
    static runtime::Task<void> run(runtime::Task<Result<Response>> task, api::Responder<Response> respond) {
      respond(co_await std::move(task));
    }
  };
  core.loop.post([&core, respond = std::move(respond), make = std::move(make)]() mutable {
    core.scope.spawn(Run::run(make(), std::move(respond)));
  });
}

}  // namespace witan::node
