// What a party makes of itself and publishes: made once, kept, and refused where it does not fit.
#include "node/identity.h"

#include <sys/stat.h>

#include <algorithm>

#include "crypto/ed25519.h"
#include "crypto/ids.h"
#include "crypto/x509.h"
#include "node/node_testing.h"

namespace witan::node {
namespace {

using test::said;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;
namespace fs = std::filesystem;

constexpr std::int64_t kNow = 1'750'000'000;
constexpr const char* kSubject = "party1.committee.test";

mode_t mode_of(const fs::path& path) {
  struct stat info{};
  EXPECT_EQ(::stat(path.c_str(), &info), 0) << path;
  return info.st_mode & 0777;
}

std::string text_of(const fs::path& file) {
  const Bytes raw = witan::test::read_file(file);
  return {raw.begin(), raw.end()};
}

class IdentityTest : public testing::Test {
 protected:
  IdentityTest() {
    config_.threshold.tls_cert = folder_.path() / "tls" / "cert.pem";
    config_.threshold.tls_key = folder_.path() / "tls" / "key.pem";
  }
  Result<std::vector<std::string>> generate(const char* subject = kSubject, std::int64_t now = kNow) {
    return generate_key_material(config_, *private_vault_, *public_vault_, {subject, {"localhost"}}, rng_, now);
  }
  static fs::path object(const char* type, const RequestId& id = crypto::signing_key_id()) {
    return fs::path(type) / id.hex();
  }
  fs::path published(const char* type, const RequestId& id = crypto::signing_key_id()) const {
    return folder_.path() / "PUB" / object(type, id);
  }
  fs::path signing_key() const { return folder_.path() / "PRIV" / object("SigningKey"); }
  /// All regular files with their content.
  std::map<std::string, Bytes> files() const {
    std::map<std::string, Bytes> out;
    for (const auto& entry : fs::recursive_directory_iterator(folder_.path()))
      if (entry.is_regular_file()) out[entry.path().string()] = witan::test::read_file(entry.path());
    return out;
  }

