// What a node needs to squash Small ciphertexts: the public key set of a key, expanded.
#pragma once

#include <memory>
#include <optional>

#include "base/ids.h"
#include "runtime/compute.h"
#include "runtime/vault.h"
#include "tfhe/evaluate.h"

namespace witan::node {

struct SmallKeys {
  tfhe::ComputeKey compute;
  tfhe::SnsKey sns;
  std::optional<tfhe::DecompressionKey> decompression;
  tfhe::u64 max_noise_level = 0;
};

/// Reads `CompressedXofKeySet/<key>` and expands what SmallKeys has. Bulk work of the pool: the set is parsed in one kernel, which
/// reads the file as it goes, and its rows are expanded a few per kernel (about two milliseconds). Only Small ciphertexts of
/// this key wait for it.
/// Beside the expanded keys there is at most one compressed set. Errors: those of the vault, invalid_argument (no key set).
runtime::Task<Result<std::shared_ptr<const SmallKeys>>> expand_small_keys(runtime::Compute& compute,
                                                                          const runtime::Vault& vault, KeyId key);

}  // namespace witan::node
