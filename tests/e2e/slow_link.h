// A network link of two nodes that is slow and loses packets: two TUN devices, one in a network namespace of its own, and threads
// that carry packets between them late or not at all. Everything else of the namespace goes over a veth pair, unhindered.
//
//   host 10.78.S.1 == TUN, delay and loss == TUN 10.78.S.4 namespace
//   host 10.77.S.1 ====== veth, as it is ====== 10.77.S.4 namespace
#pragma once

#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <random>
#include <stdexcept>
#include <thread>

#include "cli/process.h"

namespace witan::e2e {

inline void command(const std::vector<std::string>& words) {
  const auto done = cli::run_process(words, std::chrono::seconds(20));
  std::string line;
  for (const auto& word : words) line += word + " ";
  if (!done) throw std::runtime_error(line + done.error().message);
  if (done->exit_code != 0)
    throw std::runtime_error(line + "ended with " + std::to_string(done->exit_code) + ": " + done->text);
}

class SlowLink {
 public:
  using Clock = std::chrono::steady_clock;

  SlowLink(std::chrono::milliseconds delay, double loss) : delay_(delay), loss_(loss) {
    const int number = getpid() % 200 + 1;
    subnet_ = std::to_string(number);
    name_ = "witan" + subnet_;
    // What an earlier process of this number left, if it was killed.
    (void)cli::run_process({"ip", "netns", "del", name_}, std::chrono::seconds(5));
    (void)cli::run_process({"ip", "link", "del", "wv" + subnet_}, std::chrono::seconds(5));
    command({"ip", "netns", "add", name_});
    command({"ip", "-n", name_, "link", "set", "lo", "up"});
    command({"ip", "link", "add", "wv" + subnet_, "type", "veth", "peer", "name", "wv", "netns", name_});
    set_address({"ip"}, "wv" + subnet_, "10.77." + subnet_ + ".1/24");
    set_address({"ip", "-n", name_}, "wv", "10.77." + subnet_ + ".4/24");
    here_ = open_tun("wt" + subnet_);
    std::thread([this] {  // a namespace is a property of a thread
      const int space = open(("/run/netns/" + name_).c_str(), O_RDONLY | O_CLOEXEC);
      if (space >= 0 && setns(space, CLONE_NEWNET) == 0) there_ = open_tun("wt");
      if (space >= 0) close(space);
    })
        .join();
    if (here_ < 0 || there_ < 0) throw std::runtime_error("no TUN device; is /dev/net/tun there?");
    set_address({"ip"}, "wt" + subnet_, "10.78." + subnet_ + ".1/24");
    set_address({"ip", "-n", name_}, "wt", "10.78." + subnet_ + ".4/24");
    for (auto [from, to, seed] : {std::tuple{here_, there_, 1u}, std::tuple{there_, here_, 2u}})
      carriers_.emplace_back([this, from, to, seed] { carry(from, to, seed); });
  }
  SlowLink(const SlowLink&) = delete;
  SlowLink& operator=(const SlowLink&) = delete;
  ~SlowLink() {
    stopping_ = true;
    carriers_.clear();
    close(here_);
    close(there_);
    (void)cli::run_process({"ip", "link", "del", "wv" + subnet_}, std::chrono::seconds(5));
    (void)cli::run_process({"ip", "netns", "del", name_}, std::chrono::seconds(5));
  }

  const std::string& name() const { return name_; }  // of the namespace
  std::string slow(int end) const { return "10.78." + subnet_ + "." + std::to_string(end); }
  std::string plain(int end) const { return "10.77." + subnet_ + "." + std::to_string(end); }
  int carried() const { return carried_; }
  int lost() const { return lost_; }

 private:
  static void set_address(std::vector<std::string> ip, const std::string& device, const std::string& address) {
    auto add = ip;
    add.insert(add.end(), {"addr", "add", address, "dev", device});
    command(add);
    ip.insert(ip.end(), {"link", "set", device, "up"});
    command(ip);
  }

  static int open_tun(const std::string& device) {
    const int tun = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
    if (tun < 0) return -1;
    ifreq request{};
    request.ifr_flags = IFF_TUN | IFF_NO_PI;
    device.copy(request.ifr_name, IFNAMSIZ - 1);
    if (ioctl(tun, TUNSETIFF, &request) == 0) return tun;
    close(tun);
    return -1;
  }

  void carry(int from, int to, unsigned seed) {
    struct Packet {
      Clock::time_point due;
      std::vector<char> bytes;
    };
    std::deque<Packet> under_way;
    std::mt19937 random(seed);
    std::uniform_real_distribution<double> chance;
    while (!stopping_) {
      const auto wait =
          under_way.empty()
              ? std::chrono::milliseconds(50)
              : std::chrono::duration_cast<std::chrono::milliseconds>(under_way.front().due - Clock::now());
      pollfd ready{from, POLLIN, 0};
      poll(&ready, 1, static_cast<int>(std::clamp<long>(wait.count(), 0, 50)));
      if ((ready.revents & POLLIN) != 0) {
        std::vector<char> bytes(65536);
        const auto size = read(from, bytes.data(), bytes.size());
        if (size > 0 && chance(random) >= loss_) {
          bytes.resize(static_cast<std::size_t>(size));
          under_way.push_back({Clock::now() + delay_, std::move(bytes)});
        } else if (size > 0) {
          ++lost_;
        }
      }
      while (!under_way.empty() && under_way.front().due <= Clock::now()) {
        if (write(to, under_way.front().bytes.data(), under_way.front().bytes.size()) > 0) ++carried_;
        under_way.pop_front();
      }
    }
  }

  const std::chrono::milliseconds delay_;
  const double loss_;
  std::string subnet_, name_;
  int here_ = -1, there_ = -1;
  std::atomic<bool> stopping_ = false;
  std::atomic<int> carried_ = 0, lost_ = 0;
  std::vector<std::jthread> carriers_;
};

}  // namespace witan::e2e
