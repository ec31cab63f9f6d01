// Real nodes make a new key set from the secret keys of a key that they have (UseExisting, service.md 5.1): what it decrypts, where it comes
// from, and what they refuse.
#include <random>
#include <thread>

#include "cli/process.h"
#include "coprocessor/coprocessor.h"
#include "e2e/keygen_calls.h"
#include "tfhe/encrypt.h"
#include "tfhe/expand.h"
#include "tfhe_rs/objects.h"

namespace witan::e2e {
namespace {

using namespace std::chrono_literals;
using cli::random_id;
using coprocessor::Coprocessor;
using coprocessor::Format;

api::KeySetConfig use_existing() {
  api::KeySetConfig out;
  out.standard_keyset_config.emplace().secret_key_config = api::KeyGenSecretKeyConfig::use_existing;
  return out;
}

class ExistingKey : public testing::Test {
 protected:
  static constexpr auto kLong = kKeyWait;

  void start(LiveOptions options = {.test_nodes = false}) { live = std::make_unique<LiveCommittee>(options); }
  cli::NewKey make(cli::KeyOrder order = {}) {
    order.timeout = kLong;
    return must(cli::make_key(live->committee, order));
  }
  cli::NewKey make_from(const KeyId& key, bool keep_tag = false) {
    return make({.existing = cli::ExistingKeyOrder{key, keep_tag}});
  }

  PreprocId make_material(std::optional<api::KeySetConfig> config) const {
    const auto id = random_id<PreprocId>(3);
    auto request = preprocessing_request(id);
    request.keyset_config = std::move(config);
    for (const auto& party : live->committee.parties)
      must(poll([&] { return live->client(party.id).key_gen_preproc(request); }));
    for (const auto& party : live->committee.parties)
      must(poll([&] { return live->client(party.id).get_key_gen_preproc_result({id.hex()}); }));
    return id;
  }
  void ask_for_key(const api::KeyGenRequest& request, const std::vector<int>& parties = {1, 2, 3, 4}) const {
    for (const int party : parties) must(poll([&] { return live->client(party).key_gen(request); }));
  }
  static api::KeyGenRequest request_from(const KeyId& existing, const KeyId& key, const PreprocId& preprocessing) {
    auto out = key_request(key, preprocessing);
    out.keyset_config = use_existing();
    out.keyset_added_info.emplace().existing_keyset_id = existing.hex();
    return out;
  }
  Result<api::KeyGenResult> key_at(const KeyId& key, int party) const { return e2e::key_at(*live, key, party); }
  void expect_key(const KeyId& key, const std::vector<int>& parties) const { expect_same_key(*live, key, parties); }

  Bytes published(const char* type, const KeyId& key) const {
    return must(cli::read_public_object(live->committee, type, key));
  }
  tfhe::CompactPublicKey public_key(const KeyId& key) const {
    return must(tfhe_rs::read_public_key(published("PublicKey", key), tfhe_rs::Trailing::reject));
  }
  tfhe::CompressedKeySet key_set(const KeyId& key) const {
    return must(tfhe_rs::read_key_set(published("CompressedXofKeySet", key)));
  }

  struct Ciphertext {
    Format format;
    tfhe::U256 value;
    Bytes bytes;
  };
  /// Encrypted with that public key, expanded with the key set of `with`, in a Small and in both Big formats.
  std::vector<Ciphertext> encrypted(const tfhe::CompactPublicKey& under, const KeyId& with, std::string_view number) {
    OsRng rng;
    const auto value = must(tfhe::parse_value(tfhe::FheType::uint32, number));
    const auto item = must(tfhe::compact_value(tfhe::FheType::uint32, value));
    auto list = must(tfhe::encrypt_compact_list(under, std::span(&item, 1), rng));
    const auto coprocessor = must(Coprocessor::open(published("CompressedXofKeySet", with)));
    auto values = must(coprocessor.expand(tfhe_rs::to_bytes(tfhe_rs::CompactListObject{std::move(list), {}})));
    std::vector<Ciphertext> out;
    for (const auto format : {Format::small_compressed, Format::big_expanded, Format::big_compressed})
      out.push_back({format, value, must(coprocessor.serialize(values.at(0), format))});
    return out;
  }
  void expect_decrypts(const KeyId& key, const std::vector<Ciphertext>& ciphertexts, const char* what) {
    for (const Ciphertext& one : ciphertexts) {
      cli::DecryptionOrder order;
      order.key = key;
      order.request = cli::random_request_id();
      order.domain = cli::example_domain();
      order.timeout = 30s;
      order.ciphertexts.push_back({one.bytes, tfhe::FheType::uint32, one.format, Bytes(32, 7)});
      const auto report = cli::decrypt(live->committee, order);
      ASSERT_TRUE(report) << what << ", " << to_string(one.format) << ": " << report.error().message;
      EXPECT_EQ(report->agreed.values.at(0), one.value) << what << ", " << to_string(one.format);
    }
  }

