// witan demo: the whole journey on one machine. Four nodes with mutual TLS, a key, a restart of all nodes, real npm clients
// that encrypt, every type in every format decrypted by the committee, every signature verified, the values compared by
// the client that drew them.
#include <fmt/core.h>
#include <stdlib.h>

#include <algorithm>
#include <atomic>
#include <nlohmann/json.hpp>
#include <thread>

#include "cli/commands.h"
#include "cli/committee.h"
#include "cli/decryption.h"
#include "cli/keygen.h"
#include "cli/output.h"
#include "cli/process.h"

namespace witan::cli {
namespace {

using nlohmann::json;
using std::filesystem::path;
using Clock = std::chrono::steady_clock;

constexpr const char* kClients[] = {"1.7", "1.3"};  // versions of node-tfhe
constexpr coprocessor::Format kFormats[] = {coprocessor::Format::big_compressed, coprocessor::Format::big_expanded,
                                            coprocessor::Format::small_compressed, coprocessor::Format::small_expanded};

double seconds_since(Clock::time_point begun) {
  return std::chrono::duration<double>(Clock::now() - begun).count();
}

Result<path> temporary_folder() {
  std::string name = (std::filesystem::temp_directory_path() / "witan-demo-XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr) return fail(Code::unavailable, "cannot create {}", name);
  return path(name);
}

std::vector<int> last_parties(const Committee& committee, int count) {
  std::vector<int> out;
  for (int i = 0; i < count; ++i) out.push_back(committee.size() - i);
  return out;
}

std::string list_of(const std::vector<int>& parties) {
  std::string out;
  for (const int id : parties) out += fmt::format("{}{}", out.empty() ? "" : ", ", id);
  return out;
}

/// Stops the committee and removes the folder when the demo ends, however it ends: also by SIGINT, SIGTERM or SIGHUP.
class CleanUp {
 public:
  CleanUp(path folder, bool keep) : folder_(std::move(folder)), keep_(keep), waiting_([this] { wait_for_signal(); }) {}
  CleanUp(const CleanUp&) = delete;
  CleanUp& operator=(const CleanUp&) = delete;
  ~CleanUp() {
    ended_ = true;
    waiting_.join();
    clean();
  }

 private:
  void clean() {
    if (const auto committee = load_committee(folder_)) stop_parties(*committee);
    std::error_code ignored;
    if (!keep_) std::filesystem::remove_all(folder_, ignored);
  }
  void wait_for_signal() {
    constexpr timespec kStep{0, 100'000'000};
    while (!ended_) {
      const int signal = sigtimedwait(&signals_.set(), nullptr, &kStep);
      if (signal < 0) continue;
      fmt::print(stderr, "\ninterrupted: the committee stops\n");
      clean();
      std::_Exit(128 + signal);
    }
  }

  path folder_;
  bool keep_;
  const BlockedSignals signals_;
  std::atomic<bool> ended_{false};
  std::thread waiting_;  // the last one: it uses the others
};

class DemoRun {
 public:
  explicit DemoRun(const Demo& options) : options_(options), story_(options.json ? stderr : stdout) {}

  Status run() {
    WITAN_TRY(check_options());
    path folder;
    if (options_.dir) {
      folder = *options_.dir;
      if (std::filesystem::exists(folder / "committee.json"))
        return fail(Code::already_exists, "there is a committee in {} already", folder.string());
    } else {
      WITAN_ASSIGN(folder, temporary_folder());
    }
    const CleanUp clean_up(folder, options_.dir.has_value());
    WITAN_TRY(start(folder));
    WITAN_TRY(make_key());
    WITAN_TRY(restart());
    for (const char* version : kClients) WITAN_TRY(client_round(folder, version));
    for (auto* names : {&named_liars_, &named_silent_, &liars_, &silent_}) {
      std::ranges::sort(*names);
      names->erase(std::unique(names->begin(), names->end()), names->end());
    }
    say("");
    say("silent parties: {}; lying parties: {}; threshold t = {}",
        named_silent_.empty() ? "none" : list_of(named_silent_), named_liars_.empty() ? "none" : list_of(named_liars_),
        committee_.threshold);
    return check_names();
  }

  /// Of a run() that has succeeded.
  json result() const {
    return {{"params", options_.params},         {"key_id", key_.key.hex()},        {"origin", key_.origin},
            {"threshold", committee_.threshold}, {"silent", named_silent_},         {"lied", named_liars_},
            {"decryptions", decryptions_},       {"seconds", seconds_since(begun_)}};
  }
  double seconds() const { return seconds_since(begun_); }

 private:
  template <class... Args>
  void say(fmt::format_string<Args...> format, Args&&... args) {
    fmt::print(story_, "{}\n", fmt::format(format, std::forward<Args>(args)...));
    std::fflush(story_);
  }

  Status check_options() const {
    if (options_.clients.empty() || !std::filesystem::exists(options_.clients / "encrypt.mjs"))
      return fail(Code::invalid_argument,
                  "--clients must name the folder with encrypt.mjs and its node_modules (tests/clients)");
    if (options_.silent + options_.liar > 3)
      return fail(Code::invalid_argument, "of four nodes at most three can be silent or lying");
    if (options_.timeout_seconds < 1 || options_.timeout_seconds > 3600)
      return fail(Code::invalid_argument, "--timeout is 1 to 3600 seconds");
    return {};
  }

  bool dealt() const { return options_.dealt || (!options_.generated && options_.params == "default"); }

  Status start(const path& folder) {
    say("== four nodes, each a process of its own, mutual TLS on loopback");
    const auto begun = Clock::now();
    SetUpOptions options;
    options.folder = folder;
    options.test_nodes = dealt() || options_.liar > 0;
    WITAN_ASSIGN(committee_, set_up_committee(options, [this](const std::string& line) { say("  {}", line); }));
    WITAN_TRY(start_parties(committee_));
    WITAN_TRY(wait_until_healthy(committee_, std::chrono::seconds(60)));
    WITAN_ASSIGN(const auto without_epoch, ensure_epoch(committee_, epoch_timeout(committee_.size())));
    for (const auto& [party, why] : without_epoch) say("  party {} has no part of the epoch: {}", party, why);
    say("  healthy, epoch set up, {:.1f} s", seconds_since(begun));
    return {};
  }

  Status make_key() {
    say("== a key ({})", dealt() ? "dealt by party 1, which has seen it; --generated: made by all four, seen by nobody"
                                 : "made by all four, seen by nobody");
    ProgressBar bar("making a key");
    KeyOrder order{.params = options_.params, .dealt = dealt(), .timeout = std::chrono::seconds(1800)};
    order.progress = [&bar](const KeyProgress& progress) { bar.show(progress); };
    WITAN_ASSIGN(key_, cli::make_key(committee_, order));
    bar.finish();
    say("  key {}", key_.key.hex());
    say("  origin = {}, parameters {}, {:.1f} s", key_.origin, options_.params, key_.seconds);
    for (const auto& [type, digest] : key_.digests) say("  {} {}", type, to_hex(digest));
    for (const auto& [party, address] : key_.signers) say("  signed by party {} ({})", party, address);
    return {};
  }

  /// From here on only what is on disk decrypts; the unfaithful get their faults.
  Status restart() {
    say("== all nodes restart");
    const auto begun = Clock::now();
    stop_parties(committee_);
    silent_ = last_parties(committee_, options_.silent);
    for (const int id : last_parties(committee_, options_.silent + options_.liar))
      if (std::ranges::find(silent_, id) == silent_.end()) liars_.push_back(id);
    std::vector<int> running;
    for (const PartyInfo& party : committee_.parties) {
      if (std::ranges::find(silent_, party.id) != silent_.end()) continue;
      running.push_back(party.id);
      if (std::ranges::find(liars_, party.id) == liars_.end()) continue;
      WITAN_ASSIGN(const Bytes config, read_file(party.config()));
      WITAN_TRY(write_file(party.config(), as_bytes(std::string(config.begin(), config.end()) + "fault = \"lie\"\n")));
    }
    WITAN_TRY(start_parties(committee_, running));
    WITAN_TRY(wait_until_healthy(committee_, std::chrono::seconds(60), running, static_cast<int>(running.size())));
    say("  {} of {} run again, {:.1f} s{}{}", running.size(), committee_.size(), seconds_since(begun),
        silent_.empty() ? "" : "; stopped: " + list_of(silent_),
        liars_.empty() ? "" : "; told to lie: " + list_of(liars_));
    return {};
  }

  Status run_script(const std::vector<std::string>& arguments) {
    std::vector<std::string> command = {"node"};
    command.insert(command.end(), arguments.begin(), arguments.end());
    WITAN_ASSIGN(const auto output, run_process(command, std::chrono::seconds(300)));
    if (output.exit_code != 0)
      return fail(Code::internal, "{} ended with {}: {}", arguments[0], output.exit_code, output.text);
    return {};
  }

  Status client_round(const path& folder, const std::string& version) {
    say("== client node-tfhe {}.0 encrypts eight values with the published key", version);
    auto begun = Clock::now();
    const path out = folder / ("client-" + version);
    const path public_key = committee_.party(1).public_vault() / "PublicKey" / key_.key.hex();
    WITAN_TRY(run_script({(options_.clients / "encrypt.mjs").string(), version, public_key.string(), out.string()}));
    say("  encrypted in {:.1f} s", seconds_since(begun));

    begun = Clock::now();
    WITAN_ASSIGN(const Bytes key_set, read_public_object(committee_, "CompressedXofKeySet", key_.key));
    WITAN_ASSIGN(const auto coprocessor, coprocessor::Coprocessor::open(key_set));
    WITAN_ASSIGN(const Bytes list, read_file(out / "list.bin"));
    WITAN_ASSIGN(auto values, coprocessor.expand(list));
    say("  coprocessor: list of {} values expanded in {:.1f} s", values.size(), seconds_since(begun));
    begun = Clock::now();
    WITAN_TRY(coprocessor.squash(values));
    say("  coprocessor: noise squashed in {:.1f} s", seconds_since(begun));
    for (const coprocessor::Format format : kFormats) {
      const auto chosen = chosen_values(values, version, format);
      if (!chosen.empty()) WITAN_TRY(decrypt_round(version, out, coprocessor, values, chosen, format));
    }
    return {};
  }

  /// All, except that every node squashes Small formats itself, some 0.3 s for each pair of blocks with the default parameters:
  /// there, of the first client, the smallest type and the commonest.
  std::vector<std::size_t> chosen_values(const std::vector<coprocessor::Value>& values, const std::string& version,
                                         coprocessor::Format format) const {
    const bool all = options_.params != "default" || coprocessor::is_big(format);
    std::vector<std::size_t> out;
    for (std::size_t i = 0; i < values.size(); ++i) {
      const bool chosen = values[i].type == tfhe::FheType::boolean || values[i].type == tfhe::FheType::uint64;
      if (all || (version == kClients[0] && chosen)) out.push_back(i);
    }
    return out;
  }

  Status decrypt_round(const std::string& version, const path& out, const coprocessor::Coprocessor& coprocessor,
                       const std::vector<coprocessor::Value>& all, const std::vector<std::size_t>& chosen,
                       coprocessor::Format format) {
    const auto begun = Clock::now();
    std::vector<coprocessor::Value> values;
    std::string indices;
    for (const std::size_t i : chosen) {
      values.push_back(all[i]);
      indices += fmt::format("{}{}", indices.empty() ? "" : ",", i);
    }
    DecryptionOrder order;
    order.key = key_.key;
    order.request = random_request_id();
    order.domain = example_domain();
    order.timeout = std::chrono::seconds(options_.timeout_seconds);
    order.first = liars_;
    for (const auto& value : values) {
      CiphertextInput input;
      input.type = value.type;
      input.format = format;
      WITAN_ASSIGN(input.bytes, coprocessor.serialize(value, format));
      const auto digest = crypto::keccak256(input.bytes);
      input.handle.assign(digest.begin(), digest.end());
      order.ciphertexts.push_back(std::move(input));
    }
    const double prepared = seconds_since(begun);
    WITAN_ASSIGN(const DecryptionReport report, decrypt(committee_, order));
    say("-- {}: prepared in {:.2f} s, decrypted in {:.2f} s", coprocessor::to_string(format), prepared, report.seconds);
    for (std::size_t i = 0; i < values.size(); ++i)
      say("  {:8} {}", tfhe::info(values[i].type).short_name,
          tfhe::format_value(values[i].type, report.agreed.values[i]));
    print_parties(committee_, report, story_);
    for (const int id : report.lied) named_liars_.push_back(id);
    for (const int id : report.silent) named_silent_.push_back(id);
    const path results = out / (std::string(coprocessor::to_string(format)) + ".json");
    const std::string text = report_json_text(committee_, order, report);
    WITAN_TRY(write_file(results, as_bytes(text)));
    WITAN_TRY(run_script(
        {(options_.clients / "compare.mjs").string(), (out / "values.json").string(), results.string(), indices}));
    say("  equal to what the client encrypted");
    decryptions_.push_back(
        {{"client", version}, {"format", coprocessor::to_string(format)}, {"response", json::parse(text)}});
    return {};
  }

  /// Exactly those that were made silent or lying must have been named.
  Status check_names() const {
    if (named_liars_ != liars_)
      return fail(Code::internal, "the liars are {}, named were {}", list_of(liars_), list_of(named_liars_));
    if (named_silent_ != silent_)
      return fail(Code::internal, "the silent are {}, named were {}", list_of(silent_), list_of(named_silent_));
    return {};
  }

  const Demo& options_;
  std::FILE* const story_;  // where it is told what happens
  const Clock::time_point begun_ = Clock::now();
  Committee committee_;
  NewKey key_;
  std::vector<int> silent_, liars_, named_silent_, named_liars_;
  json decryptions_ = json::array();
};

}  // namespace

int run(const Demo& options) {
  DemoRun demo(options);
  const Status done = demo.run();
  if (!done) {
    fmt::print(stderr, "error: {}\n", done.error().message);
    if (!options.json) fmt::print("demo: failed\n");
    return done.error().code == Code::invalid_argument ? kExitUsage : kExitFailed;
  }
  if (options.json)
    fmt::print("{}\n", demo.result().dump(2));
  else
    fmt::print("all of it in {:.1f} s\ndemo: ok\n", demo.seconds());
  return kExitOk;
}

}  // namespace witan::cli
