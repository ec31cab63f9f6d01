// Opening of a batch at degree 2t, synchronous, with detection and the dispute path (mpc.md 17.2, 17.4, 17.5; security.md 3.5, 4.2).
// Nothing is ever corrected here: a value counts only if the shares of all parties that this party is not in dispute with are
// there and consistent (S10, S11).
//
//   W1   exchange   every party sends its share of every element to every party
//   W2   exchange   groups of l = n-t elements w_1..w_l, y_i = sum_e w_e alpha_i^(e-1) for i = 1..n
//        phase 1    every party sends its share of y_i to P_i only; P_i checks y_i as above, else it is bottom
//        phase 2    P_i sends y_i or bottom to all; a group counts if no y_i of N_j is missing or bottom, and all are of degree l-1
//   decide          broadcast (ok, h) or (bad, first bad index, phase, silent parties), and calls for the next attempt (mpc/calls.h)
//                   somebody reports a call: nothing is decided, all leave the attempt here
//                   named silent by t+1: excluded, check and decide again
//   release         t+1 equal (ok, h): these are the values. Who has something else fetches them and compares with h.  Done
//   reveal          smallest bad index: broadcast shares and PRF values
//   resolve         liars are excluded (mpc/resolution.h); a disputed z_E is opened from its shares, degree t
//   accuse          whoever reported the index broadcasts who sent it something else: dispute pairs
//   discard         the index; check and decide again
//
// exchange() covers W1's exchange and phase 1; those of several batches may run at once. decide() does the rest, in the order of the
// batches, because the state of the disputes is one for all of them, and what is bottom depends on it. values() fetches what is
// missing, apart from that order: no party is late in the next decide because somebody did not answer it. Values leave this class
// there alone, after the decide, so nothing pending can be used (S17).
//
// Steps of the session: see the constants below. One session serves one batch.
#pragma once

#include <algorithm>
#include <memory>
#include <span>
#include <vector>

#include "base/uninitialized.h"
#include "crypto/hash.h"
#include "mpc/broadcast.h"
#include "mpc/calls.h"
#include "mpc/disputes.h"
#include "mpc/epoch_keys.h"
#include "mpc/opening_variant.h"
#include "mpc/resolution.h"
#include "runtime/compute.h"
#include "runtime/session.h"

namespace witan::mpc {

struct DetectionOptions {
  OpeningVariant variant = OpeningVariant::w1;
  /// Rows (elements, resp. groups) in one message.
  std::size_t chunk_rows = 1u << 14;
  /// The largest delay of a message between honest parties, a batch of shares included, with all that is computed on the way.
  /// Generous, because a late honest party counts as faulty (security.md 8). All waiting follows from it, see Patience.
  runtime::Duration delay = std::chrono::seconds(3);
  /// By how many parties that are excluded honest parties are farther apart than in a run that has just begun: see Patience.
  int level = 0;
};

/// How long honest parties wait, D = delay, so that they stay together whatever t parties do. They begin the first exchange within
/// `apart` of each other, and then:
///
///   a private round that they begin within a    waits a + D for who has not sent once n-t have. That is not before the first
///       honest party has begun, so every honest message comes in time. Nobody ends it before the last honest party has begun
///       (its message is missing, or the wait has lasted); and everybody has n-t messages D after that: they end within a + 2 D
///   an opening at degree t                      ends when 2t+1 shares agree, at most D after the last has begun: within a + D
///   a broadcast that they begin within T/2      ends within T/8 + 4 D, or, after a Bot, within T/2 (mpc/broadcast.h)
///
/// So a batch, with p private rounds (exchange; phase 2 of W2) before its broadcasts, is begun within `apart` = T/8 + 4 D if nobody is
/// excluded, and T must be so large that apart + 2 p D <= T/2: T = (16 + 4 p) D. Bot excludes a party, and everybody knows it: then
/// apart = T/2, and the T of what follows is 4 p D longer.
struct Patience {
  Patience(OpeningVariant variant, runtime::Duration delay, int excluded);
  runtime::Duration apart, exchange, phase_2, round;
};

/// What happened on the way, as far as this party has seen.
struct DetectionReport {
  std::uint32_t passes = 0;            // disputes that were settled
  std::uint32_t silence = 0;           // times that everybody checked again, because a party was excluded for silence
  std::uint32_t excused = 0;           // reports of phase 2 whose sender named nobody, and was right
  std::uint32_t opened_zero_keys = 0;  // z_E whose holders claimed different things
  std::uint32_t fetched = 0;           // times that this party took the values of another one

