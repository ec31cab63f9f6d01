#include "tfhe/expand.h"

#include <algorithm>

#include "base/check.h"

namespace witan::tfhe {

template <Word W>
void expand_rows(const MaskReader& mask, std::size_t mask_words, std::size_t body_words, std::span<const W> bodies,
                 std::size_t first_row, std::span<W> out) {
  const std::size_t size = mask_words + body_words;
  const std::size_t count = out.size() / size;
  WITAN_CHECK(out.size() == count * size && (first_row + count) * body_words <= bodies.size());
  for (std::size_t i = 0; i < count; ++i) {
    const std::span<W> row = out.subspan(i * size, size);
    mask.read<W>(u128{first_row + i} * mask_words, row.first(mask_words));
    std::ranges::copy(bodies.subspan((first_row + i) * body_words, body_words), row.last(body_words).begin());
  }
}

namespace {

template <Word W>
std::vector<W> expand_all(const MaskOrigin& origin, std::size_t mask_words, std::size_t body_words,
                          const std::vector<W>& bodies) {
  std::vector<W> out(bodies.size() / body_words * (mask_words + body_words));
  expand_rows<W>(MaskReader(origin), mask_words, body_words, bodies, 0, out);
  return out;
}

template <class Seeded>
auto expand_glwes(const Seeded& seeded) {
  return expand_all(seeded.origin, seeded.glwe_dimension * seeded.polynomial_size, seeded.polynomial_size, seeded.data);
}

}  // namespace

Ksk expand(const SeededKsk& seeded) {
  return {.data = expand_all(seeded.origin, seeded.output_dimension, 1, seeded.data),
          .decomposition = seeded.decomposition,
          .output_dimension = seeded.output_dimension};
}

Ksk expand_part(const SeededKsk& seeded, std::size_t first, std::size_t count) {
  const std::size_t levels = seeded.decomposition.level_count;
  Ksk out{.data = std::vector<u64>(count * levels * (seeded.output_dimension + 1)),
          .decomposition = seeded.decomposition,
          .output_dimension = seeded.output_dimension};
  expand_rows<u64>(MaskReader(seeded.origin), seeded.output_dimension, 1, seeded.data, first * levels, out.data);
  return out;
}

template <Word W>
PackingKsk<W> expand(const SeededPackingKsk<W>& seeded) {
  return {.data = expand_glwes(seeded),
          .decomposition = seeded.decomposition,
          .glwe_dimension = seeded.glwe_dimension,
          .polynomial_size = seeded.polynomial_size};
}

template <Word W>
Bsk<W> expand(const SeededBsk<W>& seeded) {
  return {.data = expand_glwes(seeded),
          .decomposition = seeded.decomposition,
          .glwe_dimension = seeded.glwe_dimension,
          .polynomial_size = seeded.polynomial_size};
}

std::vector<Lwe<u64>> expand(const SeededLweList& seeded) {
  const MaskReader mask(seeded.origin);
  std::vector<Lwe<u64>> out(seeded.data.size(), Lwe<u64>(seeded.lwe_dimension));
  for (std::size_t i = 0; i < out.size(); ++i)
    expand_rows<u64>(mask, seeded.lwe_dimension, 1, seeded.data, i, out[i].data);
  return out;
}

CompactPublicKey expand(const SeededCompactKey& seeded, Bytes tag) {
  return {.data = expand_all(seeded.origin, seeded.data.size(), seeded.data.size(), seeded.data),
          .params = seeded.params,
          .tag = std::move(tag)};
}

CompactPublicKey public_key_of(const CompressedKeySet& set) {
  return expand(set.public_key.key, set.server_key.tag);
}

#define WITAN_INSTANTIATE(W)                                                                                 \
  template void expand_rows<W>(const MaskReader&, std::size_t, std::size_t, std::span<const W>, std::size_t, \
                               std::span<W>);                                                                \
  template PackingKsk<W> expand(const SeededPackingKsk<W>&);                                                 \
  template Bsk<W> expand(const SeededBsk<W>&);
WITAN_INSTANTIATE(u64)
WITAN_INSTANTIATE(u128)
#undef WITAN_INSTANTIATE

}  // namespace witan::tfhe
