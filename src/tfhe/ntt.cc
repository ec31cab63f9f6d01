#include "tfhe/ntt.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tfhe/ntt.cc"
#include <hwy/foreach_target.h>  // this file once per target
#include <hwy/highway.h>
#include <hwy/targets.h>

#include <algorithm>
#include <bit>
#include <mutex>

#include "base/check.h"
#include "base/secret.h"
#include "tfhe/ntt_tables.h"

HWY_BEFORE_NAMESPACE();
namespace witan::tfhe::HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;
using D = hn::CappedTag<double, 8>;
using V = hn::Vec<D>;
using DU = hn::RebindToUnsigned<D>;
using DI = hn::RebindToSigned<D>;
constexpr D d;
constexpr DU du;
constexpr DI di;
// Integers as the low bits of a double of known exponent: unsigned below 2^52, signed below 2^51.
constexpr u64 kMagicUnsigned = 0x4330000000000000, kMagicSigned = 0x4338000000000000;

HWY_INLINE std::size_t lanes() {
  return hn::Lanes(d);
}

struct Field {
  explicit Field(const ntt::Prime& prime) : p(hn::Set(d, prime.p)), inverse_p(hn::Set(d, prime.inverse_p)) {}
  HWY_INLINE V multiply(V a, V b) const {
    const V h = hn::Mul(a, b);
    const V l = hn::MulSub(a, b, h);
    const V q = hn::Round(hn::Mul(h, inverse_p));
    return hn::Add(hn::NegMulAdd(q, p, h), l);
  }
  HWY_INLINE V reduce(V a) const { return hn::NegMulAdd(hn::Round(hn::Mul(a, inverse_p)), p, a); }
  V p, inverse_p;
};

// Levels inside of vectors. exchange(S) of a pair of vectors puts the elements that are S lanes apart into the same lane of the
// two; it undoes itself.
template <std::size_t kStride>
HWY_INLINE void exchange(V& x, V& y) {
  const V a = x, b = y;
  if constexpr (kStride == 1) {
    x = hn::InterleaveLower(d, a, b);
    y = hn::InterleaveUpper(d, a, b);
  } else if constexpr (kStride == 2 && HWY_LANES(double) == 8) {
    x = hn::OddEvenBlocks(hn::SwapAdjacentBlocks(b), a);
    y = hn::OddEvenBlocks(b, hn::SwapAdjacentBlocks(a));
  } else {
    x = hn::ConcatLowerLower(d, b, a);
    y = hn::ConcatUpperUpper(d, b, a);
  }
}

template <std::size_t kStride>
HWY_INLINE void forward_inside(const Field& field, const double* roots, std::size_t level_step, V& x, V& y) {
  exchange<kStride>(x, y);
  const V product = field.multiply(y, hn::Load(d, roots));
  y = hn::Sub(x, product);
  x = hn::Add(x, product);
  if constexpr (kStride > 1) forward_inside<kStride / 2>(field, roots + level_step, level_step, x, y);
}

template <std::size_t kStride>
HWY_INLINE void inverse_inside(const Field& field, const double* roots, std::size_t level_step, V& x, V& y) {
  if constexpr (kStride > 1) inverse_inside<kStride / 2>(field, roots + level_step, level_step, x, y);
  const V difference = hn::Sub(x, y);
  x = hn::Add(x, y);
  y = field.multiply(difference, hn::Load(d, roots));
  exchange<kStride>(x, y);
}

constexpr std::size_t kFirstStride = HWY_LANES(double) / 2;

