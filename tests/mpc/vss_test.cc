#include "mpc/vss.h"

#include <gtest/gtest.h>

#include <set>

#include "algebra/decode.h"
#include "mpc/sync_world.h"
#include "mpc/vss_impl.h"

namespace witan::mpc {
namespace {

using namespace std::chrono_literals;
using runtime::Frame;
using runtime::RoleSet;
using runtime::sim::Coverage;
using runtime::sim::Node;
using runtime::sim::SimRng;
using runtime::sim::World;
using test::kDeal;

/// What one party came to.
struct Ended {
  Result<SharedSecrets<Z64>> shared = fail(Code::unavailable, "did not end");
  std::vector<Exclusion> exclusions;
  RoleSet active;
  std::uint32_t broadcasts = 0;
  runtime::Duration took{};
};
using Outcomes = std::map<int, Ended>;

std::vector<Gr<Z64>> secrets_of(Role role, std::size_t count) {
  SimRng rng(static_cast<std::uint64_t>(role.number()), 5);
  std::vector<Gr<Z64>> out;
  for (std::size_t k = 0; k < count; ++k) out.push_back(algebra::random_element<Z64>(rng));
  return out;
}

template <class Rules = VssRules>
runtime::sim::Program sharing(Outcomes& outcomes, std::size_t count, runtime::Duration spread = {},
                              RoleSet excluded = {}) {
  const auto protocol = [&outcomes, count, excluded](Node& node, SyncRun& run) -> runtime::Task<void> {
    run.active = run.active - excluded;
    const auto began = node.loop().now();
    auto shared = co_await share_verifiably_with<Z64, Rules>(run, kDeal, Secret(secrets_of(node.role(), count)));
    Ended& ended = outcomes[node.role().number()];
    ended.shared = std::move(shared);
    ended.exclusions = run.exclusions;
    ended.active = run.active;
    ended.broadcasts = run.next_broadcast;
    ended.took = node.loop().now() - began;
  };
  return test::synchronous(protocol, spread);
}

/// The claim of mpc/vss.h.
Status judge(World& world, const Outcomes& outcomes, std::size_t count) {
  WITAN_TRY(world.audit().verdict());
  const CommitteeSize committee = world.committee();
  const RoleSet honest = RoleSet::all(committee) - world.byzantine();
  const Ended* first = nullptr;
  for (const Role party : honest) {
    if (!outcomes.contains(party.number())) return fail(Code::internal, "party {} has not ended", party.number());
    const Ended& ended = outcomes.at(party.number());
    if (!ended.shared) return fail(Code::internal, "party {}: {}", party.number(), ended.shared.error().message);
    if (!first) first = &ended;
    if (ended.exclusions != first->exclusions) return fail(Code::internal, "honest parties exclude different ones");
    for (const Exclusion& exclusion : ended.exclusions)
      if (honest.contains(exclusion.party)) return fail(Code::internal, "{}, but it is honest", to_string(exclusion));
  }
  for (const Role dealer : RoleSet::all(committee)) {
    for (std::size_t k = 0; k < count; ++k) {
      std::vector<Role> roles;
      std::vector<Gr<Z64>> word;
      for (const Role party : honest) {
        roles.push_back(party);
        word.push_back(outcomes.at(party.number()).shared->shares[dealer.index()].reveal()[k].value);
      }
      const auto decoded = algebra::decode_reference<Z64>(committee, roles, word, 0);
      if (!decoded) return fail(Code::internal, "the shares of dealer {} do not fit together", dealer.number());
      if (honest.contains(dealer) && decoded->secret() != secrets_of(dealer, count)[k])
        return fail(Code::internal, "the shares of dealer {} are of another secret", dealer.number());
      if (!first->active.contains(dealer) && decoded->secret() != Gr<Z64>{})
        return fail(Code::internal, "the excluded dealer {} has a secret", dealer.number());
    }
  }
  return {};
}

/// One run at that size with what `spoil` does to the world.
Outcomes run_with(int n, int t, std::size_t count, const std::function<void(World&)>& spoil, std::uint64_t seed = 1) {
  Outcomes outcomes;
  World world(test::sync_options(seed, CommitteeSize::make(n, t).value()), sharing(outcomes, count));
  spoil(world);
  world.run(300s);
  const Status good = judge(world, outcomes, count);
  EXPECT_TRUE(good) << n << ": " << good.error().message;
  return outcomes;
}

constexpr std::pair<int, int> kCommittees[] = {{4, 1}, {5, 1}, {7, 2}, {10, 3}, {13, 4}};

TEST(Vss, HonestPartiesShareInOneRoundAndOneBroadcast) {
  for (const auto [n, t] : kCommittees) {
    const auto outcomes = run_with(n, t, 3, [](World&) {});
    for (const auto& [party, ended] : outcomes) {
      EXPECT_TRUE(ended.exclusions.empty());
      EXPECT_EQ(ended.broadcasts, 1u);
      EXPECT_LT(ended.took, 3 * 25ms) << "three rounds of at most 20 ms";
      EXPECT_TRUE(ended.shared->silent.empty() && ended.shared->unusable.empty());
    }
  }
}

/// The strategies of mpc.md 16, by the party with role 2 (and more where t allows: roles 2 .. t + 1 do the same).
struct Strategy {
  const char* name;
  std::function<void(World&, runtime::sim::Faults&)> apply;
  std::optional<Fault> fault;  // for which all of them are excluded
  std::uint32_t broadcasts;    // that the others need
};

std::vector<Strategy> strategies(CommitteeSize committee, std::size_t count) {
  const int t = committee.threshold(), n = committee.parties();
  // Roles from the end: none of those that misbehave.
  const auto last = [n](int many) {
    RoleSet out;
    for (int i = 0; i < many; ++i) out.insert(Role(n - i));
    return out;
  };
  const auto few = test::deal_otherwise<Z64>(last(t), committee, count, 3);
  const auto many = test::deal_otherwise<Z64>(last(t + 1), committee, count, 3);
  const auto use = [](runtime::sim::Corrupt corrupt) {
    return [corrupt](World&, runtime::sim::Faults& faults) { faults.corrupt = corrupt; };
  };
  using runtime::sim::both;
  const auto steps = kBroadcastSteps;
  return {
      {"silent from the start", [](World&, runtime::sim::Faults& f) { f.silent = true; }, Fault::no_broadcast, 1},
      {"silent after R1", use(test::silent_from(test::kBroadcasts)), Fault::no_broadcast, 1},
      {"silent after R2", use(both(few, test::silent_from(test::kBroadcasts + steps))), Fault::no_broadcast, 2},
      {"silent after R3", use(both(few, test::silent_from(test::kBroadcasts + 2 * steps))), Fault::no_broadcast, 3},
      {"other slices to t victims", use(few), std::nullopt, 3},
      {"other slices to t + 1 victims", use(many), Fault::contradicted, 2},
      {"one secret too many", use(test::deal_more_secrets(1, count)), Fault::contradicted, 2},
      {"one secret too few", use(test::deal_more_secrets(-1, count)), Fault::contradicted, 2},
      {"degree t + 1", use(test::deal_degree_t_plus_1<Z64>(committee, count)), Fault::contradicted, 2},
      {"lies about its points in R2", use(test::lie_in_broadcast(0, 7)), std::nullopt, 2},
      {"lies as a dealer in R3", use(both(few, test::lie_in_broadcast(1, 7))), Fault::contradicted, 2},
      {"lies as a dealer in R4", use(both(few, test::lie_in_broadcast(2, 7))), Fault::unsupported, 3},
      {"another shape in R2", use(test::misshape_broadcast(0)), Fault::malformed, 1},
      {"another shape in R3", use(both(few, test::misshape_broadcast(1))), Fault::malformed, 2},
      {"another shape in R4", use(both(few, test::misshape_broadcast(2))), Fault::malformed, 3},
  };
}

TEST(Vss, EachStrategyOfAFaultyPartyEndsAsItShould) {
  for (const auto [n, t] : {std::pair{4, 1}, {7, 2}}) {
    const auto committee = CommitteeSize::make(n, t).value();
    for (const Strategy& strategy : strategies(committee, 2)) {
      SCOPED_TRACE(fmt::format("{} at n = {}", strategy.name, n));
      const auto outcomes = run_with(n, t, 2, [&](World& world) {
        auto& faults = world.faults(Role(2));
        faults.byzantine = true;
        strategy.apply(world, faults);
      });
      for (const auto& [party, ended] : outcomes) {
        if (party == 2) continue;
        EXPECT_EQ(ended.broadcasts, strategy.broadcasts);
        if (!strategy.fault) continue;
        ASSERT_EQ(ended.exclusions.size(), 1u);
        EXPECT_EQ(ended.exclusions[0].party, Role(2));
        EXPECT_EQ(ended.exclusions[0].fault, *strategy.fault);
      }
    }
  }
}

TEST(Vss, WhoSentNothingUsableIsToldToTheOperatorOfTheVictim) {
  const auto outcomes = run_with(4, 1, 1, [](World& world) {
    world.faults(Role(2)).corrupt = [](Role receiver, const Frame& frame) {
      if (test::deals(frame) && receiver == Role(1)) return std::vector<Frame>{};
      return std::vector{frame};
    };
  });
  EXPECT_EQ(outcomes.at(1).shared->silent, RoleSet{Role(2)});
  EXPECT_TRUE(outcomes.at(3).shared->silent.empty());
  EXPECT_TRUE(outcomes.at(1).exclusions.empty());  // what one party says of another excludes nobody
}

// Who was excluded before deals no more and is not asked; the rest is as ever.
TEST(Vss, ExcludedPartiesHaveNoPart) {
  Outcomes outcomes;
  World world(test::sync_options(2, CommitteeSize::make(7, 2).value()), sharing(outcomes, 2, {}, {Role(2), Role(7)}));
  for (const int party : {2, 7}) world.faults(Role(party)).silent = true;
  world.run(300s);
  const Status good = judge(world, outcomes, 2);
  EXPECT_TRUE(good) << good.error().message;
  for (const int party : {1, 3, 4, 5, 6}) {
    EXPECT_EQ(outcomes.at(party).broadcasts, 1u);
    EXPECT_LT(outcomes.at(party).took, 3 * 25ms) << "nobody waits for them";
    EXPECT_TRUE(outcomes.at(party).exclusions.empty());
  }
}

// What is broadcast in R2 is a point and a pad, and each pad is used once.
TEST(Vss, EveryPointOfR2HasAPadOfItsOwn) {
  const std::size_t count = 2, n = 4;
  const vss::Shape<Z64> shape{CommitteeSize::make(4, 1).value(), count};
  std::map<int, Bytes> dealt;
  Bytes points;
  run_with(4, 1, count, [&](World& world) {
    world.faults(Role(2)).corrupt = [&](Role receiver, const Frame& frame) {
      if (test::deals(frame)) dealt[receiver.number()] = *frame.payload;
      if (test::says(frame, 0)) points = *frame.payload;
      return std::vector{frame};
    };
  });
  const auto element = [](const Bytes& bytes, std::size_t at) { return Gr<Z64>::decode(bytes.data() + 32 * at); };
  std::set<std::array<Z64, 4>> pads{Gr<Z64>{}.c};
  ASSERT_EQ(dealt.size(), n - 1);
  ASSERT_EQ(points.size(), shape.points_bytes());
  std::size_t other = 0;
  for (const auto& [receiver, bytes] : dealt) {
    ASSERT_EQ(bytes.size(), shape.deal_bytes());
    const std::size_t first_pad = shape.slices_bytes() / 32;
    for (std::size_t i = 0; i < n * count; ++i) pads.insert(element(bytes, first_pad + i).c);
    // Its own dealing (the second of four): a_2j = F_2(alpha_j) + r_2j, and F_2(alpha_j) = G_j(alpha_2), which j was told.
    const auto slices = Slices<Z64>::decode(1, count, ByteView(bytes).first(shape.slices_bytes()));
    for (std::size_t k = 0; k < count; ++k)
      EXPECT_EQ(element(points, ((n - 1) + other) * 2 * count + k),
                slices.g(k, Role(2)) + element(bytes, first_pad + count + k));
    ++other;
  }
  EXPECT_EQ(pads.size(), 1 + (n - 1) * n * count);
}

TEST(Vss, MoreThanTFaultyPartiesGiveAnErrorAndNoShares) {
  for (const auto [n, t] : {std::pair{4, 1}, {7, 2}}) {
    Outcomes outcomes;
    World world(test::sync_options(3, CommitteeSize::make(n, t).value()), sharing(outcomes, 1));
    for (int i = 1; i <= t + 1; ++i) world.faults(Role(i)).silent = true;
    world.run(300s);
    for (int i = t + 2; i <= n; ++i) {
      ASSERT_FALSE(outcomes.at(i).shared);
      EXPECT_EQ(outcomes.at(i).shared.error().code, Code::aborted);
      EXPECT_NE(outcomes.at(i).shared.error().message.find("party 1 was excluded: nothing came of its broadcast 0"),
                std::string::npos)
          << outcomes.at(i).shared.error().message;
    }
  }
}

/// Party 4 of four: other slices for party 1, so that there is a third round; for party 2 nothing in the first broadcast, so that it
/// waits for a round and then for what the others relay.
std::vector<Frame> hold_up_party_2(Role receiver, const Frame& frame) {
  const bool vector = frame.kind == runtime::FrameKind::data && frame.step == test::kBroadcasts + kBroadcastVector;
  if (receiver == Role(2) && (vector || test::says(frame, 0))) return {};
  return test::deal_otherwise<Z64>({Role(1)}, CommitteeSize::make(4, 1).value(), 1, 3)(receiver, frame);
}

// A liar makes one party wait in the first broadcast; it is in time for the next ones nevertheless.
TEST(Vss, APartyThatIsHeldUpInABroadcastIsInTimeForTheNext) {
  const auto outcomes = run_with(4, 1, 1, [](World& world) { world.faults(Role(4)).corrupt = hold_up_party_2; });
  for (const int party : {1, 2, 3}) {
    EXPECT_TRUE(outcomes.at(party).exclusions.empty());
    EXPECT_EQ(outcomes.at(party).broadcasts, 3u);
    EXPECT_LT(outcomes.at(party).took, test::kRoundTimeout);
  }
}

// Whatever t parties do: one polynomial per dealer, the right one for honest dealers, the same exclusions, none of an honest party.
TEST(VssCampaign, SharesAlwaysFitTogether) {
  for (const auto [n, t, runs] : {std::tuple{4, 1, 300u}, {7, 2, 120u}, {10, 3, 54u}, {13, 4, 27u}}) {
    const auto committee = CommitteeSize::make(n, t).value();
    const auto report = runtime::sim::campaign(
        fmt::format("vss n={}", n), 1, runs, [&](std::uint64_t seed, Coverage& coverage) -> Status {
          SimRng rng(seed, 21);
          const std::size_t count = 1 + rng.below(3);
          Outcomes outcomes;
          World world(test::campaign_options(seed, committee), sharing(outcomes, count, test::kSpread));
          test::Tap tap(world);
          test::MemoryWatch watch(world);
          test::draw_sync_faults(world, rng, seed, count);
          watch.run(400s);
          coverage.merge(world.coverage());
          const RoleSet honest = RoleSet::all(committee) - world.byzantine();
          for (const Role party : honest) {
            if (!outcomes.contains(party.number())) continue;
            const Ended& ended = outcomes.at(party.number());
            coverage.add(fmt::format("vss.broadcasts {}", ended.broadcasts));
            for (const Exclusion& exclusion : ended.exclusions)
              coverage.add(fmt::format("vss.fault {}", static_cast<int>(exclusion.fault)));
            if (!ended.shared) continue;
            coverage.add("vss.silent", static_cast<std::uint64_t>(ended.shared->silent.size()));
            coverage.add("vss.unusable", static_cast<std::uint64_t>(ended.shared->unusable.size()));
          }
          WITAN_TRY(watch.verdict());
          WITAN_TRY(tap.keeps(test::secrets_of_sharing(tap, committee, honest, count)));
          return judge(world, outcomes, count);
        });
    EXPECT_EQ(report.failures.size(), 0u);
    EXPECT_EQ(report.never(test::kSyncStrategies), std::vector<std::string>{}) << "n = " << n;
    EXPECT_EQ(report.never({"vss.broadcasts 2", "vss.broadcasts 3", "vss.fault 0", "vss.fault 1", "vss.fault 2",
                            "vss.silent", "vss.unusable", "router.parked_refused", "router.waiting_refused",
                            "sim.crashes", "sim.duplicated", "sim.reordered"}),
              std::vector<std::string>{})
        << "n = " << n;
    // A run without any conflict is rare when many parties are faulty; so is who is convicted by too little support.
    if (n < 10) EXPECT_EQ(report.never({"vss.broadcasts 1", "vss.fault 3"}), std::vector<std::string>{}) << "n = " << n;
  }
}

struct NoOwnPoint : VssRules {
  static constexpr bool check_own_point = false;
};
struct AnySupport : VssRules {
  static constexpr int needed_agreeing(CommitteeSize) { return 1; }
};

Gr<Z64> point(int role) {
  return algebra::evaluation_point<Z64>(Role(role));
}

/// Adds to the element at that place.
void add_at(Bytes& bytes, std::size_t element, const Gr<Z64>& difference) {
  std::uint8_t* const at = bytes.data() + element * 32;
  (Gr<Z64>::decode(at) + difference).encode(at);
}

/// Dealer 4 of four, one secret. Parties 1 and 2 get G_1, G_2 that are wrong in their own points, so that both agree with an F_3
/// whose constant is one too large; party 3, which got other slices, is told this F_3 in public.
std::vector<Frame> bend_own_points(Role receiver, const Frame& frame) {
  Frame out = frame;
  const auto bend = [&](auto&& change) {
    Bytes bytes = *frame.payload;
    change(bytes);
    out = test::with_bytes(frame, std::move(bytes));
  };
  const Gr<Z64> bent_1 = inverse(point(3) - point(2)), bent_2 = inverse(point(3) - point(1));
  if (test::deals(frame) && receiver != Role(3))
    bend([&](Bytes& bytes) {  // G(Y) + bent * (Y - alpha_other)
      const bool first = receiver == Role(1);
      add_at(bytes, 2, -((first ? bent_1 : bent_2) * point(first ? 2 : 1)));
      add_at(bytes, 3, first ? bent_1 : bent_2);
    });
  if (test::deals(frame) && receiver == Role(3))
    bend([](Bytes& bytes) { add_at(bytes, 0, point(5)), add_at(bytes, 2, point(5)); });
  if (test::says(frame, 0))  // a_41 and a_42 of its own dealing follow
    bend([&](Bytes& bytes) {
      const std::size_t own = 3 * 3 * 2;
      add_at(bytes, own + 0, bent_1 * (point(4) - point(2)));
      add_at(bytes, own + 2, bent_2 * (point(4) - point(1)));
    });
  // Of the conflicts (row, column) = (1,3), (2,3), (3,1), (3,2), (3,4), (4,3) the third and fourth: as parties 1 and 2 will say.
  if (test::says(frame, 1))
    bend([](Bytes& bytes) { add_at(bytes, 2, Gr<Z64>::one()), add_at(bytes, 3, Gr<Z64>::one()); });
  if (test::says(frame, 2)) bend([](Bytes& bytes) { add_at(bytes, 0, Gr<Z64>::one()); });
  return {out};
}

/// Dealer 4 of four: other slices for party 3, and in public another F_3 than the others support.
std::vector<Frame> lie_in_repair(Role receiver, const Frame& frame) {
  if (test::deals(frame) && receiver == Role(3)) {
    Bytes bytes = *frame.payload;
    add_at(bytes, 0, point(5)), add_at(bytes, 2, point(5));
    return {test::with_bytes(frame, std::move(bytes))};
  }
  if (test::says(frame, 2)) {
    Bytes bytes = *frame.payload;
    add_at(bytes, 0, Gr<Z64>::one());
    return {test::with_bytes(frame, std::move(bytes))};
  }
  return {frame};
}

template <class Rules>
Status attacked(const runtime::sim::Corrupt& corrupt) {
  Outcomes outcomes;
  World world(test::sync_options(9, CommitteeSize::make(4, 1).value()), sharing<Rules>(outcomes, 1));
  world.faults(Role(4)).corrupt = corrupt;
  world.run(300s);
  return judge(world, outcomes, 1);
}

TEST(VssRemovedDefence, WithoutTheCheckOfTheOwnPointAVictimIsRepairedWrongly) {
  const Status broken = attacked<NoOwnPoint>(bend_own_points);
  ASSERT_FALSE(broken);
  EXPECT_NE(broken.error().message.find("dealer 4 do not fit together"), std::string::npos) << broken.error().message;
  EXPECT_TRUE(attacked<VssRules>(bend_own_points));
}

TEST(VssRemovedDefence, WithoutTheSupportOf2TPlus1ADealerRepairsAsItLikes) {
  const Status broken = attacked<AnySupport>(lie_in_repair);
  ASSERT_FALSE(broken);
  EXPECT_NE(broken.error().message.find("dealer 4 do not fit together"), std::string::npos) << broken.error().message;
  EXPECT_TRUE(attacked<VssRules>(lie_in_repair));
}

}  // namespace
}  // namespace witan::mpc
