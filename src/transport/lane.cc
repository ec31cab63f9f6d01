#include "transport/lane.h"

#include <algorithm>

#include "base/check.h"

namespace witan::transport {
namespace {

/// The size of a message of a preprocessing: it is not copied while it grows.
constexpr std::size_t kFirstReserve = 4 * kPieceBytes;

std::unexpected<Error> outdated() {
  return fail(Code::cancelled, "the peer has restarted, or a newer connection took over");
}

}  // namespace

// Reassembler.

Result<MutableByteView> Reassembler::place(const PieceHeader& piece) {
  if (piece.total_bytes > runtime::kMaxPayloadBytes)
    return fail(Code::invalid_argument, "frame {} of {} bytes, the limit is {}", piece.frame, piece.total_bytes,
                runtime::kMaxPayloadBytes);
  if (piece.frame != next_ || piece.fragment != next_fragment_)
    return fail(Code::invalid_argument, "piece {} of frame {}, expected was piece {} of frame {}", piece.fragment,
                piece.frame, next_fragment_, next_);
  if (begun_ && (piece.kind != begun_->kind || piece.session != begun_->session || piece.step != begun_->step ||
                 piece.total_bytes != begun_->total_bytes))
    return fail(Code::invalid_argument, "piece {} of frame {} does not repeat the fields of its first piece",
                piece.fragment, piece.frame);
  const std::size_t expected =
      std::min(kPieceBytes, piece.total_bytes - std::min<std::size_t>(piece.offset(), piece.total_bytes));
  if (piece.payload_bytes != expected)
    return fail(Code::invalid_argument, "piece {} of frame {} ({} bytes) has {} bytes, expected were {}",
                piece.fragment, piece.frame, piece.total_bytes, piece.payload_bytes, expected);
  if (!begun_) begun_ = piece;
  const std::size_t end = bytes_.size() + piece.payload_bytes;
  if (bytes_.capacity() < end)
    bytes_.reserve(std::min<std::size_t>(piece.total_bytes, std::max({end, 2 * bytes_.size(), kFirstReserve})));
  bytes_.resize(end);
  return MutableByteView(bytes_).subspan(end - piece.payload_bytes);
}

std::optional<runtime::Frame> Reassembler::take(const PieceHeader& piece) {
  ++next_fragment_;
  if (bytes_.size() < piece.total_bytes) return std::nullopt;
  runtime::Frame frame{piece.kind, piece.session, piece.step, nullptr};
  if (!bytes_.empty()) frame.payload = runtime::make_payload(std::move(bytes_));
  bytes_ = {};
  begun_.reset();
  next_fragment_ = 0;
  ++next_;
  return frame;
}

// LaneState: the stream.

LaneState::Opening LaneState::begin() {
  const std::lock_guard lock(mutex_);
  WITAN_CHECK(state_ == State::idle || state_ == State::stopped);
  if (state_ == State::idle) state_ = State::greeting;
  granted_left_ = credit_bytes_ - std::min(credit_bytes_, undelivered_);
  partial_ = 0;
  heartbeat_sent_.reset();
  answer_due_ = 0;
  return {received_, granted_left_};
}

Result<std::uint64_t> LaneState::greet(std::uint64_t received, std::uint64_t credit) {
  const std::lock_guard lock(mutex_);
  if (state_ != State::greeting) return outdated();
  // 0 is also what a peer says that took us for another process in between.
  if (received != 0 && received < acknowledged_)
    return fail(Code::invalid_argument, "the peer has frames up to {}, it has acknowledged {}", received,
                acknowledged_);
  WITAN_TRY(acknowledge(received, highest_sent_));
  sending_ = 0;
  next_fragment_ = 0;
  credit_ = credit;
  state_ = State::sending;
  wake_.notify_all();
  const std::uint64_t first = kept_.empty() ? next_number_ : kept_.front().number;
  highest_sent_ = std::max(highest_sent_, first - 1);  // what was dropped before it: the peer will count it as received
  return first;
}

Result<bool> LaneState::accept_start(std::uint64_t first) {
  const std::lock_guard lock(mutex_);
  if (state_ != State::sending) return outdated();
  if (first <= received_ || first > (std::uint64_t{1} << 62))
    return fail(Code::invalid_argument, "the peer starts at frame {} after frame {}", first, received_);
  const bool lost = started_ && first != received_ + 1;
  received_ = first - 1;
  started_ = true;
  state_ = State::open;
  return lost;
}

void LaneState::end() {
  const std::lock_guard lock(mutex_);
  if (state_ != State::stopped) state_ = State::idle;
  wake_.notify_all();
}

void LaneState::forget_process() {
  const std::lock_guard lock(mutex_);
  drop_kept();
  acknowledged_ = 0;
  received_ = 0;
  started_ = false;
  if (running()) state_ = State::stale;
  wake_.notify_all();
}

void LaneState::stop() {
  const std::lock_guard lock(mutex_);
  state_ = State::stopped;
  wake_.notify_all();
}

bool LaneState::connected() const {
  const std::lock_guard lock(mutex_);
  return state_ == State::open;
}

std::optional<std::chrono::microseconds> LaneState::round_trip() const {
  const std::lock_guard lock(mutex_);
  return round_trip_;
}

std::size_t LaneState::queued_bytes() const {
  const std::lock_guard lock(mutex_);
  return kept_bytes_;
}

// LaneState: out.

Status LaneState::enqueue(const runtime::Frame& frame) {
  const std::size_t size = frame.payload ? frame.payload->size() : 0;
  if (size > runtime::kMaxPayloadBytes)
    return fail(Code::invalid_argument, "a payload of {} bytes, the limit is {}", size, runtime::kMaxPayloadBytes);
  const std::lock_guard lock(mutex_);
  if (kept_.size() >= limits_.queue_frames || kept_bytes_ + size > limits_.queue_bytes)
    return fail(Code::resource_exhausted, "{} frames of {} bytes wait for the peer; no room for {} bytes more",
                kept_.size(), kept_bytes_, size);
  kept_.push_back({next_number_++, frame});
  kept_bytes_ += size;
  return {};
}

void LaneState::wake_writer() {
  wake_.notify_all();
}

void LaneState::drop_kept() {
  kept_.clear();
  kept_bytes_ = 0;
  sending_ = 0;
  next_fragment_ = 0;
}

/// Number of the last frame that the peer can have, if it is honest.
std::uint64_t LaneState::sent_on_this_stream() const {
  return sending_ < kept_.size() ? kept_[sending_].number - 1 : next_number_ - 1;
}

Status LaneState::acknowledge(std::uint64_t received, std::uint64_t sent) {
  if (received > sent)
    return fail(Code::invalid_argument, "the peer acknowledges frame {}, sent were {}", received, sent);
  acknowledged_ = std::max(acknowledged_, received);
  while (!kept_.empty() && kept_.front().number <= received) {
    kept_bytes_ -= kept_.front().size();
    kept_.pop_front();
    if (sending_ > 0) --sending_;
  }
  return {};
}

NextWrite LaneState::next_write(std::chrono::milliseconds heartbeat_interval) {
  std::unique_lock lock(mutex_);
  for (;;) {
    if (!running()) return {};
    if (auto next = try_next(std::chrono::steady_clock::now(), heartbeat_interval)) return *std::move(next);
    wake_.wait_until(lock, *heartbeat_sent_ + heartbeat_interval);  // the first one goes at once
  }
}

std::optional<NextWrite> LaneState::poll_write(SteadyTime now, std::chrono::milliseconds heartbeat_interval) {
  const std::lock_guard lock(mutex_);
  if (!running()) return NextWrite{};
  return try_next(now, heartbeat_interval);
}

std::optional<NextWrite> LaneState::try_next(SteadyTime now, std::chrono::milliseconds heartbeat_interval) {
  NextWrite next;
  const bool due = !heartbeat_sent_ || now >= *heartbeat_sent_ + heartbeat_interval;
  if (due || answer_due_ != 0) {
    next.kind = NextWrite::Kind::heartbeat;
    next.heartbeat = {0, std::exchange(answer_due_, 0), received_};
    if (due) {
      next.heartbeat.number = ++heartbeat_number_;
      heartbeat_sent_ = now;
    }
    return next;
  }
  if (const std::size_t credit = grantable(); credit >= credit_bytes_ / 4) {
    next.kind = NextWrite::Kind::grant;
    next.grant = {credit, received_};
    granted_left_ += credit;
    return next;
  }
  next.kind = NextWrite::Kind::pieces;
  std::size_t room = kPieceBytes + kPieceOverheadBytes;
  while (next.pieces.size() < kMaxPiecesInPacket) {
    auto piece = next_piece(room);
    if (!piece) break;
    room -= piece->header.cost();
    next.pieces.push_back(*std::move(piece));
  }
  if (next.pieces.empty()) return std::nullopt;
  return next;
}

/// Nothing if there is none, or none that costs at most so much and that the credit allows.
std::optional<OutgoingPiece> LaneState::next_piece(std::size_t at_most) {
  if (sending_ == kept_.size()) return std::nullopt;
  const Kept& kept = kept_[sending_];
  OutgoingPiece next{{kept.number, kept.frame.kind, kept.frame.session, kept.frame.step,
                      static_cast<std::uint32_t>(kept.size()), next_fragment_, 0},
                     kept.frame.payload};
  const std::size_t left = kept.size() - next.header.offset();
  next.header.payload_bytes = static_cast<std::uint32_t>(std::min(left, kPieceBytes));
  if (next.header.cost() > std::min<std::uint64_t>(at_most, credit_)) return std::nullopt;
  credit_ -= next.header.cost();
  ++next_fragment_;
  if (left <= kPieceBytes) {
    highest_sent_ = std::max(highest_sent_, kept.number);
    ++sending_;
    next_fragment_ = 0;
  }
  return next;
}

Status LaneState::take_grant(const Grant& grant) {
  const std::lock_guard lock(mutex_);
  if (!running()) return outdated();
  if (grant.credit > (std::uint64_t{1} << 40) || credit_ + grant.credit > (std::uint64_t{1} << 40))
    return fail(Code::invalid_argument, "a grant of {} bytes on top of {}", grant.credit, credit_);
  credit_ += grant.credit;
  wake_.notify_all();
  return acknowledge(grant.received, sent_on_this_stream());
}

Status LaneState::take_heartbeat(const Heartbeat& heartbeat) {
  const std::lock_guard lock(mutex_);
  if (!running()) return outdated();
  if (heartbeat.number != 0) {
    answer_due_ = heartbeat.number;
    wake_.notify_all();
  }
  if (heartbeat.answers != 0 && heartbeat.answers == heartbeat_number_ && heartbeat_sent_)
    round_trip_ =
        std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - *heartbeat_sent_);
  return acknowledge(heartbeat.received, sent_on_this_stream());
}

