#include "cli/committee.h"

#include <charconv>
#include <fstream>
#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>

#include "api/client.h"
#include "cli/process.h"
#include "crypto/ids.h"

namespace witan::cli {
namespace {

using std::filesystem::path;
using Clock = std::chrono::steady_clock;

constexpr auto kCallTimeout = std::chrono::seconds(5), kSendEpoch = std::chrono::seconds(10);

std::string identity_of(int party) {
  return fmt::format("party{}.committee.witan.test", party);
}

std::string node_config(const PartyInfo& self, const Committee& committee, const SetUpOptions& options,
                        const std::string& extra) {
  std::string out = fmt::format(R"(# Party {0} of a committee on this machine.

[service]
listen_address = "127.0.0.1"
listen_port = {1}

[public_vault.storage.file]
path = "vault"
prefix = "PUB-p{0}"

[private_vault.storage.file]
path = "vault"
prefix = "PRIV-p{0}"

[journal]
path = "journal.db"

[threshold]
listen_address = "127.0.0.1"
listen_port = {2}
threshold = {3}
my_id = {0}

[threshold.tls.manual]
cert.path = "tls/cert.pem"
key.path = "tls/key.pem"

[telemetry]
metrics_bind_address = "{5}"

[threshold.core_to_core_net]
network_timeout = {6}

[internal_config]
message_delay_ms = {4}
)",
                                self.id, self.service_port, self.mpc_port, committee.threshold,
                                options.message_delay.count(), self.metrics_address(), options.network_timeout.count());
  for (const PartyInfo& peer : committee.parties) {
    const path ca =
        path("..") / peer.folder.filename() / "vault" / peer.prefix() / "CACert" / crypto::signing_key_id().hex();
    out += fmt::format(R"(
[[threshold.peers]]
party_id = {}
address = "localhost"
port = {}
mpc_identity = "{}"
tls_cert.path = "{}"
)",
                       peer.id, peer.mpc_port, peer.identity, ca.string());
  }
  if (committee.has_test_nodes())
    out += fmt::format("\n[insecure]\nimport_dir = \"{}\"\n", (self.folder / "import").string());
  return out + extra;
}

Status write_text(const path& file, const std::string& text) {
  std::ofstream out(file, std::ios::binary | std::ios::trunc);
  if (!(out << text) || !out.flush()) return fail(Code::unavailable, "cannot write {}", file.string());
  return {};
}

Result<std::string> read_text(const path& file) {
  std::ifstream in(file, std::ios::binary);
  if (!in) return fail(Code::not_found, "cannot read {}", file.string());
  std::string text(std::istreambuf_iterator<char>(in), {});
  if (in.bad()) return fail(Code::not_found, "cannot read {}", file.string());
  return text;
}

Status make_keys(Committee& committee, PartyInfo& party) {
  auto output = run_process({committee.node_program.string(), "gen-keys", "--config-file", party.config().string(),
                             "--tls-subject", party.identity, "--tls-san", "localhost"},
                            std::chrono::seconds(60));
  if (!output) return fail(std::move(output).error());
  if (output->exit_code != 0)
    return fail(Code::internal, "witan-node gen-keys of party {} ended with {}: {}", party.id, output->exit_code,
                output->text);
  WITAN_ASSIGN(party.signer, read_text(party.public_vault() / "VerfAddress" / crypto::signing_key_id().hex()));
  return {};
}

Status save(const Committee& committee) {
  nlohmann::json parties = nlohmann::json::array();
  for (const PartyInfo& p : committee.parties)
    parties.push_back({{"id", p.id},
                       {"identity", p.identity},
                       {"service_port", p.service_port},
                       {"mpc_port", p.mpc_port},
                       {"metrics_port", p.metrics_port},
                       {"signer", p.signer}});
  const nlohmann::json file = {{"version", 1},
                               {"threshold", committee.threshold},
                               {"base_port", committee.base_port},
                               {"node_program", committee.node_program.string()},
                               {"parties", parties}};
  return write_text(committee.folder / "committee.json", file.dump(2) + "\n");
}

