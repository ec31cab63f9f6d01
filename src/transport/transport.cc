#include "transport/transport.h"

#include <grpcpp/grpcpp.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <map>
#include <set>
#include <thread>

#include "base/log.h"
#include "base/rng.h"
#include "runtime/event.h"
#include "transport/lane.h"
#include "transport/verifier.h"
#include "witan_transport.grpc.pb.h"

namespace witan::transport {
namespace {

namespace pb = witan::transport::v1;
using runtime::Lane;
using SteadyClock = std::chrono::steady_clock;

constexpr std::uint32_t kVersion = 1;
constexpr std::array<Lane, 2> kLanes = {Lane::urgent, Lane::bulk};
constexpr int kMaxMessageBytes = 1 << 20;  // a piece and its fields

/// TLS 1.2 is possible for owners of a valid certificate; then with one strong suite only (channels.md 6.5).
void set_cipher_suites() {
  static const bool once = [] {
    setenv("GRPC_SSL_CIPHER_SUITES", "TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256:ECDHE-ECDSA-AES256-GCM-SHA384", 1);
    return true;
  }();
  (void)once;
}

/// Bulk streams never delay urgent ones (engineering.md 3).
void lower_priority_of_this_thread() {
  setpriority(PRIO_PROCESS, static_cast<id_t>(syscall(SYS_gettid)), 19);
}

std::string bytes_of(ByteView view) {
  return {reinterpret_cast<const char*>(view.data()), view.size()};
}

std::optional<Process> process_of(const std::string& text) {
  Process out;
  if (text.size() != out.size()) return std::nullopt;
  std::copy(text.begin(), text.end(), out.begin());
  return out;
}

}  // namespace

class Transport::Impl : public std::enable_shared_from_this<Impl> {
 public:
  Impl(Config config, runtime::Loop& loop);
  Status start();
  void stop();

  Config config_;
  runtime::Loop& loop_;
  std::atomic<bool> stopping_ = false;
  runtime::FrameSink* sink_ = nullptr;  // loop thread
  std::uint16_t port_ = 0;

  LaneState& lane(Role role, Lane lane) { return *lanes_.at({role, lane}); }
  const Peer& peer(Role role) const;
  std::string endpoint(Role role) const { return fmt::format("{}:{}", peer(role).host, peer(role).port); }
  void note_error(Role role, std::string text);
  std::string last_error(Role role) const;
  void sink_is_set();

  std::unique_ptr<pb::PeerService::Stub> ping_stub(Role role) {
    return pb::PeerService::NewStub(channels_.at({role, Lane::urgent}));
  }

  /// Runs one stream to its end: hello, then a writer thread and this thread as reader.
  struct StreamEnd {
    std::string reason;
    bool greeted = false;  // the peer's hello was accepted
  };
  template <class Stream>
  StreamEnd run_stream(Role role, Lane lane, Stream& stream, const std::function<void()>& cancel,
                       std::optional<pb::Packet> first);

  // Service.
  grpc::Status accept(grpc::ServerContext* context, grpc::ServerReaderWriter<pb::Packet, pb::Packet>* stream);
  grpc::Status answer_ping(grpc::ServerContext* context, const pb::PingRequest* request, pb::PingResponse* response);

 private:
  class Service final : public pb::PeerService::Service {
   public:
    explicit Service(Impl& impl) : impl_(impl) {}
    grpc::Status Connect(grpc::ServerContext* context,
                         grpc::ServerReaderWriter<pb::Packet, pb::Packet>* stream) override {
      return impl_.accept(context, stream);
    }
    grpc::Status Ping(grpc::ServerContext* context, const pb::PingRequest* request,
                      pb::PingResponse* response) override {
      return impl_.answer_ping(context, request, response);
    }

   private:
    Impl& impl_;
  };

