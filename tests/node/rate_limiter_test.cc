// Tokens that requests take while they are worked on (service.md 3.4).
#include "node/rate_limiter.h"

#include "node/node_testing.h"

namespace witan::node {
namespace {

using test::said;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST(RateLimiter, TokensComeBackWhenThePermitEnds) {
  RateLimiter limiter(10);
  EXPECT_EQ(limiter.in_use(), 0u);
  {
    const auto first = limiter.take(4);
    ASSERT_TRUE(first);
    EXPECT_EQ(limiter.in_use(), 4u);
    {
      const auto second = limiter.take(6);
      ASSERT_TRUE(second);
      EXPECT_EQ(limiter.in_use(), 10u);
    }
    EXPECT_EQ(limiter.in_use(), 4u);
  }
  EXPECT_EQ(limiter.in_use(), 0u);
}

TEST(RateLimiter, ARequestThatNeedsMoreThanIsFreeIsRefusedAtOnceAndTakesNothing) {
  RateLimiter limiter(10);
  const auto most = limiter.take(8);
  ASSERT_TRUE(most);
  EXPECT_THAT(said(limiter.take(3)),
              AllOf(StartsWith("RESOURCE_EXHAUSTED: "), HasSubstr("2 of 10 tokens are free"), HasSubstr("needs 3")));
  EXPECT_EQ(limiter.in_use(), 8u);
  EXPECT_TRUE(limiter.take(2));
  EXPECT_EQ(said(RateLimiter(10).take(11)).substr(0, 18), "RESOURCE_EXHAUSTED");
}

TEST(RateLimiter, ARequestThatCostsNothingAlwaysPasses) {
  RateLimiter limiter(1);
  const auto all = limiter.take(1);
  ASSERT_TRUE(all);
  EXPECT_TRUE(limiter.take(0));
  EXPECT_EQ(limiter.in_use(), 1u);
}

TEST(RateLimiter, AMovedPermitGivesBackOnce) {
  RateLimiter limiter(10);
  RateLimiter::Permit kept;
  {
    auto taken = limiter.take(3);
    ASSERT_TRUE(taken);
    kept = *std::move(taken);
    EXPECT_EQ(limiter.in_use(), 3u);
  }
  EXPECT_EQ(limiter.in_use(), 3u) << "the empty permit gave tokens back";
  RateLimiter::Permit other = std::move(kept);
  EXPECT_EQ(limiter.in_use(), 3u);
  other = limiter.take(5).value();
  EXPECT_EQ(limiter.in_use(), 5u) << "what a permit held is given back when another one takes its place";
  other = {};
  EXPECT_EQ(limiter.in_use(), 0u);
}

}  // namespace
}  // namespace witan::node
