// Definitions of BasicPreprocessing, for the instantiation in preprocessing.cc and those of tests with other rules.
#pragma once

#include <algorithm>
#include <deque>
#include <optional>
#include <utility>

#include "mpc/detected_opening_impl.h"
#include "protocols/preprocessing.h"

namespace witan::protocols {

struct DecidedBatch {
  std::vector<UnitRange> spoiled;  // have to be made again
  runtime::RoleSet callers;        // if there are any: the attempt ends, and the batch is not made
};

/// One batch under way, whatever its ring.
template <class Rules>
struct BasicPreprocessing<Rules>::Batch {
  explicit Batch(runtime::Loop& loop) : exchanged(loop), finished(loop) {}
  virtual ~Batch() = default;
  virtual runtime::Task<Status> exchange() = 0;
  virtual runtime::Task<Result<DecidedBatch>> decide() = 0;
  /// Stores what is not spoiled, and gives what it is.
  virtual runtime::Task<Result<FinishedBatch>> finish() = 0;
  virtual const mpc::DetectionReport& report() const = 0;
  virtual std::size_t elements() const = 0;

  runtime::Event exchanged, finished;
  Status exchange_status;
  Result<FinishedBatch> result;
};

template <class Rules>
template <class Z>
struct BasicPreprocessing<Rules>::BatchOf final : Batch {
  using Order = MaterialOrder;
  static constexpr std::size_t kUnitsAtOnce = 512;

  BatchOf(BasicPreprocessing& all, const Planned& planned)
      : Batch(all.party_.compute.loop()),
        all_(all),
        planned_(planned),
        order_(all.plan_[planned.order]),
        session_id_(all.attempts_.session(order_.word_bits, planned.session_number)) {}

  std::size_t bits_per_unit() const { return order_.bits_per_unit(); }
  std::size_t bit_count() const { return order_.bits_of(planned_.units); }
  std::size_t elements() const override { return order_.elements_of(planned_.units); }

  runtime::Task<Status> exchange() override {
    session_ = co_await runtime::ok(all_.party_.router.open(session_id_, mpc::detection_session(all_.options_.delay)));
    auto made = co_await all_.party_.compute(
        runtime::Work::preprocessing, [&keys = all_.party_.keys, id = session_id_, order = order_, count = elements()] {
          Made out;
          const auto kernel = std::make_shared<const mpc::BitKernel<Z>>(keys.set_keys(), keys.zero_keys(), id);
          if (order.kind == Order::Kind::slice)
            out.slice = std::make_shared<mpc::ProductSlice<Z>>(kernel, order.inputs, order.outputs);
          else
            out.bits = std::make_shared<mpc::BitBatch<Z>>(kernel, count);
          return out;
        });
    bits_ = made.bits;
    std::shared_ptr<mpc::Disposable<Z>> batch = made.slice;
    if (bits_) batch = bits_;
    const PreprocessingOptions& options = all_.options_;
    opening_ = std::make_unique<mpc::DetectedOpening<Z, Rules>>(
        *session_, all_.party_.compute, all_.party_.keys, all_.party_.signatories, all_.disputes_, std::move(batch),
        mpc::DetectionOptions{.variant = options.variant,
                              .chunk_rows = options.chunk_rows,
                              .delay = options.delay,
                              .level = all_.attempts_.level()});
    co_return co_await opening_->exchange();
  }

  runtime::Task<Result<DecidedBatch>> decide() override {
    const mpc::Decided decided = co_await runtime::ok(co_await opening_->decide(all_.attempts_.calls()));
    if (!decided.callers.empty()) co_return DecidedBatch{.spoiled = {}, .callers = decided.callers};
    const std::vector<std::size_t>& discarded = decided.discarded;
    if (order_.kind == Order::Kind::slice) {
      (discarded.empty() ? good_units_ : spoiled_) = planned_.units;  // burnt as a whole
      co_return DecidedBatch{spoiled_, {}};
    }
    // A unit one of whose bits was discarded is spoiled as a whole.
    std::size_t at = 0;  // position in the batch, in units
    for (const UnitRange& range : planned_.units) {
      std::uint64_t begin = range.first;
      for (std::uint64_t unit = range.first; unit <= range.first + range.count; ++unit) {
        const bool end = unit == range.first + range.count;
        const std::size_t first_bit = (at + unit - range.first) * bits_per_unit();
        const auto hit = std::ranges::lower_bound(discarded, first_bit / 4);
        const bool bad = !end && hit != discarded.end() && 4 * *hit < first_bit + bits_per_unit();
        if (!bad && !end) continue;
        if (unit > begin) {
          good_.push_back({{begin, unit - begin}, (at + begin - range.first) * bits_per_unit()});
          good_units_.push_back({begin, unit - begin});
        }
        if (bad) spoiled_.push_back({unit, 1});
        begin = unit + 1;
      }
      at += range.count;
    }
    co_return DecidedBatch{spoiled_, {}};
  }