  Result<Role> authenticate(grpc::ServerContext* context) const;
  pb::Packet hello_packet(Lane lane, const HelloValues& values) const;
  Result<HelloValues> parse_hello(const pb::Packet& packet, Role role, Lane lane) const;
  Status handle(Role role, Lane lane, std::uint64_t stream, pb::Packet& packet);
  void deliver(Role role, Lane lane, runtime::Frame frame);
  void announce_reset(Role role);
  void dial(Role role, Lane lane);
  bool wait_for_sink();

  std::shared_ptr<const TrustRoots> roots_;
  Process process_{};
  std::map<std::pair<Role, Lane>, std::unique_ptr<LaneState>> lanes_;
  std::map<std::pair<Role, Lane>, std::shared_ptr<grpc::Channel>> channels_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool sink_known_ = false;
  std::map<Role, std::string> errors_;
  std::set<std::function<void()>*> cancels_;  // of running streams

  Service service_{*this};
  std::unique_ptr<grpc::Server> server_;
  std::vector<std::jthread> dialers_;
};

Transport::Impl::Impl(Config config, runtime::Loop& loop) : config_(std::move(config)), loop_(loop) {
  OsRng rng;
  process_ = rng.bytes<16>();
}

const Peer& Transport::Impl::peer(Role role) const {
  return *std::ranges::find(config_.peers, role, &Peer::role);
}

void Transport::Impl::note_error(Role role, std::string text) {
  const std::lock_guard lock(mutex_);
  errors_[role] = std::move(text);
}

std::string Transport::Impl::last_error(Role role) const {
  const std::lock_guard lock(mutex_);
  const auto it = errors_.find(role);
  return it == errors_.end() ? std::string() : it->second;
}

void Transport::Impl::sink_is_set() {
  const std::lock_guard lock(mutex_);
  sink_known_ = true;
  changed_.notify_all();
}

bool Transport::Impl::wait_for_sink() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return sink_known_ || stopping_; });
  return !stopping_;
}

Status Transport::Impl::start() {
  set_cipher_suites();
  auto roots = std::make_shared<TrustRoots>();
  const std::string key_pem(config_.key_pem.reveal().begin(), config_.key_pem.reveal().end());
  WITAN_TRY(crypto::check_key_pair(config_.certificate_pem, config_.key_pem.reveal()));
  auto own = crypto::certificate_identity(config_.certificate_pem);
  if (!own) return fail(Error{Code::invalid_argument, own.error().message}.within("the own TLS certificate"));

  std::set<Role> seen;
  for (const Peer& peer : config_.peers) {
    if (!config_.committee.contains(peer.role) || peer.role == config_.self || !seen.insert(peer.role).second)
      return fail(Code::invalid_argument, "peer {} is not another party of the committee, or is listed twice",
                  peer.role.number());
    if (peer.identity.empty() || peer.host.empty() || peer.port == 0)
      return fail(Code::invalid_argument, "peer {} needs an identity, a host and a port", peer.role.number());
    if (peer.ca_pems.empty())
      return fail(Code::invalid_argument, "peer {} ('{}') has no CA certificate: nothing could verify it",
                  peer.role.number(), peer.identity);
    for (const std::string& pem : peer.ca_pems) {
      auto der = crypto::certificate_der(pem);
      if (!der)
        return fail(std::move(der).error().within(fmt::format("CA certificate of peer {}", peer.role.number())));
    }
    if (!roots->ca_pems.emplace(peer.identity, peer.ca_pems).second)
      return fail(Code::invalid_argument, "two peers have the identity '{}'", peer.identity);
    roots->roles.emplace(peer.identity, peer.role);
  }
  if (static_cast<int>(seen.size()) != config_.committee.parties() - 1)
    return fail(Code::invalid_argument, "{} peers are configured, a committee of {} has {} others", seen.size(),
                config_.committee.parties(), config_.committee.parties() - 1);
  roots_ = std::move(roots);

  for (const Peer& peer : config_.peers)
    for (const Lane lane : kLanes) {
      const std::size_t credit =
          lane == Lane::urgent ? config_.limits.urgent_credit_bytes : config_.limits.bulk_credit_bytes;
      auto state =
          std::make_unique<LaneState>(std::max(credit, 2 * (kPieceBytes + kPieceOverheadBytes)), config_.limits);
      state->set_self(process_);
      lanes_.emplace(std::pair{peer.role, lane}, std::move(state));
      grpc::ChannelArguments arguments;
      arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);  // a connection per lane
      arguments.SetMaxReceiveMessageSize(kMaxMessageBytes);
      arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS,
                       static_cast<int>(config_.timings.reconnect_first.count()));
      arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, static_cast<int>(config_.timings.reconnect_first.count()));
      arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, static_cast<int>(config_.timings.reconnect_at_most.count()));
      channels_[{peer.role, lane}] = grpc::CreateCustomChannel(
          endpoint(peer.role), channel_credentials(roots_, peer.identity, peer.host, config_.certificate_pem, key_pem),
          arguments);
    }

  grpc::ServerBuilder builder;
  int bound = 0;
  builder.AddListeningPort(fmt::format("{}:{}", config_.listen_address, config_.listen_port),
                           server_credentials(roots_, config_.certificate_pem, key_pem), &bound);
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.SetMaxReceiveMessageSize(kMaxMessageBytes);
  builder.RegisterService(&service_);
  server_ = builder.BuildAndStart();
  if (!server_ || bound == 0)
    return fail(Code::unavailable, "cannot listen on {}:{}: the port is in use or the address is not of this machine",
                config_.listen_address, config_.listen_port);
  port_ = static_cast<std::uint16_t>(bound);

  for (const Peer& peer : config_.peers)
    if (config_.self < peer.role)
      for (const Lane lane : kLanes) dialers_.emplace_back([this, role = peer.role, lane] { dial(role, lane); });
  return {};
}

