// Requests for keys and their results, whoever makes the key, a committee or a dealer: checks of service.md 3.1 and 5.1, what is signed
// (responses.md 4.2, 7), and what is kept.
#pragma once

#include "node/core.h"
#include "node/public_objects.h"
#include "node/validation.h"
#include "protocols/key_shares.h"

namespace witan::node {

/// Journal table: preprocessing id -> PreprocessingRecord, written with its request, for ever.
inline constexpr const char* kPreprocessingsTable = "preprocessings";

/// What a preprocessing was made for: its key must be of the same kind.
struct PreprocessingRecord {
  enum class Kind : std::uint8_t { dealt = 1, generated = 2 };
  Kind kind = Kind::generated;
  std::string params;
  ContextId context;
  EpochId epoch;

  Bytes encode() const;
  static Result<PreprocessingRecord> decode(ByteView record);
  runtime::Change change(const PreprocId& id) const;
};
/// Nothing if no request of that id was ever accepted. Error: data_loss.
Result<std::optional<PreprocessingRecord>> find_preprocessing(const runtime::Journal& journal, const PreprocId& id);

struct PreprocessingFields {
  PreprocId id;
  ContextId context;
  EpochId epoch;
  std::string params;  // name of the parameter set
  crypto::Eip712Domain domain;
  Bytes extra_data;
  std::vector<api::SigningScheme> schemes;
};
/// Errors: invalid_argument; not_found (context, epoch); unimplemented.
Result<PreprocessingFields> validate_preprocessing(const Core& core, const api::KeyGenPreprocRequest& request);

struct KeygenFields {
  KeyId key;
  PreprocId preprocessing;
  ContextId context;
  EpochId epoch;
  std::optional<std::string> wanted_params;  // of the request
  std::string params;                        // of its preprocessing
  crypto::Eip712Domain domain;
  Bytes extra_data;
  std::vector<api::SigningScheme> schemes;
};
/// All but what depends on the preprocessing. Errors as above.
Result<KeygenFields> validate_keygen(const Core& core, const api::KeyGenRequest& request);

/// May this key be made of its preprocessing, of that kind? Fills in what the preprocessing says. Errors, in this order: already_exists
/// (the key: whoever asks again polls, also after its preprocessing is used up), not_found (preprocessing absent or used), unavailable
/// (still running), aborted or internal (failed), failed_precondition (of the other kind), invalid_argument (other parameters, context
/// or epoch).
Status check_preprocessing(const Core& core, PreprocessingRecord::Kind kind, KeygenFields& fields);

/// The signed result of a preprocessing, encoded.
Bytes preprocessing_result(const Core& core, const PreprocessingFields& fields);
/// Signs the objects of a key, stores shares and metadata: then the key exists here. The result, encoded. Errors of KeyStore::add.
Result<Bytes> store_key(Core& core, const KeygenFields& fields, KeyOrigin origin, const KeyObjects& objects,
                        const protocols::KeyShares& shares);
/// The result of a key that exists, encoded: the same bytes.
Bytes key_result(const KeyRecord& record);
/// Everything of a key that does not exist (yet).
Status remove_key(Core& core, const KeyId& key, const EpochId& epoch);

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
