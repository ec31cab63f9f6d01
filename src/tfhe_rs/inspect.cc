#include "tfhe_rs/inspect.h"

#include "crypto/separators.h"
#include "tfhe/encrypt.h"
#include "tfhe/evaluate.h"
#include "tfhe_rs/format.h"

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
  /// Whether sizes that must agree do.
  Page& consistency(const Status& checked) {
    return add("consistency", checked ? "all sizes agree" : checked.error().message);
  }
  Description take() { return std::move(lines_); }

 private:
  Description lines_;
};

std::string text(const tfhe::PlaintextSpace& space) {
  return fmt::format("{} and {}", space.message_modulus, space.carry_modulus);
}
std::string text(const tfhe::Decomposition& d) {
  return fmt::format("base 2^{}, {} level{}", d.base_log, d.level_count, d.level_count == 1 ? "" : "s");
}
std::string text(tfhe::PbsOrder order) {
  return order == tfhe::PbsOrder::keyswitch_bootstrap ? "key switch, then bootstrap" : "bootstrap, then key switch";
}
std::string text(const std::vector<tfhe::DataKind>& kinds) {
  constexpr std::size_t kShown = 16;
  std::string out;
  for (std::size_t i = 0; i < kinds.size() && i < kShown; ++i) out += (i ? ", " : "") + tfhe::describe(kinds[i]);
  if (kinds.size() > kShown) out += fmt::format(", and {} more", kinds.size() - kShown);
  return out.empty() ? "(none)" : out;
}
std::string text(const tfhe::SeededModulusSwitch& technique) {
  if (const auto* drift = std::get_if<tfhe::SeededDrift>(&technique))
    return fmt::format("drift, {} encryptions of zero", drift->zeros.data.size());
  return std::holds_alternative<tfhe::StandardSwitch>(technique) ? "standard" : "centered mean";
}
std::string text(const tfhe::CompactKeyParams& params) {
  static constexpr const char* kProofs[] = {"no proofs", "proofs V1", "proofs V2"};
  return fmt::format(
      "dimension {}, noise TUniform({}), message and carry {}, {}, {}", params.lwe_dimension, params.noise.bound_log2,
      text(params.space),
      std::holds_alternative<tfhe::RequiresCasting>(params.expansion) ? "requires casting" : "no casting",
      kProofs[static_cast<int>(params.zk)]);
}
std::string text(const tfhe::SeededKsk& key) {
  return fmt::format("{}, output dimension {}, {} words", text(key.decomposition), key.output_dimension,
                     key.data.size());
}
/// Bootstrap and packing keys.
template <class Key>
std::string glwe_text(const Key& key) {
  return fmt::format("{}, k = {}, N = {}, {} words of {} bits", text(key.decomposition), key.glwe_dimension,
                     key.polynomial_size, key.data.size(), 8 * sizeof(key.data[0]));
}
template <class Bootstrap>
std::string bootstrap_text(const Bootstrap& key) {
  return fmt::format("{}; modulus switch {}", glwe_text(key.bsk), text(key.modulus_switch));
}
std::string text(const tfhe::SeededRerandomization& key) {
  if (const auto* derived = std::get_if<tfhe::SeededCompactKey>(&key))
    return "derived public key: " + text(derived->params);
  const auto& legacy = std::get<tfhe::SeededLegacyRerandomization>(key);
  return legacy.dedicated ? "key switching key of its own: " + text(legacy.dedicated->ksk) : "with the casting key";
}

const char* kind_text(RadixObject::Kind kind) {
  static constexpr const char* kNames[] = {"boolean", "unsigned", "signed"};
  return kNames[static_cast<int>(kind)];
}

/// Which set of the table has these parameters.
std::string params_name_of(const tfhe::Params& params) {
  for (const auto name : tfhe::params_names())
    if (const auto known = tfhe::params_by_name(name); known && known->same_values(params)) return std::string(name);
  return "(not in the table)";
}

