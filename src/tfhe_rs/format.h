// Names and visitor of every object, and the safe_serialize envelope around it (tfhe-formats.md 2). Internal to this layer.
#pragma once

#include <fmt/ranges.h>

#include <array>

#include "tfhe_rs/objects.h"
#include "tfhe_rs/serde_ciphertext.h"
#include "tfhe_rs/serde_client_key.h"
#include "tfhe_rs/serde_key.h"

namespace witan::tfhe_rs {

inline constexpr std::string_view kHeaderVersion = "0.5";
inline constexpr std::string_view kVersioning = "0.1";
inline constexpr std::size_t kMaxNameBytes = 128;

/// kNames: what stands in the envelope; objects with a `kind` have one name per kind, in the order of RadixObject::Kind.
/// visit(ar, object): the value behind the envelope.
template <class Object>
struct Format;

template <>
struct Format<RadixObject> {
  static constexpr std::array kNames{"high_level_api::FheBool", "high_level_api::FheUint", "high_level_api::FheInt"};
  static void visit(auto& ar, auto& object) { serde_radix(ar, object); }
};
template <>
struct Format<SquashedObject> {
  static constexpr std::array kNames{"high_level_api::SquashedNoiseFheBool", "high_level_api::SquashedNoiseFheUint",
                                     "high_level_api::SquashedNoiseFheInt"};
  static void visit(auto& ar, auto& object) { serde_squashed(ar, object); }
};
template <>
struct Format<SeededObject> {
  static constexpr std::array kNames{"high_level_api::CompressedFheBool", "high_level_api::CompressedFheUint",
                                     "high_level_api::CompressedFheInt"};
  static void visit(auto& ar, auto& object) { serde_seeded(ar, object); }
};
template <>
struct Format<CompressedListObject> {
  static constexpr std::array kNames{"high_level_api::CompressedCiphertextList"};
  static void visit(auto& ar, auto& object) { serde_compressed_list(ar, object); }
};
template <>
struct Format<SquashedListObject> {
  static constexpr std::array kNames{"high_level_api::CompressedSquashedNoiseCiphertextList"};
  static void visit(auto& ar, auto& object) { serde_squashed_list(ar, object); }
};
template <>
struct Format<CompactListObject> {
  static constexpr std::array kNames{"high_level_api::CompactCiphertextList"};
  static void visit(auto& ar, auto& object) { serde_compact_list(ar, object); }
};
template <>
struct Format<tfhe::CompactPublicKey> {
  static constexpr std::array kNames{"high_level_api::CompactPublicKey"};
  static void visit(auto& ar, auto& object) { serde_compact_public_key(ar, object); }
};
template <>
struct Format<tfhe::CompressedCompactPublicKey> {
  static constexpr std::array kNames{"high_level_api::CompressedCompactPublicKey"};
  static void visit(auto& ar, auto& object) { serde_compressed_public_key(ar, object); }
};
template <>
struct Format<tfhe::CompressedServerKey> {
  static constexpr std::array kNames{"high_level_api::CompressedServerKey"};
  static void visit(auto& ar, auto& object) { serde_server_key(ar, object); }
};
template <>
struct Format<tfhe::CompressedKeySet> {
  static constexpr std::array kNames{"high_level_api::CompressedXofKeySet"};
  static void visit(auto& ar, auto& object) { serde_key_set(ar, object); }
};
template <>
struct Format<ClientKeyObject> {
  static constexpr std::array kNames{"high_level_api::ClientKey"};
  static void visit(auto& ar, auto& object) { serde_client_key(ar, object); }
};

/// Reads the envelope; returns its name.
inline std::string open_envelope(ReadArchive& ar) {
  std::string header, versioning, name;
  ar.text(header, kMaxNameBytes);
  if (header != kHeaderVersion) ar.error("header version '{}', expected '{}'", header, kHeaderVersion);
  ar.only_variant(0, "unversioned serialization");
  ar.text(versioning, kMaxNameBytes);
  if (versioning != kVersioning) ar.error("versioning '{}', expected '{}'", versioning, kVersioning);
  ar.text(name, kMaxNameBytes);
  return name;
}

/// What reading told beside the value.
struct ReadReport {
  std::vector<std::string> old_versions;  // ReadArchive::old_versions()
  std::size_t trailing_bytes = 0;
};

/// Envelope and value from an archive at its beginning.
template <class Object>
Result<Object> read_from(ReadArchive& ar, Trailing trailing, ReadReport* report = nullptr) {
  const auto& names = Format<Object>::kNames;
  const std::string name = open_envelope(ar);
  const auto found = std::ranges::find(names, name);
  if (ar.ok() && found == names.end()) ar.error("the object is a {}, expected {}", name, fmt::join(names, " or "));
  WITAN_TRY(ar.status());
  Object object;
  if constexpr (requires { object.kind; }) object.kind = static_cast<RadixObject::Kind>(found - names.begin());
  Format<Object>::visit(ar, object);
  WITAN_TRY(ar.status());
  if (trailing == Trailing::reject && ar.remaining() != 0)
    return fail(Code::invalid_argument, "{} bytes follow the {}, expected none", ar.remaining(), name);
  if (report) *report = {.old_versions = ar.old_versions(), .trailing_bytes = ar.remaining()};
  return object;
}

template <class Object>
Result<Object> read_as(ByteView bytes, Trailing trailing, ReadReport* report = nullptr) {
  if (bytes.size() > kMaxObjectBytes && trailing == Trailing::reject)
    return fail(Code::invalid_argument, "the object has {} bytes, at most {} are allowed", bytes.size(),
                kMaxObjectBytes);
  ReadArchive ar(bytes.first(std::min<std::uint64_t>(bytes.size(), kMaxObjectBytes)));
  return read_from<Object>(ar, trailing, report);
}

/// Envelope and value, for writing and measuring.
template <class Object>
void put_object(auto& ar, const Object& object) {
  std::size_t name = 0;
  if constexpr (requires { object.kind; }) name = static_cast<std::size_t>(object.kind);
  ar.text(kHeaderVersion);
  ar.only_variant(0, "");
  ar.text(kVersioning);
  ar.text(Format<Object>::kNames[name]);
  Format<Object>::visit(ar, object);
}

}  // namespace witan::tfhe_rs
