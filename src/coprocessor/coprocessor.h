// What FHEVM's coprocessors do to a client's list, from published objects alone (threshold-tfhe.md 6, tfhe-formats.md 7, 8): expand
// it into ordinary blocks, and bring each value into one of the four formats that a node decrypts. For demo and tests; no
// part of a node.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "tfhe/evaluate.h"
#include "tfhe/fhe_type.h"
#include "tfhe_rs/objects.h"

namespace witan::coprocessor {

enum class Format : std::uint8_t { small_compressed = 0, small_expanded = 1, big_compressed = 2, big_expanded = 3 };
/// "small-compressed", ... Error: invalid_argument.
Result<Format> parse_format(std::string_view name);
std::string_view to_string(Format format);
constexpr bool is_big(Format format) {
  return format == Format::big_compressed || format == Format::big_expanded;
}

/// One value of a list, as blocks under the compute key.
struct Value {
  tfhe::FheType type = tfhe::FheType::boolean;
  std::vector<tfhe::Block> blocks;
  std::vector<tfhe::SquashedBlock> squashed;  // by squash(), for the Big formats
};

class Coprocessor {
 public:
  /// From the bytes of a published CompressedXofKeySet. Errors: invalid_argument; failed_precondition if a part is missing.
  static Result<Coprocessor> open(ByteView key_set);

  /// The values of a serialized CompactCiphertextList. Error: invalid_argument (not a list, of another key, types that the
  /// service does not decrypt).
  Result<std::vector<Value>> expand(ByteView compact_list) const;

  /// Fills `squashed` of the values, over all cores. Error: invalid_argument (blocks of another key).
  Status squash(std::span<Value> values) const;

  /// A value as a serialized object of that format, with the key's tag. For the Big formats it is squashed if it was not.
  Result<Bytes> serialize(const Value& value, Format format) const;

 private:
  struct Keys;
  explicit Coprocessor(std::shared_ptr<const Keys> keys) : keys_(std::move(keys)) {}
  std::shared_ptr<const Keys> keys_;
};

}  // namespace witan::coprocessor
