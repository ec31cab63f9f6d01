#include "cli/keygen.h"

#include <algorithm>
#include <atomic>
#include <charconv>
#include <cmath>
#include <fstream>
#include <mutex>
#include <ranges>
#include <set>
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

constexpr auto kPollEvery = std::chrono::milliseconds(50), kPollTimeout = std::chrono::milliseconds(2000);
constexpr auto kAbortWait = std::chrono::seconds(5);

/// Runs `work` for each of the parties, all at once.
template <class Work>
void for_each_party(const std::vector<int>& parties, Work work) {
  std::vector<std::jthread> threads;
  for (const int party : parties) threads.emplace_back([&work, party] { work(party); });
}

std::vector<int> all_parties(const Committee& committee) {
  std::vector<int> out;
  for (const PartyInfo& party : committee.parties) out.push_back(party.id);
  return out;
}

/// Lines "<party> <preprocessing id>": parties that could not be told that a preprocessing was given up.
std::filesystem::path owed_aborts(const Committee& committee) {
  return committee.folder / "owed-aborts";
}

using OwedAborts = std::set<std::pair<int, std::string>>;

OwedAborts read_owed(const Committee& committee) {
  OwedAborts out;
  std::ifstream in(owed_aborts(committee));
  int party = 0;
  for (std::string id; in >> party >> id;)
    if (party >= 1 && party <= committee.size() && PreprocId::parse(id)) out.insert({party, id});
  return out;
}

void write_owed(const Committee& committee, const OwedAborts& owed) {
  std::error_code ignored;
  if (owed.empty()) {
    std::filesystem::remove(owed_aborts(committee), ignored);
    return;
  }
  std::ofstream out(owed_aborts(committee), std::ios::trunc);
  for (const auto& [party, id] : owed) out << party << " " << id << "\n";
}

/// A machine that has much to do may miss a first connection: a party that cannot be reached is asked again for the whole time.
Status send_abort(const Committee& committee, int party, const std::string& id) {
  const api::KmsClient client({.address = committee.party(party).address()});
  const auto until = Clock::now() + kAbortWait;
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now());
    const auto sent = client.abort_key_gen({id}, {.timeout = std::max(left, kPollEvery), .stop = {}});
    if (sent) return {};
    if (sent.error().code != Code::unavailable || Clock::now() + kPollEvery > until) return fail(sent.error());
    std::this_thread::sleep_for(kPollEvery);
  }
}

/// A party that has answered has nothing of it any more.
bool has_answered(const Status& aborted) {
  return aborted || aborted.error().code == Code::not_found;
}

/// What parties could not be told when it was time: before a new preprocessing, which would find the old one running.
void settle_owed_aborts(const Committee& committee) {
  const OwedAborts owed = read_owed(committee);
  if (owed.empty()) return;
  OwedAborts left;
  std::mutex mutex;
  std::vector<std::jthread> threads;
  for (const auto& [party, id] : owed)
    threads.emplace_back([&, party, id] {
      if (has_answered(send_abort(committee, party, id))) return;
      const std::lock_guard lock(mutex);
      left.insert({party, id});
    });
  threads.clear();
  write_owed(committee, left);
}

class KeyMaking {
 public:
  KeyMaking(const Committee& committee, const KeyOrder& order)
      : committee_(committee), order_(order), deadline_(begun_ + order.timeout) {
    out_.key = random_id<KeyId>(4);
    out_.preprocessing = order.preprocessing ? *order.preprocessing : random_id<PreprocId>(3);
    out_.params = order.params;
    for (const PartyInfo& party : committee.parties)
      clients_.emplace_back(api::ClientOptions{.address = party.address()});
  }

  Result<NewKey> run() {
    WITAN_TRY(check_existing());
    WITAN_TRY(hand_out_client_key());
    settle_owed_aborts(committee_);
    order_.begins(out_.preprocessing, out_.key);
    WITAN_TRY(order_.preprocessing ? find_material() : make_material());
    out_.preprocessing_seconds = seconds();
    WITAN_TRY(make_key());

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
        if (key.id == out_.key.hex()) {
          out_.origin = key.origin;
          out_.params = key.params;
        }
    out_.seconds = seconds();
    return out_;
  }

 private:
  /// Why a step was left, or what is wrong with its end; nothing if n - t parties have done it and nobody is waited for any longer.
  using Trouble = std::optional<Error>;

  double seconds() const { return std::chrono::duration<double>(Clock::now() - begun_).count(); }
  const api::KmsClient& client(int party) const { return clients_[static_cast<std::size_t>(party - 1)]; }
  std::string preproc() const { return out_.preprocessing.hex(); }
  api::CallOptions until_stopped() const { return {.timeout = {}, .stop = stop_.get_token()}; }

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
    if (order_.preprocessing) return {};  // the nodes compare the parameters
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

