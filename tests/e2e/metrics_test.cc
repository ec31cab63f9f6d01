// Metrics of real nodes: what decryptions and key generations change in them, and what they do not show.
#include <fstream>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>
#include <thread>

#include "cli/process.h"
#include "e2e/live_committee.h"
#include "support/http_client.h"
#include "support/prometheus_text.h"

namespace witan::e2e {
namespace {

using cli::random_id;
using namespace std::chrono_literals;
using test::http;
using test::PrometheusText;

class Metrics : public testing::Test {
 protected:
  void start(const LiveOptions& options = {}) { live = std::make_unique<LiveCommittee>(options); }
  std::uint16_t port(int party) const { return live->committee.party(party).metrics_port; }
  PrometheusText metrics(int party) const { return PrometheusText(http(port(party), "/metrics").body); }
  static double operations(const PrometheusText& text, const std::string& operation) {
    return text.value("kms_operations_total", {{"operation", operation}});
  }
  static double blocks(const PrometheusText& text, const KeyId& key) {
    return text.find("kms_decrypted_blocks_total", {{"key_id", key.hex()}, {"epoch_id", default_epoch_id().hex()}})
        .value_or(-1);
  }
  void decrypt(const KeyId& key) const {
    cli::DecryptionOrder order;
    order.key = key;
    order.request = cli::random_request_id();
    order.domain = cli::example_domain();
    order.ciphertexts.push_back({test::read_data("tfhe/native-1.7.0/test/big_compressed_uint8.bin"),
                                 tfhe::FheType::uint8, coprocessor::Format::big_compressed, Bytes(32, 1)});
    must(cli::decrypt(live->committee, order));
  }

