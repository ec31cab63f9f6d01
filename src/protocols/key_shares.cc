#include "protocols/key_shares.h"

#include <algorithm>
#include <mutex>

#include "base/check.h"
#include "base/codec.h"

namespace witan::protocols {
namespace {
constexpr std::uint32_t kLayout = 1;
constexpr std::size_t kPlanes = 4;  // of coefficients
}  // namespace

struct SharedKey::Planes {
  std::once_flag made;
  std::size_t polynomial_size = 0;
  std::vector<tfhe::SecretFactor<Z128>> factors;
};

SharedKey::SharedKey() = default;
SharedKey::SharedKey(SharedKey&&) noexcept = default;
SharedKey& SharedKey::operator=(SharedKey&&) noexcept = default;
SharedKey::~SharedKey() = default;

SharedKey::SharedKey(std::span<const Share<Z128>> shares) : planes_(std::make_unique<Planes>()) {
  Secret elements{std::vector<Gr<Z128>>(shares.size())};
  std::ranges::transform(shares, elements.reveal_mutable().begin(), &Share<Z128>::value);
  vector_ = algebra::DotVector(elements.reveal());
}

std::span<const tfhe::SecretFactor<Z128>> SharedKey::planes(std::size_t polynomial_size) const {
  WITAN_CHECK(planes_);
  std::call_once(planes_->made, [this, polynomial_size] {
    std::array<Secret<std::vector<Z128>>, kPlanes> planes;
    for (auto& plane : planes) plane = Secret{std::vector<Z128>(size())};
    for (std::size_t i = 0; i < size(); ++i) {
      const Secret<Gr<Z128>> element(vector_.at(i));
      for (std::size_t j = 0; j < kPlanes; ++j) planes[j].reveal_mutable()[i] = element.reveal().c[j];
    }
    planes_->polynomial_size = polynomial_size;
    for (const auto& plane : planes)
      planes_->factors.push_back(tfhe::SecretFactor<Z128>::of_words(polynomial_size, plane.reveal()));
  });
  WITAN_CHECK(planes_->polynomial_size == polynomial_size);
  return planes_->factors;
}

namespace {

/// Gives the bodies minus the products.
Secret<std::vector<Share<Z128>>> subtracted(std::span<const Z128> bodies, std::span<const Gr<Z128>> products) {
  Secret out{std::vector<Share<Z128>>(bodies.size())};
  for (std::size_t i = 0; i < bodies.size(); ++i)
    out.reveal_mutable()[i] = {Gr<Z128>::from_base(bodies[i]) - products[i]};
  return out;
}

/// Mask word x of block j is a[j - x] up to x = j, then -a[N + j - x] (tfhe-formats.md 12): with the polynomial written backwards and
/// once more negated, the block's mask is the window of N words that begins at N - 1 - j.
Secret<std::vector<Gr<Z128>>> products_by_dot(const SharedKey& key, const tfhe::PartialGlwe<Z128>& glwe,
                                              std::size_t first, std::size_t count) {
  const std::size_t n = glwe.polynomial_size, last = first + count - 1;
  const std::size_t stride = n + count - 1;  // from the window of the last block to the end of that of the first
  const std::size_t words = glwe.glwe_dimension * stride;
  const auto turned = std::make_unique_for_overwrite<Z128[]>(words);
  for (std::size_t p = 0; p < glwe.glwe_dimension; ++p) {
    const auto a = glwe.mask().subspan(p * n, n);
    Z128* const out = turned.get() + p * stride;
    for (std::size_t m = 0; m <= last; ++m) out[m] = a[last - m];
    for (std::size_t m = last + 1; m < stride; ++m) out[m] = Z128{0} - a[n + last - m];
  }
  std::vector<std::span<const Z128>> windows;
  for (std::size_t j = 0; j < count; ++j) windows.push_back(std::span(turned.get(), words).subspan(count - 1 - j));
  Secret out{std::vector<Gr<Z128>>(count)};
  key.vector().multiply(windows, n, stride, out.reveal_mutable());
  return out;
}

/// All coefficients of the products with the key's four planes.
Secret<std::vector<Gr<Z128>>> products_by_transform(const SharedKey& key, const tfhe::PartialGlwe<Z128>& glwe,
                                                    std::size_t first, std::size_t count) {
  const auto planes = key.planes(glwe.polynomial_size);
  const auto mask = planes.front().prepare(glwe.mask());
  Secret out{std::vector<Gr<Z128>>(count)};
  for (std::size_t j = 0; j < kPlanes; ++j) {
    Secret sums{std::vector<Z128>(first + count)};
    planes[j].multiply_add(sums.reveal_mutable(), mask);
    for (std::size_t i = 0; i < count; ++i) out.reveal_mutable()[i].c[j] = sums.reveal()[first + i];
  }
  return out;
}

}  // namespace

Secret<std::vector<Share<Z128>>> partial_decrypt(const SharedKey& key, std::span<const tfhe::Lwe<Z128>> ciphertexts) {
  std::vector<std::span<const Z128>> masks;
  std::vector<Z128> bodies;
  for (const auto& ciphertext : ciphertexts) {
    masks.push_back(ciphertext.mask());
    bodies.push_back(ciphertext.body());
  }
  Secret products{std::vector<Gr<Z128>>(masks.size())};
  key.vector().multiply(masks, products.reveal_mutable());
  return subtracted(bodies, products.reveal());
}

namespace {

/// Where the two meet at k = 6, N = 1024 on a Zen 4 core (bench/decrypt): all coefficients at once cost as much as so many dot products.
std::size_t transform_from(algebra::DotTarget target) {
  switch (target) {
    case algebra::DotTarget::scalar:
      return 8;
    case algebra::DotTarget::avx2:
      return 14;
    case algebra::DotTarget::avx512_ifma:
      break;
  }
  return 18;
}

}  // namespace

GlweProducts cheaper_products(const SharedKey& key, const tfhe::PartialGlwe<Z128>& glwe, std::size_t count) {
  const bool windows_fit = glwe.polynomial_size % algebra::DotVector::kGranularity == 0;
  return windows_fit && count < transform_from(key.vector().target()) ? GlweProducts::dot : GlweProducts::transform;
}

Secret<std::vector<Share<Z128>>> partial_decrypt(const SharedKey& key, const tfhe::PartialGlwe<Z128>& glwe,
                                                 std::size_t first, std::size_t count,
                                                 std::optional<GlweProducts> products) {
  WITAN_CHECK(glwe.mask().size() == key.size() && first <= glwe.bodies().size() &&
              count <= glwe.bodies().size() - first);
  if (count == 0) return {};
  const auto sums = products.value_or(cheaper_products(key, glwe, count)) == GlweProducts::dot
                        ? products_by_dot(key, glwe, first, count)
                        : products_by_transform(key, glwe, first, count);
  return subtracted(glwe.bodies().subspan(first, count), sums.reveal());
}

Secret<Bytes> KeyShares::encode() const {
  std::size_t size = 4;
  for (const SharedKey& key : keys) size += 8 + 64 * key.size();
  Bytes out;
  out.reserve(size);  // no reallocation: no stale copy
  append_le(out, kLayout);
  for (const SharedKey& key : keys) {
    append_le<std::uint64_t>(out, key.size());
    const std::size_t first = out.size();
    out.resize(first + 64 * key.size());
    for (std::size_t i = 0; i < key.size(); ++i) {
      const Secret<Gr<Z128>> element(key.vector().at(i));
      for (std::size_t j = 0; j < kPlanes; ++j)
        store_le(element.reveal().c[j], out.data() + first + 16 * (j * key.size() + i));
    }
  }
  return Secret<Bytes>(std::move(out));
}

Result<KeyShares> KeyShares::decode(ByteView record, const tfhe::Params& params) {
  Reader reader(record);
  if (reader.u32() != kLayout) return fail(Code::data_loss, "the key shares have an unknown layout");
  KeyShares out;
  for (std::size_t name = 0; name < tfhe::kKeyNames; ++name) {
    const std::size_t expected = tfhe::key_bits(params, static_cast<tfhe::KeyName>(name));
    const std::uint64_t size = reader.count(64);
    if (reader.failed() || size != expected)
      return fail(Code::data_loss, "the shares of key {} have {} entries, the parameters {} have {}",
                  tfhe::to_string(static_cast<tfhe::KeyName>(name)), size, params.name, expected);
    const ByteView raw = reader.raw(64 * size);
    if (reader.failed()) break;
    std::vector<Share<Z128>> shares(size);
    for (std::size_t j = 0; j < 4; ++j)
      for (std::size_t i = 0; i < size; ++i) shares[i].value.c[j] = load_le<Z128>(raw.data() + 16 * (j * size + i));
    out.keys[name] = SharedKey(shares);
    wipe(shares.data(), shares.size() * sizeof(Share<Z128>));
  }
  WITAN_TRY(reader.finish("the record of key shares"));
  return out;
}

}  // namespace witan::protocols