std::vector<PartyInfo> selected(const Committee& committee, const std::vector<int>& only) {
  if (only.empty()) return committee.parties;
  std::vector<PartyInfo> out;
  for (const int id : only) out.push_back(committee.party(id));
  return out;
}

/// "...; key <id> origin=<origin> params=<name> ...; ..."
std::vector<KeyStatus> keys_in(const std::string& storage_info) {
  std::vector<KeyStatus> out;
  constexpr std::string_view kKey = "; key ";
  constexpr std::size_t kIdDigits = 64;
  for (std::size_t at = storage_info.find(kKey); at != std::string::npos; at = storage_info.find(kKey, at + 1)) {
    const std::size_t begin = at + kKey.size();
    const std::string entry = storage_info.substr(begin, storage_info.find(';', begin) - begin);
    const auto value = [&entry](std::string_view name) {
      const std::size_t found = entry.find(name);
      if (found == std::string::npos) return std::string();
      const std::size_t from = found + name.size();
      return entry.substr(from, entry.find(' ', from) - from);
    };
    KeyStatus key{entry.substr(0, kIdDigits), value(" origin="), value(" params=")};
    if (!key.origin.empty()) out.push_back(std::move(key));
  }
  return out;
}

int count_reachable(const api::HealthStatusResponse& health) {
  int least = Role::kMax;
  for (const auto& context : health.peers_from_all_contexts)
    least = std::min(least, static_cast<int>(context.nodes_reachable));
  return health.peers_from_all_contexts.empty() ? 0 : least;
}

}  // namespace

std::string log_tail(const path& log, std::size_t lines) {
  auto text = read_text(log);
  if (!text) return text.error().message;
  std::size_t at = text->size();
  for (std::size_t i = 0; i <= lines && at != std::string::npos && at > 0; ++i) at = text->rfind('\n', at - 1);
  return at == std::string::npos || at == 0 ? *text : text->substr(at + 1);
}

Result<Committee> load_committee(const path& folder) {
  Committee committee;
  std::error_code ignored;
  committee.folder = std::filesystem::weakly_canonical(folder, ignored);
  auto text = read_text(committee.folder / "committee.json");
  if (!text)
    return fail(Code::not_found, "there is no committee in {}; make one with: witan committee up --dir {}",
                folder.string(), folder.string());
  const auto json = nlohmann::json::parse(*text, nullptr, false);
  try {
    if (json.is_discarded() || json.at("version") != 1) throw std::runtime_error("not version 1");
    committee.threshold = json.at("threshold").get<int>();
    committee.node_program = json.at("node_program").get<std::string>();
    committee.base_port = json.value("base_port", std::uint16_t{0});
    for (const auto& entry : json.at("parties")) {
      PartyInfo party;
      party.id = entry.at("id").get<int>();
      party.identity = entry.at("identity").get<std::string>();
      party.service_port = entry.at("service_port").get<std::uint16_t>();
      party.mpc_port = entry.at("mpc_port").get<std::uint16_t>();
      party.metrics_port = entry.value("metrics_port", std::uint16_t{0});
      party.signer = entry.at("signer").get<std::string>();
      party.folder = committee.folder / fmt::format("party-{}", party.id);
      if (party.id != committee.size() + 1) throw std::runtime_error("parties out of order");
      committee.parties.push_back(std::move(party));
    }
    if (committee.threshold < 1 || committee.size() != 3 * committee.threshold + 1)
      throw std::runtime_error(
          fmt::format("{} parties with threshold {}, expected 3t+1", committee.size(), committee.threshold));
  } catch (const std::exception& error) {
    return fail(Code::data_loss, "{}/committee.json: {}", folder.string(), error.what());
  }
  return committee;
}

