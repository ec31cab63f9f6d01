// Real nodes decrypt what native tfhe-rs 1.7.0 encrypted, refuse what is wrong, and go on.
#include <gtest/gtest.h>

#include <map>
#include <thread>

#include "e2e/live_committee.h"

namespace witan::e2e {
namespace {

using api::CiphertextFormat;

tfhe::U256 value_of(const nlohmann::json& value) {
  return value.is_boolean() ? tfhe::U256(value.get<bool>() ? 1 : 0)
                            : tfhe::U256::parse(value.get<std::string>()).value();
}

Bytes native(const std::string& file) {
  return test::read_data("tfhe/native-1.7.0/test/" + file);
}

/// All four parties agree on what is in a ciphertext.
void expect_decrypts(const LiveCommittee& live, const KeyId& key) {
  cli::DecryptionOrder order;
  order.key = key;
  order.request = cli::random_request_id();
  order.domain = cli::example_domain();
  order.ciphertexts.push_back(
      {native("big_compressed_uint8.bin"), tfhe::FheType::uint8, coprocessor::Format::big_compressed, Bytes(32, 1)});
  const auto report = cli::decrypt(live.committee, order);
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->agreed.values[0], tfhe::U256(0x5a));
  EXPECT_EQ(report->agreed.parties.size(), 4u);
}

class ImportedKey : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    live = std::make_unique<LiveCommittee>();
    key = live->deal(test::data_path("tfhe/native-1.7.0/test/client_key.bin"));
  }
  static void TearDownTestSuite() { live.reset(); }

  /// What party 1 says to one ciphertext.
  static Code code_of(Bytes bytes, int type, api::Open<CiphertextFormat> format) {
    const auto sent =
        live->client(1).public_decrypt(request_for(key.key, cli::random_request_id(), std::move(bytes), type, format));
    if (!sent) last_message = sent.error().message;
    return sent ? Code{0} : sent.error().code;
  }
  static void expect_serving() { expect_decrypts(*live, key.key); }

  inline static std::unique_ptr<LiveCommittee> live;
  inline static cli::NewKey key;
  inline static std::string last_message;
};

TEST_F(ImportedKey, EveryNativeTestCiphertextDecrypts) {
  const auto index = test::read_json("tfhe/native-1.7.0/test/index.json");
  cli::DecryptionOrder order;
  order.key = key.key;
  order.request = cli::random_request_id();
  order.domain = cli::example_domain();
  std::vector<tfhe::U256> expected;
  std::vector<std::string> names;
  std::map<coprocessor::Format, int> seen;
  for (const auto& entry : index.at("files")) {
    const std::string file = entry.at("file");
    if (!entry.contains("format") || !entry.at("shipped").get<bool>()) continue;
    static const std::map<std::string, coprocessor::Format> kFormats = {
        {"SmallCompressed", coprocessor::Format::small_compressed},
        {"SmallExpanded", coprocessor::Format::small_expanded},
        {"BigCompressed", coprocessor::Format::big_compressed},
        {"BigExpanded", coprocessor::Format::big_expanded}};
    const auto format = kFormats.find(entry.at("format").get<std::string>());
    if (format == kFormats.end() || file.starts_with("big_decompressed")) continue;
    if (entry.at("values").size() != 1 && format->second == coprocessor::Format::small_compressed) continue;
    const auto& value = entry.at("values").at(0);
    order.ciphertexts.push_back({native(file), must(tfhe::fhe_type_from_number(value.at("fhe_type").get<int>())),
                                 format->second, Bytes(32, 9)});
    expected.push_back(value_of(value.at("value")));
    names.push_back(file);
    ++seen[format->second];
  }
  ASSERT_EQ(seen.size(), 4u);
  for (const auto& [format, count] : seen) EXPECT_GE(count, 10) << coprocessor::to_string(format);
  order.timeout = std::chrono::seconds(120);
  const auto report = cli::decrypt(live->committee, order);
  ASSERT_TRUE(report) << report.error().message;
  for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_EQ(report->agreed.values[i], expected[i]) << names[i];
  EXPECT_EQ(report->agreed.parties.size(), 4u);
}

