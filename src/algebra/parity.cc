#include "algebra/parity.h"

#include <algorithm>
#include <mutex>
#include <unordered_map>

#include "base/check.h"

namespace witan::algebra {

template <Word Z>
Gr<Z> combine(std::span<const Gr<Z>> weights, Words<Z> words, std::size_t row) {
  ProductSum<Z> sum;
  for (std::size_t j = 0; j < weights.size(); ++j) sum.add(weights[j], words[j][row]);
  return sum.reduced();
}

template <Word Z>
ParityChecks<Z>::ParityChecks(std::size_t dimension, std::span<const Role> roles) {
  WITAN_CHECK(dimension >= 1 && dimension <= roles.size() && distinct(roles));
  const Interpolation<Z> base(roles.first(dimension));
  secret_ = base.lagrange_at(Gr<Z>{});
  for (const Role role : roles.subspan(dimension)) predictions_.push_back(base.lagrange_at(evaluation_point<Z>(role)));
}

template <Word Z>
std::size_t ParityChecks<Z>::first_bad_row(Words<Z> words, std::size_t row) const {
  const std::size_t rows = words.empty() ? 0 : words.front().size(), dimension = secret_.size();
  for (; row < rows; ++row)
    for (std::size_t i = 0; i < predictions_.size(); ++i)
      if (combine<Z>(predictions_[i], words, row) != words[dimension + i][row]) return row;
  return rows;
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
