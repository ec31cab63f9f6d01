// What only tests may use: the vectors under tests/data and seeded randomness. Never linked into a program.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/rng.h"

namespace witan::test {

/// Path of a vector, e.g. data_path("mpc/ring.json").
std::filesystem::path data_path(std::string_view relative);
Bytes read_file(const std::filesystem::path& path);
Bytes read_data(std::string_view relative);
nlohmann::json read_json(std::string_view relative);
/// Decodes hexadecimal text of a vector (an "0x" in front is dropped); throws std::runtime_error on bad text.
Bytes hex(std::string_view text);

/// SHAKE256 of a label in counter mode: the same label gives the same bytes.
class SeededRng final : public Rng {
 public:
  explicit SeededRng(std::string_view label) : label_(label) {}
  explicit SeededRng(std::uint64_t seed) : label_(std::to_string(seed)) {}
  void fill(MutableByteView out) override;

 private:
  std::string label_;
  std::uint64_t counter_ = 0;
  Bytes buffer_;
  std::size_t used_ = 0;
};

}  // namespace witan::test
