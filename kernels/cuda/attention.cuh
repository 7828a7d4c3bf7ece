// attention: what its kernels share. One tree of sums for every token, whichever kernel walks it:
//   chunk  64 keys from a multiple of 64: maximum, sum of weights and weighted values on their own        one warp
//   split  4 chunks, folded in order: state = fold(state, chunk)                                          one block at a time
//   span   16 splits, folded in order
//   total  all spans, folded in order; then the sink
// Cuts are at absolute positions, a fold with nothing changes nothing and a fold into nothing is a copy: a token has the same
// bits whether it is decoded or prefilled, alone or among others, and however its splits are given to blocks (Unit below).
//   Source: online softmax, Milakov and Gimelshein, arXiv 1805.02867; split KV as in Flash-Decoding (Dao et al. 2023)
#pragma once

#include <algorithm>
#include <cmath>

#include "kernels.h"
#include "launch_check.h"
#include "paged_kv.cuh"

namespace moesaic::cuda {

constexpr int kWarps = 4;
constexpr int kAttentionThreads = 32 * kWarps;
constexpr int kChunkKeys = 64;
constexpr int kSplitKeys = kWarps * kChunkKeys;
constexpr int kSpanSplits = 16;

// What one block does of a token: a split or a span, whose state it leaves in the workspace, or all of it.
enum class Unit : int32_t { kSplit, kSpan, kAll };

// Room for the states of this many (sequence, unit) pairs. More splits than this fill every GPU, so that spans will do.
constexpr int64_t kMaxPartials = 2048;

struct AttentionWork {
  const int32_t *num_tokens, *num_seqs, *positions, *token_seqs, *seq_rows, *query_starts;
  const float* q;      // (tokens, q_stride)
  const float* sinks;  // NULL: none
  float* out;          // (tokens, num_heads * head_dim)
  PagedRows rows;
  const void *k, *v;
  int32_t q_stride, num_heads, heads_per_kv_head, head_dim, window;
  float scale;             // in units of Exp
  float* partial_sums;     // (seqs, num_heads, max_units, kDims)
  float2* partial_softmax; // (seqs, num_heads, max_units) maximum, sum of weights
  int32_t max_units;
  Unit unit;
  bool by_token;  // block x is a token, else a sequence with one token
};

// ---- exponentials ----------------------------------------------------------------------------------------------------------

struct NaturalExp {
  static constexpr float kUnit = 1;
  static __device__ float of(float x) { return expf(x); }
};

// Scores and sinks are multiplied by log2(e) first.
struct FastExp {
  static constexpr float kUnit = 1.44269504f;
  static __device__ float of(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
  }
};

// ---- folding ---------------------------------------------------------------------------------------------------------------

__device__ inline float minus_infinity() { return __int_as_float(static_cast<int>(0xFF800000u)); }

// What the sums of both sides of a fold are multiplied by.
struct FoldWeights {
  float before, more;
};

template <class Exp>
__device__ __forceinline__ FoldWeights fold_softmax(float& maximum, float& weight, float more_maximum, float more_weight) {
  if (more_maximum == minus_infinity()) return {1, 0};
  const float largest = fmaxf(maximum, more_maximum);
  const FoldWeights w = {Exp::of(__fsub_rn(maximum, largest)), Exp::of(__fsub_rn(more_maximum, largest))};
  weight = __fmaf_rn(weight, w.before, __fmul_rn(more_weight, w.more));
  maximum = largest;
  return w;
}

__device__ __forceinline__ float fold_sum(float sum, const FoldWeights& w, float more) {
  return __fmaf_rn(sum, w.before, __fmul_rn(more, w.more));
}

// out = sum * scale / denominator
struct Finish {
  float scale, denominator;
  __device__ __forceinline__ float operator()(float sum) const { return __fdiv_rn(__fmul_rn(sum, scale), denominator); }
};

template <class Exp>
__device__ __forceinline__ Finish finish_softmax(const float* sinks, int32_t head, float maximum, float weight) {
  if (sinks == nullptr) return {1, weight};
  const float sink = __fmul_rn(sinks[head], Exp::kUnit), largest = fmaxf(maximum, sink);
  const float scale = Exp::of(__fsub_rn(maximum, largest));
  return {scale, __fmaf_rn(weight, scale, Exp::of(__fsub_rn(sink, largest)))};
}

// Softmax state of one row and the sums of some of its dimensions.
template <int kElements>
struct FoldState {
  float maximum, weight;
  float sums[kElements];

