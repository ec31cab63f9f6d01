#include "insecure/provisional_epoch.h"

#include "base/codec.h"
#include "base/log.h"
#include "crypto/ids.h"
#include "mpc/agreement.h"

namespace witan::insecure {

using runtime::ok;
using runtime::Session;
using runtime::Task;

namespace {

constexpr runtime::Step kCall = 0;     // "I am in this attempt": a party that is in an earlier one follows
constexpr runtime::Step kStored = 10;  // "my keys are on disk"
constexpr std::uint16_t kMaxAttempts = 16;
constexpr const char* kTable = "attempts";

SessionId attempt_session(const EpochId& epoch, std::uint16_t attempt) {
  return crypto::session_id(epoch.bytes(), crypto::SessionKind::epoch_setup, attempt, 0);
}

/// Records the attempt before its first message. Returns its number: one above the highest ever used here.
Task<Result<std::uint16_t>> next_attempt(node::Core& core, const EpochId& epoch, std::uint16_t at_least) {
  const Bytes key(epoch.bytes().begin(), epoch.bytes().end());
  const auto stored = co_await ok(core.journal.get(kTable, key));
  std::uint16_t attempt =
      stored && stored->size() == 2 ? static_cast<std::uint16_t>(load_le<std::uint16_t>(stored->data()) + 1) : 0;
  attempt = std::max(attempt, at_least);
  if (attempt >= kMaxAttempts)
    co_return fail(Code::aborted, "aborted: {} attempts to set up the epoch have failed", kMaxAttempts);
  std::vector<runtime::Change> changes;
  changes.push_back({runtime::Change::Kind::put, kTable, key, Writer().u16(attempt).take()});
  co_await ok(co_await core.journal.commit(std::move(changes)));
  co_return attempt;
}

/// Ends the session of an attempt when somebody calls from a later one.
Task<void> watch_for_later(Session& later, Session& present, bool& called) {
  const auto call = co_await later.next(kCall);
  if (!call) co_return;
  called = true;
  present.close(Session::Keep::sent);
}

Task<Status> one_attempt(node::Core& core, Session& session, EpochId epoch, ContextId context) {
  const auto timeout = core.config.threshold.round_timeout;
  co_await ok(session.send_all(kCall, runtime::make_payload({})));
  const auto keys = co_await ok(co_await mpc::agree_set_keys(session, core.rng, timeout));
  // Nobody goes on before all have their keys on disk: who restarts before that needs everybody in the next attempt.
  co_await ok(core.epochs.add(epoch, context, node::EpochOrigin::provisional, keys));
  co_await ok(session.send_all(kStored, runtime::make_payload({})));
  for (const Role peer : runtime::RoleSet::others(session.committee(), session.self()))
    co_await ok(co_await session.receive(peer, kStored, session.loop().after(timeout)));
  co_return Status{};
}

}  // namespace

Task<Status> set_up_provisional_epoch(node::Core& core, EpochId epoch, ContextId context) {
  std::uint16_t attempt = co_await ok(co_await next_attempt(core, epoch, 0));
  Session session = co_await ok(core.router.open(attempt_session(epoch, attempt)));
  for (;;) {
    Session later = co_await ok(core.router.open(attempt_session(epoch, static_cast<std::uint16_t>(attempt + 1))));
    bool called = false;
    runtime::TaskScope watch(core.loop);
    watch.spawn(watch_for_later(later, session, called));
    Status done = co_await one_attempt(core, session, epoch, context);
    watch.cancel();
    if (called && !done) {
      // Somebody restarted before it had its keys on disk: what was agreed here is worth nothing.
      co_await ok(core.epochs.erase(epoch));
    } else if (done || core.epochs.find(epoch) != nullptr) {
      if (!done) log::warn("epoch {}: set up, but not confirmed by all: {}", epoch.hex(), done.error().message);
      co_return Status{};
    }
    log::warn("epoch {}: attempt {} failed: {}", epoch.hex(), attempt, done.error().message);
    if (!called) co_return done;
    attempt = co_await ok(co_await next_attempt(core, epoch, static_cast<std::uint16_t>(attempt + 1)));
    session = std::move(later);
  }
}

}  // namespace witan::insecure
