#include "node/disk_wait.h"

#include "base/log.h"

namespace witan::node {

using runtime::Task;

void DiskWait::note(const Error& error) {
  if (!reason_) {
    since_ = loop_.now();
    log::error("{}: waits for the disk, and goes on when it can: {}", what_, error.message);
  }
  reason_ = error.message;
}

void DiskWait::end() {
  if (!reason_) return;
  reason_.reset();
  log::info("{}: does not wait for the disk any more, after {:.1f} s", what_,
            std::chrono::duration<double>(loop_.now() - since_).count());
}

Task<Status> PatientJournal::commit(std::vector<runtime::Change> changes) {
  co_return co_await wait_.repeat([this, &changes] { return journal_.commit(changes); });
}

Result<std::optional<Bytes>> PatientJournal::get(const std::string& table, ByteView key) const {
  return journal_.get(table, key);
}

Status PatientJournal::for_each(const std::string& table,
                                const std::function<bool(ByteView key, ByteView value)>& visitor) const {
  return journal_.for_each(table, visitor);
}

}  // namespace witan::node
