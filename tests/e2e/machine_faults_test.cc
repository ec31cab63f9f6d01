// Faults of the machine below one node: the answers of the others stay right, and the node gives a right answer or a clear error
// and recovers. They need root (mounts, network namespaces).
#include <signal.h>
#include <sys/mount.h>
#include <sys/statvfs.h>

#include <fstream>
#include <future>
#include <set>
#include <thread>

#include "cli/process.h"
#include "e2e/live_committee.h"
#include "e2e/slow_link.h"

namespace witan::e2e {
namespace {

using namespace std::chrono_literals;
using std::filesystem::path;
using Clock = std::chrono::steady_clock;

constexpr int kVictim = 4;
const std::vector<int> kOthers = {1, 2, 3}, kAll = {1, 2, 3, 4};

/// A file system in memory, of so many bytes, in place of a folder whose content moves there and back. Made and ended while nothing
/// runs on it.
class SmallDisk {
 public:
  SmallDisk(path folder, std::size_t bytes) : folder_(std::move(folder)) {
    const path aside = folder_.string() + ".aside";
    std::filesystem::rename(folder_, aside);
    std::filesystem::create_directory(folder_);
    const std::string size = "size=" + std::to_string(bytes);
    if (mount("tmpfs", folder_.c_str(), "tmpfs", 0, size.c_str()) != 0)
      throw std::runtime_error("cannot mount on " + folder_.string() + ": " + std::strerror(errno));
    command({"cp", "-a", aside.string() + "/.", folder_.string()});
    std::filesystem::remove_all(aside);
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;
  ~SmallDisk() {
    try {
      set_read_only(false);
      dissolve();
    } catch (const std::runtime_error& error) {
      ADD_FAILURE() << error.what();
    }
  }

  void fill() {
    std::ofstream out(filler(), std::ios::binary);
    const std::vector<char> chunk(4096, 'x');
    while (out.write(chunk.data(), static_cast<std::streamsize>(chunk.size())).flush()) {
    }
    struct statvfs left{};
    ASSERT_EQ(statvfs(folder_.c_str(), &left), 0);
    ASSERT_EQ(left.f_bavail, 0u);
  }
  void free() { std::filesystem::remove(filler()); }

  void set_read_only(bool read_only) {
    if (mount(nullptr, folder_.c_str(), nullptr, MS_REMOUNT | (read_only ? MS_RDONLY : 0), nullptr) != 0)
      throw std::runtime_error("cannot remount " + folder_.string() + ": " + std::strerror(errno));
  }

 private:
  void dissolve() {
    const path aside = folder_.string() + ".aside";
    command({"cp", "-a", folder_.string(), aside.string()});
    if (umount2(folder_.c_str(), 0) != 0) throw std::runtime_error("cannot unmount " + folder_.string());
    std::filesystem::remove_all(folder_);
    std::filesystem::rename(aside, folder_);
  }
  path filler() const { return folder_ / "filler"; }
  path folder_;
};

class MachineFaults : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    if (geteuid() != 0) return;
    live = std::make_unique<LiveCommittee>();
    key = live->deal(test::data_path("tfhe/native-1.7.0/test/client_key.bin"));
    ciphertext = test::read_data("tfhe/native-1.7.0/test/big_compressed_uint64.bin");
  }
  static void TearDownTestSuite() { live.reset(); }
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "mounting and network namespaces need root";
  }
  void TearDown() override {
    if (!HasFatalFailure() || !live) return;
    std::cerr << "the end of the log of party 4:\n" << cli::log_tail(party().log(), 30) << "\n";
  }

