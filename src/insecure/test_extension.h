// What witan-node-test has and witan-node must never have: keys that party 1 makes or imports and deals, lies.
// Linked into witan-node-test alone; tests/e2e checks the symbols and configuration keys of witan-node.
#pragma once

#include <filesystem>

#include "node/config.h"
#include "node/extension.h"

namespace witan::insecure {

/// Section [insecure] of the configuration.
node::ExtraSections config_sections();

enum class Fault : std::uint8_t {
  none,
  lie,  // every share that leaves is replaced by random bytes, others for each receiver
};

struct Options {
  /// Party 1 looks here for `<key id>.bin`, a tfhe-rs ClientKey to deal instead of a new key. Empty: never.
  std::filesystem::path import_dir;
  Fault fault = Fault::none;
};
/// Error: invalid_argument.
Result<Options> parse_options(const node::LoadedConfig& loaded);

class TestExtension final : public node::Extension {
 public:
  explicit TestExtension(Options options) : options_(std::move(options)) {}

  bool accepts(node::KeyOrigin) const override { return true; }
  std::unique_ptr<runtime::Link> wrap_link(runtime::Link& link) override;
  api::ExtraMethods methods(node::Core& core) override;
  runtime::Task<void> resume(node::Core& core, node::InterruptedRequest request) override;

 private:
  Options options_;
};

}  // namespace witan::insecure
