#include "tfhe/mask.h"

#include "crypto/separators.h"

namespace witan::tfhe {
namespace {

constexpr std::size_t kBlockBytes = 16;

crypto::XofStream stream_of(const CtrSeed& seed) {
  crypto::XofStream out{.key = {}, .offset = 0};
  store_le(seed.seed, out.key.data());
  return out;
}
crypto::XofStream stream_of(const XofSeed& seed) {
  return crypto::derive_xof_stream(seed.data);
}

}  // namespace

StreamPosition StreamPosition::advanced(u128 bytes) const {
  const u128 total = bytes % kBlockBytes + byte;
  return {block + bytes / kBlockBytes + total / kBlockBytes, static_cast<std::uint64_t>(total % kBlockBytes)};
}

XofSeed key_set_seed(u128 public_seed) {
  XofSeed out;
  append(out.data, crypto::separators::kKeyGeneration.view());
  append_le(out.data, public_seed);
  return out;
}

MaskReader::MaskReader(const MaskOrigin& origin)
    : stream_(std::visit([](const auto& seed) { return stream_of(seed); }, origin.seed)), start_(origin.start) {}

template <Word W>
void MaskReader::read(u128 first_word, std::span<W> out) const {
  const StreamPosition from = start_.advanced(first_word * sizeof(W));
  // The block number goes into the counter, which wraps like it; as a byte position it could overflow.
  crypto::AesStream(stream_.key, stream_.offset + from.block)
      .read(from.byte, {reinterpret_cast<std::uint8_t*>(out.data()), out.size_bytes()});
}

template void MaskReader::read<u64>(u128, std::span<u64>) const;
template void MaskReader::read<u128>(u128, std::span<u128>) const;

}  // namespace witan::tfhe
