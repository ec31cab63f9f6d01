#include "mpc/resolution.h"

#include <fmt/format.h>

#include <algorithm>

#include "algebra/integer_set_polynomial.h"
#include "base/check.h"

namespace witan::mpc {

template <Word Z>
Bytes Revealed<Z>::encode() const {
  Bytes out(shares.size() * sizeof(Gr<Z>) + draws.size() * sizeof(Z) + zeros.size() * sizeof(Gr<Z>));
  std::uint8_t* at = out.data();
  const auto put = [&at](const auto& values) {
    const std::size_t bytes = values.size() * sizeof(values[0]);
    if (bytes > 0) std::memcpy(at, values.data(), bytes);
    at += bytes;
  };
  put(shares);
  put(draws);
  put(zeros);
  return out;
}

template <Word Z>
Resolution<Z>::Resolution(const Disposable<Z>& batch, CommitteeSize committee, std::vector<std::size_t> elements)
    : batch_(batch),
      committee_(committee),
      elements_(std::move(elements)),
      sets_(key_sets(committee)),
      zero_sets_(zero_sets(committee)),
      draw_claims_(sets_.size()),
      zero_claims_(zero_sets_.size()) {
  for (const std::size_t element : elements_) {
    counters_.push_back(batch.counters(element));
    draws_ += counters_.back().size();
  }
}

template <Word Z>
std::size_t Resolution<Z>::chi_count(std::size_t zero_set) const {
  return static_cast<std::size_t>(2 * committee_.threshold()) - zero_sets_[zero_set].members().size();
}

template <Word Z>
std::vector<std::size_t> Resolution<Z>::sets_of(Role party) const {
  std::vector<std::size_t> out;
  for (std::size_t i = 0; i < sets_.size(); ++i)
    if (sets_[i].contains(party)) out.push_back(i);
  return out;
}

template <Word Z>
std::vector<std::size_t> Resolution<Z>::zero_sets_of(Role party) const {
  std::vector<std::size_t> out;
  for (std::size_t i = 0; i < zero_sets_.size(); ++i)
    if (!zero_sets_[i].contains(party)) out.push_back(i);
  return out;
}

template <Word Z>
Revealed<Z> Resolution<Z>::reveal(const SetKeys& sets, const ZeroKeys& zeros, SessionId session,
                                  std::span<const Share<Z>> shares) const {
  WITAN_CHECK(shares.size() == elements_.size());
  Revealed<Z> out;
  for (const Share<Z>& share : shares) out.shares.push_back(share.value);
  for (std::size_t i = 0; i < sets.size(); ++i) {
    const Prf psi0 = session_prf(sets.key(i), session, PrfPurpose::psi0);
    for (const auto& counters : counters_)
      for (const std::uint64_t counter : counters) out.draws.push_back(psi0.word<Z>(counter));
  }
  const std::vector<std::size_t> held = zero_sets_of(sets.self());
  WITAN_CHECK(held.size() == zeros.size());
  for (std::size_t i = 0; i < held.size(); ++i) {
    const Prf chi = session_prf(zeros.key(i), session, PrfPurpose::chi_zero);
    for (const std::size_t element : elements_)
      for (std::size_t e = 1; e <= chi_count(held[i]); ++e)
        out.zeros.push_back(chi.element<Z>(element, static_cast<std::uint8_t>(e)));
  }
  return out;
}

template <Word Z>
std::size_t Resolution<Z>::size_bytes(Role party) const {
  std::size_t zeros = 0;
  for (const std::size_t e : zero_sets_of(party)) zeros += chi_count(e) * elements_.size();
  return (elements_.size() + zeros) * sizeof(Gr<Z>) + sets_of(party).size() * draws_ * sizeof(Z);
}

template <Word Z>
Status Resolution<Z>::take(Role party, ByteView broadcast) {
  if (broadcast.size() != size_bytes(party))
    return fail(Code::invalid_argument, "party {} showed {} bytes of the index, expected {}", party.number(),
                broadcast.size(), size_bytes(party));
  const std::uint8_t* at = broadcast.data();
  const auto get = [&at]<class T>(std::vector<T>& values, std::size_t count) {
    values.resize(count);
    if (count > 0) std::memcpy(values.data(), at, count * sizeof(T));
    at += count * sizeof(T);
  };
  get(shares_[party], elements_.size());
  for (const std::size_t a : sets_of(party)) get(draw_claims_[a].emplace_back(party, 0).second, draws_);
  for (const std::size_t e : zero_sets_of(party))
    get(zero_claims_[e].emplace_back(party, 0).second, chi_count(e) * elements_.size());
  return {};
}

template <Word Z>
std::vector<std::size_t> Resolution<Z>::disputed_zero_sets() const {
  std::vector<std::size_t> out;
  for (std::size_t e = 0; e < zero_sets_.size(); ++e)
    for (const auto& [party, claim] : zero_claims_[e])
      if (claim != zero_claims_[e].front().second) {
        out.push_back(e);
        break;
      }
  return out;
}

template <Word Z>
void Resolution<Z>::zero_key(std::size_t zero_set, const SetKey& key, SessionId session) {
  const Prf chi = session_prf(key, session, PrfPurpose::chi_zero);
  std::vector<Gr<Z>>& out = opened_zeros_[zero_set];
  for (const std::size_t element : elements_)
    for (std::size_t e = 1; e <= chi_count(zero_set); ++e)
      out.push_back(chi.element<Z>(element, static_cast<std::uint8_t>(e)));
}

template <Word Z>
void Resolution<Z>::settle() {
  // Most members of A are honest.
  for (const auto& claims : draw_claims_) {
    std::size_t best = 0;
    std::ptrdiff_t best_votes = 0;
    for (std::size_t i = 0; i < claims.size(); ++i) {
      const auto votes =
          std::ranges::count_if(claims, [&](const auto& other) { return other.second == claims[i].second; });
      if (votes > best_votes) best = i, best_votes = votes;
    }
    draw_truth_.push_back(claims.empty() ? std::vector<Z>(draws_) : claims[best].second);
  }
  // Every E has more than t holders: what they all claim is right.
  for (std::size_t e = 0; e < zero_sets_.size(); ++e) {
    const auto opened = opened_zeros_.find(e);
    const auto& claims = zero_claims_[e];
    if (opened != opened_zeros_.end())
      zero_truth_.push_back(opened->second);
    else
      zero_truth_.push_back(claims.empty() ? std::vector<Gr<Z>>(chi_count(e) * elements_.size())
                                           : claims.front().second);
  }
}

template <Word Z>
std::vector<typename Resolution<Z>::Liar> Resolution<Z>::liars() const {
  std::map<Role, std::string> out;
  for (std::size_t a = 0; a < sets_.size(); ++a)
    for (const auto& [party, claim] : draw_claims_[a])
      if (claim != draw_truth_[a])
        out.try_emplace(party, "it claimed another value of a set key's stream than most members");
  for (std::size_t e = 0; e < zero_sets_.size(); ++e)
    for (const auto& [party, claim] : zero_claims_[e])
      if (claim != zero_truth_[e])
        out.try_emplace(party, "it claimed another value of a zero sharing than its key gives");
  for (const auto& [party, shares] : shares_)
    for (std::size_t i = 0; i < shares.size(); ++i)
      if (shares[i] != true_share(party, i)) out.try_emplace(party, "it broadcast a share that is not its own");
  std::vector<Liar> list;
  for (auto& [party, reason] : out) list.push_back({party, std::move(reason)});
  return list;
}

template <Word Z>
Gr<Z> Resolution<Z>::true_share(Role party, std::size_t position) const {
  std::size_t first_draw = 0;
  for (std::size_t i = 0; i < position; ++i) first_draw += counters_[i].size();
  std::vector<Gr<Z>> draws(counters_[position].size());
  for (const std::size_t a : sets_of(party)) {
    const auto value = algebra::integer_set_value(sets_[a].outside(committee_), party);
    Gr<Z> scale;
    for (std::size_t c = 0; c < 4; ++c) scale.c[c] = static_cast<Z>(std::int64_t{value.c[c]});
    for (std::size_t d = 0; d < draws.size(); ++d) draws[d] += scale * draw_truth_[a][first_draw + d];
  }
  Gr<Z> out = batch_.content(elements_[position], draws);

  const Gr<Z> alpha = algebra::evaluation_point<Z>(party);
  for (const std::size_t e : zero_sets_of(party)) {
    const std::size_t count = chi_count(e);
    Gr<Z> sum;
    for (std::size_t i = count; i-- > 0;) sum = (sum + zero_truth_[e][position * count + i]) * alpha;
    for (const Role outsider : zero_sets_[e].members()) sum = sum * (alpha - algebra::evaluation_point<Z>(outsider));
    out += sum;
  }
  return out;
}

template struct Revealed<Z64>;
template struct Revealed<Z128>;
template class Resolution<Z64>;
template class Resolution<Z128>;

}  // namespace witan::mpc
