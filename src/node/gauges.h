// What the services of a node hold, as metrics (docs/metrics.md).
#pragma once

#include <vector>

#include "metrics/registry.h"
#include "node/core.h"
#include "node/key_generator.h"
#include "node/public_decryptor.h"
#include "store/journal/sqlite_journal.h"
#include "transport/transport.h"

namespace witan::node {

/// Keys with series of their own: those that have decrypted most.
inline constexpr std::size_t kMaxKeySeries = 100;

/// As it is now. Loop thread.
std::vector<metrics::Family> gauges_of(const Core& core, const transport::Transport& transport,
                                       const store::SqliteJournal& journal, const PublicDecryptor& decryptor,
                                       const KeyGenerator& generator);

/// Of the runs of key generations alone.
std::vector<metrics::Family> keygen_gauges(const std::vector<KeygenProgress>& runs);

/// Of the totals of all keys.
struct KeyBlocks {
  KeyId key;
  EpochId epoch;
  std::uint64_t blocks = 0;
};
std::vector<metrics::Family> block_gauges(std::vector<KeyBlocks> keys);

}  // namespace witan::node
