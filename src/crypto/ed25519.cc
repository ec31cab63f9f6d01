#include "crypto/ed25519.h"

#include <openssl/err.h>
#include <openssl/evp.h>

#include <algorithm>
#include <array>

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

/// The y coordinates of the eight points of small order, with the two encodings above the field's prime: 0, 1, the two of
/// order 8, p - 1, p, p + 1. Under such a key anybody can sign for a part of all messages. The test makes such signatures.
constexpr std::array<std::string_view, 7> kSmallOrder = {
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"};

bool has_small_order(ByteView point) {
  ByteArray<32> y;
  std::copy_n(point.begin(), y.size(), y.begin());
  y[31] &= 0x7f;  // the sign of x does not change the order
  return std::ranges::find(kSmallOrder, to_hex(y)) != kSmallOrder.end();
}

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
  if (signature.size() != 64 || has_small_order(public_key) || has_small_order(signature.first(32))) return false;
  const std::unique_ptr<EVP_PKEY, KeyDeleter> key(
      EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, public_key.data(), public_key.size()));
  const std::unique_ptr<EVP_MD_CTX, ContextDeleter> context(EVP_MD_CTX_new());
  const bool good =
      key && EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, key.get()) == 1 &&
      EVP_DigestVerify(context.get(), signature.data(), signature.size(), message.data(), message.size()) == 1;
  ERR_clear_error();  // a left-over error would confuse the next TLS call of this thread
  return good;
}

}  // namespace witan::crypto
