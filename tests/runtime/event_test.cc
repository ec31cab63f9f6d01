// Events, wait lists, channels.
#include "runtime/event.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/scope.h"

namespace witan::runtime {
namespace {

using testing::ElementsAre;
using namespace std::chrono_literals;

class Events : public testing::Test {
 protected:
  VirtualLoop loop;
  TaskScope scope{loop};
  std::vector<std::string> log;
};

TEST_F(Events, SetWakesAllWaitersAndLaterOnesDoNotWait) {
  Event event(loop);
  auto wait = [&](std::string name) -> Task<void> {
    EXPECT_EQ(co_await event.wait(), Wake::notified);
    log.push_back(name);
  };
  scope.spawn(wait("a"));
  scope.spawn(wait("b"));
  loop.run_ready();
  EXPECT_TRUE(log.empty());
  event.set();
  event.reset();  // those who waited are woken all the same
  loop.run_ready();
  EXPECT_THAT(log, ElementsAre("a", "b"));
  event.set();
  loop.run(wait("c"));
  EXPECT_THAT(log, ElementsAre("a", "b", "c"));
}

TEST_F(Events, WaitEndsAtItsDeadline) {
  Event event(loop);
  auto wait = [&]() -> Task<Wake> { co_return co_await event.wait(loop.after(5ms)); };
  EXPECT_EQ(loop.run(wait()), Wake::timed_out);
  EXPECT_EQ(loop.now().time_since_epoch(), 5ms);
}

TEST_F(Events, AnEventMayDieBeforeItsWaiters) {
  auto event = std::make_unique<Event>(loop);
  auto wait = [&]() -> Task<void> { co_await event->wait(); };
  scope.spawn(wait());
  loop.run_ready();
  event.reset();
  loop.run_until_idle();
  EXPECT_EQ(scope.running(), 1u);
}

class Channels : public Events {
 protected:
  Task<void> consume(std::string name, int count = 1) {
    for (int i = 0; i < count; ++i) {
      const auto got = co_await channel->pop();
      log.push_back(name + (got ? std::to_string(*got) : std::string("!") + to_string(got.error().code)));
      if (!got) co_return;
    }
  }
  std::unique_ptr<Channel<int>> channel = std::make_unique<Channel<int>>(loop, 3);
};

TEST_F(Channels, KeepOrderAndServeConsumersInTurn) {
  for (const char* name : {"a", "b", "c"}) scope.spawn(consume(name, 2));
  loop.run_ready();
  for (int i = 1; i <= 6; ++i) {
    ASSERT_TRUE(channel->push(i));
    loop.run_ready();
  }
  EXPECT_THAT(log, ElementsAre("a1", "b2", "c3", "a4", "b5", "c6"));
}

TEST_F(Channels, AreBounded) {
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(channel->push(i));
  EXPECT_EQ(channel->push(3).error().code, Code::resource_exhausted);
  EXPECT_EQ(channel->try_pop(), 0);
  EXPECT_TRUE(channel->push(3));
  EXPECT_EQ(channel->size(), 3u);
}

TEST_F(Channels, AValueGivenToADestroyedConsumerGoesToTheNextOne) {
  TaskScope doomed(loop);
  doomed.spawn(consume("doomed"));
  loop.run_ready();
  scope.spawn(consume("next"));
  loop.run_ready();
  ASSERT_TRUE(channel->push(1));  // handed to "doomed", which has not run yet
  doomed.cancel();
  loop.run_ready();
  EXPECT_THAT(log, ElementsAre("next1"));
}

TEST_F(Channels, AValueGivenToADestroyedConsumerGoesBackToTheFront) {
  TaskScope doomed(loop);
  doomed.spawn(consume("doomed"));
  loop.run_ready();
  ASSERT_TRUE(channel->push(1));
  ASSERT_TRUE(channel->push(2));
  doomed.cancel();
  EXPECT_EQ(channel->size(), 2u);
  EXPECT_EQ(channel->try_pop(), 1);
  EXPECT_EQ(channel->try_pop(), 2);
}

TEST_F(Channels, PopEndsAtItsDeadline) {
  auto wait = [&]() -> Task<Result<int>> { co_return co_await channel->pop(loop.after(5ms)); };
  EXPECT_EQ(loop.run(wait()).error().code, Code::deadline_exceeded);
  ASSERT_TRUE(channel->push(4));
  EXPECT_EQ(*loop.run(wait()), 4) << "a pop that timed out takes nothing";
}

TEST_F(Channels, CloseLetsTheRestBePoppedThenCancels) {
  ASSERT_TRUE(channel->push(1));
  channel->close();
  EXPECT_EQ(channel->push(2).error().code, Code::cancelled);
  scope.spawn(consume("a", 5));
  loop.run_ready();
  EXPECT_THAT(log, ElementsAre("a1", "a!CANCELLED"));
}

TEST_F(Channels, CloseWakesWaitingConsumers) {
  scope.spawn(consume("a"));
  loop.run_ready();
  channel->close();
  loop.run_ready();
  EXPECT_THAT(log, ElementsAre("a!CANCELLED"));
}

TEST_F(Channels, MayDieWhileAValueIsOnItsWay) {
  scope.spawn(consume("a"));
  loop.run_ready();
  ASSERT_TRUE(channel->push(1));
  channel.reset();
  loop.run_ready();
  EXPECT_THAT(log, ElementsAre("a1"));
}

}  // namespace
}  // namespace witan::runtime
