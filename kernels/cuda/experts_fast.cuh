// experts, fast: out[t, s, :] = down[e] act(gate_up[e] x[t] + gate_up_bias[e]) + down_bias[e], e the local expert of the slot
//   x (rows, hidden) f32, rounded to bf16 · act (pairs, intermediate) bf16 in the workspace · out (rows, slots * hidden) f32
//   hidden and intermediate % 8 == 0
//   few pairs an expert   matmul_tiles (MXFP4) or matmul_stream twice: bound by memory
//   more                  x to bf16 in the workspace, then matmul_block twice: bound by memory, then by mma.sync
//   deterministic         for any number of pairs the one of these two that the shape of the weights allows
//   launches: 2 up to 32 pairs; then 3, for the pairs are sorted first; 4 for many
//   oracle: kernels/reference/experts.cc
#pragma once

#include "matmul_block.cuh"
#include "matmul_stream.cuh"
#include "matmul_tiles.cuh"

namespace moesaic::cuda {

constexpr int32_t kFastPassRows = 4096;
// Pairs of an expert, on average, up to which its weights are best read by few tokens, and by blocks of 64.
constexpr int64_t kMostStreamPairs = 12;
constexpr int64_t kMostFewBlockPairs = 40;

struct FastPlan {
  PassPlan pass;
  int64_t x_bytes, act_bytes;

