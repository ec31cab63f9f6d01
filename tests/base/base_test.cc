#include <gtest/gtest.h>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/log.h"
#include "base/secret.h"
#include "support/support.h"

namespace witan {
namespace {

TEST(Hex, RoundTripsAndNamesTheBadPosition) {
  EXPECT_EQ(to_hex(Bytes{0, 0xab, 0xff}), "00abff");
  EXPECT_EQ(from_hex("00ABff").value(), (Bytes{0, 0xab, 0xff}));
  EXPECT_EQ(from_hex("0").error().code, Code::invalid_argument);
  EXPECT_NE(from_hex("00zz").error().message.find("position 2"), std::string::npos);
}

TEST(Integers, LittleAndBigEndian) {
  ByteArray<16> raw;
  store_le<u128>(u128{0x0102} << 64 | 3, raw.data());
  EXPECT_EQ(raw[0], 3);
  EXPECT_EQ(raw[8], 2);
  EXPECT_EQ(load_le<u128>(raw.data()), u128{0x0102} << 64 | 3);
  store_be<std::uint32_t>(0x01020304, raw.data());
  EXPECT_EQ(raw[0], 1);
  EXPECT_EQ(load_be<std::uint32_t>(raw.data()), 0x01020304u);
}

TEST(Id, AcceptsAndRejectsWhatTheServiceSpecLists) {
  const auto vectors = test::read_json("service/ids.json");
  int seen = 0;
  for (const auto& entry : vectors.at("parse_accept")) {
    const auto id = RequestId::parse(entry.at("in").get<std::string>());
    ASSERT_TRUE(id) << entry;
    EXPECT_EQ(id->hex(), entry.at("id").get<std::string>());
    ++seen;
  }
  for (const auto& entry : vectors.at("parse_reject")) {
    EXPECT_EQ(RequestId::parse(entry.get<std::string>()).error().code, Code::invalid_argument) << entry;
    ++seen;
  }
  EXPECT_GT(seen, 4);
}

TEST(CommitteeSize, RuleS1) {
  struct Row {
    int n, t;
    bool accepted;
  };
  for (const Row& row : {Row{4, 1, true}, Row{5, 1, true}, Row{7, 2, true}, Row{10, 3, true}, Row{13, 4, true},
                         Row{15, 4, true}, Row{3, 1, false}, Row{4, 0, false}, Row{6, 2, false}, Row{12, 4, false},
                         Row{16, 5, false}, Row{16, 1, false}, Row{0, 0, false}, Row{-1, -1, false}})
    EXPECT_EQ(CommitteeSize::make(row.n, row.t).has_value(), row.accepted) << row.n << "," << row.t;
}

TEST(Secret, MovedFromMemoryIsWiped) {
  Secret<ByteArray<4>> a(ByteArray<4>{1, 2, 3, 4});
  Secret<ByteArray<4>> b(std::move(a));
  EXPECT_EQ(b.reveal(), (ByteArray<4>{1, 2, 3, 4}));
  EXPECT_EQ(a.reveal(), ByteArray<4>{});
  static_assert(!std::is_copy_constructible_v<Secret<Bytes>>);
}

}  // namespace
}  // namespace witan

#include "base/codec.h"
#include "base/text.h"

namespace witan {
namespace {

TEST(Texts, AreCutBetweenCharacters) {
  EXPECT_EQ(cut("plain", 5), "plain");
  EXPECT_EQ(cut("plain", 4), "plai");
  EXPECT_EQ(cut("", 0), "");
  const std::string_view mixed = "a\u00e9\u20ac\U0001f600";  // of 1, 2, 3 and 4 bytes
  const std::size_t whole[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 10};
  for (std::size_t bytes = 0; bytes < std::size(whole); ++bytes)
    EXPECT_EQ(cut(mixed, bytes), mixed.substr(0, whole[bytes])) << bytes;
}

TEST(Codec, RoundTripsAndRefusesWhatDoesNotFit) {
  Writer writer;
  writer.u8(1).u32(2).u64(3).u128(u128{4} << 64).text("five").bytes(Bytes{6, 6});
  const Bytes record = writer.take();
  Reader reader(record);
  EXPECT_EQ(reader.u8(), 1);
  EXPECT_EQ(reader.u32(), 2u);
  EXPECT_EQ(reader.u64(), 3u);
  EXPECT_EQ(reader.u128(), u128{4} << 64);
  EXPECT_EQ(reader.text(4), "five");
  EXPECT_EQ(reader.take_bytes(2), (Bytes{6, 6}));
  EXPECT_TRUE(reader.finish("record"));

  for (std::size_t cut = 0; cut < record.size(); ++cut) {
    Reader shorter(ByteView(record).first(cut));
    shorter.u8(), shorter.u32(), shorter.u64(), shorter.u128(), shorter.text(4), shorter.bytes(2);
    EXPECT_EQ(shorter.finish("record").error().code, Code::data_loss) << cut;
  }
  Bytes huge(8, 0xff);
  EXPECT_EQ(Reader(huge).count(1), 0u);
  const Bytes five = Writer().text("five").take();
  Reader limited(five);
  limited.text(3);
  EXPECT_TRUE(limited.failed());
}

TEST(Log, AFileThatCannotBeWrittenIsAnError) {
  const Status opened = log::set_file("/proc/no such folder/log");
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Code::unavailable);
  EXPECT_NE(opened.error().message.find("/proc/no such folder/log"), std::string::npos);
  log::debug("lines still go where they went before");
}

}  // namespace
}  // namespace witan
