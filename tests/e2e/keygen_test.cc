// Real nodes make keys that nobody has seen: everybody there, one stopped, killed, with damaged material; and what they refuse.
#include <signal.h>

#include <nlohmann/json.hpp>
#include <random>
#include <thread>

#include "cli/process.h"
#include "coprocessor/coprocessor.h"
#include "e2e/keygen_calls.h"
#include "tfhe/encrypt.h"
#include "tfhe_rs/objects.h"

namespace witan::e2e {
namespace {

using cli::random_id;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

class KeyGeneration : public testing::Test {
 protected:
  static constexpr auto kLong = kKeyWait;

  void start(LiveOptions options = {.test_nodes = false}) { live = std::make_unique<LiveCommittee>(options); }

  std::vector<int> everybody() const {
    std::vector<int> out;
    for (const cli::PartyInfo& party : live->committee.parties) out.push_back(party.id);
    return out;
  }
  void ask_for_material(const PreprocId& id, const std::vector<int>& parties) const {
    for (const int party : parties) must(live->client(party).key_gen_preproc(preprocessing_request(id)));
  }
  Result<api::KeyGenPreprocResult> material_at(const PreprocId& id, int party) const {
    const auto client = live->client(party);
    return poll([&] { return client.get_key_gen_preproc_result({id.hex()}); });
  }
  PreprocId make_material() const {
    const auto id = random_id<PreprocId>(3);
    ask_for_material(id, everybody());
    for (const int party : everybody()) must(material_at(id, party));
    return id;
  }
  Result<api::KeyGenResult> key_at(const KeyId& key, int party) const { return e2e::key_at(*live, key, party); }
  void expect_key(const KeyId& key, const std::vector<int>& parties) const { expect_same_key(*live, key, parties); }
  /// A client encrypts with the published key; the committee decrypts.
  void expect_decrypts(const KeyId& key, const std::vector<int>& parties) const {
    const auto public_key = must(tfhe_rs::read_public_key(
        must(cli::read_public_object(live->committee, "PublicKey", key)), tfhe_rs::Trailing::reject));
    OsRng rng;
    const auto value = must(tfhe::parse_value(tfhe::FheType::uint32, "3141592653"));
    const auto item = must(tfhe::compact_value(tfhe::FheType::uint32, value));
    auto list = must(tfhe::encrypt_compact_list(public_key, std::span(&item, 1), rng));
    const auto coprocessor = must(
        coprocessor::Coprocessor::open(must(cli::read_public_object(live->committee, "CompressedXofKeySet", key))));
    const auto values = must(coprocessor.expand(tfhe_rs::to_bytes(tfhe_rs::CompactListObject{std::move(list), {}})));
    for (const auto format : {coprocessor::Format::small_compressed, coprocessor::Format::big_compressed}) {
      cli::DecryptionOrder order;
      order.key = key;
      order.request = cli::random_request_id();
      order.domain = cli::example_domain();
      order.timeout = 30s;
      order.ciphertexts.push_back(
          {must(coprocessor.serialize(values.at(0), format)), tfhe::FheType::uint32, format, Bytes(32, 7)});
      const auto report = cli::decrypt(live->committee, order);
      ASSERT_TRUE(report) << report.error().message;
      EXPECT_EQ(report->agreed.values.at(0), value);
      for (const int party : parties) EXPECT_TRUE(report->answers.at(party).verified) << "party " << party;
    }
  }
  std::size_t material_files(int party) const {
    std::size_t out = 0;
    std::error_code none;
    for (std::filesystem::directory_iterator it(live->committee.party(party).folder / "material", none), end;
         !none && it != end; it.increment(none))
      if (it->path().filename() != "owner") ++out;
    return out;
  }
  /// Material goes once its key has an outcome.
  void expect_clean_disk(const std::vector<int>& parties) const {
    for (const int party : parties) {
      for (const auto until = Clock::now() + 20s; material_files(party) > 0 && Clock::now() < until;)
        std::this_thread::sleep_for(10ms);
      EXPECT_EQ(material_files(party), 0u) << "party " << party;
    }
  }
  std::string log(int party) const { return read_text(live->committee.party(party).log()); }
  bool logged(int party, const std::string& text) const { return log(party).find(text) != std::string::npos; }
  void restart(int party, bool kill) {
    cli::stop_parties(live->committee, {party}, kill);
    must(cli::start_parties(live->committee, {party}));
    must(cli::wait_until_healthy(live->committee, 60s, {party}, 3));
  }

