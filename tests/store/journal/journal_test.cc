#include <gmock/gmock.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "runtime/scope.h"
#include "store/journal/support.h"
#include "support/support.h"

namespace witan::store {
namespace {

using namespace test;
using runtime::Task;
using runtime::ThreadLoop;
using ::testing::HasSubstr;

class JournalTest : public ::testing::Test {
 protected:
  JournalTest() : file_(folder_.path() / "journal.sqlite") { reopen(); }

  void reopen(JournalOptions options = {}) {
    journal_.reset();
    options.file = file_;
    if (options.numbered.empty()) options.numbered = kNumbered;
    auto opened = SqliteJournal::open(options, loop_);
    ASSERT_TRUE(opened.has_value()) << opened.error().message;
    journal_ = *std::move(opened);
  }
  Status commit(std::vector<runtime::Change> changes) { return loop_.run(journal_->commit(std::move(changes))); }
  std::string value(const std::string& table, std::string_view key) { return value_of(*journal_, table, key); }

  TemporaryFolder folder_;
  std::filesystem::path file_;
  ThreadLoop loop_;
  std::unique_ptr<SqliteJournal> journal_;
};

TEST_F(JournalTest, CommittedRecordsAreReadBackAlsoAfterReopening) {
  ASSERT_TRUE(commit(changes(put("requests", "a", "one"), put("keys", "a", "two"))));
  for (int round = 0; round < 2; ++round) {
    EXPECT_EQ(value("requests", "a"), "one");
    EXPECT_EQ(value("keys", "a"), "two");
    EXPECT_EQ(value("keys", "b"), "(none)");
    EXPECT_EQ(value("other", "a"), "(none)");
    reopen();
  }
}

TEST_F(JournalTest, PutReplacesPutNewRefusesEraseRemoves) {
  ASSERT_TRUE(commit(changes(put("t", "k", "1"))));
  ASSERT_TRUE(commit(changes(put("t", "k", "2"))));
  EXPECT_EQ(value("t", "k"), "2");
  const Status again = commit(changes(put_new("t", "k", "3")));
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, Code::already_exists);
  EXPECT_THAT(again.error().message, HasSubstr("t 6b"));
  EXPECT_EQ(value("t", "k"), "2");
  ASSERT_TRUE(commit(changes(erase("t", "k"), erase("t", "never there"))));
  EXPECT_EQ(value("t", "k"), "(none)");
  ASSERT_TRUE(commit(changes(put_new("t", "k", "4"))));
  EXPECT_EQ(value("t", "k"), "4");
}

TEST_F(JournalTest, ABatchWithAnExistingKeyChangesNothing) {
  ASSERT_TRUE(commit(changes(put("t", "taken", "old"))));
  const Status status = commit({put("t", "x", "1"), put("t", "taken", "new"), erase("t", "taken"),
                                put_new("t", "y", "1"), put_new("t", "y", "2"), put("t", "z", "1")});
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, Code::already_exists);
  for (const char* key : {"x", "y", "z"}) EXPECT_EQ(value("t", key), "(none)") << key;
  EXPECT_EQ(value("t", "taken"), "old");
}

TEST_F(JournalTest, EmptyKeysAndValuesAndAnyBytesAreKept) {
  std::string all;
  for (int i = 0; i < 256; ++i) all.push_back(static_cast<char>(i));
  ASSERT_TRUE(commit({put("t", "", "empty key"), put("t", "empty value", ""), put("t", all, all)}));
  reopen();
  EXPECT_EQ(value("t", ""), "empty key");
  EXPECT_EQ(value("t", "empty value"), "");
  EXPECT_EQ(value("t", all), all);
}

TEST_F(JournalTest, ForEachVisitsOneTableInKeyOrderUntilToldToStop) {
  ASSERT_TRUE(commit({put("t", "b", "2"), put("t", "a", "1"), put("t", "c", "3"), put("u", "a", "other"),
                      put("t", std::string("a\0", 2), "1b"), put("t", "\xff", "last")}));
  std::string seen;
  ASSERT_TRUE(journal_->for_each("t", [&](ByteView, ByteView v) {
    seen += std::string(v.begin(), v.end()) + ' ';
    EXPECT_EQ(value("u", "a"), "other") << "a visitor may read";
    return true;
  }));
  EXPECT_EQ(seen, "1 1b 2 3 last ");
  int visits = 0;
  ASSERT_TRUE(journal_->for_each("t", [&](ByteView, ByteView) { return ++visits < 2; }));
  EXPECT_EQ(visits, 2);
}

