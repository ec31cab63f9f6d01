// The inside of Transport. transport.cc starts and stops it, connection.cc runs streams, ping.cc asks for health.
#pragma once

#include <array>
#include <atomic>
#include <map>
#include <set>
#include <thread>

#include "base/log.h"
#include "transport/stream.h"
#include "transport/transport.h"
#include "transport/verifier.h"
#include "transport/wire.h"

namespace witan::transport {

inline constexpr std::array<runtime::Lane, 2> kLanes = {runtime::Lane::urgent, runtime::Lane::bulk};

class Transport::Impl : public std::enable_shared_from_this<Impl> {
 public:
  Impl(Config config, std::shared_ptr<const Verifier> verifier, runtime::Loop& loop);
  Status start();
  void stop();

  struct PeerEntry;
  PeerEntry& peer(Role role) { return *peers_.at(role); }
  const PeerEntry& peer(Role role) const { return *peers_.at(role); }
  const Config& config() const { return config_; }
  std::uint16_t port() const { return port_; }
  std::vector<PeerStatus> status() const;
  Traffic traffic() const { return {sent_bytes_, received_bytes_}; }

  void set_sink(runtime::FrameSink* sink);  // loop thread
  runtime::Task<std::vector<PingResult>> ping_all(std::chrono::milliseconds timeout);

  /// Loop thread. Writers are woken for all frames that one turn of the loop has left for them.
  Status send(PeerEntry& peer, const runtime::Frame& frame, runtime::Lane lane);

 private:
  class Running;
  class LaneClaim;
  struct StreamEnd;
  struct PingCall;
  struct PingRound;

  // connection.cc
  StreamEnd run(PeerEntry& peer, runtime::Lane lane, Stream& stream, Running& running, std::optional<Hello> first);
  StreamEnd carry(PeerEntry& peer, runtime::Lane lane, Stream& stream, Running& running, std::uint64_t incarnation);
  void write_all(LaneState& state, Stream& stream);
  Status handle(PeerEntry& peer, runtime::Lane lane, std::optional<Reassembler>& frames, Incoming& packet,
                std::uint64_t incarnation);
  Result<Hello> read_hello(Stream& stream, Running& running) const;
  Status check_hello(const Hello& hello, Role role, runtime::Lane lane) const;
  Hello own_hello(runtime::Lane lane, const Greeting& greeting) const;
  grpc::Status accept(grpc::ServerContext& context, AcceptedStream& stream);
  grpc::Status accept_from(PeerEntry& peer, AcceptedStream& stream);
  Result<Role> authenticate(grpc::ServerContext& context) const;
  void dial(PeerEntry& peer, runtime::Lane lane);
  StreamEnd dial_once(PeerEntry& peer, runtime::Lane lane);
  std::shared_ptr<grpc::Channel> new_channel(const PeerEntry& peer) const;
  void watch();
  bool wait_for_sink();
  void note_end(PeerEntry& peer, runtime::Lane lane, const StreamEnd& end);
  void note_connected(const PeerEntry& peer, runtime::Lane lane);
  void log_limited(log::Level level, const PeerEntry& peer, const std::string& text);
  static Status read_pieces(LaneState& state, Reassembler& frames, Incoming& packet,
                            std::vector<runtime::Frame>& complete, std::size_t& cost);
  void deliver(PeerEntry& peer, runtime::Lane lane, std::uint64_t incarnation, std::vector<runtime::Frame> frames,
               std::size_t cost);
  void announce(PeerEntry& peer, std::uint64_t incarnation, bool frames_lost);
  bool note_incarnation(PeerEntry& peer, std::uint64_t incarnation);  // loop thread

  // ping.cc
  grpc::Status answer_ping(grpc::ServerContext& context, const v1::PingRequest& request, v1::PingResponse& response);
  std::shared_ptr<grpc::Channel> ping_channel(PeerEntry& peer);
  void ping(const std::shared_ptr<PingCall>& call);
  void collect_pings();
  void ping_done(const std::shared_ptr<PingCall>& call, const grpc::Status& status);
  void cancel_pings();

  void wake_writers();

  const Config config_;
  const std::shared_ptr<const Verifier> verifier_;
  runtime::Loop& loop_;
  Process process_{};
  std::uint16_t port_ = 0;
  std::map<Role, std::unique_ptr<PeerEntry>> peers_;
  runtime::FrameSink* sink_ = nullptr;  // loop thread
  runtime::Afterwards wake_writers_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::atomic<bool> stopping_ = false;
  std::atomic<std::uint64_t> sent_bytes_ = 0, received_bytes_ = 0;
  bool sink_known_ = false;
  std::set<Running*> running_;
  std::set<std::shared_ptr<PingCall>> pings_;
  std::shared_ptr<PingRound> round_;  // loop thread; the one under way

  LogLimiter limiter_;
  std::unique_ptr<PacketService> service_;
  std::unique_ptr<grpc::Server> server_;
  std::vector<std::jthread> dialers_;
  std::jthread watcher_;
  grpc::CompletionQueue ping_queue_;
  std::jthread ping_collector_;
};

/// Everything about one peer.
struct Transport::Impl::PeerEntry {
  PeerEntry(const Peer& p, const Process& self, const Limits& limits) : config(p), state(self, limits) {}
  std::string endpoint() const { return fmt::format("{}:{}", config.host, config.port); }

  const Peer& config;
  PeerState state;
  std::shared_ptr<grpc::ChannelCredentials> credentials;

  std::uint64_t delivered_incarnation = 0;  // loop thread
  std::array<bool, 2> unannounced = {};     // loop thread: lanes with frames that their writers were not woken for
  // Under Impl::mutex_: what the one posted job will announce.
  bool announcing = false, announced_loss = false;
  std::uint64_t announced_incarnation = 0;

  // Under Impl::mutex_.
  struct LaneEntry {
    Running* current = nullptr;  // the stream that carries the lane
    std::uint64_t claims = 0;    // streams that asked to
  };
  std::array<LaneEntry, 2> lanes;
  int accepted_streams = 0;
  std::string last_error;
  std::shared_ptr<grpc::Channel> ping_channel;
};

/// A stream while it lives: the watcher ends it when its deadline has passed, stop() at once.
class Transport::Impl::Running {
 public:
  Running(Impl& impl, std::function<void()> cancel);
  ~Running();
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;

  /// Something came from the peer.
  void heard() { deadline_ = deadline_after(impl_.config_.timings.dead_after); }
  bool timed_out() const { return timed_out_; }

 private:
  friend class Impl;
  static SteadyTime::rep deadline_after(std::chrono::milliseconds time) {
    return (std::chrono::steady_clock::now() + time).time_since_epoch().count();
  }
  Impl& impl_;
  std::function<void()> cancel_;
  std::atomic<SteadyTime::rep> deadline_;
  std::atomic<bool> timed_out_ = false;
};

}  // namespace witan::transport
