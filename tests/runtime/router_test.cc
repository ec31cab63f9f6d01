// Router and Session over the in-process network: delivery, parking, equivocation, resending, limits.
#include "runtime/router.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/memory_network.h"
#include "support/support.h"

namespace witan::runtime {
namespace {

using testing::ElementsAre;
using namespace std::chrono_literals;

constexpr SessionId kId{7};
constexpr Step kStep = 3;

Payload text(std::string_view s) {
  return make_payload(Bytes(as_bytes(s).begin(), as_bytes(s).end()));
}
std::string text(const Message& m) {
  return {m.payload->begin(), m.payload->end()};
}

/// Parties 1..4. Party 1 is the one under test; the others are routers too, or raw senders through their links.
class RouterTest : public testing::Test {
 protected:
  RouterTest() { start({}); }
  ~RouterTest() override { stop(); }

  void start(RouterLimits limits) {
    stop();
    for (int i = 1; i <= 4; ++i) {
      routers.push_back(std::make_unique<Router>(loop, network.link(Role(i)), limits));
      network.attach(Role(i), routers.back().get());
    }
  }
  void stop() {
    for (int i = 1; i <= 4; ++i) network.attach(Role(i), nullptr);
    routers.clear();
  }
  Router& router(int party = 1) { return *routers[static_cast<std::size_t>(party - 1)]; }
  const RouterCounters& counters(int party = 1) { return router(party).counters(); }
  Session open(int party = 1, SessionOptions options = {}) { return *router(party).open(kId, options); }

  /// A frame to party 1, without a session of the sender.
  void raw(int from, Frame frame, Lane lane = Lane::urgent) { router().deliver(Role(from), std::move(frame), lane); }
  void raw_data(int from, Step step, std::string_view s, SessionId id = kId) {
    raw(from, {FrameKind::data, id, step, text(s)});
  }
  /// "2:hello", or the name of the error.
  std::string next(Session& session, Step step = kStep, Duration patience = 100ms) {
    const auto message = loop.run(session.next(step, loop.after(patience)));
    return message ? std::to_string(message->from.number()) + ":" + text(*message) : to_string(message.error().code);
  }

