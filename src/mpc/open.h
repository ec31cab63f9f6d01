// Robust opening of a batch of sharings of degree t, asynchronous (mpc.md 4.4, security.md 3.4):
//
//   every party     sends its shares of all values to every receiver, one message
//   every receiver  accepts as soon as 2t+1 of the shares that it has lie on one polynomial of degree <= t, for all values
//
// Up to t parties may lie, be silent or arbitrarily late. A message of the wrong length counts as heard, without a share. At
// degree 2t nothing here decodes.
#pragma once

#include <functional>
#include <vector>

#include "algebra/decode.h"
#include "runtime/compute.h"
#include "runtime/session.h"

namespace witan::mpc {

using algebra::Gr;
using algebra::Share;
using algebra::Word;
using algebra::Z128;
using algebra::Z64;

/// Who did what in an opening, as far as this party has seen.
struct OpeningReport {
  runtime::RoleSet agreed;  // sent what lies on the accepted polynomials; this party included
  runtime::RoleSet lied;    // sent another value or a malformed message, for the same content
  runtime::RoleSet other;  // sent such a message under a header of other content: their own word, a liar may say so too
  runtime::RoleSet silent;  // not heard (yet)
};

/// What defends an opening. Production code uses this one; tests of the tests replace single rules (policy parameter) and
/// must then see a violation.
struct OpeningRules {
  /// Shares that must agree, own included.
  static constexpr std::size_t needed(CommitteeSize committee) {
    return 2 * static_cast<std::size_t>(committee.threshold()) + 1;
  }
  /// May a message of another length be cut or filled with zeros?
  static constexpr bool fits(std::size_t size_bytes, std::size_t expected_bytes) {
    return size_bytes == expected_bytes;
  }
};

template <Word Z, class Rules = OpeningRules>
class RobustOpening {
 public:
  /// `own`: this party's shares, already sent by the caller under `step`, after `header`, which names the content. Another
  /// header of a peer never decides whether its share counts; it is only told apart in the report. The session outlives the
  /// opening. `work`: the class of its kernels.
  RobustOpening(runtime::Session& session, runtime::Compute& compute, runtime::Step step, Bytes header,
                std::vector<Share<Z>> own, runtime::Work work = runtime::Work::urgent);

  /// The opened values. Errors: deadline_exceeded (naming who is silent); aborted (everybody was heard, or said that the
  /// message is not kept any more, and no 2t+1 agree); cancelled (session closed). Once.
  runtime::Task<Result<std::vector<Gr<Z>>>> accept(runtime::Instant deadline);

  /// After acceptance: takes the messages that still come until the deadline, checks them against what was accepted and
  /// calls `on_lie` for each party that lies late. Ends early when all have been heard or the session is closed.
  runtime::Task<void> watch_late(runtime::Instant until, std::function<void(Role)> on_lie);

  OpeningReport report() const;

 private:
  using Words = std::shared_ptr<const std::vector<Gr<Z>>>;
  void take(const runtime::Message& message);
  std::string describe() const;

  runtime::Session& session_;
  runtime::Compute& compute_;
  runtime::Step step_;
  const runtime::Work work_;
  const Bytes header_;
  std::vector<Role> roles_;   // who has sent shares, own role first
  std::vector<Words> words_;  // their shares
  runtime::RoleSet malformed_, agreed_, wrong_, other_;
  bool accepted_ = false;
};

/// Shares as they stand in a message.
template <Word Z>
void append_shares(Bytes& out, std::span<const Share<Z>> shares);

}  // namespace witan::mpc