Result<Committee> set_up_committee(const SetUpOptions& options, const Progress& progress) {
  if ((options.parties - 1) % 3 != 0)
    return fail(Code::invalid_argument, "{} parties: a committee has 3t+1 (4, 7, 10, 13)", options.parties);
  WITAN_ASSIGN(const CommitteeSize size, CommitteeSize::make(options.parties, (options.parties - 1) / 3));
  std::error_code code;
  std::filesystem::create_directories(options.folder, code);
  if (code) return fail(Code::unavailable, "cannot create {}: {}", options.folder.string(), code.message());
  Committee committee;
  committee.folder = std::filesystem::canonical(options.folder);
  if (std::filesystem::exists(committee.folder / "committee.json"))
    return fail(Code::already_exists, "there is a committee in {} already", committee.folder.string());
  committee.threshold = size.threshold();
  const path programs = options.programs.empty() ? program_folder() : options.programs;
  committee.node_program = programs / (options.test_nodes ? "witan-node-test" : "witan-node");
  if (!std::filesystem::exists(committee.node_program))
    return fail(Code::not_found, "{} is not there; build it with ./dev build", committee.node_program.string());

  committee.base_port = options.base_port;
  WITAN_ASSIGN(const auto ports, free_ports(3 * static_cast<std::size_t>(size.parties()), options.base_port));
  for (int i = 1; i <= size.parties(); ++i) {
    PartyInfo party;
    party.id = i;
    party.identity = identity_of(i);
    party.service_port = ports[2 * static_cast<std::size_t>(i - 1)];
    party.mpc_port = ports[2 * static_cast<std::size_t>(i - 1) + 1];
    party.metrics_port = ports[2 * static_cast<std::size_t>(size.parties()) + static_cast<std::size_t>(i - 1)];
    party.folder = committee.folder / fmt::format("party-{}", i);
    std::filesystem::create_directories(party.folder, code);
    if (code) return fail(Code::unavailable, "cannot create {}: {}", party.folder.string(), code.message());
    committee.parties.push_back(std::move(party));
  }
  for (PartyInfo& party : committee.parties) {
    const auto extra = options.extra_config.find(party.id);
    WITAN_TRY(write_text(party.config(), node_config(party, committee, options,
                                                     extra == options.extra_config.end() ? "" : extra->second)));
    WITAN_TRY(make_keys(committee, party));
    progress(fmt::format("party {}: {}, signs as {}", party.id, party.identity, party.signer));
  }
  WITAN_TRY(save(committee));
  return committee;
}

int party_pid(const PartyInfo& party) {
  const auto text = read_text(party.folder / "pid");
  int pid = 0;
  if (text) std::from_chars(text->data(), text->data() + text->size(), pid);
  return pid;
}

bool party_runs(const PartyInfo& party) {
  return process_runs(party_pid(party), party.config().string());
}

Status start_parties(const Committee& committee, const std::vector<int>& only) {
  for (const PartyInfo& party : selected(committee, only)) {
    if (party_runs(party)) continue;
    WITAN_ASSIGN(
        const int pid,
        start_detached({committee.node_program.string(), "--config-file", party.config().string()}, party.log()));
    WITAN_TRY(write_text(party.folder / "pid", std::to_string(pid) + "\n"));
  }
  return {};
}

void stop_parties(const Committee& committee, const std::vector<int>& only, bool kill) {
  std::vector<std::jthread> stopping;
  for (const PartyInfo& party : selected(committee, only))
    stopping.emplace_back([party, kill] {
      const std::string config = party.config().string();
      if (kill)
        kill_process(party_pid(party), config);
      else
        stop_process(party_pid(party), config, std::chrono::seconds(10));
    });
}

