// Epochs are set up by nodes in the simulator: what is in their vaults and what their callers are told, whoever is late, gone or killed.
#include "node/epoch_set_up.h"

#include "mpc/common_start.h"
#include "mpc/sync_world.h"
#include "node/attempts.h"
#include "node/faulty_vault.h"
#include "node/node_testing.h"

namespace witan::node {
namespace {

using namespace std::chrono_literals;
using mpc::test::kRoundTimeout;
using runtime::RoleSet;
using runtime::sim::Node;
using runtime::sim::World;
using test::said;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

const EpochId kEpoch = default_epoch_id();

/// Nothing is known of other sessions.
struct NoMessages final : runtime::SentStore {
  runtime::Task<runtime::SentLookup> find(SessionId, runtime::Step, Role) override {
    co_return runtime::SentLookup{runtime::SentLookup::Kind::unknown, nullptr};
  }
};

struct Told {
  int life;
  Status status;
  runtime::Instant at;
  bool stored;  // before the caller was told
};

class EpochSetUpTest : public testing::Test {
 protected:
  /// The part of a node that has to do with epochs; the request is resumed until its outcome is told.
  runtime::sim::Program program() {
    return [this](Node& node) -> runtime::Task<void> {
      const int self = node.role().number();
      EpochStore epochs(vaults[self]);
      const Status loaded = epochs.load(node.committee(), node.role());
      if (!loaded) throw std::runtime_error(loaded.error().message);
      NoMessages none;
      EpochSentStore sent(epochs, none);
      node.router().set_sent_store(&sent);
      if (node.life() == 0 && ready.contains(self)) co_await node.loop().sleep_for(ready.at(self));
      if (!told.contains(self)) {
        Status done;
        if (epochs.find(kEpoch) == nullptr)
          done = co_await set_up_epoch(
              {node.router(), node.compute(), node.journal(),
               mpc::test::signatories(node.committee().parties(), node.role()), node.rng(), epochs, kRoundTimeout},
              kEpoch, default_context_id());
        told.emplace(self, Told{node.life(), done, node.loop().now(), epochs.find(kEpoch) != nullptr});
      }
      co_await node.loop().sleep_for(5000s);  // stay to answer
      node.router().set_sent_store(nullptr);
    };
  }
  World& run(
      int n, int t, std::uint64_t seed, runtime::Duration limit,
      const std::function<void(World&)>& faults = [](World&) {}) {
    told.clear();
    vaults.clear();
    world = std::make_unique<World>(mpc::test::sync_options(seed, CommitteeSize::make(n, t).value()), program());
    faults(*world);
    const auto all = [&] { return std::ssize(told) == n; };
    world->run(limit, all);
    return *world;
  }
  /// These parties were told that they have the epoch, had it on disk before that, and have the same keys.
  std::string agree(RoleSet parties) {
    const CommitteeSize committee = world->committee();
    if (const Status good = world->audit().verdict(); !good) return good.error().message;
    std::map<mpc::PartySet, mpc::SetKey> keys;
    for (const Role party : parties) {
      const auto found = told.find(party.number());
      if (found == told.end()) return fmt::format("party {} was told nothing", party.number());
      if (!found->second.status) return found->second.status.error().message;
      if (!found->second.stored) return fmt::format("party {} was told before its keys were stored", party.number());
      EpochStore epochs(vaults[party.number()]);
      if (const Status loaded = epochs.load(committee, party); !loaded) return loaded.error().message;
      const auto& own = epochs.find(kEpoch)->keys->set_keys();
      for (std::size_t i = 0; i < own.size(); ++i)
        if (keys.emplace(own.sets()[i], own.key(i)).first->second != own.key(i))
          return fmt::format("party {} has other keys", party.number());
    }
    return "";
  }
  RoleSet all() const { return RoleSet::all(world->committee()); }
  RoleSet without(int party) const { return all() - RoleSet{Role(party)}; }