  std::unique_ptr<LiveCommittee> live;
};

TEST_F(Metrics, DecryptionsGrowTheirCounters) {
  constexpr int kTimes = 5;
  start();
  const auto key = live->deal(test::data_path("tfhe/native-1.7.0/test/client_key.bin"));
  for (int party = 1; party <= 4; ++party) {
    EXPECT_EQ(http(port(party), "/health").body, "ok");
    EXPECT_EQ(http(port(party), "/ready").body, "ready");
    EXPECT_EQ(http(port(party), "/metrics", "POST").status, 405);
  }
  const auto before = metrics(1);
  EXPECT_EQ(blocks(before, key.key), 0);
  for (int i = 0; i < kTimes; ++i) decrypt(key.key);
  const double in_all = kTimes * tfhe::info(tfhe::FheType::uint8).packed_blocks;
  for (int party = 1; party <= 4; ++party) {
    ASSERT_TRUE(soon([&] { return operations(metrics(party), "public_decrypt_inner") == kTimes; })) << party;
    const auto text = metrics(party);
    EXPECT_EQ(blocks(text, key.key), in_all);
    EXPECT_EQ(operations(text, "public_decrypt_request"), kTimes);
    EXPECT_GE(operations(text, "public_decrypt_result"), kTimes);
    EXPECT_EQ(text.value("kms_meta_storage_pub_decryptions"), 0);
    EXPECT_EQ(text.value("kms_meta_storage_pub_decryptions_in_store"), kTimes);
    EXPECT_EQ(text.value("kms_fhe_key_cache_size"), 1);
    EXPECT_EQ(text.value("kms_rate_limiter_usage"), 0);
    EXPECT_EQ(text.value("kms_decryptions_in_progress"), 0);
    EXPECT_EQ(text.series("kms_peer_connected").size(), 3u);
    for (const auto& [labels, connected] : text.series("kms_peer_connected")) EXPECT_EQ(connected, 1);
    EXPECT_GT(text.value("kms_payload_size_bytes_sum", {{"operation", "public_decrypt_request"}}), 1000);
  }
  const auto after = metrics(1);
  for (const char* name : {"kms_network_rx_bytes_total", "kms_network_tx_bytes_total", "kms_process_cpu_seconds_total"})
    EXPECT_GT(after.value(name), before.value(name)) << name;

  auto unknown = request_for(KeyId(ByteArray<32>{4, 9}), cli::random_request_id(), Bytes(10), 2,
                             api::CiphertextFormat::big_compressed);
  ASSERT_TRUE(soon([&] {
    const auto refused = live->client(1).public_decrypt(unknown);
    return !refused && refused.error().code == Code::not_found;  // not that of a connection that is slow to stand
  }));
  EXPECT_TRUE(soon([&] {
    return metrics(1).find("kms_operation_errors_total",
                           {{"operation", "public_decrypt_request"}, {"error", "not_found"}}) == 1;
  }));

  // The blocks of a key are counted for ever, also before it is used again.
  cli::stop_parties(live->committee, {1});
  must(cli::start_parties(live->committee, {1}));
  must(cli::wait_until_healthy(live->committee, 60s));
  EXPECT_EQ(blocks(metrics(1), key.key), in_all);
  EXPECT_EQ(operations(metrics(1), "public_decrypt_request"), 0) << "counters are of the process";
}

TEST_F(Metrics, APartyThatLiesIsCountedAtTheOthers) {
  start();
  const auto file = live->committee.party(4).config();
  write_text(file, read_text(file) + "fault = \"lie\"\n");
  const auto key = live->deal(test::data_path("tfhe/native-1.7.0/test/client_key.bin"));
  cli::stop_parties(live->committee, {4});
  must(cli::start_parties(live->committee, {4}));
  must(cli::wait_until_healthy(live->committee, 60s));
  decrypt(key.key);
  for (const int party : {1, 2, 3}) {
    const auto faults = [&](const char* of) {
      return metrics(party).value("kms_party_faults_total", {{"party", of}, {"fault", "wrong_shares"}});
    };
    EXPECT_TRUE(soon([&] { return faults("4") == 1; })) << party;
    for (const char* honest : {"1", "2", "3"}) EXPECT_EQ(faults(honest), 0);
  }
}

// Production nodes: what an operator sees of a key generation while it runs.
TEST_F(Metrics, AKeyGenerationShowsItsProgress) {
  start({.test_nodes = false});
  const PrometheusText::Labels preprocessing = {{"request", "preprocessing"}}, keygen = {{"request", "keygen"}};
  EXPECT_TRUE(metrics(1).series("kms_keygen_stage").empty());
  EXPECT_EQ(metrics(1).value("kms_key_material_bytes"), 0);

  const auto material = random_id<PreprocId>(3);
  for (int party = 1; party <= 4; ++party) {
    api::KeyGenPreprocRequest request;
    request.request_id = material.hex();
    request.params = api::FheParameter::test_params;
    request.domain = cli::to_message(cli::example_domain());
    must(live->client(party).key_gen_preproc(request));
  }
  double last = 0;
  int risen = 0;
  bool rate_seen = false, left_seen = false;
  ASSERT_TRUE(soon([&] {
    const auto text = metrics(1);
    const auto percent = text.find("kms_keygen_percent", preprocessing);
    if (!percent) return risen > 0;  // it has ended
    EXPECT_GE(*percent, last);
    EXPECT_LE(*percent, 100);
    risen += *percent > last;
    last = *percent;
    rate_seen |= text.value("kms_keygen_elements_per_second", preprocessing) > 0;
    left_seen |= text.find("kms_keygen_seconds_left", preprocessing).has_value();
    return false;
  }));
  EXPECT_GT(risen, 2);
  EXPECT_TRUE(rate_seen);
  EXPECT_TRUE(left_seen);
  EXPECT_GT(metrics(1).value("kms_key_material_bytes"), 1e6);
  for (int party = 1; party <= 4; ++party)
    ASSERT_TRUE(soon([&] { return live->client(party).get_key_gen_preproc_result({material.hex()}).has_value(); }));

  // With two of four the generation waits.
  cli::stop_parties(live->committee, {3, 4});
  api::KeyGenRequest request;
  const auto key = random_id<KeyId>(4);
  request.request_id = key.hex();
  request.preproc_id = material.hex();
  request.domain = cli::to_message(cli::example_domain());
  for (const int party : {1, 2}) must(live->client(party).key_gen(request));
  ASSERT_TRUE(
      soon([&] { return metrics(1).find("kms_keygen_stage", {{"request", "keygen"}, {"stage", "online"}}) == 1; }));
  EXPECT_EQ(metrics(1).value("kms_keygen_percent", keygen), 0);
  EXPECT_GT(metrics(1).value("kms_keygen_elements", keygen), 0);
  ASSERT_TRUE(soon([&] {
    return metrics(1).value("kms_peer_connected", {{"party", "3"}}) == 0 &&
           metrics(1).value("kms_peer_connected", {{"party", "2"}}) == 1;
  }));
  must(cli::start_parties(live->committee, {3, 4}));
  must(cli::wait_until_healthy(live->committee, 60s));
  for (const int party : {3, 4}) must(live->client(party).key_gen(request));
  ASSERT_TRUE(soon([&] { return live->client(1).get_key_gen_result({key.hex()}).has_value(); }));
  ASSERT_TRUE(soon([&] { return metrics(1).value("kms_key_material_bytes") == 0; })) << "it goes with its key";

  const auto text = metrics(1);
  for (const std::string& family : text.families())
    if (family.starts_with("kms_keygen_")) EXPECT_TRUE(text.series(family).empty()) << family;
  EXPECT_EQ(text.value("kms_fhe_keys", {{"public_objects", "intact"}}), 1);
  EXPECT_GE(blocks(text, key), 0) << "the new key has its series";
  EXPECT_EQ(operations(text, "keygen_preproc_request"), 1);
  EXPECT_EQ(operations(text, "keygen_request"), 1);
  EXPECT_GE(operations(text, "keygen_result"), 1);
}

/// Texts of at least 16 bytes that a file with secrets has: lines of a PEM, the bytes themselves, as hexadecimal.
std::vector<std::string> secrets_in(const std::filesystem::path& file) {
  const Bytes bytes = must(cli::read_file(file));
  const std::string text(bytes.begin(), bytes.end());
  std::vector<std::string> out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string line = text.substr(at, end - at);
    if (line.size() >= 16 && !line.starts_with("-----")) out.push_back(line.substr(0, 16));
    at = end + 1;
  }
  for (std::size_t at = 0; at + 16 <= bytes.size() && at < 4096; at += 16)
    out.push_back(to_hex(ByteView(bytes).subspan(at, 16)));
  return out;
}

TEST_F(Metrics, NothingSecretIsShown) {
  start();
  const auto key = live->deal(test::data_path("tfhe/native-1.7.0/test/client_key.bin"));
  decrypt(key.key);
  const cli::PartyInfo& party = live->committee.party(2);
  const std::string shown =
      http(port(2), "/config").body + http(port(2), "/metrics").body + http(port(2), "/version").body;
  const auto config = nlohmann::json::parse(http(port(2), "/config").body);
  EXPECT_EQ(config["threshold"]["tls"]["manual"]["key"]["path"], (party.folder / "tls" / "key.pem").string());
  EXPECT_EQ(config["threshold"]["my_id"], 2);
  EXPECT_FALSE(config.contains("insecure"));
  std::size_t files = 0, looked_for = 0;
  std::vector<std::filesystem::path> secret = {party.folder / "tls" / "key.pem"};
  for (const auto& entry :
       std::filesystem::recursive_directory_iterator(party.folder / "vault" / ("PRIV-p" + std::to_string(party.id))))
    if (entry.is_regular_file()) secret.push_back(entry.path());
  const std::string public_ids = key.key.hex() + default_epoch_id().hex() + default_context_id().hex();
  for (const auto& file : secret) {
    ++files;
    for (const std::string& text : secrets_in(file)) {
      if (public_ids.find(text) != std::string::npos) continue;
      ++looked_for;
      EXPECT_EQ(shown.find(text), std::string::npos) << file << ": " << text;
    }
  }
  EXPECT_GE(files, 4u) << "the TLS key, the signing key, the epoch, the key's shares";
  EXPECT_GT(looked_for, 500u);
}

// docs/metrics.md has a table of them all.
TEST_F(Metrics, TheManualHasEachOfThemAndNoOthers) {
  start();
  const auto key = live->deal(test::data_path("tfhe/native-1.7.0/test/client_key.bin"));
  decrypt(key.key);
  EXPECT_FALSE(live->client(1).get_key_gen_result({KeyId(ByteArray<32>{4, 9}).hex()}));
  std::set<std::string> shown;
  ASSERT_TRUE(soon([&] { return metrics(1).type("kms_operation_errors_total").has_value(); }));
  const auto text = metrics(1);
  for (const std::string& family : text.families()) shown.insert(family + " " + *text.type(family));
  std::set<std::string> described;
  std::ifstream manual(test::data_path("../../docs/metrics.md"));
  static const std::regex kRow(R"(\| `([a-z_]+)` \| (counter|gauge|histogram) \|.*)");
  std::smatch row;
  for (std::string line; std::getline(manual, line);)
    if (std::regex_match(line, row, kRow)) described.insert(row[1].str() + " " + row[2].str());
  EXPECT_EQ(shown, described);
}

TEST_F(Metrics, ASilentCrowdAtTheEndpointDoesNotDisturbDecryptions) {
  start();
  const auto key = live->deal(test::data_path("tfhe/native-1.7.0/test/client_key.bin"));
  std::vector<std::unique_ptr<test::HttpConnection>> silent;
  for (int i = 0; i < 200; ++i) silent.push_back(std::make_unique<test::HttpConnection>(port(1)));
  decrypt(key.key);
  EXPECT_LT(metrics(1).value("kms_file_descriptors"), 200);
  EXPECT_EQ(http(port(1), "/ready").status, 200);
}

}  // namespace
}  // namespace witan::e2e
