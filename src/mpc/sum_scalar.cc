#include "mpc/sum_kernels.h"

namespace witan::mpc::sums {
namespace {

using u128 = unsigned __int128;

std::int64_t factor(const std::uint32_t* factors, std::size_t stream, std::size_t coefficient) {
  return static_cast<std::int16_t>(factors[stream / 2 * kCoefficients + coefficient] >> 16 * (stream % 2));
}

template <std::size_t kHalves>
void add(const u128* blocks, std::size_t pairs, const std::uint32_t* factors, std::int64_t* sums) {
  for (std::size_t stream = 0; stream < 2 * pairs; ++stream)
    for (std::size_t counter = 0; counter < kCounters; ++counter)
      for (std::size_t half = 0; half < kHalves; ++half) {
        const auto limbs = static_cast<std::uint64_t>(blocks[stream * kCounters + counter] >> 64 * half) ^ kLimbOffset;
        for (std::size_t c = 0; c < kCoefficients; ++c)
          for (std::size_t i = 0; i < 4; ++i)
            sums[place(kHalves, counter, half, c) + i / 2] +=
                static_cast<std::int16_t>(limbs >> 16 * i) * factor(factors, stream, c) * (i % 2 == 0 ? 1 : 1 << 16);
      }
}

}  // namespace

const Kernels kScalar{.low_half = add<1>, .both_halves = add<2>};

}  // namespace witan::mpc::sums
