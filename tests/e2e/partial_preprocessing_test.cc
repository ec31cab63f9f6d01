// PartialKeyGenPreproc of test nodes (service.md 5.8), by gRPC calls.
#include <thread>

#include "coprocessor/coprocessor.h"
#include "e2e/keygen_calls.h"
#include "tfhe/encrypt.h"
#include "tfhe_rs/objects.h"

namespace witan::e2e {
namespace {

using namespace std::chrono_literals;
using cli::random_id;
using Clock = std::chrono::steady_clock;

api::PartialKeyGenPreprocRequest partial(const PreprocId& id, std::uint32_t percent, bool dummies) {
  api::PartialKeyGenPreprocRequest out;
  out.base_request = preprocessing_request(id);
  out.partial_params = {percent, dummies};
  return out;
}

void make(const LiveCommittee& live, const PreprocId& id, std::uint32_t percent, bool dummies) {
  for (int party = 1; party <= 4; ++party)
    must(poll([&] { return live.client(party).partial_key_gen_preproc(partial(id, percent, dummies)); }));
  for (int party = 1; party <= 4; ++party)
    must(poll([&] { return live.client(party).get_key_gen_preproc_result({id.hex()}); }));
}

Result<api::KeyGenResult> key_of(const LiveCommittee& live, const KeyId& key, const PreprocId& id) {
  for (int party = 1; party <= 4; ++party)
    WITAN_TRY(poll([&] { return live.client(party).key_gen(key_request(key, id)); }));
  for (int party = 2; party <= 4; ++party) static_cast<void>(key_at(live, key, party));  // all have ended
  return key_at(live, key, 1);
}

void expect_decrypts(const LiveCommittee& live, const KeyId& key) {
  const auto public_key = must(tfhe_rs::read_public_key(must(cli::read_public_object(live.committee, "PublicKey", key)),
                                                        tfhe_rs::Trailing::reject));
  OsRng rng;
  const auto value = must(tfhe::parse_value(tfhe::FheType::uint32, "3141592653"));
  const auto item = must(tfhe::compact_value(tfhe::FheType::uint32, value));
  auto list = must(tfhe::encrypt_compact_list(public_key, std::span(&item, 1), rng));
  const auto coprocessor =
      must(coprocessor::Coprocessor::open(must(cli::read_public_object(live.committee, "CompressedXofKeySet", key))));
  const auto values = must(coprocessor.expand(tfhe_rs::to_bytes(tfhe_rs::CompactListObject{std::move(list), {}})));
  const auto format = coprocessor::Format::big_compressed;
  cli::DecryptionOrder order;
  order.key = key;
  order.request = cli::random_request_id();
  order.domain = cli::example_domain();
  order.timeout = 30s;
  order.ciphertexts.push_back(
      {must(coprocessor.serialize(values.at(0), format)), tfhe::FheType::uint32, format, Bytes(32, 7)});
  const auto report = cli::decrypt(live.committee, order);
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->agreed.values.at(0), value);
}

TEST(PartialPreprocessing, WithDummiesServesOneKeyThatCountsAsDealt) {
  LiveCommittee live;
  for (const std::uint32_t percent : {10u, 0u, 100u}) {
    const auto id = random_id<PreprocId>(3);
    make(live, id, percent, true);
    const auto key = random_id<KeyId>(4);
    const auto made = key_of(live, key, id);
    ASSERT_TRUE(made) << percent << " percent: " << made.error().message;
    EXPECT_EQ(live.client(1).key_gen(key_request(random_id<KeyId>(4), id)).error().code, Code::not_found);
    expect_decrypts(live, key);
  }
  for (const auto& status : cli::committee_status(live.committee)) {
    EXPECT_EQ(status.keys.size(), 3u);
    for (const auto& key : status.keys) EXPECT_EQ(key.origin, "dealt");
  }
  // Production nodes make no key of it.
  const auto id = random_id<PreprocId>(3);
  make(live, id, 10, true);
  replace_by_production_node(live, 2);
  const auto refused = live.client(2).key_gen(key_request(random_id<KeyId>(4), id));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::failed_precondition);
  EXPECT_NE(refused.error().message.find("is partial"), std::string::npos) << refused.error().message;
}

