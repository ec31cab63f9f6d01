#include "transport/wire.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/wire_format_lite.h>
#include <grpcpp/support/proto_buffer_reader.h>

#include <algorithm>

#include "base/check.h"
#include "witan_transport.pb.h"

namespace witan::transport {
namespace {

namespace pb = witan::transport::v1;
using google::protobuf::io::CodedInputStream;
using google::protobuf::io::CodedOutputStream;
using WireFormat = google::protobuf::internal::WireFormatLite;

std::string text_of(ByteView bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

grpc::ByteBuffer buffer_of(const pb::Packet& packet) {
  grpc::Slice slice(packet.SerializeAsString());
  return grpc::ByteBuffer(&slice, 1);
}

/// Writes protobuf fields into a small array; fields of value 0 are left out, as protobuf does.
class FieldWriter {
 public:
  void varint(int field, std::uint64_t value) {
    if (value == 0) return;
    tag(field, WireFormat::WIRETYPE_VARINT);
    end_ = CodedOutputStream::WriteVarint64ToArray(value, end_);
  }
  void bytes(int field, ByteView value) {
    length(field, value.size());
    end_ = std::ranges::copy(value, end_).out;
  }
  /// Tag and length of a field whose bytes follow.
  void length(int field, std::size_t size) {
    tag(field, WireFormat::WIRETYPE_LENGTH_DELIMITED);
    end_ = CodedOutputStream::WriteVarint64ToArray(size, end_);
  }
  ByteView view() const { return {array_.data(), static_cast<std::size_t>(end_ - array_.data())}; }

 private:
  void tag(int field, WireFormat::WireType type) {
    end_ = CodedOutputStream::WriteVarint32ToArray(WireFormat::MakeTag(field, type), end_);
  }
  ByteArray<96> array_;  // the header of a piece has at most 74 bytes
  std::uint8_t* end_ = array_.data();
};

}  // namespace

grpc::ByteBuffer encode(const Hello& hello) {
  pb::Packet packet;
  auto& out = *packet.mutable_hello();
  out.set_version(hello.version);
  out.set_context(text_of(hello.context.view()));
  out.set_role(hello.role);
  out.set_process(text_of(hello.greeting.process));
  out.set_lane(hello.lane);
  if (hello.greeting.peer_process) out.set_peer_process(text_of(*hello.greeting.peer_process));
  out.set_received(hello.greeting.received);
  out.set_credit(hello.greeting.credit);
  return buffer_of(packet);
}

grpc::ByteBuffer encode(const Start& start) {
  pb::Packet packet;
  packet.mutable_start()->set_first(start.first);
  return buffer_of(packet);
}

grpc::ByteBuffer encode(const Grant& grant) {
  pb::Packet packet;
  packet.mutable_grant()->set_credit(grant.credit);
  packet.mutable_grant()->set_received(grant.received);
  return buffer_of(packet);
}

grpc::ByteBuffer encode(const Heartbeat& heartbeat) {
  pb::Packet packet;
  auto& out = *packet.mutable_heartbeat();
  out.set_number(heartbeat.number);
  out.set_answers(heartbeat.answers);
  out.set_received(heartbeat.received);
  return buffer_of(packet);
}

grpc::ByteBuffer encode(const PieceHeader& piece, const runtime::Payload& frame_payload) {
  FieldWriter fields;
  fields.varint(pb::Piece::kFrameFieldNumber, piece.frame);
  fields.varint(pb::Piece::kKindFieldNumber, static_cast<std::uint64_t>(piece.kind));
  fields.bytes(pb::Piece::kSessionFieldNumber, piece.session.bytes());
  fields.varint(pb::Piece::kStepFieldNumber, piece.step);
  fields.varint(pb::Piece::kTotalBytesFieldNumber, piece.total_bytes);
  fields.varint(pb::Piece::kFragmentFieldNumber, piece.fragment);
  if (piece.payload_bytes > 0) fields.length(pb::Piece::kPayloadFieldNumber, piece.payload_bytes);
  FieldWriter head;
  head.length(pb::Packet::kPieceFieldNumber, fields.view().size() + piece.payload_bytes);
  Bytes both(head.view().begin(), head.view().end());
  append(both, fields.view());

  grpc::Slice slices[2] = {grpc::Slice(both.data(), both.size()), grpc::Slice()};
  if (piece.payload_bytes == 0) return grpc::ByteBuffer(slices, 1);
  const ByteView payload = ByteView(*frame_payload).subspan(piece.offset(), piece.payload_bytes);
  slices[1] = grpc::Slice(
      const_cast<std::uint8_t*>(payload.data()), payload.size(),
      [](void* owner) { delete static_cast<runtime::Payload*>(owner); }, new runtime::Payload(frame_payload));
  return grpc::ByteBuffer(slices, 2);
}

struct Incoming::Reader {
  explicit Reader(grpc::ByteBuffer& buffer) : zero_copy(&buffer), coded(&zero_copy) {}
  grpc::ProtoBufferReader zero_copy;
  CodedInputStream coded;
};

Incoming::Incoming(Content content, std::unique_ptr<Reader> reader) : content_(content), reader_(std::move(reader)) {}
Incoming::Incoming(Incoming&&) noexcept = default;
Incoming& Incoming::operator=(Incoming&&) noexcept = default;
Incoming::~Incoming() = default;

void Incoming::copy_payload(MutableByteView out) {
  WITAN_CHECK(std::get<PieceHeader>(content_).payload_bytes == out.size());
  if (out.empty()) return;
  WITAN_CHECK(reader_->coded.ReadRaw(out.data(), static_cast<int>(out.size())));
}

namespace {

template <class... Args>
std::unexpected<Error> malformed(fmt::format_string<Args...> format, Args&&... args) {
  return fail(Code::invalid_argument, format, std::forward<Args>(args)...);
}

std::optional<Process> process_of(const std::string& text) {
  Process out;
  if (text.size() != out.size()) return std::nullopt;
  std::ranges::copy(text, out.begin());
  return out;
}

Result<Hello> hello_of(const pb::Hello& in) {
  Hello out;
  out.version = in.version();
  if (out.version != kProtocolVersion) return out;  // nothing else can be relied on
  auto context = ContextId::from_bytes(as_bytes(in.context()));
  const auto process = process_of(in.process());
  if (!context) return malformed("Hello: the context id has {} bytes or is zero", in.context().size());
  if (!process) return malformed("Hello: the process id has {} bytes, expected are 16", in.process().size());
  if (!in.peer_process().empty() && in.peer_process().size() != 16)
    return malformed("Hello: the peer's process id has {} bytes, expected are 16", in.peer_process().size());
  out.context = *context;
  out.role = in.role();
  out.lane = in.lane();
  out.greeting = {*process, process_of(in.peer_process()), in.received(), in.credit()};
  return out;
}

/// One varint field of a piece, bounded.
Status read_number(CodedInputStream& in, std::uint64_t at_most, std::uint64_t& out) {
  if (!in.ReadVarint64(&out) || out > at_most) return malformed("Piece: a number is cut off or out of range");
  return {};
}

Result<PieceHeader> read_piece(CodedInputStream& in, std::uint32_t size) {
  constexpr std::uint64_t kU32 = ~std::uint32_t{0};
  PieceHeader out;
  const int end = in.CurrentPosition() + static_cast<int>(size);
  int last = 0;
  bool has_session = false;
  while (in.CurrentPosition() < end) {
    const std::uint32_t tag = in.ReadTag();
    const int field = WireFormat::GetTagFieldNumber(tag);
    const bool is_bytes = field == pb::Piece::kSessionFieldNumber || field == pb::Piece::kPayloadFieldNumber;
    if (field <= last || field > pb::Piece::kPayloadFieldNumber ||
        WireFormat::GetTagWireType(tag) !=
            (is_bytes ? WireFormat::WIRETYPE_LENGTH_DELIMITED : WireFormat::WIRETYPE_VARINT))
      return malformed("Piece: a field is unknown, repeated or out of order");
    last = field;
    std::uint64_t number = 0;
    WITAN_TRY(read_number(in, field == pb::Piece::kFrameFieldNumber ? ~std::uint64_t{0} : kU32, number));
    switch (field) {
      case pb::Piece::kFrameFieldNumber:
        out.frame = number;
        break;
      case pb::Piece::kKindFieldNumber:
        if (number > static_cast<std::uint64_t>(runtime::FrameKind::unavailable))
          return malformed("Piece: kind {}", number);
        out.kind = static_cast<runtime::FrameKind>(number);
        break;
      case pb::Piece::kSessionFieldNumber: {
        ByteArray<16> session;
        if (number != session.size() || !in.ReadRaw(session.data(), static_cast<int>(session.size())))
          return malformed("Piece: a session id of {} bytes, expected are 16", number);
        out.session = {load_le<u128>(session.data())};
        has_session = true;
        break;
      }
      case pb::Piece::kStepFieldNumber:
        out.step = static_cast<runtime::Step>(number);
        break;
      case pb::Piece::kTotalBytesFieldNumber:
        out.total_bytes = static_cast<std::uint32_t>(number);
        break;
      case pb::Piece::kFragmentFieldNumber:
        out.fragment = static_cast<std::uint32_t>(number);
        break;
      default:  // the payload ends the piece; it stays in the buffer
        if (number != static_cast<std::uint64_t>(end - in.CurrentPosition()))
          return malformed("Piece: {} bytes follow, the payload says {}", end - in.CurrentPosition(), number);
        out.payload_bytes = static_cast<std::uint32_t>(number);
        return has_session ? Result<PieceHeader>(out) : malformed("Piece: no session id");
    }
  }
  if (in.CurrentPosition() != end) return malformed("Piece: a field is cut off");
  if (!has_session) return malformed("Piece: no session id");
  return out;
}

Result<Incoming::Content> content_of(const pb::Packet& packet) {
  switch (packet.content_case()) {
    case pb::Packet::kHello: {
      WITAN_ASSIGN(Hello hello, hello_of(packet.hello()));
      return hello;
    }
    case pb::Packet::kStart:
      return Start{packet.start().first()};
    case pb::Packet::kGrant:
      return Grant{packet.grant().credit(), packet.grant().received()};
    case pb::Packet::kHeartbeat:
      return Heartbeat{packet.heartbeat().number(), packet.heartbeat().answers(), packet.heartbeat().received()};
    default:
      return malformed("a packet without content, or of a kind that this version does not know");
  }
}

}  // namespace

Result<Incoming> Incoming::parse(grpc::ByteBuffer& buffer) {
  constexpr std::uint32_t kPieceTag = (pb::Packet::kPieceFieldNumber << 3) | WireFormat::WIRETYPE_LENGTH_DELIMITED;
  const std::size_t length = buffer.Length();
  if (length == 0 || length > static_cast<std::size_t>(kMaxPacketBytes))
    return malformed("a packet of {} bytes", length);
  auto reader = std::make_unique<Reader>(buffer);
  if (!reader->zero_copy.status().ok()) return malformed("a packet that gRPC cannot read");
  if (reader->coded.ReadTag() == kPieceTag) {
    std::uint32_t size = 0;
    if (!reader->coded.ReadVarint32(&size) ||
        size != length - static_cast<std::size_t>(reader->coded.CurrentPosition()))
      return malformed("a packet of {} bytes around a piece of {}", length, size);
    WITAN_ASSIGN(PieceHeader piece, read_piece(reader->coded, size));
    return Incoming(piece, std::move(reader));
  }
  pb::Packet packet;
  grpc::ProtoBufferReader whole(&buffer);
  if (!packet.ParseFromZeroCopyStream(&whole)) return malformed("not a Packet");
  WITAN_ASSIGN(Content content, content_of(packet));
  return Incoming(content, nullptr);
}

}  // namespace witan::transport
