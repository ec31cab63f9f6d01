#include "protocols/attempts.h"

#include <algorithm>

#include "crypto/separators.h"

namespace witan::protocols {

namespace {

using runtime::ok;
using runtime::RoleSet;
using runtime::Step;
using runtime::Task;

RoleSet read_roles(Reader& in, CommitteeSize committee) {
  const std::uint16_t bits = in.u16();
  RoleSet out;
  for (const Role role : RoleSet::all(committee))
    if (bits >> role.index() & 1u) out.insert(role);
  if (out.bits() != bits) in.mark_failed();
  return out;
}

template <std::size_t N>
ByteArray<N> to_array(ByteView bytes) {
  ByteArray<N> out{};
  std::ranges::copy(bytes.first(std::min(N, bytes.size())), out.begin());
  return out;
}

/// The largest value that `count` of them reach.
template <class T>
T reached_by(int count, std::vector<T> values) {
  std::ranges::sort(values, std::greater{});
  return values[static_cast<std::size_t>(count) - 1];
}

}  // namespace

Bytes FinishedBatch::encode() const {
  Writer out;
  out.u32(order).raw(session.bytes()).u64(units.size());
  for (const UnitRange& range : units) out.u64(range.first).u64(range.count);
  return out.take();
}

Result<FinishedBatch> FinishedBatch::decode(ByteView record) {
  Reader in(record);
  FinishedBatch out;
  out.order = in.u32();
  out.session = SessionId(in.u128());
  for (std::uint64_t i = in.count(16); i > 0; --i) {
    const std::uint64_t first = in.u64();
    out.units.push_back({first, in.u64()});
  }
  WITAN_TRY(in.finish("a finished batch"));
  return out;
}

Bytes Attempts::State::encode() const {
  Writer out;
  out.u8(static_cast<std::uint8_t>(phase)).u16(attempt);
  out.u16(members.bits()).u16(convicted.bits()).u16(callers.bits()).bytes(counts).raw(name);
  write(out, history);
  return out.take();
}

void Attempts::write(Writer& out, const History& history) {
  out.u8(static_cast<std::uint8_t>(history.size()));
  for (const Begun& begun : history) out.raw(begun.name).u32(begun.kept);
}

Attempts::History Attempts::read_history(Reader& in) {
  History out;
  const std::uint8_t count = in.u8();
  if (count > kMaxAttempts) in.mark_failed();
  for (int i = 0; i < count && !in.failed(); ++i) {
    Begun begun;
    begun.name = in.array<32>();
    begun.kept = in.u32();
    out.push_back(begun);
  }
  return out;
}

/// How many batches two parties have in common, of which one has so many: those before their histories part, without what either has
/// dropped since.
std::uint32_t Attempts::shared_batches(std::uint32_t batches, const History& own, const History& other) {
  const auto [a, b] = std::ranges::mismatch(own, other);
  for (auto begun = a; begun != own.end(); ++begun) batches = std::min(batches, begun->kept);
  for (auto begun = b; begun != other.end(); ++begun) batches = std::min(batches, begun->kept);
  return batches;
}

Result<Attempts::State> Attempts::State::decode(ByteView record, CommitteeSize committee) {
  Reader in(record);
  State out;
  const std::uint8_t phase = in.u8();
  out.phase = static_cast<Phase>(phase);
  out.attempt = in.u16();
  out.members = read_roles(in, committee);
  out.convicted = read_roles(in, committee);
  out.callers = read_roles(in, committee);
  out.counts = in.take_bytes(Role::kMax);
  out.name = in.array<32>();
  out.history = read_history(in);
  WITAN_TRY(in.finish("the state of a preprocessing"));
  if (phase > static_cast<std::uint8_t>(Phase::done) ||
      out.counts.size() != static_cast<std::size_t>(committee.parties()))
    return fail(Code::data_loss, "the state of a preprocessing: phase {}, counts of {} parties", phase,
                out.counts.size());
  return out;
}

/// What a party says when all of them begin an attempt.
struct Attempts::Claim {
  std::uint32_t batches = 0;
  RoleSet callers, convicted;
  std::vector<std::uint8_t> counts;
  History history;

