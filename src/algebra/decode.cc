#include "algebra/decode.h"

#include <algorithm>

#include "base/check.h"

namespace witan::algebra {
namespace {

/// sum weights[j] * words[j][row]
template <Word Z>
Gr<Z> combine(std::span<const Gr<Z>> weights, std::span<const std::span<const Gr<Z>>> words, std::size_t row) {
  Gr<Z> out;
  for (std::size_t j = 0; j < weights.size(); ++j) out += weights[j] * words[j][row];
  return out;
}

/// Parity checks of one ordered set: the first t + 1 shares predict the others (mpc.md 3). Weights are computed once for
/// all rows of a batch.
template <Word Z>
class ParityChecks {
 public:
  ParityChecks(std::size_t base_size, std::span<const Role> roles) : base_size_(base_size) {
    const auto base = roles.first(base_size);
    secret_ = lagrange_at<Z>(base, Gr<Z>{});
    for (const Role role : roles.subspan(base_size))
      predictions_.push_back(lagrange_at<Z>(base, evaluation_point<Z>(role)));
  }

  bool holds(std::span<const std::span<const Gr<Z>>> words, std::size_t row) const {
    for (std::size_t i = 0; i < predictions_.size(); ++i)
      if (combine<Z>(predictions_[i], words.first(base_size_), row) != words[base_size_ + i][row]) return false;
    return true;
  }
  Gr<Z> secret(std::span<const std::span<const Gr<Z>>> words, std::size_t row) const {
    return combine<Z>(secret_, words.first(base_size_), row);
  }

 private:
  std::size_t base_size_;
  std::vector<Gr<Z>> secret_;
  std::vector<std::vector<Gr<Z>>> predictions_;
};

std::size_t degree_of(CommitteeSize committee) {
  return static_cast<std::size_t>(committee.threshold());
}

}  // namespace

template <Word Z>
std::optional<Decoded<Z>> decode_reference(CommitteeSize committee, std::span<const Role> roles,
                                           std::span<const Gr<Z>> word, std::size_t max_errors) {
  const std::size_t dimension = degree_of(committee) + 1;
  WITAN_CHECK(roles.size() == word.size() && 2 * max_errors < roles.size() - dimension + 1);
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
  WITAN_CHECK(roles.size() == words.size());
  const std::size_t rows = words.empty() ? 0 : words[0].size();
  for (const auto& word : words) WITAN_CHECK(word.size() == rows);

  BatchOpening<Z> out;
  std::vector<Role> active(roles.begin(), roles.end());
  std::vector<std::span<const Gr<Z>>> active_words(words.begin(), words.end());
  std::size_t row = 0;
  // Each turn checks rows with the parties left; the first bad row names liars, who are erased for all rows.
  while (active.size() >= needed) {
    const ParityChecks<Z> checks(degree_of(committee) + 1, active);
    while (row < rows && checks.holds(active_words, row)) ++row;
    if (row == rows) {
      out.values.reserve(rows);
      for (std::size_t i = 0; i < rows; ++i) out.values.push_back(checks.secret(active_words, i));
      out.agreed = active;
      return out;
    }
    std::vector<Gr<Z>> word;
    for (const auto& shares : active_words) word.push_back(shares[row]);
    // As long as 2t + 1 shares agree with it there is one such polynomial (mpc.md 4.1, 4.4).
    const std::size_t distance = active.size() - degree_of(committee);  // of the code that is left
    const std::size_t radius =
        std::min({active.size() - needed, degree_of(committee) - out.wrong.size(), (distance - 1) / 2});
    const auto decoded = decode_reference<Z>(committee, active, word, radius);
    if (!decoded || decoded->wrong.empty()) return std::nullopt;
    for (const Role liar : decoded->wrong) {
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
  const ParityChecks<Z> checks(base, roles);
  if (!checks.holds(words, 0)) return std::nullopt;
  return checks.secret(words, 0);
}

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

}  // namespace witan::algebra
