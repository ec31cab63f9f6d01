// Server keys that come from outside: every size is checked before anything is computed with it.
#include <gtest/gtest.h>

#include <cmath>

#include "tfhe/evaluate.h"
#include "tfhe_testing.h"

namespace witan::tfhe {
namespace {

TEST(KeyCheck, GeneratedSetsPass) {
  for (const char* name : {"test", "test_reshare", "witan_toy_b"}) {
    const auto status = check(test::world(name).set);
    EXPECT_TRUE(status) << name << ": " << status.error().message;
  }
}

TEST(KeyCheck, SetsTooSmallForATableAreRefused) {
  EXPECT_NE(check(test::world("witan_toy_a").set).error().message.find("too short for a table"), std::string::npos);
}

TEST(KeyCheck, ErrorsNameThePart) {
  struct Row {
    std::string_view expected;
    void (*spoil)(CompressedKeySet&);
  };
  for (const Row& row : {
           Row{"public key has", [](CompressedKeySet& s) { s.public_key.key.data.pop_back(); }},
           Row{"casting key is for",
               [](CompressedKeySet& s) {
                 s.public_key.key.data.resize(256);
                 s.public_key.key.params.lwe_dimension = 256;
               }},
           Row{"key switching key has", [](CompressedKeySet& s) { s.server_key.ksk.data.pop_back(); }},
           Row{"LWE dimension", [](CompressedKeySet& s) { s.server_key.ksk.output_dimension = 1 << 20; }},
           Row{"levels", [](CompressedKeySet& s) { s.server_key.ksk.decomposition.level_count = 0; }},
           Row{"levels", [](CompressedKeySet& s) { s.server_key.bootstrap.bsk.decomposition.base_log = 64; }},
           Row{"polynomial size", [](CompressedKeySet& s) { s.server_key.bootstrap.bsk.polynomial_size = 100; }},
           Row{"GLWE dimension", [](CompressedKeySet& s) { s.server_key.bootstrap.bsk.glwe_dimension = 0; }},
           Row{"bootstrap key has", [](CompressedKeySet& s) { s.server_key.bootstrap.bsk.data.resize(7); }},
           Row{"modulus switch zeros",
               [](CompressedKeySet& s) {
                 std::get<SeededDrift>(s.server_key.bootstrap.modulus_switch).zeros.lwe_dimension = 2;
               }},
           Row{"drift technique",
               [](CompressedKeySet& s) {
                 std::get<SeededDrift>(s.server_key.bootstrap.modulus_switch).zeros.data.clear();
               }},
           Row{"drift technique",
               [](CompressedKeySet& s) {
                 std::get<SeededDrift>(s.server_key.sns->bootstrap.modulus_switch).bound = std::nan("");
               }},
           Row{"casting key", [](CompressedKeySet& s) { s.server_key.cast->ksk.output_dimension = 3; }},
           Row{"shifts by 1", [](CompressedKeySet& s) { s.server_key.cast->cast_rshift = 1; }},
           Row{"casting key", [](CompressedKeySet& s) { s.server_key.cast->destination = KeyChoice::big; }},
           Row{"only one of", [](CompressedKeySet& s) { s.server_key.compression.reset(); }},
           Row{"ciphertexts per GLWE", [](CompressedKeySet& s) { s.server_key.compression->lwe_per_glwe = 0; }},
           Row{"decompression key", [](CompressedKeySet& s) { s.server_key.decompression->lwe_per_glwe = 1; }},
           Row{"decompression key",
               [](CompressedKeySet& s) {
                 s.server_key.decompression->bootstrap.modulus_switch = CenteredMeanSwitch{};
               }},
           Row{"decompression bootstrap key has",
               [](CompressedKeySet& s) { s.server_key.decompression->bootstrap.bsk.data.pop_back(); }},
           Row{"SnS bootstrap key has", [](CompressedKeySet& s) { s.server_key.sns->bootstrap.bsk.data.pop_back(); }},
           Row{"SnS key", [](CompressedKeySet& s) { s.server_key.sns->space = {2, 8}; }},
           Row{"SnS compression without SnS", [](CompressedKeySet& s) { s.server_key.sns.reset(); }},
           Row{"SnS compression packing key has",
               [](CompressedKeySet& s) { s.server_key.sns_compression->packing.data.pop_back(); }},
           Row{"re-randomisation public key has",
               [](CompressedKeySet& s) { std::get<SeededCompactKey>(*s.server_key.rerandomization).data.pop_back(); }},
           Row{"OPRF key", [](CompressedKeySet& s) { s.server_key.oprf->polynomial_size = 512; }},
           Row{"OPRF bootstrap key has", [](CompressedKeySet& s) { s.server_key.oprf->data.pop_back(); }},
           Row{"powers of two", [](CompressedKeySet& s) { s.server_key.space = {5, 4}; }},
       }) {
    CompressedKeySet set = test::world("test").set;
    row.spoil(set);
    const auto status = check(set);
    ASSERT_FALSE(status) << row.expected;
    EXPECT_EQ(status.error().code, Code::invalid_argument);
    EXPECT_NE(status.error().message.find(row.expected), std::string::npos)
        << row.expected << " / " << status.error().message;
  }
}

}  // namespace
}  // namespace witan::tfhe
