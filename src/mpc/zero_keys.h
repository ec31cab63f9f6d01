// Zero sharings of degree 2t from a covering design (mpc.md 17.2, security.md 3.3): every set E of the family owns a 128-bit key z_E
// that the parties outside E hold; sharings of zero are derived from these keys without communication.
#pragma once

#include "mpc/zero_sets.h"

namespace witan::mpc {

/// The keys z_E that one party holds: those of the sets E that it is not in. Wiped on destruction.
class ZeroKeys {
 public:
  /// `keys` by position among the sets E without `self`, in the order of zero_sets(). Precondition (checked): the committee has a
  /// family, and as many keys as such sets.
  ZeroKeys(CommitteeSize committee, Role self, Secret<std::vector<SetKey>> keys);

  CommitteeSize committee() const { return committee_; }
  Role self() const { return self_; }
  /// The E's, as sets of excluded parties.
  std::span<const PartySet> sets() const { return sets_; }
  /// z_E of sets()[i].
  const SetKey& key(std::size_t i) const { return keys_.reveal()[i]; }
  std::size_t size() const { return sets_.size(); }
  ZeroKeys duplicate() const { return {committee_, self_, keys_.duplicate()}; }

 private:
  CommitteeSize committee_;
  Role self_;
  std::vector<PartySet> sets_;
  Secret<std::vector<SetKey>> keys_;
};

/// Elements that the key of E draws for one sharing: e = 1 .. 2t - |E|.
std::size_t draws_per_zero(CommitteeSize committee, PartySet excluded);

/// Sharings of zero of one session, by their definition; BitKernel makes the same ones fast. Each counter is used once. Each thread
/// makes its own.
template <Word Z>
class ZeroSharings {
 public:
  ZeroSharings(const ZeroKeys& keys, SessionId session);
  /// zero_l = sum over E of (sum_e chi(z_E, counter, e) alpha^e) * prod_{j in E} (alpha - alpha_j), alpha the own point. Precondition
  /// (checked): a counter that the keys serve (security.md S6).
  Share<Z> at(std::uint64_t counter) const;

 private:
  struct OneSet {
    Prf chi;
    std::size_t draws;
    Gr<Z> product;  // prod_{j in E} (alpha - alpha_j)
  };
  std::vector<OneSet> sets_;
  std::vector<Gr<Z>> powers_;  // 1, alpha, alpha^2, ...
};

}  // namespace witan::mpc
