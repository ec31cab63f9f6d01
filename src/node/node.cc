#include "node/node.h"

#include <sys/resource.h>

#include <chrono>
#include <cstdlib>
#include <thread>

#include "api/server.h"
#include "base/log.h"
#include "crypto/x509.h"
#include "node/core.h"
#include "node/epoch_set_up.h"
#include "node/extension.h"
#include "node/gauges.h"
#include "node/identity.h"
#include "node/material.h"
#include "node/public_decryptor.h"
#include "node/service.h"
#include "node/telemetry.h"
#include "runtime/scheduling.h"
#include "store/journal/sqlite_journal.h"
#include "store/vault_file/file_vault.h"

namespace witan::node {
namespace {

constexpr const char* kApiService = "kms_service.v1.CoreServiceEndpoint";
constexpr const char* kPeerService = "ddec_networking.gnetworking";

std::int64_t now_seconds() {
  return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

Result<std::unique_ptr<store::FileVault>> open_vault(const VaultConfig& config,
                                                     store::FileVaultOptions::Visibility visibility) {
  return store::FileVault::open({.root = config.path, .prefix = config.prefix, .visibility = visibility});
}

/// The transport's configuration from the peers of the file: certificates are read and checked here.
Result<transport::Config> transport_config(const Config& config) {
  const auto& committee = config.threshold;
  WITAN_ASSIGN(const Bytes cert, read_small_file(committee.tls_cert));
  WITAN_ASSIGN(Bytes key, read_small_file(committee.tls_key));
  transport::Config out{.context = default_context_id(),
                        .committee = config.committee_size(),
                        .self = config.self(),
                        .listen_address = committee.listen_address,
                        .listen_port = committee.listen_port,
                        .certificate_pem = std::string(cert.begin(), cert.end()),
                        .key_pem = Secret<Bytes>(std::move(key)),
                        .peers = {},
                        .limits = {},
                        .timings = {}};
  auto own = crypto::certificate_identity(out.certificate_pem);
  if (!own) return fail(Error{Code::invalid_argument, own.error().message}.within(committee.tls_cert.string()));
  for (const PeerConfig& peer : committee.peers) {
    WITAN_ASSIGN(const Bytes ca, read_small_file(peer.ca_cert));
    std::string pem(ca.begin(), ca.end());
    auto identity = crypto::certificate_identity(pem);
    if (!identity || *identity != peer.mpc_identity)
      return fail(Code::invalid_argument, "{}: the CA certificate of party {} is of '{}', the configuration says '{}'",
                  peer.ca_cert.string(), peer.party_id, identity ? *identity : identity.error().message,
                  peer.mpc_identity);
    if (peer.party_id == committee.my_id) {
      if (*own != peer.mpc_identity)
        return fail(Code::invalid_argument, "{}: the TLS certificate is of '{}', party {} is '{}'",
                    committee.tls_cert.string(), *own, peer.party_id, peer.mpc_identity);
      auto chained = crypto::verify_chain(
          out.certificate_pem,
          {.ca_pems = {pem}, .purpose = crypto::TlsPurpose::server, .now = now_seconds(), .host = std::nullopt});
      if (!chained)
        return fail(Error{Code::invalid_argument, chained.error().message}.within(committee.tls_cert.string()));
      continue;
    }
    out.peers.push_back({Role(peer.party_id), peer.mpc_identity, peer.address, peer.port, {std::move(pem)}});
  }
  return out;
}

/// The bodies of a key generation are kept until it is published, and as long as others may ask for them (`default`: 511 MB).
runtime::RouterLimits router_limits() {
  runtime::RouterLimits out;
  out.sent_bytes = out.closed_sent_bytes = std::size_t{576} << 20;
  return out;
}

/// service.md 9, step 6, one key after another while the node serves: fatal on a mismatch. The other keys are checked all the same, so
/// that an operator learns of everything that is to be restored.
runtime::Task<void> check_keys(KeyStore& keys, Node::OnFault on_fault) {
  for (const KeyRecord* record : keys.all())
    if (const Status intact = co_await keys.check_public_objects(*record); !intact) on_fault(intact.error());
}

}  // namespace

struct Node::Impl {
  Impl(const Config& c, runtime::Loop& l, Rng& r, Extension* e, OnFault f)
      : config(c), loop(l), rng(r), extension(e), on_fault(std::move(f)) {}

  const Config config;
  runtime::Loop& loop;
  Rng& rng;
  Extension* extension;
  OnFault on_fault;

