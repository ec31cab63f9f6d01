// Random bits by protocol W (mpc.md 17.2, security.md 4.1): the elements of a session, what they hold in a dispute, and what they become
// once they are opened. The exchange itself is DetectedOpening.
#pragma once

#include "base/uninitialized.h"
#include "mpc/bit_kernel.h"
#include "mpc/resolution.h"

namespace witan::mpc {

/// Elements 0 .. elements - 1 of a session: w_l = sum_{c<4} X^c (a_{4l+c}^2 + a_{4l+c}) + zero_l. Element l gives the bits 4l .. 4l+3.
template <Word Z>
class BitBatch final : public Disposable<Z> {
 public:
  /// Precondition (checked): at most kMaxElementsPerSession.
  BitBatch(std::shared_ptr<const BitKernel<Z>> kernel, std::size_t elements);

  std::size_t elements() const override { return draws_.reveal().size() / 4; }
  Status prepare(std::size_t first, std::span<Share<Z>> out) override;
  std::vector<std::uint64_t> counters(std::size_t element) const override;
  Gr<Z> content(std::size_t element, std::span<const Gr<Z>> draws) const override;

  /// This party's base draws a_0, a_1, ..., once everything is prepared.
  std::span<const Share<Z>> draws() const { return draws_.reveal(); }

 private:
  const std::shared_ptr<const BitKernel<Z>> kernel_;
  Secret<UninitializedVector<Share<Z>>> draws_;  // written by prepare()
};

}  // namespace witan::mpc
