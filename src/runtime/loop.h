// The loop: one thread that runs all coroutines of a node, their timers, and what other threads post.
//
//   ThreadLoop   real time; run() blocks the calling thread, which becomes the loop thread
//   VirtualLoop  virtual clock, driven by tests
//   sim::World   one VirtualLoop-like loop per simulated node (runtime/sim.h)
//
// Order: what becomes ready first runs first; due timers run before ready work. Everything except post() belongs to the
// loop thread. See also runtime/scope.h (root tasks, deadlines) and runtime/event.h (events, channels).
#pragma once

#include <atomic>
#include <condition_variable>
#include <coroutine>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "runtime/clock.h"
#include "runtime/list.h"
#include "runtime/load_rest.h"
#include "runtime/task.h"

namespace witan::runtime {

class Loop;

/// Something that the loop runs once when its turn comes. Destroying it takes it out of the queue.
class Runnable : public ListNode<struct ReadyTag> {
 protected:
  Runnable() = default;
  ~Runnable() = default;

 private:
  friend class Loop;
  virtual void run() = 0;
  /// The loop dies before it ran this.
  virtual void loop_gone() noexcept {}
};

/// Calls a function once after all that is ready now has run, however often it is requested meanwhile. For waking other threads: they
/// find together what several tasks have left for them.
class Afterwards final : public Runnable {
 public:
  Afterwards(Loop& loop, std::move_only_function<void()> function) : loop_(loop), function_(std::move(function)) {}
  void request() noexcept;

 private:
  void run() override { function_(); }
  Loop& loop_;
  std::move_only_function<void()> function_;
};

/// A timer, armed for one instant at a time. Destroying it disarms it.
class Timer {
 public:
  explicit Timer(Loop& loop) noexcept : loop_(&loop) {}
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  /// Replaces an earlier arming. kNever disarms.
  void arm(Instant due);
  void disarm() noexcept;
  bool armed() const noexcept { return heap_index_ != kNotArmed; }
  Instant due() const noexcept { return due_; }
  Loop& loop() const noexcept { return *loop_; }

 protected:
  ~Timer() { disarm(); }

 private:
  friend class Loop;
  static constexpr std::size_t kNotArmed = ~std::size_t{0};
  /// Called by the loop, already disarmed; may arm again or destroy this object.
  virtual void fire() = 0;

  Loop* loop_;
  Instant due_{};
  std::uint64_t sequence_ = 0;  // equal times fire in the order of arming
  std::size_t heap_index_ = kNotArmed;
};

/// A timer that calls a function.
class CallbackTimer final : public Timer {
 public:
  CallbackTimer(Loop& loop, std::function<void()> callback) : Timer(loop), callback_(std::move(callback)) {}

 private:
  void fire() override { callback_(); }
  std::function<void()> callback_;
};

class Loop {
 public:
  using Job = std::move_only_function<void()>;

  explicit Loop(const Clock& clock) : clock_(clock) {}
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;
  virtual ~Loop();

  const Clock& clock() const { return clock_; }
  Instant now() const { return clock_.now(); }
  Instant after(Duration duration) const { return saturating_add(now(), duration); }

  /// Runs the job on the loop thread. The only member that other threads may call. Jobs posted by one thread keep their
  /// order. Jobs that have not run when the loop is destroyed are destroyed without being run.
  void post(Job job);

  /// Puts the object at the end of the ready queue (no-op if it is there).
  void make_ready(Runnable& runnable) noexcept {
    if (!runnable.linked()) ready_.push_back(runnable);
  }

  class [[nodiscard]] YieldAwaiter;
  class [[nodiscard]] SleepAwaiter;
  /// `co_await loop.yield();` lets everything that is ready now run first.
  YieldAwaiter yield();
  SleepAwaiter sleep_until(Instant due);
  SleepAwaiter sleep_for(Duration duration);

  /// Runs a task to its end and returns its value, running whatever else is ready meanwhile. For main(), tests and
  /// benchmarks; not from inside the loop. A VirtualLoop on which nothing can happen any more is a bug (checked).
  template <class T>
  T run(Task<T> task);

  // For whoever drives the loop.

  /// Runs one due timer or one ready thing; false if there was none.
  bool step();
  bool has_ready() noexcept;
  /// When the next timer is due; kNever without timers.
  Instant next_timer() const noexcept { return timers_.empty() ? kNever : timers_.front()->due_; }
  /// Fires all due timers, then runs at most `limit` ready things; how many things happened.
  std::size_t run_batch(std::size_t limit);
  /// Things run since construction.
  std::uint64_t steps() const noexcept { return steps_; }