// LaneState: in.

Status LaneState::charge(const PieceHeader& piece) {
  const std::lock_guard lock(mutex_);
  if (state_ != State::open) return outdated();
  if (piece.cost() > granted_left_)
    return fail(Code::resource_exhausted, "the peer sends {} bytes, its credit is {}", piece.cost(), granted_left_);
  granted_left_ -= piece.cost();
  partial_ +=
      piece.cost();  // at once: the writer may look for credit to grant before the piece is put where it belongs
  return {};
}

Status LaneState::arrived(const PieceHeader& piece, bool frame_complete) {
  const std::lock_guard lock(mutex_);
  if (state_ != State::open) return outdated();
  if (frame_complete) {
    received_ = piece.frame;
    undelivered_ += std::exchange(partial_, 0);
  }
  if (grantable() >= credit_bytes_ / 4) wake_.notify_all();
  return {};
}

void LaneState::consumed(std::size_t cost) {
  const std::lock_guard lock(mutex_);
  WITAN_CHECK(undelivered_ >= cost);
  undelivered_ -= cost;
  if (grantable() >= credit_bytes_ / 4) wake_.notify_all();
}

/// What may be given to the peer now. The pieces of an incomplete frame count only while complete ones wait: so a frame may
/// be larger than the credit, and what is held stays below the credit and one frame.
std::size_t LaneState::grantable() const {
  const std::size_t held = granted_left_ + undelivered_ + (undelivered_ > 0 ? partial_ : 0);
  return credit_bytes_ - std::min(credit_bytes_, held);
}

// PeerState.

PeerState::PeerState(const Process& self, const Limits& limits)
    : self_(self), urgent_(limits.urgent_credit_bytes, limits), bulk_(limits.bulk_credit_bytes, limits) {}

Greeting PeerState::begin(runtime::Lane name) {
  const std::lock_guard lock(mutex_);
  const LaneState::Opening opening = lane(name).begin();
  return {self_, process_, opening.received, opening.credit};
}

Result<PeerState::Met> PeerState::greet(runtime::Lane name, const Greeting& peer) {
  const std::lock_guard lock(mutex_);
  if (peer.process == self_) return fail(Code::failed_precondition, "the peer is this very process");
  Met met;
  met.another_process = process_ && *process_ != peer.process;
  if (met.another_process) {
    ++incarnation_;
    urgent_.forget_process();
    bulk_.forget_process();
  }
  process_ = peer.process;
  met.incarnation = incarnation_;
  // What it has from a process before this one says nothing about our frames.
  WITAN_ASSIGN(met.first, lane(name).greet(peer.peer_process == self_ ? peer.received : 0, peer.credit));
  return met;
}

}  // namespace witan::transport