  std::string log(int party) const { return read_text(live->committee.party(party).log()); }
  bool logged(int party, const std::string& text) const { return log(party).find(text) != std::string::npos; }
  void restart(int party) {
    cli::stop_parties(live->committee, {party}, true);
    must(cli::start_parties(live->committee, {party}));
    must(cli::wait_until_healthy(live->committee, 60s, {party}, 3));
  }

  std::unique_ptr<LiveCommittee> live;
};

Bytes bytes_of(const KeyId& id) {
  return {id.bytes().begin(), id.bytes().end()};
}

// One secret, two key sets: each key id decrypts what either has encrypted, with the old public key, which stays the published one, and
// with the one inside of the new set.
TEST_F(ExistingKey, GivesANewKeySetThatDecryptsOldAndNewCiphertexts) {
  start();
  const auto old = make();
  const auto before = encrypted(public_key(old.key), old.key, "3141592653");
  const auto made = make_from(old.key);
  EXPECT_EQ(made.origin, "generated");
  EXPECT_EQ(made.signers.size(), 4u);
  EXPECT_EQ(made.digests.at("PublicKey"), old.digests.at("PublicKey"));
  EXPECT_NE(made.digests.at("CompressedXofKeySet"), old.digests.at("CompressedXofKeySet"));
  EXPECT_EQ(published("PublicKey", made.key), published("PublicKey", old.key));

  const auto set = key_set(made.key);
  EXPECT_NE(set.seed, key_set(old.key).seed);
  const auto inner = tfhe::public_key_of(set);
  EXPECT_EQ(inner.tag, bytes_of(made.key));
  const auto with_old = encrypted(public_key(made.key), made.key, "2718281828");
  const auto with_new = encrypted(inner, made.key, "1618033988");
  for (int round = 0; round < 2; ++round) {
    for (const KeyId& key : {made.key, old.key}) {
      // A Small ciphertext is squashed with the key set of the key that is named: that of either serves.
      expect_decrypts(key, before, "of before");
      expect_decrypts(key, with_old, "new set, old public key");
      expect_decrypts(key, with_new, "new set, its own public key");
    }
    if (round > 0) break;
    cli::stop_parties(live->committee);
    must(cli::start_parties(live->committee));
    must(cli::wait_until_healthy(live->committee, 60s));
  }

  // The other way of requests: material for a key set that is all new, and the tag of the old one. And a chain of them.
  const auto id = random_id<KeyId>(4);
  auto request = request_from(made.key, id, make_material(std::nullopt));
  request.keyset_added_info->use_existing_key_tag = true;
  ask_for_key(request);
  expect_key(id, {1, 2, 3, 4});
  EXPECT_EQ(tfhe::public_key_of(key_set(id)).tag, bytes_of(old.key)) << "that of the published public key";
  expect_decrypts(id, before, "of before, third set");
  expect_decrypts(id, encrypted(public_key(id), id, "577215664"), "third set");
}

TEST_F(ExistingKey, ThatWasDealtGivesAKeyThatCountsAsDealt) {
  start({.test_nodes = true});
  const auto dealt = live->deal();
  const auto before = encrypted(public_key(dealt.key), dealt.key, "3141592653");
  const auto made = make_from(dealt.key);
  EXPECT_EQ(made.origin, "dealt");
  for (const auto& status : cli::committee_status(live->committee))
    for (const auto& key : status.keys) EXPECT_EQ(key.origin, "dealt") << "party " << status.party.id;
  expect_decrypts(made.key, before, "of before");
  expect_decrypts(made.key, encrypted(tfhe::public_key_of(key_set(made.key)), made.key, "2718281828"), "new set");

  // The dealer itself makes new secret keys alone.
  api::KeyGenPreprocRequest preproc;
  preproc.request_id = random_id<PreprocId>(3).hex();
  preproc.params = api::FheParameter::test_params;
  preproc.domain = cli::to_message(cli::example_domain());
  auto from_existing = preproc;
  from_existing.keyset_config = use_existing();
  EXPECT_EQ(code(live->client(1).insecure_key_gen_preproc(from_existing)), Code::unimplemented);
  must(poll([&] { return live->client(1).insecure_key_gen_preproc(preproc); }));
  const auto request = request_from(dealt.key, random_id<KeyId>(4), must(PreprocId::parse(*preproc.request_id)));
  EXPECT_EQ(code(live->client(1).insecure_key_gen(request)), Code::unimplemented);

  const auto material = make_material(use_existing());
  replace_by_production_node(*live, 2);
  const auto refused = live->client(2).key_gen(request_from(made.key, random_id<KeyId>(4), material));
  ASSERT_EQ(code(refused), Code::failed_precondition);
  EXPECT_NE(refused.error().message.find("origin = dealt"), std::string::npos) << refused.error().message;
}

// Every request that cannot be served has its status, and uses nothing up.
TEST_F(ExistingKey, WrongRequestsAreRefusedAndCostNothing) {
  start();
  const auto old = make();
  const auto client = live->client(1);
  const auto material = make_material(use_existing());
  const auto key = random_id<KeyId>(4);
  const auto good = request_from(old.key, key, material);
  const auto refused = [&](auto change) {
    auto request = good;
    change(request);
    return code(client.key_gen(request));
  };
  using Request = api::KeyGenRequest;
  EXPECT_EQ(refused([](Request& r) { r.keyset_added_info.reset(); }), Code::invalid_argument);
  EXPECT_EQ(refused([](Request& r) { r.keyset_added_info->existing_keyset_id.reset(); }), Code::invalid_argument);
  EXPECT_EQ(refused([](Request& r) { r.keyset_added_info->existing_keyset_id = "no id"; }), Code::invalid_argument);
  EXPECT_EQ(refused([&](Request& r) { r.keyset_added_info->to_keyset_id_decompression_only = old.key.hex(); }),
            Code::invalid_argument);
  EXPECT_EQ(refused([](Request& r) { r.keyset_config->standard_keyset_config->secret_key_config.number = 2; }),
            Code::invalid_argument);
  EXPECT_EQ(refused([](Request& r) { r.keyset_config.reset(); }), Code::invalid_argument) << "added info for nothing";
  EXPECT_EQ(refused([](Request& r) { r.keyset_config.reset(), r.keyset_added_info.reset(); }), Code::invalid_argument)
      << "this material has no key bits";
  EXPECT_EQ(refused([](Request& r) { r.keyset_added_info->existing_keyset_id = random_id<KeyId>(4).hex(); }),
            Code::not_found);
  EXPECT_EQ(refused([](Request& r) { r.epoch_id = random_id<EpochId>(8).hex(); }), Code::not_found);
  EXPECT_EQ(refused([](Request& r) { r.params = api::FheParameter::default_params; }), Code::invalid_argument);

  // A key that is being made serves once it is there.
  const auto other = random_id<KeyId>(4);
  const auto unfinished = request_from(old.key, other, make_material(use_existing()));
  ask_for_key(unfinished, {1});
  EXPECT_EQ(refused([&](Request& r) { r.keyset_added_info->existing_keyset_id = other.hex(); }), Code::unavailable);
  ask_for_key(unfinished, {2, 3, 4});
  expect_key(other, {1, 2, 3, 4});

  auto request = good;
  request.keyset_added_info->existing_keyset_id = other.hex();
  request.keyset_added_info->copy_compressed_key_to_original = true;
  ask_for_key(request);
  expect_key(key, {1, 2, 3, 4});
  EXPECT_TRUE(logged(1, "copy_compressed_key_to_original does nothing"));
}

// A party that has no part of the existing key, and one whose published objects have changed: the others make the key without them.
TEST_F(ExistingKey, PartiesThatDoNotHaveItAreNotNeeded) {
  start();  // with the usual delay: party 4 is to be in time once it is back
  cli::stop_parties(live->committee, {4});
  const auto old = make();
  must(cli::start_parties(live->committee, {4}));
  must(cli::wait_until_healthy(live->committee, 60s));
  const auto without = make_from(old.key);
  EXPECT_EQ(without.signers.size(), 3u);
  ASSERT_TRUE(without.failed.contains(4));
  EXPECT_NE(without.failed.at(4).find("is not known here"), std::string::npos) << without.failed.at(4);
  expect_decrypts(without.key, encrypted(public_key(without.key), without.key, "3141592653"), "made by three");
}

TEST_F(ExistingKey, APublicKeyThatIsNotWhatWasSignedIsNotPublishedAgain) {
  start({.test_nodes = false, .message_delay = 3000ms});  // nobody is to be too slow beside the one that fails
  const auto old = make();
  const auto& party = live->committee.party(2);
  const auto file = party.public_vault() / "PublicKey" / old.key.hex();
  std::string content = read_text(file);
  content[content.size() / 2] = static_cast<char>(content[content.size() / 2] ^ 1);
  write_text(file, content);
  const auto made = make_from(old.key);
  EXPECT_EQ(made.signers.size(), 3u);
  ASSERT_TRUE(made.failed.contains(2));
  EXPECT_TRUE(logged(2, "restore it from another party's vault")) << log(2);
  EXPECT_EQ(published("PublicKey", made.key), published("PublicKey", old.key)) << "of party 1";
}

// kill -9 between the acceptance and the end: the same secret keys, the same key set.
TEST_F(ExistingKey, APartyThatIsKilledInTheOnlinePhaseGoesOnAfterItsRestart) {
  start();
  const auto old = make();
  std::mt19937 random(20261126);
  for (int round = 0; round < 4; ++round) {
    const auto key = random_id<KeyId>(4);
    const auto request = request_from(old.key, key, make_material(use_existing()));
    ask_for_key(request, {2});
    if (round == 0) restart(2);  // alone: it must wait for the others again
    ask_for_key(request, {1, 3, 4});
    if (round > 0) {
      std::this_thread::sleep_for(std::chrono::milliseconds(random() % 200));
      restart(2);
    }
    expect_key(key, {1, 2, 3, 4});
    if (round == 0) expect_decrypts(key, encrypted(public_key(key), key, "3141592653"), "after a restart");
  }
  EXPECT_TRUE(logged(2, "taken up again after a restart"));
  for (const auto& status : cli::committee_status(live->committee))
    for (const auto& key : status.keys) EXPECT_EQ(key.origin, "generated") << "party " << status.party.id;
}

TEST_F(ExistingKey, IsNamedOnTheCommandLine) {
  start();
  const auto witan = [&](std::vector<std::string> more) {
    std::vector<std::string> command = {(programs() / "witan").string(), "keygen", "--json"};
    command.insert(command.end(), more.begin(), more.end());
    return must(cli::run_process(command, kLong));
  };
  const std::string folder = live->committee.folder.string();
  const auto old = make();
  const auto made = witan({"--dir", folder, "--existing", old.key.hex(), "--keep-tag"});
  EXPECT_EQ(made.exit_code, 0) << made.text;
  EXPECT_NE(made.text.find("\"origin\": \"generated\""), std::string::npos) << made.text;
  EXPECT_NE(made.text.find(to_hex(old.digests.at("PublicKey"))), std::string::npos) << made.text;
  const auto unknown = witan({"--dir", folder, "--existing", random_id<KeyId>(4).hex()});
  EXPECT_EQ(unknown.exit_code, 1);
  EXPECT_NE(unknown.text.find("at 0 of 4 parties"), std::string::npos) << unknown.text;
  const auto other_params = witan({"--dir", folder, "--existing", old.key.hex(), "--params", "default"});
  EXPECT_EQ(other_params.exit_code, 2);
  EXPECT_NE(other_params.text.find("has parameters test"), std::string::npos) << other_params.text;
  EXPECT_EQ(witan({"--dir", folder, "--existing", "no id"}).exit_code, 2);
  EXPECT_EQ(witan({"--dir", folder, "--keep-tag"}).exit_code, 2);
  EXPECT_EQ(witan({"--dir", folder, "--dealt", "--existing", old.key.hex()}).exit_code, 2);
}

}  // namespace
}  // namespace witan::e2e
