// Packed lists: packing key switch, bit packing at the storage modulus, extraction (tfhe-formats.md 8.3, 8.4).
#pragma once

#include "tfhe/decompose.h"
#include "tfhe/keys.h"
#include "tfhe/poly.h"

namespace witan::tfhe {

/// Values below 2^log_modulus as a little-endian bit stream of words.
template <Word W>
std::vector<W> pack_bits(std::span<const W> values, std::uint32_t log_modulus);
/// The first `count` values. Precondition (checked): the stream is long enough.
template <Word W>
std::vector<W> unpack_bits(std::span<const W> packed, std::uint32_t log_modulus, std::size_t count);

/// Switches every coefficient to 2^log_modulus (rounding; nothing for log_modulus = w) and keeps `bodies_count` bodies.
template <Word W>
PackedGlwe<W> pack_glwe(const Glwe<W>& glwe, std::size_t bodies_count, std::uint32_t log_modulus);
/// Values scaled back to the torus, missing bodies zero. Error: invalid_argument naming the field that disagrees.
template <Word W>
Result<Glwe<W>> unpack_glwe(const PackedGlwe<W>& packed);
/// Sizes of a packed GLWE agree with each other and are bounded (tfhe-formats.md 18.3).
template <Word W>
Status check(const PackedGlwe<W>& packed);

/// Ciphertext `index` of a list as an LWE of dimension k*N under the compression key.
/// Error: out_of_range beyond the last one; invalid_argument for inconsistent sizes.
template <Word W>
Result<Lwe<W>> list_element(const PackedList<W>& list, std::size_t index);
/// Ciphertexts first .. first + count - 1; each GLWE is unpacked once.
template <Word W>
Result<std::vector<Lwe<W>>> list_elements(const PackedList<W>& list, std::size_t first, std::size_t count);
/// What the first `count` ciphertexts need of each GLWE. Errors: those of list_element().
template <Word W>
Result<std::vector<PartialGlwe<W>>> list_prefix(const PackedList<W>& list, std::size_t count);
/// The ciphertexts of such GLWEs one by one.
template <Word W>
std::vector<Lwe<W>> extract_all(std::span<const PartialGlwe<W>> glwes);

/// The sum over words first .. first + count - 1 of the LWEs of digit polynomials times rows, subtracted from `out`, LWE number i at
/// X^i. An `out` that begins as the bodies alone is packed once all words were here, in any order.
template <Word W>
void pack_part(const SeededPackingKsk<W>& key, std::size_t first, std::size_t count,
               std::span<const Lwe<W>* const> lwes, Glwe<W>& out);

/// A packing key switching key as it is published: each use expands and transforms the rows anew, chunk by chunk, because an
/// expanded key is far larger and one use packs a whole GLWE.
template <Word W>
class PackingKey {
 public:
  PackingKey() = default;
  explicit PackingKey(SeededPackingKsk<W> seeded);

  std::size_t input_dimension() const { return input_dimension_; }
  std::size_t glwe_dimension() const { return seeded_.glwe_dimension; }
  std::size_t polynomial_size() const { return seeded_.polynomial_size; }
  /// At most N LWEs into one GLWE, number i at X^i: body - sum of digit polynomials * rows.
  Glwe<W> pack(std::span<const Lwe<W>* const> lwes) const;

 private:
  SeededPackingKsk<W> seeded_;
  std::size_t input_dimension_ = 0;
};

}  // namespace witan::tfhe
