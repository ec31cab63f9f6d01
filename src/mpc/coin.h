// A coin that nobody can steer (mpc.md 7.4): every active party shares a random element verifiably, the sum is opened at degree t.
//
//   toss   VSS of one element of each party;  share of the coin = sum over the dealers (excluded ones count as zero)
//   open   shares to all, accepted at 2t + 1 that agree (security.md 3.4)
//
// Nothing is known of the coin before it is opened, and nothing can change it after the toss: the opening may come later, after what
// the coin is to judge is fixed (security.md S14).
#pragma once

#include "mpc/open.h"
#include "mpc/vss.h"

namespace witan::mpc {

struct Coin {
  Gr<Z64> value;          // uniform, the same at all honest parties
  OpeningReport opening;  // who lied about it
};

/// This party's share of a coin; `deal` is the step of R1. Errors: those of share_verifiably.
runtime::Task<Result<Secret<Share<Z64>>>> toss_coin(SyncRun& run, runtime::Step deal);
/// Errors: those of RobustOpening::accept.
runtime::Task<Result<Coin>> open_coin(SyncRun& run, runtime::Step open, Secret<Share<Z64>> share);
/// Both.
runtime::Task<Result<Coin>> flip_coin(SyncRun& run, runtime::Step deal, runtime::Step open);

}  // namespace witan::mpc
