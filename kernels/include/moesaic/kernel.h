/* moesaic/kernel.h: the one C ABI between the engine and kernel packages.
 *
 * A kernel package is a shared library that exports mk_get_package. The engine opens it, binds ops of a RankProgram to its
 * kernels, packs the weights with their packings, and launches them step after step. C11, no other header needed.
 *
 * Conventions
 *   - Tensors are row-major; a shape is written (rows, cols). Strides are in elements. Nothing here owns memory.
 *   - "[const]" after a field: fixed while a captured graph is replayed. "[device]": a pointer the device reads at run time;
 *     its target may change between replays, so counts, tables and lengths live behind pointers. "[host]": a pointer that
 *     launch() itself reads; what it finds bounds the launch and all replays of a graph that was captured from it, so that
 *     grids can be sized and kernels chosen by it. On the CPU all memory is host memory.
 *   - Buffers are float32 in either precision. In precision exact every product and sum is float32 too. In fast the inputs of
 *     matrix products may be rounded to bf16, with float32 sums, and the KV cache is bf16.
 *   - Vectors (norm gains, biases, sinks) are plain float32. Matrices are in the layout of the kernel that uses them
 *     (mk_packing).
 *   - The first field of every args struct is its size; a kernel accepts larger structs and refuses smaller ones.
 *   - launch() checks what it is given, queues work on the stream and returns; on the CPU the work is done on return. It
 *     allocates nothing and keeps no pointer. On failure it returns a code, fills *error and launches nothing.
 *   - Determinism: the value of an output row depends on that row's inputs alone, never on how many rows there are, how
 *     they are split over threads or steps, or what their neighbours hold. Sums run in one fixed order per output element.
 *     Always on the CPU and in precision exact; in fast on CUDA where mk_device.deterministic asks for it. Without it the
 *     order may depend on the bounds of a launch, still never on timing: no float atomics.
 *   - Functions are called from one thread at a time per stream; supports/packed_bytes/pack may be called from any thread.
 */
#ifndef MOESAIC_KERNEL_H_
#define MOESAIC_KERNEL_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Raised whenever a struct changes meaning or an op changes semantics. Packages of another version are refused. */
#define MK_ABI_VERSION 4u

#if defined(_WIN32)
#define MK_EXPORT __declspec(dllexport)
#else
#define MK_EXPORT __attribute__((visibility("default")))
#endif

/* ---- status ------------------------------------------------------------------------------------------------------------ */

typedef enum mk_status {
  MK_OK = 0,
  MK_INVALID_ARGUMENT = 1,   /* a shape, pointer or value that the op does not allow */
  MK_UNIMPLEMENTED = 2,      /* allowed by the op, not by this kernel */
  MK_RESOURCE_EXHAUSTED = 3, /* workspace too small, device out of memory */
  MK_INTERNAL = 4            /* the device failed */
} mk_status;

typedef struct mk_error {
  char message[256]; /* UTF-8, NUL-terminated: what was wanted, what was there */
} mk_error;

/* ---- device and stream ------------------------------------------------------------------------------------------------- */

typedef enum mk_device_kind { MK_DEVICE_CPU = 0, MK_DEVICE_CUDA = 1 } mk_device_kind;

typedef enum mk_precision { MK_EXACT = 0, MK_FAST = 1 } mk_precision;

/* CPU features a kernel may dispatch on. The engine sets them from cpuid and the OS's saved state. */
#define MK_CPU_AVX2 (1u << 0)        /* AVX2, FMA, F16C */
#define MK_CPU_AVX512 (1u << 1)      /* AVX-512 F, BW, DQ, VL */
#define MK_CPU_AVX512_VNNI (1u << 2) /* int8 dot products */
#define MK_CPU_AVX512_BF16 (1u << 3) /* bf16 dot products */

