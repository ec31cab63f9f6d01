// A real server on loopback, asked by our client, by generated stubs, and by hand.
#include "api/server.h"

#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <future>
#include <latch>
#include <thread>

#include "api/client.h"
#include "grpc-health.v1.grpc.pb.h"
#include "kms-service.v1.grpc.pb.h"
#include "metastore-status.v1.grpc.pb.h"
#include "support/support.h"

namespace witan::api {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

template <class Message>
Message sample(std::string_view name) {
  const auto vectors = witan::test::read_json("service/proto_wire.json");
  for (const auto& vector : vectors.at("messages"))
    if (vector.at("message") == name)
      return decode<Message>(witan::test::hex(vector.at("wire").get<std::string>())).value();
  ADD_FAILURE() << name;
  return {};
}

/// Answers every method with the sample of its response if the request is the sample of its type (with any request_id).
class SampleHandler final : public KmsHandler {
 public:
#define ANSWER(name, Request, Response, request_sample, response_sample)                  \
  void name(Request request, CallContext context, Responder<Response> respond) override { \
    EXPECT_EQ(request, sample<Request>(request_sample)) << #name;                         \
    EXPECT_THAT(context.peer, HasSubstr("127.0.0.1"));                                    \
    EXPECT_GT(context.deadline, std::chrono::steady_clock::now());                        \
    EXPECT_FALSE(context.cancelled());                                                    \
    ++calls;                                                                              \
    respond(sample<Response>(response_sample));                                           \
  }
  ANSWER(key_gen_preproc, KeyGenPreprocRequest, Empty, "kms.v1.KeyGenPreprocRequest", "kms.v1.Empty")
  ANSWER(get_key_gen_preproc_result, IdRequest, KeyGenPreprocResult, "kms.v1.RequestId", "kms.v1.KeyGenPreprocResult")
  ANSWER(key_gen, KeyGenRequest, Empty, "kms.v1.KeyGenRequest", "kms.v1.Empty")
  ANSWER(get_key_gen_result, IdRequest, KeyGenResult, "kms.v1.RequestId", "kms.v1.KeyGenResult")
  ANSWER(abort_key_gen, IdRequest, Empty, "kms.v1.RequestId", "kms.v1.Empty")
  ANSWER(public_decrypt, PublicDecryptionRequest, Empty, "kms.v1.PublicDecryptionRequest", "kms.v1.Empty")
  ANSWER(get_public_decryption_result, IdRequest, PublicDecryptionResponse, "kms.v1.RequestId",
         "kms.v1.PublicDecryptionResponse")
  ANSWER(public_decrypt_sync, PublicDecryptionRequest, PublicDecryptionResponse, "kms.v1.PublicDecryptionRequest",
         "kms.v1.PublicDecryptionResponse")
  ANSWER(new_mpc_epoch, NewMpcEpochRequest, Empty, "kms.v1.NewMpcEpochRequest", "kms.v1.Empty")
  ANSWER(get_epoch_result, IdRequest, EpochResultResponse, "kms.v1.RequestId", "kms.v1.EpochResultResponse")
  ANSWER(destroy_mpc_epoch, DestroyMpcEpochRequest, Empty, "kms.v1.DestroyMpcEpochRequest", "kms.v1.Empty")
  ANSWER(get_key_material_availability, Empty, KeyMaterialAvailabilityResponse, "kms.v1.Empty",
         "kms.v1.KeyMaterialAvailabilityResponse")
  ANSWER(get_health_status, Empty, HealthStatusResponse, "kms.v1.Empty", "kms.v1.HealthStatusResponse")
  ANSWER(get_request_statuses, GetRequestStatusesRequest, GetRequestStatusesResponse,
         "metastore_status.v1.GetRequestStatusesRequest", "metastore_status.v1.GetRequestStatusesResponse")
  ANSWER(list_requests, ListRequestsRequest, ListRequestsResponse, "metastore_status.v1.ListRequestsRequest",
         "metastore_status.v1.ListRequestsResponse")
  ANSWER(get_meta_store_info, Empty, GetMetaStoreInfoResponse, "kms.v1.Empty",
         "metastore_status.v1.GetMetaStoreInfoResponse")
#undef ANSWER
  std::atomic<int> calls = 0;
};

/// Keeps the responders of public_decrypt_sync until the test completes them; the other methods are the base's.
class HoldingHandler final : public KmsHandler {
 public:
  struct Held {
    PublicDecryptionRequest request;
    CallContext context;
    Responder<PublicDecryptionResponse> respond;
  };
  void public_decrypt_sync(PublicDecryptionRequest request, CallContext context,
                           Responder<PublicDecryptionResponse> respond) override {
    const std::lock_guard lock(mutex_);
    held_.push_back({std::move(request), std::move(context), std::move(respond)});
    arrived_.notify_all();
  }
  /// Waits until so many calls are held, and gives them all.
  std::vector<Held> take(std::size_t count) {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(arrived_.wait_for(lock, 20s, [&] { return held_.size() >= count; }))
        << held_.size() << " calls arrived";
    return std::exchange(held_, {});
  }
  std::size_t waiting() {
    const std::lock_guard lock(mutex_);
    return held_.size();
  }

