// matmul_block: products of a matrix with many tokens, bound by mma.sync.
//   Blocks of 128 rows x 64 or 128 tokens, 8 warps as 4 x 2, each 32 rows x half of the tokens; both sides come through a ring
//   of 64-column stages in shared memory, weights of MXFP4 as tiles that a warp decodes in registers. Tokens are bf16 already.
//   Where a linear has too few blocks for a GPU, K is split among blocks: each leaves its sums in the workspace, and the one
//   that ends last adds all of them, in the order of K.
//   A wgmma kernel would take the place of block_kernel: the stages and the epilogue fit it.
//   bf16 stages: rows of 128 bytes; odd rows have their two halves exchanged, so that eight lanes of a read (two rows, 64 bytes
//   each) fall into all 32 banks.
#pragma once

#include "matmul.cuh"
#include "matmul_stream.cuh"

namespace moesaic::cuda {

constexpr int kBlockRows = 128;
constexpr int kBlockTokens = 128;
constexpr int kFewBlockTokens = 64;
constexpr int kRowsBytes = kBlockRows * kTileCols * 2;  // of bf16 weights in a stage

template <int kTokens>
constexpr int kTokensBytes = kTokens * kTileCols * 2;

__device__ __forceinline__ int side_offset(int row, int piece) { return row * 128 + ((piece ^ (row & 1) << 2) << 4); }

// The weights of a stage. `fetch` is called by all threads; `read` gives a warp the fragments of
// chunk j of a row tile.
template <bool kPaired>
struct Bf16Stage {
  static constexpr int kBytes = kRowsBytes;

  // Row 32 further in the block is row 32 further in the matrix, paired or not.
  __device__ Bf16Stage(const Matmul& job, int32_t expert, int32_t first_tile)
      : matrix_(Bf16Rows::matrix(job, expert)), rows_(job.rows), cols_(job.cols) {
    const int r = threadIdx.x / 8;
    row_ = static_cast<int32_t>(tile_row(first_tile + r / kTileRows, r % kTileRows, kPaired));
  }

  __device__ void fetch(char* at, int32_t unit) const {
    const int piece = threadIdx.x % 8;
    const int32_t col = unit * kTileCols + piece * 8;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const bool exists = row_ + 32 * i < rows_ && col < cols_;
      copy_async_16(at + side_offset(threadIdx.x / 8 + 32 * i, piece),
                    matrix_ + (exists ? static_cast<int64_t>(row_ + 32 * i) * cols_ + col : 0), exists);
    }
  }

  static __device__ void read(const char* at, int32_t row_tile, int j, uint32_t (&a)[2][4]) {
    const int lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
    const uint4 low = *reinterpret_cast<const uint4*>(at + side_offset(row_tile * kTileRows + g, 4 * j + t));
    const uint4 high = *reinterpret_cast<const uint4*>(at + side_offset(row_tile * kTileRows + g + 8, 4 * j + t));
    a[0][0] = low.x, a[0][1] = high.x, a[0][2] = low.y, a[0][3] = high.y;
    a[1][0] = low.z, a[1][1] = high.z, a[1][2] = low.w, a[1][3] = high.w;
  }

 private:
  const __nv_bfloat16* matrix_;
  int32_t row_;  // the first of four that this thread copies
  int32_t rows_, cols_;
};

struct Mxfp4Stage {
  static constexpr int kRowTiles = kBlockRows / kTileRows;
  static constexpr int kBytes = kRowTiles * kMxfp4TileBytes;
  static constexpr int kTilePieces = kMxfp4TileBytes / 16;

  __device__ Mxfp4Stage(const Matmul& job, int32_t expert, int32_t first_tile)
      : num_tiles_(min((job.rows + kTileRows - 1) / kTileRows - first_tile, kRowTiles)),
        tile_stride_(static_cast<int64_t>((job.cols + kTileCols - 1) / kTileCols) * kMxfp4TileBytes),
        tiles_(Mxfp4Tiles::row_tile(job, expert, first_tile)) {}

  __device__ void fetch(char* at, int32_t unit) const {
    for (int i = threadIdx.x; i < kRowTiles * kTilePieces; i += kMatmulThreads) {
      const int tile = i / kTilePieces, piece = i % kTilePieces;
      const bool exists = tile < num_tiles_;
      copy_async_16(at + i * 16,
                    tiles_ + (exists ? tile * tile_stride_ + static_cast<int64_t>(unit) * kMxfp4TileBytes + piece * 16 : 0),
                    exists);
    }
  }

  static __device__ void read(const char* at, int32_t row_tile, int j, uint32_t (&a)[2][4]) {
    const int lane = threadIdx.x % 32;
    const char* const tile = at + row_tile * kMxfp4TileBytes;
    decode_chunk(reinterpret_cast<const uint2*>(tile)[2 * lane + j],
                 reinterpret_cast<const uint32_t*>(tile + kMxfp4ScalesAt)[lane / 4], j, a);
  }