template <class List>
void packed(Page& page, const List& list) {
  page.add("ciphertexts", list.size()).add("ciphertexts per GLWE", list.lwe_per_glwe);
  page.add("message and carry", text(list.space)).add("GLWEs", list.glwes.size());
  if (list.glwes.empty()) return;
  const auto& glwe = list.glwes.front();
  page.add("GLWE", fmt::format("k = {}, N = {}, storage modulus 2^{}", glwe.glwe_dimension, glwe.polynomial_size,
                               glwe.log_modulus));
  Status checked;
  for (const auto& each : list.glwes)
    if (checked) checked = tfhe::check(each);
  page.consistency(checked);
}

void describe(Page& page, const RadixObject& object) {
  page.add("format", "SmallExpanded").add("kind", kind_text(object.kind)).add("blocks", object.blocks.size());
  if (!object.blocks.empty()) {
    const tfhe::Block& block = object.blocks.front();
    page.add("dimension", block.lwe.dimension()).add("message and carry", text(block.space));
    page.add("order", text(block.order)).add("degree", block.degree).add("noise level", block.noise_level);
  }
  page.tag(object.tag);
  if (!object.metadata.empty()) page.add("re-randomization metadata", to_hex(object.metadata));
}

void describe(Page& page, const CompressedListObject& object) {
  page.add("format", "SmallCompressed").add("values", text(object.kinds));
  packed(page, object.list);
  page.add("order", text(object.order)).tag(object.tag);
}

void describe(Page& page, const SquashedObject& object) {
  page.add("format", "BigExpanded").add("kind", kind_text(object.kind));
  page.add("state", object.post_decompression ? "PostDecompression" : "Normal");
  page.add("packed blocks", object.blocks.size());
  if (object.kind != RadixObject::Kind::boolean) page.add("original blocks", object.original_block_count);
  if (!object.blocks.empty())
    page.add("dimension", object.blocks[0].lwe.dimension()).add("message and carry", text(object.blocks[0].space));
  page.tag(object.tag);
}

void describe(Page& page, const SquashedListObject& object) {
  page.add("format", "BigCompressed").add("values", text(object.kinds));
  packed(page, object.list);
  page.tag(object.tag);
}

void describe(Page& page, const SeededObject& object) {
  page.add("format", "seeded, never sent to a node").add("kind", kind_text(object.kind));
  page.add("blocks", object.blocks.size());
  if (!object.blocks.empty())
    page.add("dimension", object.blocks[0].lwe_dimension).add("message and carry", text(object.blocks[0].space));
  page.tag(object.tag);
}

void describe(Page& page, const CompactListObject& object) {
  const tfhe::CompactList& list = object.list;
  page.add("values", text(list.kinds)).add("ciphertexts", list.ciphertext_count);
  page.add("packed", list.is_packed() ? "two blocks per ciphertext" : "no").add("dimension", list.lwe_dimension);
  page.add("message and carry", text(list.space)).consistency(tfhe::check(list)).tag(object.tag);
}

void describe(Page& page, const tfhe::CompactPublicKey& key) {
  page.add("public key", text(key.params)).tag(key.tag);
}
void describe(Page& page, const tfhe::CompressedCompactPublicKey& key) {
  page.add("public key", text(key.key.params)).tag(key.tag);
}