  static constexpr std::size_t kMaxBytes = 4 + 2 + 2 + Role::kMax + 1 + std::size_t{kMaxAttempts} * (32 + 4);
  Bytes encode() const {
    Writer out;
    out.u32(batches).u16(callers.bits()).u16(convicted.bits()).raw(counts);
    write(out, history);
    return out.take();
  }
  static std::optional<Claim> decode(ByteView bytes, CommitteeSize committee) {
    Reader in(bytes);
    Claim out;
    out.batches = in.u32();
    out.callers = read_roles(in, committee);
    out.convicted = read_roles(in, committee);
    const ByteView counts = in.raw(static_cast<std::uint64_t>(committee.parties()));
    out.counts.assign(counts.begin(), counts.end());
    out.history = read_history(in);
    if (!in.finish("a claim")) return std::nullopt;
    return out;
  }
};

/// The longest beginning of histories that so many parties claim; the smallest of several. Parties that agree on the claims agree on it,
/// and an honest one has gone through it.
Attempts::History Attempts::supported_history(const std::map<Role, Claim>& claims, int support) {
  History best;
  for (const auto& [role, claim] : claims)
    for (std::size_t length = best.size(); length <= claim.history.size(); ++length) {
      const History candidate(claim.history.begin(), claim.history.begin() + static_cast<std::ptrdiff_t>(length));
      const auto begins_so = [&](const auto& other) {
        return other.second.history.size() >= length &&
               std::ranges::equal(candidate, std::span(other.second.history).first(length));
      };
      if (std::ranges::count_if(claims, begins_so) < support) break;
      if (length > best.size() || candidate < best) best = candidate;
    }
  return best;
}

Attempts::Attempts(PreprocessingParty party, PreprocId id, const crypto::Digest& name, std::uint16_t first,
                   AttemptOptions options)
    : party_(party),
      id_(id),
      name_(name),
      first_(first),
      options_(options),
      committee_(party.router.committee()),
      news_(party.compute.loop()),
      listeners_(party.compute.loop()) {
  state_.members = all();
  state_.counts.resize(static_cast<std::size_t>(committee_.parties()));
}

int Attempts::level_of(std::uint16_t attempt) const {
  return attempt * (committee_.threshold() + 2);
}

SessionId Attempts::session(int word_bits, std::uint16_t number) const {
  const auto kind = word_bits == 64 ? crypto::SessionKind::preprocessing_64 : crypto::SessionKind::preprocessing_128;
  const auto attempt = static_cast<std::uint16_t>(first_ + state_.attempt);
  return crypto::session_id(state_.attempt == 0 ? name_ : state_.name, kind, attempt, number);
}

// Journal.

namespace {
constexpr std::size_t kKindOffset = 32 + 2;  // of a key of the table
}

Result<std::vector<runtime::Change>> forget_batches(const runtime::Journal& journal, const PreprocId& id) {
  std::vector<runtime::Change> out;
  WITAN_TRY(journal.for_each(kAttemptsTable, [&](ByteView key, ByteView) {
    if (key.size() > kKindOffset && key[kKindOffset] == 'b' && std::ranges::equal(key.first(32), id.view()))
      out.push_back({runtime::Change::Kind::erase, kAttemptsTable, Bytes(key.begin(), key.end()), {}});
    return true;
  }));
  return out;
}

Bytes Attempts::key(char kind) const {
  Writer out;
  out.id(id_).u16(first_).u8(static_cast<std::uint8_t>(kind));
  return out.take();
}

Bytes Attempts::batch_key(std::size_t number) const {
  Bytes out = key('b');
  for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<std::uint8_t>(number >> shift));
  return out;
}

runtime::Change Attempts::put_state() const {
  return {runtime::Change::Kind::put, kAttemptsTable, key('s'), state_.encode()};
}

Task<Result<bool>> Attempts::open() {
  const std::optional<Bytes> record = co_await ok(party_.journal.get(kAttemptsTable, key('s')));
  if (record) {
    state_ = co_await ok(State::decode(*record, committee_));
    for (std::size_t number = 0;; ++number) {
      const std::optional<Bytes> batch = co_await ok(party_.journal.get(kAttemptsTable, batch_key(number)));
      if (!batch) break;
      batches_.push_back(co_await ok(FinishedBatch::decode(*batch)));
    }
  }
  runtime::SessionOptions session;
  session.resend_after = record ? runtime::Duration{} : options_.delay;
  session.resend_at_most = std::max<runtime::Duration>(20 * options_.delay, session.resend_at_most);
  session_ = co_await ok(party_.router.open(
      crypto::session_id(name_, crypto::SessionKind::preprocessing_64, first_, kCallSession), session));
  if (is_done()) {
    co_await ok(session_->send_all(kDoneStep, runtime::make_payload({1})));
    co_return true;
  }
  listeners_.spawn(hear_done());
  co_return record.has_value();
}

Task<Status> Attempts::begin() {
  co_await ok(co_await party_.journal.commit({put_state()}));
  ending_.emplace(party_.signatories, name_of(1), all());
  listen(1);
  co_return Status{};
}

Task<Status> Attempts::finished(FinishedBatch batch) {
  std::vector<runtime::Change> changes;
  changes.push_back({runtime::Change::Kind::put_new, kAttemptsTable, batch_key(batches_.size()), batch.encode()});
  co_await ok(co_await party_.journal.commit(std::move(changes)));
  batches_.push_back(std::move(batch));
  co_return Status{};
}

