// router: the experts_per_token largest of weight x + bias, best first, ties to the lower id; softmax over those logits
//   x (rows, hidden) f32 · weight (num_experts, hidden) bf16, rowmajor_bf16 · bias (num_experts) f32 or absent
//   expert_ids (rows, experts_per_token) i32 · expert_weights (rows, experts_per_token) f32
//   float32 in either precision, for a choice must not depend on rounding; a NaN ranks last
//   One block per few rows, a warp per expert in turn. Lane l takes the groups of 8 columns l, l + 32, ... ascending, then the
//   lanes' sums by halves: no order depends on how many rows a block has.
//   bound: latency; the weights come from the L2 once per block
//   oracle: kernels/reference/router.cc
#include <cmath>

#include "kernels.h"
#include "launch_check.h"
#include "matmul_exact.cuh"
#include "packing.h"

namespace moesaic::cuda {
namespace {

constexpr int kThreads = 1024;
constexpr int kWarps = kThreads / 32;
constexpr int32_t kMostExperts = 2048;
constexpr int32_t kManyRows = 256;

// ---- 1 decide ------------------------------------------------------------------------------------------------------------

bool shapes(const mk_router_args& args, const mk_device&) {
  const mk_weight& weight = args.weight;
  const int32_t k = args.expert_ids.cols;
  return weight.dtype == MK_BF16 && weight.num_experts == 1 && weight.cols > 0 && weight.rows > 0 &&
         weight.rows <= kMostExperts && args.x.cols == weight.cols && args.x.max_rows > 0 && args.expert_ids.max_rows > 0 &&
         args.expert_weights.max_rows > 0 && k > 0 && k <= weight.rows && args.expert_weights.cols == k;
}

// ---- 2 compute -----------------------------------------------------------------------------------------------------------

struct Router {
  const float* x;
  const uint16_t* weight;
  const float* bias;
  const int32_t* num_rows;
  int32_t* ids;
  float* weights;
  int32_t num_experts, cols, k;
};

// NaN is the worst there is, so that every row has its experts.
__device__ __forceinline__ float rank_of(float score) { return score == score ? score : -INFINITY; }

// Whether (score, id) stands before (other, other_id); an id of -1 stands behind all.
__device__ __forceinline__ bool is_before(float score, int32_t id, float other, int32_t other_id) {
  if (id < 0 || other_id < 0) return id >= 0;
  return score > other || (score == other && id < other_id);
}

// One warp: the k best of logits in order, each by looking for the best that stands behind the one before it.
__device__ void choose(const Router& job, const float* logits, int64_t row) {
  const int32_t lane = threadIdx.x % 32;
  float last = INFINITY, largest = 0, sum = 0;
  int32_t last_id = -1;
  int32_t* const ids = job.ids + row * job.k;
  float* const weights = job.weights + row * job.k;
  for (int32_t i = 0; i < job.k; ++i) {
    float best = -INFINITY;
    int32_t best_id = -1;
    for (int32_t e = lane; e < job.num_experts; e += 32) {
      const float score = rank_of(logits[e]);
      const bool is_left = i == 0 || is_before(last, last_id, score, e);
      if (is_left && is_before(score, e, best, best_id)) best = score, best_id = e;
    }
#pragma unroll
    for (int offset = 16; offset > 0; offset /= 2) {
      const float other = __shfl_xor_sync(~0u, best, offset);
      const int32_t other_id = __shfl_xor_sync(~0u, best_id, offset);
      if (is_before(other, other_id, best, best_id)) best = other, best_id = other_id;
    }
    last = best, last_id = best_id;
    const float logit = logits[best_id];  // the NaN itself, where it is one
    if (i == 0) largest = logit;
    sum += expf(logit - largest);
    if (lane == 0) ids[i] = best_id;
  }
  __syncwarp();
  for (int32_t i = lane; i < job.k; i += 32) weights[i] = expf(logits[ids[i]] - largest) / sum;
}

// grid (ceil(rows / kRows)), kRows * num_experts floats of shared memory
template <bool kAligned, int kRows>
__global__ void __launch_bounds__(kThreads, 1) router_kernel_of(const Router job) {
  extern __shared__ float logits[];
  const int32_t lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int64_t first = static_cast<int64_t>(blockIdx.x) * kRows;
  const int32_t count = static_cast<int32_t>(min(static_cast<int64_t>(kRows), *job.num_rows - first));
  if (count <= 0) return;
  const int32_t num_groups = (job.cols + kGroupCols - 1) / kGroupCols;
  Matmul matrix{};
  matrix.weights = job.weight;
  matrix.rows = job.num_experts;
  matrix.cols = job.cols;
  for (int32_t e = warp; e < job.num_experts; e += kWarps) {
    const Bf16Groups<kAligned> row(matrix, 0, e);
    float sums[kRows] = {};
#pragma unroll 4
    for (int32_t group = lane; group < num_groups; group += 32) {
      WeightGroup weights;
      row.read(group, job.cols, weights);
#pragma unroll
      for (int r = 0; r < kRows; ++r) {
        float values[kGroupCols];
        read_floats<kAligned>(job.x + (first + min(r, count - 1)) * job.cols, group, job.cols, values);
#pragma unroll
        for (int c = 0; c < kGroupCols; ++c) sums[r] = fmaf(weights.values[c], values[c], sums[r]);
      }
    }
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      const float sum = sum_lanes(sums[r]);
      if (lane == 0) logits[r * job.num_experts + e] = job.bias == nullptr ? sum : sum + job.bias[e];
    }
  }
  __syncthreads();
  if (warp < count) choose(job, logits + warp * job.num_experts, first + warp);
}

// ---- 3 launch ------------------------------------------------------------------------------------------------------------

mk_status check(const mk_router_args& args, int32_t* rows, mk_error* error) {
  if (!shapes(args, {})) return refuse(error, MK_INVALID_ARGUMENT, "router: shapes do not fit each other");
  if (args.weight.data == nullptr) return refuse(error, MK_INVALID_ARGUMENT, "router: weight has no data");
  return take_common_rows("router", args.x, {&args.expert_ids, &args.expert_weights}, rows, error);
}

template <bool kAligned, int kRows>
void start(const Router& job, int32_t rows, cudaStream_t stream) {
  const int shared_bytes = kRows * job.num_experts * static_cast<int>(sizeof(float));
  router_kernel_of<kAligned, kRows>
      <<<static_cast<unsigned>(ceil_div(rows, kRows)), kThreads, shared_bytes, stream>>>(job);
}

mk_status run(const mk_router_args& args, void*, void*, cudaStream_t stream, mk_error* error) {
  int32_t rows = 0;
  const mk_status status = check(args, &rows, error);
  if (status != MK_OK || rows == 0) return status;
  const Router job{static_cast<const float*>(args.x.data),
                   static_cast<const uint16_t*>(args.weight.data),
                   static_cast<const float*>(args.bias.data),
                   args.x.num_rows,
                   static_cast<int32_t*>(args.expert_ids.data),
                   static_cast<float*>(args.expert_weights.data),
                   args.weight.rows,
                   args.weight.cols,
                   args.expert_ids.cols};
  const bool is_aligned = job.cols % kGroupCols == 0, is_many = rows > kManyRows;
  if (is_aligned && is_many) start<true, 4>(job, rows, stream);
  if (is_aligned && !is_many) start<true, 1>(job, rows, stream);
  if (!is_aligned) start<false, 1>(job, rows, stream);
  return launched(error);
}

}  // namespace

// ---- 4 offer ---------------------------------------------------------------------------------------------------------------

const mk_kernel router_kernel = CudaKernel<MK_OP_ROUTER, mk_router_args, shapes, run>::offer("router_bf16", &rowmajor_bf16);

}  // namespace moesaic::cuda
