// Reading and writing whole objects: the safe_serialize envelope (tfhe-formats.md 2) around the value.
//
// Readers take 1.7 objects and the older versions of section 15; writers write the 1.7 form. A parsed object keeps no copy
// of its bytes. Errors of readers: invalid_argument, saying what was expected and what came. What a reader returns is
// well formed; that its sizes fit each other is said by tfhe::check() (compact lists, server keys, key sets) and by
// parse_*() (ciphertexts.h), which need the key.
#pragma once

#include "crypto/hash.h"
#include "tfhe_rs/archive.h"
#include "tfhe_rs/types.h"

namespace witan::tfhe_rs {

/// Largest object, envelope included; tfhe-rs in a KMS reads and writes nothing larger.
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
Result<tfhe::CompressedKeySet> read_key_set(ByteView bytes, Trailing trailing = Trailing::reject);
/// The same from a stream: the set is held once, with 64 KiB read ahead. Errors of the source come through as they are.
Result<tfhe::CompressedKeySet> stream_key_set(Source& source);
Result<ClientKeyObject> read_client_key(ByteView bytes, Trailing trailing = Trailing::reject);

/// Writes any object above, piece by piece: nothing of the 511 MB of a key set is held twice.
/// Errors: those of the sink; failed_precondition above kMaxObjectBytes; internal for a boolean of several blocks.
template <class Object>
Status write(const Object& object, Sink& sink);
Status write(const tfhe::CompactPublicKey& key, Sink& sink) = delete;  // say which tag
/// `expansion_tag`: 0 in the published PublicKey (every client from 1.3 reads it), 1 as tfhe-rs 1.7 writes (9.2).
Status write(const tfhe::CompactPublicKey& key, Sink& sink, std::uint32_t expansion_tag);

/// What write() will produce, in bytes.
template <class Object>
std::uint64_t size_bytes(const Object& object);

/// Hashes what it gets, and passes it on if there is a next sink.
class HashSink final : public Sink {
 public:
  explicit HashSink(crypto::Separator separator, Sink* next = nullptr) : hash_(separator), next_(next) {}
  Status write(ByteView piece) override {
    hash_.update(piece);
    return next_ ? next_->write(piece) : Status{};
  }
  /// Once.
  crypto::Digest finish() { return hash_.finish(); }

 private:
  crypto::Shake256 hash_;
  Sink* next_;
};

/// write() into memory.
template <class Object, class... Options>
Bytes to_bytes(const Object& object, Options... options) {
  BufferSink sink(size_bytes(object));
  const Status written = write(object, sink, options...);
  WITAN_CHECK(written.has_value());  // a buffer takes everything; objects of ours are well formed
  return sink.take();
}

}  // namespace witan::tfhe_rs
