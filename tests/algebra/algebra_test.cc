#include <gtest/gtest.h>

#include <algorithm>
#include <bit>

#include "algebra/algebra_support.h"
#include "algebra/decode.h"
#include "algebra/integer_set_polynomial.h"

namespace witan::algebra {
namespace {

template <class Z>
class Rings : public testing::Test {};
TYPED_TEST_SUITE(Rings, BothRings);

TEST(Gf16, IsAFieldAndItsGeneratorHasOrder15) {
  for (int a = 1; a < 16; ++a) {
    const auto x = static_cast<Gf16>(a);
    EXPECT_EQ(gf16_mul(x, gf16_inverse(x)), 1);
    for (int b = 0; b < 16; ++b) EXPECT_EQ(gf16_mul(x, static_cast<Gf16>(b)), gf16_mul(static_cast<Gf16>(b), x));
  }
  EXPECT_EQ(gf16_inverse(0), 0);
  Gf16 power = 1;
  int order = 0;
  do power = gf16_mul(power, 2), ++order;
  while (power != 1);
  EXPECT_EQ(order, 15);
}

// tests/data/mpc/ring.json
TYPED_TEST(Rings, VectorsOfTheRing) {
  using Z = TypeParam;
  int seen = 0;
  const auto vectors = test::read_json("mpc/ring.json");
  for (const auto& ring : vectors) {
    if (!of_ring<Z>(ring)) continue;
    for (const auto& e : ring.at("mul")) {
      EXPECT_EQ(element<Z>(e.at("a")) * element<Z>(e.at("b")), element<Z>(e.at("ab")));
      ++seen;
    }
    for (const auto& e : ring.at("inv")) {
      EXPECT_EQ(inverse(element<Z>(e.at("a"))), element<Z>(e.at("inv")));
      ++seen;
    }
    for (const auto& e : ring.at("solve")) {
      const auto root = solve_quadratic(element<Z>(e.at("v")));
      ASSERT_TRUE(root.exists);
      const auto expected = element<Z>(e.at("root"));
      EXPECT_TRUE(root.root == expected || root.root == -Gr<Z>::one() - expected);
      ++seen;
    }
    for (const auto& e : ring.at("embed")) {
      const auto& index = e.at("index");
      EXPECT_EQ(embed<Z>(index.is_number() ? index.get<unsigned>()
                                           : static_cast<unsigned>(std::stoul(index.get<std::string>()))),
                element<Z>(e.at("value")));
      ++seen;
    }
  }
  EXPECT_GT(seen, 15);
}

// tests/data/mpc/bitgen_base.json: numbers most significant digit first.
TYPED_TEST(Rings, EvenRootOfABaseRingValueStaysThere) {
  using Z = TypeParam;
  int seen = 0;
  const auto vectors = test::read_json("mpc/bitgen_base.json");
  for (const auto& e : vectors) {
    if (!of_ring<Z>(e)) continue;
    const Bytes v = test::hex(e.at("v").template get<std::string>()),
                r = test::hex(e.at("even_root").template get<std::string>());
    const auto root = solve_quadratic(Gr<Z>::from_base(load_be<Z>(v.data())));
    ASSERT_TRUE(root.exists && root.root.in_base_ring());
    EXPECT_EQ(root.root.c[0], load_be<Z>(r.data()));
    ++seen;
  }
  EXPECT_EQ(seen, 8);
}

TYPED_TEST(Rings, UnsolvableQuadraticsAreRecognised) {
  using Z = TypeParam;
  test::SeededRng rng("quadratic");
  int solvable = 0;
  for (int i = 0; i < 400; ++i) {
    const auto v = random_element<Z>(rng);
    const auto root = solve_quadratic(v);
    if (!root.exists) continue;
    ++solvable;
    EXPECT_EQ(root.root * root.root + root.root, v);
  }
  EXPECT_GT(solvable, 140);
  EXPECT_LT(solvable, 260);
}

TYPED_TEST(Rings, SumsOfProductsMayBeReducedOnce) {
  using Z = TypeParam;
  test::SeededRng rng("sum");
  ProductSum<Z> sum;
  Gr<Z> expected;
  for (int i = 0; i < 20; ++i) {
    const auto a = random_element<Z>(rng), b = random_element<Z>(rng);
    sum.add(a, b);
    expected += a * b;
    EXPECT_EQ(a * embed<Z>(2), a.times_x());
  }
  EXPECT_EQ(sum.reduced(), expected);
}

TYPED_TEST(Rings, EncodingIsCoefficientsLowToHighLittleEndian) {
  using Z = TypeParam;
  const Gr<Z> value{{Z{0x0102}, Z{3}, static_cast<Z>(~Z{0}), Z{0}}};
  Bytes raw(Gr<Z>::kSizeBytes);
  value.encode(raw.data());
  Bytes expected(Gr<Z>::kSizeBytes);
  expected[0] = 2;
  expected[1] = 1;
  expected[sizeof(Z)] = 3;
  std::fill_n(expected.begin() + 2 * sizeof(Z), sizeof(Z), 0xff);
  EXPECT_EQ(raw, expected);
  EXPECT_EQ(Gr<Z>::decode(raw.data()), value);
}

TYPED_TEST(Rings, PackingIsTheSumOfMonomials) {
  using Z = TypeParam;
  test::SeededRng rng("pack");
  std::vector<Gr<Z>> values;
  for (int i = 0; i < 4; ++i) values.push_back(random_element<Z>(rng));
  Gr<Z> x = Gr<Z>::one(), expected;
  for (std::size_t count = 0; count <= 4; ++count) {
    EXPECT_EQ(pack(values.data(), count), expected);
    if (count < 4) expected += values[count] * x;
    x = x.times_x();
  }
  const Gr<Z> base =
      pack(std::array{Gr<Z>::from_base(1), Gr<Z>::from_base(2), Gr<Z>::from_base(3), Gr<Z>::from_base(4)}.data(), 4);
  EXPECT_EQ(base, (Gr<Z>{{1, 2, 3, 4}}));
}

// Rule R1 keeps points, degrees and secrets.
TEST(Reduction, OfASharingIsASharingOfTheReducedSecret) {
  test::SeededRng rng("reduce");
  const auto secret = random_element<Z128>(rng);
  const auto shares = deal<Z128>(secret, 4, 13, rng);
  std::vector<Gr<Z64>> word;
  for (const auto& share : shares) word.push_back(reduce_mod_2_64(share).value);
  const auto committee = CommitteeSize::make(13, 4).value();
  const auto decoded = decode_reference<Z64>(committee, first_roles(13), word, 4);
  ASSERT_TRUE(decoded);
  EXPECT_EQ(decoded->secret(), reduce_mod_2_64(secret));
  static_assert(!std::is_convertible_v<Share<Z128>, Share<Z64>> && !std::is_convertible_v<Gr<Z128>, Gr<Z64>>);
}

// tests/data/mpc/shamir.json
TYPED_TEST(Rings, VectorsOfShamir) {
  using Z = TypeParam;
  int decoded_words = 0;
  const auto vectors = test::read_json("mpc/shamir.json");
  for (const auto& entry : vectors) {
    if (!of_ring<Z>(entry)) continue;
    const int n = entry.at("n"), t = entry.at("t");
    const auto committee = CommitteeSize::make(n, t).value();
    const auto roles = first_roles(n);
    const auto row = vandermonde_row<Z>(Role(n), entry.at("vandermonde_row_n").size());
    EXPECT_EQ(row, elements<Z>(entry.at("vandermonde_row_n")));
    for (const char* name : {"first_t_plus_1", "first_2t_plus_1"}) {
      const auto expected = elements<Z>(entry.at("lagrange_at_0").at(name));
      EXPECT_EQ(lagrange_at<Z>(std::span(roles).first(expected.size()), Gr<Z>{}), expected);
    }
    for (const auto& sharing : entry.at("sharings")) {
      const int degree = sharing.at("degree");
      if (sharing.contains("poly")) {
        const auto polynomial = elements<Z>(sharing.at("poly"));
        const auto shares = elements<Z>(sharing.at("shares"));
        for (int i = 1; i <= n; ++i)
          EXPECT_EQ(evaluate<Z>(polynomial, evaluation_point<Z>(Role(i))), shares[static_cast<std::size_t>(i - 1)]);
        if (degree == 2 * t) {
          EXPECT_EQ(consistent_at_2t<Z>(committee, roles, shares).value(), element<Z>(sharing.at("secret")));
        } else {
          EXPECT_EQ(decode_reference<Z>(committee, roles, shares, 0)->secret(), element<Z>(sharing.at("secret")));
        }
      } else {
        ASSERT_EQ(degree, t);
        const auto word = elements<Z>(sharing.at("corrupted_shares"));
        const auto decoded = decode_reference<Z>(committee, roles, word, static_cast<std::size_t>(t));
        ASSERT_TRUE(decoded);
        EXPECT_EQ(decoded->secret(), element<Z>(sharing.at("decoded_secret")));
        std::vector<int> wrong;
        for (const Role role : decoded->wrong) wrong.push_back(role.number());
        EXPECT_EQ(wrong, sharing.at("corrupted_parties").template get<std::vector<int>>());
        ++decoded_words;
      }
    }
  }
  EXPECT_EQ(decoded_words, 5);
}

TYPED_TEST(Rings, SetPolynomialIsOneAtZeroAndZeroOutside) {
  using Z = TypeParam;
  const std::vector<Role> outside = {Role(2), Role(9), Role(10), Role(13)};
  std::vector<Role> roles;
  std::vector<Gr<Z>> values;
  for (int i = 1; i <= 13; ++i) {
    const auto value = set_polynomial<Z>(outside, Role(i));
    EXPECT_EQ(value == Gr<Z>{}, std::ranges::find(outside, Role(i)) != outside.end());
    roles.push_back(Role(i));
    values.push_back(value);
  }
  const auto decoded = decode_reference<Z>(CommitteeSize::make(13, 4).value(), roles, values, 0);
  ASSERT_TRUE(decoded);  // degree t
  EXPECT_EQ(decoded->secret(), Gr<Z>::one());
}

// tests/data/mpc/int_setpoly.json
TEST(IntegerSetPolynomial, VectorsAndBoundsOfEverySet) {
  const auto number = [](const nlohmann::json& text) { return std::stoll(text.get<std::string>()); };
  const auto vectors = test::read_json("mpc/int_setpoly.json");
  for (const auto& e : vectors.at("points")) {
    const auto inverse = integer_inverse_of_minus_point(Role(e.at("j").get<int>()));
    EXPECT_EQ(inverse.norm, number(e.at("norm_of_minus_alpha")));
    for (std::size_t c = 0; c < 4; ++c) EXPECT_EQ(inverse.adjugate[c], number(e.at("adj_of_minus_alpha").at(c)));
  }
  int seen = 0;
  for (const auto& profile : vectors.at("profiles")) {
    const int n = profile.at("n"), t = profile.at("t");
    for (const auto& example : profile.at("examples")) {
      const auto members = example.at("A").get<std::vector<int>>();
      std::vector<Role> outside;
      for (int i = 1; i <= n; ++i)
        if (std::ranges::find(members, i) == members.end()) outside.push_back(Role(i));
      const std::int64_t at_0 = integer_set_value_at_0(outside);
      EXPECT_EQ(at_0, number(example.at("value_at_0")));
      for (int i = 1; i <= n; ++i) {
        const IntegerSetValue value = integer_set_value(outside, Role(i));
        Gr<Z128> in_ring;
        for (std::size_t c = 0; c < 4; ++c) {
          EXPECT_EQ(value.c[c], number(example.at("values").at(static_cast<std::size_t>(i - 1)).at(c)));
          in_ring.c[c] = static_cast<Z128>(value.c[c]);
        }
        EXPECT_EQ(in_ring, set_polynomial<Z128>(outside, Role(i)) * static_cast<Z128>(at_0));
        ++seen;
      }
    }
    int largest = 0;  // over all sets and parties
    for (unsigned bits = 0; bits < 1u << n; ++bits) {
      if (std::popcount(bits) != t) continue;
      std::vector<Role> outside;
      for (int i = 1; i <= n; ++i)
        if (bits >> (i - 1) & 1) outside.push_back(Role(i));
      for (int i = 1; i <= n; ++i)
        for (const int c : integer_set_value(outside, Role(i)).c) largest = std::max(largest, std::abs(c));
    }
    EXPECT_EQ(largest, number(profile.at("max_abs_coefficient")));
  }
  EXPECT_EQ(seen, 4 * 4 + 2 * 7 + 2 * 10 + 2 * 13);
  static_assert(!std::is_convertible_v<IntegerSetValue, Gr<Z128>>);  // security.md S9
}

// tests/data/responses/shares.json: what clients reconstruct. Share bytes: u64 count, then the elements.
TEST(ClientShares, PolynomialsAndSharesOfTheResponseVectors) {
  const auto vectors = test::read_json("responses/shares.json");
  int products = 0, shares = 0;
  for (const auto& e : vectors.at("products")) {
    EXPECT_EQ(element<Z128>(e.at("a")) * element<Z128>(e.at("b")), element<Z128>(e.at("ab")));
    ++products;
  }
  for (const auto& e : vectors.at("points")) {
    const auto& party = e.at("party");
    const int role = party.is_number() ? party.get<int>() : std::stoi(party.get<std::string>());
    EXPECT_EQ(evaluation_point<Z128>(Role(role)), element<Z128>(e.at("point")));
  }
  for (const auto& sharing : vectors.at("sharings")) {
    const auto secrets = elements<Z128>(sharing.at("secrets_hex"));
    const auto& bytes = sharing.at("share_bytes");
    for (std::size_t party = 0; party < bytes.size(); ++party) {
      const Bytes raw = test::hex(bytes.at(party).get<std::string>());
      ASSERT_EQ(raw.size(), 8 + 64 * secrets.size());
      for (std::size_t j = 0; j < secrets.size(); ++j) {
        std::vector<Gr<Z128>> polynomial = {secrets[j]};
        for (const auto& coefficient : elements<Z128>(sharing.at("coefficients_hex").at(j)))
          polynomial.push_back(coefficient);
        EXPECT_EQ(evaluate<Z128>(polynomial, evaluation_point<Z128>(Role(static_cast<int>(party) + 1))),
                  Gr<Z128>::decode(raw.data() + 8 + 64 * j));
        ++shares;
      }
    }
  }
  EXPECT_EQ(products, 3);
  EXPECT_GT(shares, 30);
}

}  // namespace
}  // namespace witan::algebra
