// Inside of Session and Router; include session.h and router.h instead.
#pragma once

#include <array>
#include <map>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "runtime/router.h"

namespace witan::runtime {

/// A message that arrived in an open session.
struct Received final : ListNode<struct ArrivalTag>, ListNode<struct DeliveredTag> {
  using Arrival = ListNode<ArrivalTag>;      // in Incoming::waiting, until next() returns it
  using Delivered = ListNode<DeliveredTag>;  // in Router::Impl::Sender::delivered, while its payload is kept
  Role from;
  Payload payload;  // null: not arrived, or forgotten
};

/// What is known of one step of an open session.
class Incoming final : private Timer {
 public:
  Incoming(Session::State& session, Step step);
  ~Incoming();

  /// A coroutine awaits this step from these parties: asks for the missing ones while at least one does.
  void begin_wait(RoleSet from);
  void end_wait();
  void ask(RoleSet whom);
  RoleSet awaited() const { return awaited_ - arrived; }

  RoleSet arrived, heard;  // heard: returned by next()
  RoleSet gone;            // said `unavailable` since their last restart
  List<Received, ArrivalTag> waiting;
  std::vector<Received> from;  // by role; sized once
  WaitList waiters;

 private:
  void fire() override;

  Session::State& session_;
  const Step step_;
  RoleSet awaited_;
  int waiting_coroutines_ = 0;
  Duration back_off_;
  Instant ask_at_ = kNever;  // of the next request; kNever before the first wait
};

/// What was sent in one step.
struct Sent {
  struct To {
    Payload payload;
    Instant answered_at{};  // last answer to a resend request
    bool was_answered = false;
  };
  std::vector<To> to;  // by role
  std::size_t bytes = 0;
};

struct Session::State final : ListNode<struct OpenTag>, std::enable_shared_from_this<Session::State> {
  State(Router::Impl& r, SessionId i, SessionOptions o);

  Status send(Role to, Step step, const Payload& payload);
  Status keep(Role to, Step step, const Payload& payload);
  Status store_sent(Role to, Step step, const Payload& payload);
  void transmit(Role to, Step step, const Payload& payload);
  const Payload* find_sent(Role to, Step step) const;

  void accept(Role from, Step step, Payload payload);
  void accept_again(const Received& first, const Payload& payload);
  Incoming& incoming(Step step);
  std::optional<Message> take(Incoming& in, RoleSet candidates);
  bool is_released(Step step) const { return step < released.size() && released[step]; }
  void release_received(Step step);
  void release_sent(Step step);
  void drop_received();
  void close(Keep keep);

  Router::Impl* router;  // null once the router is gone
  const SessionId id;
  const SessionOptions options;
  const CommitteeSize committee;
  const Role self;
  Loop& loop;
  bool open = true;

  std::map<Step, Incoming> steps;
  std::vector<bool> released;                     // steps whose frames are dropped
  std::array<std::size_t, Role::kMax> waiting{};  // frames that arrived and were not delivered, by sender
  std::map<Step, Sent> sent;
  std::size_t sent_bytes = 0;
  std::vector<bool> sent_released;
  RoleSet equivocators;
  Instant closed_at{};
};

struct Router::Impl {
  Impl(Loop& l, Link& k, RouterLimits limits_);
  ~Impl();

  void deliver_data(Role from, Frame frame);
  void deliver_request(Role from, const Frame& frame, Lane lane);
  void deliver_unavailable(Role from, const Frame& frame);
  void transmit(Role to, const Frame& frame, Lane lane);

  void park(Role from, Frame frame);
  void unpark(Session::State& state);
  void expire_parked();

  // Accounts of a sender: a payload is first waiting, then delivered, then forgotten.
  static std::size_t waiting_cost(const Payload& payload) {
    return payload->size() + RouterLimits::kFrameOverheadBytes;
  }
  bool has_room(Role from, const Payload& payload) const;
  void admit(Role from, const Payload& payload);
  void note_delivered(Received& received);
  void forget(Received& received);

  void reset(Role peer);
  Task<void> reset_later(Role peer, Instant when);
  struct Sender;
  Sender& paced(Role peer);
  Task<void> look_up(Role to, SessionId session, Step step, Lane lane, bool kept_before);
  void answer_unavailable(Role to, SessionId session, Step step, Lane lane);

  void remember(SessionId id);
  void keep_closed(std::shared_ptr<Session::State> state);
  void evict_closed();
  void drop_closed(Session::State& state);

  struct Parked final : ListNode<struct BySenderTag>, ListNode<struct BySessionTag> {
    Role from;
    Frame frame;
    Instant arrived_at{};
    std::size_t bytes() const { return waiting_cost(frame.payload); }
  };
  struct ParkedSession {
    List<Parked, BySessionTag> frames;
    std::array<std::uint32_t, Role::kMax> of_sender{};
    RoleSet senders;
  };
  struct Sender {
    Instant reset_at{};  // peer_reset, for the last time
    bool reset_waits = false;
    List<Parked, BySenderTag> parked;  // oldest first
    std::size_t parked_frames = 0, parked_bytes = 0;
    List<Received, DeliveredTag> delivered;  // payloads kept to recognise equivocation, oldest first
    std::size_t waiting_bytes = 0, delivered_bytes = 0;
    std::size_t lookups = 0;
    // In the interval that began then.
    Instant interval{};
    std::size_t store_lookups = 0, repeated_bytes = 0;
  };
  void drop_parked(Parked& parked);

  Loop& loop;
  Link& link;
  const RouterLimits limits;
  const CommitteeSize committee;
  const Role self;
  SentStore* store = nullptr;
  RouterCounters counters;
  std::array<Sender, Role::kMax> senders;

  std::unordered_map<SessionId, std::shared_ptr<Session::State>> sessions;  // open, and closed with kept payloads
  List<Session::State, OpenTag> open;                                       // in order of opening
  std::size_t open_count = 0;
  List<Session::State, OpenTag> closed;  // with kept payloads, oldest first
  std::size_t closed_bytes = 0;
  CallbackTimer closed_timer;

  std::unordered_set<SessionId> remembered;
  std::vector<SessionId> remembered_ring;
  std::size_t remembered_next = 0;

  std::map<SessionId, ParkedSession> parked;  // ordered: peers choose these ids, no hash to flood
  CallbackTimer parked_timer;

  TaskScope lookups;
};

}  // namespace witan::runtime
