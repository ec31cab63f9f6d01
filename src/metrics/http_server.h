// An HTTP/1.1 endpoint for small texts about a program, which anybody may ask: GET and HEAD, one request per connection.
//
//   accepted --request read--> answering --answer written--> closing --the client closes, or its time is over--> gone
//      \_________________________\______ its time is over, or it is the oldest and there are too many ___________/
//
// One thread serves all connections; it never waits for a client, but for the handler. Everything is bounded by HttpOptions: what a
// client can hold is one of `max_connections` places, `max_head_bytes` of memory and one answer, for as long as the timeouts say. Whoever
// comes when all places are taken gets that of the connection that has been there longest, so that silent clients keep nobody out.
// The body of a request is not read. What is wrong with a request is answered: 400, 404, 405, 431, 505.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"

namespace witan::metrics {

/// Where to listen.
struct BindAddress {
  std::string host;        // name or address, IPv6 without brackets
  std::uint16_t port = 0;  // 0: any free one

  /// "host:port", with brackets around an IPv6 address.
  std::string text() const;
  /// Reverse of text(). Error: invalid_argument.
  static Result<BindAddress> parse(std::string_view text);
  friend bool operator==(const BindAddress&, const BindAddress&) = default;
};

struct HttpOptions {
  BindAddress address;
  std::size_t max_connections = 64;
  std::size_t max_head_bytes = 8192;                // request line and headers
  std::chrono::milliseconds read_timeout{5000};     // for the whole request
  std::chrono::milliseconds write_timeout{10000};   // for the whole answer
  std::chrono::milliseconds closing_timeout{1000};  // for the client to close, once it has the answer
};

struct HttpAnswer {
  int status = 200;  // 200 or 503
  std::string content_type = "text/plain; charset=utf-8";
  std::string body;
};

/// By the path alone (without a query); nothing: 404. On the server's thread, one call at a time.
using HttpHandler = std::function<std::optional<HttpAnswer>(std::string_view path)>;

class HttpServer {
 public:
  /// Error: unavailable, with the address and the system's reason (in use, not of this machine, ...).
  static Result<std::unique_ptr<HttpServer>> start(const HttpOptions& options, HttpHandler handler);
  /// Closes all connections; waits for a running handler.
  ~HttpServer();

  std::uint16_t port() const;

 private:
  class Impl;
  explicit HttpServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace witan::metrics
