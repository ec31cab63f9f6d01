// Work that waits for a disk: how often it tries, what it says, and what it does not wait for.
#include "node/disk_wait.h"

#include "node/node_testing.h"
#include "runtime/fake_journal.h"
#include "runtime/scope.h"

namespace witan::node {
namespace {

using namespace std::chrono_literals;
using runtime::Task;
using test::said;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class DiskWaitTest : public testing::Test {
 protected:
  /// Fails so many times.
  auto failing(int times, Code code = Code::unavailable) {
    return [this, times, code]() -> Task<Result<int>> {
      tried.push_back(loop.now());
      if (std::ssize(tried) <= times) co_return fail(code, "the disk is full");
      co_return 42;
    };
  }
  std::vector<runtime::Instant> tried;
  runtime::VirtualLoop loop;
  DiskWait wait{loop, "key 1"};
};

TEST_F(DiskWaitTest, TriesAtOnceAndThenEverMoreSeldomUntilItSucceeds) {
  EXPECT_EQ(loop.run(wait.repeat(failing(8))).value(), 42);
  std::vector<runtime::Duration> pauses;
  for (std::size_t i = 1; i < tried.size(); ++i) pauses.push_back(tried[i] - tried[i - 1]);
  EXPECT_EQ(pauses, (std::vector<runtime::Duration>{1s, 2s, 4s, 8s, 16s, 30s, 30s, 30s}));
  EXPECT_EQ(wait.reason(), std::nullopt);
}

TEST_F(DiskWaitTest, WaitsForWhatMayPassAndForNothingElse) {
  EXPECT_TRUE(loop.run(wait.repeat(failing(1, Code::resource_exhausted))));
  for (const Code code : {Code::data_loss, Code::already_exists, Code::not_found, Code::aborted, Code::internal}) {
    tried.clear();
    EXPECT_EQ(loop.run(wait.repeat(failing(1, code))).error().code, code);
    EXPECT_EQ(tried.size(), 1u);
  }
}

TEST_F(DiskWaitTest, SaysWhyAsLongAsAnybodyWaits) {
  runtime::TaskScope scope(loop);
  bool free = false;
  int done = 0;
  const auto work = [&]() -> Task<void> {
    const auto got = co_await wait.repeat([&]() -> Task<Status> {
      if (!free) co_return fail(Code::unavailable, "the disk is full");
      co_return Status{};
    });
    done += got.has_value();
  };
  scope.spawn(work());
  scope.spawn(work());
  loop.advance(3500ms);
  EXPECT_THAT(wait.reason().value_or(""), HasSubstr("the disk is full"));
  free = true;
  loop.run(scope.join());
  EXPECT_EQ(done, 2);
  EXPECT_EQ(wait.reason(), std::nullopt);
}

TEST_F(DiskWaitTest, WhoIsGivenUpWaitsNoMore) {
  {
    runtime::TaskScope scope(loop);
    const auto work = [&]() -> Task<void> { (void)co_await wait.repeat(failing(1000)); };
    scope.spawn(work());
    loop.advance(3500ms);
    EXPECT_TRUE(wait.reason());
  }
  EXPECT_EQ(wait.reason(), std::nullopt);
}

TEST_F(DiskWaitTest, CommitsOfAJournalWaitForItsDisk) {
  runtime::FakeDisk disk;
  runtime::FakeJournal journal(loop, disk);
  PatientJournal patient(journal, wait);
  disk.fails_after_commits = 0;
  runtime::TaskScope scope(loop);
  Status committed = fail(Code::internal, "not yet");
  const auto commit = [&]() -> Task<void> {
    std::vector<runtime::Change> changes;
    changes.push_back({runtime::Change::Kind::put_new, "table", Bytes{1}, Bytes{2}});
    committed = co_await patient.commit(std::move(changes));
  };
  scope.spawn(commit());
  loop.advance(5s);
  EXPECT_THAT(said(committed), StartsWith("INTERNAL"));
  EXPECT_TRUE(wait.reason());
  disk.fails_after_commits = ~std::uint64_t{0};
  loop.run(scope.join());
  EXPECT_EQ(said(committed), "OK");
  EXPECT_EQ(patient.get("table", Bytes{1}).value(), Bytes{2});
  // A second one of the same is an error at once.
  scope.spawn(commit());
  loop.run(scope.join());
  EXPECT_THAT(said(committed), StartsWith("ALREADY_EXISTS"));
}

}  // namespace
}  // namespace witan::node
