// Certificates that our own functions never make: the identity rule (channels.md 2.1) with every clause broken once, and the
// chain tests of channels.md 7.4, items 1 and 2.
#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include <memory>

#include "crypto/x509.h"
#include "support/support.h"

namespace witan::crypto {
namespace {

constexpr UnixSeconds kNow = 1'800'000'000, kDay = 86400;

std::shared_ptr<EVP_PKEY> p256() {
  return {EVP_EC_gen("P-256"), EVP_PKEY_free};
}

/// A certificate by its parts; the defaults are a leaf of party1.witan.test. An empty extension is left out.
struct Recipe {
  std::string subject = "party1.witan.test", issuer = "party1.witan.test";
  std::string names = "DNS:party1.witan.test";
  std::string constraints = "critical,CA:FALSE";
  std::string key_usage = "critical,digitalSignature";
  std::string extended_usage = "serverAuth,clientAuth";
  UnixSeconds from = kNow - kDay, to = kNow + kDay;
  bool identifiers = true;  // subjectKeyIdentifier and authorityKeyIdentifier
  std::string raw_name;     // dNSName given byte for byte, instead of `names`
};

void add(X509* certificate, int nid, const std::string& value) {
  if (value.empty()) return;
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, nid, value.c_str());
  ASSERT_NE(extension, nullptr) << value;
  X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
}

void name(X509_NAME* out, const std::string& common_name) {
  X509_NAME_add_entry_by_txt(out, "O", MBSTRING_ASC, reinterpret_cast<const unsigned char*>("Test"), -1, -1, 0);
  if (!common_name.empty())
    X509_NAME_add_entry_by_txt(out, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>(common_name.data()),
                               static_cast<int>(common_name.size()), -1, 0);
}

/// SHA-1 of a public key (RFC 5280, 4.2.1.2, method 1).
ASN1_OCTET_STRING* key_identifier(EVP_PKEY* key) {
  const std::unique_ptr<X509, decltype(&X509_free)> holder(X509_new(), X509_free);
  X509_set_pubkey(holder.get(), key);
  ByteArray<20> id{};
  X509_pubkey_digest(holder.get(), EVP_sha1(), id.data(), nullptr);
  ASN1_OCTET_STRING* out = ASN1_OCTET_STRING_new();
  ASN1_OCTET_STRING_set(out, id.data(), static_cast<int>(id.size()));
  return out;
}

void add_identifiers(X509* certificate, EVP_PKEY* key, EVP_PKEY* issuer_key) {
  ASN1_OCTET_STRING* own = key_identifier(key);
  AUTHORITY_KEYID* authority = AUTHORITY_KEYID_new();
  authority->keyid = key_identifier(issuer_key);
  X509_add1_ext_i2d(certificate, NID_subject_key_identifier, own, 0, X509V3_ADD_DEFAULT);
  X509_add1_ext_i2d(certificate, NID_authority_key_identifier, authority, 0, X509V3_ADD_DEFAULT);
  ASN1_OCTET_STRING_free(own);
  AUTHORITY_KEYID_free(authority);
}

std::string make(const Recipe& recipe, EVP_PKEY* key, EVP_PKEY* issuer_key) {
  const std::unique_ptr<X509, decltype(&X509_free)> certificate(X509_new(), X509_free);
  X509_set_version(certificate.get(), X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), 7);
  ASN1_TIME_set(X509_getm_notBefore(certificate.get()), recipe.from);
  ASN1_TIME_set(X509_getm_notAfter(certificate.get()), recipe.to);
  name(X509_get_subject_name(certificate.get()), recipe.subject);
  name(X509_get_issuer_name(certificate.get()), recipe.issuer);
  X509_set_pubkey(certificate.get(), key);
  add(certificate.get(), NID_basic_constraints, recipe.constraints);
  add(certificate.get(), NID_key_usage, recipe.key_usage);
  add(certificate.get(), NID_ext_key_usage, recipe.extended_usage);
  if (recipe.identifiers) add_identifiers(certificate.get(), key, issuer_key);
  if (recipe.raw_name.empty()) {
    add(certificate.get(), NID_subject_alt_name, recipe.names);
  } else {
    GENERAL_NAMES* names = GENERAL_NAMES_new();
    GENERAL_NAME* entry = GENERAL_NAME_new();
    ASN1_IA5STRING* text = ASN1_IA5STRING_new();
    ASN1_STRING_set(text, recipe.raw_name.data(), static_cast<int>(recipe.raw_name.size()));
    GENERAL_NAME_set0_value(entry, GEN_DNS, text);
    sk_GENERAL_NAME_push(names, entry);
    X509_add1_ext_i2d(certificate.get(), NID_subject_alt_name, names, 0, X509V3_ADD_DEFAULT);
    GENERAL_NAMES_free(names);
  }
  EXPECT_GT(X509_sign(certificate.get(), issuer_key, EVP_sha256()), 0);
  const std::unique_ptr<BIO, decltype(&BIO_free_all)> out(BIO_new(BIO_s_mem()), BIO_free_all);
  PEM_write_bio_X509(out.get(), certificate.get());
  char* data = nullptr;
  const long size = BIO_get_mem_data(out.get(), &data);
  return {data, static_cast<std::size_t>(size)};
}

