// Synchronous protocols in the simulator: signing keys of a committee, programs that run one protocol, and adversaries that lie at
// known places of it. All broadcasts begin at kBroadcasts, the first round of one being its lowest step.
#pragma once

#include <map>

#include "mpc/bivariate.h"
#include "mpc/flood_for_test.h"
#include "mpc/sync_run.h"
#include "mpc/tap_for_test.h"
#include "runtime/sim.h"
#include "runtime/sim_adversary.h"
#include "support/support.h"

namespace witan::mpc::test {

inline constexpr runtime::Step kDeal = 1, kOpen = 2, kBroadcasts = 32;
inline constexpr SessionId kSyncSession{u128{77}};
inline constexpr runtime::Duration kRoundTimeout = std::chrono::seconds(2);

/// Keys of the parties of every committee, always the same.
inline const Signatories& signatories(int parties, Role own) {
  static std::map<int, std::vector<Signatories>> cache;
  static const std::vector<crypto::SigningKey> keys = [] {
    witan::test::SeededRng rng("sync world");
    std::vector<crypto::SigningKey> out;
    for (int i = 0; i < Role::kMax; ++i) out.push_back(crypto::SigningKey::generate(rng));
    return out;
  }();
  auto& all = cache[parties];
  if (all.empty())
    for (int i = 0; i < parties; ++i) {
      Signatories& one = all.emplace_back();
      one.own = &keys[static_cast<std::size_t>(i)];
      for (int j = 0; j < parties; ++j) one.keys.push_back(keys[static_cast<std::size_t>(j)].verifying_key());
    }
  return all[own.index()];
}

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
/// In every third run frames come twice and in another order.
inline runtime::sim::WorldOptions campaign_options(std::uint64_t seed, CommitteeSize committee) {
  runtime::sim::WorldOptions out{.seed = seed, .committee = committee, .router = tight_router()};
  if (seed % 3 == 0) out.duplicate = 0.3, out.reorder = 0.7;
  return out;
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

/// F of degree t + 1 in Y, the rest of each slice being as it should be in the receiver's own point: every row has another constant, which
/// no column follows.
template <Word Z>
runtime::sim::Corrupt deal_degree_t_plus_1(CommitteeSize committee, std::size_t secrets) {
  return [=](Role receiver, const runtime::Frame& frame) {
    if (!deals(frame)) return std::vector{frame};
    Bytes bytes = *frame.payload;
    Gr<Z> power = Gr<Z>::one();
    for (int e = 0; e <= committee.threshold(); ++e) power = power * algebra::evaluation_point<Z>(receiver);
    const std::size_t slice = Slices<Z>::encoded_bytes(committee.threshold(), 1);
    for (std::size_t k = 0; k < secrets; ++k)
      for (const std::size_t at : {k * slice, k * slice + slice / 2})  // F_i and, to meet it at the own point, G_i
        (Gr<Z>::decode(bytes.data() + at) + power).encode(bytes.data() + at);
    return std::vector{with_bytes(frame, std::move(bytes))};
  };
}

/// Slices and pads of more secrets than the others deal, or of fewer.
inline runtime::sim::Corrupt deal_more_secrets(int more, std::size_t secrets) {
  return [=](Role, const runtime::Frame& frame) {
    if (!deals(frame)) return std::vector{frame};
    Bytes bytes = *frame.payload;
    bytes.resize(bytes.size() / secrets * static_cast<std::size_t>(static_cast<int>(secrets) + more));
    return std::vector{with_bytes(frame, std::move(bytes))};
  };
}

/// Nothing any more after so many frames.
inline runtime::sim::Corrupt silent_after(std::uint64_t frames) {
  return [frames, sent = std::uint64_t{0}](Role, const runtime::Frame& frame) mutable {
    return sent++ >= frames ? std::vector<runtime::Frame>{} : std::vector{frame};
  };
}

/// Ways to be faulty in a synchronous protocol; a campaign of a few times as many seeds has seen all of them.
inline constexpr std::string_view kSyncStrategies[] = {
    "adversary silent",
    "adversary silent towards some",
    "adversary slow",
    "adversary crash",
    "adversary silent in the broadcasts",
    "adversary deals t parties something else, then silent",
    "adversary deals t parties something else",
    "adversary deals t + 1 parties something else",
    "adversary lies in broadcast 0",
    "adversary deals something else, lies in broadcast 1",
    "adversary deals something else, lies in broadcast 2",
    "adversary lies in broadcasts 0 and 1",
    "adversary broadcasts another length",
    "adversary random bytes",
    "adversary the same random bytes to all",
    "adversary equivocates",
    "adversary contradicts itself",
    "adversary mangles",
    "adversary misplaces",
    "adversary holds up some in a broadcast",
    "adversary lies sometimes",
    "adversary silent from any frame on",
    "adversary deals degree t + 1",
    "adversary deals one secret too many",
    "adversary deals one secret too few",
    "adversary floods",
    "adversary later than the deadline by a little, or not",
};

/// Faults of t parties of a synchronous protocol in which `secrets` elements are dealt. The first one has a strategy after the other,
/// seed by seed; the rest is drawn. The world counts them.
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
    const std::size_t strategy = (k == 0 ? run_seed : rng.next64()) % std::size(kSyncStrategies);
    world.count(kSyncStrategies[strategy]);
    switch (strategy) {
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
      case 20:
        faults.corrupt = sometimes(0.1, seed, lie_randomly(seed + 1));
        break;
      case 21:
        faults.corrupt = silent_after(rng.below(static_cast<std::uint64_t>(6 * committee.parties())));
        break;
      case 22:
        faults.corrupt = deal_degree_t_plus_1<Z64>(committee, secrets);
        break;
      case 23:
        faults.corrupt = deal_more_secrets(1, secrets);
        break;
      case 24:
        faults.corrupt = deal_more_secrets(-1, secrets);
        break;
      case 25:
        faults.corrupt = flood_ahead(seed);
        break;
      default:  // the end of the private round, or of a round of a broadcast
        faults.rushing = false;
        faults.slow = (rng.chance(0.5) ? kRoundTimeout / 4 : kRoundTimeout) - std::chrono::milliseconds(rng.below(60));
        break;
    }
  }
}

