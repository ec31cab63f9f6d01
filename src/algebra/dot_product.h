// Dot products of vectors over GR(2^128,4) with vectors of words mod 2^128: a party's key share times a ciphertext
// (threshold-tfhe.md 7.1), its set polynomials times the draws of a mask (mpc.md 8.5). Four independent sums, one per coefficient.
//
// The vector is arranged once for the instructions that are chosen when it is made: limbs of 52 bits for the multiply-add of
// AVX-512 IFMA, halves of words for AVX2, words for scalar code. The bits of a result are the same with all of them. No branch and no address depends on an element
// or on a word.
#pragma once

#include <array>
#include <optional>
#include <span>
#include <vector>

#include "algebra/gr.h"
#include "base/secret.h"

namespace witan::algebra {

enum class DotTarget : std::uint8_t { scalar, avx2, avx512_ifma };
inline constexpr std::array kDotTargets = {DotTarget::avx512_ifma, DotTarget::avx2, DotTarget::scalar};  // best first
/// "AVX-512-IFMA", "AVX2", "scalar".
const char* to_string(DotTarget target);
/// Does this processor have it?
bool available(DotTarget target);
/// What vectors that are made from now on in this process use; nothing: the best, as without a call. For tests and benchmarks;
/// programs never call it. Precondition (checked): available.
void choose_dot_target(std::optional<DotTarget> target);
DotTarget dot_target();

/// Nothing changes after construction: threads may share it. Wiped on destruction.
class DotVector {
 public:
  DotVector() = default;
  explicit DotVector(std::span<const Gr<Z128>> elements);

  std::size_t size() const { return size_; }
  /// What it was made for.
  DotTarget target() const { return target_; }
  Gr<Z128> at(std::size_t i) const;

  /// out[r] = sum over i of (*this)[i] * right[r][i]. Right-hand sides of one call share the way of the vector through the
  /// first-level cache. Preconditions (checked): as many outputs, right[r].size() == size().
  void multiply(std::span<const std::span<const Z128>> right, std::span<Gr<Z128>> out) const;
  Gr<Z128> multiply(std::span<const Z128> right) const;

  /// The same for right-hand sides in equal pieces that lie apart: word i is right[r][i / piece * stride + i % piece].
  /// Preconditions (checked): whole pieces of whole kGranularity, right[r] reaches to the last word.
  static constexpr std::size_t kGranularity = 8;
  void multiply(std::span<const std::span<const Z128>> right, std::size_t piece, std::size_t stride,
                std::span<Gr<Z128>> out) const;

 private:
  struct alignas(64) CacheLine {
    std::array<std::uint64_t, 8> words{};
  };
  const std::uint64_t* group_of(std::size_t i) const;

  DotTarget target_ = DotTarget::scalar;
  std::size_t size_ = 0;
  Secret<std::vector<CacheLine>> arranged_;
};

}  // namespace witan::algebra