typedef struct mk_device {
  uint32_t struct_size;
  mk_device_kind kind;
  uint32_t cpu_features;       /* MK_CPU_* */
  int32_t compute_capability;  /* CUDA: 10 * major + minor, 90 for sm_90; CPU: 0 */
  int32_t num_units;           /* CPU: threads of the engine; CUDA: SMs */
  int64_t shared_memory_bytes; /* CUDA: opt-in shared memory per thread block; CPU: 0 */
  mk_precision precision;      /* what the program asks for; an exact kernel serves fast as well */
  int32_t deterministic;       /* 1: rows must not depend on the bounds of a launch either (fast on CUDA) */
} mk_device;

/* The CPU's stream: the engine's own thread pool. Kernels make no threads.
 * parallel_for splits [0, count) into ranges of at least `grain` and runs fn on them, thread in [0, num_threads); it returns
 * when all are done. Which thread gets what is not defined: results must not depend on it. */
typedef struct mk_cpu_stream {
  uint32_t struct_size;
  int32_t num_threads;
  void* pool;
  void (*parallel_for)(void* pool, int64_t count, int64_t grain,
                       void (*fn)(void* arg, int64_t begin, int64_t end, int32_t thread), void* arg);
} mk_cpu_stream;

/* const mk_cpu_stream* on the CPU, cudaStream_t (of the primary context, current on the calling thread) on CUDA. */
typedef const void* mk_stream;

/* ---- tensors ----------------------------------------------------------------------------------------------------------- */

typedef enum mk_dtype {
  MK_F32 = 0,
  MK_BF16 = 1,
  MK_MXFP4 = 2, /* blocks of 32 along cols: 16 bytes of codes (element 2b in the low nibble of byte b) and one E8M0 scale */
  MK_I32 = 3,
  MK_U8 = 4
} mk_dtype;

/* A weight in the weights arena. Vectors: float32, `rows` per expert, layout "". Matrices: in `layout_id`'s layout. */
typedef struct mk_weight {
  const void* data;      /* [const] 64-byte aligned; NULL where a bias is absent */
  mk_dtype dtype;        /* MK_F32 for vectors, MK_BF16 or MK_MXFP4 for matrices */
  int32_t num_experts;   /* 1 without experts */
  int32_t rows;          /* output features per expert */
  int32_t cols;          /* input features per expert, 1 for vectors */
} mk_weight;

/* A workspace buffer: rows of `cols` elements, rows contiguous. */
typedef struct mk_buffer {
  void* data;              /* [const] 64-byte aligned */
  const int32_t* num_rows; /* [device] rows of this step */
  int32_t max_rows;        /* [const] rows there is room for */
  int32_t cols;            /* [const] elements per row, also the stride */
  const int32_t* launch_rows; /* [host] *num_rows is at most this, and this at most max_rows */
} mk_buffer;

/* ---- ops --------------------------------------------------------------------------------------------------------------- */

typedef enum mk_op {
  MK_OP_ROPE_TABLE = 0,
  MK_OP_EMBED = 1,
  MK_OP_RMS_NORM = 2,
  MK_OP_LINEAR = 3,
  MK_OP_ROPE_KV_WRITE = 4,
  MK_OP_ATTENTION = 5,
  MK_OP_ROUTER = 6,
  MK_OP_EXPERTS = 7,
  MK_OP_COMBINE = 8,
  MK_OP_GATHER_ROWS = 9,
  MK_OP_SAMPLE = 10,
  MK_OP_MXFP4_DECODE = 11,
  MK_OP_MXFP4_ENCODE = 12,
  MK_OP_ADD = 13,
  MK_OP_SAMPLE_SHARD = 14,
  MK_OP_BEGIN_STEP = 15,
  MK_OP_COUNT = 16
} mk_op;

