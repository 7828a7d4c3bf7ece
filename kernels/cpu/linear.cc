// linear: out[t, r] = (accumulate ? out[t, r] : 0) + sum_c weight[r, c] * x[t, c] + bias[r]
//   x (rows, in) f32 · weight (out, in) bf16 in il16_bf16 · bias (out) f32 or none · out (rows, out) f32 · math in f32
//   bound: few rows: memory, 2 B per weight · many rows: 2 flop per weight and row, f32 FMA
//   figures of one thread (CPU time), Zen 4, 118 GFLOP/s FMA: (201088, 2880) x 1 row | (5120, 2880) x 512 rows
//   v1 16 output rows per vector, tiles of 2 such groups x 12 rows of x, prefetch     24.5 GB/s    101 GFLOP/s
//   v2 tiles of 4 groups x 1..6 rows, one row left to the hardware's prefetch         30.3 GB/s    110 GFLOP/s   (shipped)
//      the same over AVX2, tiles of 4..1 groups x 1..6 rows                           23.4 GB/s    104 GFLOP/s
//   fused {linear, rope_kv_write}: one head per item; its rows are computed, rotated and stored while in cache
//   oracle: kernels/reference/linear.cc, rope_kv_write.cc · upstream: none
#include "linear.h"

#include "check.h"
#include "check_step.h"
#include "offer.h"
#include "pack_rows.h"
#include "parallel.h"

