// The tcp communicator: collectives among any ranks, every pair of which has a link. All links of a call send and receive at
// the same time, so that ranks which all send a lot never wait for each other in a circle.
#include <poll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "../text.h"
#include "sum.h"
#include "tcp_connect.h"

namespace moesaic {
namespace {

// Up to here everybody sends everything: a second round would cost more than the bytes that it saves.
constexpr size_t kSmallBytes = 64 * 1024;
// What is to be summed waits here, in a memory of fixed size: larger sums are made in pieces.
constexpr size_t kStagedFloats = 2 * 1024 * 1024;
// How long a rank that gives up tries to tell those whose links are full.
constexpr auto kGoodbyeTime = std::chrono::milliseconds(100);
// A rank that has waited for this part of the deadline says so, for those who wait for it in turn.
constexpr int32_t kNotesPerDeadline = 4;

// What one call moves over one link.
struct Transfer {
  TcpLink* link;
  size_t member;
  bool receives = false;
  bool is_placed = false;   // `into` is known; before, the size must have arrived
  bool is_claimed = false;  // the frame's bytes go to `into`
  bool is_noted = false;    // peers have been told that this rank waits for it
  std::span<std::byte> into = {};

  bool is_done() const { return !link->is_sending() && (!receives || (is_claimed && !link->is_receiving())); }
  bool has_size() const { return is_claimed || link->arrived() != nullptr; }
  // Its part is there and stays at the door until those of others are: nobody waits for this peer.
  bool is_kept_waiting() const { return receives && !is_placed && has_size() && !link->is_sending(); }
};

int64_t size_of(std::span<const int64_t> begins, size_t member) { return begins[member + 1] - begins[member]; }

template <typename Byte>
std::span<Byte> part(std::span<Byte> bytes, std::span<const int64_t> begins, size_t member) {
  return bytes.subspan(static_cast<size_t>(begins[member]), static_cast<size_t>(size_of(begins, member)));
}

// A root may have nothing to say for long; a link that was cut is noticed all the same.
bool is_patient(const Call& call, const Transfer& transfer) {
  return call.patience == Patience::kWhileItLives && transfer.receives && !transfer.has_size();
}

class TcpCommunicator final : public CommunicatorBase {
 public:
  TcpCommunicator(const CommunicatorOptions& options, std::vector<std::unique_ptr<TcpLink>> links, Fd alarm)
      : CommunicatorBase(options),
        deadline_(std::chrono::milliseconds(options.deadline_ms)),
        links_(std::move(links)),
        alarm_(std::move(alarm)),
        piece_(kStagedFloats / std::max<size_t>(1, links_.size() - 1)),
        staged_(new float[kStagedFloats]) {
    transfers_.reserve(links_.size());
    polls_.reserve(links_.size() + 1);
    parts_.reserve(links_.size());
  }

 protected:
  Status reduce_everywhere(const Call& call, std::span<float> values) override;
  Status reduce_parts(const Call& call, std::span<const float> values, std::span<const int64_t> begins,
                      std::span<float> out) override;
  Status gather_parts(const Call& call, std::span<const std::byte> own, std::span<const int64_t> begins,
                      std::span<std::byte> out) override;
  Status exchange_parts(const Call& call, std::span<const std::byte> send, std::span<const int64_t> send_begins,
                        std::span<std::byte> recv, std::span<int64_t> recv_begins) override;
  Status spread(const Call& call, size_t root_index, std::span<std::byte> data, int64_t* bytes) override;
  bool is_worth_scattering(size_t num_members, size_t bytes) const override { return num_members > 2 && bytes > kSmallBytes; }
  void interrupt() override;
  void say_goodbye() override;

 private:
  void begin(const Call& call);
  void send(const Call& call, Transfer& transfer, std::span<const std::byte> data);
  void receive(Transfer& transfer, std::span<std::byte> into);
  template <typename PartOf>
  Status sum_in_pieces(const Call& call, const PartOf& part_of, const float* own, std::span<float> out);
  void sum_staged(const Call& call, const float* own, std::span<float> out);

