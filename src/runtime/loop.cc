#include "runtime/loop.h"

#include <thread>

#include "base/check.h"

namespace witan::runtime {

Instant SystemClock::now() const {
  return Instant(std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now().time_since_epoch()));
}

WallTime SystemClock::wall() const {
  return std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now());
}

void Timer::arm(Instant due) {
  disarm();
  if (due == kNever) return;
  due_ = due;
  sequence_ = loop_->next_sequence_++;
  loop_->heap_insert(*this);
}

void Timer::disarm() noexcept {
  if (armed()) loop_->heap_erase(*this);
}

class Loop::PostedJob final : public Runnable {
 public:
  explicit PostedJob(Job job) : job_(std::move(job)) {}

 private:
  void run() override {
    Job job = std::move(job_);
    delete this;
    job();
  }
  void loop_gone() noexcept override { delete this; }

  Job job_;
};

Loop::~Loop() {
  take_posted();
  while (!ready_.empty()) ready_.pop_front().loop_gone();
  for (Timer* timer : timers_) timer->heap_index_ = Timer::kNotArmed;
}

void Loop::post(Job job) {
  auto posted = std::make_unique<PostedJob>(std::move(job));
  bool first;
  {
    const std::lock_guard lock(posted_mutex_);
    posted_.push_back(*posted.release());
    first = !has_posted_.exchange(true, std::memory_order_release);
  }
  if (first) wake();  // otherwise whoever posted first has done so
}

void Loop::take_posted() noexcept {
  if (!has_posted_.load(std::memory_order_acquire)) return;
  const std::lock_guard lock(posted_mutex_);
  has_posted_.store(false, std::memory_order_relaxed);
  ready_.splice_back(posted_);
}

bool Loop::has_ready() noexcept {
  take_posted();
  return !ready_.empty();
}

bool Loop::step() {
  take_posted();
  if (!timers_.empty() && timers_.front()->due_ <= now()) {
    Timer& timer = *timers_.front();
    heap_erase(timer);
    ++steps_;
    timer.fire();
    return true;
  }
  if (ready_.empty()) return false;
  ++steps_;
  ready_.pop_front().run();
  return true;
}

std::size_t Loop::run_batch(std::size_t limit) {
  take_posted();
  std::size_t count = 0;
  if (!timers_.empty()) {
    const Instant present = now();  // one reading: timers armed meanwhile wait for the next batch
    while (!timers_.empty() && timers_.front()->due_ <= present && count < limit) {
      Timer& timer = *timers_.front();
      heap_erase(timer);
      timer.fire();
      ++count;
    }
  }
  for (std::size_t i = 0; i < limit && !ready_.empty(); ++i, ++count) ready_.pop_front().run();
  steps_ += count;
  return count;
}

// Binary heap of timers by (due, sequence).

bool Loop::before(const Timer& a, const Timer& b) noexcept {
  return a.due_ != b.due_ ? a.due_ < b.due_ : a.sequence_ < b.sequence_;
}

void Loop::heap_move(std::size_t index, Timer& timer) noexcept {
  timers_[index] = &timer;
  timer.heap_index_ = index;
}

void Loop::heap_insert(Timer& timer) {
  timers_.push_back(&timer);
  timer.heap_index_ = timers_.size() - 1;
  sift_up(timer.heap_index_);
}

void Loop::heap_erase(Timer& timer) noexcept {
  const std::size_t index = timer.heap_index_;
  Timer& last = *timers_.back();
  timers_.pop_back();
  timer.heap_index_ = Timer::kNotArmed;
  if (&last == &timer) return;
  heap_move(index, last);
  sift_up(index);
  sift_down(last.heap_index_);
}

void Loop::sift_up(std::size_t index) noexcept {
  Timer& timer = *timers_[index];
  while (index > 0) {
    const std::size_t parent = (index - 1) / 2;
    if (!before(timer, *timers_[parent])) break;
    heap_move(index, *timers_[parent]);
    index = parent;
  }
  heap_move(index, timer);
}

void Loop::sift_down(std::size_t index) noexcept {
  Timer& timer = *timers_[index];
  for (;;) {
    std::size_t child = 2 * index + 1;
    if (child >= timers_.size()) break;
    if (child + 1 < timers_.size() && before(*timers_[child + 1], *timers_[child])) ++child;
    if (!before(*timers_[child], timer)) break;
    heap_move(index, *timers_[child]);
    index = child;
  }
  heap_move(index, timer);
}

// Real time.

const Clock& ThreadLoop::system_clock() {
  static const SystemClock clock;
  return clock;
}

void ThreadLoop::run() {
  run_until(stopped_);
  stopped_ = false;
}

void ThreadLoop::stop() {
  post([this] { stopped_ = true; });
}

void ThreadLoop::run_until(const bool& finished) {
  constexpr std::size_t kBatch = 64;  // between two looks at the clock and at the posted jobs
  while (!finished)
    if (run_batch(kBatch) == 0 && !rest()) wait_for_work();
}

/// True if something came meanwhile, or may have.
bool ThreadLoop::rest() {
  const Duration planned = load_.rest();
  if (planned <= Duration{}) return false;
  const Instant begun = now();
  const Duration rest = std::min(planned, next_timer() - begun);
  if (rest <= Duration{}) return true;
  std::this_thread::sleep_for(rest);
  load_.note_delay(now() - begun - rest);
  return has_ready();
}

void ThreadLoop::wake() {
  {
    const std::lock_guard lock(wake_mutex_);
    woken_ = true;
    woken_at_ = now();
  }
  wake_up_.notify_one();
}

void ThreadLoop::wait_for_work() {
  std::unique_lock lock(wake_mutex_);
  const auto woken = [this] { return woken_; };
  const bool at_once = woken_;
  if (const Instant due = next_timer(); due == kNever) {
    wake_up_.wait(lock, woken);
  } else {
    wake_up_.wait_until(lock, std::chrono::steady_clock::time_point(due.time_since_epoch()), woken);
  }
  if (woken_ && !at_once) load_.note_delay(now() - woken_at_);
  woken_ = false;
}

// Virtual time.

std::size_t VirtualLoop::run_ready() {
  std::size_t count = 0;
  while (step()) ++count;
  return count;
}

void VirtualLoop::advance(Duration duration) {
  const Instant end = after(duration);
  run_ready();
  while (next_timer() <= end && next_timer() != kNever) {
    virtual_clock_->advance_to(next_timer());
    run_ready();
  }
  virtual_clock_->advance_to(end);
}

bool VirtualLoop::jump() {
  if (next_timer() == kNever) return false;
  virtual_clock_->advance_to(next_timer());
  return true;
}

void VirtualLoop::run_until_idle() {
  do run_ready();
  while (jump());
}

void VirtualLoop::run_until(const bool& finished) {
  while (!finished) {
    if (step()) continue;
    const bool jumped = jump();
    WITAN_CHECK(jumped);  // otherwise the task waits for something that cannot happen
  }
}

}  // namespace witan::runtime
