// Partial decryption (threshold-tfhe.md 7.1) against its definition, on every instruction set and by both kinds of products.
#include <gtest/gtest.h>

#include "algebra/operands.h"
#include "protocols/decrypt.h"
#include "support/support.h"
#include "tfhe/bootstrap.h"
#include "tfhe/packing.h"

namespace witan::protocols {
namespace {

using algebra::DotTarget;
using algebra::test::Kind;
using algebra::test::kKinds;
using algebra::test::word_of;

/// Runs on one set of instructions. One that the processor lacks is skipped under its name.
class PartialDecryption : public testing::TestWithParam<DotTarget> {
 protected:
  void SetUp() override {
    if (!available(GetParam())) GTEST_SKIP() << "this processor has no " << to_string(GetParam());
    algebra::choose_dot_target(GetParam());
  }
  void TearDown() override { algebra::choose_dot_target(std::nullopt); }
};
INSTANTIATE_TEST_SUITE_P(Each, PartialDecryption, testing::ValuesIn(algebra::kDotTargets), [](const auto& info) {
  std::string name = to_string(info.param);
  std::erase(name, '-');
  return name;
});

std::vector<Share<Z128>> shares_of(Kind kind, std::size_t count, Rng& rng) {
  std::vector<Share<Z128>> out(count);
  for (auto& share : out)
    for (Z128& c : share.value.c) c = word_of(kind, rng);
  return out;
}

tfhe::PartialGlwe<Z128> glwe_of(Kind kind, std::size_t k, std::size_t n, std::size_t bodies, Rng& rng) {
  tfhe::PartialGlwe<Z128> out{std::vector<Z128>(k * n + bodies), k, n};
  for (Z128& word : out.data) word = word_of(kind, rng);
  return out;
}

/// b - <a, key>, entry by entry.
Gr<Z128> definition(std::span<const Share<Z128>> key, const tfhe::Lwe<Z128>& ciphertext) {
  Gr<Z128> out = Gr<Z128>::from_base(ciphertext.body());
  for (std::size_t i = 0; i < key.size(); ++i) out -= key[i].value * ciphertext.mask()[i];
  return out;
}

TEST_P(PartialDecryption, OfLwesIsTheDefinition) {
  witan::test::SeededRng rng("lwes");
  for (const std::size_t dimension : {1u, 16u, 4096u, 6144u})
    for (const Kind kind_of_key : kKinds)
      for (const Kind kind : kKinds) {
        const auto shares = shares_of(kind_of_key, dimension, rng);
        const SharedKey key(shares);
        std::vector<tfhe::Lwe<Z128>> lwes(3, tfhe::Lwe<Z128>(dimension));
        for (auto& lwe : lwes)
          for (Z128& word : lwe.data) word = word_of(kind, rng);
        const auto parts = partial_decrypt(key, lwes);
        ASSERT_EQ(parts.reveal().size(), lwes.size());
        for (std::size_t i = 0; i < lwes.size(); ++i)
          EXPECT_EQ(parts.reveal()[i].value, definition(shares, lwes[i])) << dimension;
      }
}

struct Shape {
  std::size_t k, n;
};

TEST_P(PartialDecryption, OfAGlweIsThatOfItsExtractedBlocksByBothKindsOfProducts) {
  witan::test::SeededRng rng("glwes");
  for (const auto& [k, n] : {Shape{1, 8}, {2, 16}, {1, 64}, {3, 128}})
    for (const Kind kind_of_key : kKinds)
      for (const Kind kind : kKinds) {
        const auto shares = shares_of(kind_of_key, k * n, rng);
        const SharedKey key(shares);
        const auto glwe = glwe_of(kind, k, n, n, rng);
        const auto lwes = tfhe::extract_all<Z128>(std::span(&glwe, 1));
        std::vector<Gr<Z128>> expected;
        for (const auto& lwe : lwes) expected.push_back(definition(shares, lwe));
        for (const auto& [first, count] : {std::pair<std::size_t, std::size_t>{0, n}, {0, 1}, {n - 1, 1}, {2, 5}})
          for (const auto products : {GlweProducts::dot, GlweProducts::transform}) {
            const auto parts = partial_decrypt(key, glwe, first, count, products);
            ASSERT_EQ(parts.reveal().size(), count);
            for (std::size_t i = 0; i < count; ++i)
              EXPECT_EQ(parts.reveal()[i].value, expected[first + i]) << k << " " << n << " " << first + i;
          }
      }
}

// The shape of C-bar. Which products are taken must not be seen.
TEST_P(PartialDecryption, AtTheSizeOfTheSquashedCompressionKey) {
  witan::test::SeededRng rng("size");
  const auto shares = shares_of(Kind::random, 6144, rng);
  const SharedKey key(shares);
  const auto glwe = glwe_of(Kind::random, 6, 1024, 128, rng);
  const SquashedBlocks blocks(std::vector{glwe});
  const auto lwes = tfhe::extract_all(blocks.glwes());
  for (const std::size_t count : {std::size_t{1}, std::size_t{16}, std::size_t{128}}) {
    const auto parts = partial_decrypt(key, glwe, 0, count);
    for (const std::size_t i : {std::size_t{0}, count / 2, count - 1})
      EXPECT_EQ(parts.reveal()[i].value, definition(shares, lwes[i]));
  }
  EXPECT_EQ(cheaper_products(key, glwe, 1), GlweProducts::dot);
  EXPECT_EQ(cheaper_products(key, glwe, 128), GlweProducts::transform);
}

TEST(SquashedBlocks, PiecesAreAllBlocksInOrderAndNoneCrossesAGlwe) {
  witan::test::SeededRng rng("pieces");
  const auto key_shares = shares_of(Kind::random, 32, rng);
  const SharedKey key(key_shares);
  std::vector<tfhe::PartialGlwe<Z128>> glwes;
  for (const std::size_t bodies : {16u, 16u, 3u}) glwes.push_back(glwe_of(Kind::random, 2, 16, bodies, rng));
  const auto lwes = tfhe::extract_all<Z128>(glwes);
  for (const SquashedBlocks& blocks : {SquashedBlocks(glwes), SquashedBlocks(lwes)}) {
    ASSERT_EQ(blocks.size(), 35u);
    std::size_t next = 0;
    for (const auto& piece : blocks.pieces()) {
      EXPECT_EQ(piece.first, next);
      const auto parts = blocks.partial_decrypt(key, piece);
      ASSERT_EQ(parts.reveal().size(), piece.count);
      for (std::size_t i = 0; i < piece.count; ++i)
        EXPECT_EQ(parts.reveal()[i].value, definition(key_shares, lwes[piece.first + i]));
      next += piece.count;
    }
    EXPECT_EQ(next, 35u);
  }
  EXPECT_TRUE(SquashedBlocks().empty());
  EXPECT_TRUE(SquashedBlocks().pieces().empty());
}

}  // namespace
}  // namespace witan::protocols
