// What a node tells over HTTP: counted by its threads, asked of a loop that serves, does not yet, hangs, or ends.
#include "node/telemetry.h"

#include <future>
#include <thread>

#include "api/method_names.h"
#include "node/node_testing.h"
#include "support/http_client.h"
#include "support/prometheus_text.h"

namespace witan::node {
namespace {

using namespace std::chrono_literals;
using test::said;
using ::testing::AllOf;
using ::testing::HasSubstr;
using witan::test::http;
using witan::test::PrometheusText;
using Clock = std::chrono::steady_clock;

class TelemetryTest : public testing::Test {
 protected:
  TelemetryTest() {
    config.journal_path = folder.path() / "journal.db";
    config.threshold.my_id = 2;
    config.threshold.tls_key = folder.path() / "tls" / "key.pem";
    for (int i = 1; i <= 4; ++i)
      config.threshold.peers.push_back({i, "localhost", 1, fmt::format("party{}", i), folder.path() / "ca.pem"});
    config.metrics_address = metrics::BindAddress{"127.0.0.1", 0};
  }
  ~TelemetryTest() override {
    stop_loop();
    telemetry.reset();
  }

  Result<std::unique_ptr<Telemetry>> make(std::string_view labels = "") {
    return Telemetry::start(config, {"witan-node", "1.2.3 (abc, \"release\")"}, labels, loop);
  }
  void start(std::string_view labels = "") { telemetry = make(labels).value(); }
  void run_loop() {
    running = std::thread([this] { loop.run(); });
  }
  void stop_loop() {
    if (!running.joinable()) return;
    loop.stop();
    running.join();
  }
  void serve() {
    telemetry->serving([this] {
      ++snapshots;
      return std::vector<metrics::Family>{{"held", "Of services.", metrics::Type::gauge, {{{}, 7}}}};
    });
    run_loop();
    while (get("/ready").status != 200) std::this_thread::sleep_for(1ms);
  }
  witan::test::HttpReply get(const std::string& path) const { return http(telemetry->port(), path); }
  PrometheusText metrics_text() const { return PrometheusText(get("/metrics").body); }
  /// Occupies the loop until the returned promise is set.
  std::shared_ptr<std::promise<void>> block_loop() {
    auto release = std::make_shared<std::promise<void>>(), blocked = std::make_shared<std::promise<void>>();
    loop.post([blocked, release] {
      blocked->set_value();
      release->get_future().wait();
    });
    blocked->get_future().wait();
    return release;
  }
  void call(const char* method, std::optional<Code> error = {}, std::chrono::milliseconds took = 3ms) {
    telemetry->call_ended(
        {.method = method, .error = error, .took = took, .request_bytes = 2000, .response_bytes = 100});
  }