TEST_F(JournalTest, LimitsAreInvalidArgumentAndChangeNothing) {
  const std::string long_name(33, 'a'), long_key(257, 'k');
  for (const auto& bad : {put("Upper", "k", "v"), put("", "k", "v"), put(long_name, "k", "v"), put("a b", "k", "v"),
                          put("t", long_key, "v")}) {
    const Status status = commit(changes(put("t", "fine", "v"), bad));
    ASSERT_FALSE(status) << bad.table;
    EXPECT_EQ(status.error().code, Code::invalid_argument);
  }
  EXPECT_EQ(value("t", "fine"), "(none)");
  EXPECT_EQ(value("Upper", "k"), "INVALID_ARGUMENT");
  EXPECT_TRUE(commit(changes(put(std::string(32, 'a'), std::string(256, 'k'), "v"))));
  EXPECT_FALSE(commit(changes(put("t", "k", std::string(runtime::Journal::kMaxRecordBytes + 1, 'v')))));
}

TEST_F(JournalTest, ALargeRecordComesBackIdentical) {
  witan::test::SeededRng rng("large record");
  Bytes large(20u << 20);
  rng.fill(large);
  ASSERT_TRUE(commit(changes({runtime::Change::Kind::put, "t", bytes("large"), large})));
  reopen();
  const auto read = journal_->get("t", as_bytes("large"));
  ASSERT_TRUE(read && *read);
  EXPECT_TRUE(**read == large);
}

Task<void> commit_into(SqliteJournal& journal, std::vector<runtime::Change> changes, std::vector<Status>& results,
                       std::size_t at) {
  results[at] = co_await journal.commit(std::move(changes));
}

TEST_F(JournalTest, CommitsInFlightTogetherGetEachItsOwnResult) {
  // Every third commit repeats a key of the commit before it.
  constexpr std::size_t kCommits = 300;
  std::vector<Status> results(kCommits, fail(Code::unknown, "not resumed"));
  runtime::TaskScope scope(loop_);
  for (std::size_t i = 0; i < kCommits; ++i) {
    const std::size_t key = i % 3 == 2 ? i - 1 : i;
    scope.spawn(commit_into(*journal_,
                            changes(put_new("side", std::to_string(i), "x"), put_new("t", std::to_string(key), "v")),
                            results, i));
  }
  loop_.run(scope.join());
  for (std::size_t i = 0; i < kCommits; ++i) {
    const bool repeats = i % 3 == 2;
    ASSERT_EQ(results[i].has_value(), !repeats) << i;
    if (repeats) EXPECT_EQ(results[i].error().code, Code::already_exists);
    EXPECT_EQ(value("side", std::to_string(i)), repeats ? "(none)" : "x") << i;
  }
}

Task<void> commit_twice(SqliteJournal& journal, std::string& order, std::string name) {
  EXPECT_TRUE(co_await journal.commit(changes(put("t", "last", name + "1"))));
  order += name + "1 ";
  EXPECT_TRUE(co_await journal.commit(changes(put("t", "last", name + "2"))));
  order += name + "2 ";
}

TEST_F(JournalTest, CommitsTakeEffectInTheOrderOfTheirCalls) {
  std::string order;
  runtime::TaskScope scope(loop_);
  for (const char* name : {"a", "b", "c"}) scope.spawn(commit_twice(*journal_, order, name));
  loop_.run(scope.join());
  EXPECT_EQ(order, "a1 b1 c1 a2 b2 c2 ");
  EXPECT_EQ(value("t", "last"), "c2");
}

TEST_F(JournalTest, ATaskDestroyedWhileItWaitsDoesNotTakeItsCommitBack) {
  std::vector<Status> results(1, fail(Code::unknown, "not resumed"));
  {
    runtime::TaskScope scope(loop_);
    scope.spawn(commit_into(*journal_, changes(put("t", "k", "v")), results, 0));
    loop_.step();  // starts the task, which queues its commit and waits
    ASSERT_EQ(scope.running(), 1u);
  }
  ASSERT_TRUE(commit(changes(put("t", "later", "v"))));  // its result comes after that of the first
  EXPECT_EQ(value("t", "k"), "v");
  EXPECT_FALSE(results[0]);
}

