// docs/noise.md shows what the formulas give, and the formulas give what others publish.
#include <gtest/gtest.h>

#include <cmath>

#include "noise_formulas.h"
#include "support/support.h"
#include "tfhe/tfhe_testing.h"

namespace witan::tfhe::noise {
namespace {

TEST(NoiseDocument, ItsTablesAreThoseOfTheFormulas) {
  const Bytes raw = witan::test::read_file(witan::test::data_path("../../docs/noise.md"));
  const std::string text(raw.begin(), raw.end());
  for (const char* name : {"default", "test", "witan_toy_b"}) {
    const std::string table = budget_table(test::params(name));
    EXPECT_NE(text.find(table), std::string::npos) << "docs/noise.md should have for " << name << ":\n" << table;
  }
  EXPECT_NE(text.find(decoding_table()), std::string::npos) << "docs/noise.md should have:\n" << decoding_table();
}

// The published failure probability of the default set, 2^-129.581 (threshold-tfhe.md 1.1), is that of a bootstrap of a
// block of noise level 5.
TEST(NoiseFormulas, GiveThePublishedFailureProbabilityOfTheDefaultSet) {
  for (const BudgetLine& line : budget(test::params("default"))) {
    if (line.step != "modulus switch to 2N, bootstrap decides") continue;
    EXPECT_NEAR(log2_two_sided_tail(line.half_box / std::sqrt(line.total)), -129.581, 0.5);
    return;
  }
  FAIL() << "no such line";
}

// threshold-tfhe.md 1.3: rounding of the decomposition 2^64.1, key noise 2^63.4.
TEST(NoiseFormulas, GiveTheSpecifiedNoiseOfSquashedCiphertexts) {
  const Params params = test::params("default");
  std::vector<u64> identity(16);
  for (u64 i = 0; i < 16; ++i) identity[i] = i;
  const PlaintextSpace space{4, 4};
  const Added squashed =
      blind_rotation(squash_of(params, KeyWeights::expected(params)), table_square(identity, space), space);
  EXPECT_NEAR(std::log2(squashed.rounding) / 2, 64.1, 0.1);
  EXPECT_NEAR(std::log2(squashed.key) / 2, 63.4, 0.1);
}

TEST(NoiseFormulas, TailsAgreeWhereBothFormsHold) {
  EXPECT_NEAR(log2_two_sided_tail(1.959964), std::log2(0.05), 1e-6);
  EXPECT_NEAR(log2_two_sided_tail(30), std::log2(std::erfc(30 / std::sqrt(2))), 1e-5);
  EXPECT_LT(log2_two_sided_tail(1000), -721'000);
}

}  // namespace
}  // namespace witan::tfhe::noise
