// Set-up of a new epoch by the nodes of a committee: they start together (mpc/common_start.h) and run the robust set-up (mpc/set_up.h), each
// attempt in a session of its own (mpc.md 5.2, kind 6).
//
//   NewMpcEpoch --> ready for attempt a, journalled --> set-up --> keys in the vault --> the others are told --> done
//                     ^                                   | more than t parties are faulty, or this one was too late
//                     \----------- a + 1 <----------------/
//   t + 1 others have the epoch, or they do not come, or no attempt is left: failed
//
// A party that stops in the middle is silent in that attempt: when it is back it is ready for the next one, which the others take up
// if theirs fails. If theirs does not, they have the epoch and this party does not: it fails, and an operator requests another one.
#pragma once

#include "mpc/broadcast.h"
#include "node/epochs.h"
#include "runtime/compute.h"
#include "runtime/journal.h"
#include "runtime/router.h"

namespace witan::node {

/// What a set-up uses; all of it outlives the set-up.
struct EpochSetUpParts {
  runtime::Router& router;
  runtime::Compute& compute;
  runtime::Journal& journal;
  const mpc::Signatories& signatories;
  Rng& rng;
  EpochStore& epochs;
  runtime::Duration round_timeout;
};

/// Runs attempts until one ends with keys that are on disk here; while the disk is full, waits for space. Errors say what to do: aborted
/// (the others are done without this party; more than t parties are faulty; no attempt is left), deadline_exceeded (the others do not
/// come, mpc::CommonStart::longest_wait), failed_precondition (committee without zero sharings), those of journal and vault.
runtime::Task<Status> set_up_epoch(EpochSetUpParts parts, EpochId epoch, ContextId context);

/// Tells whoever comes too late for a set-up that this node has the epoch, also after restarts; the rest is asked of `rest`.
class EpochSentStore final : public runtime::SentStore {
 public:
  EpochSentStore(const EpochStore& epochs, runtime::SentStore& rest) : epochs_(epochs), rest_(rest) {}
  runtime::Task<runtime::SentLookup> find(SessionId session, runtime::Step step, Role to) override;

 private:
  const EpochStore& epochs_;
  runtime::SentStore& rest_;
};

}  // namespace witan::node
