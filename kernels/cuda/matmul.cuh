// matmul: what the fast matrix kernels, matmul_stream.cuh and matmul_block.cuh, have in common: their arguments, the rows of
// tokens they read and write, and what is done with a sum.
#pragma once

#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include <cstdint>

#include "e2m1.cuh"
#include "grouping.cuh"
#include "mma.cuh"

namespace moesaic::cuda {

// kLinear: one matrix, every row. kGateUp: x of the pair's token, to act (pairs, rows / 2) bf16. kDown: act of the pair, to
// out.
enum class Product { kLinear, kGateUp, kDown };

constexpr int kMatmulThreads = 256;
constexpr int kMatmulWarps = kMatmulThreads / 32;

struct Matmul {
  const void* weights;   // of all experts
  int32_t rows, cols;    // of one expert's matrix; also the strides of out and x
  const float* bias;     // (experts, rows) or NULL
  const void* x;         // of row 0, in experts of the pass
  void* out;             // likewise
  const int32_t* num_rows;  // kLinear alone
  int32_t accumulate;       // kLinear alone
  float alpha, limit;       // kGateUp alone
  int32_t row_warps;               // matmul_stream alone
  int32_t panel_tokens;            // likewise: most tokens of a block
  int32_t panel_units;             // 64-column units: of a panel, or of a part of K in matmul_block
  float4* partials;                // kLinear of matmul_block: sums of the parts of K, where it is split
  int32_t* counters;               // likewise: parts that are done, of each block; zero between launches
  Grouping groups;                 // kGateUp and kDown
};

// The tokens of a block: expert 0 and consecutive rows, or pairs of one expert.
template <Product kProduct, int kTokens>
struct BlockTokens {
  BlockTile<kTokens> tile;

  // False, for the whole block, when there are none. Ends with a barrier.
  __device__ bool find(const Matmul& job) {
    if constexpr (kProduct != Product::kLinear) {
      return find_tile<kTokens>(job.groups, static_cast<int32_t>(blockIdx.y), tile);
    } else {
      const int32_t left = *job.num_rows - static_cast<int32_t>(blockIdx.y) * kTokens;
      if (left <= 0) return false;
      if (threadIdx.x == 0) {
        tile.expert = 0;
        tile.count = min(left, kTokens);
      }
      __syncthreads();
      return true;
    }
  }

  __device__ int32_t out_row(int32_t i) const {
    if constexpr (kProduct == Product::kLinear) return static_cast<int32_t>(blockIdx.y) * kTokens + i;
    return tile.pairs[i];
  }
  __device__ int32_t x_row(const Matmul& job, int32_t i) const {
    if constexpr (kProduct == Product::kGateUp) return tile.pairs[i] / job.groups.experts_per_token;
    return out_row(i);
  }
};

// Comparisons are written so that a NaN stays one.
__device__ __forceinline__ float gated(float gate, float up, float alpha, float limit) {
  const float g = gate > limit ? limit : gate;
  const float u = up > limit ? limit : up < -limit ? -limit : up;
  return __fmul_rn(__fadd_rn(u, 1.0f), g) / __fadd_rn(1.0f, expf(__fmul_rn(-alpha, g)));
}

// 0 past the matrix.
__device__ __forceinline__ float bias_of(const Matmul& job, int32_t expert, int64_t row) {
  if (job.bias == nullptr || row >= job.rows) return 0;
  return __ldg(job.bias + static_cast<int64_t>(expert) * job.rows + row);
}

__device__ __forceinline__ float with_bias(const Matmul& job, int32_t expert, int64_t row, float sum) {
  return job.bias == nullptr ? sum : sum + bias_of(job, expert, row);
}

// out[out_row, row] = value, or that much more.
template <Product kProduct>
__device__ __forceinline__ void put_row(const Matmul& job, int32_t out_row, int64_t row, float value) {
  if (row >= job.rows) return;
  float* const out = static_cast<float*>(job.out) + static_cast<int64_t>(out_row) * job.rows + row;
  *out = kProduct == Product::kLinear && job.accumulate != 0 ? *out + value : value;
}

// act[out_row, j] from rows 2 j and 2 j + 1.
__device__ __forceinline__ void put_pair(const Matmul& job, int32_t out_row, int64_t j, float gate, float up) {
  if (2 * j >= job.rows) return;
  static_cast<__nv_bfloat16*>(job.out)[static_cast<int64_t>(out_row) * (job.rows / 2) + j] =
      __float2bfloat16_rn(gated(gate, up, job.alpha, job.limit));
}

// The same from sums, before the bias.
template <Product kProduct>
__device__ __forceinline__ void store_row(const Matmul& job, int32_t expert, int32_t out_row, int64_t row, float sum) {
  put_row<kProduct>(job, out_row, row, with_bias(job, expert, row, sum));
}

__device__ __forceinline__ void store_pair(const Matmul& job, int32_t expert, int32_t out_row, int64_t j, float gate,
                                           float up) {
  put_pair(job, out_row, j, with_bias(job, expert, 2 * j, gate), with_bias(job, expert, 2 * j + 1, up));
}

// ---- weights -----------------------------------------------------------------------------------------------------------

// The layouts as the kernels see them: rowmajor_bf16 and cuda_mxfp4_mma16.
struct Bf16Rows {
  static __device__ const __nv_bfloat16* matrix(const Matmul& job, int32_t expert) {
    return static_cast<const __nv_bfloat16*>(job.weights) + static_cast<int64_t>(expert) * job.rows * job.cols;
  }
};

struct Mxfp4Tiles {
  // Tile (row_tile, 0); tiles of a row tile follow each other.
  static __device__ const char* row_tile(const Matmul& job, int32_t expert, int32_t row_tile) {
    const int64_t row_tiles = (job.rows + kTileRows - 1) / kTileRows, col_tiles = (job.cols + kTileCols - 1) / kTileCols;
    return static_cast<const char*>(job.weights) + (expert * row_tiles + row_tile) * col_tiles * kMxfp4TileBytes;
  }
};

}  // namespace moesaic::cuda
