#include "runtime/scheduling.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <latch>
#include <thread>

namespace witan::runtime {
namespace {

TEST(Scheduling, AllThreadsFollowTheLoadButThoseThatUseWhatIsLeft) {
  std::latch ready(2), looked(1);
  pid_t usual = 0, left_over = 0;
  std::jthread first([&] {
    usual = gettid();
    ready.count_down();
    looked.wait();
  });
  std::jthread second([&] {
    use_what_is_left_over();
    left_over = gettid();
    ready.count_down();
    looked.wait();
  });
  ready.wait();
  for (const bool under_load : {true, true, false, true, false}) {
    let_threads_finish(under_load);
    const int expected = under_load ? SCHED_BATCH : SCHED_OTHER;
    EXPECT_EQ(sched_getscheduler(0), expected);
    EXPECT_EQ(sched_getscheduler(usual), expected);
    EXPECT_EQ(sched_getscheduler(left_over), SCHED_IDLE);
  }
  looked.count_down();
}

}  // namespace
}  // namespace witan::runtime
