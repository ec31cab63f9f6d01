// A journal in memory with the failures of a disk, for tests and the simulator. The content (FakeDisk) outlives the process
// that wrote it (FakeJournal); a crash loses what was not synced.
#pragma once

#include <map>
#include <memory>

#include "base/rng.h"
#include "runtime/event.h"
#include "runtime/journal.h"

namespace witan::runtime {

/// What is on the disk, and how the disk behaves.
struct FakeDisk {
  std::map<std::string, std::map<Bytes, Bytes>> tables;
  std::uint64_t commits = 0;  // that were applied, ever
  /// Commits fail with unavailable and change nothing, from this number of applied commits on.
  std::uint64_t fails_after_commits = ~std::uint64_t{0};
  bool failing() const { return commits >= fails_after_commits; }
};

class FakeJournal final : public Journal {
 public:
  /// A commit is durable, visible and acknowledged `sync_time` after its sync began; commits that arrive meanwhile share the
  /// next one. `disk` outlives the journal. Destroying the journal without crash() loses what was not synced.
  FakeJournal(Loop& loop, FakeDisk& disk, Duration sync_time = std::chrono::milliseconds(1));
  ~FakeJournal() override;

  Task<Status> commit(std::vector<Change> changes) override;
  Result<std::optional<Bytes>> get(const std::string& table, ByteView key) const override;
  Status for_each(const std::string& table,
                  const std::function<bool(ByteView key, ByteView value)>& visitor) const override;

  /// The process is killed: of the commits that nobody was told about, the first few (a random number) reach the disk.
  /// No call of commit() comes back after this.
  void crash(Rng& rng);

  /// Called at the start of each commit, before anything is done. For crash points.
  void set_on_commit(std::function<void()> hook) { on_commit_ = std::move(hook); }

 private:
  struct Pending;
  Status apply(const std::vector<Change>& changes);
  void begin_sync();
  void end_sync();

  Loop& loop_;
  FakeDisk& disk_;
  const Duration sync_time_;
  bool crashed_ = false;
  std::vector<std::shared_ptr<Pending>> queued_, syncing_;
  CallbackTimer sync_timer_;
  std::function<void()> on_commit_;
};

}  // namespace witan::runtime
