// Compute pool: values, priority, frames that die while their kernel runs.
#include "runtime/compute.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <latch>
#include <thread>

#include "runtime/scope.h"

namespace witan::runtime {
namespace {

using namespace std::chrono_literals;

int nice_of_this_thread() {
  return getpriority(PRIO_PROCESS, static_cast<id_t>(gettid()));
}

TEST(ComputePool, ReturnsValuesToTheLoopThread) {
  ThreadLoop loop;
  ComputePool compute(loop, {});
  const auto loop_thread = std::this_thread::get_id();
  auto work = [&]() -> Task<int> {
    auto [value, worker] = co_await compute(
        Work::urgent, [input = std::make_unique<int>(6)] { return std::pair(*input * 7, std::this_thread::get_id()); });
    EXPECT_NE(worker, loop_thread);
    EXPECT_EQ(std::this_thread::get_id(), loop_thread);
    co_await compute(Work::preprocessing, [] {});
    co_return value;
  };
  EXPECT_EQ(loop.run(work()), 42);
}

TEST(ComputePool, ClassesGiveWayToEachOther) {
  ThreadLoop loop;
  ComputePool compute(loop, {});
  const auto priority = [] { return std::pair(sched_getscheduler(0), nice_of_this_thread()); };
  auto work = [&]() -> Task<void> {
    EXPECT_EQ(co_await compute(Work::urgent, priority), priority());
    EXPECT_EQ(co_await compute(Work::heavy, priority), std::pair(SCHED_OTHER, 10));
    EXPECT_EQ(co_await compute(Work::preprocessing, priority), std::pair(SCHED_OTHER, 19));
  };
  loop.run(work());
}

/// Of this thread, in seconds.
double processor_time() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

// On one processor each class gets a small part of what the one above it gets (weights of nice 0, 10 and 19: 1024, 110, 15).
TEST(ComputePool, OfOneProcessorUrgentWorkGetsMoreThanHeavyAndHeavyMoreThanBulk) {
  cpu_set_t before, one;
  ASSERT_EQ(sched_getaffinity(0, sizeof before, &before), 0);
  CPU_ZERO(&one);
  for (int cpu = CPU_SETSIZE - 1; cpu >= 0; --cpu)
    if (CPU_ISSET(cpu, &before)) {
      CPU_SET(cpu, &one);
      break;
    }
  ASSERT_EQ(sched_setaffinity(0, sizeof one, &one), 0);  // the threads of the pool inherit it
  {
    ThreadLoop loop;
    ComputePool compute(loop, {});
    std::latch begun(3);
    std::atomic<bool> over = false;
    double used[3] = {};
    auto work = [&](Work work_class) -> Task<void> {
      used[static_cast<std::size_t>(work_class)] = co_await compute(work_class, [&, work_class] {
        begun.arrive_and_wait();
        const double from = processor_time();
        while (!over)
          if (work_class == Work::urgent && processor_time() - from > 1) over = true;
        return processor_time() - from;
      });
    };
    TaskScope scope(loop);
    for (const Work work_class : {Work::preprocessing, Work::heavy, Work::urgent}) scope.spawn(work(work_class));
    loop.run(scope.join());
    EXPECT_GT(used[0], 3 * used[1]);
    EXPECT_GT(used[1], 3 * used[2]);
  }
  sched_setaffinity(0, sizeof before, &before);
}

TEST(ComputePool, WorkDoesNotWaitForThatOfLowerClasses) {
  for (const auto& [lower, higher] : {std::pair{Work::preprocessing, Work::urgent},
                                      {Work::preprocessing, Work::heavy},
                                      {Work::heavy, Work::urgent}}) {
    ThreadLoop loop;
    ComputePool compute(loop, {.urgent_threads = 1, .heavy_threads = 1, .preprocessing_threads = 1});
    std::latch release(1);
    TaskScope scope(loop);
    int done = 0;
    auto slow = [&](Work work_class) -> Task<void> {
      co_await compute(work_class, [&] { release.wait(); });
      ++done;
    };
    for (int i = 0; i < 10; ++i) scope.spawn(slow(lower));
    auto quick = [&](Work work_class) -> Task<int> {
      co_await loop.yield();
      int sum = 0;
      for (int i = 0; i < 100; ++i) sum += co_await compute(work_class, [] { return 1; });
      co_return sum;
    };
    EXPECT_EQ(loop.run(quick(higher)), 100);
    EXPECT_EQ(done, 0);
    EXPECT_GE(compute.queued(lower), 9u);
    release.count_down();
    loop.run(scope.join());
    EXPECT_EQ(done, 10);
  }
}

TEST(ComputePool, AFrameMayDieWhileItsKernelRunsOrWaits) {
  ThreadLoop loop;
  std::atomic<int> ran = 0;
  const auto token = std::make_shared<int>(0);
  {
    std::latch started(1), release(1);
    TaskScope scope(loop);
    ComputePool compute(loop, {});
    bool resumed = false;
    auto running = [&]() -> Task<void> {
      co_await compute(Work::urgent, [&, token] {
        started.count_down();
        release.wait();
        ++ran;
      });
      resumed = true;
    };
    auto waiting = [&]() -> Task<void> {
      co_await compute(Work::urgent, [&, token] { ++ran; });
      resumed = true;
    };
    auto drive = [&]() -> Task<void> {
      scope.spawn(running());
      scope.spawn(waiting());
      while (!started.try_wait()) co_await loop.yield();
      scope.cancel();
      release.count_down();
      co_await compute(Work::urgent, [] {});  // behind the others
      co_await loop.sleep_for(1ms);
    };
    loop.run(drive());
    EXPECT_FALSE(resumed);
  }
  EXPECT_EQ(ran, 1) << "the kernel that had not begun was skipped";
  EXPECT_EQ(token.use_count(), 1);
}

TEST(ComputePool, DestructionDropsWhatHasNotBegun) {
  ThreadLoop loop;
  const auto token = std::make_shared<int>(0);
  TaskScope scope(loop);
  {
    std::latch started(1), release(1);
    std::jthread releaser;  // joined after the pool is gone
    ComputePool compute(loop, {});
    auto work = [&]() -> Task<void> {
      co_await compute(Work::urgent, [&, token] {
        if (started.try_wait()) ADD_FAILURE() << "a job began after the pool was told to stop";
        started.count_down();
        release.wait();
      });
    };
    auto drive = [&]() -> Task<void> {
      for (int i = 0; i < 5; ++i) scope.spawn(work());
      while (!started.try_wait()) co_await loop.yield();
    };
    loop.run(drive());
    releaser = std::jthread([&] {
      std::this_thread::sleep_for(5ms);
      release.count_down();
    });
    // ~ComputePool begins before the release: the first kernel ends, the other four never run
  }
  scope.cancel();
}

TEST(ComputePool, OutOfMemoryInAKernelReachesTheAwait) {
  ThreadLoop loop;
  ComputePool compute(loop, {});
  auto work = [&]() -> Task<bool> {
    try {
      co_await compute(Work::urgent, []() -> int { throw std::bad_alloc(); });
    } catch (const std::bad_alloc&) {
      co_return true;
    }
    co_return false;
  };
  EXPECT_TRUE(loop.run(work()));
}

TEST(InlineCompute, RunsAtOnceAndResumesInALaterTurn) {
  VirtualLoop loop;
  InlineCompute compute(loop);
  std::vector<std::string> log;
  auto work = [&]() -> Task<int> {
    const int value = co_await compute(Work::preprocessing, [&] {
      log.push_back("kernel");
      return 5;
    });
    log.push_back("resumed");
    co_return value;
  };
  loop.post([&] { log.push_back("other"); });
  EXPECT_EQ(loop.run(work()), 5);
  EXPECT_THAT(log, testing::ElementsAre("kernel", "other", "resumed"));
}

}  // namespace
}  // namespace witan::runtime
