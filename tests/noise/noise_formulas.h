// The formulas of docs/noise.md as code. All variances are of the integer error of a torus word (of 64 or 128 bits), not of
// the torus. A linear step adds what its key brings (noise of the key's rows times digits) and what decomposition or
// rounding drops; both parts are kept apart.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tfhe/params.h"
#include "tfhe/secret_key.h"

namespace witan::tfhe::noise {

/// Ones of the secret keys, which the formulas count. `..._tail`: without the key's first bit, whose multiplexer meets an
/// accumulator without masks.
struct KeyWeights {
  double encryption = 0, compute = 0, compute_tail = 0, glwe = 0, compression = 0, compression_tail = 0, sns = 0;
  /// Half of all bits.
  static KeyWeights expected(const Params& params);
  static KeyWeights of(const SecretKeySet& keys);
};

/// What a step adds: independent parts.
struct Added {
  double key = 0, rounding = 0;
  double variance() const { return key + rounding; }
};

/// (2^(2b+1) + 1) / 6.
double tuniform_variance(TUniform noise);
/// E[e^4] / E[e^2]^2 of TUniform(b): near 1.8, 2 for b = 0.
double tuniform_kurtosis(TUniform noise);
/// Mean square of a balanced digit of a uniform word: (2^(2 base_log) + 2) / 12.
double digit_variance(std::uint32_t base_log);
/// Of the part of a uniform word that the digits do not represent.
double dropped_variance(int word_bits, const Decomposition& decomposition);

/// A ciphertext of a client's compact list: r e - <e1, s> + e2.
Added compact_encryption(const CompactKeyParams& params, double weight);
/// Key switch of an LWE of `dimension` bits, of which `weight` are ones.
Added keyswitch(std::size_t dimension, double weight, const Decomposition& decomposition, TUniform noise);
/// Packing key switch, at a coefficient that carries a ciphertext; others get the key's part only. `lwes`: how many
/// ciphertexts the GLWE packs.
Added packing(std::size_t dimension, double weight, const Decomposition& decomposition, TUniform noise,
              std::size_t lwes, int word_bits);

/// A blind rotation over a GLWE of glwe_dimension polynomials, whose key has `glwe_weight` ones.
struct BlindRotation {
  std::size_t input_dimension = 0;
  double tail_weight = 0;
  std::size_t glwe_dimension = 0, polynomial_size = 0;
  double glwe_weight = 0;
  Decomposition decomposition;
  TUniform noise;
  int word_bits = 64;
};
BlindRotation bootstrap_of(const Params& params, const KeyWeights& weights);
BlindRotation decompression_of(const Params& params, const KeyWeights& weights);
BlindRotation squash_of(const Params& params, const KeyWeights& weights);
/// Mean square, in units of Delta^2, of a coefficient of (X^a - 1) X^-b T for random a, b and the table T of these outputs.
double table_square(const std::vector<u64>& outputs, const PlaintextSpace& space);
Added blind_rotation(const BlindRotation& shape, double table_square_, const PlaintextSpace& space);

/// Of switching an LWE of `dimension` bits, `weight` of them ones, to 2^log_modulus; from words that are multiples of
/// 2^(64 - stored_log_modulus) (64: any words). Drift: without the choice among zeros, which can only lower it.
double modulus_switch(const ModulusSwitch& technique, std::size_t dimension, double weight, int log_modulus,
                      int stored_log_modulus = 64);
/// Its mean; 0 but for words of a coarse grid, whose ties all go up, and for the half step of the centred technique.
double modulus_switch_mean(const ModulusSwitch& technique, double weight, int log_modulus, int stored_log_modulus = 64);
/// Rounding of mask and body to the storage modulus.
double storage(double weight, int word_bits, std::uint32_t log_modulus);

/// Of one mask: 2 C(n,t) draws, uniform on 2^111 integers.
double mask_variance(std::size_t sets);

/// log2 P(|N(0,1)| >= z), also where the probability is far below the smallest double.
double log2_two_sided_tail(double z);

/// One line of the table of docs/noise.md.
struct BudgetLine {
  std::string step;
  double added = 0;     // variance
  double total = 0;     // variance of the ciphertext after it
  double half_box = 0;  // where the step decides on a value: the error that it survives; else 0
};
std::vector<BudgetLine> budget(const Params& params);
/// Markdown, with log2 of standard deviations and of failure probabilities.
std::string budget_table(const Params& params);
/// The final decoding with the masks of committees.
std::string decoding_table();

}  // namespace witan::tfhe::noise
