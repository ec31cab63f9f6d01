#include "tfhe/bootstrap.h"

#include <gtest/gtest.h>

#include <cmath>

#include "support/support.h"
#include "tfhe/encrypt.h"
#include "tfhe/expand.h"
#include "tfhe_testing.h"

namespace witan::tfhe {
namespace {

Lwe<u64> random_lwe(Rng& rng, std::size_t dimension) {
  Lwe<u64> out(dimension);
  for (u64& word : out.data) word = rng.next<u64>();
  return out;
}

TEST(ModulusSwitch, WordsAreRoundedTiesUpAndWrapAtTheTop) {
  EXPECT_EQ(switch_word<u64>(0, 12), 0u);
  EXPECT_EQ(switch_word<u64>(u64{1} << 51, 12), 1u);  // a tie
  EXPECT_EQ(switch_word<u64>((u64{1} << 51) - 1, 12), 0u);
  EXPECT_EQ(switch_word<u64>(~u64{0}, 12), 0u);  // rounds up to 2^12 = 0
  EXPECT_EQ(switch_word<u64>(5, 64), 5u);
  EXPECT_TRUE(switch_word<u128>(~u128{0} << 116, 12) == 4095);
}

/// Correction = half the sum of the mask's rounding errors - half a step, exactly up to one unit.
TEST(ModulusSwitch, CenteredMeanRemovesTheMeanError) {
  witan::test::SeededRng rng("centered");
  const int log_modulus = 9;
  const u64 step = u64{1} << (64 - log_modulus);
  for (int round = 0; round < 50; ++round) {
    Lwe<u64> lwe = random_lwe(rng, 101);
    i128 sum = 0;
    for (const u64 word : lwe.mask()) sum += static_cast<i64>((switch_word(word, log_modulus) << 55) - word);
    // Put the body one unit below and one above the point where the corrected body rounds up.
    const u64 mean = static_cast<u64>(static_cast<i64>(sum / 2));
    for (const i64 offset : {-2, 2}) {
      lwe.body() = 5 * step + step / 2 - (mean - step / 2) + static_cast<u64>(offset);
      const SwitchedLwe switched = modulus_switch(CenteredMeanSwitch{}, lwe, log_modulus);
      EXPECT_EQ(switched.body, offset < 0 ? 5u : 6u);
      EXPECT_EQ(switched.mask[7], switch_word(lwe.data[7], log_modulus));
    }
  }
}

class Drift : public ::testing::Test {
 protected:
  // One mask word a quarter step off the grid. Zero 0 moves it further away, zero 1 onto the grid, zero 2 nearly so.
  static constexpr int kLog = 9;
  static constexpr u64 kStep = u64{1} << (64 - kLog);
  Drift() {
    input_.data = {3 * kStep + kStep / 4, 7 * kStep};
    for (const u64 mask : {kStep / 8, u64{0} - kStep / 4, u64{0} - kStep / 8}) {
      Lwe<u64> zero(1);
      zero.data = {mask, 20 * kStep};
      key_.zeros.push_back(zero);
    }
    key_.r_sigma_factor = 10;
  }
  std::pair<std::uint32_t, std::uint32_t> switched(double bound) {
    key_.bound = bound;
    const SwitchedLwe out = modulus_switch(key_, input_, kLog);
    return {out.mask[0], out.body};
  }
  // |expected error| + 10 sigma, in steps, with one mask word of this error: error/2 + 10 * error/2.
  static double measure(double error_in_steps) { return 5.5 * error_in_steps * static_cast<double>(kStep); }

