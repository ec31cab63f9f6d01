// Frames between nodes: a sequence of packets, each after its length in two bytes, as the streams of one peer on one lane. The
// peer begins another stream with every Hello; what is refused ends the stream, as in transport/connection.cc.
#include <grpcpp/support/slice.h>

#include "fuzz/fuzz.h"
#include "transport/wire.h"

namespace witan::fuzz {
namespace {

using namespace transport;

constexpr auto kLane = runtime::Lane::bulk;

grpc::ByteBuffer buffer_of(ByteView bytes) {
  const grpc::Slice slice(bytes.data(), bytes.size());
  return {&slice, 1};
}

/// One side of a connection, the peer being the input.
class Side {
 public:
  explicit Side(const Limits& limits) : limits_(limits), peer_(Process{1}, limits), lane_(peer_.lane(kLane)) {
    for (const std::size_t size : {std::size_t{0}, std::size_t{3}, kPieceBytes + 1})
      WITAN_CHECK(lane_.enqueue({runtime::FrameKind{}, SessionId{7}, 1, runtime::make_payload(Bytes(size))}));
  }

  void take(Incoming packet) {
    Status status = handle(packet);
    if (!status) {
      WITAN_CHECK(!status.error().message.empty());
      end();
      return;
    }
    write();
    WITAN_CHECK(lane_.queued_bytes() <= limits_.queue_bytes);
  }

 private:
  Status handle(Incoming& packet) {
    if (const auto* hello = std::get_if<Hello>(&packet.content())) {
      if (open_) return fail(Code::invalid_argument, "a second Hello");
      peer_.begin(kLane);
      open_ = true;
      WITAN_TRY(peer_.greet(kLane, hello->greeting));
      return {};
    }
    if (!open_) return {};
    if (const auto* start = std::get_if<Start>(&packet.content())) {
      if (frames_) return fail(Code::invalid_argument, "a second Start");
      WITAN_TRY(lane_.accept_start(start->first));
      WITAN_CHECK(lane_.connected());
      frames_.emplace(start->first);
      return {};
    }
    if (!frames_) return fail(Code::invalid_argument, "expected was Start");
    if (const auto* grant = std::get_if<Grant>(&packet.content())) return lane_.take_grant(*grant);
    if (const auto* heartbeat = std::get_if<Heartbeat>(&packet.content())) return lane_.take_heartbeat(*heartbeat);
    for (;;) {
      WITAN_ASSIGN(const auto piece, packet.next_piece());
      if (!piece) return {};
      WITAN_TRY(take_piece(*piece, packet));
    }
  }

  Status take_piece(const PieceHeader& piece, Incoming& packet) {
    WITAN_CHECK(piece.payload_bytes <= kMaxPacketBytes);
    WITAN_TRY(lane_.charge(piece));
    WITAN_ASSIGN(const MutableByteView place, frames_->place(piece));
    WITAN_CHECK(place.size() == piece.payload_bytes);
    packet.copy_payload(place);
    const auto frame = frames_->take(piece);
    WITAN_CHECK(frames_->memory_bytes() <= runtime::kMaxPayloadBytes);
    WITAN_TRY(lane_.arrived(piece, frame.has_value()));
    if (!frame) return {};
    WITAN_CHECK((frame->payload ? frame->payload->size() : 0) == piece.total_bytes);
    if (++delivered_ % 2 == 0) lane_.consumed(piece.frame_cost());  // half of the frames stay with the application
    return {};
  }

  /// What the writer would send now, each piece within what its frame has.
  void write() {
    for (int i = 0; i < 8; ++i) {
      const auto next = lane_.poll_write(now_, std::chrono::seconds(1));
      now_ += std::chrono::milliseconds(100);
      if (!next || next->kind == NextWrite::Kind::stop) return;
      if (next->kind != NextWrite::Kind::pieces) continue;
      for (const auto& [header, payload] : next->pieces)
        WITAN_CHECK(header.offset() + header.payload_bytes <= payload->size());
      WITAN_CHECK(encode(next->pieces).Length() <= static_cast<std::size_t>(kMaxPacketBytes));
    }
  }

  void end() {
    if (open_) lane_.end();
    open_ = false;
    frames_.reset();
  }

  const Limits limits_;
  PeerState peer_;
  LaneState& lane_;
  bool open_ = false;
  std::optional<Reassembler> frames_;
  std::size_t delivered_ = 0;
  SteadyTime now_{};
};

}  // namespace

void fuzz_one(ByteView input) {
  Side side(Limits{});
  while (input.size() > 2) {
    const std::size_t size = std::min<std::size_t>(load_le<std::uint16_t>(input.data()), input.size() - 2);
    grpc::ByteBuffer buffer = buffer_of(input.subspan(2, size));
    input = input.subspan(2 + size);
    if (auto packet = Incoming::parse(buffer)) side.take(*std::move(packet));
  }
}

}  // namespace witan::fuzz
