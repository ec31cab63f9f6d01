// Child processes that outlive the command that started them, and free ports.
#pragma once

#include <signal.h>

#include <chrono>
#include <filesystem>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "base/error.h"

namespace witan::cli {

/// SIGINT, SIGTERM and SIGHUP wait, in this thread and those that it starts, until somebody takes them. Programs that are started meanwhile
/// get them as ever.
class BlockedSignals {
 public:
  BlockedSignals();
  ~BlockedSignals();
  BlockedSignals(const BlockedSignals&) = delete;
  BlockedSignals& operator=(const BlockedSignals&) = delete;
  /// For sigtimedwait() and its like.
  const sigset_t& set() const { return set_; }

 private:
  sigset_t set_{}, before_{};
};

/// Requests a stop at SIGINT, SIGTERM or SIGHUP, except those that whoever started the program ignores (nohup); a second one ends the program
/// at once. It is made before other threads are, so that they do not take the signals.
class StopAtSignal {
 public:
  StopAtSignal();
  ~StopAtSignal();
  std::stop_token token() const { return stop_.get_token(); }

 private:
  const BlockedSignals blocked_;
  std::stop_source stop_;
  std::jthread waiting_;  // destroyed first
};

/// Starts a program in a process group of its own (what a terminal sends the command does not reach it), standard output and error appended
/// to `log`, no standard input. Returns its process id. It stays in the session: Linux compares niceness inside of one session alone
/// (sched(7), autogroups), and the nodes of a committee on one machine shall not delay each other's urgent work by their bulk work.
/// Errors: unavailable (cannot be started, with the system's reason).
Result<int> start_detached(const std::vector<std::string>& command, const std::filesystem::path& log);

struct ProcessOutput {
  int exit_code = 0;
  std::string text;  // standard output and error
};

/// Runs a program to its end. Errors: unavailable (cannot be started), deadline_exceeded (killed).
Result<ProcessOutput> run_process(const std::vector<std::string>& command, std::chrono::seconds timeout);

/// Does a process of that id run, with `argument` among its arguments? (So that a reused id is not taken for ours.)
bool process_runs(int pid, const std::string& argument);

/// SIGTERM, then SIGKILL after `grace`; returns when it is gone. True if it needed SIGKILL.
bool stop_process(int pid, const std::string& argument, std::chrono::milliseconds grace);
void kill_process(int pid, const std::string& argument);

/// `count` ports of 127.0.0.1 that are free now, from `first` upwards and below 32768 (where the system does not take
/// ports for outgoing connections). Error: resource_exhausted.
Result<std::vector<std::uint16_t>> free_ports(std::size_t count, std::uint16_t first);

/// The folder that the running program lies in; its sister programs are looked for there.
std::filesystem::path program_folder();

}  // namespace witan::cli