/// Cooley and Tukey, two levels per pass. Values grow by less than 0.9 p per level.
void forward_one(const ntt::Prime& prime, std::size_t n, double* HWY_RESTRICT a) {
  const Field field(prime);
  const std::size_t step = lanes();
  const double* w = prime.roots.data();
  std::size_t m = 1, half = n / 2;  // blocks of this level, distance of its pairs
  const auto across = static_cast<unsigned>(std::bit_width(n / step)) - 1;
  if (across % 2 == 1) {
    const V root = hn::Set(d, w[1]);
    for (std::size_t j = 0; j < half; j += step) {
      const V x = hn::Load(d, a + j), y = field.multiply(hn::Load(d, a + j + half), root);
      hn::Store(hn::Add(x, y), d, a + j);
      hn::Store(hn::Sub(x, y), d, a + j + half);
    }
    m = 2;
    half /= 2;
  }
  for (; half >= step; m *= 4, half /= 4) {
    const std::size_t q = half / 2;
    for (std::size_t i = 0; i < m; ++i) {
      const V root = hn::Set(d, w[m + i]), left = hn::Set(d, w[2 * (m + i)]), right = hn::Set(d, w[2 * (m + i) + 1]);
      double* block = a + 2 * half * i;
      for (std::size_t j = 0; j < q; j += step) {
        const V a0 = hn::Load(d, block + j), a1 = hn::Load(d, block + j + q);
        const V a2 = field.multiply(hn::Load(d, block + j + 2 * q), root);
        const V a3 = field.multiply(hn::Load(d, block + j + 3 * q), root);
        const V b0 = hn::Add(a0, a2), b2 = hn::Sub(a0, a2);
        const V b1 = field.multiply(hn::Add(a1, a3), left), b3 = field.multiply(hn::Sub(a1, a3), right);
        hn::Store(hn::Add(b0, b1), d, block + j);
        hn::Store(hn::Sub(b0, b1), d, block + j + q);
        hn::Store(hn::Add(b2, b3), d, block + j + 2 * q);
        hn::Store(hn::Sub(b2, b3), d, block + j + 3 * q);
      }
    }
  }
  const double* roots = prime.lane_roots.data();
  for (std::size_t j = 0; j < n; j += 2 * step, roots += step) {
    V x = hn::Load(d, a + j), y = hn::Load(d, a + j + step);
    forward_inside<kFirstStride>(field, roots, n / 2, x, y);
    hn::Store(x, d, a + j);
    hn::Store(y, d, a + j + step);
  }
}

/// Gentleman and Sande, backwards through the same passes, without the division by n.
void inverse_one(const ntt::Prime& prime, std::size_t n, double* HWY_RESTRICT a) {
  const Field field(prime);
  const std::size_t step = lanes();
  const double* w = prime.inverse_roots.data();
  const double* roots = prime.inverse_lane_roots.data();
  for (std::size_t j = 0; j < n; j += 2 * step, roots += step) {
    V x = hn::Load(d, a + j), y = hn::Load(d, a + j + step);
    inverse_inside<kFirstStride>(field, roots, n / 2, x, y);
    hn::Store(field.reduce(x), d, a + j);
    hn::Store(field.reduce(y), d, a + j + step);
  }
  const auto across = static_cast<unsigned>(std::bit_width(n / step)) - 1;
  std::size_t q = step;  // distance of the pairs of this level
  std::size_t m = n / (4 * q);
  for (unsigned level = 0; level + 1 < across; level += 2, q *= 4, m /= 4) {
    for (std::size_t i = 0; i < m; ++i) {
      const V root = hn::Set(d, w[m + i]), left = hn::Set(d, w[2 * (m + i)]), right = hn::Set(d, w[2 * (m + i) + 1]);
      double* block = a + 4 * q * i;
      for (std::size_t j = 0; j < q; j += step) {
        const V a0 = hn::Load(d, block + j), a1 = hn::Load(d, block + j + q);
        const V a2 = hn::Load(d, block + j + 2 * q), a3 = hn::Load(d, block + j + 3 * q);
        const V b0 = hn::Add(a0, a1), b1 = field.multiply(hn::Sub(a0, a1), left);
        const V b2 = hn::Add(a2, a3), b3 = field.multiply(hn::Sub(a2, a3), right);
        hn::Store(field.reduce(hn::Add(b0, b2)), d, block + j);
        hn::Store(hn::Add(b1, b3), d, block + j + q);
        hn::Store(field.multiply(hn::Sub(b0, b2), root), d, block + j + 2 * q);
        hn::Store(field.multiply(hn::Sub(b1, b3), root), d, block + j + 3 * q);
      }
    }
  }
  if (across % 2 == 1) {
    const V root = hn::Set(d, w[1]);
    const std::size_t half = n / 2;
    for (std::size_t j = 0; j < half; j += step) {
      const V x = hn::Load(d, a + j), y = hn::Load(d, a + j + half);
      hn::Store(field.reduce(hn::Add(x, y)), d, a + j);
      hn::Store(field.multiply(hn::Sub(x, y), root), d, a + j + half);
    }
  }
}

