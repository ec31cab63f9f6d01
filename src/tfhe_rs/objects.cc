#include "tfhe_rs/objects.h"

#include "tfhe_rs/serde_client_key.h"

namespace witan::tfhe_rs {
namespace {

constexpr const char* kHeaderVersion = "0.5";
constexpr const char* kVersioning = "0.1";

std::string envelope_name(const char* base, RadixObject::Kind kind) {
  const char* suffix = kind == RadixObject::Kind::boolean          ? "Bool"
                       : kind == RadixObject::Kind::signed_integer ? "Int"
                                                                   : "Uint";
  return std::string("high_level_api::") + base + suffix;
}

/// Reads the envelope; returns its name.
std::string open_envelope(ReadArchive& ar) {
  std::string header, versioning, name;
  ar.text(header);
  if (header != kHeaderVersion)
    ar.error("the envelope has version '{}', expected '{}'", header.substr(0, 16), kHeaderVersion);
  only_variant(ar, "the envelope", 0, "unversioned serialization");
  ar.text(versioning);
  if (versioning != kVersioning)
    ar.error("the envelope has versioning '{}', expected '{}'", versioning.substr(0, 16), kVersioning);
  ar.text(name);
  if (name.size() > 128) ar.error("the envelope has a name of {} bytes", name.size());
  return name;
}

template <class Ar>
void write_envelope(Ar& ar, const std::string& name) {
  ar.text(kHeaderVersion);
  ar.template primitive<std::uint32_t>(0);
  ar.text(kVersioning);
  ar.text(name);
}

/// Reads an object whose envelope has one of the names; `visit(index of the name)` reads the value.
template <class Visit>
Status read_object(ByteView bytes, Trailing trailing, std::initializer_list<const char*> names, Visit visit) {
  if (bytes.size() > kMaxObjectBytes && trailing == Trailing::reject)
    return fail(Code::invalid_argument, "the object has {} bytes, above 2^31", bytes.size());
  ReadArchive ar(bytes.first(std::min<std::uint64_t>(bytes.size(), kMaxObjectBytes)));
  const std::string name = open_envelope(ar);
  const auto found = std::ranges::find(names, name);
  if (ar.ok() && found == names.end()) ar.error("the object is a {}, expected {}", name, *names.begin());
  if (ar.ok()) visit(ar, static_cast<std::size_t>(found - names.begin()));
  WITAN_TRY(ar.status());
  if (trailing == Trailing::reject && ar.remaining() != 0)
    return fail(Code::invalid_argument, "{} bytes follow the {}", ar.remaining(), name);
  return {};
}

template <class Visit>
Status write_object(Sink& sink, const std::string& name, Visit visit, std::uint32_t expansion_tag = 1) {
  WriteArchive ar(sink);
  ar.expansion_tag = expansion_tag;
  write_envelope(ar, name);
  visit(ar);
  return ar.finish();
}

template <class Visit>
std::uint64_t size_of_object(const std::string& name, Visit visit) {
  SizeArchive ar;
  write_envelope(ar, name);
  visit(ar);
  return ar.size();
}

constexpr const char* kPublicKey = "high_level_api::CompactPublicKey";
constexpr const char* kKeySet = "high_level_api::CompressedXofKeySet";

}  // namespace

Result<std::string> object_name(ByteView bytes) {
  ReadArchive ar(bytes);
  std::string name = open_envelope(ar);
  WITAN_TRY(ar.status());
  return name;
}

Result<RadixObject> read_radix(ByteView bytes, Trailing trailing) {
  RadixObject out;
  WITAN_TRY(read_object(bytes, trailing,
                        {"high_level_api::FheBool", "high_level_api::FheUint", "high_level_api::FheInt"},
                        [&](ReadArchive& ar, std::size_t kind) {
                          out.kind = static_cast<RadixObject::Kind>(kind);
                          serde_radix(ar, out);
                        }));
  return out;
}

Result<CompressedListObject> read_compressed_list(ByteView bytes, Trailing trailing) {
  CompressedListObject out;
  WITAN_TRY(read_object(bytes, trailing, {"high_level_api::CompressedCiphertextList"},
                        [&](ReadArchive& ar, std::size_t) { serde_compressed_list(ar, out); }));
  return out;
}

Result<SquashedObject> read_squashed(ByteView bytes, Trailing trailing) {
  SquashedObject out;
  WITAN_TRY(read_object(bytes, trailing,
                        {"high_level_api::SquashedNoiseFheBool", "high_level_api::SquashedNoiseFheUint",
                         "high_level_api::SquashedNoiseFheInt"},
                        [&](ReadArchive& ar, std::size_t kind) {
                          out.kind = static_cast<RadixObject::Kind>(kind);
                          serde_squashed(ar, out);
                        }));
  return out;
}

Result<SquashedListObject> read_squashed_list(ByteView bytes, Trailing trailing) {
  SquashedListObject out;
  WITAN_TRY(read_object(bytes, trailing, {"high_level_api::CompressedSquashedNoiseCiphertextList"},
                        [&](ReadArchive& ar, std::size_t) { serde_squashed_list(ar, out); }));
  return out;
}

Result<SeededObject> read_seeded(ByteView bytes, Trailing trailing) {
  SeededObject out;
  WITAN_TRY(read_object(
      bytes, trailing,
      {"high_level_api::CompressedFheBool", "high_level_api::CompressedFheUint", "high_level_api::CompressedFheInt"},
      [&](ReadArchive& ar, std::size_t kind) {
        out.kind = static_cast<RadixObject::Kind>(kind);
        serde_seeded(ar, out);
      }));
  return out;
}

Result<CompactListObject> read_compact_list(ByteView bytes, Trailing trailing) {
  CompactListObject out;
  WITAN_TRY(read_object(bytes, trailing, {"high_level_api::CompactCiphertextList"},
                        [&](ReadArchive& ar, std::size_t) { serde_compact_list(ar, out); }));
  return out;
}

Result<tfhe::CompactPublicKey> read_public_key(ByteView bytes, Trailing trailing) {
  tfhe::CompactPublicKey out;
  WITAN_TRY(read_object(bytes, trailing, {kPublicKey},
                        [&](ReadArchive& ar, std::size_t) { serde_compact_public_key(ar, out); }));
  return out;
}

Result<tfhe::CompressedCompactPublicKey> read_compressed_public_key(ByteView bytes, Trailing trailing) {
  tfhe::CompressedCompactPublicKey out;
  WITAN_TRY(read_object(bytes, trailing, {"high_level_api::CompressedCompactPublicKey"},
                        [&](ReadArchive& ar, std::size_t) { serde_compressed_public_key(ar, out); }));
  return out;
}

Result<tfhe::CompressedServerKey> read_server_key(ByteView bytes, Trailing trailing) {
  tfhe::CompressedServerKey out;
  WITAN_TRY(read_object(bytes, trailing, {"high_level_api::CompressedServerKey"},
                        [&](ReadArchive& ar, std::size_t) { serde_server_key(ar, out); }));
  return out;
}

Result<tfhe::CompressedKeySet> read_key_set(ByteView bytes, Trailing trailing) {
  tfhe::CompressedKeySet out;
  WITAN_TRY(read_object(bytes, trailing, {kKeySet}, [&](ReadArchive& ar, std::size_t) { serde_key_set(ar, out); }));
  return out;
}

Result<ClientKeyObject> read_client_key(ByteView bytes, Trailing trailing) {
  ClientKeyObject out;
  WITAN_TRY(read_object(bytes, trailing, {"high_level_api::ClientKey"},
                        [&](ReadArchive& ar, std::size_t) { serde_client_key(ar, out); }));
  return out;
}

Status write(const RadixObject& object, Sink& sink) {
  return write_object(sink, envelope_name("Fhe", object.kind), [&](auto& ar) { serde_radix(ar, object); });
}
Status write(const CompressedListObject& object, Sink& sink) {
  return write_object(sink, "high_level_api::CompressedCiphertextList",
                      [&](auto& ar) { serde_compressed_list(ar, object); });
}
Status write(const SquashedObject& object, Sink& sink) {
  return write_object(sink, envelope_name("SquashedNoiseFhe", object.kind),
                      [&](auto& ar) { serde_squashed(ar, object); });
}
Status write(const SquashedListObject& object, Sink& sink) {
  return write_object(sink, "high_level_api::CompressedSquashedNoiseCiphertextList",
                      [&](auto& ar) { serde_squashed_list(ar, object); });
}
Status write(const SeededObject& object, Sink& sink) {
  return write_object(sink, envelope_name("CompressedFhe", object.kind), [&](auto& ar) { serde_seeded(ar, object); });
}
Status write(const CompactListObject& object, Sink& sink) {
  return write_object(sink, "high_level_api::CompactCiphertextList", [&](auto& ar) { serde_compact_list(ar, object); });
}
Status write(const tfhe::CompactPublicKey& key, Sink& sink, std::uint32_t expansion_tag) {
  return write_object(sink, kPublicKey, [&](auto& ar) { serde_compact_public_key(ar, key); }, expansion_tag);
}
Status write(const tfhe::CompressedCompactPublicKey& key, Sink& sink) {
  return write_object(sink, "high_level_api::CompressedCompactPublicKey",
                      [&](auto& ar) { serde_compressed_public_key(ar, key); });
}
Status write(const tfhe::CompressedServerKey& key, Sink& sink) {
  return write_object(sink, "high_level_api::CompressedServerKey", [&](auto& ar) { serde_server_key(ar, key); });
}
Status write(const tfhe::CompressedKeySet& set, Sink& sink) {
  return write_object(sink, kKeySet, [&](auto& ar) { serde_key_set(ar, set); });
}
Status write(const ClientKeyObject& object, Sink& sink) {
  return write_object(sink, "high_level_api::ClientKey", [&](auto& ar) { serde_client_key(ar, object); });
}

std::uint64_t size_bytes(const tfhe::CompressedKeySet& set) {
  return size_of_object(kKeySet, [&](auto& ar) { serde_key_set(ar, set); });
}
std::uint64_t size_bytes(const tfhe::CompactPublicKey& key) {
  return size_of_object(kPublicKey, [&](auto& ar) { serde_compact_public_key(ar, key); });
}
std::uint64_t size_bytes(const RadixObject& object) {
  return size_of_object(envelope_name("Fhe", object.kind), [&](auto& ar) { serde_radix(ar, object); });
}

}  // namespace witan::tfhe_rs
