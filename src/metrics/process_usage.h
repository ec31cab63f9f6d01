// What this process and its machine use, from /proc.
#pragma once

#include <cstdint>
#include <optional>

namespace witan::metrics {

/// What cannot be read is missing: another system, a hidden /proc.
struct ProcessUsage {
  std::optional<std::uint64_t> threads, file_descriptors;
  std::optional<std::uint64_t> memory_bytes;  // resident
  double processor_seconds = 0;               // of all threads since the start
};
ProcessUsage process_usage();

struct MachineUsage {
  std::uint64_t processors = 0;  // that this process may use
  std::optional<std::uint64_t> memory_bytes, memory_used_bytes;
  /// Of all processors since the system's start, in ticks.
  std::optional<std::uint64_t> busy_ticks, all_ticks;
};
MachineUsage machine_usage();

}  // namespace witan::metrics
