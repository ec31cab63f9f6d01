#include "tfhe_rs/inspect.h"

#include "tfhe_rs/objects.h"

namespace witan::tfhe_rs {
namespace {

class Page {
 public:
  template <class Value>
  Page& add(std::string name, const Value& value) {
    lines_.emplace_back(std::move(name), fmt::format("{}", value));
    return *this;
  }
  Page& tag(const Bytes& bytes) { return add("tag", bytes.empty() ? "(none)" : to_hex(bytes)); }
  Page& decomposition(const std::string& name, const tfhe::Decomposition& d) {
    return add(name, fmt::format("base 2^{}, {} level{}", d.base_log, d.level_count, d.level_count == 1 ? "" : "s"));
  }
  Page& space(const tfhe::PlaintextSpace& s) {
    return add("message and carry", fmt::format("{} and {}", s.message_modulus, s.carry_modulus));
  }
  Description take() { return std::move(lines_); }

 private:
  Description lines_;
};

std::string kinds_text(const std::vector<tfhe::DataKind>& kinds) {
  std::string out;
  for (std::size_t i = 0; i < kinds.size() && i < 16; ++i) out += (i ? ", " : "") + tfhe::describe(kinds[i]);
  if (kinds.size() > 16) out += fmt::format(", and {} more", kinds.size() - 16);
  return out.empty() ? "(none)" : out;
}

void pke(Page& page, const tfhe::CompactKeyParams& params) {
  page.add("dimension", params.lwe_dimension)
      .add("noise", fmt::format("TUniform({})", params.noise.bound_log2))
      .space(params.space);
  page.add("expansion", params.expansion.index() == 0 ? "requires casting" : "no casting");
  static constexpr const char* kZk[] = {"not supported", "V1", "V2"};
  page.add("proofs", kZk[static_cast<int>(params.zk)]);
}

/// Which set of the table has these parameters.
std::string params_name_of(const tfhe::Params& params) {
  for (const auto name : tfhe::params_names())
    if (const auto known = tfhe::params_by_name(name); known && known->same_values(params)) return std::string(name);
  return "(not in the table)";
}

template <class List>
void packed(Page& page, const List& list) {
  page.add("GLWEs", list.glwes.size())
      .add("ciphertexts", list.size())
      .add("ciphertexts per GLWE", list.lwe_per_glwe)
      .space(list.space);
  if (!list.glwes.empty())
    page.add("GLWE", fmt::format("k = {}, N = {}, storage modulus 2^{}", list.glwes[0].glwe_dimension,
                                 list.glwes[0].polynomial_size, list.glwes[0].log_modulus));
}

void server_key(Page& page, const tfhe::CompressedServerKey& key) {
  page.space(key.space).add("max degree", key.max_degree).add("max noise level", key.max_noise_level);
  page.decomposition("key switch", key.ksk.decomposition).add("small dimension", key.ksk.output_dimension);
  page.decomposition("bootstrap", key.bootstrap.bsk.decomposition);
  page.add("bootstrap GLWE",
           fmt::format("k = {}, N = {}", key.bootstrap.bsk.glwe_dimension, key.bootstrap.bsk.polynomial_size));
  const auto part = [&](const char* name, bool there) { page.add(name, there ? "yes" : "no"); };
  part("casting key", key.cast.has_value());
  part("compression", key.compression.has_value());
  part("decompression", key.decompression.has_value());
  part("noise squashing", key.sns.has_value());
  part("squashed compression", key.sns_compression.has_value());
  part("re-randomization", key.rerandomization.has_value());
  part("OPRF", key.oprf.has_value());
  page.tag(key.tag);
}

}  // namespace

Result<Description> inspect(ByteView bytes) {
  WITAN_ASSIGN(const std::string name, object_name(bytes));
  Page page;
  page.add("type", name).add("bytes", bytes.size());
  const std::string type = name.substr(name.rfind(':') + 1);
  if (type.starts_with("SquashedNoiseFhe")) {
    WITAN_ASSIGN(const auto object, read_squashed(bytes, Trailing::ignore));
    page.add("format", "BigExpanded").add("state", object.post_decompression ? "PostDecompression" : "Normal");
    page.add("packed blocks", object.blocks.size()).add("original blocks", object.original_block_count);
    if (!object.blocks.empty()) page.add("dimension", object.blocks[0].lwe.dimension()).space(object.blocks[0].space);
    page.tag(object.tag);
  } else if (type == "CompressedSquashedNoiseCiphertextList") {
    WITAN_ASSIGN(const auto object, read_squashed_list(bytes, Trailing::ignore));
    page.add("format", "BigCompressed").add("values", kinds_text(object.kinds));
    packed(page, object.list);
    page.tag(object.tag);
  } else if (type == "CompressedCiphertextList") {
    WITAN_ASSIGN(const auto object, read_compressed_list(bytes, Trailing::ignore));
    page.add("format", "SmallCompressed").add("values", kinds_text(object.kinds));
    packed(page, object.list);
    page.tag(object.tag);
  } else if (type == "CompactCiphertextList") {
    WITAN_ASSIGN(const auto object, read_compact_list(bytes, Trailing::ignore));
    page.add("values", kinds_text(object.list.kinds)).add("dimension", object.list.lwe_dimension);
    page.add("ciphertexts", object.list.ciphertext_count)
        .add("packed", object.list.is_packed() ? "two blocks per ciphertext" : "no");
    page.space(object.list.space).tag(object.tag);
  } else if (type == "CompactPublicKey") {
    WITAN_ASSIGN(const auto key, read_public_key(bytes, Trailing::ignore));
    pke(page, key.params);
    page.tag(key.tag);
  } else if (type == "CompressedCompactPublicKey") {
    WITAN_ASSIGN(const auto key, read_compressed_public_key(bytes, Trailing::ignore));
    pke(page, key.key.params);
    page.tag(key.tag);
  } else if (type == "CompressedServerKey") {
    WITAN_ASSIGN(const auto key, read_server_key(bytes, Trailing::ignore));
    server_key(page, key);
  } else if (type == "CompressedXofKeySet") {
    WITAN_ASSIGN(const auto set, read_key_set(bytes, Trailing::ignore));
    page.add("seed record", to_hex(set.seed.data));
    pke(page, set.public_key.key.params);
    server_key(page, set.server_key);
  } else if (type == "ClientKey") {
    WITAN_ASSIGN(const auto key, read_client_key(bytes, Trailing::ignore));
    page.add("parameters", params_name_of(key.params));
    for (std::size_t i = 0; i < tfhe::kKeyNames; ++i)
      page.add(std::string("key ") + tfhe::to_string(static_cast<tfhe::KeyName>(i)),
               fmt::format("{} bits (secret, not shown)", key.keys.bits(static_cast<tfhe::KeyName>(i)).size()));
    page.tag(key.tag);
  } else if (type.starts_with("CompressedFhe")) {
    WITAN_ASSIGN(const auto object, read_seeded(bytes, Trailing::ignore));
    page.add("form", "seeded").add("blocks", object.blocks.size());
    if (!object.blocks.empty()) page.add("dimension", object.blocks[0].lwe_dimension).space(object.blocks[0].space);
    page.tag(object.tag);
  } else if (type.starts_with("Fhe")) {
    WITAN_ASSIGN(const auto object, read_radix(bytes, Trailing::ignore));
    page.add("format", "SmallExpanded").add("blocks", object.blocks.size());
    if (!object.blocks.empty()) page.add("dimension", object.blocks[0].lwe.dimension()).space(object.blocks[0].space);
    page.tag(object.tag);
  } else {
    return fail(Code::invalid_argument, "'{}' is no object that this program reads", name);
  }
  return page.take();
}

}  // namespace witan::tfhe_rs
