#include "metrics/registry.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "base/check.h"

namespace witan::metrics {
namespace {

constexpr std::size_t kMaxLabels = 16, kMaxValueBytes = 256;

bool is_name(std::string_view text) {
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  return !text.empty() && letter(text.front()) &&
         std::ranges::all_of(text, [&](char c) { return letter(c) || digit(c); });
}

void check_names(const std::string& name, const Labels& labels) {
  WITAN_CHECK(is_name(name));
  std::set<std::string_view> seen;
  for (const auto& [label, value] : labels) WITAN_CHECK(is_name(label) && seen.insert(label).second);
}

/// Of label values and help texts.
std::string escaped(std::string_view text, bool quotes) {
  std::string out;
  for (const char c : text) {
    if (c == '\n') {
      out += "\\n";
      continue;
    }
    if (c == '\\' || (quotes && c == '"')) out += '\\';
    out += c;
  }
  return out;
}

std::string number(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value < 0 ? "-Inf" : "+Inf";
  return fmt::format("{}", value);
}

/// One line: name{constant, labels, last} value.
void write_line(std::string& out, std::string_view name, std::string_view suffix, const Labels& constant,
                const Labels& labels, std::string_view last, std::string_view value) {
  out += name;
  out += suffix;
  const char* separator = "{";
  for (const Labels* list : {&constant, &labels})
    for (const auto& [label, text] : *list) {
      out += fmt::format("{}{}=\"{}\"", separator, label, escaped(text, true));
      separator = ",";
    }
  if (!last.empty()) {
    out += fmt::format("{}{}", separator, last);
    separator = ",";
  }
  if (*separator == ',') out += '}';
  out += fmt::format(" {}\n", value);
}

void write_histogram(std::string& out, std::string_view name, const Labels& constant, const Labels& labels,
                     const Histogram& histogram) {
  const Histogram::Snapshot now = histogram.snapshot();
  std::uint64_t total = 0;
  for (std::size_t i = 0; i < now.counts.size(); ++i) {
    total += now.counts[i];
    const std::string bound = i < histogram.bounds().size() ? fmt::format("{}", histogram.bounds()[i]) : "+Inf";
    write_line(out, name, "_bucket", constant, labels, fmt::format("le=\"{}\"", bound), fmt::format("{}", total));
  }
  write_line(out, name, "_sum", constant, labels, "", fmt::format("{}", now.sum));
  write_line(out, name, "_count", constant, labels, "", fmt::format("{}", total));
}

const char* text_of(Type type) {
  switch (type) {
    case Type::counter:
      return "counter";
    case Type::gauge:
      return "gauge";
    case Type::histogram:
      return "histogram";
  }
  return "untyped";
}

std::string heading(const std::string& name, const std::string& help, Type type) {
  return fmt::format("# HELP {} {}\n# TYPE {} {}\n", name, escaped(help, false), name, text_of(type));
}

}  // namespace

Histogram::Histogram(std::vector<std::uint64_t> bounds) : bounds_(std::move(bounds)), counts_(bounds_.size() + 1) {
  WITAN_CHECK(std::ranges::is_sorted(bounds_) && std::ranges::adjacent_find(bounds_) == bounds_.end());
}

void Histogram::observe(std::uint64_t value) {
  const auto bucket = static_cast<std::size_t>(std::ranges::lower_bound(bounds_, value) - bounds_.begin());
  counts_[bucket].fetch_add(1, std::memory_order_relaxed);
  sum_.fetch_add(value, std::memory_order_relaxed);
}

Histogram::Snapshot Histogram::snapshot() const {
  Snapshot out;
  for (const auto& count : counts_) out.counts.push_back(count.load(std::memory_order_relaxed));
  out.sum = sum_.load(std::memory_order_relaxed);
  return out;
}

Counter& Registry::counter(const std::string& name, const std::string& help, const Labels& labels) {
  check_names(name, labels);
  const std::lock_guard lock(mutex_);
  WITAN_CHECK(!histograms_.contains(name));
  auto& series = counters_[name];
  if (series.metrics.empty()) series.help = help;
  WITAN_CHECK(series.help == help);
  auto& metric = series.metrics[labels];
  if (!metric) metric = std::make_unique<Counter>();
  return *metric;
}

Histogram& Registry::histogram(const std::string& name, const std::string& help,
                               const std::vector<std::uint64_t>& bounds, const Labels& labels) {
  check_names(name, labels);
  const std::lock_guard lock(mutex_);
  WITAN_CHECK(!counters_.contains(name));
  auto& series = histograms_[name];
  if (series.metrics.empty()) series.help = help;
  WITAN_CHECK(series.help == help);
  auto& metric = series.metrics[labels];
  if (!metric) metric = std::make_unique<Histogram>(bounds);
  WITAN_CHECK(metric->bounds() == bounds);
  return *metric;
}

void Registry::add_collector(Collector collector) {
  collectors_.push_back(std::move(collector));
}

std::string Registry::text() const {
  std::map<std::string, std::string> blocks;  // by name of the family
  for (const Collector& collector : collectors_)
    for (const Family& family : collector()) {
      WITAN_CHECK(family.type != Type::histogram);
      std::string& block = blocks[family.name];
      WITAN_CHECK(block.empty());
      block = heading(family.name, family.help, family.type);
      for (const Sample& sample : family.samples) {
        check_names(family.name, sample.labels);
        write_line(block, family.name, "", constant_, sample.labels, "", number(sample.value));
      }
    }
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [name, series] : counters_) {
      std::string& block = blocks[name];
      WITAN_CHECK(block.empty());
      block = heading(name, series.help, Type::counter);
      for (const auto& [labels, counter] : series.metrics)
        write_line(block, name, "", constant_, labels, "", fmt::format("{}", counter->value()));
    }
    for (const auto& [name, series] : histograms_) {
      std::string& block = blocks[name];
      WITAN_CHECK(block.empty());
      block = heading(name, series.help, Type::histogram);
      for (const auto& [labels, histogram] : series.metrics)
        write_histogram(block, name, constant_, labels, *histogram);
    }
  }
  std::string out;
  for (const auto& [name, block] : blocks) out += block;
  return out;
}

Result<Labels> parse_labels(std::string_view text, const std::vector<std::string_view>& reserved) {
  Labels out;
  if (text.empty()) return out;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find(',', at), text.size());
    const std::string_view piece = text.substr(at, end - at);
    at = end + 1;
    const auto wrong = [&](std::string_view why) {
      return fail(Code::invalid_argument, "label {} '{}': {}; expected is name=value,name=value", out.size() + 1, piece,
                  why);
    };
    const std::size_t equals = piece.find('=');
    if (equals == std::string_view::npos) return wrong("there is no '='");
    const std::string_view name = piece.substr(0, equals), value = piece.substr(equals + 1);
    if (!is_name(name)) return wrong("a name has letters, digits and _, and does not begin with a digit");
    if (name.starts_with("__") || name == "le" || std::ranges::find(reserved, name) != reserved.end())
      return wrong("the name is taken");
    if (std::ranges::find(out, name, &Labels::value_type::first) != out.end()) return wrong("the name is there twice");
    if (value.empty() || value.size() > kMaxValueBytes) return wrong("a value has 1 to 256 bytes");
    if (!std::ranges::all_of(value, [](char c) { return c >= ' ' && c <= '~'; }))
      return wrong("a value is printable ASCII");
    if (out.size() == kMaxLabels) return wrong("there are more than 16 labels");
    out.emplace_back(name, value);
  }
  return out;
}

}  // namespace witan::metrics
