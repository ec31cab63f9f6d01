#include "tfhe/packing.h"

#include <algorithm>

#include "base/check.h"
#include "tfhe/bootstrap.h"
#include "tfhe/expand.h"

namespace witan::tfhe {
namespace {

// Above every set; keeps the sizes computed from a hostile object small.
constexpr std::size_t kMaxGlweDimension = 16;
constexpr std::size_t kMaxPolynomialSize = 1 << 16;

template <Word W>
std::size_t packed_words(std::size_t count, std::uint32_t log_modulus) {
  return (count * log_modulus + static_cast<std::size_t>(kWordBits<W>) - 1) / static_cast<std::size_t>(kWordBits<W>);
}

template <Word W>
W low_mask(std::uint32_t bits) {
  return static_cast<W>(~W{0} >> (kWordBits<W> - static_cast<int>(bits)));
}

}  // namespace

template <Word W>
std::vector<W> pack_bits(std::span<const W> values, std::uint32_t log_modulus) {
  constexpr std::size_t kBits = static_cast<std::size_t>(kWordBits<W>);
  WITAN_CHECK(log_modulus >= 1 && log_modulus <= kBits);
  std::vector<W> out(packed_words<W>(values.size(), log_modulus));
  for (std::size_t i = 0; i < values.size(); ++i) {
    const W value = values[i] & low_mask<W>(log_modulus);
    const std::size_t word = i * log_modulus / kBits, shift = i * log_modulus % kBits;
    out[word] |= value << shift;
    if (shift + log_modulus > kBits) out[word + 1] |= value >> (kBits - shift);
  }
  return out;
}

template <Word W>
std::vector<W> unpack_bits(std::span<const W> packed, std::uint32_t log_modulus, std::size_t count) {
  constexpr std::size_t kBits = static_cast<std::size_t>(kWordBits<W>);
  WITAN_CHECK(log_modulus >= 1 && log_modulus <= kBits && packed.size() >= packed_words<W>(count, log_modulus));
  std::vector<W> out(count);
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t word = i * log_modulus / kBits, shift = i * log_modulus % kBits;
    W value = packed[word] >> shift;
    if (shift + log_modulus > kBits) value |= packed[word + 1] << (kBits - shift);
    out[i] = value & low_mask<W>(log_modulus);
  }
  return out;
}

template <Word W>
PackedGlwe<W> pack_glwe(const Glwe<W>& glwe, std::size_t bodies_count, std::uint32_t log_modulus) {
  WITAN_CHECK(bodies_count >= 1 && bodies_count <= glwe.polynomial_size);
  const std::size_t count = glwe.data.size() - glwe.polynomial_size + bodies_count;
  std::vector<W> values(glwe.data.begin(), glwe.data.begin() + static_cast<std::ptrdiff_t>(count));
  for (W& value : values) value = switch_word(value, static_cast<int>(log_modulus));
  return {.packed_coefficients = pack_bits<W>(values, log_modulus),
          .log_modulus = log_modulus,
          .initial_len = count,
          .glwe_dimension = glwe.glwe_dimension(),
          .polynomial_size = glwe.polynomial_size,
          .bodies_count = bodies_count};
}

template <Word W>
Status check(const PackedGlwe<W>& packed) {
  if (packed.glwe_dimension < 1 || packed.glwe_dimension > kMaxGlweDimension || packed.polynomial_size < 1 ||
      packed.polynomial_size > kMaxPolynomialSize)
    return fail(Code::invalid_argument, "packed GLWE of dimension {} and polynomial size {} is out of range",
                packed.glwe_dimension, packed.polynomial_size);
  if (packed.log_modulus < 1 || packed.log_modulus > static_cast<std::uint32_t>(kWordBits<W>))
    return fail(Code::invalid_argument, "packed GLWE has storage modulus 2^{}, expected at most 2^{}",
                packed.log_modulus, kWordBits<W>);
  if (packed.bodies_count < 1 || packed.bodies_count > packed.polynomial_size)
    return fail(Code::invalid_argument, "packed GLWE has {} bodies, expected 1 to {}", packed.bodies_count,
                packed.polynomial_size);
  const std::size_t values = packed.glwe_dimension * packed.polynomial_size + packed.bodies_count;
  if (packed.initial_len != values)
    return fail(Code::invalid_argument, "packed GLWE says {} values, its sizes give {}", packed.initial_len, values);
  const std::size_t words = packed_words<W>(values, packed.log_modulus);
  if (packed.packed_coefficients.size() != words)
    return fail(Code::invalid_argument, "packed GLWE has {} words, {} values of {} bits take {}",
                packed.packed_coefficients.size(), values, packed.log_modulus, words);
  return {};
}