TEST_F(JournalTest, AFullQueueIsRefusedAtOnceAndEverythingQueuedIsWritten) {
  reopen({.file = {}, .max_queued_commits = 4, .max_group_commits = 1});
  constexpr std::size_t kCommits = 200;
  std::vector<Status> results(kCommits, fail(Code::unknown, "not resumed"));
  runtime::TaskScope scope(loop_);
  for (std::size_t i = 0; i < kCommits; ++i)
    scope.spawn(commit_into(*journal_, changes(put("t", std::to_string(i), "v")), results, i));
  std::size_t most = 0;
  while (loop_.has_ready()) {
    loop_.step();
    const JournalQueue queue = journal_->queue();
    most = std::max(most, queue.commits);
    EXPECT_EQ(queue.commits == 0, queue.bytes == 0);
  }
  EXPECT_GE(most, 1u);
  EXPECT_LE(most, 4u);
  loop_.run(scope.join());
  EXPECT_EQ(journal_->queue().commits, 0u);
  EXPECT_EQ(journal_->queue().bytes, 0u);
  std::size_t refused = 0;
  for (std::size_t i = 0; i < kCommits; ++i) {
    if (!results[i]) {
      ++refused;
      EXPECT_EQ(results[i].error().code, Code::resource_exhausted);
    }
    EXPECT_EQ(value("t", std::to_string(i)), results[i] ? "v" : "(none)") << i;
  }
  EXPECT_GT(refused, 0u);
  EXPECT_LT(refused, kCommits - 3);
}

TEST_F(JournalTest, ClosingWritesWhatIsQueued) {
  std::vector<Status> results(50, fail(Code::unknown, "not resumed"));
  runtime::TaskScope scope(loop_);
  for (std::size_t i = 0; i < results.size(); ++i)
    scope.spawn(commit_into(*journal_, changes(put("t", std::to_string(i), "v")), results, i));
  while (scope.running() == results.size() && loop_.has_ready()) loop_.step();
  reopen();
  for (std::size_t i = 0; i < results.size(); ++i) EXPECT_EQ(value("t", std::to_string(i)), "v") << i;
}

TEST_F(JournalTest, FilesAreReadableByTheOwnerAlone) {
  ASSERT_TRUE(commit(changes(put("t", "k", "v"))));
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder_.path())) {
    struct stat info{};
    ASSERT_EQ(::stat(entry.path().c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0600u) << entry.path();
    ++files;
  }
  EXPECT_EQ(files, 4);  // the file, its log, the log's index, the lock
  journal_.reset();
  ASSERT_EQ(::chmod(file_.c_str(), 0644), 0);
  reopen();
  struct stat info{};
  ASSERT_EQ(::stat(file_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u) << "a wider mode is narrowed";
}

TEST_F(JournalTest, ASecondOpenIsRefusedWithTheOwnersProcessId) {
  const auto second = SqliteJournal::open({.file = file_}, loop_);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Code::unavailable);
  EXPECT_THAT(second.error().message, HasSubstr(file_.string()));
  EXPECT_THAT(second.error().message, HasSubstr(std::to_string(::getpid())));
}

