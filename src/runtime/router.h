// Turns the frames of a Link into sessions, and survives loss and restarts.
//
//   frame of                 data                                       resend_request
//   ----------------------   ----------------------------------------   ------------------------------------------------
//   an open session          first per (sender, step) is delivered      what was sent to the asker in that step, if anything
//   a session not opened     parked, within limits per sender           SentStore
//   a closed session         dropped, counted                           kept payload, else SentStore, else `unavailable`
//
// A session id is opened at most once per process, also after it was closed, as long as it is remembered; the journal is
// the durable guard (security.md 6, S7). Everything is bounded by RouterLimits and counted in RouterCounters.
#pragma once

#include <memory>

#include "runtime/scope.h"
#include "runtime/session.h"

namespace witan::runtime {

struct RouterLimits {
  std::size_t open_sessions = 100'000;
  std::size_t remembered_sessions = 200'000;  // ids of closed sessions

  // Frames of sessions that are not open yet, per sender.
  std::size_t parked_frames = 16'384;
  std::size_t parked_bytes = 64u << 20;
  Duration parked_age = std::chrono::minutes(2);

  // Received in open sessions and not yet returned by next(), per sender: bytes over all sessions (kFrameOverheadBytes
  // are added for each frame), frames in each session. Above, frames are dropped, and asked for again when awaited; one that is
  // awaited at this moment is always taken.
  std::size_t waiting_bytes = 256u << 20;
  std::size_t waiting_frames = 4'096;
  static constexpr std::size_t kFrameOverheadBytes = 1'024;

  // Payloads returned by next() that are kept to recognise equivocation, per sender over all sessions; the oldest go first.
  std::size_t delivered_bytes = 8u << 20;

  // Sent and not yet released: per open session; of all closed sessions together, and for how long.
  std::size_t sent_bytes = 256u << 20;
  std::size_t closed_sent_bytes = 256u << 20;
  Duration closed_sent_age = std::chrono::minutes(15);

  // Resend requests of one peer. In an open or kept session the same message is answered at most once per interval; what was answered
  // before, and what comes from the SentStore, are together at most so many bytes (or one message) per interval; from the SentStore also
  // at most so many messages, and lookups at the same time. What a peer that has restarted still owes is asked for at most once per
  // interval too.
  Duration resend_interval = std::chrono::milliseconds(100);
  std::size_t lookups_per_peer = 16;
  std::size_t store_lookups_per_interval = 256;
  std::size_t repeated_bytes_per_interval = 8u << 20;
};

struct RouterCounters {
  std::uint64_t delivered = 0;            // data frames taken into an open session (also from parking)
  std::uint64_t duplicates = 0;           // identical to the first one, or to one that is not kept any more
  std::uint64_t equivocations = 0;        // different from the first one
  std::uint64_t parked = 0;               // frames that arrived before their session was opened
  std::uint64_t parked_expired = 0;       // ... and were dropped by age
  std::uint64_t parked_refused = 0;       // ... and were dropped by the limits of their sender
  std::uint64_t late = 0;                 // data for closed sessions or released steps
  std::uint64_t malformed = 0;            // unknown sender, too long, step out of range
  std::uint64_t waiting_refused = 0;      // dropped by waiting_bytes or waiting_frames
  std::uint64_t delivered_forgotten = 0;  // payloads dropped by delivered_bytes
  std::uint64_t link_refused = 0;         // frames the link did not take
  std::uint64_t resend_requests_sent = 0;
  std::uint64_t resend_requests_received = 0;
  std::uint64_t resent = 0;             // answered with the message
  std::uint64_t resent_from_store = 0;  // ... that the SentStore had
  std::uint64_t resend_too_soon = 0;    // not answered: resend_interval, the limits of lookups
  std::uint64_t unavailable_sent = 0;
  std::uint64_t unavailable_received = 0;
  std::uint64_t closed_sent_evicted = 0;  // closed sessions whose payloads were dropped by limits or age
  std::uint64_t peer_resets = 0;
};

/// What a router holds now.
struct RouterUsage {
  std::size_t open_sessions = 0;
  std::size_t remembered_sessions = 0;
  std::size_t parked_sessions = 0;  // not open, with frames that wait for them
  std::size_t parked_bytes = 0;     // of all senders, as the next two; with overheads
  std::size_t waiting_bytes = 0;
  std::size_t delivered_bytes = 0;
  std::size_t closed_sent_bytes = 0;
};

/// What a node knows about a message that it sent in a session which the router does not hold.
struct SentLookup {
  enum class Kind : std::uint8_t {
    unknown,   // nothing is known: no answer, the session may still be opened here
    finished,  // the session ended and the message is not kept
    found,
  };
  Kind kind = Kind::unknown;
  Payload payload;  // of `found`
};

/// Messages of earlier sessions, for example from the journal.
class SentStore {
 public:
  virtual ~SentStore() = default;
  virtual Task<SentLookup> find(SessionId session, Step step, Role to) = 0;
};

class Router final : public FrameSink {
 public:
  /// `link` and `loop` outlive the router. The caller attaches the router to the link's network as its sink.
  Router(Loop& loop, Link& link, RouterLimits limits = {});
  ~Router() override;
  Router(const Router&) = delete;
  Router& operator=(const Router&) = delete;

  /// Errors: already_exists (is or was open); resource_exhausted (too many open sessions).
  Result<Session> open(SessionId id, SessionOptions options = {});

  /// Must outlive the router; null (the default) means that nothing is known.
  void set_sent_store(SentStore* store);

  const RouterCounters& counters() const;
  CommitteeSize committee() const;
  Role self() const;
  Loop& loop() const;
  RouterUsage usage() const;
  std::size_t open_sessions() const;
  /// Whose frames wait for that session, which is not open.
  RoleSet parked_from(SessionId session) const;
  /// Bytes held in parked frames of that sender.
  std::size_t parked_bytes(Role sender) const;

  void deliver(Role from, Frame frame, Lane lane) override;
  void peer_reset(Role peer) override;

 private:
  friend class Session;
  friend class Incoming;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace witan::runtime
