// attention: softmax over the keys a query sees and one sink, for every (token, head); kernel.h has the formula
//   qkv (tokens, >= num_heads * head_dim) f32 · kv paged f32 · sinks (num_heads) or none · out (tokens, num_heads * head_dim)
//   bound: decode: memory, 8 B per key, dimension and kv head, and 4 flop per key, dimension and head · prefill: f32 FMA
//   Query rows (tokens x heads of one kv head) against chunks of 64 keys, transposed once per chunk so that no score
//   crosses lanes; online softmax over the chunks.
//   figures of one thread (CPU time), Zen 4, 118 GFLOP/s FMA, 8/4 heads of 64, 16,384 keys: 1 token | 2,048 tokens
//   v1 tiles of 48 query rows                                              7.3 GB/s     55 GFLOP/s
//   v2 tiles of 96, the next chunk prefetched while this is transposed    19.6 GB/s     84 GFLOP/s   (shipped)
//      the same over AVX2                                                 20.2 GB/s     78 GFLOP/s
//   Chunks begin at multiples of 64 in the sequence, and masked keys weigh exactly 0: a row has the same bits whether its
//   prompt came whole or in pieces, and whoever shares its tile.
//   oracle: kernels/reference/attention.cc · upstream: none; online softmax: Milakov and Gimelshein, arXiv 1805.02867
#include "attention.h"

#include "check.h"
#include "check_step.h"
#include "offer.h"
#include "parallel.h"

