#include "node/public_objects.h"

#include "crypto/separators.h"
#include "tfhe/expand.h"

namespace witan::node {

using runtime::ok;
using runtime::Task;
using runtime::Work;

runtime::ObjectName key_object_name(const char* type, const KeyId& key) {
  return {type, std::nullopt, key.bytes()};
}

ObjectBeingWritten::ObjectBeingWritten(std::unique_ptr<runtime::ObjectWriter> writer)
    : writer_(std::move(writer)), hash_(crypto::separators::kKeyObject) {}

Result<ObjectBeingWritten> ObjectBeingWritten::begin(runtime::Vault& vault, const runtime::ObjectName& name) {
  WITAN_ASSIGN(auto writer, vault.create(name));
  return ObjectBeingWritten(std::move(writer));
}

Status ObjectBeingWritten::write(ByteView piece) {
  hash_.update(piece);
  size_bytes_ += piece.size();
  return writer_->write(piece);
}

namespace {

template <class Object, class... Options>
Result<ObjectInfo> write_object(runtime::Vault& vault, const runtime::ObjectName& name, const Object& object,
                                Options... options) {
  WITAN_ASSIGN(auto target, ObjectBeingWritten::begin(vault, name));
  WITAN_TRY(tfhe_rs::write(object, target, options...));
  const ObjectInfo info = target.info();
  WITAN_TRY(target.publish());
  return info;
}

}  // namespace

Result<KeyObjects> write_key_objects(const tfhe::CompressedKeySet& set, const KeyId& key, runtime::Vault& vault) {
  KeyObjects out;
  WITAN_ASSIGN(out.public_key, write_object(vault, key_object_name(kPublicKeyType, key), tfhe::public_key_of(set), 0u));
  WITAN_ASSIGN(out.key_set, write_object(vault, key_object_name(kKeySetType, key), set));
  return out;
}

Result<KeyObjects> write_key_objects(const tfhe::CompressedKeySet& set, ByteView public_key, const KeyId& key,
                                     runtime::Vault& vault) {
  KeyObjects out;
  WITAN_ASSIGN(auto target, ObjectBeingWritten::begin(vault, key_object_name(kPublicKeyType, key)));
  WITAN_TRY(target.write(public_key));
  out.public_key = target.info();
  WITAN_TRY(target.publish());
  WITAN_ASSIGN(out.key_set, write_object(vault, key_object_name(kKeySetType, key), set));
  return out;
}

namespace {

/// An object that is being read; each kernel takes it, reads a piece, and gives it back.
struct ObjectBeingRead {
  std::unique_ptr<runtime::ObjectReader> reader;
  Bytes buffer = Bytes(kReadAtOnce);
  crypto::Shake256 hash{crypto::separators::kKeyObject};
  ObjectInfo info;
  bool done = false;
};

Result<ObjectBeingRead> open_object(const runtime::Vault& vault, const runtime::ObjectName& name) {
  ObjectBeingRead out;
  WITAN_ASSIGN(out.reader, vault.open(name));
  return out;
}

Result<ObjectBeingRead> read_piece(ObjectBeingRead object) {
  WITAN_ASSIGN(const std::size_t n, object.reader->read(object.buffer));
  object.hash.update(ByteView(object.buffer).first(n));
  object.info.size_bytes += n;
  object.done = n == 0;
  if (object.done) object.info.digest = object.hash.finish();
  return object;
}

Task<Status> check_object(runtime::Compute& compute, const runtime::Vault& vault, KeyId key, const char* type,
                          ObjectInfo written) {
  const auto text = [](const ObjectInfo& object) {
    return fmt::format("digest {} ({} bytes)", to_hex(object.digest), object.size_bytes);
  };
  const runtime::ObjectName name = key_object_name(type, key);
  const auto there = co_await stored_object(compute, vault, name);
  if (there && *there == written) co_return Status{};
  if (!there && there.error().code != Code::not_found && there.error().code != Code::data_loss)
    co_return fail(there.error());
  co_return fail(Code::data_loss,
                 "key {}: the public object {} is not what was written: expected {}, found {}; the key is not "
                 "published here: look at the disk. The other parties may have it: with n - t of them it is good, "
                 "without this party; otherwise generate another one",
                 key.hex(), name.path(), text(written), there ? text(*there) : there.error().message);
}

}  // namespace

Task<Result<ObjectInfo>> stored_object(runtime::Compute& compute, const runtime::Vault& vault,
                                       runtime::ObjectName name) {
  auto object = co_await ok(co_await compute(Work::preprocessing, [&vault, name] { return open_object(vault, name); }));
  while (!object.done)
    object = co_await ok(co_await compute(
        Work::preprocessing, [object = std::move(object)]() mutable { return read_piece(std::move(object)); }));
  co_return object.info;
}

Task<Status> check_key_objects(runtime::Compute& compute, const runtime::Vault& vault, KeyId key, KeyObjects written) {
  co_await ok(co_await check_object(compute, vault, key, kPublicKeyType, written.public_key));
  co_return co_await check_object(compute, vault, key, kKeySetType, written.key_set);
}

Status erase_key_objects(const KeyId& key, runtime::Vault& vault) {
  WITAN_TRY(vault.erase(key_object_name(kKeySetType, key)));
  return vault.erase(key_object_name(kPublicKeyType, key));
}

}  // namespace witan::node
