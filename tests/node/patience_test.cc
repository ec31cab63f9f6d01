#include "node/patience.h"

#include <gtest/gtest.h>

namespace witan::node {
namespace {

using namespace std::chrono_literals;
using runtime::Duration;
using runtime::Instant;

constexpr Instant kStarted = Instant{} + 1h;
constexpr Instant kLater = kStarted + 2min;

/// After many decryptions that took so long.
Patience after(Duration own_time, int decryptions = 500) {
  Patience out(500ms, kStarted);
  for (int i = 0; i < decryptions; ++i) out.note(own_time);
  return out;
}

TEST(PatienceTest, ANodeWithLittleToDoAsksAfterTheConfiguredTime) {
  EXPECT_EQ(Patience(500ms, kStarted).at(kLater), 500ms);
  EXPECT_EQ(after(10ms).at(kLater), 500ms);
  EXPECT_EQ(after(60ms).at(kLater), 500ms);
}

TEST(PatienceTest, GrowsWithWhatDecryptionsTakeHereUpToFiveSeconds) {
  for (const auto own_time : {100ms, 250ms, 600ms})
    EXPECT_NEAR(std::chrono::duration<double>(after(own_time).at(kLater)).count(),
                8 * std::chrono::duration<double>(own_time).count(), 0.001);
  for (const Duration own_time : {Duration(700ms), Duration(1h)}) EXPECT_EQ(after(own_time).at(kLater), 5s);
}

TEST(PatienceTest, OneThatWasHeldUpForLongCountsLikeOneOfFiveSeconds) {
  Patience patience(500ms, kStarted);
  patience.note(10min);
  EXPECT_EQ(patience.at(kLater), 2500ms);  // 8 / 16 of it
  for (int i = 0; i < 100; ++i) patience.note(10ms);
  EXPECT_EQ(patience.at(kLater), 500ms) << "and is forgotten";
}

TEST(PatienceTest, IsShortInTheFirstTwoMinutes) {
  const Instant last = kLater - 1ns;
  for (const Instant now : {kStarted, last}) {
    EXPECT_EQ(Patience(500ms, kStarted).at(now), 20ms);
    EXPECT_NEAR(std::chrono::duration<double>(after(50ms).at(now)).count(), 0.22, 0.001);
    EXPECT_EQ(after(400ms).at(now), 20ms + (after(400ms).at(kLater) / 2)) << "half of 8 times the average, and 20 ms";
    EXPECT_EQ(after(1h).at(now), 5s) << "never longer than later";
    EXPECT_EQ(Patience(10ms, kStarted).at(now), 10ms);
  }
}

}  // namespace
}  // namespace witan::node
