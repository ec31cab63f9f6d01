#include "tfhe/keygen.h"

#include <algorithm>

#include "base/check.h"
#include "tfhe/secret_mask.h"

namespace witan::tfhe {
namespace {

/// Rows per chunk of generate_key_set: enough for the noise generator to work in bulk, small against any key.
constexpr std::size_t kRowsPerChunk = 64;

/// Key entries from last to first: multiplying by the reversed key puts <a, z> into coefficient n - 1.
template <class T>
Secret<std::vector<T>> reversed(std::span<const T> key) {
  return Secret<std::vector<T>>(std::vector<T>(key.rbegin(), key.rend()));
}

}  // namespace

template <Word W>
KeyFactor<W>::KeyFactor(const Component& component, std::span<const std::uint8_t> key_bits) : component_(component) {
  WITAN_CHECK(component.word_bits == kWordBits<W> && key_bits.size() == component.mask_words());
  switch (component.shape) {
    case RowShape::lwe:
      bits_ = Secret<std::vector<std::uint8_t>>({key_bits.begin(), key_bits.end()});
      return;
    case RowShape::compact_key:
      factor_ = SecretFactor<W>::of_bits(component.polynomial_size, reversed(key_bits).reveal());
      return;
    case RowShape::glwe:
    case RowShape::ggsw:
      factor_ = SecretFactor<W>::of_bits(component.polynomial_size, key_bits);
      return;
  }
}

template <Word W>
KeyFactor<W>::KeyFactor(const Component& component, std::span<const W> key_plane) : component_(component) {
  WITAN_CHECK(component.word_bits == kWordBits<W> && key_plane.size() == component.mask_words());
  switch (component.shape) {
    case RowShape::lwe:
      words_ = Secret<std::vector<W>>({key_plane.begin(), key_plane.end()});
      return;
    case RowShape::compact_key:
      factor_ = SecretFactor<W>::of_words(component.polynomial_size, reversed(key_plane).reveal());
      return;
    case RowShape::glwe:
    case RowShape::ggsw:
      factor_ = SecretFactor<W>::of_words(component.polynomial_size, key_plane);
      return;
  }
}

template <Word W>
void KeyFactor<W>::multiply_add(std::span<W> body, std::span<const W> mask) const {
  WITAN_CHECK(mask.size() == component_.mask_words() && body.size() == component_.body_words());
  if (factor_) return factor_->multiply_add(body, mask);
  if (!bits_.reveal().empty()) {
    body[0] += masked_sum<W>(mask, bits_.reveal());
    return;
  }
  for (std::size_t j = 0; j < mask.size(); ++j) body[0] += mask[j] * words_.reveal()[j];
}

namespace {

template <Word W>
void add_message(const Component& component, std::size_t row, const SecretKeySet& keys, std::span<W> body) {
  const auto message = row_message(component, row);
  if (!message) return;
  const W scaled =
      secret_mask<W>(keys.bits(*component.input)[message->input_coefficient]) & power_of_two<W>(message->scale_log2);
  if (!message->key_polynomial) {
    body[0] += scaled;
    return;
  }
  const std::size_t n = component.polynomial_size;
  const auto polynomial = keys.bits(component.under).subspan(*message->key_polynomial * n, n);
  for (std::size_t j = 0; j < n; ++j) body[j] -= scaled & secret_mask<W>(polynomial[j]);
}

}  // namespace

template <Word W>
void generate_bodies(const Component& component, const SecretKeySet& keys, const KeyFactor<W>& factor,
                     const MaskReader& mask, NoiseSource& noise, std::size_t first_row, std::size_t row_count,
                     std::span<W> bodies) {
  const std::size_t size = component.body_words();
  WITAN_CHECK(first_row + row_count <= component.rows && bodies.size() == row_count * size);
  Secret<std::vector<i64>> samples(std::vector<i64>(bodies.size()));
  noise.fill(component.noise, samples.reveal_mutable());
  std::vector<W> row_mask(component.mask_words());
  for (std::size_t i = 0; i < row_count; ++i) {
    const std::size_t row = first_row + i;
    const std::span<W> body = bodies.subspan(i * size, size);
    for (std::size_t j = 0; j < size; ++j) body[j] = static_cast<W>(samples.reveal()[i * size + j]);
    add_message(component, row, keys, body);
    mask.read<W>(u128{row} * row_mask.size(), row_mask);
    factor.multiply_add(body, row_mask);
  }
}

#define WITAN_INSTANTIATE(W)                                                                                      \
  template class KeyFactor<W>;                                                                                    \
  template void generate_bodies<W>(const Component&, const SecretKeySet&, const KeyFactor<W>&, const MaskReader&, \
                                   NoiseSource&, std::size_t, std::size_t, std::span<W>);
WITAN_INSTANTIATE(u64)
WITAN_INSTANTIATE(u128)
#undef WITAN_INSTANTIATE

namespace {

template <Word W>
void generate_component(const Component& component, const SecretKeySet& keys, NoiseSource& noise,
                        const MaskReader& mask, std::vector<W>& bodies, const std::function<void(std::size_t)>& done) {
  const std::size_t size = component.body_words();
  bodies.resize(component.rows * size);
  const KeyFactor<W> factor(component, keys.bits(component.under));
  for (std::size_t row = 0; row < component.rows; row += kRowsPerChunk) {
    const std::size_t count = std::min(kRowsPerChunk, component.rows - row);
    generate_bodies<W>(component, keys, factor, mask, noise, row, count,
                       std::span(bodies).subspan(row * size, count * size));
    done(count);
  }
}

/// Word operations of one row, as the measure of progress.
double row_work(const Component& component) {
  return static_cast<double>(component.mask_words()) * static_cast<double>(component.body_words()) *
         component.word_bits;
}

}  // namespace

CompressedKeySet generate_key_set(const Params& params, const SecretKeySet& keys, u128 public_seed, NoiseSource& noise,
                                  const KeySetOptions& options) {
  const auto keys_fit = keys.check(params);
  WITAN_CHECK(keys_fit.has_value());
  CompressedKeySet set = empty_key_set(params, public_seed, options);
  const std::vector<Component> components = key_components(params);
  double total = 0, finished = 0;
  for (const Component& component : components) total += static_cast<double>(component.rows) * row_work(component);
  for (const Component& component : components) {
    const MaskReader mask({set.seed, StreamPosition::from_bytes(component.stream_offset_bytes)});
    const auto done = [&](std::size_t rows) {
      finished += static_cast<double>(rows) * row_work(component);
      if (options.progress) options.progress(finished / total);
    };
    if (component.word_bits == 64)
      generate_component<u64>(component, keys, noise, mask, component_bodies<u64>(set, component.kind), done);
    else
      generate_component<u128>(component, keys, noise, mask, component_bodies<u128>(set, component.kind), done);
  }
  return set;
}

}  // namespace witan::tfhe
