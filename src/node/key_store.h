// Keys of a node: metadata and shares in the private vault (`FheKeyInfo/<epoch>/<key>`), public objects in the public vault.
//
//              what                                    read and checked                      needed by
//   metadata   ids, digests, signatures                load(), before the node serves        everything
//   shares     a megabyte                              at the first decryption               every decryption
//   public     PublicKey, CompressedXofKeySet:         check_public_objects(), beside        decryptions of Small formats
//   objects    511 MB with the default parameters      what the node serves
//
// A decryption of a Big format needs the shares alone. They lie in another vault, their form is checked when they are read, and t
// parties may have wrong ones: it need not wait until the public objects are checked, and does not depend on what the check finds.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.h"
#include "node/small_keys.h"
#include "protocols/key_shares.h"
#include "runtime/compute.h"
#include "runtime/event.h"
#include "runtime/vault.h"

namespace witan::node {

/// Type of the private object of a key, in its epoch.
inline constexpr const char* kKeyType = "FheKeyInfo";

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

/// What is known of the public objects of a key.
enum class PublicObjects : std::uint8_t { unchecked, intact, damaged };
const char* to_string(PublicObjects state);

class KeyStore {
 public:
  KeyStore(runtime::Vault& private_vault, runtime::Vault& public_vault, runtime::Compute& compute);

  /// Reads and checks the metadata of all keys; every public object that a record lists must exist, its content is not looked at.
  /// Errors: data_loss naming the object.
  Status load();

  /// Compares the public objects of a key with the digests that were signed (service.md 9). The pool reads and hashes them as bulk
  /// work, one piece of kReadAtOnce bytes after another; no other key waits for it. At once if the key is checked already. Error:
  /// data_loss naming the object, what was signed, what is there and what to do; logged here.
  runtime::Task<Status> check_public_objects(const KeyRecord& record);

  PublicObjects public_objects(const KeyRecord& record) const;
  /// For those who need the public objects now. Errors: unavailable (not checked yet, try again), data_loss as above.
  Status require_public_objects(const KeyRecord& record) const;
  /// Ends once they are found to be intact. If they are not, it never ends.
  runtime::Task<void> until_public_objects_are_intact(const KeyRecord& record);

  /// Stores shares and metadata, by a bulk kernel; the public objects must be there already, with the record's digests: they count as
  /// checked. Errors: already_exists; unavailable (disk): whether the key is on the disk is unknown, and it may be added again.
  runtime::Task<Status> add(KeyRecord record, std::shared_ptr<const protocols::KeyShares> shares);

  /// Null if the key does not exist in that epoch.
  const KeyRecord* find(const KeyId& key, const EpochId& epoch) const;
  const KeyRecord* find_in_any_epoch(const KeyId& key) const;
  std::vector<const KeyRecord*> all() const;
  /// Keys whose shares are in memory.
  std::size_t loaded() const;

  /// Errors: data_loss naming the object; unavailable.
  Result<std::shared_ptr<const protocols::KeyShares>> shares(const KeyRecord& record);
  /// The same; a bulk kernel reads them.
  runtime::Task<Result<std::shared_ptr<const protocols::KeyShares>>> load_shares(const KeyRecord& record);
  /// Expanded once, on the pool; concurrent callers share the work. Errors: also those of require_public_objects().
  runtime::Task<Result<std::shared_ptr<const SmallKeys>>> small_keys(const KeyRecord& record);

 private:
  struct Expansion {
    explicit Expansion(runtime::Loop& loop) : done(loop) {}
    runtime::Event done;
    std::optional<Error> error;
  };
  struct Entry {
    KeyRecord record;
    std::optional<Status> public_objects;  // none: unchecked
    std::shared_ptr<const protocols::KeyShares> shares;
    std::shared_ptr<const SmallKeys> small;
    std::shared_ptr<Expansion> expanding;
  };
  using Key = std::pair<KeyId, EpochId>;
  Status load_record(const runtime::ObjectName& name);
  runtime::Task<Status> compare_public_objects(const KeyRecord& record);

  runtime::Vault& private_vault_;
  runtime::Vault& public_vault_;
  runtime::Compute& compute_;
  std::map<Key, Entry> entries_;  // nothing is removed: references stay valid
  runtime::WaitList checked_;     // woken after each key
};

}  // namespace witan::node
