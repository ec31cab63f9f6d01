#include "api/listen_address.h"

#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <system_error>

namespace witan::api {

Result<std::string> listen_address(const std::string& host, std::uint16_t port) {
  if (host.empty() || host.find('/') != std::string::npos)
    return fail(Code::invalid_argument, "'{}' is no address to listen on", host);
  const bool ipv6 = host.find(':') != std::string::npos;
  return ipv6 ? fmt::format("[{}]:{}", host, port) : fmt::format("{}:{}", host, port);
}

Status check_can_listen(const std::string& host, std::uint16_t port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  if (const int code = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found); code != 0)
    return fail(Code::unavailable, "cannot listen on {}: {}", host, ::gai_strerror(code));
  const std::unique_ptr<addrinfo, decltype([](addrinfo* list) { ::freeaddrinfo(list); })> owner(found);
  int failed = 0;
  for (const addrinfo* each = found; each != nullptr; each = each->ai_next) {
    const int fd = ::socket(each->ai_family, each->ai_socktype | SOCK_CLOEXEC, each->ai_protocol);
    if (fd < 0) {
      failed = errno;
      continue;
    }
    const int reuse = 1;  // as gRPC does: connections of an earlier process that are still closing do not matter
    ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof reuse);
    // listen() too: with SO_REUSEADDR a second bind() may succeed where a second listen() does not.
    const bool usable = ::bind(fd, each->ai_addr, each->ai_addrlen) == 0 && ::listen(fd, 1) == 0;
    if (!usable) failed = errno;
    ::close(fd);
    if (usable) return {};
    if (failed == EADDRINUSE) break;
  }
  return fail(Code::unavailable, "cannot listen on {} port {}: {}", host, port,
              std::generic_category().message(failed));
}

}  // namespace witan::api
