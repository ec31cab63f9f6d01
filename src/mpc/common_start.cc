#include "mpc/common_start.h"

#include <algorithm>

#include "base/check.h"

namespace witan::mpc {

using runtime::Instant;
using runtime::kNever;
using runtime::ok;
using runtime::RoleSet;
using runtime::Task;

namespace {

/// No attempt of a protocol has this number.
constexpr std::uint16_t kStartOfAll = 0xffff;

std::string list(RoleSet roles) {
  std::string out;
  for (const Role role : roles) out += fmt::format("{}{}", out.empty() ? "" : ", ", role.number());
  return out.empty() ? "none" : out;
}

Bytes encode(RoleSet roles) {
  Bytes out;
  append_le<std::uint16_t>(out, roles.bits());
  return out;
}

/// Null: it names nobody in this committee, or is no set.
std::optional<RoleSet> decode(ByteView bytes, CommitteeSize committee) {
  if (bytes.size() != 2) return std::nullopt;
  const auto bits = load_le<std::uint16_t>(bytes.data());
  RoleSet out;
  for (const Role role : RoleSet::all(committee))
    if (bits >> role.index() & 1) out.insert(role);
  if (out.bits() != bits) return std::nullopt;
  return out;
}

}  // namespace

SessionId start_session(const ByteArray<32>& id, crypto::SessionKind kind) {
  return crypto::session_id(id, kind, kStartOfAll, 0);
}

runtime::SessionOptions start_session_options() {
  // Asked for at once: what was said before this party was there must not come later than what is said now.
  return {.resend_after = {}, .max_payload_bytes = 2, .max_steps = kDoneStep + 1};
}

runtime::Payload done_message() {
  return runtime::make_payload({});
}

CommonStart::CommonStart(runtime::Session& session, runtime::Duration round_timeout, std::uint16_t first, Record record)
    : session_(session),
      round_timeout_(round_timeout),
      give_up_(session.loop().after(longest_wait(session.committee(), round_timeout))),
      next_(first),
      record_(std::move(record)),
      progress_(session.loop()),
      listening_(session.loop()) {
  for (std::uint16_t number = next_; number < kMaxAttempts; ++number) {
    listening_.spawn(
        hear(ready_step(number), [this, number](const runtime::Message& m) { ready_[number].insert(m.from); }));
    listening_.spawn(hear(go_step(number), [this, number](const runtime::Message& m) { take_go(number, m); }));
  }
  listening_.spawn(hear(kDoneStep, [this](const runtime::Message& m) { done_.insert(m.from); }));
}

Task<void> CommonStart::hear(runtime::Step step, std::function<void(const runtime::Message&)> take) {
  for (;;) {
    const auto message = co_await session_.next(step);
    if (message) {
      take(*message);
      progress_.wake_all();
    } else if (message.error().code == Code::unavailable) {
      co_await session_.loop().sleep_for(round_timeout_ / 32);  // they have left; one that restarts may come again
    } else {
      co_return;  // all were heard, or the session is closed
    }
  }
}

void CommonStart::take_go(std::uint16_t number, const runtime::Message& message) {
  if (const auto named = decode(message.bytes(), session_.committee())) said_go_[number].emplace(message.from, *named);
}

std::uint16_t CommonStart::supported_attempt() const {
  RoleSet others;
  for (std::uint16_t number = kMaxAttempts; number-- > 0;) {
    others = others | ready_[number];
    if (others.size() > session_.committee().threshold()) return number;
  }
  return 0;
}

std::string CommonStart::described(std::uint16_t number) const {
  RoleSet going;
  for (const auto& [party, named] : said_go_[number]) going.insert(party);
  return fmt::format("attempt {}: ready were besides this party {}, {} of {} are needed in all; on went {}", number,
                     list(ready_[number]), session_.committee().parties() - session_.committee().threshold(),
                     session_.committee().parties(), list(going));
}

Task<Result<std::uint16_t>> CommonStart::start() {
  for (;;) {
    const std::uint16_t number = next_;
    if (number >= kMaxAttempts)
      co_return fail(Code::aborted, "aborted: all {} attempts of this party have failed", kMaxAttempts);
    next_ = static_cast<std::uint16_t>(number + 1);
    co_await ok(co_await record_(number));
    const Outcome outcome = co_await ok(co_await attempt(number));
    if (outcome.started) co_return number;
    WITAN_CHECK(outcome.attempt > number);
    next_ = outcome.attempt;
  }
}

Task<Result<CommonStart::Outcome>> CommonStart::attempt(std::uint16_t number) {
  const CommitteeSize committee = session_.committee();
  const Role self = session_.self();
  const int quorum = committee.parties() - committee.threshold();
  const auto names_self = [self](const auto& said) { return said.second.contains(self); };
  runtime::Loop& loop = session_.loop();

  co_await ok(session_.send_all(ready_step(number), runtime::make_payload({})));
  auto& said_go = said_go_[number];
  Instant waited = kNever, called = kNever, no_start = kNever;
  for (;;) {
    if (done_.size() > committee.threshold())
      co_return fail(Code::aborted, "aborted: this party is too late: parties {} are done without it", list(done_));
    const bool spoke = no_start != kNever;
    if (spoke && std::ranges::count_if(said_go, names_self) >= quorum) co_return Outcome{true, number};
    if (const std::uint16_t higher = supported_attempt(); higher > number) co_return Outcome{false, higher};
    const Instant now = loop.now();
    if (now >= no_start) co_return Outcome{false, static_cast<std::uint16_t>(number + 1)};
    if (now >= give_up_)
      co_return fail(Code::deadline_exceeded, "no common start in {} s; {}",
                     std::chrono::duration_cast<std::chrono::seconds>(longest_wait(committee, round_timeout_)).count(),
                     described(number));

    const RoleSet ready = ready_[number] | RoleSet{self};
    if (ready.size() >= quorum) waited = std::min(waited, runtime::saturating_add(now, round_timeout_));
    if (static_cast<int>(said_go.size()) > committee.threshold())
      called = std::min(called, runtime::saturating_add(now, round_timeout_ / 32));
    if (!spoke && (ready == RoleSet::all(committee) || now >= std::min(waited, called))) {
      co_await ok(session_.send_all(go_step(number), runtime::make_payload(encode(ready))));
      said_go.emplace(self, ready);
      no_start = runtime::saturating_add(now, 2 * round_timeout_);
      continue;
    }
    co_await progress_.wait(std::min(give_up_, spoke ? no_start : std::min(waited, called)));
  }
}

Status CommonStart::done() {
  return session_.send_all(kDoneStep, done_message());
}

}  // namespace witan::mpc