/* The tokens of a step and the persistent rows they belong to. Shared by the ops that look across tokens. */
typedef struct mk_step {
  uint32_t struct_size;
  const int32_t* num_tokens;   /* [device] */
  const int32_t* num_seqs;     /* [device] */
  const int32_t* token_ids;    /* [device] (num_tokens), as begin_step leaves them: never negative */
  const int32_t* positions;    /* [device] (num_tokens) */
  const int32_t* token_seqs;   /* [device] (num_tokens) index of the token's sequence in the step */
  const int32_t* seq_rows;     /* [device] (num_seqs) persistent row of each sequence */
  const int32_t* query_starts; /* [device] (num_seqs + 1) */
  const int32_t* seq_lens;     /* [device] (num_seqs) tokens with KV after this step */
  int32_t max_tokens;          /* [const] */
  int32_t max_seqs;            /* [const] */
  int32_t max_seq_len;         /* [const] */
  const int32_t* launch_tokens;    /* [host] *num_tokens is at most this */
  const int32_t* launch_seqs;      /* [host] *num_seqs is at most this */
  const int32_t* launch_query_len; /* [host] no sequence has more tokens than this in the step; 1: all decode */
  const int32_t* launch_seq_len;   /* [host] no sequence is longer than this after the step */
} mk_step;

/* One layer's paged KV. A token at position p of row r has its K and V at block table[r, p / block_size], offset p %
 * block_size. k and v: (num_blocks, num_kv_heads, block_size, head_dim), keys after rotation. Block 0 is the null block:
 * never written, never read. */
typedef struct mk_kv {
  void* k;                   /* [const] */
  void* v;                   /* [const] */
  mk_dtype dtype;            /* [const] MK_F32 in precision exact, MK_BF16 in fast */
  const int32_t* table;      /* [device] (max_rows, max_blocks) of the layer's KV group */
  int32_t max_blocks;        /* [const] table entries per row */
  int32_t num_blocks;        /* [const] */
  int32_t block_size;        /* [const] power of two */
  int32_t num_kv_heads;      /* [const] */
  int32_t head_dim;          /* [const] */
} mk_kv;

/* begin_step: what the other ops of a step count on. For every token t of the step, in row r = seq_rows[token_seqs[t]]:
 *   token_ids[t] = planned_ids[t] >= 0 ? planned_ids[t] : last_sampled[r]
 *   history[table[r, p / block_size] * block_size + p % block_size] = token_ids[t], with p = positions[t] */
typedef struct mk_begin_step_args {
  uint32_t struct_size;
  const mk_step* step;
  const int32_t* planned_ids;  /* [device] (num_tokens), -1: the token that the row sampled last */
  const int32_t* last_sampled; /* [device] (max_rows), as sample leaves it */
  int32_t* token_ids;          /* [device] out (num_tokens): step->token_ids */
  int32_t* history;            /* [device] in and out (num_blocks * block_size) token ids of the full KV group's slots */
  const int32_t* table;        /* [device] (max_rows, max_blocks) of the full KV group */
  int32_t max_blocks;          /* [const] */
  int32_t block_size;          /* [const] */
} mk_begin_step_args;

/* rope_table: out[t, 0:d/2] = cos(a) * scaling, out[t, d/2:d] = sin(a) * scaling with the float32 angle
 * a = float32(positions[t]) * inv_freq[i]. out (num_tokens, head_dim). cos and sin of that float32 angle are correct to 1e-7.
 * Source: YaRN, arXiv 2309.00071; gpt-oss torch/model.py. */
typedef struct mk_rope_table_args {
  uint32_t struct_size;
  const mk_step* step;
  const float* inv_freq; /* [const] (head_dim / 2) */
  float scaling;         /* [const] */
  mk_buffer out;
} mk_rope_table_args;

/* embed: out[t, :] = float32(weight[token_ids[t], :]). */
typedef struct mk_embed_args {
  uint32_t struct_size;
  const mk_step* step;
  mk_weight weight; /* (vocab, hidden) */
  mk_buffer out;    /* (num_tokens, hidden) f32 */
} mk_embed_args;

