// A small HTTP client for tests, on 127.0.0.1: it sends what it is told, also what no client would.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>

namespace witan::test {

/// A connection. Everything throws std::runtime_error with the system's reason, also after ten seconds without anything.
class HttpConnection {
 public:
  explicit HttpConnection(std::uint16_t port);
  HttpConnection(const HttpConnection&) = delete;
  HttpConnection& operator=(const HttpConnection&) = delete;
  ~HttpConnection();

  void send(const std::string& bytes) const;
  /// What comes until the server closes; a reset connection ends it too.
  std::string receive_all() const;
  /// Has the server closed it, with nothing left to be read?
  bool is_closed() const;

 private:
  int socket_;
};

struct HttpReply {
  int status = 0;
  std::map<std::string, std::string> headers;
  std::string body;
};

/// Checks the form of a whole answer: status line, headers, a body as long as Content-Length says (none for HEAD).
HttpReply parse_reply(const std::string& text, bool to_head = false);

/// Sends a request and reads the answer.
HttpReply http(std::uint16_t port, const std::string& path, const std::string& method = "GET");

}  // namespace witan::test
