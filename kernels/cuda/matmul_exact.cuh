// matmul_exact: the same products as matmul.cuh in float32, for any shape.
//   A warp has 4 rows of the matrix and up to 8 tokens. Lane l takes the groups of 8 columns l, l + 32, ...: fused
//   multiply-adds into one float per row and token, ascending, then the lanes' sums by halves (16, 8, 4, 2, 1), the bias,
//   what was there.
//   Under MXFP4 a group's sum of codes is made first and scaled as a whole. No order depends on tokens or blocks:
//   batch-invariant.
//   bound: float32 throughput; weights are read once per 8 tokens
#pragma once

#include "matmul.cuh"

namespace moesaic::cuda {

constexpr int kExactTokens = 8;
constexpr int kExactRows = 4;  // of a warp
constexpr int kGroupCols = 8;

// Eight weights of a row and what their sum is multiplied with.
struct WeightGroup {
  float values[kGroupCols];
  float scale;
};

// rowmajor_bf16 with cols % 8 == 0 where kAligned. Columns past the matrix are 0.
template <bool kAligned>
struct Bf16Groups {
  static constexpr bool kIsScaled = false;
  const uint16_t* row;

  __device__ Bf16Groups(const Matmul& job, int32_t expert, int64_t index)
      : row(static_cast<const uint16_t*>(job.weights) + (static_cast<int64_t>(expert) * job.rows + index) * job.cols) {}

  __device__ void read(int32_t group, int32_t cols, WeightGroup& out) const {
    if constexpr (kAligned) {
      const uint4 words = __ldg(reinterpret_cast<const uint4*>(row) + group);
      const uint32_t pairs[4] = {words.x, words.y, words.z, words.w};
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        out.values[2 * i] = __uint_as_float(pairs[i] << 16);
        out.values[2 * i + 1] = __uint_as_float(pairs[i] & 0xFFFF0000u);
      }
    } else {
#pragma unroll
      for (int i = 0; i < kGroupCols; ++i) {
        const int32_t col = group * kGroupCols + i;
        out.values[i] = col < cols ? __uint_as_float(static_cast<uint32_t>(__ldg(row + col)) << 16) : 0.0f;
      }
    }
    out.scale = 1;
  }
};

// rowmajor_mxfp4: values are twice those of the codes, the scale is half.
struct Mxfp4Groups {
  static constexpr bool kIsScaled = true;
  const uint8_t *codes, *scales;

  __device__ Mxfp4Groups(const Matmul& job, int32_t expert, int64_t index) {
    const int64_t row = static_cast<int64_t>(expert) * job.rows + index;
    const int64_t all_rows = static_cast<int64_t>(job.groups.num_experts) * job.rows;
    codes = static_cast<const uint8_t*>(job.weights) + row * (job.cols / 2);
    scales = static_cast<const uint8_t*>(job.weights) + all_rows * (job.cols / 2) + row * (job.cols / 32);
  }

  __device__ void read(int32_t group, int32_t, WeightGroup& out) const {
    const uint32_t word = __ldg(reinterpret_cast<const uint32_t*>(codes) + group);
#pragma unroll
    for (int i = 0; i < kGroupCols; ++i) out.values[i] = doubled_e2m1(word >> (4 * i) & 15);
    out.scale = halved_scale(__ldg(scales + group / 4));
  }
};

template <bool kAligned>
__device__ __forceinline__ void read_floats(const float* row, int32_t group, int32_t cols, float (&out)[kGroupCols]) {
  if constexpr (kAligned) {
    const float4 a = __ldg(reinterpret_cast<const float4*>(row) + 2 * group);
    const float4 b = __ldg(reinterpret_cast<const float4*>(row) + 2 * group + 1);
    out[0] = a.x, out[1] = a.y, out[2] = a.z, out[3] = a.w, out[4] = b.x, out[5] = b.y, out[6] = b.z, out[7] = b.w;
  } else {
#pragma unroll
    for (int i = 0; i < kGroupCols; ++i) {
      const int32_t col = group * kGroupCols + i;
      out[i] = col < cols ? __ldg(row + col) : 0.0f;
    }
  }
}

