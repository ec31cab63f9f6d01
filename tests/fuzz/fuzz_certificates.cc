// Certificates: identity rule, chain, party CA. The first byte says what the rest is (CertificateInput).
#include "fuzz/fuzz_certificates.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <memory>
#include <string>

#include "fuzz/fuzz.h"

namespace witan::fuzz {
namespace {

template <auto Free>
struct Deleter {
  template <class T>
  void operator()(T* value) const {
    Free(value);
  }
};
using Certificate = std::unique_ptr<X509, Deleter<X509_free>>;
using Bio = std::unique_ptr<BIO, Deleter<BIO_free_all>>;

std::string text_of(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return {data, static_cast<std::size_t>(size)};
}

/// PEM of DER bytes, whatever they are.
std::string pem_of_bytes(ByteView der) {
  if (der.empty()) return {};
  const Bio out(BIO_new(BIO_s_mem()));
  WITAN_CHECK(PEM_write_bio(out.get(), "CERTIFICATE", "", der.data(), static_cast<long>(der.size())) > 0);
  return text_of(out.get());
}

/// The secp256k1 key of the party for OpenSSL.
EVP_PKEY* issuer_key() {
  static const std::unique_ptr<EVP_PKEY, Deleter<EVP_PKEY_free>> key = [] {
    const auto& signing = fuzz_party().key;
    Bytes scalar(signing.reveal().rbegin(), signing.reveal().rend());  // OSSL_PARAM integers are in native order
    auto point = signing.verifying_key().uncompressed();
    char group[] = "secp256k1";
    OSSL_PARAM parameters[] = {OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 0),
                               OSSL_PARAM_construct_BN(OSSL_PKEY_PARAM_PRIV_KEY, scalar.data(), scalar.size()),
                               OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size()),
                               OSSL_PARAM_construct_end()};
    const std::unique_ptr<EVP_PKEY_CTX, Deleter<EVP_PKEY_CTX_free>> context(
        EVP_PKEY_CTX_new_from_name(nullptr, "EC", nullptr));
    EVP_PKEY* out = nullptr;
    WITAN_CHECK(EVP_PKEY_fromdata_init(context.get()) == 1 &&
                EVP_PKEY_fromdata(context.get(), &out, EVP_PKEY_KEYPAIR, parameters) == 1);
    return std::unique_ptr<EVP_PKEY, Deleter<EVP_PKEY_free>>(out);
  }();
  return key.get();
}

std::string signed_again(ByteView der) {
  const std::uint8_t* at = der.data();
  const Certificate certificate(d2i_X509(nullptr, &at, static_cast<long>(der.size())));
  ERR_clear_error();
  if (!certificate) return {};
  const Bio out(BIO_new(BIO_s_mem()));
  const bool good = X509_sign(certificate.get(), issuer_key(), EVP_sha256()) > 0 &&
                    PEM_write_bio_X509(out.get(), certificate.get()) == 1;
  ERR_clear_error();
  return good ? text_of(out.get()) : std::string();
}

void judge(const std::string& pem) {
  const FuzzParty& party = fuzz_party();
  const auto identity = crypto::certificate_identity(pem);
  if (identity) WITAN_CHECK(!identity->empty());
  if (const auto der = crypto::certificate_der(pem)) {
    const auto again = crypto::certificate_identity(pem_of_bytes(*der));
    WITAN_CHECK(again.has_value() == identity.has_value() && (!identity || *again == *identity));
  }
  static_cast<void>(crypto::certificate_not_after(pem));
  static_cast<void>(crypto::check_key_pair(pem, party.leaf.key_pem.reveal()));
  const bool is_ca = crypto::check_party_ca(pem, party.key.verifying_key(), kFuzzIdentity, kFuzzNow).has_value();
  if (is_ca) WITAN_CHECK(identity && *identity == kFuzzIdentity);
  for (const auto purpose : {crypto::TlsPurpose::server, crypto::TlsPurpose::client}) {
    const auto chains = [&](const std::string& anchor, std::optional<std::string> host) {
      return crypto::verify_chain(pem,
                                  {.ca_pems = {anchor}, .purpose = purpose, .now = kFuzzNow, .host = std::move(host)})
          .has_value();
    };
    const bool chained = chains(party.ca_pem, std::nullopt);
    WITAN_CHECK(!(chained && is_ca));
    WITAN_CHECK(!chains(party.ca_pem, "localhost") || chained);
    static_cast<void>(chains(pem, "localhost"));  // its own anchor
  }
}

}  // namespace

void fuzz_one(ByteView input) {
  if (input.empty()) return;
  const ByteView rest = input.subspan(1);
  switch (static_cast<CertificateInput>(input[0] % static_cast<std::uint8_t>(CertificateInput::count))) {
    case CertificateInput::text:
      judge(std::string(rest.begin(), rest.end()));
      break;
    case CertificateInput::der:
      judge(pem_of_bytes(rest));
      break;
    case CertificateInput::to_sign:
      judge(signed_again(rest));
      break;
    case CertificateInput::private_key:
      static_cast<void>(crypto::check_key_pair(fuzz_party().leaf.certificate_pem, rest));
      break;
    case CertificateInput::count:
      break;
  }
}

}  // namespace witan::fuzz
