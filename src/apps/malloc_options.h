// What a node asks of jemalloc. Benchmarks that stand for a node ask for the same.
#pragma once

#include <cstddef>
#include <limits>

/// Of jemalloc; null in the builds with sanitizers, which bring their own allocator.
extern "C" [[gnu::weak]] int mallctl(const char* name, void* old_value, std::size_t* old_size, void* new_value,
                                     std::size_t new_size);

namespace witan::apps {

/// Freed memory is used again for ten seconds and goes back to the system in the background after that, blocks of megabytes too:
/// preprocessing takes and frees nothing else, and faulting their pages in anew costs a twentieth of its processor time.
inline constexpr const char* kMallocOptions =
    "background_thread:true,dirty_decay_ms:10000,muzzy_decay_ms:0,oversize_threshold:0";

/// jemalloc makes the arena of the first thread before it looks at oversize_threshold: that one is told here. Called first in main().
/// False: jemalloc is there, and refuses.
inline bool keep_large_blocks() {
  if (mallctl == nullptr) return true;
  std::size_t never = std::numeric_limits<std::size_t>::max();
  return mallctl("arena.0.oversize_threshold", nullptr, nullptr, &never, sizeof never) == 0;
}

}  // namespace witan::apps
