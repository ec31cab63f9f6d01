// Random bits by protocol W in a committee of processes on this machine, over the real transport (gRPC, mTLS, two lanes), with the pool of
// a node: what a bit costs a party in processor time, time and bytes (./dev bench bits). Keys of the epoch are dealt; the journal is in
// memory, and what is made is thrown away. Bits stream into noises of TUniform(42), as nearly all bits of a key generation do; `--kind bits`
// keeps them one by one. One JSON line:
//   cpu_us       processor time of all threads of a party for a bit: the mean of the parties
//   wall_us      time for a bit, from the moment at which all are connected until the last one has ended
//   bytes        payload and header (session, step) handed to runtime::Link by party 1 to all others, for a bit
#include <arpa/inet.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <thread>

#include "algebra/dot_product.h"
#include "apps/malloc_options.h"
#include "base/check.h"
#include "base/log.h"
#include "crypto/x509.h"
#include "mpc/draw_keys_for_test.h"
#include "mpc/prss_aes.h"
#include "mpc/stream_sums.h"
#include "protocols/preprocessing.h"
#include "runtime/fake_journal.h"
#include "transport/transport.h"

// Read by jemalloc before main().
extern "C" {
extern const char* malloc_conf;
const char* malloc_conf = witan::apps::kMallocOptions;
}

namespace witan::bench {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using runtime::Lane;

struct Options {
  int parties = 4;
  int word_bits = 128;
  std::uint64_t bits = 1u << 23;
  std::string kind = "noises";
  bool avx2 = false;
};

struct Identities {
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

Identities make_identities(int parties) {
  OsRng rng;
  Identities out;
  const auto now =
      std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count();
  for (int i = 1; i <= parties; ++i) {
    const std::string name = fmt::format("party{}.bench.witan", i);
    const auto key = crypto::SigningKey::generate(rng);
    out.names.push_back(name);
    out.cas.push_back(crypto::make_party_ca(key, name, true, now, rng).value());
    out.leaves.push_back(crypto::make_tls_leaf(key, name, {"localhost"}, now - 60, now + 86400, rng).value());
    out.ports.push_back(free_port());
  }
  return out;
}

/// Counts what a session hands to the network.
class CountingLink final : public runtime::Link {
 public:
  explicit CountingLink(runtime::Link& below) : below_(below) {}
  CommitteeSize committee() const override { return below_.committee(); }
  Role self() const override { return below_.self(); }
  Status send(Role to, const runtime::Frame& frame, Lane lane) override {
    Status sent = below_.send(to, frame, lane);
    if (sent) bytes += kHeaderBytes + (frame.payload ? frame.payload->size() : 0);
    return sent;
  }
  std::uint64_t bytes = 0;

 private:
  static constexpr std::uint64_t kHeaderBytes = 1 + 16 + 4;  // kind, session, step
  runtime::Link& below_;
};

class Nowhere final : public protocols::MaterialStore {
 public:
  runtime::Task<Status> put(std::size_t, std::uint64_t, SessionId, Secret<Bytes>) override { co_return Status{}; }
  runtime::Task<Status> drop(std::size_t, protocols::UnitRange) override { co_return Status{}; }
};

/// Of all threads of this process, those that have ended included.
double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

struct Figures {
  double cpu_s = 0, wall_s = 0;
  std::uint64_t bytes = 0, bits = 0;
};

protocols::MaterialPlan plan_of(const Options& options) {
  constexpr int kBoundLog2 = 42;
  protocols::MaterialOrder order{.word_bits = options.word_bits};
  if (options.kind == "bits") {
    order.kind = protocols::MaterialOrder::Kind::bits;
    order.count = options.bits;
  } else {
    order.kind = protocols::MaterialOrder::Kind::noises;
    order.bound_log2 = kBoundLog2;
    order.count = options.bits / (kBoundLog2 + 2);
  }
  return {order};
}

class Party {
 public:
  Party(const Options& options, const mpc::test::DealtEpoch& epoch, Identities& identities, int self)
      : options_(options),
        epoch_(epoch),
        committee_(CommitteeSize::make(options.parties, (options.parties - 1) / 3).value()),
        self_(self) {
    const auto at = [](int role) { return static_cast<std::size_t>(role - 1); };
    transport::Config config{.context = ContextId(ByteArray<32>{1}),
                             .committee = committee_,
                             .self = self_,
                             .listen_address = "127.0.0.1",
                             .listen_port = identities.ports[at(self)],
                             .certificate_pem = identities.leaves[at(self)].certificate_pem,
                             .key_pem = std::move(identities.leaves[at(self)].key_pem),
                             .peers = {}};
    for (int i = 1; i <= options.parties; ++i)
      if (i != self)
        config.peers.push_back(
            {Role(i), identities.names[at(i)], "localhost", identities.ports[at(i)], {identities.cas[at(i)]}});
    transport_ = transport::Transport::start(std::move(config), loop_).value();
    link_ = std::make_unique<CountingLink>(*transport_);
    const int cores = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));  // as a node
    pool_ = std::make_unique<runtime::ComputePool>(
        loop_,
        runtime::ComputePool::Options{.urgent_threads = cores, .heavy_threads = cores, .preprocessing_threads = cores});
    router_ = std::make_unique<runtime::Router>(loop_, *link_);
    transport_->set_sink(router_.get());
    journal_ = std::make_unique<runtime::FakeJournal>(loop_, disk_);
  }

