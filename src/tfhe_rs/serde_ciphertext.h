// The visitors of ciphertexts and lists (tfhe-formats.md 7, 8). Internal to this layer.
#pragma once

#include "tfhe_rs/serde.h"

namespace witan::tfhe_rs {

template <class W, class Ar, class T>
void serde_lwe(Ar& ar, T& lwe) {
  ar.version("LweCiphertext", {0});
  ar.words(lwe.data);
  if constexpr (Ar::kReading)
    if (lwe.data.empty()) ar.error("an LWE ciphertext has no words");
  native_modulus<W>(ar);
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
        if (ar.ok() && count != object.list.size())
          ar.error("the list says {} ciphertexts, its GLWEs hold {}", count, object.list.size());
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
    ar.variant(state, 2);
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
    ar.only_variant(0, "the modulus-switched form");
    single_block(ar, object.blocks, [&](auto& block) { serde_seeded_block(ar, block); });
  } else {
    version = ar.version("CompressedFheUint", {1, 0});
    ar.version("hl::CompressedRadixCiphertext", {1});
    ar.only_variant(0, "the modulus-switched form");
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

}  // namespace witan::tfhe_rs
