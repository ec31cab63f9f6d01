#include "mpc/bit_kernel.h"

#include <algorithm>

#include "base/check.h"

namespace witan::mpc {
namespace {

Status check_range(const char* what, std::uint64_t first, std::size_t count, std::uint64_t limit) {
  if (first > limit || count > limit - first)
    return fail(Code::invalid_argument, "{} {} to {} of one session; its keys serve {}", what, first, first + count,
                limit);
  return {};
}

/// S18. `before`: words in front of these, for the message.
template <Word Z>
Status check_even(std::span<const Z> words, std::size_t before = 0) {
  const auto odd = std::ranges::find_if(words, [](Z word) { return (word & 1) != 0; });
  if (odd != words.end())
    return fail(Code::internal, "word {} of the opened random bits is odd; a^2 + a is even",
                before + static_cast<std::size_t>(odd - words.begin()));
  return {};
}

/// The draws of a batch come from memory, and the processor's own prefetching does not keep up with what little is computed for each.
constexpr std::size_t kPrefetchBytes = 1024;
template <Word Z>
void prefetch_after(const Share<Z>& draw) {
  __builtin_prefetch(reinterpret_cast<const char*>(&draw) + kPrefetchBytes);
}

/// One noise. Precondition: one window of even words.
template <Word Z>
Gr<Z> noise(std::span<const Share<Z>> a, std::span<const Z> v, int bound_log2) {
  const std::size_t top = v.size() - 1;
  Gr<Z> out = Gr<Z>::from_base(-(Z{1} << bound_log2));
  for (std::size_t i = 0; i <= top; ++i) {
    prefetch_after(a[i]);
    auto [root, scale] = even_root(v[i]);
    if (i < top) scale <<= top - i - 1;
    Gr<Z> difference = a[i].value;
    difference.c[0] -= root;
    out += difference * scale;
  }
  return out;
}

template <Word Z>
Status check_windows(std::span<const Share<Z>> a, std::span<const Z> v, int bound_log2, std::size_t noises) {
  WITAN_CHECK(bound_log2 >= 0 && bound_log2 < 62);
  WITAN_CHECK(a.size() == v.size() && v.size() == noises * (static_cast<std::size_t>(bound_log2) + 2));
  return check_even(v);
}

/// The even root r and 1 / (1 + 2r) modulo 2^8, for v = 0, 2, ..., 254.
struct SmallRoot {
  std::uint8_t root, inverse;
};
constexpr auto kSmallRoots = [] {
  std::array<SmallRoot, 128> out{};
  for (unsigned r = 0; r < 256; r += 2) {
    unsigned inverse = 1;
    while ((inverse * (1 + 2 * r) & 0xff) != 1) inverse += 2;
    out[(r * r + r & 0xff) / 2] = {static_cast<std::uint8_t>(r), static_cast<std::uint8_t>(inverse)};
  }
  return out;
}();

/// r and 1 / (1 + 2r) modulo 2^64, by Newton's iterations for both: each step doubles the bits that are right.
struct RootAndInverse {
  Z64 root, inverse;
};
RootAndInverse root_and_inverse(Z64 v) {
  const SmallRoot& start = kSmallRoots[v / 2 % kSmallRoots.size()];
  Z64 root = start.root, inverse = start.inverse;
  for (int bits = 8; bits < 64; bits *= 2) {
    root -= (root * root + root - v) * inverse;
    inverse *= 2 - (1 + 2 * root) * inverse;
  }
  return {root, inverse};
}

}  // namespace

EvenRoot<Z64> even_root(Z64 v) {
  const auto [root, inverse] = root_and_inverse(v);
  return {root, -inverse};
}

/// One more step. What is right already is 0 modulo 2^64 in both corrections, so that they are products of 64 bits.
EvenRoot<Z128> even_root(Z128 v) {
  const auto [low, inverse] = root_and_inverse(static_cast<Z64>(v));
  const Z128 error = Z128{low} * low + low - v;
  const Z128 root = low - (Z128{static_cast<Z64>(error >> 64) * inverse} << 64);
  const Z128 product = (1 + 2 * root) * inverse;
  return {root, (Z128{static_cast<Z64>(product >> 64) * inverse} << 64) - inverse};
}

namespace {

/// The keys of a session from those of sets A or E.
template <class Keys>
Secret<std::vector<SetKey>> derived_keys(const Keys& keys, SessionId session, PrfPurpose purpose) {
  Secret<std::vector<SetKey>> out(std::vector<SetKey>(keys.size()));
  for (std::size_t i = 0; i < keys.size(); ++i) out.reveal_mutable()[i] = prf_key(keys.key(i), session, purpose);
  return out;
}

template <Word Z>
StreamSums<Z> base_draws(const SetKeys& keys, SessionId session) {
  std::vector<typename StreamSums<Z>::Stream> streams;
  for (std::size_t i = 0; i < keys.size(); ++i)
    streams.push_back({i, 0, algebra::integer_set_value(keys.sets()[i].outside(keys.committee()), keys.self()).c});
  return {derived_keys(keys, session, PrfPurpose::psi0).reveal(), streams};
}

/// A stream for every coefficient i of every chi(z_E, l, e), with the integers of X^i alpha^e prod_{j in E} (alpha - alpha_j).
template <Word Z>
StreamSums<Z> zero_sharings(const ZeroKeys& keys, SessionId session) {
  const auto alpha = algebra::evaluation_point<Z64>(keys.self());
  std::vector<typename StreamSums<Z>::Stream> streams;
  for (std::size_t set = 0; set < keys.size(); ++set) {
    const PartySet excluded = keys.sets()[set];
    Gr<Z64> product = Gr<Z64>::one();
    for (const Role j : excluded.members()) product = product * (alpha - algebra::evaluation_point<Z64>(j));
    const std::size_t draws = draws_per_zero(keys.committee(), excluded);
    WITAN_CHECK(draws == 1);  // S6: kMaxElementsPerSession counts on it
    for (std::uint64_t e = 1; e <= draws; ++e) {
      product = product * alpha;
      Gr<Z64> shifted = product;
      for (std::uint64_t i = 0; i < 4; ++i, shifted = shifted.times_x())
        streams.push_back({set, e << 40 | i << 48, algebra::small_coefficients(shifted)});  // bytes 13 and 14
    }
  }
  return {derived_keys(keys, session, PrfPurpose::chi_zero).reveal(), streams};
}

}  // namespace

template <Word Z>
BitKernel<Z>::BitKernel(const SetKeys& keys, const ZeroKeys& zeros, SessionId session)
    : base_(base_draws<Z>(keys, session)), zeros_(zero_sharings<Z>(zeros, session)) {
  WITAN_CHECK(keys.committee() == zeros.committee() && keys.self() == zeros.self());
}

template <Word Z>
Status BitKernel<Z>::prepare(std::uint64_t first, std::span<Share<Z>> a, std::span<Share<Z>> w) const {
  WITAN_CHECK(a.size() == 4 * w.size());
  WITAN_TRY(check_range("elements", first, w.size(), kMaxElementsPerSession));
  constexpr std::size_t kPiece = 64;  // elements: what one part writes is in the cache for the next one
  Scratch scratch;
  for (std::size_t at = 0; at < w.size(); at += kPiece) {
    const auto sharings = w.subspan(at, std::min(kPiece, w.size() - at));
    const auto draws = a.subspan(4 * at, 4 * sharings.size());
    zeros_.sums(first + at, sharings, scratch);
    base_.sums(4 * (first + at), draws, scratch);
    for (std::size_t i = 0; i < sharings.size(); ++i) {
      std::array<Gr<Z>, 4> words;
      for (std::size_t c = 0; c < 4; ++c) {
        const Gr<Z>& draw = draws[4 * i + c].value;
        words[c] = draw.squared() + draw;
      }
      sharings[i].value += algebra::pack(words.data(), 4);
    }
  }
  return {};
}

template <Word Z>
Status BitKernel<Z>::bits(std::span<const Share<Z>> a, std::span<const Z> v, std::span<Share<Z>> bits) {
  WITAN_CHECK(a.size() == v.size() && v.size() == bits.size());
  WITAN_TRY(check_even(v));
  for (std::size_t j = 0; j < a.size(); ++j) {
    const auto [root, scale] = even_root(v[j]);
    Gr<Z> difference = a[j].value;
    difference.c[0] -= root;
    bits[j].value = difference * scale;
  }
  return {};
}

template <Word Z>
Status BitKernel<Z>::bits(std::span<const Share<Z>> a, std::span<const Gr<Z>> opened, std::span<Share<Z>> bits) {
  WITAN_CHECK(a.size() == bits.size() && bits.size() == 4 * opened.size());
  for (std::size_t i = 0; i < opened.size(); ++i) WITAN_TRY(check_even(std::span<const Z>(opened[i].c), 4 * i));
  for (std::size_t i = 0; i < opened.size(); ++i)
    WITAN_TRY(BitKernel::bits(a.subspan(4 * i, 4), std::span<const Z>(opened[i].c), bits.subspan(4 * i, 4)));
  return {};
}

template <Word Z>
Status BitKernel<Z>::base(std::uint64_t first, std::span<BaseShare<Z>> out) const {
  WITAN_TRY(check_range("base draws", first, out.size(), kMaxBitsPerSession));
  Scratch scratch;
  base_.sums(first, out, scratch);
  return {};
}

template <Word Z>
Status BitKernel<Z>::zero(std::uint64_t first, std::span<Share<Z>> out) const {
  WITAN_TRY(check_range("zero sharings", first, out.size(), kMaxElementsPerSession));
  Scratch scratch;
  zeros_.sums(first, out, scratch);
  return {};
}

template <Word Z>
Status noises(std::span<const Share<Z>> a, std::span<const Z> v, int bound_log2, std::span<Share<Z>> out) {
  WITAN_TRY(check_windows(a, v, bound_log2, out.size()));
  const std::size_t window = static_cast<std::size_t>(bound_log2) + 2;
  for (std::size_t i = 0; i < out.size(); ++i)
    out[i].value = noise(a.subspan(i * window, window), v.subspan(i * window, window), bound_log2);
  return {};
}

template <Word Z>
Status packed_noises(std::span<const Share<Z>> a, std::span<const Z> v, int bound_log2, std::span<Share<Z>> out) {
  WITAN_TRY(check_windows(a, v, bound_log2, 4 * out.size()));
  const std::size_t window = static_cast<std::size_t>(bound_log2) + 2;
  for (std::size_t i = 0; i < out.size(); ++i) {
    std::array<Gr<Z>, 4> four;
    for (std::size_t c = 0; c < 4; ++c)
      four[c] = noise(a.subspan((4 * i + c) * window, window), v.subspan((4 * i + c) * window, window), bound_log2);
    out[i].value = algebra::pack(four.data(), 4);
  }
  return {};
}

#define WITAN_INSTANTIATE(Z)                                                                       \
  template class BitKernel<Z>;                                                                     \
  template Status noises(std::span<const Share<Z>>, std::span<const Z>, int, std::span<Share<Z>>); \
  template Status packed_noises(std::span<const Share<Z>>, std::span<const Z>, int, std::span<Share<Z>>);
WITAN_INSTANTIATE(Z64)
WITAN_INSTANTIATE(Z128)
#undef WITAN_INSTANTIATE

}  // namespace witan::mpc
