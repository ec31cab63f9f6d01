// The one place where a peer's certificate is judged (channels.md 2, 4.3 steps 1-2): gRPC does the handshake and proves
// possession of the key, and trusts nothing by itself.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "crypto/x509.h"
#include "transport/transport.h"

namespace grpc {
class ChannelCredentials;
class ServerCredentials;
}  // namespace grpc

namespace witan::transport {

/// Identity -> its CAs and its role. Immutable while a transport runs.
struct TrustRoots {
  std::map<std::string, std::vector<std::string>> ca_pems;
  std::map<std::string, Role> roles;
};

/// The certificate's identity, if its chain ends at that identity's own CA. Error: unauthenticated.
Result<std::string> judge_certificate(const TrustRoots& roots, std::string_view pem, crypto::TlsPurpose purpose,
                                      const std::optional<std::string>& host);

/// Accepts any party of the committee.
std::shared_ptr<grpc::ServerCredentials> server_credentials(std::shared_ptr<const TrustRoots> roots,
                                                            const std::string& cert_pem, const std::string& key_pem);
/// Accepts that identity on that host alone.
std::shared_ptr<grpc::ChannelCredentials> channel_credentials(std::shared_ptr<const TrustRoots> roots,
                                                              std::string identity, std::string host,
                                                              const std::string& cert_pem, const std::string& key_pem);

}  // namespace witan::transport