  // In order of construction; destroyed from below.
  std::unique_ptr<Telemetry> telemetry;  // null: not configured
  std::unique_ptr<store::FileVault> private_vault, public_vault;
  std::unique_ptr<store::SqliteJournal> journal;
  std::optional<crypto::SigningKey> signing_key;
  mpc::Signatories signatories;
  std::unique_ptr<transport::Transport> transport;
  std::unique_ptr<runtime::Link> wrapped_link;
  std::unique_ptr<KeyStore> keys;
  std::unique_ptr<EpochStore> epochs;
  std::unique_ptr<protocols::JournalSentStore> messages;
  std::unique_ptr<EpochSentStore> sent_store;
  std::unique_ptr<runtime::Router> router;
  std::unique_ptr<RequestStore> requests;
  std::unique_ptr<RateLimiter> limiter;
  std::unique_ptr<MemoryBudget> memory;
  std::unique_ptr<Admission> admission, squashings;
  std::unique_ptr<runtime::TaskScope> scope;
  std::unique_ptr<Core> core;
  std::unique_ptr<PublicDecryptor> decryptor;
  std::unique_ptr<KeyGenerator> generator;
  std::unique_ptr<Service> service;
  std::unique_ptr<api::ApiServer> server;
  std::unique_ptr<runtime::ComputePool>
      compute;  // made before the keys; its kernels read what all others own, and end first

