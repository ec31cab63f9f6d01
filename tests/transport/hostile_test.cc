// Peers with a right certificate that break the protocol, peers with a wrong one, and strangers. In each case the node says
// why in its log, tells the peer nothing, and goes on with the others.
#include <arpa/inet.h>
#include <grpcpp/grpcpp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "transport/fixture.h"
#include "transport/lane.h"
#include "transport/wire.h"
#include "witan_transport.grpc.pb.h"

namespace witan::transport {
namespace {

using namespace std::chrono_literals;
using runtime::Lane;
using testing::HasSubstr;

std::string key_text(const crypto::TlsLeaf& leaf) {
  return {leaf.key_pem.reveal().begin(), leaf.key_pem.reveal().end()};
}

/// A client made of the generated stub that speaks as it likes.
class RawPeer {
 public:
  RawPeer(Identity& self, const Identity& server, std::uint16_t port, bool compress = false) {
    const auto leaf = self.leaf();
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    stub_ = v1::PeerService::NewStub(
        grpc::CreateCustomChannel("localhost:" + std::to_string(port),
                                  grpc::SslCredentials({server.ca, key_text(leaf), leaf.certificate_pem}), arguments));
    context_.set_deadline(std::chrono::system_clock::now() + 5s);
    if (compress) context_.set_compression_algorithm(GRPC_COMPRESS_GZIP);
    stream_ = stub_->Connect(&context_);
  }
  ~RawPeer() {
    context_.TryCancel();
    if (!finished_) stream_->Finish();
  }
  static v1::Packet hello(int role) {
    v1::Packet packet;
    auto& out = *packet.mutable_hello();
    out.set_version(kProtocolVersion);
    out.set_context(std::string(reinterpret_cast<const char*>(default_context_id().bytes().data()), 32));
    out.set_role(static_cast<std::uint32_t>(role));
    out.set_process(std::string(16, 'x'));
    out.set_credit(1 << 20);
    return packet;
  }
  static v1::Packet start(std::uint64_t first) {
    v1::Packet packet;
    packet.mutable_start()->set_first(first);
    return packet;
  }
  static v1::Packet piece(std::uint64_t frame, std::size_t size, std::uint32_t total = 0) {
    v1::Packet packet;
    auto& out = *packet.mutable_pieces()->add_pieces();
    out.set_frame(frame);
    out.set_session(std::string(16, 's'));
    out.set_step(1);
    out.set_total_bytes(total == 0 ? static_cast<std::uint32_t>(size) : total);
    out.set_payload(std::string(size, 'p'));
    return packet;
  }

  bool send(const v1::Packet& packet) { return stream_->Write(packet); }
  std::optional<v1::Packet> read() {
    v1::Packet packet;
    if (!stream_->Read(&packet)) return std::nullopt;
    return packet;
  }
  /// Hello and Start of both.
  bool greet(int role) {
    send(hello(role));
    const auto theirs = read();
    const auto first = read();
    return theirs && theirs->has_hello() && first && first->has_start() && send(start(1));
  }
  /// How the node ended the stream; OK if it did not within the time.
  grpc::Status end() {
    while (read()) {
    }
    finished_ = true;
    const grpc::Status status = stream_->Finish();
    return status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED ? grpc::Status::OK : status;
  }