  static const cli::PartyInfo& party(int id = kVictim) { return live->committee.party(id); }
  static api::PublicDecryptionRequest request(const RequestId& id) {
    return request_for(key.key, id, ciphertext, 5, api::CiphertextFormat::big_compressed);
  }
  static bool is_right(const api::PublicDecryptionResponse& response) {
    return response.payload && response.payload->plaintexts.size() == 1 &&
           tfhe::U256::from_le_bytes(response.payload->plaintexts[0].bytes) ==
               tfhe::U256::parse("0xf1e2d3c4b5a6978").value();
  }
  static void send(const RequestId& id, const std::vector<int>& parties) {
    for (const int each : parties) {
      const auto sent = live->client(each).public_decrypt(request(id));
      ASSERT_TRUE(sent) << "party " << each << ": " << sent.error().message;
    }
  }
  static void expect_right(const RequestId& id, const std::vector<int>& parties, std::chrono::seconds wait = 30s) {
    for (const int each : parties) {
      const auto until = Clock::now() + wait;
      auto got = live->client(each).get_public_decryption_result({id.hex()}, {.timeout = wait, .stop = {}});
      while (!got && got.error().code == Code::unavailable && Clock::now() < until) {
        std::this_thread::sleep_for(100ms);
        got = live->client(each).get_public_decryption_result({id.hex()}, {.timeout = wait, .stop = {}});
      }
      ASSERT_TRUE(got) << "party " << each << ": " << got.error().message;
      EXPECT_TRUE(is_right(*got)) << "party " << each;
    }
  }
  /// A decryption by these parties, all of which must give the right answer.
  static void decrypt(const std::vector<int>& parties, std::chrono::seconds wait = 30s) {
    const RequestId id = cli::random_request_id();
    send(id, parties);
    expect_right(id, parties, wait);
  }
  static void restart(const std::vector<int>& parties, const cli::Committee& as) {
    cli::stop_parties(live->committee, parties);
    must(cli::start_parties(as, parties));
  }
  static void healthy() { must(cli::wait_until_healthy(live->committee, 60s)); }
  static std::string log() { return cli::log_tail(party().log(), 200); }
  static void expect_logged(const std::string& text) { EXPECT_NE(log().find(text), std::string::npos) << log(); }
  static void signal_parties(const std::vector<int>& parties, int number) {
    for (const int each : parties) kill(cli::party_pid(party(each)), number);
  }
  /// The node is started, must end by itself, and says this.
  static std::string refuses_to_start() {
    const auto output =
        cli::run_process({live->committee.node_program.string(), "--config-file", party().config().string()}, 10s);
    EXPECT_TRUE(output) << "it started";
    if (!output) return "";
    EXPECT_EQ(output->exit_code, 1) << output->text;
    return output->text;
  }
  /// The same committee whose nodes are started through a shell script.
  static cli::Committee wrapped(const std::string& name, const std::string& script) {
    const path file = live->folder() / name;
    write_text(file, "#!/bin/sh\nset -e\n" + script);
    std::filesystem::permissions(file, std::filesystem::perms::owner_all);
    auto out = live->committee;
    out.node_program = file;
    return out;
  }

  inline static std::unique_ptr<LiveCommittee> live;
  inline static cli::NewKey key;
  inline static Bytes ciphertext;
};

TEST_F(MachineFaults, AFullDiskIsSaidAndWaitedFor) {
  cli::stop_parties(live->committee, {kVictim});
  {
    SmallDisk disk(party().folder, 16 << 20);
    must(cli::start_parties(live->committee, {kVictim}));
    healthy();
    decrypt(kAll);

    // Accepted while there was space: it is answered when there is space again.
    signal_parties({2, 3}, SIGSTOP);
    const RequestId accepted = cli::random_request_id();
    send(accepted, {1, kVictim});
    std::this_thread::sleep_for(500ms);
    disk.fill();
    signal_parties({2, 3}, SIGCONT);
    send(accepted, {2, 3});
    expect_right(accepted, kOthers);
    const auto waiting =
        live->client(kVictim).get_public_decryption_result({accepted.hex()}, {.timeout = 5s, .stop = {}});
    ASSERT_FALSE(waiting);
    EXPECT_TRUE(waiting.error().code == Code::unavailable || waiting.error().code == Code::deadline_exceeded)
        << waiting.error().message;
    expect_logged("the disk is full");

    // New: refused at once, with the reason; nothing is changed, so the same id is fine later.
    const RequestId refused = cli::random_request_id();
    const auto sent = live->client(kVictim).public_decrypt(request(refused));
    ASSERT_FALSE(sent);
    EXPECT_EQ(sent.error().code, Code::unavailable);
    EXPECT_NE(sent.error().message.find("the disk is full"), std::string::npos) << sent.error().message;
    decrypt(kOthers);

    // A key cannot be dealt to a full disk: an error, and nothing of it is published there.
    const auto published = [] {
      std::set<std::string> out;
      for (const char* type : {"CompressedXofKeySet", "PublicKey"})
        for (const auto& entry : std::filesystem::directory_iterator(party().public_vault() / type))
          out.insert(entry.path().string());
      return out;
    };
    const auto before = published();
    const auto dealt = cli::make_key(live->committee, {.dealt = true, .timeout = 60s});
    ASSERT_FALSE(dealt);
    EXPECT_NE(dealt.error().message.find("full"), std::string::npos) << dealt.error().message;
    EXPECT_EQ(published(), before);

    disk.free();
    expect_right(accepted, {kVictim}, 40s);
    send(refused, {kVictim, 1, 2});
    expect_right(refused, {kVictim, 1, 2});
    const auto again = live->deal();
    EXPECT_FALSE(again.key.hex().empty());
    cli::stop_parties(live->committee, {kVictim});
  }
  must(cli::start_parties(live->committee, {kVictim}));
  healthy();
  decrypt(kAll);
}

