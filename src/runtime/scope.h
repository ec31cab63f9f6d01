// Ownership of root tasks, and deadlines.
#pragma once

#include "runtime/loop.h"

namespace witan::runtime {

/// Owns tasks that run on their own. Destroying the scope (or cancel()) destroys the frames of those still running, each at
/// the await where it stands. Never call either from inside a task of the same scope: its frame would be running.
class TaskScope {
 public:
  explicit TaskScope(Loop& loop);
  TaskScope(const TaskScope&) = delete;
  TaskScope& operator=(const TaskScope&) = delete;
  ~TaskScope();

  /// Starts the task in a later turn of the loop. The task handles its own errors.
  void spawn(Task<void> task);
  /// Ends when no task of the scope runs any more (at once if none does). Not from a task of the scope.
  Task<void> join();
  void cancel();
  std::size_t running() const { return running_; }
  Loop& loop() const { return loop_; }

 private:
  class Root;
  class JoinAwaiter;

  void ended(Root& root);

  Loop& loop_;
  std::size_t running_ = 0;
  List<Root, struct ScopeTag> roots_;
  List<JoinAwaiter, struct JoinTag> joiners_;
};

namespace detail {

template <class T>
class [[nodiscard]] DeadlineAwaiter final : private Completion, private Timer {
 public:
  DeadlineAwaiter(Loop& loop, Instant deadline, Task<Result<T>> task)
      : Timer(loop), deadline_(deadline), task_(std::move(task)) {}
  bool await_ready() const noexcept { return false; }
  std::coroutine_handle<> await_suspend(std::coroutine_handle<> parent) {
    parent_ = parent;
    arm(deadline_);
    return task_.start(*this);
  }
  Result<T> await_resume() {
    if (!task_.valid()) return fail(Code::deadline_exceeded, "not finished within its deadline");
    return task_.take();
  }

 private:
  std::coroutine_handle<> done() noexcept override {
    disarm();
    return parent_;
  }
  void fire() override {
    task_ = {};  // suspended somewhere: the loop runs us, not the task
    parent_.resume();
  }

  Instant deadline_;
  Task<Result<T>> task_;
  std::coroutine_handle<> parent_;
};

}  // namespace detail

/// The result of the task, or deadline_exceeded; in the latter case the task's frame has been destroyed.
template <class T>
Task<Result<T>> with_deadline(Loop& loop, Instant deadline, Task<Result<T>> task) {
  co_return co_await detail::DeadlineAwaiter<T>(loop, deadline, std::move(task));
}

}  // namespace witan::runtime
