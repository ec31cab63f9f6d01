#include "protocols/key_assembly.h"

#include <algorithm>
#include <bit>

#include "base/check.h"
#include "protocols/key_rows.h"

namespace witan::protocols {

u128 public_seed_of(const algebra::Gr<u128>& opened) {
  const auto low = static_cast<std::uint64_t>(opened.c[0]), high = static_cast<std::uint64_t>(opened.c[0] >> 64);
  return u128{std::byteswap(low)} << 64 | std::byteswap(high);
}

KeySetAssembly::KeySetAssembly(const tfhe::Params& params, u128 public_seed, const tfhe::KeySetOptions& options)
    : seed_(tfhe::key_set_seed(public_seed)),
      components_(tfhe::key_components(params)),
      set_(tfhe::empty_key_set(params, public_seed, options)) {
  for (const tfhe::Component& component : components_) {
    missing_.push_back(body_elements(component));
    const std::size_t words = component.rows * component.body_words();
    if (component.word_bits == 64)
      component_bodies<tfhe::u64>(set_, component.kind).resize(words);
    else
      component_bodies<u128>(set_, component.kind).resize(words);
  }
}

template <algebra::Word Z>
Status KeySetAssembly::add(std::size_t component, std::span<const algebra::Gr<Z>> opened) {
  WITAN_CHECK(component < components_.size() && opened.size() <= missing_[component]);
  const tfhe::Component& of = components_[component];
  WITAN_CHECK(of.word_bits == algebra::kBits<Z>);
  std::vector<Z>& bodies = component_bodies<Z>(set_, of.kind);
  const std::size_t first = (body_elements(of) - missing_[component]) * 4;
  const std::size_t count = std::min(4 * opened.size(), bodies.size() - first);
  WITAN_ASSIGN(const std::vector<Z> words, unpacked<Z>(opened, count, tfhe::to_string(of.kind)));
  std::ranges::copy(words, bodies.begin() + static_cast<std::ptrdiff_t>(first));
  missing_[component] -= opened.size();
  return {};
}

tfhe::CompressedKeySet KeySetAssembly::take() {
  WITAN_CHECK(std::ranges::all_of(missing_, [](std::uint64_t elements) { return elements == 0; }));
  return std::move(set_);
}

template Status KeySetAssembly::add<algebra::Z64>(std::size_t, std::span<const algebra::Gr<algebra::Z64>>);
template Status KeySetAssembly::add<algebra::Z128>(std::size_t, std::span<const algebra::Gr<algebra::Z128>>);

}  // namespace witan::protocols
