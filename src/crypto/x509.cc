#include "crypto/x509.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <bit>
#include <memory>

#include "base/check.h"

namespace witan::crypto {
namespace {

template <auto Free>
struct Deleter {
  template <class T>
  void operator()(T* value) const {
    Free(value);
  }
};
using Certificate = std::unique_ptr<X509, Deleter<X509_free>>;
using Key = std::unique_ptr<EVP_PKEY, Deleter<EVP_PKEY_free>>;
using Bio = std::unique_ptr<BIO, Deleter<BIO_free_all>>;
using Names = std::unique_ptr<GENERAL_NAMES, Deleter<GENERAL_NAMES_free>>;

constexpr UnixSeconds kDay = 86400;
constexpr std::size_t kMaxPemBytes = 1 << 16;

template <class... Args>
std::unexpected<Error> refuse(fmt::format_string<Args...> format, Args&&... args) {
  return fail(Code::unauthenticated, format, std::forward<Args>(args)...);
}

Bio memory(ByteView data) {
  return Bio(BIO_new_mem_buf(data.data(), static_cast<int>(data.size())));
}

/// Without it OpenSSL would ask for the password of an encrypted PEM text at the terminal, and wait.
int no_password(char*, int, int, void*) {
  return -1;
}

Result<Certificate> parse(std::string_view pem) {
  if (pem.size() > kMaxPemBytes)
    return fail(Code::invalid_argument, "a certificate of {} bytes is too long", pem.size());
  const Bio in = memory(as_bytes(pem));
  Certificate certificate(PEM_read_bio_X509(in.get(), nullptr, no_password, nullptr));
  ERR_clear_error();
  if (!certificate) return fail(Code::invalid_argument, "not a PEM certificate");
  return certificate;
}

std::string pem_of(X509* certificate) {
  const Bio out(BIO_new(BIO_s_mem()));
  WITAN_CHECK(PEM_write_bio_X509(out.get(), certificate) == 1);
  char* data = nullptr;
  const long size = BIO_get_mem_data(out.get(), &data);
  return std::string(data, static_cast<std::size_t>(size));
}

/// An EC key pair from its 32-byte scalar and its uncompressed point. The scalar is handed over in memory that we wipe.
Key ec_key(const char* group, const ByteArray<32>& scalar, ByteArray<65> public_point) {
  static_assert(std::endian::native == std::endian::little);  // OSSL_PARAM integers are in native order
  Secret<ByteArray<32>> native;
  std::ranges::reverse_copy(scalar, native.reveal_mutable().begin());
  OSSL_PARAM parameters[] = {
      OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, const_cast<char*>(group), 0),
      OSSL_PARAM_construct_BN(OSSL_PKEY_PARAM_PRIV_KEY, native.reveal_mutable().data(), scalar.size()),
      OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, public_point.data(), public_point.size()),
      OSSL_PARAM_construct_end()};
  const std::unique_ptr<EVP_PKEY_CTX, Deleter<EVP_PKEY_CTX_free>> context(
      EVP_PKEY_CTX_new_from_name(nullptr, "EC", nullptr));
  EVP_PKEY* key = nullptr;
  WITAN_CHECK(EVP_PKEY_fromdata_init(context.get()) == 1);
  WITAN_CHECK(EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_KEYPAIR, parameters) == 1);
  return Key(key);
}

Key secp256k1_key(const SigningKey& key) {
  return ec_key("secp256k1", key.reveal(), key.verifying_key().uncompressed());
}

bool is_identity(std::string_view text) {
  return !text.empty() && text.size() <= 64 && std::ranges::all_of(text, [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '.';
  });
}

/// X.509 writes years up to 9999; a life that ends before it begins is a mistake of the caller.
Status check_life(UnixSeconds not_before, UnixSeconds not_after) {
  constexpr UnixSeconds kEnd9999 = 253402300799;
  if (not_before < 0 || not_after > kEnd9999 || not_before >= not_after)
    return fail(Code::invalid_argument, "a certificate cannot be valid from {} to {} (seconds since 1970)", not_before,
                not_after);
  return {};
}

void set_name(X509_NAME* name, std::string_view common_name) {
  WITAN_CHECK(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
                                         reinterpret_cast<const unsigned char*>(common_name.data()),
                                         static_cast<int>(common_name.size()), -1, 0) == 1);
}

