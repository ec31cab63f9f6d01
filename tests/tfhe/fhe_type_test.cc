#include "tfhe/fhe_type.h"

#include <gtest/gtest.h>

#include "support/support.h"

namespace witan::tfhe {
namespace {

U256 number(std::string_view text) {
  return U256::parse(text).value();
}

TEST(U256, ParsesAndPrintsBothBases) {
  struct Row {
    std::string_view text, decimal, hex;
  };
  for (const Row& row : {Row{"0", "0", "0x0"}, Row{"255", "255", "0xff"}, Row{"0xDEADbeef", "3735928559", "0xdeadbeef"},
                         Row{"18446744073709551616", "18446744073709551616", "0x10000000000000000"},
                         Row{"0xffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
                             "115792089237316195423570985008687907853269984665640564039457584007913129639935",
                             "0xffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"}}) {
    EXPECT_EQ(number(row.text).decimal(), row.decimal);
    EXPECT_EQ(number(row.text).hex(), row.hex);
    EXPECT_EQ(number(row.decimal), number(row.hex));
  }
  EXPECT_EQ(number("7").hex(4), "0x0007");
}

TEST(U256, RefusesOtherTextAndOverflow) {
  for (const std::string_view text : {"", "0x", "-1", "1 ", "12a", "0xg", "1.5",
                                      "115792089237316195423570985008687907853269984665640564039457584007913129639936",
                                      "0x10000000000000000000000000000000000000000000000000000000000000000"})
    EXPECT_EQ(U256::parse(text).error().code, Code::invalid_argument) << text;
}

TEST(U256, BytesBitsAndShiftedSums) {
  const U256 value = number("0xf0e1d2c3b4a5968778695a4b3c2d1e0f00112233445566778899aabbccddeeff");
  EXPECT_EQ(U256::from_le_bytes(value.to_le_bytes(32)), value);
  EXPECT_EQ(value.to_le_bytes(2), (Bytes{0xff, 0xee}));
  EXPECT_EQ(value.bits(0, 8), 0xffu);
  EXPECT_EQ(value.bits(60, 8), 0x78u);
  EXPECT_EQ(value.bits(252, 8), 0xfu);
  EXPECT_EQ(value.bits(128, 64), 0x78695a4b3c2d1e0fu);
  EXPECT_EQ(value.bit_length(), 256);
  EXPECT_EQ(U256().bit_length(), 0);
  EXPECT_EQ(number("0x10000000000000000").bit_length(), 65);
  EXPECT_EQ(value.low_bits(12), number("0xeff"));
  EXPECT_EQ(value.low_bits(64), number("0x8899aabbccddeeff"));

  U256 sum = number("0xffffffffffffffffffffffffffffffffffffffffffffffff");
  sum.add_shifted(1, 0);
  EXPECT_EQ(sum, number("0x1000000000000000000000000000000000000000000000000"));
  sum = number("0xffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff");
  sum.add_shifted(0xffffffffffffffff, 63);  // wraps mod 2^256
  EXPECT_EQ(sum, number("0x7fffffffffffffff7fffffffffffffff"));
  EXPECT_LT(number("5"), number("0x10000000000000000"));
}

// threshold-tfhe.md 7.1.
TEST(FheType, TableOfServedTypes) {
  struct Row {
    std::int64_t number;
    std::string_view name, short_name;
    int packed_blocks, packing_factor, bytes;
  };
  const Row rows[] = {{0, "Bool", "bool", 1, 1, 1},      {2, "Uint8", "u8", 2, 2, 1},
                      {3, "Uint16", "u16", 4, 2, 2},     {4, "Uint32", "u32", 8, 2, 4},
                      {5, "Uint64", "u64", 16, 2, 8},    {6, "Uint128", "u128", 32, 2, 16},
                      {7, "Uint160", "u160", 40, 2, 20}, {8, "Uint256", "u256", 64, 2, 32}};
  ASSERT_EQ(all_fhe_types().size(), std::size(rows));
  for (std::size_t i = 0; i < std::size(rows); ++i) {
    const auto type = fhe_type_from_number(rows[i].number);
    ASSERT_TRUE(type);
    EXPECT_EQ(*type, all_fhe_types()[i]);
    EXPECT_EQ(info(*type).name, rows[i].name);
    EXPECT_EQ(info(*type).packed_blocks, rows[i].packed_blocks);
    EXPECT_EQ(info(*type).packing_factor, rows[i].packing_factor);
    EXPECT_EQ(info(*type).plaintext_bytes, rows[i].bytes);
    EXPECT_EQ(parse_fhe_type(rows[i].short_name).value(), *type);
    EXPECT_EQ(parse_fhe_type(rows[i].name).value(), *type);
    EXPECT_EQ(fhe_type_name(rows[i].number), rows[i].name);
  }
  EXPECT_EQ(parse_fhe_type("Address").value(), FheType::uint160);
}

// tfhe-formats.md 19.
TEST(FheType, TypesThatAreNotServedAreCalledByName) {
  const std::pair<std::int64_t, std::string_view> rows[] = {{1, "Uint4"},    {9, "Uint512"},      {16, "Uint14"},
                                                            {18, "Int4"},    {30, "AsciiString"}, {33, "Int2048"},
                                                            {58, "Uint248"}, {83, "Int248"}};
  for (const auto& [value, name] : rows) {
    EXPECT_EQ(fhe_type_name(value), name);
    EXPECT_EQ(fhe_type_from_number(value).error().code, Code::invalid_argument);
    EXPECT_NE(fhe_type_from_number(value).error().message.find(name), std::string::npos);
  }
  for (const std::int64_t value : {std::int64_t{-1}, std::int64_t{84}, std::int64_t{1} << 40}) {
    EXPECT_TRUE(fhe_type_name(value).empty());
    EXPECT_EQ(fhe_type_from_number(value).error().code, Code::invalid_argument);
  }
  EXPECT_EQ(parse_fhe_type("u7").error().code, Code::invalid_argument);
}

TEST(Decode, RoundsToTheNearestOfSixteenAndWrapsBelowZero) {
  const u128 delta = u128{1} << 123;
  for (u128 m = 0; m < 16; ++m) {
    EXPECT_EQ(decode_pair(m * delta), m);
    EXPECT_EQ(decode_pair(m * delta + delta / 2 - 1), m);  // largest noise
    EXPECT_EQ(decode_pair(m * delta - delta / 2), m);      // smallest noise; for m = 0 this is a phase near 2^128
  }
  EXPECT_EQ(decode_pair(~u128{0}), 0);
  EXPECT_EQ(decode_pair(~u128{0} - delta), 15);  // the formula's boundary: not above 2^128 - 1 - 2^123
  EXPECT_EQ(decode_pair(~u128{0} - delta + 1), 0);
  EXPECT_EQ(decode_pair(delta * 15 + delta / 2), 0);  // half a step above 15: the padding bit, mod 16
}

TEST(Recombine, EveryTypeGivesBackItsValue) {
  witan::test::SeededRng rng("recombine");
  for (const FheType type : all_fhe_types()) {
    for (int round = 0; round < 20; ++round) {
      const Bytes random = [&] {
        Bytes bytes(32);
        rng.fill(bytes);
        return bytes;
      }();
      const U256 value = round == 0 ? U256() : U256::from_le_bytes(random).low_bits(info(type).bits);
      const auto blocks = to_blocks(type, value).value();
      EXPECT_EQ(static_cast<int>(blocks.size()), info(type).blocks);
      const auto pairs = pair_blocks(std::span<const std::uint8_t>(blocks));
      EXPECT_EQ(static_cast<int>(pairs.size()), info(type).packed_blocks);
      EXPECT_EQ(recombine(type, pairs).value(), value) << info(type).name;
      EXPECT_EQ(recombine(type, blocks).value(), value) << info(type).name;  // bit decomposition: packing factor 1
    }
  }
}

TEST(Recombine, CarriesRippleAndTheEndIsCut) {
  // Unpaired blocks of value 4 + 1: the carry goes into the next block, that of the last block is cut.
  const std::vector<std::uint8_t> blocks{5, 0, 0, 7};
  EXPECT_EQ(recombine(FheType::uint8, blocks).value(), U256(5 + (7 << 6 & 0xff)));
  // A Bool block is returned as decoded, within its two bits.
  EXPECT_EQ(recombine(FheType::boolean, std::vector<std::uint8_t>{2}).value(), U256(2));
  EXPECT_EQ(recombine(FheType::boolean, std::vector<std::uint8_t>{7}).value(), U256(3));
  // An address: the sum lives in 256 bits, only 20 bytes of it are the value.
  std::vector<std::uint8_t> address(80, 3);
  address.back() = 15;
  EXPECT_EQ(recombine(FheType::uint160, address).value(), number("0xffffffffffffffffffffffffffffffffffffffff"));
}

TEST(Recombine, RefusesAnotherNumberOfBlocks) {
  for (const std::size_t count : std::initializer_list<std::size_t>{0, 1, 3, 5, 100000})
    EXPECT_EQ(recombine(FheType::uint8, std::vector<std::uint8_t>(count)).error().code, Code::invalid_argument);
}

TEST(Values, TextOfTheCommandLine) {
  EXPECT_EQ(parse_value(FheType::boolean, "true").value(), U256(1));
  EXPECT_EQ(parse_value(FheType::boolean, "0").value(), U256(0));
  EXPECT_EQ(parse_value(FheType::uint8, "0xff").value(), U256(255));
  EXPECT_EQ(parse_value(FheType::uint8, "256").error().code, Code::invalid_argument);
  EXPECT_EQ(parse_value(FheType::boolean, "2").error().code, Code::invalid_argument);
  EXPECT_EQ(parse_value(FheType::uint8, "true").error().code, Code::invalid_argument);
  EXPECT_EQ(format_value(FheType::boolean, U256(1)), "true");
  EXPECT_EQ(format_value(FheType::uint64, U256(42)), "42");
  EXPECT_EQ(format_value(FheType::uint160, U256(42)), "0x000000000000000000000000000000000000002a");
}

}  // namespace
}  // namespace witan::tfhe