 private:
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::vector<Held> held_;
};

ServerOptions on_any_port() {
  ServerOptions options;
  options.port = 0;
  return options;
}
std::unique_ptr<ApiServer> start(KmsHandler& handler, ServerOptions options = on_any_port(), ExtraMethods extra = {}) {
  auto server = ApiServer::start(std::move(options), handler, std::move(extra));
  EXPECT_TRUE(server) << server.error().message;
  return server ? *std::move(server) : nullptr;
}
std::string address_of(const ApiServer& server) {
  return fmt::format("127.0.0.1:{}", server.port());
}
KmsClient client_of(const ApiServer& server) {
  ClientOptions options;
  options.address = address_of(server);
  options.timeout = 20s;
  return KmsClient(options);
}
CallOptions within(std::chrono::milliseconds timeout) {
  CallOptions options;
  options.timeout = timeout;
  return options;
}
PublicDecryptionRequest request_of(std::string id) {
  PublicDecryptionRequest request;
  request.request_id = std::move(id);
  return request;
}
std::future<Result<PublicDecryptionResponse>> decrypt_async(const KmsClient& client, std::string id,
                                                            CallOptions options = {}) {
  return std::async(std::launch::async,
                    [&client, id, options] { return client.public_decrypt_sync(request_of(id), options); });
}

TEST(ServerTest, EveryMethodCarriesItsMessagesBothWays) {
  SampleHandler handler;
  const auto server = start(handler);
  const KmsClient client = client_of(*server);
  const IdRequest id = sample<IdRequest>("kms.v1.RequestId");
  const auto decryption = sample<PublicDecryptionRequest>("kms.v1.PublicDecryptionRequest");
  const auto response = sample<PublicDecryptionResponse>("kms.v1.PublicDecryptionResponse");
  EXPECT_EQ(client.key_gen_preproc(sample<KeyGenPreprocRequest>("kms.v1.KeyGenPreprocRequest")).value(), Empty{});
  EXPECT_EQ(client.get_key_gen_preproc_result(id).value(), sample<KeyGenPreprocResult>("kms.v1.KeyGenPreprocResult"));
  EXPECT_EQ(client.key_gen(sample<KeyGenRequest>("kms.v1.KeyGenRequest")).value(), Empty{});
  EXPECT_EQ(client.get_key_gen_result(id).value(), sample<KeyGenResult>("kms.v1.KeyGenResult"));
  EXPECT_EQ(client.abort_key_gen(id).value(), Empty{});
  EXPECT_EQ(client.public_decrypt(decryption).value(), Empty{});
  EXPECT_EQ(client.get_public_decryption_result(id).value(), response);
  EXPECT_EQ(client.public_decrypt_sync(decryption).value(), response);
  EXPECT_EQ(client.new_mpc_epoch(sample<NewMpcEpochRequest>("kms.v1.NewMpcEpochRequest")).value(), Empty{});
  EXPECT_EQ(client.get_epoch_result(id).value(), sample<EpochResultResponse>("kms.v1.EpochResultResponse"));
  EXPECT_EQ(client.destroy_mpc_epoch(sample<DestroyMpcEpochRequest>("kms.v1.DestroyMpcEpochRequest")).value(), Empty{});
  EXPECT_EQ(client.get_key_material_availability().value(),
            sample<KeyMaterialAvailabilityResponse>("kms.v1.KeyMaterialAvailabilityResponse"));
  EXPECT_EQ(client.get_health_status().value(), sample<HealthStatusResponse>("kms.v1.HealthStatusResponse"));
  EXPECT_EQ(
      client.get_request_statuses(sample<GetRequestStatusesRequest>("metastore_status.v1.GetRequestStatusesRequest"))
          .value(),
      sample<GetRequestStatusesResponse>("metastore_status.v1.GetRequestStatusesResponse"));
  EXPECT_EQ(client.list_requests(sample<ListRequestsRequest>("metastore_status.v1.ListRequestsRequest")).value(),
            sample<ListRequestsResponse>("metastore_status.v1.ListRequestsResponse"));
  EXPECT_EQ(client.get_meta_store_info().value(),
            sample<GetMetaStoreInfoResponse>("metastore_status.v1.GetMetaStoreInfoResponse"));
  EXPECT_EQ(handler.calls, 16);
}

/// One unary call through a generated stub, which knows nothing of how the server is made.
template <class Stub, class Request, class Response>
void call_stub(Stub& stub, grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
               grpc::StatusCode expected) {
  grpc::ClientContext context;
  Request request;
  Response response;
  const auto vectors = witan::test::read_json("service/proto_wire.json");
  const auto wire_of = [&](const std::string& name) {
    for (const auto& vector : vectors.at("messages"))
      if (vector.at("message") == name) return witan::test::hex(vector.at("wire").get<std::string>());
    return Bytes();
  };
  const Bytes wire = wire_of(request.GetTypeName());
  ASSERT_TRUE(request.ParseFromArray(wire.data(), static_cast<int>(wire.size())));
  const grpc::Status status = (stub.*method)(&context, request, &response);
  EXPECT_EQ(status.error_code(), expected) << request.GetTypeName() << ": " << status.error_message();
  if (expected == grpc::OK)
    EXPECT_EQ(to_hex(as_bytes(response.SerializeAsString())), to_hex(wire_of(response.GetTypeName())));
}

TEST(ServerTest, GeneratedStubsReachEveryMethodAndTheOthersAreUnimplemented) {
  SampleHandler handler;
  const auto server = start(handler);
  const auto channel = grpc::CreateChannel(address_of(*server), grpc::InsecureChannelCredentials());
  using Core = kms_service::v1::CoreServiceEndpoint::Stub;
  Core core(channel);
  const auto served = [&](auto method) { call_stub(core, method, grpc::OK); };
  const auto missing = [&](auto method) { call_stub(core, method, grpc::UNIMPLEMENTED); };
  served(&Core::KeyGenPreproc);
  served(&Core::GetKeyGenPreprocResult);
  served(&Core::KeyGen);
  served(&Core::GetKeyGenResult);
  served(&Core::AbortKeyGen);
  served(&Core::PublicDecrypt);
  served(&Core::GetPublicDecryptionResult);
  served(&Core::PublicDecryptSync);
  served(&Core::NewMpcEpoch);
  served(&Core::GetEpochResult);
  served(&Core::DestroyMpcEpoch);
  served(&Core::GetKeyMaterialAvailability);
  served(&Core::GetHealthStatus);
  missing(&Core::UserDecrypt);
  missing(&Core::GetUserDecryptionResult);
  missing(&Core::UserDecryptSync);
  missing(&Core::CrsGen);
  missing(&Core::GetCrsGenResult);
  missing(&Core::AbortCrsGen);
  missing(&Core::NewMpcContext);
  missing(&Core::DestroyMpcContext);
  missing(&Core::NewCustodianContext);
  missing(&Core::DestroyCustodianContext);
  missing(&Core::GetOperatorPublicKey);
  missing(&Core::CustodianRecoveryInit);
  missing(&Core::CustodianBackupRecovery);
  missing(&Core::RestoreFromBackup);
  missing(&Core::BandwidthBenchmark);
  using Meta = metastore_status::v1::MetaStoreStatusService::Stub;
  Meta meta(channel);
  call_stub(meta, &Meta::GetRequestStatuses, grpc::OK);
  call_stub(meta, &Meta::ListRequests, grpc::OK);
  call_stub(meta, &Meta::GetMetaStoreInfo, grpc::OK);
}

TEST(ServerTest, MethodsWithoutAnOverrideAndUnknownNamesAreUnimplemented) {
  HoldingHandler handler;  // overrides one method only
  const auto server = start(handler);
  const KmsClient client = client_of(*server);
  const auto key_gen = client.key_gen({});
  ASSERT_FALSE(key_gen);
  EXPECT_EQ(key_gen.error().code, Code::unimplemented);
  EXPECT_THAT(key_gen.error().message, HasSubstr("KeyGen"));
  EXPECT_EQ(client.get_meta_store_info().error().code, Code::unimplemented);
  for (const char* name : {"/kms_service.v1.CoreServiceEndpoint/Nothing", "/other.Service/KeyGen", "/x"})
    EXPECT_EQ(client.call_raw(name, {}).error().code, Code::unimplemented) << name;
  EXPECT_EQ(client.insecure_key_gen({}).error().code, Code::unimplemented);
  EXPECT_EQ(client.insecure_key_gen_preproc({}).error().code, Code::unimplemented);
  EXPECT_EQ(client.partial_key_gen_preproc({}).error().code, Code::unimplemented);
  EXPECT_EQ(client.get_insecure_key_gen_result({}).error().code, Code::unimplemented);
  EXPECT_EQ(client.get_insecure_key_gen_preproc_result({}).error().code, Code::unimplemented);
}

TEST(ServerTest, EveryCodeArrivesAsItselfWithItsText) {
  HoldingHandler handler;
  const auto server = start(handler);
  const KmsClient client = client_of(*server);
  for (int number = 1; number <= 16; ++number) {
    auto answer = decrypt_async(client, "id");
    handler.take(1)[0].respond(fail(static_cast<Code>(number), "text of {}", number));
    const auto result = answer.get();
    ASSERT_FALSE(result);
    EXPECT_EQ(static_cast<int>(result.error().code), number);
    EXPECT_THAT(result.error().message,
                AllOf(HasSubstr(fmt::format("text of {}", number)), HasSubstr(client.address())));
  }
}

TEST(ServerTest, LongTextsAreCutBetweenCharacters) {
  HoldingHandler handler;
  const auto server = start(handler);
  const auto stub = kms_service::v1::CoreServiceEndpoint::NewStub(
      grpc::CreateChannel(address_of(*server), grpc::InsecureChannelCredentials()));
  std::string text(1023, 'x');
  text += "\xc3\xa9 and more";  // the character would end at byte 1025
  auto answer = std::async(std::launch::async, [&] {
    grpc::ClientContext context;
    kms::v1::PublicDecryptionResponse response;
    return stub->PublicDecryptSync(&context, {}, &response);
  });
  handler.take(1)[0].respond(fail(Code::aborted, "{}", text));
  EXPECT_EQ(answer.get().error_message(), std::string(1023, 'x'));
}

TEST(ServerTest, MalformedBytesAreInvalidArgumentAndTheServerGoesOn) {
  SampleHandler handler;
  const auto server = start(handler);
  const KmsClient client = client_of(*server);
  const auto garbage = client.call_raw("/kms_service.v1.CoreServiceEndpoint/PublicDecrypt", Bytes(100, 0xff));
  ASSERT_FALSE(garbage);
  EXPECT_EQ(garbage.error().code, Code::invalid_argument);
  EXPECT_TRUE(client.get_health_status());
  EXPECT_EQ(handler.calls, 1);
}

TEST(ServerTest, MessagesUpToTheLimitPassAndLargerOnesAreRefusedBothWays) {
  HoldingHandler handler;
  ServerOptions options = on_any_port();
  options.max_message_bytes = 3u << 20;
  const auto server = start(handler, options);
  const KmsClient client = client_of(*server);
  PublicDecryptionRequest request;
  request.ciphertexts.resize(1);
  request.ciphertexts[0].ciphertext = Bytes((3u << 20) - 10, 0xab);  // 10 bytes of tags and lengths
  ASSERT_EQ(encode(request).size(), 3u << 20);
  auto answer = std::async(std::launch::async, [&] { return client.public_decrypt_sync(request); });
  auto held = handler.take(1);
  EXPECT_EQ(held[0].request, request);
  PublicDecryptionResponse response;
  response.extra_data = Bytes((3u << 20) + 1);
  held[0].respond(response);
  EXPECT_EQ(answer.get().error().code, Code::resource_exhausted);

  request.ciphertexts[0].ciphertext.push_back(0);
  const auto refused = client.public_decrypt_sync(request);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::resource_exhausted) << refused.error().message;
  EXPECT_EQ(handler.waiting(), 0u);
  EXPECT_EQ(client.get_health_status().error().code, Code::unimplemented) << "the server goes on";
}

