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

bool DecideLimit::begins(int word_bits, std::uint64_t elements) {
  const std::uint64_t bytes = elements * static_cast<unsigned>(word_bits) / 2;
  const bool another = word_bits != word_bits_ || bytes_ + bytes > limit_;
  word_bits_ = word_bits;
  bytes_ = another ? bytes : bytes_ + bytes;
  return another;
}

BatchCount batches_of(const MaterialPlan& plan, std::size_t batch_elements, std::size_t decide_bytes) {
  BatchCount out;
  DecideLimit limit(decide_bytes);
  for (const MaterialOrder& order : plan) {
    const std::uint64_t at_once = order.units_per_batch(batch_elements);
    for (std::uint64_t first = 0; first < order.units(); first += at_once) {
      const UnitRange batch{first, std::min(at_once, order.units() - first)};
      ++out.batches;
      out.decides += limit.begins(order.word_bits, order.elements_of({&batch, 1}));
    }
  }
  return out;
}

crypto::Digest preprocessing_name(const PreprocId& id, const PreprocessingOptions& options) {
  Writer out;
  out.id(id).u8(static_cast<std::uint8_t>(options.variant)).u64(options.batch_elements).u64(options.decide_bytes);
  return crypto::tagged_hash(crypto::separators::kPreprocessing, out.view());
}

template class BasicPreprocessing<mpc::DetectionRules>;

}  // namespace witan::protocols
