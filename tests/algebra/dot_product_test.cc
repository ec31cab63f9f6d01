#include "algebra/dot_product.h"

#include "algebra/algebra_support.h"
#include "algebra/operands.h"

namespace witan::algebra {
namespace {

using test::Kind;
using test::kKinds;
using test::word_of;

/// Runs on one set of instructions. One that the processor lacks is skipped under its name.
class DotTargets : public testing::TestWithParam<DotTarget> {
 protected:
  void SetUp() override {
    if (!available(GetParam())) GTEST_SKIP() << "this processor has no " << to_string(GetParam());
    choose_dot_target(GetParam());
    EXPECT_EQ(dot_target(), GetParam());
  }
  void TearDown() override { choose_dot_target(std::nullopt); }
};
INSTANTIATE_TEST_SUITE_P(Each, DotTargets, testing::ValuesIn(kDotTargets), [](const auto& info) {
  std::string name = to_string(info.param);
  std::erase(name, '-');
  return name;
});

std::vector<Gr<Z128>> elements_of(Kind kind, std::size_t count, Rng& rng) {
  std::vector<Gr<Z128>> out(count);
  for (auto& each : out)
    for (Z128& c : each.c) c = word_of(kind, rng);
  return out;
}

std::vector<Z128> words_of(Kind kind, std::size_t count, Rng& rng) {
  std::vector<Z128> out(count);
  for (Z128& word : out) word = word_of(kind, rng);
  return out;
}

/// The definition.
Gr<Z128> sum_of_products(std::span<const Gr<Z128>> elements, std::span<const Z128> words) {
  Gr<Z128> out;
  for (std::size_t i = 0; i < elements.size(); ++i) out += elements[i] * words[i];
  return out;
}

TEST_P(DotTargets, EqualTheDefinitionOnRandomAndExtremeOperands) {
  witan::test::SeededRng rng("dot products");
  for (const std::size_t count : {0u, 1u, 3u, 7u, 8u, 9u, 255u, 256u, 257u, 495u, 6144u, 20000u})
    for (const Kind left : kKinds)
      for (const Kind right : kKinds) {
        const auto elements = elements_of(left, count, rng);
        const auto words = words_of(right, count, rng);
        const DotVector vector(elements);
        ASSERT_EQ(vector.size(), count);
        EXPECT_EQ(vector.multiply(words), sum_of_products(elements, words))
            << count << " " << static_cast<int>(left) << " " << static_cast<int>(right);
      }
}

TEST_P(DotTargets, ElementsComeBack) {
  witan::test::SeededRng rng("elements");
  for (const Kind kind : {Kind::random, Kind::ones, Kind::limb_edges}) {
    const auto elements = elements_of(kind, 21, rng);
    const DotVector vector(elements);
    for (std::size_t i = 0; i < elements.size(); ++i) EXPECT_EQ(vector.at(i), elements[i]);
  }
}

TEST_P(DotTargets, SeveralRightHandSidesInPiecesAreTheSingleOnes) {
  witan::test::SeededRng rng("pieces");
  constexpr std::size_t kPiece = 264, kPieces = 3, kStride = 300;
  const auto elements = elements_of(Kind::random, kPiece * kPieces, rng);
  const DotVector vector(elements);
  const auto words = words_of(Kind::random, kStride * kPieces, rng);
  std::vector<std::span<const Z128>> right;
  std::vector<Gr<Z128>> expected;
  for (std::size_t shift = 0; shift < 20; ++shift) {  // windows: 16 bytes apart, any alignment
    right.push_back(std::span(words).subspan(shift));
    std::vector<Z128> together;
    for (std::size_t p = 0; p < kPieces; ++p)
      for (std::size_t i = 0; i < kPiece; ++i) together.push_back(words[shift + p * kStride + i]);
    expected.push_back(sum_of_products(elements, together));
  }
  std::vector<Gr<Z128>> out(right.size());
  vector.multiply(right, kPiece, kStride, out);
  EXPECT_EQ(out, expected);
}

TEST_P(DotTargets, KeepTheirInstructionsWhenOthersAreChosenLater) {
  witan::test::SeededRng rng("kept");
  const auto elements = elements_of(Kind::random, 100, rng);
  const auto words = words_of(Kind::random, 100, rng);
  const DotVector vector(elements);
  choose_dot_target(DotTarget::scalar);
  EXPECT_EQ(vector.multiply(words), sum_of_products(elements, words));
  EXPECT_EQ(vector.at(99), elements[99]);
}

}  // namespace
}  // namespace witan::algebra