void add_extension(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
  WITAN_CHECK(extension != nullptr);
  WITAN_CHECK(X509_add_ext(certificate, extension, -1) == 1);
  X509_EXTENSION_free(extension);
}

/// SHA-1 of the issuer's public key, as its subjectKeyIdentifier has it (RFC 5280, 4.2.1.2, method 1).
void add_authority_key_identifier(X509* certificate, EVP_PKEY* issuer_key) {
  const Certificate issuer(X509_new());
  WITAN_CHECK(X509_set_pubkey(issuer.get(), issuer_key) == 1);
  ByteArray<20> id;
  unsigned size = 0;
  WITAN_CHECK(X509_pubkey_digest(issuer.get(), EVP_sha1(), id.data(), &size) == 1 && size == id.size());
  const std::unique_ptr<AUTHORITY_KEYID, Deleter<AUTHORITY_KEYID_free>> value(AUTHORITY_KEYID_new());
  value->keyid = ASN1_OCTET_STRING_new();
  WITAN_CHECK(ASN1_OCTET_STRING_set(value->keyid, id.data(), static_cast<int>(id.size())) == 1);
  WITAN_CHECK(X509_add1_ext_i2d(certificate, NID_authority_key_identifier, value.get(), 0, X509V3_ADD_DEFAULT) == 1);
}

Certificate begin_certificate(std::string_view subject, std::string_view issuer, UnixSeconds not_before,
                              UnixSeconds not_after, Rng& rng) {
  Certificate certificate(X509_new());
  WITAN_CHECK(X509_set_version(certificate.get(), X509_VERSION_3) == 1);
  auto serial = rng.bytes<16>();
  serial[0] = static_cast<std::uint8_t>((serial[0] & 0x7f) | 0x40);  // positive, full length
  const std::unique_ptr<BIGNUM, Deleter<BN_free>> number(BN_bin2bn(serial.data(), 16, nullptr));
  BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate.get()));
  WITAN_CHECK(ASN1_TIME_set(X509_getm_notBefore(certificate.get()), not_before) != nullptr);
  WITAN_CHECK(ASN1_TIME_set(X509_getm_notAfter(certificate.get()), not_after) != nullptr);
  set_name(X509_get_subject_name(certificate.get()), subject);
  set_name(X509_get_issuer_name(certificate.get()), issuer);
  return certificate;
}

/// The first CN of a name; empty if there is none or it is not text.
std::string common_name(const X509_NAME* name) {
  const int at = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
  if (at < 0) return {};
  unsigned char* text = nullptr;
  const int size = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));
  if (size < 0) return {};
  std::string out(reinterpret_cast<char*>(text), static_cast<std::size_t>(size));
  OPENSSL_free(text);
  return out.find('\0') == std::string::npos ? out : std::string();
}

std::vector<std::string> dns_names(X509* certificate) {
  const Names names(static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  std::vector<std::string> out;
  for (int i = 0; names && i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type != GEN_DNS) continue;
    out.emplace_back(reinterpret_cast<const char*>(ASN1_STRING_get0_data(name->d.dNSName)),
                     static_cast<std::size_t>(ASN1_STRING_length(name->d.dNSName)));
  }
  return out;
}

Result<std::string> identity_of(X509* certificate) {
  const auto names = dns_names(certificate);
  if (names.empty()) return refuse("the certificate has no dNSName in its subjectAltName");
  std::string subject = common_name(X509_get_subject_name(certificate));
  const std::string issuer = common_name(X509_get_issuer_name(certificate));
  if (subject.empty()) return refuse("the certificate's subject has no common name");
  if (issuer.empty()) return refuse("the certificate's issuer has no common name");
  const std::size_t dot = subject.find('.');
  const bool replica = dot != std::string::npos && subject.substr(dot + 1) == issuer;
  if (subject != issuer && !replica)
    return refuse("the common name '{}' does not belong to the issuer '{}'", subject, issuer);
  if (std::ranges::find(names, subject) == names.end())
    return refuse("the common name '{}' is not among the certificate's dNSNames", subject);
  return subject;
}