  test::TemporaryFolder folder;
  Config config;
  runtime::ThreadLoop loop;
  std::thread running;
  std::atomic<int> snapshots = 0;
  std::unique_ptr<Telemetry> telemetry;
};

TEST_F(TelemetryTest, IsReadyFromWhenTheLoopServesUntilItStops) {
  start();
  EXPECT_EQ(get("/health").body, "ok");
  EXPECT_EQ(get("/live").body, "alive");
  EXPECT_EQ(get("/ready").status, 503);
  EXPECT_EQ(get("/ready").body, "starting");
  const auto before = Clock::now();
  EXPECT_FALSE(metrics_text().type("kms_loop_answered")) << "a loop that does not run is not asked";
  EXPECT_LT(Clock::now() - before, Telemetry::kSnapshotWait);
  telemetry->serving([] { return std::vector<metrics::Family>{}; });
  EXPECT_EQ(get("/ready").status, 503) << "the loop does not run yet";
  run_loop();
  while (get("/ready").status != 200) std::this_thread::sleep_for(1ms);
  EXPECT_EQ(get("/ready").body, "ready");
  EXPECT_EQ(metrics_text().value("kms_operations_total", {{"operation", "system_startup"}}), 1);
  loop.post([this] { telemetry->stopping(); });
  while (get("/ready").body == "ready") std::this_thread::sleep_for(1ms);
  EXPECT_EQ(get("/ready").status, 503);
  EXPECT_EQ(get("/ready").body, "stopping");
  EXPECT_EQ(get("/health").body, "ok");
  EXPECT_EQ(get("/").status, 404);
}

TEST_F(TelemetryTest, CallsAreCountedByOperationAndError) {
  start();
  call(api::method::kPublicDecrypt);
  call(api::method::kPublicDecrypt, Code::resource_exhausted, 0ms);
  call(api::method::kGetPublicDecryptionResult, {}, 700ms);
  call(api::method::kGetKeyGenResult, Code::unavailable);
  call(api::method::kGetKeyGenResult, Code::deadline_exceeded);
  call(api::method::kGetKeyGenResult, Code::data_loss);
  call("/kms_service.v1.CoreServiceEndpoint/GetHealthStatus");
  call("/kms_service.v1.CoreServiceEndpoint/DoOther", Code::internal);
  const auto text = metrics_text();
  const auto count = [&](const char* operation) {
    return text.value("kms_operations_total", {{"operation", operation}});
  };
  const auto errors = [&](const char* operation, const char* error) {
    return text.find("kms_operation_errors_total", {{"operation", operation}, {"error", error}});
  };
  EXPECT_EQ(count("public_decrypt_request"), 2);
  EXPECT_EQ(errors("public_decrypt_request", "resource_exhausted"), 1);
  EXPECT_EQ(errors("public_decrypt_request", "unavailable"), std::nullopt);
  EXPECT_EQ(count("public_decrypt_result"), 1);
  EXPECT_EQ(count("keygen_result"), 3);
  EXPECT_EQ(errors("keygen_result", "unavailable"), 1);
  EXPECT_EQ(errors("keygen_result", "other"), 2);
  EXPECT_EQ(count("keygen_preproc_request"), 0);
  EXPECT_EQ(count("get_health_status"), 1);
  EXPECT_EQ(errors("do_other", "internal_error"), 1);
  const auto duration = [&](const char* operation, const char* bound) {
    return text.value("kms_operation_duration_ms_bucket",
                      {{"operation_type", operation}, {"party_id", "2"}, {"le", bound}});
  };
  EXPECT_EQ(duration("public_decrypt_request", "1"), 1);
  EXPECT_EQ(duration("public_decrypt_request", "5"), 2);
  EXPECT_EQ(duration("public_decrypt_result", "500"), 0);
  EXPECT_EQ(duration("public_decrypt_result", "1000"), 1);
  const auto payload = [&](const char* operation) {
    return text.value("kms_payload_size_bytes_sum", {{"operation", operation}});
  };
  EXPECT_EQ(payload("public_decrypt_request"), 4000) << "of requests";
  EXPECT_EQ(payload("public_decrypt_result"), 100) << "of responses";
  EXPECT_EQ(text.value("kms_payload_size_bytes_bucket", {{"operation", "keygen_request"}, {"le", "68719476736"}}), 0);
}

// service.md 12: a Sync call counts under the request and result names.
TEST_F(TelemetryTest, ASyncCallIsARequestAndIfThatWasAcceptedAResult) {
  start();
  call(api::method::kPublicDecryptSync);
  call(api::method::kPublicDecryptSync, Code::not_found);
  call(api::method::kPublicDecryptSync, Code::cancelled);
  const auto text = metrics_text();
  EXPECT_EQ(text.value("kms_operations_total", {{"operation", "public_decrypt_request"}}), 3);
  EXPECT_EQ(text.value("kms_operations_total", {{"operation", "public_decrypt_result"}}), 2);
  EXPECT_EQ(text.value("kms_operation_errors_total", {{"operation", "public_decrypt_request"}, {"error", "not_found"}}),
            1);
  EXPECT_EQ(text.value("kms_operation_errors_total", {{"operation", "public_decrypt_result"}, {"error", "cancelled"}}),
            1);
  EXPECT_EQ(text.series("kms_operation_errors_total").size(), 2u);
  EXPECT_EQ(text.value("kms_payload_size_bytes_sum", {{"operation", "public_decrypt_result"}}), 200);
}

TEST_F(TelemetryTest, DecryptionsAndFaultsAreCounted) {
  start();
  telemetry->decryption_ended({tfhe::FheType::uint64, std::nullopt, 20ms});
  telemetry->decryption_ended({tfhe::FheType::uint64, std::nullopt, 30ms});
  telemetry->decryption_ended({tfhe::FheType::boolean, Code::deadline_exceeded, 60s});
  telemetry->fault_seen(Role(4), DecryptionFault::wrong_shares);
  telemetry->fault_seen(Role(4), DecryptionFault::wrong_shares);
  telemetry->fault_seen(Role(1), DecryptionFault::other_content);
  const auto text = metrics_text();
  EXPECT_EQ(text.value("kms_operations_total", {{"operation", "public_decrypt_inner"}}), 3);
  EXPECT_EQ(text.value("kms_operation_errors_total", {{"operation", "public_decrypt_inner"}, {"error", "other"}}), 1);
  const PrometheusText::Labels words = {{"operation_type", "public_decrypt_inner"},
                                        {"party_id", "2"},
                                        {"tfhe_type", "Uint64"},
                                        {"public_decryption_mode", "NoiseFloodSmall"}};
  EXPECT_EQ(text.value("kms_operation_duration_ms_count", words), 2);
  EXPECT_EQ(text.value("kms_operation_duration_ms_sum", words), 50);
  EXPECT_EQ(text.value("kms_party_faults_total", {{"party", "4"}, {"fault", "wrong_shares"}}), 2);
  EXPECT_EQ(text.value("kms_party_faults_total", {{"party", "1"}, {"fault", "other_content"}}), 1);
  EXPECT_EQ(text.value("kms_party_faults_total", {{"party", "2"}, {"fault", "other_content"}}), 0);
  EXPECT_EQ(text.series("kms_party_faults_total").size(), 8u) << "two for each party of four";
}

TEST_F(TelemetryTest, TheLoopGivesItsPart) {
  start();
  serve();
  const auto text = metrics_text();
  EXPECT_EQ(text.value("held"), 7);
  EXPECT_EQ(text.value("kms_loop_answered"), 1);
  EXPECT_LT(text.value("kms_loop_delay_seconds"), 0.5);
  EXPECT_EQ(snapshots, 1);
}

TEST_F(TelemetryTest, ALoopThatHangsCostsItsPartAndNoMore) {
  start();
  serve();
  call(api::method::kPublicDecrypt);
  const auto release = block_loop();
  const auto begun = Clock::now();
  const auto text = metrics_text();
  EXPECT_LT(Clock::now() - begun, 5s);
  EXPECT_EQ(text.value("kms_loop_answered"), 0);
  EXPECT_GE(text.value("kms_loop_delay_seconds"), 0.5);
  EXPECT_FALSE(text.find("held"));
  EXPECT_EQ(text.value("kms_operations_total", {{"operation", "public_decrypt_request"}}), 1);
  EXPECT_EQ(get("/live").body, "alive");
  release->set_value();
  EXPECT_EQ(metrics_text().value("kms_loop_answered"), 1);
}

TEST_F(TelemetryTest, ItEndsWhileSomebodyAsks) {
  start();
  serve();
  const auto release = block_loop();
  const witan::test::HttpConnection asking(telemetry->port());
  asking.send("GET /metrics HTTP/1.1\r\n\r\n");
  std::this_thread::sleep_for(50ms);  // it waits for the loop
  const auto begun = Clock::now();
  telemetry->close();
  EXPECT_LT(Clock::now() - begun, Telemetry::kSnapshotWait - 100ms);
  release->set_value();
  stop_loop();  // runs the question that nobody waits for any more
  EXPECT_EQ(snapshots, 0);
  call(api::method::kPublicDecrypt);  // calls may end later
}

TEST_F(TelemetryTest, SaysWhatItIsAndHowItIsConfigured) {
  start();
  const auto version = get("/version");
  EXPECT_EQ(version.headers.at("Content-Type"), "application/json");
  EXPECT_EQ(nlohmann::json::parse(version.body),
            (nlohmann::json{{"name", "witan-node"}, {"version", "1.2.3 (abc, \"release\")"}}));
  const auto told = get("/config");
  EXPECT_EQ(told.headers.at("Content-Type"), "application/json");
  EXPECT_EQ(told.body, to_json(config));
  const auto text = metrics_text();
  EXPECT_EQ(text.value("kms_version", {{"version", "1.2.3 (abc, \"release\")"}}), 1);
  EXPECT_GT(text.value("kms_process_memory_usage"), 1e6);
  EXPECT_GT(text.value("kms_file_descriptors"), 3);
  EXPECT_GE(text.value("kms_tasks"), 2);
  EXPECT_GE(text.value("kms_process_cpu_usage"), 0);
  EXPECT_GE(text.value("kms_cpu_load"), 0);
  EXPECT_LE(text.value("kms_cpu_load"), 100);
}

TEST_F(TelemetryTest, ProcessorTimeIsThatBetweenScrapes) {
  start();
  static_cast<void>(metrics_text());
  const auto begun = Clock::now();
  const double before = metrics::process_usage().processor_seconds;
  while (metrics::process_usage().processor_seconds < before + 0.4) continue;  // that is work
  const double busy = metrics_text().value("kms_process_cpu_usage");
  const double passed = std::chrono::duration<double>(Clock::now() - begun).count();
  EXPECT_GT(busy, 50 * 0.4 / passed);
  EXPECT_LT(busy, 100 * std::thread::hardware_concurrency() + 50);
  std::this_thread::sleep_for(1s);
  EXPECT_LT(metrics_text().value("kms_process_cpu_usage"), busy / 2);
}

TEST_F(TelemetryTest, MaterialOnTheDiskIsMeasured) {
  start();
  EXPECT_EQ(metrics_text().value("kms_key_material_bytes"), 0) << "there is no folder yet";
  const std::string zeros(63, '0');
  test::write_file(config.material_folder() / (zeros + "a"), Bytes(1000));
  test::write_file(config.material_folder() / (zeros + "b"), Bytes(234));
  test::write_file(config.material_folder() / "owner", Bytes(42));
  EXPECT_EQ(metrics_text().value("kms_key_material_bytes"), 1234);
}

TEST_F(TelemetryTest, LabelsOfTheOperatorAreInEverySeries) {
  start("network=devnet,zone=b");
  call(api::method::kPublicDecrypt);
  serve();
  const auto text = metrics_text();
  std::size_t series = 0;
  for (const std::string& family : text.families())
    for (const char* suffix : {"", "_bucket", "_sum", "_count"})
      for (const auto& [labels, value] : text.series(family + suffix)) {
        ++series;
        EXPECT_EQ(labels.at("network"), "devnet") << family;
        EXPECT_EQ(labels.at("zone"), "b") << family;
      }
  EXPECT_GT(series, 50u);
  EXPECT_EQ(text.value("held", {{"network", "devnet"}, {"zone", "b"}}), 7);
}

TEST_F(TelemetryTest, WhatCannotWorkIsAnErrorOfTheStart) {
  EXPECT_THAT(said(make("network")), AllOf(HasSubstr("INVALID_ARGUMENT: KMS_METRICS_LABELS: label 1 'network'")));
  EXPECT_THAT(said(make("party_id=3")), HasSubstr("the name is taken"));
  start();
  config.metrics_address->port = telemetry->port();
  EXPECT_THAT(said(make()), AllOf(HasSubstr("UNAVAILABLE: telemetry.metrics_bind_address"), HasSubstr("in use")));
}

}  // namespace
}  // namespace witan::node
