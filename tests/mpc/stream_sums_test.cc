#include "mpc/stream_sums.h"

#include <gtest/gtest.h>

#include "crypto/aes.h"
#include "mpc/prss.h"
#include "support/support.h"

namespace witan::mpc {
namespace {

using witan::test::SeededRng;

struct Code {
  SumTarget target;
  const sums::Kernels& kernels;
};
const Code kCodes[] = {
    {SumTarget::avx512_vnni, sums::kAvx512Vnni}, {SumTarget::avx2, sums::kAvx2}, {SumTarget::scalar, sums::kScalar}};

class SumKernels : public testing::TestWithParam<std::size_t> {
 protected:
  void SetUp() override {
    if (!available(code().target)) GTEST_SKIP() << "this processor has no " << to_string(code().target);
  }
  static const Code& code() { return kCodes[GetParam()]; }
};
INSTANTIATE_TEST_SUITE_P(Each, SumKernels, testing::Values(0, 1, 2), [](const auto& info) {
  std::string name = to_string(kCodes[info.param].target);
  std::erase(name, '-');
  return name;
});

struct alignas(64) Operands {
  std::array<u128, sums::kStreams * sums::kCounters> blocks{};
  std::array<std::int64_t, sums::kMaxSums> sums{};
  std::array<std::array<std::int16_t, 4>, sums::kStreams> factor{};

