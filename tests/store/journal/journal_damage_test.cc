// Damaged, foreign, missing and unreachable files.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <sqlite3.h>
#include <unistd.h>

#include <fstream>

#include "runtime/scope.h"
#include "store/journal/record_check.h"
#include "store/journal/support.h"
#include "support/support.h"

namespace witan::store {
namespace {

using namespace test;
using runtime::ThreadLoop;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
namespace fs = std::filesystem;

void write_file(const fs::path& path, ByteView content) {
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(content.data()), static_cast<std::streamsize>(content.size()));
}

class JournalDamageTest : public ::testing::Test {
 protected:
  JournalDamageTest() : file_(folder_.path() / "journal.sqlite"), log_(file_.string() + "-wal") {}

  /// A journal of 200 records of 500 bytes, and of as many in each numbered table, one of which loses the older half again;
  /// closed properly (no log).
  void make_journal() {
    auto journal = open();
    ASSERT_TRUE(journal) << journal.error().message;
    for (std::uint64_t i = 0; i < 200; ++i) {
      ASSERT_TRUE(loop_.run((*journal)->commit(
          {put("t", std::to_string(1000 + i), std::string(500, 'v')), put("request_bodies", i, std::string(500, 'b')),
           put("request_results", i, std::string(500, 'r')), put_new("sent", i, std::string(500, 's'))})));
      if (i % 2 == 1) ASSERT_TRUE(loop_.run((*journal)->commit(changes(erase("request_bodies", i / 2)))));
    }
    const Status again = loop_.run((*journal)->commit(changes(erase("request_bodies", 199), put_new("sent", 7, "x"))));
    ASSERT_FALSE(again);
    ASSERT_EQ(again.error().code, Code::already_exists);
  }
  /// The same, and a log with one transaction for each of 20 further records: what a killed process leaves behind.
  void make_journal_with_log() {
    make_journal();
    auto journal = open();
    ASSERT_TRUE(journal);
    for (std::uint64_t i = 0; i < 20; ++i)
      ASSERT_TRUE(loop_.run((*journal)->commit({put("t", std::to_string(2000 + i), std::string(500, 'w')),
                                                put("sent", 200 + i, std::string(500, 'w')), erase("sent", i)})));
    const Bytes file = witan::test::read_file(file_), log = witan::test::read_file(log_);
    journal->reset();
    write_file(file_, file);
    write_file(log_, log);
  }

  Result<std::unique_ptr<SqliteJournal>> open(std::function<void(const Error&)> on_fault = [](const Error&) {}) {
    return SqliteJournal::open({.file = file_, .numbered = kNumbered, .on_fault = std::move(on_fault)}, loop_);
  }

  void expect_data_loss(std::string_view what) {
    const Bytes before = witan::test::read_file(file_);
    const auto journal = open();
    ASSERT_FALSE(journal) << what;
    EXPECT_EQ(journal.error().code, Code::data_loss) << what << ": " << journal.error().message;
    EXPECT_THAT(journal.error().message, AllOf(HasSubstr(file_.string()), HasSubstr("sqlite3 NEW"))) << what;
    EXPECT_EQ(witan::test::read_file(file_), before) << what << ": the file was touched";
  }

