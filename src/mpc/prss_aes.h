// AES-128 (FIPS 197) under many keys side by side: decryption masks need one fresh key per set and ciphertext (495 at
// n = 13) for two blocks each, so that setting up a cipher object per key would cost more than the blocks.
#pragma once

#include <array>
#include <span>
#include <vector>

#include "base/secret.h"

namespace witan::mpc {

using SetKey = ByteArray<16>;

/// Expanded keys. Nothing changes after construction: threads may share it. Wiped on destruction.
class AesKeys {
 public:
  explicit AesKeys(std::span<const SetKey> keys);

  std::size_t size() const { return size_; }
  /// Encrypts blocks[i] in place under key i. Precondition: as many blocks as keys.
  void encrypt_each(std::span<SetKey> blocks) const;
  /// Under key `i`: the counters first, first + 1, ... as 16 bytes little endian, read back as little-endian numbers.
  void encrypt_counters(std::size_t i, std::uint64_t first, std::span<u128> out) const;

 private:
  using RoundKeys = std::array<SetKey, 11>;
  std::size_t size_;
  Secret<std::vector<RoundKeys>> keys_;  // filled up to whole lanes
};

}  // namespace witan::mpc
