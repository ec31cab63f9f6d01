// Definitions of DetectedOpening, for the instantiations in detected_opening.cc and those of tests with other rules.
#pragma once

#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <optional>
#include <utility>

#include "algebra/parity.h"
#include "base/codec.h"
#include "crypto/separators.h"
#include "mpc/detected_opening.h"
#include "mpc/open.h"
#include "runtime/scope.h"

namespace witan::mpc {

namespace detection {

/// As many rounds until a session without n-t parties ends.
inline constexpr int kGoneAfter = 4;

/// a * alpha of that party: additions only.
template <Word Z>
Gr<Z> times_point(const Gr<Z>& a, Role party) {
  Gr<Z> power = a, out;
  for (int bits = party.number(); bits != 0; bits >>= 1, power = power.times_x())
    if (bits & 1) out += power;
  return out;
}

/// sum_e values[e] alpha^e.
template <Word Z>
Gr<Z> at_point(std::span<const Gr<Z>> values, Role party) {
  Gr<Z> out;
  for (std::size_t e = values.size(); e-- > 0;) out = times_point(out, party) + values[e];
  return out;
}

/// Row e: the weights of the values at those points in coefficient e of the polynomial through them.
template <Word Z>
std::vector<std::vector<Gr<Z>>> coefficient_weights(std::span<const Role> roles) {
  const std::size_t count = roles.size();
  std::vector<std::vector<Gr<Z>>> out(count, std::vector<Gr<Z>>(count));
  for (std::size_t i = 0; i < count; ++i) {
    std::vector<Gr<Z>> product{Gr<Z>::one()};  // of (X - alpha_j), j != i
    Gr<Z> denominator = Gr<Z>::one();
    for (std::size_t j = 0; j < count; ++j) {
      if (j == i) continue;
      const Gr<Z> point = algebra::evaluation_point<Z>(roles[j]);
      denominator = denominator * (algebra::evaluation_point<Z>(roles[i]) - point);
      product.push_back({});
      for (std::size_t e = product.size(); e-- > 0;)
        product[e] = (e > 0 ? product[e - 1] : Gr<Z>{}) - product[e] * point;
    }
    const Gr<Z> inverse = algebra::inverse(denominator);
    for (std::size_t e = 0; e < count; ++e) out[e][i] = product[e] * inverse;
  }
  return out;
}

template <Word Z>
std::vector<Gr<Z>> read_rows(ByteView bytes, std::size_t first, std::size_t count) {
  std::vector<Gr<Z>> out(count);
  std::memcpy(out.data(), bytes.data() + first * sizeof(Gr<Z>), count * sizeof(Gr<Z>));
  return out;
}

/// Runs kernel(first, last) for pieces of 0 .. count on the pool. The kernel owns what it touches. Error: the first one.
inline runtime::Task<Status> in_pieces(runtime::Compute& compute, std::size_t count, std::size_t piece,
                                       std::function<Status(std::size_t, std::size_t)> kernel) {
  const auto one = [](runtime::Compute& pool, std::function<Status()> job) -> runtime::Task<Status> {
    co_return co_await pool(runtime::Work::preprocessing, std::move(job));
  };
  std::vector<runtime::Task<Status>> tasks;
  for (std::size_t first = 0; first < count; first += piece)
    tasks.push_back(
        one(compute, [kernel, first, last = std::min(count, first + piece)] { return kernel(first, last); }));
  for (Status& done : co_await runtime::when_all(std::move(tasks)))
    if (!done) co_return std::move(done);
  co_return Status{};
}

/// Rows that are checked or made in about a millisecond.
inline std::size_t piece_rows(CommitteeSize committee) {
  const auto n = static_cast<std::size_t>(committee.parties());
  return std::max<std::size_t>(64, 32'768 / (n * n));
}

}  // namespace detection

template <Word Z, class Rules>
struct DetectedOpening<Z, Rules>::Data {
  std::shared_ptr<Disposable<Z>> batch;
  Secret<std::vector<Share<Z>>> own;        // by element
  Secret<std::vector<Gr<Z>>> own_combined;  // W2, by group: own share of y_self
  /// messages[phase - 1][chunk][role]: as they came; null if nothing came.
  std::array<std::vector<std::vector<runtime::Payload>>, 2> messages;
  std::array<std::vector<std::uint8_t>, 2> bad;  // [phase - 1][row]
  std::vector<Gr<Z>> combined;                   // W2, by group: y_self, zero where it is bottom
  std::vector<Gr<Z>> values;                     // by element
  std::vector<std::uint8_t> discarded;           // by row
};

template <Word Z, class Rules>
DetectedOpening<Z, Rules>::DetectedOpening(runtime::Session& session, runtime::Compute& compute, const EpochKeys& keys,
                                           const Disputes& disputes, std::shared_ptr<Disposable<Z>> batch,
                                           DetectionOptions options)
    : session_(session),
      compute_(compute),
      keys_(keys),
      disputes_(disputes),
      options_(options),
      committee_(session.committee()),
      self_(session.self()),
      data_(std::make_shared<Data>()) {
  data_->batch = std::move(batch);
  WITAN_CHECK(data_->batch->elements() > 0 && options_.chunk_rows > 0 && chunk_count() <= kMaxChunks);
  const std::size_t parties = static_cast<std::size_t>(committee_.parties());
  data_->own = Secret<std::vector<Share<Z>>>(std::vector<Share<Z>>(data_->batch->elements()));
  for (auto& phase : data_->messages) phase.assign(chunk_count(), std::vector<runtime::Payload>(parties));
  for (auto& phase : data_->bad) phase.resize(rows());
  data_->values.resize(data_->batch->elements());
  data_->discarded.resize(rows());
  if (options_.variant == OpeningVariant::w2) {
    data_->own_combined = Secret<std::vector<Gr<Z>>>(std::vector<Gr<Z>>(rows()));
    data_->combined.resize(rows());
  }
}

template <Word Z, class Rules>
DetectedOpening<Z, Rules>::~DetectedOpening() = default;

// Elements, rows, chunks.

template <Word Z, class Rules>
std::size_t DetectedOpening<Z, Rules>::group() const {
  return options_.variant == OpeningVariant::w1
             ? 1
             : static_cast<std::size_t>(committee_.parties() - committee_.threshold());
}

template <Word Z, class Rules>
std::size_t DetectedOpening<Z, Rules>::rows() const {
  return (data_->batch->elements() + group() - 1) / group();
}

template <Word Z, class Rules>
std::size_t DetectedOpening<Z, Rules>::chunk_count() const {
  return (rows() + options_.chunk_rows - 1) / options_.chunk_rows;
}

template <Word Z, class Rules>
std::size_t DetectedOpening<Z, Rules>::rows_in(std::size_t chunk) const {
  return std::min(options_.chunk_rows, rows() - chunk * options_.chunk_rows);
}

template <Word Z, class Rules>
std::vector<std::size_t> DetectedOpening<Z, Rules>::elements_of(std::size_t row) const {
  std::vector<std::size_t> out;
  for (std::size_t e = row * group(); e < std::min((row + 1) * group(), data_->batch->elements()); ++e)
    out.push_back(e);
  return out;
}

// Exchange.

template <Word Z, class Rules>
runtime::Task<Status> DetectedOpening<Z, Rules>::exchange() {
  for (std::size_t chunk = 0; chunk < chunk_count(); ++chunk) co_await runtime::ok(co_await produce(chunk));
  co_await runtime::ok(co_await collect(kPhase1, 1));
  co_await runtime::ok(co_await check_rows(1));
  // What the decide will say in the good case is made here, beside the exchanges of other batches.
  if (options_.variant == OpeningVariant::w1 && !first_bad()) co_await digest();
  co_return Status{};
}

template <Word Z, class Rules>
runtime::Task<Status> DetectedOpening<Z, Rules>::produce(std::size_t chunk) {
  const std::size_t first = chunk * options_.chunk_rows, count = rows_in(chunk), size = group();
  const std::size_t elements = data_->batch->elements(), parties = static_cast<std::size_t>(committee_.parties());
  const bool combine = options_.variant == OpeningVariant::w2;
  auto out = std::make_shared<std::vector<Bytes>>(combine ? parties : 1);
  for (Bytes& message : *out) message.resize(count * sizeof(Gr<Z>));

  const auto make = [data = data_, out, first, size, elements, combine, self = self_](std::size_t from,
                                                                                      std::size_t to) -> Status {
    const std::size_t e0 = (first + from) * size, e1 = std::min(elements, (first + to) * size);
    const std::span<Share<Z>> own = std::span(data->own.reveal_mutable()).subspan(e0, e1 - e0);
    WITAN_TRY(data->batch->prepare(e0, own));
    std::vector<Gr<Z>> shares;
    for (const Share<Z>& share : own) shares.push_back(share.value);
    for (std::size_t row = from; row < to; ++row) {
      const std::size_t begin = (row - from) * size, end = std::min(shares.size(), begin + size);
      const auto of_row = std::span<const Gr<Z>>(shares).subspan(begin, end - begin);
      for (std::size_t i = 0; i < out->size(); ++i) {
        const Gr<Z> share = combine ? detection::at_point<Z>(of_row, Role(static_cast<int>(i) + 1)) : of_row[0];
        if (combine && i == self.index()) data->own_combined.reveal_mutable()[first + row] = share;
        share.encode((*out)[i].data() + row * sizeof(Gr<Z>));
      }
    }
    wipe(shares.data(), shares.size() * sizeof(Gr<Z>));
    return {};
  };
  co_await runtime::ok(
      co_await detection::in_pieces(compute_, count, detection::piece_rows(committee_) / size + 1, make));
  const auto step = kPhase1 + static_cast<runtime::Step>(chunk);
  if (!combine) co_return session_.send_all(step, runtime::make_payload(std::move(out->front())));
  for (const Role to : runtime::RoleSet::others(committee_, self_))
    co_await runtime::ok(session_.send(to, step, runtime::make_payload(std::move((*out)[to.index()]))));
  co_return Status{};
}

/// y_self of every group, after a bit map of those that are bottom.
template <Word Z, class Rules>
runtime::Task<Status> DetectedOpening<Z, Rules>::send_phase_2(std::uint32_t pass) {
  for (std::size_t chunk = 0; chunk < chunk_count(); ++chunk) {
    const std::size_t first = chunk * options_.chunk_rows, count = rows_in(chunk), map = (count + 7) / 8;
    Bytes message(map + count * sizeof(Gr<Z>));
    for (std::size_t row = 0; row < count; ++row) {
      if (data_->bad[0][first + row])
        message[row / 8] = static_cast<std::uint8_t>(message[row / 8] | 1u << row % 8);
      else
        data_->combined[first + row].encode(message.data() + map + row * sizeof(Gr<Z>));
    }
    co_await runtime::ok(session_.send_all(phase_2_step(pass) + static_cast<runtime::Step>(chunk),
                                           runtime::make_payload(std::move(message))));
  }
  co_return Status{};
}

/// Who has sent what of one exchange.
template <Word Z, class Rules>
struct DetectedOpening<Z, Rules>::Collection {
  std::size_t open_chunks;
  std::vector<std::size_t> chunks_of;  // by role: that have come
  runtime::RoleSet complete;           // all of theirs have come, or there is nothing to come: this party's
  bool cancelled = false;
};

template <Word Z, class Rules>
runtime::Task<void> DetectedOpening<Z, Rules>::collect_chunk(runtime::Step step,
                                                             std::vector<runtime::Payload>& messages, Collection& all,
                                                             runtime::Event& news) {
  runtime::RoleSet awaited = disputes_.active();
  awaited.erase(self_);
  while (!awaited.empty()) {
    auto message = co_await session_.next(step, awaited);
    if (!message) {  // closed, or those that are left do not keep the message any more
      all.cancelled = all.cancelled || message.error().code == Code::cancelled;
      break;
    }
    messages[message->from.index()] = message->payload;
    awaited.erase(message->from);
    if (++all.chunks_of[message->from.index()] < chunk_count()) continue;
    all.complete.insert(message->from);
    news.set();
  }
  --all.open_chunks;
  news.set();
}

/// All chunks at once, so that each is asked for whatever becomes of the others. Waiting counts from the moment on at which n-t parties have
/// sent everything; before that nothing can be decided anyway.
template <Word Z, class Rules>
runtime::Task<Status> DetectedOpening<Z, Rules>::collect(runtime::Step first_step, std::size_t phase) {
  const int enough = committee_.parties() - committee_.threshold();
  Collection all{.open_chunks = chunk_count(),
                 .chunks_of = std::vector<std::size_t>(static_cast<std::size_t>(committee_.parties())),
                 .complete = runtime::RoleSet{self_}};
  runtime::Event news(session_.loop());
  runtime::TaskScope receiving(session_.loop());  // destroyed first
  for (std::size_t chunk = 0; chunk < chunk_count(); ++chunk) {
    std::vector<runtime::Payload>& messages = data_->messages[phase - 1][chunk];
    for (runtime::Payload& message : messages) message = nullptr;
    receiving.spawn(collect_chunk(first_step + static_cast<runtime::Step>(chunk), messages, all, news));
  }
  bool counts = false;
  runtime::Instant deadline = session_.loop().after(detection::kGoneAfter * patience().round);
  while (all.open_chunks > 0 && !all.cancelled) {
    if (!counts && all.complete.size() >= enough) {
      counts = true;
      deadline = session_.loop().after(phase == 1 ? patience().exchange : patience().phase_2);
    }
    news.reset();
    if (co_await news.wait(deadline) == runtime::Wake::timed_out) break;
  }
  if (all.cancelled) co_return fail(Code::cancelled, "session {}: closed", session_.id().hex());
  if (all.complete.size() < enough)  // more than t are gone
    co_return fail(Code::aborted, "aborted: session {}: {} of {} parties have sent steps {} to {}, {} are needed",
                   session_.id().hex(), all.complete.size(), committee_.parties(), first_step,
                   first_step + static_cast<runtime::Step>(chunk_count() - 1), enough);
  co_return Status{};
}

// Check.

/// Phase 1: every row is a word of degree 2t; its value is an element (W1) or y_self (W2). Phase 2: every row is a word of degree
/// l-1; its coefficients are the elements of the group.
template <Word Z, class Rules>
runtime::Task<Status> DetectedOpening<Z, Rules>::check_rows(std::size_t phase) {
  const bool combine = options_.variant == OpeningVariant::w2;
  const auto t = static_cast<std::size_t>(committee_.threshold());
  const std::size_t dimension = phase == 1 ? 2 * t + 1 : group();
  Roles partners;
  for (const Role role : disputes_.partners(self_)) partners.push_back(role);
  const std::size_t version = disputes_.version();  // another batch may change it meanwhile
  digest_.reset();
  const auto kernel = [data = data_, partners, dimension, phase, combine, self = self_, size = group(),
                       chunk_rows = options_.chunk_rows,
                       all_rows = rows()](std::size_t from, std::size_t to) -> Status {
    const std::size_t chunk = from / chunk_rows, at = from - chunk * chunk_rows, count = to - from;
    const std::size_t map = phase == 1 ? 0 : (std::min(chunk_rows, all_rows - chunk * chunk_rows) + 7) / 8;
    const std::size_t whole = map + std::min(chunk_rows, all_rows - chunk * chunk_rows) * sizeof(Gr<Z>);
    std::vector<std::uint8_t>& bad = data->bad[phase - 1];
    std::fill(bad.begin() + static_cast<std::ptrdiff_t>(from), bad.begin() + static_cast<std::ptrdiff_t>(to),
              std::uint8_t{0});
    const auto all_bad = [&]() -> Status {
      std::fill(bad.begin() + static_cast<std::ptrdiff_t>(from), bad.begin() + static_cast<std::ptrdiff_t>(to),
                std::uint8_t{1});
      return {};
    };

    Roles roles;
    std::vector<std::vector<Gr<Z>>> words;
    for (const Role role : partners) {
      std::vector<Gr<Z>> word(count);
      if (role == self) {
        for (std::size_t row = 0; row < count; ++row) {
          if (phase == 2)
            word[row] = data->combined[from + row];
          else
            word[row] = combine ? data->own_combined.reveal()[from + row] : data->own.reveal()[from + row].value;
        }
        for (std::size_t row = 0; phase == 2 && row < count; ++row)
          if (data->bad[0][from + row]) bad[from + row] = 1;
      } else {
        const runtime::Payload& message = data->messages[phase - 1][chunk][role.index()];
        if (!message || message->size() != whole) return all_bad();
        word = detection::read_rows<Z>(ByteView(*message).subspan(map), at, count);
        for (std::size_t row = 0; phase == 2 && row < count; ++row)
          if ((*message)[(at + row) / 8] >> (at + row) % 8 & 1) bad[from + row] = 1;
      }
      roles.push_back(role);
      words.push_back(std::move(word));
    }
    if (roles.size() < dimension) return all_bad();

    std::vector<std::span<const Gr<Z>>> views(words.begin(), words.end());
    const auto checks = algebra::parity_checks<Z>(dimension, roles);
    const auto weights = phase == 2 ? detection::coefficient_weights<Z>(std::span(roles).first(dimension))
                                    : std::vector<std::vector<Gr<Z>>>{};
    std::size_t row = 0;
    while (row < count) {
      const std::size_t stop = checks->first_bad_row(views, row);
      for (; row < std::min(stop, count); ++row) {
        if (phase == 1) {
          (combine ? data->combined : data->values)[from + row] = checks->secret(views, row);
          continue;
        }
        const std::size_t first = (from + row) * size, last = std::min(first + size, data->values.size());
        for (std::size_t e = first; e < last; ++e)
          data->values[e] = algebra::combine<Z>(weights[e - first], std::span(views).first(dimension), row);
      }
      if (row < count) bad[from + row++] = 1;
    }
    for (row = from; phase == 1 && combine && row < to; ++row)
      if (bad[row]) data->combined[row] = {};
    return {};
  };
  // Pieces within chunks: a chunk that did not come from somebody is bad as a whole.
  const std::size_t piece = detection::piece_rows(committee_);
  for (std::size_t chunk = 0; chunk < chunk_count(); ++chunk) {
    const std::size_t first = chunk * options_.chunk_rows;
    const auto shifted = [kernel, first](std::size_t from, std::size_t to) { return kernel(first + from, first + to); };
    co_await runtime::ok(co_await detection::in_pieces(compute_, rows_in(chunk), piece, shifted));
  }
  if (phase == 1) checked_version_ = version;
  co_return Status{};
}

/// Under the state of the disputes at this place of the sequence.
template <Word Z, class Rules>
runtime::Task<Status> DetectedOpening<Z, Rules>::check(std::uint32_t pass) {
  if (disputes_.version() != checked_version_) co_await runtime::ok(co_await check_rows(1));
  if (options_.variant == OpeningVariant::w2) {
    co_await runtime::ok(co_await send_phase_2(pass));
    co_await runtime::ok(co_await collect(phase_2_step(pass), 2));
    co_await runtime::ok(co_await check_rows(2));
  }
  if (!first_bad()) co_await digest();
  co_return Status{};
}

template <Word Z, class Rules>
std::optional<typename DetectedOpening<Z, Rules>::BadRow> DetectedOpening<Z, Rules>::first_bad() const {
  const bool combine = options_.variant == OpeningVariant::w2;
  for (std::size_t row = 0; row < rows(); ++row) {
    if (data_->discarded[row]) continue;
    if (data_->bad[0][row]) return BadRow{row, 1};
    if (combine && data_->bad[1][row]) return BadRow{row, 2};
  }
  return std::nullopt;
}

/// Partners of whom something did not come.
template <Word Z, class Rules>
runtime::RoleSet DetectedOpening<Z, Rules>::silent() const {
  runtime::RoleSet out;
  for (const Role role : disputes_.partners(self_))
    for (std::size_t phase = 0; phase < (options_.variant == OpeningVariant::w2 ? 2u : 1u); ++phase)
      for (const auto& chunk : data_->messages[phase])
        if (role != self_ && !chunk[role.index()]) out.insert(role);
  return out;
}

template <Word Z, class Rules>
void DetectedOpening<Z, Rules>::discard(std::size_t row) {
  data_->discarded[row] = 1;
  digest_.reset();
}

template <Word Z, class Rules>
std::vector<std::size_t> DetectedOpening<Z, Rules>::discarded() const {
  std::vector<std::size_t> out;
  for (std::size_t row = 0; row < rows(); ++row)
    if (data_->discarded[row])
      for (const std::size_t element : elements_of(row)) out.push_back(element);
  return out;
}

/// SHA-256 rather than SHAKE256: gigabytes of it (engineering.md 1).
template <Word Z, class Rules>
runtime::Task<crypto::Digest> DetectedOpening<Z, Rules>::digest() {
  if (digest_) co_return *digest_;
  auto hash = std::make_shared<crypto::Sha256>();
  hash->update(crypto::separators::kBatch.view()).update(session_.id().bytes());
  Writer sizes;
  sizes.u64(data_->values.size()).u64(group());
  hash->update(sizes.view());
  constexpr std::size_t kRowsAtOnce = 1u << 13;
  for (std::size_t first = 0; first < rows(); first += kRowsAtOnce)
    co_await compute_(runtime::Work::preprocessing,
                      [hash, data = data_, first, last = std::min(rows(), first + kRowsAtOnce), size = group()] {
                        for (std::size_t row = first; row < last; ++row) {
                          if (data->discarded[row]) continue;
                          const std::size_t begin = row * size, end = std::min(begin + size, data->values.size());
                          hash->update({reinterpret_cast<const std::uint8_t*>(data->values.data() + begin),
                                        (end - begin) * sizeof(Gr<Z>)});
                        }
                      });
  digest_ = hash->finish();
  co_return *digest_;
}

// Decide.

/// What a party says of its check of all batches.
template <Word Z, class Rules>
struct Decide<Z, Rules>::Report {
  bool good = false;
  std::vector<crypto::Digest> h;  // of good: by batch
  std::uint64_t index = 0;        // of bad: the first bad index
  std::uint8_t phase = 1;         // ... and where
  runtime::RoleSet silent;        // ... from whom something did not come

