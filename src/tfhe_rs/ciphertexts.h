// The four ciphertext formats that a node decrypts (tfhe-formats.md 8, 18), checked against the parameters of the key and the
// declared type; and their writers. Bytes after a ciphertext are ignored, as tfhe-rs does. All errors: invalid_argument.
#pragma once

#include "tfhe/evaluate.h"
#include "tfhe/fhe_type.h"
#include "tfhe_rs/objects.h"

namespace witan::tfhe_rs {

/// BigCompressed: value 0 of the list; its packed blocks under the squashed-noise compression key, GLWE by GLWE
/// (tfhe::extract_all() gives them one by one).
Result<std::vector<tfhe::PartialGlwe<u128>>> parse_big_compressed(ByteView bytes, const tfhe::Params& params,
                                                                  tfhe::FheType type);
/// BigExpanded: state Normal alone; packed blocks under the squashed-noise key.
Result<std::vector<tfhe::Lwe<u128>>> parse_big_expanded(ByteView bytes, const tfhe::Params& params, tfhe::FheType type);
/// SmallExpanded: ordinary blocks. Degree and noise level are what the bytes say (not to be trusted), within what pairing
/// takes: no carry, at most the noise level of the key.
Result<std::vector<tfhe::Block>> parse_small_expanded(ByteView bytes, const tfhe::Params& params, tfhe::FheType type);
/// SmallCompressed: exactly one value.
Result<tfhe::PackedList<u64>> parse_small_compressed(ByteView bytes, const tfhe::Params& params, tfhe::FheType type);

Bytes small_expanded(tfhe::FheType type, std::vector<tfhe::Block> blocks, Bytes tag);
Bytes small_compressed(tfhe::FheType type, tfhe::PackedList<u64> list, tfhe::PbsOrder order, Bytes tag);
Bytes big_expanded(tfhe::FheType type, std::vector<tfhe::SquashedBlock> blocks, Bytes tag);
Bytes big_compressed(tfhe::FheType type, tfhe::PackedList<u128> list, Bytes tag);

}  // namespace witan::tfhe_rs