TEST_F(MachineFaults, AReadOnlyVaultDecryptsAndTakesNoNewKey) {
  cli::stop_parties(live->committee, {kVictim});
  {
    SmallDisk vault(party().folder / "vault", 64 << 20);
    must(cli::start_parties(live->committee, {kVictim}));
    healthy();
    vault.set_read_only(true);
    decrypt(kAll);
    const auto dealt = cli::make_key(live->committee, {.dealt = true, .timeout = 60s});
    ASSERT_FALSE(dealt);
    EXPECT_NE(dealt.error().message.find("ead-only"), std::string::npos) << dealt.error().message;
    // A node does not start on it.
    cli::stop_parties(live->committee, {kVictim});
    const std::string said = refuses_to_start();
    EXPECT_NE(said.find("ead-only"), std::string::npos) << said;
    EXPECT_NE(said.find((party().folder / "vault").string()), std::string::npos) << said;
    decrypt(kOthers);
    vault.set_read_only(false);
    must(cli::start_parties(live->committee, {kVictim}));
    healthy();
    decrypt(kAll);
    live->deal();
    cli::stop_parties(live->committee, {kVictim});
  }
  must(cli::start_parties(live->committee, {kVictim}));
  healthy();
  decrypt(kAll);
}

// That an id is used once rests on what the journal knows (S41): a node that cannot trust it does not start, and says how to recover.
TEST_F(MachineFaults, ADamagedJournalStopsTheStartAndTheAdviceWorks) {
  const RequestId known = cli::random_request_id();
  send(known, kAll);
  expect_right(known, kAll);
  cli::stop_parties(live->committee, {kVictim});
  const path journal = party().folder / "journal.db", copy = live->folder() / "journal.copy";
  ASSERT_FALSE(std::filesystem::exists(journal.string() + "-wal")) << "a node that was stopped leaves one file";
  std::filesystem::copy_file(journal, copy);
  const auto size = std::filesystem::file_size(copy);
  const auto put_back = [&] {
    for (const char* suffix : {"", "-wal", "-shm"}) std::filesystem::remove(journal.string() + suffix);
    std::filesystem::copy_file(copy, journal);
  };
  const auto expect_advice = [&](const std::string& what) {
    const std::string said = refuses_to_start();
    for (const char* part : {"journal.db", "Nothing was changed", "from a copy of the state of its last stop",
                             "sqlite3 NEW", "has forgotten sessions", "docs/deployment.md"})
      EXPECT_NE(said.find(part), std::string::npos) << what << ": " << said;
    decrypt(kOthers);
  };
  for (const auto left : {size / 2, size - 1, std::uintmax_t{100}, std::uintmax_t{0}}) {
    put_back();
    std::filesystem::resize_file(journal, left);
    expect_advice("cut to " + std::to_string(left));
  }
  // A flipped bit in a record. (In a page that is free, or in the space that a record left, it would be no damage.)
  const Bytes content = must(cli::read_file(copy)), raw(known.bytes().begin(), known.bytes().end());
  int records = 0;
  for (auto at = content.begin(); (at = std::search(at, content.end(), raw.begin(), raw.end())) != content.end();
       ++at) {
    Bytes bad = content;
    bad[static_cast<std::size_t>(at - content.begin()) + 17] ^= 4;
    must(cli::write_file(journal, bad));
    expect_advice("a bit flipped in record " + std::to_string(++records));
  }
  EXPECT_EQ(records, 1) << "requests";
  std::filesystem::remove(journal);
  EXPECT_NE(refuses_to_start().find("Restore it from a copy of the state of the node's last stop"), std::string::npos);

  // The advice: from a copy ...
  put_back();
  must(cli::start_parties(live->committee, {kVictim}));
  healthy();
  decrypt(kAll);
  // ... or what is readable.
  cli::stop_parties(live->committee, {kVictim});
  const Bytes before = must(cli::read_file(journal));
  must(cli::write_file(journal, ByteView(before).first(before.size() - 1)));
  std::string advice = refuses_to_start();
  must(cli::write_file(journal, before));  // the page that was cut was free
  advice = advice.substr(advice.find("with: ") + 6);
  advice = advice.substr(0, advice.find(". Without"));
  const path saved = live->folder() / "journal.saved";
  for (std::size_t at = 0; (at = advice.find("NEW")) != std::string::npos;) advice.replace(at, 3, saved.string());
  command({"sh", "-c", advice});
  std::filesystem::rename(saved, journal);
  must(cli::start_parties(live->committee, {kVictim}));
  healthy();
  decrypt(kAll);
}

