// Which program a node is.
#pragma once

#include <string>

namespace witan::node {

struct About {
  std::string program;  // "witan-node"
  std::string version;  // version_text()
};

}  // namespace witan::node
