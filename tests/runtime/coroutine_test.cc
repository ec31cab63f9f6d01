// Task: values, errors, ownership, and the coroutine patterns of engineering.md 2.1.
#include <gtest/gtest.h>

#include <array>
#include <functional>
#include <string>

#include "runtime/event.h"
#include "runtime/scope.h"

namespace witan::runtime {
namespace {

/// Counts its instances, and knows its own address: a second destruction or a bitwise copy shows.
class Tracked {
 public:
  explicit Tracked(int v = 0) : value(v), self_(this) { ++alive; }
  Tracked(const Tracked& other) : value(other.value), self_(this) { ++alive; }
  Tracked(Tracked&& other) noexcept : value(other.value), self_(this) { ++alive; }
  Tracked& operator=(const Tracked&) = default;
  ~Tracked() {
    EXPECT_EQ(self_, this);
    --alive;
  }
  int value;
  static inline int alive = 0;

 private:
  const Tracked* self_;
};

struct Pair {
  Tracked a, b;
  Task<int> sum() const { co_return a.value + b.value; }
};

class Patterns : public testing::Test {
 protected:
  ~Patterns() override { EXPECT_EQ(Tracked::alive, 0); }
  Task<Tracked> later(int value) {
    co_await loop.yield();
    co_return Tracked(value);
  }
  Task<Tracked> now(int value) { co_return Tracked(value); }
  Task<int> take(Pair pair) {
    co_await loop.yield();
    co_return pair.a.value * 10 + pair.b.value;
  }
  Task<int> take_array(std::array<Tracked, 2> pair) {
    co_await loop.yield();
    co_return pair[0].value * 10 + pair[1].value;
  }
  Task<int> take_one(Tracked one) {
    co_await loop.yield();
    co_return one.value;
  }
  Task<std::vector<Tracked>> many(int count) {
    std::vector<Tracked> out;
    for (int i = 0; i < count; ++i) out.push_back(co_await later(i));
    co_return out;
  }

