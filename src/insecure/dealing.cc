#include "insecure/dealing.h"

#include <fstream>

#include "api/codec.h"
#include "base/codec.h"
#include "base/log.h"
#include "crypto/ids.h"
#include "crypto/separators.h"
#include "node/service.h"
#include "node/validation.h"
#include "tfhe/keygen.h"
#include "tfhe_rs/objects.h"

namespace witan::insecure {

using node::Core;
using node::key_object_name;
using node::KeyObjects;
using node::ObjectBeingWritten;
using node::RequestKind;
using runtime::ok;
using runtime::Session;
using runtime::Task;
using runtime::Work;

namespace {

constexpr runtime::Step kShares = 1;
constexpr runtime::Step kChunks = 100;
constexpr std::size_t kChunkBytes = 4u << 20;
constexpr auto kDealTimeout = std::chrono::minutes(30);
constexpr const char* kPreprocTable = "preprocessings";
const Role kDealer(1);

struct Dealt {
  KeyObjects objects;
  std::vector<protocols::KeyShares> shares;  // by role
};

Result<std::string> params_name(api::Open<api::FheParameter> params) {
  if (params.number == 0) return std::string("default");
  if (params.number == 1) return std::string("test");
  return fail(Code::invalid_argument, "params: {} is no FheParameter", params.number);
}

/// Only new keys in the compressed form (service.md 5.1).
Status check_config(const std::optional<api::KeySetConfig>& config) {
  if (!config) return {};
  if (config->keyset_type.number != 0 && config->keyset_type.number != 1)
    return fail(Code::invalid_argument, "keyset_type: {} is unknown", config->keyset_type.number);
  if (config->keyset_type.number == 1)
    return fail(Code::unimplemented, "decompression keys are not available in this version");
  if (!config->standard_keyset_config) return fail(Code::invalid_argument, "standard_keyset_config is missing");
  const auto& standard = *config->standard_keyset_config;
  if (standard.compute_key_type.number != 0)
    return fail(Code::invalid_argument, "compute_key_type: {} is unknown", standard.compute_key_type.number);
  if (standard.secret_key_config.number == 1)
    return fail(Code::unimplemented, "UseExisting is not available in this version");
  if (standard.secret_key_config.number != 0)
    return fail(Code::invalid_argument, "secret_key_config: {} is unknown", standard.secret_key_config.number);
  if (standard.compressed_key_config.number == 1)
    return fail(Code::unimplemented, "uncompressed server keys cannot be signed by a committee and are refused");
  if (standard.compressed_key_config.number != 0)
    return fail(Code::invalid_argument, "compressed_key_config: {} is unknown", standard.compressed_key_config.number);
  return {};
}

Status check_place(const Core& core, const ContextId& context, const EpochId& epoch) {
  if (context != default_context_id()) return fail(Code::not_found, "context {} is not known here", context.hex());
  if (core.epochs.find(epoch) == nullptr) return fail(Code::not_found, "epoch {} is not known here", epoch.hex());
  return {};
}

// Preprocessing: nothing is prepared, but the id is used up and signed like a real one.

Task<Result<api::Empty>> key_gen_preproc(Core& core, api::KeyGenPreprocRequest request) {
  const auto permit = co_await ok(core.limiter.take(core.config.rate_limits.preproc));
  const PreprocId id = co_await ok(node::required_id<PreprocId>(request.request_id, "request_id"));
  const std::string params = co_await ok(params_name(request.params));
  co_await ok(check_config(request.keyset_config));
  const auto domain = co_await ok(node::validate_domain(request.domain));
  co_await ok(node::validate_extra_data(request.extra_data));
  const auto schemes = co_await ok(node::validate_schemes(request.signing_schemes));
  const ContextId context = co_await ok(node::id_or(request.context_id, default_context_id(), "context_id"));
  const EpochId epoch = co_await ok(node::id_or(request.epoch_id, default_epoch_id(), "epoch_id"));
  co_await ok(check_place(core, context, epoch));
  node::warn_about_extra_data(request.extra_data, id.as<RequestTag>(), context, epoch);

  Bytes body = api::encode(request);
  const auto digest = crypto::tagged_hash(crypto::separators::kRequestContent, body);
  co_await ok(co_await core.requests.insert(RequestKind::preprocessing, id.bytes(), digest, std::move(body)));
  const auto external = core.signing_key.sign_digest(
      crypto::eip712_digest(domain, crypto::prep_keygen_verification(id.bytes(), request.extra_data)));
  api::KeyGenPreprocResult result;
  result.preprocessing_id = id.hex();
  result.external_signature.assign(external.begin(), external.end());
  result.signatures = node::sign_with_schemes(core.signing_key, schemes, external, crypto::separators::kKeyObject,
                                              crypto::prep_keygen_signed_payload(id.bytes(), request.extra_data));
  const auto extra = [&] {
    const Bytes key(id.bytes().begin(), id.bytes().end());
    std::vector<runtime::Change> out;
    out.push_back({runtime::Change::Kind::put, kPreprocTable, key, Writer().text(params).take()});
    return out;
  };
  co_await ok(co_await core.requests.finish(RequestKind::preprocessing, id.bytes(), api::encode(result), extra));
  co_return api::Empty{};
}

template <class Response, class IdType>
Task<Result<Response>> stored_result(Core& core, RequestKind kind, api::IdRequest request, runtime::Duration wait) {
  const auto id = co_await ok(node::parse_request_id<IdType>(request));
  const Bytes stored = co_await ok(co_await core.requests.result(kind, id.bytes(), core.loop.after(wait)));
  co_return api::decode<Response>(stored);
}

// Key generation.

struct KeygenFields {
  KeyId key;
  PreprocId preprocessing;
  ContextId context;
  EpochId epoch;
  std::string params;
  crypto::Eip712Domain domain;
  Bytes extra_data;
  std::vector<api::SigningScheme> schemes;
};

Result<KeygenFields> validate_keygen(const Core& core, const api::KeyGenRequest& request) {
  KeygenFields out;
  WITAN_ASSIGN(out.key, node::required_id<KeyId>(request.request_id, "request_id"));
  WITAN_ASSIGN(out.preprocessing, node::required_id<PreprocId>(request.preproc_id, "preproc_id"));
  WITAN_ASSIGN(out.domain, node::validate_domain(request.domain));
  WITAN_TRY(check_config(request.keyset_config));
  WITAN_TRY(node::validate_extra_data(request.extra_data));
  out.extra_data = request.extra_data;
  WITAN_ASSIGN(out.schemes, node::validate_schemes(request.signing_schemes));
  WITAN_ASSIGN(out.context, node::id_or(request.context_id, default_context_id(), "context_id"));
  WITAN_ASSIGN(out.epoch, node::id_or(request.epoch_id, default_epoch_id(), "epoch_id"));
  WITAN_TRY(check_place(core, out.context, out.epoch));
  node::warn_about_extra_data(request.extra_data, out.key.as<RequestTag>(), out.context, out.epoch);
  WITAN_ASSIGN(const auto stored, core.journal.get(kPreprocTable, out.preprocessing.view()));
  if (!stored) return fail(Code::not_found, "no unused preprocessing {} is here", out.preprocessing.hex());
  out.params = Reader(*stored).text(64);
  if (request.params) {
    WITAN_ASSIGN(const std::string wanted, params_name(*request.params));
    if (wanted != out.params)
      return fail(Code::invalid_argument, "params: the request says {}, its preprocessing {}", wanted, out.params);
  }
  return out;
}

/// Makes or imports the keys, writes the public objects into the vault and deals shares. On the pool: seconds with the default
/// parameters.
Result<Dealt> make_and_deal(const KeygenFields& fields, CommitteeSize committee,
                            const std::filesystem::path& import_file, runtime::Vault& vault) {
  OsRng rng;
  WITAN_ASSIGN(const tfhe::Params params, tfhe::params_by_name(fields.params));
  tfhe::SecretKeySet keys;
  if (!import_file.empty()) {
    std::ifstream in(import_file, std::ios::binary);
    Secret<Bytes> raw(Bytes(std::istreambuf_iterator<char>(in), {}));
    auto client_key = tfhe_rs::read_client_key(raw.reveal());
    if (!client_key) return fail(std::move(client_key).error().within(import_file.string()));
    if (!client_key->params.same_values(params))
      return fail(Code::invalid_argument, "{} has other parameters than {}", import_file.string(), fields.params);
    WITAN_TRY(client_key->keys.check(params));
    keys = std::move(client_key->keys);
  } else {
    keys = tfhe::generate_secret_keys(params, rng);
  }

  Dealt out;
  out.shares = deal_shares(keys, committee, rng);
  WITAN_ASSIGN(out.objects, write_public_objects(params, keys, fields.key, vault, rng));
  return out;
}

/// Key set || public key, read from the vault from front to back.
class ObjectStream {
 public:
  static Result<std::shared_ptr<ObjectStream>> open(const runtime::Vault& vault, const KeyId& key) {
    auto out = std::make_shared<ObjectStream>();
    for (const char* type : {node::kKeySetType, node::kPublicKeyType}) {
      WITAN_ASSIGN(auto reader, vault.open(key_object_name(type, key)));
      out->readers_.push_back(std::move(reader));
    }
    return out;
  }
  /// The next kChunkBytes, or what is left.
  Result<Bytes> next() {
    Bytes chunk(kChunkBytes);
    std::size_t filled = 0;
    while (filled < chunk.size() && current_ < readers_.size()) {
      WITAN_ASSIGN(const std::size_t n, readers_[current_]->read(MutableByteView(chunk).subspan(filled)));
      filled += n;
      if (n == 0) ++current_;
    }
    chunk.resize(filled);
    return chunk;
  }

