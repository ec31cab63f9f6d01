// How far a preprocessing or a key generation has come, how fast it is and how long it will take: its status, the log and the metrics say
// what is found here.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "runtime/clock.h"

namespace witan::node {

struct Pace {
  std::uint64_t done = 0, total = 0;  // opened elements; total 0: not known yet
  double seconds = 0;                 // since the run was asked for, or since the restart
  double per_second = 0;              // elements, on average over the attempt; 0: not known yet

  /// Of the elements, rounded down to tenths: 100 is all of them.
  double percent() const;
  /// At that rate; nothing while it is not known.
  std::optional<double> seconds_left() const;
  /// "done=3 total=4 percent=75.0 seconds=2.0 per_second=2 seconds_left=1", without the last two while they are not known.
  std::string text() const;
};

/// What is done already when an attempt is looked at first has been made before it, or before a restart: it says nothing of how fast the
/// run is.
class PaceMeter {
 public:
  explicit PaceMeter(runtime::Instant begun) : begun_(begun) {}
  void look(std::uint16_t attempt, std::uint64_t done, std::uint64_t total, runtime::Instant now);
  Pace pace(runtime::Instant now) const;

 private:
  struct Look {
    std::uint16_t attempt;
    std::uint64_t done;
    runtime::Instant at;
  };
  const runtime::Instant begun_;
  std::uint64_t done_ = 0, total_ = 0;
  std::optional<Look> first_;  // of the attempt
};

}  // namespace witan::node