TEST_F(ImportedKey, BadCiphertextsAreInvalidArgumentsAndChangeNothing) {
  const Bytes good = native("big_compressed_uint8.bin");
  EXPECT_EQ(code_of(good, 3, CiphertextFormat::big_compressed), Code::invalid_argument) << "wrong type";
  EXPECT_EQ(code_of(good, 18, CiphertextFormat::big_compressed), Code::invalid_argument) << "Int4";
  EXPECT_NE(last_message.find("Int4"), std::string::npos) << last_message;
  EXPECT_EQ(code_of(good, 9999, CiphertextFormat::big_compressed), Code::invalid_argument) << "unknown type";
  EXPECT_EQ(code_of(good, 2, CiphertextFormat::big_expanded), Code::invalid_argument) << "wrong format";
  EXPECT_EQ(code_of(good, 2, api::Open<CiphertextFormat>(7)), Code::invalid_argument) << "unknown format";
  EXPECT_EQ(code_of(Bytes(good.begin(), good.end() - 1), 2, CiphertextFormat::big_compressed), Code::invalid_argument)
      << "truncated";
  EXPECT_EQ(code_of({}, 2, CiphertextFormat::big_compressed), Code::invalid_argument) << "empty";
  EXPECT_EQ(code_of(native("big_expanded_uint16.bin"), 2, CiphertextFormat::big_expanded), Code::invalid_argument)
      << "block count";
  EXPECT_EQ(code_of(native("big_decompressed_uint64.bin"), 5, CiphertextFormat::big_expanded), Code::invalid_argument);
  EXPECT_EQ(code_of(native("big_decompressed_bool.bin"), 0, CiphertextFormat::big_expanded), Code::invalid_argument);
  EXPECT_EQ(code_of(native("small_compressed_list_mixed.bin"), 5, CiphertextFormat::small_compressed),
            Code::invalid_argument);
  EXPECT_EQ(code_of(native("small_compressed_list_long.bin"), 5, CiphertextFormat::small_compressed),
            Code::invalid_argument);
  EXPECT_EQ(code_of(test::read_data("tfhe/native-1.7.0/default/big_compressed_uint64.bin"), 5,
                    CiphertextFormat::big_compressed),
            Code::invalid_argument)
      << "other parameters";
  Bytes huge = native("small_expanded_uint8.bin");
  const std::string name = "high_level_api::FheUint";
  const auto at = std::search(huge.begin(), huge.end(), name.begin(), name.end()) - huge.begin() +
                  static_cast<std::ptrdiff_t>(name.size()) + 12;
  store_le<std::uint64_t>(~std::uint64_t{0} / 3, huge.data() + at);
  EXPECT_EQ(code_of(huge, 2, CiphertextFormat::small_expanded), Code::invalid_argument) << "huge length";
  Bytes longer = good;
  longer.resize(longer.size() + 5);
  EXPECT_EQ(code_of(longer, 2, CiphertextFormat::big_compressed), Code{0})
      << "trailing bytes are accepted: " << last_message;
  expect_serving();
}

