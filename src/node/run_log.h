// What the log says of a preprocessing or a key generation while it runs: its progress by tenths, and who was excluded or put in dispute, in
// every attempt.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/log.h"
#include "mpc/disputes.h"
#include "node/pace.h"

namespace witan::node {

struct RunState {
  std::uint16_t attempt = 0;
  const char* stage = "";
  Pace pace = {};                               // what is done falls when an attempt drops some
  std::span<const mpc::Verdict> verdicts = {};  // of the attempt; they only grow
};

class RunLog {
 public:
  struct Line {
    log::Level level;
    std::string text;
  };
  /// `what`: of whom, e.g. "key <id>".
  explicit RunLog(std::string what) : what_(std::move(what)) {}

  /// What is new since the last call.
  std::vector<Line> news(const RunState& now);

 private:
  const std::string what_;
  std::uint16_t attempt_ = 0;
  unsigned tenths_ = 0;
  std::size_t verdicts_ = 0;
};

}  // namespace witan::node
