#include "crypto/ed25519.h"

#include <openssl/evp.h>

#include "base/check.h"
#include "crypto/separators.h"

namespace witan::crypto {
namespace {

struct KeyDeleter {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
struct ContextDeleter {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};

}  // namespace

Secret<ByteArray<32>> derived_seed(const SigningKey& key, Scheme scheme) {
  ByteArray<5> prefix{};
  store_le(static_cast<std::uint32_t>(scheme), prefix.data());
  prefix[4] = 1;  // derivation version
  Secret<ByteArray<32>> seed;
  Shake256(separators::kSchemeSeed).update(prefix).update(key.reveal()).finish(seed.reveal_mutable());
  return seed;
}

Ed25519Key Ed25519Key::derive(const SigningKey& key) {
  return Ed25519Key(derived_seed(key, Scheme::ed25519));
}

Ed25519Key::Ed25519Key(Secret<ByteArray<32>> seed) : seed_(std::move(seed)) {
  const std::unique_ptr<EVP_PKEY, KeyDeleter> key(
      EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, seed_.reveal().data(), 32));
  std::size_t size = 32;
  WITAN_CHECK(key && EVP_PKEY_get_raw_public_key(key.get(), public_key_.data(), &size) == 1 && size == 32);
}

ByteArray<64> Ed25519Key::sign_raw(ByteView message) const {
  const std::unique_ptr<EVP_PKEY, KeyDeleter> key(
      EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, seed_.reveal().data(), 32));
  const std::unique_ptr<EVP_MD_CTX, ContextDeleter> context(EVP_MD_CTX_new());
  ByteArray<64> out;
  std::size_t size = out.size();
  WITAN_CHECK(key && EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, key.get()) == 1);
  WITAN_CHECK(EVP_DigestSign(context.get(), out.data(), &size, message.data(), message.size()) == 1 && size == 64);
  return out;
}

ByteArray<64> Ed25519Key::sign(Separator separator, ByteView message) const {
  Bytes whole(separator.view().begin(), separator.view().end());
  append(whole, message);
  return sign_raw(whole);
}

bool verify_ed25519(const ByteArray<32>& public_key, ByteView message, ByteView signature) {
  const std::unique_ptr<EVP_PKEY, KeyDeleter> key(
      EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, public_key.data(), public_key.size()));
  const std::unique_ptr<EVP_MD_CTX, ContextDeleter> context(EVP_MD_CTX_new());
  return signature.size() == 64 && key &&
         EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, key.get()) == 1 &&
         EVP_DigestVerify(context.get(), signature.data(), signature.size(), message.data(), message.size()) == 1;
}

}  // namespace witan::crypto
