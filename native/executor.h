// Executor: owns the arenas of one rank and runs its program step by step. Everything here happens on the engine thread, except
// progress(), abort(), collective_stats() and the buffer copies, which the owner allows only while no step runs.
//
// In a world of several ranks, rank 0 is the lead: it broadcasts each plan before it runs it, and the others follow.
//
// On a device with memory of its own (ComputeDevice::shares_memory) the host keeps a mirror of the state: a step copies what
// the plan changed to the device, queues the ops, and copies back what they chose.
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
#include "compute_device.h"
#include "connect.h"
#include "exchange.h"
#include "grants.h"
#include "loader.h"
#include "op_args.h"
#include "plan_codec.h"
#include "program.h"
#include "rows.h"
#include "sample_merge.h"
#include "status.h"
#include "step.h"
#include "storage.h"
#include "work_log.h"

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
  // As step, of a rank that is alone; `kernel_us` gets the microseconds of each kernel of the plan's op list, 0 where the step had
  // no use for one. No captured graph is used.
  Status profile_step(const StepPlan& plan, StepResult& result, std::vector<double>& kernel_us);
  // Not on the lead: runs its plans until it ends the epoch.
  Status follow();
  // On the lead: no more plans come.
  Status end_epoch();

  // What a plan's run is to go on with.
  Grants& grants() { return grants_; }

  // Any thread, any state: running and later collectives fail at once, here and soon on the peers.
  void abort(const std::string& reason);
  std::vector<CollectiveStats> collective_stats() const;  // any thread

  // Both block and stop early when *cancelled becomes true. After a failure they may be called again.
  StatusOr<LoadReport> load(const LoadPlan& plan, const std::atomic<bool>& cancelled, const LoadProgress& progress);
  StatusOr<LoadReport> load_dummy(uint64_t seed, const std::atomic<bool>& cancelled, const LoadProgress& progress);

  EngineProgress progress() const;  // any thread
  const WorkLog& work() const { return work_; }
  // A workspace buffer, by index in the program; its data are the device's. Copying blocks.
  const mk_buffer& buffer(int32_t index) const { return storage_.buffers[index]; }
  Status write_buffer(int32_t index, const void* values, int64_t bytes);
  Status read_buffer(int32_t index, void* values, int64_t bytes);
  // Called once on the thread that steps.
  Status enter_thread() { return device_->enter_thread(); }

 private:
  struct Arenas {
    Arena weights, kv, workspace;
    Arena mirror;  // of the workspace's state; empty where the device shares the host's memory
  };

  static StatusOr<Arenas> allocate(ComputeDevice& device, const RankProgram& program, const BoundProgram& bound);
  Executor(RankProgram program, BoundProgram bound, int32_t num_threads, std::unique_ptr<std::atomic<uint64_t>> ticks,
           std::unique_ptr<ComputeDevice> device, Arenas arenas);
  Status lay_out();
  Status send_state();
  Status fetch_sampled();
  void fill_step_arrays(const StepPlan& plan);
  void fill_logits_rows(const StepPlan& plan);
  Status check_step(const StepPlan& plan) const;
  Status check_connected() const;
  Status aborted() const;
  Status run_step(const StepPlan& plan, StepResult& result);
  void set_bounds(const StepPlan& plan);
  bool choose_graph(const StepPlan& plan, GraphKey& key);
  Status run_ops(Placement placement, bool wants_logits);
  Status mark() { return is_profiled_ ? device_->mark() : Status(); }
  Status run_collective(Placement placement, const BoundKernel& bound);
  Status run_kernel(Placement placement, size_t index);
  Status launch(const BoundKernel& bound, const void* const* parts);
  Status merge_samples(Placement placement, bool has_candidates);
  Status gather_logits(const float* own);
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
  const std::unique_ptr<std::atomic<uint64_t>> counter_;  // the device ticks it too, within ops
  const std::unique_ptr<ComputeDevice> device_;  // outlives the arenas
  Arenas arenas_;
  Storage storage_;  // addresses within the arenas, as kernels get them
  Storage mirror_;   // the state in arenas_.mirror
  Storage& host_;    // what host code follows: storage_ or mirror_
  // By placement; args point into storage_, parts are the args that each bound kernel gets.
  std::array<std::vector<OpArgs>, kNumPlacements> args_;
  std::array<std::vector<std::vector<const void*>>, kNumPlacements> parts_;
  OpArgs begin_step_args_;
  Rows rows_;
  Grants grants_;
  Weights weights_state_ = Weights::kAbsent;
  bool is_profiled_ = false;  // this step's kernels are timed one by one

  std::shared_ptr<DataPlaneListener> listener_;  // outlives the communicator
  std::unique_ptr<Communicator> communicator_;
  Exchange exchange_;
  SampleMerge samples_;
  WorkLog work_;
  std::vector<std::byte> message_;  // between lead and followers; grows with the largest plan, up to max_message_bytes
  // What abort() and collective_stats() see of the communicator and the exchange.
  mutable std::mutex connection_mutex_;
  bool has_communicator_ = false;
  bool is_connected_ = false;
  bool has_ended_ = false;  // in order: nothing is left to abort
  std::string abort_reason_;
  std::atomic<bool> is_aborted_{false};  // there is a reason: connecting stops

  std::atomic<int64_t> step_id_{0};
  std::atomic<const char*> op_{""};
};

}  // namespace moesaic
