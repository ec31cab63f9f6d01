#include "node/key_requests.h"

#include <gtest/gtest.h>

namespace witan::node {
namespace {

PreprocessingRecord record() {
  return {PreprocessingRecord::Kind::generated, "default", default_context_id(), default_epoch_id()};
}

TEST(PreprocessingRecords, AreReadAsTheyWereWritten) {
  const auto read = PreprocessingRecord::decode(record().encode());
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->kind, PreprocessingRecord::Kind::generated);
  EXPECT_EQ(read->params, "default");
  EXPECT_EQ(read->context, default_context_id());
  EXPECT_EQ(read->epoch, default_epoch_id());
}

TEST(PreprocessingRecords, CutShortLongerOrOfAnUnknownKindAreDataLoss) {
  const Bytes good = record().encode();
  for (std::size_t size = 0; size < good.size(); ++size)
    EXPECT_EQ(PreprocessingRecord::decode(ByteView(good).first(size)).error().code, Code::data_loss) << size;
  Bytes longer = good;
  longer.push_back(0);
  EXPECT_EQ(PreprocessingRecord::decode(longer).error().code, Code::data_loss);
  Bytes unknown = good;
  unknown[0] = 6;
  EXPECT_EQ(PreprocessingRecord::decode(unknown).error().code, Code::data_loss);
}

TEST(PreprocessingRecords, SayWhichKeysTheirMaterialIsFor) {
  using Kind = PreprocessingRecord::Kind;
  using protocols::KeySource;
  for (const auto& [kind, keys, material] :
       {std::tuple{Kind::dealt, KeySource::all_new, false}, std::tuple{Kind::generated, KeySource::all_new, true},
        std::tuple{Kind::from_existing, KeySource::existing, true}, std::tuple{Kind::partial, KeySource::all_new, true},
        std::tuple{Kind::measured, KeySource::all_new, false}}) {
    PreprocessingRecord one = record();
    one.kind = kind;
    const auto read = PreprocessingRecord::decode(one.encode());
    ASSERT_TRUE(read) << read.error().message;
    EXPECT_EQ(read->kind, kind);
    EXPECT_EQ(keys_of(read->kind), keys);
    EXPECT_EQ(read->has_material(), material);
  }
}

// A key and its result are one: who asks after a restart gets the bytes that were signed.
TEST(KeyResults, OfARecordAreTheSameEachTime) {
  KeyRecord key;
  key.key = KeyId(ByteArray<32>{4});
  key.preprocessing = PreprocId(ByteArray<32>{3});
  key.digests = {{kPublicKeyType, {1}}, {kKeySetType, {2}}};
  key.external_signature = Bytes(65, 7);
  key.signatures = {{1, Bytes(64, 8)}};
  const auto read = KeyRecord::decode(key.encode());
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(key_result(*read), key_result(key));
}

}  // namespace
}  // namespace witan::node
