// Channels between the nodes of a committee: gRPC over mutual TLS, two per pair (urgent, bulk), with credit given by the
// receiving application (engineering.md 4.3, channels.md). Wire format: proto/witan_transport.proto.
//
//   dialling   the lower role dials the higher one, one connection and one stream per lane; back-off with jitter
//   identity   the certificate's identity (channels.md 2.1) is that of the role, its chain ends at that party's own CA; judged on
//              both sides when a connection opens and again for every stream
//   loss       frames are numbered per (peer, lane) and kept until acknowledged; after a reconnect the receiver says what it
//              has and the rest is sent again. A peer that comes back as another process has lost what it had: kept frames
//              are dropped and the sink's peer_reset is called, so that sessions ask for what they miss.
//   bounds     a receiver grants credit in bytes; a sender's queue is bounded; reassembly stops at runtime::kMaxPayloadBytes
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/secret.h"
#include "runtime/loop.h"
#include "runtime/network.h"

namespace witan::transport {

struct Peer {
  Role role;
  std::string identity;  // common name of its certificates
  std::string host;      // DNS name to dial; its certificate must cover it
  std::uint16_t port = 0;
  std::vector<std::string> ca_pems;  // trust anchors of this identity
};

struct Limits {
  std::size_t urgent_credit_bytes = 1u << 20;
  std::size_t bulk_credit_bytes = 1u << 20;
  std::size_t queue_bytes =
      256u << 20;  // per peer and lane, waiting or not yet acknowledged; above: resource_exhausted
  std::size_t queue_frames = 65536;
};

struct Timings {
  std::chrono::milliseconds heartbeat{5000};
  std::chrono::milliseconds dead_after{15000};
  std::chrono::milliseconds reconnect_first{100};
  std::chrono::milliseconds reconnect_at_most{5000};
};

struct Config {
  ContextId context;
  CommitteeSize committee;
  Role self;
  std::string listen_address = "127.0.0.1";
  std::uint16_t listen_port = 0;
  std::string certificate_pem;
  Secret<Bytes> key_pem;
  std::vector<Peer> peers;  // all other parties
  Limits limits = {};
  Timings timings = {};
};

struct PeerStatus {
  Role role;
  std::string endpoint;    // host:port
  bool connected = false;  // both lanes
  std::string last_error;  // empty if there was none
};

struct PingResult {
  Role role;
  std::string endpoint;
  bool reachable = false;
  std::uint32_t latency_ms = 0;
  std::string error;
};

class Transport final : public runtime::Link {
 public:
  /// Binds the port and starts dialling. Nothing is delivered before set_sink(). Errors: invalid_argument (peers are not
  /// exactly the other parties; an empty trust root or identity; the own certificate is not of the own role's profile or
  /// does not fit the key), unavailable (port in use, with the system's reason).
  static Result<std::unique_ptr<Transport>> start(Config config, runtime::Loop& loop);
  /// Closes everything; afterwards the sink is not called any more. On the loop thread.
  ~Transport() override;

  /// `sink` gets frames on the loop thread, until it is replaced or the transport is destroyed.
  void set_sink(runtime::FrameSink* sink);

  CommitteeSize committee() const override;
  Role self() const override;
  Status send(Role to, const runtime::Frame& frame, runtime::Lane lane) override;

  std::vector<PeerStatus> peer_status() const;
  /// Asks all peers at once; a peer that does not answer within the timeout is not reachable.
  runtime::Task<std::vector<PingResult>> ping_all(std::chrono::milliseconds timeout);
  std::uint16_t port() const;

 private:
  class Impl;
  explicit Transport(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
};

}  // namespace witan::transport
