// Input of the target `records`: one byte says of what kind, the record follows.
#pragma once

#include "base/codec.h"
#include "base/ids.h"
#include "runtime/fake_journal.h"
#include "runtime/vault.h"

namespace witan::fuzz {

enum class RecordKind : std::uint8_t {
  key,            // node::KeyRecord
  key_shares,     // protocols::KeyShares of the parameters `test`
  session,        // protocols::SessionRecord
  confirmation,   // tfhe::TestCiphertext of the parameters `test`
  requests,       // rows of the journal's tables, as rows_of() writes them
  signing_key,    // crypto::SigningKey
  extra_data,     // crypto::ExtraData
  key_object,     // of the private vault, under key_object_name()
  epoch_object,   // of the private vault, under epoch_object_name(), of party 1 of 4
  epoch_keys,     // mpc::EpochKeys
  preprocessing,  // node::PreprocessingRecord
  count,
};

inline constexpr const char* kRequestTables[] = {"requests", "request_bodies", "request_results"};

/// Table number(1) || length of key(1) || key || length of value(2) || value, one after the other.
inline Bytes rows_of(const runtime::FakeDisk& disk) {
  Writer out;
  for (std::uint8_t table = 0; table < std::size(kRequestTables); ++table) {
    const auto rows = disk.tables.find(kRequestTables[table]);
    if (rows == disk.tables.end()) continue;
    for (const auto& [key, value] : rows->second)
      out.u8(table)
          .u8(static_cast<std::uint8_t>(key.size()))
          .raw(key)
          .u16(static_cast<std::uint16_t>(value.size()))
          .raw(value);
  }
  return out.take();
}

/// What rows_of() has written, as far as it goes.
inline runtime::FakeDisk disk_of(ByteView rows) {
  runtime::FakeDisk disk;
  Reader in(rows);
  while (in.remaining() > 0) {
    const std::uint8_t table = in.u8();
    const ByteView key = in.raw(in.u8());
    const ByteView value = in.raw(in.u16());
    if (in.failed()) break;
    disk.tables[kRequestTables[table % std::size(kRequestTables)]][Bytes(key.begin(), key.end())] =
        Bytes(value.begin(), value.end());
  }
  return disk;
}

template <class Id>
Id numbered(std::uint8_t number) {
  ByteArray<32> bytes{};
  bytes.back() = number;
  return Id::from_bytes(bytes).value();
}

inline runtime::ObjectName key_object_name() {
  return {"FheKeyInfo", numbered<EpochId>(2), numbered<KeyId>(1).bytes()};
}
inline runtime::ObjectName epoch_object_name() {
  return {"EpochData", std::nullopt, numbered<EpochId>(2).bytes()};
}
/// A public object that key records of the seeds list.
inline runtime::ObjectName public_object_name() {
  return {"PublicKey", std::nullopt, numbered<KeyId>(1).bytes()};
}
inline constexpr std::string_view kPublicObject = "a public key";

}  // namespace witan::fuzz
