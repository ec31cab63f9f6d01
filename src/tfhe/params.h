// The parameter table: threshold-tfhe.md 1.1, 1.2 and 11.1, as values. A Params holds every field of the parameter
// blocks of tfhe-formats.md 5. Noise is always TUniform, keys are uniform binary, moduli are native (2^64 or 2^128).
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "tfhe/word.h"

namespace witan::tfhe {

/// Noise on the integers -2^b .. 2^b, the two ends with half the probability of the others. Costs b + 2 random bits.
struct TUniform {
  std::uint32_t bound_log2 = 0;
  friend bool operator==(const TUniform&, const TUniform&) = default;
};

/// Balanced signed decomposition: `level_count` digits of `base_log` bits from the top of the word.
struct Decomposition {
  std::uint32_t base_log = 0;
  std::uint32_t level_count = 0;
  friend bool operator==(const Decomposition&, const Decomposition&) = default;
};

/// Plaintext space of a block below one padding bit: message * carry values, Delta = 2^(w-1) / (message * carry).
struct PlaintextSpace {
  u64 message_modulus = 4;
  u64 carry_modulus = 4;
  u64 size() const { return message_modulus * carry_modulus; }
  friend bool operator==(const PlaintextSpace&, const PlaintextSpace&) = default;
};

/// log2 of Delta of a plaintext space in words of W: 59 and 123 for the space 4 * 4.
template <Word W>
int delta_log2(const PlaintextSpace& space);

enum class KeyChoice : std::uint8_t { big, small };
/// Big encryption key: key switch, then bootstrap. Small: bootstrap, then key switch.
enum class PbsOrder : std::uint8_t { keyswitch_bootstrap, bootstrap_keyswitch };
inline PbsOrder pbs_order(KeyChoice choice) {
  return choice == KeyChoice::big ? PbsOrder::keyswitch_bootstrap : PbsOrder::bootstrap_keyswitch;
}

/// How a 64-bit LWE is brought to Z/2N before a blind rotation.
struct StandardSwitch {
  friend bool operator==(const StandardSwitch&, const StandardSwitch&) = default;
};
struct CenteredMeanSwitch {
  friend bool operator==(const CenteredMeanSwitch&, const CenteredMeanSwitch&) = default;
};
/// Adds the best of `zeros_count` public encryptions of zero first (eprint 2024/1718).
struct DriftSwitch {
  std::size_t zeros_count = 0;
  double bound = 0;           // on the estimated switching error, in units of the 64-bit torus
  double r_sigma_factor = 0;  // standard deviations that the estimate counts
  double input_variance = 0;  // of the input noise, on the unit torus
  friend bool operator==(const DriftSwitch&, const DriftSwitch&) = default;
};
using ModulusSwitch = std::variant<StandardSwitch, DriftSwitch, CenteredMeanSwitch>;  // order of tfhe-formats.md 5

struct ComputeParams {
  std::size_t lwe_dimension = 0;    // l
  std::size_t glwe_dimension = 0;   // k
  std::size_t polynomial_size = 0;  // N
  TUniform lwe_noise, glwe_noise;
  Decomposition pbs, keyswitch;
  PlaintextSpace space;
  u64 max_noise_level = 0;
  double log2_p_fail = 0;
  KeyChoice encryption_key = KeyChoice::big;
  ModulusSwitch modulus_switch;

