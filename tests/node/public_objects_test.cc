// The objects that are published of a key: the same bytes whether a dealer makes them or a committee opens them.
#include "node/public_objects.h"

#include "crypto/separators.h"
#include "node/node_testing.h"
#include "protocols/key_rows_world.h"
#include "tfhe/expand.h"

namespace witan::node {
namespace {

class KeyObjectsOfACommittee : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Each, KeyObjectsOfACommittee, testing::Values("witan_toy_a", "test"));

TEST_P(KeyObjectsOfACommittee, AreThoseOfADealerByteByByte) {
  const protocols::test::KeyWorld world(GetParam(), 4, 1);
  const Bytes opened = tfhe_rs::to_bytes(world.generate()), dealt = tfhe_rs::to_bytes(world.dealt);
  EXPECT_TRUE(opened == dealt);
  EXPECT_GT(opened.size(), 1000u);
}

TEST(KeyObjectsTest, AreWrittenWithTheirDigestsAndErasedTogether) {
  const test::TemporaryFolder folder;
  const auto vault = folder.public_vault();
  const tfhe::CompressedKeySet set = protocols::test::KeyWorld("witan_toy_a", 4, 1).dealt;
  const KeyId key(ByteArray<32>{4, 1});
  const KeyObjects objects = write_key_objects(set, key, *vault).value();
  const auto expect_stored = [&](const char* type, const ObjectInfo& info, const Bytes& expected) {
    EXPECT_EQ(vault->get(key_object_name(type, key), 1u << 24).value(), expected);
    EXPECT_EQ(info.size_bytes, expected.size());
    crypto::Shake256 hash(crypto::separators::kKeyObject);
    hash.update(expected);
    EXPECT_EQ(info.digest, hash.finish());
  };
  expect_stored("CompressedXofKeySet", objects.key_set, tfhe_rs::to_bytes(set));
  expect_stored("PublicKey", objects.public_key, tfhe_rs::to_bytes(tfhe::public_key_of(set), 0u));
  EXPECT_EQ(objects.size_bytes(), objects.key_set.size_bytes + objects.public_key.size_bytes);

  const auto again = write_key_objects(set, key, *vault);
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, Code::already_exists);
  EXPECT_TRUE(erase_key_objects(key, *vault));
  EXPECT_FALSE(vault->exists(key_object_name(kKeySetType, key)).value());
  EXPECT_FALSE(vault->exists(key_object_name(kPublicKeyType, key)).value());
  EXPECT_TRUE(erase_key_objects(key, *vault)) << "also if they are not there";
}

}  // namespace
}  // namespace witan::node
