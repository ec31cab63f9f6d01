#include "runtime/sim.h"

#include <algorithm>
#include <cmath>
#include <map>

namespace witan::runtime::sim {

// SimRng.

SimRng::SimRng(std::uint64_t seed, std::uint64_t stream) : state_(seed) {
  state_ = next64() ^ stream;
  state_ = next64();
}

std::uint64_t SimRng::next64() {
  // SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
  state_ += 0x9e3779b97f4a7c15;
  std::uint64_t z = state_;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

void SimRng::fill(MutableByteView out) {
  for (std::size_t at = 0; at < out.size(); at += 8) {
    const std::uint64_t word = next64();
    std::memcpy(out.data() + at, &word, std::min<std::size_t>(8, out.size() - at));
  }
}

Duration SimRng::between(Duration low, Duration high) {
  return low + Duration(static_cast<Duration::rep>(below(static_cast<std::uint64_t>((high - low).count()) + 1)));
}

// World.

namespace {

/// What happens at a time of its own.
struct Event {
  enum class Kind : std::uint8_t { arrival, peer_reset, boot, partition_begins, partition_ends };
  Kind kind = Kind::arrival;
  Role from, to;  // arrival; peer_reset: `to` is told about `from`; boot: `to`
  Lane lane = Lane::urgent;
  Frame frame;
  RoleSet side;  // partitions
};

/// Streams of randomness: changing the use of one leaves the others alone.
enum class Stream : std::uint64_t { schedule = 1, delays, crashes, resets, nodes = 1'000 };

SimRng stream(std::uint64_t seed, Stream name) {
  return SimRng(seed, static_cast<std::uint64_t>(name));
}

class NodeLoop final : public Loop {
 public:
  using Loop::Loop;

 private:
  void run_until(const bool&) override {
    const bool driven_by_its_world = true;
    WITAN_CHECK(!driven_by_its_world);  // a simulated node calls nothing that blocks
  }
};

}  // namespace

struct World::Impl {
  struct Party {
    Program program;
    Faults faults;
    FakeDisk disk;
    std::unique_ptr<Node> node;
    int lives = 0;
    std::uint64_t crash_points = 0;
    std::size_t next_crash = 0;
  };
  using Key = std::pair<Instant, std::uint64_t>;  // time, then order of scheduling

  Impl(World& w, WorldOptions o, Program program);
  Party& party(Role role) { return parties[role.index()]; }
  std::size_t& under_way(Role from, Role to, Lane lane) { return counts[lane_index(from, to, lane)]; }
  std::size_t lane_index(Role from, Role to, Lane lane) const {
    return (from.index() * Role::kMax + to.index()) * 2 + static_cast<std::size_t>(lane);
  }

  void schedule(Instant when, Event event) { events.emplace(Key{when, sequence++}, std::move(event)); }
  void trace(std::uint64_t what, std::uint64_t a = 0, std::uint64_t b = 0);
  void trace_frame(std::uint64_t what, Role from, Role to, const Frame& frame);

  bool crash_point(Node& node);
  Status send(Node& node, Role to, const Frame& frame, Lane lane);
  void put_under_way(Role from, Role to, const Frame& frame, Lane lane);
  bool separated(Role a, Role b) const;
  void lose_under_way(const std::function<bool(Role from, Role to)>& which);

  void boot(Role role);
  void bury_if_dying(Role role);
  void handle(Event event);
  void arrive(Event& event);
  void reset_random_pair();
  void schedule_reset();
  bool step_some_node();
  Instant next_time() const;
  bool all_required_finished() const;
  RoleSet byzantine() const;
  void count_router(Coverage& into, const RouterCounters& counters) const;

  World& world;
  const WorldOptions options;
  VirtualClock clock;
  SimRng schedule_rng, delay_rng, crash_rng, reset_rng;
  std::map<Key, Event> events;
  std::uint64_t sequence = 0;
  std::vector<Party> parties;
  std::vector<std::size_t> counts;      // frames under way, by lane_index
  std::vector<Instant> latest_arrival;  // by lane_index
  std::vector<RoleSet> partitions;      // in force
  Instant next_reset = kNever;
  std::optional<RoleSet> required;
  bool started = false;
  Coverage coverage;
  Audit audit;
  std::function<void(Role, Role, const Frame&)> tap;
  std::uint64_t event_count = 0, hash = 0x243f6a8885a308d3;
};

class SimLink final : public Link {
 public:
  SimLink(std::function<Status(Role, const Frame&, Lane)> send, CommitteeSize committee, Role self)
      : send_(std::move(send)), committee_(committee), self_(self) {}
  CommitteeSize committee() const override { return committee_; }
  Role self() const override { return self_; }
  Status send(Role to, const Frame& frame, Lane lane) override { return send_(to, frame, lane); }

 private:
  std::function<Status(Role, const Frame&, Lane)> send_;
  CommitteeSize committee_;
  Role self_;
};

World::Impl::Impl(World& w, WorldOptions o, Program program)
    : world(w),
      options(o),
      schedule_rng(stream(o.seed, Stream::schedule)),
      delay_rng(stream(o.seed, Stream::delays)),
      crash_rng(stream(o.seed, Stream::crashes)),
      reset_rng(stream(o.seed, Stream::resets)),
      parties(static_cast<std::size_t>(o.committee.parties())),
      counts(std::size_t{Role::kMax} * Role::kMax * 2),
      latest_arrival(counts.size()) {
  for (Party& p : parties) p.program = program;
}

void World::Impl::trace(std::uint64_t what, std::uint64_t a, std::uint64_t b) {
  ++event_count;
  const auto time = static_cast<std::uint64_t>(clock.now().time_since_epoch().count());
  for (const std::uint64_t word : {what, a, b, time}) {
    hash = (hash ^ word) * 0x9e3779b97f4a7c15;
    hash ^= hash >> 29;
  }
}

void World::Impl::trace_frame(std::uint64_t what, Role from, Role to, const Frame& frame) {
  const u128 content = frame.payload ? fingerprint(*frame.payload, frame.session.value) : frame.session.value;
  trace(
      what, static_cast<std::uint64_t>(from.number()) * 16 + static_cast<std::uint64_t>(to.number()),
      static_cast<std::uint64_t>(content) ^ (std::uint64_t{frame.step} << 8) ^ static_cast<std::uint64_t>(frame.kind));
}

// Sending.

bool World::Impl::crash_point(Node& node) {
  if (node.dying_) return true;
  Party& p = party(node.role());
  ++p.crash_points;
  if (p.next_crash >= p.faults.crashes.size() || p.crash_points < p.faults.crashes[p.next_crash].at_point) return false;
  node.dying_ = true;
  node.journal_->crash(crash_rng);
  return true;
}

Status World::Impl::send(Node& node, Role to, const Frame& frame, Lane lane) {
  const Role from = node.role();
  WITAN_CHECK(to != from && options.committee.contains(to));
  if (crash_point(node)) return {};
  trace_frame('s', from, to, frame);
  if (tap) tap(from, to, frame);
  const Faults& faults = party(from).faults;
  if (frame.kind == FrameKind::data && frame.payload && !faults.byzantine) {
    Bytes input;
    append(input, frame.session.bytes());
    append_le(input, frame.step);
    append_le(input, to.number());
    audit.use(from, "message", input, *frame.payload);
  }
  if (faults.silent || faults.silent_towards.contains(to)) return {};
  if (under_way(from, to, lane) >= options.queue_frames) {
    coverage.add("sim.queue_full");
    return fail(Code::resource_exhausted, "{} frames are under way to party {}, the limit", options.queue_frames,
                to.number());
  }
  if (!faults.corrupt) {
    put_under_way(from, to, frame, lane);
    return {};
  }
  for (const Frame& other : faults.corrupt(to, frame)) put_under_way(from, to, other, lane);
  return {};
}

void World::Impl::put_under_way(Role from, Role to, const Frame& frame, Lane lane) {
  const Faults& faults = party(from).faults;
  const double duplicate = std::max(faults.duplicate, options.duplicate);
  const int copies = duplicate > 0 && delay_rng.chance(duplicate) ? 2 : 1;
  if (copies > 1) coverage.add("sim.duplicated");
  for (int i = 0; i < copies; ++i) {
    if (separated(from, to)) {
      coverage.add("sim.lost_in_partition");
      continue;
    }
    if (under_way(from, to, lane) >= options.queue_frames) return;
    Instant arrival = clock.now();
    if (!faults.rushing) arrival += delay_rng.between(options.min_delay, options.max_delay) + faults.slow;
    Instant& latest = latest_arrival[lane_index(from, to, lane)];
    if (arrival < latest && !faults.rushing) {
      if (delay_rng.chance(options.reorder))
        coverage.add("sim.reordered");
      else
        arrival = latest;
    }
    latest = std::max(latest, arrival);
    ++under_way(from, to, lane);
    schedule(arrival, {.kind = Event::Kind::arrival, .from = from, .to = to, .lane = lane, .frame = frame, .side = {}});
  }
}

bool World::Impl::separated(Role a, Role b) const {
  return std::ranges::any_of(partitions, [&](RoleSet side) { return side.contains(a) != side.contains(b); });
}

void World::Impl::lose_under_way(const std::function<bool(Role from, Role to)>& which) {
  std::erase_if(events, [&](const auto& entry) {
    const Event& event = entry.second;
    if (event.kind != Event::Kind::arrival || !which(event.from, event.to)) return false;
    --under_way(event.from, event.to, event.lane);
    coverage.add("sim.lost_under_way");
    return true;
  });
}

// Lives.

Node::Node(World& world, Role role, int life)
    : world_(world),
      role_(role),
      life_(life),
      rng_(world.impl_->options.seed, static_cast<std::uint64_t>(Stream::nodes) +
                                          static_cast<std::uint64_t>(life * (Role::kMax + 1) + role.number())) {
  World::Impl& w = *world.impl_;
  loop_ = std::make_unique<NodeLoop>(w.clock);
  journal_ = std::make_unique<FakeJournal>(*loop_, w.party(role).disk, w.options.sync_time);
  journal_->set_on_commit([&w, this] { w.crash_point(*this); });
  const auto send = [&w, this](Role to, const Frame& frame, Lane lane) { return w.send(*this, to, frame, lane); };
  link_ = std::make_unique<SimLink>(send, w.options.committee, role);
  compute_ = std::make_unique<InlineCompute>(*loop_);
  router_ = std::make_unique<Router>(*loop_, *link_, w.options.router);
  scope_ = std::make_unique<TaskScope>(*loop_);
}

Node::~Node() = default;

CommitteeSize Node::committee() const {
  return world_.committee();
}
Link& Node::link() {
  return *link_;
}

namespace {

Task<void> live(Node& node, const Program& program, bool& finished) {
  co_await program(node);
  finished = true;
}

}  // namespace

void World::Impl::boot(Role role) {
  Party& p = party(role);
  trace('b', static_cast<std::uint64_t>(role.number()), static_cast<std::uint64_t>(p.lives));
  p.node.reset(new Node(world, role, p.lives++));
  p.node->scope_->spawn(live(*p.node, p.program, p.node->finished_));
  if (p.lives == 1) return;
  for (Role peer : RoleSet::others(options.committee, role))
    schedule(clock.now() + delay_rng.between(options.min_delay, options.max_delay),
             {.kind = Event::Kind::peer_reset, .from = role, .to = peer, .lane = {}, .frame = {}, .side = {}});
}

void World::Impl::bury_if_dying(Role role) {
  Party& p = party(role);
  if (!p.node || !p.node->dying_) return;
  trace('c', static_cast<std::uint64_t>(role.number()), p.crash_points);
  coverage.add("sim.crashes");
  count_router(coverage, p.node->router_->counters());
  p.node.reset();
  // What had left the process may still arrive; what was on its way to it is gone.
  lose_under_way([&](Role from, Role to) { return to == role || (from == role && crash_rng.chance(0.5)); });
  schedule(clock.now() + p.faults.crashes[p.next_crash++].down_for,
           {.kind = Event::Kind::boot, .from = {}, .to = role, .lane = {}, .frame = {}, .side = {}});
}

// Running.

void World::Impl::arrive(Event& event) {
  --under_way(event.from, event.to, event.lane);
  Party& p = party(event.to);
  if (!p.node) {
    coverage.add("sim.lost_while_down");
    return;
  }
  trace_frame('a', event.from, event.to, event.frame);
  if (!crash_point(*p.node)) p.node->router_->deliver(event.from, std::move(event.frame), event.lane);
  bury_if_dying(event.to);
}

void World::Impl::handle(Event event) {
  switch (event.kind) {
    case Event::Kind::arrival:
      return arrive(event);
    case Event::Kind::boot:
      return boot(event.to);
    case Event::Kind::peer_reset:
      trace('r', static_cast<std::uint64_t>(event.from.number()), static_cast<std::uint64_t>(event.to.number()));
      if (auto& node = party(event.to).node) {
        node->router_->peer_reset(event.from);
        bury_if_dying(event.to);
      }
      return;
    case Event::Kind::partition_begins:
      trace('p', event.side.bits());
      coverage.add("sim.partitions");
      partitions.push_back(event.side);
      return lose_under_way([&](Role from, Role to) { return event.side.contains(from) != event.side.contains(to); });
    case Event::Kind::partition_ends:
      trace('h', event.side.bits());
      partitions.erase(std::ranges::find(partitions, event.side));
      for (Role a : RoleSet::all(options.committee))
        for (Role b : RoleSet::all(options.committee))
          if (event.side.contains(a) != event.side.contains(b))
            schedule(clock.now(),
                     {.kind = Event::Kind::peer_reset, .from = a, .to = b, .lane = {}, .frame = {}, .side = {}});
      return;
  }
}

void World::Impl::schedule_reset() {
  const double pairs = options.committee.parties() * (options.committee.parties() - 1) / 2.0;
  const double rate = options.resets_per_second * pairs;
  if (rate <= 0) return;
  const double uniform = (static_cast<double>(reset_rng.next64() >> 11) + 1) * 0x1p-53;  // in (0, 1]
  const double seconds = std::min(-std::log(uniform) / rate, 1e6);
  next_reset = clock.now() + std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
}

void World::Impl::reset_random_pair() {
  const auto n = static_cast<std::uint64_t>(options.committee.parties());
  const Role a(static_cast<int>(reset_rng.below(n)) + 1);
  Role b(static_cast<int>(reset_rng.below(n - 1)) + 1);
  if (b >= a) b = Role(b.number() + 1);
  coverage.add("sim.resets");
  lose_under_way([&](Role from, Role to) { return (from == a && to == b) || (from == b && to == a); });
  for (const auto& [from, to] : {std::pair(a, b), std::pair(b, a)})
    schedule(clock.now(),
             {.kind = Event::Kind::peer_reset, .from = from, .to = to, .lane = {}, .frame = {}, .side = {}});
  schedule_reset();
}

bool World::Impl::step_some_node() {
  std::array<Role, Role::kMax> able;
  std::size_t count = 0;
  for (Role role : RoleSet::all(options.committee))
    if (auto& node = party(role).node; node && (node->loop_->has_ready() || node->loop_->next_timer() <= clock.now()))
      able[count++] = role;
  if (count == 0) return false;
  const Role role = able[schedule_rng.below(count)];
  Node& node = *party(role).node;
  trace('x', static_cast<std::uint64_t>(role.number()));
  node.loop_->step();
  crash_point(node);
  bury_if_dying(role);
  return true;
}

Instant World::Impl::next_time() const {
  Instant next = events.empty() ? kNever : events.begin()->first.first;
  for (const Party& p : parties)
    if (p.node) next = std::min(next, p.node->loop_->next_timer());
  return next;
}

RoleSet World::Impl::byzantine() const {
  RoleSet out;
  for (Role role : RoleSet::all(options.committee)) {
    const Faults& f = parties[role.index()].faults;
    if (f.byzantine || f.silent || !f.silent_towards.empty() || f.corrupt || f.rushing || f.duplicate > 0)
      out.insert(role);
  }
  return out;
}

bool World::Impl::all_required_finished() const {
  for (Role role : required.value_or(RoleSet::all(options.committee) - byzantine()))
    if (const auto& node = parties[role.index()].node; !node || !node->finished_) return false;
  return true;
}

World::World(WorldOptions options, Program program)
    : impl_(std::make_unique<Impl>(*this, options, std::move(program))) {}

World::~World() {
  for (auto& p : impl_->parties) p.node.reset();
}

End World::run(Duration limit, const std::function<bool()>& stop) {
  Impl& w = *impl_;
  if (!w.started) {
    w.started = true;
    for (Role role : RoleSet::all(w.options.committee)) w.boot(role);
    w.schedule_reset();
  }
  const Instant end = Instant{} + limit;
  for (;;) {
    if (stop && stop()) return End::stopped;
    if (w.all_required_finished()) return End::finished;
    if (!w.events.empty() && w.events.begin()->first.first <= w.clock.now()) {
      auto entry = w.events.extract(w.events.begin());
      w.handle(std::move(entry.mapped()));
      continue;
    }
    if (w.step_some_node()) continue;
    const Instant next = w.next_time();
    if (next == kNever) return End::quiescent;
    if (std::min(next, w.next_reset) > end) {
      w.clock.advance_to(end);
      return End::deadline;
    }
    w.clock.advance_to(std::min(next, w.next_reset));
    if (w.next_reset <= w.clock.now()) w.reset_random_pair();
  }
}

void World::set_program(Role role, Program program) {
  WITAN_CHECK(!impl_->started);  // frames may refer to the closure
  impl_->party(role).program = std::move(program);
}
Faults& World::faults(Role role) {
  return impl_->party(role).faults;
}
void World::add_partition(Partition partition) {
  for (const auto& [kind, when] : {std::pair(Event::Kind::partition_begins, partition.from),
                                   std::pair(Event::Kind::partition_ends, partition.until)})
    impl_->schedule(when, {.kind = kind, .from = {}, .to = {}, .lane = {}, .frame = {}, .side = partition.side});
}
void World::set_required(RoleSet roles) {
  impl_->required = roles;
}
void World::set_tap(std::function<void(Role from, Role to, const Frame& frame)> tap) {
  impl_->tap = std::move(tap);
}

RoleSet World::byzantine() const {
  return impl_->byzantine();
}
Instant World::now() const {
  return impl_->clock.now();
}
CommitteeSize World::committee() const {
  return impl_->options.committee;
}
Node* World::node(Role role) {
  return impl_->party(role).node.get();
}
FakeDisk& World::disk(Role role) {
  return impl_->party(role).disk;
}
std::uint64_t World::crash_points(Role role) const {
  return impl_->parties[role.index()].crash_points;
}
void World::count(std::string_view name, std::uint64_t n) {
  impl_->coverage.add(name, n);
}
Audit& World::audit() {
  return impl_->audit;
}
std::uint64_t World::events() const {
  return impl_->event_count;
}
std::uint64_t World::trace_hash() const {
  return impl_->hash;
}

Coverage World::coverage() const {
  Coverage out = impl_->coverage;
  for (const auto& p : impl_->parties)
    if (p.node) impl_->count_router(out, p.node->router_->counters());
  return out;
}

void World::Impl::count_router(Coverage& into, const RouterCounters& c) const {
  for (const auto& [name, value] : {
           std::pair("router.delivered", c.delivered),
           std::pair("router.duplicates", c.duplicates),
           std::pair("router.equivocations", c.equivocations),
           std::pair("router.parked", c.parked),
           std::pair("router.parked_expired", c.parked_expired),
           std::pair("router.parked_refused", c.parked_refused),
           std::pair("router.late", c.late),
           std::pair("router.malformed", c.malformed),
           std::pair("router.waiting_refused", c.waiting_refused),
           std::pair("router.delivered_forgotten", c.delivered_forgotten),
           std::pair("router.link_refused", c.link_refused),
           std::pair("router.resend_requests_sent", c.resend_requests_sent),
           std::pair("router.resend_requests_received", c.resend_requests_received),
           std::pair("router.resent", c.resent),
           std::pair("router.resent_from_store", c.resent_from_store),
           std::pair("router.resend_too_soon", c.resend_too_soon),
           std::pair("router.unavailable_sent", c.unavailable_sent),
           std::pair("router.unavailable_received", c.unavailable_received),
           std::pair("router.closed_sent_evicted", c.closed_sent_evicted),
           std::pair("router.peer_resets", c.peer_resets),
       })
    into.add(name, value);
}

}  // namespace witan::runtime::sim
