#include "cli/keygen.h"

#include <algorithm>
#include <atomic>
#include <charconv>
#include <cmath>
#include <mutex>
#include <ranges>
#include <thread>

#include "api/client.h"
#include "cli/decryption.h"
#include "crypto/eip712.h"

namespace witan::cli {
namespace {

using Clock = std::chrono::steady_clock;

crypto::Eip712Domain keygen_domain() {
  crypto::Eip712Domain domain = example_domain();
  domain.name = "KMSGeneration";
  return domain;
}

/// Key requests carry extra data of version 2: context and epoch (responses.md 4.3).
Bytes extra_data() {
  Bytes out{2};
  append(out, default_context_id().view());
  append(out, default_epoch_id().view());
  return out;
}

/// The signature recovers to the party's address.
Status check_signature(const PartyInfo& party, const crypto::Digest& struct_hash, ByteView signature) {
  WITAN_ASSIGN(const auto signer,
               crypto::recover_address(crypto::eip712_digest(keygen_domain(), struct_hash), signature));
  if (signer.text() != party.signer)
    return fail(Code::failed_precondition, "party {} signed as {}, expected {}", party.id, signer.text(), party.signer);
  return {};
}

Result<std::vector<crypto::TypedKeyDigest>> typed_digests(const api::KeyGenResult& result) {
  std::vector<crypto::TypedKeyDigest> out;
  for (const auto& entry : result.key_digests) {
    if (entry.digest.size() != 32) return fail(Code::failed_precondition, "a digest has {} bytes", entry.digest.size());
    crypto::TypedKeyDigest typed{
        entry.key_type == "PublicKey" ? crypto::KeyDigestType::public_key : crypto::KeyDigestType::compressed_key_set,
        {}};
    std::ranges::copy(entry.digest, typed.digest.begin());
    out.push_back(typed);
  }
  return out;
}

template <class Number>
std::optional<Number> number(std::optional<std::string_view> text) {
  Number out{};
  if (!text) return std::nullopt;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), out);
  if (error != std::errc() || end != text->data() + text->size()) return std::nullopt;
  if constexpr (std::is_floating_point_v<Number>)
    if (!std::isfinite(out) || out < 0) return std::nullopt;
  return out;
}

api::KeySetConfig config_from_existing() {
  api::KeySetConfig out;
  out.standard_keyset_config.emplace().secret_key_config = api::KeyGenSecretKeyConfig::use_existing;
  return out;
}

class KeyMaking {
 public:
  KeyMaking(const Committee& committee, const KeyOrder& order) : committee_(committee), order_(order) {
    out_.key = random_id<KeyId>(4);
    out_.preprocessing = random_id<PreprocId>(3);
    for (const PartyInfo& party : committee.parties)
      clients_.emplace_back(api::ClientOptions{.address = party.address()});
  }

  Result<NewKey> run() {
    WITAN_TRY(check_existing());
    WITAN_TRY(hand_out_client_key());
    api::KeyGenPreprocRequest preproc;
    preproc.request_id = out_.preprocessing.hex();
    preproc.params = order_.params == "default" ? api::FheParameter::default_params : api::FheParameter::test_params;
    preproc.domain = to_message(keygen_domain());
    preproc.extra_data = extra_data();
    if (order_.existing) preproc.keyset_config = config_from_existing();
    WITAN_TRY(at_all(fmt::format("preprocessing {}", out_.preprocessing.hex()),
                     [&](int party) { return preprocess(party, preproc); }));
    out_.preprocessing_seconds = seconds();

    api::KeyGenRequest request;
    request.request_id = out_.key.hex();
    request.preproc_id = out_.preprocessing.hex();
    request.domain = to_message(keygen_domain());
    request.extra_data = extra_data();
    if (order_.existing) {
      request.keyset_config = config_from_existing();
      request.keyset_added_info.emplace();
      request.keyset_added_info->existing_keyset_id = order_.existing->key.hex();
      request.keyset_added_info->use_existing_key_tag = order_.existing->keep_tag;
    }
    WITAN_TRY(at_all(fmt::format("key {} of preprocessing {}", out_.key.hex(), out_.preprocessing.hex()),
                     [&](int party) { return generate(party, request); }));

    for (const auto& [party, digests] : digests_) {
      if (out_.digests.empty()) out_.digests = digests;
      if (digests != out_.digests)
        return fail(Code::failed_precondition, "party {} has other digests of key {} than party {}", party,
                    out_.key.hex(), digests_.begin()->first);
      out_.signers[party] = committee_.party(party).signer;
    }
    out_.origin = order_.dealt ? "dealt" : "generated";
    for (const PartyStatus& status : committee_status(committee_))
      for (const KeyStatus& key : status.keys)
        if (key.id == out_.key.hex()) out_.origin = key.origin;
    out_.seconds = seconds();
    return out_;
  }

