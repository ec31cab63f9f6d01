#include "transport/transport.h"

#include <arpa/inet.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <deque>
#include <map>

#include "crypto/x509.h"
#include "runtime/router.h"
#include "support/support.h"
#include "witan_transport.grpc.pb.h"

namespace witan::transport {
namespace {

using namespace std::chrono_literals;
using runtime::Frame;
using runtime::Lane;

std::int64_t now_seconds() {
  return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

std::uint16_t free_port() {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address);
  socklen_t size = sizeof address;
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  close(fd);
  return ntohs(address.sin_port);
}

struct Identity {
  explicit Identity(int number)
      : name("party" + std::to_string(number) + ".transport.witan.test"),
        rng(name),
        key(crypto::SigningKey::generate(rng)) {
    ca = crypto::make_party_ca(key, name, true, now_seconds(), rng).value();
  }
  crypto::TlsLeaf leaf(std::int64_t from = now_seconds() - 60, std::int64_t to = now_seconds() + 86400) {
    return crypto::make_tls_leaf(key, name, {"localhost"}, from, to, rng).value();
  }
  std::string name;
  test::SeededRng rng;
  crypto::SigningKey key;
  std::string ca;
};

struct Recorder final : runtime::FrameSink {
  void deliver(Role from, Frame frame, Lane lane) override {
    got[{from.number(), static_cast<int>(lane)}].push_back(std::move(frame));
    ++count;
  }
  void peer_reset(Role) override { ++resets; }
  std::map<std::pair<int, int>, std::vector<Frame>> got;
  int count = 0, resets = 0;
};

class Net : public testing::Test {
 protected:
  static constexpr int kParties = 4;
  Net() {
    for (int i = 1; i <= kParties; ++i) identities.emplace_back(i), ports.push_back(free_port());
    recorders.resize(kParties);
    nodes.resize(kParties);
  }
  Config config(int self) {
    auto leaf = identities[static_cast<std::size_t>(self - 1)].leaf();
    Config out{.context = default_context_id(),
               .committee = CommitteeSize::make(4, 1).value(),
               .self = Role(self),
               .listen_address = "127.0.0.1",
               .listen_port = ports[static_cast<std::size_t>(self - 1)],
               .certificate_pem = leaf.certificate_pem,
               .key_pem = std::move(leaf.key_pem),
               .peers = {},
               .limits = {},
               .timings = {}};
    out.timings.reconnect_first = 20ms;
    out.timings.reconnect_at_most = 200ms;
    for (int i = 1; i <= kParties; ++i)
      if (i != self)
        out.peers.push_back({Role(i),
                             identities[static_cast<std::size_t>(i - 1)].name,
                             "localhost",
                             ports[static_cast<std::size_t>(i - 1)],
                             {identities[static_cast<std::size_t>(i - 1)].ca}});
    return out;
  }
  void start(int self) { start(self, config(self)); }
  void start(int self, Config with) {
    auto started = Transport::start(std::move(with), loop);
    ASSERT_TRUE(started) << started.error().message;
    nodes[static_cast<std::size_t>(self - 1)] = *std::move(started);
    nodes[static_cast<std::size_t>(self - 1)]->set_sink(&recorders[static_cast<std::size_t>(self - 1)]);
  }
  void start_all() {
    for (int i = 1; i <= kParties; ++i) start(i);
  }
  Transport& node(int i) { return *nodes[static_cast<std::size_t>(i - 1)]; }
  Recorder& recorder(int i) { return recorders[static_cast<std::size_t>(i - 1)]; }
  /// Runs the loop until the condition holds.
  bool until(const std::function<bool()>& condition, std::chrono::milliseconds limit = 10s) {
    const auto deadline = std::chrono::steady_clock::now() + limit;
    while (!condition() && std::chrono::steady_clock::now() < deadline) pause(2ms);
    return condition();
  }
  void pause(std::chrono::milliseconds time) {
    loop.run([](runtime::Loop& l, runtime::Duration d) -> runtime::Task<void> { co_await l.sleep_for(d); }(loop, time));
  }
  bool connected(int i) {
    for (const auto& status : node(i).peer_status())
      if (!status.connected) return false;
    return true;
  }
  static Frame frame(int session, std::size_t size, runtime::Step step = 1) {
    Bytes bytes(size);
    for (std::size_t k = 0; k < size; ++k)
      bytes[k] = static_cast<std::uint8_t>(k * 7 + static_cast<std::size_t>(session));
    return {
        runtime::FrameKind::data, {static_cast<u128>(session)}, step, std::make_shared<const Bytes>(std::move(bytes))};
  }

