#include "tcp_link.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <cerrno>
#include <cstring>

#include "../text.h"

namespace moesaic {
namespace {

// So much at a time, so that the other links and abort() are not kept waiting by a fast one.
constexpr size_t kBytesAtOnce = 1 << 20;
// More than two sockets' buffers hold.
constexpr size_t kMaxRestBytes = 64 << 20;

static_assert(sizeof(FrameHeader) == 48, "a frame header has no padding");

Notice notice_of(const FrameHeader& frame, const char* text) {
  return Notice{frame.value == 1 ? Code::kCancelled : Code::kUnavailable, std::string(text, frame.bytes)};
}

}  // namespace

TcpLink::TcpLink(int32_t own_rank, int32_t rank, const std::string& address, Fd socket)
    : rank_(rank),
      name_(text("rank ", rank, " (", address, ", linked to rank ", own_rank, ")")),
      socket_(std::move(socket)),
      moved_at_(Clock::now()) {}

// Closing a socket with unread bytes would throw away what the peer has yet to get from us.
TcpLink::~TcpLink() {
  close_output();
  read_rest();
}

void TcpLink::send_data(const CallKey& call, std::span<const std::byte> data) {
  data_header_ = FrameHeader{kFrameMagic, FrameType::kData, {}, 0, 0, call, data.size()};
  data_ = data;
  header_sent_ = bytes_sent_ = 0;
  is_sending_ = true;
}

void TcpLink::send_waits(const Waiting& waiting) {
  send_control(FrameHeader{kFrameMagic, FrameType::kWaits, {}, waiting.peer, 0, waiting.call, 0}, "");
}

void TcpLink::send_notice(const Notice& notice) {
  const int32_t is_aborted = notice.code == Code::kCancelled ? 1 : 0;
  send_control(FrameHeader{kFrameMagic, FrameType::kNotice, {}, is_aborted, 0, {}, notice.text.size()}, notice.text);
}

void TcpLink::send_control(FrameHeader header, const std::string& text) {
  control_.append(reinterpret_cast<const char*>(&header), sizeof(header));
  control_ += text;
}

void TcpLink::push() {
  const size_t before = bytes_sent_;
  while (has_output() && bytes_sent_ - before < kBytesAtOnce) {
    const bool is_inside_data = is_sending_ && header_sent_ > 0;
    if (!(control_.empty() || is_inside_data ? push_data() : push_control())) return;
  }
}

bool TcpLink::push_control() {
  const auto frames = std::as_bytes(std::span(control_));
  const ssize_t sent = write_some(frames.subspan(control_sent_), {});
  if (sent <= 0) return false;
  control_sent_ += static_cast<size_t>(sent);
  if (control_sent_ == control_.size()) {
    control_.clear();
    control_sent_ = 0;
  }
  return true;
}

bool TcpLink::push_data() {
  const auto header = std::as_bytes(std::span(&data_header_, 1)).subspan(header_sent_);
  const size_t limit = std::min(data_.size() - bytes_sent_, kBytesAtOnce);
  const ssize_t sent = write_some(header, data_.subspan(bytes_sent_, limit));
  if (sent <= 0) return false;
  const size_t of_header = std::min(static_cast<size_t>(sent), header.size());
  header_sent_ += of_header;
  bytes_sent_ += static_cast<size_t>(sent) - of_header;
  is_sending_ = header_sent_ < sizeof(FrameHeader) || bytes_sent_ < data_.size();
  moved_at_ = Clock::now();
  return true;
}

void TcpLink::close_output() {
  is_output_closed_ = true;
  ::shutdown(socket_.get(), SHUT_WR);
}

// write_some and read_some are where plain bytes meet the network.
ssize_t TcpLink::write_some(std::span<const std::byte> first, std::span<const std::byte> second) {
  iovec parts[2] = {{const_cast<std::byte*>(first.data()), first.size()},
                    {const_cast<std::byte*>(second.data()), second.size()}};
  msghdr message = {};
  message.msg_iov = parts;
  message.msg_iovlen = 2;
  const ssize_t sent = ::sendmsg(socket_.get(), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent >= 0 || errno == EAGAIN || errno == EINTR) return sent;
  is_output_closed_ = true;
  const int error = errno;
  // The peer may have said why before it closed.
  pull();
  if (fault_.empty()) fault_ = error == EPIPE || error == ECONNRESET ? "closed the link" : std::strerror(error);
  return sent;
}

ssize_t TcpLink::read_some(std::span<std::byte> into) {
  if (rest_taken_ < rest_.size()) {
    const size_t taken = rest_.copy(reinterpret_cast<char*>(into.data()), into.size(), rest_taken_);
    rest_taken_ += taken;
    return static_cast<ssize_t>(taken);
  }
  const ssize_t got = ::recv(socket_.get(), into.data(), into.size(), MSG_DONTWAIT);
  if (got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR))) return got;
  close_input(got == 0 || errno == ECONNRESET ? "closed the link" : std::strerror(errno));
  return got;
}

