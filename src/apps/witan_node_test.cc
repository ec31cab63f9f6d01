// witan-node-test: witan-node plus what must never run in production.
#include "apps/node_main.h"
#include "insecure/test_extension.h"

int main(int argc, char** argv) {
  using namespace witan;
  return apps::node_main(
      argc, argv,
      {.name = "witan-node-test",
       .description = "A node for tests and demonstrations: deals keys, imports client keys, can be told to lie. NEVER "
                      "for production.",
       .extra_sections = insecure::config_sections(),
       .make_extension = [](const node::LoadedConfig& loaded) -> Result<std::unique_ptr<node::Extension>> {
         WITAN_ASSIGN(insecure::Options options, insecure::parse_options(loaded));
         return std::make_unique<insecure::TestExtension>(std::move(options));
       }});
}
