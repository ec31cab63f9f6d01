// What a tfhe-rs object is, for people: type, versions, parameters, sizes, tag, blocks, and whether its sizes agree.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"

namespace witan::tfhe_rs {

/// Names and values in the order in which to show them; every name once. Nothing of a secret key but its sizes.
using Description = std::vector<std::pair<std::string, std::string>>;
/// Bytes after the object are counted, not refused. Error: invalid_argument for what is no object that we read.
Result<Description> inspect(ByteView bytes);

}  // namespace witan::tfhe_rs
