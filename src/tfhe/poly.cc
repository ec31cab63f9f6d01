#include "tfhe/poly.h"

#include <algorithm>
#include <bit>

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

/// accumulator += product mod X^N + 1.
template <Word W>
void add_folded(std::span<W> accumulator, const W* product) {
  const std::size_t n = accumulator.size();
  for (std::size_t j = 0; j < n; ++j) accumulator[j] += product[j] - product[n + j];
}

/// accumulator += a * b by Karatsuba.
template <Word W>
void add_karatsuba(std::span<W> accumulator, std::span<const W> a, std::span<const W> b) {
  const std::size_t n = a.size();
  Secret<std::vector<W>> buffer(std::vector<W>(6 * n));
  W* const out = buffer.reveal_mutable().data();
  karatsuba(out, a.data(), b.data(), n, out + 2 * n);
  add_folded(accumulator, out);
}

/// The transform for products of words by numbers of at most 2^factor_log2 in absolute value, sums of so many terms. Null if
/// there is none.
template <Word W>
const Ntt* transform_for(std::size_t n, int factor_log2, std::size_t terms) {
  if (!Ntt::supports(n) || terms == 0) return nullptr;
  const auto primes = Ntt::primes_for(kWordBits<W> - 1 + factor_log2 + static_cast<int>(std::bit_width(n * terms - 1)));
  return primes ? &Ntt::get(n, *primes) : nullptr;
}

}  // namespace

template <Word W>
SecretFactor<W>::SecretFactor(std::size_t polynomial_size, std::span<const W> words, int factor_log2)
    : polynomial_size_(polynomial_size) {
  const std::size_t n = polynomial_size, count = words.size() / n;
  WITAN_CHECK(count >= 1 && words.size() == count * n);
  ntt_ = transform_for<W>(n, factor_log2, count);
  if (ntt_ == nullptr) {
    words_ = Secret<std::vector<W>>(std::vector<W>(words.begin(), words.end()));
    return;
  }
  const std::size_t size = ntt_->transformed_size();
  transformed_ = Secret<Transformed>(Transformed(count * size));
  for (std::size_t p = 0; p < count; ++p) {
    const auto place = std::span(transformed_.reveal_mutable()).subspan(p * size, size);
    ntt_->forward<W>(words.subspan(p * n, n), place);
    ntt_->normalise(place);
  }
}

template <Word W>
SecretFactor<W> SecretFactor<W>::of_bits(std::size_t polynomial_size, std::span<const std::uint8_t> bits) {
  const Secret<std::vector<W>> words(std::vector<W>(bits.begin(), bits.end()));
  return SecretFactor(polynomial_size, words.reveal(), 0);
}

template <Word W>
SecretFactor<W> SecretFactor<W>::of_words(std::size_t polynomial_size, std::span<const W> words) {
  return SecretFactor(polynomial_size, words, kWordBits<W> - 1);
}

template <Word W>
PublicFactor<W> SecretFactor<W>::prepare(std::span<const W> a) const {
  const std::size_t n = polynomial_size_, count = a.size() / n;
  WITAN_CHECK(a.size() % n == 0);
  PublicFactor<W> out;
  if (ntt_ == nullptr) {
    out.words_.assign(a.begin(), a.end());
    return out;
  }
  const std::size_t size = ntt_->transformed_size();
  out.transformed_.resize(count * size);
  for (std::size_t p = 0; p < count; ++p)
    ntt_->forward<W>(a.subspan(p * n, n), std::span(out.transformed_).subspan(p * size, size));
  return out;
}