template <Word W>
Result<Glwe<W>> unpack_glwe(const PackedGlwe<W>& packed) {
  WITAN_TRY(check(packed));
  Glwe<W> out(packed.glwe_dimension, packed.polynomial_size);
  const auto values = unpack_bits<W>(packed.packed_coefficients, packed.log_modulus, packed.initial_len);
  const int shift = kWordBits<W> - static_cast<int>(packed.log_modulus);
  std::ranges::transform(values, out.data.begin(), [&](W value) { return static_cast<W>(value << shift); });
  return out;
}

template <Word W>
Result<std::vector<Lwe<W>>> list_elements(const PackedList<W>& list, std::size_t first, std::size_t count) {
  if (list.lwe_per_glwe < 1) return fail(Code::invalid_argument, "packed list with no ciphertexts per GLWE");
  std::vector<Lwe<W>> out;
  out.reserve(std::min(count, list.size()));
  std::optional<Glwe<W>> glwe;
  std::size_t unpacked = 0;
  for (std::size_t i = first; i - first < count; ++i) {
    const std::size_t number = i / list.lwe_per_glwe, coefficient = i % list.lwe_per_glwe;
    if (number >= list.glwes.size() || coefficient >= list.glwes[number].bodies_count)
      return fail(Code::out_of_range, "packed list of {} ciphertexts has no number {}", list.size(), i);
    if (!glwe || unpacked != number) {
      WITAN_ASSIGN(glwe, unpack_glwe(list.glwes[number]));
      unpacked = number;
    }
    out.push_back(sample_extract(*glwe, coefficient));
  }
  return out;
}

template <Word W>
Result<std::vector<PartialGlwe<W>>> list_prefix(const PackedList<W>& list, std::size_t count) {
  if (list.lwe_per_glwe < 1) return fail(Code::invalid_argument, "packed list with no ciphertexts per GLWE");
  std::vector<PartialGlwe<W>> out;
  for (std::size_t taken = 0; taken < count;) {
    if (out.size() >= list.glwes.size())
      return fail(Code::out_of_range, "packed list of {} ciphertexts has no number {}", list.size(), taken);
    const PackedGlwe<W>& packed = list.glwes[out.size()];
    WITAN_TRY(check(packed));
    const std::size_t bodies = std::min({list.lwe_per_glwe, packed.bodies_count, count - taken});
    if (taken + bodies < count && bodies < list.lwe_per_glwe)
      return fail(Code::out_of_range, "packed list of {} ciphertexts has no number {}", list.size(), taken + bodies);
    const std::size_t words = packed.glwe_dimension * packed.polynomial_size + bodies;
    PartialGlwe<W> glwe{unpack_bits<W>(packed.packed_coefficients, packed.log_modulus, words), packed.glwe_dimension,
                        packed.polynomial_size};
    const int shift = kWordBits<W> - static_cast<int>(packed.log_modulus);
    for (W& word : glwe.data) word = static_cast<W>(word << shift);
    out.push_back(std::move(glwe));
    taken += bodies;
  }
  return out;
}

template <Word W>
std::vector<Lwe<W>> extract_all(std::span<const PartialGlwe<W>> glwes) {
  std::vector<Lwe<W>> out;
  for (const PartialGlwe<W>& partial : glwes) {
    Glwe<W> glwe(partial.glwe_dimension, partial.polynomial_size);
    std::ranges::copy(partial.data, glwe.data.begin());
    for (std::size_t i = 0; i < partial.bodies().size(); ++i) out.push_back(sample_extract(glwe, i));
  }
  return out;
}

template <Word W>
Result<Lwe<W>> list_element(const PackedList<W>& list, std::size_t index) {
  WITAN_ASSIGN(auto elements, list_elements(list, index, 1));
  return std::move(elements.front());
}

