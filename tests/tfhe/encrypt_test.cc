#include "tfhe/encrypt.h"

#include <gtest/gtest.h>

#include "support/support.h"
#include "tfhe/expand.h"
#include "tfhe_testing.h"

namespace witan::tfhe {
namespace {

TEST(Encryption, LwePhasesAreThePlaintextAndBoundedNoise) {
  witan::test::SeededRng rng("lwe");
  const auto key = test::world("witan_toy_b").keys.bits(KeyName::glwe);
  for (const std::uint32_t b : {0u, 4u, 30u}) {
    const u64 plaintext = rng.next<u64>();
    EXPECT_LE(std::abs(static_cast<i64>(phase(encrypt_lwe<u64>(key, plaintext, {b}, rng), key) - plaintext)),
              i64{1} << b);
    const u128 wide = rng.next<u128>();
    const auto noise = static_cast<i128>(phase(encrypt_lwe<u128>(key, wide, {b}, rng), key) - wide);
    EXPECT_TRUE((noise < 0 ? -noise : noise) <= i128{1} << b);
  }
}

TEST(Encryption, GlwePhasesAreThePlaintextPolynomial) {
  witan::test::SeededRng rng("glwe");
  const GlweSecretKey& key = *test::world("witan_toy_a").keys.sns;  // k = 2
  std::vector<u128> plaintext(key.polynomial_size);
  for (u128& word : plaintext) word = rng.next<u128>();
  const auto got = phase(encrypt_glwe<u128>(key, plaintext, {3}, rng), key);
  for (std::size_t j = 0; j < plaintext.size(); ++j) {
    const auto noise = static_cast<i128>(got[j] - plaintext[j]);
    EXPECT_TRUE(noise >= -8 && noise <= 8);
  }
}

TEST(Encryption, DecodeRoundsAndReportsTheNoise) {
  const PlaintextSpace space{4, 4};
  const u64 delta = u64{1} << 59;
  for (u64 m = 0; m < 16; ++m) {
    EXPECT_EQ(decode(m * delta + delta / 2 - 1, space), m);
    EXPECT_EQ(decode(m * delta - delta / 2, space), m);
    EXPECT_EQ(noise_of(m * delta - 5, space), -5);
    EXPECT_TRUE(noise_of<u128>((u128{m} << 123) + 7, space) == 7);
  }
}

class CompactLists : public ::testing::Test {
 protected:
  const test::World& world_ = test::world("witan_toy_b");
  CompactPublicKey key_ = public_key_of(world_.set);
  witan::test::SeededRng rng_{"compact list"};

  u64 decrypt(const CompactList& list, std::size_t i) {
    const auto value = phase(compact_list_element(list, i), world_.keys.bits(KeyName::lwe_encryption));
    EXPECT_LT(std::abs(noise_of(value, list.space)), i64{1} << 20);
    return decode(value, list.space);
  }
};

// tfhe-formats.md 7: pairs cross value boundaries, a Boolean takes one block, one mask per n ciphertexts.
TEST_F(CompactLists, HoldPairsOfBlocksInOrderAcrossValuesAndMasks) {
  std::vector<CompactValue> values;
  std::vector<std::uint8_t> blocks;
  for (int i = 0; i < 60; ++i) {
    const FheType type = i % 3 ? FheType::uint8 : FheType::boolean;
    const U256 value(static_cast<u64>(type == FheType::boolean ? i % 2 : 7 * i % 256));
    values.push_back(compact_value(type, value).value());
    blocks.insert(blocks.end(), values.back().blocks.begin(), values.back().blocks.end());
  }
  const CompactList list = encrypt_compact_list(key_, values, rng_).value();
  EXPECT_EQ(list.lwe_dimension, 64u);
  EXPECT_EQ(list.degree, 15u);
  EXPECT_TRUE(list.is_packed());
  EXPECT_EQ(list.total_blocks(), blocks.size());
  const auto pairs = pair_blocks(std::span<const std::uint8_t>(blocks));
  ASSERT_EQ(list.ciphertext_count, pairs.size());
  ASSERT_GT(pairs.size(), 64u);
  EXPECT_EQ(list.data.size(), 2 * 64 + pairs.size());
  for (std::size_t i = 0; i < pairs.size(); ++i) EXPECT_EQ(decrypt(list, i), pairs[i]) << i;
}

TEST_F(CompactLists, AreRandomised) {
  const std::vector<CompactValue> values{compact_value(FheType::uint64, U256(5)).value()};
  EXPECT_NE(encrypt_compact_list(key_, values, rng_).value(), encrypt_compact_list(key_, values, rng_).value());
}

TEST_F(CompactLists, RefuseWhatDoesNotFit) {
  EXPECT_EQ(encrypt_compact_list(key_, {}, rng_).error().code, Code::invalid_argument);
  for (const CompactValue& value : {CompactValue{UnsignedKind{2}, {1}}, CompactValue{UnsignedKind{0}, {}},
                                    CompactValue{BooleanKind{}, {4}}, CompactValue{StringKind{1, false}, {1, 2, 3}}})
    EXPECT_EQ(encrypt_compact_list(key_, {&value, 1}, rng_).error().code, Code::invalid_argument);
  EXPECT_EQ(compact_value(FheType::uint8, U256(256)).error().code, Code::invalid_argument);
  CompactPublicKey cut = key_;
  cut.data.pop_back();
  const CompactValue fine = compact_value(FheType::boolean, U256(1)).value();
  EXPECT_EQ(encrypt_compact_list(cut, {&fine, 1}, rng_).error().code, Code::invalid_argument);
}

TEST_F(CompactLists, ThatCameFromOutsideAreChecked) {
  const std::vector<CompactValue> values{compact_value(FheType::uint8, U256(5)).value(),
                                         compact_value(FheType::boolean, U256(1)).value()};
  const CompactList good = encrypt_compact_list(key_, values, rng_).value();
  EXPECT_TRUE(check(good));
  struct Row {
    std::string_view expected;
    void (*spoil)(CompactList&);
  };
  for (const Row& row : {
           Row{"words", [](CompactList& l) { l.data.pop_back(); }},
           Row{"words", [](CompactList& l) { l.lwe_dimension = 32; }},
           Row{"dimension", [](CompactList& l) { l.lwe_dimension = 0; }},
           Row{"dimension", [](CompactList& l) { l.lwe_dimension = ~std::size_t{0}; }},
           Row{"ciphertexts", [](CompactList& l) { l.ciphertext_count = 0; }},
           Row{"ciphertexts", [](CompactList& l) { l.ciphertext_count = ~std::size_t{0} / 2; }},
           Row{"describes 0 values", [](CompactList& l) { l.kinds.clear(); }},
           Row{"Unsigned of 0", [](CompactList& l) { l.kinds.emplace_back(UnsignedKind{0}); }},
           Row{"describes a value", [](CompactList& l) { l.kinds.emplace_back(SignedKind{~std::size_t{0}}); }},
           Row{"its values take", [](CompactList& l) { l.kinds.emplace_back(StringKind{2, true}); }},
           Row{"its values take", [](CompactList& l) { l.degree = 3; }},
       }) {
    CompactList list = good;
    row.spoil(list);
    const auto status = check(list);
    ASSERT_FALSE(status) << row.expected;
    EXPECT_NE(status.error().message.find(row.expected), std::string::npos) << status.error().message;
  }
}

}  // namespace
}  // namespace witan::tfhe
