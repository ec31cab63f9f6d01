#include "runtime/task.h"

#include <cstdlib>

#include "base/log.h"

namespace witan::runtime::detail {

void exception_left_task() noexcept {
  try {
    throw;
  } catch (const std::exception& error) {
    log::error("exception left a task: {}", error.what());
  } catch (...) {
    log::error("exception of unknown type left a task");
  }
  std::abort();
}

}  // namespace witan::runtime::detail
