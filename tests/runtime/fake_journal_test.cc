// The fake journal keeps the contract of Journal and loses exactly what a crash may lose.
#include "runtime/fake_journal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "runtime/scope.h"
#include "runtime/sim.h"
#include "support/support.h"

namespace witan::runtime {
namespace {

using testing::ElementsAre;
using Kind = Change::Kind;
using namespace std::chrono_literals;

Bytes bytes(std::string_view s) {
  return Bytes(as_bytes(s).begin(), as_bytes(s).end());
}
Change change(Kind kind, std::string_view key, std::string_view value = "", std::string table = "t") {
  return {kind, std::move(table), bytes(key), bytes(value)};
}

class FakeJournalTest : public testing::Test {
 protected:
  Code commit(std::vector<Change> changes) {
    const auto status = loop.run(journal->commit(std::move(changes)));
    return status ? Code{} : status.error().code;
  }
  std::string get(std::string_view key) {
    const auto value = *journal->get("t", as_bytes(key));
    return value ? std::string(value->begin(), value->end()) : "-";
  }
  void restart() { journal = std::make_unique<FakeJournal>(loop, disk, 1ms); }

  VirtualLoop loop;
  FakeDisk disk;
  std::unique_ptr<FakeJournal> journal = std::make_unique<FakeJournal>(loop, disk, 1ms);
};

TEST_F(FakeJournalTest, KeepsWhatWasCommittedAcrossRestarts) {
  EXPECT_EQ(commit({change(Kind::put, "a", "1"), change(Kind::put_new, "b", "2")}), Code{});
  EXPECT_EQ(commit({change(Kind::put, "a", "3"), change(Kind::erase, "b"), change(Kind::erase, "absent")}), Code{});
  restart();
  EXPECT_EQ(get("a"), "3");
  EXPECT_EQ(get("b"), "-");
}

TEST_F(FakeJournalTest, PutNewFailsTheWholeBatch) {
  ASSERT_EQ(commit({change(Kind::put, "a", "1")}), Code{});
  EXPECT_EQ(commit({change(Kind::put, "b", "2"), change(Kind::put_new, "a", "3")}), Code::already_exists);
  EXPECT_EQ(get("a"), "1");
  EXPECT_EQ(get("b"), "-");
}

TEST_F(FakeJournalTest, PutNewSeesTheChangesBeforeItInTheBatch) {
  EXPECT_EQ(commit({change(Kind::put, "a"), change(Kind::put_new, "a")}), Code::already_exists);
  EXPECT_EQ(commit({change(Kind::put_new, "a", "1"), change(Kind::erase, "a"), change(Kind::put_new, "a", "2")}),
            Code{});
  EXPECT_EQ(get("a"), "2");
  EXPECT_EQ(commit({change(Kind::erase, "a"), change(Kind::put_new, "a", "3")}), Code{});
  EXPECT_EQ(get("a"), "3");
}

TEST_F(FakeJournalTest, OfTwoConcurrentPutNewOneWins) {
  auto both = [&]() -> Task<std::pair<bool, bool>> {
    auto [first, second] = co_await when_all(journal->commit({change(Kind::put_new, "a", "1")}),
                                             journal->commit({change(Kind::put_new, "a", "2")}));
    co_return std::pair(first.has_value(), second.has_value());
  };
  EXPECT_EQ(loop.run(both()), std::pair(true, false));
  EXPECT_EQ(get("a"), "1");
}

TEST_F(FakeJournalTest, RefusesWhatIsOutOfLimits) {
  EXPECT_EQ(commit({change(Kind::put, "k", "v", "Bad")}), Code::invalid_argument);
  EXPECT_EQ(commit({change(Kind::put, "k", "v", "")}), Code::invalid_argument);
  EXPECT_EQ(commit({change(Kind::put, "k", "v", std::string(33, 'a'))}), Code::invalid_argument);
  EXPECT_EQ(commit({change(Kind::put, std::string(257, 'k'))}), Code::invalid_argument);
  EXPECT_EQ(commit({change(Kind::put, "fine"), change(Kind::put, "k", "v", "9")}), Code::invalid_argument);
  EXPECT_EQ(get("fine"), "-");
}

TEST_F(FakeJournalTest, VisitsInKeyOrderUntilToldToStop) {
  ASSERT_EQ(commit({change(Kind::put, "b", "2"), change(Kind::put, "a", "1"), change(Kind::put, "c", "3")}), Code{});
  std::vector<std::string> keys;
  ASSERT_TRUE(journal->for_each("t", [&](ByteView key, ByteView) {
    keys.emplace_back(key.begin(), key.end());
    return keys.size() < 2;
  }));
  EXPECT_THAT(keys, ElementsAre("a", "b"));
  EXPECT_TRUE(journal->for_each("absent", [&](ByteView, ByteView) { return true; }));
}

TEST_F(FakeJournalTest, CommitsThatArriveTogetherShareASync) {
  auto many = [&]() -> Task<void> {
    std::vector<Task<Status>> tasks;
    for (int i = 0; i < 10; ++i) tasks.push_back(journal->commit({change(Kind::put, std::to_string(i))}));
    (void)co_await when_all(std::move(tasks));
  };
  loop.run(many());
  EXPECT_EQ(loop.now().time_since_epoch(), 2ms) << "the first alone, the others in the next sync";
}

TEST_F(FakeJournalTest, NothingIsVisibleBeforeItIsDurable) {
  TaskScope scope(loop);
  auto write = [&]() -> Task<void> { (void)co_await journal->commit({change(Kind::put, "a", "1")}); };
  scope.spawn(write());
  loop.run_ready();
  EXPECT_EQ(get("a"), "-");
  restart();
  loop.run_until_idle();
  EXPECT_EQ(get("a"), "-") << "lost with its process";
  EXPECT_EQ(scope.running(), 1u);
}

TEST_F(FakeJournalTest, ACommitGoesOnWhenItsCallerDies) {
  TaskScope scope(loop);
  auto write = [&]() -> Task<void> { (void)co_await journal->commit({change(Kind::put, "a", "1")}); };
  scope.spawn(write());
  loop.run_ready();
  scope.cancel();
  loop.run_until_idle();
  EXPECT_EQ(get("a"), "1");
}

TEST_F(FakeJournalTest, ACrashKeepsAPrefixOfTheUnsyncedAndAllOfTheAcknowledged) {
  std::set<std::size_t> prefixes;
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    disk = {};
    restart();
    ASSERT_EQ(commit({change(Kind::put, "acknowledged")}), Code{});
    TaskScope scope(loop);
    int returned = 0;
    auto write = [&](std::string key) -> Task<void> {
      (void)co_await journal->commit({change(Kind::put, key)});
      ++returned;
    };
    for (const char* key : {"1", "2", "3"}) scope.spawn(write(key));
    loop.run_ready();
    sim::SimRng rng(seed);
    journal->crash(rng);
    loop.run_until_idle();
    EXPECT_EQ(returned, 0);
    restart();
    EXPECT_NE(get("acknowledged"), "-");
    std::size_t prefix = 0;
    while (prefix < 3 && get(std::to_string(prefix + 1)) != "-") ++prefix;
    for (std::size_t i = prefix; i < 3; ++i) EXPECT_EQ(get(std::to_string(i + 1)), "-") << "not a prefix";
    prefixes.insert(prefix);
  }
  EXPECT_THAT(prefixes, ElementsAre(0u, 1u, 2u, 3u));
}

TEST_F(FakeJournalTest, ACommitAfterTheCrashHasNoEffect) {
  sim::SimRng rng(1);
  journal->crash(rng);
  TaskScope scope(loop);
  auto write = [&]() -> Task<void> { (void)co_await journal->commit({change(Kind::put, "a", "1")}); };
  scope.spawn(write());
  loop.run_until_idle();
  EXPECT_EQ(get("a"), "-");
  EXPECT_EQ(scope.running(), 1u);
}

TEST_F(FakeJournalTest, AFailingDiskChangesNothing) {
  disk.fails_after_commits = 1;
  EXPECT_EQ(commit({change(Kind::put, "a", "1")}), Code{});
  EXPECT_EQ(commit({change(Kind::put, "a", "2")}), Code::unavailable);
  EXPECT_EQ(get("a"), "1");
  disk.fails_after_commits = ~std::uint64_t{0};
  EXPECT_EQ(commit({change(Kind::put, "a", "2")}), Code{});
}

}  // namespace
}  // namespace witan::runtime