  template <typename Place>
  Status move(const Call& call, const Place& place);
  template <typename Place>
  Status advance(const Call& call, const Place& place);
  Status claim(const Call& call, Transfer& transfer);
  Status look_at_endings(const Call& call);
  Status look_at_clock(const Call& call, Clock::time_point started);
  void wait(const Call& call, Clock::time_point started);
  void poll_links(int32_t timeout_ms);
  void note_waiting(const Call& call, Transfer& transfer);
  Status broken(const Call& call, const Transfer& transfer) const;
  Status late(const Call& call, const Transfer& transfer) const;
  std::string progress_of(const Transfer& transfer) const;

  const std::chrono::milliseconds deadline_;
  std::vector<std::unique_ptr<TcpLink>> links_;  // by rank, null for the own one
  const Fd alarm_;                               // readable once the epoch has ended
  std::vector<Transfer> transfers_;              // of the running call, by member without the own rank
  std::vector<pollfd> polls_;
  const size_t piece_;                           // floats of one peer that wait in staged_ at most
  const std::unique_ptr<float[]> staged_;        // what has to be summed; pages come as they are touched
  std::vector<const float*> parts_;              // of the piece that is being summed, by member
  bool has_said_goodbye_ = false;
};

// ---- collectives: what goes over each link, and what becomes of what comes

Status TcpCommunicator::reduce_everywhere(const Call& call, std::span<float> values) {
  const auto everything = [&](size_t) { return std::span<const float>(values); };
  return sum_in_pieces(call, everything, values.data(), values);
}

Status TcpCommunicator::reduce_parts(const Call& call, std::span<const float> values, std::span<const int64_t> begins,
                                     std::span<float> out) {
  const auto part_of = [&](size_t member) { return part(values, begins, member); };
  return sum_in_pieces(call, part_of, values.data() + begins[call.group->own_index], out);
}

Status TcpCommunicator::gather_parts(const Call& call, std::span<const std::byte> own, std::span<const int64_t> begins,
                                     std::span<std::byte> out) {
  begin(call);
  for (Transfer& transfer : transfers_) {
    send(call, transfer, own);
    receive(transfer, part(out, begins, transfer.member));
  }
  if (Status status = move(call, [] { return Status(); }); !status.ok()) return status;
  std::byte* own_place = out.data() + begins[call.group->own_index];
  if (own_place != own.data() && !own.empty()) std::memmove(own_place, own.data(), own.size());
  return {};
}

Status TcpCommunicator::exchange_parts(const Call& call, std::span<const std::byte> send_bytes,
                                       std::span<const int64_t> send_begins, std::span<std::byte> recv,
                                       std::span<int64_t> recv_begins) {
  const size_t own = call.group->own_index;
  begin(call);
  for (Transfer& transfer : transfers_) {
    send(call, transfer, part(send_bytes, send_begins, transfer.member));
    transfer.receives = true;
  }
  const auto place = [&] {
    std::fill(recv_begins.begin(), recv_begins.end(), 0);
    recv_begins[own + 1] = size_of(send_begins, own);
    for (const Transfer& transfer : transfers_) {
      // No single part may be larger than all of recv: so the sum below cannot overflow.
      const uint64_t bytes = std::min<uint64_t>(transfer.link->arrived()->bytes, recv.size() + 1);
      recv_begins[transfer.member + 1] = static_cast<int64_t>(bytes);
    }
    for (size_t m = 0; m < call.num_members(); ++m) recv_begins[m + 1] += recv_begins[m];
    if (static_cast<size_t>(recv_begins.back()) > recv.size())
      return Status(Code::kResourceExhausted, text("the members send more than the ", recv.size(), " bytes that recv holds"));
    for (Transfer& transfer : transfers_) receive(transfer, part<std::byte>(recv, recv_begins, transfer.member));
    return Status();
  };
  if (Status status = move(call, place); !status.ok()) return status;
  // Alone in the group nothing arrives, and nothing else has placed the own part.
  if (transfers_.empty())
    if (Status status = place(); !status.ok()) return status;
  const std::span<const std::byte> own_part = part(send_bytes, send_begins, own);
  if (!own_part.empty()) std::memmove(recv.data() + recv_begins[own], own_part.data(), own_part.size());
  return {};
}

Status TcpCommunicator::spread(const Call& call, size_t root_index, std::span<std::byte> data, int64_t* bytes) {
  begin(call);
  if (root_index == call.group->own_index) {
    for (Transfer& transfer : transfers_) send(call, transfer, data);
    *bytes = static_cast<int64_t>(data.size());
    return move(call, [] { return Status(); });
  }
  std::erase_if(transfers_, [&](const Transfer& transfer) { return transfer.member != root_index; });
  Transfer& root = transfers_.front();
  root.receives = true;
  return move(call, [&] {
    const uint64_t arrived = root.link->arrived()->bytes;
    if (arrived > data.size())
      return Status(Code::kResourceExhausted, text("the root sends ", arrived, " bytes, data holds ", data.size()));
    *bytes = static_cast<int64_t>(arrived);
    receive(root, data.first(arrived));
    return Status();
  });
}

void TcpCommunicator::begin(const Call& call) {
  transfers_.clear();
  for (size_t m = 0; m < call.num_members(); ++m)
    if (m != call.group->own_index) transfers_.push_back(Transfer{links_[static_cast<size_t>(call.group->ranks[m])].get(), m});
}

void TcpCommunicator::send(const Call& call, Transfer& transfer, std::span<const std::byte> data) {
  transfer.link->send_data(call.key, data);
  count_sent(call, data.size());
}

void TcpCommunicator::receive(Transfer& transfer, std::span<std::byte> into) {
  transfer.receives = transfer.is_placed = true;
  transfer.into = into;
}

// Member m gets part_of(m); out becomes the sum of `own` and of what comes. A part of no bytes has one piece, too.
template <typename PartOf>
Status TcpCommunicator::sum_in_pieces(const Call& call, const PartOf& part_of, const float* own, std::span<float> out) {
  const auto has_piece = [&](size_t first, size_t count) { return first == 0 || first < count; };
  for (size_t first = 0;; first += piece_) {
    begin(call);
    const size_t count = std::min(piece_, out.size() - std::min(first, out.size()));
    float* staged = staged_.get();
    bool is_over = !has_piece(first, out.size());
    for (Transfer& transfer : transfers_) {
      const std::span<const float> values = part_of(transfer.member);
      if (has_piece(first, out.size())) receive(transfer, std::as_writable_bytes(std::span(staged, count)));
      staged += count;
      if (!has_piece(first, values.size())) continue;
      send(call, transfer, std::as_bytes(values.subspan(first, std::min(piece_, values.size() - first))));
      is_over = false;
    }
    if (is_over) return {};
    if (Status status = move(call, [] { return Status(); }); !status.ok()) return status;
    if (count > 0) sum_staged(call, own + first, out.subspan(first, count));
  }
}

// Others' values lie one after the other, in rank order, the own ones left out.
void TcpCommunicator::sum_staged(const Call& call, const float* own, std::span<float> out) {
  parts_.clear();
  const float* next = staged_.get();
  for (size_t m = 0; m < call.num_members(); ++m) {
    const bool is_own = m == call.group->own_index;
    parts_.push_back(is_own ? own : next);
    if (!is_own) next += out.size();
  }
  sum_in_order(parts_, out.size(), out.data());
}

// ---- moving bytes

// Until all transfers are done. place() is called once every sender's size has arrived, when any transfer is not placed.
template <typename Place>
Status TcpCommunicator::move(const Call& call, const Place& place) {
  const auto started = Clock::now();
  for (Transfer& transfer : transfers_) {
    transfer.link->push();
    transfer.link->pull();
  }
  while (true) {
    if (Status status = advance(call, place); !status.ok()) return status;
    if (std::all_of(transfers_.begin(), transfers_.end(), [](const Transfer& transfer) { return transfer.is_done(); }))
      return {};
    if (Status status = look_at_clock(call, started); !status.ok()) return status;
    wait(call, started);
  }
}

template <typename Place>
Status TcpCommunicator::advance(const Call& call, const Place& place) {
  if (Status status = look_at_endings(call); !status.ok()) return status;
  const auto is_unplaced = [](const Transfer& transfer) { return transfer.receives && !transfer.is_placed; };
  const bool have_sizes = std::all_of(transfers_.begin(), transfers_.end(),
                                      [](const Transfer& transfer) { return !transfer.receives || transfer.has_size(); });
  for (Transfer& transfer : transfers_)
    if (transfer.receives && !transfer.is_claimed && transfer.link->arrived() != nullptr)
      if (Status status = claim(call, transfer); !status.ok()) return status;
  if (have_sizes && std::any_of(transfers_.begin(), transfers_.end(), is_unplaced)) {
    if (Status status = place(); !status.ok()) return status;
    return advance(call, place);
  }
  return look_at_endings(call);
}

// Checks the frame that has arrived, and takes it in when its place is known.
Status TcpCommunicator::claim(const Call& call, Transfer& transfer) {
  const FrameHeader& frame = *transfer.link->arrived();
  if (!(frame.call == call.key))
    return Status(Code::kInternal, text(transfer.link->name(), " is at ", groups().describe(frame.call), ", this rank at ",
                                        groups().describe(call.key)));
  if (!transfer.is_placed) return {};
  if (frame.bytes != transfer.into.size())
    return Status(Code::kInternal, text(transfer.link->name(), " brings ", frame.bytes, " bytes to ",
                                        groups().describe(call.key), ", ", transfer.into.size(), " were expected"));
  transfer.is_claimed = true;
  transfer.link->receive_into(transfer.into);
  transfer.link->pull();
  return {};
}

// All links are looked at: a rank outside the group may have ended the epoch. A link that broke matters only to a call that
// still needs it, for a peer may leave after its last call.
Status TcpCommunicator::look_at_endings(const Call& call) {
  for (const std::unique_ptr<TcpLink>& link : links_)
    if (link != nullptr && link->notice()) ending().set_heard(*link->notice());
  if (ending().is_set()) return ending().status();
  for (const Transfer& transfer : transfers_)
    if (!transfer.is_done() && !transfer.link->fault().empty()) return broken(call, transfer);
  return {};
}

Status TcpCommunicator::look_at_clock(const Call& call, Clock::time_point started) {
  const auto now = Clock::now();
  for (Transfer& transfer : transfers_) {
    if (transfer.is_done() || transfer.is_kept_waiting() || is_patient(call, transfer)) continue;
    const auto idle = now - std::max(started, transfer.link->moved_at());
    if (idle >= deadline_) return late(call, transfer);
    if (idle >= deadline_ / kNotesPerDeadline && !transfer.is_noted) note_waiting(call, transfer);
  }
  return {};
}

// Until a link can move, abort() is called, or the next look at the clock is due.
void TcpCommunicator::wait(const Call& call, Clock::time_point started) {
  auto next = Clock::time_point::max();
  for (const Transfer& transfer : transfers_) {
    if (transfer.is_done() || transfer.is_kept_waiting() || is_patient(call, transfer)) continue;
    const auto idle_since = std::max(started, transfer.link->moved_at());
    next = std::min(next, idle_since + (transfer.is_noted ? deadline_ : deadline_ / kNotesPerDeadline));
  }
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(next - Clock::now()).count();
  poll_links(static_cast<int32_t>(std::clamp<int64_t>(left, 0, deadline_.count())));
}

void TcpCommunicator::poll_links(int32_t timeout_ms) {
  polls_.clear();
  for (const std::unique_ptr<TcpLink>& link : links_) {
    const short events = link == nullptr ? short{0} : link->events();
    polls_.push_back(
        {events == 0 ? -1 : link->fd(), events, 0});  // -1: poll reports hang-ups even to those who ask for nothing
  }
  polls_.push_back({alarm_.get(), POLLIN, 0});
  if (::poll(polls_.data(), polls_.size(), timeout_ms) <= 0) return;
  for (size_t rank = 0; rank < links_.size(); ++rank)
    if (polls_[rank].revents != 0) links_[rank]->react(polls_[rank].revents);
}

// ---- the end

void TcpCommunicator::interrupt() {
  const uint64_t one = 1;
  // Cannot fail: the counter of an eventfd that nobody reads takes 2^64 - 1 of them.
  [[maybe_unused]] const ssize_t written = ::write(alarm_.get(), &one, sizeof(one));
}

// Frames under way are finished first, for as long as that does not take long: a notice in the middle of data would be data.
void TcpCommunicator::say_goodbye() {
  if (std::exchange(has_said_goodbye_, true)) return;
  const auto until = Clock::now() + kGoodbyeTime;
  for (const std::unique_ptr<TcpLink>& link : links_) {
    if (link == nullptr) continue;
    link->send_notice(ending().notice());
    link->push();
  }
  const auto has_output = [](const std::unique_ptr<TcpLink>& link) { return link != nullptr && link->has_output(); };
  while (std::any_of(links_.begin(), links_.end(), has_output) && Clock::now() < until) {
    polls_.clear();
    for (const std::unique_ptr<TcpLink>& link : links_)
      if (has_output(link)) polls_.push_back({link->fd(), POLLOUT, 0});
    ::poll(polls_.data(), polls_.size(), static_cast<int>(kGoodbyeTime.count() / 10));
    for (const std::unique_ptr<TcpLink>& link : links_)
      if (has_output(link)) link->push();
  }
  for (const std::unique_ptr<TcpLink>& link : links_)
    if (link != nullptr) link->close_output();
}

void TcpCommunicator::note_waiting(const Call& call, Transfer& transfer) {
  transfer.is_noted = true;
  for (const std::unique_ptr<TcpLink>& link : links_) {
    if (link == nullptr || link.get() == transfer.link) continue;
    link->send_waits(Waiting{transfer.link->rank(), call.key});
    link->push();
  }
}

Status TcpCommunicator::broken(const Call& call, const Transfer& transfer) const {
  return Status(Code::kUnavailable, text(transfer.link->name(), " ", transfer.link->fault(), " during ",
                                         groups().describe(call.key), progress_of(transfer)));
}

Status TcpCommunicator::late(const Call& call, const Transfer& transfer) const {
  const auto waiting_of = [&](int32_t rank) -> std::optional<Waiting> {
    if (rank < 0 || rank >= world_size() || links_[static_cast<size_t>(rank)] == nullptr) return std::nullopt;
    return links_[static_cast<size_t>(rank)]->waiting();
  };
  const std::string chain = chain_from(transfer.link->rank(), groups(), waiting_of);
  return Status(Code::kUnavailable, text(transfer.link->name(), " did not get on with ", groups().describe(call.key), " for ",
                                         deadline_.count(), " ms", progress_of(transfer), chain));
}

std::string TcpCommunicator::progress_of(const Transfer& transfer) const {
  std::string progress;
  if (transfer.receives && !transfer.is_claimed) progress += ", nothing had come from it";
  if (transfer.is_claimed)
    progress += text(", ", transfer.link->is_receiving() ? transfer.link->bytes_received() : transfer.into.size(), " of ",
                     transfer.into.size(), " bytes had come from it");
  if (transfer.link->is_sending()) progress += text(", ", transfer.link->bytes_sent(), " bytes had gone to it");
  return progress;
}

}  // namespace

StatusOr<std::unique_ptr<Communicator>> connect_tcp(const CommunicatorOptions& options, DataPlaneListener& listener) {
  if (Status status = check_options(options); !status.ok()) return status;
  const auto* tcp_listener = dynamic_cast<const TcpListener*>(&listener);
  if (tcp_listener == nullptr) return Status(Code::kInvalidArgument, "the listener was not made by listen_data_plane");
  Fd alarm(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!alarm.is_open()) return Status(Code::kResourceExhausted, text("cannot make an eventfd: ", std::strerror(errno)));
  StatusOr<std::vector<std::unique_ptr<TcpLink>>> links = connect_links(options, *tcp_listener);
  if (!links.ok()) return links.status();
  return std::unique_ptr<Communicator>(std::make_unique<TcpCommunicator>(options, std::move(links.value()), std::move(alarm)));
}

}  // namespace moesaic
