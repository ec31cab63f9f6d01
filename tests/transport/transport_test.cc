#include "transport/transport.h"

#include "runtime/router.h"
#include "runtime/scope.h"
#include "transport/fixture.h"

namespace witan::transport {
namespace {

using namespace std::chrono_literals;
using runtime::Lane;
using testing::HasSubstr;

TEST_F(Net, FourNodesExchangeFramesInOrderOnBothLanes) {
  start_all();
  for (int i = 1; i <= kParties; ++i)
    for (int j = 1; j <= kParties; ++j)
      for (int k = 0; i != j && k < 50; ++k) {
        ASSERT_TRUE(node(i).send(Role(j), frame(k, static_cast<std::size_t>(k * 100)), Lane::urgent));
        ASSERT_TRUE(node(i).send(Role(j), frame(1000 + k, 10), Lane::bulk));
      }
  ASSERT_TRUE(until([&] { return std::ranges::all_of(recorders, [](const auto& r) { return r.count == 300; }); }));
  for (int i = 1; i <= kParties; ++i)
    for (int j = 1; j <= kParties; ++j)
      for (int k = 0; i != j && k < 50; ++k) {
        EXPECT_TRUE(is_frame(recorder(i).from(j, Lane::urgent)[static_cast<std::size_t>(k)], k,
                             static_cast<std::size_t>(k * 100)));
        EXPECT_TRUE(is_frame(recorder(i).from(j, Lane::bulk)[static_cast<std::size_t>(k)], 1000 + k, 10));
      }
  EXPECT_TRUE(all_connected());
  for (const auto& each : recorders) EXPECT_TRUE(each.resets.empty());
  constexpr std::uint64_t kPayloads = 3 * (50 * 49 / 2 * 100 + 50 * 10);
  for (int i = 1; i <= kParties; ++i) {
    EXPECT_GE(node(i).traffic().sent_bytes, kPayloads);
    EXPECT_GE(node(i).traffic().received_bytes, kPayloads);
    EXPECT_LT(node(i).traffic().received_bytes, 2 * kPayloads) << "what is around the payloads is less";
  }
}

TEST_F(Net, AllFieldsOfFramesArrive) {
  start(1);
  start(2);
  const runtime::Frame frames[] = {
      {runtime::FrameKind::resend_request, {~u128{0}}, ~std::uint32_t{0}, nullptr},
      {runtime::FrameKind::unavailable, {u128{1} << 127}, 0, nullptr},
      {runtime::FrameKind::data, {0}, 1, runtime::make_payload({})},
  };
  for (const auto& each : frames) ASSERT_TRUE(node(2).send(Role(1), each, Lane::urgent));
  ASSERT_TRUE(until([&] { return recorder(1).count == 3; }));
  for (std::size_t i = 0; i < 3; ++i) {
    const auto& got = recorder(1).from(2, Lane::urgent)[i];
    EXPECT_TRUE(got.kind == frames[i].kind && got.session == frames[i].session && got.step == frames[i].step);
    EXPECT_TRUE(got.payload == nullptr || got.payload->empty());
  }
}

TEST_F(Net, PayloadsOfAllSizesArriveWhole) {
  start(1);
  start(2);
  constexpr std::size_t kPiece = 256 << 10;
  const std::size_t sizes[] = {1,          kPiece - 1,      kPiece,    kPiece + 1,
                               4 * kPiece, 5 * kPiece + 17, 20u << 20, runtime::kMaxPayloadBytes};
  int session = 0;
  for (const std::size_t size : sizes) ASSERT_TRUE(node(1).send(Role(2), frame(++session, size), Lane::bulk));
  EXPECT_EQ(node(1).send(Role(2), frame(9, runtime::kMaxPayloadBytes + 1), Lane::bulk).error().code,
            Code::invalid_argument);
  ASSERT_TRUE(until([&] { return recorder(2).count == session; }, 30s));
  session = 0;
  for (const std::size_t size : sizes) {
    const auto& got = recorder(2).from(1, Lane::bulk)[static_cast<std::size_t>(session)];
    EXPECT_TRUE(is_frame(got, ++session, size)) << size;
  }
}

TEST_F(Net, StatusShowsIdentityConnectionAndRoundTrip) {
  start(1);
  ASSERT_TRUE(until([&] { return !status(1, 2).last_error.empty(); }));
  EXPECT_FALSE(connected(1, 2));
  EXPECT_THAT(status(1, 2).last_error, HasSubstr("ailed to connect"));
  EXPECT_EQ(status(1, 2).identity, identity(2).name);
  EXPECT_EQ(status(1, 2).endpoint, "localhost:" + std::to_string(ports[1]));
  start(2);
  ASSERT_TRUE(
      until([&] { return connected(1, 2) && connected(2, 1) && status(1, 2).round_trip && status(2, 1).round_trip; }));
  EXPECT_EQ(status(1, 2).last_error, "");
  EXPECT_LT(*status(1, 2).round_trip, 2s);
  EXPECT_GT(*status(1, 2).round_trip, 0s);
}

std::size_t open_descriptors() {
  return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {}));
}