TEST_F(JournalTest, ASecondProcessIsRefused) {
  const pid_t child = ::fork();
  if (child == 0) {
    ThreadLoop loop;
    const auto opened = SqliteJournal::open({.file = file_}, loop);
    ::_exit(!opened && opened.error().code == Code::unavailable ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  EXPECT_TRUE(commit(changes(put("t", "k", "still mine"))));
}

TEST_F(JournalTest, TheSqliteShellCanReadItWhileItIsOpen) {
  ASSERT_TRUE(commit(changes(put("requests", "abc", "value"))));
  sqlite3* db = nullptr;
  ASSERT_EQ(sqlite3_open_v2(file_.c_str(), &db, SQLITE_OPEN_READONLY, nullptr), SQLITE_OK);
  std::string row;
  const auto collect = [](void* out, int columns, char** values, char**) {
    for (int i = 0; i < columns; ++i) *static_cast<std::string*>(out) += std::string(values[i]) + '|';
    return 0;
  };
  ASSERT_EQ(sqlite3_exec(db, "SELECT table_name, hex(key), CAST(value AS TEXT) FROM record", collect, &row, nullptr),
            SQLITE_OK);
  EXPECT_EQ(row, "requests|616263|value|");
  sqlite3_close(db);
}

TEST_F(JournalTest, NumberedTablesAreTreesOfTheirOwn) {
  using runtime::Change;
  const auto change = [](Change::Kind kind, const char* table, std::uint64_t number, std::string_view text) {
    return Change{kind, table, runtime::number_key(number), bytes(text)};
  };
  using Kind = Change::Kind;
  journal_.reset();
  file_ = folder_.path() / "numbered.sqlite";
  for (int life = 0; life < 2; ++life) {
    reopen({.file = {}, .numbered = {"sent", "order"}});
    ASSERT_TRUE(commit({change(Kind::put, "sent", 300, "c"), change(Kind::put, "sent", 2, "b"),
                        change(Kind::put, "order", 2, "x"), change(Kind::put, "plain", 2, "y")}));
    ASSERT_TRUE(commit({change(Kind::put, "sent", 2, "again"), change(Kind::erase, "order", 2, "")}));
    std::string seen;
    const auto visit = [&](ByteView key, ByteView value) {
      seen += fmt::format("{}={};", runtime::number_of(key).value(), std::string(value.begin(), value.end()));
      return true;
    };
    ASSERT_TRUE(journal_->for_each("sent", visit));
    ASSERT_TRUE(journal_->for_each("order", visit));
    ASSERT_TRUE(journal_->for_each("plain", visit));
    EXPECT_EQ(seen, "2=again;300=c;2=y;");
    EXPECT_EQ(journal_->get("sent", runtime::number_key(300)).value(), bytes("c"));
    EXPECT_FALSE(journal_->get("sent", runtime::number_key(3)).value());
    EXPECT_FALSE(journal_->get("sent", Bytes{1}).value());
  }
  const Status twice = commit({change(Kind::put_new, "sent", 300, "d")});
  ASSERT_FALSE(twice);
  EXPECT_EQ(twice.error().code, Code::already_exists);
  for (const Bytes& key : {Bytes{}, Bytes(7), Bytes(9), Bytes(8, 0x80)}) {
    const Status wrong = commit({{Kind::put, "sent", key, {}}});
    ASSERT_FALSE(wrong);
    EXPECT_EQ(wrong.error().code, Code::invalid_argument);
  }
  EXPECT_FALSE(SqliteJournal::open({.file = folder_.path() / "other", .numbered = {"record"}}, loop_));
  EXPECT_FALSE(SqliteJournal::open({.file = folder_.path() / "other", .numbered = {"a b"}}, loop_));
}

TEST_F(JournalTest, ADuplicateAmongCommitsThatShareATransactionFailsAlone) {
  ASSERT_TRUE(commit({put("t", "there", "1"), put("request_bodies", 1, "1"), put("sent", 1, "1")}));
  std::vector<Status> results(12);
  runtime::TaskScope scope(loop_);
  const auto one = [&](std::size_t i) -> Task<void> {
    const std::string key = i % 3 == 1 ? "there" : fmt::format("new {}", i);
    const std::uint64_t number = i % 6 == 5 ? 1 : 100 + i;
    results[i] = co_await journal_->commit({put("u", key, "before"), put("request_results", 100 + i, "before"),
                                            erase("request_bodies", i % 2 == 1 ? 1 : 2), put_new("t", key, "2"),
                                            put_new("sent", number, "2")});
  };
  const auto all = [&]() -> Task<void> {
    for (std::size_t i = 0; i < results.size(); ++i) scope.spawn(one(i));
    co_await scope.join();
  };
  loop_.run(all());
  for (std::size_t i = 0; i < results.size(); ++i) {
    const bool fine = i % 3 != 1 && i % 6 != 5;
    EXPECT_EQ(results[i].has_value(), fine) << i;
    EXPECT_EQ(value("u", fmt::format("new {}", i)), fine ? "before" : "(none)") << i;
    EXPECT_EQ(value_of(*journal_, "request_results", 100 + i), fine ? "before" : "(none)") << i;
    EXPECT_EQ(value_of(*journal_, "sent", 100 + i), fine ? "2" : "(none)") << i;
  }
  EXPECT_EQ(value("u", "there"), "(none)");
  EXPECT_EQ(value("t", "there"), "1");
  EXPECT_EQ(value_of(*journal_, "sent", 1), "1");
  EXPECT_EQ(value_of(*journal_, "request_bodies", 1), "(none)") << "3 and 9 have erased it";
}

TEST_F(JournalTest, ErasedContentIsOverwritten) {
  const std::string secret = "a set key that must not be found on the disk";
  ASSERT_TRUE(commit(changes(put("t", "k", secret))));
  ASSERT_TRUE(commit(changes(erase("t", "k"))));
  journal_.reset();  // moves the log into the file and removes it
  const Bytes content = witan::test::read_file(file_);
  EXPECT_EQ(std::string(content.begin(), content.end()).find(secret), std::string::npos);
  EXPECT_FALSE(std::filesystem::exists(file_.string() + "-wal"));
}

TEST_F(JournalTest, TheLogIsMovedIntoTheFileWhenItGrows) {
  const std::string value(100000, 'v');
  for (int i = 0; i < 120; ++i) ASSERT_TRUE(commit(changes(put("t", std::to_string(i), value))));
  EXPECT_LT(std::filesystem::file_size(file_.string() + "-wal"), 8u << 20);
  EXPECT_GT(std::filesystem::file_size(file_), 4u << 20);
}

}  // namespace
}  // namespace witan::store
