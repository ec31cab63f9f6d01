// What the node implements to answer RPCs: one method per RPC, plain structs in, a Responder out.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <utility>

#include "api/types.h"
#include "base/error.h"

namespace witan::api {

struct CallContext {
  std::string peer;                                // as gRPC writes it, e.g. "ipv4:127.0.0.1:41234"
  std::chrono::steady_clock::time_point deadline;  // the earlier of the client's and the server's
  /// Stop is requested when nobody waits for the answer any more: client gone, deadline passed, server shutting down.
  /// A std::stop_callback on it runs on a thread of the server.
  std::stop_token gone;

  bool cancelled() const { return gone.stop_requested(); }
};

/// Completes one call, once, from any thread; copies share the call. The first result counts; further ones, and one that
/// comes after the call has ended, are dropped. If the last copy dies without a result the caller gets INTERNAL.
template <class Response>
class Responder {
 public:
  using Done = std::move_only_function<void(Result<Response>)>;
  explicit Responder(Done done) : call_(std::make_shared<Call>(std::move(done))) {}

  void operator()(Result<Response> result) const { call_->complete(std::move(result)); }

 private:
  class Call {
   public:
    explicit Call(Done done) : done_(std::move(done)) {}
    Call(const Call&) = delete;
    Call& operator=(const Call&) = delete;
    ~Call() { complete(fail(Code::internal, "the request was dropped without an answer")); }
    void complete(Result<Response> result) {
      if (!completed_.exchange(true)) done_(std::move(result));
    }

   private:
    std::atomic<bool> completed_ = false;
    Done done_;
  };
  std::shared_ptr<Call> call_;
};

/// Methods are called on threads of the server, several at once: an implementation posts to its loop and returns at once.
/// A method that is not overridden answers UNIMPLEMENTED, as do all other methods of service.md 1.1.
class KmsHandler {
 public:
  virtual ~KmsHandler() = default;

  // kms_service.v1.CoreServiceEndpoint
  virtual void key_gen_preproc(KeyGenPreprocRequest request, CallContext context, Responder<Empty> respond);
  virtual void get_key_gen_preproc_result(IdRequest request, CallContext context,
                                          Responder<KeyGenPreprocResult> respond);
  virtual void key_gen(KeyGenRequest request, CallContext context, Responder<Empty> respond);
  virtual void get_key_gen_result(IdRequest request, CallContext context, Responder<KeyGenResult> respond);
  virtual void abort_key_gen(IdRequest request, CallContext context, Responder<Empty> respond);
  virtual void public_decrypt(PublicDecryptionRequest request, CallContext context, Responder<Empty> respond);
  virtual void get_public_decryption_result(IdRequest request, CallContext context,
                                            Responder<PublicDecryptionResponse> respond);
  virtual void public_decrypt_sync(PublicDecryptionRequest request, CallContext context,
                                   Responder<PublicDecryptionResponse> respond);
  virtual void new_mpc_epoch(NewMpcEpochRequest request, CallContext context, Responder<Empty> respond);
  virtual void get_epoch_result(IdRequest request, CallContext context, Responder<EpochResultResponse> respond);
  virtual void destroy_mpc_epoch(DestroyMpcEpochRequest request, CallContext context, Responder<Empty> respond);
  virtual void get_key_material_availability(Empty request, CallContext context,
                                             Responder<KeyMaterialAvailabilityResponse> respond);
  virtual void get_health_status(Empty request, CallContext context, Responder<HealthStatusResponse> respond);

  // metastore_status.v1.MetaStoreStatusService
  virtual void get_request_statuses(GetRequestStatusesRequest request, CallContext context,
                                    Responder<GetRequestStatusesResponse> respond);
  virtual void list_requests(ListRequestsRequest request, CallContext context, Responder<ListRequestsResponse> respond);
  virtual void get_meta_store_info(Empty request, CallContext context, Responder<GetMetaStoreInfoResponse> respond);
};

}  // namespace witan::api
