#include <gtest/gtest.h>

#include <functional>

#include "mpc/broadcast_world.h"

namespace witan::mpc {
namespace {

using namespace test;

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

/// Something that happens to a party which follows the protocol.
void draw_fault(World& world, Role party, SimRng& rng) {
  using namespace runtime::sim;
  auto& faults = world.faults(party);
  const std::uint64_t seed = rng.next64();
  switch (rng.below(9)) {
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
    default:
      faults.corrupt = sometimes(0.3, seed, lie_randomly(seed + 1));
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
          World world(options(seed, committee), broadcasting(plan, endings));
          for (const Role party : faulty) {
            if (!coalition.members.contains(party)) {
              draw_fault(world, party, rng);
              continue;
            }
            world.faults(party).byzantine = true;
            world.faults(party).rushing = rng.chance(0.5);
            world.set_program(party, [&](Node& node) -> runtime::Task<void> {
              Liar liar(node, plan, coalition, endings, seed);
              co_await liar.run();
            });
          }
          world.set_required(honest);
          world.run(300s);
          coverage.merge(world.coverage());
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
    if (report.runs < runs) continue;  // a part of the campaign does not show everything
    for (const char* name :
         {"broadcast.silent", "broadcast.malformed", "broadcast.equivocated", "broadcast.late", "broadcast.relayed",
          "broadcast.fetched", "broadcast.absent", "broadcast.heard_of_faulty", "broadcast.bot"})
      EXPECT_GT(report.coverage.count(name), 0u) << name << " never happened at n = " << n;
  }
}

}  // namespace
}  // namespace witan::mpc
