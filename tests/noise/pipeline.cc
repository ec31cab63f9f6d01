#include "pipeline.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "coprocessor/parallel.h"
#include "support/support.h"
#include "tfhe/encrypt.h"
#include "tfhe/evaluate.h"
#include "tfhe/expand.h"

namespace witan::tfhe::noise {

using coprocessor::parallel_for;

const char* to_string(Step step) {
  switch (step) {
    case Step::cast:
      return "casting key switch";
    case Step::switch_pbs:
      return "modulus switch before a bootstrap";
    case Step::bootstrap:
      return "bootstrap";
    case Step::pair_keyswitch:
      return "key switch";
    case Step::switch_sns:
      return "modulus switch before SnS";
    case Step::sns_input:
      return "total where SnS decides";
    case Step::squash:
      return "Switch-and-Squash";
    case Step::sns_packing:
      return "SnS packing key switch";
    case Step::packing:
      return "packing key switch";
    case Step::storage:
      return "rounding to the storage modulus";
    case Step::switch_decompress:
      return "modulus switch before decompression";
    case Step::decompress:
      return "decompression bootstrap";
  }
  return "unknown";
}

void Measurements::merge(const Measurements& other) {
  for (std::size_t i = 0; i < kSteps; ++i) steps[i].merge(other.steps[i]);
  wrong_values += other.wrong_values;
  other_ciphertexts += other.other_ciphertexts;
}

namespace {

template <Word W>
double signed_value(W word) {
  return static_cast<double>(static_cast<SignedWord<W>>(word));
}

/// body - <mask, s> of a switched ciphertext, in steps.
std::uint32_t switched_phase(const SwitchedLwe& lwe, std::span<const std::uint8_t> key) {
  std::uint32_t out = lwe.body;
  for (std::size_t i = 0; i < lwe.mask.size(); ++i) out -= lwe.mask[i] * key[i];
  return out & ((std::uint32_t{1} << lwe.log_modulus) - 1);
}

double switch_error(const SwitchedLwe& switched, const Lwe<u64>& before, std::span<const std::uint8_t> key) {
  const u64 after = u64{switched_phase(switched, key)} << (64 - switched.log_modulus);
  return signed_value<u64>(after - phase(before, key));
}

/// What a prepared key set and its secrets offer, and what the formulas say about them.
struct Bench {
  Bench(const test::World& world, const Params& predicted)
      : keys(world.keys),
        params(predicted),
        weights(KeyWeights::of(world.keys)),
        space(world.params.compute.space),
        public_key(public_key_of(world.set)),
        compute(prepare_compute_key(world.set.server_key)),
        cast(prepare_cast_key(world.set.server_key).value()),
        compression(prepare_compression_key(world.set.server_key).value()),
        decompression(prepare_decompression_key(world.set.server_key).value()),
        sns(prepare_sns_key(world.set.server_key).value()),
        sns_compression(prepare_sns_compression_key(world.set.server_key).value()) {}

  std::span<const std::uint8_t> bits(KeyName name) const { return keys.bits(name); }
  double switching(const ModulusSwitch& technique, int log_modulus) const {
    return modulus_switch(technique, params.compute.lwe_dimension, weights.compute, log_modulus);
  }
  double switching_mean(const ModulusSwitch& technique, int log_modulus) const {
    return modulus_switch_mean(technique, weights.compute, log_modulus);
  }

