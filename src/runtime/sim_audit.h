// What a simulation watches: uses of things that may be used once, counters of what happened, and many seeds in a row.
#pragma once

#include <functional>
#include <initializer_list>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"
#include "base/ids.h"

namespace witan::runtime::sim {

/// A 128-bit fingerprint for equality inside of one test run, not a cryptographic hash.
u128 fingerprint(ByteView bytes, u128 seed = 0);

/// Counters by name, e.g. "router.resent", "sim.crashes": which defences a campaign has seen at work.
class Coverage {
 public:
  void add(std::string_view name, std::uint64_t count = 1);
  void merge(const Coverage& other);
  std::uint64_t count(std::string_view name) const;
  /// One "name count" per line, sorted.
  std::string report() const;

 private:
  std::map<std::string, std::uint64_t, std::less<>> counts_;
};

/// Rule S5 (security.md 7): no PRF input serves two contents, no (session, step, receiver) carries two payloads, across
/// disputes, restarts and attempts. The world reports what programs send; PRF users report their inputs.
class Audit {
 public:
  /// `by` used `input` (of some kind: "message", "zero sharing", ...) for `content`. The same input with other content is a
  /// violation.
  void use(Role by, std::string_view kind, ByteView input, ByteView content);
  std::uint64_t uses() const { return uses_; }
  const std::vector<std::string>& violations() const { return violations_; }
  /// Error: internal, with the first violation.
  Status verdict() const;

 private:
  std::map<u128, u128> contents_;
  std::uint64_t uses_ = 0;
  std::vector<std::string> violations_;
};

struct CampaignReport {
  std::string name;
  std::uint64_t runs = 0;
  bool whole = true;                                            // not a part of it
  std::vector<std::pair<std::uint64_t, std::string>> failures;  // seed, reason
  Coverage coverage;

  /// What a whole campaign should have seen at work and has not: adversaries (by Coverage, "adversary <name>") and defences. Nothing of
  /// a part of one. With WITAN_SIM_REPORT=1 prints how often it has seen each.
  std::vector<std::string> never(std::span<const std::string_view> expected) const;
  std::vector<std::string> never(std::initializer_list<std::string_view> expected) const {
    return never(std::span(expected.begin(), expected.size()));
  }
};

/// Runs `run` for the seeds first, first+1, ..., prints each failing seed on standard error with the command to repeat it,
/// and stops after ten failures. WITAN_SIM_SEED=<seed> runs that seed only; WITAN_SIM_PERCENT=<p> runs p percent of the count, and at
/// least `long_count` if p is above 100; WITAN_SIM_REPORT=1 prints what was covered.
CampaignReport campaign(std::string_view name, std::uint64_t first, std::uint64_t count,
                        const std::function<Status(std::uint64_t seed, Coverage& coverage)>& run,
                        std::uint64_t long_count = 0);

}  // namespace witan::runtime::sim
