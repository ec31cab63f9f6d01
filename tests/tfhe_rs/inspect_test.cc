#include "tfhe_rs/inspect.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "tfhe_rs/tfhe_rs_testing.h"

namespace witan::tfhe_rs {
namespace {

std::map<std::string, std::string> page(const std::string& file) {
  const auto lines = inspect(test::read_data("tfhe/" + file));
  EXPECT_TRUE(lines) << file;
  return lines ? std::map<std::string, std::string>(lines->begin(), lines->end())
               : std::map<std::string, std::string>();
}

TEST(Inspect, SaysWhatAnObjectIs) {
  auto list = page("native-1.7.0/test/big_compressed_list_mixed.bin");
  EXPECT_EQ(list["type"], "high_level_api::CompressedSquashedNoiseCiphertextList");
  EXPECT_EQ(list["bytes"], "4740");
  EXPECT_EQ(list["values"], "Unsigned of 32 blocks, Boolean, Unsigned of 4 blocks");
  EXPECT_EQ(list["ciphertexts"], "19");
  EXPECT_EQ(list["GLWE"], "k = 1, N = 256, storage modulus 2^128");
  EXPECT_EQ(list["versions"], "as tfhe-rs 1.7 writes them");
  EXPECT_EQ(list["tag"], "0400000000000000000000000000000000000000000000000000000000000101");

  auto set = page("native-1.7.0/test/compressed_xof_key_set.bin");
  EXPECT_EQ(set["digest"], "7f8513355fa9b1712ac944a6ff31e513449e45c70807ecd8332fdfc284c34746");
  EXPECT_EQ(set["consistency"], "all sizes agree");
  EXPECT_EQ(set["max degree"], "12");
  EXPECT_EQ(set["key switch"], "base 2^37, 1 level, output dimension 1, 256 words");

  auto squashed = page("native-1.7.0/test/big_decompressed_bool.bin");
  EXPECT_EQ(squashed["state"], "PostDecompression");
  EXPECT_EQ(squashed["kind"], "boolean");

  auto old_key = page("1.3.0/kms_test/compact_public_key.bin");
  EXPECT_EQ(old_key["versions"], "older ones: ExpansionKind 0");
}

TEST(Inspect, ReadsEveryObjectAndNamesEachLineOnce) {
  int seen = 0;
  for (const char* folder : {"tfhe/native-1.7.0/test", "tfhe/native-1.7.0/default", "tfhe/1.7.0/kms_test",
                             "tfhe/1.7.0/multi", "tfhe/1.3.0/kms_test"}) {
    for (const auto& file : objects_in(folder)) {
      const auto lines = inspect(test::read_file(file));
      ASSERT_TRUE(lines) << file << ": " << lines.error().message;
      std::set<std::string> names;
      for (const auto& [name, value] : *lines) {
        EXPECT_TRUE(names.insert(name).second) << file << " has two lines " << name;
        if (name == "consistency") {
          EXPECT_EQ(value, "all sizes agree") << file;
        }
      }
      ++seen;
    }
  }
  EXPECT_EQ(seen, 52 + 13 + 33 + 2 + 33);
}

TEST(Inspect, ShowsNoSecret) {
  const auto key = read_client_key(test::read_data("tfhe/native-1.7.0/test/client_key.bin")).value();
  auto lines = page("native-1.7.0/test/client_key.bin");
  EXPECT_EQ(lines["parameters"], "test");
  EXPECT_EQ(lines["key " + std::string(to_string(tfhe::KeyName::glwe))], "256 bits");
  EXPECT_EQ(lines.size(), 3 + 1 + tfhe::kKeyNames + 2);
}

TEST(Inspect, CountsWhatFollowsAndSaysWhatDisagrees) {
  Bytes longer = test::read_data("tfhe/native-1.7.0/test/compact_list.bin");
  longer.resize(longer.size() + 3);
  const auto lines = inspect(longer).value();
  EXPECT_EQ(lines[2], std::pair(std::string("bytes after the object"), std::string("3")));
  auto object = read_compact_list(longer, Trailing::ignore).value();
  object.list.data.pop_back();
  const auto broken = inspect(to_bytes(object)).value();
  EXPECT_TRUE(std::ranges::any_of(broken, [](const auto& line) {
    return line.first == "consistency" && line.second.find("words") != line.second.npos;
  }));
}

TEST(Inspect, RefusesWhatItDoesNotRead) {
  EXPECT_EQ(inspect({}).error().code, Code::invalid_argument);
  const auto crs = inspect(test::read_data("tfhe/native-1.7.0/test/crs_64.bin"));
  ASSERT_FALSE(crs);
  EXPECT_EQ(crs.error().message, "'zk::CompactPkeCrs' is no object that this program reads");
}

}  // namespace
}  // namespace witan::tfhe_rs
