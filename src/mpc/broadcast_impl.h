// Definitions of BasicBroadcast, for broadcast.cc and for tests with other rules.
#pragma once

#include <algorithm>
#include <array>
#include <limits>
#include <set>
#include <tuple>
#include <utility>

#include "mpc/broadcast.h"
#include "mpc/broadcast_messages.h"

namespace witan::mpc {

namespace broadcast {

using runtime::Instant;
using runtime::Message;
using runtime::ok;
using runtime::Payload;
using runtime::Task;

/// Messages up to this length are hashed on the loop's own thread.
inline constexpr std::size_t kSmallMessageBytes = 4096;

/// Nothing more is to be awaited of this step.
inline bool is_over(const Error& error) {
  return error.code == Code::deadline_exceeded || error.code == Code::out_of_range || error.code == Code::unavailable ||
         error.code == Code::failed_precondition;
}

/// One broadcast of one party.
template <class Rules>
class Run {
 public:
  Run(runtime::Session& session, runtime::Compute& compute, const Signatories& signatories, Context context,
      runtime::Duration round_timeout, std::size_t max_bytes, BroadcastReport& report)
      : session_(session),
        compute_(compute),
        signatories_(signatories),
        context_(context),
        round_timeout_(round_timeout),
        max_bytes_(max_bytes),
        report_(report),
        committee_(session.committee()),
        self_(session.self()),
        peers_(context.active - RoleSet{session.self()}),
        start_(session.loop().now()),
        unheard_(peers_),
        undecided_(context.active),
        incomplete_(context.active),
        progress_(session.loop()) {}

  Task<Result<BroadcastOutcome>> run(Payload own) {
    std::vector<Task<Status>> tasks;
    tasks.push_back(speak(std::move(own)));
    tasks.push_back(collect_vectors());
    for (const Role sender : context_.active) tasks.push_back(settle(sender));
    co_await ok(runtime::all_ok(co_await runtime::when_all(std::move(tasks))));
    co_return outcome();
  }

 private:
  /// What is known of one sender.
  struct Sender {
    Payload received;  // in round 1
    Digest received_hash{};
    bool decided = false;        // by a certificate for a hash, or of absence
    std::optional<Digest> hash;  // extracted
    RoleSet holders;             // signers of its certificate
    Payload message;             // of that hash
  };

  Step step(Step offset) const { return context_.first_step + offset; }
  Step relay_step(Role sender) const { return step(kBroadcastRelay) + static_cast<Step>(sender.index()); }
  Step fetch_step(Role sender) const { return step(kBroadcastFetch) + static_cast<Step>(sender.index()); }
  Sender& of(Role sender) { return senders_[sender.index()]; }
  /// Before the first question, and between two.
  runtime::Duration pause() const { return round_timeout_ / 8; }
  Instant first_question() const { return runtime::saturating_add(start_, pause()); }
  int last_round() const { return committee_.threshold() + 3; }
  Instant end_of_round(int round) const { return runtime::saturating_add(start_, round * round_timeout_); }
  /// The smallest r for which round 2+r has not ended by then.
  int relays_round(Instant when) const {
    int r = 0;
    while (when > end_of_round(2 + r)) ++r;
    return r;
  }

  // Rounds 1 and 2.

  Task<Status> speak(Payload own) {
    for (const Role peer : peers_) co_await ok(session_.send(peer, step(kBroadcastMessage), own));
    co_await take_message(self_, std::move(own));
    co_await ok(co_await collect_messages());
    co_await ok(offer_messages());
    co_return send_vector();
  }

  /// Ends with round 1, or when others have shown so much that nothing is left to be learnt.
  Task<Status> collect_messages() {
    for (;;) {
      auto message = co_await session_.next(step(kBroadcastMessage), peers_, end_of_round(1));
      if (!message && is_over(message.error())) break;
      if (!message) co_return fail(std::move(message).error());
      co_await take_message(message->from, std::move(message->payload));
    }
    if (session_.loop().now() >= end_of_round(1)) report_.silent = unheard_;
    unheard_ = {};
    session_.release_received(step(kBroadcastMessage));
    co_return Status{};
  }

  Task<void> take_message(Role from, Payload payload) {
    Sender& sender = of(from);
    if (payload->size() <= max_bytes_) {
      sender.received_hash = co_await hash_of(payload);
      sender.received = std::move(payload);
      if (sender.hash) compare(from);
    } else {
      report_.malformed.insert(from);
    }
    unheard_.erase(from);
    progress_.wake_all();
  }

