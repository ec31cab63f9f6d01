#include "node/tracked_compute.h"

namespace witan::node {

TrackedCompute::TrackedCompute(runtime::Compute& pool)
    : Compute(pool.loop()), pool_(pool), unfinished_(std::make_shared<Unfinished>(pool.loop())) {}

void TrackedCompute::submit(runtime::Work work, std::function<void()> job) {
  ++unfinished_->kernels;
  // Goes with the job, whether that was run or dropped.
  const std::shared_ptr<void> end(nullptr, [unfinished = unfinished_, &loop = loop()](void*) {
    loop.post([unfinished] {
      --unfinished->kernels;
      unfinished->ended.wake_all();
    });
  });
  pool_.submit(work, [end, job = std::move(job)]() mutable {
    job();
    job = nullptr;  // before the end, with what the kernel owned
  });
}

runtime::Task<void> TrackedCompute::until_idle() {
  const auto unfinished = unfinished_;
  while (unfinished->kernels > 0) co_await unfinished->ended.wait();
}

}  // namespace witan::node
