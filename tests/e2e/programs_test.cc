// What the programs refuse: production nodes know nothing insecure, bad configurations and certificates stop a start with a
// clear message, the command line has its exit codes.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "cli/process.h"
#include "e2e/live_committee.h"

namespace witan::e2e {
namespace {

using std::filesystem::path;

cli::ProcessOutput run(std::vector<std::string> command) {
  return must(cli::run_process(command, std::chrono::seconds(60)));
}
std::string program(const char* name) {
  return (programs() / name).string();
}

TEST(Production, HasNoInsecureSymbolsAndNoInsecureConfiguration) {
  const auto symbols = run({"nm", "-C", program("witan-node")});
  ASSERT_EQ(symbols.exit_code, 0);
  EXPECT_NE(symbols.text.find("witan::node::"), std::string::npos);
  EXPECT_EQ(symbols.text.find("witan::insecure"), std::string::npos);
  EXPECT_NE(run({"nm", "-C", program("witan-node-test")}).text.find("witan::insecure"), std::string::npos);
  std::ifstream in(program("witan-node"), std::ios::binary);
  const std::string binary(std::istreambuf_iterator<char>(in), {});
  for (const char* word : {"import_dir", "InsecureKeyGen", "insecure"})
    EXPECT_EQ(binary.find(word), std::string::npos) << word;
}

TEST(Production, SaysWhatItIs) {
  for (const char* name : {"witan-node", "witan-node-test", "witan"}) {
    const auto version = run({program(name), "--version"});
    EXPECT_EQ(version.exit_code, 0);
    EXPECT_NE(version.text.find("0.1.0 ("), std::string::npos) << version.text;
    EXPECT_EQ(run({program(name), "--no-such-flag"}).exit_code, 2);
  }
}

// Also: with the default parameters the key is dealt unless somebody asks for another one.
TEST(Demo, StopsItsCommitteeWhenItIsInterrupted) {
  const TemporaryFolder temporary;
  const path folder = temporary.path() / "demo", log = temporary.path() / "log";
  const int pid =
      must(cli::start_detached({program("witan"), "demo", "--clients", test::data_path("../clients").string(),
                                "--params", "default", "--dir", folder.string()},
                               log));
  ASSERT_TRUE(soon([&] { return read_text(log).find("== a key (dealt by party 1") != std::string::npos; }))
      << read_text(log);
  std::vector<std::pair<int, std::string>> nodes;
  for (int i = 1; i <= 4; ++i) {
    const path party = folder / fmt::format("party-{}", i);
    nodes.emplace_back(std::stoi(read_text(party / "pid")), (party / "node.toml").string());
    EXPECT_TRUE(cli::process_runs(nodes.back().first, nodes.back().second));
  }
  ASSERT_EQ(kill(pid, SIGTERM), 0);
  int status = 0;
  ASSERT_EQ(waitpid(pid, &status, 0), pid);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 128 + SIGTERM) << status;
  EXPECT_NE(read_text(log).find("interrupted: the committee stops"), std::string::npos) << read_text(log);
  for (const auto& [node, config] : nodes) EXPECT_FALSE(cli::process_runs(node, config)) << config;
}

// Standard output is the result and nothing else; what happens is told on standard error.
TEST(Demo, SaysItsResultAsJson) {
  const TemporaryFolder temporary;
  const path out = temporary.path() / "out", told = temporary.path() / "told";
  const std::string command = program("witan") + " demo --clients " + test::data_path("../clients").string() +
                              " --silent 1 --json >" + out.string() + " 2>" + told.string();
  ASSERT_EQ(must(cli::run_process({"sh", "-c", command}, std::chrono::seconds(300))).exit_code, 0) << read_text(told);
  const auto json = nlohmann::json::parse(read_text(out));
  EXPECT_EQ(json.at("params"), "test");
  EXPECT_EQ(json.at("origin"), "generated");
  EXPECT_EQ(json.at("threshold"), 1);
  EXPECT_EQ(json.at("silent"), nlohmann::json({4}));
  EXPECT_EQ(json.at("lied"), nlohmann::json::array());
  EXPECT_GT(json.at("seconds").get<double>(), 0);
  std::set<std::pair<std::string, std::string>> seen;
  for (const auto& one : json.at("decryptions")) {
    EXPECT_TRUE(seen.emplace(one.at("client"), one.at("format")).second);
    const auto& response = one.at("response");
    EXPECT_EQ(response.at("key_id"), json.at("key_id"));
    EXPECT_EQ(response.at("results").size(), 8u);
    EXPECT_EQ(response.at("signers").size(), 3u);
  }
  EXPECT_EQ(seen.size(), 2u * 4u) << "two clients, four formats";
  EXPECT_NE(read_text(told).find("equal to what the client encrypted"), std::string::npos) << read_text(told);
  const auto refused = run({program("witan"), "demo", "--clients", temporary.path().string(), "--json"});
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_EQ(refused.text.find("error: --clients must name the folder"), 0u) << refused.text;
  EXPECT_EQ(refused.text.find("demo: failed"), std::string::npos) << refused.text;
}

class OneCommittee : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    live = std::make_unique<LiveCommittee>();
    key = live->deal();
  }
  static void TearDownTestSuite() { live.reset(); }
  static const cli::PartyInfo& party(int id) { return live->committee.party(id); }
  static std::string check(const std::string& text, const char* binary = "witan-node-test") {
    const path file = party(4).folder / "try.toml";
    write_text(file, text);
    const auto output = run({program(binary), "--check-config", "--config-file", file.string()});
    return std::to_string(output.exit_code) + " " + output.text;
  }
  /// Starts a node that must not come up; returns what it says.
  static std::string fails_to_start(const std::string& text) {
    const path file = party(4).folder / "try.toml";
    write_text(file, text);
    const auto output = run({program("witan-node-test"), "--config-file", file.string()});
    EXPECT_EQ(output.exit_code, 1) << output.text;
    return output.text;
  }
  static std::string replaced(std::string text, const std::string& from, const std::string& to) {
    const auto at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return text.replace(at, from.size(), to);
  }
  inline static std::unique_ptr<LiveCommittee> live;
  inline static cli::NewKey key;
};

