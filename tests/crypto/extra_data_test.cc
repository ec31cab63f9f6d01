#include "crypto/extra_data.h"

#include <gtest/gtest.h>

#include "support/support.h"

namespace witan::crypto {
namespace {

// tests/data/service/extra_data.json
TEST(ExtraData, VectorsOfEveryVersion) {
  int versions = 0;
  for (const auto& entry : test::read_json("service/extra_data.json")) {
    const Bytes bytes = test::hex(entry.at("bytes").get<std::string>());
    const auto parsed = ExtraData::parse(bytes);
    ASSERT_TRUE(parsed) << parsed.error().message;
    const int version = entry.at("version");
    versions |= 1 << version;
    EXPECT_EQ(parsed->context.has_value(), version >= 1);
    EXPECT_EQ(parsed->epoch.has_value(), version >= 2);
    if (parsed->context) EXPECT_EQ(parsed->context->hex(), entry.at("context_id").get<std::string>());
    if (parsed->epoch) EXPECT_EQ(parsed->epoch->hex(), entry.at("epoch_id").get<std::string>());
    EXPECT_EQ(parsed->encode(), version == 0 ? Bytes{} : bytes);
  }
  EXPECT_EQ(versions, 0b111);
}

TEST(ExtraData, OtherLayoutsAreRefused) {
  Bytes good(65, 7);
  good[0] = 2;
  ASSERT_TRUE(ExtraData::parse(good));
  for (std::size_t size = 1; size < good.size(); ++size)
    EXPECT_FALSE(ExtraData::parse(ByteView(good).first(size))) << size;
  Bytes longer = good;
  longer.push_back(0);
  EXPECT_FALSE(ExtraData::parse(longer));
  EXPECT_FALSE(ExtraData::parse(Bytes{0, 0}));
  EXPECT_FALSE(ExtraData::parse(Bytes{3}));
  Bytes zero(33, 0);
  zero[0] = 1;
  EXPECT_FALSE(ExtraData::parse(zero));
}

}  // namespace
}  // namespace witan::crypto
