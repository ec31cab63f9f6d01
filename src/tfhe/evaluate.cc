#include "tfhe/evaluate.h"

#include <algorithm>
#include <map>

#include "base/check.h"
#include "tfhe/encrypt.h"
#include "tfhe/expand.h"

namespace witan::tfhe {
namespace {

constexpr u64 kNominalNoise = 1;

std::unexpected<Error> missing(std::string_view part) {
  return fail(Code::failed_precondition, "the server key has no {}", part);
}

Status check_block(const Block& block, const PlaintextSpace& space, std::size_t dimension) {
  if (block.lwe.dimension() != dimension)
    return fail(Code::invalid_argument, "block has dimension {}, the key wants {}", block.lwe.dimension(), dimension);
  if (block.space != space)
    return fail(Code::invalid_argument, "block has moduli {} and {}, the key wants {} and {}",
                block.space.message_modulus, block.space.carry_modulus, space.message_modulus, space.carry_modulus);
  return {};
}

template <Word W>
Glwe<W> table_of(const BlindRotationKey<W>& key, u64 input_size, int delta_log2, const std::function<u64(u64)>& f) {
  return lookup_table<W>(key.glwe_dimension(), key.polynomial_size(), input_size,
                         [&](u64 x) { return static_cast<W>(static_cast<W>(f(x)) << delta_log2); });
}

}  // namespace

std::size_t ComputeKey::block_dimension() const {
  return order == PbsOrder::keyswitch_bootstrap ? ksk.input_dimension() : rotation.input_dimension();
}

ComputeKey prepare_compute_key(const CompressedServerKey& key, Rows rotation) {
  return {.ksk = expand(key.ksk),
          .rotation = BlindRotationKey<u64>(key.bootstrap.bsk, rotation),
          .modulus_switch = expand(key.bootstrap.modulus_switch),
          .order = key.order,
          .space = key.space};
}

LookupTable make_lookup_table(const ComputeKey& key, const std::function<u64(u64)>& f) {
  LookupTable table;
  table.accumulator = table_of(key.rotation, key.space.size(), delta_log2<u64>(key.space), f);
  for (u64 x = 0; x < key.space.size(); ++x) table.degree = std::max(table.degree, f(x));
  return table;
}

namespace {

/// What goes into one bootstrap.
struct SmallInput {
  const Lwe<u64>* lwe = nullptr;  // under the small key
  const LookupTable* table = nullptr;
};

/// Bootstraps of LWEs under the small key into blocks of the key's order, in one pass over the key.
std::vector<Block> bootstrap_small(const ComputeKey& key, std::span<const SmallInput> inputs) {
  std::vector<SwitchedLwe> switched;
  std::vector<Glwe<u64>> accumulators;
  for (const SmallInput& input : inputs) {
    switched.push_back(modulus_switch(key.modulus_switch, *input.lwe, key.rotation.log_modulus()));
    accumulators.push_back(input.table->accumulator);
  }
  blind_rotate<u64>(key.rotation, switched, accumulators);
  std::vector<Block> out;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    Lwe<u64> big = sample_extract(accumulators[i], 0);
    const bool stays_big = key.order == PbsOrder::keyswitch_bootstrap;
    out.push_back({.lwe = stays_big ? std::move(big) : keyswitch(key.ksk, big),
                   .degree = inputs[i].table->degree,
                   .noise_level = kNominalNoise,
                   .space = key.space,
                   .order = key.order});
  }
  return out;
}

Block bootstrap_small(const ComputeKey& key, const LookupTable& table, const Lwe<u64>& small) {
  const SmallInput input{&small, &table};
  return std::move(bootstrap_small(key, std::span(&input, 1)).front());
}

}  // namespace

Result<Block> apply(const ComputeKey& key, const LookupTable& table, const Block& block) {
  WITAN_TRY(check_block(block, key.space, key.block_dimension()));
  if (key.order == PbsOrder::keyswitch_bootstrap) return bootstrap_small(key, table, keyswitch(key.ksk, block.lwe));
  return bootstrap_small(key, table, block.lwe);
}

Result<CastKey> prepare_cast_key(const CompressedServerKey& key) {
  if (!key.cast) return missing("casting key");
  return CastKey{.ksk = expand(key.cast->ksk), .destination = key.cast->destination};
}

