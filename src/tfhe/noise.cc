#include "tfhe/noise.h"

#include <algorithm>

#include "base/check.h"
#include "base/secret.h"

namespace witan::tfhe {

void RngNoise::fill(TUniform distribution, std::span<i64> out) {
  WITAN_CHECK(distribution.bound_log2 <= 61);
  const int bits = static_cast<int>(distribution.bound_log2) + 2;
  const std::size_t sample_bytes = static_cast<std::size_t>(bits + 7) / 8;
  constexpr std::size_t kChunk = 512;  // samples per request to the generator
  ByteArray<8 * kChunk> random;
  while (!out.empty()) {
    const std::size_t count = std::min(out.size(), kChunk);
    rng_.fill(std::span(random).first(count * sample_bytes));
    for (std::size_t i = 0; i < count; ++i) {
      u64 r = 0;
      std::memcpy(&r, random.data() + i * sample_bytes, sample_bytes);
      r &= ~u64{0} >> (64 - bits);
      out[i] = static_cast<i64>((r >> 1) + (r & 1)) - (i64{1} << distribution.bound_log2);
    }
    out = out.subspan(count);
  }
  wipe(random.data(), random.size());
}

}  // namespace witan::tfhe
