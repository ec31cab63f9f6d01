#include "protocols/key_assembly.h"

#include <gtest/gtest.h>

#include "protocols/key_rows_world.h"

namespace witan::protocols {
namespace {

tfhe::KeySetOptions options() {
  return {.tag = Bytes(32, 1), .progress = {}};
}

std::size_t component_of(const KeySetAssembly& assembly, tfhe::ComponentKind kind) {
  return static_cast<std::size_t>(std::ranges::find(assembly.components(), kind, &tfhe::Component::kind) -
                                  assembly.components().begin());
}

// threshold-tfhe.md 3.1: the record holds the 16 bytes reversed.
TEST(PublicSeed, IsTheEncodingReadAsABigEndianNumber) {
  Gr<Z128> opened{{0, 1, 2, 3}};
  Bytes bytes(64);
  for (std::uint8_t i = 0; i < 16; ++i) bytes[i] = static_cast<std::uint8_t>(0xa0 + i);
  opened.c[0] = load_le<u128>(bytes.data());
  const Bytes record = tfhe::key_set_seed(public_seed_of(opened)).data;
  ASSERT_EQ(record.size(), 24u);
  for (std::size_t i = 0; i < 16; ++i) EXPECT_EQ(record[8 + i], bytes[15 - i]);
}

TEST(KeySetAssemblyTest, TakesPiecesOfComponentsInAnyOrder) {
  const auto params = tfhe::params_by_name("witan_toy_a").value();
  KeySetAssembly assembly(params, 5, options());
  for (std::size_t i = assembly.components().size(); i-- > 0;) {
    const tfhe::Component& component = assembly.components()[i];
    tfhe::u64 word = 0;
    const auto fill = [&]<class Z>(Z) {
      while (assembly.missing(i) > 0) {
        std::vector<Gr<Z>> piece(std::min<std::uint64_t>(assembly.missing(i), 7));
        for (Gr<Z>& element : piece)
          for (Z& c : element.c)
            if (word < component.rows * component.body_words()) c = ++word;
        ASSERT_TRUE(assembly.add<Z>(i, piece));
      }
    };
    if (component.word_bits == 64)
      fill(Z64{});
    else
      fill(Z128{});
  }
  const auto set = assembly.take();
  const auto empty = tfhe::empty_key_set(params, 5, options());
  EXPECT_EQ(set.seed, empty.seed);
  EXPECT_EQ(set.server_key.tag, empty.server_key.tag);
  for (const tfhe::Component& component : tfhe::key_components(params)) {
    const auto expect_counted = [&](const auto& bodies) {
      ASSERT_EQ(bodies.size(), component.rows * component.body_words());
      for (std::size_t j = 0; j < bodies.size(); ++j) ASSERT_TRUE(bodies[j] == j + 1) << to_string(component.kind);
    };
    if (component.word_bits == 64)
      expect_counted(tfhe::component_bodies<Z64>(set, component.kind));
    else
      expect_counted(tfhe::component_bodies<Z128>(set, component.kind));
  }
}

// `test` has ten encryptions of zero: two values in the third element.
TEST(KeySetAssemblyTest, FillOfTheLastElementThatIsNotZeroIsRefused) {
  const auto params = tfhe::params_by_name("test").value();
  KeySetAssembly assembly(params, 5, options());
  const std::size_t zeros = component_of(assembly, tfhe::ComponentKind::drift_zeros);
  ASSERT_EQ(assembly.missing(zeros), 3u);
  std::vector<Gr<Z64>> opened(3, Gr<Z64>{{1, 2, 0, 0}});
  opened[2].c[3] = 1;
  const Status refused = assembly.add<Z64>(zeros, opened);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::internal);
  EXPECT_NE(refused.error().message.find("modulus switch zeros"), std::string::npos) << refused.error().message;
  EXPECT_EQ(assembly.missing(zeros), 3u);
  opened[2].c[3] = 0;
  EXPECT_TRUE(assembly.add<Z64>(zeros, opened));
}

TEST(KeySetAssemblyTest, MissingTooManyOrForeignElementsAreBugs) {
  const auto params = tfhe::params_by_name("witan_toy_a").value();
  KeySetAssembly assembly(params, 5, options());
  EXPECT_DEATH((void)assembly.take(), "missing");
  EXPECT_DEATH((void)assembly.add<Z64>(0, std::vector<Gr<Z64>>(assembly.missing(0) + 1)), "missing");
  EXPECT_DEATH((void)assembly.add<Z128>(0, std::vector<Gr<Z128>>(1)), "word_bits");
}

}  // namespace
}  // namespace witan::protocols
