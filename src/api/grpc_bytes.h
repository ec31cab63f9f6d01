// Byte strings and errors as gRPC's types. Private to server.cc and client.cc, the two files that see gRPC.
#pragma once

#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/status.h>

#include <algorithm>

#include "base/bytes.h"
#include "base/error.h"

namespace witan::api {

inline constexpr std::size_t kMaxStatusTextBytes = 1024;  // service.md 4.3

inline grpc::ByteBuffer to_buffer(ByteView bytes) {
  const grpc::Slice slice(bytes.data(), bytes.size());
  return grpc::ByteBuffer(&slice, 1);
}

/// One piece, sharing the buffer's memory if it is one piece already.
inline Result<grpc::Slice> to_slice(const grpc::ByteBuffer& buffer) {
  grpc::Slice slice;
  if (buffer.Length() == 0) return slice;
  if (const grpc::Status status = buffer.DumpToSingleSlice(&slice); !status.ok())
    return fail(Code::internal, "cannot gather a message: {}", status.error_message());
  return slice;
}
inline ByteView view_of(const grpc::Slice& slice) {
  return {slice.begin(), slice.size()};
}

/// Code has the numbers of gRPC's status codes. The text is cut between UTF-8 characters.
inline grpc::Status to_status(const Error& error) {
  std::size_t size = std::min(error.message.size(), kMaxStatusTextBytes);
  if (size < error.message.size())
    while (size > 0 && (static_cast<unsigned char>(error.message[size]) & 0xc0) == 0x80) --size;
  return {static_cast<grpc::StatusCode>(error.code), error.message.substr(0, size)};
}

inline Error to_error(const grpc::Status& status) {
  const int number = status.error_code();
  const bool known = number >= 1 && number <= 16;
  const Code code = known ? static_cast<Code>(number) : Code::unknown;
  return {code, status.error_message().empty() ? to_string(code) : status.error_message()};
}

}  // namespace witan::api