Recipe ca_recipe() {
  Recipe out;
  out.constraints = "critical,CA:TRUE,pathlen:0";
  out.key_usage = "critical,digitalSignature,keyCertSign,cRLSign";
  out.extended_usage.clear();
  return out;
}

TEST(Identity, EveryClauseBrokenOnce) {
  struct Row {
    const char* what;
    void (*change)(Recipe&);
    const char* message;  // empty: accepted
    const char* identity;
  };
  const Row rows[] = {
      {"the default", [](Recipe&) {}, "", "party1.witan.test"},
      {"replica under its CA",
       [](Recipe& r) {
         r.subject = "core1.party1.witan.test";
         r.names = "DNS:core1.party1.witan.test";
       },
       "", "core1.party1.witan.test"},
      {"name without a dot", [](Recipe& r) { r.subject = r.issuer = "party1", r.names = "DNS:party1"; }, "", "party1"},
      {"no subjectAltName", [](Recipe& r) { r.names.clear(); }, "no dNSName", ""},
      {"IP address only", [](Recipe& r) { r.names = "IP:127.0.0.1"; }, "no dNSName", ""},
      {"URI and mail only", [](Recipe& r) { r.names = "URI:https://party1.witan.test,email:a@b.test"; }, "no dNSName",
       ""},
      {"no subject CN", [](Recipe& r) { r.subject.clear(); }, "subject has no common name", ""},
      {"no issuer CN", [](Recipe& r) { r.issuer.clear(); }, "issuer has no common name", ""},
      {"issuer of another party", [](Recipe& r) { r.issuer = "party2.witan.test"; }, "does not belong", ""},
      {"two labels below the issuer",
       [](Recipe& r) { r.subject = "a.b.party1.witan.test", r.names = "DNS:a.b.party1.witan.test"; }, "does not belong",
       ""},
      {"no dot, another issuer", [](Recipe& r) { r.subject = "party1", r.names = "DNS:party1"; }, "does not belong",
       ""},
      {"issuer in other case", [](Recipe& r) { r.issuer = "PARTY1.witan.test"; }, "does not belong", ""},
      {"CN only as a wildcard", [](Recipe& r) { r.names = "DNS:*.witan.test"; }, "not among", ""},
      {"CN in other case", [](Recipe& r) { r.names = "DNS:Party1.witan.test"; }, "not among", ""},
      {"zero byte in the name", [](Recipe& r) { r.raw_name = std::string("party1.witan.test\0.evil.test", 28); },
       "not among", ""},
  };
  const auto key = p256();
  for (const Row& row : rows) {
    Recipe recipe;
    row.change(recipe);
    const auto identity = certificate_identity(make(recipe, key.get(), key.get()));
    if (*row.message == 0) {
      ASSERT_TRUE(identity) << row.what << ": " << identity.error().message;
      EXPECT_EQ(*identity, row.identity) << row.what;
    } else {
      ASSERT_FALSE(identity) << row.what;
      EXPECT_EQ(identity.error().code, Code::unauthenticated) << row.what;
      EXPECT_NE(identity.error().message.find(row.message), std::string::npos)
          << row.what << ": " << identity.error().message;
    }
  }
}

