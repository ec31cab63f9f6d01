// Protobuf bytes of the structs in api/types.h. Defined for every struct that is a request or response of a method
// (named in codec.cc); other types do not link.
#pragma once

#include "api/types.h"
#include "base/bytes.h"
#include "base/error.h"

namespace witan::api {

/// Most ciphertexts of one request (service.md 3.1).
inline constexpr std::size_t kMaxCiphertexts = 65535;
/// Largest message other than a decryption, and all fields of a decryption request other than its ciphertexts together.
inline constexpr std::size_t kMaxSmallMessageBytes = std::size_t{1} << 20;
/// Largest answer to a decryption (65535 plaintexts of 256 bits are 2.5 MB).
inline constexpr std::size_t kMaxDecryptionResponseBytes = std::size_t{8} << 20;

/// invalid_argument: not a message of that type, or above one of the limits; the limits are applied before memory is spent
/// (a few bytes on the wire can become a large object). Ciphertexts themselves are bounded by the server's message limit
/// only. Unknown fields are ignored.
template <class Message>
Result<Message> decode(ByteView wire);

/// Fields in ascending order, so equal structs give equal bytes.
template <class Message>
Bytes encode(const Message& message);

}  // namespace witan::api
