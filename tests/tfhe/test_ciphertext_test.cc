#include "tfhe/test_ciphertext.h"

#include <gtest/gtest.h>

#include <optional>

#include "support/support.h"
#include "tfhe/evaluate.h"
#include "tfhe/expand.h"
#include "tfhe_testing.h"

namespace witan::tfhe {
namespace {

KeyId key_id(std::uint8_t first) {
  ByteArray<32> bytes{};
  bytes[0] = first;
  return KeyId(bytes);
}

std::shared_ptr<const CompressedKeySet> shared(CompressedKeySet set) {
  return std::make_shared<const CompressedKeySet>(std::move(set));
}

Result<TestCiphertext> make(std::shared_ptr<const CompressedKeySet> set, const KeyId& key) {
  WITAN_ASSIGN(auto maker, TestCiphertextMaker::begin(std::move(set), key));
  while (!maker.done()) maker.next();
  return maker.take();
}

/// What the two forms decrypt to with the dealer's keys.
struct Opened {
  U256 expanded, compressed;
};
Opened decrypt(const SecretKeySet& keys, const TestCiphertext& test) {
  const auto value = [&](std::span<const Lwe<u128>> lwes, KeyName name) {
    std::vector<std::uint8_t> pairs;
    for (const auto& lwe : lwes) pairs.push_back(decode_pair(phase(lwe, keys.bits(name))));
    return recombine(FheType::uint64, pairs).value();
  };
  return {value(test.expanded, KeyName::sns), value(extract_all<u128>(test.compressed), KeyName::sns_compression)};
}

std::vector<u64> words_of(const nlohmann::json& text) {
  const Bytes bytes = witan::test::hex(text.get<std::string>());
  std::vector<u64> out(bytes.size() / 8);
  std::memcpy(out.data(), bytes.data(), bytes.size());
  return out;
}

TEST(TestList, IsThatOfTheVectors) {
  for (const auto& entry : witan::test::read_json("threshold-tfhe/key_confirmation.json")) {
    CompactPublicKey key{.data = words_of(entry.at("public_key")), .params = {}, .tag = {}};
    key.params.lwe_dimension = entry.at("lwe_dimension").get<std::size_t>();
    key.params.noise.bound_log2 = entry.at("noise_bound_log2").get<std::uint32_t>();
    const auto test = make_test_list(key, KeyId::parse(entry.at("key_id").get<std::string>()).value());
    ASSERT_TRUE(test) << test.error().message;
    EXPECT_EQ(test->value, entry.at("value").get<u64>());
    EXPECT_EQ(test->list.data, words_of(entry.at("list")));
    EXPECT_FALSE(test->list.is_packed());
    EXPECT_EQ(test->list.ciphertext_count, 32u);
  }
}

class TestCiphertextOf : public ::testing::TestWithParam<const char*> {
 protected:
  const test::World& world_ = test::world(GetParam());
};
INSTANTIATE_TEST_SUITE_P(Sets, TestCiphertextOf, ::testing::Values("test", "test_reshare", "witan_toy_b"),
                         [](const auto& info) { return std::string(info.param); });

TEST_P(TestCiphertextOf, BothFormsDecryptToTheValue) {
  for (std::uint8_t i = 1; i <= 3; ++i) {
    const auto test = make(shared(world_.set), key_id(i)).value();
    const Opened opened = decrypt(world_.keys, test);
    EXPECT_EQ(opened.expanded, U256(test.value));
    EXPECT_EQ(opened.compressed, U256(test.value));
  }
}

// Piece by piece or as a whole, with other functions: the same bytes, which all parties must have.
TEST_P(TestCiphertextOf, IsWhatACoprocessorMakesOfTheList) {
  const auto& key = world_.set.server_key;
  const auto test = make(shared(world_.set), key_id(4)).value();
  const auto list = make_test_list(public_key_of(world_.set), key_id(4)).value();
  EXPECT_EQ(test.value, list.value);
  const ComputeKey compute = prepare_compute_key(key);
  const auto blocks = expand_compact_list(compute, prepare_cast_key(key).value(), list.list).value();
  const auto pairs = pair_blocks(blocks, key.max_noise_level).value();
  const auto squashed = squash(compute, prepare_sns_key(key).value(), std::span(pairs)).value();
  ASSERT_EQ(squashed.size(), test.expanded.size());
  for (std::size_t i = 0; i < squashed.size(); ++i) EXPECT_EQ(squashed[i].lwe, test.expanded[i]) << i;
  const auto packed = compress(prepare_sns_compression_key(key).value(), std::span(squashed)).value();
  EXPECT_EQ(list_prefix(packed, 16).value(), test.compressed);
}

TEST_P(TestCiphertextOf, ARecordGivesItBackAndNothingElseIsOne) {
  const auto test = make(shared(world_.set), key_id(5)).value();
  const Bytes record = test.encode();
  EXPECT_EQ(TestCiphertext::decode(record, world_.params).value(), test);
  EXPECT_EQ(TestCiphertext::decode(ByteView(record).first(record.size() - 1), world_.params).error().code,
            Code::data_loss);
  Bytes longer = record;
  longer.push_back(0);
  EXPECT_EQ(TestCiphertext::decode(longer, world_.params).error().code, Code::data_loss);
  for (const std::size_t at : {0u, 12u, 20u}) {  // layout, numbers of ciphertexts
    Bytes other = record;
    other[at] ^= 1;
    EXPECT_EQ(TestCiphertext::decode(other, world_.params).error().code, Code::data_loss) << at;
  }
  EXPECT_EQ(TestCiphertext::decode(record, test::params("default")).error().code, Code::data_loss);
}

/// Every body of a component another random word.
void corrupt(CompressedKeySet& set, const Component& component, Rng& rng) {
  const auto all = [&](auto& words) {
    using W = typename std::remove_reference_t<decltype(words)>::value_type;
    for (W& word : words) word = rng.next<W>();
  };
  if (component.word_bits == 64)
    all(component_bodies<u64>(set, component.kind));
  else
    all(component_bodies<u128>(set, component.kind));
}

// What confirmed() says of each component.
TEST_P(TestCiphertextOf, ACorruptedComponentMakesTheFormsWrongThatItIsSaidTo) {
  const auto honest = make(shared(world_.set), key_id(6)).value();
  witan::test::SeededRng rng("corrupt");
  std::size_t noticed = 0;
  for (const Component& component : key_components(world_.params)) {
    CompressedKeySet set = world_.set;
    corrupt(set, component, rng);
    const auto test = make(shared(std::move(set)), key_id(6)).value();
    const Opened opened = decrypt(world_.keys, test);
    const Confirmed expected = confirmed(component.kind);
    EXPECT_EQ(opened.expanded != U256(test.value), expected == Confirmed::by_both_forms) << to_string(component.kind);
    EXPECT_EQ(opened.compressed != U256(test.value), expected != Confirmed::not_at_all) << to_string(component.kind);
    if (expected == Confirmed::not_at_all) EXPECT_EQ(test, honest) << to_string(component.kind);
    noticed += expected != Confirmed::not_at_all;
  }
  EXPECT_EQ(noticed, 6u);
}

TEST(TestCiphertextMaker, RefusesSetsThatLackAPartOrDoNotFit) {
  const auto code_without = [](auto change) {
    CompressedKeySet set = test::world("test").set;
    change(set.server_key);
    const auto maker = TestCiphertextMaker::begin(shared(std::move(set)), key_id(1));
    return maker ? std::optional<Code>() : maker.error().code;
  };
  EXPECT_EQ(code_without([](auto&) {}), std::nullopt);
  EXPECT_EQ(code_without([](auto& key) { key.sns_compression.reset(); }), Code::failed_precondition);
  EXPECT_EQ(code_without([](auto& key) { key.sns_compression.reset(), key.sns.reset(); }), Code::failed_precondition);
  EXPECT_EQ(code_without([](auto& key) { key.ksk.data.pop_back(); }), Code::invalid_argument);
  EXPECT_EQ(code_without([](auto& key) { key.cast->destination = KeyChoice::big; }), Code::invalid_argument);
  EXPECT_EQ(code_without([](auto& key) { key.space.carry_modulus = 2; }), Code::invalid_argument);
}

TEST(TestCiphertextMaker, RefusesAnotherOrderOfOperations) {
  Params params = test::params("test");
  params.name = "bootstrap first";
  params.compute.encryption_key = KeyChoice::small;
  params.compression.reset();
  params.rerandomization.reset();
  const auto maker = TestCiphertextMaker::begin(shared(test::make_world(params).set), key_id(1));
  ASSERT_FALSE(maker);
  EXPECT_EQ(maker.error().code, Code::failed_precondition) << maker.error().message;
}

}  // namespace
}  // namespace witan::tfhe
