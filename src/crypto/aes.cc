#include "crypto/aes.h"

#include <openssl/evp.h>

#include "base/check.h"

namespace witan::crypto {

struct Aes128::State {
  EVP_CIPHER_CTX* context = EVP_CIPHER_CTX_new();
  State() = default;
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() { EVP_CIPHER_CTX_free(context); }  // OpenSSL wipes the key schedule
};

Aes128::Aes128(const ByteArray<16>& key) : state_(std::make_unique<State>()) {
  WITAN_CHECK(EVP_EncryptInit_ex(state_->context, EVP_aes_128_ecb(), nullptr, key.data(), nullptr) == 1);
  EVP_CIPHER_CTX_set_padding(state_->context, 0);
}
Aes128::Aes128(std::unique_ptr<State> state) : state_(std::move(state)) {}
Aes128 Aes128::duplicate() const {
  auto state = std::make_unique<State>();
  WITAN_CHECK(EVP_CIPHER_CTX_copy(state->context, state_->context) == 1);
  return Aes128(std::move(state));
}
Aes128::~Aes128() = default;
Aes128::Aes128(Aes128&&) noexcept = default;
Aes128& Aes128::operator=(Aes128&&) noexcept = default;

void Aes128::encrypt(MutableByteView data) const {
  constexpr std::size_t kMaxCall = std::size_t{1} << 30;  // EVP counts in int
  WITAN_CHECK(data.size() % 16 == 0);
  while (!data.empty()) {
    const std::size_t size = std::min(data.size(), kMaxCall);
    int written = 0;
    WITAN_CHECK(EVP_EncryptUpdate(state_->context, data.data(), &written, data.data(), static_cast<int>(size)) == 1);
    WITAN_CHECK(written == static_cast<int>(size));
    data = data.subspan(size);
  }
}

void Aes128::encrypt_counters(u128 first, MutableByteView out) const {
  constexpr std::size_t kBatch = 4096;  // stays in the first-level cache
  WITAN_CHECK(out.size() % 16 == 0);
  while (!out.empty()) {
    const MutableByteView piece = out.first(std::min(out.size(), kBatch));
    for (std::size_t i = 0; i < piece.size(); i += 16) store_le<u128>(first++, piece.data() + i);
    encrypt(piece);
    out = out.subspan(piece.size());
  }
}

}  // namespace witan::crypto