  std::map<int, test::FaultyVault> vaults;
  std::map<int, runtime::Duration> ready;  // default: at once
  std::map<int, Told> told;
  std::unique_ptr<World> world;
};

TEST_F(EpochSetUpTest, EverybodyHasTheEpochOnDiskBeforeItIsDone) {
  for (const auto [n, t] : {std::pair{4, 1}, {7, 2}, {13, 4}}) {
    ready = {{2, 700ms}};  // its caller came later
    run(n, t, 1, 100s);
    ASSERT_EQ(agree(all()), "") << n;
    for (const auto& [party, outcome] : told) EXPECT_LT(outcome.at, runtime::Instant(700ms + 6 * 25ms)) << n;
  }
}

TEST_F(EpochSetUpTest, ASilentPartyCostsTimeAndNothingElse) {
  for (const auto [n, t] : {std::pair{4, 1}, {7, 2}}) {
    run(n, t, 2, 100s, [](World& world) { world.faults(Role(3)).silent = true; });
    EXPECT_EQ(agree(without(3)), "") << n;
    for (const auto& [party, outcome] : told) EXPECT_LT(outcome.at, runtime::Instant((t + 7) * kRoundTimeout));
  }
}

TEST_F(EpochSetUpTest, WhoIsAskedTooLateIsToldSoAndWhatToDo) {
  for (const runtime::Duration late : {runtime::Duration(3 * kRoundTimeout), runtime::Duration(1500s)}) {
    ready = {{4, late}};
    run(4, 1, 3, 2000s);
    ASSERT_EQ(agree(without(4)), "");
    ASSERT_TRUE(told.contains(4));
    EXPECT_THAT(said(told.at(4).status), AllOf(StartsWith("ABORTED: aborted: this party is too late: parties "),
                                               HasSubstr(" are done without it"),
                                               HasSubstr("request another epoch, under a new id, from all parties")));
    EXPECT_LT(told.at(4).at, runtime::Instant(late + 60s));
    EXPECT_TRUE(vaults[4].inner.objects.empty());
  }
}

TEST_F(EpochSetUpTest, WhileTheDiskIsFullTheKeysAreKeptAndTheCallerWaits) {
  run(4, 1, 4, 100s, [this](World&) { vaults[2].full = 3; });
  ASSERT_EQ(agree(all()), "");
  EXPECT_GE(told.at(2).at, runtime::Instant(1s + 2s + 4s));
}

// The rename has happened, the sync behind it has failed: the object is what was to be written, and counts once it is synced.
TEST_F(EpochSetUpTest, AnEpochWhoseSyncFailsIsNeitherLostNorAnError) {
  run(4, 1, 5, 100s, [this](World&) { vaults[2].unknown = 1; });
  ASSERT_EQ(agree(all()), "");
  EXPECT_EQ(vaults[2].syncs, 1);
}

// Wherever one party is killed, the others have the epoch. It is back with the same one if it had it, and else it is told that it has
// none; no attempt's session was opened twice (the audit sees every message).
TEST_F(EpochSetUpTest, APartyIsKilledAnywhere) {
  int had = 0, had_not = 0;
  for (std::uint64_t point = 1; point < 160; point += 3) {
    run(4, 1, 200 + point, 300s, [&](World& world) { world.faults(Role(4)).crashes = {{point, 500ms}}; });
    ASSERT_EQ(agree(without(4)), "") << point;
    ASSERT_TRUE(told.contains(4)) << point;
    const Told& fourth = told.at(4);
    if (fourth.status) {
      EXPECT_EQ(agree(all()), "") << point;
      ++had;
    } else {
      EXPECT_THAT(said(fourth.status), HasSubstr("request another epoch")) << point;
      EXPECT_TRUE(vaults[4].inner.objects.empty()) << point;
      ++had_not;
    }
  }
  EXPECT_GT(had, 1);
  EXPECT_GT(had_not, 10);
}

TEST_F(EpochSetUpTest, AfterAPowerCutTheNextAttemptGivesTheEpoch) {
  for (const auto [n, t] : {std::pair{4, 1}, {7, 2}}) {
    for (const runtime::Duration cut : {25ms, 45ms, 60ms}) {  // while they meet, and in rounds of the set-up
      std::map<int, std::uint64_t> points;
      run(n, t, 6, cut);
      for (const Role role : all()) points[role.number()] = world->crash_points(role);
      ASSERT_TRUE(told.empty());
      run(n, t, 6, 300s, [&](World& world) {
        for (int i = 1; i <= n; ++i) world.faults(Role(i)).crashes = {{points.at(i) + 1, 100ms * i}};
      });
      ASSERT_EQ(agree(all()), "") << n << " " << cut.count();
      EXPECT_EQ(world->coverage().count("sim.crashes"), static_cast<std::uint64_t>(n));
      for (const auto& [party, outcome] : told) EXPECT_EQ(outcome.life, 1) << party;
    }
  }
}

TEST_F(EpochSetUpTest, MoreThanTSilentPartiesAreAClearError) {
  run(4, 1, 7, 300s, [](World& world) {
    world.faults(Role(1)).silent = true;
    world.faults(Role(2)).silent = true;
  });
  for (const int party : {3, 4})
    EXPECT_THAT(said(told.at(party).status), AllOf(StartsWith("DEADLINE_EXCEEDED: no common start in 36 s"),
                                                   HasSubstr("request another epoch, under a new id")));
}

TEST(Attempts, GrowAndSurviveARestart) {
  runtime::VirtualLoop loop;
  runtime::FakeDisk disk;
  const ByteArray<32> id{1}, other{2};
  constexpr auto kKind = crypto::SessionKind::epoch_setup;
  {
    runtime::FakeJournal journal(loop, disk);
    EXPECT_EQ(next_attempt(journal, id, kKind).value(), 0);
    EXPECT_EQ(said(loop.run(record_attempt(journal, id, kKind, 0))), "OK");
    EXPECT_EQ(said(loop.run(record_attempt(journal, id, kKind, 5))), "OK");
    EXPECT_THAT(said(loop.run(record_attempt(journal, id, kKind, 5))),
                AllOf(StartsWith("INTERNAL: attempt 5 of "), HasSubstr("the next one is 6")));
  }
  runtime::FakeJournal journal(loop, disk);
  EXPECT_EQ(next_attempt(journal, id, kKind).value(), 6);
  EXPECT_EQ(next_attempt(journal, other, kKind).value(), 0);
  EXPECT_EQ(next_attempt(journal, id, crypto::SessionKind::preprocessing_64).value(), 0);
  disk.tables["attempts"].begin()->second.push_back(0);
  EXPECT_THAT(said(next_attempt(journal, id, kKind)), StartsWith("DATA_LOSS: "));
}

}  // namespace
}  // namespace witan::node