  test::TemporaryFolder folder_;
  std::unique_ptr<store::FileVault> private_vault_ = folder_.private_vault(), public_vault_ = folder_.public_vault();
  Config config_;
  test::SeededRng rng_{"identity"};
};

TEST_F(IdentityTest, ANewPartyPublishesEverythingOfOneKey) {
  const auto lines = generate();
  ASSERT_TRUE(lines) << lines.error().message;
  const auto key = load_signing_key(*private_vault_);
  ASSERT_TRUE(key) << key.error().message;
  EXPECT_THAT(*lines, testing::ElementsAre("signing key made: address " + key->address().text(),
                                           "CA certificate made: " + std::string(kSubject),
                                           "TLS certificate made: " + config_.threshold.tls_cert.string()));

  // responses.md 2.2
  EXPECT_EQ(witan::test::read_file(published("VerfKey")), key->verifying_key().stored());
  EXPECT_EQ(text_of(published("VerfAddress")), key->address().text());
  EXPECT_EQ(witan::test::read_file(published("TypedVerfKey")), key->verifying_key().stored());
  EXPECT_EQ(text_of(published("TypedVerfAddress")), key->address().text());
  const auto ed25519 = crypto::Ed25519Key::derive(*key);
  const RequestId ed25519_id = crypto::signing_key_id("Ed25519");
  EXPECT_EQ(text_of(published("TypedVerfAddress", ed25519_id)), "0x" + to_hex(ed25519.public_key()));
  EXPECT_TRUE(
      crypto::safe_deserialize("Ed25519VerfKey", witan::test::read_file(published("TypedVerfKey", ed25519_id))));

  const std::string ca = text_of(published("CACert")), leaf = text_of(config_.threshold.tls_cert);
  EXPECT_TRUE(crypto::check_party_ca(ca, key->verifying_key(), kSubject, kNow));
  for (const auto purpose : {crypto::TlsPurpose::client, crypto::TlsPurpose::server})
    for (const char* host : {kSubject, "localhost"})
      EXPECT_EQ(said(crypto::verify_chain(leaf, {.ca_pems = {ca}, .purpose = purpose, .now = kNow, .host = host})),
                "OK");
  EXPECT_TRUE(crypto::check_key_pair(leaf, witan::test::read_file(config_.threshold.tls_key)));
}

TEST_F(IdentityTest, SecretsAreReadableByTheOwnerAlone) {
  const mode_t before = ::umask(0);
  const auto lines = generate();
  ::umask(before);
  ASSERT_TRUE(lines) << lines.error().message;
  EXPECT_EQ(mode_of(signing_key()), 0600u);
  EXPECT_EQ(mode_of(signing_key().parent_path()), 0700u);
  EXPECT_EQ(mode_of(config_.threshold.tls_key), 0600u);
  EXPECT_EQ(mode_of(config_.threshold.tls_cert), 0644u);
  for (const char* type : {"VerfKey", "VerfAddress", "TypedVerfKey", "TypedVerfAddress", "CACert"})
    EXPECT_EQ(mode_of(published(type)), 0644u) << type;
}

TEST_F(IdentityTest, WhatExistsIsKept) {
  ASSERT_TRUE(generate());
  const auto before = files();
  const auto again = generate();
  ASSERT_TRUE(again) << again.error().message;
  for (const std::string& line : *again) EXPECT_THAT(line, HasSubstr(" kept: "));
  EXPECT_EQ(files(), before);
}

TEST_F(IdentityTest, WhatIsMissingIsMadeAgainFromTheSameKey) {
  ASSERT_TRUE(generate());
  const auto before = files();
  for (const char* type : {"VerfKey", "VerfAddress", "TypedVerfKey", "TypedVerfAddress"}) fs::remove(published(type));
  fs::remove(published("TypedVerfKey", crypto::signing_key_id("Ed25519")));
  ASSERT_TRUE(generate());
  EXPECT_EQ(files(), before);
  fs::remove(config_.threshold.tls_cert);
  fs::remove(config_.threshold.tls_key);
  const auto lines = generate();
  ASSERT_TRUE(lines) << lines.error().message;
  EXPECT_THAT(lines->back(), StartsWith("TLS certificate made"));
  EXPECT_EQ(witan::test::read_file(signing_key()), before.at(signing_key().string()));
}

TEST_F(IdentityTest, AStartWithoutASigningKeySaysHowToMakeOne) {
  EXPECT_THAT(said(load_signing_key(*private_vault_)),
              AllOf(StartsWith("FAILED_PRECONDITION: there is no signing key in "), HasSubstr(folder_.path().string()),
                    HasSubstr("witan-node gen-keys --config-file")));
}

TEST_F(IdentityTest, EveryTruncationOfTheSigningKeyIsRefused) {
  ASSERT_TRUE(generate());
  const Bytes whole = witan::test::read_file(signing_key());
  for (std::size_t size = 0; size < whole.size(); ++size) {
    test::write_file(signing_key(), ByteView(whole).first(size));
    ASSERT_THAT(said(load_signing_key(*private_vault_)),
                AllOf(StartsWith("INVALID_ARGUMENT: "), HasSubstr("the stored signing key")))
        << size;
  }
  EXPECT_FALSE(generate()) << "a damaged key is not replaced";
}

TEST_F(IdentityTest, PublishedMaterialOfAnotherKeyIsRefusedAndNotOverwritten) {
  ASSERT_TRUE(generate());
  const auto key = load_signing_key(*private_vault_).value();
  EXPECT_TRUE(check_published_identity(key, *public_vault_));
  const std::pair<const char*, RequestId> objects[] = {{"VerfKey", crypto::signing_key_id()},
                                                       {"VerfAddress", crypto::signing_key_id()},
                                                       {"TypedVerfKey", crypto::signing_key_id()},
                                                       {"TypedVerfAddress", crypto::signing_key_id()},
                                                       {"TypedVerfKey", crypto::signing_key_id("Ed25519")},
                                                       {"TypedVerfAddress", crypto::signing_key_id("Ed25519")}};
  for (const auto& [type, id] : objects) {
    const Bytes good = witan::test::read_file(published(type, id));
    Bytes bad = good;
    bad.back() ^= 1;
    test::write_file(published(type, id), bad);
    const auto expected = AllOf(StartsWith("FAILED_PRECONDITION: "), HasSubstr(object(type, id).string()),
                                HasSubstr(folder_.path().string()), HasSubstr("signing key"));
    EXPECT_THAT(said(check_published_identity(key, *public_vault_)), expected);
    EXPECT_THAT(said(generate()), expected);
    EXPECT_EQ(witan::test::read_file(published(type, id)), bad);
    test::write_file(published(type, id), good);
  }
}

TEST_F(IdentityTest, ANewSigningKeyBesideOldPublishedObjectsIsRefused) {
  ASSERT_TRUE(generate());
  fs::remove(signing_key());
  EXPECT_THAT(said(generate()), AllOf(StartsWith("FAILED_PRECONDITION: "), HasSubstr("VerfKey")));
}

TEST_F(IdentityTest, ACaCertificateOfAnotherIdentityOrKeyIsRefused) {
  ASSERT_TRUE(generate());
  const auto expected = AllOf(StartsWith("FAILED_PRECONDITION: "), HasSubstr(object("CACert").string()));
  EXPECT_THAT(said(generate("party2.committee.test")),
              AllOf(expected, HasSubstr("party1.committee.test"), HasSubstr("party2.committee.test")));
  const Bytes good = witan::test::read_file(published("CACert"));
  const auto stranger = crypto::SigningKey::generate(rng_);
  test::write_file(published("CACert"), as_bytes(crypto::make_party_ca(stranger, kSubject, true, kNow, rng_).value()));
  EXPECT_THAT(said(generate()), expected);
  test::write_file(published("CACert"), as_bytes("no certificate"));
  EXPECT_THAT(said(generate()), expected);
  test::write_file(published("CACert"), good);
  EXPECT_EQ(said(generate()), "OK");
}

TEST_F(IdentityTest, AnIdentityThatIsNoNameIsRefused) {
  EXPECT_THAT(said(generate("party 1")), StartsWith("INVALID_ARGUMENT: "));
  EXPECT_FALSE(fs::exists(published("CACert")));
}

TEST_F(IdentityTest, ATlsCertificateThatDoesNotFitIsRefused) {
  ASSERT_TRUE(generate());
  const auto& cert = config_.threshold.tls_cert;
  const auto& key_file = config_.threshold.tls_key;
  const Bytes good_cert = witan::test::read_file(cert), good_key = witan::test::read_file(key_file);
  const auto refused = AllOf(StartsWith("FAILED_PRECONDITION: "), HasSubstr(cert.string()));

  const auto stranger = crypto::SigningKey::generate(rng_);
  const auto foreign = crypto::make_tls_leaf(stranger, kSubject, {}, kNow - 10, kNow + 1000, rng_).value();
  test::write_file(cert, as_bytes(foreign.certificate_pem));
  EXPECT_THAT(said(generate()), refused) << "a certificate without its key";
  test::write_file(key_file, foreign.key_pem.reveal());
  EXPECT_THAT(said(generate()), refused) << "issued by another party";
  EXPECT_EQ(text_of(cert), foreign.certificate_pem) << "nothing is overwritten";

  test::write_file(cert, good_cert);
  test::write_file(key_file, good_key);
  EXPECT_EQ(said(generate()), "OK");
  EXPECT_THAT(said(generate(kSubject, kNow + std::int64_t{11} * 365 * 86400)), refused) << "expired";
}

TEST_F(IdentityTest, ATlsKeyWithoutItsCertificateIsNotOverwritten) {
  ASSERT_TRUE(generate());
  const Bytes key = witan::test::read_file(config_.threshold.tls_key);
  fs::remove(config_.threshold.tls_cert);
  EXPECT_THAT(said(generate()), AllOf(StartsWith("UNAVAILABLE: cannot create "),
                                      HasSubstr(config_.threshold.tls_key.string()), HasSubstr("File exists")));
  EXPECT_EQ(witan::test::read_file(config_.threshold.tls_key), key);
}

// channels.md 2.2: a party's CA certificate is under its signing key.
TEST_F(IdentityTest, SignatoriesAreTheKeysOfTheCaCertificates) {
  std::vector<crypto::SigningKey> keys;
  config_.threshold.my_id = 2;
  for (int id = 1; id <= 4; ++id) {
    keys.push_back(crypto::SigningKey::generate(rng_));
    const auto identity = fmt::format("party{}.committee.test", id);
    const fs::path file = folder_.path() / fmt::format("ca-{}.pem", id);
    test::write_file(file, as_bytes(crypto::make_party_ca(keys.back(), identity, true, kNow, rng_).value()));
    config_.threshold.peers.push_back({id, "localhost", 1, identity, file});
  }
  const auto read = load_signatories(config_, keys[1]);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->own, &keys[1]);
  ASSERT_EQ(read->keys.size(), 4u);
  for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(read->keys[i], keys[i].verifying_key());

