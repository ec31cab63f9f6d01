#include "mpc/sync_run.h"

#include <algorithm>

namespace witan::mpc {

std::string to_string(const Exclusion& exclusion) {
  const auto what = [&]() -> const char* {
    switch (exclusion.fault) {
      case Fault::no_broadcast:
        return "nothing came of its broadcast";
      case Fault::malformed:
        return "it sent something of another shape in broadcast";
      case Fault::contradicted:
        return "more than t parties hold other values than it says it dealt, as shown by broadcast";
      case Fault::unsupported:
        return "fewer than 2t+1 parties hold what it says it dealt, as shown by broadcast";
    }
    return "";
  }();
  return fmt::format("party {} was excluded: {} {}", exclusion.party.number(), what, exclusion.broadcast);
}

runtime::Task<Result<BroadcastOutcome>> SyncRun::broadcast_all(Bytes own, std::size_t max_bytes) {
  co_return co_await broadcast.run(next_broadcast++, runtime::make_payload(std::move(own)), active, max_bytes);
}

runtime::Instant SyncRun::opening_deadline() const {
  return session.loop().after((committee().threshold() + 4) * round_timeout);
}

Status SyncRun::exclude(std::span<const Exclusion> found) {
  for (const Exclusion& exclusion : found) {
    if (!active.contains(exclusion.party)) continue;
    active.erase(exclusion.party);
    exclusions.push_back(exclusion);
  }
  const auto list = [this] {
    std::string out;
    for (const Exclusion& exclusion : exclusions) out += (out.empty() ? "" : "; ") + to_string(exclusion);
    return out;
  };
  if (active.size() < committee().parties() - committee().threshold())
    return fail(Code::aborted, "aborted: more than {} parties are excluded: {}", committee().threshold(), list());
  if (!active.contains(self())) return fail(Code::aborted, "aborted: this party is not trusted any more: {}", list());
  return {};
}

}  // namespace witan::mpc
