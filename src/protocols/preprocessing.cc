#include "crypto/separators.h"
#include "protocols/preprocessing_impl.h"

namespace witan::protocols {

std::uint64_t MaterialOrder::bits() const {
  switch (kind) {
    case Kind::bits:
      return count;
    case Kind::noises:
      return count * static_cast<unsigned>(bound_log2 + 2);
    case Kind::slice:
      return 0;
  }
  return 0;
}

std::uint64_t MaterialOrder::units() const {
  return kind == Kind::slice ? 1 : (count + 3) / 4;
}

std::size_t MaterialOrder::bits_per_unit() const {
  switch (kind) {
    case Kind::bits:
      return 4;
    case Kind::noises:
      return 4 * static_cast<std::size_t>(bound_log2 + 2);
    case Kind::slice:
      return 0;
  }
  return 0;
}

std::uint64_t MaterialOrder::bits_of(std::span<const UnitRange> ranges) const {
  std::uint64_t out = 0;
  for (const UnitRange& range : ranges) {
    out += range.count * bits_per_unit();
    if (range.first + range.count == units() && count % 4 != 0) out -= (4 - count % 4) * bits_per_unit() / 4;
  }
  return out;
}

std::uint64_t MaterialOrder::elements_of(std::span<const UnitRange> ranges) const {
  return kind == Kind::slice ? inputs * outputs / 4 : (bits_of(ranges) + 3) / 4;
}

std::uint64_t MaterialOrder::elements() const {
  const UnitRange all{0, units()};
  return elements_of({&all, 1});
}

std::size_t MaterialOrder::unit_bytes() const {
  const std::size_t element = static_cast<std::size_t>(word_bits) / 2;  // four coefficients
  switch (kind) {
    case Kind::bits:
      return 4 * element;
    case Kind::noises:
      return element;
    case Kind::slice:
      return elements() * element;
  }
  return 0;
}

std::uint64_t MaterialOrder::units_per_batch(std::size_t batch_elements) const {
  const std::uint64_t per_unit = std::max<std::uint64_t>(1, elements() / std::max<std::uint64_t>(1, units()));
  return std::max<std::uint64_t>(1, batch_elements / per_unit);
}

std::uint64_t batches_of(const MaterialPlan& plan, std::size_t batch_elements) {
  std::uint64_t out = 0;
  for (const MaterialOrder& order : plan) {
    const std::uint64_t at_once = order.units_per_batch(batch_elements);
    out += (order.units() + at_once - 1) / at_once;
  }
  return out;
}

Bytes encode(const MaterialPlan& plan) {
  Writer out;
  for (const MaterialOrder& order : plan)
    out.u8(static_cast<std::uint8_t>(order.kind))
        .u32(static_cast<std::uint32_t>(order.word_bits))
        .u64(order.count)
        .u32(static_cast<std::uint32_t>(order.bound_log2))
        .u64(order.inputs)
        .u64(order.outputs);
  return out.take();
}

crypto::Digest preprocessing_name(const PreprocId& id, CommitteeSize committee, const EpochId& epoch,
                                  const MaterialPlan& plan, const PreprocessingOptions& options) {
  Writer out;
  out.id(id).id(epoch);
  out.u16(static_cast<std::uint16_t>(committee.parties())).u16(static_cast<std::uint16_t>(committee.threshold()));
  out.u8(static_cast<std::uint8_t>(options.variant)).u64(options.batch_elements);
  out.text(options.purpose).raw(encode(plan));
  return crypto::tagged_hash(crypto::separators::kPreprocessing, out.view());
}

template class BasicPreprocessing<mpc::DetectionRules>;

}  // namespace witan::protocols
