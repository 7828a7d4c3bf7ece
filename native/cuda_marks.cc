#include "cuda_marks.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <stop_token>

namespace moesaic {
namespace {

// A launch beyond about a thousand waits for the stream, which waits for us; an op is a few launches.
constexpr size_t kMarksHeld = 32;
constexpr uint32_t kGo = 1;
// The first launch of a kernel may wait for the device. The times have a gap then, and nobody waits for ever.
constexpr std::chrono::milliseconds kLongestHold{500};

}  // namespace

CudaMarks::~CudaMarks() {
  for (CuEvent* event : events_) driver_.event_destroy(event);
}

Status CudaMarks::add() {
  StatusOr<CuEvent*> end = record();
  if (!end.ok()) return end.status();
  if (marks_.size() % kMarksHeld != 0) {
    marks_.push_back({end.value(), end.value()});
    return {};
  }
  release();
  if (Status status = driver_.check(driver_.stream_synchronize(stream_), "waiting for marked work"); !status.ok()) return status;
  if (Status status = hold(); !status.ok()) return status;
  StatusOr<CuEvent*> begin = record();
  if (!begin.ok()) return begin.status();
  marks_.push_back({end.value(), begin.value()});
  return {};
}

Status CudaMarks::hold() {
  std::atomic_ref(*reinterpret_cast<uint32_t*>(word_.data())).store(0, std::memory_order_seq_cst);
  watch_ = std::jthread([this](const std::stop_token& stop) {
    std::mutex mutex;
    std::unique_lock lock(mutex);
    std::condition_variable_any().wait_for(lock, stop, kLongestHold, [] { return false; });
    go_on();
  });
  const auto address = reinterpret_cast<CuAddress>(word_.data());
  return driver_.check(driver_.stream_wait_value(stream_, address, kGo, kCuWaitEqual), "holding the stream back");
}

void CudaMarks::release() {
  watch_ = std::jthread();  // stops it and waits: it lets the stream go on
  go_on();
}

void CudaMarks::go_on() {
  std::atomic_ref(*reinterpret_cast<uint32_t*>(word_.data())).store(kGo, std::memory_order_seq_cst);
}

StatusOr<CuEvent*> CudaMarks::record() {
  if (num_used_ == events_.size()) {
    CuEvent* event = nullptr;
    if (Status status = driver_.check(driver_.event_create(&event, 0), "making an event"); !status.ok()) return status;
    events_.push_back(event);
  }
  CuEvent* event = events_[num_used_++];
  if (Status status = driver_.check(driver_.event_record(event, stream_), "marking a point of the work"); !status.ok())
    return status;
  return event;
}

StatusOr<std::vector<double>> CudaMarks::read() {
  const std::vector<Mark> marks = std::move(marks_);
  marks_.clear();
  num_used_ = 0;
  std::vector<double> times;
  for (size_t i = 0; i + 1 < marks.size(); ++i) {
    float ms = 0;
    Status status = driver_.check(driver_.event_elapsed_time(&ms, marks[i].begin, marks[i + 1].end), "reading an event's time");
    if (!status.ok()) return status;
    times.push_back(1e3 * static_cast<double>(ms));
  }
  return times;
}

}  // namespace moesaic
