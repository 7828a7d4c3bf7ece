// Executor: owns the arenas of one rank and runs its program step by step. Everything here happens on the engine thread, except
// progress() and the buffer copies, which the owner allows only while no step runs.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "arena.h"
#include "binder.h"
#include "loader.h"
#include "op_args.h"
#include "program.h"
#include "rows.h"
#include "status.h"
#include "step.h"
#include "storage.h"
#include "thread_pool.h"

namespace moesaic {

struct EngineProgress {
  uint64_t counter = 0;
  int64_t step_id = 0;
  const char* op = "";
};

class Executor {
 public:
  // Binds, allocates the arenas. Errors: as bind_program; resource_exhausted when memory does not suffice.
  static StatusOr<std::unique_ptr<Executor>> open(RankProgram program, const EngineOptions& options);

  const RankProgram& program() const { return program_; }

  // Fills `result`. On invalid_argument nothing was run and no row has changed.
  Status step(const StepPlan& plan, StepResult& result);

  // Both block and stop early when *cancelled becomes true. After a failure they may be called again.
  StatusOr<LoadReport> load(const LoadPlan& plan, const std::atomic<bool>& cancelled, const LoadProgress& progress);
  StatusOr<LoadReport> load_dummy(uint64_t seed, const std::atomic<bool>& cancelled, const LoadProgress& progress);

  EngineProgress progress() const;  // any thread
  // The rows of a workspace buffer, by index in the program.
  const mk_buffer& buffer(int32_t index) const { return storage_.buffers[index]; }

 private:
  Executor(RankProgram program, BoundProgram bound, int32_t num_threads, Arena weights, Arena kv, Arena workspace);
  void fill_step_arrays(const StepPlan& plan);
  void fill_tokens(const StepPlan& plan, int32_t seq);
  void fill_logits_rows(const StepPlan& plan);
  Status run_kernels(bool wants_logits);
  Status run_kernel(size_t index);
  Status collect(const StepPlan& plan, StepResult& result);
  Status collect_sampled(StepResult& result);
  void collect_top_logprobs(StepResult& result);
  void collect_logits(StepResult& result);
  Status begin_load();
  StatusOr<LoadReport> end_load(StatusOr<LoadReport> report);
  std::vector<WeightTarget> weight_targets() const;

  enum class Weights { kAbsent, kDirty, kLoaded };

  const RankProgram program_;
  const BoundProgram bound_;
  const int32_t num_threads_;
  Arena weights_, kv_, workspace_;
  Storage storage_;           // addresses within the arenas
  std::vector<OpArgs> args_;  // point into storage_
  std::vector<std::vector<const void*>> parts_;  // per bound kernel: the args it gets
  Rows rows_;
  ThreadPool pool_;
  Weights weights_state_ = Weights::kAbsent;

  std::atomic<uint64_t> counter_{0};
  std::atomic<int64_t> step_id_{0};
  std::atomic<const char*> op_{""};
};

}  // namespace moesaic
