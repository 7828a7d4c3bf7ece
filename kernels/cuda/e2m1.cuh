// e2m1: the numbers of MXFP4 on the device, and the layout "cuda_mxfp4_mma16".
//   Source: OCP Microscaling Formats (MX) v1.0; scale byte 255, a NaN there, is 2^128 here, as in gpt-oss' own decoders.
//
// cuda_mxfp4_mma16: tiles of 16 rows x 64 columns, (experts, ceil(rows / 16), ceil(cols / 64)), 544 bytes each:
//   0    32 lanes x 4 words of codes; lane = 4 g + t, g = 0..7, t = 0..3. Word m = 2 j + h of a lane holds, of rows g and
//        g + 8, the columns k = 64 tile + 32 j + 8 t + 4 h + 0..3. Nibble n of its lower half and nibble n of its upper half
//        are the two elements of register n of an A fragment (mma.cuh):
//          n     0        1            2        3
//          row   g        g + 8        g        g + 8
//          k     +0, +1   +0, +1       +2, +3   +2, +3       (lower half, upper half)
//   512  8 x 4 scale bytes; those of g: row g chunk 0, row g + 8 chunk 0, row g chunk 1, row g + 8 chunk 1
// Row r of a tile is row 16 tile + r; in gate_up (MK_SLOT_GATE_UP), where gate and up rows alternate, r < 8 is the gate row
// 16 tile + 2 r and r >= 8 the up row 16 tile + 2 (r - 8) + 1: a lane has both of a pair. Rows and columns past the matrix
// are 0.
#pragma once

#include <cuda_bf16.h>

#include <cstdint>

namespace moesaic::cuda {

constexpr int kTileRows = 16;
constexpr int kTileCols = 64;
constexpr int kMxfp4TileBytes = 544;
constexpr int kMxfp4ScalesAt = 512;

// The row of the matrix that row r of tile `tile` is.
__host__ __device__ inline int64_t tile_row(int64_t tile, int r, bool is_paired) {
  if (!is_paired) return tile * kTileRows + r;
  return tile * kTileRows + (r < 8 ? 2 * r : 2 * (r - 8) + 1);
}

__device__ __forceinline__ uint32_t mul_bf16x2(uint32_t a, uint32_t b) {
  const __nv_bfloat162 product =
      __hmul2(reinterpret_cast<const __nv_bfloat162&>(a), reinterpret_cast<const __nv_bfloat162&>(b));
  return reinterpret_cast<const uint32_t&>(product);
}

// 2^(byte - 1) as two bf16. A code put at the lower end of bf16's exponent is 2^-126 of its value, subnormal 0.5 included, so
// this is the scale 2^(byte - 127) times 2^126. Exact up to byte 128; from there on the factor stays 2^127 and scale_rest has
// what is missing.
__device__ __forceinline__ uint32_t scale_factor(uint32_t byte) { return (min(byte, 128u) + 126u) * 0x00800080u; }
__device__ __forceinline__ uint32_t scale_rest(uint32_t byte) { return (max(byte, 128u) - 1u) * 0x00800080u; }

// The A fragment of one word of codes, before scaling.
__device__ __forceinline__ void spread_codes(uint32_t word, uint32_t (&a)[4]) {
  constexpr uint32_t kSign = 0x80008000u, kRest = 0x01C001C0u;
  a[0] = (word << 12 & kSign) | (word << 6 & kRest);
  a[1] = (word << 8 & kSign) | (word << 2 & kRest);
  a[2] = (word << 4 & kSign) | (word >> 2 & kRest);
  a[3] = (word & kSign) | (word >> 6 & kRest);
}

// The A fragments of chunk j of a lane's part of a tile, words 2 j and 2 j + 1; exact in bf16 (infinite from 2^128 on).
__device__ __forceinline__ void decode_chunk(uint2 words, uint32_t scales, int j, uint32_t (&a)[2][4]) {
  const uint32_t byte_g = scales >> (16 * j) & 255, byte_g8 = scales >> (16 * j + 8) & 255;
  const uint32_t factor_g = scale_factor(byte_g), factor_g8 = scale_factor(byte_g8);
  spread_codes(words.x, a[0]);
  spread_codes(words.y, a[1]);
#pragma unroll
  for (int n = 0; n < 8; ++n) a[n / 4][n % 4] = mul_bf16x2(a[n / 4][n % 4], n % 2 == 0 ? factor_g : factor_g8);
  if ((scales & 0x80808080u) == 0) return;
  const uint32_t rest_g = scale_rest(byte_g), rest_g8 = scale_rest(byte_g8);
#pragma unroll
  for (int n = 0; n < 8; ++n) a[n / 4][n % 4] = mul_bf16x2(a[n / 4][n % 4], n % 2 == 0 ? rest_g : rest_g8);
}

// Twice the value of a code; exact.
__device__ __forceinline__ float doubled_e2m1(uint32_t code) {
  return __uint_as_float((code & 8) << 28 | (code & 7) << 22) * __uint_as_float(254u << 23);
}
// Half the scale, 2^(byte - 128): a finite float for every byte, subnormal below 2.
__device__ __forceinline__ float halved_scale(uint32_t byte) {
  return __uint_as_float(byte < 2 ? 0x00200000u << byte : (byte - 1u) << 23);
}

}  // namespace moesaic::cuda
