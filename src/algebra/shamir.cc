#include "algebra/shamir.h"

#include "base/check.h"
#include "base/secret.h"

namespace witan::algebra {

template <Word Z>
Gr<Z> random_element(Rng& rng) {
  ByteArray<Gr<Z>::kSizeBytes> raw;
  rng.fill(raw);
  const Gr<Z> out = Gr<Z>::decode(raw.data());
  wipe(raw.data(), raw.size());
  return out;
}

template <Word Z>
Gr<Z> evaluate(std::span<const Gr<Z>> polynomial, const Gr<Z>& x) {
  Gr<Z> out;
  for (std::size_t i = polynomial.size(); i-- > 0;) out = out * x + polynomial[i];
  return out;
}

template <Word Z>
std::vector<Share<Z>> deal(const Gr<Z>& secret, int degree, int parties, Rng& rng) {
  WITAN_CHECK(degree >= 0 && degree < parties && parties <= Role::kMax);
  Secret<std::vector<Gr<Z>>> polynomial(std::vector<Gr<Z>>(static_cast<std::size_t>(degree) + 1));
  polynomial.reveal_mutable()[0] = secret;
  for (std::size_t i = 1; i < polynomial.reveal().size(); ++i) polynomial.reveal_mutable()[i] = random_element<Z>(rng);
  std::vector<Share<Z>> shares;
  shares.reserve(static_cast<std::size_t>(parties));
  for (int i = 1; i <= parties; ++i) shares.push_back({evaluate<Z>(polynomial.reveal(), evaluation_point<Z>(Role(i)))});
  return shares;
}

bool distinct(std::span<const Role> roles) {
  unsigned seen = 0;
  for (const Role role : roles) {
    if (seen >> role.index() & 1u) return false;
    seen |= 1u << role.index();
  }
  return true;
}

template <Word Z>
Interpolation<Z>::Interpolation(std::span<const Role> roles) {
  WITAN_CHECK(distinct(roles));
  for (const Role role : roles) points_.push_back(evaluation_point<Z>(role));
  for (std::size_t i = 0; i < points_.size(); ++i) {
    Gr<Z> product = Gr<Z>::one();
    for (std::size_t j = 0; j < points_.size(); ++j)
      if (i != j) product = product * (points_[i] - points_[j]);
    inverses_.push_back(inverse(product));
  }
}

template <Word Z>
std::vector<Gr<Z>> Interpolation<Z>::lagrange_at(const Gr<Z>& x) const {
  std::vector<Gr<Z>> out = inverses_;
  for (std::size_t i = 0; i < points_.size(); ++i)
    for (std::size_t j = 0; j < points_.size(); ++j)
      if (i != j) out[i] = out[i] * (x - points_[j]);
  return out;
}

template <Word Z>
Gr<Z> set_polynomial(std::span<const Role> outside, Role at) {
  Gr<Z> numerator = Gr<Z>::one(), denominator = Gr<Z>::one();
  for (const Role j : outside) {
    numerator = numerator * (evaluation_point<Z>(at) - evaluation_point<Z>(j));
    denominator = denominator * -evaluation_point<Z>(j);
  }
  return numerator * inverse(denominator);
}

template <Word Z>
std::vector<Gr<Z>> vandermonde_row(Role role, std::size_t columns) {
  std::vector<Gr<Z>> out;
  Gr<Z> power = Gr<Z>::one();
  for (std::size_t i = 0; i < columns; ++i, power = power * evaluation_point<Z>(role)) out.push_back(power);
  return out;
}

// NOLINTBEGIN(bugprone-macro-parentheses): types take no parentheses
#define WITAN_INSTANTIATE(Z)                                         \
  template Gr<Z> random_element(Rng&);                               \
  template Gr<Z> evaluate(std::span<const Gr<Z>>, const Gr<Z>&);     \
  template std::vector<Share<Z>> deal(const Gr<Z>&, int, int, Rng&); \
  template class Interpolation<Z>;                                   \
  template Gr<Z> set_polynomial(std::span<const Role>, Role);        \
  template std::vector<Gr<Z>> vandermonde_row(Role, std::size_t);
WITAN_INSTANTIATE(Z64)
WITAN_INSTANTIATE(Z128)
#undef WITAN_INSTANTIATE
// NOLINTEND(bugprone-macro-parentheses)

}  // namespace witan::algebra