// The committee's party 2 is replaced by the production program on the same disk.
TEST_F(OneCommittee, ProductionRefusesDealtKeysAndDealing) {
  cli::stop_parties(live->committee, {2});
  const std::string config = read_text(party(2).config());
  const std::string without = config.substr(0, config.find("\n[insecure]"));
  const auto refused = run({program("witan-node"), "--check-config", "--config-file", party(2).config().string()});
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_NE(refused.text.find("unknown key insecure"), std::string::npos) << refused.text;
  write_text(party(2).config(), without);
  auto production = live->committee;
  production.node_program = programs() / "witan-node";
  must(cli::start_parties(production, {2}));
  must(cli::wait_until_healthy(production, std::chrono::seconds(30), {2}));
  const auto client = live->client(2);
  const auto decrypt = client.public_decrypt(
      request_for(key.key, cli::random_request_id(), test::read_data("tfhe/native-1.7.0/test/big_compressed_uint8.bin"),
                  2, api::CiphertextFormat::big_compressed));
  EXPECT_EQ(decrypt.error().code, Code::failed_precondition);
  EXPECT_NE(decrypt.error().message.find("origin = dealt"), std::string::npos) << decrypt.error().message;
  EXPECT_EQ(client.insecure_key_gen_preproc({}).error().code, Code::unimplemented);
  EXPECT_EQ(client.insecure_key_gen({}).error().code, Code::unimplemented);
  EXPECT_EQ(client.key_gen({}).error().code, Code::invalid_argument);
  cli::stop_parties(production, {2});
  write_text(party(2).config(), config);
  must(cli::start_parties(live->committee, {2}));
  must(cli::wait_until_healthy(live->committee, std::chrono::seconds(30)));
}