 private:
  double seconds() const { return std::chrono::duration<double>(Clock::now() - begun_).count(); }
  const api::KmsClient& client(int party) const { return clients_[static_cast<std::size_t>(party - 1)]; }

  /// Before a preprocessing is made in vain.
  Status check_existing() const {
    if (!order_.existing) return {};
    const std::string id = order_.existing->key.hex();
    const auto statuses = committee_status(committee_);
    const auto has = [&](const PartyStatus& status) {
      return std::ranges::any_of(status.keys, [&](const KeyStatus& key) { return key.id == id; });
    };
    const auto holders = std::ranges::count_if(statuses, has);
    if (holders < committee_.size() - committee_.threshold)
      return fail(Code::not_found, "key {} is at {} of {} parties, {} are needed", id, holders, committee_.size(),
                  committee_.size() - committee_.threshold);
    for (const PartyStatus& status : statuses)
      for (const KeyStatus& key : status.keys)
        if (key.id == id && key.params != order_.params)
          return fail(Code::invalid_argument, "key {} has parameters {}, asked for is a key set of parameters {}", id,
                      key.params, order_.params);
    return {};
  }

  Status hand_out_client_key() {
    if (!order_.import_client_key) return {};
    const auto folder = committee_.party(1).folder / "import";
    std::error_code code;
    std::filesystem::create_directories(folder, code);
    std::filesystem::copy_file(*order_.import_client_key, folder / (out_.key.hex() + ".bin"), code);
    if (code) return fail(Code::unavailable, "cannot hand the client key to party 1: {}", code.message());
    return {};
  }

  /// At every party that has not failed yet, all at once; meanwhile the progress of one of them is shown.
  template <class Step>
  Status at_all(std::string_view what, Step step) {
    deadline_ = Clock::now() + order_.timeout;
    done_ = 0;
    std::mutex mutex;
    std::size_t running = 0;
    std::map<int, std::string> failed = out_.failed;
    {
      std::vector<std::jthread> threads;
      for (const PartyInfo& party : committee_.parties) {
        if (failed.contains(party.id)) continue;
        ++running;
        threads.emplace_back([&, id = party.id] {
          const Status done = step(id);
          if (done) ++done_;
          const std::lock_guard lock(mutex);
          if (!done) failed[id] = done.error().message;
          --running;
        });
      }
      for (int ask = 1;; ask = ask % committee_.size() + 1) {
        std::this_thread::sleep_for(kPollEvery);
        const std::lock_guard lock(mutex);
        if (running == 0) break;
        if (!failed.contains(ask)) show_progress(ask);
      }
    }
    out_.failed = std::move(failed);
    if (committee_.size() - static_cast<int>(out_.failed.size()) >= needed()) return {};
    std::string text = fmt::format("{}: too many parties failed:", what);
    for (const auto& [party, why] : out_.failed) text += fmt::format("\n  party {}: {}", party, why);
    return fail(Code::unavailable, "{}", text);
  }

  void show_progress(int party) const {
    const auto statuses = client(party).get_request_statuses(
        {.request_ids = {out_.preprocessing.hex(), out_.key.hex()}, .meta_store_type = {}},
        api::CallOptions{.timeout = kPollTimeout, .stop = {}});
    if (!statuses) return;  // the party's own step says what is wrong with it
    for (const api::RequestStatusInfo& info : statuses->statuses)
      if (info.error_message)
        if (const auto progress = parse_progress(*info.error_message)) order_.progress(*progress);
  }

  /// Until there is a result, or the time is over. Once so many parties have theirs that nobody else is needed, a party that cannot be reached
  /// is not waited for any longer.
  template <class Ask>
  auto poll(int party, Ask ask) const {
    std::optional<Clock::time_point> gone;
    for (;;) {
      auto result = ask();
      if (result || result.error().code != Code::unavailable || Clock::now() > deadline_) return result;
      if (done_ < needed() || is_reachable(party))
        gone.reset();
      else if (!gone)
        gone = Clock::now();
      else if (Clock::now() - *gone > kGoneAfter)
        return result;
      std::this_thread::sleep_for(kPollEvery);
    }
  }

