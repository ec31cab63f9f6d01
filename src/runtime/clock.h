// Time as a parameter: monotonic time for deadlines, wall time for records that people read.
#pragma once

#include <chrono>

namespace witan::runtime {

using Duration = std::chrono::nanoseconds;

/// Tag of monotonic time; its origin is arbitrary and differs between processes.
struct Monotonic {
  using duration = Duration;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<Monotonic>;
  static constexpr bool is_steady = true;
};
using Instant = Monotonic::time_point;
using WallTime = std::chrono::sys_time<Duration>;

/// A deadline that never comes.
inline constexpr Instant kNever = Instant::max();

/// instant + duration, kNever instead of an overflow.
constexpr Instant saturating_add(Instant instant, Duration duration) {
  return duration > kNever - instant ? kNever : instant + duration;
}

class Clock {
 public:
  virtual ~Clock() = default;
  virtual Instant now() const = 0;
  virtual WallTime wall() const = 0;
};

/// The machine's clocks; may be read by any thread.
class SystemClock final : public Clock {
 public:
  Instant now() const override;
  WallTime wall() const override;
};

/// Time that moves only when told to. Wall time is `wall_start` plus the time that has passed.
class VirtualClock final : public Clock {
 public:
  explicit VirtualClock(WallTime wall_start = WallTime(std::chrono::sys_days(std::chrono::year(2025) / 1 / 1)))
      : wall_start_(wall_start) {}
  Instant now() const override { return now_; }
  WallTime wall() const override { return wall_start_ + now_.time_since_epoch(); }
  /// Does nothing if that time has passed.
  void advance_to(Instant instant) {
    if (instant > now_) now_ = instant;
  }

 private:
  WallTime wall_start_;
  Instant now_{};
};

}  // namespace witan::runtime
