#include "tfhe/encrypt.h"

#include <algorithm>

#include "base/check.h"
#include "tfhe/poly.h"
#include "tfhe/secret_mask.h"

namespace witan::tfhe {
namespace {

template <Word W>
void fill_uniform(Rng& rng, std::span<W> out) {
  rng.fill({reinterpret_cast<std::uint8_t*>(out.data()), out.size_bytes()});
}

/// Adds fresh noise to every word.
template <Word W>
void add_noise(TUniform distribution, Rng& rng, std::span<W> words) {
  Secret<std::vector<i64>> noise(std::vector<i64>(words.size()));
  RngNoise(rng).fill(distribution, noise.reveal_mutable());
  for (std::size_t i = 0; i < words.size(); ++i) words[i] += static_cast<W>(noise.reveal()[i]);
}

}  // namespace

template <Word W>
Lwe<W> encrypt_lwe(std::span<const std::uint8_t> key_bits, W plaintext, TUniform noise, Rng& rng) {
  Lwe<W> out(key_bits.size());
  fill_uniform(rng, out.mask());
  out.body() = plaintext + masked_sum<W>(out.mask(), key_bits);
  add_noise(noise, rng, std::span(&out.body(), 1));
  return out;
}

template <Word W>
Glwe<W> encrypt_glwe(const GlweSecretKey& key, std::span<const W> plaintext, TUniform noise, Rng& rng) {
  const std::size_t n = key.polynomial_size;
  WITAN_CHECK(plaintext.size() == n);
  Glwe<W> out(key.glwe_dimension(), n);
  fill_uniform(rng, std::span(out.data).first(key.dimension()));
  std::ranges::copy(plaintext, out.body().begin());
  SecretFactor<W>::of_bits(n, key.view()).multiply_add(out.body(), std::as_const(out).mask());
  add_noise(noise, rng, out.body());
  return out;
}

template <Word W>
W phase(const Lwe<W>& lwe, std::span<const std::uint8_t> key_bits) {
  WITAN_CHECK(lwe.dimension() == key_bits.size());
  return lwe.body() - masked_sum<W>(lwe.mask(), key_bits);
}

template <Word W>
std::vector<W> phase(const Glwe<W>& glwe, const GlweSecretKey& key) {
  const std::size_t n = key.polynomial_size;
  WITAN_CHECK(glwe.polynomial_size == n && glwe.glwe_dimension() == key.glwe_dimension());
  std::vector<W> product(n);
  SecretFactor<W>::of_bits(n, key.view()).multiply_add(product, glwe.mask());
  std::vector<W> out(glwe.body().begin(), glwe.body().end());
  for (std::size_t j = 0; j < n; ++j) out[j] -= product[j];
  return out;
}

template <Word W>
u64 decode(W phase, const PlaintextSpace& space) {
  const int delta = delta_log2<W>(space);
  return static_cast<u64>((phase + power_of_two<W>(delta - 1)) >> delta) % space.size();
}

template <Word W>
SignedWord<W> noise_of(W phase, const PlaintextSpace& space) {
  return static_cast<SignedWord<W>>(phase - (static_cast<W>(decode(phase, space)) << delta_log2<W>(space)));
}

Block encrypt_block(const Params& params, const SecretKeySet& keys, u64 value, Rng& rng) {
  const ComputeParams& c = params.compute;
  WITAN_CHECK(value < c.space.size());
  const bool big = c.encryption_key == KeyChoice::big;
  const auto key = keys.bits(big ? KeyName::glwe : KeyName::lwe_compute);
  return {.lwe = encrypt_lwe<u64>(key, value << delta_log2<u64>(c.space), big ? c.glwe_noise : c.lwe_noise, rng),
          .degree = c.space.message_modulus - 1,
          .noise_level = 1,
          .space = c.space,
          .order = pbs_order(c.encryption_key)};
}

u64 decrypt_block(const Block& block, std::span<const std::uint8_t> key_bits) {
  return decode(phase(block.lwe, key_bits), block.space);
}

#define WITAN_INSTANTIATE(W)                                                               \
  template Lwe<W> encrypt_lwe(std::span<const std::uint8_t>, W, TUniform, Rng&);           \
  template Glwe<W> encrypt_glwe(const GlweSecretKey&, std::span<const W>, TUniform, Rng&); \
  template W phase(const Lwe<W>&, std::span<const std::uint8_t>);                          \
  template std::vector<W> phase(const Glwe<W>&, const GlweSecretKey&);                     \
  template u64 decode(W, const PlaintextSpace&);                                           \
  template SignedWord<W> noise_of(W, const PlaintextSpace&);
WITAN_INSTANTIATE(u64)
WITAN_INSTANTIATE(u128)
#undef WITAN_INSTANTIATE

}  // namespace witan::tfhe