/* rms_norm: out[t, :] = x[t, :] * rsqrt(mean(x[t, :]^2) + eps) * weight[:], all in float32. out may be x. */
typedef struct mk_rms_norm_args {
  uint32_t struct_size;
  mk_buffer x;
  mk_weight weight; /* vector (cols) */
  mk_buffer out;
  float eps; /* [const] */
} mk_rms_norm_args;

/* linear: out[t, r] = (accumulate ? out[t, r] : 0) + sum_c weight[r, c] * x[t, c] + bias[r]. */
typedef struct mk_linear_args {
  uint32_t struct_size;
  mk_buffer x;      /* (rows, weight.cols) */
  mk_weight weight; /* matrix (out features, in features), bf16 */
  mk_weight bias;   /* vector (out features); data NULL: none */
  mk_buffer out;    /* (rows, weight.rows) */
  int32_t accumulate; /* [const] 0 or 1 */
} mk_linear_args;

/* rope_kv_write: rotates q (in place) and k by halves with the rope table and writes k and v to the paged cache.
 * qkv (num_tokens, (num_heads + 2 * num_kv_heads) * head_dim): q heads, then k heads, then v heads.
 *   first'  = first * cos - second * sin      second' = second * cos + first * sin       (element j pairs with j + d/2)
 * The k and v columns of qkv are undefined afterwards. */
typedef struct mk_rope_kv_write_args {
  uint32_t struct_size;
  const mk_step* step;
  mk_buffer qkv;
  mk_buffer rope; /* (num_tokens, head_dim) from rope_table */
  mk_kv kv;
  int32_t num_heads; /* [const] */
} mk_rope_kv_write_args;

/* attention: for the token at position i of a sequence, over keys j with max(0, i - window + 1) <= j <= i
 * (window 0: all j <= i)
 *   out[t, h, :] = sum_j exp(s_j - m) v_j / (exp(sink_h - m) + sum_j exp(s_j - m)),   s_j = scale * q_h . k_j
 * q head h reads kv head h / (num_heads / num_kv_heads). The sink is one more logit without a value, not scaled; absent when
 * sinks.data is NULL. Reads q from the first num_heads * head_dim columns of qkv. out (num_tokens, num_heads * head_dim). */
typedef struct mk_attention_args {
  uint32_t struct_size;
  const mk_step* step;
  mk_buffer qkv;
  mk_weight sinks; /* vector (num_heads) or NULL */
  mk_kv kv;
  mk_buffer out;
  int32_t num_heads; /* [const] */
  int32_t window;    /* [const] 0: all */
  float scale;       /* [const] */
} mk_attention_args;

/* router: logits = weight x + bias; expert_ids = the experts_per_token largest, best first, ties to the lower id;
 * expert_weights = softmax over those logits. */
typedef struct mk_router_args {
  uint32_t struct_size;
  mk_buffer x;
  mk_weight weight;         /* matrix (num_experts, hidden) */
  mk_weight bias;           /* vector (num_experts) or NULL */
  mk_buffer expert_ids;     /* (rows, experts_per_token) i32 */
  mk_buffer expert_weights; /* (rows, experts_per_token) f32 */
} mk_router_args;

/* experts: for every token t and slot s with expert_ids[t, s] >= 0 and e = local_experts[expert_ids[t, s]] >= 0:
 *   h = gate_up[e] x[t] + gate_up_bias[e];  g = min(h[2j], limit);  u = clamp(h[2j+1], -limit, limit)
 *   a[j] = (u + 1) * g * sigmoid(alpha * g);  out[t, s, :] = down[e] a + down_bias[e]
 * Slots of other experts, and those with id -1, are left as they are. Ids outside [-1, num_global_experts) and local
 * indices outside [-1, num_experts) are MK_INVALID_ARGUMENT; on CUDA, where launch() cannot see them, they count
 * as -1. out (rows, experts_per_token * hidden). */
