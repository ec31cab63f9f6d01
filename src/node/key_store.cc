#include "node/key_store.h"

#include <algorithm>
#include <array>

#include "base/codec.h"
#include "base/log.h"
#include "node/public_objects.h"

namespace witan::node {

using runtime::ok;
using runtime::Task;
using runtime::Work;

namespace {

constexpr std::uint32_t kLayout = 1;
constexpr std::uint64_t kMaxRecordBytes = 1 << 20;
constexpr std::uint64_t kMaxShareBytes = 64u << 20;

runtime::ObjectName private_name(const KeyId& key, const EpochId& epoch) {
  return {kKeyType, epoch, key.bytes()};
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

const char* to_string(PublicObjects state) {
  switch (state) {
    case PublicObjects::unchecked:
      return "unchecked";
    case PublicObjects::intact:
      return "intact";
    case PublicObjects::damaged:
      return "damaged";
  }
  return "unknown";
}

KeyStore::KeyStore(runtime::Vault& private_vault, runtime::Vault& public_vault, runtime::Compute& compute)
    : private_vault_(private_vault), public_vault_(public_vault), compute_(compute), checked_(compute.loop()) {}

namespace {

runtime::ObjectName public_name(const KeyRecord& record, const PublishedDigest& entry) {
  return {entry.type, std::nullopt, record.key.bytes()};
}

std::unexpected<Error> damaged(const KeyRecord& record, const PublishedDigest& entry,
                               const std::string& what_is_there) {
  return fail(Code::data_loss,
              "key {}: the public object {} {}, signed was digest {}; restore it from another party's vault and start "
              "this node again",
              record.key.hex(), public_name(record, entry).path(), what_is_there, to_hex(entry.digest));
}

}  // namespace

Task<Status> KeyStore::compare_public_objects(const KeyRecord& record) {
  for (const PublishedDigest& entry : record.digests) {
    const auto there = co_await stored_object(compute_, public_vault_, public_name(record, entry));
    if (!there) co_return damaged(record, entry, fmt::format("cannot be read ({})", there.error().message));
    if (there->digest != entry.digest) co_return damaged(record, entry, "has digest " + to_hex(there->digest));
  }
  co_return Status{};
}

Task<Status> KeyStore::check_public_objects(const KeyRecord& record) {
  Entry& entry = entries_.at({record.key, record.epoch});
  if (entry.public_objects) co_return *entry.public_objects;
  const Status found = co_await compare_public_objects(entry.record);
  if (found)
    log::info("key {}: the public objects are what was signed", entry.record.key.hex());
  else
    log::error("{}", found.error().message);
  entry.public_objects = found;
  checked_.wake_all();
  co_return found;
}

PublicObjects KeyStore::public_objects(const KeyRecord& record) const {
  const auto& known = entries_.at({record.key, record.epoch}).public_objects;
  return !known ? PublicObjects::unchecked : *known ? PublicObjects::intact : PublicObjects::damaged;
}

Status KeyStore::require_public_objects(const KeyRecord& record) const {
  const auto& known = entries_.at({record.key, record.epoch}).public_objects;
  if (known) return *known;
  return fail(Code::unavailable,
              "the public objects of key {} are still being checked after the start of this node; try again",
              record.key.hex());
}

Task<void> KeyStore::until_public_objects_are_intact(const KeyRecord& record) {
  const Entry& entry = entries_.at({record.key, record.epoch});
  while (!entry.public_objects || !*entry.public_objects) co_await checked_.wait();
}

Status KeyStore::load() {
  WITAN_ASSIGN(const auto names, private_vault_.list(kKeyType));
  for (const auto& name : names) WITAN_TRY(load_record(name));
  return {};
}

Status KeyStore::load_record(const runtime::ObjectName& name) {
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
  for (const PublishedDigest& entry : record->digests) {
    const auto there = public_vault_.exists(public_name(*record, entry));
    if (!there) return damaged(*record, entry, fmt::format("cannot be read ({})", there.error().message));
    if (!*there) return damaged(*record, entry, "is missing");
  }
  log::info("key {}: origin {}, parameters {}, epoch {}", record->key.hex(), to_string(record->origin), record->params,
            record->epoch.hex());
  const Key key{record->key, record->epoch};
  entries_.emplace(key, Entry{*std::move(record), std::nullopt, nullptr, nullptr, nullptr});
  return {};
}

Task<Status> KeyStore::add(KeyRecord record, std::shared_ptr<const protocols::KeyShares> shares) {
  const Key key{record.key, record.epoch};
  if (entries_.contains(key))
    co_return fail(Code::already_exists, "key {} exists in epoch {}", record.key.hex(), record.epoch.hex());
  const auto store = [&vault = private_vault_, name = private_name(record.key, record.epoch),
                      head = Writer().bytes(record.encode()).take(), shares = std::move(shares)] {
    const Secret<Bytes> encoded = shares->encode();
    return vault.put_again(name, std::array<ByteView, 2>{head, encoded.reveal()});
  };
  co_await ok(co_await compute_(Work::preprocessing, store));
  entries_.emplace(key, Entry{std::move(record), Status{}, nullptr, nullptr, nullptr});
  co_return Status{};
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

std::size_t KeyStore::loaded() const {
  return static_cast<std::size_t>(
      std::ranges::count_if(entries_, [](const auto& item) { return item.second.shares != nullptr; }));
}

namespace {

using SharedShares = std::shared_ptr<const protocols::KeyShares>;

Result<SharedShares> read_shares(const runtime::Vault& vault, const runtime::ObjectName& name,
                                 const std::string& params_name) {
  auto plain = vault.get(name, kMaxRecordBytes + kMaxShareBytes);
  if (!plain && plain.error().code == Code::resource_exhausted)
    return fail(Code::data_loss, "the private vault has no such shares: {}", plain.error().message);
  if (!plain) return fail(std::move(plain).error());
  const Secret<Bytes> raw(*std::move(plain));
  Reader reader(raw.reveal());
  reader.bytes(kMaxRecordBytes);
  if (reader.failed()) return fail(Code::data_loss, "{} in the private vault is damaged", name.path());
  WITAN_ASSIGN(const tfhe::Params params, tfhe::params_by_name(params_name));
  auto shares = protocols::KeyShares::decode(reader.raw(reader.remaining()), params);
  if (!shares) return fail(std::move(shares).error().within(name.path()));
  return std::make_shared<const protocols::KeyShares>(*std::move(shares));
}

}  // namespace

Result<SharedShares> KeyStore::shares(const KeyRecord& record) {
  Entry& entry = entries_.at({record.key, record.epoch});
  if (!entry.shares) {
    WITAN_ASSIGN(entry.shares, read_shares(private_vault_, private_name(record.key, record.epoch), record.params));
  }
  return entry.shares;
}

Task<Result<SharedShares>> KeyStore::load_shares(const KeyRecord& record) {
  Entry& entry = entries_.at({record.key, record.epoch});
  if (!entry.shares) {
    const auto read = [&vault = private_vault_, name = private_name(record.key, record.epoch), params = record.params] {
      return read_shares(vault, name, params);
    };
    SharedShares shares = co_await ok(co_await compute_(Work::preprocessing, read));
    if (!entry.shares) entry.shares = std::move(shares);
  }
  co_return entry.shares;
}

Task<Result<std::shared_ptr<const SmallKeys>>> KeyStore::small_keys(const KeyRecord& record) {
  co_await ok(require_public_objects(record));
  const Key key{record.key, record.epoch};
  if (const auto other = entries_.at(key).expanding) {
    co_await other->done.wait();
    if (other->error) co_return fail(*other->error);
  }
  if (const auto ready = entries_.at(key).small) co_return ready;

  const auto expansion = std::make_shared<Expansion>(compute_.loop());
  entries_.at(key).expanding = expansion;
  auto keys = co_await expand_small_keys(compute_, public_vault_, record.key);
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
