#include "insecure/partial_preprocessing.h"

#include <algorithm>

#include "api/codec.h"
#include "api/method_names.h"
#include "base/check.h"
#include "base/codec.h"
#include "base/log.h"
#include "mpc/common_start.h"
#include "node/attempts.h"
#include "node/key_requests.h"
#include "node/material.h"
#include "node/service.h"
#include "node/tracked_compute.h"
#include "protocols/key_generation.h"
#include "tfhe/noise.h"

namespace witan::insecure {

using algebra::Gr;
using algebra::Share;
using node::Core;
using node::MaterialFile;
using node::PreprocessingFields;
using node::PreprocessingRecord;
using node::RequestKind;
using protocols::MaterialOrder;
using protocols::MaterialPlan;
using protocols::UnitRange;
using runtime::ok;
using runtime::Task;

namespace {

constexpr crypto::Separator kDummies{"WITDUMMY"};
constexpr unsigned kAll = 100;
constexpr std::uint64_t kDummyUnitsAtOnce = 1u << 14;
constexpr auto kKind = crypto::SessionKind::preprocessing_64;  // of its common start, as for a whole preprocessing

/// What everybody can compute.
class PublicRng final : public Rng {
 public:
  explicit PublicRng(Bytes seed) : seed_(std::move(seed)) {}
  void fill(MutableByteView out) override {
    crypto::Shake256 hash(kDummies);
    hash.update(seed_).update(Writer().u64(next_++).view());
    hash.finish(out);
  }

 private:
  const Bytes seed_;
  std::uint64_t next_ = 0;
};

template <class Z>
Bytes shares_of(std::span<const Gr<Z>> values) {
  Bytes out(values.size() * sizeof(Share<Z>));
  std::memcpy(out.data(), values.data(), out.size());
  return out;
}

template <class Z>
Bytes dummy_units_of(const MaterialOrder& order, Rng& rng, std::uint64_t first, std::uint64_t count) {
  const std::uint64_t values = std::min(order.count - 4 * first, 4 * count);
  std::vector<Gr<Z>> out;
  if (order.kind == MaterialOrder::Kind::bits) {
    Bytes bits(values);
    rng.fill(bits);
    for (const std::uint8_t byte : bits) out.push_back(Gr<Z>::from_base(byte & 1u));
    return shares_of<Z>(out);
  }
  std::vector<tfhe::i64> noises(values);
  tfhe::RngNoise(rng).fill({static_cast<std::uint32_t>(order.bound_log2)}, noises);
  out.resize(count);
  for (std::size_t i = 0; i < noises.size(); ++i) out[i / 4].c[i % 4] = static_cast<Z>(noises[i]);
  return shares_of<Z>(out);
}

/// Takes units of the orders that are made for those of the whole plan.
class PartOfFile final : public protocols::MaterialStore {
 public:
  PartOfFile(protocols::MaterialStore& file, const std::vector<std::size_t>& of) : file_(file), of_(of) {}
  Task<Status> put(std::size_t order, std::uint64_t first, SessionId session, Secret<Bytes> content) override {
    return file_.put(of_.at(order), first, session, std::move(content));
  }
  Task<Status> drop(std::size_t order, UnitRange units) override { return file_.drop(of_.at(order), units); }

 private:
  protocols::MaterialStore& file_;
  const std::vector<std::size_t>& of_;
};

}  // namespace

PartialPlan partial_plan(const MaterialPlan& whole, unsigned percent, bool dummies) {
  WITAN_CHECK(percent <= kAll);
  PartialPlan out;
  const auto slices = static_cast<std::uint64_t>(
      std::ranges::count(whole, MaterialOrder::Kind::slice, [](const MaterialOrder& order) { return order.kind; }));
  std::uint64_t slices_left = dummies ? slices : slices * percent / kAll;
  for (std::size_t i = 0; i < whole.size(); ++i) {
    MaterialOrder order = whole[i];
    if (order.kind == MaterialOrder::Kind::slice) {
      if (slices_left == 0) continue;
      --slices_left;
    } else {
      order.count = std::min(order.count, 4 * (order.units() * percent / kAll));
      if (order.count == 0) continue;
    }
    out.made.push_back(order);
    out.of.push_back(i);
  }
  return out;
}

Bytes dummy_units(const MaterialOrder& order, std::size_t number, const PreprocId& id, std::uint64_t first,
                  std::uint64_t count) {
  WITAN_CHECK(order.kind != MaterialOrder::Kind::slice && count > 0 && first + count <= order.units());
  PublicRng rng(Writer().id(id).u64(number).u64(first).take());
  return order.word_bits == 64 ? dummy_units_of<std::uint64_t>(order, rng, first, count)
                               : dummy_units_of<algebra::Z128>(order, rng, first, count);
}

namespace {

struct Job {
  PreprocessingFields fields;
  unsigned percent = 0;
  bool dummies = false;

