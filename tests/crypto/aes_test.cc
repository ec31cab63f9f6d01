#include <gtest/gtest.h>

#include "crypto/aes.h"
#include "crypto/aes_stream.h"
#include "crypto/hash.h"
#include "support/support.h"

namespace witan::crypto {
namespace {

ByteArray<16> key_of(std::string_view text) {
  const Bytes raw = test::hex(text);
  ByteArray<16> out;
  std::copy(raw.begin(), raw.end(), out.begin());
  return out;
}

TEST(Aes128, KnownAnswersOfFips197AndSp80038A) {
  Bytes block = test::hex("00112233445566778899aabbccddeeff");
  Aes128(key_of("000102030405060708090a0b0c0d0e0f")).encrypt(block);
  EXPECT_EQ(to_hex(block), "69c4e0d86a7b0430d8cdb78070b4c55a");

  Bytes blocks = test::hex(
      "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
      "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710");
  Aes128(key_of("2b7e151628aed2a6abf7158809cf4f3c")).encrypt(blocks);
  EXPECT_EQ(to_hex(blocks),
            "3ad77bb40d7a3660a89ecaf32466ef97f5d3d58503b9699de785895a96fdbaaf"
            "43b1cd7f598ece23881b00e3ed0306887b0c785e27e8ad3f8223207104725dd4");
}

TEST(AesStream, AnyRangeEqualsTheWholeStream) {
  const AesStream stream(key_of("2b7e151628aed2a6abf7158809cf4f3c"), ~u128{0} - 3);  // the counter wraps
  Bytes whole(10000);
  stream.read(0, whole);
  test::SeededRng rng("ranges");
  for (int i = 0; i < 300; ++i) {
    const std::size_t from = rng.next<std::uint32_t>() % whole.size();
    Bytes part(rng.next<std::uint32_t>() % (whole.size() - from));
    stream.read(from, part);
    EXPECT_TRUE(std::equal(part.begin(), part.end(), whole.begin() + static_cast<std::ptrdiff_t>(from)));
  }
}

// Vectors made with node-tfhe 1.7.0 (tests/data/threshold-tfhe/README.md).
TEST(MaskStream, EqualsWhatTfheRsExpands) {
  int seen = 0;
  const auto vectors = test::read_json("threshold-tfhe/xof_mask_vectors.json");
  for (const auto& entry : vectors.at("vectors")) {
    const Bytes data = test::hex(entry.at("seed_data_hex").get<std::string>());
    XofStream stream{};
    if (entry.at("kind") == "xof")
      stream = derive_xof_stream(data);
    else
      stream.key = key_of(entry.at("seed_data_hex").get<std::string>());
    EXPECT_EQ(to_hex(stream.key), entry.at("aes_key_hex").get<std::string>());
    ByteArray<16> offset;
    store_le(stream.offset, offset.data());
    EXPECT_EQ(to_hex(offset), entry.at("counter_start_le_hex").get<std::string>());

    u128 block = 0;
    for (const char c : entry.at("first_index_aes").get<std::string>()) block = block * 10 + static_cast<u128>(c - '0');
    Bytes out(16384);
    AesStream(stream.key, stream.offset + block).read(entry.at("first_index_byte").get<unsigned>(), out);
    EXPECT_EQ(to_hex(ByteView(out).first(64)), entry.at("first_64_bytes_hex").get<std::string>());
    EXPECT_EQ(to_hex(sha256(out)), entry.at("sha256_of_16384_bytes").get<std::string>());
    ++seen;
  }
  EXPECT_EQ(seen, 9);
}

}  // namespace
}  // namespace witan::crypto
