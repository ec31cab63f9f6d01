#include "node/public_decryptor.h"

#include <algorithm>

#include "api/codec.h"
#include "base/codec.h"
#include "base/log.h"
#include "crypto/ids.h"
#include "crypto/separators.h"

namespace witan::node {

using runtime::ok;
using runtime::Task;
using runtime::Work;

namespace {

constexpr std::size_t kMaxNotes = 10000;
constexpr auto kWatchLate = std::chrono::seconds(30);

std::string roles(runtime::RoleSet set) {
  std::string out;
  for (const Role role : set) out += fmt::format("{}{}", out.empty() ? "" : ",", role.number());
  return out;
}

}  // namespace

/// A result that is evicted takes the shares that were sent for it along: no peer finds them any more.
PublicDecryptor::PublicDecryptor(Core& core, DecryptionObserver* observer)
    : core_(core),
      observer_(observer),
      notes_(0, IdHash(core.rng)),
      blocks_(core.journal),
      patience_(core.config.threshold.resend_after, core.loop.now()) {
  core.requests.set_on_evict([](std::uint64_t sequence) { return std::vector{protocols::forget_message(sequence)}; });
}

/// All checks of service.md 5.2, in its order; nothing is changed.
Task<Result<PublicDecryptor::Checked>> PublicDecryptor::check(Request request, Source source) {
  Checked out;
  out.fields = co_await ok(validate_decryption(*request));
  if (out.fields.context != default_context_id())
    co_return fail(Code::not_found, "context {} is not known here", out.fields.context.hex());
  const Epoch* epoch = core_.epochs.find(out.fields.epoch);
  if (epoch == nullptr || epoch->context != out.fields.context)
    co_return fail(Code::not_found, "epoch {} is not known in context {}", out.fields.epoch.hex(),
                   out.fields.context.hex());
  const KeyRecord* key = core_.keys.find(out.fields.key, out.fields.epoch);
  if (key == nullptr)
    co_return fail(Code::not_found, "key {} does not exist in epoch {}", out.fields.key.hex(), out.fields.epoch.hex());
  if (!core_.accepts(key->origin))
    co_return fail(Code::failed_precondition,
                   "key {} has origin = {}: somebody has seen it, this program does not use it", key->key.hex(),
                   to_string(key->origin));
  if (std::ranges::any_of(out.fields.ciphertexts, [](const CiphertextRef& ref) { return is_small(ref.format); })) {
    if (source == Source::client)
      co_await ok(core_.keys.require_public_objects(*key));
    else  // an accepted request does not fail for a damaged object: it stays pending until that is restored
      co_await core_.keys.until_public_objects_are_intact(*key);
  }
  const auto params = std::make_shared<const tfhe::Params>(co_await ok(tfhe::params_by_name(key->params)));
  std::uint64_t memory = 0, to_squash = 0;
  for (const CiphertextRef& ref : out.fields.ciphertexts) {
    memory += ciphertext_memory_bytes(ref, *params) + request->ciphertexts[ref.index].ciphertext.size();
    if (is_small(ref.format)) to_squash += static_cast<std::uint64_t>(tfhe::info(ref.type).packed_blocks);
  }
  const auto state = core_.requests.state(RequestKind::public_decryption, out.fields.request.bytes());
  if (source == Source::journal) {
    out.admission = core_.admission.take_anyway();
    out.squashings = core_.squashings.take_anyway(to_squash);
    out.memory = co_await core_.memory.wait(memory);
  } else if (state.value_or(RequestState::failed) == RequestState::failed) {  // new, or to be done again
    const auto session = crypto::session_id(out.fields.request.bytes(), crypto::SessionKind::public_decryption, 0, 0);
    const runtime::RoleSet begun = core_.router.parked_from(session);
    out.admission = co_await ok(core_.admission.take(out.fields.request, begun));
    if (to_squash > 0) out.squashings = co_await ok(core_.squashings.take(out.fields.request, begun, to_squash));
    out.memory = co_await ok(core_.memory.take(memory));
  } else {
    out.admission = core_.admission.take_anyway();
    out.memory = co_await ok(core_.memory.take(memory));
  }
  co_await ok(co_await parse(request, params, out));
  co_return out;
}

namespace {

/// Of everything that a request says; its ciphertexts are in it by their digests, which are known already.
crypto::Digest content_of(const api::PublicDecryptionRequest& request, const std::vector<ParsedCiphertext>& parsed) {
  api::PublicDecryptionRequest out;
  out.request_id = request.request_id;
  out.key_id = request.key_id;
  out.domain = request.domain;
  out.extra_data = request.extra_data;
  out.context_id = request.context_id;
  out.epoch_id = request.epoch_id;
  out.signing_schemes = request.signing_schemes;
  for (const ParsedCiphertext& ciphertext : parsed) {
    const auto& [bytes, type, handle, format] = request.ciphertexts[ciphertext.ref.index];
    const auto& digest = ciphertext.bytes_digest;
    out.ciphertexts.push_back({Bytes(digest.begin(), digest.end()), type, handle, format});
  }
  return crypto::tagged_hash(crypto::separators::kRequestContent, api::encode(out));
}

}  // namespace

/// One kernel for each ciphertext; the last one also hashes the whole.
Task<Status> PublicDecryptor::parse(Request request, std::shared_ptr<const tfhe::Params> params, Checked& checked) {
  struct Parsed {
    std::vector<ParsedCiphertext> ciphertexts;
    crypto::Digest content{};
  };
  const auto count = checked.fields.ciphertexts.size();
  Parsed parsed;
  for (const CiphertextRef& ref : checked.fields.ciphertexts)
    parsed = co_await ok(co_await core_.compute(
        Work::urgent, [request, ref, params, count, so_far = std::move(parsed)]() mutable -> Result<Parsed> {
          WITAN_ASSIGN(auto next, parse_ciphertext(ref, request->ciphertexts[ref.index].ciphertext, *params));
          so_far.ciphertexts.push_back(std::move(next));
          if (so_far.ciphertexts.size() == count) so_far.content = content_of(*request, so_far.ciphertexts);
          return std::move(so_far);
        }));
  checked.ciphertexts = std::move(parsed.ciphertexts);
  checked.content = parsed.content;
  co_return Status{};
}

Task<Result<PublicDecryptor::Accepted>> PublicDecryptor::record(api::PublicDecryptionRequest message, Caller caller) {
  auto permit = co_await ok(core_.limiter.take(core_.config.rate_limits.pub_decrypt));
  const auto request = std::make_shared<const api::PublicDecryptionRequest>(std::move(message));
  Checked checked = co_await ok(co_await check(request, Source::client));
  warn_about_extra_data(request->extra_data, checked.fields.request, checked.fields.context, checked.fields.epoch);
  const RawId id = checked.fields.request.bytes();
  const crypto::Digest content = checked.content;
  Status inserted;
  if (caller == Caller::waits) {
    auto insertion = core_.requests.take_up(id, content);
    if (insertion)
      checked.insertion = *std::move(insertion);
    else
      inserted = fail(std::move(insertion).error());
  } else {
    Bytes body = co_await core_.compute(Work::urgent, [request] { return api::encode(*request); });
    inserted = co_await core_.requests.insert(RequestKind::public_decryption, id, content, std::move(body));
  }
  if (!inserted) {
    if (inserted.error().code == Code::already_exists &&
        co_await ok(core_.requests.same_content(RequestKind::public_decryption, id, content)))
      co_return Accepted::known;
    co_return fail(std::move(inserted).error());
  }
  core_.scope.spawn(work(std::move(checked), std::move(permit), false));
  co_return Accepted::recorded;
}

Task<Status> PublicDecryptor::accept(api::PublicDecryptionRequest message) {
  const std::string id = message.request_id.value_or("");
  if (co_await ok(co_await record(std::move(message), Caller::polls)) == Accepted::known)
    co_return fail(Code::already_exists, "the public decryption {} is known", id);
  co_return Status{};
}

Task<Status> PublicDecryptor::take_up_or_known(api::PublicDecryptionRequest message) {
  co_await ok(co_await record(std::move(message), Caller::waits));
  co_return Status{};
}

void PublicDecryptor::resume(const InterruptedRequest& request) {
  core_.scope.spawn(resume_one(request));
}

Task<void> PublicDecryptor::resume_one(InterruptedRequest interrupted) {
  auto decoded = api::decode<api::PublicDecryptionRequest>(interrupted.body);
  Result<Checked> checked = fail(Code::data_loss, "the stored request cannot be read");
  if (decoded)
    checked =
        co_await check(std::make_shared<const api::PublicDecryptionRequest>(*std::move(decoded)), Source::journal);
  if (!checked) {
    const Status failed = co_await core_.requests.fail_request(
        RequestKind::public_decryption, interrupted.id, std::move(checked).error().within("aborted after a restart"));
    if (!failed) log::error("public decryption {}: {}", to_hex(interrupted.id), failed.error().message);
    co_return;
  }
  log::info("public decryption {}: taken up again after a restart", to_hex(interrupted.id));
  co_await work(*std::move(checked), {}, true);
}

/// Small formats: decompress, pair, switch and squash (threshold-tfhe.md 6.2). Big ones are squashed already.
Task<Result<protocols::SquashedCiphertext>> PublicDecryptor::squash(ParsedCiphertext parsed, const KeyRecord& record) {
  protocols::SquashedCiphertext out;
  out.format = parsed.ref.format;
  out.type = parsed.ref.type;
  if (!parsed.squashed.empty()) {
    out.blocks = std::move(parsed.squashed);
    out.content = parsed.bytes_digest;
    co_return out;
  }
  const auto keys = co_await ok(co_await core_.keys.small_keys(record));
  std::vector<tfhe::Block> blocks = std::move(parsed.blocks);
  if (parsed.list) {
    if (!keys->decompression) co_return fail(Code::failed_precondition, "the key set has no decompression key");
    const auto list = std::make_shared<const tfhe::PackedList<tfhe::u64>>(*std::move(parsed.list));
    const auto count = static_cast<std::size_t>(tfhe::info(out.type).blocks);
    for (std::size_t i = 0; i < count; ++i)
      blocks.push_back(co_await ok(co_await core_.compute(
          Work::heavy, [keys, list, i] { return tfhe::decompress(*keys->decompression, *list, i); })));
  }
  const auto paired =
      std::make_shared<const std::vector<tfhe::Block>>(co_await ok(tfhe::pair_blocks(blocks, keys->max_noise_level)));
  for (std::size_t i = 0; i < paired->size(); ++i) {
    auto squashed = co_await ok(co_await core_.compute(
        Work::heavy, [keys, paired, i] { return tfhe::squash(keys->compute, keys->sns, (*paired)[i]); }));
    out.blocks.push_back(std::move(squashed.lwe));
  }
  out.v = 1;
  out.content = protocols::content_of_blocks(out.blocks);
  co_return out;
}

Task<Result<Bytes>> PublicDecryptor::decrypt(Checked& checked, std::unique_ptr<protocols::PublicDecryption>& running,
                                             bool resumed, bool& counted) {
  const DecryptionFields& fields = checked.fields;
  const KeyRecord& record = *core_.keys.find(fields.key, fields.epoch);
  protocols::DecryptionJob job{fields.request, fields.key, {}, 0};
  for (ParsedCiphertext& parsed : checked.ciphertexts)
    job.ciphertexts.push_back(co_await ok(co_await squash(std::move(parsed), record)));
  checked.ciphertexts.clear();
  checked.squashings = {};
  job.sequence = core_.requests.sequence(RequestKind::public_decryption, fields.request.bytes());
  const auto shares = co_await ok(core_.keys.shares(record));
  std::size_t blocks = 0;
  for (const auto& ciphertext : job.ciphertexts) blocks += ciphertext.blocks.size();
  blocks_decrypted_ += blocks;
  co_await ok(blocks_.add(fields.key, fields.epoch, blocks));
  counted = true;
  protocols::DecryptionParty party{core_.router,
                                   core_.journal,
                                   core_.compute,
                                   shares,
                                   core_.epochs.find(fields.epoch)->masks,
                                   resumed ? runtime::Duration{} : patience_.at(core_.loop.now()),
                                   checked.binding};
  running = std::make_unique<protocols::PublicDecryption>(std::move(party), std::move(job));
  const auto begun = core_.loop.now();
  auto outcome = co_await running->run(begun + core_.config.threshold.decrypt_timeout);
  if (const auto sent = running->sent_at()) patience_.note(*sent - begun);
  const auto decrypted = co_await ok(std::move(outcome));
  co_return co_await sign(fields, decrypted);
}

/// The response as it is recorded and sent.
Task<Result<Bytes>> PublicDecryptor::sign(const DecryptionFields& fields, protocols::Decrypted decrypted) {
  auto kernel = [&key = core_.signing_key, fields, decrypted = std::move(decrypted)]() -> Result<Bytes> {
    std::vector<crypto::Plaintext> plaintexts;
    for (std::size_t i = 0; i < decrypted.plaintexts.size(); ++i)
      plaintexts.push_back({decrypted.plaintexts[i], static_cast<std::int32_t>(fields.ciphertexts[i].type)});
    const std::string id = fields.request.hex();
    WITAN_ASSIGN(const auto signatures, crypto::sign_public_decryption(key, fields.signing, plaintexts, id));
    api::PublicDecryptionResponse response;
    response.signature.assign(signatures.internal.begin(), signatures.internal.end());
    response.external_signature.assign(signatures.external.begin(), signatures.external.end());
    response.extra_data = fields.signing.extra_data;
    response.signatures =
        sign_with_schemes(key, fields.schemes, signatures.external, crypto::separators::kPublicDecryption,
                          crypto::public_decryption_payload(key.verifying_key(), plaintexts, id));
    api::PublicDecryptionResponsePayload payload;
    payload.verification_key = key.verifying_key().bincode();
    payload.request_id = id;
    for (crypto::Plaintext& plaintext : plaintexts)
      payload.plaintexts.push_back({std::move(plaintext.bytes), plaintext.fhe_type});
    response.payload = std::move(payload);
    return api::encode(response);
  };
  co_return co_await core_.compute(Work::urgent, std::move(kernel));
}

Task<void> PublicDecryptor::work(Checked checked, RateLimiter::Permit permit, bool resumed) {
  const RequestId id = checked.fields.request;
  const auto begun = core_.loop.now();
  std::unique_ptr<protocols::PublicDecryption> running;
  bool counted = false;
  if (checked.insertion) {
    // Shares leave once this is recorded, whatever happens to this process: their blocks count from then on (S40).
    auto changes = [this, &checked] {
      std::vector<runtime::Change> out = checked.insertion->changes();
      out.push_back(blocks_.record(checked.fields.key, checked.fields.epoch));
      return out;
    };
    checked.binding = std::make_shared<protocols::Binding>(protocols::Binding{std::move(changes)});
  }
  auto response = co_await decrypt(checked, running, resumed, counted);
  const bool decrypted = response.has_value();
  if (checked.insertion) {
    if (!checked.binding->committed) {  // nothing is known of it then, not even that it failed
      const Error& error = response.error();
      log::warn("public decryption {} failed: {}: {}", id.hex(), to_string(error.code), error.message);
      core_.requests.withdraw(*checked.insertion, error);
      count(checked.fields, error.code, begun);
      if (running) keep_notes(id, running->report());
      co_return;
    }
    core_.requests.recorded(*checked.insertion);
  }
  if (!decrypted) checked.ciphertexts.clear();
  checked.admission = {};
  checked.squashings = {};
  checked.memory = {};
  const auto counts = [&] {
    std::vector<runtime::Change> out;
    if (counted && !checked.insertion) out.push_back(blocks_.record(checked.fields.key, checked.fields.epoch));
    return out;
  };
  Status stored;
  if (decrypted)
    stored = co_await core_.requests.finish(RequestKind::public_decryption, id.bytes(), *std::move(response), counts);
  else
    stored = co_await core_.requests.fail_request(RequestKind::public_decryption, id.bytes(), response.error(), counts);
  if (!stored)
    log::error("public decryption {}: the outcome could not be recorded: {}", id.hex(), stored.error().message);
  permit = {};
  count(checked.fields, decrypted ? std::nullopt : std::optional(response.error().code), begun);
  if (running) keep_notes(id, running->report());
  if (!decrypted) co_return;

  const auto report = running->report();
  log::info(
      "public decryption {}: {} ciphertexts in {} ms; agreed {}; lied {}; with other content {}; not heard yet {}",
      id.hex(), checked.fields.ciphertexts.size(),
      std::chrono::duration_cast<std::chrono::milliseconds>(core_.loop.now() - begun).count(), roles(report.agreed),
      roles(report.lied), roles(report.other), roles(report.silent));
  const auto fault = [observer = observer_](Role role, DecryptionFault kind) {
    if (observer != nullptr) observer->fault_seen(role, kind);
  };
  for (const Role liar : report.lied) {
    log::warn("public decryption {}: party {} sent wrong shares", id.hex(), liar.number());
    fault(liar, DecryptionFault::wrong_shares);
  }
  for (const Role role : report.other) {
    log::warn("public decryption {}: party {} sent shares that it says are of other content", id.hex(), role.number());
    fault(role, DecryptionFault::other_content);
  }
  co_await running->watch_late(core_.loop.after(kWatchLate), [id, fault, party = running.get()](Role role) {
    const bool other = party->report().other.contains(role);
    log::warn("public decryption {}: party {} {}, after the result was accepted", id.hex(), role.number(),
              other ? "sent shares of other content" : "sent wrong shares");
    fault(role, other ? DecryptionFault::other_content : DecryptionFault::wrong_shares);
  });
  keep_notes(id, running->report());
}

Task<Result<api::PublicDecryptionResponse>> PublicDecryptor::result(RequestId id, runtime::Instant deadline,
                                                                    std::stop_token gone) {
  const Bytes stored = co_await ok(
      co_await core_.requests.result(RequestKind::public_decryption, id.bytes(), deadline, std::move(gone)));
  auto response = api::decode<api::PublicDecryptionResponse>(stored);
  if (!response) co_return fail(Code::internal, "the stored result of {} cannot be read", id.hex());
  co_return *std::move(response);
}

void PublicDecryptor::count(const DecryptionFields& fields, std::optional<Code> error, runtime::Instant begun) const {
  if (observer_ != nullptr)
    observer_->decryption_ended({fields.ciphertexts.front().type, error, core_.loop.now() - begun});
}

void PublicDecryptor::keep_notes(const RequestId& id, const mpc::OpeningReport& report) {
  if (notes_.insert_or_assign(id.bytes(), DecryptionNotes{report}).second) notes_order_.push_back(id.bytes());
  if (notes_order_.size() > kMaxNotes) {
    for (std::size_t i = 0; i < kMaxNotes / 2; ++i) notes_.erase(notes_order_[i]);
    notes_order_.erase(notes_order_.begin(), notes_order_.begin() + kMaxNotes / 2);
  }
}

const DecryptionNotes* PublicDecryptor::notes(const RequestId& id) const {
  const auto it = notes_.find(id.bytes());
  return it == notes_.end() ? nullptr : &it->second;
}

}  // namespace witan::node
