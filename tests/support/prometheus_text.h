// Reads Prometheus' text format 0.0.4 as strictly as its description allows, for tests.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace witan::test {

class PrometheusText {
 public:
  using Labels = std::map<std::string, std::string>;

  /// Throws std::runtime_error, with the line, unless: each family has HELP, then TYPE, then its series, and comes once; names, labels,
  /// escapes and values are well formed; no series is there twice; the buckets of a histogram grow up to "+Inf", which is its count.
  explicit PrometheusText(const std::string& text);

  /// Of a counter, a gauge, or "..._bucket", "..._sum", "..._count" of a histogram.
  std::optional<double> find(const std::string& name, const Labels& labels = {}) const;
  /// Throws if it is not there.
  double value(const std::string& name, const Labels& labels = {}) const;
  /// All series of a name.
  std::map<Labels, double> series(const std::string& name) const;
  /// Of a family; nothing: it is not there.
  std::optional<std::string> type(const std::string& name) const;
  std::vector<std::string> families() const;

 private:
  void read_line(const std::string& line);
  void read_comment(const std::string& line);
  void read_sample(const std::string& line);
  void check_histograms() const;

  struct Family {
    std::string help;
    std::optional<std::string> type;
  };
  std::map<std::string, Family> families_;
  std::string current_;
  std::map<std::string, std::map<Labels, double>> series_;
};

}  // namespace witan::test
