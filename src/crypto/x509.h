// Certificates of parties: a CA per party under its own signing key, and TLS leaves (channels.md 2). The only place that
// builds or judges certificates; time is a parameter.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "crypto/ecdsa.h"

namespace witan::crypto {

using UnixSeconds = std::int64_t;

/// Self-issued CA of channels.md 2.2 for the identity (letters, digits, `-`, `.`), valid from one day before `now` to
/// 2049-12-31. With `wildcard`, `*.identity` is a second dNSName. PEM. Error: invalid_argument (identity).
Result<std::string> make_party_ca(const SigningKey& key, std::string_view identity, bool wildcard, UnixSeconds now,
                                  Rng& rng);

struct TlsLeaf {
  std::string certificate_pem;
  Secret<Bytes> key_pem;  // PKCS#8
};

/// P-256 leaf of channels.md 2.3 issued by the party's CA: CN identity; dNSNames identity, `*.identity` and `extra_names`.
/// Its key comes from `rng`. Error: invalid_argument (a name, or a life that does not end after it begins).
Result<TlsLeaf> make_tls_leaf(const SigningKey& ca_key, std::string_view identity,
                              const std::vector<std::string>& extra_names, UnixSeconds not_before,
                              UnixSeconds not_after, Rng& rng);

/// The identity of a certificate by the rule of channels.md 2.1. Error: unauthenticated, naming the broken clause.
Result<std::string> certificate_identity(std::string_view pem);

enum class TlsPurpose : std::uint8_t { client, server };

struct ChainCheck {
  std::vector<std::string> ca_pems;  // the anchors of one identity
  TlsPurpose purpose = TlsPurpose::server;
  UnixSeconds now = 0;
  std::optional<std::string> host;  // the name that was dialled; wildcards allowed
};

/// Chain of a leaf to one of the CAs, validity, purpose, host. A CA certificate as leaf is refused, an empty host too. A leaf
/// that bears the name of its CA needs an authorityKeyIdentifier, or it counts as signed by itself. Error: unauthenticated
/// with the reason.
Status verify_chain(std::string_view leaf_pem, const ChainCheck& check);

/// channels.md 2.2: exactly one PEM certificate, CA, signed by itself with `key`, identity as given, valid now.
Status check_party_ca(std::string_view pem, const VerifyingKey& key, std::string_view identity, UnixSeconds now);

/// The secp256k1 key of a party's CA certificate: the party's signing key. Error: invalid_argument (no certificate, another kind of key).
Result<VerifyingKey> party_ca_key(std::string_view pem);

/// DER of the one certificate in a PEM text (only white space may follow). Error: invalid_argument.
Result<Bytes> certificate_der(std::string_view pem);

/// When the certificate expires.
Result<UnixSeconds> certificate_not_after(std::string_view pem);

/// Does the private key (PEM) belong to the certificate? Errors: invalid_argument.
Status check_key_pair(std::string_view certificate_pem, ByteView key_pem);

}  // namespace witan::crypto
