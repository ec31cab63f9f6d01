#include "store/journal/sqlite_journal.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "base/check.h"
#include "base/log.h"
#include "base/thread_name.h"
#include "runtime/load_rest.h"
#include "runtime/loop.h"
#include "store/journal/journal_file.h"
#include "store/journal/record_check.h"
#include "store/journal/sqlite.h"

namespace witan::store {
namespace {

using runtime::Change;

constexpr std::size_t kMaxTableNameBytes = 32;
constexpr std::size_t kMaxKeyBytes = 256;
constexpr std::size_t kMaxChanges = 65536;
/// Log pages (4 KiB) after which they are copied into the file.
constexpr int kCheckpointPages = 1000;

Status check_table_name(std::string_view table) {
  const auto allowed = [](char c) { return (c >= 'a' && c <= 'z') || c == '_'; };
  if (!table.empty() && table.size() <= kMaxTableNameBytes && std::ranges::all_of(table, allowed)) return {};
  return fail(Code::invalid_argument, "'{}' is no table of the journal: 1 to {} letters a-z or '_'",
              table.substr(0, 64), kMaxTableNameBytes);
}

bool is_numbered(const std::vector<std::string>& numbered, std::string_view table) {
  return std::ranges::find(numbered, table) != numbered.end();
}

Status check_limits(const std::vector<Change>& changes, const std::vector<std::string>& numbered) {
  if (changes.size() > kMaxChanges)
    return fail(Code::invalid_argument, "a commit has {} changes, at most {} are allowed", changes.size(), kMaxChanges);
  std::size_t total = 0;
  for (const Change& change : changes) {
    WITAN_TRY(check_table_name(change.table));
    if (change.key.size() > kMaxKeyBytes)
      return fail(Code::invalid_argument, "a key of table {} has {} bytes, at most {} are allowed", change.table,
                  change.key.size(), kMaxKeyBytes);
    if (is_numbered(numbered, change.table) && !runtime::number_of(change.key))
      return fail(Code::invalid_argument, "the key {} of table {} is no number", to_hex(change.key), change.table);
    if (change.value.size() > runtime::Journal::kMaxRecordBytes)
      return fail(Code::invalid_argument, "a record of table {} has {} bytes, at most {} are allowed", change.table,
                  change.value.size(), runtime::Journal::kMaxRecordBytes);
    total += change.value.size();
  }
  if (total > 2 * runtime::Journal::kMaxRecordBytes)
    return fail(Code::invalid_argument, "a commit has {} bytes of values, at most {} are allowed", total,
                2 * runtime::Journal::kMaxRecordBytes);
  return {};
}

std::size_t size_of(const std::vector<Change>& changes) {
  std::size_t total = 0;
  for (const Change& change : changes) total += change.table.size() + change.key.size() + change.value.size();
  return total;
}

/// One commit on its way. The writer thread owns it until it posts it back; `waiter` belongs to the loop thread.
struct Ticket {
  std::vector<Change> changes;
  std::size_t size_bytes = 0;
  runtime::Instant queued_at{};
  Status result;
  bool finished = false;
  runtime::Runnable* waiter = nullptr;
};
using TicketPtr = std::shared_ptr<Ticket>;
using Group = std::vector<TicketPtr>;

class Waiter final : public runtime::Runnable {
 public:
  explicit Waiter(TicketPtr ticket) : ticket_(std::move(ticket)) {}
  ~Waiter() { ticket_->waiter = nullptr; }
  bool await_ready() const noexcept { return ticket_->finished; }
  void await_suspend(std::coroutine_handle<> handle) noexcept {
    handle_ = handle;
    ticket_->waiter = this;
  }
  Status await_resume() { return std::move(ticket_->result); }

