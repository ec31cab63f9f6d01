// Agreement on the set keys of an epoch by commit and open (mpc.md 7.1, 7.2, variant with abort). PROVISIONAL: anybody can
// make it fail, so epochs made with it are marked; the robust set-up replaces it.
//
//   local    for each set A with me: s_A (16 bytes), opening o_A (16 bytes)
//   1        to each member of A:  C(role, sid, round, A || s_A, o_A)
//   2        to each member of A:  s_A, o_A           compare with the commitment; key_A = XOR of all s_A
//   3        to each member of A:  H("WITAGREE", sid || A || key_A)      compare: all equal
//
// All sets in one message per peer and round. A key, or anything that determines it, goes to members only (security.md S3).
#pragma once

#include "mpc/prss.h"
#include "runtime/session.h"

namespace witan::mpc {

inline constexpr runtime::Step kAgreementCommit = 1;
inline constexpr runtime::Step kAgreementOpen = 2;
inline constexpr runtime::Step kAgreementCompare = 3;

/// c = SHAKE256("COMMTMNT" || u64(role) || u128(sid) || u64(round) || message || opening), 32 bytes.
crypto::Digest commitment(Role role, SessionId session, std::uint64_t round, ByteView message,
                          const ByteArray<16>& opening);

/// Every party of the committee takes part. Errors: deadline_exceeded (a party missed a round of `round_timeout`, which is
/// counted from the moment the own message of the round was sent); aborted (naming set and party: malformed message, wrong
/// opening, different keys); cancelled. A session serves one attempt: the caller takes a new one for the next.
runtime::Task<Result<SetKeys>> agree_set_keys(runtime::Session& session, Rng& rng, runtime::Duration round_timeout);

/// What defends the agreement; tests replace single rules and must then see a violation (see OpeningRules).
struct AgreementRules {
  static constexpr bool check_openings = true;
  static constexpr bool compare_keys = true;
};

}  // namespace witan::mpc
