// Byte strings and errors as gRPC's types. Private to this folder.
#pragma once

#include "base/bytes.h"
#include "base/error.h"

namespace grpc {
class ByteBuffer;
class Slice;
class Status;
}  // namespace grpc

namespace witan::api {

inline constexpr std::size_t kMaxStatusTextBytes = 1024;  // service.md 4.3

grpc::ByteBuffer to_buffer(ByteView bytes);

/// One piece, sharing the buffer's memory if it is one piece already.
Result<grpc::Slice> to_slice(const grpc::ByteBuffer& buffer);
ByteView view_of(const grpc::Slice& slice);

/// Code has the numbers of gRPC's status codes. The text is cut between UTF-8 characters.
grpc::Status to_status(const Error& error);
Error to_error(const grpc::Status& status);

}  // namespace witan::api
