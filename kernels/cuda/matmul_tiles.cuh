// matmul_tiles: products of MXFP4 experts (cuda_mxfp4_mma16) with few tokens each, bound by reading the weights.
//   Work is (tile of 8 kTiles pairs, kRowTiles row tiles of 16 rows), in that order; every block has one run of it, as long as
//   the others'. The 8 warps of a block share K: warp w has the w-th run of 64-column units, all its own, so that one row tile
//   keeps a whole block busy. Weights go from memory to registers through a ring that is kept full across row tiles; x of a
//   tile of pairs is in shared memory as bf16. A round of the ring has no branch: units past a part are zeros.
//   Order of a sum: in a part units ascending, two chunks of two products each; then the parts ascending, then the bias. It
//   follows from the columns alone, not from tokens, kTiles, kRowTiles, blocks or GPU: batch-invariant.
//   bound: memory, the weights once per 8 kTiles pairs
#pragma once

#include "matmul_stream.cuh"

namespace moesaic::cuda {

constexpr int kRingPieces = 6;   // of a warp in flight, 544 B each: 52 KB of an SM
constexpr int kTilesBlocks = 2;  // of an SM
// Shared memory of a block: two fit an SM of 228 KB, one of 164 KB.
constexpr int32_t kMostTilesShared = 112 * 1024;

// What a lane has of a tile of weights.
struct LanePiece {
  uint4 codes;
  uint32_t scales;
};

// decode_chunk; where no scale of the warp is 128 or more (kRare false), factors cost two instructions each and there is no
// second product.
template <bool kRare>
__device__ __forceinline__ void decode_piece(const LanePiece& piece, int j, uint32_t (&a)[2][4]) {
  const uint2 words = j == 0 ? make_uint2(piece.codes.x, piece.codes.y) : make_uint2(piece.codes.z, piece.codes.w);
  if constexpr (kRare) {
    decode_chunk(words, piece.scales, j, a);
  } else {
    const uint32_t factor_g = __byte_perm(piece.scales, 0, 0x4040 + 0x101 * (2 * j)) * 128u + 126u * 0x00800080u;
    const uint32_t factor_g8 = __byte_perm(piece.scales, 0, 0x4040 + 0x101 * (2 * j + 1)) * 128u + 126u * 0x00800080u;
    spread_codes(words.x, a[0]);
    spread_codes(words.y, a[1]);
#pragma unroll
    for (int n = 0; n < 8; ++n) a[n / 4][n % 4] = mul_bf16x2(a[n / 4][n % 4], n % 2 == 0 ? factor_g : factor_g8);
  }
}

template <int kRowTiles>
struct Ring {
  static constexpr int kUnits = kRingPieces / kRowTiles;
  LanePiece pieces[kUnits][kRowTiles];
  int32_t to_scales;  // bytes from a lane's codes of a tile to its scales

