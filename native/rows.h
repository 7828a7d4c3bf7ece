// Rows: the persistent state of sequences on this rank. A step plan carries only what changes; everything it refers to is
// checked here against what the rows hold, before any of it is changed. A refused plan leaves no trace.
#pragma once

#include <array>
#include <cstdint>

#include "program.h"
#include "status.h"
#include "step.h"
#include "storage.h"

namespace moesaic {

// Lives on the engine thread. Borrows the program and the storage, which is laid out before the first step.
class Rows {
 public:
  Rows(const RankProgram& program, Storage& storage);

  // Applies finished rows, new rows and block deltas, and checks the step's sequences against the outcome.
  // Error: invalid_argument with the place in the plan; then nothing has changed.
  Status begin_step(const StepPlan& plan);

  // Records a sampled token, which belongs at `position`, and says whether it ends the sequence (a kFinish* value).
  int32_t record_sampled(int32_t row, int32_t position, int32_t token_id);
  int32_t num_top_logprobs(int32_t row) const { return arrays_.states[row].num_top_logprobs; }
  // What the last begin_step wrote that kernels read: pieces of the state, for a device that has a copy of it.
  struct Written {
    const void* data;
    int64_t bytes;
  };
  const std::vector<Written>& written() const { return written_; }

 private:
  void stage();
  Status finish_rows(const StepPlan& plan);
  Status begin_rows(const StepPlan& plan);
  Status extend_tables(const StepPlan& plan);
  Status extend_table(const StepPlan& plan, size_t group, size_t* at);
  Status check_masks(const StepPlan& plan) const;
  Status check_mask(const StepPlan& plan, size_t* at) const;
  Status check_sequences(const StepPlan& plan);
  Status check_sequence(const StepPlan& plan, int32_t seq);
  Status check_tokens(const StepPlan& plan, int32_t seq) const;
  Status check_blocks(int32_t row, int32_t first_position, int32_t seq_len, int32_t seq) const;
  void commit(const StepPlan& plan);
  void write_sampling(const NewRow& row);
  void write_masks(const std::vector<int32_t>& records);
  void write_tables(const std::vector<int32_t>& deltas, int32_t* table);
  TableRun& staged_run(size_t group, int32_t row) const { return arrays_.staged_runs[group * num_rows_ + row]; }

  const RankProgram& program_;
  const int32_t num_rows_;
  const int32_t max_blocks_;
  const int32_t mask_words_;
  const std::array<bool, kNumPlacements> can_sample_;
  RowArrays& arrays_;  // the storage's
  std::vector<Written> written_;
  int64_t step_serial_ = 0;
};

}  // namespace moesaic
