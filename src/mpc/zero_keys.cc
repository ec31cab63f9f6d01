#include "mpc/zero_keys.h"

#include <algorithm>

#include "base/check.h"

namespace witan::mpc {

ZeroKeys::ZeroKeys(CommitteeSize committee, Role self, Secret<std::vector<SetKey>> keys)
    : committee_(committee), self_(self), keys_(std::move(keys)) {
  const auto family = zero_sets(committee);
  WITAN_CHECK(!family.empty() && committee.contains(self));
  std::ranges::copy_if(family, std::back_inserter(sets_), [self](PartySet set) { return !set.contains(self); });
  WITAN_CHECK(keys_.reveal().size() == sets_.size());
}

std::size_t draws_per_zero(CommitteeSize committee, PartySet excluded) {
  return 2 * static_cast<std::size_t>(committee.threshold()) - excluded.members().size();
}

template <Word Z>
ZeroSharings<Z>::ZeroSharings(const ZeroKeys& keys, SessionId session)
    : powers_(
          algebra::vandermonde_row<Z>(keys.self(), 2 * static_cast<std::size_t>(keys.committee().threshold()) + 1)) {
  for (std::size_t i = 0; i < keys.size(); ++i) {
    Gr<Z> product = Gr<Z>::one();
    for (const Role j : keys.sets()[i].members())
      product = product * (algebra::evaluation_point<Z>(keys.self()) - algebra::evaluation_point<Z>(j));
    sets_.push_back({session_prf(keys.key(i), session, PrfPurpose::chi_zero),
                     draws_per_zero(keys.committee(), keys.sets()[i]), product});
  }
}

template <Word Z>
Share<Z> ZeroSharings<Z>::at(std::uint64_t counter) const {
  Share<Z> out;
  for (const OneSet& set : sets_) {
    WITAN_CHECK(counter < kMaxBlocksPerKey / (4 * set.draws));
    Gr<Z> sum;
    for (std::size_t e = 1; e <= set.draws; ++e)
      sum += set.chi.template element<Z>(counter, static_cast<std::uint8_t>(e)) * powers_[e];
    out.value += sum * set.product;
  }
  return out;
}

template class ZeroSharings<Z64>;
template class ZeroSharings<Z128>;

}  // namespace witan::mpc
