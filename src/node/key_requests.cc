#include "node/key_requests.h"

#include "api/codec.h"
#include "base/check.h"
#include "base/codec.h"
#include "base/log.h"
#include "crypto/separators.h"
#include "node/key_confirmation.h"
#include "node/validation.h"
#include "protocols/attempts.h"

namespace witan::node {

namespace {

constexpr std::size_t kMaxParamsBytes = 64;

Result<std::string> params_name(api::Open<api::FheParameter> params) {
  if (params == api::FheParameter::default_params) return std::string("default");
  if (params == api::FheParameter::test_params) return std::string("test");
  return fail(Code::invalid_argument, "params: {} is no FheParameter", params.number);
}

/// Only standard key sets in the compressed form (service.md 5.1). Are they to have the secret keys of another one?
Result<bool> uses_existing(const std::optional<api::KeySetConfig>& config) {
  if (!config) return false;
  if (config->keyset_type.number != 0 && config->keyset_type.number != 1)
    return fail(Code::invalid_argument, "keyset_type: {} is unknown", config->keyset_type.number);
  if (config->keyset_type.number == 1)
    return fail(Code::unimplemented,
                "keyset_type: DecompressionOnly, a decompression key between two key sets, is not available in this "
                "version; Standard key sets are");
  if (!config->standard_keyset_config) return fail(Code::invalid_argument, "standard_keyset_config is missing");
  const auto& standard = *config->standard_keyset_config;
  if (standard.compute_key_type.number != 0)
    return fail(Code::invalid_argument, "compute_key_type: {} is unknown", standard.compute_key_type.number);
  if (standard.secret_key_config.number != 0 && standard.secret_key_config.number != 1)
    return fail(Code::invalid_argument, "secret_key_config: {} is unknown", standard.secret_key_config.number);
  if (standard.compressed_key_config.number == 1)
    return fail(Code::unimplemented, "uncompressed server keys cannot be signed by a committee and are refused");
  if (standard.compressed_key_config.number != 0)
    return fail(Code::invalid_argument, "compressed_key_config: {} is unknown", standard.compressed_key_config.number);
  return standard.secret_key_config.number == 1;
}

/// Does keyset_added_info fit keyset_config?
Result<std::optional<ExistingKeyFields>> validate_existing(const std::optional<api::KeySetConfig>& config,
                                                           const std::optional<api::KeySetAddedInfo>& info) {
  WITAN_ASSIGN(const bool use_existing, uses_existing(config));
  if (!use_existing) {
    if (!info || *info == api::KeySetAddedInfo{}) return std::nullopt;
    return fail(Code::invalid_argument,
                "keyset_added_info names an existing key, keyset_config asks for a key set that is all new");
  }
  if (!info)
    return fail(Code::invalid_argument, "keyset_added_info is missing: UseExisting needs its existing_keyset_id");
  if (info->from_keyset_id_decompression_only || info->to_keyset_id_decompression_only)
    return fail(Code::invalid_argument,
                "keyset_added_info has ids for a decompression key, keyset_config asks for a standard key set");
  ExistingKeyFields out;
  WITAN_ASSIGN(out.key, required_id<KeyId>(info->existing_keyset_id, "keyset_added_info.existing_keyset_id"));
  out.keep_tag = info->use_existing_key_tag;
  out.copy_wanted = info->copy_compressed_key_to_original;
  return out;
}

Status check_place(const Core& core, const ContextId& context, const EpochId& epoch) {
  if (context != default_context_id()) return fail(Code::not_found, "context {} is not known here", context.hex());
  if (core.epochs.find(epoch) == nullptr) return fail(Code::not_found, "epoch {} is not known here", epoch.hex());
  return {};
}

std::vector<crypto::TypedKeyDigest> typed(const std::vector<PublishedDigest>& digests) {
  std::vector<crypto::TypedKeyDigest> out;
  for (const PublishedDigest& entry : digests)
    out.push_back(
        {entry.type == kPublicKeyType ? crypto::KeyDigestType::public_key : crypto::KeyDigestType::compressed_key_set,
         entry.digest});
  return out;
}

}  // namespace

Bytes PreprocessingRecord::encode() const {
  return Writer().u8(static_cast<std::uint8_t>(kind)).text(params).id(context).id(epoch).take();
}

Result<PreprocessingRecord> PreprocessingRecord::decode(ByteView record) {
  Reader reader(record);
  PreprocessingRecord out;
  const std::uint8_t kind = reader.u8();
  if (kind < 1 || kind > 5) reader.mark_failed();
  out.kind = static_cast<Kind>(kind);
  out.params = reader.text(kMaxParamsBytes);
  out.context = reader.id<ContextId>();
  out.epoch = reader.id<EpochId>();
  WITAN_TRY(reader.finish("the record of a preprocessing"));
  return out;
}

runtime::Change PreprocessingRecord::change(const PreprocId& id) const {
  return {runtime::Change::Kind::put_new, kPreprocessingsTable, Bytes(id.bytes().begin(), id.bytes().end()), encode()};
}

protocols::KeySource keys_of(PreprocessingRecord::Kind kind) {
  return kind == PreprocessingRecord::Kind::from_existing ? protocols::KeySource::existing
                                                          : protocols::KeySource::all_new;
}

Result<std::optional<PreprocessingRecord>> find_preprocessing(const runtime::Journal& journal, const PreprocId& id) {
  WITAN_ASSIGN(const auto stored, journal.get(kPreprocessingsTable, id.view()));
  if (!stored) return std::nullopt;
  WITAN_ASSIGN(auto record, PreprocessingRecord::decode(*stored));
  return record;
}

crypto::Digest content_digest(ByteView encoded_request) {
  return crypto::tagged_hash(crypto::separators::kRequestContent, encoded_request);
}

Result<PreprocessingFields> validate_preprocessing(const Core& core, const api::KeyGenPreprocRequest& request) {
  PreprocessingFields out;
  WITAN_ASSIGN(out.id, required_id<PreprocId>(request.request_id, "request_id"));
  WITAN_ASSIGN(out.params, params_name(request.params));
  WITAN_ASSIGN(const bool use_existing, uses_existing(request.keyset_config));
  if (use_existing) out.kind = PreprocessingRecord::Kind::from_existing;
  WITAN_ASSIGN(out.domain, validate_domain(request.domain));
  WITAN_TRY(validate_extra_data(request.extra_data));
  out.extra_data = request.extra_data;
  WITAN_ASSIGN(out.schemes, validate_schemes(request.signing_schemes));
  WITAN_ASSIGN(out.context, id_or(request.context_id, default_context_id(), "context_id"));
  WITAN_ASSIGN(out.epoch, id_or(request.epoch_id, default_epoch_id(), "epoch_id"));
  WITAN_TRY(check_place(core, out.context, out.epoch));
  warn_about_extra_data(request.extra_data, out.id.as<RequestTag>(), out.context, out.epoch);
  return out;
}

Result<KeygenFields> validate_keygen(const Core& core, const api::KeyGenRequest& request) {
  KeygenFields out;
  WITAN_ASSIGN(out.key, required_id<KeyId>(request.request_id, "request_id"));
  WITAN_ASSIGN(out.preprocessing, required_id<PreprocId>(request.preproc_id, "preproc_id"));
  WITAN_ASSIGN(out.domain, validate_domain(request.domain));
  WITAN_ASSIGN(out.existing, validate_existing(request.keyset_config, request.keyset_added_info));
  WITAN_TRY(validate_extra_data(request.extra_data));
  out.extra_data = request.extra_data;
  WITAN_ASSIGN(out.schemes, validate_schemes(request.signing_schemes));
  WITAN_ASSIGN(out.context, id_or(request.context_id, default_context_id(), "context_id"));
  WITAN_ASSIGN(out.epoch, id_or(request.epoch_id, default_epoch_id(), "epoch_id"));
  if (request.params) {
    WITAN_ASSIGN(out.wanted_params, params_name(*request.params));
  }
  WITAN_TRY(check_place(core, out.context, out.epoch));
  warn_about_extra_data(request.extra_data, out.key.as<RequestTag>(), out.context, out.epoch);
  return out;
}

Status check_material(const Core& core, const PreprocId& id, const PreprocessingRecord& record) {
  if (record.kind == PreprocessingRecord::Kind::measured)
    return fail(Code::failed_precondition,
                "preprocessing {} was made in part, to measure it: no key can be made of it; start a new one",
                id.hex());
  if (record.kind == PreprocessingRecord::Kind::partial && !core.accepts(KeyOrigin::dealt))
    return fail(Code::failed_precondition,
                "preprocessing {} is partial: everybody may know parts of its material, this program does not use it",
                id.hex());
  return {};
}

void take_preprocessing(KeygenFields& fields, const PreprocessingRecord& record) {
  fields.params = record.params;
  fields.material = record.kind;
}

Status check_preprocessing(const Core& core, KeyMaker maker, KeygenFields& fields) {
  using Kind = PreprocessingRecord::Kind;
  if (core.keys.find_in_any_epoch(fields.key) != nullptr ||
      core.requests.state(RequestKind::keygen, fields.key.bytes()))
    return fail(Code::already_exists, "key {} exists, or was asked for before", fields.key.hex());
  WITAN_TRY(core.requests.check_usable(fields.preprocessing.bytes()));
  WITAN_ASSIGN(const auto record, find_preprocessing(core.journal, fields.preprocessing));
  if (!record)
    return fail(Code::data_loss, "the journal has preprocessing {} without what it was made for",
                fields.preprocessing.hex());
  const KeyMaker expected = record->kind == Kind::dealt ? KeyMaker::dealer : KeyMaker::committee;
  const auto text = [](KeyMaker one) { return one == KeyMaker::dealer ? "dealt" : "generated"; };
  if (expected != maker)
    return fail(Code::failed_precondition, "preprocessing {} is for a key that is {}, this key is to be {}",
                fields.preprocessing.hex(), text(expected), text(maker));
  WITAN_TRY(check_material(core, fields.preprocessing, *record));
  if (fields.wanted_params && *fields.wanted_params != record->params)
    return fail(Code::invalid_argument, "params: the request says {}, its preprocessing {}", *fields.wanted_params,
                record->params);
  if (fields.context != record->context || fields.epoch != record->epoch)
    return fail(Code::invalid_argument, "the request says context {} and epoch {}, its preprocessing {} and {}",
                fields.context.hex(), fields.epoch.hex(), record->context.hex(), record->epoch.hex());
  if (record->kind == Kind::from_existing && !fields.existing)
    return fail(
        Code::invalid_argument,
        "preprocessing {} is for a key set from existing secret keys (UseExisting): it has no bits for new ones",
        fields.preprocessing.hex());
  take_preprocessing(fields, *record);
  return {};
}

Bytes preprocessing_result(const Core& core, const PreprocessingFields& fields) {
  const auto external = core.signing_key.sign_digest(
      crypto::eip712_digest(fields.domain, crypto::prep_keygen_verification(fields.id.bytes(), fields.extra_data)));
  api::KeyGenPreprocResult result;
  result.preprocessing_id = fields.id.hex();
  result.external_signature.assign(external.begin(), external.end());
  result.signatures = sign_with_schemes(core.signing_key, fields.schemes, external, crypto::separators::kKeyObject,
                                        crypto::prep_keygen_signed_payload(fields.id.bytes(), fields.extra_data));
  return api::encode(result);
}

runtime::Task<Status> fail_preprocessing(Core& core, PreprocId id, Error error) {
  auto batches = protocols::forget_batches(core.journal, id);
  if (!batches)
    log::warn("preprocessing {}: records of its batches stay in the journal: {}", id.hex(), batches.error().message);
  co_return co_await core.requests.fail_request(
      RequestKind::preprocessing, id.bytes(), std::move(error),
      [changes = std::move(batches).value_or(std::vector<runtime::Change>{})] { return changes; });
}

KeyRecord signed_record(const Core& core, const KeygenFields& fields, KeyOrigin origin, const KeyObjects& objects) {
  KeyRecord record;
  record.key = fields.key;
  record.preprocessing = fields.preprocessing;
  record.context = fields.context;
  record.epoch = fields.epoch;
  record.params = fields.params;
  record.origin = origin;
  record.digests = {{kPublicKeyType, objects.public_key.digest}, {kKeySetType, objects.key_set.digest}};
  record.extra_data = fields.extra_data;
  const auto digests = typed(record.digests);
  const auto external = core.signing_key.sign_digest(crypto::eip712_digest(
      fields.domain,
      crypto::keygen_verification(fields.preprocessing.bytes(), fields.key.bytes(), digests, fields.extra_data)));
  record.external_signature.assign(external.begin(), external.end());
  for (const api::TypedSignature& entry : sign_with_schemes(
           core.signing_key, fields.schemes, external, crypto::separators::kKeyObject,
           crypto::keygen_signed_payload(fields.preprocessing.bytes(), fields.key.bytes(), digests, fields.extra_data)))
    record.signatures.push_back({entry.scheme.number, entry.signature});
  return record;
}

Bytes key_result(const KeyRecord& record) {
  api::KeyGenResult result;
  result.request_id = record.key.hex();
  result.preprocessing_id = record.preprocessing.hex();
  for (const PublishedDigest& entry : record.digests)
    result.key_digests.push_back({entry.type, Bytes(entry.digest.begin(), entry.digest.end())});
  result.external_signature = record.external_signature;
  for (const StoredSignature& entry : record.signatures)
    result.signatures.push_back({api::Open<api::SigningScheme>(entry.scheme), entry.signature});
  return api::encode(result);
}

runtime::Task<Status> remove_key(Core& core, KeyId key) {
  WITAN_CHECK(core.keys.find_in_any_epoch(key) == nullptr);
  co_return co_await core.compute(
      runtime::Work::preprocessing,
      [key, &private_vault = core.private_vault, &public_vault = core.public_vault]() -> Status {
        WITAN_TRY(erase_key_objects(key, public_vault));
        WITAN_TRY(erase_test_ciphertext(private_vault, key));
        WITAN_ASSIGN(const auto names, private_vault.list(kKeyType));
        for (const runtime::ObjectName& name : names)
          if (name.id == key.bytes()) WITAN_TRY(private_vault.erase(name));
        return {};
      });
}

}  // namespace witan::node
