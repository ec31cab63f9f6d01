// What a node has made it does not give up because a disk is full, or fails for a moment: it waits, says so once in its log and as long as it
// lasts in the status of the request, and goes on when the disk does. Loop thread only.
#pragma once

#include <algorithm>
#include <chrono>
#include <optional>
#include <string>
#include <type_traits>

#include "runtime/journal.h"
#include "runtime/loop.h"

namespace witan::node {

/// Between tries: doubled from the first to the longest.
inline constexpr auto kFirstPause = std::chrono::seconds(1), kLongestPause = std::chrono::seconds(30);

/// Of a disk or the journal: full, failing, or too many wait for it. The same call may succeed later.
inline bool may_pass(const Error& error) {
  return error.code == Code::unavailable || error.code == Code::resource_exhausted;
}

/// One piece of work that may wait for a disk, in several places at once.
class DiskWait {
 public:
  /// `what`: whose it is, for the log, e.g. "key <id>".
  DiskWait(runtime::Loop& loop, std::string what) : loop_(loop), what_(std::move(what)) {}
  DiskWait(const DiskWait&) = delete;
  DiskWait& operator=(const DiskWait&) = delete;

  /// Calls `attempt`, which gives a Task of a Result, until it succeeds or fails with an error that does not pass. The DiskWait, and what
  /// `attempt` refers to, outlive the task.
  template <class Attempt>
  std::invoke_result_t<Attempt&> repeat(Attempt attempt) {
    auto result = co_await attempt();
    if (result || !may_pass(result.error())) co_return result;
    Waiting waiting(*this);
    for (auto pause = kFirstPause; !result && may_pass(result.error()); pause = std::min(2 * pause, kLongestPause)) {
      note(result.error());
      co_await loop_.sleep_for(pause);
      result = co_await attempt();
    }
    co_return result;
  }

  /// Why it waits, if it does.
  const std::optional<std::string>& reason() const { return reason_; }
  /// ... and how long it has waited.
  runtime::Duration waited() const { return reason_ ? loop_.now() - since_ : runtime::Duration{}; }

 private:
  struct Waiting {
    explicit Waiting(DiskWait& all) : wait(all) { ++wait.waiting_; }
    Waiting(const Waiting&) = delete;
    Waiting& operator=(const Waiting&) = delete;
    ~Waiting() {
      if (--wait.waiting_ == 0) wait.end();
    }
    DiskWait& wait;
  };
  void note(const Error& error);
  void end();

  runtime::Loop& loop_;
  const std::string what_;
  int waiting_ = 0;
  std::optional<std::string> reason_;
  runtime::Instant since_{};
};

/// A journal whose commits wait for the disk. Both outlive it.
class PatientJournal final : public runtime::Journal {
 public:
  PatientJournal(runtime::Journal& journal, DiskWait& wait) : journal_(journal), wait_(wait) {}
  runtime::Task<Status> commit(std::vector<runtime::Change> changes) override;
  Result<std::optional<Bytes>> get(const std::string& table, ByteView key) const override;
  Status for_each(const std::string& table,
                  const std::function<bool(ByteView key, ByteView value)>& visitor) const override;

 private:
  runtime::Journal& journal_;
  DiskWait& wait_;
};

}  // namespace witan::node