  std::size_t big_dimension() const { return glwe_dimension * polynomial_size; }
  /// Dimension of an ordinary ciphertext block.
  std::size_t block_dimension() const { return encryption_key == KeyChoice::big ? big_dimension() : lwe_dimension; }
  friend bool operator==(const ComputeParams&, const ComputeParams&) = default;
};

enum class ZkScheme : std::uint8_t { none, v1, v2 };
/// What expanding a compact list needs: a casting key, or nothing because the key is already a compute key.
struct RequiresCasting {
  friend bool operator==(const RequiresCasting&, const RequiresCasting&) = default;
};
struct NoCasting {
  PbsOrder order = PbsOrder::keyswitch_bootstrap;
  friend bool operator==(const NoCasting&, const NoCasting&) = default;
};
using ExpansionKind = std::variant<RequiresCasting, NoCasting>;

/// Public-key encryption (CompactPkeParams). The dimension is a power of two.
struct CompactKeyParams {
  std::size_t lwe_dimension = 0;  // l^
  TUniform noise;
  PlaintextSpace space;
  ExpansionKind expansion;
  ZkScheme zk = ZkScheme::none;
  friend bool operator==(const CompactKeyParams&, const CompactKeyParams&) = default;
};

/// A key switching key towards the compute keys (KsParams).
struct KeySwitchParams {
  Decomposition decomposition;
  KeyChoice destination = KeyChoice::small;
  friend bool operator==(const KeySwitchParams&, const KeySwitchParams&) = default;
};

/// Compression of 64-bit blocks and the bootstrap that undoes it.
struct CompressionParams {
  Decomposition packing, blind_rotation;
  std::size_t glwe_dimension = 0, polynomial_size = 0;
  std::size_t lwe_per_glwe = 0;
  std::uint32_t storage_log_modulus = 0;
  TUniform noise;  // of the packing key switching key
  std::size_t dimension() const { return glwe_dimension * polynomial_size; }
  friend bool operator==(const CompressionParams&, const CompressionParams&) = default;
};

/// Switch-and-Squash: the bootstrap to 128-bit words.
struct SnsParams {
  std::size_t glwe_dimension = 0, polynomial_size = 0;
  TUniform noise;
  Decomposition decomposition;
  ModulusSwitch modulus_switch;
  PlaintextSpace space;
  std::size_t dimension() const { return glwe_dimension * polynomial_size; }
  friend bool operator==(const SnsParams&, const SnsParams&) = default;
};

/// Compression of squashed ciphertexts (128 bits, stored in full).
struct SnsCompressionParams {
  Decomposition packing;
  std::size_t glwe_dimension = 0, polynomial_size = 0;
  std::size_t lwe_per_glwe = 0;
  TUniform noise;
  PlaintextSpace space;
  std::size_t dimension() const { return glwe_dimension * polynomial_size; }
  friend bool operator==(const SnsCompressionParams&, const SnsCompressionParams&) = default;
};

/// Re-randomisation with a public key derived from the compute key, or (legacy) with the encryption public key and a
/// key switching key to the big compute key. When the legacy parameters equal the casting key's, that key is reused and
/// no component exists.
struct DerivedRerandomization {
  friend bool operator==(const DerivedRerandomization&, const DerivedRerandomization&) = default;
};
struct LegacyRerandomization {
  KeySwitchParams keyswitch;
  friend bool operator==(const LegacyRerandomization&, const LegacyRerandomization&) = default;
};
using Rerandomization = std::variant<LegacyRerandomization, DerivedRerandomization>;  // order of tfhe-formats.md 5

/// Accepts a key only if its Hamming weight h obeys floor((1-pmax) len) <= h <= floor(pmax len), per polynomial.
struct HammingBound {
  double pmax = 1;
  int log2_fail = 0;
  friend bool operator==(const HammingBound&, const HammingBound&) = default;
};

/// One parameter set. Parts that a set lacks are absent; the keys and components that need them are absent then too.
struct Params {
  std::string name;
  ComputeParams compute;
  std::optional<CompactKeyParams> pke;
  std::optional<KeySwitchParams> cast;  // present exactly when pke is
  std::optional<CompressionParams> compression;
  std::optional<SnsParams> sns;
  std::optional<SnsCompressionParams> sns_compression;
  std::optional<Rerandomization> rerandomization;
  bool oprf = false;
  std::optional<HammingBound> hamming;

  /// Parameters of the derived re-randomisation public key (tfhe-formats.md 10.1).
  CompactKeyParams derived_rerandomization_key() const;
  /// invalid_argument naming the field: sizes are powers of two within bounds, decompositions fit into their word, and
  /// parts that need each other are there.
  Status validate() const;
  /// Equality of everything but the name.
  bool same_values(const Params& other) const;
};

/// All sets by name: default, test, test_reshare, nigel, nist_p8_lwe, nist_p32_lwe, nist_p8_fglwe, nist_p32_fglwe,
/// witan_toy_a, witan_toy_b. Error: not_found listing the names.
Result<Params> params_by_name(std::string_view name);
std::span<const std::string_view> params_names();

/// The sets that the gRPC API offers (service.md): these two and no others.
enum class FheParameter : std::uint8_t { default_set, test_set };
Params params_of(FheParameter parameter);

}  // namespace witan::tfhe