TEST(ServerTest, TheLargestDefaultRequestPasses) {
  HoldingHandler handler;
  const auto server = start(handler);
  const KmsClient client = client_of(*server);
  PublicDecryptionRequest request;
  request.ciphertexts.resize(1);
  request.ciphertexts[0].ciphertext = Bytes(104857600 - 20, 0xcd);
  auto answer = std::async(std::launch::async, [&] { return client.public_decrypt_sync(request); });
  auto held = handler.take(1);
  EXPECT_TRUE(held[0].request == request);
  held[0].respond(PublicDecryptionResponse{});
  EXPECT_TRUE(answer.get());
}

TEST(ServerTest, AnAnswerThatComesLaterFromAnotherThreadArrives) {
  HoldingHandler handler;
  const auto server = start(handler);
  const KmsClient client = client_of(*server);
  auto answer = decrypt_async(client, "slow");
  auto held = handler.take(1);
  EXPECT_EQ(answer.wait_for(50ms), std::future_status::timeout);
  std::thread([&] {
    PublicDecryptionResponse response;
    response.extra_data = {1, 2, 3};
    held[0].respond(response);
    held[0].respond(fail(Code::internal, "only the first answer counts"));
  }).join();
  EXPECT_EQ(answer.get().value().extra_data, (Bytes{1, 2, 3}));
}