HWY_INLINE V from_unsigned(hn::Vec<DU> bits) {
  return hn::Sub(hn::BitCast(d, hn::Or(bits, hn::Set(du, kMagicUnsigned))),
                 hn::BitCast(d, hn::Set(du, kMagicUnsigned)));
}
HWY_INLINE V from_signed(hn::Vec<DI> value) {
  const auto magic = hn::Set(di, static_cast<i64>(kMagicSigned));
  return hn::Sub(hn::BitCast(d, hn::Add(value, magic)), hn::BitCast(d, magic));
}

void load_words(const ntt::Prime& prime, const u64* words, std::size_t n, double* out) {
  const Field field(prime);
  const V two32 = hn::Set(d, prime.two32);
  const auto low = hn::Set(du, 0xffffffff);
  for (std::size_t j = 0; j < n; j += lanes()) {
    const auto word = hn::LoadU(du, words + j);
    const V high = from_signed(hn::ShiftRight<32>(hn::BitCast(di, word)));
    hn::Store(hn::Add(field.multiply(high, two32), from_unsigned(hn::And(word, low))), d, out + j);
  }
}

void load_words(const ntt::Prime& prime, const u128* words, std::size_t n, double* out) {
  const Field field(prime);
  const V two43 = hn::Set(d, prime.two43), two86 = hn::Set(d, prime.two86);
  const auto low = hn::Set(du, (u64{1} << 43) - 1);
  const auto* halves = reinterpret_cast<const u64*>(words);
  for (std::size_t j = 0; j < n; j += lanes()) {
    hn::Vec<DU> lower, upper;
    hn::LoadInterleaved2(du, halves + 2 * j, lower, upper);
    const V limb0 = from_unsigned(hn::And(lower, low));
    const V limb1 = from_unsigned(hn::And(hn::Or(hn::ShiftRight<43>(lower), hn::ShiftLeft<21>(upper)), low));
    const V limb2 = from_signed(hn::ShiftRight<22>(hn::BitCast(di, upper)));
    const V higher = hn::Add(field.multiply(limb1, two43), field.multiply(limb2, two86));
    hn::Store(hn::Add(higher, limb0), d, out + j);
  }
}

template <class W>
void forward(const ntt::View& view, const W* words, double* out) {
  for (const ntt::Prime& prime : view.primes) {
    load_words(prime, words, view.n, out);
    forward_one(prime, view.n, out);
    out += view.n;
  }
}
void forward_u64(const ntt::View& view, const u64* words, double* out) {
  forward(view, words, out);
}
void forward_u128(const ntt::View& view, const u128* words, double* out) {
  forward(view, words, out);
}

void forward_digits(const ntt::View& view, const i64* digits, double* out) {
  for (const ntt::Prime& prime : view.primes) {
    for (std::size_t j = 0; j < view.n; j += lanes()) hn::Store(from_signed(hn::LoadU(di, digits + j)), d, out + j);
    forward_one(prime, view.n, out);
    out += view.n;
  }
}

void normalise(const ntt::View& view, double* values) {
  for (const ntt::Prime& prime : view.primes) {
    const Field field(prime);
    for (std::size_t j = 0; j < view.n; j += lanes()) hn::Store(field.reduce(hn::Load(d, values + j)), d, values + j);
    values += view.n;
  }
}

/// Terms between reductions: 1/2 p and 8 times 0.9 p are below 2^51.
constexpr std::size_t kTermsAtOnce = 8;

