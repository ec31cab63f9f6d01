// Who erases what kernels write waits for all of them, also for those that nobody waits for any more.
#include "node/tracked_compute.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <thread>

#include "runtime/scope.h"

namespace witan::node {
namespace {

using namespace std::chrono_literals;
using runtime::Task;
using runtime::Work;

class TrackedComputeTest : public testing::Test {
 protected:
  runtime::ThreadLoop loop;
  runtime::ComputePool pool{loop, {}};
  TrackedCompute compute{pool};
};

TEST_F(TrackedComputeTest, GivesTheValuesOfItsKernels) {
  const auto run = [&]() -> Task<int> {
    const int one = co_await compute(Work::urgent, [] { return 1; });
    co_await compute.until_idle();
    co_return one + co_await compute(Work::preprocessing, [] { return 41; });
  };
  EXPECT_EQ(loop.run(run()), 42);
}

TEST_F(TrackedComputeTest, WaitsForAKernelWhoseCallerIsGone) {
  std::promise<void> begun, may_end;
  std::atomic<bool> ended = false, run = false;
  const auto test = [&]() -> Task<void> {
    runtime::TaskScope scope(loop);
    const auto call = [&]() -> Task<void> {
      co_await compute(Work::preprocessing, [&] {
        begun.set_value();
        may_end.get_future().wait();
        ended = true;
      });
    };
    const auto behind = [&]() -> Task<void> { co_await compute(Work::preprocessing, [&] { run = true; }); };
    scope.spawn(call());
    scope.spawn(behind());
    co_await loop.sleep_for(1ms);
    begun.get_future().wait();
    scope.cancel();
    std::jthread later([&] {
      std::this_thread::sleep_for(20ms);
      may_end.set_value();
    });
    EXPECT_FALSE(ended);
    co_await compute.until_idle();
    EXPECT_TRUE(ended);
    EXPECT_FALSE(run) << "it had not begun: it is dropped";
  };
  loop.run(test());
}

TEST_F(TrackedComputeTest, KernelsMayOutliveIt) {
  std::promise<void> begun, may_end;
  std::atomic<bool> ended = false;
  const auto test = [&]() -> Task<void> {
    auto doomed = std::make_unique<TrackedCompute>(pool);
    auto scope = std::make_unique<runtime::TaskScope>(loop);
    const auto call = [&]() -> Task<void> {
      co_await (*doomed)(Work::preprocessing, [&] {
        begun.set_value();
        may_end.get_future().wait();
        ended = true;
      });
    };
    scope->spawn(call());
    co_await loop.sleep_for(1ms);
    begun.get_future().wait();
    scope = nullptr;
    doomed = nullptr;
    may_end.set_value();
    while (!ended) co_await loop.sleep_for(1ms);
    co_await loop.sleep_for(5ms);
  };
  loop.run(test());
}

}  // namespace
}  // namespace witan::node
