#include "mpc/product_slice.h"

#include "base/check.h"

namespace witan::mpc {

template <Word Z>
ProductSlice<Z>::ProductSlice(std::shared_ptr<const BitKernel<Z>> kernel, std::size_t inputs, std::size_t outputs)
    : kernel_(std::move(kernel)),
      inputs_(inputs),
      outputs_(outputs),
      factors_(std::vector<Share<Z>>(inputs + outputs)) {
  WITAN_CHECK(inputs > 0 && outputs > 0 && outputs % 4 == 0 && outputs <= kMaxSliceOutputs);
  WITAN_CHECK(inputs + outputs + inputs * outputs <= kMaxBitsPerSession);
  Secret<std::vector<BaseShare<Z>>> draws{std::vector<BaseShare<Z>>(inputs + outputs)};
  WITAN_CHECK(kernel_->base(0, draws.reveal_mutable()).has_value());
  for (std::size_t i = 0; i < inputs + outputs; ++i) factors_.reveal_mutable()[i].value = draws.reveal()[i].value;
}

template <Word Z>
Status ProductSlice<Z>::prepare(std::size_t first, std::span<Share<Z>> out) {
  Secret<std::vector<BaseShare<Z>>> masks(std::vector<BaseShare<Z>>(4 * out.size()));
  WITAN_TRY(kernel_->base(inputs_ + outputs_ + 4 * first, masks.reveal_mutable()));
  WITAN_TRY(kernel_->zero(first, out));
  for (std::size_t l = 0; l < out.size(); ++l) {
    const auto [i, j] = place(first + l);
    std::array<Gr<Z>, 4> products;
    for (std::size_t c = 0; c < 4; ++c) products[c] = x()[i].value * y()[j + c].value + masks.reveal()[4 * l + c].value;
    out[l].value += algebra::pack(products.data(), products.size());
    wipe(products.data(), sizeof products);
  }
  return {};
}

template <Word Z>
std::vector<std::uint64_t> ProductSlice<Z>::counters(std::size_t element) const {
  const auto [i, j] = place(element);
  std::vector<std::uint64_t> out{i};
  for (std::size_t c = 0; c < 4; ++c) out.push_back(inputs_ + j + c);
  for (std::size_t c = 0; c < 4; ++c) out.push_back(inputs_ + outputs_ + 4 * element + c);
  return out;
}

template <Word Z>
Gr<Z> ProductSlice<Z>::content(std::size_t, std::span<const Gr<Z>> draws) const {
  std::array<Gr<Z>, 4> products;
  for (std::size_t c = 0; c < 4; ++c) products[c] = draws[0] * draws[1 + c] + draws[5 + c];
  return algebra::pack(products.data(), products.size());
}

template <Word Z>
Status ProductSlice<Z>::products(std::size_t first, std::span<const Gr<Z>> opened, std::span<Share<Z>> out) const {
  WITAN_CHECK(out.size() == opened.size());
  Secret<std::vector<BaseShare<Z>>> masks(std::vector<BaseShare<Z>>(4 * out.size()));
  WITAN_TRY(kernel_->base(inputs_ + outputs_ + 4 * first, masks.reveal_mutable()));
  for (std::size_t l = 0; l < out.size(); ++l) {
    std::array<Gr<Z>, 4> of_element;
    for (std::size_t c = 0; c < 4; ++c) of_element[c] = masks.reveal()[4 * l + c].value;
    out[l].value = opened[l] - algebra::pack(of_element.data(), of_element.size());
    wipe(of_element.data(), sizeof of_element);
  }
  return {};
}

template class ProductSlice<Z64>;
template class ProductSlice<Z128>;

}  // namespace witan::mpc
