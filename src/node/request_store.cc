#include "node/request_store.h"

#include <algorithm>

#include "base/check.h"
#include "base/codec.h"
#include "base/log.h"
#include "base/text.h"
#include "node/disk_wait.h"

namespace witan::node {

using runtime::Change;
using runtime::ok;
using runtime::Task;

namespace {

constexpr const char* kRequests = "requests";
constexpr std::size_t kMaxErrorBytes = 512;
/// Of records that earlier versions made.
constexpr std::size_t kMaxReadErrorBytes = 4096;

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
    : journal_(journal), loop_(loop), limits_(limits), entries_(0, limits.hash) {}

Bytes RequestStore::journal_key(const Key& key) {
  return Writer().u8(static_cast<std::uint8_t>(key.first)).raw(key.second).take();
}

namespace {

/// Of a request's record. What has become of an open one, the other tables say: see request_store.h.
enum class Recorded : std::uint8_t { open = 1, failed = 3, deleted = 4, evicted = 5 };

/// Of a result's record: what begins it.
enum class Outcome : std::uint8_t { awaited = 0, done = 1 };

Bytes encode_result(const Bytes& result) {
  return Writer().u8(static_cast<std::uint8_t>(Outcome::done)).raw(result).take();
}

}  // namespace

Bytes RequestStore::encode(const Entry& entry) {
  Recorded state = Recorded::open;
  if (entry.state == RequestState::failed) state = Recorded::failed;
  if (entry.state == RequestState::deleted) state = Recorded::deleted;
  if (entry.state == RequestState::evicted) state = Recorded::evicted;
  Writer writer;
  writer.u8(static_cast<std::uint8_t>(state)).raw(entry.content_digest).u64(entry.sequence);
  writer.u8(entry.error ? static_cast<std::uint8_t>(entry.error->code) : 0);
  writer.text(entry.error ? entry.error->message : "");
  return writer.take();
}

Result<RequestStore::Entry> RequestStore::decode(ByteView record) {
  Reader reader(record);
  Entry entry;
  const auto state = static_cast<Recorded>(reader.u8());
  entry.content_digest = reader.array<32>();
  entry.sequence = reader.u64();
  const std::uint8_t code = reader.u8();
  std::string message = reader.text(kMaxReadErrorBytes);
  if (code > static_cast<std::uint8_t>(Code::unauthenticated)) reader.mark_failed();
  if ((state == Recorded::failed) != (code != 0)) reader.mark_failed();  // an error is what a failed one has
  switch (state) {
    case Recorded::open:
      break;
    case Recorded::failed:
      entry.state = RequestState::failed;
      break;
    case Recorded::deleted:
      entry.state = RequestState::deleted;
      break;
    case Recorded::evicted:
      entry.state = RequestState::evicted;
      break;
    default:
      reader.mark_failed();
  }
  WITAN_TRY(reader.finish("a record of the table requests"));
  if (code != 0) entry.error = Error{static_cast<Code>(code), std::string(cut(message, kMaxErrorBytes))};
  return entry;
}

Status RequestStore::for_each_sequence(const char* table,
                                       const std::function<void(std::uint64_t, ByteView)>& visit) const {
  Status status;
  WITAN_TRY(journal_.for_each(table, [&](ByteView key, ByteView value) {
    const auto sequence = runtime::number_of(key);
    if (sequence) visit(*sequence, value);
    if (!sequence) status = fail(Code::data_loss, "the journal's table {} has a bad key {}", table, to_hex(key));
    return sequence.has_value();
  }));
  return status;
}

/// What the other tables say of an open request. False: it was evicted.
Result<bool> RequestStore::settle_loaded(const Key& key, Entry& entry, BySequence& results, BySequence& bodies) const {
  if (entry.state == RequestState::evicted) return false;
  if (entry.state != RequestState::pending) return true;
  const auto result = results.find(entry.sequence);
  const auto body = bodies.find(entry.sequence);
  if (result != results.end()) {
    Reader reader(result->second);
    const auto outcome = static_cast<Outcome>(reader.u8());
    const ByteView rest = reader.raw(reader.remaining());
    entry.result.assign(rest.begin(), rest.end());
    const bool awaited = outcome == Outcome::awaited && entry.result.empty();
    if (!reader.finish("a result") || (!awaited && outcome != Outcome::done))
      return fail(Code::data_loss, "the journal's result of the {} cannot be read", name_of(key.first, key.second));
    entry.state = awaited ? RequestState::failed : RequestState::done;
    if (awaited)
      entry.error = Error{Code::aborted, "aborted: the node stopped while it worked on the request; send it again"};
    results.erase(result);
  } else if (body != bodies.end()) {
    entry.has_body = true;
    entry.waiters = std::make_shared<Waiters>();
  } else if (is_decryption(key.first)) {
    return false;
  } else {
    return fail(Code::data_loss, "the journal has neither body nor result of the {}", name_of(key.first, key.second));
  }
  return true;
}

Status RequestStore::load_requests(BySequence results, BySequence& bodies) {
  Status status;
  std::map<std::uint64_t, Key> by_sequence;
  const auto take = [&](ByteView key, ByteView value) -> Status {
    Reader reader(key);
    const std::uint8_t kind = reader.u8();
    const RawId id = reader.array<32>();
    auto entry = decode(value);
    if (!reader.finish("a key") || kind < 1 || kind > 4 || !entry)
      return fail(Code::data_loss, "the journal's table requests has a bad record at key {}", to_hex(key));
    const Key name{static_cast<RequestKind>(kind), id};
    next_sequence_ = std::max(next_sequence_, entry->sequence + 1);
    WITAN_ASSIGN(const bool kept, settle_loaded(name, *entry, results, bodies));
    if (!kept) return {};
    if (!by_sequence.emplace(entry->sequence, name).second)
      return fail(Code::data_loss, "the journal's table requests has number {} twice", entry->sequence);
    entries_.emplace(name, *std::move(entry));
    return {};
  };
  WITAN_TRY(journal_.for_each(kRequests, [&](ByteView key, ByteView value) {
    status = take(key, value);
    return status.has_value();
  }));
  WITAN_TRY(status);
  for (const auto& [sequence, key] : by_sequence) {
    Entry& entry = entries_.at(key);
    entry.age = next_age_++;
    if (!is_decryption(key.first)) continue;
    ++decryptions_;
    if (entry.state != RequestState::pending) finished_decryptions_[entry.age] = key.second;
  }
  if (!results.empty())
    return fail(Code::data_loss, "the journal has a result with number {} and no request for it",
                results.begin()->first);
  return {};
}

Result<std::vector<InterruptedRequest>> RequestStore::load() {
  BySequence results, bodies;
  const auto into = [](BySequence& out) {
    return [&out](std::uint64_t sequence, ByteView value) {
      out.emplace_hint(out.end(), sequence, Bytes(value.begin(), value.end()));
    };
  };
  WITAN_TRY(for_each_sequence(kResultsTable, into(results)));
  WITAN_TRY(for_each_sequence(kBodiesTable, into(bodies)));
  WITAN_TRY(load_requests(std::move(results), bodies));
  std::map<std::uint64_t, InterruptedRequest> pending;
  for (const auto& [key, entry] : entries_) {
    if (entry.state != RequestState::pending) continue;
    auto& body = bodies.at(entry.sequence);
    pending.emplace(entry.sequence, InterruptedRequest{key.first, key.second, std::move(body)});
  }
  std::vector<InterruptedRequest> out;
  out.reserve(pending.size());
  for (auto& [sequence, request] : pending) out.push_back(std::move(request));
  return out;
}

/// Also one that is only in the journal: a decryption that was evicted.
Result<std::optional<RequestStore::Entry>> RequestStore::find(const Key& key) const {
  if (const auto it = entries_.find(key); it != entries_.end()) {
    Entry copy = it->second;
    return copy;
  }
  WITAN_ASSIGN(auto record, journal_.get(kRequests, journal_key(key)));
  if (!record) return std::optional<Entry>{};
  WITAN_ASSIGN(auto entry, decode(*record));
  entry.state = RequestState::evicted;
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
  finished_decryptions_[it->second.age] = key.second;
  ++decryptions_;
}

namespace {

Error known(RequestKind kind, const RawId& id, bool same_content) {
  return {Code::already_exists,
          fmt::format("the {} is known{}", name_of(kind, id),
                      same_content ? "" : " with other content; an id names one content for ever")};
}

/// A request that was taken up has this instead of a result.
Change awaited(std::uint64_t sequence) {
  return {Change::Kind::put, kResultsTable, runtime::number_key(sequence),
          Writer().u8(static_cast<std::uint8_t>(Outcome::awaited)).take()};
}

}  // namespace

/// The entry is there at once: a second insertion of this id meanwhile is refused.
Result<RequestStore::Insertion> RequestStore::prepare(const Key& key, ByteArray<32> content_digest, bool has_body) {
  const auto& [kind, id] = key;
  Insertion out;
  out.state_ = std::make_shared<Insertion::State>();
  Insertion::State& state = *out.state_;
  state.key = key;
  if (const auto found = entries_.find(key); found != entries_.end()) {
    const Entry& earlier = found->second;
    const bool same = earlier.content_digest == content_digest;
    if (has_body && same && earlier.state == RequestState::pending && !earlier.has_body)
      return fail(Code::unavailable, "the {} is being worked on for a caller who waits; try again", name_of(kind, id));
    if (!is_decryption(kind) || earlier.state != RequestState::failed || earlier.settling || !same)
      return fail(known(kind, id, same));
    state.earlier = earlier;
    finished_decryptions_.erase(earlier.age);
  } else {
    // Were this left to put_new, the commits that share its transaction would be written twice.
    WITAN_ASSIGN(const auto evicted, find(key));
    if (evicted) return fail(known(kind, id, evicted->content_digest == content_digest));
    if (is_decryption(kind)) {
      WITAN_ASSIGN(state.leaving, make_room());
      ++decryptions_;
    }
  }
  if (state.leaving) {
    const Entry& old = entries_.at(*state.leaving);
    const std::uint64_t sequence = old.sequence;
    if (old.state != RequestState::done) {
      Entry record;
      record.state = RequestState::evicted;
      record.content_digest = old.content_digest;
      record.sequence = sequence;
      out.changes_.push_back({Change::Kind::put, kRequests, journal_key(*state.leaving), encode(record)});
    }
    // One that was interrupted still says in the journal that its result is awaited.
    out.changes_.push_back({Change::Kind::erase, kResultsTable, runtime::number_key(sequence), {}});
    std::ranges::move(on_evict_(sequence), std::back_inserter(out.changes_));
  }
  Entry entry;
  entry.content_digest = content_digest;
  entry.sequence = state.earlier ? state.earlier->sequence : next_sequence_++;
  entry.age = next_age_++;
  entry.has_body = has_body;
  entry.waiters = std::make_shared<Waiters>();
  state.sequence = entry.sequence;
  out.changes_.push_back(
      {state.earlier ? Change::Kind::put : Change::Kind::put_new, kRequests, journal_key(key), encode(entry)});
  if (!has_body)
    out.changes_.push_back(awaited(entry.sequence));
  else if (state.earlier)  // it may still say so
    out.changes_.push_back({Change::Kind::erase, kResultsTable, runtime::number_key(entry.sequence), {}});
  entries_.insert_or_assign(key, std::move(entry));
  return out;
}

void RequestStore::recorded(const Insertion& insertion) {
  if (insertion.state_->leaving) evicted(*insertion.state_->leaving, true);
}

void RequestStore::withdraw(const Insertion& insertion, Error error) {
  const auto& [key, sequence, leaving, earlier] = *insertion.state_;
  if (leaving) evicted(*leaving, false);
  const auto waiters = entries_.at(key).waiters;
  entries_.erase(key);
  if (earlier) {
    entries_.emplace(key, *earlier);
    finished_decryptions_[earlier->age] = key.second;
  } else if (is_decryption(key.first)) {
    --decryptions_;
  }
  waiters->withdrawn = std::move(error);
  waiters->wake_all();
}

Result<RequestStore::Insertion> RequestStore::take_up(RawId id, ByteArray<32> content_digest) {
  return prepare({RequestKind::public_decryption, id}, content_digest, false);
}

Task<Status> RequestStore::insert(RequestKind kind, RawId id, ByteArray<32> content_digest, Bytes body,
                                  std::vector<Change> extra) {
  const Insertion insertion = co_await ok(prepare({kind, id}, content_digest, true));
  std::vector<Change> changes = insertion.changes();
  changes.push_back({Change::Kind::put, kBodiesTable, runtime::number_key(insertion.sequence()), std::move(body)});
  std::ranges::move(extra, std::back_inserter(changes));
  Status committed = co_await journal_.commit(std::move(changes));
  if (committed)
    recorded(insertion);
  else
    withdraw(insertion, committed.error());
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
    const Bytes place = runtime::number_key(settled.sequence);
    if (settled.has_body) out.push_back({Change::Kind::erase, kBodiesTable, place, {}});
    if (state == RequestState::done) {
      out.push_back({Change::Kind::put, kResultsTable, place, encode_result(settled.result)});
    } else {
      out.push_back({Change::Kind::put, kRequests, journal_key(key), encode(settled)});
      if (!settled.has_body) out.push_back({Change::Kind::erase, kResultsTable, place, {}});
    }
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
    entry = std::move(settled);
    if (is_decryption(key.first)) finished_decryptions_[entry.age] = key.second;
    waiters->wake_all();
  }
  co_return committed;
}

Task<Status> RequestStore::finish(RequestKind kind, RawId id, Bytes result, Extra extra) {
  return settle({kind, id}, RequestState::done, std::move(result), std::nullopt, std::move(extra));
}

Task<Status> RequestStore::fail_request(RequestKind kind, RawId id, Error error, Extra extra) {
  log::warn("{} failed: {}: {}", name_of(kind, id), to_string(error.code), error.message);
  error.message = std::string(cut(error.message, kMaxErrorBytes));
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

Status RequestStore::check_usable(RawId preprocessing) const {
  const auto it = entries_.find({RequestKind::preprocessing, preprocessing});
  if (it == entries_.end() || it->second.state == RequestState::deleted || it->second.settling)
    return fail(Code::not_found, "no unused preprocessing {} is here", to_hex(preprocessing));
  if (it->second.state == RequestState::pending)
    return fail(Code::unavailable, "the preprocessing {} is still running", to_hex(preprocessing));
  if (it->second.state == RequestState::failed) return fail(poll_error(*it->second.error));
  return {};
}

/// What marks it as used in the journal; end_use() follows. Meanwhile nobody else can use it.
Result<std::vector<Change>> RequestStore::begin_use(const RawId& preprocessing) {
  WITAN_TRY(check_usable(preprocessing));
  const Key key{RequestKind::preprocessing, preprocessing};
  Entry& entry = entries_.at(key);
  Entry used = entry;
  used.state = RequestState::deleted;
  used.result.clear();
  std::vector<Change> out;
  out.push_back({Change::Kind::put, kRequests, journal_key(key), encode(used)});
  out.push_back({Change::Kind::erase, kResultsTable, runtime::number_key(used.sequence), {}});
  entry.settling = true;
  return out;
}

void RequestStore::end_use(const RawId& preprocessing, bool committed) {
  Entry& entry = entries_.at({RequestKind::preprocessing, preprocessing});
  entry.settling = false;
  if (!committed) return;
  entry.state = RequestState::deleted;
  entry.result.clear();
}

Task<Status> RequestStore::insert_keygen(RawId key, ByteArray<32> content_digest, Bytes body, RawId preprocessing,
                                         std::vector<Change> extra) {
  std::vector<Change> use = co_await ok(begin_use(preprocessing));
  std::ranges::move(use, std::back_inserter(extra));
  const Status inserted = co_await insert(RequestKind::keygen, key, content_digest, std::move(body), std::move(extra));
  end_use(preprocessing, inserted.has_value());
  co_return inserted;
}

Task<Status> RequestStore::discard(RawId preprocessing) {
  std::vector<Change> use = co_await ok(begin_use(preprocessing));
  const Status committed = co_await journal_.commit(std::move(use));
  end_use(preprocessing, committed.has_value());
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
    if (waiters->withdrawn) co_return fail(*waiters->withdrawn);
    it = entries_.find(key);
  }
  if (it == entries_.end())
    co_return fail(Code::not_found, "the {} is not known here, or its result is not kept any more", name_of(kind, id));
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

std::uint64_t RequestStore::sequence(RequestKind kind, RawId id) const {
  return entries_.at({kind, id}).sequence;
}

std::optional<RequestSummary> RequestStore::summary(RequestKind kind, RawId id) const {
  const auto it = entries_.find({kind, id});
  if (it == entries_.end()) return std::nullopt;
  return RequestSummary{id, it->second.state, it->second.error ? it->second.error->message : ""};
}

std::vector<RequestSummary> RequestStore::list(RequestKind kind) const {
  std::vector<RequestSummary> out;
  for (const auto& [key, entry] : entries_)
    if (key.first == kind) out.push_back({key.second, entry.state, entry.error ? entry.error->message : ""});
  std::ranges::sort(out, {}, &RequestSummary::id);
  return out;
}

std::size_t RequestStore::count(RequestKind kind) const {
  return static_cast<std::size_t>(
      std::ranges::count(entries_, kind, [](const auto& item) { return item.first.first; }));
}

std::size_t RequestStore::capacity(RequestKind kind) const {
  return is_decryption(kind) ? limits_.dec_capacity : 0;
}

}  // namespace witan::node
