#include "crypto/ids.h"

#include "crypto/separators.h"

namespace witan::crypto {

Digest derive_request_id(std::string_view name) {
  ByteArray<8> length;
  store_le<std::uint64_t>(name.size(), length.data());
  return Shake256(separators::kRequestId).update(length).update(as_bytes(name)).finish();
}

RequestId signing_key_id() {
  static const RequestId id(derive_request_id("SIGNING_KEY_ID"));
  return id;
}

RequestId signing_key_id(std::string_view scheme_name) {
  return RequestId(derive_request_id("SIGNING_KEY_ID_" + std::string(scheme_name)));
}

SessionId session_id(const ByteArray<32>& id, std::uint64_t counter) {
  ByteArray<8> one, raw_counter;
  store_le<std::uint64_t>(1, one.data());
  store_le<std::uint64_t>(counter, raw_counter.data());
  ByteArray<16> out;
  Shake256(separators::kHashList)
      .update(separators::kSessionId.view())
      .update(one)
      .update(id)
      .update(raw_counter)
      .finish(out);
  return {load_le<u128>(out.data())};
}

SessionId session_id(const ByteArray<32>& id, SessionKind kind, std::uint16_t attempt, std::uint16_t number) {
  return session_id(id, std::uint64_t{static_cast<std::uint8_t>(kind)} << 32 | std::uint64_t{attempt} << 16 | number);
}

}  // namespace witan::crypto
