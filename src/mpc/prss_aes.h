// AES-128 (FIPS 197) under many keys side by side: decryption masks need one fresh key per set and ciphertext (495 at
// n = 13) for two blocks each, so that setting up a cipher object per key would cost more than the blocks.
#pragma once

#include <array>
#include <optional>
#include <span>
#include <vector>

#include "base/secret.h"

namespace witan::mpc {

using SetKey = ByteArray<16>;

/// The instructions that AES may use. The bits are the same with all of them, and no branch or address depends on a key or a
/// block: the portable code computes the S-box on bit planes.
enum class AesTarget : std::uint8_t { portable, aes_ni, vaes256, vaes512 };
inline constexpr std::array kAesTargets = {AesTarget::vaes512, AesTarget::vaes256, AesTarget::aes_ni,
                                           AesTarget::portable};  // best first
/// "VAES-512", "VAES-256", "AES-NI", "portable".
const char* to_string(AesTarget target);
/// Does this processor have it?
bool available(AesTarget target);
/// What AesKeys use from now on in this process; nothing: the best, as without a call. For tests and benchmarks; programs
/// never call it. Precondition (checked): available.
void choose_aes_target(std::optional<AesTarget> target);
AesTarget aes_target();

namespace aes {
struct KeyGroup;
}

/// Expanded keys. Nothing changes after construction: threads may share it. Wiped on destruction.
class AesKeys {
 public:
  explicit AesKeys(std::span<const SetKey> keys);
  AesKeys(AesKeys&&) noexcept;
  AesKeys& operator=(AesKeys&&) noexcept;
  ~AesKeys();

  std::size_t size() const { return size_; }
  /// Encrypts blocks[i] in place under key i. Precondition: as many blocks as keys.
  void encrypt_each(std::span<SetKey> blocks) const;
  /// Under key `i`: the blocks (first, high), (first + 1, high), ..., two numbers of 8 bytes little endian each, read back as
  /// little-endian numbers of 16 bytes.
  void encrypt_counters(std::size_t i, std::uint64_t first, std::uint64_t high, std::span<u128> out) const;

  /// Sums of two draws under every key, the small part of a decryption mask (mpc.md 8.5): with c = first + 2b,
  ///   out[b * row_size() + i] = (AES_i(c) mod 2^bits) + (AES_i(c + 1) mod 2^bits),
  /// counters (high = 0) and numbers as in encrypt_counters(). What stands behind the size() sums of a row means nothing.
  /// Preconditions (checked): whole rows, 64 < bits < 128.
  void add_pairs(std::uint64_t first, unsigned bits, std::span<u128> out) const;
  std::size_t row_size() const;

 private:
  std::size_t size_;
  Secret<std::vector<aes::KeyGroup>> groups_;  // the last one filled up with zero keys
};

}  // namespace witan::mpc
