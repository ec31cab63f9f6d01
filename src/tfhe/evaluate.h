// Operations on blocks with public keys alone: what a coprocessor does to a client's list, and what a node does to Small
// ciphertexts. Each part of a server key is prepared on its own, so that a node loads only what a request needs.
// Blocks are independent of each other: callers may spread them over threads; all functions are const and reentrant.
#pragma once

#include "tfhe/bootstrap.h"
#include "tfhe/packing.h"

namespace witan::tfhe {

/// Sizes of all parts of a server key agree with each other and are bounded; everything below relies on it.
/// Error: invalid_argument naming the part and the field.
Status check(const CompressedServerKey& key);
Status check(const CompressedKeySet& set);

// prepare_..._key(): with Rows::none the caller expands the rows of `rotation` before the key is used, in pieces of its choice.

/// Key switch and bootstrap of ordinary blocks.
struct ComputeKey {
  Ksk ksk;
  BlindRotationKey<u64> rotation;
  ModulusSwitchKey modulus_switch;
  PbsOrder order = PbsOrder::keyswitch_bootstrap;
  PlaintextSpace space;
  std::size_t block_dimension() const;
};
ComputeKey prepare_compute_key(const CompressedServerKey& key, Rows rotation = Rows::expanded);

/// Table of a function on the whole plaintext space (message and carry), same space on both sides.
struct LookupTable {
  Glwe<u64> accumulator;
  u64 degree = 0;  // largest output
};
LookupTable make_lookup_table(const ComputeKey& key, const std::function<u64(u64)>& f);
/// One programmable bootstrap in the key's order; the result has nominal noise.
/// Error: invalid_argument if the block's dimension or space is not the key's.
Result<Block> apply(const ComputeKey& key, const LookupTable& table, const Block& block);

/// Casting key switch of compact lists.
struct CastKey {
  Ksk ksk;
  KeyChoice destination = KeyChoice::small;
};
/// Error: failed_precondition if the server key has no casting key.
Result<CastKey> prepare_cast_key(const CompressedServerKey& key);

/// A client's list as ordinary blocks of nominal noise, value after value, as tfhe-rs expands it: cast, then one
/// bootstrap per block that takes the message or the carry of a packed pair, clears what lies above it, and brings
/// booleans to 0 or 1. Equal to expand() of tfhe-rs up to noise. Error: invalid_argument for a list of other parameters.
Result<std::vector<Block>> expand_compact_list(const ComputeKey& key, const CastKey& cast, const CompactList& list);
/// The same for one value of the list, without the work for the others.
Result<std::vector<Block>> expand_compact_value(const ComputeKey& key, const CastKey& cast, const CompactList& list,
                                                std::size_t value_index);

struct CompressionKey {
  PackingKey<u64> packing;
  std::size_t lwe_per_glwe = 0;
  std::uint32_t storage_log_modulus = 0;
};
Result<CompressionKey> prepare_compression_key(const CompressedServerKey& key);
/// Blocks times the message modulus, packed, switched to the storage modulus.
/// Error: invalid_argument for other dimensions or blocks with carries or more than nominal noise.
Result<PackedList<u64>> compress(const CompressionKey& key, std::span<const Block> blocks);

struct DecompressionKey {
  BlindRotationKey<u64> rotation;
  ModulusSwitchKey modulus_switch;
  PlaintextSpace space;  // of the blocks that come out
  PbsOrder order = PbsOrder::keyswitch_bootstrap;
};
Result<DecompressionKey> prepare_decompression_key(const CompressedServerKey& key, Rows rotation = Rows::expanded);
/// Block `index` of a list: extraction and a bootstrap over a table that rescales. Works for the big encryption key.
Result<Block> decompress(const DecompressionKey& key, const PackedList<u64>& list, std::size_t index);

struct SnsKey {
  BlindRotationKey<u128> rotation;
  ModulusSwitchKey modulus_switch;
  PlaintextSpace space;
};
Result<SnsKey> prepare_sns_key(const CompressedServerKey& key, Rows rotation = Rows::expanded);

/// Step 1 of threshold-tfhe.md 6.2: pairs low + message_modulus * high of a value's blocks, a last odd one alone.
/// Error: invalid_argument if a block has a carry or the pair's noise level would pass max_noise_level.
Result<std::vector<Block>> pair_blocks(std::span<const Block> blocks, u64 max_noise_level);
/// Steps 2 to 5 on one paired block.
Result<SquashedBlock> squash(const ComputeKey& key, const SnsKey& sns, const Block& paired);
/// The same for several blocks, equal results: the key, far larger than the caches, is read once for kSquashedAtOnce of them. One
/// thread. The error is of the first block that has one.
inline constexpr std::size_t kSquashedAtOnce = 4;
Result<std::vector<SquashedBlock>> squash(const ComputeKey& key, const SnsKey& sns, std::span<const Block> paired);

struct SnsCompressionKey {
  PackingKey<u128> packing;
  std::size_t lwe_per_glwe = 0;
};
Result<SnsCompressionKey> prepare_sns_compression_key(const CompressedServerKey& key);
/// Squashed blocks, packed at full precision.
Result<PackedList<u128>> compress(const SnsCompressionKey& key, std::span<const SquashedBlock> blocks);

}  // namespace witan::tfhe
