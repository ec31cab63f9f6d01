// Public keys: expanded, as evaluation uses them, and seeded (bodies only, masks from a stream), as they are generated
// and published. Coefficient orders: tfhe-formats.md 12. Rows, sizes and positions of a key set: keygen.h.
#pragma once

#include <optional>
#include <variant>
#include <vector>

#include "tfhe/ciphertext.h"
#include "tfhe/mask.h"

namespace witan::tfhe {

// ---- expanded ----

/// Key switching key: for input coefficient i, for level L..1: LWE of s_in[i] * 2^(64 - base * level) under the output key.
struct Ksk {
  std::vector<u64> data;
  Decomposition decomposition;
  std::size_t output_dimension = 0;
  std::size_t input_dimension() const { return data.size() / (decomposition.level_count * (output_dimension + 1)); }
};

/// Packing key switching key: the same rows as GLWEs with s_in[i] * 2^(w - base * level) at X^0.
template <Word W>
struct PackingKsk {
  std::vector<W> data;
  Decomposition decomposition;
  std::size_t glwe_dimension = 0, polynomial_size = 0;
  std::size_t input_dimension() const {
    return data.size() / (decomposition.level_count * (glwe_dimension + 1) * polynomial_size);
  }
};

/// Bootstrap key: for key bit i, for level L..1, for row 0..k: GLWE of -s[i] S_row(X) 2^(w - base * level), last row +s[i].
template <Word W>
struct Bsk {
  std::vector<W> data;
  Decomposition decomposition;
  std::size_t glwe_dimension = 0, polynomial_size = 0;
  std::size_t input_dimension() const {
    return data.size() / (decomposition.level_count * (glwe_dimension + 1) * (glwe_dimension + 1) * polynomial_size);
  }
};

/// Public encryption key: mask A then body B of n words each, B = A * rev(s) + e in Z[X]/(X^n+1).
struct CompactPublicKey {
  std::vector<u64> data;
  CompactKeyParams params;
  Bytes tag;  // the key id; carried, never interpreted
  friend bool operator==(const CompactPublicKey&, const CompactPublicKey&) = default;
};

// ---- seeded: `data` holds bodies (one word per LWE, N words per GLWE), masks are read from `origin` in storage order ----

struct SeededLweList {
  std::vector<u64> data;
  std::size_t lwe_dimension = 0;
  MaskOrigin origin;
  friend bool operator==(const SeededLweList&, const SeededLweList&) = default;
};

struct SeededKsk {
  std::vector<u64> data;
  Decomposition decomposition;
  std::size_t output_dimension = 0;
  MaskOrigin origin;
  friend bool operator==(const SeededKsk&, const SeededKsk&) = default;
};

template <Word W>
struct SeededPackingKsk {
  std::vector<W> data;
  Decomposition decomposition;
  std::size_t glwe_dimension = 0, polynomial_size = 0;
  MaskOrigin origin;
  friend bool operator==(const SeededPackingKsk&, const SeededPackingKsk&) = default;
};

template <Word W>
struct SeededBsk {
  std::vector<W> data;
  Decomposition decomposition;
  std::size_t glwe_dimension = 0, polynomial_size = 0;
  MaskOrigin origin;
  std::size_t input_dimension() const {
    return data.size() / (decomposition.level_count * (glwe_dimension + 1) * polynomial_size);
  }
  friend bool operator==(const SeededBsk&, const SeededBsk&) = default;
};

/// A bootstrap's modulus switch with what it needs: the drift technique carries its encryptions of zero.
struct SeededDrift {
  SeededLweList zeros;
  double bound = 0, r_sigma_factor = 0, input_variance = 0;
  friend bool operator==(const SeededDrift&, const SeededDrift&) = default;
};
using SeededModulusSwitch = std::variant<StandardSwitch, SeededDrift, CenteredMeanSwitch>;

template <Word W>
struct SeededBootstrapKey {
  SeededBsk<W> bsk;
  SeededModulusSwitch modulus_switch;
  friend bool operator==(const SeededBootstrapKey&, const SeededBootstrapKey&) = default;
};

/// A compact public key without its mask.
struct SeededCompactKey {
  std::vector<u64> data;  // n bodies
  MaskOrigin origin;
  CompactKeyParams params;
  friend bool operator==(const SeededCompactKey&, const SeededCompactKey&) = default;
};

struct CompressedCompactPublicKey {
  SeededCompactKey key;
  Bytes tag;
  friend bool operator==(const CompressedCompactPublicKey&, const CompressedCompactPublicKey&) = default;
};

/// Casting key from the encryption key to a compute key.
struct SeededCastKey {
  SeededKsk ksk;
  int cast_rshift = 0;  // always 0 in the sets that we use
  KeyChoice destination = KeyChoice::small;
  friend bool operator==(const SeededCastKey&, const SeededCastKey&) = default;
};

struct SeededCompressionKey {
  SeededPackingKsk<u64> packing;
  std::size_t lwe_per_glwe = 0;
  std::uint32_t storage_log_modulus = 0;
  friend bool operator==(const SeededCompressionKey&, const SeededCompressionKey&) = default;
};

struct SeededDecompressionKey {
  SeededBootstrapKey<u64> bootstrap;
  std::size_t lwe_per_glwe = 0;
  friend bool operator==(const SeededDecompressionKey&, const SeededDecompressionKey&) = default;
};

struct SeededSnsKey {
  SeededBootstrapKey<u128> bootstrap;
  PlaintextSpace space;
  friend bool operator==(const SeededSnsKey&, const SeededSnsKey&) = default;
};

struct SeededSnsCompressionKey {
  SeededPackingKsk<u128> packing;
  std::size_t lwe_per_glwe = 0;
  friend bool operator==(const SeededSnsCompressionKey&, const SeededSnsCompressionKey&) = default;
};

/// Legacy: a key switching key of its own, or (nullopt) the casting key. Derived: a public key over the compute key.
struct SeededLegacyRerandomization {
  std::optional<SeededCastKey> dedicated;
  friend bool operator==(const SeededLegacyRerandomization&, const SeededLegacyRerandomization&) = default;
};
using SeededRerandomization = std::variant<SeededLegacyRerandomization, SeededCompactKey>;

/// CompressedServerKey of tfhe-formats.md 10.1; field values of threshold-tfhe.md 5.
struct CompressedServerKey {
  SeededKsk ksk;
  SeededBootstrapKey<u64> bootstrap;
  PbsOrder order = PbsOrder::keyswitch_bootstrap;
  PlaintextSpace space;
  u64 max_degree = 12;
  u64 max_noise_level = 5;
  std::optional<SeededCastKey> cast;
  std::optional<SeededCompressionKey> compression;
  std::optional<SeededDecompressionKey> decompression;
  std::optional<SeededSnsKey> sns;
  std::optional<SeededSnsCompressionKey> sns_compression;
  std::optional<SeededRerandomization> rerandomization;
  std::optional<SeededBsk<u64>> oprf;
  Bytes tag;
  friend bool operator==(const CompressedServerKey&, const CompressedServerKey&) = default;
};

/// CompressedXofKeySet: everything that key generation publishes. 511 MB with the default parameters.
struct CompressedKeySet {
  XofSeed seed;                        // 24 bytes: "TFHE_GEN", then the public seed in little-endian order
  bool starts_at_second_byte = false;  // key sets of tfhe-rs up to 1.5; ours start at the first
  CompressedCompactPublicKey public_key;
  CompressedServerKey server_key;
  friend bool operator==(const CompressedKeySet&, const CompressedKeySet&) = default;
};

}  // namespace witan::tfhe
