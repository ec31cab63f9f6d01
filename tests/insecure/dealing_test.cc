// What a dealer publishes: right objects, hashed on the way, with the set in memory once.
#include "insecure/dealing.h"

#include <gtest/gtest.h>

#include "node/key_store.h"
#include "runtime/loop.h"
#include "store/vault_file/file_vault.h"
#include "support/memory_meter.h"
#include "support/support.h"
#include "tfhe/expand.h"
#include "tfhe_rs/objects.h"

namespace witan::insecure {
namespace {

class Folder {
 public:
  Folder() {
    std::string pattern = std::filesystem::temp_directory_path() / "witan-dealing-XXXXXX";
    path_ = ::mkdtemp(pattern.data());
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() { std::filesystem::remove_all(path_); }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

TEST(PublicObjectsOfADealer, AreRightAndHeldOnceWhileTheyAreMade) {
  const Folder folder;
  const auto vault = store::FileVault::open({.root = folder.path(), .prefix = "PUB"}).value();
  test::SeededRng rng("public objects of a dealer");
  const auto params = tfhe::params_by_name("test").value();
  const auto keys = tfhe::generate_secret_keys(params, rng);
  const KeyId key(rng.bytes<32>());
  (void)write_public_objects(params, keys, KeyId(rng.bytes<32>()), *vault, rng)
      .value();  // tables and buffers that are kept

  const test::MemoryMeter meter;
  const node::KeyObjects objects = write_public_objects(params, keys, key, *vault, rng).value();
  const std::size_t peak = meter.peak_bytes();
  EXPECT_GT(peak, objects.key_set.size_bytes / 2) << "the meter counts";
  EXPECT_LT(peak, objects.key_set.size_bytes + (1u << 20)) << "the set, and buffers";

  const auto name = [&](const char* type) { return runtime::ObjectName{type, std::nullopt, key.bytes()}; };
  const Bytes set_bytes = vault->get(name("CompressedXofKeySet"), runtime::Vault::kMaxObjectBytes).value();
  const Bytes public_key = vault->get(name("PublicKey"), runtime::Vault::kMaxObjectBytes).value();
  EXPECT_EQ(objects.key_set.size_bytes, set_bytes.size());
  EXPECT_EQ(objects.public_key.size_bytes, public_key.size());
  runtime::VirtualLoop loop;
  runtime::InlineCompute compute(loop);
  const auto digest_of = [&](const char* type) {
    return loop.run(node::stored_object(compute, *vault, name(type))).value().digest;
  };
  EXPECT_EQ(objects.key_set.digest, digest_of("CompressedXofKeySet"));
  EXPECT_EQ(objects.public_key.digest, digest_of("PublicKey"));
  const auto set = tfhe_rs::read_key_set(set_bytes).value();
  EXPECT_TRUE(tfhe::check(set));
  EXPECT_TRUE(std::ranges::equal(set.server_key.tag, key.bytes()));
  EXPECT_EQ(tfhe_rs::to_bytes(tfhe::public_key_of(set), 0u), public_key);
}

}  // namespace
}  // namespace witan::insecure