  Status make_material() {
    api::KeyGenPreprocRequest request;
    request.request_id = preproc();
    request.params = order_.params == "default" ? api::FheParameter::default_params : api::FheParameter::test_params;
    request.domain = to_message(keygen_domain());
    request.extra_data = extra_data();
    if (order_.existing) request.keyset_config = config_from_existing();
    const Trouble trouble = at_all(kGoneAfter, [&](int party) { return preprocess(party, request); });
    if (!trouble) return {};
    const std::string what = fmt::format("preprocessing {}: {}", preproc(), trouble->message);
    if (done_ >= needed()) return fail({trouble->code, what + "\n" + kept()});
    return fail({trouble->code, what + party_lines(abort_preprocessing(committee_, out_.preprocessing))});
  }

  /// Of an earlier command: it is waited for, and whatever happens it stays.
  Status find_material() {
    const api::IdRequest id{preproc()};
    const Trouble trouble = at_all(kGoneAfter, [&](int party) -> Status {
      const auto found = poll(party, [&] {
        return client(party).get_key_gen_preproc_result(id, {.timeout = kLongPoll, .stop = stop_.get_token()});
      });
      if (!found) return fail(found.error());
      return {};
    });
    if (!trouble) return {};
    return fail({trouble->code,
                 fmt::format("preprocessing {} cannot be used: {}{}", preproc(), trouble->message, party_lines({}))});
  }

  Status make_key() {
    if (const Trouble over = interrupted())
      return fail(
          {over->code, fmt::format("key {}: {}, before it was asked for\n{}", out_.key.hex(), over->message, kept())});
    api::KeyGenRequest request;
    request.request_id = out_.key.hex();
    request.preproc_id = preproc();
    request.domain = to_message(keygen_domain());
    request.extra_data = extra_data();
    if (order_.existing) {
      request.keyset_config = config_from_existing();
      request.keyset_added_info.emplace();
      request.keyset_added_info->existing_keyset_id = order_.existing->key.hex();
      request.keyset_added_info->use_existing_key_tag = order_.existing->keep_tag;
    }
    const auto without_material = out_.failed.size();
    const Trouble trouble = at_all(kGoneAfterOnline, [&](int party) { return generate(party, request); });
    if (!trouble) return {};
    const std::string what = fmt::format("key {} of preprocessing {}: {}", out_.key.hex(), preproc(), trouble->message);
    const auto spent = accepted_.size();  // the material of these parties is used up
    if (committee_.size() - static_cast<int>(without_material + spent) >= needed())
      return fail({trouble->code, what + party_lines(abort_at(accepted_)) + "\n" + kept()});
    if (trouble->code != Code::unavailable && done_ > 0)
      return fail({trouble->code, fmt::format("{}, but {} of {} parties have the key: the others go on making it, see "
                                              "witan committee status --dir {}",
                                              what, done_.load(), committee_.size(), committee_.folder.string())});
    return fail({trouble->code, what + party_lines(abort_preprocessing(committee_, out_.preprocessing))});
  }

  std::map<int, Status> abort_at(const std::set<int>& parties) const {
    return abort_preprocessing(committee_, out_.preprocessing, std::vector<int>(parties.begin(), parties.end()));
  }

  std::string kept() const {
    return fmt::format(
        "the material of preprocessing {0} is kept; to go on with it: witan keygen --dir {1} --preproc {0}; to erase "
        "it: witan keygen --dir {1} --abort {0}",
        preproc(), committee_.folder.string());
  }

  /// What each party says, and what came of aborting it.
  std::string party_lines(const std::map<int, Status>& aborted) const {
    std::string out;
    for (const PartyInfo& party : committee_.parties) {
      const auto why = failed_.find(party.id);
      const auto abort = aborted.find(party.id);
      out += fmt::format("\n  party {}: {}", party.id,
                         why != failed_.end()           ? why->second
                         : finished_.contains(party.id) ? "was done"
                                                        : "was not done yet");
      if (abort == aborted.end()) continue;
      if (abort->second)
        out += "; stopped and erased";
      else if (abort->second.error().code != Code::not_found)
        out += fmt::format("; could not be told to stop ({}): the next keygen tells it", abort->second.error().message);
    }
    return out;
  }

  Trouble interrupted() const {
    if (order_.stop.stop_requested()) return Error{Code::cancelled, "interrupted"};
    if (Clock::now() > deadline_)
      return Error{Code::deadline_exceeded, fmt::format("not done within {} s (--timeout)", order_.timeout.count())};
    return {};
  }

