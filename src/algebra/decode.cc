#include "algebra/decode.h"

#include <algorithm>
#include <utility>

#include "algebra/parity.h"
#include "base/check.h"

namespace witan::algebra {
namespace {

std::size_t degree_of(CommitteeSize committee) {
  return static_cast<std::size_t>(committee.threshold());
}

/// Who misses the polynomial of a row on which `needed` of the active parties must agree after t - `erased` further errors at
/// most. Empty: there is no such polynomial (yet).
template <Word Z>
std::vector<Role> liars_of_row(CommitteeSize committee, std::span<const Role> active, Words<Z> words, std::size_t row,
                               std::size_t needed, std::size_t erased) {
  std::vector<Gr<Z>> word;
  for (const auto& shares : words) word.push_back(shares[row]);
  const std::size_t distance = active.size() - degree_of(committee);  // of the code that is left (mpc.md 4.1, 4.4)
  const std::size_t radius = std::min({active.size() - needed, degree_of(committee) - erased, (distance - 1) / 2});
  auto decoded = decode_reference<Z>(committee, active, word, radius);
  return decoded ? std::move(decoded->wrong) : std::vector<Role>{};
}

}  // namespace

template <Word Z>
std::optional<Decoded<Z>> decode_reference(CommitteeSize committee, std::span<const Role> roles,
                                           std::span<const Gr<Z>> word, std::size_t max_errors) {
  const std::size_t dimension = degree_of(committee) + 1;
  WITAN_CHECK(roles.size() == word.size() && roles.size() >= dimension && distinct(roles));
  WITAN_CHECK(2 * max_errors < roles.size() - dimension + 1);
  std::vector<Gr<Z>> rest(word.begin(), word.end());  // what the planes so far leave, all multiples of 2^plane
  std::vector<bool> valid(roles.size(), true);
  std::size_t invalid = 0;
  Decoded<Z> out;
  out.polynomial.resize(dimension);

  for (int plane = 0; plane < kBits<Z>; ++plane) {
    std::vector<Gf16> points, values;
    for (std::size_t i = 0; i < roles.size(); ++i) {
      if (!valid[i]) continue;
      points.push_back(static_cast<Gf16>(roles[i].number()));
      values.push_back(residue(rest[i], plane));
    }
    const Gf16Decoded decoded = gf16_decode(points, values, dimension, max_errors - invalid);
    if (!decoded.found) return std::nullopt;

    std::vector<Gr<Z>> lifted(dimension);  // coefficients 0 or 1, at bit `plane`
    for (std::size_t j = 0; j < decoded.polynomial.size(); ++j)
      for (unsigned c = 0; c < 4; ++c) lifted[j].c[c] = static_cast<Z>(decoded.polynomial[j] >> c & 1u) << plane;
    for (std::size_t j = 0; j < dimension; ++j) out.polynomial[j] += lifted[j];
    for (std::size_t i = 0; i < roles.size(); ++i) {
      if (!valid[i]) continue;
      rest[i] -= evaluate<Z>(lifted, evaluation_point<Z>(roles[i]));
      const Z low_bits = static_cast<Z>(~Z{0}) >> (kBits<Z> - 1 - plane);  // bits 0..plane
      if (((rest[i].c[0] | rest[i].c[1] | rest[i].c[2] | rest[i].c[3]) & low_bits) != 0) {
        valid[i] = false;
        if (++invalid > max_errors) return std::nullopt;
      }
    }
  }
  for (std::size_t i = 0; i < roles.size(); ++i)
    if (!valid[i]) out.wrong.push_back(roles[i]);
  return out;
}

template <Word Z>
std::optional<BatchOpening<Z>> open_batch(CommitteeSize committee, std::span<const Role> roles,
                                          std::span<const std::span<const Gr<Z>>> words) {
  return open_batch_with<Z>(committee, roles, words, 2 * degree_of(committee) + 1);
}

template <Word Z>
std::optional<BatchOpening<Z>> open_batch_with(CommitteeSize committee, std::span<const Role> roles,
                                               std::span<const std::span<const Gr<Z>>> words, std::size_t needed) {
  WITAN_CHECK(roles.size() == words.size() && needed > degree_of(committee));
  const std::size_t rows = words.empty() ? 0 : words[0].size();
  for (const auto& word : words) WITAN_CHECK(word.size() == rows);

  // By role, whatever the order of arrival: the checks of one set of parties are then computed once.
  std::vector<std::pair<Role, std::span<const Gr<Z>>>> sorted;
  sorted.reserve(roles.size());
  for (std::size_t i = 0; i < roles.size(); ++i) sorted.emplace_back(roles[i], words[i]);
  std::ranges::sort(sorted, {}, [](const auto& entry) { return entry.first; });
  std::vector<Role> active;
  std::vector<std::span<const Gr<Z>>> active_words;
  for (const auto& [role, word] : sorted) {
    active.push_back(role);
    active_words.push_back(word);
  }

  BatchOpening<Z> out;
  std::size_t row = 0;
  // Each turn checks rows with the parties left; the first bad row names liars, who are erased for all rows.
  while (active.size() >= needed) {
    const auto checks = parity_checks<Z>(degree_of(committee) + 1, active);
    row = checks->first_bad_row(active_words, row);
    if (row == rows) {
      out.values.reserve(rows);
      for (std::size_t i = 0; i < rows; ++i) out.values.push_back(checks->secret(active_words, i));
      out.agreed = active;
      return out;
    }
    const auto liars = liars_of_row<Z>(committee, active, active_words, row, needed, out.wrong.size());
    if (liars.empty()) return std::nullopt;
    for (const Role liar : liars) {
      const auto at = std::ranges::find(active, liar) - active.begin();
      active.erase(active.begin() + at);
      active_words.erase(active_words.begin() + at);
      out.wrong.push_back(liar);
    }
  }
  return std::nullopt;
}

template <Word Z>
Predictor<Z>::Predictor(CommitteeSize committee, std::span<const Role> agreed) {
  const std::size_t size = degree_of(committee) + 1;
  WITAN_CHECK(agreed.size() >= size);
  base_.assign(agreed.begin(), agreed.begin() + static_cast<std::ptrdiff_t>(size));
}

template <Word Z>
bool Predictor<Z>::matches(Role role, std::span<const Gr<Z>> word,
                           std::span<const std::span<const Gr<Z>>> base_words) const {
  WITAN_CHECK(base_words.size() == base_.size());
  const auto weights = lagrange_at<Z>(base_, evaluation_point<Z>(role));
  for (std::size_t row = 0; row < word.size(); ++row)
    if (combine<Z>(weights, base_words, row) != word[row]) return false;
  return true;
}

template <Word Z>
std::optional<Gr<Z>> consistent_at_2t(CommitteeSize committee, std::span<const Role> roles,
                                      std::span<const Gr<Z>> word) {
  const std::size_t base = 2 * degree_of(committee) + 1;
  WITAN_CHECK(roles.size() == word.size() && roles.size() > base);
  std::vector<std::span<const Gr<Z>>> words;
  for (const auto& share : word) words.push_back(std::span(&share, 1));
  const auto checks = parity_checks<Z>(base, roles);
  if (checks->first_bad_row(words, 0) != 1) return std::nullopt;
  return checks->secret(words, 0);
}

// NOLINTBEGIN(bugprone-macro-parentheses): types take no parentheses
#define WITAN_INSTANTIATE(Z)                                                                                        \
  template std::optional<Decoded<Z>> decode_reference(CommitteeSize, std::span<const Role>, std::span<const Gr<Z>>, \
                                                      std::size_t);                                                 \
  template std::optional<BatchOpening<Z>> open_batch(CommitteeSize, std::span<const Role>,                          \
                                                     std::span<const std::span<const Gr<Z>>>);                      \
  template std::optional<BatchOpening<Z>> open_batch_with(CommitteeSize, std::span<const Role>,                     \
                                                          std::span<const std::span<const Gr<Z>>>, std::size_t);    \
  template class Predictor<Z>;                                                                                      \
  template std::optional<Gr<Z>> consistent_at_2t(CommitteeSize, std::span<const Role>, std::span<const Gr<Z>>);
WITAN_INSTANTIATE(Z64)
WITAN_INSTANTIATE(Z128)
#undef WITAN_INSTANTIATE
// NOLINTEND(bugprone-macro-parentheses)

}  // namespace witan::algebra
