#include "crypto/x509.h"

#include <gtest/gtest.h>

#include "support/support.h"

namespace witan::crypto {
namespace {

constexpr UnixSeconds kNow = 1'800'000'000;  // 2027
constexpr UnixSeconds kYear = 365 * 86400;

std::string text_of(std::string_view file) {
  const Bytes raw = test::read_data(file);
  return std::string(raw.begin(), raw.end());
}

struct Party {
  explicit Party(std::string name) : rng("x509 " + name), identity(std::move(name)), key(SigningKey::generate(rng)) {
    ca = make_party_ca(key, identity, true, kNow, rng).value();
  }
  std::string leaf(std::vector<std::string> extra = {"localhost"}, UnixSeconds from = kNow - 10,
                   UnixSeconds to = kNow + kYear) {
    return make_tls_leaf(key, identity, extra, from, to, rng).value().certificate_pem;
  }
  ChainCheck check(TlsPurpose purpose = TlsPurpose::server) const {
    return {.ca_pems = {ca}, .purpose = purpose, .now = kNow, .host = std::nullopt};
  }
  test::SeededRng rng;
  std::string identity;
  SigningKey key;
  std::string ca;
};

TEST(PartyCa, IsWhatTheProfileSays) {
  Party party("party1.witan.test");
  EXPECT_EQ(certificate_identity(party.ca).value(), party.identity);
  EXPECT_TRUE(check_party_ca(party.ca, party.key.verifying_key(), party.identity, kNow));
  EXPECT_EQ(party_ca_key(party.ca).value(), party.key.verifying_key());
  EXPECT_EQ(party_ca_key(party.leaf()).error().message, "the certificate has no secp256k1 key");
  EXPECT_EQ(party_ca_key("no certificate").error().code, Code::invalid_argument);
  Party other("party2.witan.test");
  EXPECT_FALSE(check_party_ca(party.ca, other.key.verifying_key(), party.identity, kNow));
  EXPECT_FALSE(check_party_ca(party.ca, party.key.verifying_key(), other.identity, kNow));
  EXPECT_FALSE(check_party_ca(party.ca, party.key.verifying_key(), party.identity, kNow + 100 * kYear));
  EXPECT_FALSE(check_party_ca(party.ca, party.key.verifying_key(), party.identity, kNow - kYear));
  EXPECT_FALSE(check_party_ca(party.leaf(), party.key.verifying_key(), party.identity, kNow));
  EXPECT_FALSE(check_party_ca(party.ca + party.ca, party.key.verifying_key(), party.identity, kNow));
  test::SeededRng rng("bad identity");
  for (const char* bad : {"", "a b", "party,DNS:evil", "a/b", "\n"})
    EXPECT_EQ(make_party_ca(party.key, bad, false, kNow, rng).error().code, Code::invalid_argument) << bad;
}

TEST(TlsLeaf, ChainsToItsOwnCaAlone) {
  Party party("party1.witan.test"), stranger("party1.witan.test"), other("party2.witan.test");
  const std::string leaf = party.leaf();
  EXPECT_EQ(certificate_identity(leaf).value(), party.identity);
  const auto chained = verify_chain(leaf, party.check(TlsPurpose::server));
  EXPECT_TRUE(chained) << chained.error().message;
  EXPECT_TRUE(verify_chain(leaf, party.check(TlsPurpose::client)));
  EXPECT_EQ(verify_chain(leaf, other.check()).error().code, Code::unauthenticated);

  // Another CA of the same name: same identity, wrong key.
  Party twin("party1.witan.test");
  test::SeededRng rng("another key");
  const auto other_key = SigningKey::generate(rng);
  auto check = party.check();
  check.ca_pems = {make_party_ca(other_key, party.identity, true, kNow, rng).value()};
  EXPECT_FALSE(verify_chain(leaf, check));
  check.ca_pems.push_back(party.ca);  // a set of CAs of one identity: one that fits is enough
  EXPECT_TRUE(verify_chain(leaf, check));
  check.ca_pems.clear();
  EXPECT_NE(verify_chain(leaf, check).error().message.find("no trust anchor"), std::string::npos);
}

TEST(TlsLeaf, ValidityHostAndKind) {
  Party party("party1.witan.test");
  const std::string leaf = party.leaf();
  auto check = party.check();
  check.host = "localhost";
  EXPECT_TRUE(verify_chain(leaf, check));
  check.host = party.identity;
  EXPECT_TRUE(verify_chain(leaf, check));
  check.host = "core." + party.identity;
  EXPECT_TRUE(verify_chain(leaf, check));
  check.host = "elsewhere";
  EXPECT_FALSE(verify_chain(leaf, check));
  check.host.reset();
  check.now = kNow - 100;
  EXPECT_FALSE(verify_chain(leaf, check));
  check.now = kNow + 2 * kYear;
  EXPECT_FALSE(verify_chain(leaf, check));
  EXPECT_NE(verify_chain(party.ca, party.check()).error().message.find("CA certificate"), std::string::npos);
  EXPECT_FALSE(verify_chain("nonsense", party.check()));
  EXPECT_EQ(certificate_not_after(leaf).value(), kNow + kYear);
}

TEST(TlsLeaf, KeyPair) {
  Party party("party1.witan.test");
  const auto a = make_tls_leaf(party.key, party.identity, {}, kNow, kNow + kYear, party.rng).value();
  const auto b = make_tls_leaf(party.key, party.identity, {}, kNow, kNow + kYear, party.rng).value();
  EXPECT_TRUE(check_key_pair(a.certificate_pem, a.key_pem.reveal()));
  EXPECT_FALSE(check_key_pair(a.certificate_pem, b.key_pem.reveal()));
  EXPECT_FALSE(check_key_pair(a.certificate_pem, Bytes{1, 2, 3}));
  EXPECT_EQ(make_tls_leaf(party.key, party.identity, {"bad name"}, kNow, kNow + kYear, party.rng).error().code,
            Code::invalid_argument);
}

TEST(Identity, VectorsOfTheChannelSpec) {
  const std::string ca = text_of("channels/party_ca.pem"), leaf = text_of("channels/tls_leaf.pem");
  const auto now = test::read_json("channels/attestation.json").at("validate_at").get<UnixSeconds>();
  EXPECT_EQ(certificate_identity(ca).value(), "party1.witan.test");
  EXPECT_EQ(certificate_identity(leaf).value(), "party1.witan.test");
  ChainCheck check{.ca_pems = {ca}, .purpose = TlsPurpose::server, .now = now, .host = std::nullopt};
  EXPECT_TRUE(verify_chain(leaf, check));
  check.ca_pems = {text_of("channels/mock_root.pem")};
  EXPECT_FALSE(verify_chain(leaf, check));
  EXPECT_EQ(certificate_identity(text_of("channels/mock_root.pem")).error().code, Code::unauthenticated);
}

}  // namespace
}  // namespace witan::crypto
