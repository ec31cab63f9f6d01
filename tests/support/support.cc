#include "support/support.h"

#include <openssl/evp.h>

#include <algorithm>
#include <fstream>
#include <stdexcept>

namespace witan::test {

std::filesystem::path data_path(std::string_view relative) {
  return std::filesystem::path(WITAN_TEST_DATA_DIR) / relative;
}

Bytes read_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw std::runtime_error("cannot read " + path.string());
  return Bytes(std::istreambuf_iterator<char>(in), {});
}

Bytes read_data(std::string_view relative) {
  return read_file(data_path(relative));
}

nlohmann::json read_json(std::string_view relative) {
  return nlohmann::json::parse(read_data(relative));
}

Bytes hex(std::string_view text) {
  if (text.starts_with("0x")) text.remove_prefix(2);
  auto bytes = from_hex(text);
  if (!bytes) throw std::runtime_error(bytes.error().message);
  return *std::move(bytes);
}

void SeededRng::fill(MutableByteView out) {
  for (auto& byte : out) {
    if (used_ == buffer_.size()) {
      const std::string input = label_ + '/' + std::to_string(counter_++);
      buffer_.resize(4096);
      used_ = 0;
      EVP_MD_CTX* ctx = EVP_MD_CTX_new();
      EVP_DigestInit_ex(ctx, EVP_shake256(), nullptr);
      EVP_DigestUpdate(ctx, input.data(), input.size());
      EVP_DigestFinalXOF(ctx, buffer_.data(), buffer_.size());
      EVP_MD_CTX_free(ctx);
    }
    byte = buffer_[used_++];
  }
}

}  // namespace witan::test
