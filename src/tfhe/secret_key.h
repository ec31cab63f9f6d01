// The seven secret keys of threshold-tfhe.md 2. All are uniform binary vectors, kept one byte per bit.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "base/rng.h"
#include "base/secret.h"
#include "tfhe/params.h"

namespace witan::tfhe {

using Bits = std::vector<std::uint8_t>;  // each 0 or 1

/// Binary LWE key.
struct LweSecretKey {
  Secret<Bits> bits;

  std::size_t dimension() const { return bits.reveal().size(); }
  std::span<const std::uint8_t> view() const { return bits.reveal(); }
  LweSecretKey duplicate() const { return {bits.duplicate()}; }
};

/// Binary GLWE key: k polynomials of N coefficients, flattened polynomial by polynomial. The same vector is the LWE key
/// of dimension k*N under which extracted samples decrypt.
struct GlweSecretKey {
  Secret<Bits> bits;
  std::size_t polynomial_size = 0;

  std::size_t glwe_dimension() const { return polynomial_size ? bits.reveal().size() / polynomial_size : 0; }
  std::size_t dimension() const { return bits.reveal().size(); }
  std::span<const std::uint8_t> view() const { return bits.reveal(); }
  GlweSecretKey duplicate() const { return {bits.duplicate(), polynomial_size}; }
};

/// Names of the keys, in the order of threshold-tfhe.md 2 (the order of sharing and resharing).
enum class KeyName : std::uint8_t { lwe_encryption, lwe_compute, glwe, compression, sns, sns_compression, oprf };
inline constexpr std::size_t kKeyNames = 7;
const char* to_string(KeyName name);

/// Bits of a key under a parameter set; 0 if the set has no such key.
std::size_t key_bits(const Params& params, KeyName name);
/// Polynomial size of a GLWE key, 0 for LWE keys and absent keys.
std::size_t key_polynomial_size(const Params& params, KeyName name);
/// Of all keys together: 17,196 for the default set.
std::size_t total_key_bits(const Params& params);

/// A full set. Never exists in production: a committee holds shares. Keys that the parameters lack are absent.
struct SecretKeySet {
  std::optional<LweSecretKey> lwe_encryption;  // absent: the compute key serves (sets without PKE parameters)
  LweSecretKey lwe_compute;
  GlweSecretKey glwe;
  std::optional<GlweSecretKey> compression;
  std::optional<GlweSecretKey> sns;
  std::optional<GlweSecretKey> sns_compression;
  std::optional<LweSecretKey> oprf;

  /// The bits of a key; empty if it is absent.
  std::span<const std::uint8_t> bits(KeyName name) const;
  /// Error: invalid_argument naming the key whose size is not that of the parameters or whose entries are not bits.
  Status check(const Params& params) const;
  SecretKeySet duplicate() const;
};

/// Uniform keys for all parts of the set, obeying its Hamming bound if it has one. Keys are drawn in the order of
/// KeyName, one random bit per key bit, least significant bit of each random byte first.
SecretKeySet generate_secret_keys(const Params& params, Rng& rng);

/// Assembles a set from bits, e.g. reconstructed ones, key after key in the order of KeyName; checks them.
Result<SecretKeySet> secret_keys_from_bits(const Params& params, std::span<const std::uint8_t> bits);

}  // namespace witan::tfhe
