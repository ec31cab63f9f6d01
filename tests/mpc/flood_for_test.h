// Parties that send far more than anybody waits for, and a look at what that makes honest routers hold.
#pragma once

#include "runtime/sim_adversary.h"

namespace witan::mpc::test {

/// A few times what honest parties need in a simulation, so that a flood is above it.
inline runtime::RouterLimits tight_router() {
  runtime::RouterLimits out;
  out.parked_frames = 64, out.parked_bytes = 4u << 20;
  out.waiting_frames = 64, out.waiting_bytes = 16u << 20;
  out.delivered_bytes = 1u << 20;
  return out;
}

/// Before each message others that nobody waits for, and many more before the first one: data and requests, of unknown sessions and of
/// rounds of this one that are to come, where the first message of a sender is the one that counts.
inline runtime::sim::Corrupt flood_ahead(std::uint64_t seed, std::size_t at_first = 300, std::size_t later = 40) {
  using runtime::Frame;
  using runtime::FrameKind;
  return [=, rng = runtime::sim::SimRng(seed), flooded = runtime::RoleSet{},
          junk = runtime::make_payload(Bytes(4096, 0x5a))](Role receiver, const Frame& frame) mutable {
    if (frame.kind != FrameKind::data) return std::vector{frame};
    const std::size_t count = flooded.contains(receiver) ? later : at_first;
    flooded.insert(receiver);
    std::vector<Frame> out;
    for (std::size_t i = 0; i < count; ++i) {
      Frame other = frame;
      if (rng.chance(0.3) || frame.payload->size() > junk->size()) other.payload = junk;
      if (rng.chance(0.3)) other.kind = FrameKind::resend_request;
      if (rng.chance(0.5))
        other.session = SessionId{rng.next<u128>()};
      else if (rng.chance(0.8))
        other.step += 1 + static_cast<runtime::Step>(rng.below(200));
      else
        other.step = static_cast<runtime::Step>(rng.below(1u << 20));
      out.push_back(std::move(other));
    }
    out.push_back(frame);
    return out;
  };
}

/// Runs a world and looks again and again whether a router holds more than `limits`, which are those of the world.
class MemoryWatch {
 public:
  explicit MemoryWatch(runtime::sim::World& world, const runtime::RouterLimits& limits = tight_router())
      : world_(world), limits_(limits) {}

  runtime::sim::End run(runtime::Duration limit) {
    return world_.run(limit, [this, events = 0u]() mutable {
      if (events++ % 32 == 0) look();
      return false;
    });
  }
  /// Error internal: an honest party's router has.
  const Status& verdict() const { return verdict_; }

 private:
  void look() {
    const runtime::RoleSet everybody = runtime::RoleSet::all(world_.committee());
    constexpr std::size_t kAhead = 32;  // sessions that honest parties have opened before this one
    const auto liars = static_cast<std::size_t>(world_.byzantine().size());
    const auto peers = static_cast<std::size_t>(world_.committee().parties() - 1);
    for (const Role role : everybody - world_.byzantine()) {
      runtime::sim::Node* const node = world_.node(role);
      if (!node || !verdict_) continue;
      const runtime::Router& router = node->router();
      const runtime::RouterUsage usage = router.usage();
      std::size_t parked = 0;  // of one sender
      for (const Role peer : everybody) parked = std::max(parked, router.parked_bytes(peer));
      const struct {
        const char* what;
        std::size_t held, most;
      } rows[] = {{"bytes parked of one sender", parked, limits_.parked_bytes},
                  {"sessions parked", usage.parked_sessions, liars * limits_.parked_frames + kAhead},
                  {"bytes waiting", usage.waiting_bytes, peers * limits_.waiting_bytes},
                  {"bytes delivered", usage.delivered_bytes, peers * limits_.delivered_bytes},
                  {"bytes of closed sessions", usage.closed_sent_bytes, limits_.closed_sent_bytes}};
      for (const auto& row : rows)
        if (row.held > row.most)
          verdict_ = fail(Code::internal, "party {} holds {} {}, at most {} are allowed", role.number(), row.held,
                          row.what, row.most);
    }
  }

  runtime::sim::World& world_;
  const runtime::RouterLimits limits_;
  Status verdict_;
};

}  // namespace witan::mpc::test
