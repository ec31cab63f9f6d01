// Requests for keys and their results, whoever makes the key, a committee or a dealer: checks of service.md 3.1 and 5.1, what is signed
// (responses.md 4.2, 7), and what is kept.
#pragma once

#include "node/core.h"
#include "node/public_objects.h"
#include "node/validation.h"
#include "protocols/key_plan.h"
#include "protocols/key_shares.h"

namespace witan::node {

/// Journal table: preprocessing id -> PreprocessingRecord, written with its request, for ever.
inline constexpr const char* kPreprocessingsTable = "preprocessings";

/// What a preprocessing was made for.
struct PreprocessingRecord {
  enum class Kind : std::uint8_t {
    dealt = 1,          // nothing: party 1 deals the key
    generated = 2,      // a key set that is all new; serves one from existing secret keys too, whose bits are then left
    from_existing = 3,  // a key set from existing secret keys (UseExisting): no key bits
    partial = 4,        // all new, everybody may know parts of it (PartialKeyGenPreproc): a key of it counts as dealt
    measured = 5,       // a part that was made to measure it, and erased (PartialKeyGenPreproc): serves no key
  };
  Kind kind = Kind::generated;
  std::string params;
  ContextId context;
  EpochId epoch;

  /// Made by the committee: there is a file of it, for KeyGen.
  bool has_material() const { return kind != Kind::dealt && kind != Kind::measured; }
  Bytes encode() const;
  static Result<PreprocessingRecord> decode(ByteView record);
  runtime::Change change(const PreprocId& id) const;
};
/// The secret keys that such material has bits for.
protocols::KeySource keys_of(PreprocessingRecord::Kind kind);
/// Nothing if no request of that id was ever accepted. Error: data_loss.
Result<std::optional<PreprocessingRecord>> find_preprocessing(const runtime::Journal& journal, const PreprocId& id);

struct PreprocessingFields {
  PreprocId id;
  ContextId context;
  EpochId epoch;
  std::string params;                                                     // name of the parameter set
  PreprocessingRecord::Kind kind = PreprocessingRecord::Kind::generated;  // generated or from_existing
  crypto::Eip712Domain domain;
  Bytes extra_data;
  std::vector<api::SigningScheme> schemes;

  PreprocessingRecord record() const { return {kind, params, context, epoch}; }
};
/// Errors: invalid_argument; not_found (context, epoch); unimplemented.
Result<PreprocessingFields> validate_preprocessing(const Core& core, const api::KeyGenPreprocRequest& request);

/// Of keyset_added_info: the key set whose secret keys the new one has (threshold-tfhe.md 4.3, UseExisting).
struct ExistingKeyFields {
  KeyId key;
  bool keep_tag = false;     // objects of the new key set carry the tag of that one's public key
  bool copy_wanted = false;  // copy_compressed_key_to_original
};

struct KeygenFields {
  KeyId key;
  PreprocId preprocessing;
  ContextId context;
  EpochId epoch;
  std::optional<std::string> wanted_params;  // of the request
  std::optional<ExistingKeyFields> existing;
  std::string params;                                 // of its preprocessing, like what follows: take_preprocessing
  std::optional<PreprocessingRecord::Kind> material;  // none: not known yet
  crypto::Eip712Domain domain;
  Bytes extra_data;
  std::vector<api::SigningScheme> schemes;
};
/// All but what depends on the preprocessing. Errors as above.
Result<KeygenFields> validate_keygen(const Core& core, const api::KeyGenRequest& request);

/// May this program make a key of such material? Error: failed_precondition.
Status check_material(const Core& core, const PreprocId& id, const PreprocessingRecord& record);
/// Fills in what the preprocessing says.
void take_preprocessing(KeygenFields& fields, const PreprocessingRecord& record);

/// Who makes a key, and what follows for its preprocessing.
enum class KeyMaker : std::uint8_t { dealer, committee };
/// May this key be made of its preprocessing? Fills in what the preprocessing says. Errors, in this order: already_exists (the key: whoever
/// asks again polls, also after its preprocessing is used up), not_found (preprocessing absent or used), unavailable (still running),
/// aborted or internal (failed), failed_precondition (for another maker; partial, which production nodes do not use), invalid_argument
/// (other parameters, context or epoch; no bits for the keys that are to be made).
Status check_preprocessing(const Core& core, KeyMaker maker, KeygenFields& fields);

/// The signed result of a preprocessing, encoded.
Bytes preprocessing_result(const Core& core, const PreprocessingFields& fields);
/// Records that a preprocessing has failed, and forgets the batches that it had. Errors of RequestStore::fail_request.
runtime::Task<Status> fail_preprocessing(Core& core, PreprocId id, Error error);
/// What is kept of a key, with the signatures over its objects. The key exists here once KeyStore::add has stored it.
KeyRecord signed_record(const Core& core, const KeygenFields& fields, KeyOrigin origin, const KeyObjects& objects);
/// The result of a key that exists, encoded: the same bytes.
Bytes key_result(const KeyRecord& record);
/// Removes everything of a key that does not exist here in any epoch (checked): what a run has left that did not come to its end. Bulk work.
/// Errors of the vaults.
runtime::Task<Status> remove_key(Core& core, KeyId key);

/// A request of an id was accepted with this content.
crypto::Digest content_digest(ByteView encoded_request);

/// For a Get...Result method; the errors of RequestStore::result.
template <class Response, class IdType>
runtime::Task<Result<Response>> stored_result(Core& core, RequestKind kind, api::IdRequest request,
                                              runtime::Duration wait, std::stop_token gone) {
  const auto id = co_await runtime::ok(parse_request_id<IdType>(request));
  const Bytes stored =
      co_await runtime::ok(co_await core.requests.result(kind, id.bytes(), core.loop.after(wait), std::move(gone)));
  co_return api::decode<Response>(stored);
}

/// How long GetKeyGenPreprocResult waits (service.md 4.2); GetKeyGenResult does not.
inline constexpr auto kPreprocessingWait = std::chrono::seconds(300);

}  // namespace witan::node
