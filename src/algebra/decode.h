// Opening of shared values: which polynomial do the received shares lie on, and who lied? mpc.md 4, security.md 3.4.
//
// Correction exists at degree t only: its functions take the committee, never a degree. At degree 2t there is nothing but
// `consistent_at_2t`, which says yes or no (security.md S10).
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "algebra/shamir.h"

namespace witan::algebra {

/// A decoded word: coefficients of the polynomial (degree t: t + 1 of them) and who disagreed with it.
template <Word Z>
struct Decoded {
  std::vector<Gr<Z>> polynomial;
  std::vector<Role> wrong;

  const Gr<Z>& secret() const { return polynomial.front(); }
};

/// The reference: Hensel lifting over k bit planes, Gao's decoder in each (mpc.md 4.2). Finds the polynomial of degree <= t
/// that at most `max_errors` of the shares miss, if it is unique by distance. Precondition: distinct roles of the
/// committee, 2 max_errors < roles - t.
template <Word Z>
std::optional<Decoded<Z>> decode_reference(CommitteeSize committee, std::span<const Role> roles,
                                           std::span<const Gr<Z>> word, std::size_t max_errors);

/// Many values opened at once. Values have degree <= t; the same parties sent a share of each.
template <Word Z>
struct BatchOpening {
  std::vector<Gr<Z>> values;
  std::vector<Role> agreed;  // lie on the polynomials of all values; at least 2t + 1, in ascending order
  std::vector<Role> wrong;   // miss at least one
};

/// Accepts only if at least 2t + 1 of the parties lie on one polynomial of degree <= t for every value (F2 with b = t):
/// then the values are right when at most t parties of the committee are faulty. Empty: not yet; await more shares.
/// words[i] = the shares of roles[i], all of one length; distinct roles. The good case is one parity check per value (parity.h);
/// the first value that fails goes to the reference decoder, who lied there is left out, and the rest is checked again.
template <Word Z>
std::optional<BatchOpening<Z>> open_batch(CommitteeSize committee, std::span<const Role> roles,
                                          std::span<const std::span<const Gr<Z>>> words);

/// The same with another number of parties that must agree. Only tests may ask for fewer than 2t + 1: they show that a
/// wrong value is accepted then.
template <Word Z>
std::optional<BatchOpening<Z>> open_batch_with(CommitteeSize committee, std::span<const Role> roles,
                                               std::span<const std::span<const Gr<Z>>> words, std::size_t needed);

/// What parties send, predicted from t + 1 that agree: value = sum weights[j] * words[j]. Weights for any other party.
template <Word Z>
class Predictor {
 public:
  /// Takes the first t + 1 of `agreed`. Precondition: at least t + 1 distinct roles.
  Predictor(CommitteeSize committee, std::span<const Role> agreed);
  std::span<const Role> base() const { return base_; }
  /// Does `word` equal what the base implies for `role`, in every value? base_words[j] belongs to base()[j].
  bool matches(Role role, std::span<const Gr<Z>> word, std::span<const std::span<const Gr<Z>>> base_words) const;

 private:
  std::vector<Role> base_;
};

/// Degree 2t: do all shares lie on one polynomial of degree <= 2t? The secret if they do; nothing is ever corrected.
/// Precondition: distinct roles, at least 2t + 2 of them (fewer cannot disagree).
template <Word Z>
std::optional<Gr<Z>> consistent_at_2t(CommitteeSize committee, std::span<const Role> roles,
                                      std::span<const Gr<Z>> word);

}  // namespace witan::algebra
