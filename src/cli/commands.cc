#include "cli/commands.h"

#include <fmt/color.h>
#include <unistd.h>

#include <iostream>
#include <nlohmann/json.hpp>
#include <thread>

#include "api/client.h"
#include "base/log.h"
#include "cli/committee.h"
#include "cli/decryption.h"
#include "cli/keygen.h"
#include "cli/output.h"
#include "cli/process.h"
#include "client/public_decryption.h"
#include "coprocessor/coprocessor.h"
#include "protocols/key_estimate.h"
#include "tfhe/encrypt.h"
#include "tfhe_rs/inspect.h"
#include "tfhe_rs/objects.h"

namespace witan::cli {
namespace {

using nlohmann::json;

int fail_with(const Error& error) {
  fmt::print(stderr, "error: {}\n", error.message);
  return error.code == Code::invalid_argument ? kExitUsage : kExitFailed;
}

Progress progress_lines() {
  return [](const std::string& line) { fmt::print(stderr, "{}\n", line); };
}

Status check_parties(const Committee& committee, const std::vector<int>& parties) {
  for (const int id : parties)
    if (id < 1 || id > committee.size())
      return fail(Code::invalid_argument, "there is no party {} in a committee of {}", id, committee.size());
  return {};
}

json status_json(const Committee& committee) {
  json parties = json::array();
  for (const PartyStatus& status : committee_status(committee)) {
    json keys = json::array();
    for (const KeyStatus& key : status.keys) keys.push_back({{"id", key.id}, {"origin", key.origin}});
    int reachable = 0;
    if (status.health)
      for (const auto& context : status.health->peers_from_all_contexts)
        reachable = static_cast<int>(context.nodes_reachable);
    parties.push_back({{"id", status.party.id},
                       {"identity", status.party.identity},
                       {"signer", status.party.signer},
                       {"service_address", status.party.address()},
                       {"service_port", status.party.service_port},
                       {"mpc_port", status.party.mpc_port},
                       {"metrics_port", status.party.metrics_port},
                       {"pid", status.pid},
                       {"running", status.pid != 0},
                       {"log", status.party.log().string()},
                       {"config", status.party.config().string()},
                       {"public_vault", status.party.public_vault().string()},
                       {"healthy", status.health.has_value() && reachable == committee.size()},
                       {"reachable", reachable},
                       {"error", status.health ? "" : status.health.error().message},
                       {"keys", keys}});
  }
  return {{"dir", committee.folder.string()},
          {"threshold", committee.threshold},
          {"node_program", committee.node_program.string()},
          {"parties", parties}};
}

void print_status(const json& status) {
  fmt::print("committee in {}, t = {}\n", status["dir"].get<std::string>(), status["threshold"].get<int>());
  for (const auto& party : status["parties"]) {
    fmt::print("  party {}: {} {} pid {} {} signs as {}\n", party["id"].get<int>(),
               party["running"].get<bool>() ? (party["healthy"].get<bool>() ? "healthy" : "running") : "stopped",
               party["service_address"].get<std::string>(), party["pid"].get<int>(),
               party["identity"].get<std::string>(), party["signer"].get<std::string>());
    if (party["metrics_port"] != 0) fmt::print("    http://127.0.0.1:{}/metrics\n", party["metrics_port"].get<int>());
    for (const auto& key : party["keys"])
      fmt::print("    key {} origin = {}\n", key["id"].get<std::string>(), key["origin"].get<std::string>());
  }
}

Result<KeyId> parse_key(const std::string& text, const char* option = "--key") {
  auto id = KeyId::parse(text);
  if (!id) return fail(std::move(id).error().within(option));
  return id;
}

Result<PreprocId> parse_preproc(const std::string& text, const char* option) {
  auto id = PreprocId::parse(text);
  if (!id) return fail(std::move(id).error().within(option));
  return id;
}

Result<crypto::Eip712Domain> read_domain(const std::filesystem::path& file) {
  WITAN_ASSIGN(const Bytes text, read_file(file));
  const auto parsed = json::parse(text, nullptr, false);
  crypto::Eip712Domain domain;
  try {
    domain.name = parsed.at("name").get<std::string>();
    domain.version = parsed.at("version").get<std::string>();
    const auto& chain = parsed.at("chain_id");
    WITAN_ASSIGN(const auto id, tfhe::U256::parse(chain.is_number() ? std::to_string(chain.get<std::uint64_t>())
                                                                    : chain.get<std::string>()));
    const Bytes little = id.to_le_bytes(32);
    std::ranges::reverse_copy(little, domain.chain_id.begin());
    WITAN_ASSIGN(domain.verifying_contract, crypto::Address::parse(parsed.at("verifying_contract").get<std::string>()));
    if (parsed.contains("salt") && !parsed.at("salt").is_null()) {
      std::string salt = parsed.at("salt").get<std::string>();
      if (salt.starts_with("0x")) salt = salt.substr(2);
      WITAN_ASSIGN(const Bytes bytes, from_hex(salt));
      if (bytes.size() != 32) return fail(Code::invalid_argument, "{}: salt has 32 bytes", file.string());
      domain.salt.emplace();
      std::ranges::copy(bytes, domain.salt->begin());
    }
  } catch (const json::exception& error) {
    return fail(Code::invalid_argument, "{}: expected name, version, chain_id, verifying_contract: {}", file.string(),
                error.what());
  }
  return domain;
}

Result<Bytes> parse_hex_argument(std::string text, std::string_view option) {
  if (text.starts_with("0x")) text = text.substr(2);
  auto bytes = from_hex(text);
  if (!bytes) return fail(std::move(bytes).error().within(option));
  return bytes;
}

/// A value as JSON: booleans as such, integers as decimal strings.
json value_json(tfhe::FheType type, const tfhe::U256& value) {
  if (type == tfhe::FheType::boolean) return value != tfhe::U256(0);
  return value.decimal();
}

std::string type_name(tfhe::FheType type) {
  return type == tfhe::FheType::uint160 ? "address" : std::string(tfhe::info(type).short_name);
}

}  // namespace

json report_json(const Committee& committee, const DecryptionOrder& order, const DecryptionReport& report) {
  json results = json::array();
  for (std::size_t i = 0; i < order.ciphertexts.size(); ++i)
    results.push_back({{"type", type_name(order.ciphertexts[i].type)},
                       {"value", value_json(order.ciphertexts[i].type, report.agreed.values[i])},
                       {"format", coprocessor::to_string(order.ciphertexts[i].format)},
                       {"handle", to_hex(order.ciphertexts[i].handle)}});
  json parties = json::array();
  for (const auto& [id, answer] : report.answers) {
    json entry = {{"party", id},
                  {"signer", committee.party(id).signer},
                  {"verified", answer.verified.has_value()},
                  {"seconds", answer.seconds}};
    if (!answer.error.empty()) entry["error"] = answer.error;
    if (answer.response) {
      entry["signature"] = to_hex(answer.response->signature);
      entry["external_signature"] = to_hex(answer.response->external_signature);
      entry["extra_data"] = to_hex(answer.response->extra_data);
      if (answer.response->payload) {
        entry["verification_key"] = to_hex(answer.response->payload->verification_key);
        json plaintexts = json::array();
        for (const auto& plaintext : answer.response->payload->plaintexts)
          plaintexts.push_back({{"bytes", to_hex(plaintext.bytes)}, {"fhe_type", plaintext.fhe_type}});
        entry["plaintexts"] = plaintexts;
      }
    }
    parties.push_back(std::move(entry));
  }
  json handles = json::array();
  for (const auto& input : order.ciphertexts) handles.push_back(to_hex(crypto::handle_word(input.handle).value()));
  json domain = {
      {"name", order.domain.name},
      {"version", order.domain.version},
      {"chain_id",
       tfhe::U256::from_le_bytes(Bytes(order.domain.chain_id.rbegin(), order.domain.chain_id.rend())).decimal()},
      {"verifying_contract", order.domain.verifying_contract.text()}};
  if (order.domain.salt) domain["salt"] = to_hex(*order.domain.salt);
  return {{"request_id", order.request.hex()},
          {"key_id", order.key.hex()},
          {"domain", domain},
          {"extra_data", to_hex(order.extra_data)},
          {"handles", handles},
          {"results", results},
          {"signers", report.agreed.parties},
          {"lied", report.lied},
          {"other", report.other},
          {"silent", report.silent},
          {"parties", parties},
          {"seconds", report.seconds}};
}

std::string report_json_text(const Committee& committee, const DecryptionOrder& order, const DecryptionReport& report) {
  return report_json(committee, order, report).dump(2) + "\n";
}

namespace {

/// A committee stays what it was set up as.
Status check_same(const Committee& committee, const CommitteeUp& options) {
  const auto differs = [&](const char* option, const auto& asked, const auto& has) {
    return fail(
        Code::invalid_argument,
        "{} {}, but the committee in {} has {}; leave the option away, or make another committee in another folder",
        option, asked, committee.folder.string(), has);
  };
  if (options.parties && *options.parties != committee.size())
    return differs("--parties", *options.parties, fmt::format("{} parties", committee.size()));
  const std::uint16_t base = committee.base_port != 0 ? committee.base_port : committee.party(1).service_port;
  if (options.base_port && *options.base_port != base)
    return differs("--base-port", *options.base_port, fmt::format("the base port {}", base));
  if (options.test_nodes && !committee.has_test_nodes())
    return differs("--test-nodes", "asks for witan-node-test", committee.node_program.filename().string());
  return {};
}

}  // namespace

int run(const CommitteeUp& options) {
  auto committee = load_committee(options.dir);
  if (committee) {
    if (Status same = check_same(*committee, options); !same) return fail_with(same.error());
  } else if (committee.error().code == Code::not_found) {
    SetUpOptions set_up;
    set_up.folder = options.dir;
    set_up.parties = options.parties.value_or(set_up.parties);
    set_up.base_port = options.base_port.value_or(set_up.base_port);
    set_up.test_nodes = options.test_nodes;
    committee = set_up_committee(set_up, progress_lines());
  }
  if (!committee) return fail_with(committee.error());
  if (Status good = check_parties(*committee, options.only); !good) return fail_with(good.error());
  if (Status started = start_parties(*committee, options.only); !started) return fail_with(started.error());
  ProgressBar bar("waiting for the nodes");
  const bool all = options.only.empty();
  if (Status healthy = wait_until_healthy(*committee, std::chrono::seconds(60), options.only, all ? 0 : 1); !healthy)
    return fail_with(healthy.error());
  std::map<int, std::string> without_epoch;
  if (all) {
    auto epoch = ensure_epoch(*committee, epoch_timeout(committee->size()));
    if (!epoch) return fail_with(epoch.error());
    without_epoch = *std::move(epoch);
  }
  bar.finish();
  for (const auto& [party, why] : without_epoch)
    fmt::print(stderr, "warning: party {} has no part of the epoch, nor of any key of it: {}\n", party, why);
  json status = status_json(*committee);
  status["without_epoch"] = json::array();
  for (const auto& [party, why] : without_epoch) status["without_epoch"].push_back({{"party", party}, {"error", why}});
  if (options.json)
    fmt::print("{}\n", status.dump(2));
  else
    print_status(status);
  return kExitOk;
}

int run(const CommitteeStatus& options) {
  const auto committee = load_committee(options.dir);
  if (!committee) return fail_with(committee.error());
  const json status = status_json(*committee);
  if (options.json)
    fmt::print("{}\n", status.dump(2));
  else
    print_status(status);
  return kExitOk;
}

int run(const CommitteeDown& options) {
  const auto committee = load_committee(options.dir);
  if (!committee) return fail_with(committee.error());
  if (Status good = check_parties(*committee, options.only); !good) return fail_with(good.error());
  stop_parties(*committee, options.only, options.kill);
  if (options.json) fmt::print("{}\n", status_json(*committee).dump(2));
  return kExitOk;
}

namespace {

json phase_json(const protocols::PhaseEstimate& phase) {
  return {{"seconds", phase.wall_s},
          {"processor_seconds", phase.processor_s},
          {"sent_bytes", phase.sent_bytes},
          {"rounds", phase.rounds}};
}

void print_phase(const char* name, const protocols::PhaseEstimate& phase) {
  fmt::print("  {:14} {:10.1f} s  {:10.1f} s of a core  {:10.3f} GB sent  {:6} rounds\n", name, phase.wall_s,
             phase.processor_s, static_cast<double>(phase.sent_bytes) / 1e9, phase.rounds);
}

/// What a key generation will take (docs/key_generation.md).
Status show_plan(const Keygen& options) {
  if ((options.parties - 1) % 3 != 0)
    return fail(Code::invalid_argument, "--parties {}: a committee has 3t+1 (4, 7, 10, 13)", options.parties);
  WITAN_ASSIGN(const auto committee, CommitteeSize::make(options.parties, (options.parties - 1) / 3));
  WITAN_ASSIGN(const tfhe::Params params, tfhe::params_by_name(options.params));
  WITAN_ASSIGN(const auto plan, protocols::plan_key_generation(params, protocols::KeySource::all_new));
  const protocols::PartyMachine machine{options.cores, options.bandwidth_mbit_per_s * 1e6 / 8,
                                        options.latency_ms / 1e3};
  const auto estimate = protocols::estimate(plan, committee, machine);
  const double seconds = estimate.preprocessing.wall_s + estimate.online.wall_s;
  if (options.json) {
    fmt::print("{}\n", json{{"params", options.params},
                            {"parties", options.parties},
                            {"random_bits", plan.bits()},
                            {"preprocessing", phase_json(estimate.preprocessing)},
                            {"online", phase_json(estimate.online)},
                            {"seconds", seconds},
                            {"memory_bytes", estimate.memory_bytes},
                            {"material_bytes", estimate.material_bytes},
                            {"published_bytes", estimate.published_bytes}}
                           .dump(2));
    return {};
  }
  fmt::print(
      "parameters {}, {} parties, {:g} cores, {:g} Mbit/s and {:g} ms each; nobody faulty, nothing else on the "
      "machines\n"
      "  {} random bits\n",
      options.params, options.parties, options.cores, options.bandwidth_mbit_per_s, options.latency_ms, plan.bits());
  print_phase("preprocessing", estimate.preprocessing);
  print_phase("online", estimate.online);
  fmt::print("  {:14} {:10.1f} s\n", "together", seconds);
  fmt::print("  each party needs {:.2f} GB of memory, {:.2f} GB of disk for material, {:.2f} GB for the key\n",
             static_cast<double>(estimate.memory_bytes) / 1e9, static_cast<double>(estimate.material_bytes) / 1e9,
             static_cast<double>(estimate.published_bytes) / 1e9);
  return {};
}

constexpr int kMaxKeygenSeconds = 7 * 86400;

/// At all parties; 1 if one of them did not answer.
int abort_at_all(const Committee& committee, const PreprocId& id, bool as_json) {
  json parties = json::array();
  bool answered = true;
  for (const auto& [party, aborted] : abort_preprocessing(committee, id)) {
    const bool absent = !aborted && aborted.error().code == Code::not_found;
    answered = answered && (aborted || absent);
    const char* outcome = aborted ? "erased" : absent ? "not_found" : "failed";
    parties.push_back({{"party", party}, {"outcome", outcome}, {"error", aborted ? "" : aborted.error().message}});
    if (as_json) continue;
    if (aborted)
      fmt::print("party {}: aborted, its material is erased\n", party);
    else if (absent)
      fmt::print("party {}: has nothing of it: it never had, its key is there, or it was erased before\n", party);
    else
      fmt::print("party {}: {}; the next keygen tells it\n", party, aborted.error().message);
  }
  if (as_json) fmt::print("{}\n", json{{"preprocessing_id", id.hex()}, {"parties", parties}}.dump(2));
  return answered ? kExitOk : kExitFailed;
}

Result<KeyOrder> order_of(const Keygen& options) {
  if (options.timeout_seconds < 1 || options.timeout_seconds > kMaxKeygenSeconds)
    return fail(Code::invalid_argument, "--timeout {}: it is 1 to {} seconds", options.timeout_seconds,
                kMaxKeygenSeconds);
  if (options.import_client_key && !options.dealt)
    return fail(Code::invalid_argument, "--import-client-key needs --dealt: an imported key is dealt by party 1");
  if (!options.preproc.empty() && options.dealt)
    return fail(Code::invalid_argument, "--preproc excludes --dealt: a dealt key has no preprocessing");
  KeyOrder order{.params = options.params, .dealt = options.dealt, .import_client_key = options.import_client_key};
  order.timeout = std::chrono::seconds(options.timeout_seconds);
  if (!options.existing.empty()) {
    WITAN_ASSIGN(const KeyId id, parse_key(options.existing, "--existing"));
    order.existing = ExistingKeyOrder{id, options.keep_tag};
  }
  if (!options.preproc.empty()) {
    WITAN_ASSIGN(order.preprocessing, parse_preproc(options.preproc, "--preproc"));
  }
  return order;
}

}  // namespace

int run(const Keygen& options) {
  if (options.plan) {
    const Status shown = show_plan(options);
    return shown ? kExitOk : fail_with(shown.error());
  }
  if (options.dir.empty())
    return fail_with({Code::invalid_argument, "--dir is missing: the folder of the committee that makes the key"});
  auto order = order_of(options);
  if (!order) return fail_with(order.error());
  const auto committee = load_committee(options.dir);
  if (!committee) return fail_with(committee.error());
  if (!options.abort.empty()) {
    const auto id = parse_preproc(options.abort, "--abort");
    return id ? abort_at_all(*committee, *id, options.json) : fail_with(id.error());
  }
  const StopAtSignal stop;  // before any other thread
  ProgressBar bar(options.dealt ? "dealing a key" : "making a key");
  order->stop = stop.token();
  order->begins = [](const PreprocId& preprocessing, const KeyId& key) {
    fmt::print(stderr, "preprocessing {}, key {}\n", preprocessing.hex(), key.hex());
  };
  order->progress = [&bar](const KeyProgress& progress) { bar.show(progress); };
  order->says = [](const std::string& text) { fmt::print(stderr, "{}\n", text); };
  auto key = make_key(*committee, *order);
  bar.finish();
  if (!key) return fail_with(key.error());
  json digests = json::object(), signers = json::array(), failed = json::array();
  for (const auto& [type, digest] : key->digests) digests[type] = to_hex(digest);
  for (const auto& [party, address] : key->signers) signers.push_back({{"party", party}, {"address", address}});
  for (const auto& [party, why] : key->failed) failed.push_back({{"party", party}, {"error", why}});
  if (options.json) {
    fmt::print("{}\n", json{{"key_id", key->key.hex()},
                            {"preprocessing_id", key->preprocessing.hex()},
                            {"params", key->params},
                            {"origin", key->origin},
                            {"digests", digests},
                            {"signers", signers},
                            {"failed", failed},
                            {"preprocessing_seconds", key->preprocessing_seconds},
                            {"seconds", key->seconds}}
                           .dump(2));
    return kExitOk;
  }
  fmt::print("key {}\n  origin = {}{}, parameters {}, {:.1f} s\n", key->key.hex(), key->origin,
             key->origin == "generated" || key->origin == "unknown" ? "" : " (party 1 has seen it)", key->params,
             key->seconds);
  if (order->existing) fmt::print("  secret keys and PublicKey of key {}\n", order->existing->key.hex());
  for (const auto& [type, digest] : key->digests) fmt::print("  {} {}\n", type, to_hex(digest));
  for (const auto& [party, address] : key->signers) fmt::print("  signed by party {} ({})\n", party, address);
  for (const auto& [party, why] : key->failed) fmt::print("  party {} has no share of it: {}\n", party, why);
  return kExitOk;
}

int run(const Encrypt& options) {
  const auto work = [&]() -> Status {
    WITAN_ASSIGN(const Committee committee, load_committee(options.dir));
    WITAN_ASSIGN(const KeyId key, parse_key(options.key));
    WITAN_ASSIGN(const tfhe::FheType type, tfhe::parse_fhe_type(options.type));
    WITAN_ASSIGN(const tfhe::U256 value, tfhe::parse_value(type, options.value));
    WITAN_ASSIGN(const auto format, coprocessor::parse_format(options.format));
    WITAN_ASSIGN(const Bytes public_key_bytes, read_public_object(committee, "PublicKey", key));
    WITAN_ASSIGN(const auto public_key, tfhe_rs::read_public_key(public_key_bytes, tfhe_rs::Trailing::reject));
    OsRng rng;
    WITAN_ASSIGN(const auto item, tfhe::compact_value(type, value));
    WITAN_ASSIGN(auto list, tfhe::encrypt_compact_list(public_key, std::span(&item, 1), rng));
    WITAN_ASSIGN(const Bytes key_set, read_public_object(committee, "CompressedXofKeySet", key));
    WITAN_ASSIGN(const auto coprocessor, coprocessor::Coprocessor::open(key_set));
    WITAN_ASSIGN(const auto values,
                 coprocessor.expand(tfhe_rs::to_bytes(tfhe_rs::CompactListObject{std::move(list), {}})));
    WITAN_ASSIGN(const Bytes ciphertext, coprocessor.serialize(values.at(0), format));
    WITAN_TRY(write_file(options.out, ciphertext));
    if (options.json)
      fmt::print("{}\n", json{{"file", options.out.string()},
                              {"type", type_name(type)},
                              {"format", options.format},
                              {"bytes", ciphertext.size()}}
                             .dump(2));
    else
      fmt::print("{}: {} bytes, {}, {}\n", options.out.string(), ciphertext.size(), type_name(type), options.format);
    return {};
  };
  ProgressBar bar("encrypting");
  const Status done = work();
  bar.finish();
  return done ? kExitOk : fail_with(done.error());
}

int run(const Expand& options) {
  const auto work = [&]() -> Status {
    WITAN_ASSIGN(const Committee committee, load_committee(options.dir));
    WITAN_ASSIGN(const KeyId key, parse_key(options.key));
    WITAN_ASSIGN(const auto format, coprocessor::parse_format(options.format));
    WITAN_ASSIGN(const Bytes list, read_file(options.list));
    WITAN_ASSIGN(const Bytes key_set, read_public_object(committee, "CompressedXofKeySet", key));
    WITAN_ASSIGN(const auto coprocessor, coprocessor::Coprocessor::open(key_set));
    WITAN_ASSIGN(auto values, coprocessor.expand(list));
    if (is_big(format)) WITAN_TRY(coprocessor.squash(values));
    std::error_code code;
    std::filesystem::create_directories(options.out_dir, code);
    if (code) return fail(Code::unavailable, "cannot create {}: {}", options.out_dir.string(), code.message());
    json files = json::array();
    for (std::size_t i = 0; i < values.size(); ++i) {
      WITAN_ASSIGN(const Bytes ciphertext, coprocessor.serialize(values[i], format));
      const auto file = options.out_dir / fmt::format("{:03}-{}.bin", i, type_name(values[i].type));
      WITAN_TRY(write_file(file, ciphertext));
      files.push_back({{"file", file.string()},
                       {"type", type_name(values[i].type)},
                       {"format", options.format},
                       {"bytes", ciphertext.size()}});
      if (!options.json) fmt::print("{}: {} bytes\n", file.string(), ciphertext.size());
    }
    if (options.json) fmt::print("{}\n", json{{"files", files}}.dump(2));
    return {};
  };
  ProgressBar bar("expanding");
  const Status done = work();
  bar.finish();
  return done ? kExitOk : fail_with(done.error());
}

int run(const Decrypt& options) {
  const auto work = [&]() -> Status {
    WITAN_ASSIGN(const Committee committee, load_committee(options.dir));
    DecryptionOrder order;
    WITAN_ASSIGN(order.key, parse_key(options.key));
    WITAN_ASSIGN(const auto format, coprocessor::parse_format(options.format));
    if (options.types.size() != 1 && options.types.size() != options.files.size())
      return fail(Code::invalid_argument, "{} types for {} files: give one, or one per file", options.types.size(),
                  options.files.size());
    if (!options.handles.empty() && options.handles.size() != options.files.size())
      return fail(Code::invalid_argument, "{} handles for {} files", options.handles.size(), options.files.size());
    if (options.timeout_seconds < 1 || options.timeout_seconds > 3600)
      return fail(Code::invalid_argument, "--timeout is 1 to 3600 seconds");
    for (std::size_t i = 0; i < options.files.size(); ++i) {
      CiphertextInput input;
      WITAN_ASSIGN(input.type, tfhe::parse_fhe_type(options.types[options.types.size() == 1 ? 0 : i]));
      WITAN_ASSIGN(input.bytes, read_file(options.files[i]));
      input.format = format;
      if (options.handles.empty()) {
        const auto digest = crypto::sha256(input.bytes);
        input.handle.assign(digest.begin(), digest.end());
      } else {
        WITAN_ASSIGN(input.handle, parse_hex_argument(options.handles[i], "--handle"));
      }
      order.ciphertexts.push_back(std::move(input));
    }
    order.domain = example_domain();
    if (options.domain) {
      WITAN_ASSIGN(order.domain, read_domain(*options.domain));
    }
    WITAN_ASSIGN(order.extra_data, parse_hex_argument(options.extra_data, "--extra-data"));
    order.request = random_request_id();
    if (options.request_id) {
      auto id = RequestId::parse(*options.request_id);
      if (!id) return fail(std::move(id).error().within("--request-id"));
      order.request = *id;
    }
    order.timeout = std::chrono::seconds(options.timeout_seconds);
    WITAN_ASSIGN(const DecryptionReport report, decrypt(committee, order));
    const std::string text = report_json_text(committee, order, report);
    if (options.out) {
      WITAN_TRY(write_file(*options.out, as_bytes(text)));
    }
    if (options.json) {
      fmt::print("{}", text);
      return {};
    }
    for (std::size_t i = 0; i < order.ciphertexts.size(); ++i)
      fmt::print("{} = {}\n", type_name(order.ciphertexts[i].type),
                 tfhe::format_value(order.ciphertexts[i].type, report.agreed.values[i]));
    print_parties(committee, report);
    return {};
  };
  ProgressBar bar("decrypting");
  const Status done = work();
  bar.finish();
  return done ? kExitOk : fail_with(done.error());
}

int run(const Inspect& options) {
  const auto bytes = read_file(options.file);
  if (!bytes) return fail_with(bytes.error());
  const auto description = tfhe_rs::inspect(*bytes);
  if (!description) {
    fmt::print(stderr, "error: {}: {}\n", options.file.string(), description.error().message);
    return kExitFailed;
  }
  if (options.json) {
    nlohmann::ordered_json out;
    for (const auto& [name, value] : *description) out[name] = value;
    fmt::print("{}\n", out.dump(2));
  } else {
    for (const auto& [name, value] : *description) fmt::print("{:24} {}\n", name, value);
  }
  return kExitOk;
}

}  // namespace witan::cli
