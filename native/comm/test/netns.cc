// Ranks in network namespaces of their own, joined by a network that this test plays: every packet takes a millisecond, and
// links can be cut. Needs to be root, or user namespaces, and /dev/net/tun.
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstring>
#include <deque>
#include <thread>

#include "../fd.h"
#include "model.h"

namespace moesaic::test {
namespace {

constexpr int32_t kNumRanks = 4;
constexpr int32_t kDelayUs = 1000;
constexpr int kMtu = 9000;
constexpr uint16_t kPort = 4000;
constexpr int kNetwork = 0x0a4d0000;  // 10.77.0.0; rank r is 10.77.0.(r + 1)

std::string address_of(int32_t rank) { return text("10.77.0.", rank + 1, ":", kPort); }

void set_address(int control, ifreq request, unsigned long what, uint32_t address) {
  auto& in = reinterpret_cast<sockaddr_in&>(request.ifr_addr);
  in.sin_family = AF_INET;
  in.sin_addr.s_addr = htonl(address);
  expect(::ioctl(control, what, &request) == 0, text("cannot give the interface an address: ", std::strerror(errno)));
}

// Moves this process into a network of its own with one interface, whose other end is the file returned.
Fd enter_network(int32_t rank) {
  const int flags = CLONE_NEWNET | (::geteuid() == 0 ? 0 : CLONE_NEWUSER);
  if (::unshare(flags) != 0) throw Skip{text("no network namespace can be made here: ", std::strerror(errno))};
  Fd tun(::open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC));
  if (!tun.is_open()) throw Skip{text("/dev/net/tun cannot be opened: ", std::strerror(errno))};
  ifreq request = {};
  std::strcpy(request.ifr_name, "moesaic0");
  request.ifr_flags = IFF_TUN | IFF_NO_PI;
  if (::ioctl(tun.get(), TUNSETIFF, &request) != 0) throw Skip{text("no interface can be made: ", std::strerror(errno))};
  const Fd control(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  set_address(control.get(), request, SIOCSIFADDR, static_cast<uint32_t>(kNetwork + rank + 1));
  set_address(control.get(), request, SIOCSIFNETMASK, 0xffffff00);
  request.ifr_mtu = kMtu;
  expect(::ioctl(control.get(), SIOCSIFMTU, &request) == 0, "cannot set the MTU");
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  expect(::ioctl(control.get(), SIOCSIFFLAGS, &request) == 0, "cannot bring the interface up");
  return tun;
}

void send_file(int through, int32_t rank, int file) {
  char space[CMSG_SPACE(sizeof(int))] = {};
  iovec data{&rank, sizeof(rank)};
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
  expect(::sendmsg(through, &message, 0) == sizeof(rank), "cannot hand the interface over");
}

Fd receive_file(int from, int32_t* rank) {
  char space[CMSG_SPACE(sizeof(int))] = {};
  iovec data{rank, sizeof(*rank)};
  msghdr message = {};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = space;
  message.msg_controllen = sizeof(space);
  pollfd poll{from, POLLIN, 0};
  if (::poll(&poll, 1, 5000) != 1 || ::recvmsg(from, &message, MSG_CMSG_CLOEXEC) != sizeof(*rank)) return Fd();
  int file = -1;
  std::memcpy(&file, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(file));
  return Fd(file);
}

// Carries packets between the ranks' interfaces on a thread of its own.
class Network {
 public:
  explicit Network(std::array<Fd, kNumRanks> interfaces) : interfaces_(std::move(interfaces)), thread_([this] { carry(); }) {}
  ~Network() {
    is_stopping_ = true;
    thread_.join();
  }
  void cut(int32_t a, int32_t b) { is_cut_[a][b] = is_cut_[b][a] = true; }

 private:
  struct Packet {
    int64_t due_us;
    int32_t to;
    std::vector<char> bytes;
  };

  void carry() {
    while (!is_stopping_) {
      std::array<pollfd, kNumRanks> polls;
      for (int32_t rank = 0; rank < kNumRanks; ++rank) polls[rank] = {interfaces_[rank].get(), POLLIN, 0};
      const int64_t wait_us = under_way_.empty() ? 10'000 : std::max<int64_t>(0, under_way_.front().due_us - now_us());
      const timespec limit{0, wait_us * 1000};
      ::ppoll(polls.data(), polls.size(), &limit, nullptr);
      for (int32_t rank = 0; rank < kNumRanks; ++rank)
        if ((polls[rank].revents & POLLIN) != 0) take(rank);
      deliver();
    }
  }

  void take(int32_t from) {
    char bytes[kMtu + 100];
    for (ssize_t got = 0; (got = ::read(interfaces_[from].get(), bytes, sizeof(bytes))) > 0;) {
      const int32_t to = bytes[19] - 1;  // the last byte of an IPv4 packet's destination
      if ((bytes[0] & 0xf0) != 0x40 || to < 0 || to >= kNumRanks) continue;
      under_way_.push_back({now_us() + kDelayUs, to, {bytes, bytes + got}});
      if (is_cut_[from][to]) under_way_.pop_back();
    }
  }

  void deliver() {
    while (!under_way_.empty() && under_way_.front().due_us <= now_us()) {
      const Packet& packet = under_way_.front();
      // A packet that an interface cannot take now is lost, as in life.
      [[maybe_unused]] const ssize_t written = ::write(interfaces_[packet.to].get(), packet.bytes.data(), packet.bytes.size());
      under_way_.pop_front();
    }
  }