 private:
  void run() override { handle_.resume(); }
  TicketPtr ticket_;
  std::coroutine_handle<> handle_;
};

/// What the writer thread does to the database. Knows no queue and no loop.
class GroupWriter {
 public:
  static Result<GroupWriter> make(Database database, const JournalOptions& options) {
    GroupWriter writer(std::move(database), options.on_fault);
    WITAN_ASSIGN(writer.others_,
                 writer.prepare_tree("INSERT INTO record(table_name, key, value, crc32c) VALUES(?1, ?2, ?3, ?4)",
                                     "DELETE FROM record WHERE table_name = ?1 AND key = ?2"));
    for (const std::string& table : options.numbered) {
      WITAN_ASSIGN(Tree tree, writer.prepare_tree(
                                  fmt::format(R"(INSERT INTO "{}"(number, value, crc32c) VALUES(?1, ?2, ?3))", table),
                                  fmt::format(R"(DELETE FROM "{}" WHERE number = ?1)", table)));
      tree.table = table;
      writer.numbered_.push_back(std::move(tree));
    }
    WITAN_ASSIGN(writer.begin_, writer.db_.prepare("BEGIN IMMEDIATE"));
    WITAN_ASSIGN(writer.commit_, writer.db_.prepare("COMMIT"));
    WITAN_ASSIGN(writer.rollback_, writer.db_.prepare("ROLLBACK"));
    WITAN_ASSIGN(writer.savepoint_, writer.db_.prepare("SAVEPOINT one_commit"));
    WITAN_ASSIGN(writer.release_, writer.db_.prepare("RELEASE one_commit"));
    WITAN_ASSIGN(writer.undo_, writer.db_.prepare("ROLLBACK TO one_commit"));
    return writer;
  }

  /// Sets the result of every ticket.
  void write(Group& group) {
    if (broken_ || !run(begin_)) return fail_all(group);
    if (write_and_commit(group, Commits::as_one)) return;
    // One of them fails, which is rare. SQLite copies each page that it changes after a savepoint, so they come only now.
    if (!broken_ && run(begin_) && write_and_commit(group, Commits::each_on_its_own)) return;
    // The transaction as a whole failed (one commit filled the disk). Alone, each gets the answer that is its own.
    for (TicketPtr& ticket : group) {
      Group alone{ticket};
      if (broken_ || !run(begin_) || !write_and_commit(alone, Commits::each_on_its_own)) fail_all(alone);
    }
  }

  void checkpoint_if_due() {
    if (broken_ || log_pages_ < kCheckpointPages) return;
    if (Status done = db_.checkpoint(false); !done) {
      log::error("journal: moving the log into the file failed, will be tried again: {}", done.error().message);
      return;
    }
    log_pages_ = 0;
  }
  void close() {
    if (broken_) {
      db_.leave_log_on_close(true);
    } else if (Status done = db_.checkpoint(true); !done) {
      log::error("journal: moving the log into the file failed at the end: {}", done.error().message);
    }
  }
  void watch_log() { db_.report_log_pages(log_pages_); }  // keeps a pointer: call it at the final address

 private:
  GroupWriter(Database database, std::function<void(const Error&)> on_fault)
      : db_(std::move(database)), on_fault_(std::move(on_fault)) {}

  /// Statements on one SQL table.
  struct Tree {
    std::string table;  // a numbered one; empty for all others
    Statement put_new, put, erase;

    Statement& of(Change::Kind kind) {
      switch (kind) {
        case Change::Kind::put:
          return put;
        case Change::Kind::put_new:
          return put_new;
        case Change::Kind::erase:
          return erase;
      }
      WITAN_CHECK(false);
      return put;
    }
  };

  Result<Tree> prepare_tree(const std::string& insert, const std::string& erase) {
    Tree out;
    WITAN_ASSIGN(out.put_new, db_.prepare(insert.c_str()));
    const std::string replace = " ON CONFLICT DO UPDATE SET value = excluded.value, crc32c = excluded.crc32c";
    WITAN_ASSIGN(out.put, db_.prepare((insert + replace).c_str()));
    WITAN_ASSIGN(out.erase, db_.prepare(erase.c_str()));
    return out;
  }

  Tree& tree_of(std::string_view table) {
    const auto found = std::ranges::find(numbered_, table, &Tree::table);
    return found == numbered_.end() ? others_ : *found;
  }

  void fail_all(Group& group) {
    for (TicketPtr& ticket : group) ticket->result = fail(broken_ ? *broken_ : transaction_error_);
  }

  enum class Commits : std::uint8_t { as_one, each_on_its_own };

