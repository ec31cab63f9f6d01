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

/// As many rounds until a session without n-t parties goes on without them, and ends.
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

/// Rows that are checked together: 16 to 104 KB of them.
inline constexpr std::size_t kRowsInCache = 128;

template <Word Z>
void read_rows(ByteView bytes, std::size_t first, std::span<Gr<Z>> out) {
  std::memcpy(out.data(), bytes.data() + first * sizeof(Gr<Z>), out.size_bytes());
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
  co_return runtime::all_ok(co_await runtime::when_all(std::move(tasks)));
}

/// Rows that are checked or made in about a millisecond.
inline std::size_t piece_rows(CommitteeSize committee) {
  const auto n = static_cast<std::size_t>(committee.parties());
  return std::max<std::size_t>(64, 32'768 / (n * n));
}

}  // namespace detection

/// What a party says of its check.
template <Word Z, class Rules>
struct DetectedOpening<Z, Rules>::Report {
  bool good = false;
  crypto::Digest h{};       // of good
  std::uint64_t row = 0;    // of bad: the first bad index
  std::uint8_t phase = 1;   // ... and where
  runtime::RoleSet silent;  // ... from whom something did not come

  static constexpr std::size_t kMaxBytes = 1 + 32 + Calls::kMaxBytes;

  Bytes encode(const Calls& calls) const {
    Writer out;
    out.u8(good ? 1 : 0);
    if (good)
      out.raw(h);
    else
      out.u64(row).u8(phase).u16(silent.bits());
    out.raw(calls.encode());
    return out.take();
  }
};

/// What all of them say; equal at all honest parties.
template <Word Z, class Rules>
struct DetectedOpening<Z, Rules>::Reports {
  std::map<Role, Report> of;
  runtime::RoleSet callers;

  std::optional<crypto::Digest> agreed(CommitteeSize committee) const {
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
      if (!report.good && (!out || report.row < *out)) out = report.row;
    return out;
  }
  bool says_bad(Role role, std::uint64_t row) const {
    const auto found = of.find(role);
    return found != of.end() && !found->second.good && found->second.row == row;
  }
  bool says_phase_1(Role role, std::uint64_t row) const { return says_bad(role, row) && of.at(role).phase == 1; }
};

template <Word Z, class Rules>
struct DetectedOpening<Z, Rules>::Data {
  std::shared_ptr<Disposable<Z>> batch;
  // Of these, whoever makes a row writes all of it; a row that is not made, or is bad, is zero in `combined` and `values`.
  Secret<UninitializedVector<Share<Z>>> own;        // by element
  Secret<UninitializedVector<Gr<Z>>> own_combined;  // W2, by group: own share of y_self
  UninitializedVector<Gr<Z>> combined;              // W2, by group: y_self, zero where it is bottom
  UninitializedVector<Gr<Z>> values;                // by element
  /// messages[phase - 1][chunk][role]: as they came; null if nothing came.
  std::array<std::vector<std::vector<runtime::Payload>>, 2> messages;
  std::array<std::vector<std::uint8_t>, 2> bad;  // [phase - 1][row]
  std::vector<std::uint8_t> discarded;           // by row
};

