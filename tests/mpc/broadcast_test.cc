#include "mpc/broadcast.h"

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <set>

#include "mpc/broadcast_impl.h"
#include "mpc/flood_for_test.h"
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
    BasicBroadcast<Rules> broadcast(*session, node.compute(), signatories_of(plan.committee, node.role()), kFirstStep,
                                    kRound);
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
runtime::Duration apart(const Endings& endings, RoleSet parties, std::uint32_t number) {
  auto first = runtime::kNever, last = runtime::Instant{};
  for (const Role party : parties) {
    const auto at = endings.at({party.number(), number}).at;
    first = std::min(first, at), last = std::max(last, at);
  }
  return last - first;
}

/// Two rounds; the bytes of the formula; nothing else.
void expect_two_rounds(CommitteeSize committee, std::uint64_t seed) {
  const Plan plan{.committee = committee, .broadcasts = 3};
  Endings endings;
  World world(options(seed, plan.committee), broadcasting(plan, endings));
  std::map<std::pair<Role, Role>, std::vector<std::size_t>> sent;
  for (const Role from : plan.active)
    world.faults(from).corrupt = [&sent, from](Role to, const Frame& frame) {
      EXPECT_EQ(frame.kind, FrameKind::data);
      if (frame.payload) sent[{from, to}].push_back(frame.payload->size());
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
  const std::size_t vector_bytes = 2 + 32 * static_cast<std::size_t>(committee.parties()) + 64;
  for (const auto& [link, sizes] : sent) {
    std::vector<std::size_t> expected;
    for (std::uint32_t number = 0; number < plan.broadcasts; ++number) {
      expected.push_back(message_of(link.first, number)->size());
      expected.push_back(vector_bytes);
    }
    EXPECT_EQ(sizes, expected);
  }
  EXPECT_EQ(static_cast<int>(sent.size()), committee.parties() * (committee.parties() - 1));
}

// Also where a certificate is there before the message: the message is given time to come by itself.
TEST(Broadcast, EverybodyGetsEveryMessageInTwoRounds) {
  for (const auto [n, t] : kCommittees)
    for (std::uint64_t seed = 1; seed <= (n == 4 ? 100 : 3); ++seed)
      expect_two_rounds(CommitteeSize::make(n, t).value(), seed);
}

TEST(Broadcast, SendersThatNobodyHearsAreBotAfterRound1) {
  for (const auto [n, t] : kCommittees)
    for (std::uint64_t seed = 1; seed <= 10; ++seed) {
      Plan plan{.committee = CommitteeSize::make(n, t).value()};
      if (seed > 1) plan.starts_after[Role(n)] = kRound / 2;
      Endings endings;
      World world(options(seed, plan.committee), broadcasting(plan, endings));
      for (int i = 1; i <= t; ++i) world.faults(Role(i)).silent = true;
      ASSERT_EQ(world.run(60s), runtime::sim::End::finished);
      const RoleSet honest = range(t + 1, n);
      const Status good = judge(plan, honest, endings);
      ASSERT_TRUE(good) << good.error().message;
      for (const Role party : honest) {
        const Ended& ended = endings.at({party.number(), 0});
        EXPECT_LE(ended.took, kRound + (seed > 1 ? kRound / 2 : 0s) + 2 * kLongestDelay);
        EXPECT_EQ(ended.report.absent, range(1, t));
        for (int i = 1; i <= t; ++i) EXPECT_FALSE((*ended.outcome)[Role(i).index()]);
      }
    }
}

TEST(Broadcast, WhoIsNotActiveIsNeitherAwaitedNorHeard) {
  const Plan plan{.committee = CommitteeSize::make(7, 2).value(), .active = range(2, 6)};
  Endings endings;
  World world(options(3, plan.committee), broadcasting(plan, endings));
  world.set_required(plan.active);
  ASSERT_EQ(world.run(60s), runtime::sim::End::finished);
  const Status good = judge(plan, plan.active, endings);
  ASSERT_TRUE(good) << good.error().message;
  for (const auto& [key, ended] : endings) EXPECT_LE(ended.took, 3 * kLongestDelay);
}

TEST(Broadcast, RefusesWhatItCannotSend) {
  const auto committee = CommitteeSize::make(4, 1).value();
  std::vector<Code> codes;
  World world(options(4, committee), [&](Node& node) -> runtime::Task<void> {
    if (node.role() != Role(1)) co_return;
    auto session = node.router().open(kSession);
    const auto signatories = signatories_of(committee, Role(1));
    Broadcast broadcast(*session, node.compute(), signatories, kFirstStep, kRound);
    const RoleSet all = RoleSet::all(committee);
    const Payload message = runtime::make_payload(Bytes(100));
    const auto note = [&](const Result<BroadcastOutcome>& result) {
      codes.push_back(result ? Code::unknown : result.error().code);
    };
    note(co_await broadcast.run(0, message, all, 99));                      // too long
    note(co_await broadcast.run(0, nullptr, all, 100));                     // nothing
    note(co_await broadcast.run(0, message, all - RoleSet{Role(1)}, 100));  // not active
    note(co_await broadcast.run(0, message, all | RoleSet{Role(5)}, 100));  // nobody of that role
    note(co_await broadcast.run(~0u / kBroadcastSteps, message, all, 100));
    auto others = signatories_of(committee, Role(2));
    note(co_await Broadcast(*session, node.compute(), others, kFirstStep, kRound).run(0, message, all, 100));
    others = signatories;
    others.keys.pop_back();
    note(co_await Broadcast(*session, node.compute(), others, kFirstStep, kRound).run(0, message, all, 100));
    note(co_await Broadcast(*session, node.compute(), signatories, kFirstStep, {}).run(0, message, all, 100));
    EXPECT_TRUE(co_await broadcast.run(3, message, all, 100));  // nobody answers: Bot for the others
    note(co_await broadcast.run(3, message, all, 100));         // its vector is signed
    note(co_await broadcast.run(5, message, all, 100));
    session->close(runtime::Session::Keep::sent);
    const auto closed = co_await broadcast.run(4, message, all, 100);
    EXPECT_EQ(closed.error().code, Code::cancelled);
  });
  world.set_required(RoleSet{Role(1)});
  ASSERT_EQ(world.run(60s), runtime::sim::End::finished);
  EXPECT_EQ(codes, std::vector<Code>(10, Code::invalid_argument));
}

Context context_of(const Plan& plan, std::uint32_t number) {
  return {kSession, kFirstStep + number * kBroadcastSteps, number, plan.active};
}

SignedVector signed_vector(const Context& context, Role signer, std::map<Role, crypto::Digest> hashes) {
  SignedVector out{std::move(hashes), {}};
  out.signature = broadcast::sign(signing_keys()[signer.index()], out.digest(context));
  return out;
}

broadcast::Signature signed_relay(const Context& context, Role signer, Role sender, const crypto::Digest& hash) {
  return broadcast::sign(signing_keys()[signer.index()], broadcast::relay_digest(context, sender, hash));
}

// S29: a signature says in which session, broadcast and committee, and about whom.
TEST(BroadcastMessages, EverySignatureCoversItsContext) {
  const Plan plan{.committee = CommitteeSize::make(4, 1).value()};
  const Context context = context_of(plan, 3);
  std::vector<Context> contexts(5, context);
  contexts[1].session.value ^= 1;
  contexts[2].first_step += 1;
  contexts[3].number += 1;
  contexts[4].active.erase(Role(2));
  const crypto::Digest hash = broadcast::message_hash(as_bytes("m"));
  std::set<crypto::Digest> digests{hash};
  for (const Context& other : contexts) {
    digests.insert(SignedVector{{{Role(1), hash}}, {}}.digest(other));
    digests.insert(broadcast::relay_digest(other, Role(1), hash));
  }
  digests.insert(broadcast::relay_digest(context, Role(2), hash));
  digests.insert(SignedVector{{{Role(2), hash}}, {}}.digest(context));
  digests.insert(SignedVector{{}, {}}.digest(context));
  EXPECT_EQ(digests.size(), 1 + 2 * contexts.size() + 3);
}

// An absent message is no hash at all, whatever its bits; and everything has one encoding.
TEST(BroadcastMessages, AreReadAsWrittenAndNotOtherwise) {
  const Plan plan{.committee = CommitteeSize::make(4, 1).value()};
  const Context context = context_of(plan, 0);
  const crypto::Digest hash = broadcast::message_hash(as_bytes("m")), other = broadcast::message_hash({});
  const SignedVector vector = signed_vector(context, Role(1), {{Role(2), hash}, {Role(4), crypto::Digest{}}});
  EXPECT_FALSE(vector.at(Role(1)));
  EXPECT_TRUE(vector.at(Role(4)));
  Evidence evidence;
  for (const int i : {1, 3, 4})
    evidence.vectors.emplace(Role(i), signed_vector(context, Role(i), {{Role(2), hash}, {Role(i), other}}));
  evidence.relays.emplace(Role(3), signed_relay(context, Role(3), Role(2), hash));

  const auto reads_vector = [&](ByteView bytes) { return SignedVector::decode(bytes, plan.active).has_value(); };
  const auto reads_evidence = [&](ByteView bytes) { return Evidence::decode(bytes, plan.active, Role(2)).has_value(); };
  EXPECT_EQ(SignedVector::decode(vector.encode(), plan.active).value(), vector);
  EXPECT_EQ(Evidence::decode(evidence.encode(), plan.active, Role(2)).value().encode(), evidence.encode());
  EXPECT_EQ(*Evidence::decode(evidence.encode(), plan.active, Role(2)).value().hash(Role(2)), hash);
  for (const auto& [bytes, reads] : {std::pair<Bytes, std::function<bool(ByteView)>>(vector.encode(), reads_vector),
                                     {evidence.encode(), reads_evidence}}) {
    for (std::size_t size = 0; size < bytes.size(); ++size) EXPECT_FALSE(reads(ByteView(bytes).first(size))) << size;
    Bytes longer = bytes;
    longer.push_back(0);
    EXPECT_FALSE(reads(longer));
    Bytes stranger = bytes;
    stranger[0] |= 0x10;  // party 5 of four
    EXPECT_FALSE(reads(stranger));
    stranger.insert(stranger.begin() + 2, 32, 0);
    EXPECT_FALSE(reads(stranger));
  }
  EXPECT_FALSE(Evidence::decode(evidence.encode(), plan.active, Role(3)));  // one vector has a hash there
  EXPECT_FALSE(Evidence::decode(evidence.encode(), plan.active - RoleSet{Role(3)}, Role(2)));
  EXPECT_FALSE(Evidence::decode(Evidence{}.encode(), plan.active, Role(2)));
  Evidence mixed = evidence;
  mixed.vectors[Role(3)] = signed_vector(context, Role(3), {{Role(2), other}});
  EXPECT_FALSE(Evidence::decode(mixed.encode(), plan.active, Role(2)));

  Evidence absence;
  for (const int i : {1, 3, 4}) absence.vectors.emplace(Role(i), signed_vector(context, Role(i), {{Role(1), hash}}));
  EXPECT_FALSE(Evidence::decode(absence.encode(), plan.active, Role(2)).value().hash(Role(2)));
  mixed = absence;
  mixed.vectors[Role(3)] = evidence.vectors[Role(3)];
  EXPECT_FALSE(Evidence::decode(mixed.encode(), plan.active, Role(2)));
  mixed = absence;
  mixed.relays = evidence.relays;  // on no hash
  EXPECT_FALSE(Evidence::decode(mixed.encode(), plan.active, Role(2)));
}

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

/// Puts a frame on the wire, past the session's rules.
void tell(Node& node, Role to, Step step, const Bytes& bytes) {
  (void)node.link().send(to, {FrameKind::data, kSession, step, runtime::make_payload(bytes)}, runtime::Lane::urgent);
}

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

TEST(Broadcast, TooLongMessagesAreBot) {
  const Plan plan{.committee = CommitteeSize::make(4, 1).value()};
  for (const bool to_all : {true, false}) {
    Endings endings;
    World world(options(8, plan.committee), broadcasting(plan, endings));
    world.faults(Role(4)).corrupt = [=](Role to, const Frame& frame) {
      Frame out = frame;
      if (frame.step == kFirstStep + kBroadcastMessage && (to_all || to == Role(1)))
        out.payload = runtime::make_payload(Bytes(kMaxBytes + 1));
      return std::vector{out};
    };
    ASSERT_EQ(world.run(60s), runtime::sim::End::finished);
    const Status good = judge(plan, range(1, 3), endings);
    ASSERT_TRUE(good) << good.error().message;
    EXPECT_EQ(endings.at({1, 0}).report.malformed, RoleSet{Role(4)});
    for (int i = 1; i <= 3; ++i) EXPECT_EQ((*endings.at({i, 0}).outcome)[3] == nullptr, to_all);
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

/// What the liars of one run know together, by number of the broadcast.
struct Coalition {
  using Key = std::tuple<std::uint32_t, Role, crypto::Digest>;  // number, sender, hash

  RoleSet members;
  std::map<std::uint32_t, std::map<Role, SignedVector>> vectors;  // of honest parties
  std::map<Key, std::map<Role, broadcast::Signature>> relays;     // of honest parties
};

/// A liar with the keys of its coalition, which sends whatever may do harm, at moments where it may.
class Liar {
 public:
  Liar(Node& node, const Plan& plan, Coalition& coalition, const Endings& endings, std::uint64_t seed)
      : node_(node),
        plan_(plan),
        coalition_(coalition),
        endings_(endings),
        honest_(plan.active - coalition.members),
        seed_(seed),
        rng_(seed, static_cast<std::uint64_t>(node.role().number())) {}

  runtime::Task<void> run() {
    auto session = node_.router().open(kSession);
    if (!session) co_return;
    for (std::uint32_t number = 0; number < plan_.broadcasts; ++number) {
      start_ = node_.loop().now();
      patient_ = SimRng(seed_, number).chance(0.4);
      node_.scope().spawn(listen_to_vectors(*session, number));
      for (const Role sender : coalition_.members) {
        node_.scope().spawn(listen_to_relays(*session, number, sender));
        const auto step = context_of(plan_, number).first_step + kBroadcastFetch + static_cast<Step>(sender.index());
        (void)session->offer_all(step, said(sender, number, rng_.below(2)));
      }
      send_messages(number);
      co_await node_.loop().sleep_for(rng_.between(0ms, kRound * (rng_.chance(0.3) ? 2 : 0) + 30ms));
      send_vectors(number);
      std::vector<runtime::Instant> moments(rng_.below(10));
      for (auto& moment : moments) moment = draw_moment();
      std::ranges::sort(moments);
      for (const auto moment : moments) {
        co_await node_.loop().sleep_until(moment);
        if (has_ended(number)) break;
        for (const Role sender : coalition_.members) session->request_resend(relay_step(number, sender), honest_);
        show(number);
      }
      while (!has_ended(number)) co_await node_.loop().sleep_for(20ms);
    }
    co_await node_.loop().sleep_for(60 * kRound);
  }

 private:
  /// What a liar says in round 1: version 0 is what it would say if it were honest.
  Payload said(Role sender, std::uint32_t number, std::uint64_t version) const {
    return version == 0 ? message_of(sender, number) : runtime::make_payload(Bytes(version * 7));
  }
  crypto::Digest hash_of(Role sender, std::uint32_t number, std::uint64_t version) const {
    return broadcast::message_hash(*said(sender, number, version));
  }
  Step relay_step(std::uint32_t number, Role sender) const {
    return context_of(plan_, number).first_step + kBroadcastRelay + static_cast<Step>(sender.index());
  }
  bool has_ended(std::uint32_t number) const {
    return std::ranges::any_of(endings_, [&](const auto& entry) { return entry.first.second == number; });
  }
  Role draw(RoleSet set) {
    auto skip = rng_.below(static_cast<std::uint64_t>(set.size()));
    for (const Role role : set)
      if (skip-- == 0) return role;
    return *set.begin();
  }
  /// Close to the end of a round, mostly.
  runtime::Instant draw_moment() {
    const int last = plan_.committee.threshold() + 3;
    const int round = patient_ ? last - static_cast<int>(rng_.below(2))
                               : 1 + static_cast<int>(rng_.below(static_cast<std::uint64_t>(last)));
    const auto exact = start_ + round * kRound;
    return rng_.chance(0.2) ? exact - rng_.between(0ms, kRound) : exact - 50ms + rng_.between(0ms, 100ms);
  }

  void send_messages(std::uint32_t number) {
    const double truth = patient_ ? 0.5 : rng_.chance(0.3) ? 1 : 0.7;
    for (const Role peer : honest_) {
      const std::uint64_t version = rng_.chance(truth) ? 0 : 1 + rng_.below(3);
      Payload message = said(node_.role(), number, version);
      if (version == 2) message = runtime::make_payload(Bytes(kMaxBytes + 1));
      if (version == 3) continue;
      tell(node_, peer, context_of(plan_, number).first_step + kBroadcastMessage, *message);
    }
  }

  void send_vectors(std::uint32_t number) {
    const Context context = context_of(plan_, number);
    for (const Role peer : honest_) {
      std::map<Role, crypto::Digest> hashes;
      for (const Role sender : plan_.active)
        if (const auto choice = rng_.below(10); choice < 9 && !(patient_ && coalition_.members.contains(sender)))
          hashes[sender] = hash_of(sender, number, coalition_.members.contains(sender) && choice > 5 ? 1 : choice == 8);
      SignedVector vector = signed_vector(context, node_.role(), std::move(hashes));
      const auto way = rng_.below(10);
      if (way == 0) continue;
      if (way == 1) vector.signature[rng_.below(64)] ^= 1;
      Bytes bytes = vector.encode();
      if (way == 2) bytes.resize(rng_.below(bytes.size() + 50));
      tell(node_, peer, context.first_step + kBroadcastVector, bytes);
    }
  }

  /// As much of a certificate as there is for one of the coalition's messages, or against it, to one party or several.
  void show(std::uint32_t number) {
    const Context context = context_of(plan_, number);
    const Role sender = draw(coalition_.members);
    const crypto::Digest hash = hash_of(sender, number, rng_.below(4) == 0);
    Evidence evidence;
    const bool absence = rng_.chance(0.3);
    for (const auto& [signer, vector] : coalition_.vectors[number])
      if (broadcast::same(vector.at(sender), absence ? nullptr : &hash)) evidence.vectors.emplace(signer, vector);
    std::map<Role, crypto::Digest> hashes;
    if (!absence) hashes.emplace(sender, hash);
    for (const Role member : coalition_.members)
      evidence.vectors.emplace(member, signed_vector(context, member, hashes));
    if (!absence) evidence.relays = coalition_.relays[{number, sender, hash}];
    if (rng_.chance(0.5)) evidence.relays.clear();
    for (const Role member : coalition_.members)
      if (!absence && rng_.chance(0.8)) evidence.relays.emplace(member, signed_relay(context, member, sender, hash));
    const auto way = rng_.below(10);
    if (way == 0) evidence.vectors.erase(draw(plan_.active));
    if (way == 1) evidence.relays[draw(honest_)] = {};
    if (way == 2 && !evidence.vectors.empty()) evidence.vectors.begin()->second.signature[0] ^= 1;
    Bytes bytes = evidence.encode();
    if (way == 3) bytes.resize(rng_.below(bytes.size()));
    const Role victim = draw(honest_);
    const double others = rng_.chance(0.3) ? 0.5 : 0;
    for (const Role peer : honest_)
      if (peer == victim || rng_.chance(others)) tell(node_, peer, relay_step(number, sender), bytes);
  }

  runtime::Task<void> listen_to_vectors(runtime::Session& session, std::uint32_t number) {
    for (;;) {
      const auto message = co_await session.next(context_of(plan_, number).first_step + kBroadcastVector, honest_,
                                                 node_.loop().after(20 * kRound));
      if (!message) co_return;
      if (auto vector = SignedVector::decode(message->bytes(), plan_.active))
        coalition_.vectors[number].emplace(message->from, *std::move(vector));
    }
  }

  runtime::Task<void> listen_to_relays(runtime::Session& session, std::uint32_t number, Role sender) {
    for (;;) {
      const auto message = co_await session.next(relay_step(number, sender), honest_, node_.loop().after(20 * kRound));
      if (!message) co_return;
      const auto evidence = Evidence::decode(message->bytes(), plan_.active, sender);
      if (!evidence) continue;
      for (const auto& [signer, signature] : evidence->relays)
        if (honest_.contains(signer))
          coalition_.relays[{number, sender, *evidence->hash(sender)}].emplace(signer, signature);
    }
  }

  Node& node_;
  const Plan& plan_;
  Coalition& coalition_;
  const Endings& endings_;
  const RoleSet honest_;
  const std::uint64_t seed_;
  SimRng rng_;
  runtime::Instant start_{};
  bool patient_ = false;  // the coalition keeps its certificates for the last rounds
};

RoleSet draw_parties(CommitteeSize committee, SimRng& rng) {
  RoleSet out;
  while (out.size() < committee.threshold())
    out.insert(Role(1 + static_cast<int>(rng.below(static_cast<std::uint64_t>(committee.parties())))));
  return out;
}

/// What may happen to a party which follows the protocol; and, last, a coalition that knows it.
constexpr std::string_view kStrategies[] = {
    "adversary silent",
    "adversary slow, up to four rounds",
    "adversary crash",
    "adversary silent towards some",
    "adversary mangles, rushing",
    "adversary equivocates",
    "adversary contradicts itself",
    "adversary misplaces",
    "adversary lies sometimes",
    "adversary floods",
    "adversary silent from any frame on",
    "adversary coalition: other messages, certificates that come late",
};

void draw_fault(World& world, Role party, SimRng& rng) {
  using namespace runtime::sim;
  auto& faults = world.faults(party);
  const std::uint64_t seed = rng.next64();
  const std::size_t strategy = rng.below(std::size(kStrategies) - 1);
  world.count(kStrategies[strategy]);
  switch (strategy) {
    case 0:
      faults.silent = true;
      break;
    case 1:
      faults.slow = rng.between(0ms, 4 * kRound);
      break;
    case 2:
      faults.crashes = {{rng.below(200) + 1, 100ms}};
      break;
    case 3:
      faults.silent_towards = draw_parties(world.committee(), rng);
      break;
    case 4:
      faults.corrupt = mangle(seed), faults.rushing = true;
      break;
    case 5:
      faults.corrupt = equivocate(seed);
      break;
    case 6:
      faults.corrupt = contradict_itself(seed);
      break;
    case 7:
      faults.corrupt = misplace(seed);
      break;
    case 8:
      faults.corrupt = sometimes(0.3, seed, lie_randomly(seed + 1));
      break;
    case 9:
      faults.corrupt = test::flood_ahead(seed);
      break;
    default:
      faults.corrupt = [frames = rng.below(60), sent = std::uint64_t{0}](Role, const Frame& frame) mutable {
        return sent++ >= frames ? std::vector<Frame>{} : std::vector{frame};
      };
      break;
  }
}

// Agreement and validity whatever t parties do, in broadcasts one after the other; honest parties start and end within half a
// round of each other.
TEST(BroadcastCampaign, HonestPartiesAgreeAndHearEachOther) {
  for (const auto [n, t, runs] : {std::tuple{4, 1, 250u}, {7, 2, 60u}, {10, 3, 20u}, {13, 4, 10u}}) {
    const auto committee = CommitteeSize::make(n, t).value();
    const auto report = runtime::sim::campaign(
        fmt::format("broadcast n={}", n), 1, runs, [&](std::uint64_t seed, Coverage& coverage) -> Status {
          SimRng rng(seed, 37);
          Plan plan{.committee = committee, .broadcasts = 3};
          const RoleSet faulty = draw_parties(committee, rng), honest = plan.active - faulty;
          Coalition coalition;
          for (const Role party : faulty)
            if (rng.chance(0.7)) coalition.members.insert(party);
          for (const Role party : honest) plan.starts_after[party] = rng.between(0ms, kRound / 2);
          Endings endings;
          auto world_options = options(seed, committee);
          if (seed % 3 == 0) world_options.duplicate = 0.3, world_options.reorder = 0.7;
          world_options.router = test::tight_router();
          World world(world_options, broadcasting(plan, endings));
          test::MemoryWatch watch(world);
          for (const Role party : faulty) {
            if (!coalition.members.contains(party)) {
              draw_fault(world, party, rng);
              continue;
            }
            world.count(kStrategies[std::size(kStrategies) - 1]);
            world.faults(party).byzantine = true;
            world.faults(party).rushing = rng.chance(0.5);
            world.set_program(party, [&](Node& node) -> runtime::Task<void> {
              Liar liar(node, plan, coalition, endings, seed);
              co_await liar.run();
            });
          }
          world.set_required(honest);
          watch.run(300s);
          coverage.merge(world.coverage());
          WITAN_TRY(watch.verdict());
          WITAN_TRY(judge(plan, honest, endings));
          for (std::uint32_t number = 0; number < plan.broadcasts; ++number) {
            bool bot = false;
            for (const Role party : honest) {
              const Ended& ended = endings.at({party.number(), number});
              for (const auto& [name, set] :
                   {std::pair("silent", ended.report.silent), std::pair("malformed", ended.report.malformed),
                    std::pair("equivocated", ended.report.equivocated), std::pair("late", ended.report.late),
                    std::pair("relayed", ended.report.relayed), std::pair("fetched", ended.report.fetched),
                    std::pair("absent", ended.report.absent)})
                coverage.add(fmt::format("broadcast.{}", name), static_cast<std::uint64_t>(set.size()));
              for (const Role sender : faulty)
                coverage.add((*ended.outcome)[sender.index()] ? "broadcast.heard_of_faulty" : "broadcast.bot");
              for (const Role sender : faulty) bot = bot || !(*ended.outcome)[sender.index()];
            }
            if (apart(endings, honest, number) > (bot ? kRound / 2 : kRound / 8 + 4 * kLongestDelay))
              return fail(Code::internal, "honest parties end broadcast {} {} ms apart", number,
                          apart(endings, honest, number) / 1ms);
          }
          return world.audit().verdict();
        });
    EXPECT_EQ(report.failures.size(), 0u);
    if (report.runs >= 60) {
      EXPECT_EQ(report.never(kStrategies), std::vector<std::string>{}) << "n = " << n;
      EXPECT_EQ(report.never({"router.parked_refused", "router.waiting_refused"}), std::vector<std::string>{})
          << "n = " << n;
    }
    EXPECT_EQ(report.never({"broadcast.silent", "broadcast.malformed", "broadcast.equivocated", "broadcast.late",
                            "broadcast.relayed", "broadcast.fetched", "broadcast.absent", "broadcast.heard_of_faulty",
                            "broadcast.bot"}),
              std::vector<std::string>{})
        << "n = " << n;
  }
}

}  // namespace
}  // namespace witan::mpc