TEST_F(ImportedKey, BadFieldsGetTheirCodes) {
  const auto good = request_for(key.key, cli::random_request_id(), native("big_compressed_uint8.bin"), 2,
                                CiphertextFormat::big_compressed);
  const auto code = [&](const std::function<void(api::PublicDecryptionRequest&)>& spoil) {
    auto bad = good;
    bad.request_id = cli::random_request_id().hex();
    spoil(bad);
    const auto sent = live->client(1).public_decrypt(bad);
    return sent ? Code{0} : sent.error().code;
  };
  EXPECT_EQ(code([](auto& r) { r.request_id.reset(); }), Code::invalid_argument);
  EXPECT_EQ(code([](auto& r) { r.request_id = "xyz"; }), Code::invalid_argument);
  EXPECT_EQ(code([](auto& r) { r.request_id = std::string(64, '0'); }), Code::invalid_argument);
  EXPECT_EQ(code([](auto& r) { r.key_id.reset(); }), Code::invalid_argument);
  EXPECT_EQ(code([](auto& r) { r.key_id = std::string(64, '4'); }), Code::not_found);
  EXPECT_EQ(code([](auto& r) { r.context_id = std::string(64, '4'); }), Code::not_found);
  EXPECT_EQ(code([](auto& r) { r.epoch_id = std::string(64, '4'); }), Code::not_found);
  EXPECT_EQ(code([](auto& r) { r.epoch_id = "08"; }), Code::invalid_argument);
  EXPECT_EQ(code([](auto& r) { r.domain.reset(); }), Code::invalid_argument);
  EXPECT_EQ(code([](auto& r) { r.domain->chain_id.clear(); }), Code::invalid_argument);
  EXPECT_EQ(code([](auto& r) { r.domain->chain_id = Bytes(33, 1); }), Code::invalid_argument);
  EXPECT_EQ(code([](auto& r) { r.domain->verifying_contract = "0x037d0c1aa70abe155dd611a033bf2d6f97d7b857"; }),
            Code::invalid_argument);
  EXPECT_EQ(code([](auto& r) { r.domain->salt = Bytes(31); }), Code::invalid_argument);
  EXPECT_EQ(code([](auto& r) { r.ciphertexts.clear(); }), Code::invalid_argument);
  EXPECT_EQ(code([](auto& r) { r.ciphertexts[0].external_handle = Bytes(33); }), Code::invalid_argument);
  EXPECT_EQ(code([](auto& r) { r.signing_schemes = {api::Open<api::SigningScheme>(9)}; }), Code::invalid_argument);
  EXPECT_EQ(code([](auto& r) { r.signing_schemes = {api::SigningScheme::mldsa65}; }), Code::unimplemented);
  EXPECT_EQ(code([](auto& r) { r.extra_data = Bytes(100000); }), Code::invalid_argument);
  const auto client = live->client(1);
  EXPECT_EQ(client.get_public_decryption_result({std::string(64, '5')}).error().code, Code::not_found);
  EXPECT_EQ(client.get_public_decryption_result({"5"}).error().code, Code::invalid_argument);
  EXPECT_EQ(client.get_epoch_result({std::string(64, '5')}).error().code, Code::not_found);
  EXPECT_EQ(client.new_mpc_epoch({}).error().code, Code::invalid_argument);
  api::NewMpcEpochRequest again;
  again.epoch_id = default_epoch_id().hex();
  EXPECT_EQ(client.new_mpc_epoch(again).error().code, Code::already_exists);
  expect_serving();
}

