#include "mpc/set_up.h"

#include <algorithm>

#include "base/check.h"

namespace witan::mpc {

using runtime::ok;
using runtime::RoleSet;
using runtime::Task;

namespace {

/// Positions of the sets that contain the party.
std::vector<std::size_t> sets_with(Role party, std::span<const PartySet> sets) {
  std::vector<std::size_t> out;
  for (std::size_t q = 0; q < sets.size(); ++q)
    if (sets[q].contains(party)) out.push_back(q);
  return out;
}

/// The shares of the outputs that are opened to a party.
Secret<std::vector<Share<Z64>>> shares_for(Role party, const Secret<std::vector<Share<Z64>>>& outputs,
                                           std::span<const PartySet> sets) {
  std::vector<Share<Z64>> out;
  const auto positions = sets_with(party, sets);
  out.reserve(positions.size());
  for (const std::size_t q : positions) out.push_back(outputs.reveal()[q]);
  return Secret(std::move(out));
}

}  // namespace

Result<std::vector<PartySet>> set_up_sets(CommitteeSize committee) {
  const auto families = zero_sets(committee);
  if (families.empty())
    return fail(Code::failed_precondition,
                "a committee of {} parties has a family of zero sharings for threshold {}, not for {}",
                committee.parties(), (committee.parties() - 1) / 3, committee.threshold());
  auto out = key_sets(committee);
  for (const PartySet excluded : families) out.push_back(holders(committee, excluded));
  return out;
}

std::size_t set_up_contributions(CommitteeSize committee, std::size_t sets) {
  const auto outputs = static_cast<std::size_t>(committee.parties() - committee.threshold());
  return (sets + outputs - 1) / outputs;
}

Secret<std::vector<Share<Z64>>> extract(CommitteeSize committee,
                                        const std::vector<Secret<std::vector<Share<Z64>>>>& contributions) {
  WITAN_CHECK(contributions.size() == static_cast<std::size_t>(committee.parties()));
  const std::size_t count = contributions.front().reveal().size();
  const auto width = static_cast<std::size_t>(committee.parties() - committee.threshold());
  Secret out(std::vector<Share<Z64>>(count * width));
  for (const Role dealer : RoleSet::all(committee)) {
    const auto powers = algebra::vandermonde_row<Z64>(dealer, width);
    for (std::size_t j = 0; j < count; ++j)
      for (std::size_t e = 0; e < width; ++e)
        out.reveal_mutable()[j * width + e] += contributions[dealer.index()].reveal()[j] * powers[e];
  }
  return out;
}

std::vector<std::string> SetUpReport::lines() const {
  std::vector<std::string> out;
  for (const Exclusion& exclusion : excluded) out.push_back(to_string(exclusion));
  const auto add = [&out](RoleSet roles, const char* what) {
    for (const Role role : roles) out.push_back(fmt::format("party {} {}", role.number(), what));
  };
  add(silent, "sent this party no shares in time");
  add(unusable, "sent this party shares that are none");
  add(opening.lied | opening.other, "sent this party wrong shares of keys");
  return out;
}

EpochSetUp::EpochSetUp(runtime::Session& session, runtime::Compute& compute, const Signatories& signatories, Rng& rng,
                       runtime::Duration round_timeout)
    : broadcast_(session, compute, signatories, kSetUpBroadcasts, round_timeout),
      run_{.session = session,
           .compute = compute,
           .broadcast = broadcast_,
           .rng = rng,
           .round_timeout = round_timeout,
           .active = RoleSet::all(session.committee()),
           .exclusions = {}} {}

Task<Result<EpochKeys>> EpochSetUp::run() {
  const CommitteeSize committee = run_.committee();
  const auto sets = co_await ok(set_up_sets(committee));
  Secret contribution(std::vector<Gr<Z64>>(set_up_contributions(committee, sets.size())));
  for (Gr<Z64>& element : contribution.reveal_mutable()) element = algebra::random_element<Z64>(run_.rng);

  auto shared = co_await share_verifiably<Z64>(run_, kSetUpDeal, std::move(contribution));
  report_.excluded = run_.exclusions;
  if (!shared) co_return fail(std::move(shared).error());
  report_.silent = shared->silent;
  report_.unusable = shared->unusable;
  auto outputs = co_await run_.compute(runtime::Work::preprocessing, [committee, shares = std::move(shared->shares)] {
    return extract(committee, shares);
  });
  co_return co_await open(std::move(outputs), sets);
}

Task<Result<EpochKeys>> EpochSetUp::open(Secret<std::vector<Share<Z64>>> outputs, const std::vector<PartySet>& sets) {
  const CommitteeSize committee = run_.committee();
  const Role self = run_.self();
  for (const Role peer : RoleSet::others(committee, self)) {
    const auto shares = shares_for(peer, outputs, sets);
    Bytes message;
    message.reserve(shares.reveal().size() * Gr<Z64>::kSizeBytes);
    append_shares<Z64>(message, shares.reveal());
    co_await ok(run_.session.send(peer, kSetUpOpen, runtime::make_payload(std::move(message))));
  }
  auto own = shares_for(self, outputs, sets);
  RobustOpening<Z64> opening(run_.session, run_.compute, kSetUpOpen, {}, own.reveal());
  auto opened = co_await opening.accept(run_.opening_deadline());
  report_.opening = opening.report();
  if (!opened) co_return fail(std::move(opened).error());
  const Secret values(*std::move(opened));

  // The members of the key sets come first, then the holders of zero keys.
  const std::size_t first_zero = key_sets(committee).size();
  const auto own_sets = sets_with(self, sets);
  std::vector<SetKey> keys, zero_keys;
  keys.reserve(own_sets.size());
  zero_keys.reserve(own_sets.size());
  for (std::size_t i = 0; i < own_sets.size(); ++i)
    (own_sets[i] < first_zero ? keys : zero_keys).push_back(agreed_key(values.reveal()[i]));
  std::vector<Share<Z64>> zero_shares(outputs.reveal().begin() + static_cast<std::ptrdiff_t>(first_zero),
                                      outputs.reveal().begin() + static_cast<std::ptrdiff_t>(sets.size()));
  co_return EpochKeys(SetKeys(committee, self, Secret(std::move(keys))),
                      ZeroKeys(committee, self, Secret(std::move(zero_keys))), Secret(std::move(zero_shares)));
}

Task<Result<EpochKeys>> set_up_epoch(runtime::Session& session, runtime::Compute& compute,
                                     const Signatories& signatories, Rng& rng, runtime::Duration round_timeout) {
  EpochSetUp set_up(session, compute, signatories, rng, round_timeout);
  co_return co_await set_up.run();
}

runtime::SessionOptions set_up_session(CommitteeSize committee) {
  const std::size_t sets = key_sets(committee).size() + zero_sets(committee).size();
  return {.lane = runtime::Lane::bulk,
          .max_payload_bytes = longest_vss_message<Z64>(committee, set_up_contributions(committee, sets))};
}

}  // namespace witan::mpc