  /// What came in round 1 with what was extracted.
  void compare(Role sender) {
    Sender& s = of(sender);
    if (!s.received) return;
    if (s.received_hash == *s.hash)
      complete(sender, s.received);
    else
      report_.equivocated.insert(sender);
  }

  void complete(Role sender, Payload message) {
    of(sender).message = std::move(message);
    end(sender);
  }

  /// Nothing is to be learnt about this sender any more. Releasing wakes those who await the step.
  void end(Role sender) {
    incomplete_.erase(sender);
    session_.release_received(fetch_step(sender));
    if (incomplete_.empty()) session_.release_received(step(kBroadcastMessage));
    progress_.wake_all();
  }

  Task<Digest> hash_of(Payload payload) {
    if (payload->size() <= kSmallMessageBytes) co_return message_hash(*payload);
    // Urgent, for it has a deadline: heavy work may stand in a queue of seconds.
    co_return co_await compute_(runtime::Work::urgent, [payload] { return message_hash(*payload); });
  }

  /// What is hashed in the own vector, for those who have certificates and not the message.
  Status offer_messages() {
    for (const Role sender : context_.active)
      if (of(sender).received) WITAN_TRY(session_.offer_all(fetch_step(sender), of(sender).received));
    return {};
  }

  Status send_vector() {
    SignedVector own;
    for (const Role sender : context_.active)
      if (of(sender).received) own.hashes.emplace(sender, of(sender).received_hash);
    own.signature = sign(*signatories_.own, own.digest(context_));
    const Payload message = runtime::make_payload(own.encode());
    for (const Role peer : peers_) WITAN_TRY(session_.send(peer, step(kBroadcastVector), message));
    vectors_.emplace(self_, std::move(own));
    return count(self_);
  }

  Task<Status> collect_vectors() {
    for (;;) {
      auto message = co_await session_.next(step(kBroadcastVector), peers_, end_of_round(2));
      if (!message && is_over(message.error())) co_return Status{};
      if (!message) co_return fail(std::move(message).error());
      auto vector = SignedVector::decode(message->bytes(), context_.active);
      if (!vector || !co_await are_signed({{message->from, vector->digest(context_), vector->signature}})) {
        report_.malformed.insert(message->from);
        continue;
      }
      vectors_.emplace(message->from, *std::move(vector));
      co_await ok(count(message->from));
    }
  }

  /// What this vector makes complete: certificates with r = 0, and those of absence.
  Status count(Role voter) {
    for (const Role sender : RoleSet(undecided_)) {
      const Digest* const said = vectors_.at(voter).at(sender);
      Evidence evidence;
      for (const auto& [signer, vector] : vectors_)
        if (same(vector.at(sender), said)) evidence.vectors.emplace(signer, vector);
      if (is_certificate(evidence, sender)) WITAN_TRY(decide(sender, std::move(evidence), 0));
    }
    return {};
  }

  bool is_certificate(const Evidence& evidence, Role sender) const {
    return evidence.vectors.size() >=
           (evidence.hash(sender) ? Rules::certificate(committee_) : Rules::absence(committee_));
  }

  // All rounds.

  /// One sender: what is certified about it, by whatever evidence comes first, and its message. Nothing by the last round: Bot.
  Task<Status> settle(Role sender) {
    co_await wait_until(first_question(), [&] { return of(sender).decided; });
    co_await ok(co_await collect_relays(sender));
    if (!of(sender).hash) co_return Status{};
    co_await wait_until(first_question(), [&] { return of(sender).message || !unheard_.contains(sender); });
    if (!of(sender).message) co_await ok(co_await fetch(sender));
    co_return Status{};
  }

  template <class Condition>
  Task<void> wait_until(Instant deadline, Condition condition) {
    while (!condition() && session_.loop().now() < deadline) co_await progress_.wait(deadline);
  }

  /// Ends with a certificate, or with the last round.
  Task<Status> collect_relays(Role sender) {
    const Instant end = end_of_round(last_round());
    Instant ask_at = session_.loop().now();
    while (!of(sender).decided) {
      auto message = co_await session_.next(relay_step(sender), peers_, std::min(ask_at, end));
      const Instant now = session_.loop().now();
      if (message) {
        co_await ok(co_await take_relay(sender, *std::move(message), relays_round(now)));
      } else if (message.error().code == Code::deadline_exceeded) {
        if (now >= end) break;
        session_.request_resend(relay_step(sender), peers_);
        ask_at = session_.loop().after(pause());
      } else if (!is_over(message.error())) {
        co_return fail(std::move(message).error());
      } else {  // decided meanwhile; or all relays have come, and only vectors can decide now
        co_await wait_until(end, [&] { return of(sender).decided; });
        if (session_.loop().now() >= end) break;
      }
    }
    co_return Status{};
  }

