// The noise of blocks on their way from a client's list to both Big formats and to a compressed list and back, against the
// formulas of docs/noise.md: every step for itself. 10^4 blocks with WITAN_TOY_B, where what decompositions and roundings
// drop rules, 10^4 with a noisy variant of it, where the noise of key rows rules, and 300 with the default parameters.
#include <gtest/gtest.h>

#include <chrono>
#include <cmath>

#include "pipeline.h"

namespace witan::tfhe::noise {
namespace {

constexpr double kTolerance = 0.2;  // of a variance; a step that is off by a factor of 1.5 is far outside
constexpr std::size_t kDefaultBlocks = 300;

/// WITAN_TOY_B with so much noise in its key rows that nothing else counts; still far from a decoding error.
Params noisy_toy() {
  Params params = test::params("witan_toy_b");
  params.name = "witan_toy_b, noisy";
  params.compute.lwe_noise = {47};
  params.compute.glwe_noise = {22};
  params.pke->noise = {30};
  params.compression->noise = {47};
  params.sns->noise = {36};
  params.sns_compression->noise = {20};
  return params;
}

void show(std::string_view name, std::string_view step, const Measured& m) {
  fmt::print("{:20} {:34} {:8} samples, variance {:.3f} of the formula, mean {:+.3f}, largest {:.2f} sigma\n", name,
             step, m.count(), m.ratio(), m.mean(), m.largest());
}
void show(std::string_view name, const Measurements& measured) {
  for (std::size_t i = 0; i < kSteps; ++i) show(name, to_string(static_cast<Step>(i)), measured.steps[i]);
}

void expect_all_fit(const Measurements& measured) {
  EXPECT_EQ(measured.wrong_values, 0u);
  for (std::size_t i = 0; i < kSteps; ++i)
    EXPECT_TRUE(measured.steps[i].fits(kTolerance))
        << to_string(static_cast<Step>(i)) << ": variance is " << measured.steps[i].ratio() << " of the formula";
}

/// The same measurements with a variance that is 1.5 times too high or too low are refused in every step that has noise.
void expect_factors_are_seen(const Measurements& measured) {
  for (std::size_t i = 0; i < kSteps; ++i) {
    const Measured& m = measured.steps[i];
    if (m.largest() == 0) continue;
    EXPECT_FALSE(m.scaled(std::sqrt(1.5)).fits(kTolerance)) << to_string(static_cast<Step>(i));
    EXPECT_FALSE(m.scaled(1 / std::sqrt(1.5)).fits(kTolerance)) << to_string(static_cast<Step>(i));
  }
}

/// Several key sets: with 64 rows or 8 bits a single one is far from the average that the formulas speak of.
Measurements measure_toy(const Params& params, std::size_t key_sets = 10, std::size_t blocks_per_key = 1000) {
  Measurements out;
  for (std::size_t k = 0; k < key_sets; ++k) {
    const std::string label = fmt::format("{}, key set {}", params.name, k);
    out.merge(
        measure(make_keys(params, label), params, {.blocks = blocks_per_key, .extracts_per_block = 2, .label = label}));
  }
  show(params.name, out);
  return out;
}

TEST(NoiseOfBlocks, ToyParametersFollowTheFormulas) {
  const Measurements measured = measure_toy(test::params("witan_toy_b"));
  EXPECT_EQ(measured.at(Step::sns_input).count(), 10'000u);
  expect_all_fit(measured);
  expect_factors_are_seen(measured);
}

TEST(NoiseOfBlocks, TheMeasuredCiphertextsAreThoseOfTheEvaluator) {
  for (const char* name : {"witan_toy_b", "test"}) {
    const Params params = test::params(name);
    const Measurements measured = measure(make_keys(params, name), params,
                                          {.blocks = 101, .extracts_per_block = 1, .label = name, .compare = true});
    EXPECT_EQ(measured.other_ciphertexts, 0u) << name;
    EXPECT_EQ(measured.wrong_values, 0u) << name;
  }
}

TEST(NoiseOfBlocks, NoisyToyParametersFollowTheFormulas) {
  const Measurements measured = measure_toy(noisy_toy());
  expect_all_fit(measured);
  expect_factors_are_seen(measured);
}

// One key bit and no noise to speak of: ciphertexts that are switched to 2N lie on its grid but for 2^-17 of a step, so that
// the rounding errors of mask and body cancel and the formula, which takes them for independent, is a bound.
TEST(NoiseOfBlocks, TestParametersFollowTheFormulasButForTheModulusSwitch) {
  const Measurements measured = measure_toy(test::params("test"), 200, 20);
  EXPECT_EQ(measured.wrong_values, 0u);
  for (std::size_t i = 0; i < kSteps; ++i) {
    const auto step = static_cast<Step>(i);
    if (step == Step::switch_pbs || step == Step::switch_sns || step == Step::sns_input)
      EXPECT_LT(measured.at(step).ratio(), 1e-6) << to_string(step);
    else
      EXPECT_TRUE(measured.at(step).fits(kTolerance)) << to_string(step) << ": " << measured.at(step).ratio();
  }
}

TEST(NoiseOfBlocks, FreshCiphertextsFollowTheFormula) {
  for (const auto& [name, public_keys] :
       {std::pair{"witan_toy_b", 400u}, std::pair{"test", 100u}, std::pair{"default", 60u}}) {
    const Params params = test::params(name);
    const Measured measured = measure_fresh(params, params, public_keys, name);
    show(name, "fresh ciphertext of a list", measured);
    EXPECT_GE(measured.count(), 10'000u);
    EXPECT_TRUE(measured.fits(kTolerance)) << name << ": " << measured.ratio();
    EXPECT_FALSE(measured.scaled(std::sqrt(1.5)).fits(kTolerance));
    EXPECT_FALSE(measured.scaled(1 / std::sqrt(1.5)).fits(kTolerance));
    Params quieter = params;  // a client whose noise is twice what the parameters say
    if (params.pke->noise.bound_log2 == 0) continue;
    quieter.pke->noise.bound_log2 -= 1;
    EXPECT_FALSE(measure_fresh(params, quieter, 20, name).fits(kTolerance));
  }
}

TEST(NoiseOfBlocks, DefaultParametersFollowTheFormulas) {
  const Params params = test::params("default");
  const auto begun = std::chrono::steady_clock::now();
  const test::World world = make_keys(params, "default, end to end");
  const Measurements measured =
      measure(world, params, {.blocks = kDefaultBlocks, .extracts_per_block = 4, .label = "default blocks"});
  show(params.name, measured);
  fmt::print("{} blocks in {:.1f} s\n", kDefaultBlocks,
             std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count());
  expect_all_fit(measured);
  expect_factors_are_seen(measured);
}

// Twins: keys and steps that differ from what the formulas are asked about.

/// Five key sets whose rows have `noise_factor` times the noise, changed by `change`, against the formulas for `params`.
Measurements measure_twins(const Params& params, double noise_factor,
                           const std::function<void(CompressedKeySet&)>& change) {
  Measurements out;
  for (int k = 0; k < 5; ++k) {
    test::World world = make_keys(params, fmt::format("twin {}", k), noise_factor);
    if (change) change(world.set);
    out.merge(measure(world, params, {.blocks = 400, .extracts_per_block = 4, .label = "blocks of a twin"}));
  }
  return out;
}

TEST(NoiseTwins, RowsWithOneAndAHalfTimesTheVarianceAreSeenInEveryStepThatUsesThem) {
  for (const double factor : {1.5, 1 / 1.5}) {
    const Measurements measured = measure_twins(noisy_toy(), std::sqrt(factor), {});
    for (const Step step : {Step::cast, Step::bootstrap, Step::pair_keyswitch, Step::squash, Step::sns_packing,
                            Step::packing, Step::decompress}) {
      EXPECT_FALSE(measured.at(step).fits(kTolerance)) << to_string(step);
      EXPECT_NEAR(measured.at(step).ratio() / factor, 1, 0.2) << to_string(step);
    }
    for (const Step step : {Step::switch_pbs, Step::switch_sns, Step::storage})
      EXPECT_TRUE(measured.at(step).fits(kTolerance)) << to_string(step) << ": " << measured.at(step).ratio();
  }
}

TEST(NoiseTwins, OtherTechniquesAndModuliAreSeen) {
  const Params params = test::params("witan_toy_b");
  expect_all_fit(measure_twins(params, 1, {}));
  const Measurements measured = measure_twins(params, 1, [](CompressedKeySet& set) {
    set.server_key.bootstrap.modulus_switch = StandardSwitch{};
    set.server_key.sns->bootstrap.modulus_switch = StandardSwitch{};
    set.server_key.compression->storage_log_modulus -= 1;
  });
  for (const Step step : {Step::switch_pbs, Step::switch_sns, Step::storage})
    EXPECT_FALSE(measured.at(step).fits(kTolerance)) << to_string(step);
  EXPECT_TRUE(measured.at(Step::bootstrap).fits(kTolerance));
}

}  // namespace
}  // namespace witan::tfhe::noise