  /// At every party that has not failed yet, all at once; meanwhile the progress of one of them is shown. It ends when all parties have ended,
  /// when so many have failed, or are gone for `gone_after`, that it cannot succeed, or when the time is over or the user wants to stop.
  template <class Step>
  Trouble at_all(std::chrono::seconds gone_after, Step step) {
    stop_ = {};
    gone_after_ = gone_after;
    done_ = 0;
    finished_.clear();
    gone_.clear();
    failed_ = out_.failed;
    Trouble left;
    {
      std::vector<int> asked;
      for (const PartyInfo& party : committee_.parties)
        if (!failed_.contains(party.id)) asked.push_back(party.id);
      std::size_t running = asked.size();
      std::vector<std::jthread> threads;  // destroyed first
      for (const int id : asked)
        threads.emplace_back([&, id] {
          const Status done = step(id);
          const std::lock_guard lock(mutex_);
          --running;
          if (done) {
            ++done_;
            finished_.insert(id);
          } else if (const auto gone = gone_.find(id); gone != gone_.end()) {
            failed_[id] = gone->second;
          } else if (done.error().code != Code::cancelled) {
            failed_[id] = done.error().message;
          }
          gone_.erase(id);
        });
      std::optional<Clock::time_point> hopeless;
      for (int ask = 1;; ask = ask % committee_.size() + 1) {
        std::this_thread::sleep_for(kPollEvery);
        bool show = false;
        {
          const std::lock_guard lock(mutex_);
          if (running == 0) break;
          if (!too_many_failed() || order_.dealt)  // a dealer's request cannot be aborted
            hopeless.reset();
          else if (!hopeless)
            hopeless = Clock::now();
          show = !failed_.contains(ask) && !gone_.contains(ask);
        }
        left = interrupted();
        if (left || (hopeless && Clock::now() - *hopeless > kLastWords)) break;
        if (show) show_progress(ask);
      }
      stop_.request_stop();
    }
    if (left) return left;
    if (too_many_failed()) return Error{Code::unavailable, "too many parties failed"};
    out_.failed = failed_;
    return {};
  }

  bool too_many_failed() const {
    return committee_.size() - static_cast<int>(failed_.size() + gone_.size()) < needed();
  }

  void show_progress(int party) const {
    const auto statuses =
        client(party).get_request_statuses({.request_ids = {preproc(), out_.key.hex()}, .meta_store_type = {}},
                                           api::CallOptions{.timeout = kPollTimeout, .stop = order_.stop});
    if (!statuses) return;  // the party's own step says what is wrong with it
    for (const api::RequestStatusInfo& info : statuses->statuses)
      if (info.error_message)
        if (const auto progress = parse_progress(*info.error_message)) order_.progress(*progress);
  }

  /// Until there is a result, or the step is left: `cancelled`. A party that cannot be reached for `gone_after_` counts as gone as long as that
  /// lasts. Once so many parties have their result that nobody else is needed, it is waited for no longer than kGoneAfter.
  template <class Ask>
  auto poll(int party, Ask ask) -> decltype(ask()) {
    auto heard = Clock::now();
    for (;;) {
      auto result = ask();
      if (stop_.stop_requested() && !result) return fail(Code::cancelled, "not waited for any longer");
      if (result || (result.error().code != Code::unavailable && result.error().code != Code::deadline_exceeded))
        return result;
      if (Clock::now() - heard > kAskAgain) {
        const bool reachable = is_reachable(party);
        if (reachable) heard = Clock::now();
        const auto silent = Clock::now() - heard;
        if (done_ >= needed() && silent > kGoneAfter) return result;
        const std::lock_guard lock(mutex_);
        if (silent > gone_after_)
          gone_[party] =
              fmt::format("cannot be reached for {} s: {}",
                          std::chrono::duration_cast<std::chrono::seconds>(silent).count(), result.error().message);
        else
          gone_.erase(party);
      }
      std::this_thread::sleep_for(kPollEvery);
    }
  }

  /// Parties that must have a key. A dealt one has no n - t parties that would make up for another.
  int needed() const { return committee_.size() - (order_.dealt ? 0 : committee_.threshold); }

  bool is_reachable(int party) const {
    return client(party)
        .get_request_statuses({.request_ids = {preproc()}, .meta_store_type = {}},
                              api::CallOptions{.timeout = kPollTimeout, .stop = stop_.get_token()})
        .has_value();
  }