TEST(Chain, PurposeKindTimeAndIssuerAreJudged) {
  const auto ca_key = p256(), other_ca_key = p256(), leaf_key = p256();
  const std::string ca = make(ca_recipe(), ca_key.get(), ca_key.get());
  const ChainCheck server{.ca_pems = {ca}, .purpose = TlsPurpose::server, .now = kNow, .host = std::nullopt};
  ChainCheck client = server;
  client.purpose = TlsPurpose::client;
  const auto leaf = [&](auto change) {
    Recipe recipe;
    change(recipe);
    return make(recipe, leaf_key.get(), ca_key.get());
  };

  const std::string good = leaf([](Recipe&) {});
  EXPECT_TRUE(verify_chain(good, server));
  EXPECT_TRUE(verify_chain(good, client));

  const std::string server_only = leaf([](Recipe& r) { r.extended_usage = "serverAuth"; });
  EXPECT_TRUE(verify_chain(server_only, server));
  EXPECT_FALSE(verify_chain(server_only, client));
  const std::string client_only = leaf([](Recipe& r) { r.extended_usage = "clientAuth"; });
  EXPECT_TRUE(verify_chain(client_only, client));
  EXPECT_FALSE(verify_chain(client_only, server));

  EXPECT_FALSE(verify_chain(leaf([](Recipe& r) { r.to = kNow - 1; }), server));
  EXPECT_FALSE(verify_chain(leaf([](Recipe& r) { r.from = kNow + 1; }), server));
  EXPECT_NE(verify_chain(leaf([](Recipe& r) { r.constraints = "critical,CA:TRUE"; }), server)
                .error()
                .message.find("CA certificate"),
            std::string::npos);

  const auto unnamed = verify_chain(leaf([](Recipe& r) { r.identifiers = false; }), server);
  EXPECT_NE(unnamed.error().message.find("authorityKeyIdentifier"), std::string::npos) << unnamed.error().message;

  // Signed by the key of another party that took over every name.
  EXPECT_FALSE(verify_chain(make(Recipe{}, leaf_key.get(), other_ca_key.get()), server));
  // Signed by a leaf of the same party: a leaf is no issuer.
  ChainCheck under_leaf = server;
  under_leaf.ca_pems = {good};
  EXPECT_FALSE(verify_chain(make(Recipe{}, other_ca_key.get(), leaf_key.get()), under_leaf));
}

TEST(Chain, ALeafWithAnRsaKeyIsJudgedLikeAnyOther) {
  const auto ca_key = p256();
  const std::shared_ptr<EVP_PKEY> rsa(EVP_RSA_gen(2048), EVP_PKEY_free);
  const std::string ca = make(ca_recipe(), ca_key.get(), ca_key.get());
  const ChainCheck check{.ca_pems = {ca}, .purpose = TlsPurpose::server, .now = kNow, .host = std::nullopt};
  EXPECT_TRUE(verify_chain(make(Recipe{}, rsa.get(), ca_key.get()), check));
  EXPECT_FALSE(verify_chain(make(Recipe{}, rsa.get(), rsa.get()), check));  // signed by itself
}

TEST(Chain, ASelfSignedLeafIsItsOwnAnchorOnlyIfNamed) {  // channels.md 2.2, manual mode
  const auto key = p256();
  const std::string alone = make(Recipe{}, key.get(), key.get());
  ChainCheck check{.ca_pems = {alone}, .purpose = TlsPurpose::server, .now = kNow, .host = std::nullopt};
  EXPECT_TRUE(verify_chain(alone, check));
  const auto other = p256();
  check.ca_pems = {make(Recipe{}, other.get(), other.get())};
  EXPECT_FALSE(verify_chain(alone, check));
}

TEST(Chain, AnEmptyHostIsNoHostCheckSwitchedOff) {
  const auto ca_key = p256(), leaf_key = p256();
  const std::string ca = make(ca_recipe(), ca_key.get(), ca_key.get());
  const std::string leaf = make(Recipe{}, leaf_key.get(), ca_key.get());
  ChainCheck check{.ca_pems = {ca}, .purpose = TlsPurpose::server, .now = kNow, .host = "party1.witan.test"};
  EXPECT_TRUE(verify_chain(leaf, check));
  for (const std::string& bad : {std::string(), std::string("party1.witan.test\0", 18), std::string("witan.test"),
                                 std::string("x.party1.witan.test"), std::string("127.0.0.1")}) {
    check.host = bad;
    EXPECT_FALSE(verify_chain(leaf, check)) << bad;
  }
}

