// Expansion of seeded objects: masks from the stream, bodies as stored. Every row has its own position, so ranges can be
// expanded in parallel and in any order.
#pragma once

#include "tfhe/keys.h"

namespace witan::tfhe {

/// Rows first_row .. of a seeded object as mask words then body words each; `bodies` is the whole stored vector.
template <Word W>
void expand_rows(const MaskReader& mask, std::size_t mask_words, std::size_t body_words, std::span<const W> bodies,
                 std::size_t first_row, std::span<W> out);

Ksk expand(const SeededKsk& seeded);
/// The rows of `count` input coefficients, from number `first` on.
Ksk expand_part(const SeededKsk& seeded, std::size_t first, std::size_t count);
template <Word W>
PackingKsk<W> expand(const SeededPackingKsk<W>& seeded);
template <Word W>
Bsk<W> expand(const SeededBsk<W>& seeded);
std::vector<Lwe<u64>> expand(const SeededLweList& seeded);

/// The published public key: mask and body, the same parameters and the given tag.
CompactPublicKey expand(const SeededCompactKey& seeded, Bytes tag);
/// The public key of a key set; the server key's tag wins (tfhe-formats.md 10.2).
CompactPublicKey public_key_of(const CompressedKeySet& set);

}  // namespace witan::tfhe