  static constexpr std::size_t kBadBytes = 1 + 8 + 1 + 2;
  Bytes encode(const Calls& calls) const {
    Writer out;
    out.u8(good ? 1 : 0);
    for (const crypto::Digest& hash : h) out.raw(hash);
    if (!good) out.u64(index).u8(phase).u16(silent.bits());
    out.raw(calls.encode());
    return out.take();
  }
};

/// What all of them say; equal at all honest parties.
template <Word Z, class Rules>
struct Decide<Z, Rules>::Reports {
  std::map<Role, Report> of;
  runtime::RoleSet callers;

  std::optional<std::vector<crypto::Digest>> agreed(CommitteeSize committee) const {
    for (const auto& [role, report] : of)
      if (report.good && std::ranges::count_if(of, [&](const auto& other) {
                           return other.second.good && other.second.h == report.h;
                         }) >= Rules::agreeing(committee))
        return report.h;
    return std::nullopt;
  }
  std::optional<std::uint64_t> first_bad() const {
    std::optional<std::uint64_t> out;
    for (const auto& [role, report] : of)
      if (!report.good && (!out || report.index < *out)) out = report.index;
    return out;
  }
  bool says_bad(Role role, std::uint64_t index) const {
    const auto found = of.find(role);
    return found != of.end() && !found->second.good && found->second.index == index;
  }
  bool says_phase_1(Role role, std::uint64_t index) const { return says_bad(role, index) && of.at(role).phase == 1; }
};

template <Word Z, class Rules>
Decide<Z, Rules>::Decide(const Signatories& signatories, Disputes& disputes, std::vector<Batch*> batches)
    : signatories_(signatories),
      disputes_(disputes),
      batches_(std::move(batches)),
      options_(batches_.at(0)->options_),
      committee_(session().committee()),
      self_(session().self()) {
  for (const Batch* batch : batches_)
    WITAN_CHECK(&batch->disputes_ == &disputes && batch->options_.variant == options_.variant &&
                batch->options_.delay == options_.delay && batch->options_.level == options_.level);
}

template <Word Z, class Rules>
std::uint64_t Decide<Z, Rules>::rows() const {
  std::uint64_t out = 0;
  for (const Batch* batch : batches_) out += batch->rows();
  return out;
}

/// Precondition: index < rows().
template <Word Z, class Rules>
typename Decide<Z, Rules>::Place Decide<Z, Rules>::place(std::uint64_t index) const {
  std::size_t at = 0;
  while (index >= batches_[at]->rows()) index -= batches_[at++]->rows();
  return {*batches_[at], static_cast<std::size_t>(index)};
}

template <Word Z, class Rules>
std::size_t Decide<Z, Rules>::max_report_bytes() const {
  return std::max(1 + sizeof(crypto::Digest) * batches_.size(), Report::kBadBytes) + Calls::kMaxBytes;
}

template <Word Z, class Rules>
runtime::Task<Result<Decided>> Decide<Z, Rules>::run(Calls& calls) {
  for (;; ++pass_) {
    co_await runtime::ok(may_go_on());
    const Disputes before = disputes_;
    const Report mine = co_await runtime::ok(co_await check());
    const auto outcome = co_await runtime::ok(co_await broadcast(mine.encode(calls), max_report_bytes()));
    const Reports reports = read(outcome, calls);
    if (!reports.callers.empty()) co_return Decided{.discarded = {}, .callers = reports.callers};
    if (exclude_silent(reports)) {
      ++report_.silence;
      continue;
    }
    co_await runtime::ok(may_go_on());
    if (const auto h = reports.agreed(committee_)) {
      co_await runtime::ok(release(*h, reports));
      break;
    }
    co_await runtime::ok(co_await dispute_pass(before, mine, reports));
  }
  Decided out;
  for (const Batch* batch : batches_) out.discarded.push_back(batch->discarded());
  co_return out;
}

/// All batches at once, under the state of the disputes at this place of the sequence.
template <Word Z, class Rules>
runtime::Task<Result<typename Decide<Z, Rules>::Report>> Decide<Z, Rules>::check() {
  std::vector<runtime::Task<Status>> checks;
  for (Batch* batch : batches_) checks.push_back(batch->check(pass_));
  co_await runtime::ok(runtime::all_ok(co_await runtime::when_all(std::move(checks))));
  Report out;
  std::uint64_t first = 0;  // index of the batch
  for (const Batch* batch : batches_) {
    if (const auto bad = batch->first_bad()) {
      out.index = first + bad->row;
      out.phase = bad->phase;
      for (const Batch* any : batches_) out.silent = out.silent | any->silent();
      co_return out;
    }
    first += batch->rows();
  }
  out.good = true;
  for (Batch* batch : batches_) out.h.push_back(co_await batch->digest());
  co_return out;
}

/// S27, and: the others do not wait for a party that they have excluded.
template <Word Z, class Rules>
Status Decide<Z, Rules>::may_go_on() const {
  WITAN_TRY(disputes_.check());
  if (const Verdict* const excluded = disputes_.exclusion(self_))
    return fail(Code::aborted, "aborted: session {}: the other parties excluded this one: {}", session().id().hex(),
                excluded->reason);
  if (pass_ >= kMaxPasses)
    return fail(Code::internal, "session {}: {} dispute passes without an end", session().id().hex(), pass_);
  return {};
}

/// A sender whose message all honest parties agree is missing is excluded.
template <Word Z, class Rules>
runtime::Task<Result<BroadcastOutcome>> Decide<Z, Rules>::broadcast(Bytes own, std::size_t max_bytes) {
  const runtime::RoleSet active = disputes_.active();
  const Batch& first = *batches_.front();
  Broadcast run(session(), first.compute_, signatories_, kDecideBroadcasts, first.patience().round);
  auto outcome = co_await runtime::ok(
      co_await run.run(next_broadcast_++, runtime::make_payload(std::move(own)), active, max_bytes));
  for (const Role role : active)
    if (!outcome[role.index()])
      disputes_.exclude(role, "nothing of it came out of a broadcast", Verdict::Kind::missing);
  co_return outcome;
}

template <Word Z, class Rules>
typename Decide<Z, Rules>::Reports Decide<Z, Rules>::read(const BroadcastOutcome& outcome, Calls& calls) {
  Reports out;
  for (const Role role : runtime::RoleSet::all(committee_)) {
    const runtime::Payload& message = outcome[role.index()];
    if (!message) continue;
    Reader in(*message);
    Report report;
    const std::uint8_t kind = in.u8();
    report.good = kind == 1;
    if (report.good) {
      for (std::size_t i = 0; i < batches_.size(); ++i) report.h.push_back(in.array<32>());
    } else {
      report.index = in.u64();
      report.phase = in.u8();
      const std::uint16_t silent = in.u16();
      for (const Role other : runtime::RoleSet::all(committee_))
        if (silent >> other.index() & 1) report.silent.insert(other);
    }
    std::optional<runtime::RoleSet> callers = runtime::RoleSet{};
    if (in.remaining() > 0) callers = calls.take_all(in.raw(in.remaining()));
    const auto is_index = [this](std::uint64_t index) {
      if (index >= rows()) return false;
      const Place at = place(index);
      return !at.batch.data_->discarded[at.row];
    };
    const bool valid = kind <= 1 && in.finish("a report") && callers &&
                       (report.good || (is_index(report.index) && report.phase >= 1 &&
                                        report.phase <= (options_.variant == OpeningVariant::w2 ? 2 : 1)));
    if (valid) {
      out.of.emplace(role, report);
      out.callers = out.callers | *callers;
    } else {
      disputes_.exclude(role, "its report is malformed");
    }
  }
  return out;
}

template <Word Z, class Rules>
bool Decide<Z, Rules>::exclude_silent(const Reports& reports) {
  bool any = false;
  for (const Role role : disputes_.active()) {
    std::string by;
    int count = 0;
    for (const auto& [reporter, report] : reports.of)
      if (!report.good && report.silent.contains(role))
        by += fmt::format("{}{}", count++ ? ", " : "", reporter.number());
    if (count <= committee_.threshold()) continue;
    disputes_.exclude(role, fmt::format("it was silent towards parties {}", by), Verdict::Kind::missing);
    any = true;
  }
  return any;
}

template <Word Z, class Rules>
Status Decide<Z, Rules>::release(const std::vector<crypto::Digest>& h, const Reports& reports) {
  runtime::RoleSet having;
  for (const auto& [role, report] : reports.of)
    if (report.good && report.h == h) having.insert(role);
  for (std::size_t i = 0; i < batches_.size(); ++i) WITAN_TRY(batches_[i]->release(h[i], having, pass_ + 1));
  return {};
}

/// Who has the values offers them to who has not.
template <Word Z, class Rules>
Status DetectedOpening<Z, Rules>::release(const crypto::Digest& h, runtime::RoleSet having, std::uint32_t passes) {
  released_ = h;
  having_ = having;
  // Whoever takes part in the decide is past the exchange, and fetches values if it needs them.
  for (std::size_t chunk = 0; chunk < chunk_count(); ++chunk) {
    const auto offset = static_cast<runtime::Step>(chunk);
    session_.release_sent(kPhase1 + offset);
    if (options_.variant == OpeningVariant::w2)
      for (std::uint32_t pass = 0; pass < passes; ++pass) session_.release_sent(phase_2_step(pass) + offset);
  }
  for (auto& phase : data_->messages) phase = {};
  data_->own = {};
  const runtime::RoleSet lacking = disputes_.active() - having_;
  if (!having_.contains(self_) || lacking.empty()) return {};
  for (std::size_t chunk = 0; chunk < chunk_count(); ++chunk) {
    const std::size_t first = chunk * options_.chunk_rows * group();
    const std::size_t count = std::min(rows_in(chunk) * group(), data_->values.size() - first);
    Bytes values(count * sizeof(Gr<Z>));
    std::memcpy(values.data(), data_->values.data() + first, values.size());
    const runtime::Payload payload = runtime::make_payload(std::move(values));
    for (const Role role : lacking)
      WITAN_TRY(session_.offer(role, kFetch + static_cast<runtime::Step>(chunk), payload));
  }
  return {};
}

template <Word Z, class Rules>
runtime::Task<Result<std::vector<Gr<Z>>>> DetectedOpening<Z, Rules>::values() {
  // Who has reported another batch as bad may have the values of this one.
  if (!having_.contains(self_) && co_await digest() != released_) co_await runtime::ok(co_await fetch());
  co_return std::move(data_->values);
}

/// What one of those that have the values says that they are.
template <Word Z, class Rules>
struct DetectedOpening<Z, Rules>::Holder {
  Role role;
  std::vector<runtime::Payload> chunks;
  bool asked = false, ended = false, complete = false, tried = false;
  bool has_failed() const { return ended && (!complete || tried); }
};

template <Word Z, class Rules>
runtime::Task<void> DetectedOpening<Z, Rules>::fetch_chunk(Holder& holder, std::size_t chunk) {
  const auto step = kFetch + static_cast<runtime::Step>(chunk);
  const std::size_t first = chunk * options_.chunk_rows * group();
  const std::size_t count = std::min(rows_in(chunk) * group(), data_->values.size() - first);
  session_.request_resend(step, {holder.role});
  auto message = co_await session_.receive(holder.role, step, session_.loop().after(patience().round));
  if (message && message->bytes().size() == count * sizeof(Gr<Z>)) holder.chunks[chunk] = message->payload;
}

template <Word Z, class Rules>
runtime::Task<void> DetectedOpening<Z, Rules>::fetch_from(Holder& holder, runtime::Event& news) {
  holder.chunks.resize(chunk_count());
  std::vector<runtime::Task<void>> chunks;
  for (std::size_t chunk = 0; chunk < chunk_count(); ++chunk) chunks.push_back(fetch_chunk(holder, chunk));
  co_await runtime::when_all(std::move(chunks));
  holder.complete = std::ranges::all_of(holder.chunks, [](const runtime::Payload& chunk) { return chunk != nullptr; });
  holder.ended = true;
  news.set();
}

/// Those that have the values, from this party's place on: everybody begins with others.
template <Word Z, class Rules>
std::vector<typename DetectedOpening<Z, Rules>::Holder> DetectedOpening<Z, Rules>::holders() const {
  std::vector<Holder> out;
  for (int i = 0; i < committee_.parties(); ++i) {
    const Role role(static_cast<int>((self_.index() + static_cast<std::size_t>(i)) %
                                     static_cast<std::size_t>(committee_.parties())) +
                    1);
    if (having_.contains(role)) out.push_back({.role = role, .chunks = {}});
  }
  return out;
}

/// From t+1 of them at once, of whom one is honest, and from another one for each that fails; the first that has the hash on which t+1
/// agree is believed (S30).
template <Word Z, class Rules>
runtime::Task<Status> DetectedOpening<Z, Rules>::fetch() {
  has_fetched_ = true;
  std::vector<Holder> all = holders();
  runtime::Event news(session_.loop());
  runtime::TaskScope fetching(session_.loop());
  for (;;) {
    news.reset();  // who ends while a hash is made is seen in the next pass
    if (!session_.is_open()) co_return fail(Code::cancelled, "session {}: closed", session_.id().hex());
    for (Holder& holder : all) {
      if (!holder.complete || std::exchange(holder.tried, true)) continue;
      for (std::size_t chunk = 0; chunk < chunk_count(); ++chunk)
        std::memcpy(data_->values.data() + chunk * options_.chunk_rows * group(), holder.chunks[chunk]->data(),
                    holder.chunks[chunk]->size());
      holder.chunks.clear();
      digest_.reset();
      if (!Rules::check_fetched || co_await digest() == released_) co_return Status{};
    }
    int hopeful = 0;
    for (Holder& holder : all) {
      if (holder.has_failed()) continue;
      if (hopeful++ > committee_.threshold()) break;
      if (!std::exchange(holder.asked, true)) fetching.spawn(fetch_from(holder, news));
    }
    if (hopeful == 0) {
      std::string tried;
      for (const Holder& holder : all)
        tried += fmt::format("{}{} ({})", tried.empty() ? "" : ", ", holder.role.number(),
                             holder.complete ? "other values" : "nothing");
      co_return fail(Code::aborted, "aborted: session {}: no party gave the values on which {} agree: {}",
                     session_.id().hex(), committee_.threshold() + 1, tried);
    }
    co_await news.wait();
  }
}

// Dispute.

template <Word Z, class Rules>
runtime::Task<Status> Decide<Z, Rules>::dispute_pass(const Disputes& before, const Report& mine,
                                                     const Reports& reports) {
  const auto first_bad = reports.first_bad();
  if (!first_bad)
    co_return fail(Code::internal, "session {}: parties report different values as good", session().id().hex());
  const std::uint64_t index = *first_bad;
  const auto [batch, row] = place(index);
  const std::size_t version = disputes_.version();

  // reveal
  const std::vector<std::size_t> elements = batch.elements_of(row);
  Resolution<Z> resolution(*batch.data_->batch, committee_, elements);
  std::vector<Share<Z>> own;
  for (const std::size_t element : elements) own.push_back(batch.data_->own.reveal()[element]);
  std::size_t largest = 0;
  for (const Role role : disputes_.active()) largest = std::max(largest, resolution.size_bytes(role));
  const auto shown = co_await runtime::ok(co_await broadcast(
      resolution.reveal(batch.keys_.set_keys(), batch.keys_.zero_keys(), batch.session_.id(), own).encode(), largest));
  for (const Role role : disputes_.active())
    if (Status taken = resolution.take(role, *shown[role.index()]); !taken)
      disputes_.exclude(role, taken.error().message);

  // resolve
  const std::vector<std::size_t> zero_sets = resolution.disputed_zero_sets();
  if (!zero_sets.empty()) co_await runtime::ok(co_await open_zero_keys(batch, resolution, zero_sets));
  resolution.settle();
  for (const auto& liar : resolution.liars()) disputes_.exclude(liar.party, liar.reason);

  // accuse
  const bool reporter = reports.says_bad(self_, index);
  const runtime::RoleSet accused =
      reporter ? deviators(before, resolution, index, mine.phase, reports) : runtime::RoleSet{};
  Writer accusation;
  accusation.u16(accused.bits());
  co_await runtime::ok(may_go_on());
  const auto accusations = co_await runtime::ok(co_await broadcast(accusation.take(), sizeof(std::uint16_t)));
  for (const Role role : disputes_.active()) {
    const Bytes& message = *accusations[role.index()];
    if (message.size() != sizeof(std::uint16_t)) {
      disputes_.exclude(role, "its accusation is malformed");
      continue;
    }
    if (!reports.says_bad(role, index)) continue;
    const auto bits = load_le<std::uint16_t>(message.data());
    runtime::RoleSet named;
    for (const Role other : before.partners(role))
      if (other != role && bits >> other.index() & 1) named.insert(other);
    for (const Role other : named)
      disputes_.dispute(role, other,
                        fmt::format("party {} says that index {} of session {} came wrong from party {}", role.number(),
                                    row, batch.session_.id().hex(), other.number()));
    if (!named.empty()) continue;
    bool excused = false;  // it got a bottom from somebody whose own phase 1 was bad
    for (const Role other : before.partners(role))
      excused = excused || (other != role && reports.of.at(role).phase == 2 && reports.says_phase_1(other, index));
    if (excused)
      ++report_.excused;
    else
      disputes_.exclude(role, fmt::format("it reported index {} and names nobody", row));
  }
  if (disputes_.version() == version)
    co_return fail(Code::internal, "session {}: a dispute about index {} convicts nobody", batch.session_.id().hex(),
                   row);

  // discard
  ++report_.passes;
  batch.discard(row);
  co_return Status{};
}

template <Word Z, class Rules>
runtime::Task<Status> Decide<Z, Rules>::open_zero_keys(const Batch& batch, Resolution<Z>& resolution,
                                                       const std::vector<std::size_t>& zero_sets) {
  Writer header;
  std::vector<Share<Z64>> shares;
  for (const std::size_t set : zero_sets) {
    header.u16(static_cast<std::uint16_t>(set));
    shares.push_back(batch.keys_.zero_share(set));
  }
  Bytes message = header.view();
  append_shares<Z64>(message, shares);
  const runtime::Step step = kZeroShares + pass_;
  RobustOpening<Z64> opening(session(), batch.compute_, step, header.take(), std::move(shares));
  co_await runtime::ok(session().send_all(step, runtime::make_payload(std::move(message))));
  const auto elements = co_await runtime::ok(co_await opening.accept(session().loop().after(batch.patience().round)));
  report_.opened_zero_keys += static_cast<std::uint32_t>(zero_sets.size());
  for (std::size_t i = 0; i < zero_sets.size(); ++i)
    resolution.zero_key(zero_sets[i], agreed_key(elements[i]), batch.session_.id());
  co_return Status{};
}

/// Whose private message for the index is missing or differs from what it should be.
template <Word Z, class Rules>
runtime::RoleSet Decide<Z, Rules>::deviators(const Disputes& before, const Resolution<Z>& resolution,
                                             std::uint64_t index, int phase, const Reports& reports) const {
  const auto [batch, row] = place(index);
  const bool combine = options_.variant == OpeningVariant::w2;
  const std::size_t chunk = row / options_.chunk_rows, at = row % options_.chunk_rows, count = batch.rows_in(chunk);
  const std::size_t map = phase == 1 ? 0 : (count + 7) / 8, elements = batch.elements_of(row).size();
  const auto shares_of = [&](Role role) {
    std::vector<Gr<Z>> out;
    for (std::size_t e = 0; e < elements; ++e) out.push_back(resolution.true_share(role, e));
    return out;
  };
  std::vector<Gr<Z>> opened(elements);  // the elements themselves
  if (phase == 2) {
    std::vector<Role> base;
    for (int i = 1; i <= 2 * committee_.threshold() + 1; ++i) base.emplace_back(i);
    const std::vector<Gr<Z>> weights = algebra::lagrange_at<Z>(base, Gr<Z>{});
    for (std::size_t i = 0; i < base.size(); ++i) {
      const std::vector<Gr<Z>> shares = shares_of(base[i]);
      for (std::size_t e = 0; e < elements; ++e) opened[e] += shares[e] * weights[i];
    }
  }
  const auto truth = [&](Role role) {
    if (phase == 2) return detection::at_point<Z>(opened, role);
    const std::vector<Gr<Z>> shares = shares_of(role);
    return combine ? detection::at_point<Z>(shares, self_) : shares[0];
  };

  runtime::RoleSet out;
  for (const Role role : before.partners(self_)) {
    if (role == self_) continue;
    const runtime::Payload& message = batch.data_->messages[static_cast<std::size_t>(phase - 1)][chunk][role.index()];
    const auto is_right = [&] {
      if (!message || message->size() != map + count * sizeof(Gr<Z>)) return false;
      if (phase == 2 && (*message)[at / 8] >> at % 8 & 1) return reports.says_phase_1(role, index);
      return detection::read_rows<Z>(ByteView(*message).subspan(map), at, 1)[0] == truth(role);
    };
    if (!is_right()) out.insert(role);
  }
  return out;
}

}  // namespace witan::mpc