TEST(ServerTest, ADroppedResponderAnswersInternal) {
  HoldingHandler handler;
  const auto server = start(handler);
  const KmsClient client = client_of(*server);
  auto answer = decrypt_async(client, "dropped");
  handler.take(1).clear();
  const auto result = answer.get();
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Code::internal);
}

TEST(ServerTest, TheClientsDeadlineEndsTheCallAndTheHandlerIsTold) {
  HoldingHandler handler;
  const auto server = start(handler);
  const KmsClient client = client_of(*server);
  auto answer = decrypt_async(client, "too slow", within(200ms));
  auto held = handler.take(1);
  const auto left = held[0].context.deadline - std::chrono::steady_clock::now();
  EXPECT_LE(left, 500ms) << "the client's deadline, not the server's";
  std::promise<void> told;
  const std::stop_callback on_gone(held[0].context.gone, [&] { told.set_value(); });
  EXPECT_EQ(answer.get().error().code, Code::deadline_exceeded);
  ASSERT_EQ(told.get_future().wait_for(10s), std::future_status::ready);
  EXPECT_TRUE(held[0].context.cancelled());
  held[0].respond(PublicDecryptionResponse{});  // too late, and harmless
  EXPECT_EQ(client.get_health_status().error().code, Code::unimplemented);
}

TEST(ServerTest, TheServersTimeoutEndsACallWithoutADeadline) {
  HoldingHandler handler;
  ServerOptions options = on_any_port();
  options.rpc_timeout = 150ms;
  const auto server = start(handler, options);
  const auto stub = kms_service::v1::CoreServiceEndpoint::NewStub(
      grpc::CreateChannel(address_of(*server), grpc::InsecureChannelCredentials()));
  grpc::ClientContext context;
  kms::v1::PublicDecryptionResponse response;
  const grpc::Status status = stub->PublicDecryptSync(&context, {}, &response);
  EXPECT_EQ(status.error_code(), grpc::DEADLINE_EXCEEDED);
  EXPECT_EQ(status.error_message(), "not answered within 150 ms");
  auto held = handler.take(1);
  EXPECT_TRUE(held[0].context.cancelled());
}

TEST(ServerTest, ACallThatSendsNoMessageEndsByTheTimeoutAndTakesNoHandler) {
  HoldingHandler handler;
  ServerOptions options = on_any_port();
  options.rpc_timeout = 150ms;
  const auto server = start(handler, options);
  // A stream where a single message is expected: nothing is ever written.
  const auto channel = grpc::CreateChannel(address_of(*server), grpc::InsecureChannelCredentials());
  grpc::ClientContext context;
  const grpc::internal::RpcMethod method("/kms_service.v1.CoreServiceEndpoint/PublicDecryptSync",
                                         grpc::internal::RpcMethod::BIDI_STREAMING, channel);
  const std::unique_ptr<grpc::ClientReaderWriter<kms::v1::Empty, kms::v1::Empty>> stream(
      grpc::internal::ClientReaderWriterFactory<kms::v1::Empty, kms::v1::Empty>::Create(channel.get(), method,
                                                                                        &context));
  kms::v1::Empty message;
  EXPECT_FALSE(stream->Read(&message));
  EXPECT_EQ(stream->Finish().error_code(), grpc::DEADLINE_EXCEEDED);
  EXPECT_EQ(handler.waiting(), 0u);

  grpc::ClientContext closing;
  const std::unique_ptr<grpc::ClientReaderWriter<kms::v1::Empty, kms::v1::Empty>> closed(
      grpc::internal::ClientReaderWriterFactory<kms::v1::Empty, kms::v1::Empty>::Create(channel.get(), method,
                                                                                        &closing));
  closed->WritesDone();
  EXPECT_FALSE(closed->Read(&message));
  EXPECT_EQ(closed->Finish().error_code(), grpc::INVALID_ARGUMENT);
}

