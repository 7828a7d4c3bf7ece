#include "comm_bench.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstring>
#include <memory>
#include <numeric>
#include <span>
#include <thread>
#include <utility>

#include "comm/fd.h"
#include "text.h"

namespace moesaic {
namespace {

double now_us() {
  return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Small whole numbers, so that sums over thousands of ranks are exact in float32.
float value_at(int32_t rank, size_t index) { return static_cast<float>((index & 1023) + static_cast<size_t>(rank)); }

class Bench {
 public:
  Bench(int32_t rank, int32_t world_size, const CollectiveRun& run) : rank_(rank), world_size_(world_size), run_(run) {
    for (int32_t m = 0; m <= world_size; ++m)
      row_begins_.push_back(static_cast<int32_t>(int64_t{run.rows} * m / world_size));
    for (const int32_t row : row_begins_) byte_begins_.push_back(int64_t{row} * run.cols * int64_t{sizeof(float)});
    recv_begins_.assign(row_begins_.size(), 0);
    send_.resize(static_cast<size_t>(run.rows) * run.cols);
    // Of all_to_all every rank may get the largest part from each.
    const size_t part = static_cast<size_t>((run.rows + world_size - 1) / world_size) * run.cols;
    recv_.resize(std::max(send_.size(), part * world_size));
  }

  // Between calls, and not timed.
  void prepare() {
    for (size_t i = 0; i < send_.size(); ++i) send_[i] = value_at(rank_, i);
    std::fill(recv_.begin(), recv_.end(), -1.0F);
  }

  Status call(Communicator& communicator) {
    const std::span<std::byte> sent = std::as_writable_bytes(std::span(send_));
    const std::span<std::byte> received = std::as_writable_bytes(std::span(recv_));
    int64_t bytes = 0;
    switch (run_.collective) {
      case BenchCollective::kAllReduce:
        return communicator.all_reduce(0, send_);
      case BenchCollective::kReduceScatter:
        return communicator.reduce_scatter(0, send_, row_begins_, run_.cols, std::span(recv_).first(count(rank_)));
      case BenchCollective::kAllGather:
        return communicator.all_gather(0, sent.subspan(static_cast<size_t>(byte_begins_[rank_]), count(rank_) * sizeof(float)),
                                       byte_begins_, received.first(sent.size()));
      case BenchCollective::kAllToAll:
        return communicator.all_to_all(0, sent, byte_begins_, received, recv_begins_);
      case BenchCollective::kBroadcast:
        return communicator.broadcast(0, 0, sent, &bytes, Patience::kDeadline);
    }
    return Status(Code::kInternal, "no such collective");
  }

  bool is_right() const {
    switch (run_.collective) {
      case BenchCollective::kAllReduce:
        return matches(send_, [&](size_t i) { return sum_at(i); });
      case BenchCollective::kReduceScatter:
        return matches(std::span(recv_).first(count(rank_)), [&](size_t i) { return sum_at(first(rank_) + i); });
      case BenchCollective::kAllGather:
        return holds_parts([&](int32_t m, size_t i) { return value_at(m, first(m) + i); }, [&](int32_t m) { return count(m); });
      case BenchCollective::kAllToAll:
        return holds_parts([&](int32_t m, size_t i) { return value_at(m, first(rank_) + i); },
                           [&](int32_t) { return count(rank_); });
      case BenchCollective::kBroadcast:
        return matches(send_, [&](size_t i) { return value_at(0, i); });
    }
    return false;
  }

 private:
  size_t first(int32_t member) const { return static_cast<size_t>(row_begins_[member]) * run_.cols; }
  size_t count(int32_t member) const { return first(member + 1) - first(member); }
  float sum_at(size_t index) const {
    return static_cast<float>(world_size_) * value_at(0, index) + static_cast<float>(world_size_ * (world_size_ - 1) / 2);
  }

  template <typename Expected>
  static bool matches(std::span<const float> values, const Expected& expected) {
    for (size_t i = 0; i < values.size(); ++i)
      if (values[i] != expected(i)) return false;
    return true;
  }

  // recv_ has the members' parts one after the other.
  template <typename Expected, typename Count>
  bool holds_parts(const Expected& expected, const Count& count_of) const {
    size_t begin = 0;
    for (int32_t m = 0; m < world_size_; ++m) {
      const std::span<const float> part = std::span(recv_).subspan(begin, count_of(m));
      if (!matches(part, [&](size_t i) { return expected(m, i); })) return false;
      begin += part.size();
    }
    return true;
  }

  const int32_t rank_, world_size_;
  const CollectiveRun run_;
  std::vector<int32_t> row_begins_;
  std::vector<int64_t> byte_begins_, recv_begins_;
  std::vector<float> send_, recv_;
};

// After everybody has got here, and as exactly as a clock can tell at the same time.
constexpr double kMeetingUs = 60;

StatusOr<double> begin_together(Communicator& communicator, int32_t late_us) {
  const auto world_size = static_cast<size_t>(communicator.world_size());
  std::vector<double> arrived(world_size);
  std::vector<int64_t> begins;
  for (size_t m = 0; m <= world_size; ++m) begins.push_back(static_cast<int64_t>(m * sizeof(double)));
  const double own = now_us();
  const Status status =
      communicator.all_gather(0, std::as_bytes(std::span(&own, 1)), begins, std::as_writable_bytes(std::span(arrived)));
  if (!status.ok()) return status;
  const double late = communicator.rank() == 0 ? late_us : 0;
  const double until = *std::max_element(arrived.begin(), arrived.end()) + kMeetingUs + late;
  // Not asleep: waking up is what is measured. Yielding, for where ranks are more than cores.
  while (now_us() < until) std::this_thread::yield();
  return now_us();
}

uint64_t total_sent(const Communicator& communicator) {
  const std::vector<CollectiveStats> all = communicator.stats();
  return std::accumulate(all.begin(), all.end(), uint64_t{0}, [](uint64_t sum, const auto& one) { return sum + one.bytes; });
}

StatusOr<CollectiveTimes> measure(Communicator& communicator, const CollectiveRun& run) {
  Bench bench(communicator.rank(), communicator.world_size(), run);
  CollectiveTimes times;
  uint64_t sent = 0;
  for (int32_t call = 0; call < run.calls; ++call) {
    bench.prepare();
    const StatusOr<double> began = begin_together(communicator, run.late_us);
    if (!began.ok()) return began.status();
    const uint64_t sent_before = total_sent(communicator);
    if (Status status = bench.call(communicator); !status.ok()) return status;
    times.began_us.push_back(began.value());
    times.ended_us.push_back(now_us());
    sent += total_sent(communicator) - sent_before;
    if (!bench.is_right())
      return Status(Code::kInternal, text("a collective gave rank ", communicator.rank(), " a wrong result in call ", call));
  }
  times.sent_bytes = static_cast<double>(sent) / run.calls;
  return times;
}

// ---- a plain socket -------------------------------------------------------------------------------------------------

Status socket_failed(const char* what) {
  return Status(Code::kUnavailable, text("cannot ", what, " on the loopback interface: ", std::strerror(errno)));
}

bool write_all(int fd, const std::byte* data, size_t bytes) {
  while (bytes > 0) {
    const ssize_t written = ::send(fd, data, bytes, MSG_NOSIGNAL);
    if (written <= 0) return false;
    data += written;
    bytes -= static_cast<size_t>(written);
  }
  return true;
}

bool read_all(int fd, std::byte* data, size_t bytes) {
  while (bytes > 0) {
    const ssize_t read = ::recv(fd, data, bytes, 0);
    if (read <= 0) return false;
    data += read;
    bytes -= static_cast<size_t>(read);
  }
  return true;
}

StatusOr<std::pair<Fd, Fd>> connected_pair() {
  Fd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  Fd near(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!listener.is_open() || !near.is_open()) return socket_failed("open a socket");
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  socklen_t length = sizeof(address);
  if (::bind(listener.get(), generic, length) != 0 || ::listen(listener.get(), 1) != 0 ||
      ::getsockname(listener.get(), generic, &length) != 0)
    return socket_failed("listen");
  if (::connect(near.get(), generic, length) != 0) return socket_failed("connect");
  Fd far(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!far.is_open()) return socket_failed("accept");
  const int on = 1;
  for (const Fd* end : {&near, &far}) ::setsockopt(end->get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  return std::pair<Fd, Fd>(std::move(near), std::move(far));
}

}  // namespace

StatusOr<std::vector<CollectiveTimes>> measure_collectives(int32_t rank, const ConnectOptions& options,
                                                           DataPlaneListener& listener,
                                                           const std::vector<CollectiveRun>& runs) {
  const CommunicatorOptions own{rank, options.peers, options.epoch, options.key, options.deadline_ms};
  StatusOr<std::unique_ptr<Communicator>> communicator =
      options.transport == Transport::kTcp ? connect_tcp(own, listener) : connect_shm(own);
  if (!communicator.ok()) return communicator.status();
  std::vector<CollectiveTimes> all;
  for (const CollectiveRun& run : runs) {
    StatusOr<CollectiveTimes> times = measure(*communicator.value(), run);
    if (times.ok()) {
      all.push_back(std::move(times.value()));
      continue;
    }
    communicator.value()->abort(times.status().message());
    return times.status();
  }
  return all;
}

std::vector<double> measure_copy(int64_t bytes, int32_t calls) {
  const std::vector<std::byte> from(static_cast<size_t>(bytes), std::byte{1});
  std::vector<std::byte> to(from.size());
  std::vector<double> times_us;
  for (int32_t call = 0; call < calls; ++call) {
    const double began = now_us();
    std::memcpy(to.data(), from.data(), from.size());
    times_us.push_back(now_us() - began);
    if (to.back() != from.back()) break;  // the copy is used, so that it is made
  }
  return times_us;
}

StatusOr<std::vector<double>> measure_socket(int64_t bytes, int32_t calls) {
  StatusOr<std::pair<Fd, Fd>> pair = connected_pair();
  if (!pair.ok()) return pair.status();
  const auto size = static_cast<size_t>(bytes);
  const int near = pair.value().first.get();
  const int far = pair.value().second.get();
  std::thread echo([&] {
    std::vector<std::byte> data(size);
    for (int32_t call = 0; call < calls; ++call)
      if (!read_all(far, data.data(), size) || !write_all(far, data.data(), size)) break;
    ::shutdown(far, SHUT_RDWR);  // the other end must not wait for more
  });
  std::vector<std::byte> data(size, std::byte{7});
  std::vector<double> times_us;
  for (int32_t call = 0; call < calls; ++call) {
    const double began = now_us();
    if (!write_all(near, data.data(), size) || !read_all(near, data.data(), size)) break;
    times_us.push_back((now_us() - began) / 2);
  }
  ::shutdown(near, SHUT_RDWR);
  echo.join();
  if (times_us.size() < static_cast<size_t>(calls)) return socket_failed("send");
  return times_us;
}

}  // namespace moesaic