  VirtualLoop loop;
};

TEST_F(Patterns, AwaitInBothArmsOfAConditional) {
  auto choose = [this](bool which) -> Task<int> {
    const Tracked got = which ? co_await later(1) : co_await now(2);
    co_return got.value;
  };
  EXPECT_EQ(loop.run(choose(true)), 1);
  EXPECT_EQ(loop.run(choose(false)), 2);
}

TEST_F(Patterns, AwaitOrNamedInAConditional) {
  auto choose = [this](bool which) -> Task<int> {
    const Tracked named(7);
    const Tracked got = which ? co_await later(1) : named;
    co_return got.value;
  };
  EXPECT_EQ(loop.run(choose(true)), 1);
  EXPECT_EQ(loop.run(choose(false)), 7);
}

TEST_F(Patterns, AggregateOfAwaits) {
  auto build = [this]() -> Task<int> {
    const Pair pair{co_await later(3), co_await now(4)};
    co_return pair.a.value * 10 + pair.b.value;
  };
  EXPECT_EQ(loop.run(build()), 34);
}

TEST_F(Patterns, BraceMadeArgumentsOfAnAwaitedCall) {
  auto call = [this]() -> Task<int> {
    int sum = co_await take({.a = Tracked(1), .b = Tracked(2)});
    sum += co_await take_array({Tracked(3), Tracked(4)});
    sum += co_await Pair{Tracked(5), Tracked(6)}.sum();
    co_return sum;
  };
  EXPECT_EQ(loop.run(call()), 12 + 34 + 11);
}

TEST_F(Patterns, ConditionalArgumentOfAnAwaitedCall) {
  auto call = [this](bool which) -> Task<int> { co_return co_await take_one(which ? Tracked(1) : Tracked(2)); };
  EXPECT_EQ(loop.run(call(true)), 1);
  EXPECT_EQ(loop.run(call(false)), 2);
}

TEST_F(Patterns, InitializerListWithAnAwait) {
  auto call = [this]() -> Task<int> {
    const std::vector<Tracked> list{Tracked(1), co_await later(2), co_await now(3)};
    co_return list[0].value * 100 + list[1].value * 10 + list[2].value;
  };
  EXPECT_EQ(loop.run(call()), 123);
}

TEST_F(Patterns, AwaitInConditionsLoopsAndBindings) {
  auto call = [this]() -> Task<int> {
    int sum = 0;
    for (const Tracked& t : co_await many(4)) sum += t.value;
    if (auto got = co_await later(5); got.value == 5 && (co_await now(1)).value == 1) sum += 100;
    while ((co_await later(sum)).value < 110) ++sum;
    switch ((co_await now(2)).value) {
      case 2:
        sum += 1000;
        break;
      default:
        sum = -1;
    }
    const auto& [a, b] = co_await when_all(later(1), now(2));
    co_return sum + a.value + b.value;
  };
  EXPECT_EQ(loop.run(call()), 110 + 1000 + 3);
}

TEST_F(Patterns, TwoMillionChildrenThatFinishAtOnceUseNoStack) {
  auto call = [this]() -> Task<long> {
    long sum = 0;
    for (int i = 0; i < 2'000'000; ++i) sum += (co_await now(1)).value;
    co_return sum;
  };
  EXPECT_EQ(loop.run(call()), 2'000'000);
}

TEST_F(Patterns, DeepRecursionOfAwaitsReturns) {
  std::function<Task<int>(int)> down = [&](int depth) -> Task<int> {
    if (depth == 0) co_return (co_await later(0)).value;
    co_return 1 + co_await down(depth - 1);
  };
  EXPECT_EQ(loop.run(down(10'000)), 10'000);
}

// ok(...)

Task<Result<Tracked>> checked(int value) {
  if (value < 0) co_return fail(Code::invalid_argument, "{} is negative", value);
  co_return Tracked(value);
}
Task<Status> positive(int value) {
  if (value <= 0) co_return fail(Code::out_of_range, "{} is not positive", value);
  co_return {};
}

TEST_F(Patterns, OkGivesTheValueOrEndsTheCoroutine) {
  auto add = [](int a, int b) -> Task<Result<int>> {
    const Tracked local(1);
    co_await ok(co_await positive(a));
    const int sum = (co_await ok(co_await checked(a))).value + (co_await ok(co_await checked(b))).value;
    co_return sum;
  };
  EXPECT_EQ(*loop.run(add(1, 2)), 3);
  EXPECT_EQ(loop.run(add(0, 2)).error().code, Code::out_of_range);
  const auto failed = loop.run(add(1, -2));
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, Code::invalid_argument);
  EXPECT_EQ(failed.error().message, "-2 is negative");
}

TEST_F(Patterns, OkPassesAnErrorThroughAllLevelsAndDestroysThem) {
  std::function<Task<Result<int>>(int)> down = [&](int depth) -> Task<Result<int>> {
    const Tracked local(depth);
    if (depth == 0) co_return (co_await ok(co_await checked(-1))).value;
    co_return co_await ok(co_await down(depth - 1)) + 1;
  };
  EXPECT_EQ(loop.run(down(1'000)).error().message, "-1 is negative");
  EXPECT_EQ(Tracked::alive, 0);
}

TEST_F(Patterns, OkWorksInArgumentsAndOnPlainResults) {
  auto call = [this](Result<int> input) -> Task<Result<int>> {
    co_return co_await take({.a = Tracked(co_await ok(input)), .b = co_await ok(co_await checked(2))});
  };
  EXPECT_EQ(*loop.run(call(4)), 42);
  EXPECT_EQ(loop.run(call(fail(Code::aborted, "x"))).error().code, Code::aborted);
}

// when_all

TEST_F(Patterns, WhenAllKeepsTheOrderOfItsTasks) {
  auto delayed = [this](int value, int ms) -> Task<int> {
    co_await loop.sleep_for(std::chrono::milliseconds(ms));
    co_return value;
  };
  std::vector<Task<int>> tasks;
  for (int i = 0; i < 5; ++i) tasks.push_back(delayed(i, 10 - i));
  EXPECT_EQ(loop.run(when_all(std::move(tasks))), (std::vector{0, 1, 2, 3, 4}));
  EXPECT_EQ(loop.now().time_since_epoch(), std::chrono::milliseconds(10))
      << "at the same time, not one after the other";
}

TEST_F(Patterns, WhenAllJoinsBeforeItReturnsAlsoOnError) {
  int finished = 0;
  auto work = [&](int value, int ms) -> Task<Result<int>> {
    if (ms > 0) co_await loop.sleep_for(std::chrono::milliseconds(ms));
    const int got = (co_await ok(co_await checked(value))).value;
    ++finished;
    co_return got;
  };
  auto all = [&]() -> Task<Result<std::vector<int>>> {
    std::vector<Task<Result<int>>> tasks;
    tasks.push_back(work(1, 30));
    tasks.push_back(work(-2, 0));
    tasks.push_back(work(-3, 20));
    tasks.push_back(work(4, 10));
    auto results = co_await when_all(std::move(tasks));
    EXPECT_EQ(finished, 2);
    co_return all_ok(std::move(results));
  };
  EXPECT_EQ(loop.run(all()).error().message, "-2 is negative");
}

TEST_F(Patterns, WhenAllOfNothingAndOfMixedTypes) {
  EXPECT_TRUE(loop.run(when_all(std::vector<Task<int>>{})).empty());
  auto nothing = [this]() -> Task<void> { co_await loop.yield(); };
  auto text = []() -> Task<std::string> { co_return "seven"; };
  const auto [unit, seven, tracked] = loop.run(when_all(nothing(), text(), later(3)));
  EXPECT_EQ(unit, std::monostate{});
  EXPECT_EQ(seven, "seven");
  EXPECT_EQ(tracked.value, 3);
}

// Ownership.

TEST_F(Patterns, ATaskThatIsNeverAwaitedNeverRuns) {
  bool ran = false;
  auto work = [&](Tracked) -> Task<void> {
    ran = true;
    co_return;
  };
  {
    const auto task = work(Tracked(1));
  }
  EXPECT_FALSE(ran);
  EXPECT_EQ(Tracked::alive, 0);
}

TEST_F(Patterns, OutOfMemoryCrossesTaskBoundaries) {
  auto inner = []() -> Task<int> {
    throw std::bad_alloc();
    co_return 1;
  };
  auto outer = [&]() -> Task<std::string> {
    try {
      co_await inner();
    } catch (const std::bad_alloc&) {
      co_return "caught";
    }
    co_return "missed";
  };
  EXPECT_EQ(loop.run(outer()), "caught");
}

TEST(TaskDeathTest, AnyOtherExceptionEndsTheProcess) {
  VirtualLoop loop;
  auto inner = []() -> Task<void> {
    throw std::runtime_error("boom");
    co_return;
  };
  EXPECT_DEATH(loop.run(inner()), "exception left a task: boom");
}

TEST(TaskDeathTest, ATaskCannotBeAwaitedTwice) {
  VirtualLoop loop;
  auto twice = [&]() -> Task<void> {
    auto once = []() -> Task<void> { co_return; };
    Task<void> task = once();
    co_await std::move(task);
    co_await std::move(task);  // NOLINT(bugprone-use-after-move): the point of this test
  };
  EXPECT_DEATH(loop.run(twice()), "handle_");
}

/// A task with every kind of await; `destroyed_at` steps later its scope is cancelled.
class DestroyAtEachAwait : public testing::TestWithParam<bool> {};

TEST_P(DestroyAtEachAwait, NothingLeaksAndNothingRunsAfterwards) {
  const bool destroy_sources_first = GetParam();
  std::size_t steps_to_finish = 0;
  bool finished = false;
  for (std::size_t stop_after = 0; !finished; ++stop_after) {
    ASSERT_LT(stop_after, 200u);
    VirtualLoop loop;
    auto event = std::make_unique<Event>(loop);
    auto channel = std::make_unique<Channel<Tracked>>(loop, 4);
    TaskScope scope(loop);
    auto leaf = [&](int value) -> Task<Result<int>> {
      const Tracked local(value);
      co_await loop.sleep_for(std::chrono::milliseconds(value));
      const Tracked got = co_await ok(co_await channel->pop());
      co_return got.value;
    };
    auto body = [&]() -> Task<Result<int>> {
      const Tracked local(0);
      co_await loop.yield();
      co_await event->wait();
      std::vector<Task<Result<int>>> tasks;
      for (int i = 1; i <= 3; ++i) tasks.push_back(leaf(i));
      const auto values = co_await ok(all_ok(co_await when_all(std::move(tasks))));
      co_await loop.yield();
      const auto late = co_await with_deadline(loop, loop.after(std::chrono::milliseconds(5)), leaf(50));
      EXPECT_EQ(late.error().code, Code::deadline_exceeded);
      co_return values[0] + values[1] + values[2];
    };
    auto root = [&]() -> Task<void> {
      const auto sum = co_await body();
      EXPECT_EQ(*sum, 6);
      finished = true;
    };
    auto feed = [&]() -> Task<void> {
      co_await loop.yield();
      co_await loop.yield();
      event->set();
      for (int i = 1; i <= 3; ++i) {
        co_await loop.sleep_for(std::chrono::milliseconds(2));
        EXPECT_TRUE(channel->push(Tracked(i)));
      }
    };
    scope.spawn(root());
    scope.spawn(feed());
    std::size_t steps = 0;
    while (steps < stop_after && !finished) {
      if (!loop.step()) ASSERT_TRUE(loop.jump());
      ++steps;
    }
    steps_to_finish = steps;
    if (destroy_sources_first) {
      event.reset();
      channel.reset();
    }
    scope.cancel();
    loop.run_until_idle();
    channel.reset();
    ASSERT_EQ(Tracked::alive, 0) << "cancelled after " << steps << " steps";
  }
  EXPECT_GT(steps_to_finish, 15u);
}

INSTANTIATE_TEST_SUITE_P(Order, DestroyAtEachAwait, testing::Bool(),
                         [](const auto& param) { return param.param ? "SourcesFirst" : "FramesFirst"; });

}  // namespace
}  // namespace witan::runtime
