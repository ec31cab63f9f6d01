#include "mpc/coin.h"

namespace witan::mpc {

using runtime::ok;
using runtime::Task;

Task<Result<Secret<Share<Z64>>>> toss_coin(SyncRun& run, runtime::Step deal) {
  Secret contribution(std::vector<Gr<Z64>>{algebra::random_element<Z64>(run.rng)});
  const auto shared = co_await ok(co_await share_verifiably<Z64>(run, deal, std::move(contribution)));
  Secret sum{Share<Z64>{}};
  for (const auto& of_dealer : shared.shares) sum.reveal_mutable() += of_dealer.reveal().front();
  co_return sum;
}

Task<Result<Coin>> open_coin(SyncRun& run, runtime::Step open, Secret<Share<Z64>> share) {
  Bytes message;
  append_shares<Z64>(message, std::span(&share.reveal(), 1));
  co_await ok(run.session.send_all(open, runtime::make_payload(std::move(message))));
  RobustOpening<Z64> opening(run.session, run.compute, open, {}, {share.reveal()});
  const auto values = co_await ok(co_await opening.accept(run.opening_deadline()));
  co_return Coin{values.front(), opening.report()};
}

Task<Result<Coin>> flip_coin(SyncRun& run, runtime::Step deal, runtime::Step open) {
  auto share = co_await ok(co_await toss_coin(run, deal));
  co_return co_await open_coin(run, open, std::move(share));
}

}  // namespace witan::mpc
