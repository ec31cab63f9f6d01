#include "node/run_log.h"

namespace witan::node {

namespace {

constexpr unsigned kParts = 10;

std::string text_of(const mpc::Verdict& verdict) {
  if (verdict.kind == mpc::Verdict::Kind::missing)
    return fmt::format("party {} takes no part: {}", verdict.party.number(), verdict.reason);
  if (verdict.kind == mpc::Verdict::Kind::excluded)
    return fmt::format("party {} is excluded: {}", verdict.party.number(), verdict.reason);
  return fmt::format("parties {} and {} are in dispute: {}", verdict.party.number(), verdict.other.number(),
                     verdict.reason);
}

unsigned tenths_of(const Pace& pace) {
  return static_cast<unsigned>(pace.percent()) * kParts / 100;
}

std::string text_of(const RunState& state) {
  const Pace& pace = state.pace;
  std::string out =
      fmt::format("{} {} %, {} of {} elements", state.stage, tenths_of(pace) * 100 / kParts, pace.done, pace.total);
  if (const auto left = pace.seconds_left())
    out += fmt::format(", {:.0f} elements/s, {:.0f} s left", pace.per_second, *left);
  return out;
}

}  // namespace

std::vector<RunLog::Line> RunLog::news(const RunState& now) {
  std::vector<Line> out;
  if (now.attempt != attempt_) {
    attempt_ = now.attempt;
    verdicts_ = 0;
    tenths_ = tenths_of(now.pace);
    out.push_back({log::Level::warn, fmt::format("{}: attempt {} has begun with {} of {} elements", what_, now.attempt,
                                                 now.pace.done, now.pace.total)});
  }
  if (const unsigned tenths = tenths_of(now.pace); tenths > tenths_) {
    tenths_ = tenths;
    out.push_back({log::Level::info, fmt::format("{}: {}", what_, text_of(now))});
  }
  for (; verdicts_ < now.verdicts.size(); ++verdicts_)
    out.push_back({log::Level::warn, fmt::format("{}: {}", what_, text_of(now.verdicts[verdicts_]))});
  return out;
}

}  // namespace witan::node
