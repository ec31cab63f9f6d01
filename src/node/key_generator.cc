#include "node/key_generator.h"

#include "api/codec.h"
#include "base/codec.h"
#include "base/log.h"
#include "crypto/separators.h"
#include "mpc/common_start.h"
#include "node/attempts.h"
#include "node/key_confirmation.h"
#include "node/service.h"
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
constexpr unsigned kReportedParts = 10;

double seconds(runtime::Duration duration) {
  return std::chrono::duration<double>(duration).count();
}

Result<KeyPlan> plan_of(const std::string& params) {
  WITAN_ASSIGN(const tfhe::Params set, tfhe::params_by_name(params));
  return protocols::plan_key_generation(set, protocols::KeySource::all_new);
}

/// Everything that parties must agree on beside ids and parameters (security.md 4.5).
crypto::Digest configuration_of(const KeygenFields& fields) {
  Writer out;
  out.text("standard, all new, compressed").id(fields.context).id(fields.epoch);
  return crypto::tagged_hash(crypto::separators::kAgreement, out.view());
}

std::string text_of(const mpc::Verdict& verdict) {
  if (verdict.kind == mpc::Verdict::Kind::missing)
    return fmt::format("party {} takes no part: {}", verdict.party.number(), verdict.reason);
  if (verdict.kind == mpc::Verdict::Kind::excluded)
    return fmt::format("party {} is excluded: {}", verdict.party.number(), verdict.reason);
  return fmt::format("parties {} and {} are in dispute: {}", verdict.party.number(), verdict.other.number(),
                     verdict.reason);
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

/// What of a run others see, and how it ends.
struct KeyGenerator::Run {
  explicit Run(runtime::Loop& loop) : begun(loop.now()), ended(loop), recorded(loop) {}

  const char* stage = "beginning";
  const runtime::Instant begun;
  bool may_be_aborted = false;
  Status outcome;
  runtime::Event ended;     // the outcome is there
  runtime::Event recorded;  // and in the journal
  std::uint64_t done = 0, total = 0;
  std::optional<std::pair<runtime::Instant, std::uint64_t>> first_look;  // after a restart some are done already
  unsigned parts_reported = 0;                                           // tenths, in the log
  std::size_t verdicts_reported = 0;

  void end(Status with) {
    if (ended.is_set()) return;
    outcome = std::move(with);
    ended.set();
  }
  void report(std::string_view what, runtime::Instant now) {
    if (!first_look) first_look = {now, done};
    if (total == 0 || done * kReportedParts / total <= parts_reported) return;
    parts_reported = static_cast<unsigned>(done * kReportedParts / total);
    const double took = seconds(now - begun);
    log::info("{}: {} {} %, {} of {} elements, {:.0f} elements/s", what, stage, parts_reported * 100 / kReportedParts,
              done, total, took > 0 ? static_cast<double>(done) / took : 0.0);
  }
};

struct KeyGenerator::PreprocessingRun : Run {
  PreprocessingRun(runtime::Loop& loop, PreprocId with) : Run(loop), id(with), tasks(loop) {}

  const PreprocId id;
  std::shared_ptr<const mpc::EpochKeys> keys;
  std::unique_ptr<MaterialFile> material;
  std::unique_ptr<protocols::Preprocessing> protocol;
  runtime::TaskScope tasks;  // destroyed first

  void look(runtime::Instant now) {
    if (!protocol) return;
    done = protocol->progress().elements_done;
    total = protocol->progress().elements;
    const std::string what = fmt::format("preprocessing {}", id.hex());
    report(what, now);
    for (const auto& verdicts = protocol->disputes().verdicts(); verdicts_reported < verdicts.size();
         ++verdicts_reported)
      log::warn("{}: {}", what, text_of(verdicts[verdicts_reported]));
  }
};

struct KeyGenerator::KeygenRun : Run {
  KeygenRun(runtime::Loop& loop, const KeyId& with, const PreprocId& of, bool again)
      : Run(loop), key(with), preprocessing(of), resumed(again), tasks(loop) {}

  const KeyId key;
  const PreprocId preprocessing;
  const bool resumed;  // after a restart
  std::shared_ptr<const mpc::EpochKeys> keys;
  std::unique_ptr<MaterialFile> material;
  std::unique_ptr<protocols::KeyGeneration> protocol;
  runtime::RoleSet liars_reported;
  Bytes result;
  runtime::TaskScope tasks;  // destroyed first

  void look(runtime::Instant now) {
    if (!protocol) return;
    done = protocol->progress().elements_done;
    total = protocol->progress().elements;
    report(fmt::format("key {}", key.hex()), now);
    for (const Role role : protocol->liars() - liars_reported)
      log::warn("key {}: party {} sent wrong shares, or makes another key", key.hex(), role.number());
    liars_reported = protocol->liars();
  }
};

KeyGenerator::KeyGenerator(Core& core, std::filesystem::path folder)
    : core_(core), folder_(std::move(folder)), accepted_(core.loop) {}

KeyGenerator::~KeyGenerator() = default;

std::optional<std::string> KeyGenerator::progress(RequestKind kind, const RawId& id) const {
  const Run* run = nullptr;
  if (kind == RequestKind::preprocessing && preprocessing_ && preprocessing_->id.bytes() == id)
    run = preprocessing_.get();
  if (kind == RequestKind::keygen && keygen_ && keygen_->key.bytes() == id) run = keygen_.get();
  if (run == nullptr) return std::nullopt;
  return fmt::format("stage={} done={} total={} seconds={:.1f}", run->stage, run->done, run->total,
                     seconds(core_.loop.now() - run->begun));
}

template <class Running>
KeygenProgress KeyGenerator::progress_of(RequestKind kind, const Running& run) const {
  const runtime::Instant now = core_.loop.now();
  KeygenProgress out{.kind = kind,
                     .stage = run.stage,
                     .done = run.done,
                     .total = run.total,
                     .seconds = seconds(now - run.begun),
                     .per_second = 0,
                     .excluded = {},
                     .convicted = {}};
  if (run.protocol) {
    out.done = run.protocol->progress().elements_done;
    out.total = run.protocol->progress().elements;
  }
  if (run.first_look && now > run.first_look->first && out.done > run.first_look->second)
    out.per_second = static_cast<double>(out.done - run.first_look->second) / seconds(now - run.first_look->first);
  return out;
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

}  // namespace

// Preprocessing.

Task<Result<api::Empty>> KeyGenerator::preprocess(api::KeyGenPreprocRequest request) {
  auto permit = co_await ok(core_.limiter.take(core_.config.rate_limits.preproc));
  PreprocessingFields fields = co_await ok(validate_preprocessing(core_, request));
  co_await ok(plan_of(fields.params));
  if (core_.requests.state(RequestKind::preprocessing, fields.id.bytes()))
    co_return fail(Code::already_exists, "preprocessing {} exists, or was asked for before", fields.id.hex());
  if (preprocessing_)
    co_return fail(Code::resource_exhausted, "preprocessing {} is running, at most one runs at once; try again later",
                   preprocessing_->id.hex());
  const auto run = preprocessing_ = std::make_shared<PreprocessingRun>(core_.loop, fields.id);
  Bytes body = api::encode(request);
  const crypto::Digest digest = content_digest(body);
  const PreprocessingRecord record{PreprocessingRecord::Kind::generated, fields.params, fields.context, fields.epoch};
  const Status inserted = co_await core_.requests.insert(RequestKind::preprocessing, fields.id.bytes(), digest,
                                                         std::move(body), {record.change(fields.id)});
  if (!inserted) {
    preprocessing_ = nullptr;
    co_return fail(inserted.error());
  }
  core_.scope.spawn(work(run, std::move(fields), std::move(permit)));
  co_return api::Empty{};
}

Task<void> KeyGenerator::work(std::shared_ptr<PreprocessingRun> run, PreprocessingFields fields,
                              RateLimiter::Permit permit) {
  run->tasks.spawn(run_to_end(*run, make_material(*run, fields)));
  run->tasks.spawn(watch(*run, core_.loop));
  co_await run->ended.wait();
  run->tasks.cancel();
  run->look(core_.loop.now());
  const Status outcome = run->outcome;
  const std::string what = fmt::format("preprocessing {}", fields.id.hex());
  const double took = seconds(core_.loop.now() - run->begun);
  if (outcome) {
    const auto& report = run->protocol->report();
    log::info("{}: done in {:.1f} s, {} bytes of material; {} disputes settled, {} silences, {} values fetched", what,
              took, run->material->size_bytes(), report.passes, report.silence, report.fetched);
  } else {
    log::error("{}: failed after {:.1f} s: {}", what, took, outcome.error().message);
  }
  run->protocol = nullptr;
  run->material = nullptr;
  permit = {};
  const Status stored =
      outcome ? co_await core_.requests.finish(RequestKind::preprocessing, fields.id.bytes(),
                                               node::preprocessing_result(core_, fields))
              : co_await core_.requests.fail_request(RequestKind::preprocessing, fields.id.bytes(), outcome.error());
  if (!stored) log::error("{}: the outcome could not be recorded: {}", what, stored.error().message);
  preprocessing_ = nullptr;
  run->recorded.set();
  if (!outcome) co_await erase(fields.id);
}

Task<Status> KeyGenerator::make_material(PreprocessingRun& run, const PreprocessingFields& fields) {
  const KeyMaterial layout(co_await ok(plan_of(fields.params)));
  const auto options = preprocessing_options();
  run.keys = core_.epochs.find(fields.epoch)->keys;
  run.may_be_aborted = true;

  std::optional<runtime::Session> meeting;
  std::optional<mpc::CommonStart> common;
  if (!run.material) {
    run.stage = "start";
    meeting =
        co_await ok(core_.router.open(mpc::start_session(fields.id.bytes(), kKind), mpc::start_session_options()));
    const std::uint16_t first = co_await ok(next_attempt(core_.journal, fields.id.bytes(), kKind));
    common.emplace(*meeting, mpc::Patience(options.variant, options.delay, 0).round, first,
                   [&journal = core_.journal, id = fields.id.bytes()](std::uint16_t attempt) {
                     return record_attempt(journal, id, kKind, attempt);
                   });
    const std::uint16_t attempt = co_await ok(co_await common->start());
    run.material =
        co_await ok(co_await MaterialFile::create(core_.compute, folder_, fields.id, attempt, layout.orders));
  }
  run.protocol = std::make_unique<protocols::Preprocessing>(
      protocols::PreprocessingParty{core_.router, core_.journal, core_.compute, *run.keys, core_.signatories},
      fields.id, run.material->attempt(), layout.orders, *run.material, options);
  run.stage = "preprocessing";
  log::info("preprocessing {}: {}, attempt {}, parameters {}, {} elements in {} batches, delay {} ms", fields.id.hex(),
            common ? "begins" : "is taken up again", run.material->attempt(), fields.params,
            run.protocol->progress().elements, run.protocol->progress().batches,
            std::chrono::duration_cast<std::chrono::milliseconds>(options.delay).count());
  co_await ok(co_await run.protocol->run());
  run.may_be_aborted = false;
  run.stage = "storing";
  co_await ok(co_await run.material->complete(run.protocol->content()));
  if (common) co_return common->done();
  co_return Status{};
}

// Keys.

Task<Result<api::Empty>> KeyGenerator::generate(api::KeyGenRequest request) {
  const SerialLock lock = co_await SerialLock::enter(accepting_, accepted_);
  auto permit = co_await ok(core_.limiter.take(core_.config.rate_limits.keygen));
  KeygenFields fields = co_await ok(validate_keygen(core_, request));
  co_await ok(check_preprocessing(core_, PreprocessingRecord::Kind::generated, fields));
  if (keygen_)
    co_return fail(Code::resource_exhausted, "key {} is being generated, at most one is at once; try again later",
                   keygen_->key.hex());
  const auto run = keygen_ = std::make_shared<KeygenRun>(core_.loop, fields.key, fields.preprocessing, false);
  Bytes body = api::encode(request);
  const crypto::Digest digest = content_digest(body);
  const auto bytes_of = [](const auto& id) { return Bytes(id.bytes().begin(), id.bytes().end()); };
  const runtime::Change use{runtime::Change::Kind::put_new, kMaterialUseTable, bytes_of(fields.preprocessing),
                            bytes_of(fields.key)};
  Status accepted =
      co_await core_.requests.insert(RequestKind::keygen, fields.key.bytes(), digest, std::move(body), {use});
  if (accepted) {
    accepted = co_await core_.requests.consume(fields.preprocessing.bytes(), {});
    if (accepted) {
      core_.scope.spawn(work(run, std::move(fields), std::move(permit)));
      co_return api::Empty{};
    }
    const Status failed =
        co_await core_.requests.fail_request(RequestKind::keygen, fields.key.bytes(), accepted.error());
    if (!failed) log::error("key {}: {}", fields.key.hex(), failed.error().message);
  }
  keygen_ = nullptr;
  co_return fail(std::move(accepted).error());
}

Task<void> KeyGenerator::work(std::shared_ptr<KeygenRun> run, KeygenFields fields, RateLimiter::Permit permit) {
  run->tasks.spawn(run_to_end(*run, make_key(*run, fields)));
  run->tasks.spawn(watch(*run, core_.loop));
  co_await run->ended.wait();
  run->tasks.cancel();
  run->look(core_.loop.now());
  const Status outcome = run->outcome;
  const std::string what = fmt::format("key {}", fields.key.hex());
  const double took = seconds(core_.loop.now() - run->begun);
  run->protocol = nullptr;
  run->material = nullptr;
  permit = {};
  Status stored;
  if (outcome) {
    log::info("{}: generated in {:.1f} s, parameters {}", what, took, fields.params);
    stored = co_await core_.requests.finish(RequestKind::keygen, fields.key.bytes(), std::move(run->result));
  } else {
    log::error("{}: failed after {:.1f} s: {}", what, took, outcome.error().message);
    if (core_.keys.find(fields.key, fields.epoch) == nullptr)
      if (const Status removed = remove_key(core_, fields.key, fields.epoch); !removed)
        log::error("{}: {}", what, removed.error().message);
    stored = co_await core_.requests.fail_request(RequestKind::keygen, fields.key.bytes(), outcome.error());
  }
  if (!stored) log::error("{}: the outcome could not be recorded: {}", what, stored.error().message);
  keygen_ = nullptr;
  run->recorded.set();
  if (stored) co_await erase(fields.preprocessing);
}

Task<Status> KeyGenerator::make_key(KeygenRun& run, const KeygenFields& fields) {
  const KeyPlan plan = co_await ok(plan_of(fields.params));
  run.keys = core_.epochs.find(fields.epoch)->keys;
  run.may_be_aborted = true;
  run.material =
      co_await ok(co_await MaterialFile::open(core_.compute, folder_, fields.preprocessing, KeyMaterial(plan).orders));
  protocols::KeyGenerationJob job{.key = fields.key,
                                  .preprocessing = fields.preprocessing,
                                  .material = run.material->content(),
                                  .plan = plan,
                                  .configuration = configuration_of(fields),
                                  .options = {}};
  job.options.tag = Bytes(fields.key.bytes().begin(), fields.key.bytes().end());
  run.protocol = std::make_unique<protocols::KeyGeneration>(
      protocols::KeyGenerationParty{core_.router, core_.journal, core_.compute, *run.keys, *run.material},
      std::move(job));
  run.stage = "online";
  log::info("key {}: begins, parameters {}, of preprocessing {}, {} elements", fields.key.hex(), fields.params,
            fields.preprocessing.hex(), run.protocol->progress().elements);
  auto key = co_await run.protocol->run(core_.loop.after(core_.config.threshold.keygen_timeout));
  GeneratedKey made = co_await ok(std::move(key));
  const auto set = std::make_shared<const tfhe::CompressedKeySet>(std::move(made.set));
  const auto shares = std::make_shared<const protocols::KeyShares>(std::move(made.shares));
  run.stage = "confirming";
  co_await ok(co_await confirm(fields, set, shares, run.resumed));
  run.may_be_aborted = false;
  run.stage = "publishing";
  run.result = co_await ok(co_await publish(fields, set, shares));
  co_return Status{};
}

Task<Status> KeyGenerator::confirm(const KeygenFields& fields, std::shared_ptr<const tfhe::CompressedKeySet> set,
                                   std::shared_ptr<const protocols::KeyShares> shares, bool resumed) {
  co_return co_await confirm_key({core_.router, core_.journal, core_.compute, core_.private_vault},
                                 {.key = fields.key,
                                  .epoch = fields.epoch,
                                  .set = std::move(set),
                                  .shares = std::move(shares),
                                  .masks = core_.epochs.find(fields.epoch)->masks,
                                  .sequence = core_.requests.sequence(RequestKind::keygen, fields.key.bytes()),
                                  .resumed = resumed},
                                 core_.loop.after(core_.config.threshold.keygen_timeout));
}

Task<Result<Bytes>> KeyGenerator::publish(const KeygenFields& fields, std::shared_ptr<const tfhe::CompressedKeySet> set,
                                          std::shared_ptr<const protocols::KeyShares> shares) {
  // Objects without metadata are of a run that a restart has interrupted here.
  co_await ok(erase_key_objects(fields.key, core_.public_vault));
  const KeyObjects objects =
      co_await ok(co_await core_.compute(Work::preprocessing, [set, key = fields.key, &vault = core_.public_vault] {
        return write_key_objects(*set, key, vault);
      }));
  co_return store_key(core_, fields, KeyOrigin::generated, objects, *shares);
}

Task<Result<api::Empty>> KeyGenerator::abort(api::IdRequest request) {
  const PreprocId id = co_await ok(parse_request_id<PreprocId>(request));
  const auto stop = [](auto& run) {
    run.tasks.cancel();
    run.end(fail(Code::aborted, "aborted by the operator"));
  };
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
  co_return fail(Code::not_found, "no preprocessing {} is running here, and no key generation that uses it", id.hex());
}

// After a restart.

bool KeyGenerator::owns(const InterruptedRequest& request) const {
  Result<PreprocId> id(request.id);
  if (request.kind == RequestKind::keygen) {
    const auto decoded = api::decode<api::KeyGenRequest>(request.body);
    if (!decoded) return false;
    id = required_id<PreprocId>(decoded->preproc_id, "preproc_id");
    if (!id) return false;
  }
  const auto record = find_preprocessing(core_.journal, *id);
  return record && *record && (*record)->kind == PreprocessingRecord::Kind::generated;
}

void KeyGenerator::resume(InterruptedRequest request) {
  if (request.kind == RequestKind::keygen)
    core_.scope.spawn(resume_keygen(std::move(request)));
  else
    core_.scope.spawn(resume_preprocessing(std::move(request)));
}

/// What is complete is signed. What has begun is taken up again. What was still waiting for the others has no place among them.
Task<void> KeyGenerator::resume_preprocessing(InterruptedRequest request) {
  const auto left = [this, &request](std::unique_ptr<MaterialFile>& material) -> Task<Result<PreprocessingFields>> {
    const auto decoded = co_await ok(api::decode<api::KeyGenPreprocRequest>(request.body));
    PreprocessingFields fields = co_await ok(validate_preprocessing(core_, decoded));
    const KeyPlan plan = co_await ok(plan_of(fields.params));
    material = co_await ok(co_await MaterialFile::open(core_.compute, folder_, fields.id, KeyMaterial(plan).orders,
                                                       MaterialFile::State::interrupted));
    co_return fields;
  };
  std::unique_ptr<MaterialFile> material;
  auto fields = co_await left(material);
  if (fields && !material->is_complete()) {
    const auto run = preprocessing_ = std::make_shared<PreprocessingRun>(core_.loop, fields->id);
    run->material = std::move(material);
    co_await work(run, *std::move(fields), {});
    co_return;
  }
  Status stored;
  if (fields) {
    log::info("preprocessing {}: was complete before the restart", to_hex(request.id));
    stored = co_await core_.requests.finish(request.kind, request.id, node::preprocessing_result(core_, *fields));
  } else {
    const Error error{
        Code::aborted,
        fmt::format("aborted: the node stopped before the preprocessing had begun here ({}); start a new one",
                    fields.error().message)};
    log::warn("preprocessing {}: {}", to_hex(request.id), error.message);
    stored = co_await core_.requests.fail_request(request.kind, request.id, error);
  }
  if (!stored) log::error("preprocessing {}: {}", to_hex(request.id), stored.error().message);
  if (!fields && stored) co_await erase(PreprocId(request.id));
}

Task<void> KeyGenerator::resume_keygen(InterruptedRequest request) {
  const auto read = [&]() -> Result<KeygenFields> {
    WITAN_ASSIGN(const auto decoded, api::decode<api::KeyGenRequest>(request.body));
    WITAN_ASSIGN(auto fields, validate_keygen(core_, decoded));
    WITAN_ASSIGN(const auto record, find_preprocessing(core_.journal, fields.preprocessing));
    if (!record) return fail(Code::data_loss, "preprocessing {} is not in the journal", fields.preprocessing.hex());
    fields.params = record->params;
    return fields;
  };
  auto fields = read();
  if (!fields) {
    const Status failed = co_await core_.requests.fail_request(
        request.kind, request.id, std::move(fields).error().within("aborted after a restart"));
    if (!failed) log::error("key {}: {}", to_hex(request.id), failed.error().message);
    co_return;
  }
  if (const KeyRecord* record = core_.keys.find(fields->key, fields->epoch)) {
    log::info("key {}: was there before the restart", fields->key.hex());
    const Status stored = co_await core_.requests.finish(RequestKind::keygen, fields->key.bytes(), key_result(*record));
    if (!stored) log::error("key {}: the outcome could not be recorded: {}", fields->key.hex(), stored.error().message);
    if (stored) co_await erase(fields->preprocessing);
    co_return;
  }
  log::info("key {}: its generation is taken up again after a restart", fields->key.hex());
  if (core_.requests.check_usable(fields->preprocessing.bytes()))
    if (const Status used = co_await core_.requests.consume(fields->preprocessing.bytes(), {}); !used)
      log::error("preprocessing {}: {}", fields->preprocessing.hex(), used.error().message);
  keygen_ = std::make_shared<KeygenRun>(core_.loop, fields->key, fields->preprocessing, true);
  co_await work(keygen_, *std::move(fields), {});
}

void KeyGenerator::erase_unused() {
  const auto there = list_material(folder_);
  if (!there) {
    log::error("material of key generations: {}", there.error().message);
    return;
  }
  std::vector<PreprocId> unused;
  for (const PreprocId& id : *there) {
    const auto state = core_.requests.state(RequestKind::preprocessing, id.bytes());
    bool needed = state == RequestState::done || state == RequestState::pending;
    const auto use = core_.journal.get(kMaterialUseTable, id.view());
    if (!use) {
      log::error("material of preprocessing {}: {}", id.hex(), use.error().message);
      continue;
    }
    if (*use) {
      const auto key = KeyId::from_bytes(**use);
      needed = key && core_.requests.state(RequestKind::keygen, key->bytes()) == RequestState::pending;
    }
    if (!needed) unused.push_back(id);
  }
  if (!unused.empty()) core_.scope.spawn(erase_all(std::move(unused)));
}

Task<void> KeyGenerator::erase_all(std::vector<PreprocId> ids) {
  for (const PreprocId& id : ids) co_await erase(id);
}

Task<void> KeyGenerator::erase(PreprocId id) {
  const Status erased = co_await erase_material(core_.compute, folder_, id);
  if (!erased)
    log::error("material of preprocessing {} could not be erased, the next start tries again: {}", id.hex(),
               erased.error().message);
}

}  // namespace witan::node
