#include "cli/committee.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <atomic>
#include <deque>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <thread>

#include "api/server.h"
#include "cli/commands.h"

namespace witan::cli {
namespace {

using nlohmann::json;
using testing::HasSubstr;

class CommitteeFile : public testing::Test {
 protected:
  CommitteeFile() {
    std::string name = (std::filesystem::temp_directory_path() / "witan-cli-XXXXXX").string();
    folder = mkdtemp(name.data());
  }
  ~CommitteeFile() override { std::filesystem::remove_all(folder); }

  static json good() {
    json out = {{"version", 1}, {"threshold", 1}, {"node_program", "/bin/node"}, {"parties", json::array()}};
    for (int i = 1; i <= 4; ++i)
      out["parties"].push_back({{"id", i},
                                {"identity", fmt::format("party{}", i)},
                                {"service_port", 100 + i},
                                {"mpc_port", 200 + i},
                                {"metrics_port", 300 + i},
                                {"signer", "0x00"}});
    return out;
  }
  void write(const std::string& text) const { std::ofstream(folder / "committee.json") << text; }
  Error error() const {
    const auto loaded = load_committee(folder);
    return loaded ? Error{Code::internal, "accepted"} : loaded.error();
  }

  std::filesystem::path folder;
};

TEST_F(CommitteeFile, IsReadBack) {
  write(good().dump());
  const auto committee = load_committee(folder);
  ASSERT_TRUE(committee) << committee.error().message;
  EXPECT_EQ(committee->size(), 4);
  EXPECT_EQ(committee->threshold, 1);
  EXPECT_EQ(committee->party(3).address(), "127.0.0.1:103");
  EXPECT_EQ(committee->party(3).metrics_address(), "127.0.0.1:303");
  EXPECT_EQ(committee->party(3).config(), committee->folder / "party-3" / "node.toml");
  EXPECT_EQ(party_pid(committee->party(3)), 0);
  EXPECT_FALSE(party_runs(committee->party(3)));
}

TEST_F(CommitteeFile, OfEarlierVersionsHasNoMetrics) {
  json old = good();
  for (json& party : old["parties"]) party.erase("metrics_port");
  write(old.dump());
  EXPECT_EQ(load_committee(folder).value().party(3).metrics_port, 0);
}

TEST_F(CommitteeFile, ThatIsMissingIsAnsweredWithTheCommand) {
  EXPECT_EQ(error().code, Code::not_found);
  EXPECT_THAT(error().message, HasSubstr("witan committee up --dir " + folder.string()));
}

TEST_F(CommitteeFile, DamageIsNamed) {
  const std::string text = good().dump();
  for (std::size_t size = 0; size < text.size(); size += 7) {
    write(text.substr(0, size));
    EXPECT_EQ(error().code, Code::data_loss) << size;
  }
  const std::pair<std::function<void(json&)>, const char*> cases[] = {
      {[](json& j) { j["version"] = 2; }, "not version 1"},
      {[](json& j) { j["threshold"] = 0; }, "4 parties with threshold 0"},
      {[](json& j) { j["threshold"] = 2; }, "4 parties with threshold 2"},
      {[](json& j) { j["threshold"] = "1"; }, "number"},
      {[](json& j) { j["parties"].erase(1); }, "out of order"},
      {[](json& j) { j["parties"][0].erase("signer"); }, "signer"},
  };
  for (const auto& [spoil, message] : cases) {
    json bad = good();
    spoil(bad);
    write(bad.dump());
    EXPECT_EQ(error().code, Code::data_loss);
    EXPECT_THAT(error().message, testing::AllOf(HasSubstr("committee.json"), HasSubstr(message)));
  }
}

TEST_F(CommitteeFile, AProcessIdThatIsNoneOrOfAnotherProgramIsNotOurs) {
  write(good().dump());
  const auto committee = load_committee(folder).value();
  std::filesystem::create_directory(committee.party(1).folder);
  for (const std::string& text : {std::string(), std::string("x"), std::string("-1"), std::string("99999999999"),
                                  std::to_string(getpid()), std::string("1")}) {
    std::ofstream(committee.party(1).folder / "pid") << text;
    EXPECT_FALSE(party_runs(committee.party(1))) << text;
  }
  stop_parties(committee, {}, true);  // kills nothing: this test goes on
}

TEST_F(CommitteeFile, SetUpRefusesWhatCannotWork) {
  const auto set_up = [&](const std::function<void(SetUpOptions&)>& change) {
    SetUpOptions options;
    options.folder = folder / "new";
    change(options);
    const auto done = set_up_committee(options, [](const std::string&) {});
    return done ? Error{Code::internal, "done"} : done.error();
  };
  EXPECT_EQ(set_up([](auto& o) { o.parties = 5; }).code, Code::invalid_argument);
  EXPECT_EQ(set_up([](auto& o) { o.parties = 0; }).code, Code::invalid_argument);
  EXPECT_THAT(set_up([](auto& o) { o.programs = "/nonexistent"; }).message, HasSubstr("/nonexistent"));
  write(good().dump());
  EXPECT_EQ(set_up([&](auto& o) { o.folder = folder; }).code, Code::already_exists);
}

TEST_F(CommitteeFile, OptionsThatDifferFromWhatWasSetUpAreRefused) {
  json file = good();
  file["base_port"] = 21000;
  file["node_program"] = "/nonexistent/witan-node";
  write(file.dump());
  const auto said = [&](const std::function<void(CommitteeUp&)>& ask) {
    CommitteeUp options;
    options.dir = folder;
    ask(options);
    testing::internal::CaptureStderr();
    const int code = run(options);
    return std::pair(code, testing::internal::GetCapturedStderr());
  };
  const std::pair<std::function<void(CommitteeUp&)>, std::pair<const char*, const char*>> cases[] = {
      {[](CommitteeUp& o) { o.parties = 7; }, {"--parties 7,", "has 4 parties"}},
      {[](CommitteeUp& o) { o.base_port = 22000; }, {"--base-port 22000,", "the base port 21000"}},
      {[](CommitteeUp& o) { o.test_nodes = true; }, {"--test-nodes asks for witan-node-test,", "has witan-node;"}},
  };
  for (const auto& [ask, messages] : cases) {
    const auto [code, text] = said(ask);
    EXPECT_EQ(code, kExitUsage) << messages.first;
    EXPECT_THAT(text, testing::AllOf(HasSubstr(messages.first), HasSubstr(messages.second)));
  }
  const auto [code, text] = said([](CommitteeUp& o) { o.parties = 4, o.base_port = 21000; });
  EXPECT_EQ(code, kExitFailed) << "these are right, but there is no such program";
  EXPECT_THAT(text, HasSubstr("/nonexistent/witan-node"));
  write(good().dump());  // of an earlier version: the first port counts
  EXPECT_THAT(said([](CommitteeUp& o) { o.base_port = 21000; }).second, HasSubstr("the base port 101"));
}

/// A node as far as an epoch is set up.
class EpochNode final : public api::KmsHandler {
 public:
  void new_mpc_epoch(api::NewMpcEpochRequest, api::CallContext, api::Responder<api::Empty> respond) override {
    asked_ ? respond(fail(Code::already_exists, "it was asked for before")) : respond(api::Empty{});
    asked_ = true;
  }
  void get_epoch_result(api::IdRequest, api::CallContext, api::Responder<api::EpochResultResponse> respond) override {
    asked_ ? respond(api::EpochResultResponse{}) : respond(fail(Code::not_found, "it is not known here"));
  }
  void start(std::uint16_t port) {
    api::ServerOptions options;
    options.port = port;
    server_ = api::ApiServer::start(options, *this).value();
  }
  std::uint16_t port() const { return server_->port(); }
  void stop() { server_ = nullptr; }

