#include "tfhe/packing.h"

#include <gtest/gtest.h>

#include "support/support.h"
#include "tfhe/encrypt.h"
#include "tfhe_testing.h"

namespace witan::tfhe {
namespace {

template <class W>
class Packing : public ::testing::Test {};
using Words = ::testing::Types<u64, u128>;
TYPED_TEST_SUITE(Packing, Words);

template <Word W>
bool bit(const std::vector<W>& words, std::size_t at) {
  return (words[at / (8 * sizeof(W))] >> (at % (8 * sizeof(W))) & 1) != 0;
}

// tfhe-formats.md 8.3: value i occupies bits [i log, (i+1) log) of a little-endian bit stream.
TYPED_TEST(Packing, BitStreamHoldsEveryValueAtItsPlace) {
  using W = TypeParam;
  witan::test::SeededRng rng("bits");
  for (std::uint32_t log = 1; log <= 8 * sizeof(W); ++log) {
    std::vector<W> values(37);
    for (W& value : values) value = rng.next<W>() >> (8 * sizeof(W) - log);
    const auto packed = pack_bits<W>(values, log);
    EXPECT_EQ(packed.size(), (37 * log + 8 * sizeof(W) - 1) / (8 * sizeof(W)));
    for (std::size_t i = 0; i < values.size(); ++i)
      for (std::uint32_t b = 0; b < log; ++b) ASSERT_EQ(bit(packed, i * log + b), (values[i] >> b & 1) != 0);
    EXPECT_TRUE(unpack_bits<W>(packed, log, values.size()) == values) << log;
  }
}

TYPED_TEST(Packing, StoredGlweIsRoundedToTheStorageModulus) {
  using W = TypeParam;
  witan::test::SeededRng rng("glwe");
  Glwe<W> glwe(2, 8);
  for (W& word : glwe.data) word = rng.next<W>();
  glwe.data[0] = ~W{0};  // rounds up to 0
  for (const std::uint32_t log : {9u, 12u, static_cast<std::uint32_t>(8 * sizeof(W))}) {
    const PackedGlwe<W> packed = pack_glwe(glwe, 5, log);
    EXPECT_EQ(packed.initial_len, 2 * 8 + 5u);
    const Glwe<W> back = unpack_glwe(packed).value();
    const std::size_t dropped = 8 * sizeof(W) - log;
    for (std::size_t i = 0; i < packed.initial_len; ++i) {
      const auto error = static_cast<SignedWord<W>>(back.data[i] - glwe.data[i]);
      EXPECT_TRUE(dropped == 0 ? error == 0 : (error < 0 ? -error : error) <= SignedWord<W>{1} << (dropped - 1));
      EXPECT_TRUE(dropped == 0 || back.data[i] << log == 0);
    }
    for (std::size_t i = packed.initial_len; i < 24; ++i) EXPECT_TRUE(back.data[i] == 0);  // missing bodies
  }
}

TEST(PackedGlweCheck, NamesTheFieldThatDisagrees) {
  Glwe<u64> glwe(2, 8);
  const PackedGlwe<u64> good = pack_glwe(glwe, 5, 12);
  ASSERT_TRUE(check(good));
  struct Row {
    std::string_view expected;
    void (*spoil)(PackedGlwe<u64>&);
  };
  for (const Row& row : {
           Row{"storage modulus", [](PackedGlwe<u64>& g) { g.log_modulus = 0; }},
           Row{"storage modulus", [](PackedGlwe<u64>& g) { g.log_modulus = 65; }},
           Row{"out of range", [](PackedGlwe<u64>& g) { g.glwe_dimension = 0; }},
           Row{"out of range", [](PackedGlwe<u64>& g) { g.glwe_dimension = ~std::size_t{0}; }},
           Row{"out of range", [](PackedGlwe<u64>& g) { g.polynomial_size = std::size_t{1} << 40; }},
           Row{"bodies", [](PackedGlwe<u64>& g) { g.bodies_count = 0; }},
           Row{"bodies", [](PackedGlwe<u64>& g) { g.bodies_count = 9; }},
           Row{"its sizes give", [](PackedGlwe<u64>& g) { g.bodies_count = 6; }},
           Row{"its sizes give", [](PackedGlwe<u64>& g) { g.initial_len = ~std::size_t{0}; }},
           Row{"words", [](PackedGlwe<u64>& g) { g.packed_coefficients.pop_back(); }},
           Row{"words", [](PackedGlwe<u64>& g) { g.log_modulus = 13; }},
       }) {
    PackedGlwe<u64> packed = good;
    row.spoil(packed);
    const auto status = check(packed);
    ASSERT_FALSE(status) << row.expected;
    EXPECT_NE(status.error().message.find(row.expected), std::string::npos) << status.error().message;
    EXPECT_FALSE(unpack_glwe(packed));
  }
}

/// All of N slots, k = 2, two levels (TOY_A): each message stays in its slot; a second GLWE takes what is left.
TEST(PackingKeySwitch, EveryCiphertextDecryptsAtItsPlace) {
  witan::test::SeededRng rng("packing");
  const test::World& world = test::world("witan_toy_a");
  const PackingKey<u128> key(world.set.server_key.sns_compression->packing);
  EXPECT_EQ(key.input_dimension(), 64u);
  EXPECT_EQ(key.glwe_dimension(), 2u);
  const auto input = world.keys.bits(KeyName::sns), output = world.keys.bits(KeyName::sns_compression);
  std::vector<Lwe<u128>> lwes;
  for (u128 i = 0; i < 20; ++i) lwes.push_back(encrypt_lwe<u128>(input, (i * 7 % 16) << 123, {8}, rng));
  PackedList<u128> list{.glwes = {}, .lwe_per_glwe = 16, .space = {4, 4}};
  for (const auto& [first, count] : {std::pair<std::size_t, std::size_t>{0, 16}, {16, 4}}) {
    std::vector<const Lwe<u128>*> part;
    for (std::size_t i = first; i < first + count; ++i) part.push_back(&lwes[i]);
    list.glwes.push_back(pack_glwe(key.pack(part), count, 128));
  }
  EXPECT_EQ(list.size(), 20u);
  const auto elements = list_elements(list, 0, 20).value();
  for (std::size_t i = 0; i < 20; ++i) {
    const u128 value = phase(elements[i], output);
    EXPECT_EQ(decode(value, PlaintextSpace{4, 4}), i * 7 % 16) << i;
    const i128 noise = noise_of(value, PlaintextSpace{4, 4});
    EXPECT_TRUE((noise < 0 ? -noise : noise) < i128{1} << 60);
    EXPECT_EQ(list_element(list, i).value(), elements[i]);
  }
  EXPECT_EQ(list_element(list, 20).error().code, Code::out_of_range);
  EXPECT_EQ(list_element(list, ~std::size_t{0}).error().code, Code::out_of_range);
  EXPECT_EQ(list_elements(list, 18, 3).error().code, Code::out_of_range);
  for (const std::size_t count : {1u, 15u, 16u, 17u, 20u}) {
    const auto prefix = list_prefix(list, count).value();
    EXPECT_EQ(prefix.size(), count > 16 ? 2u : 1u);
    EXPECT_EQ(extract_all<u128>(prefix), list_elements(list, 0, count).value());
  }
  EXPECT_EQ(list_prefix(list, 21).error().code, Code::out_of_range);
  list.lwe_per_glwe = 0;
  EXPECT_EQ(list_prefix(list, 1).error().code, Code::invalid_argument);
  EXPECT_EQ(list_element(list, 0).error().code, Code::invalid_argument);
}

}  // namespace
}  // namespace witan::tfhe