  Task<Status> take_relay(Role sender, Message message, int r) {
    auto evidence = Evidence::decode(message.bytes(), context_.active, sender);
    if (!evidence || !is_certificate(*evidence, sender)) {
      report_.malformed.insert(message.from);
      co_return Status{};
    }
    if (evidence->hash(sender) && evidence->relays.size() < Rules::relays(r)) {
      report_.late.insert(message.from);
      co_return Status{};
    }
    if (!co_await are_signed(signatures_of(*evidence, sender))) {
      report_.malformed.insert(message.from);
      co_return Status{};
    }
    for (const auto& [signer, vector] : evidence->vectors) {
      const auto told = vectors_.find(signer);
      if (told != vectors_.end() && told->second.hashes != vector.hashes) report_.equivocated.insert(signer);
    }
    if (of(sender).decided) co_return Status{};
    report_.relayed.insert(sender);
    co_return decide(sender, *std::move(evidence), r);
  }

  /// The end of a sender's rounds at this party: it extracts the hash, or knows that nobody does.
  Status decide(Role sender, Evidence evidence, int r) {
    Sender& s = of(sender);
    const bool absent = !evidence.hash(sender);
    s.decided = true;
    if (!absent) {
      s.hash = *evidence.hash(sender);
      for (const auto& [signer, vector] : evidence.vectors) s.holders.insert(signer);
    }
    if (absent || r <= committee_.threshold()) {
      if (!absent) evidence.relays[self_] = sign(*signatories_.own, relay_digest(context_, sender, *s.hash));
      WITAN_TRY(session_.offer_all(relay_step(sender), runtime::make_payload(evidence.encode())));
    }
    session_.release_received(relay_step(sender));
    undecided_.erase(sender);
    if (undecided_.empty()) session_.release_received(step(kBroadcastVector));
    if (absent) {
      report_.absent.insert(sender);
      end(sender);
    } else {
      compare(sender);
    }
    progress_.wake_all();
    return {};
  }

  Task<Status> fetch(Role sender) {
    Sender& s = of(sender);
    report_.fetched.insert(sender);
    const RoleSet asked = holders_to_ask(s.holders);
    session_.request_resend(fetch_step(sender), asked);
    for (;;) {
      auto message = co_await session_.next(fetch_step(sender), asked, end_of_round(2 * last_round()));
      if (!message && s.message) co_return Status{};  // came by itself
      if (!message) co_return no_message(sender, asked, std::move(message).error());
      if (message->payload->size() <= max_bytes_ && Rules::is_certified(co_await hash_of(message->payload), *s.hash)) {
        complete(sender, std::move(message->payload));
        co_return Status{};
      }
      report_.malformed.insert(message->from);
    }
  }

  /// t+1 of them, the next ones after this party, so that not everybody asks the same.
  RoleSet holders_to_ask(RoleSet holders) const {
    RoleSet out;
    for (int i = 1; i < committee_.parties() && out.size() <= committee_.threshold(); ++i) {
      const Role role((self_.number() - 1 + i) % committee_.parties() + 1);
      if (holders.contains(role)) out.insert(role);
    }
    return out;
  }

  Status no_message(Role sender, RoleSet asked, Error error) const {
    if (error.code == Code::cancelled) return fail(std::move(error));
    return fail(error.code == Code::deadline_exceeded ? Code::deadline_exceeded : Code::aborted,
                "session {} broadcast {}: none of {} parties that signed for the message of party {} delivers it: {}",
                context_.session.hex(), context_.number, asked.size(), sender.number(), error.message);
  }

  // Signatures.

  using Signed = std::tuple<Role, Digest, Signature>;

  std::vector<Signed> signatures_of(const Evidence& evidence, Role sender) const {
    std::vector<Signed> out;
    for (const auto& [signer, vector] : evidence.vectors)
      out.emplace_back(signer, vector.digest(context_), vector.signature);
    if (const Digest* const hash = evidence.hash(sender))
      for (const auto& [signer, signature] : evidence.relays)
        out.emplace_back(signer, relay_digest(context_, sender, *hash), signature);
    return out;
  }

  /// Each signature that turns out good is checked once: another signature on the same content is not known to be good.
  Task<bool> are_signed(std::vector<Signed> signatures) {
    std::erase_if(signatures, [this](const Signed& one) { return good_.contains(one); });
    if (signatures.empty()) co_return true;
    std::vector<crypto::VerifyingKey> keys;
    for (const auto& [signer, digest, signature] : signatures) keys.push_back(signatories_.keys[signer.index()]);
    const bool good = co_await compute_(runtime::Work::urgent, [keys = std::move(keys), signatures] {
      for (std::size_t i = 0; i < keys.size(); ++i)
        if (!Rules::is_signed(keys[i], std::get<Digest>(signatures[i]), std::get<Signature>(signatures[i])))
          return false;
      return true;
    });
    if (good) good_.insert(signatures.begin(), signatures.end());
    co_return good;
  }