/// FIPS 186-5, A.2.2: candidates of 32 random bytes until one is in 1 .. order - 1.
Key generate_p256(Rng& rng) {
  const std::unique_ptr<EC_GROUP, Deleter<EC_GROUP_free>> group(EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1));
  const std::unique_ptr<EC_POINT, Deleter<EC_POINT_free>> point(EC_POINT_new(group.get()));
  const std::unique_ptr<BIGNUM, Deleter<BN_clear_free>> number(BN_new());
  BN_set_flags(number.get(), BN_FLG_CONSTTIME);
  for (;;) {
    Secret<ByteArray<32>> scalar;
    rng.fill(scalar.reveal_mutable());
    WITAN_CHECK(BN_bin2bn(scalar.reveal().data(), 32, number.get()) != nullptr);
    if (BN_is_zero(number.get()) || BN_cmp(number.get(), EC_GROUP_get0_order(group.get())) >= 0) continue;
    WITAN_CHECK(EC_POINT_mul(group.get(), point.get(), number.get(), nullptr, nullptr, nullptr) == 1);
    ByteArray<65> encoded{};
    WITAN_CHECK(EC_POINT_point2oct(group.get(), point.get(), POINT_CONVERSION_UNCOMPRESSED, encoded.data(),
                                   encoded.size(), nullptr) == encoded.size());
    return ec_key("P-256", scalar.reveal(), encoded);
  }
}

Secret<Bytes> private_pem(EVP_PKEY* key) {
  const Bio out(BIO_new(BIO_s_secmem()));
  WITAN_CHECK(PEM_write_bio_PKCS8PrivateKey(out.get(), key, nullptr, nullptr, 0, nullptr, nullptr) == 1);
  char* data = nullptr;
  const long size = BIO_get_mem_data(out.get(), &data);
  return Secret<Bytes>(Bytes(data, data + size));
}

}  // namespace

Result<std::string> make_party_ca(const SigningKey& key, std::string_view identity, bool wildcard, UnixSeconds now,
                                  Rng& rng) {
  constexpr UnixSeconds kEnd2049 = 2524607999;  // 2049-12-31 23:59:59 UTC
  if (!is_identity(identity))
    return fail(Code::invalid_argument, "identity '{}' must be 1 to 64 letters, digits, '-' and '.'", identity);
  WITAN_TRY(check_life(now - kDay, kEnd2049));
  const Certificate certificate = begin_certificate(identity, identity, now - kDay, kEnd2049, rng);
  const Key pair = secp256k1_key(key);
  WITAN_CHECK(X509_set_pubkey(certificate.get(), pair.get()) == 1);
  add_extension(certificate.get(), certificate.get(), NID_basic_constraints, "critical,CA:TRUE,pathlen:0");
  add_extension(certificate.get(), certificate.get(), NID_key_usage, "critical,digitalSignature,keyCertSign,cRLSign");
  std::string names = fmt::format("DNS:{}", identity);
  if (wildcard) names += fmt::format(",DNS:*.{}", identity);
  add_extension(certificate.get(), certificate.get(), NID_subject_alt_name, names);
  add_extension(certificate.get(), certificate.get(), NID_subject_key_identifier, "hash");
  WITAN_CHECK(X509_sign(certificate.get(), pair.get(), EVP_sha256()) > 0);
  return pem_of(certificate.get());
}

Result<TlsLeaf> make_tls_leaf(const SigningKey& ca_key, std::string_view identity,
                              const std::vector<std::string>& extra_names, UnixSeconds not_before,
                              UnixSeconds not_after, Rng& rng) {
  if (!is_identity(identity))
    return fail(Code::invalid_argument, "identity '{}' must be 1 to 64 letters, digits, '-' and '.'", identity);
  WITAN_TRY(check_life(not_before, not_after));
  std::string names = fmt::format("DNS:*.{0},DNS:{0}", identity);
  for (const std::string& name : extra_names) {
    if (!is_identity(name)) return fail(Code::invalid_argument, "'{}' is no DNS name", name);
    names += ",DNS:" + name;
  }
  const Certificate certificate = begin_certificate(identity, identity, not_before, not_after, rng);
  const Key leaf = generate_p256(rng);
  WITAN_CHECK(X509_set_pubkey(certificate.get(), leaf.get()) == 1);
  add_extension(certificate.get(), nullptr, NID_basic_constraints, "critical,CA:FALSE");
  add_extension(certificate.get(), nullptr, NID_key_usage, "critical,digitalSignature,keyEncipherment,keyAgreement");
  add_extension(certificate.get(), nullptr, NID_ext_key_usage, "serverAuth,clientAuth");
  add_extension(certificate.get(), nullptr, NID_subject_alt_name, names);
  // Leaf and CA carry the same name: only key identifiers tell OpenSSL that the leaf has not signed itself.
  add_extension(certificate.get(), nullptr, NID_subject_key_identifier, "hash");
  const Key issuer = secp256k1_key(ca_key);
  add_authority_key_identifier(certificate.get(), issuer.get());
  WITAN_CHECK(X509_sign(certificate.get(), issuer.get(), EVP_sha256()) > 0);
  return TlsLeaf{pem_of(certificate.get()), private_pem(leaf.get())};
}

