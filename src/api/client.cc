#include "api/client.h"

#include <grpcpp/channel.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/channel_arguments.h>

#include <future>

#include "api/codec.h"
#include "api/grpc_bytes.h"
#include "api/method_names.h"
#include "grpc-health.v1.pb.h"

namespace witan::api {
namespace {

constexpr int kFirstReconnectMs = 100;
constexpr int kLastReconnectMs = 1000;

std::shared_ptr<grpc::Channel> make_channel(const ClientOptions& options) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(static_cast<int>(std::min<std::size_t>(options.max_message_bytes, INT32_MAX)));
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);  // a proxy of the environment is not for our own nodes
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, kFirstReconnectMs);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, kFirstReconnectMs);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, kLastReconnectMs);
  return grpc::CreateCustomChannel(options.address, grpc::InsecureChannelCredentials(), arguments);
}

}  // namespace

class KmsClient::Impl {
 public:
  explicit Impl(ClientOptions options) : options_(std::move(options)), stub_(make_channel(options_)) {}

  const std::string& address() const { return options_.address; }

  template <class Response, class Request>
  Result<Response> call(const char* method, const Request& request, const CallOptions& options) {
    WITAN_ASSIGN(const Bytes wire, call_raw(method, encode(request), options));
    auto response = decode<Response>(wire);
    if (!response) return fail(Code::internal, "{}: {} answered: {}", address(), method, response.error().message);
    return response;
  }

  Result<Bytes> call_raw(const std::string& method, ByteView request, const CallOptions& options) {
    grpc::ClientContext context;
    const auto timeout = options.timeout.count() > 0 ? options.timeout : options_.timeout;
    context.set_deadline(std::chrono::system_clock::now() + timeout);
    context.set_wait_for_ready(options.wait_for_ready);
    const grpc::ByteBuffer request_buffer = to_buffer(request);
    grpc::ByteBuffer response_buffer;
    std::promise<grpc::Status> done;
    stub_.UnaryCall(&context, method, grpc::StubOptions(), &request_buffer, &response_buffer,
                    [&done](grpc::Status status) { done.set_value(std::move(status)); });
    const std::stop_callback stop(options.stop, [&context] { context.TryCancel(); });
    const grpc::Status status = done.get_future().get();
    if (!status.ok()) return fail(to_error(status).within(address()));
    WITAN_ASSIGN(const grpc::Slice slice, to_slice(response_buffer));
    return Bytes(slice.begin(), slice.end());
  }

 private:
  const ClientOptions options_;
  grpc::GenericStub stub_;
};

