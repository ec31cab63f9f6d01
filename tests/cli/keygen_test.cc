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
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::Pair;

/// Takes every preprocessing, and says nothing of its outcome until it is told to.
class FakeNode final : public api::KmsHandler {
 public:
  explicit FakeNode(std::uint16_t port = 0) : key_(make_key()) { start(port); }

  // What it does.
  std::optional<Error> fails;                                // the preprocessing's outcome
  bool has_material = false;                                 // or it is done
  std::optional<Error> refuses;                              // each KeyGen
  std::optional<std::uint8_t> key;                           // of this byte its digests are, once it has a key
  std::optional<Error> loses;                                // ... or its outcome
  std::optional<Error> no_aborts;                            // its answer to AbortKeyGen
  int busy = 0;                                              // polls for keys that it has no room for
  bool is_silent = false;                                    // it does not answer KeyGenPreproc
  std::string says_of_key = "origin=generated params=test";  // in its health

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
  void take_aborts() {
    const std::lock_guard lock(mutex_);
    no_aborts.reset();
  }

  void key_gen_preproc(api::KeyGenPreprocRequest request, api::CallContext,
                       api::Responder<api::Empty> respond) override {
    const std::lock_guard lock(mutex_);
    preprocessings_.push_back(*request.request_id);
    extra_data_ = request.extra_data;
    if (is_silent) return unanswered_.push_back(std::move(respond));
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
    extra_data_ = request.extra_data;
    key_id_ = *request.request_id;
    respond(api::Empty{});
  }
  void get_key_gen_result(api::IdRequest request, api::CallContext,
                          api::Responder<api::KeyGenResult> respond) override {
    const std::lock_guard lock(mutex_);
    if (busy > 0) return --busy, respond(fail(Code::resource_exhausted, "too many calls"));
    if (loses) return respond(fail(*loses));
    if (!key) return respond(fail(Code::unavailable, "it is still running"));
    api::KeyGenResult result;
    result.request_id = request.request_id;
    result.preprocessing_id = keys_.back();
    std::vector<crypto::TypedKeyDigest> typed(2);
    typed[0].type = crypto::KeyDigestType::public_key;
    typed[1].type = crypto::KeyDigestType::compressed_key_set;
    for (auto& entry : typed) entry.digest.fill(*key);
    for (const char* type : {"PublicKey", "CompressedXofKeySet"}) result.key_digests.push_back({type, Bytes(32, *key)});
    result.external_signature =
        signed_as(crypto::keygen_verification(PreprocId::parse(keys_.back()).value().bytes(),
                                              KeyId::parse(request.request_id).value().bytes(), typed, extra_data_));
    respond(std::move(result));
  }
  void get_health_status(api::Empty, api::CallContext, api::Responder<api::HealthStatusResponse> respond) override {
    const std::lock_guard lock(mutex_);
    api::HealthStatusResponse health;
    health.my_storage_info = fmt::format("keys: 1; key {} {} epoch=1; end", key_id_, says_of_key);
    respond(std::move(health));
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
    const std::lock_guard lock(mutex_);
    return signed_as(crypto::prep_keygen_verification(PreprocId::parse(id).value().bytes(), extra_data_));
  }
  Bytes signed_as(const crypto::Digest& struct_hash) const {
    crypto::Eip712Domain domain = example_domain();
    domain.name = "KMSGeneration";
    const auto signed_digest = key_.sign_digest(crypto::eip712_digest(domain, struct_hash));
    return {signed_digest.begin(), signed_digest.end()};
  }

  const crypto::SigningKey key_;
  mutable std::mutex mutex_;
  std::vector<std::string> preprocessings_, keys_, aborts_;
  std::string key_id_;
  Bytes extra_data_;
  std::vector<api::Responder<api::Empty>> unanswered_;
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

  Result<NewKey> make(KeyOrder order) {
    order.begins = [this](const PreprocId& preprocessing, const KeyId&) { begun = preprocessing.hex(); };
    const auto from = Clock::now();
    auto made = make_key(committee, order);
    took = Clock::now() - from;
    return made;
  }
  Error error_of(KeyOrder order) {
    const auto made = make(std::move(order));
    return made ? Error{Code::internal, "made"} : made.error();
  }
  void expect_no_aborts() {
    for (int party = 1; party <= 4; ++party) EXPECT_TRUE(node(party).aborts().empty()) << party;
  }
  bool are_owed() const { return std::filesystem::exists(folder / "owed-aborts"); }

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
  std::stop_source stop;
  const std::jthread user([&] {
    std::this_thread::sleep_for(1s);
    stop.request_stop();
  });
  for (const bool by_user : {true, false}) {
    const Error error =
        by_user ? error_of({.timeout = 60s, .stop = stop.get_token()}) : error_of({.timeout = 2s, .stop = {}});
    EXPECT_LT(took, 10s);
    EXPECT_EQ(error.code, by_user ? Code::cancelled : Code::deadline_exceeded) << error.message;
    EXPECT_THAT(error.message,
                AllOf(HasSubstr("is kept"), HasSubstr("--preproc " + begun), HasSubstr("--abort " + begun)));
    for (int party = 1; party <= 4; ++party) EXPECT_TRUE(node(party).keys().empty()) << party;
  }
  expect_no_aborts();
}

