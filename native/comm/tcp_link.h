// TcpLink: the connection to one peer, as a stream of frames: a header, then its bytes. Data frames belong to a call and wait
// at the door until the call asks for them; control frames behind them wait as well, unless the peer has sent its last byte.
// Nothing here waits.
#pragma once

#include <array>
#include <optional>
#include <span>

#include "blame.h"
#include "communicator_base.h"
#include "fd.h"

namespace moesaic {

inline constexpr uint32_t kFrameMagic = 0x4d6f6546;

enum class FrameType : uint8_t { kData = 1, kWaits = 2, kNotice = 3 };

// As it travels. Both ends are little-endian machines; a peer that is not sends a magic that is not ours.
struct FrameHeader {
  uint32_t magic = kFrameMagic;
  FrameType type = FrameType::kData;
  uint8_t unused[3] = {};
  int32_t value = 0;  // kWaits: the rank waited for; kNotice: 1 when it was aborted
  uint32_t unused_too = 0;
  CallKey call;
  uint64_t bytes = 0;  // that follow
};

class TcpLink {
 public:
  TcpLink(int32_t own_rank, int32_t rank, const std::string& address, Fd socket);
  ~TcpLink();

  int32_t rank() const { return rank_; }
  int fd() const { return socket_.get(); }
  // "rank 2 (10.0.0.3:4000, linked to rank 0)"
  const std::string& name() const { return name_; }

  // `data` must stay until is_sending() is false. One at a time.
  void send_data(const CallKey& call, std::span<const std::byte> data);
  // Leaves before data of which nothing has left yet, otherwise after it.
  void send_waits(const Waiting& waiting);
  void send_notice(const Notice& notice);
  bool is_sending() const { return is_sending_; }
  bool has_output() const { return !is_output_closed_ && (is_sending_ || !control_.empty()); }
  void push();
  // Nothing will be sent any more; what was is still delivered.
  void close_output();

  // The header of the next data frame, null while none has arrived or its bytes are being received.
  const FrameHeader* arrived() const { return state_ == State::kArrived ? &header_ : nullptr; }
  // Takes the bytes of the arrived frame; `into` has their number.
  void receive_into(std::span<std::byte> into);
  bool is_receiving() const { return state_ == State::kPayload; }
  void pull();

  // What to poll for, and what to do then.
  short events() const;
  void react(short revents);

  const std::optional<Notice>& notice() const { return notice_; }
  const std::optional<Waiting>& waiting() const { return waiting_; }
  // What became of the link, empty while it holds: "closed the link", or the system's words.
  const std::string& fault() const { return fault_; }

  // Of the data frames that travel now or travelled last.
  size_t bytes_sent() const { return bytes_sent_; }
  size_t bytes_received() const { return state_ == State::kPayload ? have_ : 0; }
  // When data last moved in either direction.
  Clock::time_point moved_at() const { return moved_at_; }

 private:
  enum class State { kHeader, kControl, kArrived, kPayload };

  void send_control(FrameHeader header, const std::string& text);
  bool push_control();
  bool push_data();
  ssize_t write_some(std::span<const std::byte> first, std::span<const std::byte> second);
  ssize_t read_some(std::span<std::byte> into);
  bool wants_input() const { return !is_input_closed_ && state_ != State::kArrived; }
  void read_rest();
  void find_notice_in_rest();
  std::span<std::byte> wanted();
  void take(size_t bytes);
  void open_frame();
  void take_control();
  void close_input(const std::string& fault);

  const int32_t rank_;
  const std::string name_;
  const Fd socket_;
  std::string fault_;
  Clock::time_point moved_at_;

  bool is_output_closed_ = false;
  bool is_sending_ = false;
  std::string control_;  // frames yet to be sent
  size_t control_sent_ = 0;
  FrameHeader data_header_;
  std::span<const std::byte> data_;
  size_t header_sent_ = 0;
  size_t bytes_sent_ = 0;

  bool is_input_closed_ = false;
  State state_ = State::kHeader;
  size_t have_ = 0;  // bytes of what `state_` waits for
  FrameHeader header_;
  std::array<std::byte, kMaxNoticeBytes> control_text_;
  std::span<std::byte> payload_;
  bool is_rest_read_ = false;
  std::string rest_;  // read ahead, all that will ever come
  size_t rest_taken_ = 0;
  std::optional<Notice> notice_;
  std::optional<Waiting> waiting_;
};

}  // namespace moesaic