void TcpLink::receive_into(std::span<std::byte> into) {
  payload_ = into;
  have_ = 0;
  moved_at_ = Clock::now();  // it may have waited for its place, which is not the peer's fault
  state_ = into.empty() ? State::kHeader : State::kPayload;
}

void TcpLink::pull() {
  size_t pulled = 0;
  while (wants_input() && pulled < kBytesAtOnce) {
    const ssize_t got = read_some(wanted());
    if (got <= 0) return;
    pulled += static_cast<size_t>(got);
    take(static_cast<size_t>(got));
  }
}

// A frame that nobody asks for yet is left where it is, and whatever is behind it too, until the peer has sent its last byte:
// then a notice may be among the rest.
short TcpLink::events() const {
  short events = has_output() ? POLLOUT : 0;
  if (wants_input()) events |= POLLIN;
  if (!is_input_closed_ && state_ == State::kArrived && !is_rest_read_) events |= POLLRDHUP;
  return events;
}

void TcpLink::react(short revents) {
  if ((revents & POLLOUT) != 0) push();
  if ((revents & ~POLLOUT) == 0) return;
  if (wants_input()) return pull();
  if (state_ != State::kArrived || is_rest_read_) return;
  read_rest();
  find_notice_in_rest();
}

void TcpLink::read_rest() {
  is_rest_read_ = true;
  std::array<char, 16 * 1024> bytes;
  while (rest_.size() < kMaxRestBytes) {
    const ssize_t got = ::recv(socket_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT);
    if (got <= 0) return;
    rest_.append(bytes.data(), static_cast<size_t>(got));
  }
}

void TcpLink::find_notice_in_rest() {
  FrameHeader frame = header_;
  size_t begin = 0;
  while (frame.bytes < rest_.size() - begin) {
    begin += frame.bytes;
    if (rest_.size() - begin < sizeof(frame)) return;
    std::memcpy(&frame, rest_.data() + begin, sizeof(frame));
    begin += sizeof(frame);
    if (frame.magic != kFrameMagic || frame.bytes > rest_.size() - begin) return;
    if (frame.type == FrameType::kNotice) notice_ = notice_of(frame, rest_.data() + begin);
  }
}

// The rest of what is being read.
std::span<std::byte> TcpLink::wanted() {
  if (state_ == State::kHeader) return std::as_writable_bytes(std::span(&header_, 1)).subspan(have_);
  if (state_ == State::kControl) return std::span(control_text_).first(header_.bytes).subspan(have_);
  return payload_.subspan(have_);
}

void TcpLink::take(size_t bytes) {
  have_ += bytes;
  if (state_ == State::kPayload) moved_at_ = Clock::now();
  if (!wanted().empty()) return;
  have_ = 0;
  const State finished = std::exchange(state_, State::kHeader);
  if (finished == State::kHeader) open_frame();
  if (finished == State::kControl) take_control();
}

void TcpLink::open_frame() {
  const bool is_data = header_.type == FrameType::kData;
  const bool is_control = header_.type == FrameType::kWaits || header_.type == FrameType::kNotice;
  if (header_.magic != kFrameMagic || !(is_data || is_control) || (is_control && header_.bytes > kMaxNoticeBytes))
    return close_input("sent bytes that are no frame");
  if (is_data) {
    state_ = State::kArrived;
    waiting_.reset();
    moved_at_ = Clock::now();
  } else if (header_.bytes > 0) {
    state_ = State::kControl;
  } else {
    take_control();
  }
}

void TcpLink::take_control() {
  if (header_.type == FrameType::kWaits) {
    waiting_ = Waiting{header_.value, header_.call};
    return;
  }
  notice_ = notice_of(header_, reinterpret_cast<const char*>(control_text_.data()));
}

void TcpLink::close_input(const std::string& fault) {
  is_input_closed_ = true;
  if (fault_.empty()) fault_ = fault;
}

}  // namespace moesaic