  std::unique_ptr<LiveCommittee> live;
};

TEST_F(KeyGeneration, FourProductionNodesMakeAKeyAndDecryptWithItAlsoAfterARestart) {
  start();
  std::vector<cli::KeyProgress> seen;
  const auto key = must(cli::make_key(
      live->committee, {.timeout = kLong, .progress = [&](const cli::KeyProgress& now) { seen.push_back(now); }}));
  EXPECT_TRUE(std::ranges::any_of(seen, [](const cli::KeyProgress& now) {
    return now.stage == "preprocessing" && now.percent > 0 && now.per_second && now.seconds_left;
  })) << seen.size();
  fmt::print("test key at n = 4: {:.2f} s, preprocessing {:.2f} s of it\n", key.seconds, key.preprocessing_seconds);
  EXPECT_EQ(key.origin, "generated");
  EXPECT_EQ(key.signers.size(), 4u);
  EXPECT_TRUE(key.failed.empty());
  expect_decrypts(key.key, everybody());
  expect_clean_disk(everybody());
  cli::stop_parties(live->committee);
  must(cli::start_parties(live->committee));
  must(cli::wait_until_healthy(live->committee, 60s));
  expect_decrypts(key.key, everybody());
  expect_key(key.key, everybody());
}

TEST_F(KeyGeneration, SevenNodesMakeAKeyInTwoPhases) {
  start({.parties = 7, .test_nodes = false});
  const auto key = must(cli::make_key(live->committee, {.timeout = kLong}));
  EXPECT_EQ(key.signers.size(), 7u);
  expect_decrypts(key.key, everybody());
}

// Every request that cannot be served has its status, and leaves what is there as it was.
TEST_F(KeyGeneration, WrongRequestsAreRefusedAndCostNothing) {
  start();
  const auto client = live->client(1);
  const auto used = make_material(), other = make_material();
  const auto key = random_id<KeyId>(4);

  auto wrong = preprocessing_request(random_id<PreprocId>(3));
  wrong.params = api::Open<api::FheParameter>(2);
  EXPECT_EQ(code(client.key_gen_preproc(wrong)), Code::invalid_argument);
  wrong = preprocessing_request(random_id<PreprocId>(3));
  wrong.epoch_id = random_id<EpochId>(8).hex();
  EXPECT_EQ(code(client.key_gen_preproc(wrong)), Code::not_found);
  wrong = preprocessing_request(random_id<PreprocId>(3));
  wrong.keyset_config = api::KeySetConfig{api::KeySetType::decompression_only, {}};
  EXPECT_EQ(code(client.key_gen_preproc(wrong)), Code::unimplemented);
  EXPECT_EQ(code(client.key_gen_preproc(preprocessing_request(used))), Code::already_exists);

  auto request = key_request(key, used);
  request.params = api::Open<api::FheParameter>(api::FheParameter::default_params);
  EXPECT_EQ(code(client.key_gen(request)), Code::invalid_argument);
  request = key_request(key, used);
  request.keyset_added_info.emplace();
  request.keyset_added_info->existing_keyset_id = key.hex();
  EXPECT_EQ(code(client.key_gen(request)), Code::invalid_argument);
  EXPECT_EQ(code(client.key_gen(key_request(key, random_id<PreprocId>(3)))), Code::not_found);
  EXPECT_EQ(code(client.get_key_gen_result({key.hex()})), Code::not_found);
  EXPECT_EQ(code(client.abort_key_gen({random_id<PreprocId>(3).hex()})), Code::not_found);
  EXPECT_EQ(code(client.abort_key_gen({"no id"})), Code::invalid_argument);

  for (const int party : everybody()) must(live->client(party).key_gen(key_request(key, used)));
  expect_key(key, everybody());
  EXPECT_EQ(code(client.abort_key_gen({used.hex()})), Code::not_found);
  EXPECT_EQ(code(client.key_gen(key_request(random_id<KeyId>(4), used))), Code::not_found);
  EXPECT_EQ(code(client.get_key_gen_preproc_result({used.hex()})), Code::not_found);
  EXPECT_EQ(code(client.key_gen(key_request(key, other))), Code::already_exists);
  // The other material is as good as before, also after a restart.
  restart(1, true);
  const auto second = random_id<KeyId>(4);
  for (const int party : everybody()) must(live->client(party).key_gen(key_request(second, other)));
  expect_key(second, everybody());
  expect_clean_disk(everybody());
}

TEST_F(KeyGeneration, AKeyIsOfTheKindOfItsPreprocessing) {
  start({.test_nodes = true});
  const auto client = live->client(1);
  const auto dealt = random_id<PreprocId>(3);
  must(client.insecure_key_gen_preproc(preprocessing_request(dealt)));
  EXPECT_EQ(code(client.key_gen(key_request(random_id<KeyId>(4), dealt))), Code::failed_precondition);
  const auto generated = make_material();
  EXPECT_EQ(code(client.insecure_key_gen(key_request(random_id<KeyId>(4), generated))), Code::failed_precondition);
  const auto key = random_id<KeyId>(4);
  for (const int party : everybody()) must(live->client(party).key_gen(key_request(key, generated)));
  expect_key(key, everybody());
}

TEST_F(KeyGeneration, OnePreprocessingRunsAtOnceAndCanBeAborted) {
  start();
  const auto client = live->client(1);
  const auto first = random_id<PreprocId>(3), second = random_id<PreprocId>(3);
  ask_for_material(first, {1, 2});  // too few: it waits for the others
  EXPECT_EQ(code(client.key_gen_preproc(preprocessing_request(second))), Code::resource_exhausted);
  const auto status = must(client.get_request_statuses({{first.hex()}, {}}));
  ASSERT_EQ(status.statuses.size(), 1u);
  EXPECT_EQ(status.statuses[0].status, api::RequestProcessingStatus::processing);
  EXPECT_NE(status.statuses[0].error_message.value_or("").find("stage=start"), std::string::npos);
  for (const int party : {1, 2}) {
    must(live->client(party).abort_key_gen({first.hex()}));
    const auto result = live->client(party).get_key_gen_preproc_result({first.hex()});
    EXPECT_EQ(code(result), Code::aborted);
    EXPECT_EQ(code(live->client(party).abort_key_gen({first.hex()})), Code::not_found);
    EXPECT_EQ(code(live->client(party).key_gen(key_request(random_id<KeyId>(4), first))), Code::aborted);
    EXPECT_EQ(code(live->client(party).key_gen_preproc(preprocessing_request(first))), Code::already_exists);
  }
  expect_clean_disk(everybody());
  // An aborted key generation has used its material up.
  const auto id = make_material();
  const auto key = random_id<KeyId>(4);
  must(client.key_gen(key_request(key, id)));
  EXPECT_EQ(code(client.get_key_gen_result({key.hex()})), Code::unavailable);
  must(client.abort_key_gen({id.hex()}));
  EXPECT_EQ(code(client.get_key_gen_result({key.hex()})), Code::aborted);
  EXPECT_EQ(code(client.key_gen(key_request(random_id<KeyId>(4), id))), Code::not_found);
  expect_clean_disk({1});
  for (const int party : {2, 3, 4}) must(live->client(party).key_gen(key_request(key, id)));
  expect_key(key, {2, 3, 4});
}

// Material that no key has used: gone at once, also if nothing was running.
TEST_F(KeyGeneration, UnusedMaterialIsErasedWhenItIsAborted) {
  start();
  const auto id = make_material();
  for (const int party : everybody()) {
    EXPECT_EQ(material_files(party), 1u);
    must(live->client(party).abort_key_gen({id.hex()}));
    expect_clean_disk({party});
    EXPECT_EQ(code(live->client(party).abort_key_gen({id.hex()})), Code::not_found);
    EXPECT_EQ(code(live->client(party).key_gen(key_request(random_id<KeyId>(4), id))), Code::not_found);
    EXPECT_EQ(code(live->client(party).key_gen_preproc(preprocessing_request(id))), Code::already_exists);
  }
}

// S5: what two callers want under one id never meets, so no session id serves two contents.
TEST_F(KeyGeneration, PartiesThatAreAskedForOtherParametersUnderOneIdMeetNobody) {
  start({.test_nodes = false, .message_delay = 30ms});
  const auto id = random_id<PreprocId>(3);
  ask_for_material(id, {1, 2});
  auto other = preprocessing_request(id);
  other.params = api::FheParameter::default_params;
  for (const int party : {3, 4}) must(live->client(party).key_gen_preproc(other));
  for (const int party : everybody()) {
    const auto result = material_at(id, party);
    ASSERT_FALSE(result);
    EXPECT_NE(result.error().message.find("asked for other parameters than "), std::string::npos)
        << result.error().message;
  }
  expect_clean_disk(everybody());
  EXPECT_TRUE(material_at(make_material(), 1));
}

// SIGTERM while kernels run: they end before what they read goes.
TEST_F(KeyGeneration, ANodeEndsInTheMiddleOfAPreprocessing) {
  start({.test_nodes = false, .message_delay = 150ms});
  for (int round = 0; round < 5; ++round) {
    const auto id = random_id<PreprocId>(3);
    ask_for_material(id, everybody());
    while (!logged(2, "preprocessing " + id.hex() + ": begins")) std::this_thread::sleep_for(1ms);
    std::this_thread::sleep_for(std::chrono::milliseconds(20 * round));
    restart(2, false);
    for (const char* fault : {"Sanitizer", "runtime error", "assertion"}) EXPECT_FALSE(logged(2, fault)) << log(2);
    for (const int party : everybody()) {
      const auto made = material_at(id, party);
      EXPECT_TRUE(made) << made.error().message << log(party);
    }
  }
}

// The others exclude it, say so, and make the key without it.
TEST_F(KeyGeneration, APartyThatStopsDuringPreprocessingIsExcludedAndNamed) {
  start({.test_nodes = false, .message_delay = 150ms});
  const auto id = random_id<PreprocId>(3);
  const int pid = cli::party_pid(live->committee.party(3));
  ask_for_material(id, everybody());
  while (!logged(1, "preprocessing " + id.hex() + ": begins")) std::this_thread::sleep_for(1ms);
  ASSERT_EQ(::kill(pid, SIGSTOP), 0);
  const std::string of_run = "preprocessing " + id.hex() + ": ";
  for (const int party : {1, 2, 4}) {
    const auto made = material_at(id, party);
    EXPECT_TRUE(made) << made.error().message << log(party);
    EXPECT_TRUE(logged(party, of_run + "party 3 takes no part: nothing of it came out of a broadcast")) << log(party);
  }
  ASSERT_EQ(::kill(pid, SIGKILL), 0);
  const auto key = random_id<KeyId>(4);
  for (const int party : {1, 2, 4}) must(live->client(party).key_gen(key_request(key, id)));
  expect_key(key, {1, 2, 4});
  expect_decrypts(key, {1, 2, 4});
  // Back again, it says that it has no part of it.
  must(cli::start_parties(live->committee, {3}));
  must(cli::wait_until_healthy(live->committee, 60s));
  EXPECT_EQ(code(live->client(3).get_key_gen_preproc_result({id.hex()})), Code::aborted);
  EXPECT_EQ(code(live->client(3).key_gen(key_request(key, id))), Code::aborted);
  expect_clean_disk(everybody());
}

// kill -9 in the middle: it calls for another attempt, in which all take part with the batches that it has.
TEST_F(KeyGeneration, APartyThatIsKilledDuringPreprocessingTakesPartAgain) {
  start({.test_nodes = false, .message_delay = 150ms});
  std::mt19937 random(20261126);
  for (int round = 0; round < 3; ++round) {
    const auto id = random_id<PreprocId>(3);
    ask_for_material(id, everybody());
    while (!logged(2, "preprocessing " + id.hex() + ": begins")) std::this_thread::sleep_for(1ms);
    std::this_thread::sleep_for(std::chrono::milliseconds(random() % 150));
    restart(2, true);
    for (const int party : everybody()) {
      const auto made = material_at(id, party);
      EXPECT_TRUE(made) << "round " << round << ": " << made.error().message << log(party);
    }
    EXPECT_TRUE(logged(2, "preprocessing " + id.hex() + ": is taken up again")) << log(2);
    const auto key = random_id<KeyId>(4);
    for (const int party : everybody()) must(live->client(party).key_gen(key_request(key, id)));
    expect_key(key, everybody());
    expect_decrypts(key, everybody());
    expect_clean_disk(everybody());
  }
}

TEST_F(KeyGeneration, APartyThatIsGoneFromTheBeginningCostsTheOthersTimeAlone) {
  start({.test_nodes = false, .message_delay = 150ms});
  cli::stop_parties(live->committee, {2});
  const auto key = must(cli::make_key(live->committee, {.timeout = kLong}));
  EXPECT_EQ(key.signers.size(), 3u);
  ASSERT_EQ(key.failed.size(), 1u);
  EXPECT_TRUE(key.failed.contains(2));
  expect_decrypts(key.key, {1, 3, 4});
}

// The command goes on without it, although it had begun.
TEST_F(KeyGeneration, APartyThatDiesMeanwhileIsNotWaitedFor) {
  start({.test_nodes = false, .message_delay = 150ms});
  const std::jthread killer([&, pid = cli::party_pid(live->committee.party(3))] {
    while (!logged(1, ": begins, attempt")) std::this_thread::sleep_for(1ms);
    ::kill(pid, SIGKILL);
  });
  const auto key = must(cli::make_key(live->committee, {.timeout = kLong}));
  EXPECT_EQ(key.signers.size(), 3u);
  ASSERT_EQ(key.failed.size(), 1u);
  EXPECT_TRUE(key.failed.contains(3));
  expect_decrypts(key.key, {1, 2, 4});
}

// More than t: the command does not wait for what cannot succeed, and leaves nothing that would be in the way of the next key.
TEST_F(KeyGeneration, WithTwoOfFourGoneTheCommandEndsAndTheNextOneMakesAKey) {
  start();
  const auto keygen = [&] {
    return must(
        cli::run_process({(programs() / "witan").string(), "keygen", "--dir", live->committee.folder.string()}, kLong));
  };
  Clock::time_point stopped;
  std::jthread killer([&] {
    while (!logged(1, ": begins, attempt")) std::this_thread::sleep_for(1ms);
    cli::stop_parties(live->committee, {3, 4}, true);
    stopped = Clock::now();
  });
  const auto failed = keygen();
  const auto ended = Clock::now();
  killer.join();
  EXPECT_EQ(failed.exit_code, 1) << failed.text;
  EXPECT_LT(ended - stopped, 30s);
  EXPECT_NE(failed.text.find("too many parties failed"), std::string::npos) << failed.text;
  for (const int party : everybody())
    EXPECT_NE(failed.text.find(fmt::format("\n  party {}: ", party)), std::string::npos) << failed.text;
  expect_clean_disk({1, 2});

  must(cli::start_parties(live->committee, {3, 4}));
  must(cli::wait_until_healthy(live->committee, 60s));
  const auto made = keygen();
  EXPECT_EQ(made.exit_code, 0) << made.text;
  for (const int party : everybody())
    EXPECT_NE(made.text.find(fmt::format("signed by party {} ", party)), std::string::npos) << made.text;
  expect_clean_disk(everybody());
}

// Material that an earlier command has left waits, for a key or for the end.
TEST_F(KeyGeneration, MaterialOfAnEarlierCommandIsUsedOrErasedByTheCommandLine) {
  start();
  const auto keygen = [&](const char* option, const PreprocId& id) {
    return must(cli::run_process(
        {(programs() / "witan").string(), "keygen", "--dir", live->committee.folder.string(), option, id.hex()},
        kLong));
  };
  const auto used = make_material(), erased = make_material();
  const auto made = keygen("--preproc", used);
  EXPECT_EQ(made.exit_code, 0) << made.text;
  EXPECT_NE(made.text.find("preprocessing " + used.hex()), std::string::npos) << made.text;
  EXPECT_NE(made.text.find("parameters test"), std::string::npos) << made.text;
  EXPECT_EQ(keygen("--preproc", used).exit_code, 1) << "it is used up";
  EXPECT_EQ(keygen("--abort", erased).exit_code, 0);
  expect_clean_disk(everybody());
  const auto again = keygen("--abort", erased);
  EXPECT_EQ(again.exit_code, 0);
  EXPECT_NE(again.text.find("has nothing of it"), std::string::npos) << again.text;
}

TEST_F(KeyGeneration, AnInterruptedCommandAbortsWhatRuns) {
  start();
  const auto out = live->folder() / "keygen.out";
  const auto pid = must(
      cli::start_detached({(programs() / "witan").string(), "keygen", "--dir", live->committee.folder.string()}, out));
  while (!logged(1, ": begins, attempt")) std::this_thread::sleep_for(1ms);
  ASSERT_EQ(::kill(pid, SIGTERM), 0);
  EXPECT_TRUE(soon([&] { return !cli::process_runs(pid, "keygen"); }));
  EXPECT_NE(read_text(out).find("interrupted"), std::string::npos) << read_text(out);
  const auto made = must(cli::make_key(live->committee, {.timeout = kLong}));
  EXPECT_EQ(made.signers.size(), 4u);
}

// Every second half of what it sends is random, in both phases: shares that others see to be wrong, broadcasts that nobody can read.
TEST_F(KeyGeneration, APartyThatLiesIsNamedAndTheKeyIsRight) {
  start({.test_nodes = true, .message_delay = 150ms});
  const auto file = live->committee.party(3).config();
  write_text(file, read_text(file) + "fault = \"lie\"\n");
  restart(3, false);
  const auto key = must(cli::make_key(live->committee, {.timeout = kLong}));
  for (const int party : {1, 2, 4}) {
    EXPECT_TRUE(key.signers.contains(party)) << log(party);
    const std::string of_run = "preprocessing " + key.preprocessing.hex() + ": ";
    EXPECT_TRUE(logged(party, of_run + "party 3 takes no part: nothing of it came out of a broadcast")) << log(party);
    for (const int honest : {1, 2, 4})
      EXPECT_TRUE(logged(
          party, fmt::format("{}parties {} and 3 are in dispute: party {} says that index ", of_run, honest, honest)))
          << log(party);
    EXPECT_TRUE(logged(party, " came wrong from party 3")) << log(party);
    for (const int honest : {1, 2, 4})
      EXPECT_FALSE(logged(party, fmt::format("party {} is excluded", honest)) ||
                   logged(party, fmt::format("party {} takes no part", honest)))
          << log(party);
  }
  expect_decrypts(key.key, {1, 2, 4});
}

// kill -9 between the acceptance of the key and its end: the same session id, the same messages, the same key.
TEST_F(KeyGeneration, APartyThatIsKilledInTheOnlinePhaseGoesOnAfterItsRestart) {
  start();
  std::mt19937 random(20261126);
  for (int round = 0; round < 8; ++round) {
    const auto id = make_material();
    const auto key = random_id<KeyId>(4);
    must(live->client(2).key_gen(key_request(key, id)));
    if (round == 0) restart(2, true);  // alone: it must wait for the others again
    for (const int party : {1, 3, 4}) must(live->client(party).key_gen(key_request(key, id)));
    if (round > 0) {
      std::this_thread::sleep_for(std::chrono::milliseconds(random() % 250));
      restart(2, true);
    }
    expect_key(key, everybody());
    if (round < 2) expect_decrypts(key, everybody());
    expect_clean_disk(everybody());
  }
  EXPECT_TRUE(logged(2, "taken up again after a restart"));
}

TEST_F(KeyGeneration, AllPartiesKilledInTheOnlinePhaseGoOn) {
  start();
  const auto id = make_material();
  const auto key = random_id<KeyId>(4);
  for (const int party : {1, 2}) must(live->client(party).key_gen(key_request(key, id)));
  cli::stop_parties(live->committee, {}, true);
  must(cli::start_parties(live->committee));
  must(cli::wait_until_healthy(live->committee, 60s));
  for (const int party : {3, 4}) must(live->client(party).key_gen(key_request(key, id)));
  expect_key(key, everybody());
  expect_decrypts(key, everybody());
}

// It was still waiting for the others: it has no place among them.
TEST_F(KeyGeneration, APreprocessingThatARestartInterruptsBeforeItsBeginEndsAsAborted) {
  start({.test_nodes = false, .message_delay = 150ms});
  const auto id = random_id<PreprocId>(3);
  ask_for_material(id, {1, 2});
  restart(1, true);
  const auto result = live->client(1).get_key_gen_preproc_result({id.hex()});
  ASSERT_EQ(code(result), Code::aborted);
  EXPECT_TRUE(logged(1, "start a new one"));
  EXPECT_EQ(code(live->client(1).key_gen_preproc(preprocessing_request(id))), Code::already_exists);
  must(live->client(2).abort_key_gen({id.hex()}));
  expect_clean_disk(everybody());
  const auto next = make_material();
  EXPECT_TRUE(material_at(next, 1));
}

// A party whose disk has lost material has no key; the others do not need it.
TEST_F(KeyGeneration, DamagedMaterialFailsAtItsPartyAlone) {
  start();
  const auto id = make_material();
  const auto file = live->committee.party(4).folder / "material" / id.hex();
  std::string content = read_text(file);
  content[content.size() / 2] = static_cast<char>(content[content.size() / 2] ^ 1);
  write_text(file, content);
  const auto key = random_id<KeyId>(4);
  for (const int party : everybody()) must(live->client(party).key_gen(key_request(key, id)));
  expect_key(key, {1, 2, 3});
  const auto lost = key_at(key, 4);
  EXPECT_EQ(code(lost), Code::internal);
  EXPECT_TRUE(logged(4, "is damaged")) << log(4);
  expect_decrypts(key, {1, 2, 3});
}

TEST(KeyGenerationPlan, IsPredictedWithoutACommittee) {
  const auto plan = [](std::vector<std::string> more) {
    std::vector<std::string> command = {(programs() / "witan").string(), "keygen", "--plan", "--json"};
    command.insert(command.end(), more.begin(), more.end());
    return must(cli::run_process(command, 20s));
  };
  const auto said = plan({"--parties", "13", "--bandwidth", "1000", "--latency", "20", "--params", "default"});
  ASSERT_EQ(said.exit_code, 0) << said.text;
  const auto json = nlohmann::json::parse(said.text);
  EXPECT_EQ(json.at("random_bits"), 877'622'060u);
  EXPECT_NEAR(json.at("preprocessing").at("sent_bytes").get<double>(), 31.45e9, 0.1e9);
  EXPECT_GT(json.at("seconds").get<double>(), 31.45e9 / 125e6);
  EXPECT_EQ(plan({"--parties", "5"}).exit_code, 2);
  EXPECT_EQ(plan({"--bandwidth", "0"}).exit_code, 2);
  EXPECT_EQ(must(cli::run_process({(programs() / "witan").string(), "keygen"}, 20s)).exit_code, 2);
}

TEST(KeyGenerationOptions, ThatExcludeEachOtherAreNamed) {
  const std::string id(64, '3');
  const std::vector<std::vector<std::string>> kBoth = {
      {"--preproc", id, "--plan"},      {"--preproc", id, "--dealt"},      {"--preproc", id, "--params", "test"},
      {"--abort", id, "--preproc", id}, {"--abort", id, "--existing", id}, {"--abort", id, "--dealt"}};
  for (const auto& options : kBoth) {
    std::vector<std::string> command = {(programs() / "witan").string(), "keygen", "--dir", "/nonexistent"};
    command.insert(command.end(), options.begin(), options.end());
    const auto said = must(cli::run_process(command, 20s));
    EXPECT_EQ(said.exit_code, 2) << said.text;
    for (const std::string& part : {std::string(" excludes "), options[0], options[2]})
      EXPECT_NE(said.text.find(part), std::string::npos) << said.text;
  }
}

}  // namespace
}  // namespace witan::e2e
