// Ciphertexts of decryption requests: first byte format and type, then the bytes. What is accepted has the blocks of its type.
#include "fuzz/fuzz.h"
#include "node/validation.h"

namespace witan::fuzz {

void fuzz_one(ByteView input) {
  static const auto params = tfhe::params_by_name("test").value();
  if (input.empty()) return;
  const auto types = tfhe::all_fhe_types();
  node::CiphertextRef ref;
  ref.format = static_cast<protocols::CiphertextFormat>(input[0] & 3);
  ref.type = types[static_cast<std::size_t>(input[0] >> 2) % types.size()];
  const auto parsed = node::parse_ciphertext(ref, input.subspan(1), params);
  if (!parsed) return;
  const auto& info = tfhe::info(ref.type);
  const auto blocks = static_cast<std::size_t>(info.blocks);
  WITAN_CHECK(parsed->blocks.empty() || parsed->blocks.size() == blocks);
  WITAN_CHECK(parsed->squashed.empty() || parsed->squashed.size() == (blocks + 1) / 2);
  const std::size_t dimension = tfhe::key_bits(params, protocols::decryption_key(ref.format));
  for (const auto& block : parsed->squashed.lwes()) WITAN_CHECK(block.dimension() == dimension);
  for (const auto& glwe : parsed->squashed.glwes()) WITAN_CHECK(glwe.mask().size() == dimension);
}

}  // namespace witan::fuzz
