// Packets of proto/witan_transport.proto as bytes. Large pieces are written without a copy of their payload: it is lent to gRPC.
// Every payload is copied once when received, to where the frame is put together.
#pragma once

#include <grpcpp/support/byte_buffer.h>

#include <memory>
#include <string>
#include <variant>

#include "transport/lane.h"

namespace witan::transport {

inline constexpr std::uint32_t kProtocolVersion = 2;
/// Any packet fits: pieces with their fields.
inline constexpr int kMaxPacketBytes = static_cast<int>(kPieceBytes + kMaxPiecesInPacket * 128);

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
/// One packet. The buffer refers to large payloads and keeps them alive. Precondition: 1 to kMaxPiecesInPacket pieces.
grpc::ByteBuffer encode(std::span<const OutgoingPiece> pieces);

/// A packet that came in.
class Incoming {
 public:
  struct Pieces {};  // to be had from next_piece()
  using Content = std::variant<Hello, Start, Pieces, Grant, Heartbeat>;

  /// Error: invalid_argument naming what is wrong. The buffer must outlive the result.
  static Result<Incoming> parse(grpc::ByteBuffer& buffer);

  Incoming(Incoming&&) noexcept;
  Incoming& operator=(Incoming&&) noexcept;
  ~Incoming();

  const Content& content() const { return content_; }
  /// Of Pieces: the next one, nothing after the last. Error: invalid_argument.
  Result<std::optional<PieceHeader>> next_piece();
  /// Of the piece that next_piece() gave, once, before the next one: its payload. Precondition: out has payload_bytes.
  void copy_payload(MutableByteView out);

 private:
  struct Reader;
  Incoming(Content content, std::unique_ptr<Reader> reader);
  Content content_;
  std::unique_ptr<Reader> reader_;
};

}  // namespace witan::transport
