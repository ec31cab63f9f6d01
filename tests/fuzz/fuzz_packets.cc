// Frames between nodes: a sequence of packets, each after its length in two bytes, as one stream of a peer.
#include <grpcpp/support/slice.h>

#include "fuzz/fuzz.h"
#include "transport/wire.h"

namespace witan::fuzz {
namespace {

using namespace transport;

grpc::ByteBuffer buffer_of(ByteView bytes) {
  const grpc::Slice slice(bytes.data(), bytes.size());
  return {&slice, 1};
}

}  // namespace

void fuzz_one(ByteView input) {
  Reassembler frames(1);
  while (input.size() > 2) {
    const std::size_t size = std::min<std::size_t>(load_le<std::uint16_t>(input.data()), input.size() - 2);
    grpc::ByteBuffer buffer = buffer_of(input.subspan(2, size));
    input = input.subspan(2 + size);
    auto packet = Incoming::parse(buffer);
    if (!packet) continue;
    const auto* piece = std::get_if<PieceHeader>(&packet->content());
    if (piece == nullptr) continue;
    WITAN_CHECK(piece->payload_bytes <= kPieceBytes);
    const auto place = frames.place(*piece);
    if (!place) continue;
    WITAN_CHECK(place->size() == piece->payload_bytes);
    packet->copy_payload(*place);
    const auto frame = frames.take(*piece);
    WITAN_CHECK(frames.memory_bytes() <= runtime::kMaxPayloadBytes);
    if (frame && frame->payload) WITAN_CHECK(frame->payload->size() == piece->total_bytes);
  }
}

}  // namespace witan::fuzz
