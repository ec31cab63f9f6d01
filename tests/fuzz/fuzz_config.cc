// Configuration files.
#include "fuzz/fuzz.h"
#include "node/config.h"

namespace witan::fuzz {

void fuzz_one(ByteView input) {
  const std::string_view text(reinterpret_cast<const char*>(input.data()), input.size());
  const auto loaded = node::parse_config(text, "/etc/witan", {{"insecure", {"fault", "import_dir"}}});
  if (!loaded) {
    WITAN_CHECK(!loaded.error().message.empty());
    return;
  }
  const auto& config = loaded->config;
  WITAN_CHECK(static_cast<int>(config.threshold.peers.size()) == config.committee_size().parties());
  WITAN_CHECK(config.threshold.my_id >= 1 && config.threshold.my_id <= config.committee_size().parties());
}

}  // namespace witan::fuzz