TEST(ServerTest, CancellationByTheClientIsSeenOnBothSides) {
  HoldingHandler handler;
  const auto server = start(handler);
  const KmsClient client = client_of(*server);
  std::stop_source stop;
  CallOptions options;
  options.stop = stop.get_token();
  auto answer = decrypt_async(client, "cancelled", options);
  auto held = handler.take(1);
  std::promise<void> told;
  const std::stop_callback on_gone(held[0].context.gone, [&] { told.set_value(); });
  stop.request_stop();
  EXPECT_EQ(answer.get().error().code, Code::cancelled);
  ASSERT_EQ(told.get_future().wait_for(10s), std::future_status::ready);
  EXPECT_EQ(decrypt_async(client, "cancelled before", options).get().error().code, Code::cancelled);
}

TEST(ServerTest, ManyCallsAtOnceGetEachItsOwnAnswer) {
  HoldingHandler handler;
  const auto server = start(handler);
  const KmsClient client = client_of(*server);
  constexpr std::size_t kCalls = 200;
  auto first = decrypt_async(client, "first");  // bursts on a connection that is being made are not what this is about
  handler.take(1).at(0).respond(PublicDecryptionResponse{});
  ASSERT_TRUE(first.get());
  std::vector<std::future<Result<PublicDecryptionResponse>>> answers;
  for (std::size_t i = 0; i < kCalls; ++i) answers.push_back(decrypt_async(client, std::to_string(i)));
  auto held = handler.take(kCalls);
  ASSERT_EQ(held.size(), kCalls);
  std::ranges::reverse(held);
  for (auto& call : held) {
    PublicDecryptionResponse response;
    append(response.extra_data, *call.request.request_id);
    call.respond(response);
  }
  for (std::size_t i = 0; i < kCalls; ++i) {
    const auto result = answers[i].get();
    ASSERT_TRUE(result) << result.error().message;
    EXPECT_EQ(std::string(result->extra_data.begin(), result->extra_data.end()), std::to_string(i));
  }
}

TEST(ServerTest, CallsAboveTheLimitAreRefusedAndPlacesBecomeFreeAgain) {
  HoldingHandler handler;
  ServerOptions options = on_any_port();
  options.max_concurrent_calls = 3;
  const auto server = start(handler, options);
  const KmsClient client = client_of(*server);
  std::vector<std::future<Result<PublicDecryptionResponse>>> answers;
  for (int i = 0; i < 3; ++i) answers.push_back(decrypt_async(client, "held"));
  auto held = handler.take(3);
  const auto refused = client.public_decrypt_sync(request_of("one too many"));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::resource_exhausted);
  EXPECT_TRUE(client.serving("").value()) << "health does not count";
  for (auto& call : held) call.respond(PublicDecryptionResponse{});
  for (auto& answer : answers) EXPECT_TRUE(answer.get());
  held.clear();
  for (int i = 0; i < 10; ++i) {
    auto answer = decrypt_async(client, "again");
    handler.take(1)[0].respond(PublicDecryptionResponse{});
    EXPECT_TRUE(answer.get());
  }
}

TEST(ServerTest, DecryptionsLeaveRoomForOtherCalls) {
  HoldingHandler handler;
  ServerOptions options = on_any_port();
  options.max_decryption_calls = 2;
  const auto server = start(handler, options);
  const KmsClient client = client_of(*server);
  std::vector<std::future<Result<PublicDecryptionResponse>>> answers;
  for (int i = 0; i < 2; ++i) answers.push_back(decrypt_async(client, "held"));
  auto held = handler.take(2);
  for (const auto& code : {client.public_decrypt_sync(request_of("one too many")).error().code,
                           client.public_decrypt(request_of("one too many")).error().code})
    EXPECT_EQ(code, Code::resource_exhausted);
  EXPECT_NE(client.get_health_status().error().code, Code::resource_exhausted) << "an operator is not locked out";
  for (auto& call : held) call.respond(PublicDecryptionResponse{});
  for (auto& answer : answers) EXPECT_TRUE(answer.get());
  held.clear();
  auto answer = decrypt_async(client, "again");
  handler.take(1)[0].respond(PublicDecryptionResponse{});
  EXPECT_TRUE(answer.get());
}

/// Tries until a call gets a place, and answers it.
bool gets_a_place(const KmsClient& client, HoldingHandler& handler) {
  for (int i = 0; i < 1000; ++i) {
    auto answer = decrypt_async(client, "again");
    while (handler.waiting() == 0 && answer.wait_for(1ms) != std::future_status::ready) {
    }
    if (handler.waiting() > 0) handler.take(1)[0].respond(PublicDecryptionResponse{});
    if (answer.get()) return true;
  }
  return false;
}

