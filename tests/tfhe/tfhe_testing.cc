#include "tfhe_testing.h"

#include <map>
#include <memory>
#include <stdexcept>

#include "support/support.h"

namespace witan::tfhe::test {

Bytes base64(std::string_view text) {
  static constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  Bytes out;
  std::uint32_t window = 0;
  int bits = 0;
  for (const char c : text) {
    if (c == '=') break;
    window = window << 6 | static_cast<std::uint32_t>(kDigits.find(c));
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      out.push_back(static_cast<std::uint8_t>(window >> bits));
    }
  }
  return out;
}

Bits bits_of(std::string_view text) {
  Bits out;
  for (const char c : text) out.push_back(static_cast<std::uint8_t>(c - '0'));
  return out;
}

Params params(std::string_view name) {
  auto found = params_by_name(name);
  if (!found) throw std::runtime_error(found.error().message);
  return *std::move(found);
}

template <Word W>
std::vector<W> naive_product(std::span<const W> a, std::span<const W> b) {
  const std::size_t n = a.size();
  std::vector<W> out(n);
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j < n; ++j) {
      const W term = a[i] * b[j];
      if (i + j < n)
        out[i + j] += term;
      else
        out[i + j - n] -= term;
    }
  }
  return out;
}
template std::vector<u64> naive_product(std::span<const u64>, std::span<const u64>);
template std::vector<u128> naive_product(std::span<const u128>, std::span<const u128>);

namespace {

template <Word W>
std::vector<W> words(std::span<const std::uint8_t> bits) {
  return {bits.begin(), bits.end()};
}

template <Word W>
std::vector<SignedWord<W>> signed_words(std::span<const W> words) {
  std::vector<SignedWord<W>> out;
  for (const W word : words) out.push_back(static_cast<SignedWord<W>>(word));
  return out;
}

}  // namespace

template <Word W>
std::vector<SignedWord<W>> row_noises(const Component& c, std::size_t row, std::span<const W> expanded_row,
                                      std::span<const std::uint8_t> under, std::span<const std::uint8_t> input) {
  const std::size_t n = c.polynomial_size, k = c.glwe_dimension;
  const std::size_t levels = c.decomposition.level_count, base = c.decomposition.base_log;
  const auto scale = [&](std::size_t level) { return W{1} << (8 * sizeof(W) - base * level); };
  if (c.shape == RowShape::lwe) {
    W rest = expanded_row[n];
    for (std::size_t j = 0; j < n; ++j) rest -= expanded_row[j] * under[j];
    if (!input.empty()) rest -= input[row / levels] * scale(levels - row % levels);
    return signed_words<W>(std::span(&rest, 1));
  }
  std::vector<W> rest(expanded_row.end() - static_cast<std::ptrdiff_t>(n), expanded_row.end());
  const auto subtract = [&](const std::vector<W>& p) {
    for (std::size_t j = 0; j < n; ++j) rest[j] -= p[j];
  };
  if (c.shape == RowShape::compact_key) {
    std::vector<W> reversed(under.rbegin(), under.rend());
    subtract(naive_product<W>(expanded_row.first(n), reversed));
  } else {
    for (std::size_t p = 0; p < k; ++p)
      subtract(naive_product<W>(expanded_row.subspan(p * n, n), words<W>(under.subspan(p * n, n))));
  }
  if (c.shape == RowShape::glwe) rest[0] -= input[row / levels] * scale(levels - row % levels);
  if (c.shape == RowShape::ggsw) {
    const std::size_t r = row % (k + 1), level = levels - row / (k + 1) % levels;
    const W message = input[row / ((k + 1) * levels)] * scale(level);
    if (r == k)
      rest[0] -= message;
    else
      for (std::size_t j = 0; j < n; ++j) rest[j] += message * under[r * n + j];
  }
  return signed_words<W>(rest);
}
template std::vector<i64> row_noises(const Component&, std::size_t, std::span<const u64>, std::span<const std::uint8_t>,
                                     std::span<const std::uint8_t>);
template std::vector<i128> row_noises(const Component&, std::size_t, std::span<const u128>,
                                      std::span<const std::uint8_t>, std::span<const std::uint8_t>);

template <Word W>
i128 row_noise(const Component& c, std::size_t row, std::span<const W> expanded_row,
               std::span<const std::uint8_t> under, std::span<const std::uint8_t> input) {
  i128 largest = 0;
  for (const i128 noise : row_noises<W>(c, row, expanded_row, under, input))
    largest = std::max(largest, noise < 0 ? -noise : noise);
  return largest;
}
template i128 row_noise(const Component&, std::size_t, std::span<const u64>, std::span<const std::uint8_t>,
                        std::span<const std::uint8_t>);
template i128 row_noise(const Component&, std::size_t, std::span<const u128>, std::span<const std::uint8_t>,
                        std::span<const std::uint8_t>);

World make_world(Params params) {
  witan::test::SeededRng rng("world of " + params.name);
  SecretKeySet keys = generate_secret_keys(params, rng);
  RngNoise noise(rng);
  CompressedKeySet set =
      generate_key_set(params, keys, rng.next<u128>(), noise, {.tag = Bytes(32, 7), .max_degree = 12, .progress = {}});
  return {std::move(params), std::move(keys), std::move(set)};
}

const World& world(std::string_view params_name) {
  static std::map<std::string, std::unique_ptr<World>, std::less<>> worlds;
  auto& entry = worlds[std::string(params_name)];
  if (!entry) entry = std::make_unique<World>(make_world(params(params_name)));
  return *entry;
}

}  // namespace witan::tfhe::test
