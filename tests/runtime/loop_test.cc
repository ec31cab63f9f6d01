// Loop, timers, scopes, deadlines.
#include "runtime/loop.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <thread>

#include "runtime/scope.h"
#include "support/support.h"

namespace witan::runtime {
namespace {

using testing::ElementsAre;
using namespace std::chrono_literals;

TEST(VirtualLoop, TimersFireInOrderOfTimeThenOfArming) {
  VirtualLoop loop;
  std::vector<int> fired;
  std::vector<std::unique_ptr<CallbackTimer>> timers;
  const auto add = [&](int number, Duration due) {
    timers.push_back(std::make_unique<CallbackTimer>(loop, [&fired, number] { fired.push_back(number); }));
    timers.back()->arm(loop.after(due));
  };
  add(1, 30ms);
  add(2, 10ms);
  add(3, 20ms);
  add(4, 10ms);
  loop.advance(20ms);
  EXPECT_THAT(fired, ElementsAre(2, 4, 3));
  loop.run_until_idle();
  EXPECT_THAT(fired, ElementsAre(2, 4, 3, 1));
  EXPECT_EQ(loop.now().time_since_epoch(), 30ms);
}

TEST(VirtualLoop, ADisarmedDestroyedOrRearmedTimerDoesNotFireAtItsOldTime) {
  VirtualLoop loop;
  std::vector<std::string> fired;
  CallbackTimer disarmed(loop, [&] { fired.push_back("disarmed"); });
  auto destroyed = std::make_unique<CallbackTimer>(loop, [&] { fired.push_back("destroyed"); });
  CallbackTimer moved(loop,
                      [&] { fired.push_back("moved at " + std::to_string(loop.now().time_since_epoch() / 1ms)); });
  disarmed.arm(loop.after(1ms));
  destroyed->arm(loop.after(1ms));
  moved.arm(loop.after(1ms));
  moved.arm(loop.after(2ms));
  disarmed.disarm();
  destroyed.reset();
  CallbackTimer never(loop, [&] { fired.push_back("never"); });
  never.arm(kNever);
  EXPECT_FALSE(never.armed());
  loop.run_until_idle();
  EXPECT_THAT(fired, ElementsAre("moved at 2"));
}

TEST(VirtualLoop, AfterwardsRunsOnceForATurnBehindAllThatIsReady) {
  VirtualLoop loop;
  std::vector<std::string> order;
  Afterwards wake(loop, [&] { order.push_back("wake"); });
  TaskScope scope(loop);
  auto leave_work = [&](std::string name) -> Task<void> {
    order.push_back(name);
    wake.request();
    co_await loop.yield();
    order.push_back(name + " again");
    wake.request();
  };
  for (const char* name : {"a", "b", "c"}) scope.spawn(leave_work(name));
  loop.run_ready();
  EXPECT_THAT(order, ElementsAre("a", "b", "c", "wake", "a again", "b again", "c again", "wake"))
      << "one wake for what three tasks have left in a turn";
  loop.run_until_idle();
  EXPECT_EQ(order.size(), 8u) << "nothing was requested";
}

TEST(VirtualLoop, AfterwardsMayBeRequestedByItsFunctionAndDestroyedWhileItWaits) {
  VirtualLoop loop;
  int calls = 0;
  std::optional<Afterwards> again;
  again.emplace(loop, [&] {
    if (++calls < 3) again->request();
  });
  again->request();
  EXPECT_TRUE(loop.step());
  EXPECT_EQ(calls, 1) << "a further turn for a further request";
  loop.run_ready();
  EXPECT_EQ(calls, 3);
  again->request();
  again.reset();
  EXPECT_FALSE(loop.has_ready());
}

TEST(VirtualLoop, ManyRandomTimersFireWhenTheyAreDue) {
  VirtualLoop loop;
  test::SeededRng rng("timers");
  std::vector<std::unique_ptr<CallbackTimer>> timers;
  std::size_t fired = 0, disarmed = 0;
  for (int i = 0; i < 2'000; ++i) {
    const Instant due = loop.after(Duration(rng.next<std::uint16_t>()));
    timers.push_back(std::make_unique<CallbackTimer>(loop, [&, due] {
      EXPECT_EQ(loop.now(), due);
      ++fired;
    }));
    timers.back()->arm(due);
    if (rng.next<std::uint8_t>() % 4 == 0) {
      auto& other = timers[rng.next<std::uint32_t>() % timers.size()];
      if (other->armed()) ++disarmed;
      other->disarm();
    }
  }
  loop.run_until_idle();
  EXPECT_EQ(fired, 2'000 - disarmed);
}

TEST(VirtualLoop, ATimerThatOutlivesItsLoopIsHarmless) {
  auto loop = std::make_unique<VirtualLoop>();
  CallbackTimer timer(*loop, [] { FAIL(); });
  timer.arm(loop->after(1ms));
  loop.reset();
  EXPECT_FALSE(timer.armed());
}

TEST(VirtualLoop, ReadyWorkRunsInTheOrderInWhichItBecameReady) {
  VirtualLoop loop;
  TaskScope scope(loop);
  std::vector<int> order;
  auto work = [&](int number) -> Task<void> {
    order.push_back(number);
    co_await loop.yield();
    order.push_back(number + 10);
  };
  for (int i = 1; i <= 3; ++i) scope.spawn(work(i));
  loop.post([&] { order.push_back(0); });
  EXPECT_TRUE(order.empty()) << "spawn does not run anything yet";
  loop.run_ready();
  EXPECT_THAT(order, ElementsAre(1, 2, 3, 0, 11, 12, 13));
}

TEST(VirtualLoop, WallTimeMovesWithVirtualTime) {
  VirtualLoop loop;
  const WallTime before = loop.clock().wall();
  loop.advance(90s);
  EXPECT_EQ(loop.clock().wall() - before, 90s);
}

TEST(LoopDeathTest, WaitingForSomethingImpossibleIsABug) {
  VirtualLoop loop;
  struct Forever {
    bool await_ready() const { return false; }
    void await_suspend(std::coroutine_handle<>) const {}
    void await_resume() const {}
  };
  auto wait = []() -> Task<void> { co_await Forever{}; };
  EXPECT_DEATH(loop.run(wait()), "jumped");
}

TEST(Deadlines, SaturateInsteadOfOverflowing) {
  VirtualLoop loop;
  loop.advance(1h);
  EXPECT_EQ(loop.after(Duration::max()), kNever);
  EXPECT_EQ(loop.after(1h).time_since_epoch(), 2h);
}

TEST(Deadlines, ResultBeforeTheDeadlineErrorAfterIt) {
  VirtualLoop loop;
  bool reached = false;
  auto work = [&](Duration duration) -> Task<Result<int>> {
    co_await loop.sleep_for(duration);
    reached = true;
    co_return 7;
  };
  EXPECT_EQ(*loop.run(with_deadline(loop, loop.after(10ms), work(9ms))), 7);
  reached = false;
  const auto late = loop.run(with_deadline(loop, loop.after(10ms), work(11ms)));
  EXPECT_EQ(late.error().code, Code::deadline_exceeded);
  loop.run_until_idle();
  EXPECT_FALSE(reached) << "the frame was destroyed";
}

TEST(Deadlines, WorkThatNeedsNoWaitingFinishesEvenWhenTheDeadlineHasPassed) {
  VirtualLoop loop;
  auto work = []() -> Task<Result<int>> { co_return 7; };
  EXPECT_EQ(*loop.run(with_deadline(loop, loop.now(), work())), 7);
}

TEST(TaskScope, JoinWaitsForAllAndCancelDestroysTheRest) {
  VirtualLoop loop;
  TaskScope scope(loop);
  int finished = 0;
  auto work = [&](Duration duration) -> Task<void> {
    co_await loop.sleep_for(duration);
    ++finished;
  };
  loop.run(scope.join());
  for (int i = 1; i <= 5; ++i) scope.spawn(work(i * 1ms));
  EXPECT_EQ(scope.running(), 5u);
  loop.run(scope.join());
  EXPECT_EQ(finished, 5);
  for (int i = 1; i <= 5; ++i) scope.spawn(work(i * 1ms));
  loop.advance(2ms);
  EXPECT_EQ(scope.running(), 3u);
  scope.cancel();
  EXPECT_EQ(scope.running(), 0u);
  loop.run_until_idle();
  EXPECT_EQ(finished, 7);
}

TEST(TaskScope, CancelWakesWhoJoins) {
  VirtualLoop loop;
  TaskScope scope(loop), watchers(loop);
  bool joined = false;
  auto forever = [&]() -> Task<void> {
    for (;;) co_await loop.sleep_for(1h);
  };
  auto watch = [&]() -> Task<void> {
    co_await scope.join();
    joined = true;
  };
  scope.spawn(forever());
  watchers.spawn(watch());
  loop.run_ready();
  EXPECT_FALSE(joined);
  scope.cancel();
  loop.run_ready();
  EXPECT_TRUE(joined);
}

TEST(TaskScope, TasksMaySpawnIntoTheirOwnScope) {
  VirtualLoop loop;
  TaskScope scope(loop);
  int count = 0;
  std::function<Task<void>(int)> grow = [&](int depth) -> Task<void> {
    ++count;
    if (depth > 0)
      for (int i = 0; i < 2; ++i) scope.spawn(grow(depth - 1));
    co_return;
  };
  scope.spawn(grow(4));
  loop.run(scope.join());
  EXPECT_EQ(count, 31);
}

TEST(LoadRest, IsForThreadsThatWaitForProcessors) {
  LoadRest load;
  const auto after = [&](Duration delay, int times) {
    for (int i = 0; i < times; ++i) load.note_delay(delay);
    return load.rest();
  };
  EXPECT_EQ(load.rest(), Duration{});
  EXPECT_EQ(after(50us, 1000), Duration{}) << "this is what waking takes";
  const Duration one_late = 2 * (Duration(50us) + (Duration(10ms) - Duration(50us)) / 16);
  EXPECT_NEAR(static_cast<double>(after(10ms, 1).count()), static_cast<double>(one_late.count()), 1e3);
  EXPECT_NEAR(static_cast<double>(after(2ms, 1000).count()), static_cast<double>(LoadRest::kLongest.count()), 1e3);
  EXPECT_EQ(after(10s, 1000), LoadRest::kLongest);
  EXPECT_NEAR(static_cast<double>(after(500us, 200).count()), 1e6, 1e4);
  EXPECT_EQ(after(0us, 100), Duration{});
}

// Whether the machine lets it rest or not.
TEST(ThreadLoop, HandlesEverythingUnderLoadAndTimersInTime) {
  ThreadLoop loop;
  std::atomic<bool> stop = false;
  std::atomic<int> posted = 0;
  int ran = 0;
  std::jthread busy([&] {
    while (!stop) {
      for (int i = 0; i < 100; ++i) loop.post([&ran] { ++ran; });
      posted += 100;
      std::this_thread::sleep_for(1ms);
    }
  });
  const auto lateness = loop.run([](Loop& l) -> Task<Duration> {
    co_await l.sleep_for(100ms);  // the load is known
    Duration worst{};
    for (int i = 0; i < 100; ++i) {
      const Instant due = l.after(1ms);
      co_await l.sleep_until(due);
      worst = std::max(worst, l.now() - due);
    }
    co_return worst;
  }(loop));
  EXPECT_LT(lateness, 1s);
  stop = true;
  busy.join();
  loop.run([](Loop& l) -> Task<void> { co_await l.sleep_for(50ms); }(loop));
  EXPECT_EQ(ran, posted);
  EXPECT_GT(ran, 1000);
}

TEST(ThreadLoop, RunsATaskWithRealTimers) {
  ThreadLoop loop;
  auto work = [&]() -> Task<int> {
    const Instant start = loop.now();
    co_await loop.sleep_for(5ms);
    EXPECT_GE(loop.now() - start, 5ms);
    co_return 7;
  };
  EXPECT_EQ(loop.run(work()), 7);
}

TEST(ThreadLoop, PostedJobsOfEachThreadKeepTheirOrder) {
  constexpr int kThreads = 4, kJobs = 2'000;
  ThreadLoop loop;
  std::array<int, kThreads> next{};
  int total = 0;
  std::vector<std::jthread> threads;
  for (std::size_t t = 0; t < kThreads; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < kJobs; ++i)
        loop.post([&, t, i] {
          EXPECT_EQ(next[t]++, i);
          if (++total == kThreads * kJobs) loop.stop();
        });
    });
  loop.run();
  EXPECT_EQ(total, kThreads * kJobs);
}

TEST(ThreadLoop, StopFromAnotherThreadWakesASleepingLoop) {
  ThreadLoop loop;
  std::jthread stopper([&] {
    std::this_thread::sleep_for(5ms);
    loop.stop();
  });
  loop.run();
  loop.stop();
  loop.run();  // a stop that came before is kept
}

TEST(ThreadLoop, JobsThatDidNotRunAreDestroyedWithTheLoop) {
  const auto token = std::make_shared<int>(1);
  {
    ThreadLoop loop;
    for (int i = 0; i < 3; ++i) loop.post([token] { FAIL(); });
    EXPECT_EQ(token.use_count(), 4);
  }
  EXPECT_EQ(token.use_count(), 1);
}

}  // namespace
}  // namespace witan::runtime