// S41: an id names one content for ever, also after a restart.
// What is squashed is decrypted by one party here, which the others leave alone: it stays pending, and makes room all the same.
TEST_F(ImportedKey, BlocksToSquashAreBoundedUntilTheyAreSquashed) {
  const cli::PartyInfo& party = live->committee.party(1);
  const std::string config = read_text(party.config());
  const auto restart_with = [&](const std::string& text) {
    write_text(party.config(), text);
    cli::stop_parties(live->committee, {1});
    must(cli::start_parties(live->committee, {1}));
    must(cli::wait_until_healthy(live->committee, std::chrono::seconds(60)));
  };
  const std::string section = "[internal_config]\n";
  ASSERT_NE(config.find(section), std::string::npos);
  restart_with(std::string(config).insert(config.find(section) + section.size(), "squashings_at_once = 64\n"));
  const auto large = [&](const RequestId& id) {
    return request_for(key.key, id, native("small_expanded_uint256.bin"), 8, CiphertextFormat::small_expanded);
  };
  const auto client = live->client(1);
  auto two = large(cli::random_request_id());
  two.ciphertexts.push_back(two.ciphertexts[0]);
  const auto too_large = client.public_decrypt(two);
  ASSERT_FALSE(too_large);
  EXPECT_EQ(too_large.error().code, Code::invalid_argument);
  EXPECT_NE(too_large.error().message.find("128 blocks of Small ciphertexts"), std::string::npos)
      << too_large.error().message;

  std::vector<RequestId> accepted;
  int refused = 0;
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (accepted.size() < 4 && std::chrono::steady_clock::now() < until) {
    const RequestId id = cli::random_request_id();
    const auto sent = client.public_decrypt(large(id));
    if (sent) {
      accepted.push_back(id);
      continue;
    }
    ++refused;
    ASSERT_EQ(sent.error().code, Code::resource_exhausted) << sent.error().message;
    ASSERT_NE(sent.error().message.find("works on 64 blocks"), std::string::npos) << sent.error().message;
    EXPECT_EQ(code_of(native("big_compressed_uint8.bin"), 2, CiphertextFormat::big_compressed), Code{0})
        << "Big ones have nothing to squash";
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_EQ(accepted.size(), 4u);
  EXPECT_GT(refused, 0);
  for (const RequestId& id : accepted) {
    for (const int other : {2, 3, 4}) ASSERT_TRUE(live->client(other).public_decrypt(large(id)));
    const auto got = client.get_public_decryption_result({id.hex()});
    ASSERT_TRUE(got) << got.error().message;
    EXPECT_EQ(tfhe::U256::from_le_bytes(got->payload->plaintexts.at(0).bytes),
              tfhe::U256::parse("0x7edcba987654321099aabbccddeeff0011223344556677880123456789abcdef").value());
  }
  restart_with(config);
}

TEST_F(ImportedKey, AnIdIsUsedOnceAlsoAfterARestart) {
  const RequestId id = cli::random_request_id();
  const auto first = request_for(key.key, id, native("big_compressed_uint8.bin"), 2, CiphertextFormat::big_compressed);
  for (int party = 1; party <= 4; ++party) ASSERT_TRUE(live->client(party).public_decrypt(first));
  const auto answer = live->client(1).get_public_decryption_result({id.hex()});
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(live->client(1).public_decrypt(first).error().code, Code::already_exists);
  EXPECT_EQ(live->client(1).public_decrypt_sync(first).value(), *answer);
  auto other = first;
  other.ciphertexts[0].ciphertext = native("big_compressed_uint16.bin");
  other.ciphertexts[0].fhe_type = 3;
  EXPECT_EQ(live->client(1).public_decrypt(other).error().code, Code::already_exists);
  EXPECT_EQ(live->client(1).public_decrypt_sync(other).error().code, Code::already_exists);

  cli::stop_parties(live->committee, {1}, true);
  must(cli::start_parties(live->committee, {1}));
  must(cli::wait_until_healthy(live->committee, std::chrono::seconds(60)));
  EXPECT_EQ(live->client(1).public_decrypt(first).error().code, Code::already_exists);
  const auto refused = live->client(1).public_decrypt(other);
  EXPECT_EQ(refused.error().code, Code::already_exists);
  EXPECT_NE(refused.error().message.find("other content"), std::string::npos) << refused.error().message;
  EXPECT_EQ(live->client(1).get_public_decryption_result({id.hex()}).value(), *answer);
  expect_serving();
}

TEST_F(ImportedKey, SignaturesOfOtherSchemesAndExtraDataAreEchoed) {
  auto request = request_for(key.key, cli::random_request_id(), native("big_compressed_uint8.bin"), 2,
                             CiphertextFormat::big_compressed);
  request.extra_data = Bytes{1, 2, 3};
  request.signing_schemes = {api::SigningScheme::ed25519, api::SigningScheme::ecdsa_256k1, api::SigningScheme::ed25519};
  for (int party = 2; party <= 4; ++party) ASSERT_TRUE(live->client(party).public_decrypt(request));
  const auto answer = live->client(1).public_decrypt_sync(request);
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->extra_data, request.extra_data);
  ASSERT_EQ(answer->signatures.size(), 2u);
  EXPECT_EQ(answer->signatures[0].signature.size(), 64u);
  EXPECT_EQ(answer->signatures[1].signature, answer->external_signature);
}

TEST_F(ImportedKey, HealthAndAvailabilityTellWhatIsThere) {
  const auto health = live->client(2).get_health_status();
  ASSERT_TRUE(health);
  EXPECT_EQ(health->peers_from_all_contexts.at(0).status, api::Open<api::HealthStatus>(api::HealthStatus::optimal));
  EXPECT_EQ(health->peers_from_all_contexts.at(0).threshold_required, 2u);
  const auto available = live->client(3).get_key_material_availability();
  ASSERT_TRUE(available);
  EXPECT_EQ(available->fhe_key_ids, std::vector{key.key.hex()});
  EXPECT_NE(available->storage_info.find("origin=dealt"), std::string::npos);
  EXPECT_TRUE(live->client(1).serving("kms_service.v1.CoreServiceEndpoint").value());
  EXPECT_EQ(key.origin, "dealt");
}

