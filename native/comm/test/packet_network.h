// Hosts that are network namespaces, joined by a network that a test plays: every packet takes its time, and links can be cut.
// The kernels that we run on have no netem, so packets go through TUN interfaces and this process. Needs to be root, or user
// namespaces, and /dev/net/tun.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <string>
#include <thread>
#include <vector>

#include "../../status.h"
#include "../fd.h"

namespace moesaic::test {

// The address of host h is 10.77.0.(h + 1).
std::string host_address(int32_t host);
constexpr int32_t kMaxHosts = 16;

// Moves this process into a network of its own, where it is that host: one interface, whose other end is the file returned, and
// a loopback. failed_precondition where that cannot be had on this machine.
StatusOr<Fd> enter_network(int32_t host);

// Files go from one process to another with a number, over a socket pair.
void send_file(int through, int32_t number, int file);
// Closed when none came within 5 s.
Fd receive_file(int from, int32_t* number);

// Carries packets between interfaces, which are those of hosts 0, 1, ..., on a thread of its own.
class PacketNetwork {
 public:
  PacketNetwork(std::vector<Fd> interfaces, int32_t delay_us);
  ~PacketNetwork();
  PacketNetwork(const PacketNetwork&) = delete;
  PacketNetwork& operator=(const PacketNetwork&) = delete;

  // No packet gets from one to the other any more, in either direction, until heal.
  void cut(int32_t a, int32_t b);
  void heal();

 private:
  struct Packet {
    int64_t due_us;
    size_t to;
    std::vector<char> bytes;
  };

  void carry();
  void take(size_t from);
  void deliver();

  const std::vector<Fd> interfaces_;
  const int32_t delay_us_;
  std::atomic<bool> is_cut_[kMaxHosts][kMaxHosts] = {};
  std::atomic<bool> is_stopping_{false};
  std::deque<Packet> under_way_;
  std::thread thread_;
};

}  // namespace moesaic::test
