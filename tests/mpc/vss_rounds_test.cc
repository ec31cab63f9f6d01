#include "mpc/vss_rounds.h"

#include <gtest/gtest.h>

#include <set>

#include "algebra/decode.h"
#include "support/support.h"

namespace witan::mpc::vss {
namespace {

using runtime::RoleSet;

constexpr std::pair<int, int> kCommittees[] = {{4, 1}, {7, 2}, {13, 4}};

template <class Z>
class VssRounds : public testing::Test {};
using BothRings = testing::Types<Z64, Z128>;
TYPED_TEST_SUITE(VssRounds, BothRings);

/// All parties of a sharing in one place, and what they say.
template <Word Z>
struct Everybody {
  Everybody(CommitteeSize committee, std::size_t secrets, std::uint64_t seed) : shape{committee, secrets}, rng(seed) {
    for (std::size_t d = 0; d < shape.parties(); ++d) {
      std::vector<Gr<Z>> own;
      for (std::size_t k = 0; k < secrets; ++k) own.push_back(algebra::random_element<Z>(rng));
      values.push_back(own);
      dealings.emplace_back(committee.threshold(), Secret(std::move(own)), rng);
    }
    for (const Role party : RoleSet::all(committee)) {
      Held<Z>& own = held.emplace_back();
      for (const auto& dealing : dealings) own.slices.push_back(dealing.slices(party));
      for (std::size_t j = 0; j < shape.parties(); ++j) {
        std::vector<Gr<Z>> pads;
        for (std::size_t k = 0; k < shape.parties() * secrets; ++k) pads.push_back(algebra::random_element<Z>(rng));
        own.sent.emplace_back(std::move(pads));
      }
    }
    for (std::size_t i = 0; i < shape.parties(); ++i)
      for (std::size_t j = 0; j < shape.parties(); ++j) held[i].received.push_back(held[j].sent[i].duplicate());
  }

  RoleSet all() const { return RoleSet::all(shape.committee); }

  BroadcastOutcome points() const {
    BroadcastOutcome out;
    for (const Role party : all()) {
      Bytes own;
      for (const Role dealer : all()) append(own, masked_points(shape, party, held[party.index()], dealer));
      EXPECT_EQ(own.size(), shape.points_bytes());
      out.push_back(runtime::make_payload(std::move(own)));
    }
    return out;
  }
  std::vector<Conflict> conflicts() const {
    std::vector<Conflict> out;
    const auto said = points();
    for (const Role dealer : all())
      for (const Conflict& conflict : conflicts_of(shape, said, all(), dealer)) out.push_back(conflict);
    return out;
  }
  BroadcastOutcome testimonies(const std::vector<Conflict>& conflicts) const {
    BroadcastOutcome out;
    const auto expected = testimony_bytes(shape, conflicts);
    for (const Role party : all()) {
      Bytes own;
      for (const Conflict& conflict : conflicts)
        if (conflict.witnesses().contains(party))
          append(own, testimony(held[party.index()], dealings[party.index()], party, conflict));
      EXPECT_EQ(own.size(), expected[party.index()]);
      out.push_back(runtime::make_payload(std::move(own)));
    }
    return out;
  }
  BroadcastOutcome answers(const std::vector<Complaint>& complaints) const {
    BroadcastOutcome out;
    const auto expected = answer_bytes(shape, complaints);
    for (const Role party : all()) {
      Bytes own;
      for (const Complaint& complaint : complaints)
        append(own, answer(held[party.index()], dealings[party.index()], party, complaint));
      EXPECT_EQ(own.size(), expected[party.index()]);
      out.push_back(runtime::make_payload(std::move(own)));
    }
    return out;
  }