  __device__ __forceinline__ void clear() {
    maximum = minus_infinity();
    weight = 0;
#pragma unroll
    for (int e = 0; e < kElements; ++e) sums[e] = 0;
  }
  template <class Exp>
  __device__ __forceinline__ void fold(const FoldState& more) {
    const FoldWeights w = fold_softmax<Exp>(maximum, weight, more.maximum, more.weight);
#pragma unroll
    for (int e = 0; e < kElements; ++e) sums[e] = fold_sum(sums[e], w, more.sums[e]);
  }
};

// ---- tokens and units ------------------------------------------------------------------------------------------------------

// First key that the token at `position` sees.
__host__ __device__ inline int32_t first_key(int32_t position, int32_t window) {
  return window == 0 || position < window ? 0 : position - window + 1;
}

struct AttentionToken {
  int32_t token, seq, row, position, first;
};

// False when block x has no token to attend to: sequences with one token are decoded by sequence, others go by token.
__device__ inline bool find_token(const AttentionWork& work, AttentionToken* found) {
  const auto index = static_cast<int32_t>(blockIdx.x);
  if (index >= (work.by_token ? *work.num_tokens : *work.num_seqs)) return false;
  found->seq = work.by_token ? work.token_seqs[index] : index;
  const int32_t begin = work.query_starts[found->seq], count = work.query_starts[found->seq + 1] - begin;
  if (work.by_token ? count == 1 : count != 1) return false;
  found->token = work.by_token ? index : begin;
  found->row = work.seq_rows[found->seq];
  found->position = work.positions[found->token];
  found->first = first_key(found->position, work.window);
  return true;
}

struct Splits {
  int32_t first, last;
};

__device__ inline Splits splits_of(const AttentionToken& token) {
  return {token.first / kSplitKeys, token.position / kSplitKeys};
}

__device__ inline int32_t count_units(const Splits& splits, Unit unit) {
  if (unit == Unit::kSplit) return splits.last - splits.first + 1;
  return unit == Unit::kSpan ? splits.last / kSpanSplits - splits.first / kSpanSplits + 1 : 1;
}

__device__ inline Splits splits_of_unit(const Splits& splits, Unit unit, int32_t index) {
  if (unit == Unit::kSplit) return {splits.first + index, splits.first + index};
  if (unit == Unit::kAll) return splits;
  const int32_t begin = (splits.first / kSpanSplits + index) * kSpanSplits;
  return {max(splits.first, begin), min(splits.last, begin + kSpanSplits - 1)};
}

// ---- one token, by units ---------------------------------------------------------------------------------------------------

// Block (x, y, z): token or sequence x, unit z, and y = kv head * row tiles + tile of Chunk::kRows of its query heads. A warp
// attends to one chunk at a time. Chunk has
//   kRows, kDims (head_dim rounded up), kElements: rows and dimensions of a state, sums of it that one thread folds
//   Exp, Memory
//   Chunk(work, token, kv_head, first_head, num_heads, memory)   all threads of the block
//   attend(begin, softmax)       one warp: the chunk that begins at `begin`, of which the token sees a key
//   row(), dim(e), sum(warp, e)  what this thread folds, from what attend left of that warp's chunk
template <class Chunk>
__global__ void __launch_bounds__(kAttentionThreads, 2) attend_units(const AttentionWork work) {
  using State = FoldState<Chunk::kElements>;
  using Exp = typename Chunk::Exp;
  extern __shared__ uint4 dynamic_memory[];
  __shared__ float2 softmax[kWarps][Chunk::kRows];
  AttentionToken token;
  if (!find_token(work, &token)) return;
  const Splits splits = splits_of(token);
  const int32_t num_units = count_units(splits, work.unit), unit = static_cast<int32_t>(blockIdx.z);
  if (unit >= num_units) return;

  const int32_t tiles = (work.heads_per_kv_head + Chunk::kRows - 1) / Chunk::kRows;
  const int32_t kv_head = static_cast<int32_t>(blockIdx.y) / tiles;
  const int32_t begin_head = static_cast<int32_t>(blockIdx.y) % tiles * Chunk::kRows;
  const int32_t num_heads = min(Chunk::kRows, work.heads_per_kv_head - begin_head);
  const int32_t first_head = kv_head * work.heads_per_kv_head + begin_head;
  const auto warp = static_cast<int32_t>(threadIdx.x / 32);
  Chunk chunk(work, token, kv_head, first_head, num_heads, *reinterpret_cast<typename Chunk::Memory*>(dynamic_memory));

  const bool is_mine = chunk.row() < num_heads;
  const int32_t head = first_head + chunk.row();
  const auto store_partial = [&](const State& state) {
    if (!is_mine) return;
    const int64_t at = (static_cast<int64_t>(token.seq) * work.num_heads + head) * work.max_units + unit;
#pragma unroll
    for (int e = 0; e < Chunk::kElements; ++e) work.partial_sums[at * Chunk::kDims + chunk.dim(e)] = state.sums[e];
    if (chunk.dim(0) == 0) work.partial_softmax[at] = {state.maximum, state.weight};
  };

  const Splits mine = splits_of_unit(splits, work.unit, unit);
  State span, total;
  span.clear();
  total.clear();
  for (int32_t split = mine.first; split <= mine.last; ++split) {
    const int32_t begin = split * kSplitKeys;
    const int32_t first_chunk = max(token.first - begin, 0) / kChunkKeys;
    const int32_t last_chunk = min(token.position - begin, kSplitKeys - 1) / kChunkKeys;
    if (warp >= first_chunk && warp <= last_chunk) chunk.attend(begin + warp * kChunkKeys, softmax[warp]);
    __syncthreads();
    State folded;
    folded.clear();
    for (int32_t from = first_chunk; from <= last_chunk; ++from) {
      const float2 more = softmax[from][chunk.row()];
      const FoldWeights w = fold_softmax<Exp>(folded.maximum, folded.weight, more.x, more.y);
#pragma unroll
      for (int e = 0; e < Chunk::kElements; ++e) folded.sums[e] = fold_sum(folded.sums[e], w, chunk.sum(from, e));
    }
    __syncthreads();  // before the next chunks come to where these sums are
    if (work.unit == Unit::kSplit && num_units > 1) return store_partial(folded);
    span.template fold<Exp>(folded);
    if (split != mine.last && split % kSpanSplits != kSpanSplits - 1) continue;
    if (work.unit == Unit::kSpan && num_units > 1) return store_partial(span);
    total.template fold<Exp>(span);
    span.clear();
  }
  if (!is_mine) return;
  const Finish finish = finish_softmax<Exp>(work.sinks, head, total.maximum, total.weight);
  float* out = work.out + (static_cast<int64_t>(token.token) * work.num_heads + head) * work.head_dim;
#pragma unroll
  for (int e = 0; e < Chunk::kElements; ++e)
    if (chunk.dim(e) < work.head_dim) out[chunk.dim(e)] = finish(total.sums[e]);
}

// Folds the units of a token that were left in the workspace. Block (x, y): sequence x, a warp for each of kWarps heads.
template <class Exp, int kPerLane>
__global__ void __launch_bounds__(kAttentionThreads) combine_units(const AttentionWork work) {
  constexpr int kDims = 32 * kPerLane;
  constexpr int kAhead = 4;  // units in flight
  using State = FoldState<kPerLane>;
  AttentionToken token;
  const auto head = static_cast<int32_t>(blockIdx.y * kWarps + threadIdx.x / 32), lane = static_cast<int32_t>(threadIdx.x % 32);
  if (head >= work.num_heads || !find_token(work, &token)) return;
  const Splits splits = splits_of(token);
  const int32_t num_units = count_units(splits, work.unit);
  if (num_units == 1) return;

  const int64_t first = (static_cast<int64_t>(token.seq) * work.num_heads + head) * work.max_units;
  State span, total, more[kAhead];
  span.clear();
  total.clear();
  for (int32_t begin = 0; begin < num_units; begin += kAhead) {
#pragma unroll
    for (int i = 0; i < kAhead; ++i) {
      const int64_t at = first + min(begin + i, num_units - 1);
      const float2 softmax = work.partial_softmax[at];
      more[i].maximum = softmax.x;
      more[i].weight = softmax.y;
#pragma unroll
      for (int e = 0; e < kPerLane; ++e) more[i].sums[e] = work.partial_sums[at * kDims + lane + 32 * e];
    }
#pragma unroll
    for (int i = 0; i < kAhead; ++i) {
      const int32_t unit = begin + i, split = splits.first + unit;
      if (unit >= num_units) break;
      if (work.unit == Unit::kSpan) {
        total.template fold<Exp>(more[i]);
        continue;
      }
      span.template fold<Exp>(more[i]);
      if (split != splits.last && split % kSpanSplits != kSpanSplits - 1) continue;
      total.template fold<Exp>(span);
      span.clear();
    }
  }
  const Finish finish = finish_softmax<Exp>(work.sinks, head, total.maximum, total.weight);
  float* out = work.out + (static_cast<int64_t>(token.token) * work.num_heads + head) * work.head_dim;
#pragma unroll
  for (int e = 0; e < kPerLane; ++e)
    if (lane + 32 * e < work.head_dim) out[lane + 32 * e] = finish(total.sums[e]);
}

// ---- launching -------------------------------------------------------------------------------------------------------------

inline bool is_attention(const mk_attention_args& args) {
  const int64_t cols = static_cast<int64_t>(args.num_heads) * args.kv.head_dim;
  return is_paged_kv(args.kv, args.num_heads) && args.qkv.cols >= cols && args.out.cols == cols && args.window >= 0;
}

// Most splits that a token of a sequence of `seq_len` tokens sees keys in.
inline int64_t most_splits(int64_t seq_len, int32_t window) {
  const int64_t all = ceil_div(seq_len, kSplitKeys);
  return window == 0 ? all : std::min(all, (static_cast<int64_t>(window) + kSplitKeys - 2) / kSplitKeys + 1);
}

// Fewer blocks one after another are quicker than a second launch.
constexpr int64_t kFewSplits = 2;
// Blocks from which on a GPU is full without cutting tokens.
constexpr int64_t kManyBlocks = 1024;

// Pairs of sequence and unit that the workspace has room for. From constants only: step is unknown when this is asked.
inline int64_t max_partials(const mk_attention_args& args) {
  const int64_t splits = most_splits(static_cast<int64_t>(args.kv.max_blocks) * args.kv.block_size, args.window);
  return splits <= kFewSplits ? 0 : std::min(kMaxPartials, splits * args.out.max_rows);
}

inline int64_t attention_workspace_bytes(const mk_attention_args& args, int64_t dims) {
  const int64_t bytes_per_head = dims * int64_t{sizeof(float)} + int64_t{sizeof(float2)};
  return 64 + max_partials(args) * args.num_heads * bytes_per_head;
}

struct DecodePlan {
  Unit unit;
  int32_t max_units;
};

inline DecodePlan plan_decode(const mk_attention_args& args, int64_t seqs, int64_t seq_len) {
  const int64_t splits = most_splits(seq_len, args.window), spans = (splits + kSpanSplits - 2) / kSpanSplits + 1;
  if (splits <= kFewSplits || seqs * args.kv.num_kv_heads >= kManyBlocks) return {Unit::kAll, 1};
  if (seqs * splits <= max_partials(args)) return {Unit::kSplit, static_cast<int32_t>(splits)};
  if (seqs * spans <= max_partials(args)) return {Unit::kSpan, static_cast<int32_t>(spans)};
  return {Unit::kAll, 1};
}

struct AttentionBounds {
  int32_t tokens, seqs, query_len, seq_len;
};

inline mk_status take_attention_bounds(const mk_attention_args& args, AttentionBounds* bounds, mk_error* error) {
  const mk_status status = take_launch_tokens(args.step, args.out, &bounds->tokens, error);
  if (status != MK_OK) return status;
  const mk_step& step = *args.step;
  if (!has_sequences(step) || step.query_starts == nullptr || step.launch_seqs == nullptr ||
      step.launch_query_len == nullptr || step.launch_seq_len == nullptr)
    return refuse(error, MK_INVALID_ARGUMENT, "attention: the step has no sequences or no bounds of them");
  if (args.qkv.data == nullptr || args.qkv.max_rows < bounds->tokens || args.kv.k == nullptr || args.kv.v == nullptr ||
      args.kv.table == nullptr)
    return refuse(error, MK_INVALID_ARGUMENT, "attention: qkv has no room for %d rows, or kv is NULL", bounds->tokens);
  const int64_t room = static_cast<int64_t>(args.kv.max_blocks) * args.kv.block_size;
  bounds->seqs = *step.launch_seqs;
  bounds->query_len = *step.launch_query_len;
  bounds->seq_len = static_cast<int32_t>(std::min<int64_t>(*step.launch_seq_len, room));
  if (bounds->seqs >= 0 && bounds->seqs <= step.max_seqs) return MK_OK;
  return refuse(error, MK_INVALID_ARGUMENT, "attention: %d sequences bound the launch, want 0 to %d", bounds->seqs,
                step.max_seqs);
}

inline AttentionWork attention_work(const mk_attention_args& args, float exp_unit) {
  const mk_step& step = *args.step;
  return {step.num_tokens,
          step.num_seqs,
          step.positions,
          step.token_seqs,
          step.seq_rows,
          step.query_starts,
          static_cast<const float*>(args.qkv.data),
          static_cast<const float*>(args.sinks.data),
          static_cast<float*>(args.out.data),
          PagedRows(args.kv),
          args.kv.k,
          args.kv.v,
          args.qkv.cols,
          args.num_heads,
          args.num_heads / args.kv.num_kv_heads,
          args.kv.head_dim,
          args.window,
          args.scale * exp_unit,
          nullptr,
          nullptr,
          1,
          Unit::kAll,
          false};
}

// More than 48 KiB of shared memory must be asked for; the answer is that of the device that is current.
template <class Kernel>
bool allow_shared_memory(Kernel* kernel, size_t bytes) {
  if (bytes <= 48 * 1024) return true;
  return cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes)) == cudaSuccess;
}

