// A committee of real processes in a temporary folder, for tests.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <chrono>
#include <functional>
#include <memory>
#include <thread>

#include "api/client.h"
#include "cli/committee.h"
#include "cli/decryption.h"
#include "cli/keygen.h"
#include "support/support.h"

namespace witan::e2e {

inline std::filesystem::path programs() {
  const char* folder = std::getenv("WITAN_BIN");
  return folder != nullptr ? std::filesystem::path(folder)
                           : std::filesystem::read_symlink("/proc/self/exe").parent_path() / "bin";
}

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "witan-e2e-XXXXXX").string();
    path_ = mkdtemp(name.data());
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

/// Throws on failure: without a committee there is nothing to test.
template <class T>
T must(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().message);
  if constexpr (!std::is_void_v<T>) return *std::move(result);
}

inline std::string read_text(const std::filesystem::path& file) {
  const Bytes raw = must(cli::read_file(file));
  return {raw.begin(), raw.end()};
}
inline void write_text(const std::filesystem::path& file, const std::string& text) {
  must(cli::write_file(file, as_bytes(text)));
}

/// Waits until it holds: work goes on behind the answers of nodes.
inline bool soon(const std::function<bool()>& condition) {
  using Clock = std::chrono::steady_clock;
  for (const auto until = Clock::now() + std::chrono::seconds(60); Clock::now() < until;
       std::this_thread::sleep_for(std::chrono::milliseconds(20)))
    if (condition()) return true;
  return false;
}

struct LiveOptions {
  bool with_epoch = true;
  int parties = 4;
  bool test_nodes = true;
  std::string extra_config = {};  // of every party
  std::chrono::milliseconds message_delay{1000};
  std::chrono::seconds network_timeout{120};  // tests share their machine with others
};

class LiveCommittee {
 public:
  explicit LiveCommittee(const LiveOptions& live = {}) {
    cli::SetUpOptions options;
    options.folder = folder_.path() / "c";
    options.parties = live.parties;
    options.test_nodes = live.test_nodes;
    options.programs = programs();
    options.message_delay = live.message_delay;
    options.network_timeout = live.network_timeout;
    for (int party = 1; party <= live.parties; ++party) options.extra_config[party] = live.extra_config;
    committee = must(cli::set_up_committee(options, [](const std::string&) {}));
    must(cli::start_parties(committee));
    must(cli::wait_until_healthy(committee, std::chrono::seconds(60)));
    if (live.with_epoch)
      for (const auto& [party, why] : must(cli::ensure_epoch(committee, std::chrono::seconds(60))))
        throw std::runtime_error(fmt::format("party {} has no epoch: {}", party, why));
  }
  LiveCommittee(const LiveCommittee&) = delete;
  LiveCommittee& operator=(const LiveCommittee&) = delete;
  ~LiveCommittee() { cli::stop_parties(committee, {}, true); }

  cli::NewKey deal(std::optional<std::filesystem::path> client_key = {}) {
    return must(cli::make_key(
        committee, {.dealt = true, .import_client_key = std::move(client_key), .timeout = std::chrono::seconds(120)}));
  }
  api::KmsClient client(int party) const {
    return api::KmsClient({.address = committee.party(party).address(), .timeout = std::chrono::seconds(60)});
  }
  const std::filesystem::path& folder() const { return folder_.path(); }

  cli::Committee committee;

 private:
  TemporaryFolder folder_;
};

/// Runs the production program for a party of test nodes, on the same disk.
inline void replace_by_production_node(const LiveCommittee& live, int party) {
  cli::stop_parties(live.committee, {party});
  const auto file = live.committee.party(party).config();
  const std::string config = read_text(file);
  write_text(file, config.substr(0, config.find("\n[insecure]")));
  auto production = live.committee;
  production.node_program = programs() / "witan-node";
  must(cli::start_parties(production, {party}));
  must(cli::wait_until_healthy(production, std::chrono::seconds(60), {party}));
}

inline api::PublicDecryptionRequest request_for(const KeyId& key, const RequestId& id, Bytes ciphertext, int fhe_type,
                                                api::Open<api::CiphertextFormat> format) {
  api::PublicDecryptionRequest out;
  out.request_id = id.hex();
  out.key_id = key.hex();
  out.domain = cli::to_message(cli::example_domain());
  api::TypedCiphertext typed;
  typed.ciphertext = std::move(ciphertext);
  typed.fhe_type = fhe_type;
  typed.external_handle = Bytes(32, 7);
  typed.ciphertext_format = format;
  out.ciphertexts.push_back(std::move(typed));
  return out;
}

}  // namespace witan::e2e
