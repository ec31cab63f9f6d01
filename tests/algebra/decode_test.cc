#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <thread>

#include "algebra/algebra_support.h"
#include "algebra/decode.h"
#include "algebra/parity.h"

namespace witan::algebra {
namespace {

template <class Z>
class Decoding : public testing::Test {};
TYPED_TEST_SUITE(Decoding, BothRings);

// The answer misses at most as many values as allowed, also where the code could correct more.
TEST(Gf16, DecoderCorrectsWhatItIsAllowedToAndNoMore) {
  test::SeededRng rng("gf16");
  for (const std::size_t m : {4u, 7u, 10u, 13u, 15u}) {
    for (int trial = 0; trial < 300; ++trial) {
      const std::size_t dimension = 1 + rng.next<std::uint32_t>() % m, radius = (m - dimension) / 2;
      const std::size_t allowed = rng.next<std::uint32_t>() % (radius + 1),
                        errors = rng.next<std::uint32_t>() % (m + 1);
      Gf16Poly polynomial(dimension);
      for (Gf16& c : polynomial) c = rng.next<std::uint8_t>() & 15;
      std::vector<Gf16> points, values;
      for (std::size_t i = 0; i < m; ++i) {
        points.push_back(static_cast<Gf16>(m - i));
        values.push_back(gf16_evaluate(polynomial, points.back()));
      }
      for (std::size_t i = 0; i < errors; ++i)
        values[i] = static_cast<Gf16>(values[i] ^ (1 + rng.next<std::uint8_t>() % 15));
      const auto decoded = gf16_decode(points, values, dimension, allowed);
      if (errors <= allowed) {
        ASSERT_TRUE(decoded.found);
        while (!polynomial.empty() && polynomial.back() == 0) polynomial.pop_back();
        EXPECT_EQ(decoded.polynomial, polynomial);
      } else if (errors <= radius) {
        EXPECT_FALSE(decoded.found);
      }
      if (!decoded.found) continue;
      std::size_t missed = 0;
      for (std::size_t i = 0; i < m; ++i) missed += gf16_evaluate(decoded.polynomial, points[i]) != values[i];
      EXPECT_LE(missed, allowed);
      EXPECT_LE(decoded.polynomial.size(), dimension);
    }
  }
}

// tests/data/mpc/miscorrection_2t.json: security.md S10.
TEST(Degree2t, WordsNearAnotherCodewordAreInconsistent) {
  int seen = 0;
  const auto vectors = test::read_json("mpc/miscorrection_2t.json");
  for (const auto& entry : vectors) {
    const auto check = [&]<Word Z>(Z) {
      const int n = entry.at("n");
      const auto committee = CommitteeSize::make(n, entry.at("t").get<int>()).value();
      EXPECT_FALSE(consistent_at_2t<Z>(committee, first_roles(n), elements<Z>(entry.at("received"))));
      ++seen;
    };
    if (of_ring<Z64>(entry))
      check(Z64{});
    else
      check(Z128{});
  }
  EXPECT_EQ(seen, 3);
}

TYPED_TEST(Decoding, TLiarsAtDegree2tAreNoticedAtEveryPosition) {
  using Z = TypeParam;
  test::SeededRng rng("2t");
  for (const auto [n, t] : {std::pair{4, 1}, {5, 1}, {7, 2}, {10, 3}, {13, 4}}) {
    const auto committee = CommitteeSize::make(n, t).value();
    for (int trial = 0; trial < 60; ++trial) {
      const auto secret = random_element<Z>(rng);
      std::vector<Gr<Z>> word;
      for (const auto& share : deal<Z>(secret, 2 * t, n, rng)) word.push_back(share.value);
      EXPECT_EQ(consistent_at_2t<Z>(committee, first_roles(n), word).value(), secret);
      const int liars = 1 + trial % t;
      for (int i = 0; i < liars; ++i)
        word[static_cast<std::size_t>((trial + i) % n)] += Gr<Z>::from_base(static_cast<Z>(Z{1} << (kBits<Z> - 1)));
      EXPECT_FALSE(consistent_at_2t<Z>(committee, first_roles(n), word));
    }
  }
}

// Whoever is heard, whatever at most t of them lie about: right values or "not yet" (security.md S15, mpc.md 4.4).
TYPED_TEST(Decoding, BatchOpensRightWithUpToTLiarsAndNamesThem) {
  using Z = TypeParam;
  test::SeededRng rng("batch");
  for (const auto [n, t] : {std::pair{4, 1}, {5, 1}, {7, 2}, {10, 3}, {13, 4}}) {
    const auto committee = CommitteeSize::make(n, t).value();
    for (int trial = 0; trial < 60; ++trial) {
      auto batch = make_batch<Z>(n, t, 5, rng);
      auto roles = first_roles(n);
      std::ranges::shuffle(roles, ShuffleSource{rng});
      const int liars = trial % (t + 1);
      std::vector<Role> liar_roles(roles.begin(), roles.begin() + liars);
      for (const Role liar : liar_roles) {
        auto& word = batch.words[liar.index()];
        switch (trial % 3) {
          case 0:  // garbage everywhere
            for (auto& value : word) value = random_element<Z>(rng);
            break;
          case 1:  // one value, highest bit
            word[static_cast<std::size_t>(trial) % word.size()] +=
                Gr<Z>::from_base(static_cast<Z>(Z{1} << (kBits<Z> - 1)));
            break;
          default:  // every liar in another value
            word[liar.index() % word.size()] += Gr<Z>::one();
        }
      }
      std::ranges::sort(liar_roles);
      for (int heard = 1; heard <= n; ++heard) {
        const std::vector<Role> some(roles.end() - heard, roles.end());
        const int lies_heard = static_cast<int>(
            std::ranges::count_if(some, [&](Role r) { return std::ranges::find(liar_roles, r) != liar_roles.end(); }));
        const auto opened = open_batch<Z>(committee, some, batch.views(some));
        if (heard - lies_heard < 2 * t + 1) {
          EXPECT_FALSE(opened) << n << " heard " << heard << " lies " << lies_heard;
          continue;
        }
        ASSERT_TRUE(opened) << n << " heard " << heard << " lies " << lies_heard;
        EXPECT_EQ(opened->values, batch.secrets);
        auto wrong = opened->wrong;
        std::ranges::sort(wrong);
        EXPECT_EQ(static_cast<int>(wrong.size()), lies_heard);
        EXPECT_TRUE(std::ranges::includes(liar_roles, wrong));
        EXPECT_EQ(static_cast<int>(opened->agreed.size()), heard - lies_heard);
      }
    }
  }
}

TYPED_TEST(Decoding, MoreThanTLiarsNeverGiveAnAnswerFromFewerThan2t1Agreeing) {
  using Z = TypeParam;
  test::SeededRng rng("too many");
  for (const auto [n, t] : {std::pair{4, 1}, {7, 2}, {13, 4}}) {
    const auto committee = CommitteeSize::make(n, t).value();
    for (int trial = 0; trial < 40; ++trial) {
      auto batch = make_batch<Z>(n, t, 3, rng);
      for (int i = 0; i <= t; ++i)
        for (auto& value : batch.words[static_cast<std::size_t>((trial + i) % n)]) value = random_element<Z>(rng);
      const auto roles = first_roles(n);
      EXPECT_FALSE(open_batch<Z>(committee, roles, batch.views(roles)));
    }
  }
}

TYPED_TEST(Decoding, BatchAgreesWithTheReferenceDecoder) {
  using Z = TypeParam;
  test::SeededRng rng("reference");
  const auto committee = CommitteeSize::make(13, 4).value();
  const auto roles = first_roles(13);
  for (int trial = 0; trial < 30; ++trial) {
    auto batch = make_batch<Z>(13, 4, 1, rng);
    for (int i = 0; i < trial % 5; ++i) batch.words[static_cast<std::size_t>(3 * i)][0] += random_element<Z>(rng);
    std::vector<Gr<Z>> word;
    for (const auto& shares : batch.words) word.push_back(shares[0]);
    const auto reference = decode_reference<Z>(committee, roles, word, 4);
    const auto opened = open_batch<Z>(committee, roles, batch.views(roles));
    ASSERT_TRUE(reference && opened);
    EXPECT_EQ(reference->secret(), opened->values[0]);
    EXPECT_EQ(reference->wrong, opened->wrong);
  }
}

/// What Hensel and Gao must find, by search: a polynomial of degree <= t that at most `max_errors` shares miss passes through
/// some t + 1 of the shares.
template <Word Z>
std::optional<Decoded<Z>> decode_by_search(CommitteeSize committee, const std::vector<Role>& roles,
                                           const std::vector<Gr<Z>>& word, std::size_t max_errors) {
  const int dimension = committee.threshold() + 1;
  for (unsigned bits = 0; bits < 1u << roles.size(); ++bits) {
    if (std::popcount(bits) != dimension) continue;
    std::vector<Role> base;
    std::vector<Gr<Z>> base_word;
    for (std::size_t i = 0; i < roles.size(); ++i)
      if (bits >> i & 1) base.push_back(roles[i]), base_word.push_back(word[i]);
    const auto value_at = [&](const Gr<Z>& x) {
      const auto weights = lagrange_at<Z>(base, x);
      Gr<Z> sum;
      for (std::size_t i = 0; i < base.size(); ++i) sum += weights[i] * base_word[i];
      return sum;
    };
    Decoded<Z> out{.polynomial = {value_at(Gr<Z>{})}, .wrong = {}};
    for (std::size_t i = 0; i < roles.size(); ++i)
      if (value_at(evaluation_point<Z>(roles[i])) != word[i]) out.wrong.push_back(roles[i]);
    if (out.wrong.size() <= max_errors) return out;
  }
  return std::nullopt;
}

// Errors up to and beyond the radius, in few and in many bits, all numbers of shares.
TYPED_TEST(Decoding, ReferenceDecoderFindsWhatASearchFinds) {
  using Z = TypeParam;
  test::SeededRng rng("search");
  int found = 0, refused = 0;
  for (const auto [n, t] : {std::pair{4, 1}, {5, 1}, {7, 2}}) {
    const auto committee = CommitteeSize::make(n, t).value();
    for (int trial = 0; trial < 150; ++trial) {
      auto roles = first_roles(n);
      std::ranges::shuffle(roles, ShuffleSource{rng});
      roles.resize(static_cast<std::size_t>(t + 1 + trial % (n - t)));
      const auto batch = make_batch<Z>(n, t, 1, rng);
      std::vector<Gr<Z>> word;
      for (const Role role : roles) word.push_back(batch.words[role.index()][0]);
      const std::size_t max_errors = (roles.size() - static_cast<std::size_t>(t) - 1) / 2;
      for (int liar = 0; liar < trial / 10 % (t + 2); ++liar) {
        const auto error = trial % 2 ? random_element<Z>(rng)
                                     : embed<Z>(1 + rng.next<std::uint32_t>() % 15) *
                                           (Z{1} << rng.next<std::uint32_t>() % static_cast<unsigned>(kBits<Z>));
        word[static_cast<std::size_t>(liar) % word.size()] += error;
      }
      const auto expected = decode_by_search<Z>(committee, roles, word, max_errors);
      const auto decoded = decode_reference<Z>(committee, roles, word, max_errors);
      ASSERT_EQ(decoded.has_value(), expected.has_value()) << n << " trial " << trial;
      if (!decoded) {
        ++refused;
        continue;
      }
      ++found;
      EXPECT_EQ(decoded->secret(), expected->secret());
      EXPECT_EQ(decoded->wrong, expected->wrong);
    }
  }
  EXPECT_GT(found, 200);
  EXPECT_GT(refused, 50);
}

TYPED_TEST(Decoding, ReferenceDecoderCorrectsTErrorsAndAsManyFewerAsSharesAreMissing) {
  using Z = TypeParam;
  test::SeededRng rng("reference fuzz");
  for (const auto [n, t] : {std::pair{4, 1}, {5, 1}, {7, 2}, {10, 3}, {13, 4}}) {
    const auto committee = CommitteeSize::make(n, t).value();
    for (int trial = 0; trial < 40; ++trial) {
      const int erased = trial % (t + 1);
      auto roles = first_roles(n);
      std::ranges::shuffle(roles, ShuffleSource{rng});
      roles.resize(static_cast<std::size_t>(n - erased));
      const auto batch = make_batch<Z>(n, t, 1, rng);
      std::vector<Gr<Z>> word;
      for (const Role role : roles) word.push_back(batch.words[role.index()][0]);
      std::vector<Role> liars(roles.begin(), roles.begin() + (t - erased));
      for (std::size_t i = 0; i < liars.size(); ++i) word[i] += random_element<Z>(rng);
      const auto decoded = decode_reference<Z>(committee, roles, word, static_cast<std::size_t>(t - erased));
      ASSERT_TRUE(decoded);
      EXPECT_EQ(decoded->secret(), batch.secrets[0]);
      EXPECT_EQ(decoded->wrong, liars);
      EXPECT_EQ(evaluate<Z>(decoded->polynomial, evaluation_point<Z>(Role(n))),
                batch.words[static_cast<std::size_t>(n - 1)][0]);
    }
  }
}

TEST(OpenBatch, DependsOnNoOrderOfArrival) {
  test::SeededRng rng("order");
  const auto committee = CommitteeSize::make(7, 2).value();
  auto batch = make_batch<Z128>(7, 2, 3, rng);
  batch.words[1][2] += Gr<Z128>::one();
  auto roles = first_roles(7);
  const auto first = open_batch<Z128>(committee, roles, batch.views(roles)).value();
  for (int trial = 0; trial < 50; ++trial) {
    std::ranges::shuffle(roles, ShuffleSource{rng});
    const auto opened = open_batch<Z128>(committee, roles, batch.views(roles)).value();
    EXPECT_EQ(opened.values, first.values);
    EXPECT_EQ(opened.agreed, first.agreed);
    EXPECT_EQ(opened.wrong, std::vector{Role(2)});
  }
}

TEST(OpenBatch, MisuseStopsTheProcess) {
  test::SeededRng rng("misuse");
  const auto committee = CommitteeSize::make(4, 1).value();
  const auto batch = make_batch<Z64>(4, 1, 2, rng);
  const std::vector<Role> twice = {Role(1), Role(2), Role(2), Role(3)};
  EXPECT_DEATH((void)open_batch<Z64>(committee, twice, batch.views(twice)), "distinct");
  EXPECT_DEATH((void)open_batch_with<Z64>(committee, first_roles(4), batch.views(first_roles(4)), 1), "needed");
  const std::vector<Gr<Z64>> three(3);
  EXPECT_DEATH((void)consistent_at_2t<Z64>(committee, first_roles(3), three), "roles.size");
}

// More sets of parties than are kept, from several threads.
TYPED_TEST(Decoding, ParityChecksAreTheSameFromTheStoreAndFresh) {
  using Z = TypeParam;
  test::SeededRng rng("parity");
  const auto batch = make_batch<Z>(13, 4, 1, rng);
  std::vector<std::vector<Role>> sets;
  for (unsigned bits = 0; bits < 1u << 13 && sets.size() < 2 * kParityCacheSize; ++bits) {
    if (std::popcount(bits) < 9) continue;
    sets.emplace_back();
    for (int i = 1; i <= 13; ++i)
      if (bits >> (i - 1) & 1) sets.back().push_back(Role(i));
  }
  ASSERT_EQ(sets.size(), 2 * kParityCacheSize);
  std::atomic<std::size_t> right = 0;
  {
    std::vector<std::jthread> threads;
    for (int thread = 0; thread < 3; ++thread)
      threads.emplace_back([&] {
        for (int pass = 0; pass < 2; ++pass)
          for (const auto& roles : sets) {
            const auto views = batch.views(roles);
            const auto checks = parity_checks<Z>(5, roles);
            right += checks->first_bad_row(views, 0) == 1 && checks->secret(views, 0) == batch.secrets[0];
          }
      });
  }
  EXPECT_EQ(right, 3 * 2 * sets.size());
  const auto kept = parity_checks<Z>(5, sets.back());
  EXPECT_EQ(kept, parity_checks<Z>(5, sets.back()));
  EXPECT_NE(kept, parity_checks<Z>(4, sets.back()));
}

// All of a committee of four: sums with small integers instead of products. Against Lagrange's weights, and against the same set in other orders.
TYPED_TEST(Decoding, ParityChecksOfAllFourAreThoseOfAnyOrder) {
  using Z = TypeParam;
  test::SeededRng rng("four");
  std::vector<Role> roles = first_roles(4);
  const ParityChecks<Z> whole(3, roles);
  const auto at_0 = lagrange_at<Z>(std::span(roles).first(3), Gr<Z>{});
  const auto at_4 = lagrange_at<Z>(std::span(roles).first(3), evaluation_point<Z>(Role(4)));
  std::vector<std::vector<Gr<Z>>> words(4, std::vector<Gr<Z>>(50));
  const auto views_of = [&](std::span<const Role> order) {
    std::vector<std::span<const Gr<Z>>> out;
    for (const Role role : order) out.emplace_back(words[role.index()]);
    return out;
  };
  for (std::size_t row = 0; row < 50; ++row) {
    for (std::size_t i = 0; i < 3; ++i) words[i][row] = random_element<Z>(rng);
    words[3][row] = combine<Z>(at_4, views_of(roles), row);
  }
  const auto views = views_of(roles);
  for (std::size_t row = 0; row < 50; ++row)
    EXPECT_EQ(whole.secret(views, row), combine<Z>(at_0, views, row)) << "row " << row;
  EXPECT_EQ(whole.first_bad_row(views, 0), 50u);
  EXPECT_EQ(whole.first_bad_row(views, 50), 50u);
  for (std::size_t liar = 0; liar < 4; ++liar)
    for (std::size_t coefficient = 0; coefficient < 4; ++coefficient)
      for (int bit = 0; bit < kBits<Z>; ++bit) {
        words[liar][20].c[coefficient] ^= Z{1} << bit;
        std::vector<Role> order = first_roles(4);
        do {
          const ParityChecks<Z> checks(3, order);
          const auto ordered = views_of(order);
          ASSERT_EQ(checks.first_bad_row(ordered, 0), 20u) << "liar " << liar + 1 << " bit " << bit;
          ASSERT_EQ(checks.first_bad_row(ordered, 21), 50u);
        } while (bit == kBits<Z> - 1 && std::ranges::next_permutation(order).found);
        words[liar][20].c[coefficient] ^= Z{1} << bit;
      }
}

TYPED_TEST(Decoding, PredictorChecksLateShares) {
  using Z = TypeParam;
  test::SeededRng rng("late");
  const auto committee = CommitteeSize::make(7, 2).value();
  const auto batch = make_batch<Z>(7, 2, 4, rng);
  const std::vector<Role> agreed = {Role(2), Role(5), Role(1), Role(7), Role(4)};
  const Predictor<Z> predictor(committee, agreed);
  const std::vector<Role> base(predictor.base().begin(), predictor.base().end());
  EXPECT_EQ(base, (std::vector<Role>{Role(2), Role(5), Role(1)}));
  const auto base_words = batch.views(base);
  EXPECT_TRUE(predictor.matches(Role(3), batch.words[2], base_words));
  auto lie = batch.words[2];
  lie[3] += Gr<Z>::one();
  EXPECT_FALSE(predictor.matches(Role(3), lie, base_words));
}

}  // namespace
}  // namespace witan::algebra
