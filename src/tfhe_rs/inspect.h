// What a tfhe-rs object is, for people: type, sizes, parameters, tag, blocks.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"

namespace witan::tfhe_rs {

/// Names and values in the order in which to show them. Error: invalid_argument (no object that we read).
using Description = std::vector<std::pair<std::string, std::string>>;
Result<Description> inspect(ByteView bytes);

}  // namespace witan::tfhe_rs
