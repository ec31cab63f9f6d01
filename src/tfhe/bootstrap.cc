#include "tfhe/bootstrap.h"

#include <bit>

#include "base/check.h"
#include "tfhe/expand.h"

namespace witan::tfhe {

Lwe<u64> keyswitch(const Ksk& key, const Lwe<u64>& lwe) {
  WITAN_CHECK(lwe.dimension() == key.input_dimension());
  Lwe<u64> out(key.output_dimension);
  out.body() = lwe.body();
  keyswitch_part(key, 0, std::span(&lwe, 1), std::span(&out, 1));
  return out;
}

void keyswitch_part(const Ksk& part, std::size_t first, std::span<const Lwe<u64>> lwes, std::span<Lwe<u64>> out) {
  WITAN_CHECK(lwes.size() == out.size());
  const Decomposer<u64> decomposer(part.decomposition);
  std::vector<i64> digits(decomposer.level_count());
  const std::size_t row_size = part.output_dimension + 1, words = part.input_dimension();
  for (std::size_t i = 0; i < lwes.size(); ++i)
    WITAN_CHECK(first + words <= lwes[i].dimension() && out[i].data.size() == row_size);
  const u64* rows = part.data.data();
  for (std::size_t word = 0; word < words; ++word, rows += digits.size() * row_size) {
    for (std::size_t i = 0; i < lwes.size(); ++i) {
      decomposer.decompose(lwes[i].data[first + word], digits);
      u64* const sum = out[i].data.data();
      const u64* row = rows;
      for (const i64 digit : digits) {
        for (std::size_t j = 0; j < row_size; ++j) sum[j] -= static_cast<u64>(digit) * row[j];
        row += row_size;
      }
    }
  }
}

namespace {

/// One GGSW at a time: k+1 rows per level.
template <Word W>
PolyMatrix<W> matrix_of(std::size_t rows, std::size_t glwe_dimension, std::size_t polynomial_size, Decomposition d) {
  return {rows, glwe_dimension + 1, polynomial_size, static_cast<int>(d.base_log) - 1,
          d.level_count * (glwe_dimension + 1)};
}

}  // namespace

template <Word W>
BlindRotationKey<W>::BlindRotationKey(const SeededBsk<W>& seeded, Rows which)
    : matrix_(matrix_of<W>(seeded.data.size() / seeded.polynomial_size, seeded.glwe_dimension, seeded.polynomial_size,
                           seeded.decomposition)),
      decomposition_(seeded.decomposition),
      input_dimension_(seeded.input_dimension()),
      glwe_dimension_(seeded.glwe_dimension) {
  if (which == Rows::expanded) expand_rows(seeded, 0, rows());
}

template <Word W>
void BlindRotationKey<W>::expand_rows(const SeededBsk<W>& seeded, std::size_t first_row, std::size_t count) {
  WITAN_CHECK(seeded.data.size() == rows() * polynomial_size());
  expand_rows(seeded, first_row, count, first_row);
}

template <Word W>
void BlindRotationKey<W>::expand_rows(const SeededBsk<W>& seeded, std::size_t first_row, std::size_t count,
                                      std::size_t first_place) {
  const MaskReader mask(seeded.origin);
  const std::size_t n = seeded.polynomial_size;
  std::vector<W> row((glwe_dimension_ + 1) * n);
  for (std::size_t r = 0; r < count; ++r) {
    tfhe::expand_rows<W>(mask, glwe_dimension_ * n, n, seeded.data, first_row + r, row);
    matrix_.set_row(first_place + r, row);
  }
}

template <Word W>
BlindRotationKey<W>::BlindRotationKey(const SeededBsk<W>& seeded, std::size_t first_bit, std::size_t bit_count)
    : matrix_(matrix_of<W>(bit_count * seeded.decomposition.level_count * (seeded.glwe_dimension + 1),
                           seeded.glwe_dimension, seeded.polynomial_size, seeded.decomposition)),
      decomposition_(seeded.decomposition),
      input_dimension_(bit_count),
      glwe_dimension_(seeded.glwe_dimension) {
  WITAN_CHECK(first_bit + bit_count <= seeded.input_dimension());
  expand_rows(seeded, first_bit * (rows() / bit_count), rows(), 0);
}

template <Word W>
BlindRotationKey<W>::BlindRotationKey(const Bsk<W>& bsk)
    : matrix_(matrix_of<W>(bsk.data.size() / ((bsk.glwe_dimension + 1) * bsk.polynomial_size), bsk.glwe_dimension,
                           bsk.polynomial_size, bsk.decomposition)),
      decomposition_(bsk.decomposition),
      input_dimension_(bsk.input_dimension()),
      glwe_dimension_(bsk.glwe_dimension) {
  const std::size_t size = (glwe_dimension_ + 1) * bsk.polynomial_size;
  for (std::size_t r = 0; r < matrix_.rows(); ++r) matrix_.set_row(r, std::span(bsk.data).subspan(r * size, size));
}

template <Word W>
int BlindRotationKey<W>::log_modulus() const {
  return std::countr_zero(2 * polynomial_size());
}

template <Word W>
void BlindRotationKey<W>::external_products_add(std::size_t index, std::span<const ExternalProduct> products) const {
  const Decomposer<W> decomposer(decomposition_);
  const std::size_t n = polynomial_size(), levels = decomposer.level_count(), columns = glwe_dimension_ + 1;
  // Rows of one GGSW: level by level, k+1 rows each. The digit of row (level, r) comes from polynomial r.
  const std::size_t digits_of_one = levels * columns * n;
  thread_local std::vector<i64> digits;  // kept: blind rotations come here a thousand times each
  digits.resize(products.size() * digits_of_one);
  std::vector<typename PolyMatrix<W>::Product> rows;
  rows.reserve(products.size());
  for (const auto& [difference, accumulator] : products) {
    WITAN_CHECK(index < input_dimension_ && difference->polynomial_size == n &&
                difference->glwe_dimension() == glwe_dimension_ && accumulator->data.size() == difference->data.size());
    const auto place = std::span(digits).subspan(rows.size() * digits_of_one, digits_of_one);
    decomposer.decompose_all(difference->data, place);
    rows.push_back({.accumulator = accumulator->data, .digits = place});
  }
  matrix_.multiply_add(rows, index * levels * columns);
}

namespace {

/// out_j = +-from_j - minus_j.
template <bool kNegated, Word W>
void signed_difference(W* out, std::span<const W> from, const W* minus) {
  for (std::size_t j = 0; j < from.size(); ++j) out[j] = (kNegated ? W{0} - from[j] : from[j]) - minus[j];
}

/// out = (X^exponent - 1) glwe, 0 <= exponent < 2N.
template <Word W>
void rotated_difference(const Glwe<W>& glwe, std::size_t exponent, Glwe<W>& out) {
  const std::size_t n = glwe.polynomial_size, shift = exponent % n;
  for (std::size_t k = 0; k <= glwe.glwe_dimension(); ++k) {
    const std::span<const W> p = glwe.polynomial(k), kept = p.first(n - shift), wrapped = p.last(shift);
    W* const to = out.polynomial(k).data();
    if (exponent < n) {
      signed_difference<false>(to + shift, kept, p.data() + shift);
      signed_difference<true>(to, wrapped, p.data());
    } else {
      signed_difference<true>(to + shift, kept, p.data() + shift);
      signed_difference<false>(to, wrapped, p.data());
    }
  }
}

}  // namespace

template <Word W>
void begin_rotation(std::span<const SwitchedLwe> lwes, std::span<Glwe<W>> accumulators) {
  WITAN_CHECK(lwes.size() == accumulators.size());
  for (std::size_t b = 0; b < lwes.size(); ++b) {
    const std::size_t two_n = 2 * accumulators[b].polynomial_size;
    WITAN_CHECK(two_n == std::size_t{1} << lwes[b].log_modulus);
    Glwe<W> difference = accumulators[b];
    rotated_difference(accumulators[b], (two_n - lwes[b].body) % two_n, difference);
    for (std::size_t j = 0; j < difference.data.size(); ++j) accumulators[b].data[j] += difference.data[j];
  }
}

template <Word W>
void rotate_part(const BlindRotationKey<W>& part, std::size_t first_bit, std::span<const SwitchedLwe> lwes,
                 std::span<Glwe<W>> accumulators) {
  WITAN_CHECK(lwes.size() == accumulators.size());
  for (const SwitchedLwe& lwe : lwes)
    WITAN_CHECK(first_bit + part.input_dimension() <= lwe.mask.size() && lwe.log_modulus == part.log_modulus());
  std::vector<Glwe<W>> differences(accumulators.begin(), accumulators.end());
  std::vector<typename BlindRotationKey<W>::ExternalProduct> products;
  for (std::size_t i = 0; i < part.input_dimension(); ++i) {
    products.clear();
    for (std::size_t b = 0; b < lwes.size(); ++b) {
      const std::uint32_t exponent = lwes[b].mask[first_bit + i];
      if (exponent == 0) continue;
      // CMUX: acc + s_i (acc X^a_i - acc) = acc X^(a_i s_i).
      rotated_difference(accumulators[b], exponent, differences[b]);
      products.push_back({&differences[b], &accumulators[b]});
    }
    part.external_products_add(i, products);
  }
}

template <Word W>
void blind_rotate(const BlindRotationKey<W>& key, std::span<const SwitchedLwe> lwes, std::span<Glwe<W>> accumulators) {
  for (const SwitchedLwe& lwe : lwes) WITAN_CHECK(lwe.mask.size() == key.input_dimension());
  begin_rotation<W>(lwes, accumulators);
  rotate_part<W>(key, 0, lwes, accumulators);
}

template <Word W>
void blind_rotate(const BlindRotationKey<W>& key, const SwitchedLwe& lwe, Glwe<W>& accumulator) {
  blind_rotate<W>(key, std::span(&lwe, 1), std::span(&accumulator, 1));
}

template <Word W>
Lwe<W> sample_extract(const Glwe<W>& glwe, std::size_t coefficient) {
  const std::size_t n = glwe.polynomial_size, k = glwe.glwe_dimension();
  WITAN_CHECK(coefficient < n);
  Lwe<W> out(k * n);
  for (std::size_t p = 0; p < k; ++p) {
    const auto a = glwe.polynomial(p);
    for (std::size_t j = 0; j < n; ++j)
      out.data[p * n + j] = j <= coefficient ? a[coefficient - j] : W{0} - a[n + coefficient - j];
  }
  out.body() = glwe.body()[coefficient];
  return out;
}

template <Word W>
Glwe<W> lookup_table(std::size_t glwe_dimension, std::size_t polynomial_size, u64 input_size,
                     const std::function<W(u64)>& output) {
  WITAN_CHECK(input_size >= 1 && 2 * input_size <= polynomial_size && polynomial_size % (2 * input_size) == 0);
  Glwe<W> out(glwe_dimension, polynomial_size);
  const std::size_t box = polynomial_size / input_size;
  for (std::size_t j = 0; j < polynomial_size; ++j) {
    // Half a box to the left: the first half box of input 0 reappears, negated, at the end.
    const std::size_t from = j + box / 2;
    out.body()[j] = from < polynomial_size ? output(from / box) : W{0} - output(0);
  }
  return out;
}

template <Word W>
std::vector<Lwe<W>> bootstrap(const BlindRotationKey<W>& key, const ModulusSwitchKey& modulus_switch_key,
                              std::span<const Lwe<u64>> lwes, const Glwe<W>& table) {
  std::vector<SwitchedLwe> switched;
  switched.reserve(lwes.size());
  for (const Lwe<u64>& lwe : lwes) switched.push_back(modulus_switch(modulus_switch_key, lwe, key.log_modulus()));
  std::vector<Glwe<W>> accumulators(lwes.size(), table);
  blind_rotate<W>(key, switched, accumulators);
  std::vector<Lwe<W>> out;
  out.reserve(lwes.size());
  for (const Glwe<W>& accumulator : accumulators) out.push_back(sample_extract(accumulator, 0));
  return out;
}

template <Word W>
Lwe<W> bootstrap(const BlindRotationKey<W>& key, const ModulusSwitchKey& modulus_switch_key, const Lwe<u64>& lwe,
                 const Glwe<W>& table) {
  return std::move(bootstrap<W>(key, modulus_switch_key, std::span(&lwe, 1), table).front());
}

#define WITAN_INSTANTIATE(W)                                                                                       \
  template class BlindRotationKey<W>;                                                                              \
  template void blind_rotate(const BlindRotationKey<W>&, const SwitchedLwe&, Glwe<W>&);                            \
  template void blind_rotate(const BlindRotationKey<W>&, std::span<const SwitchedLwe>, std::span<Glwe<W>>);        \
  template void begin_rotation(std::span<const SwitchedLwe>, std::span<Glwe<W>>);                                  \
  template void rotate_part(const BlindRotationKey<W>&, std::size_t, std::span<const SwitchedLwe>,                 \
                            std::span<Glwe<W>>);                                                                   \
  template Lwe<W> sample_extract(const Glwe<W>&, std::size_t);                                                     \
  template Glwe<W> lookup_table(std::size_t, std::size_t, u64, const std::function<W(u64)>&);                      \
  template Lwe<W> bootstrap(const BlindRotationKey<W>&, const ModulusSwitchKey&, const Lwe<u64>&, const Glwe<W>&); \
  template std::vector<Lwe<W>> bootstrap(const BlindRotationKey<W>&, const ModulusSwitchKey&,                      \
                                         std::span<const Lwe<u64>>, const Glwe<W>&);
WITAN_INSTANTIATE(u64)
WITAN_INSTANTIATE(u128)
#undef WITAN_INSTANTIATE

}  // namespace witan::tfhe
