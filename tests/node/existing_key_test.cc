#include "node/existing_key.h"

#include <gtest/gtest.h>

#include <set>

namespace witan::node {
namespace {

template <class Id>
Id id(std::uint8_t first) {
  ByteArray<32> bytes{};
  bytes[0] = first;
  return Id(bytes);
}

KeyRecord existing() {
  KeyRecord out;
  out.key = id<KeyId>(4);
  out.context = default_context_id();
  out.epoch = default_epoch_id();
  out.params = "default";
  out.origin = KeyOrigin::generated;
  out.digests = {{kPublicKeyType, {1}}, {kKeySetType, {2}}};
  return out;
}

KeygenFields fields() {
  KeygenFields out;
  out.key = id<KeyId>(5);
  out.context = default_context_id();
  out.epoch = default_epoch_id();
  out.params = "default";
  out.material = PreprocessingRecord::Kind::from_existing;
  out.existing = ExistingKeyFields{id<KeyId>(4), false};
  return out;
}

TEST(ExistingKeys, ServeForTheirContextAndParametersIfTheProgramUsesThem) {
  EXPECT_TRUE(check_existing_key(existing(), fields(), true));
  EXPECT_EQ(check_existing_key(existing(), fields(), false).error().code, Code::failed_precondition);
  KeyRecord other = existing();
  other.context = id<ContextId>(7);
  EXPECT_EQ(check_existing_key(other, fields(), true).error().code, Code::invalid_argument);
  other = existing();
  other.params = "test";
  const Status refused = check_existing_key(other, fields(), true);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::invalid_argument);
  EXPECT_NE(refused.error().message.find("parameters test"), std::string::npos) << refused.error().message;
}

// Noises that everybody can compute would give away a key that nobody has seen. Whether there are any is not known here.
TEST(ExistingKeys, ThatNobodyHasSeenAreNotUsedWithPartialMaterial) {
  KeygenFields partial = fields();
  partial.material = PreprocessingRecord::Kind::partial;
  KeyRecord record = existing();
  record.origin = KeyOrigin::generated;
  const Status refused = check_existing_key(record, partial, true);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::failed_precondition);
  EXPECT_NE(refused.error().message.find(partial.preprocessing.hex() + " is partial"), std::string::npos)
      << refused.error().message;
  EXPECT_NE(refused.error().message.find("dummies among its noises, if there are any"), std::string::npos)
      << refused.error().message;
  record.origin = KeyOrigin::dealt;
  EXPECT_TRUE(check_existing_key(record, partial, true));
}

// What somebody has seen stays seen.
TEST(ExistingKeys, GiveTheirOriginToTheNewKey) {
  KeyRecord record = existing();
  for (const KeyOrigin origin : {KeyOrigin::dealt, KeyOrigin::imported, KeyOrigin::generated}) {
    record.origin = origin;
    EXPECT_EQ(origin_of(fields(), &record), origin);
  }
  KeygenFields partial = fields();
  partial.material = PreprocessingRecord::Kind::partial;
  EXPECT_EQ(origin_of(partial, &record), KeyOrigin::dealt);
  partial.existing.reset();
  EXPECT_EQ(origin_of(partial, nullptr), KeyOrigin::dealt);
  for (const auto kind : {PreprocessingRecord::Kind::dealt, PreprocessingRecord::Kind::measured}) {
    partial.material = kind;
    EXPECT_EQ(origin_of(partial, nullptr), KeyOrigin::dealt);
  }
  KeygenFields fresh = fields();
  fresh.existing.reset();
  fresh.material = PreprocessingRecord::Kind::generated;
  EXPECT_EQ(origin_of(fresh, nullptr), KeyOrigin::generated);
}

// Parties that would publish anything else make no key with this one.
TEST(ExistingKeys, AreAmongWhatPartiesAgreeOn) {
  const KeyRecord record = existing();
  KeygenFields tag = fields();
  tag.existing->keep_tag = true;
  KeyRecord key = record, public_key = record, key_set = record;
  key.key = id<KeyId>(6);
  public_key.digests[0].digest[0] = 9;
  key_set.digests[1].digest[0] = 9;
  const std::set<crypto::Digest> different{
      configuration_of(fields(), nullptr),     configuration_of(fields(), &record),
      configuration_of(tag, &record),          configuration_of(fields(), &key),
      configuration_of(fields(), &public_key), configuration_of(fields(), &key_set)};
  EXPECT_EQ(different.size(), 6u);
}

}  // namespace
}  // namespace witan::node
