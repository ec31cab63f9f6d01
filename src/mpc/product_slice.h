// Products of key bits without triples (mpc.md 17.2, security.md 4.4). A slice has random x_0 .. x_{L-1}, y_0 .. y_{M-1} and degree-t
// sharings of all x_i y_j, made in preprocessing and thrown away if one of its elements is revealed (S31):
//
//   local    w = sum_{c<4} X^c (x_i y_{j+c} + v_{i,j+c}) + zero, j = 0, 4, 8, ...       opened by DetectedOpening
//   output   z_ij = d_ij - v_ij, d = coefficients of the opened w
//   online   eps_i = s_i - x_i and rho_j = S_j - y_j are opened once, at degree t;
//            [s_i S_j] = z_ij + eps_i y_j + rho_j x_i + eps_i rho_j
//
// Base draws of the session: x_i at i, y_j at L + j, v_ij at L + M + i M + j. Zero sharing l belongs to element l = i M/4 + j/4.
#pragma once

#include "mpc/bit_kernel.h"
#include "mpc/resolution.h"

namespace witan::mpc {

/// Output bits of one slice at most: what a dispute burns.
inline constexpr std::size_t kMaxSliceOutputs = 256;

template <Word Z>
class ProductSlice final : public Disposable<Z> {
 public:
  /// Preconditions (checked): at least one input; outputs a multiple of four, at most kMaxSliceOutputs; draws within the bounds of a
  /// session. Makes x and y: about a thousand draws.
  ProductSlice(std::shared_ptr<const BitKernel<Z>> kernel, std::size_t inputs, std::size_t outputs);

  std::size_t inputs() const { return inputs_; }
  std::size_t outputs() const { return outputs_; }
  std::size_t elements() const override { return inputs_ * outputs_ / 4; }
  Status prepare(std::size_t first, std::span<Share<Z>> out) override;
  std::vector<std::uint64_t> counters(std::size_t element) const override;
  Gr<Z> content(std::size_t element, std::span<const Gr<Z>> draws) const override;

  /// Shares of x and y. They hide key bits, which are of the base ring (S8).
  std::span<const Share<Z>> x() const { return std::span(factors_.reveal()).first(inputs_); }
  std::span<const Share<Z>> y() const { return std::span(factors_.reveal()).subspan(inputs_); }
  /// Shares of the products of the elements first, first + 1, ..., packed as they are there: sum_{c<4} X^c z_{i,j+c}. `opened`: those
  /// elements, in the base ring each coefficient. Precondition (checked): out.size() == opened.size().
  Status products(std::size_t first, std::span<const Gr<Z>> opened, std::span<Share<Z>> out) const;

 private:
  struct Place {
    std::size_t i, j;
  };
  Place place(std::size_t element) const { return {element / (outputs_ / 4), element % (outputs_ / 4) * 4}; }

  const std::shared_ptr<const BitKernel<Z>> kernel_;
  const std::size_t inputs_, outputs_;
  Secret<std::vector<Share<Z>>> factors_;  // x, then y
};

}  // namespace witan::mpc
