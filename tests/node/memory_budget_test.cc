#include "node/memory_budget.h"

#include <gtest/gtest.h>

#include "node/validation.h"
#include "runtime/scope.h"

namespace witan::node {
namespace {

TEST(MemoryBudget, GivesWhatIsFreeAndTakesItBack) {
  runtime::VirtualLoop loop;
  MemoryBudget budget(loop, 100);
  auto first = budget.take(60).value();
  EXPECT_EQ(budget.take(41).error().code, Code::resource_exhausted);
  EXPECT_EQ(budget.take(101).error().code, Code::invalid_argument) << "waiting would not help";
  {
    auto second = budget.take(40).value();
    EXPECT_EQ(budget.in_use(), 100u);
    auto moved = std::move(second);
    EXPECT_EQ(budget.in_use(), 100u);
  }
  EXPECT_EQ(budget.in_use(), 60u);
  first = {};
  EXPECT_EQ(budget.in_use(), 0u);
}

TEST(MemoryBudget, WhatWasAcceptedBeforeWaitsAndGoesFirst) {
  runtime::VirtualLoop loop;
  MemoryBudget budget(loop, 100);
  auto taken = budget.take(50).value();
  int done = 0;
  runtime::TaskScope scope(loop);
  auto resume = [&](std::uint64_t bytes) -> runtime::Task<void> {
    const auto permit = co_await budget.wait(bytes);
    ++done;
  };
  scope.spawn(resume(40));
  scope.spawn(resume(1000));  // more than there is: everything
  loop.run_ready();
  EXPECT_EQ(done, 1);
  EXPECT_EQ(budget.take(1).error().code, Code::resource_exhausted) << "others wait";
  taken = {};
  loop.run(scope.join());
  EXPECT_EQ(done, 2);
  EXPECT_EQ(budget.in_use(), 0u);
  EXPECT_TRUE(budget.take(100));
}

TEST(MemoryBudget, WhatACiphertextTakes) {
  const auto params = tfhe::params_by_name("default").value();
  using enum protocols::CiphertextFormat;
  const auto bytes = [&](protocols::CiphertextFormat format, tfhe::FheType type) {
    return ciphertext_memory_bytes({format, type, 0}, params);
  };
  EXPECT_EQ(bytes(big_compressed, tfhe::FheType::uint256), (6144u + 64) * 16) << "64 bodies share a mask";
  EXPECT_EQ(bytes(big_expanded, tfhe::FheType::boolean), 4097u * 16);
  EXPECT_EQ(bytes(small_expanded, tfhe::FheType::uint64), 16u * 4097 * 16 + (32 + 16) * 2049u * 8);
}

}  // namespace
}  // namespace witan::node