  /// Ends the transaction that was begun. False: nothing of it is in the database (transaction_error_ or broken_ says why). As
  /// one, they are all in it or none.
  bool write_and_commit(Group& group, Commits commits) {
    for (TicketPtr& ticket : group) {
      ticket->result = commits == Commits::as_one ? apply_all(ticket->changes) : write_one(ticket->changes);
      if (broken_ || !db_.in_transaction()) return give_up();  // SQLite gave the whole transaction up, e.g. disk full
      if (!ticket->result && commits == Commits::as_one) return give_up();
    }
    return run(commit_) || give_up();
  }

  bool give_up() {
    if (db_.in_transaction() && !run(rollback_) && !broken_) stop(transaction_error_);
    return false;
  }

  Status write_one(const std::vector<Change>& changes) {
    const bool several = changes.size() > 1;  // a single statement is undone by SQLite itself
    if (several && !run(savepoint_)) return fail(transaction_error_);
    Status result = apply_all(changes);
    if (several && db_.in_transaction()) {
      if (!result && !run(undo_)) return fail(transaction_error_);
      if (!run(release_)) return fail(transaction_error_);
    }
    return result;
  }

  Status apply_all(const std::vector<Change>& changes) {
    for (const Change& change : changes) WITAN_TRY(apply(change));
    return {};
  }

  Status apply(const Change& change) {
    Tree& tree = tree_of(change.table);
    Statement& statement = tree.of(change.kind);
    const ResetAtEnd reset(statement);
    int parameter = 1;
    if (tree.table.empty()) {
      statement.bind_text(parameter++, change.table);
      statement.bind_blob(parameter++, change.key);
    } else {
      statement.bind_int(parameter++, static_cast<std::int64_t>(runtime::number_of(change.key).value()));
    }
    if (change.kind != Change::Kind::erase) {
      statement.bind_blob(parameter++, change.value);
      statement.bind_int(parameter, record_check(change.table, change.key, change.value));
    }
    const int code = statement.step();
    if (code == kDone) return {};
    if (Database::is_duplicate_key(code))
      return fail(Code::already_exists, "{} {} is in the journal already", change.table, to_hex(change.key));
    return fail(note_failure(code));
  }

  bool run(Statement& statement) {
    const ResetAtEnd reset(statement);
    const int code = statement.step();
    if (code == kDone) return true;
    transaction_error_ = note_failure(code);
    return false;
  }

  /// After "disk full" or "busy" the file is as it was. After anything else what is on the disk is known only to a fresh
  /// start, so nothing more is written. (After a failed sync a later one may succeed without the data being there.)
  Error note_failure(int code) {
    Error error = db_.failure(code).error();
    if (Database::is_disk_full(code)) return Error{Code::unavailable, "the disk is full: " + error.message};
    if (Database::is_busy(code))
      return Error{Code::unavailable, "another program holds the journal's write lock: " + error.message};
    if (!broken_) {
      log::error("journal: stopped after a fault: {}", error.message);
      stop({error.code, "the journal stopped after a fault of the disk, restart the node: " + error.message});
    }
    return *broken_;
  }

  void stop(Error error) {
    broken_ = std::move(error);
    on_fault_(*broken_);
  }

  Database db_;
  std::function<void(const Error&)> on_fault_;
  Tree others_;
  std::vector<Tree> numbered_;
  Statement begin_, commit_, rollback_, savepoint_, release_, undo_;
  Error transaction_error_{Code::internal, ""};
  std::optional<Error> broken_;
  int log_pages_ = 0;
};

}  // namespace

class SqliteJournal::Impl {
 public:
  Impl(JournalOptions options, runtime::Loop& loop, FileLock lock, GroupWriter writer, Database reader)
      : options_(std::move(options)),
        loop_(loop),
        lock_(std::move(lock)),
        writer_(std::move(writer)),
        reader_(std::move(reader)),
        wake_(loop, [this] { queue_filled_.notify_one(); }) {
    writer_.watch_log();
    thread_ = std::thread([this] {
      name_this_thread("journal");
      write_groups();
    });
  }