  runtime::Task<Result<FinishedBatch>> finish() override {
    opened_ = std::make_shared<UninitializedVector<mpc::Gr<Z>>>(co_await runtime::ok(co_await opening_->values()));
    if (order_.kind == Order::Kind::slice && spoiled_.empty()) {
      Secret<Bytes> content(Bytes(order_.unit_bytes()));
      std::memcpy(content.reveal_mutable().data(), opened_->data(), order_.unit_bytes());
      co_await runtime::ok(co_await all_.store_.put(planned_.order, 0, session_id_, std::move(content)));
    }
    for (const Good& good : good_)
      co_await runtime::ok(
          co_await store(good.units.first, static_cast<std::size_t>(good.units.count), good.first_bit));
    co_return FinishedBatch{static_cast<std::uint32_t>(planned_.order), session_id_, good_units_};
  }

  /// Units first .. first + count - 1, whose bits begin at first_bit of the batch.
  runtime::Task<Status> store(std::uint64_t first, std::size_t count, std::size_t first_bit) {
    const std::size_t all_bits = std::min(count * bits_per_unit(), bit_count() - first_bit);
    auto out = std::make_shared<Secret<std::vector<mpc::Share<Z>>>>(
        std::vector<mpc::Share<Z>>(order_.kind == Order::Kind::bits ? all_bits : count));
    const auto make = [out, bits = bits_, opened = opened_, order = order_, per_unit = bits_per_unit(), first_bit,
                       all_bits](std::size_t from, std::size_t to) -> Status {
      const std::size_t begin = first_bit + from * per_unit;
      const std::size_t size = std::min(to * per_unit, all_bits) - from * per_unit;
      const auto draws = bits->draws().subspan(begin, size);
      const std::span<const Z> words(opened->data()->c.data() + begin, size);
      std::vector<mpc::Share<Z>>& shares = out->reveal_mutable();
      if (order.kind == Order::Kind::noises)
        return pack_noises(draws, words, order.bound_log2, std::span(shares).subspan(from, to - from));
      return mpc::BitKernel<Z>::bits(draws, words, std::span(shares).subspan(4 * from, size));
    };
    co_await runtime::ok(co_await mpc::detection::in_pieces(all_.party_.compute, count, kUnitsAtOnce, make));
    const auto& shares = out->reveal();
    Secret<Bytes> content(Bytes(shares.size() * sizeof(mpc::Share<Z>)));
    std::memcpy(content.reveal_mutable().data(), shares.data(), content.reveal().size());
    co_return co_await all_.store_.put(planned_.order, first, session_id_, std::move(content));
  }

  static Status pack_noises(std::span<const mpc::Share<Z>> draws, std::span<const Z> words, int bound_log2,
                            std::span<mpc::Share<Z>> out) {
    const std::size_t window = static_cast<std::size_t>(bound_log2) + 2, whole = draws.size() / (4 * window);
    WITAN_TRY(mpc::packed_noises<Z>(draws.first(whole * 4 * window), words.first(whole * 4 * window), bound_log2,
                                    out.first(whole)));
    if (whole == out.size()) return {};
    const std::size_t rest = draws.size() / window - 4 * whole;  // noises of the last unit
    Secret<std::vector<mpc::Share<Z>>> noises(std::vector<mpc::Share<Z>>(4));
    WITAN_TRY(mpc::noises<Z>(draws.subspan(whole * 4 * window), words.subspan(whole * 4 * window), bound_log2,
                             std::span(noises.reveal_mutable()).first(rest)));
    std::array<mpc::Gr<Z>, 4> values;
    for (std::size_t c = 0; c < 4; ++c) values[c] = noises.reveal()[c].value;
    out[whole].value = algebra::pack(values.data(), rest);
    wipe(values.data(), sizeof values);
    return {};
  }

  const mpc::DetectionReport& report() const override { return opening_->report(); }