  const std::array<Fd, kNumRanks> interfaces_;
  std::atomic<bool> is_cut_[kNumRanks][kNumRanks] = {};
  std::atomic<bool> is_stopping_{false};
  std::deque<Packet> under_way_;
  std::thread thread_;
};

struct Distant {
  int32_t deadline_ms;
  std::function<void(Communicator&)> body;
  std::function<void(Ranks&, Network&)> meanwhile;
};

// Four ranks in four namespaces run the body, while the test may look on and cut links.
void run_distant(const Distant& distant) {
  int pair[2];
  expect(::socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair) == 0, "no socket pair");
  const Fd here(pair[0]), there(pair[1]);
  // The transport is named shm only so that no listeners are made before the namespaces are.
  Ranks ranks({Transport::kShm, kNumRanks, distant.deadline_ms}, [&](CommunicatorOptions options, DataPlaneListener*) {
    send_file(there.get(), options.rank, enter_network(options.rank).get());
    for (PeerAddress& peer : options.peers) peer.addresses = {address_of(peer.rank)};
    const auto listener = listen_data_plane(address_of(options.rank));
    if (!listener.ok()) fail(listener.status().message());
    const auto communicator = connect_tcp(options, *listener.value());
    if (!communicator.ok()) fail(communicator.status().message());
    distant.body(*communicator.value());
  });
  std::array<Fd, kNumRanks> interfaces;
  for (int32_t i = 0; i < kNumRanks; ++i) {
    int32_t rank = 0;
    Fd file = receive_file(here.get(), &rank);
    if (!file.is_open()) ranks.wait();
    expect(file.is_open(), "no interface came");
    interfaces[static_cast<size_t>(rank)] = std::move(file);
  }
  Network network(std::move(interfaces));
  if (distant.meanwhile) distant.meanwhile(ranks, network);
  ranks.wait();
}

void call_until_cut(Communicator& communicator, size_t num_floats) {
  std::vector<float> values(num_floats, 0.0f);
  Status status;
  own_report().stage = 1;
  while (status.ok()) status = communicator.all_reduce(0, values);
  report_status(status);
}

std::string message_of(Ranks& ranks, int32_t rank) { return ranks.report(rank).text; }

bool names(const std::string& message, int32_t rank) { return message.find(text("rank ", rank)) != std::string::npos; }

void expect_timely(Ranks& ranks, int64_t cut_us, int32_t deadline_ms) {
  for (int32_t rank = 0; rank < kNumRanks; ++rank) {
    const int64_t took_ms = (ranks.report(rank).at_us - cut_us) / 1000;
    expect(took_ms < deadline_ms + 300, text("rank ", rank, " ended after ", took_ms, " ms: ", message_of(ranks, rank)));
    expect(ranks.report(rank).code == static_cast<int32_t>(Code::kUnavailable), message_of(ranks, rank));
  }
}

}  // namespace

MOESAIC_TEST("four namespaces, 1 ms apart: mixed calls give the model's bits, and take the time that they must") {
  run_distant({20'000,
               [](Communicator& communicator) {
                 const TestGroup world{{0, 1, 2, 3}, 0};
                 Random random(5);
                 for (uint64_t call = 1; call <= 40; ++call) check_any(communicator, world, random, call);
                 const int64_t began_us = now_us();
                 for (uint64_t call = 100; call < 120; ++call) check_all_reduce(communicator, world, call, 10);
                 const int64_t took_us = now_us() - began_us;
                 expect(took_us >= 20 * kDelayUs, text("20 calls took ", took_us, " us: there was no delay"));
                 if (communicator.rank() == 0)
                   remark(text("all_reduce tcp, 4 ranks 1 ms apart, 40 bytes: ", took_us / 20, " us"));
               },
               {}});
}

MOESAIC_TEST("four namespaces: a cut link ends every rank's call within the deadline, and all name the link") {
  constexpr int32_t kDeadlineMs = 1000;
  for (const size_t num_floats : {100u, 100'000u}) {
    run_distant({kDeadlineMs, [&](Communicator& communicator) { call_until_cut(communicator, num_floats); },
                 [&](Ranks& ranks, Network& network) {
                   ranks.wait_for_stage(1);
                   sleep_ms(200);
                   const int64_t cut_us = now_us();
                   network.cut(1, 3);
                   ranks.wait();
                   expect_timely(ranks, cut_us, kDeadlineMs);
                   for (int32_t rank = 0; rank < kNumRanks; ++rank) {
                     const std::string message = message_of(ranks, rank);
                     expect((rank == 1 || names(message, 1)) && (rank == 3 || names(message, 3)),
                            text("rank ", rank, " does not name the link: ", message));
                   }
                   remark(message_of(ranks, 0));
                 }});
  }
}

MOESAIC_TEST("four namespaces: a rank that is cut off altogether is named by all others") {
  constexpr int32_t kDeadlineMs = 1000;
  run_distant({kDeadlineMs, [](Communicator& communicator) { call_until_cut(communicator, 5000); },
               [&](Ranks& ranks, Network& network) {
                 ranks.wait_for_stage(1);
                 sleep_ms(200);
                 const int64_t cut_us = now_us();
                 for (const int32_t other : {0, 1, 3}) network.cut(2, other);
                 ranks.wait();
                 expect_timely(ranks, cut_us, kDeadlineMs);
                 for (const int32_t rank : {0, 1, 3})
                   expect(names(message_of(ranks, rank), 2), text("rank ", rank, ": ", message_of(ranks, rank)));
               }});
}

}  // namespace moesaic::test
