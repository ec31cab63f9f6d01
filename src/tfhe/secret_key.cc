#include "tfhe/secret_key.h"

#include <cmath>

#include "base/check.h"

namespace witan::tfhe {

const char* to_string(KeyName name) {
  switch (name) {
    case KeyName::lwe_encryption:
      return "lwe_encryption";
    case KeyName::lwe_compute:
      return "lwe_compute";
    case KeyName::glwe:
      return "glwe";
    case KeyName::compression:
      return "compression";
    case KeyName::sns:
      return "sns";
    case KeyName::sns_compression:
      return "sns_compression";
    case KeyName::oprf:
      return "oprf";
  }
  return "unknown";
}

std::size_t key_bits(const Params& params, KeyName name) {
  switch (name) {
    case KeyName::lwe_encryption:
      return params.pke ? params.pke->lwe_dimension : 0;
    case KeyName::lwe_compute:
      return params.compute.lwe_dimension;
    case KeyName::glwe:
      return params.compute.big_dimension();
    case KeyName::compression:
      return params.compression ? params.compression->dimension() : 0;
    case KeyName::sns:
      return params.sns ? params.sns->dimension() : 0;
    case KeyName::sns_compression:
      return params.sns_compression ? params.sns_compression->dimension() : 0;
    case KeyName::oprf:
      return params.oprf ? params.compute.lwe_dimension : 0;
  }
  return 0;
}

std::size_t key_polynomial_size(const Params& params, KeyName name) {
  switch (name) {
    case KeyName::glwe:
      return params.compute.polynomial_size;
    case KeyName::compression:
      return params.compression ? params.compression->polynomial_size : 0;
    case KeyName::sns:
      return params.sns ? params.sns->polynomial_size : 0;
    case KeyName::sns_compression:
      return params.sns_compression ? params.sns_compression->polynomial_size : 0;
    case KeyName::lwe_encryption:
    case KeyName::lwe_compute:
    case KeyName::oprf:
      return 0;
  }
  return 0;
}

std::size_t total_key_bits(const Params& params) {
  std::size_t total = 0;
  for (std::size_t i = 0; i < kKeyNames; ++i) total += key_bits(params, static_cast<KeyName>(i));
  return total;
}

std::span<const std::uint8_t> SecretKeySet::bits(KeyName name) const {
  const auto view = [](const auto& key) { return key ? key->view() : std::span<const std::uint8_t>{}; };
  switch (name) {
    case KeyName::lwe_encryption:
      return view(lwe_encryption);
    case KeyName::lwe_compute:
      return lwe_compute.view();
    case KeyName::glwe:
      return glwe.view();
    case KeyName::compression:
      return view(compression);
    case KeyName::sns:
      return view(sns);
    case KeyName::sns_compression:
      return view(sns_compression);
    case KeyName::oprf:
      return view(oprf);
  }
  return {};
}

Status SecretKeySet::check(const Params& params) const {
  for (std::size_t i = 0; i < kKeyNames; ++i) {
    const auto name = static_cast<KeyName>(i);
    const auto key = bits(name);
    if (key.size() != key_bits(params, name))
      return fail(Code::invalid_argument, "secret key {} has {} bits, the parameters {} want {}", to_string(name),
                  key.size(), params.name, key_bits(params, name));
    std::uint8_t seen = 0;  // no early exit: where a bad entry lies is not told by time
    for (const std::uint8_t bit : key) seen |= bit;
    if (seen > 1) return fail(Code::invalid_argument, "secret key {} has entries that are not bits", to_string(name));
  }
  const auto size_fits = [&](const GlweSecretKey& key, KeyName name) {
    return key.polynomial_size == key_polynomial_size(params, name);
  };
  if (!size_fits(glwe, KeyName::glwe) || (compression && !size_fits(*compression, KeyName::compression)) ||
      (sns && !size_fits(*sns, KeyName::sns)) ||
      (sns_compression && !size_fits(*sns_compression, KeyName::sns_compression)))
    return fail(Code::invalid_argument, "a secret key has another polynomial size than the parameters {}", params.name);
  return {};
}

SecretKeySet SecretKeySet::duplicate() const {
  const auto copy = [](const auto& key) {
    using Key = typename std::remove_cvref_t<decltype(key)>::value_type;
    return key ? std::optional<Key>(key->duplicate()) : std::nullopt;
  };
  return {copy(lwe_encryption),
          lwe_compute.duplicate(),
          glwe.duplicate(),
          copy(compression),
          copy(sns),
          copy(sns_compression),
          copy(oprf)};
}

namespace {

/// Uniform bits, eight per random byte.
void draw_bits(Rng& rng, std::span<std::uint8_t> out) {
  Secret<Bytes> random(Bytes((out.size() + 7) / 8));
  rng.fill(random.reveal_mutable());
  for (std::size_t i = 0; i < out.size(); ++i)
    out[i] = static_cast<std::uint8_t>(random.reveal()[i / 8] >> (i % 8) & 1);
}

/// The weight of an accepted key is public by definition of the bound (threshold-tfhe.md 1.2).
bool weight_accepted(const HammingBound& bound, std::span<const std::uint8_t> polynomial) {
  std::size_t weight = 0;
  for (const std::uint8_t bit : polynomial) weight += bit;
  const auto size = static_cast<double>(polynomial.size());
  return static_cast<double>(weight) >= std::floor((1 - bound.pmax) * size) &&
         static_cast<double>(weight) <= std::floor(bound.pmax * size);
}

Secret<Bits> draw_key(const Params& params, KeyName name, Rng& rng) {
  Secret<Bits> key(Bits(key_bits(params, name)));
  const std::span<std::uint8_t> all(key.reveal_mutable());
  const std::size_t piece = key_polynomial_size(params, name) ? key_polynomial_size(params, name) : all.size();
  for (std::size_t at = 0; at < all.size(); at += piece) {
    const auto polynomial = all.subspan(at, piece);
    do {
      draw_bits(rng, polynomial);
    } while (params.hamming && !weight_accepted(*params.hamming, polynomial));
  }
  return key;
}

template <class Source>
SecretKeySet assemble(const Params& params, const Source& next) {
  const auto lwe = [&](KeyName name) { return LweSecretKey{next(name)}; };
  const auto glwe = [&](KeyName name) { return GlweSecretKey{next(name), key_polynomial_size(params, name)}; };
  SecretKeySet keys;
  if (params.pke) keys.lwe_encryption = lwe(KeyName::lwe_encryption);
  keys.lwe_compute = lwe(KeyName::lwe_compute);
  keys.glwe = glwe(KeyName::glwe);
  if (params.compression) keys.compression = glwe(KeyName::compression);
  if (params.sns) keys.sns = glwe(KeyName::sns);
  if (params.sns_compression) keys.sns_compression = glwe(KeyName::sns_compression);
  if (params.oprf) keys.oprf = lwe(KeyName::oprf);
  return keys;
}

}  // namespace

SecretKeySet generate_secret_keys(const Params& params, Rng& rng) {
  return assemble(params, [&](KeyName name) { return draw_key(params, name, rng); });
}

Result<SecretKeySet> secret_keys_from_bits(const Params& params, std::span<const std::uint8_t> bits) {
  if (bits.size() != total_key_bits(params))
    return fail(Code::invalid_argument, "{} key bits, the parameters {} want {}", bits.size(), params.name,
                total_key_bits(params));
  std::size_t at = 0;
  SecretKeySet keys = assemble(params, [&](KeyName name) {
    const auto part = bits.subspan(at, key_bits(params, name));
    at += part.size();
    return Secret<Bits>(Bits(part.begin(), part.end()));
  });
  WITAN_TRY(keys.check(params));
  return keys;
}

}  // namespace witan::tfhe