 private:
  std::atomic<bool> asked_ = false;
  std::unique_ptr<api::ApiServer> server_;
};

// A party that misses the set-up has no part of the epoch for good: a connection that fails is no reason.
TEST_F(CommitteeFile, APartyThatCannotBeReachedAtOnceIsAskedForTheEpochAllTheSame) {
  std::deque<EpochNode> nodes(4);
  json file = good();
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    nodes[i].start(0);
    file["parties"][i]["service_port"] = nodes[i].port();
  }
  write(file.dump());
  const auto committee = load_committee(folder).value();
  const std::uint16_t port = nodes[2].port();
  nodes[2].stop();
  const std::jthread later([&] {
    std::this_thread::sleep_for(std::chrono::seconds(2));
    nodes[2].start(port);
  });
  const auto without = ensure_epoch(committee, std::chrono::seconds(60));
  ASSERT_TRUE(without) << without.error().message;
  EXPECT_TRUE(without->empty()) << without->begin()->second;

  nodes[1].stop();  // of those that have it one is away
  const auto away = ensure_epoch(committee, std::chrono::seconds(1));
  ASSERT_TRUE(away) << away.error().message;
  EXPECT_THAT(*away, testing::ElementsAre(testing::Pair(2, testing::_)));
}

}  // namespace
}  // namespace witan::cli
