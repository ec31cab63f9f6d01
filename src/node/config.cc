#include "node/config.h"

#include <algorithm>
#include <fstream>
#include <stdexcept>
#include <thread>

// The parser asserts what some malformed files do not hold ("[[" at the end of a line): an error like any other.
#define TOML_EXCEPTIONS 1
#define TOML_ASSERT(condition) ((condition) ? void() : throw std::invalid_argument("not TOML"))
#include <toml++/toml.h>

#include "runtime/journal.h"
#include "tfhe/fhe_type.h"

namespace witan::node {
namespace {

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t substituted = diagonal + (a[i - 1] != b[j - 1] ? 1 : 0);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, substituted});
    }
  }
  return row[b.size()];
}

std::string where(const toml::node& node) {
  const auto at = node.source().begin;
  return fmt::format("line {}, column {}", at.line, at.column);
}

/// One table of the file. Each get() marks its key as known; finish() refuses whatever was not asked for. The first
/// error is kept; later calls do nothing.
class Section {
 public:
  /// `missing` is told about keys that are not there: a mistyped key explains it better, so it is reported last.
  Section(const toml::table* table, std::string name, const std::filesystem::path& folder, std::optional<Error>& error,
          std::optional<Error>& missing)
      : table_(table), name_(std::move(name)), folder_(folder), error_(error), missing_(missing) {}

  bool present() const { return table_ != nullptr; }

  Section sub(const char* key) {
    known_.insert(key);
    const toml::node* node = find(key);
    if (node != nullptr && !node->is_table()) wrong(key, *node, "a table");
    return Section(node == nullptr ? nullptr : node->as_table(), path(key), folder_, error_, missing_);
  }

  const toml::array* tables(const char* key) {
    known_.insert(key);
    const toml::node* node = find(key);
    if (node == nullptr) return nullptr;
    if (!node->is_array_of_tables()) {
      wrong(key, *node, "an array of tables, [[" + path(key) + "]]");
      return nullptr;
    }
    return node->as_array();
  }

  bool get(const char* key, std::string& out) {
    known_.insert(key);
    const toml::node* node = find(key);
    if (node == nullptr) return false;
    if (!node->is_string()) return wrong(key, *node, "a string");
    out = **node->as_string();
    return true;
  }

  bool get(const char* key, std::filesystem::path& out) {
    std::string text;
    if (!get(key, text)) return false;
    if (text.empty()) return set_error(fmt::format("{} is empty", path(key)));
    out = std::filesystem::path(text).is_absolute() ? std::filesystem::path(text) : folder_ / text;
    return true;
  }

  template <class Int>
  bool get_integer(const char* key, Int& out, std::int64_t low, std::int64_t high) {
    known_.insert(key);
    const toml::node* node = find(key);
    if (node == nullptr) return false;
    if (!node->is_integer()) return wrong(key, *node, "an integer");
    const std::int64_t value = **node->as_integer();
    if (value < low || value > high)
      return set_error(fmt::format("{} = {} is not in {}..{} ({})", path(key), value, low, high, where(*node)));
    out = static_cast<Int>(value);
    return true;
  }

  template <class Duration>
  bool get_duration(const char* key, Duration& out, std::int64_t low, std::int64_t high) {
    std::int64_t count = 0;
    if (!get_integer(key, count, low, high)) return false;
    out = Duration(count);
    return true;
  }

  void require(bool got, const char* key) {
    if (!got && !missing_) missing_ = Error{Code::invalid_argument, fmt::format("{} is missing", path(key))};
  }

  void finish() {
    if (table_ == nullptr || error_) return;
    for (const auto& [key, node] : *table_) {
      const std::string text(key.str());
      if (known_.contains(text)) continue;
      std::string nearest;
      std::size_t best = 4;
      for (const auto& candidate : known_)
        if (const std::size_t d = edit_distance(text, candidate); d < best) best = d, nearest = candidate;
      set_error(fmt::format("unknown key {} ({}){}", path(text), where(node),
                            nearest.empty() ? "" : fmt::format("; did you mean {}?", nearest)));
      return;
    }
  }

