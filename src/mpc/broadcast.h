// Broadcast of one message by every active party at once, synchronous, with signed vectors and certificates (mpc.md 6.4,
// security.md 3.1):
//
//   round 1      every party s   m_s to all
//   round 2      every party i   E_i = (H(m_s) for every sender s, none if nothing came), one signature over it; to all
//   certificate  for (s, h): signed vectors of n-t distinct active parties that have h for s; n and t of the whole committee.
//                Of the absence of s: signed vectors of n-t distinct active parties that have none for s
//   extract      until the end of round 2+r, r = 0..t+1: a certificate for (s, h) with relay signatures of at least r distinct
//                parties on (s, h).  h is what s said.  If r <= t: offers certificate, relay signatures and the own one to all
//   absent       at any time: a certificate of absence.  s is Bot.  Offers it to all
//   message      the m_s of round 1 if its hash is h, else asked from t+1 signers of the certificate
//   end          of round t+3: senders without extraction are Bot
//
// A party that has a certificate about every sender returns: after two rounds if everybody is honest, then with
// (n-1)(|m| + 2 + 32n + 64) bytes sent per party. A sender that nobody hears costs the rest of round 1. One that t honest parties or
// fewer hear costs that if liars show its absence, else t+3 rounds.
//
// *Absence decides nothing that was open.* Certificates for (s, h) and of the absence of s would share n-2t > t signers, hence an honest
// one, who signs one vector: they never exist both, at whatever time they are shown. So whoever sees an absence gives Bot, and
// nobody can extract; who does not see it gives Bot at the end. Absences need no relay signatures and no round. An honest s is heard
// by all honest parties in round 1; t vectors without it are no certificate.
//
// *Time.* Round k ends at a party T*k after its start, T = round_timeout, or earlier when everything awaited has come: an early end
// moves no later deadline. A party that counted from its own early end would close round 2+r before the relay of a party comes
// that a liar made wait; two parties would then disagree on r. The conditions, for D the largest delay of a message between honest
// parties with all that is computed on the way: T >= 16 D, and honest parties start within T/2 of each other. Everything honest
// that belongs to round k then comes within it.
//
// *Certificates are offered, not sent again* (Session::offer): who has none about a sender asks everybody for one, from T/8 after its
// start and every T/8 until the end. A good broadcast has ended by then. The proof of 3.1 needs that an extraction of an honest P in
// round 2+r reaches every honest Q in round 2+r+1: P extracts before the end of its round 2+r and offers at once; from then on
// every question of Q is answered; Q asks at most T/8 later and has the answer after 2 D more, and the message, which it asks for at
// once, after another 2 D: at the latest T/2 + T/8 + 4 D < T after the end of its own round 2+r. It does not matter whether P has
// returned: a session answers for what it keeps, also when it is closed.
//
// *Broadcasts may follow one another.* Let P be the first honest party that returns.
//   P has a certificate about every sender: every honest Q has started, because its message was extracted. Q asks at most T/8 later,
//     has the certificates 2 D after that and the messages after another 2 D: honest parties end within T/8 + 4 D of each other.
//     For this, vectors and relays count from the start; a party that has everything leaves round 1 (a liar that lets Q alone wait
//     for its message would otherwise make it a round late for what comes next); and a message is awaited without asking for
//     it until the first question only, whatever is certified about it.
//   P has come to the end of round t+3: the others come to theirs, or return before, within what they started apart. None of
//     them fetches a message at its end: what it extracts there others have offered a round before.
// They end within T/2 of each other in both cases, and within T/8 + 4 D if no sender is Bot.
//
// *Evidence decides, the message follows.* A certificate for a hash has at least n-2t > t honest signers, who hold m and have offered
// it before they signed. So a fetch of t+1 of them succeeds whenever messages arrive at all, and needs no place in the rounds:
// it has as much time again as the broadcast. If that is not enough, run() fails; it never turns a certified message into Bot.
//
// *Release.* Run b releases what was sent and offered in b-2. A party that starts b has extracted every honest party in b-1;
// each had sent its message there, so it had ended b-2 and asks for nothing of it.
// What the last two broadcasts offered stays as long as the session keeps what it sent; closing it with Keep::nothing while
// others may be in their last t+3 rounds breaks the broadcast for them.
#pragma once

#include <optional>
#include <vector>

#include "crypto/ecdsa.h"
#include "runtime/compute.h"
#include "runtime/session.h"

