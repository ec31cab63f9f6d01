// How long a thread that has run out of work leaves what comes in to gather before it looks again. Not at all as long as it gets a
// processor when it is woken. Where threads wait for processors anyway, each wake-up is one more thread in the queue, and a thread
// that is woken for every item spends more on waking than on the items; after a rest there are many items at once, for this
// thread and for those that it wakes.
#pragma once

#include <algorithm>

#include "runtime/clock.h"

namespace witan::runtime {

class LoadRest {
 public:
  static constexpr Duration kPrompt = std::chrono::microseconds(300);
  static constexpr Duration kLongest = std::chrono::milliseconds(4);

  /// From the moment when the thread should have run to the moment when it did.
  void note_delay(Duration delay) { average_ += (std::clamp(delay, Duration{}, 4 * kLongest) - average_) / 16; }
  Duration rest() const { return average_ <= kPrompt ? Duration{} : std::min(2 * average_, kLongest); }

 private:
  Duration average_{};
};

}  // namespace witan::runtime
