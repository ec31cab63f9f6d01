#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <system_error>

#include "base/log.h"
#include "base/rng.h"
#include "base/thread_name.h"
#include "transport/impl.h"

namespace witan::transport {
namespace {

using runtime::Lane;

/// Of one peer at a time: a stream per lane, and their successors while they are not gone.
constexpr int kMaxAcceptedStreams = 4;

const char* name_of(Lane lane) {
  return lane == Lane::urgent ? "urgent" : "bulk";
}

/// Bulk streams never delay urgent ones (engineering.md 3). It cannot be taken back, so only for threads of our own.
void lower_priority_of_this_thread() {
  setpriority(PRIO_PROCESS, static_cast<id_t>(syscall(SYS_gettid)), 19);
}

void become(const char* what, Role peer, Lane lane) {
  name_this_thread(fmt::format("{} {} {}", what, peer.number(), name_of(lane)));
  if (lane == Lane::bulk) lower_priority_of_this_thread();
}

/// Null if the system gives no thread now.
template <class Body>
std::unique_ptr<std::jthread> start_thread(Body body) {
  try {
    return std::make_unique<std::jthread>(std::move(body));
  } catch (const std::system_error&) {
    return nullptr;
  }
}
constexpr const char* kNoThread = "the system gives no thread for it";

}  // namespace

/// Why and how a stream ended.
struct Transport::Impl::StreamEnd {
  std::string reason;
  bool connected = false;  // both had said Start
  bool violation = false;  // the peer broke the rules
};

Transport::Impl::Running::Running(Impl& impl, std::function<void()> cancel)
    : impl_(impl), cancel_(std::move(cancel)), deadline_(deadline_after(impl.config_.timings.dead_after)) {
  const std::lock_guard lock(impl_.mutex_);
  impl_.running_.insert(this);
  if (impl_.stopping_) cancel_();
}

Transport::Impl::Running::~Running() {
  const std::lock_guard lock(impl_.mutex_);
  impl_.running_.erase(this);
}

/// The right to carry a lane. A new stream ends the one before and takes its place; of several that wait the last wins.
class Transport::Impl::LaneClaim {
 public:
  LaneClaim(Impl& impl, PeerEntry& peer, Lane lane, Running& running)
      : impl_(impl), entry_(peer.lanes[static_cast<std::size_t>(lane)]) {
    std::unique_lock lock(impl_.mutex_);
    const std::uint64_t mine = ++entry_.claims;
    if (entry_.current != nullptr) entry_.current->cancel_();
    impl_.changed_.notify_all();
    impl_.changed_.wait(lock, [&] { return entry_.current == nullptr || entry_.claims != mine; });
    granted_ = entry_.claims == mine;
    if (granted_) entry_.current = &running;
  }
  ~LaneClaim() {
    if (!granted_) return;
    const std::lock_guard lock(impl_.mutex_);
    entry_.current = nullptr;
    impl_.changed_.notify_all();
  }
  LaneClaim(const LaneClaim&) = delete;
  LaneClaim& operator=(const LaneClaim&) = delete;
  bool granted() const { return granted_; }

 private:
  Impl& impl_;
  PeerEntry::LaneEntry& entry_;
  bool granted_ = false;
};

bool Transport::Impl::wait_for_sink() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return sink_known_ || stopping_; });
  return !stopping_;
}

/// Ends streams on which nothing was heard for too long.
void Transport::Impl::watch() {
  using std::chrono::milliseconds;
  const milliseconds tick = std::clamp(config_.timings.dead_after / 8, milliseconds(5), milliseconds(1000));
  std::unique_lock lock(mutex_);
  while (!changed_.wait_for(lock, tick, [this] { return stopping_.load(); })) {
    const auto now = std::chrono::steady_clock::now().time_since_epoch().count();
    for (Running* running : running_)
      if (running->deadline_ < now && !running->timed_out_.exchange(true)) running->cancel_();
  }
}

void Transport::Impl::note_connected(const PeerEntry& peer, Lane lane) {
  log_limited(log::Level::info, peer, fmt::format("{} lane connected", name_of(lane)));
}

void Transport::Impl::note_end(PeerEntry& peer, Lane lane, const StreamEnd& end) {
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) return;
    peer.last_error = end.reason;
  }
  log_limited(
      log::Level::warn, peer,
      fmt::format("{} lane {}: {}", name_of(lane), end.connected ? "disconnected" : "not connected", end.reason));
}

/// A peer that comes and goes must not fill the log.
void Transport::Impl::log_limited(log::Level level, const PeerEntry& peer, const std::string& text) {
  const std::string line = fmt::format("party {} ('{}'): {}", peer.config.role.number(), peer.config.identity, text);
  if (limiter_.allow(line, std::chrono::steady_clock::now())) log::emit(level, "{}", line);
}

