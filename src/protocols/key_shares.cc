#include "protocols/key_shares.h"

#include "base/check.h"
#include "base/codec.h"

namespace witan::protocols {
namespace {
constexpr std::uint32_t kLayout = 1;
}

SharedKey::SharedKey(std::span<const Share<Z128>> shares) {
  for (std::size_t j = 0; j < 4; ++j) {
    std::vector<Z128> plane(shares.size());
    for (std::size_t i = 0; i < shares.size(); ++i) plane[i] = shares[i].value.c[j];
    planes_[j] = Secret<std::vector<Z128>>(std::move(plane));
  }
}

Share<Z128> SharedKey::at(std::size_t i) const {
  Share<Z128> out;
  for (std::size_t j = 0; j < 4; ++j) out.value.c[j] = planes_[j].reveal()[i];
  return out;
}

Share<Z128> partial_decrypt(const SharedKey& key, const tfhe::Lwe<Z128>& ciphertext) {
  const auto mask = ciphertext.mask();
  WITAN_CHECK(mask.size() == key.size());
  Share<Z128> out{Gr<Z128>::from_base(ciphertext.body())};
  for (std::size_t j = 0; j < 4; ++j) {
    const auto plane = key.plane(j);
    Z128 sum = 0;
    for (std::size_t i = 0; i < mask.size(); ++i) sum += mask[i] * plane[i];
    out.value.c[j] -= sum;
  }
  return out;
}

Secret<Bytes> KeyShares::encode() const {
  std::size_t size = 4;
  for (const SharedKey& key : keys) size += 8 + 64 * key.size();
  Bytes out;
  out.reserve(size);  // no reallocation: no stale copy
  append_le(out, kLayout);
  for (const SharedKey& key : keys) {
    append_le<std::uint64_t>(out, key.size());
    for (std::size_t j = 0; j < 4; ++j)
      for (const Z128 word : key.plane(j)) append_le(out, word);
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
