#include "metrics/process_usage.h"

#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>

namespace witan::metrics {
namespace {

std::optional<std::uint64_t> entries_in(const char* folder) {
  std::error_code code;
  std::uint64_t out = 0;
  for (std::filesystem::directory_iterator it(folder, code), end; !code && it != end; it.increment(code)) ++out;
  if (code) return std::nullopt;
  return out;
}

double seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
}

}  // namespace

ProcessUsage process_usage() {
  ProcessUsage out;
  out.threads = entries_in("/proc/self/task");
  out.file_descriptors = entries_in("/proc/self/fd");
  std::uint64_t total_pages = 0, resident_pages = 0;
  if (std::ifstream("/proc/self/statm") >> total_pages >> resident_pages)
    out.memory_bytes = resident_pages * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  rusage usage{};
  if (::getrusage(RUSAGE_SELF, &usage) == 0) out.processor_seconds = seconds(usage.ru_utime) + seconds(usage.ru_stime);
  return out;
}

MachineUsage machine_usage() {
  MachineUsage out;
  out.processors = std::thread::hardware_concurrency();
  std::ifstream memory("/proc/meminfo");
  std::optional<std::uint64_t> available;
  for (std::string line; std::getline(memory, line);) {
    std::istringstream words(line);
    std::string name;
    std::uint64_t kib = 0;
    if (!(words >> name >> kib)) continue;
    if (name == "MemTotal:") out.memory_bytes = kib * 1024;
    if (name == "MemAvailable:") available = kib * 1024;
  }
  if (out.memory_bytes && available) out.memory_used_bytes = *out.memory_bytes - *available;
  // cpu user nice system idle iowait irq softirq steal
  std::ifstream stat("/proc/stat");
  std::string name;
  std::uint64_t all = 0, idle = 0, ticks = 0;
  stat >> name;
  int field = 0;
  for (; field < 8 && stat >> ticks; ++field) {
    all += ticks;
    if (field == 3 || field == 4) idle += ticks;
  }
  if (name == "cpu" && field == 8) {
    out.all_ticks = all;
    out.busy_ticks = all - idle;
  }
  return out;
}

}  // namespace witan::metrics