  VirtualLoop loop;
  CommitteeSize committee = *CommitteeSize::make(4, 1);
  MemoryNetwork network{loop, committee};
  std::vector<std::unique_ptr<Router>> routers;
};

// Delivery.

TEST_F(RouterTest, EachPartyHearsEveryOtherOnceInOrderOfArrival) {
  std::vector<Session> sessions;
  for (int i = 1; i <= 4; ++i) sessions.push_back(open(i));
  for (int i : {3, 1, 4, 2})
    ASSERT_TRUE(sessions[static_cast<std::size_t>(i - 1)].send_all(kStep, text("from " + std::to_string(i))));
  EXPECT_EQ(next(sessions[0]), "3:from 3");
  EXPECT_EQ(next(sessions[0]), "4:from 4");
  EXPECT_EQ(next(sessions[0]), "2:from 2");
  EXPECT_EQ(next(sessions[0]), "OUT_OF_RANGE") << "all were heard";
  EXPECT_EQ(next(sessions[2]), "1:from 1");
  EXPECT_EQ(sessions[0].heard(kStep).size(), 3);
}

TEST_F(RouterTest, StepsAndSessionsDoNotMix) {
  auto a = *router().open(SessionId{1}), b = *router().open(SessionId{2});
  raw_data(2, 5, "a5", SessionId{1});
  raw_data(2, 5, "b5", SessionId{2});
  raw_data(2, 4, "a4", SessionId{1});
  EXPECT_EQ(next(a, 4), "2:a4");
  EXPECT_EQ(next(b, 5), "2:b5");
  EXPECT_EQ(next(a, 5), "2:a5");
  EXPECT_EQ(next(b, 4), "DEADLINE_EXCEEDED");
}

TEST_F(RouterTest, NextOfSomePartiesSkipsTheOthers) {
  auto session = open();
  raw_data(2, kStep, "two");
  raw_data(4, kStep, "four");
  const auto message = loop.run(session.receive(Role(4), kStep));
  ASSERT_TRUE(message);
  EXPECT_EQ(text(*message), "four");
  EXPECT_EQ(loop.run(session.receive(Role(4), kStep)).error().code, Code::out_of_range);
  EXPECT_EQ(next(session), "2:two");
}

TEST_F(RouterTest, SeveralCoroutinesShareTheMessagesOfAStep) {
  auto session = open();
  TaskScope scope(loop);
  std::vector<std::string> got;
  auto take = [&]() -> Task<void> {
    const auto message = co_await session.next(kStep);
    got.push_back(message ? text(*message) : to_string(message.error().code));
  };
  for (int i = 0; i < 4; ++i) scope.spawn(take());
  loop.run_ready();
  for (int i = 2; i <= 4; ++i) raw_data(i, kStep, std::to_string(i));
  loop.run_ready();
  EXPECT_THAT(got, testing::UnorderedElementsAre("2", "3", "4", "OUT_OF_RANGE"));
}

TEST_F(RouterTest, AMessageIsNotLostWithTheCoroutineThatAwaitedIt) {
  auto session = open();
  {
    TaskScope scope(loop);
    auto take = [&]() -> Task<void> { (void)co_await session.next(kStep); };
    scope.spawn(take());
    loop.run_ready();
    raw_data(2, kStep, "two");  // the coroutine is woken, and destroyed before it runs
  }
  EXPECT_EQ(next(session), "2:two");
}

TEST_F(RouterTest, AnEmptyPayloadIsAMessage) {
  auto session = open();
  raw(2, {FrameKind::data, kId, kStep, nullptr});
  EXPECT_EQ(next(session), "2:");
}

// Deadlines and errors.

TEST_F(RouterTest, NextEndsAtItsDeadlineButPrefersAMessage) {
  auto session = open();
  EXPECT_EQ(next(session, kStep, 50ms), "DEADLINE_EXCEEDED");
  EXPECT_EQ(loop.now().time_since_epoch(), 50ms);
  raw_data(2, kStep, "late");
  EXPECT_EQ(next(session, kStep, 0ms), "2:late");
}

TEST_F(RouterTest, SendRefusesWhatItMustNotSend) {
  auto session = open(1, {.max_payload_bytes = 4, .max_steps = 10});
  const auto code = [](const Status& s) { return s ? "ok" : to_string(s.error().code); };
  EXPECT_STREQ(code(session.send(Role(1), 0, text("x"))), "INVALID_ARGUMENT") << "to itself";
  EXPECT_STREQ(code(session.send(Role(5), 0, text("x"))), "INVALID_ARGUMENT") << "not in the committee";
  EXPECT_STREQ(code(session.send(Role(2), 0, text("12345"))), "INVALID_ARGUMENT") << "too long";
  EXPECT_STREQ(code(session.send(Role(2), 0, nullptr)), "INVALID_ARGUMENT");
  EXPECT_STREQ(code(session.send(Role(2), 10, text("x"))), "INVALID_ARGUMENT") << "step";
  EXPECT_STREQ(code(session.send(Role(2), 9, text("1234"))), "ok");
  EXPECT_STREQ(code(session.send(Role(2), 9, text("1234"))), "ok") << "the same again";
  EXPECT_STREQ(code(session.send(Role(3), 9, text("4321"))), "ok") << "other content for another party";
  EXPECT_STREQ(code(session.send(Role(2), 9, text("4321"))), "ALREADY_EXISTS") << "two contents in one step";
  session.close(Session::Keep::sent);
  EXPECT_STREQ(code(session.send(Role(2), 8, text("x"))), "CANCELLED");
}

TEST_F(RouterTest, AFullLinkIsNoErrorAndThePeerAsksLater) {
  MemoryNetwork narrow(loop, committee, 1);
  Router one(loop, narrow.link(Role(1))), two(loop, narrow.link(Role(2)));
  narrow.attach(Role(1), &one);
  narrow.attach(Role(2), &two);
  auto a = *one.open(kId), b = *two.open(kId);
  for (Step step = 0; step < 3; ++step) ASSERT_TRUE(a.send(Role(2), step, text("step " + std::to_string(step))));
  EXPECT_EQ(one.counters().link_refused, 2u);
  for (Step step = 0; step < 3; ++step) EXPECT_EQ(next(b, step, 10s), "1:step " + std::to_string(step));
  EXPECT_EQ(one.counters().resent, 2u);
}

// Session ids.

TEST_F(RouterTest, AnIdIsOpenedOnce) {
  auto session = open();
  EXPECT_EQ(router().open(kId).error().code, Code::already_exists);
  session.close(Session::Keep::nothing);
  EXPECT_EQ(router().open(kId).error().code, Code::already_exists);
}

TEST_F(RouterTest, ClosedIdsAreRememberedWithinALimit) {
  start({.remembered_sessions = 2});
  for (std::uint64_t i = 1; i <= 3; ++i) (*router().open(SessionId{i})).close(Session::Keep::nothing);
  const auto reopened = router().open(SessionId{1});
  EXPECT_TRUE(reopened) << "forgotten: the journal's business now";
  EXPECT_FALSE(router().open(SessionId{2}));
  EXPECT_FALSE(router().open(SessionId{3}));
}

TEST_F(RouterTest, OpenSessionsAreLimited) {
  start({.open_sessions = 2});
  auto a = *router().open(SessionId{1}), b = *router().open(SessionId{2});
  EXPECT_EQ(router().open(SessionId{3}).error().code, Code::resource_exhausted);
  a.close(Session::Keep::nothing);
  EXPECT_TRUE(router().open(SessionId{3}));
}

// Parking.

TEST_F(RouterTest, FramesBeforeTheSessionAreParked) {
  raw_data(2, kStep, "early");
  raw_data(2, kStep + 1, "early too");
  raw_data(3, kStep, "other session", SessionId{8});
  EXPECT_EQ(counters().parked, 3u);
  auto session = open();
  EXPECT_EQ(next(session), "2:early");
  EXPECT_EQ(next(session, kStep + 1), "2:early too");
  EXPECT_EQ(router().parked_bytes(Role(2)), 0u);
  EXPECT_GT(router().parked_bytes(Role(3)), 0u);
}

TEST_F(RouterTest, ParkedFramesTellWhoHasBegun) {
  start({.parked_age = 10s});
  EXPECT_EQ(router().parked_from(kId), RoleSet());
  raw_data(2, kStep, "early");
  loop.advance(5s);
  raw_data(2, kStep + 1, "again");
  raw_data(3, kStep, "other session", SessionId{8});
  EXPECT_EQ(router().parked_from(kId), RoleSet{Role(2)});
  raw_data(4, kStep, "early too");
  EXPECT_EQ(router().parked_from(kId), (RoleSet{Role(2), Role(4)}));
  loop.advance(6s);
  EXPECT_EQ(router().parked_from(kId), (RoleSet{Role(2), Role(4)})) << "one of two frames has expired";
  loop.advance(5s);
  EXPECT_EQ(router().parked_from(kId), RoleSet());
  raw_data(3, kStep, "early");
  auto session = open();
  EXPECT_EQ(router().parked_from(kId), RoleSet());
}

TEST_F(RouterTest, ParkingIsLimitedPerSender) {
  start({.parked_frames = 3, .parked_bytes = 1u << 20});
  for (std::uint64_t i = 0; i < 10; ++i) raw_data(2, 0, "flood", SessionId{100 + i});
  raw_data(3, kStep, "honest");
  EXPECT_EQ(counters().parked, 4u);
  EXPECT_EQ(counters().parked_refused, 7u);
  auto session = open();
  EXPECT_EQ(next(session), "3:honest");
}

TEST_F(RouterTest, ParkedBytesAreLimitedPerSender) {
  start({.parked_bytes = 10'000});
  raw(2, {FrameKind::data, SessionId{1}, 0, make_payload(Bytes(8'000))});
  raw(2, {FrameKind::data, SessionId{2}, 0, make_payload(Bytes(8'000))});
  EXPECT_EQ(counters().parked_refused, 1u);
  EXPECT_LE(router().parked_bytes(Role(2)), 10'000u);
}

TEST_F(RouterTest, ParkedFramesExpire) {
  start({.parked_age = 10s});
  raw_data(2, kStep, "too early");
  loop.advance(5s);
  raw_data(3, kStep, "early");
  loop.advance(6s);
  EXPECT_EQ(counters().parked_expired, 1u);
  EXPECT_EQ(router().parked_bytes(Role(2)), 0u);
  auto session = open();
  EXPECT_EQ(next(session), "3:early");
}

// Duplicates and equivocation.

TEST_F(RouterTest, TheFirstMessageWinsAndAnIdenticalOneIsDropped) {
  auto session = open();
  raw_data(2, kStep, "same");
  raw_data(2, kStep, "same");
  EXPECT_EQ(next(session), "2:same");
  raw_data(2, kStep, "same");
  EXPECT_EQ(next(session), "DEADLINE_EXCEEDED");
  EXPECT_EQ(counters().duplicates, 2u);
  EXPECT_TRUE(session.equivocators().empty());
}

TEST_F(RouterTest, ADifferentMessageIsRecordedAsEquivocation) {
  for (const bool heard_before : {false, true}) {
    start({});
    auto session = open();
    raw_data(2, kStep, "first");
    if (heard_before) EXPECT_EQ(next(session), "2:first");
    raw_data(2, kStep, "second");
    raw_data(2, kStep, "third");
    if (!heard_before) EXPECT_EQ(next(session), "2:first");
    EXPECT_EQ(next(session), "DEADLINE_EXCEEDED") << "never delivered";
    EXPECT_EQ(session.equivocators(), RoleSet{Role(2)});
    EXPECT_EQ(counters().equivocations, 2u);
  }
}

TEST_F(RouterTest, EquivocationAmongParkedFramesIsSeen) {
  raw_data(2, kStep, "first");
  raw_data(2, kStep, "second");
  auto session = open();
  EXPECT_EQ(next(session), "2:first");
  EXPECT_EQ(session.equivocators(), RoleSet{Role(2)});
}

// What is not accepted.

TEST_F(RouterTest, MalformedFramesAreDroppedAndCounted) {
  auto session = open(1, {.max_payload_bytes = 8, .max_steps = 100});
  raw_data(1, kStep, "from itself");
  raw_data(5, kStep, "outsider");
  raw_data(2, kStep, "too long a text");
  raw_data(2, 100, "step");
  raw(2, {static_cast<FrameKind>(77), kId, kStep, text("x")});
  EXPECT_EQ(counters().malformed, 5u);
  EXPECT_EQ(next(session), "DEADLINE_EXCEEDED");
}

TEST_F(RouterTest, UndeliveredFramesAreLimitedPerSenderAndAskedForAgain) {
  start({.waiting_frames = 2});
  auto session = open();
  auto sender = open(2);
  for (Step step = 0; step < 4; ++step) ASSERT_TRUE(sender.send(Role(1), step, text(std::to_string(step))));
  loop.run_ready();
  EXPECT_EQ(counters().waiting_refused, 2u);
  raw_data(3, 0, "other sender");
  for (Step step = 0; step < 4; ++step) EXPECT_EQ(next(session, step, 10s), "2:" + std::to_string(step));
  EXPECT_EQ(counters(2).resent, 2u);
}

TEST_F(RouterTest, UndeliveredBytesAreLimitedPerSenderOverAllSessions) {
  start({.waiting_bytes = 10'000});
  auto a = *router().open(SessionId{1}), b = *router().open(SessionId{2});
  raw(2, {FrameKind::data, SessionId{1}, 0, make_payload(Bytes(6'000))});
  raw(2, {FrameKind::data, SessionId{2}, 0, make_payload(Bytes(6'000))});
  EXPECT_EQ(counters().waiting_refused, 1u);
  EXPECT_TRUE(loop.run(a.next(0)));
  raw(2, {FrameKind::data, SessionId{2}, 0, make_payload(Bytes(6'000))});
  EXPECT_TRUE(loop.run(b.next(0))) << "what was returned does not count any more";
  EXPECT_EQ(counters().waiting_refused, 1u);
  raw(2, {FrameKind::data, SessionId{1}, 1, make_payload(Bytes(6'000))});
  a.release_received(1);
  raw(2, {FrameKind::data, SessionId{2}, 1, make_payload(Bytes(6'000))});
  EXPECT_TRUE(loop.run(b.next(1))) << "nor what was released unread";
  raw(2, {FrameKind::data, SessionId{1}, 2, make_payload(Bytes(6'000))});
  a.close(Session::Keep::nothing);
  raw(2, {FrameKind::data, SessionId{2}, 2, make_payload(Bytes(6'000))});
  EXPECT_TRUE(loop.run(b.next(2))) << "nor what a closed session had not read";
  EXPECT_EQ(counters().waiting_refused, 1u);
}

// A sender that is far ahead: what was refused comes again only when it is awaited, and must then be taken, however much is there of what
// follows.
TEST_F(RouterTest, WhatIsAwaitedIsTakenAlthoughTheSenderHasNoRoom) {
  start({.waiting_bytes = 10'000});
  auto session = open();
  raw(2, {FrameKind::data, kId, 7, make_payload(Bytes(8'000))});
  raw(2, {FrameKind::data, kId, 5, make_payload(Bytes(8'000))});
  EXPECT_EQ(counters().waiting_refused, 1u);
  std::vector<std::string> taken;
  const auto take = [&](Step step) -> Task<void> {
    auto message = co_await session.next(step, loop.after(10s));
    taken.push_back(message ? fmt::format("step {}: {} bytes", step, message->bytes().size()) : "nothing");
  };
  TaskScope scope(loop);
  scope.spawn(take(5));
  loop.run_ready();
  raw(3, {FrameKind::data, kId, 6, make_payload(Bytes(20'000))});
  EXPECT_EQ(counters().waiting_refused, 2u) << "not awaited, and too much";
  raw(2, {FrameKind::data, kId, 5, make_payload(Bytes(8'000))});
  loop.run_ready();
  EXPECT_EQ(taken, std::vector<std::string>{"step 5: 8000 bytes"});
  raw(2, {FrameKind::data, kId, 6, make_payload(Bytes(8'000))});
  EXPECT_EQ(counters().waiting_refused, 3u) << "step 7 still takes the room";
  EXPECT_EQ(router().usage().waiting_bytes, 8'000 + RouterLimits::kFrameOverheadBytes);
}

TEST_F(RouterTest, DeliveredPayloadsAreForgottenOldestFirst) {
  start({.delivered_bytes = 10});
  auto session = open();
  raw_data(2, 0, "12345678");
  raw_data(2, 1, "abcdefgh");
  EXPECT_EQ(next(session, 0), "2:12345678");
  EXPECT_EQ(next(session, 1), "2:abcdefgh");
  EXPECT_EQ(counters().delivered_forgotten, 1u);
  raw_data(2, 0, "other");  // cannot be compared any more: dropped as a duplicate
  EXPECT_TRUE(session.equivocators().empty());
  raw_data(2, 1, "other");
  EXPECT_EQ(session.equivocators(), RoleSet{Role(2)});
}

TEST_F(RouterTest, FramesOfReleasedStepsAndClosedSessionsAreDropped) {
  auto session = open();
  raw_data(2, kStep, "two");
  session.release_received(kStep);
  raw_data(3, kStep, "three");
  EXPECT_EQ(next(session), "FAILED_PRECONDITION");
  session.close(Session::Keep::sent);
  raw_data(3, kStep + 1, "four");
  EXPECT_EQ(counters().late, 2u);
  EXPECT_EQ(counters().parked, 0u);
}

TEST_F(RouterTest, CloseAndReleaseWakeWhoAwaits) {
  auto session = open();
  TaskScope scope(loop);
  std::vector<std::string> got;
  auto take = [&](Step step) -> Task<void> {
    const auto message = co_await session.next(step);
    got.push_back(to_string(message.error().code));
  };
  scope.spawn(take(1));
  scope.spawn(take(2));
  loop.run_ready();
  session.release_received(2);
  loop.run_ready();
  session.close(Session::Keep::sent);
  loop.run_ready();
  EXPECT_THAT(got, ElementsAre("FAILED_PRECONDITION", "CANCELLED"));
}

TEST_F(RouterTest, ASessionMayOutliveItsRouter) {
  auto session = open();
  TaskScope scope(loop);
  std::string got;
  auto take = [&]() -> Task<void> { got = to_string((co_await session.next(kStep)).error().code); };
  scope.spawn(take());
  loop.run_ready();
  raw_data(2, kStep + 1, "unread");
  stop();
  loop.run_ready();
  EXPECT_EQ(got, "CANCELLED");
  EXPECT_FALSE(session.is_open());
  EXPECT_FALSE(session.send_all(kStep, text("x")));
}

// Resending.

class ResendTest : public RouterTest {
 protected:
  /// Counts requests by the time at which they were sent.
  void watch_requests() {
    network.set_filter([this](Role from, Role to, const Frame& frame, Lane lane) {
      if (frame.kind == FrameKind::resend_request && from == Role(1))
        requests.emplace_back(to.number(), loop.now().time_since_epoch() / 1ms);
      lanes.push_back(lane);
      return true;
    });
  }
  std::vector<std::pair<int, long>> requests;
  std::vector<Lane> lanes;
};

TEST_F(ResendTest, AnAwaitedStepIsAskedForWithBackOff) {
  watch_requests();
  auto session = open(1, {.resend_after = 100ms, .resend_at_most = 400ms});
  EXPECT_EQ(loop.run(session.receive(Role(2), kStep, loop.after(1600ms))).error().code, Code::deadline_exceeded);
  EXPECT_THAT(requests, ElementsAre(std::pair(2, 100), std::pair(2, 300), std::pair(2, 700), std::pair(2, 1100),
                                    std::pair(2, 1500)));
  loop.advance(1h);
  EXPECT_EQ(requests.size(), 5u) << "nobody awaits it any more";
}

TEST_F(ResendTest, OnlyThoseNotHeardAreAsked) {
  watch_requests();
  auto session = open(1, {.resend_after = 100ms});
  raw_data(3, kStep, "three");
  EXPECT_EQ(next(session, kStep, 150ms), "3:three");
  EXPECT_EQ(next(session, kStep, 150ms), "DEADLINE_EXCEEDED");
  EXPECT_THAT(requests, ElementsAre(std::pair(2, 100), std::pair(4, 100)));
}

TEST_F(ResendTest, ARecoveredSessionAsksAtOnce) {
  watch_requests();
  auto session = open(1, {.lane = Lane::bulk, .resend_after = 0ms});
  EXPECT_EQ(next(session, kStep, 5ms), "DEADLINE_EXCEEDED");
  EXPECT_THAT(requests, ElementsAre(std::pair(2, 0), std::pair(3, 0), std::pair(4, 0)));
  EXPECT_THAT(lanes, testing::Each(Lane::bulk));
}

TEST_F(ResendTest, ALostMessageArrivesInTheEnd) {
  bool lossy = true;
  network.set_filter([&](Role, Role, const Frame& frame, Lane) { return frame.kind != FrameKind::data || !lossy; });
  auto session = open();
  auto sender = open(2);
  ASSERT_TRUE(sender.send_all(kStep, text("lost")));
  loop.run_ready();
  lossy = false;
  EXPECT_EQ(next(session, kStep, 10s), "2:lost");
  EXPECT_EQ(counters(2).resent, 1u);
}

TEST_F(ResendTest, TheSameMessageIsNotResentTooOften) {
  auto sender = open(2);
  ASSERT_TRUE(sender.send_all(kStep, text("x")));
  for (int i = 0; i < 10; ++i)
    router(2).deliver(Role(1), {FrameKind::resend_request, kId, kStep, nullptr}, Lane::urgent);
  EXPECT_EQ(counters(2).resent, 1u);
  EXPECT_EQ(counters(2).resend_too_soon, 9u);
  loop.advance(100ms);
  router(2).deliver(Role(1), {FrameKind::resend_request, kId, kStep, nullptr}, Lane::urgent);
  router(2).deliver(Role(3), {FrameKind::resend_request, kId, kStep, nullptr}, Lane::urgent);
  EXPECT_EQ(counters(2).resent, 3u);
}

// A peer that asks for everything again and again gets it at a bounded pace; the first answers have no limit.
TEST_F(ResendTest, RepeatedAnswersArePacedByBytes) {
  RouterLimits limits;
  limits.repeated_bytes_per_interval = 3'000;
  start(limits);
  auto sender = open();
  for (Step step = 0; step < 10; ++step)
    ASSERT_TRUE(sender.send(Role(2), step, make_payload(Bytes(1'000, static_cast<std::uint8_t>(step)))));
  const auto ask_for_all = [&](int from) {
    for (Step step = 0; step < 10; ++step) raw(from, {FrameKind::resend_request, kId, step, nullptr});
  };
  ask_for_all(2);
  EXPECT_EQ(counters().resent, 10u);
  for (int interval = 1; interval <= 3; ++interval) {
    loop.advance(100ms);
    ask_for_all(2);
    EXPECT_EQ(counters().resent, 10u + static_cast<std::uint64_t>(3 * interval));
  }
}

TEST_F(ResendTest, APartyNeverGetsTheMessageOfAnother) {
  auto sender = open(2);
  ASSERT_TRUE(sender.send(Role(3), kStep, text("for three only")));
  router(2).deliver(Role(1), {FrameKind::resend_request, kId, kStep, nullptr}, Lane::urgent);
  EXPECT_EQ(counters(2).resent, 0u);
  EXPECT_EQ(counters(2).unavailable_sent, 0u) << "it may still be sent";
}

TEST_F(ResendTest, WhatIsOfferedGoesOnlyToWhoAsks) {
  auto receiver = open(1);
  {
    auto sender = open(2);
    ASSERT_TRUE(sender.offer_all(kStep, text("offer")));
    EXPECT_EQ(sender.offer(Role(1), kStep, text("other")).error().code, Code::already_exists);
    EXPECT_EQ(sender.send(Role(1), kStep, text("other")).error().code, Code::already_exists);
    EXPECT_EQ(sender.offer(Role(2), kStep, text("offer")).error().code, Code::invalid_argument);
    loop.run_ready();
    EXPECT_EQ(counters(1).delivered + counters(3).parked + counters(4).parked, 0u);
    receiver.request_resend(kStep, RoleSet{Role(2)});
    EXPECT_EQ(next(receiver), "2:offer");
    ASSERT_TRUE(sender.offer(Role(1), kStep + 1, text("second")));
    sender.close(Session::Keep::sent);
    EXPECT_EQ(sender.offer(Role(1), kStep + 2, text("third")).error().code, Code::cancelled);
  }
  receiver.request_resend(kStep + 1, RoleSet{Role(2)});
  EXPECT_EQ(next(receiver, kStep + 1), "2:second") << "also when the session is closed";
  EXPECT_EQ(counters(2).resent, 2u);
}

TEST_F(ResendTest, ARestartedPartyIsServedByClosedSessions) {
  for (int i = 2; i <= 4; ++i) {
    auto sender = open(i);
    ASSERT_TRUE(sender.send_all(kStep, text("kept by " + std::to_string(i))));
  }
  loop.run_ready();
  network.attach(Role(1), nullptr);
  routers[0] = std::make_unique<Router>(loop, network.link(Role(1)));
  network.attach(Role(1), routers[0].get());
  network.reset(Role(1));
  auto session = open();
  for (int i = 0; i < 3; ++i) EXPECT_THAT(next(session, kStep, 10s), testing::HasSubstr("kept by"));
}

TEST_F(ResendTest, AClosedSessionThatKeptNothingSaysSo) {
  for (int i = 2; i <= 4; ++i) {
    auto sender = open(i);
    ASSERT_TRUE(sender.send(Role(i == 4 ? 2 : 4), kStep, text("x")));
    sender.close(Session::Keep::nothing);
  }
  auto session = open();
  EXPECT_EQ(next(session, kStep, 10s), "UNAVAILABLE");
  EXPECT_LT(loop.now().time_since_epoch(), 1s) << "no reason to wait for the deadline";
  EXPECT_EQ(counters().unavailable_received, 3u);
}

TEST_F(ResendTest, APartyThatSaidUnavailableMayStillSendAfterItsRestart) {
  auto session = open();
  TaskScope scope(loop);
  std::string got;
  auto take = [&]() -> Task<void> {
    const auto m = co_await session.receive(Role(2), kStep);
    got = m ? text(*m) : to_string(m.error().code);
  };
  scope.spawn(take());
  loop.run_ready();
  raw(2, {FrameKind::unavailable, kId, kStep, nullptr});
  loop.run_ready();
  EXPECT_EQ(got, "UNAVAILABLE");
  router().peer_reset(Role(2));
  scope.spawn(take());
  loop.run_ready();
  raw_data(2, kStep, "after all");
  loop.run_ready();
  EXPECT_EQ(got, "after all");
}

TEST_F(ResendTest, APeerResetAsksForWhatIsAwaited) {
  watch_requests();
  auto session = open(1, {.resend_after = 1h});
  TaskScope scope(loop);
  auto take = [&](Step step) -> Task<void> { (void)co_await session.next(step); };
  scope.spawn(take(1));
  scope.spawn(take(2));
  loop.run_ready();
  raw_data(3, 2, "three");
  loop.advance(1s);
  scope.spawn(take(2));
  loop.run_ready();
  router().peer_reset(Role(3));
  EXPECT_THAT(requests, ElementsAre(std::pair(3, 1000))) << "step 1 only: step 2 of party 3 is here";
  router().peer_reset(Role(2));
  EXPECT_EQ(requests.size(), 3u);
  EXPECT_EQ(counters().peer_resets, 2u);
}

TEST_F(ResendTest, KeptPayloadsAreLimitedPerSession) {
  start({.sent_bytes = 10});
  auto session = open();
  ASSERT_TRUE(session.send_all(0, text("12345678")));
  EXPECT_EQ(session.send_all(1, text("12345678")).error().code, Code::resource_exhausted);
  session.release_sent(0);
  EXPECT_TRUE(session.send_all(1, text("12345678"))) << "one buffer for all receivers is counted once";
}

TEST_F(ResendTest, KeptPayloadsOfClosedSessionsAreLimitedBySizeAndAge) {
  start({.closed_sent_bytes = 20, .closed_sent_age = 60s});
  const auto ask = [&](std::uint64_t id) {
    const auto before = counters().resent;
    loop.advance(1s);
    router().deliver(Role(2), {FrameKind::resend_request, SessionId{id}, 0, nullptr}, Lane::urgent);
    loop.run_ready();
    return counters().resent > before;
  };
  for (std::uint64_t id = 1; id <= 3; ++id) {
    auto session = *router().open(SessionId{id});
    ASSERT_TRUE(session.send_all(0, text("12345678")));
  }
  EXPECT_FALSE(ask(1)) << "evicted by size";
  EXPECT_TRUE(ask(2));
  EXPECT_TRUE(ask(3));
  loop.advance(60s);
  EXPECT_FALSE(ask(2)) << "evicted by age";
  EXPECT_EQ(counters().closed_sent_evicted, 3u);
  EXPECT_EQ(counters().unavailable_sent, 2u);
}

TEST_F(ResendTest, TheOwnerReleasesWhatAClosedSessionKept) {
  auto session = open();
  ASSERT_TRUE(session.send_all(0, text("a")));
  ASSERT_TRUE(session.send_all(1, text("b")));
  session.close(Session::Keep::sent);
  session.release_sent(0);
  router().deliver(Role(2), {FrameKind::resend_request, kId, 1, nullptr}, Lane::urgent);
  EXPECT_EQ(counters().resent, 1u);
  session.close(Session::Keep::nothing);
  router().deliver(Role(3), {FrameKind::resend_request, kId, 1, nullptr}, Lane::urgent);
  EXPECT_EQ(counters().resent, 1u);
  EXPECT_EQ(counters().unavailable_sent, 1u);
}

/// Answers after a millisecond, as a journal would.
class SlowStore final : public SentStore {
 public:
  explicit SlowStore(Loop& loop) : loop_(loop) {}
  Task<SentLookup> find(SessionId session, Step step, Role to) override {
    ++calls;
    co_await loop_.sleep_for(1ms);
    if (session != kId) co_return SentLookup{};
    if (step != kStep) co_return SentLookup{SentLookup::Kind::finished, nullptr};
    co_return SentLookup{SentLookup::Kind::found, text("stored for " + std::to_string(to.number()))};
  }
  int calls = 0;

 private:
  Loop& loop_;
};

TEST_F(ResendTest, EarlierLivesAreAnsweredFromTheStore) {
  SlowStore store(loop);
  router(2).set_sent_store(&store);
  auto session = open();
  EXPECT_EQ(next(session, kStep, 1s), "2:stored for 1");
  EXPECT_EQ(loop.run(session.receive(Role(2), kStep + 1, loop.after(10s))).error().code, Code::unavailable);
  auto unknown = *router().open(SessionId{99});
  EXPECT_EQ(loop.run(unknown.receive(Role(2), kStep, loop.after(1s))).error().code, Code::deadline_exceeded);
  EXPECT_EQ(counters(2).resent_from_store, 1u);
  EXPECT_EQ(counters(2).unavailable_sent, 1u);
}

TEST_F(ResendTest, ReleasedStepsOfOpenSessionsAreAnsweredFromTheStore) {
  SlowStore store(loop);
  router(2).set_sent_store(&store);
  auto sender = open(2);
  auto session = open(1, {.resend_after = 10ms});
  EXPECT_EQ(loop.run(session.receive(Role(2), kStep, loop.after(1s))).error().code, Code::deadline_exceeded);
  EXPECT_EQ(store.calls, 0) << "not sent yet: no reason to look";
  network.set_filter([](Role, Role, const Frame& frame, Lane) { return frame.kind != FrameKind::data; });
  ASSERT_TRUE(sender.send_all(kStep, text("stored for 1")));
  network.set_filter({});
  sender.release_sent(kStep);
  EXPECT_EQ(next(session, kStep, 10s), "2:stored for 1");
}

TEST_F(ResendTest, LookupsArePerPeerLimited) {
  start({.lookups_per_peer = 3});
  SlowStore store(loop);
  router().set_sent_store(&store);
  for (std::uint64_t i = 0; i < 10; ++i) raw(2, {FrameKind::resend_request, SessionId{100 + i}, 0, nullptr});
  raw(3, {FrameKind::resend_request, kId, kStep, nullptr});
  EXPECT_EQ(counters().resend_too_soon, 7u);
  loop.run_until_idle();
  EXPECT_EQ(store.calls, 4);
  raw(2, {FrameKind::resend_request, kId, kStep, nullptr});
  loop.run_until_idle();
  EXPECT_EQ(counters().resent_from_store, 2u);
}

TEST_F(ResendTest, AnswersFromTheStoreArePacedByNumberAndBytes) {
  for (const bool by_bytes : {false, true}) {
    RouterLimits limits;
    if (by_bytes)
      limits.repeated_bytes_per_interval = 3 * text("stored for 2")->size();
    else
      limits.store_lookups_per_interval = 3;
    start(limits);
    SlowStore store(loop);
    router().set_sent_store(&store);
    for (int interval = 1; interval <= 2; ++interval) {
      for (int i = 0; i < 10; ++i) {
        raw(2, {FrameKind::resend_request, kId, kStep, nullptr});
        loop.advance(2ms);
      }
      EXPECT_EQ(counters().resent_from_store, static_cast<std::uint64_t>(3 * interval));
      raw(3, {FrameKind::resend_request, kId, kStep + 1, nullptr});
      loop.advance(2ms);
      EXPECT_EQ(counters().unavailable_sent, static_cast<std::uint64_t>(interval)) << "others have their own pace";
      loop.advance(100ms);
    }
    stop();
  }
}

TEST_F(ResendTest, APeerThatComesAndGoesIsAskedOncePerInterval) {
  watch_requests();
  auto session = open(1, {.resend_after = 1h});
  TaskScope scope(loop);
  auto take = [&]() -> Task<void> { (void)co_await session.next(kStep); };
  scope.spawn(take());
  loop.run_ready();
  loop.advance(1s);
  for (int i = 0; i < 1000; ++i) router().peer_reset(Role(3));
  loop.advance(1s);
  EXPECT_THAT(requests, ElementsAre(std::pair(3, 1000), std::pair(3, 1100))) << "at once, and for the rest together";
  router().peer_reset(Role(3));
  EXPECT_EQ(requests.size(), 3u);
}

TEST_F(ResendTest, RoutersDieWithLookupsUnderWay) {
  SlowStore store(loop);
  router().set_sent_store(&store);
  raw(2, {FrameKind::resend_request, kId, kStep, nullptr});
  loop.run_ready();
  stop();
  loop.run_until_idle();
  EXPECT_EQ(store.calls, 1);
}

/// Random operations under tight limits: the limits hold at every moment and nothing is left in the accounts at the end.
TEST_F(ResendTest, AccountsBalanceUnderRandomOperations) {
  const RouterLimits limits{.open_sessions = 6,
                            .remembered_sessions = 20,
                            .parked_frames = 10,
                            .parked_bytes = 20'000,
                            .parked_age = 50ms,
                            .waiting_bytes = 8'000,
                            .waiting_frames = 3,
                            .delivered_bytes = 3'000,
                            .sent_bytes = 5'000,
                            .closed_sent_bytes = 8'000,
                            .closed_sent_age = 60ms,
                            .resend_interval = 1ms,
                            .lookups_per_peer = 2};
  std::map<std::string, std::uint64_t> seen;
  for (int seed = 0; seed < 20; ++seed) {
    start(limits);
    SlowStore store(loop);
    router().set_sent_store(&store);
    test::SeededRng rng(std::to_string(seed));
    const auto below = [&](std::size_t bound) { return rng.next<std::uint32_t>() % bound; };
    std::vector<std::unique_ptr<Session>> sessions;
    std::vector<std::unique_ptr<TaskScope>> scopes;
    auto take = [](Task<Result<Message>> awaited) -> Task<void> { (void)co_await std::move(awaited); };
    for (int i = 0; i < 3'000; ++i) {
      const Step step = static_cast<Step>(below(6));
      Session* session = sessions.empty() ? nullptr : sessions[below(sessions.size())].get();
      switch (below(14)) {
        case 0:
          if (auto opened = router().open(SessionId{below(60)}, {.resend_after = 5ms, .max_steps = 5}))
            sessions.push_back(std::make_unique<Session>(*std::move(opened)));
          break;
        case 1:
          if (session) session->close(below(2) ? Session::Keep::sent : Session::Keep::nothing);
          if (below(2) && session) std::erase_if(sessions, [&](const auto& s) { return s.get() == session; });
          break;
        case 2:
          if (session) (void)session->send_all(step, make_payload(Bytes(below(2'000))));
          break;
        case 3:
          if (session) below(2) ? session->release_sent(step) : session->release_received(step);
          break;
        case 4:
          scopes.push_back(std::make_unique<TaskScope>(loop));
          if (session) scopes.back()->spawn(take(session->next(step, loop.after(20ms))));
          if (below(3) == 0) scopes.erase(scopes.begin() + static_cast<std::ptrdiff_t>(below(scopes.size())));
          break;
        case 5:
          loop.advance(std::chrono::milliseconds(below(10)));
          break;
        case 6:
          router().peer_reset(Role(2));
          break;
        default:
          raw(static_cast<int>(2 + below(3)),
              {static_cast<FrameKind>(below(8) > 2 ? 0 : below(4)),
               below(2) && session ? session->id() : SessionId{below(60)}, step,
               make_payload(Bytes(below(3) * 1'200, static_cast<std::uint8_t>(below(2))))});
      }
      const RouterUsage usage = router().usage();
      ASSERT_LE(usage.open_sessions, limits.open_sessions);
      ASSERT_LE(usage.remembered_sessions, limits.remembered_sessions);
      ASSERT_LE(usage.parked_bytes, 3 * limits.parked_bytes);
      ASSERT_EQ(usage.parked_sessions == 0, usage.parked_bytes == 0);
      // ... and what is awaited at this moment, at most one frame of each sender per coroutine.
      constexpr std::size_t kLongest = 2 * 1'200 + RouterLimits::kFrameOverheadBytes;
      ASSERT_LE(usage.waiting_bytes, 3 * (limits.waiting_bytes + scopes.size() * kLongest));
      ASSERT_LE(usage.delivered_bytes, 3 * limits.delivered_bytes);
      ASSERT_LE(usage.closed_sent_bytes, limits.closed_sent_bytes);
    }
    sessions.clear();
    loop.advance(1s);
    const RouterUsage usage = router().usage();
    EXPECT_EQ(usage.open_sessions, 0u);
    EXPECT_EQ(usage.parked_bytes, 0u);
    EXPECT_EQ(usage.waiting_bytes, 0u);
    EXPECT_EQ(usage.delivered_bytes, 0u);
    EXPECT_EQ(usage.closed_sent_bytes, 0u);
    const RouterCounters& c = counters();
    for (const auto& [name, value] :
         {std::pair("delivered", c.delivered), std::pair("duplicates", c.duplicates),
          std::pair("equivocations", c.equivocations), std::pair("parked_expired", c.parked_expired),
          std::pair("parked_refused", c.parked_refused), std::pair("late", c.late), std::pair("malformed", c.malformed),
          std::pair("waiting_refused", c.waiting_refused), std::pair("delivered_forgotten", c.delivered_forgotten),
          std::pair("resent", c.resent), std::pair("unavailable_sent", c.unavailable_sent),
          std::pair("closed_sent_evicted", c.closed_sent_evicted), std::pair("resend_too_soon", c.resend_too_soon)})
      seen[name] += value;
    scopes.clear();
    stop();
  }
  for (const auto& [name, count] : seen) EXPECT_GT(count, 0u) << name;
}

// The in-process network.

TEST(MemoryNetwork, DeliversInOrderAndResetLosesWhatIsUnderWay) {
  VirtualLoop loop;
  const auto committee = *CommitteeSize::make(4, 1);
  MemoryNetwork network(loop, committee);
  struct Sink final : FrameSink {
    void deliver(Role from, Frame frame, Lane) override {
      log.push_back(fmt::format("{}/{}", from.number(), frame.step));
    }
    void peer_reset(Role peer) override { log.push_back(fmt::format("reset {}", peer.number())); }
    std::vector<std::string> log;
  } sink;
  network.attach(Role(1), &sink);
  for (Step step = 0; step < 3; ++step)
    ASSERT_TRUE(network.link(Role(2)).send(Role(1), {.session = kId, .step = step, .payload = {}}, Lane::urgent));
  ASSERT_TRUE(network.link(Role(3)).send(Role(1), {.session = kId, .step = 9, .payload = {}}, Lane::bulk));
  loop.step();
  network.reset(Role(2));
  loop.run_ready();
  EXPECT_THAT(sink.log, ElementsAre("2/0", "reset 2", "3/9"));
  EXPECT_EQ(network.frames_sent(), 4u);
}

}  // namespace
}  // namespace witan::runtime
