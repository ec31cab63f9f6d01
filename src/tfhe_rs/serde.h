// The visitor of every type (tfhe-formats.md 4-10, 15). Versions are listed newest first; the newest is written.
// Internal to this layer.
#pragma once

#include <algorithm>
#include <bit>
#include <optional>

#include "tfhe_rs/archive.h"
#include "tfhe_rs/types.h"

namespace witan::tfhe_rs {

// ---- leaves

/// #0 around one u64.
template <class Ar, class Int>
void leaf(Ar& ar, Int& value) {
  ar.version("a number", {0});
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
  ar.version("a number", {0});
  ar.primitive(value);
}

template <class Ar, class E>
void enumeration(Ar& ar, const char* type, E& value, std::uint32_t count) {
  auto index = static_cast<std::uint32_t>(value);
  ar.variant(type, index, count);
  if constexpr (Ar::kReading) value = static_cast<E>(index);
}

/// A fixed byte value that must be there.
template <class Ar>
void only_variant(Ar& ar, const char* type, std::uint32_t expected, const char* refused) {
  std::uint32_t index = expected;
  ar.primitive(index);
  if constexpr (Ar::kReading)
    if (index != expected) ar.error("{}: {} is not supported (variant {})", type, refused, index);
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
    ar.template primitive<std::uint64_t>(values.size());
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
  only_variant(ar, "DynamicDistribution", 1, "Gaussian noise");
  ar.version("TUniform", {0});
  ar.primitive(noise.bound_log2);
}

template <class Ar, class T>
void serde_key_choice(Ar& ar, T& choice) {
  ar.version("EncryptionKeyChoice", {0});
  enumeration(ar, "EncryptionKeyChoice", choice, 2);
}

template <class Ar, class T>
void serde_pbs_order(Ar& ar, T& order) {
  ar.version("PBSOrder", {0});
  enumeration(ar, "PBSOrder", order, 2);
}

template <class Ar, class T>
void serde_pattern(Ar& ar, T& order) {
  ar.version("AtomicPatternKind", {0});
  only_variant(ar, "AtomicPatternKind", 0, "KeySwitch32");
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
  ar.variant("DataKind", index, 4);
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
      if (wide == 0) ar.error("DataKind: a value of 0 blocks");
      if (wide > (1u << 24)) ar.error("DataKind: a value of {} blocks", wide);
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
  ar.variant("SeedKind", index, 2);
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
      ar.expansion_tag == 0 ? ar.version("ExpansionKind", {0, 1}) : ar.version("ExpansionKind", {1, 0});
  auto index = static_cast<std::uint32_t>(kind.index());
  ar.variant("ExpansionKind", index, 2);
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
    enumeration(ar, "SupportedCompactPkeZkScheme", params.zk, 3);
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
  ar.variant("ModulusSwitchType", index, 3);
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
  only_variant(ar, "PBSParameters", 0, "multi-bit bootstrapping");
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
    only_variant(ar, "CompressionParameters", 0, "multi-bit compression");
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
    only_variant(ar, "NoiseSquashingParameters", 0, "multi-bit noise squashing");
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

// ---- ciphertexts

template <class W, class Ar, class T>
void serde_lwe(Ar& ar, T& lwe) {
  ar.version("LweCiphertext", {0});
  ar.words(lwe.data);
  native_modulus<W>(ar);
  if constexpr (Ar::kReading)
    if (lwe.data.empty()) ar.error("an LWE ciphertext has no words");
}

template <class Ar, class T>
void serde_block(Ar& ar, T& block) {
  const std::uint32_t version = ar.version("shortint::Ciphertext", {1, 0});
  serde_lwe<u64>(ar, block.lwe);
  leaf(ar, block.degree);
  leaf(ar, block.noise_level);
  serde_space(ar, block.space);
  if (version == 1)
    serde_pattern(ar, block.order);
  else
    serde_pbs_order(ar, block.order);
}

template <class Ar, class T>
void serde_squashed_block(Ar& ar, T& block) {
  ar.version("SquashedNoiseCiphertext", {0});
  serde_lwe<u128>(ar, block.lwe);
  leaf(ar, block.degree);
  serde_space(ar, block.space);
}

/// The single block of a boolean: sits where the others have a list.
template <class Ar, class T, class Visit>
void single_block(Ar& ar, T& blocks, Visit visit) {
  if constexpr (Ar::kReading) {
    blocks.clear();
    visit(blocks.emplace_back());
  } else {
    if (blocks.size() != 1) return ar.error("a boolean has one block, not {}", blocks.size());
    visit(blocks.front());
  }
}

template <class Ar, class T>
void serde_radix(Ar& ar, T& object) {
  const std::uint32_t version = ar.version("FheUint", {2, 1, 0});
  ar.version("the inner ciphertext", {0});
  ar.version("the radix ciphertext", {0});
  if (object.kind == RadixObject::Kind::boolean)
    single_block(ar, object.blocks, [&](auto& block) { serde_block(ar, block); });
  else
    list(ar, object.blocks, 108, [&](auto& block) { serde_block(ar, block); });
  if (version >= 1) tag_bytes(ar, object.tag);
  if (version >= 2) {
    ar.version("ReRandomizationMetadata", {0});
    ar.words(object.metadata);
  }
}

template <class W, class Ar, class T>
void serde_packed_glwe(Ar& ar, T& glwe) {
  ar.version("CompressedModulusSwitchedGlweCiphertext", {0});
  ar.version("PackedIntegers", {0});
  ar.words(glwe.packed_coefficients);
  leaf(ar, glwe.log_modulus);
  std::uint64_t initial_len = glwe.initial_len;
  ar.primitive(initial_len);
  if constexpr (Ar::kReading) glwe.initial_len = initial_len;
  leaf(ar, glwe.glwe_dimension);
  leaf(ar, glwe.polynomial_size);
  leaf(ar, glwe.bodies_count);
  native_modulus<W>(ar);
}

template <class Ar, class T>
void serde_compressed_list(Ar& ar, T& object) {
  const std::uint32_t version = ar.version("CompressedCiphertextList", {3, 2, 1, 0});
  ar.version("integer::CompressedCiphertextList", {0});
  const std::uint32_t inner = ar.version("shortint::CompressedCiphertextList", {2, 1, 0});
  list(ar, object.list.glwes, 100, [&](auto& glwe) { serde_packed_glwe<u64>(ar, glwe); });
  bool has_meta = object.has_meta;
  if (inner == 2) ar.boolean(has_meta);
  if constexpr (Ar::kReading) object.has_meta = has_meta;
  if (has_meta) {
    if (inner == 2) ar.version("CompressedCiphertextListMeta", {0});
    native_modulus<u64>(ar);
    serde_space(ar, object.list.space);
    if (inner == 0)
      serde_pbs_order(ar, object.order);
    else
      serde_pattern(ar, object.order);
    leaf(ar, object.list.lwe_per_glwe);
    if constexpr (Ar::kReading) {
      if (inner < 2) {
        std::uint64_t count = 0;
        leaf(ar, count);
      }
    }
  }
  serde_kinds(ar, object.kinds);
  if (version >= 1) tag_bytes(ar, object.tag);
  if (version >= 3)
    list(ar, object.metadata, 12, [&](auto& bytes) {
      ar.version("ReRandomizationMetadata", {0});
      ar.words(bytes);
    });
}

template <class Ar, class T>
void serde_squashed_list(Ar& ar, T& object) {
  ar.version("CompressedSquashedNoiseCiphertextList", {0});
  ar.version("integer::CompressedSquashedNoiseCiphertextList", {0});
  ar.version("shortint::CompressedSquashedNoiseCiphertextList", {0});
  list(ar, object.list.glwes, 100, [&](auto& glwe) { serde_packed_glwe<u128>(ar, glwe); });
  bool has_meta = object.has_meta;
  ar.boolean(has_meta);
  if constexpr (Ar::kReading) object.has_meta = has_meta;
  if (has_meta) {
    ar.version("CompressedSquashedNoiseCiphertextListMeta", {0});
    serde_space(ar, object.list.space);
    leaf(ar, object.list.lwe_per_glwe);
  }
  serde_kinds(ar, object.kinds);
  tag_bytes(ar, object.tag);
}

template <class Ar, class T>
void serde_squashed(Ar& ar, T& object) {
  const std::uint32_t version = ar.version("SquashedNoiseFheUint", {1, 0});
  ar.version("the inner ciphertext", {0});
  ar.version("the squashed ciphertext", {0});
  if (object.kind == RadixObject::Kind::boolean) {
    single_block(ar, object.blocks, [&](auto& block) { serde_squashed_block(ar, block); });
  } else {
    list(ar, object.blocks, 80, [&](auto& block) { serde_squashed_block(ar, block); });
    ar.primitive(object.original_block_count);
  }
  if (version == 1) {
    ar.version("SquashedNoiseCiphertextState", {0});
    std::uint32_t state = object.post_decompression ? 1 : 0;
    ar.variant("SquashedNoiseCiphertextState", state, 2);
    if constexpr (Ar::kReading) object.post_decompression = state == 1;
  }
  tag_bytes(ar, object.tag);
}

template <class Ar, class T>
void serde_seeded_block(Ar& ar, T& block) {
  const std::uint32_t version = ar.version("shortint::CompressedCiphertext", {1, 0});
  ar.version("SeededLweCiphertext", {0});
  ar.primitive(block.body);
  leaf_plus_one(ar, block.lwe_dimension);
  serde_origin(ar, block.origin);
  native_modulus<u64>(ar);
  leaf(ar, block.degree);
  serde_space(ar, block.space);
  if (version == 1)
    serde_pattern(ar, block.order);
  else
    serde_pbs_order(ar, block.order);
  leaf(ar, block.noise_level);
}

template <class Ar, class T>
void serde_seeded(Ar& ar, T& object) {
  std::uint32_t version = 1;
  if (object.kind == RadixObject::Kind::boolean) {
    ar.version("CompressedFheBool", {1});
    ar.version("InnerCompressedFheBool", {0});
    only_variant(ar, "InnerCompressedFheBool", 0, "the modulus-switched form");
    single_block(ar, object.blocks, [&](auto& block) { serde_seeded_block(ar, block); });
  } else {
    version = ar.version("CompressedFheUint", {1, 0});
    ar.version("hl::CompressedRadixCiphertext", {1});
    only_variant(ar, "hl::CompressedRadixCiphertext", 0, "the modulus-switched form");
    ar.version("integer::CompressedRadix", {0});
    list(ar, object.blocks, 100, [&](auto& block) { serde_seeded_block(ar, block); });
  }
  if (version == 1) tag_bytes(ar, object.tag);
}

template <class Ar, class T>
void serde_compact_list(Ar& ar, T& object) {
  const std::uint32_t version = ar.version("CompactCiphertextList", {1, 0});
  ar.version("integer::CompactCiphertextList", {1});
  auto& value = object.list;
  const std::uint32_t inner = ar.version("shortint::CompactCiphertextList", {2, 1, 0});
  ar.version("LweCompactCiphertextList", {0});
  ar.words(value.data);
  leaf_plus_one(ar, value.lwe_dimension);
  leaf(ar, value.ciphertext_count);
  native_modulus<u64>(ar);
  leaf(ar, value.degree);
  serde_space(ar, value.space);
  bool old_order = false;
  if constexpr (Ar::kReading) {
    if (inner == 0) {
      tfhe::NoCasting kind;
      serde_pbs_order(ar, kind.order);
      value.expansion = kind;
      old_order = true;
    }
  }
  if (!old_order) serde_expansion(ar, value.expansion);
  if constexpr (Ar::kReading) {
    if (inner < 2) {
      std::uint64_t noise_level = 0;
      leaf(ar, noise_level);
    }
  }
  serde_kinds(ar, value.kinds);
  if (version == 1) tag_bytes(ar, object.tag);
}

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
  ar.variant("CompressedModulusSwitchConfiguration", index, 3);
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
  only_variant(ar, "ShortintCompressedBootstrappingKey", 0, "multi-bit bootstrapping");
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
  auto shift = static_cast<std::int8_t>(key.cast_rshift);
  ar.primitive(shift);
  if constexpr (Ar::kReading) key.cast_rshift = shift;
  serde_key_choice(ar, key.destination);
  if (with_pattern) {
    ar.version("KeySwitchingKeyDestinationAtomicPattern", {0});
    only_variant(ar, "KeySwitchingKeyDestinationAtomicPattern", 0, "KeySwitch32");
  }
}

template <class Ar, class T>
void serde_sns_key(Ar& ar, T& key) {
  ar.version("integer::CompressedNoiseSquashingKey", {0});
  const std::uint32_t version = ar.version("shortint::CompressedNoiseSquashingKey", {3, 2, 1});
  if (version == 3) {
    ar.version("CompressedAtomicPatternNoiseSquashingKey", {0});
    only_variant(ar, "CompressedAtomicPatternNoiseSquashingKey", 0, "KeySwitch32");
    ar.version("CompressedStandardAtomicPatternNoiseSquashingKey", {0});
  }
  if (version >= 2) {
    ar.version("CompressedShortint128BootstrappingKey", {1, 0});
    only_variant(ar, "CompressedShortint128BootstrappingKey", 0, "multi-bit bootstrapping");
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
  ar.variant("CompressedReRandomizationKeySwitchingKey", index, 2);
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
  ar.variant("CompressedReRandomizationKey", index, 2);
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
  only_variant(ar, "CompressedAtomicPatternServerKey", 0, "KeySwitch32");
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
      only_variant(ar, "CompressedOprfBootstrappingKey", 0, "multi-bit bootstrapping");
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
    ar.variant("XofSeedStart", start, 2);
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
