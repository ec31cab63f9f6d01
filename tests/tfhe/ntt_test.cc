#include "tfhe/ntt.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "support/support.h"
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

// Six polynomials of 1024 full 128-bit words, all at their extremes: six primes, the bound of inverse_add.
TEST(Ntt, HoldsTheLargestSumOfAKeyGeneration) {
  for_each_target([] { expect_products<u128>(1024, 128, 128, 6); });
}

}  // namespace
}  // namespace witan::tfhe
