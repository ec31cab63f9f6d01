// Key generation by the formulas of threshold-tfhe.md 4.5, in the component order and at the stream positions of
// tfhe-formats.md 10.3. A component is a list of rows; any range of rows can be computed on its own, so that generation
// streams in chunks. The row formulas are linear in the key they encrypt under: a dealer applies them to key bits, a
// distributed key generation to coefficient planes of shares.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "tfhe/keys.h"
#include "tfhe/noise.h"
#include "tfhe/poly.h"
#include "tfhe/secret_key.h"

namespace witan::tfhe {

enum class ComponentKind : std::uint8_t {
  public_key,
  compression_packing,
  decompression_bsk,
  ksk,
  bsk,
  drift_zeros,
  sns_bsk,
  sns_drift_zeros,
  cast_ksk,
  rerandomization_key,  // derived public key
  rerandomization_ksk,  // legacy
  sns_compression_packing,
  oprf_bsk,
};
const char* to_string(ComponentKind kind);

/// What a row of a component is.
enum class RowShape : std::uint8_t {
  compact_key,  // b = a * rev(z) + e, one row of dimension N
  lwe,          // b = <a, z> + e + m
  glwe,         // b = sum a_p * z_p + e + m X^0
  ggsw,         // as glwe; rows 0..k-1 of a level carry m * z_row(X) with m = -s_i * scale, row k carries s_i * scale
};

struct Component {
  ComponentKind kind;
  RowShape shape;
  KeyName under;                 // z
  std::optional<KeyName> input;  // in; absent for public keys and encryptions of zero
  int word_bits = 64;
  std::size_t rows = 0;
  std::size_t glwe_dimension = 1;   // k; 1 for compact keys and LWE rows
  std::size_t polynomial_size = 0;  // N; for LWE rows the dimension of the mask
  Decomposition decomposition;      // of key switching and bootstrap keys
  TUniform noise;
  u128 stream_offset_bytes = 0;

  std::size_t mask_words() const { return glwe_dimension * polynomial_size; }  // per row
  std::size_t body_words() const { return shape == RowShape::lwe ? 1 : polynomial_size; }
  u128 mask_bytes() const { return u128{rows} * mask_words() * static_cast<unsigned>(word_bits / 8); }
  u128 body_bytes() const { return u128{rows} * body_words() * static_cast<unsigned>(word_bits / 8); }
  /// Shared products input bit x output key bit that a distributed generation needs.
  std::uint64_t products() const;
};

/// The components of a parameter set in generation order, with their positions in the stream.
std::vector<Component> key_components(const Params& params);
/// Position after the last component.
u128 mask_stream_bytes(const std::vector<Component>& components);

/// What row `row` encrypts besides zero: sign * input key coefficient * 2^scale_log2, times key polynomial
/// `key_polynomial` if given (GGSW rows r < k), at X^0 otherwise. Empty for public keys and encryptions of zero.
struct RowMessage {
  std::size_t input_coefficient = 0;
  int scale_log2 = 0;
  std::optional<std::size_t> key_polynomial;  // then the sign is -1
};
std::optional<RowMessage> row_message(const Component& component, std::size_t row);

/// The key under which the rows of a component are encrypted, prepared once for all of them. W has word_bits bits.
template <Word W>
class KeyFactor {
 public:
  /// Key bits: the whole flattened key. Constant time in them.
  KeyFactor(const Component& component, std::span<const std::uint8_t> key_bits);
  /// One coefficient plane of a shared key.
  KeyFactor(const Component& component, std::span<const W> key_plane);

  /// body += (mask of a row) * key; mask has mask_words(), body body_words() entries.
  void multiply_add(std::span<W> body, std::span<const W> mask) const;

 private:
  Component component_;
  std::optional<SecretFactor<W>> factor_;   // rows of polynomials
  Secret<std::vector<std::uint8_t>> bits_;  // LWE rows
  Secret<std::vector<W>> words_;            // ... of a plane
};

/// Bodies of rows first_row .. first_row + row_count - 1 from a full set of secret keys, `factor` being the one that the
/// component is under; noise is consumed in row order.
/// `mask` reads the component's own masks (its origin is the component's stream position).
template <Word W>
void generate_bodies(const Component& component, const SecretKeySet& keys, const KeyFactor<W>& factor,
                     const MaskReader& mask, NoiseSource& noise, std::size_t first_row, std::size_t row_count,
                     std::span<W> bodies);

struct KeySetOptions {
  Bytes tag;                                      // 32 raw bytes of the key id in production
  u64 max_degree = 12;                            // what tfhe-rs writes and expects (threshold-tfhe.md 5)
  std::function<void(double fraction)> progress;  // called with 0..1 after every chunk of rows
};

/// Everything that is published for a key set. `public_seed` is the seed of threshold-tfhe.md 3.1.
CompressedKeySet generate_key_set(const Params& params, const SecretKeySet& keys, u128 public_seed, NoiseSource& noise,
                                  const KeySetOptions& options);

/// A key set without bodies, every other field filled in: a generation puts bodies into component_bodies() of it.
CompressedKeySet empty_key_set(const Params& params, u128 public_seed, const KeySetOptions& options);
/// The vector that holds a component's bodies; W must match word_bits. Precondition (checked): the part exists.
template <Word W>
std::vector<W>& component_bodies(CompressedKeySet& set, ComponentKind kind);
template <Word W>
const std::vector<W>& component_bodies(const CompressedKeySet& set, ComponentKind kind);

}  // namespace witan::tfhe
