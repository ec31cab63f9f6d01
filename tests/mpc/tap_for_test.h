// What leaves the honest parties of a simulation, and whether something is in it that must not be: shares, coefficients and PRF values
// that no specified opening shows. A secret is found at every offset of a payload, of whatever kind and session.
#pragma once

#include <fmt/format.h>

#include <cstring>
#include <map>
#include <set>
#include <unordered_map>
#include <vector>

#include "algebra/shamir.h"
#include "base/check.h"
#include "runtime/sim.h"

namespace witan::mpc::test {

/// Secrets, each with the parties that it may be sent to.
class Secrets {
 public:
  static constexpr std::size_t kMinBytes = 8;

  void add(ByteView secret, std::string what, runtime::RoleSet may_go_to = {}) {
    WITAN_CHECK(secret.size() >= kMinBytes);
    const std::uint64_t key = load_le<std::uint64_t>(secret.data());
    places_[key].push_back(all_.size());
    seen_[key % kBits] = true;
    all_.push_back({Bytes(secret.begin(), secret.end()), std::move(what), may_go_to});
  }
  template <algebra::Word Z>
  void add(const algebra::Gr<Z>& element, std::string what, runtime::RoleSet may_go_to = {}) {
    ByteArray<algebra::Gr<Z>::kSizeBytes> bytes;
    element.encode(bytes.data());
    add(bytes, std::move(what), may_go_to);
  }
  std::size_t size() const { return all_.size(); }

  struct Secret {
    Bytes bytes;
    std::string what;
    runtime::RoleSet may_go_to;
  };
  /// The first secret in these bytes that may not go to one of those parties.
  const Secret* find(ByteView bytes, runtime::RoleSet receivers) const {
    for (std::size_t at = 0; at + kMinBytes <= bytes.size(); ++at) {
      const std::uint64_t key = load_le<std::uint64_t>(bytes.data() + at);
      if (!seen_[key % kBits]) continue;
      const auto found = places_.find(key);
      if (found == places_.end()) continue;
      for (const std::size_t index : found->second) {
        const Secret& secret = all_[index];
        if (secret.bytes.size() <= bytes.size() - at && !(receivers - secret.may_go_to).empty() &&
            std::memcmp(secret.bytes.data(), bytes.data() + at, secret.bytes.size()) == 0)
          return &secret;
      }
    }
    return nullptr;
  }

 private:
  static constexpr std::size_t kBits = 1u << 22;
  std::vector<Secret> all_;
  std::unordered_map<std::uint64_t, std::vector<std::size_t>> places_;  // by the first bytes
  std::vector<bool> seen_ = std::vector<bool>(kBits);
};

class Tap {
 public:
  struct Sent {
    Role from;
    runtime::RoleSet to;
    runtime::Frame frame;
  };

  explicit Tap(runtime::sim::World& world) : world_(world) {
    world.set_tap([this](Role from, Role to, const runtime::Frame& frame) {
      if (frame.kind != runtime::FrameKind::data || !frame.payload) return;
      Sent& sent = sent_
                       .try_emplace({from, frame.payload.get(), frame.session.value, frame.step}, from,
                                    runtime::RoleSet{}, frame)
                       .first->second;
      sent.to.insert(to);
    });
  }
  ~Tap() { world_.set_tap({}); }
  Tap(const Tap&) = delete;
  Tap& operator=(const Tap&) = delete;

  /// Calls with each message of a party that is honest, once for all who got the same one.
  template <class Look>
  void each(Look look) const {
    const runtime::RoleSet liars = world_.byzantine();
    for (const auto& [key, sent] : sent_)
      if (!liars.contains(sent.from)) look(sent);
  }
  /// Error internal: an honest party sent one of them to somebody who must not see it.
  Status keeps(const Secrets& secrets) const {
    Status out;
    each([&](const Sent& sent) {
      if (!out) return;
      if (const auto* secret = secrets.find(*sent.frame.payload, sent.to))
        out = fail(Code::internal, "party {} sent {} in step {} of session {}", sent.from.number(), secret->what,
                   sent.frame.step, sent.frame.session.hex());
    });
    return out;
  }
  /// Bytes that one honest party sent another in different steps that `counts` accepts; a message that is sent again counts once.
  template <class Counts>
  std::map<std::pair<Role, Role>, std::uint64_t> bytes(Counts counts) const {
    std::map<std::tuple<Role, Role, u128, runtime::Step>, std::uint64_t> of;
    each([&](const Sent& sent) {
      if (!counts(sent.frame)) return;
      for (const Role to : sent.to)
        of[{sent.from, to, sent.frame.session.value, sent.frame.step}] = sent.frame.payload->size();
    });
    std::map<std::pair<Role, Role>, std::uint64_t> out;
    for (const auto& [key, size] : of) out[{std::get<0>(key), std::get<1>(key)}] += size;
    return out;
  }

 private:
  runtime::sim::World& world_;
  std::map<std::tuple<Role, const runtime::PayloadBytes*, u128, runtime::Step>, Sent>
      sent_;  // holds the payloads, so that no address serves two
};

}  // namespace witan::mpc::test
