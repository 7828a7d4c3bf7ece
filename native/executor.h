// Executor: owns the arenas of one rank and runs its program step by step. Everything here happens on the engine thread, except
// progress(), abort(), collective_stats() and the buffer copies, which the owner allows only while no step runs.
//
// In a world of several ranks, rank 0 is the lead: it broadcasts each plan before it runs it, and the others follow.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "arena.h"
#include "binder.h"
#include "connect.h"
#include "exchange.h"
#include "loader.h"
#include "op_args.h"
#include "plan_codec.h"
#include "program.h"
#include "rows.h"
#include "sample_merge.h"
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

  // Joins the ranks of an epoch; before the first step. Errors: as connect_ranks and meet_ranks; failed_precondition when the
  // engine has met ranks before, whatever came of it.
  Status connect(const ConnectOptions& options, std::shared_ptr<DataPlaneListener> listener);

  // Fills `result`. On invalid_argument nothing was run and no row has changed; any other failure ends the epoch on all ranks.
  Status step(const StepPlan& plan, StepResult& result);
  // Not on the lead: runs its plans until it ends the epoch.
  Status follow();
  // On the lead: no more plans come.
  Status end_epoch();

  // Any thread, any state: running and later collectives fail at once, here and soon on the peers.
  void abort(const std::string& reason);
  std::vector<CollectiveStats> collective_stats() const;  // any thread

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
  Status check_step(const StepPlan& plan) const;
  Status check_connected() const;
  Status aborted() const;
  Status run_step(const StepPlan& plan, StepResult& result);
  Status run_ops(Placement placement, bool wants_logits);
  Status run_collective(Placement placement, const BoundKernel& bound);
  Status run_kernel(Placement placement, size_t index);
  Status merge_samples(Placement placement, bool has_candidates);
  Status sample_whole_row(const mk_buffer& logits, int32_t index);
  Status send_message();
  StatusOr<LeadHeader> receive_message();
  Status give_up(Status status);
  void reserve_result(StepResult& result) const;
  Status collect(const StepPlan& plan, StepResult& result);
  int32_t logits_buffer(Placement placement) const { return find_logits(program_, placement); }
  Status collect_sampled(StepResult& result);
  void collect_top_logprobs(StepResult& result);
  Status collect_logits(Placement placement, StepResult& result);
  Status begin_load();
  StatusOr<LoadReport> end_load(StatusOr<LoadReport> report);
  std::vector<WeightTarget> weight_targets() const;

  enum class Weights { kAbsent, kDirty, kLoaded };

  const RankProgram program_;
  const BoundProgram bound_;
  const int32_t num_threads_;
  Arena weights_, kv_, workspace_;
  Storage storage_;           // addresses within the arenas
  // By placement; args point into storage_, parts are the args that each bound kernel gets.
  std::array<std::vector<OpArgs>, kNumPlacements> args_;
  std::array<std::vector<std::vector<const void*>>, kNumPlacements> parts_;
  Rows rows_;
  ThreadPool pool_;
  Weights weights_state_ = Weights::kAbsent;

  std::shared_ptr<DataPlaneListener> listener_;  // outlives the communicator
  std::unique_ptr<Communicator> communicator_;
  Exchange exchange_;
  SampleMerge samples_;
  std::vector<std::byte> message_;  // between lead and followers; grows with the largest plan, up to max_message_bytes
  // What abort() and collective_stats() see of the communicator and the exchange.
  mutable std::mutex connection_mutex_;
  bool has_communicator_ = false;
  bool is_connected_ = false;
  bool has_ended_ = false;  // in order: nothing is left to abort
  std::string abort_reason_;
  std::atomic<bool> is_aborted_{false};  // there is a reason: connecting stops

  std::atomic<uint64_t> counter_{0};
  std::atomic<int64_t> step_id_{0};
  std::atomic<const char*> op_{""};
};

}  // namespace moesaic