TEST(ServerTest, WorkThatGoesOnAfterItsCallStillCounts) {
  HoldingHandler handler;
  ServerOptions options = on_any_port();
  options.max_concurrent_calls = 2;
  const auto server = start(handler, options);
  const KmsClient client = client_of(*server);
  std::vector<HoldingHandler::Held> held;
  for (int i = 0; i < 2; ++i) {
    std::stop_source stop;
    CallOptions call;
    call.stop = stop.get_token();
    auto answer = decrypt_async(client, "left alone", call);
    held.push_back(std::move(handler.take(1)[0]));
    stop.request_stop();
    EXPECT_EQ(answer.get().error().code, Code::cancelled);
  }
  EXPECT_EQ(client.public_decrypt_sync(request_of("one too many")).error().code, Code::resource_exhausted);
  held.clear();
  EXPECT_TRUE(gets_a_place(client, handler));
}

TEST(ServerTest, RequestBytesCountUntilTheWorkHasEnded) {
  HoldingHandler handler;
  ServerOptions options = on_any_port();
  options.max_message_bytes = 1 << 20;
  options.max_request_bytes_in_flight = 1 << 20;
  const auto server = start(handler, options);
  const KmsClient client = client_of(*server);
  auto large = request_of("large");
  large.extra_data.resize(700'000);
  auto first = std::async(std::launch::async, [&] { return client.public_decrypt_sync(large); });
  auto held = handler.take(1);
  const auto refused = client.public_decrypt_sync(large);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::resource_exhausted);
  held[0].respond(PublicDecryptionResponse{});
  EXPECT_TRUE(first.get());
  EXPECT_EQ(client.public_decrypt_sync(large).error().code, Code::resource_exhausted) << "the handler still has it";
  held.clear();
  EXPECT_TRUE(gets_a_place(client, handler));
}

// gRPC would inflate a message in memory before it compares its size with any limit.
/// Reports of calls, as they come.
class Reports {
 public:
  struct Seen {
    std::string method;
    std::optional<Code> error;
    std::size_t request_bytes, response_bytes;
  };
  std::function<void(const CallReport&)> sink() {
    return [this](const CallReport& report) {
      EXPECT_GE(report.took.count(), 0);
      const std::lock_guard lock(mutex_);
      seen_.push_back({std::string(report.method), report.error, report.request_bytes, report.response_bytes});
      arrived_.notify_all();
    };
  }
  /// Waits until there are so many, and gives them all: who has its answer may be faster than another call's report.
  std::vector<Seen> take(std::size_t count) {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(arrived_.wait_for(lock, 20s, [&] { return seen_.size() >= count; })) << seen_.size();
    EXPECT_EQ(seen_.size(), count);
    seen_.resize(count);
    return std::exchange(seen_, {});
  }

 private:
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::vector<Seen> seen_;
};

TEST(ServerTest, EachCallOfAServedMethodIsReportedOnceWithItsOutcome) {
  Reports reports;
  HoldingHandler handler;
  ServerOptions options = on_any_port();
  options.on_call_end = reports.sink();
  const auto server = start(handler, options);
  const KmsClient client = client_of(*server);
  auto answer = decrypt_async(client, "abc");
  const PublicDecryptionResponse response = sample<PublicDecryptionResponse>("kms.v1.PublicDecryptionResponse");
  handler.take(1)[0].respond(response);
  EXPECT_TRUE(answer.get());
  auto calls = reports.take(1);
  EXPECT_EQ(calls[0].method, "/kms_service.v1.CoreServiceEndpoint/PublicDecryptSync");
  EXPECT_EQ(calls[0].error, std::nullopt);
  EXPECT_EQ(calls[0].request_bytes, encode(request_of("abc")).size());
  EXPECT_EQ(calls[0].response_bytes, encode(response).size());

  EXPECT_EQ(client.get_health_status().error().code, Code::unimplemented);
  EXPECT_FALSE(client.call_raw("/kms_service.v1.CoreServiceEndpoint/NoSuchMethod", {}));
  EXPECT_EQ(client.call_raw("/kms_service.v1.CoreServiceEndpoint/KeyGen", Bytes(100, 0xff)).error().code,
            Code::invalid_argument);
  calls = reports.take(2);  // what is not served has no report: anybody can make up names
  EXPECT_EQ(calls[0].method, "/kms_service.v1.CoreServiceEndpoint/GetHealthStatus");
  EXPECT_EQ(calls[0].error, Code::unimplemented);
  EXPECT_EQ(calls[1].error, Code::invalid_argument);
  EXPECT_EQ(calls[1].request_bytes, 100u);
  EXPECT_EQ(calls[1].response_bytes, 0u);

  EXPECT_EQ(client.public_decrypt_sync(request_of("ghi"), within(100ms)).error().code, Code::deadline_exceeded);
  calls = reports.take(1);
  EXPECT_TRUE(calls[0].error == Code::cancelled || calls[0].error == Code::deadline_exceeded);
}

TEST(ServerTest, ARefusedCallIsReportedToo) {
  Reports reports;
  HoldingHandler handler;
  ServerOptions options = on_any_port();
  options.max_concurrent_calls = 1;
  options.on_call_end = reports.sink();
  const auto server = start(handler, options);
  const KmsClient client = client_of(*server);
  auto answer = decrypt_async(client, "abc");
  auto held = handler.take(1);
  EXPECT_EQ(client.public_decrypt_sync(request_of("def")).error().code, Code::resource_exhausted);
  const auto calls = reports.take(1);
  EXPECT_EQ(calls[0].error, Code::resource_exhausted);
  EXPECT_EQ(calls[0].request_bytes, 0u) << "nothing of it was read";
  held[0].respond(sample<PublicDecryptionResponse>("kms.v1.PublicDecryptionResponse"));
  EXPECT_TRUE(answer.get());
  EXPECT_EQ(reports.take(1)[0].error, std::nullopt);
}

