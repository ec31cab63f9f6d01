// The journal of a node in one SQLite file (WAL mode, synchronous=FULL): implements runtime::Journal.
//
//   loop thread   commit() -> bounded queue            get(), for_each(): an own read connection, never waits for a sync
//   writer thread takes everything queued -> one transaction -> one sync -> Loop::post(results)
//
// A commit is acknowledged after the sync. When one of a transaction fails (put_new on an existing key), all are written again with
// a savepoint each, and that one is rolled back to its own. Commits take effect in the order in which they were
// awaited.
//
// On disk: `<file>` (mode 0600) with SQLite's `-wal` and `-shm` beside it, and `<file>.lock`, which one process holds
// exclusively while the journal is open. SQL tables, for `sqlite3 <file>`:
//
//   record(table_name TEXT, key BLOB, value BLOB, crc32c INTEGER)           -- store/journal/record_check.h
//   <name>(number INTEGER PRIMARY KEY, value BLOB, crc32c INTEGER)          -- one for each of JournalOptions::numbered
//
// Small records that stay are in one tree by (table_name, key). What comes and goes in order has a tree for each table: it is written
// at the end of the tree and erased at its beginning, and a value of up to a page lies in one piece.
//
// application_id is 'WTNJ' (0x57544e4a), user_version the version of this layout.
#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "runtime/journal.h"

namespace witan::runtime {
class Loop;
}

namespace witan::store {

struct JournalOptions {
  std::filesystem::path file;
  enum class IfMissing {
    create,  // first start of a node
    refuse,  // not_found: the caller knows that a journal was there (a vault with keys, for example)
  } if_missing = IfMissing::create;

  /// Tables ([a-z_]{1,32}, not "record") whose keys are all runtime::number_key(). They are part of the layout: a file has them from
  /// its creation on, so another list needs another kLayoutVersion.
  std::vector<std::string> numbered = {};

  std::size_t max_queued_commits = 16384;
  std::size_t max_queued_bytes = std::size_t{256} << 20;  // keys and values waiting for the writer
  std::size_t max_group_commits = 1024;                   // commits that share one transaction
  std::size_t max_group_bytes = std::size_t{32} << 20;    // a single larger commit is a group of its own

  /// Called once, by the writer thread, when a fault of the disk has stopped the journal: only a restart helps.
  std::function<void(const Error&)> on_fault = [](const Error&) {};
};

/// Commits that wait for the writer.
struct JournalQueue {
  std::size_t commits = 0, bytes = 0;
};

class SqliteJournal final : public runtime::Journal {
 public:
  static constexpr std::int32_t kApplicationId = 0x57544e4a;
  static constexpr std::int32_t kLayoutVersion = 4;

  /// Opens or creates the journal, takes its lock, and reads everything once: SQLite's quick_check, the check value of
  /// every record, and the log (`-wal`) for damage before its last synced transaction. Blocks; called before the loop runs.
  ///
  /// Errors, each naming the file: unavailable (another process holds it: its process id is told; cannot be created, read
  /// or written), failed_precondition (not a journal of ours, or of a newer layout), data_loss (damaged, or a table
  /// is missing or not as it should be; says how to recover; nothing is changed), not_found (IfMissing::refuse).
  static Result<std::unique_ptr<SqliteJournal>> open(JournalOptions options, runtime::Loop& loop);

  /// Writes what is queued, then closes. Waiting tasks whose commit was written are still resumed, if the loop runs on.
  ~SqliteJournal() override;

  /// Called on the loop thread. A task destroyed while it waits does not take its commit back. Errors: already_exists
  /// (a put_new key is there; nothing was changed), invalid_argument (limits of runtime::Change; a key of a numbered
  /// table that is no number), resource_exhausted
  /// (queue full; nothing was changed), unavailable (disk full, or a fault of the disk). After a fault of the disk (not
  /// after "disk full") the journal accepts nothing any more until the process is restarted: what a failed sync left
  /// behind is known only then, so the commits it concerned may be found applied after the restart.
  runtime::Task<Status> commit(std::vector<runtime::Change> changes) override;

  /// data_loss if the record fails its check. Any thread may read; readers take turns.
  Result<std::optional<Bytes>> get(const std::string& table, ByteView key) const override;
  /// Sees one state: commits that happen meanwhile, also by the visitor's own tasks, are not visited.
  Status for_each(const std::string& table,
                  const std::function<bool(ByteView key, ByteView value)>& visitor) const override;

  /// Any thread.
  JournalQueue queue() const;

 private:
  class Impl;
  explicit SqliteJournal(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace witan::store
