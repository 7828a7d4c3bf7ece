// ThreadPool: the CPU's stream. Threads for data-parallel loops of the engine thread, which works along as thread 0.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "moesaic/kernel.h"

namespace moesaic {

// Owns num_threads - 1 threads; joins them in the destructor. One caller at a time. After a loop the threads look for more
// work for a few microseconds and then sleep, so that a busy machine (more ranks than cores) is not spun to death.
class ThreadPool {
 public:
  // `ticks`, when given, is incremented for every part of a loop that is done: an op may take long, but a counter that does
  // not move is a stall.
  explicit ThreadPool(int32_t num_threads, std::atomic<uint64_t>* ticks = nullptr);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  // What kernels get; valid as long as the pool.
  const mk_cpu_stream* stream() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace moesaic