  bool set_error(std::string message) {
    if (!error_) error_ = Error{Code::invalid_argument, std::move(message)};
    return false;
  }

 private:
  const toml::node* find(const char* key) const { return table_ == nullptr ? nullptr : table_->get(key); }
  /// As a person would write it: the keys of the top level have no section in front.
  std::string path(const std::string& key) const { return name_.empty() ? key : name_ + "." + key; }
  bool wrong(const char* key, const toml::node& node, const std::string& expected) {
    return set_error(fmt::format("{} must be {} ({})", path(key), expected, where(node)));
  }

  const toml::table* table_;
  std::string name_;
  const std::filesystem::path& folder_;
  std::optional<Error>& error_;
  std::optional<Error>& missing_;
  std::set<std::string> known_;
};

void read_vault(Section root, VaultConfig& out) {
  Section storage = root.sub("storage");
  Section file = storage.sub("file");
  if (!file.present())
    root.set_error("public_vault and private_vault need [<vault>.storage.file] with path and prefix");
  file.require(file.get("path", out.path), "path");
  file.get("prefix", out.prefix);
  if (out.prefix.empty() ||
      out.prefix.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") !=
          std::string::npos)
    file.set_error(fmt::format("vault prefix '{}' must be letters, digits, - and _", out.prefix));
  file.finish();
  storage.finish();
  root.finish();
}

void read_peers(Section& section, const std::filesystem::path& folder, Config& config, std::optional<Error>& error,
                std::optional<Error>& missing) {
  const toml::array* peers = section.tables("peers");
  if (peers == nullptr) {
    section.require(false, "peers");
    return;
  }
  int index = 0;
  for (const auto& node : *peers) {
    Section entry(node.as_table(), fmt::format("threshold.peers[{}]", index++), folder, error, missing);
    PeerConfig peer;
    entry.require(entry.get_integer("party_id", peer.party_id, 1, Role::kMax), "party_id");
    entry.require(entry.get("address", peer.address), "address");
    entry.require(entry.get_integer("port", peer.port, 1, 65535), "port");
    entry.require(entry.get("mpc_identity", peer.mpc_identity), "mpc_identity");
    Section cert = entry.sub("tls_cert");
    cert.require(cert.get("path", peer.ca_cert), "path");
    cert.finish();
    entry.finish();
    config.threshold.peers.push_back(std::move(peer));
  }
  std::ranges::sort(config.threshold.peers, {}, &PeerConfig::party_id);
}

void read_telemetry(Section section, Config& config) {
  std::string text;
  if (section.get("metrics_bind_address", text)) {
    auto address = metrics::BindAddress::parse(text);
    if (!address)
      section.set_error(fmt::format("telemetry.metrics_bind_address: {}", address.error().message));
    else if (address->port != 0 &&
             (address->port == config.service.listen_port || address->port == config.threshold.listen_port))
      section.set_error(fmt::format("telemetry.metrics_bind_address: {} listens on port {}",
                                    address->port == config.service.listen_port ? "service" : "threshold",
                                    address->port));
    else
      config.metrics_address = *std::move(address);
  }
  section.finish();
}

void check_committee(Section& section, Config& config) {
  auto& committee = config.threshold;
  const int n = static_cast<int>(committee.peers.size());
  std::set<std::string> identities;
  for (int i = 0; i < n; ++i) {
    const auto& peer = committee.peers[static_cast<std::size_t>(i)];
    if (peer.party_id != i + 1) {  // they are sorted: a smaller one stands there for the second time
      section.set_error(fmt::format(
          "threshold.peers has {} entries, so party_id must be exactly 1..{}; {}", n, n,
          peer.party_id <= i ? fmt::format("{} is there twice", peer.party_id) : fmt::format("{} is missing", i + 1)));
      return;
    }
    if (!identities.insert(peer.mpc_identity).second) {
      section.set_error(fmt::format("two peers have the mpc_identity '{}'", peer.mpc_identity));
      return;
    }
  }
  if (n != 3 * committee.threshold + 1) {
    section.set_error(
        fmt::format("{} peers with threshold {}: a committee has n = 3t+1 parties", n, committee.threshold));
    return;
  }
  if (auto size = CommitteeSize::make(n, committee.threshold); !size) {
    section.set_error(size.error().message);
    return;
  }
  if (committee.my_id > n)
    section.set_error(fmt::format("threshold.my_id = {} is not among the {} peers", committee.my_id, n));
  if (config.service.listen_port == committee.listen_port)
    section.set_error(fmt::format("service and threshold both listen on port {}", committee.listen_port));
}

