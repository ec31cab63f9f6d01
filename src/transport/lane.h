// One lane to one peer, without the network: what waits to be sent or acknowledged, what has arrived, who owes credit. The
// rules are those of proto/witan_transport.proto; connection.cc carries them over streams.
//
//            begin()            greet()             accept_start()
//     idle ----------> greeting --------> open, sending ---------> open, both ways
//       ^                 |                    |                         |
//       +-----------------+------ end() -------+-------------------------+          another process of the peer: stale until end()
//
// A lane carries one stream at a time: begin() only after end() of the one before. PeerState joins the two lanes of a peer,
// because a new process of the peer concerns both.
#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>

#include "base/uninitialized.h"
#include "runtime/network.h"
#include "transport/transport.h"

namespace witan::transport {

/// Random name of one run of a node's program.
using Process = ByteArray<16>;
using SteadyTime = std::chrono::steady_clock::time_point;

inline constexpr std::size_t kPieceBytes = 256u << 10;
inline constexpr std::size_t kPieceOverheadBytes = 64;  // charged against the credit beside the payload
/// In one packet; of several pieces, the costs are at most kPieceBytes together.
inline constexpr std::size_t kMaxPiecesInPacket = 64;
/// A lane with less could not even send one piece.
inline constexpr std::size_t kMinCreditBytes = 2 * (kPieceBytes + kPieceOverheadBytes);

/// Fields of Hello that concern a lane.
struct Greeting {
  Process process{};
  std::optional<Process> peer_process;
  std::uint64_t received = 0, credit = 0;
};

/// Fields of Piece; the payload is elsewhere.
struct PieceHeader {
  std::uint64_t frame = 0;
  runtime::FrameKind kind{};
  SessionId session;
  runtime::Step step = 0;
  std::uint32_t total_bytes = 0, fragment = 0, payload_bytes = 0;

  std::size_t cost() const { return payload_bytes + kPieceOverheadBytes; }
  /// Of all pieces of the frame.
  std::size_t frame_cost() const {
    return total_bytes + std::max<std::size_t>(1, (total_bytes + kPieceBytes - 1) / kPieceBytes) * kPieceOverheadBytes;
  }
  std::size_t offset() const { return std::size_t{fragment} * kPieceBytes; }
};

struct OutgoingPiece {
  PieceHeader header;
  runtime::Payload frame_payload;  // of the whole frame
};

struct Heartbeat {
  std::uint64_t number = 0, answers = 0, received = 0;
};
struct Grant {
  std::uint64_t credit = 0, received = 0;
};

/// What the writer of a lane does next.
struct NextWrite {
  enum class Kind : std::uint8_t { stop, pieces, grant, heartbeat } kind = Kind::stop;
  std::vector<OutgoingPiece> pieces;  // one packet
  Grant grant;
  Heartbeat heartbeat;
};

/// Puts the pieces of frames together. Belongs to one stream: what is incomplete when the stream ends is sent again.
class Reassembler {
 public:
  /// `first`: number of the first frame that may come.
  explicit Reassembler(std::uint64_t first) : next_(first) {}

  /// Where to copy the payload of this piece, which must be the next one. Memory grows with what has come, from 1 MiB up to
  /// total_bytes. Error: invalid_argument (any other piece, a frame that is too long).
  Result<MutableByteView> place(const PieceHeader& piece);
  /// After the copy: the frame, if that was its last piece.
  std::optional<runtime::Frame> take(const PieceHeader& piece);

  std::size_t memory_bytes() const { return bytes_.capacity(); }

 private:
  std::uint64_t next_;
  std::optional<PieceHeader> begun_;  // first piece of the frame that is incomplete
  std::uint32_t next_fragment_ = 0;
  UninitializedVector<std::uint8_t> bytes_;  // all of it written by whoever asked place()
};

class LaneState {
 public:
  LaneState(std::size_t credit_bytes, const Limits& limits) : credit_bytes_(credit_bytes), limits_(limits) {}

  /// Any time. Errors: resource_exhausted (queue full), invalid_argument (payload above runtime::kMaxPayloadBytes).
  Status enqueue(const runtime::Frame& frame);
  /// After one or several enqueue(): whoever waits in next_write() looks again.
  void wake_writer();

  // The stream. See the drawing above.
  struct Opening {
    std::uint64_t received = 0, credit = 0;
  };
  Opening begin();
  /// The peer is such a process and has so much. Returns the number of the frame that is sent next. Error:
  /// invalid_argument (it claims frames that were not sent, or lost acknowledged ones).
  Result<std::uint64_t> greet(std::uint64_t received, std::uint64_t credit);
  /// The peer's next number. True: frames were lost. Error: invalid_argument (it was here already), cancelled (stale).
  Result<bool> accept_start(std::uint64_t first);
  void end();
  /// The peer is another process: forgets what was kept for, and received from, the old one. A stream that is open was
  /// the old one's: everything on it fails with `cancelled` from now on.
  void forget_process();
  /// For good: wakes the writer.
  void stop();

