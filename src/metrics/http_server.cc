#include "metrics/http_server.h"

#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <memory>
#include <system_error>
#include <thread>
#include <vector>

#include "base/check.h"
#include "base/log.h"
#include "base/thread_name.h"

namespace witan::metrics {
namespace {

using Clock = std::chrono::steady_clock;

/// When the process has no descriptor left and no connection to close for one.
constexpr auto kPauseWithoutDescriptors = std::chrono::milliseconds(100);

class Descriptor {
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

std::string reason(int code) {
  return std::generic_category().message(code);
}

Result<Descriptor> listen_on(const BindAddress& address) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  if (const int code = ::getaddrinfo(address.host.c_str(), std::to_string(address.port).c_str(), &hints, &found);
      code != 0)
    return fail(Code::unavailable, "cannot listen on {}: {}", address.text(), ::gai_strerror(code));
  const std::unique_ptr<addrinfo, decltype([](addrinfo* list) { ::freeaddrinfo(list); })> owner(found);
  int failed = 0;
  for (const addrinfo* each = found; each != nullptr; each = each->ai_next) {
    Descriptor socket(::socket(each->ai_family, each->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, each->ai_protocol));
    const int reuse = 1;  // connections of an earlier process that are still closing do not matter
    if (socket.get() >= 0 && ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof reuse) == 0 &&
        ::bind(socket.get(), each->ai_addr, each->ai_addrlen) == 0 && ::listen(socket.get(), SOMAXCONN) == 0)
      return socket;
    failed = errno;
    if (failed == EADDRINUSE) break;
  }
  return fail(Code::unavailable, "cannot listen on {}: {}", address.text(), reason(failed));
}

std::uint16_t port_of(const Descriptor& socket) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  WITAN_CHECK(::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0);
  const auto port = address.ss_family == AF_INET6 ? reinterpret_cast<const sockaddr_in6*>(&address)->sin6_port
                                                  : reinterpret_cast<const sockaddr_in*>(&address)->sin_port;
  return ntohs(port);
}

const char* phrase(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 400:
      return "Bad Request";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 431:
      return "Request Header Fields Too Large";
    case 503:
      return "Service Unavailable";
    case 505:
      return "HTTP Version Not Supported";
  }
  WITAN_CHECK(false);
  return "";
}

struct Request {
  std::string_view method, path, version;
};

/// The first line of a request; the headers say nothing that we need.
std::optional<Request> parse_request(std::string_view head) {
  const std::string_view line = head.substr(0, head.find("\r\n"));
  const std::size_t first = line.find(' ');
  const std::size_t second = first == std::string_view::npos ? first : line.find(' ', first + 1);
  if (second == std::string_view::npos) return std::nullopt;
  Request out{line.substr(0, first), line.substr(first + 1, second - first - 1), line.substr(second + 1)};
  out.path = out.path.substr(0, out.path.find('?'));
  const auto visible = [](char c) { return c > ' ' && c <= '~'; };
  if (out.method.empty() || !out.path.starts_with('/') || !out.version.starts_with("HTTP/") ||
      !std::ranges::all_of(line, [&](char c) { return visible(c) || c == ' '; }) || out.version.contains(' '))
    return std::nullopt;
  return out;
}

std::string answer_text(const HttpAnswer& answer, bool with_body) {
  return fmt::format(
      "HTTP/1.1 {} {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nCache-Control: no-store\r\n{}Connection: close\r\n"
      "\r\n{}",
      answer.status, phrase(answer.status), answer.content_type, answer.body.size(),
      answer.status == 405 ? "Allow: GET, HEAD\r\n" : "", with_body ? answer.body : "");
}

struct Connection {
  enum class State : std::uint8_t { reading, answering, closing, gone };
  Descriptor socket;
  State state = State::reading;
  Clock::time_point deadline;
  std::string head;  // what has come
  std::string answer;
  std::size_t sent = 0;
};

}  // namespace

std::string BindAddress::text() const {
  return host.find(':') == std::string::npos ? fmt::format("{}:{}", host, port) : fmt::format("[{}]:{}", host, port);
}