 private:
  int32_t num_tiles_;
  int64_t tile_stride_;
  const char* tiles_;
};

// Stages of a ring, so that two blocks fit an SM.
template <class Stage, int kTokens>
constexpr int kRingStages = std::min(8, 100 * 1024 / (Stage::kBytes + kTokensBytes<kTokens>));

// The token side of a stage, in bf16: x_rows in shared memory says which row of x a token has, -1: none, zeros.
template <int kTokens>
__device__ __forceinline__ void fetch_tokens(const Matmul& job, const int32_t* x_rows, char* at, int32_t unit) {
  const int piece = threadIdx.x % 8;
  const int32_t col = unit * kTileCols + piece * 8;
#pragma unroll
  for (int i = 0; i < kTokens / 32; ++i) {
    const int token = threadIdx.x / 8 + 32 * i;
    const bool exists = x_rows[token] >= 0 && col < job.cols;
    copy_async_16(
        at + side_offset(token, piece),
        static_cast<const __nv_bfloat16*>(job.x) + (exists ? static_cast<int64_t>(x_rows[token]) * job.cols + col : 0), exists);
  }
}

// Blocks that have registers left for it, of products that are alone in their launch.
template <Product kProduct, int kTokens>
constexpr bool can_split = kProduct == Product::kLinear && kTokens <= kFewBlockTokens;

// Sums of one part of K become those of all, in the block that is the last to come here; false in the others. Part 0 first.
template <int kTokens>
__device__ __forceinline__ bool add_parts(const Matmul& job, float (&sums)[2][kTokens / 16][4]) {
  constexpr int kFragments = kTokens / 8;
  __shared__ bool is_last;
  const int64_t block = static_cast<int64_t>(blockIdx.y) * gridDim.x + blockIdx.x;
  const int64_t part_stride = static_cast<int64_t>(gridDim.x) * gridDim.y * kFragments * kMatmulThreads;
  float4* const first = job.partials + block * kFragments * kMatmulThreads + threadIdx.x;
  float4* const mine = first + blockIdx.z * part_stride;
#pragma unroll
  for (int f = 0; f < kFragments; ++f) {
    const float(&sum)[4] = sums[f % 2][f / 2];
    __stcg(mine + f * kMatmulThreads, make_float4(sum[0], sum[1], sum[2], sum[3]));
  }
  __threadfence();
  __syncthreads();  // all of this block's sums are there for all blocks
  if (threadIdx.x == 0) {
    is_last = atomicAdd(job.counters + block, 1) == static_cast<int32_t>(gridDim.z) - 1;
    if (is_last) job.counters[block] = 0;
    __threadfence();
  }
  __syncthreads();
  if (!is_last) return false;
#pragma unroll
  for (int f = 0; f < kFragments; ++f) {
    const float4 part = __ldcg(first + f * kMatmulThreads);
    float(&sum)[4] = sums[f % 2][f / 2];
    sum[0] = part.x, sum[1] = part.y, sum[2] = part.z, sum[3] = part.w;
  }
  for (unsigned z = 1; z < gridDim.z; ++z) {
#pragma unroll
    for (int f = 0; f < kFragments; ++f) {
      const float4 part = __ldcg(first + z * part_stride + f * kMatmulThreads);
      float(&sum)[4] = sums[f % 2][f / 2];
      sum[0] += part.x, sum[1] += part.y, sum[2] += part.z, sum[3] += part.w;
    }
  }
  return true;
}

