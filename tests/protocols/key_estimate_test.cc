#include "protocols/key_estimate.h"

#include <gtest/gtest.h>

namespace witan::protocols {
namespace {

KeyGenerationEstimate of(const char* params, int parties, PartyMachine machine = {}) {
  const auto plan = plan_key_generation(tfhe::params_by_name(params).value(), KeySource::all_new).value();
  return estimate(plan, CommitteeSize::make(parties, (parties - 1) / 3).value(), machine);
}

TEST(KeyEstimate, SaysTheBytesOfTheCostModel) {
  const auto plan = plan_key_generation(tfhe::params_by_name("default").value(), KeySource::all_new).value();
  for (const int n : {4, 7, 10, 13}) {
    const auto committee = CommitteeSize::make(n, (n - 1) / 3).value();
    const auto cost = cost_of(plan, committee, mpc::variant_for(committee), BodyOpeningKind::direct);
    const auto out = of("default", n);
    EXPECT_EQ(out.preprocessing.sent_bytes + out.online.sent_bytes, cost.bytes()) << n;
    EXPECT_EQ(out.preprocessing.rounds, cost.preprocessing_rounds);
  }
}

TEST(KeyEstimate, WhatIsStoredIsThatOfThePlan) {
  const auto out = of("default", 4);
  EXPECT_NEAR(static_cast<double>(out.published_bytes), 511.4e6, 0.2e6);
  // Noises packed four to an element, slices as opened, key bits one by one.
  EXPECT_NEAR(static_cast<double>(out.material_bytes), 511.4e6 + 107e6 + 1.1e6, 1e6);
}

TEST(KeyEstimate, TimeFollowsFromWhatIsScarce) {
  const double slow_link = of("default", 13, {.bandwidth_bytes_per_s = 12.5e6}).preprocessing.wall_s;
  EXPECT_NEAR(slow_link, 31e9 / 12.5e6, 200);
  const double far_away = of("test", 4, {.latency_s = 1}).preprocessing.wall_s;
  EXPECT_NEAR(far_away, static_cast<double>(of("test", 4).preprocessing.rounds), 2);
  const auto one = of("default", 4, {.cores = 1}), four = of("default", 4, {.cores = 4});
  EXPECT_NEAR(one.online.processor_s, four.online.processor_s, 1e-9);
  EXPECT_GT(one.preprocessing.wall_s, 2 * four.preprocessing.wall_s);
}

}  // namespace
}  // namespace witan::protocols
