// One fuzz target per reader of foreign bytes. Each file defines fuzz_one(); a broken promise calls WITAN_CHECK.
#pragma once

#include "base/bytes.h"
#include "base/check.h"

namespace witan::fuzz {

void fuzz_one(ByteView input);

}  // namespace witan::fuzz
