#include "api/server.h"

#include <grpcpp/alarm.h>
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/resource_quota.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <set>

#include "api/grpc_bytes.h"
#include "api/listen_address.h"
#include "api/methods.h"
#include "base/check.h"
#include "base/log.h"

namespace witan::api {
namespace {

using Clock = std::chrono::steady_clock;

/// What gRPC itself needs beside the requests.
constexpr std::size_t kQuotaBaseBytes = std::size_t{256} << 20;
constexpr auto kFlushTime = std::chrono::seconds(1);
constexpr int kKeepaliveMs = 30000;
constexpr int kMinPingIntervalMs = 5000;
constexpr int kIdleConnectionMs = 300'000;  // without a call

class Call;
class Admission;

/// The tie between a call and those who may end it: the responder, the timer, gRPC's cancellation, shutdown. Whoever
/// takes the pointer ends the call; the call lives until then. The link lives as long as the handler's work, which may be longer
/// than the call: so long it counts against the limits.
class CallLink {
 public:
  CallLink(Call& call, std::shared_ptr<Admission> admission, bool brings_ciphertexts)
      : call_(&call), admission_(std::move(admission)), brings_ciphertexts_(brings_ciphertexts) {}
  ~CallLink();
  CallLink(const CallLink&) = delete;
  CallLink& operator=(const CallLink&) = delete;
  /// Counts the request's bytes. Error: resource_exhausted.
  Status admit_bytes(std::size_t size);
  void answer(Result<Bytes> result);
  /// Nobody waits for the handler's answer any more.
  void abandon(Error error);
  std::stop_token gone() const { return gone_.get_token(); }

 private:
  Call* take() {
    const std::lock_guard lock(mutex_);
    return std::exchange(call_, nullptr);
  }
  std::mutex mutex_;
  Call* call_;
  std::stop_source gone_;
  const std::shared_ptr<Admission> admission_;
  const bool brings_ciphertexts_;
  std::size_t bytes_ = 0;
  bool admitted_ = false;
  friend class Admission;
};

/// Counts calls and request bytes against their limits until the work for them has ended, and knows the running calls.
class Admission {
 public:
  explicit Admission(const ServerOptions& options) : options_(options) {}

  Status admit(const std::shared_ptr<CallLink>& link) {
    const std::lock_guard lock(mutex_);
    if (closing_) return fail(Code::unavailable, "this node is shutting down");
    if (working_ >= options_.max_concurrent_calls)
      return fail(Code::resource_exhausted, "{} calls are being worked on, the limit of this node", working_);
    if (link->brings_ciphertexts_ && decrypting_ >= options_.max_decryption_calls)
      return fail(Code::resource_exhausted,
                  "the node is busy: {} calls for decryptions are being worked on, its limit; try again later",
                  decrypting_);
    running_.insert(link);
    link->admitted_ = true;
    ++working_;
    decrypting_ += link->brings_ciphertexts_;
    return {};
  }
  void leave(const std::shared_ptr<CallLink>& link) {
    const std::lock_guard lock(mutex_);
    running_.erase(link);
    if (running_.empty()) idle_.notify_all();
  }
  void work_ended(bool brought_ciphertexts) {
    const std::lock_guard lock(mutex_);
    --working_;
    decrypting_ -= brought_ciphertexts;
  }
  Status admit_bytes(std::size_t size) {
    const std::lock_guard lock(mutex_);
    if (size > options_.max_request_bytes_in_flight - bytes_)
      return fail(Code::resource_exhausted, "requests of {} bytes are being worked on, the limit of this node is {}",
                  bytes_, options_.max_request_bytes_in_flight);
    bytes_ += size;
    return {};
  }
  void release_bytes(std::size_t size) {
    const std::lock_guard lock(mutex_);
    bytes_ -= size;
  }

  void close() {
    const std::lock_guard lock(mutex_);
    closing_ = true;
  }
  /// Waits until no call runs; afterwards ends those that still do.
  void drain(std::chrono::milliseconds grace) {
    std::set<std::shared_ptr<CallLink>> left;
    {
      std::unique_lock lock(mutex_);
      idle_.wait_for(lock, grace, [&] { return running_.empty(); });
      left = running_;
    }
    for (const auto& link : left) link->abandon(Error{Code::unavailable, "this node is shutting down"});
  }

