#include "tfhe/ntt.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "support/support.h"
#include "tfhe/bootstrap.h"
#include "tfhe/ntt_scalar.h"
#include "tfhe/poly.h"

namespace witan::tfhe {
namespace {

u64 times(u64 a, u64 b, u64 p) {
  return static_cast<u64>(u128{a} * b % p);
}

bool is_prime(u64 n) {
  for (const u64 base : {2u, 3u, 5u, 7u, 11u, 13u, 17u, 19u, 23u, 29u, 31u, 37u}) {  // enough below 2^64
    u64 exponent = n - 1, value = 1, power = base % n;
    int twos = 0;
    for (; exponent % 2 == 0; exponent /= 2) ++twos;
    for (; exponent > 0; exponent /= 2, power = times(power, power, n))
      if (exponent % 2 == 1) value = times(value, power, n);
    bool witness = value != 1 && value != n - 1;
    for (int i = 1; i < twos && witness; ++i) {
      value = times(value, value, n);
      witness = value != n - 1;
    }
    if (witness) return false;
  }
  return true;
}

TEST(Ntt, PrimesAreTheLargestOfTheirKind) {
  u64 candidate = (u64{1} << 47) + 1;
  for (const u64 p : Ntt::kPrimes) {
    do candidate -= u64{1} << 13;
    while (!is_prime(candidate));
    EXPECT_EQ(p, candidate);
  }
}

TEST(Ntt, PrimesFor) {
  EXPECT_EQ(Ntt::primes_for(42), 1);
  EXPECT_EQ(Ntt::primes_for(43), 2);
  EXPECT_EQ(Ntt::primes_for(136), 3);
  EXPECT_EQ(Ntt::primes_for(277), 6);
  EXPECT_EQ(Ntt::primes_for(278), std::nullopt);
  u128 product = 1;
  for (int count = 1; count <= 2; ++count) {
    product *= Ntt::kPrimes[static_cast<std::size_t>(count) - 1];
    EXPECT_LT(u128{1} << (47 * count - 1), product);
  }
}

/// Runs the body for every target of this build that the processor has.
template <class Body>
void for_each_target(Body body) {
  const auto targets = vector_targets();
  ASSERT_FALSE(targets.empty());
  for (const VectorTarget& target : targets) {
    choose_vector_target(target.id);
    EXPECT_EQ(vector_target().id, target.id);
    SCOPED_TRACE(target.name);
    body();
  }
  choose_vector_target(0);
}

template <Word W>
std::vector<W> schoolbook(std::span<const W> a, std::span<const W> b) {
  const std::size_t n = a.size();
  std::vector<W> out(n);
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t j = 0; j < n; ++j) {
      if (i + j < n)
        out[i + j] += a[i] * b[j];
      else
        out[i + j - n] -= a[i] * b[j];
    }
  return out;
}

enum class Kind { random, largest, smallest, alternating, one };
constexpr Kind kKinds[] = {Kind::random, Kind::largest, Kind::smallest, Kind::alternating, Kind::one};

/// Signed numbers of at most `bits` bits as words.
template <Word W>
std::vector<W> operand(Kind kind, std::size_t n, int bits, Rng& rng) {
  const W smallest = W{0} - power_of_two<W>(bits - 1), largest = power_of_two<W>(bits - 1) - 1;
  std::vector<W> out(n);
  for (std::size_t i = 0; i < n; ++i) {
    const auto raw = rng.next<W>();
    switch (kind) {
      case Kind::random:
        out[i] = static_cast<W>(static_cast<SignedWord<W>>(raw) >> (kWordBits<W> - bits));
        break;
      case Kind::largest:
        out[i] = largest;
        break;
      case Kind::smallest:
        out[i] = smallest;
        break;
      case Kind::alternating:
        out[i] = i % 2 == 0 ? largest : smallest;
        break;
      case Kind::one:
        out[i] = i == n - 1 ? smallest : 0;
        break;
    }
  }
  return out;
}

template <Word W>
void expect_products(std::size_t n, int bits_a, int bits_b, std::size_t terms) {
  const int log2 = bits_a + bits_b - 2 + static_cast<int>(std::bit_width(n * terms - 1));
  const auto primes = Ntt::primes_for(log2);
  ASSERT_TRUE(primes);
  const Ntt ntt(n, *primes);
  test::SeededRng rng("ntt products");
  for (const Kind kind_a : kKinds) {
    for (const Kind kind_b : kKinds) {
      std::vector<W> expected = operand<W>(Kind::random, n, kWordBits<W>, rng), found = expected;
      Transformed a(terms * ntt.transformed_size()), b(2 * terms * ntt.transformed_size()), sum(ntt.transformed_size());
      for (std::size_t t = 0; t < terms; ++t) {
        const auto left = operand<W>(kind_a, n, bits_a, rng), right = operand<W>(kind_b, n, bits_b, rng);
        const auto product = schoolbook<W>(left, right);
        for (std::size_t i = 0; i < n; ++i) expected[i] += product[i];
        const auto place_a = std::span(a).subspan(t * ntt.transformed_size(), ntt.transformed_size());
        const auto place_b = std::span(b).subspan(2 * t * ntt.transformed_size(), ntt.transformed_size());
        if (bits_a <= Ntt::kMaxDigitLog2) {
          const std::vector<i64> digits(left.begin(), left.end());
          ntt.forward_digits(digits, place_a);
        } else {
          ntt.forward<W>(left, place_a);
        }
        ntt.forward<W>(right, place_b);
        ntt.normalise(place_b);
      }
      ntt.multiply_add(sum, a, b, 2 * ntt.transformed_size());
      ntt.inverse_add<W>(found, sum);
      ASSERT_EQ(found, expected) << "N = " << n << ", " << bits_a << " x " << bits_b << " bits, " << terms << " terms";
    }
  }
}

TEST(Ntt, EqualsSchoolbookOnEveryTarget) {
  for_each_target([] {
    for (std::size_t n = Ntt::kMinSize; n <= 512; n *= 2) {
      expect_products<u64>(n, 64, 64, 1);
      expect_products<u64>(n, 23, 64, 4);
      expect_products<u128>(n, 128, 128, 2);
      expect_products<u128>(n, 24, 128, 9);
      expect_products<u128>(n, 2, 128, 17);
    }
    expect_products<u128>(1024, 128, 128, 1);
    expect_products<u128>(2048, 24, 128, 3);
    expect_products<u64>(4096, 64, 64, 1);
  });
}

/// Every residue of every step against the integer twin: forward transforms of words and of digits, sums of products of all
/// columns, and the way back.
template <Word W>
void expect_twin(std::size_t n, int bits_a, std::size_t terms, std::size_t columns, int primes) {
  const Ntt ntt(n, primes);
  const ScalarNtt twin(n, primes, vector_target_lanes());
  const std::size_t size = ntt.transformed_size(), count = static_cast<std::size_t>(primes);
  test::SeededRng rng("ntt twin");
  for (const Kind kind_a : kKinds) {
    for (const Kind kind_b : kKinds) {
      SCOPED_TRACE(testing::Message() << "N = " << n << ", kinds " << static_cast<int>(kind_a) << ", "
                                      << static_cast<int>(kind_b));
      Transformed a(terms * size), b(terms * columns * size), sums(columns * size);
      std::vector<ScalarNtt::Residues> a_twin, b_twin, sums_twin(columns, ScalarNtt::Residues(size));
      for (std::size_t t = 0; t < terms; ++t) {
        const auto left = operand<W>(kind_a, n, bits_a, rng);
        const auto place = std::span(a).subspan(t * size, size);
        if (bits_a <= Ntt::kMaxDigitLog2)
          ntt.forward_digits(std::vector<i64>(left.begin(), left.end()), place);
        else
          ntt.forward<W>(left, place);
        a_twin.push_back(twin.forward<W>(left));
        ASSERT_EQ(twin.residues_of(place), a_twin.back());
      }
      for (std::size_t i = 0; i < terms * columns; ++i) {
        const auto right = operand<W>(kind_b, n, kWordBits<W>, rng);
        const auto place = std::span(b).subspan(i * size, size);
        ntt.forward<W>(right, place);
        b_twin.push_back(twin.forward<W>(right));
        ASSERT_EQ(twin.residues_of(place), b_twin.back());
        ntt.normalise(place);
        ASSERT_EQ(twin.residues_of(place), b_twin.back());
      }
      for (std::size_t q = 0; q < count; ++q)
        ntt.multiply_add(q, {.sum = sums.data() + q * n,
                             .sum_stride = size,
                             .a = a.data() + q * n,
                             .a_stride = size,
                             .b = b.data() + q * n,
                             .row_stride = columns * size,
                             .column_stride = size,
                             .n = n,
                             .terms = terms,
                             .columns = columns});
      for (std::size_t c = 0; c < columns; ++c) {
        for (std::size_t t = 0; t < terms; ++t) twin.multiply_add(sums_twin[c], a_twin[t], b_twin[t * columns + c]);
        const auto sum = std::span(sums).subspan(c * size, size);
        ASSERT_EQ(twin.residues_of(sum), sums_twin[c]) << "column " << c;
        for (std::size_t i = 0; i < size; ++i)
          ASSERT_LE(std::abs(sum[i]), static_cast<double>(Ntt::kPrimes[i / n] / 2 + 1));
        std::vector<W> expected = operand<W>(Kind::random, n, kWordBits<W>, rng), found = expected, first = expected;
        twin.inverse_add<W>(expected, sums_twin[c]);
        Transformed again(sum.begin(), sum.end());
        ntt.inverse_add<W>(found, sum);
        ASSERT_EQ(found, expected) << "column " << c;
        first.resize(n / 2 + 3);
        expected.resize(first.size());
        ntt.inverse_add<W>(first, again);
        ASSERT_EQ(first, expected) << "the first coefficients of column " << c;
      }
    }
  }
}

TEST(Ntt, AgreesWithTheIntegerTwinResidueByResidueOnEveryTarget) {
  for_each_target([] {
    expect_twin<u128>(64, 24, 13, 3, 4);  // more terms than are summed at once
    expect_twin<u128>(128, 128, 2, 1, 6);
    expect_twin<u128>(256, 33, 4, 5, 4);
    expect_twin<u64>(64, 64, 12, 2, 3);
    expect_twin<u64>(256, 23, 25, 2, 3);
    expect_twin<u64>(512, 64, 1, 4, 3);
    expect_twin<u128>(2048, 24, 1, 1, 4);
  });
}

// The largest sum that multiply_add() takes at once: 12 products of entries of 12.8 p by entries of p/2.
TEST(Ntt, HoldsTheLargestSumOfProductsOnEveryTarget) {
  for_each_target([] {
    const Ntt ntt(64, 6);
    const ScalarNtt twin(64, 6, vector_target_lanes());
    for (const double sign_a : {1.0, -1.0}) {
      for (const double sign_b : {1.0, -1.0}) {
        constexpr std::size_t kTerms = 24;
        Transformed a, b, sum(ntt.transformed_size());
        ScalarNtt::Residues expected(ntt.transformed_size());
        for (std::size_t t = 0; t < kTerms; ++t) {
          Transformed left, right;
          for (std::size_t i = 0; i < ntt.transformed_size(); ++i) {
            const auto p = static_cast<double>(Ntt::kPrimes[i / 64]);
            left.push_back(sign_a * (0x1p51 - static_cast<double>(i % 3)));
            right.push_back(sign_b * ((p - 1) / 2 - static_cast<double>(i % 5)));
          }
          twin.multiply_add(expected, twin.residues_of(left), twin.residues_of(right));
          a.insert(a.end(), left.begin(), left.end());
          b.insert(b.end(), right.begin(), right.end());
        }
        ntt.multiply_add(sum, a, b, ntt.transformed_size());
        EXPECT_EQ(twin.residues_of(sum), expected);
      }
    }
  });
}

// Blocks in step give what each gives alone, on every target.
template <Word W>
void expect_rotations_in_step(std::size_t k, std::size_t n, Decomposition d) {
  test::SeededRng rng("rotations in step");
  constexpr std::size_t kBits = 7;
  SeededBsk<W> seeded{.data = std::vector<W>(kBits * d.level_count * (k + 1) * n),
                      .decomposition = d,
                      .glwe_dimension = k,
                      .polynomial_size = n,
                      .origin = {}};
  for (W& word : seeded.data) word = rng.next<W>();
  std::vector<SwitchedLwe> lwes;
  std::vector<Glwe<W>> inputs;
  for (std::size_t b = 0; b < 5; ++b) {
    SwitchedLwe lwe{.mask = {}, .body = 0, .log_modulus = std::countr_zero(2 * n)};
    for (std::size_t i = 0; i < kBits; ++i) lwe.mask.push_back(rng.next<std::uint32_t>() % (2 * n));
    lwe.mask[b] = 0;  // a step that this one skips
    lwe.body = b == 4 ? 0 : rng.next<std::uint32_t>() % (2 * n);
    lwes.push_back(lwe);
    inputs.emplace_back(k, n);
    for (W& word : inputs.back().data) word = rng.next<W>();
  }
  std::optional<std::vector<Glwe<W>>> first;
  for_each_target([&] {
    const BlindRotationKey<W> key(seeded);
    std::vector<Glwe<W>> together = inputs, alone = inputs;
    blind_rotate<W>(key, lwes, together);
    for (std::size_t b = 0; b < lwes.size(); ++b) blind_rotate(key, lwes[b], alone[b]);
    EXPECT_EQ(together, alone);
    if (!first) first = together;
    EXPECT_EQ(together, *first) << "targets differ";
  });
}

TEST(BlindRotation, InStepEqualsOneByOneOnEveryTarget) {
  expect_rotations_in_step<u128>(2, 256, {24, 3});
  expect_rotations_in_step<u128>(1, 64, {33, 2});
  expect_rotations_in_step<u64>(1, 512, {23, 1});
  expect_rotations_in_step<u64>(3, 128, {15, 2});
}

// Six polynomials of 1024 full 128-bit words, all at their extremes: six primes, the bound of inverse_add.
TEST(Ntt, HoldsTheLargestSumOfAKeyGeneration) {
  for_each_target([] { expect_products<u128>(1024, 128, 128, 6); });
}

}  // namespace
}  // namespace witan::tfhe
