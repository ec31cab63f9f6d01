#include "node/identity.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/codec.h"
#include "base/secret.h"
#include "crypto/ed25519.h"
#include "crypto/ids.h"
#include "crypto/x509.h"

namespace witan::node {
namespace {

constexpr std::uint64_t kMaxIdentityBytes = 1 << 16;

runtime::ObjectName identity_object(const char* type, const RequestId& id = crypto::signing_key_id()) {
  return {type, std::nullopt, id.bytes()};
}

/// Stores an object, or checks that what is there equals it.
Status publish(runtime::Vault& vault, const runtime::ObjectName& name, ByteView content) {
  WITAN_ASSIGN(const bool there, vault.exists(name));
  if (!there) return vault.put(name, content);
  WITAN_ASSIGN(const Bytes stored, vault.get(name, kMaxIdentityBytes));
  if (!std::ranges::equal(stored, content))
    return fail(Code::failed_precondition,
                "{} in {} does not belong to this node's signing key; if the signing key is right, remove that object",
                name.path(), vault.describe());
  return {};
}

Status write_file(const std::filesystem::path& file, ByteView content, mode_t mode) {
  std::error_code code;
  std::filesystem::create_directories(file.parent_path(), code);
  const int fd = open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
  if (fd < 0) return fail(Code::unavailable, "cannot create {}: {}", file.string(), std::strerror(errno));
  const bool written =
      write(fd, content.data(), content.size()) == static_cast<ssize_t>(content.size()) && fsync(fd) == 0;
  const int error = errno;
  close(fd);
  if (!written) return fail(Code::unavailable, "cannot write {}: {}", file.string(), std::strerror(error));
  return {};
}

/// What gen-keys finds is kept, so it must be what gen-keys would have made.
Status check_ca(ByteView pem, const crypto::VerifyingKey& key, const std::string& identity, std::int64_t now) {
  auto fits = crypto::check_party_ca(std::string(pem.begin(), pem.end()), key, identity, now);
  if (!fits)
    return fail(Error{Code::failed_precondition, fits.error().message}.within(identity_object("CACert").path()));
  return {};
}

/// The TLS leaf fits its key, was issued by the party's CA and is valid now.
Status check_leaf(const Config& config, ByteView ca_pem, std::int64_t now) {
  const auto& files = config.threshold;
  WITAN_ASSIGN(const Bytes cert, read_small_file(files.tls_cert));
  WITAN_ASSIGN(Bytes key, read_small_file(files.tls_key));
  const Secret<Bytes> key_pem(std::move(key));
  const std::string leaf(cert.begin(), cert.end());
  Status fits = crypto::check_key_pair(leaf, key_pem.reveal());
  if (fits)
    fits = crypto::verify_chain(leaf, {.ca_pems = {std::string(ca_pem.begin(), ca_pem.end())},
                                       .purpose = crypto::TlsPurpose::server,
                                       .now = now,
                                       .host = std::nullopt});
  if (!fits)
    return fail(Code::failed_precondition, "{}: {}; remove it and {} to have new ones made", files.tls_cert.string(),
                fits.error().message, files.tls_key.string());
  return {};
}

}  // namespace

/// Straight into the result: what a stream buffers is not wiped.
Result<Bytes> read_small_file(const std::filesystem::path& file) {
  const int fd = open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return fail(Code::not_found, "cannot read {}: {}", file.string(), std::strerror(errno));
  struct stat info{};
  const bool known = fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && info.st_size >= 0;
  const auto size = known ? static_cast<std::uint64_t>(info.st_size) : 0;
  const bool fits = size <= kMaxIdentityBytes;
  Bytes out(fits ? size : 0);
  const bool complete = known && fits && read(fd, out.data(), out.size()) == static_cast<ssize_t>(out.size());
  close(fd);
  if (!fits) return fail(Code::resource_exhausted, "{} has {} bytes, expected at most 64 KiB", file.string(), size);
  if (!complete) {
    wipe(out.data(), out.size());
    return fail(Code::not_found, "cannot read {}", file.string());
  }
  return out;
}

Result<crypto::SigningKey> load_signing_key(const runtime::Vault& private_vault) {
  const auto name = identity_object("SigningKey");
  WITAN_ASSIGN(const bool there, private_vault.exists(name));
  if (!there)
    return fail(Code::failed_precondition,
                "there is no signing key in {}; a new party makes one with: witan-node gen-keys --config-file <file> "
                "--tls-subject <identity>",
                private_vault.describe());
  WITAN_ASSIGN(Bytes plain, private_vault.get(name, kMaxIdentityBytes));
  const Secret<Bytes> stored(std::move(plain));
  auto key = crypto::SigningKey::parse_stored(stored.reveal());
  if (!key) return fail(std::move(key).error().within("the stored signing key"));
  return key;
}

Result<mpc::Signatories> load_signatories(const Config& config, const crypto::SigningKey& own) {
  mpc::Signatories out{&own, {}};
  for (const PeerConfig& peer : config.threshold.peers) {
    WITAN_ASSIGN(const Bytes pem, read_small_file(peer.ca_cert));
    auto key = crypto::party_ca_key(std::string(pem.begin(), pem.end()));
    if (!key)
      return fail(Code::invalid_argument, "{}: the CA certificate of party {}: {}", peer.ca_cert.string(),
                  peer.party_id, key.error().message);
    if (peer.party_id == config.threshold.my_id && *key != own.verifying_key())
      return fail(Code::invalid_argument,
                  "{}: the CA certificate of party {}, this node, is of signing key {}, the private vault has {}",
                  peer.ca_cert.string(), peer.party_id, key->address().text(), own.address().text());
    if (const auto same = std::ranges::find(out.keys, *key); same != out.keys.end())
      return fail(Code::invalid_argument, "{}: the CA certificate of party {} has the signing key of party {}: {}",
                  peer.ca_cert.string(), peer.party_id, same - out.keys.begin() + 1, key->address().text());
    out.keys.push_back(*std::move(key));
  }
  return out;
}

Status check_published_identity(const crypto::SigningKey& key, runtime::Vault& public_vault) {
  const auto& verifying = key.verifying_key();
  const std::string address = key.address().text();
  WITAN_TRY(publish(public_vault, identity_object("VerfKey"), verifying.stored()));
  WITAN_TRY(publish(public_vault, identity_object("VerfAddress"), as_bytes(address)));
  WITAN_TRY(publish(public_vault, identity_object("TypedVerfKey"), verifying.stored()));
  WITAN_TRY(publish(public_vault, identity_object("TypedVerfAddress"), as_bytes(address)));
  const auto ed25519 = crypto::Ed25519Key::derive(key);
  const RequestId id = crypto::signing_key_id("Ed25519");
  WITAN_TRY(publish(public_vault, identity_object("TypedVerfKey", id),
                    crypto::safe_serialize("Ed25519VerfKey", Writer().bytes(ed25519.public_key()).view())));
  return publish(public_vault, identity_object("TypedVerfAddress", id), as_bytes("0x" + to_hex(ed25519.public_key())));
}

Result<std::vector<std::string>> generate_key_material(const Config& config, runtime::Vault& private_vault,
                                                       runtime::Vault& public_vault, const KeyMaterialOptions& options,
                                                       Rng& rng, std::int64_t now) {
  constexpr std::int64_t kLeafLife = std::int64_t{10} * 365 * 86400;
  std::vector<std::string> lines;
  WITAN_ASSIGN(const bool there, private_vault.exists(identity_object("SigningKey")));
  if (!there) {
    const Secret<Bytes> stored = crypto::SigningKey::generate(rng).stored();
    WITAN_TRY(private_vault.put(identity_object("SigningKey"), stored.reveal()));
  }
  WITAN_ASSIGN(const crypto::SigningKey key, load_signing_key(private_vault));
  WITAN_TRY(check_published_identity(key, public_vault));
  lines.push_back(fmt::format("signing key {}: address {}", there ? "kept" : "made", key.address().text()));

  const auto ca_name = identity_object("CACert");
  WITAN_ASSIGN(const bool ca_there, public_vault.exists(ca_name));
  if (!ca_there) {
    WITAN_ASSIGN(const std::string ca, crypto::make_party_ca(key, options.tls_subject, true, now, rng));
    WITAN_TRY(public_vault.put(ca_name, as_bytes(ca)));
  }
  WITAN_ASSIGN(const Bytes ca, public_vault.get(ca_name, kMaxIdentityBytes));
  WITAN_TRY(check_ca(ca, key.verifying_key(), options.tls_subject, now));
  lines.push_back(fmt::format("CA certificate {}: {}", ca_there ? "kept" : "made", options.tls_subject));

  const bool leaf_there =
      std::filesystem::exists(config.threshold.tls_cert) && std::filesystem::exists(config.threshold.tls_key);
  if (!leaf_there) {
    WITAN_ASSIGN(const auto leaf,
                 crypto::make_tls_leaf(key, options.tls_subject, options.tls_names, now - 3600, now + kLeafLife, rng));
    WITAN_TRY(write_file(config.threshold.tls_key, leaf.key_pem.reveal(), 0600));
    WITAN_TRY(write_file(config.threshold.tls_cert, as_bytes(leaf.certificate_pem), 0644));
  }
  WITAN_TRY(check_leaf(config, ca, now));
  lines.push_back(
      fmt::format("TLS certificate {}: {}", leaf_there ? "kept" : "made", config.threshold.tls_cert.string()));
  return lines;
}

}  // namespace witan::node