 private:
  const ServerOptions options_;
  std::mutex mutex_;
  std::condition_variable idle_;
  std::set<std::shared_ptr<CallLink>> running_;  // not ended yet
  std::size_t working_ = 0, decrypting_ = 0, bytes_ = 0;
  bool closing_ = false;
};

CallLink::~CallLink() {
  if (bytes_ > 0) admission_->release_bytes(bytes_);
  if (admitted_) admission_->work_ended(brings_ciphertexts_);
}

Status CallLink::admit_bytes(std::size_t size) {
  WITAN_TRY(admission_->admit_bytes(size));
  bytes_ = size;
  return {};
}

/// Answers with an error and reads nothing.
class Refusal final : public grpc::ServerGenericBidiReactor {
 public:
  explicit Refusal(const Error& error) { Finish(to_status(error)); }
  void OnDone() override { delete this; }
};

/// One unary call, served as the generic stream "one message in, one message out":
///
///   start() -> reading --OnReadDone--> running --answer--> ended --OnDone--> deleted
///                 \________timeout, cancellation, shutdown____/
///
/// Its references to the method table, the options and the Admission are valid until OnDone: the server waits for that.
class Call final : public grpc::ServerGenericBidiReactor {
 public:
  Call(const std::shared_ptr<Admission>& admission, const ExtraMethods::value_type& method,
       const std::function<void(const CallReport&)>& on_end, grpc::CallbackServerContext& context,
       Clock::time_point deadline)
      : admission_(*admission),
        method_(method),
        on_end_(on_end),
        context_(context),
        deadline_(deadline),
        link_(std::make_shared<CallLink>(*this, admission, brings_ciphertexts(method.first))) {}

  const std::shared_ptr<CallLink>& link() const { return link_; }

  void start(std::chrono::milliseconds timeout) {
    alarm_.Set(std::chrono::system_clock::now() + timeout, [link = link_, timeout](bool expired) {
      if (!expired) return;
      link->abandon(Error{Code::deadline_exceeded, fmt::format("not answered within {} ms", timeout.count())});
    });
    StartRead(&request_);
  }

  void OnReadDone(bool ok) override {
    if (!ok) return link_->abandon(Error{Code::invalid_argument, "the call ended without a request message"});
    request_bytes_ = request_.Length();
    if (Status admitted = link_->admit_bytes(request_bytes_); !admitted) return link_->answer(fail(admitted.error()));
    run_method();
  }
  void OnCancel() override { link_->abandon(Error{Code::cancelled, "the client is gone"}); }
  void OnDone() override {
    admission_.leave(link_);
    delete this;
  }

  /// Once, by whoever took the call from its link.
  void end(Result<Bytes> result) {
    if (on_end_)
      on_end_({.method = method_.first,
               .error = result ? std::nullopt : std::optional(result.error().code),
               .took = Clock::now() - begun_,
               .request_bytes = request_bytes_,
               .response_bytes = result ? result->size() : 0});
    if (!result) return Finish(to_status(result.error()));
    response_ = to_buffer(*result);
    StartWriteAndFinish(&response_, grpc::WriteOptions(), grpc::Status::OK);
  }

 private:
  void run_method() {
    const auto wire = to_slice(request_);
    request_.Clear();
    if (!wire) return link_->answer(fail(wire.error()));
    method_.second(view_of(*wire), CallContext{context_.peer(), deadline_, link_->gone()},
                   Responder<Bytes>([link = link_](Result<Bytes> result) { link->answer(std::move(result)); }));
  }

  Admission& admission_;
  const ExtraMethods::value_type& method_;
  const std::function<void(const CallReport&)>& on_end_;
  grpc::CallbackServerContext& context_;
  const Clock::time_point begun_ = Clock::now();
  const Clock::time_point deadline_;
  const std::shared_ptr<CallLink> link_;
  grpc::Alarm alarm_;  // its destructor cancels it
  grpc::ByteBuffer request_, response_;
  // Written before the handler is called. Who ends the call earlier, by cancellation or deadline, may come at the same time.
  std::atomic<std::size_t> request_bytes_ = 0;
};

void CallLink::answer(Result<Bytes> result) {
  if (Call* call = take()) call->end(std::move(result));
}

void CallLink::abandon(Error error) {
  Call* call = take();
  if (call == nullptr) return;
  gone_.request_stop();  // first: when the client hears of it, the handler knows
  call->end(fail(std::move(error)));
}

class Service final : public grpc::CallbackGenericService {
 public:
  Service(const ServerOptions& options, ExtraMethods methods)
      : options_(options), methods_(std::move(methods)), admission_(std::make_shared<Admission>(options)) {}

  grpc::ServerGenericBidiReactor* CreateReactor(grpc::GenericCallbackServerContext* context) override {
    const auto method = methods_.find(context->method());
    if (method == methods_.end())
      return new Refusal(Error{Code::unimplemented, fmt::format("this node does not serve {}", context->method())});
    const auto timeout = options_.rpc_timeout;
    const auto remaining = context->deadline() - std::chrono::system_clock::now();
    const auto deadline = Clock::now() + std::min<std::chrono::nanoseconds>(remaining, timeout);
    auto call = std::make_unique<Call>(admission_, *method, options_.on_call_end, *context, deadline);
    if (Status admitted = admission_->admit(call->link()); !admitted) {
      if (options_.on_call_end) options_.on_call_end({.method = method->first, .error = admitted.error().code});
      return new Refusal(admitted.error());
    }
    call->start(timeout);
    return call.release();  // deletes itself in OnDone
  }

