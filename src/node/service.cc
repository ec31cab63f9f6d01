#include "node/service.h"

#include <algorithm>
#include <charconv>

#include "api/codec.h"
#include "base/log.h"
#include "crypto/separators.h"
#include "node/disk_wait.h"
#include "node/epoch_set_up.h"

namespace witan::node {

using runtime::ok;
using runtime::Task;

namespace {

constexpr auto kDecryptionWait = std::chrono::seconds(60);  // service.md 4.2
constexpr auto kPingTimeout = std::chrono::seconds(3);

std::optional<RequestKind> kind_of(api::MetaStoreType type) {
  switch (type) {
    case api::MetaStoreType::key_generation:
      return RequestKind::keygen;
    case api::MetaStoreType::public_decryption:
      return RequestKind::public_decryption;
    case api::MetaStoreType::preprocessing:
      return RequestKind::preprocessing;
    default:
      return std::nullopt;
  }
}

constexpr api::MetaStoreType kStores[] = {api::MetaStoreType::key_generation, api::MetaStoreType::public_decryption,
                                          api::MetaStoreType::preprocessing};

std::string role_list(runtime::RoleSet set) {
  std::string out;
  for (const Role role : set) out += fmt::format("{}{}", out.empty() ? "" : ",", role.number());
  return out;
}

}  // namespace

Service::Service(Core& core, PublicDecryptor& decryptor, KeyGenerator& generator, transport::Transport& transport)
    : core_(core), decryptor_(decryptor), generator_(generator), transport_(transport) {}

Status Service::resume(std::vector<InterruptedRequest> requests) {
  struct Fail {
    static Task<void> run(Core& core, InterruptedRequest request) {
      const Status failed = co_await core.requests.fail_request(
          request.kind, request.id, Error{Code::aborted, "aborted: the node stopped while it was running"});
      if (!failed) log::error("{} {}: {}", to_string(request.kind), to_hex(request.id), failed.error().message);
    }
  };
  for (InterruptedRequest& request : requests) {
    const bool of_keys = request.kind == RequestKind::preprocessing || request.kind == RequestKind::keygen;
    bool generated = false;
    if (of_keys) {
      WITAN_ASSIGN(generated, generator_.owns(request));
    }
    if (request.kind == RequestKind::public_decryption)
      decryptor_.resume(request);
    else if (request.kind == RequestKind::epoch)
      core_.scope.spawn(set_up_epoch(EpochId(request.id), default_context_id(), {}));
    else if (generated)
      generator_.resume(std::move(request));
    else if (core_.extension != nullptr)
      core_.scope.spawn(core_.extension->resume(core_, std::move(request)));
    else
      core_.scope.spawn(Fail::run(core_, std::move(request)));
  }
  core_.scope.spawn(generator_.erase_unused());
  return {};
}

// Keys.

void Service::key_gen_preproc(api::KeyGenPreprocRequest request, api::CallContext, api::Responder<api::Empty> respond) {
  answer_on_loop(core_, std::move(respond),
                 [this, r = std::move(request)]() mutable { return generator_.preprocess(std::move(r)); });
}
void Service::get_key_gen_preproc_result(api::IdRequest request, api::CallContext context,
                                         api::Responder<api::KeyGenPreprocResult> respond) {
  answer_on_loop(core_, std::move(respond), [this, r = std::move(request), gone = context.gone]() mutable {
    return stored_result<api::KeyGenPreprocResult, PreprocId>(core_, RequestKind::preprocessing, std::move(r),
                                                              kPreprocessingWait, std::move(gone));
  });
}
void Service::key_gen(api::KeyGenRequest request, api::CallContext, api::Responder<api::Empty> respond) {
  answer_on_loop(core_, std::move(respond),
                 [this, r = std::move(request)]() mutable { return generator_.generate(std::move(r)); });
}
void Service::get_key_gen_result(api::IdRequest request, api::CallContext, api::Responder<api::KeyGenResult> respond) {
  answer_on_loop(core_, std::move(respond), [this, r = std::move(request)]() mutable {
    return stored_result<api::KeyGenResult, KeyId>(core_, RequestKind::keygen, std::move(r), runtime::Duration{}, {});
  });
}
void Service::abort_key_gen(api::IdRequest request, api::CallContext, api::Responder<api::Empty> respond) {
  answer_on_loop(core_, std::move(respond),
                 [this, r = std::move(request)]() mutable { return generator_.abort(std::move(r)); });
}

// Decryption.

Task<Result<api::Empty>> Service::decrypt(api::PublicDecryptionRequest request) {
  co_await ok(co_await decryptor_.accept(std::move(request)));
  co_return api::Empty{};
}

Task<Result<api::PublicDecryptionResponse>> Service::decryption_result(api::IdRequest request, std::stop_token gone) {
  const RequestId id = co_await ok(parse_request_id<RequestId>(request));
  co_return co_await decryptor_.result(id, core_.loop.after(kDecryptionWait), std::move(gone));
}

Task<Result<api::PublicDecryptionResponse>> Service::decrypt_and_wait(api::PublicDecryptionRequest request,
                                                                      std::stop_token gone) {
  const RequestId id = co_await ok(required_id<RequestId>(request.request_id, "request_id"));
  co_await ok(co_await decryptor_.take_up_or_known(std::move(request)));
  co_return co_await decryptor_.result(id, core_.loop.after(kDecryptionWait), std::move(gone));
}

void Service::public_decrypt(api::PublicDecryptionRequest request, api::CallContext,
                             api::Responder<api::Empty> respond) {
  answer_on_loop(core_, std::move(respond), [this, r = std::move(request)]() mutable { return decrypt(std::move(r)); });
}
void Service::get_public_decryption_result(api::IdRequest request, api::CallContext context,
                                           api::Responder<api::PublicDecryptionResponse> respond) {
  answer_on_loop(core_, std::move(respond), [this, r = std::move(request), gone = context.gone]() mutable {
    return decryption_result(std::move(r), std::move(gone));
  });
}
void Service::public_decrypt_sync(api::PublicDecryptionRequest request, api::CallContext context,
                                  api::Responder<api::PublicDecryptionResponse> respond) {
  answer_on_loop(core_, std::move(respond), [this, r = std::move(request), gone = context.gone]() mutable {
    return decrypt_and_wait(std::move(r), std::move(gone));
  });
}

// Epochs.

Task<Result<api::Empty>> Service::new_epoch(api::NewMpcEpochRequest request) {
  auto permit = co_await ok(core_.limiter.take(core_.config.rate_limits.new_epoch));
  const EpochId epoch = co_await ok(required_id<EpochId>(request.epoch_id, "epoch_id"));
  const ContextId context = co_await ok(id_or(request.context_id, default_context_id(), "context_id"));
  if (request.previous_epoch)
    co_return fail(Code::unimplemented, "resharing from a previous epoch is not available in this version");
  co_await ok(validate_extra_data(request.extra_data));
  if (core_.epochs.find(epoch) != nullptr) co_return fail(Code::already_exists, "epoch {} exists", epoch.hex());
  if (context != default_context_id()) co_return fail(Code::not_found, "context {} is not known here", context.hex());
  warn_about_extra_data(request.extra_data, epoch.as<RequestTag>(), context, epoch);
  Bytes body = api::encode(request);
  const auto digest = crypto::tagged_hash(crypto::separators::kRequestContent, body);
  co_await ok(co_await core_.requests.insert(RequestKind::epoch, epoch.bytes(), digest, std::move(body)));
  core_.scope.spawn(set_up_epoch(epoch, context, std::move(permit)));
  co_return api::Empty{};
}

Task<void> Service::set_up_epoch(EpochId epoch, ContextId context, RateLimiter::Permit permit) {
  Status done;
  DiskWait disk(core_.loop, fmt::format("epoch {}", epoch.hex()));
  PatientJournal journal(core_.journal, disk);
  if (core_.epochs.find(epoch) == nullptr)
    done = co_await node::set_up_epoch({core_.router, core_.compute, journal, core_.signatories, core_.rng,
                                        core_.epochs, core_.config.threshold.round_timeout},
                                       epoch, context);
  permit = {};
  Status stored;
  if (done)
    stored = co_await core_.requests.finish(RequestKind::epoch, epoch.bytes(), api::encode(api::EpochResultResponse{}));
  else
    stored = co_await core_.requests.fail_request(RequestKind::epoch, epoch.bytes(), done.error());
  if (!stored) log::error("epoch {}: the outcome could not be recorded: {}", epoch.hex(), stored.error().message);
}

Task<Result<api::EpochResultResponse>> Service::epoch_result(api::IdRequest request) {
  const EpochId epoch = co_await ok(parse_request_id<EpochId>(request));
  co_await ok(co_await core_.requests.result(RequestKind::epoch, epoch.bytes(), core_.loop.now()));
  co_return api::EpochResultResponse{};
}

void Service::new_mpc_epoch(api::NewMpcEpochRequest request, api::CallContext, api::Responder<api::Empty> respond) {
  answer_on_loop(core_, std::move(respond),
                 [this, r = std::move(request)]() mutable { return new_epoch(std::move(r)); });
}
void Service::get_epoch_result(api::IdRequest request, api::CallContext,
                               api::Responder<api::EpochResultResponse> respond) {
  answer_on_loop(core_, std::move(respond),
                 [this, r = std::move(request)]() mutable { return epoch_result(std::move(r)); });
}

// Health and availability.

std::string Service::storage_info() const {
  std::string out = core_.private_vault.describe();
  for (const KeyRecord* key : core_.keys.all())
    out += fmt::format("; key {} origin={} params={} public_objects={}", key->key.hex(), to_string(key->origin),
                       key->params, to_string(core_.keys.public_objects(*key)));
  return out;
}

Task<Result<api::KeyMaterialAvailabilityResponse>> Service::availability() {
  api::KeyMaterialAvailabilityResponse out;
  for (const KeyRecord* key : core_.keys.all()) out.fhe_key_ids.push_back(key->key.hex());
  for (const RequestSummary& summary : core_.requests.list(RequestKind::preprocessing))
    if (summary.state == RequestState::done) out.preprocessing_ids.push_back(to_hex(summary.id));
  out.storage_info = storage_info();
  co_return out;
}

Task<Result<api::HealthStatusResponse>> Service::health() {
  const auto pings = co_await transport_.ping_all(kPingTimeout);
  const int n = core_.router.committee().parties();
  api::PeersFromContext context;
  context.context_id = default_context_id().hex();
  context.my_party_id = static_cast<std::uint32_t>(core_.router.self().number());
  context.threshold_required = static_cast<std::uint32_t>(n / 3 + 1);
  int reachable = 1;
  for (const auto& ping : pings) {
    api::PeerHealth peer;
    peer.peer_id = static_cast<std::uint32_t>(ping.role.number());
    peer.endpoint = ping.endpoint;
    peer.reachable = ping.reachable;
    peer.latency_ms = ping.latency_ms;
    peer.error = ping.error;
    reachable += ping.reachable;
    context.peers.push_back(std::move(peer));
  }
  context.nodes_reachable = static_cast<std::uint32_t>(reachable);
  context.status = reachable >= n               ? api::HealthStatus::optimal
                   : reachable >= 2 * n / 3 + 1 ? api::HealthStatus::healthy
                   : reachable > n / 3 + 1      ? api::HealthStatus::degraded
                                                : api::HealthStatus::unhealthy;
  api::HealthStatusResponse out;
  out.peers_from_all_contexts.push_back(std::move(context));
  for (const KeyRecord* key : core_.keys.all()) out.my_fhe_key_ids.push_back(key->key.hex());
  out.my_storage_info = storage_info();
  out.node_type = api::NodeType::threshold;
  co_return out;
}

void Service::get_key_material_availability(api::Empty, api::CallContext,
                                            api::Responder<api::KeyMaterialAvailabilityResponse> respond) {
  answer_on_loop(core_, std::move(respond), [this] { return availability(); });
}
void Service::get_health_status(api::Empty, api::CallContext, api::Responder<api::HealthStatusResponse> respond) {
  answer_on_loop(core_, std::move(respond), [this] { return health(); });
}

// Status of requests (service.md 5.7).

api::RequestStatusInfo Service::status_of(RequestKind kind, const RequestSummary& summary) const {
  api::RequestStatusInfo out;
  out.request_id = to_hex(summary.id);
  for (const api::MetaStoreType type : kStores)
    if (kind_of(type) == kind) out.meta_store_type = type;
  switch (summary.state) {
    case RequestState::pending:
      out.status = api::RequestProcessingStatus::processing;
      break;
    case RequestState::done:
      out.status = api::RequestProcessingStatus::completed;
      break;
    case RequestState::failed:
      out.status = api::RequestProcessingStatus::failed;
      break;
    case RequestState::deleted:
    case RequestState::evicted:
      out.status = api::RequestProcessingStatus::deleted;
      break;
  }
  if (!summary.error.empty()) out.error_message = summary.error;
  // Ours: what a key generation is doing, for people and for our command line.
  if (auto progress = generator_.progress(kind, summary.id)) out.error_message = *std::move(progress);
  if (kind == RequestKind::public_decryption) {
    // Ours: what this node has seen of its peers, for people and for our command line.
    if (const DecryptionNotes* notes = decryptor_.notes(RequestId(summary.id)))
      out.error_message =
          fmt::format("{}lied={} other={} silent={}", out.error_message ? *out.error_message + "; " : "",
                      role_list(notes->report.lied), role_list(notes->report.other), role_list(notes->report.silent));
  }
  return out;
}

Task<Result<api::GetRequestStatusesResponse>> Service::statuses(api::GetRequestStatusesRequest request) {
  if (request.request_ids.size() > 1000)
    co_return fail(Code::invalid_argument, "{} ids in one call, at most 1000", request.request_ids.size());
  api::GetRequestStatusesResponse out;
  for (const std::string& text : request.request_ids) {
    const auto id = RequestId::parse(text);
    if (!id) continue;
    for (const api::MetaStoreType type : kStores) {
      if (request.meta_store_type && request.meta_store_type->number != 0 && request.meta_store_type->value() != type)
        continue;
      const RequestKind kind = *kind_of(type);
      if (const auto summary = core_.requests.summary(kind, id->bytes()))
        out.statuses.push_back(status_of(kind, *summary));
    }
  }
  if (out.statuses.empty() && !request.request_ids.empty())
    co_return fail(Code::not_found, "none of the ids is known here");
  co_return out;
}

Task<Result<api::ListRequestsResponse>> Service::list(api::ListRequestsRequest request) {
  if (request.meta_store_type.number == 0)
    co_return fail(Code::invalid_argument, "meta_store_type ALL cannot be listed");
  const auto kind = kind_of(request.meta_store_type.value());
  if (!kind) co_return fail(Code::unavailable, "this node has no store {}", request.meta_store_type.number);
  std::size_t start = 0;
  if (request.page_token && !request.page_token->empty()) {
    const auto& token = *request.page_token;
    const auto parsed = std::from_chars(token.data(), token.data() + token.size(), start);
    if (parsed.ec != std::errc() || parsed.ptr != token.data() + token.size())
      co_return fail(Code::invalid_argument, "page_token is no number");
  }
  const auto limit = static_cast<std::size_t>(std::clamp(request.max_results.value_or(100), 1, 1000));
  std::vector<api::RequestStatusInfo> all;
  for (const RequestSummary& summary : core_.requests.list(*kind)) {
    auto info = status_of(*kind, summary);
    const bool any = !request.status_filter || request.status_filter->value() == api::RequestProcessingStatus::any;
    if (any || info.status == *request.status_filter) all.push_back(std::move(info));
  }
  api::ListRequestsResponse out;
  for (std::size_t i = start; i < all.size() && out.requests.size() < limit; ++i) out.requests.push_back(all[i]);
  if (start + out.requests.size() < all.size()) out.next_page_token = std::to_string(start + out.requests.size());
  co_return out;
}

Task<Result<api::GetMetaStoreInfoResponse>> Service::store_info() {
  api::GetMetaStoreInfoResponse out;
  for (const api::MetaStoreType type : kStores) {
    const RequestKind kind = *kind_of(type);
    const std::size_t capacity = core_.requests.capacity(kind);
    out.meta_stores.push_back({type, capacity == 0 ? -1 : static_cast<std::int32_t>(capacity),
                               static_cast<std::int32_t>(core_.requests.count(kind))});
  }
  co_return out;
}

void Service::get_request_statuses(api::GetRequestStatusesRequest request, api::CallContext,
                                   api::Responder<api::GetRequestStatusesResponse> respond) {
  answer_on_loop(core_, std::move(respond),
                 [this, r = std::move(request)]() mutable { return statuses(std::move(r)); });
}
void Service::list_requests(api::ListRequestsRequest request, api::CallContext,
                            api::Responder<api::ListRequestsResponse> respond) {
  answer_on_loop(core_, std::move(respond), [this, r = std::move(request)]() mutable { return list(std::move(r)); });
}
void Service::get_meta_store_info(api::Empty, api::CallContext, api::Responder<api::GetMetaStoreInfoResponse> respond) {
  answer_on_loop(core_, std::move(respond), [this] { return store_info(); });
}

}  // namespace witan::node
