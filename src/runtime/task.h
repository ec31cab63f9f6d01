// Coroutines of a node: lazy Task<T>, `co_await ok(result)`, when_all (engineering.md 2.3).
//
//   Task<Result<Opened>> robust_open(Session& session, SharesView mine) {
//     co_await ok(session.send_all(kStepShares, encode(mine)));     // an error ends this coroutine with that error
//     auto message = co_await ok(co_await session.next(kStepShares));
//     co_return decode(message);
//   }
//
// Rules (each is relied on somewhere):
//  1. A Task is lazy, move-only, awaited once, owned by one place. Destroying it destroys its frame.
//  2. A frame may be destroyed at any await at which it is suspended. Whatever it waits for holds an intrusive node
//  inside
//     the frame, and the node unlinks itself (runtime/list.h); nobody keeps a bare handle.
//  3. Work on other threads owns its inputs and outputs, never a frame (runtime/compute.h).
//  4. Parameters of a coroutine are values, or references to objects that outlive the task. No capturing lambda as a
//     coroutine unless the closure is a named local of the awaiting function or is awaited in the same statement.
//  5. Only std::bad_alloc crosses a task boundary; any other exception ends the process.
//  6. All coroutines of a node run on its loop thread: no locks.
//  7. Fan-out is when_all, which joins before it returns, also when a child failed.
#pragma once

#include <coroutine>
#include <exception>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "base/check.h"
#include "base/error.h"

namespace witan::runtime {

template <class T = void>
class Task;

/// Told once when a task ends; returns the coroutine that runs next. For awaiters of tasks (when_all, with_deadline,
/// ...).
class Completion {
 public:
  virtual std::coroutine_handle<> done() noexcept = 0;

 protected:
  Completion() = default;
  Completion(const Completion&) = delete;
  Completion& operator=(const Completion&) = delete;
  ~Completion() = default;
};

namespace detail {

/// Ends the process with the text of the exception being handled.
[[noreturn]] void exception_left_task() noexcept;

template <class T>
struct IsResult : std::false_type {};
template <class T>
struct IsResult<Result<T>> : std::true_type {};

class PromiseBase {
 public:
  struct FinalAwaiter {
    bool await_ready() const noexcept { return false; }
    template <class Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> self) const noexcept {
      return self.promise().complete();
    }
    void await_resume() const noexcept {}
  };

  std::suspend_always initial_suspend() const noexcept { return {}; }
  FinalAwaiter final_suspend() const noexcept { return {}; }
  void unhandled_exception() noexcept {
    try {
      throw;
    } catch (const std::bad_alloc&) {
      out_of_memory_ = true;
    } catch (...) {
      exception_left_task();
    }
  }

  void set_completion(Completion& completion) noexcept { completion_ = &completion; }
  bool started() const noexcept { return completion_ != nullptr; }
  std::coroutine_handle<> complete() noexcept { return completion_->done(); }

 protected:
  void rethrow() const {
    if (out_of_memory_) throw std::bad_alloc();
  }

 private:
  Completion* completion_ = nullptr;
  bool out_of_memory_ = false;
};

template <class T>
class Promise final : public PromiseBase {
 public:
  Task<T> get_return_object() noexcept;

  template <class U = T>
    requires std::is_constructible_v<T, U>
  void return_value(U&& value) {
    value_.emplace(std::forward<U>(value));
  }
  /// The error path of ok(): the coroutine stays suspended where it is, its owner destroys it.
  std::coroutine_handle<> end_with(Error error) noexcept {
    static_assert(IsResult<T>::value, "co_await ok(...) needs a coroutine that returns Task<Result<...>>");
    value_.emplace(std::unexpect, std::move(error));
    return complete();
  }
  T take() {
    rethrow();
    WITAN_CHECK(value_.has_value());
    return *std::move(value_);
  }

 private:
  std::optional<T> value_;
};

template <>
class Promise<void> final : public PromiseBase {
 public:
  Task<void> get_return_object() noexcept;
  void return_void() const noexcept {}
  void take() const { rethrow(); }
};

}  // namespace detail

template <class T>
class [[nodiscard]] Task {
  static_assert(!std::is_reference_v<T>, "a task returns values");

 public:
  using promise_type = detail::Promise<T>;
  using Handle = std::coroutine_handle<promise_type>;

  Task() = default;
  Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Task& operator=(Task&& other) noexcept {
    if (this != &other) {
      const Handle old = std::exchange(handle_, std::exchange(other.handle_, nullptr));
      if (old) old.destroy();
    }
    return *this;
  }
  ~Task() {
    if (handle_) handle_.destroy();
  }

  bool valid() const noexcept { return handle_ != nullptr; }

  /// Runs the task to its end, starting it now. The frame and its locals are gone when the await returns.
  auto operator co_await() && noexcept { return Awaiter(std::move(*this)); }

  /// For awaiters: names who is told about the end, and returns what to resume. Precondition: valid, not started.
  std::coroutine_handle<> start(Completion& completion) noexcept {
    WITAN_CHECK(handle_ && !handle_.promise().started());
    handle_.promise().set_completion(completion);
    return handle_;
  }
  /// For awaiters: the value, once `completion.done()` was called. Destroys the frame.
  T take() {
    Task ended = std::move(*this);
    return ended.handle_.promise().take();
  }

