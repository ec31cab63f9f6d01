#include "transport/transport.h"

#include <absl/synchronization/mutex.h>
#include <grpc/support/log.h>

#include <cstdlib>

#include "base/check.h"
#include "base/log.h"
#include "base/rng.h"
#include "base/thread_name.h"
#include "transport/check.h"
#include "transport/impl.h"

namespace witan::transport {
namespace {

constexpr int kHandshakeTimeoutMs = 10'000;
constexpr int kStreamsPerConnection = 8;
constexpr int kIdleConnectionMs = 60'000;  // without a stream or a ping: descriptors are not for keeping

/// gRPC's own errors, handshakes that failed among them, are lines of our log. Strangers can cause them: limited.
void log_of_grpc(gpr_log_func_args* args) {
  static auto* const limiter = new LogLimiter;  // gRPC's threads may outlive static objects
  const std::string line = "gRPC: " + printable(args->message);
  if (line.find("Failed accept4") != std::string::npos) {
    // This version then never listens on that port again. State is in the journal: a new process is whole.
    log::error("{}: a port of this node accepts nobody any more; the node ends, start it again", line);
    std::_Exit(1);
  }
  if (args->severity == GPR_LOG_SEVERITY_ERROR && limiter->allow(line, std::chrono::steady_clock::now()))
    log::warn("{}", line);
}

/// Settings that gRPC takes from the environment when it is used for the first time.
void prepare_grpc() {
  static const bool once = [] {
    gpr_set_log_function(log_of_grpc);
    // 1.51 cannot forbid TLS 1.2, but its suites can be chosen; those of 1.3 are not affected (channels.md 6.5).
    setenv("GRPC_SSL_CIPHER_SUITES", "ECDHE-ECDSA-AES256-GCM-SHA384", 1);
    // Debian's build of Abseil looks for deadlocks at each lock of gRPC; that is for those who debug gRPC.
    absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
    return true;
  }();
  (void)once;
}

}  // namespace

Transport::Impl::Impl(Config config, std::shared_ptr<const Verifier> verifier, runtime::Loop& loop)
    : config_(std::move(config)),
      verifier_(std::move(verifier)),
      loop_(loop),
      wake_writers_(loop, [this] { wake_writers(); }) {
  OsRng rng;
  process_ = rng.bytes<16>();
  for (const Peer& peer : config_.peers)
    peers_.emplace(peer.role, std::make_unique<PeerEntry>(peer, process_, config_.limits));
}

Status Transport::Impl::send(PeerEntry& peer, const runtime::Frame& frame, runtime::Lane lane) {
  WITAN_TRY(peer.state.lane(lane).enqueue(frame));
  peer.unannounced[static_cast<std::size_t>(lane)] = true;
  wake_writers_.request();
  return {};
}

void Transport::Impl::wake_writers() {
  for (auto& [role, peer] : peers_)
    for (const auto lane : {runtime::Lane::urgent, runtime::Lane::bulk})
      if (std::exchange(peer->unannounced[static_cast<std::size_t>(lane)], false)) peer->state.lane(lane).wake_writer();
}

Status Transport::Impl::start() {
  // gRPC keeps a copy of the key for as long as the credentials live.
  const std::string key_pem(config_.key_pem.reveal().begin(), config_.key_pem.reveal().end());
  for (auto& [role, peer] : peers_) {
    WITAN_ASSIGN(peer->credentials, channel_credentials(verifier_, {peer->config.identity, peer->config.host},
                                                        config_.certificate_pem, key_pem));
  }
  WITAN_ASSIGN(auto credentials, server_credentials(verifier_, config_.certificate_pem, key_pem));
  service_ = std::make_unique<PacketService>(
      [this](grpc::ServerContext& context, AcceptedStream& stream) { return accept(context, stream); },
      [this](grpc::ServerContext& context, const v1::PingRequest& request, v1::PingResponse& response) {
        return answer_ping(context, request, response);
      });

  grpc::ServerBuilder builder;
  int bound = 0;
  const bool ipv6 = config_.listen_address.find(':') != std::string::npos;
  builder.AddListeningPort(ipv6 ? fmt::format("[{}]:{}", config_.listen_address, config_.listen_port)
                                : fmt::format("{}:{}", config_.listen_address, config_.listen_port),
                           credentials, &bound);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_IDLE_MS, kIdleConnectionMs);
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kStreamsPerConnection);
  builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, kHandshakeTimeoutMs);
  builder.AddChannelArgument(GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION,
                             0);  // a small message cannot become a large one
  builder.SetMaxReceiveMessageSize(kMaxPacketBytes);
  builder.SetSyncServerOption(grpc::ServerBuilder::NUM_CQS, 1);
  builder.SetResourceQuota(grpc::ResourceQuota("witan-transport").SetMaxThreads(64 + 8 * config_.committee.parties()));
  builder.RegisterService(service_.get());
  server_ = builder.BuildAndStart();
  if (!server_ || bound == 0)
    return fail(Code::unavailable, "cannot listen on {}:{}: the port is in use or the address is not of this machine",
                config_.listen_address, config_.listen_port);
  port_ = static_cast<std::uint16_t>(bound);

  watcher_ = std::jthread([this] {
    name_this_thread("peer timeouts");
    watch();
  });
  ping_collector_ = std::jthread([this] {
    name_this_thread("peer pings");
    collect_pings();
  });
  for (auto& [role, peer] : peers_)
    if (config_.self < role)
      for (const runtime::Lane lane : kLanes)
        dialers_.emplace_back([this, &entry = *peer, lane] { dial(entry, lane); });
  return {};
}

