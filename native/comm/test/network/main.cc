// moesaic_test_network HOSTS DELAY_US: hosts that see each other over this program alone, until its standard input ends.
//   stdout   host INDEX ADDRESS PID    enter it with nsenter --target PID --net --ipc --mount COMMAND
//            skipped WHY               such hosts cannot be made here
//            ready | cut | healed      the answer to a line, or to the start
//   stdin    cut A B | heal
// Memory that is shared, and /dev/shm, end at a host as well: processes of two hosts have the wire alone.
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <string>
#include <vector>

#include "../../../text.h"
#include "../packet_network.h"

namespace moesaic::test {
namespace {

constexpr int32_t kNone = -1;

void say(const std::string& line) {
  std::printf("%s\n", line.c_str());
  std::fflush(stdout);
}

// No file handed over with this number: the reason is in the pipe of the caller's eyes, standard error.
[[noreturn]] void give_up(int through, const std::string& why) {
  std::fprintf(stderr, "%s\n", why.c_str());
  send_file(through, kNone, STDERR_FILENO);
  ::_exit(1);
}

// The process that keeps a host's namespaces in being. Ends with its parent.
[[noreturn]] void be_host(int through, int32_t host) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::unshare(CLONE_NEWIPC | CLONE_NEWNS) != 0) give_up(through, text("no namespaces: ", std::strerror(errno)));
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
      ::mount("moesaic", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, nullptr) != 0)
    give_up(through, text("no /dev/shm of its own: ", std::strerror(errno)));
  const StatusOr<Fd> interface = enter_network(host);
  if (!interface.ok()) give_up(through, interface.status().message());
  send_file(through, host, interface.value().get());
  for (;;) ::pause();
}

struct Hosts {
  std::vector<pid_t> pids;
  std::vector<Fd> interfaces;
};

// Fewer than asked for where one could not be made.
Hosts make_hosts(int32_t num_hosts) {
  Hosts hosts;
  int pair[2];
  if (::socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair) != 0) return hosts;
  const Fd here(pair[0]), there(pair[1]);
  for (int32_t host = 0; host < num_hosts; ++host) {
    const pid_t pid = ::fork();
    if (pid == 0) be_host(there.get(), host);
    hosts.pids.push_back(pid);
    int32_t number = kNone;
    Fd interface = receive_file(here.get(), &number);
    if (!interface.is_open() || number != host) break;
    hosts.interfaces.push_back(std::move(interface));
  }
  return hosts;
}

void obey(PacketNetwork& network, int32_t num_hosts) {
  for (std::string line; std::getline(std::cin, line);) {
    int a = 0, b = 0;
    if (line == "heal") {
      network.heal();
      say("healed");
    } else if (std::sscanf(line.c_str(), "cut %d %d", &a, &b) == 2 && a >= 0 && b >= 0 && a < num_hosts && b < num_hosts) {
      network.cut(a, b);
      say("cut");
    } else {
      std::fprintf(stderr, "not understood: %s\n", line.c_str());
    }
  }
}

int run(int32_t num_hosts, int32_t delay_us) {
  Hosts hosts = make_hosts(num_hosts);
  if (static_cast<int32_t>(hosts.interfaces.size()) == num_hosts) {
    for (int32_t host = 0; host < num_hosts; ++host)
      say(text("host ", host, " ", host_address(host), " ", hosts.pids[static_cast<size_t>(host)]));
    PacketNetwork network(std::move(hosts.interfaces), delay_us);
    say("ready");
    obey(network, num_hosts);
  } else {
    say("skipped hosts in namespaces of their own need root and /dev/net/tun; see standard error");
  }
  for (const pid_t pid : hosts.pids) {
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
  }
  return 0;
}

}  // namespace
}  // namespace moesaic::test

int main(int argc, char** argv) {
  using namespace moesaic::test;
  const int num_hosts = argc == 3 ? std::atoi(argv[1]) : 0;
  const int delay_us = argc == 3 ? std::atoi(argv[2]) : -1;
  if (num_hosts < 1 || num_hosts > kMaxHosts || delay_us < 0 || delay_us > 1'000'000) {
    std::fprintf(stderr, "usage: moesaic_test_network HOSTS DELAY_US\n");
    return 2;
  }
  return run(num_hosts, delay_us);
}
