// Attempts of one preprocessing: what a party has of it after a restart, how parties leave an attempt together, and how they begin the
// next one together.
//
//   call      who has restarted, or whose attempt has failed, waits for attempt a: signed (mpc/calls.h), to all. a is above every attempt
//             in which it has signed anything: nobody goes on in a session that it does not remember
//   leave     who runs attempt a - 1 reports the calls for a that it knows in its next decide (mpc/detected_opening.h). All honest parties
//             see the same calls there, and leave; they keep the batches that were decided before, and call for a
//   gather    n-t calls for a: shown to all (so all have them D later), and a private round for the others
//   agree     broadcast (batches that this party has, the attempts in which they were made, whose calls ended the last attempt, how
//             many calls of each party have done so, who is convicted), everybody its own; from what comes out:
//               members     who was heard; who was not is excluded from the attempt
//               callers, counts, convicted    what at least t+1 of the members say, so at least an honest one; counts: the largest
//                           number that t+1 reach
//               history     attempts that t+1 members have gone through, the longest that there is. Who has missed one of them shares
//                           the batches that all before were made in and none since has dropped, and counts with as many
//               batches     that are kept: the fewest that a caller shares, and not more than t+1 others share. No callers: the
//                           fewest that a member shares
//   begin     with those batches and fresh sessions; what was stored of later batches is dropped. Who shares fewer batches, or is not
//             a member, calls for a + 1
//   done      who has everything says so; t+1 of them: it is too late to take part
//
// *Nothing is used twice.* Sessions of attempt 0, the session of calls, and what a call signs are named by `name`
// (preprocessing_name()): request, plan, committee and epoch. Sessions of attempt a >= 1 are named by a hash over that and everything agreed. So
// one session id stands for one content whatever parties believe of plan and attempts; who was given another plan meets nobody. The journal
// holds the attempt before its first message; a party that has shown n-t calls for a, or run a, never gathers for a again. What it repeats
// (calls, done) has one content.
//
// *Liars.* An attempt is ended by a call that is reported, of a party that is not convicted and has ended fewer than kCallsPerParty
// attempts; or by n-t calls, of which n-2t > t come from honest parties that do not run it. So there are at most
// kCallsPerParty * n more attempts than crashes of more than t parties. A caller that claims few batches costs work, no more.
//
// *Disputes.* Convicted parties stay excluded. Who was silent or in dispute starts afresh: it may have been gone, and has come back.
//
// *More than t parties crash.* Then an attempt cannot end; it fails at those who are left, or there is nobody left, and n-t calls begin the
// next one. Parties that have finished take no part: what the others make then differs from what they have, and content() with it.
//
// *Time* (mpc::Patience). Parties that leave an attempt do so within T/2 of each other, T the round of the level with t more excluded than
// the attempt began with. One level more bears a private round behind that; another one the Bots of `agree`: an attempt begins
// t + 2 levels above the one before.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "crypto/ids.h"
#include "mpc/calls.h"
#include "mpc/detected_opening.h"
#include "mpc/epoch_keys.h"
#include "runtime/journal.h"
#include "runtime/router.h"
#include "runtime/scope.h"

namespace witan::protocols {

/// Units first .. first + count - 1 of an order.
struct UnitRange {
  std::uint64_t first = 0, count = 0;
  friend bool operator==(const UnitRange&, const UnitRange&) = default;
};

/// What a node lends. All outlive the preprocessing.
struct PreprocessingParty {
  runtime::Router& router;
  runtime::Journal& journal;
  runtime::Compute& compute;
  const mpc::EpochKeys& keys;
  const mpc::Signatories& signatories;
  EpochId epoch;  // of the keys
};

/// Which units came out of a decided batch; they are stored when this is in the journal.
struct FinishedBatch {
  std::uint32_t order = 0;
  SessionId session{};
  std::vector<UnitRange> units;  // ascending

  Bytes encode() const;
  static Result<FinishedBatch> decode(ByteView record);
};

/// Records of a preprocessing: id(32) || first attempt(2) || 's': its state; ... || 'b' || number(4, big endian): its finished batches, until
/// it is done. The state stays for ever (security.md 6, S7).
inline constexpr const char* kAttemptsTable = "preprocessing_attempts";

/// Of one that has failed: what erases the records of its batches.
Result<std::vector<runtime::Change>> forget_batches(const runtime::Journal& journal, const PreprocId& id);

inline constexpr int kCallsPerParty = 2;
inline constexpr std::uint16_t kMaxAttempts = 40;  // after the first one

/// The session of calls is number kCallSession of kind 3, its attempt that of the caller; no bits are made in a session of that number.
inline constexpr std::uint16_t kCallSession = (1u << 15) - 1;
inline constexpr runtime::Step kCallStep = 0;                                 // + attempt: signature
inline constexpr runtime::Step kGatheredStep = kCallStep + kMaxAttempts + 1;  // + attempt: calls
inline constexpr runtime::Step kDoneStep = kGatheredStep + kMaxAttempts + 1;
inline constexpr runtime::Step kAgreeSteps = 256;  // + attempt * kBroadcastSteps
static_assert(kDoneStep < kAgreeSteps);

struct AttemptOptions {
  mpc::OpeningVariant variant = mpc::OpeningVariant::w1;
  runtime::Duration delay{};  // see mpc::DetectionOptions
  runtime::Duration wait{};   // for n-t calls
};

/// What ends an attempt, while another one may succeed: too few parties, or this one, take part in it.
inline bool has_failed(const Error& error) {
  return error.code == Code::aborted || error.code == Code::deadline_exceeded;
}

class Attempts {
 public:
  /// `name`: preprocessing_name(), the same after a restart. `first`: the attempt of mpc.md 5.2 that the caller has given this
  /// preprocessing; those of this class are counted from 0 in it.
  Attempts(PreprocessingParty party, PreprocId id, const crypto::Digest& name, std::uint16_t first,
           AttemptOptions options);
  Attempts(const Attempts&) = delete;
  Attempts& operator=(const Attempts&) = delete;

