// The visitors of public keys and key sets (tfhe-formats.md 9, 10). Internal to this layer.
#pragma once

#include "tfhe_rs/serde.h"

namespace witan::tfhe_rs {

// ---- public keys

template <class Ar, class T>
void serde_compact_public_key(Ar& ar, T& key) {
  const std::uint32_t version = ar.version("CompactPublicKey", {1, 0});
  ar.version("IntegerCompactPublicKey", {0});
  ar.version("integer::CompactPublicKey", {0});
  ar.version("shortint::CompactPublicKey", {1});
  ar.version("LweCompactPublicKey", {0});
  ar.version("GlweCiphertext", {0});
  ar.words(key.data);
  std::uint64_t polynomial_size = key.data.size() / 2;
  leaf(ar, polynomial_size);
  native_modulus<u64>(ar);
  serde_pke(ar, key.params);
  if constexpr (Ar::kReading)
    if (ar.ok() && (key.data.size() != 2 * polynomial_size || polynomial_size != key.params.lwe_dimension))
      ar.error("a public key of dimension {} has {} words, expected {}", key.params.lwe_dimension, key.data.size(),
               2 * key.params.lwe_dimension);
  if (version == 1) tag_bytes(ar, key.tag);
}

/// integer and shortint CompressedCompactPublicKey.
template <class Ar, class T>
void serde_seeded_compact_key(Ar& ar, T& key) {
  ar.version("integer::CompressedCompactPublicKey", {0});
  ar.version("shortint::CompressedCompactPublicKey", {1});
  ar.version("SeededLweCompactPublicKey", {0});
  ar.version("SeededGlweCiphertext", {0});
  ar.words(key.data);
  std::uint64_t glwe_size = 2;
  leaf(ar, glwe_size);
  serde_origin(ar, key.origin);
  native_modulus<u64>(ar);
  serde_pke(ar, key.params);
  if constexpr (Ar::kReading)
    if (ar.ok() && (glwe_size != 2 || key.data.size() != key.params.lwe_dimension))
      ar.error("a compressed public key of dimension {} has {} bodies", key.params.lwe_dimension, key.data.size());
}

template <class Ar, class T>
void serde_compressed_public_key(Ar& ar, T& key) {
  const std::uint32_t version = ar.version("CompressedCompactPublicKey", {1, 0});
  ar.version("IntegerCompressedCompactPublicKey", {0});
  serde_seeded_compact_key(ar, key.key);
  if (version == 1) tag_bytes(ar, key.tag);
}

// ---- server keys

template <class Ar, class T>
void serde_ksk(Ar& ar, T& key) {
  ar.version("SeededLweKeyswitchKey", {2});
  ar.words(key.data);
  base_then_level(ar, key.decomposition);
  leaf_plus_one(ar, key.output_dimension);
  serde_origin(ar, key.origin);
  native_modulus<u64>(ar);
}

template <class W, class Ar, class T>
void serde_packing_ksk(Ar& ar, T& key) {
  ar.version("SeededLwePackingKeyswitchKey", {2});
  ar.words(key.data);
  base_then_level(ar, key.decomposition);
  leaf_plus_one(ar, key.glwe_dimension);
  leaf(ar, key.polynomial_size);
  serde_origin(ar, key.origin);
  native_modulus<W>(ar);
}

template <class W, class Ar, class T>
void serde_bsk(Ar& ar, T& key) {
  ar.version("SeededLweBootstrapKey", {1});
  ar.version("SeededGgswCiphertextList", {1});
  ar.words(key.data);
  leaf_plus_one(ar, key.glwe_dimension);
  leaf(ar, key.polynomial_size);
  base_then_level(ar, key.decomposition);
  serde_origin(ar, key.origin);
  native_modulus<W>(ar);
}

template <class Ar, class T>
void serde_drift_key(Ar& ar, T& drift) {
  ar.version("CompressedModulusSwitchNoiseReductionKey", {1, 0});
  ar.version("SeededLweCiphertextList", {0});
  ar.words(drift.zeros.data);
  leaf_plus_one(ar, drift.zeros.lwe_dimension);
  serde_origin(ar, drift.zeros.origin);
  native_modulus<u64>(ar);
  leaf_f64(ar, drift.bound);
  leaf_f64(ar, drift.r_sigma_factor);
  leaf_f64(ar, drift.input_variance);
}

template <class Ar, class T>
void serde_switch_key(Ar& ar, T& technique) {
  ar.version("CompressedModulusSwitchConfiguration", {0});
  auto index = static_cast<std::uint32_t>(technique.index());
  ar.variant(index, 3);
  if constexpr (Ar::kReading) {
    if (index == 0)
      technique = tfhe::StandardSwitch{};
    else if (index == 1)
      technique = tfhe::SeededDrift{};
    else
      technique = tfhe::CenteredMeanSwitch{};
  }
  if (auto* drift = std::get_if<tfhe::SeededDrift>(&technique)) serde_drift_key(ar, *drift);
}

/// ShortintCompressedBootstrappingKey.
template <class Ar, class T>
void serde_bootstrap_key(Ar& ar, T& key) {
  const std::uint32_t version = ar.version("ShortintCompressedBootstrappingKey", {3, 2, 1});
  ar.only_variant(0, "multi-bit bootstrapping");
  serde_bsk<u64>(ar, key.bsk);
  if constexpr (Ar::kReading) {
    if (version == 1) return;
    if (version == 2) {
      std::optional<tfhe::SeededDrift> drift;
      optional(ar, drift, [&](auto& d) { serde_drift_key(ar, d); });
      if (drift) key.modulus_switch = *std::move(drift);
      return;
    }
  }
  serde_switch_key(ar, key.modulus_switch);
}

template <class Ar, class T>
void serde_cast_key(Ar& ar, T& key, bool with_pattern) {
  ar.version("integer::CompressedKeySwitchingKeyMaterial", {2});
  ar.version("shortint::CompressedKeySwitchingKeyMaterial", {2});
  serde_ksk(ar, key.ksk);
  auto shift = static_cast<std::uint8_t>(key.cast_rshift);  // an i8
  ar.primitive(shift);
  if constexpr (Ar::kReading) key.cast_rshift = shift < 128 ? shift : shift - 256;
  serde_key_choice(ar, key.destination);
  if (with_pattern) {
    ar.version("KeySwitchingKeyDestinationAtomicPattern", {0});
    ar.only_variant(0, "KeySwitch32");
  }
}

template <class Ar, class T>
void serde_sns_key(Ar& ar, T& key) {
  ar.version("integer::CompressedNoiseSquashingKey", {0});
  const std::uint32_t version = ar.version("shortint::CompressedNoiseSquashingKey", {3, 2, 1});
  if (version == 3) {
    ar.version("CompressedAtomicPatternNoiseSquashingKey", {0});
    ar.only_variant(0, "KeySwitch32");
    ar.version("CompressedStandardAtomicPatternNoiseSquashingKey", {0});
  }
  if (version >= 2) {
    ar.version("CompressedShortint128BootstrappingKey", {1, 0});
    ar.only_variant(0, "multi-bit bootstrapping");
  }
  serde_bsk<u128>(ar, key.bootstrap.bsk);
  serde_switch_key(ar, key.bootstrap.modulus_switch);
  serde_space(ar, key.space);
  native_modulus<u128>(ar);
}

template <class Ar, class T>
void serde_decompression_key(Ar& ar, T& key) {
  ar.version("integer::CompressedDecompressionKey", {1});
  const std::uint32_t version = ar.version("shortint::CompressedDecompressionKey", {2, 1});
  if (version == 2)
    serde_bootstrap_key(ar, key.bootstrap);
  else
    serde_bsk<u64>(ar, key.bootstrap.bsk);
  leaf(ar, key.lwe_per_glwe);
}

/// The key switching key of the legacy re-randomisation.
template <class Ar, class T>
void serde_rerand_ksk(Ar& ar, T& legacy) {
  ar.version("CompressedReRandomizationKeySwitchingKey", {0});
  std::uint32_t index = legacy.dedicated ? 1 : 0;
  ar.variant(index, 2);
  if constexpr (Ar::kReading) {
    legacy.dedicated.reset();
    if (index == 1) legacy.dedicated.emplace();
  }
  if (legacy.dedicated) serde_cast_key(ar, *legacy.dedicated, true);
}

template <class Ar, class T>
void serde_rerandomization(Ar& ar, T& key) {
  ar.version("CompressedReRandomizationKey", {0});
  auto index = static_cast<std::uint32_t>(key.index());
  ar.variant(index, 2);
  if constexpr (Ar::kReading) {
    if (index == 0)
      key = tfhe::SeededLegacyRerandomization{};
    else
      key = tfhe::SeededCompactKey{};
  }
  if (auto* legacy = std::get_if<tfhe::SeededLegacyRerandomization>(&key)) serde_rerand_ksk(ar, *legacy);
  if (auto* derived = std::get_if<tfhe::SeededCompactKey>(&key)) serde_seeded_compact_key(ar, *derived);
}

template <class Ar, class T>
void serde_compute_key(Ar& ar, T& key) {
  ar.version("integer::CompressedServerKey", {2});
  ar.version("shortint::CompressedServerKey", {3});
  ar.version("CompressedAtomicPatternServerKey", {0});
  ar.only_variant(0, "KeySwitch32");
  ar.version("CompressedStandardAtomicPatternServerKey", {0});
  serde_ksk(ar, key.ksk);
  serde_bootstrap_key(ar, key.bootstrap);
  serde_pbs_order(ar, key.order);
  serde_space(ar, key.space);
  leaf(ar, key.max_degree);
  leaf(ar, key.max_noise_level);
}

template <class Ar, class T>
void serde_server_key(Ar& ar, T& key) {
  ar.version("CompressedServerKey", {2});
  const std::uint32_t version = ar.version("IntegerCompressedServerKey", {7, 6, 5, 4});
  serde_compute_key(ar, key);
  optional(ar, key.cast, [&](auto& cast) { serde_cast_key(ar, cast, version >= 5); });
  optional(ar, key.compression, [&](auto& compression) {
    ar.version("integer::CompressedCompressionKey", {2});
    ar.version("shortint::CompressedCompressionKey", {2});
    serde_packing_ksk<u64>(ar, compression.packing);
    leaf(ar, compression.lwe_per_glwe);
    leaf(ar, compression.storage_log_modulus);
  });
  optional(ar, key.decompression, [&](auto& decompression) { serde_decompression_key(ar, decompression); });
  optional(ar, key.sns, [&](auto& sns) { serde_sns_key(ar, sns); });
  optional(ar, key.sns_compression, [&](auto& compression) {
    ar.version("integer::CompressedNoiseSquashingCompressionKey", {0});
    ar.version("shortint::CompressedNoiseSquashingCompressionKey", {0});
    serde_packing_ksk<u128>(ar, compression.packing);
    leaf(ar, compression.lwe_per_glwe);
  });
  if (version == 5) {
    if constexpr (Ar::kReading) {
      std::optional<tfhe::SeededLegacyRerandomization> legacy;
      optional(ar, legacy, [&](auto& ksk) { serde_rerand_ksk(ar, ksk); });
      if (legacy) key.rerandomization = *std::move(legacy);
    }
  }
  if (version >= 6) optional(ar, key.rerandomization, [&](auto& rerand) { serde_rerandomization(ar, rerand); });
  if (version >= 7)
    optional(ar, key.oprf, [&](auto& oprf) {
      ar.version("integer::CompressedOprfServerKey", {0});
      ar.version("shortint::CompressedOprfServerKey", {0});
      ar.version("CompressedOprfBootstrappingKey", {0});
      ar.only_variant(0, "multi-bit bootstrapping");
      serde_bsk<u64>(ar, oprf);
    });
  tag_bytes(ar, key.tag);
}

template <class Ar, class T>
void serde_key_set(Ar& ar, T& set) {
  const std::uint32_t version = ar.version("CompressedXofKeySet", {1, 0});
  if (version == 1) {
    ar.version("XofSeedStart", {0});
    std::uint32_t start = set.starts_at_second_byte ? 1 : 0;
    ar.variant(start, 2);
    if constexpr (Ar::kReading) set.starts_at_second_byte = start == 1;
  } else {
    if constexpr (Ar::kReading) set.starts_at_second_byte = true;
  }
  ar.version("XofSeed", {0});
  ar.words(set.seed.data);
  serde_compressed_public_key(ar, set.public_key);
  serde_server_key(ar, set.server_key);
}

}  // namespace witan::tfhe_rs
