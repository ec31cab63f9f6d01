#include "mpc/stream_sums.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>

#include "base/check.h"
#include "base/cpu.h"
#include "mpc/prss.h"

namespace witan::mpc {
namespace {

using sums::kCoefficients;
using sums::kCounters;

std::atomic<std::optional<SumTarget>> chosen;

const sums::Kernels& kernels() {
  switch (sum_target()) {
    case SumTarget::scalar:
      return sums::kScalar;
    case SumTarget::avx2:
      return sums::kAvx2;
    case SumTarget::avx512_vnni:
      break;
  }
  return sums::kAvx512Vnni;
}

template <Word Z>
constexpr std::size_t kHalves = algebra::kBits<Z> / 64;

/// One coefficient of one counter, from its parts in units of 1, 2^32, 2^64, 2^96.
template <Word Z>
Z resolved(const std::int64_t* sums, std::size_t counter, std::size_t coefficient) {
  const auto half = [&](std::size_t h) {
    const std::int64_t* const at = sums + sums::place(kHalves<Z>, counter, h, coefficient);
    return static_cast<Z>(at[0]) + (static_cast<Z>(at[1]) << 32);
  };
  if constexpr (kHalves<Z> == 1)
    return half(0);
  else
    return half(0) + (half(1) << 64);
}

}  // namespace

const char* to_string(SumTarget target) {
  static constexpr std::array kNames = {"scalar", "AVX2", "AVX-512-VNNI"};
  return kNames[static_cast<std::size_t>(target)];
}

bool available(SumTarget target) {
  return target != SumTarget::avx512_vnni || cpu_features().avx512_vnni;  // the others are of the baseline
}

void choose_sum_target(std::optional<SumTarget> target) {
  WITAN_CHECK(!target || available(*target));
  chosen = target;
}

SumTarget sum_target() {
  static const SumTarget best = *std::ranges::find_if(kSumTargets, [](SumTarget target) { return available(target); });
  return chosen.load(std::memory_order_relaxed).value_or(best);
}

template <Word Z>
StreamSums<Z>::StreamSums(std::span<const SetKey> keys, std::span<const Stream> streams)
    : keys_(keys), streams_(streams.begin(), streams.end()) {
  std::array<std::int64_t, kCoefficients> weight{};  // of the last tile, by coefficient
  std::int64_t total = 0;
  for (std::size_t s = 0; s < streams_.size(); ++s) {
    WITAN_CHECK(streams_[s].key < keys.size());
    std::array<std::int64_t, kCoefficients> with = weight;
    for (std::size_t c = 0; c < kCoefficients; ++c) {
      with[c] += std::abs(std::int64_t{streams_[s].factor[c]});
      total += std::abs(std::int64_t{streams_[s].factor[c]});
    }
    if (tiles_.empty() || tiles_.back().count == sums::kStreams || *std::ranges::max_element(with) > sums::kMaxWeight) {
      tiles_.push_back({s, 0, factors_.size()});
      for (std::size_t c = 0; c < kCoefficients; ++c) with[c] -= weight[c];
    }
    weight = with;
    Tile& tile = tiles_.back();
    if (tile.count % 2 == 0) factors_.resize(factors_.size() + kCoefficients);
    for (std::size_t c = 0; c < kCoefficients; ++c)
      factors_[tile.factors + tile.count / 2 * kCoefficients + c] |=
          std::uint32_t{static_cast<std::uint16_t>(streams_[s].factor[c])} << 16 * (tile.count % 2);
    ++tile.count;
    const Z limb_offset = kHalves<Z> == 1 ? static_cast<Z>(sums::kLimbOffset)
                                          : static_cast<Z>(sums::kLimbOffset | u128{sums::kLimbOffset} << 64);
    for (std::size_t c = 0; c < kCoefficients; ++c) offset_.c[c] += static_cast<Z>(streams_[s].factor[c]) * limb_offset;
  }
  WITAN_CHECK(total < std::int64_t{1} << 30);
}

template <Word Z>
template <class Sharing>
void StreamSums<Z>::sums(std::uint64_t first, std::span<Sharing> out, Scratch& scratch) const {
  const sums::Kernels& code = kernels();
  const sums::Add add = kHalves<Z> == 1 ? code.low_half : code.both_halves;
  auto& memory = scratch.memory_.reveal_mutable().front();
  for (std::size_t at = 0; at < out.size(); at += kCounters) {
    const auto part = out.subspan(at, std::min(kCounters, out.size() - at));
    memory.sums.fill(0);
    for (const Tile& tile : tiles_) {
      for (std::size_t s = 0; s < tile.count; ++s) {
        const Stream& stream = streams_[tile.first + s];
        keys_.encrypt_counters(stream.key, first + at, stream.high,
                               std::span(memory.blocks).subspan(s * kCounters, kCounters));
      }
      add(memory.blocks.data(), (tile.count + 1) / 2, factors_.data() + tile.factors, memory.sums.data());
    }
    for (std::size_t i = 0; i < part.size(); ++i)
      for (std::size_t c = 0; c < kCoefficients; ++c)
        part[i].value.c[c] = resolved<Z>(memory.sums.data(), i, c) + offset_.c[c];
  }
}

#define WITAN_INSTANTIATE(Z)                                                                      \
  template class StreamSums<Z>;                                                                   \
  template void StreamSums<Z>::sums(std::uint64_t, std::span<algebra::Share<Z>>, Scratch&) const; \
  template void StreamSums<Z>::sums(std::uint64_t, std::span<BaseShare<Z>>, Scratch&) const;
WITAN_INSTANTIATE(Z64)
WITAN_INSTANTIATE(Z128)
#undef WITAN_INSTANTIATE

}  // namespace witan::mpc
