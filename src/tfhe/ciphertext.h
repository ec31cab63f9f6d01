// Ciphertexts as flat vectors in the coefficient order of tfhe-formats.md 12, so that the byte formats move them as they
// are. Sizes are public; everything here is public data.
#pragma once

#include <span>
#include <string>
#include <variant>
#include <vector>

#include "tfhe/params.h"

namespace witan::tfhe {

/// n mask words, body last: body = <mask, s> + m + e.
template <Word W>
struct Lwe {
  std::vector<W> data;

  Lwe() = default;
  explicit Lwe(std::size_t dimension) : data(dimension + 1) {}
  std::size_t dimension() const { return data.empty() ? 0 : data.size() - 1; }
  std::span<const W> mask() const { return std::span(data).first(dimension()); }
  std::span<W> mask() { return std::span(data).first(dimension()); }
  const W& body() const { return data.back(); }
  W& body() { return data.back(); }
  friend bool operator==(const Lwe&, const Lwe&) = default;
};

/// k mask polynomials of N coefficients, then the body polynomial: B = sum A_p S_p + M + E mod X^N+1.
template <Word W>
struct Glwe {
  std::vector<W> data;
  std::size_t polynomial_size = 0;

  Glwe() = default;
  Glwe(std::size_t glwe_dimension, std::size_t polynomial_size_)
      : data((glwe_dimension + 1) * polynomial_size_), polynomial_size(polynomial_size_) {}
  std::size_t glwe_dimension() const { return polynomial_size ? data.size() / polynomial_size - 1 : 0; }
  std::span<const W> polynomial(std::size_t p) const {
    return std::span(data).subspan(p * polynomial_size, polynomial_size);
  }
  std::span<W> polynomial(std::size_t p) { return std::span(data).subspan(p * polynomial_size, polynomial_size); }
  std::span<const W> mask() const { return std::span(data).first(data.size() - polynomial_size); }
  std::span<const W> body() const { return std::span(data).last(polynomial_size); }
  std::span<W> body() { return std::span(data).last(polynomial_size); }
  friend bool operator==(const Glwe&, const Glwe&) = default;
};

/// A GLWE of which the first coefficients alone are wanted, as it lies in a packed list: k mask polynomials, then the bodies of the
/// ciphertexts 0, 1, ..., which share that mask.
template <Word W>
struct PartialGlwe {
  std::vector<W> data;
  std::size_t glwe_dimension = 0, polynomial_size = 0;

  std::span<const W> mask() const { return std::span(data).first(glwe_dimension * polynomial_size); }
  std::span<const W> bodies() const { return std::span(data).subspan(glwe_dimension * polynomial_size); }
  friend bool operator==(const PartialGlwe&, const PartialGlwe&) = default;
};

/// One shortint block: a digit of a FheUint or a FheBool. Delta of its space; degree is the largest value that it may
/// hold, noise_level counts nominal noises. Both are informative where they come from outside.
struct Block {
  Lwe<u64> lwe;
  u64 degree = 0;
  u64 noise_level = 0;
  PlaintextSpace space;
  PbsOrder order = PbsOrder::keyswitch_bootstrap;
  friend bool operator==(const Block&, const Block&) = default;
};

/// One squashed ciphertext: a pair low + 4 * high of blocks (or a single odd one) at Delta = 2^123.
struct SquashedBlock {
  Lwe<u128> lwe;
  u64 degree = 0;
  PlaintextSpace space;
  friend bool operator==(const SquashedBlock&, const SquashedBlock&) = default;
};

/// A GLWE whose coefficients were switched to 2^log_modulus and packed into a little-endian bit stream (PackedIntegers
/// of tfhe-formats.md 8.3): k*N mask values, then bodies_count body values.
template <Word W>
struct PackedGlwe {
  std::vector<W> packed_coefficients;  // ceil(initial_len * log_modulus / w) words
  std::uint32_t log_modulus = 0;
  std::size_t initial_len = 0;  // k * N + bodies_count
  std::size_t glwe_dimension = 0, polynomial_size = 0;
  std::size_t bodies_count = 0;
  friend bool operator==(const PackedGlwe&, const PackedGlwe&) = default;
};

/// Ciphertext i is coefficient i mod lwe_per_glwe of GLWE i / lwe_per_glwe.
template <Word W>
struct PackedList {
  std::vector<PackedGlwe<W>> glwes;
  std::size_t lwe_per_glwe = 0;
  PlaintextSpace space;
  std::size_t size() const;
  friend bool operator==(const PackedList&, const PackedList&) = default;
};

/// What a value of a list is (DataKind of tfhe-formats.md 4). Counts are blocks of 2 bits, never 0.
struct UnsignedKind {
  std::size_t blocks = 0;
  friend bool operator==(const UnsignedKind&, const UnsignedKind&) = default;
};
struct SignedKind {
  std::size_t blocks = 0;
  friend bool operator==(const SignedKind&, const SignedKind&) = default;
};
struct BooleanKind {
  friend bool operator==(const BooleanKind&, const BooleanKind&) = default;
};
struct StringKind {
  std::uint32_t char_count = 0;
  bool padded = false;
  friend bool operator==(const StringKind&, const StringKind&) = default;
};
using DataKind = std::variant<UnsignedKind, SignedKind, BooleanKind, StringKind>;
/// Blocks of a value: a boolean takes one, a character four.
std::size_t block_count(const DataKind& kind);
/// "Unsigned of 32 blocks", "Boolean", ... for messages.
std::string describe(const DataKind& kind);

/// A client's compact list (tfhe-formats.md 7): ceil(count/n) masks of n words, then `count` bodies. Ciphertext i uses
/// mask i/n times X^(i mod n) in Z[X]/(X^n+1). Degree 15 says packed: two blocks per ciphertext, low one in the low bits.
struct CompactList {
  std::vector<u64> data;
  std::size_t lwe_dimension = 0;  // n
  std::size_t ciphertext_count = 0;
  u64 degree = 0;
  PlaintextSpace space;
  ExpansionKind expansion;
  std::vector<DataKind> kinds;  // values in order, least significant block first

  bool is_packed() const { return degree > space.message_modulus - 1; }
  std::size_t total_blocks() const;
  friend bool operator==(const CompactList&, const CompactList&) = default;
};

}  // namespace witan::tfhe
