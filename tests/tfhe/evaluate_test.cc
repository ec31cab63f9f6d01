#include "tfhe/evaluate.h"

#include <gtest/gtest.h>

#include "crypto/hash.h"
#include "support/support.h"
#include "tfhe/encrypt.h"
#include "tfhe/expand.h"
#include "tfhe_testing.h"

namespace witan::tfhe {
namespace {

/// Everything prepared from a key set as it is published.
struct Evaluator {
  explicit Evaluator(const test::World& w)
      : world(w),
        public_key(public_key_of(w.set)),
        compute(prepare_compute_key(w.set.server_key)),
        cast(prepare_cast_key(w.set.server_key).value()),
        sns(prepare_sns_key(w.set.server_key).value()),
        sns_compression(prepare_sns_compression_key(w.set.server_key).value()) {}

  std::span<const std::uint8_t> block_key() const {
    return world.keys.bits(compute.order == PbsOrder::keyswitch_bootstrap ? KeyName::glwe : KeyName::lwe_compute);
  }
  u128 squashed_phase(const SquashedBlock& block) const { return phase(block.lwe, world.keys.bits(KeyName::sns)); }

  const test::World& world;
  CompactPublicKey public_key;
  ComputeKey compute;
  CastKey cast;
  SnsKey sns;
  SnsCompressionKey sns_compression;
};

const Evaluator& evaluator(std::string_view name) {
  static std::map<std::string, Evaluator, std::less<>> made;
  return made.try_emplace(std::string(name), test::world(name)).first->second;
}

i128 magnitude(i128 value) {
  return value < 0 ? -value : value;
}

U256 random_value(FheType type, Rng& rng) {
  Bytes bytes(32);
  rng.fill(bytes);
  return U256::from_le_bytes(bytes).low_bits(info(type).bits);
}

/// The value of unpaired blocks under the block key.
U256 decrypt_value(const Evaluator& e, FheType type, std::span<const Block> blocks) {
  std::vector<std::uint8_t> digits;
  for (const Block& block : blocks) digits.push_back(static_cast<std::uint8_t>(decrypt_block(block, e.block_key())));
  return recombine(type, digits).value();
}

class Functional : public ::testing::TestWithParam<const char*> {
 protected:
  const Evaluator& e_ = evaluator(GetParam());
  witan::test::SeededRng rng_{GetParam()};
};
INSTANTIATE_TEST_SUITE_P(Sets, Functional, ::testing::Values("test", "test_reshare", "witan_toy_b"),
                         [](const auto& info) { return std::string(info.param); });

// The chain of threshold-tfhe.md 12: cast key switch, bootstrap, key switch and bootstrap, squash, compression.
TEST_P(Functional, AllMessagesSurviveTheWholeChain) {
  const PlaintextSpace space{4, 4};
  const LookupTable identity = make_lookup_table(e_.compute, [](u64 x) { return x; });
  EXPECT_EQ(identity.degree, 15u);
  std::vector<SquashedBlock> squashed;
  for (u64 m = 0; m < 16; ++m) {
    const auto encrypted =
        encrypt_lwe<u64>(e_.world.keys.bits(KeyName::lwe_encryption), m << 59, e_.world.params.pke->noise, rng_);
    const Lwe<u64> small = keyswitch(e_.cast.ksk, encrypted);
    Block block{.lwe = bootstrap(e_.compute.rotation, e_.compute.modulus_switch, small, identity.accumulator),
                .degree = 15,
                .noise_level = 1,
                .space = space,
                .order = PbsOrder::keyswitch_bootstrap};
    EXPECT_EQ(decrypt_block(block, e_.block_key()), m);
    block = apply(e_.compute, identity, block).value();
    EXPECT_EQ(decrypt_block(block, e_.block_key()), m);
    EXPECT_TRUE(magnitude(noise_of(phase(block.lwe, e_.block_key()), space)) < i128{1} << 50);
    squashed.push_back(squash(e_.compute, e_.sns, block).value());
    EXPECT_EQ(decode_pair(e_.squashed_phase(squashed.back())), m);
    EXPECT_TRUE(magnitude(noise_of(e_.squashed_phase(squashed.back()), space)) < i128{1} << 66);
  }
  const auto list = compress(e_.sns_compression, squashed).value();
  const auto elements = list_elements(list, 0, 16).value();
  for (u64 m = 0; m < 16; ++m) {
    const u128 value = phase(elements[m], e_.world.keys.bits(KeyName::sns_compression));
    EXPECT_EQ(decode_pair(value), m);
    // One level of base 2^61 in the test sets raises the noise to 2^69.2 (threshold-tfhe.md 1.3).
    EXPECT_TRUE(magnitude(noise_of(value, space)) < i128{1} << 74);
  }
}

TEST_P(Functional, CompressionAndDecompressionKeepTheMessage) {
  const auto compression = prepare_compression_key(e_.world.set.server_key).value();
  const auto decompression = prepare_decompression_key(e_.world.set.server_key).value();
  const std::size_t count = compression.lwe_per_glwe + 3;  // two GLWEs
  std::vector<Block> blocks;
  for (u64 i = 0; i < count; ++i) blocks.push_back(encrypt_block(e_.world.params, e_.world.keys, i % 4, rng_));
  const auto list = compress(compression, blocks).value();
  EXPECT_EQ(list.size(), count);
  ASSERT_EQ(list.glwes.size(), 2u);
  EXPECT_EQ(list.glwes[0].log_modulus, e_.world.params.compression->storage_log_modulus);
  EXPECT_EQ(list.glwes[1].bodies_count, 3u);
  for (std::size_t i = 0; i < count; i += i < 8 ? 1 : 7) {
    const Block block = decompress(decompression, list, i).value();
    EXPECT_EQ(decrypt_block(block, e_.block_key()), i % 4) << i;
    EXPECT_EQ(block.degree, 3u);
    EXPECT_EQ(block.noise_level, 1u);
    // An ordinary block again: it squashes.
    if (i < 4) EXPECT_EQ(decode_pair(e_.squashed_phase(squash(e_.compute, e_.sns, block).value())), i % 4);
  }
  EXPECT_EQ(decompress(decompression, list, count).error().code, Code::out_of_range);
}

/// A client's list of all types, through all that a coprocessor does.
TEST_P(Functional, EveryTypeFromTheClientsListToTheCompressedSquashedList) {
  std::vector<CompactValue> values;
  std::vector<U256> plain;
  for (const FheType type : all_fhe_types()) {
    plain.push_back(random_value(type, rng_));
    values.push_back(compact_value(type, plain.back()).value());
  }
  const CompactList list = encrypt_compact_list(e_.public_key, values, rng_).value();
  const auto blocks = expand_compact_list(e_.compute, e_.cast, list).value();
  ASSERT_EQ(blocks.size(), list.total_blocks());
  std::size_t at = 0;
  for (std::size_t i = 0; i < plain.size(); ++i) {
    const FheType type = all_fhe_types()[i];
    SCOPED_TRACE(info(type).name);
    const auto value_blocks = std::span(blocks).subspan(at, static_cast<std::size_t>(info(type).blocks));
    at += value_blocks.size();
    EXPECT_EQ(decrypt_value(e_, type, value_blocks), plain[i]);
    for (const Block& block : value_blocks) {
      EXPECT_EQ(block.noise_level, 1u);
      EXPECT_EQ(block.degree, type == FheType::boolean ? 1u : 3u);
    }

    std::vector<SquashedBlock> squashed;
    for (const Block& pair : pair_blocks(value_blocks, 5).value())
      squashed.push_back(squash(e_.compute, e_.sns, pair).value());
    ASSERT_EQ(static_cast<int>(squashed.size()), info(type).packed_blocks);
    EXPECT_EQ(squashed.front().degree, type == FheType::boolean ? 1u : 15u);
    std::vector<std::uint8_t> digits;
    for (const SquashedBlock& block : squashed) digits.push_back(decode_pair(e_.squashed_phase(block)));
    EXPECT_EQ(recombine(type, digits).value(), plain[i]);

    const auto compressed = compress(e_.sns_compression, squashed).value();
    digits.clear();
    for (const auto& element : list_elements(compressed, 0, squashed.size()).value())
      digits.push_back(decode_pair(phase(element, e_.world.keys.bits(KeyName::sns_compression))));
    EXPECT_EQ(recombine(type, digits).value(), plain[i]);
  }
  EXPECT_EQ(expand_compact_value(e_.compute, e_.cast, list, 1).value(),
            std::vector<Block>(blocks.begin() + 1, blocks.begin() + 5));
}

// What tfhe-rs clears while it unpacks: booleans become 0 or 1, the last block of a character keeps one bit.
TEST_P(Functional, UnpackingClearsWhatTheKindDoesNotAllow) {
  const std::vector<CompactValue> values{{BooleanKind{}, {3}},  // low half of a pair
                                         {UnsignedKind{2}, {2, 1}},
                                         {BooleanKind{}, {2}},  // high half
                                         {StringKind{1, false}, {1, 2, 3, 3}},
                                         {SignedKind{1}, {3}}};
  const CompactList list = encrypt_compact_list(e_.public_key, values, rng_).value();
  std::vector<u64> got;
  for (const Block& block : expand_compact_list(e_.compute, e_.cast, list).value())
    got.push_back(decrypt_block(block, e_.block_key()));
  EXPECT_EQ(got, (std::vector<u64>{1, 2, 1, 1, 1, 2, 3, 1, 3}));
}

TEST_P(Functional, ListsWithOneBlockPerCiphertextExpandToo) {
  // Four packed blocks whose high halves are zero are two ciphertexts of one block each.
  CompactList list =
      encrypt_compact_list(e_.public_key, std::vector<CompactValue>{{UnsignedKind{4}, {3, 0, 2, 0}}}, rng_).value();
  list.degree = 3;
  list.kinds = {BooleanKind{}, UnsignedKind{1}};
  std::vector<u64> got;
  for (const Block& block : expand_compact_list(e_.compute, e_.cast, list).value())
    got.push_back(decrypt_block(block, e_.block_key()));
  EXPECT_EQ(got, (std::vector<u64>{1, 2}));
}

/// Sums of two blocks decrypt through the carry, and a block with a carry is refused where tfhe-rs refuses it.
TEST_P(Functional, CarriesAreSeenAndRefused) {
  Block sum = encrypt_block(e_.world.params, e_.world.keys, 3, rng_);
  const Block other = encrypt_block(e_.world.params, e_.world.keys, 2, rng_);
  for (std::size_t i = 0; i < sum.lwe.data.size(); ++i) sum.lwe.data[i] += other.lwe.data[i];
  sum.degree += other.degree;
  sum.noise_level += other.noise_level;
  EXPECT_EQ(decrypt_block(sum, e_.block_key()), 5u);
  EXPECT_EQ(pair_blocks(std::vector<Block>{other, sum}, 5).error().code, Code::invalid_argument);
  const auto compression = prepare_compression_key(e_.world.set.server_key).value();
  EXPECT_EQ(compress(compression, std::vector<Block>{sum}).error().code, Code::invalid_argument);
  const Block clean = apply(e_.compute, make_lookup_table(e_.compute, [](u64 x) { return x % 4; }), sum).value();
  EXPECT_EQ(decrypt_block(clean, e_.block_key()), 1u);
  EXPECT_TRUE(pair_blocks(std::vector<Block>{other, clean}, 5));
}

class Refusals : public ::testing::Test {
 protected:
  const Evaluator& e_ = evaluator("test");
  witan::test::SeededRng rng_{"refusals"};
  Block block_ = encrypt_block(e_.world.params, e_.world.keys, 1, rng_);
};

TEST_F(Refusals, BlocksOfOtherParameters) {
  Block shorter = block_;
  shorter.lwe.data.pop_back();
  Block other_space = block_;
  other_space.space = {2, 8};
  const LookupTable identity = make_lookup_table(e_.compute, [](u64 x) { return x; });
  const auto compression = prepare_compression_key(e_.world.set.server_key).value();
  for (const Block& bad : {shorter, other_space, Block{}}) {
    EXPECT_EQ(apply(e_.compute, identity, bad).error().code, Code::invalid_argument);
    EXPECT_EQ(squash(e_.compute, e_.sns, bad).error().code, Code::invalid_argument);
    EXPECT_EQ(compress(compression, std::vector<Block>{block_, bad}).error().code, Code::invalid_argument);
    EXPECT_EQ(pair_blocks(std::vector<Block>{block_, bad}, 5).error().code, Code::invalid_argument);
  }
  EXPECT_EQ(compress(compression, {}).error().code, Code::invalid_argument);
  EXPECT_EQ(compress(e_.sns_compression, {}).error().code, Code::invalid_argument);
  EXPECT_EQ(compress(e_.sns_compression, std::vector<SquashedBlock>(1)).error().code, Code::invalid_argument);
}

TEST_F(Refusals, TooMuchNoise) {
  Block noisy = block_;
  noisy.noise_level = 2;
  EXPECT_EQ(pair_blocks(std::vector<Block>{block_, noisy}, 5).error().code, Code::invalid_argument);  // 1 + 4 * 2
  EXPECT_TRUE(pair_blocks(std::vector<Block>{block_, block_}, 5));
  noisy.noise_level = ~u64{0};
  EXPECT_EQ(pair_blocks(std::vector<Block>{block_, noisy}, 5).error().code, Code::invalid_argument);
  const auto compression = prepare_compression_key(e_.world.set.server_key).value();
  EXPECT_EQ(compress(compression, std::vector<Block>{noisy}).error().code, Code::invalid_argument);
}

TEST_F(Refusals, ListsOfOtherParameters) {
  const std::vector<CompactValue> values{compact_value(FheType::uint8, U256(5)).value()};
  const CompactList other = encrypt_compact_list(evaluator("witan_toy_b").public_key, values, rng_).value();
  EXPECT_EQ(expand_compact_list(e_.compute, e_.cast, other).error().code, Code::invalid_argument);
  CompactList list = encrypt_compact_list(e_.public_key, values, rng_).value();
  EXPECT_EQ(expand_compact_value(e_.compute, e_.cast, list, 1).error().code, Code::out_of_range);
  list.expansion = NoCasting{};
  EXPECT_EQ(expand_compact_list(e_.compute, e_.cast, list).error().code, Code::invalid_argument);
  const auto decompression = prepare_decompression_key(e_.world.set.server_key).value();
  const auto squashed_key = prepare_compression_key(evaluator("witan_toy_b").world.set.server_key).value();
  const Block toy = encrypt_block(evaluator("witan_toy_b").world.params, evaluator("witan_toy_b").world.keys, 1, rng_);
  const auto toy_list = compress(squashed_key, std::vector<Block>{toy}).value();
  EXPECT_EQ(decompress(decompression, toy_list, 0).error().code, Code::invalid_argument);
}

TEST_F(Refusals, PartsThatAServerKeyLacks) {
  CompressedServerKey bare = e_.world.set.server_key;
  bare.cast.reset();
  bare.compression.reset();
  bare.decompression.reset();
  bare.sns.reset();
  bare.sns_compression.reset();
  EXPECT_EQ(prepare_cast_key(bare).error().code, Code::failed_precondition);
  EXPECT_EQ(prepare_compression_key(bare).error().code, Code::failed_precondition);
  EXPECT_EQ(prepare_decompression_key(bare).error().code, Code::failed_precondition);
  EXPECT_EQ(prepare_sns_key(bare).error().code, Code::failed_precondition);
  EXPECT_EQ(prepare_sns_compression_key(bare).error().code, Code::failed_precondition);
}

/// Sets whose blocks live under the small key (bootstrap, then key switch) and sets that cast to the big key.
TEST(OtherOrders, SmallBlocksAndCastsToTheBigKey) {
  Params small = test::params("witan_toy_b");
  small.name = "toy b with small blocks";
  small.compute.encryption_key = KeyChoice::small;
  Params big_cast = test::params("witan_toy_b");
  big_cast.name = "toy b cast to big";
  big_cast.cast = KeySwitchParams{{18, 1}, KeyChoice::big};
  for (const Params& params : {small, big_cast}) {
    SCOPED_TRACE(params.name);
    const test::World world = test::make_world(params);
    EXPECT_TRUE(check(world.set));
    const Evaluator e(world);
    witan::test::SeededRng rng(params.name);
    const U256 value(0xa5);
    const std::vector<CompactValue> values{compact_value(FheType::uint8, value).value()};
    const auto blocks =
        expand_compact_list(e.compute, e.cast, encrypt_compact_list(e.public_key, values, rng).value()).value();
    EXPECT_EQ(blocks.front().lwe.dimension(), params.compute.block_dimension());
    EXPECT_EQ(decrypt_value(e, FheType::uint8, blocks), value);
    const auto doubled =
        apply(e.compute, make_lookup_table(e.compute, [](u64 x) { return 2 * x % 16; }), blocks[0]).value();
    EXPECT_EQ(decrypt_block(doubled, e.block_key()), 2u);
    std::vector<std::uint8_t> digits;
    for (const Block& pair : pair_blocks(blocks, 5).value())
      digits.push_back(decode_pair(e.squashed_phase(squash(e.compute, e.sns, pair).value())));
    EXPECT_EQ(recombine(FheType::uint8, digits).value(), value);
  }
}

/// All parties must hold identical squashed bytes (threshold-tfhe.md 6.4). The digest pins the exact arithmetic: any
/// kernel, on any machine, must give it.
TEST(Determinism, SquashedBytesAreTheSameEverywhere) {
  crypto::Sha256 hash;
  for (const char* name : {"test", "witan_toy_b"}) {
    const Evaluator& e = evaluator(name);
    witan::test::SeededRng rng("determinism");
    for (u64 m = 0; m < 4; ++m) {
      const Block block = encrypt_block(e.world.params, e.world.keys, m, rng);
      const SquashedBlock one = squash(e.compute, e.sns, block).value();
      EXPECT_EQ(one, squash(e.compute, e.sns, block).value());
      hash.update({reinterpret_cast<const std::uint8_t*>(one.lwe.data.data()), one.lwe.data.size() * sizeof(u128)});
    }
  }
  EXPECT_EQ(to_hex(hash.finish()), "58dc63237b0bdae3979280d141c60130d65247d6b197fd73d788b507664bbeb5");
}

}  // namespace
}  // namespace witan::tfhe
