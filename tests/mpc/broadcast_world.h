// Broadcasts in the simulator: parties that follow the protocol, what must hold of how they end, and what liars put on the wire.
#pragma once

#include <map>

#include "mpc/broadcast_impl.h"
#include "mpc/committees_for_test.h"
#include "runtime/sim.h"
#include "runtime/sim_adversary.h"

namespace witan::mpc::test {

using namespace std::chrono_literals;
using broadcast::Context;
using broadcast::Evidence;
using broadcast::SignedVector;
using runtime::Frame;
using runtime::FrameKind;
using runtime::Payload;
using runtime::RoleSet;
using runtime::Step;
using runtime::sim::Coverage;
using runtime::sim::Node;
using runtime::sim::SimRng;
using runtime::sim::World;

inline constexpr SessionId kSession{u128{29}};
inline constexpr Step kFirstStep = 5;
inline constexpr runtime::Duration kRound = 1s;           // 50 of the longest delays
inline constexpr runtime::Duration kLongestDelay = 20ms;  // of sim::WorldOptions
inline constexpr std::size_t kMaxBytes = 10'000;

/// What a party that follows the protocol says in a broadcast; some of them long enough to be hashed on the pool.
inline Payload message_of(Role sender, std::uint32_t number) {
  SimRng rng(number, static_cast<std::uint64_t>(sender.number()));
  Bytes out((sender.number() % 3 == 0 ? 5000u : 10u) + static_cast<std::size_t>(sender.number()));
  rng.fill(out);
  return runtime::make_payload(std::move(out));
}

struct Ended {
  Result<BroadcastOutcome> outcome = fail(Code::unavailable, "did not end");
  BroadcastReport report;
  runtime::Duration took{};
  runtime::Instant at{};
};
/// By party and number of the broadcast.
using Endings = std::map<std::pair<int, std::uint32_t>, Ended>;

struct Plan {
  CommitteeSize committee;
  std::uint32_t broadcasts = 1;
  RoleSet active = RoleSet::all(committee);
  std::map<Role, runtime::Duration> starts_after = {};
};

/// Follows the protocol and stays to answer. A party that was killed keeps silent (security.md 6).
template <class Rules = BroadcastRules>
runtime::sim::Program broadcasting(const Plan& plan, Endings& endings) {
  return [&plan, &endings](Node& node) -> runtime::Task<void> {
    if (node.life() > 0 || !plan.active.contains(node.role())) co_return;
    auto session = node.router().open(kSession);
    if (!session) co_return;
    if (const auto late = plan.starts_after.find(node.role()); late != plan.starts_after.end())
      co_await node.loop().sleep_for(late->second);
    BasicBroadcast<Rules> broadcast(*session, node.compute(), signatories(plan.committee.parties(), node.role()),
                                    kFirstStep, kRound);
    for (std::uint32_t number = 0; number < plan.broadcasts; ++number) {
      const auto start = node.loop().now();
      auto outcome = co_await broadcast.run(number, message_of(node.role(), number), plan.active, kMaxBytes);
      Ended& ended = endings[{node.role().number(), number}];
      ended = {std::move(outcome), broadcast.report(), node.loop().now() - start, node.loop().now()};
      if (!ended.outcome) co_return;
    }
    co_await node.loop().sleep_for(20 * kRound);
  };
}

inline runtime::sim::WorldOptions options(std::uint64_t seed, CommitteeSize committee) {
  return {.seed = seed, .committee = committee, .router = {}};
}

/// Agreement between the honest parties, validity for honest senders, nobody of them accused.
inline Status judge(const Plan& plan, RoleSet honest, const Endings& endings) {
  for (std::uint32_t number = 0; number < plan.broadcasts; ++number) {
    const BroadcastOutcome* first = nullptr;
    for (const Role party : honest) {
      const auto found = endings.find({party.number(), number});
      if (found == endings.end()) return fail(Code::internal, "party {} has not ended {}", party.number(), number);
      const auto& [outcome, report, took, at] = found->second;
      if (!outcome) return fail(Code::internal, "party {}: {}", party.number(), outcome.error().message);
      if (!first) first = &*outcome;
      for (const Role sender : RoleSet::all(plan.committee)) {
        const Payload &mine = (*outcome)[sender.index()], &theirs = (*first)[sender.index()];
        if ((mine == nullptr) != (theirs == nullptr) || (mine && *mine != *theirs))
          return fail(Code::internal, "parties disagree on the message of party {}", sender.number());
        if (honest.contains(sender) && (!mine || *mine != *message_of(sender, number)))
          return fail(Code::internal, "the honest party {} was not heard by party {}", sender.number(), party.number());
        if (!plan.active.contains(sender) && mine)
          return fail(Code::internal, "party {} is not active and was heard", sender.number());
      }
      const RoleSet accused = report.malformed | report.equivocated | report.late | report.silent | report.absent;
      if (!(accused & honest).empty()) return fail(Code::internal, "party {} accuses an honest party", party.number());
    }
  }
  return {};
}

/// From the first to the last of these parties that ends that broadcast.
inline runtime::Duration apart(const Endings& endings, RoleSet parties, std::uint32_t number) {
  auto first = runtime::kNever, last = runtime::Instant{};
  for (const Role party : parties) {
    const auto at = endings.at({party.number(), number}).at;
    first = std::min(first, at), last = std::max(last, at);
  }
  return last - first;
}

inline Context context_of(const Plan& plan, std::uint32_t number) {
  return {kSession, kFirstStep + number * kBroadcastSteps, number, plan.active};
}

inline SignedVector signed_vector(const Context& context, Role signer, std::map<Role, crypto::Digest> hashes) {
  SignedVector out{std::move(hashes), {}};
  out.signature = broadcast::sign(signing_keys()[signer.index()], out.digest(context));
  return out;
}

inline broadcast::Signature signed_relay(const Context& context, Role signer, Role sender, const crypto::Digest& hash) {
  return broadcast::sign(signing_keys()[signer.index()], broadcast::relay_digest(context, sender, hash));
}

/// Puts a frame on the wire, past the session's rules.
inline void tell(Node& node, Role to, Step step, const Bytes& bytes) {
  (void)node.link().send(to, {FrameKind::data, kSession, step, runtime::make_payload(bytes)}, runtime::Lane::urgent);
}

}  // namespace witan::mpc::test
