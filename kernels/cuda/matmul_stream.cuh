// matmul_stream: products of a matrix with few tokens, bound by reading the weights.
//   8 warps: `row_warps` of them side by side, 16 rows each, times 8 / row_warps that share K: K part w takes the 64-column
//   units w, w + parts, ... Every lane streams its own weights through a queue in shared memory, which it alone writes and
//   reads: no barrier for weights. Tokens are converted to bf16 in panels that all warps read.
//   Order of a sum: units of a part ascending, two 32-column chunks of two products each; then the parts ascending, the bias,
//   what was there. It depends on the shape of the matrix alone, not on tokens, panels or blocks: batch-invariant.
//   bound: memory, the weights once per 8 kTiles tokens
#pragma once

#include "matmul.cuh"

namespace moesaic::cuda {

// A lane's queue of units. A stage belongs to all threads of the block, `at` is its start.
template <bool kPaired>
struct Bf16Queue {
  static constexpr int kStages = 4;
  static constexpr int kStageBytes = kMatmulThreads * 64;

  __device__ Bf16Queue(const Matmul& job, int32_t expert, int32_t row_tile) : cols_(job.cols) {
    const int lane = threadIdx.x % 32;
    matrix_ = Bf16Rows::matrix(job, expert);
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int64_t row = tile_row(row_tile, lane / 4 + 8 * half, kPaired);
      offsets_[half] = row < job.rows ? row * job.cols : -1;
    }
  }

  __device__ void fetch(char* at, int32_t unit) const {
#pragma unroll
    for (int j = 0; j < 2; ++j) {
      const int32_t col = unit * kTileCols + 32 * j + 8 * static_cast<int32_t>(threadIdx.x % 4);
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const bool exists = offsets_[half] >= 0 && col < cols_;
        copy_async_16(at + (2 * j + half) * kMatmulThreads * 16 + threadIdx.x * 16,
                      matrix_ + (exists ? offsets_[half] + col : 0), exists);
      }
    }
  }

  // The fragments of chunk j of a unit.
  static __device__ void read(const char* at, int j, uint32_t (&a)[2][4]) {
    const auto* pieces = reinterpret_cast<const uint4*>(at);
    const uint4 g = pieces[2 * j * kMatmulThreads + threadIdx.x], g8 = pieces[(2 * j + 1) * kMatmulThreads + threadIdx.x];
    a[0][0] = g.x, a[0][1] = g8.x, a[0][2] = g.y, a[0][3] = g8.y;
    a[1][0] = g.z, a[1][1] = g8.z, a[1][2] = g.w, a[1][3] = g8.w;
  }

 private:
  const __nv_bfloat16* matrix_;
  int64_t offsets_[2];  // of rows g and g + 8, -1 past the matrix
  int32_t cols_;
};

struct Mxfp4Queue {
  static constexpr int kStages = 8;
  static constexpr int kStageBytes = kMatmulThreads * 20;

  __device__ Mxfp4Queue(const Matmul& job, int32_t expert, int32_t row_tile)
      : exists_(row_tile * kTileRows < job.rows), tile_(Mxfp4Tiles::row_tile(job, expert, exists_ ? row_tile : 0)) {}

  __device__ void fetch(char* at, int32_t unit) const {
    const char* tile = tile_ + static_cast<int64_t>(unit) * kMxfp4TileBytes;
    const int lane = threadIdx.x % 32;
    copy_async_16(at + threadIdx.x * 16, tile + lane * 16, exists_);
    copy_async_4(at + kMatmulThreads * 16 + threadIdx.x * 4, tile + kMxfp4ScalesAt + lane / 4 * 4, exists_);
  }

  static __device__ void read(const char* at, int j, uint32_t (&a)[2][4]) {
    const uint4 codes = reinterpret_cast<const uint4*>(at)[threadIdx.x];
    decode_chunk(j == 0 ? make_uint2(codes.x, codes.y) : make_uint2(codes.z, codes.w),
                 reinterpret_cast<const uint32_t*>(at + kMatmulThreads * 16)[threadIdx.x], j, a);
  }

 private:
  bool exists_;
  const char* tile_;
};

// Bytes of a panel row: 64 more than the columns, so that two rows next to each other fall into all 32 banks.
__host__ __device__ constexpr int panel_stride(int panel_units) { return panel_units * kTileCols * 2 + 64; }

constexpr int kSumStride = 20;  // floats between tokens in the exchange of sums: 16 rows, and no two lanes in one bank

template <class Queue, int kTiles>
__host__ __device__ constexpr int queue_bytes() {
  constexpr int kSums = kMatmulWarps * kTiles * 8 * kSumStride * 4, kQueue = Queue::kStages * Queue::kStageBytes;
  return kSums > kQueue ? kSums : kQueue;
}

