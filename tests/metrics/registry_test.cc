// What is counted, and its text, read by a strict reader.
#include "metrics/registry.h"

#include <gmock/gmock.h>

#include <limits>
#include <thread>

#include "support/prometheus_text.h"

namespace witan::metrics {
namespace {

using test::PrometheusText;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(Registry, GivesTheTextThatPrometheusDescribes) {
  Registry registry;
  registry.counter("requests_total", "Requests.", {{"operation", "decrypt"}}).add(3);
  registry.counter("requests_total", "Requests.", {{"operation", "encrypt"}});
  Histogram& sizes = registry.histogram("sizes", "Bytes.", {10, 100});
  for (const std::uint64_t size : {std::uint64_t{1}, std::uint64_t{10}, std::uint64_t{11}, std::uint64_t{1000}})
    sizes.observe(size);
  registry.add_collector([] { return std::vector<Family>{{"load", "Of it.", Type::gauge, {{{}, 0.25}}}}; });
  EXPECT_EQ(registry.text(),
            "# HELP load Of it.\n"
            "# TYPE load gauge\n"
            "load 0.25\n"
            "# HELP requests_total Requests.\n"
            "# TYPE requests_total counter\n"
            "requests_total{operation=\"decrypt\"} 3\n"
            "requests_total{operation=\"encrypt\"} 0\n"
            "# HELP sizes Bytes.\n"
            "# TYPE sizes histogram\n"
            "sizes_bucket{le=\"10\"} 2\n"
            "sizes_bucket{le=\"100\"} 3\n"
            "sizes_bucket{le=\"+Inf\"} 4\n"
            "sizes_sum 1022\n"
            "sizes_count 4\n");
  const PrometheusText text(registry.text());
  EXPECT_EQ(text.value("requests_total", {{"operation", "decrypt"}}), 3);
  EXPECT_THAT(text.families(), ElementsAre("load", "requests_total", "sizes"));
}

TEST(Registry, ConstantLabelsAreInEverySeries) {
  Registry registry({{"network", "test"}, {"zone", "a"}});
  registry.counter("requests_total", "Requests.").add();
  registry.histogram("sizes", "Bytes.", {10}, {{"operation", "x"}}).observe(7);
  registry.add_collector([] { return std::vector<Family>{{"load", "Of it.", Type::gauge, {{{{"cpu", "1"}}, 2}}}}; });
  const PrometheusText text(registry.text());
  EXPECT_EQ(text.value("requests_total", {{"network", "test"}, {"zone", "a"}}), 1);
  EXPECT_EQ(text.value("sizes_bucket", {{"network", "test"}, {"zone", "a"}, {"operation", "x"}, {"le", "10"}}), 1);
  EXPECT_EQ(text.value("load", {{"network", "test"}, {"zone", "a"}, {"cpu", "1"}}), 2);
}

TEST(Registry, AnyTextIsALabelValue) {
  const std::string awkward = "a\\b \"c\"\nd{},=";
  Registry registry;
  registry.counter("requests_total", "With a \\ and\na line.", {{"operation", awkward}}).add();
  EXPECT_EQ(PrometheusText(registry.text()).value("requests_total", {{"operation", awkward}}), 1);
}

TEST(Registry, ValuesAreWrittenExactly) {
  Registry registry;
  registry.counter("large_total", "Large.").add(std::numeric_limits<std::uint64_t>::max());
  registry.add_collector([] {
    const double infinity = std::numeric_limits<double>::infinity();
    return std::vector<Family>{{"odd",
                                "Odd ones.",
                                Type::gauge,
                                {{{{"is", "small"}}, 1e-300},
                                 {{{"is", "third"}}, 1.0 / 3},
                                 {{{"is", "blocks"}}, 0x1p40},
                                 {{{"is", "plus"}}, infinity},
                                 {{{"is", "minus"}}, -infinity},
                                 {{{"is", "none"}}, std::numeric_limits<double>::quiet_NaN()}}}};
  });
  EXPECT_THAT(registry.text(), HasSubstr("large_total 18446744073709551615\n"));
  EXPECT_THAT(registry.text(), HasSubstr("odd{is=\"plus\"} +Inf\n"));
  EXPECT_THAT(registry.text(), HasSubstr("odd{is=\"minus\"} -Inf\n"));
  EXPECT_THAT(registry.text(), HasSubstr("odd{is=\"none\"} NaN\n"));
  const PrometheusText text(registry.text());
  EXPECT_EQ(text.value("odd", {{"is", "small"}}), 1e-300);
  EXPECT_EQ(text.value("odd", {{"is", "third"}}), 1.0 / 3);
  EXPECT_EQ(text.value("odd", {{"is", "blocks"}}), 0x1p40);
}

TEST(Registry, ManyThreadsCountWhileOneReads) {
  constexpr int kThreads = 4, kTimes = 20000;
  Registry registry;
  Counter& counter = registry.counter("requests_total", "Requests.");
  Histogram& sizes = registry.histogram("sizes", "Bytes.", {1, 2, 3});
  std::vector<std::jthread> threads;
  for (int i = 0; i < kThreads; ++i)
    threads.emplace_back([&, i] {
      for (int k = 0; k < kTimes; ++k) {
        counter.add();
        sizes.observe(static_cast<std::uint64_t>(k % 5));
        if (k % 1000 == 0) registry.counter("late_total", "Late.", {{"thread", std::to_string(i)}}).add();
      }
    });
  double last = 0;
  for (int k = 0; k < 50; ++k) {
    const double now = PrometheusText(registry.text()).value("requests_total");
    EXPECT_GE(now, last);
    last = now;
  }
  threads.clear();
  const PrometheusText text(registry.text());
  EXPECT_EQ(text.value("requests_total"), kThreads * kTimes);
  EXPECT_EQ(text.value("sizes_count"), kThreads * kTimes);
  EXPECT_EQ(text.value("sizes_sum"), kThreads * kTimes / 5 * 10);
  EXPECT_EQ(text.value("late_total", {{"thread", "3"}}), kTimes / 1000);
}

using RegistryDeathTest = testing::Test;

TEST(RegistryDeathTest, ANameHasOneMeaning) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  Registry registry;
  registry.counter("requests_total", "Requests.");
  EXPECT_DEATH(registry.counter("requests_total", "Something else."), "help");
  EXPECT_DEATH(registry.histogram("requests_total", "Requests.", {1}), "counters_");
  EXPECT_DEATH(registry.counter("two words", "Requests."), "is_name");
  EXPECT_DEATH(registry.counter("x", "Requests.", {{"a-b", "c"}}), "is_name");
  EXPECT_DEATH(registry.counter("x", "Requests.", {{"a", "c"}, {"a", "d"}}), "seen");
}

TEST(Labels, AreReadAsOperatorsWriteThem) {
  EXPECT_TRUE(parse_labels("", {}).value().empty());
  EXPECT_EQ(parse_labels("network=testnet,zone=eu-west-1a,note=a=b c", {}).value(),
            (Labels{{"network", "testnet"}, {"zone", "eu-west-1a"}, {"note", "a=b c"}}));
}

TEST(Labels, WhatIsWrongIsNamed) {
  const auto said = [](const std::string& text) {
    const auto parsed = parse_labels(text, {"operation"});
    return parsed ? "OK" : parsed.error().message;
  };
  EXPECT_THAT(said("network"), HasSubstr("label 1 'network': there is no '='"));
  EXPECT_THAT(said("a=b,"), HasSubstr("label 2 '': there is no '='"));
  EXPECT_THAT(said("a=b,,c=d"), HasSubstr("label 2 ''"));
  EXPECT_THAT(said("1a=b"), HasSubstr("a name has letters"));
  EXPECT_THAT(said("a=b, c=d"), HasSubstr("a name has letters"));
  EXPECT_THAT(said("=b"), HasSubstr("a name has letters"));
  EXPECT_THAT(said("a="), HasSubstr("a value has 1 to 256 bytes"));
  EXPECT_THAT(said("a=" + std::string(257, 'x')), HasSubstr("a value has 1 to 256 bytes"));
  EXPECT_THAT(said("a=b,a=c"), HasSubstr("label 2 'a=c': the name is there twice"));
  EXPECT_THAT(said("operation=b"), HasSubstr("the name is taken"));
  EXPECT_THAT(said("le=b"), HasSubstr("the name is taken"));
  EXPECT_THAT(said("__name__=b"), HasSubstr("the name is taken"));
  EXPECT_THAT(said("a=\x7f"), HasSubstr("printable ASCII"));
  EXPECT_THAT(said("a=b\nc"), HasSubstr("printable ASCII"));
  std::string many;
  for (int i = 0; i < 17; ++i) many += (i == 0 ? "" : ",") + ("l" + std::to_string(i)) + "=x";
  EXPECT_THAT(said(many), HasSubstr("more than 16"));
}

}  // namespace
}  // namespace witan::metrics
