#include "crypto/hash.h"

#include <cryptopp/keccak.h>
#include <openssl/evp.h>

#include "base/check.h"
#include "crypto/separators.h"

namespace witan::crypto {
namespace {

struct ContextDeleter {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};
using Context = std::unique_ptr<EVP_MD_CTX, ContextDeleter>;

Context begin(const EVP_MD* algorithm) {
  Context context(EVP_MD_CTX_new());
  WITAN_CHECK(context && EVP_DigestInit_ex(context.get(), algorithm, nullptr) == 1);
  return context;
}

void feed(const Context& context, ByteView data) {
  WITAN_CHECK(context && EVP_DigestUpdate(context.get(), data.data(), data.size()) == 1);
}

template <std::size_t N>
ByteArray<N> digest(const EVP_MD* algorithm, ByteView data) {
  const Context context = begin(algorithm);
  feed(context, data);
  ByteArray<N> out;
  WITAN_CHECK(EVP_MD_get_size(algorithm) == static_cast<int>(N));
  WITAN_CHECK(EVP_DigestFinal_ex(context.get(), out.data(), nullptr) == 1);
  return out;
}

Bytes xof(const EVP_MD* algorithm, ByteView data, std::size_t output_bytes) {
  const Context context = begin(algorithm);
  feed(context, data);
  Bytes out(output_bytes);
  WITAN_CHECK(EVP_DigestFinalXOF(context.get(), out.data(), out.size()) == 1);
  return out;
}

}  // namespace

Digest sha256(ByteView data) {
  return digest<32>(EVP_sha256(), data);
}
ByteArray<64> sha512(ByteView data) {
  return digest<64>(EVP_sha512(), data);
}
Digest sha3_256(ByteView data) {
  return digest<32>(EVP_sha3_256(), data);
}
Bytes shake256(ByteView data, std::size_t output_bytes) {
  return xof(EVP_shake256(), data, output_bytes);
}
Bytes shake128(ByteView data, std::size_t output_bytes) {
  return xof(EVP_shake128(), data, output_bytes);
}

Digest keccak256(ByteView data) {
  Digest out;
  CryptoPP::Keccak_256 hash;
  hash.Update(data.data(), data.size());
  hash.Final(out.data());
  return out;
}

struct Sha256::State {
  Context context = begin(EVP_sha256());
};
Sha256::Sha256() : state_(std::make_unique<State>()) {}
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;
Sha256& Sha256::update(ByteView data) {
  feed(state_->context, data);
  return *this;
}
Digest Sha256::finish() {
  Digest out;
  WITAN_CHECK(state_ && EVP_DigestFinal_ex(state_->context.get(), out.data(), nullptr) == 1);
  state_.reset();
  return out;
}

struct Shake256::State {
  Context context = begin(EVP_shake256());
};
Shake256::Shake256() : state_(std::make_unique<State>()) {}
Shake256::~Shake256() = default;
Shake256::Shake256(Shake256&&) noexcept = default;
Shake256& Shake256::operator=(Shake256&&) noexcept = default;
Shake256& Shake256::update(ByteView data) {
  feed(state_->context, data);
  return *this;
}
void Shake256::finish(MutableByteView out) {
  WITAN_CHECK(state_ && EVP_DigestFinalXOF(state_->context.get(), out.data(), out.size()) == 1);
  state_.reset();
}

Digest tagged_hash(Separator separator, ByteView message) {
  return Shake256(separator).update(message).finish();
}

Bytes list_hash(Separator separator, std::span<const ByteView> items, std::size_t output_bytes) {
  ByteArray<8> count;
  store_le<std::uint64_t>(items.size(), count.data());
  Shake256 hash(separators::kHashList);
  hash.update(separator.view()).update(count);
  for (const ByteView item : items) hash.update(item);
  Bytes out(output_bytes);
  hash.finish(out);
  return out;
}

}  // namespace witan::crypto