template <Word W>
void SecretFactor<W>::multiply_add(std::span<W> accumulator, const PublicFactor<W>& a) const {
  const std::size_t n = polynomial_size_;
  WITAN_CHECK(accumulator.size() <= n);
  if (ntt_ == nullptr) {
    const std::span<const W> words = words_.reveal(), left = a.words_;
    WITAN_CHECK(left.size() == words.size());
    Secret sum{std::vector<W>(n)};
    for (std::size_t p = 0; p < left.size(); p += n)
      add_karatsuba<W>(sum.reveal_mutable(), left.subspan(p, n), words.subspan(p, n));
    for (std::size_t j = 0; j < accumulator.size(); ++j) accumulator[j] += sum.reveal()[j];
    return;
  }
  const std::size_t size = ntt_->transformed_size();
  WITAN_CHECK(transformed_.reveal().size() == a.transformed_.size());
  Secret<Transformed> sum{Transformed(size)};
  ntt_->multiply_add(sum.reveal_mutable(), a.transformed_, transformed_.reveal(), size);
  ntt_->inverse_add<W>(accumulator, sum.reveal_mutable());
}

template <Word W>
void SecretFactor<W>::multiply_add(std::span<W> accumulator, std::span<const W> a) const {
  multiply_add(accumulator, prepare(a));
}

template <Word W>
void add_product(std::span<W> accumulator, std::span<const W> a, std::span<const W> b) {
  WITAN_CHECK(accumulator.size() == a.size() && b.size() == a.size());
  SecretFactor<W>::of_words(a.size(), b).multiply_add(accumulator, a);
}

template <Word W>
void add_binary_product(std::span<W> accumulator, std::span<const W> a, std::span<const std::uint8_t> secret_bits) {
  WITAN_CHECK(accumulator.size() == a.size() && secret_bits.size() == a.size());
  SecretFactor<W>::of_bits(a.size(), secret_bits).multiply_add(accumulator, a);
}

template <Word W>
void multiply_by_monomial(std::span<W> out, std::span<const W> p, std::size_t exponent) {
  const std::size_t n = p.size();
  WITAN_CHECK(out.size() == n && exponent < 2 * n);
  const std::size_t shift = exponent % n;
  const auto put = [](W* to, std::span<const W> from, bool negated) {
    for (std::size_t j = 0; j < from.size(); ++j) to[j] = negated ? W{0} - from[j] : from[j];
  };
  put(out.data() + shift, p.first(n - shift), exponent >= n);
  put(out.data(), p.last(shift), exponent < n);
}

template <Word W>
PolyMatrix<W>::PolyMatrix(std::size_t rows, std::size_t columns, std::size_t polynomial_size, int digit_log2,
                          std::size_t rows_at_once)
    : rows_(rows),
      columns_(columns),
      polynomial_size_(polynomial_size),
      rows_at_once_(rows_at_once),
      digit_log2_(digit_log2) {
  WITAN_CHECK(digit_log2 >= 0 && digit_log2 <= 62);
  ntt_ = transform_for<W>(polynomial_size, digit_log2, rows_at_once);
  if (ntt_ != nullptr)
    transformed_.resize(rows * columns * ntt_->transformed_size());
  else
    coefficients_.resize(rows * columns * polynomial_size);
}

template <Word W>
std::size_t PolyMatrix<W>::place_of(std::size_t row, std::size_t prime) const {
  return (row * static_cast<std::size_t>(ntt_->primes()) + prime) * columns_ * polynomial_size_;
}

template <Word W>
void PolyMatrix<W>::set_row(std::size_t row, std::span<const W> coefficients) {
  const std::size_t n = polynomial_size_;
  WITAN_CHECK(row < rows_ && coefficients.size() == columns_ * n);
  if (ntt_ == nullptr) {
    std::ranges::copy(coefficients, coefficients_.begin() + static_cast<std::ptrdiff_t>(row * columns_ * n));
    return;
  }
  Transformed polynomial(ntt_->transformed_size());
  for (std::size_t c = 0; c < columns_; ++c) {
    ntt_->forward<W>(coefficients.subspan(c * n, n), polynomial);
    ntt_->normalise(polynomial);
    for (std::size_t q = 0; q * n < polynomial.size(); ++q)
      std::ranges::copy(std::span(polynomial).subspan(q * n, n),
                        transformed_.begin() + static_cast<std::ptrdiff_t>(place_of(row, q) + c * n));
  }
}