  TemporaryFolder folder_;
  fs::path file_, log_;
  ThreadLoop loop_;
};

TEST_F(JournalDamageTest, CheckValuesAreCrc32c) {
  EXPECT_EQ(crc32c(0, as_bytes("123456789")), 0xe3069283u);  // check value of CRC-32/ISCSI
  EXPECT_EQ(crc32c(0, Bytes(32, 0x00)), 0x8a9136aau);        // RFC 3720, B.4
  EXPECT_EQ(crc32c(0, Bytes(32, 0xff)), 0x62a8ab43u);        // RFC 3720, B.4
  EXPECT_EQ(crc32c(crc32c(0, as_bytes("1234")), as_bytes("56789")), 0xe3069283u);
  EXPECT_NE(record_check("t", as_bytes("ab"), as_bytes("c")), record_check("t", as_bytes("a"), as_bytes("bc")));
}

TEST_F(JournalDamageTest, AnEmptyFileIsNotTakenForANewOne) {
  write_file(file_, {});
  expect_data_loss("empty");
}

TEST_F(JournalDamageTest, TruncationIsFoundAtEveryLength) {
  make_journal();
  const Bytes whole = witan::test::read_file(file_);
  ASSERT_GT(whole.size(), 20u * 4096);
  for (const std::size_t keep :
       {std::size_t{1}, std::size_t{99}, std::size_t{100}, std::size_t{4095}, std::size_t{4096}, std::size_t{8192},
        whole.size() / 2, whole.size() - 4096, whole.size() - 1}) {
    write_file(file_, ByteView(whole).first(keep));
    expect_data_loss(fmt::format("{} of {} bytes", keep, whole.size()));
  }
}

TEST_F(JournalDamageTest, AFlippedBitInAnyRecordIsFound) {
  make_journal();
  const Bytes whole = witan::test::read_file(file_);
  const std::string text(whole.begin(), whole.end());
  std::size_t at = 0, flips = 0;
  while ((at = text.find(std::string(500, 'v'), at)) != std::string::npos && flips < 20) {
    Bytes damaged = whole;
    damaged[at + flips * 25] ^= 1;
    write_file(file_, damaged);
    expect_data_loss(fmt::format("byte {}", at + flips * 25));
    at += 500 * 7;
    ++flips;
  }
  EXPECT_GE(flips, 10u);
}

TEST_F(JournalDamageTest, AFlippedBitInAnyRowOfANumberedTableIsFound) {
  make_journal();
  const Bytes whole = witan::test::read_file(file_);
  const std::string text(whole.begin(), whole.end());
  for (const auto& [table, letter] : {std::pair{"request_bodies", 'b'}, {"request_results", 'r'}, {"sent", 's'}}) {
    const std::string value(500, letter);
    std::size_t rows = 0;
    for (std::size_t at = 0; (at = text.find(value, at)) != std::string::npos; at += value.size(), ++rows) {
      if (rows % 7 != 0) continue;
      Bytes damaged = whole;
      damaged[at + rows] ^= 1;
      write_file(file_, damaged);
      expect_data_loss(fmt::format("byte {} of {}", at + rows, table));
    }
    EXPECT_EQ(rows, letter == 'b' ? 100u : 200u) << table;
  }
  write_file(file_, whole);
  const auto journal = open();
  ASSERT_TRUE(journal) << journal.error().message;
  EXPECT_EQ(value_of(**journal, "request_bodies", 99), "(none)");
  EXPECT_EQ(value_of(**journal, "request_bodies", 100), std::string(500, 'b'));
  EXPECT_EQ(value_of(**journal, "request_bodies", 199), std::string(500, 'b')) << "its erasure came with a duplicate";
  EXPECT_EQ(value_of(**journal, "sent", 7), std::string(500, 's'));
}

TEST_F(JournalDamageTest, RubbishInsteadOfADatabaseIsDataLoss) {
  Bytes rubbish(10000);
  witan::test::SeededRng("rubbish").fill(rubbish);
  write_file(file_, rubbish);
  expect_data_loss("rubbish");
}

TEST_F(JournalDamageTest, ALogWithoutItsFileIsDataLoss) {
  make_journal_with_log();
  fs::remove(file_);
  const auto journal = open();
  ASSERT_FALSE(journal);
  EXPECT_EQ(journal.error().code, Code::data_loss);
  EXPECT_FALSE(fs::exists(file_));
}

TEST_F(JournalDamageTest, TheLogOfAKilledProcessIsTakenUp) {
  make_journal_with_log();
  auto journal = open();
  ASSERT_TRUE(journal) << journal.error().message;
  EXPECT_EQ(value_of(**journal, "t", "2019"), std::string(500, 'w'));
  EXPECT_EQ(value_of(**journal, "sent", 219), std::string(500, 'w'));
  EXPECT_EQ(value_of(**journal, "sent", 19), "(none)");
}

TEST_F(JournalDamageTest, ALogTornInItsLastTransactionLosesThatOneOnly) {
  make_journal_with_log();
  fs::resize_file(log_, fs::file_size(log_) - 100);
  auto journal = open();
  ASSERT_TRUE(journal) << journal.error().message;
  EXPECT_EQ(value_of(**journal, "t", "2018"), std::string(500, 'w'));
  EXPECT_EQ(value_of(**journal, "t", "2019"), "(none)");
  EXPECT_EQ(value_of(**journal, "sent", 218), std::string(500, 'w'));
  EXPECT_EQ(value_of(**journal, "sent", 219), "(none)");
  EXPECT_EQ(value_of(**journal, "sent", 19), std::string(500, 's')) << "its erasure was in the same transaction";
}

TEST_F(JournalDamageTest, DamageInTheMiddleOfTheLogIsFound) {
  make_journal_with_log();
  const Bytes log = witan::test::read_file(log_);
  ASSERT_GT(log.size(), 20u * 4120);
  for (const std::size_t at :
       {std::size_t{3}, std::size_t{9}, std::size_t{20}, std::size_t{30},  // header
        std::size_t{32 + 2}, std::size_t{32 + 9}, std::size_t{32 + 18}, std::size_t{32 + 500}, log.size() / 2}) {
    Bytes damaged = log;
    damaged[at] ^= 0x10;
    write_file(log_, damaged);
    expect_data_loss(fmt::format("byte {} of the log", at));
    EXPECT_EQ(witan::test::read_file(log_), damaged) << "the log was touched";
  }
  write_file(log_, log);
  EXPECT_TRUE(open());
}

TEST_F(JournalDamageTest, ALogThatNeverReachedTheDiskIsEmpty) {
  make_journal();
  for (const std::size_t size : {std::size_t{0}, std::size_t{10}, std::size_t{32}, std::size_t{32 + 4120 * 3}}) {
    write_file(log_, Bytes(size));
    auto journal = open();
    ASSERT_TRUE(journal) << size << ": " << journal.error().message;
    EXPECT_EQ(value_of(**journal, "t", "1199"), std::string(500, 'v'));
  }
}

TEST_F(JournalDamageTest, AMissingFileIsRefusedWhereOneMustBe) {
  const auto journal = SqliteJournal::open(
      {.file = file_, .if_missing = JournalOptions::IfMissing::refuse, .numbered = kNumbered}, loop_);
  ASSERT_FALSE(journal);
  EXPECT_EQ(journal.error().code, Code::not_found);
  EXPECT_FALSE(fs::exists(file_));
}

TEST_F(JournalDamageTest, AnInterruptedCreationIsDoneAgain) {
  write_file(file_.string() + ".new", bytes("half made"));
  write_file(file_.string() + ".new-journal", bytes("rubbish"));
  ASSERT_TRUE(open());
  EXPECT_FALSE(fs::exists(file_.string() + ".new"));
}

void run_sql(const fs::path& file, const char* sql) {
  sqlite3* db = nullptr;
  ASSERT_EQ(sqlite3_open(file.c_str(), &db), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(db, sql, nullptr, nullptr, nullptr), SQLITE_OK) << sqlite3_errmsg(db);
  sqlite3_close(db);
}

TEST_F(JournalDamageTest, DatabasesOfOthersAndOfOtherLayoutsAreLeftAlone) {
  run_sql(file_, "CREATE TABLE theirs(x)");
  auto journal = open();
  ASSERT_FALSE(journal);
  EXPECT_EQ(journal.error().code, Code::failed_precondition);
  EXPECT_THAT(journal.error().message, HasSubstr("another program"));
  fs::remove(file_);

  make_journal();
  for (const char* version : {"1", "3", "5"}) {
    run_sql(file_, (std::string("PRAGMA user_version = ") + version).c_str());
    journal = open();
    ASSERT_FALSE(journal);
    EXPECT_EQ(journal.error().code, Code::failed_precondition);
    EXPECT_THAT(journal.error().message, HasSubstr(std::string("its layout is version ") + version));
  }
}

// A journal has its tables from its first moment on. One that is made anew would have forgotten what was in it.
TEST_F(JournalDamageTest, AMissingOrForeignTableIsNotMadeAnew) {
  make_journal();
  const Bytes whole = witan::test::read_file(file_);
  std::vector<std::string> faults;
  for (const std::string& table : kNumbered) {
    faults.push_back("DROP TABLE " + table);
    faults.push_back(fmt::format("ALTER TABLE {} RENAME COLUMN crc32c TO other", table));
    faults.push_back(fmt::format("ALTER TABLE {} ADD COLUMN more INTEGER", table));
    faults.push_back(fmt::format("ALTER TABLE {0} RENAME TO old; CREATE TABLE {0} AS SELECT * FROM old", table));
  }
  faults.push_back("ALTER TABLE record RENAME COLUMN crc32c TO other");
  faults.push_back("ALTER TABLE record ADD COLUMN more INTEGER");
  faults.push_back("ALTER TABLE record RENAME TO other");
  for (const std::string& fault : faults) {
    write_file(file_, whole);
    run_sql(file_, fault.c_str());
    expect_data_loss(fault);
  }
  write_file(file_, whole);
  run_sql(file_, "DROP TABLE sent");
  EXPECT_THAT(open().error().message, HasSubstr("its table 'sent' is missing"));
  write_file(file_, whole);
  EXPECT_TRUE(open());
}

TEST_F(JournalDamageTest, UnusablePathsNameTheReason) {
  write_file(folder_.path() / "plain", bytes("file"));
  fs::create_directory(file_);
  for (const auto& [path, code] : {std::pair{folder_.path() / "missing" / "j", Code::unavailable},
                                   {folder_.path() / "plain" / "j", Code::unavailable},
                                   {fs::path("/proc/no/j"), Code::unavailable},
                                   {file_, Code::failed_precondition}}) {
    const auto journal = SqliteJournal::open({.file = path, .numbered = kNumbered}, loop_);
    ASSERT_FALSE(journal) << path;
    EXPECT_EQ(journal.error().code, code) << journal.error().message;
    EXPECT_THAT(journal.error().message, HasSubstr(path.string()));
  }
}

// ---- faults of the disk, through SQLite's hooks for system calls

int fault_errno = 0;     // 0: no fault
off_t fault_beyond = 0;  // writes that end at or before this offset succeed
bool fault_opens_for_write = false;
sqlite3_syscall_ptr real_pwrite = nullptr, real_open = nullptr;

ssize_t faulty_pwrite(int fd, const void* data, size_t size, off_t at) {
  if (fault_errno != 0 && at + static_cast<off_t>(size) > fault_beyond) {
    errno = fault_errno;
    return -1;
  }
  return reinterpret_cast<ssize_t (*)(int, const void*, size_t, off_t)>(real_pwrite)(fd, data, size, at);
}

std::vector<std::string> opened;  // while a JournalFaultTest runs; also by the writer's thread, between commits only

int faulty_open(const char* path, int flags, int mode) {
  opened.emplace_back(path);
  if (fault_opens_for_write && (flags & O_ACCMODE) != O_RDONLY) {
    errno = EROFS;
    return -1;
  }
  return reinterpret_cast<int (*)(const char*, int, int)>(real_open)(path, flags, mode);
}

class JournalFaultTest : public JournalDamageTest {
 protected:
  JournalFaultTest() {
    sqlite3_vfs* vfs = sqlite3_vfs_find(nullptr);
    for (const char* name : {"pwrite", "pwrite64"}) {
      if (vfs->xGetSystemCall(vfs, name) == nullptr) continue;
      real_pwrite = vfs->xGetSystemCall(vfs, name);
      vfs->xSetSystemCall(vfs, name, reinterpret_cast<sqlite3_syscall_ptr>(faulty_pwrite));
    }
    real_open = vfs->xGetSystemCall(vfs, "open");
    vfs->xSetSystemCall(vfs, "open", reinterpret_cast<sqlite3_syscall_ptr>(faulty_open));
  }
  ~JournalFaultTest() override {
    fault_errno = 0;
    fault_beyond = 0;
    fault_opens_for_write = false;
    opened.clear();
    sqlite3_vfs* vfs = sqlite3_vfs_find(nullptr);
    vfs->xSetSystemCall(vfs, nullptr, nullptr);
  }
};

// A commit needs no other disk and no other folder, and nothing of it stays elsewhere.
TEST_F(JournalFaultTest, LargeCommitsOpenNoOtherFile) {
  auto journal = open();
  ASSERT_TRUE(journal);
  for (int round = 0; round < 3; ++round) {
    ASSERT_TRUE(loop_.run((*journal)->commit(
        changes(put("t", "large", std::string(3 << 20, static_cast<char>('a' + round))), put("sent", 1, "v")))));
    ASSERT_TRUE(loop_.run((*journal)->commit(changes(erase("t", "large"), put("sent", 2, std::string(3 << 20, 'w'))))));
    ASSERT_TRUE(loop_.run((*journal)->commit(changes(erase("sent", 1), erase("sent", 2)))));
  }
  journal->reset();
  EXPECT_FALSE(opened.empty());
  for (const std::string& path : opened)
    EXPECT_TRUE(path.starts_with(file_.string()) || fs::is_directory(path)) << path;
}

TEST_F(JournalFaultTest, AFullDiskRefusesCommitsUntilThereIsSpace) {
  auto journal = open();
  ASSERT_TRUE(journal);
  ASSERT_TRUE(loop_.run((*journal)->commit(changes(put("t", "before", "v"), put("sent", 1, "v")))));
  fault_errno = ENOSPC;
  for (int i = 0; i < 3; ++i) {
    const Status full =
        loop_.run((*journal)->commit({put("t", "during", "v"), put("t", "before", "changed"), erase("sent", 1)}));
    ASSERT_FALSE(full);
    EXPECT_EQ(full.error().code, Code::unavailable);
    EXPECT_THAT(full.error().message, HasSubstr("disk is full"));
  }
  EXPECT_EQ(value_of(**journal, "t", "during"), "(none)");
  EXPECT_EQ(value_of(**journal, "t", "before"), "v");
  EXPECT_EQ(value_of(**journal, "sent", 1), "v");
  fault_errno = 0;
  ASSERT_TRUE(loop_.run((*journal)->commit(changes(put("t", "after", "v")))));
  journal->reset();
  journal = open();
  ASSERT_TRUE(journal);
  EXPECT_EQ(value_of(**journal, "t", "before"), "v");
  EXPECT_EQ(value_of(**journal, "t", "during"), "(none)");
  EXPECT_EQ(value_of(**journal, "t", "after"), "v");
}

runtime::Task<void> commit_into(SqliteJournal& journal, std::vector<runtime::Change> changes, Status& result) {
  result = co_await journal.commit(std::move(changes));
}

TEST_F(JournalFaultTest, ACommitThatFillsTheDiskDoesNotFailItsNeighbours) {
  auto journal = open();
  ASSERT_TRUE(journal);
  fault_beyond = 2 << 20;
  fault_errno = ENOSPC;
  // The smaller one fails at COMMIT, the larger one while it is still being inserted (SQLite's cache holds 2 MB).
  for (const std::size_t large : {std::size_t{3} << 20, std::size_t{30} << 20}) {
    std::vector<Status> results(9, fail(Code::unknown, "not resumed"));
    runtime::TaskScope scope(loop_);
    for (std::size_t i = 0; i < results.size(); ++i)
      scope.spawn(commit_into(
          **journal, changes(put_new("t", fmt::format("{}/{}", large, i), std::string(i == 4 ? large : 10, 'v'))),
          results[i]));
    loop_.run(scope.join());
    for (std::size_t i = 0; i < results.size(); ++i) {
      EXPECT_EQ(results[i].has_value(), i != 4) << i;
      EXPECT_EQ(value_of(**journal, "t", fmt::format("{}/{}", large, i)) != "(none)", i != 4) << i;
    }
    EXPECT_EQ(results[4].error().code, Code::unavailable);
  }
}

TEST_F(JournalFaultTest, AFaultOfTheDiskStopsTheJournalUntilARestart) {
  std::vector<std::string> faults;  // the writer thread fills it before it posts the result of the commit
  auto journal = open([&](const Error& fault) { faults.push_back(fault.message); });
  ASSERT_TRUE(journal);
  ASSERT_TRUE(loop_.run((*journal)->commit(changes(put("t", "before", "v")))));
  fault_errno = EIO;
  const Status broken = loop_.run((*journal)->commit(changes(put("t", "during", "v"))));
  ASSERT_FALSE(broken);
  EXPECT_EQ(broken.error().code, Code::unavailable);
  EXPECT_THAT(faults, ElementsAre(HasSubstr("restart the node")));
  fault_errno = 0;
  const Status still = loop_.run((*journal)->commit(changes(put("t", "after", "v"))));
  ASSERT_FALSE(still);
  EXPECT_THAT(still.error().message, HasSubstr("restart the node"));
  EXPECT_EQ(faults.size(), 1u) << "told once";
  EXPECT_EQ(value_of(**journal, "t", "before"), "v") << "reading goes on";
  journal->reset();
  journal = open();
  ASSERT_TRUE(journal) << journal.error().message;
  EXPECT_EQ(value_of(**journal, "t", "before"), "v");
  EXPECT_TRUE(loop_.run((*journal)->commit(changes(put("t", "after", "v")))));
}

TEST_F(JournalFaultTest, AReadOnlyFileIsRefusedAtOpen) {
  make_journal();
  fault_opens_for_write = true;
  const auto journal = open();
  ASSERT_FALSE(journal);
  EXPECT_EQ(journal.error().code, Code::unavailable);
  EXPECT_THAT(journal.error().message, HasSubstr(file_.string()));
}

}  // namespace
}  // namespace witan::store
