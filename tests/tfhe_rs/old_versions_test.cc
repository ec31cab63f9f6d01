#include <gtest/gtest.h>

#include <map>

#include "tfhe_rs/tfhe_rs_testing.h"

namespace witan::tfhe_rs {
namespace {

// tests/data/tfhe/old-tags, made by the reference codec of the vectors: every tag of tfhe-formats.md 15, and the older
// ones of 5, 6, 7 and 8 that 1.7 still loads.
TEST(OldVersions, AreWrittenAgainInTheFormOf17) {
  std::map<std::string, int> seen;
  for (const auto& entry : test::read_json("tfhe/old-tags/old_tags.json")) {
    const std::string name = entry.at("name"), what = entry.at("what");
    const Bytes old = test::hex(entry.at("old").get<std::string>());
    const Bytes current = test::hex(entry.at("current").get<std::string>());
    const auto written = rewritten(old);
    ASSERT_TRUE(written) << name << ", " << what << ": " << written.error().message;
    EXPECT_EQ(to_hex(*written), to_hex(current)) << name << ", " << what;
    EXPECT_EQ(rewritten(current).value(), current) << name << ", " << what;
    for (std::size_t cut = 0; cut < old.size(); cut += 1 + cut / 50)
      EXPECT_FALSE(rewritten(ByteView(old).first(cut))) << name << ", " << what << " cut at " << cut;
    ++seen[name];
  }
  EXPECT_EQ(seen["high_level_api::FheUint"], 5);
  EXPECT_EQ(seen["high_level_api::CompressedCiphertextList"], 11);
  EXPECT_EQ(seen["high_level_api::CompactCiphertextList"], 6);
  EXPECT_EQ(seen["high_level_api::ClientKey"], 16);
  EXPECT_EQ(seen["high_level_api::CompressedXofKeySet"], 4);
  EXPECT_EQ(seen["high_level_api::CompressedServerKey"], 6);
}

// Bytes of tfhe-rs 1.3.0 itself.
TEST(OldVersions, EveryObjectOf13IsReadAndItsNewFormReadsTheSame) {
  int seen = 0;
  for (const char* folder : {"tfhe/1.3.0/default", "tfhe/1.3.0/kms_test"}) {
    for (const auto& file : objects_in(folder)) {
      const auto fresh = rewritten(test::read_file(file));
      ASSERT_TRUE(fresh) << file << ": " << fresh.error().message;
      const auto again = rewritten(*fresh);
      ASSERT_TRUE(again) << file << ": " << again.error().message;
      EXPECT_TRUE(*again == *fresh) << file;
      ++seen;
    }
  }
  EXPECT_EQ(seen, 63);
}

}  // namespace
}  // namespace witan::tfhe_rs