Result<BindAddress> BindAddress::parse(std::string_view text) {
  const auto wrong = [&] {
    return fail(Code::invalid_argument, "'{}' is no address to listen on; expected is host:port or [IPv6]:port", text);
  };
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return wrong();
  std::string_view host = text.substr(0, colon);
  const std::string_view digits = text.substr(colon + 1);
  if (host.starts_with('[') && host.ends_with(']') && host.contains(':'))
    host = host.substr(1, host.size() - 2);
  else if (host.find_first_of(":[]") != std::string_view::npos)
    return wrong();
  BindAddress out{std::string(host), 0};
  const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), out.port);
  if (host.empty() || digits.empty() || parsed.ec != std::errc() || parsed.ptr != digits.data() + digits.size())
    return wrong();
  return out;
}

class HttpServer::Impl {
 public:
  Impl(HttpOptions options, HttpHandler handler, Descriptor listener, Descriptor wake)
      : options_(std::move(options)),
        handler_(std::move(handler)),
        listener_(std::move(listener)),
        wake_(std::move(wake)),
        port_(port_of(listener_)),
        thread_([this] {
          name_this_thread("metrics");
          serve();
        }) {}

  ~Impl() {
    stopping_ = true;
    const std::uint64_t one = 1;
    WITAN_CHECK(::write(wake_.get(), &one, sizeof one) == sizeof one);
    thread_.join();
  }

  std::uint16_t port() const { return port_; }

 private:
  using State = Connection::State;

  void serve() {
    while (!stopping_) {
      const auto ready = wait();
      const auto now = Clock::now();
      for (std::size_t i = 0; i < connections_.size(); ++i) {
        Connection& connection = connections_[i];
        if (ready[i + 2].revents != 0) go_on(connection);
        if (now >= connection.deadline) connection.state = State::gone;
      }
      std::erase_if(connections_, [](const Connection& connection) { return connection.state == State::gone; });
      if (ready[1].revents != 0) accept_all();
    }
  }

  /// Until something can be read or written, or a deadline has passed: what poll() says of the wake-up, the listener, the connections.
  std::vector<pollfd> wait() const {
    std::vector<pollfd> polled = {{wake_.get(), POLLIN, 0}, {listener_.get(), POLLIN, 0}};
    const auto now = Clock::now();
    auto until = Clock::time_point::max();
    if (now < accept_again_) {
      polled[1].fd = -1;
      until = accept_again_;
    }
    for (const Connection& connection : connections_) {
      const auto events = static_cast<short>(connection.state == State::answering ? POLLOUT : POLLIN);
      polled.push_back({connection.socket.get(), events, 0});
      until = std::min(until, connection.deadline);
    }
    int timeout_ms = -1;
    if (until != Clock::time_point::max())
      timeout_ms = static_cast<int>(
          std::max<std::int64_t>(0, std::chrono::ceil<std::chrono::milliseconds>(until - now).count()));
    if (::poll(polled.data(), polled.size(), timeout_ms) < 0) {
      WITAN_CHECK(errno == EINTR || errno == ENOMEM);
      for (pollfd& each : polled) each.revents = 0;
    }
    return polled;
  }

  void accept_all() {
    for (std::size_t i = 0; i < options_.max_connections; ++i) {
      Descriptor socket(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
      if (socket.get() < 0) {
        if (errno != EMFILE && errno != ENFILE) return;  // nobody is there any more
        if (connections_.empty()) accept_again_ = Clock::now() + kPauseWithoutDescriptors;
        if (connections_.empty()) return;
        connections_.erase(connections_.begin());
        continue;
      }
      if (connections_.size() == options_.max_connections) connections_.erase(connections_.begin());
      Connection connection;
      connection.socket = std::move(socket);
      connection.deadline = Clock::now() + options_.read_timeout;
      connections_.push_back(std::move(connection));
    }
  }

  void go_on(Connection& connection) {
    switch (connection.state) {
      case State::reading:
        read(connection);
        break;
      case State::answering:
        write(connection);
        break;
      case State::closing: {
        std::array<char, 4096> unread;  // a connection with unread bytes is reset, and the client loses the answer
        const auto got = ::recv(connection.socket.get(), unread.data(), unread.size(), 0);
        if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) connection.state = State::gone;
        break;
      }
      case State::gone:
        break;
    }
  }

