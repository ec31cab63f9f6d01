// The little of SQLite's C interface that the journal uses. Private to this folder: sqlite3.h is included by its .cc
// files only.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "base/bytes.h"
#include "base/error.h"

struct sqlite3;
struct sqlite3_stmt;

namespace witan::store {

class Statement;

/// Result codes of Statement::step(); errors are extended codes.
enum StepResult : int { kRow = 100, kDone = 101 };

/// One connection. Errors: unavailable (disk, permissions, lock), data_loss (damaged file), internal (our bug).
class Database {
 public:
  static Result<Database> open(const std::filesystem::path& file);

  /// Runs one statement that gives no rows.
  Status execute(const char* sql);
  /// The first column of the first row, as text.
  Result<std::string> text(const char* sql);
  Result<Statement> prepare(const char* sql);

  /// Copies the pages of the log into the file, as far as readers allow; `and_truncate` waits for them and empties the log.
  Status checkpoint(bool and_truncate);
  /// Turns off the checkpoint and the removal of the log that closing the last connection does.
  void leave_log_on_close(bool leave);
  /// From now on every commit stores the number of pages in the log there.
  void report_log_pages(int& pages);

  bool in_transaction() const;
  bool read_only() const;
  /// The Error of the connection's last failed call, whose (extended) result code was `code`.
  std::unexpected<Error> failure(int code) const;

  static bool is_duplicate_key(int code);
  /// The disk refused for want of space; SQLite has undone the statement or the transaction.
  static bool is_disk_full(int code);
  /// Another connection holds the write lock.
  static bool is_busy(int code);

 private:
  struct Close {
    void operator()(sqlite3* db) const;
  };
  std::unique_ptr<sqlite3, Close> db_;
};

/// A prepared statement; parameters are numbered from 1, columns from 0. Must not outlive its Database.
class Statement {
 public:
  Statement() = default;
  explicit Statement(sqlite3_stmt* statement) : statement_(statement) {}

  /// The bytes must live until reset().
  void bind_text(int parameter, std::string_view text);
  void bind_blob(int parameter, ByteView bytes);
  void bind_int(int parameter, std::int64_t value);

  /// kRow, kDone, or an error code.
  int step();
  /// Ends the read transaction of a statement that has not run to its end, and drops the parameters.
  void reset();

  std::string_view column_text(int column) const;
  ByteView column_blob(int column) const;
  std::int64_t column_int(int column) const;

 private:
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const;
  };
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
};

/// Resets a statement at the end of a block.
class ResetAtEnd {
 public:
  explicit ResetAtEnd(Statement& statement) : statement_(statement) {}
  ResetAtEnd(const ResetAtEnd&) = delete;
  ResetAtEnd& operator=(const ResetAtEnd&) = delete;
  ~ResetAtEnd() { statement_.reset(); }

 private:
  Statement& statement_;
};

}  // namespace witan::store