 protected:
  /// Runs until `finished` is true.
  virtual void run_until(const bool& finished) = 0;
  /// Called by post() after a job was queued; any thread.
  virtual void wake() {}

 private:
  friend class Timer;
  class PostedJob;

  void take_posted() noexcept;
  void heap_insert(Timer& timer);
  void heap_erase(Timer& timer) noexcept;
  void heap_move(std::size_t index, Timer& timer) noexcept;
  void sift_up(std::size_t index) noexcept;
  void sift_down(std::size_t index) noexcept;
  static bool before(const Timer& a, const Timer& b) noexcept;

  const Clock& clock_;
  List<Runnable, ReadyTag> ready_;
  std::vector<Timer*> timers_;  // binary heap; each timer knows its position
  std::uint64_t next_sequence_ = 0;
  std::uint64_t steps_ = 0;

  std::mutex posted_mutex_;
  List<Runnable, ReadyTag> posted_;
  std::atomic<bool> has_posted_ = false;
};

inline void Afterwards::request() noexcept {
  loop_.make_ready(*this);
}

class Loop::YieldAwaiter final : public Runnable {
 public:
  explicit YieldAwaiter(Loop& loop) noexcept : loop_(loop) {}
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> handle) noexcept {
    handle_ = handle;
    loop_.make_ready(*this);
  }
  void await_resume() const noexcept {}

 private:
  void run() override { handle_.resume(); }
  Loop& loop_;
  std::coroutine_handle<> handle_;
};

class Loop::SleepAwaiter final : public Timer {
 public:
  SleepAwaiter(Loop& loop, Instant due) noexcept : Timer(loop), wake_at_(due) {}
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> handle) {
    handle_ = handle;
    arm(wake_at_);
  }
  void await_resume() const noexcept {}

 private:
  void fire() override { handle_.resume(); }
  Instant wake_at_;
  std::coroutine_handle<> handle_;
};

inline Loop::YieldAwaiter Loop::yield() {
  return YieldAwaiter(*this);
}
inline Loop::SleepAwaiter Loop::sleep_until(Instant due) {
  return {*this, due};
}
inline Loop::SleepAwaiter Loop::sleep_for(Duration duration) {
  return {*this, after(duration)};
}

template <class T>
T Loop::run(Task<T> task) {
  struct Finish final : Completion {
    std::coroutine_handle<> done() noexcept override {
      finished = true;
      return std::noop_coroutine();
    }
    bool finished = false;
  } finish;
  task.start(finish).resume();
  run_until(finish.finished);
  return task.take();
}

/// Real time. run() blocks until stop(); the thread that calls it is the loop thread.
class ThreadLoop final : public Loop {
 public:
  ThreadLoop() : Loop(system_clock()) {}
  using Loop::run;
  void run();
  /// Any thread: run() returns after what it is doing. A stop() before run() is kept.
  void stop();

 private:
  static const Clock& system_clock();
  void run_until(const bool& finished) override;
  void wake() override;
  void wait_for_work();
  bool rest();

  LoadRest load_;  // loop thread
  std::mutex wake_mutex_;
  std::condition_variable wake_up_;
  bool woken_ = false;
  Instant woken_at_{};
  bool stopped_ = false;  // loop thread only: set by a posted job
};

/// Virtual time, for tests: nothing happens until told, time jumps from timer to timer.
class VirtualLoop final : public Loop {
 public:
  VirtualLoop() : VirtualLoop(std::make_unique<VirtualClock>()) {}

  /// Runs everything that is ready now, without moving time. Returns the number of steps.
  std::size_t run_ready();
  /// Moves time forward by the duration, running what comes due on the way.
  void advance(Duration duration);
  /// Runs until nothing is ready and no timer is armed.
  void run_until_idle();
  /// Moves time to the next timer without running anything; false if none is armed. For tests that step().
  bool jump();

 private:
  explicit VirtualLoop(std::unique_ptr<VirtualClock> virtual_clock)
      : Loop(*virtual_clock), virtual_clock_(std::move(virtual_clock)) {}
  void run_until(const bool& finished) override;

  std::unique_ptr<VirtualClock> virtual_clock_;
};

}  // namespace witan::runtime