  Status open_telemetry(const About& about);
  Status open_storage();
  Status open_channels();
  Status serve();
};

/// First, so that health can be asked for while the rest is opened.
Status Node::Impl::open_telemetry(const About& about) {
  if (!config.metrics_address) return {};
  const char* labels = std::getenv(Telemetry::kLabelsVariable);  // NOLINT(concurrency-mt-unsafe): nobody sets it
  WITAN_ASSIGN(telemetry, Telemetry::start(config, about, labels != nullptr ? labels : "", loop));
  log::info("metrics on {}", metrics::BindAddress{config.metrics_address->host, telemetry->port()}.text());
  return {};
}

Status Node::Impl::open_storage() {
  using Visibility = store::FileVaultOptions::Visibility;
  WITAN_ASSIGN(private_vault, open_vault(config.private_vault, Visibility::private_objects));
  WITAN_ASSIGN(public_vault, open_vault(config.public_vault, Visibility::public_objects));
  WITAN_ASSIGN(signing_key, load_signing_key(*private_vault));
  WITAN_TRY(check_published_identity(*signing_key, *public_vault));
  WITAN_ASSIGN(const auto stored_keys, private_vault->list(kKeyType));
  WITAN_ASSIGN(const auto stored_epochs, private_vault->list("EpochData"));
  // A node that has worked before must find its journal: a new one would allow to use ids again.
  const bool worked_before = !stored_keys.empty() || !stored_epochs.empty();
  std::error_code ignored;
  std::filesystem::create_directories(config.journal_path.parent_path(), ignored);
  store::JournalOptions options;
  options.file = config.journal_path;
  options.if_missing =
      worked_before ? store::JournalOptions::IfMissing::refuse : store::JournalOptions::IfMissing::create;
  options.numbered = {kBodiesTable, kResultsTable, protocols::kSentTable};
  options.on_fault = [&loop = loop, report = on_fault](const Error& error) {
    loop.post([report, error] { report(error); });
  };
  WITAN_ASSIGN(journal, store::SqliteJournal::open(options, loop));
  return {};
}

Status Node::Impl::open_channels() {
  const int cores = config.compute_threads > 0 ? config.compute_threads
                                               : std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  compute = std::make_unique<runtime::ComputePool>(
      loop,
      runtime::ComputePool::Options{.urgent_threads = cores, .heavy_threads = cores, .preprocessing_threads = cores});
  keys = std::make_unique<KeyStore>(*private_vault, *public_vault, *compute);
  WITAN_TRY(keys->load());
  epochs = std::make_unique<EpochStore>(*private_vault);
  WITAN_TRY(epochs->load(config.committee_size(), config.self()));

  WITAN_ASSIGN(auto channels, transport_config(config));
  WITAN_ASSIGN(signatories, load_signatories(config, *signing_key));
  WITAN_ASSIGN(transport, transport::Transport::start(std::move(channels), loop));
  runtime::Link* link = transport.get();
  if (extension != nullptr) wrapped_link = extension->wrap_link(*transport);
  if (wrapped_link) link = wrapped_link.get();
  messages = std::make_unique<protocols::JournalSentStore>(*journal);
  sent_store = std::make_unique<EpochSentStore>(*epochs, *messages);
  router = std::make_unique<runtime::Router>(loop, *link, router_limits());
  router->set_sent_store(sent_store.get());
  return {};
}

Status Node::Impl::serve() {
  requests = std::make_unique<RequestStore>(
      *journal, loop, StoreLimits{config.threshold.dec_capacity, config.threshold.min_dec_cache, IdHash(rng)});
  WITAN_ASSIGN(auto interrupted, requests->load());
  limiter = std::make_unique<RateLimiter>(config.rate_limits.bucket_size);
  memory = std::make_unique<MemoryBudget>(loop, config.decryption_memory_bytes);
  admission = std::make_unique<Admission>("decryptions", config.decryptions_at_once, config.threshold.threshold,
                                          loop.clock(), runtime::let_threads_finish);
  squashings = std::make_unique<Admission>("blocks of Small ciphertexts", config.squashings_at_once,
                                           config.threshold.threshold, loop.clock());
  scope = std::make_unique<runtime::TaskScope>(loop);
  core = std::make_unique<Core>(Core{config, loop, *compute, *journal, *private_vault, *public_vault, rng, *signing_key,
                                     signatories, *router, *requests, *keys, *epochs, *limiter, *memory, *admission,
                                     *squashings, *scope, extension});
  decryptor = std::make_unique<PublicDecryptor>(*core, telemetry.get());
  generator = std::make_unique<KeyGenerator>(*core, config.material_folder());
  WITAN_TRY(generator->claim_folder());
  service = std::make_unique<Service>(*core, *decryptor, *generator, *transport);
  transport->set_sink(router.get());
  WITAN_TRY(service->resume(std::move(interrupted)));
  scope->spawn(check_keys(*keys, on_fault));

  api::ServerOptions options;
  options.address = config.service.listen_address;
  options.port = config.service.listen_port;
  options.max_message_bytes = config.service.grpc_max_message_size_bytes;
  options.max_decryption_calls = config.decryptions_at_once + config.decryptions_at_once / 4;
  options.rpc_timeout = config.service.timeout + std::chrono::seconds(300);
  if (telemetry) options.on_call_end = [&to = *telemetry](const api::CallReport& report) { to.call_ended(report); };
  WITAN_ASSIGN(server,
               api::ApiServer::start(options, *service, extension ? extension->methods(*core) : api::ExtraMethods{}));
  server->set_serving(kApiService, true);
  server->set_serving(kPeerService, true);
  if (telemetry) telemetry->serving([this] { return gauges_of(*core, *transport, *journal, *decryptor, *generator); });
  return {};
}

Result<std::unique_ptr<Node>> Node::start(const Config& config, const About& about, runtime::Loop& loop, Rng& rng,
                                          Extension* extension, OnFault on_fault) {
  auto impl = std::make_unique<Impl>(config, loop, rng, extension, std::move(on_fault));
  WITAN_TRY(impl->open_telemetry(about));
  WITAN_TRY(impl->open_storage());
  WITAN_TRY(impl->open_channels());
  WITAN_TRY(impl->serve());
  log::info("party {} of {}: address {}, service on {}:{}, peers on {}:{}", config.threshold.my_id,
            config.committee_size().parties(), impl->signing_key->address().text(), config.service.listen_address,
            impl->server->port(), config.threshold.listen_address, impl->transport->port());
  return std::unique_ptr<Node>(new Node(std::move(impl)));
}

runtime::Task<void> Node::stop(std::chrono::milliseconds grace) {
  impl_->server->set_serving(kApiService, false);
  impl_->server->set_serving(kPeerService, false);
  if (impl_->telemetry) impl_->telemetry->stopping();
  runtime::Event closed(impl_->loop);
  std::jthread closing([this, grace, &closed, &loop = impl_->loop] {
    impl_->server->shutdown(grace);
    loop.post([&closed] { closed.set(); });
  });
  co_await closed.wait();
}

Node::Node(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Node::~Node() {
  impl_->server.reset();
  if (impl_->telemetry) impl_->telemetry->close();
  impl_->transport->set_sink(nullptr);
  impl_->scope.reset();    // what still runs is dropped where it stands; the journal knows it
  impl_->compute.reset();  // kernels of it still read keys and vaults: they end before those go
}

}  // namespace witan::node
