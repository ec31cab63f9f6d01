#include "noise_formulas.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numbers>
#include <numeric>
#include <stdexcept>

#include "mpc/prss.h"

namespace witan::tfhe::noise {
namespace {

double power_of_two(double exponent) {
  return std::exp2(exponent);
}

double half(std::size_t bits) {
  return static_cast<double>(bits) / 2;
}

double ones(std::span<const std::uint8_t> bits) {
  return static_cast<double>(std::accumulate(bits.begin(), bits.end(), std::size_t{0}));
}

/// Of the integers 0 .. 2^bits - 1.
double uniform_variance(double bits) {
  return (power_of_two(2 * bits) - 1) / 12;
}

std::vector<u64> identity_table(u64 size) {
  std::vector<u64> out(size);
  std::iota(out.begin(), out.end(), u64{0});
  return out;
}

std::vector<u64> message_table(const PlaintextSpace& space) {
  std::vector<u64> out = identity_table(space.size());
  for (u64& value : out) value %= space.message_modulus;
  return out;
}

int log2_of_two_n(std::size_t polynomial_size) {
  return std::countr_zero(2 * polynomial_size);
}

}  // namespace

KeyWeights KeyWeights::expected(const Params& params) {
  const auto bits = [&](KeyName name) { return half(key_bits(params, name)); };
  return {.encryption = bits(KeyName::lwe_encryption),
          .compute = bits(KeyName::lwe_compute),
          .compute_tail = bits(KeyName::lwe_compute) - 0.5,
          .glwe = bits(KeyName::glwe),
          .compression = bits(KeyName::compression),
          .compression_tail = bits(KeyName::compression) - 0.5,
          .sns = bits(KeyName::sns)};
}

KeyWeights KeyWeights::of(const SecretKeySet& keys) {
  const auto all = [&](KeyName name) { return ones(keys.bits(name)); };
  const auto tail = [&](KeyName name) { return ones(keys.bits(name).subspan(1)); };
  return {.encryption = all(KeyName::lwe_encryption),
          .compute = all(KeyName::lwe_compute),
          .compute_tail = tail(KeyName::lwe_compute),
          .glwe = all(KeyName::glwe),
          .compression = all(KeyName::compression),
          .compression_tail = tail(KeyName::compression),
          .sns = all(KeyName::sns)};
}

double tuniform_variance(TUniform noise) {
  return (power_of_two(2.0 * noise.bound_log2 + 1) + 1) / 6;
}

double tuniform_kurtosis(TUniform noise) {
  // With B = 2^b: E[e^4] = (sum over |e| < B of e^4 + B^4) / (2 B) = B^4 / 5 + B^2 / 3 - 1 / 30.
  const double b2 = power_of_two(2.0 * noise.bound_log2);
  const double variance = tuniform_variance(noise);
  return (b2 * b2 / 5 + b2 / 3 - 1.0 / 30) / (variance * variance);
}

double digit_variance(std::uint32_t base_log) {
  return (power_of_two(2.0 * base_log) + 2) / 12;
}

double dropped_variance(int word_bits, const Decomposition& d) {
  return uniform_variance(word_bits - static_cast<double>(d.base_log * d.level_count));
}

Added compact_encryption(const CompactKeyParams& params, double weight) {
  return {.key = tuniform_variance(params.noise) * (half(params.lwe_dimension) + weight + 1), .rounding = 0};
}

Added keyswitch(std::size_t dimension, double weight, const Decomposition& d, TUniform noise) {
  return packing(dimension, weight, d, noise, 1, 64);
}

Added packing(std::size_t dimension, double weight, const Decomposition& d, TUniform noise, std::size_t lwes,
              int word_bits) {
  const auto digits = static_cast<double>(dimension * d.level_count * lwes);
  return {.key = digits * digit_variance(d.base_log) * tuniform_variance(noise),
          .rounding = weight * dropped_variance(word_bits, d)};
}

BlindRotation bootstrap_of(const Params& params, const KeyWeights& weights) {
  const ComputeParams& c = params.compute;
  return {.input_dimension = c.lwe_dimension,
          .tail_weight = weights.compute_tail,
          .glwe_dimension = c.glwe_dimension,
          .polynomial_size = c.polynomial_size,
          .glwe_weight = weights.glwe,
          .decomposition = c.pbs,
          .noise = c.glwe_noise,
          .word_bits = 64};
}

BlindRotation decompression_of(const Params& params, const KeyWeights& weights) {
  BlindRotation out = bootstrap_of(params, weights);
  out.input_dimension = params.compression.value().dimension();
  out.tail_weight = weights.compression_tail;
  out.decomposition = params.compression->blind_rotation;
  return out;
}

BlindRotation squash_of(const Params& params, const KeyWeights& weights) {
  const SnsParams& s = params.sns.value();
  return {.input_dimension = params.compute.lwe_dimension,
          .tail_weight = weights.compute_tail,
          .glwe_dimension = s.glwe_dimension,
          .polynomial_size = s.polynomial_size,
          .glwe_weight = weights.sns,
          .decomposition = s.decomposition,
          .noise = s.noise,
          .word_bits = 128};
}

double table_square(const std::vector<u64>& outputs, const PlaintextSpace& space) {
  // A coefficient of X^-b T is f(x) or -f(x), each with probability one half; another one of X^(a-b) T is independent of it.
  const auto range = static_cast<std::int64_t>(2 * space.size());
  std::vector<std::int64_t> values;
  for (const u64 f : outputs)
    for (const std::int64_t sign : {1, -1}) values.push_back(sign * static_cast<std::int64_t>(f));
  double sum = 0;
  for (const std::int64_t u : values) {
    for (const std::int64_t v : values) {
      const std::int64_t difference = ((u - v + range / 2) % range + range) % range - range / 2;
      sum += static_cast<double>(difference * difference);
    }
  }
  return sum / static_cast<double>(values.size() * values.size());
}

Added blind_rotation(const BlindRotation& shape, double square, const PlaintextSpace& space) {
  const auto n = static_cast<double>(shape.polynomial_size), k = static_cast<double>(shape.glwe_dimension);
  const double levels = shape.decomposition.level_count, tail = static_cast<double>(shape.input_dimension - 1);
  const double digit = digit_variance(shape.decomposition.base_log);
  // Delta is 2^(base - 1) / size units of the first digit.
  const double delta = power_of_two(shape.decomposition.base_log - 1.0) / static_cast<double>(space.size());
  const double first = n * square * delta * delta;
  return {
      .key = (tail * (k + 1) * levels * n * digit + first) * tuniform_variance(shape.noise),
      .rounding = shape.tail_weight * (1 + shape.glwe_weight) * dropped_variance(shape.word_bits, shape.decomposition)};
}

double modulus_switch(const ModulusSwitch& technique, std::size_t dimension, double weight, int log_modulus,
                      int stored_log_modulus) {
  const bool centred = std::holds_alternative<CenteredMeanSwitch>(technique);
  const double unit = power_of_two(2.0 * (64 - stored_log_modulus));
  const double error = unit * uniform_variance(std::max(stored_log_modulus - log_modulus, 0));
  // Centred: every error counts times s - 1/2, which is one half in size for both values of the bit.
  return error * (1 + (centred ? static_cast<double>(dimension) / 4 : weight));
}

double modulus_switch_mean(const ModulusSwitch& technique, double weight, int log_modulus, int stored_log_modulus) {
  if (stored_log_modulus <= log_modulus) return 0;
  if (std::holds_alternative<CenteredMeanSwitch>(technique)) return -power_of_two(63 - log_modulus);
  return power_of_two(63 - stored_log_modulus) * (1 - weight);
}

double storage(double weight, int word_bits, std::uint32_t log_modulus) {
  const double dropped = word_bits - static_cast<double>(log_modulus);
  return dropped <= 0 ? 0 : (1 + weight) * uniform_variance(dropped);
}

double mask_variance(std::size_t sets) {
  return 2 * static_cast<double>(sets) * uniform_variance(mpc::kMaskBoundLog2 + 1);
}

double log2_two_sided_tail(double z) {
  if (z < 30) return std::log2(std::erfc(z / std::numbers::sqrt2));
  // erfc(x) = exp(-x^2) / (x sqrt(pi)) (1 - 1 / (2 x^2) + ...), x^2 = z^2 / 2.
  return (-z * z / 2 + std::log1p(-1 / (z * z))) * std::numbers::log2e - std::log2(z) -
         std::log2(std::numbers::pi / 2) / 2;
}

namespace {

/// Where the input of a table of `inputs` values fails: half a box, less the half step that rounding takes on one side
/// unless the technique is centred, less the mean of the error.
double half_box(const ModulusSwitch& technique, double weight, u64 inputs, int log_modulus, int stored = 64) {
  const double box = power_of_two(62) / static_cast<double>(inputs);
  if (std::holds_alternative<CenteredMeanSwitch>(technique)) return box;
  return box - power_of_two(63 - log_modulus) - std::abs(modulus_switch_mean(technique, weight, log_modulus, stored));
}

}  // namespace

std::vector<BudgetLine> budget(const Params& params) {
  if (!params.pke || !params.compression || !params.sns || !params.sns_compression)
    throw std::runtime_error("a budget needs a set with all parts");
  const KeyWeights weights = KeyWeights::expected(params);
  const ComputeParams& c = params.compute;
  const PlaintextSpace& space = c.space;
  const std::size_t l = c.lwe_dimension;
  const int log_pbs = log2_of_two_n(c.polynomial_size), log_sns = log2_of_two_n(params.sns->polynomial_size);
  std::vector<BudgetLine> out;
  const auto line = [&](const char* step, double added, double total, double box = 0) {
    out.push_back({step, added, total, box});
    return total;
  };

  const double fresh = compact_encryption(*params.pke, weights.encryption).variance();
  line("fresh ciphertext of a list", fresh, fresh);
  const double cast =
      keyswitch(params.pke->lwe_dimension, weights.encryption, params.cast->decomposition, c.lwe_noise).variance();
  line("casting key switch", cast, fresh + cast);
  const double to_pbs = modulus_switch(c.modulus_switch, l, weights.compute, log_pbs);
  line("modulus switch to 2N, unpacking bootstrap decides", to_pbs, fresh + cast + to_pbs,
       half_box(c.modulus_switch, weights.compute, space.size(), log_pbs));
  const double block =
      blind_rotation(bootstrap_of(params, weights), table_square(message_table(space), space), space).variance();
  line("bootstrap: a block", block, block);

  const double ks = keyswitch(c.big_dimension(), weights.glwe, c.keyswitch, c.lwe_noise).variance();
  const auto level = static_cast<double>(c.max_noise_level);
  line("key switch of a block of noise level 5", ks, level * level * block + ks);
  line("modulus switch to 2N, bootstrap decides", to_pbs, level * level * block + ks + to_pbs,
       half_box(c.modulus_switch, weights.compute, space.size(), log_pbs));

  const auto modulus = static_cast<double>(space.message_modulus);
  const double pair = (1 + modulus * modulus) * block;
  line("pair low + 4 high", modulus * modulus * block, pair);
  line("key switch of a pair", ks, pair + ks);
  const double to_sns = modulus_switch(params.sns->modulus_switch, l, weights.compute, log_sns);
  line("modulus switch to 2N of SnS, SnS decides", to_sns, pair + ks + to_sns,
       half_box(params.sns->modulus_switch, weights.compute, space.size(), log_sns));
  const double squashed =
      blind_rotation(squash_of(params, weights), table_square(identity_table(space.size()), space), space).variance();
  const double half_delta = power_of_two(122);
  line("Switch-and-Squash (mod 2^128), decoded without a mask", squashed, squashed, half_delta);
  const SnsCompressionParams& sc = *params.sns_compression;
  const double packed =
      packing(params.sns->dimension(), weights.sns, sc.packing, sc.noise, sc.lwe_per_glwe, 128).variance();
  line("packing key switch of a full SnS list, decoded without a mask", packed, squashed + packed, half_delta);

  const CompressionParams& cc = *params.compression;
  const double scaled = modulus * modulus * block;
  line("block times 4, to be compressed", scaled, scaled);
  const double packed_64 =
      packing(c.big_dimension(), weights.glwe, cc.packing, cc.noise, cc.lwe_per_glwe, 64).variance();
  line("packing key switch of a full list", packed_64, scaled + packed_64);
  const double stored = storage(weights.compression, 64, cc.storage_log_modulus);
  line("rounding to the storage modulus", stored, scaled + packed_64 + stored);
  const int stored_log = static_cast<int>(cc.storage_log_modulus);
  const double to_decompress =
      modulus_switch(StandardSwitch{}, cc.dimension(), weights.compression, log_pbs, stored_log);
  line("modulus switch to 2N, decompression decides", to_decompress, scaled + packed_64 + stored + to_decompress,
       half_box(StandardSwitch{}, weights.compression, space.size() / space.message_modulus, log_pbs, stored_log));
  const double decompressed =
      blind_rotation(decompression_of(params, weights),
                     table_square(identity_table(space.size() / space.message_modulus), space), space)
          .variance();
  line("decompression bootstrap: a block", decompressed, decompressed);
  return out;
}

namespace {

std::string log2_sigma(double variance) {
  return variance == 0 ? "-" : fmt::format("{:.2f}", std::log2(variance) / 2);
}

/// Up to nine digits as they are, else as a power of ten.
std::string log2_probability(double value) {
  if (value > -1e6) return fmt::format("{:.1f}", value);
  return fmt::format("-10^{:.1f}", std::log10(-value));
}

}  // namespace

std::string budget_table(const Params& params) {
  std::string out =
      "| step | log2 sigma added | log2 sigma after | half box, log2 | log2 of failure |\n|---|---|---|---|---|\n";
  for (const BudgetLine& line : budget(params)) {
    const bool decides = line.half_box > 0;
    out += fmt::format("| {} | {} | {} | {} | {} |\n", line.step, log2_sigma(line.added), log2_sigma(line.total),
                       decides ? fmt::format("{:.2f}", std::log2(line.half_box)) : "",
                       decides ? log2_probability(log2_two_sided_tail(line.half_box / std::sqrt(line.total))) : "");
  }
  return out;
}

std::string decoding_table() {
  std::string out =
      "| parameters, format | n, t | log2 sigma of e | log2 sigma of mask | log2 largest mask | left for e, log2 | "
      "log2 of failure | "
      "log2 P(\\|e\\| > 2^70) |\n|---|---|---|---|---|---|---|---|\n";
  for (const char* name : {"default", "test", "witan_toy_b"}) {
    const auto lines = budget(params_by_name(name).value());
    for (const auto& [format, step] :
         {std::pair{"BigExpanded", "Switch-and-Squash (mod 2^128), decoded without a mask"},
          std::pair{"BigCompressed", "packing key switch of a full SnS list, decoded without a mask"}}) {
      const auto line = std::ranges::find(lines, step, &BudgetLine::step);
      const double sigma = std::sqrt(line->total);
      for (const auto& [n, t] : {std::pair{4, 1}, std::pair{13, 4}}) {
        const std::size_t sets = mpc::key_sets(CommitteeSize::make(n, t).value()).size();
        const double largest = 2 * static_cast<double>(sets) * power_of_two(mpc::kMaskBoundLog2);
        const double left = power_of_two(122) - largest;
        out += fmt::format("| {}, {} | {}, {} | {:.2f} | {:.2f} | {:.2f} | {:.2f} | {} | {} |\n", name, format, n, t,
                           std::log2(sigma), std::log2(mask_variance(sets)) / 2, std::log2(largest), std::log2(left),
                           log2_probability(log2_two_sided_tail(left / sigma)),
                           log2_probability(log2_two_sided_tail(power_of_two(70) / sigma)));
      }
    }
  }
  return out;
}

}  // namespace witan::tfhe::noise
