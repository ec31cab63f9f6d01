#include "cli/process.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <optional>
#include <sstream>
#include <thread>

extern char** environ;

namespace witan::cli {
namespace {

std::vector<char*> arguments_of(const std::vector<std::string>& command) {
  std::vector<char*> out;
  for (const auto& word : command) out.push_back(const_cast<char*>(word.c_str()));
  out.push_back(nullptr);
  return out;
}

class SpawnSetup {
 public:
  SpawnSetup() {
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    sigset_t none;
    sigemptyset(&none);
    posix_spawnattr_setsigmask(&attributes, &none);
    set_flags(0);
  }
  void set_flags(int flags) {
    posix_spawnattr_setflags(&attributes, static_cast<short>(flags | POSIX_SPAWN_SETSIGMASK));
  }
  ~SpawnSetup() {
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
  }
  SpawnSetup(const SpawnSetup&) = delete;
  SpawnSetup& operator=(const SpawnSetup&) = delete;
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
};

Result<int> spawn(const std::vector<std::string>& command, SpawnSetup& setup) {
  auto arguments = arguments_of(command);
  pid_t pid = 0;
  const int error = posix_spawnp(&pid, arguments[0], &setup.actions, &setup.attributes, arguments.data(), environ);
  if (error != 0) return fail(Code::unavailable, "cannot start {}: {}", command[0], std::strerror(error));
  return pid;
}

}  // namespace

BlockedSignals::BlockedSignals() {
  sigemptyset(&set_);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&set_, signal);
  pthread_sigmask(SIG_BLOCK, &set_, &before_);
}
BlockedSignals::~BlockedSignals() {
  pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

StopAtSignal::StopAtSignal()
    : waiting_([this](const std::stop_token& ended) {
        sigset_t wanted = blocked_.set();
        for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
          struct sigaction action{};
          if (sigaction(signal, nullptr, &action) == 0 && action.sa_handler == SIG_IGN) sigdelset(&wanted, signal);
        }
        constexpr timespec kStep{0, 100'000'000};
        while (!ended.stop_requested()) {
          const int signal = sigtimedwait(&wanted, nullptr, &kStep);
          if (signal > 0 && !stop_.request_stop()) std::_Exit(128 + signal);
        }
      }) {}
StopAtSignal::~StopAtSignal() = default;

