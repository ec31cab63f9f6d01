// How the parties of a synchronous protocol begin it together (mpc.md 5.2 "Attempt", security.md 6). Their callers reach them at different
// times, some are gone, t of them lie, and some restart in the middle. A synchronous run needs all honest parties within T/8 of each
// other (mpc/sync_run.h), T = round_timeout.
//
//   READY(a)   to all, when this party is ready for attempt a, after a is in its journal
//   GO(a, R)   to all, once: R = whose READY(a) is here, the own one included. Said when R is everybody; or T after R had n - t parties;
//              or T/32 after t + 1 others said GO(a)
//   start      n - t parties, this one among them, have said GO(a, R) with this party in R. Who began without its own GO would leave others,
//              to whom a liar says nothing, without the one that they need
//   next       t + 1 others are ready for attempts above a: the (t+1)-th highest of them; or 2T after the own GO without a start: a + 1
//   DONE       to all, by who has what was to be made. From t + 1: this party is too late
//
// *Lateness.* Let an honest P start at time s. Of the n - t GOs that name P, t + 1 come from honest parties, who said them before s, each once.
// A party L that is ready only after s is in none of these, so at most n - (t+1) < n - t parties ever name it: it never starts this
// attempt, whatever t parties say. It does so without a clock, and signatures are not needed, since only what honest parties say
// counts.
//
// *Together.* Say all honest parties are in time: their READY has arrived everywhere when R has had n - t parties for T at
// the first honest one; messages of a few bytes take at most d = T/32. Then every honest GO names every honest party. For the first one
// among them is said with R = everybody, when all have sent their READY, or after T; another one that hears t + 1 GOs hears one
// of an honest party and waits d more, so what had been sent by then has come. Let s be the first honest start: it had t + 1
// honest GOs, which are everywhere at s + d; so all honest parties have said theirs at s + 2d, and all have n - t GOs that
// name them at s + 3d < s + T/8. There is a first start: everybody has n - t READYs d after the last honest party is ready, has
// said GO T later, and starts d after that, before 2T after its own GO. In the good case it takes two delays.
//
// A party that is not in time counts as faulty: it is silent in what the others begin. It learns that from their DONEs, or goes on to the next attempt with
// them if theirs fails.
//
// *Attempts.* An attempt belongs to one life of a party: a restarted one goes on above the highest in its journal. So no session of an
// attempt is ever opened twice, and nobody says two things in one step of the start either. t liars move nobody: a jump
// takes t + 1.
#pragma once

#include <array>
#include <functional>
#include <map>

#include "crypto/ids.h"
#include "runtime/scope.h"
#include "runtime/session.h"

namespace witan::mpc {

/// Attempts are 0 .. kMaxAttempts - 1.
inline constexpr std::uint16_t kMaxAttempts = 8;

/// Steps of a start's session.
inline constexpr runtime::Step ready_step(std::uint16_t attempt) {
  return 2u * attempt;
}
inline constexpr runtime::Step go_step(std::uint16_t attempt) {
  return 2u * attempt + 1;
}
inline constexpr runtime::Step kDoneStep = 2 * kMaxAttempts;

/// The session in which the parties agree on starts of (id, kind). It serves all attempts and lives of a party.
SessionId start_session(const ByteArray<32>& id, crypto::SessionKind kind);
runtime::SessionOptions start_session_options();

/// The answer to a question for kDoneStep, for a SentStore: a node that is asked long after its session was forgotten.
runtime::Payload done_message();

class CommonStart {
 public:
  /// Makes an attempt durable: called before its first message. An error ends the start.
  using Record = std::function<runtime::Task<Status>(std::uint16_t attempt)>;

  /// `session` (start_session) and what `record` refers to outlive the start. `first` is above every attempt that this party has recorded.
  CommonStart(runtime::Session& session, runtime::Duration round_timeout, std::uint16_t first, Record record);
  CommonStart(const CommonStart&) = delete;
  CommonStart& operator=(const CommonStart&) = delete;

  /// Becomes ready for the next attempt and returns its number when this party starts it; called again after it has failed. Errors:
  /// aborted (t + 1 parties are done without this one; no attempt is left); deadline_exceeded (too few parties were ready or went on,
  /// longest_wait() after the construction); those of `record`; cancelled (session closed).
  runtime::Task<Result<std::uint16_t>> start();
  /// This party has what was to be made, durably.
  Status done();

  /// Twice what an attempt that the others have begun may last (they broadcast up to t + 5 rounds), with its start.
  static runtime::Duration longest_wait(CommitteeSize committee, runtime::Duration round_timeout) {
    return 2 * (committee.threshold() + 8) * round_timeout;
  }

 private:
  struct Outcome {
    bool started;
    std::uint16_t attempt;  // that was started, or to be tried next
  };
  runtime::Task<Result<Outcome>> attempt(std::uint16_t number);
  /// Gives every message of the step to `take`.
  runtime::Task<void> hear(runtime::Step step, std::function<void(const runtime::Message&)> take);
  void take_go(std::uint16_t number, const runtime::Message& message);
  /// The (t+1)-th highest of the attempts that others are ready for.
  std::uint16_t supported_attempt() const;
  std::string described(std::uint16_t number) const;

  runtime::Session& session_;
  const runtime::Duration round_timeout_;
  const runtime::Instant give_up_;
  std::uint16_t next_;
  Record record_;
  std::array<runtime::RoleSet, kMaxAttempts> ready_;                    // others, by attempt
  std::array<std::map<Role, runtime::RoleSet>, kMaxAttempts> said_go_;  // whom a party names, by attempt
  runtime::RoleSet done_;
  runtime::WaitList progress_;
  runtime::TaskScope listening_;
};

}  // namespace witan::mpc
