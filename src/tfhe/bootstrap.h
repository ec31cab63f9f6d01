// Key switching and blind rotation, for 64-bit bootstraps and for the 128-bit Switch-and-Squash alike. Exact integer
// arithmetic: equal inputs give equal bytes on every machine (threshold-tfhe.md 6.4).
#pragma once

#include <functional>

#include "tfhe/decompose.h"
#include "tfhe/modulus_switch.h"
#include "tfhe/poly.h"

namespace witan::tfhe {

/// LWE under the input key to LWE under the output key: (0, b) - sum of digits * rows.
Lwe<u64> keyswitch(const Ksk& key, const Lwe<u64>& lwe);
/// What the mask words first .. first + part.input_dimension() - 1 contribute to the sum, subtracted from out[i] for each lwes[i];
/// `part` is that part of a key. An `out` that begins as (0, b) is switched once all parts were here, in any order.
void keyswitch_part(const Ksk& part, std::size_t first, std::span<const Lwe<u64>> lwes, std::span<Lwe<u64>> out);

/// What a bootstrap key has when it was made: all its rows, or those that expand_rows() gives it before it is used. The first takes
/// seconds for a key of production parameters.
enum class Rows : std::uint8_t { expanded, none };

/// A bootstrap key prepared for blind rotations.
template <Word W>
class BlindRotationKey {
 public:
  BlindRotationKey() = default;
  /// Expands row by row; the expanded key is never held beside the prepared one.
  explicit BlindRotationKey(const SeededBsk<W>& seeded) : BlindRotationKey(seeded, Rows::expanded) {}
  BlindRotationKey(const SeededBsk<W>& seeded, Rows which);
  explicit BlindRotationKey(const Bsk<W>& bsk);
  /// Key bits first_bit .. first_bit + bit_count - 1 of a key, alone: for rotate_part().
  BlindRotationKey(const SeededBsk<W>& seeded, std::size_t first_bit, std::size_t bit_count);

  /// Of the same seeded key; rows() of them, each once, in any order, from any thread.
  void expand_rows(const SeededBsk<W>& seeded, std::size_t first_row, std::size_t count);
  std::size_t rows() const { return matrix_.rows(); }

  std::size_t input_dimension() const { return input_dimension_; }
  std::size_t glwe_dimension() const { return glwe_dimension_; }
  std::size_t polynomial_size() const { return matrix_.polynomial_size(); }
  Decomposition decomposition() const { return decomposition_; }
  /// log2 of 2N: what inputs are switched to.
  int log_modulus() const;

  struct ExternalProduct {
    const Glwe<W>* difference = nullptr;
    Glwe<W>* accumulator = nullptr;
  };
  /// accumulator += GGSW(bit `index`) external product with `difference`, for each; the key is read once for all.
  void external_products_add(std::size_t index, std::span<const ExternalProduct> products) const;
  void external_product_add(std::size_t index, const Glwe<W>& difference, Glwe<W>& accumulator) const {
    const ExternalProduct one{&difference, &accumulator};
    external_products_add(index, std::span(&one, 1));
  }

 private:
  void expand_rows(const SeededBsk<W>& seeded, std::size_t first_row, std::size_t count, std::size_t first_place);

  PolyMatrix<W> matrix_;
  Decomposition decomposition_;
  std::size_t input_dimension_ = 0, glwe_dimension_ = 0;
};

/// accumulator * X^(-phase): starts with X^-body, then one CMUX per mask word. The lookup table is the accumulator.
template <Word W>
void blind_rotate(const BlindRotationKey<W>& key, const SwitchedLwe& lwe, Glwe<W>& accumulator);
/// The same for several at once, in step: a key that is larger than the caches is read once for all. accumulators[i] belongs to
/// lwes[i].
template <Word W>
void blind_rotate(const BlindRotationKey<W>& key, std::span<const SwitchedLwe> lwes, std::span<Glwe<W>> accumulators);

/// A blind rotation in parts, of which each needs a part of the key alone: accumulators start as the table times X^-body, then come
/// the CMUXes of the mask words first_bit .. first_bit + part.input_dimension() - 1, part after part in order.
template <Word W>
void begin_rotation(std::span<const SwitchedLwe> lwes, std::span<Glwe<W>> accumulators);
template <Word W>
void rotate_part(const BlindRotationKey<W>& part, std::size_t first_bit, std::span<const SwitchedLwe> lwes,
                 std::span<Glwe<W>> accumulators);

/// Coefficient h as an LWE under the flattened GLWE key (tfhe-formats.md 12).
template <Word W>
Lwe<W> sample_extract(const Glwe<W>& glwe, std::size_t coefficient);

/// Trivial GLWE holding a table for inputs 0 .. input_size - 1 below a padding bit: boxes of N / input_size coefficients
/// with output(i) as a torus word, rotated by half a box with negation. input_size divides N.
template <Word W>
Glwe<W> lookup_table(std::size_t glwe_dimension, std::size_t polynomial_size, u64 input_size,
                     const std::function<W(u64)>& output);

/// Modulus switch, blind rotation, extraction of coefficient 0.
template <Word W>
Lwe<W> bootstrap(const BlindRotationKey<W>& key, const ModulusSwitchKey& modulus_switch_key, const Lwe<u64>& lwe,
                 const Glwe<W>& table);
/// Of several over the same table, in one pass over the key.
template <Word W>
std::vector<Lwe<W>> bootstrap(const BlindRotationKey<W>& key, const ModulusSwitchKey& modulus_switch_key,
                              std::span<const Lwe<u64>> lwes, const Glwe<W>& table);

}  // namespace witan::tfhe
