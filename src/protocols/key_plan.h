// What a key generation consumes (threshold-tfhe.md 4.2, 4.3; mpc.md 13.2, 17.2), to the unit and in order, and what making and opening it
// costs (mpc.md 17.5, 17.6). Arithmetic alone: the same at every party.
//
// Order of consumption:
//   1. the bits of the new secret keys, key after key in the order of tfhe::KeyName                    one sharing each, GR(2^128,4)
//   2. component after component in generation order (tfhe-formats.md 10.3), in the ring of its words (split rings, rule R1)
//        noises, row after row                                                                        four packed by monomials
//        slices of products input key bit x output key bit, for bootstrap keys                        all inputs x at most 256 outputs
//   3. one random element of GR(2^128,4): the public seed
//
// Every secret key is shared in GR(2^128,4). Components of 64-bit words take its shares reduced to GR(2^64,4) first.
#pragma once

#include <vector>

#include "base/ids.h"
#include "mpc/opening_variant.h"
#include "mpc/product_slice.h"
#include "tfhe/keygen.h"

namespace witan::protocols {

/// Which secret keys a standard key generation makes (threshold-tfhe.md 4.3). All public components are made anew in any case.
enum class KeySource : std::uint8_t {
  all_new,
  existing,           // UseExisting
  existing_but_oprf,  // UseExisting of a key set that has no OPRF key
};
bool makes(KeySource source, tfhe::KeyName key);

enum class Ring : std::uint8_t { gr64, gr128 };
constexpr Ring ring_of(const tfhe::Component& component) {
  return component.word_bits == 64 ? Ring::gr64 : Ring::gr128;
}
/// Of an element of the ring, as stored and as sent.
constexpr std::size_t element_bytes(Ring ring) {
  return ring == Ring::gr64 ? 32 : 64;
}

/// Bits of a secret key that is made, each a sharing in GR(2^128,4).
struct KeyBits {
  tfhe::KeyName key;
  std::uint64_t count = 0;
  friend bool operator==(const KeyBits&, const KeyBits&) = default;
};

/// Products of all bits of the input key with the bits first_output .. first_output + outputs - 1 of the output key.
struct ProductSlicePlan {
  std::size_t inputs = 0;
  std::size_t first_output = 0, outputs = 0;  // outputs: a multiple of four

  std::uint64_t products() const { return std::uint64_t{inputs} * outputs; }
  friend bool operator==(const ProductSlicePlan&, const ProductSlicePlan&) = default;
};

struct ComponentPlan {
  tfhe::Component component;
  std::vector<ProductSlicePlan> slices;

  Ring ring() const { return ring_of(component); }
  std::uint64_t noises() const { return std::uint64_t{component.rows} * component.body_words(); }
  /// Random bits that the noises take.
  std::uint64_t noise_bits() const { return noises() * (component.noise.bound_log2 + 2); }
  std::uint64_t products() const;
  /// Packed elements of the noises, which are those of the bodies that are opened.
  std::uint64_t elements() const { return (noises() + 3) / 4; }
};

struct KeyPlan {
  tfhe::Params params;
  KeySource source = KeySource::all_new;
  std::vector<KeyBits> key_bits;
  std::vector<ComponentPlan> components;

  std::uint64_t total_key_bits() const;
  /// Random bits of that ring, for keys and noises together.
  std::uint64_t bits(Ring ring) const;
  std::uint64_t bits() const { return bits(Ring::gr64) + bits(Ring::gr128); }
  std::uint64_t noises(Ring ring) const;
  std::uint64_t products(Ring ring) const;
  /// Elements of the bodies.
  std::uint64_t elements(Ring ring) const;
  /// Elements of the differences eps and rho, four of them packed, each slice's on its own.
  std::uint64_t difference_elements(Ring ring) const;
};

/// Error: unimplemented for parameters with a Hamming bound, which take a number of tries that is not known beforehand.
Result<KeyPlan> plan_key_generation(const tfhe::Params& params, KeySource source);

/// How bodies are opened at degree t: every share to everybody, or in two phases with groups of n - 2t elements.
enum class BodyOpeningKind : std::uint8_t { direct, two_phase };

/// Bytes that one party sends, and rounds one after the other when nobody is faulty. Broadcasts of digests are not counted.
struct KeyGenerationCost {
  std::uint64_t bits_bytes = 0, products_bytes = 0;       // preprocessing
  std::uint64_t differences_bytes = 0, bodies_bytes = 0;  // online; the seed is among the differences
  std::uint64_t preprocessing_rounds = 0, online_rounds = 0;

  std::uint64_t bytes() const { return bits_bytes + products_bytes + differences_bytes + bodies_bytes; }
};
KeyGenerationCost cost_of(const KeyPlan& plan, CommitteeSize committee, mpc::OpeningVariant detected,
                          BodyOpeningKind bodies);

}  // namespace witan::protocols
