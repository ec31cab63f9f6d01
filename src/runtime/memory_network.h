// n parties in one process on one loop: unit tests and benchmarks. Frames arrive in order, in later turns of the loop.
#pragma once

#include <array>
#include <functional>
#include <memory>

#include "runtime/loop.h"
#include "runtime/network.h"
#include "runtime/role_set.h"

namespace witan::runtime {

class MemoryNetwork {
 public:
  /// queue_frames: frames that may be under way from one party to another on one lane; more are resource_exhausted.
  MemoryNetwork(Loop& loop, CommitteeSize committee, std::size_t queue_frames = 1u << 16);
  ~MemoryNetwork();

  Link& link(Role role);
  /// Where the frames of a party go; null: they are lost. The sink must be detached before it dies.
  void attach(Role role, FrameSink* sink);
  /// Loses everything under way from and to that party and tells the others, as after a restart of its process.
  void reset(Role role);
  /// Sees every frame before it is queued; false drops it.
  void set_filter(std::function<bool(Role from, Role to, const Frame&, Lane)> filter);

  std::uint64_t frames_sent() const;
  std::uint64_t payload_bytes_sent() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace witan::runtime
