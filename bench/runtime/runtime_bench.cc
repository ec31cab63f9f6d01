// The rows of engineering.md 2.2, measured on this runtime. Times are per operation.
#include <benchmark/benchmark.h>
#include <malloc.h>

#include "runtime/compute.h"
#include "runtime/event.h"
#include "runtime/memory_network.h"
#include "runtime/router.h"
#include "runtime/scope.h"

namespace witan::runtime {
namespace {

Task<int> child(int value) {
  co_return value + 1;
}
Task<Result<int>> checked_child(int value) {
  co_return value + 1;
}

Task<int> await_many(std::int64_t count) {
  int value = 0;
  for (std::int64_t i = 0; i < count; ++i) value = co_await child(value);
  co_return value;
}

Task<Result<int>> await_many_checked(std::int64_t count) {
  int value = 0;
  for (std::int64_t i = 0; i < count; ++i) value = co_await ok(co_await checked_child(value));
  co_return value;
}

constexpr std::int64_t kBatch = 10'000;

void per_operation(benchmark::State& state) {
  state.SetItemsProcessed(state.iterations() * kBatch);
}

void BM_AwaitChildThatFinishesAtOnce(benchmark::State& state) {
  VirtualLoop loop;
  for (auto _ : state) benchmark::DoNotOptimize(loop.run(await_many(kBatch)));
  per_operation(state);
}
BENCHMARK(BM_AwaitChildThatFinishesAtOnce);

void BM_AwaitOkOfChild(benchmark::State& state) {
  VirtualLoop loop;
  for (auto _ : state) benchmark::DoNotOptimize(loop.run(await_many_checked(kBatch)));
  per_operation(state);
}
BENCHMARK(BM_AwaitOkOfChild);

template <class LoopType>
void BM_Yield(benchmark::State& state) {
  LoopType loop;
  auto work = [&]() -> Task<void> {
    for (std::int64_t i = 0; i < kBatch; ++i) co_await loop.yield();
  };
  for (auto _ : state) loop.run(work());
  per_operation(state);
}
BENCHMARK(BM_Yield<VirtualLoop>);
BENCHMARK(BM_Yield<ThreadLoop>);

void BM_SleepWithTenThousandTimersPending(benchmark::State& state) {
  VirtualLoop loop;
  std::vector<std::unique_ptr<CallbackTimer>> pending;
  for (int i = 0; i < 10'000; ++i) {
    pending.push_back(std::make_unique<CallbackTimer>(loop, [] {}));
    pending.back()->arm(loop.after(std::chrono::hours(24) + std::chrono::microseconds(i)));
  }
  auto work = [&]() -> Task<void> {
    for (std::int64_t i = 0; i < kBatch; ++i) co_await loop.sleep_for(std::chrono::nanoseconds(10));
  };
  for (auto _ : state) loop.run(work());
  per_operation(state);
}
BENCHMARK(BM_SleepWithTenThousandTimersPending);

void BM_MessageThroughAChannel(benchmark::State& state) {
  VirtualLoop loop;
  Channel<Bytes> there(loop, 4), back(loop, 4);
  TaskScope scope(loop);
  auto echo = [&]() -> Task<void> {
    for (;;) {
      auto message = co_await there.pop();
      if (!message) co_return;
      (void)back.push(*std::move(message));
    }
  };
  scope.spawn(echo());
  auto work = [&]() -> Task<void> {
    for (std::int64_t i = 0; i < kBatch / 2; ++i) {
      (void)there.push(Bytes(64));
      benchmark::DoNotOptimize(co_await back.pop());
    }
  };
  for (auto _ : state) loop.run(work());
  per_operation(state);
}
BENCHMARK(BM_MessageThroughAChannel);

/// Through two routers and the in-process network: send, deliver, next, release. 64-byte bodies.
void BM_MessageThroughASession(benchmark::State& state) {
  VirtualLoop loop;
  const auto committee = *CommitteeSize::make(4, 1);
  MemoryNetwork network(loop, committee);
  Router one(loop, network.link(Role(1))), two(loop, network.link(Role(2)));
  network.attach(Role(1), &one);
  network.attach(Role(2), &two);
  std::uint64_t id = 0;
  auto work = [&]() -> Task<void> {
    auto a = *one.open(SessionId{++id}), b = *two.open(SessionId{id});
    for (Step step = 0; step < kBatch; ++step) {
      (void)a.send(Role(2), step, make_payload(Bytes(64)));
      benchmark::DoNotOptimize(co_await b.receive(Role(1), step));
      a.release_sent(step);
      b.release_received(step);
    }
  };
  for (auto _ : state) loop.run(work());
  per_operation(state);
}
BENCHMARK(BM_MessageThroughASession);

/// 10,000 sessions of one node, each with a coroutine three levels deep that awaits a message: bytes per session.
void BM_SessionBlockedThreeDeep(benchmark::State& state) {
  constexpr int kSessions = 10'000;
  VirtualLoop loop;
  const auto committee = *CommitteeSize::make(4, 1);
  MemoryNetwork network(loop, committee);
  for (auto _ : state) {
    Router router(loop, network.link(Role(1)));
    TaskScope scope(loop);
    auto inner = [&](Session& session) -> Task<Result<std::size_t>> {
      const auto message = co_await ok(co_await session.next(0));
      co_return message.payload->size();
    };
    auto middle = [&](Session& session) -> Task<Result<std::size_t>> {
      co_return co_await ok(co_await inner(session)) + 1;
    };
    auto outer = [&](std::uint64_t id) -> Task<void> {
      auto session = *router.open(SessionId{id});
      benchmark::DoNotOptimize(co_await middle(session));
    };
    const std::size_t before = mallinfo2().uordblks;
    for (std::uint64_t id = 0; id < kSessions; ++id) scope.spawn(outer(id));
    loop.run_ready();
    state.counters["bytes_per_session"] = static_cast<double>(mallinfo2().uordblks - before) / kSessions;
  }
  state.SetItemsProcessed(state.iterations() * kSessions);
}
BENCHMARK(BM_SessionBlockedThreeDeep)->Unit(benchmark::kMillisecond);

void BM_KernelToThePoolAndBack(benchmark::State& state) {
  ThreadLoop loop;
  ComputePool compute(loop, {});
  // 64 in flight: the cost of handing over, not the latency of waking two threads.
  auto lane = [&]() -> Task<void> {
    for (std::int64_t i = 0; i < kBatch / 64; ++i)
      benchmark::DoNotOptimize(co_await compute(Work::urgent, [i] { return i; }));
  };
  auto work = [&]() -> Task<void> {
    std::vector<Task<void>> lanes;
    for (int i = 0; i < 64; ++i) lanes.push_back(lane());
    co_await when_all(std::move(lanes));
  };
  for (auto _ : state) loop.run(work());
  per_operation(state);
}
BENCHMARK(BM_KernelToThePoolAndBack)->UseRealTime();

}  // namespace
}  // namespace witan::runtime