  /// For a moment also to a party that cannot be reached: a machine that has much to do may miss a first connection. An id that was used is
  /// ours then.
  template <class Send>
  Status send(Send send_once) const {
    const auto until = Clock::now() + kSendAgain;
    for (bool again = false;; again = true) {
      const Result<api::Empty> sent = send_once();
      if (sent || (again && sent.error().code == Code::already_exists)) return {};
      if (sent.error().code != Code::unavailable || Clock::now() > until || stop_.stop_requested())
        return fail(sent.error());
      std::this_thread::sleep_for(kPollEvery);
    }
  }

  Status preprocess(int party, const api::KeyGenPreprocRequest& request) {
    const api::KmsClient& node = client(party);
    const Status sent = send([&] {
      return order_.dealt ? node.insecure_key_gen_preproc(request, until_stopped())
                          : node.key_gen_preproc(request, until_stopped());
    });
    if (!sent && sent.error().code == Code::unimplemented && order_.dealt)
      return fail(Code::failed_precondition, "this node does not deal keys; start a committee with --test-nodes");
    if (!sent) return fail(sent.error());
    const api::IdRequest id{*request.request_id};
    const auto result = poll(party, [&] {
      return order_.dealt ? node.get_insecure_key_gen_preproc_result(id, until_stopped())
                          : node.get_key_gen_preproc_result(id, {.timeout = kLongPoll, .stop = stop_.get_token()});
    });
    if (!result) return fail(result.error());
    return check_signature(committee_.party(party),
                           crypto::prep_keygen_verification(out_.preprocessing.bytes(), request.extra_data),
                           result->external_signature);
  }

  Status generate(int party, const api::KeyGenRequest& request) {
    const api::KmsClient& node = client(party);
    const Status sent = send([&] {
      return order_.dealt ? node.insecure_key_gen(request, until_stopped()) : node.key_gen(request, until_stopped());
    });
    if (sent || sent.error().code == Code::deadline_exceeded || sent.error().code == Code::cancelled) {
      const std::lock_guard lock(mutex_);
      accepted_.insert(party);
    }
    if (!sent) return fail(sent.error());
    const api::IdRequest id{*request.request_id};
    const auto result = poll(party, [&] {
      return order_.dealt ? node.get_insecure_key_gen_result(id, until_stopped())
                          : node.get_key_gen_result(id, until_stopped());
    });
    if (!result) return fail(result.error());
    WITAN_ASSIGN(const auto typed, typed_digests(*result));
    WITAN_TRY(check_signature(
        committee_.party(party),
        crypto::keygen_verification(out_.preprocessing.bytes(), out_.key.bytes(), typed, request.extra_data),
        result->external_signature));
    std::map<std::string, Bytes> digests;
    for (const auto& entry : result->key_digests) digests[entry.key_type] = entry.digest;
    const std::lock_guard lock(mutex_);
    digests_[party] = std::move(digests);
    return {};
  }

  static constexpr auto kSendAgain = std::chrono::seconds(2);
  static constexpr auto kLongPoll = std::chrono::seconds(5), kAskAgain = std::chrono::seconds(1);
  /// A party that comes back later is too late for a preprocessing, but not for the phase after it.
  static constexpr auto kGoneAfter = std::chrono::seconds(10), kGoneAfterOnline = std::chrono::seconds(60);
  static constexpr auto kLastWords = std::chrono::seconds(2);  // for the reasons of the others

  const Committee& committee_;
  const KeyOrder& order_;
  const Clock::time_point begun_ = Clock::now();
  const Clock::time_point deadline_;
  std::vector<api::KmsClient> clients_;
  NewKey out_;

  // Of the step that runs.
  std::stop_source stop_;  // it is left
  std::chrono::seconds gone_after_{};
  std::atomic<int> done_ = 0;  // parties that have done it
  mutable std::mutex mutex_;   // of what follows
  std::set<int> finished_;
  std::map<int, std::string> failed_, gone_;             // party -> why; what is gone may come back
  std::set<int> accepted_;                               // a KeyGen, or may have
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

std::map<int, Status> abort_preprocessing(const Committee& committee, const PreprocId& id,
                                          const std::optional<std::vector<int>>& parties) {
  std::map<int, Status> out;
  std::mutex mutex;
  for_each_party(parties ? *parties : all_parties(committee), [&](int party) {
    Status aborted = send_abort(committee, party, id.hex());
    const std::lock_guard lock(mutex);
    out[party] = std::move(aborted);
  });
  OwedAborts owed = read_owed(committee);
  for (const auto& [party, aborted] : out)
    if (has_answered(aborted))
      owed.erase({party, id.hex()});
    else
      owed.insert({party, id.hex()});
  write_owed(committee, owed);
  return out;
}

}  // namespace witan::cli
