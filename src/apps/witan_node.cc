// witan-node: one party of a committee.
#include "apps/node_main.h"

int main(int argc, char** argv) {
  return witan::apps::node_main(
      argc, argv,
      {.name = "witan-node",
       .description = "One party of a Witan committee: holds shares of FHE keys, decrypts with its peers.",
       .extra_sections = {},
       .make_extension = nullptr});
}
