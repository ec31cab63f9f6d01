#include "tfhe/params.h"

#include <gtest/gtest.h>

#include "tfhe/secret_key.h"
#include "tfhe_testing.h"

namespace witan::tfhe {
namespace {

TEST(Params, EverySetHasItsNameAndIsValid) {
  EXPECT_EQ(params_names().size(), 10u);
  for (const std::string_view name : params_names()) {
    const auto params = params_by_name(name);
    ASSERT_TRUE(params) << name;
    EXPECT_EQ(params->name, name);
    EXPECT_TRUE(params->validate()) << name << ": " << params->validate().error().message;
  }
}

TEST(Params, AnUnknownNameIsAnsweredWithTheKnownOnes) {
  const auto error = params_by_name("fast").error();
  EXPECT_EQ(error.code, Code::not_found);
  EXPECT_NE(error.message.find("witan_toy_b"), std::string::npos);
}

TEST(Params, TheApiReachesExactlyDefaultAndTest) {
  EXPECT_EQ(params_of(FheParameter::default_set).name, "default");
  EXPECT_EQ(params_of(FheParameter::test_set).name, "test");
}

// threshold-tfhe.md 2, column "Bits (default)", and the totals of 11.1 and 1.2.
TEST(Params, KeySizesAreThoseOfTheSpecification) {
  struct Row {
    std::string_view name;
    std::array<std::size_t, kKeyNames> bits;
  };
  for (const Row& row :
       {Row{"default", {2048, 918, 2048, 1024, 4096, 6144, 918}}, Row{"test", {512, 1, 256, 256, 256, 256, 1}},
        Row{"test_reshare", {32, 1, 256, 128, 512, 64, 1}}, Row{"witan_toy_a", {16, 4, 32, 16, 64, 32, 4}},
        Row{"witan_toy_b", {64, 8, 256, 64, 256, 64, 8}}, Row{"nigel", {1024, 928, 2048, 0, 4096, 0, 928}},
        Row{"nist_p8_lwe", {2048, 848, 2048, 0, 4096, 0, 848}},
        Row{"nist_p8_fglwe", {2048, 729, 2048, 0, 4096, 0, 729}}}) {
    const Params params = test::params(row.name);
    for (std::size_t i = 0; i < kKeyNames; ++i)
      EXPECT_EQ(key_bits(params, static_cast<KeyName>(i)), row.bits[i])
          << row.name << " " << to_string(static_cast<KeyName>(i));
  }
  EXPECT_EQ(total_key_bits(test::params("default")), 17196u);
}

TEST(Params, ScaleOfPlaintexts) {
  EXPECT_EQ(delta_log2<u64>({4, 4}), 59);
  EXPECT_EQ(delta_log2<u128>({4, 4}), 123);
  EXPECT_EQ(delta_log2<u64>({4, 1}), 61);
  EXPECT_EQ(delta_log2<u64>({2, 2}), 61);
}

TEST(Params, DerivedRerandomizationKeyIsThatOfTheCompressedServerKey) {
  const CompactKeyParams key = test::params("default").derived_rerandomization_key();
  EXPECT_EQ(key.lwe_dimension, 2048u);
  EXPECT_EQ(key.noise, (TUniform{17}));
  EXPECT_EQ(key.expansion, ExpansionKind{NoCasting{PbsOrder::keyswitch_bootstrap}});
  EXPECT_EQ(key.zk, ZkScheme::none);
}

TEST(Params, ValidationNamesTheBrokenField) {
  struct Row {
    std::string_view expected;
    void (*spoil)(Params&);
  };
  for (const Row& row : {
           Row{"LWE dimension", [](Params& p) { p.compute.lwe_dimension = 0; }},
           Row{"polynomial size", [](Params& p) { p.compute.polynomial_size = 300; }},
           Row{"polynomial size", [](Params& p) { p.sns->polynomial_size = 4; }},
           Row{"GLWE dimension", [](Params& p) { p.compression->glwe_dimension = 1000; }},
           Row{"bootstrap key", [](Params& p) { p.compute.pbs = {32, 2}; }},
           Row{"SnS bootstrap key", [](Params& p) { p.sns->decomposition = {64, 1}; }},
           Row{"casting key", [](Params& p) { p.cast->decomposition = {0, 1}; }},
           Row{"need each other", [](Params& p) { p.cast.reset(); }},
           Row{"dimension of the public key", [](Params& p) { p.pke->lwe_dimension = 500; }},
           Row{"ciphertexts per GLWE", [](Params& p) { p.compression->lwe_per_glwe = 257; }},
           Row{"storage modulus", [](Params& p) { p.compression->storage_log_modulus = 65; }},
           Row{"noise", [](Params& p) { p.compute.glwe_noise = {62}; }},
           Row{"powers of two", [](Params& p) { p.compute.space = {3, 4}; }},
           Row{"SnS compression without SnS", [](Params& p) { p.sns.reset(); }},
           Row{"drift technique", [](Params& p) { p.compute.modulus_switch = DriftSwitch{}; }},
           Row{"pmax", [](Params& p) { p.hamming = HammingBound{0.4, -80}; }},
       }) {
    Params params = test::params("test");
    row.spoil(params);
    const auto status = params.validate();
    ASSERT_FALSE(status) << row.expected;
    EXPECT_EQ(status.error().code, Code::invalid_argument);
    EXPECT_NE(status.error().message.find(row.expected), std::string::npos) << status.error().message;
  }
}

}  // namespace
}  // namespace witan::tfhe