// grid (ceil(rows / 128), tiles of kTokens tokens, parts of K of job.panel_units: one where !can_split).
// cols % 8 == 0; job.x is bf16.
template <class Stage, Product kProduct, int kTokens>
__global__ void __launch_bounds__(kMatmulThreads, 2) block_kernel(const Matmul job) {
  constexpr int kStages = kRingStages<Stage, kTokens>, kSideBytes = kTokensBytes<kTokens>;
  constexpr int kStageBytes = Stage::kBytes + kSideBytes, kWarpTiles = kTokens / 16;
  extern __shared__ __align__(128) char shared[];
  __shared__ BlockTokens<kProduct, kTokens> tokens;
  __shared__ int32_t x_rows[kTokens];
  if (!tokens.find(job)) return;
  for (int32_t i = threadIdx.x; i < kTokens; i += kMatmulThreads)
    x_rows[i] = i < tokens.tile.count ? tokens.x_row(job, i) : -1;
  __syncthreads();

  const int32_t lane = threadIdx.x % 32, warp = threadIdx.x / 32, g = lane / 4, t = lane % 4;
  const int32_t warp_row = warp % 4, warp_token = warp / 4;
  const int32_t first_tile = static_cast<int32_t>(blockIdx.x) * (kBlockRows / kTileRows);
  const int32_t num_units = (job.cols + kTileCols - 1) / kTileCols;
  constexpr bool kHasParts = can_split<kProduct, kTokens>;
  const int32_t first_unit = kHasParts ? static_cast<int32_t>(blockIdx.z) * job.panel_units : 0;
  const int32_t end = kHasParts ? min(first_unit + job.panel_units, num_units) : num_units;
  const Stage weights(job, tokens.tile.expert, first_tile);

  const auto fetch = [&](int32_t unit) {
    char* const at = shared + unit % kStages * kStageBytes;
    if (unit < end) {
      fetch_tokens<kTokens>(job, x_rows, at, unit);
      weights.fetch(at + kSideBytes, unit);
    }
    commit_copies();
  };
  for (int32_t i = 0; i < kStages - 1; ++i) fetch(first_unit + i);

  float sums[2][kWarpTiles][4] = {};
  for (int32_t unit = first_unit; unit < end; ++unit) {
    wait_copies<kStages - 2>();
    __syncthreads();  // the stage is there for all, and all have read the one before, which is filled next
    fetch(unit + kStages - 1);
    const char* const at = shared + unit % kStages * kStageBytes;
#pragma unroll
    for (int j = 0; j < 2; ++j) {
      uint32_t a[2][2][4];
      Stage::read(at + kSideBytes, 2 * warp_row, j, a[0]);
      Stage::read(at + kSideBytes, 2 * warp_row + 1, j, a[1]);
#pragma unroll
      for (int n = 0; n < kWarpTiles; ++n) {
        const uint4 b = *reinterpret_cast<const uint4*>(at + side_offset(warp_token * (kTokens / 2) + n * 8 + g, 4 * j + t));
#pragma unroll
        for (int m = 0; m < 2; ++m) {
          mma_bf16(sums[m][n], a[m][0], b.x, b.y);
          mma_bf16(sums[m][n], a[m][1], b.z, b.w);
        }
      }
    }
  }
  wait_copies<0>();
  if constexpr (kHasParts) {
    if (gridDim.z > 1 && !add_parts<kTokens>(job, sums)) return;
  }

#pragma unroll
  for (int n = 0; n < kWarpTiles; ++n) {
#pragma unroll
    for (int e = 0; e < 2; ++e) {
      const int32_t token = warp_token * (kTokens / 2) + n * 8 + 2 * t + e;
      if (token >= tokens.tile.count) continue;
      const int32_t out_row = tokens.out_row(token);
#pragma unroll
      for (int m = 0; m < 2; ++m) {
        const int64_t tile = first_tile + 2 * warp_row + m;
        if constexpr (kProduct == Product::kGateUp) {
          store_pair(job, tokens.tile.expert, out_row, tile * 8 + g, sums[m][n][e], sums[m][n][2 + e]);
        } else {
          store_row<kProduct>(job, tokens.tile.expert, out_row, tile * kTileRows + g, sums[m][n][e]);
          store_row<kProduct>(job, tokens.tile.expert, out_row, tile * kTileRows + g + 8, sums[m][n][2 + e]);
        }
      }
    }
  }
}

template <class Stage, Product kProduct, int kTokens>
mk_status start_block(Matmul job, int64_t token_blocks, int32_t parts, cudaStream_t stream, mk_error* error) {
  job.panel_units = static_cast<int32_t>(ceil_div(ceil_div(job.cols, kTileCols), parts));
  const dim3 grid(static_cast<unsigned>(ceil_div(job.rows, kBlockRows)), static_cast<unsigned>(token_blocks),
                  static_cast<unsigned>(parts));
  return start_kernel(block_kernel<Stage, kProduct, kTokens>, grid,
                      kRingStages<Stage, kTokens> * (Stage::kBytes + kTokensBytes<kTokens>), job, stream, error);
}

// ---- tokens to bf16 ------------------------------------------------------------------------------------------------------

// Eight columns per thread of rows [0, *num_rows - row_base), at most max_rows.
static __global__ void __launch_bounds__(kMatmulThreads)
    round_kernel(const int32_t* num_rows, int32_t row_base, int32_t max_rows, const float* x, int32_t cols, uint4* out) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kMatmulThreads + threadIdx.x;
  if (i * 8 >= static_cast<int64_t>(min(*num_rows - row_base, max_rows)) * cols) return;
  out[i] = load_bf16x8(x + i * 8);
}

// x is of row row_base. cols % 8 == 0.
inline void round_rows(const int32_t* num_rows, int32_t row_base, int32_t max_rows, const float* x, int32_t cols, void* out,
                       cudaStream_t stream) {
  const int64_t threads = static_cast<int64_t>(max_rows) * cols / 8;
  round_kernel<<<static_cast<unsigned>(ceil_div(threads, kMatmulThreads)), kMatmulThreads, 0, stream>>>(
      num_rows, row_base, max_rows, x, cols, static_cast<uint4*>(out));
}

}  // namespace moesaic::cuda