template <Word Z, class Rules>
DetectedOpening<Z, Rules>::DetectedOpening(runtime::Session& session, runtime::Compute& compute, const EpochKeys& keys,
                                           const Signatories& signatories, Disputes& disputes,
                                           std::shared_ptr<Disposable<Z>> batch, DetectionOptions options)
    : session_(session),
      compute_(compute),
      keys_(keys),
      disputes_(disputes),
      options_(options),
      committee_(session.committee()),
      self_(session.self()),
      signatories_(signatories),
      data_(std::make_shared<Data>()) {
  data_->batch = std::move(batch);
  WITAN_CHECK(data_->batch->elements() > 0 && options_.chunk_rows > 0 && chunk_count() <= kMaxChunks);
  const std::size_t parties = static_cast<std::size_t>(committee_.parties());
  data_->own = Secret(UninitializedVector<Share<Z>>(data_->batch->elements()));
  for (auto& phase : data_->messages) phase.assign(chunk_count(), std::vector<runtime::Payload>(parties));
  for (auto& phase : data_->bad) phase.resize(rows());
  data_->values.resize(data_->batch->elements());
  data_->discarded.resize(rows());
  if (options_.variant == OpeningVariant::w2) {
    data_->own_combined = Secret(UninitializedVector<Gr<Z>>(rows()));
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

template <Word Z, class Rules>
std::size_t DetectedOpening<Z, Rules>::message_bytes(std::size_t chunk, std::size_t phase) const {
  const std::size_t count = rows_in(chunk);
  return (phase == 1 ? 0 : (count + 7) / 8) + count * sizeof(Gr<Z>);
}

// Exchange.

template <Word Z, class Rules>
runtime::Task<Status> DetectedOpening<Z, Rules>::exchange() {
  for (std::size_t chunk = 0; chunk < chunk_count(); ++chunk) co_await runtime::ok(co_await produce(chunk));
  co_await runtime::ok(co_await collect(kPhase1, 1));
  co_return co_await check_rows(1);
}

template <Word Z, class Rules>
runtime::Task<Status> DetectedOpening<Z, Rules>::produce(std::size_t chunk) {
  const std::size_t first = chunk * options_.chunk_rows, count = rows_in(chunk), size = group();
  const std::size_t elements = data_->batch->elements(), parties = static_cast<std::size_t>(committee_.parties());
  const bool combine = options_.variant == OpeningVariant::w2;
  auto out = std::make_shared<std::vector<UninitializedVector<std::uint8_t>>>(combine ? parties : 1);
  for (auto& message : *out) message.resize(count * sizeof(Gr<Z>));

  const auto make = [data = data_, out, first, size, elements, combine, self = self_](std::size_t from,
                                                                                      std::size_t to) -> Status {
    const std::size_t e0 = (first + from) * size, e1 = std::min(elements, (first + to) * size);
    const std::span<Share<Z>> own = std::span(data->own.reveal_mutable()).subspan(e0, e1 - e0);
    WITAN_TRY(data->batch->prepare(e0, own));
    std::vector<Gr<Z>> of_row(size);
    for (std::size_t row = from; row < to; ++row) {
      const std::size_t begin = (row - from) * size, count_of_row = std::min(size, own.size() - begin);
      for (std::size_t i = 0; i < count_of_row; ++i) of_row[i] = own[begin + i].value;
      const auto shares = std::span<const Gr<Z>>(of_row).first(count_of_row);
      for (std::size_t i = 0; i < out->size(); ++i) {
        const Gr<Z> share = combine ? detection::at_point<Z>(shares, Role(static_cast<int>(i) + 1)) : shares[0];
        if (combine && i == self.index()) data->own_combined.reveal_mutable()[first + row] = share;
        share.encode((*out)[i].data() + row * sizeof(Gr<Z>));
      }
    }
    wipe(of_row.data(), of_row.size() * sizeof(Gr<Z>));
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
runtime::Task<Status> DetectedOpening<Z, Rules>::send_phase_2() {
  for (std::size_t chunk = 0; chunk < chunk_count(); ++chunk) {
    const std::size_t first = chunk * options_.chunk_rows, count = rows_in(chunk), map = (count + 7) / 8;
    Bytes message(map + count * sizeof(Gr<Z>));
    for (std::size_t row = 0; row < count; ++row) {
      if (data_->bad[0][first + row])
        message[row / 8] = static_cast<std::uint8_t>(message[row / 8] | 1u << row % 8);
      else
        data_->combined[first + row].encode(message.data() + map + row * sizeof(Gr<Z>));
    }
    co_await runtime::ok(session_.send_all(phase_2_step() + static_cast<runtime::Step>(chunk),
                                           runtime::make_payload(std::move(message))));
  }
  co_return Status{};
}

/// Waiting counts from the moment on at which n-t parties have sent; before that nothing can be decided anyway.
template <Word Z, class Rules>
runtime::Task<Status> DetectedOpening<Z, Rules>::collect(runtime::Step first_step, std::size_t phase) {
  static const runtime::Payload kUseless = runtime::make_payload({});
  auto& messages = data_->messages[phase - 1];
  runtime::Duration waited{};
  const int enough = committee_.parties() - committee_.threshold();
  for (std::size_t chunk = 0; chunk < chunk_count(); ++chunk) {
    for (runtime::Payload& message : messages[chunk]) message = nullptr;
    runtime::RoleSet awaited = disputes_.active();
    awaited.erase(self_);
    const runtime::RoleSet partners = disputes_.partners(self_);
    const int sending = awaited.size() + 1;
    while (!awaited.empty()) {
      const runtime::Instant begun = session_.loop().now();
      const bool counts = sending - awaited.size() >= enough;
      const runtime::Duration most = phase == 1 ? patience().exchange : patience().phase_2;
      const runtime::Duration left = std::max(runtime::Duration{}, most - waited);
      // Too few parties at all: more than t are gone, and the session ends.
      auto message =
          co_await session_.next(first_step + static_cast<runtime::Step>(chunk), awaited,
                                 session_.loop().after(counts ? left : detection::kGoneAfter * patience().round));
      if (!message && message.error().code == Code::cancelled) co_return fail(std::move(message).error());
      if (counts) waited += session_.loop().now() - begun;
      if (!message) break;  // late, or it does not keep the message any more
      // What is kept is bounded: nothing of another size, nothing of who is no partner. It came, all the same.
      const bool useful = message->bytes().size() == message_bytes(chunk, phase) && partners.contains(message->from);
      messages[chunk][message->from.index()] = useful ? message->payload : kUseless;
      awaited.erase(message->from);
    }
  }
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
  const auto kernel = [data = data_, partners, dimension, phase, combine, self = self_, size = group(),
                       chunk_rows = options_.chunk_rows,
                       all_rows = rows()](std::size_t from, std::size_t to) -> Status {
    const std::size_t chunk = from / chunk_rows, at = from - chunk * chunk_rows, count = to - from;
    const std::size_t map = phase == 1 ? 0 : (std::min(chunk_rows, all_rows - chunk * chunk_rows) + 7) / 8;
    const std::size_t whole = map + std::min(chunk_rows, all_rows - chunk * chunk_rows) * sizeof(Gr<Z>);
    std::vector<std::uint8_t>& bad = data->bad[phase - 1];
    std::fill(bad.begin() + static_cast<std::ptrdiff_t>(from), bad.begin() + static_cast<std::ptrdiff_t>(to),
              std::uint8_t{0});
    // What others are sent for a row that is bad here must not be what the memory was.
    const auto clear = [&](std::size_t row) {
      bad[row] = 1;
      if (phase == 1 && combine) {
        data->combined[row] = {};
        return;
      }
      const std::size_t first = row * size, last = std::min(first + size, data->values.size());
      for (std::size_t e = first; e < last; ++e) data->values[e] = {};
    };
    const auto all_bad = [&]() -> Status {
      for (std::size_t row = from; row < to; ++row) clear(row);
      return {};
    };

    for (const Role role : partners) {
      if (role == self) continue;
      const runtime::Payload& message = data->messages[phase - 1][chunk][role.index()];
      if (!message || message->size() != whole) return all_bad();
    }
    if (partners.size() < dimension) return all_bad();
    const auto checks = algebra::parity_checks<Z>(dimension, partners);
    const auto weights = phase == 2 ? detection::coefficient_weights<Z>(std::span(partners).first(dimension))
                                    : std::vector<std::vector<Gr<Z>>>{};

    // What is copied of the messages stays in the cache while it is checked.
    std::vector<UninitializedVector<Gr<Z>>> words(partners.size(),
                                                  UninitializedVector<Gr<Z>>(std::min(count, detection::kRowsInCache)));
    for (std::size_t part = from; part < to; part += detection::kRowsInCache) {
      const std::size_t rows = std::min(detection::kRowsInCache, to - part);
      std::vector<std::span<const Gr<Z>>> views;
      for (std::size_t i = 0; i < partners.size(); ++i) {
        const std::span<Gr<Z>> word = std::span(words[i]).first(rows);
        views.push_back(word);
        if (partners[i] != self) {
          const ByteView message = *data->messages[phase - 1][chunk][partners[i].index()];
          detection::read_rows<Z>(message.subspan(map), at + part - from, word);
          for (std::size_t row = 0; phase == 2 && row < rows; ++row)
            if (const std::size_t of = at + part - from + row; message[of / 8] >> of % 8 & 1) bad[part + row] = 1;
          continue;
        }
        for (std::size_t row = 0; row < rows; ++row) {
          if (phase == 2)
            word[row] = data->combined[part + row];
          else
            word[row] = combine ? data->own_combined.reveal()[part + row] : data->own.reveal()[part + row].value;
        }
        for (std::size_t row = 0; phase == 2 && row < rows; ++row)
          if (data->bad[0][part + row]) bad[part + row] = 1;
      }
      std::size_t row = 0;
      while (row < rows) {
        const std::size_t stop = checks->first_bad_row(views, row);
        for (; row < std::min(stop, rows); ++row) {
          if (phase == 1) {
            (combine ? data->combined : data->values)[part + row] = checks->secret(views, row);
            continue;
          }
          const std::size_t first = (part + row) * size, last = std::min(first + size, data->values.size());
          for (std::size_t e = first; e < last; ++e)
            data->values[e] = algebra::combine<Z>(weights[e - first], std::span(views).first(dimension), row);
        }
        if (row < rows) clear(part + row++);
      }
    }
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
runtime::Task<Result<typename DetectedOpening<Z, Rules>::Report>> DetectedOpening<Z, Rules>::check() {
  const bool combine = options_.variant == OpeningVariant::w2;
  Report out;
  if (combine) co_await runtime::ok(co_await check_rows(2));
  for (std::size_t row = 0; row < rows(); ++row) {
    if (data_->discarded[row] || !(data_->bad[0][row] || (combine && data_->bad[1][row]))) continue;
    out.row = row;
    out.phase = data_->bad[0][row] ? 1 : 2;
    for (const Role role : disputes_.partners(self_))
      for (std::size_t phase = 0; phase < (combine ? 2u : 1u); ++phase)
        for (const auto& chunk : data_->messages[phase])
          if (role != self_ && !chunk[role.index()]) out.silent.insert(role);
    co_return out;
  }
  out.good = true;
  out.h = co_await digest();
  co_return out;
}

/// SHA-256 rather than SHAKE256: gigabytes of it (engineering.md 1).
template <Word Z, class Rules>
runtime::Task<crypto::Digest> DetectedOpening<Z, Rules>::digest() {
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
  co_return hash->finish();
}

// Decide.

template <Word Z, class Rules>
runtime::Task<Result<Decided>> DetectedOpening<Z, Rules>::decide(Calls& calls) {
  for (;; ++pass_) {
    co_await runtime::ok(may_go_on());
    const Disputes before = disputes_;
    if (disputes_.version() != checked_version_) co_await runtime::ok(co_await check_rows(1));
    if (options_.variant == OpeningVariant::w2) {
      co_await runtime::ok(co_await send_phase_2());
      co_await runtime::ok(co_await collect(phase_2_step(), 2));
    }
    const Report mine = co_await runtime::ok(co_await check());
    const auto outcome = co_await runtime::ok(co_await broadcast(mine.encode(calls), Report::kMaxBytes));
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
  for (std::size_t row = 0; row < rows(); ++row)
    if (data_->discarded[row])
      for (const std::size_t element : elements_of(row)) out.discarded.push_back(element);
  co_return out;
}

/// S27, and: the others do not wait for a party that they have excluded.
template <Word Z, class Rules>
Status DetectedOpening<Z, Rules>::may_go_on() const {
  WITAN_TRY(disputes_.check());
  if (const Verdict* const excluded = disputes_.exclusion(self_))
    return fail(Code::aborted, "aborted: session {}: the other parties excluded this one: {}", session_.id().hex(),
                excluded->reason);
  if (pass_ >= kMaxPasses)
    return fail(Code::internal, "session {}: {} dispute passes without an end", session_.id().hex(), pass_);
  return {};
}

/// A sender whose message all honest parties agree is missing is excluded.
template <Word Z, class Rules>
runtime::Task<Result<BroadcastOutcome>> DetectedOpening<Z, Rules>::broadcast(Bytes own, std::size_t max_bytes) {
  const runtime::RoleSet active = disputes_.active();
  Broadcast run(session_, compute_, signatories_, kDecideBroadcasts, patience().round);
  auto outcome = co_await runtime::ok(
      co_await run.run(next_broadcast_++, runtime::make_payload(std::move(own)), active, max_bytes));
  for (const Role role : active)
    if (!outcome[role.index()])
      disputes_.exclude(role, "nothing of it came out of a broadcast", Verdict::Kind::missing);
  co_return outcome;
}

template <Word Z, class Rules>
typename DetectedOpening<Z, Rules>::Reports DetectedOpening<Z, Rules>::read(const BroadcastOutcome& outcome,
                                                                            Calls& calls) {
  Reports out;
  for (const Role role : runtime::RoleSet::all(committee_)) {
    const runtime::Payload& message = outcome[role.index()];
    if (!message) continue;
    Reader in(*message);
    Report report;
    const std::uint8_t kind = in.u8();
    report.good = kind == 1;
    if (report.good) {
      report.h = in.array<32>();
    } else {
      report.row = in.u64();
      report.phase = in.u8();
      const std::uint16_t silent = in.u16();
      for (const Role other : runtime::RoleSet::all(committee_))
        if (silent >> other.index() & 1) report.silent.insert(other);
    }
    std::optional<runtime::RoleSet> callers = runtime::RoleSet{};
    if (in.remaining() > 0) callers = calls.take_all(in.raw(in.remaining()));
    const bool valid = kind <= 1 && in.finish("a report") && callers &&
                       (report.good || (report.row < rows() && !data_->discarded[report.row] && report.phase >= 1 &&
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
bool DetectedOpening<Z, Rules>::exclude_silent(const Reports& reports) {
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

/// Who has the values offers them to who has not.
template <Word Z, class Rules>
Status DetectedOpening<Z, Rules>::release(const crypto::Digest& h, const Reports& reports) {
  released_ = h;
  // Whoever takes part in the decide is past the exchange, and fetches values if it needs them.
  for (std::size_t chunk = 0; chunk < chunk_count(); ++chunk) {
    const auto offset = static_cast<runtime::Step>(chunk);
    session_.release_sent(kPhase1 + offset);
    if (options_.variant == OpeningVariant::w2)
      for (std::uint32_t pass = 0; pass <= pass_; ++pass)
        session_.release_sent(kPhase2 + pass * static_cast<runtime::Step>(kMaxChunks) + offset);
  }
  runtime::RoleSet lacking;
  for (const Role role : disputes_.active()) {
    const auto found = reports.of.find(role);
    (found != reports.of.end() && found->second.good && found->second.h == h ? having_ : lacking).insert(role);
  }
  if (!having_.contains(self_) || lacking.empty()) return {};
  for (std::size_t chunk = 0; chunk < chunk_count(); ++chunk) {
    const std::size_t first = chunk * options_.chunk_rows * group();
    const std::size_t count = std::min(rows_in(chunk) * group(), data_->values.size() - first);
    UninitializedVector<std::uint8_t> values(count * sizeof(Gr<Z>));
    std::memcpy(values.data(), data_->values.data() + first, values.size());
    const runtime::Payload payload = runtime::make_payload(std::move(values));
    for (const Role role : lacking)
      WITAN_TRY(session_.offer(role, kFetch + static_cast<runtime::Step>(chunk), payload));
  }
  return {};
}

template <Word Z, class Rules>
runtime::Task<Result<UninitializedVector<Gr<Z>>>> DetectedOpening<Z, Rules>::values() {
  if (!having_.contains(self_)) co_await runtime::ok(co_await fetch());
  co_return std::move(data_->values);
}

/// What one of those that have the values says that they are.
template <Word Z, class Rules>
struct DetectedOpening<Z, Rules>::Holder {
  Role role;
  std::vector<runtime::Payload> chunks;
  bool ended = false, complete = false, tried = false;
};

template <Word Z, class Rules>
runtime::Task<void> DetectedOpening<Z, Rules>::fetch_from(Holder& holder, runtime::Event& news) {
  holder.complete = true;
  for (std::size_t chunk = 0; chunk < chunk_count(); ++chunk)
    session_.request_resend(kFetch + static_cast<runtime::Step>(chunk), {holder.role});
  for (std::size_t chunk = 0; holder.complete && chunk < chunk_count(); ++chunk) {
    const auto step = kFetch + static_cast<runtime::Step>(chunk);
    const std::size_t first = chunk * options_.chunk_rows * group();
    const std::size_t count = std::min(rows_in(chunk) * group(), data_->values.size() - first);
    auto message = co_await session_.receive(holder.role, step, session_.loop().after(patience().round));
    holder.complete = message && message->bytes().size() == count * sizeof(Gr<Z>);
    if (holder.complete) holder.chunks.push_back(message->payload);
  }
  holder.ended = true;
  news.set();
}

/// From all of them at once; the first that has the hash on which t+1 agree is believed (S30).
template <Word Z, class Rules>
runtime::Task<Status> DetectedOpening<Z, Rules>::fetch() {
  ++report_.fetched;
  std::vector<Holder> holders;
  for (const Role role : having_) holders.push_back({.role = role, .chunks = {}});
  runtime::Event news(session_.loop());
  runtime::TaskScope fetching(session_.loop());
  for (Holder& holder : holders) fetching.spawn(fetch_from(holder, news));
  for (;;) {
    if (!session_.is_open()) co_return fail(Code::cancelled, "session {}: closed", session_.id().hex());
    news.reset();  // whoever ends from here on is looked at in the next round, also while a digest is made
    for (Holder& holder : holders) {
      if (!holder.complete || !holder.ended || std::exchange(holder.tried, true)) continue;
      for (std::size_t chunk = 0; chunk < chunk_count(); ++chunk)
        std::memcpy(data_->values.data() + chunk * options_.chunk_rows * group(), holder.chunks[chunk]->data(),
                    holder.chunks[chunk]->size());
      if (!Rules::check_fetched || co_await digest() == released_) co_return Status{};
    }
    const auto has_failed = [](const Holder& holder) { return holder.ended && (!holder.complete || holder.tried); };
    if (std::ranges::all_of(holders, has_failed)) {
      std::string tried;
      for (const Holder& holder : holders)
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
runtime::Task<Status> DetectedOpening<Z, Rules>::dispute_pass(const Disputes& before, const Report& mine,
                                                              const Reports& reports) {
  const auto first_bad = reports.first_bad();
  if (!first_bad)
    co_return fail(Code::internal, "session {}: parties report different values as good", session_.id().hex());
  const std::uint64_t row = *first_bad;
  const std::size_t version = disputes_.version();

  // reveal
  const std::vector<std::size_t> elements = elements_of(row);
  Resolution<Z> resolution(*data_->batch, committee_, elements);
  std::vector<Share<Z>> own;
  for (const std::size_t element : elements) own.push_back(data_->own.reveal()[element]);
  std::size_t largest = 0;
  for (const Role role : disputes_.active()) largest = std::max(largest, resolution.size_bytes(role));
  const auto shown = co_await runtime::ok(
      co_await broadcast(resolution.reveal(keys_.set_keys(), keys_.zero_keys(), session_.id(), own).encode(), largest));
  for (const Role role : disputes_.active())
    if (Status taken = resolution.take(role, *shown[role.index()]); !taken)
      disputes_.exclude(role, taken.error().message);

  // resolve
  const std::vector<std::size_t> zero_sets = resolution.disputed_zero_sets();
  if (!zero_sets.empty()) co_await runtime::ok(co_await open_zero_keys(resolution, zero_sets));
  resolution.settle();
  for (const auto& liar : resolution.liars()) disputes_.exclude(liar.party, liar.reason);

  // accuse
  const bool reporter = reports.says_bad(self_, row);
  const runtime::RoleSet accused =
      reporter ? deviators(before, resolution, row, mine.phase, reports) : runtime::RoleSet{};
  Writer accusation;
  accusation.u16(accused.bits());
  co_await runtime::ok(may_go_on());
  const auto accusations = co_await runtime::ok(co_await broadcast(accusation.take(), sizeof(std::uint16_t)));
  for (const Role role : disputes_.active()) {
    const ByteView message = *accusations[role.index()];
    if (message.size() != sizeof(std::uint16_t)) {
      disputes_.exclude(role, "its accusation is malformed");
      continue;
    }
    if (!reports.says_bad(role, row)) continue;
    const auto bits = load_le<std::uint16_t>(message.data());
    runtime::RoleSet named;
    for (const Role other : before.partners(role))
      if (other != role && bits >> other.index() & 1) named.insert(other);
    for (const Role other : named)
      disputes_.dispute(role, other,
                        fmt::format("party {} says that index {} of session {} came wrong from party {}", role.number(),
                                    row, session_.id().hex(), other.number()));
    if (!named.empty()) continue;
    bool excused = false;  // it got a bottom from somebody whose own phase 1 was bad
    for (const Role other : before.partners(role))
      excused = excused || (other != role && reports.of.at(role).phase == 2 && reports.says_phase_1(other, row));
    if (excused)
      ++report_.excused;
    else
      disputes_.exclude(role, fmt::format("it reported index {} and names nobody", row));
  }
  if (disputes_.version() == version)
    co_return fail(Code::internal, "session {}: a dispute about index {} convicts nobody", session_.id().hex(), row);

  // discard
  ++report_.passes;
  data_->discarded[row] = 1;
  co_return Status{};
}

template <Word Z, class Rules>
runtime::Task<Status> DetectedOpening<Z, Rules>::open_zero_keys(Resolution<Z>& resolution,
                                                                const std::vector<std::size_t>& zero_sets) {
  Writer header;
  std::vector<Share<Z64>> shares;
  for (const std::size_t set : zero_sets) {
    header.u16(static_cast<std::uint16_t>(set));
    shares.push_back(keys_.zero_share(set));
  }
  Bytes message = header.view();
  append_shares<Z64>(message, shares);
  const runtime::Step step = kZeroShares + pass_;
  RobustOpening<Z64> opening(session_, compute_, step, header.take(), std::move(shares));
  co_await runtime::ok(session_.send_all(step, runtime::make_payload(std::move(message))));
  const auto elements = co_await runtime::ok(co_await opening.accept(session_.loop().after(patience().round)));
  report_.opened_zero_keys += static_cast<std::uint32_t>(zero_sets.size());
  for (std::size_t i = 0; i < zero_sets.size(); ++i)
    resolution.zero_key(zero_sets[i], agreed_key(elements[i]), session_.id());
  co_return Status{};
}

/// Whose private message for the index is missing or differs from what it should be.
template <Word Z, class Rules>
runtime::RoleSet DetectedOpening<Z, Rules>::deviators(const Disputes& before, const Resolution<Z>& resolution,
                                                      std::uint64_t row, int phase, const Reports& reports) const {
  const bool combine = options_.variant == OpeningVariant::w2;
  const std::size_t chunk = row / options_.chunk_rows, at = row % options_.chunk_rows, count = rows_in(chunk);
  const std::size_t map = phase == 1 ? 0 : (count + 7) / 8, elements = elements_of(row).size();
  const auto shares_of = [&](Role role) {
    std::vector<Gr<Z>> out;
    for (std::size_t e = 0; e < elements; ++e) out.push_back(resolution.true_share(role, e));
    return out;
  };
  std::vector<Gr<Z>> opened(elements);  // the elements themselves
  if (phase == 2) {
    Roles base;
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
    const runtime::Payload& message = data_->messages[static_cast<std::size_t>(phase - 1)][chunk][role.index()];
    const auto is_right = [&] {
      if (!message || message->size() != map + count * sizeof(Gr<Z>)) return false;
      if (phase == 2 && (*message)[at / 8] >> at % 8 & 1) return reports.says_phase_1(role, row);
      std::array<Gr<Z>, 1> said;
      detection::read_rows<Z>(message->subspan(map), at, said);
      return said[0] == truth(role);
    };
    if (!is_right()) out.insert(role);
  }
  return out;
}

}  // namespace witan::mpc