void multiply_add(const ntt::View& view, double* sum, const double* a, std::size_t terms, const double* b,
                  std::size_t stride) {
  const std::size_t size = view.n * view.primes.size();
  for (std::size_t q = 0; q < view.primes.size(); ++q) {
    const Field field(view.primes[q]);
    for (std::size_t j = q * view.n; j < (q + 1) * view.n; j += lanes()) {
      V total = hn::Load(d, sum + j);
      for (std::size_t first = 0; first < terms; first += kTermsAtOnce) {
        const std::size_t end = std::min(terms, first + kTermsAtOnce);
        for (std::size_t t = first; t < end; ++t)
          total = hn::Add(total, field.multiply(hn::Load(d, a + t * size + j), hn::Load(d, b + t * stride + j)));
        total = field.reduce(total);
      }
      hn::Store(total, d, sum + j);
    }
  }
}

/// Per prime the balanced y = residue (M/p)^-1 as integers, in place; and k = round(sum y / p) of each coefficient.
void inverse(const ntt::View& view, double* values, i64* k) {
  const std::size_t n = view.n;
  for (std::size_t q = 0; q < view.primes.size(); ++q) inverse_one(view.primes[q], n, values + q * n);
  const auto magic = hn::Set(di, static_cast<i64>(kMagicSigned));
  const auto to_integer = [&](V value) {
    return hn::Sub(hn::BitCast(di, hn::Add(value, hn::BitCast(d, magic))), magic);
  };
  for (std::size_t j = 0; j < n; j += lanes()) {
    V fractions = hn::Zero(d);
    for (std::size_t q = 0; q < view.primes.size(); ++q) {
      const Field field(view.primes[q]);
      const V y = field.multiply(hn::Load(d, values + q * n + j), hn::Set(d, view.primes[q].crt));
      fractions = hn::MulAdd(y, field.inverse_p, fractions);
      hn::Store(hn::BitCast(d, to_integer(y)), d, values + q * n + j);
    }
    hn::StoreU(to_integer(hn::Round(fractions)), di, k + j);
  }
}

std::size_t vector_lanes() {
  return lanes();
}
i64 this_target() {
  return HWY_TARGET;
}
static_assert(HWY_NATIVE_FMA, "a product needs its exact rest");

}  // namespace
}  // namespace witan::tfhe::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace witan::tfhe {

HWY_EXPORT(forward_u64);
HWY_EXPORT(forward_u128);
HWY_EXPORT(forward_digits);
HWY_EXPORT(normalise);
HWY_EXPORT(multiply_add);
HWY_EXPORT(inverse);
HWY_EXPORT(vector_lanes);
HWY_EXPORT(this_target);

namespace {

constexpr int kRootOrderLog2 = 13;  // of all primes: 2^13 | p - 1

u64 multiply(u64 a, u64 b, u64 p) {
  return static_cast<u64>(u128{a} * b % p);
}
u64 power(u64 base, u64 exponent, u64 p) {
  u64 out = 1;
  for (; exponent > 0; exponent >>= 1, base = multiply(base, base, p))
    if (exponent & 1) out = multiply(out, base, p);
  return out;
}
u64 inverse_of(u64 value, u64 p) {
  return power(value, p - 2, p);
}
/// Of order 2^13: the power of the least number that gives one.
u64 root_of_unity(u64 p) {
  for (u64 base = 2;; ++base) {
    const u64 root = power(base, (p - 1) >> kRootOrderLog2, p);
    if (power(root, u64{1} << (kRootOrderLog2 - 1), p) == p - 1) return root;
  }
}
double balanced(u64 value, u64 p) {
  return value > p / 2 ? -static_cast<double>(p - value) : static_cast<double>(value);
}
std::size_t reversed_bits(std::size_t value, unsigned count) {
  std::size_t out = 0;
  for (unsigned i = 0; i < count; ++i) out |= (value >> i & 1) << (count - 1 - i);
  return out;
}

/// Powers of psi at bit-reversed places.
Transformed powers(u64 psi, std::size_t n, u64 p) {
  Transformed out(n);
  const auto bits = static_cast<unsigned>(std::bit_width(n)) - 1;
  u64 value = 1;
  for (std::size_t i = 0; i < n; ++i, value = multiply(value, psi, p)) out[reversed_bits(i, bits)] = balanced(value, p);
  return out;
}

/// The roots of the levels inside of vectors: follows the places of coefficients through the exchanges of the vector code.
Transformed lane_roots(const Transformed& roots, std::size_t n, std::size_t lanes) {
  Transformed out;
  std::vector<std::size_t> place(n);
  for (std::size_t i = 0; i < n; ++i) place[i] = i;
  for (std::size_t stride = lanes / 2; stride >= 1; stride /= 2) {
    for (std::size_t pair = 0; pair < n; pair += 2 * lanes) {
      std::size_t *x = place.data() + pair, *y = x + lanes;
      for (std::size_t lane = 0; lane < lanes; ++lane)
        if ((lane & stride) != 0) std::swap(x[lane], y[lane - stride]);
      for (std::size_t lane = 0; lane < lanes; ++lane) out.push_back(roots[n / (2 * stride) + x[lane] / (2 * stride)]);
    }
  }
  return out;
}

}  // namespace

