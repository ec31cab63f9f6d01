#include "node/key_store.h"

#include "base/codec.h"
#include "base/log.h"
#include "crypto/separators.h"
#include "tfhe_rs/objects.h"

namespace witan::node {
namespace {

constexpr std::uint32_t kLayout = 1;
constexpr std::uint64_t kMaxRecordBytes = 1 << 20;
constexpr std::uint64_t kMaxShareBytes = 64u << 20;
constexpr const char* kType = "FheKeyInfo";

runtime::ObjectName private_name(const KeyId& key, const EpochId& epoch) {
  return {kType, epoch, key.bytes()};
}

}  // namespace

const char* to_string(KeyOrigin origin) {
  switch (origin) {
    case KeyOrigin::dealt:
      return "dealt";
    case KeyOrigin::imported:
      return "imported";
    case KeyOrigin::generated:
      return "generated";
  }
  return "unknown";
}

Bytes KeyRecord::encode() const {
  Writer writer;
  writer.u32(kLayout)
      .id(key)
      .id(preprocessing)
      .id(context)
      .id(epoch)
      .text(params)
      .u8(static_cast<std::uint8_t>(origin));
  writer.u64(digests.size());
  for (const PublishedDigest& entry : digests) writer.text(entry.type).raw(entry.digest);
  writer.bytes(extra_data).bytes(external_signature).u64(signatures.size());
  for (const StoredSignature& entry : signatures)
    writer.u32(static_cast<std::uint32_t>(entry.scheme)).bytes(entry.signature);
  return writer.take();
}

Result<KeyRecord> KeyRecord::decode(ByteView bytes) {
  Reader reader(bytes);
  KeyRecord out;
  if (reader.u32() != kLayout) reader.mark_failed();
  out.key = reader.id<KeyId>();
  out.preprocessing = reader.id<PreprocId>();
  out.context = reader.id<ContextId>();
  out.epoch = reader.id<EpochId>();
  out.params = reader.text(64);
  const std::uint8_t origin = reader.u8();
  if (origin < 1 || origin > 3) reader.mark_failed();
  out.origin = static_cast<KeyOrigin>(origin);
  for (std::uint64_t i = reader.count(40); i > 0; --i) {
    PublishedDigest entry;
    entry.type = reader.text(40);
    entry.digest = reader.array<32>();
    out.digests.push_back(std::move(entry));
  }
  out.extra_data = reader.take_bytes(kMaxRecordBytes);
  out.external_signature = reader.take_bytes(65);
  for (std::uint64_t i = reader.count(12); i > 0; --i) {
    StoredSignature entry;
    entry.scheme = static_cast<std::int32_t>(reader.u32());
    entry.signature = reader.take_bytes(8192);
    out.signatures.push_back(std::move(entry));
  }
  WITAN_TRY(reader.finish("a key record"));
  return out;
}

Result<ByteArray<32>> public_object_digest(const runtime::Vault& vault, const runtime::ObjectName& name) {
  WITAN_ASSIGN(const auto reader, vault.open(name));
  crypto::Shake256 hash(crypto::separators::kKeyObject);
  Bytes buffer(1 << 20);
  for (;;) {
    WITAN_ASSIGN(const std::size_t n, reader->read(buffer));
    if (n == 0) return hash.finish();
    hash.update(ByteView(buffer).first(n));
  }
}

KeyStore::KeyStore(runtime::Vault& private_vault, runtime::Vault& public_vault, runtime::Compute& compute)
    : private_vault_(private_vault), public_vault_(public_vault), compute_(compute) {}

Status KeyStore::check_public_objects(const KeyRecord& record) const {
  for (const PublishedDigest& entry : record.digests) {
    const runtime::ObjectName name{entry.type, std::nullopt, record.key.bytes()};
    auto digest = public_object_digest(public_vault_, name);
    if (!digest)
      return fail(Code::data_loss,
                  "key {}: the public object {} cannot be read ({}); restore it from another party's vault",
                  record.key.hex(), name.path(), digest.error().message);
    if (*digest != entry.digest)
      return fail(Code::data_loss,
                  "key {}: the public object {} has digest {}, signed was {}; restore it from another "
                  "party's vault",
                  record.key.hex(), name.path(), to_hex(*digest), to_hex(entry.digest));
  }
  return {};
}

Status KeyStore::load() {
  WITAN_ASSIGN(const auto names, private_vault_.list(kType));
  for (const auto& name : names) {
    WITAN_ASSIGN(const auto reader, private_vault_.open(name));
    Bytes head(8);
    WITAN_ASSIGN(const std::size_t got, reader->read(head));
    const std::uint64_t size = got == 8 ? load_le<std::uint64_t>(head.data()) : kMaxRecordBytes + 1;
    if (size > kMaxRecordBytes) return fail(Code::data_loss, "{} in the private vault is damaged", name.path());
    Bytes raw(size);
    for (std::size_t at = 0; at < raw.size();) {
      WITAN_ASSIGN(const std::size_t n, reader->read(MutableByteView(raw).subspan(at)));
      if (n == 0) return fail(Code::data_loss, "{} in the private vault is cut short", name.path());
      at += n;
    }
    auto record = KeyRecord::decode(raw);
    if (!record) return fail(std::move(record).error().within(name.path()));
    if (record->key.bytes() != name.id || record->epoch != name.epoch)
      return fail(Code::data_loss, "{} in the private vault holds the record of another key", name.path());
    WITAN_TRY(check_public_objects(*record));
    log::info("key {}: origin {}, parameters {}, epoch {}", record->key.hex(), to_string(record->origin),
              record->params, record->epoch.hex());
    entries_.emplace(Key{record->key, record->epoch}, Entry{*record, nullptr, nullptr, nullptr});
  }
  return {};
}

Status KeyStore::add(const KeyRecord& record, const protocols::KeyShares& shares) {
  const Secret<Bytes> encoded = shares.encode();
  WITAN_ASSIGN(auto writer, private_vault_.create(private_name(record.key, record.epoch)));
  WITAN_TRY(writer->write(Writer().bytes(record.encode()).view()));
  WITAN_TRY(writer->write(encoded.reveal()));
  WITAN_TRY(writer->finish());
  entries_.emplace(Key{record.key, record.epoch}, Entry{record, nullptr, nullptr, nullptr});
  return {};
}

const KeyRecord* KeyStore::find(const KeyId& key, const EpochId& epoch) const {
  const auto it = entries_.find({key, epoch});
  return it == entries_.end() ? nullptr : &it->second.record;
}

const KeyRecord* KeyStore::find_in_any_epoch(const KeyId& key) const {
  for (const auto& [name, entry] : entries_)
    if (name.first == key) return &entry.record;
  return nullptr;
}

std::vector<const KeyRecord*> KeyStore::all() const {
  std::vector<const KeyRecord*> out;
  for (const auto& [name, entry] : entries_) out.push_back(&entry.record);
  return out;
}

Result<std::shared_ptr<const protocols::KeyShares>> KeyStore::shares(const KeyRecord& record) {
  Entry& entry = entries_.at({record.key, record.epoch});
  if (!entry.shares) {
    const auto name = private_name(record.key, record.epoch);
    WITAN_ASSIGN(Bytes plain, private_vault_.get(name, kMaxRecordBytes + kMaxShareBytes));
    const Secret<Bytes> raw(std::move(plain));
    Reader reader(raw.reveal());
    reader.bytes(kMaxRecordBytes);
    if (reader.failed()) return fail(Code::data_loss, "{} in the private vault is damaged", name.path());
    WITAN_ASSIGN(const tfhe::Params params, tfhe::params_by_name(record.params));
    auto shares = protocols::KeyShares::decode(reader.raw(reader.remaining()), params);
    if (!shares) return fail(std::move(shares).error().within(name.path()));
    entry.shares = std::make_shared<const protocols::KeyShares>(*std::move(shares));
  }
  return entry.shares;
}

namespace {

/// An object of a vault as what a parser reads.
class VaultSource final : public tfhe_rs::Source {
 public:
  explicit VaultSource(runtime::ObjectReader& reader) : reader_(reader) {}
  std::uint64_t size_bytes() const override { return reader_.size_bytes(); }
  Result<std::size_t> read(MutableByteView out) override { return reader_.read(out); }

