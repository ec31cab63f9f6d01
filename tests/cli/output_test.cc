// What the command line reads of a node's progress, and what it shows of it.
#include "cli/output.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include <chrono>
#include <thread>

namespace witan::cli {
namespace {

using namespace std::chrono_literals;
using ::testing::EndsWith;
using ::testing::StartsWith;

TEST(KeyProgress, IsReadAsNodesSayIt) {
  const auto progress = parse_progress(
      "stage=preprocessing done=44412149 total=221809867 percent=20.0 seconds=76.5 per_second=580551 seconds_left=306; "
      "waits for the disk: stage=x done=y");
  ASSERT_TRUE(progress);
  EXPECT_EQ(progress->stage, "preprocessing");
  EXPECT_EQ(progress->done, 44'412'149u);
  EXPECT_EQ(progress->total, 221'809'867u);
  EXPECT_EQ(progress->percent, 20);
  EXPECT_EQ(progress->per_second, 580'551);
  EXPECT_EQ(progress->seconds_left, 306);
  const auto begins = parse_progress("stage=start done=0 total=0 percent=0.0 seconds=0.5");
  ASSERT_TRUE(begins);
  EXPECT_EQ(begins->stage, "start");
  EXPECT_FALSE(begins->per_second);
  EXPECT_FALSE(begins->seconds_left);
}

TEST(KeyProgress, IsNothingElse) {
  const char* const kTexts[] = {
      "",
      "stage",
      "it failed",
      "lied=none other=none silent=3",
      "stage=online done=1 total=2 seconds=1.0",
      "stage=online done=1 percent=50.0 seconds=1.0",
      "stage=online done=-1 total=2 percent=50.0",
      "stage=online done=1x total=2 percent=50.0",
      "stage=online done=3 total=2 percent=50.0",
      "stage=online done=1 total=99999999999999999999 percent=50.0",
      "stage=online done=1 total=2 percent=100.1",
      "stage=online done=1 total=2 percent=-1",
      "stage=online done=1 total=2 percent=nan",
      "stage=online done=1 total=2 percent=inf",
      "stage=\x1b[2J done=1 total=2 percent=50.0",
      "; stage=online done=1 total=2 percent=50.0",
  };
  for (const char* text : kTexts) EXPECT_FALSE(parse_progress(text)) << text;
}

TEST(KeyProgress, IsShownWithRateAndTimeLeftOnceTheyAreKnown) {
  EXPECT_EQ(text_of({}), "");
  KeyProgress progress{
      .stage = "preprocessing", .done = 1996, .total = 10'000, .percent = 19.9, .per_second = {}, .seconds_left = {}};
  EXPECT_EQ(text_of(progress), ": preprocessing 19 %,");
  progress.per_second = 2'340'000;
  progress.seconds_left = 27.4;
  EXPECT_EQ(text_of(progress), ": preprocessing 19 %, 2.34 million elements/s, 27 s left,");
}

/// Standard error is a terminal, whose screen can be read.
class Terminal {
 public:
  Terminal() {
    EXPECT_EQ(grantpt(screen_), 0);
    EXPECT_EQ(unlockpt(screen_), 0);
    const int program = ::open(ptsname(screen_), O_RDWR | O_NOCTTY);
    std::fflush(stderr);
    EXPECT_EQ(::dup2(program, STDERR_FILENO), STDERR_FILENO);
    ::close(program);
  }
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;
  ~Terminal() {
    std::fflush(stderr);
    ::dup2(before_, STDERR_FILENO);
    ::close(before_);
    ::close(screen_);
  }
  /// What was written since the last call; waits for something.
  std::string text() {
    pollfd wanted{screen_, POLLIN, 0};
    EXPECT_EQ(::poll(&wanted, 1, 60'000), 1);
    std::string out(1 << 16, '\0');
    const ssize_t count = ::read(screen_, out.data(), out.size());
    out.resize(count > 0 ? static_cast<std::size_t>(count) : 0);
    return out;
  }

 private:
  const int before_ = ::dup(STDERR_FILENO), screen_ = posix_openpt(O_RDWR | O_NOCTTY);
};

TEST(ProgressBar, SaysAfterTwoSecondsWhatTheNodeHasSaidLast) {
  Terminal terminal;
  const auto begun = std::chrono::steady_clock::now();
  ProgressBar bar("making a key");
  bar.show({.stage = "online", .done = 1, .total = 2, .percent = 50, .per_second = {}, .seconds_left = {}});
  bar.show({.stage = "preprocessing", .done = 45, .total = 100, .percent = 45, .per_second = 1.5e6, .seconds_left = 7});
  const std::string shown = terminal.text();
  EXPECT_GE(std::chrono::steady_clock::now() - begun, 2s);
  EXPECT_THAT(shown, StartsWith("\r\x1b[K[=========...........] making a key: preprocessing 45 %, 1.50 million "
                                "elements/s, 7 s left, "));
  bar.finish();
  EXPECT_THAT(terminal.text(), EndsWith("\r\x1b[K")) << "the line goes";
}

TEST(ProgressBar, IsNotForFiles) {
  testing::internal::CaptureStderr();
  {
    ProgressBar bar("making a key");
    std::this_thread::sleep_for(2600ms);
  }
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

}  // namespace
}  // namespace witan::cli
