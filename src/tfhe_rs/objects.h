// Reading and writing whole objects: the safe_serialize envelope (tfhe-formats.md 2) around the value.
//
// Readers take 1.7 objects and the older versions of section 15; writers write the 1.7 form. A parsed object keeps no copy
// of its bytes. Errors of readers: invalid_argument, saying what was expected and what came.
#pragma once

#include "tfhe_rs/archive.h"
#include "tfhe_rs/types.h"

namespace witan::tfhe_rs {

/// Largest object, envelope included.
inline constexpr std::uint64_t kMaxObjectBytes = std::uint64_t{1} << 31;

/// The name in an envelope, e.g. "high_level_api::FheUint".
Result<std::string> object_name(ByteView bytes);

Result<RadixObject> read_radix(ByteView bytes, Trailing trailing);  // FheBool, FheUint, FheInt
Result<CompressedListObject> read_compressed_list(ByteView bytes, Trailing trailing);
Result<SquashedObject> read_squashed(ByteView bytes, Trailing trailing);
Result<SquashedListObject> read_squashed_list(ByteView bytes, Trailing trailing);
Result<SeededObject> read_seeded(ByteView bytes, Trailing trailing);
Result<CompactListObject> read_compact_list(ByteView bytes, Trailing trailing);
Result<tfhe::CompactPublicKey> read_public_key(ByteView bytes, Trailing trailing);
Result<tfhe::CompressedCompactPublicKey> read_compressed_public_key(ByteView bytes, Trailing trailing);
Result<tfhe::CompressedServerKey> read_server_key(ByteView bytes, Trailing trailing);
/// Sizes and seeds are not checked against each other here: tfhe::check() does.
Result<tfhe::CompressedKeySet> read_key_set(ByteView bytes, Trailing trailing = Trailing::reject);
Result<ClientKeyObject> read_client_key(ByteView bytes, Trailing trailing = Trailing::reject);

Status write(const RadixObject& object, Sink& sink);
Status write(const CompressedListObject& object, Sink& sink);
Status write(const SquashedObject& object, Sink& sink);
Status write(const SquashedListObject& object, Sink& sink);
Status write(const SeededObject& object, Sink& sink);
Status write(const CompactListObject& object, Sink& sink);
/// `expansion_tag`: 0 in the published PublicKey (every client from 1.3 reads it), 1 as tfhe-rs 1.7 writes (9.2).
Status write(const tfhe::CompactPublicKey& key, Sink& sink, std::uint32_t expansion_tag);
Status write(const tfhe::CompressedCompactPublicKey& key, Sink& sink);
Status write(const tfhe::CompressedServerKey& key, Sink& sink);
/// Streams: nothing of the 511 MB is held twice.
Status write(const tfhe::CompressedKeySet& set, Sink& sink);
Status write(const ClientKeyObject& object, Sink& sink);

/// What write() will produce, in bytes.
std::uint64_t size_bytes(const tfhe::CompressedKeySet& set);
std::uint64_t size_bytes(const tfhe::CompactPublicKey& key);
std::uint64_t size_bytes(const RadixObject& object);

/// write() into memory.
template <class Object, class... Options>
Bytes to_bytes(const Object& object, Options... options) {
  BufferSink sink;
  const Status written = write(object, sink, options...);
  WITAN_CHECK(written.has_value());  // a buffer takes everything; objects of ours are well formed
  return sink.take();
}

}  // namespace witan::tfhe_rs