  const Shape<Z> shape;
  test::SeededRng rng;
  std::vector<std::vector<Gr<Z>>> values;  // dealer, secret
  std::vector<Dealing<Z>> dealings;
  std::vector<Held<Z>> held;  // by party
};

/// Other bytes at that place.
void flip(BroadcastOutcome& outcome, Role role, std::size_t at) {
  Bytes bytes = *outcome[role.index()];
  bytes[at] ^= 1;
  outcome[role.index()] = runtime::make_payload(std::move(bytes));
}

TYPED_TEST(VssRounds, SlicesAreThoseOfOnePolynomialAndSharesOfItsSecret) {
  using Z = TypeParam;
  for (const auto [n, t] : kCommittees) {
    const Everybody<Z> world(CommitteeSize::make(n, t).value(), 3, 1);
    for (const Role dealer : world.all())
      for (std::size_t k = 0; k < 3; ++k) {
        std::vector<Role> roles;
        std::vector<Gr<Z>> word;
        for (const Role i : world.all()) {
          const Slices<Z>& own = world.held[i.index()].slices[dealer.index()];
          EXPECT_TRUE(own.meet_at(i));
          for (const Role j : world.all()) EXPECT_EQ(own.f(k, j), world.held[j.index()].slices[dealer.index()].g(k, i));
          roles.push_back(i);
          word.push_back(own.share(k).value);
        }
        const auto decoded = algebra::decode_reference<Z>(world.shape.committee, roles, word, 0);
        ASSERT_TRUE(decoded);
        EXPECT_EQ(decoded->secret(), world.values[dealer.index()][k]);
      }
  }
}

// Nothing but the secret is chosen.
TYPED_TEST(VssRounds, EveryOtherCoefficientIsDrawn) {
  using Z = TypeParam;
  const int t = 2;
  test::SeededRng rng("coefficients");
  const Dealing<Z> dealing(t, Secret(std::vector<Gr<Z>>(2)), rng);
  // At alpha_1 = 1 a slice has the sums of all coefficients of one power.
  std::set<std::array<Z, 4>> seen{Gr<Z>{}.c};
  for (const Role party : {Role(1), Role(2), Role(3)}) {
    Bytes encoded;
    dealing.slices(party).append_to(encoded);
    for (std::size_t at = 0; at < encoded.size(); at += Gr<Z>::kSizeBytes)
      seen.insert(Gr<Z>::decode(encoded.data() + at).c);
  }
  EXPECT_EQ(seen.size(), 1u + 3 * 2 * 2 * 3);
}

TYPED_TEST(VssRounds, SlicesAreEncodedBothWays) {
  using Z = TypeParam;
  const Everybody<Z> world(CommitteeSize::make(7, 2).value(), 3, 2);
  const Slices<Z> slices = world.dealings[4].slices(Role(3));
  Bytes encoded;
  slices.append_to(encoded);
  ASSERT_EQ(encoded.size(), world.shape.slices_bytes());
  const auto again = Slices<Z>::decode(2, 3, encoded);
  for (std::size_t k = 0; k < 3; ++k)
    for (const Role j : world.all()) {
      EXPECT_EQ(again.f(k, j), slices.f(k, j));
      EXPECT_EQ(again.g(k, j), slices.g(k, j));
    }
}

TYPED_TEST(VssRounds, HonestPartiesHaveNoConflictsAndSayPaddedValues) {
  using Z = TypeParam;
  for (const auto [n, t] : kCommittees) {
    const Everybody<Z> world(CommitteeSize::make(n, t).value(), 2, 3);
    EXPECT_TRUE(world.conflicts().empty());
    // No element that is broadcast is a point of a slice.
    const auto points = world.points();
    const Gr<Z> first = Gr<Z>::decode(points[0]->data());
    EXPECT_NE(first, world.held[0].slices[0].f(0, Role(2)));
  }
}

TYPED_TEST(VssRounds, AFlippedBitAnywhereInThePointsIsOneConflict) {
  using Z = TypeParam;
  const auto committee = CommitteeSize::make(4, 1).value();
  const Everybody<Z> world(committee, 2, 4);
  const auto honest = world.points();
  for (std::size_t at = 0; at < world.shape.points_bytes(); at += Gr<Z>::kSizeBytes) {
    auto points = honest;
    flip(points, Role(3), at);
    std::vector<Conflict> found;
    for (const Role dealer : world.all())
      for (const Conflict& conflict : conflicts_of(world.shape, points, world.all(), dealer)) found.push_back(conflict);
    ASSERT_EQ(found.size(), 1u) << at;
    EXPECT_TRUE(found[0].witnesses().contains(Role(3)));
    EXPECT_EQ(found[0].dealer.index(), at / (3 * 2 * world.shape.block_bytes()));
    // Parties that are not active have no conflicts.
    EXPECT_TRUE(conflicts_of(world.shape, points, world.all() - RoleSet{Role(3)}, found[0].dealer).empty());
  }
}

// Conflicts that a faulty party invents: everybody tells the truth about them afterwards, and nobody is unhappy.
TYPED_TEST(VssRounds, InventedConflictsHarmNobody) {
  using Z = TypeParam;
  for (const auto [n, t] : kCommittees) {
    const Everybody<Z> world(CommitteeSize::make(n, t).value(), 2, 5);
    std::vector<Conflict> conflicts;
    for (const Role dealer : world.all())
      for (const Role row : world.all())
        for (const Role column : world.all())
          if (row != column) conflicts.push_back({dealer, row, column});
    EXPECT_TRUE(complaints_of(world.shape, conflicts, world.testimonies(conflicts), world.all()).empty());
  }
}

// A party that got something else: it is unhappy, the others support the dealer, and it takes what is said in public.
TYPED_TEST(VssRounds, WhatAVictimGotWrongIsRepaired) {
  using Z = TypeParam;
  for (const auto [n, t] : kCommittees) {
    Everybody<Z> world(CommitteeSize::make(n, t).value(), 2, 6);
    const Role dealer(1);
    RoleSet victims;
    for (int i = 2; i < 2 + t; ++i) {
      victims.insert(Role(i));
      world.held[Role(i).index()].slices[dealer.index()] = Slices<Z>(t, 2);
    }
    const auto conflicts = world.conflicts();
    const auto testimonies = world.testimonies(conflicts);
    const auto complaints = complaints_of(world.shape, conflicts, testimonies, world.all());
    ASSERT_EQ(complaints, (std::vector<Complaint>{{dealer, victims}}));
    const auto answers = world.answers(complaints);
    const auto repaired = repair(world.shape, complaints, 0, answers, world.all());
    EXPECT_EQ(repaired.fewest_agreeing, n - t);
    std::size_t at = 0;
    for (const Role victim : victims) {
      for (std::size_t k = 0; k < 2; ++k)
        EXPECT_EQ(repaired.shares[at][k].value, world.dealings[0].slices(victim).share(k).value);
      ++at;
    }
    // Each happy party that contradicts the dealer, and each that is gone, is one less.
    auto doubted = answers;
    flip(doubted, Role(n), 0);
    EXPECT_EQ(repair(world.shape, complaints, 0, doubted, world.all()).fewest_agreeing, n - t - 1);
    EXPECT_EQ(repair(world.shape, complaints, 0, answers, world.all() - RoleSet{Role(n)}).fewest_agreeing, n - t - 1);
  }
}

TYPED_TEST(VssRounds, WhoIsGoneInThePointsOfAConflictIsReadAsZero) {
  using Z = TypeParam;
  const Everybody<Z> world(CommitteeSize::make(4, 1).value(), 1, 7);
  const std::vector<Conflict> conflicts{{Role(1), Role(2), Role(3)}, {Role(2), Role(3), Role(4)}};
  auto testimonies = world.testimonies(conflicts);
  testimonies[2] = nullptr;
  const auto complaints = complaints_of(world.shape, conflicts, testimonies, world.all() - RoleSet{Role(3)});
  EXPECT_EQ(complaints, (std::vector<Complaint>{{Role(1), {Role(3)}}, {Role(2), {Role(3)}}}));
}

TEST(VssShapes, MisshapenMessagesAreNamedByWhatIsWrong) {
  const BroadcastOutcome outcome{runtime::make_payload(Bytes(5)), nullptr, runtime::make_payload(Bytes(4)),
                                 runtime::make_payload({})};
  const std::vector<std::size_t> expected{5, 5, 5, 0};
  const RoleSet all{Role(1), Role(2), Role(3), Role(4)};
  EXPECT_EQ(misshapen(outcome, all, expected, 7),
            (std::vector<Exclusion>{{Role(2), Fault::no_broadcast, 7}, {Role(3), Fault::malformed, 7}}));
  EXPECT_TRUE(misshapen(outcome, all - RoleSet{Role(2), Role(3)}, expected, 7).empty());
}

}  // namespace
}  // namespace witan::mpc::vss