// Delivery.

bool Transport::Impl::note_incarnation(PeerEntry& peer, std::uint64_t incarnation) {
  if (incarnation < peer.delivered_incarnation) return false;
  if (incarnation > peer.delivered_incarnation) {
    peer.delivered_incarnation = incarnation;
    if (sink_ != nullptr) sink_->peer_reset(peer.config.role);
  }
  return true;
}

/// One job at a time for each peer, however often it comes and goes.
void Transport::Impl::announce(PeerEntry& peer, std::uint64_t incarnation, bool frames_lost) {
  {
    const std::lock_guard lock(mutex_);
    if (incarnation > peer.announced_incarnation) peer.announced_loss = false;
    peer.announced_incarnation = std::max(peer.announced_incarnation, incarnation);
    if (incarnation == peer.announced_incarnation) peer.announced_loss |= frames_lost;
    if (std::exchange(peer.announcing, true)) return;
  }
  loop_.post([weak = weak_from_this(), &peer] {
    const auto self = weak.lock();
    if (!self || self->stopping_) return;
    std::uint64_t incarnation = 0;
    bool frames_lost = false;
    {
      const std::lock_guard lock(self->mutex_);
      peer.announcing = false;
      incarnation = peer.announced_incarnation;
      frames_lost = std::exchange(peer.announced_loss, false);
    }
    const bool current = self->note_incarnation(peer, incarnation);
    if (current && frames_lost && self->sink_ != nullptr) self->sink_->peer_reset(peer.config.role);
  });
}

void Transport::Impl::deliver(PeerEntry& peer, Lane lane, std::uint64_t incarnation, std::vector<runtime::Frame> frames,
                              std::size_t cost) {
  loop_.post([weak = weak_from_this(), &peer, lane, incarnation, frames = std::move(frames), cost]() mutable {
    const auto self = weak.lock();
    if (!self || self->stopping_) return;
    const bool current = self->note_incarnation(peer, incarnation);
    for (runtime::Frame& frame : frames)
      if (current && self->sink_ != nullptr) self->sink_->deliver(peer.config.role, std::move(frame), lane);
    peer.state.lane(lane).consumed(cost);
  });
}

// One stream, both sides.

Hello Transport::Impl::own_hello(Lane lane, const Greeting& greeting) const {
  Hello hello;
  hello.context = config_.context;
  hello.role = static_cast<std::uint32_t>(config_.self.number());
  hello.lane = static_cast<std::uint32_t>(lane);
  hello.greeting = greeting;
  return hello;
}

Result<Hello> Transport::Impl::read_hello(Stream& stream, Running& running) const {
  grpc::ByteBuffer buffer;
  if (!stream.read(buffer)) return fail(Code::unavailable, "the connection ended before the peer's Hello");
  running.heard();
  WITAN_ASSIGN(const Incoming packet, Incoming::parse(buffer));
  const auto* hello = std::get_if<Hello>(&packet.content());
  if (hello == nullptr) return fail(Code::invalid_argument, "a stream begins with Hello");
  if (hello->version != kProtocolVersion)
    return fail(Code::failed_precondition, "the peer speaks version {} of the protocol, this node version {}",
                hello->version, kProtocolVersion);
  return *hello;
}

Status Transport::Impl::check_hello(const Hello& hello, Role role, Lane lane) const {
  if (hello.context != config_.context)
    return fail(Code::failed_precondition, "the peer is of the committee {}, this node of {}", hello.context.hex(),
                config_.context.hex());
  if (hello.role != static_cast<std::uint32_t>(role.number()))
    return fail(Code::unauthenticated, "the certificate is of party {}, the Hello says party {}", role.number(),
                hello.role);
  if (hello.lane != static_cast<std::uint32_t>(lane))
    return fail(Code::invalid_argument, "Hello for lane {} on a stream of lane {}", hello.lane, static_cast<int>(lane));
  return {};
}

/// Hello and Start, then everything else. `first` is the peer's Hello on an accepted stream.
Transport::Impl::StreamEnd Transport::Impl::run(PeerEntry& peer, Lane lane, Stream& stream, Running& running,
                                                std::optional<Hello> first) {
  LaneState& state = peer.state.lane(lane);
  const Hello mine = own_hello(lane, peer.state.begin(lane));
  struct End {
    LaneState& state;
    ~End() { state.end(); }
  } end{state};
  constexpr const char* kBroken = "the connection ended during the greeting";

  if (!stream.write(encode(mine))) return {kBroken};
  if (!first) {
    auto hello = read_hello(stream, running);
    if (!hello) return {hello.error().message, false, hello.error().code != Code::unavailable};
    if (auto good = check_hello(*hello, peer.config.role, lane); !good) return {good.error().message, false, true};
    first = *std::move(hello);
  }
  const auto met = peer.state.greet(lane, first->greeting);
  if (!met) return {met.error().message, false, met.error().code != Code::cancelled};
  if (met->another_process) announce(peer, met->incarnation, false);
  if (!stream.write(encode(Start{met->first}))) return {kBroken};
  return carry(peer, lane, stream, running, met->incarnation);
}

