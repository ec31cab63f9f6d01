// Identifiers that are hashes: service.md 2, mpc.md 5.2.
#pragma once

#include "base/ids.h"
#include "crypto/hash.h"

namespace witan::crypto {

/// SHAKE256("REQST_ID" || u64le(len(name)) || name), 32 bytes.
Digest derive_request_id(std::string_view name);

/// Where a node's signing and verification keys are stored: derive_request_id("SIGNING_KEY_ID").
RequestId signing_key_id();
/// The same for the derived schemes: "Ed25519", "MlDsa44", "MlDsa65", "MlDsa87".
RequestId signing_key_id(std::string_view scheme_name);

/// Use of a session (mpc.md 5.2); keeps uses apart when a caller gives the same id to two of them.
enum class SessionKind : std::uint8_t {
  crs = 0,
  public_decryption = 1,
  user_decryption = 2,
  preprocessing_64 = 3,
  preprocessing_128 = 4,
  keygen = 5,
  epoch_setup = 6,
  resharing = 7,
  key_confirmation = 8,
  key_switching_key = 9,
};

/// First 16 bytes of the list hash of (id, kind * 2^32 + attempt * 2^16 + number), read as a little-endian integer.
SessionId session_id(const ByteArray<32>& id, SessionKind kind, std::uint16_t attempt, std::uint16_t number);
/// The same from the counter itself.
SessionId session_id(const ByteArray<32>& id, std::uint64_t counter);

}  // namespace witan::crypto
