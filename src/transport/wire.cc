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
    written(CodedOutputStream::WriteVarint64ToArray(value, end()));
  }
  void bytes(int field, ByteView value) {
    length(field, value.size());
    written(std::ranges::copy(value, end()).out);
  }
  /// Tag and length of a field whose bytes follow.
  void length(int field, std::size_t size) {
    tag(field, WireFormat::WIRETYPE_LENGTH_DELIMITED);
    written(CodedOutputStream::WriteVarint64ToArray(size, end()));
  }
  ByteView view() const { return ByteView(array_).first(size_); }

 private:
  void tag(int field, WireFormat::WireType type) {
    written(CodedOutputStream::WriteVarint32ToArray(WireFormat::MakeTag(field, type), end()));
  }
  std::uint8_t* end() { return array_.data() + size_; }
  void written(const std::uint8_t* end) { size_ = static_cast<std::size_t>(end - array_.data()); }
  ByteArray<96> array_;  // the header of a piece has at most 74 bytes
  std::size_t size_ = 0;
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

namespace {

/// Of a packet without pieces: a Hello has some 130.
constexpr std::size_t kMaxOtherPacketBytes = 512;
/// Below this a copy is cheaper than a slice of its own.
constexpr std::size_t kLentBytes = 16u << 10;

/// The fields of a piece up to its payload.
FieldWriter fields_of(const PieceHeader& piece) {
  FieldWriter fields;
  fields.varint(pb::Piece::kFrameFieldNumber, piece.frame);
  fields.varint(pb::Piece::kKindFieldNumber, static_cast<std::uint64_t>(piece.kind));
  fields.bytes(pb::Piece::kSessionFieldNumber, piece.session.bytes());
  fields.varint(pb::Piece::kStepFieldNumber, piece.step);
  fields.varint(pb::Piece::kTotalBytesFieldNumber, piece.total_bytes);
  fields.varint(pb::Piece::kFragmentFieldNumber, piece.fragment);
  if (piece.payload_bytes > 0) fields.length(pb::Piece::kPayloadFieldNumber, piece.payload_bytes);
  return fields;
}

grpc::Slice slice_of(ByteView bytes) {
  return {bytes.data(), bytes.size()};
}

grpc::Slice lend(ByteView bytes, const runtime::Payload& owner) {
  return {const_cast<std::uint8_t*>(bytes.data()), bytes.size(),
          [](void* kept) { delete static_cast<runtime::Payload*>(kept); }, new runtime::Payload(owner)};
}

}  // namespace

grpc::ByteBuffer encode(std::span<const OutgoingPiece> pieces) {
  WITAN_CHECK(!pieces.empty() && pieces.size() <= kMaxPiecesInPacket);
  struct Part {
    FieldWriter length, fields;
    ByteView payload;
  };
  std::vector<Part> parts;
  parts.reserve(pieces.size());
  std::size_t total = 0;
  for (const auto& [header, frame_payload] : pieces) {
    Part part{{}, fields_of(header), {}};
    if (header.payload_bytes > 0) part.payload = frame_payload->subspan(header.offset(), header.payload_bytes);
    part.length.length(pb::Pieces::kPiecesFieldNumber, part.fields.view().size() + part.payload.size());
    total += part.length.view().size() + part.fields.view().size() + part.payload.size();
    parts.push_back(part);
  }
  FieldWriter head;
  head.length(pb::Packet::kPiecesFieldNumber, total);
  Bytes pending(head.view().begin(), head.view().end());
  std::vector<grpc::Slice> slices;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    append(pending, parts[i].length.view());
    append(pending, parts[i].fields.view());
    if (parts[i].payload.size() < kLentBytes) {
      append(pending, parts[i].payload);
      continue;
    }
    slices.push_back(slice_of(pending));
    pending.clear();
    slices.push_back(lend(parts[i].payload, pieces[i].frame_payload));
  }
  if (!pending.empty()) slices.push_back(slice_of(pending));
  return {slices.data(), slices.size()};
}

struct Incoming::Reader {
  explicit Reader(grpc::ByteBuffer& buffer) : zero_copy(&buffer), coded(&zero_copy) {}
  grpc::ProtoBufferReader zero_copy;
  CodedInputStream coded;
  int end = 0;                     // of the packet
  std::size_t pieces = 0;          // read so far
  std::uint32_t payload_left = 0;  // of the last one
};

Incoming::Incoming(Content content, std::unique_ptr<Reader> reader) : content_(content), reader_(std::move(reader)) {}
Incoming::Incoming(Incoming&&) noexcept = default;
Incoming& Incoming::operator=(Incoming&&) noexcept = default;
Incoming::~Incoming() = default;

void Incoming::copy_payload(MutableByteView out) {
  WITAN_CHECK(reader_ && reader_->payload_left == out.size());
  reader_->payload_left = 0;
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

Result<std::optional<PieceHeader>> Incoming::next_piece() {
  WITAN_CHECK(reader_ && reader_->payload_left == 0);
  constexpr std::uint32_t kTag = (pb::Pieces::kPiecesFieldNumber << 3) | WireFormat::WIRETYPE_LENGTH_DELIMITED;
  CodedInputStream& in = reader_->coded;
  if (in.CurrentPosition() == reader_->end && reader_->pieces > 0) return std::nullopt;
  if (++reader_->pieces > kMaxPiecesInPacket) return malformed("more than {} pieces in a packet", kMaxPiecesInPacket);
  std::uint32_t size = 0;
  if (in.ReadTag() != kTag || !in.ReadVarint32(&size) ||
      size > static_cast<std::uint32_t>(reader_->end - in.CurrentPosition()))
    return malformed("Pieces: a piece is cut off, or something else");
  WITAN_ASSIGN(const PieceHeader piece, read_piece(in, size));
  reader_->payload_left = piece.payload_bytes;
  return piece;
}

Result<Incoming> Incoming::parse(grpc::ByteBuffer& buffer) {
  constexpr std::uint32_t kPiecesTag = (pb::Packet::kPiecesFieldNumber << 3) | WireFormat::WIRETYPE_LENGTH_DELIMITED;
  const std::size_t length = buffer.Length();
  if (length == 0 || length > static_cast<std::size_t>(kMaxPacketBytes))
    return malformed("a packet of {} bytes", length);
  auto reader = std::make_unique<Reader>(buffer);
  if (!reader->zero_copy.status().ok()) return malformed("a packet that gRPC cannot read");
  if (reader->coded.ReadTag() == kPiecesTag) {
    std::uint32_t size = 0;
    if (!reader->coded.ReadVarint32(&size) ||
        size != length - static_cast<std::size_t>(reader->coded.CurrentPosition()))
      return malformed("a packet of {} bytes around pieces of {}", length, size);
    reader->end = static_cast<int>(length);
    return Incoming(Pieces{}, std::move(reader));
  }
  // Whatever follows may be pieces after all, and protobuf would make an object of each.
  if (length > kMaxOtherPacketBytes) return malformed("a packet of {} bytes that does not begin with pieces", length);
  pb::Packet packet;
  grpc::ProtoBufferReader whole(&buffer);
  if (!packet.ParseFromZeroCopyStream(&whole)) return malformed("not a Packet");
  WITAN_ASSIGN(Content content, content_of(packet));
  return Incoming(content, nullptr);
}

}  // namespace witan::transport
