// One direction pair to one peer on one lane: what waits to be sent or acknowledged, what has arrived, who owes credit. Pure
// bookkeeping behind a mutex; the streams that carry it come and go (transport.cc). See proto/witan_transport.proto.
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>

#include "runtime/network.h"
#include "transport/transport.h"

namespace witan::transport {

using Process = ByteArray<16>;

inline constexpr std::size_t kPieceBytes = 256u << 10;
inline constexpr std::size_t kPieceOverheadBytes = 64;  // counted as credit beside the payload

struct HelloValues {
  Process process{};
  std::optional<Process> peer_process;
  std::uint64_t received = 0, credit = 0;
};

/// A piece to send; `payload` points into a frame that stays alive until it is acknowledged.
struct OutgoingPiece {
  std::uint64_t frame = 0;
  runtime::FrameKind kind{};
  SessionId session;
  runtime::Step step = 0;
  std::uint32_t total_bytes = 0, offset = 0;
  runtime::Payload keep_alive;
  ByteView payload;
};

struct IncomingPiece {
  std::uint64_t frame = 0;
  std::uint32_t kind = 0;
  SessionId session;
  runtime::Step step = 0;
  std::uint32_t total_bytes = 0, offset = 0;
  ByteView payload;
};

/// What the writer should do next.
struct NextWrite {
  enum class Kind : std::uint8_t { stop, piece, grant, heartbeat } kind = Kind::stop;
  OutgoingPiece piece;
  std::uint64_t credit = 0, received = 0;  // of a grant
};

class LaneState {
 public:
  LaneState(std::size_t credit_bytes, const Limits& limits) : credit_bytes_(credit_bytes), limits_(limits) {}

  /// Loop thread. Error: resource_exhausted.
  Status enqueue(const runtime::Frame& frame);

  /// A new stream: returns its number; the writer and reader of older ones stop. `hello` is what to say to the peer.
  std::uint64_t open_stream(HelloValues& hello);
  void close_stream(std::uint64_t stream);
  void close_all();

  /// The peer's hello on that stream. True: the peer is another process than before. Error: the stream is outdated.
  Result<bool> take_hello(std::uint64_t stream, const HelloValues& hello);

  /// Waits until there is something to write on that stream, at most until the heartbeat is due.
  NextWrite next_write(std::uint64_t stream, std::chrono::milliseconds heartbeat);

  /// A complete frame, if the piece completes one. Error: violation of framing or credit.
  Result<std::optional<runtime::Frame>> take_piece(std::uint64_t stream, const IncomingPiece& piece);
  void take_grant(std::uint64_t stream, std::uint64_t credit, std::uint64_t received);
  /// The application has taken a frame of that size.
  void consumed(std::size_t payload_bytes);

  bool connected() const;
  void set_self(const Process& process) { self_ = process; }

 private:
  struct Kept {
    std::uint64_t number;
    runtime::Frame frame;
    std::size_t size() const { return frame.payload ? frame.payload->size() : 0; }
  };
  static std::size_t cost(std::size_t payload_bytes);
  void drop_kept();
  void acknowledge(std::uint64_t received);

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  const std::size_t credit_bytes_;
  const Limits limits_;
  Process self_{};
  bool closed_ = false;
  std::uint64_t stream_ = 0;  // number of the present stream; 0 before the first
  bool open_ = false;         // hellos were exchanged on it

  // Out.
  std::deque<Kept> kept_;  // waiting, or sent and not acknowledged
  std::size_t kept_bytes_ = 0;
  std::uint64_t next_number_ = 1;
  std::size_t sending_ = 0;  // index into kept_ of the frame being sent
  std::size_t offset_ = 0;   // of its next piece
  std::uint64_t credit_ = 0;

  // In.
  std::optional<Process> peer_;
  std::uint64_t received_ = 0;
  bool any_number_ = false;  // the peer starts where it is: it has dropped what came before
  std::optional<runtime::Frame> partial_;
  Bytes partial_bytes_;
  std::uint64_t partial_number_ = 0;
  std::size_t granted_left_ = 0;  // of what the peer may send
  std::size_t undelivered_ = 0;   // cost of frames handed over and not yet consumed
  std::size_t to_grant_ = 0;      // consumed and not yet given back
  bool grant_due_ = false;
};

}  // namespace witan::transport
