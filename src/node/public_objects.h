// What is published of a key (threshold-tfhe.md 5): the CompressedXofKeySet and the expanded CompactPublicKey, written into the public vault
// piece by piece, hashed on the way (tfhe-formats.md 17) and read back. Whoever makes a key set, a committee or a dealer, publishes it here.
#pragma once

#include <memory>

#include "base/ids.h"
#include "crypto/hash.h"
#include "runtime/compute.h"
#include "runtime/vault.h"
#include "tfhe/keys.h"
#include "tfhe_rs/objects.h"

namespace witan::node {

inline constexpr const char *kKeySetType = "CompressedXofKeySet", *kPublicKeyType = "PublicKey";

runtime::ObjectName key_object_name(const char* type, const KeyId& key);

struct ObjectInfo {
  std::uint64_t size_bytes = 0;
  ByteArray<32> digest{};  // as signed
  friend bool operator==(const ObjectInfo&, const ObjectInfo&) = default;
};
/// Of one key.
struct KeyObjects {
  ObjectInfo key_set, public_key;
  std::uint64_t size_bytes() const { return key_set.size_bytes + public_key.size_bytes; }
};

/// An object of the vault while it is written, with its digest. Dropped without publish(), it never was.
class ObjectBeingWritten final : public tfhe_rs::Sink {
 public:
  /// Errors: those of Vault::create.
  static Result<ObjectBeingWritten> begin(runtime::Vault& vault, const runtime::ObjectName& name);
  Status write(ByteView piece) override;
  std::uint64_t size_bytes() const { return size_bytes_; }
  /// Once, before publish().
  ObjectInfo info() { return {size_bytes_, hash_.finish()}; }
  Status publish() { return writer_->finish(); }

 private:
  explicit ObjectBeingWritten(std::unique_ptr<runtime::ObjectWriter> writer);
  std::unique_ptr<runtime::ObjectWriter> writer_;
  crypto::Shake256 hash_;
  std::uint64_t size_bytes_ = 0;
};

/// Writes both objects of a key; nothing of the set is held twice. If the second one fails, the first one stays: erase_key_objects.
/// Errors: those of the vault.
Result<KeyObjects> write_key_objects(const tfhe::CompressedKeySet& set, const KeyId& key, runtime::Vault& vault);

/// The same with another public key for these secret keys: the bytes that stand for it elsewhere, which clients know.
Result<KeyObjects> write_key_objects(const tfhe::CompressedKeySet& set, ByteView public_key, const KeyId& key,
                                     runtime::Vault& vault);

/// An object as the vault has it; digest as signed. Bulk work of the pool, one piece of kReadAtOnce bytes after another. Errors: those of
/// the vault.
runtime::Task<Result<ObjectInfo>> stored_object(runtime::Compute& compute, const runtime::Vault& vault,
                                                runtime::ObjectName name);
inline constexpr std::size_t kReadAtOnce = 1 << 20;

/// Reads both objects of a key back: does the vault have what was written? Bulk work as above. Errors: data_loss, naming the object, what
/// was written and what is there, also if nothing is; other errors of the vault.
runtime::Task<Status> check_key_objects(runtime::Compute& compute, const runtime::Vault& vault, KeyId key,
                                        KeyObjects written);

/// Success also if they are not there.
Status erase_key_objects(const KeyId& key, runtime::Vault& vault);

}  // namespace witan::node
