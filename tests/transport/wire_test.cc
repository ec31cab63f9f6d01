#include "transport/wire.h"

#include <gtest/gtest.h>

#include "support/support.h"
#include "witan_transport.pb.h"

namespace witan::transport {
namespace {

std::string text_of(const grpc::ByteBuffer& buffer) {
  std::vector<grpc::Slice> slices;
  EXPECT_TRUE(buffer.Dump(&slices).ok());
  std::string out;
  for (const auto& slice : slices) out.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  return out;
}

/// The text in slices of that size, as a network might cut it.
grpc::ByteBuffer buffer_of(const std::string& text, std::size_t slice_bytes = 1 << 20) {
  std::vector<grpc::Slice> slices;
  for (std::size_t at = 0; at < text.size(); at += slice_bytes) slices.emplace_back(text.substr(at, slice_bytes));
  return grpc::ByteBuffer(slices.data(), slices.size());
}

runtime::Payload pattern(std::size_t size) {
  Bytes bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::uint8_t>(i * 31 + i / 251);
  return runtime::make_payload(std::move(bytes));
}

constexpr auto kPiece = static_cast<std::uint32_t>(kPieceBytes);

struct PieceCase {
  const char* name;
  PieceHeader piece;
};
const PieceCase kPieces[] = {
    {"all zero", {0, runtime::FrameKind::data, {0}, 0, 0, 0, 0}},
    {"a request", {1, runtime::FrameKind::resend_request, {(u128{7} << 100) | 5}, 3, 0, 0, 0}},
    {"a small frame", {300, runtime::FrameKind::data, {~u128{0}}, ~std::uint32_t{0}, 1000, 0, 1000}},
    {"a full piece", {~std::uint64_t{0}, runtime::FrameKind::data, {1}, 1, 3 * kPiece, 1, kPiece}},
    {"the last piece", {9, runtime::FrameKind::unavailable, {1}, 1, 2 * kPiece + 1, 2, 1}},
};

// The hand-written encoding of pieces is protobuf's.
TEST(Wire, PiecesAreWhatProtobufWrites) {
  for (const auto& [name, piece] : kPieces) {
    const auto payload = pattern(piece.total_bytes);
    v1::Packet packet;
    auto& expected = *packet.mutable_pieces()->add_pieces();
    expected.set_frame(piece.frame);
    expected.set_kind(static_cast<std::uint32_t>(piece.kind));
    const auto session = piece.session.bytes();
    expected.set_session(session.data(), session.size());
    expected.set_step(piece.step);
    expected.set_total_bytes(piece.total_bytes);
    expected.set_fragment(piece.fragment);
    expected.set_payload(payload->data() + piece.offset(), piece.payload_bytes);
    const std::string text = text_of(encode({{{piece, payload}}}));
    EXPECT_EQ(text, packet.SerializeAsString()) << name;
    EXPECT_LE(text.size(), static_cast<std::size_t>(kMaxPacketBytes));
  }
}

TEST(Wire, PiecesComeBackFromSlicesOfAnySize) {
  for (const auto& [name, piece] : kPieces)
    for (const std::size_t slice : {1u, 3u, 17u, 4096u, 1u << 20}) {
      if (slice < 100 && piece.payload_bytes > 10000) continue;
      const auto payload = pattern(piece.total_bytes);
      auto buffer = buffer_of(text_of(encode({{{piece, payload}}})), slice);
      auto packet = Incoming::parse(buffer);
      ASSERT_TRUE(packet) << name << ": " << packet.error().message;
      const auto first = packet->next_piece();
      ASSERT_TRUE(first && *first) << name;
      const PieceHeader& got = **first;
      EXPECT_EQ(got.frame, piece.frame);
      EXPECT_EQ(got.kind, piece.kind);
      EXPECT_TRUE(got.session == piece.session);
      EXPECT_EQ(got.step, piece.step);
      EXPECT_EQ(got.total_bytes, piece.total_bytes);
      EXPECT_EQ(got.fragment, piece.fragment);
      ASSERT_EQ(got.payload_bytes, piece.payload_bytes);
      Bytes copied(got.payload_bytes);
      packet->copy_payload(copied);
      EXPECT_TRUE(std::ranges::equal(copied, ByteView(*payload).subspan(piece.offset(), piece.payload_bytes))) << name;
      const auto end = packet->next_piece();
      EXPECT_TRUE(end && !*end) << name;
    }
}

// Several pieces, copied and lent ones in turn.
TEST(Wire, PiecesTravelTogether) {
  std::vector<OutgoingPiece> pieces;
  v1::Packet packet;
  for (std::uint32_t i = 0; i < 9; ++i) {
    const std::uint32_t size = i % 3 == 2 ? 20000 : i * 7;
    pieces.push_back({{i + 1, {}, {i}, 1, size, 0, size}, pattern(size)});
    auto& expected = *packet.mutable_pieces()->add_pieces();
    expected.set_frame(i + 1);
    expected.set_session(std::string(1, static_cast<char>(i)) + std::string(15, '\0'));
    expected.set_step(1);
    expected.set_total_bytes(size);
    expected.set_payload(pieces.back().frame_payload->data(), size);
  }
  const std::string text = text_of(encode(pieces));
  EXPECT_EQ(text, packet.SerializeAsString());
  for (const std::size_t slice : {std::size_t{1}, std::size_t{13}, text.size()}) {
    auto buffer = buffer_of(text, slice);
    auto incoming = Incoming::parse(buffer);
    ASSERT_TRUE(incoming);
    for (const auto& [header, payload] : pieces) {
      const auto piece = incoming->next_piece();
      ASSERT_TRUE(piece && *piece);
      EXPECT_EQ((*piece)->frame, header.frame);
      Bytes copied((*piece)->payload_bytes);
      incoming->copy_payload(copied);
      EXPECT_EQ(copied, *payload);
    }
    const auto end = incoming->next_piece();
    EXPECT_TRUE(end && !*end);
  }
}

/// Reads all of a packet; false if something is wrong with it.
bool reads(grpc::ByteBuffer buffer) {
  auto packet = Incoming::parse(buffer);
  if (!packet) return false;
  if (!std::holds_alternative<Incoming::Pieces>(packet->content())) return true;
  for (;;) {
    const auto piece = packet->next_piece();
    if (!piece || !*piece) return piece.has_value();
    Bytes payload((*piece)->payload_bytes);
    packet->copy_payload(payload);
  }
}

TEST(Wire, ALargePayloadIsLentAndNotCopied) {
  const PieceHeader piece{1, {}, {1}, 1, 20000, 0, 20000};
  auto payload = pattern(20000);
  const std::uint8_t* data = payload->data();
  {
    const grpc::ByteBuffer buffer = encode({{{piece, payload}}});
    const std::weak_ptr<const runtime::PayloadBytes> watched = payload;
    payload.reset();
    EXPECT_FALSE(watched.expired());
    std::vector<grpc::Slice> slices;
    ASSERT_TRUE(buffer.Dump(&slices).ok());
    EXPECT_EQ(slices.back().begin(), data);
  }
}

TEST(Wire, OtherPacketsComeBack) {
  Hello hello;
  hello.context = default_context_id();
  hello.role = 3;
  hello.lane = 1;
  hello.greeting = {Process{1, 2, 3}, Process{4}, 77, 1 << 20};
  auto buffer = encode(hello);
  const auto got = std::get<Hello>(Incoming::parse(buffer).value().content());
  EXPECT_EQ(got.version, kProtocolVersion);
  EXPECT_TRUE(got.context == hello.context && got.role == 3 && got.lane == 1);
  EXPECT_TRUE(got.greeting.process == hello.greeting.process && got.greeting.peer_process == Process{4});
  EXPECT_TRUE(got.greeting.received == 77 && got.greeting.credit == 1 << 20);
  buffer = encode(Start{5});
  EXPECT_EQ(std::get<Start>(Incoming::parse(buffer).value().content()).first, 5u);
  buffer = encode(Grant{100, 6});
  EXPECT_EQ(std::get<Grant>(Incoming::parse(buffer).value().content()).credit, 100u);
  buffer = encode(Heartbeat{1, 2, 3});
  const auto beat = std::get<Heartbeat>(Incoming::parse(buffer).value().content());
  EXPECT_TRUE(beat.number == 1 && beat.answers == 2 && beat.received == 3);
}

v1::Piece good_piece() {
  v1::Piece piece;
  piece.set_frame(1);
  piece.set_session(std::string(16, 's'));
  piece.set_step(1);
  piece.set_total_bytes(5);
  piece.set_payload("hello");
  return piece;
}

/// Packet around these bytes.
std::string around_all(const std::string& pieces) {
  return std::string("\x1a", 1) + static_cast<char>(pieces.size()) + pieces;
}
std::string field_of(const std::string& piece) {
  return std::string("\x0a", 1) + static_cast<char>(piece.size()) + piece;
}
/// Packet around these bytes of a piece.
std::string around(const std::string& piece) {
  return around_all(field_of(piece));
}

/// As a field of a packet.
std::string many_empty_pieces() {
  v1::Packet packet;
  for (int i = 0; i < 400; ++i) packet.mutable_pieces()->add_pieces();
  return packet.SerializeAsString();
}

struct Malformed {
  const char* name;
  std::string text;
};

TEST(Wire, MalformedPacketsAreErrors) {
  const std::string good = good_piece().SerializeAsString();
  const auto spoiled = [](const std::function<void(v1::Piece&)>& spoil) {
    v1::Piece piece = good_piece();
    spoil(piece);
    return around(piece.SerializeAsString());
  };
  const std::string step_twice = std::string("\x08\x01\x1a\x10", 4) + std::string(16, 's') + "\x20\x01\x20\x01";
  const std::string backwards = std::string("\x20\x01\x1a\x10", 4) + std::string(16, 's');
  const Malformed cases[] = {
      {"nothing", ""},
      {"no content", std::string("\x32\x00", 2)},
      {"not protobuf", "\xff\xff\xff\xff"},
      {"only a tag", "\x1a"},
      {"no piece", std::string("\x1a\x00", 2)},
      {"another field than a piece", around_all("\x12" + field_of(good).substr(1))},
      {"another field after the piece", around_all(field_of(good) + "\x10\x01")},
      {"a piece longer than the packet", around_all(std::string("\x0a\x7f", 2) + good)},
      {"a second piece that is cut off", around_all(field_of(good) + field_of(good).substr(0, 20))},
      {"length beyond the end", std::string("\x1a\x7f", 2) + good},
      {"bytes after the piece", around(good) + "x"},
      {"another packet after the piece", around(good) + std::string("\x12\x02\x08\x01", 4)},
      {"a piece after another packet", std::string("\x12\x02\x08\x01", 4) + around(good)},
      {"kind", spoiled([](v1::Piece& p) { p.set_kind(3); })},
      {"no session", spoiled([](v1::Piece& p) { p.clear_session(); })},
      {"short session", spoiled([](v1::Piece& p) { p.set_session("short"); })},
      {"long session", spoiled([](v1::Piece& p) { p.set_session(std::string(17, 's')); })},
      {"unknown field", around(good + std::string("\x40\x01", 2))},
      {"unknown field before the payload", around(std::string("\x42\x00", 2) + good)},
      {"field twice", around(step_twice)},
      {"fields out of order", around(backwards)},
      {"wrong wire type", around(std::string("\x0a\x01\x31", 3) + good)},
      {"number too large for its field",
       around(std::string("\x08\x01\x1a\x10", 4) + std::string(16, 's') + std::string("\x20\xff\xff\xff\xff\x1f", 6))},
      {"payload shorter than it says", around(std::string("\x1a\x10", 2) + std::string(16, 's') +
                                              "\x3a\x05"
                                              "abc")},
      {"bytes after the payload", around(std::string("\x1a\x10", 2) + std::string(16, 's') +
                                         "\x3a\x02"
                                         "abc")},
      {"cut off", around(good).substr(0, 20)},
      {"many pieces behind another field", std::string("\x22\x00", 2) + many_empty_pieces()},
      {"too long", around(good) + std::string(static_cast<std::size_t>(kMaxPacketBytes), 'x')},
  };
  EXPECT_TRUE(reads(buffer_of(around(good))));
  EXPECT_TRUE(reads(buffer_of(around_all(field_of(good) + field_of(good)))));
  v1::Packet many;
  for (std::size_t i = 0; i < kMaxPiecesInPacket; ++i) *many.mutable_pieces()->add_pieces() = good_piece();
  EXPECT_TRUE(reads(buffer_of(many.SerializeAsString())));
  *many.mutable_pieces()->add_pieces() = good_piece();
  EXPECT_FALSE(reads(buffer_of(many.SerializeAsString())));
  for (const auto& [name, text] : cases)
    for (const std::size_t slice : {1u, 1u << 20}) {
      if (slice == 1 && text.size() > 10000) continue;
      EXPECT_FALSE(reads(buffer_of(text, slice))) << name;
    }
}

TEST(Wire, HellosWithIdsOfWrongLengthAreErrors) {
  const auto refused = [](const std::function<void(v1::Hello&)>& spoil) {
    v1::Packet packet;
    auto& hello = *packet.mutable_hello();
    hello.set_version(2);
    hello.set_context(std::string(32, 'c'));
    hello.set_process(std::string(16, 'p'));
    spoil(hello);
    auto buffer = buffer_of(packet.SerializeAsString());
    return !Incoming::parse(buffer);
  };
  EXPECT_FALSE(refused([](v1::Hello&) {}));
  EXPECT_FALSE(refused([](v1::Hello& h) { h.set_peer_process(std::string(16, 'q')); }));
  EXPECT_TRUE(refused([](v1::Hello& h) { h.set_context("c"); }));
  EXPECT_TRUE(refused([](v1::Hello& h) { h.set_process("p"); }));
  EXPECT_TRUE(refused([](v1::Hello& h) { h.set_peer_process("q"); }));
  // Another version may look different: it is recognised, so that both sides can say so.
  EXPECT_FALSE(refused([](v1::Hello& h) { h.set_version(3), h.set_process("p"); }));
}

// Random damage is an error or another packet, never a crash; a piece that is accepted has all its payload.
TEST(Wire, DamagedPacketsNeverCrash) {
  test::SeededRng rng("wire damage");
  const std::string piece = field_of(good_piece().SerializeAsString());
  const std::string good = around_all(piece + piece);
  int accepted = 0;
  for (int i = 0; i < 20000; ++i) {
    std::string text = good;
    for (int hits = 1 + i % 3; hits > 0; --hits)
      text[rng.next<std::uint32_t>() % text.size()] = static_cast<char>(rng.next<std::uint8_t>());
    if (i % 5 == 0) text.resize(rng.next<std::uint32_t>() % text.size());
    accepted += reads(buffer_of(text, 1 + rng.next<std::uint32_t>() % 40));
  }
  EXPECT_GT(accepted, 1000);
}

}  // namespace
}  // namespace witan::transport
