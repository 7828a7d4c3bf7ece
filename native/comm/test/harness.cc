#include "harness.h"

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <thread>

#include "../shm_segment.h"

namespace moesaic::test {
namespace {

constexpr int64_t kPatienceUs = 60'000'000;

Report* own = nullptr;
uint64_t next_epoch = 1;

void write_text(char (&to)[1024], const std::string& text) {
  const size_t length = std::min(text.size(), sizeof(to) - 1);
  std::memcpy(to, text.data(), length);
  to[length] = '\0';
}

}  // namespace

void fail(const std::string& message) { throw Failure{message}; }

void expect(bool holds, const std::string& message) {
  if (!holds) fail(message);
}

void expect_ok(const Status& status, const std::string& what) {
  expect(status.ok(), text(what, ": ", code_name(status.code()), ": ", status.message()));
}

void expect_code(const Status& status, Code code, const std::string& part_of_message) {
  const bool is_so = status.code() == code && status.message().find(part_of_message) != std::string::npos;
  expect(is_so, text("expected ", code_name(code), " with \"", part_of_message, "\", got ", code_name(status.code()), ": ",
                     status.message()));
}

void remark(const std::string& line) {
  std::printf("# %s\n", line.c_str());
  std::fflush(stdout);
}

size_t count_open_files() {
  size_t count = 0;
  DIR* stream = ::opendir("/proc/self/fd");
  while (::readdir(stream) != nullptr) ++count;
  ::closedir(stream);
  return count;
}

int64_t now_us() {
  using std::chrono::steady_clock;
  return std::chrono::duration_cast<std::chrono::microseconds>(steady_clock::now().time_since_epoch()).count();
}

void sleep_ms(int32_t milliseconds) { std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds)); }

const char* name_of(Transport transport) { return transport == Transport::kShm ? "shm" : "tcp"; }

void for_both(const std::function<void(Transport)>& test) {
  for (const Transport transport : {Transport::kShm, Transport::kTcp}) {
    try {
      test(transport);
    } catch (const Failure& failure) {
      fail(text(name_of(transport), ": ", failure.message));
    }
  }
}

CommunicatorOptions options_of(const World& world, int32_t rank) {
  CommunicatorOptions options;
  options.rank = rank;
  // Several runs of this program may go on at once.
  options.epoch = next_epoch + (static_cast<uint64_t>(::getpid()) << 32);
  for (int i = 0; i < 32; ++i) options.key.push_back(static_cast<std::byte>(i * 7 + 1));
  options.deadline_ms = world.deadline_ms;
  for (int32_t peer = 0; peer < world.num_ranks; ++peer) options.peers.push_back(PeerAddress{peer, "here", {}});
  return options;
}

StatusOr<std::unique_ptr<Communicator>> connect(Transport transport, const CommunicatorOptions& options,
                                                DataPlaneListener* listener) {
  return transport == Transport::kShm ? connect_shm(options) : connect_tcp(options, *listener);
}

Ranks::Ranks(const World& world, const Process& process) : world_(world) {
  ++next_epoch;
  const size_t bytes = sizeof(Report) * static_cast<size_t>(world.num_ranks);
  reports_ = static_cast<Report*>(::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  expect(reports_ != MAP_FAILED, "no memory for reports");
  for (int32_t rank = 0; world.transport == Transport::kTcp && rank < world.num_ranks; ++rank) {
    StatusOr<std::unique_ptr<DataPlaneListener>> listener = listen_data_plane("127.0.0.1:0");
    if (!listener.ok()) fail(listener.status().message());
    listeners_.push_back(std::move(listener.value()));
  }
  for (int32_t rank = 0; rank < world.num_ranks; ++rank) start(rank, process);
  listeners_.clear();
}

void Ranks::start(int32_t rank, const Process& process) {
  CommunicatorOptions options = options_of(world_, rank);
  for (size_t peer = 0; peer < listeners_.size(); ++peer) options.peers[peer].addresses = listeners_[peer]->addresses();
  std::fflush(stdout);
  const pid_t pid = ::fork();
  expect(pid >= 0, "cannot fork");
  if (pid > 0) {
    pids_.push_back(pid);
    return;
  }
  own = &reports_[rank];
  try {
    std::unique_ptr<DataPlaneListener> listener;
    if (!listeners_.empty()) listener = std::move(listeners_[static_cast<size_t>(rank)]);
    listeners_.clear();
    process(options, listener.get());
  } catch (const Failure& failure) {
    write_text(own->failure, failure.message.empty() ? "failed" : failure.message);
  } catch (const Skip& skip) {
    write_text(own->failure, "skip: " + skip.reason);
  }
  ::_exit(0);
}

Ranks::~Ranks() {
  for (const pid_t pid : pids_) {
    if (pid == 0) continue;
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
  }
  ::munmap(reports_, sizeof(Report) * static_cast<size_t>(world_.num_ranks));
}

void Ranks::signal(int32_t rank, int signal) { ::kill(pids_[static_cast<size_t>(rank)], signal); }

void Ranks::wait_for_stage(int32_t stage) {
  const int64_t until = now_us() + kPatienceUs;
  for (int32_t rank = 0; rank < world_.num_ranks; ++rank)
    while (reports_[rank].stage < stage) {
      expect(reports_[rank].failure[0] == '\0', text("rank ", rank, ": ", reports_[rank].failure));
      expect(now_us() < until, text("rank ", rank, " did not get to stage ", stage));
      sleep_ms(1);
    }
}

void Ranks::wait(const std::vector<int32_t>& but) {
  const int64_t until = now_us() + kPatienceUs;
  for (int32_t rank = 0; rank < world_.num_ranks; ++rank) {
    pid_t& pid = pids_[static_cast<size_t>(rank)];
    if (pid == 0 || std::find(but.begin(), but.end(), rank) != but.end()) continue;
    int how = 0;
    while (::waitpid(pid, &how, WNOHANG) == 0) {
      expect(now_us() < until, text("rank ", rank, " hangs"));
      sleep_ms(1);
    }
    pid = 0;
    expect(WIFEXITED(how) && WEXITSTATUS(how) == 0, text("rank ", rank, " ended with status ", how));
    const std::string failure = reports_[rank].failure;
    if (failure.rfind("skip: ", 0) == 0) throw Skip{failure.substr(6)};
    expect(failure.empty(), text("rank ", rank, ": ", failure));
  }
}

Report& own_report() { return *own; }

void report_status(const Status& status) {
  own->at_us = now_us();
  own->code = static_cast<int32_t>(status.code());
  write_text(own->text, status.message());
}

void run_world(const World& world, const Body& body) {
  Ranks ranks(world, [&](const CommunicatorOptions& options, DataPlaneListener* listener) {
    const size_t num_files = count_open_files();
    {
      StatusOr<std::unique_ptr<Communicator>> communicator = connect(world.transport, options, listener);
      if (!communicator.ok()) fail(communicator.status().message());
      body(*communicator.value());
    }
    expect(count_open_files() == num_files, "a file descriptor is left open");
  });
  ranks.wait();
  expect_no_shared_memory_left();
}

void expect_no_shared_memory_left() {
  const std::string name = shm_name(options_of({}, 0));
  expect(::access(("/dev/shm" + name).c_str(), F_OK) != 0, text("/dev/shm", name, " is left behind"));
}

std::vector<Case>& all_cases() {
  static std::vector<Case> cases;
  return cases;
}

Registration::Registration(const char* name, void (*run)()) { all_cases().push_back({name, run}); }

}  // namespace moesaic::test