// Eight columns each per step, zero past the matrix. Tokens past `count` stay as they are: their sums are never stored.
template <class X, class Tokens>
__device__ __forceinline__ void fill_panel(const Matmul& job, const Tokens& tokens, int32_t first_unit, char* panel) {
  const int32_t pieces = job.panel_units * (kTileCols / 8), stride = panel_stride(job.panel_units);
  const int32_t num_pieces = tokens.tile.count * pieces;
#pragma unroll 4
  for (int32_t i = threadIdx.x; i < num_pieces; i += kMatmulThreads) {
    const int32_t token = i / pieces, piece = i - token * pieces;
    const int32_t col = first_unit * kTileCols + piece * 8;
    uint4 values = make_uint4(0, 0, 0, 0);
    if (col < job.cols)
      values = load_bf16x8(static_cast<const X*>(job.x) + static_cast<int64_t>(tokens.x_row(job, token)) * job.cols + col);
    *reinterpret_cast<uint4*>(panel + token * stride + piece * 16) = values;
  }
}

// grid (ceil(row tiles / row_warps), tiles of 8 kTiles tokens). cols % 8 == 0.
template <class Queue, Product kProduct, class X, int kTiles>
__global__ void __launch_bounds__(kMatmulThreads, kTiles == 1 ? 3 : 1) stream_kernel(const Matmul job) {
  constexpr int kTokens = 8 * kTiles, kStages = Queue::kStages;
  extern __shared__ __align__(128) char shared[];
  __shared__ BlockTokens<kProduct, kTokens> tokens;
  if (!tokens.find(job)) return;

  char* const panel = shared + queue_bytes<Queue, kTiles>();
  const int32_t lane = threadIdx.x % 32, warp = threadIdx.x / 32, g = lane / 4, t = lane % 4;
  const int32_t row_warps = job.row_warps, parts = kMatmulWarps / row_warps;
  const int32_t part = warp / row_warps;
  const int32_t first_tile = static_cast<int32_t>(blockIdx.x) * row_warps;
  const int32_t num_units = (job.cols + kTileCols - 1) / kTileCols;
  const int32_t num_mine = (num_units - part + parts - 1) / parts;  // 0 where parts are more than units
  const int32_t stride = panel_stride(job.panel_units);
  const int32_t row = min(g, job.panel_tokens - 1);  // of the panel; all 8 kTiles but for a linear of fewer tokens
  const Queue queue(job, tokens.tile.expert, first_tile + warp % row_warps);

  const auto stage = [&](int32_t i) { return shared + (i % kStages) * Queue::kStageBytes; };
  const auto fetch = [&](int32_t i) {
    if (i < num_mine) queue.fetch(stage(i), part + i * parts);
    commit_copies();
  };
#pragma unroll
  for (int32_t i = 0; i < kStages - 1; ++i) fetch(i);

  float sums[kTiles][4] = {};
  int32_t i = 0;
  for (int32_t first = 0; first < num_units; first += job.panel_units) {
    if (first > 0) __syncthreads();  // all have read the panel before
    fill_panel<X>(job, tokens, first, panel);
    __syncthreads();
    const int32_t end = min(first + job.panel_units, num_units);
    for (; part + i * parts < end; ++i) {
      fetch(i + kStages - 1);
      wait_copies<kStages - 1>();
      const char* const x = panel + (part + i * parts - first) * (kTileCols * 2) + row * stride + t * 16;
#pragma unroll
      for (int j = 0; j < 2; ++j) {
        uint32_t a[2][4];
        Queue::read(stage(i), j, a);
#pragma unroll
        for (int n = 0; n < kTiles; ++n) {
          const uint4 b = *reinterpret_cast<const uint4*>(x + n * 8 * stride + j * 64);
          mma_bf16(sums[n], a[0], b.x, b.y);
          mma_bf16(sums[n], a[1], b.z, b.w);
        }
      }
    }
  }

  // Sums of all parts meet in the queue's memory: [warp][token][row of its tile].
  wait_copies<0>();
  __syncthreads();
  auto* const exchange = reinterpret_cast<float*>(shared);
#pragma unroll
  for (int n = 0; n < kTiles; ++n) {
    float* const to = exchange + (warp * kTokens + n * 8 + 2 * t) * kSumStride + g;
    to[0] = sums[n][0];
    to[kSumStride] = sums[n][1];
    to[8] = sums[n][2];
    to[kSumStride + 8] = sums[n][3];
  }
  __syncthreads();
  const auto total = [&](int32_t row_warp, int32_t token, int32_t row) {
    float sum = 0;
    for (int32_t w = row_warp; w < kMatmulWarps; w += row_warps) sum += exchange[(w * kTokens + token) * kSumStride + row];
    return sum;
  };
  constexpr int kStored = kProduct == Product::kGateUp ? 8 : 16;  // values of a token per row tile
  const int32_t num_stored = row_warps * kStored;
  for (int32_t at = threadIdx.x; at < tokens.tile.count * num_stored; at += kMatmulThreads) {
    const int32_t token = at / num_stored, row_warp = at % num_stored / kStored, row = at % kStored;
    const int64_t tile = first_tile + row_warp;
    if constexpr (kProduct == Product::kGateUp) {
      store_pair(job, tokens.tile.expert, tokens.out_row(token), tile * kStored + row, total(row_warp, token, row),
                 total(row_warp, token, row + 8));
    } else {
      store_row<kProduct>(job, tokens.tile.expert, tokens.out_row(token), tile * kStored + row, total(row_warp, token, row));
    }
  }
}

