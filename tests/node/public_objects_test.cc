// The objects that are published of a key: the same bytes whether a dealer makes them or a committee opens them.
#include "node/public_objects.h"

#include "crypto/separators.h"
#include "node/node_testing.h"
#include "protocols/key_rows_world.h"
#include "support/memory_meter.h"
#include "tfhe/expand.h"

namespace witan::node {
namespace {

using test::said;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

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

// Whatever is in the file of a key counts, not what was in memory.
TEST(KeyObjectsTest, AreReadBackFromTheDisk) {
  const test::TemporaryFolder folder;
  const auto vault = folder.public_vault();
  const KeyId key(ByteArray<32>{4, 1});
  const KeyObjects objects =
      write_key_objects(protocols::test::KeyWorld("witan_toy_a", 4, 1).dealt, key, *vault).value();
  runtime::VirtualLoop loop;
  runtime::InlineCompute compute(loop);
  const auto checked = [&] { return said(loop.run(check_key_objects(compute, *vault, key, objects))); };
  EXPECT_EQ(checked(), "OK");
  for (const auto& [type, info] :
       {std::pair{kPublicKeyType, objects.public_key}, std::pair{kKeySetType, objects.key_set}}) {
    const std::string name = key_object_name(type, key).path();
    const auto file = folder.path() / "PUB" / name;
    const Bytes written = witan::test::read_file(file);
    Bytes flipped = written, longer = written, shorter = written;
    flipped.at(written.size() / 2) ^= 1;
    longer.push_back(0);
    shorter.pop_back();
    const auto named = [&, expected = info](const std::string& found) {
      return AllOf(StartsWith("DATA_LOSS: key " + key.hex() + ": the public object " + name),
                   HasSubstr(fmt::format("expected digest {} ({} bytes), found {}", to_hex(expected.digest),
                                         expected.size_bytes, found)),
                   HasSubstr("not published"));
    };
    for (const Bytes& other : {flipped, longer, shorter, Bytes()}) {
      test::write_file(file, other);
      const auto digest = crypto::tagged_hash(crypto::separators::kKeyObject, other);
      EXPECT_THAT(checked(), named(fmt::format("digest {} ({} bytes)", to_hex(digest), other.size())));
    }
    std::filesystem::remove(file);
    EXPECT_THAT(checked(), named(file.native() + ": cannot open "));
    std::filesystem::create_directory(file);
    EXPECT_THAT(checked(), named(file.native() + ": it is not a regular file"));
    std::filesystem::remove(file);
    std::filesystem::create_symlink(file, file);
    EXPECT_THAT(checked(), StartsWith("UNAVAILABLE: ")) << "which may pass";
    std::filesystem::remove(file);
    test::write_file(file, written);
  }
  EXPECT_EQ(checked(), "OK");
}

TEST(KeyObjectsTest, AreReadBackInPieces) {
  const test::TemporaryFolder folder;
  const auto vault = folder.public_vault();
  const KeyId key(ByteArray<32>{4, 1});
  const Bytes large(20 * kReadAtOnce, 7);
  KeyObjects objects;
  for (auto [type, info] : {std::pair{kPublicKeyType, &objects.public_key}, std::pair{kKeySetType, &objects.key_set}}) {
    ASSERT_TRUE(vault->put(key_object_name(type, key), large));
    *info = {large.size(), crypto::tagged_hash(crypto::separators::kKeyObject, large)};
  }
  runtime::VirtualLoop loop;
  runtime::InlineCompute compute(loop);
  const witan::test::MemoryMeter meter;
  EXPECT_EQ(said(loop.run(check_key_objects(compute, *vault, key, objects))), "OK");
  EXPECT_GT(meter.peak_bytes(), kReadAtOnce) << "the meter counts";
  EXPECT_LT(meter.peak_bytes(), 3 * kReadAtOnce);
}

}  // namespace
}  // namespace witan::node
