// kill -9 in the middle of many commits: what was acknowledged is there, nothing is there in half.
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <set>
#include <thread>

#include "runtime/scope.h"
#include "store/journal/support.h"
#include "support/support.h"

namespace witan::store {
namespace {

using namespace test;
using runtime::ThreadLoop;

constexpr std::uint32_t kTasks = 16;
constexpr int kParts = 5;  // records of one commit

std::string key_of(std::uint32_t number, int part) {
  return fmt::format("{:08}/{}", number, part);
}

/// Commits numbers first, first + 16, ... for ever, telling each through the pipe once it is acknowledged. In the numbered tables
/// each is sent, and has a body until the next one has. Now and then one is sent twice, which is refused.
runtime::Task<void> commit_numbers(SqliteJournal& journal, std::uint32_t first, int pipe) {
  for (std::uint32_t number = first;; number += kTasks) {
    std::vector<runtime::Change> batch;
    for (int part = 0; part < kParts; ++part)
      batch.push_back(put_new("t", key_of(number, part), std::string(number % 3000, 'v')));
    batch.push_back(put_new("sent", number, std::string(number % 3000, 's')));
    batch.push_back(put("request_bodies", number, "to be done"));
    if (number != first) batch.push_back(erase("request_bodies", number - kTasks));
    if (!co_await journal.commit(std::move(batch))) ::_exit(3);
    if (::write(pipe, &number, sizeof number) != sizeof number) ::_exit(4);
    if (number / kTasks % 4 != 0) continue;
    const Status twice =
        co_await journal.commit(changes(put("request_results", number, "wrong"), put_new("sent", number, "wrong")));
    if (twice || twice.error().code != Code::already_exists) ::_exit(6);
  }
}

[[noreturn]] void child_main(const std::filesystem::path& file, std::uint32_t first, int pipe) {
  ThreadLoop loop;
  auto journal = SqliteJournal::open({.file = file, .numbered = kNumbered}, loop);
  if (!journal) ::_exit(2);
  runtime::TaskScope scope(loop);
  for (std::uint32_t i = 0; i < kTasks; ++i) scope.spawn(commit_numbers(**journal, first + i, pipe));
  loop.run();
  ::_exit(5);
}

/// Runs a child for that long, kills it, and returns what it acknowledged.
std::set<std::uint32_t> run_and_kill(const std::filesystem::path& file, std::uint32_t first,
                                     std::chrono::microseconds life) {
  int ends[2];
  EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    ::close(ends[0]);
    child_main(file, first, ends[1]);
  }
  ::close(ends[1]);
  std::set<std::uint32_t> acknowledged;
  std::uint32_t number = 0;
  if (::read(ends[0], &number, sizeof number) == sizeof number) acknowledged.insert(number);
  std::thread killer([&] {
    std::this_thread::sleep_for(life);
    ::kill(child, SIGKILL);
  });
  while (::read(ends[0], &number, sizeof number) == sizeof number) acknowledged.insert(number);
  killer.join();
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSIGNALED(status)) << "the child ended by itself, status " << status;
  ::close(ends[0]);
  return acknowledged;
}

TEST(JournalKillTest, KilledAtAnyMomentItKeepsWhatItAcknowledgedAndNothingHalf) {
  TemporaryFolder folder;
  const auto file = folder.path() / "journal.sqlite";
  witan::test::SeededRng rng("moments of the kills");
  std::set<std::uint32_t> acknowledged;
  std::uint32_t first = 0;
  for (int round = 0; round < 12; ++round) {
    const auto life = std::chrono::microseconds(rng.next<std::uint32_t>() % 40000);
    acknowledged.merge(run_and_kill(file, first, life));

    ThreadLoop loop;
    auto journal = SqliteJournal::open({.file = file, .numbered = kNumbered}, loop);
    ASSERT_TRUE(journal) << "round " << round << ": " << journal.error().message;
    std::map<std::uint32_t, int> parts;
    ASSERT_TRUE((*journal)->for_each("t", [&](ByteView key, ByteView value) {
      const auto number = static_cast<std::uint32_t>(std::stoul(std::string(key.begin(), key.begin() + 8)));
      EXPECT_EQ(value.size(), number % 3000);
      ++parts[number];
      return true;
    }));
    const auto numbers_in = [&](const char* table) {
      std::map<std::uint32_t, std::string> out;
      EXPECT_TRUE((*journal)->for_each(table, [&](ByteView key, ByteView value) {
        out.emplace(static_cast<std::uint32_t>(runtime::number_of(key).value()),
                    std::string(value.begin(), value.end()));
        return true;
      }));
      return out;
    };
    const auto sent = numbers_in("sent"), bodies = numbers_in("request_bodies");
    EXPECT_EQ(sent.size(), parts.size());
    for (const auto& [number, count] : parts) {
      EXPECT_EQ(count, kParts) << "half of commit " << number;
      EXPECT_TRUE(sent.contains(number) && sent.at(number) == std::string(number % 3000, 's')) << number;
      EXPECT_EQ(bodies.contains(number), !parts.contains(number + kTasks)) << number;
    }
    EXPECT_TRUE(numbers_in("request_results").empty()) << "of a commit that was refused";
    for (const std::uint32_t number : acknowledged)
      EXPECT_TRUE(parts.contains(number)) << "round " << round << ": acknowledged commit " << number << " is lost";
    ASSERT_FALSE(parts.empty());
    first = (parts.rbegin()->first / kTasks + 2) * kTasks;
  }
  EXPECT_GT(acknowledged.size(), 12u * kTasks);
}

}  // namespace
}  // namespace witan::store