  const SecretKeySet& keys;
  Params params;
  KeyWeights weights;
  PlaintextSpace space;
  CompactPublicKey public_key;
  ComputeKey compute;
  CastKey cast;
  CompressionKey compression;
  DecompressionKey decompression;
  SnsKey sns;
  SnsCompressionKey sns_compression;
};

std::vector<u64> outputs(u64 inputs, const std::function<u64(u64)>& f) {
  std::vector<u64> out;
  for (u64 x = 0; x < inputs; ++x) out.push_back(f(x));
  return out;
}

/// A blind rotation of a table; the error of every coefficient goes into `measured`.
template <Word W>
Glwe<W> rotate(const BlindRotationKey<W>& key, const std::vector<u64>& table, int delta, const SwitchedLwe& switched,
               std::span<const std::uint8_t> input_bits, const GlweSecretKey& under, double predicted,
               Measured& measured) {
  const std::size_t n = key.polynomial_size();
  Glwe<W> accumulator = lookup_table<W>(key.glwe_dimension(), n, table.size(),
                                        [&](u64 x) { return static_cast<W>(W{table[x]} << delta); });
  const std::vector<W> plain(accumulator.body().begin(), accumulator.body().end());
  std::vector<W> expected(n);
  multiply_by_monomial<W>(expected, plain, (2 * n - switched_phase(switched, input_bits)) % (2 * n));
  blind_rotate(key, switched, accumulator);
  const std::vector<W> phases = phase(accumulator, under);
  for (std::size_t j = 0; j < n; ++j) measured.add(signed_value<W>(phases[j] - expected[j]), predicted);
  return accumulator;
}

/// Fresh ciphertexts of random pairs: messages and the list.
struct Fresh {
  std::vector<u64> pairs;  // by ciphertext, 0..15
  CompactList list;
};

Fresh fresh_list(const CompactPublicKey& key, std::size_t count, Rng& rng) {
  Fresh fresh;
  std::vector<CompactValue> values;
  for (std::size_t i = 0; i < count; ++i) {
    fresh.pairs.push_back(rng.next<std::uint8_t>() % 16);
    values.push_back({UnsignedKind{2},
                      {static_cast<std::uint8_t>(fresh.pairs[i] % 4), static_cast<std::uint8_t>(fresh.pairs[i] / 4)}});
  }
  fresh.list = encrypt_compact_list(key, values, rng).value();
  return fresh;
}

/// One block of a list: cast, modulus switch, bootstrap with the table of the message or of the carry.
struct Bootstrapped {
  u64 value = 0;
  std::vector<Lwe<u64>> extracts;  // coefficient 0, then others
};

Bootstrapped expand_block(const Bench& bench, const Fresh& fresh, std::size_t index, std::size_t extracts,
                          Measurements& out) {
  const auto& c = bench.params.compute;
  const auto small_bits = bench.bits(KeyName::lwe_compute);
  const Lwe<u64> element = compact_list_element(fresh.list, index);
  const Lwe<u64> small = keyswitch(bench.cast.ksk, element);
  out.at(Step::cast)
      .add(signed_value<u64>(phase(small, small_bits) - phase(element, bench.bits(KeyName::lwe_encryption))),
           keyswitch(bench.params.pke->lwe_dimension, bench.weights.encryption, bench.params.cast->decomposition,
                     c.lwe_noise)
               .variance());

  const int log_modulus = bench.compute.rotation.log_modulus();
  const SwitchedLwe switched = modulus_switch(bench.compute.modulus_switch, small, log_modulus);
  out.at(Step::switch_pbs)
      .add(switch_error(switched, small, small_bits) - bench.switching_mean(c.modulus_switch, log_modulus),
           bench.switching(c.modulus_switch, log_modulus));

  const u64 modulus = bench.space.message_modulus;
  const bool carry = index % 2 == 1;
  const auto table = outputs(bench.space.size(), [&](u64 x) { return carry ? x / modulus : x % modulus; });
  const double predicted =
      blind_rotation(bootstrap_of(bench.params, bench.weights), table_square(table, bench.space), bench.space)
          .variance();
  const Glwe<u64> accumulator = rotate<u64>(bench.compute.rotation, table, delta_log2<u64>(bench.space), switched,
                                            small_bits, bench.keys.glwe, predicted, out.at(Step::bootstrap));
  Bootstrapped block{.value = table[fresh.pairs[index]], .extracts = {}};
  const std::size_t n = accumulator.polynomial_size;
  for (std::size_t e = 0; e < extracts; ++e) block.extracts.push_back(sample_extract(accumulator, e * n / extracts));
  out.wrong_values += decode(phase(block.extracts[0], bench.bits(KeyName::glwe)), bench.space) != block.value;
  return block;
}

Lwe<u64> pair_of(const Lwe<u64>& low, const Lwe<u64>& high, u64 modulus) {
  Lwe<u64> out = low;
  for (std::size_t i = 0; i < out.data.size(); ++i) out.data[i] += modulus * high.data[i];
  return out;
}

/// Key switch, modulus switch and SnS of the pair of two blocks; the key switch is also measured on the other extracts.
struct Squashed {
  u64 value = 0;
  Lwe<u128> lwe;
};

Squashed squash_pair(const Bench& bench, const Bootstrapped& low, const Bootstrapped& high, Measurements& out) {
  const auto& c = bench.params.compute;
  const u64 modulus = bench.space.message_modulus;
  const auto small_bits = bench.bits(KeyName::lwe_compute), big_bits = bench.bits(KeyName::glwe);
  const double added = keyswitch(c.big_dimension(), bench.weights.glwe, c.keyswitch, c.lwe_noise).variance();
  const Lwe<u64> pair = pair_of(low.extracts[0], high.extracts[0], modulus);
  const Lwe<u64> small = keyswitch(bench.compute.ksk, pair);
  out.at(Step::pair_keyswitch).add(signed_value<u64>(phase(small, small_bits) - phase(pair, big_bits)), added);
  const int log_modulus = bench.sns.rotation.log_modulus();
  const ModulusSwitch& technique = bench.params.sns->modulus_switch;
  const double switching = bench.switching(technique, log_modulus), mean = bench.switching_mean(technique, log_modulus);
  for (std::size_t e = 1; e < low.extracts.size(); ++e) {
    const Lwe<u64> other = keyswitch(bench.compute.ksk, low.extracts[e]);
    out.at(Step::pair_keyswitch)
        .add(signed_value<u64>(phase(other, small_bits) - phase(low.extracts[e], big_bits)), added);
    const SwitchedLwe switched = modulus_switch(bench.sns.modulus_switch, other, log_modulus);
    out.at(Step::switch_sns).add(switch_error(switched, other, small_bits) - mean, switching);
  }

  const SwitchedLwe switched = modulus_switch(bench.sns.modulus_switch, small, log_modulus);
  const double error = switch_error(switched, small, small_bits) - mean;
  out.at(Step::switch_sns).add(error, switching);
  const u64 value = low.value + modulus * high.value;
  const auto m = static_cast<double>(modulus);
  const BlindRotation pbs = bootstrap_of(bench.params, bench.weights);
  const auto messages = outputs(bench.space.size(), [&](u64 x) { return x % modulus; });
  const double block = blind_rotation(pbs, table_square(messages, bench.space), bench.space).variance();
  out.at(Step::sns_input)
      .add(error + signed_value<u64>(phase(small, small_bits) - (value << delta_log2<u64>(bench.space))),
           (1 + m * m) * block + added + switching);

  const auto identity = outputs(bench.space.size(), [](u64 x) { return x; });
  const double predicted =
      blind_rotation(squash_of(bench.params, bench.weights), table_square(identity, bench.space), bench.space)
          .variance();
  const Glwe<u128> accumulator = rotate<u128>(bench.sns.rotation, identity, delta_log2<u128>(bench.space), switched,
                                              small_bits, bench.keys.sns.value(), predicted, out.at(Step::squash));
  Squashed squashed{.value = value, .lwe = sample_extract(accumulator, 0)};
  out.wrong_values += decode(phase(squashed.lwe, bench.bits(KeyName::sns)), bench.space) != value;
  return squashed;
}

/// A packing key switch of these ciphertexts; all coefficients of the GLWE are measured.
template <Word W>
Glwe<W> pack_group(const PackingKey<W>& key, std::span<const Lwe<W>* const> lwes, std::span<const std::uint8_t> from,
                   const GlweSecretKey& to, const Added& predicted, Measured& measured) {
  Glwe<W> packed = key.pack(lwes);
  const std::vector<W> phases = phase(packed, to);
  for (std::size_t i = 0; i < phases.size(); ++i) {
    if (i < lwes.size())
      measured.add(signed_value<W>(phases[i] - phase(*lwes[i], from)), predicted.variance());
    else
      measured.add(signed_value<W>(phases[i]), predicted.key);
  }
  return packed;
}

/// Groups of at most `size`.
template <class T>
std::vector<std::span<T>> groups(std::span<T> all, std::size_t size) {
  std::vector<std::span<T>> out;
  for (std::size_t at = 0; at < all.size(); at += size) out.push_back(all.subspan(at, std::min(size, all.size() - at)));
  return out;
}

void compress_squashed(const Bench& bench, std::span<const Squashed> squashed, Measurements& out) {
  const SnsCompressionParams& sc = *bench.params.sns_compression;
  const auto parts = groups(squashed, bench.sns_compression.lwe_per_glwe);
  std::vector<Measurements> measured(parts.size());
  parallel_for(parts.size(), [&](std::size_t g) {
    std::vector<const Lwe<u128>*> lwes;
    for (const Squashed& each : parts[g]) lwes.push_back(&each.lwe);
    const Added predicted =
        packing(bench.params.sns->dimension(), bench.weights.sns, sc.packing, sc.noise, lwes.size(), 128);
    const auto packed =
        pack_group<u128>(bench.sns_compression.packing, lwes, bench.bits(KeyName::sns),
                         bench.keys.sns_compression.value(), predicted, measured[g].at(Step::sns_packing));
    const auto stored = unpack_glwe(pack_glwe(packed, lwes.size(), 128)).value();
    for (std::size_t i = 0; i < lwes.size(); ++i)
      measured[g].wrong_values += decode(phase(sample_extract(stored, i), bench.bits(KeyName::sns_compression)),
                                         bench.space) != parts[g][i].value;
  });
  for (const Measurements& each : measured) out.merge(each);
}

/// A ciphertext of a compressed list, and the value that a block 0..3 has in it.
struct Stored {
  Lwe<u64> lwe;
  std::optional<u64> value;  // known for coefficient 0
};

std::vector<Stored> compress_blocks(const Bench& bench, std::span<const Bootstrapped> blocks, Measurements& out) {
  const CompressionParams& cc = *bench.params.compression;
  std::vector<Stored> scaled;
  for (const Bootstrapped& block : blocks) {
    for (std::size_t e = 0; e < block.extracts.size(); ++e) {
      scaled.push_back({block.extracts[e], e == 0 ? std::optional(block.value) : std::nullopt});
      for (u64& word : scaled.back().lwe.data) word *= bench.space.message_modulus;
    }
  }
  const auto parts = groups(std::span<const Stored>(scaled), bench.compression.lwe_per_glwe);
  std::vector<Measurements> measured(parts.size());
  std::vector<std::vector<Stored>> results(parts.size());
  parallel_for(parts.size(), [&](std::size_t g) {
    std::vector<const Lwe<u64>*> lwes;
    for (const Stored& each : parts[g]) lwes.push_back(&each.lwe);
    const Added predicted =
        packing(bench.params.compute.big_dimension(), bench.weights.glwe, cc.packing, cc.noise, lwes.size(), 64);
    const GlweSecretKey& key = bench.keys.compression.value();
    const auto packed = pack_group<u64>(bench.compression.packing, lwes, bench.bits(KeyName::glwe), key, predicted,
                                        measured[g].at(Step::packing));
    const auto stored = unpack_glwe(pack_glwe(packed, lwes.size(), bench.compression.storage_log_modulus)).value();
    const auto before = phase(packed, key), after = phase(stored, key);
    const double rounding = storage(bench.weights.compression, 64, cc.storage_log_modulus);
    for (std::size_t i = 0; i < lwes.size(); ++i) {
      measured[g].at(Step::storage).add(signed_value<u64>(after[i] - before[i]), rounding);
      results[g].push_back({sample_extract(stored, i), parts[g][i].value});
    }
  });
  std::vector<Stored> all;
  for (std::size_t g = 0; g < parts.size(); ++g) {
    out.merge(measured[g]);
    std::ranges::move(results[g], std::back_inserter(all));
  }
  return all;
}

/// The block that comes out.
Lwe<u64> decompress_block(const Bench& bench, const Stored& stored, Measurements& out) {
  const CompressionParams& cc = *bench.params.compression;
  const auto bits = bench.bits(KeyName::compression);
  const int log_modulus = bench.decompression.rotation.log_modulus();
  const auto stored_log = static_cast<int>(cc.storage_log_modulus);
  const SwitchedLwe switched = modulus_switch(bench.decompression.modulus_switch, stored.lwe, log_modulus);
  const double mean = modulus_switch_mean(StandardSwitch{}, bench.weights.compression, log_modulus, stored_log);
  out.at(Step::switch_decompress)
      .add(switch_error(switched, stored.lwe, bits) - mean,
           modulus_switch(StandardSwitch{}, cc.dimension(), bench.weights.compression, log_modulus, stored_log));
  const auto table = outputs(bench.space.size() / bench.space.message_modulus, [](u64 x) { return x; });
  const double predicted =
      blind_rotation(decompression_of(bench.params, bench.weights), table_square(table, bench.space), bench.space)
          .variance();
  const Glwe<u64> accumulator = rotate<u64>(bench.decompression.rotation, table, delta_log2<u64>(bench.space), switched,
                                            bits, bench.keys.glwe, predicted, out.at(Step::decompress));
  Lwe<u64> block = sample_extract(accumulator, 0);
  out.wrong_values += decode(phase(block, bench.bits(KeyName::glwe)), bench.space) != stored.value.value();
  return block;
}

/// How many of these ciphertexts tfhe/evaluate.h makes otherwise from the same list.
std::size_t compare(const Bench& bench, const Fresh& fresh, std::span<const Bootstrapped> blocks,
                    std::span<const Squashed> squashed, std::span<const Lwe<u64>> decompressed) {
  const auto expanded = expand_compact_list(bench.compute, bench.cast, fresh.list).value();
  std::vector<Block> chosen;  // the message of even ciphertexts, the carry of odd ones
  for (std::size_t i = 0; i < blocks.size(); ++i) chosen.push_back(expanded[2 * i + i % 2]);
  const auto list = compress(bench.compression, chosen).value();
  std::size_t differ = 0;
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    const std::array<Block, 2> two{chosen[i], chosen[(i + 1) % chosen.size()]};
    const auto pair = pair_blocks(two, bench.params.compute.max_noise_level).value();
    differ += chosen[i].lwe != blocks[i].extracts[0];
    differ += squash(bench.compute, bench.sns, pair[0]).value().lwe != squashed[i].lwe;
    differ += decompress(bench.decompression, list, i).value().lwe != decompressed[i];
  }
  return differ;
}

/// NoiseSource times a factor.
class ScaledNoise final : public NoiseSource {
 public:
  ScaledNoise(Rng& rng, double factor) : honest_(rng), factor_(factor) {}
  void fill(TUniform law, std::span<i64> out) override {
    honest_.fill(law, out);
    if (factor_ == 1) return;
    for (i64& e : out) e = std::llround(factor_ * static_cast<double>(e));
  }

