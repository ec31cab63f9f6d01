#include "mpc/prss.h"

#include <algorithm>

#include "base/check.h"
#include "base/codec.h"
#include "crypto/separators.h"

namespace witan::mpc {
namespace {

/// 2 C(n,t) 2^110 + 2^70 < 2^122, half a box (security.md S37); CommitteeSize admits at most 2047 sets.
static_assert(2 * u128{2047} * (u128{1} << kMaskBoundLog2) + (u128{1} << 70) < u128{1} << 122);

std::vector<PartySet> own_sets(CommitteeSize committee, Role self) {
  std::vector<PartySet> out;
  for (const PartySet set : key_sets(committee))
    if (set.contains(self)) out.push_back(set);
  return out;
}

SetKey first_16(crypto::Shake256& hash) {
  SetKey out;
  hash.finish(out);
  return out;
}

}  // namespace

std::vector<Role> PartySet::members() const {
  std::vector<Role> out;
  for (int i = 1; i <= Role::kMax; ++i)
    if (contains(Role(i))) out.push_back(Role(i));
  return out;
}

std::vector<Role> PartySet::outside(CommitteeSize committee) const {
  std::vector<Role> out;
  for (int i = 1; i <= committee.parties(); ++i)
    if (!contains(Role(i))) out.push_back(Role(i));
  return out;
}

std::vector<PartySet> key_sets(CommitteeSize committee) {
  const int n = committee.parties(), size = n - committee.threshold();
  std::vector<PartySet> out;
  std::vector<int> chosen(static_cast<std::size_t>(size));
  for (int i = 0; i < size; ++i) chosen[static_cast<std::size_t>(i)] = i;
  for (;;) {
    unsigned bits = 0;
    for (const int member : chosen) bits |= 1u << member;
    out.emplace_back(static_cast<std::uint16_t>(bits));
    int at = size - 1;
    while (at >= 0 && chosen[static_cast<std::size_t>(at)] == n - size + at) --at;
    if (at < 0) return out;
    ++chosen[static_cast<std::size_t>(at)];
    for (int i = at + 1; i < size; ++i)
      chosen[static_cast<std::size_t>(i)] = chosen[static_cast<std::size_t>(i - 1)] + 1;
  }
}

SetKeys::SetKeys(CommitteeSize committee, Role self, Secret<std::vector<SetKey>> keys)
    : committee_(committee), self_(self), sets_(own_sets(committee, self)), keys_(std::move(keys)) {
  WITAN_CHECK(committee.contains(self) && keys_.reveal().size() == sets_.size());
}

SetKey prf_key(const SetKey& key, SessionId session, PrfPurpose purpose) {
  const ByteArray<1> number{static_cast<std::uint8_t>(purpose)};
  crypto::Shake256 hash(crypto::separators::kPrssKey);
  hash.update(key).update(session.bytes()).update(number);
  return first_16(hash);
}

SetKey mask_base_key(const SetKey& key) {
  crypto::Shake256 hash(crypto::separators::kMaskBaseKey);
  hash.update(key);
  return first_16(hash);
}

template <Word Z>
Z Prf::word(std::uint64_t counter) const {
  ByteArray<16> block{};
  store_le(counter, block.data());
  aes_.encrypt(block);
  return static_cast<Z>(load_le<Z128>(block.data()));
}

template <Word Z>
Gr<Z> Prf::element(std::uint64_t counter, std::uint8_t j) const {
  ByteArray<64> blocks{};
  for (std::uint8_t i = 0; i < 4; ++i) {
    std::uint8_t* block = blocks.data() + 16 * i;
    store_le(counter, block);
    block[13] = j;
    block[14] = i;
  }
  aes_.encrypt(blocks);
  Gr<Z> out;
  for (std::size_t i = 0; i < 4; ++i) out.c[i] = static_cast<Z>(load_le<Z128>(blocks.data() + 16 * i));
  return out;
}

Prf session_prf(const SetKey& key, SessionId session, PrfPurpose purpose) {
  const Secret<SetKey> derived(prf_key(key, session, purpose));
  return Prf(derived.reveal());
}

template <Word Z>
Prss<Z>::Prss(const SetKeys& keys, SessionId session) {
  const auto prf = [&](std::size_t set, PrfPurpose purpose) { return session_prf(keys.key(set), session, purpose); };
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const auto outside = keys.sets()[i].outside(keys.committee());
    sets_.push_back({prf(i, PrfPurpose::psi), prf(i, PrfPurpose::chi), prf(i, PrfPurpose::psi0),
                     algebra::set_polynomial<Z>(outside, keys.self()),
                     algebra::integer_set_value(outside, keys.self())});
  }
  const auto powers =
      algebra::vandermonde_row<Z>(keys.self(), static_cast<std::size_t>(keys.committee().threshold()) + 1);
  powers_.assign(powers.begin() + 1, powers.end());
}

template <Word Z>
Share<Z> Prss<Z>::random(std::uint64_t counter) const {
  WITAN_CHECK(counter < kMaxBlocksPerKey / 4);
  Share<Z> out;
  for (const OneSet& set : sets_) out.value += set.psi.template element<Z>(counter, 0) * set.polynomial;
  return out;
}