  /// Parties that must have a key. A dealt one has no n - t parties that would make up for another.
  int needed() const { return committee_.size() - (order_.dealt ? 0 : committee_.threshold); }

  bool is_reachable(int party) const {
    return client(party)
        .get_request_statuses({.request_ids = {out_.preprocessing.hex()}, .meta_store_type = {}},
                              api::CallOptions{.timeout = kPollTimeout, .stop = {}})
        .has_value();
  }

  Status preprocess(int party, const api::KeyGenPreprocRequest& request) const {
    const api::KmsClient& node = client(party);
    const auto sent = order_.dealt ? node.insecure_key_gen_preproc(request) : node.key_gen_preproc(request);
    if (!sent && sent.error().code == Code::unimplemented && order_.dealt)
      return fail(Code::failed_precondition, "this node does not deal keys; start a committee with --test-nodes");
    if (!sent) return fail(sent.error());
    const api::IdRequest id{*request.request_id};
    const auto result = poll(party, [&] {
      return order_.dealt ? node.get_insecure_key_gen_preproc_result(id)
                          : node.get_key_gen_preproc_result(id, {.timeout = std::chrono::seconds(310), .stop = {}});
    });
    if (!result) return fail(result.error());
    return check_signature(committee_.party(party),
                           crypto::prep_keygen_verification(out_.preprocessing.bytes(), request.extra_data),
                           result->external_signature);
  }

  Status generate(int party, const api::KeyGenRequest& request) {
    const api::KmsClient& node = client(party);
    const auto sent = order_.dealt ? node.insecure_key_gen(request) : node.key_gen(request);
    if (!sent) return fail(sent.error());
    const api::IdRequest id{*request.request_id};
    const auto result =
        poll(party, [&] { return order_.dealt ? node.get_insecure_key_gen_result(id) : node.get_key_gen_result(id); });
    if (!result) return fail(result.error());
    WITAN_ASSIGN(const auto typed, typed_digests(*result));
    WITAN_TRY(check_signature(
        committee_.party(party),
        crypto::keygen_verification(out_.preprocessing.bytes(), out_.key.bytes(), typed, request.extra_data),
        result->external_signature));
    std::map<std::string, Bytes> digests;
    for (const auto& entry : result->key_digests) digests[entry.key_type] = entry.digest;
    const std::lock_guard lock(digests_mutex_);
    digests_[party] = std::move(digests);
    return {};
  }

  static constexpr auto kPollEvery = std::chrono::milliseconds(50), kPollTimeout = std::chrono::milliseconds(2000);
  static constexpr auto kGoneAfter = std::chrono::seconds(10);

  const Committee& committee_;
  const KeyOrder& order_;
  const Clock::time_point begun_ = Clock::now();
  Clock::time_point deadline_;  // of this step
  std::atomic<int> done_ = 0;   // parties that have done it
  std::vector<api::KmsClient> clients_;
  NewKey out_;
  std::mutex digests_mutex_;
  std::map<int, std::map<std::string, Bytes>> digests_;  // by party
};

}  // namespace

std::optional<KeyProgress> parse_progress(std::string_view status) {
  const std::string_view fields = status.substr(0, status.find(';'));  // what is behind it is for people
  const auto value = [&](std::string_view name) -> std::optional<std::string_view> {
    for (const auto field : std::views::split(fields, ' ')) {
      const std::string_view text(field);
      if (text.size() > name.size() && text.starts_with(name) && text[name.size()] == '=')
        return text.substr(name.size() + 1);
    }
    return std::nullopt;
  };
  const auto stage = value("stage");
  const auto done = number<std::uint64_t>(value("done")), total = number<std::uint64_t>(value("total"));
  const auto percent = number<double>(value("percent"));
  // It goes to a terminal.
  const auto is_letter = [](char c) { return c >= 'a' && c <= 'z'; };
  if (!stage || !std::ranges::all_of(*stage, is_letter) || !done || !total || *done > *total || !percent ||
      *percent > 100)
    return std::nullopt;
  return KeyProgress{.stage = std::string(*stage),
                     .done = *done,
                     .total = *total,
                     .percent = *percent,
                     .per_second = number<double>(value("per_second")),
                     .seconds_left = number<double>(value("seconds_left"))};
}

Result<NewKey> make_key(const Committee& committee, const KeyOrder& order) {
  return KeyMaking(committee, order).run();
}

}  // namespace witan::cli