typedef struct mk_experts_args {
  uint32_t struct_size;
  mk_buffer x;          /* (rows, hidden) */
  mk_buffer expert_ids; /* (rows, experts_per_token) i32, global ids; -1: a slot of another rank */
  mk_weight gate_up;    /* matrix (num_experts, 2 * intermediate, hidden), rows of gate and up alternating */
  mk_weight gate_up_bias;
  mk_weight down; /* matrix (num_experts, hidden, intermediate) */
  mk_weight down_bias;
  mk_buffer out;
  const int32_t* local_experts; /* [const] (num_global_experts) local index of each global expert, -1: not here */
  int32_t num_global_experts;   /* [const] */
  float alpha;                  /* [const] 1.702 */
  float limit;                  /* [const] 7 */
} mk_experts_args;

/* combine: out[t, :] += ((w[t,0] y[t,0,:] + w[t,1] y[t,1,:]) + w[t,2] y[t,2,:]) + ...: slots in router order, always. */
typedef struct mk_combine_args {
  uint32_t struct_size;
  mk_buffer y;              /* (rows, experts_per_token * hidden) */
  mk_buffer expert_weights; /* (rows, experts_per_token) */
  mk_buffer out;            /* (rows, hidden) */
} mk_combine_args;

/* gather_rows: out[i, :] = x[row_indices[i], :]: the rows whose logits are wanted. */
typedef struct mk_gather_rows_args {
  uint32_t struct_size;
  mk_buffer x;
  const int32_t* row_indices; /* [device] (out.num_rows) */
  mk_buffer out;
} mk_gather_rows_args;

/* Sampling parameters of every persistent row, one array each, (max_rows). */
typedef struct mk_row_sampling {
  uint32_t struct_size;
  const float* temperature;        /* [device] 0: greedy */
  const int32_t* top_k;            /* [device] 0: off */
  const float* top_p;              /* [device] 1: off */
  const float* min_p;              /* [device] 0: off */
  const float* presence_penalty;   /* [device] */
  const float* frequency_penalty;  /* [device] */
  const float* repetition_penalty; /* [device] 1: off */
  const uint64_t* seed;            /* [device] */
  const int32_t* num_prompt_tokens; /* [device] */
  const int32_t* min_seq_len;      /* [device] stop ids are masked while seq_len < min_seq_len */
  const int32_t* num_top_logprobs; /* [device] -1: none wanted */
  const int32_t* stop_counts;      /* [device] */
  const int32_t* stop_ids;         /* [device] (max_rows, max_stop_ids) */
  const int32_t* bias_counts;      /* [device] */
  const int32_t* bias_ids;         /* [device] (max_rows, max_biases) */
  const float* bias_values;        /* [device] (max_rows, max_biases) */
  const int32_t* has_mask;         /* [device] 0: every id is allowed */
  const uint32_t* allowed_masks;   /* [device] (max_rows, ceil(vocab / 32)), of the whole vocabulary; bit set: allowed */
  int32_t max_stop_ids;            /* [const] */
  int32_t max_biases;              /* [const] */
} mk_row_sampling;

/* sample: picks the next token of each sampling sequence. For logits row i, r = rows[i]:
 *   1. raw logprobs: log_softmax of the logits as they are; reported for the chosen token and the best num_top.
 *   2. repetition penalty on tokens of prompt and output (l > 0 ? l / p : l * p), frequency (l -= f * count) and presence
 *      (l -= f) on output tokens; then logit biases; then masks (allowed_masks, stop ids before min_seq_len) set -inf.
 *   3. temperature 0: the largest logit, ties to the lower id. Else l /= temperature; keep the top_k largest (ties at the
 *      border kept by lower id); of those the smallest set, best first, whose probability reaches top_p; of those the ones
 *      with probability >= min_p * the best; then the token with the largest l + gumbel(seed, seq_len, token id), where
 *      gumbel = -log(-log(u)), u = (w + 0.5) / 2^32, w = word (token id % 4) of Philox4x32-10 with key = seed (low word first)
 *      and counter = (token id / 4, seq_len, 0, 0).
 * The history of a row is tokens[table[r, p / block_size] * block_size + p % block_size] for p < seq_len.
 * Sources: Philox, Salmon et al. 2011; the order of steps is vLLM's. */