template <Word Z>
Share<Z> Prss<Z>::zero(std::uint64_t counter) const {
  WITAN_CHECK(counter < kMaxBlocksPerKey / (4 * powers_.size()));
  Share<Z> out;
  for (const OneSet& set : sets_) {
    Gr<Z> sum;
    for (std::size_t j = 0; j < powers_.size(); ++j)
      sum += set.chi.template element<Z>(counter, static_cast<std::uint8_t>(j + 1)) * powers_[j];
    out.value += sum * set.polynomial;
  }
  return out;
}

template <Word Z>
BaseShare<Z> Prss<Z>::base(std::uint64_t counter) const {
  WITAN_CHECK(counter < kMaxBlocksPerKey);
  BaseShare<Z> out;
  for (const OneSet& set : sets_) {
    const Z word = set.psi0.template word<Z>(counter);
    for (std::size_t c = 0; c < 4; ++c) out.value.c[c] += word * static_cast<Z>(set.base_polynomial.c[c]);
  }
  return out;
}

ByteArray<32> mask_key_input(SessionId session, const crypto::Digest& context) {
  return crypto::Shake256(crypto::separators::kMaskInput).update(session.bytes()).update(context).finish();
}

Secret<std::vector<SetKey>> mask_keys(const AesKeys& base_keys, const ByteArray<32>& input) {
  SetKey h1;
  std::copy_n(input.begin(), 16, h1.begin());
  Secret<std::vector<SetKey>> states(std::vector<SetKey>(base_keys.size(), h1));
  base_keys.encrypt_each(states.reveal_mutable());
  const auto h2 = load_le<u128>(input.data() + 16);
  for (SetKey& state : states.reveal_mutable()) store_le(load_le<u128>(state.data()) ^ h2, state.data());
  base_keys.encrypt_each(states.reveal_mutable());
  return states;
}

namespace {

AesKeys mask_base_keys(const SetKeys& keys) {
  Secret<std::vector<SetKey>> bases(std::vector<SetKey>(keys.size()));
  for (std::size_t i = 0; i < keys.size(); ++i) bases.reveal_mutable()[i] = mask_base_key(keys.key(i));
  return AesKeys(bases.reveal());
}

}  // namespace

MaskGenerator::MaskGenerator(const SetKeys& keys) : base_keys_(mask_base_keys(keys)) {
  std::vector<Gr<Z128>> polynomials;
  for (const PartySet set : keys.sets())
    polynomials.push_back(algebra::set_polynomial<Z128>(set.outside(keys.committee()), keys.self()));
  polynomials_ = algebra::DotVector(polynomials);
  for (const Gr<Z128>& polynomial : polynomials) offset_ += polynomial;
  offset_ = offset_ * (Z128{1} << (kMaskBoundLog2 + 1));
}

Result<Secret<std::vector<Share<Z128>>>> MaskGenerator::masks(SessionId session, const crypto::Digest& context,
                                                              std::size_t first, std::size_t count) const {
  constexpr std::size_t kPiece = 8;  // blocks whose sums are held at a time: 64 KB at n = 13
  constexpr std::size_t kMaxBlocks = kMaxBlocksPerKey / 2;
  if (first > kMaxBlocks || count > kMaxBlocks - first)
    return fail(Code::invalid_argument, "blocks {} to {} of one ciphertext; a mask key serves {}", first, first + count,
                kMaxBlocks);
  const AesKeys keys(mask_keys(base_keys_, mask_key_input(session, context)).reveal());
  Secret out{std::vector<Share<Z128>>(count)};
  Secret sums{std::vector<Z128>(std::min(kPiece, count) * keys.row_size())};
  std::array<std::span<const Z128>, kPiece> rows;
  Secret<std::array<Gr<Z128>, kPiece>> products;
  for (std::size_t at = 0; at < count; at += kPiece) {
    const std::size_t blocks = std::min(kPiece, count - at);
    keys.add_pairs(2 * (first + at), kMaskBoundLog2 + 1,
                   std::span(sums.reveal_mutable()).first(blocks * keys.row_size()));
    for (std::size_t q = 0; q < blocks; ++q)
      rows[q] = std::span(sums.reveal()).subspan(q * keys.row_size(), keys.size());
    polynomials_.multiply(std::span(rows).first(blocks), std::span(products.reveal_mutable()).first(blocks));
    for (std::size_t q = 0; q < blocks; ++q) out.reveal_mutable()[at + q].value = products.reveal()[q] - offset_;
  }
  return out;
}

#define WITAN_INSTANTIATE(Z)                                      \
  template Z Prf::word(std::uint64_t) const;                      \
  template Gr<Z> Prf::element(std::uint64_t, std::uint8_t) const; \
  template class Prss<Z>;
WITAN_INSTANTIATE(Z64)
WITAN_INSTANTIATE(Z128)
#undef WITAN_INSTANTIATE

}  // namespace witan::mpc
