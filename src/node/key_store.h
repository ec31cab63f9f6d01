// Keys of a node: metadata and shares in the private vault (`FheKeyInfo/<epoch>/<key>`), public objects in the public vault.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.h"
#include "protocols/key_shares.h"
#include "runtime/compute.h"
#include "runtime/event.h"
#include "runtime/vault.h"
#include "tfhe/evaluate.h"

namespace witan::node {

/// How a key came to be. Only `generated` ones may be used by a production node.
enum class KeyOrigin : std::uint8_t { dealt = 1, imported = 2, generated = 3 };
const char* to_string(KeyOrigin origin);

struct StoredSignature {
  std::int32_t scheme = 0;
  Bytes signature;
};

struct PublishedDigest {
  std::string type;  // "PublicKey", "CompressedXofKeySet"
  ByteArray<32> digest{};
};

struct KeyRecord {
  KeyId key;
  PreprocId preprocessing;
  ContextId context;
  EpochId epoch;
  std::string params;  // name of the parameter set
  KeyOrigin origin = KeyOrigin::dealt;
  std::vector<PublishedDigest> digests;  // in the order of responses.md 4.2
  Bytes extra_data;
  Bytes external_signature;
  std::vector<StoredSignature> signatures;

  Bytes encode() const;
  static Result<KeyRecord> decode(ByteView record);
};

/// What Small ciphertexts need of a public key set.
struct SmallKeys {
  tfhe::ComputeKey compute;
  tfhe::SnsKey sns;
  std::optional<tfhe::DecompressionKey> decompression;
  tfhe::u64 max_noise_level = 0;
};

class KeyStore {
 public:
  KeyStore(runtime::Vault& private_vault, runtime::Vault& public_vault, runtime::Compute& compute);

  /// Reads the metadata of all keys and checks that every public object that a record lists is there and hashes to its
  /// digest. Errors: data_loss naming the object.
  Status load();

  /// Stores shares and metadata; the public objects must be there already. Errors: already_exists, unavailable.
  Status add(const KeyRecord& record, const protocols::KeyShares& shares);

  /// Null if the key does not exist in that epoch.
  const KeyRecord* find(const KeyId& key, const EpochId& epoch) const;
  const KeyRecord* find_in_any_epoch(const KeyId& key) const;
  std::vector<const KeyRecord*> all() const;

  Result<std::shared_ptr<const protocols::KeyShares>> shares(const KeyRecord& record);
  /// Expanded once, on the pool; concurrent callers share the work.
  runtime::Task<Result<std::shared_ptr<const SmallKeys>>> small_keys(const KeyRecord& record);

 private:
  struct Expansion {
    explicit Expansion(runtime::Loop& loop) : done(loop) {}
    runtime::Event done;
    std::optional<Error> error;
  };
  struct Entry {
    KeyRecord record;
    std::shared_ptr<const protocols::KeyShares> shares;
    std::shared_ptr<const SmallKeys> small;
    std::shared_ptr<Expansion> expanding;
  };
  using Key = std::pair<KeyId, EpochId>;
  Status check_public_objects(const KeyRecord& record) const;

  runtime::Vault& private_vault_;
  runtime::Vault& public_vault_;
  runtime::Compute& compute_;
  std::map<Key, Entry> entries_;
};

/// Digest of a public object as signed (tfhe-formats.md 17), streamed from the vault.
Result<ByteArray<32>> public_object_digest(const runtime::Vault& vault, const runtime::ObjectName& name);

}  // namespace witan::node
