// A party's signing key and what it publishes of it: VerfKey, VerfAddress, TypedVerfKey/-Address, CACert (responses.md 2.2,
// channels.md 2.2).
#pragma once

#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

#include "crypto/ecdsa.h"
#include "mpc/broadcast.h"
#include "node/config.h"
#include "runtime/vault.h"

namespace witan::node {

struct KeyMaterialOptions {
  std::string tls_subject;             // identity of the certificates
  std::vector<std::string> tls_names;  // further dNSNames of the TLS leaf, e.g. "localhost"
};

/// Makes what is missing: the signing key (private vault), the published objects, the TLS leaf and its key (files of the
/// configuration). What exists is kept and must fit. Returns the lines to show. Errors: failed_precondition (something
/// published belongs to another key), unavailable (disk).
Result<std::vector<std::string>> generate_key_material(const Config& config, runtime::Vault& private_vault,
                                                       runtime::Vault& public_vault, const KeyMaterialOptions& options,
                                                       Rng& rng, std::int64_t now);

/// Error: failed_precondition if there is no signing key, saying how to make one.
Result<crypto::SigningKey> load_signing_key(const runtime::Vault& private_vault);

/// The published verification material fits the signing key; what is missing is written, nothing is overwritten.
/// Error: failed_precondition.
Status check_published_identity(const crypto::SigningKey& key, runtime::Vault& public_vault);

/// The signing keys of the context: the own one and those in the CA certificates of all parties (`peers[].ca_cert`). `own` outlives
/// the result. Errors: invalid_argument (a certificate cannot be read or has another kind of key; two parties have one key; the own certificate
/// is not of the own key), naming file and party.
Result<mpc::Signatories> load_signatories(const Config& config, const crypto::SigningKey& own);

/// Reads a small text or key file. Errors: not_found, resource_exhausted (above 64 KiB).
Result<Bytes> read_small_file(const std::filesystem::path& file);

}  // namespace witan::node
