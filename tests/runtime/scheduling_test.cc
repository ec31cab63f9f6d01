#include "runtime/scheduling.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <latch>
#include <thread>

namespace witan::runtime {
namespace {

TEST(Scheduling, AllThreadsFollowTheLoad) {
  std::latch ready(1), looked(1);
  pid_t thread = 0;
  std::jthread other([&] {
    thread = gettid();
    ready.count_down();
    looked.wait();
  });
  ready.wait();
  for (const bool under_load : {true, true, false, true, false}) {
    let_threads_finish(under_load);
    const int expected = under_load ? SCHED_BATCH : SCHED_OTHER;
    EXPECT_EQ(sched_getscheduler(0), expected);
    EXPECT_EQ(sched_getscheduler(thread), expected);
  }
  looked.count_down();
}

}  // namespace
}  // namespace witan::runtime
