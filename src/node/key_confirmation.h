// Key confirmation as a node does it, between a key's making and its publication (protocols/key_confirmation.h).
#pragma once

#include "base/ids.h"
#include "node/disk_wait.h"
#include "protocols/key_confirmation.h"
#include "runtime/vault.h"

namespace witan::node {

/// What a node lends. All outlive the confirmation and what comes of it.
struct ConfirmationParty {
  runtime::Router& router;
  runtime::Journal& journal;
  runtime::Compute& compute;
  runtime::Vault& private_vault;
  DiskWait& disk;  // of whoever wants the key
};

struct KeyToConfirm {
  KeyId key;
  EpochId epoch;
  std::shared_ptr<const tfhe::CompressedKeySet> set;
  std::shared_ptr<const protocols::KeyShares> shares;
  std::shared_ptr<const mpc::MaskGenerator> masks;  // of the epoch
  std::uint64_t sequence = 0;                       // RequestStore::sequence() of the request for the key
  bool resumed = false;                             // after a restart: what was missed is asked for at once
};

/// Confirms a key, or says why it must not be published; the whole of it is bulk work. What it opens counts as blocks of the key and
/// epoch (S40) and is in the journal before it leaves. A confirmed key's test ciphertext is kept in the private vault,
/// `KeyConfirmation/<key>` (1.2 MB with the default parameters), for confirmations after a resharing. `patience`: for the shares of the
/// others, from when its own ones leave. Errors: those of
/// TestCiphertextMaker::begin, KeyConfirmation::run and the vault, except those that `disk` waits for. Gives the confirmation, for
/// log_late_liars(): what comes meanwhile is kept.
runtime::Task<Result<std::unique_ptr<protocols::KeyConfirmation>>> confirm_key(ConfirmationParty party,
                                                                               KeyToConfirm key,
                                                                               runtime::Duration patience);

/// Listens for shares that come when the key is confirmed already, for kWatchLateShares or until all have been heard, and logs who lied
/// and how. The confirmation outlives the task.
runtime::Task<void> log_late_liars(runtime::Loop& loop, protocols::KeyConfirmation& confirmation, KeyId key);
inline constexpr auto kWatchLateShares = std::chrono::seconds(30);

/// Of a confirmed key. Errors: not_found, data_loss.
Result<tfhe::TestCiphertext> load_test_ciphertext(const runtime::Vault& private_vault, const KeyId& key,
                                                  const tfhe::Params& params);
/// Success also if it is not there.
Status erase_test_ciphertext(runtime::Vault& private_vault, const KeyId& key);

}  // namespace witan::node