template <class Chunk>
mk_status queue_units(const AttentionWork& work, int64_t blocks, int32_t units, cudaStream_t stream, mk_error* error) {
  const int64_t tiles = ceil_div(work.heads_per_kv_head, Chunk::kRows);
  const size_t bytes = sizeof(typename Chunk::Memory);
  if (!allow_shared_memory(attend_units<Chunk>, bytes))
    return refuse(error, MK_RESOURCE_EXHAUSTED, "attention: no %zu bytes of shared memory", bytes);
  const dim3 grid(static_cast<unsigned>(blocks), static_cast<unsigned>(work.rows.num_kv_heads * tiles),
                  static_cast<unsigned>(units));
  attend_units<Chunk><<<grid, kAttentionThreads, bytes, stream>>>(work);
  return launched(error);
}

// The sequences with one token.
template <class Chunk>
mk_status queue_decode(const mk_attention_args& args, const AttentionBounds& bounds, void* workspace, cudaStream_t stream,
                       mk_error* error) {
  if (bounds.seqs == 0 || bounds.tokens == 0) return MK_OK;
  const DecodePlan plan = plan_decode(args, bounds.seqs, bounds.seq_len);
  AttentionWork work = attention_work(args, Chunk::Exp::kUnit);
  work.unit = plan.unit;
  work.max_units = plan.max_units;
  work.partial_sums = static_cast<float*>(workspace);
  work.partial_softmax =
      reinterpret_cast<float2*>(work.partial_sums + max_partials(args) * args.num_heads * Chunk::kDims);
  const mk_status status = queue_units<Chunk>(work, bounds.seqs, plan.max_units, stream, error);
  if (status != MK_OK || plan.unit == Unit::kAll) return status;
  const dim3 grid(static_cast<unsigned>(bounds.seqs), static_cast<unsigned>(ceil_div(args.num_heads, kWarps)));
  combine_units<typename Chunk::Exp, Chunk::kDims / 32><<<grid, kAttentionThreads, 0, stream>>>(work);
  return launched(error);
}

}  // namespace moesaic::cuda