TEST(PartyCa, EveryPropertyOfTheProfileIsChecked) {
  // The same certificate under the node's key would pass; under P-256 it must not, whatever else is right.
  test::SeededRng rng("ca profile");
  const auto signing_key = SigningKey::generate(rng);
  const auto key = p256();
  const auto message_of = [&](auto change) {
    Recipe recipe = ca_recipe();
    change(recipe);
    return check_party_ca(make(recipe, key.get(), key.get()), signing_key.verifying_key(), "party1.witan.test", kNow)
        .error()
        .message;
  };
  const auto has = [](const std::string& text, const char* part) { return text.find(part) != std::string::npos; };
  EXPECT_TRUE(has(message_of([](Recipe&) {}), "not under the node's signing key"));
  EXPECT_TRUE(has(message_of([](Recipe& r) { r.constraints = "critical,CA:TRUE"; }), "path length"));
  EXPECT_TRUE(has(message_of([](Recipe& r) { r.constraints = "critical,CA:TRUE,pathlen:1"; }), "path length"));
  EXPECT_TRUE(has(message_of([](Recipe& r) { r.key_usage = "critical,keyCertSign"; }), "key usages"));
  EXPECT_TRUE(has(message_of([](Recipe& r) { r.key_usage.clear(); }), "key usages"));
  EXPECT_TRUE(has(message_of([](Recipe& r) { r.constraints = "critical,CA:FALSE"; }), "no CA"));
  EXPECT_TRUE(has(message_of([](Recipe& r) { r.to = kNow - 1; }), "not valid now"));
  EXPECT_TRUE(has(message_of([](Recipe& r) { r.from = kNow + 1; }), "not valid now"));
  // A replica's certificate is not the party's CA.
  EXPECT_TRUE(has(message_of([](Recipe& r) {
                    r.subject = "core1.party1.witan.test";
                    r.names = "DNS:core1.party1.witan.test";
                  }),
                  "not of 'party1.witan.test'"));
}

TEST(Pem, NothingButOneCertificate) {
  const auto key = p256();
  const std::string good = make(Recipe{}, key.get(), key.get());
  EXPECT_TRUE(certificate_der(good));
  EXPECT_TRUE(certificate_der(good + " \r\n\t"));
  for (const std::string& bad :
       {std::string(), "x" + good, good + "x", good + good, good.substr(0, good.size() / 2),
        std::string("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"), std::string(1 << 17, 'a')}) {
    EXPECT_EQ(certificate_der(bad).error().code, Code::invalid_argument);
  }
  // "ENCRYPTED" text must be an error at once, never a question for a password.
  std::string encrypted = good;
  encrypted.insert(encrypted.find('\n') + 1,
                   "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00112233445566778899AABBCCDDEEFF\n\n");
  EXPECT_FALSE(certificate_der(encrypted));
  EXPECT_FALSE(certificate_identity(encrypted));
  EXPECT_FALSE(certificate_not_after("nothing"));
}

TEST(TlsLeaf, TheSameRandomnessGivesTheSameKeyAndABadLifeIsRefused) {
  test::SeededRng keys("leaf"), a("same"), b("same"), c("other");
  const auto key = SigningKey::generate(keys);
  const auto leaf = [&](Rng& rng) {
    return make_tls_leaf(key, "party1.witan.test", {}, kNow, kNow + kDay, rng).value();
  };
  const auto first = leaf(a), second = leaf(b), third = leaf(c);
  EXPECT_EQ(first.key_pem.reveal(), second.key_pem.reveal());
  EXPECT_NE(first.key_pem.reveal(), third.key_pem.reveal());
  EXPECT_TRUE(check_key_pair(first.certificate_pem, second.key_pem.reveal()));
  for (const auto& [from, to] :
       {std::pair{kNow, kNow}, {kNow, kNow - 1}, {UnixSeconds{-1}, kNow}, {kNow, UnixSeconds{253402300800}}})
    EXPECT_EQ(make_tls_leaf(key, "party1.witan.test", {}, from, to, a).error().code, Code::invalid_argument);
}

}  // namespace
}  // namespace witan::crypto
