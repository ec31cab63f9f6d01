// Three multiplications of 64 bits per product. A group is four planes of eight words of 128 bits.
#include <cstring>

#include "algebra/dot_kernels.h"

namespace witan::algebra::dot {
namespace {

using u64 = std::uint64_t;
using u128 = unsigned __int128;

constexpr std::size_t kGroupWords = 2 * kCoefficients * kGroup;

u128 load(const u64* from) {
  u128 out;
  std::memcpy(&out, from, sizeof out);
  return out;
}
void store(u128 value, u64* to) {
  std::memcpy(to, &value, sizeof value);
}

/// Word i of plane j.
constexpr std::size_t place(std::size_t j, std::size_t i) {
  return 2 * (j * kGroup + i);
}

void arrange(const u128* elements, u64* group) {
  for (std::size_t j = 0; j < kCoefficients; ++j)
    for (std::size_t i = 0; i < kGroup; ++i) store(elements[i * kCoefficients + j], group + place(j, i));
}

void element(const u64* group, std::size_t i, u128* coefficients) {
  for (std::size_t j = 0; j < kCoefficients; ++j) coefficients[j] = load(group + place(j, i));
}

void multiply_add(const u64* groups, const u128* words, std::size_t count, u64* sums) {
  u128 sum[kCoefficients];
  for (std::size_t j = 0; j < kCoefficients; ++j) sum[j] = load(sums + 2 * j);
  for (std::size_t first = 0; first < count; first += kGroup, groups += kGroupWords) {
    const std::size_t size = count - first < kGroup ? count - first : kGroup;
    for (std::size_t i = 0; i < size; ++i)
      for (std::size_t j = 0; j < kCoefficients; ++j) sum[j] += words[first + i] * load(groups + place(j, i));
  }
  for (std::size_t j = 0; j < kCoefficients; ++j) store(sum[j], sums + 2 * j);
}

void finish(const u64* sums, u128* coefficients) {
  for (std::size_t j = 0; j < kCoefficients; ++j) coefficients[j] = load(sums + 2 * j);
}

}  // namespace

const Kernels kScalar{
    .group_words = kGroupWords, .arrange = arrange, .element = element, .multiply_add = multiply_add, .finish = finish};

}  // namespace witan::algebra::dot
