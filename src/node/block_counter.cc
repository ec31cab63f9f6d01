#include "node/block_counter.h"

#include "base/codec.h"
#include "base/log.h"

namespace witan::node {
namespace {

constexpr const char* kTable = "counters";

Bytes record_key(const KeyId& key, const EpochId& epoch) {
  return Writer().text("blocks").id(key).id(epoch).take();
}

}  // namespace

Result<std::uint64_t> BlockCounter::total(const KeyId& key, const EpochId& epoch) const {
  const Bytes record = record_key(key, epoch);
  if (const auto known = totals_.find(record); known != totals_.end()) return known->second;
  WITAN_ASSIGN(const auto stored, journal_.get(kTable, record));
  if (!stored) return 0;
  if (stored->size() != 8)
    return fail(Code::data_loss, "the journal's count of blocks of key {} in epoch {} has {} bytes, expected 8",
                key.hex(), epoch.hex(), stored->size());
  return load_le<std::uint64_t>(stored->data());
}

Result<BlockCounter::Counted> BlockCounter::add(const KeyId& key, const EpochId& epoch, std::uint64_t blocks) {
  Counted out;
  WITAN_ASSIGN(out.total, total(key, epoch));
  out.total += std::min(blocks, ~std::uint64_t{0} - out.total);
  out.alarm = out.total >= kAlarmBlocks;
  if (out.alarm)
    log::error("ALARM: key {} has decrypted {} blocks in epoch {}, the limit is 2^40: rotate it", key.hex(), out.total,
               epoch.hex());
  totals_[record_key(key, epoch)] = out.total;
  return out;
}

runtime::Change BlockCounter::record(const KeyId& key, const EpochId& epoch) const {
  Bytes where = record_key(key, epoch);
  const std::uint64_t total = totals_.at(where);
  return {runtime::Change::Kind::put, kTable, std::move(where), Writer().u64(total).take()};
}

}  // namespace witan::node
