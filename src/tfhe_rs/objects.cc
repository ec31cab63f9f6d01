#include "tfhe_rs/objects.h"

#include "tfhe_rs/format.h"

namespace witan::tfhe_rs {
namespace {

template <class Object>
Status write_object(const Object& object, Sink& sink, FormatOptions options) {
  if (const std::uint64_t size = size_bytes(object); size > kMaxObjectBytes)
    return fail(Code::failed_precondition, "the object would take {} bytes, at most {} are allowed", size,
                kMaxObjectBytes);
  WriteArchive ar(sink, options);
  put_object(ar, object);
  return ar.finish();
}

}  // namespace

Result<std::string> object_name(ByteView bytes) {
  ReadArchive ar(bytes);
  std::string name = open_envelope(ar);
  WITAN_TRY(ar.status());
  return name;
}

Result<RadixObject> read_radix(ByteView bytes, Trailing trailing) {
  return read_as<RadixObject>(bytes, trailing);
}
Result<CompressedListObject> read_compressed_list(ByteView bytes, Trailing trailing) {
  return read_as<CompressedListObject>(bytes, trailing);
}
Result<SquashedObject> read_squashed(ByteView bytes, Trailing trailing) {
  return read_as<SquashedObject>(bytes, trailing);
}
Result<SquashedListObject> read_squashed_list(ByteView bytes, Trailing trailing) {
  return read_as<SquashedListObject>(bytes, trailing);
}
Result<SeededObject> read_seeded(ByteView bytes, Trailing trailing) {
  return read_as<SeededObject>(bytes, trailing);
}
Result<CompactListObject> read_compact_list(ByteView bytes, Trailing trailing) {
  return read_as<CompactListObject>(bytes, trailing);
}
Result<tfhe::CompactPublicKey> read_public_key(ByteView bytes, Trailing trailing) {
  return read_as<tfhe::CompactPublicKey>(bytes, trailing);
}
Result<tfhe::CompressedCompactPublicKey> read_compressed_public_key(ByteView bytes, Trailing trailing) {
  return read_as<tfhe::CompressedCompactPublicKey>(bytes, trailing);
}
Result<tfhe::CompressedServerKey> read_server_key(ByteView bytes, Trailing trailing) {
  return read_as<tfhe::CompressedServerKey>(bytes, trailing);
}
Result<tfhe::CompressedKeySet> read_key_set(ByteView bytes, Trailing trailing) {
  return read_as<tfhe::CompressedKeySet>(bytes, trailing);
}
Result<tfhe::CompressedKeySet> stream_key_set(Source& source) {
  if (source.size_bytes() > kMaxObjectBytes)
    return fail(Code::invalid_argument, "the object has {} bytes, at most {} are allowed", source.size_bytes(),
                kMaxObjectBytes);
  ReadArchive ar(source);
  return read_from<tfhe::CompressedKeySet>(ar, Trailing::reject);
}
Result<ClientKeyObject> read_client_key(ByteView bytes, Trailing trailing) {
  return read_as<ClientKeyObject>(bytes, trailing);
}

template <class Object>
std::uint64_t size_bytes(const Object& object) {
  SizeArchive ar;
  put_object(ar, object);
  return ar.size();
}

template <class Object>
Status write(const Object& object, Sink& sink) {
  return write_object(object, sink, {});
}
Status write(const tfhe::CompactPublicKey& key, Sink& sink, std::uint32_t expansion_tag) {
  WITAN_CHECK(expansion_tag <= 1);
  return write_object(key, sink, {.expansion_tag = expansion_tag});
}

// NOLINTBEGIN(bugprone-macro-parentheses): types take no parentheses
#define WITAN_INSTANTIATE(Object)                   \
  template std::uint64_t size_bytes(const Object&); \
  template Status write(const Object&, Sink&);
WITAN_INSTANTIATE(RadixObject)
WITAN_INSTANTIATE(CompressedListObject)
WITAN_INSTANTIATE(SquashedObject)
WITAN_INSTANTIATE(SquashedListObject)
WITAN_INSTANTIATE(SeededObject)
WITAN_INSTANTIATE(CompactListObject)
WITAN_INSTANTIATE(tfhe::CompressedCompactPublicKey)
WITAN_INSTANTIATE(tfhe::CompressedServerKey)
WITAN_INSTANTIATE(tfhe::CompressedKeySet)
WITAN_INSTANTIATE(ClientKeyObject)
#undef WITAN_INSTANTIATE
// NOLINTEND(bugprone-macro-parentheses)
template std::uint64_t size_bytes(const tfhe::CompactPublicKey&);

}  // namespace witan::tfhe_rs
