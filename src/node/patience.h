// How long peers may be silent in a decryption before they are asked again. They have much to do when this node has, and requests to
// send again would add to it. Loop thread only.
#pragma once

#include <algorithm>
#include <chrono>

#include "runtime/clock.h"

namespace witan::node {

class Patience {
 public:
  /// `resend_after`: of a node that has little to do. `started`: the process.
  Patience(runtime::Duration resend_after, runtime::Instant started) : resend_after_(resend_after), started_(started) {}

  /// A decryption took so long here until its own shares were sent.
  void note(runtime::Duration own_time) { own_time_ += (std::min(own_time, kMost) - own_time_) / kAveraged; }

  /// Eight times what decryptions took here on average, within resend_after and 5 s. Soon after a start less: peers drop what they
  /// could not deliver to a process that died.
  runtime::Duration at(runtime::Instant now) const {
    const auto usual = std::max(resend_after_, std::min(8 * own_time_, kMost));
    return now >= started_ + kCatchUp ? usual : std::min(usual, kSoon + 4 * own_time_);
  }

 private:
  static constexpr int kAveraged = 16;
  static constexpr runtime::Duration kCatchUp = std::chrono::minutes(2), kSoon = std::chrono::milliseconds(20);
  /// Whatever held this node up: a full disk, or a stop of the process.
  static constexpr runtime::Duration kMost = std::chrono::seconds(5);

  const runtime::Duration resend_after_;
  const runtime::Instant started_;
  runtime::Duration own_time_{};
};

}  // namespace witan::node
