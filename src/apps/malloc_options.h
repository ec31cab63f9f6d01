// What a node asks of jemalloc. Benchmarks that stand for a node ask for the same.
#pragma once

namespace witan::apps {

/// Freed memory is used again for ten seconds and goes back to the system in the background after that, blocks of megabytes too:
/// preprocessing takes and frees nothing else, and faulting their pages in anew cost a twentieth of its processor time.
inline constexpr const char* kMallocOptions =
    "background_thread:true,dirty_decay_ms:10000,muzzy_decay_ms:0,oversize_threshold:0";

}  // namespace witan::apps
