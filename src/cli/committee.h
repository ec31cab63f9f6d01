// A committee of nodes on this machine: configurations, keys and certificates, processes. Everything lies in one folder:
//
//   committee.json            what was set up
//   party-<i>/node.toml       configuration of party i
//   party-<i>/node.log, pid   its process
//   party-<i>/{vault,journal.db,tls}
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "api/types.h"
#include "base/error.h"

namespace witan::cli {

struct PartyInfo {
  int id = 0;
  std::string identity;  // common name of its certificates
  std::uint16_t service_port = 0, mpc_port = 0;
  std::uint16_t metrics_port = 0;  // 0: none, in committees of earlier versions
  std::filesystem::path folder;
  std::string signer;  // EIP-55 address

  std::filesystem::path config() const { return folder / "node.toml"; }
  std::filesystem::path log() const { return folder / "node.log"; }
  std::filesystem::path public_vault() const { return folder / "vault" / prefix(); }
  std::string prefix() const { return "PUB-p" + std::to_string(id); }
  std::string address() const { return "127.0.0.1:" + std::to_string(service_port); }
  std::string metrics_address() const { return "127.0.0.1:" + std::to_string(metrics_port); }
};

struct Committee {
  std::filesystem::path folder;
  std::filesystem::path node_program;
  int threshold = 1;
  std::uint16_t base_port = 0;     // that it was set up with; 0: unknown, in committees of earlier versions
  std::vector<PartyInfo> parties;  // by id

  bool has_test_nodes() const { return node_program.filename() == "witan-node-test"; }
  int size() const { return static_cast<int>(parties.size()); }
  const PartyInfo& party(int id) const { return parties.at(static_cast<std::size_t>(id - 1)); }
};

struct SetUpOptions {
  std::filesystem::path folder;
  int parties = 4;
  std::uint16_t base_port = 20000;  // the first port to try
  bool test_nodes = false;          // witan-node-test instead of witan-node
  std::filesystem::path programs;   // folder of the node programs; empty: that of the running program
  /// internal_config.message_delay_ms of every party: processes of one machine are near to each other, and share its processors.
  std::chrono::milliseconds message_delay{1000};
  /// threshold.core_to_core_net.network_timeout of every party.
  std::chrono::seconds network_timeout{30};
  /// Lines added to node.toml of single parties (fault hooks of witan-node-test).
  std::map<int, std::string> extra_config;
};

using Progress = std::function<void(const std::string& line)>;

/// Reads committee.json. Errors: not_found (with the command that makes one), data_loss.
Result<Committee> load_committee(const std::filesystem::path& folder);

/// Writes configurations, lets each node make its keys and certificates, writes committee.json. Errors: already_exists
/// (there is a committee), invalid_argument (not 3t+1 parties, ...), unavailable.
Result<Committee> set_up_committee(const SetUpOptions& options, const Progress& progress);

/// Starts the processes that do not run (all, or those of `only`).
Status start_parties(const Committee& committee, const std::vector<int>& only = {});
/// Waits until every party of `only` (default: all) answers and sees at least `reachable` parties (default: all).
/// Error: deadline_exceeded naming the party, with the last lines of its log.
Status wait_until_healthy(const Committee& committee, std::chrono::seconds timeout, const std::vector<int>& only = {},
                          int reachable = 0);
/// Stops processes with SIGTERM, or with SIGKILL.
void stop_parties(const Committee& committee, const std::vector<int>& only = {}, bool kill = false);

/// NewMpcEpoch with the default ids at every party, unless they have it, all at once; waits for its end. A party that cannot be reached is
/// asked again for ten seconds. n - t parties with the epoch are enough. Returns the others, with what they say: a party that missed the
/// set-up has no part of the epoch for good. Error: fewer have it.
Result<std::map<int, std::string>> ensure_epoch(const Committee& committee, std::chrono::seconds timeout);
/// Longer than nodes of such a committee wait for each other (mpc::CommonStart::longest_wait, which is checked): so what the caller is told
/// when it fails is what a node says.
std::chrono::seconds epoch_timeout(int parties, std::chrono::seconds network_timeout = SetUpOptions{}.network_timeout);

bool party_runs(const PartyInfo& party);
int party_pid(const PartyInfo& party);  // 0: none known

struct KeyStatus {
  std::string id, origin, params;
};

struct PartyStatus {
  PartyInfo party;
  int pid = 0;  // 0: not running
  Result<api::HealthStatusResponse> health;
  std::vector<KeyStatus> keys;
};
std::vector<PartyStatus> committee_status(const Committee& committee);
/// As the node says that answers at its address, wherever it runs. Errors: those of the call.
Result<std::vector<KeyStatus>> keys_of(const PartyInfo& party);

/// The last lines of a log, for error messages.
std::string log_tail(const std::filesystem::path& log, std::size_t lines);

}  // namespace witan::cli
