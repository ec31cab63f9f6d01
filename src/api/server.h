// The plaintext gRPC endpoint of a node (service.md 1): kms_service.v1.CoreServiceEndpoint,
// metastore_status.v1.MetaStoreStatusService and grpc.health.v1.Health on one port.
//
// A call is admitted (bounded number of calls) before its message is read, decoded, handed to the KmsHandler, and ends at
// the first of: the handler's answer, the deadline, cancellation by the client, shutdown. Status codes are those of Error
// (base/error.h), the text is cut to 1024 bytes.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "api/codec.h"
#include "api/handler.h"

namespace witan::api {

/// A call that has ended.
struct CallReport {
  std::string_view method;    // full name, one of those that are served
  std::optional<Code> error;  // nothing: it was answered
  std::chrono::nanoseconds took{};
  std::size_t request_bytes = 0, response_bytes = 0;  // 0 without a message
};

struct ServerOptions {
  std::string address = "127.0.0.1";
  std::uint16_t port = 50100;                 // 0: any free one, told by ApiServer::port()
  std::size_t max_message_bytes = 104857600;  // of a request or response, at most 2^31-1
  std::size_t max_concurrent_calls = 10000;   // more: RESOURCE_EXHAUSTED, nothing of them is read
  /// Of these, calls that bring ciphertexts. More than can be worked on would share the connection, and all of them come late.
  std::size_t max_decryption_calls = 2500;
  std::size_t max_request_bytes_in_flight = std::size_t{1} << 30;  // requests being decoded; more: RESOURCE_EXHAUSTED
  std::chrono::milliseconds rpc_timeout =
      std::chrono::seconds(660);  // DEADLINE_EXCEEDED (service.md 4.2: timeout_secs + 300 s)
  /// Told of each call of a method that is served, refused ones included, by the thread that ends it; it must not block. Empty: nobody.
  std::function<void(const CallReport&)> on_call_end = {};
};

/// A method outside KmsHandler: the bytes of the request (valid during the call only) to the bytes of the response.
using RawMethod = std::function<void(ByteView request, CallContext context, Responder<Bytes> respond)>;
/// Full method name, e.g. "/kms_service.v1.CoreServiceEndpoint/InsecureKeyGen", to its method. An entry must not name a
/// method that KmsHandler has.
using ExtraMethods = std::map<std::string, RawMethod>;

/// A RawMethod from a method of plain structs:
///   extra["/kms_service.v1.CoreServiceEndpoint/InsecureKeyGen"] = raw_method<KeyGenRequest, Empty>(
///       [&](KeyGenRequest request, CallContext context, Responder<Empty> respond) { ... });
template <class Request, class Response>
RawMethod raw_method(std::function<void(Request, CallContext, Responder<Response>)> method) {
  return [method = std::move(method)](ByteView wire, CallContext context, const Responder<Bytes>& respond) {
    auto request = decode<Request>(wire);
    if (!request) return respond(fail(std::move(request).error()));
    method(std::move(*request), std::move(context), Responder<Response>([respond](Result<Response> response) {
             if (response)
               respond(encode(*response));
             else
               respond(fail(std::move(response).error()));
           }));
  };
}

class ApiServer {
 public:
  /// Starts serving. The handler must live until shutdown() has returned. Errors: unavailable (address not ours, port in
  /// use, with the system's reason), invalid_argument (options, or an extra method that the handler has).
  static Result<std::unique_ptr<ApiServer>> start(const ServerOptions& options, KmsHandler& handler,
                                                  ExtraMethods extra = {});
  /// shutdown() without grace.
  ~ApiServer();

  std::uint16_t port() const;

  /// grpc.health.v1: state of a service name ("" is the server as a whole; SERVING after start). Unknown names: NOT_FOUND.
  void set_serving(const std::string& service, bool serving);

  /// Reports NOT_SERVING, refuses new calls, lets running ones go on for `grace`, then ends them with UNAVAILABLE or
  /// CANCELLED. Afterwards no handler method runs; Responders that are still held do nothing. Not on a thread that the
  /// running calls need.
  void shutdown(std::chrono::milliseconds grace);

 private:
  class Impl;
  explicit ApiServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace witan::api
