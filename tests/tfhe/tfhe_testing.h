// What several tests of this layer share: plain reference formulas that use nothing of the code under test.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "tfhe/keygen.h"

namespace witan::tfhe::test {

Bytes base64(std::string_view text);
/// "0110..." to bits.
Bits bits_of(std::string_view text);
Params params(std::string_view name);

/// a * b mod X^N+1, coefficient by coefficient.
template <Word W>
std::vector<W> naive_product(std::span<const W> a, std::span<const W> b);

/// Noise of one expanded row (mask, body), body word by body word: body - mask * key - message, with the formulas of
/// threshold-tfhe.md 4.5 and the orders of tfhe-formats.md 12 written out here once more.
template <Word W>
std::vector<SignedWord<W>> row_noises(const Component& component, std::size_t row, std::span<const W> expanded_row,
                                      std::span<const std::uint8_t> under, std::span<const std::uint8_t> input);
/// The largest |noise| of them.
template <Word W>
i128 row_noise(const Component& component, std::size_t row, std::span<const W> expanded_row,
               std::span<const std::uint8_t> under, std::span<const std::uint8_t> input);

/// A key set with everything that the tests of one parameter set need; made once per process.
struct World {
  Params params;
  SecretKeySet keys;
  CompressedKeySet set;
};
World make_world(Params params);
const World& world(std::string_view params_name);

}  // namespace witan::tfhe::test
