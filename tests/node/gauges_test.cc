// Metrics of key generations and of decrypted blocks.
#include "node/gauges.h"

#include <gmock/gmock.h>

#include "support/prometheus_text.h"

namespace witan::node {
namespace {

using witan::test::PrometheusText;

PrometheusText text_of(const std::vector<metrics::Family>& families) {
  metrics::Registry registry;
  registry.add_collector([&families] { return families; });
  return PrometheusText(registry.text());
}

TEST(KeygenGauges, SayHowFarARunIs) {
  const auto text = text_of(keygen_gauges({{.kind = RequestKind::preprocessing,
                                            .stage = "preprocessing",
                                            .pace = {.done = 250, .total = 1000, .seconds = 12, .per_second = 50},
                                            .excluded = {Role(2), Role(4)},
                                            .convicted = {Role(4)}},
                                           {.kind = RequestKind::keygen,
                                            .stage = "online",
                                            .pace = {.done = 0, .total = 10, .seconds = 1, .per_second = 0},
                                            .excluded = {},
                                            .convicted = {}}}));
  const PrometheusText::Labels preprocessing = {{"request", "preprocessing"}}, keygen = {{"request", "keygen"}};
  EXPECT_EQ(text.value("kms_keygen_stage", {{"request", "preprocessing"}, {"stage", "preprocessing"}}), 1);
  EXPECT_EQ(text.value("kms_keygen_stage", {{"request", "keygen"}, {"stage", "online"}}), 1);
  EXPECT_EQ(text.value("kms_keygen_seconds", preprocessing), 12);
  EXPECT_EQ(text.value("kms_keygen_elements_done", preprocessing), 250);
  EXPECT_EQ(text.value("kms_keygen_elements", preprocessing), 1000);
  EXPECT_EQ(text.value("kms_keygen_percent", preprocessing), 25);
  EXPECT_EQ(text.value("kms_keygen_elements_per_second", preprocessing), 50);
  EXPECT_EQ(text.value("kms_keygen_seconds_left", preprocessing), 15);
  EXPECT_EQ(text.value("kms_keygen_excluded_parties", preprocessing), 2);
  EXPECT_EQ(text.value("kms_keygen_convicted_parties", preprocessing), 1);
  EXPECT_EQ(text.value("kms_keygen_percent", keygen), 0);
  EXPECT_FALSE(text.find("kms_keygen_seconds_left", keygen)) << "nothing is known of the rate yet";
  EXPECT_FALSE(text.find("kms_keygen_excluded_parties", keygen)) << "a key generation excludes nobody";
}

TEST(KeygenGauges, WithoutARunThereIsNoSeries) {
  const auto text = text_of(keygen_gauges({}));
  for (const std::string& family : text.families()) EXPECT_TRUE(text.series(family).empty()) << family;
}

KeyId key(int number) {
  ByteArray<32> raw{4};
  raw[30] = static_cast<std::uint8_t>(number >> 8);
  raw[31] = static_cast<std::uint8_t>(number);
  return KeyId(raw);
}

TEST(BlockGauges, AreExactBeyondTheAlarm) {
  const std::uint64_t blocks = (std::uint64_t{1} << 40) + 1;
  const auto text = text_of(block_gauges({{key(1), default_epoch_id(), blocks}}));
  EXPECT_EQ(
      text.value("kms_decrypted_blocks_total", {{"key_id", key(1).hex()}, {"epoch_id", default_epoch_id().hex()}}),
      static_cast<double>(blocks));
  EXPECT_EQ(text.value("kms_decrypted_blocks_limit"), 0x1p40);
}

TEST(BlockGauges, OfManyKeysShowThoseThatHaveDecryptedMost) {
  std::vector<KeyBlocks> keys;
  for (int i = 0; i < 1000; ++i)
    keys.push_back({key(i), default_epoch_id(), static_cast<std::uint64_t>(i * 7919 % 1000)});
  const auto text = text_of(block_gauges(keys));
  const auto series = text.series("kms_decrypted_blocks_total");
  EXPECT_EQ(series.size(), kMaxKeySeries);
  for (const auto& [labels, blocks] : series) EXPECT_GE(blocks, 1000.0 - static_cast<double>(kMaxKeySeries));
}

}  // namespace
}  // namespace witan::node
