#include "store/journal/journal_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string_view>
#include <system_error>

#include "base/log.h"
#include "store/journal/record_check.h"

namespace witan::store {
namespace {

namespace fs = std::filesystem;

constexpr mode_t kFileMode = 0600;
constexpr int kPageBytes = 4096;

std::string system_text(int error) {
  return std::generic_category().message(error);
}

fs::path beside(const fs::path& file, const char* suffix) {
  fs::path out = file;
  out += suffix;
  return out;
}

/// What an operator must know before restoring anything.
constexpr std::string_view kForgotten =
    "(an older copy, a snapshot of the machine) a node has forgotten sessions and attempts that it has used, and gives "
    "its shares away: it must leave the committee then, or all parties make a new epoch and new keys "
    "(docs/deployment.md)";

/// An error of this file, with what an operator can do about it.
Error about(const fs::path& file, Error error) {
  if (error.code == Code::data_loss)
    error.message += fmt::format(
        ". Nothing was changed. Stop the node and restore {0} (with {0}-wal, if there is one) from a copy of the state "
        "of its last stop, or salvage what is readable with: sqlite3 {0} .dump | sqlite3 NEW && sqlite3 NEW 'PRAGMA "
        "application_id = {1}; PRAGMA user_version = {2}; PRAGMA journal_mode = wal'. Without all of its records {3}",
        file.native(), SqliteJournal::kApplicationId, SqliteJournal::kLayoutVersion, kForgotten);
  return std::move(error).within(fmt::format("journal {}", file.native()));
}

Status sync_folder_of(const fs::path& file) {
  const fs::path folder = file.has_parent_path() ? file.parent_path() : fs::path(".");
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return fail(Code::unavailable, "cannot open the folder: {}", system_text(errno));
  const int failed = ::fsync(fd) != 0 ? errno : 0;
  ::close(fd);
  if (failed != 0) return fail(Code::unavailable, "cannot sync the folder: {}", system_text(failed));
  return {};
}

/// The text of the statement that makes a table, as SQLite keeps it.
struct Table {
  std::string name, made_by;
};

/// All tables of a journal, from its first moment on.
std::vector<Table> tables_of(const JournalOptions& options) {
  std::vector<Table> out{{"record",
                          "CREATE TABLE record(table_name TEXT NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL,"
                          " crc32c INTEGER NOT NULL, PRIMARY KEY(table_name, key)) STRICT, WITHOUT ROWID"}};
  for (const std::string& name : options.numbered)
    out.push_back({name, fmt::format(R"(CREATE TABLE "{}"(number INTEGER PRIMARY KEY, value BLOB NOT NULL,)"
                                     " crc32c INTEGER NOT NULL) STRICT",
                                     name)});
  return out;
}

Status initialise(const fs::path& file, const JournalOptions& options) {
  WITAN_ASSIGN(Database db, Database::open(file));
  WITAN_TRY(db.execute(fmt::format("PRAGMA page_size = {}", kPageBytes).c_str()));
  WITAN_TRY(db.execute(fmt::format("PRAGMA application_id = {}", SqliteJournal::kApplicationId).c_str()));
  WITAN_TRY(db.execute(fmt::format("PRAGMA user_version = {}", SqliteJournal::kLayoutVersion).c_str()));
  for (const Table& table : tables_of(options)) WITAN_TRY(db.execute(table.made_by.c_str()));
  WITAN_ASSIGN(const std::string mode, db.text("PRAGMA journal_mode = WAL"));
  if (mode != "wal")
    return fail(Code::unavailable, "its file system does not allow SQLite's WAL mode (network share?)");
  return {};
}

/// Makes the complete empty journal under another name first: a file of the final name is never half made, so an empty
/// or short one is a damaged one.
Status create(const JournalOptions& options) {
  const fs::path &file = options.file, draft = beside(file, ".new");
  for (const char* suffix : {"", "-wal", "-shm", "-journal"}) ::unlink(beside(draft, suffix).c_str());
  const int fd = ::open(draft.c_str(), O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, kFileMode);
  if (fd < 0) return fail(Code::unavailable, "cannot be created: {}", system_text(errno));
  ::close(fd);
  WITAN_TRY(initialise(draft, options));
  if (::rename(draft.c_str(), file.c_str()) != 0)
    return fail(Code::unavailable, "cannot be created: {}", system_text(errno));
  return sync_folder_of(file);
}

Status create_if_allowed(const JournalOptions& options) {
  struct stat log{};
  if (::stat(beside(options.file, "-wal").c_str(), &log) == 0 && log.st_size > 0)
    return fail(Code::data_loss, "the file is gone, but its log (-wal) is there");
  if (options.if_missing == JournalOptions::IfMissing::refuse)
    return fail(
        Code::not_found,
        "there is no such file; this node had one. Restore it from a copy of the state of the node's last stop. "
        "Without all of its records {}",
        kForgotten);
  return create(options);
}

Status find_or_create(const JournalOptions& options) {
  struct stat info{};
  if (::stat(options.file.c_str(), &info) != 0) {
    if (errno != ENOENT) return fail(Code::unavailable, "cannot be read: {}", system_text(errno));
    return create_if_allowed(options);
  }
  if (!S_ISREG(info.st_mode)) return fail(Code::failed_precondition, "it is not a regular file");
  if (info.st_size < kPageBytes)
    return fail(Code::data_loss, "it has {} bytes, less than the smallest journal", info.st_size);
  // A crash may tear the last page while the log is moved into the file; then the log still has it.
  std::error_code no_log;
  const auto log_bytes = std::filesystem::file_size(options.file.native() + "-wal", no_log);
  if (info.st_size % kPageBytes != 0 && (no_log || log_bytes == 0))
    return fail(Code::data_loss, "it has {} bytes, which is no whole number of pages: it was cut", info.st_size);
  if ((info.st_mode & 077) != 0) {
    log::warn("journal {} was open to other users (mode {:o}); narrowed to 600", options.file.native(),
              info.st_mode & 0777);
    if (::chmod(options.file.c_str(), kFileMode) != 0)
      return fail(Code::unavailable, "its mode cannot be set to 600: {}", system_text(errno));
  }
  return {};
}

Status check_identity(Database& db) {
  WITAN_ASSIGN(const std::string application, db.text("PRAGMA application_id"));
  if (application != std::to_string(SqliteJournal::kApplicationId))
    return fail(Code::failed_precondition, "it is a database of another program (application_id {}, expected {})",
                application, SqliteJournal::kApplicationId);
  WITAN_ASSIGN(const std::string version, db.text("PRAGMA user_version"));
  if (version != std::to_string(SqliteJournal::kLayoutVersion))
    return fail(Code::failed_precondition, "its layout is version {}, this program knows version {}", version,
                SqliteJournal::kLayoutVersion);
  return {};
}

Status damaged_record(std::string_view table, ByteView key) {
  return fail(Code::data_loss, "record {} of table '{}' is damaged", to_hex(key), table);
}

Status check_numbered(Database& db, const std::string& table) {
  WITAN_ASSIGN(Statement rows, db.prepare(fmt::format(R"(SELECT number, value, crc32c FROM "{}")", table).c_str()));
  int code = 0;
  while ((code = rows.step()) == kRow) {
    const Bytes key = runtime::number_key(static_cast<std::uint64_t>(rows.column_int(0)));
    if (!runtime::number_of(key) || record_check(table, key, rows.column_blob(1)) != rows.column_int(2))
      return damaged_record(table, key);
  }
  if (code != kDone) return db.failure(code);
  return {};
}

/// A journal of this layout has had all its tables from its first moment on: one that is missing was lost, with what was in it.
Status check_schema(Database& db, const JournalOptions& options) {
  for (const auto& [name, made_by] : tables_of(options)) {
    auto row = db.prepare("SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = ?1");
    if (!row) return fail(Code::data_loss, "its list of tables cannot be read: {}", row.error().message);
    row->bind_text(1, name);
    const int code = row->step();
    if (code == kDone) return fail(Code::data_loss, "its table '{}' is missing", name);
    if (code != kRow) return db.failure(code);
    if (row->column_text(0) != made_by)
      return fail(Code::data_loss, "its table '{}' is not as it should be: {}; expected {}", name, row->column_text(0),
                  made_by);
  }
  return {};
}

Status check_content(Database& db, const JournalOptions& options) {
  WITAN_ASSIGN(const std::string verdict, db.text("PRAGMA quick_check(1)"));
  if (verdict != "ok") return fail(Code::data_loss, "it is damaged: {}", verdict);
  WITAN_TRY(check_schema(db, options));
  for (const std::string& table : options.numbered) WITAN_TRY(check_numbered(db, table));
  WITAN_ASSIGN(Statement rows, db.prepare("SELECT table_name, key, value, crc32c FROM record"));
  int code = 0;
  while ((code = rows.step()) == kRow) {
    const auto table = rows.column_text(0);
    const ByteView key = rows.column_blob(1);
    if (record_check(table, key, rows.column_blob(2)) != rows.column_int(3)) return damaged_record(table, key);
  }
  if (code != kDone) return db.failure(code);
  return {};
}

/// Connection with the settings that durability and secrecy ask for.
Result<Database> connect(const fs::path& file) {
  WITAN_ASSIGN(Database db, Database::open(file));
  db.leave_log_on_close(true);  // a file that turns out to be damaged is left alone
  for (const char* sql :
       {"PRAGMA synchronous = FULL",      // a commit is synced before it is acknowledged
        "PRAGMA wal_autocheckpoint = 0",  // the writer does it, after acknowledging
        "PRAGMA journal_size_limit = 67108864", "PRAGMA secure_delete = ON",  // erased means zeroed
        "PRAGMA cache_size = -32768",  // KiB: the pages that new records of some hours go to
        "PRAGMA temp_store = MEMORY",  // nothing outside of these files, and no folder for it is needed
        "PRAGMA trusted_schema = OFF", "PRAGMA cell_size_check = ON", "PRAGMA mmap_size = 0"})
    WITAN_TRY(db.execute(sql));
  return db;
}

Result<JournalFile> examine(const JournalOptions& options, FileLock lock) {
  if (Status log_state = check_wal(beside(options.file, "-wal")); !log_state)
    return fail(std::move(log_state).error().within("its log (-wal)"));
  WITAN_ASSIGN(Database writer, connect(options.file));
  WITAN_TRY(check_identity(writer));
  WITAN_TRY(check_content(writer, options));
  WITAN_ASSIGN(const std::string mode, writer.text("PRAGMA journal_mode"));
  if (mode != "wal") return fail(Code::failed_precondition, "its journal mode is '{}', not 'wal'", mode);
  if (writer.read_only())
    return fail(Code::unavailable, "it cannot be written (file, folder or file system is read-only)");

  WITAN_ASSIGN(Database reader, connect(options.file));
  WITAN_TRY(reader.execute("PRAGMA query_only = ON"));
  writer.leave_log_on_close(false);
  return JournalFile{std::move(lock), std::move(writer), std::move(reader)};
}

}  // namespace

Result<FileLock> FileLock::take(const fs::path& journal_file) {
  const fs::path path = beside(journal_file, ".lock");
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, kFileMode);
  if (fd < 0) return fail(Code::unavailable, "cannot create {}: {}", path.native(), system_text(errno));
  FileLock lock(fd);
  char owner[32] = {};
  if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return fail(Code::unavailable, "cannot lock {}: {}", path.native(), system_text(errno));
    const auto length = ::pread(fd, owner, sizeof owner - 1, 0);
    return fail(Code::unavailable, "it is in use by another node (process {}); two nodes must not share a journal",
                length > 0 ? owner : "unknown");
  }
  const std::string pid = std::to_string(::getpid());
  if (::ftruncate(fd, 0) != 0 || ::pwrite(fd, pid.data(), pid.size(), 0) != static_cast<ssize_t>(pid.size()))
    return fail(Code::unavailable, "cannot write {}: {}", path.native(), system_text(errno));
  return lock;
}

FileLock::~FileLock() {
  if (fd_ >= 0) ::close(fd_);
}

Result<JournalFile> open_journal_file(const JournalOptions& options) {
  const auto opened = [&]() -> Result<JournalFile> {
    WITAN_ASSIGN(FileLock lock, FileLock::take(options.file));
    WITAN_TRY(find_or_create(options));
    return examine(options, std::move(lock));
  };
  auto result = opened();
  if (!result) return fail(about(options.file, std::move(result).error()));
  return result;
}

}  // namespace witan::store
