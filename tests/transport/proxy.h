// A TCP relay that cuts, stalls and delays connections on command and counts what passes.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <thread>

namespace witan::transport {

class TcpProxy {
 public:
  /// Listens on a free port of 127.0.0.1 and relays to `target` there.
  explicit TcpProxy(std::uint16_t target);
  ~TcpProxy();
  TcpProxy(const TcpProxy&) = delete;
  TcpProxy& operator=(const TcpProxy&) = delete;

  std::uint16_t port() const { return port_; }
  /// Resets all connections; what was under way is lost.
  void cut() { ++cuts_; }
  /// Nothing passes any more, but connections stay open and new ones are accepted.
  void stall(bool on) { stalled_ = on; }
  /// Everything that comes from now on passes so much later, in each direction.
  void delay(std::chrono::milliseconds time) { delay_ms_ = static_cast<int>(time.count()); }
  /// Bytes from dialling to accepting side, and back.
  std::uint64_t forwarded() const { return forwarded_; }
  std::uint64_t returned() const { return returned_; }
  int connections() const { return connections_; }

 private:
  struct Pipe;
  void run();

  int listener_ = -1;
  std::uint16_t port_ = 0;
  const std::uint16_t target_;
  std::atomic<bool> stop_ = false, stalled_ = false;
  std::atomic<int> delay_ms_ = 0, cuts_ = 0, connections_ = 0;
  std::atomic<std::uint64_t> forwarded_ = 0, returned_ = 0;
  std::jthread thread_;
};

}  // namespace witan::transport
