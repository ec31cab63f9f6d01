#include "runtime/scheduling.h"

#include <dirent.h>
#include <sched.h>
#include <sys/types.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>

#include "base/log.h"

namespace witan::runtime {

namespace {

void set_policy(pid_t thread, int policy) {
  const sched_param none{};
  if (sched_setscheduler(thread, policy, &none) == 0 || errno == ESRCH) return;
  static std::atomic<bool> said = false;
  if (!said.exchange(true)) log::warn("a thread keeps its scheduling policy: errno {}", errno);
}

}  // namespace

void let_threads_finish(bool under_load) {
  DIR* const tasks = ::opendir("/proc/self/task");
  if (tasks == nullptr) return;
  while (const dirent* entry = ::readdir(tasks)) {  // NOLINT(concurrency-mt-unsafe): the stream is our own
    const auto thread = static_cast<pid_t>(std::strtol(entry->d_name, nullptr, 10));
    if (thread <= 0) continue;
    const int policy = sched_getscheduler(thread);
    if (policy == (under_load ? SCHED_OTHER : SCHED_BATCH)) set_policy(thread, under_load ? SCHED_BATCH : SCHED_OTHER);
  }
  ::closedir(tasks);
}

}  // namespace witan::runtime
