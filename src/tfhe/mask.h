// Where the masks of seeded objects come from: the AES-CTR stream of tfhe-formats.md 11. Masks are read in storage order,
// so that the position of every row is plain arithmetic and any range can be expanded on its own.
#pragma once

#include <span>
#include <variant>

#include "crypto/aes_stream.h"
#include "tfhe/word.h"

namespace witan::tfhe {

/// Key = the seed itself, counter from 0.
struct CtrSeed {
  u128 seed = 0;
  friend bool operator==(const CtrSeed&, const CtrSeed&) = default;
};
/// Key and counter derived from a byte string: 8 bytes of separator, then the seed.
struct XofSeed {
  Bytes data;
  friend bool operator==(const XofSeed&, const XofSeed&) = default;
};

/// Byte `byte` of the stream, as (AES block, byte in block).
struct StreamPosition {
  u128 block = 0;
  std::uint64_t byte = 0;  // 0..15
  static StreamPosition from_bytes(u128 bytes) { return {bytes / 16, static_cast<std::uint64_t>(bytes % 16)}; }
  /// The position `bytes` further on.
  StreamPosition advanced(u128 bytes) const;
  friend bool operator==(const StreamPosition&, const StreamPosition&) = default;
};

/// Seed and position at which an object's masks begin: what tfhe-rs calls its compression seed.
struct MaskOrigin {
  std::variant<CtrSeed, XofSeed> seed;
  StreamPosition start;
  friend bool operator==(const MaskOrigin&, const MaskOrigin&) = default;
};

/// The record of a key set's public stream: "TFHE_GEN", then the seed in little-endian order (threshold-tfhe.md 3.1).
XofSeed key_set_seed(u128 public_seed);

/// Reads mask words from any position; a value, cheap to copy.
class MaskReader {
 public:
  explicit MaskReader(const MaskOrigin& origin);

  /// Words first .. first + out.size() of the object's masks, little endian.
  template <Word W>
  void read(u128 first_word, std::span<W> out) const;

 private:
  crypto::XofStream stream_;
  StreamPosition start_;
};

}  // namespace witan::tfhe
