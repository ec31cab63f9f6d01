// Verifiable secret sharing, all dealers in parallel, N secrets each (mpc.md 7.3), synchronous:
//
//   R1  to P_i       F_i(X) = F(X, alpha_i), G_i(Y) = F(alpha_i, Y) of the own secrets F(0,0); pads r_ij for every dealer and secret
//                    missing, another size, or F_i(alpha_i) != G_i(alpha_i): read as zero
//   R2  broadcast    for every dealer, every j != i:  a_ij = F_i(alpha_j) + r_ij,  b_ij = G_i(alpha_j) + r_ji
//                    another shape, or nothing: excluded
//   R3  broadcast    only if some a_ij != b_ji: of each such conflict the point as D, P_i and P_j hold it
//                    unhappy: who differs from D; more than t unhappy parties: D is excluded
//   R4  broadcast    only if somebody is unhappy: D says F_i of the unhappy, every happy P_j says G_j(alpha_i)
//                    fewer than 2t + 1 agree, D among them: D is excluded; otherwise F_i of the unhappy is what D said
//   out              F_i(0) for each dealer; zero for excluded ones
//
// Claim. At most t parties are faulty. The shares of honest parties in the secrets of a dealer lie on one polynomial of degree <= t
// (on the dealer's own, if it is honest: then the adversary knows nothing of its secrets); no honest party is excluded.
// Proof. An honest dealer: honest parties hold its values, so whoever is unhappy is faulty and all 2t + 1 honest ones agree in R4;
// what is broadcast in R3 and R4 was known to a faulty party, and in R2 every value of two honest parties has a pad. A faulty dealer
// that stays: at least t + 1 honest parties S are happy, F_i(alpha_j) = G_j(alpha_i) for i, j in S, i = j included by the check
// in R1, so F_i and G_i, i in S, are those of one F of degree <= t in X and Y. An F_i that is broadcast agrees with G_j of t + 1
// honest happy parties j in alpha_j (2t + 1 agree, at most t of them are faulty, D among them), so it is F(X, alpha_i) too.
// The check in R1 is needed: without it the t + 1 values G_j(alpha_i) are free when S has t + 1 members, and so is F_i.
#pragma once

#include "mpc/sync_run.h"
#include "mpc/vss_rounds.h"

namespace witan::mpc {

template <Word Z>
struct SharedSecrets {
  /// This party's shares of the secrets of each dealer, by role; zero for dealers that are excluded now.
  std::vector<Secret<std::vector<Share<Z>>>> shares;
  /// Dealers from which this party got no message in R1, or none that could be used. Others may have seen other things: this
  /// excludes nobody.
  runtime::RoleSet silent, unusable;
};

/// What defends the sharing; tests replace single rules and must then see a violation (see OpeningRules).
struct VssRules {
  static constexpr bool check_own_point = true;
  static constexpr int needed_agreeing(CommitteeSize committee) { return 2 * committee.threshold() + 1; }
};

/// Shares the own secrets and takes part in the sharings of all other active parties; everybody shares equally many, at least one.
/// R1 is sent under `step`; there are one to three broadcasts. Excludes parties from the run. Errors: those of the broadcast and
/// of SyncRun::exclude; cancelled (session closed). The run outlives the task.
template <Word Z>
runtime::Task<Result<SharedSecrets<Z>>> share_verifiably(SyncRun& run, runtime::Step step,
                                                         Secret<std::vector<Gr<Z>>> secrets);

/// The longest message of a sharing of so many secrets: for SessionOptions::max_payload_bytes, with what the broadcast adds.
template <Word Z>
std::size_t longest_vss_message(CommitteeSize committee, std::size_t secrets);

}  // namespace witan::mpc
