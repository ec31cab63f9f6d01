#include "support/http_client.h"

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <stdexcept>
#include <system_error>

namespace witan::test {
namespace {

constexpr int kPatienceSeconds = 10;

[[noreturn]] void give_up(const char* what) {
  throw std::runtime_error(std::string(what) + ": " + std::generic_category().message(errno));
}

}  // namespace

HttpConnection::HttpConnection(std::uint16_t port) : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  if (socket_ < 0) give_up("socket");
  const timeval patience{kPatienceSeconds, 0};
  ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  ::setsockopt(socket_, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    const int code = errno;
    ::close(socket_);
    errno = code;
    give_up("connect");
  }
}

HttpConnection::~HttpConnection() {
  ::close(socket_);
}

void HttpConnection::send(const std::string& bytes) const {
  for (std::size_t sent = 0; sent < bytes.size();) {
    const auto now = ::send(socket_, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
    if (now < 0) give_up("send");
    sent += static_cast<std::size_t>(now);
  }
}

std::string HttpConnection::receive_all() const {
  std::string out;
  std::array<char, 4096> buffer;
  for (;;) {
    const auto got = ::recv(socket_, buffer.data(), buffer.size(), 0);
    if (got < 0 && errno != ECONNRESET) give_up("recv");
    if (got <= 0) return out;
    out.append(buffer.data(), static_cast<std::size_t>(got));
  }
}

bool HttpConnection::is_closed() const {
  char byte = 0;
  const auto got = ::recv(socket_, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return got == 0 || (got < 0 && errno == ECONNRESET);
}

HttpReply parse_reply(const std::string& text, bool to_head) {
  const auto wrong = [&](const std::string& what) { throw std::runtime_error(what + " in answer: " + text); };
  HttpReply out;
  const std::size_t end = text.find("\r\n\r\n");
  if (end == std::string::npos) wrong("no end of headers");
  std::size_t at = text.find("\r\n");
  if (!text.starts_with("HTTP/1.1 ") || at < 13) wrong("no status line");
  out.status = std::stoi(text.substr(9, 3));
  while (at < end) {
    const std::size_t next = text.find("\r\n", at + 2);
    const std::string line = text.substr(at + 2, next - at - 2);
    const std::size_t colon = line.find(": ");
    if (colon == std::string::npos) wrong("bad header");
    if (!out.headers.emplace(line.substr(0, colon), line.substr(colon + 2)).second) wrong("a header twice");
    at = next;
  }
  out.body = text.substr(end + 4);
  const std::size_t length = std::stoul(out.headers.at("Content-Length"));
  if (out.body.size() != (to_head ? 0 : length)) wrong("another length than said");
  if (out.headers.at("Connection") != "close") wrong("a kept connection");
  return out;
}

HttpReply http(std::uint16_t port, const std::string& path, const std::string& method) {
  const HttpConnection connection(port);
  connection.send(method + " " + path + " HTTP/1.1\r\nHost: localhost\r\n\r\n");
  return parse_reply(connection.receive_all(), method == "HEAD");
}

}  // namespace witan::test
