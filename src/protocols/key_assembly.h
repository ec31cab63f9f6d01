// From opened bodies to the key set that is published (threshold-tfhe.md 4.5, 5). Equal at all honest parties, since everything that goes
// in is: parameters, seed, opened elements. tfhe_rs writes the set, node/public_objects stores it.
#pragma once

#include <span>
#include <vector>

#include "algebra/gr.h"
#include "tfhe/keygen.h"

namespace witan::protocols {

/// The public seed that a random opened element of GR(2^128,4) stands for: the first 16 bytes of its encoding as a big-endian number
/// (threshold-tfhe.md 3.1).
u128 public_seed_of(const algebra::Gr<u128>& opened);

/// A key set while its bodies are opened. Holds the set once (511 MB with the default parameters).
class KeySetAssembly {
 public:
  KeySetAssembly(const tfhe::Params& params, u128 public_seed, const tfhe::KeySetOptions& options);

  /// Of the masks of all components.
  const tfhe::XofSeed& mask_seed() const { return seed_; }
  const std::vector<tfhe::Component>& components() const { return components_; }
  /// Elements of a component that are still missing.
  std::uint64_t missing(std::size_t component) const { return missing_[component]; }

  /// The next opened elements of component number `component`, front to back; components in any order. Each element packs four bodies
  /// (key_rows.h). Preconditions (checked): words of Z, no more than are missing. Error: internal if the fill of the last element of a
  /// component is not zero (S16): then the parties do not hold shares of one key generation.
  template <algebra::Word Z>
  Status add(std::size_t component, std::span<const algebra::Gr<Z>> opened);

  /// The set. Precondition (checked): nothing is missing. Once.
  tfhe::CompressedKeySet take();

 private:
  tfhe::XofSeed seed_;
  std::vector<tfhe::Component> components_;
  std::vector<std::uint64_t> missing_;
  tfhe::CompressedKeySet set_;
};

}  // namespace witan::protocols
