// Three multiplications of 64 bits per product. A group is four planes of eight words of 128 bits.
#include "algebra/dot_kernels.h"

namespace witan::algebra::dot {
namespace {

using u64 = std::uint64_t;
using u128 = unsigned __int128;

constexpr std::size_t kGroupWords = 2 * kCoefficients * kGroup;

const u128* plane(const u64* group, std::size_t j) {
  return reinterpret_cast<const u128*>(group) + j * kGroup;
}

void arrange(const u128* elements, u64* group) {
  auto* const out = reinterpret_cast<u128*>(group);
  for (std::size_t j = 0; j < kCoefficients; ++j)
    for (std::size_t i = 0; i < kGroup; ++i) out[j * kGroup + i] = elements[i * kCoefficients + j];
}

void element(const u64* group, std::size_t i, u128* coefficients) {
  for (std::size_t j = 0; j < kCoefficients; ++j) coefficients[j] = plane(group, j)[i];
}

void multiply_add(const u64* groups, const u128* words, std::size_t count, u64* sums) {
  auto* const out = reinterpret_cast<u128*>(sums);
  u128 sum[kCoefficients];
  for (std::size_t j = 0; j < kCoefficients; ++j) sum[j] = out[j];
  for (std::size_t first = 0; first < count; first += kGroup, groups += kGroupWords) {
    const std::size_t size = count - first < kGroup ? count - first : kGroup;
    for (std::size_t i = 0; i < size; ++i)
      for (std::size_t j = 0; j < kCoefficients; ++j) sum[j] += words[first + i] * plane(groups, j)[i];
  }
  for (std::size_t j = 0; j < kCoefficients; ++j) out[j] = sum[j];
}

void finish(const u64* sums, u128* coefficients) {
  for (std::size_t j = 0; j < kCoefficients; ++j) coefficients[j] = reinterpret_cast<const u128*>(sums)[j];
}

}  // namespace

const Kernels kScalar{
    .group_words = kGroupWords, .arrange = arrange, .element = element, .multiply_add = multiply_add, .finish = finish};

}  // namespace witan::algebra::dot
