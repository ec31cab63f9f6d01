// Log facade: one line per event on standard error. Never shares, plaintexts or keys.
#pragma once

#include <fmt/core.h>

#include <string_view>

#include "base/error.h"

namespace witan::log {

enum class Level { debug, info, warn, error };

/// Lines below the level are dropped. Default: info, or WITAN_LOG=debug|info|warn|error.
void set_level(Level level);
/// Sends lines to a file instead of standard error. Error: unavailable (it cannot be opened for writing).
Status set_file(const char* path);
void write(Level level, std::string_view line);
bool enabled(Level level);

template <class... Args>
void emit(Level level, fmt::format_string<Args...> format, Args&&... args) {
  if (enabled(level)) write(level, fmt::format(format, std::forward<Args>(args)...));
}
#define WITAN_LOG_LEVEL(name)                                     \
  template <class... Args>                                        \
  void name(fmt::format_string<Args...> format, Args&&... args) { \
    emit(Level::name, format, std::forward<Args>(args)...);       \
  }
WITAN_LOG_LEVEL(debug)
WITAN_LOG_LEVEL(info)
WITAN_LOG_LEVEL(warn)
WITAN_LOG_LEVEL(error)
#undef WITAN_LOG_LEVEL

}  // namespace witan::log