 private:
  std::unique_ptr<v1::PeerService::Stub> stub_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::Packet, v1::Packet>> stream_;
  bool finished_ = false;
};

class Hostile : public Net {
 protected:
  Hostile() {
    start(2);
    start(3);
    EXPECT_TRUE(until([&] { return connected(2, 3) && connected(3, 2); }));
  }
  /// The honest pair still works, and node 3 has nothing from the hostile party.
  void others_go_on(int hostile = 1) {
    const int before = recorder(3).count;
    ASSERT_TRUE(node(2).send(Role(3), frame(5, 100), Lane::urgent));
    ASSERT_TRUE(until([&] { return recorder(3).count > before; }));
    EXPECT_TRUE(connected(2, 3) && connected(3, 2));
    EXPECT_EQ(recorder(3).from(hostile, Lane::urgent).size(), 0u);
    EXPECT_EQ(recorder(3).from(hostile, Lane::bulk).size(), 0u);
  }
};

TEST_F(Hostile, ARightPeerGetsThrough) {  // so that the refusals below mean something
  RawPeer peer(identity(1), identity(3), ports[2]);
  ASSERT_TRUE(peer.greet(1));
  EXPECT_TRUE(peer.send(RawPeer::piece(1, 10)));
  EXPECT_TRUE(until([&] { return recorder(3).from(1, Lane::urgent).size() == 1; }));
}

TEST_F(Hostile, WrongHellosAreRefused) {
  struct Case {
    std::function<void(v1::Packet&)> spoil;
    const char* log;
  };
  const Case cases[] = {
      {[](v1::Packet& p) { p.mutable_hello()->set_role(2); }, "the certificate is of party 1, the Hello says party 2"},
      {[](v1::Packet& p) { p.mutable_hello()->set_role(77); }, "the Hello says party 77"},
      {[](v1::Packet& p) { p.mutable_hello()->set_role(0); }, "the Hello says party 0"},
      {[](v1::Packet& p) { p.mutable_hello()->set_version(9); }, "speaks version 9"},
      {[](v1::Packet& p) { p.mutable_hello()->set_context(std::string(32, 'c')); }, "is of the committee 6363"},
      {[](v1::Packet& p) { p.mutable_hello()->set_process("short"); }, "process id has 5 bytes"},
      {[](v1::Packet& p) { p.mutable_hello()->set_lane(2); }, "lane 2"},
      {[](v1::Packet& p) { p.mutable_start()->set_first(1); }, "a stream begins with Hello"},
      {[](v1::Packet& p) { p.clear_content(); }, "a packet of 0 bytes"},
  };
  for (const Case& each : cases) {
    const LogLines lines;
    RawPeer peer(identity(1), identity(3), ports[2]);
    v1::Packet hello = RawPeer::hello(1);
    each.spoil(hello);
    peer.send(hello);
    peer.send(RawPeer::start(1));
    peer.send(RawPeer::piece(1, 10));
    const grpc::Status end = peer.end();
    EXPECT_EQ(end.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << each.log;
    EXPECT_EQ(end.error_message(), "refused");
    EXPECT_TRUE(lines.have({"party 1", identity(1).name, each.log})) << each.log << "\n" << lines.text();
  }
  others_go_on();
}

TEST_F(Hostile, OnlyTheLowerRoleDials) {
  RawPeer peer(identity(4), identity(3), ports[2]);
  peer.send(RawPeer::hello(4));
  EXPECT_EQ(peer.end().error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  others_go_on(4);
}

TEST_F(Hostile, PeersThatBreakTheProtocolAreDisconnected) {
  constexpr auto kPiece = static_cast<std::uint32_t>(kPieceBytes);
  const auto with = [](v1::Packet packet, const std::function<void(v1::Piece&)>& spoil) {
    spoil(*packet.mutable_pieces()->mutable_pieces(0));
    return packet;
  };
  const auto grant = [](std::uint64_t credit, std::uint64_t received) {
    v1::Packet packet;
    packet.mutable_grant()->set_credit(credit);
    packet.mutable_grant()->set_received(received);
    return packet;
  };
  struct Case {
    std::vector<v1::Packet> packets;
    const char* log;
  };
  const Case cases[] = {
      {{RawPeer::hello(1)}, "a second Hello"},
      {{RawPeer::start(1)}, "a second Start"},
      {{RawPeer::piece(2, 10)}, "piece 0 of frame 2, expected was piece 0 of frame 1"},
      {{RawPeer::piece(0, 10)}, "piece 0 of frame 0"},
      {{with(RawPeer::piece(1, 10), [](v1::Piece& p) { p.set_fragment(1); })}, "piece 1 of frame 1, expected"},
      {{with(RawPeer::piece(1, 10), [](v1::Piece& p) { p.set_kind(9); })}, "kind 9"},
      {{with(RawPeer::piece(1, 10), [](v1::Piece& p) { p.set_session("s"); })}, "session id of 1 bytes"},
      {{RawPeer::piece(1, 10, 20)}, "has 10 bytes, expected were 20"},
      {{RawPeer::piece(1, kPiece, (64u << 20) + 1)}, "frame 1 of 67108865 bytes"},
      {{RawPeer::piece(1, kPiece, ~0u)}, "frame 1 of 4294967295 bytes"},
      {{RawPeer::piece(1, kPiece, 2 * kPiece), RawPeer::piece(2, 10)}, "expected was piece 1 of frame 1"},
      {{grant(0, 1)}, "acknowledges frame 1, sent were 0"},
      {{grant(~std::uint64_t{0}, 0)}, "a grant of"},
      {{v1::Packet()}, "a packet of 0 bytes"},
  };
  for (const Case& each : cases) {
    const LogLines lines;
    RawPeer peer(identity(1), identity(3), ports[2]);
    ASSERT_TRUE(peer.greet(1)) << each.log;
    for (const auto& packet : each.packets) peer.send(packet);
    EXPECT_FALSE(peer.end().ok()) << each.log;
    EXPECT_TRUE(until([&] { return lines.have({"party 1", identity(1).name, "disconnected", each.log}); }))
        << each.log << "\n"
        << lines.text();
    EXPECT_THAT(status(3, 1).last_error, HasSubstr(each.log));
  }
  others_go_on();
}

TEST_F(Hostile, APieceBeforeStartIsAViolation) {
  const LogLines lines;
  RawPeer peer(identity(1), identity(3), ports[2]);
  peer.send(RawPeer::hello(1));
  peer.send(RawPeer::piece(1, 10));
  EXPECT_FALSE(peer.end().ok());
  EXPECT_TRUE(until([&] { return lines.have({"expected was Start after Hello"}); })) << lines.text();
  others_go_on();
}

// The loop does not run meanwhile, so nothing is consumed.
TEST_F(Hostile, APeerThatSendsMoreThanItsCreditIsDisconnected) {
  const LogLines lines;
  RawPeer peer(identity(1), identity(3), ports[2]);
  ASSERT_TRUE(peer.greet(1));
  for (std::uint64_t k = 1; k <= 5; ++k) peer.send(RawPeer::piece(k, kPieceBytes));
  EXPECT_FALSE(peer.end().ok());
  EXPECT_TRUE(until([&] { return lines.have({"party 1", "the peer sends", "its credit is"}); })) << lines.text();
  // Three pieces are within the credit. One frame more is granted if the node looks while the first one is being put together.
  EXPECT_LE(recorder(3).from(1, Lane::urgent).size(), 4u);
  EXPECT_TRUE(connected(2, 3));
}

TEST_F(Hostile, MessagesAreNeverDecompressed) {
  const LogLines lines;
  RawPeer peer(identity(1), identity(3), ports[2], true);
  peer.send(RawPeer::hello(1));
  peer.send(RawPeer::start(1));
  peer.send(RawPeer::piece(1, 200'000));  // a few hundred bytes compressed
  EXPECT_FALSE(peer.end().ok());
  EXPECT_TRUE(lines.have({"party 1", "refused a stream: not a Packet"})) << lines.text();
  others_go_on();
}

TEST_F(Hostile, TooLargeAMessageEndsItsStream) {
  RawPeer peer(identity(1), identity(3), ports[2]);
  ASSERT_TRUE(peer.greet(1));
  peer.send(RawPeer::piece(1, 2 * kPieceBytes));
  EXPECT_FALSE(peer.end().ok());
  others_go_on();
}

TEST_F(Hostile, StreamsOfOnePeerAreLimitedAndSilentOnesEnd) {
  stop(3);
  Config quick = config(3);
  quick.timings.heartbeat = 50ms;
  quick.timings.dead_after = 500ms;
  start(3, std::move(quick));
  ASSERT_TRUE(until([&] { return connected(2, 3); }));
  std::vector<std::unique_ptr<RawPeer>> silent;
  for (int k = 0; k < 4; ++k) silent.push_back(std::make_unique<RawPeer>(identity(1), identity(3), ports[2]));
  pause(100ms);
  RawPeer one_more(identity(1), identity(3), ports[2]);
  EXPECT_EQ(one_more.end().error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  for (auto& each : silent) EXPECT_FALSE(each->end().ok());  // within the test's 5 s
  RawPeer later(identity(1), identity(3), ports[2]);
  EXPECT_TRUE(later.greet(1));
}

TEST_F(Hostile, ANewStreamTakesOverItsLane) {
  RawPeer first(identity(1), identity(3), ports[2]);
  ASSERT_TRUE(first.greet(1));
  RawPeer second(identity(1), identity(3), ports[2]);
  ASSERT_TRUE(second.greet(1));
  EXPECT_FALSE(first.end().ok());
  EXPECT_TRUE(second.send(RawPeer::piece(1, 10)));
  EXPECT_TRUE(until([&] { return recorder(3).from(1, Lane::urgent).size() == 1; }));
}

// Certificates. Party 2 has a bad one: party 1 dials it, and it dials party 3.

class Certificates : public Net {
 protected:
  void refused(const std::function<void(Config&)>& spoil, const std::vector<std::string>& reason,
               bool as_client_too = true) {
    const LogLines lines;
    start(1);
    start(3);
    Config bad = config(2);
    spoil(bad);
    start(2, std::move(bad));
    ASSERT_TRUE(until([&] { return connected(1, 3) && connected(3, 1); }));
    const auto logged = [&](const char* side) {
      std::vector<std::string> parts = reason;
      parts.emplace_back(side);
      return lines.have(parts);
    };
    EXPECT_TRUE(until([&] {
      return logged("refused the peer that answers for 'party2") && (!as_client_too || logged("refused a connection"));
    })) << lines.text();
    EXPECT_FALSE(until([&] { return connected(1, 2) || (as_client_too && connected(3, 2)); }, 300ms));
    for (const auto& part : reason) EXPECT_THAT(status(1, 2).last_error, HasSubstr(part));
    if (as_client_too) {
      EXPECT_THAT(status(2, 3).last_error, testing::Not(HasSubstr(reason[0])));  // nothing specific for the peer
      const auto pings = loop.run(node(2).ping_all(1s));
      EXPECT_FALSE(pings[0].reachable || pings[1].reachable);
    }
    const auto pings = loop.run(node(1).ping_all(1s));
    EXPECT_FALSE(pings[0].reachable);
    EXPECT_TRUE(pings[1].reachable);
    (void)node(2).send(Role(3), frame(1, 10), Lane::urgent);
    ASSERT_TRUE(node(1).send(Role(3), frame(2, 10), Lane::urgent));  // others are not affected
    ASSERT_TRUE(until([&] { return recorder(3).from(1, Lane::urgent).size() == 1; }));
    if (as_client_too) EXPECT_EQ(recorder(3).from(2, Lane::urgent).size(), 0u);
  }
  static void use(Config& config, crypto::TlsLeaf leaf) {
    config.certificate_pem = leaf.certificate_pem;
    config.key_pem = std::move(leaf.key_pem);
  }
};

TEST_F(Certificates, OfAnImpostorAreRefused) {  // the right name under another CA
  refused([](Config& bad) { use(bad, Identity(2, "impostor").leaf()); },
          {"certificate of 'party2.transport.witan.test'", "issuer"});
}

TEST_F(Certificates,
       OfAnotherPartyAreRefused) {  // party 4 says that it is party 2: its connections are those of party 4
  refused(
      [&](Config& bad) {
        use(bad, identity(4).leaf());
        bad.peers[2] = {Role(4), identity(2).name, "localhost", ports[3], {identity(2).ca}};
      },
      {"the certificate is of 'party4.transport.witan.test', expected was 'party2.transport.witan.test'"}, false);
  EXPECT_EQ(recorder(3).from(2, Lane::urgent).size(), 0u);
  EXPECT_FALSE(connected(3, 2));
}

TEST_F(Certificates, OfAnUnknownIdentityAreRefused) {
  refused([](Config& bad) { use(bad, Identity(9).leaf()); },
          {"'party9.transport.witan.test' is no other party of this committee"});
}

TEST_F(Certificates, ThatHaveExpiredAreRefused) {
  refused([&](Config& bad) { use(bad, identity(2).leaf(now_seconds() - 5000, now_seconds() - 1000)); },
          {"certificate of 'party2.transport.witan.test'", "expired"});
}

TEST_F(Certificates, ThatAreNotYetValidAreRefused) {
  refused([&](Config& bad) { use(bad, identity(2).leaf(now_seconds() + 1000, now_seconds() + 5000)); },
          {"certificate of 'party2.transport.witan.test'", "not yet valid"});
}

TEST_F(Certificates, ThatDoNotCoverTheDialledHostAreRefused) {
  refused(
      [&](Config& bad) { use(bad, identity(2).leaf(now_seconds() - 60, now_seconds() + 1000, {"elsewhere.test"})); },
      {"certificate of 'party2.transport.witan.test'", "ostname mismatch"}, false);
}

// Strangers.

TEST_F(Hostile, ClientsWithoutCertificateOrTlsReachNothing) {
  for (const auto& credentials : {grpc::InsecureChannelCredentials(), grpc::SslCredentials({identity(3).ca, "", ""})}) {
    auto stub = v1::PeerService::NewStub(grpc::CreateChannel("localhost:" + std::to_string(ports[2]), credentials));
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + 2s);
    v1::PingRequest request;
    v1::PingResponse response;
    EXPECT_EQ(stub->Ping(&context, request, &response).error_code(), grpc::StatusCode::UNAVAILABLE);
  }
  others_go_on();
}

TEST_F(Hostile, PingsOfAnotherRoleOrCommitteeAreRefused) {
  const auto leaf = identity(1).leaf();
  auto stub = v1::PeerService::NewStub(
      grpc::CreateChannel("localhost:" + std::to_string(ports[2]),
                          grpc::SslCredentials({identity(3).ca, key_text(leaf), leaf.certificate_pem})));
  const auto ping = [&](std::uint32_t role, const std::string& committee) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + 2s);
    v1::PingRequest request;
    v1::PingResponse response;
    request.set_role(role);
    request.set_context(committee);
    return stub->Ping(&context, request, &response).error_code();
  };
  const std::string committee = RawPeer::hello(1).hello().context();
  EXPECT_EQ(ping(1, committee), grpc::StatusCode::OK);
  EXPECT_EQ(ping(2, committee), grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_EQ(ping(1, std::string(32, 'c')), grpc::StatusCode::FAILED_PRECONDITION);
}

struct TlsOutcome {
  bool connected = false;
  std::string version, cipher;
};

/// A handshake by OpenSSL alone, with party 1's certificate or none.
TlsOutcome tls_handshake(std::uint16_t port, const crypto::TlsLeaf* leaf, int version, const char* ciphers) {
  const auto context =
      std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)>(SSL_CTX_new(TLS_client_method()), SSL_CTX_free);
  SSL_CTX_set_min_proto_version(context.get(), version);
  SSL_CTX_set_max_proto_version(context.get(), version);
  if (ciphers != nullptr) EXPECT_EQ(SSL_CTX_set_cipher_list(context.get(), ciphers), 1);
  const unsigned char alpn[] = {2, 'h', '2'};
  SSL_CTX_set_alpn_protos(context.get(), alpn, sizeof alpn);
  if (leaf != nullptr) {
    const auto bio_of = [](ByteView bytes) {
      return std::unique_ptr<BIO, decltype(&BIO_free_all)>(
          BIO_new_mem_buf(bytes.data(), static_cast<int>(bytes.size())), BIO_free_all);
    };
    const auto certificate = bio_of(as_bytes(leaf->certificate_pem));
    const auto key = bio_of(leaf->key_pem.reveal());
    X509* x509 = PEM_read_bio_X509(certificate.get(), nullptr, nullptr, nullptr);
    EVP_PKEY* pkey = PEM_read_bio_PrivateKey(key.get(), nullptr, nullptr, nullptr);
    SSL_CTX_use_certificate(context.get(), x509);
    SSL_CTX_use_PrivateKey(context.get(), pkey);
    X509_free(x509);
    EVP_PKEY_free(pkey);
  }
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  const timeval limit{2, 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  EXPECT_EQ(connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  TlsOutcome out;
  {
    const auto ssl = std::unique_ptr<SSL, decltype(&SSL_free)>(SSL_new(context.get()), SSL_free);
    SSL_set_fd(ssl.get(), fd);
    unsigned char byte = 0;
    // With TLS 1.3 a client learns from its first read that the server did not like its certificate.
    out.connected = SSL_connect(ssl.get()) == 1 && SSL_read(ssl.get(), &byte, 1) == 1;
    if (out.connected) out.version = SSL_get_version(ssl.get()), out.cipher = SSL_get_cipher_name(ssl.get());
  }
  close(fd);
  return out;
}

// channels.md 6.5: 1.3 is what nodes speak; 1.2 passes with one suite, for the owner of a certificate.
TEST_F(Hostile, OldTlsPassesWithTheStrongSuiteOnly) {
  const auto leaf = identity(1).leaf();
  const TlsOutcome modern = tls_handshake(ports[2], &leaf, TLS1_3_VERSION, nullptr);
  EXPECT_TRUE(modern.connected);
  EXPECT_EQ(modern.version, "TLSv1.3");
  const TlsOutcome strong = tls_handshake(ports[2], &leaf, TLS1_2_VERSION, "ECDHE-ECDSA-AES256-GCM-SHA384");
  EXPECT_TRUE(strong.connected);
  EXPECT_EQ(strong.cipher, "ECDHE-ECDSA-AES256-GCM-SHA384");
  for (const char* weak : {"ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-SHA384",
                           "ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-ECDSA-AES128-SHA"})
    EXPECT_FALSE(tls_handshake(ports[2], &leaf, TLS1_2_VERSION, weak).connected) << weak;
  EXPECT_FALSE(tls_handshake(ports[2], &leaf, TLS1_1_VERSION, "ALL:@SECLEVEL=0").connected);
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION})
    EXPECT_FALSE(tls_handshake(ports[2], nullptr, version, nullptr).connected);
  const auto stranger = Identity(1, "impostor").leaf();
  EXPECT_FALSE(tls_handshake(ports[2], &stranger, TLS1_3_VERSION, nullptr).connected);
  others_go_on();
}

}  // namespace
}  // namespace witan::transport
