// linear, fast: out[t, r] = (accumulate ? out[t, r] : 0) + sum_c weight[r, c] * x[t, c] + bias[r], x rounded to bf16
//   x (rows, in) f32 · weight (out, in) bf16, rowmajor_bf16 · bias (out) f32 or absent · out (rows, out) f32 · in % 8 == 0
//   up to 8 rows    matmul_stream: bound by memory
//   more            x to bf16 in the workspace, then matmul_block, K being split where there are few blocks: bound by memory up
//                   to 64 rows, then by mma.sync
//   deterministic   matmul_stream for any number of rows, the weights once per 64
//   oracle: kernels/reference/linear.cc
#include "kernels.h"
#include "linear.cuh"
#include "matmul_block.cuh"
#include "matmul_stream.cuh"
#include "packing.h"

namespace moesaic::cuda {

namespace {

constexpr int32_t kMostStreamRows = 8;
// Blocks of so few rows are small enough that three fit an SM.
constexpr int32_t kMostFewRows = 2;
constexpr int64_t kFewRowsBlocks = 264;
constexpr int64_t kSplitBlocks = 132;  // where there are fewer, K is split into parts of kLeastPartUnits or more
constexpr int64_t kLeastPartUnits = 4;
constexpr int64_t kPartialsBytes = kSplitBlocks * kBlockRows * kFewBlockTokens * 4;

// ---- 1 decide ------------------------------------------------------------------------------------------------------------

template <bool kDeterministic>
bool shapes(const mk_linear_args& args, const mk_device& device) {
  return device.precision == MK_FAST && (device.deterministic != 0) == kDeterministic && args.weight.cols % 8 == 0 &&
         linear_shapes(args);
}

int64_t rounded_bytes(const mk_linear_args& args) {
  return ceil_div(2 * static_cast<int64_t>(args.x.max_rows) * args.x.cols, 64) * 64;
}

int64_t workspace_bytes(const mk_linear_args& args, const mk_device&) {
  return args.x.max_rows > kMostStreamRows ? rounded_bytes(args) + kPartialsBytes : 64;
}

// A counter for each block of a launch that splits K.
int64_t scratch_bytes(const mk_linear_args&, const mk_device&) { return kSplitBlocks * 4; }

int32_t choose_parts(int64_t blocks, int32_t cols) {
  const int64_t most = ceil_div(cols, kTileCols) / kLeastPartUnits;
  return static_cast<int32_t>(std::max<int64_t>(1, std::min(kSplitBlocks / blocks, most)));
}

// ---- 3 launch ------------------------------------------------------------------------------------------------------------

// Blocks of 64 tokens where those of 128 are fewer than a GPU takes at a time.
mk_status start_blocks(const Matmul& job, int32_t rows, cudaStream_t stream, mk_error* error) {
  using Stage = Bf16Stage<false>;
  const int64_t row_blocks = ceil_div(job.rows, kBlockRows), many = ceil_div(rows, kBlockTokens);
  if (rows > kFewBlockTokens && row_blocks * many >= kSplitBlocks)
    return start_block<Stage, Product::kLinear, kBlockTokens>(job, many, 1, stream, error);
  const int64_t few = ceil_div(rows, kFewBlockTokens);
  const int32_t parts = choose_parts(row_blocks * few, job.cols);
  return start_block<Stage, Product::kLinear, kFewBlockTokens>(job, few, parts, stream, error);
}

template <bool kDeterministic>
mk_status run(const mk_linear_args& args, void* workspace, void* scratch, cudaStream_t stream, mk_error* error) {
  int32_t rows = 0;
  const mk_status status = check_linear(args, &rows, error);
  if (status != MK_OK || rows == 0) return status;
  Matmul job = matmul_of(args);
  if (kDeterministic || rows <= kMostStreamRows) {
    if (!kDeterministic && rows <= kMostFewRows) {
      job.row_warps = choose_row_warps(job.rows, kFewRowsBlocks);
      job.panel_tokens = rows;
    }
    const int32_t tiles = choose_tiles(rows);
    return start_stream<Bf16Queue<false>, Product::kLinear, float>(job, tiles, ceil_div(rows, 8 * tiles), stream, error);
  }
  job.x = workspace;
  round_rows(args.x.num_rows, 0, rows, static_cast<const float*>(args.x.data), args.x.cols, workspace, stream);
  job.partials = reinterpret_cast<float4*>(static_cast<char*>(workspace) + rounded_bytes(args));
  job.counters = static_cast<int32_t*>(scratch);
  return start_blocks(job, rows, stream, error);
}

}  // namespace

// ---- 4 offer ---------------------------------------------------------------------------------------------------------------

const mk_kernel linear_fast_kernel =
    CudaKernel<MK_OP_LINEAR, mk_linear_args, shapes<false>, run<false>, workspace_bytes, scratch_bytes>::offer(
        "linear_bf16_fast", &rowmajor_bf16);
const mk_kernel linear_deterministic_kernel =
    CudaKernel<MK_OP_LINEAR, mk_linear_args, shapes<true>, run<true>>::offer("linear_bf16_deterministic", &rowmajor_bf16);

}  // namespace moesaic::cuda
