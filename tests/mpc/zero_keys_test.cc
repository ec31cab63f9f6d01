#include "mpc/zero_keys.h"

#include <gtest/gtest.h>

#include "mpc/set_keys_for_test.h"

namespace witan::mpc {
namespace {

using test::key_of_members;
using test::make_zero_keys;

TEST(ZeroKeys, EachPartyHoldsThoseOfTheSetsThatItIsNotIn) {
  for (int n = 4; n <= 15; ++n) {
    const auto committee = CommitteeSize::make(n, (n - 1) / 3).value();
    const auto all = make_zero_keys(committee, [](PartySet set) { return key_of_members("holders", set); });
    for (const ZeroKeys& keys : all) {
      std::vector<PartySet> expected;
      for (const PartySet set : zero_sets(committee))
        if (!set.contains(keys.self())) expected.push_back(set);
      EXPECT_TRUE(std::ranges::equal(keys.sets(), expected));
      for (std::size_t i = 0; i < keys.size(); ++i) EXPECT_EQ(keys.key(i), key_of_members("holders", keys.sets()[i]));
      const ZeroKeys copy = keys.duplicate();
      EXPECT_TRUE(copy.self() == keys.self() && copy.size() == keys.size() && copy.key(0) == keys.key(0));
    }
  }
}

// At most 3, 8, 21, 51 elements per sharing instead of t C(n-1,t) (mpc.md 17.3).
TEST(ZeroKeys, AreAsManyAsTheSpecSays) {
  struct Row {
    int n;
    std::size_t held;
  };
  for (const Row& row : {Row{4, 3}, {7, 8}, {10, 21}, {13, 51}}) {
    const auto committee = CommitteeSize::make(row.n, (row.n - 1) / 3).value();
    std::size_t most = 0;
    for (const auto& keys : make_zero_keys(committee, [](PartySet) { return SetKey{}; })) {
      most = std::max(most, keys.size());
      for (const PartySet set : keys.sets()) EXPECT_EQ(draws_per_zero(committee, set), 1u);
    }
    EXPECT_EQ(most, row.held) << row.n;
  }
}

TEST(ZeroKeys, WrongNumbersOfKeysAndCommitteesWithoutAFamilyAreRefused) {
  const auto make = [](int n, int t, int role, std::size_t count) {
    return ZeroKeys(CommitteeSize::make(n, t).value(), Role(role),
                    Secret<std::vector<SetKey>>(std::vector<SetKey>(count)));
  };
  EXPECT_EQ(make(4, 1, 2, 3).size(), 3u);
  EXPECT_DEATH(make(4, 1, 2, 2), "size");
  EXPECT_DEATH(make(4, 1, 2, 4), "size");
  EXPECT_DEATH(make(4, 1, 5, 3), "contains");
  EXPECT_DEATH(make(7, 1, 2, 0), "family");
}

// S6: a sharing takes four blocks of every key.
TEST(ZeroSharings, CountersEndWhereAKeyHasGivenItsBlocks) {
  const auto committee = CommitteeSize::make(7, 2).value();
  const auto keys = make_zero_keys(committee, [](PartySet set) { return key_of_members("counters", set); });
  const ZeroSharings<Z64> zeros(keys[0], {1});
  EXPECT_NE(zeros.at(kMaxBlocksPerKey / 4 - 1).value, zeros.at(0).value);
  EXPECT_DEATH((void)zeros.at(kMaxBlocksPerKey / 4), "kMaxBlocksPerKey");
}

}  // namespace
}  // namespace witan::mpc