  EXPECT_THAT(said(load_signatories(config_, keys[0])),
              AllOf(StartsWith("INVALID_ARGUMENT: "), HasSubstr("ca-2.pem"), HasSubstr("party 2, this node"),
                    HasSubstr(keys[0].address().text()), HasSubstr(keys[1].address().text())));
  const Bytes third = witan::test::read_file(folder_.path() / "ca-3.pem");
  test::write_file(folder_.path() / "ca-3.pem", witan::test::read_file(folder_.path() / "ca-1.pem"));
  EXPECT_THAT(said(load_signatories(config_, keys[1])),
              AllOf(StartsWith("INVALID_ARGUMENT: "), HasSubstr("ca-3.pem"), HasSubstr("signing key of party 1")));
  const auto leaf = crypto::make_tls_leaf(keys[2], "party3.committee.test", {}, kNow, kNow + 1000, rng_).value();
  test::write_file(folder_.path() / "ca-3.pem", as_bytes(leaf.certificate_pem));
  EXPECT_THAT(said(load_signatories(config_, keys[1])),
              AllOf(StartsWith("INVALID_ARGUMENT: "), HasSubstr("ca-3.pem"), HasSubstr("no secp256k1 key")));
  test::write_file(folder_.path() / "ca-3.pem", third);
  EXPECT_EQ(said(load_signatories(config_, keys[1])), "OK");
}

TEST_F(IdentityTest, SmallFilesAreReadUpTo64KiB) {
  const fs::path file = folder_.path() / "small";
  EXPECT_THAT(said(read_small_file(file)), AllOf(StartsWith("NOT_FOUND: "), HasSubstr(file.string())));
  test::write_file(file, {});
  EXPECT_EQ(read_small_file(file).value(), Bytes());
  test::write_file(file, Bytes(65536, 1));
  EXPECT_EQ(read_small_file(file).value(), Bytes(65536, 1));
  test::write_file(file, Bytes(65537, 1));
  EXPECT_THAT(said(read_small_file(file)),
              AllOf(StartsWith("RESOURCE_EXHAUSTED: "), HasSubstr(file.string()), HasSubstr("65537")));
  EXPECT_NE(said(read_small_file(folder_.path())), "OK") << "a folder";
}

}  // namespace
}  // namespace witan::node
