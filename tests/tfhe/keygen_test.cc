#include "tfhe/keygen.h"

#include <gtest/gtest.h>

#include "support/support.h"
#include "tfhe/expand.h"
#include "tfhe_testing.h"

namespace witan::tfhe {
namespace {

constexpr std::pair<std::string_view, std::string_view> kBudgetSets[] = {{"BC_PARAMS_SNS", "default"},
                                                                         {"PARAMS_TEST_BK_SNS", "test"},
                                                                         {"PARAMS_TEST_RESHARE", "test_reshare"},
                                                                         {"WITAN_TOY_A", "witan_toy_a"},
                                                                         {"WITAN_TOY_B", "witan_toy_b"}};
const std::map<std::string, ComponentKind> kBudgetNames{
    {"public_key", ComponentKind::public_key},
    {"compression_packing_ksk", ComponentKind::compression_packing},
    {"decompression_bk", ComponentKind::decompression_bsk},
    {"ksk", ComponentKind::ksk},
    {"bk", ComponentKind::bsk},
    {"modswitch_zeros", ComponentKind::drift_zeros},
    {"sns_bk", ComponentKind::sns_bsk},
    {"sns_modswitch_zeros", ComponentKind::sns_drift_zeros},
    {"pksk", ComponentKind::cast_ksk},
    {"rerand_public_key", ComponentKind::rerandomization_key},
    {"sns_compression_packing_ksk", ComponentKind::sns_compression_packing},
    {"oprf_bk", ComponentKind::oprf_bsk}};

// Counts of tests/data/threshold-tfhe/dkg_budgets.json (arithmetic on the tables of the specification; the positions of
// the default and test sets were found in key sets of native tfhe-rs 1.7.0 too).
TEST(Components, RowsNoisesProductsAndPositionsOfAllSets) {
  const auto budgets = witan::test::read_json("threshold-tfhe/dkg_budgets.json");
  for (const auto& [vector_name, name] : kBudgetSets) {
    const auto& expected = budgets.at(std::string(vector_name));
    const auto components = key_components(test::params(name));
    ASSERT_EQ(components.size(), expected.at("components").size()) << name;
    std::uint64_t products = 0;
    u128 body_bytes = 0;
    for (std::size_t i = 0; i < components.size(); ++i) {
      const Component& c = components[i];
      const auto& row = expected.at("components")[i];
      SCOPED_TRACE(fmt::format("{} {}", name, to_string(c.kind)));
      EXPECT_EQ(c.kind, kBudgetNames.at(row.at("component")));
      EXPECT_EQ(c.rows, row.at("ciphertexts").get<std::size_t>());
      EXPECT_TRUE(c.mask_bytes() == row.at("mask_bytes").get<u64>());
      EXPECT_TRUE(c.body_bytes() == row.at("body_bytes").get<u64>());
      EXPECT_EQ(c.noise.bound_log2, row.at("tuniform_bound").get<std::uint32_t>());
      EXPECT_EQ(c.rows * c.body_words(), row.at("noises").get<std::size_t>());
      EXPECT_EQ(c.products(), row.at("triples").get<std::uint64_t>());
      EXPECT_EQ(c.word_bits, row.at("ring_bits").get<int>());
      EXPECT_TRUE(c.stream_offset_bytes == row.at("mask_offset").get<u64>());
      const StreamPosition start = StreamPosition::from_bytes(c.stream_offset_bytes);
      EXPECT_TRUE(start.block == row.at("first_index_aes").get<u64>());
      EXPECT_EQ(start.byte, row.at("first_index_byte").get<u64>());
      products += c.products();
      body_bytes += c.body_bytes();
    }
    EXPECT_TRUE(mask_stream_bytes(components) == expected.at("mask_stream_bytes").get<u64>());
    EXPECT_TRUE(body_bytes == expected.at("body_bytes").get<u64>());
    EXPECT_EQ(products, expected.at("product_triples").get<std::uint64_t>());
    EXPECT_EQ(total_key_bits(test::params(name)), expected.at("raw_bits").get<std::size_t>());
  }
}

// threshold-tfhe.md 1.2: legacy re-randomisation adds nothing when its parameters are those of the casting key.
TEST(Components, LegacyRerandomizationReusesAnEqualCastingKey) {
  const auto has = [](const Params& params, ComponentKind kind) {
    return std::ranges::any_of(key_components(params), [&](const Component& c) { return c.kind == kind; });
  };
  Params nigel = test::params("nigel");
  EXPECT_FALSE(has(nigel, ComponentKind::rerandomization_ksk));
  EXPECT_FALSE(has(nigel, ComponentKind::rerandomization_key));
  nigel.rerandomization = LegacyRerandomization{{{16, 1}, KeyChoice::big}};
  EXPECT_TRUE(has(nigel, ComponentKind::rerandomization_ksk));
  EXPECT_FALSE(has(test::params("nist_p8_lwe"), ComponentKind::rerandomization_ksk));
}

/// Masks from the stream and the generated bodies, as one expanded row.
template <Word W>
std::vector<W> expanded_row(const Component& c, const MaskReader& mask, std::span<const W> bodies, std::size_t row) {
  std::vector<W> out(c.mask_words() + c.body_words());
  expand_rows<W>(mask, c.mask_words(), c.body_words(), bodies, row, out);
  return out;
}

template <Word W>
void expect_rows_decrypt(const Component& c, const SecretKeySet& keys, const MaskReader& mask,
                         const std::vector<W>& bodies) {
  ASSERT_EQ(bodies.size(), c.rows * c.body_words());
  const auto input = c.input ? keys.bits(*c.input) : std::span<const std::uint8_t>{};
  i128 largest = 0;
  for (std::size_t row = 0; row < c.rows; ++row)
    largest =
        std::max(largest, test::row_noise<W>(c, row, expanded_row<W>(c, mask, bodies, row), keys.bits(c.under), input));
  EXPECT_TRUE(largest <= i128{1} << c.noise.bound_log2);
  // Not all noise is zero, where the law makes that impossible in practice.
  EXPECT_TRUE(largest > 0 || c.rows * c.body_words() < 40);
}

class KeyGeneration : public ::testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Sets, KeyGeneration, ::testing::Values("witan_toy_a", "witan_toy_b", "test", "test_reshare"),
                         [](const auto& info) { return std::string(info.param); });

TEST_P(KeyGeneration, EveryRowOfEveryComponentDecryptsWithinItsBound) {
  const test::World& world = test::world(GetParam());
  const CompressedKeySet& set = world.set;
  for (const Component& c : key_components(world.params)) {
    SCOPED_TRACE(to_string(c.kind));
    const MaskReader mask({set.seed, StreamPosition::from_bytes(c.stream_offset_bytes)});
    if (c.word_bits == 64)
      expect_rows_decrypt<u64>(c, world.keys, mask, component_bodies<u64>(set, c.kind));
    else
      expect_rows_decrypt<u128>(c, world.keys, mask, component_bodies<u128>(set, c.kind));
  }
}

/// Dimensions of the sets that have no vectors of their own, cut down so that all rows can be checked: k > 1, small
/// encryption keys, casts to the big key, legacy re-randomisation, no compression.
TEST(KeyGenerationShapes, SetsWithOtherPartsGenerateToo) {
  for (const std::string_view name : {"nigel", "nist_p8_lwe", "nist_p32_lwe", "nist_p8_fglwe", "nist_p32_fglwe"}) {
    SCOPED_TRACE(name);
    Params params = test::params(name);
    params.compute.lwe_dimension = 3;
    params.compute.polynomial_size = 16;
    params.pke->lwe_dimension = 16;
    params.sns->polynomial_size = 16;
    params.hamming.reset();
    if (name == "nigel") params.rerandomization = LegacyRerandomization{{{16, 1}, KeyChoice::big}};
    witan::test::SeededRng rng(name);
    const SecretKeySet keys = generate_secret_keys(params, rng);
    RngNoise noise(rng);
    CompressedKeySet set = generate_key_set(params, keys, 1, noise, {});
    for (const Component& c : key_components(params)) {
      SCOPED_TRACE(to_string(c.kind));
      const MaskReader mask({set.seed, StreamPosition::from_bytes(c.stream_offset_bytes)});
      if (c.word_bits == 64)
        expect_rows_decrypt<u64>(c, keys, mask, component_bodies<u64>(set, c.kind));
      else
        expect_rows_decrypt<u128>(c, keys, mask, component_bodies<u128>(set, c.kind));
    }
  }
}

TEST(KeyGenerationFields, AreThoseOfTheSpecification) {
  const CompressedKeySet& set = test::world("test").set;
  EXPECT_EQ(set.seed.data.size(), 24u);
  EXPECT_FALSE(set.starts_at_second_byte);
  EXPECT_EQ(set.public_key.tag, Bytes(32, 7));
  const CompressedServerKey& key = set.server_key;
  EXPECT_EQ(key.tag, Bytes(32, 7));
  EXPECT_EQ(key.max_degree, 12u);
  EXPECT_EQ(key.max_noise_level, 5u);
  EXPECT_EQ(key.order, PbsOrder::keyswitch_bootstrap);
  EXPECT_EQ(key.cast->destination, KeyChoice::small);
  EXPECT_EQ(key.compression->storage_log_modulus, 9u);
  EXPECT_EQ(key.decompression->bootstrap.modulus_switch, SeededModulusSwitch{StandardSwitch{}});
  const auto& drift = std::get<SeededDrift>(key.bootstrap.modulus_switch);
  EXPECT_EQ(drift.zeros.data.size(), 10u);
  EXPECT_EQ(drift.bound, 288230376151711744.0);
  EXPECT_EQ(std::get<SeededDrift>(key.sns->bootstrap.modulus_switch).zeros.data.size(), 8u);
  EXPECT_EQ(std::get<SeededCompactKey>(*key.rerandomization).params,
            test::params("test").derived_rerandomization_key());
  EXPECT_TRUE(
      std::holds_alternative<CenteredMeanSwitch>(test::world("witan_toy_b").set.server_key.bootstrap.modulus_switch));
}

TEST(KeyGenerationRows, ChunksGiveTheRowsOfTheWhole) {
  const Params params = test::params("witan_toy_a");
  witan::test::SeededRng rng("chunks");
  const SecretKeySet keys = generate_secret_keys(params, rng);
  for (const Component& c : key_components(params)) {
    if (c.word_bits != 128) continue;
    const MaskReader mask({key_set_seed(9), StreamPosition::from_bytes(c.stream_offset_bytes)});
    witan::test::SeededRng one("noise"), two("noise");
    RngNoise noise_one(one), noise_two(two);
    std::vector<u128> whole(c.rows * c.body_words()), parts(whole.size());
    const KeyFactor<u128> factor(c, keys.bits(c.under));
    generate_bodies<u128>(c, keys, factor, mask, noise_one, 0, c.rows, whole);
    for (std::size_t row = 0; row < c.rows; row += 5) {
      const std::size_t count = std::min<std::size_t>(5, c.rows - row);
      generate_bodies<u128>(c, keys, factor, mask, noise_two, row, count,
                            std::span(parts).subspan(row * c.body_words(), count * c.body_words()));
    }
    EXPECT_TRUE(whole == parts) << to_string(c.kind);
  }
}

/// A distributed generation applies the formulas to planes of shares: they must be linear and agree with the bit path.
TEST(KeyGenerationRows, PlanesOfASumAddUpToTheProductWithTheKey) {
  const Params params = test::params("witan_toy_a");
  witan::test::SeededRng rng("planes");
  const SecretKeySet keys = generate_secret_keys(params, rng);
  for (const Component& c : key_components(params)) {
    if (c.word_bits != 64) continue;
    const auto key = keys.bits(c.under);
    std::vector<u64> mask(c.mask_words()), first(key.size()), second(key.size());
    for (u64& word : mask) word = rng.next<u64>();
    for (std::size_t i = 0; i < key.size(); ++i) {
      first[i] = rng.next<u64>();
      second[i] = key[i] - first[i];
    }
    std::vector<u64> direct(c.body_words()), shared(c.body_words());
    KeyFactor<u64>(c, key).multiply_add(direct, mask);
    KeyFactor<u64>(c, std::span<const u64>(first)).multiply_add(shared, mask);
    KeyFactor<u64>(c, std::span<const u64>(second)).multiply_add(shared, mask);
    EXPECT_EQ(direct, shared) << to_string(c.kind);
  }
}

TEST(KeyGenerationDeterminism, EqualInputsGiveEqualSets) {
  const Params params = test::params("witan_toy_a");
  const auto make = [&] {
    witan::test::SeededRng rng("same");
    const SecretKeySet keys = generate_secret_keys(params, rng);
    RngNoise noise(rng);
    return generate_key_set(params, keys, 3, noise, {});
  };
  EXPECT_TRUE(make() == make());
}

TEST(KeyGenerationProgress, RunsFromZeroToOne) {
  const Params params = test::params("witan_toy_a");
  witan::test::SeededRng rng("progress");
  const SecretKeySet keys = generate_secret_keys(params, rng);
  RngNoise noise(rng);
  double last = 0;
  generate_key_set(params, keys, 3, noise, {.tag = {}, .max_degree = 12, .progress = [&](double fraction) {
                                              EXPECT_GT(fraction, last);
                                              last = fraction;
                                            }});
  EXPECT_NEAR(last, 1, 1e-9);
}

/// Rows of keys that node-tfhe 1.7.0 made (tests/data/threshold-tfhe/README.md).
class KeyConventions : public ::testing::Test {
 protected:
  const nlohmann::json file_ = witan::test::read_json("threshold-tfhe/key_conventions.json");