TEST_F(OneCommittee, ConfigurationErrorsNameTheKey) {
  const std::string good = read_text(party(4).config());
  EXPECT_TRUE(check(good).starts_with("0 ")) << check(good);
  const auto expect = [&](const std::string& text, const char* part) {
    const std::string said = check(text);
    EXPECT_TRUE(said.starts_with("1 ")) << said;
    EXPECT_NE(said.find(part), std::string::npos) << said;
  };
  expect(replaced(good, "listen_port", "listen_prot"), "did you mean listen_port?");
  expect(replaced(good, "threshold = 1", "threshold = 2"), "n = 3t+1");
  expect(replaced(good, "threshold = 1", "threshold = \"1\""), "must be an integer");
  expect(replaced(good, "my_id = 4", "my_id = 5"), "my_id = 5");
  expect(replaced(good, "party_id = 3", "party_id = 2"), "party_id");
  expect(replaced(good, "party_id = 3", "party_id = 77"), "77");
  expect(replaced(good, "[journal]", "[jornal]"), "did you mean journal?");
  expect(replaced(good, "[journal]", "[journal"), "line");
  expect(replaced(good, "path = \"journal.db\"", "path = \"\""), "journal.path");
  expect(replaced(good, party(4).metrics_address(), "nowhere"), "telemetry.metrics_bind_address");
  expect(good + "lies = true\n", "insecure.lies");
  EXPECT_EQ(run({program("witan-node"), "--config-file", "/nonexistent.toml"}).exit_code, 1);
  EXPECT_EQ(run({program("witan-node")}).exit_code, 2);
}

TEST_F(OneCommittee, AStartThatCannotWorkSaysWhy) {
  cli::stop_parties(live->committee, {4});
  const std::string good = read_text(party(4).config());
  const std::string port = std::to_string(party(4).mpc_port);
  EXPECT_NE(
      fails_to_start(replaced(good, "listen_port = " + port, "listen_port = " + std::to_string(party(3).mpc_port)))
          .find("in use"),
      std::string::npos);
  EXPECT_NE(fails_to_start(replaced(good, "listen_port = " + std::to_string(party(4).service_port),
                                    "listen_port = " + std::to_string(party(3).service_port)))
                .find("in use"),
            std::string::npos);
  EXPECT_NE(fails_to_start(replaced(good, "cert.path = \"tls/cert.pem\"", "cert.path = \"../party-3/tls/cert.pem\""))
                .find("is of 'party3"),
            std::string::npos);
  EXPECT_NE(fails_to_start(replaced(good, "key.path = \"tls/key.pem\"", "key.path = \"../party-3/tls/key.pem\""))
                .find("does not belong"),
            std::string::npos);
  EXPECT_NE(
      fails_to_start(replaced(good, "key.path = \"tls/key.pem\"", "key.path = \"tls/none.pem\"")).find("none.pem"),
      std::string::npos);
  EXPECT_NE(fails_to_start(replaced(good, "path = \"journal.db\"", "path = \"other.db\"")).find("other.db"),
            std::string::npos)
      << "a node with keys must not begin a new journal";
  EXPECT_NE(fails_to_start(replaced(good, "path = \"vault\"", "path = \"/proc/vault\"")).find("/proc/vault"),
            std::string::npos);
  const std::string taken = fails_to_start(replaced(good, party(4).metrics_address(), party(3).metrics_address()));
  EXPECT_NE(taken.find("cannot start: telemetry.metrics_bind_address: cannot listen on " + party(3).metrics_address()),
            std::string::npos)
      << taken;
  EXPECT_NE(taken.find("in use"), std::string::npos) << taken;
  // The same disk twice at once.
  must(cli::start_parties(live->committee, {4}));
  must(cli::wait_until_healthy(live->committee, std::chrono::seconds(30)));
  const std::string metrics = "metrics_bind_address = \"" + party(4).metrics_address() + "\"";
  const std::string twice = fails_to_start(replaced(good, metrics, "metrics_bind_address = \"127.0.0.1:0\""));
  EXPECT_NE(twice.find("process"), std::string::npos) << twice;
}

// service.md 9: fatal. What is missing is seen before the node serves, what is damaged while it does.
TEST_F(OneCommittee, ADamagedOrMissingPublicObjectEndsTheNode) {
  cli::stop_parties(live->committee, {4});
  const path object = party(4).public_vault() / "PublicKey" / key.key.hex();
  const std::string name = "PublicKey/" + key.key.hex();
  const Bytes good = must(cli::read_file(object));
  Bytes bad = good;
  bad[bad.size() / 2] ^= 1;
  must(cli::write_file(object, bad));
  const std::string damaged = fails_to_start(read_text(party(4).config()));
  EXPECT_NE(damaged.find(name + " has digest"), std::string::npos) << damaged;
  EXPECT_NE(damaged.find("this node ends: key " + key.key.hex()), std::string::npos) << damaged;
  std::filesystem::remove(object);
  const std::string missing = fails_to_start(read_text(party(4).config()));
  EXPECT_NE(missing.find(name + " is missing"), std::string::npos) << missing;
  EXPECT_NE(missing.find("cannot start: key " + key.key.hex()), std::string::npos) << missing;
  must(cli::write_file(object, good));
  must(cli::start_parties(live->committee, {4}));
  must(cli::wait_until_healthy(live->committee, std::chrono::seconds(30)));
}