void parts(Page& page, const tfhe::CompressedServerKey& key) {
  const auto part = [&](const char* name, const auto& value, auto describe_it) {
    page.add(name, value ? describe_it(*value) : std::string("(none)"));
  };
  page.add("message and carry", text(key.space)).add("order", text(key.order));
  page.add("max degree", key.max_degree).add("max noise level", key.max_noise_level);
  page.add("key switch", text(key.ksk)).add("bootstrap", bootstrap_text(key.bootstrap));
  part("casting", key.cast, [](const auto& cast) {
    return text(cast.ksk) + (cast.destination == tfhe::KeyChoice::small ? ", to the small key" : ", to the big key");
  });
  part("compression", key.compression, [](const auto& it) {
    return fmt::format("{}, {} ciphertexts per GLWE at 2^{}", glwe_text(it.packing), it.lwe_per_glwe,
                       it.storage_log_modulus);
  });
  part("decompression", key.decompression, [](const auto& it) { return bootstrap_text(it.bootstrap); });
  part("noise squashing", key.sns, [](const auto& it) { return bootstrap_text(it.bootstrap); });
  part("squashed compression", key.sns_compression, [](const auto& it) {
    return fmt::format("{}, {} ciphertexts per GLWE", glwe_text(it.packing), it.lwe_per_glwe);
  });
  part("re-randomization", key.rerandomization, [](const auto& it) { return text(it); });
  part("OPRF", key.oprf, [](const auto& it) { return glwe_text(it); });
}

void describe(Page& page, const tfhe::CompressedServerKey& key) {
  parts(page, key);
  page.consistency(tfhe::check(key)).tag(key.tag);
}

void describe(Page& page, const tfhe::CompressedKeySet& set) {
  page.add("seed record", to_hex(set.seed.data));
  page.add("mask stream starts at byte", set.starts_at_second_byte ? 1 : 0);
  page.add("public key", text(set.public_key.key.params));
  parts(page, set.server_key);
  page.consistency(tfhe::check(set)).tag(set.server_key.tag);
}

void describe(Page& page, const ClientKeyObject& object) {
  page.add("parameters", params_name_of(object.params));
  for (std::size_t i = 0; i < tfhe::kKeyNames; ++i) {
    const auto name = static_cast<tfhe::KeyName>(i);
    page.add(fmt::format("key {}", tfhe::to_string(name)), fmt::format("{} bits", object.keys.bits(name).size()));
  }
  page.consistency(object.keys.check(object.params)).tag(object.tag);
}

/// Objects whose digests are signed (tfhe-formats.md 17).
template <class Object>
constexpr bool kIsPublished =
    std::same_as<Object, tfhe::CompactPublicKey> || std::same_as<Object, tfhe::CompressedKeySet>;

template <class Object>
Result<Description> page_of(ByteView bytes, const std::string& name) {
  ReadReport report;
  WITAN_ASSIGN(const Object object, read_as<Object>(bytes, Trailing::ignore, &report));
  Page page;
  page.add("type", name).add("bytes", bytes.size() - report.trailing_bytes);
  if (report.trailing_bytes != 0) page.add("bytes after the object", report.trailing_bytes);
  page.add("versions", report.old_versions.empty()
                           ? std::string("as tfhe-rs 1.7 writes them")
                           : fmt::format("older ones: {}", fmt::join(report.old_versions, ", ")));
  if constexpr (kIsPublished<Object>)
    page.add("digest", to_hex(crypto::tagged_hash(crypto::separators::kKeyObject, bytes)));
  describe(page, object);
  return page.take();
}

/// The page of the one type that has this name.
template <class... Objects>
Result<Description> page_of_any(ByteView bytes, const std::string& name) {
  Result<Description> out = fail(Code::invalid_argument, "'{}' is no object that this program reads", name);
  const auto take = [&]<class Object>(Object*) {
    if (std::ranges::find(Format<Object>::kNames, name) != Format<Object>::kNames.end())
      out = page_of<Object>(bytes, name);
  };
  (take(static_cast<Objects*>(nullptr)), ...);
  return out;
}

}  // namespace

Result<Description> inspect(ByteView bytes) {
  WITAN_ASSIGN(const std::string name, object_name(bytes));
  return page_of_any<RadixObject, CompressedListObject, SquashedObject, SquashedListObject, SeededObject,
                     CompactListObject, tfhe::CompactPublicKey, tfhe::CompressedCompactPublicKey,
                     tfhe::CompressedServerKey, tfhe::CompressedKeySet, ClientKeyObject>(bytes, name);
}

}  // namespace witan::tfhe_rs
