// Synchronous protocols in the simulator: signing keys of a committee, programs that run one protocol, and adversaries that lie at
// known places of it. All broadcasts begin at kBroadcasts, the first round of one being its lowest step.
#pragma once

#include "mpc/bivariate.h"
#include "mpc/committees_for_test.h"
#include "mpc/sync_run.h"
#include "runtime/sim.h"
#include "runtime/sim_adversary.h"

namespace witan::mpc::test {

inline constexpr runtime::Step kDeal = 1, kOpen = 2, kBroadcasts = 32;
inline constexpr SessionId kSyncSession{u128{77}};
inline constexpr runtime::Duration kRoundTimeout = std::chrono::seconds(2);

/// Honest parties start so far apart in campaigns: the most that SyncRun allows.
inline constexpr runtime::Duration kSpread = kRoundTimeout / 8;

/// A time between now and then, drawn by the node.
inline runtime::Instant start_within(runtime::sim::Node& node, runtime::Duration spread) {
  return node.loop().after(runtime::Duration(node.rng().next<std::uint32_t>() % (spread.count() + 1)));
}

/// Runs `protocol` in the first life of a party. Later lives do nothing: who crashes in a synchronous protocol is silent.
template <class Protocol>
runtime::sim::Program synchronous(Protocol protocol, runtime::Duration spread = {}) {
  return [protocol, spread](runtime::sim::Node& node) -> runtime::Task<void> {
    if (node.life() > 0) co_return;
    co_await node.loop().sleep_until(start_within(node, spread));
    auto session = node.router().open(kSyncSession);
    if (!session) co_return;
    Broadcast broadcast(*session, node.compute(), signatories(node.committee().parties(), node.role()), kBroadcasts,
                        kRoundTimeout);
    SyncRun run{.session = *session,
                .compute = node.compute(),
                .broadcast = broadcast,
                .rng = node.rng(),
                .round_timeout = kRoundTimeout,
                .active = runtime::RoleSet::all(node.committee()),
                .exclusions = {}};
    co_await protocol(node, run);
    co_await node.loop().sleep_for(std::chrono::seconds(100));  // stay to answer
  };
}

inline runtime::sim::WorldOptions sync_options(std::uint64_t seed, CommitteeSize committee) {
  return {.seed = seed, .committee = committee, .router = {}};
}

/// Is the frame what the sender says in the first round of broadcast `number`?
inline bool says(const runtime::Frame& frame, std::uint32_t number) {
  return frame.kind == runtime::FrameKind::data && frame.step == kBroadcasts + number * kBroadcastSteps;
}
inline bool deals(const runtime::Frame& frame) {
  return frame.kind == runtime::FrameKind::data && frame.step == kDeal;
}

inline runtime::Frame with_bytes(runtime::Frame frame, Bytes bytes) {
  frame.payload = runtime::make_payload(std::move(bytes));
  return frame;
}

/// Nothing from that step on.
inline runtime::sim::Corrupt silent_from(runtime::Step step) {
  return [step](Role, const runtime::Frame& frame) {
    return frame.step >= step ? std::vector<runtime::Frame>{} : std::vector{frame};
  };
}

/// The same lie to everybody in the first round of one broadcast, which is then what everybody agrees that the liar said.
inline runtime::sim::Corrupt lie_in_broadcast(std::uint32_t number, std::uint64_t seed) {
  return [number, seed](Role, const runtime::Frame& frame) {
    if (!says(frame, number) || frame.payload->empty()) return std::vector{frame};
    Bytes bytes = *frame.payload;
    runtime::sim::SimRng rng(seed, frame.step);
    for (int i = 0; i < 3; ++i) bytes[rng.below(bytes.size())] ^= static_cast<std::uint8_t>(1 + rng.below(255));
    return std::vector{with_bytes(frame, std::move(bytes))};
  };
}

/// Says nothing to some parties in the first round of one broadcast: they wait for it while the others go on.
inline runtime::sim::Corrupt hold_up(runtime::RoleSet victims, std::uint32_t number) {
  return [victims, number](Role receiver, const runtime::Frame& frame) {
    return says(frame, number) && victims.contains(receiver) ? std::vector<runtime::Frame>{} : std::vector{frame};
  };
}

/// In one broadcast something of another length.
inline runtime::sim::Corrupt misshape_broadcast(std::uint32_t number) {
  return [number](Role, const runtime::Frame& frame) {
    if (!says(frame, number)) return std::vector{frame};
    Bytes bytes = *frame.payload;
    if (bytes.empty())
      bytes.push_back(1);
    else
      bytes.pop_back();
    return std::vector{with_bytes(frame, std::move(bytes))};
  };
}

/// Other slices to some parties: of another dealing, so that each of them can use its own.
template <Word Z>
runtime::sim::Corrupt deal_otherwise(runtime::RoleSet victims, CommitteeSize committee, std::size_t secrets,
                                     std::uint64_t seed) {
  return [=](Role receiver, const runtime::Frame& frame) {
    if (!deals(frame) || !victims.contains(receiver)) return std::vector{frame};
    runtime::sim::SimRng rng(seed);
    std::vector<Gr<Z>> other;
    for (std::size_t k = 0; k < secrets; ++k) other.push_back(algebra::random_element<Z>(rng));
    const Dealing<Z> dealing(committee.threshold(), Secret(std::move(other)), rng);
    Bytes slices;
    dealing.slices(receiver).append_to(slices);
    Bytes bytes = *frame.payload;
    if (bytes.size() < slices.size()) return std::vector{frame};
    std::ranges::copy(slices, bytes.begin());
    return std::vector{with_bytes(frame, std::move(bytes))};
  };
}

/// Ways to be faulty that draw_sync_faults() knows; a campaign of a few times as many seeds has seen everything.
inline constexpr std::uint64_t kSyncStrategies = 21;
inline bool shows_everything(const runtime::sim::CampaignReport& report) {
  return report.runs >= 2 * kSyncStrategies;
}

/// Faults of t parties of a synchronous protocol in which `secrets` elements are dealt. The first one has a strategy after the other,
/// seed by seed; the rest is drawn.
inline void draw_sync_faults(runtime::sim::World& world, runtime::sim::SimRng& rng, std::uint64_t run_seed,
                             std::size_t secrets) {
  const CommitteeSize committee = world.committee();
  std::vector<int> parties;
  for (int i = 1; i <= committee.parties(); ++i) parties.push_back(i);
  const auto some = [&](int count) {
    runtime::RoleSet out;
    while (out.size() < count)
      out.insert(Role(1 + static_cast<int>(rng.below(static_cast<std::uint64_t>(committee.parties())))));
    return out;
  };
  for (int k = 0; k < committee.threshold(); ++k) {
    const auto pick = rng.below(parties.size());
    auto& faults = world.faults(Role(parties[pick]));
    parties.erase(parties.begin() + static_cast<std::ptrdiff_t>(pick));
    faults.byzantine = true;
    faults.rushing = rng.chance(0.3);
    const std::uint64_t seed = rng.next64();
    const auto few = deal_otherwise<Z64>(some(committee.threshold()), committee, secrets, seed);
    const auto many = deal_otherwise<Z64>(some(committee.threshold() + 1), committee, secrets, seed);
    using namespace runtime::sim;
    switch (k == 0 ? run_seed % kSyncStrategies : rng.below(kSyncStrategies)) {
      case 0:
        faults.silent = true;
        break;
      case 1:
        faults.silent_towards =
            some(1 + static_cast<int>(rng.below(static_cast<std::uint64_t>(committee.threshold()))));
        break;
      case 2:
        faults.slow = std::chrono::milliseconds(200 + rng.below(5000));
        break;
      case 3:
        faults.crashes = {{rng.below(80) + 1, std::chrono::seconds(1)}};
        break;
      case 4:
        faults.corrupt = silent_from(kBroadcasts);
        break;
      case 5:
        faults.corrupt = both(few, silent_from(kBroadcasts + kBroadcastSteps));
        break;
      case 6:
        faults.corrupt = few;
        break;
      case 7:
        faults.corrupt = many;
        break;
      case 8:
        faults.corrupt = lie_in_broadcast(0, seed);
        break;
      case 9:
        faults.corrupt = both(few, lie_in_broadcast(1, seed));
        break;
      case 10:
        faults.corrupt = both(few, lie_in_broadcast(2, seed));
        break;
      case 11:
        faults.corrupt = both(lie_in_broadcast(0, seed), lie_in_broadcast(1, seed + 1));
        break;
      case 12:
        faults.corrupt = both(few, misshape_broadcast(static_cast<std::uint32_t>(rng.below(3))));
        break;
      case 13:
        faults.corrupt = lie_randomly(seed);
        break;
      case 14:
        faults.corrupt = lie_equally(seed);
        break;
      case 15:
        faults.corrupt = equivocate(seed);
        break;
      case 16:
        faults.corrupt = contradict_itself(seed);
        break;
      case 17:
        faults.corrupt = mangle(seed);
        break;
      case 18:
        faults.corrupt = both(misplace(seed), sometimes(0.3, seed, lie_randomly(seed + 1)));
        break;
      case 19:
        faults.corrupt = both(few, hold_up(some(committee.threshold()), static_cast<std::uint32_t>(rng.below(3))));
        break;
      default:
        faults.corrupt = sometimes(0.1, seed, lie_randomly(seed + 1));
        break;
    }
  }
}

}  // namespace witan::mpc::test