// What it still makes nobody needs, and its next preprocessing would be refused.
TEST_F(KeyMaker, APartyThatIsSlowWithItsMaterialIsNotWaitedForAndStopped) {
  for (const int party : {1, 2, 4}) node(party).has_material = true, node(party).key = 7;
  node(3).refuses = Error{Code::unavailable, "the preprocessing is still running"};
  const auto made = make({.timeout = 60s, .waits = {.slow = 3s}});
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_LT(took, 20s);
  EXPECT_EQ(made->signers.size(), 3u);
  EXPECT_THAT(made->failed, ElementsAre(Pair(3, HasSubstr("is still running"))));
  EXPECT_THAT(node(3).aborts(), ElementsAre(begun));
  for (const int party : {1, 2, 4}) EXPECT_TRUE(node(party).aborts().empty()) << party;
}

TEST_F(KeyMaker, APartyThatIsDoneWithItsMaterialMeanwhileHasTheKeyToo) {
  for (int party = 1; party <= 4; ++party) node(party).has_material = party != 3, node(party).key = 7;
  const auto made = make({.timeout = 60s, .waits = {.slow = 500ms}});
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(made->signers.size(), 4u);
  EXPECT_TRUE(made->failed.empty());
  expect_no_aborts();
}

TEST_F(KeyMaker, APartyThatIsSlowWithItsKeyIsNotWaitedFor) {
  for (int party = 1; party <= 4; ++party) node(party).has_material = true;
  for (const int party : {1, 2, 4}) node(party).key = 7;
  // Not even for as long as it could be, when the time is over.
  for (const auto& [timeout, slow] : {std::pair(60s, 500ms), std::pair(3s, 60'000ms)}) {
    const auto made = make({.timeout = timeout, .waits = {.slow = slow}});
    ASSERT_TRUE(made) << made.error().message;
    EXPECT_LT(took, 20s);
    EXPECT_EQ(made->signers.size(), 3u);
    EXPECT_THAT(made->failed, ElementsAre(Pair(3, "was not done when 3 others were")));
  }
  expect_no_aborts();
}

TEST_F(KeyMaker, DigestsAndOriginAreThoseOfTheMajorityWhoeverComesFirstOrLast) {
  for (int party = 1; party <= 4; ++party) node(party).has_material = true;
  for (const int liar : {1, 4}) {
    for (int party = 1; party <= 4; ++party) {
      node(party).key = party == liar ? 9 : 7;
      node(party).says_of_key = party == liar ? "origin=imported params=default" : "origin=generated params=test";
    }
    const auto made = make({.timeout = 60s});
    ASSERT_TRUE(made) << made.error().message;
    EXPECT_EQ(made->digests.at("PublicKey"), Bytes(32, 7));
    EXPECT_EQ(made->signers.size(), 3u);
    EXPECT_FALSE(made->signers.contains(liar));
    EXPECT_THAT(made->failed,
                ElementsAre(Pair(liar, AllOf(HasSubstr("other digests than 3 parties"), HasSubstr("0909")))));
    EXPECT_EQ(made->origin, "generated");
    EXPECT_EQ(made->params, "test");
  }
  // One of those that have the key may lie about all else.
  node(4).key = 7;
  for (const int party : {1, 2, 3, 4}) node(party).says_of_key = "origin=generated params=default";
  node(4).says_of_key = "origin=imported params=test";
  const auto made = make({.preprocessing = random_id<PreprocId>(3), .timeout = 60s});
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(made->origin, "generated");
  EXPECT_EQ(made->params, "default") << "what the material is for, not what was asked for";
  for (const int party : {1, 2, 3}) node(party).says_of_key = "";
  EXPECT_EQ(make({.preprocessing = random_id<PreprocId>(3), .timeout = 60s})->params, "unknown");
}

TEST_F(KeyMaker, WithoutNMinusTEqualDigestsThereIsNoKey) {
  for (int party = 1; party <= 4; ++party) node(party).has_material = true, node(party).key = party <= 2 ? 7 : 9;
  const Error error = error_of({.timeout = 60s});
  EXPECT_EQ(error.code, Code::failed_precondition);
  EXPECT_THAT(error.message, AllOf(HasSubstr("no 3 parties have the same digests"), HasSubstr("0707"),
                                   HasSubstr("party 4: was done"), HasSubstr("0909")));
  expect_no_aborts();
}

TEST_F(KeyMaker, AKeyThatAPartyHasIsNotAbortedAtTheOthers) {
  for (int party = 1; party <= 4; ++party) node(party).has_material = true;
  node(1).key = 7;
  for (const int party : {2, 3}) node(party).loses = Error{Code::internal, "its disk is broken"};
  const Error error = error_of({.timeout = 60s});
  EXPECT_EQ(error.code, Code::unavailable);
  EXPECT_THAT(error.message,
              AllOf(HasSubstr("its disk is broken"), HasSubstr("1 of 4 parties say that they have the key")));
  expect_no_aborts();
}

TEST_F(KeyMaker, ANodeThatIsBusyIsAskedAgain) {
  for (int party = 1; party <= 4; ++party) node(party).has_material = true, node(party).key = 7, node(party).busy = 3;
  const auto made = make({.timeout = 60s});
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(made->signers.size(), 4u);
}

TEST_F(KeyMaker, CallsThatServersCancelHaveFailed) {
  for (int party = 1; party <= 4; ++party) node(party).fails = Error{Code::cancelled, "the node ends"};
  const Error error = error_of({.timeout = 60s});
  EXPECT_EQ(error.code, Code::unavailable);
  EXPECT_THAT(error.message, AllOf(HasSubstr("too many parties failed"), HasSubstr("the node ends")));
}

// It is the operator's own network: the parties go on.
TEST_F(KeyMaker, WhenNobodyCanBeReachedItWaits) {
  std::vector<std::uint16_t> ports;
  std::vector<std::string> said;
  const std::jthread network([&] {
    for (int party = 1; party <= 4; ++party)
      while (node(party).preprocessings().empty()) std::this_thread::sleep_for(5ms);
    for (int party = 1; party <= 4; ++party) ports.push_back(node(party).port()), node(party).stop();
    std::this_thread::sleep_for(7s);
    for (int party = 1; party <= 4; ++party) {
      node(party).has_material = true;
      node(party).key = 7;
      node(party).start(ports[static_cast<std::size_t>(party - 1)]);
    }
  });
  const auto made =
      make({.timeout = 60s, .waits = {.gone = 2s}, .says = [&](const std::string& text) { said.push_back(text); }});
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_GT(took, 7s);
  EXPECT_EQ(made->signers.size(), 4u);
  EXPECT_THAT(said, ElementsAre(HasSubstr("no party can be reached")));
  expect_no_aborts();
}

TEST_F(KeyMaker, WhenMoreThanTAreGoneItEnds) {
  const std::jthread network([&] {
    for (int party = 1; party <= 4; ++party)
      while (node(party).preprocessings().empty()) std::this_thread::sleep_for(5ms);
    for (const int party : {2, 3}) node(party).stop();
  });
  const Error error = error_of({.timeout = 60s, .waits = {.gone = 1s}});
  EXPECT_LT(took, 30s);
  EXPECT_EQ(error.code, Code::unavailable);
  EXPECT_THAT(error.message, AllOf(HasSubstr("party 2: cannot be reached for"), HasSubstr("the next keygen tells it")));
  EXPECT_TRUE(are_owed());
}

// A request that was not answered may arrive after the abort.
TEST_F(KeyMaker, NothingFoundIsNoAnswerWhereTheRequestMayStillCome) {
  for (const bool it_comes : {true, false}) {
    node(4).is_silent = true;
    node(4).no_aborts = Error{Code::not_found, "it is not here"};
    std::stop_source stop;
    const auto before = node(4).aborts().size();
    const std::jthread user([&, asked = node(4).preprocessings().size()] {
      while (node(4).preprocessings().size() == asked) std::this_thread::sleep_for(5ms);
      stop.request_stop();
      while (node(4).aborts().size() < before + 3) std::this_thread::sleep_for(5ms);
      if (it_comes) node(4).take_aborts();
    });
    const Error error = error_of({.timeout = 60s, .stop = stop.get_token()});
    EXPECT_LT(took, 20s);
    EXPECT_EQ(error.code, Code::cancelled);
    EXPECT_EQ(are_owed(), !it_comes);
    EXPECT_EQ(error.message.find("a request that it did not answer may still come") != std::string::npos, !it_comes);
    EXPECT_GT(node(4).aborts().size(), before + 3);
    EXPECT_THAT(node(4).aborts(), Contains(begun));
  }
}

// It was aborted when somebody could not be told; whoever makes a key of it has changed his mind.
TEST_F(KeyMaker, MaterialThatIsWantedIsNotErasedByAnAbortThatIsOwed) {
  const auto wanted = random_id<PreprocId>(3), other = random_id<PreprocId>(3);
  const auto port = node(2).port();
  node(2).stop();
  abort_preprocessing(committee, wanted);
  abort_preprocessing(committee, other);
  node(2).start(port);
  for (int party = 1; party <= 4; ++party) node(party).has_material = true, node(party).key = 7;
  const auto made = make({.preprocessing = wanted, .timeout = 60s});
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_THAT(node(2).aborts(), ElementsAre(other.hex()));
  EXPECT_FALSE(are_owed());
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
