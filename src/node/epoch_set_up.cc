#include "node/epoch_set_up.h"

#include "base/log.h"
#include "mpc/common_start.h"
#include "mpc/set_up.h"
#include "node/attempts.h"
#include "node/disk_wait.h"

namespace witan::node {

using runtime::ok;
using runtime::Task;

namespace {

constexpr auto kKind = crypto::SessionKind::epoch_setup;

/// Done when the keys are on disk. Whoever is here has keys that the others may have too: it does not give them up for a full disk.
Task<Status> store(EpochSetUpParts parts, EpochId epoch, ContextId context, mpc::EpochKeys made) {
  const auto keys = std::make_shared<const mpc::EpochKeys>(std::move(made));
  DiskWait disk(parts.router.loop(), fmt::format("epoch {}", epoch.hex()));
  co_return co_await disk.repeat([&] { return parts.epochs.add(parts.compute, epoch, context, keys); });
}

Task<Result<mpc::EpochKeys>> run_attempt(EpochSetUpParts parts, EpochId epoch, std::uint16_t attempt) {
  auto session = co_await ok(parts.router.open(crypto::session_id(epoch.bytes(), kKind, attempt, 0),
                                               mpc::set_up_session(parts.router.committee())));
  mpc::EpochSetUp set_up(session, parts.compute, parts.signatories, parts.rng, parts.round_timeout);
  auto keys = co_await set_up.run();
  for (const std::string& line : set_up.report().lines())
    log::warn("epoch {}, attempt {}: {}", epoch.hex(), attempt, line);
  co_return keys;
}

bool may_be_tried_again(const Error& error) {
  return error.code == Code::aborted || error.code == Code::deadline_exceeded;
}

}  // namespace

Task<Status> set_up_epoch(EpochSetUpParts parts, EpochId epoch, ContextId context) {
  auto meeting = co_await ok(parts.router.open(mpc::start_session(epoch.bytes(), kKind), mpc::start_session_options()));
  const std::uint16_t first = co_await ok(next_attempt(parts.journal, epoch.bytes(), kKind));
  mpc::CommonStart common(meeting, parts.round_timeout, first, [&](std::uint16_t attempt) {
    return record_attempt(parts.journal, epoch.bytes(), kKind, attempt);
  });
  std::string earlier;
  for (;;) {
    const auto attempt = co_await common.start();
    if (!attempt)
      co_return fail(
          attempt.error().code,
          "{}. This party has no keys of epoch {}: request another epoch, under a new id, from all parties{}",
          attempt.error().message, epoch.hex(), earlier);
    log::info("epoch {}: attempt {} begins", epoch.hex(), *attempt);
    auto keys = co_await run_attempt(parts, epoch, *attempt);
    if (keys) {
      co_await ok(co_await store(parts, epoch, context, *std::move(keys)));
      if (const Status told = common.done(); !told)
        log::warn("epoch {}: the others could not be told: {}", epoch.hex(), told.error().message);
      co_return Status{};
    }
    if (!may_be_tried_again(keys.error())) co_return fail(std::move(keys).error());
    log::warn("epoch {}: attempt {} failed: {}", epoch.hex(), *attempt, keys.error().message);
    earlier = fmt::format("; attempt {}: {}", *attempt, keys.error().message);
  }
}

Task<runtime::SentLookup> EpochSentStore::find(SessionId session, runtime::Step step, Role to) {
  if (step == mpc::kDoneStep)
    for (const auto& [id, epoch] : epochs_.all())
      if (session == mpc::start_session(id.bytes(), kKind))
        co_return runtime::SentLookup{runtime::SentLookup::Kind::found, mpc::done_message()};
  co_return co_await rest_.find(session, step, to);
}

}  // namespace witan::node