struct Ntt::Tables {
  std::vector<ntt::Prime> primes;
  std::array<u128, kMaxPrimes> cofactors{};  // M / p mod 2^128
  u128 modulus = 1;                          // M mod 2^128
};

bool Ntt::supports(std::size_t polynomial_size) {
  return std::has_single_bit(polynomial_size) && polynomial_size >= kMinSize && polynomial_size <= kMaxSize;
}

std::optional<int> Ntt::primes_for(int log2) {
  // Each prime is above 2^46.9999.
  const int primes = (log2 + 4) / 47 + 1;
  return primes <= kMaxPrimes ? std::optional(primes) : std::nullopt;
}

Ntt::Ntt(std::size_t polynomial_size, int primes)
    : n_(polynomial_size), primes_(primes), tables_(std::make_unique<Tables>()) {
  WITAN_CHECK(supports(polynomial_size) && primes >= 1 && primes <= kMaxPrimes);
  const std::size_t lanes = HWY_DYNAMIC_DISPATCH(vector_lanes)();
  const auto used = std::span(kPrimes).first(static_cast<std::size_t>(primes));
  for (const u64 p : used) {
    ntt::Prime prime;
    prime.p = static_cast<double>(p);
    prime.inverse_p = 1.0 / prime.p;
    const u64 psi = power(root_of_unity(p), (u64{1} << (kRootOrderLog2 - 1)) / n_, p);
    prime.roots = powers(psi, n_, p);
    prime.inverse_roots = powers(inverse_of(psi, p), n_, p);
    prime.lane_roots = lane_roots(prime.roots, n_, lanes);
    prime.inverse_lane_roots = lane_roots(prime.inverse_roots, n_, lanes);
    prime.two32 = balanced(u64{1} << 32, p);
    prime.two43 = balanced(u64{1} << 43, p);
    prime.two86 = balanced(multiply(u64{1} << 43, u64{1} << 43, p), p);
    u64 crt = n_;
    u128 cofactor = 1;
    for (const u64 other : used) {
      if (other == p) continue;
      crt = multiply(crt, other % p, p);
      cofactor *= other;
    }
    prime.crt = balanced(inverse_of(crt, p), p);
    tables_->cofactors[tables_->primes.size()] = cofactor;
    tables_->modulus *= p;
    tables_->primes.push_back(std::move(prime));
  }
}

Ntt::~Ntt() = default;

const Ntt& Ntt::get(std::size_t polynomial_size, int primes) {
  WITAN_CHECK(supports(polynomial_size) && primes >= 1 && primes <= kMaxPrimes);
  constexpr std::size_t kSizes = std::bit_width(kMaxSize), kLaneCounts = 4;  // up to eight lanes
  using Once = std::array<std::array<std::array<std::once_flag, kMaxPrimes>, kSizes>, kLaneCounts>;
  using Kept = std::array<std::array<std::array<std::unique_ptr<Ntt>, kMaxPrimes>, kSizes>, kLaneCounts>;
  static Once made;
  static Kept kept;
  const auto lanes = static_cast<std::size_t>(std::bit_width(HWY_DYNAMIC_DISPATCH(vector_lanes)())) - 1;
  const auto size = static_cast<std::size_t>(std::bit_width(polynomial_size)) - 1;
  const auto count = static_cast<std::size_t>(primes) - 1;
  WITAN_CHECK(lanes < kLaneCounts);
  std::call_once(made[lanes][size][count],
                 [&] { kept[lanes][size][count] = std::make_unique<Ntt>(polynomial_size, primes); });
  return *kept[lanes][size][count];
}

