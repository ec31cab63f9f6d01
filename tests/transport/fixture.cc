#include "transport/fixture.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <fstream>

#include "base/check.h"
#include "base/log.h"

namespace witan::transport {
namespace {

/// Once for the whole program: the log cannot change its file while threads write to it.
class LogToFile final : public testing::Environment {
 public:
  static std::string path() { return testing::TempDir() + "witan_transport_" + std::to_string(getpid()) + ".log"; }
  void SetUp() override { log::set_file(path().c_str()); }
  void TearDown() override { std::remove(path().c_str()); }
};
const testing::Environment* const kLogToFile = testing::AddGlobalTestEnvironment(new LogToFile);

}  // namespace

std::int64_t now_seconds() {
  return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

std::uint16_t free_port() {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  WITAN_CHECK(bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  socklen_t size = sizeof address;
  WITAN_CHECK(getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0);
  close(fd);
  return ntohs(address.sin_port);
}

Identity::Identity(int number, const std::string& label)
    : name("party" + std::to_string(number) + ".transport.witan.test"),
      rng(name + label),
      key(crypto::SigningKey::generate(rng)),
      ca(crypto::make_party_ca(key, name, true, now_seconds(), rng).value()) {}

crypto::TlsLeaf Identity::leaf(std::int64_t from, std::int64_t to, const std::vector<std::string>& hosts) {
  return crypto::make_tls_leaf(key, name, hosts, from, to, rng).value();
}

LogLines::LogLines() : begin_(std::ifstream(LogToFile::path(), std::ios::ate).tellg()) {}

std::string LogLines::text() const {
  std::ifstream in(LogToFile::path());
  in.seekg(begin_);
  return std::string(std::istreambuf_iterator<char>(in), {});
}

bool LogLines::have(const std::vector<std::string>& parts) const {
  std::istringstream in(text());
  for (std::string line; std::getline(in, line);)
    if (std::ranges::all_of(parts, [&](const std::string& part) { return line.find(part) != std::string::npos; }))
      return true;
  return false;
}

Net::Net() {
  for (int i = 1; i <= kParties; ++i) identities.emplace_back(i), ports.push_back(free_port());
  recorders.resize(kParties);
  nodes.resize(kParties);
}

Config Net::config(int self) {
  auto leaf = identity(self).leaf();
  Config out{.context = default_context_id(),
             .committee = CommitteeSize::make(kParties, 1).value(),
             .self = Role(self),
             .listen_address = "127.0.0.1",
             .listen_port = ports[index(self)],
             .certificate_pem = leaf.certificate_pem,
             .key_pem = std::move(leaf.key_pem),
             .peers = {},
             .limits = {},
             .timings = {}};
  out.timings.reconnect_first = std::chrono::milliseconds(20);
  out.timings.reconnect_at_most = std::chrono::milliseconds(200);
  for (int i = 1; i <= kParties; ++i)
    if (i != self) out.peers.push_back({Role(i), identity(i).name, "localhost", ports[index(i)], {identity(i).ca}});
  return out;
}

void Net::start(int self, Config with) {
  auto started = Transport::start(std::move(with), loop);
  ASSERT_TRUE(started) << started.error().message;
  nodes[index(self)] = *std::move(started);
  node(self).set_sink(&recorder(self));
}

void Net::start_all() {
  for (int i = 1; i <= kParties; ++i) start(i);
}

std::string Net::start_error(Config with) {
  const auto started = Transport::start(std::move(with), loop);
  return started ? "it started" : started.error().message;
}

PeerStatus Net::status(int i, int j) {
  const auto all = node(i).peer_status();
  const auto found = std::ranges::find(all, Role(j), &PeerStatus::role);
  WITAN_CHECK(found != all.end());
  return *found;
}

bool Net::all_connected() {
  for (int i = 1; i <= kParties; ++i)
    for (int j = 1; j <= kParties; ++j)
      if (i != j && nodes[index(i)] && nodes[index(j)] && !connected(i, j)) return false;
  return true;
}

bool Net::until(const std::function<bool()>& condition, std::chrono::milliseconds limit) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  while (!condition()) {
    if (std::chrono::steady_clock::now() >= deadline) return false;
    pause(std::chrono::milliseconds(2));
  }
  return true;
}

void Net::pause(std::chrono::milliseconds time) {
  loop.run([](runtime::Loop& l, runtime::Duration d) -> runtime::Task<void> { co_await l.sleep_for(d); }(loop, time));
}

runtime::Frame Net::frame(int session, std::size_t size, runtime::Step step) {
  Bytes bytes(size);
  for (std::size_t k = 0; k < size; ++k)
    bytes[k] = static_cast<std::uint8_t>(k * 7 + k / 1000 + static_cast<std::size_t>(session));
  return {runtime::FrameKind::data, {static_cast<u128>(session)}, step, runtime::make_payload(std::move(bytes))};
}

bool Net::is_frame(const runtime::Frame& got, int session, std::size_t size) {
  const runtime::Frame expected = frame(session, size);
  return got.kind == expected.kind && got.session == expected.session && got.step == expected.step &&
         (got.payload ? *got.payload == *expected.payload : size == 0);
}

}  // namespace witan::transport