namespace moesaic::cpu {

// ---- 1 decide --------------------------------------------------------------------------------------------------------------

// Groups in fours fill the registers at one row of x; with too few of them for all threads, singly.
static int64_t choose_groups_per_item(int64_t out_features, int32_t num_threads) {
  return num_groups(out_features) >= 8 * int64_t{num_threads} ? 4 : 1;
}

int64_t linear_workspace_bytes(int64_t max_rows, int64_t cols) {
  return max_rows <= 1 ? 0 : round_up(rows_in_pass(max_rows) * cols * int64_t{sizeof(float)}, 64);
}

// ---- 2 compute -------------------------------------------------------------------------------------------------------------

// One row is packed already.
const float* pack_pass(const float* x, int64_t stride, const Tiling& tiling, int64_t cols, float* packed,
                       const mk_cpu_stream& stream) {
  if (tiling.num_rows == 1) return x;
  parallel(stream, tiling.num_tiles, tiling.first_row(1) * cols, [&](int64_t begin, int64_t end, int32_t) {
    for (int64_t tile = begin; tile < end; ++tile) {
      const float* rows[kMaxTileRows];
      const int64_t first = tiling.first_row(tile), count = tiling.first_row(tile + 1) - first;
      for (int64_t row = 0; row < count; ++row) rows[row] = x + (first + row) * stride;
      pack_tile(rows, count, cols, packed + first * cols);
    }
  });
  return packed;
}

void run_linear(const LinearIsa& isa, LinearWork work, const mk_cpu_stream& stream) {
  work.groups_per_item = choose_groups_per_item(work.out_features, stream.num_threads);
  const int64_t work_per_item = work.groups_per_item * kLanes * work.matrix.cols * work.tiling.num_rows;
  parallel(stream, num_items(work), work_per_item,
           [&](int64_t begin, int64_t end, int32_t) { isa.groups(work, begin, end); });
}

namespace {

// Calls body(first row, rows) for every pass over the weights.
template <typename Body>
void for_passes(int64_t num_rows, Body body) {
  for (int64_t first = 0; first < num_rows; first += kRowsPerPass) body(first, rows_in_pass(num_rows - first));
}

// The part of a linear that a pass of `rows` rows from `first` is.
LinearWork pass_of(const LinearIsa& isa, const mk_linear_args& args, int64_t first, int64_t rows, void* workspace,
                   const mk_cpu_stream& stream) {
  const int64_t cols = args.weight.cols;
  LinearWork work = {};
  work.matrix = expert_matrix(args.weight, false, 0);
  work.bias = static_cast<const float*>(args.bias.data);
  work.out_features = args.weight.rows;
  work.tiling = tile_rows(rows, isa.max_tile_rows);
  work.packed_x = pack_pass(static_cast<const float*>(args.x.data) + first * cols, cols, work.tiling, cols,
                            static_cast<float*>(workspace), stream);
  work.out = static_cast<float*>(args.out.data) + first * args.out.cols;
  work.out_stride = args.out.cols;
  work.accumulate = args.accumulate != 0;
  return work;
}

// ---- 3 check, launch -------------------------------------------------------------------------------------------------------

mk_status check(const mk_linear_args& args, int64_t* rows, const void* workspace, mk_error* error) {
  MK_TRY(check_matrix(args.weight, MK_BF16, "linear.weight", error));
  MK_TRY(check_buffer(args.x, args.weight.cols, "linear.x", error));
  MK_TRY(check_buffer(args.out, args.weight.rows, "linear.out", error));
  MK_TRY(check_optional_vector(args.bias, args.weight.rows, "linear.bias", error));
  MK_TRY(take_rows(args.x.num_rows, args.x, "linear.x", rows, error));
  if (*rows > args.out.max_rows) {
    return fail(error, MK_INVALID_ARGUMENT, "linear.out: %lld rows wanted, room for %d", static_cast<long long>(*rows),
                args.out.max_rows);
  }
  if (*rows > 1 && workspace == nullptr) return fail(error, MK_RESOURCE_EXHAUSTED, "linear: workspace is NULL");
  return MK_OK;
}

bool is_linear(const mk_linear_args& args) {
  return args.weight.dtype == MK_BF16 && args.weight.num_experts == 1 && args.x.cols == args.weight.cols &&
         args.out.cols == args.weight.rows;
}

template <uint32_t kFeatures>
int32_t supports(const mk_device* device, const mk_op_instance* parts, int32_t num_parts) {
  return num_parts == 1 && has_features(device, kFeatures) && is_linear(part<mk_linear_args>(parts, 0));
}

int64_t workspace_bytes(const mk_device*, const mk_op_instance* parts, int32_t) {
  const mk_linear_args& args = part<mk_linear_args>(parts, 0);
  return linear_workspace_bytes(args.x.max_rows, args.weight.cols);
}

template <const LinearIsa& kIsa>
mk_status launch(const void* const* parts, int32_t, void* workspace, void*, mk_stream stream, mk_error* error) {
  const mk_linear_args* args = nullptr;
  const mk_cpu_stream* pool = nullptr;
  int64_t num_rows = 0;
  MK_TRY(take_args(parts[0], "linear", &args, error));
  MK_TRY(check_stream(stream, &pool, error));
  MK_TRY(check(*args, &num_rows, workspace, error));
  for_passes(num_rows, [&](int64_t first, int64_t rows) {
    run_linear(kIsa, pass_of(kIsa, *args, first, rows, workspace, *pool), *pool);
  });
  return MK_OK;
}

// ---- the same for {linear, rope_kv_write} ----------------------------------------------------------------------------------

int64_t num_columns(const mk_rope_kv_write_args& args) {
  return (int64_t{args.num_heads} + 2 * int64_t{args.kv.num_kv_heads}) * args.kv.head_dim;
}

template <uint32_t kFeatures>
int32_t supports_heads(const mk_device* device, const mk_op_instance* parts, int32_t num_parts) {
  if (num_parts != 2 || !has_features(device, kFeatures)) return 0;
  const mk_linear_args& linear = part<mk_linear_args>(parts, 0);
  const mk_rope_kv_write_args& rope = part<mk_rope_kv_write_args>(parts, 1);
  return is_linear(linear) && linear.accumulate == 0 && is_supported_kv(rope.kv, rope.num_heads) &&
         linear.weight.rows == num_columns(rope) && rope.qkv.cols == linear.out.cols;
}

mk_status check_heads(const mk_linear_args& linear, const mk_rope_kv_write_args& args, int64_t num_rows,
                      mk_error* error) {
  int64_t num_tokens = 0;
  MK_TRY(check_kv(args.kv, args.num_heads, error));
  MK_TRY(check_buffer(args.qkv, num_columns(args), "rope_kv_write.qkv", error));
  MK_TRY(check_buffer(args.rope, args.kv.head_dim, "rope_kv_write.rope", error));
  MK_TRY(check_tokens(args.step, &num_tokens, error));
  if (linear.out.data != args.qkv.data || linear.accumulate != 0 || num_rows != num_tokens ||
      num_tokens > args.rope.max_rows) {
    return fail(error, MK_INVALID_ARGUMENT, "linear + rope_kv_write: one buffer of %lld tokens wanted, %lld rows given",
                static_cast<long long>(num_tokens), static_cast<long long>(num_rows));
  }
  return check_slots(args.kv, *args.step, num_tokens, error);
}

template <const LinearIsa& kIsa>
mk_status launch_heads(const void* const* parts, int32_t, void* workspace, void*, mk_stream stream, mk_error* error) {
  const mk_linear_args* linear = nullptr;
  const mk_rope_kv_write_args* args = nullptr;
  const mk_cpu_stream* pool = nullptr;
  int64_t num_rows = 0;
  MK_TRY(take_args(parts[0], "linear", &linear, error));
  MK_TRY(take_args(parts[1], "rope_kv_write", &args, error));
  MK_TRY(check_stream(stream, &pool, error));
  MK_TRY(check(*linear, &num_rows, workspace, error));
  MK_TRY(check_heads(*linear, *args, num_rows, error));
  for_passes(num_rows, [&](int64_t first, int64_t rows) {
    const HeadsWork work = {pass_of(kIsa, *linear, first, rows, workspace, *pool),
                            static_cast<const float*>(args->rope.data),
                            args->step,
                            args->kv,
                            args->num_heads,
                            first};
    parallel(*pool, args->num_heads + 2 * int64_t{args->kv.num_kv_heads},
             rows * args->kv.head_dim * linear->weight.cols,
             [&](int64_t begin, int64_t end, int32_t) { kIsa.heads(work, begin, end); });
  });
  return MK_OK;
}

const mk_op kLinearOps[] = {MK_OP_LINEAR};
const mk_op kHeadsOps[] = {MK_OP_LINEAR, MK_OP_ROPE_KV_WRITE};

}  // namespace

// ---- 4 offer ---------------------------------------------------------------------------------------------------------------

const mk_kernel kLinearAvx2 = {sizeof(mk_kernel),     "linear_bf16_avx2", kLinearOps, 1,
                               supports<MK_CPU_AVX2>, workspace_bytes,    nullptr,    &kPackingBf16,
                               launch<kLinearIsaAvx2>};
const mk_kernel kLinearAvx512 = {sizeof(mk_kernel),       "linear_bf16_avx512", kLinearOps, 1,
                                 supports<MK_CPU_AVX512>, workspace_bytes,      nullptr,    &kPackingBf16,
                                 launch<kLinearIsaAvx512>};
const mk_kernel kLinearRopeKvWriteAvx2 = {sizeof(mk_kernel),
                                          "linear_rope_kv_write_bf16_avx2",
                                          kHeadsOps,
                                          2,
                                          supports_heads<MK_CPU_AVX2>,
                                          workspace_bytes,
                                          nullptr,
                                          &kPackingBf16,
                                          launch_heads<kLinearIsaAvx2>};
const mk_kernel kLinearRopeKvWriteAvx512 = {sizeof(mk_kernel),
                                            "linear_rope_kv_write_bf16_avx512",
                                            kHeadsOps,
                                            2,
                                            supports_heads<MK_CPU_AVX512>,
                                            workspace_bytes,
                                            nullptr,
                                            &kPackingBf16,
                                            launch_heads<kLinearIsaAvx512>};

}  // namespace moesaic::cpu