  struct Good {
    UnitRange units;
    std::size_t first_bit;  // of the batch
  };
  struct Made {
    std::shared_ptr<mpc::BitBatch<Z>> bits;
    std::shared_ptr<mpc::ProductSlice<Z>> slice;
  };
  BasicPreprocessing& all_;
  const Planned planned_;
  const MaterialOrder order_;
  const SessionId session_id_;
  std::optional<runtime::Session> session_;
  std::shared_ptr<mpc::BitBatch<Z>> bits_;  // null for a slice
  std::shared_ptr<UninitializedVector<mpc::Gr<Z>>> opened_;
  std::vector<Good> good_;
  std::vector<UnitRange> good_units_, spoiled_;
  std::unique_ptr<mpc::DetectedOpening<Z, Rules>> opening_;
};

template <class Rules>
BasicPreprocessing<Rules>::BasicPreprocessing(PreprocessingParty party, PreprocId id, std::uint16_t attempt,
                                              MaterialPlan plan, MaterialStore& store, PreprocessingOptions options)
    : party_(party),
      id_(id),
      attempts_(party, id, preprocessing_name(id, party.router.committee(), party.epoch, plan, options), attempt,
                {.variant = options.variant, .delay = options.delay, .wait = options.wait}),
      plan_(std::move(plan)),
      store_(store),
      options_(options),
      disputes_(party.router.committee()) {
  WITAN_CHECK(options.batches_at_once > 0 && options.batch_elements > 0);
  plan_attempt();
}

template <class Rules>
BasicPreprocessing<Rules>::~BasicPreprocessing() = default;

template <class Rules>
Status BasicPreprocessing<Rules>::check_batches() const {
  for (const FinishedBatch& batch : attempts_.batches())
    for (const UnitRange& range : batch.units)
      if (batch.order >= plan_.size() || range.first + range.count > plan_[batch.order].units())
        return fail(
            Code::data_loss,
            "preprocessing {}: its journal has units {} to {} of order {}, which its plan has not: it was begun with "
            "another plan",
            id_.hex(), range.first, range.first + range.count, batch.order);
  return {};
}

/// Units that no finished batch has.
template <class Rules>
std::vector<UnitRange> BasicPreprocessing<Rules>::missing(std::size_t order) const {
  std::vector<UnitRange> there;
  for (const FinishedBatch& batch : attempts_.batches())
    if (batch.order == order) there.insert(there.end(), batch.units.begin(), batch.units.end());
  std::ranges::sort(there, {}, &UnitRange::first);
  std::vector<UnitRange> out;
  std::uint64_t next = 0;
  for (const UnitRange& range : there) {
    if (range.first > next) out.push_back({next, range.first - next});
    next = range.first + range.count;
  }
  if (const std::uint64_t end = plan_[order].units(); next < end) out.push_back({next, end - next});
  return out;
}

/// What was stored of batches that are not finished, or were dropped.
template <class Rules>
runtime::Task<Status> BasicPreprocessing<Rules>::drop_missing() {
  for (std::size_t order = 0; order < plan_.size(); ++order)
    for (const UnitRange& range : missing(order)) co_await runtime::ok(co_await store_.drop(order, range));
  co_return Status{};
}

template <class Rules>
void BasicPreprocessing<Rules>::plan_attempt() {
  batches_.clear();
  next_bits_ = {0, 0};
  next_slice_ = {kFirstSliceNumber, kFirstSliceNumber};
  progress_ = {};
  for (const FinishedBatch& batch : attempts_.batches()) {
    progress_.elements_done += plan_[batch.order].elements_of(batch.units);
    ++progress_.batches_done;
  }
  progress_.elements = progress_.elements_done;
  progress_.batches = progress_.batches_done;
  for (std::size_t order = 0; order < plan_.size(); ++order) plan_order(order);
}

template <class Rules>
void BasicPreprocessing<Rules>::plan_order(std::size_t order) {
  const MaterialOrder& wanted = plan_[order];
  WITAN_CHECK(wanted.word_bits == 64 || wanted.word_bits == 128);
  const std::uint64_t at_once = wanted.units_per_batch(options_.batch_elements);
  std::vector<UnitRange> batch;
  std::uint64_t size = 0;
  for (UnitRange range : missing(order))
    while (range.count > 0) {
      const std::uint64_t taken = std::min(range.count, at_once - size);
      batch.push_back({range.first, taken});
      range = {range.first + taken, range.count - taken};
      size += taken;
      if (size < at_once) continue;
      plan_batch(order, std::exchange(batch, {}));
      size = 0;
    }
  if (!batch.empty()) plan_batch(order, std::move(batch));
}

template <class Rules>
void BasicPreprocessing<Rules>::plan_batch(std::size_t order, std::vector<UnitRange> units) {
  const bool slice = plan_[order].kind == MaterialOrder::Kind::slice;
  std::uint32_t& next = (slice ? next_slice_ : next_bits_)[plan_[order].word_bits == 64 ? 0 : 1];
  WITAN_CHECK(next < (slice ? kEndOfSliceNumbers : kCallSession));
  batches_.push_back({order, std::move(units), static_cast<std::uint16_t>(next++)});
  ++progress_.batches;
  progress_.elements += plan_[order].elements_of(batches_.back().units);
}

template <class Rules>
std::unique_ptr<typename BasicPreprocessing<Rules>::Batch> BasicPreprocessing<Rules>::make(std::size_t index) {
  const Planned& planned = batches_[index];
  if (plan_[planned.order].word_bits == 64) return std::make_unique<BatchOf<mpc::Z64>>(*this, planned);
  return std::make_unique<BatchOf<mpc::Z128>>(*this, planned);
}

template <class Rules>
runtime::Task<Status> BasicPreprocessing<Rules>::run() {
  const bool restarted = co_await runtime::ok(co_await attempts_.open());
  attempt_ = attempts_.number();
  if (attempts_.is_done()) co_return Status{};
  co_await runtime::ok(check_batches());
  co_await runtime::ok(restarted ? co_await next_attempt() : co_await attempts_.begin());
  for (;;) {
    const Status ended = co_await run_attempt();
    if (!ended && (!has_failed(ended.error()) || disputes_.convicted().contains(party_.router.self()))) co_return ended;
    if (ended && callers_.empty()) co_return co_await attempts_.finish();
    co_await runtime::ok(co_await attempts_.leave(disputes_.convicted(), callers_));
    // An attempt that has failed may go on after another one; if none begins, that it has failed is what there is to say.
    const Status next = co_await next_attempt();
    if (!next) co_return !ended && next.error().code == Code::deadline_exceeded ? ended : next;
  }
}

template <class Rules>
runtime::Task<Status> BasicPreprocessing<Rules>::next_attempt() {
  co_await runtime::ok(co_await attempts_.next());
  attempt_ = attempts_.number();
  disputes_ = mpc::Disputes(party_.router.committee());
  for (const Role role : attempts_.convicted()) disputes_.exclude(role, "it was convicted in an earlier attempt");
  for (const Role role : runtime::RoleSet::all(party_.router.committee()) - attempts_.members())
    disputes_.exclude(role, fmt::format("it was not there when attempt {} began", attempts_.number()),
                      mpc::Verdict::Kind::missing);
  plan_attempt();
  co_return co_await drop_missing();
}

/// Ends with success when everything is made, or somebody calls for the next attempt.
template <class Rules>
runtime::Task<Status> BasicPreprocessing<Rules>::run_attempt() {
  const auto exchange = [](Batch& batch) -> runtime::Task<void> {
    batch.exchange_status = co_await batch.exchange();
    batch.exchanged.set();
  };
  const auto store = [](Batch& batch) -> runtime::Task<void> {
    batch.result = co_await batch.finish();
    batch.finished.set();
  };
  callers_ = {};
  std::deque<std::unique_ptr<Batch>> under_way, decided;
  runtime::TaskScope tasks(party_.compute.loop());  // destroyed before the batches
  std::size_t next = 0;
  while ((callers_.empty() && (next < batches_.size() || !under_way.empty())) || !decided.empty()) {
    while (callers_.empty() && next < batches_.size() && under_way.size() < options_.batches_at_once) {
      under_way.push_back(make(next++));
      tasks.spawn(exchange(*under_way.back()));
    }
    if (callers_.empty() && !under_way.empty()) {
      std::unique_ptr<Batch>& batch = under_way.front();
      co_await batch->exchanged.wait();
      co_await runtime::ok(batch->exchange_status);
      const auto outcome = co_await runtime::ok(co_await batch->decide());
      callers_ = outcome.callers;
      if (!callers_.empty()) continue;
      if (!outcome.spoiled.empty()) plan_batch(batches_[next - under_way.size()].order, outcome.spoiled);
      tasks.spawn(store(*batch));
      decided.push_back(std::move(batch));
      under_way.pop_front();
    }
    // Others do not wait for what this party fetches and stores, as long as that is not much.
    const bool last = !callers_.empty() || (under_way.empty() && next == batches_.size());
    while (!decided.empty() &&
           (decided.front()->finished.is_set() || decided.size() > options_.batches_at_once || last)) {
      Batch& batch = *decided.front();
      co_await batch.finished.wait();
      co_await runtime::ok(co_await attempts_.finished(co_await runtime::ok(std::move(batch.result))));
      report_ += batch.report();
      ++progress_.batches_done;
      progress_.elements_done += batch.elements();
      decided.pop_front();
    }
  }
  co_return Status{};
}

}  // namespace witan::protocols
