#include "tfhe_rs/ciphertexts.h"

#include <algorithm>

#include "tfhe/encrypt.h"

namespace witan::tfhe_rs {
namespace {

using tfhe::FheType;
using tfhe::Params;

template <class... Args>
std::unexpected<Error> bad(fmt::format_string<Args...> format, Args&&... args) {
  return fail(Code::invalid_argument, format, std::forward<Args>(args)...);
}

/// shortint blocks carry their plaintext space; only that of the key is accepted.
Status check_space(const tfhe::PlaintextSpace& found, const tfhe::PlaintextSpace& expected) {
  if (found == expected) return {};
  return bad("message and carry modulus are {} and {}, the key has {} and {}", found.message_modulus,
             found.carry_modulus, expected.message_modulus, expected.carry_modulus);
}

/// A radix object of the right shape for the type: signed ones are never served.
Status check_kind(RadixObject::Kind found, FheType type) {
  const auto expected = type == FheType::boolean ? RadixObject::Kind::boolean : RadixObject::Kind::unsigned_integer;
  if (found == expected) return {};
  static constexpr const char* kNames[] = {"a boolean", "an unsigned integer", "a signed integer"};
  return bad("the ciphertext is {}, the request says {}", kNames[static_cast<int>(found)], tfhe::info(type).name);
}

Status check_data_kind(const tfhe::DataKind& found, FheType type) {
  if (found == tfhe::kind_of(type)) return {};
  return bad("the ciphertext is {}, the request says {} ({})", tfhe::describe(found), tfhe::info(type).name,
             tfhe::describe(tfhe::kind_of(type)));
}

/// Every GLWE of a list is of the key's shape; the list holds at least `needed` ciphertexts.
template <tfhe::Word W>
Status check_list(const tfhe::PackedList<W>& list, std::size_t glwe_dimension, std::size_t polynomial_size,
                  std::size_t lwe_per_glwe, std::uint32_t log_modulus, const tfhe::PlaintextSpace& space,
                  std::size_t needed) {
  WITAN_TRY(check_space(list.space, space));
  if (list.lwe_per_glwe == 0 || list.lwe_per_glwe > polynomial_size || list.lwe_per_glwe != lwe_per_glwe)
    return bad("the list packs {} ciphertexts per GLWE, the key {}", list.lwe_per_glwe, lwe_per_glwe);
  std::size_t available = 0;
  for (std::size_t i = 0; i < list.glwes.size(); ++i) {
    const auto& glwe = list.glwes[i];
    if (glwe.glwe_dimension != glwe_dimension || glwe.polynomial_size != polynomial_size)
      return bad("GLWE {} has dimension {} and polynomial size {}, the key {} and {}", i, glwe.glwe_dimension,
                 glwe.polynomial_size, glwe_dimension, polynomial_size);
    if (glwe.log_modulus != log_modulus)
      return bad("GLWE {} has storage modulus 2^{}, expected 2^{}", i, glwe.log_modulus, log_modulus);
    if (glwe.bodies_count > list.lwe_per_glwe || (i + 1 < list.glwes.size() && glwe.bodies_count != list.lwe_per_glwe))
      return bad("GLWE {} of {} holds {} ciphertexts, {} fit", i, list.glwes.size(), glwe.bodies_count,
                 list.lwe_per_glwe);
    WITAN_TRY(tfhe::check(glwe));
    available += glwe.bodies_count;
  }
  if (available < needed) return bad("the list holds {} ciphertexts, the value has {}", available, needed);
  return {};
}

}  // namespace

Result<std::vector<tfhe::PartialGlwe<u128>>> parse_big_compressed(ByteView bytes, const Params& params, FheType type) {
  if (!params.sns_compression) return bad("the key has no squashed compression");
  WITAN_ASSIGN(const SquashedListObject object, read_squashed_list(bytes, Trailing::ignore));
  if (object.kinds.empty()) return bad("the list holds no value");
  WITAN_TRY(check_data_kind(object.kinds[0], type));
  if (!object.has_meta) return bad("the list has no parameters");
  const auto& key = *params.sns_compression;
  const auto blocks = static_cast<std::size_t>(tfhe::info(type).packed_blocks);
  WITAN_TRY(check_list(object.list, key.glwe_dimension, key.polynomial_size, key.lwe_per_glwe, 128, key.space, blocks));
  return tfhe::list_prefix(object.list, blocks);
}

Result<std::vector<tfhe::Lwe<u128>>> parse_big_expanded(ByteView bytes, const Params& params, FheType type) {
  if (!params.sns) return bad("the key has no noise squashing");
  WITAN_ASSIGN(SquashedObject object, read_squashed(bytes, Trailing::ignore));
  WITAN_TRY(check_kind(object.kind, type));
  if (object.post_decompression)
    return bad(
        "the ciphertext came out of a compressed list and is under the compression key; send the list as "
        "BigCompressed");
  const auto& info = tfhe::info(type);
  if (object.blocks.size() != static_cast<std::size_t>(info.packed_blocks))
    return bad("the ciphertext has {} packed blocks, {} has {}", object.blocks.size(), info.name, info.packed_blocks);
  if (type != FheType::boolean && object.original_block_count != static_cast<std::uint64_t>(info.blocks))
    return bad("the ciphertext stands for {} blocks, {} has {}", object.original_block_count, info.name, info.blocks);
  std::vector<tfhe::Lwe<u128>> out;
  for (tfhe::SquashedBlock& block : object.blocks) {
    WITAN_TRY(check_space(block.space, params.sns->space));
    if (block.lwe.dimension() != params.sns->dimension())
      return bad("a block has dimension {}, the key {}", block.lwe.dimension(), params.sns->dimension());
    out.push_back(std::move(block.lwe));
  }
  return out;
}

Result<std::vector<tfhe::Block>> parse_small_expanded(ByteView bytes, const Params& params, FheType type) {
  WITAN_ASSIGN(RadixObject object, read_radix(bytes, Trailing::ignore));
  WITAN_TRY(check_kind(object.kind, type));
  const auto& info = tfhe::info(type);
  if (object.blocks.size() != static_cast<std::size_t>(info.blocks))
    return bad("the ciphertext has {} blocks, {} has {}", object.blocks.size(), info.name, info.blocks);
  for (const tfhe::Block& block : object.blocks) {
    WITAN_TRY(check_space(block.space, params.compute.space));
    if (block.order != tfhe::pbs_order(params.compute.encryption_key))
      return bad("a block has another order of bootstrap and key switch than the key");
    if (block.lwe.dimension() != params.compute.block_dimension())
      return bad("a block has dimension {}, the key {}", block.lwe.dimension(), params.compute.block_dimension());
    // What a block says of itself is not trusted (18.6), but one that admits a carry or too much noise would be paired
    // wrongly: refused here, as tfhe-rs does when it squashes.
    if (block.degree >= params.compute.space.message_modulus)
      return bad("a block has degree {}: it may have a carry; propagate carries first", block.degree);
    if (block.noise_level > params.compute.max_noise_level)
      return bad("a block has noise level {}, at most {} is possible", block.noise_level,
                 params.compute.max_noise_level);
  }
  return std::move(object.blocks);
}

Result<tfhe::PackedList<u64>> parse_small_compressed(ByteView bytes, const Params& params, FheType type) {
  if (!params.compression) return bad("the key has no compression");
  WITAN_ASSIGN(CompressedListObject object, read_compressed_list(bytes, Trailing::ignore));
  if (object.kinds.size() != 1) return bad("the list holds {} values, exactly one is decrypted", object.kinds.size());
  WITAN_TRY(check_data_kind(object.kinds[0], type));
  if (!object.has_meta) return bad("the list has no parameters");
  if (object.order != tfhe::pbs_order(params.compute.encryption_key))
    return bad("the list has another order of bootstrap and key switch than the key");
  const auto& key = *params.compression;
  WITAN_TRY(check_list(object.list, key.glwe_dimension, key.polynomial_size, key.lwe_per_glwe, key.storage_log_modulus,
                       params.compute.space, static_cast<std::size_t>(tfhe::info(type).blocks)));
  return std::move(object.list);
}

Bytes small_expanded(FheType type, std::vector<tfhe::Block> blocks, Bytes tag) {
  const auto kind = type == FheType::boolean ? RadixObject::Kind::boolean : RadixObject::Kind::unsigned_integer;
  return to_bytes(RadixObject{kind, std::move(blocks), std::move(tag), {}});
}

Bytes small_compressed(FheType type, tfhe::PackedList<u64> list, tfhe::PbsOrder order, Bytes tag) {
  CompressedListObject object;
  object.list = std::move(list);
  object.order = order;
  object.kinds = {tfhe::kind_of(type)};
  object.tag = std::move(tag);
  object.metadata = {Bytes{}};
  return to_bytes(object);
}

Bytes big_expanded(FheType type, std::vector<tfhe::SquashedBlock> blocks, Bytes tag) {
  SquashedObject object;
  object.kind = type == FheType::boolean ? RadixObject::Kind::boolean : RadixObject::Kind::unsigned_integer;
  object.blocks = std::move(blocks);
  object.original_block_count = static_cast<u64>(tfhe::info(type).blocks);
  object.tag = std::move(tag);
  return to_bytes(object);
}

Bytes big_compressed(FheType type, tfhe::PackedList<u128> list, Bytes tag) {
  SquashedListObject object;
  object.list = std::move(list);
  object.kinds = {tfhe::kind_of(type)};
  object.tag = std::move(tag);
  return to_bytes(object);
}

}  // namespace witan::tfhe_rs
