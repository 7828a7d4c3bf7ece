// CudaMarks: when a stream came past points of what was queued on it. The stream is held back until the work between marks is
// queued, so that the times between them hold none of the host's gaps.
#pragma once

#include <cstdint>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "arena.h"
#include "cuda_driver.h"

namespace moesaic {

class CudaMarks {
 public:
  // `word` is at least 4 bytes of pinned host memory, which the stream waits for.
  CudaMarks(const CudaDriver& driver, CuStream* stream, Arena word)
      : driver_(driver), stream_(stream), word_(std::move(word)) {}
  // What is queued must be done.
  ~CudaMarks();
  CudaMarks(const CudaMarks&) = delete;
  CudaMarks& operator=(const CudaMarks&) = delete;

  // After all that is queued so far. May wait for it: a stream's queue has an end, so only some marks are held at a time.
  Status add();
  // Lets the stream go on; before anyone waits for it. It goes on by itself when that takes long.
  void release();
  // Microseconds from each mark to the next, of a stream that is done; forgets the marks.
  StatusOr<std::vector<double>> read();

 private:
  // Two events where the stream was held in between, else the same.
  struct Mark {
    CuEvent* end;
    CuEvent* begin;
  };

  Status hold();
  void go_on();
  StatusOr<CuEvent*> record();

  const CudaDriver& driver_;
  CuStream* stream_;
  Arena word_;
  std::vector<CuEvent*> events_;  // kept for the next time
  size_t num_used_ = 0;
  std::vector<Mark> marks_;
  std::jthread watch_;  // while the stream is held
};

}  // namespace moesaic