 private:
  friend promise_type;
  explicit Task(Handle handle) noexcept : handle_(handle) {}

  class Awaiter final : public Completion {
   public:
    explicit Awaiter(Task task) noexcept : task_(std::move(task)) {}
    bool await_ready() const noexcept { return false; }
    std::coroutine_handle<> await_suspend(std::coroutine_handle<> parent) noexcept {
      parent_ = parent;
      return task_.start(*this);
    }
    T await_resume() { return task_.take(); }
    std::coroutine_handle<> done() noexcept override { return parent_; }

   private:
    Task task_;
    std::coroutine_handle<> parent_;
  };

  Handle handle_;
};

namespace detail {

template <class T>
Task<T> Promise<T>::get_return_object() noexcept {
  return Task<T>(std::coroutine_handle<Promise>::from_promise(*this));
}
inline Task<void> Promise<void>::get_return_object() noexcept {
  return Task<void>(std::coroutine_handle<Promise>::from_promise(*this));
}

template <class T>
class [[nodiscard]] OkAwaiter {
 public:
  explicit OkAwaiter(Result<T> result) : result_(std::move(result)) {}
  bool await_ready() const noexcept { return result_.has_value(); }
  template <class Promise>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> self) noexcept {
    return self.promise().end_with(std::move(result_).error());
  }
  T await_resume() {
    if constexpr (!std::is_void_v<T>) return *std::move(result_);
  }

 private:
  Result<T> result_;
};

}  // namespace detail

/// `auto value = co_await ok(result);` the value, or ends the awaiting coroutine (Task<Result<...>>) with the error.
template <class T>
auto ok(Result<T> result) {
  return detail::OkAwaiter<T>(std::move(result));
}

namespace detail {

/// Starts children and resumes the parent when the last one has ended.
class Join final : public Completion {
 public:
  template <class StartAll>
  class Awaiter {
   public:
    Awaiter(Join& join, std::size_t children, StartAll start_all) : join_(join), start_all_(std::move(start_all)) {
      join_.pending_ = children + 1;  // one for the start loop: children may end while it still runs
    }
    bool await_ready() const noexcept { return false; }
    std::coroutine_handle<> await_suspend(std::coroutine_handle<> parent) noexcept {
      join_.parent_ = parent;
      start_all_(join_);
      return join_.done();
    }
    void await_resume() const noexcept {}

   private:
    Join& join_;
    StartAll start_all_;
  };

  std::coroutine_handle<> done() noexcept override {
    if (--pending_ == 0) return parent_;
    return std::noop_coroutine();
  }

 private:
  std::size_t pending_ = 0;
  std::coroutine_handle<> parent_;
};

template <class T>
using NonVoid = std::conditional_t<std::is_void_v<T>, std::monostate, T>;

template <class T>
NonVoid<T> take_non_void(Task<T>& task) {
  if constexpr (std::is_void_v<T>) {
    task.take();
    return {};
  } else {
    return task.take();
  }
}

}  // namespace detail

/// Runs the tasks at the same time (interleaved at their awaits) and returns all values in order, after the last has
/// ended.
template <class T>
  requires(!std::is_void_v<T>)
Task<std::vector<T>> when_all(std::vector<Task<T>> tasks) {
  detail::Join join;
  co_await detail::Join::Awaiter(join, tasks.size(), [&tasks](detail::Join& j) {
    for (auto& task : tasks) task.start(j).resume();
  });
  std::vector<T> values;
  values.reserve(tasks.size());
  for (auto& task : tasks) values.push_back(task.take());
  co_return values;
}

inline Task<void> when_all(std::vector<Task<void>> tasks) {
  detail::Join join;
  co_await detail::Join::Awaiter(join, tasks.size(), [&tasks](detail::Join& j) {
    for (auto& task : tasks) task.start(j).resume();
  });
  for (auto& task : tasks) task.take();
}

/// The same for tasks of several types; void becomes std::monostate.
template <class... Ts>
  requires(sizeof...(Ts) > 0)
Task<std::tuple<detail::NonVoid<Ts>...>> when_all(Task<Ts>... tasks) {
  detail::Join join;
  co_await detail::Join::Awaiter(join, sizeof...(Ts), [&](detail::Join& j) { (tasks.start(j).resume(), ...); });
  co_return std::tuple<detail::NonVoid<Ts>...>{detail::take_non_void(tasks)...};
}

/// All values, or the first error in order: `auto values = co_await ok(all_ok(co_await when_all(std::move(tasks))));`
template <class T>
  requires(!std::is_void_v<T>)
Result<std::vector<T>> all_ok(std::vector<Result<T>> results) {
  std::vector<T> values;
  values.reserve(results.size());
  for (auto& result : results) {
    if (!result) return std::unexpected(std::move(result).error());
    values.push_back(*std::move(result));
  }
  return values;
}

inline Status all_ok(std::vector<Status> results) {
  for (auto& result : results)
    if (!result) return std::unexpected(std::move(result).error());
  return {};
}

}  // namespace witan::runtime
