// Ending: why the epoch is over for this rank. The first reason stays. Any thread.
#pragma once

#include <atomic>
#include <mutex>
#include <string>

#include "../status.h"

namespace moesaic {

// What peers are told.
struct Notice {
  Code code = Code::kUnavailable;  // kUnavailable or kCancelled
  std::string text;                // names the rank that it comes from, or the one it was heard from first
};
inline constexpr size_t kMaxNoticeBytes = 1024;

class Ending {
 public:
  explicit Ending(int32_t rank) : rank_(rank) {}

  // This rank was aborted, or failed by itself. False when the epoch was over already.
  bool set_own(const Status& reason);
  // A peer said so: its words are passed on as they are, so that all ranks name the same cause.
  bool set_heard(const Notice& notice);

  bool is_set() const { return is_set_.load(std::memory_order_acquire); }
  Status status() const;
  Notice notice() const;

 private:
  bool set(Status status, Notice notice);

  const int32_t rank_;
  std::atomic<bool> is_set_{false};
  mutable std::mutex mutex_;
  Status status_;
  Notice notice_;
};

}  // namespace moesaic