  static std::vector<u64> words(const nlohmann::json& text) {
    const Bytes bytes = test::base64(text.get<std::string>());
    std::vector<u64> out(bytes.size() / 8);
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = load_le<u64>(bytes.data() + 8 * i);
    return out;
  }
  static MaskReader mask(const nlohmann::json& part) {
    const Bytes seed = witan::test::hex(part.at("ctr_seed_hex").get<std::string>());
    return MaskReader({CtrSeed{load_le<u128>(seed.data())}, {}});
  }
  i128 largest(const Component& c, const nlohmann::json& part, const Bits& under, const Bits& input) const {
    const auto bodies = words(part.at("bodies_le_base64"));
    EXPECT_EQ(bodies.size(), c.rows * c.body_words());
    i128 out = 0;
    for (std::size_t row = 0; row < c.rows; ++row)
      out = std::max(out, test::row_noise<u64>(c, row, expanded_row<u64>(c, mask(part), bodies, row), under, input));
    return out;
  }
  Bits small() const { return test::bits_of(file_.at("small_key").get<std::string>()); }
  Bits big() const { return test::bits_of(file_.at("big_key").get<std::string>()); }
  std::size_t value(const char* name) const { return file_.at("params").at(name).get<std::size_t>(); }
  Decomposition decomposition(const char* base, const char* level) const {
    return {static_cast<std::uint32_t>(value(base)), static_cast<std::uint32_t>(value(level))};
  }
};

TEST_F(KeyConventions, KeySwitchingRows) {
  const Component c{.kind = ComponentKind::ksk,
                    .shape = RowShape::lwe,
                    .under = KeyName::lwe_compute,
                    .input = KeyName::glwe,
                    .rows = big().size() * value("ks_level"),
                    .polynomial_size = small().size(),
                    .decomposition = decomposition("ks_base_log", "ks_level"),
                    .noise = {}};
  EXPECT_TRUE(largest(c, file_.at("ksk"), small(), big()) ==
              std::stoi(file_.at("ksk").at("max_abs_noise").get<std::string>()));
}

TEST_F(KeyConventions, BootstrapRows) {
  const std::size_t k = value("glwe_dimension");
  const Component c{.kind = ComponentKind::bsk,
                    .shape = RowShape::ggsw,
                    .under = KeyName::glwe,
                    .input = KeyName::lwe_compute,
                    .rows = small().size() * value("pbs_level") * (k + 1),
                    .glwe_dimension = k,
                    .polynomial_size = value("polynomial_size"),
                    .decomposition = decomposition("pbs_base_log", "pbs_level"),
                    .noise = {}};
  EXPECT_TRUE(largest(c, file_.at("bsk"), big(), small()) ==
              std::stoi(file_.at("bsk").at("max_abs_noise").get<std::string>()));
}

TEST_F(KeyConventions, CompactPublicKey) {
  const auto& part = file_.at("compact_public_key");
  const Bits key = test::bits_of(part.at("secret_key").get<std::string>());
  const auto data = words(part.at("mask_then_body_le_base64"));
  const Component c{.kind = ComponentKind::public_key,
                    .shape = RowShape::compact_key,
                    .under = KeyName::lwe_encryption,
                    .input = std::nullopt,
                    .rows = 1,
                    .polynomial_size = key.size(),
                    .decomposition = {},
                    .noise = {}};
  EXPECT_TRUE(test::row_noise<u64>(c, 0, data, key, {}) ==
              std::stoi(part.at("max_abs_noise_with_reversed_key").get<std::string>()));
  // The formula that generates keys gives the same product.
  std::vector<u64> body(key.size());
  KeyFactor<u64>(c, key).multiply_add(body, std::span(data).first(key.size()));
  for (std::size_t j = 0; j < key.size(); ++j)
    EXPECT_LE(std::abs(static_cast<i64>(data[key.size() + j] - body[j])), 64);
}

TEST(SecretKeys, AreCheckedAgainstTheParameters) {
  const test::World& world = test::world("witan_toy_a");
  EXPECT_TRUE(world.keys.check(world.params));
  EXPECT_FALSE(world.keys.check(test::params("test")));
  Bits all;
  for (std::size_t i = 0; i < kKeyNames; ++i) {
    const auto part = world.keys.bits(static_cast<KeyName>(i));
    all.insert(all.end(), part.begin(), part.end());
  }
  const auto again = secret_keys_from_bits(world.params, all);
  ASSERT_TRUE(again);
  for (std::size_t i = 0; i < kKeyNames; ++i)
    EXPECT_TRUE(std::ranges::equal(again->bits(static_cast<KeyName>(i)), world.keys.bits(static_cast<KeyName>(i))));
  EXPECT_EQ(again->sns->glwe_dimension(), 2u);
  all[3] = 2;
  EXPECT_EQ(secret_keys_from_bits(world.params, all).error().code, Code::invalid_argument);
  all.pop_back();
  EXPECT_EQ(secret_keys_from_bits(world.params, all).error().code, Code::invalid_argument);
}

TEST(SecretKeys, AreBalancedAndObeyAHammingBound) {
  witan::test::SeededRng rng("bits");
  const auto weight = [](std::span<const std::uint8_t> bits) {
    return static_cast<double>(std::ranges::count(bits, std::uint8_t{1}));
  };
  const SecretKeySet keys = generate_secret_keys(test::params("default"), rng);
  EXPECT_NEAR(weight(keys.bits(KeyName::sns_compression)), 3072, 10 * 39);
  EXPECT_NEAR(weight(keys.bits(KeyName::lwe_compute)), 459, 10 * 15);

  const Params bounded = test::params("nist_p8_fglwe");
  for (int round = 0; round < 3; ++round) {
    const SecretKeySet set = generate_secret_keys(bounded, rng);
    EXPECT_GE(weight(set.bits(KeyName::lwe_compute)), std::floor((1 - 0.5022) * 729));
    EXPECT_LE(weight(set.bits(KeyName::lwe_compute)), std::floor(0.5022 * 729));
    for (std::size_t p = 0; p < 2; ++p) {
      EXPECT_GE(weight(set.bits(KeyName::glwe).subspan(1024 * p, 1024)), std::floor((1 - 0.5022) * 1024));
      EXPECT_LE(weight(set.bits(KeyName::glwe).subspan(1024 * p, 1024)), std::floor(0.5022 * 1024));
    }
  }
}

}  // namespace
}  // namespace witan::tfhe
