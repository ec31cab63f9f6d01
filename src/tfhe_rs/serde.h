// The visitors of leaves and parameter blocks (tfhe-formats.md 4, 5, 15). Versions are listed newest first; the newest is
// written. Values that only old versions store, and values that only the newest does, are handled where they stand.
// Internal to this layer.
#pragma once

#include <limits>
#include <optional>

#include "tfhe_rs/archive.h"
#include "tfhe_rs/types.h"

namespace witan::tfhe_rs {

/// Of one value: far above every type, and small enough that sums over a list cannot overflow.
inline constexpr std::uint64_t kMaxBlocks = 1 << 24;

// ---- leaves

/// #0 around one u64.
template <class Ar, class Int>
void leaf(Ar& ar, Int& value) {
  ar.leaf_version({0});
  std::uint64_t wide = static_cast<std::uint64_t>(value);
  ar.primitive(wide);
  if constexpr (Ar::kReading) {
    if (wide > std::numeric_limits<Int>::max()) ar.error("the number {} is too large", wide), wide = 0;
    value = static_cast<Int>(wide);
  }
}

/// A size that the format stores plus one (LweSize, GlweSize).
template <class Ar, class Int>
void leaf_plus_one(Ar& ar, Int& value) {
  std::uint64_t size = static_cast<std::uint64_t>(value) + 1;
  leaf(ar, size);
  if constexpr (Ar::kReading) {
    if (size == 0) ar.error("a size is 0"), size = 1;
    value = static_cast<Int>(size - 1);
  }
}

template <class Ar, class F>
void leaf_f64(Ar& ar, F& value) {
  ar.leaf_version({0});
  ar.primitive(value);
}

template <class Ar, class E>
void enumeration(Ar& ar, E& value, std::uint32_t count) {
  auto index = static_cast<std::uint32_t>(value);
  ar.variant(index, count);
  if constexpr (Ar::kReading) value = static_cast<E>(index);
}

template <class Ar, class T, class Visit>
void optional(Ar& ar, T& value, Visit visit) {
  bool there = value.has_value();
  ar.boolean(there);
  if constexpr (Ar::kReading) {
    value.reset();
    if (there && ar.ok()) value.emplace();
  }
  if (there && value) visit(*value);
}

template <class Ar, class V, class Visit>
void list(Ar& ar, V& values, std::size_t min_bytes, Visit visit) {
  if constexpr (Ar::kReading) {
    const std::uint64_t count = ar.count(min_bytes);
    values.clear();
    for (std::uint64_t i = 0; i < count && ar.ok(); ++i) visit(values.emplace_back());
  } else {
    ar.count(values.size());
    for (auto& value : values) visit(value);
  }
}

/// CiphertextModulus#0: native only.
template <class W, class Ar>
void native_modulus(Ar& ar) {
  ar.version("CiphertextModulus", {0});
  u128 modulus = 0;
  std::uint64_t bits = 8 * sizeof(W);
  ar.primitive(modulus);
  ar.primitive(bits);
  if constexpr (Ar::kReading)
    if (modulus != 0 || bits != 8 * sizeof(W)) ar.error("the ciphertext modulus is not the native 2^{}", 8 * sizeof(W));
}

template <class Ar, class T>
void tag_bytes(Ar& ar, T& tag) {
  ar.version("Tag", {0});
  ar.words(tag);
}

template <class Ar, class T>
void serde_noise(Ar& ar, T& noise) {
  ar.version("DynamicDistribution", {0});
  ar.only_variant(1, "Gaussian noise");
  ar.version("TUniform", {0});
  ar.primitive(noise.bound_log2);
}

template <class Ar, class T>
void serde_key_choice(Ar& ar, T& choice) {
  ar.version("EncryptionKeyChoice", {0});
  enumeration(ar, choice, 2);
}

template <class Ar, class T>
void serde_pbs_order(Ar& ar, T& order) {
  ar.version("PBSOrder", {0});
  enumeration(ar, order, 2);
}

template <class Ar, class T>
void serde_pattern(Ar& ar, T& order) {
  ar.version("AtomicPatternKind", {0});
  ar.only_variant(0, "KeySwitch32");
  serde_pbs_order(ar, order);
}

template <class Ar, class T>
void serde_space(Ar& ar, T& space) {
  leaf(ar, space.message_modulus);
  leaf(ar, space.carry_modulus);
}

/// DataKind#1; tag 0 has the same bytes.
template <class Ar, class T>
void serde_kind(Ar& ar, T& kind) {
  ar.version("DataKind", {1, 0});
  auto index = static_cast<std::uint32_t>(kind.index());
  ar.variant(index, 4);
  if constexpr (Ar::kReading) {
    switch (index) {
      case 0:
        kind = tfhe::UnsignedKind{};
        break;
      case 1:
        kind = tfhe::SignedKind{};
        break;
      case 2:
        kind = tfhe::BooleanKind{};
        break;
      default:
        kind = tfhe::StringKind{};
        break;
    }
  }
  const auto count = [&](auto& blocks) {
    std::uint64_t wide = blocks;
    ar.primitive(wide);
    if constexpr (Ar::kReading) {
      if (wide == 0) ar.error("a value of 0 blocks");
      if (wide > kMaxBlocks) ar.error("a value of {} blocks, at most {} are read", wide, kMaxBlocks);
      blocks = ar.ok() ? wide : 1;
    }
  };
  if (auto* u = std::get_if<tfhe::UnsignedKind>(&kind)) count(u->blocks);
  if (auto* s = std::get_if<tfhe::SignedKind>(&kind)) count(s->blocks);
  if (auto* text = std::get_if<tfhe::StringKind>(&kind)) {
    ar.primitive(text->char_count);
    ar.boolean(text->padded);
  }
}

template <class Ar, class T>
void serde_kinds(Ar& ar, T& kinds) {
  list(ar, kinds, 8, [&](auto& kind) { serde_kind(ar, kind); });
}

/// CompressionSeed: tag 0 starts at byte 1 of a Ctr stream.
template <class Ar, class T>
void serde_origin(Ar& ar, T& origin) {
  const std::uint32_t version = ar.version("CompressionSeed", {1, 0});
  if constexpr (Ar::kReading) {
    if (version == 0) {
      tfhe::CtrSeed seed;
      ar.primitive(seed.seed);
      origin = {seed, {0, 1}};
      return;
    }
  }
  ar.version("AesCtrParams", {0});
  ar.version("SeedKind", {0});
  std::uint32_t index = static_cast<std::uint32_t>(origin.seed.index());
  ar.variant(index, 2);
  if constexpr (Ar::kReading) {
    if (index == 0)
      origin.seed = tfhe::CtrSeed{};
    else
      origin.seed = tfhe::XofSeed{};
  }
  ar.version("Seed", {0});
  if (auto* ctr = std::get_if<tfhe::CtrSeed>(&origin.seed)) ar.primitive(ctr->seed);
  if (auto* xof = std::get_if<tfhe::XofSeed>(&origin.seed)) ar.words(xof->data);
  ar.version("TableIndex", {0});
  ar.version("AesIndex", {0});
  ar.primitive(origin.start.block);
  ar.version("ByteIndex", {0});
  ar.primitive(origin.start.byte);
  if constexpr (Ar::kReading)
    if (origin.start.byte > 15) ar.error("ByteIndex {} is not below 16", origin.start.byte);
}

// ---- parameters

template <class Ar, class T>
void serde_expansion(Ar& ar, T& kind) {
  // The tag that is written is an option of the archive: 0 is read by every client, 1 is what tfhe-rs 1.7 writes.
  const std::uint32_t version =
      ar.options().expansion_tag == 0 ? ar.version("ExpansionKind", {0, 1}) : ar.version("ExpansionKind", {1, 0});
  auto index = static_cast<std::uint32_t>(kind.index());
  ar.variant(index, 2);
  if constexpr (Ar::kReading) {
    if (index == 0)
      kind = tfhe::RequiresCasting{};
    else
      kind = tfhe::NoCasting{};
  }
  if (auto* no_casting = std::get_if<tfhe::NoCasting>(&kind)) {
    if (version == 0)
      serde_pbs_order(ar, no_casting->order);
    else
      serde_pattern(ar, no_casting->order);
  }
}

template <class Ar, class T>
void serde_pke(Ar& ar, T& params) {
  const std::uint32_t version = ar.version("CompactPublicKeyEncryptionParameters", {1, 0});
  leaf(ar, params.lwe_dimension);
  serde_noise(ar, params.noise);
  serde_space(ar, params.space);
  native_modulus<u64>(ar);
  serde_expansion(ar, params.expansion);
  if (version == 1) {
    ar.version("SupportedCompactPkeZkScheme", {0});
    enumeration(ar, params.zk, 3);
  } else {
    if constexpr (Ar::kReading) params.zk = tfhe::ZkScheme::v1;
  }
}

template <class Ar, class T>
void base_then_level(Ar& ar, T& d) {
  leaf(ar, d.base_log);
  leaf(ar, d.level_count);
}
template <class Ar, class T>
void level_then_base(Ar& ar, T& d) {
  leaf(ar, d.level_count);
  leaf(ar, d.base_log);
}

template <class Ar, class T>
void serde_ks_params(Ar& ar, T& params) {
  ar.version("ShortintKeySwitchingParameters", {0});
  base_then_level(ar, params.decomposition);
  serde_key_choice(ar, params.destination);
}

template <class Ar, class T>
void drift_params(Ar& ar, T& drift) {
  ar.version("ModulusSwitchNoiseReductionParams", {0});
  leaf(ar, drift.zeros_count);
  leaf_f64(ar, drift.bound);
  leaf_f64(ar, drift.r_sigma_factor);
  leaf_f64(ar, drift.input_variance);
}

template <class Ar, class T>
void serde_modulus_switch(Ar& ar, T& technique) {
  ar.version("ModulusSwitchType", {0});
  auto index = static_cast<std::uint32_t>(technique.index());
  ar.variant(index, 3);
  if constexpr (Ar::kReading) {
    if (index == 0)
      technique = tfhe::StandardSwitch{};
    else if (index == 1)
      technique = tfhe::DriftSwitch{};
    else
      technique = tfhe::CenteredMeanSwitch{};
  }
  if (auto* drift = std::get_if<tfhe::DriftSwitch>(&technique)) drift_params(ar, *drift);
}

/// The older form: Option of drift parameters.
template <class T>
void optional_drift(ReadArchive& ar, T& technique) {
  std::optional<tfhe::DriftSwitch> drift;
  optional(ar, drift, [&](auto& d) { drift_params(ar, d); });
  if (drift)
    technique = *drift;
  else
    technique = tfhe::StandardSwitch{};
}

template <class Ar, class T>
void serde_compute_params(Ar& ar, T& params) {
  ar.version("PBSParameters", {0});
  ar.only_variant(0, "multi-bit bootstrapping");
  const std::uint32_t version = ar.version("ClassicPBSParameters", {2, 1, 0});
  leaf(ar, params.lwe_dimension);
  leaf(ar, params.glwe_dimension);
  leaf(ar, params.polynomial_size);
  serde_noise(ar, params.lwe_noise);
  serde_noise(ar, params.glwe_noise);
  base_then_level(ar, params.pbs);
  base_then_level(ar, params.keyswitch);
  serde_space(ar, params.space);
  leaf(ar, params.max_noise_level);
  ar.primitive(params.log2_p_fail);
  native_modulus<u64>(ar);
  serde_key_choice(ar, params.encryption_key);
  if constexpr (Ar::kReading) {
    if (version == 1) return optional_drift(ar, params.modulus_switch);
    if (version == 0) return;
  }
  serde_modulus_switch(ar, params.modulus_switch);
}

template <class Ar, class T>
void serde_compression_params(Ar& ar, T& params) {
  const std::uint32_t version = ar.version("CompressionParameters", {1, 0});
  if (version == 1) {
    ar.only_variant(0, "multi-bit compression");
    ar.version("ClassicCompressionParameters", {0});
  }
  level_then_base(ar, params.blind_rotation);
  level_then_base(ar, params.packing);
  leaf(ar, params.polynomial_size);
  leaf(ar, params.glwe_dimension);
  leaf(ar, params.lwe_per_glwe);
  leaf(ar, params.storage_log_modulus);
  serde_noise(ar, params.noise);
}

template <class Ar, class T>
void serde_sns_params(Ar& ar, T& params) {
  const std::uint32_t version = ar.version("NoiseSquashingParameters", {2, 1, 0});
  if (version == 2) {
    ar.only_variant(0, "multi-bit noise squashing");
    ar.version("NoiseSquashingClassicParameters", {0});
  }
  leaf(ar, params.glwe_dimension);
  leaf(ar, params.polynomial_size);
  serde_noise(ar, params.noise);
  base_then_level(ar, params.decomposition);
  bool done = false;
  if constexpr (Ar::kReading)
    if (version == 0) optional_drift(ar, params.modulus_switch), done = true;
  if (!done) serde_modulus_switch(ar, params.modulus_switch);
  serde_space(ar, params.space);
  native_modulus<u128>(ar);
}

template <class Ar, class T>
void serde_sns_compression_params(Ar& ar, T& params) {
  ar.version("NoiseSquashingCompressionParameters", {0});
  level_then_base(ar, params.packing);
  leaf(ar, params.polynomial_size);
  leaf(ar, params.glwe_dimension);
  leaf(ar, params.lwe_per_glwe);
  serde_noise(ar, params.noise);
  serde_space(ar, params.space);
  native_modulus<u128>(ar);
}

}  // namespace witan::tfhe_rs
