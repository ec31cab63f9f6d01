// A party's shares of the two keys that decryptions use (threshold-tfhe.md 2): the squashed-noise key S-bar and its
// compression key C-bar, or of all seven keys. Every entry is a share of one key bit in GR(2^128,4).
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "algebra/dot_product.h"
#include "algebra/shamir.h"
#include "base/secret.h"
#include "tfhe/ciphertext.h"
#include "tfhe/poly.h"
#include "tfhe/secret_key.h"

namespace witan::protocols {

using algebra::Gr;
using algebra::Share;
using algebra::Z128;

/// Shares of one key vector, arranged for dot products with public words. Nothing that can be seen changes after construction:
/// threads may share it.
class SharedKey {
 public:
  SharedKey();
  explicit SharedKey(std::span<const Share<Z128>> shares);
  SharedKey(SharedKey&&) noexcept;
  SharedKey& operator=(SharedKey&&) noexcept;
  ~SharedKey();

  std::size_t size() const { return vector_.size(); }
  Share<Z128> at(std::size_t i) const { return {vector_.at(i)}; }
  const algebra::DotVector& vector() const { return vector_; }
  /// The coefficient planes of the key as polynomials, transformed at the first call and kept: 1.2 MB for C-bar.
  /// Precondition (checked): always the same size, which divides size().
  std::span<const tfhe::SecretFactor<Z128>> planes(std::size_t polynomial_size) const;

 private:
  struct Planes;
  algebra::DotVector vector_;
  std::unique_ptr<Planes> planes_;
};

/// This party's shares of b - <a, key> (threshold-tfhe.md 7.1), not masked: they leave a kernel as a sum with masks alone. Several
/// LWEs at once share the way of the key through the cache. Precondition: dimensions agree.
Secret<std::vector<Share<Z128>>> partial_decrypt(const SharedKey& key, std::span<const tfhe::Lwe<Z128>> ciphertexts);

/// The same for blocks that share a mask: dot products with the mask, rotated for each block and never extracted, or all of them at
/// once as negacyclic products. The bits are the same.
enum class GlweProducts { dot, transform };
/// What costs less for so many blocks of one GLWE.
GlweProducts cheaper_products(const SharedKey& key, const tfhe::PartialGlwe<Z128>& glwe, std::size_t count);
/// Blocks first .. first + count - 1. Precondition: that many bodies, dimensions agree.
Secret<std::vector<Share<Z128>>> partial_decrypt(const SharedKey& key, const tfhe::PartialGlwe<Z128>& glwe,
                                                 std::size_t first, std::size_t count,
                                                 std::optional<GlweProducts> products = std::nullopt);

/// Shares of the keys of one key set, by tfhe::KeyName; absent keys are empty.
struct KeyShares {
  std::array<SharedKey, tfhe::kKeyNames> keys;

  const SharedKey& of(tfhe::KeyName name) const { return keys[static_cast<std::size_t>(name)]; }

  /// For the vault. 64 bytes per entry.
  Secret<Bytes> encode() const;
  /// Error: data_loss; also if the sizes are not those of the parameters.
  static Result<KeyShares> decode(ByteView record, const tfhe::Params& params);
};

}  // namespace witan::protocols
