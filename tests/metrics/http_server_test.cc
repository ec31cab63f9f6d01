// A real server on loopback, asked properly and improperly.
#include "metrics/http_server.h"

#include <gmock/gmock.h>
#include <sys/resource.h>

#include <atomic>
#include <thread>

#include "metrics/process_usage.h"
#include "support/http_client.h"

namespace witan::metrics {
namespace {

using namespace std::chrono_literals;
using test::http;
using test::HttpConnection;
using test::parse_reply;
using ::testing::AllOf;
using ::testing::HasSubstr;
using Clock = std::chrono::steady_clock;

HttpOptions on_any_port() {
  return {.address = {"127.0.0.1", 0}};
}
std::optional<HttpAnswer> greet(std::string_view path) {
  if (path == "/hello") return HttpAnswer{.body = "hello"};
  if (path == "/no") return HttpAnswer{.status = 503, .body = "not now"};
  if (path == "/large") return HttpAnswer{.body = std::string(8u << 20, 'x')};
  return std::nullopt;
}
std::unique_ptr<HttpServer> serve(const HttpOptions& options = on_any_port()) {
  auto server = HttpServer::start(options, greet);
  EXPECT_TRUE(server) << server.error().message;
  return *std::move(server);
}
/// The answer to raw bytes.
test::HttpReply reply_to(const HttpServer& server, const std::string& bytes) {
  const HttpConnection connection(server.port());
  connection.send(bytes);
  return parse_reply(connection.receive_all());
}
int status_of(const HttpServer& server, const std::string& bytes) {
  return reply_to(server, bytes).status;
}

TEST(HttpServer, AnswersByPath) {
  const auto server = serve();
  const auto hello = http(server->port(), "/hello");
  EXPECT_EQ(hello.status, 200);
  EXPECT_EQ(hello.body, "hello");
  EXPECT_EQ(hello.headers.at("Content-Type"), "text/plain; charset=utf-8");
  EXPECT_EQ(hello.headers.at("Cache-Control"), "no-store");
  EXPECT_EQ(http(server->port(), "/hello?x=1/2?").body, "hello");
  EXPECT_EQ(http(server->port(), "/no").status, 503);
  EXPECT_EQ(http(server->port(), "/hello/").status, 404);
  EXPECT_EQ(http(server->port(), "/").status, 404);
  EXPECT_EQ(http(server->port(), "/large").body.size(), 8u << 20);
}

TEST(HttpServer, HeadHasTheHeadersOfGetAndNoBody) {
  const auto server = serve();
  const auto head = http(server->port(), "/hello", "HEAD");
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.headers.at("Content-Length"), "5");
  EXPECT_EQ(head.body, "");
  EXPECT_EQ(http(server->port(), "/nothing", "HEAD").status, 404);
}

TEST(HttpServer, OtherMethodsAreNotAllowed) {
  const auto server = serve();
  for (const char* method : {"POST", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "get", "GETS"}) {
    const auto reply = http(server->port(), "/hello", method);
    EXPECT_EQ(reply.status, 405) << method;
    EXPECT_EQ(reply.headers.at("Allow"), "GET, HEAD");
  }
  // With a body that nobody reads, more than sockets hold: the answer arrives all the same.
  const HttpConnection connection(server->port());
  connection.send("POST /hello HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n" + std::string(100'000, 'x'));
  EXPECT_EQ(parse_reply(connection.receive_all()).status, 405);
}

TEST(HttpServer, WhatIsNoRequestIsSaidToBeNone) {
  const auto server = serve();
  for (const char* line : {"", "GET", "GET /hello", "GET  HTTP/1.1", " /hello HTTP/1.1", "GET hello HTTP/1.1",
                           "GET /hello HTTP/1.1 x", "GET /hello FTP/1.1", "GET /he\tllo HTTP/1.1", "\x16\x03\x01\x02"})
    EXPECT_EQ(status_of(*server, std::string(line) + "\r\n\r\n"), 400) << line;
  for (const char* version : {"HTTP/2.0", "HTTP/1.2", "HTTP/0.9", "HTTP/"})
    EXPECT_EQ(status_of(*server, fmt::format("GET /hello {}\r\n\r\n", version)), 505) << version;
  EXPECT_EQ(status_of(*server, "GET /hello HTTP/1.0\r\n\r\n"), 200);
  EXPECT_EQ(status_of(*server, std::string("GET /he\0llo HTTP/1.1\r\n\r\n", 24)), 400);
}

TEST(HttpServer, OneRequestIsAnsweredPerConnection) {
  const auto server = serve();
  const std::string request = "GET /hello HTTP/1.1\r\n\r\n";
  EXPECT_EQ(reply_to(*server, request + request).body, "hello");
}

TEST(HttpServer, ARequestMayComeInPieces) {
  const auto server = serve();
  const HttpConnection connection(server->port());
  for (const char c : std::string("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n")) {
    connection.send(std::string(1, c));
    std::this_thread::sleep_for(1ms);
  }
  EXPECT_EQ(parse_reply(connection.receive_all()).body, "hello");
}

TEST(HttpServer, AHeadOfMoreThanTheLimitIsRefused) {
  auto options = on_any_port();
  const auto server = serve(options);
  const auto head = [&](std::size_t bytes) {  // of exactly so many
    const std::string begin = "GET /hello HTTP/1.1\r\nX: ", end = "\r\n\r\n";
    return begin + std::string(bytes - begin.size() - end.size(), 'x') + end;
  };
  EXPECT_EQ(status_of(*server, head(options.max_head_bytes)), 200);
  EXPECT_EQ(status_of(*server, head(options.max_head_bytes + 1)), 431);
  EXPECT_EQ(status_of(*server, "GET /" + std::string(20'000, 'x')), 431) << "without an end";
  EXPECT_EQ(status_of(*server, "GET / HTTP/1.1\r\n" + std::string(4'000, '\n') + std::string(5'000, ':')), 431);
}

TEST(HttpServer, AClientThatSendsNothingOrTooSlowlyIsClosed) {
  auto options = on_any_port();
  options.read_timeout = 300ms;
  const auto server = serve(options);
  const HttpConnection silent(server->port()), slow(server->port());
  const auto begun = Clock::now();
  while (!slow.is_closed() && Clock::now() - begun < 5s) {
    try {
      slow.send("G");
    } catch (const std::runtime_error&) {
      break;  // closed meanwhile
    }
    std::this_thread::sleep_for(10ms);
  }
  EXPECT_GE(Clock::now() - begun, 250ms);
  EXPECT_LT(Clock::now() - begun, 3s) << "each byte must not give it more time";
  EXPECT_EQ(silent.receive_all(), "");
  EXPECT_EQ(http(server->port(), "/hello").status, 200);
}

TEST(HttpServer, AClientThatDoesNotReadItsAnswerIsClosed) {
  auto options = on_any_port();
  options.write_timeout = 300ms;
  const auto server = serve(options);
  const HttpConnection connection(server->port());
  connection.send("GET /large HTTP/1.1\r\n\r\n");
  std::this_thread::sleep_for(1s);
  EXPECT_LT(connection.receive_all().size(), 8u << 20);
}

TEST(HttpServer, AClientThatDoesNotCloseIsClosed) {
  auto options = on_any_port();
  options.max_connections = 1;
  options.closing_timeout = 200ms;
  const auto server = serve(options);
  const HttpConnection connection(server->port());
  connection.send("GET /hello HTTP/1.1\r\n\r\n");
  EXPECT_EQ(parse_reply(connection.receive_all()).body, "hello");
  for (const auto until = Clock::now() + 5s; Clock::now() < until; std::this_thread::sleep_for(20ms)) {
    try {  // a socket that is gone answers with a reset
      connection.send("x");
    } catch (const std::runtime_error&) {
      return;
    }
  }
  FAIL() << "the server keeps the connection";
}

TEST(HttpServer, AThousandSilentConnectionsKeepNobodyOut) {
  rlimit limit{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
  limit.rlim_cur = limit.rlim_max;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
  ASSERT_GE(limit.rlim_max, 1200u) << "both ends are in this process";
  const auto server = serve();
  const auto descriptors = process_usage().file_descriptors.value();
  std::vector<std::unique_ptr<HttpConnection>> silent;
  for (int i = 0; i < 1000; ++i) {
    silent.push_back(std::make_unique<HttpConnection>(server->port()));
    if (i % 100 == 0) EXPECT_EQ(http(server->port(), "/hello").status, 200) << i;
  }
  const auto begun = Clock::now();
  EXPECT_EQ(http(server->port(), "/hello").status, 200);
  EXPECT_LT(Clock::now() - begun, 2s);
  // The server's ends, in this process too: one more than max_connections while one is exchanged for another.
  EXPECT_LE(process_usage().file_descriptors.value(), descriptors + 1000 + on_any_port().max_connections + 1);
  int closed = 0;
  for (const auto& connection : silent) closed += connection->is_closed();
  EXPECT_GE(closed, 1000 - static_cast<int>(on_any_port().max_connections));
}

TEST(HttpServer, ManyClientsAtOnceAreAllAnswered) {
  const auto server = serve();
  std::atomic<int> good = 0;
  {
    std::vector<std::jthread> clients;
    for (int i = 0; i < 16; ++i)
      clients.emplace_back([&] {
        for (int k = 0; k < 50; ++k) good += http(server->port(), "/hello").body == "hello";
      });
  }
  EXPECT_EQ(good, 800);
}

TEST(HttpServer, EndsWithConnectionsInEveryState) {
  auto server = serve();
  const HttpConnection silent(server->port()), half(server->port()), unread(server->port());
  half.send("GET /he");
  unread.send("GET /large HTTP/1.1\r\n\r\n");
  EXPECT_EQ(http(server->port(), "/hello").status, 200);
  const auto begun = Clock::now();
  server.reset();
  EXPECT_LT(Clock::now() - begun, 2s);
  EXPECT_EQ(silent.receive_all(), "");
}

TEST(HttpServer, AnAddressThatIsTakenOrNotOursIsAnError) {
  const auto server = serve();
  const auto said = [](const BindAddress& address) {
    const auto second = HttpServer::start({.address = address}, greet);
    return second ? "OK" : std::string(to_string(second.error().code)) + ": " + second.error().message;
  };
  EXPECT_THAT(
      said({"127.0.0.1", server->port()}),
      AllOf(HasSubstr("UNAVAILABLE"), HasSubstr(fmt::format("127.0.0.1:{}", server->port())), HasSubstr("in use")));
  EXPECT_THAT(said({"192.0.2.1", 0}), HasSubstr("cannot listen on 192.0.2.1:0"));
  EXPECT_THAT(said({"no.such.host.invalid", 0}), HasSubstr("cannot listen on no.such.host.invalid:0"));
}

TEST(BindAddress, IsHostAndPort) {
  EXPECT_EQ(BindAddress::parse("0.0.0.0:9464").value(), (BindAddress{"0.0.0.0", 9464}));
  EXPECT_EQ(BindAddress::parse("[::1]:0").value(), (BindAddress{"::1", 0}));
  EXPECT_EQ(BindAddress::parse("node.test:65535").value(), (BindAddress{"node.test", 65535}));
  for (const char* text : {"[::1]:1", "127.0.0.1:80"}) EXPECT_EQ(BindAddress::parse(text).value().text(), text);
  for (const char* text : {"", ":", "9464", "host", "host:", ":9464", "host:65536", "host:-1", "host:1x", "host: 1",
                           "::1:80", "[::1]", "[]:80", "[host]:80", "[::1:80", "a:b:1"})
    EXPECT_FALSE(BindAddress::parse(text)) << text;
}

TEST(ProcessUsage, IsPlausible) {
  const ProcessUsage before = process_usage();
  EXPECT_GE(before.threads.value(), 1u);
  EXPECT_GE(before.file_descriptors.value(), 3u);
  EXPECT_GT(before.memory_bytes.value(), 1u << 20);
  std::jthread another([](const std::stop_token& stop) {
    while (!stop.stop_requested()) std::this_thread::sleep_for(1ms);
  });
  std::uint64_t sum = 0;
  for (const auto until = Clock::now() + 50ms; Clock::now() < until;) ++sum;
  EXPECT_GT(sum, 0u);
  const ProcessUsage after = process_usage();
  EXPECT_EQ(after.threads.value(), before.threads.value() + 1);
  EXPECT_GT(after.processor_seconds, before.processor_seconds);
  const MachineUsage machine = machine_usage();
  EXPECT_GE(machine.processors, 1u);
  EXPECT_GT(machine.memory_bytes.value(), after.memory_bytes.value());
  EXPECT_LT(machine.memory_used_bytes.value(), machine.memory_bytes.value());
  EXPECT_GE(machine.all_ticks.value(), machine.busy_ticks.value());
}

}  // namespace
}  // namespace witan::metrics
