// Protobuf bytes of the structs in api/types.h. Defined for every struct that is a request or response of a method
// (named in codec.cc); other types do not link.
#pragma once

#include "api/types.h"
#include "base/bytes.h"
#include "base/error.h"

namespace witan::api {

/// Most ciphertexts of one request (service.md 3.1).
inline constexpr std::size_t kMaxCiphertexts = 65535;
/// Largest message other than a decryption request; those are bounded by the server's limit only.
inline constexpr std::size_t kMaxSmallMessageBytes = 4u << 20;

/// invalid_argument: not a message of that type, larger than kMaxSmallMessageBytes (unless it carries ciphertexts), or more
/// elements than kMaxCiphertexts; all of that is found before memory is spent on it. Unknown fields are ignored.
template <class Message>
Result<Message> decode(ByteView wire);

/// Fields in ascending order, so equal structs give equal bytes.
template <class Message>
Bytes encode(const Message& message);

}  // namespace witan::api
