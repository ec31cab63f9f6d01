#include "tfhe/ciphertext.h"

namespace witan::tfhe {

template <Word W>
std::size_t PackedList<W>::size() const {
  std::size_t total = 0;
  for (const PackedGlwe<W>& glwe : glwes) total += glwe.bodies_count;
  return total;
}
template struct PackedList<u64>;
template struct PackedList<u128>;

namespace {
constexpr std::size_t kBlocksPerChar = 4;  // seven bits in blocks of two
}

std::size_t block_count(const DataKind& kind) {
  if (const auto* value = std::get_if<UnsignedKind>(&kind)) return value->blocks;
  if (const auto* value = std::get_if<SignedKind>(&kind)) return value->blocks;
  if (const auto* value = std::get_if<StringKind>(&kind)) return kBlocksPerChar * value->char_count;
  return 1;
}

std::string describe(const DataKind& kind) {
  if (const auto* value = std::get_if<UnsignedKind>(&kind)) return fmt::format("Unsigned of {} blocks", value->blocks);
  if (const auto* value = std::get_if<SignedKind>(&kind)) return fmt::format("Signed of {} blocks", value->blocks);
  if (const auto* value = std::get_if<StringKind>(&kind))
    return fmt::format("String of {} characters", value->char_count);
  return "Boolean";
}

std::size_t CompactList::total_blocks() const {
  std::size_t total = 0;
  for (const DataKind& kind : kinds) total += block_count(kind);
  return total;
}

}  // namespace witan::tfhe
