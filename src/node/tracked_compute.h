// A pool that knows which of its kernels have not ended, also those that nobody waits for any more: who erases what kernels write waits for
// them first. A kernel whose caller is gone goes on if it had begun (runtime/compute.h).
#pragma once

#include <memory>

#include "runtime/compute.h"
#include "runtime/event.h"

namespace witan::node {

/// Loop thread only. The pool outlives it; kernels may outlive it.
class TrackedCompute final : public runtime::Compute {
 public:
  explicit TrackedCompute(runtime::Compute& pool);
  void submit(runtime::Work work, std::function<void()> job) override;
  /// Ends when no kernel that was submitted runs or waits any more. Who waits submits nothing meanwhile.
  runtime::Task<void> until_idle();

 private:
  struct Unfinished {
    explicit Unfinished(runtime::Loop& loop) : ended(loop) {}
    std::size_t kernels = 0;
    runtime::WaitList ended;
  };
  runtime::Compute& pool_;
  const std::shared_ptr<Unfinished> unfinished_;
};

}  // namespace witan::node
