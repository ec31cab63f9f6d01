#include "mpc/vss.h"

#include "mpc/vss_impl.h"

namespace witan::mpc {

template <Word Z>
runtime::Task<Result<SharedSecrets<Z>>> share_verifiably(SyncRun& run, runtime::Step step,
                                                         Secret<std::vector<Gr<Z>>> secrets) {
  return share_verifiably_with<Z, VssRules>(run, step, std::move(secrets));
}

template <Word Z>
std::size_t longest_vss_message(CommitteeSize committee, std::size_t secrets) {
  const vss::Shape<Z> shape{committee, secrets};
  // R2 is the longest with everybody honest. In R3 a party witnesses at most every pair of every dealer in which it is, and all
  // pairs of its own dealing.
  const std::size_t n = shape.parties();
  return std::max({shape.deal_bytes(), shape.points_bytes(), (2 * n * (n - 1) + n * (n - 1)) * shape.block_bytes()});
}

template runtime::Task<Result<SharedSecrets<Z64>>> share_verifiably(SyncRun&, runtime::Step,
                                                                    Secret<std::vector<Gr<Z64>>>);
template runtime::Task<Result<SharedSecrets<Z128>>> share_verifiably(SyncRun&, runtime::Step,
                                                                     Secret<std::vector<Gr<Z128>>>);
template std::size_t longest_vss_message<Z64>(CommitteeSize, std::size_t);
template std::size_t longest_vss_message<Z128>(CommitteeSize, std::size_t);

}  // namespace witan::mpc