  Figures run() { return loop_.run(measure()); }

 private:
  runtime::Task<Figures> measure() {
    for (;;) {
      bool all = true;
      for (const auto& peer : transport_->peer_status()) all = all && peer.connected;
      if (all) break;
      co_await loop_.sleep_for(5ms);
    }
    co_await loop_.sleep_for(500ms);  // so are the others
    const auto plan = plan_of(options_);
    const auto signatories = epoch_.signatories(self_);
    Nowhere nowhere;
    ByteArray<32> id{3};
    protocols::Preprocessing preprocessing(
        {*router_, *journal_, *pool_, epoch_.keys(self_), signatories, default_epoch_id()}, PreprocId(id), 0, plan,
        nowhere, {.variant = mpc::variant_for(committee_), .delay = 5s});
    const double cpu = cpu_seconds();
    const auto begun = Clock::now();
    const std::uint64_t sent = link_->bytes;
    const Status done = co_await preprocessing.run();
    if (!done) {
      fmt::print(stderr, "party {}: {}\n", self_.number(), done.error().message);
      std::exit(1);
    }
    Figures out{.cpu_s = cpu_seconds() - cpu,
                .wall_s = std::chrono::duration<double>(Clock::now() - begun).count(),
                .bytes = link_->bytes - sent,
                .bits = plan[0].bits()};
    co_await loop_.sleep_for(2s);  // others may still ask
    co_return out;
  }

  const Options& options_;
  const mpc::test::DealtEpoch& epoch_;
  const CommitteeSize committee_;
  const Role self_;
  runtime::ThreadLoop loop_;
  runtime::FakeDisk disk_;
  std::unique_ptr<transport::Transport> transport_;
  std::unique_ptr<CountingLink> link_;
  std::unique_ptr<runtime::ComputePool> pool_;
  std::unique_ptr<runtime::Router> router_;
  std::unique_ptr<runtime::FakeJournal> journal_;
};

/// Each party is a process; gRPC must not be used before the fork. A party writes its figures into its pipe.
int run(const Options& options) {
  log::set_level(log::Level::warn);
  if (options.avx2) {
    mpc::choose_aes_target(mpc::AesTarget::vaes256);
    mpc::choose_sum_target(mpc::SumTarget::avx2);
    algebra::choose_dot_target(algebra::DotTarget::avx2);
  }
  Identities identities = make_identities(options.parties);
  const mpc::test::DealtEpoch epoch(CommitteeSize::make(options.parties, (options.parties - 1) / 3).value(), 1);
  std::vector<std::pair<pid_t, int>> children;
  for (int role = 1; role <= options.parties; ++role) {
    int ends[2];
    WITAN_CHECK(pipe(ends) == 0);
    const pid_t child = fork();
    WITAN_CHECK(child >= 0);
    if (child == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      const Figures figures = Party(options, epoch, identities, role).run();
      WITAN_CHECK(write(ends[1], &figures, sizeof figures) == sizeof figures);
      std::_Exit(0);
    }
    close(ends[1]);
    children.emplace_back(child, ends[0]);
  }
  double cpu = 0, wall = 0;
  Figures first;
  bool good = true;
  for (std::size_t i = 0; i < children.size(); ++i) {
    Figures figures;
    good = read(children[i].second, &figures, sizeof figures) == sizeof figures && good;
    int status = 0;
    good = waitpid(children[i].first, &status, 0) == children[i].first && status == 0 && good;
    if (i == 0) first = figures;
    cpu += figures.cpu_s;
    wall = std::max(wall, figures.wall_s);
  }
  if (!good) return 1;
  const auto bits = static_cast<double>(first.bits);
  fmt::print(
      R"({{"parties": {}, "word_bits": {}, "kind": "{}", "avx2_forced": {}, "bits": {}, "cpu_us": {:.4f}, "wall_us": {:.4f}, "bytes": {:.3f}}})"
      "\n",
      options.parties, options.word_bits, options.kind, options.avx2, first.bits,
      1e6 * cpu / static_cast<double>(options.parties) / bits, 1e6 * wall / bits,
      static_cast<double>(first.bytes) / bits);
  return 0;
}

}  // namespace
}  // namespace witan::bench

int main(int argc, char** argv) {
  witan::bench::Options options;
  CLI::App app("random bits of a committee of processes", "witan_preprocessing_committee");
  app.add_option("--parties", options.parties, "n = 3t + 1")->check(CLI::IsMember({4, 7, 10, 13}));
  app.add_option("--word-bits", options.word_bits, "of the ring")->check(CLI::IsMember({64, 128}));
  app.add_option("--bits", options.bits, "how many")->check(CLI::Range(1024u, 1u << 28));
  app.add_option("--kind", options.kind, "what becomes of them")->check(CLI::IsMember({"noises", "bits"}));
  app.add_flag("--avx2", options.avx2, "kernels for AVX2, whatever the processor has");
  CLI11_PARSE(app, argc, argv);
  WITAN_CHECK(witan::apps::keep_large_blocks());
  return witan::bench::run(options);
}