TEST_F(Net, PingsAskedForTogetherAreOneRound) {
  for (int i = 1; i <= 3; ++i) start(i);
  ASSERT_TRUE(until([&] { return connected(1, 2) && connected(2, 3) && connected(1, 3); }));
  const std::size_t before = open_descriptors();
  std::size_t answers = 0;
  runtime::TaskScope scope(loop);
  auto ask = [&]() -> runtime::Task<void> {
    const auto results = co_await node(2).ping_all(1500ms);
    answers += results.size() == 3 && results[0].reachable && results[1].role == Role(3) && results[1].reachable;
  };
  for (int i = 0; i < 200; ++i) scope.spawn(ask());
  loop.run(scope.join());
  EXPECT_EQ(answers, 200u);
  EXPECT_LE(open_descriptors(), before + 12) << "a connection per peer, not per question";
}

TEST_F(Net, PingTellsWhoAnswers) {
  start(1);
  start(2);
  start(3);
  const auto begun = std::chrono::steady_clock::now();
  auto results = loop.run(node(2).ping_all(1500ms));
  ASSERT_EQ(results.size(), 3u);
  EXPECT_EQ(results[0].role, Role(1));  // also against the direction of dialling
  EXPECT_TRUE(results[0].reachable && results[1].reachable);
  EXPECT_EQ(results[0].error, "");
  EXPECT_FALSE(results[2].reachable);
  EXPECT_EQ(results[2].latency_ms, 0u);
  EXPECT_THAT(results[2].error, HasSubstr("Error : "));
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 1500ms);  // a closed port is known at once
  start(4);
  results = loop.run(node(2).ping_all(1500ms));
  EXPECT_TRUE(results[2].reachable) << results[2].error;  // an old failure does not stick
  stop(4);
  results = loop.run(node(2).ping_all(1500ms));
  EXPECT_FALSE(results[2].reachable);
}

TEST_F(Net, SendingToADeadPeerIsBoundedAndStoppingIsQuick) {
  Config small = config(1);
  small.limits.queue_bytes = 100000;
  start(1, std::move(small));
  int refused = 0;
  for (int k = 0; k < 200; ++k) refused += !node(1).send(Role(2), frame(k, 1000), Lane::urgent);
  EXPECT_EQ(refused, 100);
  EXPECT_TRUE(node(1).send(Role(3), frame(1, 1000), Lane::urgent));  // each peer and lane has its own
  EXPECT_TRUE(node(1).send(Role(2), frame(1, 1000), Lane::bulk));
  const auto begun = std::chrono::steady_clock::now();
  stop(1);
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 3s);
}

TEST_F(Net, StoppingWhileSendingIsQuickAndSilent) {
  start_all();
  ASSERT_TRUE(until([&] { return all_connected(); }));
  for (int round = 0; round < 3; ++round)
    for (int i = 1; i <= kParties; ++i)
      for (int j = 1; j <= kParties; ++j)
        for (int k = 0; i != j && k < 20; ++k) (void)node(i).send(Role(j), frame(k, 200000), Lane::bulk);
  pause(20ms);
  const auto begun = std::chrono::steady_clock::now();
  for (auto& each : nodes) each.reset();
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 5s);
  const auto before = recorders;
  pause(50ms);
  for (std::size_t i = 0; i < recorders.size(); ++i) {
    EXPECT_EQ(recorders[i].count, before[i].count);
    EXPECT_EQ(recorders[i].resets, before[i].resets);
  }
}

TEST_F(Net, StoppingDuringAPingAnswersIt) {
  start(1);
  bool done = false;
  runtime::TaskScope scope(loop);
  scope.spawn([](Transport& transport, bool& flag) -> runtime::Task<void> {
    (void)co_await transport.ping_all(30s);
    flag = true;
  }(node(1), done));
  pause(1ms);
  stop(1);
  EXPECT_TRUE(until([&] { return done; }));
}

TEST_F(Net, ANodeThatNobodyListensToYetAcceptsNothing) {
  start(1);
  auto late = Transport::start(config(2), loop);
  ASSERT_TRUE(late);
  ASSERT_TRUE(node(1).send(Role(2), frame(1, 10), Lane::urgent));
  pause(300ms);
  EXPECT_FALSE(connected(1, 2));
  (*late)->set_sink(&recorder(2));
  EXPECT_TRUE(until([&] { return recorder(2).count == 1; }));
}

