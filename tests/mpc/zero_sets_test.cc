#include "mpc/zero_sets.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>

#include "algebra/gf16.h"
#include "support/support.h"

namespace witan::mpc {
namespace {

using algebra::Gf16;
using algebra::gf16_inverse;
using algebra::gf16_mul;
using algebra::Gf16Poly;

std::vector<CommitteeSize> all_families() {
  std::vector<CommitteeSize> out;
  for (int n = 4; n <= 15; ++n) out.push_back(CommitteeSize::make(n, (n - 1) / 3).value());
  return out;
}

/// X^degree * prod (X - alpha_j), j in the set.
Gf16Poly product(PartySet set, std::size_t degree) {
  Gf16Poly out(degree + 1);
  out.back() = 1;
  for (const Role role : set.members()) {
    Gf16Poly next(out.size() + 1);
    for (std::size_t i = 0; i < out.size(); ++i) {
      next[i + 1] ^= out[i];
      next[i] ^= gf16_mul(out[i], static_cast<Gf16>(role.number()));
    }
    out = std::move(next);
  }
  return out;
}

/// Of the matrix whose rows are these.
std::size_t rank(std::vector<Gf16Poly> rows, std::size_t columns) {
  std::size_t done = 0;
  for (std::size_t column = 0; column < columns; ++column) {
    const auto pivot = std::find_if(rows.begin() + static_cast<std::ptrdiff_t>(done), rows.end(),
                                    [column](const Gf16Poly& row) { return row[column] != 0; });
    if (pivot == rows.end()) continue;
    std::swap(rows[done], *pivot);
    const Gf16 inverse = gf16_inverse(rows[done][column]);
    for (std::size_t i = done + 1; i < rows.size(); ++i) {
      const Gf16 factor = gf16_mul(rows[i][column], inverse);
      for (std::size_t j = column; j < columns; ++j) rows[i][j] ^= gf16_mul(factor, rows[done][j]);
    }
    ++done;
  }
  return done;
}

/// F3: how much of X P_T R[X]_{< 2t - |T|} the keys that T does not hold span, and how many those are.
struct Unknown {
  std::size_t rank, keys;
};
Unknown unknown_to(CommitteeSize committee, const std::vector<PartySet>& family, unsigned corrupt) {
  const auto t = static_cast<std::size_t>(committee.threshold());
  const std::size_t dimension = 2 * t - static_cast<std::size_t>(std::popcount(corrupt));
  std::vector<Gf16Poly> rows;
  std::size_t keys = 0;
  for (const PartySet excluded : family) {
    if ((corrupt & ~unsigned{excluded.bits()}) != 0) continue;
    ++keys;
    const PartySet rest(static_cast<std::uint16_t>(excluded.bits() & ~corrupt));
    for (std::size_t d = 0; d < 2 * t - excluded.members().size(); ++d) {
      Gf16Poly row = product(rest, d);
      row.resize(dimension);
      rows.push_back(std::move(row));
    }
  }
  return {rank(std::move(rows), dimension), keys};
}

TEST(ZeroSets, AreThoseOfTheVectors) {
  const auto families = test::read_json("mpc/przs_cover.json");
  ASSERT_EQ(families.size(), all_families().size());
  for (const auto& entry : families) {
    const auto committee = CommitteeSize::make(entry.at("n").get<int>(), entry.at("t").get<int>()).value();
    std::vector<PartySet> expected;
    for (const auto& excluded : entry.at("excluded")) {
      unsigned bits = 0;
      for (const auto& party : excluded) bits |= 1u << (party.get<int>() - 1);
      expected.emplace_back(static_cast<std::uint16_t>(bits));
    }
    EXPECT_EQ(zero_sets(committee), expected) << committee.parties();
  }
}

// S2: whoever is corrupt, what the others hold makes the mask uniform.
TEST(ZeroSets, CoverEveryCorruptSet) {
  for (const CommitteeSize committee : all_families()) {
    const auto family = zero_sets(committee);
    const int t = committee.threshold();
    std::size_t fewest = family.size();
    for (unsigned corrupt = 0; corrupt < 1u << committee.parties(); ++corrupt) {
      const int size = std::popcount(corrupt);
      if (size > t) continue;
      const Unknown unknown = unknown_to(committee, family, corrupt);
      ASSERT_EQ(unknown.rank, static_cast<std::size_t>(2 * t - size)) << committee.parties() << " " << corrupt;
      if (size == t) fewest = std::min(fewest, unknown.keys);
    }
    EXPECT_EQ(fewest, static_cast<std::size_t>(t)) << "no slack: every key counts";
  }
}

TEST(ZeroSets, NoFamilyCoversWithoutOneOfItsKeys) {
  for (const auto [n, t] : {std::pair{4, 1}, {7, 2}, {10, 3}}) {
    const auto committee = CommitteeSize::make(n, t).value();
    const auto family = zero_sets(committee);
    std::size_t needed = 0;
    for (std::size_t without = 0; without < family.size(); ++without) {
      auto rest = family;
      rest.erase(rest.begin() + static_cast<std::ptrdiff_t>(without));
      bool covers = true;
      for (unsigned corrupt = 0; covers && corrupt < 1u << n; ++corrupt)
        covers =
            std::popcount(corrupt) != t || unknown_to(committee, rest, corrupt).rank == static_cast<std::size_t>(t);
      needed += !covers;
    }
    EXPECT_GT(needed, 0u) << n;
  }
}

TEST(ZeroSets, HoldersAreTheOthersAndAreManyEnough) {
  for (const CommitteeSize committee : all_families())
    for (const PartySet excluded : zero_sets(committee)) {
      const PartySet inside = holders(committee, excluded);
      EXPECT_EQ(inside.members(), excluded.outside(committee));
      EXPECT_GE(static_cast<int>(inside.members().size()), committee.threshold() + 2);  // security.md 4.2
    }
}

TEST(ZeroSets, CommitteesWithASmallerThresholdHaveNone) {
  for (const auto [n, t] : {std::pair{7, 1}, {10, 2}, {13, 3}, {15, 1}})
    EXPECT_TRUE(zero_sets(CommitteeSize::make(n, t).value()).empty());
}

}  // namespace
}  // namespace witan::mpc