void Transport::Impl::stop() {
  stopping_ = true;
  for (auto& [key, lane] : lanes_) lane->close_all();
  {
    const std::lock_guard lock(mutex_);
    changed_.notify_all();
    for (auto* cancel : cancels_) (*cancel)();
  }
  if (server_) server_->Shutdown(std::chrono::system_clock::now());
  dialers_.clear();
  server_.reset();
}

pb::Packet Transport::Impl::hello_packet(Lane lane, const HelloValues& values) const {
  pb::Packet packet;
  auto& hello = *packet.mutable_hello();
  hello.set_version(kVersion);
  hello.set_context(bytes_of(config_.context.view()));
  hello.set_role(static_cast<std::uint32_t>(config_.self.number()));
  hello.set_process(bytes_of(values.process));
  hello.set_lane(static_cast<std::uint32_t>(lane));
  if (values.peer_process) hello.set_peer_process(bytes_of(*values.peer_process));
  hello.set_received(values.received);
  hello.set_credit(values.credit);
  return packet;
}

Result<HelloValues> Transport::Impl::parse_hello(const pb::Packet& packet, Role role, Lane lane) const {
  if (!packet.has_hello()) return fail(Code::invalid_argument, "a stream begins with Hello");
  const auto& hello = packet.hello();
  if (hello.version() != kVersion)
    return fail(Code::failed_precondition, "the peer speaks version {} of the protocol, this node {}", hello.version(),
                kVersion);
  if (hello.context() != bytes_of(config_.context.view()))
    return fail(Code::failed_precondition, "the peer is of another committee");
  if (hello.role() != static_cast<std::uint32_t>(role.number()))
    return fail(Code::unauthenticated, "the certificate is of party {}, the hello says party {}", role.number(),
                hello.role());
  if (hello.lane() != static_cast<std::uint32_t>(lane))
    return fail(Code::invalid_argument, "lane {} on a stream of lane {}", hello.lane(), static_cast<int>(lane));
  const auto process = process_of(hello.process());
  if (!process) return fail(Code::invalid_argument, "a process id has 16 bytes");
  return HelloValues{*process, process_of(hello.peer_process()), hello.received(), hello.credit()};
}

