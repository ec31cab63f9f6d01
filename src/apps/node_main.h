// main() of a node, shared by witan-node and witan-node-test.
#pragma once

#include <functional>
#include <memory>

#include "node/config.h"
#include "node/extension.h"

namespace witan::apps {

/// What a program adds to a node. witan-node adds nothing.
struct NodeProgram {
  const char* name;
  const char* description;
  node::ExtraSections extra_sections;
  std::function<Result<std::unique_ptr<node::Extension>>(const node::LoadedConfig&)> make_extension;  // may be null
};

int node_main(int argc, char** argv, const NodeProgram& program);

}  // namespace witan::apps