Task<Status> Attempts::finish() {
  Writer all_batches;
  all_batches.raw(name_).u16(first_);
  for (const FinishedBatch& batch : batches_) all_batches.bytes(batch.encode());
  state_.phase = Phase::done;
  state_.name = crypto::tagged_hash(crypto::separators::kMaterialName, all_batches.view());
  std::vector<runtime::Change> changes{put_state()};
  for (std::size_t number = 0; number < batches_.size(); ++number)
    changes.push_back({runtime::Change::Kind::erase, kAttemptsTable, batch_key(number), {}});
  co_await ok(co_await party_.journal.commit(std::move(changes)));
  co_return session_->send_all(kDoneStep, runtime::make_payload({1}));
}

// Calls.

/// What a call for the attempt names.
Bytes Attempts::name_of(std::uint16_t attempt) const {
  Writer out;
  out.raw(name_).u16(first_).u16(attempt);
  return out.take();
}

mpc::Calls& Attempts::calls_for(std::uint16_t attempt) {
  return calls_.try_emplace(attempt, party_.signatories, name_of(attempt), all()).first->second;
}

void Attempts::listen(std::uint16_t attempt) {
  if (heard_from_ >= attempt) return;
  heard_from_ = attempt;
  listeners_.spawn(hear_calls(attempt));
}

Task<void> Attempts::hear_calls(std::uint16_t attempt) {
  for (;;) {
    const auto message = co_await session_->next(kCallStep + attempt);
    if (!message) co_return;  // all have called, or the session is closed
    calls_for(attempt).take(message->from, message->bytes());
    if (attempt == state_.attempt + 1 && ending_) ending_->take(message->from, message->bytes());
    news_.wake_all();
  }
}

Task<void> Attempts::hear_gathered(std::uint16_t attempt) {
  for (;;) {
    const auto message = co_await session_->next(kGatheredStep + attempt);
    if (!message) co_return;
    calls_for(attempt).take_all(message->bytes());
    news_.wake_all();
  }
}

Task<void> Attempts::hear_done() {
  for (;;) {
    const auto message = co_await session_->next(kDoneStep);
    if (!message) co_return;
    done_.insert(message->from);
    news_.wake_all();
  }
}

Task<Status> Attempts::leave(RoleSet convicted, RoleSet callers) {
  state_.convicted = state_.convicted | convicted;
  state_.callers = callers;
  for (const Role caller : callers) ++state_.counts[caller.index()];
  co_return co_await party_.journal.commit({put_state()});
}

Task<Status> Attempts::call(std::uint16_t attempt) {
  state_.phase = Phase::calling;
  state_.attempt = attempt;
  co_await ok(co_await party_.journal.commit({put_state()}));
  listeners_.spawn(hear_gathered(attempt));
  mpc::Calls& calls = calls_for(attempt);
  const mpc::Calls::Signature own = calls.sign();
  calls.take(session_->self(), own);
  co_return session_->send_all(kCallStep + attempt, runtime::make_payload(Bytes(own.begin(), own.end())));
}

/// Gives the attempt if n-t parties call for it, or a later one that t+1 have called for.
Task<Result<std::uint16_t>> Attempts::gather(std::uint16_t attempt) {
  // The others may be in the longest broadcast of the attempt before, which ends before they read a call, and begin another one.
  const runtime::Duration two_broadcasts =
      2 * (committee_.threshold() + 4) * mpc::Patience(options_.variant, options_.delay, level_of(attempt)).round;
  const runtime::Instant deadline = session_->loop().after(std::max(options_.wait, two_broadcasts));
  for (;;) {
    if (done_.size() > committee_.threshold())
      co_return fail(Code::aborted,
                     "aborted: preprocessing {}: {} parties have all of it, this one has {} batches and comes too late",
                     id_.hex(), done_.size(), batches_.size());
    if (calls_for(attempt).known().size() >= enough()) co_return attempt;
    for (auto later = calls_.rbegin(); later != calls_.rend() && later->first > attempt; ++later)
      if (later->second.known().size() > committee_.threshold()) co_return later->first;
    if (co_await news_.wait(deadline) == runtime::Wake::timed_out)
      co_return fail(Code::deadline_exceeded,
                     "preprocessing {}: attempt {}: {} parties call for it, {} are needed; check that they are running",
                     id_.hex(), attempt, calls_for(attempt).known().size(), enough());
  }
}