void Transport::Impl::deliver(Role role, Lane lane, runtime::Frame frame) {
  loop_.post([weak = weak_from_this(), role, lane, frame = std::move(frame)]() mutable {
    const auto self = weak.lock();
    if (!self || self->stopping_) return;
    const std::size_t size = frame.payload ? frame.payload->size() : 0;
    if (self->sink_ != nullptr) self->sink_->deliver(role, std::move(frame), lane);
    self->lane(role, lane).consumed(size);
  });
}

void Transport::Impl::announce_reset(Role role) {
  loop_.post([weak = weak_from_this(), role] {
    const auto self = weak.lock();
    if (self && !self->stopping_ && self->sink_ != nullptr) self->sink_->peer_reset(role);
  });
}

Status Transport::Impl::handle(Role role, Lane lane, std::uint64_t stream, pb::Packet& packet) {
  LaneState& state = this->lane(role, lane);
  switch (packet.content_case()) {
    case pb::Packet::kPiece: {
      const auto& piece = packet.piece();
      if (piece.session().size() != 16) return fail(Code::invalid_argument, "a session id has 16 bytes");
      const auto* session = reinterpret_cast<const std::uint8_t*>(piece.session().data());
      WITAN_ASSIGN(auto frame, state.take_piece(stream, {piece.frame(), piece.kind(), SessionId{load_le<u128>(session)},
                                                         piece.step(), piece.total_bytes(), piece.offset(),
                                                         as_bytes(piece.payload())}));
      if (frame) deliver(role, lane, *std::move(frame));
      return {};
    }
    case pb::Packet::kGrant:
      state.take_grant(stream, packet.grant().credit(), packet.grant().received());
      return {};
    case pb::Packet::kHeartbeat:
      return {};
    default:
      return fail(Code::invalid_argument, "an unexpected packet");
  }
}

template <class Stream>
Transport::Impl::StreamEnd Transport::Impl::run_stream(Role role, Lane lane_name, Stream& stream,
                                                       const std::function<void()>& cancel,
                                                       std::optional<pb::Packet> first) {
  if (!wait_for_sink()) return {"the node is stopping", false};
  LaneState& state = lane(role, lane_name);
  std::function<void()> canceller = cancel;
  {
    const std::lock_guard lock(mutex_);
    cancels_.insert(&canceller);
  }
  HelloValues mine;
  const std::uint64_t number = state.open_stream(mine);
  std::string reason = "the connection ended";
  bool greeted = false;
  std::atomic<SteadyClock::rep> heard = SteadyClock::now().time_since_epoch().count();

  if (stream.Write(hello_packet(lane_name, mine))) {
    std::jthread writer([&] {
      if (lane_name == Lane::bulk) lower_priority_of_this_thread();
      for (;;) {
        const NextWrite next = state.next_write(number, config_.timings.heartbeat);
        if (next.kind == NextWrite::Kind::stop) break;
        pb::Packet packet;
        if (next.kind == NextWrite::Kind::grant) {
          packet.mutable_grant()->set_credit(next.credit);
          packet.mutable_grant()->set_received(next.received);
        } else if (next.kind == NextWrite::Kind::piece) {
          auto& piece = *packet.mutable_piece();
          piece.set_frame(next.piece.frame);
          piece.set_kind(static_cast<std::uint32_t>(next.piece.kind));
          piece.set_session(bytes_of(next.piece.session.bytes()));
          piece.set_step(next.piece.step);
          piece.set_total_bytes(next.piece.total_bytes);
          piece.set_offset(next.piece.offset);
          piece.set_payload(next.piece.payload.data(), next.piece.payload.size());
        } else {
          packet.set_heartbeat(true);
          const auto silent = SteadyClock::now() - SteadyClock::time_point(SteadyClock::duration(heard.load()));
          if (silent > config_.timings.dead_after) break;
        }
        if (!stream.Write(packet)) break;
      }
      cancel();  // wakes the reader
    });

    pb::Packet packet;
    bool have = first.has_value();
    if (have) packet = *std::move(first);
    while (have || stream.Read(&packet)) {
      have = false;
      heard = SteadyClock::now().time_since_epoch().count();
      Status good;
      if (!greeted) {
        auto hello = parse_hello(packet, role, lane_name);
        if (hello) {
          const auto changed = state.take_hello(number, *hello);
          if (!changed)
            good = fail(Error(changed.error()));
          else if (*changed)
            announce_reset(role);
          greeted = changed.has_value();
          if (greeted) note_error(role, "");
        } else {
          good = fail(std::move(hello).error());
        }
      } else {
        good = handle(role, lane_name, number, packet);
      }
      if (!good) {
        reason = good.error().message;
        if (good.error().code != Code::cancelled)
          log::warn("party {}, lane {}: disconnected: {}", role.number(), static_cast<int>(lane_name), reason);
        break;
      }
    }
    state.close_stream(number);
    cancel();
  }
  const std::lock_guard lock(mutex_);
  cancels_.erase(&canceller);
  return {reason, greeted};
}

