// `witan keygen` before nodes that do as they are told: what it says and sends when a key cannot be made, or shall not be.
#include "cli/keygen.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <deque>
#include <fstream>
#include <functional>
#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>

#include "api/server.h"
#include "cli/commands.h"
#include "cli/decryption.h"
#include "crypto/ecdsa.h"
#include "crypto/eip712.h"

namespace witan::cli {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

/// Takes every preprocessing, and says nothing of its outcome until it is told to.
class FakeNode final : public api::KmsHandler {
 public:
  explicit FakeNode(std::uint16_t port = 0) : key_(make_key()) { start(port); }

  // What it does.
  std::optional<Error> fails;      // the preprocessing's outcome
  bool has_material = false;       // or it is done
  std::optional<Error> refuses;    // each KeyGen
  std::optional<Error> no_aborts;  // its answer to AbortKeyGen

  std::uint16_t port() const { return server_->port(); }
  std::string signer() const { return key_.address().text(); }
  std::vector<std::string> preprocessings() const { return copy(preprocessings_); }
  std::vector<std::string> keys() const { return copy(keys_); }
  std::vector<std::string> aborts() const { return copy(aborts_); }
  void start(std::uint16_t port) {
    api::ServerOptions options;
    options.port = port;
    server_ = api::ApiServer::start(options, *this).value();
  }
  void stop() { server_ = nullptr; }

  void key_gen_preproc(api::KeyGenPreprocRequest request, api::CallContext,
                       api::Responder<api::Empty> respond) override {
    const std::lock_guard lock(mutex_);
    preprocessings_.push_back(*request.request_id);
    extra_data_ = request.extra_data;
    respond(api::Empty{});
  }
  void get_key_gen_preproc_result(api::IdRequest request, api::CallContext,
                                  api::Responder<api::KeyGenPreprocResult> respond) override {
    if (fails) return respond(fail(*fails));
    if (has_material) return respond(api::KeyGenPreprocResult{request.request_id, signature(request.request_id), {}});
    const std::lock_guard lock(mutex_);  // a long poll: the caller's time ends first
    held_.push_back(std::move(respond));
  }
  void key_gen(api::KeyGenRequest request, api::CallContext, api::Responder<api::Empty> respond) override {
    const std::lock_guard lock(mutex_);
    keys_.push_back(*request.preproc_id);
    if (refuses) return respond(fail(*refuses));
    respond(api::Empty{});
  }
  void get_key_gen_result(api::IdRequest, api::CallContext, api::Responder<api::KeyGenResult> respond) override {
    respond(fail(Code::unavailable, "it is still running"));
  }
  void abort_key_gen(api::IdRequest request, api::CallContext, api::Responder<api::Empty> respond) override {
    const std::lock_guard lock(mutex_);
    aborts_.push_back(request.request_id);
    if (no_aborts) return respond(fail(*no_aborts));
    respond(api::Empty{});
  }
  void get_request_statuses(api::GetRequestStatusesRequest, api::CallContext,
                            api::Responder<api::GetRequestStatusesResponse> respond) override {
    respond(api::GetRequestStatusesResponse{});
  }

 private:
  static crypto::SigningKey make_key() {
    OsRng rng;
    return crypto::SigningKey::generate(rng);
  }
  std::vector<std::string> copy(const std::vector<std::string>& ids) const {
    const std::lock_guard lock(mutex_);
    return ids;
  }
  Bytes signature(const std::string& id) const {
    crypto::Eip712Domain domain = example_domain();
    domain.name = "KMSGeneration";
    const std::lock_guard lock(mutex_);
    const auto signed_digest = key_.sign_digest(crypto::eip712_digest(
        domain, crypto::prep_keygen_verification(PreprocId::parse(id).value().bytes(), extra_data_)));
    return {signed_digest.begin(), signed_digest.end()};
  }

  const crypto::SigningKey key_;
  mutable std::mutex mutex_;
  std::vector<std::string> preprocessings_, keys_, aborts_;
  Bytes extra_data_;
  std::vector<api::Responder<api::KeyGenPreprocResult>> held_;
  std::unique_ptr<api::ApiServer> server_;
};

class KeyMaker : public testing::Test {
 protected:
  KeyMaker() : nodes(4) {
    std::string name = (std::filesystem::temp_directory_path() / "witan-cli-XXXXXX").string();
    folder = mkdtemp(name.data());
    nlohmann::json file = {{"version", 1}, {"threshold", 1}, {"node_program", "/bin/node"}, {"parties", {}}};
    for (int id = 1; id <= 4; ++id)
      file["parties"].push_back({{"id", id},
                                 {"identity", fmt::format("party{}", id)},
                                 {"service_port", node(id).port()},
                                 {"mpc_port", 1},
                                 {"signer", node(id).signer()}});
    std::ofstream(folder / "committee.json") << file.dump();
    committee = load_committee(folder).value();
  }
  ~KeyMaker() override { std::filesystem::remove_all(folder); }

