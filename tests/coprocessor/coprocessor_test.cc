#include "coprocessor/coprocessor.h"

#include <gtest/gtest.h>

#include "support/support.h"
#include "tfhe/encrypt.h"
#include "tfhe/expand.h"
#include "tfhe/keygen.h"
#include "tfhe_rs/ciphertexts.h"

namespace witan::coprocessor {
namespace {

using tfhe::FheType;
using tfhe::KeyName;

/// What a committee would decrypt, with the whole key.
tfhe::U256 decrypt(const tfhe::Params& params, const tfhe::SecretKeySet& keys, const tfhe::CompressedKeySet& set,
                   Format format, FheType type, ByteView bytes) {
  std::vector<std::uint8_t> pairs;
  const auto big = [&](const auto& blocks, KeyName name) {
    for (const auto& lwe : blocks) pairs.push_back(tfhe::decode_pair(tfhe::phase(lwe, keys.bits(name))));
  };
  std::vector<tfhe::Block> blocks;
  switch (format) {
    case Format::big_compressed:
      big(tfhe::extract_all<u128>(tfhe_rs::parse_big_compressed(bytes, params, type).value()),
          KeyName::sns_compression);
      break;
    case Format::big_expanded:
      big(tfhe_rs::parse_big_expanded(bytes, params, type).value(), KeyName::sns);
      break;
    case Format::small_expanded:
      blocks = tfhe_rs::parse_small_expanded(bytes, params, type).value();
      break;
    case Format::small_compressed: {
      const auto list = tfhe_rs::parse_small_compressed(bytes, params, type).value();
      const auto key = tfhe::prepare_decompression_key(set.server_key).value();
      for (int i = 0; i < tfhe::info(type).blocks; ++i)
        blocks.push_back(tfhe::decompress(key, list, static_cast<std::size_t>(i)).value());
    }
  }
  if (!blocks.empty()) {
    std::vector<std::uint8_t> digits;
    for (const auto& block : blocks)
      digits.push_back(static_cast<std::uint8_t>(tfhe::decrypt_block(block, keys.bits(KeyName::glwe))));
    pairs = tfhe::pair_blocks(digits);
  }
  return tfhe::recombine(type, pairs).value();
}

constexpr Format kFormats[] = {Format::small_compressed, Format::small_expanded, Format::big_compressed,
                               Format::big_expanded};

// The list and the key set were made by native tfhe-rs 1.7.0.
TEST(Coprocessor, NativeListThroughAllFormats) {
  const std::string folder = "tfhe/native-1.7.0/test/";
  const Bytes raw_set = test::read_data(folder + "compressed_xof_key_set.bin");
  const auto key = tfhe_rs::read_client_key(test::read_data(folder + "client_key.bin")).value();
  const auto set = tfhe_rs::read_key_set(raw_set).value();
  const auto coprocessor = Coprocessor::open(raw_set);
  ASSERT_TRUE(coprocessor) << coprocessor.error().message;
  const auto values = coprocessor->expand(test::read_data(folder + "compact_list.bin"));
  ASSERT_TRUE(values) << values.error().message;
  const auto index = test::read_json(folder + "index.json");
  nlohmann::json expected;
  for (const auto& entry : index.at("files"))
    if (entry.at("file") == "compact_list.bin") expected = entry.at("values");
  ASSERT_EQ(values->size(), expected.size());
  for (std::size_t i = 0; i < values->size(); ++i) {
    const auto& value = expected.at(i).at("value");
    const tfhe::U256 want = value.is_boolean() ? tfhe::U256(value.get<bool>() ? 1 : 0)
                                               : tfhe::U256::parse(value.get<std::string>()).value();
    for (const Format format : kFormats) {
      const auto bytes = coprocessor->serialize((*values)[i], format);
      ASSERT_TRUE(bytes) << bytes.error().message;
      EXPECT_EQ(decrypt(key.params, key.keys, set, format, (*values)[i].type, *bytes), want)
          << i << " " << to_string(format);
    }
  }
}

// Our own keys and encryption, on a set with several levels.
TEST(Coprocessor, OwnListOnTheToySet) {
  test::SeededRng rng("coprocessor");
  const auto params = tfhe::params_by_name("witan_toy_b").value();
  const auto keys = tfhe::generate_secret_keys(params, rng);
  tfhe::RngNoise noise(rng);
  const auto set = tfhe::generate_key_set(params, keys, 12345, noise, {.tag = Bytes(32, 4), .progress = {}});
  const auto public_key = tfhe::public_key_of(set);
  const auto coprocessor = Coprocessor::open(tfhe_rs::to_bytes(set)).value();
  std::vector<tfhe::CompactValue> list;
  std::vector<tfhe::U256> wanted;
  for (const FheType type : {FheType::boolean, FheType::uint8, FheType::uint16, FheType::uint64}) {
    wanted.push_back(tfhe::U256(rng.next<u128>()).low_bits(tfhe::info(type).bits));
    list.push_back(tfhe::compact_value(type, wanted.back()).value());
  }
  tfhe_rs::CompactListObject object{tfhe::encrypt_compact_list(public_key, list, rng).value(), {}};
  const auto values = coprocessor.expand(tfhe_rs::to_bytes(object));
  ASSERT_TRUE(values) << values.error().message;
  ASSERT_EQ(values->size(), list.size());
  for (std::size_t i = 0; i < values->size(); ++i)
    for (const Format format : kFormats)
      EXPECT_EQ(
          decrypt(params, keys, set, format, (*values)[i].type, coprocessor.serialize((*values)[i], format).value()),
          wanted[i])
          << i << " " << to_string(format);
}

TEST(Coprocessor, RefusesWhatIsNotOfItsKey) {
  const Bytes raw_set = test::read_data("tfhe/native-1.7.0/test/compressed_xof_key_set.bin");
  const auto coprocessor = Coprocessor::open(raw_set).value();
  EXPECT_EQ(coprocessor.expand(test::read_data("tfhe/native-1.7.0/default/compact_list.bin")).error().code,
            Code::invalid_argument);
  EXPECT_EQ(coprocessor.expand(Bytes(10)).error().code, Code::invalid_argument);
  EXPECT_FALSE(Coprocessor::open(Bytes(100)));
  EXPECT_EQ(parse_format("medium").error().code, Code::invalid_argument);
}

}  // namespace
}  // namespace witan::coprocessor
