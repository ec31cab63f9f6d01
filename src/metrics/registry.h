// What a program counts and measures, and its text for Prometheus (exposition format 0.0.4).
//
//   Counter      grows by what it is told              any thread: one relaxed addition, no lock
//   Histogram    how often a value was up to a bound   any thread: two relaxed additions, no lock
//   Collector    makes families at each text(): gauges, and totals that others count
//
// Values of one text() need not be of one instant. Series are never removed, so labels take few values: no ids of requests.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"

namespace witan::metrics {

/// Names [a-zA-Z_][a-zA-Z0-9_]*, each once; values are any text.
using Labels = std::vector<std::pair<std::string, std::string>>;

class Counter {
 public:
  void add(std::uint64_t amount = 1) { value_.fetch_add(amount, std::memory_order_relaxed); }
  std::uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_ = 0;
};

/// Of values that are integers in their unit (milliseconds, bytes): their sum is exact up to 2^64.
class Histogram {
 public:
  /// Upper bounds, each in its bucket, in increasing order; what is above the last one has a bucket of its own.
  explicit Histogram(std::vector<std::uint64_t> bounds);
  void observe(std::uint64_t value);

  struct Snapshot {
    std::vector<std::uint64_t> counts;  // by bucket, not cumulative; one more than bounds
    std::uint64_t sum = 0;
  };
  Snapshot snapshot() const;
  const std::vector<std::uint64_t>& bounds() const { return bounds_; }

 private:
  const std::vector<std::uint64_t> bounds_;
  std::vector<std::atomic<std::uint64_t>> counts_;
  std::atomic<std::uint64_t> sum_ = 0;
};

enum class Type : std::uint8_t { counter, gauge, histogram };

struct Sample {
  Labels labels;
  double value = 0;
};

/// Counters or gauges as they are now.
struct Family {
  std::string name, help;
  Type type = Type::gauge;
  std::vector<Sample> samples;
};

using Collector = std::function<std::vector<Family>()>;

class Registry {
 public:
  /// `constant` labels are in every series.
  explicit Registry(Labels constant = {}) : constant_(std::move(constant)) {}
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;

  /// The series of that name and these labels, made if it is new; valid as long as the registry. Takes a lock: callers keep the
  /// reference. Preconditions (checked): valid names; one type and help for each name, one list of bounds for a histogram.
  Counter& counter(const std::string& name, const std::string& help, const Labels& labels = {});
  Histogram& histogram(const std::string& name, const std::string& help, const std::vector<std::uint64_t>& bounds,
                       const Labels& labels = {});

  /// Before the first text(). The collector runs on the threads that call text(). Its families have names of their own (checked).
  void add_collector(Collector collector);

  /// Families in the order of their names, with HELP and TYPE. One thread at a time.
  std::string text() const;
  static constexpr const char* kContentType = "text/plain; version=0.0.4; charset=utf-8";

 private:
  template <class Metric>
  struct Series {
    std::string help;
    std::map<Labels, std::unique_ptr<Metric>> metrics;
  };
  const Labels constant_;
  mutable std::mutex mutex_;
  std::map<std::string, Series<Counter>> counters_;
  std::map<std::string, Series<Histogram>> histograms_;
  std::vector<Collector> collectors_;
};

/// Constant labels as operators write them: "name=value,name=value", printable ASCII without commas in values; empty text: none.
/// Errors: invalid_argument, naming the piece that is wrong: not of that form, a bad name, a name twice or one of `reserved`, "le" or one
/// with "__" in front, an empty value, more than 16 labels or 256 bytes of a value.
Result<Labels> parse_labels(std::string_view text, const std::vector<std::string_view>& reserved);

}  // namespace witan::metrics
