// Packets of proto/witan_transport.proto as bytes. Pieces are written and read without copies of their payload: it is lent to
// gRPC when sent, and copied once when received, to where the frame is put together.
#pragma once

#include <grpcpp/support/byte_buffer.h>

#include <memory>
#include <string>
#include <variant>

#include "transport/lane.h"

namespace witan::transport {

inline constexpr std::uint32_t kProtocolVersion = 1;
/// Any packet fits: a piece with its fields.
inline constexpr int kMaxPacketBytes = static_cast<int>(kPieceBytes) + 1024;

struct Hello {
  std::uint32_t version = kProtocolVersion;
  ContextId context;
  std::uint32_t role = 0, lane = 0;
  Greeting greeting;
};
struct Start {
  std::uint64_t first = 0;
};

grpc::ByteBuffer encode(const Hello& hello);
grpc::ByteBuffer encode(const Start& start);
grpc::ByteBuffer encode(const Grant& grant);
grpc::ByteBuffer encode(const Heartbeat& heartbeat);
/// The buffer refers to the payload of the frame and keeps it alive.
grpc::ByteBuffer encode(const PieceHeader& piece, const runtime::Payload& frame_payload);

/// A packet that came in.
class Incoming {
 public:
  using Content = std::variant<Hello, Start, PieceHeader, Grant, Heartbeat>;

  /// Error: invalid_argument naming what is wrong. The buffer must outlive the result.
  static Result<Incoming> parse(grpc::ByteBuffer& buffer);

  Incoming(Incoming&&) noexcept;
  Incoming& operator=(Incoming&&) noexcept;
  ~Incoming();

  const Content& content() const { return content_; }
  /// Of a PieceHeader, once: its payload. Precondition: out has payload_bytes.
  void copy_payload(MutableByteView out);

 private:
  struct Reader;
  Incoming(Content content, std::unique_ptr<Reader> reader);
  Content content_;
  std::unique_ptr<Reader> reader_;
};

}  // namespace witan::transport
