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

unsigned tenths_of(const RunState& state) {
  return state.total == 0 ? 0 : static_cast<unsigned>(state.done * kParts / state.total);
}

}  // namespace

std::vector<RunLog::Line> RunLog::news(const RunState& now) {
  std::vector<Line> out;
  if (now.attempt != attempt_) {
    attempt_ = now.attempt;
    verdicts_ = 0;
    tenths_ = tenths_of(now);
    out.push_back({log::Level::warn, fmt::format("{}: attempt {} has begun with {} of {} elements", what_, now.attempt,
                                                 now.done, now.total)});
  }
  if (const unsigned tenths = tenths_of(now); tenths > tenths_) {
    tenths_ = tenths;
    out.push_back({log::Level::info, fmt::format("{}: {} {} %, {} of {} elements, {:.0f} elements/s", what_, now.stage,
                                                 tenths * 100 / kParts, now.done, now.total,
                                                 now.seconds > 0 ? static_cast<double>(now.done) / now.seconds : 0.0)});
  }
  for (; verdicts_ < now.verdicts.size(); ++verdicts_)
    out.push_back({log::Level::warn, fmt::format("{}: {}", what_, text_of(now.verdicts[verdicts_]))});
  return out;
}

}  // namespace witan::node
