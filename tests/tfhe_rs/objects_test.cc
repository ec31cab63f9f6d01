#include "tfhe_rs/objects.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <map>

#include "crypto/separators.h"
#include "support/support.h"
#include "tfhe/encrypt.h"
#include "tfhe/evaluate.h"
#include "tfhe/expand.h"
#include "tfhe_rs/ciphertexts.h"

namespace witan::tfhe_rs {
namespace {

using tfhe::FheType;

/// Reads any object and writes it again; the error of reading otherwise.
Result<Bytes> rewritten(ByteView bytes, std::uint32_t expansion_tag = 1) {
  WITAN_ASSIGN(std::string name, object_name(bytes));
  name = name.substr(name.rfind(':') + 1);
  constexpr auto kStrict = Trailing::reject;
  const auto again = [](auto parsed, auto... options) -> Result<Bytes> {
    if (!parsed) return fail(std::move(parsed).error());
    return to_bytes(*parsed, options...);
  };
  if (name.starts_with("SquashedNoiseFhe")) return again(read_squashed(bytes, kStrict));
  if (name == "CompressedSquashedNoiseCiphertextList") return again(read_squashed_list(bytes, kStrict));
  if (name == "CompressedCiphertextList") return again(read_compressed_list(bytes, kStrict));
  if (name == "CompactCiphertextList") return again(read_compact_list(bytes, kStrict));
  if (name == "CompactPublicKey") return again(read_public_key(bytes, kStrict), expansion_tag);
  if (name == "CompressedCompactPublicKey") return again(read_compressed_public_key(bytes, kStrict));
  if (name == "CompressedServerKey") return again(read_server_key(bytes, kStrict));
  if (name == "CompressedXofKeySet") return again(read_key_set(bytes));
  if (name == "ClientKey") return again(read_client_key(bytes));
  if (name.starts_with("CompressedFhe")) return again(read_seeded(bytes, kStrict));
  if (name.starts_with("Fhe")) return again(read_radix(bytes, kStrict));
  return fail(Code::unimplemented, "{}", name);
}

std::vector<std::filesystem::path> objects_in(std::string_view folder) {
  std::vector<std::filesystem::path> out;
  for (const auto& entry : std::filesystem::directory_iterator(test::data_path(folder)))
    if (entry.path().extension() == ".bin" && !entry.path().filename().string().ends_with(".plain.bin"))
      out.push_back(entry.path());
  std::ranges::sort(out);
  return out;
}

bool is_proof_material(const std::filesystem::path& file) {
  const std::string name = file.filename().string();
  return name.starts_with("crs_") || name.starts_with("proven_list");
}

// Made by tfhe-rs 1.7.0 (native and wasm) and by the vectors' own writer.
TEST(Objects, EveryObjectOf17IsReadToTheLastByteAndWrittenBackIdentically) {
  std::map<std::string, int> seen;
  for (const char* folder : {"tfhe/native-1.7.0/test", "tfhe/native-1.7.0/default", "tfhe/1.7.0/default",
                             "tfhe/1.7.0/kms_test", "tfhe/1.7.0/multi", "tfhe/synthetic"}) {
    for (const auto& file : objects_in(folder)) {
      if (is_proof_material(file)) continue;
      const Bytes bytes = test::read_file(file);
      const auto again = rewritten(bytes);
      ASSERT_TRUE(again) << file << ": " << again.error().message;
      EXPECT_TRUE(*again == bytes) << file;
      ++seen[folder];
    }
  }
  EXPECT_EQ(seen["tfhe/native-1.7.0/test"], 52);
  EXPECT_EQ(seen["tfhe/native-1.7.0/default"], 13);
  EXPECT_GE(seen["tfhe/1.7.0/kms_test"], 30);
  EXPECT_EQ(seen["tfhe/1.7.0/multi"], 2);
  EXPECT_GE(seen["tfhe/synthetic"], 20);
}

// Old versions are read and written in the new form, which reads again to the same value.
TEST(Objects, EveryObjectOf13IsReadAndItsNewFormReadsTheSame) {
  int seen = 0;
  for (const char* folder : {"tfhe/1.3.0/default", "tfhe/1.3.0/kms_test"}) {
    for (const auto& file : objects_in(folder)) {
      if (is_proof_material(file)) continue;
      const Bytes bytes = test::read_file(file);
      const auto fresh = rewritten(bytes);
      ASSERT_TRUE(fresh) << file << ": " << fresh.error().message;
      const auto again = rewritten(*fresh);
      ASSERT_TRUE(again) << file << ": " << again.error().message;
      EXPECT_TRUE(*again == *fresh) << file;
      ++seen;
    }
  }
  EXPECT_GE(seen, 55);
}

TEST(Objects, SizesAreKnownBeforeWriting) {
  const Bytes raw = test::read_data("tfhe/native-1.7.0/test/compressed_xof_key_set.bin");
  EXPECT_EQ(size_bytes(read_key_set(raw).value()), raw.size());
  const Bytes key = test::read_data("tfhe/native-1.7.0/test/compact_public_key.bin");
  EXPECT_EQ(size_bytes(read_public_key(key, Trailing::reject).value()), key.size());
}

// The published form differs from tfhe-rs 1.7's in one tag, and is what 1.3 writes (tfhe-formats.md 9.2).
TEST(PublicKey, PublishedFormHasExpansionTag0) {
  const Bytes raw = test::read_data("tfhe/native-1.7.0/test/compact_public_key.bin");
  const Bytes ours = rewritten(raw, 0).value();
  ASSERT_EQ(ours.size(), raw.size());
  int differing = 0;
  for (std::size_t i = 0; i < raw.size(); ++i) differing += raw[i] != ours[i];
  EXPECT_EQ(differing, 1);
  EXPECT_EQ(read_public_key(ours, Trailing::reject).value(), read_public_key(raw, Trailing::reject).value());
  const Bytes old = test::read_data("tfhe/1.3.0/kms_test/compact_public_key.bin");
  EXPECT_TRUE(rewritten(old, 0).value() == old);
}

TEST(Digests, EqualThoseOfTheVectors) {
  const auto hash = [](ByteView bytes) { return to_hex(crypto::tagged_hash(crypto::separators::kKeyObject, bytes)); };
  const auto native = test::read_json("tfhe/native-1.7.0/digests.json");
  const std::string text = native.dump();
  for (const char* file :
       {"tfhe/native-1.7.0/test/compressed_xof_key_set.bin", "tfhe/native-1.7.0/test/compact_public_key.bin",
        "tfhe/native-1.7.0/default/compact_public_key.bin"})
    EXPECT_NE(text.find(hash(rewritten(test::read_data(file)).value())), std::string::npos) << file;
  EXPECT_EQ(hash(rewritten(test::read_data("tfhe/synthetic/kms_test_compressed_xof_key_set.bin")).value()),
            "471d4daa7566f08410a966dc4ca467a582d18e0f5dbcfd98226c4fce1eec1bff");
}

TEST(Readers, TruncationAnywhereIsAnError) {
  for (const char* file :
       {"tfhe/native-1.7.0/test/big_compressed_uint8.bin", "tfhe/native-1.7.0/test/small_expanded_uint8.bin",
        "tfhe/native-1.7.0/test/small_compressed_bool.bin", "tfhe/native-1.7.0/test/big_expanded_bool.bin",
        "tfhe/native-1.7.0/test/compact_list.bin", "tfhe/native-1.7.0/test/client_key.bin",
        "tfhe/1.7.0/kms_test/ct_uint8.seeded.bin", "tfhe/native-1.7.0/test/compact_public_key.bin"}) {
    const Bytes bytes = test::read_data(file);
    const std::size_t step = bytes.size() > 4000 ? bytes.size() / 400 : 1;
    for (std::size_t cut = 0; cut < bytes.size(); cut += cut < 600 ? 1 : step)
      EXPECT_FALSE(rewritten(ByteView(bytes).first(cut))) << file << " cut at " << cut;
    Bytes longer = bytes;
    longer.push_back(0);
    EXPECT_FALSE(rewritten(longer)) << file;
  }
}

// Every byte of the structure changed once: an error or another object, never a crash or a huge allocation.
TEST(Readers, ChangedBytesNeverCrash) {
  for (const char* file :
       {"tfhe/native-1.7.0/test/big_compressed_uint8.bin", "tfhe/native-1.7.0/test/small_compressed_bool.bin",
        "tfhe/native-1.7.0/test/big_expanded_bool.bin", "tfhe/native-1.7.0/test/client_key.bin"}) {
    const Bytes bytes = test::read_data(file);
    for (std::size_t at = 0; at < bytes.size(); at += at < 400 ? 1 : 97)
      for (const int value : {0x00, 0x01, 0x7f, 0xff}) {
        Bytes bad = bytes;
        bad[at] = static_cast<std::uint8_t>(value);
        (void)rewritten(bad);
      }
  }
  SUCCEED();
}

TEST(Readers, HugeCountsFailBeforeMemoryIsSpent) {
  Bytes bytes = test::read_data("tfhe/native-1.7.0/test/small_expanded_uint8.bin");
  const std::string name = "high_level_api::FheUint";
  const auto at = std::search(bytes.begin(), bytes.end(), name.begin(), name.end()) - bytes.begin() +
                  static_cast<std::ptrdiff_t>(name.size()) + 12;  // three tags, then the number of blocks
  store_le<std::uint64_t>(~std::uint64_t{0} / 2, bytes.data() + at);
  const auto read = read_radix(bytes, Trailing::ignore);
  ASSERT_FALSE(read);
  EXPECT_NE(read.error().message.find("a list claims"), std::string::npos) << read.error().message;
}

TEST(Readers, WrongEnvelopesAreNamed) {
  const Bytes list = test::read_data("tfhe/native-1.7.0/test/big_compressed_uint8.bin");
  EXPECT_NE(read_radix(list, Trailing::ignore).error().message.find("CompressedSquashedNoiseCiphertextList"),
            std::string::npos);
  Bytes other_version = list;
  other_version[10] = '6';
  EXPECT_NE(object_name(other_version).error().message.find("0.6"), std::string::npos);
  Bytes unversioned = list;
  unversioned[11] = 1;
  EXPECT_FALSE(object_name(unversioned));
  EXPECT_FALSE(object_name({}));
  EXPECT_FALSE(read_key_set(Bytes(100, 7)));
}

/// Decrypts what parse_* gave, with the whole key: the meaning of the bytes.
class Decryptor {
 public:
  explicit Decryptor(std::string_view client_key) : key_(read_client_key(test::read_data(client_key)).value()) {}
  const tfhe::Params& params() const { return key_.params; }
  const tfhe::SecretKeySet& keys() const { return key_.keys; }

