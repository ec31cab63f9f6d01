// Records of vault and journal: first byte the kind. What is read is written back identically.
#include "crypto/ecdsa.h"
#include "crypto/extra_data.h"
#include "fuzz/fuzz.h"
#include "mpc/prss.h"
#include "node/key_store.h"
#include "node/request_store.h"
#include "protocols/decrypt.h"
#include "runtime/fake_journal.h"
#include "runtime/loop.h"

namespace witan::fuzz {

void fuzz_one(ByteView input) {
  if (input.empty()) return;
  const ByteView record = input.subspan(1);
  const Bytes copy(record.begin(), record.end());
  switch (input[0] % 7) {
    case 0:
      if (const auto read = node::KeyRecord::decode(record)) WITAN_CHECK(read->encode() == copy);
      break;
    case 1:
      if (const auto read = mpc::SetKeys::decode(record)) WITAN_CHECK(read->encode().reveal() == copy);
      break;
    case 2: {
      static const auto params = tfhe::params_by_name("test").value();
      if (const auto read = protocols::KeyShares::decode(record, params)) WITAN_CHECK(read->encode().reveal() == copy);
      break;
    }
    case 3:
      if (const auto read = protocols::SessionRecord::decode(record)) WITAN_CHECK(read->encode() == copy);
      break;
    case 4: {
      if (record.size() < 33) return;
      runtime::VirtualLoop loop;
      runtime::FakeDisk disk;
      disk.tables["requests"][Bytes(record.begin(), record.begin() + 33)] = Bytes(record.begin() + 33, record.end());
      runtime::FakeJournal journal(loop, disk);
      static_cast<void>(node::RequestStore(journal, loop, {}).load());
      break;
    }
    case 5:
      if (const auto read = crypto::SigningKey::parse_stored(record)) WITAN_CHECK(read->stored().reveal() == copy);
      break;
    default:
      if (const auto read = crypto::ExtraData::parse(record)) WITAN_CHECK(read->encode() == copy || record.size() == 1);
      break;
  }
}

}  // namespace witan::fuzz
