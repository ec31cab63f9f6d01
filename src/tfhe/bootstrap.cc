#include "tfhe/bootstrap.h"

#include <bit>

#include "base/check.h"
#include "tfhe/expand.h"

namespace witan::tfhe {

Lwe<u64> keyswitch(const Ksk& key, const Lwe<u64>& lwe) {
  WITAN_CHECK(lwe.dimension() == key.input_dimension());
  const Decomposer<u64> decomposer(key.decomposition);
  std::vector<i64> digits(decomposer.level_count());
  Lwe<u64> out(key.output_dimension);
  out.body() = lwe.body();
  const u64* row = key.data.data();
  for (const u64 word : lwe.mask()) {
    decomposer.decompose(word, digits);
    for (const i64 digit : digits) {
      for (std::size_t j = 0; j < out.data.size(); ++j) out.data[j] -= static_cast<u64>(digit) * row[j];
      row += out.data.size();
    }
  }
  return out;
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
BlindRotationKey<W>::BlindRotationKey(const SeededBsk<W>& seeded)
    : matrix_(matrix_of<W>(seeded.data.size() / seeded.polynomial_size, seeded.glwe_dimension, seeded.polynomial_size,
                           seeded.decomposition)),
      decomposition_(seeded.decomposition),
      input_dimension_(seeded.input_dimension()),
      glwe_dimension_(seeded.glwe_dimension) {
  const MaskReader mask(seeded.origin);
  const std::size_t n = seeded.polynomial_size;
  std::vector<W> row((glwe_dimension_ + 1) * n);
  for (std::size_t r = 0; r < matrix_.rows(); ++r) {
    expand_rows<W>(mask, glwe_dimension_ * n, n, seeded.data, r, row);
    matrix_.set_row(r, row);
  }
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
void BlindRotationKey<W>::external_product_add(std::size_t index, const Glwe<W>& difference,
                                               Glwe<W>& accumulator) const {
  WITAN_CHECK(index < input_dimension_ && difference.polynomial_size == polynomial_size() &&
              difference.glwe_dimension() == glwe_dimension_ && accumulator.data.size() == difference.data.size());
  const Decomposer<W> decomposer(decomposition_);
  const std::size_t n = polynomial_size(), levels = decomposer.level_count(), columns = glwe_dimension_ + 1;
  // Rows of one GGSW: level by level, k+1 rows each. The digit of row (level, r) comes from polynomial r.
  std::vector<i64> digits(levels * columns * n);
  decomposer.decompose_all(difference.data, digits);
  matrix_.multiply_add(accumulator.data, digits, index * levels * columns);
}

namespace {

template <Word W>
Glwe<W> times_monomial(const Glwe<W>& glwe, std::size_t exponent) {
  Glwe<W> out(glwe.glwe_dimension(), glwe.polynomial_size);
  for (std::size_t p = 0; p <= glwe.glwe_dimension(); ++p)
    multiply_by_monomial<W>(out.polynomial(p), glwe.polynomial(p), exponent);
  return out;
}

}  // namespace

template <Word W>
void blind_rotate(const BlindRotationKey<W>& key, const SwitchedLwe& lwe, Glwe<W>& accumulator) {
  WITAN_CHECK(lwe.mask.size() == key.input_dimension() && lwe.log_modulus == key.log_modulus());
  const std::size_t two_n = 2 * key.polynomial_size();
  accumulator = times_monomial(accumulator, (two_n - lwe.body) % two_n);
  for (std::size_t i = 0; i < lwe.mask.size(); ++i) {
    if (lwe.mask[i] == 0) continue;
    // CMUX: acc + s_i (acc X^a_i - acc) = acc X^(a_i s_i).
    Glwe<W> difference = times_monomial(accumulator, lwe.mask[i]);
    for (std::size_t j = 0; j < difference.data.size(); ++j) difference.data[j] -= accumulator.data[j];
    key.external_product_add(i, difference, accumulator);
  }
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
Lwe<W> bootstrap(const BlindRotationKey<W>& key, const ModulusSwitchKey& modulus_switch_key, const Lwe<u64>& lwe,
                 const Glwe<W>& table) {
  Glwe<W> accumulator = table;
  blind_rotate(key, modulus_switch(modulus_switch_key, lwe, key.log_modulus()), accumulator);
  return sample_extract(accumulator, 0);
}

#define WITAN_INSTANTIATE(W)                                                                  \
  template class BlindRotationKey<W>;                                                         \
  template void blind_rotate(const BlindRotationKey<W>&, const SwitchedLwe&, Glwe<W>&);       \
  template Lwe<W> sample_extract(const Glwe<W>&, std::size_t);                                \
  template Glwe<W> lookup_table(std::size_t, std::size_t, u64, const std::function<W(u64)>&); \
  template Lwe<W> bootstrap(const BlindRotationKey<W>&, const ModulusSwitchKey&, const Lwe<u64>&, const Glwe<W>&);
WITAN_INSTANTIATE(u64)
WITAN_INSTANTIATE(u128)
#undef WITAN_INSTANTIATE

}  // namespace witan::tfhe
