// Durable commits per second: each sync of the disk is shared by what arrived during the one before.
#include <benchmark/benchmark.h>

#include <filesystem>

#include "runtime/scope.h"
#include "store/journal/sqlite_journal.h"

namespace witan::store {
namespace {

constexpr int kCommits = 512;  // per iteration, divided among the tasks

std::vector<runtime::Change> one_change(std::uint64_t number) {
  runtime::Change change;
  change.table = "requests";
  append_le(change.key, number);
  change.key.resize(32);
  change.value.resize(300);  // a request's id, digest and session
  std::vector<runtime::Change> out;
  out.push_back(std::move(change));
  return out;
}

runtime::Task<void> commit_in_turn(SqliteJournal& journal, std::uint64_t first, int count) {
  for (int i = 0; i < count; ++i)
    if (!co_await journal.commit(one_change(first + static_cast<std::uint64_t>(i)))) std::abort();
}

void BM_Commits(benchmark::State& state) {
  std::string folder = "/var/tmp/witan-journal-bench-XXXXXX";  // a disk, where /tmp may be memory
  if (::mkdtemp(folder.data()) == nullptr) std::abort();
  {
    runtime::ThreadLoop loop;
    auto journal = SqliteJournal::open({.file = folder + "/journal.sqlite"}, loop);
    if (!journal) std::abort();
    const int in_flight = static_cast<int>(state.range(0));
    std::uint64_t next = 0;
    for (auto _ : state) {
      runtime::TaskScope scope(loop);
      for (int i = 0; i < in_flight; ++i) {
        scope.spawn(commit_in_turn(**journal, next, kCommits / in_flight));
        next += kCommits;
      }
      loop.run(scope.join());
    }
    state.SetItemsProcessed(state.iterations() * kCommits);
  }
  std::filesystem::remove_all(folder);
}
BENCHMARK(BM_Commits)->ArgName("in_flight")->Arg(1)->Arg(64)->UseRealTime()->Unit(benchmark::kMillisecond);

void BM_Get(benchmark::State& state) {
  std::string folder = "/var/tmp/witan-journal-bench-XXXXXX";
  if (::mkdtemp(folder.data()) == nullptr) std::abort();
  {
    runtime::ThreadLoop loop;
    auto journal = SqliteJournal::open({.file = folder + "/journal.sqlite"}, loop);
    if (!journal) std::abort();
    runtime::TaskScope scope(loop);
    for (int i = 0; i < 64; ++i) scope.spawn(commit_in_turn(**journal, static_cast<std::uint64_t>(i) * 1000, 100));
    loop.run(scope.join());
    const Bytes key = one_change(31050).front().key;
    for (auto _ : state) benchmark::DoNotOptimize((*journal)->get("requests", key));
  }
  std::filesystem::remove_all(folder);
}
BENCHMARK(BM_Get);

}  // namespace
}  // namespace witan::store
