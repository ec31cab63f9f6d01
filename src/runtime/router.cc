#include "runtime/router.h"

#include "base/log.h"
#include "runtime/session_state.h"

namespace witan::runtime {

Router::Impl::Impl(Loop& l, Link& k, RouterLimits limits_)
    : loop(l),
      link(k),
      limits(limits_),
      committee(k.committee()),
      self(k.self()),
      closed_timer(l, [this] { evict_closed(); }),
      parked_timer(l, [this] { expire_parked(); }),
      lookups(l) {}

Router::Impl::~Impl() {
  for (auto& sender : senders)
    while (!sender.parked.empty()) delete &sender.parked.pop_front();
  for (auto& [id, state] : sessions) {
    if (state->open) {
      state->open = false;
      state->drop_received();
    }
    state->router = nullptr;
  }
}

void Router::Impl::transmit(Role to, const Frame& frame, Lane lane) {
  if (!link.send(to, frame, lane)) ++counters.link_refused;
}

// Data.

void Router::Impl::deliver_data(Role from, Frame frame) {
  if (const auto found = sessions.find(frame.session); found != sessions.end() && found->second->open) {
    found->second->accept(from, frame.step, std::move(frame.payload));
  } else if (remembered.contains(frame.session) || found != sessions.end()) {
    ++counters.late;
  } else {
    park(from, std::move(frame));
  }
}

bool Router::Impl::has_room(Role from, const Payload& payload) const {
  const std::size_t bytes = senders[from.index()].waiting_bytes;
  return bytes <= limits.waiting_bytes && waiting_cost(payload) <= limits.waiting_bytes - bytes;
}

void Router::Impl::admit(Role from, const Payload& payload) {
  senders[from.index()].waiting_bytes += waiting_cost(payload);
}

void Router::Impl::note_delivered(Received& received) {
  Sender& sender = senders[received.from.index()];
  sender.waiting_bytes -= waiting_cost(received.payload);
  sender.delivered_bytes += received.payload->size();
  sender.delivered.push_back(received);
  while (sender.delivered_bytes > limits.delivered_bytes) {
    ++counters.delivered_forgotten;
    forget(sender.delivered.front());
  }
}

void Router::Impl::forget(Received& received) {
  Sender& sender = senders[received.from.index()];
  if (received.Delivered::linked())
    sender.delivered_bytes -= received.payload->size();
  else
    sender.waiting_bytes -= waiting_cost(received.payload);
  received.Delivered::unlink();
  received.payload = nullptr;
}

// Parking.

void Router::Impl::park(Role from, Frame frame) {
  expire_parked();
  Sender& sender = senders[from.index()];
  const std::size_t bytes = frame.payload->size() + RouterLimits::kFrameOverheadBytes;
  if (sender.parked_frames >= limits.parked_frames || sender.parked_bytes + bytes > limits.parked_bytes) {
    ++counters.parked_refused;
    return;
  }
  auto& entry = *new Parked;
  entry.from = from;
  entry.frame = std::move(frame);
  entry.arrived_at = loop.now();
  sender.parked.push_back(entry);
  sender.parked_frames += 1;
  sender.parked_bytes += bytes;
  ParkedSession& session = parked[entry.frame.session];
  session.frames.push_back(entry);
  session.of_sender[from.index()] += 1;
  session.senders.insert(from);
  ++counters.parked;
  if (!parked_timer.armed()) parked_timer.arm(loop.after(limits.parked_age));
}

void Router::Impl::drop_parked(Parked& entry) {
  Sender& sender = senders[entry.from.index()];
  sender.parked_frames -= 1;
  sender.parked_bytes -= entry.bytes();
  const auto found = parked.find(entry.frame.session);
  WITAN_CHECK(found != parked.end());
  ParkedSession& session = found->second;
  if (--session.of_sender[entry.from.index()] == 0) session.senders.erase(entry.from);
  delete &entry;
  if (session.frames.empty()) parked.erase(found);
}

void Router::Impl::expire_parked() {
  Instant oldest = kNever;
  for (auto& sender : senders) {
    while (!sender.parked.empty() &&
           saturating_add(sender.parked.front().arrived_at, limits.parked_age) <= loop.now()) {
      ++counters.parked_expired;
      drop_parked(sender.parked.front());
    }
    if (!sender.parked.empty()) oldest = std::min(oldest, sender.parked.front().arrived_at);
  }
  parked_timer.arm(oldest == kNever ? kNever : saturating_add(oldest, limits.parked_age));
}

void Router::Impl::unpark(Session::State& state) {
  const auto found = parked.find(state.id);
  if (found == parked.end()) return;
  List<Parked, BySessionTag> frames;
  frames.splice_back(found->second.frames);
  parked.erase(found);
  while (!frames.empty()) {
    Parked& entry = frames.pop_front();
    const Role from = entry.from;
    Frame frame = std::move(entry.frame);
    Sender& sender = senders[from.index()];
    sender.parked_frames -= 1;
    sender.parked_bytes -= frame.payload->size() + RouterLimits::kFrameOverheadBytes;
    delete &entry;
    state.accept(from, frame.step, std::move(frame.payload));
  }
}

// Resending.

/// Begins a new interval of that peer if the last one is over.
Router::Impl::Sender& Router::Impl::paced(Role peer) {
  Sender& sender = senders[peer.index()];
  if (saturating_add(sender.interval, limits.resend_interval) <= loop.now()) {
    sender.interval = loop.now();
    sender.store_lookups = sender.repeated_bytes = 0;
  }
  return sender;
}

void Router::Impl::deliver_request(Role from, const Frame& frame, Lane lane) {
  ++counters.resend_requests_received;
  const auto found = sessions.find(frame.session);
  if (found != sessions.end()) {
    Session::State& state = *found->second;
    if (const auto step = state.sent.find(frame.step); step != state.sent.end()) {
      Sent::To& to = step->second.to[from.index()];
      if (!to.payload) return;  // nothing is sent to that party in this step
      Sender& sender = paced(from);
      if (to.was_answered && (loop.now() - to.answered_at < limits.resend_interval ||
                              sender.repeated_bytes >= limits.repeated_bytes_per_interval)) {
        ++counters.resend_too_soon;
        return;
      }
      if (to.was_answered) sender.repeated_bytes += to.payload->size();
      to.was_answered = true;
      to.answered_at = loop.now();
      ++counters.resent;
      transmit(from, {FrameKind::data, frame.session, frame.step, to.payload}, lane);
      return;
    }
  }
  bool kept_before = remembered.contains(frame.session);
  if (found != sessions.end() && found->second->open) {
    const auto& released = found->second->sent_released;
    kept_before = frame.step < released.size() && released[frame.step];
    if (!kept_before) return;  // not sent yet: it will be
  }
  if (!store) {
    if (kept_before) answer_unavailable(from, frame.session, frame.step, lane);
    return;
  }
  Sender& sender = paced(from);
  if (sender.lookups >= limits.lookups_per_peer || sender.store_lookups >= limits.store_lookups_per_interval ||
      sender.repeated_bytes >= limits.repeated_bytes_per_interval) {
    ++counters.resend_too_soon;
    return;
  }
  ++sender.lookups;
  ++sender.store_lookups;
  lookups.spawn(look_up(from, frame.session, frame.step, lane, kept_before));
}

Task<void> Router::Impl::look_up(Role to, SessionId session, Step step, Lane lane, bool kept_before) {
  const SentLookup lookup = co_await store->find(session, step, to);
  --senders[to.index()].lookups;
  if (lookup.kind == SentLookup::Kind::found) {
    WITAN_CHECK(lookup.payload);
    senders[to.index()].repeated_bytes += lookup.payload->size();
    ++counters.resent;
    ++counters.resent_from_store;
    transmit(to, {FrameKind::data, session, step, lookup.payload}, lane);
  } else if (lookup.kind == SentLookup::Kind::finished || kept_before) {
    answer_unavailable(to, session, step, lane);
  }
}

void Router::Impl::answer_unavailable(Role to, SessionId session, Step step, Lane lane) {
  ++counters.unavailable_sent;
  transmit(to, {FrameKind::unavailable, session, step, nullptr}, lane);
}

void Router::Impl::deliver_unavailable(Role from, const Frame& frame) {
  ++counters.unavailable_received;
  const auto found = sessions.find(frame.session);
  if (found == sessions.end()) return;
  const auto step = found->second->steps.find(frame.step);
  if (step == found->second->steps.end() || step->second.arrived.contains(from)) return;
  step->second.gone.insert(from);
  step->second.waiters.wake_all();
}

// Closed sessions.

void Router::Impl::remember(SessionId id) {
  if (limits.remembered_sessions == 0 || !remembered.insert(id).second) return;
  if (remembered_ring.size() < limits.remembered_sessions) {
    remembered_ring.push_back(id);
    return;
  }
  remembered.erase(std::exchange(remembered_ring[remembered_next], id));
  remembered_next = (remembered_next + 1) % remembered_ring.size();
}

void Router::Impl::keep_closed(std::shared_ptr<Session::State> state) {
  state->closed_at = loop.now();
  closed_bytes += state->sent_bytes;
  closed.push_back(*state);
  while (closed_bytes > limits.closed_sent_bytes) drop_closed(closed.front());
  if (!closed.empty() && !closed_timer.armed())
    closed_timer.arm(saturating_add(closed.front().closed_at, limits.closed_sent_age));
}

void Router::Impl::evict_closed() {
  while (!closed.empty() && saturating_add(closed.front().closed_at, limits.closed_sent_age) <= loop.now())
    drop_closed(closed.front());
  if (!closed.empty()) closed_timer.arm(saturating_add(closed.front().closed_at, limits.closed_sent_age));
}

void Router::Impl::drop_closed(Session::State& state) {
  if (!state.sent.empty()) ++counters.closed_sent_evicted;
  state.ListNode<OpenTag>::unlink();
  closed_bytes -= state.sent_bytes;
  const auto keep_alive = state.shared_from_this();
  sessions.erase(state.id);
}

// Router.

Router::Router(Loop& loop, Link& link, RouterLimits limits) : impl_(std::make_unique<Impl>(loop, link, limits)) {}
Router::~Router() = default;

Result<Session> Router::open(SessionId id, SessionOptions options) {
  const auto before = impl_->sessions.find(id);
  const bool open_now = before != impl_->sessions.end() && before->second->open;
  if (open_now || (!options.reopen && (before != impl_->sessions.end() || impl_->remembered.contains(id))))
    return fail(Code::already_exists, "session {} {}", id.hex(), open_now ? "is open" : "was opened before");
  if (before != impl_->sessions.end()) impl_->drop_closed(*before->second);
  if (impl_->open_count >= impl_->limits.open_sessions)
    return fail(Code::resource_exhausted, "session {}: {} sessions are open, the limit", id.hex(), impl_->open_count);
  auto state = std::make_shared<Session::State>(*impl_, id, options);
  impl_->sessions.emplace(id, state);
  impl_->open.push_back(*state);
  ++impl_->open_count;
  impl_->unpark(*state);
  return Session(std::move(state));
}

void Router::set_sent_store(SentStore* store) {
  impl_->store = store;
}
const RouterCounters& Router::counters() const {
  return impl_->counters;
}
CommitteeSize Router::committee() const {
  return impl_->committee;
}
Role Router::self() const {
  return impl_->self;
}
Loop& Router::loop() const {
  return impl_->loop;
}
RouterUsage Router::usage() const {
  RouterUsage usage{.open_sessions = impl_->open_count,
                    .remembered_sessions = impl_->remembered.size(),
                    .parked_sessions = impl_->parked.size(),
                    .closed_sent_bytes = impl_->closed_bytes};
  for (const auto& sender : impl_->senders) {
    usage.parked_bytes += sender.parked_bytes;
    usage.waiting_bytes += sender.waiting_bytes;
    usage.delivered_bytes += sender.delivered_bytes;
  }
  return usage;
}
std::size_t Router::open_sessions() const {
  return impl_->open_count;
}
RoleSet Router::parked_from(SessionId session) const {
  const auto found = impl_->parked.find(session);
  return found == impl_->parked.end() ? RoleSet() : found->second.senders;
}
std::size_t Router::parked_bytes(Role sender) const {
  return impl_->senders[sender.index()].parked_bytes;
}

void Router::deliver(Role from, Frame frame, Lane lane) {
  if (from == impl_->self || !impl_->committee.contains(from) ||
      (frame.payload && frame.payload->size() > kMaxPayloadBytes)) {
    ++impl_->counters.malformed;
    return;
  }
  static const Payload empty = make_payload({});
  if (!frame.payload) frame.payload = empty;
  switch (frame.kind) {
    case FrameKind::data:
      return impl_->deliver_data(from, std::move(frame));
    case FrameKind::resend_request:
      return impl_->deliver_request(from, frame, lane);
    case FrameKind::unavailable:
      return impl_->deliver_unavailable(from, frame);
  }
  ++impl_->counters.malformed;  // a kind of a later version
}

void Router::Impl::reset(Role peer) {
  senders[peer.index()].reset_at = loop.now();
  for (Session::State& state : open)
    for (auto& [step, in] : state.steps) {
      in.gone.erase(peer);
      if (in.awaited().contains(peer)) in.ask(RoleSet{peer});
    }
}

Task<void> Router::Impl::reset_later(Role peer, Instant when) {
  co_await loop.sleep_until(when);
  senders[peer.index()].reset_waits = false;
  reset(peer);
}

void Router::peer_reset(Role peer) {
  ++impl_->counters.peer_resets;
  auto& sender = impl_->senders[peer.index()];
  if (sender.reset_waits) return;
  const Instant earliest = saturating_add(sender.reset_at, impl_->limits.resend_interval);
  if (sender.reset_at == Instant{} || earliest <= impl_->loop.now()) return impl_->reset(peer);
  sender.reset_waits = true;
  impl_->lookups.spawn(impl_->reset_later(peer, earliest));
}

}  // namespace witan::runtime
