// Parity checks of Reed-Solomon words (mpc.md 3, 4.3): of an ordered set of roles the first `dimension` shares determine the
// polynomial; they give the secret and predict every other share. They depend on public numbers alone, are computed once for
// a set and kept.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "algebra/shamir.h"

namespace witan::algebra {

/// Shares of a batch by role: words[j][row] is the share of roles[j] of the value `row`.
template <Word Z>
using Words = std::span<const std::span<const Gr<Z>>>;

/// sum weights[j] * words[j][row]. At least as many words as weights.
template <Word Z>
Gr<Z> combine(std::span<const Gr<Z>> weights, Words<Z> words, std::size_t row);

template <Word Z>
class ParityChecks {
 public:
  /// Precondition: distinct roles, at least `dimension` of them.
  ParityChecks(std::size_t dimension, std::span<const Role> roles);

  /// The first row from `row` on that is not a codeword; their number if there is none.
  std::size_t first_bad_row(Words<Z> words, std::size_t row) const;
  /// Of a codeword.
  Gr<Z> secret(Words<Z> words, std::size_t row) const;

 private:
  bool whole_of_four_;
  std::vector<Gr<Z>> secret_;
  std::vector<std::vector<Gr<Z>>> predictions_;  // of roles[dimension], roles[dimension + 1], ...
};

/// The checks of that set, from a store that all threads share and that keeps the kParityCacheSize last used: 2 KB each at n = 13,
/// where the sets that a party accepts first, itself and eight others, are 495.
inline constexpr std::size_t kParityCacheSize = 512;
template <Word Z>
std::shared_ptr<const ParityChecks<Z>> parity_checks(std::size_t dimension, std::span<const Role> roles);

}  // namespace witan::algebra
