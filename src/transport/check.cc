#include "transport/check.h"

#include <arpa/inet.h>

#include <set>

#include "base/log.h"
#include "transport/lane.h"

namespace witan::transport {
namespace {

bool is_ip_address(const std::string& host) {
  unsigned char address[16];
  return inet_pton(AF_INET, host.c_str(), address) == 1 || inet_pton(AF_INET6, host.c_str(), address) == 1;
}

/// A CA vouches for its own name and for replicas below it ("core1.party.example" under "party.example", channels.md 2.1).
bool vouches_for(const std::string& ca_identity, const std::string& identity) {
  const std::size_t dot = identity.find('.');
  return ca_identity == identity || (dot != std::string::npos && identity.substr(dot + 1) == ca_identity);
}

Status check_peer(const Config& config, const Peer& peer) {
  const int number = peer.role.number();
  if (!config.committee.contains(peer.role) || peer.role == config.self)
    return fail(Code::invalid_argument, "peer {} is not another party of the committee", number);
  if (peer.identity.empty() || peer.host.empty() || peer.port == 0)
    return fail(Code::invalid_argument, "peer {} needs an identity, a host and a port", number);
  if (is_ip_address(peer.host))
    return fail(Code::invalid_argument, "peer {}: '{}' is an IP address; certificates name hosts, so give a DNS name",
                number, peer.host);
  if (peer.ca_pems.empty())
    return fail(Code::invalid_argument, "peer {} ('{}') has no CA certificate: nothing could verify it", number,
                peer.identity);
  for (const std::string& pem : peer.ca_pems) {
    auto der = crypto::certificate_der(pem);
    if (!der) return fail(std::move(der).error().within(fmt::format("CA certificate of peer {}", number)));
    auto identity = crypto::certificate_identity(pem);
    if (!identity)
      return fail(Code::invalid_argument, "CA certificate of peer {}: {}", number, identity.error().message);
    if (!vouches_for(*identity, peer.identity))
      return fail(Code::invalid_argument, "CA certificate of peer {} is of '{}', the peer is '{}'", number, *identity,
                  peer.identity);
  }
  return {};
}

Result<std::string> check_own_certificate(const Config& config) {
  const auto context = "the own TLS certificate";
  auto fits = crypto::check_key_pair(config.certificate_pem, config.key_pem.reveal());
  if (!fits) return fail(std::move(fits).error().within(context));
  auto identity = crypto::certificate_identity(config.certificate_pem);
  if (!identity) return fail(Error{Code::invalid_argument, identity.error().message}.within(context));
  auto end = crypto::certificate_not_after(config.certificate_pem);
  if (!end) return fail(std::move(end).error().within(context));
  const auto now =
      std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count();
  if (*end <= now) log::warn("{} ('{}') has expired: peers will refuse it", context, *identity);
  return identity;
}

Status check_limits(const Config& config) {
  const Limits& limits = config.limits;
  if (std::min(limits.urgent_credit_bytes, limits.bulk_credit_bytes) < kMinCreditBytes)
    return fail(Code::invalid_argument, "credits of {} (urgent) and {} (bulk) bytes, the least is {}",
                limits.urgent_credit_bytes, limits.bulk_credit_bytes, kMinCreditBytes);
  const Timings& t = config.timings;
  if (t.heartbeat.count() <= 0 || t.dead_after <= t.heartbeat || t.reconnect_first.count() <= 0 ||
      t.reconnect_at_most < t.reconnect_first)
    return fail(Code::invalid_argument,
                "timings: heartbeat {} ms must be below dead_after {} ms, and 0 < reconnect_first {} ms <= "
                "reconnect_at_most {} ms",
                t.heartbeat.count(), t.dead_after.count(), t.reconnect_first.count(), t.reconnect_at_most.count());
  return {};
}

}  // namespace

Result<TrustRoots> check_config(const Config& config) {
  WITAN_TRY(check_limits(config));
  if (!config.committee.contains(config.self))
    return fail(Code::invalid_argument, "the own role {} is not of a committee of {}", config.self.number(),
                config.committee.parties());
  WITAN_ASSIGN(const std::string own, check_own_certificate(config));
  TrustRoots roots;
  std::set<Role> seen;
  for (const Peer& peer : config.peers) {
    WITAN_TRY(check_peer(config, peer));
    if (!seen.insert(peer.role).second)
      return fail(Code::invalid_argument, "peer {} is listed twice", peer.role.number());
    if (peer.identity == own)
      return fail(Code::invalid_argument, "peer {} has the own identity '{}'", peer.role.number(), own);
    if (!roots.parties.emplace(peer.identity, TrustRoots::Party{peer.role, peer.ca_pems}).second)
      return fail(Code::invalid_argument, "two peers have the identity '{}'", peer.identity);
  }
  if (static_cast<int>(seen.size()) != config.committee.parties() - 1)
    return fail(Code::invalid_argument, "{} peers are configured, a committee of {} has {} others", seen.size(),
                config.committee.parties(), config.committee.parties() - 1);
  return roots;
}

}  // namespace witan::transport
