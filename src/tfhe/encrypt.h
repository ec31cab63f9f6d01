// Encryption and decryption. Decryption with a whole key is for tests, tools and the dealer only.
#pragma once

#include "tfhe/ciphertext.h"
#include "tfhe/fhe_type.h"
#include "tfhe/keys.h"
#include "tfhe/noise.h"
#include "tfhe/secret_key.h"

namespace witan::tfhe {

/// LWE of a torus word: uniform mask, body = <mask, s> + plaintext + e. Constant time in the key.
template <Word W>
Lwe<W> encrypt_lwe(std::span<const std::uint8_t> key_bits, W plaintext, TUniform noise, Rng& rng);
/// GLWE of a torus polynomial of N words.
template <Word W>
Glwe<W> encrypt_glwe(const GlweSecretKey& key, std::span<const W> plaintext, TUniform noise, Rng& rng);

/// body - <mask, s>.
template <Word W>
W phase(const Lwe<W>& lwe, std::span<const std::uint8_t> key_bits);
template <Word W>
std::vector<W> phase(const Glwe<W>& glwe, const GlweSecretKey& key);

/// round(phase / Delta) mod the size of the space, Delta = 2^(w-1) / size.
template <Word W>
u64 decode(W phase, const PlaintextSpace& space);
/// phase - Delta * decode(phase): the noise, signed.
template <Word W>
SignedWord<W> noise_of(W phase, const PlaintextSpace& space);

/// A fresh block under the key that ordinary blocks use (big or small).
Block encrypt_block(const Params& params, const SecretKeySet& keys, u64 value, Rng& rng);
u64 decrypt_block(const Block& block, std::span<const std::uint8_t> key_bits);

/// One value for a compact list.
struct CompactValue {
  DataKind kind;
  std::vector<std::uint8_t> blocks;  // each below the message modulus, least significant first
};
/// The DataKind of a served type.
DataKind kind_of(FheType type);
/// Error: invalid_argument if the value does not fit the type.
Result<CompactValue> compact_value(FheType type, const U256& value);

/// Blocks of a list per ciphertext: two, degree message_modulus^2 - 1, or one, degree message_modulus - 1.
enum class ListPacking : std::uint8_t { pairs, single_blocks };

/// What clients send (in pairs): values block by block. Per mask of n words: r uniform binary, mask = A r + e1,
/// body i = (B r)_(n-1-i) + e2_i + Delta * m_i. Randomness is taken in this order: n bytes, whose lowest bits are r, then e1, then e2
/// (RngNoise).
/// Error: invalid_argument for no values or a block out of range.
Result<CompactList> encrypt_compact_list(const CompactPublicKey& key, std::span<const CompactValue> values, Rng& rng,
                                         ListPacking packing = ListPacking::pairs);

/// Ciphertext i of a compact list as an LWE under the encryption key.
Lwe<u64> compact_list_element(const CompactList& list, std::size_t index);
/// invalid_argument naming the field: data length, dimension, count and kinds agree, and every size is bounded.
Status check(const CompactList& list);

}  // namespace witan::tfhe
