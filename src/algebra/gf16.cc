#include "algebra/gf16.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace witan::algebra {
namespace {

void trim(Gf16Poly& p) {
  while (!p.empty() && p.back() == 0) p.pop_back();
}

Gf16Poly multiply(const Gf16Poly& a, const Gf16Poly& b) {
  if (a.empty() || b.empty()) return {};
  Gf16Poly out(a.size() + b.size() - 1);
  for (std::size_t i = 0; i < a.size(); ++i)
    for (std::size_t j = 0; j < b.size(); ++j) out[i + j] ^= gf16_mul(a[i], b[j]);
  trim(out);
  return out;
}

Gf16Poly add(Gf16Poly a, const Gf16Poly& b) {
  a.resize(std::max(a.size(), b.size()));
  for (std::size_t i = 0; i < b.size(); ++i) a[i] ^= b[i];
  trim(a);
  return a;
}

/// quotient and remainder; b is not zero.
std::pair<Gf16Poly, Gf16Poly> divide(Gf16Poly a, const Gf16Poly& b) {
  Gf16Poly quotient(a.size() < b.size() ? 0 : a.size() - b.size() + 1);
  const Gf16 lead = gf16_inverse(b.back());
  for (std::size_t at = quotient.size(); at-- > 0;) {
    const Gf16 factor = gf16_mul(a[at + b.size() - 1], lead);
    quotient[at] = factor;
    for (std::size_t i = 0; i < b.size(); ++i) a[at + i] ^= gf16_mul(factor, b[i]);
  }
  trim(a);
  trim(quotient);
  return {std::move(quotient), std::move(a)};
}

/// The polynomial of degree < n through n points (Newton's form, expanded).
Gf16Poly interpolate(std::span<const Gf16> points, std::span<const Gf16> values) {
  Gf16Poly result, basis{1};
  for (std::size_t i = 0; i < points.size(); ++i) {
    const auto difference = static_cast<Gf16>(values[i] ^ gf16_evaluate(result, points[i]));
    const Gf16 factor = gf16_mul(difference, gf16_inverse(gf16_evaluate(basis, points[i])));
    result = add(result, multiply(basis, {factor}));
    basis = multiply(basis, {points[i], 1});
  }
  return result;
}

}  // namespace

Gf16 gf16_evaluate(const Gf16Poly& polynomial, Gf16 point) {
  Gf16 out = 0;
  for (std::size_t i = polynomial.size(); i-- > 0;) out = static_cast<Gf16>(gf16_mul(out, point) ^ polynomial[i]);
  return out;
}

Gf16Decoded gf16_decode(std::span<const Gf16> points, std::span<const Gf16> values, std::size_t dimension,
                        std::size_t max_errors) {
  const std::size_t m = points.size();
  WITAN_CHECK(values.size() == m && dimension >= 1 && dimension <= m && 2 * max_errors < m - dimension + 1);
  Gf16Poly previous{1};
  for (const Gf16 point : points) previous = multiply(previous, {point, 1});
  Gf16Poly current = interpolate(points, values);
  Gf16Poly previous_cofactor, cofactor{1};
  // Extended Euclid until deg(current) < (m + dimension) / 2; size() = degree + 1.
  while (!current.empty() && 2 * (current.size() - 1) >= m + dimension) {
    auto [quotient, remainder] = divide(previous, current);
    Gf16Poly next = add(previous_cofactor, multiply(quotient, cofactor));
    previous = std::exchange(current, std::move(remainder));
    previous_cofactor = std::exchange(cofactor, std::move(next));
  }
  if (cofactor.size() - 1 > max_errors) return {};
  auto [quotient, remainder] = divide(current, cofactor);
  if (!remainder.empty() || quotient.size() > dimension) return {};
  return {true, std::move(quotient)};
}

}  // namespace witan::algebra
