// Epochs of a node: the set keys of each, in the private vault (`EpochData/<epoch>`).
#pragma once

#include <map>
#include <memory>

#include "mpc/prss.h"
#include "runtime/vault.h"

namespace witan::node {

/// How an epoch's set keys came to be. A production node uses robust ones only.
enum class EpochOrigin : std::uint8_t { provisional = 1, robust = 2 };
const char* to_string(EpochOrigin origin);

struct Epoch {
  EpochId id;
  ContextId context;
  EpochOrigin origin = EpochOrigin::provisional;
  std::shared_ptr<const mpc::MaskGenerator> masks;
};

class EpochStore {
 public:
  explicit EpochStore(runtime::Vault& private_vault) : vault_(private_vault) {}

  /// Error: data_loss naming the object, also for set keys of another committee or role.
  Status load(CommitteeSize committee, Role self);
  /// Errors: already_exists, unavailable.
  Status add(const EpochId& id, const ContextId& context, EpochOrigin origin, const mpc::SetKeys& keys);
  /// Forgets an epoch whose set-up is not complete.
  Status erase(const EpochId& id);
  const Epoch* find(const EpochId& id) const;
  std::size_t size() const { return epochs_.size(); }

 private:
  runtime::Vault& vault_;
  std::map<EpochId, Epoch> epochs_;
};

}  // namespace witan::node
