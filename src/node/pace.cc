#include "node/pace.h"

#include <fmt/core.h>

namespace witan::node {

namespace {

double seconds(runtime::Duration duration) {
  return std::chrono::duration<double>(duration).count();
}

}  // namespace

double Pace::percent() const {
  const std::uint64_t tenths = total == 0 ? 0 : done * 1000 / total;
  return static_cast<double>(tenths) / 10;
}

std::optional<double> Pace::seconds_left() const {
  if (total == 0 || per_second <= 0) return std::nullopt;
  return static_cast<double>(total - done) / per_second;
}

std::string Pace::text() const {
  std::string out = fmt::format("done={} total={} percent={:.1f} seconds={:.1f}", done, total, percent(), seconds);
  if (const auto left = seconds_left()) out += fmt::format(" per_second={:.0f} seconds_left={:.0f}", per_second, *left);
  return out;
}

void PaceMeter::look(std::uint16_t attempt, std::uint64_t done, std::uint64_t total, runtime::Instant now) {
  done_ = done;
  total_ = total;
  if (!first_ || first_->attempt != attempt) first_ = {attempt, done, now};
}

Pace PaceMeter::pace(runtime::Instant now) const {
  Pace out{.done = done_, .total = total_, .seconds = seconds(now - begun_)};
  if (first_ && now > first_->at && done_ > first_->done)
    out.per_second = static_cast<double>(done_ - first_->done) / seconds(now - first_->at);
  return out;
}

}  // namespace witan::node
