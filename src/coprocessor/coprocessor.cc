#include "coprocessor/coprocessor.h"

#include "coprocessor/parallel.h"
#include "tfhe/encrypt.h"
#include "tfhe_rs/ciphertexts.h"

namespace witan::coprocessor {
namespace {
constexpr std::string_view kNames[] = {"small-compressed", "small-expanded", "big-compressed", "big-expanded"};
}

struct Coprocessor::Keys {
  tfhe::ComputeKey compute;
  tfhe::CastKey cast;
  tfhe::CompressionKey compression;
  tfhe::SnsKey sns;
  tfhe::SnsCompressionKey sns_compression;
  tfhe::u64 max_noise_level = 0;
  Bytes tag;
};

Result<Format> parse_format(std::string_view name) {
  for (std::size_t i = 0; i < 4; ++i)
    if (kNames[i] == name) return static_cast<Format>(i);
  return fail(Code::invalid_argument,
              "'{}' is no format; there are small-compressed, small-expanded, big-compressed, big-expanded",
              name.substr(0, 40));
}

std::string_view to_string(Format format) {
  return kNames[static_cast<std::size_t>(format)];
}

Result<Coprocessor> Coprocessor::open(ByteView key_set) {
  WITAN_ASSIGN(const tfhe::CompressedKeySet set, tfhe_rs::read_key_set(key_set));
  WITAN_TRY(tfhe::check(set));
  auto keys = std::make_shared<Keys>();
  keys->compute = tfhe::prepare_compute_key(set.server_key);
  WITAN_ASSIGN(keys->cast, tfhe::prepare_cast_key(set.server_key));
  WITAN_ASSIGN(keys->compression, tfhe::prepare_compression_key(set.server_key));
  WITAN_ASSIGN(keys->sns, tfhe::prepare_sns_key(set.server_key));
  WITAN_ASSIGN(keys->sns_compression, tfhe::prepare_sns_compression_key(set.server_key));
  keys->max_noise_level = set.server_key.max_noise_level;
  keys->tag = set.server_key.tag;
  return Coprocessor(std::move(keys));
}

Result<std::vector<Value>> Coprocessor::expand(ByteView compact_list) const {
  WITAN_ASSIGN(const tfhe_rs::CompactListObject object,
               tfhe_rs::read_compact_list(compact_list, tfhe_rs::Trailing::ignore));
  WITAN_TRY(tfhe::check(object.list));
  std::vector<Value> out;
  for (std::size_t i = 0; i < object.list.kinds.size(); ++i) {
    Value value;
    bool served = false;
    for (const tfhe::FheType type : tfhe::all_fhe_types())
      if (tfhe::kind_of(type) == object.list.kinds[i]) value.type = type, served = true;
    if (!served)
      return fail(Code::invalid_argument, "value {} of the list is {}, which the service does not decrypt", i,
                  tfhe::describe(object.list.kinds[i]));
    out.push_back(std::move(value));
  }
  std::vector<Status> done(out.size());
  parallel_for(out.size(), [&](std::size_t i) {
    const std::size_t index = out.size() - 1 - i;  // the widest types mostly come last: begin with them
    auto blocks = tfhe::expand_compact_value(keys_->compute, keys_->cast, object.list, index);
    if (blocks)
      out[index].blocks = *std::move(blocks);
    else
      done[index] = fail(std::move(blocks).error());
  });
  for (Status& status : done) WITAN_TRY(std::move(status));
  return out;
}

Status Coprocessor::squash(std::span<Value> values) const {
  struct Piece {
    tfhe::Block block;
    tfhe::SquashedBlock* out;
    Status done;
  };
  std::vector<Piece> pieces;
  for (Value& value : values) {
    WITAN_ASSIGN(auto paired, tfhe::pair_blocks(value.blocks, keys_->max_noise_level));
    value.squashed.resize(paired.size());
    for (std::size_t i = 0; i < paired.size(); ++i) pieces.push_back({std::move(paired[i]), &value.squashed[i], {}});
  }
  parallel_for(pieces.size(), [&](std::size_t i) {
    Piece& piece = pieces[i];
    auto squashed = tfhe::squash(keys_->compute, keys_->sns, piece.block);
    if (squashed)
      *piece.out = *std::move(squashed);
    else
      piece.done = fail(std::move(squashed).error());
  });
  for (Piece& piece : pieces) {
    if (piece.done) continue;
    for (Value& value : values) value.squashed.clear();
    return fail(std::move(piece.done).error());
  }
  return {};
}

Result<Bytes> Coprocessor::serialize(const Value& value, Format format) const {
  switch (format) {
    case Format::small_expanded:
      return tfhe_rs::small_expanded(value.type, value.blocks, keys_->tag);
    case Format::small_compressed: {
      WITAN_ASSIGN(auto list, tfhe::compress(keys_->compression, value.blocks));
      return tfhe_rs::small_compressed(value.type, std::move(list), keys_->compute.order, keys_->tag);
    }
    case Format::big_expanded:
    case Format::big_compressed:
      break;
  }
  std::vector<tfhe::SquashedBlock> squashed = value.squashed;
  if (squashed.empty()) {
    Value copy{value.type, value.blocks, {}};
    WITAN_TRY(squash(std::span(&copy, 1)));
    squashed = std::move(copy.squashed);
  }
  if (format == Format::big_expanded) return tfhe_rs::big_expanded(value.type, std::move(squashed), keys_->tag);
  WITAN_ASSIGN(auto list, tfhe::compress(keys_->sns_compression, std::span<const tfhe::SquashedBlock>(squashed)));
  return tfhe_rs::big_compressed(value.type, std::move(list), keys_->tag);
}

}  // namespace witan::coprocessor