__device__ __forceinline__ float sum_lanes(float sum) {
#pragma unroll
  for (int offset = 16; offset > 0; offset /= 2) sum = __fadd_rn(sum, __shfl_xor_sync(~0u, sum, offset));
  return sum;
}

// act in float32: the exact twin of store_pair.
__device__ __forceinline__ void store_exact_pair(const Matmul& job, int32_t expert, int32_t out_row, int64_t j, float gate,
                                                 float up) {
  if (2 * j >= job.rows) return;
  static_cast<float*>(job.out)[static_cast<int64_t>(out_row) * (job.rows / 2) + j] =
      gated(with_bias(job, expert, 2 * j, gate), with_bias(job, expert, 2 * j + 1, up), job.alpha, job.limit);
}

// grid (ceil(rows / 32), tiles of 8 tokens); job.x is float32.
template <class Weights, bool kAligned, Product kProduct>
__global__ void __launch_bounds__(kMatmulThreads) exact_kernel(const Matmul job) {
  __shared__ BlockTokens<kProduct, kExactTokens> tokens;
  __shared__ int32_t x_rows[kExactTokens];
  if (!tokens.find(job)) return;
  const int32_t count = tokens.tile.count, expert = tokens.tile.expert;
  if (threadIdx.x < kExactTokens)
    x_rows[threadIdx.x] = tokens.x_row(job, min(static_cast<int32_t>(threadIdx.x), count - 1));
  __syncthreads();

  const int32_t lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int64_t first_row = (static_cast<int64_t>(blockIdx.x) * kMatmulWarps + warp) * kExactRows;
  const int32_t num_groups = (job.cols + kGroupCols - 1) / kGroupCols;
  const float* const x = static_cast<const float*>(job.x);
  float sums[kExactRows][kExactTokens] = {};
  for (int32_t group = lane; group < num_groups; group += 32) {
    WeightGroup weights[kExactRows];
#pragma unroll
    for (int r = 0; r < kExactRows; ++r)
      Weights(job, expert, min(first_row + r, static_cast<int64_t>(job.rows) - 1)).read(group, job.cols, weights[r]);
#pragma unroll
    for (int i = 0; i < kExactTokens; ++i) {
      if (i >= count) break;
      float values[kGroupCols];
      read_floats<kAligned>(x + static_cast<int64_t>(x_rows[i]) * job.cols, group, job.cols, values);
#pragma unroll
      for (int r = 0; r < kExactRows; ++r) {
        float sum = Weights::kIsScaled ? 0.0f : sums[r][i];
#pragma unroll
        for (int c = 0; c < kGroupCols; ++c) sum = fmaf(weights[r].values[c], values[c], sum);
        sums[r][i] = Weights::kIsScaled ? fmaf(sum, weights[r].scale, sums[r][i]) : sum;
      }
    }
  }
#pragma unroll
  for (int i = 0; i < kExactTokens; ++i) {
    if (i >= count) break;
#pragma unroll
    for (int r = 0; r < kExactRows; ++r) sums[r][i] = sum_lanes(sums[r][i]);
    if (lane != i) continue;
    if constexpr (kProduct == Product::kGateUp) {
#pragma unroll
      for (int r = 0; r < kExactRows; r += 2)
        store_exact_pair(job, expert, tokens.out_row(i), (first_row + r) / 2, sums[r][i], sums[r + 1][i]);
    } else {
#pragma unroll
      for (int r = 0; r < kExactRows; ++r)
        store_row<kProduct>(job, expert, tokens.out_row(i), first_row + r, sums[r][i]);
    }
  }
}

template <class Weights, bool kAligned, Product kProduct>
mk_status start_exact(const Matmul& job, int64_t token_blocks, cudaStream_t stream, mk_error* error) {
  if (token_blocks == 0) return MK_OK;
  if (token_blocks > 65535)
    return refuse(error, MK_INVALID_ARGUMENT, "matmul: %lld tiles of tokens, want at most 65535",
                  static_cast<long long>(token_blocks));
  const dim3 grid(static_cast<unsigned>(ceil_div(job.rows, kMatmulWarps * kExactRows)), static_cast<unsigned>(token_blocks));
  exact_kernel<Weights, kAligned, kProduct><<<grid, kMatmulThreads, 0, stream>>>(job);
  return launched(error);
}

}  // namespace moesaic::cuda
