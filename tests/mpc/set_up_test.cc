#include "mpc/set_up.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "algebra/decode.h"
#include "mpc/sync_world.h"
#include "runtime/memory_network.h"

namespace witan::mpc {
namespace {

using namespace std::chrono_literals;
using runtime::Frame;
using runtime::RoleSet;
using runtime::sim::Coverage;
using runtime::sim::Node;
using runtime::sim::SimRng;
using runtime::sim::World;

static_assert(kSetUpDeal == test::kDeal && kSetUpOpen == test::kOpen && kSetUpBroadcasts == test::kBroadcasts);

struct Ended {
  Result<EpochKeys> keys = fail(Code::unavailable, "did not end");
  SetUpReport report;
  runtime::Duration took{};
};
using Outcomes = std::map<int, Ended>;

/// One attempt per life, as a caller does it: who crashes is silent in the session that it was in.
runtime::sim::Program setting_up(Outcomes& outcomes, runtime::Duration spread = {}) {
  return [&outcomes, spread](Node& node) -> runtime::Task<void> {
    if (node.life() > 0) co_return;
    co_await node.loop().sleep_until(test::start_within(node, spread));
    auto session = node.router().open(test::kSyncSession, set_up_session(node.committee()));
    if (!session) co_return;
    const auto began = node.loop().now();
    EpochSetUp set_up(*session, node.compute(), test::signatories(node.committee().parties(), node.role()), node.rng(),
                      test::kRoundTimeout);
    auto keys = co_await set_up.run();
    outcomes[node.role().number()] = {std::move(keys), set_up.report(), node.loop().now() - began};
    co_await node.loop().sleep_for(100s);  // stay to answer
  };
}

/// By use (r_A, z_E) and members: at t = 1 the same parties hold one of each.
enum class Use : std::uint8_t { set, zero };
using Keys = std::map<std::pair<Use, PartySet>, SetKey>;

/// The claim of security.md 3.2, for the honest parties; the keys that one of them holds.
Result<Keys> judge(World& world, const Outcomes& outcomes) {
  WITAN_TRY(world.audit().verdict());
  const CommitteeSize committee = world.committee();
  const RoleSet honest = RoleSet::all(committee) - world.byzantine();
  const Ended* first = nullptr;
  Keys keys;
  const auto add = [&keys](Use use, PartySet set, const SetKey& key) {
    return keys.emplace(std::pair(use, set), key).first->second == key;
  };
  for (const Role party : honest) {
    if (!outcomes.contains(party.number())) return fail(Code::internal, "party {} has not ended", party.number());
    const Ended& ended = outcomes.at(party.number());
    if (!ended.keys) return fail(Code::internal, "party {}: {}", party.number(), ended.keys.error().message);
    if (!first) first = &ended;
    if (ended.report.excluded != first->report.excluded)
      return fail(Code::internal, "honest parties exclude different ones");
    for (const Exclusion& exclusion : ended.report.excluded)
      if (honest.contains(exclusion.party)) return fail(Code::internal, "{}, but it is honest", to_string(exclusion));
    for (const Role liar : ended.report.opening.lied | ended.report.unusable)
      if (honest.contains(liar)) return fail(Code::internal, "the honest party {} is called a liar", liar.number());
    const EpochKeys& own = *ended.keys;
    if (own.committee() != committee || own.self() != party) return fail(Code::internal, "keys of somebody else");
    for (std::size_t i = 0; i < own.set_keys().size(); ++i)
      if (!add(Use::set, own.set_keys().sets()[i], own.set_keys().key(i)))
        return fail(Code::internal, "party {} has another key r_A", party.number());
    for (std::size_t i = 0; i < own.zero_keys().size(); ++i)
      if (!add(Use::zero, holders(committee, own.zero_keys().sets()[i]), own.zero_keys().key(i)))
        return fail(Code::internal, "party {} has another key z_E", party.number());
  }
  const auto families = zero_sets(committee);
  for (std::size_t i = 0; i < families.size(); ++i) {
    std::vector<Role> roles;
    std::vector<Gr<Z64>> word;
    for (const Role party : honest) {
      roles.push_back(party);
      word.push_back(outcomes.at(party.number()).keys->zero_share(i).value);
    }
    const auto decoded = algebra::decode_reference<Z64>(committee, roles, word, 0);
    if (!decoded) return fail(Code::internal, "the shares of a z_E do not fit together");
    const auto key = keys.find({Use::zero, holders(committee, families[i])});
    if (key != keys.end() && key->second != agreed_key(decoded->secret()))
      return fail(Code::internal, "the shares of a z_E are of another element than its key");
  }
  return keys;
}

constexpr std::pair<int, int> kCommittees[] = {{4, 1}, {5, 1}, {7, 2}, {10, 3}, {13, 4}};

TEST(SetUp, SetsAndContributionsAreThoseOfTheSpec) {
  const auto contributions = [](int n, int t) {
    const auto committee = CommitteeSize::make(n, t).value();
    return set_up_contributions(committee, set_up_sets(committee).value().size());
  };
  EXPECT_EQ(contributions(4, 1), 3u);  // ceil((4 + 4) / 3)
  EXPECT_EQ(contributions(7, 2), 7u);
  EXPECT_EQ(contributions(13, 4), 92u);
  const auto refused = set_up_sets(CommitteeSize::make(7, 1).value());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::failed_precondition);
  EXPECT_EQ(refused.error().message,
            "a committee of 7 parties has a family of zero sharings for threshold 2, not for 1");
}

// n - t honest inputs make the outputs uniform: every choice of n - t rows of the extraction is invertible.
TEST(SetUp, ExtractionIsTheTransposedVandermondeMatrix) {
  const auto committee = CommitteeSize::make(7, 2).value();
  witan::test::SeededRng rng("extraction");
  std::vector<Secret<std::vector<Share<Z64>>>> contributions;
  std::vector<std::vector<Gr<Z64>>> values;
  for (int i = 0; i < 7; ++i) {
    std::vector<Share<Z64>> own{{algebra::random_element<Z64>(rng)}, {algebra::random_element<Z64>(rng)}};
    values.push_back({own[0].value, own[1].value});
    contributions.emplace_back(std::move(own));
  }
  const auto outputs = extract(committee, contributions);
  ASSERT_EQ(outputs.reveal().size(), 2u * 5u);
  for (std::size_t j = 0; j < 2; ++j)
    for (std::size_t e = 0; e < 5; ++e) {
      Gr<Z64> sum;
      for (int i = 1; i <= 7; ++i) {
        Gr<Z64> power = Gr<Z64>::one();
        for (std::size_t k = 0; k < e; ++k) power = power * algebra::evaluation_point<Z64>(Role(i));
        sum += values[static_cast<std::size_t>(i - 1)][j] * power;
      }
      EXPECT_EQ(outputs.reveal()[5 * j + e].value, sum);
    }
}

TEST(SetUp, HonestPartiesHaveAllKeysAfterFourRounds) {
  for (const auto [n, t] : kCommittees) {
    const auto committee = CommitteeSize::make(n, t).value();
    Keys before;
    for (const std::uint64_t seed : {1u, 2u}) {
      Outcomes outcomes;
      World world(test::sync_options(seed, committee), setting_up(outcomes));
      ASSERT_EQ(world.run(300s), runtime::sim::End::finished);
      const auto keys = judge(world, outcomes);
      ASSERT_TRUE(keys) << n << ": " << keys.error().message;
      EXPECT_EQ(keys->size(), set_up_sets(committee)->size());
      std::set<SetKey> different;
      for (const auto& [set, key] : *keys) {
        different.insert(key);
        if (before.contains(set)) EXPECT_NE(before.at(set), key);
      }
      EXPECT_EQ(different.size(), keys->size());
      before = *keys;
      for (const auto& [party, ended] : outcomes) {
        EXPECT_TRUE(ended.report.lines().empty());
        EXPECT_LT(ended.took, 4 * 25ms) << "rounds of at most 20 ms";
      }
      if (n == 13) break;
    }
  }
}

/// What one party sends to another in a run without faults, by step.
std::map<runtime::Step, std::size_t> bytes_on_a_link(int n, int t, std::map<int, Bytes>* opened = nullptr,
                                                     Outcomes* result = nullptr) {
  Outcomes outcomes;
  std::map<runtime::Step, std::size_t> bytes;
  World world(test::sync_options(5, CommitteeSize::make(n, t).value()), setting_up(outcomes));
  world.faults(Role(2)).corrupt = [&](Role receiver, const Frame& frame) {
    if (frame.kind == runtime::FrameKind::data && receiver == Role(1)) bytes[frame.step] += frame.payload->size();
    if (opened && frame.kind == runtime::FrameKind::data && frame.step == kSetUpOpen)
      (*opened)[receiver.number()] = *frame.payload;
    return std::vector{frame};
  };
  world.run(100s);
  if (result) *result = std::move(outcomes);
  return bytes;
}

// mpc.md 7.3, 8.2, 6.4.
TEST(SetUp, ALinkCarriesWhatTheFiguresSay) {
  for (const auto [n, t] : kCommittees) {
    const auto committee = CommitteeSize::make(n, t).value();
    const auto sets = set_up_sets(committee).value();
    const std::size_t c = set_up_contributions(committee, sets.size()), parties = static_cast<std::size_t>(n);
    std::size_t of_receiver = 0;
    for (const PartySet set : sets) of_receiver += set.contains(Role(1));
    const auto bytes = bytes_on_a_link(n, t);
    EXPECT_EQ(bytes.at(kSetUpDeal), c * 32 * (2 * (static_cast<std::size_t>(t) + 1) + parties));
    EXPECT_EQ(bytes.at(kSetUpBroadcasts + kBroadcastMessage), c * 32 * parties * (parties - 1) * 2);
    EXPECT_EQ(bytes.at(kSetUpBroadcasts + kBroadcastVector), 2 + 32 * parties + 64);
    EXPECT_EQ(bytes.at(kSetUpOpen), 32 * of_receiver);
    EXPECT_EQ(bytes.size(), 4u);
  }
}

// S3: what determines a key goes to the members of its set only, and nothing but that is in a message.
TEST(SetUp, SharesOfKeysGoToMembersOnly) {
  for (const auto [n, t] : {std::pair{4, 1}, {7, 2}}) {
    const auto committee = CommitteeSize::make(n, t).value();
    std::map<int, Bytes> opened;
    Outcomes outcomes;
    bytes_on_a_link(n, t, &opened, &outcomes);
    const EpochKeys& own = *outcomes.at(2).keys;
    const auto families = zero_sets(committee);
    for (const auto& [receiver, message] : opened) {
      std::size_t key_sets_of_receiver = 0;
      for (const PartySet set : key_sets(committee)) key_sets_of_receiver += set.contains(Role(receiver));
      Bytes expected;
      for (std::size_t i = 0; i < families.size(); ++i)
        if (!families[i].contains(Role(receiver))) append_shares<Z64>(expected, std::span(&own.zero_share(i), 1));
      ASSERT_EQ(message.size(), key_sets_of_receiver * 32 + expected.size());
      EXPECT_TRUE(std::ranges::equal(ByteView(message).subspan(key_sets_of_receiver * 32), expected));
      // No share of a z_E that the receiver must not know, anywhere.
      for (std::size_t i = 0; i < families.size(); ++i) {
        if (!families[i].contains(Role(receiver))) continue;
        Bytes secret;
        append_shares<Z64>(secret, std::span(&own.zero_share(i), 1));
        EXPECT_TRUE(std::ranges::search(message, secret).empty());
      }
    }
    EXPECT_EQ(opened.size(), static_cast<std::size_t>(n - 1));
  }
}

TEST(SetUp, WhoSendsWrongSharesOfKeysIsNamedAndChangesNothing) {
  for (const auto [n, t] : {std::pair{4, 1}, {7, 2}}) {
    Outcomes outcomes;
    World world(test::sync_options(6, CommitteeSize::make(n, t).value()), setting_up(outcomes));
    for (int i = 1; i <= t; ++i) {
      world.faults(Role(i)).rushing = true;
      world.faults(Role(i)).corrupt = [](Role, const Frame& frame) {
        if (frame.kind != runtime::FrameKind::data || frame.step != kSetUpOpen) return std::vector{frame};
        Bytes bytes = *frame.payload;
        bytes.back() ^= 1;  // one share
        return std::vector{test::with_bytes(frame, std::move(bytes))};
      };
    }
    world.run(300s);
    const auto keys = judge(world, outcomes);
    ASSERT_TRUE(keys) << keys.error().message;
    for (int i = t + 1; i <= n; ++i) {
      EXPECT_EQ(outcomes.at(i).report.opening.lied.size(), t);
      EXPECT_EQ(outcomes.at(i).report.lines().front(), "party 1 sent this party wrong shares of keys");
    }
  }
}

TEST(SetUp, ASilentPartyCostsTheRoundsOfABroadcastAndIsNamed) {
  for (const auto [n, t] : {std::pair{4, 1}, {7, 2}, {10, 3}}) {
    Outcomes outcomes;
    World world(test::sync_options(7, CommitteeSize::make(n, t).value()), setting_up(outcomes));
    world.faults(Role(n)).silent = true;
    world.run(300s);
    const auto keys = judge(world, outcomes);
    ASSERT_TRUE(keys) << keys.error().message;
    for (int i = 1; i < n; ++i) {
      const auto lines = outcomes.at(i).report.lines();
      ASSERT_EQ(lines.size(), 2u);
      EXPECT_EQ(lines[0], fmt::format("party {} was excluded: nothing came of its broadcast 0", n));
      EXPECT_EQ(lines[1], fmt::format("party {} sent this party no shares in time", n));
      EXPECT_LT(outcomes.at(i).took, (t + 5) * test::kRoundTimeout);
    }
  }
}

// On a real loop and pool: kernels of all parties run beside each other (the thread sanitizer looks on).
TEST(SetUp, RunsOnTheThreadsOfAPool) {
  const auto committee = CommitteeSize::make(7, 2).value();
  runtime::ThreadLoop loop;
  runtime::MemoryNetwork network(loop, committee);
  runtime::ComputePool compute(loop, {.urgent_threads = 2, .heavy_threads = 2, .preprocessing_threads = 2});
  OsRng rng;
  std::vector<std::unique_ptr<runtime::Router>> routers;
  std::vector<runtime::Session> sessions;
  for (const Role role : RoleSet::all(committee)) {
    routers.push_back(std::make_unique<runtime::Router>(loop, network.link(role)));
    network.attach(role, routers.back().get());
    sessions.push_back(routers.back()->open(test::kSyncSession, set_up_session(committee)).value());
  }
  std::vector<runtime::Task<Result<EpochKeys>>> tasks;
  for (const Role role : RoleSet::all(committee))
    tasks.push_back(set_up_epoch(sessions[role.index()], compute, test::signatories(7, role), rng, 30s));
  const auto results = loop.run(runtime::when_all(std::move(tasks)));
  const auto sets = key_sets(committee);
  std::map<PartySet, SetKey> keys;
  for (const auto& result : results) {
    ASSERT_TRUE(result) << result.error().message;
    for (std::size_t i = 0; i < result->set_keys().size(); ++i)
      EXPECT_EQ(keys.emplace(result->set_keys().sets()[i], result->set_keys().key(i)).first->second,
                result->set_keys().key(i));
  }
  EXPECT_EQ(keys.size(), sets.size());
  for (const Role role : RoleSet::all(committee)) network.attach(role, nullptr);
}

// An honest party that is too late counts as faulty: it learns that from the outcomes and has no keys, the others have them.
TEST(SetUp, WhoIsTooLateEndsWithAnErrorThatSaysSo) {
  const auto committee = CommitteeSize::make(4, 1).value();
  Outcomes outcomes;
  World world(test::sync_options(8, committee), setting_up(outcomes));
  world.faults(Role(3)).byzantine = true;
  world.faults(Role(3)).slow = 20s;
  world.set_required(RoleSet::all(committee));
  world.run(300s);
  const auto keys = judge(world, outcomes);
  ASSERT_TRUE(keys) << keys.error().message;
  ASSERT_TRUE(outcomes.contains(3));
  ASSERT_FALSE(outcomes.at(3).keys);
  EXPECT_EQ(outcomes.at(3).keys.error().code, Code::aborted);
  EXPECT_EQ(outcomes.at(3).keys.error().message,
            "aborted: this party is not trusted any more: party 3 was excluded: nothing came of its broadcast 0");
  EXPECT_EQ(outcomes.at(3).report.excluded.size(), 1u);
}

TEST(SetUp, MoreThanTFaultyPartiesGiveAnErrorAndNoKeys) {
  for (const auto [n, t] : {std::pair{4, 1}, {7, 2}}) {
    Outcomes outcomes;
    World world(test::sync_options(9, CommitteeSize::make(n, t).value()), setting_up(outcomes));
    for (int i = 1; i <= t + 1; ++i) world.faults(Role(i)).silent = true;
    world.run(300s);
    for (int i = t + 2; i <= n; ++i) {
      ASSERT_FALSE(outcomes.at(i).keys);
      EXPECT_EQ(outcomes.at(i).keys.error().code, Code::aborted);
      EXPECT_GT(outcomes.at(i).report.excluded.size(), static_cast<std::size_t>(t));
    }
  }
}

// A party is killed at one point after the other (in the long run at every one at (4,1)), and silent from there on: the others have
// their keys.
TEST(SetUpCampaign, CrashAtEveryPointOfAParty) {
  for (const auto [n, t, runs] : {std::tuple{4, 1, 25u}, {7, 2, 5u}}) {
    const auto committee = CommitteeSize::make(n, t).value();
    Outcomes unused;
    World whole(test::sync_options(3, committee), setting_up(unused));
    whole.run(300s);
    const std::uint64_t points = whole.crash_points(Role(2));
    ASSERT_GT(points, 25u);
    const auto report = runtime::sim::campaign(
        fmt::format("set-up crash n={}", n), 1, runs,
        [&](std::uint64_t seed, Coverage& coverage) -> Status {
          Outcomes outcomes;
          World world(test::sync_options(3, committee), setting_up(outcomes));
          world.faults(Role(2)).byzantine = true;
          world.faults(Role(2)).crashes = {{1 + (seed - 1) * 7919 % points, 1s}};
          world.set_required(RoleSet::all(committee));
          world.run(300s);
          coverage.merge(world.coverage());
          const auto keys = judge(world, outcomes);
          return keys ? Status{} : Status(std::unexpected(keys.error()));
        },
        n == 4 ? points : 0);
    EXPECT_EQ(report.failures.size(), 0u);
    EXPECT_EQ(report.coverage.count("sim.crashes"), report.runs) << "n = " << n << ", " << points << " crash points";
  }
}

// Whatever t parties do, the honest ones end with the same keys, shares that fit them, and the same opinion of who is faulty.
TEST(SetUpCampaign, HonestPartiesAlwaysEndWithTheSameKeys) {
  for (const auto [n, t, runs] : {std::tuple{4, 1, 200u}, {7, 2, 60u}, {10, 3, 10u}, {13, 4, 3u}}) {
    const auto committee = CommitteeSize::make(n, t).value();
    const auto families = zero_sets(committee);
    const std::size_t secrets = set_up_contributions(committee, set_up_sets(committee)->size());
    std::uint64_t ones = 0, bits = 0;
    const auto report = runtime::sim::campaign(
        fmt::format("set-up n={}", n), 1, runs,
        [&](std::uint64_t seed, Coverage& coverage) -> Status {
          SimRng rng(seed, 25);
          Outcomes outcomes;
          World world(test::campaign_options(seed, committee), setting_up(outcomes, test::kSpread));
          test::Tap tap(world);
          test::MemoryWatch watch(world);
          test::draw_sync_faults(world, rng, seed, secrets);
          watch.run(400s);
          coverage.merge(world.coverage());
          const RoleSet honest = RoleSet::all(committee) - world.byzantine();
          for (const Role party : honest) {
            if (!outcomes.contains(party.number())) continue;
            const Ended& ended = outcomes.at(party.number());
            for (const Exclusion& exclusion : ended.report.excluded)
              coverage.add(fmt::format("set_up.fault {}", static_cast<int>(exclusion.fault)));
            coverage.add("set_up.lied", static_cast<std::uint64_t>(ended.report.opening.lied.size()));
          }
          WITAN_TRY(watch.verdict());
          WITAN_ASSIGN(const Keys keys, judge(world, outcomes));
          for (const auto& [set, key] : keys)
            for (const std::uint8_t byte : key) ones += static_cast<std::uint64_t>(std::popcount(byte)), bits += 8;
          // S3: a share of a z_E goes to its holders alone.
          test::Secrets hidden = test::secrets_of_sharing(tap, committee, honest, secrets);
          for (std::size_t i = 0; i < families.size(); ++i) {
            RoleSet members;
            for (const Role member : holders(committee, families[i]).members()) members.insert(member);
            for (const Role party : honest)
              hidden.add(outcomes.at(party.number()).keys->zero_share(i).value, fmt::format("a share of z_E {}", i),
                         members);
          }
          return tap.keeps(hidden);
        },
        n == 13 ? 500 : 0);
    EXPECT_EQ(report.failures.size(), 0u);
    const double half = static_cast<double>(bits) / 2;
    EXPECT_NEAR(static_cast<double>(ones), half, 3 * std::sqrt(static_cast<double>(bits)));  // six standard deviations
    if (report.runs < 2 * std::size(test::kSyncStrategies)) continue;
    EXPECT_EQ(report.never(test::kSyncStrategies), std::vector<std::string>{}) << "n = " << n;
    EXPECT_EQ(report.never({"set_up.fault 0", "set_up.fault 1", "set_up.fault 2", "set_up.lied",
                            "router.parked_refused", "router.waiting_refused", "sim.crashes", "router.equivocations",
                            "sim.duplicated", "sim.reordered"}),
              std::vector<std::string>{})
        << "n = " << n;
    if (n < 10) EXPECT_EQ(report.never({"set_up.fault 3"}), std::vector<std::string>{}) << "n = " << n;
  }
}

}  // namespace
}  // namespace witan::mpc
