#include <grpcpp/security/credentials.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_certificate_verifier.h>
#include <grpcpp/security/tls_credentials_options.h>

#include <chrono>

#include "base/log.h"
#include "transport/verifier.h"

namespace witan::transport {
namespace {

using grpc::experimental::TlsCustomVerificationCheckRequest;

class PeerVerifier final : public grpc::experimental::ExternalCertificateVerifier {
 public:
  PeerVerifier(std::shared_ptr<const TrustRoots> roots, std::optional<std::string> identity,
               std::optional<std::string> host)
      : roots_(std::move(roots)), identity_(std::move(identity)), host_(std::move(host)) {}

  bool Verify(TlsCustomVerificationCheckRequest* request, std::function<void(grpc::Status)>,
              grpc::Status* result) override {
    const auto pem = request->peer_cert();
    const auto purpose = identity_ ? crypto::TlsPurpose::server : crypto::TlsPurpose::client;
    auto judged = judge_certificate(*roots_, {pem.data(), pem.size()}, purpose, host_);
    if (judged && identity_ && *judged != *identity_)
      judged = fail(Code::unauthenticated, "it belongs to '{}', expected was '{}'", *judged, *identity_);
    if (judged) {
      *result = grpc::Status::OK;
    } else {
      log::warn("refused the certificate of {} '{}': {}", identity_ ? "the peer" : "a client, which names itself",
                identity_ ? *identity_ : std::string(request->common_name().data(), request->common_name().size()),
                judged.error().message);
      *result = grpc::Status(grpc::StatusCode::UNAUTHENTICATED, "certificate refused");
    }
    return true;  // decided at once
  }
  void Cancel(TlsCustomVerificationCheckRequest*) override {}

 private:
  std::shared_ptr<const TrustRoots> roots_;
  std::optional<std::string> identity_, host_;
};

std::shared_ptr<grpc::experimental::StaticDataCertificateProvider> own_certificate(const std::string& cert_pem,
                                                                                   const std::string& key_pem) {
  return std::make_shared<grpc::experimental::StaticDataCertificateProvider>(
      std::vector<grpc::experimental::IdentityKeyCertPair>{{key_pem, cert_pem}});
}

}  // namespace

Result<std::string> judge_certificate(const TrustRoots& roots, std::string_view pem, crypto::TlsPurpose purpose,
                                      const std::optional<std::string>& host) {
  WITAN_ASSIGN(std::string identity, crypto::certificate_identity(pem));
  const auto known = roots.ca_pems.find(identity);
  if (known == roots.ca_pems.end()) return fail(Code::unauthenticated, "'{}' is no party of this committee", identity);
  const auto now =
      std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count();
  auto chained = crypto::verify_chain(pem, {.ca_pems = known->second, .purpose = purpose, .now = now, .host = host});
  if (!chained) return fail(std::move(chained).error().within(fmt::format("'{}'", identity)));
  return identity;
}

std::shared_ptr<grpc::ServerCredentials> server_credentials(std::shared_ptr<const TrustRoots> roots,
                                                            const std::string& cert_pem, const std::string& key_pem) {
  grpc::experimental::TlsServerCredentialsOptions options(own_certificate(cert_pem, key_pem));
  options.watch_identity_key_cert_pairs();
  options.set_cert_request_type(GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_BUT_DONT_VERIFY);
  options.set_certificate_verifier(grpc::experimental::ExternalCertificateVerifier::Create<PeerVerifier>(
      std::move(roots), std::nullopt, std::nullopt));
  return grpc::experimental::TlsServerCredentials(options);
}

std::shared_ptr<grpc::ChannelCredentials> channel_credentials(std::shared_ptr<const TrustRoots> roots,
                                                              std::string identity, std::string host,
                                                              const std::string& cert_pem, const std::string& key_pem) {
  grpc::experimental::TlsChannelCredentialsOptions options;
  options.set_certificate_provider(own_certificate(cert_pem, key_pem));
  options.watch_identity_key_cert_pairs();
  options.set_verify_server_certs(false);
  options.set_check_call_host(false);
  options.set_certificate_verifier(grpc::experimental::ExternalCertificateVerifier::Create<PeerVerifier>(
      std::move(roots), std::optional(std::move(identity)), std::optional(std::move(host))));
  return grpc::experimental::TlsCredentials(options);
}

}  // namespace witan::transport
