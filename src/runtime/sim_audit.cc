#include "runtime/sim_audit.h"

#include <cstdio>
#include <cstdlib>
#include <optional>

#include "base/check.h"

namespace witan::runtime::sim {

u128 fingerprint(ByteView bytes, u128 seed) {
  // Multiply-xor over 8-byte words; both constants are odd, so each step is a bijection of the state.
  constexpr u128 kMultiplier = (u128{0x9e3779b97f4a7c15} << 64) | 0xf39cc0605cedc835;
  u128 state = seed * kMultiplier;
  const auto mix = [&](std::uint64_t word) {
    state = (state ^ word) * kMultiplier;
    state ^= state >> 67;
  };
  mix(bytes.size());
  std::size_t at = 0;
  for (; at + 8 <= bytes.size(); at += 8) mix(load_le<std::uint64_t>(bytes.data() + at));
  std::uint64_t tail = 0;
  if (at < bytes.size()) std::memcpy(&tail, bytes.data() + at, bytes.size() - at);
  mix(tail);
  return state * kMultiplier;
}

void Coverage::add(std::string_view name, std::uint64_t count) {
  if (count == 0) return;
  const auto found = counts_.find(name);
  if (found == counts_.end())
    counts_.emplace(name, count);
  else
    found->second += count;
}

void Coverage::merge(const Coverage& other) {
  for (const auto& [name, count] : other.counts_) add(name, count);
}

std::uint64_t Coverage::count(std::string_view name) const {
  const auto found = counts_.find(name);
  return found == counts_.end() ? 0 : found->second;
}

std::string Coverage::report() const {
  std::string out;
  for (const auto& [name, count] : counts_) out += fmt::format("{} {}\n", name, count);
  return out;
}

void Audit::use(Role by, std::string_view kind, ByteView input, ByteView content) {
  ++uses_;
  const u128 key = fingerprint(input, fingerprint(as_bytes(kind), static_cast<u128>(by.number())));
  const auto [entry, is_new] = contents_.try_emplace(key, fingerprint(content));
  if (is_new || entry->second == fingerprint(content)) return;
  violations_.push_back(
      fmt::format("party {} used one {} input for two contents: input {}", by.number(), kind, to_hex(input)));
}

Status Audit::verdict() const {
  if (violations_.empty()) return {};
  return fail(Code::internal, "{} ({} violations)", violations_.front(), violations_.size());
}

namespace {

std::optional<std::uint64_t> number_from_environment(const char* name) {
  const char* text = std::getenv(name);
  if (!text || *text == '\0') return std::nullopt;
  char* end = nullptr;
  const unsigned long long value = std::strtoull(text, &end, 10);
  WITAN_CHECK(*end == '\0');
  return value;
}

}  // namespace

std::vector<std::string> CampaignReport::never(std::span<const std::string_view> expected) const {
  std::vector<std::string> out;
  const bool print = number_from_environment("WITAN_SIM_REPORT").has_value();
  for (const std::string_view what : expected) {
    const std::uint64_t count = coverage.count(what);
    if (print) fmt::print("campaign {}: expects {} {}\n", name, what, count);
    if (whole && count == 0) out.emplace_back(what);
  }
  return out;
}

CampaignReport campaign(std::string_view name, std::uint64_t first, std::uint64_t count,
                        const std::function<Status(std::uint64_t seed, Coverage& coverage)>& run,
                        std::uint64_t long_count) {
  constexpr std::size_t kMaxFailures = 10;
  CampaignReport report{.name = std::string(name), .failures = {}, .coverage = {}};
  if (const auto percent = number_from_environment("WITAN_SIM_PERCENT")) {
    count = std::max<std::uint64_t>(1, count * *percent / 100);
    if (*percent > 100) count = std::max(count, long_count);
    report.whole = *percent >= 100;
  }
  if (const auto seed = number_from_environment("WITAN_SIM_SEED")) first = *seed, count = 1, report.whole = false;
  for (std::uint64_t seed = first; seed < first + count && report.failures.size() < kMaxFailures; ++seed) {
    ++report.runs;
    const Status status = run(seed, report.coverage);
    if (status) continue;
    report.failures.emplace_back(seed, status.error().message);
    fmt::print(stderr, "campaign {}: seed {} failed: {}; repeat it with WITAN_SIM_SEED={}\n", name, seed,
               status.error().message, seed);
  }
  if (number_from_environment("WITAN_SIM_REPORT"))
    fmt::print("campaign {}: {} runs, {} failed\n{}", name, report.runs, report.failures.size(),
               report.coverage.report());
  return report;
}

}  // namespace witan::runtime::sim
