// Shared by the tests of this layer: any object read and written again, and decryption with a whole client key.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "support/support.h"
#include "tfhe/encrypt.h"
#include "tfhe/evaluate.h"
#include "tfhe_rs/ciphertexts.h"

namespace witan::tfhe_rs {

/// Reads an object of any type and writes it again; the error of reading otherwise. Bytes must end with the object.
Result<Bytes> rewritten(ByteView bytes, std::uint32_t expansion_tag = 1);

/// The .bin files of a folder under tests/data that hold objects of this layer: no CRS, no proofs, no plain bincode.
std::vector<std::filesystem::path> objects_in(std::string_view folder);

/// Value of an index.json entry: a boolean, a number, decimal or hexadecimal text.
tfhe::U256 value_of(const nlohmann::json& value);

/// Decrypts what parse_*() gave, with the whole key: the meaning of the bytes.
class Decryptor {
 public:
  explicit Decryptor(std::string_view client_key) : key_(read_client_key(test::read_data(client_key)).value()) {}
  const tfhe::Params& params() const { return key_.params; }
  const tfhe::SecretKeySet& keys() const { return key_.keys; }

  tfhe::U256 big(const std::vector<tfhe::Lwe<u128>>& blocks, tfhe::FheType type, tfhe::KeyName name) const;
  tfhe::U256 small(const std::vector<tfhe::Block>& blocks, tfhe::FheType type) const;
  /// Phases of a stored 64-bit list before its decompression: 2 bits at 2^61.
  tfhe::U256 small_list(const tfhe::PackedList<u64>& list, tfhe::FheType type) const;
  /// 2-bit digits of blocks under any key, least significant first.
  std::vector<std::uint8_t> digits(const std::vector<tfhe::Block>& blocks, tfhe::KeyName name) const;

 private:
  ClientKeyObject key_;
};

}  // namespace witan::tfhe_rs
