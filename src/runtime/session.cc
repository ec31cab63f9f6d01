#include "runtime/session.h"

#include <algorithm>

#include "runtime/session_state.h"

namespace witan::runtime {

// One step.

Incoming::Incoming(Session::State& session, Step step)
    : Timer(session.loop),
      from(static_cast<std::size_t>(session.committee.parties())),
      waiters(session.loop),
      session_(session),
      step_(step),
      back_off_(session.options.resend_after) {
  for (std::size_t i = 0; i < from.size(); ++i) from[i].from = Role(static_cast<int>(i) + 1);
}

Incoming::~Incoming() {
  for (Received& received : from) {
    if (received.Arrival::linked()) --session_.waiting[received.from.index()];
    if (received.payload && session_.router) session_.router->forget(received);
  }
}

void Incoming::begin_wait(RoleSet whom) {
  awaited_ = awaited_ | whom;
  if (waiting_coroutines_++ > 0) return;
  if (ask_at_ == kNever) ask_at_ = loop().after(back_off_);
  arm(ask_at_);
}

void Incoming::end_wait() {
  if (--waiting_coroutines_ > 0) return;
  awaited_ = {};
  disarm();
}

void Incoming::fire() {
  ask(awaited() - gone);
  constexpr Duration kShortest = std::chrono::milliseconds(10);
  back_off_ = std::max(kShortest, std::min(2 * back_off_, session_.options.resend_at_most));
  ask_at_ = loop().after(back_off_);
  arm(ask_at_);
}

void Incoming::ask(RoleSet whom) {
  if (!session_.router) return;
  for (Role peer : whom) {
    ++session_.router->counters.resend_requests_sent;
    session_.router->transmit(peer, {FrameKind::resend_request, session_.id, step_, nullptr}, session_.options.lane);
  }
}

// Session::State: sending.

Session::State::State(Router::Impl& r, SessionId i, SessionOptions o)
    : router(&r), id(i), options(o), committee(r.committee), self(r.self), loop(r.loop) {}

Status Session::State::send(Role to, Step step, const Payload& payload) {
  WITAN_TRY(keep(to, step, payload));
  transmit(to, step, payload);
  return {};
}

Status Session::State::keep(Role to, Step step, const Payload& payload) {
  if (!open) return fail(Code::cancelled, "session {}: closed, step {} is not sent", id.hex(), step);
  if (to == self || !committee.contains(to))
    return fail(Code::invalid_argument, "session {}: party {} cannot send to party {}", id.hex(), self.number(),
                to.number());
  if (!payload || payload->size() > options.max_payload_bytes)
    return fail(Code::invalid_argument, "session {} step {}: payload of {} bytes, at most {}", id.hex(), step,
                payload ? payload->size() : 0, options.max_payload_bytes);
  if (step >= options.max_steps)
    return fail(Code::invalid_argument, "session {}: step {}, must be below {}", id.hex(), step, options.max_steps);
  return store_sent(to, step, payload);
}

Status Session::State::store_sent(Role to, Step step, const Payload& payload) {
  if (const Payload* earlier = find_sent(to, step)) {
    if (*earlier == payload || **earlier == *payload) return {};
    return fail(Code::already_exists, "session {} step {}: other content was sent to party {} before", id.hex(), step,
                to.number());
  }
  const auto [entry, is_new] = sent.try_emplace(step);
  Sent& step_sent = entry->second;
  if (is_new) step_sent.to.resize(static_cast<std::size_t>(committee.parties()));
  const bool shared =
      std::ranges::any_of(step_sent.to, [&](const Sent::To& other) { return other.payload == payload; });
  const std::size_t bytes = shared ? 0 : payload->size();
  if (bytes > router->limits.sent_bytes - sent_bytes) {
    if (is_new) sent.erase(entry);
    return fail(Code::resource_exhausted,
                "session {} step {}: {} bytes are kept for resending, at most {}; release steps", id.hex(), step,
                sent_bytes, router->limits.sent_bytes);
  }
  step_sent.to[to.index()].payload = payload;
  step_sent.bytes += bytes;
  sent_bytes += bytes;
  return {};
}

void Session::State::transmit(Role to, Step step, const Payload& payload) {
  router->transmit(to, {FrameKind::data, id, step, payload}, options.lane);
}

const Payload* Session::State::find_sent(Role to, Step step) const {
  const auto found = sent.find(step);
  if (found == sent.end()) return nullptr;
  const Payload& payload = found->second.to[to.index()].payload;
  return payload ? &payload : nullptr;
}

void Session::State::release_sent(Step step) {
  const auto found = sent.find(step);
  if (found == sent.end()) return;
  if (!open && router && ListNode<OpenTag>::linked()) router->closed_bytes -= found->second.bytes;
  sent_bytes -= found->second.bytes;
  sent.erase(found);
  if (open) {
    if (sent_released.size() <= step) sent_released.resize(step + 1);
    sent_released[step] = true;
  } else if (sent.empty() && router && ListNode<OpenTag>::linked()) {
    router->drop_closed(*this);
  }
}

// Session::State: receiving.

Incoming& Session::State::incoming(Step step) {
  return steps.try_emplace(step, *this, step).first->second;
}

void Session::State::accept(Role from, Step step, Payload payload) {
  auto& counters = router->counters;
  if (payload->size() > options.max_payload_bytes || step >= options.max_steps) {
    ++counters.malformed;
    return;
  }
  if (is_released(step)) {
    ++counters.late;
    return;
  }
  const auto known = steps.find(step);
  if (known != steps.end() && known->second.arrived.contains(from)) {
    accept_again(known->second.from[from.index()], payload);
    return;
  }
  // What is awaited does not stay: without it those that follow would never be taken, and never make room.
  const bool awaited = known != steps.end() && known->second.awaited().contains(from);
  if (!awaited && (waiting[from.index()] >= router->limits.waiting_frames || !router->has_room(from, payload))) {
    ++counters.waiting_refused;
    return;
  }
  router->admit(from, payload);
  ++counters.delivered;
  ++waiting[from.index()];
  Incoming& in = incoming(step);
  Received& received = in.from[from.index()];
  received.payload = std::move(payload);
  in.arrived.insert(from);
  in.waiting.push_back(received);
  in.waiters.wake_all();
}

void Session::State::accept_again(const Received& first, const Payload& payload) {
  auto& counters = router->counters;
  if (!first.payload || first.payload == payload || *first.payload == *payload) {
    ++counters.duplicates;
    return;
  }
  ++counters.equivocations;
  equivocators.insert(first.from);
}

std::optional<Message> Session::State::take(Incoming& in, RoleSet candidates) {
  if (((in.arrived - in.heard) & candidates).empty()) return std::nullopt;
  for (Received& received : in.waiting) {  // in order of arrival
    if (!candidates.contains(received.from)) continue;
    received.Arrival::unlink();
    --waiting[received.from.index()];
    in.heard.insert(received.from);
    Message message{received.from, received.payload};
    router->note_delivered(received);
    return message;
  }
  return std::nullopt;
}

void Session::State::release_received(Step step) {
  if (step >= options.max_steps) return;
  if (released.size() <= step) released.resize(step + 1);
  released[step] = true;
  const auto found = steps.find(step);
  if (found == steps.end()) return;
  found->second.waiters.wake_all();
  steps.erase(found);
}

void Session::State::drop_received() {
  for (auto& [step, in] : steps) in.waiters.wake_all();
  steps.clear();
  released.clear();
}

void Session::State::close(Keep keep) {
  if (!open) {
    if (keep == Keep::nothing)
      while (!sent.empty()) release_sent(sent.begin()->first);
    return;
  }
  open = false;
  drop_received();
  if (keep == Keep::nothing) sent.clear(), sent_bytes = 0;
  if (!router) return;
  const auto keep_alive = shared_from_this();
  ListNode<OpenTag>::unlink();
  --router->open_count;
  router->remember(id);
  if (sent.empty())
    router->sessions.erase(id);
  else
    router->keep_closed(keep_alive);
}

// Session.

Session::Session(std::shared_ptr<State> state) : state_(std::move(state)) {}
Session::Session(Session&&) noexcept = default;
Session& Session::operator=(Session&& other) noexcept {
  if (this != &other) {
    if (state_) state_->close(Keep::sent);
    state_ = std::move(other.state_);
  }
  return *this;
}
Session::~Session() {
  if (state_) state_->close(Keep::sent);
}

SessionId Session::id() const {
  return state_->id;
}
CommitteeSize Session::committee() const {
  return state_->committee;
}
Role Session::self() const {
  return state_->self;
}
Loop& Session::loop() const {
  return state_->loop;
}
bool Session::is_open() const {
  return state_->open;
}
void Session::close(Keep keep) {
  state_->close(keep);
}

Status Session::send(Role to, Step step, Payload payload) {
  return state_->send(to, step, payload);
}

Status Session::send_all(Step step, Payload payload) {
  for (Role to : RoleSet::others(state_->committee, state_->self)) WITAN_TRY(state_->send(to, step, payload));
  return {};
}

Status Session::offer(Role to, Step step, Payload payload) {
  return state_->keep(to, step, payload);
}

Status Session::offer_all(Step step, Payload payload) {
  for (Role to : RoleSet::others(state_->committee, state_->self)) WITAN_TRY(state_->keep(to, step, payload));
  return {};
}

Task<Result<Message>> Session::next(Step step, Instant deadline) {
  return next_of(state_, step, RoleSet::others(state_->committee, state_->self), deadline);
}

Task<Result<Message>> Session::next(Step step, RoleSet from, Instant deadline) {
  from = from & RoleSet::others(state_->committee, state_->self);
  return next_of(state_, step, from, deadline);
}

Task<Result<Message>> Session::receive(Role from, Step step, Instant deadline) {
  return next(step, RoleSet{from}, deadline);
}

namespace {

/// A coroutine awaits a step, as long as this lives. The step may be released meanwhile.
class Waiting {
 public:
  Waiting(Session::State& state, Step step, RoleSet from) : state_(state), step_(step) {
    state_.steps.at(step).begin_wait(from);
  }
  Waiting(const Waiting&) = delete;
  Waiting& operator=(const Waiting&) = delete;
  ~Waiting() {
    if (const auto found = state_.steps.find(step_); found != state_.steps.end()) found->second.end_wait();
  }