  void read(Connection& connection) {
    std::array<char, 2048> buffer;
    const std::size_t room = std::min(buffer.size(), options_.max_head_bytes - connection.head.size());
    const auto got = ::recv(connection.socket.get(), buffer.data(), room, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0) {
      connection.state = State::gone;
      return;
    }
    const std::size_t seen = connection.head.size() < 3 ? 0 : connection.head.size() - 3;
    connection.head.append(buffer.data(), static_cast<std::size_t>(got));
    const std::size_t end = connection.head.find("\r\n\r\n", seen);
    if (end != std::string::npos)
      answer(connection, respond(std::string_view(connection.head).substr(0, end)));
    else if (connection.head.size() >= options_.max_head_bytes)
      answer(connection,
             refusal(431, fmt::format("the head of a request has at most {} bytes\n", options_.max_head_bytes)));
  }

  static std::string refusal(int status, std::string body, bool with_body = true) {
    return answer_text({.status = status, .body = std::move(body)}, with_body);
  }

  std::string respond(std::string_view head) const {
    const auto request = parse_request(head);
    if (!request) return refusal(400, "this is no HTTP request\n");
    if (request->version != "HTTP/1.1" && request->version != "HTTP/1.0")
      return refusal(505, "this endpoint speaks HTTP/1.1\n");
    const bool with_body = request->method != "HEAD";
    if (with_body && request->method != "GET") return refusal(405, "only GET and HEAD are served\n");
    const auto made = handler_(request->path);
    return made ? answer_text(*made, with_body) : refusal(404, "there is nothing here\n", with_body);
  }

  void answer(Connection& connection, std::string text) const {
    connection.answer = std::move(text);
    connection.state = State::answering;
    connection.deadline = Clock::now() + options_.write_timeout;
    write(connection);
  }

  void write(Connection& connection) const {
    const std::string_view left = std::string_view(connection.answer).substr(connection.sent);
    const auto sent = ::send(connection.socket.get(), left.data(), left.size(), MSG_NOSIGNAL);
    if (sent < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (sent < 0) {
      connection.state = State::gone;
      return;
    }
    connection.sent += static_cast<std::size_t>(sent);
    if (connection.sent < connection.answer.size()) return;
    connection.state = ::shutdown(connection.socket.get(), SHUT_WR) == 0 ? State::closing : State::gone;
    connection.deadline = Clock::now() + options_.closing_timeout;
  }

  const HttpOptions options_;
  const HttpHandler handler_;
  const Descriptor listener_, wake_;
  const std::uint16_t port_;
  std::atomic<bool> stopping_ = false;
  // The thread's own.
  std::vector<Connection> connections_;  // the oldest first
  Clock::time_point accept_again_{};
  std::thread thread_;  // begun last
};

HttpServer::HttpServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
HttpServer::~HttpServer() = default;

Result<std::unique_ptr<HttpServer>> HttpServer::start(const HttpOptions& options, HttpHandler handler) {
  WITAN_CHECK(options.max_connections > 0 && options.max_head_bytes > 0 && handler);
  WITAN_ASSIGN(Descriptor listener, listen_on(options.address));
  Descriptor wake(::eventfd(0, EFD_CLOEXEC));
  if (wake.get() < 0) return fail(Code::unavailable, "cannot serve {}: {}", options.address.text(), reason(errno));
  return std::unique_ptr<HttpServer>(
      new HttpServer(std::make_unique<Impl>(options, std::move(handler), std::move(listener), std::move(wake))));
}

std::uint16_t HttpServer::port() const {
  return impl_->port();
}

}  // namespace witan::metrics
