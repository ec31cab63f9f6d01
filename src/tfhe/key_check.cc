// Consistency of a server key that came from outside: the sizes of all parts are those of one parameter set.
#include <algorithm>

#include "tfhe/evaluate.h"
#include "tfhe/key_parts.h"

namespace witan::tfhe {
namespace {

ModulusSwitch technique(const SeededModulusSwitch& seeded) {
  if (const auto* drift = std::get_if<SeededDrift>(&seeded))
    return DriftSwitch{.zeros_count = drift->zeros.data.size(),
                       .bound = drift->bound,
                       .r_sigma_factor = drift->r_sigma_factor,
                       .input_variance = drift->input_variance};
  if (std::holds_alternative<StandardSwitch>(seeded)) return StandardSwitch{};
  return CenteredMeanSwitch{};
}

/// The parameter set whose sizes a key claims; noises, which a key does not tell, are zero.
Params claimed_params(const CompressedServerKey& key) {
  Params params;
  params.name = "of the server key";
  ComputeParams& c = params.compute;
  c.lwe_dimension = key.ksk.output_dimension;
  c.glwe_dimension = key.bootstrap.bsk.glwe_dimension;
  c.polynomial_size = key.bootstrap.bsk.polynomial_size;
  c.pbs = key.bootstrap.bsk.decomposition;
  c.keyswitch = key.ksk.decomposition;
  c.space = key.space;
  c.max_noise_level = key.max_noise_level;
  c.encryption_key = key.order == PbsOrder::keyswitch_bootstrap ? KeyChoice::big : KeyChoice::small;
  c.modulus_switch = technique(key.bootstrap.modulus_switch);
  if (key.cast) {
    params.cast = KeySwitchParams{key.cast->ksk.decomposition, key.cast->destination};
    params.pke = CompactKeyParams{};
    params.pke->lwe_dimension =
        key.cast->ksk.data.size() / std::max<std::size_t>(1, key.cast->ksk.decomposition.level_count);
    params.pke->space = key.space;
  }
  if (key.compression && key.decompression) {
    const auto& packing = key.compression->packing;
    params.compression = CompressionParams{.packing = packing.decomposition,
                                           .blind_rotation = key.decompression->bootstrap.bsk.decomposition,
                                           .glwe_dimension = packing.glwe_dimension,
                                           .polynomial_size = packing.polynomial_size,
                                           .lwe_per_glwe = key.compression->lwe_per_glwe,
                                           .storage_log_modulus = key.compression->storage_log_modulus,
                                           .noise = {}};
  }
  if (key.sns) {
    const auto& bsk = key.sns->bootstrap.bsk;
    params.sns = SnsParams{
        bsk.glwe_dimension, bsk.polynomial_size, {}, bsk.decomposition, technique(key.sns->bootstrap.modulus_switch),
        key.sns->space};
  }
  if (key.sns_compression) {
    const auto& packing = key.sns_compression->packing;
    params.sns_compression = SnsCompressionParams{packing.decomposition,
                                                  packing.glwe_dimension,
                                                  packing.polynomial_size,
                                                  key.sns_compression->lwe_per_glwe,
                                                  {},
                                                  key.space};
  }
  if (key.rerandomization) {
    const auto* legacy = std::get_if<SeededLegacyRerandomization>(&*key.rerandomization);
    if (!legacy)
      params.rerandomization = DerivedRerandomization{};
    else if (legacy->dedicated)
      params.rerandomization =
          LegacyRerandomization{{legacy->dedicated->ksk.decomposition, legacy->dedicated->destination}};
    else
      params.rerandomization = LegacyRerandomization{params.cast.value_or(KeySwitchParams{})};
  }
  params.oprf = key.oprf.has_value();
  return params;
}

bool same_shape(const SeededKsk& a, const SeededKsk& b) {
  return a.decomposition == b.decomposition && a.output_dimension == b.output_dimension;
}
template <class T>
bool same_shape(const T& a, const T& b) {
  return a.decomposition == b.decomposition && a.glwe_dimension == b.glwe_dimension &&
         a.polynomial_size == b.polynomial_size;
}
bool same_zeros(const SeededModulusSwitch& a, const SeededModulusSwitch& b) {
  const auto* drift = std::get_if<SeededDrift>(&a);
  return !drift || drift->zeros.lwe_dimension == std::get<SeededDrift>(b).zeros.lwe_dimension;
}

Status shape_error(std::string_view part) {
  return fail(Code::invalid_argument, "{} of the server key has other sizes than the rest", part);
}

/// Fields of every part against those of the set that the main parts claim.
Status check_shapes(const CompressedServerKey& key, const CompressedServerKey& expected) {
  if (!same_shape(key.ksk, expected.ksk)) return shape_error("key switching key");
  if (!same_zeros(key.bootstrap.modulus_switch, expected.bootstrap.modulus_switch))
    return shape_error("modulus switch zeros");
  if (key.cast && !same_shape(key.cast->ksk, expected.cast->ksk)) return shape_error("casting key");
  if (key.decompression && (!same_shape(key.decompression->bootstrap.bsk, expected.decompression->bootstrap.bsk) ||
                            key.decompression->lwe_per_glwe != key.compression->lwe_per_glwe ||
                            !std::holds_alternative<StandardSwitch>(key.decompression->bootstrap.modulus_switch)))
    return shape_error("decompression key");
  if (key.sns && (!same_zeros(key.sns->bootstrap.modulus_switch, expected.sns->bootstrap.modulus_switch) ||
                  key.sns->space != key.space))
    return shape_error("SnS key");
  if (key.oprf && !same_shape(*key.oprf, *expected.oprf)) return shape_error("OPRF key");
  return {};
}

Status check_tables(const CompressedServerKey& key) {
  const auto fits = [&](std::size_t polynomial_size) { return 2 * key.space.size() <= polynomial_size; };
  if (!fits(key.bootstrap.bsk.polynomial_size) || (key.sns && !fits(key.sns->bootstrap.bsk.polynomial_size)))
    return fail(Code::invalid_argument, "polynomials of the server key are too short for a table of {} values",
                key.space.size());
  return {};
}

/// Length of every vector of bodies against the rows of its component.
Status check_bodies(const CompressedServerKey& key, const Params& params) {
  for (const Component& component : key_components(params)) {
    if (component.kind == ComponentKind::public_key) continue;
    const std::size_t words = component.word_bits == 64 ? server_bodies_64(key, component.kind)->size()
                                                        : server_bodies_128(key, component.kind)->size();
    if (words != component.rows * component.body_words())
      return fail(Code::invalid_argument, "{} has {} body words, its sizes give {}", to_string(component.kind), words,
                  component.rows * component.body_words());
  }
  return {};
}

}  // namespace

Status check(const CompressedServerKey& key) {
  if (key.compression.has_value() != key.decompression.has_value())
    return fail(Code::invalid_argument, "server key has only one of compression and decompression key");
  if (key.cast && key.cast->cast_rshift != 0)
    return fail(Code::invalid_argument, "casting key shifts by {}, expected 0", key.cast->cast_rshift);
  const Params params = claimed_params(key);
  WITAN_TRY(params.validate());
  WITAN_TRY(check_shapes(key, empty_key_set(params, 0, {}).server_key));
  WITAN_TRY(check_bodies(key, params));
  return check_tables(key);
}

Status check(const CompressedKeySet& set) {
  const SeededCompactKey& key = set.public_key.key;
  if (key.data.size() != key.params.lwe_dimension)
    return fail(Code::invalid_argument, "public key has {} bodies for dimension {}", key.data.size(),
                key.params.lwe_dimension);
  WITAN_TRY(check(set.server_key));
  const auto& cast = set.server_key.cast;
  if (cast && cast->ksk.data.size() != key.data.size() * cast->ksk.decomposition.level_count)
    return fail(Code::invalid_argument, "casting key is for another dimension than the public key's {}",
                key.data.size());
  return {};
}

}  // namespace witan::tfhe