Status wait_until_healthy(const Committee& committee, std::chrono::seconds timeout, const std::vector<int>& only,
                          int reachable) {
  const auto deadline = Clock::now() + timeout;
  for (const PartyInfo& party : selected(committee, only)) {
    const api::KmsClient client({.address = party.address(), .timeout = kCallTimeout});
    for (;;) {
      const auto health = client.get_health_status();
      if (health && count_reachable(*health) >= (reachable == 0 ? committee.size() : reachable)) break;
      if (!party_runs(party))
        return fail(Code::unavailable, "party {} has stopped; the end of {}:\n{}", party.id, party.log().string(),
                    log_tail(party.log(), 5));
      if (Clock::now() > deadline)
        return fail(Code::deadline_exceeded, "party {} is not healthy after {} s ({}); the end of {}:\n{}", party.id,
                    timeout.count(),
                    health ? fmt::format("it reaches {} of {} parties", count_reachable(*health), committee.size())
                           : health.error().message,
                    party.log().string(), log_tail(party.log(), 5));
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
  }
  return {};
}

std::vector<PartyStatus> committee_status(const Committee& committee) {
  std::vector<PartyStatus> out;
  for (const PartyInfo& party : committee.parties)
    out.push_back({party, party_runs(party) ? party_pid(party) : 0, fail(Code::unavailable, "not running"), {}});
  std::vector<std::jthread> asking;
  for (PartyStatus& status : out) {
    if (status.pid == 0) continue;
    asking.emplace_back([&status] {
      const api::KmsClient client({.address = status.party.address(), .timeout = kCallTimeout});
      status.health = client.get_health_status();
      if (status.health) status.keys = keys_in(status.health->my_storage_info);
    });
  }
  asking.clear();
  return out;
}

Result<std::vector<KeyStatus>> keys_of(const PartyInfo& party) {
  const api::KmsClient client({.address = party.address(), .timeout = kCallTimeout});
  WITAN_ASSIGN(const auto health, client.get_health_status());
  return keys_in(health.my_storage_info);
}

std::chrono::seconds epoch_timeout(int parties, std::chrono::seconds network_timeout) {
  const int threshold = (parties - 1) / 3;
  return 2 * (threshold + 8) * network_timeout + std::chrono::seconds(10);
}

namespace {

/// NewMpcEpoch, unless it has the epoch, and its end.
Status ensure_epoch_at(const PartyInfo& party, Clock::time_point deadline) {
  const api::KmsClient client({.address = party.address(), .timeout = kCallTimeout});
  const api::IdRequest epoch{default_epoch_id().hex()};
  api::NewMpcEpochRequest request;
  request.context_id = default_context_id().hex();
  request.epoch_id = default_epoch_id().hex();
  // No answer, or "not yet": also of a party that did not hear us, so it is asked until it has said that it knows.
  const auto may_pass = [](const Error& error) {
    return error.code == Code::unavailable || error.code == Code::deadline_exceeded;
  };
  for (const auto until = Clock::now() + kSendEpoch;; std::this_thread::sleep_for(std::chrono::milliseconds(50))) {
    if (client.get_epoch_result(epoch)) return {};
    const auto sent = client.new_mpc_epoch(request);
    if (sent || sent.error().code == Code::already_exists) break;  // its result says what became of it
    if (!may_pass(sent.error()) || Clock::now() > until) return fail(sent.error());
  }
  for (;; std::this_thread::sleep_for(std::chrono::milliseconds(20))) {
    const auto result = client.get_epoch_result(epoch);
    if (result) return {};
    if (!may_pass(result.error()) || Clock::now() > deadline) return fail(result.error());
  }
}

}  // namespace

Result<std::map<int, std::string>> ensure_epoch(const Committee& committee, std::chrono::seconds timeout) {
  const auto deadline = Clock::now() + timeout;
  std::map<int, std::string> without;
  std::mutex mutex;
  std::vector<std::jthread> asking;
  for (const PartyInfo& party : committee.parties)
    asking.emplace_back([&] {
      const Status has = ensure_epoch_at(party, deadline);
      const std::lock_guard lock(mutex);
      if (!has) without[party.id] = has.error().message;
    });
  asking.clear();
  if (static_cast<int>(without.size()) <= committee.threshold) return without;
  std::string text;
  for (const auto& [party, why] : without) text += fmt::format("\n  party {}: {}", party, why);
  return fail(Code::unavailable, "{} of {} parties have the epoch, {} are needed:{}",
              committee.size() - static_cast<int>(without.size()), committee.size(),
              committee.size() - committee.threshold, text);
}

}  // namespace witan::cli
