#include "tcp_connect.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <thread>

#include "../text.h"

namespace moesaic {
namespace {

using Links = std::vector<std::unique_ptr<TcpLink>>;

// Changes with the frames and with what is said here.
constexpr uint64_t kHelloMagic = 0x4d6f6573'74630001;
constexpr auto kRetryPause = std::chrono::milliseconds(20);
// How soon somebody who waits sees that connecting was cancelled.
constexpr auto kLookAround = std::chrono::milliseconds(50);
// Strangers may knock as well; so many may stand at the door at once.
constexpr size_t kMaxKnocks = 64;
// A try at one address may take this part of the deadline: the next address may be the right one.
constexpr int32_t kTriesPerDeadline = 4;

enum class Verdict : int32_t { kNone, kWelcome, kOtherEpoch, kOtherKey, kOtherRank };

struct Hello {
  uint64_t magic = kHelloMagic;
  uint64_t epoch = 0;
  int32_t from = 0;
  int32_t to = 0;
  int32_t world_size = 0;
  Verdict verdict = Verdict::kNone;
  std::array<std::byte, 32> key = {};  // zeros towards those who did not show it themselves
};

bool is_same_key(std::span<const std::byte> a, std::span<const std::byte> b) {
  std::byte difference{0};
  for (size_t i = 0; i < a.size(); ++i) difference |= a[i] ^ b[i];  // takes as long wherever they differ
  return difference == std::byte{0};
}

// Somebody who was let in far enough to say who it is.
struct Knock {
  Fd socket;
  Clock::time_point since;
  Hello hello;
  size_t have = 0;          // bytes of the hello
  bool is_welcome = false;  // answered, and not yet confirmed
};

class Connector {
 public:
  Connector(const CommunicatorOptions& options, const TcpListener& listener)
      : options_(options),
        listener_(listener),
        until_(Clock::now() + std::chrono::milliseconds(options.deadline_ms)),
        try_time_(std::chrono::milliseconds(std::max(1, options.deadline_ms / kTriesPerDeadline))),
        links_(options.peers.size()) {}

  // Ranks below are dialed one after the other, so rank 0 dials nobody and no two ranks wait for each other.
  Status connect() {
    for (int32_t peer = 0; peer < options_.rank; ++peer)
      if (Status status = dial(peer); !status.ok()) return status;
    return accept_all();
  }
  Links take_links() { return std::move(links_); }

 private:
  Status dial(int32_t peer);
  bool try_address(int32_t peer, const std::string& address);
  bool try_socket(int32_t peer, const std::string& name, const SocketAddress& address);
  bool greet(int32_t peer, Fd& socket, Clock::time_point until);
  std::string refusal_of(const Hello& reply, int32_t peer) const;
  const std::string& problem() const { return last_refusal_.empty() ? last_problem_ : last_refusal_; }

  Status accept_all();
  int32_t first_missing() const;
  void wait_at_door(std::vector<Knock>& knocks);
  bool hear(Knock& knock);
  bool answer(Knock& knock);
  Verdict judge(const Hello& hello) const;
  void link(int32_t peer, const std::string& address, Fd socket);