  FakeNode& node(int party) { return nodes[static_cast<std::size_t>(party - 1)]; }

  Error error_of(KeyOrder order) {
    order.begins = [this](const PreprocId& preprocessing, const KeyId&) { begun = preprocessing.hex(); };
    const auto from = Clock::now();
    const auto made = make_key(committee, order);
    took = Clock::now() - from;
    return made ? Error{Code::internal, "made"} : made.error();
  }

  std::deque<FakeNode> nodes;
  std::filesystem::path folder;
  Committee committee;
  std::string begun;  // the preprocessing's id
  Clock::duration took{};
};

TEST_F(KeyMaker, MoreThanTFailuresEndItAtOnceAndAbortTheOthers) {
  node(2).fails = Error{Code::internal, "the second is broken"};
  node(4).fails = Error{Code::aborted, "the fourth has no part"};
  const Error error = error_of({.timeout = 60s});
  EXPECT_LT(took, 20s);
  EXPECT_EQ(error.code, Code::unavailable);
  EXPECT_THAT(error.message,
              AllOf(HasSubstr("too many parties failed"), HasSubstr("the second is broken"),
                    HasSubstr("the fourth has no part"), HasSubstr("party 1: was not done yet; stopped and erased"),
                    HasSubstr("party 3: was not done yet; stopped and erased")));
  for (const int party : {1, 3}) EXPECT_THAT(node(party).aborts(), ElementsAre(begun)) << party;
}

TEST_F(KeyMaker, TFailuresDoNotEndIt) {
  node(2).fails = Error{Code::internal, "the second is broken"};
  const Error error = error_of({.timeout = 4s});
  EXPECT_GE(took, 4s);
  EXPECT_EQ(error.code, Code::deadline_exceeded) << error.message;
}

TEST_F(KeyMaker, ALongPollDoesNotHoldTheTimeoutUp) {
  const Error error = error_of({.timeout = 1s});
  EXPECT_LT(took, 4s) << "nodes hold a poll for longer";
  EXPECT_EQ(error.code, Code::deadline_exceeded);
  EXPECT_THAT(error.message, HasSubstr("not done within 1 s (--timeout)"));
  for (int party = 1; party <= 4; ++party) EXPECT_THAT(node(party).aborts(), ElementsAre(begun)) << party;
}

TEST_F(KeyMaker, AnInterruptionAbortsAtAllParties) {
  std::stop_source stop;
  const std::jthread user([&] {
    while (node(4).preprocessings().empty()) std::this_thread::sleep_for(5ms);
    stop.request_stop();
  });
  const Error error = error_of({.timeout = 60s, .stop = stop.get_token()});
  EXPECT_LT(took, 20s);
  EXPECT_EQ(error.code, Code::cancelled);
  EXPECT_THAT(error.message, HasSubstr("interrupted"));
  for (int party = 1; party <= 4; ++party) EXPECT_THAT(node(party).aborts(), ElementsAre(begun)) << party;
}

TEST_F(KeyMaker, CompleteMaterialSurvivesAnInterruption) {
  for (const int party : {1, 2, 4}) node(party).has_material = true;
  const Error error = error_of({.timeout = 2s});
  EXPECT_EQ(error.code, Code::deadline_exceeded) << error.message;
  EXPECT_THAT(error.message,
              AllOf(HasSubstr("is kept"), HasSubstr("--preproc " + begun), HasSubstr("--abort " + begun)));
  for (int party = 1; party <= 4; ++party) EXPECT_TRUE(node(party).aborts().empty()) << party;
}

TEST_F(KeyMaker, AKeyThatWasBegunIsAborted) {
  for (int party = 1; party <= 4; ++party) node(party).has_material = true;
  const Error error = error_of({.timeout = 2s});
  EXPECT_EQ(error.code, Code::deadline_exceeded) << error.message;
  EXPECT_THAT(error.message, Not(HasSubstr("is kept")));
  for (int party = 1; party <= 4; ++party) {
    EXPECT_THAT(node(party).keys(), ElementsAre(begun)) << party;
    EXPECT_THAT(node(party).aborts(), ElementsAre(begun)) << party;
  }
}

TEST_F(KeyMaker, AFinishedPreprocessingIsUsedAndARefusalDoesNotEraseIt) {
  for (int party = 1; party <= 4; ++party) {
    node(party).has_material = true;
    node(party).refuses = Error{Code::resource_exhausted, "another key is being made"};
  }
  const auto id = random_id<PreprocId>(3);
  const Error error = error_of({.preprocessing = id, .timeout = 60s});
  EXPECT_EQ(begun, id.hex());
  EXPECT_THAT(error.message, AllOf(HasSubstr("another key is being made"), HasSubstr("is kept")));
  for (int party = 1; party <= 4; ++party) {
    EXPECT_TRUE(node(party).preprocessings().empty()) << party;
    EXPECT_THAT(node(party).keys(), ElementsAre(id.hex())) << party;
    EXPECT_TRUE(node(party).aborts().empty()) << party;
  }
}

TEST_F(KeyMaker, AnUnknownPreprocessingIsNotAborted) {
  for (const int party : {1, 2}) node(party).fails = Error{Code::not_found, "it is not known here"};
  const Error error = error_of({.preprocessing = random_id<PreprocId>(3), .timeout = 60s});
  EXPECT_LT(took, 20s);
  EXPECT_THAT(error.message, AllOf(HasSubstr("cannot be used"), HasSubstr("party 2: "), HasSubstr("not known here")));
  for (int party = 1; party <= 4; ++party) EXPECT_TRUE(node(party).aborts().empty()) << party;
}

TEST_F(KeyMaker, APartyThatWasAwayIsToldLater) {
  const auto old = random_id<PreprocId>(3);
  const auto port = node(3).port();
  node(3).stop();
  const auto aborted = abort_preprocessing(committee, old);
  EXPECT_TRUE(aborted.at(1));
  EXPECT_FALSE(aborted.at(3));
  node(3).start(port);
  error_of({.timeout = 1s});
  EXPECT_THAT(node(3).aborts(), ElementsAre(old.hex(), begun));
  EXPECT_THAT(node(1).aborts(), ElementsAre(old.hex(), begun)) << "it had answered";
  error_of({.timeout = 1s});
  EXPECT_THAT(node(3).aborts(), ElementsAre(old.hex(), testing::_, begun)) << "once is enough";
}

TEST_F(KeyMaker, TheCommandAbortsAndSaysWhereNothingWas) {
  const auto id = random_id<PreprocId>(3);
  node(2).no_aborts = Error{Code::not_found, "it is not here"};
  const auto command = [&](const std::string& what, bool json) {
    testing::internal::CaptureStdout();
    Keygen options;
    options.dir = folder;
    options.abort = what;
    options.json = json;
    const int code = run(options);
    return std::pair(code, testing::internal::GetCapturedStdout());
  };
  const auto [code, text] = command(id.hex(), false);
  EXPECT_EQ(code, kExitOk);
  EXPECT_THAT(text, AllOf(HasSubstr("party 1: aborted"), HasSubstr("party 2: has nothing of it")));
  for (int party = 1; party <= 4; ++party) EXPECT_THAT(node(party).aborts(), ElementsAre(id.hex())) << party;

  node(4).stop();
  const auto [failed, said] = command(id.hex(), true);
  EXPECT_EQ(failed, kExitFailed);
  const auto parties = nlohmann::json::parse(said).at("parties");
  EXPECT_EQ(parties.at(0).at("outcome"), "erased");
  EXPECT_EQ(parties.at(1).at("outcome"), "not_found");
  EXPECT_EQ(parties.at(3).at("outcome"), "failed");
  EXPECT_EQ(command("no id", false).first, kExitUsage);
}

TEST_F(KeyMaker, TheCommandRefusesWhatCannotBe) {
  const auto said = [&](const std::function<void(Keygen&)>& ask) {
    Keygen options;
    options.dir = folder;
    ask(options);
    testing::internal::CaptureStderr();
    const int code = run(options);
    return std::pair(code, testing::internal::GetCapturedStderr());
  };
  for (const int seconds : {0, -1, 7 * 86400 + 1}) {
    const auto [code, text] = said([&](Keygen& o) { o.timeout_seconds = seconds; });
    EXPECT_EQ(code, kExitUsage) << seconds;
    EXPECT_THAT(text, HasSubstr(fmt::format("--timeout {}: it is 1 to 604800 seconds", seconds)));
  }
  EXPECT_EQ(said([](Keygen& o) { o.preproc = "no id"; }).first, kExitUsage);
  EXPECT_THAT(said([](Keygen& o) { o.dealt = true, o.preproc = random_id<PreprocId>(3).hex(); }).second,
              HasSubstr("--preproc excludes"));
  for (int party = 1; party <= 4; ++party) EXPECT_TRUE(node(party).preprocessings().empty());
}

}  // namespace
}  // namespace witan::cli
