#include "node/telemetry.h"

#include <algorithm>
#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <nlohmann/json.hpp>

#include "api/method_names.h"
#include "base/check.h"
#include "base/ids.h"
#include "base/log.h"

namespace witan::node {

using metrics::Family;
using metrics::HttpAnswer;
using metrics::Type;

namespace {

using Steady = std::chrono::steady_clock;

double seconds_since(Steady::time_point from) {
  return std::chrono::duration<double>(Steady::now() - from).count();
}

constexpr const char* kJson = "application/json";
/// How often processor time is looked at, at most.
constexpr auto kProcessorsEvery = std::chrono::milliseconds(200);

/// Labels of series: an operator's own must have other names.
const std::vector<std::string_view> kTakenLabels = {"operation", "operation_type",
                                                    "error",     "party_id",
                                                    "tfhe_type", "public_decryption_mode",
                                                    "version",   "user_decryption_mode",
                                                    "party",     "fault",
                                                    "reason",    "public_objects",
                                                    "key_id",    "epoch_id",
                                                    "request",   "stage"};

const std::vector<std::uint64_t> kDurationsMs = {1,    5,    10,   25,    50,    100,   250,    500,
                                                 1000, 2500, 5000, 10000, 30000, 60000, 120000, 300000};

std::vector<std::uint64_t> payload_bounds() {
  std::vector<std::uint64_t> out;
  for (int bits = 10; bits <= 36; bits += 2) out.push_back(std::uint64_t{1} << bits);
  return out;
}

struct NamedMethod {
  const char* method;
  std::vector<const char*> operations;
};
const std::vector<NamedMethod>& named_methods() {
  static const std::vector<NamedMethod> out = {
      {api::method::kKeyGenPreproc, {"keygen_preproc_request"}},
      {api::method::kGetKeyGenPreprocResult, {"keygen_preproc_result"}},
      {api::method::kKeyGen, {"keygen_request"}},
      {api::method::kGetKeyGenResult, {"keygen_result"}},
      {api::method::kAbortKeyGen, {"keygen_abort"}},
      {api::method::kPublicDecrypt, {"public_decrypt_request"}},
      {api::method::kGetPublicDecryptionResult, {"public_decrypt_result"}},
      {api::method::kPublicDecryptSync, {"public_decrypt_request", "public_decrypt_result"}},
      {api::method::kNewMpcEpoch, {"new_mpc_epoch"}},
      {api::method::kGetEpochResult, {"get_mpc_epoch_result"}},
      {api::method::kDestroyMpcEpoch, {"destroy_mpc_epoch"}},
      {api::method::kGetKeyMaterialAvailability, {"key_material_availability"}},
  };
  return out;
}

/// "/package.Service/GetHealthStatus" -> "get_health_status".
std::string operation_name(std::string_view method) {
  std::string out;
  for (const char c : method.substr(method.rfind('/') + 1)) {
    const bool upper = c >= 'A' && c <= 'Z';
    if (upper && !out.empty()) out += '_';
    out += upper ? static_cast<char>(c - 'A' + 'a') : c;
  }
  return out;
}

/// service.md 12.
const char* error_name(Code code) {
  switch (code) {
    case Code::failed_precondition:
      return "failed_precondition";
    case Code::resource_exhausted:
      return "resource_exhausted";
    case Code::cancelled:
      return "cancelled";
    case Code::invalid_argument:
      return "invalid_argument";
    case Code::aborted:
      return "aborted";
    case Code::already_exists:
      return "already_exists";
    case Code::not_found:
      return "not_found";
    case Code::internal:
      return "internal_error";
    case Code::unavailable:
      return "unavailable";
    default:
      return "other";
  }
}

/// With such an error a request was not accepted, so that there is no result to speak of.
bool is_refusal(Code code) {
  return code == Code::invalid_argument || code == Code::not_found || code == Code::already_exists ||
         code == Code::resource_exhausted || code == Code::failed_precondition;
}

bool gives_results(std::string_view operation) {
  return operation.ends_with("_result");
}

std::uint64_t milliseconds(std::chrono::nanoseconds duration) {
  return static_cast<std::uint64_t>(
      std::max<std::int64_t>(0, std::chrono::duration_cast<std::chrono::milliseconds>(duration).count()));
}

/// Nothing if the folder cannot be read.
std::optional<std::uint64_t> material_bytes_in(const std::filesystem::path& folder) {
  std::error_code code;
  std::filesystem::directory_iterator it(folder, code);
  if (code == std::errc::no_such_file_or_directory) return 0;
  std::uint64_t out = 0;
  for (const std::filesystem::directory_iterator end; !code && it != end; it.increment(code)) {
    if (!PreprocId::parse(it->path().filename().native())) continue;  // whose folder it is
    std::error_code gone;                                             // a file that is erased meanwhile
    const auto size = it->file_size(gone);
    if (!gone) out += size;
  }
  if (code) return std::nullopt;
  return out;
}

void add(std::vector<Family>& out, const char* name, const char* help, std::optional<double> value,
         Type type = Type::gauge) {
  if (value) out.push_back({name, help, type, {{{}, *value}}});
}
void add_integer(std::vector<Family>& out, const char* name, const char* help, std::optional<std::uint64_t> value) {
  if (value) add(out, name, help, static_cast<double>(*value));
}

constexpr const char* kOperationsHelp = "Calls and inner operations that have ended.";
constexpr const char* kErrorsHelp = "Those that ended with an error.";
constexpr const char* kDurationHelp = "Milliseconds from beginning to end.";
constexpr const char* kPayloadHelp = "Bytes of request messages, of response messages for results.";
constexpr const char* kFaultsHelp = "What a party was seen to do in decryptions.";

}  // namespace

struct Telemetry::Shared {
  enum class State : std::uint8_t { starting, serving, stopping };
  std::atomic<State> state = State::starting;
  Snapshot snapshot;  // loop thread
  std::mutex mutex;
  std::condition_variable changed;
  bool closing = false;  // under the mutex, as replies are
};

Result<std::unique_ptr<Telemetry>> Telemetry::start(const Config& config, const About& about, std::string_view labels,
                                                    runtime::Loop& loop) {
  WITAN_CHECK(config.metrics_address.has_value());
  auto constant = metrics::parse_labels(labels, kTakenLabels);
  if (!constant) return fail(std::move(constant).error().within(kLabelsVariable));
  std::unique_ptr<Telemetry> out(new Telemetry(config, about, *std::move(constant), loop));
  WITAN_TRY(out->listen());
  return out;
}

Telemetry::Telemetry(const Config& config, const About& about, metrics::Labels labels, runtime::Loop& loop)
    : config_(config),
      about_(about),
      loop_(loop),
      party_(std::to_string(config.threshold.my_id)),
      config_text_(to_json(config)),
      version_text_(nlohmann::ordered_json{{"name", about.program}, {"version", about.version}}.dump() + "\n"),
      registry_(std::move(labels)),
      shared_(std::make_shared<Shared>()) {
  processors_.at = begun_;
  processors_.process_seconds = metrics::process_usage().processor_seconds;
  for (const auto& [method, names] : named_methods())
    for (const char* name : names) {
      const auto known = std::ranges::find(operations_, std::string_view(name),
                                           [](const auto& operation) { return std::string_view(operation->name); });
      Operation& operation = known != operations_.end() ? **known : add_operation(name);
      operation.payload =
          &registry_.histogram("kms_payload_size_bytes", kPayloadHelp, payload_bounds(), {{"operation", name}});
      by_method_[method].push_back(&operation);
    }
  inner_ = &add_operation("public_decrypt_inner");
  startup_ = &add_operation("system_startup");
  for (int party = 1; party <= config.committee_size().parties(); ++party) {
    const auto series = [&](const char* fault) {
      return &registry_.counter("kms_party_faults_total", kFaultsHelp,
                                {{"party", std::to_string(party)}, {"fault", fault}});
    };
    faults_.push_back({series("wrong_shares"), series("other_content")});
  }
  registry_.add_collector([this] { return collect(); });
}

Telemetry::~Telemetry() {
  close();
}

Status Telemetry::listen() {
  auto server = metrics::HttpServer::start({.address = *config_.metrics_address},
                                           [this](std::string_view path) { return answer(path); });
  if (!server) return fail(std::move(server).error().within("telemetry.metrics_bind_address"));
  server_ = *std::move(server);
  return {};
}

std::uint16_t Telemetry::port() const {
  return server_->port();
}

void Telemetry::serving(Snapshot snapshot) {
  loop_.post([shared = shared_, snapshot = std::move(snapshot)]() mutable {
    shared->snapshot = std::move(snapshot);
    shared->state = Shared::State::serving;
  });
  startup_->count->add();
  startup_->duration->observe(milliseconds(Steady::now() - begun_));
}

void Telemetry::stopping() {
  shared_->state = Shared::State::stopping;
}

void Telemetry::close() {
  {
    const std::lock_guard lock(shared_->mutex);
    shared_->closing = true;
  }
  shared_->changed.notify_all();
  server_.reset();
  shared_->snapshot = nullptr;
}

// Counting.

Telemetry::Operation& Telemetry::add_operation(const char* name) {
  auto operation = std::make_unique<Operation>();
  operation->name = name;
  operation->count = &registry_.counter("kms_operations_total", kOperationsHelp, {{"operation", name}});
  if (std::string_view(name) != "public_decrypt_inner")  // that has more labels
    operation->duration = &registry_.histogram("kms_operation_duration_ms", kDurationHelp, kDurationsMs,
                                               {{"operation_type", name}, {"party_id", party_}});
  operations_.push_back(std::move(operation));
  return *operations_.back();
}

void Telemetry::count_error(Operation& operation, Code code) {
  auto& place = operation.errors.at(static_cast<std::size_t>(code));
  metrics::Counter* counter = place.load(std::memory_order_acquire);
  if (counter == nullptr) {
    counter = &registry_.counter("kms_operation_errors_total", kErrorsHelp,
                                 {{"operation", operation.name}, {"error", error_name(code)}});
    place.store(counter, std::memory_order_release);
  }
  counter->add();
}

void Telemetry::count(Operation& operation, const api::CallReport& report, std::size_t payload_bytes) {
  operation.count->add();
  if (report.error) count_error(operation, *report.error);
  operation.duration->observe(milliseconds(report.took));
  if (payload_bytes > 0) operation.payload->observe(payload_bytes);
}

void Telemetry::call_ended(const api::CallReport& report) {
  const auto found = by_method_.find(report.method);
  if (found == by_method_.end()) return count_other(report);
  const std::vector<Operation*>& operations = found->second;
  if (operations.size() == 1) {
    Operation& only = *operations.front();
    return count(only, report, gives_results(only.name) ? report.response_bytes : report.request_bytes);
  }
  // The caller has asked and waited for the result in one call.
  const bool refused = report.error && is_refusal(*report.error);
  api::CallReport request = report;
  if (!refused) request.error = std::nullopt;
  count(*operations[0], request, report.request_bytes);
  if (!refused) count(*operations[1], report, report.response_bytes);
}

/// Of rare calls, for operators and tests: not those that chains ask for.
void Telemetry::count_other(const api::CallReport& report) {
  const std::string name = operation_name(report.method);
  registry_.counter("kms_operations_total", kOperationsHelp, {{"operation", name}}).add();
  if (report.error)
    registry_
        .counter("kms_operation_errors_total", kErrorsHelp, {{"operation", name}, {"error", error_name(*report.error)}})
        .add();
}

void Telemetry::decryption_ended(const DecryptionOutcome& outcome) {
  inner_->count->add();
  if (outcome.error) count_error(*inner_, *outcome.error);
  metrics::Histogram*& duration = inner_by_type_[outcome.type];
  if (duration == nullptr)
    duration = &registry_.histogram("kms_operation_duration_ms", kDurationHelp, kDurationsMs,
                                    {{"operation_type", inner_->name},
                                     {"party_id", party_},
                                     {"tfhe_type", std::string(tfhe::info(outcome.type).name)},
                                     {"public_decryption_mode", "NoiseFloodSmall"}});
  duration->observe(milliseconds(outcome.took));
}

void Telemetry::fault_seen(Role party, DecryptionFault fault) {
  faults_.at(party.index()).at(fault == DecryptionFault::wrong_shares ? 0 : 1)->add();
}

// Telling, on the HTTP thread.

std::optional<HttpAnswer> Telemetry::answer(std::string_view path) {
  if (path == "/metrics") return HttpAnswer{200, metrics::Registry::kContentType, registry_.text()};
  if (path == "/health") return HttpAnswer{.body = "ok"};
  if (path == "/live") return HttpAnswer{.body = "alive"};
  if (path == "/ready") return readiness();
  if (path == "/version") return HttpAnswer{200, kJson, version_text_};
  if (path == "/config") return HttpAnswer{200, kJson, config_text_};
  return std::nullopt;
}

HttpAnswer Telemetry::readiness() const {
  switch (shared_->state) {
    case Shared::State::starting:
      return {.status = 503, .body = "starting"};
    case Shared::State::serving:
      return {.body = "ready"};
    case Shared::State::stopping:
      break;
  }
  return {.status = 503, .body = "stopping"};
}

std::vector<Family> Telemetry::collect() {
  std::vector<Family> out;
  out.push_back({"kms_version", "Always 1.", Type::gauge, {{{{"version", about_.version}}, 1}}});
  add_integer(out, "kms_key_material_bytes", "Files of preprocessings, on the disk.",
              material_bytes_in(config_.material_folder()));
  add_usage(out);
  if (shared_->state != Shared::State::starting) add_snapshot(out);
  return out;
}

void Telemetry::add_snapshot(std::vector<Family>& out) {
  struct Reply {
    std::optional<std::vector<Family>> families;  // under Shared::mutex
    double delay_seconds = 0;
  };
  const auto reply = std::make_shared<Reply>();
  const auto posted = Steady::now();
  loop_.post([shared = shared_, reply, posted] {
    const double delay = seconds_since(posted);
    std::vector<Family> families;
    if (shared->snapshot) families = shared->snapshot();
    {
      const std::lock_guard lock(shared->mutex);
      reply->delay_seconds = delay;
      reply->families = std::move(families);
    }
    shared->changed.notify_all();
  });
  std::unique_lock lock(shared_->mutex);
  const bool answered = shared_->changed.wait_for(lock, kSnapshotWait, [&] {
    return reply->families || shared_->closing;
  }) && reply->families;
  add(out, "kms_loop_answered", "0 if the loop has not given its part of these metrics in time: it is missing.",
      answered ? 1.0 : 0.0);
  add(out, "kms_loop_delay_seconds",
      "From the question to the loop's turn for it; without an answer, how long was waited.",
      answered ? reply->delay_seconds : seconds_since(posted));
  if (answered) std::ranges::move(*reply->families, std::back_inserter(out));
}

void Telemetry::add_usage(std::vector<Family>& out) {
  const metrics::ProcessUsage process = metrics::process_usage();
  const metrics::MachineUsage machine = metrics::machine_usage();
  const auto now = Steady::now();
  Processors& last = processors_;
  if (now - last.at >= kProcessorsEvery) {
    const double passed = std::chrono::duration<double>(now - last.at).count();
    last.process_percent = 100.0 * (process.processor_seconds - last.process_seconds) / passed;
    const std::uint64_t all = machine.all_ticks.value_or(0), busy = machine.busy_ticks.value_or(0);
    if (all > last.all_ticks)
      last.machine_percent =
          100.0 * static_cast<double>(busy - last.busy_ticks) / static_cast<double>(all - last.all_ticks);
    last.at = now;
    last.process_seconds = process.processor_seconds;
    last.all_ticks = all;
    last.busy_ticks = busy;
  }
  add_integer(out, "kms_tasks", "Threads of this process.", process.threads);
  add_integer(out, "kms_file_descriptors", "Of this process.", process.file_descriptors);
  add_integer(out, "kms_process_memory_usage", "Resident bytes of this process.", process.memory_bytes);
  add(out, "kms_process_cpu_usage", "Processor time of this process between scrapes, in percent of one processor.",
      last.process_percent);
  add(out, "kms_process_cpu_seconds_total", "Processor time of this process.", process.processor_seconds,
      Type::counter);
  add_integer(out, "kms_total_cpus", "Processors of this machine.", machine.processors);
  add_integer(out, "kms_total_memory", "Bytes of this machine.", machine.memory_bytes);
  add_integer(out, "kms_memory_usage", "Bytes of this machine that are in use.", machine.memory_used_bytes);
  add(out, "kms_cpu_load", "Of all processors of this machine between scrapes, in percent.", last.machine_percent);
}

}  // namespace witan::node
