#include "tfhe_rs/objects.h"

#include <gtest/gtest.h>

#include <map>

#include "crypto/separators.h"
#include "tfhe/keygen.h"
#include "tfhe_rs/tfhe_rs_testing.h"

namespace witan::tfhe_rs {
namespace {

// Made by tfhe-rs 1.7.0 (native and wasm) and by the vectors' own writer.
TEST(Objects, EveryObjectOf17IsReadToTheLastByteAndWrittenBackIdentically) {
  std::map<std::string, int> seen;
  for (const char* folder : {"tfhe/native-1.7.0/test", "tfhe/native-1.7.0/default", "tfhe/1.7.0/default",
                             "tfhe/1.7.0/kms_test", "tfhe/1.7.0/multi", "tfhe/synthetic"}) {
    for (const auto& file : objects_in(folder)) {
      const Bytes bytes = test::read_file(file);
      const auto again = rewritten(bytes);
      ASSERT_TRUE(again) << file << ": " << again.error().message;
      EXPECT_TRUE(*again == bytes) << file;
      ++seen[folder];
    }
  }
  EXPECT_EQ(seen["tfhe/native-1.7.0/test"], 52);
  EXPECT_EQ(seen["tfhe/native-1.7.0/default"], 13);
  EXPECT_EQ(seen["tfhe/1.7.0/default"], 30);
  EXPECT_EQ(seen["tfhe/1.7.0/kms_test"], 33);
  EXPECT_EQ(seen["tfhe/1.7.0/multi"], 2);
  EXPECT_EQ(seen["tfhe/synthetic"], 33);
}

template <class Object>
void expect_size(const Result<Object>& object, std::size_t size_bytes_expected) {
  EXPECT_EQ(size_bytes(object.value()), size_bytes_expected);
}

// Sizes of tfhe-formats.md 21.
TEST(Objects, SizesAreKnownBeforeWriting) {
  const auto read = [](const char* file) { return test::read_data(std::string("tfhe/native-1.7.0/") + file); };
  expect_size(read_key_set(read("test/compressed_xof_key_set.bin")), 2'661'273);
  expect_size(read_public_key(read("test/compact_public_key.bin"), Trailing::reject), 8'442 + 32);
  expect_size(read_public_key(read("default/compact_public_key.bin"), Trailing::reject), 33'018 + 32);
  expect_size(read_radix(read("default/small_expanded_uint64.bin"), Trailing::reject), 528'101 + 32);
  expect_size(read_squashed_list(read("default/big_compressed_uint64.bin"), Trailing::reject), 98'876);
  expect_size(read_compressed_list(read("default/small_compressed_uint64.bin"), Trailing::reject), 1'951);
}

// The production key set without its 511 MB of bodies: tfhe-formats.md 21 and the size in native-1.7.0/default/index.json.
TEST(Objects, SizeOfTheProductionKeySet) {
  const auto params = tfhe::params_by_name("default").value();
  const auto set = tfhe::empty_key_set(params, 1, {.tag = Bytes(32), .progress = {}});
  u128 bodies = 0;
  for (const auto& component : tfhe::key_components(params)) bodies += component.body_bytes();
  EXPECT_EQ(size_bytes(set) + bodies, 511'412'641u);
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

// digests.json: computed by tfhe-rs' bytes; synthetic/index.json: by the vectors' own writer.
TEST(Digests, EqualThoseOfTheVectors) {
  const auto hash = [](ByteView bytes) { return to_hex(crypto::tagged_hash(crypto::separators::kKeyObject, bytes)); };
  const auto native = test::read_json("tfhe/native-1.7.0/digests.json").at("PDAT_KEY");
  for (const std::string file :
       {"test/compressed_xof_key_set.bin", "test/compact_public_key.bin", "default/compact_public_key.bin"})
    EXPECT_EQ(hash(rewritten(test::read_data("tfhe/native-1.7.0/" + file)).value()), native.at(file).get<std::string>())
        << file;
  const auto synthetic = test::read_json("tfhe/synthetic/index.json").at("digests");
  for (const std::string file : {"kms_test_compressed_xof_key_set.bin", "kms_test_compact_public_key.bin"})
    EXPECT_EQ(hash(rewritten(test::read_data("tfhe/synthetic/" + file)).value()),
              synthetic.at(file).at("shake256_32").get<std::string>())
        << file;
}

/// Counts pieces; fails at one of them if asked to.
class CountingSink final : public Sink {
 public:
  explicit CountingSink(int fail_at = -1) : fail_at_(fail_at) {}
  Status write(ByteView piece) override {
    if (pieces_ == fail_at_) return fail(Code::data_loss, "disk full");
    ++pieces_;
    bytes_ += piece.size();
    return {};
  }
  int pieces() const { return pieces_; }
  std::size_t bytes() const { return bytes_; }

 private:
  int fail_at_, pieces_ = 0;
  std::size_t bytes_ = 0;
};

TEST(Writing, StreamsThroughAHashAndStopsAtTheFirstErrorOfASink) {
  const Bytes raw = test::read_data("tfhe/native-1.7.0/test/compressed_xof_key_set.bin");
  const auto set = read_key_set(raw).value();
  CountingSink counter;
  HashSink hash(crypto::separators::kKeyObject, &counter);
  ASSERT_TRUE(write(set, hash));
  EXPECT_EQ(hash.finish(), crypto::tagged_hash(crypto::separators::kKeyObject, raw));
  EXPECT_EQ(counter.bytes(), raw.size());
  EXPECT_GT(counter.pieces(), 2);  // large arrays go through as they are
  CountingSink broken(1);
  const Status written = write(set, broken);
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, Code::data_loss);
  EXPECT_EQ(broken.pieces(), 1);
}

TEST(Writing, ABooleanOfSeveralBlocksIsRefused) {
  auto object =
      read_radix(test::read_data("tfhe/native-1.7.0/test/small_expanded_uint8.bin"), Trailing::reject).value();
  object.kind = RadixObject::Kind::boolean;
  BufferSink sink;
  EXPECT_EQ(write(object, sink).error().code, Code::internal);
}

}  // namespace
}  // namespace witan::tfhe_rs
