// What this build is.
#pragma once

#include <string>

namespace witan {

/// E.g. "0.1.0 (3f2c1ab, release)": version, commit, build kind (release, debug, asan, tsan).
std::string version_text();

}  // namespace witan
