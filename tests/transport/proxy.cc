#include "transport/proxy.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <deque>
#include <list>
#include <vector>

#include "base/bytes.h"
#include "base/check.h"

namespace witan::transport {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::size_t kBufferBytes = 1 << 20;  // per direction; a full one stops the reading

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  return address;
}

void set_options(int fd) {
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  fcntl(fd, F_SETFL, O_NONBLOCK);
}

/// close() that sends a reset instead of what is left.
void reset(int fd) {
  const linger now{1, 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  close(fd);
}

}  // namespace

/// One direction of one connection.
struct TcpProxy::Pipe {
  struct Chunk {
    Clock::time_point due;
    Bytes bytes;
    std::size_t sent = 0;
  };
  int from, to;
  std::atomic<std::uint64_t>* counter;
  std::deque<Chunk> waiting;
  std::size_t waiting_bytes = 0;

  /// False: the connection is over.
  bool read(std::chrono::milliseconds delay) {
    ByteArray<65536> buffer;
    if (waiting_bytes >= kBufferBytes) return true;
    const ssize_t got = recv(from, buffer.data(), buffer.size(), 0);
    if (got < 0) return errno == EAGAIN || errno == EWOULDBLOCK;
    if (got == 0) return false;
    waiting.push_back({Clock::now() + delay, Bytes(buffer.begin(), buffer.begin() + got)});
    waiting_bytes += static_cast<std::size_t>(got);
    return true;
  }
  bool write() {
    while (!waiting.empty() && waiting.front().due <= Clock::now()) {
      Chunk& chunk = waiting.front();
      const ssize_t sent = send(to, chunk.bytes.data() + chunk.sent, chunk.bytes.size() - chunk.sent, MSG_NOSIGNAL);
      if (sent < 0) return errno == EAGAIN || errno == EWOULDBLOCK;
      *counter += static_cast<std::uint64_t>(sent);
      chunk.sent += static_cast<std::size_t>(sent);
      waiting_bytes -= static_cast<std::size_t>(sent);
      if (chunk.sent == chunk.bytes.size()) waiting.pop_front();
    }
    return true;
  }
};

TcpProxy::TcpProxy(std::uint16_t target) : target_(target) {
  listener_ = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address = loopback(0);
  WITAN_CHECK(bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  WITAN_CHECK(listen(listener_, 64) == 0);
  socklen_t size = sizeof address;
  WITAN_CHECK(getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) == 0);
  port_ = ntohs(address.sin_port);
  fcntl(listener_, F_SETFL, O_NONBLOCK);
  thread_ = std::jthread([this] { run(); });
}

TcpProxy::~TcpProxy() {
  stop_ = true;
  thread_.join();
  close(listener_);
}

void TcpProxy::run() {
  std::list<std::array<Pipe, 2>> open;
  int cuts_done = 0;
  const auto drop = [](std::array<Pipe, 2>& both) {
    reset(both[0].from);
    reset(both[0].to);
  };
  while (!stop_) {
    if (const int cuts = cuts_; cuts != cuts_done) {
      cuts_done = cuts;
      for (auto& both : open) drop(both);
      open.clear();
    }
    const bool stalled = stalled_;
    std::vector<pollfd> watched{{listener_, POLLIN, 0}};
    for (auto& both : open)
      for (Pipe& pipe : both)
        if (!stalled && pipe.waiting_bytes < kBufferBytes) watched.push_back({pipe.from, POLLIN, 0});
    poll(watched.data(), watched.size(), 1);
    if (const int client = accept(listener_, nullptr, nullptr); client >= 0) {
      const int server = socket(AF_INET, SOCK_STREAM, 0);
      const sockaddr_in address = loopback(target_);
      if (connect(server, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        close(server);
        close(client);
      } else {
        set_options(client);
        set_options(server);
        ++connections_;
        open.push_back({Pipe{client, server, &forwarded_, {}, 0}, Pipe{server, client, &returned_, {}, 0}});
      }
    }
    if (stalled) continue;
    const std::chrono::milliseconds delay(delay_ms_);
    std::erase_if(open, [&](auto& both) {
      for (Pipe& pipe : both)
        if (!pipe.read(delay) || !pipe.write()) {
          drop(both);
          return true;
        }
      return false;
    });
  }
  for (auto& both : open) drop(both);
}

}  // namespace witan::transport