  ~Impl() {
    {
      const std::lock_guard lock(queue_mutex_);
      closing_ = true;
    }
    queue_filled_.notify_one();
    thread_.join();
    writer_.close();
  }

  JournalQueue queue() const {
    const std::lock_guard lock(queue_mutex_);
    return {queue_.size(), queued_bytes_};
  }

  Result<TicketPtr> enqueue(std::vector<Change> changes) {
    WITAN_TRY(check_limits(changes, options_.numbered));
    auto ticket = std::make_shared<Ticket>();
    ticket->size_bytes = size_of(changes);
    ticket->changes = std::move(changes);
    ticket->queued_at = loop_.now();
    {
      const std::lock_guard lock(queue_mutex_);
      if (queue_.size() >= options_.max_queued_commits ||
          queued_bytes_ + ticket->size_bytes > options_.max_queued_bytes)
        return fail(Code::resource_exhausted, "{} commits with {} bytes wait for the disk; the limits are {} and {}",
                    queue_.size(), queued_bytes_, options_.max_queued_commits, options_.max_queued_bytes);
      queued_bytes_ += ticket->size_bytes;
      queue_.push_back(ticket);
    }
    wake_.request();
    return ticket;
  }

  Status prepare_reading() {
    WITAN_ASSIGN(others_, prepare_reads("FROM record WHERE table_name = ?1 AND key = ?2"));
    for (const std::string& table : options_.numbered) {
      WITAN_ASSIGN(numbered_.emplace_back(), prepare_reads(fmt::format(R"(FROM "{}" WHERE number = ?1)", table)));
    }
    return {};
  }

  Result<std::optional<Bytes>> get(const std::string& table, ByteView key) {
    WITAN_TRY(check_table_name(table));
    const auto index = numbered_index(table);
    const auto number = runtime::number_of(key);
    if (index && !number) return std::nullopt;
    const std::lock_guard lock(reader_mutex_);
    Statement& statement = index ? numbered_[*index] : others_;
    const ResetAtEnd reset(statement);
    if (index) {
      statement.bind_int(1, static_cast<std::int64_t>(*number));
    } else {
      statement.bind_text(1, table);
      statement.bind_blob(2, key);
    }
    const int code = statement.step();
    if (code == kDone) return std::nullopt;
    if (code != kRow) return fail(reader_.failure(code).error().within(name()));
    const ByteView value = statement.column_blob(0);
    WITAN_TRY(check_record(table, key, value, statement.column_int(1)));
    return Bytes(value.begin(), value.end());
  }

  Status for_each(const std::string& table, const std::function<bool(ByteView, ByteView)>& visitor) {
    WITAN_TRY(check_table_name(table));
    const bool numbered = is_numbered(options_.numbered, table);
    const std::string query = numbered ? fmt::format(R"(SELECT number, value, crc32c FROM "{}" ORDER BY number)", table)
                                       : "SELECT key, value, crc32c FROM record WHERE table_name = ?1 ORDER BY key";
    const std::lock_guard lock(reader_mutex_);
    WITAN_ASSIGN(Statement rows, reader_.prepare(query.c_str()));
    if (!numbered) rows.bind_text(1, table);
    int code = 0;
    while ((code = rows.step()) == kRow) {
      const Bytes number = numbered ? runtime::number_key(static_cast<std::uint64_t>(rows.column_int(0))) : Bytes();
      const ByteView key = numbered ? ByteView(number) : rows.column_blob(0);
      const ByteView value = rows.column_blob(1);
      WITAN_TRY(check_record(table, key, value, rows.column_int(2)));
      if (!visitor(key, value)) return {};
    }
    if (code != kDone) return fail(reader_.failure(code).error().within(name()));
    return {};
  }

 private:
  std::string name() const { return fmt::format("journal {}", options_.file.native()); }

  Result<Statement> prepare_reads(const std::string& from) {
    return reader_.prepare(("SELECT value, crc32c " + from).c_str());
  }
  std::optional<std::size_t> numbered_index(std::string_view table) const {
    const auto found = std::ranges::find(options_.numbered, table);
    if (found == options_.numbered.end()) return std::nullopt;
    return static_cast<std::size_t>(found - options_.numbered.begin());
  }

