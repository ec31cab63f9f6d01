#include "node/public_objects.h"

#include "crypto/separators.h"
#include "tfhe/expand.h"

namespace witan::node {

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

Status erase_key_objects(const KeyId& key, runtime::Vault& vault) {
  WITAN_TRY(vault.erase(key_object_name(kKeySetType, key)));
  return vault.erase(key_object_name(kPublicKeyType, key));
}

}  // namespace witan::node
