#include "mpc/bivariate.h"

#include "base/check.h"

namespace witan::mpc {

template <Word Z>
Slices<Z>::Slices(int degree, std::size_t count)
    : degree_(degree), count_(count), polynomials_(std::vector<Gr<Z>>(2 * count * width())) {}

template <Word Z>
Slices<Z> Slices<Z>::decode(int degree, std::size_t count, ByteView encoded) {
  WITAN_CHECK(encoded.size() == encoded_bytes(degree, count));
  Slices out(degree, count);
  if (!encoded.empty()) std::memcpy(out.polynomials_.reveal_mutable().data(), encoded.data(), encoded.size());
  return out;
}

template <Word Z>
void Slices<Z>::append_to(Bytes& out) const {
  for (const Gr<Z>& coefficient : polynomials_.reveal()) {
    out.resize(out.size() + Gr<Z>::kSizeBytes);
    coefficient.encode(out.data() + out.size() - Gr<Z>::kSizeBytes);
  }
}

template <Word Z>
void Slices<Z>::append_f_to(Bytes& out) const {
  for (std::size_t secret = 0; secret < count_; ++secret)
    for (const Gr<Z>& coefficient : coefficients(secret, 0)) {
      out.resize(out.size() + Gr<Z>::kSizeBytes);
      coefficient.encode(out.data() + out.size() - Gr<Z>::kSizeBytes);
    }
}

template <Word Z>
Gr<Z> Slices<Z>::f(std::size_t secret, Role at) const {
  return algebra::evaluate<Z>(coefficients(secret, 0), algebra::evaluation_point<Z>(at));
}

template <Word Z>
Gr<Z> Slices<Z>::g(std::size_t secret, Role at) const {
  return algebra::evaluate<Z>(coefficients(secret, 1), algebra::evaluation_point<Z>(at));
}

template <Word Z>
bool Slices<Z>::meet_at(Role self) const {
  Z difference = 0;
  for (std::size_t secret = 0; secret < count_; ++secret) {
    const Gr<Z> d = f(secret, self) - g(secret, self);
    difference |= d.c[0] | d.c[1] | d.c[2] | d.c[3];
  }
  return difference == 0;
}

template <Word Z>
Dealing<Z>::Dealing(int degree, const Secret<std::vector<Gr<Z>>>& secrets, Rng& rng)
    : degree_(degree), count_(secrets.reveal().size()) {
  const std::size_t size = static_cast<std::size_t>(degree + 1) * static_cast<std::size_t>(degree + 1);
  coefficients_ = Secret(std::vector<Gr<Z>>(count_ * size));
  auto& all = coefficients_.reveal_mutable();
  rng.fill({reinterpret_cast<std::uint8_t*>(all.data()), all.size() * Gr<Z>::kSizeBytes});
  for (std::size_t secret = 0; secret < count_; ++secret) all[secret * size] = secrets.reveal()[secret];
}

template <Word Z>
Slices<Z> Dealing<Z>::slices(Role party) const {
  const std::size_t width = static_cast<std::size_t>(degree_) + 1;
  const Gr<Z> point = algebra::evaluation_point<Z>(party);
  Slices<Z> out(degree_, count_);
  for (std::size_t secret = 0; secret < count_; ++secret) {
    const auto f = std::span(coefficients_.reveal()).subspan(secret * width * width, width * width);
    Gr<Z>* const in_x = out.polynomials_.reveal_mutable().data() + 2 * secret * width;
    Gr<Z>* const in_y = in_x + width;
    for (std::size_t i = width; i-- > 0;)  // Horner in the variable that is fixed
      for (std::size_t j = 0; j < width; ++j) {
        in_x[j] = in_x[j] * point + f[i * width + j];
        in_y[j] = in_y[j] * point + f[j * width + i];
      }
  }
  return out;
}

template class Slices<Z64>;
template class Slices<Z128>;
template class Dealing<Z64>;
template class Dealing<Z128>;

}  // namespace witan::mpc
