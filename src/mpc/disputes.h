// Who is excluded and who is in dispute with whom in one preprocessing (mpc.md 17.4, security.md 4.2). The state is equal at all
// honest parties, because outcomes of broadcasts alone change it, in one order.
//
// An honest party is never excluded, unless it was late, and two honest parties are never in dispute: so every pair contains a
// faulty party, an honest party has at most t disputes, and N_j of an honest party j holds all honest ones.
#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "runtime/role_set.h"

namespace witan::mpc {

/// One change of the state, for the log of the operator and for the metadata of what was made.
struct Verdict {
  enum class Kind : std::uint8_t {
    excluded,  // convicted: what it broadcast shows that it deviated
    missing,   // excluded for what it did not say, or with more than t disputes: it may just have been late, or gone
    disputed,  // one of the two deviated; nobody else can tell which
  };
  Kind kind;
  Role party;
  Role other;  // of a dispute; else equal to party
  std::string reason;
};

class Disputes {
 public:
  explicit Disputes(CommitteeSize committee);

  CommitteeSize committee() const { return committee_; }
  runtime::RoleSet active() const { return active_; }
  runtime::RoleSet excluded() const { return runtime::RoleSet::all(committee_) - active_; }
  /// N_j: active, j included, not in dispute with j. Whose messages j checks.
  runtime::RoleSet partners(Role j) const;

  /// Those whom what they broadcast convicts.
  runtime::RoleSet convicted() const { return convicted_; }
  /// Why a party is excluded; null if it is not.
  const Verdict* exclusion(Role party) const;

  /// No effect on a party that is excluded already.
  void exclude(Role party, std::string reason, Verdict::Kind kind = Verdict::Kind::excluded);
  /// A party with more than t disputes is excluded. No effect on a pair that is there already.
  void dispute(Role party, Role other, std::string reason);
  /// Error aborted, with all verdicts, when more than t parties are excluded: nothing may be released any more (S27).
  Status check() const;

  /// Grows with each change.
  std::size_t version() const { return verdicts_.size(); }
  const std::vector<Verdict>& verdicts() const { return verdicts_; }

 private:
  CommitteeSize committee_;
  runtime::RoleSet active_, convicted_;
  std::vector<runtime::RoleSet> disputed_with_;  // by role
  std::vector<Verdict> verdicts_;
};

}  // namespace witan::mpc