  tfhe::U256 big(const std::vector<tfhe::Lwe<u128>>& blocks, FheType type, tfhe::KeyName name) const {
    std::vector<std::uint8_t> pairs;
    for (const auto& lwe : blocks) pairs.push_back(tfhe::decode_pair(tfhe::phase(lwe, key_.keys.bits(name))));
    return tfhe::recombine(type, pairs).value();
  }
  tfhe::U256 small(const std::vector<tfhe::Block>& blocks, FheType type) const {
    std::vector<std::uint8_t> digits;
    for (const auto& block : blocks)
      digits.push_back(static_cast<std::uint8_t>(tfhe::decrypt_block(block, key_.keys.bits(tfhe::KeyName::glwe)) & 3));
    return tfhe::recombine(type, tfhe::pair_blocks(digits)).value();
  }
  /// Phase of a stored 64-bit list before its decompression: 2 bits at 2^61.
  tfhe::U256 small_list(const tfhe::PackedList<u64>& list, FheType type) const {
    std::vector<std::uint8_t> digits;
    for (int i = 0; i < tfhe::info(type).blocks; ++i) {
      const auto lwe = tfhe::list_element(list, static_cast<std::size_t>(i)).value();
      const u64 phase = tfhe::phase(lwe, key_.keys.bits(tfhe::KeyName::compression));
      digits.push_back(static_cast<std::uint8_t>(((phase + (u64{1} << 60)) >> 61) & 3));
    }
    return tfhe::recombine(type, tfhe::pair_blocks(digits)).value();
  }

