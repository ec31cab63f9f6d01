#include "version/version.h"

#include "version/version_info.h"

namespace witan {

std::string version_text() {
  return std::string(kVersion) + " (" + kCommit + ", " + kBuildKind + ")";
}

}  // namespace witan