  __device__ Ring() {
    const auto lane = static_cast<int32_t>(threadIdx.x % 32);
    to_scales = kMxfp4ScalesAt - lane * 16 + lane / 4 * 4;
  }
  __device__ __forceinline__ void fetch(int s, int r, const char* const (&from)[kRowTiles]) {
    const char* const codes = from[r] + s * kMxfp4TileBytes;
    pieces[s][r].codes = __ldg(reinterpret_cast<const uint4*>(codes));
    pieces[s][r].scales = __ldg(reinterpret_cast<const uint32_t*>(codes + to_scales));
  }
  // Units that were not fetched count nothing.
  __device__ __forceinline__ void clear_from(int32_t count) {
#pragma unroll
    for (int s = 0; s < kUnits; ++s) {
      if (s < count) continue;
#pragma unroll
      for (int r = 0; r < kRowTiles; ++r) pieces[s][r].codes = make_uint4(0, 0, 0, 0);
    }
  }
  __device__ __forceinline__ bool has_rare() const {
    uint32_t scales = 0;
#pragma unroll
    for (int i = 0; i < kRingPieces; ++i) scales |= pieces[i / kRowTiles][i % kRowTiles].scales;
    return __any_sync(~0u, (scales & 0x80808080u) != 0) != 0;
  }
};

// A round of the ring, times the first kUsed of 8 tokens at `x`; its units are asked for anew, `count` of them at `from`.
template <bool kRare, int kUsed, int kTiles, int kRowTiles>
__device__ __forceinline__ void multiply_round(Ring<kRowTiles>& ring, const char* x, int32_t stride,
                                               const char* const (&from)[kRowTiles], int32_t count,
                                               float (&sums)[kRowTiles][kTiles][4]) {
#pragma unroll
  for (int s = 0; s < Ring<kRowTiles>::kUnits; ++s) {
#pragma unroll
    for (int j = 0; j < 2; ++j) {
      uint4 b[kUsed];
#pragma unroll
      for (int n = 0; n < kUsed; ++n)
        b[n] = *reinterpret_cast<const uint4*>(x + n * 8 * stride + s * kTileCols * 2 + j * 64);
      uint32_t a[kRowTiles][2][4];
#pragma unroll
      for (int r = 0; r < kRowTiles; ++r) decode_piece<kRare>(ring.pieces[s][r], j, a[r]);
#pragma unroll
      for (int r = 0; r < kRowTiles; ++r) {
#pragma unroll
        for (int n = 0; n < kUsed; ++n) mma_bf16(sums[r][n], a[r][0], b[n].x, b[n].y);
      }
#pragma unroll
      for (int r = 0; r < kRowTiles; ++r) {
#pragma unroll
        for (int n = 0; n < kUsed; ++n) mma_bf16(sums[r][n], a[r][1], b[n].z, b[n].w);
      }
    }
    if (s < count) {
#pragma unroll
      for (int r = 0; r < kRowTiles; ++r) ring.fetch(s, r, from);
    }
  }
}

// A tile's pairs as a warp reads them.
template <Product kProduct>
struct WarpTokens {
  struct {
    int32_t expert, count;
    const int32_t* pairs;
  } tile;
  __device__ int32_t x_row(const Matmul& job, int32_t i) const {
    return kProduct == Product::kGateUp ? tile.pairs[i] / job.groups.experts_per_token : tile.pairs[i];
  }
};

template <int kTiles, int kRowTiles>
struct SumExchange {
  static constexpr int kTokens = 8 * kTiles;
  static constexpr int kStride = kTileRows * kRowTiles + 4;  // floats between tokens: no two lanes of a store in one bank
  static constexpr int kFloats = kMatmulWarps * kTokens * kStride;
  static constexpr int kBuffers = kTiles == 1 ? 2 : 1;  // one barrier a step, or two and half the memory
  static constexpr int kBytes = kBuffers * kFloats * 4;
};

__host__ __device__ constexpr int units_of_part(int num_units) { return (num_units + kMatmulWarps - 1) / kMatmulWarps; }

// grid: any number of blocks. cols % 8 == 0.
template <Product kProduct, class X, int kTiles, int kRowTiles>
__global__ void __launch_bounds__(kMatmulThreads, kTilesBlocks) tiles_kernel(const Matmul job) {
  using Exchange = SumExchange<kTiles, kRowTiles>;
  constexpr int kTokens = 8 * kTiles, kUnits = Ring<kRowTiles>::kUnits;
  constexpr bool kIsPaired = kProduct == Product::kGateUp;
  extern __shared__ __align__(128) char shared[];
  __shared__ int32_t pairs[kMatmulWarps][kTokens];
  const int32_t lane = threadIdx.x % 32, warp = threadIdx.x / 32, g = lane / 4, t = lane % 4;
  char* const panel = shared + Exchange::kBytes;
  const int32_t stride = panel_stride(job.panel_units);
  const int32_t num_units = (job.cols + kTileCols - 1) / kTileCols, first_unit = warp * units_of_part(num_units);
  const int32_t num_mine = min(max(num_units - first_unit, 0), units_of_part(num_units));
  const int32_t rounds = (num_mine + kUnits - 1) / kUnits;
  const char* const x = panel + g * stride + t * 16 + first_unit * (kTileCols * 2);

  const int32_t row_tiles = (job.rows + kTileRows - 1) / kTileRows, row_groups = (row_tiles + kRowTiles - 1) / kRowTiles;
  const int32_t row_tile_bytes = num_units * kMxfp4TileBytes;
  const WarpTiles<kTokens> tiles(job.groups);
  const int64_t all = static_cast<int64_t>(tiles.count()) * row_groups;  // fits 32 bits: most_tile_tokens
  auto at = static_cast<int32_t>(all * blockIdx.x / gridDim.x);
  const auto end = static_cast<int32_t>(all * (blockIdx.x + 1) / gridDim.x);

  // What this thread stores of a row group: one row, or a pair of them, of every kTokenStep-th token.
  constexpr int kEach = kIsPaired ? 8 : 16, kStored = kEach * kRowTiles, kTokenStep = kMatmulThreads / kStored;
  const int32_t out_tile = threadIdx.x % kStored / kEach, out_at = threadIdx.x % kEach;

  while (at < end) {
    const int32_t token_tile = at / row_groups, first = at - token_tile * row_groups;
    const int32_t last = min(row_groups, first + (end - at));
    at += last - first;
    const auto found = tiles.find(token_tile);
    const int32_t expert = found.expert, count = found.count;
    const char* const mine = Mxfp4Tiles::row_tile(job, expert, 0) + first_unit * kMxfp4TileBytes + lane * 16;

    Ring<kRowTiles> ring;
    const char* from[kRowTiles];
    // A row tile past the matrix is read as the one before it, and not stored.
    const auto aim = [&](int32_t group, int32_t round) {
#pragma unroll
      for (int r = 0; r < kRowTiles; ++r)
        from[r] = mine + static_cast<int64_t>(min(group * kRowTiles + r, row_tiles - 1)) * row_tile_bytes +
                  round * (kUnits * kMxfp4TileBytes);
    };
    aim(first, 0);
    ring.clear_from(0);
#pragma unroll
    for (int i = 0; i < kRingPieces; ++i) {
      ring.pieces[i / kRowTiles][i % kRowTiles].scales = 0;
      if (i / kRowTiles < num_mine) ring.fetch(i / kRowTiles, i % kRowTiles, from);
    }
    tiles.put_pairs(found, pairs[warp]);
    const WarpTokens<kProduct> tokens{{expert, count, pairs[warp]}};
    fill_panel<X>(job, tokens, 0, panel);
    __syncthreads();

    for (int32_t group = first; group < last; ++group) {
      const int64_t out_row = static_cast<int64_t>(group * kRowTiles + out_tile) * kEach + out_at;  // or pair of rows
      const float bias = bias_of(job, expert, kIsPaired ? 2 * out_row : out_row);
      const float up_bias = kIsPaired ? bias_of(job, expert, 2 * out_row + 1) : 0;
      float sums[kRowTiles][kTiles][4] = {};
      for (int32_t round = 0; round < rounds; ++round) {
        const bool wraps = round + 1 == rounds;
        const int32_t next_group = wraps ? group + 1 : group, next_round = wraps ? 0 : round + 1;
        const int32_t next = next_group < last ? min(num_mine - next_round * kUnits, kUnits) : 0;
        const char* const round_x = x + round * (kUnits * kTileCols * 2);
        aim(next_group, next_round);
        if (ring.has_rare()) {
          multiply_round<true, kTiles>(ring, round_x, stride, from, next, sums);
        } else if (kTiles == 1 || count > 8) {
          multiply_round<false, kTiles>(ring, round_x, stride, from, next, sums);
        } else {
          multiply_round<false, 1>(ring, round_x, stride, from, next, sums);
        }
        if (next < kUnits) ring.clear_from(next);
      }

      if constexpr (Exchange::kBuffers == 1) __syncthreads();  // all have read the sums before
      float* const exchange = reinterpret_cast<float*>(shared) + (group % Exchange::kBuffers) * Exchange::kFloats;
#pragma unroll
      for (int i = 0; i < kRowTiles * kTiles; ++i) {
        const int r = i / kTiles, n = i % kTiles;
        float* const to = exchange + (warp * kTokens + n * 8 + 2 * t) * Exchange::kStride + r * kTileRows + g;
        to[0] = sums[r][n][0];
        to[Exchange::kStride] = sums[r][n][1];
        to[8] = sums[r][n][2];
        to[Exchange::kStride + 8] = sums[r][n][3];
      }
      __syncthreads();
      for (int32_t token = threadIdx.x / kStored; token < count; token += kTokenStep) {
        const float* const parts = exchange + token * Exchange::kStride + out_tile * kTileRows + out_at;
        float sum = 0, up_sum = 0;
#pragma unroll
        for (int w = 0; w < kMatmulWarps; ++w) {
          sum += parts[w * kTokens * Exchange::kStride];
          if constexpr (kIsPaired) up_sum += parts[w * kTokens * Exchange::kStride + 8];
        }
        if constexpr (kIsPaired) {
          put_pair(job, pairs[warp][token], out_row, sum + bias, up_sum + up_bias);
        } else {
          put_row<kProduct>(job, pairs[warp][token], out_row, sum + bias);
        }
      }
    }
    __syncthreads();  // all have read the panel and the sums
  }
}

// ---- launching -----------------------------------------------------------------------------------------------------------

// Units of a panel: all of them, and what the last rounds of the parts read past them.
inline int32_t tiles_panel_units(int32_t cols, int32_t ring_units) {
  const auto num_units = static_cast<int32_t>(ceil_div(cols, kTileCols)), of_part = units_of_part(num_units);
  int32_t units = num_units;
  for (int32_t first = 0; first < num_units; first += of_part) {
    const int32_t read = static_cast<int32_t>(ceil_div(std::min(of_part, num_units - first), ring_units)) * ring_units;
    units = std::max(units, first + read);
  }
  return units;
}

template <int kTiles, int kRowTiles>
int64_t tiles_shared_bytes(int32_t cols) {
  const int64_t row_bytes = panel_stride(tiles_panel_units(cols, Ring<kRowTiles>::kUnits));
  return SumExchange<kTiles, kRowTiles>::kBytes + 8 * kTiles * row_bytes;
}

// Tokens of a tile that fit where no matrix has more columns than this: 16, 8 or 0.
inline int32_t most_tile_tokens(int32_t cols) {
  if (cols > 65536) return 0;
  const int32_t most = std::min(kMostTilesShared, most_shared_bytes());
  if (tiles_shared_bytes<1, 1>(cols) > most) return 0;
  return tiles_shared_bytes<2, 2>(cols) > most ? 8 : 16;
}

template <Product kProduct, class X, int kTiles, int kRowTiles>
mk_status start_tiles_of(Matmul job, int64_t token_tiles, cudaStream_t stream, mk_error* error) {
  job.panel_units = tiles_panel_units(job.cols, Ring<kRowTiles>::kUnits);
  const int64_t most = token_tiles * ceil_div(ceil_div(job.rows, kTileRows), kRowTiles);
  const dim3 grid(static_cast<unsigned>(std::min<int64_t>(most, kTilesBlocks * num_multiprocessors())));
  const auto shared_bytes = static_cast<int>(tiles_shared_bytes<kTiles, kRowTiles>(job.cols));
  return start_kernel(tiles_kernel<kProduct, X, kTiles, kRowTiles>, grid, shared_bytes, job, stream, error);
}

// `tiles` is 1, or 2 where 16 tokens fit; token_tiles are tiles of 8 * tiles pairs, at most.
template <Product kProduct, class X>
mk_status start_tiles(const Matmul& job, int32_t tiles, int64_t token_tiles, cudaStream_t stream, mk_error* error) {
  return tiles == 1 ? start_tiles_of<kProduct, X, 1, 1>(job, token_tiles, stream, error)
                    : start_tiles_of<kProduct, X, 2, 2>(job, token_tiles, stream, error);
}

}  // namespace moesaic::cuda
