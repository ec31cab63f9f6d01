#include "node/key_generator.h"

#include "api/codec.h"
#include "base/check.h"
#include "base/codec.h"
#include "base/log.h"
#include "crypto/separators.h"
#include "mpc/common_start.h"
#include "node/attempts.h"
#include "node/disk_wait.h"
#include "node/key_confirmation.h"
#include "node/run_log.h"
#include "node/service.h"
#include "node/tracked_compute.h"
#include "node/validation.h"

namespace witan::node {

using protocols::GeneratedKey;
using protocols::KeyMaterial;
using protocols::KeyPlan;
using runtime::ok;
using runtime::Task;
using runtime::Work;

namespace {

/// Of both rings together: where their common start and its attempts are recorded.
constexpr auto kKind = crypto::SessionKind::preprocessing_64;
constexpr auto kWatchEvery = std::chrono::milliseconds(500);
constexpr const char* kPublishing = "publishing";

double seconds(runtime::Duration duration) {
  return std::chrono::duration<double>(duration).count();
}

Result<KeyPlan> plan_of(const std::string& params, PreprocessingRecord::Kind material) {
  WITAN_ASSIGN(const tfhe::Params set, tfhe::params_by_name(params));
  return protocols::plan_key_generation(set, keys_of(material));
}

/// Whoever has the lock is the only one to accept a key generation.
class SerialLock {
 public:
  static Task<SerialLock> enter(bool& taken, runtime::WaitList& left) {
    while (taken) co_await left.wait();
    taken = true;
    co_return SerialLock(taken, left);
  }
  SerialLock(SerialLock&& other) noexcept : taken_(std::exchange(other.taken_, nullptr)), left_(other.left_) {}
  SerialLock& operator=(SerialLock&&) = delete;
  ~SerialLock() {
    if (taken_ == nullptr) return;
    *taken_ = false;
    left_.wake_all();
  }

 private:
  SerialLock(bool& taken, runtime::WaitList& left) : taken_(&taken), left_(left) {}
  bool* taken_;
  runtime::WaitList& left_;
};

}  // namespace

/// What of a run others see, how it ends, and what it works with.
struct KeyGenerator::Run {
  Run(Core& core, const std::string& what)
      : begun(core.loop.now()),
        accepted(core.loop),
        ended(core.loop),
        recorded(core.loop),
        meter(begun),
        compute(core.compute),
        disk(core.loop, what),
        reading(core.loop, what),
        journal(core.journal, disk),
        news(what) {}

  const char* stage = "beginning";
  const runtime::Instant begun;
  bool may_be_aborted = false;
  Status outcome;
  runtime::Event accepted;  // the request is in the journal, or will not be
  runtime::Event ended;     // the outcome is there
  runtime::Event recorded;  // and in the journal
  PaceMeter meter;
  TrackedCompute compute;
  DiskWait disk;
  DiskWait reading;  // what a key generation needs
  PatientJournal journal;
  RunLog news;

  const std::optional<std::string>& waits() const { return reading.reason() ? reading.reason() : disk.reason(); }
  void end(Status with) {
    if (ended.is_set()) return;
    outcome = std::move(with);
    ended.set();
  }
  void report(std::uint16_t attempt, std::span<const mpc::Verdict> verdicts, runtime::Instant now) {
    for (const RunLog::Line& line :
         news.news({.attempt = attempt, .stage = stage, .pace = meter.pace(now), .verdicts = verdicts}))
      log::emit(line.level, "{}", line.text);
  }
};

struct KeyGenerator::PreprocessingRun : Run {
  PreprocessingRun(Core& core, PreprocId with, bool again)
      : Run(core, fmt::format("preprocessing {}", with.hex())), id(with), resumed(again), tasks(core.loop) {
    if (resumed) accepted.set();
  }

  const PreprocId id;
  const bool resumed;  // after a restart
  std::shared_ptr<const mpc::EpochKeys> keys;
  std::unique_ptr<MaterialFile> material;
  std::optional<PatientMaterial> store;  // of that file
  std::unique_ptr<protocols::Preprocessing> protocol;
  runtime::TaskScope tasks;  // destroyed first

