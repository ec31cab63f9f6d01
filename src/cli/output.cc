#include "cli/output.h"

#include <fmt/core.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <condition_variable>
#include <mutex>
#include <thread>

namespace witan::cli {

std::string text_of(const KeyProgress& progress) {
  if (progress.total == 0) return "";
  std::string out = fmt::format(": {} {:.0f} %", progress.stage, std::floor(progress.percent));
  if (progress.per_second && progress.seconds_left)
    out +=
        fmt::format(", {:.2f} million elements/s, {:.0f} s left", *progress.per_second / 1e6, *progress.seconds_left);
  return out + ",";
}

struct ProgressBar::Impl {
  std::string what;
  std::mutex mutex;
  std::condition_variable_any wake;
  bool shown = false;
  KeyProgress progress;
  std::jthread thread;
};

ProgressBar::ProgressBar(std::string what) : impl_(std::make_unique<Impl>()) {
  impl_->what = std::move(what);
  if (isatty(STDERR_FILENO) == 0) return;
  impl_->thread = std::jthread([impl = impl_.get()](std::stop_token stop) {
    const auto begun = std::chrono::steady_clock::now();
    std::unique_lock lock(impl->mutex);
    for (int tick = 0; !stop.stop_requested(); ++tick) {
      impl->wake.wait_for(lock, stop, std::chrono::milliseconds(250), [] { return false; });
      const auto seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
      if (stop.stop_requested() || seconds < 2) continue;
      impl->shown = true;
      std::string bar(20, '.');
      if (impl->progress.total > 0) {
        const auto filled = static_cast<std::size_t>(impl->progress.percent) * bar.size() / 100;
        bar.replace(0, filled, filled, '=');
      } else {
        for (int i = 0; i < 5; ++i) bar[static_cast<std::size_t>((tick + i) % 20)] = '=';
      }
      fmt::print(stderr, "\r\x1b[K[{}] {}{} {:.0f} s ", bar, impl->what, text_of(impl->progress), seconds);
    }
  });
}

void ProgressBar::show(const KeyProgress& progress) {
  const std::lock_guard lock(impl_->mutex);
  impl_->progress = progress;
}

ProgressBar::~ProgressBar() {
  finish();
}

void ProgressBar::finish() {
  if (!impl_->thread.joinable()) return;
  impl_->thread.request_stop();
  impl_->wake.notify_all();
  impl_->thread.join();
  if (impl_->shown) fmt::print(stderr, "\r\x1b[K");
}

void print_parties(const Committee& committee, const DecryptionReport& report, std::FILE* to) {
  for (const int id : report.agreed.parties) {
    const auto& answer = report.answers.at(id);
    fmt::print(to, "  signed by party {} ({}), both signatures verified, {:.0f} ms\n", id, committee.party(id).signer,
               answer.seconds * 1e3);
  }
  for (const auto& [id, answer] : report.answers)
    if (answer.response && !answer.verified) fmt::print(to, "  party {}: answer refused: {}\n", id, answer.error);
  for (const int id : report.lied) fmt::print(to, "  party {} LIED: it sent wrong shares to its peers\n", id);
  for (const int id : report.other) fmt::print(to, "  party {} sent shares that it says are of OTHER content\n", id);
  for (const int id : report.silent) fmt::print(to, "  party {} was SILENT\n", id);
}

}  // namespace witan::cli
