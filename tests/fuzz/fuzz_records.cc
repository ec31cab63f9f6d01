// Records of vault and journal. What is read is written back identically; what a store loads can be asked for.
#include "fuzz/fuzz_records.h"

#include "crypto/ecdsa.h"
#include "crypto/extra_data.h"
#include "fuzz/fuzz.h"
#include "fuzz/memory_vault.h"
#include "mpc/epoch_keys.h"
#include "mpc/prss.h"
#include "node/epochs.h"
#include "node/key_requests.h"
#include "node/key_store.h"
#include "node/request_store.h"
#include "protocols/decrypt.h"
#include "runtime/compute.h"
#include "runtime/fake_journal.h"
#include "runtime/loop.h"
#include "tfhe/test_ciphertext.h"

namespace witan::fuzz {
namespace {

const tfhe::Params& params() {
  static const auto value = tfhe::params_by_name("test").value();
  return value;
}

/// Each request that was loaded is pending, or has a result or an error; all of them can be counted.
void load_requests(ByteView rows) {
  runtime::VirtualLoop loop;
  runtime::FakeDisk disk = disk_of(rows);
  runtime::FakeJournal journal(loop, disk);
  node::RequestStore store(journal, loop, {});
  const auto pending = store.load();
  if (!pending) {
    WITAN_CHECK(pending.error().code == Code::data_loss);
    return;
  }
  for (const auto& request : *pending)
    WITAN_CHECK(store.state(request.kind, request.id) == node::RequestState::pending);
  for (std::uint8_t number = 1; number <= 4; ++number) {
    const auto kind = static_cast<node::RequestKind>(number);
    for (const auto& summary : store.list(kind)) {
      if (summary.state == node::RequestState::pending) continue;
      const auto result = loop.run(store.result(kind, summary.id, loop.now()));
      WITAN_CHECK(result.has_value() == (summary.state == node::RequestState::done));
    }
  }
}

void load_key_object(ByteView object) {
  runtime::VirtualLoop loop;
  runtime::InlineCompute compute(loop);
  MemoryVault secret, open;
  open.objects[public_object_name()] = Bytes(kPublicObject.begin(), kPublicObject.end());
  secret.objects[key_object_name()] = Bytes(object.begin(), object.end());
  node::KeyStore store(secret, open, compute);
  if (!store.load()) return;
  for (const node::KeyRecord* record : store.all()) {
    static_cast<void>(store.shares(*record));
    const Status intact = loop.run(store.check_public_objects(*record));
    WITAN_CHECK(intact.has_value() == store.require_public_objects(*record).has_value());
  }
}

void load_epoch_object(ByteView object) {
  MemoryVault vault;
  vault.objects[epoch_object_name()] = Bytes(object.begin(), object.end());
  node::EpochStore store(vault);
  const auto committee = CommitteeSize::make(4, 1).value();
  if (store.load(committee, Role(1))) WITAN_CHECK(store.size() == 1);
}

}  // namespace

void fuzz_one(ByteView input) {
  if (input.empty()) return;
  const ByteView record = input.subspan(1);
  const Bytes copy(record.begin(), record.end());
  switch (static_cast<RecordKind>(input[0] % static_cast<std::uint8_t>(RecordKind::count))) {
    case RecordKind::key:
      if (const auto read = node::KeyRecord::decode(record)) WITAN_CHECK(read->encode() == copy);
      break;
    case RecordKind::key_shares:
      if (const auto read = protocols::KeyShares::decode(record, params()))
        WITAN_CHECK(read->encode().reveal() == copy);
      break;
    case RecordKind::session:
      if (const auto read = protocols::SessionRecord::decode(record)) WITAN_CHECK(read->encode() == copy);
      break;
    case RecordKind::confirmation:
      if (const auto read = tfhe::TestCiphertext::decode(record, params())) WITAN_CHECK(read->encode() == copy);
      break;
    case RecordKind::requests:
      load_requests(record);
      break;
    case RecordKind::signing_key:
      if (const auto read = crypto::SigningKey::parse_stored(record)) WITAN_CHECK(read->stored().reveal() == copy);
      break;
    case RecordKind::extra_data:
      if (const auto read = crypto::ExtraData::parse(record)) WITAN_CHECK(read->encode() == copy || record.size() == 1);
      break;
    case RecordKind::key_object:
      load_key_object(record);
      break;
    case RecordKind::epoch_object:
      load_epoch_object(record);
      break;
    case RecordKind::epoch_keys:
      if (const auto read = mpc::EpochKeys::decode(record)) WITAN_CHECK(read->encode().reveal() == copy);
      break;
    case RecordKind::preprocessing:
      if (const auto read = node::PreprocessingRecord::decode(record)) WITAN_CHECK(read->encode() == copy);
      break;
    case RecordKind::count:
      break;
  }
}

}  // namespace witan::fuzz
