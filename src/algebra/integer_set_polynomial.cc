#include "algebra/integer_set_polynomial.h"

#include <limits>

#include "base/check.h"

namespace witan::algebra {
namespace {

using Int = std::int64_t;
using Matrix = std::array<std::array<Int, 4>, 4>;

/// Determinant of the matrix without row 0 and the given column.
Int minor_of_row_0(const Matrix& m, std::size_t column) {
  std::array<std::size_t, 3> k{};
  for (std::size_t i = 0, at = 0; i < 4; ++i)
    if (i != column) k[at++] = i;
  const auto det2 = [&](std::size_t a, std::size_t b) { return m[2][a] * m[3][b] - m[2][b] * m[3][a]; };
  return m[1][k[0]] * det2(k[1], k[2]) - m[1][k[1]] * det2(k[0], k[2]) + m[1][k[2]] * det2(k[0], k[1]);
}

/// Integers stand in Gr<Z64> as two's complement: sums and products are exact as long as they fit.
Gr<Z64> from_integers(const std::array<Int, 4>& c) {
  Gr<Z64> out;
  for (std::size_t i = 0; i < 4; ++i) out.c[i] = static_cast<Z64>(c[i]);
  return out;
}

}  // namespace

IntegerInverse integer_inverse_of_minus_point(Role role) {
  // Column j of M is -alpha X^j, so M x = e_0 solves -alpha x = 1: x = adj / det by Cramer's rule.
  Matrix m{};
  Gr<Z64> column = -evaluation_point<Z64>(role);
  for (std::size_t j = 0; j < 4; ++j, column = column.times_x())
    for (std::size_t i = 0; i < 4; ++i) m[i][j] = static_cast<Int>(column.c[i]);
  IntegerInverse out{.norm = 0};
  for (std::size_t j = 0; j < 4; ++j) {
    out.adjugate[j] = (j % 2 == 0 ? 1 : -1) * minor_of_row_0(m, j);
    out.norm += m[0][j] * out.adjugate[j];
  }
  return out;
}

std::array<std::int16_t, 4> small_coefficients(const Gr<Z64>& value) {
  std::array<std::int16_t, 4> out;
  for (std::size_t i = 0; i < 4; ++i) {
    const auto integer = static_cast<Int>(value.c[i]);
    WITAN_CHECK(integer >= std::numeric_limits<std::int16_t>::min() &&
                integer <= std::numeric_limits<std::int16_t>::max());
    out[i] = static_cast<std::int16_t>(integer);
  }
  return out;
}

IntegerSetValue integer_set_value(std::span<const Role> outside, Role at) {
  Gr<Z64> product = Gr<Z64>::one();
  for (const Role j : outside)
    product = product * (evaluation_point<Z64>(at) - evaluation_point<Z64>(j)) *
              from_integers(integer_inverse_of_minus_point(j).adjugate);
  return {small_coefficients(product)};
}

std::int64_t integer_set_value_at_0(std::span<const Role> outside) {
  Int out = 1;
  for (const Role j : outside) out *= integer_inverse_of_minus_point(j).norm;
  return out;
}

}  // namespace witan::algebra