Result<std::string> certificate_identity(std::string_view pem) {
  auto certificate = parse(pem);
  if (!certificate) return refuse("{}", certificate.error().message);
  return identity_of(certificate->get());
}

Status verify_chain(std::string_view leaf_pem, const ChainCheck& check) {
  auto leaf = parse(leaf_pem);
  if (!leaf) return refuse("{}", leaf.error().message);
  // For OpenSSL an empty name would mean: no check of the host.
  if (check.host && (check.host->empty() || check.host->find('\0') != std::string::npos))
    return refuse("the host name to check is empty or has a zero byte");
  // X509_check_ca alone would let basicConstraints CA pass if keyCertSign is missing.
  if (X509_check_ca(leaf->get()) != 0 || (X509_get_extension_flags(leaf->get()) & EXFLAG_CA) != 0)
    return refuse("a CA certificate is not accepted as a TLS certificate");
  const std::unique_ptr<X509_STORE, Deleter<X509_STORE_free>> store(X509_STORE_new());
  for (const std::string& pem : check.ca_pems) {
    auto ca = parse(pem);
    if (!ca) return refuse("trust anchor: {}", ca.error().message);
    WITAN_CHECK(X509_STORE_add_cert(store.get(), ca->get()) == 1);
  }
  if (check.ca_pems.empty()) return refuse("no trust anchor is known for this identity");
  const std::unique_ptr<X509_STORE_CTX, Deleter<X509_STORE_CTX_free>> context(X509_STORE_CTX_new());
  WITAN_CHECK(X509_STORE_CTX_init(context.get(), store.get(), leaf->get(), nullptr) == 1);
  X509_VERIFY_PARAM* parameters = X509_STORE_CTX_get0_param(context.get());
  X509_VERIFY_PARAM_set_time(parameters, check.now);
  const int purpose = check.purpose == TlsPurpose::server ? X509_PURPOSE_SSL_SERVER : X509_PURPOSE_SSL_CLIENT;
  WITAN_CHECK(X509_STORE_CTX_set_purpose(context.get(), purpose) == 1);
  if (check.host) {
    X509_VERIFY_PARAM_set_hostflags(parameters, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    WITAN_CHECK(X509_VERIFY_PARAM_set1_host(parameters, check.host->data(), check.host->size()) == 1);
  }
  const bool good = X509_verify_cert(context.get()) == 1;
  const int reason = X509_STORE_CTX_get_error(context.get());
  ERR_clear_error();
  if (!good && reason == X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT && X509_get0_authority_key_id(leaf->get()) == nullptr)
    return refuse("{}, or issued by a CA of the same name: then it needs an authorityKeyIdentifier",
                  X509_verify_cert_error_string(reason));
  if (!good) return refuse("{}", X509_verify_cert_error_string(reason));
  return {};
}

namespace {

Result<VerifyingKey> secp256k1_key_of(X509* certificate) {
  EVP_PKEY* key = X509_get0_pubkey(certificate);
  ByteArray<16> group{};
  ByteArray<65> point{};
  std::size_t group_size = 0, size = 0;
  if (key == nullptr ||
      EVP_PKEY_get_group_name(key, reinterpret_cast<char*>(group.data()), group.size(), &group_size) != 1 ||
      std::string_view(reinterpret_cast<const char*>(group.data()), group_size) != "secp256k1" ||
      EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size(), &size) != 1)
    return fail(Code::invalid_argument, "the certificate has no secp256k1 key");
  return VerifyingKey::parse(ByteView(point).first(size));
}

}  // namespace

