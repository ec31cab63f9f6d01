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
constexpr auto kAbortWait = std::chrono::seconds(5), kLateRequest = std::chrono::seconds(2);

/// Runs `work` for each of the parties, all at once.
template <class Work>
void for_each_party(const std::set<int>& parties, Work work) {
  std::vector<std::jthread> threads;
  for (const int party : parties) threads.emplace_back([&work, party] { work(party); });
}

std::set<int> all_parties(const Committee& committee) {
  std::set<int> out;
  for (const PartyInfo& party : committee.parties) out.insert(party.id);
  return out;
}

std::set<int> parties_of(const std::map<int, std::string>& entries) {
  std::set<int> out;
  for (const auto& [party, text] : entries) out.insert(party);
  return out;
}

std::set<int> united(std::set<int> some, const std::set<int>& more) {
  some.insert(more.begin(), more.end());
  return some;
}

std::set<int> without(std::set<int> all, const std::set<int>& some) {
  std::erase_if(all, [&](int party) { return some.contains(party); });
  return all;
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

/// A machine that has much to do may miss a first connection: a party that cannot be reached is asked again for the whole time. `unsure`: a
/// request that it has not answered may still reach it, so that it has nothing yet says little.
Status send_abort(const Committee& committee, int party, const std::string& id, bool unsure = false) {
  const api::KmsClient client({.address = committee.party(party).address()});
  const auto begun = Clock::now(), until = begun + kAbortWait;
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now());
    const auto sent = client.abort_key_gen({id}, {.timeout = std::max(left, kPollEvery), .stop = {}});
    if (sent) return {};
    const bool too_early = unsure && sent.error().code == Code::not_found;
    if (too_early && Clock::now() > begun + kLateRequest)
      return fail(Code::unavailable, "it has nothing of {} yet, but a request that it did not answer may still come",
                  id);
    if (!too_early && (sent.error().code != Code::unavailable || Clock::now() + kPollEvery > until))
      return fail(sent.error());
    std::this_thread::sleep_for(kPollEvery);
  }
}

/// A party that has answered has nothing of it any more.
bool has_answered(const Status& aborted) {
  return aborted || aborted.error().code == Code::not_found;
}

