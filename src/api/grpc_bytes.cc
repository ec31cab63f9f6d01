#include "api/grpc_bytes.h"

#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/status.h>

#include "base/text.h"

namespace witan::api {

grpc::ByteBuffer to_buffer(ByteView bytes) {
  const grpc::Slice slice(bytes.data(), bytes.size());
  return grpc::ByteBuffer(&slice, 1);
}

Result<grpc::Slice> to_slice(const grpc::ByteBuffer& buffer) {
  grpc::Slice slice;
  if (buffer.Length() == 0) return slice;
  if (const grpc::Status status = buffer.DumpToSingleSlice(&slice); !status.ok())
    return fail(Code::internal, "cannot gather a message: {}", status.error_message());
  return slice;
}

ByteView view_of(const grpc::Slice& slice) {
  return {slice.begin(), slice.size()};
}

grpc::Status to_status(const Error& error) {
  return {static_cast<grpc::StatusCode>(error.code), std::string(cut(error.message, kMaxStatusTextBytes))};
}

Error to_error(const grpc::Status& status) {
  constexpr int kLastCode = static_cast<int>(Code::unauthenticated);
  const int number = status.error_code();
  const Code code = number >= 1 && number <= kLastCode ? static_cast<Code>(number) : Code::unknown;
  return {code, status.error_message().empty() ? to_string(code) : status.error_message()};
}

}  // namespace witan::api
