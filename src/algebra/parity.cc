#include "algebra/parity.h"

#include <algorithm>
#include <array>
#include <mutex>
#include <unordered_map>
#include <utility>

#include "base/check.h"

namespace witan::algebra {

template <Word Z>
Gr<Z> combine(std::span<const Gr<Z>> weights, Words<Z> words, std::size_t row) {
  ProductSum<Z> sum;
  for (std::size_t j = 0; j < weights.size(); ++j) sum.add(weights[j], words[j][row]);
  return sum.reduced();
}

namespace {

// A committee of four, all of whom have sent: the weights of parties 1, 2, 3 (a polynomial of degree 2) are integers, or thirds, so small
// that sums take the place of products. f(alpha_4) = sum_i kFourth[i] f(alpha_i), and 3 f(0) = 3 f(alpha_3) + kThird (f(alpha_2) - f(alpha_1)).
using Small = std::array<int, 4>;  // coefficients of an element
constexpr std::array<Small, 3> kFourth = {{{-1, -1, 1, 0}, {1, 2, 0, -1}, {1, -1, -1, 1}}};
constexpr Small kThird = {1, 2, 2, 2};

bool is_whole_of_four(std::size_t dimension, std::span<const Role> roles) {
  return dimension == 3 && std::ranges::equal(roles, std::array{Role(1), Role(2), Role(3), Role(4)});
}

template <Small kFactor, Word Z>
[[gnu::always_inline]] inline void add_multiple(ProductSum<Z>& sum, const Gr<Z>& a) {
  [&]<std::size_t... kDegree>(std::index_sequence<kDegree...>) {
    const auto add = [&]<std::size_t kAt>() __attribute__((always_inline)) {
      if constexpr (kFactor[kAt] != 0)
        for (std::size_t j = 0; j < 4; ++j) sum.r[kAt + j] += static_cast<Z>(kFactor[kAt]) * a.c[j];
    };
    (add.template operator()<kDegree>(), ...);
  }(std::make_index_sequence<4>());
}

template <Word Z>
Gr<Z> fourth(Words<Z> words, std::size_t row) {
  ProductSum<Z> sum;
  add_multiple<kFourth[0]>(sum, words[0][row]);
  add_multiple<kFourth[1]>(sum, words[1][row]);
  add_multiple<kFourth[2]>(sum, words[2][row]);
  return sum.reduced();
}

template <Word Z>
Gr<Z> secret_of_four(Words<Z> words, std::size_t row) {
  constexpr Z kInverseOf3 = Z(-1) / 3 * 2 + 1;
  static_assert(static_cast<Z>(3 * kInverseOf3) == 1);
  ProductSum<Z> sum;
  add_multiple<kThird>(sum, words[1][row] - words[0][row]);
  return words[2][row] + sum.reduced() * kInverseOf3;
}

}  // namespace

template <Word Z>
ParityChecks<Z>::ParityChecks(std::size_t dimension, std::span<const Role> roles)
    : whole_of_four_(is_whole_of_four(dimension, roles)) {
  WITAN_CHECK(dimension >= 1 && dimension <= roles.size() && distinct(roles));
  const Interpolation<Z> base(roles.first(dimension));
  secret_ = base.lagrange_at(Gr<Z>{});
  for (const Role role : roles.subspan(dimension)) predictions_.push_back(base.lagrange_at(evaluation_point<Z>(role)));
}

template <Word Z>
std::size_t ParityChecks<Z>::first_bad_row(Words<Z> words, std::size_t row) const {
  const std::size_t rows = words.empty() ? 0 : words.front().size(), dimension = secret_.size();
  if (whole_of_four_) {
    while (row < rows && fourth(words, row) == words[3][row]) ++row;
    return row;
  }
  for (; row < rows; ++row)
    for (std::size_t i = 0; i < predictions_.size(); ++i)
      if (combine<Z>(predictions_[i], words, row) != words[dimension + i][row]) return row;
  return rows;
}

template <Word Z>
Gr<Z> ParityChecks<Z>::secret(Words<Z> words, std::size_t row) const {
  return whole_of_four_ ? secret_of_four(words, row) : combine<Z>(secret_, words, row);
}

namespace {

/// Least recently used goes first.
template <Word Z>
class ParityCache {
 public:
  std::shared_ptr<const ParityChecks<Z>> get(std::size_t dimension, std::span<const Role> roles) {
    // Four bits for the dimension and for each of at most 15 roles, which are never 0: one key per ordered set.
    std::uint64_t key = dimension;
    for (const Role role : roles) key = key << 4 | static_cast<std::uint64_t>(role.number());
    {
      const std::scoped_lock lock(mutex_);
      if (const auto it = entries_.find(key); it != entries_.end()) {
        it->second.used = ++clock_;
        return it->second.checks;
      }
    }
    auto checks = std::make_shared<const ParityChecks<Z>>(dimension, roles);
    const std::scoped_lock lock(mutex_);
    if (entries_.size() >= kParityCacheSize)
      entries_.erase(std::ranges::min_element(entries_, {}, [](const auto& entry) { return entry.second.used; }));
    entries_.insert_or_assign(key, Entry{checks, ++clock_});
    return checks;
  }

 private:
  struct Entry {
    std::shared_ptr<const ParityChecks<Z>> checks;
    std::uint64_t used = 0;
  };
  std::mutex mutex_;
  std::unordered_map<std::uint64_t, Entry> entries_;
  std::uint64_t clock_ = 0;
};

}  // namespace

template <Word Z>
std::shared_ptr<const ParityChecks<Z>> parity_checks(std::size_t dimension, std::span<const Role> roles) {
  static ParityCache<Z> cache;
  WITAN_CHECK(dimension <= 15 && roles.size() <= 15);
  return cache.get(dimension, roles);
}

// NOLINTBEGIN(bugprone-macro-parentheses): types take no parentheses
#define WITAN_INSTANTIATE(Z)                                             \
  template Gr<Z> combine(std::span<const Gr<Z>>, Words<Z>, std::size_t); \
  template class ParityChecks<Z>;                                        \
  template std::shared_ptr<const ParityChecks<Z>> parity_checks(std::size_t, std::span<const Role>);
WITAN_INSTANTIATE(Z64)
WITAN_INSTANTIATE(Z128)
#undef WITAN_INSTANTIATE
// NOLINTEND(bugprone-macro-parentheses)

}  // namespace witan::algebra
