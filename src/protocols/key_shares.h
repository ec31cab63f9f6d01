// A party's shares of the two keys that decryptions use (threshold-tfhe.md 2): the squashed-noise key S-bar and its
// compression key C-bar, or of all seven keys. Every entry is a share of one key bit in GR(2^128,4).
#pragma once

#include <array>
#include <optional>
#include <span>
#include <string>

#include "algebra/shamir.h"
#include "base/secret.h"
#include "tfhe/ciphertext.h"
#include "tfhe/secret_key.h"

namespace witan::protocols {

using algebra::Gr;
using algebra::Share;
using algebra::Z128;

/// Shares of one key vector, as four planes: plane j holds coefficient j of every entry, so that a dot product with public
/// words is four independent sums.
class SharedKey {
 public:
  SharedKey() = default;
  explicit SharedKey(std::span<const Share<Z128>> shares);
  std::size_t size() const { return planes_[0].reveal().size(); }
  Share<Z128> at(std::size_t i) const;
  std::span<const Z128> plane(std::size_t j) const { return planes_[j].reveal(); }

 private:
  std::array<Secret<std::vector<Z128>>, 4> planes_;
};

/// This party's share of b - <a, key> (threshold-tfhe.md 7.1). Precondition: dimensions agree.
Share<Z128> partial_decrypt(const SharedKey& key, const tfhe::Lwe<Z128>& ciphertext);

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
