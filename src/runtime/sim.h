// The deterministic simulator: n nodes in one thread, virtual time, a seed. The same seed gives the same run, event by
// event (trace_hash proves it); another seed gives other delays, orders and faults.
//
//   sim::World world({.seed = seed, .committee = committee}, [&](sim::Node& node) -> Task<void> {
//     auto session = node.router().open(id);        // everything in here is volatile: a crash drops it, a restart runs
//     co_await node.journal().commit(...);          // this function again; only the journal's disk survives
//     ...
//   });
//   world.faults(Role(2)).silent = true;
//   EXPECT_EQ(world.run(std::chrono::seconds(60)), sim::End::finished);
//
// A node is destroyed at crash points: after each step of its loop, at each frame that it sends or receives, at each journal
// commit. They are numbered per party from 1, over all its lives. A program that is in the middle of a step when its crash
// point comes runs on to its next await, but nothing that it does from there on has an effect outside.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "runtime/compute.h"
#include "runtime/fake_journal.h"
#include "runtime/router.h"
#include "runtime/sim_audit.h"

namespace witan::runtime::sim {

/// A small fast generator (SplitMix64), for simulations only.
class SimRng final : public Rng {
 public:
  explicit SimRng(std::uint64_t seed, std::uint64_t stream = 0);
  void fill(MutableByteView out) override;
  std::uint64_t next64();
  /// Uniform below `bound` (> 0).
  std::uint64_t below(std::uint64_t bound) { return static_cast<std::uint64_t>((u128{next64()} * bound) >> 64); }
  bool chance(double probability) { return static_cast<double>(next64() >> 11) * 0x1p-53 < probability; }
  Duration between(Duration low, Duration high);

 private:
  std::uint64_t state_;
};

/// What a lying party sends instead of a frame of its program: nothing, another frame, several. Called per receiver.
using Corrupt = std::function<std::vector<Frame>(Role receiver, const Frame& frame)>;

struct Crash {
  std::uint64_t at_point = 0;  // number of the crash point
  Duration down_for = std::chrono::seconds(1);
};

/// What goes wrong at one party. The first group makes it Byzantine (World::byzantine()).
struct Faults {
  bool byzantine = false;  // its program lies by itself (Node::link)
  bool silent = false;     // sends nothing
  RoleSet silent_towards;  // sends nothing to these
  Corrupt corrupt;         // see sim_adversary.h
  bool rushing = false;    // its frames overtake all others: they arrive at once
  double duplicate = 0;    // probability that a frame arrives twice

  Duration slow{};             // added to the delay of each frame that it sends
  std::vector<Crash> crashes;  // in order of at_point
};

/// Between `from` and `until` no frame passes between `side` and the rest; what is under way then is lost.
struct Partition {
  RoleSet side;
  Instant from{}, until{};
};

struct WorldOptions {
  std::uint64_t seed = 0;
  CommitteeSize committee;
  Duration min_delay = std::chrono::microseconds(100), max_delay = std::chrono::milliseconds(20);
  double reorder = 0.1;              // probability that a frame may overtake earlier ones of its lane
  double duplicate = 0;              // probability that the network delivers a frame twice
  double resets_per_second = 0;      // of each pair of parties: frames under way are lost, both are told
  std::size_t queue_frames = 4'096;  // under way from one party to another on one lane
  RouterLimits router;
  Duration sync_time = std::chrono::milliseconds(1);
};

class World;

/// One life of one party: what its program may touch.
class Node {
 public:
  Role role() const { return role_; }
  CommitteeSize committee() const;
  Loop& loop() { return *loop_; }
  Router& router() { return *router_; }
  /// Below the router, for programs that lie in ways Faults cannot express.
  Link& link();
  Journal& journal() { return *journal_; }
  Compute& compute() { return *compute_; }
  Rng& rng() { return rng_; }
  /// Further root tasks of this life.
  TaskScope& scope() { return *scope_; }
  /// 0 for the first life.
  int life() const { return life_; }
  World& world() { return world_; }

  ~Node();

 private:
  friend class World;
  Node(World& world, Role role, int life);

  World& world_;
  const Role role_;
  const int life_;
  SimRng rng_;
  // In order of construction; destroyed from below.
  std::unique_ptr<Loop> loop_;
  std::unique_ptr<FakeJournal> journal_;
  std::unique_ptr<Link> link_;
  std::unique_ptr<Compute> compute_;
  std::unique_ptr<Router> router_;
  std::unique_ptr<TaskScope> scope_;
  bool finished_ = false;  // its program has ended
  bool dying_ = false;     // its crash point has come
};

using Program = std::function<Task<void>(Node&)>;

enum class End : std::uint8_t {
  finished,   // the programs of all required parties have ended
  stopped,    // the stop condition held
  quiescent,  // nothing can happen any more, but required programs have not ended
  deadline,   // virtual time is over
};

class World {
 public:
  World(WorldOptions options, Program program);
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  /// Before the first run(): another program for one party, faults, partitions.
  void set_program(Role role, Program program);
  Faults& faults(Role role);
  void add_partition(Partition partition);
  /// Parties whose programs must end; default: all that are not Byzantine.
  void set_required(RoleSet roles);
  RoleSet byzantine() const;
  /// Before the first run(): sees every frame that a program hands to its network, before faults change it.
  void set_tap(std::function<void(Role from, Role to, const Frame& frame)> tap);

  /// Runs until an End. `limit` counts from the start of the world; run() may be called again with a later one. `stop` is
  /// asked before each event.
  End run(Duration limit, const std::function<bool()>& stop = {});

  Instant now() const;
  CommitteeSize committee() const;
  /// Null while the party is down.
  Node* node(Role role);
  FakeDisk& disk(Role role);
  /// Crash points that this party has passed: Crash::at_point up to this number would have hit.
  std::uint64_t crash_points(Role role) const;

  /// Counters of the routers ("router.<counter>"), of the world ("sim.<event>") and of count().
  Coverage coverage() const;
  void count(std::string_view name, std::uint64_t n = 1);
  Audit& audit();
  std::uint64_t events() const;
  /// Over everything that happened, in order.
  std::uint64_t trace_hash() const;

 private:
  friend class Node;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace witan::runtime::sim
