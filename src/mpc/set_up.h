// Set-up of the keys of an epoch, robust: up to t faulty parties change nothing (mpc.md 8.2, security.md 3.2). Once per epoch, over
// GR(2^64,4); both rings take their PRF keys from it (mpc.md 8.3).
//
//   share     every party shares c = ceil(sets / (n - t)) random elements verifiably (mpc/vss.h)
//   extract   of the j-th elements of all n dealers: n - t sums  out_e = sum_i s_i alpha_i^e;  any n - t honest inputs make them uniform
//   open      output q to the members of set q only: one message per pair with the values of the receiver's sets, degree t; accepted
//             at 2t + 1 that agree;  key = SHAKE256("AGREERND" || element)
//   sets      key_sets(), then the complements of zero_sets(); the shares of the latter's elements are kept (mpc.md 17.4)
//
// Rounds: one for R1 of the sharing, two for its broadcast, one for the opening when everybody is honest; t + 5 when a party is silent.
#pragma once

#include "mpc/coin.h"
#include "mpc/epoch_keys.h"

namespace witan::mpc {

inline constexpr runtime::Step kSetUpDeal = 1;
inline constexpr runtime::Step kSetUpOpen = 2;
inline constexpr runtime::Step kSetUpBroadcasts = 32;

/// The sets of the set-up, in order: output q belongs to the q-th. Error: failed_precondition (no family of zero sharings).
Result<std::vector<PartySet>> set_up_sets(CommitteeSize committee);
/// c: elements that every party shares.
std::size_t set_up_contributions(CommitteeSize committee, std::size_t sets);

/// Output j (n-t) + e = sum over the dealers of alpha_i^e times their j-th contribution. All contribute equally many.
Secret<std::vector<Share<Z64>>> extract(CommitteeSize committee,
                                        const std::vector<Secret<std::vector<Share<Z64>>>>& contributions);

/// What the operator should know of a set-up, also of one that failed.
struct SetUpReport {
  std::vector<Exclusion> excluded;    // what all honest parties know
  runtime::RoleSet silent, unusable;  // in the first round, as this party saw it
  OpeningReport opening;              // as this party saw it; late parties are silent
  /// One line for each of these; empty when everybody behaved. Whoever is silent in the opening may just be slower than 2t + 1.
  std::vector<std::string> lines() const;
};

/// One run of one party. Everybody must call within an eighth of `round_timeout` (SyncRun; mpc/common_start.h sees to that); the session is fresh, its attempt
/// is that of the caller, and it is not used for anything else. A party that crashes in the middle counts as silent: it never
/// takes the session up again.
class EpochSetUp {
 public:
  /// All of these outlive the run.
  EpochSetUp(runtime::Session& session, runtime::Compute& compute, const Signatories& signatories, Rng& rng,
             runtime::Duration round_timeout);
  EpochSetUp(const EpochSetUp&) = delete;
  EpochSetUp& operator=(const EpochSetUp&) = delete;
  /// Once. Errors: failed_precondition (set_up_sets); aborted (more than t parties are excluded, or this one is; nothing agrees in
  /// the opening); deadline_exceeded (too few were heard in the opening); cancelled (session closed).
  runtime::Task<Result<EpochKeys>> run();
  const SetUpReport& report() const { return report_; }

 private:
  runtime::Task<Result<EpochKeys>> open(Secret<std::vector<Share<Z64>>> outputs, const std::vector<PartySet>& sets);

  Broadcast broadcast_;
  SyncRun run_;
  SetUpReport report_;
};

/// The same for callers that want no report.
runtime::Task<Result<EpochKeys>> set_up_epoch(runtime::Session& session, runtime::Compute& compute,
                                              const Signatories& signatories, Rng& rng,
                                              runtime::Duration round_timeout);

/// Options for the session of a set-up: lane and length of messages.
runtime::SessionOptions set_up_session(CommitteeSize committee);

}  // namespace witan::mpc
