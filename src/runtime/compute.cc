#include "runtime/compute.h"

#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "base/log.h"
#include "base/thread_name.h"

namespace witan::runtime {

namespace {

/// Beside a thread without niceness, one of 10 gets a tenth of a processor, one of 19 a seventieth.
constexpr int kHeavyNice = 10, kPreprocessingNice = 19;

/// On Linux niceness belongs to a thread, and lowering one's own priority needs no privilege.
void lower_priority_of_this_thread(int nice) {
  if (setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), nice) != 0)
    log::warn("a thread keeps its priority: setpriority to {} failed with errno {}", nice, errno);
}

}  // namespace

struct ComputePool::Impl {
  struct Class {
    std::mutex mutex;
    std::condition_variable work;
    std::deque<std::function<void()>> jobs;
    bool stopping = false;
    std::size_t unannounced = 0;  // loop thread: jobs that no thread was woken for

    void serve() {
      std::unique_lock lock(mutex);
      for (;;) {
        work.wait(lock, [this] { return stopping || !jobs.empty(); });
        if (stopping) return;
        auto job = std::move(jobs.front());
        jobs.pop_front();
        lock.unlock();
        job();
        job = nullptr;  // what it owns is released before the lock is taken
        lock.lock();
      }
    }
  };

  Class& of(Work work) { return classes[static_cast<std::size_t>(work)]; }

  explicit Impl(Loop& loop) : wake(loop, [this] { wake_threads(); }) {}

  /// One for one new job, all for several.
  void wake_threads() {
    for (Class& work_class : classes) {
      const std::size_t jobs = std::exchange(work_class.unannounced, 0);
      if (jobs == 1)
        work_class.work.notify_one();
      else if (jobs > 1)
        work_class.work.notify_all();
    }
  }

  std::array<Class, 3> classes;
  std::vector<std::thread> threads;
  Afterwards wake;
};

ComputePool::ComputePool(Loop& loop, Options options) : Compute(loop), impl_(std::make_unique<Impl>(loop)) {
  WITAN_CHECK(options.urgent_threads >= 1 && options.heavy_threads >= 1 && options.preprocessing_threads >= 1);
  for (int i = 0; i < options.urgent_threads; ++i)
    impl_->threads.emplace_back([impl = impl_.get()] {
      name_this_thread("urgent work");
      impl->of(Work::urgent).serve();
    });
  for (int i = 0; i < options.heavy_threads; ++i)
    impl_->threads.emplace_back([impl = impl_.get()] {
      name_this_thread("heavy work");
      lower_priority_of_this_thread(kHeavyNice);
      impl->of(Work::heavy).serve();
    });
  for (int i = 0; i < options.preprocessing_threads; ++i)
    impl_->threads.emplace_back([impl = impl_.get()] {
      name_this_thread("bulk work");
      lower_priority_of_this_thread(kPreprocessingNice);
      impl->of(Work::preprocessing).serve();
    });
}

ComputePool::~ComputePool() {
  for (auto& work_class : impl_->classes) {
    {
      const std::lock_guard lock(work_class.mutex);
      work_class.stopping = true;
    }
    work_class.work.notify_all();
  }
  for (auto& thread : impl_->threads) thread.join();
}

void ComputePool::submit(Work work, std::function<void()> job) {
  auto& work_class = impl_->of(work);
  {
    const std::lock_guard lock(work_class.mutex);
    work_class.jobs.push_back(std::move(job));
  }
  ++work_class.unannounced;
  impl_->wake.request();
}

std::size_t ComputePool::queued(Work work) const {
  auto& work_class = impl_->of(work);
  const std::lock_guard lock(work_class.mutex);
  return work_class.jobs.size();
}

}  // namespace witan::runtime
