#include "insecure/dealing.h"

#include <fstream>

#include "api/codec.h"
#include "base/codec.h"
#include "base/log.h"
#include "crypto/ids.h"
#include "crypto/separators.h"
#include "node/key_requests.h"
#include "node/material.h"
#include "node/service.h"
#include "node/validation.h"
#include "tfhe/keygen.h"
#include "tfhe_rs/objects.h"

namespace witan::insecure {

using node::Core;
using node::key_object_name;
using node::KeygenFields;
using node::KeyObjects;
using node::ObjectBeingWritten;
using node::PreprocessingRecord;
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
const Role kDealer(1);

std::unexpected<Error> deals_new_keys_alone() {
  return fail(Code::unimplemented,
              "a dealer makes key sets that are all new; KeyGen makes one from the secret keys of a dealt one "
              "(UseExisting)");
}

struct Dealt {
  KeyObjects objects;
  std::vector<protocols::KeyShares> shares;  // by role
};

// Preprocessing: nothing is prepared, but the id is used up and signed like a real one.

Task<Result<api::Empty>> key_gen_preproc(Core& core, api::KeyGenPreprocRequest request) {
  const auto permit = co_await ok(core.limiter.take(core.config.rate_limits.preproc));
  const auto fields = co_await ok(node::validate_preprocessing(core, request));
  if (fields.kind == PreprocessingRecord::Kind::from_existing) co_return deals_new_keys_alone();
  Bytes body = api::encode(request);
  const auto digest = node::content_digest(body);
  const PreprocessingRecord record{PreprocessingRecord::Kind::dealt, fields.params, fields.context, fields.epoch};
  const auto id = fields.id.bytes();
  co_await ok(co_await core.requests.insert(RequestKind::preprocessing, id, digest, std::move(body),
                                            {record.change(fields.id)}));
  co_await ok(co_await core.requests.finish(RequestKind::preprocessing, id, node::preprocessing_result(core, fields)));
  co_return api::Empty{};
}

// Key generation.

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

/// The result of the key, encoded.
Task<Result<Bytes>> store_key(Core& core, const KeygenFields& fields, const KeyObjects& objects,
                              protocols::KeyShares shares) {
  const node::KeyRecord record = node::signed_record(core, fields, node::KeyOrigin::dealt, objects);
  co_await ok(co_await core.keys.add(record, std::make_shared<const protocols::KeyShares>(std::move(shares))));
  co_return node::key_result(record);
}

Task<Result<Bytes>> deal_or_receive(Core& core, KeygenFields fields, std::filesystem::path import_dir) {
  const SessionId id = crypto::session_id(fields.key.bytes(), crypto::SessionKind::keygen, 0, 0);
  Session session = co_await ok(core.router.open(id, {.lane = runtime::Lane::bulk}));
  const runtime::Instant deadline = core.loop.after(kDealTimeout);
  if (core.router.self() != kDealer) {
    Received received = co_await ok(co_await receive_dealt(core, session, fields, deadline));
    co_await ok(co_await node::check_key_objects(core.compute, core.public_vault, fields.key, received.objects));
    // Whether the dealer made or imported the key cannot be told from here; both are refused alike.
    co_return co_await store_key(core, fields, received.objects, std::move(received.shares));
  }
  std::filesystem::path import_file;
  if (!import_dir.empty() && std::filesystem::exists(import_dir / (fields.key.hex() + ".bin")))
    import_file = import_dir / (fields.key.hex() + ".bin");
  Dealt dealt = co_await ok(co_await core.compute(
      Work::preprocessing, [fields, import_file, committee = core.router.committee(), &vault = core.public_vault] {
        return make_and_deal(fields, committee, import_file, vault);
      }));
  co_await ok(co_await node::check_key_objects(core.compute, core.public_vault, fields.key, dealt.objects));
  co_await ok(co_await deal(core, session, fields.key, dealt, deadline));
  co_return co_await store_key(core, fields, dealt.objects, std::move(dealt.shares[kDealer.index()]));
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
    if (core.keys.find_in_any_epoch(fields.key) == nullptr)
      if (const Status removed = co_await node::remove_key(core, fields.key); !removed)
        log::error("key {}: {}", fields.key.hex(), removed.error().message);
    stored = co_await core.requests.fail_request(RequestKind::keygen, fields.key.bytes(), result.error());
  }
  if (!stored)
    log::error("key generation {}: the outcome could not be recorded: {}", fields.key.hex(), stored.error().message);
}

Task<Result<api::Empty>> key_gen(Core& core, api::KeyGenRequest request, std::filesystem::path import_dir) {
  auto permit = co_await ok(core.limiter.take(core.config.rate_limits.keygen));
  KeygenFields fields = co_await ok(node::validate_keygen(core, request));
  if (fields.existing) co_return deals_new_keys_alone();
  co_await ok(node::check_preprocessing(core, node::KeyMaker::dealer, fields));
  Bytes body = api::encode(request);
  const auto digest = node::content_digest(body);
  co_await ok(co_await core.requests.insert_keygen(fields.key.bytes(), digest, std::move(body),
                                                   fields.preprocessing.bytes(), {}));
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
  if (request.kind == RequestKind::preprocessing) {
    const auto folder = core.config.material_folder();
    Status erased = co_await node::claim_material(core.compute, folder, core.signing_key.address().text());
    if (erased) erased = co_await node::erase_material(core.compute, folder, PreprocId(request.id));
    if (!erased) log::error("{}: {}", to_hex(request.id), erased.error().message);
  }
  if (request.kind == RequestKind::keygen && core.keys.find_in_any_epoch(KeyId(request.id)) == nullptr)
    if (const Status removed = co_await node::remove_key(core, KeyId(request.id)); !removed)
      log::error("key {}: {}", to_hex(request.id), removed.error().message);
  const Status failed = co_await core.requests.fail_request(
      request.kind, request.id, Error{Code::aborted, "aborted: the node stopped while it was running"});
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
          return node::stored_result<api::KeyGenPreprocResult, PreprocId>(core, RequestKind::preprocessing,
                                                                          std::move(r), node::kPreprocessingWait, {});
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
          return node::stored_result<api::KeyGenResult, KeyId>(core, RequestKind::keygen, std::move(r),
                                                               runtime::Duration{}, {});
        });
      });
  return out;
}

}  // namespace witan::insecure