Task<Status> Attempts::next() {
  ending_.reset();
  std::uint16_t attempt = state_.attempt;
  if (state_.phase != Phase::calling) ++attempt;
  for (std::uint16_t later = attempt; later <= kMaxAttempts; ++later) listen(later);
  for (;;) {
    if (attempt > kMaxAttempts)
      co_return fail(Code::aborted, "aborted: preprocessing {}: {} attempts have failed", id_.hex(), attempt);
    co_await ok(co_await call(attempt));
    const std::uint16_t called = co_await ok(co_await gather(attempt));
    if (called != attempt) {
      attempt = called;
      continue;
    }
    if (co_await ok(co_await agree())) break;
    ++attempt;
  }
  RoleSet callers;
  for (const Role role : all() - state_.convicted)
    if (state_.counts[role.index()] < kCallsPerParty) callers.insert(role);
  const auto following = static_cast<std::uint16_t>(state_.attempt + 1);
  ending_.emplace(party_.signatories, name_of(following), callers);
  ending_->take_all(calls_for(following));
  listen(following);
  co_return Status{};
}

/// False: the others, if anybody, begin without this party.
Task<Result<bool>> Attempts::agree() {
  const int level = level_of(state_.attempt) - 1;
  const mpc::Patience patience(options_.variant, options_.delay, level);
  mpc::Calls& calls = calls_for(state_.attempt);
  state_.phase = Phase::gathered;
  co_await ok(co_await party_.journal.commit({put_state()}));
  co_await ok(session_->send_all(kGatheredStep + state_.attempt, runtime::make_payload(calls.encode())));
  const runtime::Instant others = session_->loop().after(patience.exchange);
  while (calls.known() != all() && co_await news_.wait(others) == runtime::Wake::notified) continue;

  const Claim own{static_cast<std::uint32_t>(batches_.size()), state_.callers, state_.convicted, state_.counts,
                  state_.history};
  mpc::Broadcast broadcast(*session_, party_.compute, party_.signatories,
                           kAgreeSteps + state_.attempt * mpc::kBroadcastSteps, patience.round);
  const Bytes mine = own.encode();
  const auto result = co_await broadcast.run(0, runtime::make_payload(mine), all(), Claim::kMaxBytes);
  if (!result && has_failed(result.error())) co_return false;
  const mpc::BroadcastOutcome outcome = co_await ok(result);
  std::map<Role, Claim> claims;
  for (const Role role : all()) {
    if (!outcome[role.index()]) continue;
    if (auto claim = Claim::decode(*outcome[role.index()], committee_)) claims.emplace(role, *std::move(claim));
  }
  if (static_cast<int>(claims.size()) < enough() || !claims.contains(session_->self())) co_return false;

  const int honest_one = committee_.threshold() + 1;
  const auto at_least_one = [&](auto&& of) {
    using T = std::decay_t<decltype(of(own))>;
    std::vector<T> values;
    for (const auto& [role, claim] : claims) values.push_back(of(claim));
    return reached_by(honest_one, std::move(values));
  };
  State agreed{.phase = Phase::running,
               .attempt = state_.attempt,
               .members = {},
               .convicted = {},
               .callers = {},
               .counts = state_.counts,
               .name = {},
               .history = supported_history(claims, honest_one)};
  for (const auto& [role, claim] : claims) agreed.members.insert(role);
  for (const Role role : all()) {
    agreed.counts[role.index()] = at_least_one([&](const Claim& claim) { return claim.counts[role.index()]; });
    if (at_least_one([&](const Claim& claim) { return int{claim.convicted.contains(role)}; }))
      agreed.convicted.insert(role);
    if (at_least_one([&](const Claim& claim) { return int{claim.callers.contains(role)}; }))
      agreed.callers.insert(role);
  }
  const auto batches_of = [&history = agreed.history](const Claim& claim) {
    return shared_batches(claim.batches, claim.history, history);
  };
  std::uint32_t kept = at_least_one(batches_of);
  for (const auto& [role, claim] : claims)
    if (agreed.callers.empty() || agreed.callers.contains(role)) kept = std::min(kept, batches_of(claim));

  Writer name;
  name.raw(name_of(agreed.attempt)).u32(kept);
  name.u16(agreed.members.bits()).u16(agreed.convicted.bits()).u16(agreed.callers.bits()).raw(agreed.counts);
  write(name, agreed.history);
  agreed.name = crypto::tagged_hash(crypto::separators::kAttempt, name.view());
  agreed.history.push_back({agreed.name, kept});
  agreed.callers = {};
  if (agreed.convicted.contains(session_->self()))
    co_return fail(Code::aborted, "aborted: preprocessing {}: the other parties have convicted this one", id_.hex());
  if (batches_of(own) < kept) co_return false;

  std::vector<runtime::Change> changes;
  for (std::size_t number = kept; number < batches_.size(); ++number)
    changes.push_back({runtime::Change::Kind::erase, kAttemptsTable, batch_key(number), {}});
  batches_.resize(kept);
  state_ = std::move(agreed);
  changes.push_back(put_state());
  co_await ok(co_await party_.journal.commit(std::move(changes)));
  co_return true;
}

}  // namespace witan::protocols
