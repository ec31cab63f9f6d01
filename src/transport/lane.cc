#include "transport/lane.h"

#include <algorithm>

namespace witan::transport {

std::size_t LaneState::cost(std::size_t payload_bytes) {
  const std::size_t pieces = std::max<std::size_t>(1, (payload_bytes + kPieceBytes - 1) / kPieceBytes);
  return payload_bytes + pieces * kPieceOverheadBytes;
}

Status LaneState::enqueue(const runtime::Frame& frame) {
  const std::lock_guard lock(mutex_);
  const std::size_t size = frame.payload ? frame.payload->size() : 0;
  if (kept_.size() >= limits_.queue_frames || kept_bytes_ + size > limits_.queue_bytes)
    return fail(Code::resource_exhausted, "{} frames of {} bytes wait for the peer, the limit", kept_.size(),
                kept_bytes_);
  kept_.push_back({next_number_++, frame});
  kept_bytes_ += size;
  wake_.notify_all();
  return {};
}

std::uint64_t LaneState::open_stream(HelloValues& hello) {
  const std::lock_guard lock(mutex_);
  ++stream_;
  open_ = false;
  partial_.reset();
  partial_bytes_.clear();
  granted_left_ = credit_bytes_ - std::min(credit_bytes_, undelivered_ + to_grant_);
  granted_left_ += to_grant_;
  to_grant_ = 0;
  hello = {self_, peer_, received_, granted_left_};
  wake_.notify_all();
  return stream_;
}

void LaneState::close_stream(std::uint64_t stream) {
  const std::lock_guard lock(mutex_);
  if (stream == stream_) open_ = false, ++stream_;
  wake_.notify_all();
}

void LaneState::close_all() {
  const std::lock_guard lock(mutex_);
  closed_ = true;
  open_ = false;
  ++stream_;
  wake_.notify_all();
}

void LaneState::drop_kept() {
  kept_.clear();
  kept_bytes_ = 0;
  sending_ = offset_ = 0;
}

void LaneState::acknowledge(std::uint64_t received) {
  while (!kept_.empty() && kept_.front().number <= received && (sending_ > 0 || !open_)) {
    kept_bytes_ -= kept_.front().size();
    kept_.pop_front();
    if (sending_ > 0) --sending_;
  }
}

Result<bool> LaneState::take_hello(std::uint64_t stream, const HelloValues& hello) {
  const std::lock_guard lock(mutex_);
  if (stream != stream_ || closed_) return fail(Code::cancelled, "a newer connection took over");
  const bool changed = peer_ && *peer_ != hello.process;
  const bool first = !peer_;
  const bool knows_me = hello.peer_process == self_;
  if (changed) drop_kept();
  if (changed || first) received_ = 0;
  // Whoever does not know this process has dropped what it kept for its predecessor, and numbers on from there.
  any_number_ = changed || first || !knows_me;
  peer_ = hello.process;
  if (knows_me) acknowledge(hello.received);
  sending_ = offset_ = 0;
  credit_ = hello.credit;
  open_ = true;
  wake_.notify_all();
  return changed;
}

NextWrite LaneState::next_write(std::uint64_t stream, std::chrono::milliseconds heartbeat) {
  std::unique_lock lock(mutex_);
  const auto due = std::chrono::steady_clock::now() + heartbeat;
  for (;;) {
    NextWrite next;
    if (stream != stream_ || closed_) return next;
    if (open_ && grant_due_) {
      next.kind = NextWrite::Kind::grant;
      next.credit = to_grant_;
      next.received = received_;
      granted_left_ += to_grant_;
      to_grant_ = 0;
      grant_due_ = false;
      return next;
    }
    if (open_ && sending_ < kept_.size()) {
      const Kept& kept = kept_[sending_];
      const std::size_t size = std::min(kPieceBytes, kept.size() - offset_);
      if (credit_ >= size + kPieceOverheadBytes) {
        credit_ -= size + kPieceOverheadBytes;
        next.kind = NextWrite::Kind::piece;
        next.piece = {kept.number,
                      kept.frame.kind,
                      kept.frame.session,
                      kept.frame.step,
                      static_cast<std::uint32_t>(kept.size()),
                      static_cast<std::uint32_t>(offset_),
                      kept.frame.payload,
                      {}};
        if (kept.frame.payload) next.piece.payload = ByteView(*kept.frame.payload).subspan(offset_, size);
        offset_ += size;
        if (offset_ == kept.size()) ++sending_, offset_ = 0;
        return next;
      }
    }
    if (wake_.wait_until(lock, due) == std::cv_status::timeout) {
      next.kind = NextWrite::Kind::heartbeat;
      return next;
    }
  }
}

Result<std::optional<runtime::Frame>> LaneState::take_piece(std::uint64_t stream, const IncomingPiece& piece) {
  const std::lock_guard lock(mutex_);
  if (stream != stream_ || !open_) return fail(Code::cancelled, "a newer connection took over");
  const std::size_t piece_cost = piece.payload.size() + kPieceOverheadBytes;
  if (piece_cost > granted_left_) return fail(Code::resource_exhausted, "the peer sends more than its credit");
  granted_left_ -= piece_cost;
  if (piece.total_bytes > runtime::kMaxPayloadBytes || piece.kind > 2 || piece.payload.size() > kPieceBytes ||
      (piece.payload.empty() && piece.total_bytes != 0))
    return fail(Code::invalid_argument, "a piece of {} of {} bytes and kind {}", piece.payload.size(),
                piece.total_bytes, piece.kind);

  if (piece.offset == 0) {
    const bool in_order = piece.frame == received_ + 1 || (any_number_ && piece.frame > received_);
    if (partial_ || (!in_order && piece.frame > received_))
      return fail(Code::invalid_argument, "frame {} begins after frame {}", piece.frame, received_);
    any_number_ = false;
    partial_ = runtime::Frame{static_cast<runtime::FrameKind>(piece.kind), piece.session, piece.step, nullptr};
    partial_number_ = piece.frame;
    partial_bytes_.clear();
    partial_bytes_.reserve(std::min<std::size_t>(piece.total_bytes, 4 * kPieceBytes));  // grows with what really comes
  }
  if (!partial_ || piece.frame != partial_number_ || piece.offset != partial_bytes_.size() ||
      piece.offset + piece.payload.size() > piece.total_bytes)
    return fail(Code::invalid_argument, "piece at {} of frame {} does not continue frame {}", piece.offset, piece.frame,
                partial_number_);
  append(partial_bytes_, piece.payload);

  if (partial_bytes_.size() < piece.total_bytes) {  // given back at once: a frame may be larger than the credit
    to_grant_ += piece_cost;
    grant_due_ = to_grant_ >= credit_bytes_ / 4;
    if (grant_due_) wake_.notify_all();
    return std::optional<runtime::Frame>{};
  }
  runtime::Frame frame = *std::move(partial_);
  partial_.reset();
  if (!partial_bytes_.empty()) frame.payload = std::make_shared<const Bytes>(std::move(partial_bytes_));
  partial_bytes_ = {};
  if (partial_number_ <= received_) {  // known already: a resumed sender did not know that it had arrived
    to_grant_ += piece_cost;
    return std::optional<runtime::Frame>{};
  }
  received_ = partial_number_;
  undelivered_ += piece_cost;
  return std::optional(std::move(frame));
}

void LaneState::consumed(std::size_t payload_bytes) {
  const std::lock_guard lock(mutex_);
  const std::size_t last_piece = payload_bytes == 0 ? 0 : (payload_bytes - 1) % kPieceBytes + 1;
  const std::size_t piece_cost = last_piece + kPieceOverheadBytes;
  undelivered_ -= std::min(undelivered_, piece_cost);
  to_grant_ += piece_cost;
  if (to_grant_ >= credit_bytes_ / 4) {
    grant_due_ = true;
    wake_.notify_all();
  }
}

void LaneState::take_grant(std::uint64_t stream, std::uint64_t credit, std::uint64_t received) {
  const std::lock_guard lock(mutex_);
  if (stream != stream_ || !open_) return;
  credit_ = std::min<std::uint64_t>(credit_ + credit, std::uint64_t{1} << 40);
  acknowledge(received);
  wake_.notify_all();
}

bool LaneState::connected() const {
  const std::lock_guard lock(mutex_);
  return open_;
}

}  // namespace witan::transport