template <Word W>
PackingKey<W>::PackingKey(SeededPackingKsk<W> seeded)
    : seeded_(std::move(seeded)),
      input_dimension_(seeded_.data.size() / seeded_.polynomial_size / seeded_.decomposition.level_count) {}

template <Word W>
void pack_part(const SeededPackingKsk<W>& key, std::size_t first, std::size_t count,
               std::span<const Lwe<W>* const> lwes, Glwe<W>& out) {
  const std::size_t n = key.polynomial_size, k = key.glwe_dimension;
  WITAN_CHECK(count >= 1 && lwes.size() <= n && out.polynomial_size == n && out.glwe_dimension() == k);
  const Decomposer<W> decomposer(key.decomposition);
  const std::size_t levels = decomposer.level_count(), rows = count * levels;
  std::vector<i64> word_digits(levels), digits(rows * n);
  for (std::size_t j = 0; j < count; ++j) {
    for (std::size_t i = 0; i < lwes.size(); ++i) {
      WITAN_CHECK(first + count <= lwes[i]->dimension());
      decomposer.decompose(lwes[i]->data[first + j], word_digits);
      for (std::size_t l = 0; l < levels; ++l) digits[(j * levels + l) * n + i] = -word_digits[l];
    }
  }
  const MaskReader mask(key.origin);
  PolyMatrix<W> matrix(rows, k + 1, n, static_cast<int>(key.decomposition.base_log) - 1, rows);
  std::vector<W> row((k + 1) * n);
  for (std::size_t r = 0; r < rows; ++r) {
    expand_rows<W>(mask, k * n, n, key.data, first * levels + r, row);
    matrix.set_row(r, row);
  }
  matrix.multiply_add(out.data, digits, 0);
}

template <Word W>
Glwe<W> PackingKey<W>::pack(std::span<const Lwe<W>* const> lwes) const {
  constexpr std::size_t kRowsAtOnce = 64;
  const std::size_t chunk =
      std::clamp<std::size_t>(kRowsAtOnce / seeded_.decomposition.level_count, 1, input_dimension_);
  WITAN_CHECK(!lwes.empty() && lwes.size() <= polynomial_size());
  Glwe<W> out(glwe_dimension(), polynomial_size());
  for (std::size_t i = 0; i < lwes.size(); ++i) {
    WITAN_CHECK(lwes[i]->dimension() == input_dimension_);
    out.body()[i] = lwes[i]->body();
  }
  for (std::size_t first = 0; first < input_dimension_; first += chunk)
    pack_part(seeded_, first, std::min(chunk, input_dimension_ - first), lwes, out);
  return out;
}

// NOLINTBEGIN(bugprone-macro-parentheses): types take no parentheses
#define WITAN_INSTANTIATE(W)                                                                                    \
  template std::vector<W> pack_bits(std::span<const W>, std::uint32_t);                                         \
  template std::vector<W> unpack_bits(std::span<const W>, std::uint32_t, std::size_t);                          \
  template PackedGlwe<W> pack_glwe(const Glwe<W>&, std::size_t, std::uint32_t);                                 \
  template Result<Glwe<W>> unpack_glwe(const PackedGlwe<W>&);                                                   \
  template Status check(const PackedGlwe<W>&);                                                                  \
  template Result<Lwe<W>> list_element(const PackedList<W>&, std::size_t);                                      \
  template Result<std::vector<Lwe<W>>> list_elements(const PackedList<W>&, std::size_t, std::size_t);           \
  template Result<std::vector<PartialGlwe<W>>> list_prefix(const PackedList<W>&, std::size_t);                  \
  template std::vector<Lwe<W>> extract_all(std::span<const PartialGlwe<W>>);                                    \
  template void pack_part(const SeededPackingKsk<W>&, std::size_t, std::size_t, std::span<const Lwe<W>* const>, \
                          Glwe<W>&);                                                                            \
  template class PackingKey<W>;
WITAN_INSTANTIATE(u64)
WITAN_INSTANTIATE(u128)
#undef WITAN_INSTANTIATE
// NOLINTEND(bugprone-macro-parentheses)

}  // namespace witan::tfhe
