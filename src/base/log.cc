#include "base/log.h"

#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <atomic>
#include <cstdlib>
#include <cstring>

namespace witan::log {
namespace {

constexpr const char* kPattern = "%Y-%m-%dT%H:%M:%S.%eZ %l %v";

std::shared_ptr<spdlog::logger> make(spdlog::sink_ptr sink) {
  auto logger = std::make_shared<spdlog::logger>("witan", std::move(sink));
  logger->set_pattern(kPattern, spdlog::pattern_time_type::utc);
  logger->set_level(spdlog::level::debug);
  logger->flush_on(spdlog::level::debug);
  return logger;
}

Level initial_level() {
  const char* text = std::getenv("WITAN_LOG");
  if (text == nullptr) return Level::info;
  if (std::strcmp(text, "debug") == 0) return Level::debug;
  if (std::strcmp(text, "warn") == 0) return Level::warn;
  if (std::strcmp(text, "error") == 0) return Level::error;
  return Level::info;
}

std::atomic<Level>& level() {
  static std::atomic<Level> value{initial_level()};
  return value;
}

std::shared_ptr<spdlog::logger>& logger() {
  static auto value = make(std::make_shared<spdlog::sinks::stderr_sink_mt>());
  return value;
}

}  // namespace

void set_level(Level value) {
  level() = value;
}
Status set_file(const char* path) {
  try {
    logger() = make(std::make_shared<spdlog::sinks::basic_file_sink_mt>(path));
  } catch (const spdlog::spdlog_ex& error) {
    return fail(Code::unavailable, "the log file {} cannot be written: {}", path, error.what());
  }
  return {};
}
bool enabled(Level value) {
  return value >= level();
}

void write(Level value, std::string_view line) {
  static constexpr spdlog::level::level_enum kMap[] = {spdlog::level::debug, spdlog::level::info, spdlog::level::warn,
                                                       spdlog::level::err};
  logger()->log(kMap[static_cast<int>(value)], fmt::string_view(line.data(), line.size()));
}

}  // namespace witan::log