  std::array<std::uint32_t, sums::kStreams * 2> factors() const {
    std::array<std::uint32_t, sums::kStreams * 2> out{};
    for (std::size_t s = 0; s < sums::kStreams; ++s)
      for (std::size_t c = 0; c < 4; ++c)
        out[s / 2 * 4 + c] |= std::uint32_t{static_cast<std::uint16_t>(factor[s][c])} << 16 * (s % 2);
    return out;
  }
};

/// After `times` calls: sums of (block - 0x8000 in every limb) times factor, modulo the ring.
template <Word Z>
void check_sums(const sums::Kernels& kernels, Operands& operands, std::size_t pairs, std::uint64_t times) {
  constexpr std::size_t kHalves = sizeof(Z) / 8;
  operands.sums.fill(0);
  const auto factors = operands.factors();
  for (std::uint64_t i = 0; i < times; ++i)
    (kHalves == 1 ? kernels.low_half : kernels.both_halves)(operands.blocks.data(), pairs, factors.data(),
                                                            operands.sums.data());
  for (std::size_t l = 0; l < sums::kCounters; ++l)
    for (std::size_t c = 0; c < 4; ++c) {
      Z expected = 0, got = 0;
      for (std::size_t s = 0; s < 2 * pairs; ++s) {
        const u128 offset = sums::kLimbOffset | u128{sums::kLimbOffset} << 64;
        expected += static_cast<Z>(operands.blocks[s * sums::kCounters + l] - offset) *
                    static_cast<Z>(operands.factor[s][c]) * static_cast<Z>(times);
      }
      for (std::size_t half = kHalves; half-- > 0;) {
        const std::int64_t* const at = operands.sums.data() + sums::place(kHalves, l, half, c);
        EXPECT_LT(std::abs(at[0]), std::int64_t{1} << 62);
        if constexpr (kHalves == 2) got <<= 64;
        got += static_cast<Z>(at[0]) + (static_cast<Z>(at[1]) << 32);
      }
      ASSERT_TRUE(got == expected) << "counter " << l << ", coefficient " << c;
    }
}

void check_both(const sums::Kernels& kernels, Operands& operands, std::size_t pairs, std::uint64_t times = 1) {
  check_sums<Z64>(kernels, operands, pairs, times);
  check_sums<Z128>(kernels, operands, pairs, times);
}

/// Factors that weigh as much as a tile may: one large one, or many, of either sign.
std::vector<std::array<std::int16_t, sums::kStreams>> heaviest() {
  std::vector<std::array<std::int16_t, sums::kStreams>> out(4);
  out[0] = {32767, 32767, 1};
  out[1] = {-32768, -32767};
  out[2] = {1, -32767, -32767};
  out[3].fill(sums::kMaxWeight / sums::kStreams);
  for (std::size_t s = 0; s < sums::kStreams; s += 3) out[3][s] = static_cast<std::int16_t>(-out[3][s]);
  return out;
}

TEST_P(SumKernels, ExtremeBlocksAndFactorsGiveTheSumsOfTheDefinition) {
  constexpr std::uint64_t kPatterns[] = {0, ~std::uint64_t{0}, 0x8000'8000'8000'8000, 0x7fff'7fff'7fff'7fff,
                                         0x0000'ffff'8000'7fff};
  for (const auto& column : heaviest())
    for (const std::uint64_t high : kPatterns)
      for (const std::uint64_t low : kPatterns) {
        Operands operands;
        operands.blocks.fill(u128{high} << 64 | low);
        for (std::size_t s = 0; s < sums::kStreams; ++s) operands.factor[s].fill(column[s]);
        check_both(code().kernels, operands, sums::kStreams / 2);
      }
}

TEST_P(SumKernels, RandomOperandsGiveTheSumsOfTheDefinition) {
  SeededRng rng("sum kernels");
  for (std::size_t pairs = 0; pairs <= sums::kStreams / 2; ++pairs) {
    Operands operands;
    for (u128& block : operands.blocks) block = rng.next<u128>();
    for (auto& factor : operands.factor)
      for (std::int16_t& c : factor)
        c = static_cast<std::int16_t>(static_cast<int>(rng.next<std::uint16_t>() % 8191) - 4095);
    check_both(code().kernels, operands, pairs);
  }
}

// The sums of all tiles together weigh less than 2^30: 16,384 of the heaviest ones.
TEST_P(SumKernels, SumsOfTheHeaviestTilesDoNotOverflow) {
  for (const std::uint64_t pattern : {std::uint64_t{0}, ~std::uint64_t{0}}) {
    Operands operands;
    operands.blocks.fill(u128{pattern} << 64 | pattern);
    operands.factor[0].fill(32767);
    operands.factor[1].fill(32767);
    check_both(code().kernels, operands, 1, 16384);
  }
}

/// Every pair of instruction sets of the two kernels that sums consist of.
class SumTargets : public testing::TestWithParam<std::tuple<AesTarget, SumTarget>> {
 protected:
  void SetUp() override {
    const auto [aes, sum] = GetParam();
    if (!available(aes)) GTEST_SKIP() << "this processor has no " << to_string(aes);
    if (!available(sum)) GTEST_SKIP() << "this processor has no " << to_string(sum);
    choose_aes_target(aes);
    choose_sum_target(sum);
    EXPECT_EQ(sum_target(), sum);
  }
  void TearDown() override {
    choose_aes_target(std::nullopt);
    choose_sum_target(std::nullopt);
  }
};
INSTANTIATE_TEST_SUITE_P(Each, SumTargets,
                         testing::Combine(testing::ValuesIn(kAesTargets), testing::ValuesIn(kSumTargets)),
                         [](const auto& info) {
                           std::string name = std::string(to_string(std::get<0>(info.param))) + "_" +
                                              to_string(std::get<1>(info.param));
                           std::erase(name, '-');
                           return name;
                         });

template <Word Z>
void check_streams(std::size_t count, std::uint64_t first, std::size_t counters, bool heavy, SeededRng& rng) {
  std::vector<SetKey> keys(count / 3 + 1);
  for (SetKey& key : keys) rng.fill(key);
  keys[0].fill(0xff);
  std::vector<typename StreamSums<Z>::Stream> streams(count);
  for (auto& stream : streams) {
    stream.key = rng.next<std::uint16_t>() % keys.size();
    stream.high = rng.next<std::uint64_t>();
    for (std::int16_t& c : stream.factor) {
      c = rng.next<std::int16_t>();
      if (heavy) c = c % 2 == 0 ? 32767 : -32768;
    }
  }
  std::vector<Share<Z>> out(counters);
  typename StreamSums<Z>::Scratch scratch;
  StreamSums<Z>(keys, streams).sums(first, std::span(out), scratch);
  for (std::size_t l = 0; l < counters; ++l) {
    Gr<Z> expected;
    for (const auto& stream : streams) {
      SetKey block;
      store_le(u128{stream.high} << 64 | (first + l), block.data());
      crypto::Aes128(keys[stream.key]).encrypt(block);
      for (std::size_t c = 0; c < 4; ++c)
        expected.c[c] += static_cast<Z>(load_le<u128>(block.data())) * static_cast<Z>(stream.factor[c]);
    }
    EXPECT_EQ(out[l].value, expected) << count << " streams, counter " << first + l;
  }
}

TEST_P(SumTargets, EqualTheDefinition) {
  SeededRng rng("stream sums");
  for (const bool heavy : {false, true})
    for (const std::size_t count : {0u, 1u, 2u, 3u, 15u, 16u, 17u, 33u, 50u})
      for (const auto& [first, counters] : {std::pair<std::uint64_t, std::size_t>{0, 1},
                                            {1000, 0},
                                            {7, sums::kCounters - 1},
                                            {(1u << 28) - 65, sums::kCounters + 1}}) {
        check_streams<Z64>(count, first, counters, heavy, rng);
        check_streams<Z128>(count, first, counters, heavy, rng);
      }
}

}  // namespace
}  // namespace witan::mpc
