#include "runtime/fake_journal.h"

#include <algorithm>

namespace witan::runtime {

namespace {

constexpr std::size_t kMaxTableName = 32, kMaxKeyBytes = 256;

Status check_limits(const Change& change) {
  const auto allowed = [](char c) { return (c >= 'a' && c <= 'z') || c == '_'; };
  if (change.table.empty() || change.table.size() > kMaxTableName || !std::ranges::all_of(change.table, allowed))
    return fail(Code::invalid_argument, "table name '{}' is not [a-z_]{{1,32}}", change.table);
  if (change.key.size() > kMaxKeyBytes)
    return fail(Code::invalid_argument, "table {}: key of {} bytes, at most {}", change.table, change.key.size(),
                kMaxKeyBytes);
  if (change.value.size() > Journal::kMaxRecordBytes)
    return fail(Code::invalid_argument, "table {}: record of {} bytes, at most {}", change.table, change.value.size(),
                Journal::kMaxRecordBytes);
  return {};
}

}  // namespace

struct FakeJournal::Pending {
  Pending(Loop& loop, std::vector<Change> c) : changes(std::move(c)), waiting(loop) {}
  std::vector<Change> changes;
  std::optional<Status> result;
  WaitList waiting;
};

FakeJournal::FakeJournal(Loop& loop, FakeDisk& disk, Duration sync_time)
    : loop_(loop), disk_(disk), sync_time_(sync_time), sync_timer_(loop, [this] { end_sync(); }) {}

FakeJournal::~FakeJournal() = default;

Task<Status> FakeJournal::commit(std::vector<Change> changes) {
  for (const Change& change : changes) co_await ok(check_limits(change));
  if (on_commit_) on_commit_();
  const auto pending = std::make_shared<Pending>(loop_, std::move(changes));
  if (!crashed_) {
    queued_.push_back(pending);
    if (!sync_timer_.armed()) begin_sync();
  }
  while (!pending->result) co_await pending->waiting.wait();
  co_return *pending->result;
}

void FakeJournal::begin_sync() {
  syncing_ = std::exchange(queued_, {});
  sync_timer_.arm(loop_.after(sync_time_));
}

void FakeJournal::end_sync() {
  for (const auto& pending : std::exchange(syncing_, {})) {
    pending->result = apply(pending->changes);
    pending->waiting.wake_all();
  }
  if (!queued_.empty()) begin_sync();
}

Status FakeJournal::apply(const std::vector<Change>& changes) {
  if (disk_.failing()) return fail(Code::unavailable, "the disk does not take commits");
  std::map<std::pair<std::string, Bytes>, bool> exists;  // as the changes before leave it
  for (const Change& change : changes) {
    const auto [entry, is_new] = exists.try_emplace({change.table, change.key}, false);
    if (is_new) entry->second = disk_.tables[change.table].contains(change.key);
    if (change.kind == Change::Kind::put_new && entry->second)
      return fail(Code::already_exists, "table {}: key {} exists", change.table, to_hex(change.key));
    entry->second = change.kind != Change::Kind::erase;
  }
  for (const Change& change : changes) {
    auto& table = disk_.tables[change.table];
    if (change.kind == Change::Kind::erase)
      table.erase(change.key);
    else
      table[change.key] = change.value;
  }
  ++disk_.commits;
  return {};
}

Result<std::optional<Bytes>> FakeJournal::get(const std::string& table, ByteView key) const {
  const auto found = disk_.tables.find(table);
  if (found == disk_.tables.end()) return std::nullopt;
  const auto record = found->second.find(Bytes(key.begin(), key.end()));
  if (record == found->second.end()) return std::nullopt;
  return record->second;
}

Status FakeJournal::for_each(const std::string& table,
                             const std::function<bool(ByteView key, ByteView value)>& visitor) const {
  const auto found = disk_.tables.find(table);
  if (found == disk_.tables.end()) return {};
  const auto records = found->second;  // the visitor may lead to commits
  for (const auto& [key, value] : records)
    if (!visitor(key, value)) break;
  return {};
}

void FakeJournal::crash(Rng& rng) {
  if (crashed_) return;
  crashed_ = true;
  sync_timer_.disarm();
  auto unsynced = std::exchange(syncing_, {});
  std::ranges::move(std::exchange(queued_, {}), std::back_inserter(unsynced));
  const std::size_t reached = rng.next<std::uint64_t>() % (unsynced.size() + 1);
  for (std::size_t i = 0; i < reached; ++i) (void)apply(unsynced[i]->changes);  // nobody learns the result
}

}  // namespace witan::runtime
