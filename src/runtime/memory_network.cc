#include "runtime/memory_network.h"

#include <vector>

namespace witan::runtime {

struct MemoryNetwork::Impl {
  /// A frame under way; owned by the ready queue of the loop and by the list of all frames under way.
  struct Flight final : Runnable, ListNode<struct FlightTag> {
    Flight(Impl& n, Role f, Role t, Frame fr, Lane l) : network(n), from(f), to(t), frame(std::move(fr)), lane(l) {
      ++network.under_way(from, to, lane);
    }
    ~Flight() { --network.under_way(from, to, lane); }
    void run() override {
      FrameSink* sink = network.sinks[to.index()];
      Frame arrived = std::move(frame);
      const Role sender = from;
      const Lane on = lane;
      delete this;
      if (sink) sink->deliver(sender, std::move(arrived), on);
    }

    Impl& network;
    Role from, to;
    Frame frame;
    Lane lane;
  };

  class MemoryLink final : public Link {
   public:
    MemoryLink(Impl& network, Role self) : network_(network), self_(self) {}
    CommitteeSize committee() const override { return network_.committee; }
    Role self() const override { return self_; }
    Status send(Role to, const Frame& frame, Lane lane) override { return network_.send(self_, to, frame, lane); }

   private:
    Impl& network_;
    Role self_;
  };

  Impl(Loop& l, CommitteeSize c, std::size_t q) : loop(l), committee(c), queue_frames(q) {
    for (Role role : RoleSet::all(committee)) links.push_back(std::make_unique<MemoryLink>(*this, role));
  }
  ~Impl() {
    while (!flights.empty()) delete &flights.pop_front();
  }

  std::size_t& under_way(Role from, Role to, Lane lane) {
    return counts[from.index()][to.index()][static_cast<std::size_t>(lane)];
  }

  Status send(Role from, Role to, const Frame& frame, Lane lane) {
    WITAN_CHECK(to != from && committee.contains(to));
    if (filter && !filter(from, to, frame, lane)) return {};
    if (under_way(from, to, lane) >= queue_frames)
      return fail(Code::resource_exhausted, "{} frames are under way to party {}, the limit", queue_frames,
                  to.number());
    ++frames_sent;
    if (frame.payload) payload_bytes_sent += frame.payload->size();
    auto& flight = *new Flight(*this, from, to, frame, lane);
    flights.push_back(flight);
    loop.make_ready(flight);
    return {};
  }

  void reset(Role role) {
    List<Flight, FlightTag> kept;
    while (!flights.empty()) {
      Flight& flight = flights.pop_front();
      if (flight.from == role || flight.to == role)
        delete &flight;
      else
        kept.push_back(flight);
    }
    flights.splice_back(kept);
    for (Role peer : RoleSet::others(committee, role))
      if (sinks[peer.index()]) sinks[peer.index()]->peer_reset(role);
  }

  Loop& loop;
  const CommitteeSize committee;
  const std::size_t queue_frames;
  std::vector<std::unique_ptr<MemoryLink>> links;
  std::array<FrameSink*, Role::kMax> sinks{};
  std::size_t counts[Role::kMax][Role::kMax][2] = {};
  List<Flight, FlightTag> flights;
  std::function<bool(Role, Role, const Frame&, Lane)> filter;
  std::uint64_t frames_sent = 0, payload_bytes_sent = 0;
};

MemoryNetwork::MemoryNetwork(Loop& loop, CommitteeSize committee, std::size_t queue_frames)
    : impl_(std::make_unique<Impl>(loop, committee, queue_frames)) {}
MemoryNetwork::~MemoryNetwork() = default;

Link& MemoryNetwork::link(Role role) {
  WITAN_CHECK(impl_->committee.contains(role));
  return *impl_->links[role.index()];
}
void MemoryNetwork::attach(Role role, FrameSink* sink) {
  impl_->sinks[role.index()] = sink;
}
void MemoryNetwork::reset(Role role) {
  impl_->reset(role);
}
void MemoryNetwork::set_filter(std::function<bool(Role, Role, const Frame&, Lane)> filter) {
  impl_->filter = std::move(filter);
}
std::uint64_t MemoryNetwork::frames_sent() const {
  return impl_->frames_sent;
}
std::uint64_t MemoryNetwork::payload_bytes_sent() const {
  return impl_->payload_bytes_sent;
}

}  // namespace witan::runtime
