// Channels between the nodes of a committee: gRPC over mutual TLS, two per pair (urgent, bulk), with credit given by the
// receiving application (engineering.md 4.3, channels.md). Wire format: proto/witan_transport.proto.
//
//   dialling   the lower role dials the higher one, one connection and one stream per lane; back-off with jitter
//   identity   the certificate's identity (channels.md 2.1) is that of the role, its chain ends at that party's own CA; judged on
//              both sides when a connection opens and again for every stream
//   loss       frames are numbered per (peer, lane) and kept until acknowledged; after a reconnect the receiver says what it
//              has and the rest is sent again. A peer that comes back as another process has lost what it had: kept frames
//              are dropped and the sink's peer_reset is called, so that sessions ask for what they miss.
//   bounds     a receiver grants credit in bytes; a sender's queue is bounded; reassembly stops at runtime::kMaxPayloadBytes.
//              A peer can make a node hold, per lane, its credit and one incomplete frame. A peer that breaks the framing or
//              its credit is disconnected, with the reason in the log; others do not notice.
//   threads    two per lane and peer, those of bulk lanes at nice 19 (engineering.md 3); one that ends what has fallen silent
//   TLS        1.3 between nodes; 1.2 only for the owner of a valid certificate and with ECDHE-ECDSA-AES256-GCM-SHA384 alone
//
// gRPC reads settings from the environment when a process uses it for the first time. start() sets GRPC_SSL_CIPHER_SUITES.
// So start a transport before other users of gRPC and before other threads read the environment. Errors that gRPC logs become lines of our log.
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
  // What a peer may have under way to us. Bulk: max(1 MiB, 2 x bandwidth x round trip). At least lane.h's kMinCreditBytes.
  std::size_t urgent_credit_bytes = 1u << 20;
  std::size_t bulk_credit_bytes = 1u << 20;
  std::size_t queue_bytes =
      256u << 20;  // per peer and lane, waiting or not yet acknowledged; above: resource_exhausted
  std::size_t queue_frames = 65536;
};

struct Timings {  // engineering.md 4.3; reconnecting doubles its pause and draws each one from its upper half
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
  std::string last_error;  // why a stream ended or could not be opened; empty while both lanes are connected
  std::string identity;
  std::optional<std::chrono::microseconds> round_trip;  // of the last heartbeat on the urgent lane
};

/// Packets of the streams between nodes, in bytes: what gRPC and TLS add is not counted.
struct Traffic {
  std::uint64_t sent_bytes = 0, received_bytes = 0;
};

struct PingResult {
  Role role;
  std::string endpoint;
  bool reachable = false;
  std::uint32_t latency_ms = 0;  // there and back on an open connection, rounded
  std::string error;             // "Error : ..." or "Timeout after ... s" (service.md 5.6); empty if reachable
};

class Transport final : public runtime::Link {
 public:
  /// Binds the port. Streams are opened and accepted once set_sink() was called. Errors: invalid_argument (peers are not
  /// exactly the other parties; no CA for one, or that of another; a bad identity or host; the own certificate breaks the
  /// identity rule or does not fit the key; limits and timings that cannot work), unavailable (port in use).
  static Result<std::unique_ptr<Transport>> start(Config config, runtime::Loop& loop);
  /// Closes everything; afterwards the sink is not called any more. On the loop thread.
  ~Transport() override;

  /// `sink` gets frames on the loop thread, until it is replaced or the transport is destroyed.
  void set_sink(runtime::FrameSink* sink);

  CommitteeSize committee() const override;
  Role self() const override;
  /// Error besides those of Link: invalid_argument (payload above runtime::kMaxPayloadBytes).
  Status send(Role to, const runtime::Frame& frame, runtime::Lane lane) override;

  std::vector<PeerStatus> peer_status() const;
  /// Of all peers since the start. Any thread.
  Traffic traffic() const;
  /// Asks all peers at once; a peer that does not answer within the timeout is not reachable. In role order.
  runtime::Task<std::vector<PingResult>> ping_all(std::chrono::milliseconds timeout);
  std::uint16_t port() const;

 private:
  class Impl;
  explicit Transport(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
};

}  // namespace witan::transport