  Status check_record(std::string_view table, ByteView key, ByteView value, std::int64_t stored) const {
    if (record_check(table, key, value) == stored) return {};
    return fail(Code::data_loss, "{}: record {} of table '{}' is damaged", name(), to_hex(key), table);
  }

  void write_groups() {
    while (true) {
      Group group = next_group();
      if (group.empty()) return;
      writer_.write(group);
      for (TicketPtr& ticket : group) ticket->changes = {};
      loop_.post([&loop = loop_, group = std::move(group)] {
        for (const TicketPtr& ticket : group) {
          ticket->finished = true;
          if (ticket->waiter != nullptr) loop.make_ready(*ticket->waiter);
        }
      });
      writer_.checkpoint_if_due();
      rest();
    }
  }

  void rest() {
    const runtime::Duration planned = load_.rest();
    if (planned <= runtime::Duration{}) return;
    const runtime::Instant begun = loop_.now();
    std::this_thread::sleep_for(planned);
    load_.note_delay(loop_.now() - begun - planned);
  }

  /// Waits for commits; empty only when the journal closes and all are written.
  Group next_group() {
    std::unique_lock lock(queue_mutex_);
    const bool at_once = !queue_.empty();
    queue_filled_.wait(lock, [&] { return closing_ || !queue_.empty(); });
    if (!at_once && !queue_.empty()) load_.note_delay(loop_.now() - queue_.front()->queued_at);
    Group group;
    std::size_t group_bytes = 0;
    while (!queue_.empty() && group.size() < options_.max_group_commits) {
      group_bytes += queue_.front()->size_bytes;
      if (!group.empty() && group_bytes > options_.max_group_bytes) break;
      queued_bytes_ -= queue_.front()->size_bytes;
      group.push_back(std::move(queue_.front()));
      queue_.pop_front();
    }
    return group;
  }

  const JournalOptions options_;
  runtime::Loop& loop_;
  FileLock lock_;
  GroupWriter writer_;  // writer thread only

  std::recursive_mutex reader_mutex_;  // a visitor of for_each may call get
  Database reader_;
  Statement others_;                 // value and check by table and key
  std::vector<Statement> numbered_;  // by number, as options_.numbered

  mutable std::mutex queue_mutex_;
  std::condition_variable queue_filled_;
  std::deque<TicketPtr> queue_;
  std::size_t queued_bytes_ = 0;
  bool closing_ = false;
  runtime::Afterwards wake_;

  runtime::LoadRest load_;  // writer thread only
  std::thread thread_;
};

SqliteJournal::SqliteJournal(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
SqliteJournal::~SqliteJournal() = default;

Result<std::unique_ptr<SqliteJournal>> SqliteJournal::open(JournalOptions options, runtime::Loop& loop) {
  for (const std::string& table : options.numbered) {
    WITAN_TRY(check_table_name(table));
    if (table == "record") return fail(Code::invalid_argument, "no table of the journal can be called record");
  }
  WITAN_ASSIGN(JournalFile file, open_journal_file(options));
  WITAN_ASSIGN(GroupWriter writer, GroupWriter::make(std::move(file.writer), options));
  auto impl =
      std::make_unique<Impl>(std::move(options), loop, std::move(file.lock), std::move(writer), std::move(file.reader));
  WITAN_TRY(impl->prepare_reading());
  return std::unique_ptr<SqliteJournal>(new SqliteJournal(std::move(impl)));
}

runtime::Task<Status> SqliteJournal::commit(std::vector<Change> changes) {
  auto ticket = impl_->enqueue(std::move(changes));
  if (!ticket) co_return fail(std::move(ticket).error());
  co_return co_await Waiter(*std::move(ticket));
}

JournalQueue SqliteJournal::queue() const {
  return impl_->queue();
}

Result<std::optional<Bytes>> SqliteJournal::get(const std::string& table, ByteView key) const {
  return impl_->get(table, key);
}

Status SqliteJournal::for_each(const std::string& table, const std::function<bool(ByteView, ByteView)>& visitor) const {
  return impl_->for_each(table, visitor);
}

}  // namespace witan::store
