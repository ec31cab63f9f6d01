// extraData of requests and signatures (responses.md 4.3): which context and epoch a request means.
//
//   (empty) or 00        the current context
//   01 || context        33 bytes
//   02 || context || epoch   65 bytes
//
// A node signs and echoes exactly the bytes that came; it reads them only to notice a disagreement.
#pragma once

#include <optional>

#include "base/ids.h"

namespace witan::crypto {

struct ExtraData {
  std::optional<ContextId> context;  // absent: the current one
  std::optional<EpochId> epoch;      // only with a context

  Bytes encode() const;
  /// Error: invalid_argument (any other layout, a zero id).
  static Result<ExtraData> parse(ByteView bytes);
};

}  // namespace witan::crypto