// What a failed sync has left on the disk is unknown: the node ends, and finds out at its next start.
TEST_F(MachineFaults, ADiskThatFailsEndsTheNode) {
  const auto pid = cli::party_pid(party());
  const path trace = live->folder() / "syncs";
  auto strace = std::async(std::launch::async, [&] {
    return cli::run_process(
        {"strace", "-f", "-o", trace.string(), "-p", std::to_string(pid), "-e", "inject=fsync,fdatasync:error=EIO"},
        60s);
  });
  const auto traced = [&] {
    std::ifstream status("/proc/" + std::to_string(pid) + "/status");
    const std::string text(std::istreambuf_iterator<char>(status), {});
    return text.find("TracerPid:\t0\n") == std::string::npos;
  };
  const auto until = Clock::now() + 20s;
  while (!traced() && Clock::now() < until) std::this_thread::sleep_for(50ms);
  std::this_thread::sleep_for(500ms);  // all its threads

  const RequestId id = cli::random_request_id();
  const auto sent = live->client(kVictim).public_decrypt(request(id));
  ASSERT_FALSE(sent);
  EXPECT_EQ(sent.error().code, Code::unavailable) << sent.error().message;
  must(strace.get());  // ends with the node
  const Bytes seen = must(cli::read_file(trace));
  EXPECT_NE(std::string(seen.begin(), seen.end()).find("+++ exited with 1 +++"), std::string::npos);
  expect_logged("journal");
  expect_logged("restart");
  decrypt(kOthers);

  must(cli::start_parties(live->committee, {kVictim}));
  healthy();
  // Whether the request is on the disk, the node knows now.
  const auto again = live->client(kVictim).public_decrypt(request(id));
  EXPECT_TRUE(again || again.error().code == Code::already_exists) << again.error().message;
  send(id, kOthers);
  expect_right(id, kAll);
}

// Deadlines are of the monotonic clock; the clock of the wall dates certificates and log lines. This node runs without jemalloc, which
// asks for the time before libfaketime can tell it: libc, found in its place, allocates.
TEST_F(MachineFaults, AClockThatJumpsByAnHourChangesNothing) {
  const path library = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1", offset = live->folder() / "offset";
  ASSERT_TRUE(std::filesystem::exists(library)) << "the Debian package libfaketime is missing";
  write_text(offset, "+0\n");
  const path libraries = live->folder() / "libraries";
  std::filesystem::create_directory(libraries);
  std::filesystem::create_symlink("/lib/x86_64-linux-gnu/libc.so.6", libraries / "libjemalloc.so.2");
  const auto faked = wrapped(
      "faked", "export LD_LIBRARY_PATH=" + libraries.string() + " LD_PRELOAD=" + library.string() +
                   " FAKETIME_NO_CACHE=1 FAKETIME_DONT_FAKE_MONOTONIC=1 FAKETIME_TIMESTAMP_FILE=" + offset.string() +
                   "\nexec " + live->committee.node_program.string() + " \"$@\"\n");
  restart({kVictim}, faked);
  healthy();
  for (const char* jump : {"+1h", "-1h", "+1h", "+0"}) {
    write_text(offset, std::string(jump) + "\n");
    const RequestId id = cli::random_request_id();
    send(id, kAll);
    write_text(offset, jump == std::string("-1h") ? "+1h\n" : "-1h\n");  // with one in flight
    expect_right(id, kAll);
  }
  // The node sees another time of day from its start on, connections included.
  for (const char* shift : {"+1h", "-1h"}) {
    write_text(offset, std::string(shift) + "\n");
    restart({kVictim}, faked);
    healthy();
    decrypt(kAll);
  }
  restart({kVictim}, live->committee);
  healthy();
}

