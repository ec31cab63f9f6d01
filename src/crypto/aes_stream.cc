#include "crypto/aes_stream.h"

#include <algorithm>

namespace witan::crypto {

void AesStream::read(u128 position, MutableByteView out) const {
  const Aes128 aes = aes_.duplicate();
  u128 counter = offset_ + position / 16;
  if (const auto skip = static_cast<std::size_t>(position % 16); skip != 0 && !out.empty()) {
    ByteArray<16> block;
    aes.encrypt_counters(counter++, block);
    const std::size_t size = std::min(out.size(), 16 - skip);
    std::copy_n(block.begin() + static_cast<std::ptrdiff_t>(skip), size, out.begin());
    out = out.subspan(size);
  }
  const MutableByteView whole = out.first(out.size() / 16 * 16);
  aes.encrypt_counters(counter, whole);
  if (const MutableByteView rest = out.subspan(whole.size()); !rest.empty()) {
    ByteArray<16> block;
    aes.encrypt_counters(counter + whole.size() / 16, block);
    std::copy_n(block.begin(), rest.size(), rest.begin());
  }
}

XofStream derive_xof_stream(ByteView data) {
  const Aes128 aes(ByteArray<16>{});
  ByteArray<16> state{}, previous{};
  const auto absorb = [&](const ByteArray<16>& block) {
    previous = state;
    for (std::size_t i = 0; i < 16; ++i) state[i] ^= block[i];
    aes.encrypt(state);
  };
  for (std::size_t at = 0; at < data.size(); at += 16) {
    ByteArray<16> block{};
    std::copy_n(data.begin() + static_cast<std::ptrdiff_t>(at), std::min<std::size_t>(16, data.size() - at),
                block.begin());
    absorb(block);
  }
  ByteArray<16> length;
  store_le<u128>(u128{8} * data.size(), length.data());
  absorb(length);
  return {state, load_le<u128>(previous.data())};
}

}  // namespace witan::crypto
