// Epochs of a node: what this party holds of each, in the private vault (`EpochData/<epoch>`).
#pragma once

#include <map>
#include <memory>

#include "mpc/epoch_keys.h"
#include "runtime/compute.h"
#include "runtime/vault.h"

namespace witan::node {

struct Epoch {
  EpochId id;
  ContextId context;
  std::shared_ptr<const mpc::EpochKeys> keys;
  std::shared_ptr<const mpc::MaskGenerator> masks;  // of the set keys
};

class EpochStore {
 public:
  explicit EpochStore(runtime::Vault& private_vault) : vault_(private_vault) {}

  /// Error: data_loss naming the object: damaged, of another committee or role, or of layout 1, whose set keys came from an agreement
  /// that anybody could make fail, and that have no zero sharings: no program uses them.
  Status load(CommitteeSize committee, Role self);
  /// The epoch is there once its record is on disk, which a bulk kernel writes. Errors: already_exists; unavailable (disk): whether it is on
  /// the disk is unknown, and it may be added again.
  runtime::Task<Status> add(runtime::Compute& compute, EpochId id, ContextId context,
                            std::shared_ptr<const mpc::EpochKeys> keys);
  const Epoch* find(const EpochId& id) const;
  const std::map<EpochId, Epoch>& all() const { return epochs_; }
  std::size_t size() const { return epochs_.size(); }

 private:
  runtime::Vault& vault_;
  std::map<EpochId, Epoch> epochs_;
};

}  // namespace witan::node
