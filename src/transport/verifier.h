// The one place where a peer's certificate is judged (channels.md 2, 4.3 steps 1-2): gRPC does the handshake and proves
// possession of the key, and trusts nothing by itself. That is why credentials cannot be made without a verifier.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
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
  struct Party {
    Role role;
    std::vector<std::string> ca_pems;
  };
  std::map<std::string, Party> parties;
};

/// Whom a connection must lead to. Without an identity: to any party of the committee (the accepting side).
struct Expected {
  std::optional<std::string> identity;
  std::optional<std::string> host;  // that the certificate must cover
};

/// Drops lines of attackers that repeat themselves or never do: a line once a minute, at most 64 different ones a minute.
class LogLimiter {
 public:
  using Time = std::chrono::steady_clock::time_point;
  bool allow(const std::string& line, Time now);

 private:
  std::mutex mutex_;
  std::map<std::string, Time> seen_;
};

class Verifier {
 public:
  /// Errors: failed_precondition if there are no trust roots, or a party without a CA: everybody, or nobody, would be let in.
  static Result<std::shared_ptr<Verifier>> make(TrustRoots roots);

  /// The party that the certificate belongs to: identity known, chain to that identity's own CAs, valid now, for this
  /// purpose (a server's if an identity is expected), identity and host as expected. Error: unauthenticated with the reason.
  Result<Role> judge(std::string_view pem, const Expected& expected) const;
  /// The same, with a line in the log if it is refused.
  Result<Role> judge_and_log(std::string_view pem, const Expected& expected) const;

  const TrustRoots& roots() const { return roots_; }

 private:
  explicit Verifier(TrustRoots roots) : roots_(std::move(roots)) {}
  const TrustRoots roots_;
  mutable LogLimiter limiter_;
};

/// One line of printable ASCII, shortened: for text that a stranger chose.
std::string printable(std::string_view text);

/// Errors of both: failed_precondition without a verifier.
Result<std::shared_ptr<grpc::ServerCredentials>> server_credentials(std::shared_ptr<const Verifier> verifier,
                                                                    const std::string& certificate_pem,
                                                                    const std::string& key_pem);
Result<std::shared_ptr<grpc::ChannelCredentials>> channel_credentials(std::shared_ptr<const Verifier> verifier,
                                                                      Expected expected,
                                                                      const std::string& certificate_pem,
                                                                      const std::string& key_pem);

}  // namespace witan::transport