namespace {

/// What a block of an expanded list may hold: tfhe-rs clears everything else while it unpacks.
enum class Sanitize : std::uint8_t { message, boolean, last_char_block };

constexpr std::size_t kBlocksPerChar = 4;

/// The rule of block `number` of a value.
Sanitize rule_of(const DataKind& kind, std::size_t number) {
  if (std::holds_alternative<BooleanKind>(kind)) return Sanitize::boolean;
  if (std::holds_alternative<StringKind>(kind) && number % kBlocksPerChar == kBlocksPerChar - 1)
    return Sanitize::last_char_block;
  return Sanitize::message;
}

u64 sanitized(Sanitize rule, u64 digit, u64 message_modulus) {
  switch (rule) {
    case Sanitize::message:
      return digit;
    case Sanitize::boolean:
      return digit != 0 ? 1 : 0;
    case Sanitize::last_char_block: {
      // Seven bits of a character: with blocks of b bits the last one has 7 mod b of them, or all if that is 0.
      const auto block_bits = static_cast<unsigned>(std::bit_width(message_modulus)) - 1;
      const unsigned rest = 7 % block_bits;
      return rest == 0 ? digit : digit % (u64{1} << rest);
    }
  }
  return digit;
}

/// Tables by (rule, low or high block of the pair), made when first needed.
class UnpackTables {
 public:
  explicit UnpackTables(const ComputeKey& key) : key_(key) {}

  const LookupTable& get(Sanitize rule, bool high) {
    const auto [entry, added] = tables_.try_emplace({rule, high});
    if (added) {
      const u64 modulus = key_.space.message_modulus;
      entry->second =
          make_lookup_table(key_, [&](u64 x) { return sanitized(rule, (high ? x / modulus : x) % modulus, modulus); });
    }
    return entry->second;
  }

 private:
  const ComputeKey& key_;
  std::map<std::pair<Sanitize, bool>, LookupTable> tables_;
};

Status check_list(const ComputeKey& key, const CastKey& cast, const CompactList& list) {
  WITAN_TRY(check(list));
  if (list.space != key.space)
    return fail(Code::invalid_argument, "compact list has moduli {} and {}, the key wants {} and {}",
                list.space.message_modulus, list.space.carry_modulus, key.space.message_modulus,
                key.space.carry_modulus);
  if (!std::holds_alternative<RequiresCasting>(list.expansion))
    return fail(Code::invalid_argument, "compact list is not for casting, the public key of this key set is");
  if (list.lwe_dimension != cast.ksk.input_dimension())
    return fail(Code::invalid_argument, "compact list has dimension {}, the casting key wants {}", list.lwe_dimension,
                cast.ksk.input_dimension());
  return {};
}

/// Ciphertext `index` under the small key.
Lwe<u64> cast_element(const ComputeKey& key, const CastKey& cast, const CompactList& list, std::size_t index) {
  Lwe<u64> out = keyswitch(cast.ksk, compact_list_element(list, index));
  return cast.destination == KeyChoice::small ? out : keyswitch(key.ksk, out);
}

/// Bootstraps per pass over the key: the digits of so many stay in the cache beside one step's rows.
constexpr std::size_t kBootstrappedAtOnce = 8;

/// Blocks of one value that starts at block `first_block` of the list.
std::vector<Block> expand_value(const ComputeKey& key, const CastKey& cast, const CompactList& list,
                                const DataKind& kind, std::size_t first_block, UnpackTables& tables) {
  const std::size_t per_ciphertext = list.is_packed() ? 2 : 1, count = block_count(kind);
  const std::size_t first_ciphertext = first_block / per_ciphertext;
  std::vector<Lwe<u64>> small;
  std::vector<Block> out;
  std::vector<SmallInput> inputs;
  small.reserve(count / per_ciphertext + 2);  // inputs point into it
  for (std::size_t number = 0; number < count;) {
    inputs.clear();
    for (; number < count && inputs.size() < kBootstrappedAtOnce; ++number) {
      const std::size_t block = first_block + number, ciphertext = block / per_ciphertext;
      if (first_ciphertext + small.size() == ciphertext) small.push_back(cast_element(key, cast, list, ciphertext));
      inputs.push_back({&small.back(), &tables.get(rule_of(kind, number), block % per_ciphertext == 1)});
    }
    std::ranges::move(bootstrap_small(key, inputs), std::back_inserter(out));
  }
  return out;
}

}  // namespace