  runtime::ThreadLoop loop;
  std::vector<Identity> identities;
  std::vector<std::uint16_t> ports;
  std::deque<Recorder> recorders;
  std::vector<std::unique_ptr<Transport>> nodes;
};

TEST_F(Net, FourNodesExchangeFramesInOrderOnBothLanes) {
  start_all();
  for (int i = 1; i <= kParties; ++i)
    for (int j = 1; j <= kParties; ++j)
      for (int k = 0; i != j && k < 50; ++k) {
        ASSERT_TRUE(node(i).send(Role(j), frame(k, static_cast<std::size_t>(k * 100)), Lane::urgent));
        ASSERT_TRUE(node(i).send(Role(j), frame(1000 + k, 10), Lane::bulk));
      }
  ASSERT_TRUE(until([&] {
    for (int i = 1; i <= kParties; ++i)
      if (recorder(i).count < 300) return false;
    return true;
  }));
  for (int i = 1; i <= kParties; ++i)
    for (const auto& [from, frames] : recorder(i).got) {
      ASSERT_EQ(frames.size(), 50u);
      for (int k = 0; k < 50; ++k) {
        const auto& got = frames[static_cast<std::size_t>(k)];
        const Frame expected = from.second == 0 ? frame(k, static_cast<std::size_t>(k * 100)) : frame(1000 + k, 10);
        EXPECT_TRUE(got.session == expected.session && got.step == 1);
        EXPECT_EQ(got.payload ? *got.payload : Bytes{}, *expected.payload);
      }
    }
  EXPECT_TRUE(connected(1) && connected(4));
}

TEST_F(Net, LargePayloadsArriveWhole) {
  start_all();
  ASSERT_TRUE(node(1).send(Role(2), frame(5, 20u << 20), Lane::bulk));
  ASSERT_TRUE(until([&] { return recorder(2).count == 1; }, 30s));
  EXPECT_EQ(*(recorder(2).got.at({1, 1})[0].payload), *frame(5, 20u << 20).payload);
}

TEST_F(Net, APeerThatComesBackAsAnotherProcessIsAnnounced) {
  start_all();
  ASSERT_TRUE(until([&] { return connected(1) && connected(3); }));
  nodes[1].reset();
  pause(100ms);
  EXPECT_TRUE(node(1).send(Role(2), frame(1, 10), Lane::urgent));  // for the old process
  start(2);
  ASSERT_TRUE(until([&] { return recorder(1).resets >= 1 && recorder(3).resets >= 1; }));
  EXPECT_EQ(recorder(2).resets, 0);
  ASSERT_TRUE(until([&] { return connected(1); }));
  EXPECT_TRUE(node(1).send(Role(2), frame(2, 10), Lane::urgent));
  EXPECT_TRUE(node(2).send(Role(1), frame(3, 10), Lane::urgent));
  ASSERT_TRUE(until([&] { return recorder(2).count >= 1 && recorder(1).count >= 1; }));
  EXPECT_TRUE(recorder(2).got.at({1, 0}).back().session.value == 2);
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
  nodes[1].reset();
  start(2);
  routers[1] = std::make_unique<runtime::Router>(loop, node(2));
  node(2).set_sink(routers[1].get());
  auto session2 = routers[1]->open({99}, {.resend_after = 0ms}).value();
  const auto got = loop.run(session2.receive(Role(1), 1, loop.after(10s)));
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_EQ(*got->payload, (Bytes{1, 2, 3}));
  for (int i = 1; i <= kParties; ++i) node(i).set_sink(nullptr);
}

TEST_F(Net, PingTellsWhoAnswers) {
  start(1);
  start(2);
  start(3);
  ASSERT_TRUE(until([&] { return node(1).peer_status()[0].connected; }));
  const auto results = loop.run(node(1).ping_all(1500ms));
  ASSERT_EQ(results.size(), 3u);
  EXPECT_TRUE(results[0].reachable && results[1].reachable);
  EXPECT_FALSE(results[2].reachable);
  EXPECT_FALSE(results[2].error.empty());
}

TEST_F(Net, SendingToADeadPeerIsBoundedAndStoppingIsQuick) {
  Config small = config(1);
  small.limits.queue_bytes = 100000;
  start(1, std::move(small));
  int refused = 0;
  for (int k = 0; k < 200; ++k) refused += !node(1).send(Role(2), frame(k, 1000), Lane::urgent);
  EXPECT_EQ(refused, 100);
  const auto begun = std::chrono::steady_clock::now();
  nodes[0].reset();
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 3s);
}

TEST_F(Net, StoppingWhileSendingIsQuickAndSilent) {
  start_all();
  for (int k = 0; k < 200; ++k) (void)node(1).send(Role(2), frame(k, 200000), Lane::bulk);
  pause(20ms);
  for (auto& each : nodes) each.reset();
  const int count = recorder(2).count;
  pause(50ms);
  EXPECT_EQ(recorder(2).count, count);
}

// Wrong start-up material is a clear error (channels.md 6.2).
TEST_F(Net, StartUpErrorsAreClear) {
  const auto error_of = [&](Config with) {
    auto started = Transport::start(std::move(with), loop);
    return started ? std::string("started") : started.error().message;
  };
  Config no_roots = config(1);
  no_roots.peers[0].ca_pems.clear();
  EXPECT_NE(error_of(std::move(no_roots)).find("no CA certificate"), std::string::npos);
  Config bad_root = config(1);
  bad_root.peers[0].ca_pems = {"nonsense"};
  EXPECT_NE(error_of(std::move(bad_root)).find("CA certificate of peer 2"), std::string::npos);
  Config twice = config(1);
  twice.peers[1] = twice.peers[0];
  EXPECT_NE(error_of(std::move(twice)).find("twice"), std::string::npos);
  Config missing = config(1);
  missing.peers.pop_back();
  EXPECT_NE(error_of(std::move(missing)).find("2 peers"), std::string::npos);
  Config foreign_key = config(1);
  foreign_key.key_pem = identities[1].leaf().key_pem;
  EXPECT_NE(error_of(std::move(foreign_key)).find("does not belong"), std::string::npos);
  start(1);
  const std::string in_use = error_of(config(1));
  EXPECT_NE(in_use.find("in use"), std::string::npos) << in_use;
}

class Certificates : public Net {
 public:
  void refused(const std::function<void(Config&)>& spoil) {
    start(1);
    start(3);
    Config bad = config(2);
    spoil(bad);
    start(2, std::move(bad));
    ASSERT_TRUE(until([&] { return node(1).peer_status()[1].connected; }));  // 1 and 3
    EXPECT_FALSE(
        until([&] { return node(1).peer_status()[0].connected || node(3).peer_status()[1].connected; }, 700ms));
    (void)node(2).send(Role(3), frame(1, 10), Lane::urgent);
    (void)node(1).send(Role(3), frame(2, 10), Lane::urgent);
    ASSERT_TRUE(until([&] { return recorder(3).count == 1; }));
    pause(200ms);
    EXPECT_EQ(recorder(3).count, 1);
    EXPECT_EQ(recorder(3).got.count({2, 0}), 0u);
  }
};

TEST_F(Certificates, OfAStrangerAreRefused) {
  refused([](Config& bad) {
    Identity stranger(2);  // the right name under another key
    test::SeededRng rng("stranger");
    stranger.key = crypto::SigningKey::generate(rng);
    auto leaf = stranger.leaf();
    bad.certificate_pem = leaf.certificate_pem;
    bad.key_pem = std::move(leaf.key_pem);
  });
}

TEST_F(Certificates, OfAnotherPartyAreRefused) {
  refused([&](Config& bad) {
    auto leaf = identities[3].leaf();  // party 4 says that it is party 2
    bad.certificate_pem = leaf.certificate_pem;
    bad.key_pem = std::move(leaf.key_pem);
  });
}

TEST_F(Certificates, ThatHaveExpiredAreRefused) {
  refused([&](Config& bad) {
    auto leaf = identities[1].leaf(now_seconds() - 5000, now_seconds() - 1000);
    bad.certificate_pem = leaf.certificate_pem;
    bad.key_pem = std::move(leaf.key_pem);
  });
}

TEST_F(Certificates, OfAnUnknownIdentityAreRefused) {
  refused([](Config& bad) {
    Identity unknown(9);
    auto leaf = unknown.leaf();
    bad.certificate_pem = leaf.certificate_pem;
    bad.key_pem = std::move(leaf.key_pem);
  });
}

TEST_F(Net, ClientsWithoutCertificateOrTlsReachNothing) {
  start(3);
  for (const auto& credentials :
       {grpc::InsecureChannelCredentials(), grpc::SslCredentials({identities[2].ca, "", ""})}) {
    auto stub = v1::PeerService::NewStub(grpc::CreateChannel("localhost:" + std::to_string(ports[2]), credentials));
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + 1s);
    v1::PingRequest request;
    v1::PingResponse response;
    EXPECT_FALSE(stub->Ping(&context, request, &response).ok());
  }
}

