// Definitions of BasicKeyGeneration, for the instantiation in key_generation.cc and those of tests with other rules.
#pragma once

#include <algorithm>
#include <deque>

#include "base/codec.h"
#include "crypto/separators.h"
#include "mpc/detected_opening_impl.h"
#include "mpc/open_impl.h"
#include "protocols/key_generation.h"

namespace witan::protocols {

/// Elements in one message of bodies, and messages under way at once.
inline constexpr std::size_t kBodyChunkElements = 1u << 14, kBodyChunksAtOnce = 4;

/// A slice whose differences are open.
template <class Rules>
template <class Z>
struct BasicKeyGeneration<Rules>::LoadedSlice {
  std::shared_ptr<const mpc::ProductSlice<Z>> slice;
  std::vector<Gr<Z>> opened;  // its elements
  ProductSlicePlan plan;
  SliceDifferences<Z> differences;
};

template <class Rules>
template <class Z>
struct BasicKeyGeneration<Rules>::Chunk {
  explicit Chunk(runtime::Loop& loop) : opened(loop) {}
  runtime::Event opened;
  Result<std::vector<Gr<Z>>> values = fail(Code::internal, "not opened yet");
};

template <class Rules>
BasicKeyGeneration<Rules>::BasicKeyGeneration(KeyGenerationParty party, KeyGenerationJob job)
    : party_(party),
      job_(std::move(job)),
      layout_(job_.plan),
      session_id_(crypto::session_id(job_.key.bytes(), crypto::SessionKind::keygen, 0, 0)),
      slices_64_(job_.plan.components.size()),
      slices_128_(job_.plan.components.size()) {
  for (const ComponentPlan& component : job_.plan.components) progress_.elements += component.elements();
  check_keys();
}

template <class Rules>
BasicKeyGeneration<Rules>::~BasicKeyGeneration() = default;

template <class Rules>
runtime::Task<Result<GeneratedKey>> BasicKeyGeneration<Rules>::run(runtime::Duration patience) {
  using runtime::ok;
  patience_ = patience;
  runtime::SessionOptions options{.lane = runtime::Lane::bulk, .reopen = true};
  if (Rules::journal_before_sending && co_await ok(co_await bind())) options.resend_after = {};
  session_ = co_await ok(party_.router.open(session_id_, options));
  if (Rules::agree_first) co_await ok(co_await agree());
  co_await ok(co_await take_keys());
  const u128 seed = co_await ok(co_await open_seed_and_differences());
  assembly_ = std::make_unique<KeySetAssembly>(job_.plan.params, seed, job_.options);
  for (std::size_t i = 0; i < job_.plan.components.size(); ++i) {
    if (job_.plan.components[i].ring() == Ring::gr64)
      co_await ok(co_await bodies<Z64>(i));
    else
      co_await ok(co_await bodies<Z128>(i));
  }
  co_return GeneratedKey{std::move(shares_), assembly_->take()};
}

/// D: whoever has another one would compute other bodies with the same noises.
template <class Rules>
crypto::Digest BasicKeyGeneration<Rules>::digest() const {
  Writer out;
  out.raw(session_id_.bytes()).id(job_.preprocessing).raw(job_.material).id(job_.key);
  out.text(job_.plan.params.name).u8(static_cast<std::uint8_t>(job_.plan.source));
  out.u8(static_cast<std::uint8_t>(job_.source)).raw(job_.configuration);
  out.bytes(job_.options.tag).u64(job_.options.max_degree);
  return crypto::tagged_hash(crypto::separators::kAgreement, out.view());
}

/// True: it was bound before, and goes on after a restart.
template <class Rules>
runtime::Task<Result<bool>> BasicKeyGeneration<Rules>::bind() {
  const auto id = session_id_.bytes();
  const Bytes key(id.begin(), id.end());
  const crypto::Digest mine = digest();
  std::vector<runtime::Change> changes;
  changes.push_back({runtime::Change::Kind::put_new, kKeyGenerationsTable, key, Bytes(mine.begin(), mine.end())});
  Status bound = co_await party_.journal.commit(std::move(changes));
  if (bound) co_return false;
  if (bound.error().code != Code::already_exists) co_return fail(std::move(bound).error());
  const auto stored = co_await runtime::ok(party_.journal.get(kKeyGenerationsTable, key));
  if (!stored || !std::ranges::equal(*stored, mine))
    co_return fail(Code::already_exists, "key {}: its session was used for another preprocessing or configuration",
                   job_.key.hex());
  co_return true;
}

template <class Rules>
runtime::Task<Status> BasicKeyGeneration<Rules>::agree() {
  const runtime::Instant deadline = party_.compute.loop().after(patience_);
  const crypto::Digest mine = digest();
  co_await runtime::ok(session_->send_all(kKeyAgree, runtime::make_payload(Bytes(mine.begin(), mine.end()))));
  const CommitteeSize committee = session_->committee();
  int equal = 1;
  while (equal < committee.parties() - committee.threshold()) {
    auto message = co_await session_->next(kKeyAgree, deadline);
    if (!message && message.error().code == Code::out_of_range)
      co_return fail(
          Code::aborted,
          "aborted: key {}: {} parties have the same preprocessing and configuration as this one, {} are needed",
          job_.key.hex(), equal, committee.parties() - committee.threshold());
    if (!message) co_return fail(std::move(message).error().within("waiting for parties that make the same key"));
    if (std::ranges::equal(message->bytes(), mine))
      ++equal;
    else
      liars_.insert(message->from);
  }
  co_return Status{};
}

template <class Rules>
void BasicKeyGeneration<Rules>::check_keys() const {
  for (std::size_t k = 0; k < tfhe::kKeyNames; ++k) {
    const auto key = static_cast<tfhe::KeyName>(k);
    const std::size_t bits = tfhe::key_bits(job_.plan.params, key);
    if (bits == 0) continue;
    if (makes(job_.source, key))
      WITAN_CHECK(makes(job_.plan.source, key));
    else
      WITAN_CHECK(party_.existing && party_.existing->of(key).size() == bits);
  }
}

template <class Rules>
void BasicKeyGeneration<Rules>::take_existing_keys() {
  for (std::size_t k = 0; k < tfhe::kKeyNames; ++k) {
    if (makes(job_.source, static_cast<tfhe::KeyName>(k))) continue;
    const SharedKey& key = party_.existing->keys[k];
    SecretShares<Z128> shares{std::vector<Share<Z128>>(key.size())};
    for (std::size_t i = 0; i < key.size(); ++i) shares.reveal_mutable()[i] = key.at(i);
    shares_.keys[k] = SharedKey(shares.reveal());
  }
}

template <class Rules>
runtime::Task<Status> BasicKeyGeneration<Rules>::take_keys() {
  if (party_.existing) take_existing_keys();
  if (!std::ranges::any_of(job_.plan.key_bits, [this](const KeyBits& key) { return makes(job_.source, key.key); }))
    co_return Status{};
  const MaterialOrder& order = layout_.orders[*layout_.bits];
  const Secret<Bytes> content = co_await runtime::ok(co_await party_.material.get(*layout_.bits, 0, order.units()));
  if (content.reveal().size() != order.count * sizeof(Share<Z128>))
    co_return fail(Code::data_loss, "key {}: the bits of its preprocessing have {} bytes, expected {}", job_.key.hex(),
                   content.reveal().size(), order.count * sizeof(Share<Z128>));
  std::size_t at = 0;
  for (const KeyBits& key : job_.plan.key_bits) {
    SecretShares<Z128> shares{std::vector<Share<Z128>>(static_cast<std::size_t>(key.count))};
    const std::size_t bytes = shares.reveal().size() * sizeof(Share<Z128>);
    std::memcpy(shares.reveal_mutable().data(), content.reveal().data() + at, bytes);
    at += bytes;
    if (makes(job_.source, key.key)) shares_.keys[static_cast<std::size_t>(key.key)] = SharedKey(shares.reveal());
  }
  co_return Status{};
}

template <class Rules>
template <class Z>
auto BasicKeyGeneration<Rules>::load_slices(std::size_t component) -> runtime::Task<Result<Slices<Z>>> {
  Slices<Z> out;
  for (std::size_t i = 0; i < layout_.slices[component].size(); ++i) {
    const std::size_t order = layout_.slices[component][i];
    const ProductSlicePlan& plan = job_.plan.components[component].slices[i];
    const SessionId session = co_await runtime::ok(party_.material.session(order));
    const Secret<Bytes> content = co_await runtime::ok(co_await party_.material.get(order, 0, 1));
    if (content.reveal().size() != layout_.orders[order].unit_bytes())
      co_return fail(Code::data_loss, "key {}: slice {} of its preprocessing has {} bytes, expected {}", job_.key.hex(),
                     order, content.reveal().size(), layout_.orders[order].unit_bytes());
    auto loaded = std::make_shared<LoadedSlice<Z>>();
    loaded->slice = std::make_shared<const mpc::ProductSlice<Z>>(
        std::make_shared<const mpc::BitKernel<Z>>(party_.keys.set_keys(), party_.keys.zero_keys(), session),
        plan.inputs, plan.outputs);
    loaded->plan = plan;
    loaded->opened.resize(loaded->slice->elements());
    std::memcpy(loaded->opened.data(), content.reveal().data(), content.reveal().size());
    out.push_back(std::move(loaded));
  }
  co_return out;
}

/// Appends this party's shares of the differences of all slices of that ring.
template <class Rules>
template <class Z>
runtime::Task<Status> BasicKeyGeneration<Rules>::load_all_slices(std::vector<Share<Z>>& differences) {
  auto& all = [this]() -> auto& {
    if constexpr (sizeof(Z) == 8)
      return slices_64_;
    else
      return slices_128_;
  }();
  for (std::size_t i = 0; i < all.size(); ++i) {
    const ComponentPlan& plan = job_.plan.components[i];
    if (plan.ring() != (sizeof(Z) == 8 ? Ring::gr64 : Ring::gr128) || plan.slices.empty()) continue;
    all[i] = co_await runtime::ok(co_await load_slices<Z>(i));
    const auto input = key_in_ring<Z>(shares_.of(*plan.component.input)),
               under = key_in_ring<Z>(shares_.of(plan.component.under));
    for (const auto& loaded : all[i]) {
      const SliceShares<Z> slice{loaded->slice->x(), loaded->slice->y(), {}};
      const auto outputs = std::span(under.reveal()).subspan(loaded->plan.first_output, loaded->plan.outputs);
      const auto shares = difference_shares<Z>(input.reveal(), outputs, slice);
      differences.insert(differences.end(), shares.reveal().begin(), shares.reveal().end());
    }
  }
  co_return Status{};
}

template <class Rules>
template <class Z>
Status BasicKeyGeneration<Rules>::take_differences(std::span<const Gr<Z>> opened) {
  const auto take = [&](auto& all) -> Status {
    for (auto& slices : all)
      for (auto& loaded : slices) {
        const std::size_t count = (loaded->plan.inputs + 3) / 4 + loaded->plan.outputs / 4;
        WITAN_ASSIGN(loaded->differences,
                     SliceDifferences<Z>::from_opened(opened.first(count), loaded->plan.inputs, loaded->plan.outputs));
        opened = opened.subspan(count);
      }
    return {};
  };
  if constexpr (sizeof(Z) == 8)
    return take(slices_64_);
  else
    return take(slices_128_);
}

template <class Rules>
runtime::Task<Result<u128>> BasicKeyGeneration<Rules>::open_seed_and_differences() {
  using runtime::ok;
  std::vector<Share<Z128>> of_128{mpc::Prss<Z128>(party_.keys.set_keys(), session_id_).random(0)};
  std::vector<Share<Z64>> of_64;
  co_await ok(co_await load_all_slices<Z128>(of_128));
  co_await ok(co_await load_all_slices<Z64>(of_64));
  const bool any_64 = !of_64.empty();
  // The seed comes first.
  const auto opened_128 = co_await ok(co_await open<Z128>(kKeySeed, std::move(of_128)));
  co_await ok(take_differences<Z128>(std::span(opened_128).subspan(1)));
  if (any_64) {
    const auto opened_64 = co_await ok(co_await open<Z64>(kKeyDifferences64, std::move(of_64)));
    co_await ok(take_differences<Z64>(opened_64));
  }
  co_return public_seed_of(opened_128.front());
}

/// At degree t, to everybody; there is no other opening here (S34).
template <class Rules>
template <class Z>
auto BasicKeyGeneration<Rules>::open(runtime::Step step, std::vector<Share<Z>> shares)
    -> runtime::Task<Result<std::vector<Gr<Z>>>> {
  Bytes message;
  mpc::append_shares<Z>(message, shares);
  mpc::RobustOpening<Z, Rules> opening(*session_, party_.compute, step, {}, std::move(shares),
                                       runtime::Work::preprocessing);
  co_await runtime::ok(session_->send_all(step, runtime::make_payload(std::move(message))));
  auto values = co_await runtime::ok(co_await opening.accept(party_.compute.loop().after(patience_)));
  // What comes later is not needed. Kept, the bodies of a slow party would fill what the router holds of it, and when another one
  // falls silent it would have to refuse those that it waits for.
  session_->release_received(step);
  liars_ = liars_ | opening.report().lied;
  co_return values;
}

template <class Rules>
template <class Z>
auto BasicKeyGeneration<Rules>::chunk(std::size_t component, RowRange rows, std::shared_ptr<const BodyRows<Z>> kernel,
                                      runtime::Step step) -> runtime::Task<Result<std::vector<Gr<Z>>>> {
  const tfhe::Component& of = job_.plan.components[component].component;
  const ElementRange elements = elements_of(of, rows);
  auto noises = std::make_shared<Secret<Bytes>>(
      co_await runtime::ok(co_await party_.material.get(layout_.noises[component], elements.first, elements.count)));
  if (noises->reveal().size() != elements.count * sizeof(Share<Z>))
    co_return fail(Code::data_loss, "key {}: the noises of {} have {} bytes from {} on, expected {}", job_.key.hex(),
                   tfhe::to_string(of.kind), noises->reveal().size(), elements.first,
                   elements.count * sizeof(Share<Z>));
  Slices<Z> slices;
  if constexpr (sizeof(Z) == 8)
    slices = slices_64_[component];
  else
    slices = slices_128_[component];

  auto out = std::make_shared<SecretShares<Z>>(std::vector<Share<Z>>(static_cast<std::size_t>(elements.count)));
  const auto make = [out, kernel, noises, slices, elements, rows](std::size_t from, std::size_t to) -> Status {
    const tfhe::Component& shape = kernel->component();
    const RowRange piece{rows.first + from, to - from};
    const ElementRange places = elements_of(shape, piece);
    SecretShares<Z> noise{std::vector<Share<Z>>(static_cast<std::size_t>(places.count))}, products;
    std::memcpy(noise.reveal_mutable().data(),
                noises->reveal().data() + (places.first - elements.first) * sizeof(Share<Z>),
                noise.reveal().size() * sizeof(Share<Z>));
    if (!slices.empty()) {
      const RowRange inputs = inputs_of(shape, piece);
      const std::size_t stride = shape.mask_words() / 4;
      products = SecretShares<Z>(std::vector<Share<Z>>(inputs.count * stride));
      for (const auto& loaded : slices) {
        const std::size_t per_input = loaded->plan.outputs / 4;
        const std::size_t first = inputs.first * per_input, count = inputs.count * per_input;
        SecretShares<Z> z{std::vector<Share<Z>>(count)};
        WITAN_TRY(loaded->slice->products(first, std::span(loaded->opened).subspan(first, count), z.reveal_mutable()));
        multiply_slice<Z>({loaded->slice->x(), loaded->slice->y(), z.reveal()}, loaded->differences, inputs.first,
                          inputs.count, std::span(products.reveal_mutable()).subspan(loaded->plan.first_output / 4),
                          stride);
      }
    }
    const auto shares = kernel->compute(piece, {.noises = noise.reveal(), .products = products.reveal()});
    std::ranges::copy(shares.reveal(),
                      out->reveal_mutable().begin() + static_cast<std::ptrdiff_t>(places.first - elements.first));
    return {};
  };
  co_await runtime::ok(co_await mpc::detection::in_pieces(party_.compute, rows.count, rows_per_kernel(of), make));
  co_return co_await open<Z>(step, out->reveal());
}

template <class Rules>
template <class Z>
runtime::Task<Status> BasicKeyGeneration<Rules>::bodies(std::size_t index) {
  const tfhe::Component& component = job_.plan.components[index].component;
  const tfhe::MaskReader mask(
      {assembly_->mask_seed(), tfhe::StreamPosition::from_bytes(component.stream_offset_bytes)});
  const auto under = key_in_ring<Z>(shares_.of(component.under));
  const auto input = component.input ? key_in_ring<Z>(shares_.of(*component.input)) : SecretShares<Z>{};
  const auto kernel = std::make_shared<const BodyRows<Z>>(component, mask, under.reveal(), input.reveal());

  // Whole kernels, about kBodyChunkElements.
  const std::size_t per_kernel = rows_per_kernel(component);
  const std::size_t elements = std::max<std::size_t>(1, per_kernel * component.body_words() / 4);
  const std::size_t rows_at_once = per_kernel * std::max<std::size_t>(1, kBodyChunkElements / elements);
  const auto one = [this](std::size_t of, RowRange rows, std::shared_ptr<const BodyRows<Z>> with, runtime::Step step,
                          std::shared_ptr<Chunk<Z>> into) -> runtime::Task<void> {
    into->values = co_await chunk<Z>(of, rows, std::move(with), step);
    into->opened.set();
  };
  std::deque<std::shared_ptr<Chunk<Z>>> under_way;
  runtime::TaskScope chunks(party_.compute.loop());
  std::size_t next = 0;
  while (next < component.rows || !under_way.empty()) {
    while (next < component.rows && under_way.size() < kBodyChunksAtOnce) {
      const RowRange rows{next, std::min(rows_at_once, component.rows - next)};
      next += rows.count;
      under_way.push_back(std::make_shared<Chunk<Z>>(party_.compute.loop()));
      chunks.spawn(one(index, rows, kernel, next_step_++, under_way.back()));
    }
    Chunk<Z>& first = *under_way.front();
    co_await first.opened.wait();
    const std::vector<Gr<Z>> opened = co_await runtime::ok(std::move(first.values));
    co_await runtime::ok(assembly_->add<Z>(index, opened));
    progress_.elements_done += opened.size();
    under_way.pop_front();
  }
  slices_64_[index].clear();
  slices_128_[index].clear();
  co_return Status{};
}

}  // namespace witan::protocols
