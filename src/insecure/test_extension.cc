#include "insecure/test_extension.h"

#include "base/log.h"
#include "insecure/dealing.h"
#include "insecure/liar.h"
#include "insecure/partial_preprocessing.h"

namespace witan::insecure {

node::ExtraSections config_sections() {
  return {{"insecure", {"import_dir", "fault"}}};
}

Result<Options> parse_options(const node::LoadedConfig& loaded) {
  Options out;
  const auto section = loaded.extra.find("insecure");
  if (section == loaded.extra.end()) return out;
  if (const auto it = section->second.find("import_dir"); it != section->second.end()) out.import_dir = it->second;
  if (const auto it = section->second.find("fault"); it != section->second.end()) {
    if (it->second != "lie" && it->second != "none")
      return fail(Code::invalid_argument, "insecure.fault is 'none' or 'lie', not '{}'", it->second);
    if (it->second == "lie") out.fault = Fault::lie;
  }
  return out;
}

std::unique_ptr<runtime::Link> TestExtension::wrap_link(runtime::Link& link) {
  if (options_.fault == Fault::none) return nullptr;
  log::warn("FAULT: this node lies in every opening");
  return std::make_unique<LiarLink>(link);
}

api::ExtraMethods TestExtension::methods(node::Core& core) {
  api::ExtraMethods out = dealing_methods(core, options_.import_dir);
  out.merge(partial_preprocessing_methods(core));
  return out;
}

runtime::Task<void> TestExtension::resume(node::Core& core, node::InterruptedRequest request) {
  return abort_interrupted(core, std::move(request));
}

}  // namespace witan::insecure
