// Connections that break, stall and come back, and processes that restart. The connections of some pairs pass through a
// relay that the test controls.
#include "transport/fixture.h"
#include "transport/proxy.h"

namespace witan::transport {
namespace {

using namespace std::chrono_literals;
using runtime::Lane;
using testing::HasSubstr;

class Reconnect : public Net {
 protected:
  /// Party 1 reaches party 2 through the relay.
  Config config_through(TcpProxy& proxy) {
    Config out = config(1);
    out.peers[0].port = proxy.port();
    return out;
  }
  void start_pair(TcpProxy& proxy) {
    start(1, config_through(proxy));
    start(2);
    ASSERT_TRUE(until([&] { return connected(1, 2) && connected(2, 1); }));
  }
};

TEST_F(Reconnect, FramesInFlightSurviveCutsInOrderAndOnce) {
  TcpProxy proxy(ports[1]);
  start_pair(proxy);
  test::SeededRng rng("cuts");
  std::vector<std::size_t> sizes;
  constexpr int kFrames = 300;
  for (int k = 0; k < kFrames; ++k) {
    const std::size_t size = rng.next<std::uint32_t>() % (k % 5 == 0 ? 900'000 : 5'000);
    sizes.push_back(size);
    for (const Lane lane : {Lane::urgent, Lane::bulk}) {
      ASSERT_TRUE(node(1).send(Role(2), frame(k, size), lane));
      ASSERT_TRUE(node(2).send(Role(1), frame(k, size), lane));
    }
  }
  int cuts = 0;
  const auto done = [&] { return recorder(1).count == 2 * kFrames && recorder(2).count == 2 * kFrames; };
  while (!done() && cuts < 12) {
    pause(std::chrono::milliseconds(30 + rng.next<std::uint32_t>() % 60));
    proxy.cut();
    ++cuts;
  }
  EXPECT_GE(cuts, 3);
  ASSERT_TRUE(until(done, 30s)) << recorder(1).count << " and " << recorder(2).count;
  for (const auto& [at, from] : {std::pair{1, 2}, std::pair{2, 1}})
    for (const Lane lane : {Lane::urgent, Lane::bulk})
      for (int k = 0; k < kFrames; ++k) {
        const auto i = static_cast<std::size_t>(k);
        ASSERT_TRUE(is_frame(recorder(at).from(from, lane)[i], k, sizes[i])) << k;
      }
  EXPECT_TRUE(recorder(1).resets.empty() && recorder(2).resets.empty());
  EXPECT_GT(proxy.connections(), 2);
}

TEST_F(Reconnect, APeerThatComesBackAsAnotherProcessIsAnnounced) {
  start_all();
  ASSERT_TRUE(until([&] { return all_connected(); }));
  ASSERT_TRUE(node(1).send(Role(2), frame(7, 10), Lane::urgent));
  ASSERT_TRUE(until([&] { return recorder(2).count == 1; }));
  stop(2);
  ASSERT_TRUE(until([&] { return !connected(1, 2); }));
  EXPECT_TRUE(node(1).send(Role(2), frame(1, 10), Lane::urgent));  // for the old process
  EXPECT_TRUE(node(1).send(Role(2), frame(1, 10), Lane::bulk));
  start(2);
  ASSERT_TRUE(until([&] {
    return !recorder(1).resets.empty() && !recorder(3).resets.empty() && !recorder(4).resets.empty() && all_connected();
  }));
  for (const int i : {1, 3, 4}) EXPECT_EQ(recorder(i).resets, std::vector{2}) << i;  // once for both lanes
  EXPECT_TRUE(recorder(2).resets.empty());                                           // a new process has lost nothing
  for (const Lane lane : {Lane::urgent, Lane::bulk}) {
    EXPECT_TRUE(node(1).send(Role(2), frame(2, 10), lane));
    EXPECT_TRUE(node(2).send(Role(1), frame(3, 10), lane));
  }
  ASSERT_TRUE(until([&] { return recorder(2).count >= 3 && recorder(1).count >= 2; }));
  pause(50ms);
  EXPECT_EQ(recorder(2).from(1, Lane::urgent).size(), 2u);  // 7 before the restart, 2 after it
  EXPECT_TRUE(is_frame(recorder(2).from(1, Lane::urgent).back(), 2, 10));
  ASSERT_EQ(recorder(2).from(1, Lane::bulk).size(), 1u);
  EXPECT_TRUE(is_frame(recorder(2).from(1, Lane::bulk)[0], 2, 10));
}

TEST_F(Reconnect, ManyRestartsWhileFramesFlowLeaveAWorkingPair) {
  start(1);
  start(2);
  int session = 0;
  for (int round = 0; round < 6; ++round) {
    ASSERT_TRUE(until([&] { return connected(1, 2) && connected(2, 1); }));
    for (int k = 0; k < 30; ++k)
      for (const Lane lane : {Lane::urgent, Lane::bulk}) {
        (void)node(1).send(Role(2), frame(++session, 50'000), lane);
        (void)node(2).send(Role(1), frame(session, 50'000), lane);
      }
    pause(std::chrono::milliseconds(round * 3));
    const int restarted = 1 + round % 2;
    stop(restarted);
    start(restarted);
  }
  ASSERT_TRUE(until([&] { return connected(1, 2) && connected(2, 1); }));
  const int last = ++session;
  ASSERT_TRUE(node(1).send(Role(2), frame(last, 5), Lane::bulk) && node(2).send(Role(1), frame(last, 5), Lane::bulk));
  ASSERT_TRUE(until([&] {
    const auto& at2 = recorder(2).from(1, Lane::bulk);
    const auto& at1 = recorder(1).from(2, Lane::bulk);
    return !at1.empty() && !at2.empty() && is_frame(at1.back(), last, 5) && is_frame(at2.back(), last, 5);
  }));
  for (const auto& [at, from] : {std::pair{1, 2}, std::pair{2, 1}})
    for (const Lane lane : {Lane::urgent, Lane::bulk}) {
      const auto& got = recorder(at).from(from, lane);
      EXPECT_TRUE(std::ranges::is_sorted(got, {}, [](const auto& f) { return f.session; }));
      EXPECT_EQ(std::ranges::adjacent_find(got, {}, [](const auto& f) { return f.session; }), got.end());
    }
}

TEST_F(Reconnect, APeerThatFallsSilentIsDeadAndComesBack) {
  TcpProxy proxy(ports[1]);
  const auto quick = [](Config with) {
    with.timings.heartbeat = 50ms;
    with.timings.dead_after = 300ms;
    return with;
  };
  start(1, quick(config_through(proxy)));
  start(2, quick(config(2)));
  start(3, quick(config(3)));
  ASSERT_TRUE(until([&] { return all_connected(); }));
  pause(700ms);
  EXPECT_TRUE(all_connected());  // heartbeats keep an idle connection alive
  const LogLines lines;
  proxy.stall(true);
  ASSERT_TRUE(node(1).send(Role(2), frame(1, 1'000'000), Lane::urgent));
  ASSERT_TRUE(until([&] { return !connected(1, 2) && !connected(2, 1); }, 2s));
  EXPECT_TRUE(until([&] { return lines.have({"party 2", "lane disconnected", "nothing was heard for 300 ms"}); }))
      << lines.text();
  ASSERT_TRUE(node(1).send(Role(2), frame(2, 10), Lane::urgent));
  ASSERT_TRUE(node(2).send(Role(1), frame(3, 10), Lane::urgent));
  EXPECT_TRUE(connected(1, 3));  // others do not notice
  ASSERT_TRUE(node(1).send(Role(3), frame(4, 10), Lane::urgent));
  ASSERT_TRUE(until([&] { return recorder(3).count == 1; }, 1s));
  proxy.stall(false);
  ASSERT_TRUE(until([&] { return recorder(2).count == 2 && recorder(1).count == 1; }));
  EXPECT_TRUE(is_frame(recorder(2).from(1, Lane::urgent)[0], 1, 1'000'000));
  EXPECT_TRUE(is_frame(recorder(2).from(1, Lane::urgent)[1], 2, 10));
}

TEST_F(Reconnect, DelayIsMeasuredAndHarmless) {
  TcpProxy proxy(ports[1]);
  proxy.delay(20ms);
  start(1, config_through(proxy));
  start(2);
  for (int k = 0; k < 40; ++k) ASSERT_TRUE(node(1).send(Role(2), frame(k, 100'000), Lane::bulk));
  ASSERT_TRUE(
      until([&] { return recorder(2).count == 40 && status(1, 2).round_trip && status(2, 1).round_trip; }, 20s));
  EXPECT_GE(*status(1, 2).round_trip, 40ms);
  EXPECT_GE(*status(2, 1).round_trip, 40ms);
}

TEST_F(Reconnect, AFullQueueDrainsWhenThePeerComes) {
  Config small = config(1);
  small.limits.queue_bytes = 1 << 20;
  start(1, std::move(small));
  int taken = 0;
  while (node(1).send(Role(2), frame(taken, 100'000), Lane::bulk)) ++taken;
  EXPECT_EQ(taken, 10);
  start(2);
  ASSERT_TRUE(until([&] { return recorder(2).count == taken; }));
  ASSERT_TRUE(until([&] { return node(1).send(Role(2), frame(taken, 100'000), Lane::bulk).has_value(); }));
}

// The receiver's loop does not run: what was sent stops at the credit, on the wire too, and other pairs go on.
TEST_F(Reconnect, AReceiverThatDoesNotConsumeStopsTheSenderAtItsCredit) {
  TcpProxy proxy(ports[1]);
  runtime::ThreadLoop idle_loop;
  Recorder idle_recorder;
  start(1, config_through(proxy));
  auto idle = Transport::start(config(2), idle_loop);
  ASSERT_TRUE(idle);
  (*idle)->set_sink(&idle_recorder);
  start(3);
  ASSERT_TRUE(until([&] { return connected(1, 2) && connected(1, 3); }));
  const std::uint64_t before = proxy.forwarded();
  for (int k = 0; k < 64; ++k) {
    ASSERT_TRUE(node(1).send(Role(2), frame(k, 500'000), Lane::bulk));
    ASSERT_TRUE(node(1).send(Role(3), frame(k, 500'000), Lane::bulk));
  }
  ASSERT_TRUE(until([&] { return recorder(3).count == 64; }));
  pause(200ms);
  const std::uint64_t sent = proxy.forwarded() - before;
  EXPECT_LE(sent, (1u << 20) + 500'000u + 100'000u);  // the credit, one frame, TLS
  EXPECT_GE(sent, 700'000u);
  proxy.cut();  // a new connection brings no new credit
  ASSERT_TRUE(until([&] { return proxy.connections() >= 4 && connected(1, 2); }));
  pause(200ms);
  EXPECT_LE(proxy.forwarded() - before, (1u << 20) + 2 * 500'000u + 200'000u);  // the incomplete frame again
  EXPECT_EQ(idle_recorder.count, 0);
  const auto deadline = std::chrono::steady_clock::now() + 10s;
  while (idle_recorder.count < 64 && std::chrono::steady_clock::now() < deadline) {
    idle_loop.run([](runtime::Loop& l) -> runtime::Task<void> { co_await l.sleep_for(5ms); }(idle_loop));
  }
  ASSERT_EQ(idle_recorder.count, 64);
  for (int k = 0; k < 64; ++k)
    EXPECT_TRUE(is_frame(idle_recorder.from(1, Lane::bulk)[static_cast<std::size_t>(k)], k, 500'000));
}

}  // namespace
}  // namespace witan::transport