typedef struct mk_sample_args {
  uint32_t struct_size;
  mk_buffer logits;          /* (sampling rows first, vocab); modified */
  const int32_t* num_sampled; /* [device] the first rows of logits to sample */
  const int32_t* rows;       /* [device] (num_sampled) persistent rows */
  const int32_t* seq_lens;   /* [device] (num_sampled) tokens so far: the position of the token to sample */
  const mk_row_sampling* sampling;
  const int32_t* history_tokens; /* [device] (num_blocks * block_size) token ids of the full KV group's slots */
  const int32_t* history_table;  /* [device] (max_rows, max_blocks) */
  int32_t max_blocks;            /* [const] */
  int32_t block_size;            /* [const] */
  int32_t* token_ids;            /* [device] out (num_sampled) */
  int32_t* last_sampled;         /* [device] out (max_rows): token_ids[i] at rows[i] */
  float* logprobs;               /* [device] out (num_sampled); NaN where num_top_logprobs is -1 */
  int32_t max_top_logprobs;      /* [const] columns of the two below */
  int32_t* top_ids;              /* [device] out (num_sampled, max_top_logprobs); -1 past what the row asked for */
  float* top_logprobs;           /* [device] out (num_sampled, max_top_logprobs) */
} mk_sample_args;

/* mxfp4_decode: out[t, 32 g + 2b] and [... + 1] from the low and high nibble of blocks[t, 16 g + b],
 * times 2^(scales[t, g] - 127). blocks (rows, cols / 2) u8, scales (rows, cols / 32) u8, out (rows, cols) f32. */
typedef struct mk_mxfp4_decode_args {
  uint32_t struct_size;
  mk_buffer blocks;
  mk_buffer scales;
  mk_buffer out;
} mk_mxfp4_decode_args;

/* mxfp4_encode: the inverse. Per 32: d = max|x| / 6 rounded up to a power of two; codes are |x| / d to the nearest of
 * 0 .5 1 1.5 2 3 4 6, ties away from zero; bit 3 is the sign, -0 included. An all-zero block has scale byte 0.
 * Source: triton_kernels' downcast_to_mxfp, rounding mode up. */
typedef struct mk_mxfp4_encode_args {
  uint32_t struct_size;
  mk_buffer x;
  mk_buffer blocks;
  mk_buffer scales;
} mk_mxfp4_encode_args;

/* add: out[t, c] += x[t, c]; both (rows, cols), in float32. */
typedef struct mk_add_args {
  uint32_t struct_size;
  mk_buffer x;
  mk_buffer out;
} mk_add_args;

