// WorkLog: how long a rank's steps took and where their tokens went, for who watches the cluster. The engine thread writes, any
// thread reads; nothing is allocated after the constructor but what a reader takes away.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <vector>

#include "moesaic/kernel.h"
#include "program.h"

namespace moesaic {

struct StepTime {
  int64_t step_id = 0;
  std::chrono::steady_clock::time_point end;
  double engine_us = 0;
  double collective_us = 0;  // of these, inside collectives: waiting for the peers included
};

class WorkLog {
 public:
  static constexpr size_t kMaxSteps = 512;

  // counts_experts: whether the host can read what kernels write.
  WorkLog(const RankProgram& program, bool counts_experts);

  void begin_step();
  // Returns the step's microseconds.
  double end_step(int64_t step_id);

  // Lives as long as a collective.
  class Collective {
   public:
    explicit Collective(WorkLog& log) : log_(log) {}
    ~Collective() { log_.in_collectives_ += std::chrono::steady_clock::now() - begin_; }
    Collective(const Collective&) = delete;
    Collective& operator=(const Collective&) = delete;

   private:
    WorkLog& log_;
    const std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
  };

  // After an experts op of the placement, the how many-th op of its list it is: its pairs of token and expert that are here.
  void count_experts(Placement placement, int32_t op, const mk_experts_args& args);

  // Steps with larger ids that ended, oldest first; of more than kMaxSteps the newest.
  std::vector<StepTime> steps_after(int64_t step_id) const;
  // (experts ops of a list, experts of the model): pairs that were computed here; empty where they are not counted.
  std::vector<uint64_t> expert_tokens() const;

 private:
  using Duration = std::chrono::steady_clock::duration;

  const int32_t num_experts_;
  // By placement and op of its list: the how many-th experts op it is.
  std::array<std::vector<int32_t>, kNumPlacements> layers_;
  std::vector<std::atomic<uint64_t>> expert_tokens_;
  std::chrono::steady_clock::time_point begin_;
  Duration in_collectives_{};

  mutable std::mutex mutex_;
  std::array<StepTime, kMaxSteps> steps_;  // a ring
  size_t num_steps_ = 0;                   // ever
};

}  // namespace moesaic
