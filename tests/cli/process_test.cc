#include "cli/process.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <fstream>
#include <set>

namespace witan::cli {
namespace {

using namespace std::chrono_literals;

TEST(RunProcess, ReturnsOutputAndExitCode) {
  const auto done = run_process({"sh", "-c", "echo out; echo err >&2; exit 3"}, 10s);
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(done->exit_code, 3);
  EXPECT_EQ(done->text, "out\nerr\n");
}

TEST(RunProcess, ErrorsSayWhatHappened) {
  const auto missing = run_process({"/nonexistent/program"}, 10s);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, Code::unavailable);
  EXPECT_NE(missing.error().message.find("/nonexistent/program"), std::string::npos);
  const auto late = run_process({"sleep", "100"}, 1s);
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code, Code::deadline_exceeded);
}

TEST(DetachedProcess, RunsUntilItIsStopped) {
  const auto log = std::filesystem::temp_directory_path() / ("witan-process-" + std::to_string(getpid()));
  const auto pid = start_detached({"sh", "-c", "echo started; exec sleep 1000", "marker-4711"}, log);
  ASSERT_TRUE(pid) << pid.error().message;
  const auto gone = start_detached({"sleep", "1001"}, log);
  ASSERT_TRUE(gone);
  for (int i = 0; i < 500 && !process_runs(*gone, "1001"); ++i) usleep(10'000);  // until it is the program
  ASSERT_TRUE(process_runs(*gone, "1001"));
  EXPECT_FALSE(process_runs(*gone, "1000")) << "another program's id";
  EXPECT_EQ(getpgid(*gone), *gone) << "a terminal's signals would reach it";
  EXPECT_EQ(getsid(*gone), getsid(0)) << "niceness does not count between sessions";
  EXPECT_FALSE(stop_process(*gone, "1001", 5s)) << "SIGTERM was enough";
  EXPECT_FALSE(process_runs(*gone, "1001"));
  kill_process(*pid, "another");
  EXPECT_EQ(kill(*pid, 0), 0) << "the process of another program was killed";
  kill(*pid, SIGKILL);
  std::filesystem::remove(log);
  EXPECT_FALSE(start_detached({"/nonexistent/program"}, log));
  std::filesystem::remove(log);
}

TEST(DetachedProcess, ThatIgnoresTheSignalIsKilled) {
  const auto log = std::filesystem::temp_directory_path() / ("witan-process-" + std::to_string(getpid()));
  const auto pid = start_detached({"sh", "-c", "trap '' TERM; echo ready; while :; do sleep 1; done", "stubborn"}, log);
  ASSERT_TRUE(pid);
  const auto ready = [&] {
    std::ifstream in(log);
    std::string line;
    return std::getline(in, line) && line == "ready";
  };
  for (int i = 0; i < 500 && !ready(); ++i) usleep(10'000);
  ASSERT_TRUE(ready());
  EXPECT_TRUE(stop_process(*pid, "stubborn", 200ms));
  EXPECT_FALSE(process_runs(*pid, "stubborn"));
  std::filesystem::remove(log);
}

/// Sends itself signals, one by one; ends with 7 once a stop was requested, with 8 if none is.
[[noreturn]] void stop_at(std::vector<int> signals) {
  const StopAtSignal stop;
  for (const int signal : signals) {
    kill(getpid(), signal);
    for (int i = 0; i < 100 && !stop.token().stop_requested(); ++i) usleep(10'000);
  }
  if (signals.size() > 1) usleep(5'000'000);  // until the second one has ended it
  _exit(stop.token().stop_requested() ? 7 : 8);
}

TEST(StopAtSignalDeathTest, TheFirstOneIsARequestTheSecondEndsTheProgram) {
  const auto none_ignored = [](std::vector<int> signals) {  // as SIGINT is in what a shell runs in the background
    for (const int number : {SIGINT, SIGTERM, SIGHUP}) signal(number, SIG_DFL);
    stop_at(std::move(signals));
  };
  for (const int number : {SIGINT, SIGTERM, SIGHUP})
    EXPECT_EXIT(none_ignored({number}), testing::ExitedWithCode(7), "");
  EXPECT_EXIT(none_ignored({SIGINT, SIGTERM}), testing::ExitedWithCode(128 + SIGTERM), "");
}

TEST(StopAtSignalDeathTest, WhatWasIgnoredStaysIgnored) {
  const auto under_nohup = [] {
    signal(SIGHUP, SIG_IGN);
    stop_at({SIGHUP});
  };
  EXPECT_EXIT(under_nohup(), testing::ExitedWithCode(8), "");
}

TEST(FreePorts, AreFreeDistinctAndOutOfTheSystemsWay) {
  const int taken = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const auto first = free_ports(1, 21000).value()[0];
  address.sin_port = htons(first);
  ASSERT_EQ(bind(taken, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(listen(taken, 1), 0);
  const auto ports = free_ports(8, 21000);
  ASSERT_TRUE(ports) << ports.error().message;
  EXPECT_EQ(std::set<std::uint16_t>(ports->begin(), ports->end()).size(), 8u);
  for (const std::uint16_t port : *ports) {
    EXPECT_NE(port, first);
    EXPECT_LT(port, 32768);
  }
  close(taken);
  EXPECT_EQ(free_ports(100, 32700).error().code, Code::resource_exhausted);
}

}  // namespace
}  // namespace witan::cli
