// One run of synchronous protocols between the parties of a session: who still takes part, which broadcast comes next, who was
// excluded and why. All of it changes through broadcast outcomes only, so it is the same at all honest parties.
//
// Time, with T = round_timeout. Honest parties start within T/8 of each other (mpc/common_start.h), and their messages take at most T/16 with all that is
// computed on the way. A private round before a broadcast waits T/4, so all enter the broadcast within T/4 of each other; they
// leave it within T/2 (mpc/broadcast.h), and may broadcast again at once. An opening at degree t needs no common time.
#pragma once

#include <string>
#include <vector>

#include "mpc/broadcast.h"

namespace witan::mpc {

/// What all honest parties have seen a party do.
enum class Fault : std::uint8_t {
  no_broadcast,  // nothing came of its broadcast
  malformed,     // it broadcast something of another shape
  contradicted,  // as a dealer: more than t parties showed that they hold other values than it says
  unsupported,   // as a dealer: fewer than 2t + 1 parties hold what it says that others hold
};

struct Exclusion {
  Role party;
  Fault fault;
  std::uint32_t broadcast;  // the number of the broadcast that showed it
  friend bool operator==(const Exclusion&, const Exclusion&) = default;
};
/// For the operator's log: "party 3 was excluded: nothing came of its broadcast 0".
std::string to_string(const Exclusion& exclusion);

struct SyncRun {
  runtime::Session& session;
  runtime::Compute& compute;
  Broadcast& broadcast;
  Rng& rng;
  runtime::Duration round_timeout;
  runtime::RoleSet active;  // takes part; the rest is excluded
  std::uint32_t next_broadcast = 0;
  std::vector<Exclusion> exclusions;  // in order

  CommitteeSize committee() const { return session.committee(); }
  Role self() const { return session.self(); }
  /// How long a private round before a broadcast waits.
  runtime::Duration private_round() const { return round_timeout / 4; }
  /// All active parties broadcast. Errors: those of Broadcast::run.
  runtime::Task<Result<BroadcastOutcome>> broadcast_all(Bytes own, std::size_t max_bytes);
  /// For an opening at degree t after a broadcast. Generous: whoever gives up before 2t + 1 shares are there has nothing.
  runtime::Instant opening_deadline() const;
  /// Takes the parties out. Errors: aborted (more than t are excluded now, or this party is).
  Status exclude(std::span<const Exclusion> found);
};

}  // namespace witan::mpc
