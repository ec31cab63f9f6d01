// Objects of tfhe-rs as values: the data types of layer `tfhe` plus what only the file formats carry.
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "tfhe/ciphertext.h"
#include "tfhe/keys.h"
#include "tfhe/secret_key.h"

namespace witan::tfhe_rs {

using tfhe::u64;

/// FheUint and FheInt: blocks, least significant first; FheBool: one block (8.2).
struct RadixObject {
  enum class Kind : std::uint8_t { boolean, unsigned_integer, signed_integer } kind = Kind::unsigned_integer;
  std::vector<tfhe::Block> blocks;
  Bytes tag, metadata;
  friend bool operator==(const RadixObject&, const RadixObject&) = default;
};

/// CompressedCiphertextList (8.3).
struct CompressedListObject {
  tfhe::PackedList<u64> list;
  tfhe::PbsOrder order = tfhe::PbsOrder::keyswitch_bootstrap;
  bool has_meta = true;  // an empty list has none
  std::vector<tfhe::DataKind> kinds;
  Bytes tag;
  std::vector<Bytes> metadata;  // one per value
  friend bool operator==(const CompressedListObject&, const CompressedListObject&) = default;
};

/// CompressedSquashedNoiseCiphertextList (8.4).
struct SquashedListObject {
  tfhe::PackedList<u128> list;
  bool has_meta = true;
  std::vector<tfhe::DataKind> kinds;
  Bytes tag;
  friend bool operator==(const SquashedListObject&, const SquashedListObject&) = default;
};

/// SquashedNoiseFheUint, ...FheInt, ...FheBool (8.5).
struct SquashedObject {
  RadixObject::Kind kind = RadixObject::Kind::unsigned_integer;
  std::vector<tfhe::SquashedBlock> blocks;
  u64 original_block_count = 0;     // not stored for booleans
  bool post_decompression = false;  // under the compression key
  Bytes tag;
  friend bool operator==(const SquashedObject&, const SquashedObject&) = default;
};

/// CompressedFheUint, ...FheInt, ...FheBool: seeded ciphertexts (8.6).
struct SeededBlock {
  u64 body = 0;
  std::size_t lwe_dimension = 0;
  tfhe::MaskOrigin origin;
  u64 degree = 0, noise_level = 0;
  tfhe::PlaintextSpace space;
  tfhe::PbsOrder order = tfhe::PbsOrder::keyswitch_bootstrap;
  friend bool operator==(const SeededBlock&, const SeededBlock&) = default;
};
struct SeededObject {
  RadixObject::Kind kind = RadixObject::Kind::unsigned_integer;
  std::vector<SeededBlock> blocks;
  Bytes tag;
  friend bool operator==(const SeededObject&, const SeededObject&) = default;
};

/// CompactCiphertextList (7).
struct CompactListObject {
  tfhe::CompactList list;
  Bytes tag;
  friend bool operator==(const CompactListObject&, const CompactListObject&) = default;
};

/// ClientKey (6). The parameters carry what the key says of itself; their name is empty.
struct ClientKeyObject {
  tfhe::Params params;
  tfhe::SecretKeySet keys;
  Bytes tag;
};

}  // namespace witan::tfhe_rs
