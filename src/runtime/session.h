// One run of a protocol between the parties of a committee: messages tagged (session id, step). Opened by a Router.
//
// Each party sends at most one message per (step, receiver); the content never changes, also not after a restart
// (security.md 6). The first message per (sender, step) counts. What was sent is kept until the owner releases it, because
// peers that start late, restart or lose frames ask for it; the session itself asks in the same way for what it awaits and
// does not get. So protocol code sees a network that delivers everything in the end, from everybody who is honest.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "runtime/event.h"
#include "runtime/network.h"
#include "runtime/role_set.h"

namespace witan::runtime {

class Router;

struct Message {
  Role from;
  Payload payload;  // never null

  ByteView bytes() const { return *payload; }
};

struct SessionOptions {
  Lane lane = Lane::urgent;
  /// An awaited step that is silent for so long is asked for; then again after twice the time, up to resend_at_most.
  /// Zero for a session that continues after a restart: ask at once.
  Duration resend_after = std::chrono::milliseconds(500);
  Duration resend_at_most = std::chrono::seconds(10);
  /// Longer messages are dropped and counted; the protocol knows its sizes.
  std::size_t max_payload_bytes = kMaxPayloadBytes;
  /// Steps at or above this number are dropped and counted.
  Step max_steps = 1u << 20;
  /// The id may have been open in this process before, and be closed now. Only for an owner whose journal guarantees that
  /// it repeats exactly what it sent then.
  bool reopen = false;
};

/// Handle of an open session; closes it when destroyed. Loop thread only. The router outlives its handles.
class Session {
 public:
  Session(Session&&) noexcept;
  Session& operator=(Session&&) noexcept;
  ~Session();

  SessionId id() const;
  CommitteeSize committee() const;
  Role self() const;
  Loop& loop() const;

  /// Sends and keeps the payload; a full or broken link is not an error (the peer will ask). Sending the same content
  /// again sends it again. Errors: already_exists (other content was sent to that party in this step; nothing is sent),
  /// invalid_argument (own role, unknown role, too long), resource_exhausted (limit of kept payloads), cancelled (closed).
  Status send(Role to, Step step, Payload payload);
  /// To all other parties, one buffer for all.
  Status send_all(Step step, Payload payload);
  /// Keeps the payload as if it had been sent, and transmits it only to who asks for it (request_resend, or awaiting the step
  /// for long). Errors as of send.
  Status offer(Role to, Step step, Payload payload);
  Status offer_all(Step step, Payload payload);

  /// The next message of that step from a party in `from` (default: all others) whose message of that step was not
  /// returned before. Several coroutines may await; each message is returned once. Own messages are not delivered.
  /// Errors: deadline_exceeded; out_of_range (every party in `from` has been heard); unavailable (those not heard have said
  /// that they do not keep the message any more); cancelled (closed).
  Task<Result<Message>> next(Step step, Instant deadline = kNever);
  Task<Result<Message>> next(Step step, RoleSet from, Instant deadline = kNever);
  /// The message of one party.
  Task<Result<Message>> receive(Role from, Step step, Instant deadline = kNever);

  /// Parties whose message of that step has been returned by next().
  RoleSet heard(Step step) const;
  /// Parties that sent two different messages for one step.
  RoleSet equivocators() const;

  /// Asks all parties in `from` that were not heard for that step now; awaiting does so by itself.
  void request_resend(Step step, RoleSet from);

  /// Forgets what was sent in a step (resend requests for it are answered by the SentStore), resp. what was received:
  /// frames of that step that still come are dropped unseen.
  void release_sent(Step step);
  void release_received(Step step);

  /// Nothing is received any more; awaiting coroutines get `cancelled`. With Keep::sent, resend requests are still
  /// answered from what was sent, within the router's limits of closed sessions; with Keep::nothing by the SentStore, or
  /// with `unavailable`. Destroying the handle is close(Keep::sent).
  enum class Keep : std::uint8_t { sent, nothing };
  void close(Keep keep);
  bool is_open() const;

  struct State;  // of the implementation

 private:
  friend class Router;
  explicit Session(std::shared_ptr<State> state);
  static Task<Result<Message>> next_of(std::shared_ptr<State> state, Step step, RoleSet from, Instant deadline);

  std::shared_ptr<State> state_;
};

}  // namespace witan::runtime