Result<Role> Transport::Impl::authenticate(grpc::ServerContext* context) const {
  const auto auth = context->auth_context();
  const auto pems = auth ? auth->FindPropertyValues(GRPC_X509_PEM_CERT_PROPERTY_NAME) : std::vector<grpc::string_ref>{};
  if (pems.empty()) return fail(Code::unauthenticated, "no client certificate");
  WITAN_ASSIGN(const std::string identity,
               judge_certificate(*roots_, {pems[0].data(), pems[0].size()}, crypto::TlsPurpose::client, std::nullopt));
  return roots_->roles.at(identity);
}

grpc::Status Transport::Impl::accept(grpc::ServerContext* context,
                                     grpc::ServerReaderWriter<pb::Packet, pb::Packet>* stream) {
  auto role = authenticate(context);
  if (!role) {
    log::warn("refused a stream from {}: {}", context->peer(), role.error().message);
    return {grpc::StatusCode::UNAUTHENTICATED, "refused"};
  }
  pb::Packet first;
  if (!stream->Read(&first)) return grpc::Status::OK;
  const std::uint32_t lane = first.hello().lane();
  if (lane > 1 || !(*role < config_.self))
    return {grpc::StatusCode::INVALID_ARGUMENT, "the lower role dials, on lane 0 or 1"};
  const StreamEnd end =
      run_stream(*role, static_cast<Lane>(lane), *stream, [context] { context->TryCancel(); }, std::move(first));
  note_error(*role, end.reason);
  return grpc::Status::OK;
}

grpc::Status Transport::Impl::answer_ping(grpc::ServerContext* context, const pb::PingRequest* request,
                                          pb::PingResponse* response) {
  const auto role = authenticate(context);
  if (!role || request->role() != static_cast<std::uint32_t>(role->number()))
    return {grpc::StatusCode::UNAUTHENTICATED, "refused"};
  if (request->context() != bytes_of(config_.context.view()))
    return {grpc::StatusCode::FAILED_PRECONDITION, "another committee"};
  response->set_role(static_cast<std::uint32_t>(config_.self.number()));
  return grpc::Status::OK;
}

void Transport::Impl::dial(Role role, Lane lane) {
  if (lane == Lane::bulk) lower_priority_of_this_thread();
  OsRng rng;
  auto pause = config_.timings.reconnect_first;
  while (!stopping_) {
    grpc::ClientContext context;
    context.set_wait_for_ready(true);
    context.set_deadline(std::chrono::system_clock::time_point::max());
    auto stub = pb::PeerService::NewStub(channels_.at({role, lane}));
    std::function<void()> cancel = [&context] { context.TryCancel(); };
    {
      const std::lock_guard lock(mutex_);
      if (stopping_) return;
      cancels_.insert(&cancel);  // also while it is still connecting
    }
    StreamEnd end;
    {
      auto stream = stub->Connect(&context);
      end = run_stream(role, lane, *stream, cancel, std::nullopt);
      const grpc::Status status = stream->Finish();
      if (!status.ok() && !status.error_message().empty()) end.reason = status.error_message();
    }
    {
      std::unique_lock lock(mutex_);
      cancels_.erase(&cancel);
      if (!stopping_) errors_[role] = end.reason;
      if (end.greeted) pause = config_.timings.reconnect_first;
      const auto jitter = pause * (50 + static_cast<int>(rng.next<std::uint8_t>()) * 100 / 255) / 100;
      changed_.wait_for(lock, jitter, [this] { return stopping_.load(); });
      pause = std::min(pause * 2, config_.timings.reconnect_at_most);
    }
  }
}

