// How many blocks each key has decrypted (security.md 5, S40): noise flooding wears thin after 2^40. Totals are in the journal,
// table `counters`; loop thread only.
#pragma once

#include <map>

#include "base/ids.h"
#include "runtime/journal.h"

namespace witan::node {

class BlockCounter {
 public:
  static constexpr std::uint64_t kAlarmBlocks = std::uint64_t{1} << 40;

  explicit BlockCounter(const runtime::Journal& journal) : journal_(journal) {}

  struct Counted {
    std::uint64_t total = 0;
    bool alarm = false;  // the key must be rotated
  };
  /// Blocks whose shares leave this node. Error: data_loss (the stored total cannot be read).
  Result<Counted> add(const KeyId& key, const EpochId& epoch, std::uint64_t blocks);

  /// The total as it is now, to be committed with the outcome of each decryption, whatever it is: totals on the disk never go
  /// back, in whatever order decryptions end. Precondition: add() has counted for this key.
  runtime::Change record(const KeyId& key, const EpochId& epoch) const;

  /// 0 for a key that has decrypted nothing.
  Result<std::uint64_t> total(const KeyId& key, const EpochId& epoch) const;

 private:
  const runtime::Journal& journal_;
  std::map<Bytes, std::uint64_t> totals_;  // of keys used since the start: may be ahead of the journal
};

}  // namespace witan::node