 private:
  ClientKeyObject key_;
};

tfhe::U256 value_of(const nlohmann::json& entry) {
  const auto& value = entry.at("value");
  if (value.is_boolean()) return tfhe::U256(value.get<bool>() ? 1 : 0);
  if (value.is_number()) return tfhe::U256(value.get<std::uint64_t>());
  const std::string text = value.get<std::string>();
  if (text == "true" || text == "false") return tfhe::U256(text == "true" ? 1 : 0);
  return tfhe::U256::parse(text.starts_with("0x") ? text : "0x" + text).value();
}

TEST(Ciphertexts, AllOfTheNativeVectorsDecryptWithTheClientKey) {
  for (const std::string folder : {"tfhe/native-1.7.0/test/", "tfhe/native-1.7.0/default/"}) {
    const Decryptor decryptor(folder + "client_key.bin");
    const auto index = test::read_json(folder + "index.json");
    std::map<std::string, int> seen;
    for (const auto& entry : index.at("files")) {
      const std::string file = entry.at("file");
      const auto starts = [&](const char* prefix) { return file.starts_with(prefix); };
      if (file.find("list") != std::string::npos || !entry.contains("values") || !entry.at("shipped").get<bool>())
        continue;
      const auto type = tfhe::fhe_type_from_number(entry.at("values").at(0).at("fhe_type").get<int>()).value();
      const Bytes bytes = test::read_data(folder + file);
      tfhe::U256 got;
      if (starts("big_compressed")) {
        const auto parsed = parse_big_compressed(bytes, decryptor.params(), type);
        ASSERT_TRUE(parsed) << file << ": " << parsed.error().message;
        got = decryptor.big(*parsed, type, tfhe::KeyName::sns_compression);
      } else if (starts("big_expanded")) {
        const auto parsed = parse_big_expanded(bytes, decryptor.params(), type);
        ASSERT_TRUE(parsed) << file << ": " << parsed.error().message;
        got = decryptor.big(*parsed, type, tfhe::KeyName::sns);
      } else if (starts("small_expanded")) {
        const auto parsed = parse_small_expanded(bytes, decryptor.params(), type);
        ASSERT_TRUE(parsed) << file << ": " << parsed.error().message;
        got = decryptor.small(*parsed, type);
      } else if (starts("small_compressed")) {
        const auto parsed = parse_small_compressed(bytes, decryptor.params(), type);
        ASSERT_TRUE(parsed) << file << ": " << parsed.error().message;
        got = decryptor.small_list(*parsed, type);
      } else if (starts("big_decompressed")) {
        EXPECT_EQ(parse_big_expanded(bytes, decryptor.params(), type).error().code, Code::invalid_argument);
        ++seen["decompressed"];
        continue;
      } else {
        continue;
      }
      EXPECT_EQ(got, value_of(entry.at("values").at(0))) << file;
      ++seen[file.substr(0, file.find('_', file.find('_') + 1))];
    }
    for (const char* format : {"big_compressed", "big_expanded", "small_expanded", "small_compressed"})
      EXPECT_GE(seen[format], 2) << folder << format;
    EXPECT_GE(seen["decompressed"], 1);
  }
}

TEST(Ciphertexts, WhatDoesNotFitTheKeyOrTheTypeIsRefused) {
  const Decryptor test_key("tfhe/native-1.7.0/test/client_key.bin"),
      default_key("tfhe/native-1.7.0/default/client_key.bin");
  const auto read = [](const char* file) { return test::read_data(std::string("tfhe/native-1.7.0/test/") + file); };
  const auto refused = [](const auto& result, const char* part) {
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, Code::invalid_argument);
    EXPECT_NE(result.error().message.find(part), std::string::npos) << result.error().message;
  };
  const auto& params = test_key.params();
  refused(parse_big_compressed(read("big_compressed_uint8.bin"), params, FheType::uint16), "Uint16");
  refused(parse_big_expanded(read("big_expanded_uint8.bin"), params, FheType::uint16), "packed blocks");
  refused(parse_small_expanded(read("small_expanded_uint8.bin"), params, FheType::uint16), "blocks");
  refused(parse_small_compressed(read("small_compressed_uint8.bin"), params, FheType::boolean), "Bool");
  refused(parse_small_compressed(read("small_compressed_list_mixed.bin"), params, FheType::uint8), "exactly one");
  refused(parse_small_compressed(read("small_compressed_list_long.bin"), params, FheType::uint64), "exactly one");
  refused(parse_big_compressed(read("big_compressed_uint8.bin"), default_key.params(), FheType::uint8), "the key");
  refused(parse_big_expanded(read("big_expanded_uint8.bin"), default_key.params(), FheType::uint8), "dimension");
  refused(parse_small_expanded(read("small_expanded_uint8.bin"), default_key.params(), FheType::uint8), "dimension");
  refused(parse_small_compressed(read("small_compressed_uint8.bin"), default_key.params(), FheType::uint8), "the key");
  refused(parse_big_expanded(read("small_expanded_uint8.bin"), params, FheType::uint8), "expected");
  refused(parse_big_compressed({}, params, FheType::uint8), "cut short");
  // Bytes after a ciphertext are ignored, as tfhe-rs does.
  Bytes longer = read("big_compressed_uint8.bin");
  longer.resize(longer.size() + 10);
  EXPECT_TRUE(parse_big_compressed(longer, params, FheType::uint8));
}

TEST(Ciphertexts, Value0OfALongListIsTaken) {
  const Decryptor key("tfhe/native-1.7.0/test/client_key.bin");
  for (const char* file : {"big_compressed_list_long.bin", "big_compressed_list_mixed.bin"}) {
    const Bytes bytes = test::read_data(std::string("tfhe/native-1.7.0/test/") + file);
    const auto object = read_squashed_list(bytes, Trailing::reject).value();
    for (const FheType type : tfhe::all_fhe_types()) {
      const auto parsed = parse_big_compressed(bytes, key.params(), type);
      EXPECT_EQ(parsed.has_value(), object.kinds[0] == tfhe::kind_of(type)) << file;
    }
  }
}

TEST(ClientKey, ParametersAreThoseOfTheTable) {
  for (const auto& [file, name] : {std::pair{"tfhe/native-1.7.0/test/client_key.bin", "test"},
                                   {"tfhe/native-1.7.0/default/client_key.bin", "default"}}) {
    const auto key = read_client_key(test::read_data(file)).value();
    const auto params = tfhe::params_by_name(name).value();
    EXPECT_TRUE(key.params.same_values(params)) << name;
    EXPECT_TRUE(key.keys.check(params));
  }
}

TEST(KeySet, NativeSetIsConsistentAndItsPublicKeyIsTheExpandedOne) {
  const auto set = read_key_set(test::read_data("tfhe/native-1.7.0/test/compressed_xof_key_set.bin")).value();
  const Status good = tfhe::check(set);
  EXPECT_TRUE(good) << good.error().message;
  EXPECT_EQ(set.server_key.max_degree, 12u);
  EXPECT_EQ(read_key_set(test::read_data("tfhe/synthetic/kms_test_compressed_xof_key_set.bin"))->server_key.max_degree,
            15u);
}

}  // namespace
}  // namespace witan::tfhe_rs