  BroadcastOutcome outcome() {
    BroadcastOutcome out(static_cast<std::size_t>(committee_.parties()));
    for (const Role sender : context_.active) {
      out[sender.index()] = of(sender).message;
      if (!of(sender).hash && of(sender).received) report_.equivocated.insert(sender);
      session_.release_received(relay_step(sender));
      session_.release_received(fetch_step(sender));
    }
    session_.release_received(step(kBroadcastVector));
    report_.equivocated = report_.equivocated | (session_.equivocators() & peers_);
    return out;
  }

  runtime::Session& session_;
  runtime::Compute& compute_;
  const Signatories& signatories_;
  const Context context_;
  const runtime::Duration round_timeout_;
  const std::size_t max_bytes_;
  BroadcastReport& report_;
  const CommitteeSize committee_;
  const Role self_;
  const RoleSet peers_;  // active, without this party
  const Instant start_;
  std::array<Sender, Role::kMax> senders_;
  RoleSet unheard_;                       // peers that may still be heard in round 1
  RoleSet undecided_;                     // senders without certificate
  RoleSet incomplete_;                    // senders without message, unless certainly absent
  std::map<Role, SignedVector> vectors_;  // as their signers sent them; the own one too
  std::set<Signed> good_;                 // signatures that were checked
  runtime::WaitList progress_;            // woken by every message of round 1, certificate and fetch
};

}  // namespace broadcast

template <class Rules>
BasicBroadcast<Rules>::BasicBroadcast(runtime::Session& session, runtime::Compute& compute,
                                      const Signatories& signatories, runtime::Step first_step,
                                      runtime::Duration round_timeout)
    : session_(session),
      compute_(compute),
      signatories_(signatories),
      first_step_(first_step),
      round_timeout_(round_timeout) {}

template <class Rules>
Status BasicBroadcast<Rules>::check(std::uint32_t number, const runtime::Payload& own, runtime::RoleSet active,
                                    std::size_t max_bytes) const {
  const std::string where = fmt::format("session {} broadcast {}", session_.id().hex(), number);
  const auto parties = static_cast<std::size_t>(session_.committee().parties());
  if (!own || own->size() > max_bytes)
    return fail(Code::invalid_argument, "{}: own message of {} bytes, at most {}", where, own ? own->size() : 0,
                max_bytes);
  if (!active.contains(session_.self()) || !(active - runtime::RoleSet::all(session_.committee())).empty())
    return fail(Code::invalid_argument, "{}: party {} of {} is not active, or others are that do not exist", where,
                session_.self().number(), parties);
  if (round_timeout_ <= runtime::Duration::zero())
    return fail(Code::invalid_argument, "{}: rounds of {} ns", where, round_timeout_.count());
  if (last_number_ && number != *last_number_ + 1)
    return fail(Code::invalid_argument, "{}: comes after broadcast {}", where, *last_number_);
  if (number > (std::numeric_limits<runtime::Step>::max() - first_step_) / kBroadcastSteps - 1)
    return fail(Code::invalid_argument, "{}: its steps are out of range", where);
  if (signatories_.keys.size() != parties ||
      signatories_.own->verifying_key() != signatories_.keys[session_.self().index()])
    return fail(Code::invalid_argument, "{}: {} keys for {} parties, or the own one of party {} is another", where,
                signatories_.keys.size(), parties, session_.self().number());
  return {};
}

template <class Rules>
runtime::Task<Result<BroadcastOutcome>> BasicBroadcast<Rules>::run(std::uint32_t number, runtime::Payload own,
                                                                   runtime::RoleSet active, std::size_t max_bytes) {
  report_ = {};
  co_await runtime::ok(check(number, own, active, max_bytes));
  last_number_ = number;
  const runtime::Step first = first_step_ + number * kBroadcastSteps;
  for (runtime::Step i = 0; number >= 2 && i < kBroadcastSteps; ++i)
    session_.release_sent(first - 2 * kBroadcastSteps + i);
  const broadcast::Context context{session_.id(), first, number, active};
  broadcast::Run<Rules> run(session_, compute_, signatories_, context, round_timeout_, max_bytes, report_);
  co_return co_await run.run(std::move(own));
}

}  // namespace witan::mpc