 private:
  std::vector<std::unique_ptr<runtime::ObjectReader>> readers_;
  std::size_t current_ = 0;
};

/// Hands out shares, then the public objects, a chunk when everybody has asked for it.
Task<Status> deal(Core& core, Session& session, const KeyId& key, const Dealt& dealt, runtime::Instant deadline) {
  const auto peers = runtime::RoleSet::others(session.committee(), session.self());
  const KeyObjects& objects = dealt.objects;
  for (const Role peer : peers) {
    Writer message;
    message.u64(objects.key_set.size_bytes).raw(objects.key_set.digest);
    message.u64(objects.public_key.size_bytes).raw(objects.public_key.digest);
    message.raw(dealt.shares[peer.index()].encode().reveal());
    co_await ok(session.send(peer, kShares, runtime::make_payload(message.take())));
  }
  const auto stream = co_await ok(ObjectStream::open(core.public_vault, key));
  for (std::uint64_t k = 0; k * kChunkBytes < objects.size_bytes(); ++k) {
    const auto step = static_cast<runtime::Step>(kChunks + 2 * k);
    auto chunk = co_await ok(co_await core.compute(Work::preprocessing, [stream] { return stream->next(); }));
    for (const Role peer : peers) co_await ok(co_await session.receive(peer, step, deadline));
    if (k > 0) session.release_sent(step - 1);  // they have the chunk before
    co_await ok(session.send_all(step + 1, runtime::make_payload(std::move(chunk))));
  }
  co_return Status{};
}

struct Received {
  KeyObjects objects;
  protocols::KeyShares shares;
};

/// The objects that a dealer sends, written as they come; visible when both are whole and right.
class IncomingObjects {
 public:
  static Result<std::shared_ptr<IncomingObjects>> begin(runtime::Vault& vault, const KeyId& key,
                                                        const KeyObjects& announced) {
    WITAN_ASSIGN(auto key_set, ObjectBeingWritten::begin(vault, key_object_name(node::kKeySetType, key)));
    WITAN_ASSIGN(auto public_key, ObjectBeingWritten::begin(vault, key_object_name(node::kPublicKeyType, key)));
    return std::shared_ptr<IncomingObjects>(new IncomingObjects(announced, std::move(key_set), std::move(public_key)));
  }
  Status write(ByteView piece) {
    const auto first = static_cast<std::size_t>(
        std::min<std::uint64_t>(piece.size(), announced_.key_set.size_bytes - key_set_.size_bytes()));
    WITAN_TRY(key_set_.write(piece.first(first)));
    return public_key_.write(piece.subspan(first));
  }
  Status publish() {
    if (key_set_.info().digest != announced_.key_set.digest ||
        public_key_.info().digest != announced_.public_key.digest)
      return fail(Code::aborted, "aborted: the dealer's objects do not have the digests that it announced");
    WITAN_TRY(public_key_.publish());
    return key_set_.publish();
  }

