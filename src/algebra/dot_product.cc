#include "algebra/dot_product.h"

#include <algorithm>
#include <atomic>

#include "algebra/dot_kernels.h"
#include "base/check.h"
#include "base/cpu.h"

namespace witan::algebra {
namespace {

using dot::kGroup;
static_assert(DotVector::kGranularity == kGroup && sizeof(Gr<Z128>) == dot::kCoefficients * sizeof(Z128));

/// Of the vector, at most: 24 KiB of it in limbs, which stay in the first-level cache for all right-hand sides.
constexpr std::size_t kElementsAtOnce = 256;
static_assert(kElementsAtOnce % kGroup == 0 && kElementsAtOnce / kGroup <= dot::kMaxGroupsAtOnce);

std::atomic<std::optional<DotTarget>> chosen;

const dot::Kernels& kernels_of(DotTarget target) {
  switch (target) {
    case DotTarget::scalar:
      return dot::kScalar;
    case DotTarget::avx2:
      return dot::kAvx2;
    case DotTarget::avx512_ifma:
      break;
  }
  return dot::kAvx512Ifma;
}

}  // namespace

const char* to_string(DotTarget target) {
  static constexpr std::array kNames = {"scalar", "AVX2", "AVX-512-IFMA"};
  return kNames[static_cast<std::size_t>(target)];
}

bool available(DotTarget target) {
  return target != DotTarget::avx512_ifma || cpu_features().avx512_ifma;  // the others are of the baseline
}

void choose_dot_target(std::optional<DotTarget> target) {
  WITAN_CHECK(!target || available(*target));
  chosen = target;
}

DotTarget dot_target() {
  static const DotTarget best = *std::ranges::find_if(kDotTargets, available);
  return chosen.load(std::memory_order_relaxed).value_or(best);
}

DotVector::DotVector(std::span<const Gr<Z128>> elements) : target_(dot_target()), size_(elements.size()) {
  const dot::Kernels& kernels = kernels_of(target_);
  const std::size_t groups = (size_ + kGroup - 1) / kGroup;
  constexpr std::size_t kLineWords = sizeof(CacheLine) / sizeof(std::uint64_t);
  WITAN_CHECK(kernels.group_words % kLineWords == 0);
  arranged_ = Secret<std::vector<CacheLine>>(std::vector<CacheLine>(groups * kernels.group_words / kLineWords));
  if (groups == 0) return;
  std::uint64_t* const arranged = arranged_.reveal_mutable().front().words.data();
  Secret<std::array<Gr<Z128>, kGroup>> group;
  for (std::size_t g = 0; g < groups; ++g) {
    const auto part = elements.subspan(g * kGroup, std::min(kGroup, size_ - g * kGroup));
    std::ranges::copy(part, group.reveal_mutable().begin());
    std::fill(group.reveal_mutable().begin() + static_cast<std::ptrdiff_t>(part.size()), group.reveal_mutable().end(),
              Gr<Z128>{});
    kernels.arrange(group.reveal().front().c.data(), arranged + g * kernels.group_words);
  }
}

const std::uint64_t* DotVector::group_of(std::size_t i) const {
  return arranged_.reveal().front().words.data() + i / kGroup * kernels_of(target_).group_words;
}

Gr<Z128> DotVector::at(std::size_t i) const {
  WITAN_CHECK(i < size_);
  Gr<Z128> out;
  kernels_of(target_).element(group_of(i), i % kGroup, out.c.data());
  return out;
}

void DotVector::multiply(std::span<const std::span<const Z128>> right, std::size_t piece, std::size_t stride,
                         std::span<Gr<Z128>> out) const {
  WITAN_CHECK(right.size() == out.size());
  std::ranges::fill(out, Gr<Z128>{});
  if (size_ == 0) return;
  const dot::Kernels& kernels = kernels_of(target_);
  WITAN_CHECK(piece > 0 && size_ % piece == 0 && (piece == size_ || piece % kGroup == 0));
  const std::size_t pieces = size_ / piece;
  for (const auto& words : right) WITAN_CHECK(words.size() >= (pieces - 1) * stride + piece);
  Secret<std::vector<std::uint64_t>> sums{std::vector<std::uint64_t>(right.size() * dot::kSumWords)};
  for (std::size_t p = 0; p < pieces; ++p)
    for (std::size_t first = 0; first < piece; first += kElementsAtOnce) {
      const std::size_t count = std::min(kElementsAtOnce, piece - first);
      const std::uint64_t* const groups = group_of(p * piece + first);
      for (std::size_t r = 0; r < right.size(); ++r)
        kernels.multiply_add(groups, right[r].data() + p * stride + first, count,
                             sums.reveal_mutable().data() + r * dot::kSumWords);
    }
  for (std::size_t r = 0; r < right.size(); ++r)
    kernels.finish(sums.reveal().data() + r * dot::kSumWords, out[r].c.data());
}

void DotVector::multiply(std::span<const std::span<const Z128>> right, std::span<Gr<Z128>> out) const {
  for (const auto& words : right) WITAN_CHECK(words.size() == size_);
  multiply(right, size_, size_, out);
}

Gr<Z128> DotVector::multiply(std::span<const Z128> right) const {
  Gr<Z128> out;
  multiply(std::span(&right, 1), std::span(&out, 1));
  return out;
}

}  // namespace witan::algebra
