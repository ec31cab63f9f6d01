#include "node/request_store.h"

#include <algorithm>

#include "base/check.h"
#include "base/codec.h"
#include "base/log.h"

namespace witan::node {

using runtime::Change;
using runtime::ok;
using runtime::Task;

namespace {

constexpr const char* kRequests = "requests";
constexpr const char* kBodies = "request_bodies";
constexpr const char* kResults = "request_results";
constexpr std::size_t kMaxErrorBytes = 4096;

/// Of a commit: the disk is full, or too many wait for it.
bool may_pass(const Error& error) {
  return error.code == Code::unavailable || error.code == Code::resource_exhausted;
}

bool is_decryption(RequestKind kind) {
  return kind == RequestKind::public_decryption;
}

std::string name_of(RequestKind kind, const RawId& id) {
  return fmt::format("{} {}", to_string(kind), to_hex(id));
}

}  // namespace

const char* to_string(RequestKind kind) {
  switch (kind) {
    case RequestKind::preprocessing:
      return "preprocessing";
    case RequestKind::keygen:
      return "key generation";
    case RequestKind::public_decryption:
      return "public decryption";
    case RequestKind::epoch:
      return "epoch";
  }
  return "request";
}

RequestStore::RequestStore(runtime::Journal& journal, runtime::Loop& loop, StoreLimits limits)
    : journal_(journal), loop_(loop), limits_(limits) {}

Bytes RequestStore::journal_key(const Key& key) {
  return Writer().u8(static_cast<std::uint8_t>(key.first)).raw(key.second).take();
}

Bytes RequestStore::encode(const Entry& entry) {
  Writer writer;
  writer.u8(static_cast<std::uint8_t>(entry.state)).raw(entry.content_digest).u64(entry.sequence);
  writer.u8(entry.error ? static_cast<std::uint8_t>(entry.error->code) : 0);
  writer.text(entry.error ? entry.error->message.substr(0, kMaxErrorBytes) : "");
  return writer.take();
}

Result<RequestStore::Entry> RequestStore::decode(ByteView record) {
  Reader reader(record);
  Entry entry;
  const std::uint8_t state = reader.u8();
  entry.state = static_cast<RequestState>(state);
  entry.content_digest = reader.array<32>();
  entry.sequence = reader.u64();
  const std::uint8_t code = reader.u8();
  std::string message = reader.text(kMaxErrorBytes);
  if (code > static_cast<std::uint8_t>(Code::unauthenticated) || state < 1 || state > 5) reader.mark_failed();
  if ((entry.state == RequestState::failed) != (code != 0)) reader.mark_failed();  // an error is what a failed one has
  WITAN_TRY(reader.finish("a record of the table requests"));
  if (code != 0) entry.error = Error{static_cast<Code>(code), std::move(message)};
  return entry;
}

Result<std::vector<InterruptedRequest>> RequestStore::load() {
  Status status;
  const auto visit = [&](ByteView key, ByteView value) {
    Reader reader(key);
    const std::uint8_t kind = reader.u8();
    const RawId id = reader.array<32>();
    auto entry = decode(value);
    if (reader.failed() || kind < 1 || kind > 4 || !entry) {
      status = fail(Code::data_loss, "the journal's table requests has a bad record at key {}", to_hex(key));
      return false;
    }
    next_sequence_ = std::max(next_sequence_, entry->sequence + 1);
    const auto request_kind = static_cast<RequestKind>(kind);
    if (entry->state == RequestState::evicted) return true;
    if (entry->state == RequestState::pending) entry->waiters = std::make_shared<Waiters>();
    if (is_decryption(request_kind)) {
      ++decryptions_;
      if (entry->state != RequestState::pending && !finished_decryptions_.emplace(entry->sequence, id).second) {
        status = fail(Code::data_loss, "the journal's table requests has number {} twice", entry->sequence);
        return false;
      }
    }
    entries_.emplace(Key{request_kind, id}, *std::move(entry));
    return true;
  };
  WITAN_TRY(journal_.for_each(kRequests, visit));
  WITAN_TRY(status);

  std::map<std::uint64_t, InterruptedRequest> pending;
  for (auto& [key, entry] : entries_) {
    if (entry.state == RequestState::done) {
      WITAN_ASSIGN(auto result, journal_.get(kResults, journal_key(key)));
      if (!result) return fail(Code::data_loss, "the journal has no result of the {}", name_of(key.first, key.second));
      entry.result = *std::move(result);
    }
    if (entry.state != RequestState::pending) continue;
    WITAN_ASSIGN(auto body, journal_.get(kBodies, journal_key(key)));
    if (!body)
      return fail(Code::data_loss, "the journal has no body of the pending {}", name_of(key.first, key.second));
    if (!pending.emplace(entry.sequence, InterruptedRequest{key.first, key.second, *std::move(body)}).second)
      return fail(Code::data_loss, "the journal's table requests has number {} twice", entry.sequence);
  }
  std::vector<InterruptedRequest> out;
  out.reserve(pending.size());
  for (auto& [sequence, request] : pending) out.push_back(std::move(request));
  return out;
}

Result<std::optional<RequestStore::Entry>> RequestStore::find(const Key& key) const {
  if (const auto it = entries_.find(key); it != entries_.end()) {
    Entry copy = it->second;
    return copy;
  }
  WITAN_ASSIGN(auto record, journal_.get(kRequests, journal_key(key)));
  if (!record) return std::optional<Entry>{};
  WITAN_ASSIGN(auto entry, decode(*record));
  return std::optional<Entry>(std::move(entry));
}

/// Makes room for one more decryption: the oldest finished one goes, as long as more than min_dec_cache remain. Returns which;
/// it can be read until the commit that evicts it has succeeded, and not be asked for again.
Result<std::optional<RequestStore::Key>> RequestStore::make_room() {
  if (decryptions_ < limits_.dec_capacity) return std::optional<Key>{};
  if (finished_decryptions_.size() <= limits_.min_dec_cache || finished_decryptions_.empty())
    return fail(Code::resource_exhausted,
                "{} decryptions are kept or running, the limit (dec_capacity); try again later", decryptions_);
  const auto oldest = finished_decryptions_.begin();
  const Key key{RequestKind::public_decryption, oldest->second};
  entries_.at(key).settling = true;
  finished_decryptions_.erase(oldest);
  --decryptions_;
  return key;
}

void RequestStore::evicted(const Key& key, bool committed) {
  const auto it = entries_.find(key);
  WITAN_CHECK(it != entries_.end() && it->second.settling);
  if (committed) {
    entries_.erase(it);
    return;
  }
  it->second.settling = false;
  finished_decryptions_[it->second.sequence] = key.second;
  ++decryptions_;
}

Task<Status> RequestStore::insert(RequestKind kind, RawId id, ByteArray<32> content_digest, Bytes body,
                                  std::vector<Change> extra) {
  const Key key{kind, id};
  const auto earlier = co_await ok(find(key));
  const bool redo = earlier && is_decryption(kind) && earlier->state == RequestState::failed && !earlier->settling &&
                    earlier->content_digest == content_digest;
  if (earlier && !redo)
    co_return fail(
        Code::already_exists, "the {} is known{}", name_of(kind, id),
        earlier->content_digest == content_digest ? "" : " with other content; an id names one content for ever");

  std::vector<Change> changes;
  std::optional<Key> leaving;
  if (redo) {
    finished_decryptions_.erase(earlier->sequence);
  } else if (is_decryption(kind)) {
    leaving = co_await ok(make_room());
    ++decryptions_;
  }
  if (leaving) {
    const Entry& old = entries_.at(*leaving);
    Entry record;
    record.state = RequestState::evicted;
    record.content_digest = old.content_digest;
    record.sequence = old.sequence;
    changes.push_back({Change::Kind::put, kRequests, journal_key(*leaving), encode(record)});
    changes.push_back({Change::Kind::erase, kResults, journal_key(*leaving), {}});
    std::ranges::move(on_evict_(leaving->second), std::back_inserter(changes));
  }
  Entry entry;
  entry.content_digest = content_digest;
  entry.sequence = next_sequence_++;
  entry.waiters = std::make_shared<Waiters>();
  changes.push_back({redo ? Change::Kind::put : Change::Kind::put_new, kRequests, journal_key(key), encode(entry)});
  changes.push_back({Change::Kind::put, kBodies, journal_key(key), std::move(body)});
  std::ranges::move(extra, std::back_inserter(changes));
  entries_.insert_or_assign(key, entry);  // at once: a second insert of this id meanwhile is refused

  Status committed = co_await journal_.commit(std::move(changes));
  if (leaving) evicted(*leaving, committed.has_value());
  if (!committed) {
    if (is_decryption(kind)) --decryptions_;
    entries_.erase(key);
    if (redo) {  // what the journal still says
      entries_.emplace(key, *earlier);
      finished_decryptions_[earlier->sequence] = id;
      ++decryptions_;
    }
    entry.waiters->wake_all();
  }
  co_return committed;
}

Task<Status> RequestStore::settle(Key key, RequestState state, Bytes result, std::optional<Error> error, Extra extra) {
  const auto it = entries_.find(key);
  if (it == entries_.end() || it->second.state != RequestState::pending || it->second.settling)
    co_return fail(Code::internal, "the {} is not pending", name_of(key.first, key.second));
  it->second.settling = true;
  Entry settled = it->second;
  settled.state = state;
  settled.result = std::move(result);
  settled.error = std::move(error);
  settled.settling = false;
  settled.waiters = nullptr;
  const auto changes = [&] {
    std::vector<Change> out;
    out.push_back({Change::Kind::put, kRequests, journal_key(key), encode(settled)});
    out.push_back({Change::Kind::erase, kBodies, journal_key(key), {}});
    if (state == RequestState::done) out.push_back({Change::Kind::put, kResults, journal_key(key), settled.result});
    if (extra) std::ranges::move(extra(), std::back_inserter(out));
    return out;
  };

  Status committed = co_await journal_.commit(changes());
  for (auto pause = kFirstPause; !committed && may_pass(committed.error());
       pause = std::min(2 * pause, kLongestPause)) {
    log::error("the outcome of the {} cannot be recorded, next try in {} s: {}", name_of(key.first, key.second),
               pause.count(), committed.error().message);
    co_await loop_.sleep_for(pause);
    committed = co_await journal_.commit(changes());
  }
  Entry& entry = entries_.at(key);  // pending entries stay
  const auto waiters = entry.waiters;
  entry.settling = false;
  if (committed) {
    if (is_decryption(key.first)) finished_decryptions_[settled.sequence] = key.second;
    entry = std::move(settled);
    waiters->wake_all();
  }
  co_return committed;
}

Task<Status> RequestStore::finish(RequestKind kind, RawId id, Bytes result, Extra extra) {
  return settle({kind, id}, RequestState::done, std::move(result), std::nullopt, std::move(extra));
}

Task<Status> RequestStore::fail_request(RequestKind kind, RawId id, Error error, Extra extra) {
  log::warn("{} failed: {}: {}", name_of(kind, id), to_string(error.code), error.message);
  return settle({kind, id}, RequestState::failed, {}, std::move(error), std::move(extra));
}

namespace {

/// service.md 4.2: what a poller of a failed request is told.
Error poll_error(const Error& error) {
  std::string lower = error.message;
  std::ranges::transform(lower, lower.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  const bool aborted = error.code == Code::aborted || lower.find("abort") != std::string::npos;
  return {aborted ? Code::aborted : Code::internal, error.message};
}

}  // namespace

Task<Status> RequestStore::consume(RawId preprocessing, std::vector<Change> extra) {
  const Key key{RequestKind::preprocessing, preprocessing};
  const auto it = entries_.find(key);
  if (it == entries_.end() || it->second.state == RequestState::deleted || it->second.settling)
    co_return fail(Code::not_found, "no unused preprocessing {} is here", to_hex(preprocessing));
  if (it->second.state == RequestState::pending)
    co_return fail(Code::unavailable, "the preprocessing {} is still running", to_hex(preprocessing));
  if (it->second.state == RequestState::failed) co_return fail(poll_error(*it->second.error));
  it->second.settling = true;
  Entry used = it->second;
  used.state = RequestState::deleted;
  used.result.clear();
  extra.push_back({Change::Kind::put, kRequests, journal_key(key), encode(used)});
  extra.push_back({Change::Kind::erase, kResults, journal_key(key), {}});
  Status committed = co_await journal_.commit(std::move(extra));
  Entry& entry = entries_.at(key);
  entry.settling = false;
  if (committed) {
    entry.state = RequestState::deleted;
    entry.result.clear();
  }
  co_return committed;
}

Task<Result<Bytes>> RequestStore::result(RequestKind kind, RawId id, runtime::Instant deadline, std::stop_token gone) {
  const Key key{kind, id};
  auto it = entries_.find(key);
  if (it != entries_.end() && it->second.state == RequestState::pending) {
    const auto waiters = it->second.waiters;  // stay when the entry goes
    const auto woken = std::make_shared<runtime::Event>(loop_);
    waiters->events.insert(woken);
    const std::stop_callback on_gone(gone, [&loop = loop_, woken] { loop.post([woken] { woken->set(); }); });
    co_await woken->wait(deadline);
    waiters->events.erase(woken);
    it = entries_.find(key);
  }
  if (it == entries_.end()) co_return fail(Code::not_found, "the {} is not known here", name_of(kind, id));
  const Entry& entry = it->second;
  switch (entry.state) {
    case RequestState::pending:
      co_return fail(Code::unavailable, "the {} is still running", name_of(kind, id));
    case RequestState::done:
      co_return entry.result;
    case RequestState::failed:
      co_return fail(poll_error(*entry.error));
    case RequestState::deleted:
    case RequestState::evicted:
      break;
  }
  co_return fail(Code::not_found, "the {} was used or its result is not kept any more", name_of(kind, id));
}

Result<bool> RequestStore::same_content(RequestKind kind, RawId id, const ByteArray<32>& content_digest) const {
  WITAN_ASSIGN(const auto entry, find({kind, id}));
  return entry && entry->content_digest == content_digest;
}

std::optional<RequestState> RequestStore::state(RequestKind kind, RawId id) const {
  const auto it = entries_.find({kind, id});
  if (it == entries_.end()) return std::nullopt;
  return it->second.state;
}

std::optional<RequestSummary> RequestStore::summary(RequestKind kind, RawId id) const {
  const auto it = entries_.find({kind, id});
  if (it == entries_.end()) return std::nullopt;
  return RequestSummary{id, it->second.state, it->second.error ? it->second.error->message : ""};
}

std::vector<RequestSummary> RequestStore::list(RequestKind kind) const {
  std::vector<RequestSummary> out;
  for (auto it = entries_.lower_bound({kind, RawId{}}); it != entries_.end() && it->first.first == kind; ++it)
    out.push_back({it->first.second, it->second.state, it->second.error ? it->second.error->message : ""});
  return out;
}

std::size_t RequestStore::count(RequestKind kind) const {
  return list(kind).size();
}

std::size_t RequestStore::capacity(RequestKind kind) const {
  return is_decryption(kind) ? limits_.dec_capacity : 0;
}

}  // namespace witan::node