namespace witan::mpc {

/// The signing keys of the context: the own one, and everybody's by role.
struct Signatories {
  const crypto::SigningKey* own = nullptr;  // outlives the broadcasts
  std::vector<crypto::VerifyingKey> keys;   // by role
};

/// What came of a broadcast, by role: the sender's message, or null for Bot. Senders that are not active: null.
using BroadcastOutcome = std::vector<runtime::Payload>;

/// Steps that one broadcast may use; broadcast number b of a session uses first_step + b * kBroadcastSteps and up.
inline constexpr runtime::Step kBroadcastSteps = 32;

/// The steps of one broadcast, counted from its first.
inline constexpr runtime::Step kBroadcastMessage = 0;  // m_s of round 1
inline constexpr runtime::Step kBroadcastVector = 1;   // E_i
inline constexpr runtime::Step kBroadcastRelay = 2;    // + position of the sender: certificate about it, offered
inline constexpr runtime::Step kBroadcastFetch = 17;   // + position of the sender: its message, offered
static_assert(kBroadcastFetch + Role::kMax == kBroadcastSteps && kBroadcastRelay + Role::kMax == kBroadcastFetch);

/// Who did what in a broadcast, as far as this party has seen. Only `silent` may name an honest party, one that was late.
struct BroadcastReport {
  runtime::RoleSet silent;       // no message in round 1
  runtime::RoleSet malformed;    // sent what is too long, cannot be read, is not signed, or is not what its hash says
  runtime::RoleSet equivocated;  // said different things to different parties, or two things in one step
  runtime::RoleSet late;         // showed a certificate with too few relay signatures for its round
  runtime::RoleSet absent;       // Bot by a certificate of absence
  runtime::RoleSet relayed;      // senders about whom only a certificate of another party decided
  runtime::RoleSet fetched;      // senders whose message came from another party
};

/// What defends a broadcast; tests replace single rules and must then see a violation (see OpeningRules).
struct BroadcastRules {
  /// Signed vectors that make a certificate.
  static constexpr std::size_t certificate(CommitteeSize committee) {
    return static_cast<std::size_t>(committee.parties() - committee.threshold());
  }
  /// ... that make one of absence.
  static constexpr std::size_t absence(CommitteeSize committee) { return certificate(committee); }
  /// Relay signatures that must come with a certificate in round 2+r.
  static constexpr std::size_t relays(int r) { return static_cast<std::size_t>(r); }
  static bool is_signed(const crypto::VerifyingKey& key, const crypto::Digest& digest, ByteView signature) {
    return crypto::verify_digest(key, digest, signature);
  }
  /// May a fetched message with that hash be taken for the one that was certified?
  static bool is_certified(const crypto::Digest& hash, const crypto::Digest& certified) { return hash == certified; }
};

template <class Rules = BroadcastRules>
class BasicBroadcast {
 public:
  /// Session and pool outlive the broadcasts. All honest parties give the same steps and timeout; one object per session and
  /// range of steps.
  BasicBroadcast(runtime::Session& session, runtime::Compute& compute, const Signatories& signatories,
                 runtime::Step first_step, runtime::Duration round_timeout);

  /// All active parties run the same number with the same active set and bound, within half a round_timeout of each other.
  /// `number` grows by one with each broadcast. Errors: cancelled (session closed); invalid_argument (own message null or longer
  /// than max_bytes, self not active, number out of order, keys that do not fit); resource_exhausted (the session keeps too
  /// much); deadline_exceeded or aborted (no signer of a certificate delivers what was signed: more than t parties are faulty,
  /// or this one is cut off). After an error the session's broadcasts have ended: the number is not used again.
  runtime::Task<Result<BroadcastOutcome>> run(std::uint32_t number, runtime::Payload own, runtime::RoleSet active,
                                              std::size_t max_bytes);

  /// Of the last run.
  const BroadcastReport& report() const { return report_; }

 private:
  Status check(std::uint32_t number, const runtime::Payload& own, runtime::RoleSet active, std::size_t max_bytes) const;

  runtime::Session& session_;
  runtime::Compute& compute_;
  const Signatories signatories_;
  const runtime::Step first_step_;
  const runtime::Duration round_timeout_;
  std::optional<std::uint32_t> last_number_;
  BroadcastReport report_;
};

using Broadcast = BasicBroadcast<>;

}  // namespace witan::mpc
