#include "mpc/broadcast.h"

#include <gtest/gtest.h>

#include <map>

#include "mpc/broadcast_impl.h"
#include "runtime/sim.h"
#include "runtime/sim_adversary.h"

namespace witan::mpc {
namespace {

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

constexpr std::pair<int, int> kCommittees[] = {{4, 1}, {7, 2}, {10, 3}, {13, 4}};
constexpr SessionId kSession{u128{29}};
constexpr Step kFirstStep = 5;
constexpr runtime::Duration kRound = 1s;           // 50 of the longest delays
constexpr runtime::Duration kLongestDelay = 20ms;  // of sim::WorldOptions
constexpr std::size_t kMaxBytes = 10'000;

/// Signing keys of the parties, by position.
const std::vector<crypto::SigningKey>& signing_keys() {
  static const auto keys = [] {
    SimRng rng(29);
    std::vector<crypto::SigningKey> out;
    for (int i = 0; i < Role::kMax; ++i) out.push_back(crypto::SigningKey::generate(rng));
    return out;
  }();
  return keys;
}

Signatories signatories_of(CommitteeSize committee, Role self) {
  Signatories out{.own = &signing_keys()[self.index()], .keys = {}};
  for (int i = 1; i <= committee.parties(); ++i) out.keys.push_back(signing_keys()[Role(i).index()].verifying_key());
  return out;
}

RoleSet range(int first, int last) {
  RoleSet out;
  for (int i = first; i <= last; ++i) out.insert(Role(i));
  return out;
}

/// What a party that follows the protocol says in a broadcast; some of them long enough to be hashed on the pool.
Payload message_of(Role sender, std::uint32_t number) {
  SimRng rng(number, static_cast<std::uint64_t>(sender.number()));
  Bytes out((sender.number() % 3 == 0 ? 5000u : 10u) + static_cast<std::size_t>(sender.number()));
  rng.fill(out);
  return runtime::make_payload(std::move(out));
}

struct Ended {
  Result<BroadcastOutcome> outcome = fail(Code::unavailable, "did not end");
  BroadcastReport report;
  runtime::Duration took{};
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
    BasicBroadcast<Rules> broadcast(*session, node.compute(), signatories_of(plan.committee, node.role()), kFirstStep,
                                    kRound);
    for (std::uint32_t number = 0; number < plan.broadcasts; ++number) {
      const auto start = node.loop().now();
      auto outcome = co_await broadcast.run(number, message_of(node.role(), number), plan.active, kMaxBytes);
      Ended& ended = endings[{node.role().number(), number}];
      ended = {std::move(outcome), broadcast.report(), node.loop().now() - start};
      if (!ended.outcome) co_return;
    }
    co_await node.loop().sleep_for(20 * kRound);
  };
}

runtime::sim::WorldOptions options(std::uint64_t seed, CommitteeSize committee) {
  return {.seed = seed, .committee = committee, .router = {}};
}

/// Agreement between the honest parties, validity for honest senders, nobody of them accused.
Status judge(const Plan& plan, RoleSet honest, const Endings& endings) {
  for (std::uint32_t number = 0; number < plan.broadcasts; ++number) {
    const BroadcastOutcome* first = nullptr;
    for (const Role party : honest) {
      const auto found = endings.find({party.number(), number});
      if (found == endings.end()) return fail(Code::internal, "party {} has not ended {}", party.number(), number);
      const auto& [outcome, report, took] = found->second;
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
      const RoleSet accused = report.malformed | report.equivocated | report.late | report.silent;
      if (!(accused & honest).empty()) return fail(Code::internal, "party {} accuses an honest party", party.number());
    }
  }
  return {};
}

// Two rounds; the bytes of the formula; nothing else.
TEST(Broadcast, EverybodyGetsEveryMessageInTwoRounds) {
  for (const auto [n, t] : kCommittees) {
    const Plan plan{.committee = CommitteeSize::make(n, t).value(), .broadcasts = 3};
    Endings endings;
    World world(options(1, plan.committee), broadcasting(plan, endings));
    std::map<std::pair<Role, Role>, std::vector<std::size_t>> sent;
    for (const Role from : plan.active)
      world.faults(from).corrupt = [&sent, from](Role to, const Frame& frame) {
        EXPECT_EQ(frame.kind, FrameKind::data);
        sent[{from, to}].push_back(frame.payload->size());
        return std::vector{frame};
      };
    world.set_required(plan.active);
    ASSERT_EQ(world.run(60s), runtime::sim::End::finished);
    const Status good = judge(plan, plan.active, endings);
    ASSERT_TRUE(good) << good.error().message;
    for (const auto& [key, ended] : endings) {
      EXPECT_LE(ended.took, 3 * kLongestDelay);  // a party may begin one delay before the others
      EXPECT_TRUE(ended.report.relayed.empty());
      EXPECT_TRUE(ended.report.fetched.empty());
    }
    for (const auto& [link, sizes] : sent) {
      std::vector<std::size_t> expected;
      for (std::uint32_t number = 0; number < plan.broadcasts; ++number) {
        expected.push_back(message_of(link.first, number)->size());
        expected.push_back(2 + 32 * static_cast<std::size_t>(n) + 64);
      }
      EXPECT_EQ(sizes, expected);
    }
    EXPECT_EQ(sent.size(), static_cast<std::size_t>(n * (n - 1)));
  }
}

TEST(Broadcast, ASilentSenderIsBotAfterTPlus3Rounds) {
  for (const auto [n, t] : kCommittees) {
    const Plan plan{.committee = CommitteeSize::make(n, t).value()};
    Endings endings;
    World world(options(2, plan.committee), broadcasting(plan, endings));
    for (int i = 1; i <= t; ++i) world.faults(Role(i)).silent = true;
    ASSERT_EQ(world.run(60s), runtime::sim::End::finished);
    const RoleSet honest = range(t + 1, n);
    const Status good = judge(plan, honest, endings);
    ASSERT_TRUE(good) << good.error().message;
    for (const Role party : honest) {
      const Ended& ended = endings.at({party.number(), 0});
      EXPECT_EQ(ended.took, (t + 3) * kRound);
      EXPECT_EQ(ended.report.silent, range(1, t));
      for (int i = 1; i <= t; ++i) EXPECT_FALSE((*ended.outcome)[Role(i).index()]);
    }
  }
}

}  // namespace
}  // namespace witan::mpc