void Transport::Impl::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    for (Running* running : running_) running->cancel_();
    changed_.notify_all();
  }
  for (auto& [role, peer] : peers_)
    for (const runtime::Lane lane : kLanes) peer->state.lane(lane).stop();
  if (server_) server_->Shutdown(std::chrono::system_clock::now());
  dialers_.clear();
  server_.reset();
  cancel_pings();
  ping_queue_.Shutdown();
  if (ping_collector_.joinable()) ping_collector_.join();
  watcher_ = {};
}

void Transport::Impl::set_sink(runtime::FrameSink* sink) {
  sink_ = sink;
  if (sink == nullptr) return;
  const std::lock_guard lock(mutex_);
  sink_known_ = true;
  changed_.notify_all();
}

std::vector<PeerStatus> Transport::Impl::status() const {
  std::vector<PeerStatus> out;
  for (const auto& [role, peer] : peers_) {
    const LaneState& urgent = peer->state.lane(runtime::Lane::urgent);
    const LaneState& bulk = peer->state.lane(runtime::Lane::bulk);
    const bool connected = urgent.connected() && bulk.connected();
    const std::lock_guard lock(mutex_);
    out.push_back({role, peer->endpoint(), connected, connected ? "" : peer->last_error, peer->config.identity,
                   urgent.round_trip()});
  }
  return out;
}

// Transport.

Transport::Transport(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
Transport::~Transport() {
  impl_->stop();
}

Result<std::unique_ptr<Transport>> Transport::start(Config config, runtime::Loop& loop) {
  prepare_grpc();
  WITAN_ASSIGN(TrustRoots roots, check_config(config));
  WITAN_ASSIGN(auto verifier, Verifier::make(std::move(roots)));
  auto impl = std::make_shared<Impl>(std::move(config), std::move(verifier), loop);
  if (Status started = impl->start(); !started) {
    impl->stop();
    return fail(std::move(started).error());
  }
  return std::unique_ptr<Transport>(new Transport(std::move(impl)));
}

void Transport::set_sink(runtime::FrameSink* sink) {
  impl_->set_sink(sink);
}
CommitteeSize Transport::committee() const {
  return impl_->config().committee;
}
Role Transport::self() const {
  return impl_->config().self;
}
Traffic Transport::traffic() const {
  return impl_->traffic();
}
std::uint16_t Transport::port() const {
  return impl_->port();
}

Status Transport::send(Role to, const runtime::Frame& frame, runtime::Lane lane) {
  WITAN_CHECK(to != self() && committee().contains(to));
  return impl_->send(impl_->peer(to), frame, lane);
}

std::vector<PeerStatus> Transport::peer_status() const {
  return impl_->status();
}

runtime::Task<std::vector<PingResult>> Transport::ping_all(std::chrono::milliseconds timeout) {
  return impl_->ping_all(timeout);
}

}  // namespace witan::transport