// A party with a right certificate that claims another role, committee or version in its hello.
TEST_F(Net, WrongHellosAreRefused) {
  start(3);
  auto leaf = identities[0].leaf();
  const auto hello_ends_stream = [&](const std::function<void(v1::Hello&)>& spoil) {
    grpc::SslCredentialsOptions options{identities[2].ca,
                                        std::string(leaf.key_pem.reveal().begin(), leaf.key_pem.reveal().end()),
                                        leaf.certificate_pem};
    auto stub = v1::PeerService::NewStub(
        grpc::CreateChannel("localhost:" + std::to_string(ports[2]), grpc::SslCredentials(options)));
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + 2s);
    auto stream = stub->Connect(&context);
    v1::Packet packet;
    auto& hello = *packet.mutable_hello();
    hello.set_version(1);
    hello.set_context(std::string(reinterpret_cast<const char*>(default_context_id().bytes().data()), 32));
    hello.set_role(1);
    hello.set_process(std::string(16, 'x'));
    hello.set_credit(1 << 20);
    spoil(hello);
    stream->Write(packet);
    v1::Packet answer;
    int packets = 0;
    while (stream->Read(&answer)) {
      if (++packets > 2) break;
      if (answer.has_heartbeat()) break;
      // Still open after our hello was judged? Ask for proof by sending a frame.
      v1::Packet data;
      auto& piece = *data.mutable_piece();
      piece.set_frame(1);
      piece.set_session(std::string(16, 1));
      piece.set_step(1);
      piece.set_total_bytes(1);
      piece.set_payload("a");
      stream->Write(data);
    }
    context.TryCancel();
    stream->Finish();
    pause(50ms);
    return recorder(3).count == 0;
  };
  EXPECT_TRUE(hello_ends_stream([](v1::Hello& h) { h.set_role(2); }));
  EXPECT_TRUE(hello_ends_stream([](v1::Hello& h) { h.set_role(77); }));
  EXPECT_TRUE(hello_ends_stream([](v1::Hello& h) { h.set_version(2); }));
  EXPECT_TRUE(hello_ends_stream([](v1::Hello& h) { h.set_context(std::string(32, 'c')); }));
  EXPECT_TRUE(hello_ends_stream([](v1::Hello& h) { h.set_process("short"); }));
  EXPECT_FALSE(hello_ends_stream([](v1::Hello&) {}));  // the right one gets through
}

}  // namespace
}  // namespace witan::transport
