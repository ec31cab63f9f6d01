// The commands of `witan`. Each returns an exit code: 0 ok, 1 failed, 2 usage. Results go to standard output (with --json:
// one JSON value and nothing else), progress and errors to standard error.
#pragma once

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"

namespace witan::cli {

inline constexpr int kExitOk = 0;
inline constexpr int kExitFailed = 1;
inline constexpr int kExitUsage = 2;

/// What is not said is as in the existing committee, or the default of a new one (SetUpOptions).
struct CommitteeUp {
  std::filesystem::path dir;
  std::optional<int> parties;
  std::optional<std::uint16_t> base_port;
  bool test_nodes = false;
  std::vector<int> only;  // of an existing committee: start these parties alone
  bool json = false;
};
int run(const CommitteeUp& options);

struct CommitteeStatus {
  std::filesystem::path dir;
  bool json = false;
};
int run(const CommitteeStatus& options);

struct CommitteeDown {
  std::filesystem::path dir;
  std::vector<int> only;
  bool kill = false;  // SIGKILL
  bool json = false;
};
int run(const CommitteeDown& options);

struct Keygen {
  std::filesystem::path dir;
  bool dealt = false;
  std::string params = "test";
  std::optional<std::filesystem::path> import_client_key;
  std::string existing;   // id of a key that is there; empty: new secret keys
  bool keep_tag = false;  // with `existing`
  std::string preproc;    // id of a finished preprocessing to make the key of; empty: a new one
  std::string abort;      // id of a preprocessing to abort or erase, and nothing else
  int timeout_seconds = 3600;
  bool plan = false;  // only say what it will take, of such a committee and machines
  int parties = 4;
  double bandwidth_mbit_per_s = 10'000, latency_ms = 0.5, cores = 2;  // of one party
  bool json = false;
};
int run(const Keygen& options);

struct Encrypt {
  std::filesystem::path dir;
  std::string key, type, value, format = "big-compressed";
  std::filesystem::path out;
  bool json = false;
};
int run(const Encrypt& options);

struct Expand {
  std::filesystem::path dir;
  std::string key, format = "big-compressed";
  std::filesystem::path out_dir, list;
  bool json = false;
};
int run(const Expand& options);

struct Decrypt {
  std::filesystem::path dir;
  std::string key, format = "big-compressed";
  std::vector<std::string> types;  // one for all files, or one per file
  std::vector<std::filesystem::path> files;
  std::vector<std::string> handles;             // one per file, hexadecimal; default: SHA-256 of the file
  std::optional<std::filesystem::path> domain;  // JSON: name, version, chain_id, verifying_contract, salt
  std::string extra_data;                       // hexadecimal
  std::optional<std::string> request_id;        // default: drawn at random
  int timeout_seconds = 60;
  std::optional<std::filesystem::path> out;
  bool json = false;
};
int run(const Decrypt& options);

struct Inspect {
  std::filesystem::path file;
  bool json = false;
};
int run(const Inspect& options);

struct Demo {
  std::string params = "test";
  bool dealt = false, generated = false;     // neither: dealt for parameters that take a committee minutes
  int silent = 0, liar = 0;                  // so many parties are stopped, or lie
  std::filesystem::path clients;             // folder with encrypt.mjs, compare.mjs and their node_modules
  std::optional<std::filesystem::path> dir;  // kept; default: a temporary folder, removed at the end
  int timeout_seconds = 60;
  bool json = false;
};
int run(const Demo& options);

}  // namespace witan::cli