TEST_F(Net, RoutersFindEachOthersMessagesAcrossARestart) {
  start_all();
  std::vector<std::unique_ptr<runtime::Router>> routers;
  for (int i = 1; i <= kParties; ++i) {
    routers.push_back(std::make_unique<runtime::Router>(loop, node(i)));
    node(i).set_sink(routers.back().get());
  }
  auto session1 = routers[0]->open({99}).value();
  ASSERT_TRUE(session1.send_all(1, runtime::make_payload(Bytes{1, 2, 3})));
  pause(100ms);
  routers[1].reset();  // party 2 dies with what it had received
  node(2).set_sink(nullptr);
  stop(2);
  start(2);
  routers[1] = std::make_unique<runtime::Router>(loop, node(2));
  node(2).set_sink(routers[1].get());
  auto session2 = routers[1]->open({99}, {.resend_after = 0ms}).value();
  const auto got = loop.run(session2.receive(Role(1), 1, loop.after(10s)));
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_EQ(*got->payload, (Bytes{1, 2, 3}));
  for (int i = 1; i <= kParties; ++i) node(i).set_sink(nullptr);
}

using StartUp = Net;

// Wrong start-up material is a clear error, before anything is opened.
TEST_F(StartUp, ErrorsSayWhatIsWrong) {
  const std::pair<std::function<void(Config&)>, const char*> cases[] = {
      {[](Config& c) { c.peers[0].ca_pems.clear(); }, "peer 2 ('party2.transport.witan.test') has no CA certificate"},
      {[](Config& c) { c.peers[0].ca_pems = {"nonsense"}; }, "CA certificate of peer 2"},
      {[](Config& c) { c.peers[0].ca_pems = c.peers[1].ca_pems; }, "CA certificate of peer 2 is of 'party3"},
      {[](Config& c) { c.peers[1] = c.peers[0]; }, "peer 2 is listed twice"},
      {[](Config& c) { c.peers[1].identity = c.peers[0].identity, c.peers[1].ca_pems = c.peers[0].ca_pems; },
       "two peers have the identity"},
      {[](Config& c) { c.peers.pop_back(); }, "2 peers are configured, a committee of 4 has 3 others"},
      {[](Config& c) { c.peers.clear(); }, "0 peers are configured"},
      {[](Config& c) { c.peers[0].role = Role(5); }, "peer 5 is not another party"},
      {[](Config& c) { c.peers[0].role = Role(1); }, "peer 1 is not another party"},
      {[](Config& c) { c.peers[0].identity.clear(); }, "peer 2 needs an identity"},
      {[](Config& c) { c.peers[0].port = 0; }, "peer 2 needs an identity, a host and a port"},
      {[](Config& c) { c.peers[0].host = "127.0.0.1"; }, "'127.0.0.1' is an IP address"},
      {[](Config& c) { c.peers[0].host = "::1"; }, "'::1' is an IP address"},
      {[this](Config& c) { c.key_pem = identity(2).leaf().key_pem; }, "does not belong"},
      {[](Config& c) { c.certificate_pem = "nonsense"; }, "the own TLS certificate"},
      {[this](Config& c) {
         auto leaf = identity(2).leaf();
         c.certificate_pem = leaf.certificate_pem;
         c.key_pem = std::move(leaf.key_pem);
       },
       "peer 2 has the own identity"},
      {[](Config& c) { c.limits.bulk_credit_bytes = 1000; }, "credits of 1048576 (urgent) and 1000 (bulk)"},
      {[](Config& c) { c.timings.dead_after = c.timings.heartbeat; }, "timings"},
      {[](Config& c) { c.listen_address = "192.0.2.1"; }, "cannot listen on 192.0.2.1:"},
  };
  for (const auto& [spoil, message] : cases) {
    Config bad = config(1);
    spoil(bad);
    EXPECT_THAT(start_error(std::move(bad)), HasSubstr(message));
  }
}

TEST_F(StartUp, APortInUseIsAnErrorAndLeavesItsOwnerAlone) {
  start(1);
  EXPECT_THAT(start_error(config(1)), HasSubstr("in use"));
  start(2);
  EXPECT_TRUE(until([&] { return connected(1, 2); }));
}

TEST_F(StartUp, AnExpiredCertificateOfOurOwnIsSaid) {
  const LogLines lines;
  Config old = config(1);
  auto leaf = identity(1).leaf(now_seconds() - 5000, now_seconds() - 1000);
  old.certificate_pem = leaf.certificate_pem;
  old.key_pem = std::move(leaf.key_pem);
  start(1, std::move(old));
  EXPECT_TRUE(lines.have({"own TLS certificate", identity(1).name, "expired"})) << lines.text();
}

}  // namespace
}  // namespace witan::transport
