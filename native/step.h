// StepPlan and StepResult: the two messages of a step, as proto/step.ts declares them. Both are kept and filled again, so that
// a step in the steady state allocates nothing.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "program.h"

namespace moesaic {

constexpr int32_t kLastSampled = -1;
constexpr int32_t kOutputNone = 0;
constexpr int32_t kOutputSample = 1;
constexpr int32_t kOutputLogits = 2;
constexpr int32_t kFinishNone = 0;
constexpr int32_t kFinishStop = 1;
constexpr int32_t kFinishLength = 2;
constexpr int32_t kMaxGrantedSteps = 64;
constexpr int32_t kMaxTopLogprobs = 20;
// Of each rank and row, where the vocabulary is cut: enough for most of top_k and top_p.
constexpr int32_t kMaxCandidates = 256;
constexpr int32_t kMaxStopIds = 64;
constexpr int32_t kMaxBiases = 1024;

// Forms of a mask's words: the allowed ids, or 32 bits each.
constexpr int32_t kMaskIds = 0;
constexpr int32_t kMaskBits = 1;
constexpr int32_t kMaskHeader = 3;  // row, form, count

struct LogitBias {
  int32_t token_id = 0;
  float bias = 0;
};

struct RowSampling {
  float temperature = 0;
  int32_t top_k = 0;
  float top_p = 1;
  float min_p = 0;
  float presence_penalty = 0;
  float frequency_penalty = 0;
  float repetition_penalty = 1;
  uint64_t seed = 0;
  int32_t max_seq_len = 0;
  int32_t min_seq_len = 0;
  std::vector<int32_t> stop_ids;
  std::vector<LogitBias> biases;
  int32_t num_top_logprobs = -1;
};

// The sequence's id is the scheduler's affair: the engine knows rows.
struct NewRow {
  int32_t row = 0;
  int32_t num_prompt_tokens = 0;
  RowSampling sampling;
};

struct StepPlan {
  int64_t epoch = 0;
  int64_t step_id = 0;
  int32_t num_granted_steps = 0;
  int64_t follows_step_id = 0;
  Placement placement = Placement::kReplicated;
  std::vector<int32_t> token_ids;
  std::vector<int32_t> positions;
  std::vector<int32_t> seq_rows;
  std::vector<int32_t> query_starts;
  std::vector<int32_t> seq_lens;
  std::vector<int32_t> outputs;
  std::vector<NewRow> new_rows;
  std::vector<std::vector<int32_t>> block_deltas;  // per KV group
  std::vector<int32_t> finished_rows;
  std::vector<int32_t> masks;  // records of row, form, count, words

  int32_t num_tokens() const { return static_cast<int32_t>(token_ids.size()); }
  int32_t num_seqs() const { return static_cast<int32_t>(seq_rows.size()); }
};

struct StepResult {
  int64_t epoch = 0;
  int64_t step_id = 0;
  std::vector<int32_t> seq_rows;
  std::vector<int32_t> token_ids;
  std::vector<int32_t> finishes;
  std::vector<float> logprobs;
  int32_t num_top_logprobs = 0;
  std::vector<int32_t> top_token_ids;
  std::vector<float> top_logprobs;
  std::vector<float> logits;
  double engine_us = 0;
  bool runs_on = false;
};

}  // namespace moesaic
