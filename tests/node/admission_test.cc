#include "node/admission.h"

#include <gmock/gmock.h>

#include <set>

#include "runtime/loop.h"

namespace witan::node {
namespace {

using namespace std::chrono_literals;

constexpr int kThreshold = 2;

RequestId id_of(int number) {
  ByteArray<32> raw{1};
  store_le(static_cast<std::uint64_t>(number), raw.data() + 24);
  return RequestId(raw);
}

class AdmissionTest : public ::testing::Test {
 protected:
  using Permits = std::vector<Admission::Permit>;

  std::set<int> admitted(Admission& admission, int count, Permits& kept) {
    std::set<int> out;
    for (int i = 0; i < count; ++i) {
      auto permit = admission.take(id_of(i), {});
      if (!permit) {
        EXPECT_EQ(permit.error().code, Code::resource_exhausted);
        EXPECT_THAT(permit.error().message, ::testing::HasSubstr("try again later"));
        continue;
      }
      kept.push_back(*std::move(permit));
      out.insert(i);
    }
    return out;
  }
  static Permits busy_with(Admission& admission, int count) {
    Permits out;
    for (int i = 0; i < count; ++i) out.push_back(admission.take_anyway());
    return out;
  }

  runtime::VirtualLoop loop;
};

TEST_F(AdmissionTest, ABurstIsTakenUpToTheLimit) {
  Admission admission("decryptions", 1000, kThreshold, loop.clock());
  Permits kept;
  EXPECT_EQ(admitted(admission, 1500, kept).size(), 1000u);
  EXPECT_EQ(admission.in_use(), 1000u);
  kept.clear();
  EXPECT_EQ(admission.in_use(), 0u);
}

TEST_F(AdmissionTest, UnderLastingLoadAPartOfTheIdsIsTaken) {
  for (const int busy : {100, 250, 400, 550, 700, 850, 990}) {
    Admission admission("decryptions", 1000, kThreshold, loop.clock());
    const Permits work = busy_with(admission, busy);
    loop.advance(10s);
    int taken = 0;
    for (int i = 0; i < 2000; ++i) taken += admission.take(id_of(i), {}).has_value();
    EXPECT_NEAR(taken / 2000.0, std::min(1.0, (1000 - busy) / 750.0), 0.05) << busy;
    EXPECT_EQ(admission.in_use(), static_cast<std::uint32_t>(busy)) << "each was over at once";
  }
}

TEST_F(AdmissionTest, NodesOfSimilarLoadTakeTheSameRequests) {
  Admission one("decryptions", 1000, kThreshold, loop.clock()), two("decryptions", 1000, kThreshold, loop.clock());
  const Permits first = busy_with(one, 600), second = busy_with(two, 620);
  loop.advance(10s);
  int both = 0, either = 0;
  for (int i = 0; i < 2000; ++i) {
    const bool a = one.take(id_of(i), {}).has_value(), b = two.take(id_of(i), {}).has_value();
    both += a && b;
    either += a || b;
    EXPECT_TRUE(a || !b) << "who has less to do takes more";
  }
  EXPECT_GT(both, 900);
  EXPECT_LT(either - both, 100);
}

TEST_F(AdmissionTest, WhatMorePeersThanMayLieHaveBegunIsTakenUpToTheLimit) {
  Admission admission("decryptions", 10, kThreshold, loop.clock());
  Permits kept = busy_with(admission, 9);
  loop.advance(10s);
  int taken = 0, one_begun = 0, two_begun = 0;
  for (int i = 0; i < 100; ++i) {
    taken += admission.take(id_of(i), {}).has_value();
    one_begun += admission.take(id_of(i), {Role(3)}).has_value();
    two_begun += admission.take(id_of(i), {Role(2), Role(4)}).has_value();
  }
  EXPECT_LT(taken, 50);
  EXPECT_GT(one_begun, taken);
  EXPECT_GT(two_begun, one_begun);
  EXPECT_LT(two_begun, 80) << "both of them may be lying";
  const runtime::RoleSet begun = {Role(1), Role(2), Role(4)};
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(admission.take(id_of(i), begun));
  kept.push_back(admission.take(id_of(1), begun).value());
  EXPECT_FALSE(admission.take(id_of(2), begun));
  kept.push_back(admission.take_anyway());
  EXPECT_EQ(admission.in_use(), 11u);
  kept.clear();
  loop.advance(10s);
  EXPECT_TRUE(admission.take(id_of(2), {}));
}

// Of blocks to squash: what is heavy counts for what it weighs.
TEST_F(AdmissionTest, ARequestWeighsWhatItHas) {
  Admission admission("blocks", 100, kThreshold, loop.clock());
  auto sixty = admission.take(id_of(1), {}, 60).value();
  const auto second = admission.take(id_of(2), {}, 41);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Code::resource_exhausted);
  EXPECT_THAT(second.error().message, ::testing::HasSubstr("on 60 blocks, at most on 100, the request has 41"));
  auto forty = admission.take(id_of(2), {}, 40).value();
  EXPECT_EQ(admission.in_use(), 100u);
  sixty = {};
  EXPECT_EQ(admission.in_use(), 40u);
  const auto too_large = admission.take(id_of(3), {}, 101);
  ASSERT_FALSE(too_large);
  EXPECT_EQ(too_large.error().code, Code::invalid_argument);
  EXPECT_THAT(too_large.error().message, ::testing::HasSubstr("split it"));
  sixty = admission.take_anyway(1000);
  EXPECT_EQ(admission.in_use(), 1040u);
  EXPECT_FALSE(admission.take(id_of(4), {Role(1), Role(2), Role(3)}, 1)) << "the limit holds for what peers have begun";
}

TEST_F(AdmissionTest, LastingHeavyWorkRefusesAPartOfTheIds) {
  Admission admission("blocks", 1000, kThreshold, loop.clock());
  const auto work = admission.take(id_of(0), {}, 700);
  loop.advance(10s);
  int light = 0, heavy = 0;
  for (int i = 0; i < 2000; ++i) {
    light += admission.take(id_of(i), {}, 1).has_value();
    heavy += admission.take(id_of(i), {}, 301).has_value();
  }
  EXPECT_NEAR(light / 2000.0, 0.4, 0.05);
  EXPECT_EQ(heavy, 0);
}

TEST_F(AdmissionTest, SaysWhenLoadBeginsAndEnds) {
  std::vector<bool> said;
  Admission admission("decryptions", 1000, kThreshold, loop.clock(),
                      [&](bool under_load) { said.push_back(under_load); });
  Permits kept = busy_with(admission, 9);
  loop.advance(10s);
  kept.push_back(admission.take_anyway());
  EXPECT_TRUE(said.empty()) << "nine are not much";
  for (Admission::Permit& permit : busy_with(admission, 10)) kept.push_back(std::move(permit));
  EXPECT_TRUE(said.empty()) << "it has just begun";
  loop.advance(1s);
  kept.clear();
  EXPECT_EQ(said, std::vector{true});
  loop.advance(1s);
  kept = busy_with(admission, 1);
  EXPECT_EQ(said, (std::vector{true, false}));
}

TEST_F(AdmissionTest, AnIdleNodeTakesWhateverComes) {
  for (const std::uint32_t limit : {1u, 2u, 3u}) {
    Admission admission("decryptions", limit, kThreshold, loop.clock());
    for (int i = 0; i < 100; ++i) {
      const auto permit = admission.take(id_of(i), {});
      ASSERT_TRUE(permit) << i;
      loop.advance(2s);
    }
  }
}

}  // namespace
}  // namespace witan::node