KmsClient::KmsClient(ClientOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {}
KmsClient::~KmsClient() = default;
KmsClient::KmsClient(KmsClient&&) noexcept = default;
KmsClient& KmsClient::operator=(KmsClient&&) noexcept = default;

const std::string& KmsClient::address() const {
  return impl_->address();
}

Result<Empty> KmsClient::key_gen_preproc(const KeyGenPreprocRequest& request, const CallOptions& options) const {
  return impl_->call<Empty>(method::kKeyGenPreproc, request, options);
}
Result<KeyGenPreprocResult> KmsClient::get_key_gen_preproc_result(const IdRequest& request,
                                                                  const CallOptions& options) const {
  return impl_->call<KeyGenPreprocResult>(method::kGetKeyGenPreprocResult, request, options);
}
Result<Empty> KmsClient::key_gen(const KeyGenRequest& request, const CallOptions& options) const {
  return impl_->call<Empty>(method::kKeyGen, request, options);
}
Result<KeyGenResult> KmsClient::get_key_gen_result(const IdRequest& request, const CallOptions& options) const {
  return impl_->call<KeyGenResult>(method::kGetKeyGenResult, request, options);
}
Result<Empty> KmsClient::abort_key_gen(const IdRequest& request, const CallOptions& options) const {
  return impl_->call<Empty>(method::kAbortKeyGen, request, options);
}
Result<Empty> KmsClient::public_decrypt(const PublicDecryptionRequest& request, const CallOptions& options) const {
  return impl_->call<Empty>(method::kPublicDecrypt, request, options);
}
Result<PublicDecryptionResponse> KmsClient::get_public_decryption_result(const IdRequest& request,
                                                                         const CallOptions& options) const {
  return impl_->call<PublicDecryptionResponse>(method::kGetPublicDecryptionResult, request, options);
}
Result<PublicDecryptionResponse> KmsClient::public_decrypt_sync(const PublicDecryptionRequest& request,
                                                                const CallOptions& options) const {
  return impl_->call<PublicDecryptionResponse>(method::kPublicDecryptSync, request, options);
}
Result<Empty> KmsClient::new_mpc_epoch(const NewMpcEpochRequest& request, const CallOptions& options) const {
  return impl_->call<Empty>(method::kNewMpcEpoch, request, options);
}
Result<EpochResultResponse> KmsClient::get_epoch_result(const IdRequest& request, const CallOptions& options) const {
  return impl_->call<EpochResultResponse>(method::kGetEpochResult, request, options);
}
Result<Empty> KmsClient::destroy_mpc_epoch(const DestroyMpcEpochRequest& request, const CallOptions& options) const {
  return impl_->call<Empty>(method::kDestroyMpcEpoch, request, options);
}
Result<KeyMaterialAvailabilityResponse> KmsClient::get_key_material_availability(const CallOptions& options) const {
  return impl_->call<KeyMaterialAvailabilityResponse>(method::kGetKeyMaterialAvailability, Empty{}, options);
}
Result<HealthStatusResponse> KmsClient::get_health_status(const CallOptions& options) const {
  return impl_->call<HealthStatusResponse>(method::kGetHealthStatus, Empty{}, options);
}
Result<GetRequestStatusesResponse> KmsClient::get_request_statuses(const GetRequestStatusesRequest& request,
                                                                   const CallOptions& options) const {
  return impl_->call<GetRequestStatusesResponse>(method::kGetRequestStatuses, request, options);
}
Result<ListRequestsResponse> KmsClient::list_requests(const ListRequestsRequest& request,
                                                      const CallOptions& options) const {
  return impl_->call<ListRequestsResponse>(method::kListRequests, request, options);
}
Result<GetMetaStoreInfoResponse> KmsClient::get_meta_store_info(const CallOptions& options) const {
  return impl_->call<GetMetaStoreInfoResponse>(method::kGetMetaStoreInfo, Empty{}, options);
}
Result<Empty> KmsClient::insecure_key_gen_preproc(const KeyGenPreprocRequest& request,
                                                  const CallOptions& options) const {
  return impl_->call<Empty>(method::kInsecureKeyGenPreproc, request, options);
}
Result<KeyGenPreprocResult> KmsClient::get_insecure_key_gen_preproc_result(const IdRequest& request,
                                                                           const CallOptions& options) const {
  return impl_->call<KeyGenPreprocResult>(method::kGetInsecureKeyGenPreprocResult, request, options);
}
Result<Empty> KmsClient::partial_key_gen_preproc(const PartialKeyGenPreprocRequest& request,
                                                 const CallOptions& options) const {
  return impl_->call<Empty>(method::kPartialKeyGenPreproc, request, options);
}
Result<Empty> KmsClient::insecure_key_gen(const KeyGenRequest& request, const CallOptions& options) const {
  return impl_->call<Empty>(method::kInsecureKeyGen, request, options);
}
Result<KeyGenResult> KmsClient::get_insecure_key_gen_result(const IdRequest& request,
                                                            const CallOptions& options) const {
  return impl_->call<KeyGenResult>(method::kGetInsecureKeyGenResult, request, options);
}

Result<bool> KmsClient::serving(const std::string& service, const CallOptions& options) const {
  ::grpc::health::v1::HealthCheckRequest request;
  request.set_service(service);
  WITAN_ASSIGN(const Bytes wire,
               call_raw("/grpc.health.v1.Health/Check", as_bytes(request.SerializeAsString()), options));
  ::grpc::health::v1::HealthCheckResponse response;
  if (!response.ParseFromArray(wire.data(), static_cast<int>(wire.size())))
    return fail(Code::internal, "{}: the health service answered with something else", address());
  return response.status() == ::grpc::health::v1::HealthCheckResponse::SERVING;
}

Result<Bytes> KmsClient::call_raw(const std::string& method, ByteView request, const CallOptions& options) const {
  return impl_->call_raw(method, request, options);
}

}  // namespace witan::api