// ---- launching -----------------------------------------------------------------------------------------------------------

// Warps side by side, by the shape alone: as many as leave enough blocks for a large GPU.
inline int32_t choose_row_warps(int32_t rows, int64_t enough_blocks = 88) {
  for (const int32_t warps : {8, 4, 2})
    if (ceil_div(ceil_div(rows, kTileRows), warps) >= enough_blocks) return warps;
  return 1;
}

// Units of a panel: what about 52 KB hold, in whole rounds of the K parts.
inline int32_t choose_panel_units(int32_t cols, int32_t tiles, int32_t row_warps) {
  constexpr int32_t kPanelBytes = 52 * 1024;
  const int32_t parts = kMatmulWarps / row_warps;
  const int32_t units = (kPanelBytes / (8 * tiles) - 64) / (kTileCols * 2);
  const auto needed = static_cast<int32_t>(ceil_div(ceil_div(cols, kTileCols), parts) * parts);
  return std::min(needed, std::max(units / parts * parts, parts));
}

// Tiles of 8 tokens a block takes when there are about this many tokens.
inline int32_t choose_tiles(int64_t tokens) { return tokens <= 8 ? 1 : tokens <= 16 ? 2 : tokens <= 32 ? 4 : 8; }

template <class Kernel>
mk_status start_kernel(Kernel kernel, dim3 grid, int shared_bytes, const Matmul& job, cudaStream_t stream, mk_error* error) {
  if (grid.x == 0 || grid.y == 0) return MK_OK;
  if (grid.y > 65535) return refuse(error, MK_INVALID_ARGUMENT, "matmul: %u tiles of tokens, want at most 65535", grid.y);
  const cudaError_t result = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, shared_bytes);
  if (result != cudaSuccess) return refuse(error, MK_INTERNAL, "%s: %s", cudaGetErrorName(result), cudaGetErrorString(result));
  kernel<<<grid, kMatmulThreads, shared_bytes, stream>>>(job);
  return launched(error);
}

template <class Queue, Product kProduct, class X, int kTiles>
mk_status start_stream_tiles(Matmul job, int64_t token_blocks, cudaStream_t stream, mk_error* error) {
  if (job.row_warps == 0) job.row_warps = choose_row_warps(job.rows);
  if (kTiles > 1 || job.panel_tokens == 0) job.panel_tokens = 8 * kTiles;
  job.panel_units = choose_panel_units(job.cols, kTiles, job.row_warps);
  const int shared_bytes = queue_bytes<Queue, kTiles>() + job.panel_tokens * panel_stride(job.panel_units);
  const dim3 grid(static_cast<unsigned>(ceil_div(ceil_div(job.rows, kTileRows), job.row_warps)),
                  static_cast<unsigned>(token_blocks));
  return start_kernel(stream_kernel<Queue, kProduct, X, kTiles>, grid, shared_bytes, job, stream, error);
}

// `tiles` is 1, 2, 4 or 8; token_blocks are blocks of 8 * tiles tokens.
template <class Queue, Product kProduct, class X>
mk_status start_stream(const Matmul& job, int32_t tiles, int64_t token_blocks, cudaStream_t stream, mk_error* error) {
  switch (tiles) {
    case 1: return start_stream_tiles<Queue, kProduct, X, 1>(job, token_blocks, stream, error);
    case 2: return start_stream_tiles<Queue, kProduct, X, 2>(job, token_blocks, stream, error);
    case 4: return start_stream_tiles<Queue, kProduct, X, 4>(job, token_blocks, stream, error);
    default: return start_stream_tiles<Queue, kProduct, X, 8>(job, token_blocks, stream, error);
  }
}

}  // namespace moesaic::cuda
