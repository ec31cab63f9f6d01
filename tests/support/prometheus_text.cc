#include "support/prometheus_text.h"

#include <charconv>
#include <cmath>
#include <limits>
#include <regex>
#include <set>
#include <stdexcept>

namespace witan::test {
namespace {

const std::regex kName("[a-zA-Z_:][a-zA-Z0-9_:]*");
const std::regex kLabelName("[a-zA-Z_][a-zA-Z0-9_]*");
const std::set<std::string> kTypes = {"counter", "gauge", "histogram"};

[[noreturn]] void wrong(const std::string& line, const std::string& why) {
  throw std::runtime_error("metrics: " + why + ": " + line);
}

double number(const std::string& text, const std::string& line) {
  if (text == "+Inf") return std::numeric_limits<double>::infinity();
  if (text == "-Inf") return -std::numeric_limits<double>::infinity();
  if (text == "NaN") return std::nan("");
  double out = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), out);
  if (read.ec != std::errc() || read.ptr != text.data() + text.size()) wrong(line, "'" + text + "' is no value");
  return out;
}

}  // namespace

PrometheusText::PrometheusText(const std::string& text) {
  if (text.empty() || text.back() != '\n') wrong(text, "the last line does not end");
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = text.find('\n', at);
    read_line(text.substr(at, end - at));
    at = end + 1;
  }
  check_histograms();
}

void PrometheusText::read_line(const std::string& line) {
  for (const char c : line)
    if (static_cast<unsigned char>(c) < ' ') wrong(line, "a control character");
  if (line.starts_with("#"))
    read_comment(line);
  else
    read_sample(line);
}

void PrometheusText::read_comment(const std::string& line) {
  std::smatch match;
  if (std::regex_match(line, match, std::regex("# HELP ([^ ]+) (.+)")) && std::regex_match(match[1].str(), kName)) {
    if (!families_.emplace(match[1].str(), Family{match[2].str(), std::nullopt}).second) wrong(line, "a family twice");
    current_ = match[1].str();
    return;
  }
  if (!std::regex_match(line, match, std::regex("# TYPE ([^ ]+) ([a-z]+)"))) wrong(line, "an unknown comment");
  if (match[1].str() != current_ || families_[current_].type) wrong(line, "TYPE is not where it belongs");
  if (!kTypes.contains(match[2].str())) wrong(line, "an unknown type");
  families_[current_].type = match[2].str();
}

void PrometheusText::read_sample(const std::string& line) {
  std::size_t at = line.find_first_of("{ ");
  if (at == std::string::npos) wrong(line, "no value");
  const std::string name = line.substr(0, at);
  if (!std::regex_match(name, kName)) wrong(line, "a bad name");
  Labels labels;
  if (line[at] == '{') {
    for (bool more = true; more;) {
      const std::size_t equals = line.find("=\"", at + 1);
      if (equals == std::string::npos) wrong(line, "a label without a value");
      const std::string label = line.substr(at + 1, equals - at - 1);
      if (!std::regex_match(label, kLabelName)) wrong(line, "a bad label");
      std::string value;
      std::size_t i = equals + 2;
      for (; i < line.size() && line[i] != '"'; ++i) {
        if (line[i] != '\\') {
          value += line[i];
          continue;
        }
        ++i;
        if (i == line.size() || std::string("\\\"n").find(line[i]) == std::string::npos) wrong(line, "a bad escape");
        value += line[i] == 'n' ? '\n' : line[i];
      }
      if (!labels.emplace(label, value).second) wrong(line, "a label twice");
      at = i + 1;
      if (at >= line.size() || (line[at] != ',' && line[at] != '}')) wrong(line, "labels do not end");
      more = line[at] == ',';
    }
    ++at;
  }
  if (at >= line.size() || line[at] != ' ') wrong(line, "no value");
  const double value = number(line.substr(at + 1), line);
  const auto& type = families_[current_].type;
  if (!type) wrong(line, "a sample before its TYPE");
  const bool histogram = *type == "histogram";
  const std::string suffix = name.starts_with(current_) ? name.substr(current_.size()) : "?";
  if (histogram ? suffix != "_bucket" && suffix != "_sum" && suffix != "_count" : !suffix.empty())
    wrong(line, "not of the family " + current_);
  if (labels.contains("le") != (suffix == "_bucket")) wrong(line, "le belongs to buckets");
  if (*type == "counter" && !(value >= 0)) wrong(line, "a counter below 0");
  if (!series_[name].emplace(labels, value).second) wrong(line, "a series twice");
}

void PrometheusText::check_histograms() const {
  for (const auto& [name, family] : families_) {
    if (!family.type) wrong(name, "no TYPE");
    if (*family.type != "histogram") continue;
    std::map<Labels, std::map<double, double>> buckets;
    for (const auto& [labels, value] : series(name + "_bucket")) {
      Labels without = labels;
      without.erase("le");
      buckets[without].emplace(number(labels.at("le"), name), value);
    }
    if (buckets.size() != series(name + "_count").size() || buckets.size() != series(name + "_sum").size())
      wrong(name, "buckets, sums and counts of different series");
    for (const auto& [labels, steps] : buckets) {
      double last = 0;
      for (const auto& [bound, value] : steps) {
        if (value < last) wrong(name, "a bucket has less than the one below it");
        last = value;
      }
      if (!std::isinf(steps.rbegin()->first) || last != value(name + "_count", labels))
        wrong(name, "the last bucket is not the count");
    }
  }
}

std::optional<double> PrometheusText::find(const std::string& name, const Labels& labels) const {
  const auto all = series_.find(name);
  if (all == series_.end()) return std::nullopt;
  const auto found = all->second.find(labels);
  if (found == all->second.end()) return std::nullopt;
  return found->second;
}

double PrometheusText::value(const std::string& name, const Labels& labels) const {
  const auto found = find(name, labels);
  if (found) return *found;
  std::string text = name;
  for (const auto& [label, value] : labels) text += " " + label + "=" + value;
  throw std::runtime_error("metrics: there is no series " + text);
}

std::map<PrometheusText::Labels, double> PrometheusText::series(const std::string& name) const {
  const auto all = series_.find(name);
  return all == series_.end() ? std::map<Labels, double>{} : all->second;
}

std::optional<std::string> PrometheusText::type(const std::string& name) const {
  const auto found = families_.find(name);
  return found == families_.end() ? std::nullopt : found->second.type;
}

std::vector<std::string> PrometheusText::families() const {
  std::vector<std::string> out;
  for (const auto& [name, family] : families_) out.push_back(name);
  return out;
}

}  // namespace witan::test