  Admission& admission() { return *admission_; }

 private:
  const ServerOptions options_;
  const ExtraMethods methods_;
  const std::shared_ptr<Admission> admission_;  // links may live longer than the server
};

Status check_options(const ServerOptions& options) {
  if (options.max_message_bytes == 0 || options.max_message_bytes > INT32_MAX)
    return fail(Code::invalid_argument, "the message limit is {} bytes, allowed are 1 to 2^31-1",
                options.max_message_bytes);
  if (options.max_concurrent_calls == 0 || options.max_decryption_calls == 0 ||
      options.rpc_timeout <= std::chrono::milliseconds(0))
    return fail(Code::invalid_argument, "the call limit and the timeout of the API must be positive");
  if (options.max_request_bytes_in_flight < options.max_message_bytes)
    return fail(Code::invalid_argument, "max_request_bytes_in_flight ({}) is below the message limit ({})",
                options.max_request_bytes_in_flight, options.max_message_bytes);
  return {};
}

Result<ExtraMethods> merge(ExtraMethods methods, ExtraMethods extra) {
  for (auto& [name, method] : extra) {
    if (methods.contains(name))
      return fail(Code::invalid_argument, "the extra method {} would replace one of the node's own", name);
    methods.emplace(name, std::move(method));
  }
  return methods;
}

}  // namespace

class ApiServer::Impl {
 public:
  Impl(const ServerOptions& options, ExtraMethods methods) : service_(options, std::move(methods)) {}

  Status start(const ServerOptions& options) {
    WITAN_ASSIGN(const std::string address, listen_address(options.address, options.port));
    WITAN_TRY(check_can_listen(options.address, options.port));
    grpc::EnableDefaultHealthCheckService(true);
    grpc::ServerBuilder builder;
    builder.AddListeningPort(address, grpc::InsecureServerCredentials(), &port_);
    builder.RegisterCallbackGenericService(&service_);
    builder.SetMaxReceiveMessageSize(static_cast<int>(options.max_message_bytes));
    builder.SetMaxSendMessageSize(static_cast<int>(options.max_message_bytes));
    grpc::ResourceQuota quota("witan-api");
    quota.Resize(options.max_request_bytes_in_flight + kQuotaBaseBytes);
    builder.SetResourceQuota(quota);
    builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);  // a second node on this port is an error, not a twin
    // A small message cannot become a large one: gRPC would inflate it before any limit of ours.
    builder.AddChannelArgument(GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, 0);
    builder.SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_DEFLATE, false);
    builder.SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_GZIP, false);
    builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_IDLE_MS, kIdleConnectionMs);
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
    builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, kMinPingIntervalMs);
    server_ = builder.BuildAndStart();
    if (!server_ || port_ == 0) return fail(Code::unavailable, "cannot listen on {}", address);
    return {};
  }

  ~Impl() { shutdown(std::chrono::milliseconds(0)); }

  std::uint16_t port() const { return static_cast<std::uint16_t>(port_); }
  void set_serving(const std::string& service, bool serving) {
    server_->GetHealthCheckService()->SetServingStatus(service, serving);
  }

  void shutdown(std::chrono::milliseconds grace) {
    if (!server_ || std::exchange(stopped_, true)) return;
    server_->GetHealthCheckService()->Shutdown();
    service_.admission().close();
    service_.admission().drain(grace);
    server_->Shutdown(std::chrono::system_clock::now() + kFlushTime);
    server_->Wait();
  }

 private:
  Service service_;
  std::unique_ptr<grpc::Server> server_;  // destroyed before the service
  int port_ = 0;
  bool stopped_ = false;
};

ApiServer::ApiServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ApiServer::~ApiServer() = default;

Result<std::unique_ptr<ApiServer>> ApiServer::start(const ServerOptions& options, KmsHandler& handler,
                                                    ExtraMethods extra) {
  WITAN_TRY(check_options(options));
  WITAN_ASSIGN(ExtraMethods methods, merge(methods_of(handler), std::move(extra)));
  auto impl = std::make_unique<Impl>(options, std::move(methods));
  WITAN_TRY(impl->start(options));
  return std::unique_ptr<ApiServer>(new ApiServer(std::move(impl)));
}

std::uint16_t ApiServer::port() const {
  return impl_->port();
}
void ApiServer::set_serving(const std::string& service, bool serving) {
  impl_->set_serving(service, serving);
}
void ApiServer::shutdown(std::chrono::milliseconds grace) {
  impl_->shutdown(grace);
}

}  // namespace witan::api
