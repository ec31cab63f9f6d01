// What a node tells about itself over HTTP, to whoever asks (service.md 12, docs/metrics.md): /metrics, /health, /ready, /live,
// /version, /config. Nothing of it is secret.
//
//   thread                    does
//   the API's, the loop       counts: relaxed additions; a lock only when a series is new
//   loop                      a snapshot of what the services hold, when /metrics asks for it
//   HTTP                      the texts; it waits for the snapshot at most kSnapshotWait
#pragma once

#include <array>
#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "api/server.h"
#include "metrics/http_server.h"
#include "metrics/process_usage.h"
#include "metrics/registry.h"
#include "node/about.h"
#include "node/config.h"
#include "node/public_decryptor.h"
#include "runtime/loop.h"

namespace witan::node {

class Telemetry final : public DecryptionObserver {
 public:
  /// The environment variable with labels for all series, as metrics::parse_labels reads them.
  static constexpr const char* kLabelsVariable = "KMS_METRICS_LABELS";
  static constexpr auto kSnapshotWait = std::chrono::milliseconds(500);

  using Snapshot = std::function<std::vector<metrics::Family>()>;

  /// Serves at once: /ready says 503. `config` has a metrics_address (checked) and outlives the telemetry, as does `loop`. `labels`: the
  /// variable's text. Errors: invalid_argument (the labels), unavailable (the address).
  static Result<std::unique_ptr<Telemetry>> start(const Config& config, const About& about, std::string_view labels,
                                                  runtime::Loop& loop);
  ~Telemetry() override;

  std::uint16_t port() const;

  /// The node serves once the loop runs: /ready says so, and `snapshot` is called on the loop thread until close().
  void serving(Snapshot snapshot);
  /// /ready says 503 again. Loop thread.
  void stopping();
  /// Stops the HTTP server; what is counted afterwards nobody sees. Loop thread, or when the loop does not run any more.
  void close();

  /// Any thread, until the telemetry is destroyed.
  void call_ended(const api::CallReport& report);
  void decryption_ended(const DecryptionOutcome& outcome) override;
  void fault_seen(Role party, DecryptionFault fault) override;

 private:
  /// One value of the label `operation`.
  struct Operation {
    const char* name = "";
    metrics::Counter* count = nullptr;
    metrics::Histogram* duration = nullptr;
    metrics::Histogram* payload = nullptr;
    std::array<std::atomic<metrics::Counter*>, 17> errors = {};  // by code; null: there was none
  };
  /// What the loop and the HTTP thread share.
  struct Shared;

  Telemetry(const Config& config, const About& about, metrics::Labels labels, runtime::Loop& loop);
  Status listen();
  Operation& add_operation(const char* name);
  void count(Operation& operation, const api::CallReport& report, std::size_t payload_bytes);
  void count_error(Operation& operation, Code code);
  void count_other(const api::CallReport& report);
  std::optional<metrics::HttpAnswer> answer(std::string_view path);
  metrics::HttpAnswer readiness() const;
  std::vector<metrics::Family> collect();
  void add_snapshot(std::vector<metrics::Family>& out);
  void add_usage(std::vector<metrics::Family>& out);

  const Config& config_;
  const About about_;
  runtime::Loop& loop_;
  const std::chrono::steady_clock::time_point begun_ = std::chrono::steady_clock::now();
  const std::string party_, config_text_, version_text_;
  metrics::Registry registry_;
  std::vector<std::unique_ptr<Operation>> operations_;
  std::map<std::string_view, std::vector<Operation*>> by_method_;  // PublicDecryptSync is two: request and result
  Operation* inner_ = nullptr;                                     // of decryptions
  Operation* startup_ = nullptr;
  std::map<tfhe::FheType, metrics::Histogram*> inner_by_type_;  // loop thread
  std::vector<std::array<metrics::Counter*, 2>> faults_;        // by role
  // HTTP thread: processor time at the last look, and what has come of it.
  struct Processors {
    std::chrono::steady_clock::time_point at;
    double process_seconds = 0;
    std::uint64_t busy_ticks = 0, all_ticks = 0;
    double process_percent = 0, machine_percent = 0;
  } processors_;
  std::shared_ptr<Shared> shared_;
  std::unique_ptr<metrics::HttpServer> server_;  // destroyed first
};

}  // namespace witan::node