TEST_F(ImportedKey, DealingAgainUnderUsedIdsIsRefused) {
  const auto client = live->client(1);
  api::KeyGenPreprocRequest preproc;
  preproc.request_id = key.preprocessing.hex();
  preproc.params = api::FheParameter::test_params;
  preproc.domain = cli::to_message(cli::example_domain());
  EXPECT_EQ(client.insecure_key_gen_preproc(preproc).error().code, Code::already_exists);
  api::KeyGenRequest keygen;
  keygen.request_id = key.key.hex();
  keygen.preproc_id = key.preprocessing.hex();
  keygen.domain = preproc.domain;
  EXPECT_EQ(client.insecure_key_gen(keygen).error().code, Code::already_exists);
  keygen.request_id = cli::random_request_id().hex();
  EXPECT_EQ(client.insecure_key_gen(keygen).error().code, Code::not_found) << "a preprocessing serves one key";
  keygen.preproc_id = std::string(64, '3');
  EXPECT_EQ(client.insecure_key_gen(keygen).error().code, Code::not_found);
  preproc.request_id = cli::random_request_id().hex();
  preproc.params = api::Open<api::FheParameter>(5);
  EXPECT_EQ(client.insecure_key_gen_preproc(preproc).error().code, Code::invalid_argument);
  preproc.params = api::FheParameter::test_params;
  preproc.keyset_config =
      api::KeySetConfig{api::KeySetType::standard,
                        api::StandardKeySetConfig{api::ComputeKeyType::cpu, api::KeyGenSecretKeyConfig::generate_all,
                                                  api::CompressedKeyConfig::compressed_none}};
  EXPECT_EQ(client.insecure_key_gen_preproc(preproc).error().code, Code::unimplemented);
}

TEST(Order, RequestsBeforeEpochAndKeyAreNotFound) {
  LiveCommittee live({.with_epoch = false});
  const auto request = request_for(KeyId(ByteArray<32>{4, 1}), cli::random_request_id(),
                                   native("big_compressed_uint8.bin"), 2, CiphertextFormat::big_compressed);
  const auto before_epoch = live.client(1).public_decrypt(request);
  EXPECT_EQ(before_epoch.error().code, Code::not_found);
  EXPECT_NE(before_epoch.error().message.find("epoch"), std::string::npos);
  EXPECT_TRUE(must(cli::ensure_epoch(live.committee, std::chrono::seconds(60))).empty());
  const auto before_key = live.client(1).public_decrypt(request);
  EXPECT_EQ(before_key.error().code, Code::not_found);
  EXPECT_NE(before_key.error().message.find("key"), std::string::npos);
}

// The public key of one of two keys grows for as long as the test wants it to: its check does not end before.
TEST(KeyCheck, HoldsUpTheSmallCiphertextsOfItsKeyAndNothingElse) {
  constexpr int kParty = 4;
  LiveCommittee live;
  const auto client_key = test::data_path("tfhe/native-1.7.0/test/client_key.bin");
  const KeyId keys[] = {live.deal(client_key).key, live.deal(client_key).key};
  const KeyId &first = std::min(keys[0], keys[1]),
              &second = std::max(keys[0], keys[1]);  // in the order of their checks
  const auto client = live.client(kParty);
  const auto state_of = [&](const KeyId& key) {
    const std::string info = must(client.get_key_material_availability()).storage_info;
    const auto at = info.find("; key " + key.hex());
    return info.substr(at + 6, info.find(';', at + 1) - at - 6);
  };
  const auto small = [&](const KeyId& key) {
    return client.public_decrypt(request_for(key, cli::random_request_id(), native("small_expanded_uint8.bin"), 2,
                                             CiphertextFormat::small_expanded));
  };

  cli::stop_parties(live.committee, {kParty});
  const auto object = live.committee.party(kParty).public_vault() / "PublicKey" / second.hex();
  std::filesystem::resize_file(object, 2ull << 30);  // the largest that a vault opens: some seconds of work
  must(cli::start_parties(live.committee, {kParty}));
  must(cli::wait_until_healthy(live.committee, std::chrono::seconds(30)));
  std::filesystem::resize_file(object, 1ull << 40);  // no end

  for (const KeyId& key : keys) expect_decrypts(live, key);
  const auto refused = small(second);
  EXPECT_EQ(refused.error().code, Code::unavailable) << refused.error().message;
  EXPECT_NE(refused.error().message.find(second.hex()), std::string::npos) << refused.error().message;
  EXPECT_EQ(state_of(second), second.hex() + " origin=dealt params=test public_objects=unchecked");
  EXPECT_EQ(state_of(first), first.hex() + " origin=dealt params=test public_objects=intact");
  EXPECT_TRUE(small(first));

  std::filesystem::resize_file(object, 0);  // the end
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (cli::party_runs(live.committee.party(kParty)) && std::chrono::steady_clock::now() < deadline)
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_FALSE(cli::party_runs(live.committee.party(kParty))) << "service.md 9: a mismatch is fatal";
  const std::string log = cli::log_tail(live.committee.party(kParty).log(), 20);
  EXPECT_NE(log.find("PublicKey/" + second.hex() + " has digest"), std::string::npos) << log;
}

}  // namespace
}  // namespace witan::e2e