/* sample_shard: what one shard of the vocabulary, the ids [vocab_begin, vocab_begin + logits.cols), adds to the choice of
 * sample. Adjusts the shard's logits as step 2 of sample does; with p the adjusted ("processed") logits and T the row's
 * temperature it reports the largest p, the sums, and the best id of the unrestricted rule, which is that of sample without
 * top_k, top_p and min_p. A shard without a finite p reports its lowest allowed id, -1 when it allows none, and the score
 * -infinity. Every id in `sample` (history, biases, stop ids) is global, and so is a row of allowed_masks:
 * ceil(global_vocab / 32) words. The logits are only read; token_ids, last_sampled, logprobs, top_ids and top_logprobs are not
 * written and may be NULL. NaN logits count as -infinity.
 *
 * The caller merges a row of all shards thus, with best(x) the largest x over the shards:
 *   sums         total of raw_sum * exp(raw_max - best(raw_max)) over the shards: the logprob of an id is its raw logit -
 *                best(raw_max) - log(total). The same of processed_sum with exp((processed_max - best(processed_max)) / T).
 *                A difference of equals is 0, of infinite equals too.
 *   unrestricted temperature 0, no top_k, top_p and min_p, or best(processed_max) = -infinity: the best_id with the largest
 *                best_score among those that are not -1, ties to the lower id; 0 when all are -1.
 *   restricted   order all candidates by logit, ties to the lower id. They are the best of the whole vocabulary, without a
 *                gap, up to the first one that is the last column of its shard (a shard whose last column is -1 has given
 *                all it has). Of this known order, with w = exp((logit - best(processed_max)) / T):
 *                  1. top_k > 0: the first top_k;
 *                  2. top_p < 1: the shortest beginning whose w reach top_p * the w of what step 1 kept: their total, or
 *                     without top_k the total of the processed sums;
 *                  3. min_p: those with w >= min_p;
 *                then the id with the largest (logit - best(processed_max)) / T + gumbel(seed, seq_len, id), in float64.
 *   the rest     when the known order is not all there is and ends before step 1 or 2 has enough or, without either, before
 *                a w below min_p: gather the whole row and use sample. Never with 0 < top_k <= max_candidates.
 *   logprobs     the raw logit of a candidate is in candidate_raw, that of a best_id in its shard's logits. The ids with the
 *                best raw logits are the first candidates in a row that step 2 of sample does not change; else gather it.
 * The merge chooses what sample chooses but where two scores or two sums differ by less than the float32 rounding of what a
 * shard reports; then too it is the same on every rank and in every run. */
typedef struct mk_sample_shard_args {
  uint32_t struct_size;
  mk_sample_args sample;       /* logits (sampling rows first, columns of this shard) */
  int32_t vocab_begin;         /* [const] global id of column 0 */
  int32_t global_vocab;        /* [const] */
  int32_t max_candidates;      /* [const] columns of the next three, 1 or more */
  int32_t* candidate_ids;      /* [device] out (num_sampled, max_candidates) best first; -1 past the end */
  float* candidate_logits;     /* [device] out (num_sampled, max_candidates) p of each, not over T; -infinity past the end */
  float* candidate_raw;        /* [device] out (num_sampled, max_candidates) raw logit of each; -infinity past the end */
  float* raw_max;              /* [device] out (num_sampled) largest raw logit */
  float* raw_sum;              /* [device] out (num_sampled) sum exp(l - raw_max) of the raw logits */
  float* processed_max;        /* [device] out (num_sampled) largest p; -infinity when the shard has no finite one */
  float* processed_sum;        /* [device] out (num_sampled) sum exp((p - processed_max) / T) of p > -infinity; T = 0: 1 */
  int32_t* best_id;            /* [device] out (num_sampled) */
  float* best_score;           /* [device] out (num_sampled) p at T = 0, else p / T + gumbel(seed, seq_len, id) */
  int32_t* num_survivors_hint; /* [device] out (num_sampled) ids with p > -infinity and exp((p - processed_max) / T) >=
                                  min_p (T = 0: p = processed_max): no more of this shard survive min_p. May be NULL */
} mk_sample_shard_args;

/* ---- kernels ----------------------------------------------------------------------------------------------------------- */

/* Which matrix of its op a weight is. */
typedef enum mk_weight_slot { MK_SLOT_WEIGHT = 0, MK_SLOT_GATE_UP = 1, MK_SLOT_DOWN = 2 } mk_weight_slot;

typedef struct mk_weight_desc {
  uint32_t struct_size;
  mk_weight_slot slot;
  mk_dtype source_dtype; /* rows as they are in the checkpoint: MK_BF16 or MK_MXFP4 */
  mk_dtype stored_dtype; /* MK_BF16 (also decoded from MXFP4) or MK_MXFP4 */
  int32_t num_experts;
  int32_t rows; /* per expert */
  int32_t cols; /* multiple of 32 for MXFP4 */
} mk_weight_desc;

