// The fields of a published key set around its bodies (threshold-tfhe.md 5).
#include <algorithm>

#include "base/check.h"
#include "tfhe/key_parts.h"

namespace witan::tfhe {
namespace {

class Assembly {
 public:
  Assembly(const Params& params, const XofSeed& seed) : seed_(seed), components_(key_components(params)) {}

  const Component* find(ComponentKind kind) const {
    const auto found = std::ranges::find(components_, kind, &Component::kind);
    return found == components_.end() ? nullptr : &*found;
  }
  MaskOrigin origin(const Component& c) const { return {seed_, StreamPosition::from_bytes(c.stream_offset_bytes)}; }
  SeededCompactKey compact_key(ComponentKind kind, const CompactKeyParams& params) const {
    return {.data = {}, .origin = origin(*find(kind)), .params = params};
  }
  SeededKsk ksk(ComponentKind kind) const {
    const Component& c = *find(kind);
    return {.data = {}, .decomposition = c.decomposition, .output_dimension = c.polynomial_size, .origin = origin(c)};
  }
  template <Word W>
  SeededPackingKsk<W> packing(ComponentKind kind) const {
    const Component& c = *find(kind);
    return {.data = {},
            .decomposition = c.decomposition,
            .glwe_dimension = c.glwe_dimension,
            .polynomial_size = c.polynomial_size,
            .origin = origin(c)};
  }
  template <Word W>
  SeededBsk<W> bsk(ComponentKind kind) const {
    const Component& c = *find(kind);
    return {.data = {},
            .decomposition = c.decomposition,
            .glwe_dimension = c.glwe_dimension,
            .polynomial_size = c.polynomial_size,
            .origin = origin(c)};
  }
  SeededModulusSwitch modulus_switch(ComponentKind zeros, const ModulusSwitch& technique) const {
    if (const auto* drift = std::get_if<DriftSwitch>(&technique)) {
      const Component& c = *find(zeros);
      return SeededDrift{.zeros = {.data = {}, .lwe_dimension = c.polynomial_size, .origin = origin(c)},
                         .bound = drift->bound,
                         .r_sigma_factor = drift->r_sigma_factor,
                         .input_variance = drift->input_variance};
    }
    if (std::holds_alternative<StandardSwitch>(technique)) return StandardSwitch{};
    return CenteredMeanSwitch{};
  }

 private:
  XofSeed seed_;
  std::vector<Component> components_;
};

std::optional<SeededRerandomization> rerandomization(const Assembly& parts, const Params& params) {
  if (!params.rerandomization) return std::nullopt;
  const auto* legacy = std::get_if<LegacyRerandomization>(&*params.rerandomization);
  if (!legacy) return parts.compact_key(ComponentKind::rerandomization_key, params.derived_rerandomization_key());
  if (!parts.find(ComponentKind::rerandomization_ksk)) return SeededLegacyRerandomization{};
  return SeededLegacyRerandomization{SeededCastKey{.ksk = parts.ksk(ComponentKind::rerandomization_ksk),
                                                   .cast_rshift = 0,
                                                   .destination = legacy->keyswitch.destination}};
}

CompressedServerKey server_key(const Assembly& parts, const Params& params, const KeySetOptions& options) {
  using enum ComponentKind;
  CompressedServerKey key;
  key.ksk = parts.ksk(ksk);
  key.bootstrap = {.bsk = parts.bsk<u64>(bsk),
                   .modulus_switch = parts.modulus_switch(drift_zeros, params.compute.modulus_switch)};
  key.order = pbs_order(params.compute.encryption_key);
  key.space = params.compute.space;
  key.max_degree = options.max_degree;
  key.max_noise_level = params.compute.max_noise_level;
  key.rerandomization = rerandomization(parts, params);
  key.tag = options.tag;
  if (params.cast)
    key.cast = SeededCastKey{.ksk = parts.ksk(cast_ksk), .cast_rshift = 0, .destination = params.cast->destination};
  if (const auto& c = params.compression) {
    key.compression = SeededCompressionKey{.packing = parts.packing<u64>(compression_packing),
                                           .lwe_per_glwe = c->lwe_per_glwe,
                                           .storage_log_modulus = c->storage_log_modulus};
    key.decompression = SeededDecompressionKey{
        .bootstrap = {.bsk = parts.bsk<u64>(decompression_bsk), .modulus_switch = StandardSwitch{}},
        .lwe_per_glwe = c->lwe_per_glwe};
  }
  if (const auto& s = params.sns)
    key.sns = SeededSnsKey{.bootstrap = {.bsk = parts.bsk<u128>(sns_bsk),
                                         .modulus_switch = parts.modulus_switch(sns_drift_zeros, s->modulus_switch)},
                           .space = s->space};
  if (const auto& s = params.sns_compression)
    key.sns_compression = SeededSnsCompressionKey{.packing = parts.packing<u128>(sns_compression_packing),
                                                  .lwe_per_glwe = s->lwe_per_glwe};
  if (params.oprf) key.oprf = parts.bsk<u64>(oprf_bsk);
  return key;
}

}  // namespace

CompressedKeySet empty_key_set(const Params& params, u128 public_seed, const KeySetOptions& options) {
  const auto valid = params.validate();
  WITAN_CHECK(valid.has_value());
  CompressedKeySet set;
  set.seed = key_set_seed(public_seed);
  const Assembly parts(params, set.seed);
  if (params.pke) set.public_key = {parts.compact_key(ComponentKind::public_key, *params.pke), options.tag};
  set.server_key = server_key(parts, params, options);
  return set;
}

namespace {

template <Word W, class Set>
auto& bodies_of(Set& set, ComponentKind kind) {
  if constexpr (std::same_as<W, u64>) {
    if (kind == ComponentKind::public_key) return set.public_key.key.data;
    auto* const bodies = server_bodies_64(set.server_key, kind);
    WITAN_CHECK(bodies != nullptr);
    return *bodies;
  } else {
    auto* const bodies = server_bodies_128(set.server_key, kind);
    WITAN_CHECK(bodies != nullptr);
    return *bodies;
  }
}

}  // namespace

template <Word W>
std::vector<W>& component_bodies(CompressedKeySet& set, ComponentKind kind) {
  return bodies_of<W>(set, kind);
}
template <Word W>
const std::vector<W>& component_bodies(const CompressedKeySet& set, ComponentKind kind) {
  return bodies_of<W>(set, kind);
}

template std::vector<u64>& component_bodies<u64>(CompressedKeySet&, ComponentKind);
template std::vector<u128>& component_bodies<u128>(CompressedKeySet&, ComponentKind);
template const std::vector<u64>& component_bodies<u64>(const CompressedKeySet&, ComponentKind);
template const std::vector<u128>& component_bodies<u128>(const CompressedKeySet&, ComponentKind);

}  // namespace witan::tfhe
