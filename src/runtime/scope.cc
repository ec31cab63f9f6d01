#include "runtime/scope.h"

namespace witan::runtime {

/// A root task: runs once to start the task and once to destroy it after its end, so that no frame is destroyed while
/// anything of it is on the stack.
class TaskScope::Root final : public ListNode<ScopeTag>, private Runnable, private Completion {
 public:
  Root(TaskScope& scope, Task<void> task) : scope_(scope), task_(std::move(task)) { scope_.loop_.make_ready(*this); }
  ~Root() = default;

 private:
  void run() override {
    if (!started_) {
      started_ = true;
      task_.start(*this).resume();
    } else {
      task_.take();
      scope_.ended(*this);
    }
  }
  std::coroutine_handle<> done() noexcept override {
    scope_.loop_.make_ready(*this);
    return std::noop_coroutine();
  }

  TaskScope& scope_;
  Task<void> task_;
  bool started_ = false;
};

class TaskScope::JoinAwaiter final : public ListNode<JoinTag>, private Runnable {
 public:
  explicit JoinAwaiter(TaskScope& scope) : scope_(scope) {}
  bool await_ready() const noexcept { return scope_.running_ == 0; }
  void await_suspend(std::coroutine_handle<> handle) {
    handle_ = handle;
    scope_.joiners_.push_back(*this);
  }
  void await_resume() const noexcept {}
  void notify() { scope_.loop_.make_ready(*this); }

 private:
  void run() override { handle_.resume(); }
  TaskScope& scope_;
  std::coroutine_handle<> handle_;
};

TaskScope::TaskScope(Loop& loop) : loop_(loop) {}

TaskScope::~TaskScope() {
  cancel();
}

void TaskScope::spawn(Task<void> task) {
  WITAN_CHECK(task.valid());
  roots_.push_back(*new Root(*this, std::move(task)));
  ++running_;
}

void TaskScope::ended(Root& root) {
  delete &root;
  if (--running_ > 0) return;
  while (!joiners_.empty()) joiners_.pop_front().notify();
}

void TaskScope::cancel() {
  while (!roots_.empty()) ended(roots_.pop_front());
}

Task<void> TaskScope::join() {
  while (running_ > 0) co_await JoinAwaiter(*this);
}

}  // namespace witan::runtime
