#include "tfhe_rs/tfhe_rs_testing.h"

#include <algorithm>

namespace witan::tfhe_rs {
namespace {

template <class Object, class... Options>
Result<Bytes> again(const Result<Object>& parsed, Options... options) {
  if (!parsed) return fail(parsed.error());
  return to_bytes(*parsed, options...);
}

}  // namespace

Result<Bytes> rewritten(ByteView bytes, std::uint32_t expansion_tag) {
  WITAN_ASSIGN(std::string name, object_name(bytes));
  name = name.substr(name.rfind(':') + 1);
  constexpr auto kStrict = Trailing::reject;
  if (name.starts_with("SquashedNoiseFhe")) return again(read_squashed(bytes, kStrict));
  if (name == "CompressedSquashedNoiseCiphertextList") return again(read_squashed_list(bytes, kStrict));
  if (name == "CompressedCiphertextList") return again(read_compressed_list(bytes, kStrict));
  if (name == "CompactCiphertextList") return again(read_compact_list(bytes, kStrict));
  if (name == "CompactPublicKey") return again(read_public_key(bytes, kStrict), expansion_tag);
  if (name == "CompressedCompactPublicKey") return again(read_compressed_public_key(bytes, kStrict));
  if (name == "CompressedServerKey") return again(read_server_key(bytes, kStrict));
  if (name == "CompressedXofKeySet") return again(read_key_set(bytes));
  if (name == "ClientKey") return again(read_client_key(bytes));
  if (name.starts_with("CompressedFhe")) return again(read_seeded(bytes, kStrict));
  if (name.starts_with("Fhe")) return again(read_radix(bytes, kStrict));
  return fail(Code::invalid_argument, "{} is no object of this layer", name);
}

std::vector<std::filesystem::path> objects_in(std::string_view folder) {
  std::vector<std::filesystem::path> out;
  for (const auto& entry : std::filesystem::directory_iterator(test::data_path(folder))) {
    const std::string name = entry.path().filename().string();
    if (name.ends_with(".bin") && !name.ends_with(".plain.bin") && !name.starts_with("crs_") &&
        !name.starts_with("proven_list"))
      out.push_back(entry.path());
  }
  std::ranges::sort(out);
  return out;
}

tfhe::U256 value_of(const nlohmann::json& value) {
  if (value.is_boolean()) return tfhe::U256(value.get<bool>() ? 1 : 0);
  if (value.is_number_unsigned()) return tfhe::U256(value.get<std::uint64_t>());
  const std::string text = value.get<std::string>();
  if (text == "true" || text == "false") return tfhe::U256(text == "true" ? 1 : 0);
  return tfhe::U256::parse(text).value();
}

tfhe::U256 Decryptor::big(const std::vector<tfhe::Lwe<u128>>& blocks, tfhe::FheType type, tfhe::KeyName name) const {
  std::vector<std::uint8_t> pairs;
  pairs.reserve(blocks.size());
  for (const auto& lwe : blocks) pairs.push_back(tfhe::decode_pair(tfhe::phase(lwe, key_.keys.bits(name))));
  return tfhe::recombine(type, pairs).value();
}

tfhe::U256 Decryptor::small(const std::vector<tfhe::Block>& blocks, tfhe::FheType type) const {
  return tfhe::recombine(type, tfhe::pair_blocks(digits(blocks, tfhe::KeyName::glwe))).value();
}

tfhe::U256 Decryptor::small_list(const tfhe::PackedList<u64>& list, tfhe::FheType type) const {
  std::vector<std::uint8_t> out;
  for (int i = 0; i < tfhe::info(type).blocks; ++i) {
    const auto lwe = tfhe::list_element(list, static_cast<std::size_t>(i)).value();
    const u64 phase = tfhe::phase(lwe, key_.keys.bits(tfhe::KeyName::compression));
    out.push_back(static_cast<std::uint8_t>(((phase + (u64{1} << 60)) >> 61) & 3));
  }
  return tfhe::recombine(type, tfhe::pair_blocks(out)).value();
}

std::vector<std::uint8_t> Decryptor::digits(const std::vector<tfhe::Block>& blocks, tfhe::KeyName name) const {
  std::vector<std::uint8_t> out;
  out.reserve(blocks.size());
  for (const auto& block : blocks)
    out.push_back(static_cast<std::uint8_t>(tfhe::decrypt_block(block, key_.keys.bits(name)) & 3));
  return out;
}

}  // namespace witan::tfhe_rs
