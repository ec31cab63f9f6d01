// What coroutines of one loop wait for: WaitList, Event, Channel<T>. Loop thread only. All may be destroyed before those
// who wait (these then never resume and are destroyed by their owner), and a waiter may be destroyed at any time.
#pragma once

#include <memory>
#include <optional>

#include "runtime/loop.h"

namespace witan::runtime {

enum class Wake : std::uint8_t { notified, timed_out };

/// Coroutines that wait for the next wake_all().
class WaitList {
 public:
  class [[nodiscard]] Awaiter;

  explicit WaitList(Loop& loop) : loop_(loop) {}
  /// `co_await list.wait(deadline)` gives a Wake.
  Awaiter wait(Instant deadline = kNever);
  /// Resumes all that wait now, in order of waiting, in later turns of the loop.
  void wake_all();
  bool empty() const noexcept { return waiting_.empty(); }
  Loop& loop() const { return loop_; }

 private:
  Loop& loop_;
  List<Awaiter, struct WaitTag> waiting_;
};

class WaitList::Awaiter : public ListNode<WaitTag>, private Runnable, private Timer {
 public:
  Awaiter(WaitList& list, Instant deadline) : Timer(list.loop_), list_(list), deadline_(deadline) {}
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> handle) {
    handle_ = handle;
    list_.waiting_.push_back(*this);
    arm(deadline_);
  }
  Wake await_resume() const noexcept { return wake_; }

 private:
  friend class WaitList;
  void notify() {
    disarm();
    wake_ = Wake::notified;
    Timer::loop().make_ready(*this);
  }
  void run() override { handle_.resume(); }
  void fire() override {
    ListNode<WaitTag>::unlink();
    wake_ = Wake::timed_out;
    handle_.resume();
  }

  WaitList& list_;
  Instant deadline_;
  std::coroutine_handle<> handle_;
  Wake wake_ = Wake::timed_out;
};

inline WaitList::Awaiter WaitList::wait(Instant deadline) {
  return {*this, deadline};
}

/// A flag that coroutines wait for.
class Event {
 public:
  class [[nodiscard]] Awaiter;

  explicit Event(Loop& loop) : waiting_(loop) {}
  void set() {
    set_ = true;
    waiting_.wake_all();
  }
  void reset() { set_ = false; }
  bool is_set() const { return set_; }
  /// At once if set. A set() that comes while waiting counts even if reset() follows before the waiter runs.
  Awaiter wait(Instant deadline = kNever);

 private:
  WaitList waiting_;
  bool set_ = false;
};

class Event::Awaiter final : public WaitList::Awaiter {
 public:
  Awaiter(Event& event, Instant deadline) : WaitList::Awaiter(event.waiting_, deadline), was_set_(event.set_) {}
  bool await_ready() const noexcept { return was_set_; }
  Wake await_resume() const noexcept { return was_set_ ? Wake::notified : WaitList::Awaiter::await_resume(); }

 private:
  bool was_set_;
};

inline Event::Awaiter Event::wait(Instant deadline) {
  return {*this, deadline};
}

/// Bounded FIFO between coroutines. Several may pop: they are served in the order in which they asked. A value that was
/// given to a coroutine which is destroyed before it runs goes to the next one, or back to the front.
template <class T>
class Channel {
  struct Item final : ListNode<struct ItemTag> {
    explicit Item(T v) : value(std::move(v)) {}
    T value;
  };

 public:
  class [[nodiscard]] Awaiter;

  Channel(Loop& loop, std::size_t capacity) : loop_(loop), capacity_(capacity) {}
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;
  ~Channel() {
    while (!items_.empty()) delete &items_.pop_front();
  }

  /// Errors: resource_exhausted (capacity values are waiting), cancelled (closed).
  Status push(T value) {
    if (closed_) return fail(Code::cancelled, "the channel is closed");
    if (!waiting_.empty()) {
      waiting_.pop_front().serve(std::make_unique<Item>(std::move(value)), served_);
      return {};
    }
    if (size_ >= capacity_) return fail(Code::resource_exhausted, "the channel holds {} values, its limit", size_);
    items_.push_back(*new Item(std::move(value)));
    ++size_;
    return {};
  }
  /// `co_await channel.pop(deadline)` gives a Result<T>. Errors: deadline_exceeded; cancelled (closed and empty).
  Awaiter pop(Instant deadline = kNever) { return {*this, deadline}; }
  /// The oldest value, if there is one now.
  std::optional<T> try_pop() {
    auto item = take_item();
    if (!item) return std::nullopt;
    return std::move(item->value);
  }
  /// Nothing can be pushed any more; what is there can still be popped.
  void close() {
    closed_ = true;
    while (!waiting_.empty()) waiting_.pop_front().serve(nullptr, served_);
  }
  std::size_t size() const { return size_; }

 private:
  std::unique_ptr<Item> take_item() {
    if (items_.empty()) return nullptr;
    --size_;
    return std::unique_ptr<Item>(&items_.pop_front());
  }
  void give_back(std::unique_ptr<Item> item) {
    if (!waiting_.empty()) {
      waiting_.pop_front().serve(std::move(item), served_);
    } else {
      items_.push_front(*item.release());
      ++size_;
    }
  }

  Loop& loop_;
  std::size_t capacity_;
  std::size_t size_ = 0;
  bool closed_ = false;
  List<Item, ItemTag> items_;
  List<Awaiter, struct PopTag> waiting_;  // only while items_ is empty
  List<Awaiter, struct PopTag> served_;   // have their value, have not run yet
};

template <class T>
class Channel<T>::Awaiter final : public ListNode<PopTag>, private Runnable, private Timer {
 public:
  Awaiter(Channel& channel, Instant deadline) : Timer(channel.loop_), channel_(&channel), deadline_(deadline) {}
  ~Awaiter() {
    const bool undelivered = ListNode<PopTag>::linked() && item_ != nullptr;
    ListNode<PopTag>::unlink();
    if (undelivered) channel_->give_back(std::move(item_));
  }
  bool await_ready() {
    item_ = channel_->take_item();
    return item_ != nullptr || channel_->closed_;
  }
  void await_suspend(std::coroutine_handle<> handle) {
    handle_ = handle;
    channel_->waiting_.push_back(*this);
    arm(deadline_);
  }
  Result<T> await_resume() {
    ListNode<PopTag>::unlink();
    if (item_) {
      T value = std::move(item_->value);
      item_.reset();
      return value;
    }
    if (timed_out_) return fail(Code::deadline_exceeded, "no value arrived within the deadline");
    return fail(Code::cancelled, "the channel is closed");
  }

 private:
  friend class Channel;
  void serve(std::unique_ptr<Item> item, List<Awaiter, PopTag>& served) {
    disarm();
    item_ = std::move(item);
    served.push_back(*this);  // a channel that dies now unlinks us: the value is ours
    Timer::loop().make_ready(*this);
  }
  void run() override { handle_.resume(); }
  void fire() override {
    ListNode<PopTag>::unlink();
    timed_out_ = true;
    handle_.resume();
  }

  Channel* channel_;
  Instant deadline_;
  std::coroutine_handle<> handle_;
  std::unique_ptr<Item> item_;
  bool timed_out_ = false;
};

}  // namespace witan::runtime