Transport::Impl::StreamEnd Transport::Impl::carry(PeerEntry& peer, Lane lane, Stream& stream, Running& running,
                                                  std::uint64_t incarnation) {
  LaneState& state = peer.state.lane(lane);
  StreamEnd end;
  const auto writer = start_thread([&] {
    become("to", peer.config.role, lane);
    write_all(state, stream);
  });
  if (!writer) return {kNoThread};
  std::optional<Reassembler> frames;  // since the peer's Start
  grpc::ByteBuffer buffer;
  while (stream.read(buffer)) {
    running.heard();
    received_bytes_.fetch_add(buffer.Length(), std::memory_order_relaxed);
    auto packet = Incoming::parse(buffer);
    Status good = packet ? handle(peer, lane, frames, *packet, incarnation) : Status(fail(std::move(packet).error()));
    if (!good) {
      end.reason = good.error().message;
      end.violation = good.error().code != Code::cancelled;
      break;
    }
    if (!end.connected) note_connected(peer, lane);
    end.connected = true;
  }
  state.end();  // the writer goes
  stream.cancel();
  return end;
}

void Transport::Impl::write_all(LaneState& state, Stream& stream) {
  const auto write = [&](const grpc::ByteBuffer& packet) {
    sent_bytes_.fetch_add(packet.Length(), std::memory_order_relaxed);
    return stream.write(packet);
  };
  for (;;) {
    const NextWrite next = state.next_write(config_.timings.heartbeat);
    bool written = false;
    switch (next.kind) {
      case NextWrite::Kind::stop:
        stream.cancel();  // the reader goes
        return;
      case NextWrite::Kind::pieces:
        written = write(encode(next.pieces));
        break;
      case NextWrite::Kind::grant:
        written = write(encode(next.grant));
        break;
      case NextWrite::Kind::heartbeat:
        written = write(encode(next.heartbeat));
        break;
    }
    if (!written) return;  // the reader notices by itself, and reads first what has come
  }
}

Status Transport::Impl::handle(PeerEntry& peer, Lane lane, std::optional<Reassembler>& frames, Incoming& packet,
                               std::uint64_t incarnation) {
  LaneState& state = peer.state.lane(lane);
  if (const auto* start = std::get_if<Start>(&packet.content())) {
    if (frames) return fail(Code::invalid_argument, "a second Start");
    WITAN_ASSIGN(const bool lost, state.accept_start(start->first));
    if (lost) announce(peer, incarnation, true);
    frames.emplace(start->first);
    return {};
  }
  if (!frames) return fail(Code::invalid_argument, "expected was Start after Hello");
  if (const auto* grant = std::get_if<Grant>(&packet.content())) return state.take_grant(*grant);
  if (const auto* heartbeat = std::get_if<Heartbeat>(&packet.content())) return state.take_heartbeat(*heartbeat);
  if (!std::holds_alternative<Incoming::Pieces>(packet.content()))
    return fail(Code::invalid_argument, "a second Hello");
  std::vector<runtime::Frame> complete;
  std::size_t cost = 0;
  const Status read = read_pieces(state, *frames, packet, complete, cost);
  if (!complete.empty()) deliver(peer, lane, incarnation, std::move(complete), cost);
  return read;
}

/// What a packet completes, also if it is wrong further on.
Status Transport::Impl::read_pieces(LaneState& state, Reassembler& frames, Incoming& packet,
                                    std::vector<runtime::Frame>& complete, std::size_t& cost) {
  for (;;) {
    WITAN_ASSIGN(const auto piece, packet.next_piece());
    if (!piece) return {};
    WITAN_TRY(state.charge(*piece));
    WITAN_ASSIGN(const MutableByteView place, frames.place(*piece));
    packet.copy_payload(place);
    auto frame = frames.take(*piece);
    WITAN_TRY(state.arrived(*piece, frame.has_value()));
    if (!frame) continue;
    complete.push_back(*std::move(frame));
    cost += piece->frame_cost();
  }
}

// The accepting side.

Result<Role> Transport::Impl::authenticate(grpc::ServerContext& context) const {
  const auto auth = context.auth_context();
  const auto pems = auth ? auth->FindPropertyValues(GRPC_X509_PEM_CERT_PROPERTY_NAME) : std::vector<grpc::string_ref>{};
  if (pems.size() != 1) return fail(Code::unauthenticated, "no client certificate");
  return verifier_->judge_and_log({pems[0].data(), pems[0].size()}, {});
}

