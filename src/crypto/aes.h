// AES-128 (FIPS 197) on single blocks, many at a time. OpenSSL uses the machine's AES instructions.
#pragma once

#include <memory>

#include "base/bytes.h"
#include "base/secret.h"

namespace witan::crypto {

/// A key, ready to encrypt. Not shared between threads: each makes its own or takes a duplicate().
class Aes128 {
 public:
  explicit Aes128(const ByteArray<16>& key);
  ~Aes128();
  Aes128(Aes128&&) noexcept;
  Aes128& operator=(Aes128&&) noexcept;
  /// The same key for another thread; may be called by several threads at once.
  Aes128 duplicate() const;

  /// Encrypts data.size() / 16 blocks in place. Precondition: whole blocks.
  void encrypt(MutableByteView data) const;
  /// AES of the counters first, first + 1, ... (mod 2^128), each as 16 bytes little endian, into out.
  void encrypt_counters(u128 first, MutableByteView out) const;

 private:
  struct State;
  explicit Aes128(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace witan::crypto
