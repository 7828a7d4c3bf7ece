#include "storage.h"

#include <algorithm>
#include <initializer_list>

#include "sample_merge.h"
#include "step.h"

namespace moesaic {
namespace {

constexpr int64_t kAlignment = 64;

// Hands out consecutive pieces of an arena, or null pointers and a total when there is no memory yet.
class Carver {
 public:
  explicit Carver(std::byte* base) : base_(base) {}

  template <typename T>
  T* take(int64_t count, int64_t count_2 = 1, int64_t count_3 = 1) {
    int64_t bytes = sizeof(T);
    for (const int64_t factor : {count, count_2, count_3}) overflowed_ |= __builtin_mul_overflow(bytes, factor, &bytes);
    return reinterpret_cast<T*>(take_bytes(bytes));
  }

  std::byte* take_bytes(int64_t bytes) {
    int64_t end = 0;
    overflowed_ |= bytes < 0 || __builtin_add_overflow(used_, bytes, &end) || end > INT64_MAX - kAlignment;
    if (overflowed_) return nullptr;
    const int64_t begin = used_;
    used_ = (end + kAlignment - 1) / kAlignment * kAlignment;
    return base_ == nullptr ? nullptr : base_ + begin;
  }

  int64_t total() const { return overflowed_ ? -1 : used_; }

 private:
  std::byte* base_;
  int64_t used_ = 0;
  bool overflowed_ = false;
};

int64_t element_bytes(mk_dtype dtype) { return dtype == MK_U8 ? 1 : 4; }

const int32_t* row_count(const StepArrays& step, RowsKind kind) {
  switch (kind) {
    case RowsKind::kTokens:
      return step.num_tokens;
    case RowsKind::kOwn:
      return step.num_own;
    case RowsKind::kReceived:
      return step.num_received;
    default:
      return step.num_logits_rows;
  }
}

const int32_t* row_bound(const LaunchBounds& bounds, RowsKind kind) {
  switch (kind) {
    case RowsKind::kTokens:
      return &bounds.tokens;
    case RowsKind::kOwn:
      return &bounds.own;
    case RowsKind::kReceived:
      return &bounds.received;
    default:
      return &bounds.logits_rows;
  }
}

void take_buffers(const RankProgram& program, Carver& carver, Storage& storage) {
  storage.buffers.clear();
  for (const BufferSpec& spec : program.buffers) {
    const int32_t rows = max_rows(program, spec.rows);
    void* data = carver.take<std::byte>(rows, spec.cols, element_bytes(spec.dtype));
    storage.buffers.push_back(
        {data, row_count(storage.step_arrays, spec.rows), rows, spec.cols, row_bound(storage.bounds, spec.rows)});
  }
}

void take_shard_sampling(const RankProgram& program, Carver& carver, Storage& storage) {
  const int64_t rows = max_logits_rows(program.limits);
  ShardSampling& shard = storage.shard_sampling;
  shard.candidate_ids = carver.take<int32_t>(rows, kMaxCandidates);
  shard.candidate_logits = carver.take<float>(rows, kMaxCandidates);
  shard.candidate_raw = carver.take<float>(rows, kMaxCandidates);
  shard.raw_max = carver.take<float>(rows);
  shard.raw_sum = carver.take<float>(rows);
  shard.processed_max = carver.take<float>(rows);
  shard.processed_sum = carver.take<float>(rows);
  shard.best_id = carver.take<int32_t>(rows);
  shard.best_score = carver.take<float>(rows);
  const int32_t* one = carver.take<int32_t>(1);
  const int32_t vocab = program.dims.global_vocab_size;
  static const int32_t kOne = 1;
  storage.full_logits = {carver.take<float>(vocab), one, 1, vocab, &kOne};
}

// INT64_MAX when it overflows: no arena takes so much.
int64_t product(std::initializer_list<int64_t> factors) {
  int64_t result = 1;
  for (const int64_t factor : factors)
    if (__builtin_mul_overflow(result, factor, &result)) return INT64_MAX;
  return result;
}

// The most bytes that one collective of a program packs (send) and gets (recv).
struct StagingSizes {
  int64_t send = 0;
  int64_t recv = 0;
  int64_t received_ids = 0;
};

// Each token wants each of its experts from every rank that holds a part of it.
struct StagingOf {
  const RankProgram& program;
  const int64_t slots = program.dims.experts_per_token;
  const int64_t slot_bytes = int64_t{program.dims.hidden_size} * int64_t{sizeof(float)};
  const int64_t ranks_per_expert = most_ranks_per_expert(program.dims);

