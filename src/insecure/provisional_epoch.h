// An epoch whose set keys come from the commit-and-open agreement (mpc/agreement.h), which anybody can make fail.
#pragma once

#include "node/core.h"

namespace witan::insecure {

/// Runs the agreement and stores the epoch as `provisional`. Attempts are numbered in the journal and never repeated: a party
/// that restarts in the middle goes on with the next number and calls the others there (mpc.md 5.2, kind 6).
runtime::Task<Status> set_up_provisional_epoch(node::Core& core, EpochId epoch, ContextId context);

}  // namespace witan::insecure
