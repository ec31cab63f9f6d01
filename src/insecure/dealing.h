// Dealt keys (threshold-tfhe.md 4.3, "insecure key generation"): party 1 makes or imports a key set, deals Shamir shares of every
// key bit and hands out the public objects. That party has seen the key; its record says so.
//
//   dealer -> P_i    1: shares of P_i, digests and sizes of the public objects
//   P_i -> dealer    100 + 2k: "chunk k please"
//   dealer -> all    101 + 2k: chunk k of key set || public key, once all have asked for it
#pragma once

#include <filesystem>
#include <vector>

#include "node/core.h"
#include "node/public_objects.h"
#include "protocols/key_shares.h"
#include "tfhe/secret_key.h"

namespace witan::insecure {

/// InsecureKeyGenPreproc, GetInsecureKeyGenPreprocResult, InsecureKeyGen, GetInsecureKeyGenResult (service.md 5.8).
api::ExtraMethods dealing_methods(node::Core& core, const std::filesystem::path& import_dir);

/// Makes the public objects of these keys from a fresh seed and writes them into the vault, hashed on the way; the key's id is
/// their tag. Holds the bodies of the set once (511 MB with the default parameters) and buffers beside them; one thread. Errors:
/// those of the vault.
Result<node::KeyObjects> write_public_objects(const tfhe::Params& params, const tfhe::SecretKeySet& keys,
                                              const KeyId& key, runtime::Vault& vault, Rng& rng);

/// Shamir shares of every key bit, by role.
std::vector<protocols::KeyShares> deal_shares(const tfhe::SecretKeySet& keys, CommitteeSize committee, Rng& rng);

/// A preprocessing (also a partial one) or dealing that the node's end interrupted: ends as aborted, and what it wrote is removed.
runtime::Task<void> abort_interrupted(node::Core& core, node::InterruptedRequest request);

}  // namespace witan::insecure