template <Word W>
void PolyMatrix<W>::multiply_add_plain(const Product& product, std::size_t first_row) const {
  const std::size_t n = polynomial_size_;
  std::vector<W> words(n);
  for (std::size_t i = 0; i * n < product.digits.size(); ++i) {
    std::ranges::transform(product.digits.subspan(i * n, n), words.begin(),
                           [](i64 digit) { return static_cast<W>(digit); });
    if (std::ranges::all_of(words, [](W word) { return word == 0; })) continue;
    for (std::size_t c = 0; c < columns_; ++c)
      add_karatsuba<W>(product.accumulator.subspan(c * n, n), words,
                       std::span(coefficients_).subspan(((first_row + i) * columns_ + c) * n, n));
  }
}

template <Word W>
void PolyMatrix<W>::multiply_add(std::span<const Product> products, std::size_t first_row) const {
  if (products.empty()) return;
  const std::size_t n = polynomial_size_, used = products.front().digits.size() / n;
  WITAN_CHECK(used <= rows_at_once_ && first_row + used <= rows_);
  for (const Product& product : products)
    WITAN_CHECK(product.accumulator.size() == columns_ * n && product.digits.size() == used * n);
  if (ntt_ == nullptr) {
    for (const Product& product : products) multiply_add_plain(product, first_row);
    return;
  }
  const std::size_t size = ntt_->transformed_size(), primes = static_cast<std::size_t>(ntt_->primes());
  const bool wide = digit_log2_ > Ntt::kMaxDigitLog2;  // then as words, modulo all primes at once
  thread_local Transformed left, sums;                 // kept: blind rotations come here a thousand times each
  left.resize(wide ? products.size() * used * size : used * n);
  sums.assign(products.size() * columns_ * size, 0.0);
  if (wide) {
    std::vector<W> words(n);
    for (std::size_t i = 0; i < products.size() * used; ++i) {
      std::ranges::transform(products[i / used].digits.subspan(i % used * n, n), words.begin(),
                             [](i64 digit) { return static_cast<W>(digit); });
      ntt_->forward<W>(words, std::span(left).subspan(i * size, size));
    }
  }
  for (std::size_t q = 0; q < primes; ++q) {
    for (std::size_t number = 0; number < products.size(); ++number) {
      for (std::size_t i = 0; i < used && !wide; ++i) {
        const auto row = std::span(transformed_).subspan(place_of(first_row + i, q), columns_ * n);
        ntt_->forward_digits(q, products[number].digits.subspan(i * n, n), std::span(left).subspan(i * n, n),
                             number == 0 ? row : row.first(0));
      }
      ntt_->multiply_add(q, {.sum = sums.data() + number * columns_ * size + q * n,
                             .sum_stride = size,
                             .a = wide ? left.data() + number * used * size + q * n : left.data(),
                             .a_stride = wide ? size : n,
                             .b = transformed_.data() + place_of(first_row, q),
                             .row_stride = primes * columns_ * n,
                             .column_stride = n,
                             .n = n,
                             .terms = used,
                             .columns = columns_});
    }
  }
  for (std::size_t number = 0; number < products.size(); ++number)
    for (std::size_t c = 0; c < columns_; ++c)
      ntt_->inverse_add<W>(products[number].accumulator.subspan(c * n, n),
                           std::span(sums).subspan((number * columns_ + c) * size, size));
}

#define WITAN_INSTANTIATE(W)                                                                            \
  template void add_binary_product<W>(std::span<W>, std::span<const W>, std::span<const std::uint8_t>); \
  template void add_product<W>(std::span<W>, std::span<const W>, std::span<const W>);                   \
  template void multiply_by_monomial<W>(std::span<W>, std::span<const W>, std::size_t);                 \
  template class SecretFactor<W>;                                                                       \
  template class PolyMatrix<W>;
WITAN_INSTANTIATE(u64)
WITAN_INSTANTIATE(u128)
#undef WITAN_INSTANTIATE

}  // namespace witan::tfhe