 private:
  RngNoise honest_;
  double factor_;
};

}  // namespace

Measurements measure(const test::World& world, const Params& predicted, const Run& run) {
  Measurements out;
  const Bench bench(world, predicted);
  witan::test::SeededRng rng(run.label);
  const Fresh fresh = fresh_list(bench.public_key, run.blocks, rng);

  std::vector<Measurements> measured(run.blocks);
  std::vector<Bootstrapped> blocks(run.blocks);
  parallel_for(run.blocks,
               [&](std::size_t i) { blocks[i] = expand_block(bench, fresh, i, run.extracts_per_block, measured[i]); });
  std::vector<Squashed> squashed(run.blocks);
  parallel_for(run.blocks, [&](std::size_t i) {
    squashed[i] = squash_pair(bench, blocks[i], blocks[(i + 1) % run.blocks], measured[i]);
  });
  compress_squashed(bench, squashed, out);
  std::vector<Stored> stored = compress_blocks(bench, blocks, out);
  std::erase_if(stored, [](const Stored& each) { return !each.value; });
  std::vector<Lwe<u64>> decompressed(run.blocks);
  parallel_for(run.blocks, [&](std::size_t i) { decompressed[i] = decompress_block(bench, stored[i], measured[i]); });
  for (const Measurements& each : measured) out.merge(each);
  if (run.compare) out.other_ciphertexts = compare(bench, fresh, blocks, squashed, decompressed);
  return out;
}

