// The way of a block through everything that a coprocessor and a node do to it (docs/architecture.md), each step measured
// with the dealer's secrets against the formulas of docs/noise.md.
#pragma once

#include <array>
#include <string>

#include "noise_formulas.h"
#include "statistics.h"
#include "tfhe/keys.h"
#include "tfhe/tfhe_testing.h"

namespace witan::tfhe::noise {

/// What is measured. "Added": the error after a step minus that before it.
enum class Step : std::uint8_t {
  cast,               // casting key switch, added
  switch_pbs,         // modulus switch to 2N, added
  bootstrap,          // all coefficients of the accumulator
  pair_keyswitch,     // key switch of pairs and of single blocks, added
  switch_sns,         // modulus switch before SnS, added
  sns_input,          // total error of a pair where SnS decides
  squash,             // all coefficients of the accumulator
  sns_packing,        // packing key switch, added; all coefficients
  packing,            // 64-bit packing key switch, added; all coefficients
  storage,            // rounding to the storage modulus, added
  switch_decompress,  // modulus switch of stored ciphertexts, added
  decompress,         // all coefficients of the accumulator
};
inline constexpr std::size_t kSteps = 12;
const char* to_string(Step step);

struct Measurements {
  std::array<Measured, kSteps> steps;
  /// Blocks that decoded to another value than they should, at any of the decoding points.
  std::size_t wrong_values = 0;
  /// With Run::compare: ciphertexts that differ from those of tfhe/evaluate.h.
  std::size_t other_ciphertexts = 0;
  Measured& at(Step step) { return steps[static_cast<std::size_t>(step)]; }
  const Measured& at(Step step) const { return steps[static_cast<std::size_t>(step)]; }
  void merge(const Measurements& other);
};

struct Run {
  std::size_t blocks = 0;              // that go through all steps
  std::size_t extracts_per_block = 4;  // coefficients of an accumulator that become inputs of key switch and packing
  std::string label;                   // of the randomness
  bool compare = false;                // with the functions of tfhe/evaluate.h; only with one extract per block
};

/// Runs blocks through all steps on all cores; errors are divided by what the formulas predict for `predicted`, which are
/// the parameters of the keys unless a test wants a mismatch.
Measurements measure(const test::World& world, const Params& predicted, const Run& run);

/// Fresh ciphertexts of compact lists, under as many public keys; one list of two full masks for each. Half of the noise is
/// that of the public key, whose low frequencies a binary r does not average out: one key is far from the mean.
Measured measure_fresh(const Params& params, const Params& predicted, std::size_t public_keys, std::string_view label);

/// Keys and key set; the noise of every row is `noise_factor` times an honest one.
test::World make_keys(const Params& params, std::string_view label, double noise_factor = 1);

}  // namespace witan::tfhe::noise
