#include "tfhe/mask.h"

#include <gtest/gtest.h>

#include "crypto/hash.h"
#include "support/support.h"

namespace witan::tfhe {
namespace {

u128 decimal(std::string_view text) {
  u128 out = 0;
  for (const char c : text) out = 10 * out + static_cast<unsigned>(c - '0');
  return out;
}

MaskOrigin origin_of(const nlohmann::json& vector) {
  const Bytes data = witan::test::hex(vector.at("seed_data_hex").get<std::string>());
  MaskOrigin origin;
  origin.start = {decimal(vector.at("first_index_aes").get<std::string>()), vector.at("first_index_byte").get<u64>()};
  if (vector.at("kind") == "ctr")
    origin.seed = CtrSeed{load_le<u128>(data.data())};
  else
    origin.seed = XofSeed{data};
  return origin;
}

// Vectors of node-tfhe 1.7.0 (tests/data/threshold-tfhe/README.md).
TEST(MaskReader, ExpandsAsNodeTfheDoes) {
  const auto file = witan::test::read_json("threshold-tfhe/xof_mask_vectors.json");
  std::size_t seen = 0;
  for (const auto& vector : file.at("vectors")) {
    std::vector<u64> words(2048);
    MaskReader(origin_of(vector)).read<u64>(0, words);
    const ByteView bytes(reinterpret_cast<const std::uint8_t*>(words.data()), words.size() * sizeof(u64));
    EXPECT_EQ(to_hex(bytes.first(64)), vector.at("first_64_bytes_hex").get<std::string>());
    EXPECT_EQ(to_hex(crypto::sha256(bytes)), vector.at("sha256_of_16384_bytes").get<std::string>());
    ++seen;
  }
  EXPECT_EQ(seen, 9u);
}

TEST(MaskReader, AnyRangeOfWordsIsThatOfTheWholeStream) {
  const MaskOrigin origin{key_set_seed(5), {3, 8}};
  const MaskReader reader(origin);
  std::vector<u64> whole(100);
  reader.read<u64>(0, whole);
  for (std::size_t first = 0; first < 50; first += 7) {
    std::vector<u64> part(31);
    reader.read<u64>(first, part);
    EXPECT_TRUE(std::equal(part.begin(), part.end(), whole.begin() + static_cast<std::ptrdiff_t>(first)));
  }
  std::vector<u128> wide(50);
  reader.read<u128>(0, wide);
  for (std::size_t i = 0; i < 50; ++i) EXPECT_TRUE(wide[i] == (u128{whole[2 * i + 1]} << 64 | whole[2 * i]));
  // The same bytes from an origin further on.
  std::vector<u64> later(10);
  MaskReader({origin.seed, origin.start.advanced(8 * 20)}).read<u64>(0, later);
  EXPECT_TRUE(std::equal(later.begin(), later.end(), whole.begin() + 20));
  reader.read<u64>(0, {});
}

TEST(StreamPosition, AdvancesAcrossBlocksAndWrapsAtTheEnd) {
  EXPECT_EQ((StreamPosition{0, 15}.advanced(1)), (StreamPosition{1, 0}));
  EXPECT_EQ((StreamPosition{2, 3}.advanced(16 * 5 + 14)), (StreamPosition{8, 1}));
  EXPECT_EQ(StreamPosition::from_bytes(83902464), (StreamPosition{5243904, 0}));
  EXPECT_EQ((StreamPosition{~u128{0}, 15}.advanced(2)), (StreamPosition{0, 1}));
}

// threshold-tfhe.md 3.1: 24 bytes, the seed in little-endian order.
TEST(KeySetSeed, IsTheSeparatorAndTheSeedReversed) {
  const u128 seed = load_be<u128>(witan::test::hex("0f0e0d0c0b0a09080706050403020100").data());
  EXPECT_EQ(to_hex(key_set_seed(seed).data), "544648455f47454e000102030405060708090a0b0c0d0e0f");
}

}  // namespace
}  // namespace witan::tfhe