/// Certificate and role are checked for each stream, not only for each connection (channels.md 3).
grpc::Status Transport::Impl::accept(grpc::ServerContext& context, AcceptedStream& stream) {
  const auto role = authenticate(context);
  if (!role) return {grpc::StatusCode::UNAUTHENTICATED, "refused"};
  if (config_.self < *role) return {grpc::StatusCode::FAILED_PRECONDITION, "the party with the lower role dials"};
  PeerEntry& peer = this->peer(*role);
  struct Place {
    ~Place() {
      const std::lock_guard lock(mutex);
      --streams;
    }
    std::mutex& mutex;
    int& streams;
  };
  std::optional<Place> place;
  {
    const std::lock_guard lock(mutex_);
    if (peer.accepted_streams >= kMaxAcceptedStreams) return {grpc::StatusCode::RESOURCE_EXHAUSTED, "too many streams"};
    ++peer.accepted_streams;
    place.emplace(mutex_, peer.accepted_streams);
  }
  return wait_for_sink() ? accept_from(peer, stream) : grpc::Status::CANCELLED;
}

grpc::Status Transport::Impl::accept_from(PeerEntry& peer, AcceptedStream& stream) {
  Running running(*this, [&stream] { stream.cancel(); });
  const auto refuse = [&](const std::string& reason) {
    log_limited(log::Level::warn, peer, "refused a stream: " + reason);
    return grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "refused");
  };
  auto hello = read_hello(stream, running);
  if (!hello && hello.error().code == Code::unavailable) return grpc::Status::CANCELLED;
  if (!hello) return refuse(hello.error().message);
  if (hello->lane > 1) return refuse(fmt::format("lane {}", hello->lane));
  const Lane lane = static_cast<Lane>(hello->lane);
  if (auto good = check_hello(*hello, peer.config.role, lane); !good) return refuse(good.error().message);

  StreamEnd end;
  {
    const LaneClaim claim(*this, peer, lane, running);
    if (!claim.granted()) return {grpc::StatusCode::ABORTED, "a newer stream took over"};
    // A thread of gRPC goes back to its pool; only one of our own may keep the lower priority.
    const auto reader = start_thread([&] {
      become("from", peer.config.role, lane);
      end = run(peer, lane, stream, running, *std::move(hello));
    });
    if (!reader) end = {kNoThread};
  }
  if (end.reason.empty())
    end.reason = running.timed_out() ? fmt::format("nothing was heard for {} ms", config_.timings.dead_after.count())
                                     : "the peer closed the connection";
  note_end(peer, lane, end);
  return end.violation ? grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "refused") : grpc::Status::CANCELLED;
}

// The dialling side.

/// A channel of its own for each attempt, so that only our back-off counts and addresses are looked up anew.
std::shared_ptr<grpc::Channel> Transport::Impl::new_channel(const PeerEntry& peer) const {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);  // and a connection of its own for each channel
  arguments.SetInt(GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, 0);
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);  // a proxy of the environment is not for our own nodes
  arguments.SetMaxReceiveMessageSize(kMaxPacketBytes);
  return grpc::CreateCustomChannel(peer.endpoint(), peer.credentials, arguments);
}

Transport::Impl::StreamEnd Transport::Impl::dial_once(PeerEntry& peer, Lane lane) {
  const auto channel = new_channel(peer);
  grpc::ClientContext context;
  Running running(*this, [&context] { context.TryCancel(); });
  const LaneClaim claim(*this, peer, lane, running);
  if (!claim.granted()) return {"another attempt took over"};
  DialledStream stream(*channel, context);
  StreamEnd end = run(peer, lane, stream, running, std::nullopt);
  stream.cancel();
  const grpc::Status status = stream.finish();
  if (running.timed_out())
    end.reason = fmt::format("nothing was heard for {} ms", config_.timings.dead_after.count());
  else if (!end.violation && status.error_code() != grpc::StatusCode::CANCELLED)
    end.reason = printable(status.error_message());
  else if (end.reason.empty())
    end.reason = "the connection ended";
  return end;
}

void Transport::Impl::dial(PeerEntry& peer, Lane lane) {
  become("from", peer.config.role, lane);
  if (!wait_for_sink()) return;
  OsRng rng;
  const Timings& timings = config_.timings;
  auto pause = 2 * timings.reconnect_first;
  while (!stopping_) {
    const StreamEnd end = dial_once(peer, lane);
    note_end(peer, lane, end);
    if (end.connected && !end.violation) pause = 2 * timings.reconnect_first;
    const auto chosen = pause / 2 + pause * static_cast<int>(rng.next<std::uint8_t>()) / 510;
    pause = std::min(pause * 2, timings.reconnect_at_most);
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, chosen, [this] { return stopping_.load(); });
  }
}

}  // namespace witan::transport