Measured measure_fresh(const Params& params, const Params& predicted, std::size_t public_keys, std::string_view label) {
  const Component component = key_components(params).front();
  if (component.kind != ComponentKind::public_key) throw std::runtime_error("a set without a public key");
  const std::size_t n = component.polynomial_size;
  std::vector<Measured> measured(public_keys);
  parallel_for(public_keys, [&](std::size_t k) {
    witan::test::SeededRng rng(fmt::format("{}, public key {}", label, k));
    const SecretKeySet keys = generate_secret_keys(params, rng);
    RngNoise noise(rng);
    const MaskReader mask({key_set_seed(rng.next<u128>()), {}});
    CompactPublicKey key{.data = std::vector<u64>(2 * n), .params = *params.pke, .tag = {}};
    mask.read<u64>(0, std::span(key.data).first(n));
    const auto bits = keys.bits(KeyName::lwe_encryption);
    generate_bodies<u64>(component, keys, KeyFactor<u64>(component, bits), mask, noise, 0, 1,
                         std::span(key.data).subspan(n));
    const Fresh fresh = fresh_list(key, 2 * n, rng);
    const double variance = compact_encryption(*predicted.pke, KeyWeights::of(keys).encryption).variance();
    for (std::size_t i = 0; i < fresh.pairs.size(); ++i) {
      const u64 message = fresh.pairs[i] << delta_log2<u64>(params.compute.space);
      measured[k].add(signed_value<u64>(phase(compact_list_element(fresh.list, i), bits) - message), variance);
    }
  });
  Measured out;
  for (const Measured& each : measured) out.merge(each);
  return out;
}

test::World make_keys(const Params& params, std::string_view label, double noise_factor) {
  witan::test::SeededRng rng(label);
  SecretKeySet keys = generate_secret_keys(params, rng);
  ScaledNoise noise(rng, noise_factor);
  CompressedKeySet set = generate_key_set(params, keys, rng.next<u128>(), noise, {});
  return {.params = params, .keys = std::move(keys), .set = std::move(set)};
}

}  // namespace witan::tfhe::noise