  Lwe<u64> input_;
  DriftKey key_;
};

TEST_F(Drift, AddsNothingWhenTheBoundIsMet) {
  EXPECT_EQ(switched(measure(0.251)), (std::pair{3u, 7u}));
}
TEST_F(Drift, TakesTheFirstZeroThatMeetsTheBound) {
  EXPECT_EQ(switched(measure(0.001)), (std::pair{3u, 27u}));
  std::swap(key_.zeros[1], key_.zeros[2]);
  EXPECT_EQ(switched(measure(0.126)), (std::pair{3u, 27u}));
  EXPECT_EQ(modulus_switch(key_, input_, kLog).mask[0], 3u);
}
TEST_F(Drift, TakesTheBestZeroWhenNoneMeetsTheBound) {
  key_.zeros[1].data[0] += kStep / 1024;  // still by far the best
  EXPECT_EQ(switched(1), (std::pair{3u, 27u}));
}
TEST_F(Drift, StaysWithoutAZeroWhenAllAreWorse) {
  key_.zeros.resize(1);
  EXPECT_EQ(switched(1), (std::pair{3u, 7u}));
}

TEST(LookupTable, BoxesAreCentredAndNegatedAtTheEnd) {
  const Glwe<u64> table = lookup_table<u64>(2, 32, 4, [](u64 x) { return 10 + x; });
  EXPECT_EQ(table.glwe_dimension(), 2u);
  EXPECT_TRUE(std::ranges::all_of(table.mask(), [](u64 word) { return word == 0; }));
  std::vector<u64> expected;
  for (const u64 value : {10u, 11u, 12u, 13u}) expected.insert(expected.end(), value == 10 ? 4 : 8, value);
  expected.insert(expected.end(), 4, u64{0} - 10);
  EXPECT_TRUE(std::ranges::equal(table.body(), expected));
}

TEST(SampleExtraction, EveryCoefficientDecryptsUnderTheFlattenedKey) {
  witan::test::SeededRng rng("extract");
  const GlweSecretKey& key = test::world("witan_toy_a").keys.glwe;  // k = 2, N = 16
  std::vector<u64> plaintext(key.polynomial_size);
  for (u64& word : plaintext) word = rng.next<u64>();
  const Glwe<u64> glwe = encrypt_glwe<u64>(key, plaintext, {0}, rng);
  const auto phases = phase(glwe, key);
  for (std::size_t h = 0; h < key.polynomial_size; ++h)
    EXPECT_EQ(phase(sample_extract(glwe, h), key.view()), phases[h]) << h;
}

TEST(KeySwitch, KeepsThePlaintext) {
  witan::test::SeededRng rng("keyswitch");
  const test::World& world = test::world("witan_toy_b");
  const Ksk ksk = expand(world.set.server_key.ksk);
  EXPECT_EQ(ksk.input_dimension(), 256u);
  for (u64 m = 0; m < 16; ++m) {
    const auto in = encrypt_lwe<u64>(world.keys.bits(KeyName::glwe), m << 59, {4}, rng);
    const u64 out = phase(keyswitch(ksk, in), world.keys.bits(KeyName::lwe_compute));
    // Rounding to 16 bits: at most 2^47 per set key bit; key noise 2^10 times digits of at most 2^3.
    EXPECT_LE(std::abs(static_cast<i64>(out - (m << 59))), i64{257} << 47) << m;
  }
}

/// k = 2 and several levels (TOY_A): two inputs leave half a box of N/4 steps for the switching error of four mask words.
template <Word W>
void expect_bootstraps(const BlindRotationKey<W>& key, std::span<const std::uint8_t> output_key, int noise_log2) {
  witan::test::SeededRng rng("bootstrap");
  const auto input_key = test::world("witan_toy_a").keys.bits(KeyName::lwe_compute);
  for (int round = 0; round < 20; ++round) {
    const W outputs[2] = {rng.next<W>(), rng.next<W>()};
    const auto table =
        lookup_table<W>(key.glwe_dimension(), key.polynomial_size(), 2, [&](u64 x) { return outputs[x]; });
    for (u64 m = 0; m < 4; ++m) {  // inputs 2 and 3 have the padding bit set: the outputs come negated
      const auto in = encrypt_lwe<u64>(input_key, m << 62, {6}, rng);
      for (const ModulusSwitchKey& technique :
           {ModulusSwitchKey{StandardSwitch{}}, ModulusSwitchKey{CenteredMeanSwitch{}}}) {
        const W got = phase(bootstrap(key, technique, in, table), output_key);
        const W expected = m < 2 ? outputs[m] : W{0} - outputs[m - 2];
        const auto noise = static_cast<SignedWord<W>>(got - expected);
        EXPECT_TRUE((noise < 0 ? -noise : noise) < SignedWord<W>{1} << noise_log2) << m;
      }
    }
  }
}

TEST(Bootstrap, SeveralLevelsAndPolynomials64) {
  const test::World& world = test::world("witan_toy_a");
  const auto& seeded = world.set.server_key.bootstrap.bsk;
  expect_bootstraps(BlindRotationKey<u64>(seeded), world.keys.bits(KeyName::glwe), 52);
}
TEST(Bootstrap, SeveralLevelsAndPolynomials128) {
  const test::World& world = test::world("witan_toy_a");
  const auto& seeded = world.set.server_key.sns->bootstrap.bsk;
  expect_bootstraps(BlindRotationKey<u128>(seeded), world.keys.bits(KeyName::sns), 64);
}

TEST(Bootstrap, AKeyThatIsExpandedInPiecesIsTheSame) {
  witan::test::SeededRng rng("pieces");
  const test::World& world = test::world("witan_toy_a");
  const auto& seeded = world.set.server_key.sns->bootstrap.bsk;
  const BlindRotationKey<u128> at_once(seeded);
  BlindRotationKey<u128> in_pieces(seeded, Rows::none);
  ASSERT_EQ(in_pieces.rows(), at_once.rows());
  ASSERT_GT(in_pieces.rows(), 5u);
  const std::size_t half = in_pieces.rows() / 2;
  in_pieces.expand_rows(seeded, half, in_pieces.rows() - half);
  for (std::size_t row = 0; row < half; ++row) in_pieces.expand_rows(seeded, row, 1);
  const auto table = lookup_table<u128>(2, 32, 2, [](u64 x) { return u128{x + 1} << 100; });
  const auto in = random_lwe(rng, 4);
  EXPECT_EQ(bootstrap(in_pieces, CenteredMeanSwitch{}, in, table), bootstrap(at_once, CenteredMeanSwitch{}, in, table));
}

TEST(Bootstrap, AnExpandedKeyGivesTheSameBytesAsTheSeededOne) {
  witan::test::SeededRng rng("expanded");
  const test::World& world = test::world("witan_toy_a");
  const auto& seeded = world.set.server_key.sns->bootstrap.bsk;
  const BlindRotationKey<u128> one(seeded), two(expand(seeded));
  EXPECT_EQ(one.input_dimension(), 4u);
  EXPECT_EQ(two.input_dimension(), 4u);
  const auto table = lookup_table<u128>(2, 32, 2, [](u64 x) { return u128{x + 1} << 100; });
  const auto in = random_lwe(rng, 4);
  EXPECT_EQ(bootstrap(one, CenteredMeanSwitch{}, in, table), bootstrap(two, CenteredMeanSwitch{}, in, table));
}

}  // namespace
}  // namespace witan::tfhe