TEST(ServerTest, CompressedMessagesAreRefusedUnread) {
  HoldingHandler handler;
  const auto server = start(handler);
  const auto channel = grpc::CreateChannel(address_of(*server), grpc::InsecureChannelCredentials());
  kms_service::v1::CoreServiceEndpoint::Stub core(channel);
  for (const auto algorithm : {GRPC_COMPRESS_GZIP, GRPC_COMPRESS_DEFLATE}) {
    grpc::ClientContext context;
    context.set_compression_algorithm(algorithm);
    kms::v1::PublicDecryptionRequest request;
    request.set_extra_data(std::string(1 << 20, '\0'));
    kms::v1::PublicDecryptionResponse response;
    const auto status = core.PublicDecryptSync(&context, request, &response);
    EXPECT_EQ(status.error_code(), grpc::UNIMPLEMENTED) << status.error_message();
  }
  EXPECT_EQ(handler.waiting(), 0u);
  EXPECT_TRUE(gets_a_place(client_of(*server), handler));
}

TEST(ServerTest, ShutdownLetsCallsFinishWithinItsGrace) {
  HoldingHandler handler;
  const auto server = start(handler);
  const KmsClient client = client_of(*server);
  auto answer = decrypt_async(client, "finishes");
  auto held = handler.take(1);
  std::thread stopper([&] { server->shutdown(20s); });
  // New calls are refused while the old one goes on.
  while (true) {
    const auto refused = client.get_health_status();
    if (refused.error().code == Code::unavailable) break;
    ASSERT_EQ(refused.error().code, Code::unimplemented);
    std::this_thread::sleep_for(1ms);
  }
  EXPECT_EQ(client.serving("").value(), false);
  held[0].respond(PublicDecryptionResponse{});
  EXPECT_TRUE(answer.get());
  stopper.join();
}

TEST(ServerTest, ShutdownEndsTheCallsThatDoNotFinishAsUnavailable) {
  HoldingHandler handler;
  auto server = start(handler);
  const KmsClient client = client_of(*server);
  std::vector<std::future<Result<PublicDecryptionResponse>>> answers;
  for (int i = 0; i < 20; ++i) answers.push_back(decrypt_async(client, "in flight"));
  auto held = handler.take(20);
  const auto before = std::chrono::steady_clock::now();
  server->shutdown(50ms);
  EXPECT_LT(std::chrono::steady_clock::now() - before, 10s);
  for (auto& answer : answers) {
    const auto result = answer.get();
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, Code::unavailable) << "the connector tries again after this code";
    EXPECT_THAT(result.error().message, HasSubstr("shutting down"));
  }
  for (auto& call : held) EXPECT_TRUE(call.context.cancelled());
  server.reset();
  for (auto& call : held) call.respond(PublicDecryptionResponse{});  // nobody is there any more
  EXPECT_EQ(client.get_health_status().error().code, Code::unavailable);
}

TEST(ServerTest, HealthTellsTheStateOfEachService) {
  HoldingHandler handler;
  const auto server = start(handler);
  const KmsClient client = client_of(*server);
  const std::string core = "kms_service.v1.CoreServiceEndpoint", peers = "ddec_networking.gnetworking";
  EXPECT_TRUE(client.serving("").value());
  EXPECT_EQ(client.serving(core).error().code, Code::not_found);
  server->set_serving(core, true);
  server->set_serving(peers, false);
  EXPECT_TRUE(client.serving(core).value());
  EXPECT_FALSE(client.serving(peers).value());
  server->set_serving(core, false);
  server->set_serving(peers, true);
  server->set_serving("", false);
  EXPECT_FALSE(client.serving(core).value());
  EXPECT_TRUE(client.serving(peers).value());
  EXPECT_FALSE(client.serving("").value());
}

TEST(ServerTest, HealthCanBeWatched) {
  HoldingHandler handler;
  const auto server = start(handler);
  const auto stub =
      grpc::health::v1::Health::NewStub(grpc::CreateChannel(address_of(*server), grpc::InsecureChannelCredentials()));
  grpc::ClientContext context;
  grpc::health::v1::HealthCheckRequest request;
  request.set_service("a");
  const auto stream = stub->Watch(&context, request);
  grpc::health::v1::HealthCheckResponse response;
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_EQ(response.status(), grpc::health::v1::HealthCheckResponse::SERVICE_UNKNOWN);
  server->set_serving("a", true);
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_EQ(response.status(), grpc::health::v1::HealthCheckResponse::SERVING);
  server->shutdown(0ms);
  while (stream->Read(&response)) EXPECT_EQ(response.status(), grpc::health::v1::HealthCheckResponse::NOT_SERVING);
  stream->Finish();
}