/// What only one honest party may know of what another one dealt it: its slices, the values that the two others of three honest
/// parties share, and the pads between two of them (mpc.md 7.3). `secrets` elements were dealt.
inline Secrets secrets_of_sharing(const Tap& tap, CommitteeSize committee, runtime::RoleSet honest,
                                  std::size_t secrets) {
  Secrets out;
  const std::size_t slices_bytes = Slices<Z64>::encoded_bytes(committee.threshold(), secrets);
  tap.each([&](const Tap::Sent& sent) {
    if (!deals(sent.frame)) return;
    const ByteView bytes = *sent.frame.payload;
    for (const Role to : sent.to) {
      if (!honest.contains(to) || bytes.size() < slices_bytes) continue;
      for (std::size_t at = 0; at < bytes.size(); at += Gr<Z64>::kSizeBytes) {
        // A pad of a faulty dealer's values hides nothing: what the dealer gave may have been nothing.
        const std::size_t pad = (at - slices_bytes) / Gr<Z64>::kSizeBytes / secrets;
        if (at >= slices_bytes && !honest.contains(Role(static_cast<int>(pad) + 1))) continue;
        out.add(bytes.subspan(at, Gr<Z64>::kSizeBytes),
                fmt::format("what it dealt party {} as element {}", to.number(), at / Gr<Z64>::kSizeBytes),
                runtime::RoleSet{to});
      }
      const auto slices = Slices<Z64>::decode(committee.threshold(), secrets, bytes.first(slices_bytes));
      for (const Role third : honest)
        if (third != to)
          for (std::size_t k = 0; k < secrets; ++k) {
            out.add(slices.f(k, third), fmt::format("F of secret {} of party {}", k, sent.from.number()));
            out.add(slices.g(k, third), fmt::format("G of secret {} of party {}", k, sent.from.number()));
          }
    }
  });
  return out;
}

}  // namespace witan::mpc::test
