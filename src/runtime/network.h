// The seam between protocols and whatever carries their messages. `transport` implements Link over gRPC, the simulator
// and the in-process network implement it in memory; Router (runtime/router.h) turns frames into sessions.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>

#include "base/bytes.h"
#include "base/error.h"
#include "base/ids.h"

namespace witan::runtime {

/// Number of a message within its session; each protocol's header names its steps.
using Step = std::uint32_t;

/// Two lanes per pair of parties: preprocessing never delays a decryption.
enum class Lane : std::uint8_t { urgent = 0, bulk = 1 };

/// The bytes of a payload, which it keeps alive; compared by content, copied by conversion.
struct PayloadBytes : ByteView {
  explicit PayloadBytes(ByteView bytes) : ByteView(bytes) {}
  operator Bytes() const { return {begin(), end()}; }
  friend bool operator==(const PayloadBytes& a, const PayloadBytes& b) { return std::ranges::equal(a, b); }
  friend bool operator==(const PayloadBytes& a, const Bytes& b) { return std::ranges::equal(a, b); }
};

/// One payload, shared by all its receivers and never changed.
using Payload = std::shared_ptr<const PayloadBytes>;

/// Makes a payload of Bytes, or of another container of bytes.
template <class Container = Bytes>
Payload make_payload(Container bytes) {
  struct Kept {
    explicit Kept(Container&& from) : bytes(std::move(from)) {}
    Container bytes;
    PayloadBytes view{bytes};
  };
  auto kept = std::make_shared<const Kept>(std::move(bytes));
  return Payload(kept, &kept->view);
}

enum class FrameKind : std::uint8_t {
  data = 0,            // payload is the message (session, step) of the sender
  resend_request = 1,  // the sender lost, or never got, the receiver's message (session, step); payload empty
  unavailable = 2,     // answer to resend_request: the session is known but the message is not kept any more
};

struct Frame {
  FrameKind kind = FrameKind::data;
  SessionId session;
  Step step = 0;
  Payload payload;  // null means empty
};

/// Largest payload of one message. A transport splits it into its own pieces and reassembles within this bound.
inline constexpr std::size_t kMaxPayloadBytes = 64u << 20;

/// Sends frames to the other parties of one committee. Called on the loop thread; never blocks. Frames to one peer on
/// one lane arrive in order, at most once, as long as both processes live; a restart of either may lose those in
/// flight.
class Link {
 public:
  virtual ~Link() = default;
  virtual CommitteeSize committee() const = 0;
  virtual Role self() const = 0;
  /// Error: resource_exhausted when the bounded queue of that peer is full (the frame is dropped; the peer will ask for
  /// it with resend_request). Precondition: `to` is another party of the committee.
  virtual Status send(Role to, const Frame& frame, Lane lane) = 0;
};

/// Receives frames. The transport calls it on the loop thread with the authenticated sender.
class FrameSink {
 public:
  virtual ~FrameSink() = default;
  virtual void deliver(Role from, Frame frame, Lane lane) = 0;
  /// A new process of that peer, or a new connection after a loss of frames: what it sent before may have to be asked
  /// for.
  virtual void peer_reset(Role peer) = 0;
};

}  // namespace witan::runtime