  int64_t rows(int32_t buffer) const { return max_rows(program, program.buffers[buffer].rows); }

  StagingSizes operator()(const ExchangeSlotsOp& op) const {
    return {0, product({rows(op.y), slots, ranks_per_expert, slot_bytes}), 0};
  }
  StagingSizes operator()(const DispatchOp& op) const {
    const int64_t row_bytes = (slots + program.buffers[op.x].cols) * int64_t{sizeof(float)};
    const auto ranks = static_cast<int64_t>(program.groups[op.group].size());
    const int64_t wanted = std::min(ranks, slots * ranks_per_expert);
    return {product({rows(op.x), wanted, row_bytes}), product({rows(op.out), row_bytes}), product({rows(op.out), slots})};
  }
  StagingSizes operator()(const CollectOp& op) const {
    return {product({rows(op.x), slots, slot_bytes}), product({rows(op.out), slots, ranks_per_expert, slot_bytes}), 0};
  }
  StagingSizes operator()(const GatherLogitsRowsOp& op) const {
    return {0, product({rows(op.out), program.buffers[op.out].cols, int64_t{sizeof(float)}}), 0};
  }
  template <typename Other>
  StagingSizes operator()(const Other&) const {
    return {};
  }

  static int64_t most_ranks_per_expert(const ProgramDims& dims) {
    size_t most = 0;
    for (const std::vector<int32_t>& ranks : dims.expert_ranks) most = std::max(most, ranks.size());
    return static_cast<int64_t>(most);
  }
};

void take_staging(const RankProgram& program, Carver& carver, ExchangeStaging& staging) {
  StagingSizes most;
  for (const Placement placement : {Placement::kReplicated, Placement::kSharded})
    for (const Op& op : program.ops_of(placement)) {
      const StagingSizes sizes = std::visit(StagingOf{program}, op);
      most.send = std::max(most.send, sizes.send);
      most.recv = std::max(most.recv, sizes.recv);
      most.received_ids = std::max(most.received_ids, sizes.received_ids);
    }
  staging.send = carver.take<std::byte>(most.send);
  staging.recv = carver.take<std::byte>(most.recv);
  staging.received_ids = carver.take<int32_t>(most.received_ids);
  const int64_t samples = program.is_vocab_sharded() ? max_sample_bytes(program) : 0;
  staging.own_samples = carver.take<std::byte>(samples);
  staging.all_samples = carver.take<std::byte>(samples, program.world_size);
}

void take_step_arrays(const ProgramLimits& limits, Carver& carver, StepArrays& step) {
  const int64_t tokens = limits.max_batched_tokens;
  const int64_t seqs = max_step_seqs(limits);
  const int64_t logits_rows = max_logits_rows(limits);
  step.num_tokens = carver.take<int32_t>(1);
  step.num_seqs = carver.take<int32_t>(1);
  step.num_own = carver.take<int32_t>(1);
  step.num_received = carver.take<int32_t>(1);
  step.num_logits_rows = carver.take<int32_t>(1);
  step.num_sampled = carver.take<int32_t>(1);
  step.planned_ids = carver.take<int32_t>(tokens);
  step.positions = carver.take<int32_t>(tokens);
  step.token_seqs = carver.take<int32_t>(tokens);
  step.seq_rows = carver.take<int32_t>(seqs);
  step.query_starts = carver.take<int32_t>(seqs + 1);
  step.seq_lens = carver.take<int32_t>(seqs);
  step.logits_tokens = carver.take<int32_t>(logits_rows);
  step.sample_rows = carver.take<int32_t>(logits_rows);
  step.sample_seq_lens = carver.take<int32_t>(logits_rows);
  step.token_ids = carver.take<int32_t>(tokens);
  step.sampled_ids = carver.take<int32_t>(logits_rows);
  step.logprobs = carver.take<float>(logits_rows);
  step.top_ids = carver.take<int32_t>(logits_rows, kMaxTopLogprobs);
  step.top_logprobs = carver.take<float>(logits_rows, kMaxTopLogprobs);
}

void take_row_arrays(const RankProgram& program, Carver& carver, RowArrays& rows) {
  const int64_t count = program.limits.max_sequences;
  const int64_t groups = static_cast<int64_t>(program.kv_groups.size());
  rows.temperature = carver.take<float>(count);
  rows.top_k = carver.take<int32_t>(count);
  rows.top_p = carver.take<float>(count);
  rows.min_p = carver.take<float>(count);
  rows.presence_penalty = carver.take<float>(count);
  rows.frequency_penalty = carver.take<float>(count);
  rows.repetition_penalty = carver.take<float>(count);
  rows.seed = carver.take<uint64_t>(count);
  rows.num_prompt_tokens = carver.take<int32_t>(count);
  rows.min_seq_len = carver.take<int32_t>(count);
  rows.num_top_logprobs = carver.take<int32_t>(count);
  rows.has_mask = carver.take<int32_t>(count);
  rows.stop_counts = carver.take<int32_t>(count);
  rows.stop_ids = carver.take<int32_t>(count, kMaxStopIds);
  rows.bias_counts = carver.take<int32_t>(count);
  rows.bias_ids = carver.take<int32_t>(count, kMaxBiases);
  rows.bias_values = carver.take<float>(count, kMaxBiases);
  rows.masks = carver.take<uint32_t>(count, mask_words(program));
  rows.last_sampled = carver.take<int32_t>(count);
  rows.states = carver.take<RowState>(count);
  rows.staged_states = carver.take<RowState>(count);
  rows.runs = carver.take<TableRun>(groups, count);
  rows.staged_runs = carver.take<TableRun>(groups, count);
  rows.tables.clear();
  for (int64_t group = 0; group < groups; ++group)
    rows.tables.push_back(carver.take<int32_t>(count, max_blocks_per_row(program.limits)));
}

mk_step step_view(const ProgramLimits& limits, const StepArrays& step, const LaunchBounds& bounds) {
  return {sizeof(mk_step),   step.num_tokens,   step.num_seqs,     step.token_ids,        step.positions,
          step.token_seqs,   step.seq_rows,     step.query_starts, step.seq_lens,         limits.max_batched_tokens,
          max_step_seqs(limits), limits.max_seq_len, &bounds.tokens, &bounds.seqs,        &bounds.query_len,
          &bounds.seq_len};
}

void take_state(const RankProgram& program, Carver& carver, Storage& storage) {
  take_step_arrays(program.limits, carver, storage.step_arrays);
  take_row_arrays(program, carver, storage.rows);
}

mk_row_sampling sampling_view(const RowArrays& rows) {
  return {sizeof(mk_row_sampling), rows.temperature,  rows.top_k,       rows.top_p,       rows.min_p,
          rows.presence_penalty,   rows.frequency_penalty, rows.repetition_penalty, rows.seed, rows.num_prompt_tokens,
          rows.min_seq_len,        rows.num_top_logprobs,  rows.stop_counts, rows.stop_ids, rows.bias_counts,
          rows.bias_ids,           rows.bias_values,  rows.has_mask,    rows.masks,    kMaxStopIds,      kMaxBiases};
}

// Layers share the pool: the i-th layers of all groups lie at the same place, in blocks that one of the groups owns.
int64_t layers_per_block(const RankProgram& program) {
  size_t layers = 0;
  for (const KvGroup& group : program.kv_groups) layers = std::max(layers, group.layers.size());
  return static_cast<int64_t>(layers);
}

mk_dtype kv_dtype(const RankProgram& program) { return program.precision == Precision::kFast ? MK_BF16 : MK_F32; }

// Bytes of K (or of V) of one layer in one block.
int64_t kv_block_side_bytes(const RankProgram& program) {
  const int64_t elements = int64_t{program.dims.num_kv_heads} * program.limits.block_size * program.dims.head_dim;
  return elements * (kv_dtype(program) == MK_BF16 ? 2 : 4);
}

}  // namespace

int64_t lay_out_state(const RankProgram& program, std::byte* base, Storage& storage) {
  Carver carver(base);
  take_state(program, carver, storage);
  return carver.total();
}

int64_t lay_out_workspace(const RankProgram& program, const KernelMemory& kernels, std::byte* base, Storage& storage) {
  Carver carver(base);
  take_state(program, carver, storage);
  take_buffers(program, carver, storage);
  storage.inv_freq = carver.take<float>(static_cast<int64_t>(program.inv_freq.size()));
  storage.local_experts = carver.take<int32_t>(program.dims.num_global_experts);
  if (program.is_vocab_sharded()) take_shard_sampling(program, carver, storage);
  if (program.world_size > 1) take_staging(program, carver, storage.staging);
  storage.scratch.clear();
  for (const int64_t bytes : kernels.scratch_bytes)
    storage.scratch.push_back(bytes == 0 ? nullptr : carver.take_bytes(bytes));
  storage.kernel_workspace = kernels.workspace_bytes == 0 ? nullptr : carver.take_bytes(kernels.workspace_bytes);
  storage.step = step_view(program.limits, storage.step_arrays, storage.bounds);
  storage.sampling = sampling_view(storage.rows);
  return carver.total();
}

int64_t staging_bytes(const RankProgram& program) {
  Carver carver(nullptr);
  ExchangeStaging sizes_only{};
  if (program.world_size > 1) take_staging(program, carver, sizes_only);
  return carver.total();
}

void lay_out_weights(const RankProgram& program, const std::vector<int64_t>& offsets, std::byte* base, Storage& storage) {
  storage.weights.clear();
  for (size_t i = 0; i < program.weights.size(); ++i) {
    const WeightTensor& weight = program.weights[i];
    const void* data = base == nullptr ? nullptr : base + offsets[i];
    storage.weights.push_back({data, weight.stored_dtype, weight.num_experts, weight.rows, weight.cols});
  }
}

void lay_out_kv(const RankProgram& program, std::byte* base, Storage& storage) {
  storage.kv = base;
  const int64_t kv_bytes = layers_per_block(program) * 2 * program.limits.num_blocks * kv_block_side_bytes(program);
  storage.history = reinterpret_cast<int32_t*>(base + kv_bytes);
}

int64_t kv_block_bytes(const RankProgram& program) {
  int64_t bytes = 0;
  const int64_t history_bytes = int64_t{program.limits.block_size} * int64_t{sizeof(int32_t)};
  const bool overflowed = __builtin_mul_overflow(kv_block_side_bytes(program), layers_per_block(program) * 2, &bytes) ||
                          __builtin_add_overflow(bytes, history_bytes, &bytes);
  return overflowed ? -1 : bytes;
}

mk_kv kv_of_layer(const RankProgram& program, const Storage& storage, int32_t group, int32_t group_layer) {
  std::byte* k = nullptr;
  std::byte* v = nullptr;
  if (storage.kv != nullptr) {
    const int64_t side_bytes = program.limits.num_blocks * kv_block_side_bytes(program);
    k = storage.kv + 2 * group_layer * side_bytes;
    v = k + side_bytes;
  }
  return {k, v, kv_dtype(program), storage.rows.tables[group], max_blocks_per_row(program.limits), program.limits.num_blocks,
          program.limits.block_size, program.dims.num_kv_heads, program.dims.head_dim};
}

}  // namespace moesaic