/* Source rows [row_begin, row_end) of one expert: bf16 (n, cols), or MXFP4 blocks (n, cols / 32, 16) and scales (n, cols / 32).
 * On CUDA src, src_scales and dst are device memory, and src stays as it is until the stream has passed the pack. */
typedef struct mk_pack_args {
  uint32_t struct_size;
  const mk_weight_desc* desc;
  int32_t expert;
  int32_t row_begin; /* multiple of row_granule */
  int32_t row_end;   /* multiple of row_granule, or desc->rows */
  const void* src;
  const void* src_scales; /* NULL for bf16 */
  void* dst;              /* start of the whole packed weight, zeroed before the first call */
} mk_pack_args;

/* How a kernel wants its matrices. Kernels that share a weight must have the same layout_id, or the engine refuses. */
typedef struct mk_packing {
  uint32_t struct_size;
  const char* layout_id; /* names the byte layout for ever: a changed layout gets a new id */
  int32_t row_granule;
  /* Bytes of the whole packed weight, a multiple of 64; -1 when this desc cannot be packed. */
  int64_t (*packed_bytes)(const mk_weight_desc* desc);
  /* Pieces of one weight may be packed in any order and from several threads at once: they touch disjoint bytes. */
  mk_status (*pack)(const mk_pack_args* args, mk_stream stream, mk_error* error);
} mk_packing;

/* The constants of one op, for supports and the byte counts: buffers by capacity, weights by shape; pointers are NULL or
 * unspecified. `args` is the op's args struct. */
typedef struct mk_op_instance {
  mk_op op;
  const void* args;
} mk_op_instance;

/* One kernel. Its `ops` are the op sequence it computes: length 1 for a plain kernel; more for a fused one, such as
 * {LINEAR, ROPE_KV_WRITE}. The engine matches the longest sequence a package offers, then shorter ones, and fuses only where
 * no later op reads what a part but the last wrote (buffers that the last part also writes excepted), so a fused kernel need
 * not store those intermediates. launch gets one args pointer per part. */
typedef struct mk_kernel {
  uint32_t struct_size;
  const char* name; /* such as "experts_mxfp4_avx512" */
  const mk_op* ops;
  int32_t num_ops;
  /* 1 when it can run these instances (in sequence) on the device, else 0. */
  int32_t (*supports)(const mk_device* device, const mk_op_instance* parts, int32_t num_parts);
  /* Memory the launch may scribble on, shared with every other kernel. NULL: none. */
  int64_t (*workspace_bytes)(const mk_device* device, const mk_op_instance* parts, int32_t num_parts);
  /* Memory of this kernel alone, zeroed once and kept between launches (split-K counters, flags). NULL: none. */
  int64_t (*scratch_bytes)(const mk_device* device, const mk_op_instance* parts, int32_t num_parts);
  /* Layout of its matrices; NULL when the op has none. */
  const mk_packing* packing;
  mk_status (*launch)(const void* const* parts, int32_t num_parts, void* workspace, void* scratch, mk_stream stream,
                      mk_error* error);
} mk_kernel;

typedef struct mk_package {
  uint32_t struct_size;
  uint32_t abi_version; /* MK_ABI_VERSION it was built with */
  const char* name;     /* "reference", "cpu", "cuda" or a publisher's own */
  const char* version;
  const mk_kernel* const* kernels; /* in order of preference among those with equal sequences */
  int32_t num_kernels;
} mk_package;

/* The one exported symbol. The returned package and all it points to live until the library is unloaded. NULL when the
 * package cannot serve host_abi_version. */
MK_EXPORT const mk_package* mk_get_package(uint32_t host_abi_version);
typedef const mk_package* (*mk_get_package_fn)(uint32_t host_abi_version);

#ifdef __cplusplus
}
#endif

#endif /* MOESAIC_KERNEL_H_ */