Result<std::vector<Block>> expand_compact_list(const ComputeKey& key, const CastKey& cast, const CompactList& list) {
  WITAN_TRY(check_list(key, cast, list));
  UnpackTables tables(key);
  std::vector<Block> out;
  for (const DataKind& kind : list.kinds)
    std::ranges::move(expand_value(key, cast, list, kind, out.size(), tables), std::back_inserter(out));
  return out;
}

Result<std::vector<Block>> expand_compact_value(const ComputeKey& key, const CastKey& cast, const CompactList& list,
                                                std::size_t value_index) {
  WITAN_TRY(check_list(key, cast, list));
  if (value_index >= list.kinds.size())
    return fail(Code::out_of_range, "compact list of {} values has no number {}", list.kinds.size(), value_index);
  std::size_t first_block = 0;
  for (std::size_t i = 0; i < value_index; ++i) first_block += block_count(list.kinds[i]);
  UnpackTables tables(key);
  return expand_value(key, cast, list, list.kinds[value_index], first_block, tables);
}

Result<CompressionKey> prepare_compression_key(const CompressedServerKey& key) {
  if (!key.compression) return missing("compression key");
  return CompressionKey{.packing = PackingKey<u64>(key.compression->packing),
                        .lwe_per_glwe = key.compression->lwe_per_glwe,
                        .storage_log_modulus = key.compression->storage_log_modulus};
}

namespace {

/// Packs ciphertexts GLWE by GLWE and switches them to the storage modulus.
template <Word W>
PackedList<W> pack_list(const PackingKey<W>& key, std::span<const Lwe<W>* const> lwes, std::size_t lwe_per_glwe,
                        std::uint32_t log_modulus, const PlaintextSpace& space) {
  PackedList<W> out{.glwes = {}, .lwe_per_glwe = lwe_per_glwe, .space = space};
  for (std::size_t at = 0; at < lwes.size(); at += lwe_per_glwe) {
    const auto part = lwes.subspan(at, std::min(lwe_per_glwe, lwes.size() - at));
    out.glwes.push_back(pack_glwe(key.pack(part), part.size(), log_modulus));
  }
  return out;
}

}  // namespace

Result<PackedList<u64>> compress(const CompressionKey& key, std::span<const Block> blocks) {
  if (blocks.empty()) return fail(Code::invalid_argument, "nothing to compress");
  std::vector<Lwe<u64>> scaled;
  scaled.reserve(blocks.size());
  std::vector<const Lwe<u64>*> pointers;
  pointers.reserve(blocks.size());
  for (const Block& block : blocks) {
    WITAN_TRY(check_block(block, blocks.front().space, key.packing.input_dimension()));
    if (block.degree >= block.space.message_modulus)
      return fail(Code::invalid_argument, "block may have a carry (degree {}); only blocks without one are compressed",
                  block.degree);
    if (block.noise_level > kNominalNoise)
      return fail(Code::invalid_argument, "block has noise level {}, only bootstrapped ones are compressed",
                  block.noise_level);
    scaled.push_back(block.lwe);
    for (u64& word : scaled.back().data) word *= block.space.message_modulus;
  }
  for (const Lwe<u64>& lwe : scaled) pointers.push_back(&lwe);
  return pack_list<u64>(key.packing, pointers, key.lwe_per_glwe, key.storage_log_modulus, blocks.front().space);
}

Result<DecompressionKey> prepare_decompression_key(const CompressedServerKey& key, Rows rotation) {
  if (!key.decompression) return missing("decompression key");
  return DecompressionKey{.rotation = BlindRotationKey<u64>(key.decompression->bootstrap.bsk, rotation),
                          .modulus_switch = expand(key.decompression->bootstrap.modulus_switch),
                          .space = key.space,
                          .order = key.order};
}

Result<Block> decompress(const DecompressionKey& key, const PackedList<u64>& list, std::size_t index) {
  if (list.space != key.space)
    return fail(Code::invalid_argument, "compressed list has moduli {} and {}, the key wants {} and {}",
                list.space.message_modulus, list.space.carry_modulus, key.space.message_modulus,
                key.space.carry_modulus);
  WITAN_ASSIGN(const Lwe<u64> lwe, list_element(list, index));
  if (lwe.dimension() != key.rotation.input_dimension())
    return fail(Code::invalid_argument, "compressed list has dimension {}, the key wants {}", lwe.dimension(),
                key.rotation.input_dimension());
  // The message was multiplied by its modulus before packing: inputs are the message bits right below the padding bit.
  const u64 inputs = key.space.size() / key.space.message_modulus;
  const Glwe<u64> table = table_of(key.rotation, inputs, delta_log2<u64>(key.space), [](u64 x) { return x; });
  return Block{.lwe = bootstrap(key.rotation, key.modulus_switch, lwe, table),
               .degree = inputs - 1,
               .noise_level = kNominalNoise,
               .space = key.space,
               .order = key.order};
}

