// The masks of decryptions as integers, opened from the shares of t + 1 parties, against docs/noise.md.
#include <gtest/gtest.h>

#include <cmath>

#include "algebra/shamir.h"
#include "mpc/set_keys_for_test.h"
#include "noise_formulas.h"
#include "statistics.h"
#include "tfhe/encrypt.h"

namespace witan::tfhe::noise {
namespace {

using mpc::Gr;
using mpc::Z128;

std::vector<i128> opened_masks(CommitteeSize committee, std::size_t count) {
  const auto keys = mpc::test::make_set_keys(committee, std::string("noise of masks"));
  std::vector<Role> roles;
  for (int i = 1; i <= committee.threshold() + 1; ++i) roles.emplace_back(i);
  const auto weights = algebra::lagrange_at<Z128>(roles, Gr<Z128>{});
  std::vector<Gr<Z128>> sums(count);
  for (const Role role : roles) {
    const auto masks = mpc::MaskGenerator(keys[role.index()]).masks({11}, crypto::Digest{13}, 0, count).value();
    for (std::size_t q = 0; q < count; ++q) sums[q] += masks.reveal()[q].value * weights[role.index()];
  }
  std::vector<i128> out;
  for (const auto& sum : sums) {
    EXPECT_EQ(sum, Gr<Z128>::from_base(sum.c[0]));
    out.push_back(static_cast<i128>(sum.c[0]));
  }
  return out;
}

TEST(NoiseOfMasks, IsTheSumOfTwoUniformDrawsPerSet) {
  for (const auto& [n, t, count] : {std::tuple{4, 1, 10'000u}, std::tuple{13, 4, 3'000u}}) {
    const auto committee = CommitteeSize::make(n, t).value();
    const std::size_t sets = mpc::key_sets(committee).size();
    const i128 bound = (i128{2} * static_cast<i128>(sets)) << mpc::kMaskBoundLog2;
    Measured measured;
    for (const i128 mask : opened_masks(committee, count)) {
      ASSERT_TRUE(mask >= -bound && mask <= bound);
      measured.add(static_cast<double>(mask), mask_variance(sets));
      // Noise of the size that the masks are made for, on either side, never changes a decoded value.
      for (const i128 noise : {i128{1} << 70, -(i128{1} << 70)})
        for (const u64 m : {0u, 7u, 15u})
          ASSERT_EQ(decode<u128>((u128{m} << 123) + static_cast<u128>(noise + mask), PlaintextSpace{4, 4}), m);
    }
    const double tolerance = 5 * std::sqrt(2.0 / static_cast<double>(count));  // the sum is close to a normal law
    fmt::print("masks of ({}, {}): {} samples, variance {:.3f} of the formula, largest {:.2f} sigma\n", n, t,
               measured.count(), measured.ratio(), measured.largest());
    EXPECT_TRUE(measured.fits(tolerance)) << measured.ratio();
    EXPECT_LT(std::abs(measured.mean()), 5 / std::sqrt(static_cast<double>(count)));
    for (const double factor : {1.5, 1 / 1.5, 2.0, 0.5})  // 0.5: one draw per set instead of two
      EXPECT_FALSE(measured.scaled(std::sqrt(factor)).fits(tolerance)) << factor;
  }
}

}  // namespace
}  // namespace witan::tfhe::noise