Result<int> start_detached(const std::vector<std::string>& command, const std::filesystem::path& log) {
  SpawnSetup setup;
  setup.set_flags(POSIX_SPAWN_SETPGROUP);  // 0, the attribute's initial value: a new one
  posix_spawn_file_actions_addopen(&setup.actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&setup.actions, 1, log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  posix_spawn_file_actions_adddup2(&setup.actions, 1, 2);
  return spawn(command, setup);
}

Result<ProcessOutput> run_process(const std::vector<std::string>& command, std::chrono::seconds timeout) {
  int pipe_ends[2];
  if (pipe2(pipe_ends, O_CLOEXEC) != 0) return fail(Code::unavailable, "pipe: {}", std::strerror(errno));
  SpawnSetup setup;
  posix_spawn_file_actions_addopen(&setup.actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&setup.actions, pipe_ends[1], 1);
  posix_spawn_file_actions_adddup2(&setup.actions, pipe_ends[1], 2);
  auto pid = spawn(command, setup);
  close(pipe_ends[1]);
  if (!pid) {
    close(pipe_ends[0]);
    return fail(std::move(pid).error());
  }
  ProcessOutput output;
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  bool late = false;
  for (;;) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    pollfd waiting{pipe_ends[0], POLLIN, 0};
    if (left.count() <= 0 || poll(&waiting, 1, static_cast<int>(left.count())) == 0) {
      late = true;
      break;
    }
    char buffer[4096];
    const ssize_t n = read(pipe_ends[0], buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    output.text.append(buffer, static_cast<std::size_t>(n));
  }
  close(pipe_ends[0]);
  if (late) kill(*pid, SIGKILL);
  int status = 0;
  while (waitpid(*pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (late) return fail(Code::deadline_exceeded, "{} did not end within {} s", command[0], timeout.count());
  output.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return output;
}

namespace {

/// Of /proc/<pid>; nothing if there is no such process.
std::optional<std::string> proc_text(int pid, const char* name) {
  std::ifstream in("/proc/" + std::to_string(pid) + "/" + name, std::ios::binary);
  std::ostringstream text;
  if (!in || !(text << in.rdbuf())) {
    if (!in) return std::nullopt;
    return std::string();  // nothing in it
  }
  return std::move(text).str();
}

/// The arguments of a process, each with a zero behind. A program that is just being executed shows none for a moment.
std::string arguments_of(int pid) {
  for (int i = 0; i < 200; ++i) {
    const auto line = proc_text(pid, "cmdline");
    if (!line) return {};
    if (!line->empty()) return *line;
    const auto stat = proc_text(pid, "stat");
    if (!stat || stat->find(") Z") != std::string::npos) return {};  // it has ended
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return {};
}

}  // namespace

bool process_runs(int pid, const std::string& argument) {
  if (pid <= 0) return false;
  waitpid(pid, nullptr, WNOHANG);  // a child of ours that has ended
  const std::string line = arguments_of(pid);
  std::size_t at = 0;
  while (at < line.size()) {
    const std::size_t end = std::min(line.find('\0', at), line.size());
    if (line.compare(at, end - at, argument) == 0) return true;
    at = end + 1;
  }
  return false;
}

namespace {

/// The end of a process with all its threads, its files closed and its locks free: earlier another of the same kind may not start.
class ProcessEnd {
 public:
  explicit ProcessEnd(int pid) : pid_(pid), fd_(static_cast<int>(syscall(SYS_pidfd_open, pid, 0))) {}
  ProcessEnd(const ProcessEnd&) = delete;
  ProcessEnd& operator=(const ProcessEnd&) = delete;
  ~ProcessEnd() {
    if (fd_ >= 0) close(fd_);
    waitpid(pid_, nullptr, WNOHANG);  // a child of ours
  }
  /// True once it has ended; a negative time waits for ever.
  bool wait(std::chrono::milliseconds time) const {
    if (fd_ < 0) return true;
    pollfd ready{fd_, POLLIN, 0};
    int result = 0;
    do result = poll(&ready, 1, static_cast<int>(time.count()));
    while (result < 0 && errno == EINTR);
    return result == 1;
  }

 private:
  const int pid_, fd_;
};

}  // namespace

void kill_process(int pid, const std::string& argument) {
  const ProcessEnd end(pid);
  if (!process_runs(pid, argument)) return;
  kill(pid, SIGKILL);
  end.wait(std::chrono::milliseconds(-1));
}

bool stop_process(int pid, const std::string& argument, std::chrono::milliseconds grace) {
  const ProcessEnd end(pid);
  if (!process_runs(pid, argument)) return false;
  kill(pid, SIGCONT);
  kill(pid, SIGTERM);
  if (end.wait(grace)) return false;
  kill(pid, SIGKILL);
  end.wait(std::chrono::milliseconds(-1));
  return true;
}

Result<std::vector<std::uint16_t>> free_ports(std::size_t count, std::uint16_t first) {
  constexpr int kEphemeral = 32768;
  std::vector<std::uint16_t> out;
  for (int port = first; port < kEphemeral && out.size() < count; ++port) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return fail(Code::unavailable, "socket: {}", std::strerror(errno));
    const int on = 1;  // a port in TIME_WAIT is free for a listener
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 && listen(fd, 1) == 0)
      out.push_back(static_cast<std::uint16_t>(port));
    close(fd);
  }
  if (out.size() < count)
    return fail(Code::resource_exhausted, "only {} of {} free ports between {} and {}", out.size(), count, first,
                kEphemeral);
  return out;
}

std::filesystem::path program_folder() {
  return std::filesystem::read_symlink("/proc/self/exe").parent_path();
}

}  // namespace witan::cli
