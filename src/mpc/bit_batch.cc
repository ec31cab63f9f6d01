#include "mpc/bit_batch.h"

#include "base/check.h"

namespace witan::mpc {

template <Word Z>
BitBatch<Z>::BitBatch(std::shared_ptr<const BitKernel<Z>> kernel, std::size_t elements)
    : kernel_(std::move(kernel)), draws_(UninitializedVector<Share<Z>>(4 * elements)) {
  WITAN_CHECK(elements <= kMaxElementsPerSession);
}

template <Word Z>
Status BitBatch<Z>::prepare(std::size_t first, std::span<Share<Z>> out) {
  return kernel_->prepare(first, std::span(draws_.reveal_mutable()).subspan(4 * first, 4 * out.size()), out);
}

template <Word Z>
std::vector<std::uint64_t> BitBatch<Z>::counters(std::size_t element) const {
  return {4 * element, 4 * element + 1, 4 * element + 2, 4 * element + 3};
}

template <Word Z>
Gr<Z> BitBatch<Z>::content(std::size_t, std::span<const Gr<Z>> draws) const {
  std::array<Gr<Z>, 4> products;
  for (std::size_t c = 0; c < 4; ++c) products[c] = draws[c] * draws[c] + draws[c];
  return algebra::pack(products.data(), products.size());
}

template class BitBatch<Z64>;
template class BitBatch<Z128>;

}  // namespace witan::mpc
