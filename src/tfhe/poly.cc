#include "tfhe/poly.h"

#include <algorithm>

#include "base/check.h"
#include "base/secret.h"

namespace witan::tfhe {
namespace {

constexpr std::size_t kSchoolbookSize = 32;

/// out[0 .. 2n) = a * b over Z, n coefficients each; out[2n-1] = 0.
template <Word W>
void schoolbook(W* out, const W* a, const W* b, std::size_t n) {
  std::fill_n(out, 2 * n, W{0});
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t j = 0; j < n; ++j) out[i + j] += a[i] * b[j];
}

/// The same by Karatsuba: (a0 + a1)(b0 + b1) - a0 b0 - a1 b1 is the middle. Exact modulo 2^w, as all of Z/2^w is.
/// scratch holds 4n words.
template <Word W>
void karatsuba(W* out, const W* a, const W* b, std::size_t n, W* scratch) {
  if (n <= kSchoolbookSize) return schoolbook(out, a, b, n);
  const std::size_t h = n / 2;
  karatsuba(out, a, b, h, scratch);
  karatsuba(out + n, a + h, b + h, h, scratch);
  W *sum_a = scratch, *sum_b = scratch + h, *middle = scratch + n;
  for (std::size_t i = 0; i < h; ++i) {
    sum_a[i] = a[i] + a[i + h];
    sum_b[i] = b[i] + b[i + h];
  }
  karatsuba(middle, sum_a, sum_b, h, scratch + 2 * n);
  for (std::size_t i = 0; i < n; ++i) middle[i] -= out[i] + out[n + i];
  for (std::size_t i = 0; i < n; ++i) out[h + i] += middle[i];
}

/// Word multiplications of one Karatsuba product: where products with few non-zero digits are cheaper.
std::size_t karatsuba_cost(std::size_t n) {
  return n <= kSchoolbookSize ? n * n : 3 * karatsuba_cost(n / 2);
}

/// accumulator += product mod X^N + 1.
template <Word W>
void add_folded(std::span<W> accumulator, const W* product) {
  const std::size_t n = accumulator.size();
  for (std::size_t j = 0; j < n; ++j) accumulator[j] += product[j] - product[n + j];
}

/// accumulator += digit * X^shift * p.
template <Word W>
void add_shifted(std::span<W> accumulator, std::span<const W> p, W digit, std::size_t shift) {
  const std::size_t n = p.size();
  for (std::size_t j = 0; j < n - shift; ++j) accumulator[j + shift] += digit * p[j];
  for (std::size_t j = n - shift; j < n; ++j) accumulator[j + shift - n] -= digit * p[j];
}

}  // namespace

template <Word W>
void add_product(std::span<W> accumulator, std::span<const W> a, std::span<const W> b) {
  const std::size_t n = a.size();
  WITAN_CHECK(accumulator.size() == n && b.size() == n);
  std::vector<W> buffer(6 * n);
  karatsuba(buffer.data(), a.data(), b.data(), n, buffer.data() + 2 * n);
  add_folded(accumulator, buffer.data());
  wipe(buffer.data(), buffer.size() * sizeof(W));
}

// Masked additions, one per key bit, would be as constant in time but are up to three times slower for N = 2048.
template <Word W>
void add_binary_product(std::span<W> accumulator, std::span<const W> a, std::span<const std::uint8_t> secret_bits) {
  const Secret<std::vector<W>> words(std::vector<W>(secret_bits.begin(), secret_bits.end()));
  add_product<W>(accumulator, a, words.reveal());
}

template <Word W>
void multiply_by_monomial(std::span<W> out, std::span<const W> p, std::size_t exponent) {
  const std::size_t n = p.size();
  WITAN_CHECK(out.size() == n && exponent < 2 * n);
  for (std::size_t j = 0; j < n; ++j) {
    const std::size_t at = (j + exponent) % (2 * n);
    if (at < n)
      out[at] = p[j];
    else
      out[at - n] = W{0} - p[j];
  }
}

template <Word W>
PolyMatrix<W>::PolyMatrix(std::size_t rows, std::size_t columns, std::size_t polynomial_size)
    : rows_(rows),
      columns_(columns),
      polynomial_size_(polynomial_size),
      coefficients_(rows * columns * polynomial_size) {}

template <Word W>
void PolyMatrix<W>::set_row(std::size_t row, std::span<const W> coefficients) {
  const std::size_t size = columns_ * polynomial_size_;
  WITAN_CHECK(row < rows_ && coefficients.size() == size);
  std::ranges::copy(coefficients, coefficients_.begin() + static_cast<std::ptrdiff_t>(row * size));
}

template <Word W>
void PolyMatrix<W>::multiply_add(std::span<W> accumulator, std::span<const i64> digits, std::size_t first_row) const {
  const std::size_t n = polynomial_size_;
  const std::size_t used = digits.size() / n;
  WITAN_CHECK(accumulator.size() == columns_ * n && digits.size() == used * n && first_row + used <= rows_);
  std::vector<W> buffer(7 * n);
  const std::span<W> words = std::span(buffer).first(n);
  for (std::size_t i = 0; i < used; ++i) {
    const auto polynomial = digits.subspan(i * n, n);
    const auto nonzero = static_cast<std::size_t>(n) - static_cast<std::size_t>(std::ranges::count(polynomial, i64{0}));
    if (nonzero == 0) continue;
    const bool sparse = nonzero * n <= karatsuba_cost(n);
    std::ranges::transform(polynomial, words.begin(), [](i64 digit) { return static_cast<W>(digit); });
    for (std::size_t c = 0; c < columns_; ++c) {
      const std::span<W> target = accumulator.subspan(c * n, n);
      const std::span<const W> entry = std::span(coefficients_).subspan(((first_row + i) * columns_ + c) * n, n);
      if (!sparse) {
        karatsuba<W>(buffer.data() + n, words.data(), entry.data(), n, buffer.data() + 3 * n);
        add_folded<W>(target, buffer.data() + n);
        continue;
      }
      for (std::size_t j = 0; j < n; ++j)
        if (words[j] != 0) add_shifted<W>(target, entry, words[j], j);
    }
  }
}

#define WITAN_INSTANTIATE(W)                                                                            \
  template void add_binary_product<W>(std::span<W>, std::span<const W>, std::span<const std::uint8_t>); \
  template void add_product<W>(std::span<W>, std::span<const W>, std::span<const W>);                   \
  template void multiply_by_monomial<W>(std::span<W>, std::span<const W>, std::size_t);                 \
  template class PolyMatrix<W>;
WITAN_INSTANTIATE(u64)
WITAN_INSTANTIATE(u128)
#undef WITAN_INSTANTIATE

}  // namespace witan::tfhe
