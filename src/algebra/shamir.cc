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

template <Word Z>
std::vector<Gr<Z>> lagrange_at(std::span<const Role> roles, const Gr<Z>& x) {
  std::vector<Gr<Z>> out;
  out.reserve(roles.size());
  for (const Role i : roles) {
    Gr<Z> numerator = Gr<Z>::one(), denominator = Gr<Z>::one();
    for (const Role j : roles) {
      if (i == j) continue;
      numerator = numerator * (x - evaluation_point<Z>(j));
      denominator = denominator * (evaluation_point<Z>(i) - evaluation_point<Z>(j));
    }
    WITAN_CHECK(is_unit(denominator));
    out.push_back(numerator * inverse(denominator));
  }
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

#define WITAN_INSTANTIATE(Z)                                                    \
  template Gr<Z> random_element(Rng&);                                          \
  template Gr<Z> evaluate(std::span<const Gr<Z>>, const Gr<Z>&);                \
  template std::vector<Share<Z>> deal(const Gr<Z>&, int, int, Rng&);            \
  template std::vector<Gr<Z>> lagrange_at(std::span<const Role>, const Gr<Z>&); \
  template Gr<Z> set_polynomial(std::span<const Role>, Role);                   \
  template std::vector<Gr<Z>> vandermonde_row(Role, std::size_t);
WITAN_INSTANTIATE(Z64)
WITAN_INSTANTIATE(Z128)
#undef WITAN_INSTANTIATE

}  // namespace witan::algebra
