#include <gtest/gtest.h>

#include <functional>

#include "mpc/broadcast_world.h"

namespace witan::mpc {
namespace {

using namespace test;

/// What the last party does as a sender, with t-1 others that lie for it. It has no certificate of honest vectors: those it told
/// are n-2t. With the vectors of the liars, which have been silent about it so far, there is one.
/// Or it has no certificate of its absence: those it did not tell are n-2t. With other vectors of the liars, which have said so
/// far that they heard it, there is one.
struct Show {
  int r = 0;       // shown before the end of round 2+r
  int relays = 0;  // with so many relay signatures of liars
  RoleSet to;
};
struct Scheme {
  Plan plan;
  std::vector<Show> shows;
  /// Changes a certificate before it is shown.
  std::function<void(const Context&, Evidence&)> spoil = [](const Context&, Evidence&) {};
  /// What liars answer when they are asked for the message; the truth if null.
  Payload answer = nullptr;
  bool absence = false;

  int parties() const { return plan.committee.parties(); }
  int threshold() const { return plan.committee.threshold(); }
  Role sender() const { return Role(parties()); }
  RoleSet honest() const { return range(1, parties() - threshold()); }
  RoleSet liars() const { return plan.active - honest(); }
  RoleSet told() const { return range(1, absence ? threshold() : parties() - 2 * threshold()); }
  /// Honest parties whose vectors are in the certificate.
  RoleSet certifying() const { return absence ? honest() - told() : told(); }
};

runtime::sim::Program scheming(const Scheme& scheme) {
  return [&scheme](Node& node) -> runtime::Task<void> {
    const Role self = node.role(), sender = scheme.sender();
    const Context context = context_of(scheme.plan, 0);
    const Step first = context.first_step;
    auto session = node.router().open(kSession);
    for (const Role peer : self == sender ? scheme.told() : scheme.honest())
      tell(node, peer, first + kBroadcastMessage, *message_of(self, 0));
    std::map<Role, crypto::Digest> hashes;
    for (const Role other : scheme.plan.active) hashes[other] = broadcast::message_hash(*message_of(other, 0));
    const crypto::Digest hash = hashes.at(sender);
    std::map<Role, crypto::Digest> others = hashes;
    others.erase(sender);
    const auto &told = scheme.absence ? hashes : others, &certified = scheme.absence ? others : hashes;
    for (const Role peer : scheme.honest())
      tell(node, peer, first + kBroadcastVector, signed_vector(context, self, told).encode());
    const Payload answer = scheme.answer ? scheme.answer : message_of(sender, 0);
    (void)session->offer_all(first + kBroadcastFetch + static_cast<Step>(sender.index()), answer);
    if (self == sender) {
      Evidence certificate;
      for (const Role liar : scheme.liars()) certificate.vectors.emplace(liar, signed_vector(context, liar, certified));
      for (const Role peer : scheme.certifying()) {
        const auto vector = co_await session->receive(peer, first + kBroadcastVector, node.loop().after(2 * kRound));
        if (vector) certificate.vectors.emplace(peer, SignedVector::decode(vector->bytes(), context.active).value());
      }
      for (const Show& show : scheme.shows) {
        Evidence evidence = certificate;
        for (int i = 0; i < show.relays; ++i) {
          const Role liar(sender.number() - i);
          evidence.relays.emplace(liar, signed_relay(context, liar, sender, hash));
        }
        scheme.spoil(context, evidence);
        co_await node.loop().sleep_until(runtime::Instant{} + (2 + show.r) * kRound - 1ms);
        for (const Role peer : show.to)
          tell(node, peer, first + kBroadcastRelay + static_cast<Step>(sender.index()), evidence.encode());
      }
    }
    co_await node.loop().sleep_for(20 * kRound);
  };
}

/// How it ends for honest parties.
template <class Rules = BroadcastRules>
Endings run_scheme(const Scheme& scheme, std::uint64_t seed = 1) {
  Endings endings;
  World world(options(seed, scheme.plan.committee), broadcasting<Rules>(scheme.plan, endings));
  for (const Role liar : scheme.liars()) {
    world.set_program(liar, scheming(scheme));
    world.faults(liar).byzantine = true;
    world.faults(liar).rushing = true;
  }
  EXPECT_EQ(world.run(100s), runtime::sim::End::finished);
  return endings;
}

/// The honest parties that have the sender's message.
RoleSet heard_by(const Scheme& scheme, const Endings& endings) {
  RoleSet out;
  for (const Role party : scheme.honest()) {
    const auto& outcome = endings.at({party.number(), 0}).outcome;
    EXPECT_TRUE(outcome) << outcome.error().message;
    if (!outcome) continue;
    const Payload& heard = (*outcome)[scheme.sender().index()];
    if (heard && *heard == *message_of(scheme.sender(), 0)) out.insert(party);
  }
  return out;
}

Scheme scheme_for(int n, int t, std::vector<Show> shows) {
  return {.plan = {.committee = CommitteeSize::make(n, t).value()}, .shows = std::move(shows)};
}

// S29: an equivocating sender shows its certificate to one honest party at the last moment of each round, with as many relay
// signatures as there are liars. Whoever may still extract it gives it to all others.
TEST(BroadcastSchemes, ACertificateShownToOnePartyReachesAll) {
  for (const auto [n, t] : kCommittees)
    for (int r = 0; r <= t + 1; ++r)
      for (int relays = std::max(0, r - 1); relays <= t; ++relays)
        for (const Role victim : {Role(1), Role(n - t)}) {  // has the message, and has not
          const Scheme scheme = scheme_for(n, t, {{r, relays, RoleSet{victim}}});
          const Endings endings = run_scheme(scheme);
          const Status good = judge(scheme.plan, scheme.honest(), endings);
          ASSERT_TRUE(good) << n << " " << r << " " << relays << ": " << good.error().message;
          const bool in_time = relays >= r;
          EXPECT_EQ(heard_by(scheme, endings), in_time ? scheme.honest() : RoleSet{}) << n << " " << r << " " << relays;
          const BroadcastReport& report = endings.at({victim.number(), 0}).report;
          EXPECT_EQ(report.late, in_time ? RoleSet{} : RoleSet{scheme.sender()});
          EXPECT_EQ(report.relayed, in_time ? RoleSet{scheme.sender()} : RoleSet{});
          EXPECT_TRUE(report.equivocated.contains(scheme.sender()) || (!in_time && victim != Role(1)));
        }
}

TEST(BroadcastSchemes, ACertificateShownToOneMorePartyInEachRoundReachesAll) {
  for (const auto [n, t] : kCommittees)
    for (int first = 1; first <= t; ++first) {
      std::vector<Show> shows;
      for (int r = first; r <= t + 1; ++r) shows.push_back({r, t, RoleSet{Role(r)}});
      const Scheme scheme = scheme_for(n, t, shows);
      const Endings endings = run_scheme(scheme);
      const Status good = judge(scheme.plan, scheme.honest(), endings);
      ASSERT_TRUE(good) << good.error().message;
      EXPECT_EQ(heard_by(scheme, endings), scheme.honest());
    }
}

TEST(BroadcastSchemes, ASenderThatFewHearAndNobodyShowsIsBotAfterTPlus3Rounds) {
  for (const auto [n, t] : kCommittees)
    for (const bool absence : {false, true}) {
      Scheme scheme = scheme_for(n, t, {});
      scheme.absence = absence;
      const Endings endings = run_scheme(scheme);
      const Status good = judge(scheme.plan, scheme.honest(), endings);
      ASSERT_TRUE(good) << good.error().message;
      EXPECT_EQ(heard_by(scheme, endings), RoleSet{});
      for (const auto& [key, ended] : endings) EXPECT_EQ(ended.took, (t + 3) * kRound);
    }
}

// Whoever sees that a sender is absent returns at once, and all others close behind.
TEST(BroadcastSchemes, AnAbsenceShownToOnePartyReachesAll) {
  for (const auto [n, t] : kCommittees)
    for (int r = 0; r <= t + 1; ++r)
      for (const Role victim : {Role(1), Role(n - t)}) {  // has the message, and has not
        Scheme scheme = scheme_for(n, t, {{r, 0, RoleSet{victim}}});
        scheme.absence = true;
        const Endings endings = run_scheme(scheme);
        const Status good = judge(scheme.plan, scheme.honest(), endings);
        ASSERT_TRUE(good) << n << " " << r << ": " << good.error().message;
        EXPECT_EQ(heard_by(scheme, endings), RoleSet{});
        EXPECT_LE(endings.at({victim.number(), 0}).took, (2 + r) * kRound);
        EXPECT_LE(apart(endings, scheme.honest(), 0), kRound / 8 + 4 * kLongestDelay);
        for (const Role party : scheme.honest()) {
          const BroadcastReport& report = endings.at({party.number(), 0}).report;
          if (r <= t) EXPECT_EQ(report.absent, RoleSet{scheme.sender()});
          EXPECT_TRUE(report.equivocated.contains(scheme.sender()) || !scheme.told().contains(party));
        }
      }
}

// What is no certificate of absence ends nothing.
TEST(BroadcastSchemes, FalseAbsencesAreRefused) {
  const std::pair<const char*, std::function<void(const Context&, Evidence&)>> spoilers[] = {
      {"one vector less", [](const Context&, Evidence& e) { e.vectors.erase(Role(2)); }},
      {"one vector twice, under another role",
       [](const Context&, Evidence& e) {
         e.vectors.erase(Role(2));
         e.vectors[Role(1)] = e.vectors[Role(3)];
       }},
      {"a forged vector of an honest party",
       [](const Context& c, Evidence& e) {
         e.vectors.erase(Role(2));
         e.vectors[Role(1)] = signed_vector(c, Role(4), e.vectors[Role(3)].hashes);
       }},
      {"a vector of another broadcast",
       [](Context c, Evidence& e) {
         c.number ^= 1, e.vectors[Role(4)] = signed_vector(c, Role(4), e.vectors[Role(4)].hashes);
       }},
      {"relay signatures",
       [](const Context& c, Evidence& e) { e.relays[Role(4)] = signed_relay(c, Role(4), Role(4), crypto::Digest{}); }},
  };
  for (const auto& [what, spoil] : spoilers) {
    Scheme scheme = scheme_for(4, 1, {{0, 0, RoleSet{Role(2), Role(3)}}});
    scheme.absence = true;
    for (const auto& [key, ended] : run_scheme(scheme)) EXPECT_LE(ended.took, 3 * kRound) << what;
    scheme.spoil = spoil;
    const Endings endings = run_scheme(scheme);
    EXPECT_TRUE(judge(scheme.plan, scheme.honest(), endings)) << what;
    for (const auto& [key, ended] : endings) EXPECT_EQ(ended.took, 4 * kRound) << what;
    for (const int party : {2, 3}) EXPECT_EQ(endings.at({party, 0}).report.malformed, RoleSet{Role(4)}) << what;
  }
}

// What is no certificate convinces nobody, in a round where a good one would do; its sender is named.
TEST(BroadcastSchemes, FalseCertificatesAreRefused) {
  const std::pair<const char*, std::function<void(const Context&, Evidence&)>> spoilers[] = {
      {"one vector less", [](const Context&, Evidence& e) { e.vectors.erase(Role(1)); }},
      {"one vector twice, under another role",
       [](const Context&, Evidence& e) {
         e.vectors.erase(Role(1));
         e.vectors[Role(3)] = e.vectors[Role(2)];
       }},
      {"a forged vector of an honest party",
       [](const Context& c, Evidence& e) {
         e.vectors[Role(1)] = signed_vector(c, Role(4), e.vectors[Role(1)].hashes);
       }},
      {"a vector that is known, with another signature",
       [](const Context&, Evidence& e) { e.vectors[Role(1)].signature[40] ^= 1; }},
      {"a vector of another broadcast",
       [](Context c, Evidence& e) {
         c.number ^= 1, e.vectors[Role(4)] = signed_vector(c, Role(4), e.vectors[Role(4)].hashes);
       }},
      {"a vector of another session",
       [](Context c, Evidence& e) {
         c.session.value ^= 1, e.vectors[Role(4)] = signed_vector(c, Role(4), e.vectors[Role(4)].hashes);
       }},
      {"a forged relay signature",
       [](const Context&, Evidence& e) { e.relays[Role(4)] = e.vectors[Role(4)].signature; }},
      {"a relay signature on another hash",
       [](const Context& c, Evidence& e) { e.relays[Role(4)] = signed_relay(c, Role(4), Role(4), crypto::Digest{}); }},
      {"a relay signature about another sender",
       [](const Context& c, Evidence& e) { e.relays[Role(4)] = signed_relay(c, Role(4), Role(3), *e.hash(Role(4))); }},
      {"a relay signature of an honest party, forged",
       [](const Context& c, Evidence& e) { e.relays[Role(2)] = signed_relay(c, Role(4), Role(4), *e.hash(Role(4))); }},
      {"a relay signature of another broadcast",
       [](Context c, Evidence& e) {
         c.number ^= 1, e.relays[Role(4)] = signed_relay(c, Role(4), Role(4), *e.hash(Role(4)));
       }},
  };
  for (const auto& [what, spoil] : spoilers) {
    Scheme scheme = scheme_for(4, 1, {{1, 1, RoleSet{Role(2), Role(3)}}});
    EXPECT_EQ(heard_by(scheme, run_scheme(scheme)), scheme.honest()) << what;
    scheme.spoil = spoil;
    const Endings endings = run_scheme(scheme);
    EXPECT_EQ(heard_by(scheme, endings), RoleSet{}) << what;
    EXPECT_TRUE(judge(scheme.plan, scheme.honest(), endings)) << what;
    for (const int party : {2, 3}) EXPECT_EQ(endings.at({party, 0}).report.malformed, RoleSet{Role(4)}) << what;
  }
}

// S30: who fetches asks t liars and one honest party, and takes what fits.
TEST(BroadcastSchemes, AFetchedMessageIsTheCertifiedOne) {
  for (const auto [n, t] : kCommittees) {
    int lies = 0;
    for (const std::size_t size : {std::size_t{0}, std::size_t{20}, kMaxBytes + 1}) {
      Scheme scheme = scheme_for(n, t, {{1, 1, RoleSet{Role(1)}}});
      scheme.answer = runtime::make_payload(Bytes(size));
      const Endings endings = run_scheme(scheme, size + 1);
      const Status good = judge(scheme.plan, scheme.honest(), endings);
      ASSERT_TRUE(good) << good.error().message;
      EXPECT_EQ(heard_by(scheme, endings), scheme.honest());
      for (const Role party : scheme.honest() - scheme.told())
        EXPECT_EQ(endings.at({party.number(), 0}).report.fetched, RoleSet{scheme.sender()});
      lies += endings.at({n - t, 0}).report.malformed.size();
    }
    EXPECT_GT(lies, 0);
  }
}

// Liars leave one party alone without message and vector. That party does not wait for its rounds to end, also when each of its
// messages takes as long as one may.
TEST(BroadcastSchemes, NobodyIsMadeLateForTheNextBroadcast) {
  for (const auto [n, t] : kCommittees)
    for (const runtime::Duration delay : {kLongestDelay, kRound / 16}) {
      const Plan plan{.committee = CommitteeSize::make(n, t).value(), .broadcasts = 4};
      Endings endings;
      auto slow = options(7, plan.committee);
      slow.min_delay = delay - 1us, slow.max_delay = delay;
      World world(slow, broadcasting(plan, endings));
      for (int i = 1; i <= t; ++i) {
        world.faults(Role(i)).silent_towards = RoleSet{Role(n)};
        world.faults(Role(i)).rushing = true;
      }
      ASSERT_EQ(world.run(60s), runtime::sim::End::finished);
      const RoleSet honest = range(t + 1, n);
      const Status good = judge(plan, honest, endings);
      ASSERT_TRUE(good) << good.error().message;
      for (std::uint32_t number = 0; number < plan.broadcasts; ++number) {
        EXPECT_LE(apart(endings, honest, number), kRound / 8 + 4 * delay);
        EXPECT_EQ(endings.at({n, number}).report.fetched, range(1, t));
      }
    }
}

struct SmallCertificates : BroadcastRules {
  static constexpr std::size_t certificate(CommitteeSize committee) {
    return BroadcastRules::certificate(committee) - static_cast<std::size_t>(committee.threshold());
  }
};
struct SmallAbsences : BroadcastRules {
  static constexpr std::size_t absence(CommitteeSize committee) {
    return BroadcastRules::absence(committee) - static_cast<std::size_t>(committee.threshold());
  }
};
struct NoRelayCount : BroadcastRules {
  static constexpr std::size_t relays(int) { return 0; }
};
struct NoSignatures : BroadcastRules {
  static bool is_signed(const crypto::VerifyingKey&, const crypto::Digest&, ByteView) { return true; }
};
struct NoFetchCheck : BroadcastRules {
  static bool is_certified(const crypto::Digest&, const crypto::Digest&) { return true; }
};

TEST(BroadcastRemovedDefence, WithoutTheRelayCountTheLastRoundSplitsTheParties) {
  const Scheme scheme = scheme_for(7, 2, {{3, 2, RoleSet{Role(5)}}});
  EXPECT_EQ(heard_by(scheme, run_scheme<NoRelayCount>(scheme)), RoleSet{Role(5)});
  EXPECT_EQ(heard_by(scheme, run_scheme(scheme)), RoleSet{});
}

TEST(BroadcastRemovedDefence, WithoutSignaturesALiarMakesCertificates) {
  Scheme scheme = scheme_for(7, 2, {{3, 2, RoleSet{Role(5)}}});
  scheme.spoil = [](const Context&, Evidence& e) { e.relays[Role(1)] = {}; };
  EXPECT_EQ(heard_by(scheme, run_scheme<NoSignatures>(scheme)), RoleSet{Role(5)});
  EXPECT_EQ(heard_by(scheme, run_scheme(scheme)), RoleSet{});
}

TEST(BroadcastRemovedDefence, WithoutTheHashALiarChoosesWhatIsFetched) {
  Scheme scheme = scheme_for(7, 2, {{1, 1, RoleSet{Role(1)}}});
  scheme.answer = runtime::make_payload(Bytes(20));
  EXPECT_FALSE(judge(scheme.plan, scheme.honest(), run_scheme<NoFetchCheck>(scheme)));
  EXPECT_TRUE(judge(scheme.plan, scheme.honest(), run_scheme(scheme)));
}

TEST(BroadcastRemovedDefence, WithSmallCertificatesASenderHasTwo) {
  // The sender tells one honest party another message, and agrees with everybody about what it said.
  const auto run = []<class Rules>(Rules) {
    const Plan plan{.committee = CommitteeSize::make(4, 1).value()};
    Endings endings;
    World world(options(9, plan.committee), broadcasting<Rules>(plan, endings));
    world.set_program(Role(4), [&plan](Node& node) -> runtime::Task<void> {
      const Context context = context_of(plan, 0);
      for (const Role peer : range(1, 3)) {
        const Payload message = message_of(Role(4), peer == Role(3) ? 1 : 0);
        std::map<Role, crypto::Digest> hashes{{Role(4), broadcast::message_hash(*message)}};
        for (const Role other : range(1, 3)) hashes[other] = broadcast::message_hash(*message_of(other, 0));
        tell(node, peer, context.first_step + kBroadcastMessage, *message);
        tell(node, peer, context.first_step + kBroadcastVector, signed_vector(context, Role(4), hashes).encode());
      }
      co_await node.loop().sleep_for(20 * kRound);
    });
    world.faults(Role(4)).byzantine = true;
    world.faults(Role(4)).rushing = true;
    world.run(60s);
    return judge(plan, range(1, 3), endings);
  };
  EXPECT_FALSE(run(SmallCertificates{}));
  const Status good = run(BroadcastRules{});
  EXPECT_TRUE(good) << good.error().message;
}

TEST(BroadcastRemovedDefence, WithSmallAbsencesASenderIsHeardByNMinus2TAndAbsentForTheOthers) {
  // Liars say that they have not heard the sender, and to those who have heard it, when the others are about to sign, that they have.
  const auto run = []<class Rules>(Rules, int n, int t) {
    const Plan plan{.committee = CommitteeSize::make(n, t).value()};
    const RoleSet honest = range(1, n - t), told = range(1, n - 2 * t);
    Endings endings;
    World world(options(9, plan.committee), broadcasting<Rules>(plan, endings));
    for (int i = n - t + 1; i <= n; ++i) {
      world.set_program(Role(i), [&, n](Node& node) -> runtime::Task<void> {
        const Context context = context_of(plan, 0);
        std::map<Role, crypto::Digest> hashes;
        for (const Role other : plan.active) hashes[other] = broadcast::message_hash(*message_of(other, 0));
        const Bytes heard = signed_vector(context, node.role(), hashes).encode();
        hashes.erase(Role(n));
        const Bytes unheard = signed_vector(context, node.role(), hashes).encode();
        for (const Role peer : node.role() == Role(n) ? told : honest)
          tell(node, peer, context.first_step + kBroadcastMessage, *message_of(node.role(), 0));
        for (const Role peer : honest - told) tell(node, peer, context.first_step + kBroadcastVector, unheard);
        co_await node.loop().sleep_until(runtime::Instant{} + kRound - 1ms);
        for (const Role peer : told) tell(node, peer, context.first_step + kBroadcastVector, heard);
        co_await node.loop().sleep_for(20 * kRound);
      });
      world.faults(Role(i)).byzantine = true;
      world.faults(Role(i)).rushing = true;
    }
    world.run(60s);
    return judge(plan, honest, endings);
  };
  for (const auto [n, t] : kCommittees) {
    EXPECT_FALSE(run(SmallAbsences{}, n, t));
    const Status good = run(BroadcastRules{}, n, t);
    EXPECT_TRUE(good) << good.error().message;
  }
}

}  // namespace
}  // namespace witan::mpc