  DetectionReport& operator+=(const DetectionReport& other);
};

/// Equal at all honest parties.
struct Decided {
  std::vector<std::size_t> discarded;  // ascending: elements that were revealed, which nothing may use
  runtime::RoleSet callers;            // who calls for the next attempt; if anybody does, there are no values
};

/// What defends the opening; tests replace single rules and must then see a violation (see OpeningRules).
struct DetectionRules {
  /// Equal (ok, h) reports that make values final.
  static constexpr int agreeing(CommitteeSize committee) { return committee.threshold() + 1; }
  /// Are fetched values compared with h?
  static constexpr bool check_fetched = true;
};

inline constexpr runtime::Step kPhase1 = 0, kPhase2 = 1u << 13, kFetch = 1u << 18, kZeroShares = kFetch + (1u << 13),
                               kDecideBroadcasts = 1u << 19;
inline constexpr std::size_t kMaxChunks = 1u << 13;
inline constexpr std::uint32_t kMaxPasses = (kFetch - kPhase2) / kMaxChunks;
inline constexpr runtime::Step kDetectionSteps = 1u << 20;
/// How the session of a batch is opened: what does not come is asked for within a delay, because whoever was asked before it had it
/// does not answer.
inline runtime::SessionOptions detection_session(runtime::Duration delay) {
  runtime::SessionOptions out{.lane = runtime::Lane::bulk, .max_steps = kDetectionSteps};
  out.resend_after = std::min(out.resend_after, delay);
  return out;
}

template <Word Z, class Rules = DetectionRules>
class DetectedOpening {
 public:
  /// All references outlive the opening. Preconditions (checked): at least one element, at most kMaxChunks chunks.
  DetectedOpening(runtime::Session& session, runtime::Compute& compute, const EpochKeys& keys,
                  const Signatories& signatories, Disputes& disputes, std::shared_ptr<Disposable<Z>> batch,
                  DetectionOptions options);
  ~DetectedOpening();

  /// Sends this party's shares and collects the others'. Errors: those of the batch, cancelled.
  runtime::Task<Status> exchange();
  /// After exchange(). Reports the calls that are known, and takes those that others report. Errors: aborted (more than t parties
  /// excluded, or this one), cancelled.
  runtime::Task<Result<Decided>> decide(Calls& calls);
  /// After decide() without callers, once: the opened elements; those that were revealed mean nothing. Errors: aborted (nobody to fetch from), cancelled.
  runtime::Task<Result<UninitializedVector<Gr<Z>>>> values();
  const DetectionReport& report() const { return report_; }

 private:
  struct Report;
  struct Reports;
  struct Data;
  using Roles = std::vector<Role>;

  std::size_t group() const;  // elements per row
  std::size_t rows() const;
  std::size_t chunk_count() const;
  std::size_t rows_in(std::size_t chunk) const;
  std::vector<std::size_t> elements_of(std::size_t row) const;
  std::size_t message_bytes(std::size_t chunk, std::size_t phase) const;

  runtime::Step phase_2_step() const { return kPhase2 + pass_ * static_cast<runtime::Step>(kMaxChunks); }
  runtime::Task<Status> produce(std::size_t chunk);
  runtime::Task<Status> send_phase_2();
  runtime::Task<Status> collect(runtime::Step first_step, std::size_t phase);
  Patience patience() const { return {options_.variant, options_.delay, options_.level + disputes_.excluded().size()}; }
  runtime::Task<Status> check_rows(std::size_t phase);
  runtime::Task<Result<Report>> check();
  runtime::Task<crypto::Digest> digest();

  Status may_go_on() const;
  runtime::Task<Result<BroadcastOutcome>> broadcast(Bytes own, std::size_t max_bytes);
  Reports read(const BroadcastOutcome& outcome, Calls& calls);
  bool exclude_silent(const Reports& reports);
  Status release(const crypto::Digest& h, const Reports& reports);
  struct Holder;
  runtime::Task<Status> fetch();
  runtime::Task<void> fetch_from(Holder& holder, runtime::Event& news);
  runtime::Task<Status> dispute_pass(const Disputes& before, const Report& mine, const Reports& reports);
  runtime::Task<Status> open_zero_keys(Resolution<Z>& resolution, const std::vector<std::size_t>& zero_sets);
  runtime::RoleSet deviators(const Disputes& before, const Resolution<Z>& resolution, std::uint64_t row, int phase,
                             const Reports& reports) const;

  runtime::Session& session_;
  runtime::Compute& compute_;
  const EpochKeys& keys_;
  Disputes& disputes_;
  const DetectionOptions options_;
  const CommitteeSize committee_;
  const Role self_;
  const Signatories signatories_;
  std::uint32_t next_broadcast_ = 0, pass_ = 0;
  std::size_t checked_version_ = 0;  // of the disputes, when phase 1 was checked
  crypto::Digest released_{};        // h of the values
  runtime::RoleSet having_;          // who has them
  DetectionReport report_;
  std::shared_ptr<Data> data_;  // what kernels read and write
};

}  // namespace witan::mpc
