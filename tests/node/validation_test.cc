// Requests as they come in (service.md 3.1, 5.2): each field that may be wrong, and each format of a ciphertext.
#include "node/validation.h"

#include <sys/resource.h>

#include <functional>

#include "crypto/ed25519.h"
#include "crypto/separators.h"
#include "node/node_testing.h"

namespace witan::node {
namespace {

using protocols::CiphertextFormat;
using test::said;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

const std::string kFolder = "tfhe/native-1.7.0/test/";  // made by native tfhe-rs 1.7.0

std::string id_text(int type, int counter) {
  return fmt::format("{:02x}{:062x}", type, counter);
}

api::PublicDecryptionRequest good() {
  api::PublicDecryptionRequest out;
  out.request_id = id_text(1, 7);
  out.key_id = id_text(4, 9);
  out.domain = {.name = "Decryption",
                .version = "1",
                .chain_id = {0xd4, 0x31},
                .verifying_contract = "0x037D0C1aA70ABE155DD611A033bF2D6F97D7b857",
                .salt = std::nullopt};
  out.extra_data = {0};
  api::TypedCiphertext ciphertext;
  ciphertext.fhe_type = 5;
  ciphertext.external_handle = {0xaa, 0xbb};
  ciphertext.ciphertext_format = api::CiphertextFormat::big_expanded;
  out.ciphertexts = {ciphertext};
  return out;
}

using Change = std::function<void(api::PublicDecryptionRequest&)>;
Result<DecryptionFields> validated(const Change& change) {
  auto request = good();
  change(request);
  return validate_decryption(request);
}

TEST(DecryptionRequest, EveryFieldBecomesAValue) {
  const auto fields = validate_decryption(good());
  ASSERT_TRUE(fields) << fields.error().message;
  EXPECT_EQ(fields->request.hex(), id_text(1, 7));
  EXPECT_EQ(fields->key.hex(), id_text(4, 9));
  EXPECT_EQ(fields->context, default_context_id());
  EXPECT_EQ(fields->epoch, default_epoch_id());
  EXPECT_EQ(fields->signing.domain.name, "Decryption");
  EXPECT_EQ(fields->signing.domain.version, "1");
  EXPECT_EQ(to_hex(fields->signing.domain.chain_id), std::string(60, '0') + "d431") << "big endian, from the right";
  EXPECT_EQ(fields->signing.domain.verifying_contract.text(), "0x037D0C1aA70ABE155DD611A033bF2D6F97D7b857");
  EXPECT_FALSE(fields->signing.domain.salt);
  EXPECT_EQ(fields->signing.extra_data, Bytes{0});
  ASSERT_EQ(fields->signing.handles.size(), 1u);
  EXPECT_EQ(to_hex(fields->signing.handles[0]), std::string(60, '0') + "aabb");
  EXPECT_TRUE(fields->schemes.empty());
  ASSERT_EQ(fields->ciphertexts.size(), 1u);
  EXPECT_EQ(fields->ciphertexts[0].format, CiphertextFormat::big_expanded);
  EXPECT_EQ(fields->ciphertexts[0].type, tfhe::FheType::uint64);
  EXPECT_EQ(fields->ciphertexts[0].index, 0u);
}

TEST(DecryptionRequest, OptionalFieldsAreTakenWhenTheyAreThere) {
  const auto fields = validated([](auto& r) {
    r.context_id = " 0x" + id_text(7, 0xAB) + "\n";  // service.md 2: trimmed, one 0x
    r.epoch_id = id_text(8, 3);
    r.domain->salt = Bytes(32, 5);
    r.domain->chain_id = Bytes(32, 1);
    r.domain->name = "";
    r.ciphertexts[0].external_handle = Bytes(32, 6);
  });
  ASSERT_TRUE(fields) << fields.error().message;
  EXPECT_EQ(fields->context.hex(), id_text(7, 0xab));
  EXPECT_EQ(fields->epoch.hex(), id_text(8, 3));
  crypto::Digest salt, handle;
  salt.fill(5);
  handle.fill(6);
  EXPECT_EQ(fields->signing.domain.salt, salt);
  EXPECT_THAT(fields->signing.handles, ElementsAre(handle));
}

TEST(DecryptionRequest, AWrongFieldIsAnInvalidArgumentThatNamesIt) {
  const std::pair<Change, std::vector<std::string>> cases[] = {
      {[](auto& r) { r.request_id.reset(); }, {"request_id is missing"}},
      {[](auto& r) { r.request_id = ""; }, {"request_id", "64 hexadecimal digits"}},
      {[](auto& r) { r.request_id = std::string(64, '0'); }, {"request_id", "all-zero"}},
      {[](auto& r) { r.request_id = std::string(63, '1') + "g"; }, {"request_id"}},
      {[](auto& r) { r.request_id = "0X" + id_text(1, 1); }, {"request_id"}},
      {[](auto& r) { r.key_id.reset(); }, {"key_id is missing"}},
      {[](auto& r) { r.key_id = "4"; }, {"key_id"}},
      {[](auto& r) { r.context_id = "seven"; }, {"context_id"}},
      {[](auto& r) { r.context_id = ""; }, {"context_id"}},
      {[](auto& r) { r.epoch_id = std::string(66, '1'); }, {"epoch_id"}},
      {[](auto& r) { r.domain.reset(); }, {"domain is missing"}},
      {[](auto& r) { r.domain->chain_id.clear(); }, {"domain: chain_id", "not 0"}},
      {[](auto& r) { r.domain->chain_id = Bytes(33, 1); }, {"domain: chain_id", "not 33"}},
      {[](auto& r) { r.domain->verifying_contract = ""; }, {"domain: verifying_contract"}},
      {[](auto& r) { r.domain->verifying_contract[3] = 'X'; }, {"domain: verifying_contract"}},
      {[](auto& r) { r.domain->verifying_contract = "0x037d0c1aa70abe155dd611a033bf2d6f97d7b857"; },
       {"domain: verifying_contract", "checksum"}},
      {[](auto& r) { r.domain->verifying_contract.erase(0, 2); }, {"domain: verifying_contract"}},
      {[](auto& r) { r.domain->salt = Bytes(31); }, {"domain: salt", "not 31"}},
      {[](auto& r) { r.domain->salt = Bytes(); }, {"domain: salt", "not 0"}},
      {[](auto& r) { r.domain->name = std::string(1025, 'x'); }, {"domain: name and version"}},
      {[](auto& r) { r.domain->version = std::string(1025, 'x'); }, {"domain: name and version"}},
      {[](auto& r) { r.extra_data = Bytes(65537); }, {"extra_data has 65537 bytes"}},
      {[](auto& r) { r.signing_schemes = {api::Open<api::SigningScheme>(5)}; }, {"signing_schemes: 5"}},
      {[](auto& r) { r.signing_schemes = {api::Open<api::SigningScheme>(-1)}; }, {"signing_schemes: -1"}},
      {[](auto& r) { r.ciphertexts.clear(); }, {"1 to 65535 ciphertexts, not 0"}},
      {[](auto& r) { r.ciphertexts.resize(65536); }, {"1 to 65535 ciphertexts, not 65536"}},
      {[](auto& r) { r.ciphertexts[0].fhe_type = 99; }, {"ciphertext 0", "99"}},
      {[](auto& r) { r.ciphertexts[0].fhe_type = -1; }, {"ciphertext 0", "-1"}},
      {[](auto& r) { r.ciphertexts[0].fhe_type = 1; }, {"ciphertext 0", "Uint4"}},
      {[](auto& r) { r.ciphertexts[0].ciphertext_format = api::Open<api::CiphertextFormat>(4); },
       {"ciphertext 0: 4 is no CiphertextFormat"}},
      {[](auto& r) { r.ciphertexts[0].ciphertext_format = api::Open<api::CiphertextFormat>(-1); },
       {"ciphertext 0: -1 is no CiphertextFormat"}},
      {[](auto& r) { r.ciphertexts[0].external_handle = Bytes(33); }, {"ciphertext 0", "at most 32 bytes, not 33"}},
      {[](auto& r) {
         r.ciphertexts.resize(3, r.ciphertexts[0]);
         r.ciphertexts[2].fhe_type = 42;
       },
       {"ciphertext 2", "42"}},
  };
  for (const auto& [change, parts] : cases) {
    const std::string text = said(validated(change));
    EXPECT_THAT(text, StartsWith("INVALID_ARGUMENT: ")) << parts[0];
    for (const std::string& part : parts) EXPECT_THAT(text, HasSubstr(part));
  }
}

TEST(DecryptionRequest, TheLargestOfEachFieldPasses) {
  EXPECT_EQ(said(validated([](auto& r) {
              r.extra_data = Bytes(65536);
              r.domain->name = r.domain->version = std::string(1024, 'x');
              r.ciphertexts.resize(65535, r.ciphertexts[0]);
            })),
            "OK");
}

TEST(DecryptionRequest, EveryTypeAndFormatOfTheServiceIsTaken) {
  for (const tfhe::FheType type : tfhe::all_fhe_types())
    for (int format = 0; format < 4; ++format) {
      const auto fields = validated([&](auto& r) {
        r.ciphertexts[0].fhe_type = static_cast<std::int32_t>(type);
        r.ciphertexts[0].ciphertext_format = api::Open<api::CiphertextFormat>(format);
      });
      ASSERT_TRUE(fields) << fields.error().message;
      EXPECT_EQ(fields->ciphertexts[0].type, type);
      EXPECT_EQ(static_cast<int>(fields->ciphertexts[0].format), format);
    }
}

TEST(SigningSchemes, DuplicatesGoAndTheOrderStays) {
  using api::SigningScheme;
  const auto schemes = validate_schemes({SigningScheme::ed25519, SigningScheme::ecdsa_256k1, SigningScheme::ed25519});
  ASSERT_TRUE(schemes);
  EXPECT_THAT(*schemes, ElementsAre(SigningScheme::ed25519, SigningScheme::ecdsa_256k1));
  for (const auto scheme : {SigningScheme::mldsa44, SigningScheme::mldsa65, SigningScheme::mldsa87})
    EXPECT_THAT(said(validate_schemes({scheme})),
                AllOf(StartsWith("UNIMPLEMENTED: signing_schemes"), HasSubstr("ML-DSA")));
}

TEST(SigningSchemes, EachSignsWhatItsReaderChecks) {
  test::SeededRng rng("schemes");
  const auto key = crypto::SigningKey::generate(rng);
  const auto external = rng.bytes<65>();
  const Bytes payload = {1, 2, 3};
  EXPECT_TRUE(sign_with_schemes(key, {}, external, crypto::separators::kPublicDecryption, payload).empty());
  const auto signatures = sign_with_schemes(key, {api::SigningScheme::ed25519, api::SigningScheme::ecdsa_256k1},
                                            external, crypto::separators::kPublicDecryption, payload);
  ASSERT_EQ(signatures.size(), 2u);
  EXPECT_EQ(signatures[0].scheme, api::SigningScheme::ed25519);
  Bytes message(as_bytes("PUBL_DEC").begin(), as_bytes("PUBL_DEC").end());
  append(message, payload);
  EXPECT_TRUE(crypto::verify_ed25519(crypto::Ed25519Key::derive(key).public_key(), message, signatures[0].signature));
  EXPECT_EQ(signatures[1].scheme, api::SigningScheme::ecdsa_256k1);
  EXPECT_EQ(signatures[1].signature, Bytes(external.begin(), external.end()));
}

struct Format {
  CiphertextFormat format;
  const char* name;
};
constexpr Format kFormats[] = {{CiphertextFormat::small_compressed, "small_compressed"},
                               {CiphertextFormat::small_expanded, "small_expanded"},
                               {CiphertextFormat::big_compressed, "big_compressed"},
                               {CiphertextFormat::big_expanded, "big_expanded"}};

class CiphertextTest : public testing::Test {
 protected:
  static Bytes bytes_of(const Format& format, const char* type) {
    return witan::test::read_data(kFolder + format.name + "_" + type + ".bin");
  }
  const tfhe::Params params_ = tfhe::params_by_name("test").value();
};

TEST_F(CiphertextTest, EachFormatGivesTheBlocksOfItsType) {
  for (const Format& format : kFormats) {
    const Bytes bytes = bytes_of(format, "uint64");
    const auto parsed = parse_ciphertext({format.format, tfhe::FheType::uint64, 3}, bytes, params_);
    ASSERT_TRUE(parsed) << parsed.error().message;
    const bool big =
        format.format == CiphertextFormat::big_compressed || format.format == CiphertextFormat::big_expanded;
    EXPECT_EQ(parsed->ref.index, 3u);
    EXPECT_EQ(parsed->bytes_digest, crypto::sha256(bytes)) << "the mask context is bound to what was received";
    EXPECT_EQ(parsed->squashed.size(), big ? 16u : 0u) << format.name;
    EXPECT_EQ(parsed->blocks.size(), format.format == CiphertextFormat::small_expanded ? 32u : 0u) << format.name;
    EXPECT_EQ(parsed->list.has_value(), format.format == CiphertextFormat::small_compressed) << format.name;
  }
}

TEST_F(CiphertextTest, BytesOfAnotherTypeFormatOrKeyAreRefusedWithTheirIndex) {
  const auto production = tfhe::params_by_name("default").value();
  for (const Format& format : kFormats) {
    const Bytes bytes = bytes_of(format, "uint64");
    const auto refused = [&](CiphertextFormat as, tfhe::FheType type, const tfhe::Params& params) {
      EXPECT_THAT(said(parse_ciphertext({as, type, 5}, bytes, params)), StartsWith("INVALID_ARGUMENT: ciphertext 5: "))
          << format.name;
    };
    for (const tfhe::FheType type : tfhe::all_fhe_types())
      if (type != tfhe::FheType::uint64) refused(format.format, type, params_);
    for (const Format& other : kFormats)
      if (other.format != format.format) refused(other.format, tfhe::FheType::uint64, params_);
    refused(format.format, tfhe::FheType::uint64, production);
    refused(static_cast<CiphertextFormat>(9), tfhe::FheType::uint64, params_);
  }
}

TEST_F(CiphertextTest, EveryTruncationIsRefused) {
  for (const Format& format : kFormats) {
    const Bytes whole = bytes_of(format, "bool");
    const CiphertextRef ref{format.format, tfhe::FheType::boolean, 1};
    ASSERT_TRUE(parse_ciphertext(ref, whole, params_)) << format.name;
    for (std::size_t size = 0; size < whole.size(); ++size)
      ASSERT_THAT(said(parse_ciphertext(ref, ByteView(whole).first(size), params_)),
                  StartsWith("INVALID_ARGUMENT: ciphertext 1: "))
          << format.name << " of " << size << " bytes";
  }
}

long peak_memory_mib() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss / 1024;
}

// Wherever a length may stand, a length that nothing can hold is written.
TEST_F(CiphertextTest, ALengthIsCheckedBeforeMemoryIsSpentOnIt) {
  const long before = peak_memory_mib();
  for (const Format& format : kFormats) {
    const Bytes whole = bytes_of(format, "bool");
    for (const std::uint64_t length : {std::uint64_t{1} << 32, std::uint64_t{1} << 60, ~std::uint64_t{0}})
      for (std::size_t at = 0; at + 8 <= whole.size(); ++at) {
        Bytes bad = whole;
        store_le(length, bad.data() + at);
        const auto parsed = parse_ciphertext({format.format, tfhe::FheType::boolean, 1}, bad, params_);
        if (!parsed) {
          ASSERT_EQ(parsed.error().code, Code::invalid_argument) << format.name << " at " << at;
        }
      }
  }
  EXPECT_LT(peak_memory_mib() - before, 1024);
}

}  // namespace
}  // namespace witan::node
