// Storage: where everything of an engine lies in its three arenas. One function lays the workspace out: without memory, to know
// its size and the shapes of kernel arguments; with memory, to know the addresses. So what describeProgram says is what
// openEngine takes, byte for byte. The workspace begins with the state: what the host writes for the kernels and reads from
// them. On a device with memory of its own the host has a mirror of that part, with everything at the same offset.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "moesaic/kernel.h"
#include "program.h"

namespace moesaic {

// What the engine itself must know about a row to refuse a wrong plan.
struct RowState {
  int32_t in_use;
  int32_t kv_len;            // tokens with KV after the row's last step
  int32_t has_run;           // 0: kv_len is not known yet, the first step may begin behind a cached prefix
  int32_t max_seq_len;       // finish reason length at this many tokens
  int32_t sampled_position;  // where the last sampled token belongs, or -1
  int32_t num_top_logprobs;
  int64_t last_step;         // serial number of the last step it was part of
};

// The entries [begin, end) of a block table that hold block ids.
struct TableRun {
  int32_t begin;
  int32_t end;
};

// Persistent state, by row; tables by KV group and row.
struct RowArrays {
  float* temperature;
  int32_t* top_k;
  float* top_p;
  float* min_p;
  float* presence_penalty;
  float* frequency_penalty;
  float* repetition_penalty;
  uint64_t* seed;
  int32_t* num_prompt_tokens;
  int32_t* min_seq_len;
  int32_t* num_top_logprobs;
  int32_t* has_mask;
  int32_t* stop_counts;
  int32_t* stop_ids;  // (max_sequences, kMaxStopIds)
  int32_t* bias_counts;
  int32_t* bias_ids;     // (max_sequences, kMaxBiases)
  float* bias_values;    // (max_sequences, kMaxBiases)
  uint32_t* masks;       // (max_sequences, mask_words)
  int32_t* last_sampled;
  RowState* states;
  RowState* staged_states;
  TableRun* runs;  // (num groups, max_sequences)
  TableRun* staged_runs;
  std::vector<int32_t*> tables;  // per KV group: (max_sequences, max blocks per row)
};

// What bounds a step's launches, whatever captured graph they become; launch() reads it on the host.
struct LaunchBounds {
  int32_t tokens = 0;
  int32_t own = 0;
  int32_t received = 0;
  int32_t logits_rows = 0;
  int32_t seqs = 0;
  int32_t query_len = 0;
  int32_t seq_len = 0;
};

// What changes from step to step; mk_step and mk_sample_args point here.
struct StepArrays {
  int32_t* num_tokens;
  int32_t* num_seqs;
  int32_t* num_own;
  int32_t* num_received;
  int32_t* num_logits_rows;
  int32_t* num_sampled;
  int32_t* planned_ids;  // as the plan has them, -1: the token sampled last
  int32_t* positions;
  int32_t* token_seqs;
  int32_t* seq_rows;
  int32_t* query_starts;
  int32_t* seq_lens;
  int32_t* logits_tokens;     // token of each logits row
  int32_t* sample_rows;       // persistent row of each sampled logits row
  int32_t* sample_seq_lens;
  // What a step leaves; what is above comes from the plan.
  int32_t* token_ids;
  int32_t* sampled_ids;
  float* logprobs;
  int32_t* top_ids;     // (logits rows, kMaxTopLogprobs)
  float* top_logprobs;  // (logits rows, kMaxTopLogprobs)
};

// What sample_shard gives per sampled row; fields as in mk_sample_shard_args.
struct ShardSampling {
  int32_t* candidate_ids;   // (logits rows, kMaxCandidates)
  float* candidate_logits;  // (logits rows, kMaxCandidates)
  float* candidate_raw;     // (logits rows, kMaxCandidates)
  float* raw_max;
  float* raw_sum;
  float* processed_max;
  float* processed_sum;
  int32_t* best_id;
  float* best_score;
};

// What collectives pack, and where they unpack from. Null for a rank that is alone.
struct ExchangeStaging {
  std::byte* send;
  std::byte* recv;
  int32_t* received_ids;  // (received rows, experts per token) of the last dispatch
  std::byte* own_samples;
  std::byte* all_samples;  // of every rank, one after the other
};

// All pointers are null until laid out over memory. Not movable: kernel arguments point at step and sampling.
struct Storage {
  Storage() = default;
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;

  std::vector<mk_buffer> buffers;
  std::vector<mk_weight> weights;
  float* inv_freq = nullptr;
  int32_t* local_experts = nullptr;  // (num_global_experts), as mk_experts_args wants it
  ShardSampling shard_sampling{};    // null unless the vocabulary is cut
  mk_buffer full_logits{};           // one row of the whole vocabulary, likewise
  ExchangeStaging staging{};
  RowArrays rows{};
  StepArrays step_arrays{};
  LaunchBounds bounds{};
  mk_step step{};
  mk_row_sampling sampling{};
  std::vector<void*> scratch;  // per bound kernel
  void* kernel_workspace = nullptr;
  std::byte* kv = nullptr;
  int32_t* history = nullptr;  // (num_blocks * block_size) token ids, by slot of the full group
};

// Words of a mask over the vocabulary, a bit for each id.
inline int32_t mask_words(const RankProgram& program) { return (program.dims.global_vocab_size + 31) / 32; }
// Bytes of one KV block: K and V of every layer that a block serves, and the ids of its tokens. -1 when it overflows.
int64_t kv_block_bytes(const RankProgram& program);
// K and V of a group's layer.
mk_kv kv_of_layer(const RankProgram& program, const Storage& storage, int32_t group, int32_t group_layer);

struct KernelMemory {
  int64_t workspace_bytes = 0;             // the most any kernel wants; shared
  std::vector<int64_t> scratch_bytes = {};  // per bound kernel
};

// Lays out the state alone, as lay_out_workspace does. Returns its bytes, or -1 when they overflow.
int64_t lay_out_state(const RankProgram& program, std::byte* base, Storage& storage);
// Lays out state, buffers and kernel memory from `base` on (null: sizes only). Returns the bytes, or -1 when they overflow.
int64_t lay_out_workspace(const RankProgram& program, const KernelMemory& kernels, std::byte* base, Storage& storage);
// The part of it that is Storage::staging.
int64_t staging_bytes(const RankProgram& program);
// Points the weights at their places: `offsets` from `base`, or null without memory.
void lay_out_weights(const RankProgram& program, const std::vector<int64_t>& offsets, std::byte* base, Storage& storage);
void lay_out_kv(const RankProgram& program, std::byte* base, Storage& storage);

}  // namespace moesaic