Result<SnsKey> prepare_sns_key(const CompressedServerKey& key, Rows rotation) {
  if (!key.sns) return missing("Switch-and-Squash key");
  return SnsKey{.rotation = BlindRotationKey<u128>(key.sns->bootstrap.bsk, rotation),
                .modulus_switch = expand(key.sns->bootstrap.modulus_switch),
                .space = key.sns->space};
}

Result<std::vector<Block>> pair_blocks(std::span<const Block> blocks, u64 max_noise_level) {
  std::vector<Block> out;
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    const Block& block = blocks[i];
    const u64 modulus = block.space.message_modulus;
    WITAN_TRY(check_block(block, blocks.front().space, blocks.front().lwe.dimension()));
    if (block.degree >= modulus)
      return fail(Code::invalid_argument, "block {} may have a carry (degree {}); propagate carries first", i,
                  block.degree);
    if (block.noise_level > max_noise_level)
      return fail(Code::invalid_argument, "block {} has noise level {}, at most {} is possible", i, block.noise_level,
                  max_noise_level);
    if (i % 2 == 0) {
      out.push_back(block);
      continue;
    }
    Block& pair = out.back();
    for (std::size_t j = 0; j < pair.lwe.data.size(); ++j) pair.lwe.data[j] += modulus * block.lwe.data[j];
    pair.degree += modulus * block.degree;
    pair.noise_level += modulus * block.noise_level;
    if (pair.noise_level > max_noise_level)
      return fail(Code::invalid_argument, "blocks {} and {} together have noise level {}, at most {} is possible",
                  i - 1, i, pair.noise_level, max_noise_level);
  }
  return out;
}

Result<std::vector<SquashedBlock>> squash(const ComputeKey& key, const SnsKey& sns, std::span<const Block> paired) {
  const Glwe<u128> table =
      table_of(sns.rotation, sns.space.size(), delta_log2<u128>(sns.space), [](u64 x) { return x; });
  std::vector<SquashedBlock> out;
  out.reserve(paired.size());
  for (std::size_t at = 0; at < paired.size(); at += kSquashedAtOnce) {
    std::vector<Lwe<u64>> small;
    for (const Block& block : paired.subspan(at, std::min(kSquashedAtOnce, paired.size() - at))) {
      WITAN_TRY(check_block(block, key.space, key.block_dimension()));
      small.push_back(key.order == PbsOrder::keyswitch_bootstrap ? keyswitch(key.ksk, block.lwe) : block.lwe);
    }
    for (Lwe<u128>& lwe : bootstrap<u128>(sns.rotation, sns.modulus_switch, small, table))
      out.push_back({.lwe = std::move(lwe), .degree = paired[out.size()].degree, .space = sns.space});
  }
  return out;
}

Result<SquashedBlock> squash(const ComputeKey& key, const SnsKey& sns, const Block& paired) {
  WITAN_ASSIGN(auto squashed, squash(key, sns, std::span(&paired, 1)));
  return std::move(squashed.front());
}

Result<SnsCompressionKey> prepare_sns_compression_key(const CompressedServerKey& key) {
  if (!key.sns_compression) return missing("Switch-and-Squash compression key");
  return SnsCompressionKey{.packing = PackingKey<u128>(key.sns_compression->packing),
                           .lwe_per_glwe = key.sns_compression->lwe_per_glwe};
}

Result<PackedList<u128>> compress(const SnsCompressionKey& key, std::span<const SquashedBlock> blocks) {
  if (blocks.empty()) return fail(Code::invalid_argument, "nothing to compress");
  std::vector<const Lwe<u128>*> pointers;
  pointers.reserve(blocks.size());
  for (const SquashedBlock& block : blocks) {
    if (block.lwe.dimension() != key.packing.input_dimension() || block.space != blocks.front().space)
      return fail(Code::invalid_argument, "squashed block has dimension {}, the key wants {}; all need equal moduli",
                  block.lwe.dimension(), key.packing.input_dimension());
    pointers.push_back(&block.lwe);
  }
  return pack_list<u128>(key.packing, pointers, key.lwe_per_glwe, 128, blocks.front().space);
}

}  // namespace witan::tfhe