TEST_F(OneCommittee, TheCommandLineDoesWhatItsHelpSays) {
  const std::string dir = live->committee.folder.string(), witan = program("witan");
  const std::string file = (live->folder() / "ct.bin").string();
  for (const char* format : {"big-compressed", "big-expanded", "small-compressed", "small-expanded"}) {
    const auto encrypted = run({witan, "encrypt", "--dir", dir, "--key", key.key.hex(), "--type", "u16", "--value",
                                "54321", "--format", format, "--out", file, "--json"});
    ASSERT_EQ(encrypted.exit_code, 0) << encrypted.text;
    const std::string out = (live->folder() / "response.json").string();
    const auto decrypted = run({witan, "decrypt", "--dir", dir, "--key", key.key.hex(), "--type", "u16", "--format",
                                format, file, "--json", "--extra-data", "0x0102", "--handle", "aabb", "--out", out});
    ASSERT_EQ(decrypted.exit_code, 0) << decrypted.text;
    const auto json = nlohmann::json::parse(decrypted.text);
    EXPECT_EQ(json.at("results").at(0).at("type"), "u16");
    EXPECT_EQ(json.at("results").at(0).at("value"), "54321");
    EXPECT_EQ(json.at("extra_data"), "0102");
    EXPECT_EQ(json, nlohmann::json::parse(read_text(out)));
    const auto inspected = run({witan, "inspect", file, "--json"});
    EXPECT_EQ(inspected.exit_code, 0);
    EXPECT_NE(inspected.text.find(format == std::string("big-compressed") ? "BigCompressed" : "high_level_api"),
              std::string::npos);
  }
  // Files may stand anywhere; several of them, of one type or of several.
  const std::vector<std::string> start = {witan,   "decrypt",     "--dir",    dir,
                                          "--key", key.key.hex(), "--format", "small-expanded"};
  const auto decrypts = [&](const std::vector<std::string>& rest, std::size_t results) {
    auto all = start;
    all.insert(all.end(), rest.begin(), rest.end());
    const auto done = run(all);
    ASSERT_EQ(done.exit_code, 0) << done.text;
    EXPECT_EQ(nlohmann::json::parse(done.text).at("results").size(), results);
  };
  decrypts({"--type", "u16", file, "--handle", "01", file, "--handle", "02", "--json"}, 2);
  decrypts({file, "--type", "u16", "--type", "u16", "--json", file}, 2);
  const auto status = nlohmann::json::parse(run({witan, "committee", "status", "--dir", dir, "--json"}).text);
  EXPECT_EQ(status.at("parties").size(), 4u);
  EXPECT_EQ(status.at("parties").at(0).at("keys").at(0).at("origin"), "dealt");
  EXPECT_TRUE(status.at("parties").at(3).at("healthy").get<bool>());

  EXPECT_EQ(run({witan, "decrypt", "--dir", dir, "--key", "zz", "--type", "u8", file}).exit_code, 2);
  EXPECT_EQ(run({witan, "decrypt", "--dir", dir, "--key", key.key.hex(), "--type", "u9", file}).exit_code, 2);
  EXPECT_EQ(
      run({witan, "decrypt", "--dir", dir, "--key", key.key.hex(), "--type", "u8", "--format", "small-expanded", file})
          .exit_code,
      1);
  EXPECT_EQ(
      run({witan, "encrypt", "--dir", dir, "--key", key.key.hex(), "--type", "u8", "--value", "256", "--out", file})
          .exit_code,
      2);
  EXPECT_EQ(run({witan, "inspect", "/bin/true"}).exit_code, 1);
  EXPECT_EQ(run({witan, "committee", "status", "--dir", "/nonexistent"}).exit_code, 1);
  EXPECT_EQ(run({witan}).exit_code, 2);
  EXPECT_EQ(run({witan, "--help"}).exit_code, 0);
}

}  // namespace
}  // namespace witan::e2e