 private:
  Session::State& state_;
  Step step_;
};

}  // namespace

Task<Result<Message>> Session::next_of(std::shared_ptr<State> state, Step step, RoleSet from, Instant deadline) {
  if (step >= state->options.max_steps)
    co_return fail(Code::invalid_argument, "session {}: step {}, must be below {}", state->id.hex(), step,
                   state->options.max_steps);
  Wake wake = Wake::notified;
  for (;;) {
    if (!state->open)
      co_return fail(Code::cancelled, "session {}: closed while awaiting step {}", state->id.hex(), step);
    if (state->is_released(step))
      co_return fail(Code::failed_precondition, "session {}: step {} was released", state->id.hex(), step);
    Incoming& in = state->incoming(step);
    if (auto message = state->take(in, from)) co_return *std::move(message);
    const RoleSet missing = from - in.heard;
    if (missing.empty())
      co_return fail(Code::out_of_range, "session {} step {}: all {} parties were heard", state->id.hex(), step,
                     from.size());
    if ((missing - in.gone).empty())
      co_return fail(Code::unavailable, "session {} step {}: {} parties do not keep their message any more",
                     state->id.hex(), step, missing.size());
    if (wake == Wake::timed_out)
      co_return fail(Code::deadline_exceeded, "session {} step {}: {} of {} parties were not heard in time",
                     state->id.hex(), step, missing.size(), from.size());
    const Waiting waiting(*state, step, missing);
    wake = co_await in.waiters.wait(deadline);
  }
}

RoleSet Session::heard(Step step) const {
  const auto found = state_->steps.find(step);
  return found == state_->steps.end() ? RoleSet{} : found->second.heard;
}
RoleSet Session::equivocators() const {
  return state_->equivocators;
}

void Session::request_resend(Step step, RoleSet from) {
  if (!state_->open || state_->is_released(step) || step >= state_->options.max_steps) return;
  Incoming& in = state_->incoming(step);
  in.ask((from & RoleSet::others(state_->committee, state_->self)) - in.arrived);
}

void Session::release_sent(Step step) {
  state_->release_sent(step);
}
void Session::release_received(Step step) {
  if (state_->open) state_->release_received(step);
}

}  // namespace witan::runtime
