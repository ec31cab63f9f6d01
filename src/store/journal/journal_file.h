// Finding, creating, locking and examining the file of the journal, before anything is written to it.
#pragma once

#include "store/journal/sqlite.h"
#include "store/journal/sqlite_journal.h"

namespace witan::store {

/// flock(2) on `<file>.lock`, which holds the process id of the owner as text. Released when the process ends, however it
/// ends. The lock file stays behind: removing it would let two processes lock two files of one name.
class FileLock {
 public:
  static Result<FileLock> take(const std::filesystem::path& journal_file);
  FileLock(FileLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FileLock& operator=(FileLock&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~FileLock();

 private:
  explicit FileLock(int fd) : fd_(fd) {}
  int fd_ = -1;
};

struct JournalFile {
  FileLock lock;  // released last
  Database writer;
  Database reader;  // refuses writes
};

/// See SqliteJournal::open.
Result<JournalFile> open_journal_file(const JournalOptions& options);

}  // namespace witan::store