/// Parties that do not answer are owed it. `unsure`: see send_abort().
std::map<int, Status> abort_at(const Committee& committee, const PreprocId& id, const std::set<int>& parties,
                               const std::set<int>& unsure = {}) {
  std::map<int, Status> out;
  std::mutex mutex;
  for_each_party(parties, [&](int party) {
    Status aborted = send_abort(committee, party, id.hex(), unsure.contains(party));
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

/// What parties could not be told when it was time: before a new preprocessing, which would find the old one running. Not of `wanted`: who
/// wants a key of it has changed his mind.
void settle_owed_aborts(const Committee& committee, const std::optional<PreprocId>& wanted) {
  OwedAborts owed = read_owed(committee);
  if (owed.empty()) return;
  if (wanted) std::erase_if(owed, [&](const auto& entry) { return entry.second == wanted->hex(); });
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
    settle_owed_aborts(committee_, order_.preprocessing);
    order_.begins(out_.preprocessing, out_.key);
    WITAN_TRY(order_.preprocessing ? find_material() : make_material());
    out_.preprocessing_seconds = seconds();
    WITAN_TRY(make_key());
    const auto& [digests, signers] = agreed();
    out_.digests = digests;
    for (const int party : signers) out_.signers[party] = committee_.party(party).signer;
    describe(signers);
    out_.seconds = seconds();
    return out_;
  }

 private:
  using Digests = std::map<std::string, Bytes>;  // by object type

  /// Why a step was left, or what is wrong with its end; nothing if n - t parties have done it.
  using Trouble = std::optional<Error>;

  double seconds() const { return std::chrono::duration<double>(Clock::now() - begun_).count(); }
  const api::KmsClient& client(int party) const { return clients_[static_cast<std::size_t>(party - 1)]; }
  std::string preproc() const { return out_.preprocessing.hex(); }
  api::CallOptions until_stopped() const { return {.timeout = {}, .stop = stop_.get_token()}; }

  /// What these parties say of a key that they have; those that do not answer say nothing.
  std::map<int, KeyStatus> ask_of(const KeyId& id, const std::set<int>& parties) const {
    std::map<int, KeyStatus> out;
    std::mutex mutex;
    for_each_party(parties, [&](int party) {
      const auto keys = keys_of(committee_.party(party)).value_or(std::vector<KeyStatus>{});
      const auto found = std::ranges::find(keys, id.hex(), &KeyStatus::id);
      const std::lock_guard lock(mutex);
      if (found != keys.end()) out[party] = *found;
    });
    return out;
  }

  /// Origin and parameters of the new key: what t + 1 of those say that have it, one of whom is honest.
  void describe(const std::set<int>& signers) {
    const bool from_elsewhere = order_.existing || order_.preprocessing;
    out_.origin = from_elsewhere ? "unknown" : order_.dealt ? "dealt" : "generated";
    out_.params = order_.preprocessing ? "unknown" : order_.params;
    std::map<std::pair<std::string, std::string>, int> said;
    for (const auto& [party, key] : ask_of(out_.key, signers))
      if (++said[{key.origin, key.params}] > committee_.threshold)
        std::tie(out_.origin, out_.params) = std::tie(key.origin, key.params);
  }

  /// Before a preprocessing is made in vain.
  Status check_existing() const {
    if (!order_.existing) return {};
    const KeyId& id = order_.existing->key;
    const auto holders = ask_of(id, all_parties(committee_));
    if (static_cast<int>(holders.size()) < needed())
      return fail(Code::not_found, "key {} is at {} of {} parties, {} are needed", id.hex(), holders.size(),
                  committee_.size(), needed());
    if (order_.preprocessing) return {};  // the nodes compare the parameters
    for (const auto& [party, key] : holders)
      if (key.params != order_.params)
        return fail(Code::invalid_argument,
                    "key {} has parameters {} at party {}, asked for is a key set of parameters {}", id.hex(),
                    key.params, party, order_.params);
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
    const Trouble trouble =
        at_all(all_parties(committee_), order_.waits.gone, [&](int party) { return preprocess(party, request); });
    if (!trouble) return {};
    return fail({trouble->code, fmt::format("preprocessing {}: {}{}", preproc(), trouble->message,
                                            party_lines(abort_at_parties(all_parties(committee_))))});
  }

  /// Of an earlier command: it is waited for, and whatever happens it stays.
  Status find_material() {
    const api::IdRequest id{preproc()};
    const Trouble trouble = at_all(all_parties(committee_), order_.waits.gone, [&](int party) -> Result<Digests> {
      const auto found = poll(party, [&] {
        return client(party).get_key_gen_preproc_result(id, {.timeout = kLongPoll, .stop = stop_.get_token()});
      });
      if (!found) return fail(found.error());
      return Digests{};
    });
    if (!trouble) return {};
    return fail({trouble->code,
                 fmt::format("preprocessing {} cannot be used: {}{}", preproc(), trouble->message, party_lines({}))});
  }

  Status make_key() {
    if (const Trouble over = interrupted())
      return fail(
          {over->code, fmt::format("key {}: {}, before it was asked for{}", out_.key.hex(), over->message, kept())});
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
    // Parties that were slow with their material are asked, too: a node whose preprocessing still runs refuses a KeyGen with UNAVAILABLE and
    // records nothing, and one whose preprocessing has ended meanwhile takes part.
    const std::set<int> slow = slow_, with_material = without(all_parties(committee_), parties_of(out_.failed));
    const Trouble trouble = at_all(united(with_material, slow), order_.waits.gone_online,
                                   [&](int party) { return generate(party, request); });
    if (!trouble) {
      // Of what these still make no key will come any more, and it would be in the way of the next preprocessing.
      if (const auto useless = without(slow, accepted_); !useless.empty()) abort_at_parties(useless);
      return {};
    }
    std::string what = fmt::format("key {} of preprocessing {}: {}", out_.key.hex(), preproc(), trouble->message);
    const auto asked = united(accepted_, unsure_);  // their material is used up
    const bool is_kept = static_cast<int>(without(with_material, asked).size()) >= needed();
    if (const auto done = finished(); !done.empty())
      what += fmt::format(
          "{}\n{} of {} parties say that they have the key: nothing is aborted, the others go on making "
          "it; see witan committee status --dir {}",
          party_lines({}), done.size(), committee_.size(), committee_.folder.string());
    else
      what += party_lines(abort_at_parties(is_kept ? asked : all_parties(committee_)));
    return fail({trouble->code, what + (is_kept ? kept() : "")});
  }

  std::map<int, Status> abort_at_parties(const std::set<int>& parties) const {
    return abort_at(committee_, out_.preprocessing, parties, unsure_);
  }

  std::string kept() const {
    if (order_.dealt) return "";
    return fmt::format(
        "\nthe material of preprocessing {0} is kept; to go on with it: witan keygen --dir {1} --preproc {0}; to erase "
        "it: witan keygen --dir {1} --abort {0}",
        preproc(), committee_.folder.string());
  }

  /// What each party says, and what came of aborting it.
  std::string party_lines(const std::map<int, Status>& aborted) const {
    std::map<int, std::string> said = failed_;
    for (const auto& [digests, parties] : done_)
      for (const int party : parties) said[party] = "was done" + text_of(digests);
    std::string out;
    for (const PartyInfo& party : committee_.parties) {
      const auto words = said.find(party.id);
      const auto abort = aborted.find(party.id);
      out += fmt::format("\n  party {}: {}", party.id, words != said.end() ? words->second : "was not done yet");
      if (abort == aborted.end()) continue;
      if (abort->second)
        out += "; stopped and erased";
      else if (abort->second.error().code != Code::not_found)
        out += fmt::format("; could not be told to stop ({}): the next keygen tells it", abort->second.error().message);
    }
    return out;
  }

  static std::string text_of(const Digests& digests) {
    std::string out;
    for (const auto& [type, digest] : digests) out += fmt::format(", {} {}", type, to_hex(digest));
    return out;
  }

  Trouble interrupted() const {
    if (order_.stop.stop_requested()) return Error{Code::cancelled, "interrupted"};
    if (Clock::now() > deadline_)
      return Error{Code::deadline_exceeded, fmt::format("not done within {} s (--timeout)", order_.timeout.count())};
    return {};
  }

  /// At these parties, all at once. A step is done with the digests that it ends with; those with other ones have failed. Nothing if n - t have
  /// done it: why the others have not is in out_.failed then. See watch().
  template <class Step>
  Trouble at_all(const std::set<int>& asked, std::chrono::milliseconds gone_after, Step step) {
    stop_ = {};
    gone_after_ = gone_after;
    done_.clear();
    enough_.reset();
    gone_.clear();
    slow_.clear();
    accepted_.clear();
    running_ = asked;
    failed_ = out_.failed;
    for (const int party : asked) failed_.erase(party);
    Trouble trouble;
    {
      std::vector<std::jthread> threads;
      for (const int party : asked) threads.emplace_back([&, party] { ended(party, step(party)); });
      trouble = watch();
      stop_.request_stop();
    }
    const auto& [digests, parties] = agreed();
    if (static_cast<int>(parties.size()) < needed()) {
      if (!trouble && static_cast<int>(finished().size()) >= needed())
        return Error{Code::failed_precondition, fmt::format("no {} parties have the same digests", needed())};
      return trouble ? trouble : too_many();
    }
    for (const auto& [other, deviating] : done_)
      for (const int party : deviating)
        if (other != digests)
          failed_[party] = fmt::format("has other digests than {} parties, do not use its objects{}", parties.size(),
                                       text_of(other));
    for (const int party : without(without(asked, parties), parties_of(failed_))) {
      failed_[party] = fmt::format("was not done when {} others were", parties.size());
      slow_.insert(party);
    }
    out_.failed = failed_;
    return {};
  }

  static Trouble too_many() { return Error{Code::unavailable, "too many parties failed"}; }

  void ended(int party, Result<Digests> outcome) {
    const std::lock_guard lock(mutex_);
    running_.erase(party);
    if (outcome) {
      done_[*std::move(outcome)].insert(party);
      if (!enough_ && is_done()) enough_ = Clock::now();
    } else if (const auto gone = gone_.find(party); gone != gone_.end()) {
      failed_[party] = gone->second;
    } else if (outcome.error().code != Code::cancelled || !stop_.stop_requested()) {
      failed_[party] = outcome.error().message;
    }
    gone_.erase(party);
  }

  /// While the step runs the progress of one party after the other is shown. It ends by itself, or when n - t have done it and the others had
  /// their time, when so many have failed, or are gone, that it cannot succeed, or when the time is over or the user wants to stop.
  Trouble watch() {
    const auto begun = Clock::now();
    std::optional<Clock::time_point> enough, hopeless;
    for (int ask = 1;; ask = ask % committee_.size() + 1) {
      std::this_thread::sleep_for(kPollEvery);
      bool show = false;
      {
        const std::lock_guard lock(mutex_);
        if (running_.empty()) return {};
        enough = enough_;
        if (can_be_done() - static_cast<int>(gone_.size()) >= needed() || order_.dealt)
          hopeless.reset();  // a dealer's request cannot be aborted
        else if (!hopeless)
          hopeless = Clock::now();
        show = running_.contains(ask) && !gone_.contains(ask);
      }
      if (const Trouble over = interrupted()) return over;
      if (enough && Clock::now() - *enough > std::max<Clock::duration>(order_.waits.slow, *enough - begun)) return {};
      if (hopeless && Clock::now() - *hopeless > kLastWords) {
        if (!is_cut_off()) return too_many();
        hopeless.reset();
      }
      if (show) show_progress(ask);
    }
  }

  /// Of those that have not failed nobody can be reached: then it is hardly them, and nobody is gone.
  bool is_cut_off() {
    std::set<int> asked;
    {
      const std::lock_guard lock(mutex_);
      if (can_be_done() < needed()) return false;
      asked = united(running_, finished());
    }
    std::atomic<bool> anybody = false;
    for_each_party(asked, [&](int party) {
      if (is_reachable(party)) anybody = true;
    });
    if (anybody) return false;
    {
      const std::lock_guard lock(mutex_);
      cut_off_ = Clock::now();
      gone_.clear();
    }
    if (!std::exchange(cut_off_said_, true))
      order_.says(fmt::format("no party can be reached: is it the network here? waiting for up to {} s (--timeout)",
                              std::chrono::ceil<std::chrono::seconds>(deadline_ - Clock::now()).count()));
    return true;
  }

  // With the lock while a step runs.

  /// What most of those have that are done, and who they are.
  const std::pair<const Digests, std::set<int>>& agreed() const {
    static const std::pair<const Digests, std::set<int>> nobody;
    const auto most = std::ranges::max_element(done_, {}, [](const auto& entry) { return entry.second.size(); });
    return most == done_.end() ? nobody : *most;
  }
  std::set<int> finished() const {
    std::set<int> out;
    for (const auto& [digests, parties] : done_) out.insert(parties.begin(), parties.end());
    return out;
  }
  bool is_done() const { return static_cast<int>(agreed().second.size()) >= needed(); }
  /// Parties that have done it with the same digests, or may yet.
  int can_be_done() const { return static_cast<int>(agreed().second.size() + running_.size()); }

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
  /// lasts. Nobody waits for it that long any more when n - t have their result.
  template <class Ask>
  auto poll(int party, Ask ask) -> decltype(ask()) {
    auto heard = Clock::now();
    for (;;) {
      auto result = ask();
      if (stop_.stop_requested() && !result) return fail(Code::cancelled, "not waited for any longer");
      if (result || !may_pass(result.error())) return result;
      if (Clock::now() - heard > kAskAgain) {
        const bool reachable = is_reachable(party);
        if (reachable) heard = Clock::now();
        const std::lock_guard lock(mutex_);
        const auto now = Clock::now(), since = std::max(heard, cut_off_);
        if (enough_ && now - std::max(since, *enough_) > order_.waits.gone) return result;
        if (now - since > gone_after_)
          gone_[party] = fmt::format("cannot be reached for {} s: {}",
                                     std::chrono::duration_cast<std::chrono::seconds>(now - heard).count(),
                                     result.error().message);
        else
          gone_.erase(party);
      }
      std::this_thread::sleep_for(kPollEvery);
    }
  }

  /// It says nothing of what was asked for: it runs, cannot be reached, or the node is too busy.
  static bool may_pass(const Error& error) {
    return error.code == Code::unavailable || error.code == Code::deadline_exceeded ||
           error.code == Code::resource_exhausted;
  }

  /// Parties that must have a key. A dealt one has no n - t parties that would make up for another.
  int needed() const { return committee_.size() - (order_.dealt ? 0 : committee_.threshold); }

  /// Whatever it answers.
  bool is_reachable(int party) const {
    const auto answer =
        client(party).get_request_statuses({.request_ids = {preproc()}, .meta_store_type = {}},
                                           api::CallOptions{.timeout = kPollTimeout, .stop = stop_.get_token()});
    return answer || (answer.error().code != Code::unavailable && answer.error().code != Code::deadline_exceeded &&
                      answer.error().code != Code::cancelled);
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

  /// After some errors nobody knows whether the request has arrived, or will.
  void note_sent(int party, const Status& sent) {
    const std::lock_guard lock(mutex_);
    if (sent)
      accepted_.insert(party);
    else if (sent.error().code == Code::deadline_exceeded || sent.error().code == Code::cancelled ||
             sent.error().code == Code::unavailable)
      unsure_.insert(party);
  }

  Result<Digests> preprocess(int party, const api::KeyGenPreprocRequest& request) {
    const api::KmsClient& node = client(party);
    const Status sent = send([&] {
      return order_.dealt ? node.insecure_key_gen_preproc(request, until_stopped())
                          : node.key_gen_preproc(request, until_stopped());
    });
    note_sent(party, sent);
    if (!sent && sent.error().code == Code::unimplemented && order_.dealt)
      return fail(Code::failed_precondition, "this node does not deal keys; start a committee with --test-nodes");
    if (!sent) return fail(sent.error());
    const api::IdRequest id{*request.request_id};
    const auto result = poll(party, [&] {
      return order_.dealt ? node.get_insecure_key_gen_preproc_result(id, until_stopped())
                          : node.get_key_gen_preproc_result(id, {.timeout = kLongPoll, .stop = stop_.get_token()});
    });
    if (!result) return fail(result.error());
    WITAN_TRY(check_signature(committee_.party(party),
                              crypto::prep_keygen_verification(out_.preprocessing.bytes(), request.extra_data),
                              result->external_signature));
    return Digests{};
  }

  Result<Digests> generate(int party, const api::KeyGenRequest& request) {
    const api::KmsClient& node = client(party);
    const Status sent = send([&] {
      return order_.dealt ? node.insecure_key_gen(request, until_stopped()) : node.key_gen(request, until_stopped());
    });
    note_sent(party, sent);
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
    Digests digests;
    for (const auto& entry : result->key_digests) digests[entry.key_type] = entry.digest;
    return digests;
  }

  static constexpr auto kSendAgain = std::chrono::seconds(2);
  static constexpr auto kLongPoll = std::chrono::seconds(5), kAskAgain = std::chrono::seconds(1);
  static constexpr auto kLastWords = std::chrono::seconds(2);  // for the reasons of the others

  const Committee& committee_;
  const KeyOrder& order_;
  const Clock::time_point begun_ = Clock::now();
  const Clock::time_point deadline_;
  std::vector<api::KmsClient> clients_;
  NewKey out_;
  bool cut_off_said_ = false;

  // Of the step that runs.
  std::stop_source stop_;  // it is left
  std::chrono::milliseconds gone_after_{};
  std::set<int> slow_;        // it has not waited for them
  mutable std::mutex mutex_;  // of what follows
  std::set<int> running_;
  std::map<Digests, std::set<int>> done_;     // with what; a preprocessing has none
  std::optional<Clock::time_point> enough_;   // since when n - t have done it
  Clock::time_point cut_off_{};               // last seen
  std::map<int, std::string> failed_, gone_;  // party -> why; what is gone may come back
  std::set<int> accepted_;                    // what it was asked for
  std::set<int> unsure_;                      // may have, in this step or an earlier one
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

std::map<int, Status> abort_preprocessing(const Committee& committee, const PreprocId& id) {
  return abort_at(committee, id, all_parties(committee));
}

}  // namespace witan::cli