  void measure(runtime::Instant now) {
    if (protocol)
      meter.look(protocol->attempt(), protocol->progress().elements_done, protocol->progress().elements, now);
  }
  void look(runtime::Instant now) {
    measure(now);
    if (protocol) report(protocol->attempt(), protocol->disputes().verdicts(), now);
  }
};

struct KeyGenerator::KeygenRun : Run {
  KeygenRun(Core& core, const KeyId& with, bool again)
      : Run(core, fmt::format("key {}", with.hex())), key(with), resumed(again), tasks(core.loop) {
    if (resumed) accepted.set();
  }

  const KeyId key;
  std::optional<PreprocId> preprocessing;  // once it is known: before work() begins
  const bool resumed;                      // after a restart
  std::shared_ptr<const mpc::EpochKeys> keys;
  std::unique_ptr<MaterialFile> material;
  std::optional<PatientMaterial> source;  // of that file
  std::unique_ptr<protocols::KeyGeneration> protocol;
  std::unique_ptr<protocols::KeyConfirmation> confirmation;  // that has succeeded
  bool reads = true;                                         // its material, or the key that it uses
  std::string params;
  runtime::RoleSet liars_reported;
  Bytes result;
  runtime::TaskScope tasks;  // destroyed first

  void measure(runtime::Instant now) {
    if (protocol) meter.look(0, protocol->progress().elements_done, protocol->progress().elements, now);
  }
  void look(runtime::Instant now) {
    if (!protocol) return;
    measure(now);
    report(0, {}, now);
    for (const Role role : protocol->liars() - liars_reported)
      log::warn("key {}: party {} sent wrong shares, or makes another key", key.hex(), role.number());
    liars_reported = protocol->liars();
  }
};

KeyGenerator::KeyGenerator(Core& core, std::filesystem::path folder)
    : core_(core), folder_(std::move(folder)), accepted_(core.loop) {}

KeyGenerator::~KeyGenerator() = default;

std::optional<std::string> KeyGenerator::progress(RequestKind kind, const RawId& id) const {
  const auto text_of = [&](auto& run) {
    const KeygenProgress now = progress_of(kind, run);
    const auto& waits = run.waits();
    return fmt::format("stage={} {}{}", now.stage, now.pace.text(), waits ? "; waits for the disk: " + *waits : "");
  };
  if (kind == RequestKind::preprocessing && preprocessing_ && preprocessing_->id.bytes() == id)
    return text_of(*preprocessing_);
  if (kind == RequestKind::keygen && keygen_ && keygen_->key.bytes() == id) return text_of(*keygen_);
  return std::nullopt;
}

template <class Running>
KeygenProgress KeyGenerator::progress_of(RequestKind kind, Running& run) const {
  const runtime::Instant now = core_.loop.now();
  run.measure(now);
  return {.kind = kind, .stage = run.stage, .pace = run.meter.pace(now), .excluded = {}, .convicted = {}};
}

std::vector<KeygenProgress> KeyGenerator::progress() const {
  std::vector<KeygenProgress> out;
  if (preprocessing_) {
    out.push_back(progress_of(RequestKind::preprocessing, *preprocessing_));
    if (preprocessing_->protocol) {
      out.back().excluded = preprocessing_->protocol->disputes().excluded();
      out.back().convicted = preprocessing_->protocol->disputes().convicted();
    }
  }
  if (keygen_) {
    out.push_back(progress_of(RequestKind::keygen, *keygen_));
    if (keygen_->protocol) out.back().convicted = keygen_->protocol->liars();
  }
  return out;
}

protocols::PreprocessingOptions KeyGenerator::preprocessing_options() const {
  protocols::PreprocessingOptions out;
  out.variant = mpc::variant_for(core_.router.committee());
  out.delay = core_.config.message_delay;
  return out;
}

namespace {

/// Runs the task and says that it has ended.
template <class Run>
Task<void> run_to_end(Run& run, Task<Status> task) {
  run.end(co_await std::move(task));
}

/// Keeps what others see up to date, while it runs.
template <class Run>
Task<void> watch(Run& run, runtime::Loop& loop) {
  for (;;) {
    co_await loop.sleep_for(kWatchEvery);
    run.look(loop.now());
  }
}

/// Who cannot read what it needs is not waited for by the others any longer than anybody is: what is not there yet cannot be lost.
template <class Run>
Task<void> give_up_reading(Run& run, runtime::Loop& loop, std::chrono::seconds timeout) {
  for (; run.reads; co_await loop.sleep_for(kWatchEvery))
    if (const auto& reason = run.reading.reason(); reason && run.reading.waited() >= timeout)
      run.end(fail(Code::aborted,
                   "aborted: what it needs could not be read for {} s (threshold.core_to_core_net.keygen_timeout): {}",
                   timeout.count(), *reason));
}

}  // namespace

/// The outcome of a run is in the journal, or will not be in this life of the node.
template <class AnyRun>
void KeyGenerator::settled(std::shared_ptr<AnyRun>& running, const std::shared_ptr<AnyRun>& run) {
  if (running == run) running = nullptr;
  run->accepted.set();
  run->recorded.set();
}

// Preprocessing.

Task<Result<api::Empty>> KeyGenerator::preprocess(api::KeyGenPreprocRequest request) {
  auto permit = co_await ok(core_.limiter.take(core_.config.rate_limits.preproc));
  PreprocessingFields fields = co_await ok(validate_preprocessing(core_, request));
  co_await ok(plan_of(fields.params, fields.kind));
  if (core_.requests.state(RequestKind::preprocessing, fields.id.bytes()))
    co_return fail(Code::already_exists, "preprocessing {} exists, or was asked for before", fields.id.hex());
  if (preprocessing_)
    co_return fail(Code::resource_exhausted, "preprocessing {} is running, at most one runs at once; try again later",
                   preprocessing_->id.hex());
  if (const auto kept = co_await ok(unused()); kept.size() >= core_.config.unused_materials) {
    std::string ids;
    for (const PreprocId& id : kept) ids += (ids.empty() ? "" : ", ") + id.hex();
    co_return fail(Code::resource_exhausted,
                   "the material of {} preprocessings waits for its key, the limit "
                   "(internal_config.unused_materials); use it (KeyGen), or erase it (AbortKeyGen): {}",
                   kept.size(), ids);
  }
  const auto run = preprocessing_ = std::make_shared<PreprocessingRun>(core_, fields.id, false);
  Bytes body = api::encode(request);
  const crypto::Digest digest = content_digest(body);
  const Status inserted = co_await core_.requests.insert(RequestKind::preprocessing, fields.id.bytes(), digest,
                                                         std::move(body), {fields.record().change(fields.id)});
  if (!inserted) {
    settled(preprocessing_, run);
    co_return fail(inserted.error());
  }
  run->may_be_aborted = true;
  run->accepted.set();
  core_.scope.spawn(work(run, std::move(fields), std::move(permit)));
  co_return api::Empty{};
}

Task<void> KeyGenerator::work(std::shared_ptr<PreprocessingRun> run, PreprocessingFields fields,
                              RateLimiter::Permit permit) {
  run->tasks.spawn(run_to_end(*run, make_material(*run, fields)));
  run->tasks.spawn(watch(*run, core_.loop));
  co_await run->ended.wait();
  run->tasks.cancel();
  co_await run->compute.until_idle();  // what was given up writes no more
  run->look(core_.loop.now());
  const Status outcome = run->outcome;
  const std::string what = fmt::format("preprocessing {}", fields.id.hex());
  const double took = seconds(core_.loop.now() - run->begun);
  if (outcome && !run->protocol) {
    log::info("{}: was complete before the restart", what);
  } else if (outcome) {
    const auto& report = run->protocol->report();
    log::info("{}: done in {:.1f} s, {} bytes of material; {} disputes settled, {} silences, {} values fetched", what,
              took, run->material->size_bytes(), report.passes, report.silence, report.fetched);
  } else {
    log::error("{}: failed after {:.1f} s: {}", what, took, outcome.error().message);
  }
  run->protocol = nullptr;
  run->store.reset();
  run->material = nullptr;
  permit = {};
  Status stored;
  if (outcome) {
    stored = co_await core_.requests.finish(RequestKind::preprocessing, fields.id.bytes(),
                                            node::preprocessing_result(core_, fields));
  } else {
    stored = co_await fail_preprocessing(core_, fields.id, outcome.error());
  }
  if (!stored) log::error("{}: the outcome could not be recorded: {}", what, stored.error().message);
  settled(preprocessing_, run);
  if (!outcome && stored) co_await erase(fields.id);
}

/// What was still waiting for the others when the node stopped has no place among them. Whatever else keeps the material from being read, it
/// is waited for.
Task<Result<std::unique_ptr<MaterialFile>>> KeyGenerator::interrupted_material(PreprocessingRun& run,
                                                                               const PreprocessingFields& fields,
                                                                               const protocols::MaterialPlan& plan) {
  run.stage = "reading";
  const auto open = [&]() -> Task<Result<std::unique_ptr<MaterialFile>>> {
    co_await ok(co_await claimed());
    co_return co_await MaterialFile::open(run.compute, folder_, fields.id, plan, MaterialFile::State::interrupted);
  };
  auto material = co_await run.disk.repeat(open);
  if (!material && material.error().code == Code::not_found)
    co_return fail(Code::aborted,
                   "aborted: the node stopped before the preprocessing had begun here ({}); start a new one",
                   material.error().message);
  co_return material;
}

Task<Status> KeyGenerator::make_material(PreprocessingRun& run, const PreprocessingFields& fields) {
  const KeyMaterial layout(co_await ok(plan_of(fields.params, fields.kind)));
  const auto options = preprocessing_options();
  run.keys = core_.epochs.find(fields.epoch)->keys;

  std::optional<runtime::Session> meeting;
  std::optional<mpc::CommonStart> common;
  if (run.resumed) {
    run.material = co_await ok(co_await interrupted_material(run, fields, layout.orders));
    run.may_be_aborted = !run.material->is_complete();
    if (run.material->is_complete()) co_return Status{};
  } else {
    run.stage = "start";
    const crypto::Digest name =
        protocols::preprocessing_name(fields.id, core_.router.committee(), fields.epoch, layout.orders, options);
    meeting = co_await ok(core_.router.open(mpc::start_session(name, kKind), mpc::start_session_options()));
    const std::uint16_t first = co_await ok(next_attempt(core_.journal, fields.id.bytes(), kKind));
    common.emplace(*meeting, mpc::Patience(options.variant, options.delay, 0).round, first,
                   [&journal = run.journal, id = fields.id.bytes()](std::uint16_t attempt) {
                     return record_attempt(journal, id, kKind, attempt);
                   });
    const auto attempt = co_await common->start();
    if (!attempt)
      co_return fail(attempt.error().code,
                     "{}. Parties that were asked for other parameters than {}, or for another epoch, under this id do "
                     "not count: ask all parties for the same, under a new id",
                     attempt.error().message, fields.params);
    const auto create = [&]() -> Task<Result<std::unique_ptr<MaterialFile>>> {
      co_await ok(co_await claimed());
      co_return co_await MaterialFile::create(run.compute, folder_, fields.id, *attempt, layout.orders);
    };
    run.material = co_await ok(co_await run.disk.repeat(create));
  }
  run.store.emplace(*run.material, run.disk);
  run.protocol = std::make_unique<protocols::Preprocessing>(
      protocols::PreprocessingParty{core_.router, run.journal, run.compute, *run.keys, core_.signatories, fields.epoch},
      fields.id, run.material->attempt(), layout.orders, *run.store, options);
  run.stage = "preprocessing";
  run.measure(core_.loop.now());
  log::info("preprocessing {}: {}, attempt {}, parameters {}, {} elements in {} batches, delay {} ms", fields.id.hex(),
            common ? "begins" : "is taken up again", run.material->attempt(), fields.params,
            run.protocol->progress().elements, run.protocol->progress().batches,
            std::chrono::duration_cast<std::chrono::milliseconds>(options.delay).count());
  co_await ok(co_await run.protocol->run());
  run.stage = "storing";
  co_await ok(co_await run.disk.repeat([&] { return run.material->complete(run.protocol->content()); }));
  run.may_be_aborted = false;
  if (common)
    if (const Status told = common->done(); !told)
      log::warn("preprocessing {}: the others could not be told that it is done: {}", fields.id.hex(),
                told.error().message);
  co_return Status{};
}

// Keys.

Task<Result<api::Empty>> KeyGenerator::generate(api::KeyGenRequest request) {
  const SerialLock lock = co_await SerialLock::enter(accepting_, accepted_);
  auto permit = co_await ok(core_.limiter.take(core_.config.rate_limits.keygen));
  KeygenFields fields = co_await ok(validate_keygen(core_, request));
  co_await ok(check_preprocessing(core_, KeyMaker::committee, fields));
  if (fields.existing) co_await ok(find_existing_key(core_, fields));
  if (keygen_)
    co_return fail(Code::resource_exhausted, "key {} is being generated, at most one is at once; try again later",
                   keygen_->key.hex());
  const auto run = keygen_ = std::make_shared<KeygenRun>(core_, fields.key, false);
  run->preprocessing = fields.preprocessing;
  Bytes body = api::encode(request);
  const crypto::Digest digest = content_digest(body);
  const auto bytes_of = [](const auto& id) { return Bytes(id.bytes().begin(), id.bytes().end()); };
  const runtime::Change use{runtime::Change::Kind::put_new, kMaterialUseTable, bytes_of(fields.preprocessing),
                            bytes_of(fields.key)};
  const Status accepted = co_await core_.requests.insert_keygen(fields.key.bytes(), digest, std::move(body),
                                                                fields.preprocessing.bytes(), {use});
  if (!accepted) {
    settled(keygen_, run);
    co_return fail(accepted.error());
  }
  run->may_be_aborted = true;
  run->accepted.set();
  core_.scope.spawn(work(run, make_key(*run, std::move(fields)), std::move(permit)));
  co_return api::Empty{};
}

Task<void> KeyGenerator::work(std::shared_ptr<KeygenRun> run, Task<Status> making, RateLimiter::Permit permit) {
  run->tasks.spawn(run_to_end(*run, std::move(making)));
  run->tasks.spawn(give_up_reading(*run, core_.loop, core_.config.threshold.keygen_timeout));
  run->tasks.spawn(watch(*run, core_.loop));
  co_await run->ended.wait();
  run->tasks.cancel();
  co_await run->compute.until_idle();  // what was given up writes no more
  run->look(core_.loop.now());
  const Status outcome = run->outcome;
  const std::string what = fmt::format("key {}", run->key.hex());
  const double took = seconds(core_.loop.now() - run->begun);
  run->protocol = nullptr;
  run->source.reset();
  run->material = nullptr;
  permit = {};
  Status stored;
  if (outcome) {
    log::info("{}: generated in {:.1f} s, parameters {}", what, took, run->params);
    stored = co_await core_.requests.finish(RequestKind::keygen, run->key.bytes(), std::move(run->result));
  } else {
    log::error("{}: failed after {:.1f} s: {}", what, took, outcome.error().message);
    run->confirmation = nullptr;
    if (const Status removed = co_await run->disk.repeat([&] { return remove_key(run->key); }); !removed)
      log::error("{}: {}", what, removed.error().message);
    stored = co_await core_.requests.fail_request(RequestKind::keygen, run->key.bytes(), outcome.error());
  }
  if (!stored) log::error("{}: the outcome could not be recorded: {}", what, stored.error().message);
  settled(keygen_, run);
  if (stored) co_await erase(*run->preprocessing);
  if (run->confirmation) co_await log_late_liars(core_.loop, *run->confirmation, run->key);
}

Task<Status> KeyGenerator::remove_key(const KeyId& key) {
  if (core_.keys.find_in_any_epoch(key) != nullptr) co_return Status{};
  co_return co_await node::remove_key(core_, key);
}

Task<Status> KeyGenerator::make_key(KeygenRun& run, KeygenFields fields) {
  WITAN_CHECK(fields.material);
  const KeyPlan plan = co_await ok(plan_of(fields.params, *fields.material));
  std::optional<ExistingKey> existing;
  if (fields.existing) existing = co_await ok(co_await load_existing_key(core_, run.reading, fields));
  run.params = fields.params;
  run.keys = core_.epochs.find(fields.epoch)->keys;
  const auto open = [&]() -> Task<Result<std::unique_ptr<MaterialFile>>> {
    co_await ok(co_await claimed());
    co_return co_await MaterialFile::open(run.compute, folder_, fields.preprocessing, KeyMaterial(plan).orders);
  };
  run.material = co_await ok(co_await run.reading.repeat(open));
  run.source.emplace(*run.material, run.reading);
  protocols::KeyGenerationJob job{.key = fields.key,
                                  .preprocessing = fields.preprocessing,
                                  .material = run.material->content(),
                                  .plan = plan,
                                  .source = existing ? protocols::KeySource::existing : protocols::KeySource::all_new,
                                  .configuration = configuration_of(fields, existing ? existing->record : nullptr),
                                  .options = {}};
  job.options.tag = fields.existing && fields.existing->keep_tag
                        ? existing->tag
                        : Bytes(fields.key.bytes().begin(), fields.key.bytes().end());
  run.protocol = std::make_unique<protocols::KeyGeneration>(
      protocols::KeyGenerationParty{core_.router, run.journal, run.compute, *run.keys, *run.source,
                                    existing ? existing->shares : nullptr},
      std::move(job));
  run.stage = "online";
  run.measure(core_.loop.now());
  log::info("key {}: begins, parameters {}, of preprocessing {}{}, {} elements", fields.key.hex(), fields.params,
            fields.preprocessing.hex(),
            existing ? fmt::format(", secret keys of key {}", existing->record->key.hex()) : std::string(),
            run.protocol->progress().elements);
  auto key = co_await run.protocol->run(core_.config.threshold.keygen_timeout);
  GeneratedKey made = co_await ok(std::move(key));
  run.reads = false;
  const auto set = std::make_shared<const tfhe::CompressedKeySet>(std::move(made.set));
  const auto shares = std::make_shared<const protocols::KeyShares>(std::move(made.shares));
  run.stage = "confirming";
  co_await ok(co_await confirm(run, fields, set, shares));
  run.stage = kPublishing;
  run.result = co_await ok(co_await publish(run, fields, set, shares, std::move(existing)));
  co_return Status{};
}

Task<Status> KeyGenerator::confirm(KeygenRun& run, const KeygenFields& fields,
                                   std::shared_ptr<const tfhe::CompressedKeySet> set,
                                   std::shared_ptr<const protocols::KeyShares> shares) {
  run.confirmation =
      co_await ok(co_await confirm_key({core_.router, run.journal, run.compute, core_.private_vault, run.disk},
                                       {.key = fields.key,
                                        .epoch = fields.epoch,
                                        .set = std::move(set),
                                        .shares = std::move(shares),
                                        .masks = core_.epochs.find(fields.epoch)->masks,
                                        .sequence = core_.requests.sequence(RequestKind::keygen, fields.key.bytes()),
                                        .resumed = run.resumed},
                                       core_.config.threshold.keygen_timeout));
  co_return Status{};
}

Task<Result<Bytes>> KeyGenerator::publish(KeygenRun& run, const KeygenFields& fields,
                                          std::shared_ptr<const tfhe::CompressedKeySet> set,
                                          std::shared_ptr<const protocols::KeyShares> shares,
                                          std::optional<ExistingKey> existing) {
  if (fields.existing && fields.existing->copy_wanted)
    log::warn("key {}: copy_compressed_key_to_original does nothing: key {} has a compressed key set, as all keys here",
              fields.key.hex(), fields.existing->key.hex());
  const auto public_key = existing ? existing->public_key : nullptr;
  const auto write = [set, public_key, key = fields.key, &vault = core_.public_vault]() -> Result<KeyObjects> {
    // Objects without metadata are of a run that a restart has interrupted here, or of a try that has failed.
    WITAN_TRY(erase_key_objects(key, vault));
    if (public_key) return write_key_objects(*set, *public_key, key, vault);
    return write_key_objects(*set, key, vault);
  };
  const KeyObjects objects = co_await ok(co_await run.disk.repeat(
      [&]() -> Task<Result<KeyObjects>> { co_return co_await run.compute(Work::preprocessing, write); }));
  co_await ok(co_await run.disk.repeat(
      [&] { return check_key_objects(run.compute, core_.public_vault, fields.key, objects); }));
  run.may_be_aborted = false;  // from here on the key may be there
  const KeyRecord record =
      signed_record(core_, fields, origin_of(fields, existing ? existing->record : nullptr), objects);
  co_await ok(co_await run.disk.repeat([&] { return core_.keys.add(record, shares); }));
  co_return key_result(record);
}

Task<Result<api::Empty>> KeyGenerator::abort(api::IdRequest request) {
  const PreprocId id = co_await ok(parse_request_id<PreprocId>(request));
  const auto stop = [](auto& run) {
    run.tasks.cancel();
    run.end(fail(Code::aborted, "aborted by the operator"));
  };
  // Who asks for it may ask for its end before it is recorded.
  if (const auto run = preprocessing_; run && run->id == id) co_await run->accepted.wait();
  if (const auto run = keygen_; run && run->preprocessing == id) co_await run->accepted.wait();
  if (const auto run = preprocessing_; run && run->id == id && run->may_be_aborted) {
    stop(*run);
    co_await run->recorded.wait();
    co_return api::Empty{};
  }
  if (const auto run = keygen_; run && run->preprocessing == id && run->may_be_aborted) {
    stop(*run);
    co_await run->recorded.wait();
    co_return api::Empty{};
  }
  if (const auto run = keygen_; run && run->preprocessing == id && std::string_view(run->stage) == kPublishing)
    co_return fail(Code::failed_precondition,
                   "key {} of preprocessing {} is being published: it cannot be aborted any more; ask for its result",
                   run->key.hex(), id.hex());
  if (const auto run = preprocessing_; run && run->id == id && run->ended.is_set()) co_await run->recorded.wait();
  if (core_.requests.check_usable(id.bytes())) {
    const auto record = co_await ok(find_preprocessing(core_.journal, id));
    if (record && record->has_material()) {
      co_await ok(co_await core_.requests.discard(id.bytes()));
      log::info("preprocessing {}: its material is erased, no key was made of it", id.hex());
      core_.scope.spawn(erase(id));
      co_return api::Empty{};
    }
  }
  co_return fail(Code::not_found,
                 "no preprocessing {} is running or waiting for its key here, and no key generation "
                 "that uses it is running",
                 id.hex());
}

// After a restart.

namespace {

Result<PreprocId> preprocessing_of(const InterruptedRequest& request) {
  if (request.kind == RequestKind::preprocessing) return PreprocId(request.id);
  WITAN_ASSIGN(const auto decoded, api::decode<api::KeyGenRequest>(request.body));
  return required_id<PreprocId>(decoded.preproc_id, "preproc_id");
}

}  // namespace

Result<bool> KeyGenerator::owns(const InterruptedRequest& request) const {
  const auto id = preprocessing_of(request);
  if (!id) return false;
  const auto record = find_preprocessing(core_.journal, *id);
  if (!record && record.error().code == Code::data_loss) return false;
  if (!record) return fail(record.error());
  if (!*record) return false;
  // A partial preprocessing is another program's; a key of it is made here.
  return (*record)->has_material() &&
         (request.kind == RequestKind::keygen || (*record)->kind != PreprocessingRecord::Kind::partial);
}

/// At most one of a kind is pending when a node stops; were it more, they are taken up one after the other.
void KeyGenerator::resume(InterruptedRequest request) {
  if (request.kind == RequestKind::keygen) {
    auto before = std::exchange(keygen_, std::make_shared<KeygenRun>(core_, KeyId(request.id), true));
    core_.scope.spawn(resume_keygen(keygen_, std::move(before), std::move(request)));
  } else {
    auto before = std::exchange(preprocessing_, std::make_shared<PreprocessingRun>(core_, PreprocId(request.id), true));
    core_.scope.spawn(resume_preprocessing(preprocessing_, std::move(before), std::move(request)));
  }
}

Task<void> KeyGenerator::resume_preprocessing(std::shared_ptr<PreprocessingRun> run,
                                              std::shared_ptr<PreprocessingRun> before, InterruptedRequest request) {
  if (before) co_await before->recorded.wait();
  const auto read = [&]() -> Result<PreprocessingFields> {
    WITAN_ASSIGN(const auto decoded, api::decode<api::KeyGenPreprocRequest>(request.body));
    return validate_preprocessing(core_, decoded);
  };
  auto fields = read();
  if (fields) {
    run->may_be_aborted = true;
    co_await work(run, *std::move(fields), {});
    co_return;
  }
  const Status stored =
      co_await fail_preprocessing(core_, run->id, std::move(fields).error().within("aborted after a restart"));
  if (!stored) log::error("preprocessing {}: {}", run->id.hex(), stored.error().message);
  settled(preprocessing_, run);
  if (stored) co_await erase(run->id);
}

Result<KeygenFields> KeyGenerator::read_keygen(const InterruptedRequest& request) const {
  WITAN_ASSIGN(const auto decoded, api::decode<api::KeyGenRequest>(request.body));
  WITAN_ASSIGN(auto fields, validate_keygen(core_, decoded));
  WITAN_ASSIGN(const auto record, find_preprocessing(core_.journal, fields.preprocessing));
  if (!record) return fail(Code::data_loss, "preprocessing {} is not in the journal", fields.preprocessing.hex());
  WITAN_TRY(check_material(core_, fields.preprocessing, *record));
  take_preprocessing(fields, *record);
  return fields;
}

Task<Status> KeyGenerator::make_interrupted_key(KeygenRun& run, InterruptedRequest request) {
  const auto read = [this, &request]() -> Task<Result<KeygenFields>> { co_return read_keygen(request); };
  auto fields = co_await run.disk.repeat(read);
  if (!fields) co_return fail(std::move(fields).error().within("aborted after a restart"));
  co_return co_await make_key(run, *std::move(fields));
}

Task<void> KeyGenerator::resume_keygen(std::shared_ptr<KeygenRun> run, std::shared_ptr<KeygenRun> before,
                                       InterruptedRequest request) {
  if (before) co_await before->recorded.wait();
  const std::string what = fmt::format("key {}", run->key.hex());
  if (const KeyRecord* record = core_.keys.find_in_any_epoch(run->key)) {
    log::info("{}: was there before the restart", what);
    const Status stored = co_await core_.requests.finish(request.kind, request.id, key_result(*record));
    if (!stored) log::error("{}: the outcome could not be recorded: {}", what, stored.error().message);
    settled(keygen_, run);
    co_await erase_unused();
    co_return;
  }
  log::info("{}: its generation is taken up again after a restart", what);
  const auto preprocessing = preprocessing_of(request);
  WITAN_CHECK(preprocessing);  // see owns()
  run->preprocessing = *preprocessing;
  run->may_be_aborted = true;
  co_await work(run, make_interrupted_key(*run, std::move(request)), {});
}

// Material on the disk.

Status KeyGenerator::claim_folder() {
  const Status claimed = MaterialFile::claim_folder(folder_, core_.signing_key.address().text());
  claimed_ = claimed.has_value();
  if (!claimed && claimed.error().code == Code::failed_precondition) return claimed;
  if (!claimed)
    log::warn("{}: no keys are generated here, and no material is erased, until {} can be written",
              claimed.error().message, folder_.native());
  return {};
}

/// Before anything is done in the folder: what lies in another party's may be named like ours.
Task<Status> KeyGenerator::claimed() {
  if (claimed_) co_return Status{};
  const Status now = co_await claim_material(core_.compute, folder_, core_.signing_key.address().text());
  claimed_ = now.has_value();
  co_return now;
}

/// Can a key still be made of it?
Result<bool> KeyGenerator::is_needed(const PreprocId& id) const {
  WITAN_ASSIGN(const auto use, core_.journal.get(kMaterialUseTable, id.view()));
  if (!use) {
    const auto state = core_.requests.state(RequestKind::preprocessing, id.bytes());
    return state == RequestState::done || state == RequestState::pending;
  }
  const auto key = KeyId::from_bytes(*use);
  return key && core_.requests.state(RequestKind::keygen, key->bytes()) == RequestState::pending;
}

/// Preprocessings that are done and have no key.
Result<std::vector<PreprocId>> KeyGenerator::unused() const {
  std::vector<PreprocId> out;
  for (const RequestSummary& summary : core_.requests.list(RequestKind::preprocessing)) {
    if (summary.state != RequestState::done) continue;
    const PreprocId id(summary.id);
    WITAN_ASSIGN(const auto record, find_preprocessing(core_.journal, id));
    if (record && record->has_material()) out.push_back(id);
  }
  return out;
}

Task<void> KeyGenerator::erase_unused() {
  if (const Status mine = co_await claimed(); !mine) {
    log::error("unused material of key generations is not erased before the next start: {}", mine.error().message);
    co_return;
  }
  const auto there = co_await core_.compute(Work::preprocessing, [folder = folder_] { return list_material(folder); });
  if (!there) {
    log::error("material of key generations: {}", there.error().message);
    co_return;
  }
  for (const PreprocId& id : *there) {
    const auto needed = is_needed(id);
    if (!needed)
      log::error("material of preprocessing {}: {}", id.hex(), needed.error().message);
    else if (!*needed)
      co_await erase(id);
  }
}

Task<void> KeyGenerator::erase(PreprocId id) {
  DiskWait disk(core_.loop, fmt::format("erasing the material of preprocessing {}", id.hex()));
  const Status erased = co_await disk.repeat([&]() -> Task<Status> {
    co_await ok(co_await claimed());
    co_return co_await erase_material(core_.compute, folder_, id);
  });
  if (!erased)
    log::error("material of preprocessing {} could not be erased, the next start tries again: {}", id.hex(),
               erased.error().message);
}

}  // namespace witan::node
