// What vectors that are not cleared do, seen without a read of memory that nobody has written.
#include "base/uninitialized.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>

namespace witan {
namespace {

/// Counts what is made without arguments.
struct Counted {
  Counted() { ++made; }
  explicit Counted(int with) : value(with) {}
  int value = 0;
  static inline int made = 0;
};

TEST(UninitializedVector, ConstructsNothingWithoutArguments) {
  Counted::made = 0;
  EXPECT_EQ(std::vector<Counted>(10).size(), 10u);
  EXPECT_EQ(Counted::made, 10) << "others do";
  Counted::made = 0;
  UninitializedVector<Counted> vector(1000);
  vector.clear();
  vector.reserve(5001);  // so that nothing is moved
  vector.resize(5000);
  vector.emplace_back();
  EXPECT_EQ(vector.size(), 5001u);
  EXPECT_EQ(Counted::made, 0);
}

TEST(UninitializedVector, LeavesAnElementAsItWas) {
  LeaveUninitialized<std::uint64_t> allocator;
  std::uint64_t element = 7;
  std::allocator_traits<decltype(allocator)>::construct(allocator, &element);
  EXPECT_EQ(element, 7u);
  std::allocator_traits<decltype(allocator)>::construct(allocator, &element, 8u);
  EXPECT_EQ(element, 8u);
}

// In memory that had other content, where it shows.
TEST(UninitializedVector, ClearsWhatIsMadeWithAValue) {
  UninitializedVector<std::uint64_t> vector(1000, 7);
  EXPECT_EQ(std::ranges::count(vector, 7u), 1000);
  const auto* const memory = vector.data();
  vector.clear();
  vector.resize(500, 0u);
  vector.insert(vector.end(), 499, std::uint64_t{});
  vector.emplace_back(0u);
  EXPECT_EQ(vector.data(), memory);
  EXPECT_EQ(std::ranges::count(vector, 0u), 1000);
}

TEST(UninitializedVector, KeepsElementsWhenItGrowsAndIsCopied) {
  UninitializedVector<std::uint64_t> vector(3, 7);
  vector.resize(100'000);
  vector.resize(4, 9);
  vector.back() = 9;
  const UninitializedVector<std::uint64_t> copy = vector;
  EXPECT_EQ(copy, (UninitializedVector<std::uint64_t>{7, 7, 7, 9}));
}

/// Containers that make nodes of their own get the same rule.
TEST(UninitializedVector, IsReboundToItself) {
  using Rebound = std::allocator_traits<LeaveUninitialized<int>>::rebind_alloc<Counted>;
  static_assert(std::is_same_v<Rebound, LeaveUninitialized<Counted>>);
}

}  // namespace
}  // namespace witan
