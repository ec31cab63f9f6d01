// The plan of a key set: which components, in which order, of how many rows, from which stream position.
#include "base/check.h"
#include "tfhe/keygen.h"

namespace witan::tfhe {

const char* to_string(ComponentKind kind) {
  switch (kind) {
    case ComponentKind::public_key:
      return "public key";
    case ComponentKind::compression_packing:
      return "compression packing key";
    case ComponentKind::decompression_bsk:
      return "decompression bootstrap key";
    case ComponentKind::ksk:
      return "key switching key";
    case ComponentKind::bsk:
      return "bootstrap key";
    case ComponentKind::drift_zeros:
      return "modulus switch zeros";
    case ComponentKind::sns_bsk:
      return "SnS bootstrap key";
    case ComponentKind::sns_drift_zeros:
      return "SnS modulus switch zeros";
    case ComponentKind::cast_ksk:
      return "casting key";
    case ComponentKind::rerandomization_key:
      return "re-randomisation public key";
    case ComponentKind::rerandomization_ksk:
      return "re-randomisation key switching key";
    case ComponentKind::sns_compression_packing:
      return "SnS compression packing key";
    case ComponentKind::oprf_bsk:
      return "OPRF bootstrap key";
  }
  return "unknown";
}

std::uint64_t Component::products() const {
  if (shape != RowShape::ggsw) return 0;
  const std::uint64_t inputs = rows / (decomposition.level_count * (glwe_dimension + 1));
  return inputs * glwe_dimension * polynomial_size;
}

namespace {

class Plan {
 public:
  explicit Plan(const Params& params) : params_(params) {}

  void compact_key(ComponentKind kind, KeyName key, std::size_t dimension, TUniform noise) {
    add({.kind = kind,
         .shape = RowShape::compact_key,
         .under = key,
         .input = std::nullopt,
         .rows = 1,
         .polynomial_size = dimension,
         .decomposition = {},
         .noise = noise});
  }

  void lwe(ComponentKind kind, std::size_t rows, KeyName under, std::optional<KeyName> input, Decomposition d,
           TUniform noise) {
    add({.kind = kind,
         .shape = RowShape::lwe,
         .under = under,
         .input = input,
         .rows = rows,
         .polynomial_size = key_bits(params_, under),
         .decomposition = d,
         .noise = noise});
  }

  void keyswitch(ComponentKind kind, KeyName input, KeyName under, Decomposition d, TUniform noise) {
    lwe(kind, key_bits(params_, input) * d.level_count, under, input, d, noise);
  }

  void zeros(ComponentKind kind, const ModulusSwitch& modulus_switch) {
    if (const auto* drift = std::get_if<DriftSwitch>(&modulus_switch))
      lwe(kind, drift->zeros_count, KeyName::lwe_compute, std::nullopt, {}, params_.compute.lwe_noise);
  }

  void packing(ComponentKind kind, KeyName input, KeyName under, Decomposition d, TUniform noise, int word_bits) {
    glwe(kind, RowShape::glwe, key_bits(params_, input) * d.level_count, input, under, d, noise, word_bits);
  }

  void bootstrap(ComponentKind kind, KeyName input, KeyName under, Decomposition d, TUniform noise, int word_bits) {
    const std::size_t k = key_bits(params_, under) / key_polynomial_size(params_, under);
    glwe(kind, RowShape::ggsw, key_bits(params_, input) * d.level_count * (k + 1), input, under, d, noise, word_bits);
  }

  std::vector<Component> take() { return std::move(components_); }

 private:
  void glwe(ComponentKind kind, RowShape shape, std::size_t rows, KeyName input, KeyName under, Decomposition d,
            TUniform noise, int word_bits) {
    const std::size_t n = key_polynomial_size(params_, under);
    add({.kind = kind,
         .shape = shape,
         .under = under,
         .input = input,
         .word_bits = word_bits,
         .rows = rows,
         .glwe_dimension = key_bits(params_, under) / n,
         .polynomial_size = n,
         .decomposition = d,
         .noise = noise});
  }

