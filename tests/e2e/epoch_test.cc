// Real nodes set up epochs: everybody there, one stopped, one lying, one or all killed in the middle; and an epoch of an earlier version.
#include <signal.h>

#include <random>
#include <thread>

#include "base/codec.h"
#include "cli/process.h"
#include "e2e/live_committee.h"
#include "mpc/common_start.h"

namespace witan::e2e {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

/// Rounds that a stopped party costs are short.
constexpr auto kShortRounds = 3s;
constexpr auto kRounds = kShortRounds * 20;  // more than one attempt lasts, whoever is faulty

EpochId epoch(int number) {
  ByteArray<32> raw{8};
  raw[31] = static_cast<std::uint8_t>(number);
  return EpochId(raw);
}

Status request(const LiveCommittee& live, const EpochId& id, int party) {
  api::NewMpcEpochRequest message;
  message.epoch_id = id.hex();
  if (auto sent = live.client(party).new_mpc_epoch(message); !sent) return fail(sent.error());
  return {};
}

/// What the party says at last, waiting for it to answer and to have an outcome.
Status outcome(const LiveCommittee& live, const EpochId& id, int party, std::chrono::seconds wait = kRounds) {
  const auto until = Clock::now() + wait;
  for (;;) {
    const auto got = live.client(party).get_epoch_result({id.hex()});
    if (got) return {};
    if (got.error().code != Code::unavailable || Clock::now() > until) return fail(got.error());
    std::this_thread::sleep_for(20ms);
  }
}

std::string said(const Status& status) {
  return status ? "OK" : status.error().message;
}

std::filesystem::path record(const LiveCommittee& live, const EpochId& id, int party) {
  return live.committee.party(party).folder / "vault" / fmt::format("PRIV-p{}", party) / "EpochData" / id.hex();
}

bool logged(const LiveCommittee& live, int party, const std::string& text) {
  return read_text(live.committee.party(party).log()).find(text) != std::string::npos;
}

TEST(EpochTimeout, OfTheCommandLineIsLongerThanThatOfTheNodes) {
  for (const int n : {4, 7, 10, 13})
    for (const auto rounds : {3s, 30s, 120s})
      EXPECT_GT(cli::epoch_timeout(n, rounds),
                mpc::CommonStart::longest_wait(CommitteeSize::make(n, (n - 1) / 3).value(), rounds));
}

class Epochs : public testing::TestWithParam<int> {};

TEST_P(Epochs, ProductionNodesSetOneUpAndHaveItAfterARestart) {
  const int n = GetParam();
  LiveCommittee live({.with_epoch = false, .parties = n, .test_nodes = false});
  const auto begun = Clock::now();
  EXPECT_TRUE(must(cli::ensure_epoch(live.committee, 120s)).empty());
  const double seconds = std::chrono::duration<double>(Clock::now() - begun).count();
  RecordProperty("seconds", std::to_string(seconds));
  fmt::print("epoch at n = {}: {:.2f} s\n", n, seconds);
  for (int party = 1; party <= n; ++party) {
    EXPECT_TRUE(std::filesystem::exists(record(live, default_epoch_id(), party)));
    EXPECT_FALSE(logged(live, party, "excluded")) << read_text(live.committee.party(party).log());
  }
  cli::stop_parties(live.committee);
  must(cli::start_parties(live.committee));
  must(cli::wait_until_healthy(live.committee, 60s));
  for (int party = 1; party <= n; ++party) EXPECT_EQ(said(outcome(live, default_epoch_id(), party)), "OK");
}
INSTANTIATE_TEST_SUITE_P(Committees, Epochs, testing::Values(4, 13));

TEST(EpochFaults, AStoppedPartyCostsTimeIsNamedAndLearnsThatItIsTooLate) {
  LiveCommittee live({.with_epoch = false, .test_nodes = false, .network_timeout = kShortRounds});
  kill(cli::party_pid(live.committee.party(4)), SIGSTOP);
  for (const int party : {1, 2, 3}) must(request(live, epoch(1), party));
  for (const int party : {1, 2, 3}) {
    EXPECT_EQ(said(outcome(live, epoch(1), party)), "OK");
    EXPECT_TRUE(logged(live, party, "party 4 was excluded: nothing came of its broadcast 0"))
        << read_text(live.committee.party(party).log());
  }
  kill(cli::party_pid(live.committee.party(4)), SIGCONT);
  must(request(live, epoch(1), 4));
  const Status late = outcome(live, epoch(1), 4);
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code, Code::aborted);
  EXPECT_NE(late.error().message.find("too late"), std::string::npos) << late.error().message;
  EXPECT_NE(late.error().message.find("request another epoch, under a new id"), std::string::npos)
      << late.error().message;
  EXPECT_FALSE(std::filesystem::exists(record(live, epoch(1), 4)));
  for (const int party : {1, 2, 3, 4}) must(request(live, epoch(2), party));
  for (const int party : {1, 2, 3, 4}) EXPECT_EQ(said(outcome(live, epoch(2), party)), "OK");
}