Status check_party_ca(std::string_view pem, const VerifyingKey& key, std::string_view identity, UnixSeconds now) {
  WITAN_TRY(certificate_der(pem));
  auto certificate = parse(pem);
  if (!certificate) return fail(std::move(certificate).error());
  X509* ca = certificate->get();
  WITAN_ASSIGN(const std::string named, identity_of(ca));
  if (named != identity || common_name(X509_get_issuer_name(ca)) != identity)
    return fail(Code::invalid_argument, "the CA certificate is of '{}', not of '{}'", named, identity);
  if (X509_check_ca(ca) != 1) return fail(Code::invalid_argument, "the certificate of '{}' is no CA", identity);
  if (X509_get_pathlen(ca) != 0)
    return fail(Code::invalid_argument, "the CA certificate of '{}' must have path length 0", identity);
  constexpr std::uint32_t kUsage = KU_DIGITAL_SIGNATURE | KU_KEY_CERT_SIGN | KU_CRL_SIGN;
  if ((X509_get_extension_flags(ca) & EXFLAG_KUSAGE) == 0 || (X509_get_key_usage(ca) & kUsage) != kUsage)
    return fail(Code::invalid_argument,
                "the CA certificate of '{}' must have the key usages digitalSignature, keyCertSign and cRLSign",
                identity);
  time_t time = now;
  if (X509_cmp_time(X509_get0_notBefore(ca), &time) > 0 || X509_cmp_time(X509_get0_notAfter(ca), &time) < 0)
    return fail(Code::invalid_argument, "the CA certificate of '{}' is not valid now", identity);
  const auto public_key = secp256k1_key_of(ca);
  if (!public_key || *public_key != key)
    return fail(Code::invalid_argument, "the CA certificate of '{}' is not under the node's signing key {}", identity,
                key.address().text());
  const bool signed_by_itself = X509_verify(ca, X509_get0_pubkey(ca)) == 1;
  ERR_clear_error();
  if (!signed_by_itself)
    return fail(Code::invalid_argument, "the CA certificate of '{}' has a wrong signature", identity);
  return {};
}

Result<VerifyingKey> party_ca_key(std::string_view pem) {
  auto certificate = parse(pem);
  if (!certificate) return fail(std::move(certificate).error());
  auto key = secp256k1_key_of(certificate->get());
  ERR_clear_error();
  return key;
}

Result<Bytes> certificate_der(std::string_view pem) {
  constexpr std::string_view kEnd = "-----END CERTIFICATE-----";
  WITAN_ASSIGN(const auto certificate, parse(pem));
  const std::size_t end = pem.find(kEnd);
  if (!pem.starts_with("-----BEGIN CERTIFICATE-----") ||
      pem.find_first_not_of(" \t\r\n", end + kEnd.size()) != std::string_view::npos)
    return fail(Code::invalid_argument, "exactly one PEM certificate is expected");
  unsigned char* data = nullptr;
  const int size = i2d_X509(certificate.get(), &data);
  WITAN_CHECK(size > 0);
  Bytes out(data, data + size);
  OPENSSL_free(data);
  return out;
}

Result<UnixSeconds> certificate_not_after(std::string_view pem) {
  WITAN_ASSIGN(const auto certificate, parse(pem));
  tm parts{};
  if (ASN1_TIME_to_tm(X509_get0_notAfter(certificate.get()), &parts) != 1)
    return fail(Code::invalid_argument, "the certificate has no readable end of validity");
  return static_cast<UnixSeconds>(timegm(&parts));
}

Status check_key_pair(std::string_view certificate_pem, ByteView key_pem) {
  WITAN_ASSIGN(const auto certificate, parse(certificate_pem));
  if (key_pem.size() > kMaxPemBytes) return fail(Code::invalid_argument, "the private key file is too long");
  const Bio in = memory(key_pem);
  const Key key(PEM_read_bio_PrivateKey(in.get(), nullptr, no_password, nullptr));
  ERR_clear_error();
  if (!key) return fail(Code::invalid_argument, "not a PEM private key");
  const bool match = X509_check_private_key(certificate.get(), key.get()) == 1;
  ERR_clear_error();
  if (!match) return fail(Code::invalid_argument, "the private key does not belong to the certificate");
  return {};
}

}  // namespace witan::crypto
