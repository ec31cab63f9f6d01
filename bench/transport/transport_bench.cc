// A committee of four processes on loopback, all talking to all (engineering.md 4.1, 4.2): round trips of 1 KiB urgent
// messages while nothing else happens and while every process sends bulk frames as fast as it can, and what the bulk lane
// moves. Party 1 is this process and measures; parties 2 to 4 are its children.
//
// Counters: p50_ms, p99_ms (one hop, half a round trip); MB_s_pair (one directed pair), MB_s_all (all twelve); core_s_GB
// (CPU of this process per GB received while it sends as much: both ends of a stream); rss_MB.
#include <arpa/inet.h>
#include <benchmark/benchmark.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <fstream>
#include <thread>

#include "base/check.h"
#include "base/log.h"
#include "base/rng.h"
#include "crypto/x509.h"
#include "runtime/event.h"
#include "runtime/scope.h"
#include "transport/transport.h"

namespace witan::transport {
namespace {

using namespace std::chrono_literals;
using runtime::Frame;
using runtime::Lane;
using Clock = std::chrono::steady_clock;

constexpr int kParties = 4;
enum Command : std::uint8_t { kPing = 1, kPong = 2, kStartBulk = 3, kStopBulk = 4, kBulk = 5 };

struct Material {
  std::vector<std::string> names, cas;
  std::vector<crypto::TlsLeaf> leaves;
  std::vector<std::uint16_t> ports;
};

std::uint16_t free_port() {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  WITAN_CHECK(bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  socklen_t size = sizeof address;
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  close(fd);
  return ntohs(address.sin_port);
}

Material make_material() {
  OsRng rng;
  Material out;
  const auto now =
      std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count();
  for (int i = 1; i <= kParties; ++i) {
    const std::string name = fmt::format("party{}.bench.witan", i);
    const auto key = crypto::SigningKey::generate(rng);
    out.names.push_back(name);
    out.cas.push_back(crypto::make_party_ca(key, name, true, now, rng).value());
    out.leaves.push_back(crypto::make_tls_leaf(key, name, {"localhost"}, now - 60, now + 86400, rng).value());
    out.ports.push_back(free_port());
  }
  return out;
}

/// One party: echoes pings, sends bulk frames while told to, counts what arrives.
class Party final : public runtime::FrameSink {
 public:
  Party(Material& material, int self) : pong(loop), self_(self), scope_(loop) {
    const auto at = [](int role) { return static_cast<std::size_t>(role - 1); };
    Config config{.context = ContextId(ByteArray<32>{1}),
                  .committee = CommitteeSize::make(kParties, 1).value(),
                  .self = Role(self),
                  .listen_address = "127.0.0.1",
                  .listen_port = material.ports[at(self)],
                  .certificate_pem = material.leaves[at(self)].certificate_pem,
                  .key_pem = std::move(material.leaves[at(self)].key_pem),
                  .peers = {},
                  .limits = {},
                  .timings = {}};
    config.limits.queue_bytes = 4u << 20;
    for (int i = 1; i <= kParties; ++i)
      if (i != self)
        config.peers.push_back(
            {Role(i), material.names[at(i)], "localhost", material.ports[at(i)], {material.cas[at(i)]}});
    transport = Transport::start(std::move(config), loop).value();
    transport->set_sink(this);
    scope_.spawn(feed());
  }

  void deliver(Role from, Frame frame, Lane) override {
    switch (static_cast<Command>(frame.session.value)) {
      case kPing:
        frame.session = {kPong};
        (void)transport->send(from, frame, Lane::urgent);
        break;
      case kPong:
        if (frame.step == awaited_pong) pong.set();
        break;
      case kStartBulk:
        bulk_on = true;
        break;
      case kStopBulk:
        bulk_on = false;
        break;
      case kBulk:
        bulk_bytes += frame.payload->size();
        break;
    }
  }
  void peer_reset(Role) override {}

  /// Keeps the queues of all peers full.
  runtime::Task<void> feed() {
    const auto payload = runtime::make_payload(Bytes(1u << 20, std::uint8_t{7}));
    for (;;) {
      co_await loop.sleep_for(1ms);
      for (int to = 1; bulk_on && to <= kParties; ++to)
        while (to != self_ && transport->send(Role(to), {runtime::FrameKind::data, {kBulk}, 0, payload}, Lane::bulk)) {
        }
    }
  }

  void tell_all(Command command) {
    for (int to = 2; to <= kParties; ++to)
      WITAN_CHECK(transport->send(Role(to), {runtime::FrameKind::data, {command}, 0, nullptr}, Lane::urgent));
  }

  runtime::ThreadLoop loop;
  std::unique_ptr<Transport> transport;
  runtime::Event pong;
  std::uint32_t awaited_pong = 0;
  std::uint64_t bulk_bytes = 0;
  bool bulk_on = false;

 private:
  int self_;
  runtime::TaskScope scope_;
};

double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

double resident_mb() {
  std::ifstream in("/proc/self/statm");
  double total = 0, resident = 0;
  in >> total >> resident;
  return resident * static_cast<double>(sysconf(_SC_PAGESIZE)) / 1e6;
}

runtime::Task<void> until_connected(Party& party) {
  for (;;) {
    bool all = true;
    for (const auto& peer : party.transport->peer_status()) all = all && peer.connected;
    if (all) co_return;
    co_await party.loop.sleep_for(5ms);
  }
}

runtime::Task<void> sleep(Party& party, std::chrono::milliseconds duration) {
  co_await party.loop.sleep_for(duration);
}

/// One-hop times in ms, sorted, of pings to parties 2, 3, 4 in turn.
runtime::Task<std::vector<double>> ping(Party& party, std::chrono::milliseconds duration) {
  std::vector<double> out;
  const auto payload = runtime::make_payload(Bytes(1024, std::uint8_t{1}));
  const auto end = Clock::now() + duration;
  while (Clock::now() < end) {
    ++party.awaited_pong;
    party.pong.reset();
    const auto begun = Clock::now();
    const Role to(2 + static_cast<int>(party.awaited_pong % 3));
    WITAN_CHECK(
        party.transport->send(to, {runtime::FrameKind::data, {kPing}, party.awaited_pong, payload}, Lane::urgent));
    co_await party.pong.wait();
    out.push_back(std::chrono::duration<double, std::milli>(Clock::now() - begun).count() / 2);
    co_await party.loop.sleep_for(2ms);
  }
  std::ranges::sort(out);
  co_return out;
}

void count_latency(benchmark::State& state, const std::vector<double>& sorted) {
  state.counters["p50_ms"] = sorted[sorted.size() / 2];
  state.counters["p99_ms"] = sorted[sorted.size() * 99 / 100];
}

void bench_idle(benchmark::State& state, Party& party) {
  for (auto _ : state) count_latency(state, party.loop.run(ping(party, 2s)));
  state.counters["rss_MB"] = resident_mb();
}

void bench_saturated(benchmark::State& state, Party& party) {
  for (auto _ : state) {
    party.tell_all(kStartBulk);
    party.bulk_on = true;
    party.loop.run(sleep(party, 500ms));
    const auto begun = Clock::now();
    const double cpu = cpu_seconds();
    const std::uint64_t bytes = party.bulk_bytes;
    count_latency(state, party.loop.run(ping(party, 5s)));
    const double seconds = std::chrono::duration<double>(Clock::now() - begun).count();
    const double received = static_cast<double>(party.bulk_bytes - bytes);
    state.counters["MB_s_pair"] = received / seconds / 1e6 / (kParties - 1);
    state.counters["MB_s_all"] = received / seconds / 1e6 * kParties;
    state.counters["core_s_GB"] = (cpu_seconds() - cpu) / (received / 1e9);
    state.counters["rss_MB"] = resident_mb();
    party.bulk_on = false;
    party.tell_all(kStopBulk);
    party.loop.run(sleep(party, 1s));
  }
}

/// Parties 2 to 4: each a process that ends with its parent. gRPC must not be used before the fork.
void become_party(Material& material, int role) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  Party party(material, role);
  party.loop.run();
}

int run(int argc, char** argv) {
  log::set_level(log::Level::warn);
  Material material = make_material();
  for (int role = 2; role <= kParties; ++role)
    if (fork() == 0) {
      become_party(material, role);
      std::exit(0);
    }
  Party party(material, 1);
  party.loop.run(until_connected(party));
  const auto add = [&](const char* name, void (*function)(benchmark::State&, Party&)) {
    benchmark::RegisterBenchmark(name, [function, &party](benchmark::State& state) { function(state, party); })
        ->Iterations(1)
        ->Unit(benchmark::kSecond);
  };
  add("urgent_1KiB/idle", bench_idle);
  add("urgent_1KiB/bulk_saturated", bench_saturated);
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}

}  // namespace
}  // namespace witan::transport

int main(int argc, char** argv) {
  return witan::transport::run(argc, argv);
}