  static FastPlan of(const mk_experts_args& args) {
    FastPlan plan{};
    plan.pass = PassPlan::of(args, kFastPassRows);
    plan.x_bytes = ceil_div(2 * static_cast<int64_t>(plan.pass.rows) * args.x.cols, 64) * 64;
    plan.act_bytes =
        ceil_div(2 * static_cast<int64_t>(plan.pass.rows) * args.expert_ids.cols * args.down.cols, 64) * 64;
    return plan;
  }
  int64_t bytes() const { return pass.bytes() + x_bytes + act_bytes; }
};

inline int64_t fast_workspace_bytes(const mk_experts_args& args, const mk_device&) { return FastPlan::of(args).bytes(); }

template <mk_dtype kDtype, bool kDeterministic>
bool fast_shapes(const mk_experts_args& args, const mk_device& device) {
  return device.precision == MK_FAST && (device.deterministic != 0) == kDeterministic && args.x.cols % 8 == 0 &&
         args.down.cols % 8 == 0 && experts_shapes(args, kDtype);
}

inline Matmul expert_matmul(const mk_experts_args& args, const mk_weight& weight, const mk_weight& bias, const void* x,
                            void* out, const Grouping& groups) {
  Matmul job{};
  job.weights = weight.data;
  job.rows = weight.rows;
  job.cols = weight.cols;
  job.bias = static_cast<const float*>(bias.data);
  job.x = x;
  job.out = out;
  job.alpha = args.alpha;
  job.limit = args.limit;
  job.groups = groups;
  return job;
}

// How a pass of so many pairs is cut.
struct PassShape {
  bool is_block, has_tiles;
  int32_t tiles;  // of 8 pairs in a tile of the grouping
  int32_t tokens_per_tile() const { return 8 * tiles; }
};

template <class Weights, bool kDeterministic>
PassShape shape_pass(const mk_experts_args& args, int32_t rows) {
  const int64_t pairs = static_cast<int64_t>(rows) * args.expert_ids.cols, mean = ceil_div(pairs, args.gate_up.num_experts);
  if (!kDeterministic && mean > kMostStreamPairs && pairs > kBallotPairs)
    return {true, false, (mean <= kMostFewBlockPairs ? kFewBlockTokens : kBlockTokens) / 8};
  // Twice the mean, since experts are not chosen evenly and a second tile reads the weights again.
  const int32_t tiles = choose_tiles(pairs <= kBallotPairs ? rows : 2 * mean);
  // Whether matmul_tiles serves follows from the shape of the weights alone, for its sums have an order of their own.
  const int32_t most_tiles = Weights::kHasTiles ? most_tile_tokens(std::max(args.x.cols, args.down.cols)) / 8 : 0;
  if (most_tiles > 0) return {false, true, std::min(tiles, most_tiles)};
  return {false, false, tiles};
}

template <class Weights, int kTokens>
mk_status start_blocks(const Matmul& gate_up, const Matmul& down, int64_t blocks, cudaStream_t stream, mk_error* error) {
  const mk_status status =
      start_block<typename Weights::PairedStage, Product::kGateUp, kTokens>(gate_up, blocks, 1, stream, error);
  if (status != MK_OK) return status;
  return start_block<typename Weights::Stage, Product::kDown, kTokens>(down, blocks, 1, stream, error);
}

// Rows [row_base, row_base + rows) of the step; `Weights` has the queues and stages of a layout.
template <class Weights, bool kDeterministic>
mk_status run_fast_pass(const mk_experts_args& args, const FastPlan& plan, int32_t row_base, int32_t rows, void* workspace,
                        cudaStream_t stream, mk_error* error) {
  const PassShape shape = shape_pass<Weights, kDeterministic>(args, rows);
  Carver carver(workspace);
  const Grouping groups = group_pairs(args, plan.pass, carver, row_base, rows, shape.tokens_per_tile(), stream);
  void* const x_rounded = carver.take<void>(plan.x_bytes);
  void* const act = carver.take<void>(plan.act_bytes);
  const float* const x = static_cast<const float*>(args.x.data) + static_cast<int64_t>(row_base) * args.x.cols;
  float* const out = static_cast<float*>(args.out.data) + static_cast<int64_t>(row_base) * args.out.cols;
  const int64_t blocks = tile_blocks(groups, rows, shape.tokens_per_tile());
  Matmul gate_up = expert_matmul(args, args.gate_up, args.gate_up_bias, x, act, groups);
  const Matmul down = expert_matmul(args, args.down, args.down_bias, act, out, groups);
  if constexpr (!kDeterministic) {
    if (shape.is_block) {
      round_rows(args.x.num_rows, row_base, rows, x, args.x.cols, x_rounded, stream);
      gate_up.x = x_rounded;
      if (shape.tokens_per_tile() == kFewBlockTokens)
        return start_blocks<Weights, kFewBlockTokens>(gate_up, down, blocks, stream, error);
      return start_blocks<Weights, kBlockTokens>(gate_up, down, blocks, stream, error);
    }
  }
  if constexpr (Weights::kHasTiles) {
    if (shape.has_tiles) {
      const mk_status status = start_tiles<Product::kGateUp, float>(gate_up, shape.tiles, blocks, stream, error);
      if (status != MK_OK) return status;
      return start_tiles<Product::kDown, __nv_bfloat16>(down, shape.tiles, blocks, stream, error);
    }
  }
  const mk_status status =
      start_stream<typename Weights::PairedQueue, Product::kGateUp, float>(gate_up, shape.tiles, blocks, stream, error);
  if (status != MK_OK) return status;
  return start_stream<typename Weights::Queue, Product::kDown, __nv_bfloat16>(down, shape.tiles, blocks, stream, error);
}

template <class Weights, mk_dtype kDtype, bool kDeterministic>
mk_status run_fast(const mk_experts_args& args, void* workspace, void*, cudaStream_t stream, mk_error* error) {
  const mk_status status = check_experts(args, kDtype, error);
  if (status != MK_OK) return status;
  const FastPlan plan = FastPlan::of(args);
  for (int32_t base = 0; base < *args.x.launch_rows; base += plan.pass.rows) {
    const int32_t rows = std::min(plan.pass.rows, *args.x.launch_rows - base);
    const mk_status passed = run_fast_pass<Weights, kDeterministic>(args, plan, base, rows, workspace, stream, error);
    if (passed != MK_OK) return passed;
  }
  return MK_OK;
}

template <class Weights, mk_dtype kDtype, bool kDeterministic>
constexpr mk_kernel offer_fast_experts(const char* name, const mk_packing* packing) {
  return CudaKernel<MK_OP_EXPERTS, mk_experts_args, fast_shapes<kDtype, kDeterministic>,
                    run_fast<Weights, kDtype, kDeterministic>, fast_workspace_bytes>::offer(name, packing);
}

}  // namespace moesaic::cuda
