#include "protocols/key_rows.h"

#include <algorithm>

#include "base/check.h"

namespace witan::protocols {
namespace {

using tfhe::Component;
using tfhe::RowShape;

/// Sharings in an element, and coefficients of a ring element.
constexpr std::size_t kPacked = 4;

constexpr std::size_t packed_size(std::size_t count) {
  return (count + kPacked - 1) / kPacked;
}

/// a X^exponent, exponent < 4.
template <Word Z>
Gr<Z> times_monomial(Gr<Z> a, std::size_t exponent) {
  for (; exponent > 0; --exponent) a = a.times_x();
  return a;
}

template <Word Z>
Gr<Z> packed_element(std::span<const Share<Z>> shares) {
  Gr<Z> out;
  for (std::size_t c = shares.size(); c-- > 0;) out = out.times_x() + shares[c].value;
  return out;
}

}  // namespace

template <Word Z>
SecretShares<Z> key_in_ring(const SharedKey& key) {
  SecretShares<Z> out{std::vector<Share<Z>>(key.size())};
  for (std::size_t i = 0; i < key.size(); ++i) {
    const Secret<Share<Z128>> share(key.at(i));
    if constexpr (std::same_as<Z, Z64>)
      out.reveal_mutable()[i] = reduce_mod_2_64(share.reveal());
    else
      out.reveal_mutable()[i] = share.reveal();
  }
  return out;
}

template <Word Z>
SecretShares<Z> packed(std::span<const Share<Z>> shares) {
  SecretShares<Z> out{std::vector<Share<Z>>(packed_size(shares.size()))};
  for (std::size_t l = 0; l < out.reveal().size(); ++l)
    out.reveal_mutable()[l] = {
        packed_element(shares.subspan(kPacked * l, std::min(kPacked, shares.size() - kPacked * l)))};
  return out;
}

template <Word Z>
Result<std::vector<Z>> unpacked(std::span<const Gr<Z>> opened, std::size_t count, std::string_view what) {
  WITAN_CHECK(opened.size() == packed_size(count));
  std::vector<Z> out(kPacked * opened.size());
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = opened[i / kPacked].c[i % kPacked];
  if (!std::all_of(out.begin() + static_cast<std::ptrdiff_t>(count), out.end(), [](Z word) { return word == 0; }))
    return fail(Code::internal, "{}: the last of {} opened elements holds more than {} values", what, opened.size(),
                count);
  out.resize(count);
  return out;
}

template <Word Z>
SecretShares<Z> difference_shares(std::span<const Share<Z>> input, std::span<const Share<Z>> output,
                                  const SliceShares<Z>& slice) {
  WITAN_CHECK(input.size() == slice.x.size() && output.size() == slice.y.size() && output.size() % kPacked == 0);
  const auto differences = [](std::span<const Share<Z>> keys, std::span<const Share<Z>> masks) {
    SecretShares<Z> out{std::vector<Share<Z>>(keys.begin(), keys.end())};
    for (std::size_t i = 0; i < keys.size(); ++i) out.reveal_mutable()[i] -= masks[i];
    return out;
  };
  const auto eps = packed<Z>(differences(input, slice.x).reveal());
  const auto rho = packed<Z>(differences(output, slice.y).reveal());
  SecretShares<Z> out{std::vector<Share<Z>>(eps.reveal().size() + rho.reveal().size())};
  const auto end = std::ranges::copy(eps.reveal(), out.reveal_mutable().begin()).out;
  std::ranges::copy(rho.reveal(), end);
  return out;
}

template <Word Z>
Result<SliceDifferences<Z>> SliceDifferences<Z>::from_opened(std::span<const Gr<Z>> opened, std::size_t inputs,
                                                             std::size_t outputs) {
  WITAN_CHECK(outputs % kPacked == 0 && opened.size() == packed_size(inputs) + outputs / kPacked);
  SliceDifferences out;
  WITAN_ASSIGN(out.eps, unpacked<Z>(opened.first(packed_size(inputs)), inputs, "differences of a slice of products"));
  const auto rho = opened.subspan(packed_size(inputs));
  out.rho.assign(rho.begin(), rho.end());
  return out;
}

template <Word Z>
void multiply_slice(const SliceShares<Z>& slice, const SliceDifferences<Z>& differences, std::size_t first_input,
                    std::size_t count, std::span<Share<Z>> out, std::size_t stride) {
  const std::size_t size = slice.y.size() / kPacked;
  WITAN_CHECK(slice.x.size() == differences.eps.size() && slice.y.size() == kPacked * differences.rho.size());
  WITAN_CHECK(count > 0 && first_input <= slice.x.size() && count <= slice.x.size() - first_input &&
              slice.z.size() == count * size && stride >= size && out.size() >= (count - 1) * stride + size);
  const auto y = packed<Z>(slice.y);
  for (std::size_t i = 0; i < count; ++i) {
    const Z eps = differences.eps[first_input + i];
    const Share<Z>& x = slice.x[first_input + i];
    for (std::size_t l = 0; l < size; ++l) {
      const Gr<Z>& rho = differences.rho[l];
      out[i * stride + l] = slice.z[i * size + l] + y.reveal()[l] * eps + x * rho + rho * eps;
    }
  }
}

std::uint64_t body_elements(const Component& component) {
  return packed_size(component.rows * component.body_words());
}

ElementRange elements_of(const Component& component, RowRange rows) {
  WITAN_CHECK(rows.count > 0 && rows.first < component.rows && rows.count <= component.rows - rows.first);
  if (component.shape != RowShape::lwe) {
    const std::uint64_t per_row = component.body_words() / kPacked;
    return {rows.first * per_row, rows.count * per_row};
  }
  WITAN_CHECK(rows.first % kPacked == 0 && (rows.count % kPacked == 0 || rows.first + rows.count == component.rows));
  return {rows.first / kPacked, packed_size(rows.count)};
}

namespace {

/// Rows that encrypt one bit of the input key.
std::size_t rows_per_input(const Component& component) {
  return component.decomposition.level_count *
         (component.shape == RowShape::ggsw ? component.glwe_dimension + 1 : std::size_t{1});
}

}  // namespace

RowRange inputs_of(const Component& component, RowRange rows) {
  if (component.shape != RowShape::ggsw) return {};
  WITAN_CHECK(rows.count > 0);
  const std::size_t each = rows_per_input(component), first = rows.first / each;
  return {first, (rows.first + rows.count - 1) / each + 1 - first};
}

std::size_t rows_per_kernel(const Component& component) {
  // Per word of the mask some 20 ns in rows of 128-bit polynomials, 10 in those of 64 bits, 2 in LWE rows (AVX-512; AVX2 twice that).
  constexpr std::size_t kLweWords = 1u << 18;
  if (component.shape == RowShape::lwe)
    return std::max<std::size_t>(kLweWords / component.polynomial_size / kPacked, 1) * kPacked;
  const std::size_t words = component.word_bits == 64 ? 1u << 15 : 1u << 14;
  return std::max<std::size_t>(words / component.mask_words(), 1);
}

namespace {

/// Coefficient `index` of a key that encrypts rows of this shape: compact keys are used from last to first.
template <Word Z>
const Share<Z>& key_coefficient(const Component& component, std::span<const Share<Z>> key, std::size_t index) {
  return component.shape == RowShape::compact_key ? key[key.size() - 1 - index] : key[index];
}

/// pack(X^d z): element m packs the coefficients 4m - d .. 4m - d + 3 of the polynomial z, where z_{-i} = -z_{N-i}.
template <Word Z>
void pack_shifted(std::span<const Share<Z>> z, std::size_t d, std::span<Share<Z>> out) {
  const std::size_t n = z.size();
  for (std::size_t m = 0; m < out.size(); ++m) {
    Gr<Z> element;
    for (std::size_t c = kPacked; c-- > 0;) {
      const std::size_t index = kPacked * m + c;
      element = element.times_x() + (index >= d ? z[index - d].value : -z[n + index - d].value);
    }
    out[m].value = element;
  }
}

/// The right-hand sides of all rows, transformed: plane by plane, pack(X^d z_p) for d < 4, for every polynomial z_p of the key.
template <Word Z>
std::vector<tfhe::SecretFactor<Z>> packed_planes(const Component& component, std::span<const Share<Z>> key) {
  const std::size_t n = component.polynomial_size, quarter = n / kPacked;
  SecretShares<Z> polynomial{std::vector<Share<Z>>(n)}, shifted{std::vector<Share<Z>>(quarter)};
  std::array<Secret<std::vector<Z>>, kPacked> planes;
  for (auto& plane : planes) plane = Secret{std::vector<Z>(key.size())};
  for (std::size_t p = 0; p < component.glwe_dimension; ++p) {
    for (std::size_t j = 0; j < n; ++j)
      polynomial.reveal_mutable()[j] = key_coefficient(component, key.subspan(p * n, n), j);
    for (std::size_t d = 0; d < kPacked; ++d) {
      pack_shifted<Z>(polynomial.reveal(), d, shifted.reveal_mutable());
      for (std::size_t m = 0; m < quarter; ++m)
        for (std::size_t r = 0; r < kPacked; ++r)
          planes[r].reveal_mutable()[(p * kPacked + d) * quarter + m] = shifted.reveal()[m].value.c[r];
    }
  }
  std::vector<tfhe::SecretFactor<Z>> out;
  for (const auto& plane : planes) out.push_back(tfhe::SecretFactor<Z>::of_words(quarter, plane.reveal()));
  return out;
}

}  // namespace

template <Word Z>
BodyRows<Z>::BodyRows(const Component& component, const tfhe::MaskReader& mask, std::span<const Share<Z>> under,
                      std::span<const Share<Z>> input)
    : component_(component), mask_(mask), input_(std::vector<Share<Z>>(input.begin(), input.end())) {
  WITAN_CHECK(component.word_bits == algebra::kBits<Z> && under.size() == component.mask_words());
  WITAN_CHECK(input.size() * rows_per_input(component) == (component.input ? component.rows : 0));
  if (component.shape == RowShape::lwe) {
    under_ = SecretShares<Z>{std::vector<Share<Z>>(under.begin(), under.end())};
    return;
  }
  WITAN_CHECK(component.polynomial_size % kPacked == 0);
  planes_ = packed_planes(component, under);
}

/// Buffers of a range of rows.
template <Word Z>
struct BodyRows<Z>::Scratch {
  std::vector<Z> mask, quarters;  // public
  Secret<std::vector<Z>> plane;
};

template <Word Z>
void BodyRows<Z>::add_polynomial_row(std::size_t row, std::span<Share<Z>> out, Scratch& scratch) const {
  const std::size_t words = component_.mask_words(), n = component_.polynomial_size, quarter = n / kPacked;
  scratch.mask.resize(words);
  scratch.quarters.resize(words);
  mask_.read<Z>(u128{row} * words, scratch.mask);
  for (std::size_t p = 0; p < words; p += n)
    for (std::size_t m = 0; m < quarter; ++m)
      for (std::size_t d = 0; d < kPacked; ++d)
        scratch.quarters[p + d * quarter + m] = scratch.mask[p + kPacked * m + d];
  const auto factor = planes_.front().prepare(scratch.quarters);
  for (std::size_t r = 0; r < kPacked; ++r) {
    std::vector<Z>& plane = scratch.plane.reveal_mutable();
    std::ranges::fill(plane, Z{0});
    planes_[r].multiply_add(plane, factor);
    for (std::size_t m = 0; m < quarter; ++m) out[m].value.c[r] += plane[m];
  }
}

template <Word Z>
void BodyRows<Z>::add_lwe_rows(RowRange rows, std::span<Share<Z>> out, Scratch& scratch) const {
  const std::size_t words = component_.mask_words();
  scratch.mask.resize(words);
  for (std::size_t i = 0; i < rows.count; ++i) {
    mask_.read<Z>(u128{rows.first + i} * words, scratch.mask);
    Secret<Share<Z>> body;
    for (std::size_t j = 0; j < words; ++j) body.reveal_mutable() += under_.reveal()[j] * scratch.mask[j];
    out[i / kPacked].value += times_monomial(body.reveal().value, i % kPacked);
  }
}

/// `out`: the elements of the row; of the four of its element for an LWE row.
template <Word Z>
void BodyRows<Z>::add_message(std::size_t row, std::size_t first_input, const RowMaterial<Z>& material,
                              std::span<Share<Z>> out) const {
  const auto message = row_message(component_, row);
  if (!message) return;
  const Z scale = tfhe::power_of_two<Z>(message->scale_log2);
  if (!message->key_polynomial) {
    const Share<Z> bit = input_.reveal()[message->input_coefficient] * scale;
    const std::size_t place = component_.shape == RowShape::lwe ? row % kPacked : 0;
    out[0].value += times_monomial(bit.value, place);
    return;
  }
  const std::size_t per_input = component_.mask_words() / kPacked;
  const auto products = material.products.subspan(
      (message->input_coefficient - first_input) * per_input + *message->key_polynomial * out.size(), out.size());
  for (std::size_t m = 0; m < out.size(); ++m) out[m] -= products[m] * scale;
}

template <Word Z>
SecretShares<Z> BodyRows<Z>::compute(RowRange rows, const RowMaterial<Z>& material) const {
  const ElementRange elements = elements_of(component_, rows);
  const RowRange inputs = inputs_of(component_, rows);
  WITAN_CHECK(material.noises.size() == elements.count &&
              material.products.size() == inputs.count * component_.mask_words() / kPacked);
  SecretShares<Z> result{std::vector<Share<Z>>(material.noises.begin(), material.noises.end())};
  const std::span<Share<Z>> out = result.reveal_mutable();
  Scratch scratch{.mask = {}, .quarters = {}, .plane = Secret{std::vector<Z>(component_.polynomial_size / kPacked)}};
  if (component_.shape == RowShape::lwe) {
    add_lwe_rows(rows, out, scratch);
    for (std::size_t i = 0; i < rows.count; ++i) add_message(rows.first + i, 0, material, out.subspan(i / kPacked, 1));
    return result;
  }
  const std::size_t per_row = component_.polynomial_size / kPacked;
  for (std::size_t i = 0; i < rows.count; ++i) {
    const auto row = out.subspan(i * per_row, per_row);
    add_polynomial_row(rows.first + i, row, scratch);
    add_message(rows.first + i, inputs.first, material, row);
  }
  return result;
}

namespace {

/// sum_i a_i z_{j-i}, the coefficient j of the negacyclic product; for LWE rows <a, z>.
template <Word Z>
Gr<Z> plain_product(const Component& component, std::span<const Z> mask, std::span<const Share<Z>> key, std::size_t j) {
  Gr<Z> out;
  const std::size_t n = component.polynomial_size;
  for (std::size_t p = 0; p < component.glwe_dimension; ++p) {
    const auto a = mask.subspan(p * n, n);
    const auto z = key.subspan(p * n, n);
    for (std::size_t i = 0; i < n; ++i) {
      if (component.shape == RowShape::lwe)
        out += z[i].value * a[i];
      else if (i <= j)
        out += key_coefficient(component, z, j - i).value * a[i];
      else
        out -= key_coefficient(component, z, n + j - i).value * a[i];
    }
  }
  return out;
}

}  // namespace

template <Word Z>
SecretShares<Z> plain_body_shares(const Component& component, const tfhe::MaskReader& mask,
                                  std::span<const Share<Z>> under, std::span<const Share<Z>> input, RowRange rows,
                                  std::span<const Share<Z>> noises, std::span<const Share<Z>> products) {
  const std::size_t size = component.body_words();
  WITAN_CHECK(noises.size() == rows.count * size && under.size() == component.mask_words());
  SecretShares<Z> bodies{std::vector<Share<Z>>(noises.begin(), noises.end())};
  std::vector<Z> words(component.mask_words());
  for (std::size_t i = 0; i < rows.count; ++i) {
    const std::size_t row = rows.first + i;
    const auto body = std::span(bodies.reveal_mutable()).subspan(i * size, size);
    mask.read<Z>(u128{row} * words.size(), words);
    for (std::size_t j = 0; j < size; ++j) body[j].value += plain_product<Z>(component, words, under, j);
    const auto message = row_message(component, row);
    if (!message) continue;
    const Z scale = tfhe::power_of_two<Z>(message->scale_log2);
    if (!message->key_polynomial) {
      body[0] += input[message->input_coefficient] * scale;
      continue;
    }
    const auto of_row =
        products.subspan(message->input_coefficient * words.size() + *message->key_polynomial * size, size);
    for (std::size_t j = 0; j < size; ++j) body[j] -= of_row[j] * scale;
  }
  return packed<Z>(bodies.reveal());
}

#define WITAN_INSTANTIATE(Z)                                                                                          \
  template SecretShares<Z> key_in_ring<Z>(const SharedKey&);                                                          \
  template SecretShares<Z> packed<Z>(std::span<const Share<Z>>);                                                      \
  template Result<std::vector<Z>> unpacked<Z>(std::span<const Gr<Z>>, std::size_t, std::string_view);                 \
  template SecretShares<Z> difference_shares<Z>(std::span<const Share<Z>>, std::span<const Share<Z>>,                 \
                                                const SliceShares<Z>&);                                               \
  template struct SliceDifferences<Z>;                                                                                \
  template void multiply_slice<Z>(const SliceShares<Z>&, const SliceDifferences<Z>&, std::size_t, std::size_t,        \
                                  std::span<Share<Z>>, std::size_t);                                                  \
  template class BodyRows<Z>;                                                                                         \
  template SecretShares<Z> plain_body_shares<Z>(const Component&, const tfhe::MaskReader&, std::span<const Share<Z>>, \
                                                std::span<const Share<Z>>, RowRange, std::span<const Share<Z>>,       \
                                                std::span<const Share<Z>>);
WITAN_INSTANTIATE(Z64)
WITAN_INSTANTIATE(Z128)
#undef WITAN_INSTANTIATE

}  // namespace witan::protocols