namespace moesaic::cpu {
namespace {

// ---- 1 decide --------------------------------------------------------------------------------------------------------------

// Every sequence with a query ends with one tile that is not full. From constants only: step is unknown when this is asked.
int64_t max_tiles(const mk_attention_args& args) {
  const int64_t group_size = args.num_heads / args.kv.num_kv_heads;
  return args.out.max_rows * group_size / kQueryRows + args.out.max_rows + 1;
}

int64_t tiles_bytes(const mk_attention_args& args) {
  return round_up(max_tiles(args) * int64_t{sizeof(AttentionTile)}, 64);
}

// Cuts the step's queries into tiles; *work counts multiply-adds of one kv head.
int64_t cut_tiles(const mk_attention_args& args, AttentionTile* tiles, int64_t* work) {
  const mk_step& step = *args.step;
  const int64_t group_size = args.num_heads / args.kv.num_kv_heads;
  int64_t count = 0;
  for (int32_t seq = 0; seq < *step.num_seqs; ++seq) {
    const int64_t first = step.query_starts[seq], rows = (step.query_starts[seq + 1] - first) * group_size;
    const Tiling tiling = tile_rows(rows, kQueryRows);
    for (int64_t i = 0; i < tiling.num_tiles; ++i) {
      const int64_t begin = tiling.first_row(i), size = tiling.first_row(i + 1) - begin;
      const int64_t position = step.positions[first + begin / group_size];
      tiles[count++] = {static_cast<int32_t>(first), step.seq_rows[seq], static_cast<int32_t>(begin),
                        static_cast<int32_t>(size)};
      *work += 2 * size * args.kv.head_dim * (position + 1 - first_key(position, args.window));
    }
  }
  return count;
}

// ---- 2 compute -------------------------------------------------------------------------------------------------------------

void run(AttentionIsa isa, const mk_attention_args& args, void* workspace, const mk_cpu_stream& stream) {
  AttentionTile* tiles = static_cast<AttentionTile*>(workspace);
  int64_t head_work = 0;
  const int64_t num_tiles = cut_tiles(args, tiles, &head_work);
  if (num_tiles == 0) return;
  const AttentionWork work = {tiles,
                              num_tiles,
                              args.step->positions,
                              static_cast<const float*>(args.qkv.data),
                              args.qkv.cols,
                              static_cast<const float*>(args.sinks.data),
                              args.kv,
                              static_cast<float*>(args.out.data),
                              args.out.cols,
                              args.num_heads,
                              args.window,
                              args.scale,
                              reinterpret_cast<float*>(static_cast<char*>(workspace) + tiles_bytes(args))};
  parallel(stream, num_tiles * args.kv.num_kv_heads, head_work / num_tiles,
           [&](int64_t begin, int64_t end, int32_t thread) { isa(work, begin, end, thread); });
}

// ---- 3 check, launch -------------------------------------------------------------------------------------------------------

bool is_attention(const mk_attention_args& args) {
  const int64_t cols = int64_t{args.num_heads} * args.kv.head_dim;
  return is_supported_kv(args.kv, args.num_heads) && args.qkv.cols >= cols && args.out.cols == cols && args.window >= 0;
}

// Queries of each sequence, and the blocks of every key they see.
mk_status check_queries(const mk_attention_args& args, int64_t num_tokens, mk_error* error) {
  const mk_step& step = *args.step;
  if (step.num_seqs == nullptr || step.query_starts == nullptr || step.seq_rows == nullptr) {
    return fail(error, MK_INVALID_ARGUMENT, "step: num_seqs, query_starts and seq_rows wanted");
  }
  const int32_t num_seqs = *step.num_seqs;
  if (num_seqs < 0 || num_seqs > step.max_seqs || step.query_starts[0] != 0 ||
      step.query_starts[num_seqs] != num_tokens) {
    return fail(error, MK_INVALID_ARGUMENT, "step: %d sequences of room for %d, whose queries are not the %lld tokens",
                num_seqs, step.max_seqs, static_cast<long long>(num_tokens));
  }
  for (int32_t seq = 0; seq < num_seqs; ++seq) {
    const int32_t begin = step.query_starts[seq], end = step.query_starts[seq + 1];
    if (begin > end || end > num_tokens)
      return fail(error, MK_INVALID_ARGUMENT, "step: query_starts[%d] is %d", seq + 1, end);
    if (begin == end) continue;
    int64_t low = INT64_MAX, high = 0;
    for (int32_t token = begin; token < end; ++token) {
      const int64_t position = step.positions[token];
      if (position < 0)
        return fail(error, MK_INVALID_ARGUMENT, "step: positions[%d] is %d", token, step.positions[token]);
      const int64_t first = first_key(position, args.window);
      if (first < low) low = first;
      if (position > high) high = position;
    }
    MK_TRY(check_blocks(args.kv, step.seq_rows[seq], low, high, error));
  }
  return MK_OK;
}

mk_status check(const mk_attention_args& args, const void* workspace, mk_error* error) {
  int64_t num_tokens = 0;
  MK_TRY(check_kv(args.kv, args.num_heads, error));
  MK_TRY(check_buffer(args.qkv, args.qkv.cols, "attention.qkv", error));
  MK_TRY(check_buffer(args.out, int64_t{args.num_heads} * args.kv.head_dim, "attention.out", error));
  MK_TRY(check_optional_vector(args.sinks, args.num_heads, "attention.sinks", error));
  MK_TRY(check_tokens(args.step, &num_tokens, error));
  if (!is_attention(args) || num_tokens > args.qkv.max_rows || num_tokens > args.out.max_rows) {
    return fail(error, MK_INVALID_ARGUMENT, "attention: qkv of (%lld, >= %lld) wanted, (%d, %d) given; window %d",
                static_cast<long long>(num_tokens), static_cast<long long>(args.num_heads) * args.kv.head_dim,
                args.qkv.max_rows, args.qkv.cols, args.window);
  }
  if (workspace == nullptr) return fail(error, MK_RESOURCE_EXHAUSTED, "attention: workspace is NULL");
  return check_queries(args, num_tokens, error);
}

template <uint32_t kFeatures>
int32_t supports(const mk_device* device, const mk_op_instance* parts, int32_t num_parts) {
  return num_parts == 1 && has_features(device, kFeatures) && is_attention(part<mk_attention_args>(parts, 0));
}

// Tiles, then one scratch for each thread.
int64_t workspace_bytes(const mk_device* device, const mk_op_instance* parts, int32_t) {
  const mk_attention_args& args = part<mk_attention_args>(parts, 0);
  return tiles_bytes(args) + device->num_units * scratch_floats(args.kv.head_dim) * int64_t{sizeof(float)};
}

template <AttentionIsa kIsa>
mk_status launch(const void* const* parts, int32_t, void* workspace, void*, mk_stream stream, mk_error* error) {
  const mk_attention_args* args = nullptr;
  const mk_cpu_stream* pool = nullptr;
  MK_TRY(take_args(parts[0], "attention", &args, error));
  MK_TRY(check_stream(stream, &pool, error));
  MK_TRY(check(*args, workspace, error));
  run(kIsa, *args, workspace, *pool);
  return MK_OK;
}

const mk_op kOps[] = {MK_OP_ATTENTION};

}  // namespace

// ---- 4 offer ---------------------------------------------------------------------------------------------------------------

const mk_kernel kAttentionAvx2 = {sizeof(mk_kernel),     "attention_f32_avx2", kOps,    1,
                                  supports<MK_CPU_AVX2>, workspace_bytes,      nullptr, nullptr,
                                  launch<attend_avx2>};
const mk_kernel kAttentionAvx512 = {sizeof(mk_kernel),       "attention_f32_avx512", kOps,    1,
                                    supports<MK_CPU_AVX512>, workspace_bytes,        nullptr, nullptr,
                                    launch<attend_avx512>};

}  // namespace moesaic::cpu