TEST(EpochFaults, TheCommandLineAcceptsAnEpochThatOnePartyHasMissed) {
  LiveCommittee live({.with_epoch = false, .test_nodes = false, .network_timeout = kShortRounds});
  cli::stop_parties(live.committee, {4});
  for (const int party : {1, 2, 3}) must(request(live, default_epoch_id(), party));
  for (const int party : {1, 2, 3}) ASSERT_EQ(said(outcome(live, default_epoch_id(), party)), "OK");
  for (int time = 1; time <= 2; ++time) {  // it starts the node, and then finds the failed request
    const auto up = must(cli::run_process(
        {(programs() / "witan").string(), "committee", "up", "--dir", live.committee.folder.string()}, kRounds));
    EXPECT_EQ(up.exit_code, 0) << up.text;
    EXPECT_NE(up.text.find("warning: party 4 has no part of the epoch"), std::string::npos) << up.text;
    EXPECT_NE(up.text.find("too late"), std::string::npos) << up.text;
  }
}

TEST(EpochFaults, ALiarChangesNothing) {
  LiveCommittee live({.with_epoch = false, .network_timeout = kShortRounds});
  cli::stop_parties(live.committee, {2});
  const auto file = live.committee.party(2).config();
  std::string config = read_text(file);
  const std::string section = "[insecure]\n";
  config.insert(config.find(section) + section.size(), "fault = \"lie\"\n");
  write_text(file, config);
  must(cli::start_parties(live.committee, {2}));
  must(cli::wait_until_healthy(live.committee, 60s));
  for (const int party : {1, 2, 3, 4}) must(request(live, epoch(1), party));
  for (const int party : {1, 3, 4}) {
    EXPECT_EQ(said(outcome(live, epoch(1), party)), "OK");
    EXPECT_TRUE(logged(
        live, party, "epoch " + epoch(1).hex() + ", attempt 0: party 2 was excluded: nothing came of its broadcast 0"))
        << read_text(live.committee.party(party).log());
    for (const int honest : {1, 3, 4})
      EXPECT_FALSE(logged(live, party, fmt::format("party {} was excluded", honest)))
          << read_text(live.committee.party(party).log());
  }
}

// Killed while it waits for the others, in the middle of a set-up, or when it has ended.
TEST(EpochFaults, AKilledPartyHasTheEpochOrIsToldThatItHasNone) {
  LiveCommittee live({.with_epoch = false, .test_nodes = false, .network_timeout = kShortRounds});
  std::mt19937 random(20261126);
  for (int round = 1; round <= 4; ++round) {
    const EpochId id = epoch(round);
    for (const int party : {4, 1, 2, 3}) must(request(live, id, party));
    std::this_thread::sleep_for(std::chrono::milliseconds(random() % 60));
    cli::stop_parties(live.committee, {4}, true);
    must(cli::start_parties(live.committee, {4}));
    for (const int party : {1, 2, 3}) ASSERT_EQ(said(outcome(live, id, party)), "OK") << "round " << round;
    must(cli::wait_until_healthy(live.committee, 60s));
    const Status fourth = outcome(live, id, 4);
    EXPECT_EQ(fourth.has_value(), std::filesystem::exists(record(live, id, 4)));
    if (!fourth)
      EXPECT_NE(fourth.error().message.find("request another epoch"), std::string::npos) << fourth.error().message;
  }
}

TEST(EpochFaults, APowerCutInTheMiddleLeadsToTheNextAttempt) {
  LiveCommittee live({.with_epoch = false, .test_nodes = false, .network_timeout = kShortRounds});
  // Party 1 waits for its peers until all are killed: nobody can have ended.
  kill(cli::party_pid(live.committee.party(4)), SIGSTOP);
  kill(cli::party_pid(live.committee.party(3)), SIGSTOP);
  for (const int party : {1, 2}) must(request(live, epoch(1), party));
  std::this_thread::sleep_for(500ms);
  cli::stop_parties(live.committee, {}, true);
  must(cli::start_parties(live.committee));
  must(cli::wait_until_healthy(live.committee, 60s));
  for (const int party : {3, 4}) must(request(live, epoch(1), party));
  for (const int party : {1, 2, 3, 4}) EXPECT_EQ(said(outcome(live, epoch(1), party)), "OK");
  EXPECT_TRUE(logged(live, 1, "attempt 1 begins")) << read_text(live.committee.party(1).log());
  EXPECT_TRUE(logged(live, 4, "attempt 1 begins")) << read_text(live.committee.party(4).log());
}

TEST(EpochFaults, AnEpochOfTheProvisionalSetUpIsRefusedByBothPrograms) {
  LiveCommittee live({.test_nodes = false});
  cli::stop_parties(live.committee, {2});
  Writer old;
  old.u32(1).id(default_epoch_id()).id(default_context_id()).u8(1);
  old.u32(1).u8(4).u8(1).u8(2).u64(3).raw(Bytes(3 * 16, 7));
  must(cli::write_file(record(live, default_epoch_id(), 2), old.view()));
  for (const char* name : {"witan-node", "witan-node-test"}) {
    const auto output = must(cli::run_process(
        {(programs() / name).string(), "--config-file", live.committee.party(2).config().string()}, 30s));
    EXPECT_EQ(output.exit_code, 1) << output.text;
    EXPECT_NE(output.text.find("EpochData/" + default_epoch_id().hex()), std::string::npos) << output.text;
    EXPECT_NE(output.text.find("epochs of a provisional set-up cannot be used"), std::string::npos) << output.text;
    EXPECT_NE(output.text.find("in a fresh folder"), std::string::npos) << output.text;
  }
}

}  // namespace
}  // namespace witan::e2e