TEST_F(MachineFaults, ASlowAndLossyLinkBetweenTwoNodes) {
  constexpr double kLoss = 0.05;
  SlowLink link(500ms, kLoss);
  // Names resolve by the node that asks; the certificates are for these names.
  const auto hosts = [&](int self) {
    std::string out = "127.0.0.1 localhost\n";
    for (const cli::PartyInfo& peer : live->committee.parties) {
      const bool other_side = (self == kVictim) != (peer.id == kVictim);
      const bool slow = (self == 1 && peer.id == kVictim) || (self == kVictim && peer.id == 1);
      const int end = peer.id == kVictim ? 4 : 1;
      out += (!other_side ? "127.0.0.1" : slow ? link.slow(end) : link.plain(end)) + " " + peer.identity + "\n";
    }
    return out;
  };
  std::map<int, std::string> configs;
  for (const cli::PartyInfo& each : live->committee.parties) {
    write_text(each.folder / "hosts", hosts(each.id));
    std::string config = configs[each.id] = read_text(each.config());
    const auto replace = [&config](const std::string& from, const std::string& to, std::size_t after = 0) {
      const auto at = config.find(from, after);
      ASSERT_NE(at, std::string::npos) << from;
      config.replace(at, from.size(), to);
    };
    replace("listen_address = \"127.0.0.1\"", "listen_address = \"0.0.0.0\"");
    replace("listen_address = \"127.0.0.1\"", "listen_address = \"0.0.0.0\"");
    for (const cli::PartyInfo& peer : live->committee.parties)
      replace("address = \"localhost\"", "address = \"" + peer.identity + "\"",
              config.find("party_id = " + std::to_string(peer.id) + "\n"));
    write_text(each.config(), config);
  }
  const auto in_space = wrapped("in-space", R"(folder=$(dirname "$2")
enter=
case "$folder" in */party-4) enter="nsenter --net=/run/netns/)" +
                                                link.name() + R"(";; esac
exec $enter unshare --mount sh -c 'mount --bind "$0" /etc/hosts && exec "$@"' "$folder/hosts" )" +
                                                live->committee.node_program.string() + " \"$@\"\n");
  restart(kAll, in_space);
  const api::KmsClient far({.address = link.plain(4) + ":" + std::to_string(party().service_port), .timeout = 60s});
  must(cli::wait_until_healthy(live->committee, 60s, kOthers));
  for (int i = 0; i < 40; ++i) {
    const RequestId id = cli::random_request_id();
    send(id, kOthers);
    const auto begun = Clock::now();
    const auto theirs = far.public_decrypt_sync(request(id));
    ASSERT_TRUE(theirs) << theirs.error().message;
    EXPECT_TRUE(is_right(*theirs));
    EXPECT_LT(Clock::now() - begun, 20s);
    expect_right(id, kOthers);
  }
  // Many at once, until the link has carried enough to tell its rate of loss.
  const auto packets = [&] { return link.carried() + link.lost(); };
  std::vector<RequestId> many;
  while (packets() < 400 && many.size() < 2000) {
    many.push_back(cli::random_request_id());
    send(many.back(), kOthers);
    ASSERT_TRUE(far.public_decrypt(request(many.back())));
    std::this_thread::sleep_for(10ms);
  }
  for (const RequestId& id : many) expect_right(id, kOthers);
  EXPECT_GE(packets(), 400);
  EXPECT_NEAR(link.lost() / static_cast<double>(packets()), kLoss, 0.04)
      << "its generators have fixed seeds: from 200 packets on it is 0.020 to 0.077";
  // The two ends of the link as the only ones: nothing is left but waiting for it. Both others are frozen, so t + 1 good
  // parties cannot be reached; the request is answered when they are back.
  signal_parties({2}, SIGSTOP);
  const RequestId id = cli::random_request_id();
  send(id, {1, 3});
  ASSERT_TRUE(far.public_decrypt(request(id)));
  expect_right(id, {1, 3}, 60s);  // 1 needs the shares of 3 and, over the link, of 4
  signal_parties({2}, SIGCONT);
  for (const auto& [id_of, text] : configs) write_text(party(id_of).config(), text);
  restart(kAll, live->committee);
  healthy();
}

TEST_F(MachineFaults, ANodeAtATenthOfItsSpeed) {
  std::jthread braking([](const std::stop_token& stop) {
    const int pid = cli::party_pid(party());
    while (!stop.stop_requested()) {
      kill(pid, SIGSTOP);
      std::this_thread::sleep_for(45ms);
      kill(pid, SIGCONT);
      std::this_thread::sleep_for(5ms);
    }
  });
  for (int i = 0; i < 10; ++i) decrypt(kAll, 60s);
  braking.request_stop();
  braking.join();
  decrypt(kAll);
}

}  // namespace
}  // namespace witan::e2e
