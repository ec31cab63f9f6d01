// Parties with certificates, and nodes of a committee of four on loopback in one process and on one loop.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <deque>
#include <functional>
#include <map>

#include "crypto/x509.h"
#include "runtime/loop.h"
#include "support/support.h"
#include "transport/transport.h"

namespace witan::transport {

std::int64_t now_seconds();
std::uint16_t free_port();

/// A party's name, CA key and CA. The same number and label give the same party.
struct Identity {
  explicit Identity(int number, const std::string& label = "");
  /// A new TLS certificate, by default for localhost and one day.
  crypto::TlsLeaf leaf(std::int64_t from = now_seconds() - 60, std::int64_t to = now_seconds() + 86400,
                       const std::vector<std::string>& hosts = {"localhost"});
  std::string name;
  test::SeededRng rng;
  crypto::SigningKey key;
  std::string ca;
};

/// What a node received.
struct Recorder final : runtime::FrameSink {
  void deliver(Role from, runtime::Frame frame, runtime::Lane lane) override {
    got[{from.number(), static_cast<int>(lane)}].push_back(std::move(frame));
    ++count;
  }
  void peer_reset(Role peer) override { resets.push_back(peer.number()); }
  const std::vector<runtime::Frame>& from(int party, runtime::Lane lane) {
    return got[{party, static_cast<int>(lane)}];
  }

  std::map<std::pair<int, int>, std::vector<runtime::Frame>> got;
  int count = 0;
  std::vector<int> resets;
};

/// Lines of the log since construction (the log goes to a file in this program).
class LogLines {
 public:
  LogLines();
  /// Is there a line that has all of these parts?
  bool have(const std::vector<std::string>& parts) const;
  std::string text() const;

 private:
  std::streamoff begin_;
};

class Net : public testing::Test {
 protected:
  static constexpr int kParties = 4;
  Net();
  Config config(int self);
  void start(int self) { start(self, config(self)); }
  void start(int self, Config with);
  void start_all();
  void stop(int self) { nodes[index(self)].reset(); }
  /// The text of the error with which a start with that configuration fails.
  std::string start_error(Config with);

  static std::size_t index(int role) { return static_cast<std::size_t>(role - 1); }
  Transport& node(int i) { return *nodes[index(i)]; }
  Recorder& recorder(int i) { return recorders[index(i)]; }
  Identity& identity(int i) { return identities[index(i)]; }
  /// What node i knows about peer j.
  PeerStatus status(int i, int j);
  bool connected(int i, int j) { return status(i, j).connected; }
  bool all_connected();

  /// Runs the loop until the condition holds.
  bool until(const std::function<bool()>& condition, std::chrono::milliseconds limit = std::chrono::seconds(10));
  void pause(std::chrono::milliseconds time);

  /// A frame whose payload is a function of session and size.
  static runtime::Frame frame(int session, std::size_t size, runtime::Step step = 1);
  static bool is_frame(const runtime::Frame& got, int session, std::size_t size);

  runtime::ThreadLoop loop;
  std::vector<Identity> identities;
  std::vector<std::uint16_t> ports;
  std::deque<Recorder> recorders;
  std::vector<std::unique_ptr<Transport>> nodes;
};

}  // namespace witan::transport
