// Configuration of a node: a TOML file (service.md 7 names the keys where ours equal them). Every key is checked; an
// unknown key is an error that names the nearest known one.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/ids.h"
#include "metrics/http_server.h"

namespace witan::node {

struct VaultConfig {
  std::filesystem::path path;  // root folder
  std::string prefix;          // first folder below it
};

/// One party of the committee as this node sees it.
struct PeerConfig {
  int party_id = 0;
  std::string address;       // DNS name that this node dials
  std::uint16_t port = 0;    // of the node-to-node endpoint
  std::string mpc_identity;  // common name of its certificates
  std::filesystem::path ca_cert;
};

struct RateLimits {  // service.md 3.4: tokens taken while a request is worked on
  std::uint32_t bucket_size = 50000;
  std::uint32_t pub_decrypt = 1;
  std::uint32_t new_epoch = 1;
  std::uint32_t keygen = 1000;
  std::uint32_t preproc = 25000;
};

struct Config {
  struct Service {
    std::string listen_address = "127.0.0.1";
    std::uint16_t listen_port = 50100;
    std::chrono::seconds timeout{360};
    std::size_t grpc_max_message_size_bytes = 104857600;
  } service;

  /// Where metrics and health are served over HTTP, to whoever asks (docs/metrics.md). Nothing: nowhere.
  std::optional<metrics::BindAddress> metrics_address;

  VaultConfig public_vault{"./keys", "PUB"};
  VaultConfig private_vault{"./keys", "PRIV"};
  std::filesystem::path journal_path;
  std::filesystem::path log_file;  // empty: standard error

  struct Committee {
    std::string listen_address = "127.0.0.1";
    std::uint16_t listen_port = 50001;
    int threshold = 1;
    int my_id = 0;
    std::uint32_t dec_capacity = 10000;           // results of decryptions kept for polling, pending ones included
    std::uint32_t min_dec_cache = 6000;           // of them, finished ones that are never evicted for a new request
    std::filesystem::path tls_cert;               // leaf, PEM
    std::filesystem::path tls_key;                // PEM, readable by the owner alone
    std::vector<PeerConfig> peers;                // all parties, this one included, sorted by party_id
    std::chrono::seconds decrypt_timeout{60};     // waiting for shares of one decryption
    std::chrono::seconds round_timeout{120};      // a round of a synchronous protocol
    std::chrono::milliseconds resend_after{500};  // silence of a peer before its message is asked for again
    std::chrono::seconds keygen_timeout{3600};    // a key generation waiting for n-t parties, material at hand
  } threshold;

  RateLimits rate_limits;
  // Material of key generations: private, 0.62 GB each with the default parameters. Empty: `material` beside the journal.
  std::filesystem::path material_path;
  // Materials that are kept for keys which nobody has asked for yet; more preprocessings are refused.
  std::uint32_t unused_materials = 8;
  // The largest delay of a message between honest parties, with all that is computed on the way (mpc::DetectionOptions): an
  // honest party that is later counts as faulty in a preprocessing.
  std::chrono::milliseconds message_delay{3000};
  int compute_threads = 0;                             // 0: one per core
  std::uint64_t decryption_memory_bytes = 1ull << 30;  // of ciphertexts being worked on, all requests together
  // Being worked on; from a quarter on some requests are refused (node/admission.h).
  std::uint32_t decryptions_at_once = 2000;
  std::uint32_t squashings_at_once = 1024;  // packed blocks of Small ciphertexts: a u64 has 16, a u256 64, the least

  std::filesystem::path material_folder() const {
    return material_path.empty() ? journal_path.parent_path() / "material" : material_path;
  }
  CommitteeSize committee_size() const;
  Role self() const { return Role(threshold.my_id); }
};

/// Keys under a section that only test programs know, e.g. "insecure". The production program passes an empty set, so
/// the section is an unknown key there.
using ExtraSections = std::map<std::string, std::set<std::string>>;

struct LoadedConfig {
  Config config;
  std::map<std::string, std::map<std::string, std::string>> extra;  // section -> key -> text of the value
};

/// Errors: not_found (no such file), invalid_argument (syntax with line and column, unknown key, wrong type, out of
/// range, peers not exactly 1..n with n = 3t+1, equal ports). Relative paths are taken from the folder of the file.
Result<LoadedConfig> load_config(const std::filesystem::path& file, const ExtraSections& extra_sections = {});
Result<LoadedConfig> parse_config(std::string_view text, const std::filesystem::path& folder,
                                  const ExtraSections& extra_sections = {});

/// For operators, as JSON in the order of the file's sections. A configuration holds no secrets; of files with secrets it has the paths.
std::string to_json(const Config& config);

}  // namespace witan::node