Result<LoadedConfig> read(const toml::table& table, const std::filesystem::path& folder, const ExtraSections& extra) {
  LoadedConfig loaded;
  Config& config = loaded.config;
  std::optional<Error> error, missing;
  Section root(&table, "", folder, error, missing);

  Section service = root.sub("service");
  service.get("listen_address", config.service.listen_address);
  service.get_integer("listen_port", config.service.listen_port, 1, 65535);
  service.get_duration("timeout_secs", config.service.timeout, 1, 86400);
  service.get_integer("grpc_max_message_size", config.service.grpc_max_message_size_bytes, 1024,
                      static_cast<std::int64_t>(runtime::Journal::kMaxRecordBytes));  // a request becomes one record
  service.finish();

  read_vault(root.sub("public_vault"), config.public_vault);
  read_vault(root.sub("private_vault"), config.private_vault);

  Section journal = root.sub("journal");
  journal.require(journal.get("path", config.journal_path), "path");
  journal.finish();

  Section log = root.sub("log");
  log.get("file", config.log_file);
  log.finish();

  Section committee = root.sub("threshold");
  root.require(committee.present(), "threshold");
  committee.get("listen_address", config.threshold.listen_address);
  committee.get_integer("listen_port", config.threshold.listen_port, 1, 65535);
  committee.require(committee.get_integer("threshold", config.threshold.threshold, 1, 4), "threshold");
  committee.require(committee.get_integer("my_id", config.threshold.my_id, 1, Role::kMax), "my_id");
  committee.get_integer("dec_capacity", config.threshold.dec_capacity, 1, 10'000'000);
  committee.get_integer("min_dec_cache", config.threshold.min_dec_cache, 1, 10'000'000);
  if (config.threshold.min_dec_cache >= config.threshold.dec_capacity)
    committee.set_error(
        "threshold.min_dec_cache must be below threshold.dec_capacity: nothing could be evicted for a new request");
  Section tls = committee.sub("tls");
  Section manual = tls.sub("manual");
  Section cert = manual.sub("cert");
  cert.require(cert.get("path", config.threshold.tls_cert), "path");
  cert.finish();
  Section key = manual.sub("key");
  key.require(key.get("path", config.threshold.tls_key), "path");
  key.finish();
  manual.finish();
  tls.finish();
  Section net = committee.sub("core_to_core_net");
  net.get_duration("network_timeout", config.threshold.round_timeout, 1, 86400);
  net.get_duration("decrypt_timeout", config.threshold.decrypt_timeout, 1, 86400);
  net.get_duration("resend_after_ms", config.threshold.resend_after, 10, 60000);
  net.get_duration("keygen_timeout", config.threshold.keygen_timeout, 1, 86400);
  net.finish();
  read_peers(committee, folder, config, error, missing);
  committee.finish();
  if (!error && !missing) check_committee(committee, config);

  read_telemetry(root.sub("telemetry"), config);

  Section rate = root.sub("rate_limiter_conf");
  rate.get_integer("bucket_size", config.rate_limits.bucket_size, 1, 1'000'000'000);
  rate.get_integer("pub_decrypt", config.rate_limits.pub_decrypt, 0, 1'000'000'000);
  rate.get_integer("new_epoch", config.rate_limits.new_epoch, 0, 1'000'000'000);
  rate.get_integer("keygen", config.rate_limits.keygen, 0, 1'000'000'000);
  rate.get_integer("preproc", config.rate_limits.preproc, 0, 1'000'000'000);
  for (const std::uint32_t cost : {config.rate_limits.pub_decrypt, config.rate_limits.new_epoch,
                                   config.rate_limits.keygen, config.rate_limits.preproc})
    if (cost > config.rate_limits.bucket_size)
      rate.set_error(fmt::format("rate_limiter_conf: a request costs {} tokens, bucket_size is {}: it could never run",
                                 cost, config.rate_limits.bucket_size));
  rate.finish();

  Section internal = root.sub("internal_config");
  internal.get_integer("compute_threads", config.compute_threads, 0, 1024);
  internal.get_integer("decryption_memory_bytes", config.decryption_memory_bytes, std::int64_t{1} << 24,
                       std::int64_t{1} << 40);
  internal.get_integer("decryptions_at_once", config.decryptions_at_once, 1, 1'000'000);
  internal.get_integer("squashings_at_once", config.squashings_at_once,
                       tfhe::info(tfhe::FheType::uint256).packed_blocks, 1'000'000);
  internal.get("material_path", config.material_path);
  internal.get_integer("unused_materials", config.unused_materials, 1, 1000);
  internal.get_duration("message_delay_ms", config.message_delay, 10, 600'000);
  internal.finish();

  for (const auto& [name, keys] : extra) {
    Section section = root.sub(name.c_str());
    for (const auto& key_name : keys)
      if (std::string text; section.get(key_name.c_str(), text)) loaded.extra[name][key_name] = text;
    section.finish();
  }
  root.finish();
  if (error) return fail(*std::move(error));
  if (missing) return fail(*std::move(missing));
  return loaded;
}

}  // namespace

CommitteeSize Config::committee_size() const {
  return CommitteeSize::make(static_cast<int>(threshold.peers.size()), threshold.threshold).value();
}

Result<LoadedConfig> parse_config(std::string_view text, const std::filesystem::path& folder,
                                  const ExtraSections& extra) {
  // The parser's tables of what is a space beyond ASCII have holes, and no key or path needs more than escapes give.
  if (const auto other = std::ranges::find_if(text, [](char c) { return static_cast<unsigned char>(c) > 0x7e; });
      other != text.end()) {
    const std::string_view before(text.begin(), other);
    const auto line_start = before.rfind('\n') + 1;  // npos + 1 = 0
    return fail(Code::invalid_argument,
                "line {}, column {}: byte 0x{:02x}, but a configuration is ASCII: write \\uXXXX "
                "in strings for other characters",
                std::ranges::count(before, '\n') + 1, before.size() - line_start + 1,
                static_cast<unsigned char>(*other));
  }
  try {
    return read(toml::parse(text), folder, extra);
  } catch (const toml::parse_error& error) {
    const auto at = error.source().begin;
    return fail(Code::invalid_argument, "line {}, column {}: {}", at.line, at.column, error.description());
  } catch (const std::invalid_argument& error) {
    return fail(Code::invalid_argument, "{}: a key, bracket or quote stands where none can", error.what());
  }
}

Result<LoadedConfig> load_config(const std::filesystem::path& file, const ExtraSections& extra) {
  constexpr std::uintmax_t kMaxConfigBytes = 1 << 20;
  std::error_code code;
  const auto size = std::filesystem::file_size(file, code);
  if (code) return fail(Code::not_found, "cannot read the configuration {}: {}", file.string(), code.message());
  if (size > kMaxConfigBytes)
    return fail(Code::invalid_argument, "{} has {} bytes, more than 1 MiB", file.string(), size);
  std::ifstream in(file, std::ios::binary);
  if (!in) return fail(Code::not_found, "cannot read the configuration {}", file.string());
  const std::string text(std::istreambuf_iterator<char>(in), {});
  if (in.bad()) return fail(Code::not_found, "cannot read the configuration {}", file.string());
  auto loaded = parse_config(text, std::filesystem::absolute(file).parent_path(), extra);
  if (!loaded) return fail(std::move(loaded.error()).within(file.string()));
  return loaded;
}

}  // namespace witan::node