  /// Reads the journal and begins to listen. True if attempt 0 was begun before: next() or nothing (is_done()) has to follow.
  /// Errors: data_loss (a record), those of the journal and of Router::open.
  runtime::Task<Result<bool>> open();
  bool is_done() const { return state_.phase == Phase::done; }
  /// Attempt 0.
  runtime::Task<Status> begin();
  /// All honest parties leave the attempt: what it has shown, and whose calls have ended it. Errors: those of the journal.
  runtime::Task<Status> leave(runtime::RoleSet convicted, runtime::RoleSet callers);
  /// Calls for the next attempt, and begins it with the others. Errors: aborted (t+1 parties are done; this one is convicted; too many
  /// attempts); deadline_exceeded (n-t parties did not call within options.wait or two broadcasts); those of the journal.
  runtime::Task<Status> next();

  /// Of the attempt that has begun.
  std::uint16_t number() const { return state_.attempt; }
  runtime::RoleSet members() const { return state_.members; }
  runtime::RoleSet convicted() const { return state_.convicted; }
  int level() const { return level_of(state_.attempt); }
  SessionId session(int word_bits, std::uint16_t number) const;
  /// Calls that end it.
  mpc::Calls& calls() { return *ending_; }

  /// The batches that are finished, in order of their decides.
  const std::vector<FinishedBatch>& batches() const { return batches_; }
  runtime::Task<Status> finished(FinishedBatch batch);
  /// Nothing is missing. Tells the others.
  runtime::Task<Status> finish();
  /// After finish(): names all that was made. Parties whose material is one sharing have the same.
  const crypto::Digest& content() const { return state_.name; }

 private:
  enum class Phase : std::uint8_t { running, calling, gathered, done };
  /// An attempt after the first one, and how many of the batches before it were kept in it.
  struct Begun {
    crypto::Digest name{};
    std::uint32_t kept = 0;
    friend auto operator<=>(const Begun&, const Begun&) = default;
  };
  using History = std::vector<Begun>;
  struct State {
    Phase phase = Phase::running;
    std::uint16_t attempt = 0;
    runtime::RoleSet members, convicted, callers;
    std::vector<std::uint8_t> counts;  // by role: attempts that its calls have ended
    crypto::Digest name{};             // of the attempt; of everything once it is done
    History history;                   // of the batches
    Bytes encode() const;
    static Result<State> decode(ByteView record, CommitteeSize committee);
  };
  struct Claim;

  static void write(Writer& out, const History& history);
  static History read_history(Reader& in);
  static std::uint32_t shared_batches(std::uint32_t batches, const History& own, const History& other);
  static History supported_history(const std::map<Role, Claim>& claims, int support);
  int level_of(std::uint16_t attempt) const;
  Bytes key(char kind) const;
  Bytes batch_key(std::size_t number) const;
  Bytes name_of(std::uint16_t attempt) const;
  runtime::Change put_state() const;
  void listen(std::uint16_t attempt);
  runtime::Task<void> hear_calls(std::uint16_t attempt);
  runtime::Task<void> hear_gathered(std::uint16_t attempt);
  runtime::Task<void> hear_done();
  mpc::Calls& calls_for(std::uint16_t attempt);
  runtime::Task<Status> call(std::uint16_t attempt);
  runtime::Task<Result<std::uint16_t>> gather(std::uint16_t attempt);
  runtime::Task<Result<bool>> agree();
  runtime::RoleSet all() const { return runtime::RoleSet::all(committee_); }
  int enough() const { return committee_.parties() - committee_.threshold(); }

  PreprocessingParty party_;
  const PreprocId id_;
  const crypto::Digest name_;
  const std::uint16_t first_;
  const AttemptOptions options_;
  const CommitteeSize committee_;
  State state_;
  std::vector<FinishedBatch> batches_;
  std::optional<runtime::Session> session_;
  std::map<std::uint16_t, mpc::Calls> calls_;  // by attempt
  std::optional<mpc::Calls> ending_;
  std::uint16_t heard_from_ = 0;  // calls up to this attempt are listened to
  runtime::RoleSet done_;
  runtime::WaitList news_;
  runtime::TaskScope listeners_;
};

}  // namespace witan::protocols
