// Heavy arithmetic off the loop thread, in three classes, each with threads of its own: what a decryption waits for; what it waits
// for in long pieces, at nice 10; preprocessing at nice 19 (engineering.md 3). Urgent kernels should last at most about 1 ms; cut longer
// work into pieces.
//
//   auto value = co_await compute(Work::urgent, [w = std::move(words)] { return decode(w); });
//
// The kernel owns its inputs (it is moved in) and its result is kept in state shared with the pool, never in the frame:
// the awaiting frame may be destroyed while the kernel runs. A kernel that has not started by then is skipped. Exceptions
// of a kernel are rethrown at the await (task.h, rule 5: only std::bad_alloc survives that).
#pragma once

#include <atomic>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <type_traits>

#include "runtime/loop.h"

namespace witan::runtime {

enum class Work : std::uint8_t {
  urgent = 0,         // a decryption waits for it
  heavy = 1,          // a decryption waits for it, in pieces of many milliseconds: gives way to urgent work
  preprocessing = 2,  // hours of it; never delays the others
};

class Compute {
 public:
  template <class Result>
  class [[nodiscard]] Awaiter;

  virtual ~Compute() = default;

  /// Awaitable; runs the kernel and gives its value. Loop thread only.
  template <class Kernel>
  auto operator()(Work work, Kernel kernel) {
    return Awaiter<std::invoke_result_t<Kernel&>>(*this, work, std::move(kernel));
  }

  Loop& loop() const { return loop_; }

  /// Runs the job once, on some thread. Jobs of one class start in the order of submission. Loop thread only.
  virtual void submit(Work work, std::function<void()> job) = 0;

 protected:
  explicit Compute(Loop& loop) : loop_(loop) {}

 private:
  Loop& loop_;
};

/// Threads of the three classes. Must be destroyed before its loop; the destructor waits for running kernels only.
class ComputePool final : public Compute {
 public:
  struct Options {
    int urgent_threads = 1;
    int heavy_threads = 1;
    int preprocessing_threads = 1;
  };
  ComputePool(Loop& loop, Options options);
  ~ComputePool() override;
  void submit(Work work, std::function<void()> job) override;
  /// Jobs of a class that no thread has begun.
  std::size_t queued(Work work) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Runs kernels at once on the loop thread; the awaiting coroutine resumes in a later turn. Simulator and tests.
class InlineCompute final : public Compute {
 public:
  explicit InlineCompute(Loop& loop) : Compute(loop) {}
  void submit(Work, std::function<void()> job) override { job(); }
};

template <class R>
class Compute::Awaiter {
  struct State {
    explicit State(std::move_only_function<R()> k) : kernel(std::move(k)) {}
    void compute() {
      if (abandoned.load(std::memory_order_relaxed)) return;
      try {
        if constexpr (std::is_void_v<R>)
          kernel();
        else
          value.emplace(kernel());
      } catch (...) {
        exception = std::current_exception();
      }
      kernel = nullptr;  // inputs are released (and wiped) where they were used
    }
    std::move_only_function<R()> kernel;
    std::optional<detail::NonVoid<R>> value;
    std::exception_ptr exception;
    std::atomic<bool> abandoned = false;
    std::coroutine_handle<> handle;  // loop thread only; null once the frame is gone
  };

 public:
  template <class Kernel>
  Awaiter(Compute& compute, Work work, Kernel kernel)
      : compute_(compute), work_(work), state_(std::make_shared<State>(std::move(kernel))) {}
  Awaiter(const Awaiter&) = delete;
  Awaiter& operator=(const Awaiter&) = delete;
  ~Awaiter() {
    state_->handle = nullptr;
    state_->abandoned.store(true, std::memory_order_relaxed);
  }

  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> handle) {
    state_->handle = handle;
    compute_.submit(work_, [state = state_, &loop = compute_.loop()] {
      state->compute();
      loop.post([state] {
        if (state->handle) state->handle.resume();
      });
    });
  }
  R await_resume() {
    if (state_->exception) std::rethrow_exception(state_->exception);
    if constexpr (!std::is_void_v<R>) return *std::move(state_->value);
  }

 private:
  Compute& compute_;
  Work work_;
  std::shared_ptr<State> state_;
};

}  // namespace witan::runtime