 private:
  IncomingObjects(const KeyObjects& announced, ObjectBeingWritten key_set, ObjectBeingWritten public_key)
      : announced_(announced), key_set_(std::move(key_set)), public_key_(std::move(public_key)) {}
  const KeyObjects announced_;
  ObjectBeingWritten key_set_, public_key_;
};

Task<Result<Received>> receive_dealt(Core& core, Session& session, const KeygenFields& fields,
                                     runtime::Instant deadline) {
  const auto message = co_await ok(co_await session.receive(kDealer, kShares, deadline));
  Reader reader(message.bytes());
  Received out;
  KeyObjects& objects = out.objects;
  objects.key_set.size_bytes = reader.u64();
  objects.key_set.digest = reader.array<32>();
  objects.public_key.size_bytes = reader.u64();
  objects.public_key.digest = reader.array<32>();
  if (reader.failed() || objects.key_set.size_bytes > runtime::Vault::kMaxObjectBytes ||
      objects.public_key.size_bytes > (64u << 20))
    co_return fail(Code::aborted, "aborted: the dealer announces objects of {} and {} bytes",
                   objects.key_set.size_bytes, objects.public_key.size_bytes);
  const auto params = co_await ok(tfhe::params_by_name(fields.params));
  out.shares = co_await ok(protocols::KeyShares::decode(reader.raw(reader.remaining()), params));
  // A disk of ours that fails is no reason for the others to fail: all chunks are asked for.
  const auto incoming = IncomingObjects::begin(core.public_vault, fields.key, objects);
  Status stored = incoming ? Status{} : Status(fail(incoming.error()));
  for (std::uint64_t k = 0; k * kChunkBytes < objects.size_bytes(); ++k) {
    const auto step = static_cast<runtime::Step>(kChunks + 2 * k);
    co_await ok(session.send(kDealer, step, runtime::make_payload({})));
    const auto chunk = co_await ok(co_await session.receive(kDealer, step + 1, deadline));
    const std::uint64_t expected = std::min<std::uint64_t>(kChunkBytes, objects.size_bytes() - k * kChunkBytes);
    if (chunk.bytes().size() != expected)
      co_return fail(Code::aborted, "aborted: chunk {} of the dealer has {} bytes, expected {}", k,
                     chunk.bytes().size(), expected);
    if (stored)
      stored = co_await core.compute(Work::preprocessing,
                                     [target = *incoming, payload = chunk.payload] { return target->write(*payload); });
    session.release_received(step + 1);
  }
  co_await ok(std::move(stored));
  co_await ok(co_await core.compute(Work::preprocessing, [target = *incoming] { return target->publish(); }));
  co_return out;
}

Status remove_key(Core& core, const KeyId& key, const EpochId& epoch) {
  WITAN_TRY(node::erase_key_objects(key, core.public_vault));
  return core.private_vault.erase({"FheKeyInfo", epoch, key.bytes()});
}

Task<Result<Bytes>> store_and_sign(Core& core, KeygenFields fields, node::KeyOrigin origin, const KeyObjects& objects,
                                   const protocols::KeyShares& shares) {
  const auto &public_key_digest = objects.public_key.digest, &key_set_digest = objects.key_set.digest;
  const std::vector<crypto::TypedKeyDigest> digests = {{crypto::KeyDigestType::public_key, public_key_digest},
                                                       {crypto::KeyDigestType::compressed_key_set, key_set_digest}};
  const auto external = core.signing_key.sign_digest(crypto::eip712_digest(
      fields.domain,
      crypto::keygen_verification(fields.preprocessing.bytes(), fields.key.bytes(), digests, fields.extra_data)));

  node::KeyRecord record;
  record.key = fields.key;
  record.preprocessing = fields.preprocessing;
  record.context = fields.context;
  record.epoch = fields.epoch;
  record.params = fields.params;
  record.origin = origin;
  record.digests = {{"PublicKey", public_key_digest}, {"CompressedXofKeySet", key_set_digest}};
  record.extra_data = fields.extra_data;
  record.external_signature.assign(external.begin(), external.end());

  api::KeyGenResult result;
  result.request_id = fields.key.hex();
  result.preprocessing_id = fields.preprocessing.hex();
  for (const auto& entry : record.digests)
    result.key_digests.push_back({entry.type, Bytes(entry.digest.begin(), entry.digest.end())});
  result.external_signature = record.external_signature;
  result.signatures = node::sign_with_schemes(
      core.signing_key, fields.schemes, external, crypto::separators::kKeyObject,
      crypto::keygen_signed_payload(fields.preprocessing.bytes(), fields.key.bytes(), digests, fields.extra_data));
  for (const auto& entry : result.signatures) record.signatures.push_back({entry.scheme.number, entry.signature});

  co_await ok(core.keys.add(record, shares));
  co_return api::encode(result);
}

Task<Result<Bytes>> deal_or_receive(Core& core, KeygenFields fields, std::filesystem::path import_dir) {
  const SessionId id = crypto::session_id(fields.key.bytes(), crypto::SessionKind::keygen, 0, 0);
  Session session = co_await ok(core.router.open(id, {.lane = runtime::Lane::bulk}));
  const runtime::Instant deadline = core.loop.after(kDealTimeout);
  if (core.router.self() != kDealer) {
    Received received = co_await ok(co_await receive_dealt(core, session, fields, deadline));
    // Whether the dealer made or imported the key cannot be told from here; both are refused alike.
    co_return co_await store_and_sign(core, fields, node::KeyOrigin::dealt, received.objects, received.shares);
  }
  std::filesystem::path import_file;
  if (!import_dir.empty() && std::filesystem::exists(import_dir / (fields.key.hex() + ".bin")))
    import_file = import_dir / (fields.key.hex() + ".bin");
  const auto dealt = co_await ok(co_await core.compute(
      Work::preprocessing, [fields, import_file, committee = core.router.committee(), &vault = core.public_vault] {
        return make_and_deal(fields, committee, import_file, vault);
      }));
  co_await ok(co_await deal(core, session, fields.key, dealt, deadline));
  co_return co_await store_and_sign(core, fields, node::KeyOrigin::dealt, dealt.objects, dealt.shares[kDealer.index()]);
}

Task<void> run_keygen(Core& core, KeygenFields fields, std::filesystem::path import_dir,
                      node::RateLimiter::Permit permit) {
  auto result = co_await deal_or_receive(core, fields, std::move(import_dir));
  permit = {};
  Status stored;
  if (result) {
    log::info("key {}: dealt, parameters {}", fields.key.hex(), fields.params);
    stored = co_await core.requests.finish(RequestKind::keygen, fields.key.bytes(), *std::move(result));
  } else {
    if (core.keys.find(fields.key, fields.epoch) == nullptr)
      if (const Status removed = remove_key(core, fields.key, fields.epoch); !removed)
        log::error("key {}: {}", fields.key.hex(), removed.error().message);
    stored = co_await core.requests.fail_request(RequestKind::keygen, fields.key.bytes(), result.error());
  }
  if (!stored)
    log::error("key generation {}: the outcome could not be recorded: {}", fields.key.hex(), stored.error().message);
}

Task<Result<api::Empty>> key_gen(Core& core, api::KeyGenRequest request, std::filesystem::path import_dir) {
  auto permit = co_await ok(core.limiter.take(core.config.rate_limits.keygen));
  KeygenFields fields = co_await ok(validate_keygen(core, request));
  if (core.keys.find_in_any_epoch(fields.key) != nullptr ||
      core.requests.state(RequestKind::keygen, fields.key.bytes()))
    co_return fail(Code::already_exists, "key {} exists", fields.key.hex());
  Bytes body = api::encode(request);
  const auto digest = crypto::tagged_hash(crypto::separators::kRequestContent, body);
  // The preprocessing is used up before anything of the key exists; a failure in between costs a preprocessing, no more.
  co_await ok(co_await core.requests.consume(fields.preprocessing.bytes(), {}));
  co_await ok(co_await core.requests.insert(RequestKind::keygen, fields.key.bytes(), digest, std::move(body)));
  core.scope.spawn(run_keygen(core, std::move(fields), std::move(import_dir), std::move(permit)));
  co_return api::Empty{};
}

}  // namespace

Result<KeyObjects> write_public_objects(const tfhe::Params& params, const tfhe::SecretKeySet& keys, const KeyId& key,
                                        runtime::Vault& vault, Rng& rng) {
  tfhe::RngNoise noise(rng);
  const Bytes tag(key.bytes().begin(), key.bytes().end());
  const auto set = tfhe::generate_key_set(params, keys, rng.next<u128>(), noise, {.tag = tag, .progress = {}});
  return node::write_key_objects(set, key, vault);
}

std::vector<protocols::KeyShares> deal_shares(const tfhe::SecretKeySet& keys, CommitteeSize committee, Rng& rng) {
  std::vector<protocols::KeyShares> out(static_cast<std::size_t>(committee.parties()));
  for (std::size_t name = 0; name < tfhe::kKeyNames; ++name) {
    const auto bits = keys.bits(static_cast<tfhe::KeyName>(name));
    std::vector<Secret<std::vector<algebra::Share<u128>>>> by_party;
    for (std::size_t i = 0; i < out.size(); ++i) by_party.emplace_back(std::vector<algebra::Share<u128>>(bits.size()));
    for (std::size_t b = 0; b < bits.size(); ++b) {
      auto dealt =
          algebra::deal<u128>(algebra::Gr<u128>::from_base(bits[b]), committee.threshold(), committee.parties(), rng);
      for (std::size_t i = 0; i < dealt.size(); ++i) by_party[i].reveal_mutable()[b] = dealt[i];
      wipe(dealt.data(), dealt.size() * sizeof dealt[0]);
    }
    for (std::size_t i = 0; i < out.size(); ++i) out[i].keys[name] = protocols::SharedKey(by_party[i].reveal());
  }
  return out;
}

Task<void> abort_interrupted(Core& core, node::InterruptedRequest request) {
  if (request.kind == RequestKind::keygen && core.keys.find_in_any_epoch(KeyId(request.id)) == nullptr) {
    auto decoded = api::decode<api::KeyGenRequest>(request.body);
    const auto epoch =
        decoded ? node::id_or(decoded->epoch_id, default_epoch_id(), "epoch_id") : Result<EpochId>(default_epoch_id());
    if (epoch)
      if (const Status removed = remove_key(core, KeyId(request.id), *epoch); !removed)
        log::error("key {}: {}", to_hex(request.id), removed.error().message);
  }
  const Status failed = co_await core.requests.fail_request(
      request.kind, request.id, Error{Code::aborted, "aborted: the node stopped while the key was being dealt"});
  if (!failed) log::error("{}: {}", to_hex(request.id), failed.error().message);
}

api::ExtraMethods dealing_methods(Core& core, const std::filesystem::path& import_dir) {
  const std::string service = "/kms_service.v1.CoreServiceEndpoint/";
  api::ExtraMethods out;
  out[service + "InsecureKeyGenPreproc"] = api::raw_method<api::KeyGenPreprocRequest, api::Empty>(
      [&core](api::KeyGenPreprocRequest request, api::CallContext, api::Responder<api::Empty> respond) {
        node::answer_on_loop(core, std::move(respond),
                             [&core, r = std::move(request)]() mutable { return key_gen_preproc(core, std::move(r)); });
      });
  out[service + "GetInsecureKeyGenPreprocResult"] = api::raw_method<api::IdRequest, api::KeyGenPreprocResult>(
      [&core](api::IdRequest request, api::CallContext, api::Responder<api::KeyGenPreprocResult> respond) {
        node::answer_on_loop(core, std::move(respond), [&core, r = std::move(request)]() mutable {
          return stored_result<api::KeyGenPreprocResult, PreprocId>(core, RequestKind::preprocessing, std::move(r),
                                                                    std::chrono::seconds(300));
        });
      });
  out[service + "InsecureKeyGen"] = api::raw_method<api::KeyGenRequest, api::Empty>(
      [&core, import_dir](api::KeyGenRequest request, api::CallContext, api::Responder<api::Empty> respond) {
        node::answer_on_loop(core, std::move(respond), [&core, import_dir, r = std::move(request)]() mutable {
          return key_gen(core, std::move(r), import_dir);
        });
      });
  out[service + "GetInsecureKeyGenResult"] = api::raw_method<api::IdRequest, api::KeyGenResult>(
      [&core](api::IdRequest request, api::CallContext, api::Responder<api::KeyGenResult> respond) {
        node::answer_on_loop(core, std::move(respond), [&core, r = std::move(request)]() mutable {
          return stored_result<api::KeyGenResult, KeyId>(core, RequestKind::keygen, std::move(r), runtime::Duration{});
        });
      });
  return out;
}

}  // namespace witan::insecure
