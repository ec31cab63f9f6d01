// Definitions of BasicAgreement, for agreement.cc and for tests with other rules.
#pragma once

#include <array>
#include <optional>

#include "crypto/separators.h"
#include "mpc/agreement.h"

namespace witan::mpc {

using runtime::ok;
using runtime::Session;
using runtime::Step;
using runtime::Task;

namespace agreement {

inline constexpr std::size_t kCommitmentBytes = 32, kOpeningBytes = 32, kCompareBytes = 32;

inline std::string text(PartySet set) {
  std::string out;
  for (const Role role : set.members()) out += fmt::format("{}{}", out.empty() ? "" : ",", role.number());
  return "{" + out + "}";
}

inline ByteArray<18> committed_message(PartySet set, const SetKey& share) {
  ByteArray<18> out;
  store_le(set.bits(), out.data());
  std::copy(share.begin(), share.end(), out.begin() + 2);
  return out;
}

/// What this party contributes to one of its sets.
struct Contribution {
  SetKey share;
  ByteArray<16> opening;
};

inline crypto::Digest compare_value(SessionId session, PartySet set, const SetKey& key) {
  ByteArray<2> bits;
  store_le(set.bits(), bits.data());
  return crypto::Shake256(crypto::separators::kAgreement).update(session.bytes()).update(bits).update(key).finish();
}

/// The run of one party: its sets, and which of them it shares with each peer.
template <class Rules>
class Run {
 public:
  Run(Session& session, Rng& rng) : session_(session), committee_(session.committee()), self_(session.self()) {
    for (const PartySet set : key_sets(committee_))
      if (set.contains(self_)) sets_.push_back(set);
    mine_ = Secret<std::vector<Contribution>>(std::vector<Contribution>(sets_.size()));
    keys_ = Secret<std::vector<SetKey>>(std::vector<SetKey>(sets_.size()));
    for (std::size_t i = 0; i < sets_.size(); ++i) {
      Contribution& own = mine_.reveal_mutable()[i];
      rng.fill(own.share);
      rng.fill(own.opening);
      keys_.reveal_mutable()[i] = own.share;
    }
    commitments_.resize(static_cast<std::size_t>(committee_.parties()));
  }

  /// Positions in sets_ of the sets that contain the peer, in order.
  std::vector<std::size_t> common(Role peer) const {
    std::vector<std::size_t> out;
    for (std::size_t i = 0; i < sets_.size(); ++i)
      if (sets_[i].contains(peer)) out.push_back(i);
    return out;
  }

  template <class Item>
  Status send_each(Step step, Item&& append_item) {
    for (const Role peer : runtime::RoleSet::others(committee_, self_)) {
      Bytes out;
      for (const std::size_t i : common(peer)) append_item(out, i);
      WITAN_TRY(session_.send(peer, step, runtime::make_payload(std::move(out))));
    }
    return {};
  }

  /// Takes one message of every peer; `check` looks at the item of one set.
  template <class Check>
  Task<Status> collect(Step step, std::size_t item_bytes, runtime::Duration timeout, Check check) {
    const runtime::Instant deadline = session_.loop().after(timeout);
    for (const Role peer : runtime::RoleSet::others(committee_, self_)) {
      auto message = co_await session_.receive(peer, step, deadline);
      if (!message) {
        if (message.error().code != Code::deadline_exceeded) co_return fail(std::move(message).error());
        co_return fail(Code::deadline_exceeded, "party {} was silent in round {} of the set-key agreement",
                       peer.number(), step);
      }
      const auto sets = common(peer);
      const ByteView bytes = message->bytes();
      if (bytes.size() != sets.size() * item_bytes)
        co_return fail(Code::aborted,
                       "aborted: party {} sent {} bytes in round {} of the set-key agreement, expected {}",
                       peer.number(), bytes.size(), step, sets.size() * item_bytes);
      for (std::size_t k = 0; k < sets.size(); ++k)
        if (Status good = check(peer, sets[k], k, bytes.subspan(k * item_bytes, item_bytes)); !good) co_return good;
    }
    co_return Status{};
  }

  Task<Result<SetKeys>> run(runtime::Duration timeout) {
    co_await ok(send_each(kAgreementCommit, [this](Bytes& out, std::size_t i) {
      const Contribution& own = mine_.reveal()[i];
      append(out,
             commitment(self_, session_.id(), kAgreementCommit, committed_message(sets_[i], own.share), own.opening));
    }));
    auto keep = [this](Role peer, std::size_t, std::size_t, ByteView item) -> Status {
      append(commitments_[peer.index()], item);
      return {};
    };
    co_await ok(co_await collect(kAgreementCommit, kCommitmentBytes, timeout, keep));

    co_await ok(send_each(kAgreementOpen, [this](Bytes& out, std::size_t i) {
      append(out, mine_.reveal()[i].share);
      append(out, mine_.reveal()[i].opening);
    }));
    auto open = [this](Role peer, std::size_t i, std::size_t k, ByteView item) -> Status {
      SetKey share;
      ByteArray<16> opening;
      std::copy_n(item.begin(), 16, share.begin());
      std::copy_n(item.begin() + 16, 16, opening.begin());
      const auto expected = ByteView(commitments_[peer.index()]).subspan(k * kCommitmentBytes, kCommitmentBytes);
      const auto actual =
          commitment(peer, session_.id(), kAgreementCommit, committed_message(sets_[i], share), opening);
      if (Rules::check_openings && !equal_constant_time(expected, actual))
        return fail(Code::aborted,
                    "aborted: party {} opened its key share of set {} to another value than it committed to",
                    peer.number(), text(sets_[i]));
      for (std::size_t b = 0; b < share.size(); ++b) keys_.reveal_mutable()[i][b] ^= share[b];
      wipe(share.data(), share.size());
      return {};
    };
    co_await ok(co_await collect(kAgreementOpen, kOpeningBytes, timeout, open));

    co_await ok(send_each(kAgreementCompare, [this](Bytes& out, std::size_t i) {
      append(out, compare_value(session_.id(), sets_[i], keys_.reveal()[i]));
    }));
    auto compare = [this](Role peer, std::size_t i, std::size_t, ByteView item) -> Status {
      if (Rules::compare_keys && !equal_constant_time(item, compare_value(session_.id(), sets_[i], keys_.reveal()[i])))
        return fail(Code::aborted,
                    "aborted: party {} has another key of set {}; somebody told its members different shares",
                    peer.number(), text(sets_[i]));
      return {};
    };
    co_await ok(co_await collect(kAgreementCompare, kCompareBytes, timeout, compare));
    co_return SetKeys(committee_, self_, std::move(keys_));
  }

 private:
  Session& session_;
  CommitteeSize committee_;
  Role self_;
  std::vector<PartySet> sets_;
  Secret<std::vector<Contribution>> mine_;
  Secret<std::vector<SetKey>> keys_;
  std::vector<Bytes> commitments_;  // by role
};

}  // namespace agreement

template <class Rules>
Task<Result<SetKeys>> agree_set_keys_with(Session& session, Rng& rng, runtime::Duration round_timeout) {
  agreement::Run<Rules> run(session, rng);
  co_return co_await run.run(round_timeout);
}

}  // namespace witan::mpc
