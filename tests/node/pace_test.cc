// How far a run is and how fast: after a restart and in a later attempt no less than from the beginning.
#include "node/pace.h"

#include "node/node_testing.h"

namespace witan::node {
namespace {

using namespace std::chrono_literals;
using runtime::Instant;

TEST(Pace, IsSaidAsDocumented) {
  PaceMeter meter(Instant(0s));
  EXPECT_EQ(meter.pace(Instant(1s)).text(), "done=0 total=0 percent=0.0 seconds=1.0");
  meter.look(0, 0, 221'809'867, Instant(1s));
  EXPECT_EQ(meter.pace(Instant(2s)).text(), "done=0 total=221809867 percent=0.0 seconds=2.0");
  meter.look(0, 44'412'149, 221'809'867, Instant(77'500ms));
  EXPECT_EQ(meter.pace(Instant(77'500ms)).text(),
            "done=44412149 total=221809867 percent=20.0 seconds=77.5 per_second=580551 seconds_left=306");
}

TEST(Pace, IsOneHundredPercentWhenAllIsDone) {
  EXPECT_EQ((Pace{.done = 99'999, .total = 100'000}).percent(), 99.9);
  EXPECT_EQ((Pace{.done = 100'000, .total = 100'000}).percent(), 100);
  EXPECT_EQ((Pace{.done = 100'000, .total = 100'000, .per_second = 1}).seconds_left(), 0.0);
}

// 80 of 100 are on the disk. The next 10 take 5 s: 2 in a second, 5 s left.
TEST(Pace, AfterARestartCountsWhatWasThereAsDoneAndNotAsSpeed) {
  PaceMeter meter(Instant(1000s));
  meter.look(0, 0, 100, Instant(1000s));  // waiting for the next attempt
  meter.look(0, 0, 100, Instant(1004s));
  meter.look(1, 80, 100, Instant(1005s));
  for (const auto now : {1005s, 1009s}) {
    EXPECT_EQ(meter.pace(Instant(now)).percent(), 80);
    EXPECT_EQ(meter.pace(Instant(now)).per_second, 0) << "not known yet";
    EXPECT_FALSE(meter.pace(Instant(now)).seconds_left());
  }
  meter.look(1, 90, 100, Instant(1010s));
  const Pace pace = meter.pace(Instant(1010s));
  EXPECT_EQ(pace.seconds, 10);
  EXPECT_EQ(pace.per_second, 2);
  EXPECT_EQ(pace.seconds_left(), 5.0);
}

// The others go back to what the party that restarted has: 30 elements are made again.
TEST(Pace, OfAnAttemptThatDropsElementsIsItsOwn) {
  PaceMeter meter(Instant(0s));
  meter.look(0, 0, 100, Instant(0s));
  meter.look(0, 60, 100, Instant(10s));
  EXPECT_EQ(meter.pace(Instant(10s)).per_second, 6);
  meter.look(1, 30, 100, Instant(20s));
  EXPECT_EQ(meter.pace(Instant(25s)).per_second, 0);
  meter.look(1, 50, 100, Instant(30s));
  EXPECT_EQ(meter.pace(Instant(30s)).per_second, 2);
  EXPECT_EQ(meter.pace(Instant(30s)).seconds_left(), 25.0);
}

}  // namespace
}  // namespace witan::node
