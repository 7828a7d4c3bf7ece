#include "packet_network.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "../../text.h"

namespace moesaic::test {
namespace {

constexpr int kMtu = 9000;
constexpr uint32_t kNetwork = 0x0a4d0000;  // 10.77.0.0

Status cannot(const char* what) { return Status(Code::kFailedPrecondition, text(what, ": ", std::strerror(errno))); }

int64_t clock_us() {
  timespec now;
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1'000'000 + now.tv_nsec / 1000;
}

Status set_address(int control, ifreq request, unsigned long what, uint32_t address) {
  auto& in = reinterpret_cast<sockaddr_in&>(request.ifr_addr);
  in.sin_family = AF_INET;
  in.sin_addr.s_addr = htonl(address);
  return ::ioctl(control, what, &request) == 0 ? Status() : cannot("the interface can be given no address");
}

Status bring_up(int control, ifreq request) {
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  return ::ioctl(control, SIOCSIFFLAGS, &request) == 0 ? Status() : cannot("the interface cannot be brought up");
}

Status configure(ifreq request, int32_t host) {
  const Fd control(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  Status status = set_address(control.get(), request, SIOCSIFADDR, kNetwork + static_cast<uint32_t>(host) + 1);
  if (status.ok()) status = set_address(control.get(), request, SIOCSIFNETMASK, 0xffffff00);
  if (!status.ok()) return status;
  request.ifr_mtu = kMtu;
  if (::ioctl(control.get(), SIOCSIFMTU, &request) != 0) return cannot("the interface can be given no MTU");
  status = bring_up(control.get(), request);
  if (!status.ok()) return status;
  ifreq loopback = {};
  std::strcpy(loopback.ifr_name, "lo");
  return bring_up(control.get(), loopback);
}

}  // namespace

std::string host_address(int32_t host) { return text("10.77.0.", host + 1); }

StatusOr<Fd> enter_network(int32_t host) {
  const int flags = CLONE_NEWNET | (::geteuid() == 0 ? 0 : CLONE_NEWUSER);
  if (::unshare(flags) != 0) return cannot("no network namespace can be made here");
  Fd tun(::open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC));
  if (!tun.is_open()) return cannot("/dev/net/tun cannot be opened");
  ifreq request = {};
  std::strcpy(request.ifr_name, "moesaic0");
  request.ifr_flags = IFF_TUN | IFF_NO_PI;
  if (::ioctl(tun.get(), TUNSETIFF, &request) != 0) return cannot("no interface can be made");
  Status status = configure(request, host);
  if (!status.ok()) return status;
  return tun;
}

void send_file(int through, int32_t number, int file) {
  char space[CMSG_SPACE(sizeof(int))] = {};
  iovec data{&number, sizeof(number)};
  msghdr message = {};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = space;
  message.msg_controllen = sizeof(space);
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  std::memcpy(CMSG_DATA(header), &file, sizeof(file));
  // Whoever waits for a file that did not go out hears of it by the time it takes.
  [[maybe_unused]] const ssize_t sent = ::sendmsg(through, &message, 0);
}

Fd receive_file(int from, int32_t* number) {
  char space[CMSG_SPACE(sizeof(int))] = {};
  iovec data{number, sizeof(*number)};
  msghdr message = {};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = space;
  message.msg_controllen = sizeof(space);
  pollfd poll{from, POLLIN, 0};
  if (::poll(&poll, 1, 5000) != 1 || ::recvmsg(from, &message, MSG_CMSG_CLOEXEC) != sizeof(*number)) return Fd();
  const cmsghdr* header = CMSG_FIRSTHDR(&message);
  if (header == nullptr) return Fd();
  int file = -1;
  std::memcpy(&file, CMSG_DATA(header), sizeof(file));
  return Fd(file);
}

PacketNetwork::PacketNetwork(std::vector<Fd> interfaces, int32_t delay_us)
    : interfaces_(std::move(interfaces)), delay_us_(delay_us), thread_([this] { carry(); }) {}

PacketNetwork::~PacketNetwork() {
  is_stopping_ = true;
  thread_.join();
}

void PacketNetwork::cut(int32_t a, int32_t b) { is_cut_[a][b] = is_cut_[b][a] = true; }

void PacketNetwork::heal() {
  for (auto& row : is_cut_)
    for (std::atomic<bool>& is_cut : row) is_cut = false;
}

void PacketNetwork::carry() {
  std::vector<pollfd> polls;
  for (const Fd& each : interfaces_) polls.push_back({each.get(), POLLIN, 0});
  while (!is_stopping_) {
    const int64_t wait_us = under_way_.empty() ? 10'000 : std::max<int64_t>(0, under_way_.front().due_us - clock_us());
    const timespec limit{wait_us / 1'000'000, wait_us % 1'000'000 * 1000};
    ::ppoll(polls.data(), polls.size(), &limit, nullptr);
    for (size_t host = 0; host < polls.size(); ++host)
      if ((polls[host].revents & POLLIN) != 0) take(host);
    deliver();
  }
}

void PacketNetwork::take(size_t from) {
  char bytes[kMtu + 100];
  for (ssize_t got = 0; (got = ::read(interfaces_[from].get(), bytes, sizeof(bytes))) > 0;) {
    if (got < 20 || (bytes[0] & 0xf0) != 0x40) continue;
    const int to = static_cast<unsigned char>(bytes[19]) - 1;  // the last byte of an IPv4 packet's destination
    if (to < 0 || static_cast<size_t>(to) >= interfaces_.size()) continue;
    if (is_cut_[from][to]) continue;
    under_way_.push_back({clock_us() + delay_us_, static_cast<size_t>(to), {bytes, bytes + got}});
  }
}

void PacketNetwork::deliver() {
  while (!under_way_.empty() && under_way_.front().due_us <= clock_us()) {
    const Packet& packet = under_way_.front();
    // A packet that an interface cannot take now is lost, as in life.
    [[maybe_unused]] const ssize_t written = ::write(interfaces_[packet.to].get(), packet.bytes.data(), packet.bytes.size());
    under_way_.pop_front();
  }
}

}  // namespace moesaic::test
