#include "tfhe_rs/ciphertexts.h"

#include <gtest/gtest.h>

#include <map>

#include "tfhe/expand.h"
#include "tfhe_rs/tfhe_rs_testing.h"

namespace witan::tfhe_rs {
namespace {

using tfhe::FheType;
using tfhe::KeyName;
using tfhe::U256;

/// The value of a file in the format that its name begins with, by its parse_*() and the client key.
Result<U256> decrypted(const Decryptor& key, std::string_view name, ByteView bytes, FheType type) {
  if (name.starts_with("big_compressed")) {
    WITAN_ASSIGN(const auto glwes, parse_big_compressed(bytes, key.params(), type));
    return key.big(tfhe::extract_all<u128>(glwes), type, KeyName::sns_compression);
  }
  if (name.starts_with("big_expanded") || name.starts_with("big_decompressed")) {
    WITAN_ASSIGN(const auto blocks, parse_big_expanded(bytes, key.params(), type));
    return key.big(blocks, type, KeyName::sns);
  }
  if (name.starts_with("small_compressed")) {
    WITAN_ASSIGN(const auto list, parse_small_compressed(bytes, key.params(), type));
    return key.small_list(list, type);
  }
  WITAN_ASSIGN(const auto blocks, parse_small_expanded(bytes, key.params(), type));
  return key.small(blocks, type);
}

// native-1.7.0: made and decrypted by tfhe-rs itself. Objects that came out of a compressed list (big_decompressed_*) and
// Small lists of several values are refused; of Big lists value 0 is taken.
TEST(Ciphertexts, AllOfTheNativeVectorsDecryptWithTheClientKey) {
  for (const std::string folder : {"tfhe/native-1.7.0/test/", "tfhe/native-1.7.0/default/"}) {
    const Decryptor key(folder + "client_key.bin");
    std::map<std::string, int> seen;
    for (const auto& entry : test::read_json(folder + "index.json").at("files")) {
      const std::string file = entry.at("file");
      const std::string format = file.substr(0, file.find('_', file.find('_') + 1));
      if (!file.starts_with("big_") && !file.starts_with("small_")) continue;
      if (!entry.at("shipped").get<bool>()) continue;
      const auto& first = entry.at("values").at(0);
      const auto type = tfhe::fhe_type_from_number(first.at("fhe_type").get<int>()).value();
      const auto value = decrypted(key, file, test::read_data(folder + file), type);
      if (format == "big_decompressed" || file.starts_with("small_compressed_list")) {
        ASSERT_FALSE(value) << file;
        EXPECT_EQ(value.error().code, Code::invalid_argument) << file;
        ++seen["refused"];
        continue;
      }
      ASSERT_TRUE(value) << file << ": " << value.error().message;
      EXPECT_EQ(*value, value_of(first.at("value"))) << file;
      ++seen[format];
    }
    const bool is_test = folder.ends_with("test/");
    EXPECT_EQ(seen["big_compressed"], is_test ? 13 : 3) << folder;
    EXPECT_EQ(seen["big_expanded"], is_test ? 10 : 2) << folder;
    EXPECT_EQ(seen["small_expanded"], is_test ? 11 : 2) << folder;
    EXPECT_EQ(seen["small_compressed"], is_test ? 10 : 2) << folder;
    EXPECT_EQ(seen["refused"], is_test ? 4 : 1) << folder;
  }
}

// synthetic/: by the vectors' own writer, decrypted by native tfhe-rs 1.7.0 too.
TEST(Ciphertexts, AllOfTheSyntheticVectorsDecryptWithTheClientKey) {
  const std::map<std::string, FheType> types{{"bool", FheType::boolean},    {"uint8", FheType::uint8},
                                             {"uint32", FheType::uint32},   {"uint64", FheType::uint64},
                                             {"uint160", FheType::uint160}, {"uint256", FheType::uint256}};
  const auto index = test::read_json("tfhe/synthetic/index.json");
  int seen = 0;
  for (const std::string prefix : {"default_", "kms_test_"}) {
    const Decryptor key("tfhe/synthetic/" + prefix + "client_key.bin");
    for (const auto& [file, entry] : index.at("files").items()) {
      if (!file.starts_with(prefix) || !entry.contains("plaintext")) continue;
      const std::string name = file.substr(prefix.size());
      const FheType type = types.at(name.substr(name.rfind('_') + 1, name.find('.') - name.rfind('_') - 1));
      const auto value = decrypted(key, name, test::read_data("tfhe/synthetic/" + file), type);
      ASSERT_TRUE(value) << file << ": " << value.error().message;
      EXPECT_EQ(*value, value_of(entry.at("plaintext"))) << file;
      ++seen;
    }
  }
  EXPECT_EQ(seen, 28);
}

// A fixture of zama-ai/fhevm: a trivial encryption, so its phase is its body under any key.
TEST(Ciphertexts, TheTrivialFixtureHoldsItsValue) {
  const auto params = tfhe::params_by_name("test").value();
  const auto blocks = parse_big_compressed(test::read_data("tfhe/synthetic/trivial_big_compressed_uint64.bin"), params,
                                           FheType::uint64);
  ASSERT_TRUE(blocks) << blocks.error().message;
  std::vector<std::uint8_t> pairs;
  for (const auto& lwe : tfhe::extract_all<u128>(*blocks)) {
    EXPECT_TRUE(std::ranges::all_of(lwe.mask(), [](u128 word) { return word == 0; }));
    pairs.push_back(tfhe::decode_pair(lwe.body()));
  }
  EXPECT_EQ(tfhe::recombine(FheType::uint64, pairs).value(), value_of("18446744073709551600"));
}

const std::vector<std::string> kWasmFolders{"tfhe/1.3.0/kms_test/", "tfhe/1.7.0/kms_test/", "tfhe/1.3.0/default/",
                                            "tfhe/1.7.0/default/"};

U256 recombined(const std::vector<std::uint8_t>& digits) {
  U256 out;
  for (std::size_t i = 0; i < digits.size(); ++i) out.add_shifted(digits[i], static_cast<int>(2 * i));
  return out;
}

/// "-100" as two's complement of `bits` bits.
U256 plaintext_of(const nlohmann::json& value, std::size_t bits) {
  if (value.is_string() && value.get<std::string>().starts_with("-"))
    return U256(static_cast<u128>(std::stoll(value.get<std::string>()))).low_bits(static_cast<int>(bits));
  return value_of(value);
}

// Made by node-tfhe 1.3.0 and 1.7.0, each with its own version tags; also types that the service does not decrypt.
TEST(Ciphertexts, OfTheWasmPackageDecryptWithTheClientKey) {
  int seen = 0;
  for (const std::string& folder : kWasmFolders) {
    const Decryptor key(folder + "client_key.bin");
    for (const auto& [file, entry] : test::read_json(folder + "index.json").at("files").items()) {
      if (!entry.at("type").get<std::string>().starts_with("Fhe")) continue;
      const auto object = read_radix(test::read_data(folder + file), Trailing::reject);
      ASSERT_TRUE(object) << folder << file << ": " << object.error().message;
      const auto digits = key.digits(object->blocks, KeyName::glwe);
      EXPECT_EQ(recombined(digits), plaintext_of(entry.at("plaintext"), 2 * digits.size())) << folder << file;
      const auto kind = entry.at("type").get<std::string>().substr(0, 6);
      EXPECT_EQ(object->kind, kind == "FheInt"   ? RadixObject::Kind::signed_integer
                              : kind == "FheBoo" ? RadixObject::Kind::boolean
                                                 : RadixObject::Kind::unsigned_integer);
      ++seen;
    }
  }
  EXPECT_EQ(seen, 60);
}

/// Mask of a seeded block out of its stream.
tfhe::Block expanded(const SeededBlock& seeded) {
  tfhe::Block block{.lwe = tfhe::Lwe<u64>(seeded.lwe_dimension),
                    .degree = seeded.degree,
                    .noise_level = seeded.noise_level,
                    .space = seeded.space,
                    .order = seeded.order};
  tfhe::MaskReader(seeded.origin).read<u64>(0, block.lwe.mask());
  block.lwe.body() = seeded.body;
  return block;
}

// Seeds of 1.3 (tag 0, from byte 1) and of 1.7; *.decompressed.bin is what the package itself makes of them.
TEST(SeededCiphertexts, ExpandAndDecrypt) {
  int seen = 0, twins = 0;
  for (const std::string& folder : kWasmFolders) {
    const Decryptor key(folder + "client_key.bin");
    const auto files = test::read_json(folder + "index.json").at("files");
    for (const auto& [file, entry] : files.items()) {
      if (!entry.at("type").get<std::string>().starts_with("CompressedFhe")) continue;
      const auto object = read_seeded(test::read_data(folder + file), Trailing::reject);
      ASSERT_TRUE(object) << folder << file << ": " << object.error().message;
      std::vector<tfhe::Block> blocks;
      for (const SeededBlock& seeded : object->blocks) blocks.push_back(expanded(seeded));
      EXPECT_EQ(recombined(key.digits(blocks, KeyName::glwe)), value_of(entry.at("plaintext"))) << folder << file;
      ++seen;
      const std::string twin = file.substr(0, file.size() - 4) + ".decompressed.bin";
      if (!files.contains(twin)) continue;
      const auto plain = read_radix(test::read_data(folder + twin), Trailing::reject).value();
      for (std::size_t i = 0; i < blocks.size(); ++i) EXPECT_EQ(blocks[i].lwe, plain.blocks[i].lwe) << folder << file;
      ++twins;
    }
  }
  EXPECT_EQ(seen, 36);
  EXPECT_EQ(twins, 8);
}

/// Digits of all ciphertexts of a compact list under the encryption key.
std::vector<std::uint8_t> list_digits(const tfhe::CompactList& list, const tfhe::SecretKeySet& keys) {
  std::vector<std::uint8_t> digits;
  const bool casting = std::holds_alternative<tfhe::RequiresCasting>(list.expansion);
  for (std::size_t i = 0; i < list.ciphertext_count; ++i) {
    const auto phase = tfhe::phase(tfhe::compact_list_element(list, i),
                                   keys.bits(casting ? KeyName::lwe_encryption : KeyName::lwe_compute));
    const u64 value = tfhe::decode(phase, list.space);
    digits.push_back(static_cast<std::uint8_t>(value % list.space.message_modulus));
    if (list.is_packed()) digits.push_back(static_cast<std::uint8_t>(value / list.space.message_modulus));
  }
  return digits;
}

/// Compares value after value; returns how many.
std::size_t expect_values(const Decryptor& key, const std::string& file, const std::vector<U256>& values) {
  const auto object = read_compact_list(test::read_data(file), Trailing::reject);
  EXPECT_TRUE(object) << file;
  EXPECT_TRUE(tfhe::check(object->list)) << file;
  EXPECT_EQ(object->list.kinds.size(), values.size()) << file;
  const auto digits = list_digits(object->list, key.keys());
  std::size_t at = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::size_t count = tfhe::block_count(object->list.kinds[i]);
    EXPECT_EQ(recombined(std::vector(digits.begin() + static_cast<std::ptrdiff_t>(at),
                                     digits.begin() + static_cast<std::ptrdiff_t>(at + count))),
              values[i])
        << file << " value " << i;
    at += count;
  }
  return values.size();
}

TEST(CompactLists, DecryptToTheirValues) {
  std::size_t seen = 0;
  for (const std::string folder : {"tfhe/native-1.7.0/test/", "tfhe/native-1.7.0/default/"}) {
    const Decryptor key(folder + "client_key.bin");
    for (const auto& entry : test::read_json(folder + "index.json").at("files")) {
      if (entry.at("file") != "compact_list.bin") continue;
      std::vector<U256> values;
      for (const auto& value : entry.at("values")) values.push_back(value_of(value.at("value")));
      seen += expect_values(key, folder + "compact_list.bin", values);
    }
  }
  EXPECT_EQ(seen, 12u);
  for (const std::string& folder : kWasmFolders) {  // packed, and one block per ciphertext
    const Decryptor key(folder + "client_key.bin");
    for (const auto& [file, entry] : test::read_json(folder + "index.json").at("files").items()) {
      if (entry.at("type") != "CompactCiphertextList") continue;
      std::vector<U256> values;
      for (const std::string text : entry.at("contents")) values.push_back(value_of(text.substr(text.find(' ') + 1)));
      seen += expect_values(key, folder + file, values);
    }
  }
  EXPECT_EQ(seen, 12u + 2 * (16 + 14));
}

/// Refused as a ciphertext of that type under the key, with a message that has `part`.
template <class Value>
void expect_refused(const Result<Value>& result, std::string_view part) {
  ASSERT_FALSE(result) << part;
  EXPECT_EQ(result.error().code, Code::invalid_argument);
  EXPECT_NE(result.error().message.find(part), std::string::npos) << result.error().message;
}

Bytes native(const std::string& file) {
  return test::read_data("tfhe/native-1.7.0/test/" + file);
}

TEST(Ciphertexts, WhatDoesNotFitTheTypeOrTheKeyIsRefused) {
  const auto key = tfhe::params_by_name("test").value(), other = tfhe::params_by_name("default").value();
  expect_refused(parse_big_compressed(native("big_compressed_uint8.bin"), key, FheType::uint16),
                 "Unsigned of 4 blocks, the request says Uint16 (Unsigned of 8 blocks)");
  expect_refused(parse_big_compressed(native("big_compressed_bool.bin"), key, FheType::uint8), "Boolean");
  expect_refused(parse_big_expanded(native("big_expanded_uint8.bin"), key, FheType::uint16), "2 packed blocks");
  expect_refused(parse_big_expanded(native("big_expanded_bool.bin"), key, FheType::uint8), "a boolean");
  expect_refused(parse_big_expanded(native("big_decompressed_uint64.bin"), key, FheType::uint64), "BigCompressed");
  expect_refused(parse_small_expanded(native("small_expanded_uint8.bin"), key, FheType::uint16), "4 blocks");
  expect_refused(parse_small_expanded(native("small_expanded_uint8.bin"), key, FheType::boolean), "unsigned");
  expect_refused(parse_small_compressed(native("small_compressed_uint8.bin"), key, FheType::boolean), "Bool");
  expect_refused(parse_small_compressed(native("small_compressed_list_mixed.bin"), key, FheType::uint64),
                 "3 values, exactly one");
  expect_refused(parse_small_compressed(native("small_compressed_list_long.bin"), key, FheType::uint256),
                 "6 values, exactly one");
  expect_refused(parse_small_expanded(test::read_data("tfhe/1.7.0/kms_test/ct_int8.bin"), key, FheType::uint8),
                 "signed");
  expect_refused(parse_big_compressed(native("big_compressed_uint8.bin"), other, FheType::uint8), "the key 6 and 1024");
  expect_refused(parse_big_expanded(native("big_expanded_uint8.bin"), other, FheType::uint8), "dimension 256, the key");
  expect_refused(parse_small_expanded(native("small_expanded_uint8.bin"), other, FheType::uint8), "dimension 256");
  expect_refused(parse_small_compressed(native("small_compressed_uint8.bin"), other, FheType::uint8), "the key");
  // The format says one thing, the object is another.
  expect_refused(parse_big_expanded(native("small_expanded_uint8.bin"), key, FheType::uint8), "FheUint, expected");
  expect_refused(parse_big_compressed(native("small_compressed_uint8.bin"), key, FheType::uint8), "expected");
  expect_refused(parse_small_compressed(native("big_compressed_uint8.bin"), key, FheType::uint8), "expected");
  expect_refused(parse_small_expanded({}, key, FheType::uint8), "cut short");
}

TEST(Ciphertexts, KeysWithoutThePartRefuse) {
  tfhe::Params bare = tfhe::params_by_name("test").value();
  bare.compression.reset(), bare.sns.reset(), bare.sns_compression.reset();
  expect_refused(parse_big_compressed(native("big_compressed_uint8.bin"), bare, FheType::uint8), "no squashed");
  expect_refused(parse_big_expanded(native("big_expanded_uint8.bin"), bare, FheType::uint8), "no noise squashing");
  expect_refused(parse_small_compressed(native("small_compressed_uint8.bin"), bare, FheType::uint8), "no compression");
}

// tfhe-formats.md 18.5: refusing what the peer accepts could split a committee.
TEST(Ciphertexts, BytesAfterThemAreIgnored) {
  const auto key = tfhe::params_by_name("test").value();
  const auto longer = [](const char* file) {
    Bytes bytes = native(file);
    bytes.resize(bytes.size() + 10, 0xee);
    return bytes;
  };
  EXPECT_TRUE(parse_big_compressed(longer("big_compressed_uint8.bin"), key, FheType::uint8));
  EXPECT_TRUE(parse_big_expanded(longer("big_expanded_uint8.bin"), key, FheType::uint8));
  EXPECT_TRUE(parse_small_compressed(longer("small_compressed_uint8.bin"), key, FheType::uint8));
  EXPECT_TRUE(parse_small_expanded(longer("small_expanded_uint8.bin"), key, FheType::uint8));
}

/// A well-formed object with one field changed.
template <class Object, class Change>
Bytes changed(Object object, Change change) {
  change(object);
  return to_bytes(object);
}

// Every field of section 18, one at a time.
TEST(Ciphertexts, FieldsOfAPackedListMustAgree) {
  const auto key = tfhe::params_by_name("test").value();
  const auto good = read_squashed_list(native("big_compressed_uint8.bin"), Trailing::reject).value();
  const auto refused = [&](const char* part, auto change) {
    expect_refused(parse_big_compressed(changed(good, change), key, FheType::uint8), part);
  };
  refused("0 ciphertexts", [](auto& o) { o.list.glwes.clear(); });
  refused("no value", [](auto& o) { o.kinds.clear(); });
  refused("no parameters", [](auto& o) { o.has_meta = false; });
  refused("message and carry", [](auto& o) { o.list.space.message_modulus = 2; });
  refused("message and carry", [](auto& o) { o.list.space.carry_modulus = 8; });
  refused("ciphertexts per GLWE", [](auto& o) { o.list.lwe_per_glwe = 0; });
  refused("ciphertexts per GLWE", [](auto& o) { o.list.lwe_per_glwe = 256; });
  refused("storage modulus", [](auto& o) { o.list.glwes[0].log_modulus = 127; });
  refused("storage modulus", [](auto& o) { o.list.glwes[0].log_modulus = 0xffffffff; });
  refused("values", [](auto& o) { ++o.list.glwes[0].initial_len; });
  refused("words", [](auto& o) { o.list.glwes[0].packed_coefficients.pop_back(); });
  refused("words", [](auto& o) { o.list.glwes[0].packed_coefficients.push_back(0); });
  refused("dimension", [](auto& o) { o.list.glwes[0].glwe_dimension = std::size_t{1} << 40; });
  refused("polynomial size", [](auto& o) { o.list.glwes[0].polynomial_size = 512; });
  refused("bodies", [](auto& o) { o.list.glwes[0].bodies_count = 0; });
  refused("129 ciphertexts, 128 fit", [](auto& o) { o.list.glwes[0].bodies_count = 129; });
  // Two blocks are needed, one is there.
  refused("holds 1 ciphertexts, the value has 2", [](auto& o) {
    auto& glwe = o.list.glwes[0];
    glwe.bodies_count = 1;
    --glwe.initial_len;
    glwe.packed_coefficients.pop_back();
  });
  // A first GLWE that is not full would shift what follows.
  refused("holds 2 ciphertexts, 128 fit", [](auto& o) { o.list.glwes.push_back(o.list.glwes[0]); });
}

TEST(Ciphertexts, FieldsOfASmallListMustAgree) {
  const auto key = tfhe::params_by_name("test").value();
  const auto good = read_compressed_list(native("small_compressed_uint8.bin"), Trailing::reject).value();
  const auto refused = [&](const char* part, auto change) {
    expect_refused(parse_small_compressed(changed(good, change), key, FheType::uint8), part);
  };
  refused("no parameters", [](auto& o) { o.has_meta = false; });
  refused("order", [](auto& o) { o.order = tfhe::PbsOrder::bootstrap_keyswitch; });
  refused("storage modulus", [](auto& o) { o.list.glwes[0].log_modulus = 65; });
  refused("message and carry", [](auto& o) { o.list.space.message_modulus = 1; });
  refused("0 values", [](auto& o) { o.kinds.clear(); });
  refused("Signed of 4 blocks", [](auto& o) { o.kinds[0] = tfhe::SignedKind{4}; });
  refused("String", [](auto& o) { o.kinds[0] = tfhe::StringKind{1, false}; });
}

TEST(Ciphertexts, FieldsOfBlocksMustAgree) {
  const auto key = tfhe::params_by_name("test").value();
  const auto small = read_radix(native("small_expanded_uint8.bin"), Trailing::reject).value();
  const auto small_refused = [&](const char* part, auto change) {
    expect_refused(parse_small_expanded(changed(small, change), key, FheType::uint8), part);
  };
  small_refused("dimension 255", [](auto& o) { o.blocks[3].lwe.data.pop_back(); });
  small_refused("order", [](auto& o) { o.blocks[1].order = tfhe::PbsOrder::bootstrap_keyswitch; });
  small_refused("message and carry", [](auto& o) { o.blocks[2].space.carry_modulus = 1; });
  small_refused("3 blocks", [](auto& o) { o.blocks.pop_back(); });
  small_refused("may have a carry", [](auto& o) { o.blocks[0].degree = 4; });
  small_refused("noise level", [](auto& o) { o.blocks[0].noise_level = ~u64{0}; });
  const auto big = read_squashed(native("big_expanded_uint8.bin"), Trailing::reject).value();
  const auto big_refused = [&](const char* part, auto change) {
    expect_refused(parse_big_expanded(changed(big, change), key, FheType::uint8), part);
  };
  big_refused("dimension 257", [](auto& o) { o.blocks[0].lwe.data.push_back(0); });
  big_refused("message and carry", [](auto& o) { o.blocks[1].space.message_modulus = 16; });
  big_refused("stands for 3 blocks", [](auto& o) { o.original_block_count = 3; });
  big_refused("3 packed blocks", [](auto& o) { o.blocks.push_back(o.blocks[0]); });
  big_refused("BigCompressed", [](auto& o) { o.post_decompression = true; });
}

// The four writers against objects of tfhe-rs, whose fields they must fill as it does.
TEST(Ciphertexts, WritersFillEveryFieldAsTfheRsDoes) {
  for (const auto& [name, type] :
       {std::pair{"uint8", FheType::uint8}, {"bool", FheType::boolean}, {"uint256", FheType::uint256}}) {
    const std::string end = std::string("_") + name + ".bin";
    const Bytes a = native("small_expanded" + end), b = native("small_compressed" + end),
                c = native("big_expanded" + end), d = native("big_compressed" + end);
    auto radix = read_radix(a, Trailing::reject).value();
    EXPECT_EQ(small_expanded(type, std::move(radix.blocks), radix.tag), a);
    auto list = read_compressed_list(b, Trailing::reject).value();
    EXPECT_EQ(small_compressed(type, std::move(list.list), list.order, list.tag), b);
    auto squashed = read_squashed(c, Trailing::reject).value();
    EXPECT_EQ(big_expanded(type, std::move(squashed.blocks), squashed.tag), c);
    auto squashed_list = read_squashed_list(d, Trailing::reject).value();
    EXPECT_EQ(big_compressed(type, std::move(squashed_list.list), squashed_list.tag), d);
  }
}

}  // namespace
}  // namespace witan::tfhe_rs
