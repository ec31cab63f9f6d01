#include <algorithm>

#include "runtime/event.h"
#include "transport/impl.h"
#include "witan_transport.grpc.pb.h"

namespace witan::transport {

using SteadyClock = std::chrono::steady_clock;

/// All pings of one question; belongs to the loop thread.
struct Transport::Impl::PingRound {
  explicit PingRound(runtime::Loop& loop) : done(loop) {}
  runtime::Event done;
  std::size_t left = 0;
  std::vector<PingResult> results;
};

struct Transport::Impl::PingCall {
  PingCall(PeerEntry& p, std::shared_ptr<PingRound> r, std::chrono::milliseconds t)
      : peer(p), round(std::move(r)), timeout(t), deadline(std::chrono::system_clock::now() + t) {}
  PeerEntry& peer;
  std::shared_ptr<PingRound> round;
  const std::chrono::milliseconds timeout;
  const std::chrono::system_clock::time_point deadline;
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<v1::PeerService::Stub> stub;
  std::shared_ptr<grpc::ClientContext> context;  // of the call under way
  v1::PingRequest request;
  v1::PingResponse response;
  grpc::Status status;
  std::unique_ptr<grpc::ClientAsyncResponseReader<v1::PingResponse>> reader;
  SteadyClock::time_point begun;
  bool connecting = false;  // this call opens the connection: its time says nothing
};

grpc::Status Transport::Impl::answer_ping(grpc::ServerContext& context, const v1::PingRequest& request,
                                          v1::PingResponse& response) {
  const auto role = authenticate(context);
  if (!role || request.role() != static_cast<std::uint32_t>(role->number()))
    return {grpc::StatusCode::UNAUTHENTICATED, "refused"};
  if (!std::ranges::equal(as_bytes(request.context()), config_.context.view()))
    return {grpc::StatusCode::FAILED_PRECONDITION, "another committee"};
  response.set_role(static_cast<std::uint32_t>(config_.self.number()));
  return grpc::Status::OK;
}

/// The connection for pings to that peer, or a new one: an old one that failed would repeat its old failure.
std::shared_ptr<grpc::Channel> Transport::Impl::ping_channel(PeerEntry& peer) {
  const std::lock_guard lock(mutex_);
  const auto state = peer.ping_channel ? peer.ping_channel->GetState(false) : GRPC_CHANNEL_SHUTDOWN;
  if (state == GRPC_CHANNEL_TRANSIENT_FAILURE || state == GRPC_CHANNEL_SHUTDOWN) peer.ping_channel = new_channel(peer);
  return peer.ping_channel;
}

void Transport::Impl::ping(const std::shared_ptr<PingCall>& call) {
  auto context = std::make_shared<grpc::ClientContext>();
  context->set_deadline(call->deadline);
  call->connecting = call->channel->GetState(false) != GRPC_CHANNEL_READY;
  call->begun = SteadyClock::now();
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) context->TryCancel();
    call->context = context;
    pings_.insert(call);
  }
  call->stub = v1::PeerService::NewStub(call->channel);
  call->reader = call->stub->PrepareAsyncPing(context.get(), call->request, &ping_queue_);
  call->reader->StartCall();
  call->reader->Finish(&call->response, &call->status, new std::shared_ptr<PingCall>(call));
}

/// A queue and a thread of our own: the queue that gRPC makes for callbacks was freed twice now and then when its last user went
/// (seen with the strategy "poll").
void Transport::Impl::collect_pings() {
  void* tag = nullptr;
  bool ok = false;
  while (ping_queue_.Next(&tag, &ok)) {
    const std::unique_ptr<std::shared_ptr<PingCall>> call(static_cast<std::shared_ptr<PingCall>*>(tag));
    ping_done(*call, (*call)->status);
  }
}

void Transport::Impl::ping_done(const std::shared_ptr<PingCall>& call, const grpc::Status& status) {
  if (status.ok() && call->connecting && call->channel->GetState(false) == GRPC_CHANNEL_READY) return ping(call);
  const auto took = SteadyClock::now() - call->begun;
  PingResult result{call->peer.config.role, call->peer.endpoint(), false, 0, ""};
  if (!status.ok()) {
    result.error = status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED
                       ? fmt::format("Timeout after {} s", std::chrono::duration<double>(call->timeout).count())
                       : "Error : " + printable(status.error_message());
  } else if (call->response.role() != static_cast<std::uint32_t>(result.role.number())) {
    result.error = fmt::format("Error : party {} answered", call->response.role());
  } else {
    result.reachable = true;
    result.latency_ms = static_cast<std::uint32_t>(std::chrono::round<std::chrono::milliseconds>(took).count());
  }
  // Under the lock: the loop lives as long as stop() waits for this ping.
  const std::lock_guard lock(mutex_);
  loop_.post([round = call->round, result = std::move(result)]() mutable {
    round->results.push_back(std::move(result));
    if (--round->left > 0) return;
    std::ranges::sort(round->results, {}, &PingResult::role);
    round->done.set();
  });
  pings_.erase(call);
  changed_.notify_all();
}

void Transport::Impl::cancel_pings() {
  std::vector<std::shared_ptr<grpc::ClientContext>> contexts;
  std::unique_lock lock(mutex_);
  for (const auto& call : pings_) contexts.push_back(call->context);
  lock.unlock();  // a cancelled call may be done before TryCancel returns
  for (const auto& context : contexts) context->TryCancel();
  lock.lock();
  changed_.wait(lock, [this] { return pings_.empty(); });
}

/// One round at a time: who asks while one is under way gets its results.
runtime::Task<std::vector<PingResult>> Transport::Impl::ping_all(std::chrono::milliseconds timeout) {
  if (const auto running = round_; running && !running->done.is_set()) {
    co_await running->done.wait();
    co_return running->results;
  }
  const auto round = round_ = std::make_shared<PingRound>(loop_);
  round->left = peers_.size();
  for (const auto& [role, entry] : peers_) {
    const auto call = std::make_shared<PingCall>(*entry, round, timeout);
    call->channel = ping_channel(*entry);
    call->request.set_context(config_.context.bytes().data(), config_.context.bytes().size());
    call->request.set_role(static_cast<std::uint32_t>(config_.self.number()));
    ping(call);
  }
  co_await round->done.wait();
  co_return round->results;
}

}  // namespace witan::transport