TEST(PartialPreprocessing, WithoutTheRestGivesNoKey) {
  LiveCommittee live;
  const auto id = random_id<PreprocId>(3);
  make(live, id, 30, false);
  for (const auto& party : live.committee.parties)
    EXPECT_FALSE(std::filesystem::exists(party.folder / "material" / id.hex())) << party.id;
  const auto key = live.client(1).key_gen(key_request(random_id<KeyId>(4), id));
  ASSERT_FALSE(key);
  EXPECT_EQ(key.error().code, Code::failed_precondition);
  EXPECT_NE(key.error().message.find("to measure it"), std::string::npos) << key.error().message;
  EXPECT_EQ(live.client(1).abort_key_gen({id.hex()}).error().code, Code::not_found) << "there is nothing to erase";
}

// Taken up after a restart, it still counts as dealt; a production node that finds it gives it up, and erases the material.
TEST(PartialPreprocessing, AKeyOfItIsWhatItIsAlsoAfterARestart) {
  LiveCommittee live;
  const auto id = random_id<PreprocId>(3);
  make(live, id, 10, true);
  const auto key = random_id<KeyId>(4);
  for (const int party : {2, 3}) must(poll([&] { return live.client(party).key_gen(key_request(key, id)); }));
  cli::stop_parties(live.committee, {3}, true);
  must(cli::start_parties(live.committee, {3}));
  replace_by_production_node(live, 2);
  const auto refused = poll([&] { return live.client(2).get_key_gen_result({key.hex()}); });
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("is partial"), std::string::npos) << refused.error().message;
  const auto file = live.committee.party(2).folder / "material" / id.hex();
  for (const auto until = Clock::now() + 20s; std::filesystem::exists(file) && Clock::now() < until;)
    std::this_thread::sleep_for(10ms);
  EXPECT_FALSE(std::filesystem::exists(file));

  for (const int party : {1, 4}) must(poll([&] { return live.client(party).key_gen(key_request(key, id)); }));
  for (const int party : {1, 3, 4}) {
    const auto made = poll([&] { return live.client(party).get_key_gen_result({key.hex()}); });
    ASSERT_TRUE(made) << "party " << party << ": " << made.error().message;
  }
  for (const auto& status : cli::committee_status(live.committee)) {
    EXPECT_EQ(status.keys.size(), status.party.id == 2 ? 0u : 1u);
    for (const auto& one : status.keys) EXPECT_EQ(one.origin, "dealt") << "party " << status.party.id;
  }
}

TEST(PartialPreprocessing, WrongRequestsHaveTheirStatus) {
  LiveCommittee live;
  const auto client = live.client(1);
  const auto code = [&](const api::PartialKeyGenPreprocRequest& request) {
    const auto answer = client.partial_key_gen_preproc(request);
    return answer ? std::nullopt : std::optional(answer.error().code);
  };
  const auto id = random_id<PreprocId>(3);
  EXPECT_EQ(code(partial(id, 101, true)), Code::invalid_argument);
  auto wrong = partial(id, 10, true);
  wrong.base_request.reset();
  EXPECT_EQ(code(wrong), Code::invalid_argument);
  wrong = partial(id, 10, true);
  wrong.partial_params.reset();
  EXPECT_EQ(code(wrong), Code::invalid_argument);
  wrong = partial(id, 10, true);
  wrong.base_request->epoch_id = random_id<EpochId>(8).hex();
  EXPECT_EQ(code(wrong), Code::not_found);
  wrong = partial(id, 10, true);
  api::KeySetConfig existing;
  existing.standard_keyset_config.emplace().secret_key_config = api::KeyGenSecretKeyConfig::use_existing;
  wrong.base_request->keyset_config = existing;
  EXPECT_EQ(code(wrong), Code::unimplemented);

  must(poll([&] { return client.partial_key_gen_preproc(partial(id, 10, true)); }));  // alone: it waits for the others
  EXPECT_EQ(code(partial(random_id<PreprocId>(3), 10, true)), Code::resource_exhausted);
  // What a restart interrupts is over.
  cli::stop_parties(live.committee, {1}, true);
  must(cli::start_parties(live.committee, {1}));
  must(cli::wait_until_healthy(live.committee, 60s));
  const auto result = poll([&] { return live.client(1).get_key_gen_preproc_result({id.hex()}); });
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Code::aborted) << result.error().message;
  EXPECT_EQ(code(partial(id, 10, true)), Code::already_exists);
}

TEST(PartialPreprocessing, ProductionNodesDoNotKnowIt) {
  LiveCommittee live({.with_epoch = false, .test_nodes = false});
  const auto answer = live.client(1).partial_key_gen_preproc(partial(random_id<PreprocId>(3), 10, true));
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Code::unimplemented);
}

}  // namespace
}  // namespace witan::e2e