  void add(Component component) {
    component.stream_offset_bytes = mask_stream_bytes(components_);
    components_.push_back(component);
  }

  const Params& params_;
  std::vector<Component> components_;
};

// Row numbers are those of the table in tfhe-formats.md 10.3.
void plan_compute(Plan& plan, const Params& params) {
  using enum ComponentKind;
  const ComputeParams& c = params.compute;
  if (params.pke)  // 1
    plan.compact_key(public_key, KeyName::lwe_encryption, params.pke->lwe_dimension, params.pke->noise);
  if (const auto& compression = params.compression) {  // 2, 3
    plan.packing(compression_packing, KeyName::glwe, KeyName::compression, compression->packing, compression->noise,
                 64);
    plan.bootstrap(decompression_bsk, KeyName::compression, KeyName::glwe, compression->blind_rotation, c.glwe_noise,
                   64);
  }
  plan.keyswitch(ksk, KeyName::glwe, KeyName::lwe_compute, c.keyswitch, c.lwe_noise);  // 4
  plan.bootstrap(bsk, KeyName::lwe_compute, KeyName::glwe, c.pbs, c.glwe_noise, 64);   // 5
  plan.zeros(drift_zeros, c.modulus_switch);                                           // 6
  if (const auto& sns = params.sns) {                                                  // 7, 8
    plan.bootstrap(sns_bsk, KeyName::lwe_compute, KeyName::sns, sns->decomposition, sns->noise, 128);
    plan.zeros(sns_drift_zeros, sns->modulus_switch);
  }
}

void plan_conversions(Plan& plan, const Params& params) {
  using enum ComponentKind;
  const ComputeParams& c = params.compute;
  const auto to_compute = [&](ComponentKind kind, const KeySwitchParams& ks) {
    const bool small = ks.destination == KeyChoice::small;
    plan.keyswitch(kind, KeyName::lwe_encryption, small ? KeyName::lwe_compute : KeyName::glwe, ks.decomposition,
                   small ? c.lwe_noise : c.glwe_noise);
  };
  if (params.cast) to_compute(cast_ksk, *params.cast);  // 9
  if (params.rerandomization) {                         // 10
    const auto* legacy = std::get_if<LegacyRerandomization>(&*params.rerandomization);
    if (!legacy)
      plan.compact_key(rerandomization_key, KeyName::glwe, c.big_dimension(), c.glwe_noise);
    else if (legacy->keyswitch != params.cast)
      to_compute(rerandomization_ksk, legacy->keyswitch);
  }
  if (const auto& sc = params.sns_compression)  // 11
    plan.packing(sns_compression_packing, KeyName::sns, KeyName::sns_compression, sc->packing, sc->noise, 128);
  if (params.oprf) plan.bootstrap(oprf_bsk, KeyName::oprf, KeyName::glwe, c.pbs, c.glwe_noise, 64);  // 12
}

}  // namespace

std::vector<Component> key_components(const Params& params) {
  Plan plan(params);
  plan_compute(plan, params);
  plan_conversions(plan, params);
  return plan.take();
}

u128 mask_stream_bytes(const std::vector<Component>& components) {
  return components.empty() ? 0 : components.back().stream_offset_bytes + components.back().mask_bytes();
}

std::optional<RowMessage> row_message(const Component& component, std::size_t row) {
  if (!component.input) return std::nullopt;
  WITAN_CHECK(row < component.rows);
  const bool ggsw = component.shape == RowShape::ggsw;
  const std::size_t rows_per_level = ggsw ? component.glwe_dimension + 1 : 1;
  const std::size_t levels = component.decomposition.level_count;
  const std::size_t row_in_level = row % rows_per_level;
  const std::size_t level = levels - row / rows_per_level % levels;  // stored from L down to 1
  RowMessage message{.input_coefficient = row / (rows_per_level * levels),
                     .scale_log2 = component.word_bits - static_cast<int>(component.decomposition.base_log * level),
                     .key_polynomial = std::nullopt};
  if (ggsw && row_in_level < component.glwe_dimension) message.key_polynomial = row_in_level;
  return message;
}

}  // namespace witan::tfhe