namespace {
ntt::View view(std::size_t n, const std::vector<ntt::Prime>& primes) {
  return {n, primes};
}
}  // namespace

template <Word W>
void Ntt::forward(std::span<const W> polynomial, std::span<double> out) const {
  WITAN_CHECK(polynomial.size() == n_ && out.size() == transformed_size());
  if constexpr (std::same_as<W, u64>)
    HWY_DYNAMIC_DISPATCH(forward_u64)(view(n_, tables_->primes), polynomial.data(), out.data());
  else
    HWY_DYNAMIC_DISPATCH(forward_u128)(view(n_, tables_->primes), polynomial.data(), out.data());
}

void Ntt::forward_digits(std::span<const i64> polynomial, std::span<double> out) const {
  WITAN_CHECK(polynomial.size() == n_ && out.size() == transformed_size());
  HWY_DYNAMIC_DISPATCH(forward_digits)(view(n_, tables_->primes), polynomial.data(), out.data());
}

void Ntt::normalise(std::span<double> transformed) const {
  WITAN_CHECK(transformed.size() == transformed_size());
  HWY_DYNAMIC_DISPATCH(normalise)(view(n_, tables_->primes), transformed.data());
}

void Ntt::multiply_add(std::span<double> sum, std::span<const double> a, std::span<const double> b,
                       std::size_t stride) const {
  const std::size_t size = transformed_size(), terms = a.size() / size;
  WITAN_CHECK(sum.size() == size && a.size() == terms * size &&
              (terms == 0 || b.size() >= (terms - 1) * stride + size));
  HWY_DYNAMIC_DISPATCH(multiply_add)(view(n_, tables_->primes), sum.data(), a.data(), terms, b.data(), stride);
}

template <Word W>
void Ntt::inverse_add(std::span<W> accumulator, std::span<double> sum) const {
  WITAN_CHECK(accumulator.size() <= n_ && sum.size() == transformed_size());
  std::array<i64, kMaxSize> k;
  HWY_DYNAMIC_DISPATCH(inverse)(view(n_, tables_->primes), sum.data(), k.data());
  const auto modulus = static_cast<W>(tables_->modulus);
  std::array<W, kMaxPrimes> cofactors;
  std::ranges::transform(tables_->cofactors, cofactors.begin(), [](u128 c) { return static_cast<W>(c); });
  for (std::size_t j = 0; j < accumulator.size(); ++j) {
    W value = accumulator[j] - static_cast<W>(static_cast<SignedWord<W>>(k[j])) * modulus;
    for (std::size_t q = 0; q < static_cast<std::size_t>(primes_); ++q)
      value += static_cast<W>(static_cast<SignedWord<W>>(std::bit_cast<i64>(sum[q * n_ + j]))) * cofactors[q];
    accumulator[j] = value;
  }
  wipe(k.data(), n_ * sizeof(i64));
}

std::vector<VectorTarget> vector_targets() {
  std::vector<VectorTarget> out;
  for (const i64 id : hwy::SupportedAndGeneratedTargets()) out.push_back({id, hwy::TargetName(id)});
  return out;
}

void choose_vector_target(i64 id) {
  hwy::SetSupportedTargetsForTest(id);
}

VectorTarget vector_target() {
  const i64 id = HWY_DYNAMIC_DISPATCH(this_target)();
  return {id, hwy::TargetName(id)};
}

template void Ntt::forward<u64>(std::span<const u64>, std::span<double>) const;
template void Ntt::forward<u128>(std::span<const u128>, std::span<double>) const;
template void Ntt::inverse_add<u64>(std::span<u64>, std::span<double>) const;
template void Ntt::inverse_add<u128>(std::span<u128>, std::span<double>) const;

}  // namespace witan::tfhe
#endif  // HWY_ONCE
