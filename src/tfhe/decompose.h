// Balanced signed decomposition of torus words (eprint 2021/1161), with the tie rules of tfhe-rs.
#pragma once

#include <span>

#include "tfhe/params.h"

namespace witan::tfhe {

/// Digits d_L, ..., d_1 (the order in which keys store their levels), each in [-base/2, base/2], such that
/// sum d_l 2^(w - base_log * l) is the closest representable word. A tie goes up, then the whole is balanced: a state
/// of exactly half the range becomes negative if the bit that was rounded is set.
template <Word W>
class Decomposer {
 public:
  /// Precondition (checked): 1 <= base_log <= 62, base_log * level_count < w.
  explicit Decomposer(Decomposition decomposition);

  std::size_t level_count() const { return level_count_; }
  /// out[0] is the digit of level L (least significant), out[L-1] that of level 1.
  void decompose(W value, std::span<i64> out) const;
  /// The same for many words: out[l * words.size() + j] is digit number l of word j.
  void decompose_all(std::span<const W> words, std::span<i64> out) const;
  /// The closest word that digits represent.
  W closest(W value) const;

 private:
  SignedWord<W> rounded_state(W value) const;
  int base_log_;
  std::size_t level_count_;
};

}  // namespace witan::tfhe
