#include "protocols/key_generation_impl.h"

namespace witan::protocols {

KeyMaterial::KeyMaterial(const KeyPlan& plan) {
  using Kind = MaterialOrder::Kind;
  const auto add = [this](MaterialOrder order) {
    orders.push_back(order);
    return orders.size() - 1;
  };
  if (plan.total_key_bits() > 0) bits = add({.kind = Kind::bits, .word_bits = 128, .count = plan.total_key_bits()});
  for (const ComponentPlan& component : plan.components) {
    const int word_bits = component.component.word_bits;
    noises.push_back(add({.kind = Kind::noises,
                          .word_bits = word_bits,
                          .count = component.noises(),
                          .bound_log2 = static_cast<int>(component.component.noise.bound_log2)}));
    std::vector<std::size_t>& of_component = slices.emplace_back();
    for (const ProductSlicePlan& slice : component.slices)
      of_component.push_back(
          add({.kind = Kind::slice, .word_bits = word_bits, .inputs = slice.inputs, .outputs = slice.outputs}));
  }
}

template class BasicKeyGeneration<KeyGenerationRules>;

}  // namespace witan::protocols
