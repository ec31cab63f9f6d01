// What a key generation with UseExisting (service.md 5.1, threshold-tfhe.md 4.3) takes of the key that exists: the shares of all its secret
// keys, and its public key. Clients go on to encrypt with the public key that they have, so the new key publishes and signs the same bytes;
// the public key inside of its CompressedXofKeySet is another one, for the same secret.
//
// The new key has the origin of the other one: what somebody has seen stays seen.
#pragma once

#include "node/core.h"
#include "node/disk_wait.h"
#include "node/key_requests.h"

namespace witan::node {

/// The key that `fields.existing` names. Errors: unavailable (it is being generated; try again), not_found (not here, or not in the epoch of
/// the request), failed_precondition (somebody has seen it, and this program does not use it; or nobody has, and the material has noises that
/// everybody knows), invalid_argument (of another context, or of other parameters than the preprocessing). Precondition (checked):
/// fields.existing.
Result<const KeyRecord*> find_existing_key(const Core& core, const KeygenFields& fields);

/// Does the key fit the request? Its errors. `accepted`: the program uses keys of its origin.
Status check_existing_key(const KeyRecord& record, const KeygenFields& fields, bool accepted);

struct ExistingKey {
  const KeyRecord* record = nullptr;
  std::shared_ptr<const Bytes> public_key;  // as published
  Bytes tag;
  std::shared_ptr<const protocols::KeyShares> shares;
};
/// Reads it; the reading waits for `disk`. Errors: those of find_existing_key, at once; data_loss (its public key is not what was signed, its
/// shares are damaged), those of the vaults that do not pass.
runtime::Task<Result<ExistingKey>> load_existing_key(Core& core, DiskWait& disk, const KeygenFields& fields);

/// Everything of keyset_config and keyset_added_info that parties must agree on (security.md 4.5): of an existing key also the objects that
/// were published.
crypto::Digest configuration_of(const KeygenFields& fields, const KeyRecord* existing);

/// Of a key that the committee makes of these. Precondition (checked): its preprocessing is known.
KeyOrigin origin_of(const KeygenFields& fields, const KeyRecord* existing);

}  // namespace witan::node