 private:
  runtime::ObjectReader& reader_;
};

/// Parsed as it is read, and what is not needed, or not any more, goes before the next part is expanded: beside the expanded keys
/// there is at most one compressed set, and none of its large parts in the end.
Result<std::shared_ptr<const SmallKeys>> expand_small_keys(const runtime::Vault& vault, const KeyId& id) {
  WITAN_ASSIGN(const auto reader, vault.open({"CompressedXofKeySet", std::nullopt, id.bytes()}));
  VaultSource source(*reader);
  WITAN_ASSIGN(tfhe::CompressedKeySet set, tfhe_rs::stream_key_set(source));
  WITAN_TRY(tfhe::check(set));
  tfhe::CompressedServerKey& key = set.server_key;
  key.cast.reset();
  key.compression.reset();
  key.sns_compression.reset();
  key.rerandomization.reset();
  key.oprf.reset();
  auto keys = std::make_shared<SmallKeys>();
  keys->max_noise_level = key.max_noise_level;
  WITAN_ASSIGN(keys->sns, tfhe::prepare_sns_key(key));  // the largest by far
  key.sns.reset();
  keys->compute = tfhe::prepare_compute_key(key);
  if (key.decompression) {
    WITAN_ASSIGN(keys->decompression, tfhe::prepare_decompression_key(key));
  }
  return keys;
}

}  // namespace

runtime::Task<Result<std::shared_ptr<const SmallKeys>>> KeyStore::small_keys(const KeyRecord& record) {
  using SharedKeys = std::shared_ptr<const SmallKeys>;
  const Key key{record.key, record.epoch};
  if (const auto other = entries_.at(key).expanding) {
    co_await other->done.wait();
    if (other->error) co_return fail(*other->error);
  }
  if (const auto ready = entries_.at(key).small) co_return ready;

  const auto expansion = std::make_shared<Expansion>(compute_.loop());
  entries_.at(key).expanding = expansion;
  auto expand = [&vault = public_vault_, id = record.key]() -> Result<SharedKeys> {
    return expand_small_keys(vault, id);
  };
  auto keys = co_await compute_(runtime::Work::preprocessing, std::move(expand));
  Entry& entry = entries_.at(key);
  entry.expanding = nullptr;
  if (keys)
    entry.small = *keys;
  else
    expansion->error = keys.error();
  expansion->done.set();
  co_return keys;
}

}  // namespace witan::node
