#include "crypto/extra_data.h"

namespace witan::crypto {

Bytes ExtraData::encode() const {
  Bytes out;
  if (!context) return out;
  out.push_back(epoch ? 2 : 1);
  append(out, context->view());
  if (epoch) append(out, epoch->view());
  return out;
}

Result<ExtraData> ExtraData::parse(ByteView bytes) {
  ExtraData out;
  if (bytes.empty() || (bytes.size() == 1 && bytes[0] == 0)) return out;
  const std::size_t expected = bytes[0] == 1 ? 33 : bytes[0] == 2 ? 65 : 0;
  if (expected == 0) return fail(Code::invalid_argument, "extra data of the unknown version {}", bytes[0]);
  if (bytes.size() != expected)
    return fail(Code::invalid_argument, "extra data of version {} has {} bytes, expected {}", bytes[0], bytes.size(),
                expected);
  WITAN_ASSIGN(out.context, ContextId::from_bytes(bytes.subspan(1, 32)));
  if (bytes[0] == 2) {
    WITAN_ASSIGN(out.epoch, EpochId::from_bytes(bytes.subspan(33, 32)));
  }
  return out;
}

}  // namespace witan::crypto