// Transport.

Transport::Transport(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
Transport::~Transport() {
  impl_->stop();
}

Result<std::unique_ptr<Transport>> Transport::start(Config config, runtime::Loop& loop) {
  auto impl = std::make_shared<Impl>(std::move(config), loop);
  if (Status started = impl->start(); !started) {
    impl->stop();
    return fail(std::move(started).error());
  }
  return std::unique_ptr<Transport>(new Transport(std::move(impl)));
}

void Transport::set_sink(runtime::FrameSink* sink) {
  impl_->sink_ = sink;
  if (sink != nullptr) impl_->sink_is_set();
}

CommitteeSize Transport::committee() const {
  return impl_->config_.committee;
}
Role Transport::self() const {
  return impl_->config_.self;
}
std::uint16_t Transport::port() const {
  return impl_->port_;
}

Status Transport::send(Role to, const runtime::Frame& frame, runtime::Lane lane) {
  WITAN_CHECK(to != self() && committee().contains(to));
  return impl_->lane(to, lane).enqueue(frame);
}

std::vector<PeerStatus> Transport::peer_status() const {
  std::vector<PeerStatus> out;
  for (const Peer& peer : impl_->config_.peers)
    out.push_back({peer.role, impl_->endpoint(peer.role),
                   impl_->lane(peer.role, Lane::urgent).connected() && impl_->lane(peer.role, Lane::bulk).connected(),
                   impl_->last_error(peer.role)});
  return out;
}

runtime::Task<std::vector<PingResult>> Transport::ping_all(std::chrono::milliseconds timeout) {
  struct Call {
    grpc::ClientContext context;
    pb::PingRequest request;
    pb::PingResponse response;
    std::unique_ptr<pb::PeerService::Stub> stub;
    SteadyClock::time_point begun = SteadyClock::now();
    PingResult result{Role(1), "", false, 0, ""};
  };
  struct Round {
    explicit Round(runtime::Loop& loop) : done(loop) {}
    runtime::Event done;
    std::size_t left = 0;
    std::vector<PingResult> results;
  };
  const auto round = std::make_shared<Round>(impl_->loop_);
  round->left = impl_->config_.peers.size();
  for (const Peer& peer : impl_->config_.peers) {
    auto call = std::make_shared<Call>();
    call->result.role = peer.role;
    call->result.endpoint = impl_->endpoint(peer.role);
    call->context.set_deadline(std::chrono::system_clock::now() + timeout);
    call->context.set_wait_for_ready(true);
    call->request.set_context(bytes_of(impl_->config_.context.view()));
    call->request.set_role(static_cast<std::uint32_t>(impl_->config_.self.number()));
    call->stub = impl_->ping_stub(peer.role);
    call->stub->async()->Ping(
        &call->context, &call->request, &call->response,
        [call, round, &loop = impl_->loop_, timeout](const grpc::Status& status) {
          const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(SteadyClock::now() - call->begun);
          call->result.reachable =
              status.ok() && call->response.role() == static_cast<std::uint32_t>(call->result.role.number());
          if (call->result.reachable)
            call->result.latency_ms = static_cast<std::uint32_t>(took.count());
          else if (status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED)
            call->result.error = fmt::format("Timeout after {} s", std::chrono::duration<double>(timeout).count());
          else
            call->result.error = "Error : " + status.error_message();
          loop.post([round, result = call->result] {
            round->results.push_back(result);
            if (--round->left == 0) round->done.set();
          });
        });
  }
  if (round->left > 0) co_await round->done.wait();
  std::ranges::sort(round->results, {}, &PingResult::role);
  co_return std::move(round->results);
}

}  // namespace witan::transport