  const CommunicatorOptions& options_;
  const TcpListener& listener_;
  const Clock::time_point until_;
  const Clock::duration try_time_;
  Links links_;
  std::string last_problem_ = "it gave no address";
  std::string last_refusal_;  // says more than any problem of the network
};

int32_t ms_until(Clock::time_point until) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now()).count();
  return static_cast<int32_t>(std::clamp<int64_t>(left, 0, 60'000));
}

// False when it is too late, or cancelled.
bool wait_for(int fd, short events, Clock::time_point until, const CommunicatorOptions& options) {
  pollfd poll{fd, events, 0};
  while (check_cancelled(options).ok()) {
    const int ready = ::poll(&poll, 1, ms_until(std::min<Clock::time_point>(until, Clock::now() + kLookAround)));
    if (ready > 0 || (ready < 0 && errno != EINTR)) return ready > 0;
    if (Clock::now() >= until) return false;
  }
  return false;
}

bool send_whole(int fd, const void* bytes, size_t count) {
  return ::send(fd, bytes, count, MSG_NOSIGNAL | MSG_DONTWAIT) == static_cast<ssize_t>(count);  // fits an empty buffer
}

bool receive_whole(int fd, Hello* hello, Clock::time_point until, const CommunicatorOptions& options) {
  size_t have = 0;
  while (have < sizeof(Hello) && wait_for(fd, POLLIN, until, options)) {
    const ssize_t got = ::recv(fd, reinterpret_cast<std::byte*>(hello) + have, sizeof(Hello) - have, MSG_DONTWAIT);
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) return false;
    if (got > 0) have += static_cast<size_t>(got);
  }
  return have == sizeof(Hello);
}

void set(int fd, int level, int option, int value) { ::setsockopt(fd, level, option, &value, sizeof(value)); }

// Small messages leave at once; a link that was cut is an error after the deadline even while nothing is expected from it.
void tune(int fd, int32_t deadline_ms) {
  constexpr int kNumProbes = 3;
  set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  set(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, deadline_ms);
  set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  set(fd, IPPROTO_TCP, TCP_KEEPIDLE, std::max(1, deadline_ms / 1000));
  set(fd, IPPROTO_TCP, TCP_KEEPINTVL, std::max(1, deadline_ms / 1000 / kNumProbes));
  set(fd, IPPROTO_TCP, TCP_KEEPCNT, kNumProbes);
}

// ---- dialing

Status Connector::dial(int32_t peer) {
  const std::vector<std::string>& addresses = options_.peers[static_cast<size_t>(peer)].addresses;
  last_refusal_.clear();
  while (true) {
    for (const std::string& address : addresses)
      if (try_address(peer, address)) return {};
    if (Status status = check_cancelled(options_); !status.ok()) return status;
    if (Clock::now() >= until_)
      return Status(Code::kUnavailable,
                    text("rank ", peer, " could not be reached within ", options_.deadline_ms, " ms: ", problem()));
    std::this_thread::sleep_for(kRetryPause);
  }
}

bool Connector::try_address(int32_t peer, const std::string& name) {
  StatusOr<std::vector<SocketAddress>> resolved = resolve(name, Hosts::kNumbers);
  if (!resolved.ok()) last_problem_ = resolved.status().message();
  if (!resolved.ok()) return false;
  return std::any_of(resolved.value().begin(), resolved.value().end(),
                     [&](const SocketAddress& address) { return try_socket(peer, name, address); });
}

bool Connector::try_socket(int32_t peer, const std::string& name, const SocketAddress& address) {
  const auto until = std::min(until_, Clock::now() + try_time_);
  Fd socket(::socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  const bool is_started = ::connect(socket.get(), address.get(), address.bytes) == 0 || errno == EINPROGRESS;
  int error = is_started ? 0 : errno;
  if (is_started && !wait_for(socket.get(), POLLOUT, until, options_)) error = ETIMEDOUT;
  socklen_t size = sizeof(error);
  if (error == 0) ::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &size);
  if (error != 0) {
    last_problem_ = text(name, ": ", std::strerror(error));
    return false;
  }
  last_problem_ = text(name, ": it was reached and did not answer");
  if (!greet(peer, socket, until)) return false;
  link(peer, name, std::move(socket));
  return true;
}

bool Connector::greet(int32_t peer, Fd& socket, Clock::time_point until) {
  Hello hello{kHelloMagic, options_.epoch, options_.rank, peer, static_cast<int32_t>(options_.peers.size()), Verdict::kNone,
              {}};
  std::copy(options_.key.begin(), options_.key.end(), hello.key.begin());
  Hello reply;
  if (!send_whole(socket.get(), &hello, sizeof(hello)) || !receive_whole(socket.get(), &reply, until, options_))
    return false;
  const bool is_welcome = reply.magic == kHelloMagic && reply.verdict == Verdict::kWelcome && reply.from == peer &&
                          is_same_key(reply.key, options_.key);
  if (!is_welcome) last_refusal_ = refusal_of(reply, peer);
  return is_welcome && send_whole(socket.get(), "!", 1);
}

std::string Connector::refusal_of(const Hello& reply, int32_t peer) const {
  if (reply.magic != kHelloMagic) return "what answered speaks another protocol";
  if (reply.verdict == Verdict::kOtherEpoch)
    return text("it is in epoch ", reply.epoch, ", this rank in epoch ", options_.epoch);
  if (reply.verdict == Verdict::kOtherKey) return "it has another key";
  if (reply.verdict == Verdict::kOtherRank && reply.from == peer)
    return text("it does not expect rank ", options_.rank, " of ", options_.peers.size());
  if (reply.from != peer) return text("rank ", reply.from, " answered at its address");
  return "it could not prove that it has the key";
}

// ---- accepting

Status Connector::accept_all() {
  std::vector<Knock> knocks;
  last_problem_ = "nobody knocked in its name";
  last_refusal_.clear();
  while (first_missing() >= 0) {
    if (Clock::now() >= until_)
      return Status(Code::kUnavailable,
                    text("rank ", first_missing(), " did not connect within ", options_.deadline_ms, " ms: ", problem()));
    if (Status status = check_cancelled(options_); !status.ok()) return status;
    wait_at_door(knocks);
    for (Fd socket = listener_.accept(); socket.is_open(); socket = listener_.accept())
      knocks.push_back(Knock{std::move(socket), Clock::now(), {}, 0, false});
    std::erase_if(knocks, [&](Knock& knock) { return hear(knock) || Clock::now() - knock.since > try_time_; });
    if (knocks.size() > kMaxKnocks) knocks.erase(knocks.begin(), knocks.end() - kMaxKnocks);
  }
  return {};
}

int32_t Connector::first_missing() const {
  for (size_t peer = static_cast<size_t>(options_.rank) + 1; peer < links_.size(); ++peer)
    if (links_[peer] == nullptr) return static_cast<int32_t>(peer);
  return -1;
}

void Connector::wait_at_door(std::vector<Knock>& knocks) {
  std::vector<pollfd> polls{{listener_.fd(), POLLIN, 0}};
  for (const Knock& knock : knocks) polls.push_back({knock.socket.get(), POLLIN, 0});
  const Clock::time_point next_look = Clock::now() + std::min<Clock::duration>(try_time_, kLookAround);
  ::poll(polls.data(), polls.size(), ms_until(std::min(until_, next_look)));
}

// Reads what the knocker has to say. True when it is done with: linked, refused or gone.
bool Connector::hear(Knock& knock) {
  while (true) {
    std::byte confirmation{};
    std::byte* into = knock.is_welcome ? &confirmation : reinterpret_cast<std::byte*>(&knock.hello) + knock.have;
    const ssize_t got = ::recv(knock.socket.get(), into, knock.is_welcome ? 1 : sizeof(Hello) - knock.have, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return false;
    if (got <= 0) return true;
    if (knock.is_welcome) break;
    knock.have += static_cast<size_t>(got);
    if (knock.have == sizeof(Hello) && !answer(knock)) return true;
  }
  const std::vector<std::string>& addresses = options_.peers[static_cast<size_t>(knock.hello.from)].addresses;
  link(knock.hello.from, addresses.empty() ? "unknown address" : addresses.front(), std::move(knock.socket));
  return true;
}

bool Connector::answer(Knock& knock) {
  const Verdict verdict = judge(knock.hello);
  if (verdict == Verdict::kNone) return false;
  const auto world_size = static_cast<int32_t>(options_.peers.size());
  Hello reply{kHelloMagic, options_.epoch, options_.rank, knock.hello.from, world_size, verdict, {}};
  knock.is_welcome = verdict == Verdict::kWelcome;
  if (knock.is_welcome) std::copy(options_.key.begin(), options_.key.end(), reply.key.begin());
  if (verdict == Verdict::kOtherEpoch)
    last_refusal_ = text("a rank ", knock.hello.from, " of epoch ", knock.hello.epoch, " was refused");
  if (verdict == Verdict::kOtherKey) last_refusal_ = text("a rank ", knock.hello.from, " with another key was refused");
  return send_whole(knock.socket.get(), &reply, sizeof(reply)) && knock.is_welcome;
}

// kNone: no rank of ours, whoever it is.
Verdict Connector::judge(const Hello& hello) const {
  if (hello.magic != kHelloMagic) return Verdict::kNone;
  if (hello.epoch != options_.epoch) return Verdict::kOtherEpoch;
  if (!is_same_key(hello.key, options_.key)) return Verdict::kOtherKey;
  const auto world_size = static_cast<int32_t>(options_.peers.size());
  const bool is_expected = hello.from > options_.rank && hello.from < world_size && hello.world_size == world_size;
  return is_expected && hello.to == options_.rank ? Verdict::kWelcome : Verdict::kOtherRank;
}

// A rank that dials again has given its first try up.
void Connector::link(int32_t peer, const std::string& address, Fd socket) {
  tune(socket.get(), options_.deadline_ms);
  links_[static_cast<size_t>(peer)] = std::make_unique<TcpLink>(options_.rank, peer, address, std::move(socket));
}

}  // namespace

StatusOr<Links> connect_links(const CommunicatorOptions& options, const TcpListener& listener) {
  Connector connector(options, listener);
  if (Status status = connector.connect(); !status.ok()) return status;
  return connector.take_links();
}

}  // namespace moesaic
