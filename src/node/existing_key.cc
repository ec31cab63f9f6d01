#include "node/existing_key.h"

#include "base/check.h"
#include "base/codec.h"
#include "crypto/separators.h"

namespace witan::node {

using runtime::ok;
using runtime::Task;
using runtime::Work;

namespace {

constexpr std::uint64_t kMaxPublicKeyBytes = 64u << 20;

struct PublicKey {
  std::shared_ptr<const Bytes> bytes;
  Bytes tag;
};

/// The published PublicKey, if it is what was signed.
Result<PublicKey> read_public_key(const runtime::Vault& vault, const KeyId& key, const ByteArray<32>& digest) {
  const runtime::ObjectName name = key_object_name(kPublicKeyType, key);
  auto bytes = vault.get(name, kMaxPublicKeyBytes);
  if (!bytes && bytes.error().code == Code::resource_exhausted)
    return fail(Code::data_loss, "key {}: no public key is that large: {}; restore it from another party's vault",
                key.hex(), bytes.error().message);
  if (!bytes) return fail(std::move(bytes).error().within(name.path()));
  const crypto::Digest found = crypto::tagged_hash(crypto::separators::kKeyObject, *bytes);
  if (found != digest)
    return fail(
        Code::data_loss,
        "key {}: the public object {} has digest {}, signed was digest {}; restore it from another party's vault",
        key.hex(), name.path(), to_hex(found), to_hex(digest));
  WITAN_ASSIGN(auto parsed, tfhe_rs::read_public_key(*bytes, tfhe_rs::Trailing::reject));
  return PublicKey{std::make_shared<const Bytes>(*std::move(bytes)), std::move(parsed.tag)};
}

Result<ByteArray<32>> public_key_digest(const KeyRecord& record) {
  for (const PublishedDigest& entry : record.digests)
    if (entry.type == kPublicKeyType) return entry.digest;
  return fail(Code::data_loss, "the record of key {} lists no {}", record.key.hex(), kPublicKeyType);
}

}  // namespace

Result<const KeyRecord*> find_existing_key(const Core& core, const KeygenFields& fields) {
  WITAN_CHECK(fields.existing);
  const KeyId& key = fields.existing->key;
  const KeyRecord* record = core.keys.find(key, fields.epoch);
  if (record == nullptr) {
    if (const KeyRecord* elsewhere = core.keys.find_in_any_epoch(key))
      return fail(Code::not_found, "existing key {} has no shares in epoch {}, those of epoch {} do not serve",
                  key.hex(), fields.epoch.hex(), elsewhere->epoch.hex());
    if (core.requests.state(RequestKind::keygen, key.bytes()) == RequestState::pending)
      return fail(Code::unavailable, "existing key {} is being generated; try again when it is there", key.hex());
    return fail(Code::not_found, "existing key {} is not known here", key.hex());
  }
  WITAN_TRY(check_existing_key(*record, fields, core.accepts(record->origin)));
  return record;
}

Status check_existing_key(const KeyRecord& record, const KeygenFields& fields, bool accepted) {
  const std::string id = record.key.hex();
  if (!accepted)
    return fail(Code::failed_precondition,
                "existing key {} has origin = {}: somebody has seen it, this program does not use it", id,
                to_string(record.origin));
  // Who knows the noises of a key set has the secret keys under it, and they are those of the existing key. The record of a preprocessing
  // does not say whether any are dummies. If none are (100 percent), its key would still count as dealt, and these secret keys are not.
  if (fields.material == PreprocessingRecord::Kind::partial && record.origin == KeyOrigin::generated)
    return fail(
        Code::failed_precondition,
        "existing key {} has origin = generated, preprocessing {} is partial: what comes of it counts as dealt, "
        "and dummies among its noises, if there are any, would give the key away; make one with KeyGenPreproc",
        id, fields.preprocessing.hex());
  if (record.context != fields.context)
    return fail(Code::invalid_argument, "existing key {} is of context {}, the request says {}", id,
                record.context.hex(), fields.context.hex());
  if (record.params != fields.params)
    return fail(Code::invalid_argument, "existing key {} has parameters {}, the preprocessing {}", id, record.params,
                fields.params);
  return {};
}

Task<Result<ExistingKey>> load_existing_key(Core& core, DiskWait& disk, const KeygenFields& fields) {
  const KeyRecord* record = co_await ok(find_existing_key(core, fields));
  const auto digest = co_await ok(public_key_digest(*record));
  const auto read = [&vault = core.public_vault, key = record->key, digest] {
    return read_public_key(vault, key, digest);
  };
  PublicKey public_key = co_await ok(co_await disk.repeat(
      [&]() -> Task<Result<PublicKey>> { co_return co_await core.compute(Work::preprocessing, read); }));
  ExistingKey out;
  out.record = record;
  out.public_key = std::move(public_key.bytes);
  out.tag = std::move(public_key.tag);
  out.shares = co_await ok(co_await disk.repeat([&] { return core.keys.load_shares(*record); }));
  co_return out;
}

crypto::Digest configuration_of(const KeygenFields& fields, const KeyRecord* existing) {
  Writer out;
  out.text(existing == nullptr ? "standard, all new, compressed" : "standard, existing, compressed");
  out.id(fields.context).id(fields.epoch);
  if (existing != nullptr) {
    out.id(existing->key).u8(fields.existing->keep_tag ? 1 : 0);
    for (const PublishedDigest& entry : existing->digests) out.text(entry.type).raw(entry.digest);
  }
  return crypto::tagged_hash(crypto::separators::kAgreement, out.view());
}

KeyOrigin origin_of(const KeygenFields& fields, const KeyRecord* existing) {
  using Kind = PreprocessingRecord::Kind;
  WITAN_CHECK(fields.material);
  switch (*fields.material) {
    case Kind::generated:
    case Kind::from_existing:
      return existing == nullptr ? KeyOrigin::generated : existing->origin;
    case Kind::dealt:
    case Kind::partial:
    case Kind::measured:
      break;
  }
  return KeyOrigin::dealt;
}

}  // namespace witan::node
