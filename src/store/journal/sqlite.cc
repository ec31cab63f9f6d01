#include "store/journal/sqlite.h"

#include <sqlite3.h>

#include <cstring>

namespace witan::store {
namespace {

static_assert(kRow == SQLITE_ROW && kDone == SQLITE_DONE);
/// How long a write waits for an operator who writes with the sqlite3 shell.
constexpr int kBusyTimeoutMs = 10000;

Code code_of(int extended) {
  switch (extended & 0xff) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_FORMAT:
      return Code::data_loss;
    case SQLITE_FULL:
    case SQLITE_IOERR:
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_AUTH:
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL:
    case SQLITE_NOMEM:
      return Code::unavailable;
    default:
      return Code::internal;
  }
}

}  // namespace

void Database::Close::operator()(sqlite3* db) const {
  sqlite3_close_v2(db);
}
void Statement::Finalize::operator()(sqlite3_stmt* statement) const {
  sqlite3_finalize(statement);
}

Result<Database> Database::open(const std::filesystem::path& file) {
  Database out;
  sqlite3* db = nullptr;
  // No lock at each call: a connection belongs to one thread, or to who holds a lock of ours.
  constexpr int kFlags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_PRIVATECACHE | SQLITE_OPEN_NOMUTEX;
  const int code = sqlite3_open_v2(file.c_str(), &db, kFlags, nullptr);
  out.db_.reset(db);
  if (code != SQLITE_OK) return out.failure(code);
  sqlite3_extended_result_codes(db, 1);
  sqlite3_busy_timeout(db, kBusyTimeoutMs);
  return out;
}

std::unexpected<Error> Database::failure(int code) const {
  const int system_error = db_ ? sqlite3_system_errno(db_.get()) : 0;
  std::string text = sqlite3_errstr(code);
  if (db_ && sqlite3_extended_errcode(db_.get()) == code) text = sqlite3_errmsg(db_.get());
  if (code_of(code) == Code::unavailable && system_error != 0)
    text += fmt::format(" ({})", std::strerror(system_error));  // NOLINT(concurrency-mt-unsafe): glibc's is safe enough
  return fail(code_of(code), "SQLite error {}: {}", code, text);
}

Result<Statement> Database::prepare(const char* sql) {
  sqlite3_stmt* statement = nullptr;
  const int code = sqlite3_prepare_v3(db_.get(), sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
  if (code != SQLITE_OK) return failure(code);
  return Statement(statement);
}

Status Database::execute(const char* sql) {
  WITAN_ASSIGN(Statement statement, prepare(sql));
  int code = kRow;
  while (code == kRow) code = statement.step();
  if (code != kDone) return failure(code);
  return {};
}

Result<std::string> Database::text(const char* sql) {
  WITAN_ASSIGN(Statement statement, prepare(sql));
  const int code = statement.step();
  if (code == kDone) return std::string();
  if (code != kRow) return failure(code);
  return std::string(statement.column_text(0));
}

Status Database::checkpoint(bool and_truncate) {
  const int mode = and_truncate ? SQLITE_CHECKPOINT_TRUNCATE : SQLITE_CHECKPOINT_PASSIVE;
  const int code = sqlite3_wal_checkpoint_v2(db_.get(), nullptr, mode, nullptr, nullptr);
  if (code != SQLITE_OK && (code & 0xff) != SQLITE_BUSY) return failure(code);
  return {};
}

void Database::leave_log_on_close(bool leave) {
  sqlite3_db_config(db_.get(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, leave ? 1 : 0, nullptr);
}

void Database::report_log_pages(int& pages) {
  const auto store = [](void* to, sqlite3*, const char*, int count) {
    *static_cast<int*>(to) = count;
    return SQLITE_OK;
  };
  sqlite3_wal_hook(db_.get(), store, &pages);
}

bool Database::is_duplicate_key(int code) {
  return code == SQLITE_CONSTRAINT_PRIMARYKEY || code == SQLITE_CONSTRAINT_UNIQUE;
}
bool Database::is_disk_full(int code) {
  return (code & 0xff) == SQLITE_FULL;
}
bool Database::is_busy(int code) {
  return (code & 0xff) == SQLITE_BUSY || (code & 0xff) == SQLITE_LOCKED;
}

bool Database::in_transaction() const {
  return sqlite3_get_autocommit(db_.get()) == 0;
}
bool Database::read_only() const {
  return sqlite3_db_readonly(db_.get(), "main") == 1;
}

void Statement::bind_text(int parameter, std::string_view text) {
  sqlite3_bind_text64(statement_.get(), parameter, text.data(), text.size(), SQLITE_STATIC, SQLITE_UTF8);
}
void Statement::bind_blob(int parameter, ByteView bytes) {
  // A null pointer would bind NULL instead of an empty blob.
  const void* data = bytes.empty() ? static_cast<const void*>("") : bytes.data();
  sqlite3_bind_blob64(statement_.get(), parameter, data, bytes.size(), SQLITE_STATIC);
}
void Statement::bind_int(int parameter, std::int64_t value) {
  sqlite3_bind_int64(statement_.get(), parameter, value);
}

int Statement::step() {
  return sqlite3_step(statement_.get());
}
void Statement::reset() {
  sqlite3_reset(statement_.get());
  sqlite3_clear_bindings(statement_.get());
}

std::string_view Statement::column_text(int column) const {
  const unsigned char* text = sqlite3_column_text(statement_.get(), column);
  if (text == nullptr) return {};
  return {reinterpret_cast<const char*>(text),
          static_cast<std::size_t>(sqlite3_column_bytes(statement_.get(), column))};
}
ByteView Statement::column_blob(int column) const {
  const void* data = sqlite3_column_blob(statement_.get(), column);
  if (data == nullptr) return {};
  return {static_cast<const std::uint8_t*>(data),
          static_cast<std::size_t>(sqlite3_column_bytes(statement_.get(), column))};
}
std::int64_t Statement::column_int(int column) const {
  return sqlite3_column_int64(statement_.get(), column);
}

}  // namespace witan::store
