// The visitor of ClientKey (tfhe-formats.md 6). Secret bits pass through one scratch vector that is wiped.
#pragma once

#include "tfhe_rs/serde.h"

namespace witan::tfhe_rs {

/// Words 0 and 1, one per key bit.
template <class W, class Ar, class T>
void secret_bits(Ar& ar, T& bits) {
  if constexpr (Ar::kReading) {
    Secret<std::vector<W>> words;
    ar.words(words.reveal_mutable());
    tfhe::Bits out(words.reveal().size());
    W high = 0;
    for (std::size_t i = 0; i < out.size(); ++i) {
      out[i] = static_cast<std::uint8_t>(words.reveal()[i] & 1);
      high |= words.reveal()[i] >> 1;
    }
    if (high != 0) ar.error("a secret key has an entry that is no bit");
    bits = Secret<tfhe::Bits>(std::move(out));
  } else {
    const auto& source = bits.reveal();
    const Secret<std::vector<W>> words(std::vector<W>(source.begin(), source.end()));
    ar.words(words.reveal());
  }
}

template <class W, class Ar, class T>
void serde_lwe_key(Ar& ar, T& key) {
  ar.version("LweSecretKey", {0});
  secret_bits<W>(ar, key.bits);
}

template <class W, class Ar, class T>
void serde_glwe_key(Ar& ar, T& key) {
  ar.version("GlweSecretKey", {0});
  secret_bits<W>(ar, key.bits);
  leaf(ar, key.polynomial_size);
}

template <class Ar, class T>
void serde_rerand_params(Ar& ar, T& params) {
  ar.version("ReRandomizationParameters", {0});
  auto index = static_cast<std::uint32_t>(params.index());
  ar.variant(index, 2);
  if constexpr (Ar::kReading) {
    if (index == 0)
      params = tfhe::LegacyRerandomization{};
    else
      params = tfhe::DerivedRerandomization{};
  }
  if (auto* legacy = std::get_if<tfhe::LegacyRerandomization>(&params)) serde_ks_params(ar, legacy->keyswitch);
}

template <class Ar, class T>
void serde_shortint_client_key(Ar& ar, T& object) {
  ar.version("integer::ClientKey", {0});
  const std::uint32_t version = ar.version("shortint::ClientKey", {1, 0});
  if (version == 1) {
    ar.version("AtomicPatternClientKey", {0});
    ar.only_variant(0, "KeySwitch32");
    ar.version("StandardAtomicPatternClientKey", {0});
  }
  serde_glwe_key<u64>(ar, object.keys.glwe);
  serde_lwe_key<u64>(ar, object.keys.lwe_compute);
  if (version == 0) {
    ar.version("ShortintParameterSet", {0});
    ar.version("ShortintParameterSetInner", {0});
    ar.only_variant(0, "WoPBS parameters");
  }
  serde_compute_params(ar, object.params.compute);
  if (version == 1) {
    bool wopbs = false;
    ar.boolean(wopbs);
    if (wopbs) ar.error("WoPBS parameters are not supported");
  }
}

template <class Ar, class T>
void serde_client_key(Ar& ar, T& object) {
  const std::uint32_t outer = ar.version("ClientKey", {1, 0});
  const std::uint32_t version = ar.version("IntegerClientKey", {8, 7, 6, 5, 4, 3, 2});
  serde_shortint_client_key(ar, object);
  auto& keys = object.keys;
  auto& params = object.params;

  bool dedicated = keys.lwe_encryption.has_value();
  ar.boolean(dedicated);
  if (dedicated) {
    if constexpr (Ar::kReading) {
      keys.lwe_encryption.emplace();
      params.pke.emplace();
      params.cast.emplace();
    }
    ar.version("integer::CompactPrivateKey", {0});
    ar.version("shortint::CompactPrivateKey", {0});
    serde_lwe_key<u64>(ar, *keys.lwe_encryption);
    serde_pke(ar, *params.pke);
    serde_ks_params(ar, *params.cast);
  }
  // integer #0 (not in version 2) and shortint #0 around a GLWE key and its parameters.
  const auto glwe_part = [&]<class W>(W, auto& key, auto& part, const char* type, auto visit) {
    bool there = key.has_value();
    ar.boolean(there);
    if (!there) return;
    if constexpr (Ar::kReading) {
      key.emplace();
      part.emplace();
    }
    if (version >= 3) ar.version(type, {0});
    ar.version(type, {0});
    serde_glwe_key<W>(ar, *key);
    visit(*part);
  };
  glwe_part(u64{}, keys.compression, params.compression, "CompressionPrivateKeys",
            [&](auto& part) { serde_compression_params(ar, part); });
  if (version >= 4)
    glwe_part(u128{}, keys.sns, params.sns, "NoiseSquashingPrivateKey",
              [&](auto& part) { serde_sns_params(ar, part); });
  if (version >= 5)
    glwe_part(u128{}, keys.sns_compression, params.sns_compression, "NoiseSquashingCompressionPrivateKey",
              [&](auto& part) { serde_sns_compression_params(ar, part); });
  if (version == 6) {
    if constexpr (Ar::kReading) {
      std::optional<tfhe::KeySwitchParams> legacy;
      optional(ar, legacy, [&](auto& ks) { serde_ks_params(ar, ks); });
      if (legacy) params.rerandomization = tfhe::LegacyRerandomization{*legacy};
    }
  }
  if (version >= 7) optional(ar, params.rerandomization, [&](auto& rerand) { serde_rerand_params(ar, rerand); });
  if (version >= 8) {
    bool oprf = keys.oprf.has_value();
    ar.boolean(oprf);
    if (oprf) {
      if constexpr (Ar::kReading) keys.oprf.emplace(), params.oprf = true;
      ar.version("integer::OprfPrivateKey", {0});
      ar.version("shortint::OprfPrivateKey", {0});
      ar.version("AtomicPatternOprfPrivateKey", {0});
      ar.only_variant(0, "KeySwitch32");
      serde_lwe_key<u64>(ar, *keys.oprf);
    }
  }
  if (outer == 1) tag_bytes(ar, object.tag);
}

}  // namespace witan::tfhe_rs
