#include "transport/verifier.h"

#include <grpcpp/security/credentials.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_certificate_verifier.h>
#include <grpcpp/security/tls_credentials_options.h>

#include "base/log.h"

namespace witan::transport {
namespace {

using grpc::experimental::ExternalCertificateVerifier;
using grpc::experimental::TlsCustomVerificationCheckRequest;

/// Called by gRPC after a handshake and before any call; the peer learns only that the connection ended.
class GrpcVerifier final : public ExternalCertificateVerifier {
 public:
  GrpcVerifier(std::shared_ptr<const Verifier> verifier, Expected expected)
      : verifier_(std::move(verifier)), expected_(std::move(expected)) {}

  bool Verify(TlsCustomVerificationCheckRequest* request, std::function<void(grpc::Status)>,
              grpc::Status* result) override {
    const auto pem = request->peer_cert();
    const auto judged = verifier_->judge_and_log({pem.data(), pem.size()}, expected_);
    *result = judged ? grpc::Status::OK : grpc::Status(grpc::StatusCode::UNAUTHENTICATED, judged.error().message);
    return true;  // decided at once
  }
  void Cancel(TlsCustomVerificationCheckRequest*) override {}

 private:
  std::shared_ptr<const Verifier> verifier_;
  Expected expected_;
};

std::shared_ptr<grpc::experimental::StaticDataCertificateProvider> own_certificate(const std::string& certificate_pem,
                                                                                   const std::string& key_pem) {
  return std::make_shared<grpc::experimental::StaticDataCertificateProvider>(
      std::vector<grpc::experimental::IdentityKeyCertPair>{{key_pem, certificate_pem}});
}

std::unexpected<Error> no_verifier() {
  return fail(Code::failed_precondition, "no verifier for the certificates of peers: anybody could connect");
}

}  // namespace

bool LogLimiter::allow(const std::string& line, Time now) {
  constexpr std::size_t kLines = 64;
  const std::lock_guard lock(mutex_);
  std::erase_if(seen_, [now](const auto& entry) { return now - entry.second > std::chrono::minutes(1); });
  if (seen_.size() >= kLines) return false;
  return seen_.emplace(line, now).second;
}

std::string printable(std::string_view text) {
  constexpr std::size_t kMost = 300;
  std::string out(text.substr(0, kMost));
  for (char& c : out)
    if (c < 0x20 || c > 0x7e) c = '?';
  return text.size() > kMost ? out + "..." : out;
}

Result<std::shared_ptr<Verifier>> Verifier::make(TrustRoots roots) {
  if (roots.parties.empty()) return fail(Code::failed_precondition, "no trust roots: no peer could be verified");
  for (const auto& [identity, party] : roots.parties)
    if (identity.empty() || party.ca_pems.empty())
      return fail(Code::failed_precondition, "party {} ('{}') has no CA certificate: nothing could verify it",
                  party.role.number(), identity);
  return std::shared_ptr<Verifier>(new Verifier(std::move(roots)));
}

Result<Role> Verifier::judge(std::string_view pem, const Expected& expected) const {
  WITAN_ASSIGN(const std::string identity, crypto::certificate_identity(pem));
  const auto known = roots_.parties.find(identity);
  if (known == roots_.parties.end())
    return fail(Code::unauthenticated, "'{}' is no other party of this committee", identity);
  const auto now =
      std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count();
  auto chained =
      crypto::verify_chain(pem, {.ca_pems = known->second.ca_pems,
                                 .purpose = expected.identity ? crypto::TlsPurpose::server : crypto::TlsPurpose::client,
                                 .now = now,
                                 .host = expected.host});
  if (!chained) return fail(std::move(chained).error().within(fmt::format("certificate of '{}'", identity)));
  if (expected.identity && identity != *expected.identity)
    return fail(Code::unauthenticated, "the certificate is of '{}', expected was '{}'", identity, *expected.identity);
  return known->second.role;
}

Result<Role> Verifier::judge_and_log(std::string_view pem, const Expected& expected) const {
  auto role = judge(pem, expected);
  if (role) return role;
  const std::string line = expected.identity
                               ? fmt::format("refused the peer that answers for '{}' at {}: {}", *expected.identity,
                                             expected.host.value_or("any host"), printable(role.error().message))
                               : fmt::format("refused a connection: {}", printable(role.error().message));
  if (limiter_.allow(line, std::chrono::steady_clock::now())) log::warn("{}", line);
  return role;
}

Result<std::shared_ptr<grpc::ServerCredentials>> server_credentials(std::shared_ptr<const Verifier> verifier,
                                                                    const std::string& certificate_pem,
                                                                    const std::string& key_pem) {
  if (!verifier) return no_verifier();
  grpc::experimental::TlsServerCredentialsOptions options(own_certificate(certificate_pem, key_pem));
  options.watch_identity_key_cert_pairs();
  options.set_cert_request_type(GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_BUT_DONT_VERIFY);
  options.set_certificate_verifier(ExternalCertificateVerifier::Create<GrpcVerifier>(std::move(verifier), Expected{}));
  return grpc::experimental::TlsServerCredentials(options);
}

Result<std::shared_ptr<grpc::ChannelCredentials>> channel_credentials(std::shared_ptr<const Verifier> verifier,
                                                                      Expected expected,
                                                                      const std::string& certificate_pem,
                                                                      const std::string& key_pem) {
  if (!verifier) return no_verifier();
  if (!expected.identity || !expected.host)
    return fail(Code::failed_precondition, "a channel must say which identity and host it expects");
  grpc::experimental::TlsChannelCredentialsOptions options;
  options.set_certificate_provider(own_certificate(certificate_pem, key_pem));
  options.watch_identity_key_cert_pairs();
  options.set_verify_server_certs(false);  // the verifier does
  options.set_check_call_host(false);      // the verifier knows the host
  options.set_certificate_verifier(
      ExternalCertificateVerifier::Create<GrpcVerifier>(std::move(verifier), std::move(expected)));
  return grpc::experimental::TlsCredentials(options);
}

}  // namespace witan::transport