  /// Waits for something to write. Kind stop: the stream is over.
  NextWrite next_write(std::chrono::milliseconds heartbeat_interval);
  /// The same at that time without waiting: nothing if there is nothing to write.
  std::optional<NextWrite> poll_write(SteadyTime now, std::chrono::milliseconds heartbeat_interval);

  /// A piece comes in. Errors: resource_exhausted (beyond the credit), cancelled (stale).
  Status charge(const PieceHeader& piece);
  /// That piece completed its frame, or did not. Error: cancelled (stale: drop the frame).
  Status arrived(const PieceHeader& piece, bool frame_complete);
  /// The application has taken a frame that cost so much.
  void consumed(std::size_t cost);
  /// Errors: invalid_argument (claims frames that were not sent), cancelled.
  Status take_grant(const Grant& grant);
  Status take_heartbeat(const Heartbeat& heartbeat);

  /// Open both ways.
  bool connected() const;
  /// Time between the last answered heartbeat and its answer, on the present or the last stream.
  std::optional<std::chrono::microseconds> round_trip() const;
  /// Payload bytes waiting or not acknowledged.
  std::size_t queued_bytes() const;

 private:
  enum class State : std::uint8_t { idle, greeting, sending, open, stale, stopped };
  struct Kept {
    std::uint64_t number;
    runtime::Frame frame;
    std::size_t size() const { return frame.payload ? frame.payload->size() : 0; }
  };
  bool running() const { return state_ == State::sending || state_ == State::open; }
  Status acknowledge(std::uint64_t received, std::uint64_t sent);
  std::uint64_t sent_on_this_stream() const;
  void drop_kept();
  std::size_t grantable() const;
  std::optional<NextWrite> try_next(SteadyTime now, std::chrono::milliseconds heartbeat_interval);
  std::optional<OutgoingPiece> next_piece(std::size_t at_most);

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  const std::size_t credit_bytes_;
  const Limits limits_;
  State state_ = State::idle;

  // Out.
  std::deque<Kept> kept_;  // numbered without gaps: sent and not acknowledged, then waiting
  std::size_t kept_bytes_ = 0;
  std::uint64_t next_number_ = 1;    // of the next frame enqueued
  std::uint64_t highest_sent_ = 0;   // to the last byte or skipped, on any stream
  std::uint64_t acknowledged_ = 0;   // by the present process of the peer
  std::size_t sending_ = 0;          // index in kept_ of the frame being sent
  std::uint32_t next_fragment_ = 0;  // ... and its next piece
  std::uint64_t credit_ = 0;

  // In.
  bool started_ = false;  // the peer's process has said Start before
  std::uint64_t received_ = 0;
  std::size_t granted_left_ = 0;  // of what the peer may send
  std::size_t undelivered_ = 0;   // cost of complete frames that the application has not taken
  std::size_t partial_ = 0;       // cost of the pieces of the incomplete frame

  // Heartbeats.
  std::uint64_t heartbeat_number_ = 0, answer_due_ = 0;
  std::optional<SteadyTime> heartbeat_sent_;  // on this stream
  std::optional<std::chrono::microseconds> round_trip_;
};

/// A peer: its present process and its two lanes.
class PeerState {
 public:
  PeerState(const Process& self, const Limits& limits);

  LaneState& lane(runtime::Lane lane) { return lane == runtime::Lane::urgent ? urgent_ : bulk_; }
  const LaneState& lane(runtime::Lane lane) const { return lane == runtime::Lane::urgent ? urgent_ : bulk_; }

  /// What to say on a new stream. The lane must be idle.
  Greeting begin(runtime::Lane lane);

  struct Met {
    std::uint64_t first = 0;        // for Start
    std::uint64_t incarnation = 0;  // counts the processes of the peer; frames of earlier ones are void
    bool another_process = false;   // ... than before: the other lane's stream is stale now
  };
  /// The peer's Hello. Errors of LaneState::greet; failed_precondition (our own process: the node talks to itself).
  Result<Met> greet(runtime::Lane lane, const Greeting& peer);

 private:
  std::mutex mutex_;
  const Process self_;
  std::optional<Process> process_;
  std::uint64_t incarnation_ = 0;
  LaneState urgent_, bulk_;
};

}  // namespace witan::transport