TEST(ServerTest, ExtraMethodsShareThePort) {
  HoldingHandler handler;
  const auto request_sample = sample<KeyGenRequest>("kms.v1.KeyGenRequest");
  const auto result_sample = sample<KeyGenResult>("kms.v1.KeyGenResult");
  ExtraMethods extra;
  const std::string prefix = "/kms_service.v1.CoreServiceEndpoint/";
  extra[prefix + "InsecureKeyGen"] =
      raw_method<KeyGenRequest, Empty>([&](KeyGenRequest request, CallContext, Responder<Empty> respond) {
        if (request == request_sample) return respond(Empty{});
        respond(fail(Code::failed_precondition, "another request"));
      });
  extra[prefix + "GetInsecureKeyGenResult"] =
      raw_method<IdRequest, KeyGenResult>([&](IdRequest, CallContext, Responder<KeyGenResult> respond) {
        std::thread([respond, result_sample] { respond(result_sample); }).detach();
      });
  extra["/test.Faults/Echo"] = [](ByteView request, CallContext, Responder<Bytes> respond) {
    respond(Bytes(request.begin(), request.end()));
  };
  const auto server = start(handler, on_any_port(), extra);
  const KmsClient client = client_of(*server);
  EXPECT_TRUE(client.insecure_key_gen(request_sample));
  EXPECT_EQ(client.insecure_key_gen({}).error().code, Code::failed_precondition);
  EXPECT_EQ(client.get_insecure_key_gen_result({"id"}).value(), result_sample);
  EXPECT_EQ(client.call_raw("/test.Faults/Echo", Bytes{5, 6, 7}).value(), (Bytes{5, 6, 7}));
  EXPECT_EQ(client.call_raw(prefix + "InsecureKeyGen", Bytes{0xff}).error().code, Code::invalid_argument);
  EXPECT_EQ(client.insecure_key_gen_preproc({}).error().code, Code::unimplemented) << "not in this table";

  ExtraMethods clash;
  clash[prefix + "KeyGen"] = extra["/test.Faults/Echo"];
  EXPECT_EQ(ApiServer::start(on_any_port(), handler, clash).error().code, Code::invalid_argument);
}

TEST(ServerTest, APortInUseIsToldWithItsNumber) {
  HoldingHandler handler;
  const auto server = start(handler);
  ServerOptions options;
  options.port = server->port();
  const auto second = ApiServer::start(options, handler);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Code::unavailable);
  EXPECT_THAT(second.error().message,
              AllOf(HasSubstr(std::to_string(server->port())), HasSubstr("Address already in use")));
  EXPECT_EQ(client_of(*server).get_health_status().error().code, Code::unimplemented) << "the first one serves on";
}

TEST(ServerTest, AddressesThatAreNotOursAreToldWithTheReason) {
  HoldingHandler handler;
  for (const auto& [address, code] : {std::pair{"192.0.2.1", Code::unavailable},  // TEST-NET-1, RFC 5737
                                      {"no.such.host.invalid", Code::unavailable},
                                      {"", Code::invalid_argument},
                                      {"unix:/tmp/x", Code::invalid_argument}}) {
    ServerOptions options = on_any_port();
    options.address = address;
    const auto server = ApiServer::start(options, handler);
    ASSERT_FALSE(server) << address;
    EXPECT_EQ(server.error().code, code) << address << ": " << server.error().message;
    EXPECT_THAT(server.error().message, HasSubstr(address));
  }
}

TEST(ServerTest, OptionsOutOfRangeAreInvalidArgument) {
  HoldingHandler handler;
  const auto refused = [&](auto change) {
    ServerOptions options = on_any_port();
    change(options);
    const auto server = ApiServer::start(options, handler);
    return !server && server.error().code == Code::invalid_argument;
  };
  EXPECT_TRUE(refused([](ServerOptions& o) { o.max_message_bytes = 0; }));
  EXPECT_TRUE(refused([](ServerOptions& o) { o.max_message_bytes = std::size_t{1} << 31; }));
  EXPECT_TRUE(refused([](ServerOptions& o) { o.max_concurrent_calls = 0; }));
  EXPECT_TRUE(refused([](ServerOptions& o) { o.max_decryption_calls = 0; }));
  EXPECT_TRUE(refused([](ServerOptions& o) { o.rpc_timeout = 0ms; }));
  EXPECT_TRUE(refused([](ServerOptions& o) { o.max_request_bytes_in_flight = o.max_message_bytes - 1; }));
}

TEST(ServerTest, ThePortIsFreeAfterwardsAtOnce) {
  HoldingHandler handler;
  std::uint16_t port = 0;
  for (int i = 0; i < 3; ++i) {
    ServerOptions options;
    options.port = port;
    const auto server = start(handler, options);
    ASSERT_TRUE(server);
    port = server->port();
    EXPECT_EQ(client_of(*server).get_health_status().error().code, Code::unimplemented);
  }
}

TEST(ClientTest, NobodyThereIsUnavailableWithTheAddress) {
  ClientOptions options;
  options.address = "127.0.0.1:1";
  const KmsClient client(options);
  const auto result = client.get_health_status();
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Code::unavailable);
  EXPECT_THAT(result.error().message, HasSubstr("127.0.0.1:1"));
}

TEST(ClientTest, WaitForReadyMeetsAServerThatStartsLater) {
  HoldingHandler handler;
  auto first = start(handler);
  ServerOptions options;
  options.port = first->port();
  const KmsClient client = client_of(*first);
  first.reset();
  CallOptions wait;
  wait.wait_for_ready = true;
  auto answer = std::async(std::launch::async, [&] { return client.serving("", wait); });
  EXPECT_EQ(answer.wait_for(50ms), std::future_status::timeout);
  const auto second = start(handler, options);
  EXPECT_TRUE(answer.get().value());
}

TEST(ClientTest, AnAnswerThatIsNoMessageIsInternal) {
  HoldingHandler handler;
  ExtraMethods extra;
  extra["/kms_service.v1.CoreServiceEndpoint/InsecureKeyGen"] = [](ByteView, CallContext, Responder<Bytes> respond) {
    respond(Bytes{0xff, 0xff});
  };
  const auto server = start(handler, on_any_port(), extra);
  EXPECT_EQ(client_of(*server).insecure_key_gen({}).error().code, Code::internal);
}

}  // namespace
}  // namespace witan::api
