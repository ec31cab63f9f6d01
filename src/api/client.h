// A blocking client of a node's endpoint (service.md 1). One object serves any number of threads at once; to ask several
// nodes in parallel, give each its own client and thread. Errors carry the Code of the gRPC status and the server's text.
#pragma once

#include <chrono>
#include <memory>
#include <stop_token>
#include <string>

#include "api/types.h"
#include "base/error.h"

namespace witan::api {

struct ClientOptions {
  std::string address;                                           // "host:port"
  std::chrono::milliseconds timeout = std::chrono::seconds(60);  // of a call that sets none
  std::size_t max_message_bytes = 104857600;                     // of a response
};

struct CallOptions {
  std::chrono::milliseconds timeout{0};  // 0: that of ClientOptions; afterwards deadline_exceeded
  std::stop_token stop;                  // stop requested: the call ends with cancelled
  bool wait_for_ready = false;           // wait for a node that is not up yet instead of failing with unavailable
};

class KmsClient {
 public:
  explicit KmsClient(ClientOptions options);
  ~KmsClient();
  KmsClient(KmsClient&&) noexcept;
  KmsClient& operator=(KmsClient&&) noexcept;

  const std::string& address() const;

  Result<Empty> key_gen_preproc(const KeyGenPreprocRequest& request, const CallOptions& options = {}) const;
  Result<KeyGenPreprocResult> get_key_gen_preproc_result(const IdRequest& request,
                                                         const CallOptions& options = {}) const;
  Result<Empty> key_gen(const KeyGenRequest& request, const CallOptions& options = {}) const;
  Result<KeyGenResult> get_key_gen_result(const IdRequest& request, const CallOptions& options = {}) const;
  Result<Empty> abort_key_gen(const IdRequest& request, const CallOptions& options = {}) const;
  Result<Empty> public_decrypt(const PublicDecryptionRequest& request, const CallOptions& options = {}) const;
  Result<PublicDecryptionResponse> get_public_decryption_result(const IdRequest& request,
                                                                const CallOptions& options = {}) const;
  Result<PublicDecryptionResponse> public_decrypt_sync(const PublicDecryptionRequest& request,
                                                       const CallOptions& options = {}) const;
  Result<Empty> new_mpc_epoch(const NewMpcEpochRequest& request, const CallOptions& options = {}) const;
  Result<EpochResultResponse> get_epoch_result(const IdRequest& request, const CallOptions& options = {}) const;
  Result<Empty> destroy_mpc_epoch(const DestroyMpcEpochRequest& request, const CallOptions& options = {}) const;
  Result<KeyMaterialAvailabilityResponse> get_key_material_availability(const CallOptions& options = {}) const;
  Result<HealthStatusResponse> get_health_status(const CallOptions& options = {}) const;

  Result<GetRequestStatusesResponse> get_request_statuses(const GetRequestStatusesRequest& request,
                                                          const CallOptions& options = {}) const;
  Result<ListRequestsResponse> list_requests(const ListRequestsRequest& request, const CallOptions& options = {}) const;
  Result<GetMetaStoreInfoResponse> get_meta_store_info(const CallOptions& options = {}) const;

  // Test-only methods (service.md 5.8); a production node answers unimplemented.
  Result<Empty> insecure_key_gen_preproc(const KeyGenPreprocRequest& request, const CallOptions& options = {}) const;
  Result<Empty> partial_key_gen_preproc(const PartialKeyGenPreprocRequest& request,
                                        const CallOptions& options = {}) const;
  Result<KeyGenPreprocResult> get_insecure_key_gen_preproc_result(const IdRequest& request,
                                                                  const CallOptions& options = {}) const;
  Result<Empty> insecure_key_gen(const KeyGenRequest& request, const CallOptions& options = {}) const;
  Result<KeyGenResult> get_insecure_key_gen_result(const IdRequest& request, const CallOptions& options = {}) const;

  /// grpc.health.v1: is the service of that name serving? not_found if the server does not know the name.
  Result<bool> serving(const std::string& service, const CallOptions& options = {}) const;

  /// Any unary method: bytes to bytes.
  Result<Bytes> call_raw(const std::string& method, ByteView request, const CallOptions& options = {}) const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace witan::api