  /// A key can be made of it.
  bool is_usable() const { return dummies || percent == kAll; }
};

/// Fills what was not made.
Task<Status> put_dummies(MaterialFile& file, const MaterialPlan& whole, const PartialPlan& part, const PreprocId& id) {
  for (std::size_t i = 0; i < whole.size(); ++i) {
    if (whole[i].kind == MaterialOrder::Kind::slice) continue;  // all of them were made
    const auto made = std::ranges::find(part.of, i);
    std::uint64_t first =
        made == part.of.end() ? 0 : part.made[static_cast<std::size_t>(made - part.of.begin())].units();
    while (first < whole[i].units()) {
      const std::uint64_t count = std::min(kDummyUnitsAtOnce, whole[i].units() - first);
      co_await ok(co_await file.put(i, first, SessionId{}, Secret(dummy_units(whole[i], i, id, first, count))));
      first += count;
    }
  }
  co_return Status{};
}

Task<Status> preprocess(Core& core, runtime::Compute& compute, const Job& job) {
  const PreprocId& id = job.fields.id;
  const auto params = co_await ok(tfhe::params_by_name(job.fields.params));
  const auto plan = co_await ok(protocols::plan_key_generation(params, protocols::KeySource::all_new));
  const MaterialPlan whole = protocols::KeyMaterial(plan).orders;
  const PartialPlan part = partial_plan(whole, job.percent, job.dummies);
  const auto keys = core.epochs.find(job.fields.epoch)->keys;
  protocols::PreprocessingOptions options;
  options.variant = mpc::variant_for(core.router.committee());
  options.delay = core.config.message_delay;
  options.purpose = fmt::format("partial, {} percent{}", job.percent, job.dummies ? ", dummies" : "");

  const crypto::Digest name =
      protocols::preprocessing_name(id, core.router.committee(), job.fields.epoch, part.made, options);
  runtime::Session meeting =
      co_await ok(core.router.open(mpc::start_session(name, kKind), mpc::start_session_options()));
  const std::uint16_t first = co_await ok(node::next_attempt(core.journal, id.bytes(), kKind));
  mpc::CommonStart common(
      meeting, mpc::Patience(options.variant, options.delay, 0).round, first,
      [&core, &id](std::uint16_t attempt) { return node::record_attempt(core.journal, id.bytes(), kKind, attempt); });
  const std::uint16_t attempt = co_await ok(co_await common.start());
  co_await ok(co_await node::claim_material(compute, core.config.material_folder(), core.signing_key.address().text()));
  const auto file =
      co_await ok(co_await MaterialFile::create(compute, core.config.material_folder(), id, attempt, whole));
  PartOfFile store(*file, part.of);
  crypto::Digest made{};
  if (!part.made.empty()) {
    protocols::Preprocessing protocol(
        protocols::PreprocessingParty{core.router, core.journal, compute, *keys, core.signatories, job.fields.epoch},
        id, attempt, part.made, store, options);
    log::info("preprocessing {}: partial, {} percent, {} elements in {} batches", id.hex(), job.percent,
              protocol.progress().elements, protocol.progress().batches);
    co_await ok(co_await protocol.run());
    made = protocol.content();
  }
  if (job.dummies) co_await ok(co_await put_dummies(*file, whole, part, id));
  if (job.is_usable()) {
    const crypto::Digest content =
        crypto::tagged_hash(kDummies, Writer().raw(made).u32(job.percent).u8(job.dummies ? 1 : 0).view());
    co_await ok(co_await file->complete(content));
  }
  if (const Status told = common.done(); !told)
    log::warn("preprocessing {}: the others could not be told that it is done: {}", id.hex(), told.error().message);
  co_return Status{};
}

/// One at a time runs in a process.
struct Running {
  bool yes = false;
};

Task<void> erase(Core& core, PreprocId id) {
  const auto folder = core.config.material_folder();
  Status erased = co_await node::claim_material(core.compute, folder, core.signing_key.address().text());
  if (erased) erased = co_await node::erase_material(core.compute, folder, id);
  if (!erased) log::error("preprocessing {}: {}", id.hex(), erased.error().message);
}

Task<void> run(Core& core, std::shared_ptr<Running> running, Job job, node::RateLimiter::Permit permit) {
  const auto begun = core.loop.now();
  node::TrackedCompute compute(core.compute);
  const Status done = co_await preprocess(core, compute, job);
  co_await compute.until_idle();  // what was given up writes no more
  permit = {};
  const PreprocId& id = job.fields.id;
  if (!done || !job.is_usable()) co_await erase(core, id);
  Status stored;
  if (done) {
    log::warn("preprocessing {}: {} percent of it done in {:.1f} s{}", id.hex(), job.percent,
              std::chrono::duration<double>(core.loop.now() - begun).count(),
              job.dummies ? "; EVERYBODY KNOWS the rest" : "");
    stored = co_await core.requests.finish(RequestKind::preprocessing, id.bytes(),
                                           node::preprocessing_result(core, job.fields));
  } else {
    log::error("preprocessing {}: {}", id.hex(), done.error().message);
    stored = co_await node::fail_preprocessing(core, id, done.error());
  }
  if (!stored) log::error("preprocessing {}: the outcome could not be recorded: {}", id.hex(), stored.error().message);
  running->yes = false;
}

Task<Result<api::Empty>> partial_key_gen_preproc(Core& core, std::shared_ptr<Running> running,
                                                 api::PartialKeyGenPreprocRequest request) {
  if (!request.base_request) co_return fail(Code::invalid_argument, "base_request is missing");
  if (!request.partial_params) co_return fail(Code::invalid_argument, "partial_params is missing");
  const auto& params = *request.partial_params;
  if (params.percentage_offline > kAll)
    co_return fail(Code::invalid_argument, "percentage_offline: {}, at most {}", params.percentage_offline, kAll);
  auto permit = co_await ok(core.limiter.take(core.config.rate_limits.preproc));
  Job job{.fields = co_await ok(node::validate_preprocessing(core, *request.base_request)),
          .percent = params.percentage_offline,
          .dummies = params.store_dummy_preprocessing};
  if (job.fields.kind == PreprocessingRecord::Kind::from_existing)
    co_return fail(Code::unimplemented, "partial preprocessings are for key sets that are all new");
  job.fields.kind = job.is_usable() ? PreprocessingRecord::Kind::partial : PreprocessingRecord::Kind::measured;
  if (running->yes)
    co_return fail(Code::resource_exhausted, "a partial preprocessing is running, at most one runs at once; try again");
  running->yes = true;
  Bytes body = api::encode(request);
  const auto digest = node::content_digest(body);
  const Status inserted = co_await core.requests.insert(RequestKind::preprocessing, job.fields.id.bytes(), digest,
                                                        std::move(body), {job.fields.record().change(job.fields.id)});
  if (!inserted) {
    running->yes = false;
    co_return fail(inserted.error());
  }
  core.scope.spawn(run(core, std::move(running), std::move(job), std::move(permit)));
  co_return api::Empty{};
}

}  // namespace

api::ExtraMethods partial_preprocessing_methods(Core& core) {
  const auto running = std::make_shared<Running>();
  api::ExtraMethods out;
  out[api::method::kPartialKeyGenPreproc] = api::raw_method<api::PartialKeyGenPreprocRequest, api::Empty>(
      [&core, running](api::PartialKeyGenPreprocRequest request, api::CallContext, api::Responder<api::Empty> respond) {
        node::answer_on_loop(core, std::move(respond), [&core, running, r = std::move(request)]() mutable {
          return partial_key_gen_preproc(core, running, std::move(r));
        });
      });
  return out;
}

}  // namespace witan::insecure
